"""What is measured of a section, row by row of its depth: any part of the depth is a mean of its rows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from membrane_dask.physics._jit import kernel
from membrane_dask.physics.imaging.filters import dilated, pack_rows


@dataclass(frozen=True)
class Descriptors:
    """Row by row, the two-point function along the row and openings of both phases, each a share of the row.

    Parameters
    ----------
    two_point : (depth, n_lags) ndarray
        Share of the pairs of pixels at each lag that both lie in pores; at lag 0, the porosity.
    opened : (depth, 2, n_radii) ndarray
        Share of the pixels in discs of each radius that fit into the pores (0) or the solid (1).
    """

    two_point: np.ndarray
    opened: np.ndarray

    def mean(self, weights: np.ndarray) -> Descriptors:
        """Weighted means over the depth: ``weights`` is ``(n_windows, depth)``, each row of sum 1."""
        return Descriptors(weights @ self.two_point, np.tensordot(weights, self.opened, axes=1))

    @property
    def porosity(self) -> np.ndarray:
        """Share of pores."""
        return self.two_point[..., 0]

    @property
    def correlation(self) -> np.ndarray:
        """Two-point function less the square of the porosity, 1 at lag 0; 0 where there is one phase only."""
        phi = self.porosity[..., None]
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.nan_to_num((self.two_point - phi**2) / (phi - phi**2))


def average(found: list[Descriptors]) -> Descriptors:
    """Mean of the descriptors of several sections."""
    return Descriptors(np.mean([d.two_point for d in found], axis=0), np.mean([d.opened for d in found], axis=0))


def describe(solid: np.ndarray, *, lags: np.ndarray, radii: np.ndarray) -> Descriptors:
    """Measure a section.

    Parameters
    ----------
    solid : (depth, width) ndarray of bool
        Segmented section.
    lags : (n_lags,) ndarray of int
        Distances along the row in pixels, rising from 0, less than the width.
    radii : (n_radii,) ndarray
        Radii of the discs in pixels, rising, > 0; only their squares' whole parts count.

    Returns
    -------
    Descriptors

    Notes
    -----
    A disc may lie partly outside the section: what is there is taken for the phase that is opened.
    """
    pores = np.ascontiguousarray(~solid)
    two_point = _pairs(pores.view(np.uint8), np.asarray(lags, np.int64))
    two_point /= pores.shape[1] - np.asarray(lags)
    opened = np.stack([_openings(phase, radii) for phase in (pores, ~pores)], axis=1)
    return Descriptors(two_point, opened)


def half_correlation_length(correlation: np.ndarray, lags: np.ndarray) -> np.ndarray:
    """Lag at which the correlation has fallen to a half, linear between lags; NaN if it has not, shape ``(...)``."""
    below = np.argmax(correlation < 0.5, axis=-1)
    flat = correlation.reshape(-1, correlation.shape[-1])
    found = np.full(len(flat), np.nan)
    for i, k in enumerate(below.ravel()):
        if k > 0:
            a, b = flat[i, k - 1], flat[i, k]
            found[i] = lags[k - 1] + (a - 0.5) / (a - b) * (lags[k] - lags[k - 1])
    return found.reshape(below.shape)


def chord_lengths(phase: np.ndarray) -> np.ndarray:
    """Lengths, in pixels, of all chords along the last axis that do not touch the edges."""
    padded = np.zeros((*phase.shape[:-1], phase.shape[-1] + 2), np.int8)
    padded[..., 1:-1] = phase
    steps = np.diff(padded.reshape(-1, padded.shape[-1]), axis=-1)
    _, begin = np.nonzero(steps == 1)
    _, end = np.nonzero(steps == -1)
    inside = (begin > 0) & (end < phase.shape[-1])
    return np.asarray((end - begin)[inside])


@kernel
def _pairs(pores, lags):
    """Number of pairs in pores at each lag, by row."""
    found = np.zeros((pores.shape[0], lags.size))
    n = pores.shape[1]
    for row in range(pores.shape[0]):
        for k in range(lags.size):
            here, there = pores[row, : n - lags[k]], pores[row, lags[k] :]
            count = 0
            for i in range(here.size):
                count += here[i] & there[i]
            found[row, k] = count
    return found


def _openings(phase: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Share of each row left by openings with discs of the radii, ``(depth, n_radii)``."""
    depth, width = phase.shape
    squares = [math.floor(radius**2 + 1e-9) for radius in radii]
    margin = math.isqrt(max(squares))  # room for what spills over the end of a row
    bits = pack_rows(phase, width + margin)
    inside = pack_rows(np.ones_like(phase), width + margin)
    left = np.empty((depth, len(radii)))
    for k, square in enumerate(squares):
        eroded = inside & ~dilated((inside & ~bits)[None], square)[0]
        opened = inside & dilated(eroded[None], square)[0]
        left[:, k] = np.bitwise_count(opened).sum(axis=1) / width
    return left
