"""How true reconstructed volumes are: structures that are known in three dimensions, each from one section.

    python benchmarks/reconstruct_truths.py [--seeds 3] [--processes 2] [--rock berea.tif]

layers   the paper's two layers: widths 1.6 and 4.2, porosity 0.3, closed by a ball of radius 2 below a quarter
graded   one field, width 1.2 to 5 with depth, porosity 0.22 to 0.36, closed by a ball of radius 2
balls    overlapping solid balls, radius 3 to 9 voxels with depth, porosity about 0.28: graded, not Gaussian
rock     ``--rock``: a stack of binary images (0 pore), and its 14 blocks of 128^3 whose permeability is known

Truths are 512 x 160 x 450 voxels. Errors in %: porosity; two-point correlation (mean difference of the
normalised function at 1 to 40 voxels along all axes, over its mean); mean pore chord; mean radius of the balls
that fit into the pores (openings by digital balls), also as the mean over quarters of the depth (``_w``); and the
largest difference of that radius' distribution, mean over the quarters (PSD). Of the pore networks: number of pores,
mean radii of pores (equal volume) and throats (equal area), and mean coordination number.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import reconstruct_search as search

import membrane_dask as md
from membrane_dask.physics.imaging.distance import Box, squared_distances
from membrane_dask.physics.imaging.filters import dilated, pack_rows
from membrane_dask.physics.imaging.network_extraction import assemble
from membrane_dask.physics.imaging.watershed import Markers, basins
from membrane_dask.physics.reconstruction.descriptors import chord_lengths
from membrane_dask.physics.reconstruction.random_field import Graded, TwoLayers, block

SHAPE = (512, 160, 450)
SQUARES = np.array([1, 2, 4, 6, 9, 12, 16, 20, 25, 30, 36, 42, 49, 56, 64, 72, 81, 100, 121])
METHODS: dict[str, dict[str, object]] = {
    "direct": {},
    "direct, smooth": {"search": {"roughness": [0.0]}},
    "direct, layers": {"search": {"roughness": [0.0]}, "model": {"depth": "layers"}},
    "published": {"search": {"method": "published", "trials": 40, "initial": 10, "in_flight": 1}},
}


def truth(name: str, seed: int, path: str | None) -> np.ndarray:
    """A structure ``(z, y, x)``, True in the solid."""
    if name == "rock":
        import tifffile

        return np.asarray(tifffile.imread(path))[:, 120:280] > 0
    if name == "balls":
        return balls(seed)
    closed = {"closing_radius": 2.0}
    structure = {
        "layers": TwoLayers(sigma_1=1.6, sigma_2=4.2, porosity=0.3, closing_depth=0.25, **closed),
        "graded": Graded(knots=(0, 1), sigma=(1.2, 5.0), porosity=(0.22, 0.36), **closed),
    }[name]
    return block(structure, depth=SHAPE[0], start=(0, 0, 0), shape=SHAPE, seed=40 + seed) > 0


def balls(seed: int, porosity: float = 0.28) -> np.ndarray:
    """Overlapping solid balls whose radius grows with depth; as many at each depth as leave the porosity."""
    rng = np.random.default_rng(seed)
    z = np.arange(-12, SHAPE[0] + 12)
    radius = 3 + 6 * np.clip(z / SHAPE[0], 0, 1)
    density = -np.log(porosity) / (4 / 3 * np.pi * radius**3)
    solid = np.zeros((len(z), SHAPE[1] + 24, SHAPE[2] + 24), bool)
    for k, count in enumerate(rng.poisson(density * solid[0].size)):
        r = radius[k]
        reach = int(r)
        for y, x in zip(rng.uniform(0, solid.shape[1], count), rng.uniform(0, solid.shape[2], count), strict=True):
            low = [max(0, k - reach), max(0, int(y - r)), max(0, int(x - r))]
            high = [
                min(len(z), k + reach + 1),
                min(solid.shape[1], int(y + r) + 2),
                min(solid.shape[2], int(x + r) + 2),
            ]
            grid = np.ogrid[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
            inside = (grid[0] - k) ** 2 + (grid[1] - y) ** 2 + (grid[2] - x) ** 2 <= r * r
            solid[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] |= inside
    return solid[12:-12, 12:-12, 12:-12]


def measure(solid: np.ndarray) -> dict[str, np.ndarray]:
    """What is compared, over the whole and by quarter of the depth."""
    pores = ~solid
    phi = pores.mean()
    correlation = []
    for axis in range(3):
        moved = np.moveaxis(pores, axis, -1)
        lags = [lag for lag in range(1, 41) if lag < moved.shape[-1] // 2]
        correlation.append([(moved[..., :-lag] & moved[..., lag:]).mean() for lag in lags])
    two_point = (np.concatenate(correlation) - phi**2) / (phi - phi**2)
    quarters = [round(len(solid) * q / 4) for q in range(5)]
    parts = [pores[a:b] for a, b in pairwise(quarters)]
    return {
        "porosity": np.array([phi]),
        "porosity_w": np.array([part.mean() for part in parts]),
        "S2": two_point,
        "chord": np.array([chord_lengths(pores).mean()]),
        "PSD": fitting(pores),
        **network(pores),
    }


def network(pores: np.ndarray) -> dict[str, np.ndarray]:
    """What is compared of the pore network."""
    markers = Markers()
    box = Box((0, 0, 0), pores.shape, markers.margin, pores.shape)
    part, _ = basins(squared_distances(pores), box, markers)
    found = assemble([part], pores.shape, 1.0, markers).network
    inner = found.throat_conns[:, 1] >= 0
    return {
        "pores": np.array([len(found.junctions)]),
        "body": np.array([found.bodies["equivalent_radius"].mean()]),
        "throat": np.array([found.radius[inner].mean()]),
        "coord": np.array([found.bodies["coordination_number"].mean()]),
    }


def fitting(pores: np.ndarray) -> np.ndarray:
    """Share of the pores of each quarter into which balls of each radius fit, ``(quarters, n_radii + 1)``."""
    bits = pack_rows(np.ascontiguousarray(pores.transpose(1, 0, 2)), pores.shape[2] + 64)
    inside = pack_rows(np.ones((pores.shape[1], pores.shape[0], pores.shape[2]), bool), pores.shape[2] + 64)
    quarters = [round(len(pores) * q / 4) for q in range(5)]

    def counted(image: np.ndarray) -> list[int]:
        return [int(np.bitwise_count(image[:, a:b]).sum()) for a, b in pairwise(quarters)]

    left = [counted(bits)]
    for square in SQUARES:
        eroded = inside & ~dilated(inside & ~bits, int(square))
        left.append(counted(inside & dilated(eroded, int(square))))
    shares = np.array(left, float).T
    return shares / shares[:, :1]


def radius(shares: np.ndarray) -> np.ndarray:
    """Mean radius from the shares into which balls fit."""
    edges = np.concatenate([[0.0], np.sqrt(SQUARES)])
    return (-np.diff(shares, axis=1) * (edges[:-1] + edges[1:]) / 2).sum(axis=1) + shares[:, -1] * edges[-1]


def errors(found: Mapping[str, np.ndarray], true: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Errors in percent."""

    def relative(name: str) -> float:
        return 100 * float(np.abs(found[name] / true[name] - 1).mean())

    sizes, true_sizes = radius(found["PSD"]), radius(true["PSD"])
    weights = true["porosity_w"] / true["porosity_w"].sum()
    return {
        "porosity": relative("porosity"),
        "porosity_w": relative("porosity_w"),
        "S2": 100 * float(np.abs(found["S2"] - true["S2"]).mean() / np.abs(true["S2"]).mean()),
        "chord": relative("chord"),
        "radius": 100 * abs(float(sizes @ weights / (true_sizes @ weights)) - 1),
        "radius_w": 100 * float(np.abs(sizes / true_sizes - 1).mean()),
        "PSD": 100 * float(np.abs(found["PSD"] - true["PSD"]).max(axis=1).mean()),
        **{name: relative(name) for name in ("pores", "body", "throat", "coord")},
    }


def one(task: tuple[str, int, str | None]) -> dict[str, dict[str, float]]:
    """Every method on one truth; each seed sees another section."""
    name, seed, path = task
    solid = truth(name, seed, path)
    true = measure(solid)
    section = solid[:, 30 + 40 * seed]
    answers = {}
    for method, how in METHODS.items():
        with tempfile.TemporaryDirectory() as folder:
            volume = {"slices": solid.shape[1], "width": solid.shape[2], "block": 128}
            file = search.study(Path(folder), section, **{**how, "volume": volume, "seed": seed})
            run = md.run(file, Path(folder) / "run", listener=lambda event: None)
            answers[method] = errors(measure(run.volume("structure-0").values > 0), true)
    return answers


def block_of(task: tuple[str, str | None]) -> list[str]:
    """One of the rock's blocks, or a synthetic membrane, from one section, with 90 % intervals."""
    name, path = task
    if name.isdigit():
        import tifffile

        corner = list(product((0, 128, 256), repeat=3))[int(name)]
        solid = np.asarray(tifffile.imread(path))[tuple(slice(c, c + 128) for c in corner)] > 0
    else:
        solid = truth(name, 0, None)
    with tempfile.TemporaryDirectory() as folder:
        volume = {"slices": solid.shape[1], "width": solid.shape[2], "block": 128}
        seed = int(name) if name.isdigit() else 0
        section = solid[:, solid.shape[1] // 2]
        file = search.study(Path(folder), section, volume=volume, seed=seed, replicates=6)
        run = md.run(file, Path(folder) / "run", listener=lambda event: None)
        found = [measure(run.volume(f"structure-{r}").values > 0) for r in range(6)]
    row, true = [name], measure(solid)
    lag = 4  # the two-point correlation there, near a half
    values = {
        "porosity": ([m["porosity"][0] for m in found], true["porosity"][0], 3),
        "S2": ([m["S2"][lag - 1] for m in found], true["S2"][lag - 1], 3),
        "chord": ([m["chord"][0] for m in found], true["chord"][0], 2),
    }
    import xarray as xr

    for samples, right, digits in values.values():
        low, high = (float(v) for v in md.interval(xr.DataArray(samples, dims="replicate")))
        mark = "" if low <= right <= high else " *"
        row.append(f"{right:.{digits}f}: {samples[0]:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]{mark}")
    return row


def main() -> None:
    """Print mean errors, then single volumes with intervals."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rock", help="stack of binary images, TIFF")
    parser.add_argument("--truths", nargs="*", default=["layers", "graded", "balls", "rock"])
    parser.add_argument("--blocks-only", action="store_true")
    asked = parser.parse_args()
    names = [name for name in asked.truths if name != "rock" or asked.rock]
    with ProcessPoolExecutor(asked.processes) as pool:
        if not asked.blocks_only:
            tasks = [(name, seed, asked.rock) for name in names for seed in range(asked.seeds)]
            answers = list(pool.map(one, tasks))
            print(f"{'truth':8}{'method':16}" + "".join(f"{head:>11}" for head in answers[0]["direct"]))
            for name in names:
                rows = [a for (n, _, _), a in zip(tasks, answers, strict=True) if n == name]
                for method in METHODS:
                    means = [np.mean([row[method][head] for row in rows]) for head in rows[0][method]]
                    print(f"{name:8}{method:16}" + "".join(f"{mean:11.1f}" for mean in means), flush=True)
        singles = [name for name in names if name != "rock"] + [str(number) for number in range(14) if asked.rock]
        if singles:
            print("\nmembranes and blocks of the rock from one section: truth: found [90 % interval], * where missed")
            print(f"{'block':6}{'porosity':>30}{'correlation at 4 voxels':>32}{'pore chord, voxels':>30}")
            for row in pool.map(block_of, [(name, asked.rock) for name in singles]):
                print(f"{row[0]:6}{row[1]:>30}{row[2]:>32}{row[3]:>30}", flush=True)


if __name__ == "__main__":
    main()
