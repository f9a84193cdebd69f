"""Check of a characterization: what the files of its volumes say."""

from __future__ import annotations

from membrane_dask.errors import Source
from membrane_dask.studies.characterize.bench_volumes import require_equal_cubes
from membrane_dask.studies.characterize.config import CharacterizeStudy
from membrane_dask.studies.input_volumes import check_volumes


def check_inputs(study: CharacterizeStudy, source: Source | None) -> tuple[str, ...]:
    """Read what the files of the volumes say.

    Returns
    -------
    tuple of str
        What only the program finds.

    Raises
    ------
    StudyError
        If a volume cannot be used.
    """
    volumes, fields, unchecked = check_volumes(study, source)
    if study.bench.enabled:
        require_equal_cubes(volumes, fields.count("input"), source)
    return unchecked
