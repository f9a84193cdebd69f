"""Interval of a property from the replicates of a reconstruction, on a scale that excludes impossible values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from membrane_dask.physics.distributions import normal_quantile, student_quantile
from membrane_dask.physics.elementary import exp, log

#: Value of the attribute ``design`` of the coordinate ``replicate`` where replicates are searches that are independent
#: of each other, not a best match and its perturbations.
INDEPENDENT_SEARCHES = "independent searches"
#: Fewest replicates, the best match included, that have an interval.
MIN_REPLICATES = 3
#: Relative error of a solver by which a value may lie beyond a bound of its scale.
_TOLERANCE = 0.01


@dataclass(frozen=True)
class _Scale:
    """Transformation of a quantity with bounds to one without, and its inverse."""

    low: float
    high: float
    transform: Callable[[Any], Any]
    inverse: Callable[[Any], Any]


#: Scales on which intervals are symmetric.
SCALES = {
    "linear": _Scale(-np.inf, np.inf, lambda x: x, lambda y: y),
    "log": _Scale(0.0, np.inf, log, exp),
    "logit": _Scale(0.0, 1.0, lambda x: log(x / (1 - x)), lambda y: 1 / (1 + exp(-y))),
    "log_excess": _Scale(1.0, np.inf, lambda x: log(x - 1), lambda y: 1 + exp(y)),
}


def replicate_interval(values: Any, confidence: float = 0.9, *, scale: str | None = None) -> tuple[Any, Any]:
    """Confidence interval of a property of a volume of the size of the replicates.

    Parameters
    ----------
    values : xarray.DataArray
        The property of every replicate, with the dimension ``replicate``: a variable of the result, or computed from
        the volumes.
    confidence : float
        Probability, in (0, 1), that the interval contains the true value.
    scale : {"linear", "log", "logit", "log_excess", "none"}, optional
        Scale on which the interval is symmetric: the logarithm for quantities >= 0, the logit for fractions in [0, 1],
        the logarithm of the excess over 1 for tortuosities >= 1; "none" for what has no interval. Default: the
        attribute ``interval_scale`` of the values, which results have; "linear" without it.

    Returns
    -------
    low, high : xarray.DataArray
        Without the dimension ``replicate``, with the unit of the values; the attribute ``interval_method`` says how
        they were computed. NaN for fewer than three replicates, where the best match has no value, where a value is
        infinite, and for the scale "none".

    Raises
    ------
    ValueError
        If the scale is unknown or excludes a value, or if there is no dimension ``replicate``.

    Notes
    -----
    The first replicate is the best match. The others deviate from it as it deviates from the truth, so that Student's
    interval around it follows from their mean squared deviation on the scale, with as many degrees of freedom.

    A value on a bound of its scale, such as a closed porosity of 0, has no logarithm: the interval is then between
    quantiles of all replicates (Weibull's positions; their range, with fewer than 19 at a confidence of 0.9), which
    covers less than the confidence.

    Replicates of ``search.method: published`` are independent searches of one image. Their interval is that of the
    mean of searches, mean -+ z s / sqrt(N) with the normal quantile z, in the range of possible values. It does not
    describe the distance from the truth.
    """
    if "replicate" not in values.dims:
        raise ValueError(f"values: must have the dimension 'replicate' (got {values.dims})")
    name = scale or values.attrs.get("interval_scale", "linear")
    if name not in (*SCALES, "none"):
        raise ValueError(f"scale: must be one of {', '.join((*SCALES, 'none'))} (got {name!r})")
    data = np.asarray(values.transpose("replicate", ...).values, np.float64)
    method, ends = "no interval", np.full((2, *data.shape[1:]), np.nan)
    if name != "none":
        within = within_bounds(data, name, values.name)
        if "replicate" in values.coords and values["replicate"].attrs.get("design") == INDEPENDENT_SEARCHES:
            method, ends = "normal, mean of independent searches", _interval_of_mean(within, confidence, name)
        else:
            method, ends = _interval_of_best_match(within, confidence, name)
    attrs = {key: values.attrs[key] for key in ("units", "long_name") if key in values.attrs}
    template = values.isel(replicate=0, drop=True)
    low, high = (template.copy(data=end) for end in ends)
    for end in (low, high):
        end.attrs = attrs | {"interval_method": method}
    return low, high


def within_bounds(data: np.ndarray, name: str, variable: Any) -> np.ndarray:
    """Values moved onto the bounds of their scale where an error of a solver has left them beyond."""
    scale = SCALES[name]
    finite = data[np.isfinite(data)]
    beyond = finite[(finite < scale.low - _TOLERANCE * scale.low) | (finite > scale.high + _TOLERANCE)]
    if len(beyond):
        raise ValueError(
            f"scale: {name} needs values in [{scale.low:g}, {scale.high:g}], but {variable or 'a value'} is "
            f"{beyond[0]:g}; pass the scale of this quantity, such as scale='linear' for differences"
        )
    return np.asarray(np.clip(data, scale.low, scale.high))


def _interval_of_best_match(data: np.ndarray, confidence: float, name: str) -> tuple[str, np.ndarray]:
    """Method and ends ``(2, ...)`` of Student's interval about the first replicate; quantiles where it has none."""
    scale = SCALES[name]
    missing = np.isnan(data)
    count = (~missing[1:]).sum(axis=0)
    is_defined = (count >= MIN_REPLICATES - 1) & ~missing[0] & ~np.isinf(data).any(axis=0)
    on_bound = is_defined & ((data == scale.low) | (data == scale.high)).any(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        y = scale.transform(data)
        deviation = np.sqrt(np.nansum(np.square(y[1:] - y[0]), axis=0) / count)
        half = deviation * np.reshape([student_quantile((1 + confidence) / 2, n) for n in count.flat], count.shape)
        low, high = scale.inverse(y[0] - half), scale.inverse(y[0] + half)
    ends = np.stack([np.fmin(low, data[0]), np.fmax(high, data[0])])  # the rounding of a scale may move equal values
    ends = np.where(is_defined & ~on_bound, ends, np.nan)
    if not on_bound.any():
        return (f"Student, scale {name}" if is_defined.any() else "no interval"), ends
    tails = ((1 - confidence) / 2, (1 + confidence) / 2)
    ends[:, on_bound] = np.nanquantile(data[:, on_bound], tails, axis=0, method="weibull")
    method = "quantiles of the replicates"
    if not on_bound[is_defined].all():
        method = f"Student, scale {name}; {method} for {on_bound.sum()} of {on_bound.size}"
    return method, ends


def _interval_of_mean(data: np.ndarray, confidence: float, name: str) -> np.ndarray:
    """Ends ``(2, ...)`` of the normal interval of the mean of independent searches."""
    count = (~np.isnan(data)).sum(axis=0)
    is_defined = (count >= MIN_REPLICATES) & ~np.isinf(data).any(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.nansum(data, axis=0) / count
        variance = np.nansum(np.square(data - mean), axis=0) / (count - 1)
        half = float(normal_quantile((1 + confidence) / 2)) * np.sqrt(variance / count)
        ends = np.clip(np.stack([mean - half, mean + half]), SCALES[name].low, SCALES[name].high)
    return np.where(is_defined, ends, np.nan)
