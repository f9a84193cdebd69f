"""Percolating clusters: dead ends, periodic faces, and agreement with SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from membrane_dask.physics.percolation import percolating


def test_dead_ends_belong_to_the_cluster_and_closed_pores_do_not():
    pores = np.zeros((10, 9, 9), bool)
    pores[:, 4, 4] = pores[3, 4, :4] = True
    cluster = pores.copy()
    pores[:6, 1, 1] = True  # connected to low z only
    pores[3:5, 7, 7] = True  # closed
    np.testing.assert_array_equal(percolating(pores), cluster)
    pores[5, 4, 4] = False
    assert not percolating(pores).any()


def test_paths_across_periodic_faces():
    pores = np.zeros((8, 6, 6), bool)
    pores[:4, 3, 0] = pores[3:, 3, 5] = True
    assert not percolating(pores).any()
    np.testing.assert_array_equal(percolating(pores, periodic=True), pores)
    # The faces at low and high z are not periodic.
    ends = np.zeros((8, 6, 6), bool)
    ends[:3, 3, 3] = ends[5:, 3, 3] = True
    assert not percolating(ends, periodic=True).any()


@pytest.mark.parametrize("pores", [np.zeros((5, 6, 7), bool), np.ones((5, 6, 7), bool), np.ones((1, 4, 4), bool)])
def test_uniform_volumes(pores):
    for periodic in (False, True):
        np.testing.assert_array_equal(percolating(pores, periodic=periodic), pores)


@pytest.mark.parametrize("sigma", [0.0, 1.5])
def test_random_pores_agree_with_scipy(sigma):
    field = ndimage.gaussian_filter(np.random.default_rng(2).standard_normal((30, 34, 28)), sigma)
    pores = field < np.quantile(field, 0.35)

    def reference(volume):
        labels, _ = ndimage.label(volume)
        return np.isin(labels, np.setdiff1d(np.intersect1d(labels[0], labels[-1]), [0]))

    np.testing.assert_array_equal(percolating(pores), reference(pores))
    assert percolating(pores).any()
    # Five periods along y and x, as a path may cross the periodic faces several times.
    tiled = reference(np.tile(pores, (1, 5, 5)))[:, 68:102, 56:84]
    periodic = percolating(pores, periodic=True)
    assert (periodic & ~percolating(pores)).any()
    np.testing.assert_array_equal(periodic, tiled)
