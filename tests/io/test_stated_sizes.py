"""Sizes, axes and lookup tables as instruments and programs write them: read, or refused where they disagree."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
import zarr

from membrane_dask.errors import StudyError
from membrane_dask.io.image_metadata import find_text_file
from membrane_dask.io.micrographs import read_micrograph
from membrane_dask.io.volume_file import ReadOptions
from membrane_dask.io.volumes import open_volume_source
from membrane_dask.studies.characterize.config import CharacterizeStudy
from membrane_dask.studies.input_volumes import InputVolumes

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
    ("unit", "nm"),
    [
        ("\\u00B5m", 1e3), ("\\u03BCm", 1e3), ("\u03bc", 1e3), ("\u339b", 1e3), ("\\u00C5", 0.1), ("\u212b", 0.1),
        ("Nanometers", 1.0), ("cm", 1e7), ("inch", 25.4e6), ("mm", 1e6),
    ],
)  # fmt: skip
def test_spellings_of_units(tmp_path, unit, nm):
    """As ImageJ escapes them, with either micro sign, in one character; the distance has no sign."""
    text = f"ImageJ=1.53t\nimages=5\nslices=5\nunit={unit}\nspacing={-5 / nm:.12f}\n".encode()
    path = write(tmp_path / "v.tif", text, VOLUME, resolution=(nm / 5, nm / 5), resolutionunit=1)
    assert open_volume_source(path).edges_nm == pytest.approx((5, 5, 5), rel=1e-3)  # the distance has 12 decimals


@pytest.mark.parametrize("unit", ["unit=pixel\n", "unit=furlong\n", ""])
def test_a_distance_between_planes_in_an_unknown_unit_is_a_ratio(tmp_path, unit):
    """Voxels that are three pixels deep are no cubes, whatever a pixel is; a distance of 1 states nothing."""
    text = "ImageJ=1.53t\nimages=5\nslices=5\n" + unit
    path = write(tmp_path / "v.tif", text + "spacing=3\n", VOLUME, resolution=(1, 1), resolutionunit=1)
    with pytest.raises(StudyError, match=r"is 5 nm, but .* 3 x 1 x 1 of an unknown unit .* \[3 nm, 1 nm, 1 nm\]"):
        with_size(path, "5 nm")
    with_size(path, ["15 nm", "5 nm", "5 nm"])
    path = write(tmp_path / "v.tif", text + "spacing=1\n", VOLUME, resolution=(200, 200), resolutionunit=1)
    with_size(path, "5 nm")
    path = write(tmp_path / "v.tif", values=VOLUME, resolution=(2, 1), resolutionunit=1)
    with_size(path, ["7 nm", "10 nm", "5 nm"])  # the distance is open, the shape of a pixel is not
    with pytest.raises(StudyError, match=r"\? x 2 x 1 of an unknown unit"):
        with_size(path, "5 nm")


def test_ome_sizes_in_pixels_are_a_ratio(tmp_path):
    sizes = {f"PhysicalSize{axis}": 15.0 if axis == "Z" else 5.0 for axis in "XYZ"}
    units = {f"PhysicalSize{axis}Unit": "pixel" for axis in "XYZ"}
    tifffile.imwrite(tmp_path / "v.ome.tif", VOLUME, metadata={"axes": "ZYX"} | sizes | units)
    volume = open_volume_source(tmp_path / "v.ome.tif")
    assert volume.edges.ratio == pytest.approx((3, 1, 1))
    assert "the unit 'pixel', which is no unit of length" in volume.voxel_size_source


def with_size(path, size):
    return InputVolumes.of(CharacterizeStudy(input=path, voxel_size=size), None).volumes[0]


@pytest.mark.parametrize("distance", [0.0, -5.0])
def test_edges_that_are_no_lengths_name_what_to_set(tmp_path, distance):
    sizes = {f"PhysicalSize{axis}": distance if axis == "Z" else 5.0 for axis in "XYZ"}
    tifffile.imwrite(tmp_path / "v.ome.tif", VOLUME, metadata={"axes": "ZYX"} | sizes)
    with pytest.raises(ValueError, match=r"no lengths: correct them there, or remove them and set voxel_size"):
        open_volume_source(tmp_path / "v.ome.tif")


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


@pytest.mark.parametrize("page", ["latin-1", "cp932", "gbk", "big5", "euc_kr", "cp437", "utf-16-le", "utf-16-be"])
def test_text_files_in_encodings_of_microscopes(tmp_path, page):
    """The micro sign of a code page, and UTF-16 without a byte order mark; names in any case."""
    path = write(tmp_path / "m.TIF")
    sign = next(sign for sign in "\u03bc\xb5" if sign.encode(page, "ignore"))
    text = f"$$SM_MICRON_BAR 20\r\n$$SM_MICRON_MARKER 0.1{sign}m\r\n"
    (tmp_path / "M.Txt").write_bytes(text.encode(page))
    assert edge(path, find_text_file(path)) == pytest.approx(5)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[SemImageFile]\r\nPixelSize=1,234.5\r\n", r"Hitachi file m\.txt .*'1,234\.5'; allowed is a number"),
        ("$$SM_MICRON_BAR 20\r\n$$SM_MICRON_MARKER 0.1yd\r\n", r"JEOL file .*'0\.1yd'; .* such as 60 and 300nm"),
        ("[MAIN]\r\nPixelSizeX=5 nm\r\n", r"TESCAN file .*'5 nm'; allowed is a number in m.*: correct or rename it"),
    ],
)  # fmt: skip
def test_numbers_of_text_files_that_cannot_be_read_are_named(tmp_path, content, message):
    path = write(tmp_path / "m.tif")
    path.with_suffix(".txt").write_text(content)
    with pytest.raises(ValueError, match=message):
        edge(path, find_text_file(path))


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


def test_resolutions_per_inch_that_no_print_has(tmp_path):
    """72, 300 and 9600 per inch are of screens, prints and scanners; 5 nm are a pixel, also per inch by ImageJ."""
    path = write(tmp_path / "m.tif", resolution=(5_080_000, 5_080_000), resolutionunit=2)
    assert edge(path) == pytest.approx(5)
    path = write(tmp_path / "m.tif", "ImageJ=1.53t\nunit=inch\n", resolution=(5_080_000, 5_080_000), resolutionunit=2)
    assert edge(path) == pytest.approx(5)
    path = write(tmp_path / "m.tif", "ImageJ=1.53t\nunit=mm\n", resolution=(200_000, 200_000), resolutionunit=2)
    assert edge(path) == pytest.approx(5)
    for unit, dots in ((2, 72), (2, 300), (2, 9600), (3, 28.346), (3, 3779.53)):
        path = write(tmp_path / "m.tif", resolution=(dots, dots), resolutionunit=unit)
        assert edge(path) is None
        assert "print resolution" in read_micrograph(path).source


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
        for dimension, name in zip(labelled.dims, "xYZ", strict=True):
            dimension.label = name
    for name, edges in (("tagged", (6, 5, 4)), ("labelled", (None, None, None))):
        volume = open_volume_source(tmp_path / "v.h5", options=ReadOptions(dataset=name))
        assert volume.edges_nm == (pytest.approx(edges) if edges[0] else edges)
        np.testing.assert_array_equal(volume.read(WHOLE), VOLUME == 0)


def test_axes_of_zarr_by_xarray(tmp_path):
    array = zarr.open_group(tmp_path / "v.zarr", mode="w", zarr_format=2).create_array(
        "v", data=VOLUME.transpose(2, 1, 0).copy()
    )
    for names in (["x", "y", "z"], ["X", "Y", "Z"]):
        array.attrs["_ARRAY_DIMENSIONS"] = names
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
