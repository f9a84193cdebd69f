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

#: Decoded size, in bytes, of what is in memory at once: an image, a plane or a chunk of a volume.
MAX_DECODED = 300_000_000
#: Images of a TIFF file.
MAX_PAGES = 30_000
#: Compressed segments (strips, tiles) up to this size expand to 65 MB at most with DEFLATE, and are not decoded twice.
_SMALL_SEGMENT = 1 << 16
_DECOMPRESSORS: dict[int, Any] = {
    8: zlib.decompressobj, 32946: zlib.decompressobj, 34925: lzma.LZMADecompressor
}  # fmt: skip


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
        images = tifffile.xml2dict(str(file.ome_metadata))["OME"]["Image"]
        for image in images if isinstance(images, list) else [images]:
            sizes = [int(image["Pixels"].get(f"Size{axis}", 1)) for axis in "ZCT"]
            counts.append(math.prod(sizes))
    if file.is_imagej:
        imagej = file.imagej_metadata or {}
        counts.append(int(imagej.get("images", 1)))
    if any(not 0 < count <= MAX_PAGES for count in counts):
        raise ValueError(f"its metadata describe {max(counts):,} images; 1 to {MAX_PAGES:,} are read")


def checked_edge(size: float | None) -> float | None:
    """Edge of a pixel or voxel in nm, as metadata state it.

    Raises
    ------
    ValueError
        If it is no length.
    """
    if size is not None and not 0 < size < math.inf:
        raise ValueError(f"its metadata state pixels of {size} nm; set the size in the study and remove it there")
    return size


def read_page(page: Any) -> np.ndarray:
    """The pixels of a page of a TIFF file.

    Raises
    ------
    ValueError
        If it is too large for memory, or a segment of it expands to more than the page has.
    """
    check_page(page)
    return np.asarray(page.asarray())


def read_series(file: Any) -> np.ndarray:
    """The pixels of the first series of images of a TIFF file, all at once.

    Raises
    ------
    ValueError
        As :func:`read_page`.
    """
    series = file.series[0]
    check_decoded_size("it", series.shape, series.dtype, "save it with a page for each plane, or as OME-Zarr")
    for page in series.pages:
        if page is not None:
            check_page(page.aspage() if hasattr(page, "aspage") else page)
    return np.asarray(file.asarray())


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
        If one does.
    """
    decompressor = _DECOMPRESSORS.get(int(page.compression))
    if decompressor is None:
        return
    stream = page.parent.filehandle
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
