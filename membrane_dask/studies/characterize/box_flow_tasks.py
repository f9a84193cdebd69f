"""Units of the permeability of boxes of a volume, side by side and of several sizes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from membrane_dask.io.oriented_volumes import PoreVolume
from membrane_dask.physics.imaging.coarse_cells import cell_edges
from membrane_dask.physics.imaging.representative_volume import MIN_BOXES, box_edges, box_windows
from membrane_dask.physics.stokes.box_permeability import box_permeabilities
from membrane_dask.physics.voxel_spacing import Spacing
from membrane_dask.program import Unit
from membrane_dask.studies.characterize.box_statistics import BOXES, complete_cells
from membrane_dask.studies.input_volumes import read_pores
from membrane_dask.studies.volume_flow.flow_grid import refine
from membrane_dask.studies.volume_flow.flow_settings import FlowSettings

#: Fewest voxels along an edge of a box.
_MIN_EDGE = 16
#: Bytes per pore voxel of a box, and per voxel of the volume.
_BYTES_PORE, _BYTES_VOXEL = 150, 2


def flow_boxes(shape: Sequence[int], spacing: Spacing) -> Iterator[tuple[str, int, list[tuple[slice, ...]]]]:
    """Shape of the boxes, their edge in cells, and the voxels of each, for all sizes with enough boxes and voxels."""
    cell, cells = cell_edges(shape, spacing), complete_cells(tuple(shape), spacing)
    for box in BOXES:
        for edge in box_edges(cells):
            size = (cells[0] if box == "column" else edge, edge, edge)
            windows = box_windows(cells, size)
            voxels = min(n * edges for n, edges in zip(size, cell, strict=True))
            if len(windows) >= MIN_BOXES and voxels >= _MIN_EDGE:
                yield (
                    box,
                    edge,
                    [
                        tuple(slice(a.start * n, a.stop * n) for a, n in zip(window, cell, strict=True))
                        for window in windows
                    ],
                )


def box_flow_work(context: Mapping[str, Any], unit: Unit) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Permeabilities of the boxes of a volume along the depth.

    Returns
    -------
    arrays : dict of str to ndarray
        ``(n_boxes,)`` in nm2 by shape and edge in cells, such as ``cube-4``.
    feedback : dict
        Empty.

    Raises
    ------
    PhysicsError
        If a flow does not converge.
    """
    settings: FlowSettings = context["flow"]
    volume: PoreVolume = context["volumes"][unit.params["volume"]]
    refinement = settings.refinement
    cell_nm = float(volume.voxel_nm or math.nan) / refinement
    pores = refine(read_pores(volume), refinement)
    arrays = {}
    for box, edge, windows in flow_boxes(volume.shape, volume.spacing):
        cells = (tuple(slice(a.start * refinement, a.stop * refinement) for a in window) for window in windows)
        values = box_permeabilities(pores, cells, settings.lateral_boundary, settings.wall_model, volume.spacing)
        arrays[f"{box}-{edge}"] = values * (cell_nm * cell_nm)
    return arrays, {}


def box_flow_memory(settings: FlowSettings, shape: Sequence[int], porosity: float, spacing: Spacing) -> int:
    """Peak bytes of the unit, by the approximate porosity."""
    largest = max(
        (math.prod(a.stop - a.start for a in windows[0]) for _, _, windows in flow_boxes(shape, spacing)), default=0
    )
    cells = settings.refinement**3
    return int((_BYTES_PORE * porosity + _BYTES_VOXEL) * largest * cells + _BYTES_VOXEL * math.prod(shape) * cells)
