"""Volumes of which the virtual bench can be computed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from membrane_dask.errors import Problem, Source, StudyError
from membrane_dask.physics.voxel_spacing import is_cube
from membrane_dask.studies.voxel_sizes import edges_text


def require_equal_cubes(volumes: Sequence[Any], replicates: int, source: Source | None) -> None:
    """Refuse volumes of which the bench cannot be computed, and replicates that are not of one size."""
    for number, volume in enumerate(volumes):
        field, first = ("input", volumes[0]) if number < replicates else ("reference", volumes[replicates])
        if not is_cube(volume.spacing):
            message = f"its voxels are no cubes ({edges_text(volume)}), in which the bench counts radii; resample the"
            message += f" volume to cubes, or set bench.enabled: false (got {volume.path!r})"
            raise StudyError([Problem((field,), message)], source)
        if (volume.shape, volume.voxel_nm) != (first.shape, first.voxel_nm):
            message = f"replicates of the bench differ in shape or voxel size: {volume.path} has {volume.shape} voxels"
            message += f" of {volume.voxel_nm} nm, {first.path} has {first.shape} of {first.voxel_nm} nm"
            raise StudyError([Problem((field,), message)], source)
