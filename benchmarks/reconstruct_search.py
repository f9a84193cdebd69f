"""How near each search comes to a structure that is known, given one section of it.

    python benchmarks/reconstruct_search.py [--truths 20] [--processes 2] [--family layers]

Truths are drawn at random: two layers, as the paper has them (``layers``), or a width that grows with depth
(``graded``). Each is shown as one section of 512 x 450 pixels, already segmented. Searched by the study's own
methods, with the kind of structure that the truth has:

direct      widths and porosity corrected by what is seen, for eight closings, with four sections
bayesian    32 trials of four sections: as many sections as ``direct`` cuts
random      the first 32 trials of a search that never learns
published   60 trials, each of one section in noise of its own, as the paper's program did it, with its two layers

The true error is the difference of the mean distance distributions of 24 sections of the truth and of what was
found, none of which was seen (0 the same, 2 disjoint). The floor is that of a single section of the truth.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import imageio.v3 as iio
import numpy as np

import membrane_dask as md
from membrane_dask.physics.imaging.micrograph import distance_features, distance_objective
from membrane_dask.physics.reconstruction.matching import parameters
from membrane_dask.physics.reconstruction.random_field import Graded, Structure, TwoLayers, block

DEPTH, WIDTH, SECTIONS = 512, 450, 24
PARTS = ((0.0, 0.2), (0.5, 1.0))
EDGES = np.linspace(1.0, 30.0, 51)
METHODS = {
    "direct": {"method": "direct", "roughness": [0.0]},
    "bayesian": {"method": "bayesian", "trials": 32, "initial": 12, "in_flight": 1, "roughness": [0.0]},
    "random": {"method": "bayesian", "trials": 32, "initial": 32, "in_flight": 1, "roughness": [0.0]},
    "published": {"method": "published", "trials": 60, "initial": 10, "in_flight": 1},
}


def drawn(family: str, number: int) -> Structure:
    """A structure drawn at random."""
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


def sections(structure: Structure, seed: int, count: int) -> list[np.ndarray]:
    """Sections that know nothing of each other, True in the solid."""
    shape = (DEPTH, 1, WIDTH)
    return [
        block(structure, depth=DEPTH, start=(0, 1000 * i, 0), shape=shape, seed=seed)[:, 0] > 0 for i in range(count)
    ]


def features(solids: list[np.ndarray]) -> np.ndarray:
    """Mean distance distributions."""
    return np.mean([distance_features(solid, edges=EDGES, sections=PARTS) for solid in solids], axis=0)


def study(folder: Path, solid: np.ndarray, **how: object) -> Path:
    """A study of a section that is segmented already; its volume is a strip."""
    import yaml

    iio.imwrite(folder / "section.png", np.where(solid, 255, 0).astype(np.uint8))
    words = {
        "kind": "reconstruct", "input": "section.png", "pixel_size": "3 nm", "seed": 1,
        "segmentation": {"method": "otsu", "presmooth": 0.0, "median": 1},
        "volume": {"slices": 1024, "width": 8, "block": 1024}, "cluster": {"profile": "sync"},
    }  # fmt: skip
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(words | how))
    return path


def found(run: md.Run, replicate: int, prototype: Structure) -> Structure:  # type: ignore[name-defined]
    """The structure that a run chose, in voxels."""
    chosen = run.result["structures"].to_dataset().isel(replicate=replicate)
    sigma, porosity = chosen.sigma.values / 3.0, chosen.porosity.values
    radius = float(chosen.closing_radius) / 3.0 + 1e-9
    if isinstance(prototype, TwoLayers):
        return TwoLayers(
            sigma_1=sigma[0], sigma_2=sigma[1], porosity=porosity[0], closing_radius=radius, closing_depth=0.25,
            keep_variance=prototype.keep_variance,
        )  # fmt: skip
    knots = tuple(chosen.knot.values / 3.0 / (DEPTH - 1))
    return Graded(
        knots=knots,
        sigma=tuple(sigma),
        porosity=tuple(porosity),
        closing_radius=radius,
        roughness=float(chosen.roughness),
    )


def one(task: tuple[str, int]) -> dict[str, tuple[float, float, float]]:
    """True error, error of the widths, and CPU seconds of every method on one truth."""
    family, number = task
    truth = drawn(family, number)
    true = features(sections(truth, 100 + number, SECTIONS))
    seen = sections(truth, 100 + number, SECTIONS + 1)[-1]
    answers = {"floor": (distance_objective(features([seen]), true), 0.0, 0.0)}
    for name, search in METHODS.items():
        model = {"depth": "layers" if name == "published" else family}
        with tempfile.TemporaryDirectory() as folder:
            path = study(Path(folder), seen, search=search, model=model)
            begin = time.process_time()
            run = md.run(path, Path(folder) / "run", listener=lambda event: None)
            seconds = time.process_time() - begin
            plain = TwoLayers(keep_variance=name != "published") if model["depth"] == "layers" else Graded()
            answer = found(run, 0, plain)
        error = distance_objective(features(sections(answer, 7, SECTIONS)), true)
        heights = np.array([0.0, 1.0])
        widths = [
            s.sigmas(heights)[[0, -1], [0, -1]] if isinstance(s, TwoLayers) else s.sigmas(heights)[0]
            for s in (truth, answer)
        ]
        answers[name] = (error, float(np.abs(widths[1] / widths[0] - 1).mean()), seconds)
    assert parameters(truth) is not None
    return answers


def main() -> None:
    """Print medians and quartiles over the truths."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--truths", type=int, default=20)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--family", choices=["layers", "graded", "both"], default="both")
    asked = parser.parse_args()
    for family in ("layers", "graded") if asked.family == "both" else (asked.family,):
        with ProcessPoolExecutor(asked.processes) as pool:
            answers = list(pool.map(one, [(family, number) for number in range(asked.truths)]))
        print(f"{family}: {asked.truths} truths")
        print(f"{'':12}{'true error':>12}{'quartiles':>18}{'mean':>8}{'widths off':>12}{'CPU s':>8}")
        for name in answers[0]:
            errors, widths, seconds = (np.array(column) for column in zip(*(a[name] for a in answers), strict=True))
            low, middle, high = np.quantile(errors, [0.25, 0.5, 0.75])
            print(f"{name:12}{middle:12.3f}{low:10.3f}{high:8.3f}{errors.mean():8.3f}"
                  f"{statistics.median(widths):12.1%}{statistics.median(seconds):8.1f}")  # fmt: skip
        print(flush=True)


if __name__ == "__main__":
    main()
