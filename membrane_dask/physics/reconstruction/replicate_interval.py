"""Confidence interval of a property from the replicates of a reconstruction."""

from __future__ import annotations

from typing import Any

import numpy as np

from membrane_dask.physics.distributions import student_quantile


def replicate_interval(values: Any, confidence: float = 0.9) -> tuple[Any, Any]:
    """Confidence interval of a property of the membrane.

    Parameters
    ----------
    values : xarray.DataArray
        The property of every replicate, with the dimension ``replicate``: a variable of the group ``structures``, or
        computed from the volumes.
    confidence : float
        Probability, in (0, 1), that the interval contains the true value.

    Returns
    -------
    low, high : xarray.DataArray
        Without the dimension ``replicate``; NaN for fewer than three replicates.

    Notes
    -----
    The first replicate is the best match. The others deviate from it as it deviates from the truth, so that Student's
    interval around it follows from their mean squared deviation, with as many degrees of freedom.
    """
    best = values.isel(replicate=0, drop=True)
    deviations = values.isel(replicate=slice(1, None)) - best
    n = deviations.notnull().sum("replicate").where(lambda n: n > 1)
    quantiles = [student_quantile((1 + confidence) / 2, count) for count in n.values.flat]
    half = np.sqrt(np.square(deviations).mean("replicate")) * n.copy(data=np.reshape(quantiles, n.shape))
    return best - half, best + half
