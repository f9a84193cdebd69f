"""Coverage of the 90 % intervals of a reconstruction, and false alarms of its goodness of fit.

    python benchmarks/reconstruct_coverage.py --lines lines.jsonl [--truths 100] [--processes 2] [--transport 60]
    python benchmarks/reconstruct_coverage.py --lines lines.jsonl --truths 0 --sections 20 [--kinds KIND ...]
        [--berea berea.zip]

Membranes of 224 x 80 x 320 voxels are drawn at random by their numbers: two thirds of one graded field, closed or not,
smooth or rough; the others of two layers or overlapping spheres. The micrograph of the middle section of each has a
blur of 0 to 2 pixels, noise of 0.02 to 0.10, shading and curtains. A study reconstructs the best match and seven
replicates of the same size from it; ``md.replicate_interval`` gives an interval of every row of the table of
properties, which should contain the value of the membrane in 90 % of the cases.

``--lines`` names a file with one JSON object for each membrane. What it holds is not computed again: the benchmark may
be interrupted at any time and continued, and two of them may use one file if their numbers differ (``--first``). With
``--truths 0`` only the file is evaluated. ``--transport N`` adds tortuosities and permeability to the first N
membranes, which takes several times as long. ``--sections N`` reconstructs no volumes, and prints how many of N
sections of each kind the goodness of fit reports: of those that the model does not describe, and, as "one field, two
layers", of the membranes above that it describes, of which it should report none.
"""

from __future__ import annotations

import functools
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from _common import argument_parser, skipped
from _micrograph_truths import MISFITS, RANDOM_SHAPE, Imaging, misfit, random_truth
from _reconstruct_rows import (
    append_line,
    estimates,
    print_circumstances,
    properties_of_run,
    properties_of_volume,
    read_lines,
    reconstruct,
)

import membrane_dask as md
from membrane_dask.studies.characterize.variables import FLOW, STRUCTURE

CONFIDENCE = 0.9
#: Kind of the sections that the model describes.
DESCRIBED = "one field, two layers"
#: Rows of the summary: sizes, network, and porosity and sizes by quarter of the depth.
ROWS = (
    "porosity", "pore_radius_mean", "body_radius_mean", "throat_radius_mean", "coordination_number_mean", "n_pores",
    *(f"{name}_{q}" for name in ("porosity", "pore_radius_mean", "half_length") for q in range(4)),
)  # fmt: skip
#: Ranges of the blur, pixels, for which the coverage is given.
BLURS = ((0.0, 0.4), (0.4, 1.25), (1.25, 2.0))
#: Scale of the interval of each property.
_SCALES: dict[str, Any] = {variable.name: variable.attrs["interval_scale"] for variable in (*STRUCTURE, *FLOW)}
#: Result of one membrane or one misfit.
Line = dict[str, Any]


@dataclass(frozen=True)
class Sizes:
    """What is reconstructed of each membrane."""

    shape: tuple[int, int, int] = RANDOM_SHAPE
    replicates: int = 8
    search: Mapping[str, Any] = field(default_factory=dict)

    def settings(self, seed: int, volume: dict[str, int]) -> dict[str, Any]:
        """Settings of the study."""
        return {"search": dict(self.search), "replicates": self.replicates, "seed": seed, "volume": volume}


def membrane(number: int, transport: bool, sizes: Sizes) -> Line:
    """Properties of a random membrane and of the structures reconstructed from its micrograph."""
    truth = random_truth(number, sizes.shape)
    imaging = {"blur": truth.imaging.blur, "noise": truth.imaging.noise, "levels": truth.imaging.levels}
    line: Line = {"number": number, "family": truth.family, **imaging, "transport": transport}
    start = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        planes = sizes.shape[1]
        settings = sizes.settings(number, {"slices": planes, "block_size": planes})
        try:
            run = reconstruct(Path(folder), truth.image, settings)
        except md.StudyError as error:
            return line | {"refused": str(error)}
        line["estimates"] = estimates(run)
        line["truth"] = properties_of_volume(Path(folder), truth.solid, transport)
        line["structures"] = properties_of_run(Path(folder), transport)
    return line | {"cpu_seconds": round(time.process_time() - start, 1)}


def section(kind: str, number: int, berea: str | None, sizes: Sizes) -> Line:
    """Goodness of fit of the reconstruction of a section."""
    line: Line = {"misfit": kind, "number": number}
    if kind == DESCRIBED:
        image = random_truth(number // 5 * 6 + number % 5, sizes.shape).image  # each sixth one has spheres
    else:
        shape = (256, 384) if sizes.shape == RANDOM_SHAPE else (sizes.shape[0], sizes.shape[2])
        image = Imaging(seed=1000 + number).image(misfit(kind, number, shape, berea))
    with tempfile.TemporaryDirectory() as folder:
        try:
            settings = sizes.settings(number, {"slices": 8, "width": 8})
            return line | {"estimates": estimates(reconstruct(Path(folder), image, settings))}
        except md.StudyError as error:
            return line | {"refused": str(error)}


def computed(work: Sequence[Callable[[], Line]], processes: int) -> Iterator[Line]:
    """Results of calls as they are available; in this process if it is to be the only one."""
    if processes == 1:
        yield from (call() for call in work)
        return
    with ProcessPoolExecutor(processes) as pool:
        for future in as_completed([pool.submit(call) for call in work]):
            yield future.result()


# -- evaluation


def intervals(lines: Sequence[Line]) -> dict[str, np.ndarray]:
    """Of each row: truth, best match, and ends of the interval of every membrane that has them, ``(n, 4)``."""
    rows: dict[str, list[tuple[float, float, float, float]]] = {}
    for line in lines:
        for row, truth in line["truth"].items():
            if row not in line["structures"]:  # as of a tortuosity where no structure percolates
                continue
            values = xr.DataArray(line["structures"][row], dims="replicate", name=row)
            low, high = md.replicate_interval(values, CONFIDENCE, scale=interval_scale(row))
            rows.setdefault(row, []).append((truth, float(values[0]), float(low), float(high)))
    return {row: np.array(values) for row, values in rows.items()}


def interval_scale(row: str) -> str:
    """Scale of the interval of a row: that of the property, also for its values by quarter."""
    name = row[:-2] if row[-1].isdigit() else row
    return "log" if name == "half_length" else _SCALES[name]


def coverage(values: np.ndarray) -> float:
    """Percentage of the intervals that hold the truth; those that do not exist do not count."""
    truth, _, low, high = values[np.isfinite(values[:, [0, 2, 3]]).all(axis=1)].T
    return 100 * float(np.mean((low <= truth) & (truth <= high))) if len(truth) else np.nan


def print_coverage(lines: Sequence[Line]) -> None:
    """Print coverage, half-width and error of each row, then means by family and blur.

    The rows are those of the membranes that the model describes and whose pores the images resolve: of the spheres the
    goodness of fit says that they are none, of unresolved pores the run that their sizes are upper bounds.
    """
    described = [line for line in lines if line["family"] != "spheres" and is_resolved(line)]
    rows = intervals(described or lines)
    print(f"\n{len(described)} membranes of one field or two layers whose pores the run regards as resolved")
    print(f"\n{CONFIDENCE:.0%} intervals, all in %\n{'row':32}{'n':>5}{'coverage':>10}{'half-width':>12}"
          f"{'error':>8}{'bias':>8}")  # fmt: skip
    for row in sorted(rows, key=lambda row: (row not in ROWS, ROWS.index(row) if row in ROWS else 0)):
        truth, best, low, high = rows[row].T
        with np.errstate(invalid="ignore", divide="ignore"):
            width, error = 50 * (high - low) / best, 100 * (best / truth - 1)
        width, error = (values[np.isfinite(values)] for values in (width, error))
        n = np.isfinite(rows[row]).all(axis=1).sum()
        median, size, bias = (
            f"{value:.1f}" if len(error) and len(width) else "-"
            for value in (np.median(width) if len(width) else 0, np.abs(error).mean() if len(error) else 0,
                          error.mean() if len(error) else 0)
        )  # fmt: skip
        print(f"{row:32}{n:5}{coverage(rows[row]):10.0f}{median:>12}{size:>8}{bias:>8}")
    covered = [coverage(rows[row]) for row in ROWS]
    inside = sum(85 <= value <= 95 for value in covered)
    print(f"\n{len(ROWS)} rows from porosity to half_length_3: mean {np.mean(covered):.1f}, "
          f"{min(covered):.0f} to {max(covered):.0f}, {inside} between 85 and 95")  # fmt: skip
    groups = {family: [line for line in lines if line["family"] == family] for family in
              ("one field", "two layers", "spheres")}  # fmt: skip
    groups |= {f"blur {a:g} to {b:g} px": [line for line in lines if a <= line["blur"] < b] for a, b in BLURS}
    groups |= {"resolved": [line for line in lines if is_resolved(line)]}
    print(f"\n{'group':24}{'n':>5}{'18 rows':>10}{'throats':>10}{'coordination':>14}{'error: LT':>11}{'throats':>9}"
          f"{'coordination':>14}   %")  # fmt: skip
    for name, members in groups.items():
        if not members:
            continue
        rows = intervals(members)
        sizes = ("pore_radius_mean", "throat_radius_mean", "coordination_number_mean")
        errors = [100 * np.abs(rows[row][:, 1] / rows[row][:, 0] - 1).mean() for row in sizes]
        print(f"{name:24}{len(members):5}{np.mean([coverage(rows[row]) for row in ROWS]):10.1f}"
              f"{coverage(rows[sizes[1]]):10.0f}{coverage(rows[sizes[2]]):14.0f}"
              f"{errors[0]:11.1f}{errors[1]:9.1f}{errors[2]:14.1f}")  # fmt: skip


def is_resolved(line: Line) -> bool:
    """Whether the run regards all depths as resolved."""
    return bool(np.all(line["estimates"].get("imaging", {}).get("resolved", 1)))


def print_blurs(lines: Sequence[Line]) -> None:
    """Print how well blur and noise were read from the images."""
    read = [
        (line["blur"], line["noise"], line["estimates"]["imaging"]) for line in lines if "imaging" in line["estimates"]
    ]
    values = np.array([(b, n, np.ravel(i["blur"])[0], np.ravel(i["noise"])[0]) for b, n, i in read if "blur" in i])
    if len(values):
        blurred = values[values[:, 0] >= 0.4]
        errors = blurred[:, 2] - blurred[:, 0]
        print(f"\nblur of {len(blurred)} images, at least 0.4 px: error {errors.mean():+.3f} +- {errors.std():.3f}, "
              f"{np.mean(np.abs(errors) <= 0.15):.0%} within 0.15 px; noise within "
              f"{np.abs(values[:, 3] / values[:, 1] - 1).max():.1%}")  # fmt: skip


def print_fit(lines: Sequence[Line]) -> None:
    """Print how many images of each kind the goodness of fit reports, and by which statistics."""
    kinds: dict[str, list[Line]] = {}
    for line in lines:
        if "flagged" in line.get("estimates", {}):
            kinds.setdefault(line.get("misfit", line.get("family", "")), []).append(line)
    if not kinds:
        skipped("goodness of fit", "no run has the group goodness_of_fit")
        return
    print(f"\n{'images':24}{'n':>5}{'reported':>10}   by")
    for kind, members in kinds.items():
        groups = [sorted({name.partition(":")[0] for name in line["estimates"]["flagged"]}) for line in members]
        by = Counter(name for group in groups for name in group).most_common()
        print(f"{kind:24}{len(members):5}{sum(map(bool, groups)):10}   {', '.join(f'{n} {c}' for n, c in by)}")


def main() -> None:
    """Compute what is missing, then print the tables."""
    parser = argument_parser(__doc__)
    parser.add_argument("--lines", type=Path, help="file of the results, one line each; is continued")
    parser.add_argument("--truths", type=int, default=100, help="number of random membranes; 0 evaluates the file only")
    parser.add_argument("--first", type=int, default=0, help="number of the first membrane or section")
    parser.add_argument("--transport", type=int, default=0, help="membranes with tortuosities and permeability")
    parser.add_argument("--sections", type=int, default=0, help="sections of each kind, without volumes")
    kinds = [DESCRIBED, *MISFITS]
    parser.add_argument("--kinds", nargs="*", choices=kinds, default=kinds, help="kinds of --sections")
    parser.add_argument("--berea", help="tomogram of rock, a further kind outside of the model (TIFF or ZIP)")
    parser.add_argument("--processes", type=int, default=1)
    arguments = parser.parse_args()
    sizes = Sizes()
    if arguments.smoke:
        sizes = Sizes((96, 24, 120), 3, {"closing_radius": [0], "roughness": [0]})
        arguments.truths, arguments.sections = 1, 0
    print_circumstances()
    lines = list(read_lines(arguments.lines))
    done = {(line.get("misfit"), line["number"], line.get("transport", False)) for line in lines}
    numbers = range(arguments.first, arguments.first + arguments.truths)
    membranes = [(number, number < arguments.transport) for number in numbers]
    membranes = [task for task in membranes if not done & {(None, *task), (None, task[0], True)}]
    kinds = [*arguments.kinds, *(["rock"] if arguments.berea else [])]
    numbers = range(arguments.first, arguments.first + arguments.sections)
    sections = [(kind, number) for number in numbers for kind in kinds if (kind, number, False) not in done]
    work = [functools.partial(membrane, *task, sizes) for task in membranes]
    work += [functools.partial(section, *task, arguments.berea, sizes) for task in sections]
    for line in computed(work, arguments.processes):
        lines.append(line)
        append_line(arguments.lines, line)
    # A membrane that was computed again with tortuosities counts once.
    latest = {line["number"]: line for line in sorted(lines, key=lambda line: line.get("transport", False))
              if "misfit" not in line}  # fmt: skip
    complete = [line for line in latest.values() if "truth" in line]
    print(f"{len(complete)} membranes, {len(latest) - len(complete)} refused by the study")
    for line in latest.values():
        if "refused" in line:
            print(f"  {line['number']}, {line['family']}, blur {line['blur']:.2f}: {line['refused'].strip()[:160]}")
    if complete:
        print_coverage(complete)
        print_blurs(complete)
    print_fit([*complete, *(line for line in lines if "misfit" in line)])


if __name__ == "__main__":
    main()
