"""The flow through a large volume, slab by slab: how it is cut, which units there are, and in which order they come.

``through`` finds the pores that lead through. ``mobilities`` of all slabs make the Darcy flow; then rounds of
``pressures`` (one unit), ``bounds`` and ``velocities`` (a unit a slab) follow one another until the bounds are near
enough, and ``streams`` of all slabs end them. Each leaves its arrays as parts, so a run goes on where it was stopped.
What each does is told in :mod:`membrane_dask.studies.slab_flow`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from membrane_dask.io.volumes import VolumeSource
from membrane_dask.physics.stokes.bounds import Bounds, BoundSums
from membrane_dask.physics.stokes.iteration import initial_inner_tolerance
from membrane_dask.program import History, Image, Scratch, Unit
from membrane_dask.studies.characterize.config import FlowSettings
from membrane_dask.studies.characterize.flow_diagnostics import SECOND
from membrane_dask.studies.characterize.variables import REFERENCE_VELOCITY_IMAGE, VELOCITY_IMAGE

#: Rounds after which to give up.
MOST_ROUNDS = 30
#: Pore voxels from which on a volume is cut, and planes of a slab then.
_LARGE, _PLANES = 20_000_000, 128
#: Bytes for every pore voxel: of a slab with its halo, of the pressures.
_BYTES_SLAB, _BYTES_WHOLE = 145, 90
#: Planes of halo that memory is planned for.
_HALO = 48
#: How much better velocities are solved for than in one piece: a round more costs more here than a few steps.
_CLOSER = 3
#: Bytes for every voxel of a volume whose ways through are looked for.
_BYTES_THROUGH = 8
TASKS = ("through", "mobilities", "pressures", "bounds", "velocities", "streams")


def slab_edges(settings: FlowSettings, shape: Sequence[int], porosity: float) -> tuple[int, ...] | None:
    """First planes of a volume's slabs and its depth, in its own voxels; None if it is not cut."""
    planes = settings.slab
    if planes is None:
        large = porosity * math.prod(shape) * settings.refine**3 > _LARGE
        planes = max(16, _PLANES // settings.refine) if large else shape[0]
    planes = min(planes, shape[0])
    planes = math.ceil(shape[0] / math.ceil(shape[0] / planes))  # slabs of one thickness, but for the last
    edges = (*range(0, shape[0], planes), shape[0])
    return edges if len(edges) > 2 or settings.velocities else None


def slab_parts(settings: FlowSettings, cuts: Sequence[tuple[int, ...] | None]) -> tuple[Scratch, ...]:
    """Where the units of all volumes leave their arrays."""
    most = max((len(edges) - 1 for edges in cuts if edges), default=0)
    if not most:
        return ()
    n = len(cuts)
    if settings.method == "screening":
        return (
            Scratch("through", (n,)),
            Scratch("mobilities", (n, 1, most), temporary=True),
            Scratch("pressures", (n, 1, 1), temporary=True),
        )
    return (
        Scratch("through", (n,)),
        Scratch("mobilities", (n, 2, most), temporary=True),
        Scratch("pressures", (n, 2, MOST_ROUNDS + 2), temporary=True),
        Scratch("bounds", (n, 2, MOST_ROUNDS, most)),
        Scratch("velocities", (n, 2, MOST_ROUNDS, most), temporary=True),
        Scratch("streams", (n, most), temporary=True),
    )


def slab_fields(settings: FlowSettings, volume: VolumeSource, edges: Sequence[int], name: str) -> Image:
    """Where the velocities of a volume are kept."""
    voxel = float(volume.voxel_nm or math.nan)
    labels: dict[str, np.ndarray] = {"component": np.array(list("zyx"), np.dtypes.StringDType())}
    labels |= {axis: (np.arange(n) + 0.5) * voxel for axis, n in zip("zyx", volume.shape, strict=True)}
    schema = REFERENCE_VELOCITY_IMAGE if name == "reference_velocity" else VELOCITY_IMAGE
    return Image(schema, labels, "z", edges[1], attrs={"pressure_Pa": settings.pressure}, name=name)


def slab_memory(settings: FlowSettings, shape: Sequence[int], porosity: float, edges: Sequence[int]) -> dict[str, int]:
    """Peak bytes of the units, by task."""
    fine = settings.refine
    plane = porosity * shape[1] * shape[2] * fine**3
    deepest = max(b - a for a, b in itertools.pairwise(edges))
    slab = int(_BYTES_SLAB * plane * min(shape[0], deepest + 2 * math.ceil(_HALO / fine)))
    return {
        "through": int(_BYTES_THROUGH * math.prod(shape)),
        "mobilities": slab,
        "pressures": int(_BYTES_WHOLE * plane * shape[0]),
        "bounds": slab,
        "velocities": slab,
        "streams": slab,
    }


@dataclass(frozen=True)
class SlabFlow:
    """Units of one volume.

    Parameters
    ----------
    volume : int
        Its number.
    name : str
        Its name in the keys.
    slabs : int
        How many.
    settings : FlowSettings
        What is asked.
    seed : tuple of int
        Of the units.
    field : str
        Where its velocities are kept.
    """

    volume: int
    name: str
    slabs: int
    settings: FlowSettings
    seed: tuple[int, ...]
    field: str

    def propose(self, history: History) -> tuple[list[Unit], dict[str, Any] | None]:
        """All units that the history allows; and what to tell the last one of the volume, once it may come."""
        units = [self._unit("through")]
        found = history.get(units[0].key)
        if found is None:
            return units, None
        if found.status == "failed" or not found.feedback["pores"]:
            if found.status == "done":
                units += self._kept(-1)
            return units, {"failed": units[0].key if found.status == "failed" else ""}
        ends = []
        tolerances = (self.settings.tolerance, SECOND) if self.settings.method == "stokes" else (math.inf,)
        for reading, tolerance in enumerate(tolerances):
            more, end = self._rounds(history, reading, tolerance)
            units += more
            ends.append(end)
        if None in ends:
            return units, None
        told = {f"{name}_{reading}": value for reading, end in enumerate(ends) for name, value in (end or {}).items()}
        return units, {"failed": "", **told}

    def _kept(self, rounds: int) -> list[Unit]:
        """Units that keep the velocities, after so many rounds; none was needed where nothing flows."""
        slabs = range(self.slabs if self.settings.velocities else 0)
        told = {"volume": self.volume, "rounds": rounds}
        return [
            Unit(f"{self.field},slab={k}", self.field, (k,), {**told, "slab": k, "field": True}, self.seed)
            for k in slabs
        ]

    def _unit(self, task: str, *place: int, **params: Any) -> Unit:
        names = {"mobilities": ("reading", "slab"), "pressures": ("reading", "round"), "streams": ("slab",)}
        labels = names.get(task, ("reading", "round", "slab"))[: len(place)]
        where = dict(zip(labels, place, strict=True))
        key = ",".join([task, self.name, *(f"{label}={number}" for label, number in where.items())])
        return Unit(key, task, (self.volume, *place), {"volume": self.volume, **where, **params}, self.seed)

    def _rounds(self, history: History, reading: int, tolerance: float) -> tuple[list[Unit], dict[str, Any] | None]:
        """The units of one reading of the surface, and how they ended, if they have."""
        units: list[Unit] = []

        def over(*fresh: Unit) -> bool:
            units.extend(fresh)
            return all(unit.key in history for unit in fresh)

        def broken() -> list[str]:
            return [unit.key for unit in units if unit.key in history and history[unit.key].status == "failed"]

        def of_slabs(task: str, *place: int, **params: Any) -> list[Unit]:
            return [self._unit(task, reading, *place, slab, **params) for slab in range(self.slabs)]

        inner = initial_inner_tolerance(tolerance) / _CLOSER
        last: dict[str, Any] = {"kind": "darcy", "inner": inner}
        mobile = of_slabs("mobilities")
        if not over(*mobile) or broken():
            return units, {"failed": broken()[0]} if broken() else None
        min_eigenvalue = min(history[unit.key].feedback["min_eigenvalue"] for unit in mobile)
        size = self.settings.refine**3 * history[self._unit("through").key].feedback["voxels"]
        after, bounds = "", Bounds(0.0, math.inf, 0.0)
        for number in range(MOST_ROUNDS):
            ready = over(self._unit("pressures", reading, number, after=after)) and not broken()
            if ready and self.settings.method == "screening":
                return units, {"failed": ""}
            if ready and number:
                judged = of_slabs("bounds", number)
                ready = over(*judged) and not broken()
                if ready:
                    feedback = [history[unit.key].feedback for unit in judged]
                    sums = BoundSums.total(
                        BoundSums(**{name: f[name] for name in BoundSums.__annotations__}) for f in feedback
                    )
                    bounds = sums.bounds(int(size), min_eigenvalue)
                    status = bounds.status(tolerance)
                    if status == "converged":
                        end = {"rounds": number, "work": sums.work, "lower": bounds.lower, "upper": bounds.upper}
                        return self._ended(history, units, reading, end)
                    inner = inner / 4 if status == "velocities" else inner
                    last = {"kind": status, "inner": inner}
            if ready:
                ready = over(*of_slabs("velocities", number, **last)) and not broken()
            if not ready:
                return units, {"failed": broken()[0]} if broken() else None
            after = str(last["kind"])
        return units, {"failed": "", "not_converged": str(bounds.not_converged(MOST_ROUNDS, tolerance))}

    def _ended(
        self, history: History, units: list[Unit], reading: int, end: dict[str, Any]
    ) -> tuple[list[Unit], dict[str, Any] | None]:
        """The last units of a reading; only of the first are the velocities wanted."""
        if reading == 0:
            number = end["rounds"] + 1
            mend = self._unit("pressures", 0, number, after="converged", work=end["work"])
            final = [self._unit("streams", slab, round=end["rounds"]) for slab in range(self.slabs)]
            for stage in ([mend], final):
                units += stage
                bad = [u.key for u in stage if u.key in history and history[u.key].status == "failed"]
                if bad:
                    return units, {"failed": bad[0]}
                if any(unit.key not in history for unit in stage):
                    return units, None
            units += self._kept(end["rounds"])
        return units, {"failed": "", **end}
