"""Volumes of characterize studies: any orientation and format, what the plan prints and refuses, their sections."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.io
import tifffile
from scipy import ndimage

import membrane_dask as md

SYNC = {"profile": "sync"}
SHAPE = (40, 36, 44)


@pytest.fixture(scope="module")
def solid() -> np.ndarray:
    field = ndimage.gaussian_filter(np.random.default_rng(1).standard_normal(SHAPE), 2.0)
    return field > np.quantile(field, 0.35)


@pytest.fixture(scope="module")
def reference(solid, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reference")
    np.save(folder / "v.npy", solid)
    (folder / "s.yaml").write_text("kind: characterize\ninput: v.npy\nvoxel_size: 3 nm\ntortuosity: false\n")
    return md.run(md.load_study(folder / "s.yaml", cluster=SYNC), folder / "run")


@pytest.mark.parametrize(
    "settings",
    [
        "input: v.tif\naxis: -y",
        "input: v.mat\naxis: x",
        "input: v.raw\naxis: xyz\nraw: {shape: [44, 36, 40], type: uint8}",
    ],
    ids=["tif", "mat", "raw"],
)  # fmt: skip
def test_any_orientation_and_format_has_the_same_results(solid, reference, values_of, tmp_path, settings):
    grey = np.where(solid, 255, 0).astype("u1")
    tifffile.imwrite(tmp_path / "v.tif", np.moveaxis(grey[::-1], 0, 1), compression="lzw", photometric="minisblack")
    scipy.io.savemat(tmp_path / "v.mat", {"volume": np.moveaxis(grey, 0, 2)}, do_compression=True)
    grey.T.tofile(tmp_path / "v.raw")
    (tmp_path / "s.yaml").write_text(
        f"kind: characterize\nvoxel_size: 3 nm\nblock_size: 32\ntortuosity: false\n{settings}\n"
    )
    run = md.run(md.load_study(tmp_path / "s.yaml", cluster=SYNC), tmp_path / "run")
    assert values_of(run) == values_of(reference)


@pytest.mark.usefixtures("undrawn")
def test_the_sections_of_the_result(solid, reference):
    sections = reference.result["sections"].to_dataset()
    np.testing.assert_array_equal(sections.section_z, ~solid[20])
    np.testing.assert_array_equal(sections.section_y, ~solid[:, 18])
    np.testing.assert_array_equal(sections.section_x, ~solid[:, :, 22])
    assert float(sections.z[-1]) == 39.5 * 3
    assert ">Volume<" in md.write_report(reference).read_text()


def plan_rows(folder, settings=""):
    (folder / "s.yaml").write_text(f"kind: characterize\ninput: v.tif\n{settings}\n")
    return dict(md.plan(folder / "s.yaml", measure=False).program.summary)


def test_the_plan_prints_what_the_file_says(solid, tmp_path):
    grey = np.where(solid, 0, 255).astype("u1")  # as displayed, white is zero
    tifffile.imwrite(
        tmp_path / "v.tif", grey, imagej=True, resolution=(1 / 0.003, 1 / 0.003), photometric="miniswhite",
        metadata={"unit": "um", "spacing": 0.003, "axes": "ZYX"},
    )  # fmt: skip
    rows = plan_rows(tmp_path, "axis: x")
    assert rows["replicate=0"].startswith("44 x 40 x 36 voxels of 3 nm, porosity 0.3")
    assert rows["file"] == "ImageJ TIFF, 40 planes of 36 x 44 pixels, uint8"
    assert rows["photometric"] == "interpretation 0, white is zero: inverted"
    assert rows["axes"] == "depth along x of the file, height along z, width along y"
    assert rows["voxel"] == "3 x 3 x 3 nm (z, y, x), ImageJ metadata; the volume has 0.132 x 0.12 x 0.108 um"
    assert rows["values"] == "0 (35.0%), 255 (65.0%); pores are 0"


def test_pixels_without_a_distance_between_planes(solid, tmp_path):
    """Voxels are not taken for cubes; the study says that they are."""
    grey = np.where(solid, 255, 0).astype("u1")
    options = {"imagej": True, "metadata": {"unit": "nm", "axes": "ZYX"}}
    tifffile.imwrite(tmp_path / "v.tif", grey, resolution=(1 / 5, 1 / 5), **options)
    with pytest.raises(md.StudyError, match=r"pixels of 5 nm by ImageJ metadata, but no distance .* voxel_size: 5 nm"):
        plan_rows(tmp_path)
    rows = plan_rows(tmp_path, "voxel_size: 5 nm")
    assert rows["voxel"].startswith("5 nm by the study; pixels of 5 nm by ImageJ metadata, but no distance between p")
    with pytest.raises(md.StudyError, match=r"is 4 nm, but .* has voxels of \? x 5 x 5 nm"):
        plan_rows(tmp_path, "voxel_size: 4 nm")


def test_contradicting_metadata(solid, tmp_path):
    """The study must choose one of the sizes that the file states."""
    fei = "[Scan]\r\nPixelWidth=5e-09\r\nPixelHeight=5e-09\r\n"
    tifffile.imwrite(
        tmp_path / "v.tif", np.where(solid, 255, 0).astype("u1"), resolution=(1 / 7, 1 / 7), metadata=None,
        description="ImageJ=1.53\nimages=40\nslices=40\nunit=nm\nspacing=7\n", extratags=[(34682, "s", 0, fei, True)],
    )  # fmt: skip
    with pytest.raises(md.StudyError, match=r"disagree: 5 nm \(FEI metadata\), 7 nm \(ImageJ metadata\)"):
        plan_rows(tmp_path)
    with pytest.raises(md.StudyError, match=r"voxel_size: is 6 nm, but .*disagree"):
        plan_rows(tmp_path, "voxel_size: 6 nm")
    assert "7 nm" in plan_rows(tmp_path, "voxel_size: 7 nm")["replicate=0"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("axis: w", "axis: must be z, y or x"),
        ("axis: zzy", "axis: must be z, y or x"),
        ("raw: {shape: [4, 4], type: uint8}", "raw.shape"),
        ("raw: {shape: [4, 4, 0], type: uint8}", "raw.shape: three numbers of at least 1"),
        ("raw: {shape: [4, 4, 4], type: uint16}", "raw.byte_order: required for uint16"),
        ("raw: {shape: [4, 4, 4], type: bool}", "raw.type"),
        ("raw: {shape: [4, 4, 4], type: uint8}", "raw must be left out"),
        ("dataset: a\nvoxel_size: 3 nm", "has one volume"),
        ("voxel_size: 3 m", r"voxel_size: of 3e\+09 nm \(by the study\) is no voxel"),
    ],
)
def test_invalid_settings_of_the_input(solid, tmp_path, lines, message):
    tifffile.imwrite(tmp_path / "v.tif", np.where(solid, 255, 0).astype("u1"))
    with pytest.raises(md.StudyError, match=message):
        plan_rows(tmp_path, lines)
