"""Check of a reconstruction: its images, and where they lie; what needs their segmentation is left to the program."""

from __future__ import annotations

from membrane_dask.errors import Problem, Source, StudyError
from membrane_dask.physics.imaging.grey_values import normalised
from membrane_dask.studies.reconstruct.config import ReconstructStudy
from membrane_dask.studies.reconstruct.intake import take_in
from membrane_dask.studies.reconstruct.placement import locate


def check_images(study: ReconstructStudy, source: Source | None) -> tuple[str, ...]:
    """Read the images of a study, and compare them with its settings.

    Returns
    -------
    tuple of str
        What only the program finds.

    Raises
    ------
    StudyError
        With all problems of the images, or if they contradict the study.
    """
    sections, problems = [], list[Problem]()
    cause: BaseException | None = None
    for number, settings in enumerate(study.micrographs):
        where = ("images", number) if study.images else ()
        try:
            sections.append(take_in(settings, source, where, charging=False))
            normalised(sections[-1].image)
        except StudyError as error:
            problems, cause = [*problems, *error.problems], error.__cause__
        except ValueError as error:
            problems.append(Problem((*where, "input"), f"{error} (got {str(settings.input)!r})"))
    if problems:
        raise StudyError(problems, source) from cause
    locate(study, sections, source)
    return ("charging", "segmentation", "image model", "knots", "memory of the units")
