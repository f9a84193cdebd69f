"""What balls do in a flow: pores whose answer is known, a walk ball by ball, and what must hold anywhere."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import ndimage

from membrane_dask.physics.analytic_problems import ferry, hindered, tube
from membrane_dask.physics.stokes.mac_grid import Grid, percolating
from membrane_dask.physics.stokes.solver import stokes
from membrane_dask.physics.transport.particle_tracking import CAUGHT, PASSED, RETURNED, UNDECIDED, walk
from membrane_dask.physics.transport.retention import (
    clearances,
    critical_radius,
    diffusivity,
    log_reduction_bound,
    passage,
)


def random_pores(shape=(32, 32, 32), seed=0, porosity=0.4, sigma=3.0):
    field = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), sigma, mode="wrap")
    return field < np.quantile(field, porosity)


def flowing(pores, sides="symmetric"):
    """Grid, velocities and clearances of the pores that flow."""
    grid = Grid.of(pores, sides)
    clear = clearances(pores, periodic=sides == "periodic")[tuple(grid.places.T)]
    return grid, stokes(grid, 0.01).velocity, clear


@pytest.fixture(scope="module")
def rough():
    return flowing(random_pores())


@pytest.fixture(scope="module")
def round_tube():
    return flowing(np.repeat(tube(16).pores[:1], 40, axis=0))


def test_balls_in_a_tube_are_held_back_by_their_size_alone(round_tube):
    # Ferry: what of the parabola lies where centres can be. Radii are right to about half a voxel of 16.
    grid, velocity, clear = round_tube
    for radius in (0, 2, 4, 6):
        found = 10 ** -passage(grid, velocity, clear, radius, 2.0, "sieve").log_reduction
        assert ferry((radius + 0.6) / 16) < found < ferry((radius - 0.6) / 16) or radius == 0
        assert found == pytest.approx(ferry(radius / 16), rel=0.06 if radius else 1e-6)
        # The walls' drag, which is left out, holds back more: nothing of the smallest, a sixth of the largest.
        assert 0.8 < hindered(radius / 16) / found < 1.01
    assert hindered(0.4) / ferry(0.4) == pytest.approx(0.82, abs=0.01)


def test_capture_in_a_tube_decays_as_graetz_says():
    # Far from the mouth the concentration falls as exp(-2.7044^2 z D / (2 R^2 U)) (Graetz, Levich). The Peclet number
    # U R / D is 25, so that diffusion along the tube changes that by 1 %; walls are right to half a voxel of 12.
    grid, velocity, clear = flowing(np.repeat(tube(12).pores[:1], 150, axis=0))
    mean = float(grid.fluxes(velocity)[0]) / (math.pi * 12**2)
    moved = mean * 12 / 25
    caught = passage(grid, velocity, clear, 0.0, moved, "touch").depth_profile
    slope = -np.polyfit(np.arange(50, 130), np.log(caught[50:130]), 1)[0]
    assert slope == pytest.approx(2.7044**2 / (2 * 12 * 25), rel=0.06)


def test_diffusion_in_a_slab():
    # Without flow through the walls, a slab's concentration is what the liquid makes of it: flat under sieving.
    pores = np.zeros((12, 3, 9), bool)
    pores[:, :, 1:8] = True
    grid, velocity, clear = flowing(pores)
    for moved in (1e-3, 1.0, 1e3):
        whole = passage(grid, velocity, clear, 0.0, moved, "sieve")
        assert whole.log_reduction == pytest.approx(0, abs=1e-6)
        wide = 7 - 2 * 1.5
        within = passage(grid, velocity, clear, 1.5, moved, "sieve")
        # The middle part of a parabola, by voxels.
        assert 10**-within.log_reduction == pytest.approx(1.5 * wide / 7 - 0.5 * (wide / 7) ** 3, rel=0.2)


@pytest.mark.parametrize(
    ("collision", "radius", "peclet", "count"), [("sieve", 1.0, 20, 1500), ("touch", 0.5, 400, 60_000)]
)
def test_the_walk_agrees(rough, collision, radius, peclet, count):
    grid, velocity, clear = rough
    moved = float(grid.fluxes(velocity)[0]) / grid.shape[1] / grid.shape[2] * grid.shape[0] / peclet
    solved = 10 ** -passage(grid, velocity, clear, radius, moved, collision).log_reduction
    walks = walk(grid, velocity, clear, radius, moved, collision, count, 7, 200_000)
    passed = (walks.fate == PASSED).sum()
    open_ = (walks.fate == UNDECIDED).sum() / passed
    assert passed > 200
    # Four standard errors; a wall at a face is first order in the voxel: 5 %.
    assert walks.passage == pytest.approx(solved, rel=4 / math.sqrt(passed) + 0.05 + open_)
    if collision == "touch":
        caught = np.bincount(walks.depth[walks.fate == CAUGHT].astype(int), minlength=grid.shape[0])
        profile = passage(grid, velocity, clear, radius, moved, collision).depth_profile
        assert np.abs(np.cumsum(caught / caught.sum()) - np.cumsum(profile)).max() < 0.05
    else:
        assert not (walks.fate == CAUGHT).any()


def test_each_ball_has_its_own_numbers(rough):
    grid, velocity, clear = rough
    arguments = grid, velocity, clear, 0.5, 0.05, "touch"
    few, more = walk(*arguments, 50, 3), walk(*arguments, 200, 3)
    np.testing.assert_array_equal(few.fate, more.fate[:50])
    np.testing.assert_array_equal(few.depth, more.depth[:50])
    assert (walk(*arguments, 200, 4).depth != more.depth).any()
    assert set(more.fate) <= {PASSED, CAUGHT, RETURNED}


@pytest.mark.parametrize("seed", range(4))
def test_the_widest_ball_that_passes(seed):
    pores = random_pores((24, 24, 24), seed)
    clearance = clearances(pores)
    widest = critical_radius(clearance)
    assert percolating(clearance >= widest).any()
    assert not percolating(clearance > widest).any()
    grid, velocity, clear = flowing(pores)
    for collision in ("sieve", "touch"):
        assert math.isinf(passage(grid, velocity, clear, widest + 1e-3, 0.05, collision).log_reduction)
        assert math.isfinite(passage(grid, velocity, clear, widest, 0.05, collision).log_reduction)


def test_sticking_holds_back_more_and_so_does_size(rough):
    grid, velocity, clear = rough
    sieved, stuck = (
        [passage(grid, velocity, clear, radius, 0.1, collision).log_reduction for radius in (0.0, 0.6, 1.0)]
        for collision in ("sieve", "touch")
    )
    assert all(a < b for a, b in zip(sieved, stuck, strict=True))
    assert sieved == sorted(sieved)
    assert sieved[0] == pytest.approx(0, abs=1e-5)  # points that do not stick all pass


def test_a_strong_flow_holds_balls_where_it_cannot_pass(rough):
    # It presses them into places that they leave less and less often; without any diffusion few get around.
    grid, velocity, clear = rough
    found = [passage(grid, velocity, clear, 1.0, moved, "sieve").log_reduction for moved in (1.0, 0.1, 0.01, 1e-4)]
    assert found == sorted(found)
    assert math.isfinite(found[-1])


def test_reductions_beyond_what_a_number_can_hold():
    # A narrow duct 700 voxels long: far fewer pass than the smallest double.
    pores = np.zeros((700, 5, 5), bool)
    pores[:, 1:4, 1:4] = True
    grid, velocity, clear = flowing(pores)
    found = passage(grid, velocity, clear, 0.0, 5.0, "touch")
    half = passage(*flowing(pores[:350]), 0.0, 5.0, "touch")
    assert found.log_reduction > 320
    assert found.log_reduction == pytest.approx(2 * half.log_reduction, rel=0.02)


def test_pockets_that_hold_less_than_a_number_can():
    # Beside a wide duct a narrow one winds up from the far side to where it ends: no ball gets there unstuck.
    pores = np.zeros((300, 8, 14), bool)
    pores[:, 1:7, 1:7] = True
    pores[1:, 3, 8] = True
    pores[-1, 3, 7] = True
    grid, velocity, clear = flowing(pores)
    found = passage(grid, velocity, clear, 0.0, 0.5, "touch")
    alone = passage(*flowing(pores[:, :, :8] & (np.arange(8) < 7)), 0.0, 0.5, "touch")
    assert found.log_reduction == pytest.approx(alone.log_reduction, rel=0.02)


def test_clearances():
    pores = np.zeros((9, 9, 9), bool)
    pores[:, 2:7, :] = True
    np.testing.assert_allclose(clearances(pores)[4, :, 4], [0, 0, 0.5, 1.5, 2.5, 1.5, 0.5, 0, 0])
    periodic = clearances(np.roll(pores, 4, axis=1), periodic=True)
    np.testing.assert_allclose(periodic, np.roll(clearances(pores), 4, axis=1))
    assert critical_radius(np.zeros((3, 3, 3), np.float32)) == 0


def test_bounds_of_counts():
    # With none of n that passes: 1 - 0.05^(1/n), about 3 / n.
    assert log_reduction_bound(0, 500) == pytest.approx(-math.log10(1 - 0.05 ** (1 / 500)))
    assert log_reduction_bound(0, 1500) == pytest.approx(math.log10(500), abs=2e-3)
    assert log_reduction_bound(5, 5) == 0
    assert log_reduction_bound(3, 1000) < log_reduction_bound(0, 1000)
    with pytest.raises(ValueError, match="between 0 and entered"):
        log_reduction_bound(3, 2)


def test_a_ball_in_water():
    # 20 nm at 25 degrees Celsius: 2.45e-11 m2/s.
    assert diffusivity(20e-9, 0.89e-3, 298.15) == pytest.approx(2.45e-11, rel=2e-3)
