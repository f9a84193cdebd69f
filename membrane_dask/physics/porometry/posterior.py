"""Posterior distribution of pore radius, porosity, pore number and thickness from a permeability and prior data.

``L = eps r^2 / (8 mu y)`` and ``eps = n pi r^2 / A`` are two relations for four unknowns, linear in the logarithms.
Two independent data, of any two of the four, determine them. With fewer, only ``eps r^2 / y`` is determined: the
posterior is a ridge along which the permeability is constant.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from membrane_dask.physics.distributions import normal_cdf, normal_quantile, student_cdf, student_quantile
from membrane_dask.physics.elementary import exp, log
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.importance_sampling import scrambled_sobol, weighted_quantiles
from membrane_dask.physics.porometry.cylindrical_pores import check_viscosity, largest_thickness

#: The four unknowns, in the order of all arrays.
QUANTITIES = ("radius", "porosity", "pore_number", "thickness")
#: Points of the quadrature: a power of 2, as Sobol's sequence requires.
_POINTS = 2**15
#: Effective sample size below which quantiles are too noisy.
MIN_EFFECTIVE_SAMPLE_SIZE = 200
#: Draws of the posterior by which the gain of a further measurement is estimated.
_INTERVAL_POINTS = 4096
#: Draws among these that serve as the outcome of the further measurement.
_OUTCOMES = 32


@dataclass(frozen=True)
class Prior:
    """Independent information on one quantity.

    Parameters
    ----------
    kind : {"exact", "normal", "loguniform", "uniform"}
        An exact value; a normal distribution; or a distribution that is uniform in the logarithm, or in the value
        itself.
    first, second : float
        Value and standard deviation, or the ends of the range; SI units.
    """

    kind: Literal["exact", "normal", "loguniform", "uniform"]
    first: float
    second: float = 0.0

    @property
    def log_width(self) -> float:
        """Approximate width in the logarithm, by which priors are ordered."""
        if self.kind == "exact":
            return 0.0
        if self.kind == "normal":
            return 4 * self.second / self.first
        return float(log(self.second / max(self.first, 1e-300)))

    def log_quantiles(self, probability: np.ndarray) -> np.ndarray:
        """Logarithms of the quantiles at probabilities in (0, 1)."""
        if self.kind == "exact":
            return np.full_like(probability, log(self.first))
        if self.kind == "normal":
            # Truncated at 0.
            below = normal_cdf(-self.first / self.second)
            return np.asarray(log(self.first + self.second * normal_quantile(below + (1 - below) * probability)))
        if self.kind == "uniform":
            return np.asarray(log(self.first + (self.second - self.first) * probability))
        return np.asarray(log(self.first) + self.log_width * probability)

    def narrowing(self, low: float, high: float, confidence: float) -> float:
        """Width of an interval over that of this prior, both of the logarithm: 1 if the data say nothing.

        Parameters
        ----------
        low, high : float
            Interval of the posterior, SI units, > 0.
        confidence : float
            Of the interval.

        Returns
        -------
        float
            NaN for an exact value, which no data narrow.
        """
        if self.kind == "exact":
            return math.nan
        ends = self.log_quantiles(np.array([(1 - confidence) / 2, (1 + confidence) / 2]))
        return float(log(high / low)) / float(ends[1] - ends[0])

    def log_density(self, logarithm: np.ndarray) -> np.ndarray:
        """Logarithm of the density with respect to the logarithm, up to a constant."""
        if self.kind == "normal":
            return np.asarray(-np.square((exp(logarithm) - self.first) / self.second) / 2 + logarithm)
        inside = (logarithm >= log(max(self.first, 1e-300))) & (logarithm <= log(self.second))
        return np.where(inside, logarithm if self.kind == "uniform" else 0.0, -math.inf)


@dataclass(frozen=True)
class PermeabilityEstimate:
    """Hydraulic permeability with its error, as a fit gives it.

    Parameters
    ----------
    value, standard_error : float
        m s-1 Pa-1, > 0.
    degrees_of_freedom : float
        Of the standard error.
    viscosity : float
        Pa s.
    area : float
        m2.
    viscosity_error, area_error : float
        Relative standard deviations.
    """

    value: float
    standard_error: float
    degrees_of_freedom: float
    viscosity: float
    area: float
    viscosity_error: float = 0.0
    area_error: float = 0.0


@dataclass(frozen=True)
class Posterior:
    """Weighted sample of the four unknowns.

    Parameters
    ----------
    logarithms : (4, n) float array
        Logarithms of :data:`QUANTITIES` in SI units.
    weights : (n,) float array
        Sum 1.
    independent_data : int
        Number of priors; with fewer than two the sample shows what is feasible within the prior ranges.
    """

    logarithms: np.ndarray
    weights: np.ndarray
    independent_data: int

    @property
    def effective_sample_size(self) -> float:
        """Number of equally weighted points of the same precision (Kish)."""
        return float(1 / np.square(self.weights).sum())

    def quantiles(self, probabilities: tuple[float, ...]) -> np.ndarray:
        """Quantiles of each quantity, (4, len(probabilities))."""
        rows = [weighted_quantiles(row, self.weights, probabilities) for row in self.logarithms]
        return np.asarray(exp(np.stack(rows)))

    def draws(self, count: int) -> np.ndarray:
        """Points of equal weight by systematic resampling, (4, count), in the order of the radius."""
        order = np.argsort(self.logarithms[0], kind="stable")
        cumulative = np.cumsum(self.weights[order])
        chosen = np.searchsorted(cumulative / cumulative[-1], (np.arange(count) + 0.5) / count)
        return np.asarray(exp(self.logarithms[:, order[chosen]]))


def posterior(
    permeability: PermeabilityEstimate, priors: Mapping[str, Prior], prior_ranges: Mapping[str, tuple[float, float]]
) -> Posterior:
    """Posterior of radius, porosity, pore number and thickness by quasi-Monte Carlo quadrature.

    Quantities without a prior are uniform in the logarithm. This measure does not depend on the pair of quantities
    that is drawn, as the relations are linear in the logarithms. The two narrowest priors are drawn by Sobol's
    sequence and the other two quantities follow; further priors, and the condition that the porosity is less than 1,
    give the weights.

    Parameters
    ----------
    permeability : PermeabilityEstimate
        Student's t distribution about the fitted value, truncated at 0.
    priors : mapping of str to Prior
        Independent data by quantity.
    prior_ranges : mapping of str to (low, high)
        ``radius`` and ``thickness`` in m: log-uniform ranges in place of data where there are fewer than two priors.

    Returns
    -------
    Posterior

    Raises
    ------
    PhysicsError
        If the priors hardly allow a porosity below 1, or contradict each other.
    """
    drawn = drawn_priors(priors, prior_ranges)
    points = prior_points(permeability, priors, drawn, sobol_points(5))
    weights = relative_weights(points.log_weights)
    total = weights.sum()
    sample = Posterior(points.logarithms, weights / total if total > 0 else weights, len(priors))
    if total == 0 or sample.effective_sample_size < MIN_EFFECTIVE_SAMPLE_SIZE:
        raise PhysicsError(_contradiction(permeability, priors, points.feasible))
    return sample


def sobol_points(dimensions: int) -> np.ndarray:
    """Points of Sobol's sequence in the open unit cube, (dimensions, n)."""
    return np.asarray(np.clip(scrambled_sobol(dimensions, _POINTS, 0).T, 1e-9, 1 - 1e-9))


def drawn_priors(priors: Mapping[str, Prior], prior_ranges: Mapping[str, tuple[float, float]]) -> dict[str, Prior]:
    """The two narrowest priors; where there are fewer, ranges complete them."""
    drawn = dict(sorted(priors.items(), key=lambda item: item[1].log_width)[:2])
    for name in ("radius", "thickness"):
        if len(drawn) < 2 and name not in priors:
            drawn[name] = Prior("loguniform", *prior_ranges[name])
    return drawn


@dataclass(frozen=True)
class PriorPoints:
    """Points of the quadrature.

    Parameters
    ----------
    logarithms : (4, n) float array
        Logarithms of :data:`QUANTITIES` in SI units.
    log_weights : (n,) float array
        Minus infinity where the porosity is 1 or more.
    feasible : float
        Fraction of points with a porosity below 1.
    """

    logarithms: np.ndarray
    log_weights: np.ndarray
    feasible: float


def prior_points(
    permeability: PermeabilityEstimate, priors: Mapping[str, Prior], drawn: Mapping[str, Prior], uniform: np.ndarray
) -> PriorPoints:
    """Points and weights of the quadrature of one membrane.

    Parameters
    ----------
    permeability : PermeabilityEstimate
        Of :func:`posterior`.
    priors, drawn : mapping of str to Prior
        Independent data, and the two of :func:`drawn_priors`.
    uniform : (5, n) float array
        Coordinates in (0, 1) of the permeability, the viscosity, the area and the two drawn priors.
    """
    check_viscosity(permeability.viscosity)
    first, second = drawn
    p = permeability
    value = np.full(uniform.shape[1], p.value)
    if p.standard_error > 0:
        below_zero = student_cdf(-p.value / p.standard_error, p.degrees_of_freedom)
        quantile = student_quantile(below_zero + (1 - below_zero) * uniform[0], p.degrees_of_freedom)
        value = p.value + p.standard_error * quantile
    conductance = log(8 * p.viscosity * np.maximum(value, 1e-300)) + p.viscosity_error * normal_quantile(uniform[1])
    area = log(p.area / math.pi) + p.area_error * normal_quantile(uniform[2])
    pair = {first: drawn[first].log_quantiles(uniform[3]), second: drawn[second].log_quantiles(uniform[4])}
    logarithms = _complete(pair, conductance, area)
    log_weights = np.where(logarithms[1] < 0, 0.0, -math.inf)
    feasible = float((log_weights == 0).mean())
    for name, prior in priors.items():
        if name not in drawn:
            log_weights += prior.log_density(logarithms[QUANTITIES.index(name)])
    return PriorPoints(logarithms, log_weights, feasible)


def relative_weights(log_weights: np.ndarray) -> np.ndarray:
    """Weights relative to the largest; 0 where no point is feasible."""
    largest = log_weights.max()
    return np.asarray(exp(log_weights - largest)) if math.isfinite(largest) else np.zeros(len(log_weights))


def _complete(pair: Mapping[str, np.ndarray], conductance: np.ndarray, area: np.ndarray) -> np.ndarray:
    """Logarithms of all four quantities from those of two.

    ``conductance`` is ``ln(8 mu L)``, ``area`` is ``ln(A / pi)``.
    """
    porosity, number, thickness = (pair.get(name) for name in QUANTITIES[1:])
    if "radius" in pair:
        radius = pair["radius"]
    elif porosity is not None and number is not None:
        radius = (porosity + area - number) / 2
    elif porosity is not None:
        assert thickness is not None
        radius = (conductance + thickness - porosity) / 2
    else:
        assert thickness is not None
        assert number is not None
        radius = (conductance + thickness + area - number) / 4
    if porosity is None:
        if thickness is not None:
            porosity = conductance + thickness - 2 * radius
        else:
            assert number is not None
            porosity = number - area + 2 * radius
    number = porosity + area - 2 * radius
    return np.stack([radius, porosity, number, porosity + 2 * radius - conductance])


def _contradiction(permeability: PermeabilityEstimate, priors: Mapping[str, Prior], feasible: float) -> str:
    names = " and ".join(name.replace("_", " ") for name in priors)
    if feasible >= 0.01:
        return f"the priors of {names} contradict each other, given the permeability"
    message = f"with the priors of {names}, this permeability would need a porosity of 1 or more"
    if "radius" in priors:
        radius = priors["radius"].first
        thickness = largest_thickness(permeability.value, radius, permeability.viscosity)
        message += f"; with a radius of {radius * 1e9:.3g} nm the selective layer must be thinner than "
        message += f"{thickness * 1e6:.3g} um"
    return message


def interval_factors(
    sample: Posterior, measurements: Mapping[str, tuple[str, float]], confidence: float = 0.95
) -> dict[str, np.ndarray]:
    """Expected widths of the intervals after one further measurement.

    The outcome of the measurement is taken in turn from draws of the posterior; the widths of the resulting
    intervals are averaged in the logarithm.

    Parameters
    ----------
    sample : Posterior
        Present posterior.
    measurements : mapping of str to (str, float)
        Name of each candidate measurement -> the quantity that it measures, and its relative standard deviation.
    confidence : float
        Of the intervals.

    Returns
    -------
    dict of str to (4,) float array
        Upper over lower end of each quantity's interval: under ``"now"``, and under the name of each measurement.
    """
    logarithms = log(sample.draws(_INTERVAL_POINTS))
    orders = np.argsort(logarithms, axis=1, kind="stable")

    def log_widths(weights: np.ndarray) -> np.ndarray:
        """Width of each quantity's interval for each row of weights, (rows, 4)."""
        columns = []
        for row, order in zip(logarithms, orders, strict=True):
            cumulative = np.cumsum(weights[:, order], axis=1)
            low, high = (
                row[order[np.minimum((cumulative < p * cumulative[:, -1:]).sum(axis=1), _INTERVAL_POINTS - 1)]]
                for p in ((1 - confidence) / 2, (1 + confidence) / 2)
            )
            columns.append(high - low)
        return np.stack(columns, axis=1)

    outcomes = logarithms[:, :: _INTERVAL_POINTS // _OUTCOMES]
    factors: dict[str, np.ndarray] = {"now": exp(log_widths(np.ones((1, _INTERVAL_POINTS)))[0])}
    for name, (quantity, error) in measurements.items():
        row = QUANTITIES.index(quantity)
        weights = exp(-np.square((logarithms[row] - outcomes[row][:, None]) / error) / 2)
        factors[name] = exp(log_widths(weights).mean(axis=0))
    return factors
