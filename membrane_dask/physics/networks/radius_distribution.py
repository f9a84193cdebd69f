"""Distribution of pore radii within a band: a random factor of mean 1 for every pore."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from membrane_dask.physics._jit import inline_kernel
from membrane_dask.physics.distributions import normal_cdf
from membrane_dask.physics.elementary import cosine_of_turns, exp, exponential, log1p, logarithm

#: The normal distribution is truncated at this many standard deviations, which leaves this standard deviation.
_TRUNCATION, _TRUNCATED_DEVIATION = 3, 0.9865783925581086


@dataclass(frozen=True)
class RadiusSpread:
    """Variation of pore radii within a band: each radius is that of the band times a random factor of mean 1.

    Parameters
    ----------
    distribution : {"normal", "lognormal", "uniform"}
        Distribution of the factor. The normal distribution, and that of the logarithm of a lognormal factor, are
        truncated at three standard deviations.
    deviation : float
        Standard deviation of the factor, >= 0. With 0 all pores of a band have the same radius.

    Raises
    ------
    ValueError
        If the distribution is unknown, or the smallest factor is not positive.
    """

    distribution: Literal["normal", "lognormal", "uniform"] = "normal"
    deviation: float = 0.0

    def __post_init__(self) -> None:
        if self.distribution not in ("normal", "lognormal", "uniform"):
            raise ValueError(f"distribution: must be normal, lognormal or uniform (got {self.distribution!r})")
        if not (self.deviation >= 0 and self.range[0] > 0):
            raise ValueError(
                f"deviation: must be at least 0, and so small that every radius is positive (got {self.deviation})"
            )

    @property
    def _log_deviation(self) -> float:
        return math.sqrt(log1p(np.square(self.deviation)))

    def _log_moment(self, power: int) -> float:
        """Return the mean of ``exp(power * s * x)`` for a truncated standard normal variable ``x``."""
        shift = power * self._log_deviation
        inside = normal_cdf(3 - shift) - normal_cdf(-3 - shift)
        return float(exp(shift * shift / 2) * inside / (2 * normal_cdf(3.0) - 1))

    @property
    def scale_and_slope(self) -> tuple[float, float]:
        """Coefficients of the factor: ``scale * exp(slope * x)`` if lognormal, ``1 + slope * x`` otherwise."""
        if self.distribution == "lognormal":
            return 1 / self._log_moment(1), self._log_deviation
        return 1.0, self.deviation * (math.sqrt(3) if self.distribution == "uniform" else 1 / _TRUNCATED_DEVIATION)

    @property
    def code_scale_slope(self) -> tuple[int, float, float]:
        """Code of the distribution and coefficients of the factor, for :func:`spread_factor`."""
        if self.deviation == 0:
            return 0, 1.0, 0.0
        return (1 + ("normal", "lognormal", "uniform").index(self.distribution), *self.scale_and_slope)

    @property
    def range(self) -> tuple[float, float]:
        """Smallest and largest factor."""
        scale, slope = self.scale_and_slope
        if self.distribution == "lognormal":
            return scale * exp(-_TRUNCATION * slope), scale * exp(_TRUNCATION * slope)
        reach = slope * (1 if self.distribution == "uniform" else _TRUNCATION)
        return 1 - reach, 1 + reach

    @property
    def mean_square(self) -> float:
        """Mean square of the factor, by which the spread increases the porosity."""
        if self.distribution == "lognormal":
            return self._log_moment(2) / self._log_moment(1) / self._log_moment(1)
        return 1 + self.deviation * self.deviation


EQUAL_RADII = RadiusSpread()

#: Parameters of :func:`pore_radius`: code of the distribution (0: no spread), scale, slope, and key of the hash.
SpreadParameters = tuple[int, float, float, int]
NO_SPREAD: SpreadParameters = (0, 1.0, 0.0, 0)


def spread_parameters(spread: RadiusSpread, rng: np.random.Generator) -> SpreadParameters:
    """Return the parameters of :func:`pore_radius`, with a key that is drawn from ``rng``."""
    if spread.deviation == 0:
        return NO_SPREAD
    return (*spread.code_scale_slope, int(rng.integers(1 << 63)))


@inline_kernel
def mix(z: np.uint64) -> np.uint64:
    """Mix the bits of a number (finalizer of SplitMix64: Steele, Lea & Flood, OOPSLA 2014)."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@inline_kernel
def spread_factor(bits: np.uint64, code: int, scale: float, slope: float) -> float:
    """Return a random factor of mean 1 from random bits: normal (code 1), lognormal (2), uniform (3), or 1 (0)."""
    if code == 0:
        return 1.0
    while True:
        bits = mix(bits + np.uint64(0x9E3779B97F4A7C15))
        u = (np.float64(bits >> np.uint64(32)) + 0.5) * 2.0**-32
        v = (np.float64(bits & np.uint64(0xFFFFFFFF)) + 0.5) * 2.0**-32
        if code == 3:
            return float(1.0 + slope * (2.0 * u - 1.0))
        x = np.sqrt(-2.0 * logarithm(u)) * cosine_of_turns(v)
        if abs(x) <= 3.0:
            factor: float = scale * exponential(slope * x) if code == 2 else 1.0 + slope * x
            return factor


@inline_kernel
def pore_radius(band_radius: float, a: int, b: int, parameters: SpreadParameters) -> float:
    """Return the radius of the pore between points ``a`` and ``b``.

    The random factor is a hash of the two indices and the key, so that a pore keeps its radius when junctions are
    added or removed elsewhere.
    """
    code, scale, slope, key = parameters
    if code == 0:
        return band_radius
    bits = mix(mix(np.uint64(key) ^ np.uint64(min(a, b))) + np.uint64(max(a, b)))
    return band_radius * spread_factor(bits, code, scale, slope)
