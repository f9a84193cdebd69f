"""Runs whose volumes another study reads: they must have volumes, be complete and have lost none of their files."""

from __future__ import annotations

from pathlib import Path

from membrane_dask.engine.run import Run
from membrane_dask.engine.verification import opening_faults, summary
from membrane_dask.errors import Problem, Source, StudyError
from membrane_dask.studies.registry import find_kind, kinds


def require_volume(kind: str, name: str, path: Path, source: Source | None) -> None:
    """Refuse a run, or a study, of a kind that provides no volume.

    Raises
    ------
    StudyError
        At the field ``name`` of the study that reads it.
    """
    if "volume" not in find_kind(kind).provides:
        providers = [other.name for other in kinds().values() if "volume" in other.provides]
        message = f"is of the kind {kind}, which provides no volume; {' or '.join(providers)} does (got {str(path)!r})"
        raise StudyError([Problem((name,), message)], source)


def require_source(path: Path, name: str, source: Source | None) -> None:
    """Refuse a run that provides no volume, is not complete, or has lost files of a volume.

    Raises
    ------
    StudyError
        At the field ``name`` of the study that reads it; with the command that finishes or repairs the run.
    """
    run = Run(path)
    require_volume(run.kind, name, path, source)
    state = run.status()["state"]
    if state != "complete":
        message = f"is a run that is {state}; first: membrane-dask run {path / 'study.yaml'} --out {path}"
        raise StudyError([Problem((name,), f"{message} (got {str(path)!r})")], source)
    faults = [
        fault for volume in run.volumes for fault in opening_faults(path, run.journal, f"volumes/{volume}.ome.zarr")
    ]
    if faults:
        raise StudyError([Problem((name,), f"is a damaged run; {summary(faults, path)}")], source)
