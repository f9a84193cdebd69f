"""Section of the report on a calibration: parameters of both laws, the readings with both fits, and the residuals."""

from __future__ import annotations

import math

import matplotlib as mpl
import xarray as xr
from matplotlib.figure import Figure

from membrane_dask.engine.run import Run
from membrane_dask.errors import ReportError
from membrane_dask.number_text import compact, interval_text
from membrane_dask.report.page import STYLE, Grid, Picture, Section, picture
from membrane_dask.studies.graded.common_report import COLOURS, MARKERS

_COLUMNS = {
    "deposition": "deposition coefficient λ",
    "foulant_volume_fraction": "foulant volume fraction φ",
    "initial_permeate_flux": "first flux [L m⁻² h⁻¹]",
}
_TEXT = (
    "Both deposition laws fitted to the decline of the flux. The shape of the decline determines λ, the scale of the "
    "volume φ over the membrane thickness, and the first readings the first flux. To use a row for this membrane at "
    "the pressure of the bench, copy λ and φ as deposition and foulant_volume_fraction, with the deposition_law of the "
    "row; at another pressure, λ is inversely proportional to it."
)


def calibration_sections(run: Run) -> list[Section]:
    """Return the sections of the report of a calibration.

    Raises
    ------
    ReportError
        If the networks are not finished.
    """
    if "calibration" not in run.result:
        raise ReportError(f"run {run.name} has not fitted its table yet; membrane-dask status {run.path}")
    table, readings = run.result["calibration"].to_dataset(), run.result["decline_readings"].to_dataset()
    confidence = f"{100 * float(table.attrs['confidence']):g} %"
    header = ("deposition law", *(f"{text} ({confidence})" for text in _COLUMNS.values()), "χ²")
    rows = [
        (
            str(one.law.values),
            *(_interval(*(float(one[f"{name}{end}"]) for end in ("", "_low", "_high"))) for name in _COLUMNS),
            f"{float(one.chi_squared):.1f}",
        )
        for one in (table.isel(law=i) for i in range(table.sizes["law"]))
    ]
    with mpl.rc_context(STYLE):
        figure = _figure(readings)
    return [Section("Calibration", _TEXT, [Grid(header, rows), figure])]


def _interval(value: float, low: float, high: float) -> str:
    """Value with its interval, or a bound."""
    if math.isfinite(value):
        return interval_text(value, low, high)
    if math.isfinite(high):
        return f"below {compact(high)}"
    return f"above {compact(low)}" if math.isfinite(low) else "not identified"


def _figure(readings: xr.Dataset) -> Picture:
    in_flux = bool(readings.permeate_flux.notnull().all())
    x, x_label = readings.filtrate_volume, "filtrate volume [L m⁻²]"
    if not in_flux or not x.notnull().all():
        x, x_label = readings.elapsed_time, "time [h]"
    measured, name, label = (
        (readings.permeate_flux, "fitted_flux", "permeate flux [L m⁻² h⁻¹]")
        if in_flux
        else (readings.filtrate_volume, "fitted_volume", "filtrate volume [L m⁻²]")
    )
    figure = Figure(figsize=(10.5, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(x, measured, "o", color="#444", ms=3.5, label="readings")
    right.axhline(0, color="#888", lw=0.8)
    for i, law in enumerate(readings.law.values):
        colour = COLOURS[i]
        left.plot(x, readings[name].isel(law=i), color=colour, lw=1.3, ls=("-", "--")[i], label=f"{law} law")
        residual = 100 * readings.residual.isel(law=i)
        right.plot(x, residual, MARKERS[i], color=colour, ms=3.5, label=f"{law} law")
    left.set(xlabel=x_label, ylabel=label, ylim=(0, None))
    right.set(xlabel=x_label, ylabel=f"residual [% of the {'flux' if in_flux else 'last volume'}]")
    left.legend()
    right.legend()
    caption = "Readings of the bench and both fitted laws; residuals of both."
    return picture(figure, caption, f"{label} against {x_label}, readings and fits, and their residuals")
