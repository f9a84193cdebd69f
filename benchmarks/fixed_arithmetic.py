"""Time of functions and linear algebra that have the same bits on every machine, over that of NumPy, SciPy and BLAS.

    python benchmarks/fixed_arithmetic.py

A ratio above 1 is the price of equal bits. The last row is one proposal of a Bayesian search with 40 trials, compared
with scikit-optimize where that is installed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from _common import argument_parser, missing_packages, skipped, timed
from scipy import sparse, special, stats
from scipy.sparse.linalg import splu

from membrane_dask.physics import distributions, elementary, fixed_order
from membrane_dask.physics.reconstruction.gaussian_process import next_point
from membrane_dask.physics.sparse_factors import SparseFactors


def fastest(function: Callable[[], object], repetitions: int) -> float:
    """Shortest time of a call, after one that compiles."""
    function()
    return min(timed(function)[0] for _ in range(repetitions))


def conduction(n: int) -> sparse.csc_array:
    """Matrix of the flow through a cube of ``n**3`` cells."""
    path = sparse.diags_array([-np.ones(n - 1), np.full(n, 2.0), -np.ones(n - 1)], offsets=[-1, 0, 1])
    one = sparse.eye_array(n)
    axes = ((path, one, one), (one, path, one), (one, one, path))
    return sum(sparse.kron(sparse.kron(a, b), c) for a, b, c in axes).tocsc()


def skopt_proposal(points: np.ndarray, values: np.ndarray) -> object:
    """One proposal of scikit-optimize."""
    from skopt import Optimizer
    from skopt.space import Real

    optimizer = Optimizer([Real(0.0, 1.0)] * points.shape[1], base_estimator="GP", n_initial_points=1, acq_func="EI")
    optimizer.tell(points.tolist(), values.tolist())
    return optimizer.ask()


def main() -> None:
    """Print a row for each function."""
    parser = argument_parser(__doc__)
    smoke = parser.parse_args().smoke
    size, cells, repetitions = (1000, 4, 1) if smoke else (100_000, 11, 7)
    rng = np.random.default_rng(0)
    x, p = rng.uniform(0.1, 5, size), rng.uniform(0.001, 0.999, size // 10)
    weights, rows = rng.random((4, size // 100)), rng.random((size // 100, 40))
    design, values = rng.random((size // 100, 4)), rng.random((size // 100, 3))
    matrix, load = conduction(cells), rng.random(cells**3)
    factors, reference = SparseFactors(matrix, symmetric=True), splu(matrix, permc_spec="MMD_AT_PLUS_A")
    cases: list[tuple[str, Callable[[], object], Callable[[], object]]] = [
        ("exp", lambda: elementary.exp(x), lambda: np.exp(x)),
        ("log", lambda: elementary.log(x), lambda: np.log(x)),
        ("power", lambda: elementary.power(x, 1.7), lambda: x**1.7),
        ("normal quantile", lambda: distributions.normal_quantile(p), lambda: special.ndtri(p)),
        ("Student's quantile", lambda: distributions.student_quantile(p, 5), lambda: stats.t.ppf(p, 5)),
        ("matrix product", lambda: fixed_order.product(weights, rows), lambda: weights @ rows),
        ("least squares", lambda: fixed_order.least_squares(design, values), lambda: np.linalg.lstsq(design, values)),
        ("sparse factors", lambda: SparseFactors(matrix, symmetric=True), lambda: splu(matrix)),
        ("sparse solution", lambda: factors.solve(load), lambda: reference.solve(load)),
    ]
    points = rng.random((6 if smoke else 40, 3))
    objectives = np.square(points - 0.4).sum(axis=1)
    if missing_packages("skopt"):
        skipped("proposal of a search", "scikit-optimize is not installed")
    else:
        cases.append((
            "proposal of a search", lambda: next_point(points, objectives, rng),
            lambda: skopt_proposal(points, objectives),
        ))  # fmt: skip
    print(f"{'':22}{'fixed order, ms':>16}{'library, ms':>14}{'ratio':>8}")
    for name, ours, library in cases:
        a, b = fastest(ours, repetitions), fastest(library, repetitions)
        print(f"{name:22}{1e3 * a:16.3f}{1e3 * b:14.3f}{a / b:8.2f}", flush=True)


if __name__ == "__main__":
    main()
