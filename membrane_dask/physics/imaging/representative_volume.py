"""Scatter of properties between boxes of a volume, and the size at which a box represents it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from membrane_dask.physics.distributions import normal_quantile
from membrane_dask.physics.elementary import power

#: Fewest boxes of one size that have quantiles and a standard deviation.
MIN_BOXES = 8
#: Fraction of the boxes between the quantiles.
COVERAGE = 0.9
#: Relative deviation from the mean within which that fraction of representative boxes is.
TOLERANCE = 0.05


@dataclass(frozen=True)
class BoxStatistics:
    """A property in boxes of several sizes, tiled without overlap.

    Parameters
    ----------
    mean, low, high, deviation : (n_sizes,) ndarray
        Mean over the boxes, quantiles between which 90 % of them are, and standard deviation; the latter three are NaN
        for fewer than eight boxes.
    representative_edge : float
        Edge, in cells, of a box of which 90 % are within 5 % of the mean; NaN where it cannot be extrapolated.
    """

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    deviation: np.ndarray
    representative_edge: float


def box_edges(shape: tuple[int, ...]) -> list[int]:
    """Edges of the boxes, in cells: 1, 2, 3, 4, 6, 8, 12, 16, ... up to the smallest lateral extent.

    Parameters
    ----------
    shape : tuple of int
        Complete cells along ``z, y, x``.
    """
    edges, edge = [], 1
    while edge <= min(shape[1:]):
        edges += [edge] if edge == 1 or 3 * edge // 2 > min(shape[1:]) or edge % 2 else [edge, 3 * edge // 2]
        edge *= 2
    return sorted(set(edges))


def box_windows(shape: tuple[int, ...], box: tuple[int, int, int]) -> list[tuple[slice, ...]]:
    """Windows of all boxes that fit into an array side by side, centred in it."""
    axes = []
    for n, edge in zip(shape, box, strict=True):
        start = (n % edge) // 2
        axes.append([slice(a, a + edge) for a in range(start, n - edge + 1, edge)])
    return list(itertools.product(*axes))


def tile(values: np.ndarray, box: tuple[int, int, int]) -> np.ndarray:
    """Sums of the values of the boxes of :func:`box_windows`, ``(n_boxes,)``."""
    counts = [n // edge for n, edge in zip(values.shape, box, strict=True)]
    window = []
    for n, edge, count in zip(values.shape, box, counts, strict=True):
        start = (n % edge) // 2
        window.append(slice(start, start + edge * count))
    (a, b, c), (p, q, r) = counts, box
    blocks = values[tuple(window)].reshape(a, p, b, q, c, r)
    return np.asarray(blocks.sum(axis=(1, 3, 5)).reshape(-1))


def box_statistics(
    numerator: np.ndarray, denominator: np.ndarray, edges: list[int], *, columns: bool
) -> tuple[BoxStatistics, np.ndarray]:
    """Ratio of two sums over boxes: a porosity is that of pores and voxels, a mean radius that of radii and pores.

    Parameters
    ----------
    numerator, denominator : (z, y, x) ndarray of int64
        Sums over complete cells.
    edges : list of int
        Edges of the boxes, in cells.
    columns : bool
        Boxes that extend over the whole depth, of a square cross-section; otherwise cubes.

    Returns
    -------
    statistics : BoxStatistics
    n_boxes : (n_sizes,) ndarray of int64
        Boxes of each size that have a value; 0 for cubes that are thicker than the volume.
    """
    values = []
    for edge in edges:
        box = (numerator.shape[0], edge, edge) if columns else (edge, edge, edge)
        if box[0] > numerator.shape[0]:
            values.append(np.empty(0))
            continue
        top, bottom = tile(numerator, box), tile(denominator, box)
        values.append(top[bottom > 0] / bottom[bottom > 0])
    return statistics_of_boxes(values, edges, columns=columns)


def statistics_of_boxes(
    values: Sequence[np.ndarray], edges: list[int], *, columns: bool
) -> tuple[BoxStatistics, np.ndarray]:
    """Statistics of a property that is known in each box.

    Parameters
    ----------
    values : sequence of (n_boxes,) ndarray
        Values of the boxes of each size.
    edges, columns
        As for :func:`box_statistics`.

    Returns
    -------
    statistics : BoxStatistics
    n_boxes : (n_sizes,) ndarray of int64
        Boxes of each size.

    Notes
    -----
    The variance between boxes larger than the range of correlations is inversely proportional to their volume [1]_:
    from the two largest sizes with eight boxes or more it is extrapolated to the representative size. Structures whose
    properties change with depth have no representative cubes, but may have representative columns.

    References
    ----------
    .. [1] T. Kanit et al., Int. J. Solids Struct. 40, 3647 (2003).
    """
    rows, counts = [], []
    for boxes in values:
        counts.append(len(boxes))
        mean = boxes.mean() if len(boxes) else np.nan
        if len(boxes) < MIN_BOXES:
            rows.append((mean, np.nan, np.nan, np.nan))
            continue
        tails = ((1 - COVERAGE) / 2, (1 + COVERAGE) / 2)
        low, high = np.quantile(boxes, tails, method="inverted_cdf")
        rows.append((mean, low, high, np.sqrt(np.square(boxes - mean).sum() / (len(boxes) - 1))))
    mean, low, high, deviation = np.array(rows, np.float64).reshape(len(edges), 4).T
    n_boxes = np.array(counts, np.int64)
    representative = _representative_edge(np.array(edges), mean, deviation, n_boxes, 2 if columns else 3)
    return BoxStatistics(mean, low, high, deviation, representative), n_boxes


def _representative_edge(
    edges: np.ndarray, mean: np.ndarray, deviation: np.ndarray, n_boxes: np.ndarray, exponent: int
) -> float:
    """Edge for which 90 % of the boxes are within the tolerance, from the two largest sizes with enough boxes."""
    largest = np.flatnonzero(np.isfinite(deviation))[-2:]
    if not len(largest) or not mean[largest[-1]] > 0:
        return np.nan
    volume = edges[largest].astype(np.float64)
    for _ in range(exponent - 1):
        volume = volume * edges[largest]
    # Relative variance times volume, weighted by degrees of freedom.
    constant = np.square(deviation[largest] / mean[largest]) * volume
    weight = n_boxes[largest] - 1.0
    product = float((constant * weight).sum() / weight.sum())
    ratio = float(normal_quantile((1 + COVERAGE) / 2)) / TOLERANCE
    return float(power(product * ratio * ratio, 1.0 / exponent))
