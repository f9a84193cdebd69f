"""Difference of a property between two membranes, from the replicates of each, with its interval and p-value."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from membrane_dask.physics.distributions import student_cdf, student_quantile
from membrane_dask.physics.reconstruction.replicate_interval import (
    INDEPENDENT_SEARCHES,
    MIN_REPLICATES,
    SCALES,
    within_bounds,
)

#: Degrees of freedom beyond which Student's distribution is the normal one, to the digits that are printed.
_MAX_DEGREES = 1e6


class Difference(NamedTuple):
    """Relative difference of a property from that of a reference; every field has the shape of the property.

    Parameters
    ----------
    value : DataArray
        Value over that of the reference, minus 1.
    low, high : DataArray
        Ends of its confidence interval; NaN without one.
    p_value : DataArray
        Probability of a difference at least as large between two structures of equal membranes; NaN without one.
    """

    value: Any
    low: Any
    high: Any
    p_value: Any


def replicate_difference(
    values: Any, reference: Any, confidence: float = 0.9, *, scale: str | None = None
) -> Difference:
    """Relative difference of a property between two membranes, each described by the replicates of a reconstruction.

    Parameters
    ----------
    values, reference : xarray.DataArray
        The property of every replicate, with the dimension ``replicate``, which may have different lengths. A reference
        of one volume, with or without this dimension, is taken as exact.
    confidence : float
        Probability, in (0, 1), that the interval contains the true difference.
    scale : {"linear", "log", "logit", "log_excess", "none"}, optional
        As in :func:`membrane_dask.replicate_interval`; default the attribute ``interval_scale`` of the values.

    Returns
    -------
    Difference
        ``value``, ``low``, ``high`` and ``p_value``. No interval and p-value (NaN) where neither membrane has three
        replicates, where one has two, and where a value is missing, infinite or on a bound of its scale.

    Raises
    ------
    ValueError
        If the scale is unknown or excludes a value.

    Notes
    -----
    Replicates deviate from their best match as this deviates from the truth (:func:`membrane_dask.replicate_interval`).
    On the scale, the difference of two best matches therefore has the sum of their variances, and Student's
    distribution with the degrees of freedom of Welch and Satterthwaite. Of two reconstructions of one membrane with
    independent errors, 8 to 10 % differ significantly at a confidence of 0.9: fewer with few replicates, for which the
    approximation is on the safe side. Errors that both have in common, as their images have the same artefacts, cancel
    in the difference: then far fewer do.

    The ends are those of the value for a fixed reference, transformed back from the scale: the interval contains 0
    exactly where the p-value exceeds ``1 - confidence``, and no end is an impossible value.

    For independent searches (``search.method: published``) means and their standard errors are compared. This says
    whether the searches differ, not whether the membranes do.

    References
    ----------
    B. L. Welch, Biometrika 34, 28 (1947).
    """
    name = scale or values.attrs.get("interval_scale", "linear")
    if name not in (*SCALES, "none"):
        raise ValueError(f"scale: must be one of {', '.join((*SCALES, 'none'))} (got {name!r})")
    first, second = _Estimate.of(values, name), _Estimate.of(reference, name)
    template = values.isel(replicate=0, drop=True) if "replicate" in values.dims else values
    with np.errstate(invalid="ignore", divide="ignore"):
        relative = first.value / second.value - 1.0
    ends = np.full((3, *np.shape(relative)), np.nan)
    if name != "none":
        ends = _compare(first, second, confidence, name)
    fields = [template.copy(data=array) for array in (relative, *ends)]
    for array, meaning in zip(fields, ("relative difference", "low end", "high end", "p-value"), strict=True):
        array.attrs = {"units": "1", "long_name": f"{meaning}: {values.attrs.get('long_name', values.name)}"}
    return Difference(*fields)


class _Estimate(NamedTuple):
    """A property of one membrane: its value, and on its scale the estimate, its variance and degrees of freedom."""

    value: np.ndarray
    y: np.ndarray
    variance: np.ndarray
    degrees: np.ndarray

    @classmethod
    def of(cls, values: Any, name: str) -> _Estimate:
        """Estimate from replicates; of one volume, its value without a variance."""
        has_replicates = "replicate" in values.dims
        data = np.asarray((values.transpose("replicate", ...) if has_replicates else values).values, np.float64)
        data = data if has_replicates else data[np.newaxis]
        searches = has_replicates and _are_searches(values)
        value = data.mean(axis=0) if searches else data[0]
        y = np.full(data.shape, np.nan)
        if name != "none":
            scale = SCALES[name]
            within = within_bounds(data, name, values.name)
            inside = np.isfinite(within) & ((within > scale.low) & (within < scale.high))
            y[inside] = scale.transform(within[inside])
        if len(data) == 1:
            zero = np.zeros(value.shape)
            return cls(value, y[0], zero, zero)
        defined = ~np.isnan(data)
        on_scale = (np.isfinite(y) | ~defined).all(axis=0)  # a value on a bound has no logarithm
        with np.errstate(invalid="ignore", divide="ignore"):
            if searches:
                count = defined.sum(axis=0)
                estimate = np.nansum(y, axis=0) / count
                degrees = count - 1
                variance = np.nansum(np.square(y - estimate), axis=0) / degrees / count
            else:
                estimate, degrees = y[0], defined[1:].sum(axis=0)
                variance = np.nansum(np.square(y[1:] - y[0]), axis=0) / degrees
        enough = on_scale & (degrees >= MIN_REPLICATES - 1)
        return cls(value, estimate, np.where(enough, variance, np.nan), degrees.astype(np.float64))


def _are_searches(values: Any) -> bool:
    return "replicate" in values.coords and values["replicate"].attrs.get("design") == INDEPENDENT_SEARCHES


def _compare(first: _Estimate, second: _Estimate, confidence: float, name: str) -> np.ndarray:
    """Ends of the relative difference and p-value, ``(3, ...)``."""
    scale = SCALES[name]
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = first.variance + second.variance
        # Welch and Satterthwaite; a membrane without variance has no term.
        terms = [np.where(e.variance > 0, np.square(e.variance) / e.degrees, 0.0) for e in (first, second)]
        degrees = np.minimum(np.square(variance) / (terms[0] + terms[1]), _MAX_DEGREES)
        difference = first.y - second.y
        error = np.sqrt(variance)
    result = np.full((3, *difference.shape), np.nan)
    for index in np.ndindex(difference.shape):
        d, s, n = float(difference[index]), float(error[index]), float(degrees[index])
        has_replicates = first.degrees[index] > 0 or second.degrees[index] > 0
        if not (np.isfinite(d) and np.isfinite(s) and has_replicates):
            continue
        if s == 0:  # replicates without scatter
            p, half = float(d == 0), 0.0
        else:
            p, half = 2.0 * float(student_cdf(-abs(d) / s, n)), s * float(student_quantile((1 + confidence) / 2, n))
        base = second.y[index]
        reference = scale.inverse(base)
        low, high = (scale.inverse(base + d + sign * half) / reference - 1.0 for sign in (-1, 1))
        relative = first.value[index] / second.value[index] - 1.0
        result[(slice(None), *index)] = min(low, relative), max(high, relative), p
    return result
