"""Pressures of the Darcy flow within the Stokes solver: multigrid of membrane-dask compared with PyAMG.

    pip install pyamg
    python benchmarks/pressure_multigrid.py [--sizes 64 100 150]

The equations are those of the first step of the Stokes solver, on Gaussian random fields (sigma 4, porosity 0.25) with
periodic lateral boundaries. All solvers reach the relative residual with which the Stokes solver calls its multigrid.
PyAMG gets the same equations as a matrix in compressed rows, in double precision, which is assembled before the clock
starts; the setup of membrane-dask starts from the voxels. Times are of one thread.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy and PyAMG start their threads
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import statistics
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sparse
from _common import argument_parser, missing_packages, skipped, timed
from stokes import gaussian

from membrane_dask.physics.stokes.mac_grid import Grid
from membrane_dask.physics.stokes.multigrid import Conduction
from membrane_dask.physics.stokes.solver import _DARCY_TOLERANCE, darcy_load, mobility


def assemble(grid: Grid, conductance: np.ndarray) -> sparse.csr_array:
    """Matrix of the pressures of all voxels; the pressure beyond both ends is 0."""
    n, (faces, axes) = len(grid.coordinates), np.nonzero(conductance)
    high, low = faces, grid.neighbours[faces, 2 * axes]
    values = conductance[faces, axes].astype(float)
    diagonal = np.bincount(high, values, len(conductance))[:n] + np.bincount(low, values, len(conductance))[:n]
    both = (high < n) & (low < n)
    a, b, c = high[both], low[both], -values[both]
    rows, columns = np.concatenate([np.arange(n), a, b]), np.concatenate([np.arange(n), b, a])
    return sparse.csr_array((np.concatenate([diagonal, c, c]), (rows, columns)), shape=(n, n))


def pyamg_solver(method: str) -> Callable[[sparse.csr_array], Any]:
    """Function that sets up a solver of PyAMG."""
    import pyamg

    return getattr(pyamg, method)


def main() -> None:
    """Print a row for each size and solver."""
    parser = argument_parser(__doc__)
    parser.add_argument("--sizes", type=int, nargs="*", default=[64, 100, 150])
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    methods = ["smoothed_aggregation_solver", "ruge_stuben_solver"]
    if arguments.smoke:
        arguments.sizes, arguments.repeats, methods = [32], 1, []
        skipped("PyAMG", "a third-party code, which --smoke leaves out")
    elif missing_packages("pyamg"):
        methods = []
        skipped("PyAMG", "pyamg is not installed")
    print(f"{'':35}{'voxels':>9}{'setup s':>9}{'ratio':>7}{'solve s':>9}{'ratio':>7}{'residual':>10}", flush=True)
    for size in arguments.sizes:
        grid = Grid.of(gaussian(size), "periodic")
        conductance, _ = mobility(grid)
        load, _ = darcy_load(grid, conductance)
        matrix = assemble(grid, conductance)
        solvers: dict[str, tuple[Callable[[], Any], Callable[[Any], np.ndarray]]] = {
            "membrane-dask": (
                lambda: Conduction(grid.neighbours, conductance, grid.coordinates),  # noqa: B023
                lambda solver: solver.solve(load, _DARCY_TOLERANCE),  # noqa: B023
            )
        }
        for method in methods:
            solvers[f"PyAMG {method.removesuffix('_solver')}"] = (
                lambda name=method: pyamg_solver(name)(matrix.copy()),  # noqa: B023
                lambda solver: solver.solve(load.astype(float), tol=_DARCY_TOLERANCE, accel="cg"),  # noqa: B023
            )
        base: tuple[float, float] | None = None
        for name, (set_up, solve) in solvers.items():
            solve(set_up())  # compiles
            times = []
            for _ in range(arguments.repeats):
                setup_seconds, solver = timed(set_up)
                solve_seconds, pressures = timed(solve, solver)
                times.append((setup_seconds, solve_seconds))
            setup, solution = (statistics.median(column) for column in zip(*times, strict=True))
            base = base or (setup, solution)
            residual = np.linalg.norm(matrix @ pressures - load) / np.linalg.norm(load)
            # Single precision adds to the residual of membrane-dask.
            assert residual < 10 * _DARCY_TOLERANCE, (name, residual)
            print(
                f"{size:4}^3 {name:28}{matrix.shape[0]:9}{setup:9.3f}{setup / base[0]:7.1f}{solution:9.3f}"
                f"{solution / base[1]:7.1f}{residual:10.1e}", flush=True,
            )  # fmt: skip


if __name__ == "__main__":
    main()
