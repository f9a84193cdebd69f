"""Domain decomposition of the flow through a large volume: its slabs, their memory, and the units of its iteration.

The iteration is that of :mod:`membrane_dask.physics.stokes.iteration`; each of its requests becomes units of work,
one per slab or one for the pressures of the whole volume. Units leave their arrays as scratch data, so that a run
continues where it was stopped. What they compute is in
:mod:`membrane_dask.studies.volume_flow.decomposed_tasks`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.stokes.bounds import BoundSums
from membrane_dask.physics.stokes.iteration import (
    ComputeMobility,
    Convergence,
    CorrectVelocity,
    Iteration,
    ProjectMass,
    Request,
    SolveDarcy,
    SolveMomentum,
    SumBounds,
    UpdatePressures,
    bound_permeability,
    estimate_permeability,
    initial_inner_tolerance,
    solve_flow,
)
from membrane_dask.program import Outcome, Rounds, Scratch, Unit, UnitFailed
from membrane_dask.studies.volume_flow.flow_grid import ALTERNATE_TOLERANCE, alternate_wall_model
from membrane_dask.studies.volume_flow.flow_settings import FlowSettings

#: Largest number of iterations on the pressures.
MAX_ITERATIONS = 30
#: Pore voxels from which on a volume is decomposed, and planes of a slab then.
_LARGE, _PLANES = 20_000_000, 128
#: Bytes per pore voxel: of a slab with its halo, of the pressures of the volume.
_BYTES_SLAB, _BYTES_PRESSURES = 145, 90
#: Planes of halo for which memory is planned.
_HALO = 48
#: Velocities are solved this many times as accurately as in one piece: an iteration more costs more here than some
#: steps of the momentum equation.
_INNER_TOLERANCE_DIVISOR = 3
#: Bytes per voxel of a volume whose percolating pores are determined.
_BYTES_PERCOLATING = 8


def slab_edges(settings: FlowSettings, shape: Sequence[int], porosity: float) -> tuple[int, ...] | None:
    """Divide a volume into slabs of equal thickness.

    Parameters
    ----------
    settings : FlowSettings
        Flow settings of the study.
    shape : sequence of int
        Shape of the volume.
    porosity : float
        Approximate porosity of the volume.

    Returns
    -------
    tuple of int or None
        First plane of every slab, and the number of planes; None where the flow is computed in one piece.
    """
    depth, planes = shape[0], settings.slab_thickness
    if planes is None:
        large = porosity * math.prod(shape) * settings.refinement**3 > _LARGE
        planes = max(16, _PLANES // settings.refinement) if large else depth
    planes = min(planes, depth)
    planes = math.ceil(depth / math.ceil(depth / planes))  # equal but for the last
    edges = (*range(0, depth, planes), depth)
    return edges if len(edges) > 2 or settings.velocities else None


def decomposed_scratch(
    settings: FlowSettings, edges_of_volumes: Sequence[tuple[int, ...] | None]
) -> tuple[Scratch, ...]:
    """Scratch data of the units of all volumes."""
    slabs = max((len(edges) - 1 for edges in edges_of_volumes if edges), default=0)
    if not slabs:
        return ()
    n = len(edges_of_volumes)
    if settings.method == "mobility_estimate":
        return (
            Scratch("percolating", (n,)),
            Scratch("mobilities", (n, 1, slabs), temporary=True),
            Scratch("pressures", (n, 1, 1), temporary=True),
        )
    return (
        Scratch("percolating", (n,)),
        Scratch("mobilities", (n, 2, slabs), temporary=True),
        Scratch("pressures", (n, 2, MAX_ITERATIONS + 2), temporary=True),
        Scratch("bounds", (n, 2, MAX_ITERATIONS + 1, slabs)),
        Scratch("velocities", (n, 2, MAX_ITERATIONS, slabs), temporary=True),
        Scratch("final_velocity", (n, slabs), temporary=True),
    )


def decomposed_memory(
    settings: FlowSettings, shape: Sequence[int], porosity: float, edges: Sequence[int]
) -> dict[str, int]:
    """Peak bytes of the units, by task."""
    cells = porosity * shape[1] * shape[2] * settings.refinement**3
    planes = max(b - a for a, b in itertools.pairwise(edges)) + 2 * math.ceil(_HALO / settings.refinement)
    slab = int(_BYTES_SLAB * cells * min(shape[0], planes))
    return {
        "percolating": int(_BYTES_PERCOLATING * math.prod(shape)),
        "mobilities": slab,
        "pressures": int(_BYTES_PRESSURES * cells * shape[0]),
        "bounds": slab,
        "velocities": slab,
        "final_velocity": slab,
    }


@dataclass(frozen=True)
class DecomposedFlow:
    """Units of the flow through one volume.

    Parameters
    ----------
    volume : int
        Number of the volume.
    name : str
        Its name in the keys of units.
    slabs : int
        Number of slabs.
    settings : FlowSettings
        Flow settings of the study.
    seed : tuple of int
        Seed of the units.
    image : str
        Name of the image of its velocities.
    has_alternate : bool
        Whether the permeability with the other wall model is needed as well.
    max_radius : float, optional
        Radius of the widest pore in voxels; default that of the volume's unit ``networks``.
    """

    volume: int
    name: str
    slabs: int
    settings: FlowSettings
    seed: tuple[int, ...]
    image: str = ""
    has_alternate: bool = True
    max_radius: float | None = None

    def rounds(self) -> Rounds:
        """All units but the last one of the volume.

        Returns
        -------
        dict
            Parameters of the last unit: ``upper_bound``, that of the permeability, and ``alternate_permeability``, the
            lower bound with the alternate wall model, if it converges, or ``error``, why the bounds do not converge;
            empty where no pores percolate, or where only mobilities are needed.
        """
        radius = {} if self.max_radius is None else {"max_radius": self.max_radius}
        percolating: list[Outcome] = yield [self._unit("percolating", **radius)]
        if not percolating[0].feedback["pores"]:
            yield self._image_units(percolates=False)
            return {}
        if self.settings.method == "mobility_estimate":
            yield from self._carry_out(estimate_permeability())
            return {}
        size = int(self.settings.refinement**3 * percolating[0].feedback["voxels"])
        alternate = [self._alternate_solution(size)] if self.has_alternate else []
        results: list[dict[str, Any]] = yield [self._solution(size), *alternate]
        return {name: value for result in results for name, value in result.items()}

    def throat_units(self) -> list[Unit]:
        """Units of the flow through throats, which follow those of the flow."""
        return self._slab_units("throat_sums")

    def _solution(self, size: int) -> Rounds:
        """Units of the flow with the wall model of the study."""
        try:
            convergence = yield from self._carry_out(solve_flow(_bounds(size, self.settings.tolerance)))
        except PhysicsError as error:
            return {"error": str(error)}
        yield self._image_units(percolates=True)
        return {"upper_bound": convergence.bounds.upper}

    def _alternate_solution(self, size: int) -> Rounds:
        """Units of the bounds with the alternate wall model, which the flow does not depend on."""
        try:
            convergence = yield from self._carry_out(_bounds(size, ALTERNATE_TOLERANCE), wall=1)
        except (PhysicsError, UnitFailed):
            return {}
        return {"alternate_permeability": convergence.bounds.lower}

    def _carry_out(self, iteration: Iteration[Any], wall: int = 0) -> Rounds:
        """Units that carry out the requests of an iteration, whose result is returned."""
        reply = None
        while True:
            try:
                request = iteration.send(reply)
            except StopIteration as stop:
                return stop.value
            outcomes: list[Outcome] = yield self._units(request, wall)
            reply = _reply(request, [outcome.feedback for outcome in outcomes])

    def _units(self, request: Request, wall: int) -> list[Unit]:
        """Units that carry out a request."""
        match request:
            case ComputeMobility():
                return self._slab_units("mobilities", wall)
            case SolveDarcy():
                return [self._unit("pressures", wall, 0, after="")]
            case SolveMomentum(iteration=iteration, kind=kind, tolerance=tolerance):
                return self._slab_units("velocities", wall, iteration, kind=kind, inner_tolerance=tolerance)
            case UpdatePressures(iteration=iteration, after=after):
                return [self._unit("pressures", wall, iteration, after=after)]
            case SumBounds(iteration=iteration):
                return self._slab_units("bounds", wall, iteration)
            case ProjectMass(iteration=iteration, work=work):
                return [self._unit("pressures", wall, iteration + 1, after="converged", work=work)]
            case CorrectVelocity(iteration=iteration):
                return self._slab_units("final_velocity", iteration=iteration)

    def _unit(self, task: str, *index: int, **parameters: Any) -> Unit:
        """A unit by its position: wall model, iteration and slab, as far as the task has them."""
        dims: dict[str, tuple[str, ...]] = {"mobilities": ("wall", "slab"), "pressures": ("wall", "iteration")}
        dims |= {"final_velocity": ("slab",), "throat_sums": ("slab",)}
        position = dict(zip(dims.get(task, ("wall", "iteration", "slab")), index, strict=False))
        key = [task, self.name]
        for dim, number in position.items():
            key.append(f"wall_model={self._wall_model(number)}" if dim == "wall" else f"{dim}={number}")
        parameters = {"volume": self.volume, **position, **parameters}
        return Unit(",".join(key), task, (self.volume, *index), parameters, self.seed)

    def _slab_units(self, task: str, *index: int, **parameters: Any) -> list[Unit]:
        """A unit per slab."""
        return [self._unit(task, *index, slab, **parameters) for slab in range(self.slabs)]

    def _image_units(self, percolates: bool) -> list[Unit]:
        """Units that write the velocities, if they are to be stored."""
        slabs = range(self.slabs if self.settings.velocities else 0)
        parameters = {"volume": self.volume, "percolates": percolates}
        return [
            Unit(f"{self.image},slab={slab}", self.image, (slab,), {**parameters, "slab": slab}, self.seed)
            for slab in slabs
        ]

    def _wall_model(self, number: int) -> str:
        return self.settings.wall_model if number == 0 else alternate_wall_model(self.settings.wall_model)


def _bounds(size: int, tolerance: float) -> Iteration[Convergence]:
    inner_tolerance = initial_inner_tolerance(tolerance) / _INNER_TOLERANCE_DIVISOR
    return bound_permeability(size, tolerance, inner_tolerance, MAX_ITERATIONS)


def _reply(request: Request, feedback: Sequence[Mapping[str, float]]) -> float | BoundSums | None:
    """Reply to a request, from the feedback of the units that carried it out."""
    match request:
        case ComputeMobility():
            return min(slab["min_eigenvalue"] for slab in feedback)
        case SumBounds():
            return BoundSums.total(BoundSums(**slab) for slab in feedback)
    return None
