"""Figure of the report of the flux against pressure: readings, the chosen law with its band, and the threshold."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from membrane_dask.engine.run import Run
from membrane_dask.errors import StudyError
from membrane_dask.io.tables.flux_curves import FluxCurve
from membrane_dask.physics.porometry.darcy_curve import DarcyCurve
from membrane_dask.physics.porometry.water_permeance import fit_laws
from membrane_dask.physics.porometry.water_series import WaterSeries
from membrane_dask.report.page import STYLE, Picture, literal_label, picture
from membrane_dask.studies.porometry.common_report import COLOURS, GREY, LEGEND, LMH, POINTS, panels
from membrane_dask.studies.porometry.config import PorometryStudy
from membrane_dask.studies.porometry.measurements import read_measurements
from membrane_dask.studies.porometry.membrane_fit import may_leave_out
from membrane_dask.studies.porometry.water_evaluation import evaluate_water

_FIT, _CURVE, _INTERVAL = COLOURS[0], COLOURS[1], COLOURS[4]
#: Largest number of membranes in a figure, and panels in a row.
_MAX_PANELS, _COLUMNS = 24, 3
#: Formulas of the laws of the flux of water.
_FORMULAS = {
    "proportional": "proportional, L P",
    "compaction": "compaction, L P exp(-a P)",
    "resistance": "resistance, L P / (1 + b P)",
}

Evaluations = Mapping[str, tuple[FluxCurve, WaterSeries]]


def evaluations(run: Run) -> Evaluations:
    """Readings of each membrane and which of them its permeance is from; empty where an input was removed.

    Parameters
    ----------
    run : Run
        A porometry run.
    """
    study = run.study
    assert isinstance(study, PorometryStudy)
    if not may_leave_out(study):
        return {}
    try:
        membranes = read_measurements(study).membranes
    except (StudyError, OSError):
        return {}
    return {
        membrane.label: (membrane.curve, evaluate_water(membrane.curve, membrane.water.viscosity, study))
        for membrane in membranes
        if isinstance(membrane.curve, FluxCurve)
    }


def flux_figure(fits: xr.Dataset, points: xr.Dataset, evaluated: Evaluations) -> Picture:
    """Flux against pressure, a panel for each membrane.

    Parameters
    ----------
    fits, points : xarray.Dataset
        The tables ``porometry`` and ``measurements``.
    evaluated : mapping of str to (FluxCurve, WaterSeries)
        By membrane; see :func:`evaluations`.
    """
    count = min(fits.sizes["membrane"], _MAX_PANELS)
    with mpl.rc_context(STYLE):
        figure, axes = panels(count, 2.7, columns=_COLUMNS, width=3.3)
        for k, axis in zip(range(count), axes.ravel(), strict=False):
            fit = fits.isel(membrane=k)
            label = str(fit.membrane.item())
            _panel(axis, fit, points.isel(point=points.membrane_name.values == label), evaluated.get(label))
        for axis in axes[:, 0]:
            axis.set_ylabel("flux [L m⁻² h⁻¹]")
        for axis in axes.ravel()[max(0, count - axes.shape[1]) : count]:
            axis.set_xlabel("pressure [kPa]")
    caption = (
        f"Measured fluxes at the mean temperature of the readings, and the chosen law with its band of "
        f"{100 * fits.attrs['confidence']:.0f} % confidence. Published lines have no points. Error bars are standard "
        "deviations, of each reading where the table has them, else of the replicates at a pressure; there are none "
        "without either. Crosses were left out. Where no line fits, the chosen law is the one of largest weight in the "
        "permeance, and the dashed line is the tangent at zero pressure, whose slope is L, and which misses the "
        "points at higher pressures. The bar on the axis is the interval of the threshold pressure."
    )
    if count < fits.sizes["membrane"]:
        caption += f" The first {count} of {fits.sizes['membrane']} membranes."
    return picture(figure, caption, "flux against pressure of each membrane, with the chosen law and its band")


def _panel(
    axis: Axes, fit: xr.Dataset, points: xr.Dataset, evaluated: tuple[FluxCurve, WaterSeries] | None
) -> None:  # fmt: skip
    has_points = bool(np.isfinite(points.flux).any())
    right = 1.05 * float(points.pressure.max())
    pressure = np.linspace(0, right, 200)
    if fit.attrs["curve"] == "darcy" and has_points:
        _draw_darcy_curve(axis, fit, pressure)
    elif math.isfinite(float(fit.hydraulic_permeability)):
        _draw_law(axis, fit, pressure, evaluated, has_points=has_points)
    if has_points:
        _draw_readings(axis, points, evaluated)
    low, high = float(fit.threshold_pressure_low), float(fit.threshold_pressure_high)
    if math.isfinite(low) and math.isfinite(high):
        axis.plot(  # its upper half is within the panel, which also cuts it at its sides
            np.array([low, high]) / 1e3, [0, 0], color=_INTERVAL, lw=6, solid_capstyle="butt",
            label="interval of P₀",
        )  # fmt: skip
    # Room for the legend above the data; a tangent may leave the panel.
    upper = 1.6 * float(points.flux.max()) * LMH if has_points else None
    axis.set(xlim=(0, right / 1e3), ylim=(0, upper), title=literal_label(fit.membrane.item()))
    axis.legend(fontsize=LEGEND, loc="upper left", borderaxespad=0.2, labelspacing=0.3, handlelength=1.5)


def _draw_readings(axis: Axes, points: xr.Dataset, evaluated: tuple[FluxCurve, WaterSeries] | None) -> None:
    """Readings, with errors where they are known; those that were left out as crosses."""
    pressure, flux, deviation = (points[name].values for name in ("pressure", "flux", "flux_standard_deviation"))
    used = np.ones(len(flux), bool)
    if evaluated is not None and len(evaluated[1].used) == len(flux):
        used = evaluated[1].used
    own = used & np.isfinite(deviation)
    style: dict[str, Any] = {"color": POINTS, "ms": 3, "elinewidth": 0.9, "capsize": 2.5}
    if own.any():
        axis.errorbar(
            pressure[own] / 1e3, flux[own] * LMH, deviation[own] * LMH, fmt="o", label="reading ± sd", **style
        )
    plain = used & ~own
    if plain.any():
        axis.plot(pressure[plain] / 1e3, flux[plain] * LMH, "o", color=POINTS, mfc="none", ms=3, label="reading")
        repeated = [p for p in np.unique(pressure[plain]) if (plain & (pressure == p)).sum() > 1]
        if repeated:
            groups = [flux[plain & (pressure == p)] * LMH for p in repeated]
            means, spreads = [group.mean() for group in groups], [group.std(ddof=1) for group in groups]
            axis.errorbar(
                np.array(repeated) / 1e3, means, spreads, fmt="_", label="mean ± sd of replicates",
                **style | {"ms": 7, "color": _CURVE},
            )  # fmt: skip
    if not used.all():
        axis.plot(pressure[~used] / 1e3, flux[~used] * LMH, "x", color=_INTERVAL, ms=4, label="left out")


def _draw_darcy_curve(axis: Axes, fit: xr.Dataset, pressure: np.ndarray) -> None:
    """A curve with a critical pressure, or its logarithmic branch where the line is missing."""
    if math.isfinite(float(fit.hydraulic_permeability)):
        law = DarcyCurve(float(fit.log_slope), float(fit.log_offset), float(fit.threshold_pressure))
        axis.plot(pressure / 1e3, law.flux(pressure) * LMH, color=_FIT, lw=1.2, label="linear, then logarithmic")
        critical = law.critical_pressure / 1e3
        axis.plot(critical, law.critical_flux * LMH, "s", color=_FIT, ms=4, label="critical pressure")
    else:
        above = pressure[pressure > float(fit.log_threshold_pressure)]
        flux = float(fit.log_slope) * np.log(above) + float(fit.log_offset)
        axis.plot(above / 1e3, flux * LMH, color=_FIT, lw=1.2, label="logarithmic branch")


def _draw_law(
    axis: Axes, fit: xr.Dataset, pressure: np.ndarray, evaluated: tuple[FluxCurve, WaterSeries] | None, *,
    has_points: bool,
) -> None:  # fmt: skip
    """The fitted line with its band; or the chosen law with its band, and the tangent at zero pressure."""
    slope = float(fit.hydraulic_permeability)
    # The published convention takes the absolute value of a printed intercept.
    is_published_line = not has_points and fit.attrs["convention"] == "published"
    if is_published_line or math.isfinite(float(fit.intercept_flux)):
        intercept = -slope * float(fit.threshold_pressure) if is_published_line else float(fit.intercept_flux)
        _draw_with_band(axis, fit, pressure, slope * pressure + intercept, _half_width(fit, pressure), "line, L P + J₀")
        return
    name = _FORMULAS["proportional"]
    if evaluated is not None:
        curve, series = evaluated
        laws = {law: weight for law, weight in series.permeance.laws.items() if law in _FORMULAS}
        best = max(laws, key=laws.__getitem__, default="proportional")
        name = _FORMULAS[best]
        if best != "proportional":
            fitted = next(f for f in fit_laws(curve.pressure[series.used], curve.flux[series.used]) if f.law == best)
            flux, half_width = fitted.flux_with_band(pressure, float(fit.attrs["confidence"]))
            _draw_with_band(axis, fit, pressure, flux, half_width, f"{name}, weight {100 * laws[best]:.0f} %")
            name = "tangent at zero pressure"
            axis.plot(pressure / 1e3, slope * pressure * LMH, "--", color=GREY, lw=1.0, label=name)
            return
    half = (float(fit.hydraulic_permeability_high) - slope) * pressure
    _draw_with_band(axis, fit, pressure, slope * pressure, half if np.isfinite(half).all() else None, name)


def _draw_with_band(
    axis: Axes, fit: xr.Dataset, pressure: np.ndarray, flux: np.ndarray, half_width: np.ndarray | None, name: str
) -> None:  # fmt: skip
    axis.plot(pressure / 1e3, flux * LMH, color=_FIT, lw=1.2, label=name)
    if half_width is not None:
        low, high = (flux - half_width) * LMH, (flux + half_width) * LMH
        label = f"{100 * fit.attrs['confidence']:.0f} % band"
        axis.fill_between(pressure / 1e3, low, high, color=_FIT, alpha=0.2, lw=0, label=label)


def _half_width(fit: xr.Dataset, pressure: np.ndarray) -> np.ndarray | None:
    """Half-width of the confidence interval of a line, m s-1; None without standard errors."""
    slope_error, intercept_error = float(fit.hydraulic_permeability_error), float(fit.intercept_flux_error)
    if not (math.isfinite(slope_error) and math.isfinite(intercept_error)):
        return None
    covariance = float(fit.permeability_intercept_covariance)
    variance = (slope_error * pressure) ** 2 + 2 * covariance * pressure + intercept_error**2
    width = float(fit.hydraulic_permeability_high) - float(fit.hydraulic_permeability)
    return np.asarray((width / slope_error if slope_error else 0.0) * np.sqrt(np.maximum(variance, 0.0)))
