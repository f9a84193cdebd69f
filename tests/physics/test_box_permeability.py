"""Permeability of boxes, compared with parallel ducts and with single boxes."""

from __future__ import annotations

import numpy as np
import pytest
from strategies import pore_space

from membrane_dask.physics.imaging.representative_volume import box_windows, tile
from membrane_dask.physics.stokes.box_permeability import box_permeabilities
from membrane_dask.physics.stokes.mac_grid import Grid
from membrane_dask.physics.stokes.solver import mobility_estimate


def test_windows_are_those_of_the_tiled_sums():
    values = np.random.default_rng(0).integers(0, 100, (13, 10, 17))
    for box in ((3, 3, 3), (13, 4, 4), (5, 11, 2)):
        sums = [values[window].sum() for window in box_windows(values.shape, box)]
        assert sums == tile(values, box).tolist()


def test_boxes_around_equal_ducts_have_the_permeability_of_the_volume():
    duct = np.pad(np.ones((6, 6), bool), 2)
    pores = np.repeat(np.tile(duct, (3, 2))[np.newaxis], 12, axis=0)
    values = box_permeabilities(pores, box_windows(pores.shape, (12, 10, 10)))
    # The tolerance of the pressures, 1e-3, is that of the estimate at most.
    np.testing.assert_allclose(values, mobility_estimate(Grid.of(pores)), rtol=1e-3)
    assert len(values) == 6


def test_boxes_that_nothing_passes_and_that_nothing_resists():
    pores = np.zeros((8, 8, 24), bool)
    pores[:, :, :8] = True
    pores[:4, :, 8:16] = True
    boxes = box_windows(pores.shape, (8, 8, 8))
    open_box, dead_end, solid = box_permeabilities(pores, boxes)
    assert np.isnan(open_box)
    assert dead_end == solid == 0.0
    assert box_permeabilities(pores, boxes[:1], "no_slip")[0] > 0


@pytest.mark.parametrize(("boundary", "wall_model"), [("periodic", "smooth"), ("no_slip", "staircase")])
def test_a_box_has_the_estimate_of_a_volume_of_its_own(boundary, wall_model):
    pores = pore_space((16, 32, 16), 2, 0.6)
    boxes = box_windows(pores.shape, (16, 16, 16))
    values = box_permeabilities(pores, boxes, boundary, wall_model, (1.0, 2.0, 1.0))
    for window, value in zip(boxes, values, strict=True):
        grid = Grid.of(pores[window].copy(), boundary, wall_model, (1.0, 2.0, 1.0))
        assert value == mobility_estimate(grid) > 0
