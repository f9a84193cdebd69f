"""Fit of structures to sections of known ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from membrane_dask.physics.imaging.image_model import ImageModel
from membrane_dask.physics.imaging.segmentation import Segmenter
from membrane_dask.physics.reconstruction.depth_windows import DepthWindows
from membrane_dask.physics.reconstruction.descriptors import DescriptorScales, average, half_correlation_length
from membrane_dask.physics.reconstruction.matching import Magnification, Match, initial_structure, match, objective
from membrane_dask.physics.reconstruction.random_field import generate_window
from membrane_dask.physics.reconstruction.sections import Imaging, Sections
from membrane_dask.physics.reconstruction.structures import Graded, Structure, TwoLayers

DEPTH, WIDTH = 256, 320


def section(structure: Structure, seed: int, depth: int = DEPTH, width: int = WIDTH) -> np.ndarray:
    return generate_window(structure, depth=depth, start=(0, 0, 0), shape=(depth, 1, width), seed=seed)[:, 0] > 0


TRUTHS = {
    "homogeneous": Graded(sigma=(2.2,), porosity=(0.4,), closing_radius=1.5),
    "graded": Graded(knots=(0.0, 1.0), sigma=(1.4, 3.2), porosity=(0.3, 0.42), closing_radius=1.5),
    "layers": TwoLayers(sigma_1=1.5, sigma_2=3.2, porosity=0.38, closing_radius=1.5, blend_power=4, closing_depth=0.25),
}


def fitted(structure: Structure, targets: list, compared: list[Magnification]) -> Match:
    """Match with six iterations from the initial structure."""
    return match(initial_structure(structure, targets, compared), targets, compared, iterations=6)


@pytest.mark.parametrize("name", TRUTHS)
def test_fit_reproduces_the_descriptors_of_the_image(name):
    """Porosity and correlation length of the fit equal those of the image; its widths are near the true ones."""
    truth = TRUTHS[name]
    image = section(truth, 5)
    scales = DescriptorScales.suited_to(image)
    compared = [Magnification(scales, (Sections(DEPTH, WIDTH, (0, 50), 77),))]
    windows = compared[0].windows(truth)
    target = windows.target([scales.describe(image)])
    fit = fitted(truth, [target], compared)
    porosity = windows.each[0].porosity @ (1 - np.mean(fit.solids[0], axis=(0, 2)))
    np.testing.assert_allclose(porosity, target.porosity, rtol=0.03)
    goal = half_correlation_length(target.descriptors.correlation, scales.lags)
    np.testing.assert_allclose(fit.length, goal, rtol=0.03)
    # An image of some 6,000 squared correlation lengths determines the widths within a few percent.
    np.testing.assert_allclose(fit.structure.parameters()[0], truth.parameters()[0], rtol=0.25)
    too_closed = replace(truth, closing_radius=3.2)  # about the radius of the pores
    wrong = fitted(too_closed, [target], compared)
    assert fit.objective < 0.7 * wrong.objective


@pytest.mark.parametrize("n", [1, 2])
def test_the_structure_is_matched_through_blur_and_noise(n):
    """Its half-correlation lengths are those of the true section, not those of the image, which is coarser."""
    truth = Graded(knots=(0.0, 1.0), sigma=(1.6, 3.0), porosity=(0.35, 0.4))
    true_section = section(truth, 5)
    model = ImageModel(blur=1.5, noise=0.05, pore_level=0.25, solid_level=0.65)
    segmenter = Segmenter(method="otsu", presmooth=0.0, median=1)
    image = segmenter(model.render(true_section, model.noise_of(9, 9, true_section.shape)))
    scales = DescriptorScales.suited_to(image)
    compared = [Magnification(scales, (Sections(DEPTH, WIDTH, (0, 50), 77, imaging=Imaging(model, segmenter, n)),))]
    windows = compared[0].windows(truth).each[0]
    fit = fitted(truth, [windows.target(scales.describe(image))], compared)
    volume = generate_window(fit.structure, depth=DEPTH, start=(0, 0, 0), shape=(DEPTH, 64, WIDTH), seed=77) > 0
    structure = average([scales.describe(volume[:, y]) for y in range(0, 64, 8)])
    lengths = [
        half_correlation_length(windows.target(rows).descriptors.correlation, scales.lags)
        for rows in (structure, scales.describe(true_section), scales.describe(image))
    ]
    assert lengths[2][0] > 1.1 * lengths[1][0]
    # The section and the two sections of the fit each determine the lengths within some 2 and 4 %.
    np.testing.assert_allclose(lengths[0], lengths[1], rtol=0.1)


def test_objective_of_equal_descriptors_is_zero():
    image = section(TRUTHS["graded"], 3)
    scales = DescriptorScales.suited_to(image)
    target = DepthWindows.of(TRUTHS["graded"], DEPTH, ()).target(scales.describe(image))
    assert objective(target.descriptors, target.descriptors) == 0


def test_windows_recover_a_piecewise_linear_profile():
    structure = Graded(knots=(0.0, 0.3, 1.0), sigma=(1.0, 2.0, 3.0), porosity=(0.5,) * 3)
    windows = DepthWindows.of(structure, 201, ())
    np.testing.assert_allclose(windows.sigma.sum(axis=1), 1)
    depth = np.linspace(0, 1, 201)
    means = windows.sigma @ np.interp(depth, structure.knots, [4.0, -1.0, 2.0])
    np.testing.assert_allclose(windows.inverse_overlap @ means, [4.0, -1.0, 2.0], rtol=1e-12)


def test_perturbed_targets_have_the_variance_of_sections():
    """Their mean is the target."""
    truth = TRUTHS["homogeneous"]
    solids = [section(truth, seed) for seed in range(60)]
    scales = DescriptorScales.suited_to(solids[0])
    windows = DepthWindows.of(truth, DEPTH, ())
    each = [windows.target(scales.describe(solid)) for solid in solids]
    perturbed = [each[0].perturbed(*pair).porosity[0] for pair in zip(each[::2], each[1::2], strict=True)]
    deviation = np.std([target.porosity[0] for target in each], ddof=1)
    assert np.std(perturbed, ddof=1) == pytest.approx(deviation, rel=0.4)  # 3 standard errors of 13 %
    assert abs(np.mean(perturbed) - each[0].porosity[0]) < 4 * deviation / np.sqrt(30)


def test_images_with_too_few_pores_are_refused():
    with pytest.raises(ValueError, match=r"at least 20 are needed, here \d+ pixels; an image at a lower magnification"):
        DescriptorScales.suited_to(section(Graded(sigma=(12.0,), porosity=(0.4,)), 0))
    with pytest.raises(ValueError, match="too few pores"):
        DescriptorScales.suited_to(np.tile(np.arange(DEPTH)[:, None] > 100, (1, WIDTH)))
