"""Retention of particles by the pores of a volume, in the flow through it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from membrane_dask.physics.elementary import integer_power, log
from membrane_dask.physics.stokes.mac_grid import Grid
from membrane_dask.physics.transport.particle_tracking import PASSED, UNDECIDED, track_particles
from membrane_dask.physics.transport.retention import (
    WallInteraction,
    clearances,
    critical_radius,
    diffusivity,
    log_reduction_bound,
    passage,
)
from membrane_dask.studies.characterize.config import FlowSettings, RetentionSettings

#: Steps after which the tracking of a particle ends.
_MAX_STEPS = 1_000_000


def complete_retention(retention: RetentionSettings, depth: int) -> dict[str, Any]:
    """Results where no particle passes; ``depth`` is the number of planes of the volume."""
    infinite = np.full(len(retention.diameters), math.inf)
    return {
        "critical_pore_radius": 0.0,
        "log_reduction_value": math.inf,
        "log_reduction_value_bound": math.inf,
        "log_reduction_reflecting": infinite,
        "log_reduction_perfect_sink": infinite,
        "deposited_fraction": np.full(depth, math.nan),
    }


def missing_retention(retention: RetentionSettings, depth: int) -> dict[str, Any]:
    """Results where the solver did not converge: none."""
    return {name: np.full_like(values, math.nan) for name, values in complete_retention(retention, depth).items()}


def particle_retention(
    pores: np.ndarray,
    grid: Grid,
    velocity: np.ndarray,
    voxel_nm: float,
    settings: FlowSettings,
    retention: RetentionSettings,
    seed: np.random.SeedSequence,
) -> dict[str, Any]:
    """Log reductions, and the depths at which particles are deposited.

    Parameters
    ----------
    pores : (z, y, x) ndarray of bool
        Pore voxels of the refined volume.
    grid : Grid
        Its percolating pores.
    velocity : (m + 1, 3) ndarray of float32
        Velocities on their faces, in the units of the grid, under a unit pressure gradient and viscosity.
    voxel_nm : float
        Shortest edge of a voxel of the volume, nm.
    settings, retention : FlowSettings, RetentionSettings
        Settings of the study.
    seed : SeedSequence
        Of the particles that are tracked.

    Returns
    -------
    dict
        Arrays as those of :func:`complete_retention`.
    """
    fine, boundary = settings.refinement, settings.lateral_boundary
    cell_nm, periodic = voxel_nm / fine, boundary == "periodic"
    if boundary == "no_slip":
        pores = np.pad(pores, [(0, 0), (1, 1), (1, 1)])
    clearance = clearances(pores, periodic=periodic, spacing=grid.spacing)
    critical_pore_radius = critical_radius(clearance, periodic=periodic) * cell_nm
    if boundary == "no_slip":
        clearance = clearance[:, 1:-1, 1:-1]
    pore_clearance = clearance[tuple(grid.coordinates.T)]
    del clearance
    gradient = settings.pressure / (grid.shape[0] * grid.spacing[0] * cell_nm * 1e-9)

    def particle(diameter: float) -> tuple[float, float]:
        """Radius in shortest edges of a grid cell, and diffusivity in the unit of velocities times that edge."""
        brownian = diffusivity(diameter * 1e-9, settings.viscosity, retention.temperature)
        return diameter / 2 / cell_nm, brownian * settings.viscosity / (gradient * integer_power(cell_nm * 1e-9, 3))

    interactions: tuple[WallInteraction, ...] = ("reflecting", "perfect_sink")
    passages = {
        (interaction, diameter): passage(grid, velocity, pore_clearance, *particle(diameter), interaction)
        for interaction in interactions
        for diameter in {*retention.diameters, retention.diameter}
    }
    trajectories = track_particles(
        grid,
        velocity,
        pore_clearance,
        *particle(retention.diameter),
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
    curves = {
        interaction: np.array([passages[interaction, diameter].log_reduction for diameter in retention.diameters])
        for interaction in interactions
    }
    deposition = passages["perfect_sink", retention.diameter].depth_profile
    return {
        "critical_pore_radius": critical_pore_radius,
        "log_reduction_value": passages[retention.wall_interaction, retention.diameter].log_reduction,
        "log_reduction_value_bound": bound,
        "log_reduction_reflecting": curves["reflecting"],
        "log_reduction_perfect_sink": curves["perfect_sink"],
        "deposited_fraction": deposition.reshape(-1, fine).sum(axis=1),
    }
