"""Evaluation of the claims of Gu, Kondic & Cummings (2023) by the networks of one run."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import xarray as xr

from membrane_dask.number_text import compact, interval_text, with_error
from membrane_dask.physics.distributions import student_quantile
from membrane_dask.studies.graded.optimum import best_gradient

#: Outcome (``holds``, ``fails`` or ``open``) and the numbers that support it.
Evaluation = tuple[str, str]


class PaperClaim(NamedTuple):
    """A claim of the paper, whether it holds in this run (``holds``, ``fails`` or ``open``), and the numbers."""

    text: str
    outcome: str
    numbers: str


def paper_claims(table: xr.Dataset) -> Iterator[PaperClaim]:
    """Evaluate the claims that the design of this run covers.

    Parameters
    ----------
    table : xarray.Dataset
        Metrics for one deposition coefficient, sorted by ``l_max`` and ``gradient``, with at least 3 gradients.

    Yields
    ------
    PaperClaim
    """
    s = table.gradient.values
    yield _optimum_in(
        table, "throughput", (2e-3, 2e-3), "Throughput is largest at s = 2e-3 for every l_max (Sec. VI A)."
    )
    if s[0] == 0:
        text = "The improvement of throughput over uniform pores is about 15 % (12.5 to 17.5)."
        yield _gain_in(table, "throughput", (0.125, 0.175), text)
    yield _monotonic(table, "throughput", "l_max", +1, "Throughput increases with l_max, at every gradient.")
    yield _monotonic(table, "initial_flux", "gradient", -1, "The initial flux decreases with the gradient.")
    yield _monotonic(table, "initial_flux", "l_max", +1, "The initial flux increases with l_max.")
    yield _monotonic(
        table, "foulant_concentration", "gradient", -1, "The foulant concentration decreases with the gradient."
    )
    yield _monotonic(table, "foulant_concentration", "l_max", +1, "The foulant concentration increases with l_max.")
    text = "Uniform filters have the shortest lifetime: it increases with the gradient."
    yield _monotonic(table, "lifetime", "gradient", +1, text)
    text = "Porosity usage is largest at a gradient between 2.5e-3 and 3e-3."
    yield _optimum_in(table, "porosity_usage", (2.5e-3, 3e-3), text)
    yield _monotonic(table, "porosity_usage", "l_max", +1, "Porosity usage increases with l_max.")
    bands = table.sizes["band"]
    text = "The porosity usage of the first band increases with the gradient."
    yield _monotonic(table.assign(first=table.band_porosity_usage.isel(band=0)), "first", "gradient", +1, text)
    for band in sorted({2, bands} & set(range(2, bands + 1))):
        one_band = table.assign(usage=table.band_porosity_usage.sel(band=band))
        text = f"The porosity usage of band {band} is smallest in uniform filters."
        yield _optimum_in(one_band, "usage", (0.0, 0.0), text, minimum=True, interpolated=False)
    text = "Until the flux threshold, throughput is largest at s = 1.5e-3."
    yield _optimum_in(table, "throughput_threshold", (1.5e-3, 1.5e-3), text)
    if s[0] == 0:
        text = "The improvement of throughput until the flux threshold is 10 to 12 % over uniform pores."
        yield _gain_in(table, "throughput_threshold", (0.10, 0.12), text)
        steep = table.sel(gradient=s[(s == 0) | (s >= 3e-3 - 1e-12)])
        if steep.sizes["gradient"] > 1:
            text = "Until the flux threshold, gradients of 3e-3 and more have less throughput than uniform pores."
            yield _optimum_in(steep, "throughput_threshold", (0.0, 0.0), text, interpolated=False)
    difference = table.foulant_concentration_threshold - table.foulant_concentration
    text = "The foulant concentration until the flux threshold exceeds that until flux extinction, at every gradient."
    yield _positive(difference, text)
    text = "Porosity usage until the flux threshold is largest at s = 1.5e-3."
    yield _optimum_in(table, "porosity_usage_threshold", (1.5e-3, 1.5e-3), text)


def paired_samples(one: xr.Dataset, metric: str) -> np.ndarray:
    """Return a metric for one ``l_max`` as paired samples, shape ``(n_realizations, n_gradients)``."""
    return np.asarray(one[metric].transpose("realization", "gradient").values)


def _for_each_l_max(table: xr.Dataset, evaluate: Callable[[xr.Dataset], Evaluation]) -> Evaluation:
    """Evaluate a claim for every ``l_max``; it fails if it fails for one of them."""
    evaluations = [(f"{l_max:g}", *evaluate(table.sel(l_max=l_max))) for l_max in table.l_max.values]
    outcomes = {outcome for _, outcome, _ in evaluations}
    outcome = "fails" if "fails" in outcomes else "open" if "open" in outcomes else "holds"
    if len({numbers for _, _, numbers in evaluations}) == 1:
        return outcome, evaluations[0][2]
    return outcome, "; ".join(f"l_max {l_max}: {numbers}" for l_max, _, numbers in evaluations)


def mean_difference(values: np.ndarray) -> tuple[float, float]:
    """Return the mean of paired differences and the half width of its 95 % interval, infinite with too few values."""
    values = values[np.isfinite(values)]
    if len(values) < 2:
        return math.nan, math.inf
    half = student_quantile(0.975, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values))
    return float(values.mean()), float(half)


def _optimum_in(
    table: xr.Dataset,
    metric: str,
    limits: tuple[float, float],
    text: str,
    *,
    minimum: bool = False,
    interpolated: bool = True,
) -> PaperClaim:
    """Evaluate whether the maximum of a metric over the grid, or its minimum, lies within limits.

    The best gradient inside the limits is compared with the best one outside; the numbers include the interpolated
    optimum if requested.
    """
    s = table.gradient.values
    inside = (s >= limits[0] - 1e-12) & (s <= limits[1] + 1e-12)

    def evaluate(one: xr.Dataset) -> Evaluation:
        samples = (-1 if minimum else 1) * paired_samples(one, metric)
        if not inside.any():
            return "open", "not on this grid"
        if not np.isfinite(samples).any(axis=0).all():
            return "open", "too few networks"
        mean = np.nanmean(samples, axis=0)
        outer = int(np.argmax(np.where(inside, -np.inf, mean)))
        inner = int(np.argmax(np.where(inside, mean, -np.inf)))
        difference, half = mean_difference(samples[:, inner] - samples[:, outer])
        if mean[inner] == 0:
            return "open", f"0 at s = {compact(s[inner])}"
        percent, half = 100 * difference / abs(mean[inner]), 100 * half / abs(mean[inner])
        relation = "exceeds" if (percent < 0) == minimum else "is below"
        numbers = f"s = {compact(s[inner])} {relation} s = {compact(s[outer])} by {with_error(abs(percent), half)} %"
        best = best_gradient(one.gradient.values, samples) if interpolated else None
        if best is not None:
            interval = interval_text(best.gradient, best.gradient_low, best.gradient_high)
            numbers += f"; interpolated optimum {interval}"
        outcome = "holds" if percent > half else "fails" if percent < -half else "open"
        return outcome, numbers

    return PaperClaim(text, *_for_each_l_max(table, evaluate))


def _gain_in(table: xr.Dataset, metric: str, claimed: tuple[float, float], text: str) -> PaperClaim:
    """Evaluate whether the confidence interval of the gain overlaps the claimed range."""

    def evaluate(one: xr.Dataset) -> Evaluation:
        best = best_gradient(one.gradient.values, paired_samples(one, metric))
        if best is None or not math.isfinite(best.gain):
            return "open", "too few networks"
        overlap = best.gain_high >= claimed[0] and best.gain_low <= claimed[1]
        interval = interval_text(100 * best.gain, 100 * best.gain_low, 100 * best.gain_high)
        return "holds" if overlap else "fails", f"{interval} %"

    return PaperClaim(text, *_for_each_l_max(table, evaluate))


def _monotonic(table: xr.Dataset, metric: str, dim: str, sign: int, text: str) -> PaperClaim:
    """Evaluate whether a metric increases (``sign`` 1) or decreases (-1) between all adjacent values of ``dim``."""
    if table.sizes[dim] < 2:
        return PaperClaim(text, "open", f"only one {dim}")
    opposite, undecided, steps = [], 0, 0
    fixed = "gradient" if dim == "l_max" else "l_max"
    for value in table[fixed].values:
        for a, b in itertools.pairwise(table[dim].values):
            first, second = (table[metric].sel({dim: x, fixed: value}).values for x in (a, b))
            if dim == "gradient":
                mean, half = mean_difference(second - first)
            else:  # networks of different l_max are independent
                (mean_a, half_a), (mean_b, half_b) = mean_difference(first), mean_difference(second)
                mean, half = mean_b - mean_a, math.sqrt(half_a * half_a + half_b * half_b)
            steps += 1
            if sign * mean < -half:
                opposite.append(f"{dim} {a:g} → {b:g} at {fixed} {value:g}")
            elif not sign * mean > half:
                undecided += 1
    if opposite:
        remaining = f" and {len(opposite) - 3} more" if len(opposite) > 3 else ""
        return PaperClaim(
            text, "fails", f"opposite trend for {'; '.join(opposite[:3])}{remaining}; {steps} steps in total"
        )
    if undecided:
        return PaperClaim(text, "open", f"{steps - undecided} of {steps} steps significant, none opposite")
    return PaperClaim(text, "holds", f"all {steps} steps significant")


def _positive(values: xr.DataArray, text: str) -> PaperClaim:
    """Evaluate whether all networks have a positive value."""
    finite = values.values[np.isfinite(values.values)]
    if not finite.size:
        return PaperClaim(text, "open", "no filter reached the threshold")
    fraction = float((finite > 0).mean())
    return PaperClaim(
        text, "holds" if fraction == 1 else "fails", f"in {100 * fraction:.4g} % of {finite.size} networks"
    )
