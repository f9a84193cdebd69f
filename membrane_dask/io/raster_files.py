"""Checks of image and volume files before they are decoded: kind of file, sizes, pages, compressed segments."""

from __future__ import annotations

import lzma
import math
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from membrane_dask.files import require_regular
from membrane_dask.io.header_numbers import header_count
from membrane_dask.io.imagej_images import imagej_counts

#: Decoded size, in bytes, of what is in memory at once: an image, a plane or a chunk of a volume.
MAX_DECODED = 300_000_000
#: Images of a TIFF file.
MAX_PAGES = 30_000
#: Compressed segments (strips, tiles) up to this size expand to 65 MB at most with DEFLATE, and are not decoded twice.
_SMALL_SEGMENT = 1 << 16
_DECOMPRESSORS: dict[int, Any] = {
    8: zlib.decompressobj, 32946: zlib.decompressobj, 34925: lzma.LZMADecompressor
}  # fmt: skip
#: Number of the compression of segments that are JPEG images of their own.
_JPEG = 7
#: Bit of the tag NewSubfileType of a smaller copy of another image.
_REDUCED = 1
#: Compressions that are read: none, CCITT, LZW, JPEG, DEFLATE, PackBits, LZMA, Zstandard.
_COMPRESSIONS = frozenset((1, 2, 3, 4, 5, _JPEG, 8, 32946, 32773, 34925, 50000))


def check_decoded_size(what: str, shape: Sequence[int], dtype: Any, advice: str) -> None:
    """Check that an array of this shape and type may be held in memory.

    Raises
    ------
    ValueError
        If it is larger than :data:`MAX_DECODED`, or its extents are no numbers of pixels.
    """
    size = math.prod(int(n) for n in shape) * np.dtype(dtype).itemsize
    if size > MAX_DECODED:
        extents = " x ".join(str(n) for n in shape)
        raise ValueError(
            f"{what} has {extents} values of type {np.dtype(dtype)}, {size / 1e6:,.0f} MB; at most "
            f"{MAX_DECODED / 1e6:g} MB are held in memory at once: {advice}"
        )


def open_npy(path: Path) -> np.ndarray:
    """The array of a NumPy file, mapped into memory.

    Raises
    ------
    ValueError
        If it is no ``.npy`` file, is shorter than its header says, or holds other values than numbers.
    """
    require_regular(path)
    with path.open("rb") as stream:
        if stream.read(6) != b"\x93NUMPY":
            raise ValueError("it is not a NumPy file of one array (.npy)")
    try:
        array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        if "Object arrays" in str(error) or "Array can't be memory-mapped" in str(error):
            raise ValueError("it holds Python objects; an array of numbers is needed") from error
        raise
    if array.dtype.kind not in "buif":
        raise ValueError(f"it holds values of type {str(array.dtype)[:80]}; an array of numbers is needed")
    return array


@contextmanager
def open_tiff(path: Path) -> Iterator[Any]:
    """An open TIFF file of at most :data:`MAX_PAGES` images.

    Raises
    ------
    ValueError
        If it has more.
    """
    import tifffile

    require_regular(path)
    with tifffile.TiffFile(path) as file:
        try:
            file.pages[MAX_PAGES]
        except IndexError:
            pass
        else:
            raise ValueError(f"it has more than {MAX_PAGES:,} images; divide it, or save it as OME-Zarr")
        _check_described_images(file)
        yield file


def _check_described_images(file: Any) -> None:
    """Check the number of images that metadata claim, as tifffile lists as many."""
    import tifffile

    counts = []
    if file.is_ome:
        described = tifffile.xml2dict(str(file.ome_metadata)).get("OME")
        if not isinstance(described, dict) or "Image" not in described:
            raise ValueError("its OME metadata describe no image: save it again without them")
        images = described["Image"]
        for image in images if isinstance(images, list) else [images]:
            names = [f"Size{axis}" for axis in "ZCT"]
            sizes = [header_count(image["Pixels"].get(name, 1), f"OME metadata, {name},") for name in names]
            counts.append(math.prod(sizes))
    counts.append(imagej_counts(file).get("images", 1))
    if any(not 0 < count <= MAX_PAGES for count in counts):
        raise ValueError(f"its metadata describe {max(counts):,} images; 1 to {MAX_PAGES:,} are read")


def white_is_zero(page: Any) -> bool:
    """Whether the smallest value of a TIFF page is shown white: its photometric interpretation is 0.

    Not so for arrays of booleans that tifffile has written, which it labels like that whatever they mean.
    """
    return int(page.photometric) == 0 and not is_boolean_array(page)


def is_boolean_array(page: Any) -> bool:
    """Whether a TIFF page is an array of booleans that tifffile has written."""
    return page.bitspersample == 1 and str(page.parent.pages.first.software).startswith("tifffile")


def is_lossy(page: Any) -> bool:
    """Whether the compression of a TIFF page changes grey values."""
    return int(page.compression) == _JPEG


def inverted(values: np.ndarray, page: Any) -> np.ndarray:
    """Values of a page whose photometric interpretation is 0, with black as zero.

    Raises
    ------
    ValueError
        If they are no integers, which have no largest value to subtract from.
    """
    if values.dtype.kind in "bi":
        return np.asarray(~values)
    if values.dtype.kind != "u":
        raise ValueError("it shows zero as white (photometric interpretation 0) in floats: save it as integers")
    return np.asarray(values.dtype.type((1 << int(page.bitspersample)) - 1) - values)


def whole_images(file: Any) -> list[Any]:
    """Series of images of a TIFF file that are no smaller copies of another image; the first if all are."""
    return [series for series in file.series if not int(series.keyframe.subfiletype) & _REDUCED] or [file.series[0]]


def read_page(page: Any) -> np.ndarray:
    """The pixels of a page of a TIFF file, with black as zero.

    Raises
    ------
    ValueError
        If it is too large for memory, or a segment of it expands to more than the page has.
    """
    check_page(page)
    values = np.asarray(page.asarray())
    return inverted(values, page) if white_is_zero(page) else values


def read_series(file: Any, series: Any) -> np.ndarray:
    """The pixels of a series of images of a TIFF file, all at once, with black as zero.

    Raises
    ------
    ValueError
        As :func:`read_page`.
    """
    check_decoded_size("it", series.shape, series.dtype, "save it with a page for each plane, or as OME-Zarr")
    for page in series.pages:
        if page is not None:
            check_page(page.aspage() if hasattr(page, "aspage") else page)
    values, page = np.asarray(file.asarray(series=series)), series.keyframe
    return inverted(values, page) if white_is_zero(page) else values


def check_page(page: Any) -> None:
    """Check what :func:`read_page` raises, without decoding the page."""
    check_decoded_size("an image of it", page.shape, page.dtype, "divide it, or save it as OME-Zarr")
    if 0 in page.databytecounts:
        raise ValueError("segments of it have no data; it is truncated")
    check_segments(page)


def check_segments(page: Any) -> None:
    """Check that no compressed segment of a page expands to much more than the page has.

    Raises
    ------
    ValueError
        If one does, or the compression is none of those that are read.
    """
    compression, stream = int(page.compression), page.parent.filehandle
    if compression not in _COMPRESSIONS:
        name = getattr(page.compression, "name", compression)
        raise ValueError(
            f"its compression, {name}, is not read: save it without compression, or with LZW, DEFLATE or Zstandard"
        )
    if compression == _JPEG:
        _check_jpeg_segments(page)
    decompressor = _DECOMPRESSORS.get(compression)
    if decompressor is None:  # the others are decoded into the size of a segment
        return
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False):
        if decompressor is zlib.decompressobj and count <= _SMALL_SEGMENT:
            continue
        stream.seek(offset)
        left = page.nbytes + (1 << 20)  # strips and tiles may reach beyond the image
        decoder, data = decompressor(), stream.read(count)
        while not decoder.eof:
            left -= len(decoder.decompress(data, 1 << 20))
            if left <= 0:
                raise ValueError("a compressed segment of it expands to more than the image has; it is damaged")
            data = getattr(decoder, "unconsumed_tail", b"")
            if not data and getattr(decoder, "needs_input", True):
                break


def _check_jpeg_segments(page: Any) -> None:
    """Check the sizes in the headers of segments that are JPEG images."""
    stream = page.parent.filehandle
    rows, columns = (page.tilelength, page.tilewidth) if page.is_tiled else (page.imagelength, page.imagewidth)
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False):
        stream.seek(offset)
        data = stream.read(min(count, 1 << 16))
        position = 2
        while position + 9 <= len(data) and data[position] == 0xFF:
            marker, length = data[position + 1], int.from_bytes(data[position + 2 : position + 4], "big")
            if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # a header of a frame
                size = [int.from_bytes(data[position + k : position + k + 2], "big") for k in (5, 7)]
                if size[0] > rows + 15 or size[1] > columns + 15:  # strips may be padded to whole blocks
                    raise ValueError(
                        f"a segment of it is a JPEG of {size[0]} x {size[1]} pixels, and should have {rows} x {columns}"
                    )
                break
            position += 2 + length
