"""From flux against pressure to pores: Young-Laplace, Hagen-Poiseuille, and Darcy's curve beyond its straight part.

All in SI units. A volumetric flux J (m s-1) at a pressure P (Pa) follows ``J = L P + J0``; the threshold pressure is
``-J0 / L``. Pores are straight cylinders: ``L = eps r^2 / (8 mu y)``, ``eps = n pi r^2 / A`` (Palencia Eqs. 9 and 2).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import lambertw

from membrane_dask.physics.networks.pore_network import PhysicsError
from membrane_dask.physics.porometry.flux_laws import Fit, ratio_interval


def laplace_constant(surface_tension: float, contact_angle: float) -> float:
    """``2 gamma cos(theta)``, N m-1 (Palencia Eq. 7).

    Parameters
    ----------
    surface_tension : float
        N m-1, > 0.
    contact_angle : float
        Degrees, in [0, 90).

    Raises
    ------
    ValueError
        Outside these ranges: a liquid that does not wet the pores is not drawn into them.
    """
    _positive("surface tension", surface_tension, "N m-1")
    if not 0 <= contact_angle < 90:
        raise ValueError(f"contact angle: must be at least 0 and less than 90 degrees (got {contact_angle})")
    return 2 * surface_tension * math.cos(math.radians(contact_angle))


def young_laplace_radius(threshold: float, constant: float) -> float:
    """Radius of the pores that a pressure opens, m (Palencia Eq. 7).

    Parameters
    ----------
    threshold : float
        Pa, > 0.
    constant : float
        :func:`laplace_constant`, N m-1.

    Raises
    ------
    ValueError
        If the pressure is not greater than 0.
    """
    _positive("threshold pressure", threshold, "Pa")
    return constant / threshold


def hydraulic_permeability(radius: float, porosity: float, thickness: float, viscosity: float) -> float:
    """Permeability of parallel cylinders, m s-1 Pa-1 (Hagen-Poiseuille; Palencia Eq. 9).

    Parameters
    ----------
    radius, thickness : float
        m, > 0.
    porosity : float
        In (0, 1).
    viscosity : float
        Pa s, within 1e-5 to 0.1.

    Raises
    ------
    ValueError
        Outside these ranges.
    """
    _positive("radius", radius, "m")
    _positive("thickness", thickness, "m")
    _fraction(porosity)
    return porosity * radius**2 / (8 * check_viscosity(viscosity) * thickness)


def porosity_of(permeability: float, radius: float, thickness: float, viscosity: float) -> float:
    """Surface porosity that cylinders need to let so much pass (Palencia Eq. 9).

    Raises
    ------
    PhysicsError
        If it would be 1 or more: no such membrane can be; the message says how thin it would have to be.
    ValueError
        If an argument is not greater than 0.
    """
    _positive("hydraulic permeability", permeability, "m s-1 Pa-1")
    _positive("radius", radius, "m")
    _positive("thickness", thickness, "m")
    porosity = 8 * check_viscosity(viscosity) * thickness * permeability / radius**2
    if porosity >= 1:
        raise PhysicsError(
            f"pores of {radius * 1e9:.4g} nm through {thickness * 1e6:.4g} um would need a porosity of {porosity:.3g}; "
            f"it is less than 1 only below {largest_thickness(permeability, radius, viscosity) * 1e6:.3g} um"
        )
    return porosity


def largest_thickness(permeability: float, radius: float, viscosity: float) -> float:
    """Thickness at which pores of a radius would have to fill the whole membrane, m."""
    return radius**2 / (8 * viscosity * permeability)


def pore_number(porosity: float, radius: float, area: float) -> float:
    """Number of cylinders in an area (Palencia Eq. 2)."""
    return porosity * area / (math.pi * radius**2)


def permeability_of_structure(darcy: float, thickness: float, viscosity: float) -> float:
    """Hydraulic permeability, m s-1 Pa-1, of a structure of Darcy permeability ``darcy``, m2, and a thickness, m."""
    return darcy / (check_viscosity(viscosity) * thickness)


def check_viscosity(viscosity: float) -> float:
    """The viscosity, if it can be one of a liquid in Pa s.

    Raises
    ------
    ValueError
        Outside 1e-5 to 0.1 Pa s: 0.891, say, is a viscosity in mPa s.
    """
    if not 1e-5 <= viscosity <= 0.1:
        raise ValueError(f"viscosity: must lie within 1e-5 and 0.1 Pa s (got {viscosity}); is it in mPa s?")
    return viscosity


def _positive(name: str, value: float, unit: str) -> None:
    if not 0 < value < math.inf:
        raise ValueError(f"{name}: must be greater than 0 {unit} (got {value})")


def _fraction(porosity: float) -> None:
    if not 0 < porosity < 1:
        raise ValueError(f"porosity: must lie within 0 and 1 (got {porosity})")


@dataclass(frozen=True)
class Threshold:
    """Pressure at which a line meets no flux, with what is known of it.

    Parameters
    ----------
    pressure : float
        ``-J0 / L``, Pa; of any sign.
    low, high : float
        Ends of its interval (Fieller), Pa; infinite where the data set none.
    error : float
        First-order standard error, Pa.
    """

    pressure: float
    low: float
    high: float
    error: float

    @property
    def resolved(self) -> bool:
        """Whether the data tell it from 0."""
        return self.low > 0


def threshold(line: Fit, confidence: float = 0.95) -> Threshold:
    """Threshold pressure of a fitted line, ``-J0 / L``.

    Parameters
    ----------
    line : Fit
        Of the law ``linear``.
    confidence : float
        Of the interval.

    Raises
    ------
    PhysicsError
        If the permeability is not greater than 0.
    """
    slope, intercept = line.values
    if not slope > 0:
        raise PhysicsError(f"the flux does not grow with pressure: permeability {slope:.3g} m s-1 Pa-1")
    turned = line.covariance[::-1, ::-1] * np.array([[1, -1], [-1, 1]])
    low, high = ratio_interval(-intercept, slope, turned, line.reach(confidence))
    pressure = -intercept / slope
    gradient = np.array([1.0, -pressure]) / slope
    variance = float(gradient @ turned @ gradient)
    return Threshold(pressure, low, high, math.sqrt(variance) if variance >= 0 else math.nan)


def line_of(permeability: float, intercept: float, r_squared: float, pressures: np.ndarray) -> Fit:
    """The fit behind a printed line: its covariance follows from r2 and the pressures.

    Parameters
    ----------
    permeability, intercept : float
        m s-1 Pa-1, > 0, and m s-1.
    r_squared : float
        In (0, 1].
    pressures : (n,) float array
        Pa, of the points that were fitted, without replicates.

    Returns
    -------
    Fit
        As :func:`membrane_dask.physics.fits.fit` would have given for them.
    """
    n = len(pressures)
    spread = float(((pressures - pressures.mean()) ** 2).sum())
    square = permeability**2 * spread * (1 - r_squared) / r_squared / (n - 2)
    design = np.stack([pressures, np.ones(n)], axis=-1)
    covariance = square * np.linalg.inv(design.T @ design)
    return Fit("linear", np.array([permeability, intercept]), covariance, n - 2, math.sqrt(square), r_squared)


@dataclass(frozen=True)
class DarcyCurve:
    """Flux that grows with the pressure up to a critical one, and with its logarithm beyond (Palencia Eq. 14).

    Parameters
    ----------
    slope, offset : float
        ``m1`` and ``m0`` of ``J = m1 ln P + m0``, m s-1.
    threshold : float
        Pressure of no flux on the straight part, Pa.
    """

    slope: float
    offset: float
    threshold: float

    @property
    def log_threshold(self) -> float:
        """Pressure at which the logarithm's branch would meet no flux, ``exp(-m0 / m1)``, Pa.

        NaN where the branch does not grow.
        """
        if not self.slope > 0:
            return math.nan
        return math.exp(min(-self.offset / self.slope, 700.0))

    @property
    def critical_pressure(self) -> float:
        """Where the line from the threshold touches the logarithm's branch, Pa.

        It solves ``ln(Pc / Pnl) = 1 - P0 / Pc``; with Lambert's function, ``Pc = -P0 / W(-P0 / (e Pnl))``.

        Raises
        ------
        PhysicsError
            If the threshold exceeds :attr:`log_threshold`: no line from there touches the branch.
        """
        share = self.threshold / self.log_threshold
        if share > 1 + 1e-12:
            raise PhysicsError(
                f"no tangent: the threshold pressure, {self.threshold / 1e3:.4g} kPa, exceeds that of the logarithmic "
                f"branch, {self.log_threshold / 1e3:.4g} kPa"
            )
        if abs(share) < 1e-9:
            return math.e * self.log_threshold
        if share > 1 - 1e-12:
            return self.threshold
        return -self.threshold / float(lambertw(-share / math.e).real)

    @property
    def critical_flux(self) -> float:
        """Flux at the critical pressure, m s-1."""
        return self.slope * math.log(self.critical_pressure) + self.offset

    @property
    def permeability(self) -> float:
        """Slope of the straight part, ``m1 / Pc``, m s-1 Pa-1."""
        return self.slope / self.critical_pressure

    def flux(self, pressure: np.ndarray) -> np.ndarray:
        """Flux at pressures, m s-1: 0 below the threshold."""
        pressure = np.asarray(pressure, float)
        critical = self.critical_pressure
        straight = self.permeability * np.maximum(pressure - self.threshold, 0.0)
        return np.where(
            pressure <= critical, straight, self.slope * np.log(np.maximum(pressure, critical)) + self.offset
        )

    def segment_length(self, thickness: float) -> float:
        """Length of the straight part (Palencia Eq. 34): Pa m-1 and a flux added, though their units differ."""
        return math.hypot((self.critical_pressure - self.threshold) / thickness, self.critical_flux)


def cubic_threshold(coefficients: np.ndarray, lowest: float) -> float:
    """Pressure of no flux on a cubic, Pa: its one real root below the data (Palencia Sec. 3.6).

    Parameters
    ----------
    coefficients : (4,) float array
        ``m3, m2, m1, m0``.
    lowest : float
        Lowest pressure of the data, Pa.

    Raises
    ------
    PhysicsError
        If there is no real root below the data, or more than one.
    """
    roots = np.roots(coefficients)
    real = np.sort(roots[np.abs(roots.imag) <= 1e-9 * np.abs(roots)].real)
    below = real[real < lowest]
    if len(below) != 1:
        found = ", ".join(f"{r / 1e3:.4g}" for r in below) or "none"
        raise PhysicsError(
            f"the cubic must have one real root below the data ({lowest / 1e3:g} kPa); it has {found} kPa"
        )
    return float(below[0])


def perturbed(
    values: np.ndarray,
    largest: float,
    rng: np.random.Generator,
    reading: Literal["signed", "literal"] = "signed",
    smallest: float = 0.0,
) -> np.ndarray:
    """Values with random errors, ``x (1 + f / 100)`` (Palencia Eqs. 23 and 24).

    Parameters
    ----------
    values : float array
        What was measured.
    largest, smallest : float
        Thresholds of the error, %.
    rng : numpy.random.Generator
        Two random numbers are drawn for each value.
    reading : {"signed", "literal"}
        The difference ``e`` of two random numbers gives ``f = e (largest - smallest)``; or, as Eq. 23 is printed,
        ``(e / |e|) e (largest - smallest)``, which is never negative.
    """
    first, second = rng.random((2, *np.shape(values)))
    e = second - first
    return values * (1 + (e if reading == "signed" else np.abs(e)) * (largest - smallest) / 100)


def error_of_line(
    line: tuple[float, float], pressures: np.ndarray, what: Literal["pressure", "time", "mass"], largest: float,
    rng: np.random.Generator, *, cycles: int = 20, reading: Literal["signed", "literal"] = "signed",
) -> dict[str, np.ndarray]:  # fmt: skip
    """Relative errors of the permeability and the threshold pressure when one measured quantity errs, %.

    Parameters
    ----------
    line : tuple of float
        Permeability and intercept that are true.
    pressures : (n,) float array
        Pa.
    what : {"pressure", "time", "mass"}
        Which quantity errs; the flux is the mass over area and time.
    largest : float
        Largest error, %.
    cycles : int
        Simulated experiments.

    Returns
    -------
    dict
        ``permeability`` and ``threshold``, each (cycles,): absolute relative deviations, %.
    """
    slope, intercept = line
    pressure = np.broadcast_to(pressures, (cycles, len(pressures)))
    flux = slope * pressure + intercept
    if what == "pressure":
        pressure = perturbed(pressure, largest, rng, reading)
    elif what == "mass":
        flux = perturbed(flux, largest, rng, reading)
    else:
        flux = flux / perturbed(np.ones_like(flux), largest, rng, reading)
    apart = pressure - pressure.mean(axis=1, keepdims=True)
    found = (apart * flux).sum(axis=1) / (apart**2).sum(axis=1)
    threshold = pressure.mean(axis=1) - flux.mean(axis=1) / found
    true = -intercept / slope
    return {
        "permeability": 100 * np.abs(found / slope - 1),
        "threshold": 100 * np.abs(threshold / true - 1),
    }
