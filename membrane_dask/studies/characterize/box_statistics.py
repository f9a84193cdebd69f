"""Tables of the scatter between the planes of a volume and between boxes of it."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from membrane_dask.physics.imaging.coarse_cells import cell_edges, cell_length, cell_volumes
from membrane_dask.physics.imaging.representative_volume import (
    BoxStatistics,
    box_edges,
    box_statistics,
    statistics_of_boxes,
)
from membrane_dask.physics.voxel_spacing import CUBE, Spacing

#: Shapes of the boxes.
BOXES = ("cube", "column")


def complete_cells(shape: tuple[int, ...], spacing: Spacing = CUBE) -> tuple[int, ...]:
    """Number of cells along each axis that lie in the volume as a whole."""
    return tuple(n // edge for n, edge in zip(shape, cell_edges(shape, spacing), strict=True))


def edges_of_boxes(shape: tuple[int, ...], spacing: Spacing = CUBE) -> list[float]:
    """Edges of the boxes of a volume, in shortest edges of a voxel."""
    length = cell_length(cell_edges(shape, spacing), spacing)
    return [length * edge for edge in box_edges(complete_cells(shape, spacing))]


def box_table(
    network: Mapping[str, np.ndarray],
    permeabilities: Mapping[str, np.ndarray],
    shape: tuple[int, ...],
    voxel: float,
    spacing: Spacing = CUBE,
) -> dict[str, np.ndarray]:
    """Variables of the table ``representative_volume``.

    Parameters
    ----------
    network : mapping of str to ndarray
        Arrays of the unit of the network.
    permeabilities : mapping of str to ndarray
        Arrays of the unit of the flows through boxes, in nm2; empty if they were not computed.
    shape : tuple of int
        Shape of the volume.
    voxel : float
        Shortest edge of a voxel, nm.
    spacing : tuple of float
        Edges of a voxel along ``z, y, x``, over the shortest one.
    """
    cell, cells = cell_edges(shape, spacing), complete_cells(shape, spacing)
    length = cell_length(cell, spacing)
    window = tuple(slice(0, n) for n in cells)
    pores, radii = (network[name][window].astype(np.int64) for name in ("cell_pores", "cell_radii"))
    voxels = np.full(cells, math.prod(cell), np.int64)
    edges = box_edges(cells)
    values: dict[str, list[np.ndarray]] = {}
    for columns in (False, True):
        row: dict[str, object] = {}
        for name, numerator, denominator, unit in (
            ("porosity", pores, voxels, 1.0),
            ("pore_radius", radii, pores, voxel / 4.0),
        ):
            statistics, n_boxes = box_statistics(numerator, denominator, edges, columns=columns)
            row.setdefault("n_boxes", n_boxes)
            row |= _variables(name, statistics, unit, length * voxel)
        if permeabilities:
            sizes = [permeabilities.get(f"{BOXES[columns]}-{edge}", np.empty(0)) for edge in edges]
            sizes = [values[np.isfinite(values)] for values in sizes]
            statistics, _ = statistics_of_boxes(sizes, edges, columns=columns)
            row |= _variables("permeability_mobility_estimate", statistics, 1e-18, length * voxel)
        for variable, array in row.items():
            values.setdefault(variable, []).append(np.asarray(array))
    return {name: np.stack(rows) for name, rows in values.items()}


def _variables(name: str, statistics: BoxStatistics, unit: float, cell_nm: float) -> dict[str, object]:
    """Variables of one property for boxes of one shape."""
    fields = {f"{name}_{field}": unit * getattr(statistics, field) for field in ("mean", "low", "high", "deviation")}
    return {**fields, f"representative_edge_{name}": statistics.representative_edge * cell_nm}


def plane_table(network: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Variables of the table ``planes``."""
    size = math.prod(shape)
    y, x = (network[f"plane_pores_{axis}"] / (size / n) for axis, n in zip("yx", shape[1:], strict=True))
    deviations = [np.sqrt(np.square(p - p.mean()).sum() / (len(p) - 1)) for p in (network["profile"][:, 0], y, x)]
    return {"porosity_y": y, "porosity_x": x, "porosity_deviation": np.array(deviations)}


def local_porosity(network: Mapping[str, np.ndarray], shape: tuple[int, ...], spacing: Spacing = CUBE) -> np.ndarray:
    """Fraction of every cell in pores, ``(z, y, x)`` float32; cells at the ends may be incomplete."""
    return np.asarray(network["cell_pores"] / cell_volumes(shape, cell_edges(shape, spacing)), np.float32)
