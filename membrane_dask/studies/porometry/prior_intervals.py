"""Intervals of a posterior compared with those of the priors: quantities that the data did not measure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from membrane_dask.physics.porometry.posterior import QUANTITIES, Prior

#: Width of an interval over that of its prior, from which the data are said to leave it as it is.
_AS_THE_PRIOR = 0.9
#: Upper over lower end of an interval, from which a quantity without a prior counts as not measured.
_OPEN = 10.0
#: Relative width of the interval of an exact value.
_ROUNDING = 1e-6


def intervals_over_priors(numbers: Mapping[str, Any], priors: Mapping[str, Prior], confidence: float) -> np.ndarray:
    """Width of each interval over that of its prior, (4,), in the order of the four unknowns.

    Parameters
    ----------
    numbers : mapping of str to float
        Ends of the intervals, such as ``radius_low``, in the units of the priors.
    priors : mapping of str to Prior
        Of the membrane.
    confidence : float
        Of the intervals.

    Returns
    -------
    numpy.ndarray
        NaN where there is no prior, no interval, or an exact value.
    """
    return np.array([
        priors[name].narrowing(float(numbers[f"{name}_low"]), float(numbers[f"{name}_high"]), confidence)
        if name in priors else math.nan
        for name in QUANTITIES
    ])  # fmt: skip


def prior_note(posterior: Any, name: str) -> str:
    """What to add to an interval that the data did not narrow; empty if they did.

    Parameters
    ----------
    posterior : xarray.Dataset
        Table ``posterior`` of one membrane.
    name : str
        Quantity with ``name_low`` and ``name_high``.
    """
    has_ratio = name in QUANTITIES and "interval_over_prior" in posterior  # runs of earlier versions have none
    ratio = float(posterior.interval_over_prior.sel(quantity=name)) if has_ratio else math.nan
    if math.isfinite(ratio):
        return "as its prior" if ratio > _AS_THE_PRIOR else ""
    low, high = (float(posterior[f"{name}_{end}"]) for end in ("low", "high"))
    if not high > (1 + _ROUNDING) * low:  # exact, or no number
        return ""
    is_joint = "contradictory" in posterior and math.isfinite(posterior.contradictory)
    is_open = high > _OPEN * low if is_joint else float(posterior.independent_data) < 2
    return "not measured" if is_open else ""
