"""A number with the ends of its interval."""

from __future__ import annotations

import math
from dataclasses import dataclass

from membrane_dask.physics.elementary import exp

#: Half-width of the 95 % interval of a normal variable, in standard deviations.
NORMAL_QUANTILE = 1.959963984540054


@dataclass(frozen=True)
class Estimate:
    """A number that data determine, with its interval.

    Parameters
    ----------
    value : float
        NaN where the data do not determine it.
    low, high : float
        Ends of its interval; infinite at an open end, NaN where the error is not known.
    """

    value: float = math.nan
    low: float = math.nan
    high: float = math.nan

    def scaled(self, factor: float) -> Estimate:
        """The number in another unit, or its product with a positive factor."""
        return Estimate(self.value * factor, self.low * factor, self.high * factor)

    def reciprocal(self, numerator: float = 1.0) -> Estimate:
        """The interval of ``numerator / x``; an end at 0 becomes infinite."""
        low, high = (numerator / end if end else math.inf for end in (self.high, self.low))
        return Estimate(numerator / self.value if self.value else math.nan, low, high)

    def widened(self, relative_error: float) -> Estimate:
        """The 95 % interval with one more relative standard deviation, by which both ends move outwards."""
        factor = float(exp(NORMAL_QUANTILE * relative_error))
        return Estimate(self.value, self.low / factor, self.high * factor)
