"""Metrics against the gradient, the best gradients, and why a search for them ended."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from membrane_dask.number_text import compact, interval_text, percent_text
from membrane_dask.report.page import STYLE, Grid, Picture, Section, picture
from membrane_dask.studies.graded.claims import mean_difference, paired_samples
from membrane_dask.studies.graded.common_report import LABELS, error_bars, label, network_count, plot_means, slices
from membrane_dask.studies.graded.flux_threshold import at_flux_threshold
from membrane_dask.studies.graded.optimum import best_gradient
from membrane_dask.studies.graded.variables import METRICS

#: Headers of the three columns of :func:`_optimum_cells`.
_OPTIMUM_HEADER = ("best of the grid, 10⁻³", "interpolated optimum, 10⁻³", "improvement over the first gradient, %")
_STOP_REASONS = {
    "design": "all networks of the design were simulated",
    "interval": "the interval of the best gradient is at most optimum.interval wide",
    "tie": "the best candidates differ by less than optimum.tolerance",
    "realizations": "the largest number of realizations was reached; the best gradient is less certain than requested",
}


def metrics_figure(table: xr.Dataset, names: Sequence[str], caption: str) -> Picture:
    """Plot metrics against the gradient, a panel for each."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10.5, 3.3), layout="constrained")
        axes = figure.subplots(1, len(names))
        for axis, name in zip(axes, names, strict=True):
            plot_means(axis, table, name)
            axis.set(xlabel="pore-radius gradient s", ylabel=LABELS[name.removesuffix("_threshold")])
        if table.sizes["l_max"] > 1:
            axes[0].legend(title="$l_{max}$")
        caption += f" Mean of {network_count(table)} per point.{error_bars(table)}"
        return picture(figure, caption, ", ".join(label(name) for name in names) + " against the gradient")


def _optimum_cells(one: xr.Dataset, metric: str) -> tuple[str, str, str]:
    """Return the best gradient of the grid, the interpolated one and the improvement, or why there is none."""
    samples = paired_samples(one, metric)
    best = best_gradient(one.gradient.values, samples)
    if best is None:
        return "too few networks", "-", "-"
    if best.value == 0:
        return "no life to the threshold", "-", "-"
    if _equal_columns(samples):
        return "no difference between the gradients", "-", "-"
    complete = samples[np.isfinite(samples).all(axis=1)]
    mean = complete.mean(axis=0) if len(complete) else np.full(samples.shape[1], np.nan)
    equal = np.flatnonzero(np.isclose(mean, mean.max(), rtol=1e-12, atol=0.0))
    on_grid = ", ".join(compact(float(one.gradient[j]) * 1e3) for j in equal) if len(equal) > 1 else ""
    edge = " (end of the grid)" if best.at_edge and not on_grid else ""
    is_first = best.gradient == float(one.gradient[0])
    interval = interval_text(1e3 * best.gradient, 1e3 * best.gradient_low, 1e3 * best.gradient_high)
    if best.at_edge and best.gradient_low == best.gradient_high:
        interval = f"at or {'below' if is_first else 'above'} {compact(best.gradient * 1e3)}"
    return (
        f"{on_grid} (equally good)" if on_grid else f"{compact(best.grid_gradient * 1e3)}{edge}",
        interval,
        "-" if is_first else interval_text(100 * best.gain, 100 * best.gain_low, 100 * best.gain_high),
    )


def _equal_columns(samples: np.ndarray) -> bool:
    """Return whether the metric of every network is the same at all gradients."""
    complete = samples[np.isfinite(samples).all(axis=1)]
    return len(complete) > 0 and bool((complete == complete[:, :1]).all())


def optima_section(table: xr.Dataset, title_suffix: str) -> Section:
    """Return the best gradient of every metric, for one deposition coefficient and at least three gradients."""
    rows = [
        (compact(float(one.l_max)), label(metric), *_optimum_cells(one, metric), str(int(one[metric].count())))
        for one in slices(table, "l_max")
        for metric in METRICS
        if np.isfinite(one[metric]).any()  # at constant flux there is no threshold
    ]
    text = (
        "Best gradients with 95 % confidence intervals. Networks of one realization have common random numbers across "
        "gradients, so that differences between gradients are more precise than the means. The interpolated optimum is "
        "the maximum of the polynomial through the best gradients of the grid."
    )
    header = ("l_max", "metric", *_OPTIMUM_HEADER, "networks")
    return Section(f"Best gradient{title_suffix}", text, [Grid(header, rows)])


def difference_section(table: xr.Dataset, title_suffix: str) -> Section:
    """Return the change of every metric between two gradients, for one deposition coefficient."""
    first, second = (float(s) for s in table.gradient)
    rows = [
        (compact(float(one.l_max)), label(metric), *_difference_cells(paired_samples(one, metric)))
        for one in slices(table, "l_max")
        for metric in METRICS
        if np.isfinite(one[metric]).any()
    ]
    text = (
        f"From gradient {compact(first)} to {compact(second)}, with 95 % confidence intervals. Networks of one "
        "realization have common random numbers, so that the change is more precise than the means. A best gradient "
        "needs at least three gradients."
    )
    return Section(f"Two gradients{title_suffix}", text, [Grid(("l_max", "metric", "change, %", "networks"), rows)])


def _difference_cells(samples: np.ndarray) -> tuple[str, str]:
    """Return the change in percent of the first mean, and the number of networks that have both values."""
    complete = samples[np.isfinite(samples).all(axis=1)]
    if len(complete) < 2:
        return "too few networks", str(len(complete))
    if _equal_columns(samples):
        return "none in any network", str(len(complete))
    scale = 100 / complete[:, 0].mean() if complete[:, 0].mean() else np.nan
    change, half = (float(scale * value) for value in mean_difference(complete[:, 1] - complete[:, 0]))
    if not np.isfinite(change):
        return "the first is 0", str(len(complete))
    return interval_text(change, change - half, change + half), str(len(complete))


def coefficients_section(table: xr.Dataset) -> Section:
    """Return the best gradients of several deposition coefficients."""
    rows = [
        (compact(float(one.l_max)), compact(float(one.deposition)), label(metric), *_optimum_cells(one, metric))
        for one in slices(table, "l_max", "deposition")
        for metric in ("throughput", "throughput_threshold")
        if np.isfinite(one[metric]).any()
    ]
    text = "Best gradient as a function of the deposition coefficient, on the same networks."
    return Section("Deposition coefficients", text, [Grid(("l_max", "λ", "metric", *_OPTIMUM_HEADER), rows)])


def thresholds_section(tree: xr.DataTree) -> Section:
    """Return the best gradients for other flux thresholds, from the histories."""
    study_threshold = float(tree.attrs["flux_threshold"])
    factors = (0.5, 1.0, 1.5, 2.0)
    metrics = [at_flux_threshold(tree, factor * study_threshold) for factor in factors]
    metrics = [one.sortby("gradient").sortby("l_max") for one in metrics]
    several = metrics[0].sizes["deposition"] > 1
    rows = []
    for selected in zip(*(slices(one, "l_max", "deposition") for one in metrics), strict=True):
        point = (compact(float(selected[0].l_max)), *([compact(float(selected[0].deposition))] if several else []))
        rows += [
            (*point, compact(factor * study_threshold), *_optimum_cells(one, "throughput"))
            for factor, one in zip(factors, selected, strict=True)
        ]
    text = "Best gradient for throughput until other flux thresholds, from the stored histories."
    header = ("l_max", *(["λ"] if several else []), "flux threshold", *_OPTIMUM_HEADER)
    return Section("Other flux thresholds", text, [Grid(header, rows)])


def search_section(optimum: xr.Dataset, group: str, confidence: float) -> Section:
    """Return the result of a search for the best gradient, and why it ended, for every ``l_max``."""
    meanings = str(optimum.stop_reason.attrs["flag_meanings"]).split()
    values = np.atleast_1d(optimum.stop_reason.attrs["flag_values"]).tolist()
    reasons = dict(zip(values, meanings, strict=True))
    rows = []
    for one in slices(optimum, "l_max", "deposition"):
        best = interval_text(*(1e3 * float(one[f"gradient{end}"]) for end in ("", "_low", "_high")))
        reason = "the metric is 0 in all networks" if float(one.value) == 0 else _STOP_REASONS[
            reasons[int(one.stop_reason)]
        ]  # fmt: skip
        edge = "; the metric is largest at an end of the grid, extend it" if int(one.at_edge) else ""
        rows.append((compact(float(one.l_max)), best, str(int(one.networks)), reason + edge))
    metric = label(group.removeprefix("optimum_"))
    text = (
        f"Search for the gradient with the largest {metric}, by rounds of networks. Intervals have a confidence of "
        f"{percent_text(confidence)}."
    )
    header = ("l_max", "best gradient, 10⁻³", "networks", "why it ended")
    return Section("Search for the best gradient", text, [Grid(header, rows)])
