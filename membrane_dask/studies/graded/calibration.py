"""Calibration of the model by a table of the bench: it is read, and both deposition laws are fitted to it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from membrane_dask.errors import Problem, Source, StudyError
from membrane_dask.io.tables.columns import TableOptions
from membrane_dask.io.tables.conditions import Conditions
from membrane_dask.io.tables.filtration import read_filtration
from membrane_dask.io.tables.limits import TableError
from membrane_dask.io.tables.measured_table import MeasuredTable
from membrane_dask.io.tables.readings import by_membrane, row_numbers
from membrane_dask.number_text import interval_text
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.networks.bench_decline import BenchDecline
from membrane_dask.physics.networks.decline_curves import DeclineCurves
from membrane_dask.physics.networks.filter_units import HOUR, LITRES, LMH, first_permeate_flux
from membrane_dask.physics.networks.flux_calibration import Calibration, LawFit, calibrate
from membrane_dask.physics.porometry.estimates import Estimate
from membrane_dask.physics.porometry.reading_checks import counted
from membrane_dask.program import Dataset
from membrane_dask.studies.graded.calibration_settings import CalibrationSettings
from membrane_dask.studies.graded.calibration_variables import CALIBRATION, LAWS, READINGS

#: Difference of chi-squared by which one law describes a table better (a likelihood ratio of 150).
_DISTINGUISHED = 10.0
#: Standard deviations of the Durbin-Watson statistic by which residuals are no longer independent.
_DEPENDENT = 3.3


def read_decline(settings: CalibrationSettings, source: Source | None = None) -> tuple[BenchDecline, list[str]]:
    """Read the table of a calibration.

    Parameters
    ----------
    settings : CalibrationSettings
        Checked settings.
    source : Source, optional
        Positions of the entries of the study, for the errors.

    Returns
    -------
    readings : BenchDecline
    findings : list of str
        What was concluded about the table.

    Raises
    ------
    StudyError
        With all problems of the table.
    """
    name = settings.input.name
    try:
        return _read(settings)
    except (TableError, PhysicsError) as error:
        messages = error.problems if isinstance(error, TableError) else [str(error)]
        problems = [Problem(("calibrate", "input"), f"{name}: {message}") for message in messages]
        raise StudyError(problems, source) from error


def _read(settings: CalibrationSettings) -> tuple[BenchDecline, list[str]]:
    options = TableOptions(
        sheet=settings.sheet, table=settings.table, decimal=settings.decimal, columns=settings.columns
    )
    table = MeasuredTable(settings.input, options)
    columns = read_filtration(table, Conditions(area=settings.area), with_both=True)
    per_area = table.column("volume per area") or (None if _needs_area(table) else table.column("flux"))
    if settings.area is not None and per_area is not None:
        table.problems.append(f"area is stated, but column {per_area.header!r} has amounts per area; leave it out")
    membranes = [f"{name} {state}".strip() for name, state, _ in by_membrane(table, "")]
    if len(membranes) > 1:
        table.problems.append(f"rows of several membranes ({', '.join(membranes)}): keep those of one filtration")
    table.raise_problems()
    assert columns is not None  # else there are problems
    time, volume, flux, pressure = columns.time, columns.volume, columns.flux, columns.pressure
    stated = [values for values in (time, volume, flux) if values is not None]
    used = np.flatnonzero(np.isfinite(stated).all(axis=0))
    readings = BenchDecline(
        time[used],
        None if volume is None else volume[used],
        None if flux is None else flux[used],
        pressure=None if pressure is None or not np.isfinite(pressure[used]).all() else pressure[used],
        rows=row_numbers(table, used),
    )
    errors = {"flux_error": "volume by time", "volume_error": "flux"}
    for name, form in errors.items():
        if getattr(settings, name) is not None and readings.form.startswith(form):
            raise PhysicsError(f"{name} is stated, but the {readings.form} is fitted; leave it out")
    n_incomplete = len(time) - len(used)
    findings = [f"{counted(n_incomplete, 'row')} with empty cells: ignored"] if n_incomplete else []
    return readings, [*table.findings, *findings]


def _needs_area(table: MeasuredTable) -> bool:
    """Whether the table has volumes or masses of a membrane, whose area is needed."""
    return table.column("volume") is not None or table.column("mass") is not None


def fit_laws(readings: BenchDecline, curves: Any, settings: CalibrationSettings) -> Calibration | None:
    """Fit both deposition laws.

    Parameters
    ----------
    readings : BenchDecline
        The filtration.
    curves : xarray.Dataset
        Table ``decline_curves``.
    settings : CalibrationSettings
        Errors and level of confidence.

    Returns
    -------
    Calibration or None
        None where a law has no finished network.
    """
    by_law = {}
    for law in LAWS:
        one = curves.sel(law=law)
        finished = np.flatnonzero(one.status.values == 1)
        if not len(finished):
            return None
        names = ("throughput", "duration", "initial_foulant_concentration")
        by_law[law] = DeclineCurves(one.deposition.values, *(one[name].values[finished] for name in names))
    error = settings.flux_error
    if settings.volume_error is not None and readings.volume is not None:
        error = settings.volume_error / float(readings.volume[-1])
    return calibrate(
        readings, by_law, error=error, filtrate_concentration=settings.filtrate_concentration,
        confidence=settings.confidence,
    )  # fmt: skip


def calibration_datasets(
    readings: BenchDecline,
    result: Calibration,
    settings: CalibrationSettings,
    thickness: float,
    findings: Sequence[str],
) -> list[Dataset]:
    """Tables ``calibration`` and ``decline_readings``; further findings precede those on the fit."""
    estimates = {law: _estimates(fit, thickness) for law, fit in result.fits.items()}
    columns: dict[str, list[float]] = {variable.name: [] for variable in CALIBRATION.variables}
    for law, fit in result.fits.items():
        for name, estimate in estimates[law].items():
            for suffix, value in (("", estimate.value), ("_low", estimate.low), ("_high", estimate.high)):
                columns[name + suffix].append(value)
        columns["chi_squared"].append(fit.chi_squared)
        columns["durbin_watson"].append(fit.durbin_watson)
    outcomes, warnings = _findings(readings, result, estimates, settings.confidence)
    attrs = {
        "summary": [*findings, *outcomes, *warnings],
        "outcomes": outcomes,
        "confidence": settings.confidence,
        "error": result.error,
        "error_source": "residuals" if result.error_is_estimated else "study",
    }
    labels = {"law": np.array(LAWS, "T")}
    arrays = {name: np.array(values) for name, values in columns.items()}
    return [
        Dataset(CALIBRATION, arrays, ("law",), labels, attrs),
        Dataset(READINGS, _reading_columns(readings, result), ("reading",), labels),
    ]


def _estimates(fit: LawFit, thickness: float) -> dict[str, Estimate]:
    """Deposition coefficient, foulant volume fraction and first flux in L m-2 h-1."""
    volume, factor = fit.throughput_volume, 2 * math.pi * thickness
    return {
        "deposition": fit.deposition,
        "foulant_volume_fraction": Estimate(factor / volume.value, factor / volume.high, factor / volume.low),
        "initial_permeate_flux": fit.initial_flux.scaled(LMH),
    }


def _reading_columns(readings: BenchDecline, result: Calibration) -> dict[str, np.ndarray]:
    used = readings.used
    n, nothing = len(used), np.full(len(used), np.nan)
    fitted = np.array([fit.fitted for fit in result.fits.values()]).T  # (readings, laws)
    no_fit = np.full((n, len(LAWS)), np.nan)
    in_flux = readings.flux is not None
    return {
        "elapsed_time": readings.time[used] / HOUR,
        "filtrate_volume": nothing if readings.volume is None else readings.volume[used] * LITRES,
        "permeate_flux": nothing if readings.flux is None else readings.flux[used] * LMH,
        "fitted_flux": fitted * LMH if in_flux else no_fit,
        "fitted_volume": no_fit if in_flux else fitted * LITRES,
        "residual": np.array([fit.residuals for fit in result.fits.values()]).T,
    }


def _findings(
    readings: BenchDecline, result: Calibration, estimates: Mapping[str, Mapping[str, Estimate]], confidence: float
) -> tuple[list[str], list[str]]:
    """Sentences on the fitted parameters, with the keys of a study, and warnings of what the table does not show."""
    outcomes: list[str] = []
    warnings: list[str] = []
    for law in result.fits:
        is_identified = not math.isnan(estimates[law]["deposition"].value)
        (outcomes if is_identified else warnings).append(_law_sentence(law, estimates[law], readings.fall, confidence))
    chi_squared = {law: fit.chi_squared for law, fit in result.fits.items()}
    best, second = sorted(chi_squared, key=chi_squared.__getitem__)
    difference = chi_squared[second] - chi_squared[best]
    comparison = f"chi-squared {chi_squared[best]:.1f} ({best}) and {chi_squared[second]:.1f} ({second})"
    if difference < _DISTINGUISHED:
        warnings.append(f"the table does not distinguish the deposition laws: {comparison}; use the values of one law")
    else:
        outcomes.append(f"the {best} law describes the table better: {comparison}")
    quantity = "a volume over the last one" if readings.flux is None else "a flux"
    origin = "estimated from the residuals" if result.error_is_estimated else "stated"
    outcomes.append(f"standard deviation of {quantity}: {100 * result.error:.2g} %, {origin}")
    limit = 2 - 2 * _DEPENDENT / math.sqrt(len(readings.observed))
    if result.fits[best].durbin_watson < limit:
        warnings.append(
            f"neither law describes the table: successive residuals are alike (Durbin-Watson "
            f"{result.fits[best].durbin_watson:.2f}, below {limit:.2f}), and the intervals are too narrow"
        )
    return outcomes, warnings


def _law_sentence(law: str, estimates: Mapping[str, Estimate], fall: float, confidence: float) -> str:
    references = {"deposition": "(dimensionless)", "foulant_volume_fraction": "of the feed"}
    texts = [f"{_bounds(name, estimates[name])} {reference}" for name, reference in references.items()]
    texts.append(f"{_bounds('first flux', estimates['initial_permeate_flux'])} L m-2 h-1")
    sentence = f"{law} law: {', '.join(texts)} ({100 * confidence:g} %)"
    if math.isnan(estimates["deposition"].value):
        sentence += (
            f"; the flux fell by {100 * fall:.0f} %: measure until it is 10 to 20 % of the first, or give "
            "calibrate.filtrate_concentration"
        )
    return sentence


def _bounds(name: str, estimate: Estimate) -> str:
    """Value with interval, or a bound."""
    if not math.isnan(estimate.value):
        return f"{name} {interval_text(estimate.value, estimate.low, estimate.high)}"
    if not math.isnan(estimate.high):
        return f"{name} below {estimate.high:.3g}"
    if not math.isnan(estimate.low):
        return f"{name} above {estimate.low:.3g}"
    return f"{name} is not identified"


def first_flux_finding(curves: Any, result: Calibration, thickness: float, pressure: float, viscosity: float) -> str:
    """Sentence that compares the first flux of the networks with that of the bench."""
    mean = float(curves["initial_flux"].mean())
    model = first_permeate_flux(thickness, pressure, viscosity, mean)
    bench = next(iter(result.fits.values())).initial_flux.value * LMH
    return (
        f"the networks have a first flux of {model:.4g} L m-2 h-1 at this thickness, pressure and viscosity, the bench "
        f"has {bench / model:.2f} times as much; the fit does not use it"
    )
