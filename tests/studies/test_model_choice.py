"""How likely the closing and roughness of each trial are, from simulated images of the best one."""

from dataclasses import replace

import numpy as np
import pytest

from membrane_dask.physics.reconstruction.descriptors import DescriptorScales
from membrane_dask.physics.reconstruction.matching import Magnification
from membrane_dask.physics.reconstruction.sections import Sections
from membrane_dask.physics.reconstruction.structures import Graded
from membrane_dask.studies.reconstruct.micrograph_group import MicrographGroup
from membrane_dask.studies.reconstruct.model_choice import selection_frequencies

BEST = Graded(knots=(0.0, 1.0), sigma=(1.5, 2.5), porosity=(0.4, 0.4))


def frequencies(*structures: Graded, width: int = 96, image_noise: int = 2) -> np.ndarray:
    sections = Sections(64, width, (0, 40), 0)
    scales = DescriptorScales(np.arange(0, 24), np.array([1, 2, 4, 8]))
    solid = sections.seeded(7).observe(BEST, sections.seeded(7).fields(BEST))[0]
    group = MicrographGroup(Magnification(scales, (sections,)), (scales.describe(solid),), (None,))
    return selection_frequencies([BEST, *structures], 0, [group], noise=1, image_noise=image_noise)


def test_structures_that_an_image_distinguishes_are_not_selected():
    """A field twice as wide differs from the best match by far more than its images from each other."""
    wide = replace(BEST, sigma=(3.0, 5.0))
    np.testing.assert_array_equal(frequencies(wide), [1, 0])


def test_structures_that_an_image_hardly_distinguishes_are_both_selected():
    alike = frequencies(replace(BEST, sigma=(1.52, 2.53)))
    assert alike.sum() == 1
    assert 0.2 < alike[1] < 0.8  # 1 % of the width is less than the scatter of a half-correlation length in an image


def test_larger_images_are_more_decisive():
    other = replace(BEST, sigma=(1.65, 2.75))
    small, large = frequencies(other)[1], frequencies(other, width=768)[1]
    assert large < small  # an eighth of the variance
    assert small > 0.05


def test_selections_follow_from_the_seed():
    other = replace(BEST, roughness=0.1)
    first = frequencies(other)
    np.testing.assert_array_equal(first, frequencies(other))
    assert frequencies(other, image_noise=3).sum() == pytest.approx(1)
