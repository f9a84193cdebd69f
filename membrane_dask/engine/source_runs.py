"""Runs whose results another study reads: they must have them, be complete and have lost none of their files."""

from __future__ import annotations

from pathlib import Path

from membrane_dask.engine.run import Run
from membrane_dask.engine.verification import opening_faults, summary
from membrane_dask.errors import Problem, Source, StudyError
from membrane_dask.studies.registry import find_kind, kinds


def require_kind(kind: str, content: str, name: str, path: Path, source: Source | None) -> None:
    """Refuse a run, or a study, of a kind that does not provide the ``content`` that is read, such as ``volume``.

    Raises
    ------
    StudyError
        At the field ``name`` of the study that reads it.
    """
    if content not in find_kind(kind).provides:
        providers = " or ".join(other.name for other in kinds().values() if content in other.provides)
        message = f"is of the kind {kind}, which provides no {content}; {providers} does (got {str(path)!r})"
        raise StudyError([Problem((name,), message)], source)


def require_source(path: Path, content: str, name: str, source: Source | None) -> None:
    """Refuse a run that does not provide the ``content`` that is read, is not complete, or has lost files of it.

    Raises
    ------
    StudyError
        At the field ``name`` of the study that reads it; with the command that finishes or repairs the run.
    """
    run = Run(path)
    require_kind(run.kind, content, name, path, source)
    state = run.status()["state"]
    if state != "complete":
        message = f"is a run that is {state}; first: membrane-dask run {path / 'study.yaml'} --out {path}"
        raise StudyError([Problem((name,), f"{message} (got {str(path)!r})")], source)
    volumes = [f"volumes/{volume}.ome.zarr" for volume in run.volumes]
    components = volumes if content == "volume" else ["result.zarr"]
    faults = [fault for component in components for fault in opening_faults(path, run.journal, component)]
    if faults:
        raise StudyError([Problem((name,), f"is a damaged run; {summary(faults, path)}")], source)
