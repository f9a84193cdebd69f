"""Normal and log-normal distributions of the pore radius, by number, area and flow."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from membrane_dask.physics.distributions import normal_cdf
from membrane_dask.physics.elementary import exp, expm1, log, log1p


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
        return np.asarray(exp(-np.square(z) / 2) / (math.sqrt(2 * math.pi) * self.standard_deviation))

    @property
    def negative_fraction(self) -> float:
        """Probability of a radius below 0."""
        return float(normal_cdf(-self.mean / self.standard_deviation))


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
        variance = float(log1p(np.square(standard_deviation / mean)))
        return cls(mean * float(exp(-variance / 2)), math.sqrt(variance))

    @property
    def mean(self) -> float:
        """Mean radius, m."""
        return self.median * float(exp(np.square(self.log_standard_deviation) / 2))

    @property
    def standard_deviation(self) -> float:
        """Standard deviation of the radius, m."""
        return self.mean * math.sqrt(expm1(np.square(self.log_standard_deviation)))

    def density(self, radius: np.ndarray) -> np.ndarray:
        """Probability density at radii in m, m-1."""
        radius = np.asarray(radius, float)
        z = log(radius / self.median) / self.log_standard_deviation
        return np.asarray(exp(-np.square(z) / 2) / (math.sqrt(2 * math.pi) * self.log_standard_deviation * radius))

    def weighted(self, by: Literal["flow", "area"]) -> LogNormalRadii:
        """Distribution weighted by flow (r^4) or open area (r^2): log-normal, with the same log-standard deviation."""
        power = {"flow": 4, "area": 2}[by]
        return LogNormalRadii(
            self.median * float(exp(power * np.square(self.log_standard_deviation))), self.log_standard_deviation
        )

    @classmethod
    def from_flow_median(cls, flow_median: float, log_standard_deviation: float) -> LogNormalRadii:
        """The distribution by number whose distribution by flow has a median, m, and a log-standard deviation."""
        return cls(flow_median * float(exp(-4 * np.square(log_standard_deviation))), log_standard_deviation)

    def moment(self, order: float) -> float:
        """Mean of a power of the radius, ``<r^order>``, m^order."""
        size = order * log(self.median) + np.square(order * self.log_standard_deviation) / 2
        return float(exp(size))

    @property
    def flow_median(self) -> float:
        """Radius below which pores carry half of the flow, ``r_N exp(4 s^2)``, m."""
        return self.weighted("flow").median

    @property
    def gas_radius(self) -> float:
        """Radius of uniform pores with the same ratio of viscous to Knudsen flow, ``<r^4> / <r^3>``, m."""
        return self.median * float(exp(3.5 * np.square(self.log_standard_deviation)))

    @property
    def hydraulic_radius(self) -> float:
        """Radius of uniform pores with the same open area and permeability, ``sqrt(<r^4> / <r^2>)``, m."""
        return self.median * float(exp(3 * np.square(self.log_standard_deviation)))
