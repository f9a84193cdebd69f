"""Segmentation of grey volumes by thresholds that follow from the whole volume, read window by window.

What belongs to the volume as a whole, brightness of its slices, shading, thresholds, is estimated once, before the
blocks; a voxel then depends on its neighbourhood alone, and the result not on how the volume is divided.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from membrane_dask.io.grey_bias import NOT_MEASURED, GreyBias, SegmentedSlice, grey_bias
from membrane_dask.io.grey_noise import SegmentationNoise, segmentation_noise
from membrane_dask.io.grey_options import GreyOptions
from membrane_dask.physics.imaging.blocks import Block
from membrane_dask.physics.imaging.digital_spheres import squared_radius
from membrane_dask.physics.imaging.gaussian import gaussian_filter, gaussian_taps
from membrane_dask.physics.imaging.grey_filters import otsu_threshold, separability, smooth
from membrane_dask.physics.imaging.grey_hysteresis import REACH, connected_to_core
from membrane_dask.physics.imaging.local_mean import LocalMean, local_mean
from membrane_dask.physics.imaging.morphology import closing
from membrane_dask.physics.imaging.slice_brightness import RELEVANT_DRIFT, SliceBrightness, slice_brightness
from membrane_dask.physics.imaging.volume_shading import VolumeShading, estimate_volume_shading

#: Voxels from which thresholds are computed, and the least number of slices that they are spread over.
_SAMPLED_VOXELS, _SAMPLED_SLICES = 1 << 22, 24
#: Voxels from which the shading is estimated.
_SHADED_VOXELS = 1 << 18
#: Slices whose brightness is compared where a threshold is given.
_DRIFT_SLICES = 64
#: Slices in which the bias is measured, and voxels along their edges.
_BIAS_SLICES, _BIAS_WIDTH = 3, 384
#: Smallest separability of the phases, as of micrographs, and the filter before it is computed, voxels.
_MIN_SEPARATION, _SEPARATION_FILTER = 0.7, 1.0
_TRUNCATE = 4.0
#: Planes that are segmented at a time, which limits the memory of the filters.
_SLAB = 64


@dataclass(frozen=True, kw_only=True, eq=False)
class GreySegmentation:
    """Segmentation of a grey volume with all that is estimated from the volume as a whole.

    Parameters
    ----------
    settings : GreyOptions
    brightness : SliceBrightness
        Levels of the slices, after the correction of shading.
    shading : VolumeShading
        Shading of the volume.
    has_shading_corrected : bool
        Whether it is corrected.
    slice_maps : (n, 2) ndarray or None
        Factor and summand of each slice, where their brightness is corrected.
    threshold, core : float
        Grey value, after the corrections, that separates the phases, and that which the core of a pore reaches.
    separation : float
        Separability of the phases, in [0, 1].
    local : LocalMean or None
        Mean grey values around the voxels, for the adaptive threshold.
    bias : GreyBias
        What blur, noise and threshold change in some slices.
    noise : SegmentationNoise or None
        Single voxels in some blocks.
    """

    settings: GreyOptions
    brightness: SliceBrightness
    shading: VolumeShading
    has_shading_corrected: bool = False
    slice_maps: np.ndarray | None = None
    threshold: float = math.nan
    core: float = math.nan
    separation: float = math.nan
    local: LocalMean | None = None
    bias: GreyBias = NOT_MEASURED
    noise: SegmentationNoise | None = None

    def pores(self, source: Any, where: tuple[slice, ...]) -> np.ndarray:
        """Pores in a window, ``(z, y, x)`` bool, independent of how the volume is divided into windows.

        Raises
        ------
        ValueError
            If the window holds values that are not finite.
        """
        planes = where[0]
        if planes.stop - planes.start > _SLAB:
            starts = range(planes.start, planes.stop, _SLAB)
            slabs = [slice(start, min(start + _SLAB, planes.stop)) for start in starts]
            return np.concatenate([self.pores(source, (slab, *where[1:])) for slab in slabs])
        square = squared_radius(self.settings.closing_radius)
        reach = REACH if self.settings.method == "hysteresis" else 0
        margin = 2 * math.isqrt(square) + reach
        grey = self.filtered(source, where, margin)
        is_dark = self.settings.pores == "dark"
        if self.local is not None:
            threshold = self.local_threshold(where, margin, source.shape)
            pores = grey <= threshold if is_dark else grey > threshold
        else:
            pores = grey <= self.threshold if is_dark else grey >= self.threshold
        if reach:
            core = grey < self.core if is_dark else grey > self.core
            pores = connected_to_core(pores, core)
        return np.asarray(~closing(np.ascontiguousarray(~pores), square))

    def sampled_porosity(self, source: Any, n_slices: int) -> float:
        """Porosity of some slices of a volume."""
        axis = self.settings.axis
        numbers = np.linspace(0, source.shape[axis] - 1, 2 * n_slices + 1).astype(int)[1::2].tolist()
        slices = [self.pores(source, slice_at(source.shape, axis, number)) for number in numbers]
        return float(np.mean([pores.mean() for pores in slices]))

    @property
    def remarks(self) -> tuple[tuple[str, str], ...]:
        """Rows of the plan: the method and its thresholds, and how uneven its slices are."""
        settings, slices = self.settings, self.brightness
        threshold = "threshold by the local mean" if self.local is not None else f"threshold {self.threshold:.4g}"
        method = f"{settings.method}: {threshold}, separation {self.separation:.2f}"
        low, high = slices.reference
        drift = (
            f"levels {low:.4g} and {high:.4g}; between slices along {'zyx'[settings.axis]} the brightness drifts by "
            f"{slices.drift:.1%} of the contrast and scatters by {slices.scatter:.1%} between neighbours, "
            f"{_treated(self.slice_maps is not None, slices.is_relevant, 'slices')}"
        )
        if slices.n_valid < len(slices.levels):
            drift += f"; {slices.n_valid} of {len(slices.levels)} show both phases, the others are interpolated"
        treated = _treated(self.has_shading_corrected, self.shading.is_relevant, "shading")
        return (
            ("segmentation", method),
            ("slices", drift),
            ("shading", f"{self.shading.shading:.1%} within slices, {treated}"),
            ("bias", str(self.bias)),
            *(self.noise.remarks if self.noise else ()),
        )

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
        grey = block.crop(self.corrected(values.astype(np.float32), block.offset, source.shape), halo, "edge")
        return gaussian_filter(grey, sigma) if sigma > 0 else grey

    def corrected(self, values: np.ndarray, offset: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Grey values, float32, after the corrections.

        Parameters
        ----------
        values : (z, y, x) ndarray of float32
            Grey values that begin at the voxel ``offset`` of the volume.
        offset : (3,) ndarray
        shape : tuple of int
            Shape of the volume.
        """
        axis = self.settings.axis
        if self.has_shading_corrected:
            points = []
            for k in (axis, *[k for k in range(3) if k != axis]):
                index = np.arange(offset[k], offset[k] + values.shape[k])
                points.append(_along(coordinate(index, shape[k]).astype(np.float32), k))
            values = values / self.shading.gain(*points)
        if self.slice_maps is not None:
            maps = self.slice_maps[offset[axis] : offset[axis] + values.shape[axis]]
            values = values * _along(maps[:, 0], axis) + _along(maps[:, 1], axis)
        return values

    def local_threshold(self, where: tuple[slice, ...], margin: int, shape: tuple[int, ...]) -> np.ndarray:
        """Threshold of every voxel of a window with ``margin`` voxels around it."""
        assert self.local is not None
        axis, sensitivity = self.settings.axis, self.settings.sensitivity
        factor = 1.6 - sensitivity if self.settings.pores == "dark" else 0.4 + sensitivity
        order = (axis, *[k for k in range(3) if k != axis])
        indices = [np.arange(where[k].start - margin, where[k].stop + margin).clip(0, shape[k] - 1) for k in order]
        return np.moveaxis(np.float32(factor) * self.local.at(*indices), 0, axis)


def coordinate(index: np.ndarray, n: int) -> np.ndarray:
    """Position from -1 to 1 of voxels along an axis of ``n``."""
    return np.asarray(2 * index / max(1, n - 1) - 1)


def _along(values: np.ndarray, axis: int) -> np.ndarray:
    """Values along an axis of a volume, to be broadcast over the others."""
    return values.reshape([-1 if k == axis else 1 for k in range(3)])


def estimate_segmentation(source: Any, settings: GreyOptions) -> GreySegmentation:
    """Estimate what the segmentation of a grey volume needs of the volume as a whole, in passes over its slices.

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
        If the volume does not show two phases, or holds values that are not finite, or negative ones where their ratio
        matters.
    """
    axis = settings.axis
    brightness = slice_brightness(partial(_slice, source, axis), source.shape[axis])
    wants, is_auto = settings.correction, settings.correction == "auto" and settings.method == "auto"
    has_negative = brightness.reference[0] < 0
    if has_negative and (wants in ("shading", "both") or settings.method == "adaptive"):
        subject = "grey.method: adaptive" if settings.method == "adaptive" else f"grey.correction: {wants}"
        raise ValueError(f"{subject} needs grey values of at least 0, black; add a constant to those of the volume")
    shading = _shading(source, axis, brightness)
    segmentation = GreySegmentation(settings=settings, brightness=brightness, shading=shading)
    if wants in ("shading", "both") or (is_auto and shading.is_relevant and not has_negative):
        segmentation = replace(segmentation, has_shading_corrected=True)
        brightness = slice_brightness(partial(_corrected_slice, segmentation, source), source.shape[axis])
        segmentation = replace(segmentation, brightness=brightness)
    if wants in ("slices", "both") or (is_auto and brightness.is_relevant):
        segmentation = replace(segmentation, slice_maps=brightness.maps)
    if settings.method == "adaptive":
        slices = (_corrected_slice(segmentation, source, number) for number in range(source.shape[axis]))
        means = local_mean(slices, settings.neighbourhood, settings.window)
        segmentation = replace(segmentation, local=means)
    segmentation = _with_threshold(segmentation, source)
    noise = segmentation_noise(partial(segmentation.pores, source), source.shape, settings.sigma)
    # The image of a slice with noise as structure is blurred: the noise would count as removed.
    bias = GreyBias(failure="single voxels remain") if noise.is_relevant else _bias(segmentation, source)
    return replace(segmentation, bias=bias, noise=noise)


def drift_remark(source: Any, axis: int) -> tuple[tuple[str, str], ...]:
    """Row of the plan of a volume with a given threshold: drift between slices; none if they do not show two phases."""
    n = source.shape[axis]
    numbers = np.unique(np.linspace(0, n - 1, min(n, _DRIFT_SLICES)).round().astype(int)).tolist()
    try:
        slices = slice_brightness(lambda k: _slice(source, axis, numbers[k]), len(numbers))
    except ValueError:
        return ()
    advice = "; grey.method: auto corrects it" if slices.drift > RELEVANT_DRIFT else ""
    text = f"along {'zyx'[axis]} their brightness drifts by {slices.drift:.1%} of the contrast, not corrected{advice}"
    return (("slices", text),)


def _bias(segmentation: GreySegmentation, source: Any) -> GreyBias:
    """What blur, noise and threshold change in the middle of some slices; without hysteresis and closing."""
    settings, axis, shape = segmentation.settings, segmentation.settings.axis, source.shape
    low, high = segmentation.brightness.reference
    sign = 1.0 if settings.pores == "dark" else -1.0

    def scaled(values: np.ndarray | float) -> np.ndarray:
        # Levels of 1/4 and 3/4, the solid brighter.
        return 0.5 + sign * (np.asarray(values, np.float64) - (low + high) / 2) / (2 * (high - low))

    slices = []
    for number in sorted({shape[axis] * k // (2 * _BIAS_SLICES) for k in range(1, 2 * _BIAS_SLICES, 2)}):
        where = tuple(
            slice(number, number + 1) if k == axis else slice(max(0, n - _BIAS_WIDTH) // 2, (n + _BIAS_WIDTH + 1) // 2)
            for k, n in enumerate(shape)
        )
        where = tuple(slice(along.start, min(along.stop, n)) for along, n in zip(where, shape, strict=True))
        unfiltered = replace(segmentation, settings=replace(settings, sigma=0.0))
        grey, filtered = (scaled(each.filtered(source, where).squeeze(axis)) for each in (unfiltered, segmentation))
        threshold: np.ndarray | float = float(scaled(segmentation.threshold))
        if segmentation.local is not None:
            threshold = scaled(segmentation.local_threshold(where, 0, shape).squeeze(axis))
        slices.append(SegmentedSlice(grey, filtered > threshold, threshold))
    return grey_bias(slices, settings.sigma)


def _shading(source: Any, axis: int, brightness: SliceBrightness) -> VolumeShading:
    """Shading of a volume, from some of its slices."""
    n = source.shape[axis]
    numbers = np.unique(np.linspace(0, n - 1, min(n, _SAMPLED_SLICES)).round().astype(int))
    images, points = [], []
    for number in numbers:
        image = _slice(source, axis, int(number)).astype(np.float64)
        step = max(1, math.isqrt(image.size * len(numbers) // _SHADED_VOXELS))
        rows, columns = (np.arange(0, size, step) for size in image.shape)
        y, x = (coordinate(index, size) for index, size in zip((rows, columns), image.shape, strict=True))
        images.append(smooth(image, _SEPARATION_FILTER)[::step, ::step].ravel())
        z = np.full(images[-1].size, coordinate(number, n))
        points.append((z, np.repeat(y, columns.size), np.tile(x, rows.size)))
    return estimate_volume_shading(images, points, brightness.levels[numbers, 1])


def _corrected_slice(segmentation: GreySegmentation, source: Any, number: int) -> np.ndarray:
    """A slice after the corrections."""
    axis = segmentation.settings.axis
    offset = np.array([number if k == axis else 0 for k in range(3)])
    values = np.expand_dims(_slice(source, axis, number), axis).astype(np.float32)
    return segmentation.corrected(values, offset, source.shape).squeeze(axis)


def _slice(source: Any, axis: int, number: int) -> np.ndarray:
    """Grey values of a slice across an axis."""
    return np.asarray(source[slice_at(source.shape, axis, number)]).squeeze(axis)


def _treated(is_corrected: bool, is_relevant: bool, correction: str) -> str:
    """Whether something is corrected, and what would."""
    if is_corrected:
        return "corrected"
    return f"not corrected; grey.correction: {correction} corrects it" if is_relevant else "not corrected"


def slice_at(shape: tuple[int, ...], axis: int, number: int) -> tuple[slice, ...]:
    """Window of one slice of a volume."""
    where = [slice(0, n) for n in shape]
    where[axis] = slice(number, number + 1)
    return tuple(where)


def _sampled(segmentation: GreySegmentation, source: Any) -> Iterator[np.ndarray]:
    """Corrected and smoothed slices that are spread over the volume: all of a small one."""
    axis = segmentation.settings.axis
    n, area = source.shape[axis], math.prod(source.shape) // source.shape[axis]
    count = min(n, max(_SAMPLED_SLICES, _SAMPLED_VOXELS // area))
    for number in np.unique(np.linspace(0, n - 1, count).round().astype(int)):
        yield segmentation.filtered(source, slice_at(source.shape, axis, int(number))).squeeze(axis)


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
    if math.isnan(separation):
        raise ValueError(
            f"its grey values, {sample.min():g} to {sample.max():g}, are too small, too large or too much alike for a "
            "threshold; check the type and the byte order of its voxels (raw.type, raw.byte_order)"
        )
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
