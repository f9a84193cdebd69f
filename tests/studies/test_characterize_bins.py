"""Bins of the densities in the report of a characterization."""

from __future__ import annotations

import numpy as np
import pytest

from membrane_dask.studies.characterize.curve_report import resolved_bins


@pytest.mark.parametrize("voxel", [0.5, 3.0, 40.0, 1e4])
def test_no_bin_is_narrower_than_a_voxel_and_the_area_is_one(voxel):
    diameters = 4.0 * 2 ** (np.arange(24) / 4)
    density = np.random.default_rng(1).random(24) * (np.arange(24) > 5)
    density /= density.sum() * np.log(2) / 4
    edges, merged = resolved_bins(diameters, density, voxel)
    # A single bin is as wide as the distribution; otherwise the first bins are joined, and none is too narrow.
    assert len(merged) == 1 or np.diff(edges).min() >= voxel
    assert (edges[0], edges[-1]) == pytest.approx((2 * 2 ** (-1 / 8), 2 * 2 ** (23 / 4 + 1 / 8)))
    assert np.nansum(merged * np.diff(np.log(edges))) == pytest.approx(1, rel=1e-12)  # the rounding of a sum
    assert not (merged == 0).any()


def test_nothing_is_drawn_where_there_is_nothing():
    _, merged = resolved_bins(np.array([100.0, 200.0, 400.0]), np.array([0.0, 1.0, 0.5]), 1.0)
    assert np.isnan(merged[0])
    assert merged[1:] == pytest.approx([1.0, 0.5])
