"""Program of a graded study: lives of random or given networks, a search for the best design, or a calibration."""

from __future__ import annotations

from membrane_dask.errors import Source
from membrane_dask.program import Program
from membrane_dask.studies.graded.calibration_program import CalibrationProgram
from membrane_dask.studies.graded.config import GradedStudy
from membrane_dask.studies.graded.design_program import DesignProgram
from membrane_dask.studies.graded.input_program import InputProgram
from membrane_dask.studies.graded.program import GradedProgram


def graded_program(study: GradedStudy, source: Source | None = None) -> Program:
    """Make a graded study ready to run.

    Parameters
    ----------
    study : GradedStudy
        Checked study.
    source : Source, optional
        Origin of the study, for error messages.
    """
    if study.calibrate is not None:
        return CalibrationProgram(study, source)
    if study.input is not None:
        return InputProgram(study, source)
    return DesignProgram(study, source) if study.searches_designs else GradedProgram(study, source)
