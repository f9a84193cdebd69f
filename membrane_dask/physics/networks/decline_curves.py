"""Flux of a fouling filter against its throughput and time, for every deposition coefficient in a range."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from membrane_dask.physics.elementary import exp, geometric_sequence, log
from membrane_dask.physics.errors import PhysicsError

#: Fractions of the initial flux at which a curve is stored; flux below the last one is extrapolated.
FLUX_FRACTIONS: np.ndarray = np.concatenate([1.0 - 0.01 * np.arange(1, 80), geometric_sequence(0.2, 0.01, 60)])

#: Logarithms of the flux fractions.
_LOG_FRACTIONS: np.ndarray = np.asarray(log(FLUX_FRACTIONS))


@dataclass(frozen=True)
class DeclineCurve:
    """Decline of the flux of one network with one deposition coefficient.

    Parameters
    ----------
    throughput : (n_fractions,) ndarray
        Throughput ``h`` at which the flux has fallen to each of :data:`FLUX_FRACTIONS`.
    duration : (n_fractions,) ndarray
        Time until then in units of the throughput over the initial flux, ``u = q_0 t / lambda``: the integral of
        ``dh`` over the fraction of the flux.
    initial_concentration : float
        Foulant concentration at the outlets of the clean filter.
    """

    throughput: np.ndarray
    duration: np.ndarray
    initial_concentration: float

    def log_flux_at_throughput(self, throughput: np.ndarray) -> np.ndarray:
        """Logarithm of the flux over the initial one at throughputs of any shape."""
        return _interpolate(throughput, self.throughput, _LOG_FRACTIONS)

    def log_flux_at_duration(self, duration: np.ndarray) -> np.ndarray:
        """Logarithm of the flux over the initial one at durations of any shape."""
        return _interpolate(duration, self.duration, _LOG_FRACTIONS)

    def throughput_at_duration(self, duration: np.ndarray) -> np.ndarray:
        """Throughput at durations of any shape."""
        return _interpolate(duration, self.duration, self.throughput)


def decline_curve(flux: np.ndarray, initial_concentration: float, deposition: float, time_step: float) -> DeclineCurve:
    """Decline of a filter from the history of its flux.

    Parameters
    ----------
    flux : (n_times,) ndarray
        Flux at every time step, decreasing, at the last one at most a hundredth of the first.
    initial_concentration : float
        Foulant concentration at the outlets of the clean filter.
    deposition, time_step : float
        Deposition coefficient and time step of the history.

    Returns
    -------
    DeclineCurve

    Raises
    ------
    PhysicsError
        If the flux rises, or does not fall to a hundredth.

    Notes
    -----
    The flux is linear between steps.
    """
    fraction = flux / flux[0]
    if (np.diff(fraction) >= 0).any() or fraction[-1] > FLUX_FRACTIONS[-1]:
        raise PhysicsError(
            f"the flux of the filter must fall at every step, to {FLUX_FRACTIONS[-1]:g} of the first "
            f"(it ends at {fraction[-1]:.3g})"
        )
    after = np.searchsorted(-fraction, -FLUX_FRACTIONS)  # first step at or below
    before = after - 1
    step_fraction = (fraction[before] - FLUX_FRACTIONS) / (fraction[before] - fraction[after])
    integral = np.concatenate([[0.0], np.cumsum((fraction[1:] + fraction[:-1]) / 2)])
    volume = integral[before] + step_fraction * (fraction[before] + FLUX_FRACTIONS) / 2
    scale = flux[0] * time_step / deposition
    return DeclineCurve(volume * scale, (before + step_fraction) * scale, initial_concentration)


@dataclass(frozen=True)
class DeclineCurves:
    """Declines of an ensemble of networks with one law, for a grid of deposition coefficients.

    Parameters
    ----------
    deposition : (n,) ndarray
        Deposition coefficients, a geometric sequence of at least four.
    throughput, duration : (networks, n, n_fractions) ndarray
        As in :class:`DeclineCurve`.
    initial_concentration : (networks, n) ndarray
        As in :class:`DeclineCurve`.

    Notes
    -----
    ``h / (1 - f)`` at the fraction ``f`` of the initial flux and its logarithm are smooth functions of the logarithm of
    the deposition coefficient. Between the coefficients of the grid they are interpolated by cubics, and between the
    fractions linearly.
    """

    deposition: np.ndarray
    throughput: np.ndarray
    duration: np.ndarray
    initial_concentration: np.ndarray

    @classmethod
    def of_networks(cls, deposition: np.ndarray, curves: Sequence[Sequence[DeclineCurve]]) -> DeclineCurves:
        """Collect the curves of every network, one for each deposition coefficient."""
        arrays = (
            np.array([[getattr(curve, name) for curve in network] for network in curves])
            for name in ("throughput", "duration", "initial_concentration")
        )
        return cls(np.asarray(deposition, float), *arrays)

    @property
    def n_networks(self) -> int:
        """Number of networks."""
        return len(self.throughput)

    @cached_property
    def log_range(self) -> tuple[float, float]:
        """Logarithms of the smallest and the largest deposition coefficient."""
        return float(log(self.deposition[0])), float(log(self.deposition[-1]))

    def network(self, k: int) -> DeclineCurves:
        """Curves of one network."""
        tables = (self.throughput, self.duration, self.initial_concentration)
        return DeclineCurves(self.deposition, *(table[k : k + 1] for table in tables))

    @cached_property
    def _mean_logs(self) -> tuple[np.ndarray, ...]:
        """Logarithms of the tables, means over the networks, (n, n_fractions) and (n,)."""
        remaining = 1.0 - FLUX_FRACTIONS
        concentration = np.maximum(self.initial_concentration, 1e-300)  # of a filtrate without foulant
        tables = self.throughput / remaining, self.duration / remaining, concentration
        return tuple(np.asarray(log(table)).mean(axis=0) for table in tables)

    def at(self, log_deposition: float) -> DeclineCurve:
        """Mean curve of one deposition coefficient.

        Parameters
        ----------
        log_deposition : float
            Its logarithm, within the range of the grid.

        Returns
        -------
        DeclineCurve
        """
        low, high = self.log_range
        n = len(self.deposition)
        position = (log_deposition - low) / (high - low) * (n - 1)
        first = min(max(math.floor(position) - 1, 0), n - 4)
        weights = _cubic_weights(position - first)
        throughput, duration, concentration = (
            exp(sum(weight * table[first + i] for i, weight in enumerate(weights))) for table in self._mean_logs
        )
        remaining = 1.0 - FLUX_FRACTIONS
        return DeclineCurve(throughput * remaining, duration * remaining, float(concentration))


def _cubic_weights(x: float) -> tuple[float, ...]:
    """Lagrange weights of values at 0, 1, 2 and 3 for the value at ``x``."""
    a, b, c = x - 1, x - 2, x - 3
    return -a * b * c / 6, x * b * c / 2, -x * a * c / 2, x * a * b / 6


def _interpolate(x: np.ndarray, axis: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Piecewise linear function through the origin and ``(axis, values)``, extrapolated beyond the last point."""
    inside = np.interp(x, np.concatenate([[0.0], axis]), np.concatenate([[0.0], values]))
    slope = (values[-1] - values[-2]) / (axis[-1] - axis[-2])
    return np.asarray(np.where(x > axis[-1], values[-1] + slope * (x - axis[-1]), inside))
