"""Micrographs from files, with what their files say of the size of a pixel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

#: Nanometres in the units in which files give lengths.
UNITS = {
    "m": 1e9, "mm": 1e6, "µm": 1e3, "μm": 1e3, "um": 1e3, "micron": 1e3, "microns": 1e3, "\\u00b5m": 1e3,
    "millimeter": 1e6, "micrometer": 1e3, "nm": 1.0, "nanometer": 1.0, "pm": 1e-3, "å": 0.1, "angstrom": 0.1,
}  # fmt: skip
#: A pixel larger than this, in nm, tells how an image is to be printed.
_PRINTED = 50_000.0


@dataclass(frozen=True)
class Micrograph:
    """An image as it stands in a file.

    Parameters
    ----------
    image : (rows, columns) ndarray
        Grey values; black-and-white images as 0 and 255. Without the banner that the microscope wrote below it.
    pixel_nm : float or None
        Size of a pixel by the file, nm.
    source : str
        Where that stands, or why there is none.
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
        Which image of a stack, from 0.

    Returns
    -------
    Micrograph

    Raises
    ------
    ValueError
        If the file cannot be read as an image, has colours, or has several pages and ``page`` names none.
    """
    try:
        image, pixel, source, banner = _decode(path)
    except Exception as error:  # every decoder fails in its own words, some with SyntaxError
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{path.name} cannot be read as an image: {reason}") from error
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
            f"{path.name} has the shape {image.shape}; one grey image is needed: name its 'page', or save it"
        )
    image = image[: len(image) - banner]
    if image.dtype == bool:
        image = image.astype(np.uint8) * np.uint8(255)
    if image.dtype.kind not in "uif":
        raise ValueError(f"{path.name} holds values of type {image.dtype}; a grey image is needed")
    return Micrograph(image, pixel, source)


def _decode(path: Path) -> tuple[np.ndarray, float | None, str, int]:
    """Image, size of a pixel, where that stands, and rows of a banner."""
    import imageio.v3 as iio
    import tifffile

    if path.suffix.lower() == ".npy":
        return np.load(path), None, "a NumPy file names no pixel size", 0
    if path.suffix.lower() in (".tif", ".tiff"):
        try:
            with tifffile.TiffFile(path) as file:
                return np.asarray(file.asarray()), *pixel_of(file)
        except ValueError as error:
            if "imagecodecs" not in str(error):  # a compression that Pillow may know
                raise
    return np.asarray(iio.imread(path, plugin="pillow")), None, "the file names no pixel size", 0


def pixel_of(file: Any) -> tuple[float | None, str, int]:
    """Size of a pixel in nm by a TIFF's metadata, where it stands, and rows of the microscope's banner."""
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
        import tifffile

        images = tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]
        pixels = (images[0] if isinstance(images, list) else images)["Pixels"]
        unit = str(pixels.get("PhysicalSizeXUnit", "µm")).lower()
        if "PhysicalSizeX" in pixels and unit in UNITS:
            return float(pixels["PhysicalSizeX"]) * UNITS[unit], "OME metadata", 0
    if "XResolution" not in page.tags:
        return None, "the file names no pixel size", 0
    above, below = page.tags["XResolution"].value
    resolution = above / below if below else 0.0
    imagej: Mapping[str, Any] = file.imagej_metadata or {}
    unit = str(imagej.get("unit", "")).lower()
    if unit in UNITS and resolution > 0:
        return UNITS[unit] / resolution, "ImageJ metadata", 0
    if unit in ("inch", "inches", "cm"):
        return None, f"the file gives its resolution per {unit}, which tells how it is printed", 0
    kind = int(page.tags["ResolutionUnit"].value) if "ResolutionUnit" in page.tags else 1
    if kind == 3 and resolution > 0 and 1e7 / resolution < _PRINTED:
        return 1e7 / resolution, "TIFF resolution per centimetre", 0
    if kind == 2:
        return None, "the file gives its resolution per inch, which tells how it is printed", 0
    return None, "the file names no pixel size", 0
