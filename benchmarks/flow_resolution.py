"""Error of the permeability by the resolution of the image, coverage of its interval, and the fit of its constants.

    python benchmarks/flow_resolution.py --lines lines.jsonl
    python benchmarks/flow_resolution.py --lines lines.jsonl --berea berea.tif berea.csv --ketton ketton.tif ketton.csv
    python benchmarks/flow_resolution.py --lines lines.jsonl --evaluate

Permeabilities with both wall models are written to the file of lines as they are computed, and a run continues where it
was stopped; ``--evaluate`` computes none. Volumes are straight and inclined ducts at odd angles and offsets, cubic
packings of spheres, and bodies that are known on finer voxels: Gaussian random fields, fibres, overlapping spheres, and
blocks of rock, on the one hand interpolated to a smooth body (``berea_x4``), on the other hand as the voxels that the
image consists of (``berea_voxels``). The reference of these is the limit of both wall models on the finest voxels.

The rocks are those of https://github.com/LukasMosser/PorousMediaGan: Berea sandstone, 400 voxels of 5.345 um, and
Ketton limestone, 256 voxels, whose published permeabilities (analysis/perms, columns block, axis_letter, k_over_dx2)
are of blocks of 128 voxels; those of Ketton are of the image after a median filter of three voxels, as its porosities
show. The axes have no names there: values of a block are compared in ascending order.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import _resolution_volumes as volumes
import numpy as np
from _common import argument_parser
from scipy import ndimage
from scipy.optimize import linprog

from membrane_dask.physics.stokes.iteration import bound_permeability, initial_inner_tolerance, run_iteration
from membrane_dask.physics.stokes.mac_grid import Grid, flow_pores
from membrane_dask.physics.stokes.resolution import CALIBRATED, image_resolution, resolve_permeability
from membrane_dask.physics.stokes.solver import WholeVolume, stokes
from membrane_dask.physics.winding import winding_pores

Line = dict[str, Any]
#: Largest volume, in voxels, that is also solved with two cells per voxel.
_REFINED = 50**3
#: Largest logarithm of the ratio of the wall models on the finest voxels of a body whose limit is a reference.
_FINE = 0.15
#: Groups of families: each counts alike in the fit, and is left out in turn.
GROUPS = {
    "ducts": ("tube", "square", "ellipse", "inclined_tube"),
    "slits": ("slit",),
    "cubic packings": ("cubic_pack", "cubic_pack_displaced"),
    "random packings, fibres": ("random_pack", "fibres"),
    "Gaussian fields": ("gaussian", "gaussian_rough"),
    "rock, smooth body": ("berea_x4", "ketton_x4"),
    "rock, body of voxels": ("berea_voxels",),
    "rock, published": ("published_berea", "published_ketton"),
}
#: Volumes whose errors are printed on their own, by patterns of their keys.
SUBSETS = {
    "cubic packings, 32 voxels a cell": r"cubic_pack(_displaced)?/32-",
    "Berea, published, blocks 0 to 13": r"published_berea/(\d|1[0-3])-",
    "Berea, published, blocks 14 to 26": r"published_berea/(1[4-9]|2\d)-",
    "Ketton, published": r"published_ketton/",
}


def permeability(pores: np.ndarray, boundary: str, wall_model: Any) -> float:
    """Permeability in voxels squared; 0 where no pores percolate."""
    if boundary != "periodic_cell":
        percolating = flow_pores(pores, boundary)  # type: ignore[arg-type]
        if not percolating.any():
            return 0.0
        return stokes(Grid.of_percolating(percolating, boundary, wall_model)).permeability  # type: ignore[arg-type]
    cluster = winding_pores(pores).cluster
    ground = np.unique(cluster[cluster > 0], return_index=True)[1]
    grid = Grid.of_periodic_cell(cluster > 0, ground, wall_model)
    iteration = bound_permeability(grid.size, 0.01, initial_inner_tolerance(0.01), 60)
    return run_iteration(iteration, WholeVolume(grid).answer).bounds.lower


def measured(case: volumes.Case) -> Line:
    """Permeabilities of a volume with both wall models, and on cells half as large where it is small enough."""
    start = time.process_time()
    line: Line = {"key": f"{case.family}/{case.name}", "family": case.family, "truth": case.truth, "step": case.step,
                  "published": list(case.published)}  # fmt: skip
    for name, wall_model in (("s", "smooth"), ("t", "staircase")):
        line[name] = permeability(case.pores, case.boundary, wall_model)
    if line["s"] and (case.pores.size <= _REFINED or case.family in GROUPS["rock, body of voxels"]):
        fine = case.pores.repeat(2, 0).repeat(2, 1).repeat(2, 2)
        line["s2"] = permeability(fine, case.boundary, "smooth") / 4
        line["t2"] = permeability(fine, case.boundary, "staircase") / 4
    line["cpu"] = round(time.process_time() - start, 1)
    return line


def all_cases(rocks: dict[str, tuple[np.ndarray, Path]], smoke: bool) -> Iterator[volumes.Case]:
    """All volumes, those of rocks where their images are given."""
    for family in (volumes.ducts, volumes.slits, volumes.inclined_tubes, volumes.cubic_packs):
        yield from family(smoke)
    for bodies in (volumes.gaussian_fields, volumes.fibres, volumes.random_packs):
        yield from bodies(smoke=smoke)
    for name, (pores, published) in rocks.items():
        filtered = ndimage.median_filter(pores.astype(np.uint8), 3) > 0 if name == "ketton" else pores
        yield from volumes.published_rock(filtered, name, published)
        yield from volumes.smoothed_rock(pores, name)
    if "berea" in rocks:
        yield from volumes.voxel_rock(rocks["berea"][0], "berea")


def with_references(lines: Sequence[Line]) -> list[Line]:
    """Lines of volumes that have a reference ``truth``: exact, published, or the limit of the finest voxels."""
    table = {line["key"]: line for line in lines if line["s"] > 0}
    for line in table.values():
        if line.get("published"):
            block = [other for key, other in table.items() if key.startswith(line["key"][:-1])]
            rank = sorted(other["s"] for other in block).index(line["s"])
            line["truth"] = line["published"][rank] if len(block) == len(line["published"]) else math.nan
            voxels = table.get(line["key"].replace("published_berea/", "berea_voxels/") + "/1")
            line |= {name: voxels[name] for name in ("s2", "t2")} if voxels else {}
        body = line["key"].rsplit("/", 1)[0]
        fine, coarse = table.get(f"{body}/1"), table.get(f"{body}/2-mean")
        if fine is None or coarse is None:
            continue
        if line["family"] in GROUPS["rock, body of voxels"]:
            limit = common_limit((fine["s2"], fine["t2"]), (fine["s"], fine["t"]))
        elif line is fine or math.log(fine["s"] / fine["t"]) > _FINE:
            continue
        else:
            limit = common_limit((fine["s"], fine["t"]), (4 * coarse["s"], 4 * coarse["t"]))
        line["truth"] = limit / line["step"] ** 2
    return [line for line in table.values() if line["truth"] == line["truth"]]


def common_limit(fine: tuple[float, float], coarse: tuple[float, float]) -> float:
    """Limit of both wall models if their errors decrease alike: where the lines of both resolutions intersect."""
    ratio, coarse_ratio = math.log(fine[0] / fine[1]), math.log(coarse[0] / coarse[1])
    return fine[0] * math.exp(-ratio * math.log(coarse[0] / fine[0]) / (coarse_ratio - ratio))


class Errors:
    """Logarithms of references over permeabilities with smooth walls, by the logarithm of the ratio of wall models.

    Every group of families has the same weight, divided among its volumes.
    """

    def __init__(self, lines: Sequence[Line]) -> None:
        group_of = {family: group for group, families in GROUPS.items() for family in families}
        self.lines = lines
        self.group = np.array([group_of[line["family"]] for line in lines])
        self.x = np.array([image_resolution(line["s"], line["t"]) for line in lines])
        self.error = np.array([math.log(line["truth"] / line["s"]) for line in lines])

    def weights(self, chosen: np.ndarray) -> np.ndarray:
        """Weights of the volumes of a fit."""
        chosen = chosen & (self.x <= CALIBRATED)
        count = {group: max(1, int((self.group[chosen] == group).sum())) for group in GROUPS}
        return np.array([float(use) / count[group] for use, group in zip(chosen, self.group, strict=True)])

    def fit(self, chosen: np.ndarray) -> tuple[float, float]:
        """Excess over smooth walls and end of the resolved walls with the least mean absolute error."""
        weights = self.weights(chosen)
        grid = [(a, b) for a in np.arange(0, 0.61, 0.02) for b in np.arange(0.06, 0.26, 0.01)]
        excess, resolved = min(grid, key=lambda p: float(weights @ np.abs(self.error - correction(self.x, *p))))
        return float(excess), float(resolved)

    def interval(self, chosen: np.ndarray, residuals: np.ndarray, level: float) -> np.ndarray:
        """Constant and slope of a quantile of residuals (regression by the pinball loss)."""
        weights = self.weights(chosen)
        used = weights > 0
        n, w = int(used.sum()), weights[used]
        design = np.hstack([np.ones((n, 1)), self.x[used, None], np.eye(n), -np.eye(n)])
        costs = np.concatenate([[0, 0], level * w, (1 - level) * w])
        bounds = [(None, None)] * 2 + [(0, None)] * (2 * n)
        return np.asarray(linprog(costs, A_eq=design, b_eq=residuals[used], bounds=bounds).x[:2])


def correction(x: np.ndarray, excess: float, resolved: float) -> np.ndarray:
    """:func:`membrane_dask.physics.stokes.resolution.log_correction` with other constants."""
    return excess * np.minimum(x, resolved) - np.maximum(0, x - resolved)


def cross_validate(errors: Errors) -> None:
    """Print errors and coverage of every group by the constants of the other groups, and of each half by the other."""
    splits = [(f"without {group}", errors.group != group) for group in GROUPS if (errors.group == group).any()]
    halves = np.arange(len(errors.x)) % 2 == 0
    splits += [("first half", ~halves), ("second half", halves)]
    excess, resolved = errors.fit(halves | ~halves)
    print(f"all volumes                      excess {excess:.2f}, resolved {resolved:.2f}")
    covered = []
    for name, chosen in splits:
        constants = errors.fit(chosen)
        residuals = errors.error - correction(errors.x, *constants)
        low, high = (errors.interval(chosen, residuals, level) for level in (0.05, 0.95))
        inside = (low[0] + low[1] * errors.x <= residuals) & (residuals <= high[0] + high[1] * errors.x)
        tested = ~chosen & (errors.x <= CALIBRATED)
        percent = 100 * (np.exp(-residuals[tested]) - 1)
        covered += [inside[tested].mean()] if name.startswith("without") else []
        print(f"{name:32s} excess {constants[0]:.2f}, resolved {constants[1]:.2f}, low {np.round(low, 3)}, "
              f"high {np.round(high, 3)}: {tested.sum():3d} volumes, mean error {percent.mean():+.1f} %, "
              f"covered {100 * inside[tested].mean():.0f} %")  # fmt: skip
    print(f"mean coverage of groups that are left out: {100 * np.mean(covered):.0f} %")


def evaluate(lines: Sequence[Line], refinement: int = 1) -> None:
    """Print errors and coverage of the estimate by group and by resolution."""
    suffix = "" if refinement == 1 else str(refinement)
    rows = []
    subsets: dict[str, list[float]] = {name: [] for name in SUBSETS}
    for line in lines:
        if f"s{suffix}" not in line:
            continue
        estimate = resolve_permeability(line[f"s{suffix}"], line[f"t{suffix}"], refinement)
        x = image_resolution(line[f"s{suffix}"], line[f"t{suffix}"], refinement)
        inside = estimate.low <= line["truth"] <= estimate.high
        values = (estimate.permeability, line[f"s{suffix}"], line[f"t{suffix}"])
        errors = [100 * (value / line["truth"] - 1) for value in values]
        rows.append((line["family"], x, inside, *errors))
        for subset, pattern in SUBSETS.items():
            if re.match(pattern, line["key"]):
                subsets[subset].append(errors[0])
    print(f"refinement {refinement}: mean error and mean absolute error in %, of estimate, smooth, staircase; coverage")
    for group, families in GROUPS.items():
        for low, high in ((0, 0.1), (0.1, 0.2), (0.2, 0.3), (0.3, CALIBRATED), (CALIBRATED, math.inf), (0, CALIBRATED),
                          (0, math.inf)):  # fmt: skip
            chosen = [row[2:] for row in rows if row[0] in families and low <= row[1] < high]
            if chosen:
                table = np.array(chosen, float)
                means = "  ".join(f"{table[:, k].mean():+6.1f} ({np.abs(table[:, k]).mean():4.1f})" for k in (1, 2, 3))
                label = "all" if (low, high) == (0, math.inf) else f"x {low:.2f} to {high:.2f}"
                print(f"{group:24s} {label:15s} {len(chosen):4d}  {means}  {100 * table[:, 0].mean():4.0f} %")
    for name, values in subsets.items():
        if values:
            size = np.abs(values)
            print(
                f"{name:40s} {len(values):4d}  {np.mean(values):+6.1f} ({size.mean():4.1f}), largest {size.max():.1f}"
            )
    inside = np.array([row[2] for row in rows if row[1] <= CALIBRATED], float)
    calibrated = [row for row in rows if row[1] <= CALIBRATED]
    by_group = [[row[2] for row in calibrated if row[0] in families] for families in GROUPS.values()]
    mean = np.mean([np.mean(values) for values in by_group if values])
    print(f"covered: {100 * inside.mean():.0f} % of {len(inside)} volumes, mean of groups {100 * mean:.0f} %")


def main() -> None:
    """Compute what is missing, and print errors, coverage and constants."""
    parser = argument_parser(__doc__)
    parser.add_argument("--lines", type=Path, help="file of results, one volume a line")
    parser.add_argument("--evaluate", action="store_true", help="compute no volumes")
    for rock in ("berea", "ketton"):
        parser.add_argument(f"--{rock}", type=Path, nargs=2, metavar=("IMAGE", "PUBLISHED"))
    arguments = parser.parse_args()
    path = arguments.lines
    lines = [json.loads(text) for text in path.read_text().splitlines()] if path and path.exists() else []
    if not arguments.evaluate:
        done, rocks = {line["key"] for line in lines}, {}
        for rock in ("berea", "ketton"):
            if getattr(arguments, rock):
                import tifffile

                image, published = getattr(arguments, rock)
                rocks[rock] = (tifffile.imread(image) == 0, published)
        for case in all_cases(rocks, arguments.smoke):
            if f"{case.family}/{case.name}" in done:
                continue
            lines.append(measured(case))
            if path:
                with path.open("a") as file:
                    file.write(json.dumps(lines[-1]) + "\n")
    references = with_references(lines)
    for refinement in (1, 2):
        evaluate(references, refinement)
    if not arguments.smoke:
        cross_validate(Errors(references))


if __name__ == "__main__":
    main()
