"""Hysteresis threshold of a volume by windows: pore voxels that are connected to the core of a pore nearby."""

from __future__ import annotations

from typing import Any

import numpy as np

from membrane_dask.physics._jit import kernel

#: Longest path, voxels, from the core of a pore to a voxel of that pore.
REACH = 16


def connected_to_core(candidates: np.ndarray, core: np.ndarray) -> np.ndarray:
    """Candidates that a path of at most :data:`REACH` steps across faces joins with a core, through candidates.

    Parameters
    ----------
    candidates, core : (z, y, x) ndarray of bool
        Wider than the result by :data:`REACH` on every side.

    Returns
    -------
    (z, y, x) ndarray of bool

    Notes
    -----
    The hysteresis threshold of an image joins a pore with a core at any distance, which no window shows. Both differ
    only in pores that stay without a core over more than twice the reach.
    """
    reached = core & candidates
    queue = np.empty(int(candidates.sum()), np.int64)
    _grow(candidates, reached, queue)
    inner = tuple(slice(REACH, n - REACH) for n in candidates.shape)
    return np.ascontiguousarray(reached[inner])


@kernel
def _grow(candidates: Any, reached: Any, queue: Any) -> None:
    """Breadth-first search from all cores at once, one step of the path after the other."""
    n_z, n_y, n_x = candidates.shape
    per_plane = n_y * n_x
    allowed, joined = candidates.reshape(-1), reached.reshape(-1)
    begin, end = 0, 0
    for i in range(joined.size):
        if joined[i]:
            queue[end] = i
            end += 1
    for _ in range(REACH):
        last = end
        for k in range(begin, last):
            i = queue[k]
            z, rest = i // per_plane, i % per_plane
            y, x = rest // n_x, rest % n_x
            for axis in range(6):
                if axis == 0:
                    inside, j = z > 0, i - per_plane
                elif axis == 1:
                    inside, j = z < n_z - 1, i + per_plane
                elif axis == 2:
                    inside, j = y > 0, i - n_x
                elif axis == 3:
                    inside, j = y < n_y - 1, i + n_x
                elif axis == 4:
                    inside, j = x > 0, i - 1
                else:
                    inside, j = x < n_x - 1, i + 1
                if inside and allowed[j] and not joined[j]:
                    joined[j] = True
                    queue[end] = j
                    end += 1
        begin = last
