"""Segmentation of one micrograph by several methods, which shows how far porosity and sizes depend on the method."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from membrane_dask.physics.imaging.segmentation import Segmentation

Method = Literal["auto", "otsu", "hysteresis", "adaptive"]

#: Methods that are compared, with their sensitivities: ``adaptive`` 0.65 is that of Chamani et al., 0.95 times the
#: local mean, and the local mean itself is ``adaptive`` with a sensitivity of 0.6.
METHODS: dict[tuple[Method, float], str] = {
    ("auto", 0.65): "auto",
    ("otsu", 0.65): "otsu",
    ("hysteresis", 0.65): "hysteresis",
    ("adaptive", 0.65): "adaptive 0.65",
    ("adaptive", 0.6): "local mean",
}
#: Smallest fraction of either phase that is a segmentation.
_MIN_FRACTION = 0.005


@dataclass(frozen=True)
class MethodResult:
    """Segmentation of a micrograph by one method.

    Parameters
    ----------
    name : str
        Name of the method.
    is_used : bool
        Whether it is that of the segmentation it is compared with.
    solid : (depth, width) ndarray of bool
        True in the solid.
    bias : float
        Porosity that the method adds to an image of a known section: the segmentation it is compared with, rendered
        with the grey levels, shading, blur and noise of the micrograph.
    failure : str
        Why this is no segmentation; empty if it is one.
    """

    name: str
    is_used: bool
    solid: np.ndarray
    bias: float
    failure: str


def compare_methods(segmentation: Segmentation, method: Method, sensitivity: float) -> Iterator[MethodResult]:
    """Segment a micrograph by all methods, each after the same smoothing and before the same median filter.

    Parameters
    ----------
    segmentation : Segmentation
        Segmentation that is used, of an image that is not binary.
    method, sensitivity
        As of :func:`~membrane_dask.physics.imaging.segmentation.segment`, which it was made with.

    Yields
    ------
    MethodResult
        The methods of :data:`METHODS`, and the one that is used if it has another sensitivity.
    """
    if segmentation.estimate is None:
        raise ValueError("a binary image is taken as it is: there are no methods to compare")
    used = (method, sensitivity if method == "adaptive" else 0.65)
    reference, gain = segmentation.solid, segmentation.gain
    model = segmentation.estimate.model
    noise = model.noise_of(0, 0, reference.shape)
    corrected = segmentation.uncorrected if gain is None else segmentation.uncorrected / gain
    images = {
        "auto": (corrected, replace(model, gain=None).render(reference, noise)),
        "otherwise": (segmentation.uncorrected, replace(model, gain=gain).render(reference, noise)),
    }
    for compared, name in (METHODS | {used: METHODS.get(used, f"adaptive {sensitivity:g}")}).items():
        segmenter = replace(
            segmentation.segmenter,
            method="otsu" if compared[0] == "auto" else compared[0],
            sensitivity=compared[1],
        )
        solid, rendered = (segmenter(image) for image in images["auto" if compared[0] == "auto" else "otherwise"])
        fraction = float(solid.mean())
        failure = "" if _MIN_FRACTION <= fraction <= 1 - _MIN_FRACTION else f"{fraction:.1%} of the pixels are solid"
        yield MethodResult(name, compared == used, solid, float(reference.mean() - rendered.mean()), failure)
