"""What a worker does for the flow through a large volume by slabs; :mod:`.slab_units` tells in which order."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from membrane_dask.io.volumes import VolumeSource
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.imaging.local_thickness import pore_radii
from membrane_dask.physics.percolation import percolating
from membrane_dask.physics.stokes.bounds import BoundSums
from membrane_dask.physics.stokes.mac_grid import NO_SOLID, Grid, LateralBoundary, WallModel
from membrane_dask.physics.stokes.operators import add_darcy_velocity
from membrane_dask.physics.stokes.solver import PressureSolver, darcy_flow, darcy_load, flux_spread
from membrane_dask.physics.stokes.subdomains import (
    MARGIN,
    Reader,
    Slabs,
    Subdomain,
    global_darcy,
    halo,
    slab_mobility,
    total_net_inflow,
)
from membrane_dask.program import Unit
from membrane_dask.studies.characterize.config import FlowSettings
from membrane_dask.studies.characterize.flow_diagnostics import (
    LATERAL_BOUNDARIES,
    WALL_MODELS,
    alternate,
    planes_of,
    refined,
    seen,
    wider_than_one,
)


@dataclass(frozen=True)
class _Site:
    """What a unit finds of its volume, and what earlier ones left."""

    parts: Any
    settings: FlowSettings
    edges: tuple[int, ...]
    params: Mapping[str, Any]

    @property
    def volume(self) -> int:
        return int(self.params["volume"])

    @property
    def reading(self) -> int:
        return int(self.params.get("reading", 0))

    @property
    def lateral_boundary(self) -> LateralBoundary:
        return LATERAL_BOUNDARIES[self.settings.sides]

    @cached_property
    def wall_model(self) -> WallModel:
        wall_model = WALL_MODELS[self.settings.surface]
        return wall_model if self.reading == 0 else alternate(wall_model)

    @cached_property
    def known(self) -> dict[str, np.ndarray]:
        found: dict[str, np.ndarray] = self.parts.read("through", (self.volume,))
        return found

    @cached_property
    def slabs(self) -> Slabs:
        fine = self.settings.refine
        planes = np.repeat(self.known["pores"].astype(np.int64) * fine**2, fine)
        return Slabs(tuple(fine * edge for edge in self.edges), np.concatenate([[0], np.cumsum(planes)]))

    @property
    def size(self) -> int:
        """Voxels."""
        return self.slabs.depth * math.prod(int(n) for n in self.known["extent"][1:]) * self.settings.refine**2

    @property
    def margin(self) -> int:
        return halo(float(self.known["widest"]) * self.settings.refine)

    def pores(self, low: int, high: int) -> np.ndarray:
        """Pores of some planes that lead through."""
        fine = self.settings.refine
        a, b = low // fine, -(-high // fine)
        found = np.unpackbits(self.known["bits"][a:b], axis=2, count=int(self.known["extent"][2])).astype(bool)
        found = refined(found, fine)
        return found[low - a * fine : high - a * fine]

    def mobility(self, name: str) -> Reader:
        return lambda slab: self.parts.read("mobilities", (self.volume, self.reading, slab), (name,))[name]

    def pressed(self, number: int, name: str) -> Reader:
        """What the pressures' unit of a round left for slabs."""

        def read(slab: int) -> np.ndarray:
            found: np.ndarray = self.parts.read(
                "pressures", (self.volume, self.reading, number), (f"{name}_{slab}",)
            )[f"{name}_{slab}"]  # fmt: skip
            return found

        return read

    def scalar(self, number: int, name: str) -> np.ndarray:
        found: np.ndarray = self.parts.read("pressures", (self.volume, self.reading, number), (name,))[name]
        return found

    def section(self, margin: int) -> Subdomain:
        """The unit's slab with so many planes about it."""
        window = self.slabs.window(int(self.params["slab"]), margin)
        pores = self.pores(window.low, window.high)
        return Subdomain.of(self.slabs, window, pores, self.lateral_boundary, self.mobility("resistance"))

    def streams(self, slab: int) -> np.ndarray:
        """Velocities of a slab as they were found in the end."""
        found: np.ndarray = self.parts.read("streams", (self.volume, slab), ("velocity",))["velocity"]
        return found

    def velocity(self, number: int) -> Reader:
        """Velocities under the pressures of a round: sums of what earlier rounds found."""
        weights = self.scalar(number, "weights")

        def read(slab: int) -> np.ndarray:
            total = None
            for round_ in np.flatnonzero(weights):
                part = self.parts.read("velocities", (self.volume, self.reading, int(round_), slab), ("velocity",))
                step = part["velocity"]
                step *= np.float32(weights[round_])
                total = step if total is None else np.add(total, step, out=total)
            return np.asarray(total)

        return read


def slab_work(context: Mapping[str, Any], unit: Unit) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """What a unit finds.

    Raises
    ------
    PhysicsError
        If it does not.
    """
    volume: VolumeSource = context["volumes"][unit.params["volume"]]
    if unit.task == "through":
        return _through(context, unit, volume)
    site = _Site(context["scratch"], context["flow"], context["slabs"][unit.params["volume"]], unit.params)
    if unit.params.get("field"):
        return {"velocity": _field(site, context["volumes"][site.volume])}, {}
    if unit.task == "mobilities":
        window = site.slabs.window(unit.params["slab"], site.margin)
        pores = site.pores(window.low, window.high)
        found = slab_mobility(site.slabs, window, pores, site.lateral_boundary, site.wall_model)
        return found, {"min_eigenvalue": float(found["min_eigenvalue"])}
    if unit.task == "pressures":
        return _pressures(site), {}
    number = int(unit.params["round"])
    if unit.task == "velocities":
        return _velocities(site, number), {}
    section = site.section(MARGIN * site.settings.refine)
    velocity, conductance = (
        section.face_values(site.velocity(number)),
        section.face_values(site.mobility("conductance")),
    )
    if unit.task == "bounds":
        pressures, correction = (
            section.pore_values(site.pressed(number, name)) for name in ("pressures", "correction")
        )
        sums = section.bound_sums(velocity, pressures, conductance, correction)
        feedback = {name: float(getattr(sums, name)) for name in BoundSums.__annotations__}
        return {"sums": np.array(list(feedback.values()))}, feedback
    return _streams(site, section, velocity, conductance, number), {}


def _through(
    context: Mapping[str, Any], unit: Unit, volume: VolumeSource
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Pores that lead through, as bits; how many lie in each plane; and how wide they are."""
    settings: FlowSettings = context["flow"]
    pores = percolating(planes_of(volume), periodic=settings.sides == "periodic")
    if settings.sides != "wall" and pores.all():
        raise PhysicsError(NO_SOLID)
    fitting = context["scratch"].read("networks", (unit.params["volume"],), ("fitting",))["fitting"]
    arrays = {
        "bits": np.packbits(pores, axis=2),
        "pores": np.count_nonzero(pores, axis=(1, 2)),
        "extent": np.array(pores.shape),
        "widest": np.asarray(pore_radii(len(fitting))[-1]),
    }
    return arrays, {"pores": float(arrays["pores"].sum()), "voxels": float(pores.size)}


def _pressures(site: _Site) -> dict[str, np.ndarray]:
    """Pressures of a round, and which way they go on."""
    slabs, number, after = site.slabs, int(site.params["round"]), site.params["after"]
    pores = site.pores(0, slabs.depth)
    grid, darcy = global_darcy(slabs, pores, site.lateral_boundary, site.mobility("conductance"))
    del pores
    n, before = grid.n, number - 1
    if number == 0:
        load, size = darcy_load(grid, darcy.conductance), grid.size
        del grid
        darcy.compact()
        search, screening = darcy_flow(darcy, *load, size)
        return {**_cut(slabs, "pressures", search.pressures), "screening": np.asarray(screening)}
    if after == "converged":
        planes = grid.coordinates[:, 0].copy()
        del grid
        darcy.compact()
        search = PressureSolver(darcy, np.empty(0, np.float32))
        search.net_inflow = site.scalar(before, "net_inflow")
        search.correction = slabs.gather_all(site.pressed(before, "correction"), n)
        return _cut(slabs, "correction", search.project_mass(planes, site.params["work"]))
    del grid
    darcy.compact()
    place, wanted = (site.volume, site.reading, before), ("inflow", "inflow_before")
    fed = total_net_inflow(slabs, lambda slab: site.parts.read("velocities", (*place, slab), wanted))
    search = PressureSolver(darcy, slabs.gather_all(site.pressed(before, "pressures"), n))
    if after == "pressures":
        search.net_inflow, search.residual_square = (
            site.scalar(before, "net_inflow"),
            float(site.scalar(before, "residual_square")),
        )
        search.direction = slabs.gather_all(site.pressed(before, "direction"), n)
        weights = np.append(site.scalar(before, "weights"), search.step(fed))
        del fed
        search.update_direction()
    else:
        search.restart(fed)
        weights = np.append(np.zeros(before), 1.0)
    return {
        **_cut(slabs, "pressures", search.pressures),
        **_cut(slabs, "direction", search.direction),
        **_cut(slabs, "correction", search.correction),
        "net_inflow": search.net_inflow,
        "residual_square": np.asarray(search.residual_square),
        "weights": weights,
    }


def _cut(slabs: Slabs, name: str, values: np.ndarray) -> dict[str, np.ndarray]:
    """What each slab reads of values of all pores."""
    edges = slabs.first[list(slabs.edges)]
    return {f"{name}_{k}": values[a:b] for k, (a, b) in enumerate(itertools.pairwise(edges.tolist()))}


def _velocities(site: _Site, number: int) -> dict[str, np.ndarray]:
    """Velocities of a slab: those that balance all forces, or those that the next change of the pressures drives."""
    kind, inner = site.params["kind"], site.params["inner"]
    section = site.section(site.margin)
    if kind == "pressures":
        return section.pressure_response(section.pore_values(site.pressed(number, "direction")), inner)
    pressures = section.pore_values(site.pressed(number, "pressures"))
    if kind == "darcy":
        velocity = section.darcy_velocity(section.face_values(site.mobility("conductance")), pressures)
    else:
        velocity = section.face_values(site.velocity(number))
    return section.balance_momentum(velocity, pressures, inner)


def _streams(
    site: _Site, section: Subdomain, velocity: np.ndarray, conductance: np.ndarray, number: int
) -> dict[str, np.ndarray]:
    """The slab's part of the flow as it was found, not yet scaled, and what can be seen in it."""
    correction = section.pore_values(site.pressed(number + 1, "correction"))
    flow = add_darcy_velocity(*section.grid.operator, velocity, conductance, correction)
    own, window, fine = site.slabs.owned_rows(section.window), section.window, site.settings.refine
    grid = section.grid
    through, power = section.work_and_dissipation(flow)
    rows = site.slabs.owned_rows(window, faces=False)
    wide = wider_than_one(site.pores(window.low, window.high)[::fine, ::fine, ::fine])
    own_planes = slice((window.start - window.low) // fine, (window.stop - window.low) // fine)
    looks = seen(grid, flow, rows, wide, fine)
    looks["section"] = looks["section"][own_planes]
    flux = grid.fluxes(flow)[window.start - window.low : window.stop - window.low + (window.stop == window.depth)]
    return {"velocity": flow[own].copy(), "work": np.array([through, power]), "flux": flux, **looks}


def _field(site: _Site, volume: VolumeSource) -> np.ndarray:
    """Velocities in the middle of a slab's voxels, ``(component, z, y, x)`` in m/s."""
    settings, fine = site.settings, site.settings.refine
    window = site.slabs.window(int(site.params["slab"]), 1)
    found = np.zeros((3, (window.stop - window.start) // fine, *volume.shape[1:]), np.float32)
    if site.params["rounds"] < 0:
        return found
    work = sum(site.parts.read("streams", (site.volume, k), ("work",))["work"] for k in range(len(site.slabs)))
    grid = Grid.of_percolating(site.pores(window.low, window.high), site.lateral_boundary, None)
    at_centres = grid.at_centres(site.slabs.gather(site.streams, window, grid.m + 1))
    own = site.slabs.owned_rows(window, faces=False)
    places = (grid.coordinates[own] - np.array([window.start - window.low, 0, 0], np.int16)) // fine
    voxel = float(volume.voxel_nm or math.nan) / fine * 1e-9
    drop = settings.pressure / (site.slabs.depth * voxel)
    scale = np.float32(work[0] / work[1] * voxel**2 * drop / settings.viscosity / fine**3)
    for component in range(3):
        np.add.at(found[component], tuple(places.T), at_centres[own, component] * scale)
    return found


def merged(context: Mapping[str, Any], unit: Unit) -> tuple[dict[str, Any], tuple[Grid, np.ndarray] | None]:
    """What the slabs of a volume found, as :func:`membrane_dask.studies.flow.flow_through` gives it, in voxels.

    And the grid with the velocities, where what is held back is asked for.
    """
    params = unit.params
    for told in ("failed", "failed_0", "failed_1"):
        if params.get(told):
            raise PhysicsError(f"flow: {params[told]} was set aside; `membrane-dask logs RUN --unit KEY` tells why")
    for told in ("not_converged_0", "not_converged_1"):
        if params.get(told):
            raise PhysicsError(params[told])
    volume = int(params["volume"])
    site = _Site(context["scratch"], context["flow"], context["slabs"][volume], params)
    if not site.known["pores"].sum():
        return {}, None
    if site.settings.method == "screening":
        return {"screening": float(site.scalar(0, "screening"))}, None
    number = len(site.slabs)
    small = ("work", "flux", "along", "narrow", "speed", "forward", "section")
    parts = [site.parts.read("streams", (volume, slab), small) for slab in range(number)]
    through, power = (float(sum(part["work"][k] for part in parts)) for k in range(2))
    lower = through**2 / power / site.size
    looks = {name: sum(part[name] for part in parts) for name in ("along", "narrow", "speed", "forward")}
    found: dict[str, Any] = {
        "permeability": lower,
        "upper": max(float(params["upper_0"]), lower),
        "screening": float(site.scalar(0, "screening")),
        "residual": flux_spread(np.concatenate([part["flux"] for part in parts])),
        "section": np.concatenate([part["section"] for part in parts]) * (through / power),
        "other_surface": float(params["lower_1"]),
        **looks,
    }
    if not context["retention"].solve:
        return found, None
    grid = Grid.of_percolating(site.pores(0, site.slabs.depth), site.lateral_boundary, None)
    velocity = site.slabs.gather_all(site.streams, grid.m + 1)
    velocity *= np.float32(through / power)
    return found, (grid, velocity)
