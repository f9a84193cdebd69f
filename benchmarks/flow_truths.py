"""Permeability compared with references: exact flows by resolution, one smooth body by voxel size, a rock.

    python benchmarks/flow_truths.py
    python benchmarks/flow_truths.py --rock berea.tif --published berea_permeability_blocks_0-13.csv
        [--refinement 2] [--blocks 0 1]

Errors are in per cent, for both models of the solid's surface. The rock is the image of Berea sandstone, 400 voxels of
5.345 um, of https://github.com/LukasMosser/PorousMediaGan (pores 0), with the permeabilities published there
(analysis/perms) for 14 of its blocks of 128 voxels along three axes. The axes have no names there, so the values of a
block are compared in ascending order.
"""

from __future__ import annotations

import csv
import itertools
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from _common import argument_parser
from scipy import ndimage

from membrane_dask.physics.analytic_problems import (
    CUBIC_DRAG,
    AnalyticFlow,
    cubic_spheres,
    ferry_transmission,
    hindered_transmission,
    slit,
    square_duct,
    triangular_duct,
    tube,
)
from membrane_dask.physics.stokes.mac_grid import Grid
from membrane_dask.physics.stokes.solver import stokes
from membrane_dask.physics.transport.retention import clearances, passage

WALL_MODELS = ("smooth", "staircase")


def permeability(pores: np.ndarray, wall_model: str, boundary: str = "symmetric", tolerance: float = 1e-3) -> float:
    """Permeability in voxels squared."""
    return stokes(Grid.of(pores, boundary, wall_model), tolerance).permeability


def exact_flows(smoke: bool) -> None:
    """Print errors for ducts and sphere packings whose permeability is known."""
    families: list[tuple[str, Callable[[float], AnalyticFlow], tuple[float, ...]]] = [
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
        sizes = sizes[:1] if smoke else sizes
        rows = []
        for wall_model in WALL_MODELS:
            errors = []
            for size in sizes:
                problem = family(size)
                errors.append(permeability(problem.pores, wall_model) / problem.permeability - 1)
            columns = [f"{size:g}: {100 * error:+.2f}" for size, error in zip(sizes, errors, strict=True)]
            rows.append(f"{wall_model} " + ", ".join(columns))
        print(f"{name:28s} {'; '.join(rows)}", flush=True)


def retention_in_a_tube(tube_radius: int, particle_radii: tuple[int, ...]) -> None:
    """Print the fraction of particles that a strong flow carries through a tube, and two reference formulas."""
    pores = np.repeat(tube(tube_radius).pores[:1], 40, axis=0)
    grid = Grid.of(pores)
    velocity = stokes(grid, 1e-2).velocity
    clearance = clearances(pores)[tuple(grid.coordinates.T)]
    for radius in particle_radii:
        passed = 10 ** -passage(grid, velocity, clearance, radius, 2.0, "reflecting").log_reduction
        ratio = radius / tube_radius
        steric, hindered = ferry_transmission(ratio), hindered_transmission(ratio)
        references = f"steric exclusion {steric:.3f}, with hydrodynamic hindrance {hindered:.3f}"
        print(f"particle in a tube, radius ratio {ratio:.3f}: passage {passed:.3f}, {references}", flush=True)


def smooth_body(edge: int, sigma: float, porosities: tuple[float, ...]) -> None:
    """Print errors of one smooth random body on voxels of several sizes, relative to the finest smooth result."""
    steps = (8, 4, 2, 1)
    field = ndimage.gaussian_filter(np.random.default_rng(3).standard_normal((edge,) * 3), sigma, mode="wrap")
    for porosity in porosities:
        level = np.quantile(field, porosity)
        results = {}
        for step in steps:
            values = field
            for axis in range(3):
                if step > 1:
                    low, high = (np.arange(step // 2 - k, edge, step) for k in (1, 0))
                    values = (values.take(low, axis) + values.take(high, axis)) / 2
            for wall_model in WALL_MODELS:
                results[step, wall_model] = permeability(values < level, wall_model, "periodic") * step**2
        reference = results[1, "smooth"]
        for wall_model in WALL_MODELS:
            errors = ", ".join(
                f"sigma {sigma / step:g}: {100 * (results[step, wall_model] / reference - 1):+.1f}" for step in steps
            )
            print(f"smooth body, porosity {porosity}, {wall_model:9s} {errors}", flush=True)


def rock(image: Path, published: Path, refinement: int, blocks: list[int] | None) -> None:
    """Print errors for the blocks of a rock along all axes."""
    import tifffile

    pores = tifffile.imread(image) == 0
    references: dict[int, list[float]] = {}
    with published.open() as lines:
        for row in csv.DictReader(lines):
            references.setdefault(int(row["block"]), []).append(float(row["k_over_dx2"]))
    corners = list(itertools.product((0, 128, 256), repeat=3))
    for wall_model in WALL_MODELS:
        errors, start = [], time.perf_counter()
        for number in blocks or sorted(references):
            z, y, x = corners[number]
            block = pores[z : z + 128, y : y + 128, x : x + 128]
            for axis in range(3):
                if refinement > 1:
                    block = block.repeat(refinement, axis)
            ours = sorted(
                permeability(np.ascontiguousarray(np.moveaxis(block, axis, 0)), wall_model, tolerance=0.03)
                / refinement**2
                for axis in range(3)
            )
            reference = np.sort(references[number])
            errors.append(np.array(ours) / reference - 1)
            print(f"{wall_model} block {number:2d}", np.round(ours, 4), np.round(reference, 4),
                  np.round(100 * errors[-1], 1), flush=True)  # fmt: skip
        percent = 100 * np.concatenate(errors)
        print(f"{wall_model}, refinement {refinement}: mean error {percent.mean():+.1f} %, mean absolute error "
              f"{np.abs(percent).mean():.1f} %, largest {np.abs(percent).max():.1f} %, "
              f"{time.perf_counter() - start:.0f} s")  # fmt: skip


def main() -> None:
    """Print the errors."""
    parser = argument_parser(__doc__)
    parser.add_argument("--rock", type=Path)
    parser.add_argument("--published", type=Path)
    parser.add_argument("--refinement", type=int, default=1)
    parser.add_argument("--blocks", type=int, nargs="+")
    arguments = parser.parse_args()
    if arguments.rock and arguments.published:
        rock(arguments.rock, arguments.published, arguments.refinement, arguments.blocks)
        return
    exact_flows(arguments.smoke)
    if arguments.smoke:
        retention_in_a_tube(6, (2,))
        smooth_body(32, 8.0, (0.5,))
    else:
        retention_in_a_tube(16, (1, 2, 4, 6, 8))
        smooth_body(160, 16.0, (0.4, 0.5))


if __name__ == "__main__":
    main()
