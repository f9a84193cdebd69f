"""Micrographs of known membranes that the benchmarks make."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

from membrane_dask.physics.analytic_problems import GaussianExcursion
from membrane_dask.physics.reconstruction.random_field import generate_window
from membrane_dask.physics.reconstruction.structures import Graded


@pytest.fixture(scope="module")
def benchmark():
    """Import a helper module of the benchmarks."""
    folder = str(Path(__file__).resolve().parents[1] / "benchmarks")
    sys.path.insert(0, folder)
    yield importlib.import_module
    sys.path.remove(folder)


def test_half_length_is_that_of_the_theory(benchmark):
    truths = benchmark("_micrograph_truths")
    theory = GaussianExcursion(sigma=3.0, porosity=0.4)
    structure = Graded(sigma=(3.0,), porosity=(0.4,))
    solid = generate_window(structure, depth=200, start=(0, 0, 0), shape=(200, 64, 200), seed=5) > 0
    lags = np.linspace(2, 6, 400)
    correlation = [(theory.two_point(lag) - 0.16) / 0.24 for lag in lags]
    expected = lags[np.argmax(np.array(correlation) < 0.5)]
    # A quarter holds some 500 half-lengths cubed; linear interpolation between lags adds less than 1 %.
    assert truths.half_lengths(solid) == pytest.approx(np.full(4, expected), rel=0.04)


@pytest.mark.parametrize("supersampling", [1, 2])
def test_image_has_its_levels_noise_and_blur(benchmark, supersampling):
    truths = benchmark("_micrograph_truths")
    solid = np.zeros((200 * supersampling, 200 * supersampling), bool)
    solid[100 * supersampling :] = True
    image = truths.Imaging(blur=1.5, noise=0.05, levels=(0.3, 0.6), seed=3).image(solid, supersampling) / 255
    # The mean over the columns leaves shading along the depth, 1 % within these rows.
    profile = image.mean(axis=1)
    assert profile[70:90].mean() == pytest.approx(0.3, rel=0.02)
    assert profile[110:130].mean() == pytest.approx(0.6, rel=0.02)
    pairs = np.diff(image[:90], axis=0) / np.sqrt(2)  # curtains are nearly the same in neighbouring rows
    assert pairs.std() == pytest.approx(0.05, rel=0.03)
    rise, rows = np.diff(profile)[93:106], np.arange(93.5, 106)
    blur = np.sqrt((rise * (rows - 99.5) ** 2).sum() / rise.sum())
    # Averages of 2 x 2 voxels blur further, by 1/16 of a squared pixel; the noise of a row is 1 % of the contrast.
    assert blur == pytest.approx(np.sqrt(1.5**2 + (supersampling - 1) / 16), abs=0.3)


@pytest.mark.parametrize(("number", "family"), [(0, "one field"), (2, "two layers"), (5, "spheres")])
def test_random_membrane_follows_from_its_number(benchmark, number, family):
    truths = benchmark("_micrograph_truths")
    first, second = (truths.random_truth(number, (96, 8, 200)) for _ in range(2))
    assert first.family == family
    np.testing.assert_array_equal(first.image, second.image)
    porosities = [1 - first.section[rows].mean() for rows in truths.quarters(96)]
    assert min(porosities) > 0.12
    assert max(porosities) < 0.60


def test_results_survive_a_line_that_was_cut_off(benchmark, tmp_path):
    rows, path = benchmark("_reconstruct_rows"), tmp_path / "lines.jsonl"
    rows.append_line(path, {"number": 0})
    with path.open("a") as file:
        file.write('{"number": 1, "tru')
    rows.append_line(path, {"number": 2})
    assert list(rows.read_lines(path)) == [{"number": 0}, {"number": 2}]
