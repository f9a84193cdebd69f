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


def test_distances_are_those_to_used_pixels():
    """A pore below a wall that is not used is as far from the solid as the next wall; unused pixels do not count."""
    solid = np.zeros((40, 40), bool)
    solid[10], solid[30] = True, True
    inside = np.ones_like(solid)
    inside[5:15] = False
    edges = np.array([1.0, 15.5, 25.5, 30.5])
    features = distance_features(solid, edges=edges, sections=((0, 1),), inside=inside)
    # Used are the rows 0 to 4, 26 to 30 above the wall, and 15 to 39, at most 15 above it and 9 below.
    np.testing.assert_allclose(features[0, 0] * 30, [24, 0, 5, 0])
    np.testing.assert_allclose(features[0, 1].sum() * 30, 1)


def test_masked_distances_agree_with_another_computation():
    solid = GradedMembrane(depth=160, slices=8, width=240).section(3) > 0
    inside = np.ones_like(solid)
    inside[20:60, 100:160] = inside[120:, :30] = False
    features = distance_features(solid, edges=EDGES, sections=SECTIONS, inside=inside)
    for s, window in enumerate((slice(0, 32), slice(80, 160))):
        rows, used = solid[window], inside[window]
        for phase, pixels in enumerate((~rows & used, rows & used)):
            other = used & ~pixels
            distance = ndimage.distance_transform_edt(~other)[pixels]
            expected = np.histogram(distance, [*EDGES, np.inf])[0] / used.sum()
            np.testing.assert_allclose(features[s, phase], expected, atol=2 / used.sum())  # float32 at an edge
    assert features.sum((1, 2)) == pytest.approx([1, 1], abs=1e-12)


def test_without_used_pixels_there_is_no_distribution():
    solid = GradedMembrane(depth=160, slices=8, width=240).section(3) > 0
    inside = np.ones_like(solid)
    inside[:32] = False
    features = distance_features(solid, edges=EDGES, sections=SECTIONS, inside=inside)
    assert (features[0] == 0).all()
    assert features[1].sum() == pytest.approx(1, abs=1e-12)
    assert np.isnan(distance_distributions(features)[0]).all()


@pytest.mark.parametrize("content", ["noise", "solid", "stripes"])
def test_a_masked_region_leaves_the_distributions_within_their_scatter(content):
    """Whatever it holds, the distributions are those of the whole section, as far as sections of one membrane agree."""
    membrane = GradedMembrane(depth=160, slices=8, width=240)
    sections = [membrane.section(y) > 0 for y in range(0, 240, 30)]  # further apart than pores are wide
    whole = distance_distributions(np.array([distance_features(s, edges=EDGES, sections=SECTIONS) for s in sections]))
    scatter = whole.std(axis=0, ddof=1)
    inside = np.ones(sections[0].shape, bool)
    inside[10:30, 40:90] = inside[90:130, 140:200] = False  # 13 % of the skin, 12.5 % of the support
    rng = np.random.default_rng(0)
    deviations = {True: [], False: []}
    for solid, clean in zip(sections, whole, strict=True):
        spoiled = solid.copy()
        values = {"noise": rng.random(solid.shape) < 0.5, "solid": True, "stripes": np.arange(240) // 3 % 2 > 0}
        spoiled[~inside] = np.broadcast_to(values[content], solid.shape)[~inside]
        for is_masked, results in deviations.items():
            features = distance_features(spoiled, edges=EDGES, sections=SECTIONS, inside=inside if is_masked else None)
            results.append((distance_distributions(features) - clean) / np.maximum(scatter, 0.005))
    masked, unmasked = (np.array(results) for results in deviations.values())
    # Leaving out an eighth of independent pixels deviates by sqrt(1/8) = 0.35 of the scatter of sections, 0.28 in the
    # mean of absolute values. Distances near the mask are larger, by less than the scatter of a section everywhere.
    assert np.abs(masked).mean() < 0.28
    assert np.abs(masked.mean(axis=0)).max() < 1
    assert np.abs(unmasked.mean(axis=0)).max() > 3


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
