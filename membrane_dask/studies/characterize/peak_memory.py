"""Memory that the units of a characterization need, and what reduces it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from membrane_dask.physics.imaging.blocks import Block
from membrane_dask.studies.characterize.bench_tasks import BLOCK_TASKS, bench_memory
from membrane_dask.studies.characterize.box_flow_tasks import box_flow_memory
from membrane_dask.studies.characterize.common_flow import TASK as COMMON_FLOW
from membrane_dask.studies.characterize.decomposed_tortuosity import tortuosity_memory
from membrane_dask.studies.characterize.flow_tasks import flow_memory
from membrane_dask.studies.characterize.retention_tasks import TASKS as RETENTION_TASKS
from membrane_dask.studies.characterize.retention_tasks import retention_memory
from membrane_dask.studies.characterize.tasks import HALO
from membrane_dask.studies.characterize.tensor_tasks import has_tensor_unit, tensor_memory
from membrane_dask.studies.volume_flow.decomposed_flow import decomposed_memory
from membrane_dask.studies.volume_flow.throat_flow import REGIONS

if TYPE_CHECKING:
    from membrane_dask.studies.characterize.config import CharacterizeStudy
    from membrane_dask.studies.characterize.program import CharacterizeProgram

#: Bytes per voxel that is read for a block, and per voxel of the block.
_BYTES_READ, _BYTES_OWN = 11, 26
#: Bytes per pore voxel of a volume for its tortuosity, and per voxel.
_BYTES_PORE, _BYTES_VOXEL = 110, 8
#: Tasks of blocks.
_BLOCK_TASKS = ("blocks", *BLOCK_TASKS)


def memory_advice(study: CharacterizeStudy, task: str) -> str:
    """Settings with which the units of a task need less memory; empty where no setting helps.

    Parameters
    ----------
    study : CharacterizeStudy
    task : str
        A task of :func:`peak_memory`.
    """
    without_flow = "use bench.methods: [mercury], which has the bubble point too and needs no flow"
    if task in _BLOCK_TASKS:
        return f"use a block_size below {study.block_size}"
    if task == "tortuosity" and study.tortuosity_slab_thickness is None:
        return "use tortuosity_slab_thickness: 64"
    if task == "flows" and study.flow.slab_thickness is None:
        return "use flow.slab_thickness: 64"
    if task == COMMON_FLOW or task == "bench_flows":
        advice = []
        if study.bench.flow == "stokes" and task == "bench_flows":
            advice.append("use bench.flow: network")
        if study.flow.slab_thickness is None:
            advice.append("use flow.slab_thickness: 64")
        return " and ".join(advice) or without_flow
    if task == REGIONS:
        return without_flow
    return ""


def peak_memory(program: CharacterizeProgram) -> Mapping[str, int]:
    """Peak bytes of the units of a study, by task and by the approximate porosity of its volumes."""
    peaks: dict[str, int] = {}
    study, flow = program.study, program.study.flow
    resident = max(volume.resident_bytes for volume in program.volumes)

    def require(task: str, size: float) -> None:
        peaks[task] = max(peaks.get(task, 0), int(size) + resident)

    for number, volume in enumerate(program.volumes):
        shape, porosity, blocks = volume.shape, program.porosities[number], program.blocks[number]
        for start, stop in blocks:
            windows = Block(start, stop, HALO, shape).extended
            read = math.prod(window.stop - window.start for window in windows)
            own = math.prod(b - a + 16 for a, b in zip(start, stop, strict=True))
            require("blocks", _BYTES_READ * read + _BYTES_OWN * own)
        if flow.boxes:
            require("box_flows", box_flow_memory(flow, shape, porosity, volume.spacing))
        if has_tensor_unit(study):
            require("tensors", tensor_memory(study, shape, porosity))
        if study.bench.enabled:
            by_slabs = program.slab_edges[number] if program.bench_by_slabs[number] else None
            for task, size in bench_memory(study.bench, shape, porosity, blocks, by_slabs):
                require(task, size)
        if program.has_common_flow[number]:
            require(COMMON_FLOW, flow_memory(flow, shape, porosity))
    for number, (oriented, porosity) in enumerate(program.oriented_porosities()):
        slabs = program.tortuosity_edges[number]
        if slabs:
            for task, size in tortuosity_memory(oriented.shape, porosity, slabs).items():
                require(task, size)
        elif study.tortuosity:
            require("tortuosity", (porosity * _BYTES_PORE + _BYTES_VOXEL) * math.prod(oriented.shape))
        edges = program.slab_edges[number]
        if flow.enabled:
            require("flows", 0 if edges else flow_memory(flow, oriented.shape, porosity))
        if study.retention.enabled and number < len(program.volumes):
            for task in RETENTION_TASKS:
                require(task, retention_memory(flow, oriented.shape, porosity))
        if edges:
            for task, size in decomposed_memory(flow, oriented.shape, porosity, edges).items():
                require(task, size)
    return peaks
