"""Permeability with an interval for the error of the resolution: bodies that are known, refined grids, and limits."""

from __future__ import annotations

import math

import numpy as np
import pytest

from membrane_dask.physics.analytic_problems import CUBIC_DRAG, cubic_spheres, tube
from membrane_dask.physics.stokes.mac_grid import Grid
from membrane_dask.physics.stokes.resolution import (
    CALIBRATED,
    exceeds_calibration,
    image_resolution,
    resolve_permeability,
)
from membrane_dask.physics.stokes.solver import stokes


def resolved(pores, refinement=1):
    cells = pores.repeat(refinement, 0).repeat(refinement, 1).repeat(refinement, 2)
    smooth, staircase = (
        stokes(Grid.of(cells, "symmetric", wall_model), 0.02).permeability / refinement**2
        for wall_model in ("smooth", "staircase")
    )
    return resolve_permeability(smooth, staircase, refinement)


@pytest.fixture(scope="module")
def packings():
    """Estimates of all cubic packings with cells of 32 voxels, an eighth of each, and their exact permeabilities."""
    problems = [cubic_spheres(32, solid_fraction) for solid_fraction in CUBIC_DRAG]
    return [(problem.pores[:16, :16, :16].copy(), problem.permeability) for problem in problems]


def test_sphere_packings_of_32_voxels(packings):
    estimates = [resolved(pores) for pores, _ in packings]
    errors = [estimate.permeability / exact - 1 for estimate, (_, exact) in zip(estimates, packings, strict=True)]
    assert np.mean(np.abs(errors)) < 0.03
    assert all(e.low < exact < e.high for e, (_, exact) in zip(estimates, packings, strict=True))


def test_refined_cells_show_the_same_image(packings):
    for pores, _ in packings[-2:]:
        # The decrease under refinement is that of all volumes on average, to 0.1 of the logarithm of the ratio, 0.13.
        assert resolved(pores, 2).permeability == pytest.approx(resolved(pores).permeability, rel=0.02)


def test_tubes_and_coarse_images_of_a_smooth_body():
    for radius in (5.2, 8.3, 11):
        problem = tube(radius)
        estimate = resolved(problem.pores)
        assert estimate.low < problem.permeability < estimate.high
    coarse, fine = cubic_spheres(12, math.pi / 6), cubic_spheres(48, math.pi / 6)
    estimate = resolved(coarse.pores)
    assert estimate.low < fine.permeability / 16 < estimate.high


def test_the_interval_widens_with_the_ratio_of_the_wall_models():
    widths = []
    for x in (0.0, 0.1, 0.2, 0.3, 0.4, 0.5):
        estimate = resolve_permeability(math.exp(x), 1.0)
        assert estimate.low < estimate.permeability < estimate.high
        widths.append(math.log(estimate.high / estimate.low))
    steps = np.diff(widths)
    np.testing.assert_allclose(steps[:3], steps[0], rtol=1e-9)
    assert steps[-1] == pytest.approx(2 * steps[0], rel=1e-9)  # beyond the volumes that were measured


def test_the_estimate_is_continuous_increasing_and_of_any_unit():
    values = [resolve_permeability(math.exp(x), 1.0).permeability for x in np.linspace(0, 0.5, 501)]
    assert np.all(np.diff(values) >= -1e-12)
    assert np.max(np.diff(values)) < 2e-3
    small, large = resolve_permeability(1.2, 1.0), resolve_permeability(1.2e-18, 1e-18)
    assert large.permeability == pytest.approx(small.permeability * 1e-18, rel=1e-12)
    assert large.high == pytest.approx(small.high * 1e-18, rel=1e-12)


def test_one_wall_model_alone_and_walls_along_the_voxels():
    estimate = resolve_permeability(2.0, math.nan)
    assert estimate.permeability == 2.0
    assert math.isnan(estimate.low)
    assert math.isnan(estimate.high)
    assert resolve_permeability(math.nan, 3.0).permeability == 3.0
    assert image_resolution(1.0, 1.001) == 0.0  # by the tolerances of the solver
    assert resolve_permeability(1.0, 1.0).permeability == 1.0


def test_ratios_beyond_the_calibration():
    assert not exceeds_calibration(math.exp(0.9 * CALIBRATED), 1.0)
    assert exceeds_calibration(math.exp(1.1 * CALIBRATED), 1.0)
    assert exceeds_calibration(math.exp(0.6 * CALIBRATED), 1.0, 2)
    assert not exceeds_calibration(math.nan, 1.0)
    assert not exceeds_calibration(0.0, 0.0)
