"""Threshold pressure of a fitted line, at which the flux is 0, with its confidence interval."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.fixed_order import product
from membrane_dask.physics.porometry.intervals import ratio_interval
from membrane_dask.physics.porometry.regression import Fit


@dataclass(frozen=True)
class ThresholdPressure:
    """Threshold pressure ``P0 = -J0 / L`` of the line ``J = L P + J0``.

    Parameters
    ----------
    pressure : float
        Pa; may be negative.
    low, high : float
        Ends of its confidence interval, Pa; infinite where the data do not bound it.
    standard_error : float
        To first order, Pa.
    """

    pressure: float
    low: float
    high: float
    standard_error: float

    @property
    def resolved(self) -> bool:
        """Whether the threshold pressure is significantly greater than 0."""
        return self.low > 0


def threshold_pressure(line: Fit, confidence: float = 0.95) -> ThresholdPressure:
    """Threshold pressure of a fitted line, with Fieller's interval.

    Parameters
    ----------
    line : Fit
        Of the law ``linear``.
    confidence : float
        Of the interval.

    Raises
    ------
    PhysicsError
        If the hydraulic permeability is not greater than 0.
    """
    slope, intercept = line.values
    if not slope > 0:
        raise PhysicsError(f"the flux does not grow with pressure: permeability {slope:.3g} m s-1 Pa-1")
    # Covariance of (-J0, L) from that of (L, J0).
    covariance = line.covariance[::-1, ::-1] * np.array([[1, -1], [-1, 1]])
    low, high = ratio_interval(-intercept, slope, covariance, line.t_quantile(confidence))
    pressure = -intercept / slope
    gradient = np.array([1.0, -pressure]) / slope
    variance = float(product(product(gradient, covariance), gradient))
    return ThresholdPressure(pressure, low, high, math.sqrt(variance) if variance >= 0 else math.nan)
