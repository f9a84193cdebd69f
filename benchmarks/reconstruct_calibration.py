"""How often the intervals of a reconstruction hold the truth.

    python benchmarks/reconstruct_calibration.py [--trials 100] [--processes 2] [--rock berea.tif]

Structures are drawn at random, half with two layers and half graded, and each is shown as one segmented section of
320 x 320 pixels. A study with six replicates gives 90 % intervals of the porosity and of the correlation length at
the knots; the truth is that of 48 other sections. ``--rock`` adds sections of a stack of binary images (0 pore),
each judged by the whole stack. Asked are 85 to 95 %.
"""

from __future__ import annotations

import argparse
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import reconstruct_search as search

import membrane_dask as md
from membrane_dask.physics.reconstruction.descriptors import average, half_correlation_length
from membrane_dask.physics.reconstruction.matching import Scale, Windows
from membrane_dask.physics.reconstruction.random_field import Graded, block

SIZE, REPLICATES, CONFIDENCE = 320, 6, 0.9


def covered(solid: np.ndarray, others: list[np.ndarray], seed: int) -> tuple[bool, list[bool], float, float]:
    """Whether the intervals hold the truth: of the porosity, and of the length at every knot; and the half-widths."""
    with tempfile.TemporaryDirectory() as folder:
        how = {"search": {"roughness": [0.0, 0.2]}, "replicates": REPLICATES, "seed": seed}
        path = search.study(Path(folder), solid, **how)
        run = md.run(path, Path(folder) / "run", listener=lambda event: None)
        chosen = run.result["structures"].to_dataset().load()
    knots = tuple(chosen.knot.values / 3.0 / (len(solid) - 1))
    prototype = Graded(knots=knots, sigma=(1.0,) * len(knots), porosity=(0.5,) * len(knots))
    scale = Scale.of(solid)
    windows = Windows.of(prototype, len(solid), ())
    true = windows.target(average([scale.describe(other) for other in others]))
    lengths = half_correlation_length(true.texture.correlation, scale.lags) * 3.0
    porosity = 1 - np.mean(others)
    low, high = (found.values for found in md.interval(chosen.volume_porosity, CONFIDENCE))
    short, long = (found.values for found in md.interval(chosen.correlation_length, CONFIDENCE))
    held = [bool(a <= length <= b) for a, length, b in zip(short, lengths, long, strict=True)]
    return (
        bool(low <= porosity <= high),
        held,
        float(high - low) / 2 / porosity,
        float(((long - short) / 2 / lengths).mean()),
    )


def one(number: int) -> tuple[bool, list[bool], float, float]:
    """A structure drawn at random; another one where closing left no pores at some depth, which a study refuses."""
    truth = search.drawn(("layers", "graded")[number % 2], number)
    shape = (SIZE, 1, SIZE)
    solids = [
        block(truth, depth=SIZE, start=(0, 1000 * i, 0), shape=shape, seed=500 + number)[:, 0] > 0 for i in range(49)
    ]
    try:
        return covered(solids[0], solids[1:], number)
    except md.StudyError as refused:
        print(f"structure {number}: {refused}; another is drawn", flush=True)
        return one(number + 1000)


def rock(task: tuple[str, int]) -> tuple[bool, list[bool], float, float]:
    """A section of a stack."""
    import tifffile

    path, number = task
    stack = np.asarray(tifffile.imread(path)) > 0
    return covered(stack[number], list(stack[:: max(1, len(stack) // 100)]), number)


def main() -> None:
    """Print how many intervals hold the truth."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rock", help="stack of binary images, TIFF")
    asked = parser.parse_args()
    with ProcessPoolExecutor(asked.processes) as pool:
        groups = [("synthetic", list(pool.map(one, range(asked.trials))))]
        if asked.rock:
            sections = [(asked.rock, number) for number in range(10, 400, 20)]
            groups.append(("rock", list(pool.map(rock, sections))))
    for name, answers in groups:
        porosity = np.array([a[0] for a in answers])
        lengths = np.concatenate([a[1] for a in answers])
        widths = np.nanmedian([a[2:] for a in answers], axis=0)
        print(f"{name}: {len(answers)} sections, {CONFIDENCE:.0%} intervals from {REPLICATES} replicates")
        for what, held, width in (("porosity", porosity, widths[0]), ("correlation length", lengths, widths[1])):
            error = 1.96 * np.sqrt(held.mean() * (1 - held.mean()) / len(held))
            print(f"  {what:20}{held.mean():6.1%} +- {error:.1%} of {len(held)}; half-width {width:.1%} of the value")


if __name__ == "__main__":
    main()
