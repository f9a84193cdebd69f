"""Coverage of the 90 % intervals of a reconstruction.

    python benchmarks/reconstruct_calibration.py [--trials 100] [--processes 2] [--rock berea.tif]

Structures are drawn at random, half with two layers and half graded; a study gets one segmented section of 320 x 320
pixels of each. Six replicates give 90 % intervals of the porosity and of the correlation length at the knots; the true
values are those of 48 other sections. ``--rock`` adds sections of a stack of binary images (0 pore), whose true values
are those of the whole stack. Between 85 and 95 % of the intervals must contain the true value.
"""

from __future__ import annotations

import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import reconstruct_search
from _common import argument_parser, skipped

import membrane_dask as md
from membrane_dask.physics.reconstruction.depth_windows import DepthWindows
from membrane_dask.physics.reconstruction.descriptors import DescriptorScales, average, half_correlation_length
from membrane_dask.physics.reconstruction.random_field import generate_window
from membrane_dask.physics.reconstruction.structures import Graded

SIZE, REFERENCE_SECTIONS, REPLICATES, CONFIDENCE = 320, 48, 6, 0.9

#: Coverage of the porosity and of the length at each knot, and the relative half-widths of both intervals.
Coverage = tuple[bool, list[bool], float, float]


def coverage(solid: np.ndarray, references: list[np.ndarray], seed: int, replicates: int) -> Coverage:
    """Whether the intervals from one section contain the true values of the reference sections."""
    with tempfile.TemporaryDirectory() as folder:
        settings = {"search": {"roughness": [0.0, 0.2]}, "replicates": replicates, "seed": seed}
        path = reconstruct_search.study(Path(folder), solid, **settings)
        run = md.run(path, Path(folder) / "run", listener=lambda event: None)
        structures = run.result["structures"].to_dataset().load()
    knots = tuple(structures.knot.values / 3.0 / (len(solid) - 1))
    prototype = Graded(knots=knots, sigma=(1.0,) * len(knots), porosity=(0.5,) * len(knots))
    scales = DescriptorScales.suited_to(solid)
    windows = DepthWindows.of(prototype, len(solid), ())
    target = windows.target(average([scales.describe(reference) for reference in references]))
    lengths = half_correlation_length(target.descriptors.correlation, scales.lags) * 3.0
    porosity = 1 - np.mean(references)
    low, high = (limit.values for limit in md.replicate_interval(structures.volume_porosity, CONFIDENCE))
    short, long = (limit.values for limit in md.replicate_interval(structures.correlation_length, CONFIDENCE))
    return (
        bool(low <= porosity <= high),
        [bool(a <= length <= b) for a, length, b in zip(short, lengths, long, strict=True)],
        float(high - low) / 2 / porosity,
        float(((long - short) / 2 / lengths).mean()),
    )


def coverage_of_structure(number: int, size: int, references: int, replicates: int) -> Coverage:
    """Coverage for a random structure; the next one where closing leaves no pores, which a study refuses."""
    structure = reconstruct_search.random_structure(("layers", "graded")[number % 2], number)
    solids = [
        generate_window(structure, depth=size, start=(0, 1000 * i, 0), shape=(size, 1, size), seed=500 + number)[:, 0]
        > 0
        for i in range(references + 1)
    ]
    try:
        return coverage(solids[0], solids[1:], number, replicates)
    except md.StudyError as error:
        print(f"structure {number}: {error}; replaced by structure {number + 1000}", flush=True)
        return coverage_of_structure(number + 1000, size, references, replicates)


def coverage_of_rock(path: str, number: int) -> Coverage:
    """Coverage for one section of a stack."""
    import tifffile

    stack = np.asarray(tifffile.imread(path)) > 0
    return coverage(stack[number], list(stack[:: max(1, len(stack) // 100)]), number, REPLICATES)


def main() -> None:
    """Print the coverage of the intervals."""
    parser = argument_parser(__doc__)
    parser.add_argument("--trials", type=int, default=100, help="number of random structures")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rock", help="stack of binary images, TIFF")
    arguments = parser.parse_args()
    size, references, replicates = SIZE, REFERENCE_SECTIONS, REPLICATES
    if arguments.smoke:
        size, references, replicates, arguments.trials = 128, 2, 3, 1
    if not arguments.rock:
        skipped("rock", "--rock names no image")
    with ProcessPoolExecutor(arguments.processes) as pool:
        futures = {
            "synthetic": [
                pool.submit(coverage_of_structure, number, size, references, replicates)
                for number in range(arguments.trials)
            ]
        }
        if arguments.rock:
            futures["rock"] = [pool.submit(coverage_of_rock, arguments.rock, number) for number in range(10, 400, 20)]
        groups = {name: [future.result() for future in group] for name, group in futures.items()}
    for name, results in groups.items():
        porosity = np.array([result[0] for result in results])
        lengths = np.concatenate([result[1] for result in results])
        widths = np.nanmedian([result[2:] for result in results], axis=0)
        print(f"{name}: {len(results)} sections, {CONFIDENCE:.0%} intervals from {replicates} replicates")
        for quantity, covered, width in (("porosity", porosity, widths[0]), ("correlation length", lengths, widths[1])):
            fraction = covered.mean()
            error = 1.96 * np.sqrt(fraction * (1 - fraction) / len(covered))
            print(f"  {quantity:20}{fraction:6.1%} +- {error:.1%} of {len(covered)}; "
                  f"half-width {width:.1%} of the value")  # fmt: skip


if __name__ == "__main__":
    main()
