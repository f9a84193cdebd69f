"""Pores that connect a periodic cell with its images: only these carry flow and diffusion through a periodic medium."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class WindingPores:
    """Connected pores of a periodic medium that lead from a cell to another image of it.

    Parameters
    ----------
    cluster : (z, y, x) ndarray of int32
        Number of the cluster of every pore voxel, from 1; 0 in the solid, and in pores that do not leave their cell or
        return to the same image of it.
    spans : (3,) ndarray of bool
        Whether paths lead to images that are displaced along each axis.
    """

    cluster: np.ndarray
    spans: np.ndarray

    @property
    def pores(self) -> np.ndarray:
        """Pore voxels of all clusters, ``(z, y, x)`` bool."""
        return np.asarray(self.cluster > 0)


def winding_pores(pores: np.ndarray) -> WindingPores:
    """Find the pores through which a medium with a periodic cell conducts.

    Parameters
    ----------
    pores : (z, y, x) ndarray of bool
        Pore voxels of the cell, which is repeated along all axes; connected across faces.

    Returns
    -------
    WindingPores

    Notes
    -----
    Every component of the cell is given an offset, the image of the cell in which it is when the component that the
    search started from is in the image 0. A contact across a face of the cell whose offsets do not agree closes a path
    to another image of the same pores.
    """
    import cc3d

    labels, count = cc3d.connected_components(pores, connectivity=6, return_N=True)
    contacts: list[list[tuple[int, int, int]]] = [[] for _ in range(count + 1)]  # component, axis, step
    for axis in range(3):
        last, first = labels.take(-1, axis).ravel(), labels.take(0, axis).ravel()
        both = (last > 0) & (first > 0)
        for a, b in np.unique(np.stack([last[both], first[both]]), axis=1).T.tolist():
            contacts[a].append((b, axis, 1))
            contacts[b].append((a, axis, -1))
    cluster_of, spans = np.zeros(count + 1, np.int32), np.zeros(3, bool)
    offsets: dict[int, tuple[int, ...]] = {}
    n_clusters = 0
    for start in range(1, count + 1):
        if start in offsets:
            continue
        offsets[start] = (0, 0, 0)
        queue, members, winding = deque([start]), [start], np.zeros(3, bool)
        while queue:
            a = queue.popleft()
            for b, axis, step in contacts[a]:
                offset = tuple(value + step * (k == axis) for k, value in enumerate(offsets[a]))
                if b not in offsets:
                    offsets[b] = offset
                    queue.append(b)
                    members.append(b)
                winding |= np.array(offset) != np.array(offsets[b])
        if winding.any():
            n_clusters += 1
            cluster_of[members] = n_clusters
            spans |= winding
    return WindingPores(cluster_of[labels], spans)
