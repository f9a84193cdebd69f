"""Images with coarser pixels: means over the area of each."""

from __future__ import annotations

import numpy as np


def area_means(image: np.ndarray, factor: float, axis: int) -> np.ndarray:
    """Average an image along one axis.

    Parameters
    ----------
    image : (rows, columns) ndarray
        Values.
    factor : float
        Size of the new pixels, in old ones, >= 1; a pixel that lies in two new ones counts with the part in each.
    axis : {0, 1}
        Axis along which pixels are averaged.

    Returns
    -------
    ndarray of float64
        With ``int(n / factor)`` pixels along the axis; the rest at the end is dropped.
    """
    values = np.moveaxis(image.astype(np.float64), axis, 0)
    count = int(len(values) / factor + 1e-9)
    total = np.concatenate([np.zeros((1, *values.shape[1:])), np.cumsum(values, axis=0)])
    ends = np.minimum(np.arange(count + 1) * factor, len(values))
    whole = np.minimum(ends.astype(np.int64), len(values) - 1)
    at_ends = total[whole] + (ends - whole)[:, None] * values[whole]
    return np.moveaxis(np.diff(at_ends, axis=0) / factor, 0, axis)
