"""Section of the report on simulated errors of readings: tables of permeability and threshold pressure, one example."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from membrane_dask.physics.porometry.measurement_errors import perturb
from membrane_dask.report.page import STYLE, Grid, Picture, Section, literal_label, picture
from membrane_dask.studies.porometry.common_report import COLOURS, GREY, LEGEND, LMH, POINTS

_QUANTITIES = (("permeability", "permeability"), ("threshold_pressure", "threshold pressure"))


def reading_error_section(errors: xr.Dataset, fits: xr.Dataset, points: xr.Dataset, *, is_palencia: bool) -> Section:
    """Deviations of the line of each membrane when one measured quantity has random errors.

    Parameters
    ----------
    errors, fits, points : xarray.Dataset
        Tables ``reading_errors``, ``porometry`` and ``measurements``.
    is_palencia : bool
        Whether the membranes are those of Palencia et al., whose figure and tables are then named.
    """
    simulated = errors.isel(membrane=np.isfinite(errors.permeability_deviation_mean).all(("reading", "largest_error")))
    text = (
        f"{simulated.sizes['cycle']} simulated experiments for each error: every reading of one quantity has a random "
        "relative error, the difference of two uniform random numbers times the largest error. Deviations are relative "
        "to the error-free line."
    )
    if not simulated.sizes["membrane"]:
        return Section("Random errors of readings", f"{text} No membrane has a line through its readings.")
    contents: list[Picture | Grid] = [_example(simulated.isel(membrane=0), fits, points, is_palencia)]
    for (name, title), number in zip(_QUANTITIES, ("4", "5"), strict=True):
        caption = f"Deviation of the {title}: mean; largest; mean square"
        contents.append(_grid(simulated, name, f"{caption} (as Table {number})" if is_palencia else caption))
    return Section("Random errors of readings", text, contents)


def _grid(errors: xr.Dataset, name: str, caption: str) -> Grid:
    header = ["membrane"]
    header += [f"{reading}, {float(largest):.3g}" for reading in errors.reading.values
               for largest in errors.largest_error.values]  # fmt: skip
    rows = []
    for k, label in enumerate(errors.membrane.values):
        statistics = [errors[f"{name}_deviation_{end}"].isel(membrane=k).values.ravel()
                      for end in ("mean", "max", "mean_square")]  # fmt: skip
        cells = [f"{mean:.2%}; {largest:.2%}; {square:.1e}" for mean, largest, square in zip(*statistics, strict=True)]
        rows.append([str(label), *cells])
    return Grid(header, rows, caption)


def _example(errors: xr.Dataset, fits: xr.Dataset, points: xr.Dataset, is_palencia: bool) -> Picture:
    """One simulated experiment, and the deviations of all of them, with errors of the pressure."""
    label = str(errors.membrane.item())
    largest = float(errors.largest_error.max())
    cycles = errors.sel(reading="pressure", largest_error=largest)
    fit = fits.isel(membrane=int(np.flatnonzero(fits.membrane.values == label)[0]))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.4, 2.7), layout="constrained")
        axes = figure.subplots(1, 3)
        pressure = np.unique(points.pressure.values[points.membrane_name.values == label])
        _experiment(axes[0], fit, pressure, largest)
        for axis, (name, title) in zip(axes[1:], _QUANTITIES, strict=True):
            deviation = 100 * np.abs(cycles[f"{name}_deviation"].values)
            colours = np.where(deviation == deviation.max(), GREY, COLOURS[0])
            axis.bar(np.arange(1, len(deviation) + 1), deviation, color=colours)
            axis.set(xlabel="simulated experiment", ylabel="deviation [%]", title=title)
        for letter, axis in zip("ABC", axes, strict=True):
            axis.set_title(letter, loc="left", fontweight="bold")
        axes[0].set_title(literal_label(label))
    caption = (
        f"Errors of the pressure of at most {largest:.3g} of its value. (A) The fitted line at the measured pressures, "
        "and one simulated experiment. (B, C) Absolute deviations in each experiment; the largest is grey."
    )
    if is_palencia:
        caption = f"As Fig. 3 of the paper. {caption}"
    return picture(figure, caption, "simulated errors of the pressure and the deviations that follow")


def _experiment(axis: Axes, fit: xr.Dataset, pressure: np.ndarray, largest: float) -> None:
    """The line of a membrane at its pressures, and the same fluxes at pressures with errors."""
    flux = float(fit.hydraulic_permeability) * (pressure - float(fit.threshold_pressure)) * LMH
    with_errors = perturb(pressure, 100 * largest, np.random.default_rng(1))
    axis.plot(pressure / 1e3, flux, "o", color=POINTS, mfc="white", ms=5, label="(a) fitted line")
    axis.plot(with_errors / 1e3, flux, "o", color=COLOURS[1], ms=3, label="(b) simulated")
    slope, offset = np.polyfit(with_errors, flux, 1)
    ends = np.array([0.0, 1.05 * pressure.max()])
    axis.plot(ends / 1e3, slope * ends + offset, color=COLOURS[1], lw=1.0)
    axis.set(xlabel="pressure [kPa]", ylabel="flux [L m⁻² h⁻¹]", xlim=(0, None), ylim=(0, None))
    axis.legend(fontsize=LEGEND)
