"""Micrographs as people have them: what is cut, converted, refused or asked, line by line in the plan."""

from __future__ import annotations

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageDraw
from scipy import ndimage
from typer.testing import CliRunner

import membrane_dask as md
from membrane_dask.cli.commands import app
from membrane_dask.studies.reconstruct.image_settings import MicrographSettings
from membrane_dask.studies.reconstruct.intake import take_in

ROWS, COLUMNS, POROSITY = 160, 200, 0.35


def section(widths=(3.0, 3.0), shape=(ROWS, COLUMNS)):
    """Solid of a level-cut field; the widths of its kernels above and below."""
    rng = np.random.default_rng(3)
    fields = [ndimage.gaussian_filter(rng.standard_normal(shape), width) for width in widths]
    depth = np.linspace(0, 1, shape[0])[:, None]
    field = np.sqrt(1 - depth) * fields[0] / fields[0].std() + np.sqrt(depth) * fields[1] / fields[1].std()
    return field > np.quantile(field, POROSITY)


def grey(solid, noise=0.03):
    """Micrograph of 8 bits, with pores dark."""
    image = ndimage.gaussian_filter(np.where(solid, 0.66, 0.24), 0.7)
    image += noise * np.random.default_rng(4).standard_normal(solid.shape)
    return (255 * image.clip(0, 1)).round().astype("u1")


SOLID = section()
IMAGE = grey(SOLID)
FEI = "[Scan]\r\nPixelWidth=5e-09\r\nPixelHeight={}\r\n[Image]\r\nResolutionX={}\r\nResolutionY={}\r\n"


def fei(height="5e-09", columns=COLUMNS, rows=ROWS):
    return [(34682, "s", 0, FEI.format(height, columns, rows), True)]


def databar(rows=24, width=COLUMNS):
    image = Image.new("L", (width, rows), 0)
    ImageDraw.Draw(image).text((5, rows // 3), "HV 5 kV mag 20 000 x", fill=255)
    return np.asarray(image)


@pytest.fixture
def plan(tmp_path):
    """``plan(image, tags, **settings)``: rows of the plan of a micrograph."""

    def make(image, tags=None, *, suffix=".png", pixel_size="5 nm", **settings):
        path = tmp_path / f"a{suffix}"
        if tags is not None:
            tifffile.imwrite(path, image, metadata=None, extratags=tags)
        elif suffix == ".tif":
            tifffile.imwrite(path, image)
        else:
            iio.imwrite(path, image)
        (tmp_path / "s.yaml").write_text(
            f"kind: reconstruct\ninput: {path.name}\nimaging: none\nvolume: {{slices: 16}}\n"
        )
        settings |= {"pixel_size": pixel_size} if pixel_size else {}
        planned = md.plan(md.load_study(tmp_path / "s.yaml", **settings), measure=False)
        rows: dict[str, str] = {}
        for subject, text in planned.program.summary:
            rows[subject] = f"{rows[subject]}; {text}" if subject in rows else text
        table = next(table for table in planned.program.inputs if table.name == "micrograph")
        return rows, table.values["solid"] > 0, planned.program

    return make


def agreement(solid, truth=SOLID):
    """Fraction of equal pixels: the segmentation moves edges a little; a section shifted or turned agrees in 0.55."""
    assert solid.shape == truth.shape
    return (solid == truth).mean()


def test_size_and_source_of_the_pixel_are_printed(plan):
    rows, solid, _ = plan(IMAGE)
    assert rows["pixel"] == "5 nm, by the study; the file has no pixel size"
    assert rows["size"] == f"{ROWS} x {COLUMNS} pixels, 0.8 um deep and 1 um wide"
    assert "databar" not in rows
    assert agreement(solid) > 0.95


@pytest.mark.parametrize("tags", [None, fei()])
def test_databars_are_cut(plan, tags):
    image = np.vstack([IMAGE, databar()])
    rows, solid, _ = plan(image, tags, suffix=".tif", pixel_size=None if tags else "5 nm")
    assert rows["databar"].startswith("24 rows ")
    assert ("FEI metadata" if tags else "crop: {bottom: 24}") in rows["databar"]
    assert agreement(solid) > 0.95
    rows, solid, _ = plan(image, tags, suffix=".tif", databar="none", pixel_size="5 nm")
    assert solid.shape == (ROWS + 24, COLUMNS)
    assert ("not cut" in rows["databar"]) if tags else "databar" not in rows


def test_a_databar_that_the_study_crops(plan):
    """What remains after the study's crop is recognised, and the advice counts from the border of the file."""
    image = np.vstack([IMAGE, databar()])
    rows, solid, _ = plan(image, crop={"bottom": 24})
    assert "databar" not in rows
    assert agreement(solid) > 0.95
    rows, solid, _ = plan(image, crop={"bottom": 10})
    assert "crop: {bottom: 24}" in rows["databar"]
    assert agreement(solid) > 0.95


@pytest.mark.parametrize(
    ("rotate", "flip", "side"),
    [(90, "none", "left"), (270, "none", "right"), (180, "none", "top"), (0, "depth", "top")],
)
def test_a_turned_image(plan, rotate, flip, side):
    """The databar lies below the image of the file; the advice names the side of the turned image."""
    turned = np.rot90(IMAGE[::-1] if flip == "depth" else IMAGE, rotate // 90)
    image = np.vstack([turned, databar(width=turned.shape[1])])
    rows, solid, _ = plan(image, rotate=rotate, flip=flip)
    assert f"crop: {{{side}: 24}}" in rows["databar"]
    assert agreement(solid) > 0.95


def test_a_databar_within_the_image_is_refused(plan):
    with pytest.raises(
        md.StudyError, match=r"24 rows .* \(rows 160 to 183 of .* crop: \{bottom: 36\}, .* databar: none"
    ):
        plan(np.vstack([IMAGE, databar(), IMAGE[:12]]))
    with pytest.raises(md.StudyError, match=r"24 rows .* crop: \{top: 24\}"):
        plan(np.vstack([databar(), IMAGE]))


@pytest.mark.parametrize(("rotate", "side"), [(0, "left"), (180, "right")])
def test_a_strip_at_the_side_is_reported(plan, rotate, side):
    """A databar of a turned picture; the advice names the side of the image as the study turns it."""
    upright = np.rot90(IMAGE, rotate // 90)
    image = np.hstack([np.zeros((len(upright), 24), "u1"), upright])
    rows, _, _ = plan(image, rotate=rotate, charging="ignore")
    assert rows["blank columns"].startswith("24 columns at the left border")
    assert f"crop: {{{side}: 24}}" in rows["blank columns"]
    assert "blank columns" not in plan(IMAGE)[0]


@pytest.mark.parametrize(("rotate", "side"), [(0, "right"), (90, "bottom")])
def test_a_databar_at_the_side_is_refused(tmp_path, rotate, side):
    """As one above the image is; a strip without text may be structure."""
    iio.imwrite(tmp_path / "a.png", np.hstack([IMAGE, np.rot90(databar(width=ROWS))]))
    settings = {"input": tmp_path / "a.png", "pixel_size": "5 nm", "rotate": rotate}
    with pytest.raises(md.StudyError, match=rf"24 columns at the right border .* crop: \{{{side}: 24\}}, or .* none"):
        take_in(MicrographSettings(**settings), None)
    section = take_in(MicrographSettings(**settings, crop={side: 24}), None)
    assert sorted(section.image.shape) == [ROWS, COLUMNS]
    assert take_in(MicrographSettings(**settings, databar="none", charging="ignore"), None).image.size > ROWS * COLUMNS


def test_white_is_zero(plan, tmp_path):
    tifffile.imwrite(tmp_path / "b.tif", 255 - IMAGE, photometric="miniswhite")
    (tmp_path / "b.yaml").write_text("kind: reconstruct\ninput: b.tif\npixel_size: 5 nm\n")
    planned = md.plan(tmp_path / "b.yaml", measure=False)
    assert "inverted" in dict(planned.program.summary)["photometric"]
    assert agreement(planned.program.inputs[0].values["solid"] > 0) > 0.95


def test_colours(plan):
    """Those of a databar are cut with it; others are refused with their pixel in the file."""
    colours = np.repeat(np.vstack([IMAGE, databar()])[:, :, None], 3, axis=2)
    assert plan(colours)[0]["colours"] == "3 equal channels: one is used"
    colours[170:174, 20:60] = (255, 200, 0)
    rows, solid, _ = plan(colours)
    assert "24 rows" in rows["databar"]
    assert agreement(solid) > 0.95
    with pytest.raises(md.StudyError, match=r"differ, by up to 255 \(row 170, column 20 of the file\)"):
        plan(colours, databar="none")
    colours[5, 7] = (90, 100, 110)
    with pytest.raises(md.StudyError, match=r"differ, by up to 20 \(row 5, column 7 of the file\)"):
        plan(colours)
    assert agreement(plan(colours, crop={"top": 6})[1], SOLID[6:]) > 0.95


def test_three_labels_need_a_choice(plan):
    labels = np.where(SOLID, 255, 0).astype("u1")
    labels[SOLID & (np.arange(COLUMNS) > 90)] = 128
    with pytest.raises(md.StudyError, match=r"pores: required, .* grey values 0, 128, 255 with 35, .* pores: \[0\]"):
        plan(labels)
    for pores in (0, [0]):
        rows, solid, _ = plan(labels, pores=pores)
        assert "pores are 0" in rows["labels"]
        assert agreement(solid) == 1
    assert agreement(plan(labels, pores=[128, 255])[1], ~SOLID) == 1
    with pytest.raises(md.StudyError, match=r"has no 7, but the grey values 0, 128, 255"):
        plan(labels, pores=[0, 7])
    with pytest.raises(md.StudyError, match=r"all values of the image are pores"):
        plan(labels, pores=[0, 128, 255])
    with pytest.raises(md.StudyError, match=r"must be dark or bright, as the image is grey"):
        plan(IMAGE, pores=0)


@pytest.mark.parametrize("ending", ["png", "bmp", "gif", "tif"])
def test_labels_with_colours_of_a_table(tmp_path, ending):
    """The colours of a table mean nothing where the study names a label, nor does a table of inverted greys."""
    labels = np.where(SOLID, 1, 0).astype("u1")
    labels[SOLID & (np.arange(COLUMNS) > 90)] = 2
    for table in ([0, 0, 0, 255, 0, 0, 0, 255, 0], [255, 255, 255, 128, 128, 128, 0, 0, 0]):
        image = Image.fromarray(labels, "P")
        image.putpalette(table + [0] * (768 - len(table)))
        image.save(tmp_path / f"b.{ending}")
        section = take_in(MicrographSettings(input=tmp_path / f"b.{ending}", pixel_size="5 nm", pores=0), None)
        np.testing.assert_array_equal(section.image, np.where(SOLID, 255, 0))
        assert "colours are not used" in dict(section.remarks)["palette"]


@pytest.mark.parametrize("pores", ["dark", "bright"])
@pytest.mark.parametrize("values", [(0, 255), (0, 1), (1, 2)])
def test_binary_images(plan, values, pores):
    low, high = values if pores == "dark" else values[::-1]
    assert agreement(plan(np.where(SOLID, high, low).astype("u1"), pores=pores)[1]) == 1


def test_a_binary_image_after_compression(plan, tmp_path):
    Image.fromarray(np.where(SOLID, 255, 0).astype("u1")).save(tmp_path / "b.jpg", quality=80)
    (tmp_path / "b.yaml").write_text("kind: reconstruct\ninput: b.jpg\npixel_size: 5 nm\n")
    planned = md.plan(tmp_path / "b.yaml", measure=False)
    assert "lossy compression" in dict(planned.program.summary)["two levels"]
    assert agreement(planned.program.inputs[0].values["solid"] > 0) > 0.95


def test_the_former_key_of_pores(plan):
    with pytest.warns(FutureWarning, match=r"segmentation.pores is now pores"):
        _, solid, _ = plan(255 - IMAGE, segmentation={"pores": "bright"})
    assert agreement(solid) > 0.95
    with pytest.raises(md.StudyError, match="former name of 'pores'"):
        plan(255 - IMAGE, segmentation={"pores": "bright"}, pores="dark")


def test_pixel_sizes_that_differ(plan):
    options = {"suffix": ".tif"}
    assert "by the study and FEI metadata" in plan(IMAGE, fei(), pixel_size="5.05 nm", **options)[0]["pixel"]
    with pytest.raises(md.StudyError, match=r"pixel_size: is 3 nm, but the file states 5 nm \(FEI metadata\)"):
        plan(IMAGE, fei(), pixel_size="3 nm", **options)
    scaled = fei(columns=2 * COLUMNS, rows=2 * ROWS)
    with pytest.raises(md.StudyError, match=r"ambiguous: .* 5 nm if it was cropped, 10 nm if it was scaled"):
        plan(IMAGE, scaled, pixel_size=None, **options)
    for size in (5, 10):
        assert plan(IMAGE, scaled, pixel_size=f"{size} nm", **options)[0]["pixel"].startswith(f"{size} nm")
    with pytest.raises(md.StudyError, match=r"but the file states 5 nm .* or 10 nm"):
        plan(IMAGE, scaled, pixel_size="7 nm", **options)


@pytest.mark.parametrize("size", ["0.2 nm", "12 um"])
def test_pixels_that_make_no_sense(plan, size):
    with pytest.raises(md.StudyError, match=r"is no pixel of a micrograph; 0.3 nm to 10 um are read"):
        plan(IMAGE, pixel_size=size)


@pytest.mark.parametrize("axis", ["x", "z"])
def test_pixels_that_are_not_square(plan, axis):
    """Twice as many pixels along one axis, averaged: the section at its own resolution."""
    stretched = np.repeat(SOLID, 2, axis=1 if axis == "x" else 0)
    tags = fei("10e-09" if axis == "x" else "2.5e-09", stretched.shape[1], stretched.shape[0])
    size = "5 x 10" if axis == "x" else "5 x 2.5"
    options = {"suffix": ".tif", "pixel_size": None}
    with pytest.raises(md.StudyError, match=rf"pixels are {size} nm \(x, z\), not square; resample: {axis}"):
        plan(grey(stretched), tags, **options)
    with pytest.raises(md.StudyError, match=rf"resample: .*{size} nm .*; resample: {axis}"):
        plan(grey(stretched), tags, resample="z" if axis == "x" else "x", **options)
    rows, solid, program = plan(grey(stretched), tags, resample=axis, **options)
    assert "averaged along" in rows["resample"]
    assert program.attrs["voxel_size_nm"] == pytest.approx(10 if axis == "x" else 5)
    assert agreement(solid) > 0.95
    binary = np.where(stretched, 255, 0).astype("u1")
    assert agreement(plan(binary, tags, resample=axis, **options)[1]) == 1
    with pytest.raises(md.StudyError, match=r"resample: the pixels are square"):
        plan(IMAGE, fei(), resample=axis, **options)


def test_a_turned_image_with_pixels_that_are_not_square(plan):
    """Sizes turn with the image: what was along a row lies along the depth."""
    stretched = np.repeat(SOLID, 2, axis=0)
    file = np.rot90(stretched)
    options = {"suffix": ".tif", "pixel_size": None, "rotate": 90}
    _, solid, program = plan(grey(file), fei("10e-09", *file.shape[::-1]), resample="z", **options)
    assert program.attrs["voxel_size_nm"] == pytest.approx(10)
    assert agreement(solid) > 0.95


def test_an_aspect_without_a_size(plan, tmp_path):
    Image.fromarray(grey(np.repeat(SOLID, 2, axis=1))).save(tmp_path / "b.png", dpi=(600, 300))
    (tmp_path / "b.yaml").write_text("kind: reconstruct\ninput: b.png\npixel_size: 5 nm\n")
    with pytest.raises(md.StudyError, match=r"pixels are 5 x 10 nm \(x, z\), not square"):
        md.plan(tmp_path / "b.yaml", measure=False)
    planned = md.plan(md.load_study(tmp_path / "b.yaml", resample="x"), measure=False)
    assert planned.program.attrs["voxel_size_nm"] == pytest.approx(10)


def test_text_drawn_into_the_image(plan):
    image = Image.fromarray(IMAGE)
    ImageDraw.Draw(image).rectangle((140, 145, 190, 148), fill=255)
    rows, _, _ = plan(np.asarray(image))
    assert rows["drawn text"].startswith("only rows 145 to 148 of the cropped image have the value 255")
    assert "crop: {bottom: 15}" in rows["drawn text"]


def test_charged_rows(plan):
    image = IMAGE.astype(int)
    image[[30, 31]] += 90
    image = image.clip(0, 255).astype("u1")
    rows, _, _ = plan(image)
    assert rows["charging"].startswith("2 of 160 rows")
    assert rows["charging"].endswith(": 30, 31")
    image[60:64] = (IMAGE[60:64].astype(int) + 90).clip(0, 255)
    with pytest.raises(md.StudyError, match=r"charging: 6 of 160 rows .*: 30, 31, 60, 61, 62, 63; charging: ignore"):
        plan(image)
    assert plan(image, charging="ignore")[0]["charging"].startswith("6 of 160")


def test_problems_that_do_not_depend_on_each_other_are_reported_together(plan, tmp_path):
    """A micrograph needs one correction after another otherwise, each found by another call of plan."""
    image = np.kron(IMAGE, np.ones((8, 8), "u1"))[:200, :300].astype(int)  # some ten pores
    image += np.random.default_rng(4).integers(-3, 4, image.shape)
    image[60:68] += 90
    image = image.clip(0, 255).astype("u1")
    with pytest.raises(md.StudyError) as error:
        plan(image)
    assert {problem.field for problem in error.value.problems} == {"charging", "input"}
    assert "the image shows too few pores" in str(error.value)
    iio.imwrite(tmp_path / "mask.png", np.full((8, 8), 255, "u1"))
    with pytest.raises(md.StudyError) as error:
        plan(IMAGE, pixel_size=None, mask=str(tmp_path / "mask.png"), pores=[7])
    assert {problem.field for problem in error.value.problems} == {"pixel_size", "mask", "pores"}


def test_masks(plan, tmp_path):
    mask = np.full(IMAGE.shape, 255, "u1")
    mask[60:64] = 0
    iio.imwrite(tmp_path / "mask.png", mask)
    image = IMAGE.astype(int)
    image[60:64] += 90
    rows, _, program = plan(image.clip(0, 255).astype("u1"), mask=str(tmp_path / "mask.png"), crop={"top": 8})
    assert rows["mask"].startswith("2.6% of the section is left out")  # 4 of 152 rows
    assert "charging" not in rows
    np.testing.assert_array_equal(program._observation.micrographs[0].mask, mask[8:] > 0)
    assert program._observation.micrographs[0].mask.shape == program._observation.micrographs[0].image.shape
    iio.imwrite(tmp_path / "small.png", mask[:50])
    with pytest.raises(md.StudyError, match="mask: has 50 x 200 pixels, the micrograph 160 x 200"):
        plan(IMAGE, mask=str(tmp_path / "small.png"))
    mask[:100] = 0
    iio.imwrite(tmp_path / "mask.png", mask)
    with pytest.raises(md.StudyError, match="mask: leaves 38% of the section"):
        plan(IMAGE, mask=str(tmp_path / "mask.png"))
    (tmp_path / "other").mkdir()
    iio.imwrite(tmp_path / "other" / "a.png", mask)
    with pytest.raises(md.StudyError, match=r"mask: must have another name than .*a\.png"):
        plan(IMAGE, mask=str(tmp_path / "other" / "a.png"))


def test_a_membrane_that_may_be_upside_down(plan):
    graded = section((1.5, 4.0))
    assert "orientation" not in plan(grey(graded))[0]
    rows, _, _ = plan(grey(graded[::-1]))
    assert rows["orientation"].endswith("is the feed side below? flip: depth turns the image")
    rows, solid, _ = plan(grey(graded[::-1]), flip="depth")
    assert "orientation" not in rows
    assert agreement(solid, graded) > 0.93


def test_saturation_is_reported(plan):
    image = IMAGE.copy()
    image[~SOLID & (IMAGE < 70)] = 0
    rows, _, _ = plan(image)
    assert "have the darkest value, 0: levels are biased" in rows["saturation"]
    assert "no section" not in rows


def test_values_of_twelve_bits(plan):
    """Levels are those of the bits that are used."""
    rows, solid, program = plan(IMAGE.astype("u2") * 16, suffix=".tif")
    assert rows["bits"] == "12 of 16 bits are used: multiplied by 16"
    assert program.inputs[0].values["image"].max() > 40_000
    assert agreement(solid) > 0.95


def test_curtains_are_reported(plan):
    rng = np.random.default_rng(5)
    columns = ndimage.gaussian_filter1d(rng.standard_normal(COLUMNS), 1.2)
    for strength, is_reported in ((0.05, False), (0.2, False), (0.35, True)):
        brightness = 1 + strength * columns / columns.std()
        image = ndimage.gaussian_filter(np.where(SOLID, 0.66, 0.24) * brightness, 0.7)
        image += 0.03 * rng.standard_normal(image.shape)
        rows, _, _ = plan((255 * image.clip(0, 1)).round().astype("u1"))
        assert ("curtains" in rows) is is_reported


def test_a_fracture_surface_is_reported(plan):
    rng = np.random.default_rng(6)
    behind = ndimage.gaussian_filter(rng.standard_normal(SOLID.shape), 5)
    pores = 0.15 + 0.2 * np.clip(behind / behind.std(), 0, 1.5)
    image = ndimage.gaussian_filter(np.where(SOLID, 0.8, pores), 0.7) + 0.02 * rng.standard_normal(SOLID.shape)
    assert "no plane section" in plan((255 * image.clip(0, 1)).round().astype("u1"))[0]["no section"]
    assert "no section" not in plan(IMAGE)[0]


def test_a_text_file_of_another_kind_is_refused(tmp_path):
    iio.imwrite(tmp_path / "a.png", IMAGE)
    (tmp_path / "notes.txt").write_text("imaged on Monday")
    settings = {"input": tmp_path / "a.png", "metadata_file": tmp_path / "notes.txt", "pixel_size": "5 nm"}
    with pytest.raises(md.StudyError, match=r"metadata_file: is no text file of a microscope .* JEOL"):
        take_in(MicrographSettings(**settings), None)


def test_text_files_belong_to_a_run(tmp_path):
    """The run keeps a copy of the text file, and is another one if the text changes."""
    iio.imwrite(tmp_path / "a.png", np.vstack([IMAGE, databar()]))
    text = "$CM_FULL_SIZE 200 160\n$$SM_MICRON_BAR 100\n$$SM_MICRON_MARKER {}\n"
    (tmp_path / "a.txt").write_text(text.format("500nm"))
    (tmp_path / "s.yaml").write_text(
        "kind: reconstruct\ninput: a.png\nvolume: {slices: 16}\nsearch: {closing_radius: [0], roughness: [0]}\n"
        "cluster: {profile: sync}\n"
    )
    run = md.run(tmp_path / "s.yaml", tmp_path / "run", limit=0)
    assert run.result["micrograph"].to_dataset().z.values[1] == pytest.approx(5)
    assert run.result["micrograph"].to_dataset().image.shape == (ROWS, COLUMNS)
    assert any(
        "24 rows below the image by JEOL file a.txt" in line for line in run.result["micrograph"].attrs["remarks"]
    )
    (tmp_path / "a.txt").unlink()
    assert md.load_study(tmp_path / "run" / "study.yaml").metadata_file == tmp_path / "run" / "inputs" / "a.txt"
    identity = md.load_study(tmp_path / "run" / "study.yaml").identity()
    (tmp_path / "a.txt").write_text(text.format("500nm"))
    assert md.load_study(tmp_path / "s.yaml").identity() == identity
    (tmp_path / "a.txt").write_text(text.format("1um"))
    assert md.load_study(tmp_path / "s.yaml").identity() != identity


def test_plan_writes_a_picture(plan, tmp_path):
    """The image above, and the same with outlines; what is cut is red."""
    plan(np.vstack([IMAGE, databar()]))
    result = CliRunner().invoke(
        app, ["plan", str(tmp_path / "s.yaml"), "--no-measure", "--set", "pixel_size=5 nm", "--set", "crop.left=10"]
    )
    assert result.exit_code == 0, result.output
    assert str(tmp_path / "segmentation-preview.png") in result.output
    picture = iio.imread(tmp_path / "segmentation-preview.png").astype(int)
    rows, columns = ROWS + 24, COLUMNS
    scale = picture.shape[0] // rows if picture.shape[1] > 2 * columns else picture.shape[1] // columns
    picture = picture[::scale, ::scale][: 2 * rows + 8]
    image, marked = picture[:rows], picture[-rows:]
    assert (image[..., 0] == image[..., 1]).all()
    is_red = (marked[..., 0] - marked[..., 2] > 60) & (marked[..., 1] - marked[..., 2] < 40)
    assert is_red[-24:].all()
    is_outlined = (marked == (255, 140, 0)).all(axis=-1)
    assert 0.05 < is_outlined[:ROWS, 10:].mean() < 0.4
    assert not is_outlined[-24:].any()
    assert not is_outlined[:, :10].any()
