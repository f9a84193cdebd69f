"""Anisotropy: detected, and distinguished from one that varies with depth."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from membrane_dask.physics.reconstruction.anisotropy import (
    compare_with_isotropic,
    is_deep_enough,
    varies_with_depth,
)
from membrane_dask.physics.reconstruction.directional_correlation import half_lengths
from membrane_dask.physics.reconstruction.random_field import generate_window
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
