"""Normal and log-normal distributions of the pore radius, by number, area and flow."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np


@dataclass(frozen=True)
class NormalRadii:
    """Normal distribution of the pore radius, as published (Palencia Eq. 25); negative radii have a probability.

    Parameters
    ----------
    mean, standard_deviation : float
        m, > 0.
    """

    mean: float
    standard_deviation: float

    def density(self, radius: np.ndarray) -> np.ndarray:
        """Probability density at radii in m, m-1."""
        z = (np.asarray(radius) - self.mean) / self.standard_deviation
        return np.asarray(np.exp(-(z**2) / 2) / (math.sqrt(2 * math.pi) * self.standard_deviation))

    @property
    def negative_fraction(self) -> float:
        """Probability of a radius below 0."""
        return 0.5 * math.erfc(self.mean / self.standard_deviation / math.sqrt(2))


@dataclass(frozen=True)
class LogNormalRadii:
    """Log-normal distribution of the pore radius, by number.

    Parameters
    ----------
    median : float
        m, > 0.
    log_standard_deviation : float
        Standard deviation of the logarithm, > 0.
    """

    median: float
    log_standard_deviation: float

    @classmethod
    def from_moments(cls, mean: float, standard_deviation: float) -> LogNormalRadii:
        """The distribution with a mean and a standard deviation, m."""
        variance = math.log1p((standard_deviation / mean) ** 2)
        return cls(mean * math.exp(-variance / 2), math.sqrt(variance))

    @property
    def mean(self) -> float:
        """Mean radius, m."""
        return self.median * math.exp(self.log_standard_deviation**2 / 2)

    @property
    def standard_deviation(self) -> float:
        """Standard deviation of the radius, m."""
        return self.mean * math.sqrt(math.expm1(self.log_standard_deviation**2))

    def density(self, radius: np.ndarray) -> np.ndarray:
        """Probability density at radii in m, m-1."""
        radius = np.asarray(radius, float)
        z = np.log(radius / self.median) / self.log_standard_deviation
        return np.asarray(np.exp(-(z**2) / 2) / (math.sqrt(2 * math.pi) * self.log_standard_deviation * radius))

    def weighted(self, by: Literal["flow", "area"]) -> LogNormalRadii:
        """Distribution weighted by flow (r^4) or open area (r^2): log-normal, with the same log-standard deviation."""
        power = {"flow": 4, "area": 2}[by]
        return LogNormalRadii(
            self.median * math.exp(power * self.log_standard_deviation**2), self.log_standard_deviation
        )

    @property
    def hydraulic_radius(self) -> float:
        """Radius of uniform pores with the same open area and permeability, ``sqrt(<r^4> / <r^2>)``, m."""
        return self.median * math.exp(3 * self.log_standard_deviation**2)
