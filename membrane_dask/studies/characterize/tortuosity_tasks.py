"""Units of the tortuosity of a volume: geodesic distances and diffusion, in one piece or by slabs.

The order of the units of slabs is that of :mod:`membrane_dask.studies.characterize.decomposed_tortuosity`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from membrane_dask.io.oriented_volumes import PoreVolume
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.transport.diffusion import diffusion
from membrane_dask.physics.transport.geodesic_paths import geodesic_distances, relax, shortest_path
from membrane_dask.physics.transport.group_balance import Balance, GroupBalance, GroupGraph, advance, start
from membrane_dask.physics.transport.pore_space import PoreSpace
from membrane_dask.physics.transport.residual_dissipation import (
    GroupResiduals,
    carried_dissipation,
    group_residuals,
)
from membrane_dask.physics.transport.two_level_diffusion import (
    MARGIN,
    Window,
    cell_edge,
    slab_groups,
    slab_step,
)
from membrane_dask.physics.voxel_spacing import face_conductances
from membrane_dask.program import ScratchReader, Unit
from membrane_dask.studies.characterize.decomposed_tortuosity import MAX_ITERATIONS, MAX_VISITS
from membrane_dask.studies.input_volumes import read_pores

#: Difference of the flux between planes above which there is no effective diffusivity.
_MAX_FLUX_SPREAD = 0.1
#: Tasks of the units here.
TASKS = ("tortuosity", "pore_slabs", "geodesics", "diffusion", "group_balance", "group_residuals")

Arrays = dict[str, np.ndarray]
Result = tuple[Arrays, dict[str, float]]


def tortuosity_work(context: Mapping[str, Any], unit: Unit) -> Result:
    """Compute a unit of the tortuosity of a volume.

    Raises
    ------
    PhysicsError
        If a solver does not converge.
    """
    number = unit.params["volume"]
    volume: PoreVolume = context["volumes"][number]
    edges = context["tortuosity_edges"][number]
    if not edges:
        return _undivided(volume, context["tolerance"])
    data = _SlabData(context["scratch"], volume, edges, unit.params)
    match unit.task:
        case "pore_slabs":
            return _pore_slab(data)
        case "geodesics":
            return _geodesics(data)
        case "diffusion":
            return _diffusion_step(data), {}
        case "group_balance":
            return _group_balance(data)
        case "group_residuals":
            return _group_residuals(data), {}
    return _collect(data, context["tolerance"]), {}


def _undivided(volume: PoreVolume, tolerance: float) -> Result:
    """Geodesic paths and diffusion through a volume in one piece."""
    pores, spacing = read_pores(volume), volume.spacing
    space = PoreSpace.of([pores], pores.shape)
    geometric = shortest_path(space, geodesic_distances(space, spacing), spacing=spacing)
    del space
    solution = diffusion(pores, tolerance, spacing)
    return _results(geometric, solution.conductivity, solution.lower_bound, solution.spread), {}


def _results(geometric: float, conductivity: float, lower_bound: float, spread: float) -> Arrays:
    is_converged = spread <= _MAX_FLUX_SPREAD
    return {
        "tortuosity_geometric": np.asarray(geometric),
        "effective_diffusivity": np.asarray(conductivity if is_converged else math.nan),
        "effective_diffusivity_lower_bound": np.asarray(lower_bound if is_converged else math.nan),
        "diffusion_flux_spread": np.asarray(spread),
    }


@dataclass(frozen=True)
class _SlabData:
    """What a unit reads: its volume, its parameters, and scratch data of earlier units of the volume."""

    scratch: ScratchReader
    volume: PoreVolume
    edges: tuple[int, ...]
    params: Mapping[str, Any]

    @property
    def number(self) -> int:
        return int(self.params["volume"])

    @property
    def slab(self) -> int:
        return int(self.params["slab"])

    @property
    def slabs(self) -> range:
        return range(len(self.edges) - 1)

    @property
    def depth(self) -> int:
        return self.edges[-1]

    @property
    def cell(self) -> int:
        return cell_edge(self.volume.shape)

    @property
    def weights(self) -> np.ndarray:
        """Conductances of the face of a voxel across ``z, y, x``."""
        return face_conductances(self.volume.spacing).astype(np.float32)

    def slab_array(self, slab: int, name: str) -> np.ndarray:
        """An array of the unit ``pore_slabs`` of a slab."""
        return self.scratch.read("pore_slabs", (self.number, slab), (name,))[name]

    @cached_property
    def group_offsets(self) -> np.ndarray:
        """Number of groups before each slab, and in all."""
        counts = [int(self.slab_array(slab, "group_count")) for slab in self.slabs]
        return np.concatenate([[0], np.cumsum(counts)])

    @property
    def group_count(self) -> int:
        """Number of groups of the slab."""
        return int(self.group_offsets[self.slab + 1] - self.group_offsets[self.slab])

    def planes_around(self, margin: int) -> tuple[int, int]:
        """Planes of the slab with a margin on each side, as far as the volume reaches."""
        return max(0, self.edges[self.slab] - margin), min(self.depth, self.edges[self.slab + 1] + margin)

    def space(self, low: int, high: int) -> PoreSpace:
        """Pores of some planes."""
        pieces = []
        for slab in self.slabs:
            start, stop = self.edges[slab : slab + 2]
            if start < high and stop > low:
                pieces.append(self.slab_array(slab, "bits")[max(low - start, 0) : high - start])
        return PoreSpace.of_bits(np.concatenate(pieces), self.volume.shape[2])

    def balance(self, iteration: int) -> Balance:
        """State of the conjugate gradients after an iteration."""
        arrays = self.scratch.read("group_balance", (self.number, iteration))
        return Balance.of({name: arrays[name] for name in Balance.__dataclass_fields__})

    def window_values(self, task: str, index: tuple[int, ...], name: str) -> np.ndarray:
        """Values of the pores of the slab and of :data:`MARGIN` planes around it, which units write as three arrays."""
        slab = self.slab
        arrays = [self._array(task, index, slab - 1, f"{name}_high")] if slab else []
        arrays += [self._array(task, index, slab, f"{name}_{planes}") for planes in ("low", "middle", "high")]
        if slab + 1 < len(self.slabs):
            arrays.append(self._array(task, index, slab + 1, f"{name}_low"))
        return np.concatenate(arrays)

    def _array(self, task: str, index: tuple[int, ...], slab: int, name: str) -> np.ndarray:
        return self.scratch.read(task, (self.number, *index, slab), (name,))[name]

    def by_planes(self, name: str, values: np.ndarray, space: PoreSpace) -> Arrays:
        """Values of the pores of the slab, divided into those that the slabs before and after it read, and the rest."""
        n_z, n_y, _ = space.shape
        a, b = int(space.first[MARGIN * n_y]), int(space.first[(n_z - MARGIN) * n_y])
        return {f"{name}_low": values[:a], f"{name}_middle": values[a:b], f"{name}_high": values[b:]}


# ---------------------------------------------------------------------------------------------
# Pores and groups


def _pore_slab(data: _SlabData) -> Result:
    """Pores of a slab as bits, and its groups."""
    start, stop = data.edges[data.slab : data.slab + 2]
    _, height, width = data.volume.shape
    pores = data.volume.read((slice(start, stop), slice(0, height), slice(0, width)))
    space = PoreSpace.of([pores], pores.shape)
    groups = slab_groups(space, start, data.depth, data.cell, data.weights)
    arrays = {
        "bits": space.bits,
        **data.by_planes("group", groups.group, space),
        "group_count": np.asarray(len(groups.cells)),
        "cells": groups.cells,
        "pairs": groups.pairs,
        "conductance": groups.conductance,
        "ends": groups.ends,
    }
    for name, plane, rows in (("first", pores[0], slice(0, height)), ("last", pores[-1], slice(-1 - height, None))):
        first = space.first[rows]
        values = np.full(plane.shape, -1, np.int32)
        values[plane] = groups.group[first[0] : space.first[height] if name == "first" else first[-1]]
        arrays[f"{name}_plane"] = values
    return arrays, {}


def _graph(data: _SlabData) -> GroupGraph:
    """Groups of all slabs, with the faces between slabs."""
    names = ("cells", "pairs", "conductance", "ends", "first_plane", "last_plane")
    offsets = data.group_offsets
    cells, pairs, conductance, ends = [], [], [], []
    previous = None
    for slab in data.slabs:
        arrays = data.scratch.read("pore_slabs", (data.number, slab), names)
        cells.append(arrays["cells"])
        ends.append(arrays["ends"])
        pairs.append(arrays["pairs"] + np.int32(offsets[slab]))
        conductance.append(arrays["conductance"])
        if previous is not None:
            here = arrays["first_plane"]
            common = (previous >= 0) & (here >= 0)
            keys = (previous[common] + offsets[slab - 1]) << 32 | (here[common] + offsets[slab])
            keys, faces = np.unique(keys, return_counts=True)
            pairs.append(np.stack([keys >> 32, keys & 0xFFFFFFFF], axis=1).astype(np.int32))
            conductance.append(faces * float(data.weights[0]))
        previous = arrays["last_plane"]
    return GroupGraph(*(np.concatenate(arrays) for arrays in (cells, pairs, conductance, ends)))


# ---------------------------------------------------------------------------------------------
# Diffusion


def _group_balance(data: _SlabData) -> Result:
    """Balance of the groups of the volume, from the sums of the slabs."""
    iteration = int(data.params["iteration"])
    graph = _graph(data)
    if iteration == 0:
        percolates = graph.percolates
        if not percolates.any():
            return {"percolates": percolates}, {"percolates": 0.0}
        return {**start(GroupBalance(graph)).arrays(), "percolates": percolates}, {"percolates": 1.0}
    names = ("sums", "inflow", "group_sums")
    slabs = [data.scratch.read("diffusion", (data.number, iteration, slab), names) for slab in data.slabs]
    balance = advance(
        GroupBalance(graph),
        data.balance(iteration - 1),
        np.concatenate([arrays["sums"] for arrays in slabs]),
        float(slabs[0]["inflow"]),
        np.concatenate([arrays["group_sums"] for arrays in slabs]),
    )
    return balance.arrays(), {"spread": balance.spread}


@dataclass(frozen=True)
class _SlabState:
    """Concentrations of the pores of a window after a step: which of them percolate, and what they follow from."""

    window: Window
    concentration: np.ndarray
    active: np.ndarray
    group: np.ndarray  # of the pores of the slab alone, as the two below
    direction: np.ndarray
    deviation: np.ndarray


def _slab_state(data: _SlabData, iteration: int) -> _SlabState:
    """Concentrations of the voxels of a slab, and of those around it, before the step of an iteration."""
    slab = data.slab
    balance = data.balance(iteration - 1)
    low, high = data.planes_around(MARGIN)
    space = data.space(low, high)
    if iteration == 1:
        direction, deviation = np.zeros(space.count, np.float32), np.zeros(space.count, np.float32)
    else:
        direction, deviation, smoothed = (
            data.window_values("diffusion", (iteration - 1,), name) for name in ("direction", "deviation", "smoothed")
        )
        direction *= np.float32(balance.beta)
        direction += smoothed
        deviation += np.float32(balance.step) * direction
        del smoothed
    group = data.window_values("pore_slabs", (), "group")
    window = Window(space, low, data.edges[slab], data.edges[slab + 1], high, data.depth, data.weights)
    own = window.own
    offsets = data.group_offsets
    percolates = data.scratch.read("group_balance", (data.number, 0), ("percolates",))["percolates"]
    concentration, active = deviation.astype(float), np.empty(space.count, bool)
    for number in range(max(slab - 1, 0), min(slab + 2, len(data.slabs))):
        voxels = window.voxels(max(low, data.edges[number]), min(high, data.edges[number + 1]))
        groups = slice(offsets[number], offsets[number + 1])
        concentration[voxels] += balance.concentration[groups][group[voxels]]
        active[voxels] = percolates[groups][group[voxels]]
    return _SlabState(
        window, concentration, active, group[own].copy(), direction[own].copy(), deviation[own].copy()
    )  # fmt: skip


def _diffusion_step(data: _SlabData) -> Arrays:
    """Concentrations of the voxels of a slab after a step, and their smoothed residual."""
    state = _slab_state(data, int(data.params["iteration"]))
    window = state.window
    step = slab_step(window, state.concentration, state.active, state.group, data.group_count, data.cell)
    bits = window.space.bits[window.start - window.low : window.stop - window.low]
    own_space = PoreSpace.of_bits(bits, window.space.shape[2])
    results = {"direction": state.direction, "deviation": state.deviation, "smoothed": step.smoothed}
    divided = [data.by_planes(name, values, own_space) for name, values in results.items()]
    return {
        **divided[0], **divided[1], **divided[2],
        "sums": step.sums, "inflow": np.asarray(step.inflow), "group_sums": step.group_sums,
    }  # fmt: skip


def _group_residuals(data: _SlabData) -> Arrays:
    """Residual of the concentrations of a slab, carried to the first voxels of its groups."""
    state = _slab_state(data, int(data.params["last_iteration"]))
    residuals = group_residuals(
        state.window, state.concentration, state.active, state.group, data.group_count, data.cell
    )  # fmt: skip
    return vars(residuals)


# ---------------------------------------------------------------------------------------------
# Geodesic distances


def _geodesics(data: _SlabData) -> Result:
    """Times of a front from the face at high z in a slab, after those adjacent to it have decreased."""
    slab, visit = data.slab, int(data.params["visit"])
    low, high = data.planes_around(1)
    space = data.space(low, high)
    n_y, first = space.shape[1], space.first
    begin, end = data.edges[slab] - low, data.edges[slab + 1] - low
    own = slice(int(first[begin * n_y]), int(first[end * n_y]))
    time = np.full(space.count, np.inf, np.float32)
    pending = np.zeros(space.shape[:2], bool)
    latest = {name: np.empty(0, np.float32) for name in ("below", "above")}
    if visit:
        before = data.scratch.read("geodesics", (data.number, slab, visit - 1))
        time[own], latest = before["time"], {name: before[name] for name in latest}
    elif end + low == data.depth:
        time[first[(end - 1) * n_y] : own.stop] = 0.5 * data.volume.spacing[0]
        pending[max(end - 2, begin) : end] = True
    neighbours = {"below": slice(0, own.start), "above": slice(own.stop, space.count)}
    for name, neighbour, plane, row in (("below", slab - 1, begin, 0), ("above", slab + 1, end - 1, end)):
        number = int(data.params[name])
        if number < 0:
            continue
        edge = "last" if name == "below" else "first"
        values = data.scratch.read("geodesics", (data.number, neighbour, number), (edge,))[edge]
        time[neighbours[name]] = values
        changed = values < latest[name] if len(latest[name]) else np.isfinite(values)
        numbers = np.flatnonzero(changed) + neighbours[name].start
        pending[plane, np.searchsorted(first[row * n_y : (row + 1) * n_y], numbers, "right") - 1] = True
        latest[name] = values
    edges = {
        "first": slice(own.start, int(first[(begin + 1) * n_y])), "last": slice(int(first[(end - 1) * n_y]), own.stop),
    }  # fmt: skip
    previous = {name: time[where].copy() for name, where in edges.items()}
    relax(space, time, pending, begin, end, data.volume.spacing)
    decreased = {name: float((time[where] < previous[name]).any()) for name, where in edges.items()}
    arrays = {"time": time[own].copy(), **{name: time[where].copy() for name, where in edges.items()}, **latest}
    return arrays, {"low": decreased["first"], "high": decreased["last"]}


# ---------------------------------------------------------------------------------------------
# Result


def _collect(data: _SlabData, tolerance: float) -> Arrays:
    """Tortuosity of a volume from its slabs.

    Raises
    ------
    PhysicsError
        If the fluxes do not agree at all, or the paths cross the slabs too often.
    """
    visit, iteration = int(data.params["visit"]), int(data.params["iteration"])
    fix = "set tortuosity_slab_thickness to the depth of the volume, so that it is not divided"
    if visit == -2:
        raise PhysicsError(f"geodesic paths lead through a slab more than {MAX_VISITS} times; {fix}")
    if iteration > MAX_ITERATIONS and (spread := data.balance(MAX_ITERATIONS).spread) > _MAX_FLUX_SPREAD:
        raise PhysicsError(
            f"diffusion: after {MAX_ITERATIONS} iterations the flux still differs by {spread:.1%} from plane to plane "
            f"(tolerance {tolerance:g}); {fix}"
        )
    geometric = float("nan")
    if visit >= 0:
        space = data.space(0, 1)
        distance = data.scratch.read("geodesics", (data.number, 0, visit), ("first",))["first"]
        geometric = shortest_path(space, distance, data.depth, data.volume.spacing)
    if iteration < 0:
        return _results(geometric, 0.0, 0.0, 0.0)
    balance = data.balance(min(iteration, MAX_ITERATIONS))
    _, height, width = data.volume.shape
    area = height * width * float(data.weights[0])
    slabs = [data.scratch.read("group_residuals", (data.number, slab)) for slab in data.slabs]
    names = GroupResiduals.__dataclass_fields__
    residuals = GroupResiduals(*(np.concatenate([arrays[name] for arrays in slabs]) for name in names))
    lower = max(balance.energy - carried_dissipation(_graph(data), residuals, data.weights.astype(float)), 0.0)
    unit = data.depth / area
    return _results(geometric, balance.energy * unit, lower * unit, balance.spread)
