"""Which side of a section has the finer pores: a membrane that is finer below may be upside down."""

from __future__ import annotations

import math
from dataclasses import dataclass

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


def side_lengths(solid: np.ndarray) -> SideLengths:
    """Half-correlation lengths of the upper and the lower quarter.

    Parameters
    ----------
    solid : (depth, width) ndarray of bool
        Segmented section, True in the solid.

    Returns
    -------
    SideLengths
        Standard errors by the jackknife over eight blocks of columns.
    """
    quarter = max(1, len(solid) // 4)
    return SideLengths(*_half_length(solid[:quarter]), *_half_length(solid[-quarter:]))


def _half_length(solid: np.ndarray) -> tuple[float, float]:
    """Half-correlation length and its standard error."""
    pores = (~solid).astype(np.float64)
    edges = np.linspace(0, pores.shape[1], _BLOCKS + 1).astype(int)
    lags = np.unique(geometric_sequence(1, max(2, pores.shape[1] // _BLOCKS), _LAGS).round().astype(int)) - 1
    sums = np.empty((_BLOCKS, len(lags) + 1))  # products at each lag, and pores, of every block
    for block in range(_BLOCKS):
        columns = pores[:, edges[block] : edges[block + 1]]
        sums[block, :-1] = [(columns[:, : columns.shape[1] - lag] * columns[:, lag:]).mean() for lag in lags]
        sums[block, -1] = columns.mean()

    def length(blocks: np.ndarray) -> float:
        mean = sums[blocks].mean(axis=0)
        variance = mean[-1] * (1 - mean[-1])
        if not variance > 0:
            return math.nan
        return float(half_correlation_length((mean[None, :-1] - np.square(mean[-1])) / variance, lags)[0])

    everything = np.arange(_BLOCKS)
    without = np.array([length(np.delete(everything, block)) for block in everything])
    spread = np.square(without - without.mean()).sum() * (_BLOCKS - 1) / _BLOCKS
    return length(everything), math.sqrt(spread) if np.isfinite(spread) else math.nan
