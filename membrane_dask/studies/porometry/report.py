"""The report of a porometry study: a verdict per membrane, fluxes, intervals, the ridge, and the paper's tables."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from membrane_dask.engine.run import Run
from membrane_dask.io.tables.flux_curves import FittedLine, FluxCurve
from membrane_dask.physics.porometry.darcy_curve import DarcyCurve
from membrane_dask.physics.porometry.radius_distributions import LogNormalRadii, NormalRadii
from membrane_dask.report.page import STYLE, Grid, Section, picture
from membrane_dask.studies.porometry.program import PorometryProgram
from membrane_dask.studies.porometry.summary import LMH_BAR, number, verdicts
from membrane_dask.studies.porometry.tasks import Member

_COLOURS = ("#1f5fa8", "#d1702a", "#2a8a57", "#8a3f9b", "#a33a3a", "#4d4d4d")
_FOUND, _POINTS, _QUIET = "#1f5fa8", "#1c2530", "#9aa6b4"
#: m s-1 in L m-2 h-1.
_LMH = 3.6e6
#: Membranes of which figures with one part each are drawn, and parts in a row.
_DRAWN, _ACROSS = 24, 4
#: Membranes whose ridge and distribution are drawn.
_SHOWN = 4
#: Thicknesses at which the ridge is drawn, m.
_LAYERS = (1e-8, 1e-7, 1e-6, 1e-5, 1e-4)
_MARKS = {"reproduced": "✓", "rounding": "≈", "decade": "10ˣ", "by eye": "≈ by eye", "plausible": "~", "not": "✗"}


def sections(run: Run) -> list[Section]:
    """All of the page, for what is done."""
    tree = run.result
    groups = {name: node.to_dataset().load() for name, node in tree.children.items()}
    members = PorometryProgram(run.study).members  # type: ignore[arg-type]
    fits, posteriors = groups["porometry"], groups["posterior"]
    rows = [(label, " ".join(words)) for label, words in verdicts(tree).items()]
    found = [
        Section("What the data say", _told(fits), [Grid(("membrane", "verdict"), rows)]),
        Section("Flux against pressure", "", [_fluxes(fits, members), _lines(fits, groups.get("resampled"))]),
    ]
    if np.isfinite(fits.left_out_error).any():
        found.append(_laws(fits))
    if np.isfinite(posteriors.radius_median).any():
        found += [_pores(posteriors), _ridge(fits, posteriors), _further(posteriors)]
    if np.isfinite(fits.surface_porosity).any():
        found.append(_published(fits))
    if "pairs" in groups:
        found.append(_pairs(groups["pairs"]))
    if "populations" in groups:
        found.append(_populations(groups["populations"]))
    if "reproduction" in groups:
        found.append(_reproduction(groups["reproduction"]))
    return found


def _told(fits: xr.Dataset) -> str:
    words = f"Intervals are those of {fits.attrs['confidence']:.0%} confidence."
    if fits.attrs["convention"] == "published":
        words += (
            " Convention: published. Its radii, porosities and pore numbers carry powers of ten that were assigned, "
            "not measured; the sentences below are of what was measured."
        )
    return words


def _grid(count: int, height: float, **options: Any) -> tuple[Figure, np.ndarray]:
    """A figure of ``count`` parts in rows."""
    rows = math.ceil(count / _ACROSS)
    figure = Figure(figsize=(2.6 * min(count, _ACROSS), height * rows), layout="constrained")
    axes = figure.subplots(rows, min(count, _ACROSS), squeeze=False, **options)
    for axis in axes.ravel()[count:]:
        axis.set_visible(False)
    return figure, axes


def _fluxes(fits: xr.Dataset, members: list[Member]) -> Any:
    with mpl.rc_context(STYLE):
        shown = members[:_DRAWN]
        figure, axes = _grid(len(shown), 2.1)
        for k, (axis, member) in enumerate(zip(axes.ravel(), shown, strict=False)):
            _flux(axis, fits.isel(membrane=k), member)
        for axis in axes[:, 0]:
            axis.set_ylabel("flux [L m⁻² h⁻¹]")
        for axis in axes.ravel()[max(0, len(shown) - axes.shape[1]) : len(shown)]:
            axis.set_xlabel("pressure [kPa]")
    words = (
        "Fluxes (points; of printed lines only the line is left), the fitted line with its interval, and in orange a "
        "curve that grows with the logarithm above its critical pressure. The bar on the axis is the interval of the "
        "threshold pressure."
    )
    if len(members) > _DRAWN:
        words += f" The first {_DRAWN} of {len(members)} membranes."
    return picture(figure, words, "flux against pressure of each membrane, with the fitted law")


def _flux(axis: Axes, fit: xr.Dataset, member: Member) -> None:
    data = member.data
    top = float(data.pressure.max() if isinstance(data, FluxCurve) else data.pressures.max())
    pressure = np.linspace(0, 1.05 * top, 200)
    slope, intercept = float(fit.hydraulic_permeability), float(fit.intercept_flux)
    zero = float(fit.threshold_pressure)
    if isinstance(data, FittedLine) and fit.attrs["convention"] == "published":
        intercept = -slope * zero
    curved = fit.attrs["curve"] == "darcy" and isinstance(data, FluxCurve)
    if curved and math.isfinite(slope):
        law = DarcyCurve(float(fit.log_slope), float(fit.log_offset), zero)
        axis.plot(pressure / 1e3, law.flux(pressure) * _LMH, color=_COLOURS[1], lw=1.2)
        axis.plot(law.critical_pressure / 1e3, law.critical_flux * _LMH, "o", color=_COLOURS[1], ms=3)
    elif curved:
        above = pressure[pressure > float(fit.log_threshold_pressure)]
        law_flux = float(fit.log_slope) * np.log(above) + float(fit.log_offset)
        axis.plot(above / 1e3, law_flux * _LMH, color=_COLOURS[1], lw=1.2, ls="--")
    elif math.isfinite(slope):
        axis.plot(pressure / 1e3, (slope * pressure + intercept) * _LMH, color=_FOUND, lw=1.2)
        error, other = float(fit.hydraulic_permeability_error), float(fit.intercept_flux_error)
        if math.isfinite(error) and math.isfinite(other):
            variance = (error * pressure) ** 2 + 2 * float(fit.permeability_intercept_covariance) * pressure + other**2
            reach = (float(fit.hydraulic_permeability_upper) - slope) / error if error else 0.0
            half = reach * np.sqrt(np.maximum(variance, 0.0))
            line = slope * pressure + intercept
            axis.fill_between(
                pressure / 1e3, (line - half) * _LMH, (line + half) * _LMH, color=_FOUND, alpha=0.15, lw=0
            )
    if isinstance(data, FluxCurve):
        for k in np.unique(data.replicate):
            mine = data.replicate == k
            axis.plot(data.pressure[mine] / 1e3, data.flux[mine] * _LMH, "o^sD"[k % 4], color=_POINTS, ms=3)
    low, high = float(fit.threshold_pressure_lower), float(fit.threshold_pressure_upper)
    if math.isfinite(low) and math.isfinite(high):
        shown = np.clip([low, high], 0, 1.05 * top) / 1e3
        axis.plot(shown, [0, 0], color=_COLOURS[4], lw=3, solid_capstyle="butt", clip_on=False)
    axis.set(xlim=(0, 1.05 * top / 1e3), ylim=(0, None), title=str(fit.membrane.item()))


def _between(low: float, high: float) -> str:
    return f"[{number(low)}, {number(high)}]" if math.isfinite(low) or math.isfinite(high) else ""


def _lines(fits: xr.Dataset, resampled: xr.Dataset | None) -> Grid:
    header = ["membrane", "L, L m⁻² h⁻¹ bar⁻¹", "resistance, m⁻¹", "r²", "P₀, kPa", "P₀ resolved", "misfit p"]
    if resampled is not None:
        header += ["P₀ ≤ 0 in repeated fits"]
    critical = bool(np.isfinite(fits.critical_pressure).any())
    if critical:
        header += ["critical pressure, kPa", "critical flux, L m⁻² h⁻¹"]
    rows = []
    for k, label in enumerate(fits.membrane.values):
        one = fits.isel(membrane=k)
        ends = [float(one[f"hydraulic_permeability_{end}"]) * LMH_BAR for end in ("lower", "upper")]
        zeros = [float(one[f"threshold_pressure_{end}"]) / 1e3 for end in ("lower", "upper")]
        row = [
            str(label),
            f"{number(float(one.hydraulic_permeability) * LMH_BAR)} {_between(*ends)}",
            number(float(one.hydraulic_resistance)),
            f"{float(one.r_squared):.4f}",
            f"{number(float(one.threshold_pressure) / 1e3)} {_between(*zeros)}",
            "yes" if float(one.threshold_resolved) == 1 else "no",
            number(float(one.lack_of_fit), 2),
        ]
        if resampled is not None:
            share = float(resampled.no_threshold.isel(membrane=k))
            row.append(f"{share:.0%}" if math.isfinite(share) else "-")
        if critical:
            row += [number(float(one.critical_pressure) / 1e3, 4), number(float(one.critical_flux) * _LMH, 4)]
        rows.append(row)
    return Grid(header, rows, "Hydraulic permeability L and threshold pressure P₀, with their intervals.")


def _laws(fits: xr.Dataset) -> Section:
    judged = fits.isel(membrane=np.isfinite(fits.left_out_error).any("law").values)
    rows = []
    for k, label in enumerate(judged.membrane.values):
        errors = judged.left_out_error.isel(membrane=k)
        best = int(errors.argmin("law"))
        cells = [
            f"{e:.1%}{' ←' if j == best else ''}" if math.isfinite(e) else "-" for j, e in enumerate(errors.values)
        ]
        rows.append([str(label), *cells])
    text = (
        "How well each law predicts a pressure that it was not fitted to: root mean square error over the mean flux. "
        "The best is marked. A dash: too few pressures to judge so many parameters."
    )
    return Section("Which law", text, [Grid(("membrane", *map(str, fits.law.values)), rows)])


_UNKNOWNS = (
    ("radius", 1e9, "radius [nm]"),
    ("porosity", 1.0, "surface porosity"),
    ("pore_number", 1.0, "pore number"),
    ("thickness", 1e6, "thickness [µm]"),
)


def _pores(made: xr.Dataset) -> Section:
    known = made.isel(membrane=np.isfinite(made.radius_median).values)
    count = known.sizes["membrane"]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10.4, 1.0 + 0.19 * count), layout="constrained")
        axes = figure.subplots(1, 4, sharey=True)
        place = np.arange(count)[::-1]
        for axis, (name, scale, words) in zip(axes, _UNKNOWNS, strict=True):
            median, low, high = (known[f"{name}_{end}"].values * scale for end in ("median", "lower", "upper"))
            axis.hlines(place, low, high, color=_FOUND, lw=1.6)
            axis.plot(median, place, "o", color=_FOUND, ms=3)
            axis.set(xscale="log", xlabel=words)
            if high.max() / low.min() < 12:
                axis.set_xscale("linear")
                axis.set_xlim(0, 1.1 * high.max())
        axes[0].set_yticks(place, [str(label) for label in known.membrane.values])
    rows = []
    for k, label in enumerate(known.membrane.values):
        one = known.isel(membrane=k)
        cells = [
            f"{number(float(one[f'{name}_median']) * s)} "
            f"{_between(float(one[f'{name}_lower']) * s, float(one[f'{name}_upper']) * s)}"
            for name, s, _ in _UNKNOWNS
        ]
        rows.append([str(label), f"{int(one.independent_data)}", *cells])
    few = bool((known.independent_data < 2).any())
    text = (
        "Radius, porosity, pore number and thickness that the permeability and the independent data allow together, "
        "with porosity below 1. Four unknowns, two relations: two further data close them."
    )
    if few:
        text += " With fewer than two, the rows below are no findings but all that is plausible and feasible."
    words = "Medians and intervals of the four unknowns."
    header = ("membrane", "data", *(words.replace("[", "(").replace("]", ")") for _, _, words in _UNKNOWNS))
    return Section("Pores", text, [picture(figure, words, words), Grid(header, rows)])


def _ridge(fits: xr.Dataset, made: xr.Dataset) -> Section:
    places = np.flatnonzero(np.isfinite(made.radius_median).values)[:_SHOWN]
    with mpl.rc_context(STYLE):
        figure, axes = _grid(len(places), 2.5, sharex=True, sharey=True)
        draws = made.isel(membrane=places)
        low = min(1e-9, float(draws.radius.min()) / 2)
        radius = np.geomspace(low, max(1e-6, float(draws.radius.max()) * 2), 200)
        floor = min(1e-4, float(draws.porosity.min()) / 3)
        for axis, k in zip(axes.ravel(), places, strict=False):
            ratio = float(fits.structure_number.isel(membrane=k))
            for layer in _LAYERS:
                porosity = ratio * layer / radius**2
                shown = (porosity < 1) & (porosity > floor)
                axis.plot(radius[shown] * 1e9, porosity[shown], color=_QUIET, lw=0.9)
                if shown.any():
                    at = int(np.flatnonzero(shown)[0])
                    axis.annotate(
                        f" {layer * 1e6:g} µm", (radius[at] * 1e9, porosity[at]), color="#5a6675", fontsize=6.5,
                        rotation=-55, va="top", zorder=5,
                    )  # fmt: skip
            one = made.isel(membrane=k)
            axis.plot(one.radius.values * 1e9, one.porosity.values, ".", color=_FOUND, ms=2, alpha=0.35)
            axis.set(xscale="log", yscale="log", title=str(one.membrane.item()))
            axis.set(xlim=(radius[0] * 1e9, radius[-1] * 1e9), ylim=(floor, 1.0))
        for axis in axes[:, 0]:
            axis.set_ylabel("surface porosity")
        for axis in axes[-1]:
            axis.set_xlabel("radius [nm]")
    words = (
        "The ridge: on a grey line, of one thickness of the layer, every pair of radius and porosity gives the "
        "measured permeability. Points are what the independent data leave; above the frame the porosity is over 1."
    )
    if len(places) < int(np.isfinite(made.radius_median).sum()):
        words += f" The first {len(places)} membranes."
    return Section(
        "What flux cannot tell", "", [picture(figure, words, "radius and porosity that give the permeability")]
    )


def _further(made: xr.Dataset) -> Section:
    known = made.isel(membrane=np.isfinite(made.radius_median).values)
    factors = np.exp(np.log(known.interval_factor).median("membrane"))
    rows = []
    for k, name in enumerate(known.measurement.values):
        words = str(name).replace("_", " ") if k else "nothing further"
        rows.append([words, *(number(float(f), 2) for f in factors.isel(measurement=k).values)])
    text = (
        "Upper over lower end of each interval after one further measurement, on average over what it may show; median "
        "of the membranes. How well each measures is set under further in the study."
    )
    header = ("measured next", *(str(q).replace("_", " ") for q in known.quantity.values))
    return Section("What to measure next", text, [Grid(header, rows)])


def _published(fits: xr.Dataset) -> Section:
    known = fits.isel(membrane=np.isfinite(fits.surface_porosity).values)
    rows = []
    for k, label in enumerate(known.membrane.values):
        one = known.isel(membrane=k)
        rows.append([
            str(label),
            number(float(one.young_laplace_radius) * 1e9),
            f"{float(one.surface_porosity):.1%}",
            *(number(float(one[f"hagen_poiseuille_radius_{end}"]) * 1e9) for end in ("lower", "upper")),
            *(number(float(one[f"pore_number_{end}"])) for end in ("lower", "upper")),
            f"{int(one.porosity_scale)}; {int(one.pore_number_scale_lower)}, {int(one.pore_number_scale_upper)}",
        ])  # fmt: skip
    header = (
        "membrane", "Young-Laplace radius, nm", "surface porosity", "lower radius, nm", "upper radius, nm",
        "pore number, lower", "pore number, upper", "powers of ten: porosity; numbers",
    )  # fmt: skip
    text = (
        "Structure by the paper's steps. Every value carries a power of ten that was chosen, not measured (last "
        "column); the first digits follow from the permeability and the threshold pressure."
    )
    return Section("Structure as published", text, [_distributions(known), Grid(header, rows)])


def _distributions(known: xr.Dataset) -> Any:
    count = min(known.sizes["membrane"], _SHOWN)
    with mpl.rc_context(STYLE):
        figure, axes = _grid(count, 2.3)
        for axis, k in zip(axes.ravel(), range(count), strict=False):
            one = known.isel(membrane=k)
            mean, deviation = float(one.pore_radius_mean), float(one.pore_radius_deviation)
            normal, log = NormalRadii(mean, deviation), LogNormalRadii.from_moments(mean, deviation)
            radius = np.linspace(mean - 3 * deviation, mean + 5 * deviation, 400)
            axis.plot(radius * 1e9, normal.density(radius) / 1e9, color=_COLOURS[1], lw=1.2, label="normal, published")
            below = radius < 0
            axis.fill_between(
                radius[below] * 1e9, normal.density(radius[below]) / 1e9, color=_COLOURS[1], alpha=0.3, lw=0
            )
            above = radius[radius > 0]
            for weighted, colour, words in (
                (log, _COLOURS[0], "log-normal"),
                (log.weighted("area"), _COLOURS[2], "by area, r²"),
                (log.weighted("flow"), _COLOURS[3], "by flow, r⁴"),
            ):
                axis.plot(above * 1e9, weighted.density(above) / 1e9, color=colour, lw=1.0, label=words)
            axis.set(title=str(one.membrane.item()), xlabel="pore radius [nm]", ylim=(0, None))
        axes[0, 0].set_ylabel("density [nm⁻¹]")
        axes[0, 0].legend(fontsize=6.5)
    words = (
        "Distributions of pore radii from the two published limits. The published normal one has part of its pores "
        "below 0 (shaded); the log-normal one of the same mean and deviation has none. Neither width was measured."
    )
    return picture(figure, words, "pore size distributions")


def _pairs(pairs: xr.Dataset) -> Section:
    rows = []
    for k, label in enumerate(pairs.pair.values):
        one = pairs.isel(pair=k)
        rows.append([
            str(label),
            f"{number(float(one.permeability_ratio))} "
            f"{_between(float(one.permeability_ratio_lower), float(one.permeability_ratio_upper))}",
            f"{number(float(one.added_resistance))} ± {number(float(one.added_resistance_error), 2)}",
        ])  # fmt: skip
    text = (
        "Each membrane against itself, both at 25 °C. A ratio whose interval holds 1 is no change that the data show."
    )
    header = ("membrane", "permeability, later over first", "added resistance, m⁻¹ (± standard error)")
    return Section("Before and after", text, [Grid(header, rows)])


def _populations(populations: xr.Dataset) -> Section:
    rows = []
    for k, state in enumerate(populations.state.values):
        one = populations.isel(state=k)
        ends = [float(one[f"hydraulic_permeability_mean{end}"]) * LMH_BAR for end in ("", "_lower", "_upper")]
        spread = float(one.hydraulic_permeability_deviation) * LMH_BAR
        rows.append([str(state), str(int(one.membranes)), f"{number(ends[0])} {_between(*ends[1:])}", number(spread)])
    text = "All membranes of a state at 25 °C, each with its error, and a spread between them."
    header = ("state", "membranes", "mean, L m⁻² h⁻¹ bar⁻¹", "standard deviation between membranes")
    return Section("All membranes together", text, [Grid(header, rows)])


def _reproduction(cells: xr.Dataset) -> Section:
    tables = list(dict.fromkeys(cells.table.values.tolist()))
    kinds = list(_MARKS)
    rows = []
    for table in tables:
        counts = Counter(cells.verdict.values[cells.table.values == table].tolist())
        rows.append([table, *(str(counts.get(kind, 0) or "") for kind in kinds)])
    total = Counter(cells.verdict.values.tolist())
    rows.append(["all", *(str(total.get(kind, 0)) for kind in kinds)])
    header = ("table", *(f"{mark} {kind}" if mark != kind else kind for kind, mark in _MARKS.items()))
    header = tuple(words.replace("≈ by eye by eye", "≈ by eye") for words in header)
    text = (
        f"{sum(total.values())} printed numbers of the paper, each computed again from the others that it prints. ✓ to "
        "the printed digit; ≈ within the rounding of what it was computed from, or of a figure that was read by eye; "
        "10ˣ right but for a power of ten; ~ where averages of random errors lie; ✗ not. Tables 6 and 14 hold "
        "deliberate controls that must fail: Eq. 22 as printed, and Eq. 22 with the division that Table 14 dropped."
    )
    return Section(
        "The paper's tables, computed again", text, [Grid(header, rows), *(_cells(cells, t) for t in tables)]
    )


def _cells(cells: xr.Dataset, table: str) -> Grid:
    mine = cells.isel(cell=cells.table.values == table)
    quantities = list(dict.fromkeys(mine.quantity_name.values.tolist()))
    membranes = list(dict.fromkeys(mine.membrane_name.values.tolist()))
    known = {
        (m, q): f"{printed}\u00a0{_MARKS[verdict]}" + ("" if verdict == "reproduced" else f" {number(float(value), 4)}")
        for m, q, printed, value, verdict in zip(
            mine.membrane_name.values, mine.quantity_name.values, mine.printed.values, mine.recomputed.values,
            mine.verdict.values, strict=True,
        )
    }  # fmt: skip
    name = "Numbers in the text" if table == "text" else f"Table {table}"
    if len(membranes) <= len(quantities):  # the longer side runs down the page
        rows = [[q, *(known.get((m, q), "") for m in membranes)] for q in quantities]
        return Grid(("", *membranes), rows, f"{name}: as printed, and where that is not reproduced, computed again")
    rows = [[m, *(known.get((m, q), "") for q in quantities)] for m in membranes]
    return Grid(("", *quantities), rows, f"{name}: as printed, and where that is not reproduced, computed again")
