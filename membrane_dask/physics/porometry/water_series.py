"""Water flux in the order of its measurement: transients at one pressure, rising and falling legs, outliers.

Only readings of the compacted, steady state enter the permeance; what is left out is named.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.porometry.estimates import Estimate
from membrane_dask.physics.porometry.flux_transient import (
    Transient,
    find_transient,
    replicate_findings,
    transient_findings,
)
from membrane_dask.physics.porometry.outlying_readings import outlying_readings
from membrane_dask.physics.porometry.water_permeance import (
    ThresholdBracket,
    WaterPermeance,
    permeance_of_readings,
)


@dataclass(frozen=True)
class WaterSeries:
    """Evaluation of the water flux of one membrane.

    Parameters
    ----------
    permeance : WaterPermeance
        From the readings that are used; of a transient alone from its plateau, NaN if it is not reached.
    rising : WaterPermeance or None
        Of the rising leg, where the pressure rises and falls.
    hysteresis : float
        ``1 - (J/P) falling / (J/P) rising`` at the lowest common pressure; NaN without a falling leg.
    transient : Transient or None
        Decline at one pressure.
    used : (n,) bool array
        Readings that enter the permeance.
    findings : tuple of str
        Sentences: what was left out and why, and what the data do not show.
    """

    permeance: WaterPermeance
    rising: WaterPermeance | None
    hysteresis: float
    transient: Transient | None
    used: np.ndarray
    findings: tuple[str, ...]


def evaluate_series(
    pressure: np.ndarray, flux: np.ndarray, *, row: np.ndarray | None = None, time: np.ndarray | None = None,
    replicate: np.ndarray | None = None, no_flow: np.ndarray | None = None, resolution: float = 0.0,
    confidence: float = 0.95,
) -> WaterSeries:  # fmt: skip
    """Evaluate the water flux of one membrane, all readings at one temperature.

    Parameters
    ----------
    pressure, flux : (n,) float array
        Pa and m s-1, > 0.
    row : (n,) int array, optional
        Number of each reading in the order of the measurement; default their order.
    time : (n,) float array, optional
        s, of a log.
    replicate : (n,) int array, optional
        Number of the replicate.
    no_flow : (k,) float array, optional
        Pressures without flow, Pa.
    resolution : float
        Half of the last printed digit of the flux, m s-1.
    confidence : float
        Of the intervals.

    Returns
    -------
    WaterSeries

    Raises
    ------
    PhysicsError
        If readings contradict each other.
    """
    pressure, flux = np.asarray(pressure, float), np.asarray(flux, float)
    if not len(flux) or not (pressure > 0).all() or not (flux > 0).all():
        raise PhysicsError("pressures and fluxes must be greater than 0")
    row = np.arange(1, len(flux) + 1) if row is None else np.asarray(row)
    replicate = np.zeros(len(flux), int) if replicate is None else np.asarray(replicate)
    findings: list[str] = []
    used = np.ones(len(flux), bool)
    transient = None
    if time is not None:
        transient, in_transient = find_transient(pressure, flux, np.asarray(time, float), replicate, confidence)
        used &= ~in_transient
        if transient is not None:
            findings += transient_findings(transient, int(in_transient.sum()))
            findings += replicate_findings(pressure, flux, np.asarray(time, float), replicate, in_transient)
    options = {"no_flow": no_flow, "resolution": resolution, "confidence": confidence}
    if transient is not None and not used.any():
        return WaterSeries(
            _of_transient(transient, confidence), None, math.nan, transient, used, tuple(findings)
        )  # fmt: skip
    rising, hysteresis = None, math.nan
    legs = _legs(pressure, row, replicate, used)
    if legs is not None:
        up, down = legs
        rising = permeance_of_readings(pressure[up], flux[up], **options)  # type: ignore[arg-type]
        hysteresis, sentence = _hysteresis(pressure, flux, up, down)
        findings.append(sentence)
        used = down
    # Above a threshold pressure J/P rises steeply from zero: distances from the others' law mean nothing.
    has_threshold = no_flow is not None and len(no_flow) > 0
    outliers: list[int]
    outliers, sentences = ([], []) if has_threshold else outlying_readings(pressure, flux, row, used, resolution)
    if len(outliers):
        with_them = permeance_of_readings(pressure[used], flux[used], **options)  # type: ignore[arg-type]
        used = used.copy()
        used[outliers] = False
    result = permeance_of_readings(pressure[used], flux[used], **options)  # type: ignore[arg-type]
    if len(outliers):  # the sentences begin with those of the outliers
        without, with_all = (f"{value.permeance.value * 3.6e11:.4g}" for value in (result, with_them))
        effect = f"the permeance is {without} LMH/bar without and {with_all} with it"
        sentences = [f"{sentence}; {effect}" for sentence in sentences[: len(outliers)]] + sentences[len(outliers) :]
    findings += sentences
    return WaterSeries(result, rising, hysteresis, transient, used, (*findings, *result.findings))


def _of_transient(transient: Transient, confidence: float) -> WaterPermeance:
    """Permeance of a membrane that was measured at one pressure only, from the plateau of its decline."""
    if transient.is_reached:
        value = transient.plateau.scaled(1 / transient.pressure)
        findings: tuple[str, ...] = ("linearity is not tested by one pressure",)
    else:
        value = Estimate(math.nan, math.nan, transient.last / transient.pressure)
        findings = ()
    nothing = ThresholdBracket(Estimate(), math.nan, math.nan)
    return WaterPermeance(value, {}, math.nan, math.nan, nothing, math.nan, findings)


def _legs(
    pressure: np.ndarray, row: np.ndarray, replicate: np.ndarray, used: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """Readings of the rising and of the falling leg, where the pressure first rises and then falls."""
    if len(np.unique(replicate[used])) > 1:
        return None
    order = np.flatnonzero(used)[np.argsort(row[used], kind="stable")]
    steps = np.diff(pressure[order])
    falling = np.flatnonzero(steps < 0)
    if not len(falling) or (steps[falling[0] :] > 0).any() or not (steps[: falling[0]] > 0).any():
        return None
    up, down = np.zeros(len(pressure), bool), np.zeros(len(pressure), bool)
    up[order[: falling[0] + 1]] = True
    down[order[falling[0] + 1 :]] = True
    common = np.intersect1d(pressure[up], pressure[down])
    return (up, down) if len(common) and down.sum() >= 2 else None


def _hysteresis(pressure: np.ndarray, flux: np.ndarray, up: np.ndarray, down: np.ndarray) -> tuple[float, str]:
    common = np.intersect1d(pressure[up], pressure[down])
    changes = []
    for value in common:
        rising, falling = (float(flux[leg & (pressure == value)].mean()) for leg in (up, down))
        changes.append(1 - falling / rising)
    shown = ", ".join(f"{c:.1%} at {p * 1e-5:.4g} bar" for p, c in zip(common, changes, strict=True))
    return changes[0], f"hysteresis {shown}: the falling leg is the answer (compacted membrane)"
