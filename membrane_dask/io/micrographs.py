"""Reader of micrographs: one grey image of a file, and what its metadata say about it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from membrane_dask.errors import reason
from membrane_dask.files import require_regular
from membrane_dask.io.image_colours import (
    ORIENTATION,
    PALETTE_OF_LABELS,
    check_lookup_table,
    check_orientation,
    grey_channel,
    largest,
    palette_channels,
    palette_of,
    refuse_print_colours,
)
from membrane_dask.io.image_metadata import (
    ImageMetadata,
    PixelStatement,
    image_metadata,
    read_text_file,
    tiff_aspect,
    tiff_statements,
)
from membrane_dask.io.raster_files import (
    check_decoded_size,
    is_lossy,
    open_npy,
    open_tiff,
    read_series,
    white_is_zero,
    whole_images,
)

#: What Pillow may decode: its other formats start further programs, or are no images of pixels.
_FORMATS = ("PNG", "JPEG", "JPEG2000", "TIFF", "BMP", "GIF", "PPM", "WEBP")
#: Formats that change grey values.
_LOSSY_FORMATS = (".jpg", ".jpeg", ".jpe", ".jp2", ".webp")
#: Difference of colour channels by rounding, where such a format or compression stores brightness and hues.
_LOSSY_DIFFERENCE = 2
_SMALLER = "cut out or scale down what is needed"
#: Sizes that a message lists.
_LISTED = 4
_UNKNOWN = "the file has no pixel size"


@dataclass(frozen=True)
class Micrograph:
    """A grey image and what its file says about it.

    Parameters
    ----------
    pixels : (rows, columns) ndarray
        Grey values with black as zero, databar included; black-and-white images as 0 and 255.
    metadata : ImageMetadata
        Pixel size and rows of the databar.
    remarks : tuple of (str, str)
        How grey values were taken from the file: what, and in which way.
    bits : int
        Bits of a grey value, of which its type may have more.
    is_lossy : bool
        Whether its compression changes grey values.
    colours : (rows, columns) ndarray or None
        Largest difference of the colour channels of each pixel, of which the first is used; None if all are equal.
    has_palette : bool
        Whether its colours are those of a table, of which values are numbers.
    """

    pixels: np.ndarray
    metadata: ImageMetadata
    remarks: tuple[tuple[str, str], ...] = ()
    bits: int = 8
    is_lossy: bool = False
    colours: np.ndarray | None = None
    has_palette: bool = False

    @property
    def image(self) -> np.ndarray:
        """Grey values without the databar that the metadata name."""
        return self.pixels[: len(self.pixels) - self.metadata.databar]

    @property
    def pixel_nm(self) -> float | None:
        """Width of a pixel by the metadata, nm; None if it is unknown or ambiguous."""
        pixels = self.metadata.pixels
        return pixels[0].width_nm if len(pixels) == 1 else None

    def require_grey(self, where: np.ndarray | None = None) -> None:
        """Check that the colour channels are equal, everywhere or where a mask ``(rows, columns)`` says.

        Raises
        ------
        ValueError
            If they differ; with the largest difference and its pixel.
        """
        if self.colours is None:
            return
        colours = self.colours if where is None else np.where(where, self.colours, 0)
        if colours.any():
            row, column = largest(colours)
            labels = "; where its values are labels, name that of the pores, for example pores: 0"
            raise ValueError(
                f"it has colour channels that differ, by up to {colours[row, column]} (row {row}, column {column} of "
                "the file); a grey image is needed: crop a coloured margin, or save it as 8- or 16-bit grey without "
                f"overlays{labels if self.has_palette else ''}"
            )

    @property
    def source(self) -> str:
        """Which metadata hold the pixel size, or why it is unknown."""
        return self.metadata.source


@dataclass(frozen=True)
class _Decoded:
    """Values of a file, ``(..., rows, columns)``, with a last axis of channels if it has any."""

    values: np.ndarray
    has_channels: bool
    statements: tuple[PixelStatement, ...] = ()
    without: str = _UNKNOWN
    remarks: tuple[tuple[str, str], ...] = ()
    bits: int | None = None
    is_lossy: bool = False
    aspect: float = 1.0
    has_palette: bool = False


def read_micrograph(
    path: Path, page: int | None = None, text_file: Path | None = None, labels: bool = False
) -> Micrograph:
    """Read a grey image from a TIFF, PNG, JPEG, BMP or NumPy file.

    Parameters
    ----------
    path : Path
        File of one image, or of a stack. Opacity must be constant; :meth:`Micrograph.require_grey` checks colours.
    page : int, optional
        Number of the image in a stack, from 0.
    text_file : Path, optional
        Text file that the microscope has written with the image.
    labels : bool
        Whether values are labels, which the colours of a palette do not replace.

    Returns
    -------
    Micrograph

    Raises
    ------
    ValueError
        If the file cannot be read as an image, its opacity varies, or it has several pages and ``page`` is not one of
        them.
    """
    try:
        decoded = _decode(path, labels)
        stated = [*decoded.statements, *(read_text_file(text_file) if text_file else [])]
    except Exception as error:  # decoders raise many types; MEMBRANE_DASK_DEBUG=1 shows where
        raise ValueError(f"{path.name} cannot be read as an image: {reason(error)}") from error
    values = decoded.values
    n_pages = len(values) if values.ndim - decoded.has_channels == 3 else 1
    if page is not None:
        if values.ndim - decoded.has_channels != 3 or not 0 <= page < n_pages:
            raise ValueError(f"page: {path.name} has {n_pages} pages, numbered from 0 (got {page})")
        values = values[page]
    if values.ndim - decoded.has_channels != 2:
        raise ValueError(
            f"{path.name} has the shape {values.shape}; one grey image is needed: select it with 'page', or save it "
            "as a file of its own"
        )
    if not values.size:
        raise ValueError(f"{path.name} holds no pixels: its shape is {values.shape}")
    remarks = list(decoded.remarks)
    colours: np.ndarray | None = None
    if decoded.has_channels:
        channel = grey_channel(values, path.name)
        values, colours = channel.values, channel.difference
        remarks += channel.remarks
        if decoded.is_lossy and colours is not None and colours.max() <= _LOSSY_DIFFERENCE:
            remarks.append(("colours", f"channels differ by at most {colours.max()} after compression: one is used"))
            colours = None
    if values.dtype == bool:
        values = values.astype(np.uint8) * np.uint8(255)
    if values.dtype.kind not in "uif":
        raise ValueError(f"{path.name} holds values of type {values.dtype}; a grey image is needed")
    bits = values.dtype.itemsize * 8
    return Micrograph(
        values,
        image_metadata(stated, (values.shape[0], values.shape[1]), decoded.without, decoded.aspect),
        tuple(remarks),
        min(bits, decoded.bits if decoded.bits and decoded.bits > 1 else bits),
        decoded.is_lossy,
        colours,
        decoded.has_palette,
    )


def image_header(path: Path) -> tuple[int, int]:
    """Rows and columns of an image, without decoding it.

    Raises
    ------
    ValueError
        If it is none, or holds several.
    """
    if path.suffix.lower() in (".tif", ".tiff"):
        with open_tiff(path) as file:
            if len(file.pages) > 1:
                n_images = sum(len(series.pages) for series in whole_images(file))
                if n_images > 1:
                    raise ValueError(f"it holds {n_images} images; one is needed")
            return int(file.pages[0].imagelength), int(file.pages[0].imagewidth)
    from PIL import Image

    _check_image(path)
    with Image.open(path, formats=_FORMATS) as image:
        return image.height, image.width


def _decode(path: Path, labels: bool = False) -> _Decoded:
    suffix = path.suffix.lower()
    if suffix == ".npy":
        array = open_npy(path)
        check_decoded_size("it", array.shape, array.dtype, _SMALLER)
        has_channels = array.ndim == 3 and array.shape[-1] in (2, 3, 4)
        return _Decoded(np.array(array), has_channels, without="a NumPy file has no pixel size")
    if suffix in (".tif", ".tiff"):
        with open_tiff(path) as file:
            return _decode_tiff(file, labels)
    return _decode_image(path, labels)


def _decode_tiff(file: Any, labels: bool) -> _Decoded:
    page = file.pages[0]
    check_orientation(page.tags.valueof(ORIENTATION, 1))
    if not labels:
        check_lookup_table(file)
    statements, without = tiff_statements(file)
    (values, axes), remarks = _images(file), []
    has_channels = axes.count("S") == 1 and values.ndim == len(axes)
    if has_channels:
        values = np.moveaxis(values, axes.index("S"), -1)
    elif values.ndim == 3 and values.shape[-1] in (2, 3, 4):
        has_channels = True
    if has_channels and values.shape[-1] not in (2, 3, 4):
        raise ValueError(f"it has {values.shape[-1]} colour channels; a grey image is needed")
    colours = palette_of(page)
    if colours is not None and labels:
        remarks.append(PALETTE_OF_LABELS)
    elif colours is not None:
        values, has_channels = palette_channels(values, colours), True
    refuse_print_colours(page)
    if white_is_zero(page):
        remarks.append(("photometric", "interpretation 0, white is zero: inverted"))
    elif int(page.photometric) == 0:
        remarks.append(("photometric", "interpretation 0 of an array of booleans by tifffile: true is taken as bright"))
    return _Decoded(
        values, has_channels, tuple(statements), without, tuple(remarks),
        None if has_channels else int(np.max(page.bitspersample)),
        is_lossy(page), tiff_aspect(file), colours is not None,
    )  # fmt: skip


def _images(file: Any) -> tuple[np.ndarray, str]:
    """Values of all images of a TIFF file and their axes; smaller copies of an image are left out."""
    series = whole_images(file)
    first = series[0]
    if first.keyframe.index != file.pages[0].index:
        raise ValueError("its first image is a smaller copy of another one: save that one as a file of its own")
    if len(series) == 1:
        return read_series(file, first), str(first.axes)
    if len({each.keyframe.hash for each in series}) > 1:
        sizes = [f"{each.keyframe.imagelength} x {each.keyframe.imagewidth}" for each in series]
        listed = ", ".join(sizes[:_LISTED]) + (", ..." if sizes[_LISTED:] else "")
        raise ValueError(f"it holds unlike images, of {listed} pixels: save the one to use as a file of its own")
    # Images that were written one by one are a series each to tifffile.
    check_decoded_size("it", (len(series), *first.shape), first.dtype, "save the image to use as a file of its own")
    return np.stack([read_series(file, each) for each in series]), f"Q{first.axes}"


def _decode_image(path: Path, labels: bool) -> _Decoded:
    import imageio.v3 as iio
    from PIL import Image

    aspect, has_palette = _check_image(path)
    if has_palette and labels:
        with Image.open(path, formats=_FORMATS) as image:
            return _Decoded(np.array(image), False, remarks=(PALETTE_OF_LABELS,), aspect=aspect)
    values = np.asarray(iio.imread(path, plugin="pillow"))
    if path.suffix.lower() == ".gif" and len(values) == 1:
        values = values[0]
    return _Decoded(
        values, values.ndim == 3, is_lossy=path.suffix.lower() in _LOSSY_FORMATS, aspect=aspect, has_palette=has_palette
    )


def _check_image(path: Path) -> tuple[float, bool]:
    """Check the header of an image that Pillow decodes; returns the height of a pixel over its width, if a palette."""
    from PIL import Image

    require_regular(path)
    with Image.open(path, formats=_FORMATS) as image:
        bytes_each = 4 if image.mode in ("I", "F") else 2 if image.mode.startswith("I;16") else 1
        shape = (image.height, image.width, len(image.getbands()))
        check_decoded_size("it", shape, f"u{bytes_each}", _SMALLER)
        if getattr(image, "is_animated", False):
            raise ValueError("it holds several images; save the one to use as a file of its own")
        if image.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "I", "F") and bytes_each == 1:
            raise ValueError(f"it has the colour channels {image.mode}; a grey image is needed")
        check_orientation(image.getexif().get(ORIENTATION, 1))
        along, across = (float(value) for value in image.info.get("dpi") or image.info.get("aspect") or (1, 1))
        return along / across if along > 0 and across > 0 else 1.0, image.mode == "P"
