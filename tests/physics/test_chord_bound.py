"""The bound of the permeability by chords: exact cases on the grid, and never below the Stokes flow."""

from __future__ import annotations

import math

import numpy as np
import pytest
from strategies import pore_space

from membrane_dask.physics.stokes.chord_bound import permeability_chord_bound
from membrane_dask.physics.stokes.mac_grid import Grid
from membrane_dask.physics.stokes.solver import stokes


def tubes(radius, depth=12):
    period = 2 * radius + 4
    y, x = np.ogrid[0:period, 0:period]
    return np.repeat(((y - period // 2) ** 2 + (x - period // 2) ** 2 < radius**2)[None], depth, axis=0)


@pytest.mark.parametrize("gap", [1, 4, 9])
def test_slits_between_walls(gap):
    """Parallel walls at the centres of the solid voxels: (L^3 - L) / 12 per period, L one more than the voxels."""
    pores = np.zeros((6, gap + 3, 5), bool)
    pores[:, 1 : gap + 1] = True
    length = gap + 1
    exact = (length**3 - length) / 12 / (gap + 3)
    assert permeability_chord_bound([pores], "symmetric") == pytest.approx(exact, rel=1e-12)
    # The middle of the slit as a symmetry plane: half a slit of twice the width.
    half = pores[:, 1:]
    exact = ((2 * gap + 1) ** 3 - (2 * gap + 1)) / 24 / (gap + 2)
    assert permeability_chord_bound([half], "symmetric") == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("wall_model", ["smooth", "staircase"])
@pytest.mark.parametrize("lateral_boundary", ["symmetric", "no_slip"])
@pytest.mark.parametrize(
    "pores", [tubes(2), tubes(5), pore_space((20, 22, 24), 1, 0.45, 1.5)], ids=["2", "5", "random"]
)
def test_it_bounds_the_stokes_flow(pores, lateral_boundary, wall_model):
    flow = stokes(Grid.of(pores, lateral_boundary, wall_model), 0.02)
    for slabs in ([pores], [pores[:7], pores[7:]]):
        bound = permeability_chord_bound(slabs, lateral_boundary)
        assert flow.permeability < bound < 15 * flow.permeability


def test_blocked_and_open_volumes():
    pores = tubes(3)
    assert permeability_chord_bound([pores, np.zeros_like(pores)], "symmetric") == 0
    assert permeability_chord_bound([np.ones((4, 5, 6), bool)], "symmetric") == math.inf
    # Twice the slabs, one of them with a wider tube: the harmonic mean.
    wide = np.pad(tubes(3), ((0, 0), (1, 1), (1, 1)), constant_values=True)
    wide, narrow = wide[:, 1:-1, 1:-1], tubes(2, 12)
    narrow = np.pad(narrow, ((0, 0), (1, 1), (1, 1)))
    both = permeability_chord_bound([wide, narrow], "no_slip")
    each = [permeability_chord_bound([slab], "no_slip") for slab in (wide, narrow)]
    assert both == pytest.approx(2 / (1 / each[0] + 1 / each[1]), rel=1e-12)
