"""Access radius of pore voxels: the bottleneck of the widest path from a face of the volume, by blocks.

Let ``d(v)`` be the distance from the centre of pore voxel ``v`` to that of the nearest solid voxel. Its access radius
``A(v)`` is the largest radius for which a path of pore voxels leads from the face to ``v`` along which ``d`` is nowhere
less. Squares of these distances are whole numbers, and all of this module compares those.

Every voxel of a block ascends, along steps on which ``d`` never falls, to a peak of the block; the voxels of one peak
are a region, of which all are reached where one is: ``A(v) = min(d(v), A(region))``. Blocks contribute their regions
and the saddles between them; the widest paths over these are found for the whole volume in memory. The result does
not depend on the blocks.

References
----------
Pollack, Oper. Res. 8, 733 (1960), for the widest path (maximum capacity route). Hilpert and Miller, Adv. Water Resour.
24, 243 (2001), for drainage by spheres.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from membrane_dask.physics._jit import kernel
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.imaging.blocks import Block
from membrane_dask.physics.imaging.volume_faces import FACES, Faces
from membrane_dask.physics.union_find import root_of

#: Steps to the neighbours of a voxel: 6 across faces, then those across edges and corners.
_STEPS = np.argwhere(np.ones((3, 3, 3), bool)) - 1
_STEPS = _STEPS[np.argsort(np.abs(_STEPS).sum(axis=1), kind="stable")][1:]
#: Largest squared distance that blocks hold: pores are 4096 voxels wide at most.
_MAX_SQUARE = 1 << 24


def block_regions(
    squares: np.ndarray, block: Block, diagonal: bool = False
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Regions of a block of cubic voxels.

    Parameters
    ----------
    squares : (z, y, x) ndarray of float32
        Squared distances in the extended block, exact within one voxel of the block, from
        :func:`~membrane_dask.physics.imaging.distance.block_squared_distances`.
    block : Block
        The block and its halo.
    diagonal : bool
        Whether voxels with only a common edge or corner are connected (26 neighbours instead of 6).

    Returns
    -------
    contribution : dict of str to ndarray
        ``faces`` (n, 6) int32: largest squared distance of each region on the faces of the volume at low and high z, y
        and x; 0 without any. ``pair`` (m, 2) int32: adjacent regions; ``saddle`` (m,) int32: the squared distance at
        the saddle between them. ``boundary`` (k,) int32, ``boundary_voxel`` (k,) int64 and ``boundary_saddle``
        (k,) int32: region, voxel of the volume that is adjacent to it across the boundary of the block, and the lower
        of their squared distances. ``interface`` (l,) int64 and ``interface_region`` (l,) int32: voxels of the volume
        at the boundary of the block, and their regions.
    labels : (z, y, x) ndarray of int32
        Region of each voxel of the block, -1 in the solid.

    Raises
    ------
    PhysicsError
        If a pore is wider than 4096 voxels.
    """
    ground = block.crop(squares, 1, "constant")
    if ground.max() >= _MAX_SQUARE:
        raise PhysicsError("pores are wider than 4096 voxels: analyse the volume at a coarser resolution")
    ground = np.ascontiguousarray(ground, np.int32)
    start, shape = np.array(block.start, np.int64), np.array(block.shape, np.int64)
    steps = _STEPS[: 26 if diagonal else 6]
    labels, count = _ascend(ground, steps)
    faces = _face_squares(ground, labels, count, start, shape)
    forward = steps[(steps * np.array([9, 3, 1])).sum(axis=1) > 0]
    key, saddle, boundary, boundary_voxel, boundary_saddle = _saddles(ground, labels, count, forward, start, shape)
    key, saddle = _largest_by_key(key, saddle)
    inner = np.zeros(labels.shape, bool)
    inner[1:-1, 1:-1, 1:-1] = True
    interface = np.stack(np.nonzero((labels >= 0) & ~inner))
    contribution = {
        "faces": faces,
        "pair": np.stack(np.divmod(key, max(count, 1)), axis=1).astype(np.int32),
        "saddle": saddle,
        "boundary": boundary,
        "boundary_voxel": boundary_voxel,
        "boundary_saddle": boundary_saddle,
        "interface": np.ravel_multi_index(tuple(interface + start[:, None]), block.shape),
        "interface_region": labels[tuple(interface)],
    }
    return contribution, labels


@dataclass(frozen=True)
class AccessGraph:
    """Regions of a volume and the saddles between them.

    Parameters
    ----------
    first : (n_blocks + 1,) ndarray of int64
        The regions of block ``k`` are ``first[k]`` to ``first[k + 1]``.
    faces : (n, 6) ndarray of int32
        Largest squared distance of each region on the faces of the volume at low and high z, y and x; 0 without any.
    pair : (m, 2) ndarray of int64
        Adjacent regions.
    saddle : (m,) ndarray of int32
        Squared distance at the saddle between them.
    """

    first: np.ndarray
    faces: np.ndarray
    pair: np.ndarray
    saddle: np.ndarray

    @classmethod
    def merge(cls, contributions: Iterable[Mapping[str, np.ndarray]]) -> AccessGraph:
        """Merge the contributions of all blocks of a volume, in the order of the blocks.

        Raises
        ------
        ValueError
            If blocks are missing.
        """
        faces, pairs, saddles, across, voxels, interface, regions = [], [], [], [], [], [], []
        first = [0]
        for block in contributions:
            faces.append(block["faces"])
            pairs.append(block["pair"] + np.int64(first[-1]))
            across.append(block["boundary"] + np.int64(first[-1]))
            voxels.append(block["boundary_voxel"])
            saddles += [block["saddle"], block["boundary_saddle"]]
            interface.append(block["interface"])
            regions.append(block["interface_region"] + np.int64(first[-1]))
            first.append(first[-1] + len(block["faces"]))
        voxel, neighbour = np.concatenate(interface), np.concatenate(voxels)
        order = np.argsort(voxel)
        index = np.minimum(np.searchsorted(voxel, neighbour, sorter=order), max(len(voxel) - 1, 0))
        if len(neighbour) and not (len(voxel) and (voxel[order[index]] == neighbour).all()):
            raise ValueError("contributions: those of some blocks are missing")
        other = np.concatenate(regions)[order[index]] if len(neighbour) else neighbour
        boundary = np.stack([np.concatenate(across), other], axis=1)
        pair = np.concatenate([*pairs, boundary])
        within, beyond = saddles[::2], saddles[1::2]
        return cls(np.array(first), np.concatenate(faces), pair, np.concatenate([*within, *beyond]))

    def access(self, faces: Faces = "inlet") -> np.ndarray:
        """Squared access radius of every region from some faces of the volume.

        Parameters
        ----------
        faces : {"inlet", "outlet", "both", "all"}
            ``inlet``: the first plane of the depth; ``outlet``: the last one; ``all``: the six faces.

        Returns
        -------
        (n,) ndarray of int32
            0 where no path leads.
        """
        return widest_paths(self.pair, self.saddle, self.faces[:, FACES[faces]].max(axis=1, initial=0))

    def critical_square(self, access: np.ndarray) -> int:
        """Squared radius of the critical path: the largest access radius from the inlet in the last plane.

        Parameters
        ----------
        access : (n,) ndarray of int32
            Of :meth:`access` from the inlet.

        Returns
        -------
        int
            0 where no path leads to the outlet.
        """
        return int(np.minimum(access, self.faces[:, 1]).max(initial=0))


def voxel_access(squares: np.ndarray, labels: np.ndarray, access: np.ndarray) -> np.ndarray:
    """Squared access radius of voxels.

    Parameters
    ----------
    squares, labels : ndarray of int32
        Squared distance and region of each voxel; -1 in the solid.
    access : (n,) ndarray of int32
        Squared access radius of the regions that ``labels`` numbers.

    Returns
    -------
    ndarray of int32
        0 in the solid and where no path leads.
    """
    return np.asarray(np.minimum(squares, np.append(access, np.int32(0))[labels]))


def widest_paths(pair: np.ndarray, saddle: np.ndarray, source: np.ndarray) -> np.ndarray:
    """Bottleneck of the widest path from a source to every node of a graph.

    Parameters
    ----------
    pair : (m, 2) ndarray of int
        Nodes at the ends of each edge.
    saddle : (m,) ndarray of int
        Width of each edge, > 0.
    source : (n,) ndarray of int
        Width at which each node is entered directly; 0 where it is not.

    Returns
    -------
    (n,) ndarray of int32
        0 where no path leads.
    """
    n = len(source)
    entered = np.flatnonzero(source)
    pair = np.concatenate([pair, np.stack([np.full(len(entered), n), entered], axis=1)])
    saddle = np.concatenate([saddle, source[entered]])
    order = np.argsort(-saddle, kind="stable")
    return np.asarray(_widest_paths(pair[order], saddle[order], n))


@kernel
def _ascend(ground: Any, steps: Any) -> Any:
    """Region of every voxel of a block, which ``ground`` surrounds by one voxel, and the number of regions.

    A voxel steps to the highest neighbour within the block; among equal ones, and on plateaus, to the last one.
    """
    n_z, n_y, n_x = ground.shape[0] - 2, ground.shape[1] - 2, ground.shape[2] - 2
    parent = np.full(n_z * n_y * n_x, -1, np.int32)
    for z in range(n_z):
        for y in range(n_y):
            for x in range(n_x):
                height = ground[z + 1, y + 1, x + 1]
                if height == 0:
                    continue
                i = (z * n_y + y) * n_x + x
                best, highest = i, height
                for k in range(steps.shape[0]):
                    a, b, c = z + steps[k, 0], y + steps[k, 1], x + steps[k, 2]
                    if not (0 <= a < n_z and 0 <= b < n_y and 0 <= c < n_x):
                        continue
                    neighbour = ground[a + 1, b + 1, c + 1]
                    j = (a * n_y + b) * n_x + c
                    if neighbour > highest or (neighbour == highest and j > best):
                        best, highest = j, neighbour
                parent[i] = best
    labels, count = np.full(parent.size, -1, np.int32), 0
    for i in range(parent.size):
        if parent[i] == i:
            labels[i] = count
            count += 1
    for i in range(parent.size):
        if parent[i] >= 0:
            labels[i] = labels[root_of(parent, i)]
    return labels.reshape((n_z, n_y, n_x)), count


@kernel
def _face_squares(ground: Any, labels: Any, count: int, start: Any, shape: Any) -> Any:
    """Largest squared distance of each region on the six faces of the volume."""
    faces = np.zeros((count, 6), np.int32)
    for z in range(labels.shape[0]):
        for y in range(labels.shape[1]):
            for x in range(labels.shape[2]):
                k = labels[z, y, x]
                if k < 0:
                    continue
                position = (z + start[0], y + start[1], x + start[2])
                for axis in range(3):
                    if position[axis] == 0:
                        faces[k, 2 * axis] = max(faces[k, 2 * axis], ground[z + 1, y + 1, x + 1])
                    if position[axis] == shape[axis] - 1:
                        faces[k, 2 * axis + 1] = max(faces[k, 2 * axis + 1], ground[z + 1, y + 1, x + 1])
    return faces


@kernel
def _saddles(ground: Any, labels: Any, count: int, forward: Any, start: Any, shape: Any) -> Any:
    """Pairs of adjacent voxels of two regions, within the block and across its boundary, and the lower distance."""
    n_z, n_y, n_x = labels.shape
    n_within, n_across = 0, 0
    key, saddle = np.empty(0, np.int64), np.empty(0, np.int32)
    boundary, voxel, across = np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.int32)
    for fill in range(2):  # the first pass counts them
        if fill == 1:
            key, saddle = np.empty(n_within, np.int64), np.empty(n_within, np.int32)
            boundary, voxel = np.empty(n_across, np.int32), np.empty(n_across, np.int64)
            across = np.empty(n_across, np.int32)
            n_within, n_across = 0, 0
        for z in range(n_z):
            for y in range(n_y):
                for x in range(n_x):
                    label = labels[z, y, x]
                    if label < 0:
                        continue
                    for k in range(forward.shape[0]):
                        a, b, c = z + forward[k, 0], y + forward[k, 1], x + forward[k, 2]
                        square = min(ground[z + 1, y + 1, x + 1], ground[a + 1, b + 1, c + 1])
                        if square == 0:
                            continue
                        if a < n_z and 0 <= b < n_y and 0 <= c < n_x:
                            neighbour = labels[a, b, c]
                            if neighbour == label:
                                continue
                            if fill == 1:
                                key[n_within] = np.int64(min(label, neighbour)) * count + max(label, neighbour)
                                saddle[n_within] = square
                            n_within += 1
                        else:
                            if fill == 1:
                                boundary[n_across], across[n_across] = label, square
                                voxel[n_across] = ((a + start[0]) * shape[1] + b + start[1]) * shape[2] + c + start[2]
                            n_across += 1
    return key, saddle, boundary, voxel, across


def _largest_by_key(key: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Keys, rising, and the largest value of each."""
    if not len(key):
        return key, values
    order = np.argsort(key, kind="stable")
    ordered = key[order]
    first = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    return ordered[first], np.maximum.reduceat(values[order], first)


@kernel
def _widest_paths(pair: Any, saddle: Any, source: int) -> Any:
    """Bottleneck of the widest path from the node ``source`` to all with lower numbers; edges in falling order.

    The nodes that are connected by edges so far form circular lists. When one of them is joined to the source, the
    edge that joins it is the bottleneck of all its nodes.
    """
    access = np.zeros(source, np.int32)
    parent, following = np.arange(source + 1), np.arange(source + 1)
    for e in range(saddle.size):
        a, b = root_of(parent, pair[e, 0]), root_of(parent, pair[e, 1])
        if a == b:
            continue
        entered = root_of(parent, source)
        if entered in (a, b):
            joined = b if entered == a else a
            node = joined
            while True:
                access[node] = saddle[e]
                node = following[node]
                if node == joined:
                    break
        parent[max(a, b)] = min(a, b)
        following[a], following[b] = following[b], following[a]
    return access
