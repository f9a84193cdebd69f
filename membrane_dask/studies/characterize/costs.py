"""Cost of a characterization: all its units are run on a small cube of the first volume, and extrapolated."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from membrane_dask.io.oriented_volumes import PoreVolume
from membrane_dask.physics.imaging.blocks import Block, divide
from membrane_dask.physics.transport.two_level_diffusion import MARGIN
from membrane_dask.program import Costs, task_stem
from membrane_dask.studies.characterize import bench_tasks
from membrane_dask.studies.characterize.box_flow_tasks import flow_boxes
from membrane_dask.studies.characterize.common_flow import TASK as COMMON_FLOW
from membrane_dask.studies.characterize.config import CharacterizeStudy
from membrane_dask.studies.characterize.decomposed_tortuosity import MIN_PLANES
from membrane_dask.studies.characterize.retention_tasks import TASKS as RETENTION_TASKS
from membrane_dask.studies.characterize.retention_tasks import particle_diameters
from membrane_dask.studies.characterize.tasks import HALO
from membrane_dask.studies.characterize.tortuosity_tasks import TASKS as TORTUOSITY_TASKS
from membrane_dask.studies.volume_cubes import Cube
from membrane_dask.studies.volume_flow.throat_flow import SUMS

if TYPE_CHECKING:
    from membrane_dask.studies.characterize.program import CharacterizeProgram

#: Edge in voxels of the cubes that are run, first to compile, then to measure.
EDGES = (48, 96)
#: Edge of the cube that is measured where the flow is computed, in cells of its grid.
_FLOW_EDGE = 72
#: Seconds for a particle that is tracked, half of which do not pass and end after the largest number of steps.
_PARTICLE_SECONDS = 0.014
#: Pore voxels whose flow takes as long as the set-up of a box (measured for boxes of 64 and 128 cubed: 8 ms each, and
#: 0.6 us a pore voxel; the flow of a whole volume, which is solved to a tolerance, takes more).
_PORES_OF_BOX = 13_000
#: Planes of the slabs of a cube.
_PLANES = 32
#: Planes around a slab of the flow, for which it is planned.
_FLOW_HALO = 32
#: Units whose iterations become more, and whose data leave the caches: their time for a pore voxel grows as the root of
#: the edges (measured from 96 to 256 voxels).
_ITERATIONS = ("tortuosity", "geodesics", "diffusion", "group_balance")
#: Units of a volume as a whole, whatever the axes of the study.
_ALONG_DEPTH = ("tensors", "box_flows", COMMON_FLOW, SUMS, *RETENTION_TASKS, *bench_tasks.TASKS)
#: Units of slabs, whose work includes the planes around them.
_SLAB_TASKS = {
    "geodesics": 1, "diffusion": MARGIN, "group_residuals": MARGIN, "mobilities": _FLOW_HALO, "velocities": _FLOW_HALO,
    "bounds": 2,
}  # fmt: skip


def pilot_study(study: CharacterizeStudy, divided_flow: bool, divided_tortuosity: bool) -> CharacterizeStudy:
    """Study of a cube, whose flow and tortuosity are computed by slabs where those of the volumes are."""
    planes = _PLANES if divided_flow else None
    flow = study.flow.model_copy(update={"slab_thickness": planes})
    update = {
        "reference": None,
        "axes": ("z",),
        "flow": flow,
        # The tracking of a particle takes as long in a volume of any size.
        "retention": study.retention.model_copy(update={"particles": 1}),
        "tortuosity_slab_thickness": MIN_PLANES if divided_tortuosity else None,
    }
    return study.model_copy(update=update)


def pilot_edges(study: CharacterizeStudy) -> Sequence[int]:
    """Edges of the cubes that are run, the one to be measured last."""
    largest = _FLOW_EDGE // study.flow.refinement if study.flow.enabled else EDGES[-1]
    return EDGES[0], largest


def predicted_costs(program: CharacterizeProgram, cube: Cube, porosity: float, small: Mapping[str, float]) -> Costs:
    """Work of all units of a study.

    Parameters
    ----------
    program : CharacterizeProgram
        The study.
    cube : Cube
        What was run in the small.
    porosity : float
        Porosity of the cube.
    small : mapping of str to float
        Seconds of all units of the cube, by task.

    Returns
    -------
    Costs
    """
    work: dict[str, float] = {}
    chains: list[float] = []
    block_size = program.study.block_size
    small_voxels = sum(_block_voxels(cube.shape, block_size))
    for volume in program.volumes:
        blocks = [small["blocks"] * voxels / small_voxels for voxels in _block_voxels(volume.shape, block_size)]
        network = small["networks"] * math.prod(volume.shape) / math.prod(cube.shape)
        work["blocks"] = work.get("blocks", 0.0) + sum(blocks)
        work["networks"] = work.get("networks", 0.0) + network
        chains.append(max(blocks) + network)
    small_pores = max(porosity, 1e-3) * math.prod(cube.shape)
    n = len(program.volumes)
    # Without flow.enabled only the bench has a flow.
    not_lateral = _ALONG_DEPTH if program.study.flow.enabled else set(small).difference(TORTUOSITY_TASKS)
    parallel = [0.0] * n  # the longest chain of units of each volume after its network
    after_flow = [0.0] * n
    for number, (oriented, volume_porosity) in enumerate(program.oriented_porosities()):
        pores = volume_porosity * math.prod(oriented.shape) / small_pores
        flow, tortuosity = program.slab_edges[number], program.tortuosity_edges[number]
        for task, seconds in small.items():
            if task in ("blocks", "networks") or (number >= n and task in not_lateral):
                continue
            slabs = tortuosity if task in TORTUOSITY_TASKS else flow
            ratio = pores
            if task == "box_flows":
                ratio = _work_of_boxes(oriented, volume_porosity) / _work_of_boxes(cube, porosity)
            if task in _ITERATIONS:
                ratio *= math.sqrt(sum(oriented.shape) / sum(cube.shape))
            if task in _SLAB_TASKS and slabs:
                ratio *= _overlap(slabs, _SLAB_TASKS[task]) / _overlap(_small_edges(task, cube), _SLAB_TASKS[task])
            units = len(slabs) - 1 if slabs and task in (*_SLAB_TASKS, "pore_slabs", "final_velocity", SUMS) else 1
            if task in bench_tasks.BLOCK_TASKS:
                units = len(program.blocks[number])
            if task == "geodesics":
                units = 1  # the front passes from slab to slab
            if task == "passages":
                units = len(particle_diameters(program.study.retention))
            seconds_of_volume = seconds * ratio
            if task == "trajectories":
                seconds_of_volume += _PARTICLE_SECONDS * program.study.retention.particles
            name = task_stem(task)
            work[name] = work.get(name, 0.0) + seconds_of_volume
            longest = after_flow if task in RETENTION_TASKS else parallel
            longest[number % n] = max(longest[number % n], seconds_of_volume / units)
    return Costs(work, max(map(sum, zip(chains, parallel, after_flow, strict=True))))


def _work_of_boxes(volume: PoreVolume | Cube, porosity: float) -> float:
    """Work of the flow in all boxes, in that of a box without pores; at least 1."""
    boxes = [windows for _, _, windows in flow_boxes(volume.shape, volume.spacing)]
    count = sum(map(len, boxes))
    voxels = sum(len(windows) * math.prod(axis.stop - axis.start for axis in windows[0]) for windows in boxes)
    return max(1.0, count + porosity * float(voxels) / _PORES_OF_BOX)


def _block_voxels(shape: tuple[int, ...], block_size: int) -> list[int]:
    """Voxels that are read for each block of a volume."""
    extended = (Block(start, stop, HALO, shape).extended for start, stop in divide(shape, block_size))
    return [math.prod(window.stop - window.start for window in windows) for windows in extended]


def _small_edges(task: str, cube: Cube) -> Sequence[int]:
    """Slabs of the cube."""
    planes = MIN_PLANES if task in TORTUOSITY_TASKS else _PLANES
    count = max(1, round(cube.shape[0] / planes))
    return [round(cube.shape[0] * k / count) for k in range(count + 1)]


def _overlap(edges: Sequence[int], margin: int) -> float:
    """Planes of all slabs with a margin on each side, over those of the volume."""
    depth = edges[-1]
    planes = sum(min(depth, b + margin) - max(0, a - margin) for a, b in itertools.pairwise(edges))
    return planes / depth
