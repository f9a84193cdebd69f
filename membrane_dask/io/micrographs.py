"""Reader of micrographs, and of the pixel size in the metadata of their files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from membrane_dask.errors import reason
from membrane_dask.files import require_regular
from membrane_dask.io.raster_files import check_decoded_size, checked_edge, open_npy, open_tiff, read_series

#: Nanometres in the units of length that files use.
UNITS = {
    "m": 1e9, "mm": 1e6, "µm": 1e3, "μm": 1e3, "um": 1e3, "micron": 1e3, "microns": 1e3, "\\u00b5m": 1e3,
    "millimeter": 1e6, "micrometer": 1e3, "nm": 1.0, "nanometer": 1.0, "pm": 1e-3, "å": 0.1, "angstrom": 0.1,
}  # fmt: skip
#: Pixels larger than this, in nm, are those of a print resolution.
_MAX_PIXEL = 50_000.0
#: What Pillow may decode: its other formats start further programs, or are no images of pixels.
_FORMATS = ("PNG", "JPEG", "JPEG2000", "TIFF", "BMP", "GIF", "PPM", "WEBP")
#: Number of the TIFF and EXIF tag of the orientation.
_ORIENTATION = 274
_SMALLER = "cut out or scale down what is needed"


@dataclass(frozen=True)
class Micrograph:
    """A grey image and its pixel size.

    Parameters
    ----------
    image : (rows, columns) ndarray
        Grey values; black-and-white images as 0 and 255. Without the banner that the microscope adds below it.
    pixel_nm : float or None
        Pixel size by the metadata of the file, nm; None without.
    source : str
        Which metadata hold the pixel size, or why it is unknown.
    """

    image: np.ndarray
    pixel_nm: float | None
    source: str


def read_micrograph(path: Path, page: int | None = None) -> Micrograph:
    """Read a grey image from a TIFF, PNG or NumPy file.

    Parameters
    ----------
    path : Path
        File of one grey image, or of a stack.
    page : int, optional
        Number of the image in a stack, from 0.

    Returns
    -------
    Micrograph

    Raises
    ------
    ValueError
        If the file cannot be read as an image, has colours, or has several pages and ``page`` is not one of them.
    """
    try:
        image, pixel, source, banner = _decode(path)
    except Exception as error:  # decoders raise many types; MEMBRANE_DASK_DEBUG=1 shows where
        raise ValueError(f"{path.name} cannot be read as an image: {reason(error)}") from error
    if image.ndim == 3 and image.shape[-1] in (2, 3, 4):
        raise ValueError(
            f"{path.name} has {image.shape[-1]} colour channels; a grey image is needed: save it as 8- or 16-bit grey"
        )
    if page is not None:
        if image.ndim != 3 or not 0 <= page < len(image):
            pages = len(image) if image.ndim == 3 else 1
            raise ValueError(f"page: {path.name} has {pages} pages, numbered from 0 (got {page})")
        image = image[page]
    if image.ndim != 2:
        raise ValueError(
            f"{path.name} has the shape {image.shape}; one grey image is needed: select it with 'page', or save it "
            "as a file of its own"
        )
    image = image[: len(image) - banner]
    if not image.size:
        raise ValueError(f"{path.name} holds no pixels: its shape is {image.shape}")
    if image.dtype == bool:
        image = image.astype(np.uint8) * np.uint8(255)
    if image.dtype.kind not in "uif":
        raise ValueError(f"{path.name} holds values of type {image.dtype}; a grey image is needed")
    return Micrograph(image, pixel, source)


def _decode(path: Path) -> tuple[np.ndarray, float | None, str, int]:
    """Image, pixel size, its source, and rows of the banner."""
    if path.suffix.lower() == ".npy":
        array = open_npy(path)
        check_decoded_size("it", array.shape, array.dtype, _SMALLER)
        return np.array(array), None, "a NumPy file has no pixel size", 0
    if path.suffix.lower() in (".tif", ".tiff"):
        try:
            with open_tiff(path) as file:
                _check_orientation(file.pages[0].tags.valueof(_ORIENTATION, 1))
                pixel, source, banner = tiff_pixel_size(file)
                return read_series(file), checked_edge(pixel), source, banner
        except ValueError as error:
            if "imagecodecs" not in str(error):  # a compression that Pillow may support
                raise
    import imageio.v3 as iio

    _check_image(path)
    return np.asarray(iio.imread(path, plugin="pillow")), None, "the file has no pixel size", 0


def _check_image(path: Path) -> None:
    """Check the header of an image that Pillow decodes."""
    from PIL import Image

    require_regular(path)
    with Image.open(path, formats=_FORMATS) as image:
        bytes_each = 4 if image.mode in ("I", "F") else 2 if image.mode.startswith("I;16") else 1
        shape = (image.height, image.width, len(image.getbands()))
        check_decoded_size("it", shape, f"u{bytes_each}", _SMALLER)
        if getattr(image, "is_animated", False):
            raise ValueError("it holds several images; save the one to use as a file of its own")
        _check_orientation(image.getexif().get(_ORIENTATION, 1))


def _check_orientation(orientation: Any) -> None:
    if orientation not in (0, 1):
        raise ValueError(
            f"its metadata turn or mirror it (orientation {orientation}), and depth would run in another direction: "
            "save it as it is shown"
        )


def tiff_pixel_size(file: Any) -> tuple[float | None, str, int]:
    """Pixel size of a TIFF file.

    Parameters
    ----------
    file : tifffile.TiffFile

    Returns
    -------
    pixel_nm : float or None
        Pixel size in nm, None without.
    source : str
        Which metadata hold it, or why it is unknown.
    banner : int
        Rows of the banner that the microscope adds below the image.
    """
    page = file.pages[0]
    fei: Mapping[str, Any] = file.fei_metadata or {}
    if "PixelWidth" in fei.get("Scan", {}):
        rows = int(fei.get("Image", {}).get("ResolutionY", page.imagelength))
        return float(fei["Scan"]["PixelWidth"]) * 1e9, "FEI metadata", max(0, page.imagelength - rows)
    zeiss: Mapping[str, Any] = file.sem_metadata or {}
    for name in ("ap_image_pixel_size", "ap_pixel_size"):
        if name in zeiss and str(zeiss[name][2]).lower() in UNITS:
            return float(zeiss[name][1]) * UNITS[str(zeiss[name][2]).lower()], "Zeiss metadata", 0
    if file.is_ome:
        pixel = ome_pixel_size(file, "X")
        if pixel is not None:
            return pixel, "OME metadata", 0
    if "XResolution" not in page.tags:
        return None, "the file has no pixel size", 0
    pixels, per_units = page.tags["XResolution"].value
    resolution = pixels / per_units if per_units else 0.0
    imagej: Mapping[str, Any] = file.imagej_metadata or {}
    unit = str(imagej.get("unit", "")).lower()
    if unit in UNITS and resolution > 0:
        return UNITS[unit] / resolution, "ImageJ metadata", 0
    if unit in ("inch", "inches", "cm"):
        return None, f"the file has a resolution per {unit}, which is a print resolution", 0
    kind = int(page.tags["ResolutionUnit"].value) if "ResolutionUnit" in page.tags else 1
    if kind == 3 and resolution > 0 and 1e7 / resolution < _MAX_PIXEL:
        return 1e7 / resolution, "TIFF resolution per centimetre", 0
    if kind == 2:
        return None, "the file has a resolution per inch, which is a print resolution", 0
    return None, "the file has no pixel size", 0


def ome_pixel_size(file: Any, axis: str) -> float | None:
    """Pixel size of an OME-TIFF file along an axis, ``X``, ``Y`` or ``Z``, in nm; None without."""
    import tifffile

    images = tifffile.xml2dict(str(file.ome_metadata))["OME"]["Image"]
    pixels = (images[0] if isinstance(images, list) else images)["Pixels"]
    unit = UNITS.get(str(pixels.get(f"PhysicalSize{axis}Unit", "µm")).lower())
    name = f"PhysicalSize{axis}"
    return float(pixels[name]) * unit if name in pixels and unit else None
