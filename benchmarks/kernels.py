"""Our kernels against plain SciPy, side by side in one process: medians of ratios.

    python benchmarks/kernels.py [--repeats 5]

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
from scipy.special import ndtri

from membrane_dask.physics.structure import Structure, block, kernel_weights, smoothed_sd


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

    structure, shape = Structure(3.2, 8.4, 0.3, closing_radius=4.0, closing_depth=0.0), (256, 64, 256)
    compare(
        "structure",
        lambda: block(structure, depth=shape[0], start=(0, 0, 0), shape=shape, seed=0),
        lambda: plain_structure(structure, shape),
        repeats,
    )


if __name__ == "__main__":
    main()
