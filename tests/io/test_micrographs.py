"""Micrographs from files: their grey values and the pixel size in their metadata."""

from __future__ import annotations

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile

from membrane_dask.io.micrographs import read_micrograph

IMAGE = (np.random.default_rng(0).random((40, 50)) * 200).astype(np.uint8)


@pytest.mark.parametrize(
    ("suffix", "dtype"),
    [(".tif", np.uint8), (".tif", np.uint16), (".TIFF", np.float32), (".png", np.uint8), (".PNG", np.uint16)],
)
def test_grey_images(tmp_path, dtype, suffix):
    image = (np.random.default_rng(0).random((40, 50)) * 200).astype(dtype)
    iio.imwrite(tmp_path / f"a{suffix}", image, extension=suffix.lower())
    np.testing.assert_array_equal(read_micrograph(tmp_path / f"a{suffix}").image, image)


def test_black_and_white(tmp_path):
    image = np.random.default_rng(0).random((40, 50)) < 0.5
    iio.imwrite(tmp_path / "a.png", image)
    np.testing.assert_array_equal(read_micrograph(tmp_path / "a.png").image, np.where(image, 255, 0))


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_deflate", "packbits"])
def test_compressed_tiff(tmp_path, compression):
    from PIL import Image

    image = (np.random.default_rng(0).random((40, 50)) * 200).astype(np.uint8)
    Image.fromarray(image).save(tmp_path / "a.tif", compression=compression)
    np.testing.assert_array_equal(read_micrograph(tmp_path / "a.tif").image, image)


def test_a_stack_of_pages_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((5, 40, 50), np.uint8))
    with pytest.raises(ValueError, match=r"a\.tif has the shape \(5, 40, 50\)"):
        read_micrograph(tmp_path / "a.tif")
    np.testing.assert_array_equal(read_micrograph(tmp_path / "a.tif", page=2).image, np.zeros((40, 50)))
    with pytest.raises(ValueError, match="5 pages"):
        read_micrograph(tmp_path / "a.tif", page=5)


def test_numpy_files(tmp_path):
    np.save(tmp_path / "a.npy", IMAGE)
    micrograph = read_micrograph(tmp_path / "a.npy")
    np.testing.assert_array_equal(micrograph.image, IMAGE)
    assert micrograph.pixel_nm is None
    np.save(tmp_path / "b.npy", np.array([object()]), allow_pickle=True)
    with pytest.raises(ValueError, match="cannot be read"):
        read_micrograph(tmp_path / "b.npy")


@pytest.mark.parametrize(
    ("options", "nm"),
    [
        ({"imagej": True, "resolution": (1 / 2.5, 1 / 2.5), "metadata": {"unit": "nm"}}, 2.5),
        ({"imagej": True, "resolution": (200.0, 200.0), "metadata": {"unit": "um"}}, 5.0),
        ({"ome": True, "metadata": {"axes": "YX", "PhysicalSizeX": 0.003, "PhysicalSizeXUnit": "µm"}}, 3.0),
        ({"ome": True, "metadata": {"axes": "YX", "PhysicalSizeX": 4.0, "PhysicalSizeXUnit": "nm"}}, 4.0),
        ({"resolution": (2e6, 2e6), "resolutionunit": "CENTIMETER"}, 5.0),
    ],
)
def test_pixel_size_in_the_metadata(tmp_path, options, nm):
    tifffile.imwrite(tmp_path / "a.tif", IMAGE, **options)
    assert read_micrograph(tmp_path / "a.tif").pixel_nm == pytest.approx(nm, rel=1e-5)  # resolutions are rounded ratios


@pytest.mark.parametrize(
    "options",
    [
        {"resolution": (300, 300), "resolutionunit": "INCH"},
        {"imagej": True, "resolution": (300, 300), "metadata": {"unit": "inch"}},
        {"resolution": (118, 118), "resolutionunit": "CENTIMETER"},  # 300 dots per inch
        {},
    ],
)
def test_a_print_resolution_is_not_a_pixel_size(tmp_path, options):
    tifffile.imwrite(tmp_path / "a.tif", IMAGE, **options)
    micrograph = read_micrograph(tmp_path / "a.tif")
    assert micrograph.pixel_nm is None
    assert micrograph.source


def test_the_banner_of_a_microscope_is_cut_off(tmp_path):
    """FEI metadata hold the number of rows without it."""
    metadata = "[Scan]\r\nPixelWidth=2.5e-09\r\n[Image]\r\nResolutionX=50\r\nResolutionY=36\r\n"
    tifffile.imwrite(tmp_path / "a.tif", IMAGE, metadata=None, extratags=[(34682, "s", 0, metadata, True)])
    micrograph = read_micrograph(tmp_path / "a.tif")
    assert micrograph.pixel_nm == pytest.approx(2.5)
    np.testing.assert_array_equal(micrograph.image, IMAGE[:36])
