"""What grey values show of an image: labels, a binary image, a saturated one, one that cannot be segmented."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Fraction of the pixels that the labels hold; the others are interpolated between labels.
_LABELLED = 0.95
#: Most labels of an image; more values are grey.
_MAX_LABELS = 12
#: Values up to which an image is labelled although they are two runs of adjacent ones, as two phases with little noise.
_FEW_VALUES = 8
#: After lossy compression: fraction of a label's pixels within one grey level of its value; least fraction of a label
#: that is recognised; least difference of two labels; and difference of pixels that surely have a label.
_PEAK, _MIN_LABEL, _SEPARATION, _SPREAD = 0.5, 0.04, 16, 6
#: Width and range of a square without noise, as a block of a JPEG far from edges; least number over that of the pixels.
_FLAT_WIDTH, _FLAT_RANGE, _FLAT = 8, 1, 2e-4
#: Fraction of the pixels with the largest or smallest value from which on an image is reported as saturated.
SATURATED = 0.05
#: Largest fraction of the pixels that may have the largest, or the smallest, grey value of an image.
_MAX_SATURATED = 0.6
#: Smallest number of pixels along either axis; fewer carry no statistics.
_MIN_SIZE = 32


@dataclass(frozen=True)
class Labels:
    """Values of a labelled image.

    Parameters
    ----------
    values : (N,) ndarray
        Values of the labels, rising.
    fractions : (N,) ndarray
        Fraction of the pixels of each; they add to 1 unless other values lie between labels.
    spread : int
        Largest difference of a pixel from its label; above 0 after lossy compression.
    """

    values: np.ndarray
    fractions: np.ndarray
    spread: int = 0

    def __str__(self) -> str:
        values = ", ".join(f"{value:g}" for value in self.values)
        return f"{values} with {', '.join(f'{100 * fraction:.3g}' for fraction in self.fractions)} %"

    def assigned(self, image: np.ndarray) -> np.ndarray:
        """The image with labels only: pixels of other values have the label of the nearest pixel that has one."""
        middles = (self.values[1:] + self.values[:-1].astype(np.float64)) / 2
        labelled = self.values[np.searchsorted(middles, image)]
        is_label = np.abs(image.astype(np.float64) - labelled) <= self.spread
        if is_label.all():
            return np.asarray(labelled)
        from scipy import ndimage  # slow to import; few images need it

        where = ndimage.distance_transform_edt(~is_label, return_distances=False, return_indices=True)
        return np.asarray(labelled[tuple(where)])


def find_labels(image: np.ndarray, is_lossy: bool = False) -> Labels | None:
    """Labels of an image; None if it is grey.

    An image is labelled if it has at most 12 values, unless more than 8 are two runs of adjacent ones, which are two
    phases with little noise; if at most 12 values, no two of them adjacent integers, hold 95 % of its pixels; or if it
    has narrow peaks, as after lossy compression. Two labels make a binary image.

    Parameters
    ----------
    image : (rows, columns) ndarray
        Grey values.
    is_lossy : bool
        Whether a compression may have changed them, so that two narrow peaks are labels.
    """
    values, counts = grey_counts(image)
    fractions = counts / image.size
    n_runs = 1 + np.count_nonzero(np.diff(values.astype(np.float64)) > 1)
    if len(values) <= (_FEW_VALUES if n_runs == 2 else _MAX_LABELS):
        return Labels(values, fractions)
    order = np.argsort(-counts, kind="stable")
    n = int(np.searchsorted(np.cumsum(fractions[order]), _LABELLED)) + 1
    chosen = np.sort(order[:n])
    if 1 < n <= _MAX_LABELS and (np.diff(values[chosen].astype(np.float64)) > 1).all():
        return Labels(values[chosen], fractions[chosen])
    labels = _labels_after_compression(image, values, counts) if image.dtype == np.uint8 else None
    # Two narrow peaks without such a compression are those of an image with little noise.
    return labels if labels and (is_lossy or len(labels.values) > 2) else None


def grey_counts(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values of an image, rising, and how many pixels have each."""
    if image.dtype in (np.uint8, np.uint16):
        counts = np.bincount(image.ravel())
        values = np.flatnonzero(counts)
        return values, counts[values]
    values, counts = np.unique(image, return_counts=True)
    return values, counts


def _labels_after_compression(image: np.ndarray, values: np.ndarray, counts: np.ndarray) -> Labels | None:
    """Labels whose values were spread by lossy compression; None for other images.

    Half of the pixels that are nearest to a label have its value, within one grey level; the noise of a microscope is
    wider. After stronger compression fewer do, but far from edges three or more labels are still free of noise.
    """
    frequency = np.zeros(values[-1] + 3)
    frequency[values + 1] = counts / counts.sum()
    near = frequency[:-2] + frequency[1:-1] + frequency[2:]
    free, peaks = near.copy(), []
    while free.max() >= _MIN_LABEL:
        peaks.append(int(free.argmax()))
        free[max(0, peaks[-1] - _SEPARATION) : peaks[-1] + _SEPARATION + 1] = 0
    if not 2 <= len(peaks) <= _MAX_LABELS:
        return None
    labels = np.sort(np.array(peaks))
    nearest = np.abs(np.arange(len(near))[:, None] - labels).argmin(axis=1)
    fractions = np.bincount(nearest, frequency[1:-1], len(labels))
    if (near[labels] < _PEAK * fractions).any() and (len(labels) < 3 or not _are_flat(image, labels)):
        return None
    return Labels(labels, fractions, _SPREAD)


def _are_flat(image: np.ndarray, labels: np.ndarray) -> bool:
    """Whether each label has squares without noise."""
    from scipy import ndimage

    ranges = ndimage.maximum_filter(image, _FLAT_WIDTH) - ndimage.minimum_filter(image, _FLAT_WIDTH)
    flat = image[ranges <= _FLAT_RANGE].astype(np.int64)
    return all((np.abs(flat - label) <= 2 * _FLAT_RANGE).sum() >= _FLAT * image.size for label in labels)


def saturation(image: np.ndarray) -> tuple[float, float]:
    """Fractions of the pixels with the smallest and with the largest value of an image."""
    return float((image == image.min()).mean()), float((image == image.max()).mean())


def normalised(image: np.ndarray) -> np.ndarray:
    """Grey values from 0 to 1 of an image ``(rows, columns)``.

    Raises
    ------
    ValueError
        If the image cannot be segmented: it is not grey, too small, constant, saturated, or holds negative or
        non-finite values.
    """
    if image.ndim != 2:
        raise ValueError(f"a grey image of rows by columns is needed (got the shape {image.shape})")
    if min(image.shape) < _MIN_SIZE:
        raise ValueError(
            f"at least {_MIN_SIZE} x {_MIN_SIZE} pixels are needed; this image has {image.shape[0]} x {image.shape[1]}"
        )
    grey = image.astype(np.float64)
    if not np.isfinite(grey).all():
        raise ValueError("the image holds values that are not finite")
    if grey.min() < 0:
        raise ValueError(f"grey values must be at least 0; the smallest is {grey.min():g}: save it as unsigned")
    if grey.min() == grey.max():
        raise ValueError(f"the image is constant: every pixel has the value {grey.max():g}")
    if np.unique(image).size > 2:
        for name, extreme in (("brightest", grey.max()), ("darkest", grey.min())):
            fraction = float((grey == extreme).mean())
            if fraction > _MAX_SATURATED:
                raise ValueError(
                    f"the image is saturated: {fraction:.0%} of its pixels have the {name} value, {extreme:g}; at most "
                    f"{_MAX_SATURATED:.0%} may"
                )
    return np.asarray(grey / (np.iinfo(image.dtype).max if np.issubdtype(image.dtype, np.integer) else grey.max()))
