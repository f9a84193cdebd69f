"""Bootstrap of a fit: repeated fits of resampled or simulated data, and their percentiles."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from membrane_dask.io.tables.flux_curves import FittedLine, FluxCurve
from membrane_dask.physics.distributions import standard_normal
from membrane_dask.physics.porometry.regression import Fit
from membrane_dask.studies.porometry.config import PorometryStudy
from membrane_dask.studies.porometry.measurements import MembraneData
from membrane_dask.studies.porometry.membrane_fit import fit_line, fit_membrane, may_leave_out, simulate_darcy_curves
from membrane_dask.studies.porometry.variables import BOOTSTRAP
from membrane_dask.studies.porometry.water_evaluation import steady_readings


def bootstrap_fits(membrane: MembraneData, study: PorometryStudy, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """One batch of bootstrap fits of a membrane.

    Parameters
    ----------
    membrane : MembraneData
        Its measurements and its liquid.
    study : PorometryStudy
        Method, and number of fits in a batch.
    rng : numpy.random.Generator
        Source of the resamples.

    Returns
    -------
    dict of str to (n,) float array
        Variables of the table ``bootstrap``; NaN where no standard error is known to simulate.
    """
    count, data = study.bootstrap.batch, membrane.curve
    if data is None:
        return _no_fits(count)
    if isinstance(data, FluxCurve) and study.curve == "darcy":
        error = study.flux_error
        return simulate_darcy_curves(data, error, count, rng) if error else _no_fits(count)
    result = fit_membrane(data, membrane.water.viscosity, study, rng)
    line = result.line
    if not np.isfinite(line.values).all():  # the permeance is not the slope of a line
        error = line.standard_errors()[0]
        drawn_permeability = line.values[0] + error * standard_normal(rng, count)
        return {**_no_fits(count), "hydraulic_permeability": drawn_permeability}
    if result.series is not None and isinstance(data, FluxCurve) and may_leave_out(study):
        data = steady_readings(data, result.series)
    if isinstance(data, FittedLine) or study.replicates == "runs" or study.bootstrap.method == "parametric":
        if not np.isfinite(line.covariance).all():
            return _no_fits(count)
        # Parameters of different orders of magnitude are drawn in units of their size.
        size = np.abs(line.values) + line.standard_errors()
        size[size == 0] = 1.0
        drawn = line.values + size * _bivariate_normal(rng, line.covariance / np.outer(size, size), count)
    else:
        drawn = np.array([_refitted_line(data, line, study, rng) for _ in range(count)])
    permeability, intercept = drawn.T
    return {
        "hydraulic_permeability": permeability,
        "intercept_flux": intercept,
        "threshold_pressure": -intercept / permeability,
    }


def _bivariate_normal(rng: np.random.Generator, covariance: np.ndarray, count: int) -> np.ndarray:
    """Normal variates ``(count, 2)`` with mean 0, from the principal axes of their covariance."""
    (a, b), (_, c) = covariance.tolist()
    root = math.sqrt(np.square(a - c) + 4 * np.square(b))
    # The major axis, by the form without cancellation; its sign is that of LAPACK.
    axis = np.array([c - a - root, -2 * b] if a >= c else [2 * b, c - a + root])
    length = math.sqrt(float(np.square(axis).sum()))
    major = axis / length if length > 0 else np.array([-1.0, 0.0])
    minor = np.array([major[1], -major[0]])
    deviations = [math.sqrt(max((a + c + sign * root) / 2, 0.0)) for sign in (1, -1)]
    first, second = standard_normal(rng, (count, 2)).T
    return np.outer(first * deviations[0], major) + np.outer(second * deviations[1], minor)


def _no_fits(count: int) -> dict[str, np.ndarray]:
    return {variable.name: np.full(count, np.nan) for variable in BOOTSTRAP.variables}


def _refitted_line(data: FluxCurve, line: Fit, study: PorometryStudy, rng: np.random.Generator) -> np.ndarray:
    """Parameters of a line fitted to resampled residuals or points."""
    n = len(data.flux)
    while True:
        chosen = rng.integers(n, size=n)
        if study.bootstrap.method == "residual":
            fitted = line.flux(data.pressure)
            residuals = (data.flux - fitted) * math.sqrt(n / (n - 2))  # residuals are smaller than the errors
            return fit_line(data.pressure, fitted + (residuals - residuals.mean())[chosen], data, study).values
        if len(np.unique(data.pressure[chosen])) > 1:
            deviation = None if data.standard_deviation is None else data.standard_deviation[chosen]
            sample = replace(data, pressure=data.pressure[chosen], flux=data.flux[chosen], standard_deviation=deviation)
            return fit_line(sample.pressure, sample.flux, sample, study).values


def summarize_bootstrap(fits: Any, confidence: float) -> dict[str, np.ndarray]:
    """Percentiles of the bootstrap fits.

    Parameters
    ----------
    fits : xarray.Dataset
        The table ``bootstrap``.
    confidence : float
        Of the intervals.

    Returns
    -------
    dict of str to (m,) float array
        Variables of the table ``bootstrap_summary``, a value for each membrane.
    """
    ends = ((1 - confidence) / 2, (1 + confidence) / 2)
    summary = {}
    for name in ("hydraulic_permeability", "threshold_pressure"):
        values = fits[name].values.reshape(fits.sizes["membrane"], -1)
        # Where most simulated curves have no tangent, the others do not represent them.
        representative = np.isfinite(values).mean(axis=1) > 0.5
        rows = [
            np.nanquantile(row, ends) if is_representative else (np.nan,) * 2
            for row, is_representative in zip(values, representative, strict=True)
        ]
        summary[f"{name}_low"], summary[f"{name}_high"] = np.array(rows).T
    thresholds = fits.threshold_pressure.values.reshape(fits.sizes["membrane"], -1)
    finite = np.isfinite(thresholds).sum(axis=1)
    without = (thresholds <= 0).sum(axis=1)
    summary["no_threshold"] = np.divide(without, finite, out=np.full(len(thresholds), np.nan), where=finite > 0)
    return summary
