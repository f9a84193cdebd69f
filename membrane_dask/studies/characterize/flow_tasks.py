"""Flow through a volume that is characterized, and what it holds back: what a worker does, and what its numbers say."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from membrane_dask.io.volumes import VolumeSource
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.networks.network_flow import flow_graph, scatter, solve_pressures
from membrane_dask.physics.networks.pore_network import PoreNetwork
from membrane_dask.physics.percolation import percolating
from membrane_dask.physics.stokes.mac_grid import Grid
from membrane_dask.physics.stokes.solver import mobility_estimate, stokes
from membrane_dask.physics.transport.particle_tracking import PASSED, UNDECIDED, track_particles
from membrane_dask.physics.transport.retention import (
    WallInteraction,
    clearances,
    critical_radius,
    diffusivity,
    log_reduction_bound,
    passage,
)
from membrane_dask.program import Unit
from membrane_dask.studies.characterize.config import FlowSettings, RetentionSettings
from membrane_dask.studies.characterize.decomposed_tasks import merged
from membrane_dask.studies.characterize.flow_diagnostics import (
    LATERAL_BOUNDARIES,
    SECOND,
    WALL_INTERACTIONS,
    WALL_MODELS,
    alternate,
    planes_of,
    refined,
    seen,
    wider_than_one,
)

#: Bytes for every pore voxel, and for every voxel of the volume.
_BYTES_PORE, _BYTES_VOXEL = 185, 8
#: The same for what is held back.
_BYTES_RETENTION = 250
#: Steps after which a ball is left alone.
_STEPS = 1_000_000
#: Kozeny's constant for random pores.
_KOZENY = 5.0
#: Error of the pressures in a network.
_NETWORK = 1e-6
#: Square metres in a millidarcy; L m-2 h-1 bar-1 in m s-1 Pa-1; bar in a psi.
_MILLIDARCY, _PERMEANCE, _PSI = 9.869233e-16, 3.6e11, 0.0689476


def flow_memory(
    settings: FlowSettings, retention: RetentionSettings, volume: VolumeSource, porosity: float, by_slabs: bool
) -> int:
    """Peak bytes of a solution; of a volume by slabs, of what is held back alone."""
    voxels = math.prod(volume.shape) * settings.refine**3
    each = _BYTES_RETENTION if retention.solve else _BYTES_PORE
    return int((each * porosity + _BYTES_VOXEL) * voxels) if retention.solve or not by_slabs else 0


def flow_through(
    volume: VolumeSource,
    settings: FlowSettings,
    retention: RetentionSettings,
    network: Mapping[str, np.ndarray],
    seed: np.random.SeedSequence,
) -> dict[str, np.ndarray]:
    """Permeability of a volume by the flow itself and by others' short cuts; a section of the speeds.

    Parameters
    ----------
    volume : VolumeSource
        The volume.
    settings, retention : FlowSettings, RetentionSettings
        What is asked.
    network : mapping of str to ndarray
        What is known of its pore network, in nm.
    seed : SeedSequence
        For balls that are followed.

    Returns
    -------
    dict of str to ndarray
        Permeabilities in nm2; ``speed`` ``(z, x)`` in the middle of y under a unit pressure gradient and viscosity,
        nm2; and what is held back.
    """
    coarse, fine = planes_of(volume), settings.refine
    wide, pores = wider_than_one(coarse), refined(coarse, fine)
    del coarse
    if not percolating(pores, periodic=settings.sides == "periodic").any():
        return _nothing_flows(volume, retention, network)
    lateral_boundary, wall_model = LATERAL_BOUNDARIES[settings.sides], WALL_MODELS[settings.surface]
    grid = Grid.of(pores, lateral_boundary, wall_model)
    if settings.method == "screening":
        return _told({"screening": mobility_estimate(grid)}, volume, fine, network)
    flow = stokes(grid, settings.tolerance)
    found = {
        "permeability": flow.permeability,
        "upper": flow.upper_bound,
        "screening": flow.mobility_estimate,
        "residual": flow.residual,
        **seen(grid, flow.velocity, slice(0, grid.n), wide, fine),
    }
    held = _held_back(pores, grid, flow.velocity, volume, settings, retention, seed) if retention.solve else {}
    del flow, grid
    found["other_surface"] = stokes(Grid.of(pores, lateral_boundary, alternate(wall_model)), SECOND).permeability
    return _told(found, volume, fine, network) | held


def flow_by_slabs(
    context: Mapping[str, Any], unit: Unit, volume: VolumeSource, network: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The same of a volume whose slabs were solved for."""
    settings, retention = context["flow"], context["retention"]
    found, field = merged(context, unit)
    if not found:
        return _nothing_flows(volume, retention, network)
    held = {}
    if field:
        pores = refined(planes_of(volume), settings.refine)
        held = _held_back(pores, *field, volume, settings, retention, unit.seed_sequence())
    return _told(found, volume, settings.refine, network) | held


def _told(
    found: Mapping[str, Any], volume: VolumeSource, fine: int, network: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """What was found in voxels, in nm, beside the short cuts."""
    unit = (float(volume.voxel_nm or math.nan) / fine) ** 2
    lengths = "permeability", "upper", "screening", "other_surface"
    numbers: dict[str, Any] = {f"network_{name}": value for name, value in _by_conduits(network).items()}
    numbers |= {name: found[name] * unit for name in lengths if name in found}
    if "permeability" not in found:
        return {name: np.asarray(value) for name, value in numbers.items()}
    numbers |= {
        "residual": found["residual"],
        "tortuosity": found["speed"] / found["forward"],
        "narrow": found["narrow"] / found["along"],
        "speed": (found["section"] * unit).astype(np.float32),
    }
    return {name: np.asarray(value) for name, value in numbers.items()}


def _nothing_flows(
    volume: VolumeSource, retention: RetentionSettings, network: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    found: dict[str, Any] = {f"network_{name}": value for name, value in _by_conduits(network).items()}
    found |= dict.fromkeys(("permeability", "upper", "screening", "other_surface"), 0.0)
    found |= dict.fromkeys(("residual", "tortuosity", "narrow"), math.nan)
    found["speed"] = np.zeros((volume.shape[0], volume.shape[2]), np.float32)
    if retention.solve:
        found |= _nothing_passes(retention, volume.shape[0])
    return {name: np.asarray(value) for name, value in found.items()}


def _nothing_passes(retention: RetentionSettings, depth: int) -> dict[str, Any]:
    whole = np.full(len(retention.diameters), math.inf)
    return {"critical_radius": 0.0, "log_reduction": math.inf, "log_reduction_bound": math.inf, "sieving": whole,
            "first_touch": whole, "caught": np.full(depth, math.nan)}  # fmt: skip


def _held_back(
    pores: np.ndarray,
    grid: Grid,
    velocity: np.ndarray,
    volume: VolumeSource,
    settings: FlowSettings,
    retention: RetentionSettings,
    seed: np.random.SeedSequence,
) -> dict[str, np.ndarray]:
    """Log reductions, and where balls stick."""
    voxel = float(volume.voxel_nm or math.nan) / settings.refine
    periodic = settings.sides == "periodic"
    if settings.sides == "wall":
        pores = np.pad(pores, [(0, 0), (1, 1), (1, 1)])
    clearance = clearances(pores, periodic=periodic)
    found = _nothing_passes(retention, 0) | {"critical_radius": critical_radius(clearance, periodic=periodic) * voxel}
    if settings.sides == "wall":
        clearance = clearance[:, 1:-1, 1:-1]
    clear = clearance[tuple(grid.coordinates.T)]
    del clearance
    # Velocities are those of a unit pressure gradient and viscosity, in voxels squared.
    gradient = settings.pressure / (grid.shape[0] * voxel * 1e-9)

    def balls(diameter: float) -> tuple[float, float]:
        """Radius in voxels, diffusivity in the velocity's unit."""
        moved = diffusivity(diameter * 1e-9, settings.viscosity, retention.temperature)
        return diameter / 2 / voxel, moved * settings.viscosity / (gradient * (voxel * 1e-9) ** 3)

    rules: tuple[WallInteraction, ...] = ("reflecting", "perfect_sink")
    passages = {
        (rule, diameter): passage(grid, velocity, clear, *balls(diameter), rule)
        for rule in rules
        for diameter in {*retention.diameters, retention.diameter}
    }
    fine = settings.refine
    entropy = int(seed.generate_state(1, np.uint32)[0])
    walks = track_particles(
        grid,
        velocity,
        clear,
        *balls(retention.diameter),
        WALL_INTERACTIONS[retention.collision],
        retention.particles,
        entropy,
        _STEPS,
    )
    bound = math.inf  # where none can come in
    if len(walks.fate):
        passed = int(np.isin(walks.fate, (PASSED, UNDECIDED)).sum())  # those on their way may still pass
        bound = log_reduction_bound(passed, len(walks.fate)) - math.log10(walks.entered)
    found |= {
        "log_reduction": passages[WALL_INTERACTIONS[retention.collision], retention.diameter].log_reduction,
        "log_reduction_bound": bound,
        "sieving": np.array([passages["reflecting", diameter].log_reduction for diameter in retention.diameters]),
        "first_touch": np.array([passages["perfect_sink", diameter].log_reduction for diameter in retention.diameters]),
        "caught": passages["perfect_sink", retention.diameter].depth_profile.reshape(-1, fine).sum(axis=1),
    }
    return {name: np.asarray(value) for name, value in found.items()}


def _by_conduits(network: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Permeability of a pore network, nm2, whose throats are taken for round tubes of two kinds of radius."""
    extent = network["extent"]
    found = {}
    for name in ("inscribed", "equivalent"):
        radius = network[f"throat_{name}_radius"]
        tubes = PoreNetwork.from_straight_pores(
            junctions=network["position"], throat_conns=network["ends"].astype(np.int32),
            length=network["throat_length"], radius=np.maximum(radius, 1e-6 * radius.max(initial=1.0)),
            extent=tuple(extent.tolist()), bands=1,
        )  # fmt: skip
        graph = flow_graph(tubes)
        conductance = math.pi * tubes.radius**4 / (8 * tubes.length)
        placed = scatter(graph, conductance, 0.0)
        pressure = np.zeros(len(tubes.junctions))
        if solve_pressures(graph, placed, pressure, _NETWORK) < 0:
            raise PhysicsError("the pressures in the pore network were not found")
        inlets = graph.lower.size + np.arange(graph.inlet.size)
        inflow = float((placed[inlets] * (1 - pressure[graph.inlet])).sum())
        found[name] = inflow * extent[0] / (extent[1] * extent[2])
    return found


def flow_properties(
    part: Mapping[str, np.ndarray], settings: FlowSettings, depth_nm: float, properties: Mapping[str, Any]
) -> dict[str, float]:
    """Single numbers of a flow.

    Parameters
    ----------
    part : mapping of str to ndarray
        What :func:`flow_through` has found; empty if it is not known.
    settings : FlowSettings
        What was asked.
    depth_nm : float
        Of the volume.
    properties : mapping
        What else is known of it.
    """
    known = {name: float(value) for name, value in part.items() if np.ndim(value) == 0}
    lengths = "permeability", "upper", "screening", "other_surface", "network_inscribed", "network_equivalent"
    nm2 = {name: known.get(name, math.nan) * 1e-18 for name in lengths}
    permeance = nm2["permeability"] / (settings.viscosity * depth_nm * 1e-9) * _PERMEANCE
    surface = float(properties["specific_surface"])
    porosity = float(properties["connected_porosity"])
    return {
        "permeability": nm2["permeability"],
        "permeability_upper": nm2["upper"],
        "permeability_other_surface": nm2["other_surface"],
        "permeability_millidarcy": nm2["permeability"] / _MILLIDARCY,
        "permeance": permeance,
        "permeance_psi": permeance * _PSI,
        "tortuosity_hydraulic": known.get("tortuosity", math.nan),
        "flux_residual": known.get("residual", math.nan),
        "narrow_flow_share": known.get("narrow", math.nan),
        "permeability_screening": nm2["screening"],
        "permeability_network_inscribed": nm2["network_inscribed"],
        "permeability_network_equivalent": nm2["network_equivalent"],
        "permeability_kozeny_carman": porosity**3 / (_KOZENY * surface**2) * 1e-18 if surface else math.nan,
    }


def retention_properties(part: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Single numbers of what is held back."""
    names = {"critical_pore_radius": "critical_radius", "log_reduction_value": "log_reduction",
             "log_reduction_value_bound": "log_reduction_bound"}  # fmt: skip
    return {name: float(part.get(key, math.nan)) for name, key in names.items()}


def flow_section(part: Mapping[str, np.ndarray], settings: FlowSettings, depth_nm: float) -> dict[str, np.ndarray]:
    """Speeds in a section, m/s, under the pressure that was asked."""
    gradient = settings.pressure / (depth_nm * 1e-9)
    return {"speed": part["speed"] * 1e-18 * gradient / settings.viscosity}
