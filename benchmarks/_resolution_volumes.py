"""Volumes whose permeability is known: bodies of exact flows, and fine bodies on coarser voxels.

A body is given by its indicator on fine voxels. Coarse images of it are made as tomographs make them: by the mean of
the fine voxels in each coarse one (``mean``), or after a blur of half a coarse voxel (``blur``), above 1/2.
"""

from __future__ import annotations

import csv
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from membrane_dask.physics.analytic_problems import CUBIC_DRAG


@dataclass(frozen=True)
class Case:
    """A volume and, where it is exact, its permeability.

    Parameters
    ----------
    family, name : str
        Kind of body, and the body with its resolution.
    pores : ndarray of bool
        Pore voxels.
    boundary : str
        Lateral boundary, or ``periodic_cell``.
    truth : float
        Permeability in voxels squared; NaN where a fine solution of the same body is the reference.
    step : int
        Fine voxels per voxel.
    published : tuple of float
        Published permeabilities of a block of rock along its three axes, in ascending order.
    """

    family: str
    name: str
    pores: np.ndarray
    boundary: str = "symmetric"
    truth: float = math.nan
    step: int = 1
    published: tuple[float, ...] = ()


def coarsened(fine: np.ndarray, step: int, imaging: str) -> np.ndarray:
    """Coarse image of a fine body; ``fine`` is the fraction of pores in each fine voxel."""
    values = fine.astype(np.float32)
    if imaging == "blur":
        values = ndimage.gaussian_filter(values, step / 2, mode="nearest")
    else:  # where half of a voxel is pore, its neighbours decide
        values += 1e-3 * ndimage.gaussian_filter(values, step, mode="nearest")
    edges = [n // step * step for n in values.shape]
    values = values[: edges[0], : edges[1], : edges[2]]
    blocks = values.reshape(edges[0] // step, step, edges[1] // step, step, edges[2] // step, step)
    return np.asarray(blocks.mean(axis=(1, 3, 5)) > (0.5 if imaging == "blur" else 0.5005))


def _section(inside: np.ndarray) -> np.ndarray:
    return np.repeat(inside[None], 4, axis=0)


def ducts(smoke: bool = False) -> Iterator[Case]:
    """Straight pores of constant cross-section, turned and displaced relative to the voxels."""
    rng = np.random.default_rng(5)
    for number, radius in enumerate((2.2, 2.7, 3.3, 4.1, 5.2, 6.6, 8.3, 10.4, 13.7)):
        n = 2 * math.ceil(radius) + 4
        y, x = np.meshgrid(np.arange(n) + 0.5, np.arange(n) + 0.5, indexing="ij")
        for position in range(2):
            v, u = y - n / 2 - rng.uniform(-0.5, 0.5), x - n / 2 - rng.uniform(-0.5, 0.5)
            yield Case("tube", f"{radius}-{position}", _section(v * v + u * u < radius * radius), "symmetric",
                       math.pi * radius**4 / 8 / n**2)  # fmt: skip
            angle = rng.uniform(0, math.pi / 2)
            a, b = v * math.cos(angle) + u * math.sin(angle), u * math.cos(angle) - v * math.sin(angle)
            half = radius * 0.7
            yield Case("square", f"{2 * half:.1f}-{position}", _section(np.maximum(abs(a), abs(b)) < half), "symmetric",
                       0.0351443 * (2 * half) ** 4 / n**2)  # fmt: skip
            minor = 0.5 * radius
            ellipse = (a / radius) ** 2 + (b / minor) ** 2 < 1
            exact = math.pi * radius**3 * minor**3 / (4 * (radius**2 + minor**2)) / n**2
            yield Case("ellipse", f"{radius}-{position}", _section(ellipse), "symmetric", exact)
        if smoke and number == 0:
            return


def slits(smoke: bool = False) -> Iterator[Case]:
    """Parallel slits of a periodic cell, along the flow or inclined to it, with normals of whole numbers."""
    rng = np.random.default_rng(6)
    normals = [(0, 1, 2), (0, 1, 3), (0, 2, 3), (1, 0, 1), (1, 2, 0), (1, 2, 3), (0, 1, 1), (1, 1, 1)]
    for normal in normals[: 1 if smoke else None]:
        norm = math.sqrt(sum(k * k for k in normal))
        for width in (2.5, 3.6, 5.2, 8.0):
            n = max(12, math.ceil(2.2 * width * norm))
            positions = np.indices((n, n, n)) + 0.5
            phase = sum(k * p for k, p in zip(normal, positions, strict=True)) + rng.uniform(0, n)
            distance = np.mod(phase, n) / norm
            exact = width**3 / 12 / (n / norm) * (1 - (normal[0] / norm) ** 2)
            name = "".join(map(str, normal))
            yield Case("slit", f"{name}-{width}", distance < width, "periodic_cell", exact)


def inclined_tubes(smoke: bool = False) -> Iterator[Case]:
    """Circular tubes of a periodic cell that are inclined to the flow."""
    rng = np.random.default_rng(7)
    for direction in [(1, 1, 0), (2, 1, 0), (1, 1, 1), (2, 1, 1)][: 1 if smoke else None]:
        for radius in (2.6, 3.7, 5.5, 8.0):
            n = math.ceil(2.6 * radius * {(1, 1, 0): 1.5, (2, 1, 0): 2.3, (1, 1, 1): 1.8, (2, 1, 1): 2.5}[direction])
            unit = np.array(direction) / math.sqrt(sum(k * k for k in direction))
            origin = rng.uniform(0, n, 3)
            squares = np.full((n,) * 3, np.inf)
            positions = np.indices((n,) * 3) + 0.5
            for shift in itertools.product((-3, -2, -1, 0, 1, 2, 3), repeat=3):
                offset = [p - o - s * n for p, o, s in zip(positions, origin, shift, strict=True)]
                along = sum(o * u for o, u in zip(offset, unit, strict=True))
                squares = np.minimum(squares, sum(o * o for o in offset) - along * along)
            length = n * math.sqrt(sum(k * k for k in direction))
            exact = math.pi * radius**4 / 8 * length / n**3 * unit[0] ** 2
            yield Case("inclined_tube", f"{''.join(map(str, direction))}-{radius}", squares < radius**2,
                       "periodic_cell", exact)  # fmt: skip


def cubic_packs(smoke: bool = False) -> Iterator[Case]:
    """Simple cubic packings, an eighth of the cell between symmetry planes, or displaced in a periodic cell."""
    rng = np.random.default_rng(8)
    for cell in (16, 20, 24, 32, 48, 64, 96, 128)[: 1 if smoke else None]:
        for fraction, drag in CUBIC_DRAG.items():
            radius = cell * (3 * fraction / (4 * math.pi)) ** (1 / 3)
            exact = cell**3 / (6 * math.pi * radius * drag)
            axis = np.arange(cell // 2) + 0.5
            squares = axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2
            yield Case("cubic_pack", f"{cell}-{fraction:.3g}", squares > radius**2, "symmetric", exact)
            if cell <= 48:
                offsets = rng.uniform(-0.5, 0.5, 3)
                z, y, x = (np.mod(np.arange(cell) + o + 0.5 + cell / 2, cell) - cell / 2 for o in offsets)
                squares = z[:, None, None] ** 2 + y[:, None] ** 2 + x**2
                yield Case("cubic_pack_displaced", f"{cell}-{fraction:.3g}", squares > radius**2, "periodic_cell",
                           exact)  # fmt: skip


def _images(family: str, name: str, fine: np.ndarray, boundary: str, steps: tuple[int, ...]) -> Iterator[Case]:
    """A fine body and coarse images of it; the finest come first."""
    yield Case(family, f"{name}/1", fine, boundary)
    for step in steps:
        for imaging in ("mean", "blur"):
            if imaging == "blur" and step == steps[0] == 2:
                continue
            yield Case(family, f"{name}/{step}-{imaging}", coarsened(fine, step, imaging), boundary, step=step)


def gaussian_fields(edge: int = 128, smoke: bool = False) -> Iterator[Case]:
    """Excursion sets of Gaussian random fields, smooth ones and ones with detail of several scales."""
    numbers = itertools.product((0.2, 0.35, 0.55), (8.0, 12.0), (0.0, 0.35))
    for seed, (porosity, sigma, detail) in enumerate(numbers):
        rng = np.random.default_rng(100 + seed)
        n = 32 if smoke else edge
        field = ndimage.gaussian_filter(rng.standard_normal((n,) * 3).astype(np.float32), sigma, mode="reflect")
        field /= field.std()
        if detail:
            small = ndimage.gaussian_filter(rng.standard_normal((n,) * 3).astype(np.float32), sigma / 3, mode="reflect")
            field += detail * small / small.std()
        family = "gaussian_rough" if detail else "gaussian"
        yield from _images(family, f"{porosity}-{sigma:g}", field < np.quantile(field, porosity), "symmetric",
                           (2, 4) if smoke else (2, 4, 6))  # fmt: skip
        if smoke:
            return


def fibres(edge: int = 128, smoke: bool = False) -> Iterator[Case]:
    """Overlapping straight fibres of random directions."""
    for seed, (radius, solid) in enumerate(itertools.product((7.0, 10.0), (0.5, 0.7))):
        rng = np.random.default_rng(200 + seed)
        n = 32 if smoke else edge
        z, y, x = np.ogrid[:n, :n, :n]
        body = np.zeros((n,) * 3, bool)
        while body.mean() < solid:
            direction, point = rng.standard_normal(3), rng.uniform(0, n, 3)
            direction /= np.linalg.norm(direction)
            dz, dy, dx = z - point[0], y - point[1], x - point[2]
            along = dz * direction[0] + dy * direction[1] + dx * direction[2]
            body |= dz * dz + dy * dy + dx * dx - along * along < radius * radius
        yield from _images("fibres", f"{solid}-{radius:g}", ~body, "symmetric", (2, 4) if smoke else (2, 4, 6))
        if smoke:
            return


def random_packs(edge: int = 128, smoke: bool = False) -> Iterator[Case]:
    """Spheres at random positions that may overlap, of one size or of several."""
    for seed, (radius, solid) in enumerate(itertools.product((14.0, 20.0), (0.6, 0.75))):
        rng = np.random.default_rng(300 + seed)
        n = 32 if smoke else edge
        z, y, x = np.ogrid[:n, :n, :n]
        body = np.zeros((n,) * 3, bool)
        while body.mean() < solid:
            point, r = rng.uniform(-radius / 2, n + radius / 2, 3), radius * rng.uniform(0.6, 1.2)
            body |= (z - point[0]) ** 2 + (y - point[1]) ** 2 + (x - point[2]) ** 2 < r * r
        yield from _images("random_pack", f"{solid}-{radius:g}", ~body, "symmetric", (2, 4) if smoke else (2, 4, 6))
        if smoke:
            return


#: Corners of the blocks of rock that are interpolated to smooth bodies.
CORNERS = {
    "berea": ((10, 120, 30), (200, 64, 228), (128, 256, 330), (300, 300, 30), (330, 100, 200), (64, 340, 128)),
    "ketton": ((10, 120, 30), (150, 64, 180), (128, 160, 130), (200, 200, 30), (190, 100, 100)),
}


def smoothed_rock(rock: np.ndarray, name: str, edge: int = 48, zoom: int = 4) -> Iterator[Case]:
    """Blocks of a rock as smooth bodies: the image, blurred and interpolated to finer voxels, and coarse images."""
    for number, (z, y, x) in enumerate(CORNERS[name]):
        block = rock[z : z + edge, y : y + edge, x : x + edge].astype(np.float32)
        fine = block.repeat(zoom, 0).repeat(zoom, 1).repeat(zoom, 2)
        fine = ndimage.gaussian_filter(fine, 0.8 * zoom, mode="reflect")
        body = np.moveaxis(fine > np.quantile(fine, 1 - block.mean()), number % 3, 0)
        yield from _images(
            f"{name}_x{zoom}", f"{number}-{'zyx'[number % 3]}", np.ascontiguousarray(body), "symmetric", (2, 4, 8)
        )


def voxel_rock(rock: np.ndarray, name: str, edge: int = 128) -> Iterator[Case]:
    """Blocks 0 and 13 of a rock whose voxels are taken as the body itself, and coarse images of them."""
    for number, corner in ((0, 0), (13, edge)):
        for axis in range(3):
            block = rock[(slice(corner, corner + edge),) * 3]
            yield from _images(
                f"{name}_voxels", f"{number}-{'zyx'[axis]}", np.ascontiguousarray(np.moveaxis(block, axis, 0)),
                "symmetric", (2, 4),
            )  # fmt: skip


def published_rock(rock: np.ndarray, name: str, published: Path, edge: int = 128) -> Iterator[Case]:
    """Blocks of a rock with published permeabilities along each axis, in columns block and k_over_dx2."""
    references: dict[int, list[float]] = {}
    with published.open() as lines:
        for row in csv.DictReader(lines):
            references.setdefault(int(row["block"]), []).append(float(row["k_over_dx2"]))
    corners = list(itertools.product(range(0, min(rock.shape) - edge + 1, edge), repeat=3))
    for number, values in references.items():
        block = rock[tuple(slice(corner, corner + edge) for corner in corners[number])]
        for axis in range(3):
            yield Case(f"published_{name}", f"{number}-{'zyx'[axis]}",
                       np.ascontiguousarray(np.moveaxis(block, axis, 0)), published=tuple(sorted(values)))  # fmt: skip
