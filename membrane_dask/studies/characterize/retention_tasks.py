"""Units of the retention of particles by a volume, in the flow through it.

Each particle diameter is a unit, ``passages``, so that another diameter computes nothing again; particles that are
tracked one by one are the unit ``trajectories``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from membrane_dask.io.oriented_volumes import PoreVolume
from membrane_dask.physics.elementary import integer_power, log
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.stokes.mac_grid import Grid, flow_pores
from membrane_dask.physics.transport.particle_tracking import PASSED, UNDECIDED, track_particles
from membrane_dask.physics.transport.retention import (
    WallInteraction,
    clearances,
    critical_radius,
    diffusivity,
    log_reduction_bound,
    passage,
)
from membrane_dask.program import Scratch, Unit
from membrane_dask.studies.characterize.config import RetentionSettings
from membrane_dask.studies.input_volumes import read_pores
from membrane_dask.studies.volume_flow.decomposed_tasks import slab_velocities
from membrane_dask.studies.volume_flow.flow_grid import refine
from membrane_dask.studies.volume_flow.flow_settings import FlowSettings

#: All tasks.
TASKS = ("passages", "trajectories")
#: Bytes per pore voxel, and per voxel of the volume.
_BYTES_PORE, _BYTES_VOXEL = 250, 8
#: Steps after which the tracking of a particle ends.
_MAX_STEPS = 1_000_000
_INTERACTIONS: tuple[WallInteraction, ...] = ("reflecting", "perfect_sink")

Result = tuple[dict[str, np.ndarray], dict[str, float]]


def particle_diameters(retention: RetentionSettings) -> tuple[float, ...]:
    """Diameters of the units ``passages`` in nm, each once: of the rejection curve, and of the log reduction value."""
    return tuple(dict.fromkeys((*retention.diameters, retention.diameter)))


def retention_scratch(retention: RetentionSettings, volumes: int) -> list[Scratch]:
    """Storage of the units."""
    if not retention.enabled:
        return []
    return [Scratch("passages", (volumes, len(particle_diameters(retention)))), Scratch("trajectories", (volumes,))]


def retention_memory(flow: FlowSettings, shape: Sequence[int], porosity: float) -> int:
    """Peak bytes of a unit."""
    return int((_BYTES_PORE * porosity + _BYTES_VOXEL) * math.prod(shape) * integer_power(flow.refinement, 3))


@dataclass(frozen=True)
class _Flow:
    """The flow in which particles move, in cells of its grid.

    Parameters
    ----------
    grid : Grid
        The percolating pores.
    velocity : (m + 1, 3) ndarray of float32
        Velocities on their faces, in the units of the grid, under a unit pressure gradient and viscosity.
    clearance : (n,) ndarray
        Distance from the centre of every pore voxel to the wall, in shortest edges of a cell.
    critical_pore_radius : float
        Radius of the largest sphere that passes the pores, nm.
    cell_nm : float
        Shortest edge of a cell, nm.
    settings : FlowSettings
        Settings of the study.
    """

    grid: Grid
    velocity: np.ndarray
    clearance: np.ndarray
    critical_pore_radius: float
    cell_nm: float
    settings: FlowSettings

    @classmethod
    def read(cls, context: Mapping[str, Any], number: int) -> _Flow | None:
        """The flow that earlier units have left; None if no pores percolate."""
        settings: FlowSettings = context["flow"]
        volume: PoreVolume = context["volumes"][number]
        boundary, periodic = settings.lateral_boundary, settings.lateral_boundary == "periodic"
        cell_nm = float(volume.voxel_nm or math.nan) / settings.refinement
        pores = refine(read_pores(volume), settings.refinement)
        percolating = flow_pores(pores, boundary)
        if not percolating.any():
            return None
        grid = Grid.of_percolating(percolating, boundary, None, spacing=volume.spacing)
        del percolating
        if context["slab_edges"][number] is None:
            velocity = context["scratch"].read("flows", (number,), ("velocity",))["velocity"]
        else:
            velocity = slab_velocities(context, number, grid.m + 1)
        if boundary == "no_slip":
            pores = np.pad(pores, [(0, 0), (1, 1), (1, 1)])
        clearance = clearances(pores, periodic=periodic, spacing=grid.spacing)
        critical = critical_radius(clearance, periodic=periodic) * cell_nm
        if boundary == "no_slip":
            clearance = clearance[:, 1:-1, 1:-1]
        return cls(grid, velocity, clearance[tuple(grid.coordinates.T)], critical, cell_nm, settings)

    def particle(self, diameter: float, temperature: float) -> tuple[float, float]:
        """Radius in shortest edges of a grid cell, and diffusivity in the unit of velocities times that edge."""
        gradient = self.settings.pressure / (self.grid.shape[0] * self.grid.spacing[0] * self.cell_nm * 1e-9)
        brownian = diffusivity(diameter * 1e-9, self.settings.viscosity, temperature)
        unit = gradient * integer_power(self.cell_nm * 1e-9, 3)
        return diameter / 2 / self.cell_nm, brownian * self.settings.viscosity / unit


def retention_work(context: Mapping[str, Any], unit: Unit) -> Result:
    """Compute a unit of the retention; NaN where a solver does not converge, as the other diameters do not need it.

    Returns
    -------
    arrays : dict of str to ndarray
        Of ``passages``: ``log_reduction_reflecting``, ``log_reduction_perfect_sink`` and ``deposited_fraction``
        ``(z,)``, of the particles that touch the wall of a perfect sink. Of ``trajectories``:
        ``critical_pore_radius`` in nm and ``log_reduction_value_bound``.
    feedback : dict
        Empty.
    """
    number = int(unit.params["volume"])
    flow = _Flow.read(context, number)
    if unit.task == "trajectories":
        arrays = _bound(flow, context["retention"], unit)
    else:
        diameter, temperature = float(unit.params["diameter"]), context["retention"].temperature
        arrays = _passages(flow, diameter, temperature, context["volumes"][number].shape[0])
    return {name: np.asarray(value) for name, value in arrays.items()}, {}


def _passages(flow: _Flow | None, diameter: float, temperature: float, depth: int) -> dict[str, Any]:
    """Log reductions of particles of one diameter, and the depths at which they are deposited."""
    unreached = np.full(depth, math.nan)
    if flow is None:
        return {**{f"log_reduction_{name}": math.inf for name in _INTERACTIONS}, "deposited_fraction": unreached}
    particle = flow.particle(diameter, temperature)
    try:
        passages = {name: passage(flow.grid, flow.velocity, flow.clearance, *particle, name) for name in _INTERACTIONS}
    except PhysicsError:
        return {**{f"log_reduction_{name}": math.nan for name in _INTERACTIONS}, "deposited_fraction": unreached}
    profile = passages["perfect_sink"].depth_profile.reshape(-1, flow.settings.refinement)
    return {
        **{f"log_reduction_{name}": result.log_reduction for name, result in passages.items()},
        "deposited_fraction": profile.sum(axis=1),
    }


def _bound(flow: _Flow | None, retention: RetentionSettings, unit: Unit) -> dict[str, Any]:
    """Bound of the log reduction from particles that are tracked, and the critical pore radius."""
    if flow is None:
        return {"critical_pore_radius": 0.0, "log_reduction_value_bound": math.inf}
    seed = unit.seed_sequence()
    trajectories = track_particles(
        flow.grid,
        flow.velocity,
        flow.clearance,
        *flow.particle(retention.diameter, retention.temperature),
        retention.wall_interaction,
        retention.particles,
        int(seed.generate_state(1, np.uint32)[0]),
        _MAX_STEPS,
    )
    bound = math.inf  # where no particle can enter
    if len(trajectories.fate):
        # Undecided particles may still pass.
        passed = int(np.isin(trajectories.fate, (PASSED, UNDECIDED)).sum())
        bound = log_reduction_bound(passed, len(trajectories.fate)) - float(log(trajectories.entered) / log(10.0))
    return {"critical_pore_radius": flow.critical_pore_radius, "log_reduction_value_bound": bound}


def retention_of_volume(
    retention: RetentionSettings,
    passages: Mapping[tuple[int, ...], Mapping[str, np.ndarray]],
    trajectories: Mapping[tuple[int, ...], Mapping[str, np.ndarray]],
    number: int,
    depth: int,
) -> dict[str, np.ndarray]:
    """Retention of a volume, from the arrays of all units by their indices.

    Parameters
    ----------
    retention : RetentionSettings
        Settings of the study.
    passages, trajectories : mapping of tuple of int to mapping of str to ndarray
        Arrays of finished units.
    number : int
        Number of the volume.
    depth : int
        Number of its planes.

    Returns
    -------
    dict of str to ndarray
        ``log_reduction_reflecting`` and ``log_reduction_perfect_sink`` at ``retention.diameters``;
        ``log_reduction_value`` and ``deposited_fraction`` ``(z,)`` at ``retention.diameter``;
        ``log_reduction_value_bound`` and ``critical_pore_radius`` in nm. NaN where a unit failed; empty if all did,
        or were not needed.
    """
    diameters = particle_diameters(retention)
    by_diameter = {d: passages[number, k] for k, d in enumerate(diameters) if (number, k) in passages}
    tracked = trajectories.get((number,), {})
    if not by_diameter and not tracked:
        return {}
    nan = np.asarray(math.nan)
    main = by_diameter.get(retention.diameter, {})
    curves = {
        name: np.array([float(by_diameter.get(d, {}).get(name, nan)) for d in retention.diameters])
        for name in (f"log_reduction_{interaction}" for interaction in _INTERACTIONS)
    }
    return {
        **curves,
        "log_reduction_value": main.get(f"log_reduction_{retention.wall_interaction}", nan),
        "deposited_fraction": main.get("deposited_fraction", np.full(depth, math.nan)),
        "log_reduction_value_bound": tracked.get("log_reduction_value_bound", nan),
        "critical_pore_radius": tracked.get("critical_pore_radius", nan),
    }
