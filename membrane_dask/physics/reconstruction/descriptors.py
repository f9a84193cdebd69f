"""Two-point correlation and granulometry of a section, row by row of its depth.

A descriptor of any range of the depth is a weighted mean of those of its rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from membrane_dask.physics._jit import kernel
from membrane_dask.physics.elementary import geometric_sequence
from membrane_dask.physics.fixed_order import product
from membrane_dask.physics.imaging.digital_spheres import squared_radius
from membrane_dask.physics.imaging.morphology import pack_rows, packed_dilation

#: Smallest length of the shorter side of a micrograph, in half-correlation lengths.
_MIN_LENGTHS = 20


@dataclass(frozen=True)
class Descriptors:
    """Two-point function along each row, and openings of both phases, as fractions of the row.

    Parameters
    ----------
    two_point : (depth, n_lags) ndarray
        Fraction of the pairs of pixels at each lag that both lie in pores; at lag 0, the porosity.
    opened : (depth, 2, n_radii) ndarray
        Fraction of the pixels that an opening with a disc of each radius leaves of the pores (0) and the solid (1).
    used : (depth, n_lags) ndarray, optional
        Fraction of the pairs at each lag that are used, where pixels are left out; at lag 0, of the pixels.
    """

    two_point: np.ndarray
    opened: np.ndarray
    used: np.ndarray | None = None

    def mean(self, weights: np.ndarray) -> Descriptors:
        """Weighted means over the depth; ``weights`` is ``(n_windows, depth)``, and each of its rows sums to 1.

        Rows count by the pairs and pixels that are used.
        """
        opened = self.opened.reshape(len(self.opened), -1)
        if self.used is None:
            two_point, opened = product(weights, self.two_point), product(weights, opened)
        else:
            n_used = np.maximum(product(weights, self.used), 1e-12)
            two_point = product(weights, self.two_point * self.used) / n_used
            opened = product(weights, opened * self.used[:, :1]) / n_used[:, :1]
        return Descriptors(two_point, opened.reshape(len(weights), *self.opened.shape[1:]))

    def at(self, windows: np.ndarray) -> Descriptors:
        """Means over some of the windows, ``(n_windows,)`` bool."""
        return Descriptors(self.two_point[windows], self.opened[windows])

    @property
    def porosity(self) -> np.ndarray:
        """Pore fraction, the shape of ``two_point`` without its last axis."""
        return np.asarray(self.two_point[..., 0])

    @property
    def correlation(self) -> np.ndarray:
        """Autocovariance of the pores over their variance: 1 at lag 0, and 0 where there is only one phase."""
        phi = self.porosity[..., None]
        with np.errstate(invalid="ignore", divide="ignore"):
            correlation = (self.two_point - np.square(phi)) / (phi - np.square(phi))
        return np.asarray(np.nan_to_num(correlation, posinf=0.0, neginf=0.0))


@dataclass(frozen=True)
class DescriptorScales:
    """Lags of the two-point function and radii of the openings at which a micrograph is described, in pixels."""

    lags: np.ndarray
    radii: np.ndarray

    @classmethod
    def suited_to(cls, solid: np.ndarray, inside: np.ndarray | None = None) -> DescriptorScales:
        """Lags and radii that suit a segmented micrograph ``(depth, width)``, True in the solid.

        ``inside`` are the pixels that are used; default all.

        Raises
        ------
        ValueError
            If the micrograph is too small for its correlation length.
        """
        depth, width = solid.shape
        lags = np.arange(min(width // 2, 400))
        by_row = describe(solid, lags=lags, radii=np.array([1.0]), inside=inside)
        descriptors = by_row.mean(np.full((1, depth), 1 / depth))
        half = float(half_correlation_length(descriptors.correlation, lags)[0])
        if not half * _MIN_LENGTHS <= min(depth, width):
            count = f"{min(depth, width) / half:.0f}" if half > 0 else "less than 2"
            needed = f", here {math.ceil(half * _MIN_LENGTHS)} pixels" if half > 0 else ""
            raise ValueError(
                f"the image shows too few pores: its shorter side of {min(depth, width)} pixels is {count} correlation "
                f"lengths long, and at least {_MIN_LENGTHS} are needed{needed}; an image at a lower magnification "
                "shows more of them"
            )
        long_lags = geometric_sequence(12, max(13, 6 * half), 16).round()
        squares = np.square(geometric_sequence(1, max(2.0, 3 * half), 9))
        return cls(
            np.unique(np.concatenate([np.arange(12), long_lags])).astype(int), np.sqrt(np.unique(squares.round()))
        )

    def describe(self, solid: np.ndarray, inside: np.ndarray | None = None) -> Descriptors:
        """Descriptors of a section at these scales."""
        return describe(solid, lags=self.lags, radii=self.radii, inside=inside)


def average(descriptors: Sequence[Descriptors]) -> Descriptors:
    """Mean of the descriptors of several sections."""
    return Descriptors(
        np.mean([d.two_point for d in descriptors], axis=0), np.mean([d.opened for d in descriptors], axis=0)
    )


def describe(
    solid: np.ndarray, *, lags: np.ndarray, radii: np.ndarray, inside: np.ndarray | None = None
) -> Descriptors:
    """Compute the descriptors of a section.

    Parameters
    ----------
    solid : (depth, width) ndarray of bool
        Segmented section.
    lags : (n_lags,) ndarray of int
        Distances along the row in pixels, rising from 0, less than the width.
    radii : (n_radii,) ndarray
        Radii of the discs in pixels, rising, > 0; rounded down to whole squares.
    inside : (depth, width) ndarray of bool, optional
        Pixels that are used; default all.

    Returns
    -------
    Descriptors

    Notes
    -----
    Beyond the edges of the section, and in pixels that are not used, the phase that is opened is assumed to continue.
    """
    pores = np.ascontiguousarray(~solid)
    lags = np.asarray(lags, np.int64)
    n_pairs = pores.shape[1] - lags
    if inside is None:
        two_point = _count_pairs(pores.view(np.uint8), lags)
        two_point /= n_pairs
        return Descriptors(two_point, np.stack([_openings(phase, radii) for phase in (pores, ~pores)], axis=1))
    used = np.ascontiguousarray(inside)
    n_used = _count_pairs(used.view(np.uint8), lags)
    two_point = _count_pairs((pores & used).view(np.uint8), lags) / np.maximum(n_used, 1)
    opened = [_openings(phase & used, radii, used) for phase in (pores, ~pores)]
    return Descriptors(two_point, np.stack(opened, axis=1), n_used / n_pairs)


def half_correlation_length(correlation: np.ndarray, lags: np.ndarray) -> np.ndarray:
    """Lag at which the correlation falls to one half, interpolated linearly.

    Parameters
    ----------
    correlation : (..., n_lags) ndarray
        Of :attr:`Descriptors.correlation`.
    lags : (n_lags,) ndarray of int
        In pixels.

    Returns
    -------
    (...) ndarray
        In pixels; NaN where the correlation stays above one half.
    """
    below = np.argmax(correlation < 0.5, axis=-1)
    flat = correlation.reshape(-1, correlation.shape[-1])
    length = np.full(len(flat), np.nan)
    for i, k in enumerate(below.ravel()):
        if k > 0:
            a, b = flat[i, k - 1], flat[i, k]
            length[i] = lags[k - 1] + (a - 0.5) / (a - b) * (lags[k] - lags[k - 1])
    return length.reshape(below.shape)


def chord_lengths(phase: np.ndarray) -> np.ndarray:
    """Lengths, in pixels, of all chords of a phase along the last axis that do not end at the edges."""
    padded = np.zeros((*phase.shape[:-1], phase.shape[-1] + 2), np.int8)
    padded[..., 1:-1] = phase
    steps = np.diff(padded.reshape(-1, padded.shape[-1]), axis=-1)
    _, begin = np.nonzero(steps == 1)
    _, end = np.nonzero(steps == -1)
    inside = (begin > 0) & (end < phase.shape[-1])
    return np.asarray((end - begin)[inside])


@kernel
def _count_pairs(pores: Any, lags: Any) -> Any:
    """Number of pairs of pore pixels at each lag, by row."""
    counts = np.zeros((pores.shape[0], lags.size))
    n = pores.shape[1]
    for row in range(pores.shape[0]):
        for k in range(lags.size):
            first, second = pores[row, : n - lags[k]], pores[row, lags[k] :]
            count = 0
            for i in range(first.size):
                count += first[i] & second[i]
            counts[row, k] = count
    return counts


def _openings(phase: np.ndarray, radii: np.ndarray, used: np.ndarray | None = None) -> np.ndarray:
    """Fraction of the used pixels of each row that openings with discs of the radii leave, ``(depth, n_radii)``."""
    depth, width = phase.shape
    squares = [squared_radius(radius) for radius in radii]
    margin = math.isqrt(max(squares))  # bits spill over the end of a row by the radius
    bits = pack_rows(phase, width + margin)
    inside = pack_rows(np.ones_like(phase) if used is None else used, width + margin)
    n_used = width if used is None else np.maximum(used.sum(axis=1), 1)
    fraction = np.empty((depth, len(radii)))
    for k, square in enumerate(squares):
        eroded = inside & ~packed_dilation((inside & ~bits)[None], square)[0]
        opened = inside & packed_dilation(eroded[None], square)[0]
        fraction[:, k] = np.bitwise_count(opened).sum(axis=1) / n_used
    return fraction
