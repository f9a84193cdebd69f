"""Our kernels against plain SciPy, side by side in one process: medians of ratios.

    python benchmarks/kernels.py [--repeats 5]

filter life    one banded network followed to its end (l_max 0.2, gradient 2e-3, 53 steps); baseline: the same steps
               with arrays, ``scipy.sparse.linalg.spsolve`` and a sorted sweep over the junctions
structure      a window of 256 x 64 x 256 voxels; baseline: ``scipy.ndimage`` in float32 on the whole array, and
               ``binary_closing`` with the same ball
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
from scipy import ndimage
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import spsolve
from scipy.special import ndtri

from membrane_dask.physics.banded import band_radii, generate
from membrane_dask.physics.fouling import filter_life
from membrane_dask.physics.network import INLET, OUTLET, PoreNetwork
from membrane_dask.physics.structure import Structure, block, kernel_weights, smoothed_sd

DEPOSITION, TIME_STEP = 5e-7, 2.5e-4


def plain_life(network: PoreNetwork) -> float:
    """Throughput of a filter's life with array operations and a sparse direct solver."""
    n = len(network.junctions)
    a, b = network.ends[:, 0].astype(int), network.ends[:, 1].astype(int)
    inner, inlet, outlet = b >= 0, b == INLET, b == OUTLET
    radius, flux = network.radius.copy(), []
    while radius[inlet].any():
        k = radius**4 / network.length
        diagonal = np.bincount(a, k, n) + np.bincount(b[inner], k[inner], n)
        rows = np.concatenate([np.arange(n), a[inner], b[inner]])
        columns = np.concatenate([np.arange(n), b[inner], a[inner]])
        values = np.concatenate([np.where(diagonal > 0, diagonal, 1), -k[inner], -k[inner]])
        matrix = csr_matrix((values, (rows, columns)), (n, n))
        pressure = spsolve(matrix, np.bincount(a[inlet], k[inlet], n))
        p_b = np.where(inlet, 1.0, np.where(outlet, 0.0, pressure[np.maximum(b, 0)]))
        falls = pressure[a] > p_b
        upper, lower = np.where(falls, a, b), np.where(falls, b, a)
        q = k * np.abs(pressure[a] - p_b)
        passed = np.exp(-DEPOSITION * radius * network.length / np.maximum(q, 1e-300))
        c = np.ones(n + 2)  # the last two stand for the faces, reached by -1 and -2
        by_lower = np.argsort(lower, kind="stable")
        first = np.searchsorted(lower[by_lower], np.arange(n + 1))
        for i in np.argsort(-pressure):
            arriving = by_lower[first[i] : first[i + 1]]
            total = q[arriving].sum()
            if total > 0:
                c[i] = (q[arriving] * passed[arriving] * c[upper[arriving]]).sum() / total
        flux.append(q[outlet].sum())
        radius = np.maximum(radius - TIME_STEP * c[upper], 0)
        radius[radius < 1e-12] = 0
    return float(np.trapezoid([*flux, 0.0]) * TIME_STEP / DEPOSITION)


def plain_structure(structure: Structure, shape: tuple[int, int, int]) -> np.ndarray:
    """The same kind of structure from whole arrays, with periodic edges."""
    rng = np.random.default_rng(0)
    weight = structure.fine_weight(np.arange(shape[0]), shape[0])[:, None, None].astype(np.float32)
    field = np.zeros(shape, np.float32)
    for sigma, share in ((structure.sigma_1, weight), (structure.sigma_2, 1 - weight)):
        noise = rng.random(shape, np.float32) - np.float32(0.5)
        smooth = ndimage.gaussian_filter(noise, sigma, truncate=structure.truncate, mode="wrap")
        field += share * (smooth / np.float32(smoothed_sd(kernel_weights(sigma, structure.truncate))))
    solid = field / np.sqrt(weight**2 + (1 - weight) ** 2) >= ndtri(structure.porosity)
    radius = int(structure.closing_square**0.5)
    ball = (np.mgrid[(slice(-radius, radius + 1),) * 3] ** 2).sum(0) <= structure.closing_square
    closed = ndimage.binary_closing(np.pad(solid, 2 * radius, mode="wrap"), ball)
    return np.where(closed[(slice(2 * radius, -2 * radius),) * 3], 255, 0).astype(np.uint8)


def compare(name: str, ours: Callable[[], object], baseline: Callable[[], object], repeats: int) -> None:
    """Print medians of both and of their ratio, taken in turns after one warm-up."""
    ours()
    times: list[tuple[float, float]] = []
    for _ in range(repeats):
        pair = []
        for function in (ours, baseline):
            start = time.perf_counter()
            function()
            pair.append(time.perf_counter() - start)
        times.append((pair[0], pair[1]))
    fast, slow = (statistics.median(column) for column in zip(*times, strict=True))
    ratio = statistics.median(b / a for a, b in times)
    print(f"{name:12}  ours {fast:8.3f} s   baseline {slow:8.3f} s   {ratio:6.1f} times as fast")


def main() -> None:
    """Check that both sides answer alike, then time them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    network = generate(
        np.random.default_rng(0), l_min=0.06, l_max=0.2, radii=band_radii(0.01, 2e-3, 4), porosity=0.6,
        porosity_tolerance=0.005,
    )  # fmt: skip

    def life() -> float:
        return filter_life(network, deposition=DEPOSITION, time_step=TIME_STEP, flux_threshold=2e-6).throughput

    assert abs(life() / plain_life(network) - 1) < 1e-6
    compare("filter life", life, lambda: plain_life(network), repeats)

    structure, shape = Structure(3.2, 8.4, 0.3, closing_radius=4.0, closing_depth=0.0), (256, 64, 256)
    compare(
        "structure",
        lambda: block(structure, depth=shape[0], start=(0, 0, 0), shape=shape, seed=0),
        lambda: plain_structure(structure, shape),
        repeats,
    )


if __name__ == "__main__":
    main()
