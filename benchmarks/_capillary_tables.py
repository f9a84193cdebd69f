"""Simulated tables of capillary flow porometers, and what their evaluation should yield."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.optimize import brentq

from membrane_dask.physics.porometry.capillary_flow import capillary_flow
from membrane_dask.physics.porometry.capillary_law import CapillaryLaw
from membrane_dask.physics.porometry.estimates import Estimate
from membrane_dask.physics.porometry.filter_flow import filter_flow
from membrane_dask.physics.porometry.gas_flow_in_pores import GasStream, dry_gas_flux, open_flow_fraction
from membrane_dask.physics.porometry.gases import Gas, molar_density
from membrane_dask.physics.porometry.porometer import Porometer
from membrane_dask.physics.porometry.radius_distributions import LogNormalRadii

AREA, PATH_LENGTH, RATIO = 4.9e-4, 1e-4, 3000.0
STREAM = GasStream(Gas.named("air"), 298.15, molar_density=molar_density(298.15))
FLOW_NOISE, GAUGE_ERROR, TENSION, TENSION_ERROR = 0.01, 0.005, 16e-3, 0.03
FIRST_FLOW = 30e-6 / 60
#: The meter prints 0.1 mL/min.
DIGIT = 1e-7 / 60


def capillary_flow_table(
    rng: np.random.Generator,
    steps_per_width: float = 6,
    end: float = 3,
    tension_error: float = 0.0,
    dry_readings: int | None = None,
) -> dict[str, tuple[float, Estimate]]:
    """A wet and a dry curve with air that slips.

    Parameters
    ----------
    rng : Generator
    steps_per_width : float
        Readings in a log-standard deviation of the radius.
    end : float
        Largest pressure: log-standard deviations beyond the mean flow pore.
    tension_error : float
        Relative standard deviation of the surface tension.
    dry_readings : int, optional
        Pressures of the dry curve; default: those of the wet curve.
    """
    log_sd = rng.uniform(0.12, 0.35)
    radii = LogNormalRadii(np.exp(rng.uniform(np.log(40e-9), np.log(400e-9))), log_sd)
    nominal = CapillaryLaw(TENSION, tension_error)
    constant = nominal.constant * (1 + tension_error * rng.standard_normal())
    middle = constant / (radii.median * np.exp(3.5 * log_sd**2))

    def fraction(pressure):
        return open_flow_fraction(pressure, constant, radii.median, log_sd, STREAM)

    def all_pores(pressure):
        return dry_gas_flux(pressure, radii.median, log_sd, RATIO, STREAM) * AREA / STREAM.molar_density

    offset = rng.uniform(0, 1)
    true_pressure = middle * np.exp(
        log_sd * (np.arange(-4 * steps_per_width, end * steps_per_width) + offset) / steps_per_width
    )
    noise = 1 + FLOW_NOISE * rng.standard_normal((2, len(true_pressure)))
    wet = all_pores(true_pressure) * fraction(true_pressure) * noise[0]
    dry = all_pores(true_pressure) * noise[1]
    printed = true_pressure * (1 + GAUGE_ERROR * rng.standard_normal())
    count = len(printed)
    index = np.arange(count) if dry_readings is None else np.linspace(0, count - 1, dry_readings).astype(int)
    curves = filter_flow(
        printed,
        DIGIT * np.round(wet / DIGIT),
        dry_flow=DIGIT * np.round(dry / DIGIT)[index],
        dry_pressure=printed[index],
    )
    porometer = Porometer(FLOW_NOISE, GAUGE_ERROR, FIRST_FLOW, AREA, PATH_LENGTH)
    result = capillary_flow(curves, nominal, porometer, STREAM, seed=int(rng.integers(2**32)))
    span = middle * np.exp(np.array([-8, 8]) * log_sd)
    half = brentq(lambda p: fraction(p) - 0.5, *span)
    truths = {
        "mean flow pore radius": (constant / half, result.mean_flow_pore_radius),
        "flow median radius": (radii.flow_median, result.flow_median_radius),
        "hydraulic radius": (radii.hydraulic_radius, result.hydraulic_radius),
        "number median radius": (radii.median, result.number_median_radius),
        "log-sd": (log_sd, result.log_sd),
        "porosity over path length": (RATIO, result.porosity_over_path_length),
        "pore number density": (RATIO * PATH_LENGTH / (np.pi * radii.moment(2)), result.pore_number_density),
    }
    if all_pores(span[0]) * fraction(span[0]) < FIRST_FLOW < all_pores(span[1]):
        first = brentq(lambda p: all_pores(p) * fraction(p) - FIRST_FLOW, *span)
        truths["bubble point radius"] = (constant / first, result.bubble_point_radius)
    return truths


METHODS: dict[str, Callable[[np.random.Generator], dict[str, tuple[float, Estimate]]]] = {
    "capillary flow": capillary_flow_table,
    "capillary flow, tension 3 %": lambda rng: capillary_flow_table(rng, tension_error=TENSION_ERROR),
    "capillary flow, coarse steps": lambda rng: capillary_flow_table(rng, steps_per_width=2),
    "capillary flow, curves do not meet": lambda rng: capillary_flow_table(rng, end=0.5),
    "capillary flow, 12 dry readings": lambda rng: capillary_flow_table(rng, dry_readings=12),
}
