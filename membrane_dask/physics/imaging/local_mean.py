"""Mean grey value around every voxel, from the means of cells, so that it is the same in every window."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

#: Width of the neighbourhood in cells, odd, and as a fraction of the slice: the default, as of micrographs, and least.
_CELLS, _FRACTION, MIN_FRACTION = 5, 1 / 8, 1 / 20


@dataclass(frozen=True, eq=False)
class LocalMean:
    """Mean grey value of the neighbourhood of a voxel.

    Parameters
    ----------
    means : (slices, cells, cells) ndarray of float32
        Means of the neighbourhoods around the middles of cells; linear between them.
    shape : tuple of int
        Rows and columns of a slice.
    """

    means: np.ndarray
    shape: tuple[int, int]

    def at(self, slices: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Means at voxels given by their indices along each axis ``(slices, rows, columns)``, float32."""
        means = self.means[slices]
        for axis, (index, n) in enumerate(zip((rows, columns), self.shape, strict=True), start=1):
            n_cells = means.shape[axis]
            position = ((index + 0.5) * (n_cells / n) - 0.5).clip(0, n_cells - 1)
            low = np.minimum(position.astype(int), max(0, n_cells - 2))
            weight = (position - low).astype(np.float32).reshape(-1, *[1] * (2 - axis))
            below, above = (means.take(np.minimum(low + k, n_cells - 1), axis) for k in range(2))
            means = below + weight * (above - below)
        return np.asarray(means)


def local_mean(slices: Iterable[np.ndarray], neighbourhood: str, window: int | None) -> LocalMean:
    """Mean grey values around the voxels of a volume.

    Parameters
    ----------
    slices : iterable of (rows, columns) ndarray
        Grey values, slice by slice.
    neighbourhood : {"slice", "block"}
        Voxels of the slice alone, or of as many slices as columns.
    window : int or None
        Width of the neighbourhood, voxels; default an eighth of the slice along each axis.

    Returns
    -------
    LocalMean

    Raises
    ------
    ValueError
        If the neighbourhood is narrower than a twentieth of the slice.
    """
    cells, shape = [], (0, 0)
    for image in slices:
        shape = (image.shape[0], image.shape[1])
        if window is not None and window < MIN_FRACTION * max(shape):
            raise ValueError(
                f"grey.window: must be at least {math.ceil(MIN_FRACTION * max(shape))} voxels for slices of "
                f"{shape[0]} x {shape[1]} (got {window})"
            )
        cells.append(_cell_means(image, window))
    means = np.array(cells)
    for axis in (1, 2):
        means = _moving_mean(means, axis, _CELLS // 2)
    if neighbourhood == "block":
        means = _moving_mean(means, 0, (window or max(1, round(_FRACTION * shape[1]))) // 2)
    return LocalMean(means.astype(np.float32), shape)


def _cell_means(image: np.ndarray, window: int | None) -> np.ndarray:
    """Means of cells, of which five are as wide as the neighbourhood."""
    sums, sizes = image.astype(np.float64), np.ones((1, 1))
    for axis in range(2):
        n = image.shape[axis]
        count = round(_CELLS * n / (window or _FRACTION * n))
        edges = np.round(np.linspace(0, n, min(n, max(1, count)) + 1)).astype(int)
        sums = np.add.reduceat(sums, edges[:-1], axis=axis)
        sizes = sizes * np.diff(edges).reshape([-1 if k == axis else 1 for k in range(2)])
    return np.asarray(sums / sizes)


def _moving_mean(values: np.ndarray, axis: int, reach: int) -> np.ndarray:
    """Mean of ``2 reach + 1`` values along an axis; values at the edges are repeated."""
    padding = [(reach, reach) if k == axis else (0, 0) for k in range(values.ndim)]
    padded = np.pad(values, padding, mode="edge")
    n = values.shape[axis]
    total = sum(padded.take(range(k, k + n), axis) for k in range(2 * reach + 1))
    return np.asarray(total / (2 * reach + 1))
