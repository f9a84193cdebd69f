"""Retention of particles: analytic solutions, particle tracking, and monotonicity."""

from __future__ import annotations

import math

import numpy as np
import pytest
from strategies import pore_space

from membrane_dask.physics.analytic_problems import ferry_transmission, hindered_transmission, tube
from membrane_dask.physics.percolation import percolating
from membrane_dask.physics.stokes.mac_grid import Grid
from membrane_dask.physics.stokes.solver import stokes
from membrane_dask.physics.transport.particle_tracking import DEPOSITED, PASSED, RETURNED, UNDECIDED, track_particles
from membrane_dask.physics.transport.retention import (
    clearances,
    critical_radius,
    diffusivity,
    log_reduction_bound,
    passage,
)
from membrane_dask.physics.voxel_spacing import CUBE


def random_pores(shape=(32, 32, 32), seed=0, porosity=0.4, sigma=3.0):
    return pore_space(shape, seed, porosity, sigma, mode="wrap")


def flow_through(pores, spacing=CUBE):
    """Grid, velocities and clearances of the percolating pores."""
    grid = Grid.of(pores, spacing=spacing)
    clear = clearances(pores, spacing=spacing)[tuple(grid.coordinates.T)]
    return grid, stokes(grid, 0.01).velocity, clear


@pytest.fixture(scope="module")
def random_flow():
    return flow_through(random_pores())


@pytest.fixture(scope="module")
def tube_flow():
    return flow_through(np.repeat(tube(16).pores[:1], 40, axis=0))


def test_steric_exclusion_in_a_tube(tube_flow):
    # Ferry: the flow where centres can be. The radius of the tube is accurate to about half a voxel of 16.
    grid, velocity, clear = tube_flow
    for radius in (0, 2, 4, 6):
        transmission = 10 ** -passage(grid, velocity, clear, radius, 2.0, "reflecting").log_reduction
        low, high = (ferry_transmission((radius + error) / 16) for error in (0.6, -0.6))
        assert low < transmission < high or radius == 0
        assert transmission == pytest.approx(ferry_transmission(radius / 16), rel=0.06 if radius else 1e-6)
        # The drag of the wall, which the model neglects, retains more: none of the smallest, a sixth of the largest.
        assert 0.8 < hindered_transmission(radius / 16) / transmission < 1.01
    assert hindered_transmission(0.4) / ferry_transmission(0.4) == pytest.approx(0.82, abs=0.01)


def test_deposition_in_a_tube_decays_as_in_the_graetz_problem():
    # Far from the inlet the concentration decays as exp(-2.7044^2 z D / (2 R^2 U)) (Graetz, Levich). The Peclet number
    # U R / D is 25, so that axial diffusion changes this by 1 %; the radius is accurate to half a voxel of 12.
    grid, velocity, clear = flow_through(np.repeat(tube(12).pores[:1], 150, axis=0))
    mean = float(grid.fluxes(velocity)[0]) / (math.pi * 12**2)
    profile = passage(grid, velocity, clear, 0.0, mean * 12 / 25, "perfect_sink").depth_profile
    slope = -np.polyfit(np.arange(50, 130), np.log(profile[50:130]), 1)[0]
    assert slope == pytest.approx(2.7044**2 / (2 * 12 * 25), rel=0.06)


def test_reflecting_walls_of_a_slit():
    # Without deposition the concentration of points is uniform, whatever their diffusivity.
    pores = np.zeros((12, 3, 9), bool)
    pores[:, :, 1:8] = True
    grid, velocity, clear = flow_through(pores)
    for diffusivity_ in (1e-3, 1.0, 1e3):
        points = passage(grid, velocity, clear, 0.0, diffusivity_, "reflecting")
        assert points.log_reduction == pytest.approx(0, abs=1e-6)
        width = 7 - 2 * 1.5
        spheres = passage(grid, velocity, clear, 1.5, diffusivity_, "reflecting")
        # The flow in the middle of the parabolic profile, to the accuracy of the voxels.
        assert 10**-spheres.log_reduction == pytest.approx(1.5 * width / 7 - 0.5 * (width / 7) ** 3, rel=0.2)


@pytest.mark.parametrize(
    ("wall_interaction", "radius", "peclet", "count"),
    [("reflecting", 1.0, 20, 1500), ("perfect_sink", 0.5, 400, 60_000)],
)
def test_particle_tracking_agrees(random_flow, wall_interaction, radius, peclet, count):
    grid, velocity, clear = random_flow
    mean = float(grid.fluxes(velocity)[0]) / grid.shape[1] / grid.shape[2]
    arguments = grid, velocity, clear, radius, mean * grid.shape[0] / peclet, wall_interaction
    expected = 10 ** -passage(*arguments).log_reduction
    tracked = track_particles(*arguments, count, 7, 200_000)
    passed = (tracked.fate == PASSED).sum()
    undecided = (tracked.fate == UNDECIDED).sum() / passed
    assert passed > 200
    # Four standard errors; the position of the wall is first order in the voxel size: 5 %.
    assert tracked.passage == pytest.approx(expected, rel=4 / math.sqrt(passed) + 0.05 + undecided)
    if wall_interaction == "perfect_sink":
        deposited = np.bincount(tracked.depth[tracked.fate == DEPOSITED].astype(int), minlength=grid.shape[0])
        profile = passage(*arguments).depth_profile
        assert np.abs(np.cumsum(deposited / deposited.sum()) - np.cumsum(profile)).max() < 0.05
    else:
        assert not (tracked.fate == DEPOSITED).any()


def test_trajectories_do_not_depend_on_the_number_of_particles(random_flow):
    grid, velocity, clear = random_flow
    arguments = grid, velocity, clear, 0.5, 0.05, "perfect_sink"
    few, many = track_particles(*arguments, 50, 3), track_particles(*arguments, 200, 3)
    np.testing.assert_array_equal(few.fate, many.fate[:50])
    np.testing.assert_array_equal(few.depth, many.depth[:50])
    assert (track_particles(*arguments, 200, 4).depth != many.depth).any()
    assert set(many.fate) <= {PASSED, DEPOSITED, RETURNED}


@pytest.mark.parametrize("seed", range(4))
def test_critical_radius_is_the_percolation_threshold(seed):
    pores = random_pores((24, 24, 24), seed)
    clearance = clearances(pores)
    radius = critical_radius(clearance)
    assert percolating(clearance >= radius).any()
    assert not percolating(clearance > radius).any()
    grid, velocity, clear = flow_through(pores)
    for wall_interaction in ("reflecting", "perfect_sink"):
        assert math.isinf(passage(grid, velocity, clear, radius + 1e-3, 0.05, wall_interaction).log_reduction)
        assert math.isfinite(passage(grid, velocity, clear, radius, 0.05, wall_interaction).log_reduction)


def test_deposition_and_size_increase_the_log_reduction(random_flow):
    grid, velocity, clear = random_flow
    reflected, deposited = (
        [passage(grid, velocity, clear, radius, 0.1, wall_interaction).log_reduction for radius in (0.0, 0.6, 1.0)]
        for wall_interaction in ("reflecting", "perfect_sink")
    )
    assert all(a < b for a, b in zip(reflected, deposited, strict=True))
    assert reflected == sorted(reflected)
    assert reflected[0] == pytest.approx(0, abs=1e-5)  # all points pass that do not deposit


def test_retention_increases_with_the_peclet_number(random_flow):
    # A strong flow carries particles into constrictions that they can leave by diffusion alone.
    grid, velocity, clear = random_flow
    diffusivities = (1.0, 0.1, 0.01, 1e-4)
    reductions = [passage(grid, velocity, clear, 1.0, d, "reflecting").log_reduction for d in diffusivities]
    assert reductions == sorted(reductions)
    assert math.isfinite(reductions[-1])


def test_log_reductions_beyond_the_range_of_double_precision():
    # In a narrow duct of 700 voxels the concentration falls below the smallest double.
    pores = np.zeros((700, 5, 5), bool)
    pores[:, 1:4, 1:4] = True
    grid, velocity, clear = flow_through(pores)
    full = passage(grid, velocity, clear, 0.0, 5.0, "perfect_sink")
    half = passage(*flow_through(pores[:350]), 0.0, 5.0, "perfect_sink")
    assert full.log_reduction > 320
    assert full.log_reduction == pytest.approx(2 * half.log_reduction, rel=0.02)


def test_dead_end_whose_concentration_underflows():
    # A narrow duct, parallel to a wide one, leads back from its outlet to a dead end.
    pores = np.zeros((300, 8, 14), bool)
    pores[:, 1:7, 1:7] = True
    pores[1:, 3, 8] = True
    pores[-1, 3, 7] = True
    grid, velocity, clear = flow_through(pores)
    both = passage(grid, velocity, clear, 0.0, 0.5, "perfect_sink")
    alone = passage(*flow_through(pores[:, :, :8] & (np.arange(8) < 7)), 0.0, 0.5, "perfect_sink")
    assert both.log_reduction == pytest.approx(alone.log_reduction, rel=0.02)


# On demand: another of the two axes across the depth.
@pytest.mark.parametrize(
    "spacing", [(2.0, 1.0, 1.0), (1.0, 2.0, 1.0), pytest.param((1.0, 1.0, 2.0), marks=pytest.mark.slow)]
)
def test_particles_between_voxels_of_unequal_edges(spacing):
    """In a tube of radius 12, as between cubes: Ferry's exclusion, and one by one as all at once."""
    y, x = ((np.arange(28 / edge) + 0.5) * edge - 14 for edge in spacing[1:])
    section = y[:, None] ** 2 + x**2 < 144
    grid, velocity, clear = flow_through(np.repeat(section[None], int(40 / spacing[0]), axis=0), spacing)
    for radius in (0, 3, 5):
        transmission = 10 ** -passage(grid, velocity, clear, radius, 2.0, "reflecting").log_reduction
        # The radius is accurate to half a voxel.
        error = 0.6 * max(spacing[1:])
        low, high = (ferry_transmission((radius + sign * error) / 12) for sign in (1, -1))
        assert low < transmission < high or radius == 0
    mean = float(grid.fluxes(velocity)[0]) / section.sum() * spacing[0] ** 2
    arguments = grid, velocity, clear, 1.0, 0.5 * mean, "perfect_sink"
    expected, tracked = passage(*arguments), track_particles(*arguments, 4000, 7, 200_000)
    # Four standard errors, and the position of the wall.
    passed = (tracked.fate == PASSED).sum()
    assert passed > 100
    assert tracked.passage == pytest.approx(10**-expected.log_reduction, rel=4 / math.sqrt(passed) + 0.1)
    assert tracked.entered == pytest.approx(expected.entered, rel=1e-6)


def test_diffusion_and_deposition_in_a_tube_of_unequal_edges():
    """The decay of the Graetz problem, as between cubes."""
    for spacing in ((2.0, 1.0, 1.0), (1.0, 1.0, 2.0)):
        y, x = ((np.arange(28 / edge) + 0.5) * edge - 14 for edge in spacing[1:])
        section = y[:, None] ** 2 + x**2 < 144
        grid, velocity, clear = flow_through(np.repeat(section[None], int(150 / spacing[0]), axis=0), spacing)
        # Mean velocity in the pores, in shortest edges.
        mean = float(grid.fluxes(velocity)[0]) / section.sum() * spacing[0] ** 2
        profile = passage(grid, velocity, clear, 0.0, mean * 12 / 25, "perfect_sink").depth_profile
        planes = np.arange(int(50 / spacing[0]), int(130 / spacing[0]))
        slope = -np.polyfit(planes * spacing[0], np.log(profile[planes]), 1)[0]
        # The radius is accurate to half a voxel of 12.
        assert slope == pytest.approx(2.7044**2 / (2 * 12 * 25), rel=0.1)


def test_clearances_between_unequal_edges():
    pores = np.zeros((9, 9, 9), bool)
    pores[:, 2:7, :] = True
    spacing = (1.0, 2.0, 1.0)
    expected = [0, 0, 1, 3, 5, 3, 1, 0, 0]
    np.testing.assert_allclose(clearances(pores, spacing=spacing)[4, :, 4], expected)
    turned = clearances(np.roll(pores, 4, axis=1), periodic=True, spacing=spacing)
    np.testing.assert_allclose(turned, np.roll(clearances(pores, spacing=spacing), 4, axis=1))
    pores = random_pores((20, 22, 24))
    np.testing.assert_allclose(clearances(pores, spacing=(1.0, 1.0, 1.0 + 1e-9)), clearances(pores), atol=1e-6)
    assert np.isinf(clearances(np.ones((3, 3, 3), bool), spacing=spacing)).all()


def test_clearances():
    pores = np.zeros((9, 9, 9), bool)
    pores[:, 2:7, :] = True
    np.testing.assert_allclose(clearances(pores)[4, :, 4], [0, 0, 0.5, 1.5, 2.5, 1.5, 0.5, 0, 0])
    periodic = clearances(np.roll(pores, 4, axis=1), periodic=True)
    np.testing.assert_allclose(periodic, np.roll(clearances(pores), 4, axis=1))
    assert critical_radius(np.zeros((3, 3, 3), np.float32)) == 0


def test_confidence_bound_of_the_log_reduction():
    # If none of n passes: 1 - 0.05^(1/n), about 3 / n.
    assert log_reduction_bound(0, 500) == pytest.approx(-math.log10(1 - 0.05 ** (1 / 500)))
    assert log_reduction_bound(0, 1500) == pytest.approx(math.log10(500), abs=2e-3)
    assert log_reduction_bound(5, 5) == 0
    assert log_reduction_bound(3, 1000) < log_reduction_bound(0, 1000)
    with pytest.raises(ValueError, match="between 0 and entered"):
        log_reduction_bound(3, 2)


def test_diffusivity_in_water():
    # A sphere of 20 nm at 25 degrees Celsius: 2.45e-11 m2/s.
    assert diffusivity(20e-9, 0.89e-3, 298.15) == pytest.approx(2.45e-11, rel=2e-3)
