"""What an image is: databars, labels, charged rows, a plane section, the side of the finer pores."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from membrane_dask.physics.imaging.charging import charged_rows, noise_of
from membrane_dask.physics.imaging.databar import find_strips
from membrane_dask.physics.imaging.grey_values import find_labels
from membrane_dask.physics.imaging.image_model import ImageModel
from membrane_dask.physics.imaging.plane_section import visible_depth
from membrane_dask.physics.imaging.resampling import area_means
from membrane_dask.physics.reconstruction.orientation import side_lengths


def section(seed=0, *, shape=(256, 320), widths=(1.5, 4.0), porosity=0.35):
    """Solid of a graded level-cut field, finer above."""
    rng = np.random.default_rng(seed)
    fields = [ndimage.gaussian_filter(rng.standard_normal(shape), width) for width in widths]
    depth = np.linspace(0, 1, shape[0])[:, None]
    field = np.sqrt(1 - depth) * fields[0] / fields[0].std() + np.sqrt(depth) * fields[1] / fields[1].std()
    return field > np.quantile(field, porosity)


def micrograph(seed=0, *, noise=0.05, blur=1.0, levels=(0.24, 0.66), binary=False, **structure):
    """Grey image of 8 bits of such a section."""
    solid = section(seed, **structure)
    if binary:
        return np.where(solid, 255, 0).astype("u1")
    grey = ndimage.gaussian_filter(np.where(solid, levels[1], levels[0]), blur)
    grey += noise * np.random.default_rng(seed + 1).standard_normal(grey.shape)
    return (grey.clip(0, 1) * 255).round().astype("u1")


def databar(width, rows, *, background=0, text=255, frame=False, gradient=0.0, noise=0.0, lines=1):
    """Databar with text, as makers draw it."""
    image = Image.new("L", (width, rows), background)
    draw, height = ImageDraw.Draw(image), rows / lines
    for line in range(lines):
        draw.text(
            (8, (line + 0.15) * height), "HV 5.00 kV  WD 4.1 mm  mag 20 000 x  500 nm", fill=text,
            font=ImageFont.load_default(size=max(7, int(0.6 * height))),
        )  # fmt: skip
    bar = np.asarray(image) + gradient * np.linspace(0, 1, width)
    bar = (bar + noise * np.random.default_rng(0).standard_normal(bar.shape)).clip(0, 255).astype("u1")
    if frame:
        bar[[0, 1, -1]] = text
    return bar


def as_jpeg(image, quality):
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream))


SECTIONS = {
    "graded": {}, "noisy": {"noise": 0.12}, "dense": {"porosity": 0.12}, "open": {"porosity": 0.75},
    "saturated": {"levels": (0.0, 0.7)}, "without noise": {"noise": 0.0}, "binary": {"binary": True},
    "binary and dense": {"binary": True, "porosity": 0.1, "widths": (3.0, 6.0)},
}  # fmt: skip
BARS = {
    "black": {}, "white": {"background": 255, "text": 0}, "grey": {"background": 90}, "two lines": {"lines": 2},
    "framed": {"frame": True}, "graded": {"background": 60, "gradient": 30.0}, "noisy": {"background": 40, "noise": 3},
    "as bright as the solid": {"background": 168, "text": 0},
}  # fmt: skip


@pytest.mark.parametrize("quality", [None, 75])
@pytest.mark.parametrize("bar", BARS)
@pytest.mark.parametrize("name", SECTIONS)
def test_the_rows_of_databars(name, bar, quality):
    image = micrograph(**SECTIONS[name])
    image = np.vstack([image, databar(image.shape[1], 40, **BARS[bar])])
    (strip,) = find_strips(as_jpeg(image, quality) if quality else image)
    # Blocks of a JPEG are 8 rows; 256 rows are whole blocks, but the frame is blurred into its block.
    assert abs(strip.start - 256) <= (1 if quality else 0)
    assert strip.stop == len(image)


def test_a_databar_within_the_image():
    image = micrograph()
    bar = databar(320, 30)
    (strip,) = find_strips(np.vstack([image, bar, image[:20]]))
    assert (strip.start, strip.stop, strip.has_text) == (256, 286, True)
    (strip,) = find_strips(np.vstack([bar, image]))
    assert (strip.start, strip.stop) == (0, 30)


@pytest.mark.parametrize("name", SECTIONS)
@pytest.mark.parametrize("seed", range(3))
def test_sections_have_no_databar(name, seed):
    assert find_strips(micrograph(seed, **SECTIONS[name])) == []


@pytest.mark.parametrize("noise", [0, 3])
def test_resin_with_an_edge_of_its_own_is_no_databar(noise):
    """A dense layer or resin begins at another row in every column."""
    rng = np.random.default_rng(0)
    edge = 200 + 20 * ndimage.gaussian_filter1d(rng.standard_normal(320), 8)
    resin = 170 + noise * rng.standard_normal((256, 320))
    image = np.where(np.arange(256)[:, None] > edge, resin, micrograph()).astype("u1")
    assert find_strips(image) == []


@pytest.mark.parametrize("values", [[0, 128, 255], [0, 1, 2], [1, 2, 3], [85, 170, 255], [7, 8], list(range(12))])
@pytest.mark.parametrize("dtype", ["u1", "u2", "f4", "i4"])
def test_labels(values, dtype):
    image = np.array(values, dtype)[np.random.default_rng(0).integers(0, len(values), (60, 60))]
    labels = find_labels(image)
    np.testing.assert_array_equal(labels.values, values)
    assert labels.fractions.sum() == pytest.approx(1)


def test_two_phases_with_little_noise_are_no_labels():
    """Ten values, in two runs of adjacent ones."""
    values = np.array([50, 51, 52, 53, 54, 210, 211, 212, 213, 214], "u1")
    assert find_labels(values[np.random.default_rng(0).integers(0, 10, (60, 60))]) is None


def test_interpolated_labels():
    """Where labels were interpolated, other values lie between them; they take the nearest label."""
    wide = np.repeat(np.array([0, 128, 255], "u1"), 30)[None].repeat(40, axis=0)
    image = wide.copy()
    image[:, 30], image[:, 60] = np.arange(40) + 40, np.arange(40) + 150
    labels = find_labels(image)
    np.testing.assert_array_equal(labels.values, [0, 128, 255])
    assigned = labels.assigned(image)
    assert (assigned != wide).mean() <= 2 / 90
    assert set(np.unique(assigned)) == {0, 128, 255}


@pytest.mark.parametrize("name", [name for name in SECTIONS if "binary" not in name])
def test_grey_images_have_no_labels(name):
    image = micrograph(**SECTIONS[name])
    assert find_labels(image) is None
    assert find_labels((image // 4) * 4) is None  # stretched contrast: not every value occurs
    assert name == "without noise" or find_labels(as_jpeg(image, 90), is_lossy=True) is None


@pytest.mark.parametrize("quality", [50, 75, 95])
def test_a_binary_image_after_compression(quality):
    image = micrograph(binary=True)
    labels = find_labels(as_jpeg(image, quality), is_lossy=True)
    np.testing.assert_allclose(labels.values, [0, 255], atol=2)


@pytest.mark.parametrize("quality", [50, 75, 95])
def test_labels_after_compression(quality):
    """Between 0 and 255 lie values near 128, which are no third label."""
    solid = section(widths=(4.0, 6.0))
    image = np.where(solid, 255, 0).astype("u1")
    image[solid & (np.arange(solid.shape[1]) > 150)] = 128
    compressed = as_jpeg(image, quality)
    labels = find_labels(compressed)
    np.testing.assert_allclose(labels.values, [0, 128, 255], atol=2)
    assigned = labels.assigned(compressed)
    assert ((assigned < 64) != (image < 64)).mean() < 0.02  # edges move by less than a pixel


@pytest.mark.parametrize("quality", [50, 75, 90])
@pytest.mark.parametrize("levels", [(0, 120, 240), (50, 120, 200)])
def test_fine_labels_after_strong_compression(quality, levels):
    """Ringing spreads more than half of a label, but squares far from edges have no noise."""
    image = np.array(levels, "u1")[section(widths=(3.0, 4.0)) * (1 + (np.arange(320) > 190))]
    labels = find_labels(as_jpeg(image, quality))
    np.testing.assert_allclose(labels.values, levels, atol=2)


def test_charged_rows():
    """A band, single rows, and none by pores, gradients of porosity, shading or curtains."""
    image = micrograph().astype(float)
    shading = 1 + 0.12 * np.linspace(-1, 1, 256)[:, None]
    curtains = 1 + 0.05 * np.random.default_rng(2).standard_normal(320)
    image *= shading * curtains
    assert not len(charged_rows(image))
    rows = [40, 41, 42, 43, 100, 200]
    image[rows] += 8 * 0.05 * 255
    np.testing.assert_array_equal(charged_rows(image), rows)
    mask = np.ones(image.shape, bool)
    mask[40:44] = False
    np.testing.assert_array_equal(charged_rows(image, mask), [100, 200])


@pytest.mark.parametrize("noise", [0.02, 0.05, 0.1])
def test_noise(noise):
    """Within 20 %: fine pores leave few pixels that are far from edges."""
    assert noise_of(micrograph(noise=noise).astype(float)) / 255 == pytest.approx(noise, rel=0.2)


@pytest.mark.parametrize("noise", [0.02, 0.05])
def test_a_fracture_surface(noise):
    """Walls behind the pores, or darker and brighter pores; none of either on plane sections."""
    solid = section(widths=(4.0, 6.0))
    model = ImageModel(pore_level=0.24, solid_level=0.66, noise=noise, blur=1.0)
    rng = np.random.default_rng(0)

    def depth(pores):
        grey = ndimage.gaussian_filter(np.where(solid, 0.66, pores), 1.0)
        return visible_depth(grey + noise * rng.standard_normal(grey.shape), solid, model)

    assert not depth(0.24).is_visible
    behind = ndimage.gaussian_filter(rng.standard_normal(solid.shape), 6)
    assert depth(0.24 + 0.2 * (behind > 0)).is_visible
    assert depth(0.24 + 0.18 * np.clip(behind / behind.std(), 0, 2)).is_visible


def test_pixels_outside_of_a_mask_do_not_decide_the_finer_side():
    """Fine debris covers half of the lower quarter of a uniform section."""
    solid = section(shape=(256, 400), widths=(3.0, 3.0))
    mask = np.ones(solid.shape, bool)
    mask[200:, 100:300] = False
    covered = np.where(mask, solid, section(1, shape=(256, 400), widths=(0.7, 0.7)))
    assert side_lengths(covered).is_finer_below
    assert not side_lengths(covered, mask).is_finer_below
    assert side_lengths(covered, mask) == side_lengths(solid, mask)


def test_the_finer_side():
    solid = section(shape=(256, 400))
    assert not side_lengths(solid).is_finer_below
    sides = side_lengths(solid[::-1])
    assert sides.is_finer_below
    assert sides.lower < sides.upper
    uniform = [side_lengths(section(seed, widths=(3.0, 3.0))).is_finer_below for seed in range(20)]
    assert sum(uniform) <= 1  # three standard errors, of eight blocks: 1 % of t with 7 degrees of freedom


@pytest.mark.parametrize(("factor", "count"), [(2.0, 4), (1.5, 6), (1.0, 9), (4.6, 1)])
@pytest.mark.parametrize("axis", [0, 1])
def test_area_means(factor, count, axis):
    """Against the mean of an image divided into pixels of a hundredth."""
    image = np.random.default_rng(0).random((9, 9))
    fine = np.repeat(image, 100, axis=axis)
    step = round(100 * factor)
    pieces = np.split(np.take(fine, range(count * step), axis=axis), count, axis=axis)
    expected = np.concatenate([piece.mean(axis=axis, keepdims=True) for piece in pieces], axis=axis)
    np.testing.assert_allclose(area_means(image, factor, axis), expected, rtol=1e-12)
