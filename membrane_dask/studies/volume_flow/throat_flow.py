"""Flow through the throats of a volume whose Stokes flow is computed by slabs.

A unit of the volume assigns its pore voxels to the pores of the network; after the flow, a unit of each slab adds up
velocities and pressures, and whoever needs the flow of the throats adds up the slabs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from membrane_dask.physics.imaging.blocks import divide
from membrane_dask.physics.imaging.labelled_network import BLOCK, labelled_network
from membrane_dask.physics.imaging.local_thickness import largest_radius
from membrane_dask.physics.imaging.watershed import SnowParameters
from membrane_dask.physics.networks.stokes_conductance import ThroatSums, core_voxels, throat_sums
from membrane_dask.physics.stokes.mac_grid import Grid, LateralBoundary, flow_pores
from membrane_dask.physics.stokes.subdomains import Reader, Slabs
from membrane_dask.program import Scratch, ScratchReader, Unit
from membrane_dask.studies.volume_flow.decomposed_tasks import Result, SlabData

#: Tasks: a unit of a volume, and a unit of each slab.
REGIONS, SUMS = "throat_regions", "throat_sums"
#: Bytes per voxel and per pore voxel: of a block whose watershed is computed, of a volume whose labels are, and of a
#: volume whose walls are measured as well; per voxel of distances and labels; per pore voxel of a slab that is summed.
_BYTES_BLOCK, _BYTES_LABELS, _BYTES_WALLS, _BYTES_RESULT, _BYTES_SLAB = (28, 42), (14, 30), (24, 32), 10, 90


def throat_scratch(edges_of_volumes: Sequence[Sequence[int] | None]) -> list[Scratch]:
    """Scratch data of the units, by the slabs of all volumes whose flow through throats is computed by slabs."""
    slabs = max((len(edges) - 1 for edges in edges_of_volumes if edges), default=0)
    n = len(edges_of_volumes)
    return [Scratch(REGIONS, (n,), temporary=True), Scratch(SUMS, (n, slabs))] if slabs else []


def network_memory(shape: tuple[int, ...], porosity: float, *, walls: bool = False) -> int:
    """Peak bytes of the labels of a volume by the pores of its network, and of its ``walls``."""
    size = math.prod(shape)
    block = max(math.prod(b - a for a, b in zip(*corners, strict=True)) for corners in divide(shape, BLOCK))
    voxel, pore = _BYTES_WALLS if walls else _BYTES_LABELS
    watershed = (_BYTES_BLOCK[0] + _BYTES_BLOCK[1] * porosity) * block + _BYTES_RESULT * (size - block)
    return int(max(watershed, (voxel + pore * porosity) * size))


def throat_memory(shape: tuple[int, ...], porosity: float, edges: Sequence[int]) -> dict[str, int]:
    """Peak bytes of the units, by task."""
    depth, height, width = shape
    planes = min(depth, max(np.diff(edges).tolist()) + 2)
    return {
        REGIONS: network_memory(shape, porosity),
        SUMS: int(_BYTES_SLAB * porosity * height * width * planes),
    }


def throat_regions(
    pores: np.ndarray, lateral_boundary: LateralBoundary, edges: tuple[int, ...], snow: SnowParameters, diagonal: bool
) -> Result:
    """Pore of the network to which every percolating voxel of a volume belongs, by slabs.

    Parameters
    ----------
    pores : (z, y, x) ndarray of bool
        Pore voxels, cubes.
    lateral_boundary : str
        Of the flow.
    edges : tuple of int
        First plane of every slab, and the number of planes.
    snow, diagonal
        As in :func:`membrane_dask.physics.imaging.labelled_network.labelled_network`.

    Returns
    -------
    arrays : dict of str to ndarray
        ``throat_conns``, the number of ``junctions``, and of each slab ``label_0`` and ``core_0``, ...; empty where no
        pores percolate.
    feedback : dict of str to float
        ``max_radius`` of the pores, in voxels.
    """
    percolating = flow_pores(pores, lateral_boundary)
    if not percolating.any():
        return {}, {"max_radius": 0.0}
    labelled = labelled_network(pores, 1.0, snow, diagonal)
    n = len(labelled.network.junctions)
    label = labelled.labels[percolating]
    core = core_voxels(label, labelled.squares[percolating], n)
    first = np.concatenate([[0], np.cumsum(np.count_nonzero(percolating, axis=(1, 2)))])
    slabs = Slabs(edges, first)
    arrays = {"throat_conns": labelled.network.throat_conns, "junctions": np.asarray(n)}
    arrays |= slabs.split("label", label) | slabs.split("core", core)
    return arrays, {"max_radius": largest_radius(float(labelled.squares.max()))}


def throat_sums_work(context: Mapping[str, Any], unit: Unit) -> Result:
    """Sums of velocities and pressures over the throats and pores of a slab, the velocities not yet scaled."""
    data = SlabData.of(context, unit)
    slabs, number = data.slabs, int(data.params["slab"])
    window = slabs.window(number, 1)
    grid = Grid.of_percolating(data.pores(window.low, window.high), data.boundary, None, spacing=data.spacing)
    rows = slabs.owned_rows(window, faces=False)
    network = data.scratch.read(REGIONS, (data.volume,), ("throat_conns", "junctions"))
    label, core = (slabs.gather(_slab_reader(data, name), window, grid.n) for name in ("label", "core"))
    final = data.scratch.read("final_velocity", (data.volume, number), ("velocity", "pressures", "work"))
    velocity, pressures = np.zeros((grid.m + 1, 3), np.float32), np.zeros(grid.n, np.float32)
    velocity[slabs.owned_rows(window)], pressures[rows] = final["velocity"], final["pressures"]
    sums = throat_sums(
        network["throat_conns"], int(network["junctions"]), grid, label, core, velocity, pressures, window, rows
    )
    return {**asdict(sums), "work": final["work"]}, {}


def _slab_reader(data: SlabData, name: str) -> Reader:
    """Reads an array of the unit :data:`REGIONS` of a slab."""
    return lambda slab: data.scratch.read(REGIONS, (data.volume,), (f"{name}_{slab}",))[f"{name}_{slab}"]


def throat_flow(scratch: ScratchReader, volume: int, edges: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Flow and pressure of :class:`membrane_dask.physics.networks.stokes_conductance.ThroatConductances`.

    Parameters
    ----------
    scratch : ScratchReader
        With the sums of all slabs.
    volume : int
        Number of the volume, whose voxels are cubes.
    edges : sequence of int
        First plane of every slab, and the number of planes.
    """
    slabs = [scratch.read(SUMS, (volume, number)) for number in range(len(edges) - 1)]
    velocity, depth, count = (sum(slab[name] for slab in slabs) for name in ("velocity", "depth", "count"))
    total = ThroatSums(np.asarray(velocity), np.asarray(depth), np.asarray(count))
    work, dissipation = (float(sum(slab["work"][k] for slab in slabs)) for k in (0, 1))
    flow, pressure = total.flow_and_pressure(edges[-1])
    return flow * (work / dissipation), pressure
