"""Mean flow pore: where half of the flow through the dry membrane passes the wet one."""

from __future__ import annotations

import math

import numpy as np

from membrane_dask.physics.distributions import standard_normal
from membrane_dask.physics.porometry.capillary_law import CapillaryLaw
from membrane_dask.physics.porometry.estimates import Estimate
from membrane_dask.physics.porometry.filter_flow import FilterFlow
from membrane_dask.physics.porometry.porometer import Porometer

_BOOTSTRAP_TABLES = 2000


def mean_flow_pore(
    curves: FilterFlow, law: CapillaryLaw, porometer: Porometer, seed: int, findings: list[str]
) -> tuple[Estimate, Estimate]:
    """Pressure at which the wet flow first reaches half of the dry flow, linear between readings, and its radius.

    The 95 % intervals are those of a parametric bootstrap with the errors of flow, gauge and surface tension, and
    contain at least the two readings between which the value lies.

    Parameters
    ----------
    curves : FilterFlow
        Readings with a dry flow.
    law : CapillaryLaw
    porometer : Porometer
    seed : int
        Of the bootstrap.
    findings : list of str
        Sentences are appended: no crossing, or several.

    Returns
    -------
    pressure, radius : Estimate
        Pa, m; bounds without a value where half of the dry flow is not crossed.
    """
    pressure = curves.pressure
    excess = curves.wet - curves.dry / 2
    crossings = np.flatnonzero((excess[:-1] < 0) & (excess[1:] >= 0)).tolist()
    if excess[0] >= 0 or not crossings:
        if excess[0] >= 0:
            findings.append(
                f"half of the dry flow passes at the first reading, {pressure[0] / 1e5:.4g} bar: mean flow pore "
                f"above {law.diameter_text(pressure[0])}"
            )
            bound = Estimate(low=0.0, high=float(pressure[0]))
        else:
            findings.append(
                f"less than half of the dry flow passes at {pressure[-1] / 1e5:.4g} bar: mean flow pore below "
                f"{law.diameter_text(pressure[-1])}"
            )
            bound = Estimate(low=float(pressure[-1]), high=math.inf)
        bound = bound.widened(porometer.pressure_error)
        return bound, bound.reciprocal(law.constant).widened(law.relative_error)
    if len(crossings) > 1:
        positions = ", ".join(f"{_crossing(pressure, excess, i) / 1e5:.4g}" for i in crossings)
        findings.append(
            f"the wet flow rises through half of the dry flow {len(crossings)} times, at {positions} bar; "
            f"the first is taken"
        )
    first = crossings[0]
    value = _crossing(pressure, excess, first)
    bracket = pressure[first : first + 2]
    pressures, radii = _bootstrap_crossing(curves, law, porometer, seed)
    return _interval(value, bracket, pressures), _interval(law.radius(value), law.radius(bracket), radii)


def _interval(value: float, bracket: np.ndarray, draws: np.ndarray) -> Estimate:
    """The 95 % interval of draws, and at least the two readings between which the value lies."""
    low, high = np.quantile(draws, [0.025, 0.975]) if len(draws) else (math.inf, -math.inf)
    return Estimate(float(value), min(float(bracket.min()), float(low)), max(float(bracket.max()), float(high)))


def _crossing(pressure: np.ndarray, excess: np.ndarray, index: int) -> float:
    """Zero of a line between two readings."""
    fraction = excess[index] / (excess[index] - excess[index + 1])
    return float(pressure[index] + fraction * (pressure[index + 1] - pressure[index]))


def _bootstrap_crossing(
    curves: FilterFlow, law: CapillaryLaw, porometer: Porometer, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Pressures, Pa, and radii, m, of the first crossing in a parametric bootstrap."""
    rng = np.random.default_rng(seed)
    shape = (_BOOTSTRAP_TABLES, len(curves.pressure))
    wet = curves.wet * (1 + porometer.flow_error * standard_normal(rng, shape))
    dry = curves.dry * (1 + porometer.flow_error * standard_normal(rng, shape))
    excess = wet - dry / 2
    upward = (excess[:, :-1] < 0) & (excess[:, 1:] >= 0)
    rows = np.flatnonzero(upward.any(axis=1))
    index = upward[rows].argmax(axis=1)
    before, after = excess[rows, index], excess[rows, index + 1]
    pressure = curves.pressure[index] + before / (before - after) * np.diff(curves.pressure)[index]
    # The errors of the gauge and of the surface tension are the same in all readings.
    pressure = pressure * (1 + porometer.pressure_error * standard_normal(rng, len(rows)))
    return pressure, law.radius(pressure) * (1 + law.relative_error * standard_normal(rng, len(rows)))
