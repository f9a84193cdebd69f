"""Two-phase structures cut from smoothed noise, graded in depth (Chamani).

Gaussian fields are blended along the depth, cut at the level that gives the porosity, and narrow
pores are closed. The volume is a window of an infinite structure: noise outside it is generated from
its coordinates, so there is no boundary condition and no seam, and any window computed for itself
is, bit for bit, that part of every larger one.

Blocks are worked on as slabs of ``y``: smoothing along ``y`` first leaves a halo of noise only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from membrane_dask.physics._jit import kernel
from membrane_dask.physics.imaging.filters import LINE, TILE, closed_rows, pack_rows, scratch, smooth_row, taps_of
from membrane_dask.physics.reconstruction.noise import fill_plane, split_key

#: A field with less than this share of the deviation changes nothing that could be seen.
_NEGLIGIBLE = 1e-3
#: Planes that are smoothed in one lot.
_ROOM = 128
#: Planes whose field is held in memory at a time, so that a membrane may be as deep as it likes.
_LOT = 1024
#: The rough field is this much finer than the one it roughens.
_FINER = 0.4


@dataclass(frozen=True, kw_only=True)
class Structure:
    """What all structures have in common; lengths in voxels.

    A structure is a sum of Gaussian fields, below whose level are pores. All depend on the depth.

    Parameters
    ----------
    closing_radius : float
        Radius, >= 0, of the ball that closes the solid; only its square's whole part counts.
    closing_depth : float
        Share of the depth, in [0, 1], above which nothing is closed.
    truncate : float
        Half-width of the kernels in standard deviations, > 0.
    """

    closing_radius: float = 0.0
    closing_depth: float = 0.0
    truncate: float = 4.0

    def __post_init__(self) -> None:
        if not 0 < self.truncate < math.inf:
            raise ValueError(f"truncate: must be greater than 0 (got {self.truncate})")
        if not 0 <= self.closing_radius < math.inf:
            raise ValueError(f"closing_radius: must be at least 0 (got {self.closing_radius})")
        if not 0 <= self.closing_depth <= 1:
            raise ValueError(f"closing_depth: must lie in [0, 1] (got {self.closing_depth})")

    @property
    def closing_square(self) -> int:
        """Squared radius of the digital ball: voxels with ``d**2`` up to it belong to the ball."""
        return math.floor(self.closing_radius**2 + 1e-9)

    @property
    def widest(self) -> float:
        """Largest width of any field at any depth."""
        raise NotImplementedError

    def sigmas(self, height: np.ndarray) -> np.ndarray:
        """Widths of the fields, shape ``(n_fields, n)``, at depths given as shares of the whole."""
        raise NotImplementedError

    def weights(self, height: np.ndarray) -> np.ndarray:
        """Standard deviation that each field contributes, shape ``(n_fields, n)``."""
        raise NotImplementedError

    def levels(self, height: np.ndarray) -> np.ndarray:
        """Level below which pores are, shape ``(n,)``."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class TwoLayers(Structure):
    """A fine field that gives way to a coarse one below the skin: the paper's model.

    Parameters
    ----------
    sigma_1, sigma_2 : float
        Standard deviations, > 0, of the kernels that smooth the fine and the coarse field.
    porosity : float
        Pore fraction before closing, in (0, 1).
    blend_power : float
        The fine field's weight is ``(1 - z/H)**blend_power``, > 0.
    keep_variance : bool
        Whether the blend is divided by its standard deviation, without which the porosity dips between
        the layers; then ``porosity`` is that of every depth, else of the whole.
    """

    sigma_1: float = 1.0
    sigma_2: float = 1.0
    porosity: float = 0.5
    blend_power: float = 10.0
    keep_variance: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("sigma_1", "sigma_2", "blend_power"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name}: must be greater than 0 (got {getattr(self, name)})")
        if not 0 < self.porosity < 1:
            raise ValueError(f"porosity: must lie between 0 and 1 (got {self.porosity})")

    @property
    def widest(self) -> float:
        """The coarser field's width, as a rule."""
        return max(self.sigma_1, self.sigma_2)

    def sigmas(self, height: np.ndarray) -> np.ndarray:
        """Constant widths."""
        return np.stack([np.full(len(height), self.sigma_1), np.full(len(height), self.sigma_2)])

    def weights(self, height: np.ndarray) -> np.ndarray:
        """Shares of the blend."""
        fine = (1 - height) ** self.blend_power
        shares = np.stack([fine, 1 - fine])
        return shares / np.sqrt(fine**2 + (1 - fine) ** 2) if self.keep_variance else shares

    def levels(self, height: np.ndarray) -> np.ndarray:
        """One level for all depths."""
        level = float(ndtri(self.porosity))
        if not self.keep_variance:
            deviation = np.sqrt((self.weights(np.linspace(0, 1, 1001)) ** 2).sum(axis=0))
            level = brentq(lambda t: ndtr(t / deviation).mean() - self.porosity, -10.0, 10.0)
        return np.full(len(height), level)


@dataclass(frozen=True, kw_only=True)
class Graded(Structure):
    """One field whose width and porosity change steadily with depth.

    Parameters
    ----------
    knots : tuple of float
        Depths, as shares of the whole, rising from 0 to 1; a single one for a structure alike at all depths.
    sigma : tuple of float
        Standard deviation of the smoothing kernel at each knot, > 0; its logarithm is linear between.
    porosity : tuple of float
        Pore fraction before closing at each knot, in (0, 1); its normal quantile is linear between.
    roughness : float
        Share of the variance, in [0, 1), of a second field 0.4 times as wide, which roughens the walls.
    """

    knots: tuple[float, ...] = (0.0,)
    sigma: tuple[float, ...] = (1.0,)
    porosity: tuple[float, ...] = (0.5,)
    roughness: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        rising = all(a < b for a, b in zip(self.knots, self.knots[1:], strict=False))
        if not self.knots or not rising or not all(0 <= knot <= 1 for knot in self.knots):
            raise ValueError(f"knots: must rise within [0, 1] (got {self.knots})")
        for name in ("sigma", "porosity"):
            values = getattr(self, name)
            if len(values) != len(self.knots):
                raise ValueError(f"{name}: must have a value for each of {len(self.knots)} knots (got {values})")
        if not all(0 < sigma < math.inf for sigma in self.sigma):
            raise ValueError(f"sigma: must be greater than 0 (got {self.sigma})")
        if not all(0 < porosity < 1 for porosity in self.porosity):
            raise ValueError(f"porosity: must lie between 0 and 1 (got {self.porosity})")
        if not 0 <= self.roughness < 1:
            raise ValueError(f"roughness: must lie in [0, 1) (got {self.roughness})")

    @property
    def widest(self) -> float:
        """Width at one of the knots."""
        return max(self.sigma)

    def sigmas(self, height: np.ndarray) -> np.ndarray:
        """Width of the field and of the finer one."""
        sigma = np.exp(np.interp(height, self.knots, np.log(self.sigma)))
        return np.stack([sigma, _FINER * sigma][: 2 if self.roughness else 1])

    def weights(self, height: np.ndarray) -> np.ndarray:
        """Constant shares."""
        shares = [math.sqrt(1 - self.roughness), math.sqrt(self.roughness)][: 2 if self.roughness else 1]
        return np.stack([np.full(len(height), share) for share in shares])

    def levels(self, height: np.ndarray) -> np.ndarray:
        """Quantile of the porosity at each depth."""
        return np.asarray(np.interp(height, self.knots, ndtri(self.porosity)))


def smoothed_sd(taps: np.ndarray) -> float:
    """Standard deviation of uniform noise on a unit interval after smoothing along three axes."""
    squares = taps.astype(float) ** 2
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
    Every field is divided by its analytic standard deviation at every depth, so that no pass over the
    whole volume is needed. The closing is the solid's, by a digital ball.
    """
    halo = 2 * math.isqrt(structure.closing_square)
    result = np.empty(shape, np.uint8)
    for done in range(0, shape[0], _LOT):
        now = min(_LOT, shape[0] - done)
        wide_start = (start[0] + done - halo, start[1] - halo, start[2] - halo)
        wide_shape = (now + 2 * halo, shape[1] + 2 * halo, shape[2] + 2 * halo)
        field = gaussian_field(structure, depth=depth, start=wide_start, shape=wide_shape, seed=seed)
        result[done : done + now] = cut(structure, field, depth=depth, z_start=wide_start[0])
    return result


def gaussian_field(
    structure: Structure,
    *,
    depth: int,
    start: tuple[int, int, int],
    shape: tuple[int, int, int],
    seed: int,
    period: int = 0,
) -> np.ndarray:
    """The field that is cut into a structure, in a window.

    Parameters
    ----------
    structure, depth, start, shape, seed
        As of :func:`block`.
    period : int
        If greater than 0, the field repeats along ``y`` after so many planes.

    Returns
    -------
    ndarray of float32, shape ``(y, z, x)``
    """
    n_z, n_y, n_x = shape
    z0, y0, x0 = start
    key = split_key(seed)
    field = np.zeros((n_y, n_z, n_x), np.float32)
    weights = structure.weights(_height(np.arange(z0, z0 + n_z), depth))
    # Kernels reach planes beyond; how far depends on how wide they are there.
    most = _reach(structure)
    sigmas = structure.sigmas(_height(np.arange(z0 - most, z0 + n_z + most), depth))
    for number, (sigma, weight) in enumerate(zip(sigmas, weights, strict=True)):
        planes = np.flatnonzero(np.abs(weight) > _NEGLIGIBLE)
        if not planes.size:
            continue
        first, end = planes[0], planes[-1] + 1
        taps, reach = taps_of(sigma[first : end + 2 * most], structure.truncate)
        widest = int(reach.max())
        inner = slice(most - widest, most + widest + end - first)
        taps, reach = taps[inner], reach[inner]
        scale = (weight[first:end] / _smoothed_deviation(taps, reach)).astype(np.float32)
        room = (scratch(shape) for shape in _scratch_shapes(n_y, end - first, n_x, widest))
        _add_smoothed(field[:, first:end], taps, reach, scale, key, number, z0 + first, y0, x0, period, *room)
    return field


def _reach(structure: Structure) -> int:
    """How far the widest kernel reaches; one more, as a width between knots is rounded."""
    return int(structure.truncate * structure.widest + 0.5) + 1


def _height(z: np.ndarray, depth: int) -> np.ndarray:
    """Depth of planes as a share of the whole; beyond the faces that of the face."""
    return np.asarray(np.clip(z, 0, depth - 1) / max(depth - 1, 1))


def _smoothed_deviation(taps: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """Standard deviation of uniform noise smoothed in every plane by its own kernel, then along z by the middle's."""
    squares = taps.astype(float).T ** 2
    widest = len(squares) - 1
    n = squares.shape[1] - 2 * widest
    in_plane = (squares[0] + 2 * np.add.reduce(squares[1:], axis=0)) ** 2
    along = squares[:, widest : widest + n]
    total = along[0] * in_plane[widest : widest + n]
    for k in range(1, widest + 1):
        total = total + along[k] * (in_plane[widest - k : widest - k + n] + in_plane[widest + k : widest + k + n])
    return np.sqrt(total / 12)


def cut(structure: Structure, field: np.ndarray, *, depth: int, z_start: int) -> np.ndarray:
    """Cut a field at the structure's levels and close narrow pores.

    Parameters
    ----------
    structure : Structure
        Only its levels and its closing are used.
    field : (y, z, x) ndarray of float32
        Field of a window that is wider than the result by twice the closing radius on each side.
    depth : int
        Depth of the whole membrane.
    z_start : int
        First plane of the field.

    Returns
    -------
    ndarray of uint8, ``(z, y, x)``
        0 in pores, 255 in the solid.
    """
    n_y, n_z, n_x = field.shape
    square = structure.closing_square
    radius = math.isqrt(square)
    halo = 2 * radius
    levels = structure.levels(_height(np.arange(z_start, z_start + n_z), depth)).astype(np.float32)
    solid = np.empty((n_y, n_z, -(-n_x // 64)), np.uint64)
    for y in range(n_y):
        solid[y] = pack_rows(field[y] >= levels[:, None], n_x)
    open_planes = min(max(math.ceil(structure.closing_depth * depth) - z_start, 0), n_z)
    if square and open_planes < n_z - halo:
        closed = closed_rows(solid, square)
        closed[:, :open_planes] = solid[:, :open_planes]
        solid = closed
    out = np.empty((n_z - 2 * halo, n_y - 2 * halo, n_x - 2 * halo), np.uint8)
    for y in range(out.shape[1]):
        rows = solid[y + halo, halo : n_z - halo].view(np.uint8)
        bits = np.unpackbits(rows, axis=-1, count=n_x - halo, bitorder="little")
        np.multiply(bits[:, halo:], 255, out=out[:, y])
    return out


def _scratch_shapes(n_y: int, n_z: int, n_x: int, most: int) -> tuple[tuple[int, int], tuple[int, int, int]]:
    """Noise of one plane and smoothed planes, with the reach of the kernels, for a field of this size."""
    noise = (n_y + 2 * most, -(-(n_x + 2 * most) // LINE) * LINE)
    return noise, (n_y, min(n_z, _ROOM) + 2 * most, -(-n_x // LINE) * LINE)


def working_bytes(structure: Structure, shape: tuple[int, int, int]) -> int:
    """Peak memory of :func:`block` for a window of this shape, in bytes."""
    halo = 2 * math.isqrt(structure.closing_square)
    n_z, n_y, n_x = (n + 2 * halo for n in (min(shape[0], _LOT), *shape[1:]))
    noise, planes = _scratch_shapes(n_y, n_z, n_x, _reach(structure))
    smoothed = 4 * (math.prod(noise) + math.prod(planes) + n_y * noise[1])
    # Bits of the solid, of the result and of what lies between.
    bits = n_y * n_z * 8 * -(-n_x // 64)
    lot = min(shape[0], _LOT) * shape[1] * shape[2]
    return math.prod(shape) + 4 * n_z * n_y * n_x + max(smoothed, 4 * bits + lot)


@kernel
def _add_smoothed(field, taps, reach, scale, key, number, z0, y0, x0, period, noise, planes):
    """Smooth noise along y, x and z and add it, times each plane's scale, to ``field`` ``(y, z, x)``.

    In the plane noise is smoothed by the kernel of its own depth, along the depth by that of the result.
    ``noise`` and ``planes`` are scratch of :func:`scratch`: rows of whole cache lines, worked on in tiles
    whose neighbours along y or z stay in the nearest cache.
    """
    n_y, n_z, n_x = field.shape
    most = taps.shape[1] - 1
    wide, stride = noise.shape[1], planes.shape[2]
    room = planes.shape[1] - 2 * most
    flat_noise = noise.reshape(-1)
    rows = np.empty((n_y, wide), np.float32)
    result = np.empty(TILE, np.float32)
    for done in range(0, n_z, room):
        now = min(room, n_z - done)
        kept = 2 * most if done > 0 else 0
        for y in range(n_y):
            for j in range(kept):  # planes that the last lot has smoothed already
                planes[y, j] = planes[y, room + j]
        for j in range(kept, now + 2 * most):
            z = done + j
            r = reach[z]
            window = noise[most - r : most + n_y + r, : n_x + 2 * most]
            fill_plane(window, key, number, z0 - most + z, y0 - r, x0 - most, period)
            for x in range(0, n_x + 2 * most, TILE):
                end = min(x + TILE, n_x + 2 * most)
                for y in range(n_y):
                    smooth_row(rows[y, x:end], flat_noise, (y + most) * wide + x, wide, taps[z], r)
            for y in range(n_y):
                smooth_row(planes[y, j, :n_x], rows[y], most, 1, taps[z], r)
        for y in range(n_y):
            flat = planes[y].reshape(-1)
            for x in range(0, n_x, TILE):
                end = min(x + TILE, n_x)
                for j in range(now):
                    z = done + j
                    smooth_row(
                        result[: end - x], flat, (j + most) * stride + x, stride, taps[z + most], reach[z + most]
                    )
                    target, s = field[y, z, x:end], scale[z]
                    for i in range(end - x):
                        target[i] += s * result[i]
