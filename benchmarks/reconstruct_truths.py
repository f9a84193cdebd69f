"""Error of reconstructed volumes whose structure is known in three dimensions, each from one section.

    python benchmarks/reconstruct_truths.py [--seeds 3] [--processes 2] [--rock berea.tif] [--methods NAME ...]

layers    two layers as in the paper: widths 1.6 and 4.2, porosity 0.3, closed with radius 2 below a quarter
graded    one field, width 1.2 to 5 with depth, porosity 0.22 to 0.36, closed with radius 2
spheres   overlapping solid spheres, radius 3 to 9 voxels with depth, porosity about 0.28: graded, not Gaussian
rock      ``--rock``: a stack of binary images (0 pore), and its 14 blocks of 128^3 with published permeabilities

Volumes are 512 x 160 x 450 voxels. Errors in %: porosity; two-point correlation (mean absolute difference of the
normalised function at 1 to 40 voxels along all axes, over its mean); mean pore chord; mean pore radius (morphological
openings with discrete spheres); suffix ``_w``: mean over the quarters of the depth; largest difference between the
cumulative pore-size distributions, mean over the quarters (PSD). Of the pore networks: number of pores, mean radii of
pores (equal volume) and throats (equal area), and mean coordination number.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import reconstruct_search
from _common import argument_parser, skipped
from _micrograph_truths import spheres

import membrane_dask as md
from membrane_dask.physics.imaging.blocks import Block
from membrane_dask.physics.imaging.distance import squared_distances
from membrane_dask.physics.imaging.morphology import pack_rows, packed_dilation
from membrane_dask.physics.imaging.network_extraction import extract_network
from membrane_dask.physics.imaging.watershed import SnowParameters, block_watershed
from membrane_dask.physics.reconstruction.descriptors import chord_lengths
from membrane_dask.physics.reconstruction.random_field import generate_window
from membrane_dask.physics.reconstruction.structures import Graded, TwoLayers

SHAPE = (512, 160, 450)
#: Squared radii of the structuring elements.
SQUARES = np.array([1, 2, 4, 6, 9, 12, 16, 20, 25, 30, 36, 42, 49, 56, 64, 72, 81, 100, 121])
METHODS: dict[str, dict[str, object]] = {
    "direct": {},
    "direct, smooth": {"search": {"roughness": [0.0]}},
    "direct, layers": {"search": {"roughness": [0.0]}, "model": {"depth": "layers"}},
    "published": {"search": {"method": "published", "trials": 40, "initial": 10, "in_flight": 1}},
}
SMOKE_METHOD: dict[str, object] = {"search": {"closing_radius": [2.0], "roughness": [0.0]}}


def true_structure(name: str, seed: int, path: str | None, shape: tuple[int, int, int]) -> np.ndarray:
    """Structure ``(z, y, x)``, True in the solid."""
    if name == "rock":
        import tifffile

        return np.asarray(tifffile.imread(path))[:, 120:280] > 0
    if name == "spheres":
        return spheres(np.random.default_rng(seed), shape, radius=3, growth=6, porosity=0.28, margin=12)
    closing = {"closing_radius": 2.0}
    structure = {
        "layers": TwoLayers(sigma_1=1.6, sigma_2=4.2, porosity=0.3, closing_depth=0.25, **closing),
        "graded": Graded(knots=(0, 1), sigma=(1.2, 5.0), porosity=(0.22, 0.36), **closing),
    }[name]
    return generate_window(structure, depth=shape[0], start=(0, 0, 0), shape=shape, seed=40 + seed) > 0


def measure(solid: np.ndarray) -> dict[str, np.ndarray]:
    """Descriptors of the whole volume and of the quarters of its depth."""
    pores = ~solid
    phi = pores.mean()
    correlation = []
    for axis in range(3):
        last = np.moveaxis(pores, axis, -1)
        lags = [lag for lag in range(1, 41) if lag < last.shape[-1] // 2]
        correlation.append([(last[..., :-lag] & last[..., lag:]).mean() for lag in lags])
    two_point = (np.concatenate(correlation) - phi**2) / (phi - phi**2)
    quarters = [pores[a:b] for a, b in pairwise(quarter_limits(len(pores)))]
    return {
        "porosity": np.array([phi]),
        "porosity_w": np.array([quarter.mean() for quarter in quarters]),
        "S2": two_point,
        "chord": np.array([chord_lengths(pores).mean()]),
        "PSD": cumulative_fraction(pores),
        **network_descriptors(pores),
    }


def network_descriptors(pores: np.ndarray) -> dict[str, np.ndarray]:
    """Descriptors of the pore network."""
    snow = SnowParameters()
    whole = Block((0, 0, 0), pores.shape, snow.margin, pores.shape)
    regions, _ = block_watershed(squared_distances(pores), whole, snow)
    network = extract_network([regions], pores.shape, 1.0, snow).network
    inner = network.throat_conns[:, 1] >= 0
    return {
        "pores": np.array([len(network.junctions)]),
        "body": np.array([network.bodies["equivalent_radius"].mean()]),
        "throat": np.array([network.radius[inner].mean()]),
        "coord": np.array([network.bodies["coordination_number"].mean()]),
    }


def quarter_limits(depth: int) -> list[int]:
    """First planes of the quarters of the depth, and the end."""
    return [round(depth * q / 4) for q in range(5)]


def cumulative_fraction(pores: np.ndarray) -> np.ndarray:
    """Fraction of the pore volume in openings with each radius, ``(quarters, n_radii + 1)``."""
    bits = pack_rows(np.ascontiguousarray(pores.transpose(1, 0, 2)), pores.shape[2] + 64)
    inside = pack_rows(np.ones((pores.shape[1], pores.shape[0], pores.shape[2]), bool), pores.shape[2] + 64)

    def count_by_quarter(image: np.ndarray) -> list[int]:
        limits = quarter_limits(len(pores))
        return [int(np.bitwise_count(image[:, a:b]).sum()) for a, b in pairwise(limits)]

    counts = [count_by_quarter(bits)]
    for square in SQUARES:
        eroded = inside & ~packed_dilation(inside & ~bits, int(square))
        counts.append(count_by_quarter(inside & packed_dilation(eroded, int(square))))
    volumes = np.array(counts, float).T
    return volumes / volumes[:, :1]


def mean_radius(fractions: np.ndarray) -> np.ndarray:
    """Mean radius of each quarter from its cumulative fractions."""
    edges = np.concatenate([[0.0], np.sqrt(SQUARES)])
    return (-np.diff(fractions, axis=1) * (edges[:-1] + edges[1:]) / 2).sum(axis=1) + fractions[:, -1] * edges[-1]


def errors(result: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Errors of the descriptors in percent."""

    def relative(name: str) -> float:
        return 100 * float(np.abs(result[name] / truth[name] - 1).mean())

    radii, true_radii = mean_radius(result["PSD"]), mean_radius(truth["PSD"])
    weights = truth["porosity_w"] / truth["porosity_w"].sum()
    return {
        "porosity": relative("porosity"),
        "porosity_w": relative("porosity_w"),
        "S2": 100 * float(np.abs(result["S2"] - truth["S2"]).mean() / np.abs(truth["S2"]).mean()),
        "chord": relative("chord"),
        "radius": 100 * abs(float(radii @ weights / (true_radii @ weights)) - 1),
        "radius_w": 100 * float(np.abs(radii / true_radii - 1).mean()),
        "PSD": 100 * float(np.abs(result["PSD"] - truth["PSD"]).max(axis=1).mean()),
        **{name: relative(name) for name in ("pores", "body", "throat", "coord")},
    }


def errors_of_methods(
    task: tuple[str, int, str | None], shape: tuple[int, int, int], methods: dict[str, dict[str, object]]
) -> dict[str, dict[str, float]]:
    """Errors of every method on one structure; each seed takes another section."""
    name, seed, path = task
    solid = true_structure(name, seed, path, shape)
    truth = measure(solid)
    section = solid[:, (30 + 40 * seed) % solid.shape[1]]
    results = {}
    for method, settings in methods.items():
        with tempfile.TemporaryDirectory() as folder:
            volume = {"slices": solid.shape[1], "width": solid.shape[2], "block_size": 128}
            file = reconstruct_search.study(Path(folder), section, **{**settings, "volume": volume, "seed": seed})
            run = md.run(file, Path(folder) / "run", listener=lambda event: None)
            results[method] = errors(measure(run.volume("structure-0").values > 0), truth)
    return results


def intervals(task: tuple[str, str | None], shape: tuple[int, int, int], replicates: int) -> list[str]:
    """Name, and 90 % intervals of three descriptors, of a synthetic membrane or a block of the rock."""
    import xarray as xr

    name, path = task
    if name.isdigit():
        import tifffile

        corner = list(product((0, 128, 256), repeat=3))[int(name)]
        solid = np.asarray(tifffile.imread(path))[tuple(slice(c, c + 128) for c in corner)] > 0
    else:
        solid = true_structure(name, 0, None, shape)
    with tempfile.TemporaryDirectory() as folder:
        volume = {"slices": solid.shape[1], "width": solid.shape[2], "block_size": 128}
        seed = int(name) if name.isdigit() else 0
        section = solid[:, solid.shape[1] // 2]
        file = reconstruct_search.study(Path(folder), section, volume=volume, seed=seed, replicates=replicates)
        run = md.run(file, Path(folder) / "run", listener=lambda event: None)
        results = [measure(run.volume(f"structure-{number}").values > 0) for number in range(replicates)]
    row, truth = [name], measure(solid)
    # Descriptor, index and digits; at a lag of four voxels the correlation is near a half.
    for descriptor, index, digits, scale in (
        ("porosity", 0, 3, "logit"), ("S2", 3, 3, "linear"), ("chord", 0, 2, "log")
    ):  # fmt: skip
        samples, reference = [result[descriptor][index] for result in results], truth[descriptor][index]
        low, high = (float(v) for v in md.replicate_interval(xr.DataArray(samples, dims="replicate"), scale=scale))
        mark = "" if low <= reference <= high else " *"
        row.append(f"{reference:.{digits}f}: {samples[0]:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]{mark}")
    return row


def main() -> None:
    """Print mean errors, then single volumes with intervals."""
    parser = argument_parser(__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rock", help="stack of binary images, TIFF")
    parser.add_argument("--truths", nargs="*", default=["layers", "graded", "spheres", "rock"])
    parser.add_argument("--blocks-only", action="store_true", help="only the volumes with intervals")
    parser.add_argument("--methods", nargs="*", choices=METHODS, default=list(METHODS))
    arguments = parser.parse_args()
    shape, methods, replicates = SHAPE, {name: METHODS[name] for name in arguments.methods}, 6
    if arguments.smoke:
        shape, methods, replicates = (96, 48, 96), {"direct": SMOKE_METHOD}, 3
        arguments.seeds, arguments.truths = 1, ["spheres"]
    if not arguments.rock:
        skipped("rock", "--rock names no image")
    names = [name for name in arguments.truths if name != "rock" or arguments.rock]
    with ProcessPoolExecutor(arguments.processes) as pool:
        if not arguments.blocks_only:
            tasks = [(name, seed, arguments.rock) for name in names for seed in range(arguments.seeds)]
            results = list(pool.map(functools.partial(errors_of_methods, shape=shape, methods=methods), tasks))
            print(
                f"{'structure':10}{'method':16}"
                + "".join(f"{column:>11}" for column in results[0][next(iter(methods))])
            )
            for name in names:
                rows = [result for (n, _, _), result in zip(tasks, results, strict=True) if n == name]
                for method in methods:
                    means = [np.mean([row[method][column] for row in rows]) for column in rows[0][method]]
                    print(f"{name:10}{method:16}" + "".join(f"{mean:11.1f}" for mean in means), flush=True)
        singles = [name for name in names if name != "rock"] + [str(number) for number in range(14) if arguments.rock]
        if singles:
            print("\nvolumes from one section: true value: estimate [90 % interval], * where it misses the true value")
            print(f"{'volume':8}{'porosity':>30}{'correlation at 4 voxels':>32}{'pore chord, voxels':>30}")
            tasks = [(name, arguments.rock) for name in singles]
            for row in pool.map(functools.partial(intervals, shape=shape, replicates=replicates), tasks):
                print(f"{row[0]:8}{row[1]:>30}{row[2]:>32}{row[3]:>30}", flush=True)


if __name__ == "__main__":
    main()
