"""Simulated tables of rejection, gas permeation and flux decline, and the fits to them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from membrane_dask.physics.porometry.decline_readings import DeclineReadings
from membrane_dask.physics.porometry.dusty_gas import gas_permeance
from membrane_dask.physics.porometry.estimates import Estimate
from membrane_dask.physics.porometry.flux_decline import fit_flux_decline
from membrane_dask.physics.porometry.fouling_laws import LAWS, permeate_flux, permeate_volume
from membrane_dask.physics.porometry.gas_permeation import GasReadings, fit_gas_permeation
from membrane_dask.physics.porometry.gases import Gas
from membrane_dask.physics.porometry.membrane_sieving import observed_sieving
from membrane_dask.physics.porometry.radius_distributions import LogNormalRadii
from membrane_dask.physics.porometry.rejection import RejectionReadings, fit_rejection
from membrane_dask.physics.porometry.solutes import DEXTRAN, mass_transfer_coefficient

#: Truth and estimate by quantity.
Comparison = dict[str, tuple[float, Estimate]]

DEXTRANS = np.array([1, 2, 4.4, 10.5, 19.5, 37.5, 70, 110])  # kDa
FLUX = 1.5e-5  # 54 LMH
LMH = 1 / 3.6e6
TEMPERATURE = 298.15


def rejection_readings(
    rng: np.random.Generator, radii: LogNormalRadii, solutes: np.ndarray = DEXTRANS
) -> RejectionReadings:  # fmt: skip
    """Dextrans under a polarised film: errors of 3 % and 0.002, concentrations printed to 0.01 mg/L."""
    stokes = DEXTRAN.radius(solutes)
    flux_ratio = FLUX / mass_transfer_coefficient(stokes, 6e-6, DEXTRAN.radius(10.5))
    sieving = observed_sieving(stokes, radii.median, radii.log_standard_deviation, flux_ratio=flux_ratio)
    relative, absolute = rng.standard_normal((2, len(sieving)))
    permeate = np.round(1000 * np.clip(sieving * (1 + 0.03 * relative) + 0.002 * absolute, 0, 1), 2)
    return RejectionReadings(stokes, permeate / 1000, flux_ratio=flux_ratio)


def rejection(rng: np.random.Generator, solutes: np.ndarray = DEXTRANS) -> Comparison:
    """Number medians of 2 to 4 nm."""
    radii = LogNormalRadii(rng.uniform(2e-9, 4e-9), rng.uniform(0.15, 0.45))
    fit = fit_rejection(rejection_readings(rng, radii, solutes))
    return {
        "flow median radius": (radii.flow_median, fit.flow_median_radius),
        "number median radius": (radii.median, fit.number_median_radius),
        "hydraulic radius": (radii.hydraulic_radius, fit.hydraulic_radius),
        "log-sd": (radii.log_standard_deviation, fit.log_standard_deviation),
    }


def gas(rng: np.random.Generator, radius: float) -> Comparison:
    """Nitrogen at eight mean pressures from 1.1 to 3.5 bar, errors of 1 %, five printed digits."""
    nitrogen, pressure, ratio = Gas.named("N2"), np.linspace(1.1e5, 3.5e5, 8), 120.0
    permeance = gas_permeance(pressure, nitrogen, TEMPERATURE, radius, 0.0, ratio) * (1 + 0.01 * rng.standard_normal(8))
    printed = np.array([float(f"{value:.4e}") for value in permeance])
    fit = fit_gas_permeation(GasReadings(pressure, printed, nitrogen, TEMPERATURE))
    return {
        "gas radius": (radius, fit.gas_radius),
        "porosity over path length": (ratio, fit.porosity_over_path_length),
    }


def decline(rng: np.random.Generator, law: str, constants: tuple[float, ...], quantity: str = "volume") -> Comparison:
    """Two hours at 200 LMH on 41.8 cm2: volumes with errors of 0.1 mL printed to 0.01 mL, or fluxes with 2 %."""
    time, area, initial_flux = np.arange(120.0, 7300, 240), 41.8e-4, 200 * LMH
    noise = rng.standard_normal(len(time))
    if quantity == "volume":
        millilitres = permeate_volume(law, time, initial_flux, constants) * area * 1e6 + 0.1 * noise
        readings = DeclineReadings(time, np.round(millilitres, 2) * 1e-6 / area)
    else:
        flux = permeate_flux(law, time, initial_flux, constants) * (1 + 0.02 * noise)
        readings = DeclineReadings(time, flux=np.round(flux / LMH, 2) * LMH)
    fit = fit_flux_decline(readings, [law]).fits[0]
    comparison = {"initial flux": (initial_flux, fit.initial_flux)}
    for name, constant in zip(LAWS[law], constants, strict=True):
        comparison[f"{name} constant"] = (constant, fit.constants[name])
    return comparison


METHODS: dict[str, Callable[[np.random.Generator], Comparison]] = {
    "rejection, 8 dextrans": rejection,
    "rejection, 4 dextrans": partial(rejection, solutes=DEXTRANS[[1, 3, 5, 7]]),
    "gas permeation, 10 nm": partial(gas, radius=10e-9),
    "gas permeation, 40 nm": partial(gas, radius=40e-9),
    "gas permeation, 100 nm": partial(gas, radius=100e-9),
    "flux decline, complete": partial(decline, law="complete", constants=(2e-4,)),
    "flux decline, standard": partial(decline, law="standard", constants=(6.0,)),
    "flux decline, intermediate": partial(decline, law="intermediate", constants=(10.0,)),
    "flux decline, cake": partial(decline, law="cake", constants=(4e7,)),
    "flux decline, cake, fluxes": partial(decline, law="cake", constants=(4e7,), quantity="flux"),
    "flux decline, cake-complete": partial(decline, law="cake-complete", constants=(3e7, 1.6e-4)),
    "flux decline, cake-standard": partial(decline, law="cake-standard", constants=(3e7, 30.0)),
}
