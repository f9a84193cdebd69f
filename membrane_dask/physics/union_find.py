"""Disjoint sets (union-find) for connected components, and lists of their members."""

from __future__ import annotations

import numpy as np

from membrane_dask.physics._jit import kernel, part


@part
def root_of(parent, i):
    """Root of a tree of parents, whose ways are halved on the way."""
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@part
def join(parent, i, j):
    """Put the trees of two together, under the smaller root."""
    a, b = root_of(parent, i), root_of(parent, j)
    if a < b:
        parent[b] = a
    elif b < a:
        parent[a] = b


@part
def numbered(parent):
    """Number of each one's tree, in the order of their roots, and how many trees there are."""
    found, count = np.empty(parent.size, np.int32), 0
    for i in range(parent.size):
        root = root_of(parent, i)
        if root == i:  # the smallest of a tree is its root
            found[i] = count
            count += 1
        else:
            found[i] = found[root]
    return found, count


@kernel
def cells_of(beside, places, shift):
    """Groups of voxels that are connected within cubic cells of ``2 ** shift`` voxels, and how many there are."""
    n = places.shape[0]
    parent = np.empty(n, np.int32)
    for i in range(n):
        parent[i] = i
        for axis in range(3):
            j = beside[i, 2 * axis]
            if j < i and places[i, axis] >> shift == places[j, axis] >> shift:
                join(parent, i, j)
    return numbered(parent)


@kernel
def members_of(group, count):
    """Where the members of each group begin in a list of all, and the list."""
    begin = np.zeros(count + 1, np.int64)
    for i in range(group.size):
        begin[group[i] + 1] += 1
    for k in range(count):
        begin[k + 1] += begin[k]
    at, found = begin[:-1].copy(), np.empty(group.size, np.int32)
    for i in range(group.size):
        found[at[group[i]]] = i
        at[group[i]] += 1
    return begin, found
