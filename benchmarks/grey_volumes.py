"""Segmentation of grey volumes of known structure: errors by method, and the bias that is measured.

    python benchmarks/grey_volumes.py [--volumes 10]

Gaussian random fields of 60 x 80 x 90 voxels and a porosity of 0.35 are blurred by one voxel and given noise of 12 % of
the contrast, shading, and slices whose brightness drifts and scatters; all in fractions of the contrast, but the
shading, which is one of the brightness. A second table compares the bias that a run reports with the true error.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from _common import argument_parser
from scipy.ndimage import gaussian_filter

from membrane_dask.io.grey_volumes import GreyOptions, estimate_segmentation

POROSITY, LEVELS = 0.35, (0.3, 0.7)
METHODS = ("otsu", "hysteresis", "auto", "adaptive")
CASES: dict[str, dict[str, float]] = {
    "blur and noise": {},
    "noise of 25 %": {"noise": 0.25},
    "drift of 50 %": {"drift": 0.5},
    "drift of 80 %, scatter of 10 %": {"drift": 0.8, "scatter": 0.1},
    "shading of 20 %": {"shading": 0.2},
}


def structure(shape: tuple[int, int, int], number: int) -> np.ndarray:
    """Pores of a random field."""
    field = gaussian_filter(np.random.default_rng([3, number]).standard_normal(shape), 3.0)
    return np.asarray(field < np.quantile(field, POROSITY))


def imaged(
    pores: np.ndarray,
    number: int,
    *,
    noise: float = 0.12,
    drift: float = 0.0,
    scatter: float = 0.0,
    shading: float = 0.0,
) -> np.ndarray:
    """Grey values, uint8, of pores in a microscope whose slices follow each other along the first axis."""
    rng = np.random.default_rng([5, number])
    contrast = LEVELS[1] - LEVELS[0]
    grey = gaussian_filter(np.where(pores, *LEVELS), 1.0, mode="nearest")
    grey *= 1 + shading / 2 * np.linspace(-1, 1, pores.shape[2])
    slices = drift * np.linspace(-0.5, 0.5, len(pores)) + scatter * rng.standard_normal(len(pores))
    grey += contrast * (slices[:, None, None] + noise * rng.standard_normal(pores.shape))
    return np.round(np.clip(grey, 0, 1) * 255).astype(np.uint8)


def segmented(grey: np.ndarray, method: str) -> tuple[np.ndarray, float]:
    """Pores, and the bias of the porosity that is reported."""
    segmentation = estimate_segmentation(grey, GreyOptions(method=method, sigma=1.0))  # type: ignore[arg-type]
    return segmentation.pores(grey, tuple(slice(0, n) for n in grey.shape)), segmentation.bias.porosity


def print_table(title: str, rows: Callable[[str, str], str]) -> None:
    """Print a cell for each case and method."""
    print(f"\n{title}\n{'':32}" + "".join(f"{method:>22}" for method in METHODS))
    for case in CASES:
        print(f"{case:32}" + "".join(f"{rows(case, method):>22}" for method in METHODS), flush=True)


def main() -> None:
    """Print both tables."""
    parser = argument_parser(__doc__)
    parser.add_argument("--volumes", type=int, default=10)
    arguments = parser.parse_args()
    shape = (60, 80, 90)
    if arguments.smoke:
        shape, arguments.volumes = (40, 56, 60), 1
    truths = [structure(shape, number) for number in range(arguments.volumes)]
    biases: dict[tuple[str, str], list[tuple[float, float]]] = {}

    def errors(case: str, method: str) -> str:
        results = []
        for number, pores in enumerate(truths):
            try:
                result, bias = segmented(imaged(pores, number, **CASES[case]), method)
            except ValueError:  # the phases are not separate
                continue
            results.append((result.mean() - POROSITY, np.mean(result != pores)))
            biases.setdefault((case, method), []).append((bias, result.mean() - POROSITY))
        refused = len(truths) - len(results)
        if not results:
            return "refused"
        error, wrong = np.mean(results, axis=0)
        return f"{error:+.3f}, {wrong:.1%}" + (f" ({refused} refused)" if refused else "")

    print_table(f"error of the porosity and fraction of wrong voxels, mean of {len(truths)}", errors)

    def compared(case: str, method: str) -> str:
        pairs = np.array(biases.get((case, method), []))
        if not len(pairs) or np.isnan(pairs).all():
            return "-"
        bias, error = np.nanmean(pairs, axis=0)
        return f"{bias:+.3f} / {error:+.3f}"

    print_table("bias of the porosity that is reported / true error", compared)


if __name__ == "__main__":
    main()
