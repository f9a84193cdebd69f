"""Wall area of the pores of a volume as a deposit grows on their walls, layer by layer, from distances to the solid.

Lengths are in edges of a voxel.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from membrane_dask.physics._jit import Integer, inline_kernel, kernel

#: Thicknesses of the deposit at which the wall area is tabulated, per edge of a voxel; linear between them.
LAYERS_PER_VOXEL = 8


class WallLayers(NamedTuple):
    """Wall area of every pore, and volume of its deposit, by the thickness of the deposit.

    The values of pore ``i`` are those from ``first[i]`` to ``first[i + 1]``, at the thicknesses 0, 1/8, 2/8, ...; the
    last area is 0. The volume is the exact integral of the area.

    Attributes
    ----------
    first : (n + 1,) ndarray of int64
        First value of each pore.
    area : ndarray
        Wall area, voxels squared.
    volume : ndarray
        Volume of the deposit, voxels.
    """

    first: np.ndarray
    area: np.ndarray
    volume: np.ndarray

    @property
    def capacity(self) -> np.ndarray:
        """Volume of the deposit that fills each pore, ``(n,)`` in voxels."""
        return np.asarray(self.volume[self.first[1:] - 1])

    @property
    def clean_area(self) -> np.ndarray:
        """Wall area of the clean pores, ``(n,)`` in voxels squared."""
        return np.asarray(self.area[self.first[:-1]])


def wall_layers(labels: np.ndarray, squares: np.ndarray, surface_area: np.ndarray) -> WallLayers:
    """Tabulate the wall areas of the pores of a volume.

    Parameters
    ----------
    labels : (z, y, x) ndarray of int
        Pore of every voxel, -1 for none. Voxels are cubes.
    squares : (z, y, x) ndarray
        Squared distance of every voxel's centre to the nearest solid voxel's.
    surface_area : (n,) ndarray
        Area of the clean walls of every pore, voxels squared.

    Returns
    -------
    WallLayers

    Notes
    -----
    The wall area under a deposit of thickness ``t`` is that of the clean walls times ``n(t) / n(0)``. Of a voxel at the
    distance ``d``, ``n(t)`` counts the part of the layer between ``t`` and ``t + 1`` that lies between ``d - 1`` and
    ``d``.
    """
    inside = labels >= 0
    label, distance = labels[inside].astype(np.int64), np.sqrt(squares[inside].astype(np.float64))
    largest = np.zeros(len(surface_area))
    np.maximum.at(largest, label, distance)
    knots = np.floor(largest * LAYERS_PER_VOXEL).astype(np.int64) + 2
    first = np.concatenate([[0], np.cumsum(knots)])
    count = _layer_counts(label, distance, first)
    clean = count[first[:-1]]
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.where(clean > 0, surface_area / clean, 0.0)
    area = count * np.repeat(scale, knots)
    return WallLayers(first, area, _integrals(first, area))


@kernel
def _layer_counts(label: np.ndarray, distance: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Sum of the parts of the voxels of every pore in the layer at every tabulated thickness."""
    count = np.zeros(first[-1])
    for v in range(label.size):
        low, high = first[label[v]], first[label[v] + 1]
        middle = distance[v] - 1.0
        k = max(0, int((middle - 1.0) * LAYERS_PER_VOXEL))
        while low + k < high:
            overlap = 1.0 - abs(k / LAYERS_PER_VOXEL - middle)
            if overlap > 0.0:
                count[low + k] += overlap
            elif k / LAYERS_PER_VOXEL > middle:
                break
            k += 1
    for i in range(first.size - 1):
        count[first[i + 1] - 1] = 0.0
    return count


@kernel
def _integrals(first: np.ndarray, area: np.ndarray) -> np.ndarray:
    """Integral of the area over the thickness, linear between the tabulated ones."""
    volume = np.zeros(area.size)
    for i in range(first.size - 1):
        for k in range(first[i] + 1, first[i + 1]):
            volume[k] = volume[k - 1] + 0.5 * (area[k - 1] + area[k]) / LAYERS_PER_VOXEL
    return volume


@inline_kernel
def _knot_below(layers: WallLayers, i: Integer, volume: float) -> int:
    """Last tabulated value of a pore, but the very last, whose volume is not larger."""
    low, high = int(layers.first[i]), int(layers.first[i + 1]) - 2
    while low < high:
        middle = (low + high + 1) // 2
        if layers.volume[middle] <= volume:
            low = middle
        else:
            high = middle - 1
    return low


@kernel
def thickness_and_area(layers: WallLayers, volume: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Thickness of the deposit and wall area of every pore.

    Parameters
    ----------
    layers : WallLayers
    volume : (n,) ndarray
        Volume of the deposit of every pore, voxels.

    Returns
    -------
    thickness : (n,) ndarray
        In voxels.
    area : (n,) ndarray
        In voxels squared; 0 in a pore that the deposit fills.
    """
    thickness, area = np.zeros(volume.size), np.zeros(volume.size)
    for i in range(volume.size):
        k = _knot_below(layers, i, volume[i])
        below, slope = layers.area[k], (layers.area[k + 1] - layers.area[k]) * LAYERS_PER_VOXEL
        if volume[i] >= layers.volume[layers.first[i + 1] - 1]:
            thickness[i] = (layers.first[i + 1] - 1 - layers.first[i]) / LAYERS_PER_VOXEL
            continue
        excess = volume[i] - layers.volume[k]
        root = np.sqrt(max(below * below + 2.0 * slope * excess, 0.0))
        step = 2.0 * excess / (below + root) if below + root > 0.0 else 0.0
        thickness[i] = (k - layers.first[i]) / LAYERS_PER_VOXEL + step
        area[i] = root
    return thickness, area
