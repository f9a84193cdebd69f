"""Memory that the units of a characterization need."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from membrane_dask.physics.imaging.blocks import Block
from membrane_dask.studies.characterize.bench_tasks import bench_memory
from membrane_dask.studies.characterize.box_flow_tasks import box_flow_memory
from membrane_dask.studies.characterize.common_flow import TASK as COMMON_FLOW
from membrane_dask.studies.characterize.decomposed_flow import decomposed_memory
from membrane_dask.studies.characterize.decomposed_tortuosity import tortuosity_memory
from membrane_dask.studies.characterize.flow_tasks import flow_memory
from membrane_dask.studies.characterize.retention_tasks import TASKS as RETENTION_TASKS
from membrane_dask.studies.characterize.retention_tasks import retention_memory
from membrane_dask.studies.characterize.tasks import HALO
from membrane_dask.studies.characterize.tensor_tasks import has_tensor_unit, tensor_memory

if TYPE_CHECKING:
    from membrane_dask.studies.characterize.program import CharacterizeProgram

#: Bytes per voxel that is read for a block, and per voxel of the block.
_BYTES_READ, _BYTES_OWN = 11, 26
#: Bytes per pore voxel of a volume for its tortuosity, and per voxel.
_BYTES_PORE, _BYTES_VOXEL = 110, 8


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
            for task, size in bench_memory(study.bench, shape, porosity, blocks):
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
