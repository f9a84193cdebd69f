"""Connected components of the pore space: which fraction of it percolates, ends blindly or is closed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from membrane_dask.physics.imaging.region_graph import RegionGraph
from membrane_dask.physics.imaging.watershed import FACE_SUMS, Contribution
from membrane_dask.physics.voxel_spacing import CUBE, Spacing


@dataclass(frozen=True)
class Connectivity:
    """Connected components of the pore space; volumes are fractions of the whole volume.

    Parameters
    ----------
    porosity : float
        All pores.
    connected : (3,) ndarray
        Pores that percolate from face to face along z, y and x.
    dead_end : float
        Pores that reach only one of the faces at low and high z.
    closed : float
        Pores that reach neither.
    n_components : int
        Number of connected components.
    profile : (n_z, 2) ndarray
        Fraction of every plane of the depth: all pores, and those that percolate along z.
    centroid_path : float
        Length of the line through the centroids, plane by plane, of the pores that percolate along z, over its
        extent in depth; NaN if there are none.
    """

    porosity: float
    connected: np.ndarray
    dead_end: float
    closed: float
    n_components: int
    profile: np.ndarray
    centroid_path: float


def connectivity(
    graph: RegionGraph, contributions: Iterable[Contribution], shape: tuple[int, ...], spacing: Spacing = CUBE
) -> Connectivity:
    """Connected components of a volume, from its watershed: adjacent regions belong to one component.

    Parameters
    ----------
    graph : RegionGraph
        The regions.
    contributions : iterable of dict
        Of all blocks of the volume, as for the graph.
    shape : tuple of int
        Shape of the volume.
    spacing : tuple of float
        Edges of a voxel along ``z, y, x``, for the path of the centroids.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n, voxels, pair = len(graph.sums), float(np.prod(shape)), graph.pair
    adjacency = coo_array((np.ones(len(pair), bool), (pair[:, 0], pair[:, 1])), shape=(n, n))
    count, component = connected_components(adjacency, directed=False) if n else (0, np.zeros(0, int))
    volume = np.zeros(count, np.int64)
    np.add.at(volume, component, graph.sums[:, 0])
    reaches_face = np.zeros((count, 6), bool)
    np.logical_or.at(reaches_face, component, graph.sums[:, FACE_SUMS] > 0)
    percolates = reaches_face[:, ::2] & reaches_face[:, 1::2]
    one_face = reaches_face[:, 0] ^ reaches_face[:, 1]
    no_face = ~(reaches_face[:, 0] | reaches_face[:, 1])
    planes = np.zeros((2, shape[0], 3), np.int64)  # of all pores, and of those that percolate along z
    for block in contributions:
        rows = block["plane_sums"]
        is_percolating = percolates[component[graph.regions_of(block)], 0]
        for phase, selected in enumerate((rows, rows[is_percolating[rows[:, 0]]])):
            np.add.at(planes[phase], selected[:, 1], selected[:, 2:])
    centroid_path = float("nan")
    if percolates[:, 0].any():
        centroids = planes[1, :, 1:] / planes[1, :, :1]
        slopes = np.diff(centroids, axis=0) * np.array([edge / spacing[0] for edge in spacing[1:]])
        centroid_path = float(np.sqrt(1 + np.square(slopes).sum(axis=1)).mean())
    return Connectivity(
        porosity=float(volume.sum() / voxels),
        connected=np.array([volume[percolates[:, axis]].sum() for axis in range(3)]) / voxels,
        dead_end=float(volume[one_face].sum() / voxels),
        closed=float(volume[no_face].sum() / voxels),
        n_components=int(count),
        profile=planes[:, :, 0].T / float(shape[1] * shape[2]),
        centroid_path=centroid_path,
    )
