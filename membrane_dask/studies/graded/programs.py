"""Program of a graded study: lives of random or given networks, a search for the best design, or a calibration."""

from __future__ import annotations

from membrane_dask.errors import Source
from membrane_dask.program import Program
from membrane_dask.studies.graded.config import GradedStudy


def graded_program(study: GradedStudy, source: Source | None = None) -> Program:
    """Make a graded study ready to run.

    Parameters
    ----------
    study : GradedStudy
        Checked study.
    source : Source, optional
        Origin of the study, for error messages.
    """
    # Each imports what it alone needs, some of which takes long.
    if study.calibrate is not None:
        from membrane_dask.studies.graded.calibration_program import CalibrationProgram

        return CalibrationProgram(study, source)
    if study.input is not None:
        from membrane_dask.studies.graded.input_program import InputProgram

        return InputProgram(study, source)
    if study.searches_designs:
        from membrane_dask.studies.graded.design_program import DesignProgram

        return DesignProgram(study, source)
    from membrane_dask.studies.graded.program import GradedProgram

    return GradedProgram(study, source)
