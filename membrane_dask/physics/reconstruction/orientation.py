"""Which side of a section has the finer pores: a membrane that is finer below may be upside down."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from membrane_dask.physics.elementary import geometric_sequence
from membrane_dask.physics.reconstruction.descriptors import half_correlation_length

#: Blocks of columns, each of which is left out once, for the standard error.
_BLOCKS = 8
#: Lags between which the correlation is interpolated; one pixel apart as long as they are short.
_LAGS = 60
#: Difference of the half-correlation lengths of both sides, in standard errors, that counts.
_DEVIATIONS = 3.0


@dataclass(frozen=True)
class SideLengths:
    """Half-correlation lengths of the upper and the lower quarter of a section, in pixels.

    Parameters
    ----------
    upper, lower : float
        Lag along the rows at which the correlation falls to one half; NaN where it does not.
    upper_error, lower_error : float
        Their standard errors.
    """

    upper: float
    upper_error: float
    lower: float
    lower_error: float

    @property
    def is_finer_below(self) -> bool:
        """Whether the lower quarter is finer by more than 3 standard errors."""
        return self.upper - self.lower > _DEVIATIONS * math.sqrt(
            self.upper_error * self.upper_error + self.lower_error * self.lower_error
        )


def side_lengths(solid: np.ndarray, mask: np.ndarray | None = None) -> SideLengths:
    """Half-correlation lengths of the upper and the lower quarter.

    Parameters
    ----------
    solid : (depth, width) ndarray of bool
        Segmented section, True in the solid.
    mask : (depth, width) ndarray of bool, optional
        Pixels that are used; default all.

    Returns
    -------
    SideLengths
        Standard errors by the jackknife over eight blocks of columns.
    """
    quarter = max(1, len(solid) // 4)
    used = np.ones(solid.shape, bool) if mask is None else mask
    return SideLengths(
        *_half_length(solid[:quarter], used[:quarter]), *_half_length(solid[-quarter:], used[-quarter:])
    )  # fmt: skip


def _half_length(solid: np.ndarray, used: np.ndarray) -> tuple[float, float]:
    """Half-correlation length and its standard error."""
    width = solid.shape[1]
    edges = np.linspace(0, width, _BLOCKS + 1).astype(int)
    lags = np.unique(geometric_sequence(1, max(2, width // _BLOCKS), _LAGS).round().astype(int)) - 1
    pores = ~solid & used
    pairs, counts = np.empty((2, _BLOCKS, len(lags)))  # of pores, and of pixels that are used, at each lag
    for block, (begin, end) in enumerate(pairwise(edges.tolist())):
        for k, lag in enumerate(lags.tolist()):
            left, right = slice(begin, end - lag), slice(begin + lag, end)
            pairs[block, k] = (pores[:, left] & pores[:, right]).sum()
            counts[block, k] = (used[:, left] & used[:, right]).sum()

    def length(blocks: np.ndarray) -> float:
        total = counts[blocks].sum(axis=0)
        if not total.min() > 0:
            return math.nan
        product = pairs[blocks].sum(axis=0) / total
        porosity = product[0]
        variance = porosity * (1 - porosity)
        if not variance > 0:
            return math.nan
        return float(half_correlation_length(((product - porosity * porosity) / variance)[None], lags)[0])

    everything = np.arange(_BLOCKS)
    without = np.array([length(np.delete(everything, block)) for block in everything])
    spread = np.square(without - without.mean()).sum() * (_BLOCKS - 1) / _BLOCKS
    return length(everything), math.sqrt(spread) if np.isfinite(spread) else math.nan
