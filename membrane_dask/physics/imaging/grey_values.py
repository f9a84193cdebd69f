"""Frequencies of grey values that show what an image is: labels, a binary image, a saturated one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from membrane_dask.physics.imaging.grey_filters import otsu_threshold

#: Fraction of the pixels that the labels hold; the others are interpolated between labels.
_LABELLED = 0.95
#: Most values of a labelled image: if they are all values of the image; if there are others, or the values are apart.
_MAX_LABELS, _MAX_SEPARATE_LABELS = 8, 12
#: Fraction of a phase within one grey level of its most frequent value, in a binary image after lossy compression.
_PEAK = 0.5
#: Fraction of the pixels with the largest or smallest value from which on an image is reported as saturated.
SATURATED = 0.05


@dataclass(frozen=True)
class Labels:
    """Values of a labelled image.

    Parameters
    ----------
    values : (N,) ndarray
        Values of the labels, rising.
    fractions : (N,) ndarray
        Fraction of the pixels of each; they add to 1 unless other values lie between labels.
    """

    values: np.ndarray
    fractions: np.ndarray

    def __str__(self) -> str:
        values = ", ".join(f"{value:g}" for value in self.values)
        return f"{values} with {', '.join(f'{100 * fraction:.3g}' for fraction in self.fractions)} %"

    def assigned(self, image: np.ndarray) -> np.ndarray:
        """The image, with the label of the nearest labelled pixel where it has another value."""
        is_label = np.isin(image, self.values)
        if is_label.all():
            return image
        where = ndimage.distance_transform_edt(~is_label, return_distances=False, return_indices=True)
        return np.asarray(image[tuple(where)])


def find_labels(image: np.ndarray) -> Labels | None:
    """Labels of an image; None if it is grey.

    An image is labelled if it has at most 8 values, or if at most 12 values, no two of them adjacent integers, hold
    95 % of its pixels. Two labels make a binary image.

    Parameters
    ----------
    image : (rows, columns) ndarray
        Grey values.
    """
    values, counts = grey_counts(image)
    fractions = counts / image.size
    if len(values) <= _MAX_LABELS:
        return Labels(values, fractions)
    order = np.argsort(-counts, kind="stable")
    n = int(np.searchsorted(np.cumsum(fractions[order]), _LABELLED)) + 1
    if n > _MAX_SEPARATE_LABELS:
        return None
    chosen = np.sort(order[:n])
    is_separate = n == 1 or bool((np.diff(values[chosen].astype(np.float64)) > 1).all())
    return Labels(values[chosen], fractions[chosen]) if is_separate and n > 1 else None


def grey_counts(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values of an image, rising, and how many pixels have each."""
    if image.dtype in (np.uint8, np.uint16):
        counts = np.bincount(image.ravel())
        values = np.flatnonzero(counts)
        return values, counts[values]
    values, counts = np.unique(image, return_counts=True)
    return values, counts


def binary_after_compression(image: np.ndarray) -> np.ndarray | None:
    """Phases of a binary image after lossy compression, True in the brighter one; None for other images.

    Half of the pixels of each phase have its most frequent value, within one grey level; the noise of a microscope is
    wider.
    """
    if image.dtype.kind not in "ui" or image.min() == image.max():
        return None
    bright = image > otsu_threshold(image.astype(np.float64))
    for phase in (bright, ~bright):
        values, counts = grey_counts(image[phase])
        near = np.abs(values.astype(np.int64) - int(values[int(counts.argmax())])) <= 1
        if counts[near].sum() < _PEAK * counts.sum():
            return None
    return np.asarray(bright)


def saturation(image: np.ndarray) -> tuple[float, float]:
    """Fractions of the pixels with the smallest and with the largest value of an image."""
    return float((image == image.min()).mean()), float((image == image.max()).mean())
