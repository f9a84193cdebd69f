"""Middle sections of a volume, as the report shows them: what was characterized, and in which orientation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from membrane_dask.io.volumes import VolumeSource
from membrane_dask.program import Dataset
from membrane_dask.schema import TableSchema

#: Pixels of a section along its longer side; of larger volumes every n-th voxel is shown.
MAX_SIDE = 256
#: Sections by the axis that they are perpendicular to, and their own axes.
AXES: Mapping[str, tuple[str, str]] = {"z": ("y", "x"), "y": ("z", "x"), "x": ("z", "y")}


def section_step(shape: Sequence[int]) -> int:
    """Distance of the voxels that are shown."""
    return -(-max(shape) // MAX_SIDE)


def middle_sections(volume: VolumeSource) -> dict[str, np.ndarray]:
    """Pores in the middle planes of a volume.

    Parameters
    ----------
    volume : VolumeSource
        The volume.

    Returns
    -------
    dict of str to ndarray of uint8
        ``section_z`` ``(y, x)``, ``section_y`` ``(z, x)`` and ``section_x`` ``(z, y)``: 1 in the pores; every
        :func:`section_step`-th voxel.
    """
    step = section_step(volume.shape)
    return {f"section_{axis}": volume.middle_section("zyx".index(axis), step).astype(np.uint8) for axis in AXES}


def sections_table(
    schema: TableSchema, arrays: Mapping[str, np.ndarray], shape: Sequence[int], edges_nm: Sequence[float]
) -> Dataset:
    """Table of the middle sections, with positions of the voxels in nm.

    Parameters
    ----------
    schema : TableSchema
        Its declaration.
    arrays : mapping of str to ndarray
        Of :func:`middle_sections`, among others.
    shape : sequence of int
        Shape of the volume.
    edges_nm : sequence of float
        Edges of a voxel along ``z, y, x``, nm.
    """
    values: dict[str, Any] = {f"section_{axis}": arrays[f"section_{axis}"] for axis in AXES}
    step = section_step(shape)
    labels = {axis: (np.arange(0, n, step) + 0.5) * edge for axis, n, edge in zip("zyx", shape, edges_nm, strict=True)}
    return Dataset(schema, values, (), labels)
