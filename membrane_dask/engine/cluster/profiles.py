"""Cluster profiles: what a site, a person and a study say of a cluster, laid over one another.

The layers, each over the one before: dask-jobqueue's own configuration (``jobqueue.yaml``), the
profile that comes with the package (``deploy/clusters/``), ``~/.config/membrane-dask/clusters.yaml``,
and the study's section ``cluster``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from membrane_dask.config import ClusterSettings, ClusterWords, Line, knob
from membrane_dask.errors import Problem, Source, StudyError, nearest
from membrane_dask.study_file import problems_of, read_mapping

BatchSystemName = Literal["slurm", "pbs", "lsf", "sge", "htcondor", "oar"]
BATCH_SYSTEMS: tuple[str, ...] = ("slurm", "pbs", "lsf", "sge", "htcondor", "oar")
_ADDRESS = re.compile(r"(tcp|tls|ws|wss|ucx)://\S+")


class Profile(ClusterWords):
    """A cluster by name.

    In a file, None leaves a word to the layer below; in a resolved profile what has a default is
    filled in.
    """

    name: Line = knob("", "what --cluster calls it", unit="")
    scheduler: Literal["sync", "local", "address", "slurm", "pbs", "lsf", "sge", "htcondor", "oar"] | None = knob(
        None, "the batch system, or local", unit=""
    )
    about: Line | None = knob(None, "a line for people", unit="")

    @property
    def is_batch(self) -> bool:
        """Whether workers are jobs of a batch system."""
        return self.scheduler in BATCH_SYSTEMS


def user_file() -> Path:
    """Where a person's own profiles stand."""
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "membrane-dask" / "clusters.yaml"


def _shipped_folder() -> Path:
    inside = Path(__file__).parents[2] / "clusters"  # in an installed package; a checkout has them at its top
    return inside if inside.is_dir() else Path(__file__).parents[3] / "deploy" / "clusters"


def _shipped() -> dict[str, Profile]:
    found = {}
    for path in sorted(_shipped_folder().glob("*.yaml")):
        data, lines = read_mapping(path, "profile")
        found[path.stem] = _profile(data, path.stem, Source(str(path), lines), ())
    return found


def _users() -> dict[str, Profile]:
    path = user_file()
    if not path.is_file():
        return {}
    data, lines = read_mapping(path, "file of profiles")
    found = {}
    problems: list[Problem] = []
    source = Source(str(path), lines)
    for name, words in data.items():
        if name == "sync" or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
            problems.append(Problem((name,), "a profile's name has letters, digits, '.', '_' and '-'; 'sync' is taken"))
        elif not isinstance(words, Mapping):
            problems.append(Problem((name,), f"must be a section of names and values (got {words!r})"))
        else:
            try:
                found[name] = _profile(words, name, source, (name,))
            except StudyError as error:
                problems += error.problems
    if problems:
        raise StudyError(problems, source)
    return found


def _profile(words: Mapping[str, Any], name: str, source: Source, where: tuple[str, ...]) -> Profile:
    try:
        return Profile.model_validate({**words, "name": name})
    except ValidationError as error:
        found = [Problem((*where, *p.where), p.message) for p in problems_of(error, Profile)]
        raise StudyError(found, source) from None


def profiles() -> dict[str, Profile]:
    """All profiles by name, a person's laid over those that come with the package.

    Raises
    ------
    StudyError
        If a file of profiles is not sound.
    """
    shipped, users = _shipped(), _users()
    found = dict(shipped)
    for name, words in users.items():
        base = shipped.get(name) or shipped.get(words.scheduler or "")
        if base is None:
            systems = ", ".join(sorted(shipped))
            raise StudyError(
                [Problem((name, "scheduler"), f"required for a profile of one's own; one of {systems}")],
                Source(str(user_file())),
            )
        if name in shipped and words.scheduler not in (None, shipped[name].scheduler):
            base = shipped[str(words.scheduler)]
        found[name] = _over(base, words)
    return found


def _over(base: Profile, words: ClusterWords) -> Profile:
    """``words`` laid over ``base``."""
    said = {name: getattr(words, name) for name in words.model_fields_set if name in Profile.model_fields}
    return base.model_copy(update={name: value for name, value in said.items() if value is not None})


def resolve(settings: ClusterSettings) -> Profile:
    """The cluster that a study asks for, with every word that has a default filled in.

    Raises
    ------
    StudyError
        If there is no such profile, or a word has no meaning there.
    """
    name = settings.profile
    if _ADDRESS.fullmatch(name):
        found = Profile(name=name, scheduler="address")
    elif name == "sync":
        found = Profile(name=name, scheduler="sync")
    else:
        known = profiles()
        if name not in known:
            hint = nearest(name, [*known, "sync"])
            words = f"unknown; {hint} See them with: membrane-dask clusters. An address starts with tls:// or tcp://"
            raise StudyError([Problem(("cluster", "profile"), f"{words} (got {name!r})")])
        found = known[name]
    found = _over(found, settings)
    defaults: dict[str, Any] = {"threads": 1}
    if found.is_batch:
        defaults |= {"workers": 1, "memory": 1000.0, "jobs": 1, "patience": 3600.0, "tls": True}
        defaults |= {"single_allocation": False}
        if found.scheduler == "htcondor" and found.queue:
            raise StudyError([Problem(("cluster", "queue"), f"HTCondor has no queues (got {found.queue!r})")])
    else:
        alone = ("jobs", "walltime", "queue", "account", "directives", "single_allocation")
        said = [word for word in alone if getattr(settings, word) is not None]
        if said:
            words = f"has a meaning on a batch system only, and {name!r} is none; see: membrane-dask clusters"
            raise StudyError([Problem(("cluster", word), words) for word in said])
    return found.model_copy(update={key: v for key, v in defaults.items() if getattr(found, key) is None})
