"""Section of the report on curves with a critical pressure: the cubic, the logarithmic law and their tangent."""

from __future__ import annotations

import math

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from membrane_dask.number_text import compact
from membrane_dask.physics.porometry.darcy_curve import DarcyCurve
from membrane_dask.physics.porometry.regression import fit
from membrane_dask.report.page import STYLE, Grid, Section, literal_label, picture
from membrane_dask.studies.porometry.common_report import COLOURS, GREY, LEGEND, LMH, POINTS, panels

_LOG, _LINE = COLOURS[4], COLOURS[0]
#: Largest number of membranes in the figure.
_MAX_PANELS = 24
#: Figures of the paper that show its membranes.
_PUBLISHED_FIGURES = {"MPESm-1": "8", "MPESm-2": "9", "MPESm-5": "9", "MPESm-8": "10", "MPESm-11": "10"}


def curve_section(fits: xr.Dataset, points: xr.Dataset, *, is_palencia: bool) -> Section:
    """Construction of the critical pressure of every measured curve.

    Parameters
    ----------
    fits, points : xarray.Dataset
        Tables ``porometry`` and ``measurements``.
    is_palencia : bool
        Whether the membranes are those of Palencia et al., whose figures are then named.
    """
    curves = fits.isel(membrane=np.isfinite(fits.log_slope).values)
    count = min(curves.sizes["membrane"], _MAX_PANELS)
    with mpl.rc_context(STYLE):
        figure, axes = panels(count, 2.3)
        for k, axis in zip(range(count), axes.ravel(), strict=False):
            curve = curves.isel(membrane=k)
            label = str(curve.membrane.item())
            _construction(axis, curve, points.isel(point=points.membrane_name.values == label))
            number = _PUBLISHED_FIGURES.get(label) if is_palencia else None
            axis.set_title(literal_label(f"{label} (Fig. {number})" if number else label))
        for axis in axes[:, 0]:
            axis.set_ylabel("flux [L m⁻² h⁻¹]")
        for axis in axes.ravel()[max(0, count - axes.shape[1]) : count]:
            axis.set_xlabel("pressure [kPa]")
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=LEGEND)
    caption = (
        "Measured fluxes (white circles); the cubic through them (dotted), whose root is the threshold pressure P₀; "
        "the logarithmic law (red), which has no flux at P₀,nl; the line from P₀ that is tangent to it at the critical "
        "pressure P_c (square). Without P₀ between 0 and P₀,nl no line is tangent, and the panel has none."
    )
    if count < curves.sizes["membrane"]:
        caption += f" The first {count} of {curves.sizes['membrane']} curves."
    rows = [_row(curves.isel(membrane=k)) for k in range(curves.sizes["membrane"])]
    header = ("membrane", "P₀, kPa", "P₀,nl, kPa", "P_c, kPa", "flux at P_c, L m⁻² h⁻¹",
              "flux of the line at P₀,nl, L m⁻² h⁻¹", "length of the linear segment, Pa m⁻¹")  # fmt: skip
    text = (
        "The linear regime below the critical pressure is a construction: where P_c is lower than the lowest measured "
        "pressure, no reading lies on it. Its slope is the flux at P_c over the distance of P_c from P₀, and likewise "
        "at P₀,nl (Eq. 35)."
    )
    alt = "cubic, logarithmic law and tangent of each curve"
    return Section("Curves with a critical pressure", text, [picture(figure, caption, alt), Grid(header, rows)])


def _construction(axis: Axes, curve: xr.Dataset, points: xr.Dataset) -> None:
    """Both laws, their zeros and the tangent of one membrane."""
    pressure, flux = points.pressure.values, points.flux.values
    top = 1.05 * float(pressure.max())
    threshold, log_threshold = float(curve.threshold_pressure), float(curve.log_threshold_pressure)
    start = min(0.0, 1.1 * threshold) if math.isfinite(threshold) else 0.0
    grid = np.linspace(start, top, 300)
    cubic = np.polyval(fit(pressure, flux, "cubic").values, grid)
    axis.plot(grid / 1e3, cubic * LMH, ":", color=POINTS, lw=1.0, label="cubic")
    above = np.linspace(log_threshold, top, 300)
    law = DarcyCurve(float(curve.log_slope), float(curve.log_offset), threshold)
    axis.plot(above / 1e3, (law.slope * np.log(above) + law.offset) * LMH, color=_LOG, lw=1.2, label="logarithmic law")
    axis.plot(log_threshold / 1e3, 0, "^", color=_LOG, ms=4, clip_on=False, label="P₀,nl")
    if math.isfinite(threshold):
        axis.plot(threshold / 1e3, 0, "v", color=POINTS, ms=4, clip_on=False, label="P₀")
    critical = float(curve.critical_pressure)
    if math.isfinite(critical):
        ends = np.array([threshold, 1.6 * critical - 0.6 * threshold])
        axis.plot(ends / 1e3, law.permeability * (ends - threshold) * LMH, color=_LINE, lw=1.0, label="tangent")
        axis.plot(critical / 1e3, law.critical_flux * LMH, "s", color=_LINE, ms=4, label="P_c")
    axis.plot(pressure / 1e3, flux * LMH, "o", color=POINTS, mfc="white", ms=4, label="measured", zorder=3)
    axis.axhline(0, color=GREY, lw=0.5, zorder=0)
    axis.set(xlim=(start / 1e3, top / 1e3), ylim=(-0.04 * float(flux.max()) * LMH, None))


def _row(curve: xr.Dataset) -> list[str]:
    numbers = [float(curve[name]) / 1e3 for name in ("threshold_pressure", "log_threshold_pressure",
                                                     "critical_pressure")]  # fmt: skip
    numbers.append(float(curve.critical_flux) * LMH)
    if "flux_at_log_threshold" in curve:
        numbers += [float(curve.flux_at_log_threshold) * LMH, float(curve.linear_segment_length)]
    else:  # a run of an earlier version
        numbers += [math.nan, math.nan]
    return [str(curve.membrane.item()), *(compact(number, 4) for number in numbers)]
