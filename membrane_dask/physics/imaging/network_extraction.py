"""Pore network of a volume by the SNOW algorithm: marker-based watershed of its distance map.

A watershed region whose peak is a marker is a pore; the other regions join a pore over their highest saddle.
Pores with common faces are connected by a throat.

References
----------
Gostick, Phys. Rev. E 96, 023307 (2017).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from membrane_dask.physics._jit import kernel
from membrane_dask.physics.elementary import cube_root, integer_power
from membrane_dask.physics.imaging.connectivity import Connectivity, connectivity
from membrane_dask.physics.imaging.region_graph import RegionGraph
from membrane_dask.physics.imaging.surface_area import surface_areas
from membrane_dask.physics.imaging.watershed import FACE_SUMS, Contribution, SnowParameters, aggregate_by_key
from membrane_dask.physics.networks.pore_network import INLET, OUTLET, PoreNetwork
from membrane_dask.physics.union_find import join, root_of
from membrane_dask.physics.voxel_spacing import CUBE, Spacing, face_areas, voxel_volume

#: Smallest length of a throat, shortest edges: the centroids of two pores may coincide.
_MIN_LENGTH = 0.5


@dataclass(frozen=True)
class Extraction:
    """Pore network and connectivity of a volume.

    Parameters
    ----------
    network : PoreNetwork
        Pores are its junctions; throats and the openings on the faces at low and high z are its pores.
    connectivity : Connectivity
        Of the voxels.
    unassigned_fraction : float
        Fraction of the pore volume that belongs to no pore of the network: connected components without a marker.
    region_names, pore : (n,) ndarray of int64
        Every voxel by which a block names a region, rising, and the number of the pore that the region belongs to,
        -1 for none.
    """

    network: PoreNetwork
    connectivity: Connectivity
    unassigned_fraction: float
    region_names: np.ndarray
    pore: np.ndarray


def extract_network(
    contributions: Iterable[Contribution], shape: tuple[int, ...], voxel_size: float, snow: SnowParameters,
    spacing: Spacing = CUBE,
) -> Extraction:  # fmt: skip
    """Extract the pore network of a volume from the watershed of its blocks.

    Parameters
    ----------
    contributions : iterable of dict
        From :func:`membrane_dask.physics.imaging.watershed.block_watershed`, of all blocks of the volume, in any
        order; iterated over three times, so that they need not all be in memory.
    shape : tuple of int
        Shape of the volume.
    voxel_size : float
        Shortest edge of a voxel, in the unit of the lengths of the network.
    snow : SnowParameters
        As for the blocks.
    spacing : tuple of float
        Edges of a voxel along ``z, y, x``, over the shortest one.

    Returns
    -------
    Extraction
        Independent of how the volume was divided into blocks.

    Raises
    ------
    ValueError
        If blocks are missing.
    """
    graph = RegionGraph.merge(contributions)
    components = connectivity(graph, contributions, shape, spacing)
    markers = _remove_nearby(np.flatnonzero(_remove_ridges(graph)), graph, shape, snow.min_separation, spacing)
    pore_of_region = _flood(graph, markers)
    network = _pore_network(graph, pore_of_region, len(markers), shape, voxel_size, spacing)
    unassigned = int(graph.sums[pore_of_region < 0, 0].sum()) / max(int(graph.sums[:, 0].sum()), 1)
    return Extraction(network, components, unassigned, graph.names, pore_of_region[graph.region_of_name])


def _remove_ridges(graph: RegionGraph) -> np.ndarray:
    """Whether each region has a marker: not where its distances rise, along a ridge, into another region."""
    is_marker = graph.is_marker.copy()
    largest, pair = graph.max_squared_distance[:, 0], graph.pair
    for a, b in ((0, 1), (1, 0)):
        is_ridge = (graph.saddle[:, 1] == largest[pair[:, a]]) & (largest[pair[:, b]] > largest[pair[:, a]])
        is_marker[pair[is_ridge, a]] = False
    return is_marker


def _remove_nearby(
    markers: np.ndarray, graph: RegionGraph, shape: tuple[int, ...], min_separation: float, spacing: Spacing
) -> np.ndarray:
    """Markers without those that lie nearer to a higher one than to the solid."""
    from scipy.spatial import KDTree

    if len(markers) < 2 or min_separation <= 0:
        return markers
    coordinates = np.stack(np.unravel_index(graph.peaks[markers], shape), axis=1) * np.array(spacing)
    distance, nearest = (result[:, 1] for result in KDTree(coordinates).query(coordinates, k=2))
    square = graph.height[markers, 1]
    near = np.flatnonzero(distance <= min_separation * np.sqrt(square))
    neighbour = nearest[near]
    is_lower = (square[near] < square[neighbour]) | ((square[near] == square[neighbour]) & (near < neighbour))
    return np.delete(markers, np.unique(np.where(is_lower, near, neighbour)))


def _flood(graph: RegionGraph, markers: np.ndarray) -> np.ndarray:
    """Pore of every region, -1 for none: regions join over the highest saddle first, but never two with markers."""
    pair = graph.pair
    order = np.lexsort((pair[:, 1], pair[:, 0], -graph.saddle[:, 0]))
    return np.asarray(_flood_pairs(pair[order], len(graph.peaks), markers))


@kernel
def _flood_pairs(pair: Any, n: int, markers: Any) -> Any:
    parent = np.arange(n)
    pore = np.full(n, -1, np.int64)
    for k in range(markers.size):
        pore[markers[k]] = k
    for e in range(pair.shape[0]):
        a, b = root_of(parent, pair[e, 0]), root_of(parent, pair[e, 1])
        if a != b and (pore[a] < 0 or pore[b] < 0):
            pore[a] = pore[b] = max(pore[a], pore[b])
            join(parent, a, b)
    result = np.empty(n, np.int64)
    for i in range(n):
        result[i] = pore[root_of(parent, i)]
    return result


def _pore_network(
    graph: RegionGraph, pore_of_region: np.ndarray, count: int, shape: tuple[int, ...], voxel_size: float,
    spacing: Spacing,
) -> PoreNetwork:  # fmt: skip
    """Sizes of the pores and throats."""
    assigned = pore_of_region >= 0
    sums, largest = np.zeros((count, graph.sums.shape[1]), np.int64), np.zeros((count, 3), np.float32)
    np.add.at(sums, pore_of_region[assigned], graph.sums[assigned])
    np.maximum.at(largest, pore_of_region[assigned], graph.max_squared_distance[assigned])
    conns = np.sort(pore_of_region[graph.pair], axis=1)
    is_throat = (conns[:, 0] >= 0) & (conns[:, 0] != conns[:, 1]) & (graph.face_sums[:, :3] > 0).any(axis=1)
    key, faces, saddle = aggregate_by_key(
        (conns[:, 0] * count + conns[:, 1])[is_throat], graph.face_sums[is_throat], graph.saddle[is_throat, 1:]
    )
    conns = np.stack(np.divmod(key, max(count, 1)), axis=1)
    edges, areas = np.array(spacing), face_areas(spacing)
    voxels = sums[:, 0].astype(float)
    centre = (sums[:, 1:4] / voxels[:, None] + 0.5) * edges if count else np.zeros((0, 3))
    volume = voxels * voxel_volume(spacing)
    n_faces = faces[:, :3].sum(axis=1)
    middle = (faces[:, 3:] / (2.0 * n_faces[:, None]) + 0.5) * edges
    area = np.sqrt(np.square(faces[:, :3] * areas).sum(axis=1))
    inscribed = np.sqrt(saddle[:, 0].astype(float))
    length = sum(np.sqrt(np.square(middle - centre[conns[:, i]]).sum(axis=1)) for i in (0, 1))
    # Openings on the faces of the volume lead from there to the centre of the pore.
    openings = []
    for side, boundary, depth in ((0, INLET, 0.0), (1, OUTLET, shape[0] * edges[0])):
        pores = np.flatnonzero(sums[:, FACE_SUMS.start + side])
        openings.append(
            (
                np.stack([pores, np.full(len(pores), boundary)], axis=1),
                sums[pores, FACE_SUMS.start + side] * areas[0],
                np.sqrt(largest[pores, 1 + side].astype(float)),
                np.abs(centre[pores, 0] - depth),
            )
        )
    conns = np.concatenate([conns, *(opening[0] for opening in openings)]).astype(np.int32)
    area = np.concatenate([area, *(opening[1] for opening in openings)])
    inscribed = np.concatenate([inscribed, *(opening[2] for opening in openings)])
    length = np.maximum(np.concatenate([length, *(opening[3] for opening in openings)]), _MIN_LENGTH)
    return PoreNetwork.from_straight_pores(
        junctions=centre * voxel_size,
        throat_conns=conns,
        length=length * voxel_size,
        radius=np.sqrt(area / np.pi) * voxel_size,
        extent=tuple(n * edge * voxel_size for n, edge in zip(shape, spacing, strict=True)),
        bodies={
            "volume": volume * integer_power(voxel_size, 3),
            "equivalent_radius": cube_root(0.75 * volume / np.pi) * voxel_size,
            "inscribed_radius": np.sqrt(largest[:, 0].astype(float)) * voxel_size,
            "surface_area": surface_areas(sums, spacing) * np.square(voxel_size),
            "coordination_number": np.bincount(conns[conns[:, 1] >= 0].ravel(), minlength=count),
        },
        throats={"inscribed_radius": inscribed * voxel_size, "area": area * np.square(voxel_size)},
    )
