"""Streamlines of a velocity field on the voxels of a volume, for pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

#: Speed, relative to the largest one on the feed side, below which a line ends.
_SLOWEST = 1e-4
#: Largest length of a line over the depth of the volume.
_MAX_LENGTH = 20


def streamlines(
    velocity: np.ndarray, spacing: Sequence[float], count: int, *, seed: int = 0
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Streamlines from the feed side, each of which carries an equal flow.

    Parameters
    ----------
    velocity : (3, z, y, x) ndarray
        Components ``z, y, x`` at the centres of the voxels; 0 in the solid.
    spacing : (float, float, float)
        Edges of a voxel, nm.
    count : int
        Number of lines.
    seed : int
        Of the positions at which they start.

    Returns
    -------
    list of (points, speed)
        Points ``(n, 3)`` in nm, half a voxel apart, and the speed there.
    """
    rng = np.random.default_rng(seed)
    edges = np.asarray(spacing, float)
    step = 0.5 * edges.min() / edges  # in voxels
    shape = np.array(velocity.shape[1:])
    position = _inlets(velocity[0, 0], count, rng)
    if not len(position):
        return []
    slowest = _SLOWEST * float(np.sqrt(np.square(velocity[:, 0]).sum(axis=0)).max())

    def flow_at(points: np.ndarray) -> np.ndarray:
        return np.stack([ndimage.map_coordinates(v, points.T, order=1, mode="nearest") for v in velocity], axis=1)

    tracks, speeds = [], []
    is_inside = np.ones(count, bool)
    for _ in range(2 * _MAX_LENGTH * int(shape[0])):
        flow = flow_at(position)
        speed = np.sqrt(np.square(flow).sum(axis=1))
        is_inside &= (speed > slowest) & ((position >= -0.5) & (position <= shape - 0.5)).all(axis=1)
        if not is_inside.any():
            break
        tracks.append(np.where(is_inside[:, np.newaxis], position, np.nan))
        speeds.append(np.where(is_inside, speed, np.nan))
        # The midpoint rule along the direction of the flow.
        middle = flow_at(position + 0.5 * step * flow / np.maximum(speed, slowest)[:, np.newaxis])
        norm = np.sqrt(np.square(middle).sum(axis=1, keepdims=True))
        position = position + step * middle / np.maximum(norm, slowest)
    lines = []
    for track, speed in zip(np.swapaxes(tracks, 0, 1), np.transpose(speeds), strict=True):
        valid = np.isfinite(speed)
        if valid.sum() > 1:
            lines.append(((track[valid] + 0.5) * edges, speed[valid]))
    return lines


def _inlets(inflow: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Positions in the first plane, in voxels, that divide the inflow equally; in a random order of the voxels."""
    shape = inflow.shape
    inflow = np.clip(inflow, 0, None).astype(float).ravel()
    order = rng.permutation(inflow.size)
    cumulative = np.cumsum(inflow[order])
    if not cumulative[-1] > 0:
        return np.zeros((0, 3))
    fractions = (np.arange(count) + rng.random(count)) / count
    chosen = order[np.minimum(np.searchsorted(cumulative, fractions * cumulative[-1]), inflow.size - 1)]
    y, x = np.unravel_index(chosen, shape)
    offset = rng.random((2, count)) - 0.5
    return np.stack([np.zeros(count), y + offset[0], x + offset[1]], axis=1)
