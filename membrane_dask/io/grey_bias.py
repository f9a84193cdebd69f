"""What blur, noise and threshold change in a grey volume: its segmented slices, imaged and segmented again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from membrane_dask.physics.imaging.grey_filters import kernel_weights, smooth
from membrane_dask.physics.imaging.image_model import estimate_image_model
from membrane_dask.physics.reconstruction.descriptors import describe, half_correlation_length

#: Longest lag, pixels, at which the correlation of a slice is computed.
_MAX_LAG = 64


@dataclass(frozen=True)
class GreyBias:
    """Difference between segmented images of known slices and the slices themselves.

    Parameters
    ----------
    porosity : float
        Porosity that is added; NaN if it is not measured.
    half_length : float
        Relative difference of the half-correlation length along rows; NaN if it is not measured.
    failure : str
        Why it is not measured; empty if it is.
    """

    porosity: float = math.nan
    half_length: float = math.nan
    failure: str = ""

    def __str__(self) -> str:
        if self.failure:
            return f"not measured: {self.failure}"
        text = f"{self.porosity:+.3f} in the porosity"
        if math.isfinite(self.half_length):
            text += f", {self.half_length:+.1%} in the half-correlation length"
        return f"{text}, from segmented slices that are imaged and segmented again"


#: Before it is measured.
NOT_MEASURED = GreyBias(failure="not requested")


@dataclass(frozen=True, eq=False)
class SegmentedSlice:
    """A slice of a grey volume with its threshold.

    Parameters
    ----------
    grey : (rows, columns) ndarray
        Grey values before the Gaussian filter, from 0 to 1, the solid brighter.
    solid : (rows, columns) ndarray of bool
        True in the solid.
    threshold : (rows, columns) ndarray or float
        Grey value above which the filtered slice is solid.
    """

    grey: np.ndarray
    solid: np.ndarray
    threshold: np.ndarray | float


def grey_bias(slices: Sequence[SegmentedSlice], sigma: float) -> GreyBias:
    """Image the segmented slices with the blur, the noise and the levels of their grey values, and segment them again.

    Parameters
    ----------
    slices : sequence of SegmentedSlice
    sigma : float
        Standard deviation of the Gaussian filter of the volume, voxels.

    Returns
    -------
    GreyBias
        Means over the slices.

    Notes
    -----
    Slices are imaged in two dimensions: the filter across them lowers the noise, and their blur across them is left
    out.
    """
    across = math.sqrt(float(np.square(kernel_weights(sigma)).sum()))
    porosities, lengths = [], []
    for number, section in enumerate(slices):
        try:
            model = estimate_image_model(section.grey).model
        except ValueError as error:
            return GreyBias(failure=str(error).split(":")[0])
        model = replace(model, noise=across * model.noise)
        image = model.render(section.solid, model.noise_of(0, number, section.solid.shape))
        again = smooth(image, sigma) > section.threshold
        porosities.append(float(section.solid.mean() - again.mean()))
        before, after = (_half_length(solid) for solid in (section.solid, again))
        lengths.append(after / before - 1)
    measured = [length for length in lengths if math.isfinite(length)]
    return GreyBias(float(np.mean(porosities)), float(np.mean(measured)) if measured else math.nan)


def _half_length(solid: np.ndarray) -> float:
    """Half-correlation length along the rows of a slice, pixels; NaN if it is longer than the lags."""
    lags = np.arange(min(_MAX_LAG, solid.shape[1] // 2))
    rows = np.full((1, solid.shape[0]), 1 / solid.shape[0])
    correlation = describe(solid, lags=lags, radii=np.ones(1)).mean(rows).correlation
    return float(half_correlation_length(correlation, lags)[0])
