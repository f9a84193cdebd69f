"""Segmentation of grey volumes by thresholds that follow from the whole volume, read window by window.

What belongs to the volume as a whole, brightness of its slices, shading, thresholds, is estimated once, before the
blocks; a voxel then depends on its neighbourhood alone, and the result not on how the volume is divided.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from membrane_dask.physics.imaging.blocks import Block
from membrane_dask.physics.imaging.gaussian import gaussian_filter, gaussian_taps
from membrane_dask.physics.imaging.grey_filters import otsu_threshold, separability, smooth
from membrane_dask.physics.imaging.grey_hysteresis import REACH, connected_to_core
from membrane_dask.physics.imaging.morphology import closing, squared_radius
from membrane_dask.physics.imaging.slice_brightness import SliceBrightness, slice_brightness

Method = Literal["auto", "otsu", "hysteresis", "adaptive"]
Correction = Literal["auto", "none", "slices"]

#: Voxels from which thresholds are computed, and the least number of slices that they are spread over.
_SAMPLED_VOXELS, _SAMPLED_SLICES = 1 << 22, 24
#: Smallest separability of the phases, as of micrographs, and the filter before it is computed, voxels.
_MIN_SEPARATION, _SEPARATION_FILTER = 0.7, 1.0
_TRUNCATE = 4.0


@dataclass(frozen=True, kw_only=True)
class GreyOptions:
    """How a grey volume is segmented.

    Parameters
    ----------
    method : {"auto", "otsu", "hysteresis", "adaptive"}
        ``otsu``: one threshold for the volume. ``hysteresis``: the same, but a pore must lie near a voxel that is
        darker than the middle between the threshold and the mean of the pores. ``adaptive``: a threshold by the local
        mean. ``auto``: Otsu's threshold after corrections where the volume is uneven.
    correction : {"auto", "none", "slices"}
        What is corrected before the threshold; ``auto``: with ``method: auto`` what is uneven, else nothing.
    sigma, closing_radius : float
        As of :func:`membrane_dask.io.segmentation.segment_window`.
    pores : {"dark", "bright"}
        Which phase the pores are.
    slice_axis : int or None
        Axis of the volume along which its slices follow each other; None for the planes of the file.
    """

    method: Method
    correction: Correction = "auto"
    sigma: float = 0.0
    closing_radius: float = 0.0
    pores: Literal["dark", "bright"] = "dark"
    slice_axis: int | None = None

    @property
    def axis(self) -> int:
        """Axis along which the slices follow each other; the first one, unless it is given."""
        return self.slice_axis or 0


@dataclass(frozen=True, kw_only=True, eq=False)
class GreySegmentation:
    """Segmentation of a grey volume with all that is estimated from the volume as a whole.

    Parameters
    ----------
    settings : GreyOptions
    brightness : SliceBrightness
        Levels of the slices.
    slice_maps : (n, 2) ndarray or None
        Factor and summand of each slice, where their brightness is corrected.
    threshold, core : float
        Grey value, after the corrections, that separates the phases, and that which the core of a pore reaches.
    separation : float
        Separability of the phases, in [0, 1].
    """

    settings: GreyOptions
    brightness: SliceBrightness
    slice_maps: np.ndarray | None = None
    threshold: float = math.nan
    core: float = math.nan
    separation: float = math.nan

    def pores(self, source: Any, where: tuple[slice, ...]) -> np.ndarray:
        """Pores in a window, ``(z, y, x)`` bool, independent of how the volume is divided into windows.

        Raises
        ------
        ValueError
            If the window holds values that are not finite.
        """
        square = squared_radius(self.settings.closing_radius)
        reach = REACH if self.settings.method == "hysteresis" else 0
        margin = 2 * math.isqrt(square) + reach
        grey = self.filtered(source, where, margin)
        is_dark = self.settings.pores == "dark"
        pores = grey <= self.threshold if is_dark else grey >= self.threshold
        if reach:
            core = grey < self.core if is_dark else grey > self.core
            pores = connected_to_core(pores, core)
        return np.asarray(~closing(np.ascontiguousarray(~pores), square))

    def sampled_porosity(self, source: Any, n_slices: int) -> float:
        """Porosity of some slices of a volume."""
        axis = self.settings.axis
        numbers = np.linspace(0, source.shape[axis] - 1, 2 * n_slices + 1).astype(int)[1::2].tolist()
        slices = [self.pores(source, _slice_at(source.shape, axis, number)) for number in numbers]
        return float(np.mean([pores.mean() for pores in slices]))

    @property
    def remarks(self) -> tuple[tuple[str, str], ...]:
        """Rows of the plan: the method and its thresholds, and how uneven its slices are."""
        settings, slices = self.settings, self.brightness
        low, high = slices.reference
        method = f"{settings.method}: threshold {self.threshold:.4g}, separation {self.separation:.2f}"
        is_corrected = self.slice_maps is not None
        advice = "" if is_corrected or not slices.is_relevant else "; grey.correction: slices corrects it"
        drift = (
            f"levels {low:.4g} and {high:.4g}; between slices along {'zyx'[settings.axis]} the brightness drifts by "
            f"{slices.drift:.1%} of the contrast and scatters by {slices.scatter:.1%} between neighbours, "
            f"{'corrected' if is_corrected else 'not corrected'}{advice}"
        )
        return (("segmentation", method), ("slices", drift))

    def filtered(self, source: Any, where: tuple[slice, ...], margin: int = 0) -> np.ndarray:
        """Corrected and smoothed grey values of a window with ``margin`` voxels around it, float32.

        Raises
        ------
        ValueError
            As :meth:`pores`.
        """
        sigma = self.settings.sigma
        halo = margin + (len(gaussian_taps(sigma, _TRUNCATE)) - 1 if sigma > 0 else 0)
        start, stop = tuple(axis.start for axis in where), tuple(axis.stop for axis in where)
        block = Block(start, stop, halo, tuple(source.shape))
        values = np.asarray(source[block.extended])
        if not np.isfinite(values).all():
            voxel = (np.argwhere(~np.isfinite(values))[0] + block.offset).tolist()
            raise ValueError(f"the value at voxel {voxel} (z, y, x) is not finite")
        grey = block.crop(self.corrected(values.astype(np.float32), block.offset), halo, "edge")
        return gaussian_filter(grey, sigma) if sigma > 0 else grey

    def corrected(self, values: np.ndarray, offset: np.ndarray) -> np.ndarray:
        """Grey values, float32, that begin at the voxel ``offset`` of the volume, after the corrections."""
        axis = self.settings.axis
        if self.slice_maps is not None:
            maps = self.slice_maps[offset[axis] : offset[axis] + values.shape[axis]]
            shape = [-1 if k == axis else 1 for k in range(3)]
            values = values * maps[:, 0].reshape(shape) + maps[:, 1].reshape(shape)
        return values


def estimate_segmentation(source: Any, settings: GreyOptions) -> GreySegmentation:
    """Estimate what the segmentation of a grey volume needs of the volume as a whole, in one pass over its slices.

    Parameters
    ----------
    source : array, ``(z, y, x)``
        Grey values; anything with a shape that can be sliced.
    settings : GreyOptions

    Returns
    -------
    GreySegmentation

    Raises
    ------
    ValueError
        If the volume does not show two phases, or holds values that are not finite.
    """
    brightness = slice_brightness(_slices(source, settings.axis))
    correction = settings.correction
    if correction == "auto":
        correction = "slices" if settings.method == "auto" and brightness.is_relevant else "none"
    segmentation = GreySegmentation(
        settings=settings, brightness=brightness, slice_maps=brightness.maps if correction == "slices" else None
    )
    return _with_threshold(segmentation, source)


def _slices(source: Any, axis: int) -> Iterator[np.ndarray]:
    """Slices along an axis, one at a time."""
    for number in range(source.shape[axis]):
        yield np.asarray(source[_slice_at(source.shape, axis, number)]).squeeze(axis)


def _slice_at(shape: tuple[int, ...], axis: int, number: int) -> tuple[slice, ...]:
    where = [slice(0, n) for n in shape]
    where[axis] = slice(number, number + 1)
    return tuple(where)


def _sampled(segmentation: GreySegmentation, source: Any) -> Iterator[np.ndarray]:
    """Corrected and smoothed slices that are spread over the volume: all of a small one."""
    axis = segmentation.settings.axis
    n, area = source.shape[axis], math.prod(source.shape) // source.shape[axis]
    count = min(n, max(_SAMPLED_SLICES, _SAMPLED_VOXELS // area))
    for number in np.unique(np.linspace(0, n - 1, count).round().astype(int)):
        yield segmentation.filtered(source, _slice_at(source.shape, axis, int(number))).squeeze(axis)


def _with_threshold(segmentation: GreySegmentation, source: Any) -> GreySegmentation:
    """Otsu's threshold of the corrected and smoothed volume."""
    settings = segmentation.settings
    values, smoothed = [], []
    for image in _sampled(segmentation, source):
        step = max(1, math.isqrt(image.size * _SAMPLED_SLICES // _SAMPLED_VOXELS))
        values.append(image[::step, ::step].ravel())
        image = smooth(image, _SEPARATION_FILTER) if settings.sigma < _SEPARATION_FILTER else image
        smoothed.append(image[::step, ::step].ravel())
    sample, separation = np.concatenate(values), separability(np.concatenate(smoothed))
    if separation < _MIN_SEPARATION and settings.method != "adaptive":
        raise ValueError(
            f"its grey values do not separate into two phases: {separation:.2f} of their variance lies between the "
            f"halves that Otsu's threshold makes, {_MIN_SEPARATION} is needed; correct its brightness (grey.method: "
            "auto), or segment it by hand and use the segmented volume as input"
        )
    threshold = otsu_threshold(sample)
    is_pore = sample <= threshold if settings.pores == "dark" else sample >= threshold
    core = (threshold + float(sample[is_pore].mean(dtype=np.float64))) / 2
    return replace(segmentation, threshold=threshold, core=core, separation=separation)
