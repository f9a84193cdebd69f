"""Volumes in TIFF, folders and OME-Zarr: colours, compression, tags of microscopes, names, scales, archives."""

from __future__ import annotations

import zipfile
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from membrane_dask.io.volume_file import ReadOptions
from membrane_dask.io.volumes import open_volume_source

SOLID = np.random.default_rng(0).random((9, 16, 32)) < 0.6
GREY = np.where(SOLID, 255, 0).astype("u1")
WHERE = (slice(2, 8), slice(0, 11), slice(3, 15))
PORES = ~SOLID[WHERE]


def read(path, *args, **options):
    return open_volume_source(path, *args, **options).read(WHERE)


# ---- TIFF


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "lzw"}, {"compression": "deflate", "predictor": True}, {"compression": "zstd"},
        {"compression": "packbits"}, {"compression": "lzma"}, {"byteorder": ">"}, {"bigtiff": True},
        {"rowsperstrip": 3}, {"tile": (16, 16), "compression": "lzw"}, {"volumetric": True, "tile": (16, 16, 16)},
        {"ome": True, "metadata": {"axes": "ZYX"}}, {"contiguous": False}, {"metadata": None},
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
def test_storage_of_tiff(tmp_path, options, dtype):
    if dtype == "f4":
        options = options | ({"predictor": False} if "predictor" in options else {})
    path = tmp_path / ("v.ome.tif" if "ome" in options else "v.tif")
    tifffile.imwrite(path, GREY.astype(dtype), photometric="minisblack", **options)
    np.testing.assert_array_equal(read(path), PORES)


def test_planes_in_one_page(tmp_path):
    """ImageJ writes stacks of more than 4 GB with one page; inverted they are as well."""
    for inverted in (False, True):
        path = tmp_path / f"{inverted}.tif"
        photometric = "miniswhite" if inverted else "minisblack"
        tifffile.imwrite(
            path, GREY[0], metadata=None, photometric=photometric,
            description="ImageJ=1.53\nimages=9\nslices=9\nhyperstack=false\n",
        )  # fmt: skip
        with path.open("r+b") as stream, tifffile.TiffFile(path) as file:
            stream.seek(file.pages[0].dataoffsets[0])
            stream.write((255 - GREY if inverted else GREY).tobytes())
        np.testing.assert_array_equal(read(path), PORES)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"True\.tif"):
        read(path)


def test_jpeg_is_reported(tmp_path):
    """Flat phases survive; what does not is named as a third value."""
    plain = np.repeat(np.repeat(GREY[:, ::8, ::8], 8, axis=1), 8, axis=2)
    tifffile.imwrite(tmp_path / "v.tif", plain, compression="jpeg", photometric="minisblack")
    volume = open_volume_source(tmp_path / "v.tif", "dark", {"threshold": 128})
    np.testing.assert_array_equal(volume.read(WHERE), plain[WHERE] == 0)
    assert "JPEG changes grey values" in dict(volume.remarks)["compression"]


def palette(black=0, white=255, coloured=None):
    """Colours of a table: those of two values, and others."""
    table = np.zeros((3, 256), "u2")
    table[:, 1], table[:, 2] = black * 257, white * 257
    if coloured:
        table[:, coloured] = (65535, 0, 0)
    return table


def write_palette(path, table, values=None):
    values = np.where(SOLID, 2, 1).astype("u1") if values is None else values
    tifffile.imwrite(path, values, photometric="palette", colormap=table)


def test_palettes(tmp_path):
    """Values are numbers of colours: an inverting table exchanges the phases, as on the screen."""
    write_palette(tmp_path / "a.tif", palette())
    np.testing.assert_array_equal(read(tmp_path / "a.tif"), PORES)
    write_palette(tmp_path / "b.tif", palette(255, 0))
    volume = open_volume_source(tmp_path / "b.tif")
    np.testing.assert_array_equal(volume.read(WHERE), ~PORES)
    assert dict(volume.remarks)["palette"] == "grey values are its colours"


def test_a_palette_of_labels(tmp_path):
    """Colours of labels mean nothing; without a label they are refused."""
    values = np.where(SOLID, 2, 1).astype("u1")
    values[0, 0, :4] = 7
    write_palette(tmp_path / "v.tif", palette(coloured=7), values)
    with pytest.raises(ValueError, match=r"shows the value 7 in the colour \(255, 0, 0\).*pores: 7"):
        open_volume_source(tmp_path / "v.tif")
    np.testing.assert_array_equal(read(tmp_path / "v.tif", 1), PORES)
    folder = tmp_path / "v"
    folder.mkdir()
    for z, plane in enumerate(values):
        write_palette(folder / f"{z}.tif", palette(coloured=7), plane)
    np.testing.assert_array_equal(read(folder, 1), PORES)


@pytest.mark.parametrize("ending", ["png", "bmp"])
def test_palettes_of_labels_in_other_images(tmp_path, ending):
    """Neither colours nor an inverting table of greys replace labels."""
    for name, table in (("coloured", [0, 0, 0, 255, 0, 0, 0, 255, 0]), ("inverting", [255] * 3 + [128] * 3 + [0] * 3)):
        folder = tmp_path / name
        folder.mkdir()
        for z, solid in enumerate(SOLID):
            image = Image.fromarray(np.where(solid, 2, 1).astype("u1"), "P")
            image.putpalette(table + [0] * (768 - len(table)))
            image.save(folder / f"{z}.{ending}")
        volume = open_volume_source(folder, 1)
        np.testing.assert_array_equal(volume.read(WHERE), PORES)
        assert "colours are not used" in dict(volume.remarks)["palette"]
    with pytest.raises(ValueError, match=r"channels that differ.*where its values are labels.* pores: 0"):
        open_volume_source(tmp_path / "coloured")


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("channels", [3, 4])
def test_pages_of_equal_colours(tmp_path, channels, planar):
    stack = np.stack([GREY] * 3 + [np.full_like(GREY, 200)] * (channels - 3), axis=-1)

    def write(stack):
        with tifffile.TiffWriter(tmp_path / "v.tif") as file:
            for plane in stack:
                values = plane if planar == "contig" else np.moveaxis(plane, -1, 0)
                extra = {"extrasamples": ["unassalpha"]} if channels == 4 else {}
                file.write(values, photometric="rgb", planarconfig=planar, **extra)

    write(stack)
    volume = open_volume_source(tmp_path / "v.tif")
    np.testing.assert_array_equal(volume.read(WHERE), PORES)
    assert "must be equal" in dict(volume.remarks)["colours"]
    stack[4, 3, 2, 1] ^= 15
    write(stack)
    with pytest.raises(ValueError, match=r"colour channels that differ, by up to 15 \(at \(3, 2\)\)"):
        open_volume_source(tmp_path / "v.tif")


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda p: tifffile.imwrite(p, GREY[0]), "holds one image"),
        (lambda p: tifffile.imwrite(p, np.stack([GREY[0]] * 3, axis=-1), photometric="rgb"), "holds one image"),
        (
            lambda p: tifffile.imwrite(p, np.stack([GREY] * 2, 1), imagej=True, metadata={"axes": "ZCYX"}),
            "is an image of several channels",
        ),
        (lambda p: tifffile.imwrite(p, GREY, photometric="minisblack", extratags=[(274, "H", 1, 6, True)]), "turn"),
    ],
    ids=["one image", "colours", "channels", "turned"],
)
def test_tiff_files_that_are_no_volume(tmp_path, write, message):
    write(tmp_path / "v.tif")
    with pytest.raises(ValueError, match=message):
        open_volume_source(tmp_path / "v.tif")


def test_a_stray_image_of_a_stack_is_named(tmp_path):
    with tifffile.TiffWriter(tmp_path / "v.tif") as file:
        for z, plane in enumerate(GREY):
            file.write(plane if z != 5 else plane[:8], contiguous=False, metadata=None, photometric="minisblack")
    with pytest.raises(ValueError, match=r"image 5 of v\.tif has 8 x 32 pixels .* the first 16 x 32"):
        open_volume_source(tmp_path / "v.tif")
    with tifffile.TiffWriter(tmp_path / "v.tif") as file:
        file.write(GREY, photometric="minisblack")
        file.write(GREY[0, :8], photometric="minisblack")
    with pytest.raises(ValueError, match=r"9 of 16 x 32 uint8 .*, 1 of 8 x 32 uint8 \(the first is image 9\)"):
        open_volume_source(tmp_path / "v.tif")


# ---- tags of microscopes


FEI = "[Scan]\r\nPixelWidth=5e-09\r\nPixelHeight=5e-09\r\n[Image]\r\nResolutionX=32\r\nResolutionY=12\r\n"
ZEISS = "1\r\n0\r\n0\r\n0\r\nAP_PIXEL_SIZE\r\nPixel Size = 5.825 nm\r\nAP_WIDTH\r\nWidth = 5.9648 um\r\n"
TESCAN = "[MAIN]\r\nImageStripSize=4\r\nPixelSizeX=4e-09\r\nPixelSizeY=4e-09\r\n"
TAGS = {
    "fei": ((34682, "s", 0, FEI, True), 5.0, 4),
    "zeiss": ((34118, 1, len(ZEISS), ZEISS.encode("cp1252"), True), 5964.8 / 32, 0),
    "tescan": ((50431, 1, len(TESCAN), TESCAN.encode(), True), 4.0, 4),
}


@pytest.mark.parametrize("kind", TAGS)
@pytest.mark.parametrize("form", ["stack", "folder"])
def test_tags_of_microscopes(tmp_path, kind, form):
    """The pixel is read and the databar cut; the distance between planes is not in the tags."""
    tag, pixel, databar = TAGS[kind]
    image = GREY.copy()
    image[:, 16 - databar :] = 77
    path = tmp_path / "v"
    if form == "stack":
        path = tmp_path / "v.tif"
        tifffile.imwrite(path, image, metadata=None, extratags=[tag], compression="lzw", photometric="minisblack")
    else:
        path.mkdir()
        for z, plane in enumerate(image):
            tifffile.imwrite(path / f"s{z}.tif", plane, metadata=None, extratags=[tag], compression="lzw")
    volume = open_volume_source(path)
    assert volume.shape == (9, 16 - databar, 32)
    assert volume.edges_nm == (None, pytest.approx(pixel), pytest.approx(pixel))
    assert volume.voxel_nm is None
    assert "no distance between" in volume.voxel_size_source
    assert ("databar" in dict(volume.remarks)) == bool(databar)
    np.testing.assert_array_equal(volume.read(WHERE), PORES)


def test_text_files_of_microscopes(tmp_path):
    tifffile.imwrite(tmp_path / "v.tif", GREY, photometric="minisblack")
    (tmp_path / "v.txt").write_text("[SemImageFile]\r\nPixelSize=2.5\r\nDataSize=32x12\r\n")
    volume = open_volume_source(tmp_path / "v.tif")
    assert volume.edges_nm == (None, 2.5, 2.5)
    assert volume.shape == (9, 12, 32)


# ---- folders


def folder_of(path, names, images=None):
    path.mkdir()
    for name, image in zip(names, GREY if images is None else images, strict=False):
        iio.imwrite(path / name, image)
    return path


@pytest.mark.parametrize(
    "names",
    [
        [f"SLICE_{z:03d}.TIF" for z in range(9)], [f"slice_{z:03d}_8bit.tif" for z in range(9)],
        [f"s{10 * z}.tiff" for z in range(9)], [f"2024-01-02 scan 7, {z + 95}.tif" for z in range(9)],
        [f"{z}_{z * z}.tif" for z in range(9)], [f"a_z={z * 0.005:.4f}um.tif" for z in range(9)],
        [f"rec{z:04d}.png" for z in range(9)], [f"rec{z}.bmp" for z in range(9)],
        [f"z={z * 0.5:.1f}um.png" for z in range(9)], [f"z={z / 4:.2f}um.png".replace(".", ",", 1) for z in range(9)],
    ],
    ids=lambda names: names[1],
)  # fmt: skip
def test_names_of_folders(tmp_path, names):
    """Upper case, text behind the number, any step, several numbers, and other formats."""
    folder = folder_of(tmp_path / "v", names)
    for hidden in ("._slice_000.tif", ".DS_Store"):
        (folder / hidden).write_bytes(b"x")
    (folder / "log.txt").write_text("of the microscope")
    np.testing.assert_array_equal(read(folder), PORES)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([f"s{z}.tif" for z in range(8)] + ["overview.tif"], r"holds overview\.tif in addition to 8 images"),
        ([f"s{z}.tif" for z in range(8)] + ["s_rec_8_spr.tif"], r"holds s_rec_8_spr\.tif in addition"),
        ([f"s{z}.tif" for z in (0, 1, 2, 4, 5, 6, 7, 8, 9)], "an image 2 and then 4"),
        ([f"s{z}.tif" for z in (0, 10, 20, 40, 50, 60, 70, 80, 90)], "an image 20 and then 40"),
        (["a.tif", "b.tif"], "differ by more than a number: a.tif, b.tif"),
        (["stack.tif"], r"holds one image, stack\.tif: .*name the file as input"),
        ([f"{z}_{8 - z}.tif" for z in range(9)], "in different orders"),
        ([f"z={z * 0.5:.1f}um.tif" for z in (0, 1, 2, 5, 6, 7, 8)], r"number 0: z=0\.0um\.tif, z=0\.5um\.tif"),
        (["s1.tif", "s01.tif", "s2.tif"], r"several images of the number 1: s01\.tif, s1\.tif"),
    ],
)  # fmt: skip
def test_names_that_leave_the_order_open(tmp_path, names, message):
    with pytest.raises(ValueError, match=message):
        open_volume_source(folder_of(tmp_path / "v", names))


def test_images_of_other_kinds_are_named_when_the_folder_is_opened(tmp_path):
    images = [GREY[0]] * 9
    folder = folder_of(tmp_path / "a", [f"{z}.tif" for z in range(9)], [*images[:7], GREY[0][:8], GREY[0]])
    with pytest.raises(ValueError, match=r"7\.tif has \(8, 32\) pixels .* move it out"):
        open_volume_source(folder)
    (folder / "7.tif").write_bytes(b"II*\0")
    with pytest.raises(ValueError, match=r"7\.tif cannot be read"):
        open_volume_source(folder)
    tifffile.imwrite(folder / "7.tif", GREY[:2], photometric="minisblack")
    with pytest.raises(ValueError, match=r"7\.tif cannot be read as an image: it holds 2 images"):
        open_volume_source(folder)
    coloured = np.stack([GREY[0], GREY[0], 255 - GREY[0]], axis=-1)
    folder = folder_of(tmp_path / "b", [f"{z}.png" for z in range(3)], [coloured] * 3)
    with pytest.raises(ValueError, match=r"0\.png cannot be a plane .* colour channels that differ"):
        open_volume_source(folder)


def test_images_with_previews(tmp_path):
    """A microscope writes a smaller copy behind each image."""
    for z, plane in enumerate(GREY):
        with tifffile.TiffWriter(tmp_path / f"{z}.tif") as file:
            file.write(plane, photometric="minisblack")
            file.write(plane[::4, ::4], photometric="minisblack", subfiletype=1)
    np.testing.assert_array_equal(read(tmp_path), PORES)


def test_images_of_two_magnifications(tmp_path):
    folder = tmp_path / "v"
    folder.mkdir()
    for z, size in enumerate((3, 3, 6)):
        tifffile.imwrite(
            folder / f"{z}.tif", GREY[z], imagej=True, resolution=(1 / size, 1 / size), metadata={"unit": "nm"}
        )
    with pytest.raises(ValueError, match=r"0\.tif states pixels of 3 nm, 2\.tif of 6 nm"):
        open_volume_source(folder)
    tifffile.imwrite(folder / "0.tif", GREY[0])  # the last image alone states its pixels
    assert open_volume_source(folder).edges_nm == (None, pytest.approx(6), pytest.approx(6))


# ---- OME-Zarr


def scale(*values):
    return {"type": "scale", "scale": list(values)}


def ome_zarr(path, level=None, both=None, *, axes="zyx", unit="micrometer", version="0.4", values=GREY, attrs=None):
    """An image with transformations of its level and of all levels."""
    group = zarr.open_group(path, mode="w", zarr_format=2 if version < "0.5" else 3)
    group.create_array("0", data=values, chunks=(4,) * values.ndim, config={"write_empty_chunks": True})
    kinds = {"t": "time", "c": "channel"}
    listed = [
        {"name": name, "type": kinds.get(name, "space")} | ({"unit": unit} if unit and name in "zyx" else {})
        for name in axes
    ]
    dataset = {"path": "0"} | ({"coordinateTransformations": level} if level else {})
    multiscale = {"axes": listed, "datasets": [dataset]} | ({"coordinateTransformations": both} if both else {})
    if version < "0.5":
        group.attrs["multiscales"] = [multiscale | {"version": version}]
    else:
        group.attrs["ome"] = {"version": version, "multiscales": [multiscale]}
    return path


SHIFT = {"type": "translation", "translation": [1.0, 2.0, 3.0]}


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize(
    ("level", "both", "unit", "nm"),
    [
        ([scale(1, 1, 1)], [scale(0.05, 0.05, 0.05)], "micrometer", 50),
        ([scale(0.5, 0.5, 0.5), SHIFT], [scale(0.1, 0.1, 0.1), SHIFT], "micrometer", 50),
        ([scale(2, 1, 4)], [scale(25, 50, 12.5)], "nanometer", 50),  # cubes by both together
        ([scale(5e-8, 5e-8, 5e-8)], None, "meter", 50),
        ([scale(500, 500, 500)], [{"type": "identity"}], "angstrom", 50),
        ([scale(5e-5, 5e-5, 5e-5)], None, "millimeter", 50),
    ],
)
def test_transformations_of_both_levels(tmp_path, version, level, both, unit, nm):
    volume = open_volume_source(ome_zarr(tmp_path / "v", level, both, unit=unit, version=version))
    assert volume.voxel_nm == pytest.approx(nm)
    assert volume.edges_nm == pytest.approx((nm,) * 3)
    np.testing.assert_array_equal(volume.read(WHERE), PORES)


def test_transformations_that_make_other_voxels_or_are_not_read(tmp_path):
    path = tmp_path / "v"
    ome_zarr(path, [scale(1, 1, 1)], [scale(0.1, 0.05, 0.05)])
    assert open_volume_source(path).spacing == (2.0, 1.0, 1.0)
    ome_zarr(path, [scale(1, 1, 1), {"type": "affine", "affine": []}])
    assert "type 'affine' (data set) is not read" in open_volume_source(path).voxel_size_source
    ome_zarr(path, [scale(1, 1, 1)], unit=None)
    assert "no unit of length" in open_volume_source(path).voxel_size_source
    ome_zarr(path, [scale(1, 1, 1)], unit="pixel")
    assert "the unit pixel" in open_volume_source(path).voxel_size_source
    ome_zarr(path, [scale(1, 1, 2)], unit=None)
    assert open_volume_source(path).edges.ratio == (1, 1, 2)
    ome_zarr(path, [scale(1, 1)])
    with pytest.raises(ValueError, match="a scale of 2 numbers"):
        open_volume_source(path)


def test_later_versions_are_refused_with_the_array(tmp_path):
    """Their axes are in coordinate systems: read as z, y, x a volume of other axes would be turned."""
    path = ome_zarr(tmp_path / "v", [scale(5, 5, 5)], version="0.6")
    group = zarr.open_group(path)
    multiscale = dict(group.attrs["ome"]["multiscales"][0])
    multiscale["coordinateSystems"] = [{"name": "space", "axes": multiscale.pop("axes")[::-1]}]
    group.attrs["ome"] = {"version": "0.6", "multiscales": [multiscale]}
    with pytest.raises(ValueError, match=r"is OME-Zarr 0\.6, .* 0\.1 to 0\.5 are read: name its array, dataset: 0"):
        open_volume_source(path)
    np.testing.assert_array_equal(read(path, options=ReadOptions(dataset="0")), PORES)


def test_names_of_axes_in_capitals_and_scales_with_a_comma(tmp_path):
    path = ome_zarr(tmp_path / "v", [scale(5, 5, 5)], unit="nanometer")
    group = zarr.open_group(path)
    multiscale = dict(group.attrs["multiscales"][0])
    multiscale["axes"] = [axis | {"name": axis["name"].upper()} for axis in multiscale["axes"]]
    group.attrs["multiscales"] = [multiscale]
    assert open_volume_source(path).edges_nm == (5, 5, 5)
    with pytest.raises(ValueError, match=r"its scale \(data set\) is '5,0'; .* such as 5\.0"):
        open_volume_source(ome_zarr(tmp_path / "w", [scale("5,0", "5,0", "5,0")]))


@pytest.mark.parametrize("axes", ["zyx", "xyz", "yzx", "tczyx", "cxyz"])
def test_axes_by_their_names(tmp_path, axes):
    spatial = [axis for axis in axes if axis in "zyx"]
    values = GREY.transpose(["zyx".index(axis) for axis in spatial])[(None,) * (len(axes) - 3)]
    edges = [1.0] * (len(axes) - 3) + [50.0] * 3
    path = ome_zarr(tmp_path / "v", [scale(*edges)], axes=axes, unit="nanometer", values=values)
    volume = open_volume_source(path)
    np.testing.assert_array_equal(volume.read(WHERE), PORES)
    assert volume.shape == SOLID.shape
    sliced = open_volume_source(path, axis="y")
    np.testing.assert_array_equal(sliced.read((slice(0, 5),) * 3), ~SOLID[:5, :5, :5].transpose(1, 0, 2))


def test_dimension_names_of_a_zarr_array(tmp_path):
    zarr.create_array(tmp_path / "v", data=GREY.T, dimension_names=("x", "y", "z"), config={"write_empty_chunks": True})
    np.testing.assert_array_equal(read(tmp_path / "v"), PORES)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("listed", [True, False])
def test_the_layout_of_bioformats2raw(tmp_path, version, listed):
    path, zarr_format = tmp_path / "v.ome.zarr", 2 if version == "0.4" else 3
    root = zarr.open_group(path, mode="w", zarr_format=zarr_format)
    attrs = {"bioformats2raw.layout": 3}
    root.attrs.update(attrs if version == "0.4" else {"ome": {**attrs, "version": version}})
    ome_zarr(path / "0", [scale(0.05, 0.05, 0.05)], version=version)
    if listed:
        series = {"series": ["0"]}
        root.create_group("OME").attrs.update(series if version == "0.4" else {"ome": series})
    volume = open_volume_source(path)
    assert volume.voxel_nm == pytest.approx(50)
    np.testing.assert_array_equal(volume.read(WHERE), PORES)
    ome_zarr(path / "1", [scale(0.05, 0.05, 0.05)], version=version, values=255 - GREY)
    if listed:
        series["series"].append("1")
        root["OME"].attrs.update(series if version == "0.4" else {"ome": series})
    with pytest.raises(ValueError, match="holds 2 images: name one, for example dataset: 0"):
        open_volume_source(path)
    np.testing.assert_array_equal(read(path, options=ReadOptions("1")), ~PORES)
    with pytest.raises(ValueError, match=r"has no group or array '7'; it has 0, 1"):
        open_volume_source(path, options=ReadOptions("7"))


def test_a_group_without_an_image_lists_what_it_has(tmp_path):
    group = zarr.open_group(tmp_path / "v", mode="w")
    group.create_array("pores", data=GREY, config={"write_empty_chunks": True})
    with pytest.raises(ValueError, match=r"without an image.*it has pores: name"):
        open_volume_source(tmp_path / "v")
    np.testing.assert_array_equal(read(tmp_path / "v", options=ReadOptions("pores")), PORES)


def zipped(folder: Path, archive: Path, top="", compression=zipfile.ZIP_STORED, without=()) -> Path:
    with zipfile.ZipFile(archive, "w", compression) as file:
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            if path.is_file() and name not in without:
                file.write(path, top + name)
    return archive


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize(
    ("name", "top", "compression"),
    [("v.ozx", "", zipfile.ZIP_STORED), ("v.zip", "v.ome.zarr/", zipfile.ZIP_DEFLATED)],
)
def test_zip_archives(tmp_path, version, name, top, compression):
    folder = ome_zarr(tmp_path / "v", [scale(1, 1, 1)], [scale(0.05, 0.05, 0.05)], version=version)
    volume = open_volume_source(zipped(folder, tmp_path / name, top, compression))
    assert volume.voxel_nm == pytest.approx(50)
    np.testing.assert_array_equal(volume.read(WHERE), PORES)
    chunk = "0/0.0.0" if version == "0.4" else "0/c/0/0/0"
    missing = zipped(folder, tmp_path / f"missing-{name}", top, compression, [chunk])
    with pytest.raises(ValueError, match=f"its chunk {top}{chunk} is missing"):
        open_volume_source(missing)
    expected = SOLID.copy()
    expected[:4, :4, :4] = False
    np.testing.assert_array_equal(read(missing, options=ReadOptions(fill=True)), ~expected[WHERE])


def test_shards_in_a_zip_archive(tmp_path):
    """The index of a shard is checked in an archive, too."""
    path = tmp_path / "v"
    array = zarr.create_array(
        path, shape=GREY.shape, dtype="u1", chunks=(3, 4, 4), shards=(9, 8, 8), config={"write_empty_chunks": False}
    )
    array[...] = GREY
    np.testing.assert_array_equal(read(zipped(path, tmp_path / "v.zip")), PORES)
    values = GREY.copy()
    values[:3, :4, :4] = 0
    array[...] = values
    with pytest.raises(ValueError, match=r"c/0/0/0 .chunk 0/0/0 of the shard. is missing"):
        open_volume_source(zipped(path, tmp_path / "v.zip"))


def test_archives_that_are_none(tmp_path):
    for name, content in {"text.zip": b"PK\x03\x04" + bytes(50), "empty.ozx": b""}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=f"{name} is no readable zip archive"):
            open_volume_source(tmp_path / name)
    (tmp_path / "v").mkdir()
    (tmp_path / "v/a.tif").write_bytes(b"II")
    with pytest.raises(ValueError, match="an archive without a Zarr volume"):
        open_volume_source(zipped(tmp_path / "v", tmp_path / "images.zip"))
    for number in "12":
        ome_zarr(tmp_path / "v" / number)
    with pytest.raises(ValueError, match="an archive of several Zarr volumes: 1, 2"):
        open_volume_source(zipped(tmp_path / "v", tmp_path / "several.zip"))
    with zipfile.ZipFile(tmp_path / "large.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("zarr.json", "{}")
        archive.writestr("c/0/0/0", bytes(301_000_000))
    with pytest.raises(ValueError, match="holds the file c/0/0/0 of 301 MB; at most 300 MB"):
        open_volume_source(tmp_path / "large.zip")


@pytest.mark.parametrize("path", ["../other", "/etc", "a/../../other", "..\\other", "a\0b", 3])
def test_paths_out_of_a_zarr_volume_are_refused(tmp_path, path):
    ome_zarr(tmp_path / "other", [scale(1, 1, 1)])
    group = zarr.open_group(ome_zarr(tmp_path / "v", [scale(1, 1, 1)]), mode="r+")
    multiscale = dict(group.attrs["multiscales"][0])
    multiscale["datasets"] = [{"path": path, "coordinateTransformations": [scale(1, 1, 1)]}]
    group.attrs["multiscales"] = [multiscale]
    with pytest.raises(ValueError, match="outside of it" if isinstance(path, str) else "no text"):
        open_volume_source(tmp_path / "v")
    if isinstance(path, str):
        with pytest.raises(ValueError, match="outside of it"):
            open_volume_source(tmp_path / "other", options=ReadOptions(path))


def test_black_and_white_images(tmp_path):
    folder = tmp_path / "v"
    folder.mkdir()
    for z, plane in enumerate(SOLID):
        Image.fromarray(plane).save(folder / f"{z}.tif", compression="group4")
    np.testing.assert_array_equal(read(folder), PORES)
