"""Anisotropy: detected, distinguished from one that varies with depth, and recovered by the fit."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from membrane_dask.physics.reconstruction.anisotropy import (
    compare_with_isotropic,
    is_deep_enough,
    varies_with_depth,
)
from membrane_dask.physics.reconstruction.depth_windows import DepthWindows, Target
from membrane_dask.physics.reconstruction.descriptors import DescriptorScales
from membrane_dask.physics.reconstruction.directional_correlation import half_lengths
from membrane_dask.physics.reconstruction.matching import Magnification, initial_structure, match
from membrane_dask.physics.reconstruction.random_field import generate_window
from membrane_dask.physics.reconstruction.sections import Sections
from membrane_dask.physics.reconstruction.structures import Graded

DEPTH, WIDTH = 256, 320
KNOTS = (0.0, 1.0)


def graded(anisotropy: tuple[float, ...]) -> Graded:
    return Graded(knots=KNOTS, sigma=(1.8, 2.6), porosity=(0.36, 0.4), anisotropy=anisotropy)


@cache
def sections(structure: Graded, n: int, seed: int = 1) -> list[np.ndarray]:
    """Independent sections, True in the solid."""
    return [
        generate_window(structure, depth=DEPTH, start=(0, 1000 * k, 0), shape=(DEPTH, 1, WIDTH), seed=seed)[:, 0] > 0
        for k in range(n)
    ]


def test_anisotropic_sections_differ_from_isotropic_ones():
    model = sections(graded((1.0,)), 24, seed=2)
    for ratio in (0.7, 1.4, 3.0):
        test = compare_with_isotropic(sections(graded((ratio,)), 1)[0], model, KNOTS)
        assert test.p_value < 1e-4
        assert test.ratio == pytest.approx(ratio, rel=0.1)
        assert test.expected[0] < 1 < test.expected[1]
    p_values = [compare_with_isotropic(solid, model, KNOTS).p_value for solid in sections(graded((1.0,)), 12)]
    # 12 values that are uniform: the least is below 0.001 with a probability of 1.2 %.
    assert min(p_values) > 0.001
    assert 0.2 < np.mean(p_values) < 0.8  # 3.5 standard errors


def test_an_anisotropy_that_varies_with_depth():
    varying = [varies_with_depth(solid, KNOTS) for solid in sections(graded((3.0, 1.0)), 6)]
    constant = [varies_with_depth(solid, KNOTS) for solid in sections(graded((2.0,)), 12)]
    assert sum(varying) >= 5
    assert sum(constant) <= 6  # the criterion prefers the additional parameter in a fifth to a third of the cases
    assert not varies_with_depth(sections(graded((3.0, 1.0)), 1)[0][:80], KNOTS)


def test_depth_that_an_anisotropy_at_each_knot_needs():
    solid = sections(graded((3.0,)), 1)[0]
    length = half_lengths([solid], knots=KNOTS, direction="depth").mean()
    assert is_deep_enough(solid, KNOTS)
    assert not is_deep_enough(solid[: int(15 * length)], KNOTS)


def fit(solid: np.ndarray, start: Graded, planes: int = 4) -> Graded:
    scales = DescriptorScales.suited_to(solid)
    cuts = Sections(DEPTH, WIDTH, tuple(1000 * i for i in range(planes)), 77)
    compared = [Magnification(scales, (cuts,))]
    lengths = half_lengths([solid], knots=start.knots, direction="depth")
    targets = [compared[0].windows(start).target([scales.describe(solid)], lengths)]
    return match(initial_structure(start, targets, compared), targets, compared, iterations=6).structure


@pytest.mark.parametrize("anisotropy", [(3.0,), (0.6,), (1.0, 2.5)])
def test_fit_of_an_anisotropic_structure(anisotropy):
    """Its half-correlation lengths along both directions agree with those of the image."""
    truth = graded(anisotropy)
    solid = sections(truth, 1, seed=8)[0]
    start = Graded(knots=KNOTS, sigma=(1.0,) * 2, porosity=(0.5,) * 2, anisotropy=(1.0,) * len(anisotropy))
    structure = fit(solid, start)
    assert len(structure.anisotropy) == len(anisotropy)
    # An image of some 1,000 pores determines the ratio within 5 %, those at the knots within 10 %.
    np.testing.assert_allclose(structure.anisotropy, anisotropy, rtol=0.1 if len(anisotropy) == 1 else 0.25)
    for direction in ("row", "depth"):
        lengths = [half_lengths(s, knots=KNOTS, direction=direction) for s in (sections(structure, 6), [solid])]
        np.testing.assert_allclose(*lengths, rtol=0.1)  # sections of the fit scatter by 3 %, those of the image by 5 %


def test_a_structure_keeps_its_anisotropy_without_a_length_along_the_depth():
    solid = sections(graded((2.0,)), 1)[0]
    scales = DescriptorScales.suited_to(solid)
    cuts = Sections(DEPTH, WIDTH, (0,), 77)
    start = graded((1.5,))
    compared = [Magnification(scales, (cuts,))]
    targets = [compared[0].windows(start).target([scales.describe(solid)])]
    assert match(start, targets, compared, iterations=2).structure.anisotropy == (1.5,)


def test_perturbed_lengths_along_the_depth():
    """Their logarithm moves by the difference of two sections over the root of two."""
    solid = sections(graded((2.0,)), 1)[0]
    scales = DescriptorScales.suited_to(solid)
    windows = DepthWindows.of(graded((1.0,)), DEPTH, ())
    target = windows.target(scales.describe(solid), np.array([4.0, 5.0]))
    pair = [replace(target, length_z=np.array(values)) for values in ([4.4, 5.0], [4.0, 6.0])]
    perturbed: Target = target.perturbed(*pair)
    np.testing.assert_allclose(
        np.log(perturbed.length_z / target.length_z), np.log([1.1, 5 / 6]) / np.sqrt(2), rtol=1e-12
    )
