"""Elements that the sections of a graded report have in common: means with intervals, numbers as text, and curves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from scipy.stats import t as student

from membrane_dask.number_text import readable_unit
from membrane_dask.studies.graded.design_metrics import SPECIES_METRICS

COLOURS = ("#1f5fa8", "#d1702a", "#2a8a57", "#8a3f9b", "#a33a3a", "#4d4d4d")
MARKERS = "osD^vP"
LABELS = {
    "throughput": "throughput h",
    "foulant_concentration": "foulant concentration c",
    "log_reduction_value": "log reduction value",
    "porosity_usage": "porosity usage ΔΦ",
    "foulant_balance": "foulant deposited / removed from the feed",
    "species_yield": "yield",
    "species_purity": "purity",
    "species_recovered": "recovered",
    "species_concentration": "filtrate concentration",
    "initial_flux": "initial flux q₀",
    "lifetime": "lifetime T",
    "initial_transmembrane_pressure": "first transmembrane pressure, P₀",
    "n_arrivals": "particles that arrived",
    "n_passed": "particles that passed",
    "particle_retention": "particle retention",
    "filtrate_volume": "filtrate volume [L m⁻²]",
    "initial_permeate_flux": "initial permeate flux [L m⁻² h⁻¹]",
    "service_time": "service time",
}
#: Variables in physical units that a report shows in the position of dimensionless ones.
PHYSICAL = {
    "throughput": "filtrate_volume",
    "initial_flux": "initial_permeate_flux",
    "lifetime": "service_time",
}


#: Sentence below tables in which a mean has no interval because all networks have the same value.
NO_SPREAD = "A value without ± is the same in all networks, so that it has no interval."


def time_unit(table: xr.Dataset) -> tuple[str, float]:
    """Unit that suits the longest time of a table, and how many of them are an hour."""
    hours = [values.values.ravel() for values in table.data_vars.values() if values.attrs.get("units") == "h"]
    return readable_unit("h", np.concatenate(hours) if hours else ())


def readable_times(table: xr.Dataset, reference: xr.Dataset | None = None) -> xr.Dataset:
    """A table with its times in the unit that suits the longest one of ``reference``, by default of itself."""
    unit, factor = time_unit(table if reference is None else reference)
    times = {name: values for name, values in table.data_vars.items() if values.attrs.get("units") == "h"}
    return table.assign(
        {name: (values * factor).assign_attrs(values.attrs, units=unit) for name, values in times.items()}
    )


def heading(metric: str, table: xr.Dataset) -> str:
    """Name of a metric for a column or an axis, with the unit of a time."""
    unit = table[metric].attrs.get("units", "1")
    return f"{label(metric)} [{unit}]" if metric.startswith("service_time") else label(metric)


def has_no_spread(table: xr.Dataset, names: Iterable[str]) -> bool:
    """Whether several networks of a design have the same value of one of these metrics."""
    return any(bool((mean.half <= 1e-12 * np.abs(mean.value)).any()) for mean in (mean_of(table[n]) for n in names))


def label(metric: str) -> str:
    """Name of a metric for a table or an axis."""
    for name in SPECIES_METRICS:
        if metric.startswith(f"{name}_"):
            return f"{LABELS[name]}, {metric.removeprefix(f'{name}_')}"
    stem = metric.removesuffix("_threshold")
    text = LABELS.get(stem, stem.replace("_", " "))
    return text + (" until the flux threshold" if metric.endswith("_threshold") else "")


def physical_name(name: str, table: xr.Dataset) -> str:
    """Name of a metric in physical units where the study has them, else the name itself."""
    physical = PHYSICAL.get(name, name)
    return physical if physical in table else name


def end_of_life(attrs: Mapping[str, Any]) -> str:
    """When the life of the filters of a study ends, after "until"."""
    extinction = (
        attrs.get("deposition_law", "published") == "published"
        and attrs.get("operation.mode", "pressure") == "pressure"
        and not attrs.get("end_of_life.flux_fraction")
        and attrs.get("end_of_life.time") is None
        and not attrs.get("sieving.rate")
        and not attrs.get("erosion.rate")
    )
    return "flux extinction" if extinction else "the end of life"


@dataclass(frozen=True)
class Mean:
    """Mean, half width of its confidence interval, and standard deviation of the networks."""

    value: np.ndarray
    half: np.ndarray
    deviation: np.ndarray


def mean_of(values: xr.DataArray, confidence: float = 0.95) -> Mean:
    """Average over the finished realizations; NaN without one, and without an interval for a single one."""
    samples = values.transpose(..., "realization").values.astype(float)
    n = np.isfinite(samples).sum(axis=-1)
    total = np.nansum(samples, axis=-1)
    mean = np.divide(total, n, out=np.full(n.shape, np.nan), where=n > 0)
    square = np.nansum((samples - mean[..., None]) ** 2, axis=-1)
    deviation = np.sqrt(np.divide(square, n - 1, out=np.full(n.shape, np.nan), where=n >= 2))
    quantile = student.ppf((1 + confidence) / 2, np.maximum(n - 1, 1))
    return Mean(mean, quantile * deviation / np.sqrt(np.maximum(n, 1)), deviation)


def log_reduction(table: xr.Dataset) -> Any:
    """Log reduction value of every network: ``-log10`` of its foulant concentration."""
    if "log_reduction_value" in table:
        return table.log_reduction_value
    concentration = table.foulant_concentration
    return -np.log10(concentration.where(concentration > 0))


def front_order(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Positions of the points that no other one surpasses in both coordinates, in the order of ``x``."""
    surpassed = ((x > x[:, None]) & (y > y[:, None])).any(axis=1) | ~(np.isfinite(x) & np.isfinite(y))
    front = np.flatnonzero(~surpassed)
    return front[np.argsort(x[front], kind="stable")]


def slices(table: xr.Dataset, *dims: str) -> Iterator[xr.Dataset]:
    """All selections of one label along some dimensions; a label may be NaN, as that of a network from a file."""
    if not dims:
        yield table
        return
    for i in range(table.sizes[dims[0]]):
        yield from slices(table.isel({dims[0]: i}), *dims[1:])


def network_count(table: xr.Dataset) -> str:
    """Number of networks of each design point, such as ``20 networks`` or ``4 to 20 networks``."""
    n = (table.status == 1).sum("realization").values
    count = f"{n.min()} to {n.max()}" if n.min() < n.max() else f"{n.min()}"
    return f"{count} network{'s' * bool(n.max() > 1)}"


def error_bars(table: xr.Dataset, deviation: bool = True) -> str:
    """What bars and shading of a figure mean; empty if no design point has two networks."""
    if int((table.status == 1).sum("realization").max()) < 2:
        return ""
    shaded = "; shaded: ± one standard deviation of the networks" if deviation else ""
    return f" Bars: 95 % confidence interval of the mean{shaded}."


def plot_means(axis: Any, table: xr.Dataset, name: str) -> None:
    """Plot the mean of a metric against the gradient, one curve for each ``l_max``."""
    s = table.gradient.values
    for i, one in enumerate(slices(table, "l_max")):
        mean, colour = mean_of(one[name]), COLOURS[i % len(COLOURS)]
        axis.fill_between(s, mean.value - mean.deviation, mean.value + mean.deviation, color=colour, alpha=0.13, lw=0)
        axis.errorbar(
            s, mean.value, mean.half, color=colour, marker=MARKERS[i % len(MARKERS)], ms=3.5, lw=1.2, capsize=2,
            label=f"{float(one.l_max):g}",
        )  # fmt: skip


def gradient_colours(table: xr.Dataset) -> np.ndarray:
    """Return one colour for each gradient."""
    return np.asarray(mpl.colormaps["viridis"](np.linspace(0, 0.92, table.sizes["gradient"])))


def plot_histories(axis: Any, x: xr.DataArray, y: xr.DataArray) -> None:
    """Plot the mean history of every gradient against time or another history, while all its networks have a flux."""
    for i, colour in enumerate(gradient_colours(y.to_dataset(name="y"))):
        ordinate = y.isel(gradient=i).transpose("time", "realization").values
        done = np.isfinite(ordinate[0])
        complete = np.isfinite(ordinate[:, done]).all(axis=1) & done.any()
        if not complete.any():
            continue
        abscissa = x.values
        if "realization" in x.dims:
            abscissa = x.isel(gradient=i).transpose("time", "realization").values[:, done].mean(axis=1)
        mean = ordinate[complete][:, done].mean(axis=1)
        axis.plot(abscissa[complete], mean, color=colour, lw=1.2, label=f"{float(y.gradient[i]):g}")


def gradient_legend(figure: Any, axis: Any) -> None:
    """Add the legend of the gradients to the right of the panels of a figure, unless there is one curve."""
    handles, labels = axis.get_legend_handles_labels()
    if len(handles) > 1:
        figure.legend(handles, labels, title="gradient s", loc="outside right upper")
