"""Log-likelihood of readings whose error has an unknown size, which is integrated."""

from __future__ import annotations

from typing import Any

import numpy as np

from membrane_dask.physics.elementary import log


def student_log_likelihood(residuals: Any, nominal_degrees: float = 0.0) -> Any:
    """Log-likelihood of residuals with normal errors of unknown size, up to a constant.

    Parameters
    ----------
    residuals : (..., m) float array
        Reading less model, over the error that is expected, or over anything proportional to it.
    nominal_degrees : float
        Degrees of freedom of the belief that the expected error is right: the squared ratio of true and expected error
        has a scaled inverse chi-squared prior. With 0 the prior is even in the logarithm of the error, and only the
        proportions of the expected errors matter.

    Returns
    -------
    (...) float array
        ``-(m / 2) ln(sum of squares)`` with 0 degrees; in general ``-((m + nu) / 2) ln(nu + sum of squares)``.

    References
    ----------
    Gelman et al., Bayesian Data Analysis, 3rd ed., Secs. 2.6 and 3.2.
    """
    residuals = np.asarray(residuals, float)
    sum_of_squares = np.square(residuals).sum(axis=-1)
    return -(residuals.shape[-1] + nominal_degrees) / 2 * log(nominal_degrees + sum_of_squares)
