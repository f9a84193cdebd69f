"""Volumes in TIFF files of ImageJ: numbers of images and lengths by the description, compared with the file."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from membrane_dask.io.volumes import open_volume_source

SOLID = np.random.default_rng(0).random((9, 16, 32)) < 0.6
GREY = np.where(SOLID, 255, 0).astype("u1")
WHOLE = (slice(0, 9), slice(0, 16), slice(0, 32))


def write(path, lines, planes=GREY, compression=None):
    """A file with a page for each plane, and a description as ImageJ writes it."""
    description = "\n".join(["ImageJ=1.54f", *lines, ""])
    with tifffile.TiffWriter(path) as file:
        for number, plane in enumerate(planes):
            file.write(
                plane, contiguous=False, metadata=None, photometric="minisblack", compression=compression,
                description=None if number else description,
            )  # fmt: skip
    return path


@pytest.mark.parametrize(
    "lines",
    [
        [], ["images=9"], ["images=9", "slices=9"], ["images=9", "slices=9", "hyperstack=true"], ["slices=9"],
        ["images=9", "channels=1", "slices=9", "frames=1"], ["unit=um", "loop=false"],
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("compression", [None, "deflate"])
def test_descriptions_that_agree_with_the_file(tmp_path, lines, compression):
    volume = open_volume_source(write(tmp_path / "v.tif", lines, compression=compression))
    np.testing.assert_array_equal(volume.read(WHOLE), ~SOLID)


@pytest.mark.parametrize("compression", [None, "deflate"])
@pytest.mark.parametrize(
    ("lines", "planes", "message"),
    [
        (["images=9", "slices=9"], 6, "images=9, slices=9, but the file holds 6 images: if images were lost"),
        (["images=9"], 6, "images=9, but the file holds 6 images"),
        (["slices=9"], 6, "slices=9, but the file holds 6 images"),
        (["images=12", "slices=3", "frames=4"], 9, "images=12, slices=3, frames=4, but the file holds 9 images"),
        (["images=6", "slices=6"], 9, "images=6, slices=6, but the file holds 9 images: if further images were added"),
        (["images=3", "channels=3"], 9, "images=3, channels=3, but the file holds 9 images"),
        (["images=1"], 9, "images=1, but the file holds 9 images"),
        (["images=9", "slices=6"], 9, "states images=9, slices=6: 9 images, but 6 by channels, slices and frames"),
        (["images=6", "slices=9"], 9, "states images=6, slices=9: 6 images, but 9 by channels, slices and frames"),
        (["images=9", "slices=9"], 1, "images=9, slices=9, but the file holds 1 image"),
    ],
)
def test_another_number_of_images_is_refused(tmp_path, lines, planes, message, compression):
    """Both numbers are named, whether the values follow one another in the file or not."""
    path = write(tmp_path / "v.tif", lines, GREY[:planes], compression)
    with pytest.raises(ValueError, match=rf"v\.tif cannot be read as a volume: .*{message}"):
        open_volume_source(path)


def test_a_hyperstack_with_one_page_that_was_cut_off(tmp_path):
    path = tmp_path / "v.tif"
    write(path, ["images=9", "slices=9"], GREY[:1])
    with tifffile.TiffFile(path) as file:
        offset = file.pages[0].dataoffsets[0]
    content = path.read_bytes()[:offset] + GREY.tobytes()
    path.write_bytes(content)
    np.testing.assert_array_equal(open_volume_source(path).read(WHOLE), ~SOLID)
    path.write_bytes(content[:-1])
    with pytest.raises(ValueError, match="images=9, slices=9, but the file holds 1 image: if images were lost"):
        open_volume_source(path)


def test_colours_that_are_counted_as_channels(tmp_path):
    """Bio-Formats counts the samples of a page as channels."""
    planes = np.stack([GREY] * 3, axis=-1)
    path = tmp_path / "v.tif"
    with tifffile.TiffWriter(path) as file:
        for number, plane in enumerate(planes):
            description = None if number else "ImageJ=\nimages=9\nchannels=3\nslices=9\nhyperstack=true\n"
            file.write(plane, contiguous=False, metadata=None, photometric="rgb", description=description)
    np.testing.assert_array_equal(open_volume_source(path).read(WHOLE), ~SOLID)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["images=9", "slices=9", "unit=um", "spacing=0,25"], r"spacing, is '0,25'; allowed is .* such as 0\.25"),
        (["images=9", "slices=9", "spacing=0,25"], r"spacing, is '0,25'; allowed is .* such as 0\.25"),
        (["images=9", "slices=9", "unit=um", "spacing=wide"], "spacing, is 'wide'; allowed is a number with a decimal"),
        (["images=9,0", "slices=9"], "images, is '9,0'; allowed is a whole number"),
        (["images=9", "slices=9.5"], r"slices, is '9\.5'; allowed is a whole number"),
    ],
)
def test_entries_that_are_no_numbers_are_named(tmp_path, lines, message):
    with pytest.raises(ValueError, match=f"its ImageJ description, {message}"):
        open_volume_source(write(tmp_path / "v.tif", lines))
