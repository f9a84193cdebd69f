"""Distributions of pore radii: normal as published, log-normal, and how flow and open area weigh them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np


@dataclass(frozen=True)
class NormalRadii:
    """Normal distribution of pore radii, as published (Palencia Eq. 25): part of it lies below 0.

    Parameters
    ----------
    mean, deviation : float
        m, > 0.
    """

    mean: float
    deviation: float

    def density(self, radius: np.ndarray) -> np.ndarray:
        """Share of pores for each radius, m-1."""
        apart = (np.asarray(radius) - self.mean) / self.deviation
        return np.exp(-(apart**2) / 2) / (math.sqrt(2 * math.pi) * self.deviation)

    @property
    def impossible(self) -> float:
        """Share of its pores that would have a radius below 0."""
        return 0.5 * math.erfc(self.mean / self.deviation / math.sqrt(2))


@dataclass(frozen=True)
class LogNormalRadii:
    """Log-normal distribution of pore radii.

    Parameters
    ----------
    median : float
        m, > 0.
    width : float
        Standard deviation of the logarithm, > 0.
    """

    median: float
    width: float

    @classmethod
    def of(cls, mean: float, deviation: float) -> LogNormalRadii:
        """The one of a mean and a standard deviation, m."""
        square = math.log1p((deviation / mean) ** 2)
        return cls(mean * math.exp(-square / 2), math.sqrt(square))

    @property
    def mean(self) -> float:
        """Mean radius, m."""
        return self.median * math.exp(self.width**2 / 2)

    @property
    def deviation(self) -> float:
        """Standard deviation of the radius, m."""
        return self.mean * math.sqrt(math.expm1(self.width**2))

    def density(self, radius: np.ndarray) -> np.ndarray:
        """Share of pores for each radius, m-1."""
        radius = np.asarray(radius, float)
        apart = np.log(radius / self.median) / self.width
        return np.exp(-(apart**2) / 2) / (math.sqrt(2 * math.pi) * self.width * radius)

    def weighted(self, by: Literal["flow", "area"]) -> LogNormalRadii:
        """How the flow (r^4) or the open area (r^2) is distributed over radii: log-normal again, and as wide."""
        power = {"flow": 4, "area": 2}[by]
        return LogNormalRadii(self.median * math.exp(power * self.width**2), self.width)

    @property
    def effective_radius(self) -> float:
        """Radius of equal pores of the same open area and the same flow, ``sqrt(<r^4> / <r^2>)``, m."""
        return self.median * math.exp(3 * self.width**2)


def weighted_normal(radii: tuple[float, float], numbers: tuple[float, float]) -> NormalRadii:
    """The published weighting by pore numbers (Palencia Sec. 3.5): mean and deviation of two radii with weights."""
    weight = np.array(numbers) / sum(numbers)
    mean = float(weight @ np.array(radii))
    return NormalRadii(mean, math.sqrt(float(weight @ (np.array(radii) - mean) ** 2)))
