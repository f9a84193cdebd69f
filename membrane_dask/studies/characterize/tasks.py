"""Units of a characterize study: blocks of a volume, its pore network, its tortuosity, its flow and retention."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from membrane_dask.io.volumes import VolumeSource
from membrane_dask.physics.imaging.distance import block_squared_distances
from membrane_dask.physics.imaging.network_extraction import extract_network
from membrane_dask.physics.imaging.surface_area import surface_areas
from membrane_dask.physics.imaging.watershed import N_REGION_SUMS, SnowParameters, block_watershed
from membrane_dask.program import Unit
from membrane_dask.studies.characterize.bench_tasks import TASKS as BENCH_TASKS
from membrane_dask.studies.characterize.bench_tasks import bench_work
from membrane_dask.studies.characterize.box_flow_tasks import box_flow_work
from membrane_dask.studies.characterize.common_flow import TASK as COMMON_FLOW
from membrane_dask.studies.characterize.common_flow import common_flow_work
from membrane_dask.studies.characterize.flow_tasks import flow_work
from membrane_dask.studies.characterize.local_sums import LocalSums, block_sums
from membrane_dask.studies.characterize.retention_tasks import TASKS as RETENTION_TASKS
from membrane_dask.studies.characterize.retention_tasks import retention_work
from membrane_dask.studies.characterize.sections import middle_sections
from membrane_dask.studies.characterize.tensor_tasks import tensor_work
from membrane_dask.studies.characterize.tortuosity_tasks import TASKS as TORTUOSITY_TASKS
from membrane_dask.studies.characterize.tortuosity_tasks import tortuosity_work
from membrane_dask.studies.volume_flow.decomposed_tasks import decomposed_work
from membrane_dask.studies.volume_flow.throat_flow import SUMS, throat_sums_work

#: Voxels around a block that are read at first; more where the pores are wider.
HALO = 48

Result = tuple[dict[str, np.ndarray], dict[str, float]]


def work(context: Mapping[str, Any], unit: Unit) -> Result:
    """Compute a unit.

    Raises
    ------
    ValueError
        If the volume has invalid values.
    PhysicsError
        If the pores are too wide for blocks, or a solver does not converge.
    """
    number = unit.params["volume"]
    volume = context["volumes"][number]
    if unit.task == "blocks":
        return _block(context, volume, *context["blocks"][number][unit.params["block"]])
    if unit.task == "networks":
        return _network(context, volume, number)
    if unit.task in TORTUOSITY_TASKS:
        return tortuosity_work(context, unit)
    if unit.task == COMMON_FLOW:
        return common_flow_work(context, unit)
    if unit.task == "flows":
        return flow_work(context, unit)
    if unit.task in RETENTION_TASKS:
        return retention_work(context, unit)
    if unit.task == "box_flows":
        return box_flow_work(context, unit)
    if unit.task == "tensors":
        return tensor_work(context, unit)
    if unit.task in BENCH_TASKS:
        return bench_work(context, unit)
    if unit.task == SUMS:
        return throat_sums_work(context, unit)
    return decomposed_work(context, unit)


def _block(context: Mapping[str, Any], volume: VolumeSource, start: tuple[int, ...], stop: tuple[int, ...]) -> Result:
    """Distances to the solid, pore sizes and watershed regions of a block."""
    snow: SnowParameters = context["snow"]
    spacing = volume.spacing
    block, squares = block_squared_distances(
        volume.read, start, stop, volume.shape, margin=snow.margin, halo=HALO, spacing=spacing
    )
    sums = block_sums(squares, block, spacing)
    contribution, _ = block_watershed(squares, block, snow, context["diagonal"], spacing)
    return {**contribution, **sums, "depth": np.array([start[0], stop[0]])}, {}


class _Contributions:
    """Arrays of the blocks of a volume, read again in every iteration, so that they need not all be in memory."""

    def __init__(self, context: Mapping[str, Any], number: int) -> None:
        self._scratch = context["scratch"]
        self._indices = range(int(context["first_block"][number]), int(context["first_block"][number + 1]))

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        for index in self._indices:
            yield self._scratch.read("blocks", (index,))


def _network(context: Mapping[str, Any], volume: VolumeSource, number: int) -> Result:
    """Pore network, connectivity and pore sizes of a volume, from its blocks."""
    contributions = _Contributions(context, number)
    thickness_counts, sums = np.zeros((0, volume.shape[0]), np.int64), np.zeros((1, N_REGION_SUMS), np.int64)
    local_sums = LocalSums(volume.shape, volume.spacing)
    for block in contributions:
        counts, (a, b) = block["thickness_counts"], block["depth"]
        if len(counts) > len(thickness_counts):
            rows = np.zeros((len(counts) - len(thickness_counts), volume.shape[0]), np.int64)
            thickness_counts = np.concatenate([thickness_counts, rows])
        thickness_counts[: len(counts), a:b] += counts
        sums += block["sums"].sum(axis=0)
        local_sums.add(block)
    voxel_nm = float(volume.voxel_nm or math.nan)
    extraction = extract_network(contributions, volume.shape, voxel_nm, context["snow"], volume.spacing)
    connectivity, network = extraction.connectivity, extraction.network
    arrays = {
        "thickness_counts": thickness_counts,
        **local_sums.arrays(),
        "profile": connectivity.profile,
        "porosity": connectivity.porosity,
        "through_porosity": connectivity.connected,
        "dead_end_porosity": connectivity.dead_end,
        "closed_porosity": connectivity.closed,
        "n_components": connectivity.n_components,
        "tortuosity_centroid": connectivity.centroid_path,
        "wall_area": surface_areas(sums, volume.spacing)[0],
        "unassigned_fraction": extraction.unassigned_fraction,
        "position": network.junctions,
        "volume": network.bodies["volume"],
        "equivalent_radius": network.bodies["equivalent_radius"],
        "inscribed_radius": network.bodies["inscribed_radius"],
        "surface_area": network.bodies["surface_area"],
        "coordination_number": network.bodies["coordination_number"],
        "throat_conns": network.throat_conns,
        "throat_equivalent_radius": network.radius,
        "throat_inscribed_radius": network.throats["inscribed_radius"],
        "throat_area": network.throats["area"],
        "throat_length": network.length,
        "extent": np.array(network.extent),
        **middle_sections(volume),
    }
    return {name: np.asarray(value) for name, value in arrays.items()}, {}
