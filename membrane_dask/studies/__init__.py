"""One file a study kind: what its units are, what one unit computes, what follows from all."""

from __future__ import annotations

from membrane_dask.config import BaseStudy
from membrane_dask.errors import Source
from membrane_dask.program import Program


def build(study: BaseStudy, source: Source | None = None) -> Program:
    """Make a checked study ready to run; reads its inputs.

    Raises
    ------
    membrane_dask.errors.StudyError
        If an input cannot be used; ``source`` says where the study names it.
    """
    kind = getattr(study, "kind", None)
    if kind == "graded":
        from membrane_dask.studies.graded.program import GradedProgram

        return GradedProgram(study, source)  # type: ignore[arg-type]
    if kind == "reconstruct":
        from membrane_dask.studies.reconstruct.program import ReconstructProgram

        return ReconstructProgram(study, source)  # type: ignore[arg-type]
    if kind == "characterize":
        from membrane_dask.studies.characterize.program import CharacterizeProgram

        return CharacterizeProgram(study, source)  # type: ignore[arg-type]
    if kind == "porometry":
        from membrane_dask.studies.porometry.program import PorometryProgram

        return PorometryProgram(study, source)  # type: ignore[arg-type]
    raise TypeError(f"not a study: {study!r}")
