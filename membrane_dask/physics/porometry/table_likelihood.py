"""Likelihood of a table of readings whose error has an unknown size."""

from __future__ import annotations

from typing import Any

import numpy as np

from membrane_dask.physics.elementary import log


def student_log_likelihood(observed: Any, model: Any, weights: Any) -> Any:
    """Logarithm of the likelihood with the size of the error integrated, without a constant.

    Readings have independent normal errors with variances ``sigma^2 / weights``. With the prior ``1 / sigma``, the
    integral over ``sigma`` is ``(sum w (observed - model)^2)^(-m / 2)`` for ``m`` readings.

    Parameters
    ----------
    observed, weights : (m,) float array
        Readings, and their weights, > 0.
    model : (..., m) float array
        Values of the model at many parameters.

    Returns
    -------
    (...) float array

    References
    ----------
    Gelman et al., Bayesian Data Analysis, 3rd ed. (2014), section 14.2.
    """
    observed = np.asarray(observed, float)
    squares = np.asarray(weights, float) * np.square(observed - np.asarray(model, float))
    return -observed.size / 2 * log(squares.sum(axis=-1))
