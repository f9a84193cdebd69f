"""Tables of the scatter between the planes of a volume and between boxes of it."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from membrane_dask.physics.imaging.coarse_cells import cell_edge, cell_volumes
from membrane_dask.physics.imaging.representative_volume import box_edges, box_statistics

#: Shapes of the boxes.
BOXES = ("cube", "column")


def complete_cells(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Number of cells along each axis that lie in the volume as a whole."""
    edge = cell_edge(shape)
    return tuple(n // edge for n in shape)


def edges_of_boxes(shape: tuple[int, ...]) -> list[int]:
    """Edges of the boxes of a volume, in voxels."""
    return [cell_edge(shape) * edge for edge in box_edges(complete_cells(shape))]


def box_table(network: Mapping[str, np.ndarray], shape: tuple[int, ...], voxel: float) -> dict[str, np.ndarray]:
    """Variables of the table ``representative_volume``.

    Parameters
    ----------
    network : mapping of str to ndarray
        Arrays of the unit of the network.
    shape : tuple of int
        Shape of the volume.
    voxel : float
        Edge of a voxel, nm.
    """
    cell, cells = cell_edge(shape), complete_cells(shape)
    window = tuple(slice(0, n) for n in cells)
    pores, radii = (network[name][window].astype(np.int64) for name in ("cell_pores", "cell_radii"))
    voxels = np.full(cells, cell * cell * cell, np.int64)
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
            for field in ("mean", "low", "high", "deviation"):
                row[f"{name}_{field}"] = unit * getattr(statistics, field)
            row[f"representative_edge_{name}"] = statistics.representative_edge * cell * voxel
        for variable, array in row.items():
            values.setdefault(variable, []).append(np.asarray(array))
    return {name: np.stack(rows) for name, rows in values.items()}


def plane_table(network: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Variables of the table ``planes``."""
    size = math.prod(shape)
    y, x = (network[f"plane_pores_{axis}"] / (size / n) for axis, n in zip("yx", shape[1:], strict=True))
    deviations = [np.sqrt(np.square(p - p.mean()).sum() / (len(p) - 1)) for p in (network["profile"][:, 0], y, x)]
    return {"porosity_y": y, "porosity_x": x, "porosity_deviation": np.array(deviations)}


def local_porosity(network: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """Fraction of every cell in pores, ``(z, y, x)`` float32; cells at the ends may be incomplete."""
    return np.asarray(network["cell_pores"] / cell_volumes(shape, cell_edge(shape)), np.float32)
