"""Sizes, axes and lookup tables as instruments and programs write them: read, or refused where they disagree."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
import zarr

from membrane_dask.io.image_metadata import find_text_file
from membrane_dask.io.micrographs import read_micrograph
from membrane_dask.io.volume_file import ReadOptions
from membrane_dask.io.volumes import open_volume_source

GREY = np.random.default_rng(3).integers(0, 255, (24, 32)).astype("u1")
VOLUME = np.where(np.random.default_rng(4).random((5, 6, 7)) < 0.6, 255, 0).astype("u1")
WHOLE = (slice(0, 5), slice(0, 6), slice(0, 7))
OME = (
    '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0">'
    '<Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" SizeX="32" SizeY="24" SizeZ="1" SizeC="1" SizeT="1" '
    "{}><TiffData/></Pixels></Image></OME>"
)


def write(path, description=None, values=GREY, **options):
    tifffile.imwrite(path, values, photometric="minisblack", metadata=None, description=description, **options)
    return path


def edge(path, text_file=None):
    return read_micrograph(path, text_file=text_file).pixel_nm


def zeiss(*lines):
    text = "".join(f"{key}\r\n{line}\r\n" for key, line in lines)
    return {"extratags": [(34118, 2, 0, ("0\r\n" * 36 + text).encode("cp1252"), True)]}


def fei(**fields):
    scan = {"PixelWidth": "5e-09", "PixelHeight": "5e-09", "HorFieldsize": "1.6e-07"} | fields
    text = "[Scan]\r\n" + "".join(f"{key}={value}\r\n" for key, value in scan.items()) + "[Image]\r\nResolutionX=32\r\n"
    return {"extratags": [(34682, 2, 0, text, True)]}


def test_imagej_axes_have_units_of_their_own(tmp_path):
    """ImageJ writes yunit and zunit where they differ from unit."""
    text = "ImageJ=1.53t\nimages=5\nslices=5\nunit=um\nyunit=nm\nzunit=nm\nspacing=6\n"
    path = write(tmp_path / "v.tif", text, VOLUME, resolution=(200, 0.2), resolutionunit=1)
    assert open_volume_source(path).edges_nm == pytest.approx((6, 5, 5))
    assert edge(write(tmp_path / "m.tif", text.replace("images=5\nslices=5\n", ""), resolution=(200, 0.2),
                      resolutionunit=1)) == pytest.approx(5)  # fmt: skip


@pytest.mark.parametrize(
    "options",
    [
        fei(PixelWidth="5,0e-09", PixelHeight="5,0e-09"), fei(PixelHeight=""),
        zeiss(("AP_IMAGE_PIXEL_SIZE", "Image Pixel Size = 5,000 nm")),
        zeiss(("AP_WIDTH", "Width = 0,160 µm"), ("AP_HEIGHT", "Height = 0,120 µm")),
        {"description": OME.format('PhysicalSizeX="0,005" PhysicalSizeY="0,005"')},
    ],
)  # fmt: skip
def test_decimal_commas_in_tags(tmp_path, options):
    assert edge(write(tmp_path / "m.tif", **options)) == pytest.approx(5)


@pytest.mark.parametrize(
    ("ending", "content"),
    [
        (".txt", b"$$SM_MICRON_BAR 20\r\n$$SM_MICRON_MARKER 0,1um\r\n"),
        (".txt", "$$SM_MICRON_BAR 20\r\n$$SM_MICRON_MARKER 0.1μm\r\n".encode("cp932")),
        (".txt", b"[SemImageFile]\r\nPixelSize=5,0\r\n"),
        (".txt", b"[SemImageFile]\r\nPixelSize=0.005um\r\n"),
        (".hdr", b"[MAIN]\r\nPixelSizeX=5,0e-9\r\nPixelSizeY=5,0e-9\r\n"),
    ],
)
def test_numbers_and_units_in_text_files(tmp_path, ending, content):
    path = write(tmp_path / "m.tif")
    path.with_suffix(ending).write_bytes(content)
    assert edge(path, find_text_file(path)) == pytest.approx(5)


@pytest.mark.parametrize(
    "options",
    [
        fei(HorFieldsize="3.2e-07"),
        fei() | {"resolution": (1e6, 1e6), "resolutionunit": 3},
        {"description": OME.format('PhysicalSizeX="0.005"'), "resolution": (1e6, 1e6), "resolutionunit": 3},
        {"description": "ImageJ=1.53t\nunit=um\n", "resolution": (1e6, 1e6), "resolutionunit": 3},
    ],
)
def test_sizes_that_disagree(tmp_path, options):
    """A width of the field, or a resolution per centimetre, of another size than the other tags."""
    micrograph = read_micrograph(write(tmp_path / "m.tif", **options))
    assert micrograph.pixel_nm is None
    assert "disagree" in micrograph.source
    assert "10 nm" in micrograph.source


def test_resolutions_that_agree(tmp_path):
    path = write(tmp_path / "m.tif", **fei(), resolution=(2e6, 2e6), resolutionunit=3)
    assert edge(path) == pytest.approx(5)


def test_print_resolution_per_centimetre(tmp_path):
    micrograph = read_micrograph(write(tmp_path / "m.tif", resolution=(236.22, 236.22), resolutionunit=3))
    assert not micrograph.metadata.pixels
    assert "600 per inch" in micrograph.source


def test_ome_without_image(tmp_path):
    path = write(tmp_path / "m.ome.tif", '<?xml version="1.0"?><OME xmlns="http://x/OME/2016-06"></OME>')
    with pytest.raises(ValueError, match="OME metadata describe no image"):
        read_micrograph(path)


def test_smaller_copies_and_further_images(tmp_path):
    """A preview is no micrograph; images that were written one by one are a stack."""
    small = GREY[::4, ::4].copy()

    def pages(*images):
        with tifffile.TiffWriter(tmp_path / "m.tif") as file:
            for image in images:
                file.write(image, photometric="minisblack", subfiletype=int(image is small))
        return tmp_path / "m.tif"

    np.testing.assert_array_equal(read_micrograph(pages(GREY, small)).pixels, GREY)
    with pytest.raises(ValueError, match="smaller copy"):
        read_micrograph(pages(small, GREY))
    with pytest.raises(ValueError, match="24 x 32, 8 x 32 pixels"):
        read_micrograph(pages(GREY, GREY[:8].copy()))
    with pytest.raises(ValueError, match="select it with 'page'"):
        read_micrograph(pages(GREY, 255 - GREY))
    np.testing.assert_array_equal(read_micrograph(pages(GREY, 255 - GREY), 1).pixels, 255 - GREY)


def test_inverting_lookup_table_of_imagej(tmp_path):
    """A composite of one channel keeps its table apart from the values; labels do not depend on it."""
    table = np.tile(np.arange(255, -1, -1, "u1"), (3, 1))
    path = tmp_path / "v.tif"
    tifffile.imwrite(path, VOLUME, imagej=True, metadata={"axes": "ZYX", "mode": "composite", "LUTs": [table]})
    with pytest.raises(ValueError, match="inverting lookup table"):
        open_volume_source(path)
    np.testing.assert_array_equal(open_volume_source(path, 0).read(WHOLE), VOLUME == 0)
    with pytest.raises(ValueError, match="inverting lookup table"):
        read_micrograph(path, 0)


def test_true_as_minus_one(tmp_path):
    path = write(tmp_path / "v.tif", values=np.where(VOLUME, -1, 0).astype("i1"))
    with pytest.raises(ValueError, match="pores: 0 or pores: -1"):
        open_volume_source(path)
    np.testing.assert_array_equal(open_volume_source(path, 0).read(WHOLE), VOLUME == 0)


def test_axes_of_hdf5(tmp_path):
    """Axis tags of ilastik and dimension labels; element_size_um is along z, y, x."""
    h5py = pytest.importorskip("h5py")
    reversed_axes = VOLUME.transpose(2, 1, 0)
    with h5py.File(tmp_path / "v.h5", "w") as file:
        tagged = file.create_dataset("tagged", data=reversed_axes[..., None])
        tagged.attrs["axistags"] = json.dumps({"axes": [{"key": key} for key in "xyzc"]})
        tagged.attrs["element_size_um"] = [0.006, 0.005, 0.004]
        labelled = file.create_dataset("labelled", data=reversed_axes)
        for dimension, name in zip(labelled.dims, "xyz", strict=True):
            dimension.label = name
    for name, edges in (("tagged", (6, 5, 4)), ("labelled", (None, None, None))):
        volume = open_volume_source(tmp_path / "v.h5", options=ReadOptions(dataset=name))
        assert volume.edges_nm == (pytest.approx(edges) if edges[0] else edges)
        np.testing.assert_array_equal(volume.read(WHOLE), VOLUME == 0)


def test_axes_of_zarr_by_xarray(tmp_path):
    array = zarr.open_group(tmp_path / "v.zarr", mode="w", zarr_format=2).create_array(
        "v", data=VOLUME.transpose(2, 1, 0).copy()
    )
    array.attrs["_ARRAY_DIMENSIONS"] = ["x", "y", "z"]
    assert open_volume_source(tmp_path / "v.zarr", options=ReadOptions(dataset="v")).shape == VOLUME.shape


def test_units_of_nrrd_are_those_of_space(tmp_path):
    """Vectors of the axes of the array have their components along the axes of space, which the units belong to."""
    head = (
        "NRRD0004\ntype: uint8\ndimension: 3\nsizes: 7 6 5\nspace dimension: 3\n"
        'space directions: (0,0,0.005) (0,5,0) (6,0,0)\nspace units: "nm" "nm" "um"\nencoding: raw\n\n'
    )
    (tmp_path / "v.nrrd").write_bytes(head.encode() + VOLUME.tobytes())
    volume = open_volume_source(tmp_path / "v.nrrd")  # whose fastest axis runs along z of space
    assert volume.shape == (7, 6, 5)
    assert volume.edges_nm == pytest.approx((5, 5, 6))


def test_steps_and_letters_in_names_of_planes(tmp_path):
    """Every tenth plane of a stack is a volume whose plan says so; letters are no numbers."""
    for k, plane in enumerate(VOLUME):
        write(tmp_path / f"s{10 * k:03d}.tif", values=plane)
    assert "numbered in steps of 10" in dict(open_volume_source(tmp_path).remarks)["file"]
    for k in range(5):
        (tmp_path / f"s{10 * k:03d}.tif").rename(tmp_path / f"s_{'abcde'[k]}.tif")
    with pytest.raises(ValueError, match=r"differ by more than a number: s_a\.tif"):
        open_volume_source(tmp_path)
