"""Reconstructions from several micrographs of membranes that are known.

    python benchmarks/several_images.py [--repetitions 20] [--processes 1] [--lines FILE] [--tables scatter ...]

scatter         standard deviation, over repetitions with other images, of the widths and porosities that are matched to
                one and to four micrographs of 256 x 384 pixels; independent images: a ratio of 0.5
intervals       half-width of the 90 % intervals of these values from seven replicates, for one and four micrographs:
                root mean square over repetitions with other images and other noise
magnifications  half-correlation lengths and porosity by depth of volumes against those of the truth, in %: from one
                micrograph of the whole thickness, three of the skin with pixels a fourth of its, and all together

``--lines`` names a file that keeps each result, so that the benchmark may be interrupted and continued.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import imageio.v3 as iio
import numpy as np
import yaml
from _common import argument_parser
from _micrograph_truths import Imaging
from _reconstruct_rows import computed, print_circumstances
from scipy.special import ndtri

import membrane_dask as md
from membrane_dask.physics.reconstruction.directional_correlation import half_lengths
from membrane_dask.physics.reconstruction.random_field import generate_window
from membrane_dask.physics.reconstruction.structures import Graded

#: Truth of the tables ``scatter`` and ``intervals``.
GRADED = Graded(knots=(0.0, 1.0), sigma=(1.5, 4.2), porosity=(0.32, 0.40))
#: Truth of the table ``magnifications``, and fine pixels of a coarse one.
LAYERED = Graded(knots=(0.0, 0.3, 1.0), sigma=(1.8, 4.0, 8.0), porosity=(0.32, 0.36, 0.42))
COARSE = 4
#: Depths at which lengths are compared.
DEPTHS = (0.0, 0.15, 0.3, 0.6, 1.0)
#: Repetitions of the table ``intervals`` and of ``magnifications``.
FEWER = {"scatter": 1, "intervals": 2, "magnifications": 4}
_SILENT = {"listener": lambda event: None}
Result = dict[str, Any]


class Sizes(NamedTuple):
    """Pixels: of images of the first truth; thickness and skin of the second, and widths of its images."""

    shape: tuple[int, int] = (256, 384)
    thickness: int = 640
    skin: int = 192
    widths: tuple[int, int] = (1600, 384)


def section(structure: Graded, plane: int, depth: int, rows: int, width: int) -> np.ndarray:
    """Upper rows of a section of a structure, ``(rows, width)``, True in the solid."""
    window = generate_window(structure, depth=depth, start=(0, plane, 0), shape=(rows, 1, width), seed=31)
    return np.asarray(window[:, 0] > 0)


def run(images: Sequence[Mapping[str, Any]], settings: Mapping[str, Any]) -> Any:
    """Best match and replicates of a study of images, each given as ``image`` and further settings, as a dataset."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        entries = []
        for number, image in enumerate(images):
            iio.imwrite(folder / f"{number}.png", image["image"])
            entries.append({"input": f"{number}.png"} | {k: v for k, v in image.items() if k != "image"})
        study = {
            "kind": "reconstruct", "images": entries, "seed": 1, "cluster": {"profile": "sync"},
            "search": {"closing_radius": [0], "roughness": [0]}, "goodness_of_fit": {"enabled": False},
        } | settings  # fmt: skip
        (folder / "study.yaml").write_text(yaml.safe_dump(study))
        result = md.run(folder / "study.yaml", folder / "run", **_SILENT)
        volume = result.volume("structure-0").values > 0
        return result.result["structures"].to_dataset().load(), volume


def of_one_size(shape: tuple[int, int], repetition: int, n: int, settings: Mapping[str, Any]) -> Any:
    """Structures matched to ``n`` independent micrographs."""
    images = [
        {
            "image": Imaging(seed=177 + plane).image(section(GRADED, 1000 * plane, shape[0], *shape)),
            "pixel_size": "3 nm",
        }
        for plane in range(4 * repetition, 4 * repetition + n)
    ]
    return run(images, {"model": {"knots": list(GRADED.knots)}, "volume": {"slices": 16}} | settings)[0]


def scatter(case: str, repetition: int, sizes: Sizes) -> Result:
    """Logarithms of the widths and normal quantiles of the porosities at both knots."""
    best = of_one_size(sizes.shape, repetition, int(case), {}).isel(replicate=0)
    return {"values": [*np.log(best.sigma.values / 3).tolist(), *ndtri(best.porosity.values).tolist()]}


def intervals(case: str, repetition: int, sizes: Sizes) -> Result:
    """Half-widths of the intervals of the same values, for a volume whose sections are independent."""
    settings = {"replicates": 8, "volume": {"slices": 32 * 4 * int(case), "width": 8}, "seed": repetition + 1}
    structures = of_one_size(sizes.shape, repetition, int(case), settings)
    ends = [md.replicate_interval(structures[name], 0.9) for name in ("sigma", "porosity")]
    values = [*(np.log(ends[0][1] / ends[0][0]) / 2).values, *((ndtri(ends[1][1]) - ndtri(ends[1][0])) / 2)]
    return {"values": [float(value) for value in values]}


def magnifications(case: str, repetition: int, sizes: Sizes) -> Result:
    """Errors of lengths and porosity of the volume at several depths, %."""
    start = 10_000 * (repetition + 1)
    coarse = section(LAYERED, start, sizes.thickness, sizes.thickness, sizes.widths[0])
    whole = {"image": Imaging(0.8, 0.04, seed=start).image(coarse, COARSE), "pixel_size": f"{2 * COARSE} nm"}
    skin = [
        {
            "image": Imaging(seed=start + k).image(
                section(LAYERED, start + 1000 * k, sizes.thickness, sizes.skin, sizes.widths[1])
            ),
            "pixel_size": "2 nm",
            "depth": f"0 to {2 * sizes.skin} nm",
        }
        for k in (1, 2, 3)
    ]
    images = {"whole": [whole], "skin and whole": [whole, *skin]}[case]
    fine = 2 if case != "whole" else 2 * COARSE
    width, slices = 800 * 2 // fine, 64 * 2 // fine
    _, volume = run(images, {"volume": {"slices": slices, "width": width}})
    planes = [np.ascontiguousarray(volume[:, y]) for y in range(0, volume.shape[1], max(1, 8 * 2 // fine))]
    truth = [section(LAYERED, 1000 * k, sizes.thickness, sizes.thickness, 800) for k in range(-8, 0)]
    lengths, expected = profiles(planes) * fine, profiles(truth) * 2
    pores = [porosities(planes), porosities(truth)]
    return {
        "lengths": (100 * (lengths / expected - 1)).tolist(),
        "porosity": (100 * (pores[0] / pores[1] - 1)).tolist(),
    }


def profiles(sections: Sequence[np.ndarray]) -> np.ndarray:
    """Half-correlation lengths along the rows in windows around the depths, pixels."""
    return half_lengths(sections, knots=DEPTHS, direction="row")


def porosities(sections: Sequence[np.ndarray]) -> np.ndarray:
    """Porosity in windows around the depths."""
    z = np.linspace(0, 1, len(sections[0]))
    hats = np.stack([np.interp(z, DEPTHS, row) for row in np.eye(len(DEPTHS))])
    return np.asarray(hats @ (1 - np.mean(sections, axis=(0, 2))) / hats.sum(axis=1))


def root_mean_square(values: np.ndarray) -> np.ndarray:
    """Root mean square over repetitions, ``(n_repetitions, n)`` to ``(n,)``."""
    return np.asarray(np.sqrt(np.square(values).mean(axis=0)))


def print_ratio(name: str, results: Mapping[tuple[str, int], Result], summarise: Callable[[np.ndarray], Any]) -> None:
    """Values for one and four images, and their ratios."""
    one, four = (
        summarise(np.array([result["values"] for (case, _), result in results.items() if case == n])) for n in "14"
    )
    print(f"\n{name:34}{'one image':>12}{'four':>10}{'ratio':>8}")
    rows = (
        "width at the top, ln",
        "width at the bottom, ln",
        "porosity at the top, quantile",
        "at the bottom, quantile",
    )
    for row, a, b in zip(rows, one, four, strict=True):
        print(f"{row:34}{a:12.4f}{b:10.4f}{b / a:8.2f}")
    print(f"{'root mean square of the ratios':34}{'':22}{np.sqrt(np.mean(np.square(four / one))):8.2f}", flush=True)


def print_magnifications(results: Mapping[tuple[str, int], Result]) -> None:
    """Errors by depth."""
    print(f"\n{'error at the depth, %':34}" + "".join(f"{depth:12.0%}" for depth in DEPTHS) + f"{'mean |error|':>14}")
    for case in dict.fromkeys(case for case, _ in results):
        for name in ("lengths", "porosity"):
            errors = np.array([result[name] for (one, _), result in results.items() if one == case])
            cells = "".join(
                f"{mean:+7.1f} ± {scatter:3.1f}" for mean, scatter in zip(errors.mean(0), errors.std(0), strict=True)
            )
            print(f"{f'{case}: {name}':34}{cells}{np.abs(errors).mean():14.1f}", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argument_parser(__doc__)
    parser.add_argument("--repetitions", type=int, default=20)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--lines", type=Path)
    parser.add_argument("--tables", nargs="*", choices=list(FEWER), default=list(FEWER))
    arguments = parser.parse_args()
    print_circumstances()
    sizes = Sizes()
    if arguments.smoke:
        sizes = Sizes((128, 160), 320, 112, (600, 200))
        arguments.repetitions, arguments.tables = 2, ["scatter"]
    functions = {"scatter": scatter, "intervals": intervals, "magnifications": magnifications}
    cases = {"scatter": "14", "intervals": "14", "magnifications": ("whole", "skin and whole")}
    with ProcessPoolExecutor(arguments.processes) as pool:
        for table in arguments.tables:
            n = max(1, arguments.repetitions // FEWER[table])
            tasks = [(case, number) for number in range(n) for case in cases[table]]
            compute = functools.partial(functions[table], sizes=sizes)
            results = computed(table, tasks, compute, pool, arguments.lines)
            if table == "scatter":
                print_ratio("scatter between repetitions", results, lambda values: values.std(axis=0, ddof=1))
            elif table == "intervals":
                print_ratio("half-width of 90 % intervals", results, root_mean_square)
            else:
                print_magnifications(results)


if __name__ == "__main__":
    main()
