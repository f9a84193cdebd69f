"""What a run says in words of transport that is zero, or known less well than the study asks for."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from membrane_dask.physics.stokes.resolution import exceeds_calibration
from membrane_dask.studies.characterize.tables import VolumeResult

Results = Mapping[str, VolumeResult]


def transport_findings(results: Mapping[str, VolumeResult | None], axes: Sequence[str]) -> list[str]:
    """Sentences on volumes of which a property of transport is 0, or did not converge.

    Parameters
    ----------
    results : mapping of str to VolumeResult
        Results by the name of the volume; None for one that failed.
    axes : sequence of str
        Axes of the study.

    Returns
    -------
    list of str
        Each names the volumes that it is true of.
    """
    complete = {name: result for name, result in results.items() if result is not None}
    sentences = [sentence for axis in axes for sentence in (*_zeros(complete, axis), *_inaccuracies(complete, axis))]
    missing = _names(complete, _lacks_retention)
    if missing:
        text = "the retention of at least one particle diameter did not converge, or its unit failed: it has no value."
        sentences.append(f"{volumes_text(missing, complete)}: {text}")
    return sentences


def _lacks_retention(result: VolumeResult) -> bool:
    names = ("log_reduction_value", "log_reduction_value_bound", "log_reduction_reflecting")
    return any(np.isnan(result.retention[name]).any() for name in names if name in result.retention)


def _zeros(results: Results, axis: str) -> Iterator[str]:
    """Permeability and diffusivity that are 0."""
    along = "from the feed side to the filtrate" if axis == "z" else f"along {axis}"
    quantities: dict[tuple[str, ...], list[str]] = {}
    for quantity, value in (("permeability", _permeability), ("effective diffusivity", _diffusivity)):
        names = _names(results, lambda result, value=value: value(result, axis) == 0)  # type: ignore[misc]
        if names:
            quantities.setdefault(names, []).append(quantity)
    for names, zero in quantities.items():
        verb = "are" if len(zero) > 1 else "is"
        yield (
            f"{volumes_text(names, results)}: no pores percolate {along} across faces of voxels, so that "
            f"{' and '.join(zero)} {verb} 0."
        )


def _inaccuracies(results: Results, axis: str) -> Iterator[str]:
    """Second values that are missing, and residuals above the tolerance."""
    along = "" if axis == "z" else f" along {axis}"
    names = _names(
        results,
        lambda result: (
            _permeability(result, axis) > 0
            and math.isnan(
                _flow(result, axis, "permeability_smooth_walls") + _flow(result, axis, "permeability_staircase_walls")
            )
        ),
    )
    if names:
        yield (
            f"{volumes_text(names, results)}: the permeability{along} with the other wall model did not converge; the "
            "permeability is that with the wall model of the study, without an interval."
        )
    names = _names(
        results,
        lambda result: exceeds_calibration(
            _flow(result, axis, "permeability_smooth_walls"),
            _flow(result, axis, "permeability_staircase_walls"),
            result.study.flow.refinement,
        ),
    )
    if names:
        yield (
            f"{volumes_text(names, results)}: smooth and staircase walls differ{along} by more than in the volumes for "
            "which the error of the resolution was measured. The interval of the permeability is extrapolated; an "
            "image of higher resolution is needed."
        )
    names = _names(results, lambda result: _tortuosity(result, axis, "diffusion_flux_spread") > result.study.tolerance)
    if names:
        yield (
            f"{volumes_text(names, results)}: the flux of diffusion{along} differs between planes by more than the "
            "tolerance; see diffusion_flux_spread."
        )


def _names(results: Results, condition: Callable[[VolumeResult], bool]) -> tuple[str, ...]:
    return tuple(name for name, result in results.items() if condition(result))


def volumes_text(names: Sequence[str], results: Mapping[str, object]) -> str:
    """Names of some of the volumes that have results, as a sentence begins with them."""
    text = ", ".join(name.replace("=", " ") for name in names) if len(names) < len(results) else "all volumes"
    return text[0].upper() + text[1:] if len(results) > 1 else "The volume"


def _flow(result: VolumeResult, axis: str, name: str) -> float:
    return float(result.along_axes[axis][1].get(name, math.nan))


def _tortuosity(result: VolumeResult, axis: str, name: str) -> float:
    return float(result.along_axes[axis][0].get(name, math.nan))


def _permeability(result: VolumeResult, axis: str) -> float:
    return _flow(result, axis, "permeability")


def _diffusivity(result: VolumeResult, axis: str) -> float:
    return _tortuosity(result, axis, "effective_diffusivity")
