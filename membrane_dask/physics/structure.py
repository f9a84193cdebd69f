"""Two-phase structures cut from smoothed noise, graded in depth (Chamani).

A fine and a coarse Gaussian field are blended along the depth, cut at the level that gives the
porosity, and narrow pores are closed. The volume is a window of an infinite structure: noise
outside it is generated from its coordinates, so there is no boundary condition and no seam, and any
window computed for itself is, bit for bit, that part of every larger one.

Blocks are worked on as slabs of ``y``: smoothing along ``y`` first leaves a halo of noise only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from membrane_dask.physics._jit import kernel
from membrane_dask.physics.noise import fill_plane, split_key


@dataclass(frozen=True)
class Structure:
    """What a structure is made of; lengths in voxels.

    Parameters
    ----------
    sigma_1, sigma_2 : float
        Standard deviations, > 0, of the kernels that smooth the fine and the coarse field.
    porosity : float
        Pore fraction before closing, in (0, 1).
    closing_radius : float
        Radius, >= 0, of the ball that closes the solid; only its square's whole part counts.
    blend_power : float
        The fine field's weight is ``(1 - z/H)**blend_power``, > 0.
    closing_depth : float
        Share of the depth, in [0, 1], above which nothing is closed.
    truncate : float
        Half-width of the kernels in standard deviations, > 0.
    """

    sigma_1: float
    sigma_2: float
    porosity: float
    closing_radius: float = 0.0
    blend_power: float = 10.0
    closing_depth: float = 0.25
    truncate: float = 4.0

    def __post_init__(self) -> None:
        for name in ("sigma_1", "sigma_2", "blend_power", "truncate"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name}: must be greater than 0 (got {getattr(self, name)})")
        if not 0 < self.porosity < 1:
            raise ValueError(f"porosity: must lie between 0 and 1 (got {self.porosity})")
        if not 0 <= self.closing_radius < math.inf:
            raise ValueError(f"closing_radius: must be at least 0 (got {self.closing_radius})")
        if not 0 <= self.closing_depth <= 1:
            raise ValueError(f"closing_depth: must lie in [0, 1] (got {self.closing_depth})")

    @property
    def closing_square(self) -> int:
        """Squared radius of the digital ball: voxels with ``d**2`` up to it belong to the ball."""
        return math.floor(self.closing_radius**2 + 1e-9)

    def fine_weight(self, z: np.ndarray, depth: int) -> np.ndarray:
        """Weight of the fine field at plane ``z``; beyond the faces that of the face."""
        up = (depth - 1 - np.clip(z, 0, depth - 1)) / max(depth - 1, 1)
        return np.asarray(up**self.blend_power)


def kernel_weights(sigma: float, truncate: float) -> np.ndarray:
    """Centre and one side of a sampled Gaussian that sums to 1, float32."""
    radius = int(truncate * sigma + 0.5)
    weights = np.exp(-0.5 * (np.arange(radius + 1) / sigma) ** 2)
    return np.asarray(weights / (weights[0] + 2 * weights[1:].sum()), np.float32)


def smoothed_sd(weights: np.ndarray) -> float:
    """Standard deviation of uniform noise on a unit interval after smoothing along three axes."""
    squares = weights.astype(float) ** 2
    return math.sqrt((squares[0] + 2 * squares[1:].sum()) ** 3 / 12)


def block(
    structure: Structure,
    *,
    depth: int,
    start: tuple[int, int, int],
    shape: tuple[int, int, int],
    seed: int,
) -> np.ndarray:
    """Compute a window of a structure.

    Parameters
    ----------
    structure : Structure
        What it is made of.
    depth : int
        Depth of the whole membrane in voxels, which the gradients refer to, >= 1.
    start, shape : tuple of int
        First voxel and number of voxels, ``(z, y, x)``. Need not lie inside the membrane: beyond the
        faces the structure goes on as at the face.
    seed : int
        Key of the noise, ``0 <= seed < 2**64``.

    Returns
    -------
    ndarray of uint8, shape ``shape``
        0 in pores, 255 in the solid.

    Notes
    -----
    The blend keeps its variance, ``(W A_1 + (1-W) A_2) / sqrt(W^2 + (1-W)^2)`` with both fields
    divided by their analytic standard deviations, so the porosity does not dip between the layers
    and no pass over the whole volume is needed. The closing is the solid's, by a digital ball, and
    stands only from ``closing_depth`` down.
    """
    key = split_key(seed)
    square = structure.closing_square
    first_closed = math.ceil(structure.closing_depth * depth)
    if start[0] + shape[0] <= first_closed:
        square = 0
    halo = 2 * math.isqrt(square)
    n_z, n_y, n_x = (n + 2 * halo for n in shape)
    z0, y0, x0 = (s - halo for s in start)

    weight = structure.fine_weight(np.arange(z0, z0 + n_z), depth)
    scale = np.sqrt(weight**2 + (1 - weight) ** 2)
    field = np.zeros((n_y, n_z, n_x), np.float32)
    for number, (sigma, share) in enumerate(((structure.sigma_1, weight), (structure.sigma_2, 1 - weight))):
        taps = kernel_weights(sigma, structure.truncate)
        parts = (share / scale / smoothed_sd(taps)).astype(np.float32)
        _add_smoothed(field, taps, parts, key, number, z0, y0, x0)

    solid = (field >= np.float32(ndtri(structure.porosity))).view(np.uint8)
    del field
    inner = (slice(halo, halo + shape[1]), slice(halo, halo + shape[0]), slice(halo, halo + shape[2]))
    result = solid[inner]
    if square:
        closed = _dilate(1 - _dilate(solid, square), square)
        keep = np.arange(start[0], start[0] + shape[0]) >= first_closed
        result = np.where(keep[None, :, None], 1 - closed, result)
    return np.ascontiguousarray(result.transpose(1, 0, 2)) * np.uint8(255)


def working_bytes(structure: Structure, shape: tuple[int, int, int]) -> int:
    """Peak memory of :func:`block` for a window of this shape, in bytes."""
    halo = 2 * math.isqrt(structure.closing_square)
    n_z, n_y, n_x = (n + 2 * halo for n in shape)
    reach = len(kernel_weights(max(structure.sigma_1, structure.sigma_2), structure.truncate)) - 1
    scratch = 4 * n_y * (n_z + 2 * reach) * (n_x + 2 * reach)
    plane = 4 * (n_y + 2 * reach) * (n_x + 2 * reach) + 4 * n_z * (n_x + 2 * reach)
    return 4 * n_z * n_y * n_x + max(scratch + plane, 5 * n_z * n_y * n_x) + 2 * math.prod(shape)


@kernel
def _smooth_row(out, rows, middle, taps):
    """Weighted sum of neighbouring rows; the order of summation is the same in every window."""
    centre = rows[middle]
    w = taps[0]
    for i in range(out.size):
        out[i] = w * centre[i]
    for k in range(1, taps.size):
        w = taps[k]
        low = rows[middle - k]
        high = rows[middle + k]
        for i in range(out.size):
            out[i] += w * (low[i] + high[i])


@kernel
def _add_smoothed(field, taps, parts, key, number, z0, y0, x0):
    """Smooth noise along y, z and x and add it, times each plane's part, to ``field`` ``(y, z, x)``."""
    n_y, n_z, n_x = field.shape
    reach = taps.size - 1
    wide = n_x + 2 * reach
    noise = np.empty((n_y + 2 * reach, wide), np.float32)
    along_y = np.empty((n_y, n_z + 2 * reach, wide), np.float32)
    for z in range(n_z + 2 * reach):
        fill_plane(noise, key, number, z0 - reach + z, y0 - reach, x0 - reach)
        for y in range(n_y):
            _smooth_row(along_y[y, z], noise, y + reach, taps)
    along_z = np.empty(wide, np.float32)
    along_x = np.empty(n_x, np.float32)
    for y in range(n_y):
        for z in range(n_z):
            _smooth_row(along_z, along_y[y], z + reach, taps)
            w = taps[0]
            centre = along_z[reach : reach + n_x]
            for i in range(n_x):
                along_x[i] = w * centre[i]
            for k in range(1, taps.size):
                w = taps[k]
                low = along_z[reach - k : reach - k + n_x]
                high = along_z[reach + k : reach + k + n_x]
                for i in range(n_x):
                    along_x[i] += w * (low[i] + high[i])
            row = field[y, z]
            part = parts[z]
            for i in range(n_x):
                row[i] += part * along_x[i]


@kernel
def _dilate(image, square):
    """Dilate by the digital ball ``d**2 <= square``; the result lacks a margin of the ball's radius.

    Each row is widened by 0, 1, ... voxels and laid into all rows that the ball reaches from it.
    """
    radius = int(np.sqrt(square))
    n_a, n_b, n_c = image.shape
    n = n_c - 2 * radius
    out = np.zeros((n_a - 2 * radius, n_b - 2 * radius, n), np.uint8)
    wide = np.empty((radius + 1, n), np.uint8)
    for a in range(n_a):
        for b in range(n_b):
            row = image[a, b]
            wide[0] = row[radius : radius + n]
            for h in range(1, radius + 1):
                low = row[radius - h : radius - h + n]
                high = row[radius + h : radius + h + n]
                previous, here = wide[h - 1], wide[h]
                for i in range(n):
                    here[i] = previous[i] | low[i] | high[i]
            for da in range(-radius, radius + 1):
                for db in range(-radius, radius + 1):
                    left = square - da * da - db * db
                    a_out, b_out = a - radius + da, b - radius + db
                    if left >= 0 and 0 <= a_out < out.shape[0] and 0 <= b_out < out.shape[1]:
                        target = out[a_out, b_out]
                        source = wide[int(np.sqrt(left))]
                        for i in range(n):
                            target[i] |= source[i]
    return out
