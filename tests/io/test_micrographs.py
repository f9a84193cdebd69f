"""Micrographs from files: their grey values and the pixel size in their metadata."""

from __future__ import annotations

import io
import struct

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
from PIL import Image

from membrane_dask.io.image_metadata import find_text_file
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


def fei(columns=50, rows=36, width="2.5e-09", height="2.5e-09"):
    """Tag 34682 as FEI writes it."""
    scan = f"[Scan]\r\nPixelWidth={width}\r\nPixelHeight={height}\r\nHorFieldsize=1.25e-07\r\n"
    image = f"[Image]\r\nResolutionX={columns}\r\nResolutionY={rows}\r\n[PrivateFei]\r\nDatabarHeight=4\r\n"
    return [(34682, "s", 0, f"[User]\r\nUserText=\r\n{scan}{image}", True)]


def zeiss(*entries):
    """Tag 34118 as Zeiss writes it: names in capitals, each followed by its value, in its code page."""
    lines = ["1", "0", "0", "0"]
    for name, text in entries:
        lines += [name, text]
    text = "\r\n".join([*lines, ""]).encode("cp1252")
    return [(34118, 1, len(text), text, True)]


def tescan_header(size="4e-09", strip=4):
    sizes = f"ImageStripSize={strip}\r\nPixelSizeX={size}\r\nPixelSizeY={size}\r\n"
    return f"[MAIN]\r\nDevice=MIRA3 LMH\r\n{sizes}[SEM]\r\nHV=5000\r\n"


def written(path, image=IMAGE, tags=(), **options):
    tifffile.imwrite(path, image, metadata=None, extratags=list(tags), **options)
    return path


@pytest.mark.parametrize(
    "options",
    [{}, {"compression": "lzw"}, {"compression": "deflate", "predictor": True}, {"compression": "zstd"},
     {"compression": "packbits"}, {"byteorder": ">"}, {"rowsperstrip": 7}, {"tile": (16, 16), "compression": "lzw"}],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
def test_tags_are_read_whatever_the_compression(tmp_path, options, dtype):
    """FEI metadata hold the number of rows without the databar."""
    if dtype == "f4" and "predictor" in options:
        options = options | {"predictor": False}
    image = IMAGE.astype(dtype)
    micrograph = read_micrograph(written(tmp_path / "a.tif", image, fei(), **options))
    assert micrograph.pixel_nm == pytest.approx(2.5)
    assert micrograph.metadata.databar == 4
    np.testing.assert_array_equal(micrograph.image, image[:36])


def test_twelve_bits(tmp_path):
    """Packed values, which tifffile does not write: 1.5 bytes each, big-endian within the row."""
    values = (np.arange(40 * 50).reshape(40, 50) * 2) % 4096
    packed = bytearray()
    for first, second in values.reshape(-1, 2):
        packed += bytes([first >> 4, (first & 15) << 4 | second >> 8, second & 255])
    entries = {256: 50, 257: 40, 258: 12, 259: 1, 262: 1, 273: 200, 277: 1, 278: 40, 279: len(packed)}
    header = struct.pack("<2sHIH", b"II", 42, 8, len(entries))
    for tag, value in entries.items():
        header += struct.pack("<HHII", tag, 4, 1, value)
    (tmp_path / "a.tif").write_bytes((header + bytes(4)).ljust(200, b"\0") + packed)
    micrograph = read_micrograph(tmp_path / "a.tif")
    np.testing.assert_array_equal(micrograph.image, values)
    assert micrograph.bits == 12


@pytest.mark.parametrize(("dtype", "top"), [("u1", 255), ("u2", 65535), ("i2", -1)])
def test_white_is_zero(tmp_path, dtype, top):
    written(tmp_path / "a.tif", IMAGE.astype(dtype), photometric="miniswhite")
    micrograph = read_micrograph(tmp_path / "a.tif")
    np.testing.assert_array_equal(micrograph.image, top - IMAGE.astype(dtype))
    assert "interpretation 0, white is zero: inverted" in dict(micrograph.remarks)["photometric"]


def test_white_is_zero_of_one_bit(tmp_path):
    """A scanner's file is inverted; tifffile writes every array of booleans with this label."""
    bits = IMAGE > 100
    Image.fromarray(bits).save(tmp_path / "fax.tif", compression="group4")
    content = (tmp_path / "fax.tif").read_bytes()
    with tifffile.TiffFile(tmp_path / "fax.tif") as file:
        is_zero_white = int(file.pages[0].photometric) == 0
        stored = file.asarray()
    np.testing.assert_array_equal(
        read_micrograph(tmp_path / "fax.tif").image,
        np.where(stored != is_zero_white, 255, 0),
        err_msg=str(content[:99]),
    )
    tifffile.imwrite(tmp_path / "array.tif", bits)
    micrograph = read_micrograph(tmp_path / "array.tif")
    np.testing.assert_array_equal(micrograph.image, np.where(bits, 255, 0))
    assert "array of booleans" in dict(micrograph.remarks)["photometric"]


def test_floats_with_white_as_zero_are_refused(tmp_path):
    written(tmp_path / "a.tif", IMAGE.astype("f4"), photometric="miniswhite")
    with pytest.raises(ValueError, match="photometric interpretation 0"):
        read_micrograph(tmp_path / "a.tif")


def coloured(mode):
    """Image whose channels are equal but for one pixel, if the mode says so."""
    channels = [IMAGE] * (3 if "RGB" in mode else 1)
    if "A" in mode:
        channels.append(np.full_like(IMAGE, 255))
    return np.stack(channels, axis=-1)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".npy"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_equal_channels_are_one_image(tmp_path, suffix, mode):
    image, path = coloured(mode), tmp_path / f"a{suffix}"

    def write(image):
        if suffix == ".npy":
            np.save(path, image)
        elif suffix == ".png":
            Image.fromarray(image, mode).save(path)
        else:
            alpha = {"extrasamples": ["unassalpha"]} if "A" in mode else {}
            tifffile.imwrite(
                path, image, photometric="rgb" if "RGB" in mode else "minisblack", planarconfig="contig", **alpha
            )

    write(image)
    micrograph = read_micrograph(path)
    np.testing.assert_array_equal(micrograph.image, IMAGE)
    remarks = dict(micrograph.remarks)
    assert ("alpha" in remarks, "colours" in remarks) == ("A" in mode, "RGB" in mode)
    if "A" in mode:
        image[7, 9, -1] = 3
        write(image)
        with pytest.raises(ValueError, match=r"opacity \(alpha\) that varies, from 3 to 255 \(row 7, column 9\)"):
            read_micrograph(path)
    else:
        image[11, 13] = (200, 40, 7)
        write(image)
        micrograph = read_micrograph(path)
        with pytest.raises(ValueError, match=r"differ, by up to 193 \(row 11, column 13 of the file\)"):
            micrograph.require_grey()
        micrograph.require_grey(np.arange(40)[:, None] < 11)


def test_channels_in_planes_of_their_own(tmp_path):
    planes = np.stack([IMAGE] * 3)
    tifffile.imwrite(tmp_path / "a.tif", planes, photometric="rgb", planarconfig="separate")
    np.testing.assert_array_equal(read_micrograph(tmp_path / "a.tif").image, IMAGE)


@pytest.mark.parametrize("suffix", [".tif", ".png"])
def test_palettes(tmp_path, suffix):
    """A table of colours with equal channels is grey, whichever grey value a number stands for."""
    table = np.arange(255, -1, -1)
    if suffix == ".png":
        image = Image.fromarray(IMAGE, "P")
        image.putpalette(np.repeat(table, 3).astype("u1").tobytes())
        image.save(tmp_path / "a.png")
    else:
        written(tmp_path / "a.tif", photometric="palette", colormap=np.stack([table * 257] * 3).astype("u2"))
    micrograph = read_micrograph(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(micrograph.image, 255 - IMAGE)
    assert micrograph.image.dtype == np.uint8
    written(
        tmp_path / "b.tif", photometric="palette", colormap=np.stack([table * 257, table * 0, table * 0]).astype("u2")
    )
    with pytest.raises(ValueError, match="colour channels that differ"):
        read_micrograph(tmp_path / "b.tif").require_grey()


def test_jpeg(tmp_path):
    smooth = np.repeat(np.arange(0, 250, 5, dtype="u1")[None], 40, axis=0)
    Image.fromarray(smooth).convert("RGB").save(tmp_path / "a.jpg", quality=95)
    micrograph = read_micrograph(tmp_path / "a.jpg")
    assert micrograph.is_lossy
    assert np.abs(micrograph.image.astype(int) - smooth).max() <= 3  # rounded coefficients
    tifffile.imwrite(tmp_path / "a.tif", smooth, compression="jpeg")
    assert read_micrograph(tmp_path / "a.tif").is_lossy


def test_rounded_colours_of_a_grey_image(tmp_path):
    """WebP stores brightness and hues, which give channels that differ by 1; colours stay refused."""
    bars = np.where(np.arange(50) // 7 % 2, IMAGE // 2, 255 - IMAGE // 4).astype("u1")
    Image.fromarray(bars).save(tmp_path / "a.webp", quality=75)
    micrograph = read_micrograph(tmp_path / "a.webp")
    micrograph.require_grey()
    assert "at most 1 after compression" in dict(micrograph.remarks)["colours"]
    Image.fromarray(np.stack([bars, bars, bars // 2], axis=-1)).save(tmp_path / "a.webp", quality=75)
    with pytest.raises(ValueError, match="colour channels that differ"):
        read_micrograph(tmp_path / "a.webp").require_grey()


DISPLAY = ("AP_PIXEL_SIZE", "Pixel Size = 5.825 nm")
OWN = ("AP_IMAGE_PIXEL_SIZE", "Image Pixel Size = 11.65 nm")
WIDTH = ("AP_WIDTH", "Width = 5.965 µm")


@pytest.mark.parametrize(
    ("entries", "nm"),
    [
        ((DISPLAY, WIDTH), 11.65),  # of a display of 1024 columns
        ((DISPLAY, WIDTH, ("AP_HEIGHT", "Height = 466.0 nm")), 11.65),
        ((OWN,), 11.65),
        ((DISPLAY, OWN), 11.65),
        ((DISPLAY, OWN, WIDTH), 11.65),
        ((OWN, ("AP_MAG", "Mag = 19.20 K X")), 11.65),
        ((("AP_PIXEL_SIZE", "Pixel Size = 582.5 pm"), ("AP_WIDTH", "Width = 596.5 nm")), 1.165),
        ((WIDTH,), 11.65),
    ],
    ids=str,
)
def test_zeiss(tmp_path, entries, nm):
    """The width belongs to the file, `Pixel Size` to a display; rounded to four digits in the tag."""
    image = np.zeros((40, 512), "u1")
    micrograph = read_micrograph(written(tmp_path / "a.tif", image, zeiss(*entries)))
    assert micrograph.pixel_nm == pytest.approx(nm, rel=1e-3)
    assert "Zeiss" in micrograph.source


@pytest.mark.parametrize(
    ("columns", "entries", "sizes"),
    [
        (512, (DISPLAY,), "5.825 nm if it was cropped, 11.65 nm if it was scaled"),
        (400, (OWN, WIDTH), r"disagree: 11.65 nm .*, 14.91 nm \(Zeiss metadata, Width / 400 columns"),
        (512, (("AP_PIXEL_SIZE", "Pixel Size = 3 nm"), WIDTH), r"disagree: 11.65 nm .*, 3 nm"),
        (512, (("AP_PIXEL_SIZE", "Pixel Size = 3 nm"), OWN), r"disagree: 11.65 nm .*, 3 nm"),
        (400, (DISPLAY, WIDTH, ("AP_HEIGHT", "Height = 466.0 nm")), r"disagree: 14.91 nm .*, 11.65 nm"),
    ],
    ids=str,
)
def test_zeiss_that_contradicts_itself(tmp_path, columns, entries, sizes):
    image = np.zeros((40, columns), "u1")
    micrograph = read_micrograph(written(tmp_path / "a.tif", image, zeiss(*entries)))
    assert micrograph.pixel_nm is None
    assert len(micrograph.metadata.pixels) == 2
    with pytest.raises(AssertionError, match=sizes):
        raise AssertionError(micrograph.source)


def test_a_scaled_or_cropped_image_of_fei(tmp_path):
    micrograph = read_micrograph(written(tmp_path / "a.tif", tags=fei(columns=100, rows=72)))
    assert micrograph.pixel_nm is None
    assert "2.5 nm if it was cropped, 5 nm if it was scaled" in micrograph.source


def test_pixels_that_are_not_square(tmp_path):
    (stated,) = read_micrograph(written(tmp_path / "a.tif", tags=fei(height="5e-09"))).metadata.pixels
    assert (stated.width_nm, stated.height_nm) == (pytest.approx(2.5), pytest.approx(5.0))
    tifffile.imwrite(tmp_path / "b.tif", IMAGE, imagej=True, resolution=(0.2, 0.1), metadata={"unit": "nm"})
    (stated,) = read_micrograph(tmp_path / "b.tif").metadata.pixels
    assert stated.size == "5 x 10"
    physical = {"axes": "YX", "PhysicalSizeX": 4.0, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 8.0}
    tifffile.imwrite(tmp_path / "c.ome.tif", IMAGE, metadata=physical | {"PhysicalSizeYUnit": "nm"})
    (stated,) = read_micrograph(tmp_path / "c.ome.tif").metadata.pixels
    assert stated.size == "4 x 8"


def test_the_aspect_of_pixels_of_unknown_size(tmp_path):
    """A print resolution is no pixel size, but shows whether pixels are square."""
    tifffile.imwrite(tmp_path / "a.tif", IMAGE, resolution=(300, 150), resolutionunit="INCH")
    tifffile.imwrite(tmp_path / "b.tif", IMAGE, resolution=(2, 1), resolutionunit="NONE")
    Image.fromarray(IMAGE).save(tmp_path / "c.png", dpi=(300, 150))
    Image.fromarray(IMAGE).save(tmp_path / "d.png", dpi=(96, 96))
    aspects = [read_micrograph(tmp_path / name).metadata.aspect for name in ("a.tif", "b.tif", "c.png", "d.png")]
    assert aspects == pytest.approx([2, 2, 2, 1], rel=0.01)  # PNG stores whole pixels a metre


def test_tescan(tmp_path):
    """A header in a tag, among other bytes, or in a file of its own."""
    header = bytes(range(1, 40)) + tescan_header().encode()
    micrograph = read_micrograph(written(tmp_path / "a.tif", tags=[(50431, 1, len(header), header, True)]))
    assert (micrograph.pixel_nm, micrograph.metadata.databar) == (pytest.approx(4.0), 4)
    iio.imwrite(tmp_path / "b.png", IMAGE)
    (tmp_path / "b-png.hdr").write_text(tescan_header(strip=6))
    micrograph = read_micrograph(tmp_path / "b.png", text_file=find_text_file(tmp_path / "b.png"))
    assert micrograph.image.shape == (34, 50)
    assert micrograph.source == "TESCAN file b-png.hdr"


JEOL = "$CM_FORMAT JEOL/SEM\n$CM_INSTRUMENT JSM-7800F\n$CM_MAG 5000\n$CM_FULL_SIZE 50 32\n$CM_TITLE\n"
JEOL += "$$SM_MICRON_BAR 180\n$$SM_MICRON_MARKER {}\n$$SM_WD 10.1\n"
HITACHI = "[SemImageFile]\r\nInstructName=S-4800\r\nDataSize={}\r\nPixelSize=24.8\r\nMagnification=4000\r\n"


@pytest.mark.parametrize(
    ("name", "content", "nm", "databar"),
    [
        ("a.txt", JEOL.format("1um").encode(), 1000 / 180, 8),
        ("a.TXT", JEOL.format("100nm").encode(), 100 / 180, 8),
        ("a.txt", JEOL.format("10µm").encode("cp1252"), 10_000 / 180, 8),
        ("a.txt", HITACHI.format("50x34").encode(), 24.8, 6),
        ("a.txt", HITACHI.format("50x40").encode("utf-16"), 24.8, 0),
        ("a.tif.txt", HITACHI.format("50x40").encode("utf-8-sig"), 24.8, 0),
    ],
)
def test_text_files_of_microscopes(tmp_path, name, content, nm, databar):
    written(tmp_path / "a.tif", resolution=(96, 96), resolutionunit="INCH")
    assert find_text_file(tmp_path / "a.tif") is None
    (tmp_path / name).write_bytes(content)
    micrograph = read_micrograph(tmp_path / "a.tif", text_file=find_text_file(tmp_path / "a.tif"))
    assert micrograph.pixel_nm == pytest.approx(nm)
    assert micrograph.metadata.databar == databar
    assert name in micrograph.source


def test_other_text_files(tmp_path):
    written(tmp_path / "a.tif")
    (tmp_path / "a.txt").write_text("a note on the sample, PixelSize=3\n")
    assert find_text_file(tmp_path / "a.tif") is None


def test_a_text_file_of_another_width(tmp_path):
    written(tmp_path / "a.tif")
    (tmp_path / "a.txt").write_text(HITACHI.format("100x80"))
    micrograph = read_micrograph(tmp_path / "a.tif", text_file=tmp_path / "a.txt")
    assert "24.8 nm if it was cropped, 49.6 nm if it was scaled" in micrograph.source


def test_metadata_that_disagree(tmp_path):
    written(tmp_path / "a.tif", tags=fei())
    (tmp_path / "a.txt").write_text(HITACHI.format("50x40"))
    micrograph = read_micrograph(tmp_path / "a.tif", text_file=tmp_path / "a.txt")
    assert "disagree: 2.5 nm (FEI metadata), 24.8 nm (Hitachi file a.txt)" in micrograph.source


def test_a_compression_that_changes_values_is_named(tmp_path):
    image = Image.fromarray(IMAGE)
    stream = io.BytesIO()
    image.save(stream, "TIFF", compression="jpeg")
    (tmp_path / "a.tif").write_bytes(stream.getvalue())
    assert read_micrograph(tmp_path / "a.tif").is_lossy
