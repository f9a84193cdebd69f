"""Report of a graded study: Figs. 3 to 8 of Gu et al., the best gradients, and the claims of the paper."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from scipy.stats import t as student

from membrane_dask.engine.run import Run
from membrane_dask.errors import ReportError
from membrane_dask.report.page import STYLE, Claim, Grid, Picture, Section, picture
from membrane_dask.studies.graded.claims import format_interval, paired_samples, paper_claims
from membrane_dask.studies.graded.flux_threshold import at_flux_threshold
from membrane_dask.studies.graded.optimum import Optimum, best_gradient
from membrane_dask.studies.graded.variables import METRICS

_COLOURS = ("#1f5fa8", "#d1702a", "#2a8a57", "#8a3f9b", "#a33a3a", "#4d4d4d")
_MARKERS = "osD^vP"
_LABELS = {
    "throughput": "throughput h",
    "foulant_concentration": "foulant concentration c",
    "porosity_usage": "porosity usage ΔΦ",
    "initial_flux": "initial flux q₀",
    "lifetime": "lifetime T",
}


def _label(metric: str) -> str:
    label = _LABELS[metric.removesuffix("_threshold")]
    return label + (" until the flux threshold" if metric.endswith("_threshold") else "")


def sections(run: Run) -> list[Section]:
    """Return the sections of the report.

    Raises
    ------
    ReportError
        If no network is finished.
    """
    tree = run.result["graded"]
    table = tree.to_dataset().sortby("gradient").sortby("l_max")
    if int((table.status == 1).sum()) == 0:
        raise ReportError(f"run {run.name} has no finished network yet; membrane-dask status {run.path}")
    result = []
    several = table.sizes["deposition"] > 1
    for coefficient in table.deposition.values:
        one = table.sel(deposition=coefficient)
        history = tree["history"].to_dataset().sel(deposition=coefficient).sortby("gradient").sortby("l_max")
        title_suffix = f" (deposition coefficient {coefficient:g})" if several else ""
        result += _coefficient_sections(one, history, title_suffix)
    if several:
        result.append(_coefficients(table))
    if table.sizes["gradient"] >= 3:
        result.append(_thresholds(tree))
        text = (
            "Each claim is tested with the networks of this run alone. It holds or fails if the 95 % interval of the "
            "relevant difference excludes 0, and is undecided otherwise."
        )
        claims = [Claim(*claim) for claim in paper_claims(table.isel(deposition=0))]
        result.append(Section("Claims of the paper", text, claims))
    return result


def _coefficient_sections(table: xr.Dataset, history: xr.Dataset, title_suffix: str) -> list[Section]:
    """Return the sections for one deposition coefficient."""
    result = []
    if table.sizes["gradient"] >= 3:
        result.append(_optima(table, title_suffix))
    with mpl.rc_context(STYLE):
        names = ("throughput", "initial_flux", "foulant_concentration")
        figures = [_metrics_figure(table, names, "Gu, Fig. 3. Performance until flux extinction.")]
        result.append(Section(f"Performance until flux extinction{title_suffix}", "", figures))
        figures = [_porosity_figure(table, history)]
        figures += [_band_figure(table, history, l_max, 5 + i) for i, l_max in enumerate(table.l_max.values)]
        result.append(Section(f"Band porosity evolution{title_suffix}", "", figures))
        names = ("throughput_threshold", "foulant_concentration_threshold", "porosity_usage_threshold")
        caption = f"Gu, Fig. 8. Performance until the flux falls to {table.attrs['flux_threshold']:g}."
        figures = [_metrics_figure(table, names, caption)]
        result.append(Section(f"End of life at the flux threshold{title_suffix}", "", figures))
    return result


@dataclass(frozen=True)
class _Mean:
    """Mean, half width of its confidence interval, and standard deviation of the networks."""

    value: np.ndarray
    half: np.ndarray
    deviation: np.ndarray


def _mean(values: xr.DataArray, confidence: float = 0.95) -> _Mean:
    """Average over the finished realizations."""
    samples = values.transpose(..., "realization").values
    n = np.isfinite(samples).sum(axis=-1)
    total = np.nansum(samples, axis=-1)
    mean = np.divide(total, n, out=np.full(n.shape, np.nan), where=n > 0)
    square = np.nansum((samples - mean[..., None]) ** 2, axis=-1)
    deviation = np.sqrt(np.divide(square, n - 1, out=np.full(n.shape, np.nan), where=n >= 2))
    quantile = student.ppf((1 + confidence) / 2, np.maximum(n - 1, 1))
    return _Mean(mean, quantile * deviation / np.sqrt(np.maximum(n, 1)), deviation)


def _network_count(table: xr.Dataset) -> str:
    n = (table.status == 1).sum("realization").values
    return f"{n.min()} to {n.max()}" if n.min() < n.max() else f"{n.min()}"


def _metrics_figure(table: xr.Dataset, names: Sequence[str], caption: str) -> Picture:
    figure = Figure(figsize=(10.5, 3.3), layout="constrained")
    axes = figure.subplots(1, len(names))
    for axis, name in zip(axes, names, strict=True):
        _plot_means(axis, table, table[name])
        axis.set(xlabel="pore-radius gradient s", ylabel=_LABELS[name.removesuffix("_threshold")])
    axes[0].legend(title="$l_{max}$")
    caption += (
        f" Mean over {_network_count(table)} networks per point; bars: 95 % confidence interval of the mean; shaded: "
        "± one standard deviation of the networks."
    )
    return picture(figure, caption, ", ".join(_label(name) for name in names) + " against the gradient")


def _plot_means(axis: Any, table: xr.Dataset, values: xr.DataArray) -> None:
    s = table.gradient.values
    for i, l_max in enumerate(table.l_max.values):
        mean = _mean(values.sel(l_max=l_max))
        colour = _COLOURS[i % len(_COLOURS)]
        axis.fill_between(s, mean.value - mean.deviation, mean.value + mean.deviation, color=colour, alpha=0.13, lw=0)
        axis.errorbar(
            s, mean.value, mean.half, color=colour, marker=_MARKERS[i % len(_MARKERS)], ms=3.5, lw=1.2, capsize=2,
            label=f"{l_max:g}",
        )  # fmt: skip


def _plot_histories(axis: Any, history: xr.Dataset, values: xr.DataArray) -> None:
    """Plot the mean history of every gradient, until the flux of one of its networks is 0."""
    time = history.time.values
    colours = mpl.colormaps["viridis"](np.linspace(0, 0.92, history.sizes["gradient"]))
    for colour, s in zip(colours, history.gradient.values, strict=True):
        one = values.sel(gradient=s).transpose("time", "realization").values
        one = one[:, np.isfinite(one[0])]
        if one.size:
            complete = np.isfinite(one).all(axis=1)
            axis.plot(time[complete], one[complete].mean(axis=1), color=colour, lw=1.2, label=f"{s:g}")


def _gradient_legend(figure: Any, axis: Any) -> None:
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, title="gradient s", loc="outside right upper")


def _porosity_figure(table: xr.Dataset, history: xr.Dataset) -> Picture:
    l_max = table.l_max.values
    figure = Figure(figsize=(2.9 * (len(l_max) + 1) + 1.2, 3.1), layout="constrained")
    axes = figure.subplots(1, len(l_max) + 1)
    total = history.band_porosity.mean("band")
    for axis, value in zip(axes, l_max, strict=False):
        _plot_histories(axis, history, total.sel(l_max=value))
        axis.set(xlabel="time t", ylabel="porosity Φ", title=f"$l_{{max}}$ = {value:g}")
        axis.sharey(axes[0])
    _plot_means(axes[-1], table, table.porosity_usage)
    axes[-1].set(xlabel="pore-radius gradient s", ylabel=_label("porosity_usage"))
    axes[-1].legend(title="$l_{max}$")
    _gradient_legend(figure, axes[0])
    caption = (
        "Gu, Fig. 4. Membrane porosity against time until flux extinction, and porosity usage against the gradient "
        "(bars: 95 % confidence interval of the mean; shaded: ± one standard deviation)."
    )
    return picture(figure, caption, "membrane porosity against time, and porosity usage against the gradient")


def _band_figure(table: xr.Dataset, history: xr.Dataset, l_max: float, number: int) -> Picture:
    bands = table.band.values
    columns = min(4, len(bands))
    blocks = math.ceil(len(bands) / columns)
    figure = Figure(figsize=(2.7 * columns + 1.2, 4.6 * blocks), layout="constrained")
    axes = figure.subplots(2 * blocks, columns, squeeze=False, height_ratios=(1.5, 1) * blocks)
    for axis in axes.ravel():
        axis.set_visible(False)
    for position, band in enumerate(bands):
        block, column = divmod(position, columns)
        top, bottom = axes[2 * block, column], axes[2 * block + 1, column]
        top.set_visible(True)
        bottom.set_visible(True)
        _plot_histories(top, history, history.band_porosity.sel(l_max=l_max, band=band))
        top.set(xlabel="time t", ylabel="porosity", title=f"band {band}")
        usage = _mean(table.band_porosity_usage.sel(l_max=l_max, band=band))
        bottom.errorbar(table.gradient.values, usage.value, usage.half, color="#444", marker="o", ms=3, lw=1, capsize=2)
        bottom.set(xlabel="gradient s", ylabel="usage ΔΦ")
    _gradient_legend(figure, axes[0, 0])
    paper = f"Gu, Fig. {number}. " if number <= 7 else ""
    caption = (
        f"{paper}Band porosities against time for l_max = {l_max:g}, and porosity usage of each band until flux "
        "extinction with the 95 % confidence interval of the mean."
    )
    return picture(figure, caption, f"porosity of each band against time, l_max {l_max:g}")


#: Headers of the three columns of :func:`_optimum_cells`.
_OPTIMUM_HEADER = ("best of the grid, 10⁻³", "interpolated optimum, 10⁻³", "improvement over the first gradient, %")


def _optimum_cells(best: Optimum | None) -> tuple[str, str, str]:
    if best is None:
        return "-", "-", "-"
    edge = " (end of the grid)" if best.at_edge else ""
    return (
        f"{best.grid_gradient * 1e3:g}{edge}",
        format_interval(best.gradient, best.gradient_low, best.gradient_high, 1e3),
        format_interval(best.gain, best.gain_low, best.gain_high, 100, 1),
    )


def _slices(table: xr.Dataset, dim: str) -> list[xr.Dataset]:
    return [table.sel({dim: value}) for value in table[dim].values]


def _best(one: xr.Dataset, metric: str) -> Optimum | None:
    return best_gradient(one.gradient.values, paired_samples(one, metric))


def _optima(table: xr.Dataset, title_suffix: str) -> Section:
    rows = [
        (f"{float(one.l_max):g}", _label(metric), *_optimum_cells(_best(one, metric)), str(int(one[metric].count())))
        for one in _slices(table, "l_max")
        for metric in METRICS
    ]
    text = (
        "Best gradients with 95 % confidence intervals. Networks of one realization have common random numbers across "
        "gradients, so that differences between gradients are more precise than the means. The interpolated optimum is "
        "the maximum of the polynomial through the best gradients of the grid."
    )
    header = ("l_max", "metric", *_OPTIMUM_HEADER, "networks")
    return Section(f"Best gradient{title_suffix}", text, [Grid(header, rows)])


def _coefficients(table: xr.Dataset) -> Section:
    rows = [
        (f"{float(one.l_max):g}", f"{float(one.deposition):g}", _label(metric), *_optimum_cells(_best(one, metric)))
        for wide in _slices(table, "l_max")
        for one in _slices(wide, "deposition")
        for metric in ("throughput", "throughput_threshold")
    ]
    text = "Best gradient as a function of the deposition coefficient, on the same networks."
    return Section("Deposition coefficients", text, [Grid(("l_max", "λ", "metric", *_OPTIMUM_HEADER), rows)])


def _thresholds(tree: xr.DataTree) -> Section:
    """Return the best gradients for other flux thresholds, from the histories."""
    study_threshold = float(tree.attrs["flux_threshold"])
    rows = []
    for threshold in (study_threshold / 2, study_threshold, 1.5 * study_threshold, 2 * study_threshold):
        metrics = at_flux_threshold(tree, threshold).isel(deposition=0).sortby("gradient").sortby("l_max")
        rows += [
            (f"{float(one.l_max):g}", f"{threshold:.3g}", *_optimum_cells(_best(one, "throughput")))
            for one in _slices(metrics, "l_max")
        ]
    rows.sort(key=lambda row: (float(row[0]), float(row[1])))
    text = "Best gradient for throughput until other flux thresholds, from the stored histories."
    return Section("Other flux thresholds", text, [Grid(("l_max", "flux threshold", *_OPTIMUM_HEADER), rows)])
