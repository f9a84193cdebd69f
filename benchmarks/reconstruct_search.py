"""Error of each search method on random structures that are known, from one section of each.

    python benchmarks/reconstruct_search.py [--truths 20] [--processes 2] [--family layers] [--methods NAME ...]

Structures are drawn at random: two layers, as in the paper (``layers``), or a correlation width that grows with depth
(``graded``). A study gets one segmented section of 512 x 450 pixels, and a model of the same family. The methods are
those of the study:

direct      widths and porosity corrected from the descriptors, for eight closing radii, with four sections each
bayesian    32 trials of four sections: as many sections as ``direct`` simulates
random      the first 32 trials of a search without a surrogate model
published   60 trials of one section, each with noise of its own, as in the paper's program, with its two layers

The true error is the difference between the mean distance distributions of 24 sections of the structure and 24 of the
reconstruction, none of which was input (0 equal, 2 disjoint). The row "floor" gives the error of a single section of
the structure itself.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
from _common import argument_parser

import membrane_dask as md
from membrane_dask.physics.reconstruction.distance_objective import distance_features, distance_objective
from membrane_dask.physics.reconstruction.random_field import generate_window
from membrane_dask.physics.reconstruction.structures import Graded, Structure, TwoLayers

WIDTH, SECTIONS = 450, 24
DEPTH_RANGES = ((0.0, 0.2), (0.5, 1.0))
EDGES = np.linspace(1.0, 30.0, 51)
METHODS = {
    "direct": {"method": "direct", "roughness": [0.0]},
    "bayesian": {"method": "bayesian", "trials": 32, "initial": 12, "in_flight": 1, "roughness": [0.0]},
    "random": {"method": "bayesian", "trials": 32, "initial": 32, "in_flight": 1, "roughness": [0.0]},
    "published": {"method": "published", "trials": 60, "initial": 10, "in_flight": 1},
}


def random_structure(family: str, number: int) -> Structure:
    """Draw a structure of a family."""
    rng = np.random.default_rng([number, family == "graded"])
    closing = float(np.sqrt(rng.choice([0, 1, 2, 4, 6, 9])))
    fine, coarse = rng.uniform(1.2, 2.5), rng.uniform(3.0, 5.5)
    if family == "layers":
        return TwoLayers(
            sigma_1=fine, sigma_2=coarse, porosity=rng.uniform(0.25, 0.45), closing_radius=closing, closing_depth=0.25
        )
    return Graded(
        knots=(0, 1), sigma=(fine, coarse), porosity=tuple(rng.uniform(0.25, 0.45, 2)), closing_radius=closing
    )


def sections(structure: Structure, seed: int, count: int, depth: int) -> list[np.ndarray]:
    """Independent sections of a structure, True in the solid."""
    shape = (depth, 1, WIDTH)
    return [
        generate_window(structure, depth=depth, start=(0, 1000 * i, 0), shape=shape, seed=seed)[:, 0] > 0
        for i in range(count)
    ]


def features(solids: list[np.ndarray]) -> np.ndarray:
    """Mean distance distributions of some sections."""
    return np.mean([distance_features(solid, edges=EDGES, sections=DEPTH_RANGES) for solid in solids], axis=0)


def study(folder: Path, solid: np.ndarray, **settings: object) -> Path:
    """Write the study file of a segmented section, whose volume is a narrow strip."""
    import yaml

    iio.imwrite(folder / "section.png", np.where(solid, 255, 0).astype(np.uint8))
    defaults = {
        "kind": "reconstruct", "input": "section.png", "pixel_size": "3 nm", "seed": 1,
        "segmentation": {"method": "otsu", "presmooth": 0.0, "median": 1},
        "volume": {"slices": 1024, "width": 8, "block_size": 1024}, "cluster": {"profile": "sync"},
    }  # fmt: skip
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(defaults | settings))
    return path


def reconstructed(run: Any, prototype: Structure, depth: int) -> Structure:
    """Structure that a run selected, in voxels."""
    selected = run.result["structures"].to_dataset().isel(replicate=0)
    sigma, porosity = selected.sigma.values / 3.0, selected.porosity.values
    radius = float(selected.closing_radius) / 3.0 + 1e-9
    if isinstance(prototype, TwoLayers):
        return TwoLayers(
            sigma_1=sigma[0], sigma_2=sigma[1], porosity=porosity[0], closing_radius=radius, closing_depth=0.25,
            keep_variance=prototype.keep_variance,
        )  # fmt: skip
    return Graded(
        knots=tuple(selected.knot.values / 3.0 / (depth - 1)), sigma=tuple(sigma), porosity=tuple(porosity),
        closing_radius=radius, roughness=float(selected.roughness),
    )  # fmt: skip


def errors_of_methods(
    family: str, number: int, depth: int, count: int, methods: dict[str, dict[str, object]]
) -> dict[str, tuple[float, float, float]]:
    """True error, relative error of the widths, and CPU seconds of every method on one structure."""
    structure = random_structure(family, number)
    target = features(sections(structure, 100 + number, count, depth))
    section = sections(structure, 100 + number, count + 1, depth)[-1]
    results = {"floor": (distance_objective(features([section]), target), 0.0, 0.0)}
    for name, search in methods.items():
        model = {"depth": "layers" if name == "published" else family}
        with tempfile.TemporaryDirectory() as folder:
            path = study(Path(folder), section, search=search, model=model)
            start = time.process_time()
            run = md.run(path, Path(folder) / "run", listener=lambda event: None)
            seconds = time.process_time() - start
            prototype = TwoLayers(keep_variance=name != "published") if model["depth"] == "layers" else Graded()
            result = reconstructed(run, prototype, depth)
        error = distance_objective(features(sections(result, 7, count, depth)), target)
        heights = np.array([0.0, 1.0])
        true_widths, widths = (
            s.sigmas(heights)[[0, -1], [0, -1]] if isinstance(s, TwoLayers) else s.sigmas(heights)[0]
            for s in (structure, result)
        )
        results[name] = (error, float(np.abs(widths / true_widths - 1).mean()), seconds)
    return results


def main() -> None:
    """Print medians and quartiles over the structures."""
    parser = argument_parser(__doc__)
    parser.add_argument("--truths", type=int, default=20, help="number of random structures")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--family", choices=["layers", "graded", "both"], default="both")
    parser.add_argument("--methods", nargs="*", choices=METHODS, default=list(METHODS))
    arguments = parser.parse_args()
    depth, count, methods = 512, SECTIONS, {name: METHODS[name] for name in arguments.methods}
    if arguments.smoke:
        depth, count, arguments.truths, arguments.family = 128, 2, 1, "graded"
        methods = {
            "direct": {"method": "direct", "closing_radius": [2.0], "roughness": [0.0]},
            "bayesian": {"method": "bayesian", "trials": 2, "initial": 2, "in_flight": 1, "roughness": [0.0]},
        }
    for family in ("layers", "graded") if arguments.family == "both" else (arguments.family,):
        with ProcessPoolExecutor(arguments.processes) as pool:
            futures = [
                pool.submit(errors_of_methods, family, number, depth, count, methods)
                for number in range(arguments.truths)
            ]
            results = [future.result() for future in futures]
        print(f"{family}: {arguments.truths} structures")
        print(f"{'':12}{'true error':>12}{'quartiles':>18}{'mean':>8}{'width error':>12}{'CPU s':>8}")
        for name in results[0]:
            errors, widths, seconds = (np.array(column) for column in zip(*(r[name] for r in results), strict=True))
            low, middle, high = np.quantile(errors, [0.25, 0.5, 0.75])
            print(f"{name:12}{middle:12.3f}{low:10.3f}{high:8.3f}{errors.mean():8.3f}"
                  f"{statistics.median(widths):12.1%}{statistics.median(seconds):8.1f}")  # fmt: skip
        print(flush=True)


if __name__ == "__main__":
    main()
