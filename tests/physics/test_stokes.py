"""Permeability: what is known exactly, what must not change it, and what a refined grid says."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import ndimage

from membrane_dask.physics.analytic_problems import KnownFlow, cubic_spheres, slit, square_duct, triangular_duct, tube
from membrane_dask.physics.networks.pore_network import PhysicsError
from membrane_dask.physics.stokes.mac_grid import Grid, percolating
from membrane_dask.physics.stokes.solver import Flow, stokes


def random_pores(shape, seed=0, porosity=0.35, sigma=2.5):
    field = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), sigma, mode="wrap")
    return field < np.quantile(field, porosity)


def solved(pores, sides="symmetric", surface="smooth", tolerance=1e-3) -> Flow:
    return stokes(Grid.of(pores, sides, surface), tolerance)


def error(known: KnownFlow, sides="symmetric", surface="smooth") -> float:
    return solved(known.pores, sides, surface).permeability / known.permeability - 1


@pytest.mark.parametrize("width", [1, 2, 5, 16])
def test_a_slit_is_exact_at_any_width(width):
    # The walls' links are chosen for it; single precision and the tolerance are left.
    assert abs(error(slit(width))) < 1e-4


def test_ducts_and_tubes_converge():
    ducts = [error(square_duct(n)) for n in (4, 8, 16, 32)]
    assert abs(ducts[1]) < 0.02  # 0.059 with walls' links of 2
    for coarse, fine in itertools.pairwise(ducts):
        assert 1.7 < math.log2(coarse / fine) < 2.2
    # Staircases for curves: what is left falls with the size of a voxel, but not evenly.
    tubes = [abs(error(tube(r))) for r in (5.2, 8, 16, 32)]
    assert max(tubes[:2]) < 0.08
    assert max(tubes[2:]) < 0.015
    assert abs(error(triangular_duct(40))) < 0.02


@pytest.mark.parametrize("solid", [0.027, 0.125, 0.343, math.pi / 6])
def test_cubic_spheres_converge(solid):
    found = [abs(error(cubic_spheres(n, solid))) for n in (8, 16, 32, 48)]
    assert found[2] < 0.035
    assert found[3] < 0.02
    assert found[3] < max(found[:2]) / 3


@pytest.mark.parametrize("name", ["prism", "rough"])
def test_edges_of_voxels_count_as_those_of_a_finer_grid_do(name):
    # The limit is extrapolated from grids three and four times as fine, whose error falls with the voxel.
    if name == "prism":
        section = ndimage.gaussian_filter(np.random.default_rng(1).standard_normal((30, 30)), 2)
        pores = np.repeat((section < np.quantile(section, 0.4))[None], 4, axis=0)
    else:
        pores = random_pores((18, 18, 18), 3, 0.45, 2.0)

    def refined(f, surface):
        deep = 1 if name == "prism" else f
        return solved(pores.repeat(deep, 0).repeat(f, 1).repeat(f, 2), "wall", surface).permeability / f**2

    limit = 4 * refined(4, "voxels") - 3 * refined(3, "voxels")
    as_voxels, as_samples = refined(1, "voxels") / limit - 1, refined(1, "smooth") / limit - 1
    assert abs(as_voxels) < (0.02 if name == "prism" else 0.1)
    assert abs(as_voxels) < abs(as_samples) / 4


def test_voxels_that_sample_a_smooth_body():
    # The same body by voxels of four sizes; the finest stands for the truth.
    field = ndimage.gaussian_filter(np.random.default_rng(3).standard_normal((96, 96, 96)), 12, mode="wrap")
    level = np.quantile(field, 0.45)

    def sampled(step):
        values = field
        for axis in range(3):
            if step > 1:
                low, high = (np.arange(step // 2 - k, 96, step) for k in (1, 0))
                values = (values.take(low, axis) + values.take(high, axis)) / 2
        return values < level

    truth = solved(sampled(1), "periodic").permeability
    assert abs(16 * solved(sampled(4), "periodic").permeability / truth - 1) < 0.03
    assert abs(4 * solved(sampled(2), "periodic").permeability / truth - 1) < 0.015


def test_mirrors_and_turns_do_not_matter():
    pores = random_pores((40, 32, 24))
    for sides in ("symmetric", "periodic", "wall"):
        expected = solved(pores, sides).permeability
        assert expected > 0
        for same in (pores[::-1], pores[:, ::-1], pores[:, :, ::-1], pores.transpose(0, 2, 1)):
            assert solved(same, sides).permeability == pytest.approx(expected, rel=1e-3)


def test_what_lies_beyond():
    pores = random_pores((24, 20, 16), 2, 0.45)
    mirrored = np.concatenate([pores, pores[:, ::-1]], axis=1)
    mirrored = np.concatenate([mirrored, mirrored[:, :, ::-1]], axis=2)
    expected = solved(pores).permeability
    assert solved(mirrored, "periodic").permeability == pytest.approx(expected, rel=2e-3)
    assert solved(np.concatenate([pores, pores[::-1]])).permeability == pytest.approx(expected, rel=2e-3)
    rolled = np.roll(pores, (7, 5), (1, 2))
    expected = solved(pores, "periodic").permeability
    assert solved(rolled, "periodic").permeability == pytest.approx(expected, rel=2e-3)
    walled = np.pad(pores, [(0, 0), (1, 1), (1, 1)])
    expected = solved(pores, "wall").permeability * pores[0].size / walled[0].size
    assert solved(walled).permeability == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize("seed", range(3))
def test_mass_is_conserved_and_the_bounds_hold(seed):
    pores = random_pores((36, 30, 30), seed, 0.3)
    grid = Grid.of(pores)
    flow, exact = stokes(grid, 0.05), stokes(grid, 1e-4)
    flux = grid.fluxes(flow.velocity)
    assert np.ptp(flux) <= 1e-6 * flux.mean()
    assert flow.residual <= 1e-6
    # Its mean velocity is the permeability; the true one, known to 1e-4, lies within the bounds.
    assert flux.mean() / pores[0].size == pytest.approx(flow.permeability, rel=1e-5)
    assert flow.permeability <= exact.permeability * (1 + 1e-5)
    assert exact.permeability <= flow.upper
    # The lower bound errs by much less than the bounds' distance; the mobility's estimate is high, as is known.
    assert flow.permeability == pytest.approx(exact.permeability, rel=0.01)
    assert 1.0 < flow.screening / exact.permeability < 1.5


def test_every_pore_lets_out_what_comes_in():
    pores = random_pores((20, 18, 16), 5, 0.5)
    grid = Grid.of(pores)
    velocity = stokes(grid, 1e-4).velocity
    low, high = grid.neighbours[: grid.n, ::2], grid.neighbours[: grid.n, 1::2]
    outflow = sum(velocity[high[:, c], c] - velocity[: grid.n, c] for c in range(3))
    assert np.abs(outflow).max() < 1e-5 * np.abs(velocity).max()
    assert (velocity[: grid.n][:, 1:][low[:, 1:] == grid.m] == 0).all()


def test_pores_that_lead_nowhere():
    pores = np.zeros((10, 9, 9), bool)
    pores[:, 4, 4] = True
    expected = solved(pores).permeability
    pores[:6, 1, 1] = True  # a dead end
    pores[3:5, 7, 7] = True  # a closed pore
    assert percolating(pores).sum() == 10
    assert solved(pores).permeability == expected
    pores[5, 4, 4] = False
    with pytest.raises(PhysicsError, match="no way leads through"):
        Grid.of(pores)


def test_ways_across_periodic_sides():
    pores = np.zeros((8, 6, 6), bool)
    pores[:4, 3, 0] = pores[3:, 3, 5] = True
    assert not percolating(pores).any()
    assert percolating(pores, periodic=True).sum() == 9
    moved = np.roll(pores, 3, 2)
    assert solved(pores, "periodic").permeability == pytest.approx(solved(moved, "periodic").permeability, rel=1e-3)


def test_one_voxel_and_all_pores():
    assert error(KnownFlow(np.pad(np.ones((3, 1, 1), bool), [(0, 0), (1, 1), (1, 1)]), 0.0351443 / 9)) < 0.2
    # Nothing but mirrors holds the liquid back but the ends, whose flow comes in straight: none at all.
    with pytest.raises(PhysicsError, match="no solid"):
        Grid.of(np.ones((5, 5, 5), bool))


def test_it_refuses_what_has_not_converged():
    with pytest.raises(PhysicsError, match=r"lies between .* and .* voxels squared"):
        stokes(Grid.of(random_pores((30, 30, 30))), 1e-3, most=1)
