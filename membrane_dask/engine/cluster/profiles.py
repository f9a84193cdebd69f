"""Cluster profiles: named settings of a cluster, merged from the layers that a site, a user and a study write.

Each layer overrides those before it: dask-jobqueue's own configuration (``jobqueue.yaml``), the profile
that comes with the package (``deploy/clusters/``), ``~/.config/membrane-dask/clusters.yaml``, and the
section ``cluster`` of the study.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from membrane_dask.config import ClusterOptions, ClusterSettings, Line, parameter
from membrane_dask.errors import Problem, Source, StudyError, nearest
from membrane_dask.former_names import present_settings
from membrane_dask.setting_problems import problems_of
from membrane_dask.yaml_files import read_mapping

BATCH_SYSTEMS: tuple[str, ...] = ("slurm", "pbs", "lsf", "sge", "htcondor", "oar")
#: Values of the keys that no layer of a batch system's profile sets; memory in MB, times in seconds.
BATCH_DEFAULTS: Mapping[str, Any] = {
    "workers": 1, "memory": 1000.0, "jobs": 1, "worker_timeout": 3600.0, "tls": True, "single_allocation": False,
}  # fmt: skip
#: Keys that only a batch system understands.
BATCH_KEYS = (
    "jobs", "walltime", "queue", "account", "directives", "single_allocation", "memory_request", "worker_interface",
    "driver_ports", "worker_ports",
)  # fmt: skip
#: Values of `memory_request` that a batch system has directives for; without the key it requests the first.
MEMORY_REQUESTS: Mapping[str, tuple[str, ...]] = {
    "slurm": ("per_node", "per_cpu", "none"), "pbs": ("per_node", "none"), "lsf": ("per_node", "per_cpu", "none"),
    "sge": ("none",), "htcondor": ("per_node", "none"), "oar": ("per_cpu", "none"),
}  # fmt: skip
_ADDRESS = re.compile(r"(tcp|tls|ws|wss|ucx)://\S+")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Profile(ClusterOptions):
    """A named cluster profile.

    In a file, a key that is None keeps the value of the layer below. In a resolved profile every key that
    has a default is set.
    """

    name: Line = parameter("", "name that --cluster selects", unit="")
    scheduler: Literal["sync", "local", "address", "slurm", "pbs", "lsf", "sge", "htcondor", "oar"] | None = parameter(
        None, "the batch system, or local", unit=""
    )
    description: Line | None = parameter(None, "one line for the list of profiles", unit="", formerly="about")

    @property
    def is_batch(self) -> bool:
        """Whether workers are jobs of a batch system."""
        return self.scheduler in BATCH_SYSTEMS


def user_file() -> Path:
    """Path of the user's own profiles."""
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "membrane-dask" / "clusters.yaml"


def _packaged_folder() -> Path:
    installed = Path(__file__).parents[2] / "clusters"
    return installed if installed.is_dir() else Path(__file__).parents[3] / "deploy" / "clusters"  # a checkout


def _packaged_profiles() -> dict[str, Profile]:
    packaged = {}
    for path in sorted(_packaged_folder().glob("*.yaml")):
        data, lines = read_mapping(path, "profile")
        packaged[path.stem] = _validated(data, path.stem, Source(str(path), lines), ())
    return packaged


def _user_profiles() -> dict[str, Profile]:
    path = user_file()
    if not path.is_file():
        return {}
    data, lines = read_mapping(path, "file of profiles")
    users: dict[str, Profile] = {}
    problems: list[Problem] = []
    source = Source(str(path), lines)
    for name, settings in data.items():
        if name == "sync" or not _NAME.fullmatch(name):
            message = f"the name of a profile has letters, digits, '.', '_' and '-', and is not 'sync' (got {name!r})"
            problems.append(Problem((name,), message))
        elif not isinstance(settings, Mapping):
            problems.append(Problem((name,), f"must be a section of keys and values (got {settings!r})"))
        else:
            try:
                users[name] = _validated(settings, name, source, (name,))
            except StudyError as error:
                problems += error.problems
    if problems:
        raise StudyError(problems, source)
    return users


def _validated(settings: Mapping[str, Any], name: str, source: Source, where: tuple[str, ...]) -> Profile:
    try:
        return Profile.model_validate({**present_settings(Profile, settings, source, where), "name": name})
    except ValidationError as error:
        problems = [Problem((*where, *p.where), p.message) for p in problems_of(error, Profile)]
        raise StudyError(problems, source) from None


def profiles() -> dict[str, Profile]:
    """All profiles by name: those of the user, merged over those that come with the package.

    Raises
    ------
    StudyError
        If a file of profiles is not valid.
    """
    packaged, users = _packaged_profiles(), _user_profiles()
    merged = dict(packaged)
    for name, profile in users.items():
        base = packaged.get(name) or packaged.get(profile.scheduler or "")
        if base is None:
            message = f"required for a profile with a new name; one of {', '.join(sorted(packaged))}"
            raise StudyError([Problem((name, "scheduler"), message)], Source(str(user_file())))
        if name in packaged and profile.scheduler not in (None, packaged[name].scheduler):
            base = packaged[str(profile.scheduler)]
        merged[name] = _merge(base, profile)
    return merged


def _merge(base: Profile, layer: ClusterOptions) -> Profile:
    """``base`` with the values that ``layer`` sets."""
    values = {name: getattr(layer, name) for name in layer.model_fields_set if name in Profile.model_fields}
    return base.model_copy(update={name: value for name, value in values.items() if value is not None})


def resolve(settings: ClusterSettings) -> Profile:
    """The profile that a study selects, with the study's settings and all defaults.

    Parameters
    ----------
    settings : ClusterSettings
        The section ``cluster`` of the study.

    Raises
    ------
    StudyError
        If there is no such profile, or if it does not support one of the settings.
    """
    name = settings.profile
    if _ADDRESS.fullmatch(name):
        profile = Profile(name=name, scheduler="address")
    elif name == "sync":
        profile = Profile(name=name, scheduler="sync")
    else:
        available = profiles()
        if name not in available:
            hint = nearest(name, [*available, "sync"])
            message = (
                f"unknown profile; {hint} List them with: membrane-dask clusters. "
                f"An address starts with tls:// or tcp:// (got {name!r})"
            )
            raise StudyError([Problem(("cluster", "profile"), message)])
        profile = available[name]
    profile = _merge(profile, settings)
    defaults: dict[str, Any] = {"threads": 1}
    if profile.is_batch:
        defaults |= BATCH_DEFAULTS
        problems = list(_unsupported_on_batch(profile))
        if problems:
            raise StudyError(problems)
    else:
        unsupported = [key for key in BATCH_KEYS if getattr(settings, key) is not None]
        if unsupported:
            message = (
                f"is supported on a batch system only, and {name!r} is none; list them with: membrane-dask clusters"
            )
            raise StudyError([Problem(("cluster", key), message) for key in unsupported])
    return profile.model_copy(update={key: v for key, v in defaults.items() if getattr(profile, key) is None})


def _unsupported_on_batch(profile: Profile) -> Iterator[Problem]:
    """Settings that the batch system of a profile has no directives for, and ports that do not suffice."""
    if profile.scheduler == "htcondor" and profile.queue:
        message = f"HTCondor has no queues; remove this key (got {profile.queue!r})"
        yield Problem(("cluster", "queue"), message)
    possible = MEMORY_REQUESTS[str(profile.scheduler)]
    if profile.memory_request not in (None, *possible):
        hint = "the name of the memory resource differs between sites: request it by `directives`, "
        hint = f"{hint}such as '-l h_vmem=2G' per slot" if profile.scheduler == "sge" else "remove this key"
        message = f"{profile.scheduler} supports {', '.join(possible)} only; {hint} (got {profile.memory_request!r})"
        yield Problem(("cluster", "memory_request"), message)
    if profile.worker_ports is not None:
        first, last = profile.worker_ports
        workers = profile.workers or 1
        if last - first + 1 < 2 * workers:
            message = (
                f"a job needs two ports for each of its workers, so {workers} workers need {2 * workers}, and each "
                f"further job on the same node as many again (got {first}-{last}: {last - first + 1})"
            )
            yield Problem(("cluster", "worker_ports"), message)
