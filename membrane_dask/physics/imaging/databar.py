"""Databars burnt into micrographs: strips of flat rows with a straight edge to the image."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

#: Grey levels into which a row is divided, of which two adjacent ones count as one grey value.
_LEVELS = 64
#: Fraction of a row with one grey value in a databar; rows of a segmented image reach 0.97 of it seldom.
_FLAT, _ALMOST_ALL = 0.3, 0.97
#: Fraction of the image's variance that rows of a databar may have.
_VARIANCE = 0.25
#: Fraction of one grey value in the first rows of a databar, above its text.
_MARGIN = 0.9
#: Least rows of a databar; largest fraction of the rows; rows of text between flat ones, as a fraction of the rows.
_MIN_ROWS, _MAX_FRACTION, _TEXT = 8, 0.4, 0.12
#: Fraction of a row that has an extreme value where something is drawn; mean of that of the other rows.
_DRAWN, _NOT_DRAWN = 0.02, 1e-4
#: Rows outside an edge that are compared with the image.
_EDGE_ROWS = 3
#: Change of the pixels across an edge, in that of 95 % of the pairs of adjacent rows.
_STEP = 2.0


@dataclass(frozen=True)
class _Rows:
    """Of every row: fraction with its most frequent grey value, variance, mean change to the next row; usual values."""

    fraction: np.ndarray
    variance: np.ndarray
    change: np.ndarray
    usual_variance: float
    usual_change: float


@dataclass(frozen=True)
class Strip:
    """Rows of an image that are no micrograph.

    Parameters
    ----------
    start, stop : int
        First row, and the row after the last.
    grey : float
        Most frequent grey value.
    fraction : float
        Fraction of the pixels that have it, rounded to 1/64 of the range.
    has_text : bool
        Whether there are other values.
    """

    start: int
    stop: int
    grey: float
    fraction: float
    has_text: bool

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.stop - self.start


def find_strips(image: np.ndarray) -> list[Strip]:
    """Find databars and other strips of flat rows with straight edges.

    Parameters
    ----------
    image : (rows, columns) ndarray
        Grey values.

    Returns
    -------
    list of Strip
        From top to bottom. A strip has at least 8 rows and reaches the upper or the lower border, or both of its edges
        are straight.

    Notes
    -----
    A row is flat if one grey value has 30 % of its pixels and clearly more than in the median row, or if its variance
    is below a quarter of that of the median row. Text may interrupt flat rows. At the edge of a databar all columns
    change within a row, whereas the edge of a dense layer or of a resin takes several rows.
    """
    rows, columns = image.shape
    if rows < 4 * _MIN_ROWS or columns < _MIN_ROWS or not np.isfinite(image).all() or image.min() == image.max():
        return []
    low, high = float(image.min()), float(image.max())
    counts, variance, change = np.zeros((rows, _LEVELS + 1)), np.zeros(rows), np.zeros(rows - 1)
    before = np.zeros(columns)
    for row in range(rows):
        grey = image[row].astype(np.float64)
        level = ((grey - low) * (_LEVELS / (high - low))).astype(np.int64).clip(0, _LEVELS - 1)
        counts[row, :-1] = np.bincount(level, minlength=_LEVELS) / columns
        variance[row] = grey.var()
        if row:
            change[row - 1] = np.abs(grey - before).mean()
        before = grey
    pairs = counts[:, :-1] + counts[:, 1:]  # a grey value may lie at the limit between two levels
    fraction = pairs.max(axis=1)
    each = _Rows(fraction, variance, change, float(np.median(variance)), float(np.quantile(change, 0.95)))
    is_flat = fraction >= min(_ALMOST_ALL, max(_FLAT, 1.5 * float(np.median(fraction)) + 0.1))
    is_flat |= variance < _VARIANCE * each.usual_variance
    is_flat = _with_text(is_flat, image, 2 * (high - low) / _LEVELS)
    strips = []
    for first, stop in _runs(is_flat):
        start = _straight_start(first, stop, each) if stop - first >= _MIN_ROWS else -1
        is_strip = start >= 0 and (stop == rows or _is_straight((stop - 1, -1), each))
        if is_strip and _MIN_ROWS <= stop - start <= _MAX_FRACTION * rows:
            inner = slice(start, stop)
            common = int(pairs[inner].sum(axis=0).argmax())
            values, numbers = np.unique(image[inner], return_counts=True)
            has_text = float(np.ptp(image[inner])) > 0.25 * float(np.ptp(image))
            frequency = float(pairs[inner, common].mean())
            strips.append(Strip(start, stop, float(values[numbers.argmax()]), frequency, has_text))
    return _merged(strips, int(_TEXT * rows))


def find_drawn_rows(image: np.ndarray) -> tuple[int, int, float] | None:
    """Find rows that alone have the smallest or largest value, as of text or a scale bar drawn into the image.

    Parameters
    ----------
    image : (rows, columns) ndarray
        Grey values.

    Returns
    -------
    (int, int, float) or None
        First row, the row after the last, and the value; None if there are no such rows.
    """
    for value in (image.max(), image.min()):
        fraction = (image == value).mean(axis=1)
        is_drawn = fraction > _DRAWN
        if 0 < is_drawn.sum() < _MAX_FRACTION * len(image) and fraction[~is_drawn].mean() < _NOT_DRAWN:
            rows = np.flatnonzero(is_drawn)
            return int(rows[0]), int(rows[-1]) + 1, float(value)
    return None


def _merged(strips: list[Strip], longest: int) -> list[Strip]:
    """Strips, those joined that dense text divides."""
    merged: list[Strip] = []
    for strip in strips:
        if merged and strip.start - merged[-1].stop <= longest:
            strip = replace(strip, start=merged.pop().start, has_text=True)
        merged.append(strip)
    return merged


def _with_text(is_flat: np.ndarray, image: np.ndarray, tolerance: float) -> np.ndarray:
    """Flat rows, and rows of text between two of them, of whose pixels 30 % continue one of them."""
    closed, flat = is_flat.copy(), np.flatnonzero(is_flat)
    longest = max(4, int(_TEXT * len(image)))
    for before, after in itertools.pairwise(flat):
        if 1 < after - before <= longest + 1:
            text = image[before + 1 : after].astype(np.float64)
            continued = [(np.abs(text - image[row]) <= tolerance).mean(axis=1) >= _FLAT for row in (before, after)]
            closed[before + 1 : after] = (continued[0] | continued[1]).all()
    if len(flat) and len(image) - 3 <= flat[-1]:  # a frame below
        closed[flat[-1] :] = True
    return closed


def _runs(is_true: np.ndarray) -> Iterator[tuple[int, int]]:
    """Start and stop of every run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], is_true, [False]]))).tolist()
    yield from zip(edges[::2], edges[1::2], strict=True)


def _straight_start(start: int, stop: int, rows: _Rows) -> int:
    """First row of a run of flat rows that has a straight edge, or is the first of the image; -1 without.

    In a dense image rows above the databar may be flat as well; the databar begins where all pixels change.
    """
    if start == 0:
        return 0
    steps = np.flatnonzero(rows.change[start - 1 : stop - _MIN_ROWS] > _STEP * rows.usual_change) + start
    candidates = [start, *steps[:1]]
    return next((int(row) for row in candidates if _is_straight((int(row), 1), rows)), -1)


def _is_straight(edge: tuple[int, int], rows: _Rows) -> bool:
    """Whether the rows change from image to databar within one row, where the first row and the inward step are given.

    The row at the edge itself may be a mixture, as of a JPEG.
    """
    first, step = edge
    inside = [first + step * k for k in range(1, 3)]
    outside = [row for k in range(1, 2 + _EDGE_ROWS) if 0 <= (row := first - step * k) < len(rows.variance)]
    is_margin = (rows.fraction[inside] >= _MARGIN) | (rows.variance[inside] < _VARIANCE / 2 * rows.usual_variance)
    is_image = rows.variance[outside] >= rows.usual_variance / 2
    changes = [min(row, row + step) for row in (first - step, first - 2 * step) if min(row, row + step) >= 0]
    is_step = any(rows.change[row] > _STEP * rows.usual_change for row in changes if row < len(rows.change))
    return bool(is_margin.all() and (is_image.all() or is_step))
