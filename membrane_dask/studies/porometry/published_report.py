"""Section of the report on the published convention: its structure, the distributions of the radius, and claims."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from membrane_dask.number_text import quantity_column
from membrane_dask.physics.porometry.palencia_convention import weighted_moments
from membrane_dask.physics.porometry.radius_distributions import LogNormalRadii, NormalRadii
from membrane_dask.report.page import STYLE, Claim, Grid, Picture, Section, from_columns, literal_label, picture
from membrane_dask.studies.porometry.common_report import COLOURS, LEGEND, panels

_CURVE = COLOURS[1]
#: Membranes in the figures of distributions, and in that of weights by number.
_EXAMPLES, _WEIGHTED_EXAMPLES = 4, 5
#: Columns of the structure: variable, header, factor and unit.
_STRUCTURE = (
    ("young_laplace_radius", "pore radius by Young-Laplace", 1e9, "nm"),
    ("surface_porosity", "surface porosity", 100.0, "%"),
    ("hagen_poiseuille_radius_lower", "lower radius", 1e9, "nm"),
    ("hagen_poiseuille_radius_upper", "upper radius", 1e9, "nm"),
    ("pore_number_lower", "pore number, lower", 1.0, "1"),
    ("pore_number_upper", "pore number, upper", 1.0, "1"),
)


def published_section(groups: Mapping[str, xr.Dataset]) -> Section:
    """Structure by the published procedure, and the figures of the paper from it.

    Parameters
    ----------
    groups : mapping of str to xarray.Dataset
        Tables of the run. Figures of the paper are named, and its claims compared, where the run recomputes its
        tables (``reproduction``).
    """
    fits = groups["porometry"]
    published = fits.isel(membrane=np.isfinite(fits.surface_porosity).values)
    each = [published.isel(membrane=k) for k in range(published.sizes["membrane"])]
    exponents = [
        f"{int(fit.porosity_scale)}; {int(fit.pore_number_scale_lower)}, {int(fit.pore_number_scale_upper)}"
        for fit in each
    ]
    columns = [
        ("membrane", [str(label) for label in published.membrane.values]),
        *(
            quantity_column(title, unit, [(float(fit[name]) * scale,) for fit in each])
            for name, title, scale, unit in _STRUCTURE
        ),
        ("exponents of the scaling factors: porosity; numbers", exponents),
    ]
    text = (
        "Structure by the published procedure. The leading digits follow from the permeability and the threshold "
        "pressure; the scaling factors, powers of ten, are assigned (last column)."
    )
    is_palencia = "reproduction" in groups
    is_line = np.isnan(published.log_slope).values
    lines, curves = published.isel(membrane=is_line), published.isel(membrane=~is_line)
    contents: list[Picture | Grid | Claim] = [_distributions(published), from_columns(columns)]
    if lines.sizes["membrane"]:
        if "area" in published.attrs:
            contents.append(_common_constant(lines, is_palencia))
        contents.append(_weights_by_number(lines, is_palencia))
    if curves.sizes["membrane"]:
        contents.append(_weights_by_flow(curves, published, groups.get("pairs"), is_palencia))
    if is_palencia and lines.sizes["membrane"] and curves.sizes["membrane"]:
        contents += _claims(lines, curves, published, groups.get("pairs"))
    return Section("Published structure", text, contents)


def _distributions(published: xr.Dataset) -> Picture:
    count = min(published.sizes["membrane"], _EXAMPLES)
    with mpl.rc_context(STYLE):
        figure, axes = panels(count, 2.3)
        for axis, k in zip(axes.ravel(), range(count), strict=False):
            fit = published.isel(membrane=k)
            _distribution_panel(axis, float(fit.pore_radius_mean), float(fit.pore_radius_deviation))
            axis.set(title=literal_label(fit.membrane.item()), xlabel="pore radius [nm]", ylim=(0, None))
        axes[0, 0].set_ylabel("density [nm⁻¹]")
        axes[0, 0].legend(fontsize=LEGEND)
    caption = (
        "Distributions of the pore radius from the two published limits. The published normal distribution includes "
        "radii below 0 (shaded); the log-normal one of the same mean and standard deviation does not. Neither width "
        "was measured."
    )
    return picture(figure, caption, "pore size distributions")


def _distribution_panel(axis: Axes, mean: float, deviation: float) -> None:
    normal, log_normal = NormalRadii(mean, deviation), LogNormalRadii.from_moments(mean, deviation)
    radius = np.linspace(mean - 3 * deviation, mean + 5 * deviation, 400)
    axis.plot(radius * 1e9, normal.density(radius) / 1e9, color=_CURVE, lw=1.2, label="normal, published")
    negative, positive = radius[radius < 0], radius[radius > 0]
    axis.fill_between(negative * 1e9, normal.density(negative) / 1e9, color=_CURVE, alpha=0.3, lw=0)
    for distribution, colour, label in (
        (log_normal, COLOURS[0], "log-normal"),
        (log_normal.weighted("area"), COLOURS[2], "by area, r²"),
        (log_normal.weighted("flow"), COLOURS[3], "by flow, r⁴"),
    ):
        axis.plot(positive * 1e9, distribution.density(positive) / 1e9, color=colour, lw=1.0, label=label)


def _moments(fits: xr.Dataset, power: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of both limits of the radius, nm, weighted by the pore number times r^power."""
    radii, numbers = (
        np.stack([fits[f"{name}_{limit}"].values for limit in ("lower", "upper")])
        for name in ("hagen_poiseuille_radius", "pore_number")
    )
    mean, deviation = weighted_moments(radii * 1e9, numbers * (radii * 1e9) ** power)
    return mean, deviation


def _unweighted(fits: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    return fits.pore_radius_mean.values * 1e9, fits.pore_radius_deviation.values * 1e9


def _curve(axis: Axes, mean: float, deviation: float, colour: str, label: str, style: str = "-") -> None:
    """A normal distribution, at radii above 0."""
    radius = np.linspace(0, mean + 4 * deviation, 400)
    density = NormalRadii(mean, deviation).density(radius)
    axis.plot(radius, density, style, color=colour, lw=1.2, label=label)


def _finish(axes: Sequence[Axes]) -> None:
    for letter, axis in zip("ABCD", axes, strict=False):
        axis.set_title(letter, loc="left", fontweight="bold")
        axis.set(xlabel="pore radius [nm]", xlim=(0, None), ylim=(0, None))
        axis.legend(fontsize=LEGEND)
    axes[0].set_ylabel("Λ [nm⁻¹]")


def _figure_number(number: str, is_palencia: bool) -> str:
    return f"As Fig. {number} of the paper. " if is_palencia else ""


def _common_constant(lines: xr.Dataset, is_palencia: bool) -> Picture:
    """Porosity over pore number against the Young-Laplace radius."""
    radius = lines.young_laplace_radius.values * 1e6
    order = np.argsort(radius)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 2.8), layout="constrained")
        axes = figure.subplots(1, 2)
        for (name, symbol, face), colour in zip(
            (("upper", "(a) n_p,2", COLOURS[0]), ("lower", "(b) n_p,1", "white")), COLOURS, strict=False
        ):
            # Numbers of Eq. 22 as printed, which lack the scaling factor of the porosity.
            squared = lines[f"hagen_poiseuille_radius_{name}"].values ** 2 * 10.0**lines.porosity_scale.values
            ratio = math.pi * squared / float(lines.attrs["area"])
            for axis, values, power in ((axes[0], ratio, 2), (axes[1], np.sqrt(ratio), 1)):
                axis.plot(radius, values, "o", color=colour, mfc=face, ms=4, label=symbol)
                constant = float(np.median(values / radius**power))
                grid = np.linspace(0, radius[order[-1]], 100)
                axis.plot(grid, constant * grid**power, color=colour, lw=0.8)
        for letter, axis, label in zip("AB", axes, ("ε / n_p", "(ε / n_p)^0.5"), strict=True):
            axis.set_title(letter, loc="left", fontweight="bold")
            axis.set(xlabel="r_YL [µm]", ylabel=label, xlim=(0, None), ylim=(0, None))
            axis.legend(fontsize=LEGEND)
    caption = (
        f"{_figure_number('6', is_palencia)}Porosity over pore number against the Young-Laplace radius, with the pore "
        "numbers of Eq. 22 as printed, and a parabola or line with the median constant. By Eq. 2 all membranes with "
        "one scaling factor lie on one curve, whatever was measured; others lie a power of ten away."
    )
    return picture(figure, caption, "porosity over pore number against the Young-Laplace radius")


def _weights_by_number(lines: xr.Dataset, is_palencia: bool) -> Picture:
    """Normal distributions without weights, and with those of the pore numbers."""
    shown = lines.isel(membrane=slice(_WEIGHTED_EXAMPLES))
    labels = [literal_label(label) for label in shown.membrane.values]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.4, 2.6), layout="constrained")
        axes = figure.subplots(1, 3)
        for axis, moments in zip(axes, (_unweighted(shown), _moments(shown)), strict=False):
            for label, mean, deviation, colour in zip(labels, *moments, COLOURS, strict=False):
                _curve(axis, mean, deviation, colour, label)
        for moments, colour, text in ((_unweighted(shown), COLOURS[0], "without weights"),
                                      (_moments(shown), COLOURS[1], "by pore number")):  # fmt: skip
            _curve(axes[2], moments[0][0], moments[1][0], colour, f"{labels[0]}, {text}")
        _finish(axes)
    caption = (
        f"{_figure_number('7', is_palencia)}Normal distributions of both limits of the radius: (A) without weights; "
        f"(B) weighted by the pore numbers; (C) both for {labels[0]}. The part below a "
        "radius of 0 is not drawn."
    )
    return picture(figure, caption, "pore size distributions with and without weights of the pore number")


def _weights_by_flow(
    curves: xr.Dataset, published: xr.Dataset, pairs: xr.Dataset | None, is_palencia: bool
) -> Picture:  # fmt: skip
    """Distributions weighted by the contribution to the permeability, and before and after a modification."""
    shown = curves.isel(membrane=slice(_EXAMPLES))
    labels = [literal_label(label) for label in shown.membrane.values]
    compared = _compared(published, pairs)[:2]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(2.9 * (2 + len(compared)), 2.6), layout="constrained")
        axes = figure.subplots(1, 2 + len(compared))
        for label, mean, deviation, colour in zip(labels, *_moments(shown, 4), COLOURS, strict=False):
            _curve(axes[0], mean, deviation, colour, label)
        for k, colour in zip(dict.fromkeys((0, curves.sizes["membrane"] - 1)), COLOURS, strict=False):
            label = literal_label(curves.membrane.values[k])
            for moments, style, mark in ((_moments(curves, 4), "-", ""), (_unweighted(curves), "--", "*")):
                _curve(axes[1], moments[0][k], moments[1][k], colour, label + mark, style)
        for axis, (first, later) in zip(axes[2:], compared, strict=True):
            for fit, colour in ((first, COLOURS[0]), (later, COLOURS[1])):
                mean, deviation = _unweighted(fit)
                _curve(axis, float(mean), float(deviation), colour, literal_label(fit.membrane.item()))
        _finish(axes)
    caption = (
        f"{_figure_number('11', is_palencia)}(A) Both limits of the radius weighted by their contribution to the "
        "permeability, n r⁴. (B) With these weights and, dashed and marked *, without."
    )
    if compared:
        caption += " (C, D) Before and after the modification, without weights."
    caption += " The powers of ten of all radii are assigned."
    return picture(figure, caption, "pore size distributions of curves with a critical pressure")


def _compared(published: xr.Dataset, pairs: xr.Dataset | None) -> list[tuple[xr.Dataset, xr.Dataset]]:
    """Both states of each pair that have a published structure."""
    if pairs is None or "first_membrane" not in pairs:
        return []
    position = {str(label): k for k, label in enumerate(published.membrane.values)}
    states = zip(pairs.first_membrane.values.tolist(), pairs.later_membrane.values.tolist(), strict=True)
    return [
        (published.isel(membrane=position[first]), published.isel(membrane=position[later]))
        for first, later in states
        if first in position and later in position
    ]


def _claims(
    lines: xr.Dataset, curves: xr.Dataset, published: xr.Dataset, pairs: xr.Dataset | None
) -> list[Claim]:  # fmt: skip
    """Claims of the paper on its figures, with the numbers of this run."""
    fraction = (lines.pore_number_lower / (lines.pore_number_lower + lines.pore_number_upper)).values
    claims = [
        Claim(
            "Small pores are about 90 % of all (Fig. 7B).",
            "holds" if np.abs(fraction - 0.9).max() < 0.05 else "fails",
            f"{fraction.min():.1%} to {fraction.max():.1%}: 10 of 11, as both pore numbers are assigned one power of "
            "ten apart.",
        )
    ]
    weighted, plain = _moments(curves, 4)[0], _unweighted(curves)[0]
    shifts = {str(label): w / p - 1 for label, w, p in zip(curves.membrane.values, weighted, plain, strict=True)}
    missing = [name for name in ("MPESm-1", "MPESm-9") if name not in shifts]
    numbers = "; ".join(f"{name}: {shift:+.1%}" for name, shift in shifts.items())
    claims.append(
        Claim(
            "Weights of the contribution to the permeability matter for MPESm-1 and not for MPESm-9 (Fig. 11B).",
            "open" if missing else ("holds" if shifts["MPESm-1"] > 2 * shifts["MPESm-9"] else "fails"),
            f"Change of the mean radius by the weights: {numbers}."
            + (f" Without a structure in this run: {', '.join(missing)}." if missing else ""),
        )
    )
    compared = _compared(published, pairs)
    if compared:
        smaller = sum(float(later.pore_radius_mean) < float(first.pore_radius_mean) for first, later in compared)
        claims.append(
            Claim(
                "The modification reduces the pore radius (Fig. 11C, D).",
                "holds" if smaller == len(compared) else "fails",
                f"In {smaller} of {len(compared)} pairs. The powers of ten of both radii are assigned, and those of "
                "the modified membranes are areas (Table 14), so that this is not evidence of a smaller radius.",
            )
        )
    return claims
