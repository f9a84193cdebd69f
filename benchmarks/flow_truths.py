"""Permeability beside what is known of it: exact flows by resolution, one body by voxels of many sizes, a rock.

    python benchmarks/flow_truths.py
    python benchmarks/flow_truths.py --rock berea.tif --published berea_permeability_blocks_0-13.csv
        [--refine 2] [--blocks 0 1]

Errors are in per cent. ``smooth`` and ``voxels`` are the two readings of the solid's surface. The rock is the image of
Berea sandstone, 400 voxels of 5.345 um, of https://github.com/LukasMosser/PorousMediaGan (pores 0), with the
permeabilities that stand beside it (analysis/perms) for 14 of its blocks of 128 voxels along three axes; as their axes
are not named, they are compared in rising order.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy import ndimage

from membrane_dask.physics.analytic_problems import (
    CUBIC_DRAG,
    KnownFlow,
    cubic_spheres,
    ferry,
    hindered,
    slit,
    square_duct,
    triangular_duct,
    tube,
)
from membrane_dask.physics.stokes.mac_grid import Grid
from membrane_dask.physics.stokes.solver import stokes
from membrane_dask.physics.transport.retention import clearances, passage

SURFACES = ("smooth", "voxels")


def permeability(pores: np.ndarray, surface: str, sides: str = "symmetric", tolerance: float = 1e-3) -> float:
    return stokes(Grid.of(pores, sides, surface), tolerance).permeability


def exact() -> None:
    families: list[tuple[str, Callable[[float], KnownFlow], tuple[float, ...]]] = [
        ("slit, width", slit, (2, 4, 8, 16)),
        ("square duct, width", square_duct, (2, 4, 8, 16, 32)),
        ("round tube, radius", tube, (4, 5.2, 8, 16, 32)),
        ("triangular duct, edge", triangular_duct, (10, 20, 40, 80)),
    ]
    families += [
        (f"cubic spheres {solid:.3g}, cell", lambda n, c=solid: cubic_spheres(int(n), c), (16, 32, 64))
        for solid in CUBIC_DRAG
    ]
    for name, family, sizes in families:
        rows = []
        for surface in SURFACES:
            errors = []
            for size in sizes:
                known = family(size)
                errors.append(permeability(known.pores, surface) / known.permeability - 1)
            rows.append(
                f"{surface} " + ", ".join(f"{size:g}: {100 * e:+.2f}" for size, e in zip(sizes, errors, strict=True))
            )
        print(f"{name:28s} {'; '.join(rows)}", flush=True)


def balls() -> None:
    """What a strong flow carries through a tube: found, by the balls' size alone, with the drag of the wall."""
    grid = Grid.of(np.repeat(tube(16).pores[:1], 40, axis=0))
    velocity = stokes(grid, 1e-2).velocity
    clear = clearances(np.repeat(tube(16).pores[:1], 40, axis=0))[tuple(grid.places.T)]
    for radius in (1, 2, 4, 6, 8):
        found = 10 ** -passage(grid, velocity, clear, radius, 2.0, "sieve").log_reduction
        print(f"balls in a tube, share {radius / 16:.3f}: passes {found:.3f}, by size alone {ferry(radius / 16):.3f}, "
              f"with drag {hindered(radius / 16):.3f}", flush=True)  # fmt: skip


def sampled(edge: int = 160, sigma: float = 16.0) -> None:
    """A smooth random body by voxels of many sizes; the finest and the next are extrapolated to none."""
    field = ndimage.gaussian_filter(np.random.default_rng(3).standard_normal((edge,) * 3), sigma, mode="wrap")
    for porosity in (0.4, 0.5):
        level = np.quantile(field, porosity)
        found = {}
        for step in (8, 4, 2, 1):
            values = field
            for axis in range(3):
                if step > 1:
                    low, high = (np.arange(step // 2 - k, edge, step) for k in (1, 0))
                    values = (values.take(low, axis) + values.take(high, axis)) / 2
            for surface in SURFACES:
                found[step, surface] = permeability(values < level, surface, "periodic") * step**2
        truth = found[1, "smooth"]
        for surface in SURFACES:
            errors = ", ".join(
                f"sigma {sigma / s:g}: {100 * (found[s, surface] / truth - 1):+.1f}" for s in (8, 4, 2, 1)
            )
            print(f"sampled body, porosity {porosity}, {surface:7s} {errors}", flush=True)


def rock(image: Path, published: Path, refine: int, blocks: list[int] | None) -> None:
    import tifffile

    pores = tifffile.imread(image) == 0
    known: dict[int, list[float]] = {}
    with published.open() as lines:
        for row in csv.DictReader(lines):
            known.setdefault(int(row["block"]), []).append(float(row["k_over_dx2"]))
    corners = list(itertools.product((0, 128, 256), repeat=3))
    for surface in SURFACES:
        errors, begun = [], time.perf_counter()
        for number in blocks or sorted(known):
            z, y, x = corners[number]
            block = pores[z : z + 128, y : y + 128, x : x + 128]
            for axis in range(3):
                if refine > 1:
                    block = block.repeat(refine, axis)
            found = sorted(
                permeability(np.ascontiguousarray(np.moveaxis(block, axis, 0)), surface, tolerance=0.03) / refine**2
                for axis in range(3)
            )
            error = np.array(found) / np.sort(known[number]) - 1
            errors.append(error)
            print(f"{surface} block {number:2d}", np.round(found, 4), np.round(np.sort(known[number]), 4),
                  np.round(100 * error, 1), flush=True)  # fmt: skip
        all_ = 100 * np.concatenate(errors)
        print(f"{surface}, voxels cut in {refine}: mean {all_.mean():+.1f} %, mean size {np.abs(all_).mean():.1f} %, "
              f"largest {np.abs(all_).max():.1f} %, {time.perf_counter() - begun:.0f} s")  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rock", type=Path)
    parser.add_argument("--published", type=Path)
    parser.add_argument("--refine", type=int, default=1)
    parser.add_argument("--blocks", type=int, nargs="+")
    asked = parser.parse_args()
    if asked.rock and asked.published:
        rock(asked.rock, asked.published, asked.refine, asked.blocks)
    else:
        exact()
        balls()
        sampled()
