"""The pore network of a volume, put together from what its blocks contribute.

Basins with a marker are pores; the others are flooded from their highest pass, as in the watershed of SNOW
(Gostick, Phys. Rev. E 96, 023307, 2017). Faces between pores are throats. As a basin lies within what is
connected, the basins that touch also tell what is connected with what.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from membrane_dask.physics._jit import kernel
from membrane_dask.physics.imaging.watershed import N_SUMS, Markers, Part, added
from membrane_dask.physics.networks.pore_network import INLET, OUTLET, PoreNetwork
from membrane_dask.physics.union_find import root_of

#: Weights of lines along faces, edges and corners in the surface area by Crofton's formula (13 directions; Legland,
#: Kieu & Devaux, Image Anal. Stereol. 26, 83, 2007), over the distance of voxels along them.
_CROFTON = np.array([0.0915557824 / 1.0, 0.0739612558 / np.sqrt(2.0), 0.0703912796 / np.sqrt(3.0)])
#: A throat is no shorter than this, in voxels: centres of pores may fall together.
_SHORTEST = 0.5


@dataclass(frozen=True)
class Connectivity:
    """How the pore space hangs together. Volumes are shares of the whole volume.

    Parameters
    ----------
    porosity : float
        All pores.
    connected : (3,) ndarray
        Pores that reach from one face to the opposite one, along z, y and x.
    dead_end : float
        Pores that reach one face at low or high z only.
    closed : float
        Pores that reach neither.
    n_components : int
        Number of separate parts.
    profile : (n_z, 2) ndarray
        Share of every plane of the depth: all pores, and those that reach from low to high z.
    centroid_path : float
        Length of the line through the centroids, plane by plane, of the pores that reach from low to high z, over
        its extent in depth; NaN if there are none.
    """

    porosity: float
    connected: np.ndarray
    dead_end: float
    closed: float
    n_components: int
    profile: np.ndarray
    centroid_path: float


@dataclass(frozen=True)
class Extraction:
    """What the blocks of a volume make together.

    Parameters
    ----------
    network : PoreNetwork
        Pores are its junctions; throats and the openings on the faces at low and high z are its pores.
    connectivity : Connectivity
        Of the voxels.
    unassigned : float
        Share of the pore volume that no pore of the network holds: parts without a marker.
    basin, pore : (n,) ndarray of int64
        Every voxel that a block calls a summit, rising, and the pore that holds it (-1 for none).
    """

    network: PoreNetwork
    connectivity: Connectivity
    unassigned: float
    basin: np.ndarray
    pore: np.ndarray


def assemble(parts: Iterable[Part], shape: tuple[int, ...], voxel: float, markers: Markers) -> Extraction:
    """Put together what the blocks of a volume contribute.

    Parameters
    ----------
    parts : iterable of dict
        From :func:`membrane_dask.physics.basins.basins`, of all blocks of the volume, in any order; gone through
        three times, so that they need not all be held.
    shape : tuple of int
        Shape of the volume.
    voxel : float
        Edge of a voxel, in the unit of the network's lengths.
    markers : Markers
        As for the blocks.

    Returns
    -------
    Extraction
        The same whatever the blocks were.

    Raises
    ------
    ValueError
        If blocks are missing.
    """
    basin, final = _resolved(parts)
    summits = basin[final == np.arange(len(basin))]  # the summits proper
    rank = np.searchsorted(summits, basin[final])  # of every name of a basin
    n = len(summits)
    sums, widest = np.zeros((n, N_SUMS), np.int64), np.zeros((n, 3), np.float32)
    height, is_marker = np.zeros((n, 2), np.float32), np.zeros(n, bool)
    touching = []
    for part in parts:
        here = rank[np.searchsorted(basin, part["summit"])]
        np.add.at(sums, here, part["sums"])
        np.maximum.at(widest, here, part["widest"])
        np.maximum.at(height, here, part["height"])
        np.logical_or.at(is_marker, here, part["marker"])
        across = rank[np.searchsorted(basin, part["seam"][:, 1])]
        for ends, kind in ((here[part["pair"]], "pair"), (np.stack([here[part["seam"][:, 0]], across], 1), "seam")):
            ends = np.sort(ends, axis=1)
            differ = ends[:, 0] != ends[:, 1]
            key = (ends[:, 0] * n + ends[:, 1])[differ]
            touching.append(added(key, part[f"{kind}_sums"][differ], part[f"{kind}_pass"][differ]))
    key, face_sums, pass_ = added(*(np.concatenate(rows) for rows in zip(*touching, strict=True)))
    del touching
    pair = np.stack(np.divmod(key, max(n, 1)), axis=1)
    connectivity = _connectivity(pair, sums, parts, basin, rank, shape)
    # A ridge of the distance map that rises into another basin is no summit of its own.
    crest = widest[:, 0]
    for a, b in ((0, 1), (1, 0)):
        ridge = (pass_[:, 1] == crest[pair[:, a]]) & (crest[pair[:, b]] > crest[pair[:, a]])
        is_marker[pair[ridge, a]] = False
    chosen = _trimmed(np.flatnonzero(is_marker), summits, height, shape, markers.nearby)
    pore_of = _flooded(pair, pass_[:, 0], n, chosen)
    network = _network(pore_of, len(chosen), sums, widest, pair, face_sums, pass_[:, 1], shape, voxel)
    outside = int(sums[pore_of < 0, 0].sum()) / max(int(sums[:, 0].sum()), 1)
    return Extraction(network, connectivity, outside, basin, pore_of[rank])


def surface_areas(sums: np.ndarray) -> np.ndarray:
    """Area of the walls, in squared voxels, by Crofton's formula from the sums of basins, ``(n, N_SUMS)``."""
    return np.asarray(2.0 * (sums[:, 4:7] @ _CROFTON))


def _resolved(parts: Iterable[Part]) -> tuple[np.ndarray, np.ndarray]:
    """All voxels that stand for a basin, rising, and the one that each leads to in the end."""
    gates, summits, elsewhere = [], [], []
    for part in parts:
        gates.append(np.stack([part["gate"][:, 0], part["summit"][part["gate"][:, 1]]], axis=1))
        summits.append(part["summit"])
        elsewhere.append(np.unique(np.concatenate([part["summit"][~part["inside"]], part["seam"][:, 1]])))
    gate = np.concatenate(gates)
    gate = gate[np.argsort(gate[:, 0])]
    asked = np.unique(np.concatenate(elsewhere))
    basin = np.unique(np.concatenate([*summits, asked]))
    final = np.arange(len(basin))
    place = np.searchsorted(gate[:, 0], asked)
    if len(asked) and (not len(gate) or (gate[np.minimum(place, len(gate) - 1), 0] != asked).any()):
        raise ValueError("parts: those of some blocks are missing")
    final[np.searchsorted(basin, asked)] = np.searchsorted(basin, gate[place, 1])
    while True:
        further = final[final]
        if (further == final).all():
            return basin, final
        final = further


def _connectivity(
    pair: np.ndarray,
    sums: np.ndarray,
    parts: Iterable[Part],
    basin: np.ndarray,
    rank: np.ndarray,
    shape: tuple[int, ...],
) -> Connectivity:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n, voxels = len(sums), float(np.prod(shape))
    graph = coo_array((np.ones(len(pair), bool), (pair[:, 0], pair[:, 1])), shape=(n, n))
    count, component = connected_components(graph, directed=False) if n else (0, np.zeros(0, int))
    volume = np.zeros(count, np.int64)
    np.add.at(volume, component, sums[:, 0])
    touches = np.zeros((count, 6), bool)
    np.logical_or.at(touches, component, sums[:, 7:] > 0)
    through = touches[:, ::2] & touches[:, 1::2]
    either = touches[:, 0] ^ touches[:, 1]
    neither = ~(touches[:, 0] | touches[:, 1])
    planes = np.zeros((2, shape[0], 3), np.int64)
    for part in parts:
        rows = part["slice"]
        connected = through[component[rank[np.searchsorted(basin, part["summit"])]], 0]
        for which, chosen in enumerate((rows, rows[connected[rows[:, 0]]])):
            np.add.at(planes[which], chosen[:, 1], chosen[:, 2:])
    path = float("nan")
    if through[:, 0].any():
        centroids = planes[1, :, 1:] / planes[1, :, :1]
        path = float(np.sqrt(1 + (np.diff(centroids, axis=0) ** 2).sum(axis=1)).mean())
    return Connectivity(
        float(volume.sum() / voxels),
        np.array([volume[through[:, axis]].sum() for axis in range(3)]) / voxels,
        float(volume[either].sum() / voxels),
        float(volume[neither].sum() / voxels),
        int(count),
        planes[:, :, 0].T / float(shape[1] * shape[2]),
        path,
    )


def _trimmed(
    candidates: np.ndarray, summits: np.ndarray, height: np.ndarray, shape: tuple[int, ...], nearby: float
) -> np.ndarray:
    """Markers without those that lie nearer to a higher one than to the solid."""
    from scipy.spatial import KDTree

    if len(candidates) < 2 or nearby <= 0:
        return candidates
    places = np.stack(np.unravel_index(summits[candidates], shape), axis=1)
    distance, nearest = (found[:, 1] for found in KDTree(places).query(places, k=2))
    level = height[candidates, 1]
    near = np.flatnonzero(distance <= nearby * np.sqrt(level))
    other = nearest[near]
    lower = (level[near] < level[other]) | ((level[near] == level[other]) & (near < other))
    gone = np.where(lower, near, other)
    return np.delete(candidates, np.unique(gone))


def _flooded(pair: np.ndarray, passes: np.ndarray, n: int, chosen: np.ndarray) -> np.ndarray:
    """Pore of every basin, -1 for none: basins join over the highest pass first, but never two with a marker."""
    order = np.lexsort((pair[:, 1], pair[:, 0], -passes))
    return _flood(pair[order], n, chosen)


@kernel
def _flood(pair, n, chosen):
    parent = np.arange(n)
    pore = np.full(n, -1, np.int64)
    for k in range(chosen.size):
        pore[chosen[k]] = k
    for e in range(pair.shape[0]):
        a, b = root_of(parent, pair[e, 0]), root_of(parent, pair[e, 1])
        if a != b and (pore[a] < 0 or pore[b] < 0):
            parent[b] = a
            pore[a] = max(pore[a], pore[b])
    found = np.empty(n, np.int64)
    for i in range(n):
        found[i] = pore[root_of(parent, i)]
    return found


def _network(
    pore_of: np.ndarray, count: int, sums: np.ndarray, widest: np.ndarray, pair: np.ndarray, face_sums: np.ndarray,
    square: np.ndarray, shape: tuple[int, ...], voxel: float,
) -> PoreNetwork:  # fmt: skip
    held = pore_of >= 0
    total, wide = np.zeros((count, sums.shape[1]), np.int64), np.zeros((count, 3), np.float32)
    np.add.at(total, pore_of[held], sums[held])
    np.maximum.at(wide, pore_of[held], widest[held])
    ends = np.sort(pore_of[pair], axis=1)
    throat = (ends[:, 0] >= 0) & (ends[:, 0] != ends[:, 1]) & (face_sums[:, :3] > 0).any(axis=1)
    key, faces, high = added((ends[:, 0] * count + ends[:, 1])[throat], face_sums[throat], square[throat][:, None])
    ends = np.stack(np.divmod(key, max(count, 1)), axis=1)
    volume = total[:, 0].astype(float)
    centre = (total[:, 1:4] / volume[:, None] + 0.5) if count else np.zeros((0, 3))
    number = faces[:, :3].sum(axis=1)
    middle = faces[:, 3:] / (2.0 * number[:, None]) + 0.5
    area = np.sqrt((faces[:, :3].astype(float) ** 2).sum(axis=1))
    inscribed = np.sqrt(high[:, 0].astype(float))
    length = sum(np.linalg.norm(middle - centre[ends[:, i]], axis=1) for i in (0, 1))
    # Openings on the faces of the volume lead from there to the pore's centre.
    opening = []
    for side, outside, depth in ((0, INLET, 0.0), (1, OUTLET, float(shape[0]))):
        pores = np.flatnonzero(total[:, 7 + side])
        opening.append((
            np.stack([pores, np.full(len(pores), outside)], axis=1), total[pores, 7 + side].astype(float),
            np.sqrt(wide[pores, 1 + side].astype(float)), np.abs(centre[pores, 0] - depth),
        ))  # fmt: skip
    ends = np.concatenate([ends, *(o[0] for o in opening)]).astype(np.int32)
    area = np.concatenate([area, *(o[1] for o in opening)])
    inscribed = np.concatenate([inscribed, *(o[2] for o in opening)])
    length = np.maximum(np.concatenate([length, *(o[3] for o in opening)]), _SHORTEST)
    return PoreNetwork.from_straight_pores(
        junctions=centre * voxel,
        throat_conns=ends,
        length=length * voxel,
        radius=np.sqrt(area / np.pi) * voxel,
        extent=tuple(n * voxel for n in shape),
        bodies={
            "volume": volume * voxel**3,
            "equivalent_radius": np.cbrt(0.75 * volume / np.pi) * voxel,
            "inscribed_radius": np.sqrt(wide[:, 0].astype(float)) * voxel,
            "surface_area": surface_areas(total) * voxel**2,
            "coordination_number": np.bincount(ends[ends[:, 1] >= 0].ravel(), minlength=count),
        },
        throats={"inscribed_radius": inscribed * voxel, "area": area * voxel**2},
    )
