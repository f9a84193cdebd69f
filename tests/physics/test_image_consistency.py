"""Porosities of several micrographs of one membrane, and of micrographs that contradict each other."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from membrane_dask.physics.imaging.image_model import ImageModel
from membrane_dask.physics.imaging.segmentation import Segmenter
from membrane_dask.physics.reconstruction.depth_windows import DepthWindows
from membrane_dask.physics.reconstruction.descriptors import DescriptorScales, average, half_correlation_length
from membrane_dask.physics.reconstruction.image_consistency import ImagedDepth, contradictions, porosity_deviation
from membrane_dask.physics.reconstruction.random_field import generate_window
from membrane_dask.physics.reconstruction.structures import Graded

DEPTH, WIDTH = 160, 256
TRUTHS = {
    "graded": Graded(knots=(0.0, 1.0), sigma=(1.5, 4.2), porosity=(0.32, 0.40)),
    "closed": Graded(knots=(0.0, 1.0), sigma=(1.6, 3.0), porosity=(0.45, 0.38), closing_radius=2.0),
    "rough": Graded(sigma=(3.0,), porosity=(0.4,), roughness=0.2),
}
MODEL = ImageModel(blur=1.2, noise=0.05, pore_level=0.25, solid_level=0.65)
SEGMENTER = Segmenter(method="otsu", presmooth=0.0, median=1)


@cache
def images(name: str, n: int = 100) -> list[np.ndarray]:
    """Segmented images of independent sections of a structure: blurred and noisy."""
    solids = [
        generate_window(TRUTHS[name], depth=DEPTH, start=(0, 400 * k, 0), shape=(DEPTH, 1, WIDTH), seed=5)[:, 0] > 0
        for k in range(n)
    ]
    return [SEGMENTER(MODEL.render(solid, MODEL.noise_of(1, k, solid.shape))) for k, solid in enumerate(solids)]


def length_by_row(name: str) -> np.ndarray:
    """Half-correlation length of the images of a structure at each row."""
    structure, solids = TRUTHS[name], images(name)
    scales = DescriptorScales.suited_to(solids[0])
    windows = DepthWindows.of(structure, DEPTH, ())
    target = windows.target(average([scales.describe(solid) for solid in solids[:8]]))
    lengths = np.log(half_correlation_length(target.descriptors.correlation, scales.lags))
    return np.exp(np.interp(np.linspace(0, 1, DEPTH), structure.knots, windows.inverse_overlap @ lengths))


@pytest.mark.parametrize("name", TRUTHS)
def test_porosities_of_images_scatter_as_predicted(name):
    """Within 25 %: of 100 images the scatter is known within 7 %, and the correlations are not quite Gaussian."""
    porosity = np.array([1 - solid.mean() for solid in images(name)])
    predicted = porosity_deviation(porosity.mean(), length_by_row(name), DEPTH * WIDTH)
    assert predicted == pytest.approx(porosity.std(ddof=1), rel=0.25)


def imaged(name: str, first: int, change: int = 0) -> ImagedDepth:
    """An image, of which ``change`` columns are taken for solid, and four sections of the same structure."""
    solids = images(name)
    solid = solids[first].copy()
    solid[:, :change] = True
    z = np.linspace(0, 1, DEPTH)
    return ImagedDepth(solid, None, solids[first + 1 : first + 5], z, length_by_row(name), np.ones(DEPTH, bool))


def test_images_of_one_membrane_do_not_contradict_each_other():
    """At most one of twenty pairs: by chance 0.3 % of them."""
    compared = [imaged("graded", 5 * k) for k in range(20)]
    refused = sum(bool(list(contradictions(pair))) for pair in pairwise(compared))
    assert refused <= 1


def test_an_image_of_which_a_third_of_the_pores_is_missing_contradicts():
    (pair,) = contradictions([imaged("graded", 0), imaged("graded", 5, change=WIDTH // 3)])
    assert (pair.first, pair.second) == (0, 1)
    assert pair.difference > 0.05
    assert "images 0 and 1 contradict each other: from 0% to 100% of the depth" in str(pair)


def test_depths_that_an_image_does_not_resolve_are_not_compared():
    good, bad = imaged("graded", 0), imaged("graded", 5, change=WIDTH // 3)
    unresolved = ImagedDepth(bad.solid, None, bad.sections, bad.z, bad.length, np.zeros(DEPTH, bool))
    assert not list(contradictions([good, unresolved]))
