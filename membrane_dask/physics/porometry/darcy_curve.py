"""Flux curve with a linear Darcy regime and a logarithmic non-linear regime above a critical pressure."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from membrane_dask.physics.elementary import exp, log
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.fixed_order import real_roots


@dataclass(frozen=True)
class DarcyCurve:
    """Flux that is linear up to a critical pressure and logarithmic above it (Palencia Eq. 14).

    Parameters
    ----------
    slope, offset : float
        ``m1`` and ``m0`` of the logarithmic branch ``J = m1 ln P + m0``, m s-1.
    threshold : float
        Threshold pressure of the linear regime, Pa.
    """

    slope: float
    offset: float
    threshold: float

    @property
    def log_threshold(self) -> float:
        """Pressure at which the logarithmic branch has no flux, ``Pnl = exp(-m0 / m1)``, Pa.

        NaN where the flux does not grow with the pressure.
        """
        if not self.slope > 0:
            return math.nan
        return float(exp(min(-self.offset / self.slope, 700.0)))

    @property
    def critical_pressure(self) -> float:
        """Pressure at which the line from the threshold is tangent to the logarithmic branch, Pa.

        It solves ``ln(Pc / Pnl) = 1 - P0 / Pc``; with Lambert's function, ``Pc = -P0 / W(-P0 / (e Pnl))``.

        Raises
        ------
        PhysicsError
            If the threshold exceeds :attr:`log_threshold`: then no tangent exists.
        """
        ratio = self.threshold / self.log_threshold
        if ratio > 1 + 1e-12:
            raise PhysicsError(
                f"no tangent: the threshold pressure, {self.threshold / 1e3:.4g} kPa, exceeds that of the logarithmic "
                f"branch, {self.log_threshold / 1e3:.4g} kPa"
            )
        if abs(ratio) < 1e-9:
            return math.e * self.log_threshold
        if ratio > 1 - 1e-12:
            return self.threshold
        return -self.threshold / _lambert(-ratio / math.e)

    @property
    def critical_flux(self) -> float:
        """Flux at the critical pressure, m s-1."""
        return self.slope * float(log(self.critical_pressure)) + self.offset

    @property
    def permeability(self) -> float:
        """Hydraulic permeability of the linear regime, ``m1 / Pc``, m s-1 Pa-1."""
        return self.slope / self.critical_pressure

    @property
    def flux_at_log_threshold(self) -> float:
        """Flux of the linear regime at :attr:`log_threshold`, m s-1 (Palencia Eq. 35).

        Over its distance from the threshold it has the same ratio as the critical flux has: the permeability.
        """
        return self.permeability * (self.log_threshold - self.threshold)

    def segment_length(self, thickness: float) -> float:
        """Length of the linear segment with pressures divided by the thickness (Palencia Eq. 34).

        The equation adds a squared pressure gradient to a squared flux. In SI units the flux is below the last bit of
        the sum: the length is the pressure gradient ``(Pc - P0) / y``.

        Parameters
        ----------
        thickness : float
            Of the membrane, m, > 0.

        Returns
        -------
        float
            Pa m-1.
        """
        gradient = (self.critical_pressure - self.threshold) / thickness
        return math.sqrt(gradient * gradient + self.critical_flux * self.critical_flux)

    def flux(self, pressure: np.ndarray) -> np.ndarray:
        """Flux at pressures, m s-1; 0 below the threshold."""
        pressure = np.asarray(pressure, float)
        critical = self.critical_pressure
        linear = self.permeability * np.maximum(pressure - self.threshold, 0.0)
        return np.where(pressure <= critical, linear, self.slope * log(np.maximum(pressure, critical)) + self.offset)


def _lambert(x: float) -> float:
    """Principal branch of Lambert's function for ``x > -1/e``, by Halley's method."""
    w = math.sqrt(2 * (1 + math.e * x)) - 1 if x < 0.5 else float(log(x + 1))
    for _ in range(50):
        growth = float(exp(w))
        error = w * growth - x
        step = error / (growth * (w + 1) - (w + 2) * error / (2 * w + 2))
        w -= step
        if abs(step) <= 1e-15 * abs(w):
            break
    return w


def cubic_threshold(coefficients: np.ndarray, lowest: float) -> float:
    """Threshold pressure as the root of a cubic below the data, Pa (Palencia Sec. 3.6).

    Parameters
    ----------
    coefficients : (4,) float array
        ``m3, m2, m1, m0`` of the flux as a cubic of the pressure.
    lowest : float
        Lowest pressure of the data, Pa.

    Raises
    ------
    PhysicsError
        Unless exactly one real root is below the data.
    """
    roots = real_roots(coefficients)
    below = roots[roots < lowest]
    if len(below) != 1:
        text = ", ".join(f"{root / 1e3:.4g}" for root in below) or "none"
        raise PhysicsError(
            f"the cubic must have one real root below the data ({lowest / 1e3:g} kPa); it has {text} kPa"
        )
    return float(below[0])
