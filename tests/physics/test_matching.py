"""The fixed point finds structures that are known; knots appear where the depth asks for them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from membrane_dask.physics.reconstruction.descriptors import half_correlation_length
from membrane_dask.physics.reconstruction.matching import (
    Scale,
    Sections,
    Windows,
    choose_knots,
    first_guess,
    match,
    objective,
    parameters,
)
from membrane_dask.physics.reconstruction.random_field import Graded, Structure, TwoLayers, block

DEPTH, WIDTH = 256, 320


def section(structure: Structure, seed: int, depth: int = DEPTH, width: int = WIDTH) -> np.ndarray:
    return block(structure, depth=depth, start=(0, 0, 0), shape=(depth, 1, width), seed=seed)[:, 0] > 0


TRUTHS = {
    "alike": Graded(sigma=(2.2,), porosity=(0.4,), closing_radius=1.5),
    "graded": Graded(knots=(0.0, 1.0), sigma=(1.4, 3.2), porosity=(0.3, 0.42), closing_radius=1.5),
    "layers": TwoLayers(sigma_1=1.5, sigma_2=3.2, porosity=0.38, closing_radius=1.5, blend_power=4, closing_depth=0.25),
}


@pytest.mark.parametrize("name", TRUTHS)
def test_the_fixed_point_finds_what_is_seen(name):
    """Porosity and length of its sections become the image's, whose own noise is all that is left of the truth."""
    truth = TRUTHS[name]
    image = section(truth, 5)
    scale = Scale.of(image)
    sections = Sections(DEPTH, WIDTH, (0, 50), 77)
    target = sections.windows(truth).target(scale.describe(image))
    found = match(first_guess(truth, target, scale), target, scale, sections, steps=6)
    porosity = sections.windows(truth).porosity @ (1 - np.mean(found.solids, axis=(0, 2)))
    np.testing.assert_allclose(porosity, target.porosity, rtol=0.03)
    goal = half_correlation_length(target.texture.correlation, scale.lags)
    np.testing.assert_allclose(found.length, goal, rtol=0.03)
    # A section of some 6,000 squares of the correlation length tells widths to a few percent.
    np.testing.assert_allclose(parameters(found.structure)[0], parameters(truth)[0], rtol=0.25)
    wrong = match(
        first_guess(replace(truth, closing_radius=3.2), target, scale), target, scale, sections, steps=6
    )  # as much as the pores' own radius
    assert found.objective < 0.7 * wrong.objective


def test_a_section_matches_itself():
    image = section(TRUTHS["graded"], 3)
    scale = Scale.of(image)
    target = Windows.of(TRUTHS["graded"], DEPTH, ()).target(scale.describe(image))
    assert objective(target.texture, target.texture) == 0


def test_windows_weigh_all_rows_and_are_unmixed():
    structure = Graded(knots=(0.0, 0.3, 1.0), sigma=(1.0, 2.0, 3.0), porosity=(0.5,) * 3)
    windows = Windows.of(structure, 201, ())
    np.testing.assert_allclose(windows.sigma.sum(axis=1), 1)
    height = np.linspace(0, 1, 201)
    # What is seen of a quantity that is linear between knots gives its values at the knots back.
    seen = windows.sigma @ np.interp(height, structure.knots, [4.0, -1.0, 2.0])
    np.testing.assert_allclose(windows.unmix @ seen, [4.0, -1.0, 2.0], rtol=1e-12)


def test_perturbed_targets_scatter_as_sections_do():
    """The mean of many is the target; their variance is that of one section."""
    truth = TRUTHS["alike"]
    solids = [section(truth, seed) for seed in range(60)]
    scale = Scale.of(solids[0])
    windows = Windows.of(truth, DEPTH, ())
    each = [windows.target(scale.describe(solid)) for solid in solids]
    moved = [each[0].perturbed(one, two).porosity[0] for one, two in zip(each[::2], each[1::2], strict=True)]
    spread = np.std([one.porosity[0] for one in each], ddof=1)
    assert np.std(moved, ddof=1) == pytest.approx(spread, rel=0.4)  # of 30: 13 % standard error, three of them
    assert abs(np.mean(moved) - each[0].porosity[0]) < 4 * spread / np.sqrt(30)


def test_knots_are_as_few_as_the_section_allows():
    alike = [len(choose_knots(s, Scale.of(s))) for s in (section(TRUTHS["alike"], seed) for seed in range(20))]
    assert sum(n > 1 for n in alike) <= 4  # one in twenty by chance: five or more have a chance of 0.3 %
    steep = Graded(knots=(0.0, 1.0), sigma=(1.2, 4.0), porosity=(0.3, 0.5))
    graded = [len(choose_knots(s, Scale.of(s))) for s in (section(steep, seed) for seed in range(5))]
    assert min(graded) > 1


def test_images_that_show_too_little():
    with pytest.raises(ValueError, match="at least 20"):
        Scale.of(section(Graded(sigma=(12.0,), porosity=(0.4,)), 0))
    with pytest.raises(ValueError, match="too few pores"):
        Scale.of(np.tile(np.arange(DEPTH)[:, None] > 100, (1, WIDTH)))
