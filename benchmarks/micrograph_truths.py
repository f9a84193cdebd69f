"""Errors of reconstructions from micrographs of known membranes, with blur, noise, shading and curtains.

    python benchmarks/micrograph_truths.py [--berea berea.zip] [--earlier CHECKOUT] [--lines FILE] [--tables errors ...]

errors      difference of the best match from each truth, of one volume of the same size, and means of absolute errors
imaging     blur and noise that are read from 50 images, whose blur is 0 to 2 pixels
binary      an ideal section: pixels that the segmentation changes, and whether the match is that of the section
fine        sections made at half the pixel: half-correlation length of the match
cost        CPU time of a trial

Methods of ``errors``: ``blurred`` is the study as it is, ``median`` the same with the segmentation of earlier versions
(``presmooth: 1, median: 3``), ``section`` gets the true section as a binary image. ``--earlier`` names a checkout of an
earlier version of the package, which is measured on the same images (``earlier``), and whose trials are timed in turn
with those of this version. ``--lines`` names a file that keeps the results of each run, so that the benchmark may be
interrupted and continued. Rock is used if ``--berea`` names its tomogram.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from _common import argument_parser, skipped
from _micrograph_truths import (
    BLURS_OF_A,
    BLURS_OF_BEREA,
    PUBLIC_SHAPE,
    TABLE,
    Imaging,
    half_lengths,
    half_pixel_truth,
    public_truth,
    random_truth,
)
from _reconstruct_rows import (
    VOXEL,
    append_line,
    estimates,
    print_circumstances,
    properties_of_run,
    properties_of_volume,
    read_lines,
    reconstruct,
    write_study,
)

import membrane_dask as md

#: Eight candidates: five closings, and roughness for the best three of them.
SEARCH: dict[str, Any] = {"closing_radius": [0, 1.4143, 2, 2.4495, 3], "roughness": [0, 0.2]}
METHODS: dict[str, dict[str, Any]] = {
    "earlier": {},
    "median": {"segmentation": {"presmooth": 1, "median": 3}},
    "blurred": {},
    "section": {},
}
COLUMNS = {
    "porosity": "porosity", "LT": "pore_radius_mean", "body": "body_radius_mean", "throat": "throat_radius_mean",
    "coord.": "coordination_number_mean", "n": "n_pores",
}  # fmt: skip
#: Columns that are compared for rock.
_SIZES = ("throat", "body", "LT")
#: Rows that are given by quarter of the depth.
_QUARTERS = ("half_length", "pore_radius_mean")
#: Widths of the fields of sections at half the pixel, pixels: half-correlation lengths of 0.93, 1.38, and 2.4 to 3.4.
FINE_WIDTHS = ((0.79,), (1.18,), (2.03, 2.90))
FINE_BLURS = (0.5, 1.0, 1.5)
Task = dict[str, Any]


# -- one task, in a process of its own


def truth_task(task: Task) -> dict[str, Any]:
    """Properties of a truth."""
    truth = public_truth(task["truth"], tuple(task["shape"]), task["berea"])
    with tempfile.TemporaryDirectory() as folder:
        return properties_of_volume(Path(folder), truth.solid)


def errors_task(task: Task) -> dict[str, Any]:
    """Properties of the best match."""
    truth = public_truth(task["truth"], tuple(task["shape"]), task["berea"])
    image = np.where(truth.section, 255, 0).astype(np.uint8) if task["method"] == "section" else truth.image
    slices = truth.solid.shape[1]
    settings = {"search": task["search"], "volume": {"slices": slices, "block_size": slices}, "seed": task["seed"]}
    with tempfile.TemporaryDirectory() as folder:
        run = reconstruct(Path(folder), image, settings | METHODS[task["method"]])
        rows = properties_of_run(Path(folder))
        return {"match": {row: values[0] for row, values in rows.items()}, "estimates": estimates(run)}


def imaging_task(task: Task) -> dict[str, Any]:
    """Blur, noise and levels of images, and what runs read from them."""
    images = []
    for number in task["numbers"]:
        rng = np.random.default_rng([31, number])
        imaging = Imaging(rng.uniform(0, 2), rng.uniform(0.02, 0.10), (0.24, 0.66), number)
        section = random_truth(number, tuple(task["shape"])).section
        image = {"true": [imaging.blur, imaging.noise, *imaging.levels]}
        with tempfile.TemporaryDirectory() as folder:
            try:
                run = reconstruct(Path(folder), imaging.image(section), _one_trial())
                images.append(image | {"estimates": estimates(run).get("imaging", {})})
            except md.StudyError as error:
                images.append(image | {"refused": str(error)})
    return {"images": images}


def binary_task(task: Task) -> dict[str, Any]:
    """Fraction of the pixels of binary sections that the segmentation changes."""
    changed = {}
    for name in task["truths"]:
        truth = public_truth(name, tuple(task["shape"]))
        with tempfile.TemporaryDirectory() as folder:
            run = reconstruct(Path(folder), np.where(truth.section, 255, 0).astype(np.uint8), _one_trial())
            solid = run.result["micrograph"].to_dataset().solid.values > 0
            changed[name] = 100 * float(np.mean(solid != truth.section))
    return changed


def fine_task(task: Task) -> dict[str, Any]:
    """Half-correlation lengths, by quarter, of sections made at half the pixel and of the matches."""
    images = []
    for number in task["numbers"]:
        truth = half_pixel_truth(tuple(task["sigma"]), task["blur"], number, tuple(task["shape"]))
        settings = {"search": {"closing_radius": [0], "roughness": [0]}, "volume": {"slices": 64}, "seed": 1}
        image: dict[str, Any] = {"length": truth.length.tolist()}
        with tempfile.TemporaryDirectory() as folder:
            try:
                run = reconstruct(Path(folder), truth.image, settings)
                volume = run.volume("structure-0")
                edge = float(volume.x[1] - volume.x[0]) / VOXEL  # pixels
                lengths = half_lengths(volume.values > 0) * edge
                images.append(image | {"match": lengths.tolist(), "estimates": estimates(run)})
            except md.StudyError as error:
                images.append(image | {"refused": str(error)})
    return {"images": images}


def cost_task(task: Task) -> dict[str, Any]:
    """CPU seconds of a trial, and of what precedes the trials."""
    truth = public_truth(task["truth"], tuple(task["shape"]), task["berea"])
    small = {"volume": {"slices": 8, "width": 8, "block_size": 8}}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        reconstruct(folder, truth.image, _one_trial())  # compiles, or loads what was compiled
        path = write_study(folder, truth.image, {"search": task["search"]} | small)
        start = time.process_time()
        plan = md.plan(path)
        planned = time.process_time()
        run = md.run(plan, folder / "timed", listener=lambda event: None)
        end = time.process_time()
        trials = run.result["trials"].to_dataset().sizes["trial"]
    return {"plan": planned - start, "trial": (end - planned) / trials}


def _one_trial() -> dict[str, Any]:
    return {
        "search": {"closing_radius": [0], "roughness": [0]},
        "volume": {"slices": 8, "width": 8, "block_size": 8},
    }


WORK: dict[str, Callable[[Task], dict[str, Any]]] = {
    "truth": truth_task, "errors": errors_task, "imaging": imaging_task, "binary": binary_task, "fine": fine_task,
    "cost": cost_task,
}  # fmt: skip
TABLES = ["errors", "imaging", "binary", "fine", "cost"]


# -- all tasks


class Results:
    """Results of tasks, each computed by a process of its own unless the file has it."""

    def __init__(self, path: Path | None, earlier: str | None, processes: int) -> None:
        self._path, self._earlier, self._processes = path, earlier, processes
        self._done = {_key(line["task"]): line["result"] for line in read_lines(path)}

    def of(self, tasks: Sequence[Task]) -> list[dict[str, Any]]:
        """Results of tasks, in order; equal ones are computed once."""
        unique = {_key(task): task for task in tasks}
        with ThreadPoolExecutor(self._processes) as pool:
            results = dict(zip(unique, pool.map(self._one, unique.values()), strict=True))
        return [results[_key(task)] for task in tasks]

    def _one(self, task: Task) -> dict[str, Any]:
        if _key(task) not in self._done:
            environment = dict(os.environ)
            if task.get("method") == "earlier":
                environment["PYTHONPATH"] = str(self._earlier)
            completed = subprocess.run(
                [sys.executable, __file__, "--task", json.dumps(task)], env=environment, capture_output=True, text=True
            )
            if completed.returncode:
                raise RuntimeError(f"{task}: {completed.stderr[-2000:]}")
            self._done[_key(task)] = json.loads(completed.stdout.splitlines()[-1])
            append_line(self._path, {"task": task, "result": self._done[_key(task)]})
        return self._done[_key(task)]


def _key(task: Mapping[str, Any]) -> str:
    return json.dumps(task, sort_keys=True)


def print_errors(results: Results, names: Sequence[str], methods: Sequence[str], **common: Any) -> None:
    """Print errors of every truth and method, and means of their absolute values."""
    # The truths that start with A are one membrane, whose images have different blurs, and so are those of the rock.
    same = dict.fromkeys(BLURS_OF_A, BLURS_OF_A[0]) | dict.fromkeys(BLURS_OF_BEREA, "Berea")
    membranes = {name: same.get(name, name) for name in names}
    pairs = [(name, method) for name in names for method in methods]
    tasks = [
        {"table": "errors", "truth": membranes[name] if method == "section" else name, "method": method, **common}
        for name, method in pairs
    ]
    volumes = [
        {"table": "truth", "truth": membranes[name], "shape": common["shape"], "berea": common["berea"]}
        for name, _ in pairs
    ]
    outcomes = {}
    for pair, truth, result in zip(pairs, results.of(volumes), results.of(tasks), strict=True):
        errors = {row: 100 * (value / truth[row] - 1) for row, value in result["match"].items() if truth.get(row)}
        outcomes[pair] = result | {"errors": errors}
    print(f"\nerrors, %\n{'truth':16}{'method':10}" + "".join(f"{c:>10}" for c in COLUMNS)
          + f"{'half-length by quarter':>30}{'LT by quarter':>28}   match")  # fmt: skip
    for (name, method), result in outcomes.items():
        values, match = result["errors"], result["estimates"]
        quarters = [" ".join(f"{values[f'{row}_{q}']:+6.1f}" for q in range(4)) for row in _QUARTERS]
        blur = np.ravel(match.get("imaging", {}).get("blur", [np.nan]))[0]
        print(f"{name:16}{method:10}" + "".join(f"{values[row]:+10.1f}" for row in COLUMNS.values())
              + f"{quarters[0]:>30}{quarters[1]:>28}   closing {match['closing_radius']:.2f} roughness "
              f"{match['roughness']:.2f} blur {blur:.2f}")  # fmt: skip
    table = [name for name in names if name in TABLE]
    print(f"\nmeans of absolute errors over {', '.join(table)}, %\n{'method':10}" + "".join(f"{c:>10}" for c in COLUMNS)
          + f"{'half-length by quarter':>24}{'LT by quarter':>15}")  # fmt: skip
    for method in methods:
        rows = [outcomes[name, method]["errors"] for name in table]
        means = [np.mean([abs(row[column]) for row in rows]) for column in COLUMNS.values()]
        quarters = [np.mean([abs(row[f"{c}_{q}"]) for row in rows for q in range(4)]) for c in _QUARTERS]
        print(f"{method:10}" + "".join(f"{mean:10.1f}" for mean in means) + f"{quarters[0]:24.1f}{quarters[1]:15.1f}")
    blurred = [name for name in names if name in BLURS_OF_A]
    for method in methods if blurred else ():
        throats = [outcomes[name, method]["errors"]["throat_radius_mean"] for name in blurred]
        print(f"throats of {', '.join(blurred)}, {method}: mean {np.abs(throats).mean():.1f}, largest "
              f"{np.abs(throats).max():.1f} %")  # fmt: skip
    rock = [name for name in names if name in BLURS_OF_BEREA]
    for method in methods if rock else ():
        means = {c: np.mean([abs(outcomes[name, method]["errors"][COLUMNS[c]]) for name in rock]) for c in _SIZES}
        print(f"means over {', '.join(rock)}, {method}: " + ", ".join(f"{c} {m:.1f} %" for c, m in means.items()))


def print_imaging(results: Results, count: int, shape: tuple[int, int, int]) -> None:
    """Print how well blur, noise and levels are read from images."""
    numbers = [list(range(first, min(first + 10, count))) for first in range(0, count, 10)]
    tasks = [{"table": "imaging", "numbers": batch, "shape": [shape[0], 1, shape[2]]} for batch in numbers]
    outcomes = [image for result in results.of(tasks) for image in result["images"]]
    refused = [result for result in outcomes if "refused" in result]
    read = [result for result in outcomes if result.get("estimates")]
    print(f"\nblur, noise and levels of {count} images; {len(refused)} refused")
    for result in refused:
        print(f"  blur {result['true'][0]:.2f}, noise {result['true'][1]:.3f}: {result['refused'].strip()[:200]}")
    if not read:
        skipped("imaging", "no run has the group imaging")
        return
    names = ("blur", "noise", "pore_level", "solid_level")
    true = np.array([result["true"] for result in read])
    values = np.array([[np.ravel(result["estimates"][name])[0] for name in names] for result in read])
    sharp, blurred = true[:, 0] < 0.4, true[:, 0] >= 0.4
    error = (values - true)[blurred]
    blur = error[:, 0]
    print(f"  {blurred.sum()} with blur >= 0.4 px: error of the blur {blur.mean():+.3f} +- {blur.std():.3f} px, "
          f"{np.mean(np.abs(blur) <= 0.15):.0%} within 0.15, worst {np.abs(blur).max():.2f} px")  # fmt: skip
    if sharp.any():
        print(f"  {sharp.sum()} with less: read as {values[sharp, 0].min():.2f} to {values[sharp, 0].max():.2f} px")
    relative = 100 * np.abs(values[:, 1] / true[:, 1] - 1)
    print(f"  noise within {relative.max():.1f} %, 95 % of the images within {np.quantile(relative, 0.95):.1f} %; "
          f"levels within {np.abs(values[:, 2:] - true[:, 2:]).max():.3f}")  # fmt: skip


def print_binary(results: Results, shape: tuple[int, int, int]) -> None:
    """Print what the segmentation does to binary sections."""
    (changed,) = results.of([{"table": "binary", "truths": ["A, blur 0", "B", "C"], "shape": shape}])
    print("\npixels of a binary section that the segmentation changes, %: "
          + ", ".join(f"{name[0]} {fraction:.2f}" for name, fraction in changed.items()))  # fmt: skip


def print_fine(results: Results, count: int, shape: tuple[int, int]) -> None:
    """Print half-lengths of matches to images of sections made at half the pixel."""
    tasks = [
        {"table": "fine", "sigma": sigma, "blur": blur, "numbers": list(range(count)), "shape": shape}
        for sigma in FINE_WIDTHS for blur in FINE_BLURS
    ]  # fmt: skip
    print(f"\nhalf-length of sections at half the pixel, {count} images each\n{'true, px':16}{'blur':>6}{'read':>8}"
          f"{'match, px':>12}{'error, %':>10}{'mean abs.':>11}  over blur")  # fmt: skip
    for task, result in zip(tasks, results.of(tasks), strict=True):
        group = result["images"]
        true = np.mean([result["length"] for result in group], axis=0)
        label = f"{true.mean():.2f}" if len(task["sigma"]) == 1 else f"{true[0]:.2f} to {true[-1]:.2f}"
        matches = [result for result in group if "match" in result]
        if not matches:
            print(f"{label:16}{task['blur']:6}   refused: {group[0]['refused'].strip()[:150]}")
            continue
        error = 100 * np.array([np.array(r["match"]) / r["length"] - 1 for r in matches])
        read = np.mean([np.ravel(r["estimates"].get("imaging", {}).get("blur", np.nan))[0] for r in matches])
        length = np.mean([result["match"] for result in matches])
        print(f"{label:16}{task['blur']:6}{read:8.2f}{length:12.2f}{error.mean():+10.1f}"
              f"{np.abs(error.mean(axis=1)).mean():11.1f}  {true.min() / task['blur']:.1f}")  # fmt: skip


def print_cost(results: Results, names: Sequence[str], methods: Sequence[str], repeats: int, **common: Any) -> None:
    """Print CPU times of a trial; versions alternate."""
    tasks = [
        {"table": "cost", "truth": name, "method": method, "repeat": repeat, **common}
        for name in names for repeat in range(repeats) for method in methods
    ]  # fmt: skip
    outcomes = results.of(tasks)
    print(f"\nCPU s of one trial, and of reading the micrograph; median (lowest) of {repeats}\n{'truth':12}"
          f"{'method':10}{'trial':>18}{'plan':>10}{'ratio':>8}")  # fmt: skip
    ratios = []
    for name in names:
        first = np.nan
        for method in methods:
            is_own = [(task["truth"], task["method"]) == (name, method) for task in tasks]
            times = [result for result, own in zip(outcomes, is_own, strict=True) if own]
            trial, plan = (np.array([time[key] for time in times]) for key in ("trial", "plan"))
            first = first if method != "earlier" else float(np.median(trial))
            ratio = np.median(trial) / first
            ratios += [ratio] if method == "blurred" else []
            print(f"{name:12}{method:10}{np.median(trial):10.3f} ({trial.min():.3f}){np.median(plan):10.2f}"
                  f"{ratio:8.2f}")  # fmt: skip
    if "earlier" in methods:
        print(f"ratio of this version to the earlier one: mean {np.mean(ratios):.2f}, largest {np.max(ratios):.2f}")


def main() -> None:
    """Print the tables."""
    parser = argument_parser(__doc__)
    parser.add_argument("--tables", nargs="*", choices=TABLES, default=TABLES)
    parser.add_argument("--truths", nargs="*", default=list(dict.fromkeys([*TABLE, *BLURS_OF_A, *BLURS_OF_BEREA])))
    parser.add_argument("--methods", nargs="*", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--berea", help="tomogram of Berea sandstone, TIFF or ZIP")
    parser.add_argument("--earlier", help="checkout of an earlier version of the package")
    parser.add_argument("--lines", type=Path, help="file of the results; is continued")
    parser.add_argument("--images", type=int, default=50, help="images of the table imaging")
    parser.add_argument("--repeats", type=int, default=3, help="repetitions of the table cost")
    parser.add_argument("--seed", type=int, default=1, help="seed of the reconstructions")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--task", help="compute this task only, in JSON; for the processes that this script starts")
    arguments = parser.parse_args()
    if arguments.task:
        task = json.loads(arguments.task)
        print(json.dumps(WORK[task["table"]](task)))
        return
    print_circumstances()
    shape, search, fine_shape, fine_images = PUBLIC_SHAPE, SEARCH, (256, 384), 4
    if arguments.smoke:
        shape, search = (96, 24, 120), {"closing_radius": [0], "roughness": [0]}
        arguments.tables, arguments.truths, arguments.methods = ["errors", "cost"], ["A, blur 1"], ["blurred"]
        arguments.images = arguments.repeats = fine_images = 1
    if not arguments.berea:
        skipped("Berea", "--berea names no tomogram")
    if not arguments.earlier:
        skipped("earlier", "--earlier names no checkout")
    names = [name for name in arguments.truths if name not in BLURS_OF_BEREA or arguments.berea]
    methods = [method for method in arguments.methods if method != "earlier" or arguments.earlier]
    results = Results(arguments.lines, arguments.earlier, arguments.processes)
    common = {"shape": list(shape), "search": search, "berea": arguments.berea}
    if "errors" in arguments.tables:
        print_errors(results, names, methods, seed=arguments.seed, **common)
    if "imaging" in arguments.tables:
        print_imaging(results, arguments.images, shape)
    if "binary" in arguments.tables:
        print_binary(results, shape)
    if "fine" in arguments.tables:
        print_fine(results, fine_images, fine_shape)
    if "cost" in arguments.tables:
        timed = [name for name in names if name in TABLE]
        print_cost(results, timed, [m for m in methods if m != "section"], arguments.repeats, **common)


if __name__ == "__main__":
    main()
