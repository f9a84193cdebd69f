"""Laws of the volumetric flux as a function of the pressure difference, with their derivatives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from membrane_dask.physics.elementary import exp, log, power
from membrane_dask.physics.fixed_order import product


@dataclass(frozen=True)
class FluxLaw:
    """A parametric law J(P) of the flux.

    Parameters
    ----------
    parameters : tuple of str
        Names of the parameters.
    flux : callable
        ``flux(pressure, values) -> (n,)``.
    jacobian : callable
        ``jacobian(pressure, values) -> (n, p)``: derivatives of the flux with respect to the parameters.
    initial_guess : callable, optional
        ``initial_guess(pressure, flux) -> (p,)``, of a law that is not linear in its parameters.
    """

    parameters: tuple[str, ...]
    flux: Callable[[np.ndarray, np.ndarray], np.ndarray]
    jacobian: Callable[[np.ndarray, np.ndarray], np.ndarray]
    initial_guess: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None


def _linear_law(parameters: tuple[str, ...], columns: Callable[[np.ndarray], Sequence[np.ndarray]]) -> FluxLaw:
    """Law that is linear in its parameters, from the columns of its design matrix."""

    def design(pressure: np.ndarray, _values: np.ndarray) -> np.ndarray:
        return np.stack([np.broadcast_to(c, pressure.shape) for c in columns(pressure)], axis=-1)

    return FluxLaw(parameters, lambda pressure, values: product(design(pressure, values), values), design)


def _regression_line(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Slope and intercept of the least-squares line."""
    slope = float(((x - x.mean()) * (y - y.mean())).sum() / np.square(x - x.mean()).sum())
    return slope, float(y.mean() - slope * x.mean())


def _threshold_guess(pressure: np.ndarray, flux: np.ndarray) -> np.ndarray:
    slope, intercept = _regression_line(pressure, flux)
    return np.array([slope, -intercept / slope])


def _power_guess(pressure: np.ndarray, flux: np.ndarray) -> np.ndarray:
    exponent, intercept = _regression_line(log(pressure), log(flux))
    return np.array([exp(intercept), exponent])


def _compaction_guess(pressure: np.ndarray, flux: np.ndarray) -> np.ndarray:
    slope, intercept = _regression_line(pressure, log(flux / pressure))
    return np.array([exp(intercept), -slope])


def _threshold_jacobian(pressure: np.ndarray, values: np.ndarray) -> np.ndarray:
    above = pressure > values[1]
    return np.stack([above * (pressure - values[1]), -values[0] * above], axis=-1)


#: Laws by name. Pressures in Pa and fluxes in m s-1 give parameters in SI units.
LAWS: Mapping[str, FluxLaw] = {
    "linear": _linear_law(("permeability", "intercept"), lambda p: (p, np.ones(1))),
    "threshold-linear": FluxLaw(
        ("permeability", "threshold"),
        lambda p, v: np.maximum(0.0, v[0] * (p - v[1])),
        _threshold_jacobian,
        _threshold_guess,
    ),
    "log": _linear_law(("slope", "offset"), lambda p: (log(p), np.ones(1))),
    "power": FluxLaw(
        ("coefficient", "exponent"),
        lambda p, v: v[0] * power(p, v[1]),
        lambda p, v: np.stack([power(p, v[1]), v[0] * power(p, v[1]) * log(p)], axis=-1),
        _power_guess,
    ),
    "quadratic": _linear_law(("m2", "m1", "m0"), lambda p: (np.square(p), p, np.ones(1))),
    "cubic": _linear_law(("m3", "m2", "m1", "m0"), lambda p: (np.square(p) * p, np.square(p), p, np.ones(1))),
    "compaction": FluxLaw(
        ("permeability", "compressibility"),
        lambda p, v: v[0] * p * exp(-v[1] * p),
        lambda p, v: np.stack([p * exp(-v[1] * p), -v[0] * np.square(p) * exp(-v[1] * p)], axis=-1),
        _compaction_guess,
    ),
}
