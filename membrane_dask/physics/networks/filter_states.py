"""A filter at instants of its simulated life: flux, pressure, filtrate and deposit between the time steps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from membrane_dask.physics.networks.filter_metrics import accumulated_metrics
from membrane_dask.physics.networks.fouling import FilterLife
from membrane_dask.physics.networks.fouling_laws import BLOCKED


@dataclass(frozen=True)
class FilterStates:
    """A filter at instants of its life, dimensionless as in :mod:`membrane_dask.physics.networks.fouling`.

    Parameters
    ----------
    time : (n,) ndarray
    flux : (n,) ndarray
        At the operating pressure, per area of the membrane.
    pressure : (n,) ndarray
        Transmembrane pressure.
    concentration : (n,) ndarray
        Of the filtrate, all foulants of the feed together.
    throughput : (n,) ndarray
        Filtrate until then.
    deposit : (n, n_bands) ndarray
        Loss of the porosity of every band.
    """

    time: np.ndarray
    flux: np.ndarray
    pressure: np.ndarray
    concentration: np.ndarray
    throughput: np.ndarray
    deposit: np.ndarray


def filter_states(life: FilterLife, steps: np.ndarray, deposition: float, time_step: float) -> FilterStates:
    """Interpolate the histories of a life.

    Parameters
    ----------
    life : FilterLife
    steps : (n,) ndarray
        Instants in time steps, from 0 to the end of the life.
    deposition : float
        Mean deposition coefficient of the feed's foulant.
    time_step : float

    Returns
    -------
    FilterStates
        Flux at unit pressure is linear between steps, and so are flux and flux times concentration.
    """
    at_unit_pressure, concentration = _flux_at_unit_pressure(life), np.nan_to_num(life.foulant_concentration_out)
    flux, carried = _linear(life.flux, steps), _linear(life.flux * concentration, steps)
    with np.errstate(divide="ignore", invalid="ignore"):
        mixed = np.where(flux > 0, carried / flux, concentration[np.maximum(steps.astype(np.int64) - 1, 0)])
        pressure = np.where(flux > 0, flux / _linear(at_unit_pressure, steps), 1.0)
    shape = (len(steps), *life.flux.shape)
    metrics, usage = accumulated_metrics(
        np.broadcast_to(life.flux, shape),
        np.broadcast_to(concentration, shape),
        np.broadcast_to(life.band_porosity, (len(steps), *life.band_porosity.shape)),
        steps,
        deposition,
        time_step,
        jump=life.flux_jump,
    )
    return FilterStates(steps * time_step, flux, pressure, mixed, metrics["throughput"], usage)


def level_steps(life: FilterLife, levels: tuple[float, ...], time_step: float) -> np.ndarray:
    """Instants at which the flux at unit pressure falls to levels of its first value, in time steps.

    Parameters
    ----------
    life : FilterLife
    levels : tuple of float
        Fractions of the first flux, in (0, 1).
    time_step : float

    Returns
    -------
    (n_levels,) ndarray
        NaN where a level is reached after the end of the life, or never.
    """
    flux, end = _flux_at_unit_pressure(life), life.lifetime / time_step * (1 + 1e-12)
    steps = np.full(len(levels), np.nan)
    for i, level in enumerate(levels):
        below = np.flatnonzero(flux <= level * flux[0])
        if len(below):
            k = int(below[0])
            step = k - 1 + (flux[k - 1] - level * flux[0]) / (flux[k - 1] - flux[k])
            steps[i] = min(step, life.lifetime / time_step) if step <= end else np.nan
    return steps


def _flux_at_unit_pressure(life: FilterLife) -> np.ndarray:
    """Flux over pressure; at constant flux until the instant at which particles block the last path."""
    values = life.flux / life.transmembrane_pressure
    if life.end_of_life_cause == BLOCKED and len(values) > 1 and np.isinf(life.transmembrane_pressure[-1]):
        values[-1] = values[-2]
    return np.asarray(values)


def _linear(values: np.ndarray, steps: np.ndarray) -> np.ndarray:
    whole = np.minimum(steps.astype(np.int64), len(values) - 1)
    following = np.minimum(whole + 1, len(values) - 1)
    return np.asarray(values[whole] + (steps - whole) * (values[following] - values[whole]))
