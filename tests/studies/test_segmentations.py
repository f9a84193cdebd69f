"""Table and report of the methods of segmentation in a reconstruction."""

from __future__ import annotations

from functools import cache

import imageio.v3 as iio
import numpy as np
import pytest

import membrane_dask as md
from membrane_dask.physics.analytic_problems import GradedMembrane
from membrane_dask.studies.reconstruct.segmentation_report import segmentation_methods_section

TRUTH = GradedMembrane(depth=160, slices=4, width=200)
SYNC = {"profile": "sync"}


@cache
def grey_image() -> np.ndarray:
    return TRUTH.micrograph()


@pytest.fixture
def program(tmp_path):
    """``program(image, **settings)`` of a study of a micrograph."""

    def make(image=None, **settings):
        iio.imwrite(tmp_path / "a.png", grey_image() if image is None else image)
        (tmp_path / "s.yaml").write_text(
            "kind: reconstruct\ninput: a.png\npixel_size: 5 nm\nimaging: none\nvolume: {slices: 16}\n"
            "model: {knots: [0, 1]}\n"
        )
        return md.plan(md.load_study(tmp_path / "s.yaml", cluster=SYNC, **settings), measure=False).program

    return make


def table(program):
    return next((dataset for dataset in program.inputs if dataset.name == "segmentations"), None)


def test_columns_of_the_table(program):
    """Porosity, difference and half-correlation lengths by another computation: of whole numbers of pixels."""
    planned = program()
    values, micrograph = table(planned).values, planned.inputs[0].values
    assert list(table(planned).labels["method"]) == ["auto", "otsu", "hysteresis", "adaptive 0.65", "local mean"]
    assert values["used"].tolist() == [1, 0, 0, 0, 0]
    np.testing.assert_array_equal(values["solid"][0], micrograph["solid"])
    pores = values["solid"] == 0
    np.testing.assert_allclose(values["porosity"], pores.mean(axis=(1, 2)))
    np.testing.assert_allclose(values["difference"], (pores != pores[0]).mean(axis=(1, 2)))
    for method, quarter in np.ndindex(5, 4):
        rows = pores[method, 40 * quarter : 40 * (quarter + 1)].astype(float)
        phi, lag = rows.mean(), values["correlation_length"][method, quarter] / 5
        covariance = [(rows[:, : 200 - k] * rows[:, k:]).mean() - phi**2 for k in range(30)]
        assert np.interp(lag, range(30), covariance) == pytest.approx(0.5 * phi * (1 - phi), rel=0.02)
    lengths = values["correlation_length"]  # of a fine skin; wide pores are wider than a window of the local mean
    assert (lengths[:3, 0] < 0.5 * lengths[:3, 3]).all()
    assert values["failure"].tolist() == [""] * 5


def test_masked_pixels_do_not_count(program, tmp_path):
    """Grey values in another order where they are masked, which leaves the threshold, change no number of Otsu's."""
    mask = np.full((160, 200), 255, np.uint8)
    mask[:, 150:] = 0
    iio.imwrite(tmp_path / "mask.png", mask)
    image = TRUTH.micrograph(shading=0, curtaining=0)
    spoiled = image.copy()
    spoiled[:, 150:] = np.random.default_rng(0).permuted(image[:, 150:])
    settings = {"mask": str(tmp_path / "mask.png"), "segmentation": {"presmooth": 0, "median": 1}}
    clean, masked = (table(program(each, **settings)).values for each in (image, spoiled))
    used = clean["solid"][:, :, :150] == 0
    np.testing.assert_allclose(clean["porosity"], used.mean(axis=(1, 2)))
    np.testing.assert_allclose(clean["difference"], (used != used[0]).mean(axis=(1, 2)))
    for name in ("porosity", "correlation_length"):
        np.testing.assert_array_equal(masked[name][1], clean[name][1])
    assert (masked["solid"][1] != clean["solid"][1])[:, 150:].mean() > 0.2


def test_a_binary_image_has_no_table(program):
    assert table(program(TRUTH.section(2))) is None


@pytest.mark.usefixtures("undrawn")
def test_a_binary_and_a_grey_image(tmp_path):
    """Each table is that of the micrograph of its number; depths are those of the membrane."""
    iio.imwrite(tmp_path / "a.png", TRUTH.section(2)[:80])
    iio.imwrite(tmp_path / "b.png", grey_image()[60:])
    (tmp_path / "s.yaml").write_text(
        "kind: reconstruct\nimages:\n"
        "  - {input: a.png, pixel_size: 5 nm, depth: 0 to 400 nm}\n"
        "  - {input: b.png, pixel_size: 5 nm, depth: 300 to 800 nm}\n"
        "thickness: 800 nm\nimaging: none\nmodel: {knots: [0, 1]}\nvolume: {slices: 16}\ncluster: {profile: sync}\n"
        "search: {closing_radius: [0], roughness: [0], slices: 2}\n"
    )
    run = md.run(tmp_path / "s.yaml", tmp_path / "run", limit=1)
    assert "segmentations-0" not in run.result.children
    segmentations, micrograph = (run.result[f"{name}-1"] for name in ("segmentations", "micrograph"))
    np.testing.assert_array_equal(segmentations.solid[0], micrograph.solid)
    np.testing.assert_array_equal(segmentations.z, micrograph.z)
    text = md.write_report(run).read_text(encoding="utf-8")
    assert "<h2>Segmentation methods on micrograph-1</h2>" in text
    assert "<h2>Segmentation methods on micrograph-0</h2>" not in text


def test_section_of_the_report(program, tmp_path):
    planned = program()
    run = md.run(planned.study, tmp_path / "run", limit=1)
    tree = run.result
    section = segmentation_methods_section(
        tree["segmentations"].to_dataset().load(), tree["micrograph"].to_dataset().load()
    )
    grid, figure = section.contents
    assert [row[0] for row in grid.rows] == ["auto *", "otsu", "hysteresis", "adaptive 0.65", "local mean"]
    assert grid.rows[0][4] == "0.0%"
    assert all("-" not in row[2] for row in grid.rows)
    assert figure.svg.count("<image") == 6
    assert "<h2>Segmentation methods</h2>" in md.write_report(run).read_text(encoding="utf-8")


def test_the_report_names_a_method_that_does_not_serve(program, tmp_path):
    run = md.run(md.load_study(tmp_path / "s.yaml", cluster=SYNC) if program() else None, tmp_path / "run", limit=1)
    segmentations = run.result["segmentations"].to_dataset().load()
    failed = segmentations.copy(deep=True)
    failed["failure"][2] = "99.9% of the pixels are solid"
    failed["correlation_length"][2] = np.nan
    failed["porosity"][2] = 0.001
    section = segmentation_methods_section(failed, run.result["micrograph"].to_dataset().load())
    assert "Not usable here are hysteresis: 99.9% of the pixels are solid." in section.text
    assert section.contents[0].rows[2][2] == "-"
