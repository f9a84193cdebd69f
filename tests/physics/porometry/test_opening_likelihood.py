"""Likelihoods of wet and dry curves: maximum at the fit, broadcasting."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from membrane_dask.physics.porometry.capillary_flow import capillary_flow
from membrane_dask.physics.porometry.capillary_law import CapillaryLaw
from membrane_dask.physics.porometry.filter_flow import filter_flow
from membrane_dask.physics.porometry.gas_flow_in_pores import GasStream, dry_gas_flux, open_flow_fraction
from membrane_dask.physics.porometry.gases import Gas, molar_density
from membrane_dask.physics.porometry.opening_likelihood import dry_flow_log_likelihood, filter_flow_log_likelihood
from membrane_dask.physics.porometry.porometer import Porometer

AREA, RATIO, MEDIAN, LOG_SD = 4.9e-4, 2000.0, 60e-9, 0.25
LAW = CapillaryLaw(16e-3)
STREAM = GasStream(Gas.named("air"), 298.15, molar_density=molar_density(298.15))


@pytest.fixture(scope="module")
def curves():
    """Readings with errors of 1 % of the flow."""
    middle = LAW.constant / (MEDIAN * math.exp(3.5 * LOG_SD**2))
    pressure = middle * np.exp(LOG_SD * np.linspace(-4, 3, 40))
    noise = 1 + 0.01 * np.random.default_rng(3).standard_normal((2, 40))
    dry = dry_gas_flux(pressure, MEDIAN, LOG_SD, RATIO, STREAM) * AREA / STREAM.molar_density
    wet = dry * open_flow_fraction(pressure, LAW.constant, MEDIAN, LOG_SD, STREAM)
    return filter_flow(pressure, wet * noise[0], dry_flow=dry * noise[1])


def test_the_fit_of_the_filter_flow_is_the_maximum(curves):
    result = capillary_flow(curves, LAW, Porometer(), STREAM)
    best = (result.number_median_radius.value, result.log_sd.value)
    top = filter_flow_log_likelihood(curves, LAW.constant, *best, STREAM)
    for factors in ((0.999, 1), (1.001, 1), (1, 0.999), (1, 1.001)):
        moved = (value * factor for value, factor in zip(best, factors, strict=True))
        assert filter_flow_log_likelihood(curves, LAW.constant, *moved, STREAM) < top


def test_the_fit_of_the_dry_flow_is_the_maximum(curves):
    """The fit takes the mean of logarithms, which differs from the maximum by the square of the error, 1e-4."""
    ratios = RATIO * np.linspace(0.97, 1.03, 601)
    result = capillary_flow(curves, LAW, Porometer(area=AREA), STREAM)
    values = dry_flow_log_likelihood(
        curves, AREA, result.number_median_radius.value, result.log_sd.value, ratios, STREAM
    )
    assert ratios[values.argmax()] == pytest.approx(result.porosity_over_path_length.value, rel=5e-4)


def test_parameters_broadcast(curves):
    medians, widths = MEDIAN * np.array([0.9, 1.0]), np.array([[0.2], [0.25], [0.3]])
    values = filter_flow_log_likelihood(curves, LAW.constant, medians, widths, STREAM)
    assert values.shape == (3, 2)
    assert values[1, 1] == filter_flow_log_likelihood(curves, LAW.constant, MEDIAN, 0.25, STREAM)
    assert values.argmax() == 3
    assert dry_flow_log_likelihood(curves, AREA, medians, widths, RATIO, STREAM).shape == (3, 2)


def test_the_dry_flow_needs_the_molar_density(curves):
    volumes = dataclasses.replace(STREAM, molar_density=None)
    with pytest.raises(ValueError, match="needs a measured dry curve and the molar density"):
        dry_flow_log_likelihood(curves, AREA, MEDIAN, LOG_SD, RATIO, volumes)
