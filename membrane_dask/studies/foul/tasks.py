"""Units of a foul study: the clean structure of a replicate, and its life."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from membrane_dask.physics.elementary import log
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.networks.fouling_laws import Sieving
from membrane_dask.physics.networks.pore_network import INLET, PoreNetwork
from membrane_dask.physics.networks.radius_distribution import EQUAL_RADII, RadiusSpread
from membrane_dask.physics.networks.structure_hydraulics import StructureHydraulics, structure_hydraulics
from membrane_dask.physics.networks.structure_laws import NO_PATH, Erosion, FilterStructure, StructureLaws
from membrane_dask.physics.networks.structure_life import StructureHistory, simulate_structure
from membrane_dask.physics.networks.structure_metrics import StructureLife, structure_life
from membrane_dask.physics.networks.structure_units import (
    StructureUnits,
    mean_wall_rate,
    stokes_einstein,
    wall_uptake,
)
from membrane_dask.physics.networks.wall_layers import WallLayers
from membrane_dask.program import Unit
from membrane_dask.studies.foul.config import FoulStudy
from membrane_dask.studies.foul.recorded_flow import recorded_flow
from membrane_dask.studies.input_volumes import read_pores
from membrane_dask.studies.volume_flow.decomposed_tasks import decomposed_work
from membrane_dask.studies.volume_flow.throat_flow import (
    REGIONS,
    SUMS,
    throat_flow,
    throat_regions,
    throat_sums_work,
)

Result = tuple[dict[str, np.ndarray], dict[str, float]]
#: Bar in a pascal; cubic metres in a millilitre.
_BAR, _MILLILITRE = 1e-5, 1e-6
#: Life of a structure through which no path leads: all that is known of it.
_WITHOUT_PATH = dict.fromkeys(
    ("initial_permeate_flux", "service_time", "filtrate_volume", "permeability", "bottleneck_radius", "n_arrivals",
     "n_passed", "n_blocked"), 0.0
) | {"end_of_life_cause": NO_PATH}  # fmt: skip


def work(context: Mapping[str, Any], unit: Unit) -> Result:
    """Compute a unit.

    Raises
    ------
    ValueError
        If the volume has invalid values.
    PhysicsError
        If a solver does not converge.
    """
    if "error" in unit.params:
        raise PhysicsError(unit.params["error"])
    if unit.task == "lives":
        return _life(context, unit, int(unit.params["replicate"])), {}
    if unit.task == "structures":
        return _structure(context, int(unit.params["replicate"]))
    if unit.task == SUMS:
        return throat_sums_work(context, unit)
    if unit.task == REGIONS:
        study, number = context["study"], int(unit.params["replicate"])
        pores, boundary = read_pores(context["volumes"][number]), study.hydraulics.lateral_boundary
        edges, is_diagonal = context["slab_edges"][number], study.connectivity == 26
        return throat_regions(pores, boundary, edges, study.snow_parameters(), is_diagonal)
    return decomposed_work(context, unit)


def _structure(context: Mapping[str, Any], number: int) -> Result:
    """Network, conductances and walls of a clean structure; nothing, and a flow of 0, where no path percolates."""
    study: FoulStudy = context["study"]
    hydraulics = study.hydraulics
    conductance = hydraulics.conductance
    assert conductance != "as given"  # of pore networks from files
    pores = read_pores(context["volumes"][number])
    clean = structure_hydraulics(
        pores,
        study.snow_parameters(),
        conductance=conductance,
        tolerance=hydraulics.tolerance,
        lateral_boundary=hydraulics.lateral_boundary,
        wall_model=hydraulics.wall_model,
        diagonal=study.connectivity == 26,
        depth_bins=study.depth_bins,
        throat_flow=_throat_flow(context, number, pores),
    )
    if clean is None:
        return {}, {"flow": 0.0}
    return _arrays_of(clean), {"flow": clean.flow, "wall_area": clean.wall_area}


def _throat_flow(context: Mapping[str, Any], number: int, pores: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Flow of the throats and pressure of the pores from another run, or by slabs; None for the flow in one piece."""
    edges = context["slab_edges"][number]
    if context["has_flow"][number]:
        return recorded_flow(context["study"], number, pores, edges)
    if edges is None or not context["scratch"].read("percolating", (number,), ("pores",))["pores"].any():
        return None
    return throat_flow(context["scratch"], number, edges)


def _arrays_of(clean: StructureHydraulics) -> dict[str, np.ndarray]:
    """A structure and its flow as arrays, lengths in voxels."""
    structure, network = clean.structure, clean.structure.network
    arrays = {
        "junctions": network.junctions,
        "throat_conns": network.throat_conns,
        "length": network.length,
        "radius": network.radius,
        "extent": np.array(network.extent),
        "conductance": structure.conductance,
        "closing_radius": structure.closing_radius,
        "catch_radius": structure.catch_radius,
        "depth_fraction": structure.depth_fraction,
        "layers_first": structure.layers.first,
        "layers_area": structure.layers.area,
        "layers_volume": structure.layers.volume,
    }
    numbers = (
        "flow", "permeability", "permeability_ratio", "fallback_throat_fraction", "fallback_flow_fraction", "wall_area",
        "pore_volume", "bottleneck",
    )  # fmt: skip
    arrays |= {name: np.asarray(getattr(clean, name)) for name in numbers}
    arrays |= {f"flow_error_{name}": np.asarray(error) for name, error in clean.flow_error.items()}
    return arrays | {f"formula_ratio_{name}": np.asarray(ratio) for name, ratio in clean.formula_ratio.items()}


def _structure_of(arrays: Mapping[str, np.ndarray]) -> FilterStructure:
    """The structure of the arrays of its unit."""
    network = PoreNetwork.from_straight_pores(
        junctions=arrays["junctions"],
        throat_conns=arrays["throat_conns"],
        length=arrays["length"],
        radius=arrays["radius"],
        extent=tuple(arrays["extent"].tolist()),
        bands=1,
    )
    layers = WallLayers(arrays["layers_first"], arrays["layers_area"], arrays["layers_volume"])
    return FilterStructure(
        network, arrays["conductance"], arrays["closing_radius"], arrays["catch_radius"], layers,
        arrays["depth_fraction"], float(arrays["pore_volume"]),
    )  # fmt: skip


def damkohler_wall_rate(number: float, flow: float, wall_area: float, voxel: float, study: FoulStudy) -> float:
    """Wall rate in m/s of a Damkoehler number of a structure, with its flow and its wall area in units of voxels."""
    return number * flow / wall_area * voxel * study.pressure / study.viscosity


def _life(context: Mapping[str, Any], unit: Unit, number: int) -> dict[str, np.ndarray]:
    """Life of a replicate in physical units."""
    study: FoulStudy = context["study"]
    volume = context["volumes"][number]
    clean = context["scratch"].read("structures", (number,))
    if not clean:
        return {name: np.asarray(value, float) for name, value in _WITHOUT_PATH.items()}
    voxel = float(volume.voxel_nm) * 1e-9
    foulants = Foulants(study, unit.params.get("wall_rate"))
    wall_rate = mean_wall_rate(foulants.wall_rates, foulants.fractions)
    cross_section = float(clean["extent"][1] * clean["extent"][2])
    units = StructureUnits(
        voxel, study.viscosity, study.pressure, wall_rate, study.foulant_volume_fraction, cross_section
    )
    hydraulic_radius = 2 * float(clean["pore_volume"]) / float(clean["wall_area"]) * voxel
    uptake = wall_uptake(
        foulants.wall_rates, foulants.diffusivities, foulants.fractions, hydraulic_radius, voxel, units.affinity
    )
    operation, end_time = study.operation, study.end_of_life.time
    flux = None
    if operation.mode == "flux":
        flux = math.inf if operation.flux == "initial" else float(operation.flux or 0) * units.area / units.flow
    laws = StructureLaws(
        uptake=uptake,
        exponent=study.narrowing_exponent,
        flux=flux,
        pressure_limit=study.pressure_limit,
        flux_fraction=study.flux_fraction,
        end_time=math.inf if end_time is None else end_time / units.second,
        levels=study.flux_levels,
        step=study.step,
        sieving=_sieving(study, units),
        erosion=Erosion(
            study.erosion.rate * study.pressure * units.second / voxel,
            study.erosion.critical_shear / study.pressure,
            study.erosion.returned,
        ),
    )
    key = int(np.random.Generator(np.random.PCG64(unit.seed_sequence())).integers(1 << 63))
    structure = _structure_of(clean)
    history = simulate_structure(structure, laws, key)
    life = structure_life(history, laws)
    arrays = _life_arrays(life, history, units, uptake.fraction, float(clean["pore_volume"]))
    # At constant flux the clean structure carries that flux.
    flow = float(clean["flow"]) if flux is None or math.isinf(flux) else flux
    porosity = float(clean["pore_volume"]) / (cross_section * float(clean["extent"][0]))
    velocity = flow * units.flow / units.area / porosity
    ratios = [
        (k * hydraulic_radius / d, velocity * hydraulic_radius / d)
        for k, d in zip(foulants.wall_rates, foulants.diffusivities, strict=True)
        if d is not None
    ]
    arrays |= {
        "permeability": float(clean["permeability"]) * voxel * voxel,
        "wall_rate": wall_rate,
        "damkohler_number": units.affinity * float(clean["wall_area"]) / flow,
        "diffusive_damkohler_number": max((ratio[0] for ratio in ratios), default=math.nan),
        "pore_peclet_number": min((ratio[1] for ratio in ratios), default=math.nan),
        "hydraulic_radius": hydraulic_radius * 1e9,
        "bottleneck_radius": float(clean["bottleneck"]) * voxel * 1e9,
        "network_permeability_ratio": clean["permeability_ratio"],
        "fallback_throat_fraction": clean["fallback_throat_fraction"],
        "fallback_flow_fraction": clean["fallback_flow_fraction"],
        "bottleneck_voxels": clean["bottleneck"],
        "widest_inlet": clean["catch_radius"][clean["throat_conns"][:, 1] == INLET].max() * voxel * 1e9,
    }
    return {name: np.asarray(value, float) for name, value in arrays.items()}


class Foulants:
    """Wall rates, diffusivities and fractions of the foulants of a study.

    Parameters
    ----------
    study : FoulStudy
    wall_rate : float or None
        Wall rate that a Damkoehler number gives.
    """

    def __init__(self, study: FoulStudy, wall_rate: float | None) -> None:
        if study.species:
            self.wall_rates = tuple(one.wall_rate for one in study.species)
            self.diffusivities = tuple(one.diffusivity for one in study.species)
            self.fractions = tuple(one.fraction for one in study.species)
            return
        foulant = study.foulant
        diffusivity = foulant.diffusivity
        if foulant.diameter is not None:
            diffusivity = stokes_einstein(foulant.diameter * 1e-9, study.temperature, study.viscosity)
        self.wall_rates = (float(wall_rate if foulant.wall_rate is None else foulant.wall_rate),)  # type: ignore[arg-type]
        self.diffusivities = (diffusivity,)
        self.fractions = (1.0,)


def particle_spread(study: FoulStudy) -> RadiusSpread:
    """Variation of the radius from particle to particle."""
    sieving = study.sieving
    return EQUAL_RADII if sieving.distribution == "fixed" else RadiusSpread(sieving.distribution, sieving.deviation)


def _sieving(study: FoulStudy, units: StructureUnits) -> Sieving:
    """Particles of a study in units of voxels."""
    sieving = study.sieving
    per_volume = units.feed / _MILLILITRE
    rate = sieving.rate * (per_volume if sieving.arrivals == "volume" else units.area * units.second)
    radius = (sieving.particle_radius or 0.0) * 1e-9 / units.voxel
    return Sieving(rate, sieving.arrivals, radius, particle_spread(study), sieving.residual_conductance)


def _life_arrays(
    life: StructureLife, history: StructureHistory, units: StructureUnits, fraction: np.ndarray, pore_volume: float
) -> dict[str, Any]:
    """Variables of a life in physical units, by the names of the result."""
    states, first = life.history, history.records[0]
    concentration = float((fraction * life.concentration).sum())
    return {
        "initial_permeate_flux": states.flow[0] * units.flux,
        "service_time": life.end_time * units.hour,
        "filtrate_volume": life.filtrate * units.filtrate,
        "foulant_concentration": concentration,
        "log_reduction_value": max(0.0, -log(concentration) / log(10.0)) if concentration > 0 else math.inf,
        "initial_foulant_concentration": (fraction * first.concentration).sum(),
        "service_time_level": life.level_time * units.hour,
        "filtrate_volume_level": life.level_volume * units.filtrate,
        "end_of_life_cause": history.cause,
        "foulant_balance": history.deposited / history.removed if history.removed > 0 else math.nan,
        "deposited_fraction": life.level_deposit,
        "species_yield": life.concentration,
        "species_purity": fraction * life.concentration / concentration if concentration > 0 else fraction * math.nan,
        "n_arrivals": history.n_arrivals,
        "n_passed": history.n_passed,
        "n_blocked": history.n_blocked,
        "history/elapsed_time": states.time * units.hour,
        "history/flux": states.flow * units.flux,
        "history/transmembrane_pressure": states.pressure * units.pressure * _BAR,
        "history/foulant_concentration_out": (states.concentration * fraction).sum(axis=1),
        "history/filtrate_volume": states.volume * units.filtrate,
        "history/deposit_volume": states.deposit.sum(axis=1) / pore_volume,
        "history/open_throat_fraction": states.open_throats / first.open_throats,
        "initial_pressure_ratio": states.pressure[0],
    }
