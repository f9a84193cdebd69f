"""Control of the iteration for a permeability: which computation follows from the results of the earlier ones.

The generators here hold no arrays. They yield requests and receive the results, so that the same iteration runs in
memory (:func:`membrane_dask.physics.stokes.solver.stokes`) and by units of work on the slabs of a large volume
(:mod:`membrane_dask.studies.volume_flow.decomposed_flow`).
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import numpy as np

from membrane_dask.physics.stokes.bounds import Bounds, BoundSums

#: Factor by which the tolerance of the momentum equation decreases when its residual dominates the bounds.
_INNER_TOLERANCE_FACTOR = 1 / 4

#: What a solution of the momentum equation computes: ``darcy``, the velocities under the present pressures, from those
#: of the Darcy flow; ``velocities``, the same from the present velocities; ``pressures``, the velocities that the
#: search direction of the pressures drives.
Kind = Literal["darcy", "velocities", "pressures"]


@dataclass(frozen=True)
class ComputeMobility:
    """Request for the conductances of the Darcy flow; the reply is the smallest eigenvalue of the momentum operator.

    See :func:`membrane_dask.physics.stokes.momentum.mobility`.
    """


@dataclass(frozen=True)
class SolveDarcy:
    """Request for the initial pressures, those of the Darcy flow, and for the estimate of the permeability."""


@dataclass(frozen=True)
class SolveMomentum:
    """Request for velocities.

    Parameters
    ----------
    iteration : int
        Iteration whose pressures act, 0 for those of the Darcy flow.
    kind : str
        One of :data:`Kind`.
    tolerance : float
        Relative residual of the momentum equation.
    """

    iteration: int
    kind: Kind
    tolerance: float


@dataclass(frozen=True)
class UpdatePressures:
    """Request for the pressures of an iteration and their next search direction.

    Parameters
    ----------
    iteration : int
        Its number, from 1.
    after : str
        Kind of the velocities of the previous iteration: ``pressures`` moves the pressures along the search direction,
        the others restart the conjugate gradients from the present ones.
    """

    iteration: int
    after: Kind


@dataclass(frozen=True)
class SumBounds:
    """Request for the sums that bound the permeability in an iteration; the reply is a :class:`BoundSums`."""

    iteration: int


@dataclass(frozen=True)
class ProjectMass:
    """Request for the pressures of the Darcy flow that makes the flux equal in all planes.

    Parameters
    ----------
    iteration : int
        Last iteration.
    work : float
        Sum of the fluxes through all planes of faces.
    """

    iteration: int
    work: float


@dataclass(frozen=True)
class CorrectVelocity:
    """Request for the divergence-free velocities, those of the last iteration plus the Darcy flow."""

    iteration: int


Request = ComputeMobility | SolveDarcy | SolveMomentum | UpdatePressures | SumBounds | ProjectMass | CorrectVelocity

_Result = TypeVar("_Result")
#: Generator that yields requests, receives the reply to each (None where the request names none), and returns a result.
Iteration = Generator[Request, Any, _Result]


@dataclass(frozen=True)
class Convergence:
    """Bounds of a permeability that agree.

    Parameters
    ----------
    bounds : Bounds
        The bounds.
    work : float
        Work of the unit force along z on the divergence-free velocities of the lower bound.
    history : list of tuple
        Lower and upper bound in each iteration.
    """

    bounds: Bounds
    work: float
    history: list[tuple[float, float]] = field(default_factory=list)

    @property
    def iterations(self) -> int:
        """Number of iterations."""
        return len(self.history)


def initial_inner_tolerance(tolerance: float) -> float:
    """Relative residual of the momentum equation at first, for a tolerance of the bounds."""
    return float(min(np.sqrt(0.1 * tolerance), 0.03))


def estimate_permeability() -> Iteration[float]:
    """Request the Darcy flow only.

    Returns
    -------
    float
        Smallest eigenvalue of the momentum operator.
    """
    min_eigenvalue: float = yield ComputeMobility()
    yield SolveDarcy()
    return min_eigenvalue


def bound_permeability(
    size: int,
    tolerance: float,
    inner_tolerance: float,
    max_iterations: int,
    callback: Callable[[int, float, float], None] = lambda iteration, lower, upper: None,
) -> Iteration[Convergence]:
    """Request iterations until the bounds of the permeability agree.

    Parameters
    ----------
    size : int
        Number of voxels of the volume.
    tolerance : float
        Difference of the bounds over the lower bound, in (0, 1).
    inner_tolerance : float
        Relative residual of the momentum equation at first; see :func:`initial_inner_tolerance`.
    max_iterations : int
        Maximum number of iterations, > 0.
    callback : callable
        Called after each iteration with its number, from 1, and the lower and upper bound.

    Returns
    -------
    Convergence

    Raises
    ------
    PhysicsError
        If the bounds do not converge.
    """
    min_eigenvalue = yield from estimate_permeability()
    history: list[tuple[float, float]] = []
    kind: Kind = "darcy"
    for iteration in range(1, max_iterations + 1):
        yield SolveMomentum(iteration - 1, kind, inner_tolerance)
        yield UpdatePressures(iteration, kind)
        sums: BoundSums = yield SumBounds(iteration)
        bounds = sums.bounds(size, min_eigenvalue)
        history.append((bounds.lower, bounds.upper))
        callback(iteration, bounds.lower, bounds.upper)
        status = bounds.status(tolerance)
        if status == "converged":
            return Convergence(bounds, sums.work, history)
        if status == "velocities":
            inner_tolerance *= _INNER_TOLERANCE_FACTOR
        kind = status
    raise bounds.not_converged(max_iterations, tolerance)


def solve_flow(bound: Iteration[Convergence]) -> Iteration[Convergence]:
    """Request the iterations of :func:`bound_permeability`, then the divergence-free velocities."""
    convergence = yield from bound
    yield ProjectMass(convergence.iterations, convergence.work)
    yield CorrectVelocity(convergence.iterations)
    return convergence


def run_iteration(iteration: Iteration[_Result], answer: Callable[[Request], Any]) -> _Result:
    """Run an iteration to its end.

    Parameters
    ----------
    iteration : generator
        The iteration.
    answer : callable
        Carries out a request and returns the reply.
    """
    reply = None
    try:
        while True:
            reply = answer(iteration.send(reply))
    except StopIteration as stop:
        result: _Result = stop.value
        return result
