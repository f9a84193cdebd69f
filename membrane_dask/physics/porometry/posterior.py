"""What a permeability says of radius, porosity, pore number and thickness: two relations for four unknowns.

``L = eps r^2 / (8 mu y)`` and ``eps = n pi r^2 / A`` are linear in the logarithms. Two further independent data close
them, any two of the four; with fewer, a ridge is left, along which ``eps r^2 / y`` is known and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import ndtri
from scipy.stats import qmc
from scipy.stats import t as student

from membrane_dask.physics.networks.pore_network import PhysicsError
from membrane_dask.physics.porometry.pore_estimates import check_viscosity, largest_thickness

#: The four unknowns, in the order of all arrays.
QUANTITIES = ("radius", "porosity", "pore_number", "thickness")
#: Points of the quadrature: a power of 2, as Sobol's sequence wants.
_POINTS = 2**15
#: With fewer effective points than this the answer would be noise.
_LEAST = 200
#: Truths that are supposed in turn, to see what a further measurement would tell.
_SUPPOSED = 32
#: Points that are enough for that.
_FEWER = 4096


@dataclass(frozen=True)
class Known:
    """What is known of one quantity apart from the flux.

    Parameters
    ----------
    kind : {"exact", "normal", "loguniform", "uniform"}
        A value; a value with a standard deviation; or a range within which its logarithm, or itself, may be
        anything.
    first, second : float
        Value and standard deviation, or the ends of the range; SI units.
    """

    kind: Literal["exact", "normal", "loguniform", "uniform"]
    first: float
    second: float = 0.0

    @property
    def width(self) -> float:
        """About how wide it is, in the logarithm."""
        if self.kind == "exact":
            return 0.0
        if self.kind == "normal":
            return 4 * self.second / self.first
        return math.log(self.second / max(self.first, 1e-300))

    def quantile(self, share: np.ndarray) -> np.ndarray:
        """Logarithms of values at shares of the probability."""
        if self.kind == "exact":
            return np.full_like(share, math.log(self.first))
        if self.kind == "normal":
            # Of the part above 0; a standard deviation is a small share of its value as a rule.
            below = 0.5 * math.erfc(self.first / self.second / math.sqrt(2))
            return np.log(self.first + self.second * ndtri(below + (1 - below) * share))
        if self.kind == "uniform":
            return np.log(self.first + (self.second - self.first) * share)
        return math.log(self.first) + self.width * share

    def log_density(self, logarithm: np.ndarray) -> np.ndarray:
        """Logarithm of the density over the logarithm, up to a constant."""
        if self.kind == "normal":
            return -(((np.exp(logarithm) - self.first) / self.second) ** 2) / 2 + logarithm
        inside = (logarithm >= math.log(max(self.first, 1e-300))) & (logarithm <= math.log(self.second))
        return np.where(inside, logarithm if self.kind == "uniform" else 0.0, -math.inf)


@dataclass(frozen=True)
class Permeability:
    """A permeability with its error, as a fit gives it.

    Parameters
    ----------
    value, error : float
        m s-1 Pa-1, > 0, and its standard error.
    freedom : int
        Degrees of freedom of the error.
    viscosity : float
        Pa s.
    area : float
        m2.
    viscosity_error, area_error : float
        Relative standard deviations.
    """

    value: float
    error: float
    freedom: int
    viscosity: float
    area: float
    viscosity_error: float = 0.0
    area_error: float = 0.0


@dataclass(frozen=True)
class Posterior:
    """Weighted points of the four unknowns.

    Parameters
    ----------
    logarithms : (4, n) float array
        Of :data:`QUANTITIES` in SI units.
    weights : (n,) float array
        Sum 1.
    data : int
        Independent data beside the permeability; with fewer than two it is but the set of what is feasible.
    """

    logarithms: np.ndarray
    weights: np.ndarray
    data: int

    @property
    def effective(self) -> float:
        """Number of equally weighted points that would be worth as much."""
        return float(1 / (self.weights**2).sum())

    def quantiles(self, shares: tuple[float, ...]) -> np.ndarray:
        """Quantiles of each quantity, (4, len(shares))."""
        return np.exp(np.stack([_quantiles(row, self.weights, shares) for row in self.logarithms]))

    def draws(self, count: int) -> np.ndarray:
        """Points of equal weight, (4, count): every share of the whole is met once (systematic resampling)."""
        order = np.argsort(self.logarithms[0], kind="stable")
        ends = np.cumsum(self.weights[order])
        chosen = np.searchsorted(ends / ends[-1], (np.arange(count) + 0.5) / count)
        return np.exp(self.logarithms[:, order[chosen]])


def _quantiles(values: np.ndarray, weights: np.ndarray, shares: tuple[float, ...]) -> np.ndarray:
    order = np.argsort(values, kind="stable")
    ends = np.cumsum(weights[order])
    middles = (ends - weights[order] / 2) / ends[-1]
    return np.interp(shares, middles, values[order])


def posterior(
    permeability: Permeability, known: Mapping[str, Known], ranges: Mapping[str, tuple[float, float]]
) -> Posterior:
    """Weighted points of radius, porosity, pore number and thickness, given a permeability and what else is known.

    Where nothing is known, all powers of ten are alike: the logarithms are spread evenly, which is the same measure
    whichever two of the four one begins with. The two best known ones are drawn from what is known of them (Sobol's
    sequence), the others follow; what is known of those, and that the porosity is less than 1, gives the weights.

    Parameters
    ----------
    permeability : Permeability
        Student's distribution about the fitted value.
    known : mapping of str to Known
        Independent data, by quantity.
    ranges : mapping of str to (low, high)
        ``radius`` and ``thickness`` in m: within these, in place of data, where there are fewer than two.

    Returns
    -------
    Posterior

    Raises
    ------
    PhysicsError
        If hardly any of what is known allows a porosity below 1, or the data contradict each other.
    """
    check_viscosity(permeability.viscosity)
    drivers = dict(sorted(known.items(), key=lambda item: item[1].width)[:2])
    for name in ("radius", "thickness"):
        if len(drivers) < 2 and name not in known:
            drivers[name] = Known("loguniform", *ranges[name])
    first, second = drivers
    share = qmc.Sobol(5, seed=0).random(_POINTS).T
    share = np.clip(share, 1e-9, 1 - 1e-9)
    # Student's quantiles, cut off where the permeability would not be above 0.
    p = permeability
    value = np.full(_POINTS, p.value)
    if p.error > 0:
        floor = student.cdf(-p.value / p.error, p.freedom)
        value = p.value + p.error * student.ppf(floor + (1 - floor) * share[0], p.freedom)
    conductance = np.log(8 * p.viscosity * np.maximum(value, 1e-300)) + p.viscosity_error * ndtri(share[1])
    area = math.log(p.area / math.pi) + p.area_error * ndtri(share[2])
    given = {first: drivers[first].quantile(share[3]), second: drivers[second].quantile(share[4])}
    logarithms = _closed(given, conductance, area)
    weight = np.where(logarithms[1] < 0, 0.0, -math.inf)
    feasible = float((weight == 0).mean())
    for name, of in known.items():
        if name not in drivers:
            weight += of.log_density(logarithms[QUANTITIES.index(name)])
    largest = weight.max()
    weights = np.exp(weight - largest) if math.isfinite(largest) else np.zeros(_POINTS)
    total = weights.sum()
    found = Posterior(logarithms, weights / total if total > 0 else weights, len(known))
    if total == 0 or found.effective < _LEAST:
        raise PhysicsError(_contradiction(permeability, known, feasible))
    return found


def _closed(given: Mapping[str, np.ndarray], conductance: np.ndarray, area: np.ndarray) -> np.ndarray:
    """All four logarithms from any two; ``conductance`` is ``ln(8 mu L)``, ``area`` is ``ln(A / pi)``."""
    eps, n, y = (given.get(name) for name in QUANTITIES[1:])
    if "radius" in given:
        radius = given["radius"]
    elif eps is not None and n is not None:
        radius = (eps + area - n) / 2
    elif eps is not None:
        radius = (conductance + y - eps) / 2
    else:
        radius = (conductance + y + area - n) / 4
    if eps is None:
        eps = conductance + y - 2 * radius if y is not None else n - area + 2 * radius
    number = eps + area - 2 * radius
    return np.stack([radius, eps, number, eps + 2 * radius - conductance])


def _contradiction(permeability: Permeability, known: Mapping[str, Known], feasible: float) -> str:
    names = " and ".join(name.replace("_", " ") for name in known)
    if feasible >= 0.01:
        return f"what is known of {names} contradicts itself, given the permeability"
    words = f"with what is known of {names}, this permeability would need a porosity of 1 or more"
    if "radius" in known:
        most = largest_thickness(permeability.value, known["radius"].first, permeability.viscosity)
        words += (
            f"; with a radius of {known['radius'].first * 1e9:.3g} nm only a layer thinner than {most * 1e6:.3g} um"
        )
        words += " lets so much pass"
    return words


def narrowing(
    found: Posterior, measurements: Mapping[str, tuple[str, float]], confidence: float = 0.95
) -> dict[str, np.ndarray]:
    """How wide the intervals would be after one further measurement, on average over what it may show.

    Parameters
    ----------
    found : Posterior
        What is known now.
    measurements : mapping of str to (str, float)
        Name of each possible measurement -> the quantity that it measures, and its relative standard deviation.
    confidence : float
        Of the intervals.

    Returns
    -------
    dict of str to (4,) float array
        Upper over lower end of each quantity's interval: under ``"now"``, and under the name of each measurement
        (geometric mean).
    """
    logarithms = np.log(found.draws(_FEWER))
    orders = np.argsort(logarithms, axis=1, kind="stable")

    def widths(weights: np.ndarray) -> np.ndarray:
        """Width of each quantity's interval under each row of weights, (rows, 4)."""
        found = []
        for row, order in zip(logarithms, orders, strict=True):
            ends = np.cumsum(weights[:, order], axis=1)
            low, high = (
                row[order[np.minimum((ends < share * ends[:, -1:]).sum(axis=1), _FEWER - 1)]]
                for share in ((1 - confidence) / 2, (1 + confidence) / 2)
            )
            found.append(high - low)
        return np.stack(found, axis=1)

    supposed = logarithms[:, :: _FEWER // _SUPPOSED]
    result = {"now": np.exp(widths(np.ones((1, _FEWER)))[0])}
    for name, (quantity, error) in measurements.items():
        row = QUANTITIES.index(quantity)
        weights = np.exp(-(((logarithms[row] - supposed[row][:, None]) / error) ** 2) / 2)
        result[name] = np.exp(widths(weights).mean(axis=0))
    return result
