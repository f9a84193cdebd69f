"""Cluster profiles as the command line shows them: a table of all, one with its overrides, its job scripts."""

from __future__ import annotations

from collections.abc import Sequence

from membrane_dask.engine.cluster.probe import example_scripts
from membrane_dask.engine.cluster.profiles import Profile, profiles, resolve
from membrane_dask.engine.plan import as_seconds
from membrane_dask.engine.schedulers import batch_system
from membrane_dask.engine.schedulers.base import BatchSystem
from membrane_dask.errors import ClusterError, Problem, StudyError
from membrane_dask.study_file import parse_cluster


def cluster(name: str, overrides: Sequence[str] = ()) -> Profile:
    """A profile by name, with ``key=value`` assignments that override it.

    Raises
    ------
    StudyError
        If there is no such profile, or a key or value is not valid.
    """
    return resolve(parse_cluster(name, overrides))


def cluster_rows() -> list[list[str]]:
    """A row for each profile: name, whether its commands are installed, size, walltime, description."""
    rows = []
    for name, profile in sorted(profiles().items(), key=lambda item: (item[1].is_batch, item[0])):
        size, available = "this machine", "yes"
        if profile.is_batch:
            workers = f"{profile.workers} workers x {profile.threads} cores, {profile.memory:g} MB each"
            size = f"{profile.jobs} jobs x {workers}"
            available = _has_commands(batch_system(profile))
        walltime = as_seconds(profile.walltime) if profile.walltime else "-"
        rows.append([name, available, size, walltime, profile.description or ""])
    return rows


def _has_commands(system: BatchSystem) -> str:
    try:
        system.check_commands()
    except ClusterError:
        return "no"
    return "yes"


def job_scripts(profile: Profile) -> dict[str, str]:
    """Scripts of the jobs of a batch system, with placeholders for values that depend on the run.

    Raises
    ------
    StudyError
        If the profile is not that of a batch system.
    """
    if not profile.is_batch:
        raise StudyError([Problem((), f"{profile.name} needs no job scripts: it is no batch system")])
    return example_scripts(profile)
