"""Fit of a log-normal distribution of the pore radius to the flow of the pores that are open at rising pressures."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from membrane_dask.physics.distributions import student_quantile
from membrane_dask.physics.elementary import exp, log
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.fixed_order import dot, inverse_gram, product
from membrane_dask.physics.porometry.estimates import NORMAL_QUANTILE, Estimate
from membrane_dask.physics.porometry.gas_flow_in_pores import (
    GasStream,
    open_flow_fraction,
    open_flow_fraction_slopes,
)
from membrane_dask.physics.porometry.nonlinear_least_squares import levenberg_marquardt

#: Rounds of reweighting; the weights follow the model and converge in a few.
_ROUNDS = 8
#: Log-standard deviations between which the fit searches, and the largest half-width of its interval that counts as a
#: result, in the logarithm: a factor of 10.
_WIDTHS, _LARGEST_HALF_WIDTH = (1e-3, 3.0), 2.3
#: Degrees of freedom of a covariance that does not come from residuals.
_MANY = 300.0
_NOT_DETERMINED = "the readings do not determine a log-normal distribution"


@dataclass(frozen=True)
class LogNormalOpening:
    """Flow median and log-standard deviation of the pore radius, and the flow when all pores are open.

    Parameters
    ----------
    flow_median_radius : float
        ``r_4 = r_N exp(4 s^2)``, m.
    log_sd : float
        s.
    final_flow : float
        When all pores are open, in the unit of the readings.
    covariances : tuple of ((3, 3) float array, float)
        Covariance of ``ln r_4``, ``ln s`` and ``ln final_flow`` and its degrees of freedom; if there are several,
        the widest interval counts. The last row and column are 0 if the final flow was fixed.
    tension_error, gauge_error : float
        Relative standard deviations of the surface tension and of the pressures, which all readings have in common.
    fraction : (n,) float array
        Fraction of the flow that is open at each reading, of the model.
    misfit : float
        Largest residual over the final flow.
    """

    flow_median_radius: float
    log_sd: float
    final_flow: float
    covariances: tuple[tuple[np.ndarray, float], ...]
    tension_error: float
    gauge_error: float
    fraction: np.ndarray
    misfit: float

    def estimate(
        self, value: float, slopes: tuple[float, float, float], pressure_power: float = 0.0, extra_error: float = 0.0
    ) -> Estimate:
        """95 % interval of a positive quantity.

        Parameters
        ----------
        value : float
        slopes : (3,) tuple of float
            Derivatives of its logarithm by ``ln r_4``, ``ln s`` and ``ln final_flow``.
        pressure_power : float
            Power of the pressures in the quantity at constant radii, through which the error of the gauge acts as well.
        extra_error : float
            Relative standard deviation from other sources.
        """
        gradient = np.array(slopes)
        squared = max(
            np.square(student_quantile(0.975, degrees_of_freedom)) * dot(gradient, product(covariance, gradient))
            for covariance, degrees_of_freedom in self.covariances
        )
        # Radii are proportional to the tension over the pressure.
        common = np.square(
            [slopes[0] * self.tension_error, (pressure_power - slopes[0]) * self.gauge_error, extra_error]
        )
        half_width = math.sqrt(squared + NORMAL_QUANTILE * NORMAL_QUANTILE * float(common.sum()))
        return Estimate(value, value * float(exp(-half_width)), value * float(exp(half_width)))

    def radius(self, order: float) -> Estimate:
        """``r_N exp(order s^2)``, m: 0 the number median, 3 the hydraulic radius, 4 the flow median."""
        variance = self.log_sd * self.log_sd
        value = self.flow_median_radius * float(exp((order - 4) * variance))
        return self.estimate(value, (1.0, 2 * (order - 4) * variance, 0.0))

    @property
    def log_sd_estimate(self) -> Estimate:
        """S with its interval."""
        return self.estimate(self.log_sd, (0.0, 1.0, 0.0))


def fit_opening(
    pressure: np.ndarray,
    flow: np.ndarray,
    constant: float,
    *,
    final_flow: float | None,
    relative_error: float,
    floor: float,
    tension_error: float = 0.0,
    gauge_error: float = 0.0,
    stream: GasStream | None = None,
    common_errors: np.ndarray | None = None,
) -> LogNormalOpening:
    """Fit the fraction of the flow, or the permeance, of open pores.

    The standard deviation of a reading is ``sqrt((relative_error model)^2 + (floor final_flow)^2)`` times a common
    factor that the residuals determine; the weights follow the model (iteratively reweighted least squares). With
    equal weights (``relative_error`` 0), intervals also allow for errors that are not equal.

    Parameters
    ----------
    pressure, flow : (n,) float array
        Pa, rising; flow of the open pores over the pressure, or over the flow of all pores.
    constant : float
        Radius times capillary pressure, N m-1.
    final_flow : float or None
        When all pores are open; None: a parameter of the fit.
    relative_error, floor : float
        Of one reading; over the model, and over the final flow.
    tension_error, gauge_error : float
        Relative standard deviations of surface tension and pressure that all readings have in common.
    stream : GasStream, optional
        As in :func:`open_flow_fraction`.
    common_errors : (n, k) float array, optional
        Its product with its transpose is the covariance of errors that are not independent, in the unit of the flow.
        Residuals do not show them, and intervals allow for them.

    Raises
    ------
    PhysicsError
        If the readings do not determine the parameters: fewer than two between 2 and 98 % of the flow, no degree of
        freedom is left, the fit does not converge, or the width is uncertain by more than a factor of 10.
    """
    n_parameters = 2 if final_flow is not None else 3
    end = float(flow.max()) if final_flow is None else final_flow
    resolved = np.count_nonzero((flow > 0.02 * end) & (flow < 0.98 * end))
    if resolved < 2 or len(flow) <= n_parameters:
        raise PhysicsError(
            f"a distribution needs at least two readings between 2 and 98 % of the flow and {n_parameters + 1} in all "
            f"(there are {resolved} and {len(flow)})"
        )
    middle, width = _initial_values(pressure, flow / end)
    reference = constant / middle
    values = np.array([0.0, float(log(width)), 0.0][:n_parameters])
    narrowest, widest = (float(log(limit)) for limit in _WIDTHS)

    def parameters(values: np.ndarray) -> tuple[float, float, float]:
        log_sd = float(exp(min(max(values[1], narrowest), widest)))
        median = reference * float(exp(values[0] - 4 * log_sd * log_sd))
        return median, log_sd, end * float(exp(values[2])) if final_flow is None else end

    def model(values: np.ndarray) -> np.ndarray:
        median, log_sd, last = parameters(values)
        return np.asarray(last * open_flow_fraction(pressure, constant, median, log_sd, stream))

    def slopes(values: np.ndarray) -> np.ndarray:
        median, log_sd, last = parameters(values)
        columns = last * open_flow_fraction_slopes(pressure, constant, median, log_sd, stream)
        return columns if final_flow is not None else np.column_stack([columns, model(values)])

    def minimum(deviation: np.ndarray, values: np.ndarray) -> np.ndarray:
        return levenberg_marquardt(
            lambda v: (model(v) - flow) / deviation, lambda v: slopes(v) / deviation[:, None], values
        )

    expected = flow
    for _ in range(_ROUNDS):
        deviation = np.sqrt(np.square(relative_error * expected) + np.square(floor * end))
        try:
            values = minimum(deviation, values)
        except PhysicsError as error:
            raise PhysicsError(f"{_NOT_DETERMINED}: {error}") from None
        if not narrowest < values[1] < widest:
            raise PhysicsError(f"{_NOT_DETERMINED}: its width leaves {_WIDTHS[0]:g} to {_WIDTHS[1]:g}")
        expected = model(values)
    residuals = (expected - flow) / deviation
    degrees_of_freedom = len(flow) - n_parameters
    design = slopes(values) / deviation[:, None]
    estimates = [(dot(residuals, residuals) / degrees_of_freedom * inverse_gram(design), float(degrees_of_freedom))]
    if relative_error == 0:
        estimates.append(_robust_covariance(design, residuals))
    if common_errors is not None:
        influence = product(product(design, inverse_gram(design)).T, common_errors / deviation[:, None])
        estimates.append((product(influence, influence.T), _MANY))
    median, log_sd, last = parameters(values)
    opening = LogNormalOpening(
        flow_median_radius=median * float(exp(4 * log_sd * log_sd)),
        log_sd=log_sd,
        final_flow=last,
        covariances=tuple((_padded(covariance), degrees) for covariance, degrees in estimates),
        tension_error=tension_error,
        gauge_error=gauge_error,
        fraction=expected / last,
        misfit=float(np.abs(expected - flow).max()) / last,
    )
    width_interval = opening.log_sd_estimate
    if not float(log(width_interval.high / log_sd)) < _LARGEST_HALF_WIDTH:
        raise PhysicsError(
            f"{_NOT_DETERMINED}: the interval of its width is {width_interval.low:.2g} to {width_interval.high:.2g}"
        )
    return opening


def _robust_covariance(design: np.ndarray, residuals: np.ndarray) -> tuple[np.ndarray, float]:
    """Covariance of fitted parameters that does not assume equal errors (HC3), and its degrees of freedom.

    The degrees of freedom are those of a weighted sum of squared residuals (Satterthwaite), of the parameter with the
    fewest: few readings may determine a parameter.

    References
    ----------
    MacKinnon and White, J. Econometrics 29, 305 (1985).
    """
    influence = product(design, inverse_gram(design))
    leverage = (influence * design).sum(axis=1)
    scaled = influence * (residuals / np.maximum(1 - leverage, 1e-6))[:, None]
    squares = np.square(influence)
    degrees_of_freedom = np.square(squares.sum(axis=0)) / np.square(squares).sum(axis=0)
    return product(scaled.T, scaled), float(degrees_of_freedom.min())


def _padded(covariance: np.ndarray) -> np.ndarray:
    """A covariance of two or three parameters as one of three."""
    padded = np.zeros((3, 3))
    padded[: len(covariance), : len(covariance)] = covariance
    return padded


def _initial_values(pressure: np.ndarray, fraction: np.ndarray) -> tuple[float, float]:
    """Pressure at which half of the flow is open, and the width in ln p, from the readings that enclose 16 to 84 %."""
    log_pressure, rising = log(pressure), np.maximum.accumulate(fraction)
    low, middle, high = (float(np.interp(level, rising, log_pressure)) for level in (0.16, 0.5, 0.84))
    return float(exp(middle)), min(max((high - low) / 2, 0.02), 1.5)
