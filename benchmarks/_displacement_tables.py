"""Simulated tables of liquid-liquid displacement, and what their evaluation should yield."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from membrane_dask.physics.porometry.capillary_law import CapillaryLaw
from membrane_dask.physics.porometry.estimates import Estimate
from membrane_dask.physics.porometry.liquid_displacement import liquid_displacement, permeance_while_open
from membrane_dask.physics.porometry.radius_distributions import LogNormalRadii

TENSION, VISCOSITY, PATH_LENGTH, RATIO = 1.7e-3, 3.4e-3, 1e-6, 1e5
#: The flow meter: 1 % of the flux, 0.3 % of the final permeance, prints 0.001 L m-2 h-1.
NOISE, FLOOR, DIGIT = 0.01, 0.003, 1e-6 / 3600


def displacement_table(rng: np.random.Generator, tension_error: float, end: float) -> dict[str, tuple[float, Estimate]]:
    """Sixteen fluxes of a membrane, from pressures without flux on.

    Parameters
    ----------
    rng : Generator
    tension_error : float
        Relative standard deviation of the interfacial tension.
    end : float
        Largest pressure: log-standard deviations beyond the flow median.
    """
    log_sd = rng.uniform(0.15, 0.4)
    radii = LogNormalRadii(np.exp(rng.uniform(np.log(4e-9), np.log(30e-9))), log_sd)
    law = CapillaryLaw(TENSION, tension_error)
    constant = law.constant * (1 + tension_error * rng.standard_normal())
    permeance = RATIO * radii.hydraulic_radius**2 / (8 * VISCOSITY)
    pressure = constant / radii.flow_median * np.exp(log_sd * np.linspace(-4, end, 16))
    opened = permeance_while_open(pressure, constant, radii.median, log_sd, permeance)
    noise = rng.standard_normal((2, 16))
    flux = (opened * (1 + NOISE * noise[0]) + FLOOR * permeance * noise[1]) * pressure
    flux = DIGIT * np.round(np.maximum(flux, 0) / DIGIT)
    result = liquid_displacement(pressure, flux, law, viscosity=VISCOSITY, path_length=PATH_LENGTH)
    return {
        "flow median radius": (radii.flow_median, result.flow_median_radius),
        "hydraulic radius": (radii.hydraulic_radius, result.hydraulic_radius),
        "number median radius": (radii.median, result.number_median_radius),
        "log-sd": (log_sd, result.log_sd),
        "final permeance": (permeance, result.final_permeance),
        "porosity over path length": (RATIO, result.porosity_over_path_length),
        "pore number density": (RATIO * PATH_LENGTH / (np.pi * radii.moment(2)), result.pore_number_density),
    }


METHODS: dict[str, Callable[[np.random.Generator], dict[str, tuple[float, Estimate]]]] = {
    "liquid displacement": lambda rng: displacement_table(rng, 0.0, 3.0),
    "liquid displacement, tension 3 %": lambda rng: displacement_table(rng, 0.03, 3.0),
    "liquid displacement, no plateau": lambda rng: displacement_table(rng, 0.0, 1.0),
}
