"""Segmentation of grey volumes of known structure: errors by method, and the bias that is measured.

    python benchmarks/grey_volumes.py [--volumes 10]

Gaussian random fields of 60 x 80 x 90 voxels and a porosity of 0.35 are blurred by one voxel and given noise of 12 % of
the contrast, shading, and slices whose brightness drifts and scatters; all in fractions of the contrast, but the
shading, which is one of the brightness. A second table compares the bias that a run reports with the true error. A
third one has noise that is correlated over 0.6 voxels, in wider pores, and the filters against it; a star marks what
the row ``noise`` of a plan reports.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from _common import argument_parser
from scipy.ndimage import gaussian_filter, label

from membrane_dask.io.grey_options import GreyOptions
from membrane_dask.io.grey_volumes import estimate_segmentation

POROSITY, LEVELS = 0.35, (0.3, 0.7)
METHODS = ("otsu", "hysteresis", "auto", "adaptive")
CASES: dict[str, dict[str, float]] = {
    "blur and noise": {},
    "noise of 25 %": {"noise": 0.25},
    "drift of 50 %": {"drift": 0.5},
    "drift of 80 %, scatter of 10 %": {"drift": 0.8, "scatter": 0.1},
    "shading of 20 %": {"shading": 0.2},
}


NOISES, FILTERS = (0.0, 0.1, 0.2, 0.3, 0.4), (0.0, 0.5, 1.0, 1.5)


def structure(shape: tuple[int, int, int], number: int, sigma: float = 3.0) -> np.ndarray:
    """Pores of a random field."""
    field = gaussian_filter(np.random.default_rng([3, number]).standard_normal(shape), sigma)
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


def noisy(pores: np.ndarray, number: int, level: float) -> np.ndarray:
    """Grey values, uint16, of pores that are blurred by 0.8 voxels, with noise that neighbours have in common."""
    noise = gaussian_filter(np.random.default_rng([7, number]).standard_normal(pores.shape), 0.6)
    grey = gaussian_filter(np.where(pores, 9000.0, 21000.0), 0.8) + 12000 * level / noise.std() * noise
    return np.asarray(np.clip(grey, 0, 65535), np.uint16)


def print_noise(truths: list[np.ndarray]) -> None:
    """Print what noise does to the segmentation by `auto`, with several filters."""
    true = np.mean([label(pores)[1] for pores in truths])
    print(f"\nerror of the porosity, wrong voxels, connected pores of {true:.0f}; *: reported as noise\n{'noise':8}"
          + "".join(f"{f'sigma {sigma:g}':>24}" for sigma in FILTERS))  # fmt: skip
    for level in NOISES:
        cells = []
        for sigma in FILTERS:
            results, reported = [], 0
            for number, pores in enumerate(truths):
                grey = noisy(pores, number, level)
                segmentation = estimate_segmentation(grey, GreyOptions(method="auto", sigma=sigma))
                result = segmentation.pores(grey, tuple(slice(0, n) for n in grey.shape))
                results.append((result.mean() - pores.mean(), np.mean(result != pores), label(result)[1]))
                reported += bool(segmentation.noise and segmentation.noise.is_relevant)
            error, wrong, count = np.mean(results, axis=0)
            cells.append(f"{error:+.3f}, {wrong:.1%}, {count:.0f}{'*' * (reported > len(truths) / 2)}")
        print(f"{level:<8}" + "".join(f"{cell:>24}" for cell in cells), flush=True)


def print_table(title: str, rows: Callable[[str, str], str]) -> None:
    """Print a cell for each case and method."""
    print(f"\n{title}\n{'':32}" + "".join(f"{method:>22}" for method in METHODS))
    for case in CASES:
        print(f"{case:32}" + "".join(f"{rows(case, method):>22}" for method in METHODS), flush=True)


def main() -> None:
    """Print all tables."""
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
    print_noise([structure(shape, number, 5.0) for number in range(min(arguments.volumes, 5))])


if __name__ == "__main__":
    main()
