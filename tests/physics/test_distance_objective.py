"""Distance distributions and objective of Chamani et al."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from membrane_dask.physics.analytic_problems import GradedMembrane
from membrane_dask.physics.reconstruction.distance_objective import (
    distance_distributions,
    distance_features,
    distance_objective,
)

EDGES = np.linspace(1, 30, 51)
SECTIONS = ((0.0, 0.2), (0.5, 1.0))


def test_distances_across_stripes():
    """Walls 4 wide between pores 6 wide: distances 1, 2, 2, 1 and 1, 2, 3, 3, 2, 1."""
    row = np.tile([True] * 4 + [False] * 6, 30)
    features = distance_features(np.tile(row, (200, 1)), edges=np.array([1.0, 1.5, 2.5, 3.5]), sections=((0, 1),))
    # The first wall and the last pore, one of 30 each, have only one neighbour.
    np.testing.assert_allclose(features[0, 1], [0.2, 0.2, 0, 0], atol=1 / 100)
    np.testing.assert_allclose(features[0, 0], [0.2, 0.2, 0.2, 0], atol=1 / 100 + 1e-12)
    assert features.sum() == pytest.approx(1, abs=1e-12)


def test_distances_are_computed_within_each_range_of_depth():
    solid = GradedMembrane(depth=160, slices=8, width=240).section(3) > 0
    features = distance_features(solid, edges=EDGES, sections=SECTIONS)
    assert features.shape == (2, 2, 51)
    for s, rows in enumerate((solid[:32], solid[80:])):
        for phase, mask in enumerate((~rows, rows)):
            distance = ndimage.distance_transform_edt(mask)[mask]
            expected = np.histogram(distance, [*EDGES, np.inf])[0] / rows.size
            np.testing.assert_allclose(features[s, phase], expected, atol=2 / rows.size)  # float32 at an edge
    assert features.sum((1, 2)) == pytest.approx([1, 1], abs=1e-12)


def test_a_section_of_one_phase_is_in_the_open_bin():
    features = distance_features(np.ones((50, 50), bool), edges=EDGES, sections=((0, 1),))
    assert features[0, 1, -1] == 1
    assert features.sum() == 1


def test_objective():
    solid = GradedMembrane(depth=160, slices=8, width=240).section(0) > 0
    one = distance_features(solid, edges=EDGES, sections=SECTIONS)
    assert distance_objective(one, one) == 0
    inverse = one[:, ::-1]
    assert distance_objective(one, inverse) == distance_objective(inverse, one) > 0.3
    empty = distance_features(np.ones_like(solid), edges=EDGES, sections=SECTIONS)
    full = distance_features(np.zeros_like(solid), edges=EDGES, sections=SECTIONS)
    assert distance_objective(empty, full) == 2


def test_distributions_are_those_of_the_pixels_of_a_phase():
    """Fraction of the pixels of a phase below each distance; the open bin holds the rest."""
    solid = GradedMembrane(depth=160, slices=8, width=240).section(3) > 0
    distributions = distance_distributions(distance_features(solid, edges=EDGES, sections=SECTIONS))
    for s, rows in enumerate((solid[:32], solid[80:])):
        for phase, mask in enumerate((~rows, rows)):
            distance = ndimage.distance_transform_edt(mask)[mask]
            expected = [(distance < edge).mean() for edge in EDGES]
            np.testing.assert_allclose(distributions[s, phase], expected, atol=2 / mask.sum())  # float32 at an edge
    only_solid = distance_distributions(distance_features(np.ones((50, 50), bool), edges=EDGES, sections=((0, 1),)))
    assert (only_solid[0, 1] == 0).all()
    assert np.isnan(only_solid[0, 0]).all()
