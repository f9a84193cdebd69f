"""CPU time of one network of the study of Gu et al. by stage, and its ratio to one sparse LU factorisation.

    python benchmarks/network_stages.py [--networks 3] [--repeats 5]

For networks at the corners and in the middle of the study: generation, the life of the filter, and that of a time
step. The reference is the factorisation and solution of the pressures of the clean network by SuperLU with
minimum-degree ordering, on the same machine in the same run: a ratio to it can be compared between versions and,
roughly, between machines. Every time is the smallest of the repeats, which is robust against other programs that run.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from _common import argument_parser
from scipy.sparse import csc_matrix
from scipy.sparse.linalg import splu

from membrane_dask.physics.networks.band_porosity import band_radii
from membrane_dask.physics.networks.fouling import filter_life
from membrane_dask.physics.networks.pore_network import INLET, PoreNetwork
from membrane_dask.physics.networks.random_network import generate


def draw(seed: int, l_max: float, gradient: float, porosity: float) -> PoreNetwork:
    """Random network of the study."""
    return generate(
        np.random.default_rng(seed), l_min=0.06, l_max=l_max, radii=band_radii(0.01, gradient, 4), porosity=porosity,
        porosity_tolerance=0.005,
    )  # fmt: skip


def live(network: PoreNetwork) -> int:
    """Simulate the life of a filter with the parameters of the study; return the number of time steps."""
    life = filter_life(network, deposition=5e-7, time_step=2.5e-4, flux_threshold=2e-6, solver_tolerance=1e-6)
    return len(life.flux)


def pressures_by_lu(network: PoreNetwork) -> np.ndarray:
    """Pressures of the clean network by a sparse factorisation."""
    n = len(network.junctions)
    a, b = network.throat_conns[:, 0].astype(int), network.throat_conns[:, 1].astype(int)
    inner, inlet = b >= 0, b == INLET
    k = np.square(np.square(network.radius)) / network.length
    diagonal = np.bincount(a, k, n) + np.bincount(b[inner], k[inner], n)
    rows = np.concatenate([np.arange(n), a[inner], b[inner]])
    columns = np.concatenate([np.arange(n), b[inner], a[inner]])
    values = np.concatenate([np.where(diagonal > 0, diagonal, 1), -k[inner], -k[inner]])
    factors = splu(
        csc_matrix((values, (rows, columns)), (n, n)), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0,
        options={"SymmetricMode": True},
    )  # fmt: skip
    return factors.solve(np.bincount(a[inlet], k[inlet], n))


def smallest(function: Callable[[], object], repeats: int) -> float:
    """Smallest CPU time of several calls, in milliseconds."""
    seconds = []
    for _ in range(repeats):
        start = time.thread_time()
        function()
        seconds.append(time.thread_time() - start)
    return 1e3 * min(seconds)


def main() -> None:
    """Print a row for each design point, and the means."""
    parser = argument_parser(__doc__)
    parser.add_argument("--networks", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    designs = [(l_max, gradient, 0.6) for l_max in (0.1, 0.15, 0.2) for gradient in (0.0, 2e-3, 4e-3)]
    if options.smoke:
        designs, options.networks, options.repeats = [(0.25, 0.0, 0.1)], 1, 1
    live(draw(0, 0.25, 0.0, 0.1))  # compiled before anything is measured
    print(f"{'l_max':>6} {'gradient':>8} {'junctions':>9} {'pores':>6} {'steps':>5} {'generate ms':>11} {'life ms':>8} "
          f"{'ms/step':>7} {'LU ms':>6} {'all/LU':>6}")  # fmt: skip
    rows = []
    for l_max, gradient, porosity in designs:
        times = []
        for seed in range(options.networks):
            network = draw(seed, l_max, gradient, porosity)
            generation = smallest(lambda: draw(seed, l_max, gradient, porosity), options.repeats)  # noqa: B023
            life = smallest(lambda: live(network), options.repeats)  # noqa: B023
            factorisation = smallest(lambda: pressures_by_lu(network), options.repeats)  # noqa: B023
            times.append((generation, life, factorisation))
        generation, life, factorisation = np.mean(times, axis=0)
        rows.append((generation, life, factorisation))
        steps = live(network)
        print(f"{l_max:6g} {gradient:8g} {len(network.junctions):9d} {len(network.length):6d} {steps:5d} "
              f"{generation:11.2f} {life:8.1f} {life / steps:7.3f} {factorisation:6.1f} "
              f"{(generation + life) / factorisation:6.2f}", flush=True)  # fmt: skip
    generation, life, factorisation = np.mean(rows, axis=0)
    print(f"mean: {generation:.2f} ms to generate, {life:.1f} ms to live, {generation + life:.1f} ms a network; "
          f"{(generation + life) / factorisation:.2f} factorisations")  # fmt: skip


if __name__ == "__main__":
    main()
