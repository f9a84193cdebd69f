"""Units of the flow through a volume: permeability and speeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from membrane_dask.io.oriented_volumes import PoreVolume
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.sample_tensors import mean_force
from membrane_dask.physics.stokes.mac_grid import Grid, flow_pores
from membrane_dask.physics.stokes.resolution import resolve_permeability
from membrane_dask.physics.stokes.solver import mobility_estimate, stokes
from membrane_dask.program import Unit
from membrane_dask.studies.characterize.common_flow import flow_of_grid
from membrane_dask.studies.characterize.simplified_models import tube_network_permeabilities
from membrane_dask.studies.characterize.variables import PERMEABILITIES
from membrane_dask.studies.input_volumes import read_pores
from membrane_dask.studies.volume_flow.decomposed_tasks import collect_slabs
from membrane_dask.studies.volume_flow.flow_diagnostics import flow_sums, resolved_pores
from membrane_dask.studies.volume_flow.flow_grid import (
    ALTERNATE_TOLERANCE,
    alternate_wall_model,
    readings,
    refine,
)
from membrane_dask.studies.volume_flow.flow_settings import FlowSettings

#: Bytes per pore voxel, and per voxel of the volume.
_BYTES_PORE, _BYTES_VOXEL = 185, 8
#: Arrays of the unit that the result is made of: all but the velocities.
FLOW_ARRAYS = (
    *PERMEABILITIES, "permeability_network_inscribed", "permeability_network_equivalent", "flux_residual",
    "tortuosity_hydraulic", "unresolved_flow_fraction", "mean_force", "mean_velocity", "speed",
)  # fmt: skip


def flow_memory(settings: FlowSettings, shape: Sequence[int], porosity: float) -> int:
    """Peak bytes of the unit of a flow in one piece."""
    return int((_BYTES_PORE * porosity + _BYTES_VOXEL) * math.prod(shape) * settings.refinement**3)


def flow_work(context: Mapping[str, Any], unit: Unit) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Permeability of a volume by Stokes flow and by simplified models, and speeds in a section.

    Returns
    -------
    arrays : dict of str to ndarray
        Permeabilities in nm2, with the names of the result; ``speed`` ``(z, x)`` in the middle of y, in nm2 under a
        unit pressure gradient and viscosity. Simplified models are those along the depth, as are ``velocity``
        ``(m + 1, 3)``, those of the grid in its units, which the retention reads.
    feedback : dict
        Empty.

    Raises
    ------
    PhysicsError
        If the flow does not converge.
    """
    settings: FlowSettings = context["flow"]
    number = int(unit.params["volume"])
    volume: PoreVolume = context["volumes"][number]
    voxel_nm = float(volume.voxel_nm or math.nan)
    decomposed = context["slab_edges"][number] is not None
    flow, velocity = (collect_slabs(context, unit), None) if decomposed else _solve_flow(context, number)
    arrays = _dimensional(flow, voxel_nm / settings.refinement, settings.refinement) if flow else _no_flow(volume.shape)
    if number < context["n_volumes"]:
        # Whether liquid flows is decided by the voxels; a network may have paths that they do not have.
        network = context["scratch"].read("networks", (number,)) if flow else {}
        models = tube_network_permeabilities(network) if flow else {"inscribed": 0.0, "equivalent": 0.0}
        arrays |= {f"permeability_network_{kind}": value for kind, value in models.items()}
        if velocity is not None and context["retention"].enabled:
            arrays["velocity"] = velocity
    return {name: np.asarray(value) for name, value in arrays.items()}, {}


def _solve_flow(context: Mapping[str, Any], number: int) -> tuple[dict[str, Any], np.ndarray | None]:
    """Solve for the flow through a volume in one piece.

    Returns
    -------
    flow : dict
        Results in shortest edges of a grid cell; empty if no pores percolate.
    velocity : (m + 1, 3) ndarray of float32, or None
        Velocities with the wall model of the study, if they were computed.
    """
    settings: FlowSettings = context["flow"]
    volume: PoreVolume = context["volumes"][number]
    voxels = read_pores(volume)
    boundary, wall_model = settings.lateral_boundary, settings.wall_model
    spacing = volume.spacing
    pores = flow_pores(refine(voxels, settings.refinement), boundary)
    if not pores.any():
        return {}, None
    if settings.method == "mobility_estimate":
        estimate = mobility_estimate(Grid.of_percolating(pores, boundary, wall_model, spacing=spacing))
        return {"permeability_mobility_estimate": estimate}, None
    alternate = Grid.of_percolating(pores, boundary, alternate_wall_model(wall_model), spacing=spacing)
    try:
        alternate_permeability = stokes(alternate, ALTERNATE_TOLERANCE).permeability
    except PhysicsError:  # the flow with the wall model of the study does not depend on it
        alternate_permeability = math.nan
    del alternate
    grid = Grid.of_percolating(pores, boundary, wall_model, spacing=spacing)
    del pores
    solution = flow_of_grid(context, number, grid)
    flow = {
        **readings(wall_model, solution.permeability, alternate_permeability),
        "permeability_upper_bound": solution.upper_bound,
        "permeability_mobility_estimate": solution.mobility_estimate,
        "flux_residual": solution.residual,
        "mean_force": mean_force(
            solution.lateral_pressures, grid.shape, periodic=boundary == "periodic", spacing=spacing
        ),
        **flow_sums(grid, solution.velocity, slice(0, grid.n), resolved_pores(voxels), settings.refinement),
    }
    flow["mean_velocity"] = flow["velocity_sum"] / grid.size
    return flow, solution.velocity


def _dimensional(flow: Mapping[str, Any], cell_nm: float, refinement: int) -> dict[str, Any]:
    """Results in nm2, from those in shortest edges of a grid cell, ``cell_nm``; estimate from both wall models."""
    arrays = {name: value * np.square(cell_nm) for name, value in flow.items() if name.startswith("permeability")}
    if "permeability_upper_bound" in flow:
        smooth, staircase = (arrays[f"permeability_{name}_walls"] for name in ("smooth", "staircase"))
        estimate = resolve_permeability(smooth, staircase, refinement)
        arrays |= {
            "permeability": estimate.permeability,
            "permeability_low": estimate.low,
            "permeability_high": estimate.high,
            "flux_residual": flow["flux_residual"],
            "mean_force": flow["mean_force"],
            "mean_velocity": flow["mean_velocity"] * np.square(cell_nm),
            "tortuosity_hydraulic": flow["speed"] / flow["forward"],
            "unresolved_flow_fraction": flow["unresolved"] / flow["total"],
            "speed": (flow["section"] * np.square(cell_nm)).astype(np.float32),
        }
    return arrays


def _no_flow(shape: tuple[int, ...]) -> dict[str, Any]:
    """Results where no pores percolate."""
    undefined = ("flux_residual", "tortuosity_hydraulic", "unresolved_flow_fraction")
    return {
        **dict.fromkeys(PERMEABILITIES, 0.0),
        **dict.fromkeys(undefined, math.nan),
        "mean_force": np.array([1.0, 0.0, 0.0]),
        "mean_velocity": np.zeros(3),
        "speed": np.zeros((shape[0], shape[2]), np.float32),
    }
