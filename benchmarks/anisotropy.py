"""Anisotropy and macrovoids of reconstructions from micrographs of finished membranes.

    python benchmarks/anisotropy.py [--images 10] [--processes 1] [--lines FILE] [--tables anisotropy macrovoids]

anisotropy  half-correlation lengths, along the rows and along the depth, of volumes against those of the truth, in %;
            micrographs of 320 x 384 pixels, with shading, curtains, blur and noise; model.anisotropy: auto
macrovoids  number, sizes and depth of the macrovoids of volumes against those of the truth; how many of as many images
            without macrovoids show some; micrographs of 256 x 384 pixels; model.macrovoids: auto

``--lines`` names a file that keeps the result of each image, so that the benchmark may be interrupted and continued.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from _common import argument_parser
from _micrograph_truths import Imaging, misfit
from _reconstruct_rows import VOXEL, computed, print_circumstances, reconstruct

from membrane_dask.physics.reconstruction.directional_correlation import half_lengths
from membrane_dask.physics.reconstruction.macrovoids import Macrovoids
from membrane_dask.physics.reconstruction.random_field import generate_window
from membrane_dask.physics.reconstruction.structures import Graded

#: Closings and roughnesses that are searched.
SEARCH = {"closing_radius": [0, 1.4143, 2, 2.4495], "roughness": [0]}
#: Settings of all studies.
COMMON = {"search": SEARCH, "goodness_of_fit": {"enabled": False}}
#: Structures, and how the microscope shows them.
CASES: dict[str, tuple[Graded, Imaging]] = {
    "10.6 x 3.5 px": (Graded(sigma=(3.0,), porosity=(0.35,), anisotropy=(3.03,)), Imaging()),
    "3 at the top, 2 below": (
        Graded(knots=(0, 1), sigma=(2.0, 3.0), porosity=(0.34, 0.4), anisotropy=(3.0, 2.0)), Imaging(),
    ),
    "3, closed, blur 1.5": (
        Graded(knots=(0, 1), sigma=(2.2, 3.2), porosity=(0.42, 0.38), anisotropy=(3.0,), closing_radius=2.0),
        Imaging(1.5, 0.08),
    ),
    "0.5": (Graded(knots=(0, 1), sigma=(3.0, 4.0), porosity=(0.34, 0.4), anisotropy=(0.5,)), Imaging()),
    "isotropic": (Graded(knots=(0, 1), sigma=(2.0, 3.5), porosity=(0.34, 0.4)), Imaging()),
}  # fmt: skip
#: Field and layer of the macrovoids: about four of them in an image.
FIELD = Graded(knots=(0, 1), sigma=(1.8, 4.0), porosity=(0.33, 0.33))
LAYER = Macrovoids(number_density=6.5e-4, half_width=12.0, half_length=42.0, band=(0.5, 0.75))
#: Depth and width of the micrographs.
SHAPES = {"anisotropy": (320, 384), "macrovoids": (256, 384)}
#: Planes of a volume and of the truth over which lengths are averaged, and the distance of the latter, voxels.
PLANES, DISTANCE = 64, 1000


def lengths(sections: Sequence[np.ndarray], knots: Sequence[float]) -> np.ndarray:
    """Half-correlation lengths along the rows and along the depth, ``(2, n_knots)`` voxels."""
    return np.stack([half_lengths(sections, knots=knots, direction=direction) for direction in ("row", "depth")])


def truth_sections(structure: Graded, shape: tuple[int, int], n: int, seed: int) -> list[np.ndarray]:
    """Independent sections of a structure, True in the solid."""
    depth, width = shape
    return [
        generate_window(structure, depth=depth, start=(0, DISTANCE * k, 0), shape=(depth, 1, width), seed=seed)[:, 0]
        > 0
        for k in range(n)
    ]


def image_of(solid: np.ndarray, imaging: Imaging, number: int) -> np.ndarray:
    """Micrograph whose curtains and noise depend on its number."""
    return Imaging(imaging.blur, imaging.noise, imaging.levels, 177 + number).image(solid)


def anisotropy_of(name: str, number: int, shape: tuple[int, int], planes: int) -> dict[str, Any]:
    """Errors of the lengths of one reconstructed volume, and its anisotropy at the knots of the truth."""
    structure, imaging = CASES[name]
    image = image_of(truth_sections(structure, shape, 1, 300 + number)[0], imaging, number)
    settings = {"model": {"anisotropy": "auto"}, "volume": {"slices": planes}, "seed": number} | COMMON
    with tempfile.TemporaryDirectory() as folder:
        run = reconstruct(Path(folder), image, settings)
        solid = run.volume("structure-0").values > 0
        best = run.result["structures"].to_dataset().isel(replicate=0).load()
    volume = lengths([np.ascontiguousarray(solid[:, y]) for y in range(0, planes, 4)], structure.knots)
    expected = lengths(truth_sections(structure, shape, 24, 200), structure.knots)
    depth = (shape[0] - 1) * VOXEL
    ratio = np.exp(np.interp(np.array(structure.knots) * depth, best.knot.values, np.log(best.anisotropy.values)))
    return {"error": (100 * (volume / expected - 1)).tolist(), "anisotropy": ratio.tolist()}


def macrovoids_of(name: str, number: int, shape: tuple[int, int], planes: int) -> dict[str, Any]:
    """Number and sizes of the macrovoids of one reconstruction over those of the truth; empty without any."""
    solid = {
        "layer": lambda: truth_sections(_with_layer(), shape, 1, 400 + number)[0],
        "none": lambda: truth_sections(FIELD, shape, 1, 400 + number)[0],
        "four ellipses": lambda: misfit("macrovoids", number, shape),
    }[name]()
    settings = {"model": {"macrovoids": "auto"}, "volume": {"slices": planes}, "seed": number} | COMMON
    with tempfile.TemporaryDirectory() as folder:
        run = reconstruct(Path(folder), image_of(solid, Imaging(), number), settings)
        best = run.result["structures"].to_dataset().isel(replicate=0).load()
    if "macrovoid_number_density" not in best:
        return {}
    return {
        "number": float(best.macrovoid_number_density) * VOXEL**2 / LAYER.number_density,
        "half_width": float(best.macrovoid_half_width) / VOXEL / LAYER.half_width,
        "half_length": float(best.macrovoid_half_length) / VOXEL / LAYER.half_length,
        "band": best.macrovoid_band.values.tolist(),
        "error": (100 * (lengths_of_matrix(best) / lengths_of_matrix(None) - 1)).tolist(),
    }


def lengths_of_matrix(best: Any) -> np.ndarray:
    """Widths of the field at its ends, voxels: of a best match, or of the truth."""
    if best is None:
        return np.array(FIELD.sigma)
    return best.sigma.values[[0, -1]] / VOXEL


def _with_layer() -> Graded:
    return Graded(knots=FIELD.knots, sigma=FIELD.sigma, porosity=FIELD.porosity, macrovoids=LAYER)


def print_anisotropy(results: Mapping[tuple[str, int], dict[str, Any]]) -> None:
    """Table of the errors of the lengths."""
    print(f"\n{'structure':24}{'images':>7}{'isotropic':>10}{'by depth':>9}{'mean error, %':>21}{'largest, %':>17}"
          f"{'within 10 %':>13}{'rms of t, %':>13}")  # fmt: skip
    print(f"{'':50}{'along x':>11}{'along z':>10}{'x':>10}{'z':>7}")
    for name, (structure, _) in CASES.items():
        rows = [result for (case, _), result in results.items() if case == name]
        if not rows:
            continue
        error = np.array([row["error"] for row in rows])
        ratios = np.array([row["anisotropy"] for row in rows])
        truth = np.broadcast_to(structure.anisotropy, len(structure.knots))
        mean, largest = np.abs(error).mean(axis=(0, 2)), np.abs(error).max(axis=(0, 2))
        deviation = 100 * np.sqrt(np.square(np.log(ratios / truth)).mean())
        print(
            f"{name:24}{len(rows):7}{(ratios == 1).all(axis=1).sum():10}{(np.ptp(ratios, axis=1) > 1e-9).sum():9}"
            f"{mean[0]:11.1f}{mean[1]:10.1f}{largest[0]:10.1f}{largest[1]:7.1f}"
            f"{(np.abs(error) <= 10).sum():6} of {error.size:3}{deviation:13.1f}",
            flush=True,
        )


def print_macrovoids(results: Mapping[tuple[str, int], dict[str, Any]]) -> None:
    """Table of the macrovoids."""
    print(f"\n{'macrovoids':16}{'images':>7}{'detected':>9}{'number':>14}{'half-width':>14}{'half-length':>14}{'band':>12}"
          f"{'widths of the field, %':>25}")  # fmt: skip
    for name in dict.fromkeys(case for case, _ in results):
        rows = [result for (case, _), result in results.items() if case == name]
        detected = [row for row in rows if row]
        line = f"{name:16}{len(rows):7}{len(detected):9}"
        if detected:
            for key in ("number", "half_width", "half_length"):
                values = [row[key] for row in detected]
                line += f"{np.mean(values):8.2f} ± {np.std(values):4.2f}" if name == "layer" else f"{'':14}"
            low, high = np.mean([row["band"] for row in detected], axis=0)
            error = np.abs([row["error"] for row in detected]).mean(axis=0)
            line += f"{low:7.2f}-{high:.2f}{error[0]:14.1f}, {error[1]:.1f}"
        print(line, flush=True)


def main() -> None:
    """Print the tables."""
    parser = argument_parser(__doc__)
    parser.add_argument("--images", type=int, default=10)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--lines", type=Path)
    parser.add_argument("--tables", nargs="*", choices=list(SHAPES), default=list(SHAPES))
    arguments = parser.parse_args()
    print_circumstances()
    names = {"anisotropy": list(CASES), "macrovoids": ["layer", "four ellipses", "none"]}
    shapes, planes = SHAPES, PLANES
    if arguments.smoke:
        arguments.images, planes = 1, 8
        names = {"anisotropy": ["10.6 x 3.5 px"], "macrovoids": ["layer"]}
        shapes = {"anisotropy": (224, 160), "macrovoids": (160, 160)}
        SEARCH["closing_radius"] = [0]
    functions = {"anisotropy": anisotropy_of, "macrovoids": macrovoids_of}
    printers = {"anisotropy": print_anisotropy, "macrovoids": print_macrovoids}
    with ProcessPoolExecutor(arguments.processes) as pool:
        for table in arguments.tables:
            tasks = [(name, number) for name in names[table] for number in range(arguments.images)]
            compute = functools.partial(functions[table], shape=shapes[table], planes=planes)
            printers[table](computed(table, tasks, compute, pool, arguments.lines))


if __name__ == "__main__":
    main()
