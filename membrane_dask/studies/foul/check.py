"""Check of a foul study: what the files of its volumes say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from membrane_dask.errors import Problem, Source, StudyError
from membrane_dask.io.volumes import VolumeSource
from membrane_dask.physics.voxel_spacing import is_cube
from membrane_dask.studies.foul.config import FoulStudy
from membrane_dask.studies.input_volumes import check_volumes
from membrane_dask.studies.voxel_sizes import edges_text

#: Fewest voxels along an axis.
MIN_VOXELS = 16


def check_inputs(study: FoulStudy, source: Source | None) -> tuple[str, ...]:
    """Read what the files of the volumes say; a network from files is read as a whole.

    Returns
    -------
    tuple of str
        What only the program finds.

    Raises
    ------
    StudyError
        If an input cannot be used.
    """
    if study.has_network:
        from membrane_dask.studies.foul.network_program import NetworkProgram

        NetworkProgram(study, source)
        return ()
    volumes, _, unchecked = check_volumes(study, source)
    if problems := list(volume_problems(volumes)):
        raise StudyError(problems, source)
    has_limit = isinstance(study.operation.flux, float) and study.hydraulics.conductance == "stokes"
    return (*unchecked, "pressure limit of the flux") if has_limit else unchecked


def volume_problems(volumes: Sequence[VolumeSource]) -> Iterator[Problem]:
    """What a life of the volumes needs that they do not have."""
    first = volumes[0]
    for volume in volumes:
        if not is_cube(volume.spacing):
            message = f"needs voxels that are cubes, of which {volume.path} has none ({edges_text(volume)})"
            yield Problem(("input",), f"{message}; resample the volume first")
        elif min(volume.shape) < MIN_VOXELS:
            sizes = " x ".join(map(str, volume.shape))
            message = f"at least {MIN_VOXELS} voxels along every axis are needed ({volume.path} has {sizes})"
            yield Problem(("input",), message)
        elif (volume.shape, volume.voxel_nm) != (first.shape, first.voxel_nm):
            message = f"replicates differ in shape or voxel size: {volume.path} has {volume.shape} voxels of "
            message += f"{volume.voxel_nm} nm, {first.path} has {first.shape} of {first.voxel_nm} nm"
            yield Problem(("input",), message)
