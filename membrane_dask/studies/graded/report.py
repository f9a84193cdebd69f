"""The report of a graded study: Gu's Figs. 3 to 8, the best gradients, and which of the paper's claims hold."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
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
from membrane_dask.studies.graded.optimum import Optimum, best_gradient
from membrane_dask.studies.graded.program import METRICS, at_flux_threshold

_COLOURS = ("#1f5fa8", "#d1702a", "#2a8a57", "#8a3f9b", "#a33a3a", "#4d4d4d")
_MARKERS = "osD^vP"
_WORDS = {
    "throughput": "throughput h",
    "foulant_concentration": "foulant concentration c",
    "porosity_usage": "porosity usage ΔΦ",
    "initial_flux": "initial flux q₀",
    "lifetime": "lifetime T",
}


def _named(metric: str) -> str:
    words = _WORDS[metric.removesuffix("_threshold")]
    return words + (" at the flux threshold" if metric.endswith("_threshold") else "")


def sections(run: Run) -> list[Section]:
    """Everything between the head of the page and the study itself."""
    tree = run.result["graded"]
    table = tree.to_dataset().sortby("gradient").sortby("l_max")
    if int((table.status == 1).sum()) == 0:
        raise ReportError(f"run {run.name} has no finished network yet; membrane-dask status {run.path}")
    found = []
    several = table.sizes["deposition"] > 1
    for coefficient in table.deposition.values:
        one = table.sel(deposition=coefficient)
        history = tree["history"].to_dataset().sel(deposition=coefficient).sortby("gradient").sortby("l_max")
        where = f" (deposition coefficient {coefficient:g})" if several else ""
        found += _of_one_coefficient(one, history, where)
    if several:
        found.append(_coefficients(table))
    if table.sizes["gradient"] >= 3:
        found.append(_thresholds(tree))
    first = table.isel(deposition=0)
    claims = list(_claims(first)) if table.sizes["gradient"] >= 3 else []
    if claims:
        text = (
            "Each claim is judged by this run's networks alone: it holds, or fails, where the 95 % interval of the "
            "difference in question says so, and is undecided otherwise."
        )
        found.append(Section("What the paper claims", text, claims))
    return found


def _of_one_coefficient(table: xr.Dataset, history: xr.Dataset, where: str) -> list[Section]:
    found = []
    if table.sizes["gradient"] >= 3:
        found.append(_optima(table, where))
    with mpl.rc_context(STYLE):
        names = ("throughput", "initial_flux", "foulant_concentration")
        parts = [_against_gradient(table, names, "Gu, Fig. 3. Filters run until nothing passes.")]
        found.append(Section(f"Performance{where}", "", parts))
        parts = [_porosity(table, history)]
        parts += [_bands(table, history, l_max, 5 + i) for i, l_max in enumerate(table.l_max.values)]
        found.append(Section(f"Where the foulant goes{where}", "", parts))
        names = ("throughput_threshold", "foulant_concentration_threshold", "porosity_usage_threshold")
        limit = f"{table.attrs['flux_threshold']:g}"
        parts = [_against_gradient(table, names, f"Gu, Fig. 8. Filters in service while the flux exceeds {limit}.")]
        found.append(Section(f"Service to a flux threshold{where}", "", parts))
    return found


@dataclass(frozen=True)
class _Mean:
    value: np.ndarray
    half: np.ndarray
    deviation: np.ndarray


def _mean(values: xr.DataArray, confidence: float = 0.95) -> _Mean:
    """Mean over the realizations there are, half of its interval, and the networks' standard deviation."""
    found = values.transpose(..., "realization").values
    n = np.isfinite(found).sum(axis=-1)
    enough = n >= 2
    total = np.nansum(found, axis=-1)
    mean = np.divide(total, n, out=np.full(n.shape, np.nan), where=n > 0)
    square = np.nansum((found - mean[..., None]) ** 2, axis=-1)
    deviation = np.sqrt(np.divide(square, n - 1, out=np.full(n.shape, np.nan), where=enough))
    reach = student.ppf((1 + confidence) / 2, np.maximum(n - 1, 1))
    return _Mean(mean, reach * deviation / np.sqrt(np.maximum(n, 1)), deviation)


def _count(table: xr.Dataset) -> str:
    n = (table.status == 1).sum("realization").values
    return f"{n.min()} to {n.max()}" if n.min() < n.max() else f"{n.min()}"


def _against_gradient(table: xr.Dataset, names: Sequence[str], caption: str) -> Picture:
    figure = Figure(figsize=(10.5, 3.3), layout="constrained")
    axes = figure.subplots(1, len(names))
    for axis, name in zip(axes, names, strict=True):
        _curves(axis, table, table[name])
        axis.set(xlabel="pore-radius gradient s", ylabel=_WORDS[name.removesuffix("_threshold")])
    axes[0].legend(title="$l_{max}$")
    caption += (
        f" Mean over {_count(table)} networks a point; bars: 95 % interval of the mean, shaded: ± one standard "
        "deviation of the networks."
    )
    return picture(figure, caption, ", ".join(_named(name) for name in names) + " against the gradient")


def _curves(axis: Any, table: xr.Dataset, values: xr.DataArray) -> None:
    s = table.gradient.values
    for i, l_max in enumerate(table.l_max.values):
        mean = _mean(values.sel(l_max=l_max))
        colour = _COLOURS[i % len(_COLOURS)]
        axis.fill_between(s, mean.value - mean.deviation, mean.value + mean.deviation, color=colour, alpha=0.13, lw=0)
        axis.errorbar(
            s, mean.value, mean.half, color=colour, marker=_MARKERS[i % len(_MARKERS)], ms=3.5, lw=1.2, capsize=2,
            label=f"{l_max:g}",
        )  # fmt: skip


def _gradient_colours(n: int) -> np.ndarray:
    return np.asarray(mpl.colormaps["viridis"](np.linspace(0, 0.92, n)))


def _over_time(axis: Any, history: xr.Dataset, values: xr.DataArray) -> None:
    """Mean history for every gradient, as long as all its networks live."""
    time = history.time.values
    colours = _gradient_colours(history.sizes["gradient"])
    for colour, s in zip(colours, history.gradient.values, strict=True):
        one = values.sel(gradient=s).transpose("time", "realization").values
        one = one[:, np.isfinite(one[0])]
        if one.size:
            alive = np.isfinite(one).all(axis=1)
            axis.plot(time[alive], one[alive].mean(axis=1), color=colour, lw=1.2, label=f"{s:g}")


def _legend_of_gradients(figure: Any, axis: Any) -> None:
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, title="gradient s", loc="outside right upper")


def _porosity(table: xr.Dataset, history: xr.Dataset) -> Picture:
    l_max = table.l_max.values
    figure = Figure(figsize=(2.9 * (len(l_max) + 1) + 1.2, 3.1), layout="constrained")
    axes = figure.subplots(1, len(l_max) + 1)
    total = history.band_porosity.mean("band")
    for axis, value in zip(axes, l_max, strict=False):
        _over_time(axis, history, total.sel(l_max=value))
        axis.set(xlabel="time t", ylabel="porosity Φ", title=f"$l_{{max}}$ = {value:g}")
        axis.sharey(axes[0])
    _curves(axes[-1], table, table.porosity_usage)
    axes[-1].set(xlabel="pore-radius gradient s", ylabel=_named("porosity_usage"))
    axes[-1].legend(title="$l_{max}$")
    _legend_of_gradients(figure, axes[0])
    caption = (
        "Gu, Fig. 4. Porosity of the membrane until nothing passes, and what of it is used over the filter's life "
        "(95 % interval of the mean; shaded, one standard deviation)."
    )
    return picture(figure, caption, "membrane porosity against time, and porosity usage against the gradient")


def _bands(table: xr.Dataset, history: xr.Dataset, l_max: float, number: int) -> Picture:
    bands = table.band.values
    columns = min(4, len(bands))
    blocks = math.ceil(len(bands) / columns)
    figure = Figure(figsize=(2.7 * columns + 1.2, 4.6 * blocks), layout="constrained")
    axes = figure.subplots(2 * blocks, columns, squeeze=False, height_ratios=(1.5, 1) * blocks)
    for axis in axes.ravel():
        axis.set_visible(False)
    for place, band in enumerate(bands):
        block, column = divmod(place, columns)
        top, bottom = axes[2 * block, column], axes[2 * block + 1, column]
        top.set_visible(True)
        bottom.set_visible(True)
        _over_time(top, history, history.band_porosity.sel(l_max=l_max, band=band))
        top.set(xlabel="time t", ylabel="porosity", title=f"band {band}")
        usage = _mean(table.band_porosity_usage.sel(l_max=l_max, band=band))
        bottom.errorbar(table.gradient.values, usage.value, usage.half, color="#444", marker="o", ms=3, lw=1, capsize=2)
        bottom.set(xlabel="gradient s", ylabel="usage ΔΦ")
    _legend_of_gradients(figure, axes[0, 0])
    paper = f"Gu, Fig. {number}. " if number <= 7 else ""
    caption = (
        f"{paper}Porosity of each band for l_max = {l_max:g}, and what each uses over the filter's life, "
        "with the 95 % interval of the mean."
    )
    return picture(figure, caption, f"porosity of each band against time, l_max {l_max:g}")


def _interval(value: float, low: float, high: float, scale: float = 1.0, digits: int = 2) -> str:
    if not math.isfinite(value):
        return "-"
    return f"{value * scale:.{digits}f} [{low * scale:.{digits}f}, {high * scale:.{digits}f}]"


def _cells(best: Optimum | None) -> tuple[str, str, str]:
    """Best gradient on the grid and off it, and its gain, as they stand in a table."""
    if best is None:
        return "-", "-", "-"
    edge = " (end of the grid)" if best.at_edge else ""
    return (
        f"{best.grid_gradient * 1e3:g}{edge}",
        _interval(best.gradient, best.low, best.high, 1e3),
        _interval(best.gain, best.gain_low, best.gain_high, 100, 1),
    )


def _slices(table: xr.Dataset, along: str) -> list[xr.Dataset]:
    return [table.sel({along: value}) for value in table[along].values]


def _best(one: xr.Dataset, metric: str) -> Optimum | None:
    return best_gradient(one.gradient.values, _paired(one, metric))


#: Heads of the three columns of :func:`_cells`.
_CELLS = ("on the grid, 10⁻³", "off the grid, 10⁻³", "gain over the first gradient, %")


def _optima(table: xr.Dataset, where: str) -> Section:
    rows = [
        (f"{float(one.l_max):g}", _named(metric), *_cells(_best(one, metric)), str(int(one[metric].count())))
        for one in _slices(table, "l_max")
        for metric in METRICS
    ]
    text = (
        "Best gradients, with 95 % intervals. Networks of one realization share their random numbers, so differences "
        "between gradients are far better known than the means themselves. The best gradient off the grid is the top "
        "of the curve through the best points of the grid."
    )
    return Section(f"The best gradient{where}", text, [Grid(("l_max", "largest", *_CELLS, "networks"), rows)])


def _coefficients(table: xr.Dataset) -> Section:
    rows = [
        (f"{float(one.l_max):g}", f"{float(one.deposition):g}", _named(metric), *_cells(_best(one, metric)))
        for wide in _slices(table, "l_max")
        for one in _slices(wide, "deposition")
        for metric in ("throughput", "throughput_threshold")
    ]
    text = "The same networks with other deposition coefficients: the best gradient moves with the coefficient."
    return Section("Deposition coefficients", text, [Grid(("l_max", "λ", "largest", *_CELLS), rows)])


def _thresholds(tree: xr.DataTree) -> Section:
    """Best gradient at other flux thresholds, from the histories."""
    own = float(tree.attrs["flux_threshold"])
    rows = []
    for threshold in (own / 2, own, 1.5 * own, 2 * own):
        found = at_flux_threshold(tree, threshold).isel(deposition=0).sortby("gradient").sortby("l_max")
        rows += [
            (f"{float(one.l_max):g}", f"{threshold:.3g}", *_cells(_best(one, "throughput")))
            for one in _slices(found, "l_max")
        ]
    rows.sort(key=lambda row: (float(row[0]), float(row[1])))
    text = "Throughput up to other flux thresholds, from the stored histories."
    return Section("Other flux thresholds", text, [Grid(("l_max", "flux threshold", *_CELLS), rows)])


def _claims(table: xr.Dataset) -> Iterator[Claim]:
    """The paper's claims that this run has something to say about."""
    s = table.gradient.values
    yield _best_at(table, "throughput", (2e-3, 2e-3), "Throughput is largest at s = 2e-3, whatever l_max (Sec. VI A).")
    if s[0] == 0:
        yield _gain(
            table, "throughput", (0.125, 0.175), "There it is about 15 % (12.5 to 17.5) larger than with uniform pores."
        )
    yield _ordered(table, "throughput", "l_max", +1, "Throughput rises with l_max, at every gradient.")
    yield _ordered(table, "initial_flux", "gradient", -1, "The initial flux falls with the gradient.")
    yield _ordered(table, "initial_flux", "l_max", +1, "The initial flux rises with l_max.")
    yield _ordered(table, "foulant_concentration", "gradient", -1, "The filtrate gets cleaner with the gradient.")
    yield _ordered(table, "foulant_concentration", "l_max", +1, "The filtrate gets dirtier with l_max.")
    yield _ordered(
        table, "lifetime", "gradient", +1, "Uniform filters live shortest: lifetime rises with the gradient."
    )
    words = "Porosity usage is largest at a gradient between 2.5e-3 and 3e-3."
    yield _best_at(table, "porosity_usage", (2.5e-3, 3e-3), words)
    yield _ordered(table, "porosity_usage", "l_max", +1, "Porosity usage rises with l_max.")
    bands = table.sizes["band"]
    words = "The usage of the first band always rises with the gradient."
    yield _ordered(table.assign(first=table.band_porosity_usage.isel(band=0)), "first", "gradient", +1, words)
    for band in sorted({2, bands} & set(range(2, bands + 1))):
        least = table.assign(least=-table.band_porosity_usage.sel(band=band))
        yield _best_at(least, "least", (0.0, 0.0), f"Uniform filters use least of band {band}.", ends=True)
    words = "Up to the flux threshold, throughput is largest at s = 1.5e-3."
    yield _best_at(table, "throughput_threshold", (1.5e-3, 1.5e-3), words)
    if s[0] == 0:
        words = "There it is 10 to 12 % larger than with uniform pores."
        yield _gain(table, "throughput_threshold", (0.10, 0.12), words)
        steep = table.sel(gradient=s[(s == 0) | (s >= 3e-3 - 1e-12)])
        if steep.sizes["gradient"] > 1:
            words = "Gradients of 3e-3 and more do worse than none, up to the threshold."
            yield _best_at(steep, "throughput_threshold", (0.0, 0.0), words, ends=True)
    both = table.assign(more=table.foulant_concentration_threshold - table.foulant_concentration)
    yield _positive(both.more, "Stopped at the threshold, a filter has let more foulant through, at every gradient.")
    words = "Porosity usage up to the threshold is largest at s = 1.5e-3."
    yield _best_at(table, "porosity_usage_threshold", (1.5e-3, 1.5e-3), words)


def _each(table: xr.Dataset, judge: Callable[[xr.Dataset], tuple[str, str]]) -> tuple[str, str]:
    """Verdict for every l_max, and all of them together: what fails once fails."""
    found = [(f"{l_max:g}", *judge(table.sel(l_max=l_max))) for l_max in table.l_max.values]
    verdicts = {verdict for _, verdict, _ in found}
    verdict = "fails" if "fails" in verdicts else "open" if "open" in verdicts else "holds"
    if len({numbers for _, _, numbers in found}) == 1:
        return verdict, found[0][2]
    return verdict, "; ".join(f"l_max {l_max}: {numbers}" for l_max, _, numbers in found)


def _paired(one: xr.Dataset, metric: str) -> np.ndarray:
    return np.asarray(one[metric].transpose("realization", "gradient").values)


def _difference(values: np.ndarray) -> tuple[float, float]:
    """Mean of paired differences and half its 95 % interval; an infinite half where there are too few."""
    values = values[np.isfinite(values)]
    if len(values) < 2:
        return math.nan, math.inf
    half = student.ppf(0.975, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values))
    return float(values.mean()), float(half)


def _best_at(table: xr.Dataset, metric: str, where: tuple[float, float], text: str, ends: bool = False) -> Claim:
    """Whether the best gradient of the grid lies in a range: by how much the best inside leads the best outside."""
    s = table.gradient.values
    inside = (s >= where[0] - 1e-12) & (s <= where[1] + 1e-12)

    def judge(one: xr.Dataset) -> tuple[str, str]:
        samples = _paired(one, metric)
        if not inside.any():
            return "open", "not on this grid"
        if not np.isfinite(samples).any(axis=0).all():
            return "open", "too few networks"
        mean = np.nanmean(samples, axis=0)
        rival = int(np.argmax(np.where(inside, -np.inf, mean)))
        own = int(np.argmax(np.where(inside, mean, -np.inf)))
        ahead, half = _difference(samples[:, own] - samples[:, rival])
        share, half = 100 * ahead / abs(mean[own]), 100 * half / abs(mean[own])
        words = f"s = {s[own] * 1e3:g}e-3 is {share:.2f} ± {half:.2f} % ahead of {s[rival] * 1e3:g}e-3"
        if not ends:
            top = _best(one, metric)
            if top is not None:
                words += f", off the grid {_interval(top.gradient, top.low, top.high, 1e3)}e-3"
        verdict = "holds" if share > half else "fails" if share < -half else "open"
        return verdict, words

    return Claim(text, *_each(table, judge))


def _gain(table: xr.Dataset, metric: str, claimed: tuple[float, float], text: str) -> Claim:
    """Whether the gain's interval meets the claimed range."""

    def judge(one: xr.Dataset) -> tuple[str, str]:
        best = _best(one, metric)
        if best is None or not math.isfinite(best.gain):
            return "open", "too few networks"
        meets = best.gain_high >= claimed[0] and best.gain_low <= claimed[1]
        return "holds" if meets else "fails", f"{_interval(best.gain, best.gain_low, best.gain_high, 100, 1)} %"

    return Claim(text, *_each(table, judge))


def _ordered(table: xr.Dataset, metric: str, along: str, sign: int, text: str) -> Claim:
    """Whether a metric rises (or falls) from each value of ``along`` to the next."""
    if table.sizes[along] < 2:
        return Claim(text, "open", f"one {along} only")
    contrary, undecided, steps = [], 0, 0
    labels = table[along].values
    other = "gradient" if along == "l_max" else "l_max"
    for place in table[other].values:
        for a, b in itertools.pairwise(labels):
            one, two = (table[metric].sel({along: x, other: place}).values for x in (a, b))
            if along == "gradient":
                mean, half = _difference(two - one)
            else:  # networks of different l_max have nothing in common
                (low, low_half), (high, high_half) = _difference(one), _difference(two)
                mean, half = high - low, math.hypot(low_half, high_half)
            steps += 1
            if sign * mean < -half:
                contrary.append(f"{along} {a:g} → {b:g} at {other} {place:g}")
            elif not sign * mean > half:
                undecided += 1
    if contrary:
        more = f" and {len(contrary) - 3} more" if len(contrary) > 3 else ""
        return Claim(text, "fails", f"the other way round from {'; '.join(contrary[:3])}{more}; {steps} steps in all")
    if undecided:
        return Claim(text, "open", f"{steps - undecided} of {steps} steps certain, none against it")
    return Claim(text, "holds", f"all {steps} steps certain")


def _positive(values: xr.DataArray, text: str) -> Claim:
    found = values.values[np.isfinite(values.values)]
    if not found.size:
        return Claim(text, "open", "no filter reached the threshold")
    share = float((found > 0).mean())
    return Claim(text, "holds" if share == 1 else "fails", f"in {100 * share:.4g} % of {found.size} networks")
