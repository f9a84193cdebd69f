"""Likelihoods of capillary flow and displacement tables at many parameters, for a posterior of several methods."""

from __future__ import annotations

from typing import Any

import numpy as np

from membrane_dask.physics.elementary import exp, log
from membrane_dask.physics.porometry.filter_flow import FilterFlow
from membrane_dask.physics.porometry.gas_flow_in_pores import GasStream, dry_gas_flux, open_flow_fraction
from membrane_dask.physics.porometry.liquid_displacement import (
    FLOOR,
    RELATIVE_ERROR,
    LiquidDisplacement,
    permeance_while_open,
)
from membrane_dask.physics.porometry.student_likelihood import student_log_likelihood

#: Constant errors of a permeance over that of the fit of one table.
_CONSTANT_ERRORS = np.array([1.0, 0.3, 0.1, 0.03, 0.01])


def filter_flow_log_likelihood(
    curves: FilterFlow, constant: Any, number_median_radius: Any, log_sd: Any, stream: GasStream | None = None
) -> Any:
    """Log-likelihood of the filter flow; the size of its constant error is integrated.

    Parameters
    ----------
    curves : FilterFlow
        Readings without a dry flow do not count.
    constant, number_median_radius, log_sd : float or (...) array
        As in :func:`open_flow_fraction`; they broadcast.
    stream : GasStream, optional

    Returns
    -------
    (...) float array
    """
    measured = curves.with_dry()
    constant, median, log_sd = (_draws(x) for x in (constant, number_median_radius, log_sd))
    model = open_flow_fraction(measured.pressure, constant, median, log_sd, stream)
    return student_log_likelihood(measured.fraction - model)


def dry_flow_log_likelihood(
    curves: FilterFlow,
    area: float,
    number_median_radius: Any,
    log_sd: Any,
    porosity_over_path_length: Any,
    stream: GasStream,
) -> Any:
    """Log-likelihood of the dry flow; the size of its relative error is integrated.

    Parameters
    ----------
    curves : FilterFlow
        With a measured dry curve.
    area : float
        Of the sample, m2.
    number_median_radius, log_sd, porosity_over_path_length : float or (...) array
        As in :func:`dry_gas_flux`; they broadcast.
    stream : GasStream
        With a molar density.

    Returns
    -------
    (...) float array

    Raises
    ------
    ValueError
        Without a measured dry curve or a molar density.
    """
    if curves.measured_dry is None or stream.molar_density is None:
        raise ValueError("the likelihood of a dry flow needs a measured dry curve and the molar density of the meter")
    pressure, flow = curves.measured_dry
    flux = flow * stream.molar_density / area
    model = dry_gas_flux(
        pressure, _draws(number_median_radius), _draws(log_sd), _draws(porosity_over_path_length), stream
    )
    return student_log_likelihood(1 - model / flux)


def displacement_log_likelihood(
    table: LiquidDisplacement,
    constant: Any,
    number_median_radius: Any,
    log_sd: Any,
    porosity_over_path_length: Any,
    viscosity: float,
) -> Any:
    """Log-likelihood of a liquid-liquid displacement table; the size of its errors is integrated.

    Errors have a part in proportion to the fitted permeance and a constant one, whose ratio is averaged over a grid: a
    meter may resolve the first open pores better than the constant error of the fit of one table says.

    Parameters
    ----------
    table : LiquidDisplacement
        Its readings and their fit.
    constant, number_median_radius, log_sd, porosity_over_path_length : float or (...) array
        As in :func:`permeance_while_open`, and eps / y, m-1; they broadcast.
    viscosity : float
        Of the displacing liquid, Pa s.

    Returns
    -------
    (...) float array
    """
    constant, median, log_sd, ratio = (
        _draws(x) for x in (constant, number_median_radius, log_sd, porosity_over_path_length)
    )
    final_permeance = ratio * np.square(median) * exp(6 * np.square(log_sd)) / (8 * viscosity)
    model = permeance_while_open(table.pressure, constant, median, log_sd, final_permeance)
    residuals = table.permeance - model
    constants = FLOOR / RELATIVE_ERROR * _CONSTANT_ERRORS[:, None] * table.fitted.max()
    deviations = np.sqrt(np.square(table.fitted) + np.square(constants))  # (errors, n), up to a factor
    by_error = np.stack(
        [student_log_likelihood(residuals / deviation) - log(deviation).sum() for deviation in deviations]
    )
    highest = by_error.max(axis=0)
    return highest + log(exp(by_error - highest).mean(axis=0))


def _draws(parameter: Any) -> np.ndarray:
    """A parameter with one more dimension, for the readings."""
    return np.asarray(parameter, float)[..., None]
