"""Simulated membranes that several methods measure, and their joint posterior."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from _rejection_tables import rejection_readings

from membrane_dask.physics.porometry.capillary_law import CapillaryLaw
from membrane_dask.physics.porometry.estimates import Estimate
from membrane_dask.physics.porometry.joint_posterior import joint_posterior
from membrane_dask.physics.porometry.joint_tables import DisplacementTable, RejectionTable, Table, WaterTable
from membrane_dask.physics.porometry.liquid_displacement import liquid_displacement, permeance_while_open
from membrane_dask.physics.porometry.posterior import Prior
from membrane_dask.physics.porometry.radius_distributions import LogNormalRadii
from membrane_dask.physics.porometry.rejection import LAW_DISCREPANCY
from membrane_dask.physics.porometry.water_series import evaluate_series

VISCOSITY, DISPLACING_VISCOSITY, TENSION, AREA = 0.89e-3, 3.4e-3, 1.7e-3, 41.8e-4
#: Errors of the tension and of the thickness, and of a reading.
TENSION_ERROR, THICKNESS_ERROR, NOISE, FLOOR = 0.03, 0.1, 0.01, 0.003

Comparison = dict[str, tuple[float, Estimate]]


def water(rng: np.random.Generator, permeability: float) -> WaterTable:
    """Fluxes at six pressures with errors of 2 %."""
    pressure = np.arange(0.5, 3.1, 0.5) * 1e5
    flux = permeability / VISCOSITY * pressure * (1 + 2 * NOISE * rng.standard_normal(len(pressure)))
    series = evaluate_series(pressure, flux).permeance
    return WaterTable.of_estimate("water", series.permeance, series.degrees_of_freedom, VISCOSITY)


def displacement(rng: np.random.Generator, radii: LogNormalRadii, permeability: float) -> DisplacementTable:
    """Sixteen fluxes; the tension is wrong by 3 %."""
    law = CapillaryLaw(TENSION, TENSION_ERROR)
    constant = law.constant * np.exp(TENSION_ERROR * rng.standard_normal())
    final, log_sd = permeability / DISPLACING_VISCOSITY, radii.log_standard_deviation
    pressure = constant / radii.flow_median * np.exp(log_sd * np.linspace(-3, 3, 16))
    noise = rng.standard_normal((2, 16))
    opened = permeance_while_open(pressure, constant, radii.median, log_sd, final) * (1 + NOISE * noise[0])
    flux = np.maximum(opened + FLOOR * final * noise[1], 0) * pressure
    readings = liquid_displacement(pressure, flux, law, viscosity=DISPLACING_VISCOSITY)
    return DisplacementTable("displacement", readings, law, DISPLACING_VISCOSITY)


def rejection(rng: np.random.Generator, radii: LogNormalRadii, permeability: float) -> RejectionTable:
    """Eight dextrans; the law of sieving is wrong by 8 % of the radius."""
    factor = np.exp(LAW_DISCREPANCY * rng.standard_normal())
    apparent = LogNormalRadii(radii.median * factor, radii.log_standard_deviation)
    return RejectionTable("rejection", rejection_readings(rng, apparent))


def membrane(
    rng: np.random.Generator,
    second: Callable[[np.random.Generator, LogNormalRadii, float], Table],
    medians: tuple[float, float],
) -> Comparison:
    """Water flux, a second method and a thickness of one membrane."""
    log_sd = rng.uniform(0.15, 0.4)
    radii = LogNormalRadii(np.exp(rng.uniform(*np.log(medians))), log_sd)
    porosity, thickness = rng.uniform(0.02, 0.2), np.exp(rng.uniform(np.log(0.3e-6), np.log(3e-6)))
    permeability = porosity * radii.hydraulic_radius**2 / (8 * thickness)
    tables = [water(rng, permeability), second(rng, radii, permeability)]
    stated = thickness * (1 + THICKNESS_ERROR * rng.standard_normal())
    prior = Prior("normal", stated, THICKNESS_ERROR * stated)
    result = joint_posterior(tables, {"thickness": prior}, area=AREA)
    number = porosity * AREA / (np.pi * radii.moment(2))
    # A statement that holds or not: the fraction of membranes for which it does.
    agree = float(not result.is_contradictory)
    values = {} if result.is_contradictory else {
        "hydraulic radius": (radii.hydraulic_radius, result.hydraulic_radius),
        "log-sd": (log_sd, result.log_sd),
        "porosity": (porosity, result.porosity),
        "thickness": (thickness, result.thickness),
        "pore number": (number, result.pore_number),
        "porosity over path length": (porosity / thickness, result.porosity_over_path_length),
    }  # fmt: skip
    return {**values, "no false contradiction": (1.0, Estimate(agree, agree, agree))}


METHODS: dict[str, Callable[[np.random.Generator], Comparison]] = {
    "joint: water, displacement": lambda rng: membrane(rng, displacement, (4e-9, 30e-9)),
    "joint: water, rejection": lambda rng: membrane(rng, rejection, (2e-9, 4e-9)),
}
