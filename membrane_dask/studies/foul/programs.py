"""Program of a foul study: lives of volumes, or of a pore network from files."""

from __future__ import annotations

from membrane_dask.errors import Source
from membrane_dask.program import Program
from membrane_dask.studies.foul.config import FoulStudy
from membrane_dask.studies.foul.network_program import NetworkProgram
from membrane_dask.studies.foul.program import FoulProgram


def foul_program(study: FoulStudy, source: Source | None = None) -> Program:
    """Make a foul study ready to run.

    Parameters
    ----------
    study : FoulStudy
        Checked study.
    source : Source, optional
        Position of every setting, for error messages.
    """
    return NetworkProgram(study, source) if study.has_network else FoulProgram(study, source)
