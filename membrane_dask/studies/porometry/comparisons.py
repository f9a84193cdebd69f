"""Comparison of membranes: change of each between two states, and the population of each state."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from membrane_dask.physics.distributions import student_quantile
from membrane_dask.physics.porometry.intervals import random_effects, ratio_interval
from membrane_dask.physics.porometry.water import REFERENCE_TEMPERATURE, Water
from membrane_dask.studies.porometry.measurements import MembraneData
from membrane_dask.studies.porometry.variables import PAIRS, POPULATIONS

#: Membranes that a population needs at least.
_MIN_POPULATION = 3


def _states(membranes: Sequence[MembraneData]) -> list[str]:
    """States in the order of the tables."""
    return list(dict.fromkeys(membrane.state for membrane in membranes))


def compare_states(
    membranes: Sequence[MembraneData], fits: Any, confidence: float
) -> tuple[list[str], dict[str, np.ndarray]]:
    """Change of each membrane from the first state to every later one.

    Parameters
    ----------
    membranes : sequence of MembraneData
        All membranes.
    fits : xarray.Dataset
        The table ``porometry``, in their order.
    confidence : float
        Of the intervals.

    Returns
    -------
    labels : list of str
        Of the pairs.
    values : dict of str to (n,) float array
        Variables of the table ``pairs``.
    """
    first, *later = _states(membranes)
    positions = {(m.name, m.state): k for k, m in enumerate(membranes)}
    labels, rows = [], []
    for state, name in itertools.product(later, dict.fromkeys(m.name for m in membranes)):
        if (name, first) in positions and (name, state) in positions:
            labels.append(f"{name}: {state} over {first}")
            pair = fits.isel(membrane=[positions[name, first], positions[name, state]])
            rows.append(_compare(pair, confidence))
    return labels, {v.name: np.array([row[v.name] for row in rows]) for v in PAIRS.variables}


def _compare(pair: Any, confidence: float) -> dict[str, float]:
    """Ratio and difference of the later and the first state of a membrane."""
    value, error = _permeability_at_25(pair)
    degrees_of_freedom = pair.degrees_of_freedom.values
    variances = np.square(error / value)
    if (degrees_of_freedom > 0).all() and np.isfinite(variances).all() and variances.sum() > 0:
        # Degrees of freedom by Welch and Satterthwaite, as the states have independent errors.
        joint = np.square(variances.sum()) / (np.square(variances) / degrees_of_freedom).sum()
        t_quantile = float(student_quantile((1 + confidence) / 2, joint))
        low, high = ratio_interval(value[1], value[0], np.diag(np.square(error[::-1])), t_quantile)
    else:
        low, high = math.nan, math.nan
    resistance = 1 / (Water.at(REFERENCE_TEMPERATURE).viscosity * value)
    return {
        "permeability_ratio": value[1] / value[0],
        "permeability_ratio_low": low,
        "permeability_ratio_high": high,
        "added_resistance": resistance[1] - resistance[0],
        "added_resistance_error": math.sqrt(np.square(resistance * error / value).sum()),
    }


def _permeability_at_25(fits: Any) -> tuple[np.ndarray, np.ndarray]:
    """Hydraulic permeability to water of 25 degC, and its standard error."""
    value = fits.hydraulic_permeability_25.values
    return value, (fits.hydraulic_permeability_error / fits.hydraulic_permeability).values * value


def summarize_populations(
    membranes: Sequence[MembraneData], fits: Any, confidence: float
) -> tuple[list[str], dict[str, np.ndarray]]:
    """Mean and standard deviation of the permeability in each state of at least three membranes.

    Parameters
    ----------
    membranes : sequence of MembraneData
        All membranes.
    fits : xarray.Dataset
        The table ``porometry``, in their order.
    confidence : float
        Of the intervals.

    Returns
    -------
    labels : list of str
        The states.
    values : dict of str to (n,) float array
        Variables of the table ``populations``.
    """
    states, rows = [], []
    for state in _states(membranes):
        members = [k for k, membrane in enumerate(membranes) if membrane.state == state]
        value, error = _permeability_at_25(fits.isel(membrane=members))
        valid = np.isfinite(value) & np.isfinite(error) & (error > 0)
        if valid.sum() < _MIN_POPULATION:
            continue
        population = random_effects(value[valid], error[valid], confidence)
        states.append(state or "all")
        rows.append((valid.sum(), population.mean, population.low, population.high, population.standard_deviation))
    columns = np.array(rows, float).reshape(-1, len(POPULATIONS.variables)).T
    return states, {v.name: column for v, column in zip(POPULATIONS.variables, columns, strict=True)}
