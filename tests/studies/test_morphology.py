"""Anisotropy and macrovoids in reconstruct studies: from the image to the volume."""

from __future__ import annotations

from dataclasses import replace

import imageio.v3 as iio
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import membrane_dask as md
from membrane_dask.physics.reconstruction.directional_correlation import half_lengths
from membrane_dask.physics.reconstruction.macrovoids import Macrovoids
from membrane_dask.physics.reconstruction.random_field import generate_window
from membrane_dask.physics.reconstruction.structures import Graded
from membrane_dask.studies.reconstruct.tasks import as_params, from_params

SYNC = {"profile": "sync"}
ANISOTROPIC = Graded(sigma=(3.0,), porosity=(0.35,), anisotropy=(3.03,))
WITH_MACROVOIDS = Graded(
    knots=(0.0, 1.0), sigma=(1.6, 2.6), porosity=(0.33, 0.33),
    macrovoids=Macrovoids(number_density=1e-3, half_width=11.0, half_length=30.0, band=(0.5, 0.7)),
)  # fmt: skip
LENGTHS = np.array([3.46, 10.48])  # of 40 sections of ANISOTROPIC: along the rows and along the depth


def micrograph(structure: Graded, shape: tuple[int, int], seed: int) -> np.ndarray:
    """Grey image of a section, blurred by one pixel, with noise."""
    depth, width = shape
    solid = generate_window(structure, depth=depth, start=(0, 0, 0), shape=(depth, 1, width), seed=seed)[:, 0] > 0
    grey = gaussian_filter(0.24 + 0.42 * solid, 1.0, mode="nearest")
    grey += 0.05 * np.random.default_rng(seed).standard_normal(solid.shape)
    return np.round(255 * np.clip(grey, 0, 1)).astype(np.uint8)


@pytest.fixture
def write(tmp_path):
    def write(image: np.ndarray, **settings: object):
        iio.imwrite(tmp_path / "membrane.png", image)
        (tmp_path / "membrane.yaml").write_text("kind: reconstruct\ninput: membrane.png\npixel_size: 2 nm\n")
        search = {"closing_radius": [0], "roughness": [0], **settings.pop("search", {})}
        fit = {"enabled": False}  # which has tests of its own
        return md.load_study(tmp_path / "membrane.yaml", cluster=SYNC, search=search, goodness_of_fit=fit, **settings)

    return write


@pytest.mark.usefixtures("undrawn")
def test_lengths_of_an_anisotropic_volume(write, tmp_path):
    study = write(
        micrograph(ANISOTROPIC, (320, 384), 5),
        model={"anisotropy": "auto"},
        volume={"slices": 24, "width": 192},
        replicates=2,
    )
    run = md.run(study, tmp_path / "run")
    solid = run.volume("structure-0").values > 0
    planes = [np.ascontiguousarray(solid[:, y]) for y in range(0, 24, 3)]
    for direction, expected in zip(("row", "depth"), LENGTHS, strict=True):
        # An image of this size scatters by 3 %, a volume of 24 planes of half its width by 4 %.
        assert half_lengths(planes, knots=(0.0,), direction=direction) == pytest.approx(expected, rel=0.1)
    structures = run.result["structures"].to_dataset()
    assert structures.anisotropy.dims == ("replicate", "knot")
    np.testing.assert_allclose(structures.anisotropy, 3.03, rtol=0.25)
    assert np.ptp(structures.anisotropy.values[:, 0]) > 0  # replicates sample its uncertainty
    assert any("times as long along the depth" in text for text in structures.attrs["summary"])
    assert "width along the depth over that across" in md.write_report(run).read_text(encoding="utf-8")


def test_an_isotropic_micrograph_stays_isotropic(write, tmp_path):
    image = micrograph(replace(ANISOTROPIC, anisotropy=(1.0,), sigma=(2.2,)), (160, 192), 3)
    run = md.run(write(image, model={"anisotropy": "auto"}, volume={"slices": 8}), tmp_path / "run")
    structures = run.result["structures"].to_dataset()
    np.testing.assert_array_equal(structures.anisotropy, 1.0)
    assert "isotropic" in structures.attrs["summary"][0]


@pytest.mark.usefixtures("undrawn")
def test_macrovoids_of_a_volume(write, tmp_path):
    image = micrograph(WITH_MACROVOIDS, (192, 256), 4)
    study = write(image, model={"macrovoids": "auto"}, volume={"slices": 48, "block_size": 20}, replicates=2)
    run = md.run(study, tmp_path / "run")
    structures = run.result["structures"].to_dataset()
    layer = WITH_MACROVOIDS.macrovoids
    best = structures.isel(replicate=0)
    assert float(best.macrovoid_half_width) / 2 == pytest.approx(layer.half_width, rel=0.5)
    assert float(best.macrovoid_half_length) / 2 == pytest.approx(layer.half_length, rel=0.5)
    assert float(best.macrovoid_number_density) * 4 == pytest.approx(layer.number_density, rel=1.5)
    assert float(structures.macrovoid_number_density[0]) != float(structures.macrovoid_number_density[1])
    assert "macrovoid" in structures.attrs["summary"][0]
    # The field is that without the macrovoids, and the volume has both.
    np.testing.assert_allclose(best.sigma.values[[0, -1]] / 2, WITH_MACROVOIDS.sigma, rtol=0.3)
    fraction = float(best.macrovoid_fraction)
    assert fraction > 0.01
    matrix = (float(best.volume_porosity) - fraction) / (1 - fraction)
    assert matrix == pytest.approx(0.33, abs=0.06)
    report = md.write_report(run).read_text(encoding="utf-8")
    assert "macrovoids per µm²" in report
    assert f"{matrix:.3f}" in report
    other = md.run(
        md.load_study(tmp_path / "run" / "study.yaml", cluster=SYNC, volume={"block_size": 48}), tmp_path / "b"
    )
    assert (other.volume("structure-1").values == run.volume("structure-1").values).all()


def test_masked_pixels_have_no_effect_on_the_fit(write, tmp_path):
    """A wide pore in the middle, which is masked, changes neither the widths nor the porosity of the fit."""
    image = micrograph(replace(WITH_MACROVOIDS, macrovoids=None), (160, 224), 6)
    clean = md.run(write(image, model={"knots": [0, 1]}, volume={"slices": 8}), tmp_path / "clean")
    image[40:120, 90:130] = 61
    mask = np.full(image.shape, 255, np.uint8)
    mask[36:124, 86:134] = 0
    iio.imwrite(tmp_path / "mask.png", mask)
    settings = {"model": {"knots": [0, 1]}, "volume": {"slices": 8}}
    masked = md.run(write(image, mask=str(tmp_path / "mask.png"), **settings), tmp_path / "masked")
    with_pore = md.run(write(image, **settings), tmp_path / "with_pore")
    porosity, reference, biased = (
        float(run.result["structures"].to_dataset().volume_porosity[0]) for run in (masked, clean, with_pore)
    )
    # 9 % of the image is a pore; without these pixels the porosity scatters by 0.01.
    assert porosity == pytest.approx(reference, abs=0.02)
    assert biased > reference + 0.03
    sigma = [run.result["structures"].to_dataset().sigma.values[0] for run in (masked, clean)]
    np.testing.assert_allclose(*sigma, rtol=0.1)


def test_structures_become_plain_values_and_back():
    for structure in (ANISOTROPIC, WITH_MACROVOIDS):
        assert from_params(as_params(structure)) == structure


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": {"anisotropy": "auto", "depth": "layers"}}, "anisotropy: needs depth: graded"),
        ({"model": {"anisotropy": "by_depth"}, "search": {"method": "bayesian"}}, "needs search.method: direct"),
        ({"model": {"macrovoids": "auto"}, "search": {"method": "published"}}, "direct or bayesian"),
    ],
)
def test_models_that_a_search_cannot_fit(write, settings, message):
    with pytest.raises(md.StudyError, match=message):
        write(np.zeros((64, 64), np.uint8), **settings)
