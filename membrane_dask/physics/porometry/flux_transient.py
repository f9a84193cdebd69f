"""Decline of the water flux at one pressure, as a membrane compacts: plateau and time constant."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from membrane_dask.physics.distributions import normal_cdf, student_quantile
from membrane_dask.physics.elementary import exp, log, power
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.fixed_order import dot, inverse_gram, least_squares
from membrane_dask.physics.porometry.estimates import Estimate
from membrane_dask.physics.porometry.nonlinear_least_squares import levenberg_marquardt

#: Readings of a transient, and the change of the flux that makes one.
_TRANSIENT_READINGS, _TRANSIENT_DRIFT = 6, 0.05
#: Time constants that a transient must last for its plateau to be believed.
_LASTING = 2.0


@dataclass(frozen=True)
class Transient:
    """Decline of the flux at one pressure, ``J_inf + A exp(-t / tau)``.

    Parameters
    ----------
    pressure : float
        Pa.
    plateau : Estimate
        J_inf, m s-1.
    time_constant : Estimate
        tau, s.
    amplitude : float
        A, m s-1.
    duration : float
        Time of the last reading, s.
    last : float
        Last flux, m s-1.
    """

    pressure: float
    plateau: Estimate
    time_constant: Estimate
    amplitude: float
    duration: float
    last: float

    @property
    def is_reached(self) -> bool:
        """Whether the readings last long enough for the plateau."""
        return self.duration >= _LASTING * self.time_constant.value


def find_transient(
    pressure: np.ndarray, flux: np.ndarray, time: np.ndarray, replicate: np.ndarray, confidence: float
) -> tuple[Transient | None, np.ndarray]:
    """The longest decline at one pressure, of the mean of all replicates, and its readings."""
    nothing = np.zeros(len(flux), bool)
    times = np.unique(time)
    at_time = [np.flatnonzero(time == t) for t in times]
    if len(times) < _TRANSIENT_READINGS or any(len(np.unique(pressure[k])) > 1 for k in at_time):
        return None, nothing
    steps = np.array([pressure[k[0]] for k in at_time])
    means = np.array([float(flux[k].mean()) for k in at_time])
    starts = [0, *(np.flatnonzero(np.diff(steps) != 0) + 1).tolist(), len(steps)]
    spans = [(a, b) for a, b in pairwise(starts) if b - a >= _TRANSIENT_READINGS]
    spans = [(a, b) for a, b in spans if abs(means[b - 1] / means[a] - 1) > _TRANSIENT_DRIFT]
    if not spans:
        return None, nothing
    begin, end = max(spans, key=lambda span: span[1] - span[0])
    if end < len(steps) and end - begin > _TRANSIENT_READINGS:
        end -= 1  # the last reading before the pressure changes is the first one of the steady series
    transient = fit_transient(times[begin:end], means[begin:end], float(steps[begin]), confidence)
    inside = np.isin(time, times[begin:end])
    return transient, inside


def fit_transient(time: np.ndarray, flux: np.ndarray, pressure: float, confidence: float = 0.95) -> Transient:
    """Fit the decline of the flux at one pressure.

    Parameters
    ----------
    time, flux : (n,) float array
        s and m s-1, n >= 6.
    pressure : float
        Pa.
    confidence : float
        Of the intervals.

    Raises
    ------
    PhysicsError
        If the fit does not converge.
    """
    values, covariance, _ = _decline(time, flux, with_exponent=False)
    quantile = float(student_quantile((1 + confidence) / 2, len(flux) - 3))
    errors = quantile * np.sqrt(np.diag(covariance))
    plateau, tau = (
        Estimate(float(v), float(v - e), float(v + e)) for v, e in ((values[0], errors[0]), (values[2], errors[2]))
    )
    return Transient(pressure, plateau, tau, float(values[1]), float(time.max() - time.min()), float(flux[-1]))


def _decline(time: np.ndarray, flux: np.ndarray, *, with_exponent: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Plateau, amplitude, time constant (and exponent) of a decline; their covariance; residuals."""
    start, span, size = float(time.min()), float(time.max() - time.min()), float(np.abs(flux).max())
    t, y = (time - start) / span, flux / size

    def argument_and_decay(v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        ratio = t / v[2]
        argument = power(np.maximum(ratio, 1e-300), v[3]) if with_exponent else ratio
        argument = np.where(t > 0, argument, 0.0)
        return argument, np.asarray(exp(-argument))

    def residuals(v: np.ndarray) -> np.ndarray:
        if v[2] <= 0 or (with_exponent and v[3] <= 0):
            return np.full(len(y), 1e6)
        return np.asarray(v[0] + v[1] * argument_and_decay(v)[1] - y)

    def jacobian(v: np.ndarray) -> np.ndarray:
        argument, decay = argument_and_decay(v)
        exponent = v[3] if with_exponent else 1.0
        columns = [np.ones(len(t)), decay, v[1] * decay * argument * exponent / v[2]]
        if with_exponent:
            logarithm = np.where(t > 0, log(np.maximum(t / v[2], 1e-300)), 0.0)
            columns.append(-v[1] * decay * argument * logarithm)
        return np.stack(columns, axis=-1)

    best: tuple[float, np.ndarray] | None = None
    for guess in (0.3, 1.0, 0.1, 3.0):
        linear = np.stack([np.ones(len(t)), exp(-t / guess)], axis=-1)
        plateau, amplitude = least_squares(linear, y)
        first = [float(plateau), float(amplitude), guess] + ([1.0] if with_exponent else [])
        try:
            values = levenberg_marquardt(residuals, jacobian, np.array(first))
        except PhysicsError:
            continue
        square_sum = dot(residuals(values), residuals(values))
        if best is None or square_sum < best[0] * (1 - 1e-9):
            best = (square_sum, values)
    if best is None:
        raise PhysicsError("the decline of the flux at one pressure has no plateau that a fit would find")
    square_sum, values = best
    derivatives = jacobian(values)
    norms = np.sqrt(np.square(derivatives).sum(axis=0))
    variance = square_sum / max(len(y) - len(values), 1)
    covariance = variance * inverse_gram(derivatives / norms) / np.outer(norms, norms)
    scale = np.array([size, size, span, 1.0])[: len(values)]
    return values * scale, covariance * np.outer(scale, scale), residuals(values) * size


def transient_findings(transient: Transient, count: int) -> list[str]:
    """Sentences on a decline of the flux of some readings."""
    bar, minutes = transient.pressure * 1e-5, transient.time_constant.value / 60
    shown = f"{transient.plateau.value * 3.6e6:.4g} L m-2 h-1"
    findings = [
        f"{count} readings at {bar:.4g} bar decline with a time constant of {minutes:.4g} min to {shown}; they stay "
        "out of the permeance"
    ]
    if not transient.is_reached:
        ratio = transient.duration / transient.time_constant.value
        findings.append(
            f"plateau not reached: the readings last {transient.duration / 60:.4g} min, {ratio:.2g} time constants; "
            f"the last reading, {transient.last * 3.6e6:.4g} L m-2 h-1, is the upper bound"
        )
    return findings


def replicate_findings(
    pressure: np.ndarray, flux: np.ndarray, time: np.ndarray, replicate: np.ndarray, inside: np.ndarray
) -> list[str]:
    """Plateaus of single specimens and that of their mean, and a stretched exponential where residuals have runs."""
    findings, plateaus = [], []
    numbers = np.unique(replicate[inside])
    for number in numbers if len(numbers) > 1 else []:
        own = inside & (replicate == number)
        order = np.argsort(time[own], kind="stable")
        try:
            values, covariance, _ = _decline(time[own][order], flux[own][order], with_exponent=False)
        except PhysicsError:
            plateaus.append("none")
            continue
        is_resolved = values[0] > 0 and math.sqrt(covariance[0, 0]) < values[0]
        plateaus.append(f"{values[0] * 3.6e6:.4g}" if is_resolved else "none")
    if plateaus:
        findings.append(f"plateaus of the single replicates: {', '.join(plateaus)} L m-2 h-1")
    times = np.unique(time[inside])
    means = np.array([float(flux[inside & (time == t)].mean()) for t in times])
    try:
        _, _, residuals = _decline(times, means, with_exponent=False)
        if _has_runs(residuals):
            values, _, _ = _decline(times, means, with_exponent=True)
            plateau = f"the plateau {values[0] * 3.6e6:.4g} L m-2 h-1" if values[0] > 0 else "no plateau above 0"
            findings.append(
                f"residuals of the exponential have runs; a stretched one with exponent {values[3]:.2g} has {plateau}"
            )
    except PhysicsError:
        pass
    return findings


def _has_runs(residuals: np.ndarray) -> bool:
    """Whether signs of residuals follow each other in fewer runs than chance gives (Wald and Wolfowitz, 5 %)."""
    positive = residuals > 0
    n1, n2 = int(positive.sum()), int((~positive).sum())
    n = n1 + n2
    if n1 == 0 or n2 == 0 or n < 10:
        return False
    runs = 1 + int((positive[1:] != positive[:-1]).sum())
    mean = 1 + 2 * n1 * n2 / n
    variance = (mean - 1) * (mean - 2) / (n - 1)
    return variance > 0 and float(normal_cdf((runs - mean) / math.sqrt(variance))) < 0.05
