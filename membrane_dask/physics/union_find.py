"""Connected components by disjoint sets (union-find), and lists of their members."""

from __future__ import annotations

import numpy as np

from membrane_dask.physics._jit import inline_kernel, kernel


@inline_kernel
def root_of(parent: np.ndarray, i: int) -> int:
    """Root of the tree that contains ``i``; halves the paths of the tree that it follows."""
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@inline_kernel
def join(parent: np.ndarray, i: int, j: int) -> None:
    """Merge the trees that contain ``i`` and ``j``; the smaller root remains."""
    a, b = root_of(parent, i), root_of(parent, j)
    if a < b:
        parent[b] = a
    elif b < a:
        parent[a] = b


@inline_kernel
def component_labels(parent: np.ndarray) -> tuple[np.ndarray, int]:
    """Label of the tree that contains each element, in the order of the roots, and the number of trees."""
    labels, count = np.empty(parent.size, np.int32), 0
    for i in range(parent.size):
        root = root_of(parent, i)
        if root == i:  # the smallest element of a tree is its root
            labels[i] = count
            count += 1
        else:
            labels[i] = labels[root]
    return labels, count


@kernel
def cell_components(neighbours: np.ndarray, coordinates: np.ndarray, shift: int) -> tuple[np.ndarray, int]:
    """Label voxels that are connected within cubic cells.

    Parameters
    ----------
    neighbours : (n, 6) ndarray of int32
        Neighbours of each voxel across the faces at low and high ``z, y, x``; ``n`` or larger where there is none.
    coordinates : (n, 3) ndarray of int16
        Indices ``z, y, x`` of the voxels.
    shift : int
        Edge of a cell is ``2 ** shift`` voxels.

    Returns
    -------
    labels : (n,) ndarray of int32
        Component of each voxel, from 0 on.
    count : int
        Number of components.
    """
    n = coordinates.shape[0]
    parent = np.empty(n, np.int32)
    for i in range(n):
        parent[i] = i
        for axis in range(3):
            j = neighbours[i, 2 * axis]
            if j < i and coordinates[i, axis] >> shift == coordinates[j, axis] >> shift:
                join(parent, i, j)
    return component_labels(parent)


@kernel
def group_members(group: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """List the members of groups.

    Parameters
    ----------
    group : (n,) ndarray of int
        Group of each element, in ``range(count)``.
    count : int
        Number of groups.

    Returns
    -------
    start : (count + 1,) ndarray of int64
        Members of group ``k`` are ``members[start[k] : start[k + 1]]``.
    members : (n,) ndarray of int32
        Elements, group by group, in rising order within a group.
    """
    start = np.zeros(count + 1, np.int64)
    for i in range(group.size):
        start[group[i] + 1] += 1
    for k in range(count):
        start[k + 1] += start[k]
    position, members = start[:-1].copy(), np.empty(group.size, np.int32)
    for i in range(group.size):
        members[position[group[i]]] = i
        position[group[i]] += 1
    return start, members
