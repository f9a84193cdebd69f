"""The Stokes flow that the properties and the virtual bench of a volume both need: it is computed once.

The bench has the settings of the flow, so that both would solve the same problem. A unit leaves the solution of a
volume in one piece; what reads it has the same bits as if it had computed the flow itself. The flow of a volume that
is divided into slabs leaves the sums of :mod:`membrane_dask.studies.volume_flow.throat_flow`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from membrane_dask.io.oriented_volumes import PoreVolume
from membrane_dask.physics.stokes.mac_grid import Grid, flow_pores
from membrane_dask.physics.stokes.solver import Flow, stokes
from membrane_dask.program import Scratch, Unit
from membrane_dask.studies.characterize.config import CharacterizeStudy
from membrane_dask.studies.input_volumes import read_pores
from membrane_dask.studies.volume_flow.flow_settings import FlowSettings

#: Task of the unit, and folder of what it leaves.
TASK = "stokes_flow"
#: Results of the flow that are read.
_ARRAYS = tuple(field.name for field in fields(Flow) if field.name != "history")
_NUMBERS = ("permeability", "upper_bound", "mobility_estimate", "residual")


def has_common_flow(study: CharacterizeStudy, slab_edges: Sequence[int] | None) -> bool:
    """Whether the properties and the bench of a volume need its Stokes flow along the depth in one piece."""
    is_solved = study.flow.enabled and study.flow.method == "stokes" and slab_edges is None
    return is_solved and study.bench.computes_flow


def has_bench_by_slabs(study: CharacterizeStudy, slab_edges: Sequence[int] | None) -> bool:
    """Whether the Stokes flow of the bench is computed by slabs: where that of the properties is."""
    return study.bench.computes_flow and slab_edges is not None and len(slab_edges) > 2


def common_flow_scratch(common: Sequence[bool]) -> list[Scratch]:
    """Storage of the units of all volumes."""
    return [Scratch(TASK, (len(common),), temporary=True)] if any(common) else []


def common_flow_work(context: Mapping[str, Any], unit: Unit) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Solve for the flow; nothing where no pores percolate.

    Raises
    ------
    PhysicsError
        If the flow does not converge.
    """
    settings: FlowSettings = context["flow"]
    volume: PoreVolume = context["volumes"][unit.params["volume"]]
    pores = flow_pores(read_pores(volume), settings.lateral_boundary)
    if not pores.any():
        return {}, {}
    grid = Grid.of_percolating(pores, settings.lateral_boundary, settings.wall_model, spacing=volume.spacing)
    del pores
    solution = stokes(grid, settings.tolerance)
    return {name: np.asarray(getattr(solution, name)) for name in _ARRAYS}, {}


def flow_of_grid(context: Mapping[str, Any], number: int, grid: Grid) -> Flow:
    """The Stokes flow through the pores of a volume: the common one, or computed here.

    Parameters
    ----------
    context : mapping
        Context of the program.
    number : int
        Number of the oriented volume.
    grid : Grid
        Its percolating pores, with the boundary and the wall model of the study.

    Raises
    ------
    PhysicsError
        If the flow does not converge.
    """
    if number >= len(context["has_common_flow"]) or not context["has_common_flow"][number]:
        return stokes(grid, context["flow"].tolerance)
    arrays = context["scratch"].read(TASK, (number,))
    return Flow(**arrays | {name: float(arrays[name]) for name in _NUMBERS}, history=[])
