"""Units of the virtual bench: access radii and drainage by blocks, the flow of the emptied pores of a whole volume."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from membrane_dask.io.volumes import VolumeSource
from membrane_dask.physics.elementary import power
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.imaging.access_radius import AccessGraph, block_regions, voxel_access
from membrane_dask.physics.imaging.blocks import Block
from membrane_dask.physics.imaging.distance import block_squared_distances
from membrane_dask.physics.imaging.labelled_network import LabelledNetwork, labelled_network
from membrane_dask.physics.imaging.sphere_invasion import invasion_halo, invasion_squares
from membrane_dask.physics.networks.drained_flow import (
    drained_permeabilities,
    gas_permeances,
    permeability,
    throat_access,
)
from membrane_dask.physics.networks.network_sieving import NetworkSieving
from membrane_dask.physics.networks.stokes_conductance import (
    ThroatConductances,
    conductances_of_flow,
    network_flow,
    stokes_conductances,
)
from membrane_dask.physics.porometry.gases import Gas
from membrane_dask.physics.stokes.mac_grid import Grid, flow_pores
from membrane_dask.physics.stokes.solver import stokes
from membrane_dask.program import Scratch, Unit
from membrane_dask.studies.characterize.bench_settings import BenchSettings
from membrane_dask.studies.characterize.common_flow import flow_of_grid
from membrane_dask.studies.characterize.sections import section_step
from membrane_dask.studies.input_volumes import pores_digest, read_pores
from membrane_dask.studies.volume_flow.flow_settings import FlowSettings
from membrane_dask.studies.volume_flow.throat_flow import (
    REGIONS,
    network_memory,
    throat_flow,
    throat_memory,
    throat_regions,
)

#: Tasks by blocks, and all.
BLOCK_TASKS = ("bench_regions", "bench_drainage")
TASKS = (*BLOCK_TASKS, "bench_access", "bench_flows", REGIONS)
#: Voxels around a block that are read at first; more where the pores are wider.
_HALO = 48
#: Bytes per voxel that is read for a block and per voxel of the block, and per pore voxel and voxel of the volume.
_BYTES_READ, _BYTES_OWN, _BYTES_PORE, _BYTES_VOXEL = 11, 24, 185, 30
#: Bytes per voxel on the surfaces of the blocks, and per pore voxel, of what the blocks hand to the access radii.
_BYTES_PASS = 4
#: Area of a throat over the square of its inscribed radius above which it is a slit.
_SLIT = 3 * math.pi
#: Rejection of the radius that is reported.
_REJECTION = 0.9

Result = tuple[dict[str, np.ndarray], dict[str, float]]


def bench_scratch(settings: BenchSettings, blocks: int, volumes: int) -> list[Scratch]:
    """Storage of the units."""
    if not settings.enabled:
        return []
    return [
        Scratch("bench_regions", (blocks,), temporary=True),
        Scratch("bench_access", (volumes,)),
        Scratch("bench_drainage", (blocks,)),
        *([Scratch("bench_flows", (volumes,))] if settings.computes_flow else []),
    ]


def bench_memory(
    settings: BenchSettings,
    shape: tuple[int, ...],
    porosity: float,
    blocks: list[tuple[tuple[int, ...], tuple[int, ...]]],
    slab_edges: tuple[int, ...] | None,
) -> Iterator[tuple[str, float]]:
    """Peak bytes of the units, by task; ``slab_edges`` are those of its Stokes flow, None for one piece."""
    for start, stop in blocks:
        windows = Block(start, stop, _HALO, shape).extended
        read = math.prod(window.stop - window.start for window in windows)
        own = math.prod(b - a for a, b in zip(start, stop, strict=True))
        yield "bench_regions", _BYTES_READ * read + _BYTES_OWN * own
        yield "bench_drainage", _BYTES_READ * read + _BYTES_OWN * own
    size = math.prod(shape)
    yield "bench_access", _BYTES_PASS * porosity * size
    if slab_edges:
        yield from throat_memory(shape, porosity, slab_edges).items()
    if settings.computes_flow:
        is_divided = slab_edges is not None and settings.flow == "network"
        in_one_piece = (_BYTES_PORE * porosity + _BYTES_VOXEL) * size
        yield "bench_flows", network_memory(shape, porosity) if is_divided else in_one_piece


def bench_work(context: Mapping[str, Any], unit: Unit) -> Result:
    """Compute a unit of the virtual bench.

    Raises
    ------
    PhysicsError
        If the pores are too wide for blocks, or a solver does not converge.
    """
    number = unit.params["volume"]
    volume: VolumeSource = context["volumes"][number]
    settings: BenchSettings = context["bench"]
    if unit.task == "bench_regions":
        return _regions(settings, volume, *context["blocks"][number][unit.params["block"]])
    if unit.task == "bench_access":
        return _access(context, settings, number)
    if unit.task == "bench_drainage":
        return _drainage(context, settings, volume, number, unit.params["block"])
    if unit.task == REGIONS:
        boundary, is_diagonal = context["flow"].lateral_boundary, settings.connectivity == 26
        return throat_regions(read_pores(volume), boundary, context["slab_edges"][number], context["snow"], is_diagonal)
    if "error" in unit.params:
        raise PhysicsError(unit.params["error"])
    return _flows(context, settings, volume, number)


def _regions(settings: BenchSettings, volume: VolumeSource, start: tuple[int, ...], stop: tuple[int, ...]) -> Result:
    """Regions of the distance map of a block, and the squared distance and region of every pore voxel."""
    block, squares = block_squared_distances(volume.read, start, stop, volume.shape, margin=1, halo=_HALO)
    contribution, labels = block_regions(squares, block, settings.connectivity == 26)
    own = block.crop(squares, 0, "constant").astype(np.int32)
    pores = labels >= 0
    bits = np.packbits(pores, axis=2)
    return {**contribution, "bits": bits, "squares": own[pores], "labels": labels[pores]}, {}


def _faces(settings: BenchSettings) -> tuple[str, ...]:
    """Faces that fluids enter: of the bench, and of mercury where they are others."""
    return tuple(dict.fromkeys(("inlet", settings.mercury.faces)))


def _block_indices(context: Mapping[str, Any], number: int) -> range:
    return range(int(context["first_block"][number]), int(context["first_block"][number + 1]))


_GRAPH = (
    "faces", "pair", "saddle", "boundary", "boundary_voxel", "boundary_saddle", "interface", "interface_region",
)  # fmt: skip


def _access(context: Mapping[str, Any], settings: BenchSettings, number: int) -> Result:
    """Squared access radius of all regions of a volume, and the squared radius of its critical path."""
    scratch = context["scratch"]
    graph = AccessGraph.merge(
        scratch.read("bench_regions", (index,), _GRAPH) for index in _block_indices(context, number)
    )
    arrays = {"first": graph.first}
    for faces in _faces(settings):
        arrays[f"access_{faces}"] = graph.access(faces)  # type: ignore[arg-type]
    critical = graph.critical_square(arrays["access_inlet"])
    return {**arrays, "critical_square": np.asarray(critical)}, {"critical_square": float(critical)}


def _window_access(
    context: Mapping[str, Any], number: int, faces: str, window: tuple[slice, ...]
) -> np.ndarray:  # fmt: skip
    """Squared access radius in a window of a volume, which may reach beyond it."""
    scratch = context["scratch"]
    reached = scratch.read("bench_access", (number,), ("first", f"access_{faces}"))
    result = np.zeros([axis.stop - axis.start for axis in window], np.int32)
    for k, (start, stop) in enumerate(context["blocks"][number]):
        low = [max(a, axis.start) for a, axis in zip(start, window, strict=True)]
        high = [min(b, axis.stop) for b, axis in zip(stop, window, strict=True)]
        if not all(a < b for a, b in zip(low, high, strict=True)):
            continue
        index = (int(context["first_block"][number]) + k,)
        arrays = scratch.read("bench_regions", index, ("bits", "squares", "labels"))
        pores = np.unpackbits(arrays["bits"], axis=2, count=stop[2] - start[2]).astype(bool)
        own = np.zeros(pores.shape, np.int32)
        access = reached[f"access_{faces}"][reached["first"][k] : reached["first"][k + 1]]
        own[pores] = voxel_access(arrays["squares"], arrays["labels"], access)
        source = tuple(slice(a - o, b - o) for a, b, o in zip(low, high, start, strict=True))
        target = tuple(slice(a - w.start, b - w.start) for a, b, w in zip(low, high, window, strict=True))
        result[target] = own[source]
    return result


def _filled(
    context: Mapping[str, Any], number: int, faces: str, start: tuple[int, ...], stop: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Squared access radius of a block, and the squared radius at which each voxel is filled."""
    reached = context["scratch"].read("bench_access", (number,), (f"access_{faces}",))[f"access_{faces}"]
    halo = invasion_halo(int(reached.max(initial=0)))
    window = tuple(slice(a - halo, b + halo) for a, b in zip(start, stop, strict=True))
    access = _window_access(context, number, faces, window)
    own = tuple(slice(halo, n - halo) for n in access.shape)
    return access[own], invasion_squares(access, halo)


def _drainage(context: Mapping[str, Any], settings: BenchSettings, volume: VolumeSource, number: int, k: int) -> Result:
    """Numbers of voxels of a block by squared radius, and the block's piece of the middle section."""
    start, stop = context["blocks"][number][k]
    arrays: dict[str, np.ndarray] = {}
    for faces in _faces(settings):
        access, filled = _filled(context, number, faces, start, stop)
        for name, squares in (("access", access), ("filled", filled)):
            values, counts = np.unique(squares[squares > 0], return_counts=True)
            arrays |= {f"{name}_{faces}_squares": values, f"{name}_{faces}_counts": counts}
        if faces != "inlet":
            continue
        step, middle = section_step(volume.shape), volume.shape[1] // 2
        if start[1] <= middle < stop[1]:
            rows = np.arange(-start[0] % step, stop[0] - start[0], step)
            columns = np.arange(-start[2] % step, stop[2] - start[2], step)
            section = np.ix_(rows, columns)
            arrays["section"] = filled[:, middle - start[1]][section]
            arrays["corner"] = np.array([start[0] + step - 1, start[2] + step - 1]) // step
    pores = volume.read(tuple(slice(a, b) for a, b in zip(start, stop, strict=True)))
    planes = np.count_nonzero(pores, axis=(1, 2))
    return {**arrays, "plane_pores": planes, "first_plane": np.asarray(start[0])}, {}


def _flows(context: Mapping[str, Any], settings: BenchSettings, volume: VolumeSource, number: int) -> Result:
    """Flow through the pores that are emptied at each radius, of a gas, and sieving of solutes; in nm."""
    flow: FlowSettings = context["flow"]
    voxel_nm = float(volume.voxel_nm or math.nan)
    critical = int(context["scratch"].read("bench_access", (number,), ("critical_square",))["critical_square"])
    pores = read_pores(volume)
    if not critical or not flow_pores(pores, flow.lateral_boundary).any():
        return without_flow(settings, 0.0), {}
    voxels_digest = np.frombuffer(pores_digest(pores), np.uint8)
    labelled = labelled_network(pores, voxel_nm, context["snow"], settings.connectivity == 26)
    network = labelled.network
    throats = _throat_conductances(context, number, pores, labelled)
    del labelled
    cube = voxel_nm * voxel_nm * voxel_nm
    conductance = np.where(throats.carries_flow, throats.conductance, 0.0) * cube
    squares = np.rint(np.square(network.throats["inscribed_radius"] / voxel_nm)).astype(np.int32)
    access = throat_access(network, squares)
    carried = network_flow(network, conductance)
    radius = (np.sqrt(squares) + settings.radius_offset) * voxel_nm
    inner_flow = np.abs(carried.flow) * (network.throat_conns[:, 1] >= 0) * throats.carries_flow
    is_slit = network.throats["area"] > _SLIT * np.square(network.throats["inscribed_radius"])
    arrays = {
        "permeability": np.asarray(permeability(network, carried)),
        "slit_flow_fraction": np.asarray(inner_flow[is_slit].sum() / inner_flow.sum() if inner_flow.any() else 0.0),
        "stokes_permeability": np.asarray(throats.permeability * voxel_nm * voxel_nm),
        "fallback_flow_fraction": np.asarray(throats.fallback_flow_fraction),
        "throat_squares": squares,
        "throat_flow": inner_flow,
        "stokes_flow": throats.flow,
        "core_pressure": throats.pressure,
        "voxels_digest": voxels_digest,
    }
    if settings.flow == "stokes":
        arrays |= _stokes_levels(context, settings, volume, number, critical)
    else:
        open_levels = access[(access > 0) & (access <= critical) & throats.carries_flow]
        # The bubble point of the voxels is a level, though the network may open at another one.
        open_levels = np.unique(np.append(open_levels, critical).astype(open_levels.dtype))[::-1]
        arrays["level_squares"] = open_levels
        arrays["level_permeability"] = drained_permeabilities(network, conductance, access, open_levels.tolist())
    gas = Gas.named(settings.gas.name)
    arrays["gas_permeability"] = gas_permeances(
        network, conductance, radius * 1e-9, gas, settings.temperature, settings.gas.mean_pressures
    )
    sieving = NetworkSieving(network, carried, radius)
    arrays["sieving_coefficient"] = sieving.sieving_coefficients(solute_radii(settings).tolist())
    largest = float(radius.max(initial=0.0))
    arrays["rejection_radius_90"] = np.asarray(sieving.radius_at_rejection(_REJECTION, largest))
    return arrays, {}


def _throat_conductances(
    context: Mapping[str, Any], number: int, pores: np.ndarray, labelled: LabelledNetwork
) -> ThroatConductances:
    """Conductances of the throats from the Stokes flow of the volume in one piece, or by slabs."""
    network, flow = labelled.network, context["flow"]
    if context["bench_by_slabs"][number]:
        edges = context["slab_edges"][number]
        return conductances_of_flow(network, *throat_flow(context["scratch"], number, edges), pores.shape)
    grid = Grid.of(pores, flow.lateral_boundary, flow.wall_model)
    solution = flow_of_grid(context, number, grid)
    return stokes_conductances(network, labelled.labels, labelled.squares, grid, solution.velocity, solution.pressures)


def solute_radii(settings: BenchSettings) -> np.ndarray:
    """Stokes radii of the solutes, nm."""
    low, high = map(float, settings.rejection.radii)
    number = settings.rejection.number
    return np.asarray(low * power(high / low, np.arange(number) / (number - 1)))


def _stokes_levels(
    context: Mapping[str, Any], settings: BenchSettings, volume: VolumeSource, number: int, critical: int
) -> dict[str, np.ndarray]:
    """Permeability of the emptied voxels at some levels, from one Stokes flow each."""
    flow: FlowSettings = context["flow"]
    _, filled = _filled(context, number, "inlet", (0, 0, 0), volume.shape)
    levels = np.unique(np.append(filled[(filled > 0) & (filled <= critical)], np.int32(critical)))[::-1]
    if settings.levels != "all" and len(levels) > settings.levels:
        levels = levels[np.unique(np.rint(np.linspace(0, len(levels) - 1, settings.levels)).astype(int))]
    values = []
    square = float(volume.voxel_nm or math.nan) * float(volume.voxel_nm or math.nan)
    for level in levels.tolist():
        pores = filled >= level
        if not flow_pores(pores, flow.lateral_boundary).any():
            values.append(0.0)
            continue
        grid = Grid.of(pores, flow.lateral_boundary, flow.wall_model)
        values.append(stokes(grid, flow.tolerance).permeability * square)
    return {"level_squares": levels, "level_permeability": np.array(values)}


def without_flow(settings: BenchSettings, permeability: float) -> dict[str, np.ndarray]:
    """Results of a volume through which nothing flows (permeability 0), or of which no flow was computed (NaN)."""
    undefined = ("fallback_flow_fraction", "slit_flow_fraction", "rejection_radius_90")
    return {
        **{name: np.asarray(permeability) for name in ("permeability", "stokes_permeability")},
        **{name: np.asarray(math.nan) for name in undefined},
        "throat_squares": np.zeros(0, np.int32),
        "throat_flow": np.zeros(0),
        "level_squares": np.zeros(0, np.int32),
        "level_permeability": np.zeros(0),
        "gas_permeability": np.full(len(settings.gas.mean_pressures), permeability),
        "sieving_coefficient": np.full(settings.rejection.number, math.nan),
    }
