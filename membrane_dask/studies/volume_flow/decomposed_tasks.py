"""Units of the flow through a large volume by domain decomposition into slabs.

Their order is that of :mod:`membrane_dask.studies.volume_flow.decomposed_flow`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from membrane_dask.io.oriented_volumes import PoreVolume
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.imaging.local_thickness import pore_radii
from membrane_dask.physics.sample_tensors import lateral_sums, mean_force
from membrane_dask.physics.stokes.mac_grid import Grid, LateralBoundary, WallModel, flow_pores
from membrane_dask.physics.stokes.operators import add_darcy_velocity
from membrane_dask.physics.stokes.solver import PressureSolver, conserved_flux_spread, darcy_flow, darcy_load
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
from membrane_dask.physics.voxel_spacing import Spacing
from membrane_dask.program import ScratchReader, Unit
from membrane_dask.studies.input_volumes import read_pores
from membrane_dask.studies.volume_flow.flow_diagnostics import flow_sums, resolved_pores
from membrane_dask.studies.volume_flow.flow_grid import (
    alternate_wall_model,
    readings,
    refine,
)
from membrane_dask.studies.volume_flow.flow_settings import FlowSettings

Result = tuple[dict[str, np.ndarray], dict[str, float]]


def decomposed_work(context: Mapping[str, Any], unit: Unit) -> Result:
    """Compute a unit of a flow by slabs.

    Raises
    ------
    PhysicsError
        If a solver does not converge.
    """
    number = unit.params["volume"]
    volume: PoreVolume = context["volumes"][number]
    if unit.task == "percolating":
        return _percolating(context, unit, volume)
    data = SlabData.of(context, unit)
    if unit.task == "mobilities":
        return _mobility(data)
    if unit.task == "pressures":
        return _pressures(data), {}
    if unit.task == "velocities":
        return _velocities(data), {}
    if unit.task == "bounds":
        return _bounds(data)
    if unit.task == "final_velocity":
        return _final_velocity(data), {}
    return {"velocity": _velocity_image(data, volume)}, {}


@dataclass(frozen=True)
class SlabData:
    """What a unit reads: the settings, its parameters, and scratch data of earlier units of its volume."""

    scratch: ScratchReader
    settings: FlowSettings
    edges: tuple[int, ...]
    spacing: Spacing
    params: Mapping[str, Any]

    @classmethod
    def of(cls, context: Mapping[str, Any], unit: Unit) -> SlabData:
        """What a unit of a volume reads."""
        number = unit.params["volume"]
        edges, spacing = context["slab_edges"][number], context["volumes"][number].spacing
        return cls(context["scratch"], context["flow"], edges, spacing, unit.params)

    @property
    def volume(self) -> int:
        """Number of the volume."""
        return int(self.params["volume"])

    @property
    def wall(self) -> int:
        """0 for the wall model of the study, 1 for the alternate one."""
        return int(self.params.get("wall", 0))

    @property
    def iteration(self) -> int:
        """Number of the iteration on the pressures."""
        return int(self.params["iteration"])

    @property
    def boundary(self) -> LateralBoundary:
        """Condition at the faces parallel to the flow."""
        return self.settings.lateral_boundary

    @property
    def wall_model(self) -> WallModel:
        """Surface of the solid."""
        wall_model = self.settings.wall_model
        return wall_model if self.wall == 0 else alternate_wall_model(wall_model)

    @cached_property
    def percolating(self) -> dict[str, np.ndarray]:
        """Arrays of the unit ``percolating``."""
        return self.scratch.read("percolating", (self.volume,))

    @cached_property
    def slabs(self) -> Slabs:
        """Slabs of the refined volume."""
        fine = self.settings.refinement
        counts = np.repeat(self.percolating["pores"].astype(np.int64) * np.square(fine), fine)
        return Slabs(tuple(fine * edge for edge in self.edges), np.concatenate([[0], np.cumsum(counts)]))

    @property
    def size(self) -> int:
        """Number of voxels of the refined volume."""
        _, height, width = (int(n) for n in self.percolating["extent"])
        return self.slabs.depth * height * width * self.settings.refinement * self.settings.refinement

    @property
    def halo(self) -> int:
        """Planes around a slab for which its velocities are solved."""
        return halo(float(self.percolating["max_radius"]) * self.settings.refinement, self.spacing[0])

    def pores(self, low: int, high: int) -> np.ndarray:
        """Percolating pores of some planes of the refined volume."""
        fine = self.settings.refinement
        a, b = low // fine, -(-high // fine)
        width = int(self.percolating["extent"][2])
        pores = np.unpackbits(self.percolating["bits"][a:b], axis=2, count=width).astype(bool)
        return refine(pores, fine)[low - a * fine : high - a * fine]

    def subdomain(self, margin: int) -> Subdomain:
        """The slab of the unit with a margin of planes on each side."""
        window = self.slabs.window(int(self.params["slab"]), margin)
        return Subdomain.of(
            self.slabs, window, self.pores(window.low, window.high), self.boundary, self.mobility("resistance"),
            self.spacing,
        )  # fmt: skip

    # -- scratch data

    def mobility(self, name: str) -> Reader:
        """Reads an array of the unit ``mobilities`` of a slab."""
        return lambda slab: self.scratch.read("mobilities", (self.volume, self.wall, slab), (name,))[name]

    def pressures(self, iteration: int, name: str) -> Reader:
        """Reads an array over the pores of a slab from the unit ``pressures`` of an iteration."""
        index = (self.volume, self.wall, iteration)
        return lambda slab: self.scratch.read("pressures", index, (f"{name}_{slab}",))[f"{name}_{slab}"]

    def global_array(self, iteration: int, name: str) -> np.ndarray:
        """An array of the unit ``pressures`` of an iteration that is not divided into slabs."""
        return self.scratch.read("pressures", (self.volume, self.wall, iteration), (name,))[name]

    def velocity(self, iteration: int) -> Reader:
        """Reads the velocities of a slab in an iteration: a weighted sum of those of the units up to then."""
        weights = self.global_array(iteration, "weights")

        def read(slab: int) -> np.ndarray:
            total = None
            for earlier in np.flatnonzero(weights).tolist():
                index = (self.volume, self.wall, earlier, slab)
                step = self.scratch.read("velocities", index, ("velocity",))["velocity"]
                step *= np.float32(weights[earlier])
                total = step if total is None else np.add(total, step, out=total)
            return np.asarray(total)

        return read

    def final_velocity(self, slab: int) -> np.ndarray:
        """Divergence-free velocities of a slab, not yet scaled."""
        return self.scratch.read("final_velocity", (self.volume, slab), ("velocity",))["velocity"]


def _percolating(context: Mapping[str, Any], unit: Unit, volume: PoreVolume) -> Result:
    """Percolating pores of a volume, as bits; how many each plane has; and the radius of the widest pore."""
    settings: FlowSettings = context["flow"]
    pores = flow_pores(read_pores(volume), settings.lateral_boundary)
    if "max_radius" in unit.params:
        max_radius = float(unit.params["max_radius"])
    else:
        network = (unit.params["volume"] % context["n_volumes"],)
        counts = context["scratch"].read("networks", network, ("thickness_counts",))["thickness_counts"]
        max_radius = float(pore_radii(len(counts))[-1])
    arrays = {
        "bits": np.packbits(pores, axis=2),
        "pores": np.count_nonzero(pores, axis=(1, 2)),
        "extent": np.array(pores.shape),
        "max_radius": np.asarray(max_radius),
    }
    return arrays, {"pores": float(arrays["pores"].sum()), "voxels": float(pores.size)}


def _mobility(data: SlabData) -> Result:
    """Resistances and Darcy conductances of a slab."""
    window = data.slabs.window(int(data.params["slab"]), data.halo)
    pores = data.pores(window.low, window.high)
    arrays = slab_mobility(data.slabs, window, pores, data.boundary, data.wall_model, data.spacing)
    return arrays, {"min_eigenvalue": float(arrays["min_eigenvalue"])}


def _pressures(data: SlabData) -> dict[str, np.ndarray]:
    """Pressures of an iteration and the next search direction, of the whole volume."""
    slabs, last, after = data.slabs, data.iteration - 1, data.params["after"]
    grid, darcy = global_darcy(slabs, data.pores(0, slabs.depth), data.boundary, data.mobility("conductance"))
    n = grid.n
    if not after:
        load, size = darcy_load(grid, darcy.conductance), grid.size
        del grid
        darcy.compact()
        solver, estimate = darcy_flow(darcy, *load, size)
        return {**data.slabs.split("pressures", solver.pressures), "mobility_estimate": np.asarray(estimate)}
    if after == "converged":
        planes = grid.coordinates[:, 0].copy()
        del grid
        darcy.compact()
        solver = PressureSolver(darcy, np.empty(0, np.float32))
        solver.net_inflow = data.global_array(last, "net_inflow")
        solver.correction = slabs.gather_all(data.pressures(last, "correction"), n)
        return data.slabs.split("correction", solver.project_mass(planes, data.params["work"]))
    del grid
    darcy.compact()
    index = (data.volume, data.wall, last)
    inflow = total_net_inflow(
        slabs, lambda slab: data.scratch.read("velocities", (*index, slab), ("inflow", "inflow_before"))
    )
    solver = PressureSolver(darcy, slabs.gather_all(data.pressures(last, "pressures"), n))
    if after == "pressures":
        solver.net_inflow = data.global_array(last, "net_inflow")
        solver.residual_square = float(data.global_array(last, "residual_square"))
        solver.direction = slabs.gather_all(data.pressures(last, "direction"), n)
        weights = np.append(data.global_array(last, "weights"), solver.step(inflow))
        del inflow
        solver.update_direction()
    else:
        solver.restart(inflow)
        weights = np.append(np.zeros(last), 1.0)
    return {
        **data.slabs.split("pressures", solver.pressures),
        **data.slabs.split("direction", solver.direction),
        **data.slabs.split("correction", solver.correction),
        "net_inflow": solver.net_inflow,
        "residual_square": np.asarray(solver.residual_square),
        "weights": weights,
    }


def _velocities(data: SlabData) -> dict[str, np.ndarray]:
    """Velocities of a slab that balance all forces, or those that the search direction of the pressures drives."""
    kind, tolerance, iteration = data.params["kind"], data.params["inner_tolerance"], data.iteration
    subdomain = data.subdomain(data.halo)
    if kind == "pressures":
        return subdomain.pressure_response(subdomain.pore_values(data.pressures(iteration, "direction")), tolerance)
    pressures = subdomain.pore_values(data.pressures(iteration, "pressures"))
    if kind == "darcy":
        velocity = subdomain.darcy_velocity(subdomain.face_values(data.mobility("conductance")), pressures)
    else:
        velocity = subdomain.face_values(data.velocity(iteration))
    return subdomain.balance_momentum(velocity, pressures, tolerance)


def _bounds(data: SlabData) -> Result:
    """Sums of a slab that bound the permeability."""
    subdomain = data.subdomain(MARGIN * data.settings.refinement)
    velocity = subdomain.face_values(data.velocity(data.iteration))
    conductance = subdomain.face_values(data.mobility("conductance"))
    pressures, correction = (
        subdomain.pore_values(data.pressures(data.iteration, name)) for name in ("pressures", "correction")
    )
    sums = subdomain.bound_sums(velocity, pressures, conductance, correction)
    feedback = {name: float(value) for name, value in asdict(sums).items()}
    return {"sums": np.array(list(feedback.values()))}, feedback


def _final_velocity(data: SlabData) -> dict[str, np.ndarray]:
    """Divergence-free velocities of a slab, not yet scaled, and sums over them."""
    iteration, refinement = data.iteration, data.settings.refinement
    subdomain = data.subdomain(MARGIN * refinement)
    grid, window = subdomain.grid, subdomain.window
    velocity = subdomain.face_values(data.velocity(iteration))
    conductance = subdomain.face_values(data.mobility("conductance"))
    correction = subdomain.pore_values(data.pressures(iteration + 1, "correction"))
    flow = add_darcy_velocity(*grid.operator, velocity, conductance, correction)
    work, dissipation = subdomain.work_and_dissipation(flow)
    resolved = resolved_pores(data.pores(window.low, window.high)[::refinement, ::refinement, ::refinement])
    sums = flow_sums(grid, flow, data.slabs.owned_rows(window, faces=False), resolved, refinement)
    rows = data.slabs.owned_rows(window, faces=False)
    pressures = subdomain.pore_values(data.pressures(iteration, "pressures"))[rows]
    sums["lateral_pressures"] = lateral_sums(grid.coordinates[rows], pressures, grid.shape)
    first, last = ((plane - window.low) // refinement for plane in (window.start, window.stop))
    sums["section"] = sums["section"][first:last]
    ends = window.stop == window.depth
    flux = grid.fluxes(flow)[window.start - window.low : window.stop - window.low + ends]
    own = {"velocity": flow[data.slabs.owned_rows(window)].copy(), "pressures": pressures.copy()}
    return {**own, "work": np.array([work, dissipation]), "flux": flux, **sums}


def _velocity_image(data: SlabData, volume: PoreVolume) -> np.ndarray:
    """Velocities at the centres of the voxels of a slab, ``(component, z, y, x)`` float32 in m/s."""
    settings, refinement = data.settings, data.settings.refinement
    window = data.slabs.window(int(data.params["slab"]), 1)
    image = np.zeros((3, (window.stop - window.start) // refinement, *volume.shape[1:]), np.float32)
    if not data.params["percolates"]:
        return image
    work, dissipation = _work_and_dissipation(data)
    grid = Grid.of_percolating(data.pores(window.low, window.high), data.boundary, None, spacing=data.spacing)
    centre_velocity = grid.at_centres(data.slabs.gather(data.final_velocity, window, grid.m + 1))
    own = data.slabs.owned_rows(window, faces=False)
    voxels = (grid.coordinates[own] - np.array([window.start - window.low, 0, 0], np.int16)) // refinement
    cell = float(volume.voxel_nm or math.nan) / refinement * 1e-9
    gradient = settings.pressure / (data.slabs.depth * cell * data.spacing[0])
    scale = np.float32(work / dissipation * np.square(cell) * gradient / settings.viscosity / refinement**3)
    for component in range(3):
        np.add.at(image[component], tuple(voxels.T), centre_velocity[own, component] * scale)
    return image


def _work_and_dissipation(data: SlabData) -> tuple[float, float]:
    """Work of the unit force on the final velocities, and their dissipation, of the whole volume."""
    slabs = range(len(data.slabs))
    sums = [data.scratch.read("final_velocity", (data.volume, slab), ("work",))["work"] for slab in slabs]
    return float(sum(work for work, _ in sums)), float(sum(dissipation for _, dissipation in sums))


def slab_velocities(context: Mapping[str, Any], number: int, faces: int) -> np.ndarray:
    """Velocities of all slabs of a volume.

    Parameters
    ----------
    context : mapping
        Of all units.
    number : int
        Number of the volume, whose pores percolate and whose flow was computed.
    faces : int
        Number of rows of the result.

    Returns
    -------
    (faces, 3) ndarray of float32
        In the units of the grid, under a unit pressure gradient and viscosity.
    """
    edges, spacing = context["slab_edges"][number], context["volumes"][number].spacing
    data = SlabData(context["scratch"], context["flow"], edges, spacing, {"volume": number})
    work, dissipation = _work_and_dissipation(data)
    velocity = data.slabs.gather_all(data.final_velocity, faces)
    velocity *= np.float32(work / dissipation)
    return velocity


def collect_slabs(context: Mapping[str, Any], unit: Unit) -> dict[str, Any]:
    """Add up the results of the slabs of a volume.

    Parameters
    ----------
    context : mapping
        Of all units.
    unit : Unit
        Its parameters hold the final bounds; see :meth:`DecomposedFlow.rounds`.

    Returns
    -------
    dict
        Results in shortest edges of a grid cell; empty if no pores percolate.

    Raises
    ------
    PhysicsError
        If the bounds did not converge.
    """
    if "error" in unit.params:
        raise PhysicsError(unit.params["error"])
    data = SlabData.of(context, unit)
    spacing = data.spacing
    area = spacing[0] * spacing[0]  # of a permeability of 1 in the units of the grid
    if not data.percolating["pores"].sum():
        return {}
    estimate = {"permeability_mobility_estimate": float(data.global_array(0, "mobility_estimate")) * area}
    if data.settings.method == "mobility_estimate":
        return estimate
    names = (
        "work", "flux", "total", "unresolved", "speed", "forward", "section", "velocity_sum", "lateral_pressures",
    )  # fmt: skip
    slabs = [data.scratch.read("final_velocity", (data.volume, k), names) for k in range(len(data.slabs))]
    work, dissipation = _work_and_dissipation(data)
    permeability = np.square(work) / dissipation / data.size * area
    return {
        **estimate,
        **readings(
            data.settings.wall_model,
            permeability,
            float(unit.params.get("alternate_permeability", math.nan)) * area,
        ),
        "permeability_upper_bound": max(float(unit.params["upper_bound"]) * area, permeability),
        "flux_residual": conserved_flux_spread(np.concatenate([slab["flux"] for slab in slabs])),
        "section": np.concatenate([slab["section"] for slab in slabs]) * (work / dissipation),
        **{name: sum(slab[name] for slab in slabs) for name in ("total", "unresolved", "speed", "forward")},
        "mean_velocity": sum(slab["velocity_sum"] for slab in slabs) * (work / dissipation / data.size),
        "mean_force": mean_force(
            np.sum([slab["lateral_pressures"] for slab in slabs], axis=0),
            tuple(int(n) * data.settings.refinement for n in data.percolating["extent"]),
            periodic=data.boundary == "periodic",
            spacing=spacing,
        ),
    }
