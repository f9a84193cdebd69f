"""Tortuosity of a large volume by slabs: their planes, their memory, and the units of its iterations.

Geodesic distances pass from slab to slab until none becomes smaller; diffusion alternates between the slabs and the
groups of voxels of the whole volume. What the units compute is in
:mod:`membrane_dask.studies.characterize.tortuosity_tasks`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from membrane_dask.physics.transport.two_level_diffusion import MARGIN, cell_edge
from membrane_dask.program import Outcome, Rounds, Scratch, Unit

#: Pore voxels from which on a volume is divided, and pore voxels of a slab with the planes around it then.
_LARGE, _WINDOW = 8_000_000, 16_000_000
#: Fewest planes of a slab: the planes around a slab belong to the slabs adjacent to it.
MIN_PLANES = 2 * MARGIN + 4
#: Largest numbers of iterations of the diffusion, and of visits of the geodesic distances to a slab.
MAX_ITERATIONS, MAX_VISITS = 100, 100
#: Bytes per pore voxel: of a slab with the planes around it, and of a volume of which the groups are balanced.
_BYTES_SLAB, _BYTES_GROUPS = 48, 12
#: Bytes per voxel of a slab that is read.
_BYTES_READ = 2


def tortuosity_edges(planes: int | None, shape: Sequence[int], porosity: float) -> tuple[int, ...] | None:
    """Divide a volume into slabs of whole cells of the groups of voxels.

    Parameters
    ----------
    planes : int or None
        Planes of a slab; None to divide large volumes only.
    shape : sequence of int
        Shape of the volume.
    porosity : float
        Its approximate porosity.

    Returns
    -------
    tuple of int or None
        First plane of every slab, and the number of planes; None where the volume is not divided.
    """
    depth, cell = shape[0], cell_edge(shape)
    pores_of_plane = max(1.0, porosity * math.prod(shape[1:]))
    if planes is None:
        if pores_of_plane * depth <= _LARGE:
            return None
        planes = min(int(_WINDOW / pores_of_plane) - 2 * MARGIN, depth // 2)
    planes = max(planes, MIN_PLANES)
    count = max(1, round(depth / planes))
    thickness = math.ceil(depth / count / cell) * cell
    edges = [*range(0, depth, thickness), depth]
    if len(edges) > 2 and edges[-1] - edges[-2] < MIN_PLANES:
        del edges[-2]
    return tuple(edges) if len(edges) > 2 else None


def tortuosity_scratch(edges_of_volumes: Sequence[tuple[int, ...] | None]) -> tuple[Scratch, ...]:
    """Scratch data of the units of all volumes."""
    slabs = max((len(edges) - 1 for edges in edges_of_volumes if edges), default=0)
    if not slabs:
        return ()
    n = len(edges_of_volumes)
    return (
        Scratch("pore_slabs", (n, slabs), temporary=True),
        Scratch("geodesics", (n, slabs, MAX_VISITS), temporary=True),
        Scratch("diffusion", (n, MAX_ITERATIONS + 1, slabs), temporary=True),
        Scratch("group_balance", (n, MAX_ITERATIONS + 1), temporary=True),
        Scratch("group_residuals", (n, slabs), temporary=True),
    )


def tortuosity_memory(shape: Sequence[int], porosity: float, edges: Sequence[int]) -> dict[str, int]:
    """Peak bytes of the units, by task."""
    area = math.prod(shape[1:])
    planes = max(b - a for a, b in itertools.pairwise(edges))
    own = porosity * area * planes
    window = porosity * area * min(shape[0], planes + 2 * MARGIN)
    return {
        "pore_slabs": int(_BYTES_SLAB * own + _BYTES_READ * area * planes),
        "geodesics": int(_BYTES_SLAB / 4 * own),
        **dict.fromkeys(("diffusion", "group_residuals"), int(_BYTES_SLAB * window)),
        **dict.fromkeys(("group_balance", "tortuosity"), int(_BYTES_GROUPS * porosity * area * shape[0])),
    }


@dataclass(frozen=True)
class DecomposedTortuosity:
    """Units of the tortuosity of one volume.

    Parameters
    ----------
    volume : int
        Number of the volume.
    name : str
        Its name in the keys of units.
    slabs : int
        Number of slabs.
    tolerance : float
        Largest difference of the diffusive flux between planes, relative to its mean.
    seed : tuple of int
        Seed of the units.
    """

    volume: int
    name: str
    slabs: int
    tolerance: float
    seed: tuple[int, ...]

    def rounds(self) -> Rounds:
        """All units but the last one of the volume, whose parameters are returned."""
        yield [self._unit("pore_slabs", slab=slab) for slab in range(self.slabs)]
        visit, iteration = yield [self._geodesics(), self._diffusion()]
        return {"visit": visit, "iteration": iteration}

    def _geodesics(self) -> Rounds:
        """Distances from the face at high z, slab by slab; returns the last visit to the first slab, or -1.

        A slab is visited again after the times adjacent to it have decreased. Slabs that the front has not reached yet
        have no times.
        """
        visits, due = [-1] * self.slabs, {self.slabs - 1}
        while due:
            slabs = sorted(due)
            if max(visits[slab] for slab in slabs) == MAX_VISITS - 1:
                return -2
            units = [
                self._unit(
                    "geodesics", slab=slab, visit=visits[slab] + 1,
                    below=visits[slab - 1] if slab else -1,
                    above=visits[slab + 1] if slab + 1 < self.slabs else -1,
                )
                for slab in slabs
            ]  # fmt: skip
            outcomes: list[Outcome] = yield units
            due = set()
            for slab, outcome in zip(slabs, outcomes, strict=True):
                visits[slab] += 1
                if slab and outcome.feedback["low"]:
                    due.add(slab - 1)
                if slab + 1 < self.slabs and outcome.feedback["high"]:
                    due.add(slab + 1)
        return visits[0]

    def _diffusion(self) -> Rounds:
        """Iterations until the fluxes agree; returns the number of the last one, -1 without percolating pores.

        A number beyond the largest one says that they do not.
        """
        balance: list[Outcome] = yield [self._unit("group_balance", iteration=0)]
        if not balance[0].feedback["percolates"]:
            return -1
        iteration, spread = 0, math.inf
        while spread > self.tolerance and iteration < MAX_ITERATIONS:
            iteration += 1
            yield [self._unit("diffusion", iteration=iteration, slab=slab) for slab in range(self.slabs)]
            balance = yield [self._unit("group_balance", iteration=iteration)]
            spread = balance[0].feedback["spread"]
        yield [self._unit("group_residuals", slab=slab, last_iteration=iteration) for slab in range(self.slabs)]
        return iteration if spread <= self.tolerance else MAX_ITERATIONS + 1

    def _unit(self, task: str, **parameters: Any) -> Unit:
        """A unit by its position."""
        position = {name: parameters[name] for name in ("iteration", "slab", "visit") if name in parameters}
        key = ",".join([task, self.name, *(f"{name}={number}" for name, number in position.items())])
        index = (self.volume, *position.values())
        return Unit(key, task, index, {"volume": self.volume, **parameters}, self.seed)
