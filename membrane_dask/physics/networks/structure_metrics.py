"""What a structure's life amounts to: its end, filtrate, times at levels of the flux, and histories."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from membrane_dask.physics.elementary import log
from membrane_dask.physics.networks.fouling_laws import BLOCKED, FLUX_FRACTION, PRESSURE_LIMIT
from membrane_dask.physics.networks.structure_laws import StructureLaws
from membrane_dask.physics.networks.structure_life import StructureHistory

#: Instants of a history, evenly from the clean structure to the end of its life.
HISTORY_POINTS = 201


@dataclass(frozen=True)
class StructureStates:
    """The filter at instants of its life, in the units of :mod:`membrane_dask.physics.networks.structure_laws`.

    Parameters
    ----------
    time : (n,) ndarray
    flow : (n,) ndarray
        At the operating pressure.
    pressure : (n,) ndarray
        Transmembrane pressure.
    concentration : (n, n_species) ndarray
        Of the filtrate.
    volume : (n,) ndarray
        Filtrate until then.
    passed : (n, n_species) ndarray
        Foulant in it.
    deposit : (n, n_bins) ndarray
        Volume of the deposit in each bin of the depth.
    open_throats : (n,) ndarray
        Number of open throats.
    """

    time: np.ndarray
    flow: np.ndarray
    pressure: np.ndarray
    concentration: np.ndarray
    volume: np.ndarray
    passed: np.ndarray
    deposit: np.ndarray
    open_throats: np.ndarray


@dataclass(frozen=True)
class StructureLife:
    """Metrics of a life.

    Parameters
    ----------
    end_time, filtrate : float
        End of the life, and filtrate until then.
    concentration : (n_species,) ndarray
        Of the accumulated filtrate; of the clean filter where the life ends at once.
    log_reduction : float
        Negative decimal logarithm of the concentration of all species together.
    level_time, level_volume : (n_levels,) ndarray
        Time and filtrate at which the flow at unit pressure has fallen to each level; NaN after the end of the life.
    level_deposit : (n_levels, n_bins) ndarray
        Fraction of the deposit in each bin of the depth then.
    history : StructureStates
        At :data:`HISTORY_POINTS` instants.
    """

    end_time: float
    filtrate: float
    concentration: np.ndarray
    log_reduction: float
    level_time: np.ndarray
    level_volume: np.ndarray
    level_deposit: np.ndarray
    history: StructureStates


def structure_life(history: StructureHistory, laws: StructureLaws) -> StructureLife:
    """Compute the metrics of a life from its records.

    Parameters
    ----------
    history : StructureHistory
        Records of the life.
    laws : StructureLaws
        As of the life.

    Returns
    -------
    StructureLife
        Flows are linear in time between records, and so is flow times concentration.
    """
    flow = np.array([record.flow for record in history.records])
    end = _end(history, flow, laws)
    last = states_at(history, np.array([end]))
    clean = states_at(history, np.zeros(1))
    filtrate = float(last.volume[0])
    concentration = last.passed[0] / filtrate if filtrate > 0 else clean.concentration[0]
    total = float((laws.uptake.fraction * concentration).sum())
    crossings = np.array([_crossing(history, flow, level * flow[0]) for level in laws.levels])
    crossings = np.where(crossings <= end * (1 + 1e-12), crossings, math.nan)
    reached = states_at(history, np.where(np.isnan(crossings), 0.0, crossings))
    with np.errstate(divide="ignore", invalid="ignore"):
        distribution = reached.deposit / reached.deposit.sum(axis=1, keepdims=True)
    missing = np.isnan(crossings)
    distribution[missing] = math.nan
    return StructureLife(
        end_time=end,
        filtrate=filtrate,
        concentration=concentration,
        log_reduction=float(-log(total) / log(10.0)) if total > 0 else math.inf,
        level_time=crossings,
        level_volume=np.where(missing, math.nan, reached.volume),
        level_deposit=distribution,
        history=states_at(history, end * np.arange(HISTORY_POINTS) / (HISTORY_POINTS - 1)),
    )


def _crossing(history: StructureHistory, flow: np.ndarray, level: float) -> float:
    """Time at which the flow at unit pressure falls to a level; NaN if it does not."""
    below = np.flatnonzero(flow <= level)
    if not len(below):
        return math.nan
    k = int(below[0])
    if k == 0:
        return 0.0
    before, after = history.records[k - 1], history.records[k]
    fraction = (flow[k - 1] - level) / (flow[k - 1] - flow[k])
    return float(before.time + fraction * (after.time - before.time))


def _end(history: StructureHistory, flow: np.ndarray, laws: StructureLaws) -> float:
    """Time of the end of a life."""
    if history.cause == FLUX_FRACTION:
        return _crossing(history, flow, laws.flux_fraction * flow[0])
    if history.cause == PRESSURE_LIMIT:
        return _crossing(history, flow, history.target / laws.pressure_limit)
    return history.records[-1].time


def states_at(history: StructureHistory, time: np.ndarray) -> StructureStates:
    """Interpolate the records of a life.

    Parameters
    ----------
    history : StructureHistory
    time : (n,) ndarray
        From 0 to the time of the last record.

    Returns
    -------
    StructureStates
    """
    records = history.records
    times = np.array([record.time for record in records])
    k = np.clip(np.searchsorted(times, time, side="right") - 1, 0, max(len(records) - 2, 0))
    following = np.minimum(k + 1, len(records) - 1)
    duration = times[following] - times[k]
    x = np.where(duration > 0, (time - times[k]) / np.where(duration > 0, duration, 1.0), 0.0)
    columns = {
        name: np.array([getattr(record, name) for record in records])
        for name in ("flow", "volume", "passed", "deposit", "open_throats", "concentration")
    }
    # Nothing flows after the last path has closed: its concentration is the last one.
    if np.isnan(columns["concentration"][-1]).any() and len(records) > 1:
        columns["concentration"][-1] = columns["concentration"][-2]
    is_constant_flux = not math.isnan(history.target)
    if is_constant_flux and history.cause == BLOCKED:  # the pressure holds until the instant of the event
        columns["flow"][-1] = columns["flow"][-2]
    operating = np.full(len(records), history.target) if is_constant_flux else columns["flow"]
    at_unit_pressure = _linear(columns["flow"], k, following, x)
    with np.errstate(divide="ignore"):
        pressure = history.target / at_unit_pressure if is_constant_flux else np.ones(len(time))
    foulant = operating[:, None] * columns["concentration"]
    flow, carried = _linear(operating, k, following, x), _linear(foulant, k, following, x)
    with np.errstate(divide="ignore", invalid="ignore"):
        concentration = np.where(flow[:, None] > 0, carried / flow[:, None], columns["concentration"][following])
    return StructureStates(
        time=np.asarray(time),
        flow=flow,
        pressure=pressure,
        concentration=concentration,
        volume=_integrated(columns["volume"], operating[:, None], k, following, x, duration)[:, 0],
        passed=_integrated(columns["passed"], foulant, k, following, x, duration),
        deposit=_linear(columns["deposit"], k, following, x),
        open_throats=columns["open_throats"][np.where(x < 1, k, following)],
    )


def _linear(values: np.ndarray, k: np.ndarray, following: np.ndarray, x: np.ndarray) -> np.ndarray:
    weight = x if values.ndim == 1 else x[:, None]
    return np.asarray(values[k] + weight * (values[following] - values[k]))


def _integrated(
    integral: np.ndarray, rate: np.ndarray, k: np.ndarray, following: np.ndarray, x: np.ndarray, duration: np.ndarray
) -> np.ndarray:
    """Integral within a step, of a rate that is linear there but for jumps, which are spread over the step."""
    columns = integral.reshape(len(integral), -1)
    first, second = rate[k], rate[following]
    weight, length = x[:, None], duration[:, None]
    trapezoid = 0.5 * length * (first + second)
    jump = columns[following] - columns[k] - trapezoid
    return np.asarray(columns[k] + length * weight * (first + 0.5 * weight * (second - first)) + weight * jump)
