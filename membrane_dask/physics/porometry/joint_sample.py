"""Sample of the pore structures that several tables and priors allow."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from membrane_dask.physics.elementary import exp, log
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.importance_sampling import (
    WeightedPoints,
    adapted_mixture,
    importance_sample,
    weighted_quantiles,
)
from membrane_dask.physics.porometry.estimates import Estimate
from membrane_dask.physics.porometry.joint_tables import PoreStructures, ScaleError, Table
from membrane_dask.physics.porometry.posterior import Prior

#: Ranges of the priors that are even in the logarithm: number median radius, log-standard deviation, thickness (m).
RADIUS_RANGE, LOG_SD_RANGE, THICKNESS_RANGE = (0.5e-9, 10e-6), (0.02, 1.2), (10e-9, 200e-6)
#: Largest difference of two runs, over the width of the interval.
TOLERANCE = 0.02
#: Relative standard deviation by which an exact value is represented.
_EXACT = 1e-3
_QUANTILES = (0.025, 0.5, 0.975)
_POINTS = (2**13, 2**14, 2**15, 2**16)
#: Runs differ by the seeds of their sequences.
_SEEDS = (0, 1000)


@dataclass(frozen=True)
class Evidence:
    """All that is known about one membrane.

    Parameters
    ----------
    tables : tuple of Table
    priors : mapping of str to Prior
        Of ``radius`` (hydraulic), ``porosity``, ``pore_number`` and ``thickness``; SI units.
    log_permeability_range : (float, float)
        Of ``ln(eps r_h^2 / y)``.
    area : float, optional
        To which the pore number refers, m2.
    area_error : ScaleError, optional
    """

    tables: tuple[Table, ...]
    priors: Mapping[str, Prior]
    log_permeability_range: tuple[float, float]
    area: float | None = None
    area_error: ScaleError | None = None

    @property
    def scale_errors(self) -> dict[str, ScaleError]:
        """Errors of all tables above 0, by name, in alphabetical order."""
        errors = {error.name: error for table in self.tables for error in table.scale_errors}
        if self.area_error is not None:
            errors[self.area_error.name] = self.area_error
        return {name: errors[name] for name in sorted(errors)}

    @property
    def width_coefficient(self) -> float:
        """Coefficient c of the radius ``r_h exp(c s^2)`` that the tables determine best."""
        determined = frozenset().union(*(table.determines for table in self.tables))
        if "radius" in determined:
            return 1.0
        return 0.5 if "gas_radius" in determined else 0.0

    def box(self) -> np.ndarray:
        """Range of each variable of :meth:`structures`, (d, 2)."""
        c = self.width_coefficient
        low, high = (float(log(end)) for end in RADIUS_RANGE)
        smallest, largest = ((3 + c) * s * s for s in LOG_SD_RANGE)
        box = [
            (low + smallest, high + largest),
            (float(log(LOG_SD_RANGE[0])), float(log(LOG_SD_RANGE[1]))),
            self.log_permeability_range,
            (float(log(THICKNESS_RANGE[0])), float(log(THICKNESS_RANGE[1]))),
        ]
        box += [(-4 * error.relative_error, 4 * error.relative_error) for error in self._uncertain()]
        if "radius" in self.priors:
            box[0] = _widened(box[0], self.priors["radius"])
        if "thickness" in self.priors:
            box[3] = _widened((math.inf, -math.inf), self.priors["thickness"])
        return np.array(box)

    def _uncertain(self) -> list[ScaleError]:
        return [error for error in self.scale_errors.values() if error.relative_error > 0]

    def structures(self, points: np.ndarray) -> PoreStructures:
        """Pore structures of variables in columns: ``ln r_h + c s^2``, ``ln s``, ``ln(eps r_h^2 / y)``, ``ln y``.

        Further columns are scale errors. The Jacobian from ``ln r_N``, ``ln s``, ``ln eps`` and ``ln y`` is 1.
        """
        log_sd = exp(points[:, 1])
        errors = dict.fromkeys(self.scale_errors, np.zeros(len(points)))
        for column, error in enumerate(self._uncertain(), start=4):
            errors[error.name] = points[:, column]
        return PoreStructures(
            log_hydraulic_radius=points[:, 0] - self.width_coefficient * np.square(log_sd),
            log_sd=log_sd,
            log_permeability=points[:, 2],
            log_thickness=points[:, 3],
            scale_errors=errors,
        )

    def log_density(self, points: np.ndarray) -> np.ndarray:
        """Logarithm of the posterior density, (n,), up to a constant."""
        structures = self.structures(points)
        inside = self._is_inside(structures)
        total = np.full(len(points), -math.inf)
        if not inside.any():
            return total
        allowed = self.structures(points[inside])
        value = sum((table.log_likelihood(allowed) for table in self.tables), np.zeros(int(inside.sum())))
        logarithms = self.logarithms(allowed)
        for name, prior in self.priors.items():
            value = value + as_density(prior).log_density(logarithms[PRIOR_QUANTITIES[name]])
        total[inside] = value + self.log_scale_prior(allowed)
        return total

    def log_scale_prior(self, structures: PoreStructures) -> np.ndarray:
        """Logarithm of the prior density of the scale errors, (n,), 0 at its maximum."""
        total = np.zeros(len(structures.log_sd))
        for error in self._uncertain():
            total = total - np.square(structures.scale_errors[error.name] / error.relative_error) / 2
        return total

    def _is_inside(self, structures: PoreStructures) -> np.ndarray:
        """Whether structures are in the ranges of the priors and have a porosity below 1, (n,)."""
        ranges = [
            (structures.log_sd, LOG_SD_RANGE),
            (exp(np.clip(structures.log_permeability, -700, 700)), tuple(exp(self.log_permeability_range))),
        ]
        if "radius" not in self.priors:
            ranges.append((exp(structures.log_number_median), RADIUS_RANGE))
        if "thickness" not in self.priors:
            ranges.append((exp(structures.log_thickness), THICKNESS_RANGE))
        inside = structures.log_porosity < 0
        for values, (low, high) in ranges:
            inside = inside & (values >= low) & (values <= high)
        return np.asarray(inside)

    def logarithms(self, structures: PoreStructures) -> dict[str, np.ndarray]:
        """Logarithm of each quantity of structures, (n,) each, SI units."""
        variance = np.square(structures.log_sd)
        quantities = {
            "hydraulic_radius": structures.log_hydraulic_radius,
            "number_median_radius": structures.log_number_median,
            "gas_radius": structures.log_hydraulic_radius + variance / 2,
            "flow_median_radius": structures.log_hydraulic_radius + variance,
            "log_sd": log(structures.log_sd),
            "porosity": structures.log_porosity,
            "thickness": structures.log_thickness,
            "porosity_over_path_length": structures.log_ratio,
            "permeability": structures.log_permeability,
        }
        if self.area is not None:
            true_over_stated = structures.scale_errors[self.area_error.name] if self.area_error else 0.0
            quantities["pore_number"] = structures.log_pore_density + float(log(self.area)) + true_over_stated
        return quantities


#: Quantity of a posterior to which a prior belongs.
PRIOR_QUANTITIES = {
    "radius": "hydraulic_radius",
    "porosity": "porosity",
    "pore_number": "pore_number",
    "thickness": "thickness",
}


def as_density(prior: Prior) -> Prior:
    """A prior with a density: an exact value has a relative standard deviation of 0.1 %."""
    return Prior("normal", prior.first, _EXACT * prior.first) if prior.kind == "exact" else prior


def _widened(ends: tuple[float, float], prior: Prior) -> tuple[float, float]:
    """Range that includes the one of a prior."""
    low, high = as_density(prior).log_quantiles(np.array([1e-5, 1 - 1e-5]))
    return min(ends[0], float(low)), max(ends[1], float(high))


def checked_evidence(
    tables: Sequence[Table], priors: Mapping[str, Prior], area: float | None, area_error: ScaleError | None
) -> Evidence:
    """Tables in the order of their labels, on which no result depends.

    Raises
    ------
    PhysicsError
        If labels occur twice, no table measures a flux, errors of one name differ in size, a prior is not known, or
        one of the pore number has no area; all problems at once.
    """
    tables = tuple(sorted(tables, key=lambda table: table.label))
    labels = [table.label for table in tables]
    problems = [f"two tables have the label {label}" for label in sorted(set(labels)) if labels.count(label) > 1]
    ranges = [limits for table in tables if (limits := table.log_permeability_range) is not None]
    if not ranges:
        problems.append(
            "no table measures an absolute flux, so porosity and thickness are not determined; add a table of water, "
            "gas or displacement"
        )
    sizes: dict[str, float] = {}
    stated = [error for table in tables for error in table.scale_errors]
    for error in [*stated, *([area_error] if area_error else [])]:
        first = sizes.setdefault(error.name, error.relative_error)
        if first != error.relative_error:
            problems += [f"error of {error.name}: {first:g} and {error.relative_error:g}; all tables have one"]
    unknown = sorted(set(priors) - set(PRIOR_QUANTITIES))
    problems += [f"priors: {name} is not one of {', '.join(PRIOR_QUANTITIES)}" for name in unknown]
    if area is not None and not 0 < area < math.inf:
        problems.append(f"area: must be above 0 (got {area:g})")
    if area is None and "pore_number" in priors:
        problems.append("priors: the pore number needs the area to which it refers")
    if problems:
        raise PhysicsError("; ".join(problems))
    widest = min(low for low, _ in ranges), max(high for _, high in ranges)
    ordered = {name: priors[name] for name in sorted(priors)}
    return Evidence(tables, ordered, widest, area, area_error)


@dataclass(frozen=True)
class JointSample:
    """Points of two independent runs.

    Parameters
    ----------
    evidence : Evidence
    runs : tuple of WeightedPoints
        Two.
    difference : float
        Largest difference of an end of a 95 % interval between the runs, over the width of the interval in the
        logarithm.
    has_converged : bool
        Whether the difference is below 2 % and both runs reached the density itself.
    """

    evidence: Evidence
    runs: tuple[WeightedPoints, ...]
    difference: float
    has_converged: bool

    def structures(self) -> PoreStructures:
        """Structures of both runs, (n,) each."""
        return self.evidence.structures(np.concatenate([run.points for run in self.runs]))

    @property
    def weights(self) -> np.ndarray:
        """Weights of both runs, (n,), sum 1."""
        return np.concatenate([run.weights for run in self.runs]) / len(self.runs)

    @property
    def best(self) -> np.ndarray:
        """Point of the largest density, (1, d)."""
        run = max(self.runs, key=lambda run: float(run.log_density.max()))
        index = int(run.log_density.argmax())
        return run.points[index : index + 1]

    def estimates(self) -> dict[str, Estimate]:
        """Median and 95 % interval of each quantity."""
        weights = self.weights
        logarithms = self.evidence.logarithms(self.structures())
        estimates = {}
        for name, values in logarithms.items():
            low, middle, high = exp(weighted_quantiles(values, weights, _QUANTILES)).tolist()
            estimates[name] = Estimate(middle, low, high)
        return estimates


def joint_sample(evidence: Evidence) -> JointSample:
    """Sample the posterior by two independent runs, with more points until they agree.

    Raises
    ------
    PhysicsError
        If the priors exclude every pore structure.
    """
    box = evidence.box()
    try:
        adapted = [adapted_mixture(evidence.log_density, box, seed) for seed in _SEEDS]
    except PhysicsError as error:
        names = ", ".join(name.replace("_", " ") for name in evidence.priors) or "tables"
        raise PhysicsError(f"no pore structure agrees with the priors of {names} and a porosity below 1") from error
    runs: tuple[WeightedPoints, ...] = ()
    for n in _POINTS:
        fewer = runs or (None,) * len(_SEEDS)
        runs = tuple(
            importance_sample(evidence.log_density, mixture, n, seed + 500, earlier)
            for (mixture, _), seed, earlier in zip(adapted, _SEEDS, fewer, strict=True)
        )
        difference = _difference(evidence, runs)
        if difference < TOLERANCE:
            break
    has_reached = all(reached for _, reached in adapted)
    return JointSample(evidence, runs, difference, has_reached and difference < TOLERANCE)


def _difference(evidence: Evidence, runs: tuple[WeightedPoints, ...]) -> float:
    """Largest difference of an end of an interval between two runs, over its width."""
    logarithms = [evidence.logarithms(evidence.structures(run.points)) for run in runs]
    largest = 0.0
    for name in logarithms[0]:
        first, second = (
            weighted_quantiles(values[name], run.weights, _QUANTILES)
            for values, run in zip(logarithms, runs, strict=True)
        )
        width = max(float(first[2] - first[0]), 1e-12)
        largest = max(largest, float(np.abs(first - second)[[0, 2]].max()) / width)
    return largest
