"""Check of a reconstruction: its images, and where they lie; what needs their segmentation is left to the program."""

from __future__ import annotations

from membrane_dask.errors import Problem, ProblemList, Source, StudyError
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
    sections, problems = [], ProblemList()
    for number, settings in enumerate(study.micrographs):
        where = ("images", number) if study.images else ()
        with problems.collect():
            section = take_in(settings, source, where, charging=False)
            try:
                normalised(section.image)
            except ValueError as error:
                message = f"{error} (got {str(settings.input)!r})"
                raise StudyError([Problem((*where, "input"), message)], source) from error
            sections.append(section)
    problems.raise_any(source)
    locate(study, sections, source)
    return ("charging", "segmentation", "image model", "knots", "memory of the units")
