"""Unit of a foul study of a pore network: the life of tubes, by the laws of graded filters, in physical units."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from membrane_dask.number_text import quantity_text
from membrane_dask.physics.elementary import log
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.networks.connectivity import adjacency, flowing_pores
from membrane_dask.physics.networks.filter_states import filter_states, level_steps
from membrane_dask.physics.networks.filter_units import BAR, HOUR, LMH, FilterUnits
from membrane_dask.physics.networks.fouling import FilterLife, clean_flux, filter_life
from membrane_dask.physics.networks.fouling_laws import TIME, FoulingLaws, Sieving, Species
from membrane_dask.physics.networks.pore_network import INLET, PoreNetwork
from membrane_dask.physics.networks.structure_hydraulics import bottleneck_radius
from membrane_dask.physics.networks.structure_metrics import HISTORY_POINTS
from membrane_dask.physics.networks.structure_units import film_rate
from membrane_dask.program import Unit
from membrane_dask.studies.foul.config import FoulStudy
from membrane_dask.studies.foul.tasks import Foulants, particle_spread

#: Relative error of the pressures.
SOLVER_TOLERANCE = 1e-9
#: Largest number of time steps of a life.
MAX_STEPS = 20_000
#: With particles: time step over that without, as Euler's method is of the first order, but conserves foulant where
#: particles block pores; and fraction of the inlets that may be blocked in a step.
_EULER, _BLOCKED = 0.25, 0.1
#: Cubic metres in a millilitre.
_MILLILITRE = 1e-6


@dataclass(frozen=True)
class TubeFilter:
    """A network of tubes, and the numbers by which the laws of graded filters describe its life.

    Parameters
    ----------
    network : PoreNetwork
        In units of its thickness.
    units : FilterUnits
    wall_rates : tuple of float
        Of the foulants, m s-1.
    effective_rates : tuple of float
        With the resistance of diffusion to the walls, m s-1.
    fractions : tuple of float
        Of the foulants in the feed.
    diffusivities : tuple of float or None
        m2 s-1.
    hydraulic_radius : float
        Twice the volume of the tubes that carry flow over their wall area, m.
    wall_area : float
        ``sum of r l`` of these tubes.
    flux : float
        Clean flux at unit pressure, or the constant one.
    median_radius : float
        Of the tubes that carry flow.
    """

    network: PoreNetwork
    units: FilterUnits
    wall_rates: tuple[float, ...]
    effective_rates: tuple[float, ...]
    fractions: tuple[float, ...]
    diffusivities: tuple[float | None, ...]
    hydraulic_radius: float
    wall_area: float
    flux: float
    median_radius: float

    @classmethod
    def of(cls, study: FoulStudy, network: PoreNetwork, thickness: float) -> TubeFilter:
        """The filter of a network in units of its thickness, m."""
        units = FilterUnits(thickness, study.pressure, study.viscosity, study.foulant_volume_fraction)
        flowing = flowing_pores(
            *adjacency(network.throat_conns, len(network.junctions)), np.ones(len(network.length), bool)
        )
        radius, length = network.radius[flowing], network.length[flowing]
        walls = float((radius * length).sum())
        hydraulic_radius = float((radius * radius * length).sum()) / walls * thickness
        flux = constant_flux(study, units) or clean_flux(network, SOLVER_TOLERANCE)
        number = study.foulant.damkohler_number
        rate = None
        if number is not None:
            rate = number * flux * math.prod(network.extent[1:]) / walls / _deposition(1.0, units)
        foulants = Foulants(study, rate)
        effective = tuple(
            film_rate(k, d, hydraulic_radius) for k, d in zip(foulants.wall_rates, foulants.diffusivities, strict=True)
        )
        return cls(
            network, units, foulants.wall_rates, effective, foulants.fractions, foulants.diffusivities,
            hydraulic_radius, walls, flux, float(np.median(radius)),
        )  # fmt: skip

    @property
    def deposition(self) -> float:
        """Mean deposition coefficient ``16 mu k / (W P)`` of the feed's foulant."""
        return math.fsum(
            f * _deposition(k, self.units) for f, k in zip(self.fractions, self.effective_rates, strict=True)
        )

    def laws(self, study: FoulStudy, time_step: float) -> FoulingLaws:
        """The laws of the study in the units of graded filters."""
        units, deposition = self.units, self.deposition
        hours = float(units.hours(1.0, deposition))
        species = tuple(
            Species(_deposition(k, units), f) for k, f in zip(self.effective_rates, self.fractions, strict=True)
        )
        operation, end = study.operation, study.end_of_life.time
        flux = constant_flux(study, units)
        erosion = study.erosion
        # A wall shear of the pressure erodes rate P, over the growth phi k of a deposit in the feed.
        mean_rate = deposition / _deposition(1.0, units)
        sieving = study.sieving
        square = units.thickness * units.thickness
        per_time = math.prod(self.network.extent[1:]) * square * hours * HOUR
        per_volume = 2 * math.pi * square * units.thickness / units.foulant_volume_fraction / _MILLILITRE
        return FoulingLaws(
            conserving=study.deposition_law == "conserving",
            species=species if study.species else (),
            erosion_rate=erosion.rate * units.pressure / (units.foulant_volume_fraction * mean_rate),
            critical_shear=erosion.critical_shear / units.pressure,
            erosion_returned=erosion.returned,
            flux=None if operation.mode == "pressure" else flux or "initial",
            pressure_limit=study.pressure_limit,
            flux_fraction=study.flux_fraction if operation.mode == "pressure" else 0.0,
            end_time=MAX_STEPS if end is None else min(MAX_STEPS, round(end / HOUR / hours / time_step)),
            sieving=Sieving(
                sieving.rate * (per_volume if sieving.arrivals == "volume" else per_time),
                sieving.arrivals,
                (sieving.particle_radius or 0.0) * 1e-9 / units.thickness,
                particle_spread(study),
                sieving.residual_conductance,
            ),
        )

    def time_step(self, study: FoulStudy) -> float:
        """Time step in which no deposit grows by more than the step of the study; it divides the time of the end."""
        longest = study.step * self.median_radius
        if study.sieving.rate > 0:
            laws = self.laws(study, longest)
            rate = laws.sieving.rate
            if laws.sieving.arrivals == "volume":
                rate *= self.flux * math.prod(self.network.extent[1:]) / self.deposition
            inlets = int((self.network.throat_conns[:, 1] == INLET).sum())
            longest = min(_EULER * longest, max(1.0, _BLOCKED * inlets) / rate)
        end = study.end_of_life.time
        time = math.inf if end is None else end / HOUR / float(self.units.hours(1.0, self.deposition))
        return time / max(1, math.ceil(time / longest)) if time < MAX_STEPS * longest else longest


def _deposition(wall_rate: float, units: FilterUnits) -> float:
    """Deposition coefficient of a wall rate."""
    return 16.0 * units.viscosity * wall_rate / (units.thickness * units.pressure)


def constant_flux(study: FoulStudy, units: FilterUnits) -> float:
    """Constant flux of a study in units of graded filters; 0 where it is that of the clean filter, or none."""
    flux = study.operation.flux
    return flux * LMH / units.permeate_flux(1.0) if isinstance(flux, float) else 0.0


def network_work(context: Mapping[str, Any], unit: Unit) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Simulate the life of the network of a study."""
    study: FoulStudy = context["study"]
    tubes = TubeFilter.of(study, context["network"], context["thickness"])
    time_step = tubes.time_step(study)
    laws = tubes.laws(study, time_step)
    life = filter_life(
        tubes.network,
        deposition=tubes.deposition,
        time_step=time_step,
        flux_threshold=1.0,
        integrator="euler" if study.sieving.rate > 0 else "adams-bashforth",
        solver_tolerance=SOLVER_TOLERANCE,
        laws=laws,
        rng=np.random.Generator(np.random.PCG64(unit.seed_sequence())),
    )
    end = study.end_of_life.time
    hours = tubes.units.hours(life.lifetime, tubes.deposition)
    if life.end_of_life_cause == TIME and (end is None or hours < 0.999 * end / HOUR):
        life_text = quantity_text(float(hours), "h")
        advice = f"set end_of_life.time{'' if end is None else f' to at most {life_text}'}"
        raise PhysicsError(f"the life did not end within {MAX_STEPS:,} time steps, {life_text}; {advice}")
    arrays = _metrics(life, tubes) | _histories(study, life, tubes, time_step)
    return {name: np.asarray(value, float) for name, value in arrays.items()}, {}


def _metrics(life: FilterLife, tubes: TubeFilter) -> dict[str, Any]:
    """Numbers of a life, in physical units."""
    units, network = tubes.units, tubes.network
    flux = units.permeate_flux(life.initial_flux * life.initial_transmembrane_pressure)
    wall_rate = math.fsum(f * k for f, k in zip(tubes.fractions, tubes.wall_rates, strict=True))
    porosity = float(life.band_porosity[0].mean())
    velocity = flux / LMH / porosity
    ratios = [
        (k * tubes.hydraulic_radius / d, velocity * tubes.hydraulic_radius / d)
        for k, d in zip(tubes.wall_rates, tubes.diffusivities, strict=True)
        if d is not None
    ]
    concentration = life.foulant_concentration
    to_nm = units.thickness * 1e9
    inlets = network.throat_conns[:, 1] == INLET
    return {
        "initial_permeate_flux": flux,
        "service_time": units.hours(life.lifetime, tubes.deposition),
        "filtrate_volume": units.filtrate_volume(life.throughput),
        "foulant_concentration": concentration,
        "log_reduction_value": max(0.0, -log(concentration) / log(10.0)) if concentration > 0 else math.inf,
        "initial_foulant_concentration": life.foulant_concentration_out[0],
        "permeability": math.pi * life.initial_flux / 8 * units.thickness * units.thickness,
        "end_of_life_cause": life.end_of_life_cause,
        "foulant_balance": life.foulant_balance,
        "wall_rate": wall_rate,
        "damkohler_number": _deposition(wall_rate, units)
        * tubes.wall_area
        / (tubes.flux * math.prod(network.extent[1:])),
        "diffusive_damkohler_number": max((ratio[0] for ratio in ratios), default=math.nan),
        "pore_peclet_number": min((ratio[1] for ratio in ratios), default=math.nan),
        "hydraulic_radius": tubes.hydraulic_radius * 1e9,
        "bottleneck_radius": bottleneck_radius(network, network.radius) * to_nm,
        "species_yield": life.species_yield,
        "species_purity": life.species_purity,
        "n_arrivals": life.n_arrivals,
        "n_passed": life.n_passed,
        "n_blocked": life.band_blocked_pores.sum(),
        "initial_pressure_ratio": life.initial_transmembrane_pressure,
        "widest_inlet": network.radius[inlets].max() * to_nm,
        "non_cylindrical_deposition": life.diagnostics.non_cylindrical_deposition,
    }


def _histories(study: FoulStudy, life: FilterLife, tubes: TubeFilter, time_step: float) -> dict[str, Any]:
    """Times and volumes at levels of the flux, and histories, in physical units."""
    units, deposition = tubes.units, tubes.deposition
    end = life.lifetime / time_step
    history = filter_states(life, end * np.arange(HISTORY_POINTS) / (HISTORY_POINTS - 1), deposition, time_step)
    steps = level_steps(life, study.flux_levels, time_step)
    missing = np.isnan(steps)
    levels = filter_states(life, np.where(missing, 0.0, steps), deposition, time_step)
    arrays: dict[str, Any] = {
        "service_time_level": np.where(missing, math.nan, units.hours(levels.time, deposition)),
        "filtrate_volume_level": np.where(missing, math.nan, units.filtrate_volume(levels.throughput)),
        "history/elapsed_time": units.hours(history.time, deposition),
        "history/flux": units.permeate_flux(history.flux),
        "history/transmembrane_pressure": history.pressure * units.pressure / BAR,
        "history/foulant_concentration_out": history.concentration,
        "history/filtrate_volume": units.filtrate_volume(history.throughput),
        "history/deposit_volume": history.deposit.mean(axis=1) / life.band_porosity[0].mean(),
    }
    if tubes.network.n_bands == study.depth_bins and np.isfinite(tubes.network.junctions).all():
        with np.errstate(divide="ignore", invalid="ignore"):
            distribution = levels.deposit / levels.deposit.sum(axis=1, keepdims=True)
        distribution[missing] = math.nan
        arrays["deposited_fraction"] = distribution
    return arrays
