"""What a run says in words of the virtual bench: what its methods see, and what the voxels do not resolve."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np

from membrane_dask.studies.characterize.bench_results import BenchResult
from membrane_dask.studies.characterize.transport_findings import volumes_text

#: Bottleneck in voxels below which radii are uncertain by more than a sixth, and error of a radius, voxels.
_NARROW, _RADIUS_ERROR = 2.0, 0.3
#: Fraction of the flow in throats without a conductance of their own above which the network is a weak model.
_MAX_FALLBACK = 0.05
#: Fraction of the flow in slits above which spherical menisci mislead.
_MAX_SLITS = 0.5


def bench_findings(results: Mapping[str, BenchResult | None]) -> list[str]:
    """Sentences on what the bench sees, and on what it does not resolve.

    Parameters
    ----------
    results : mapping of str to BenchResult
        By the name of the volume; None for one that failed.

    Returns
    -------
    list of str
        Each names the volumes that it is true of, with the range of their values.
    """
    complete = {name: result for name, result in results.items() if result is not None}
    crossed = {name: result for name, result in complete.items() if result.critical_square}
    sentences = []

    def add(names: Iterable[str], text: str) -> None:
        names = tuple(names)
        if names:
            volumes = volumes_text(names, results)
            sentences.append(f"Bench, {volumes[0].lower()}{volumes[1:]}: {text}")

    add(
        (name for name in complete if name not in crossed),
        "no path leads from the feed side to the filtrate: no bubble point.",
    )
    bottlenecks = {name: math.sqrt(result.critical_square) for name, result in crossed.items()}
    narrow = {name: voxels for name, voxels in bottlenecks.items() if voxels < _NARROW}
    add(
        narrow,
        f"bottleneck of {_range(narrow.values(), '.1f')} voxels: radii ±{_RADIUS_ERROR} voxel are "
        f"±{_range((_RADIUS_ERROR / voxels for voxels in narrow.values()), '.0%')}; refine the volume.",
    )
    for planes in sorted({result.open_planes for result in crossed.values() if any(result.open_planes)}):
        add(
            (name for name, result in crossed.items() if result.open_planes == planes),
            f"{planes[0]} open planes before the structure and {planes[1]} behind it: fluids enter by the first plane "
            "anyway, and the thickness of the membrane includes them.",
        )
    slits = _above(crossed, "slit_flow_fraction", _MAX_SLITS)
    add(
        slits,
        f"{_range(slits.values(), '.0%')} of the flow is in slits, whose entry pressure is half of that of the sphere "
        "in them.",
    )
    fallback = _above(crossed, "fallback_flow_fraction", _MAX_FALLBACK)
    add(
        fallback,
        f"{_range(fallback.values(), '.0%')} of the flow is in throats whose conductance is that of a formula: the "
        "calibration of the network is weak.",
    )
    flowing = {name: numbers for name, numbers in _radii(crossed).items() if np.isfinite(numbers[2])}
    add(
        flowing,
        "pressure methods see the critical path, not the population of throats: the bubble point is "
        f"{_range((bubble / median for bubble, median, _ in flowing.values()), '.2f')} of their median by number and "
        f"{_range((bubble / by_flow for bubble, _, by_flow in flowing.values()), '.2f')} of that by flow.",
    )
    settings = next((result.settings for result in complete.values()), None)
    if settings and settings.mercury.faces == "all" and "mercury" in settings.methods:
        sentences.append(
            "Bench: mercury enters from all six faces, of which a small volume has far more than a crumb of a "
            "laboratory: its radii are too wide."
        )
    return sentences


def _above(results: Mapping[str, BenchResult], fraction: str, limit: float) -> dict[str, float]:
    """Values of a fraction of the flow, of the volumes where it is above a limit."""
    values = {name: float(result.flow[fraction]) for name, result in results.items()}
    return {name: value for name, value in values.items() if value > limit}


def _radii(results: Mapping[str, BenchResult]) -> dict[str, tuple[float, float, float]]:
    """Bubble point, and medians of the throats by number and by flow."""
    names = ("bubble_point_radius", "throat_number_median_radius", "throat_flow_median_radius")
    rows = {volume: result.scalars() for volume, result in results.items()}
    return {volume: tuple(float(row[name]) for name in names) for volume, row in rows.items()}  # type: ignore[misc]


def _range(values: Iterable[float], digits: str) -> str:
    """Smallest and largest of some values; one number where both are printed alike."""
    texts = [format(value, digits) for value in sorted(values)]
    return " to ".join(dict.fromkeys((texts[0], texts[-1]))) if texts else ""
