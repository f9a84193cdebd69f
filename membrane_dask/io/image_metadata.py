"""Pixel size and databar of micrographs, as metadata in their files or text files of microscopes state them."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from membrane_dask.files import read_bytes
from membrane_dask.io.header_numbers import header_number
from membrane_dask.io.header_texts import decoded_text, nanometres
from membrane_dask.plain_text import printable_line

#: Pixels larger than this, in nm, are those of a print resolution: per inch, the unit of prints, and per centimetre.
_MAX_PIXEL = {"inch": 1000.0, "centimetre": 50_000.0}
#: Resolutions of scanners and prints, in pixels per inch, that pixels smaller than that correspond to.
_PRINT_RESOLUTIONS = (600, 720, 800, 1000, 1200, 1440, 2400, 3200, 3600, 4800, 6400, 9600)
#: Units of resolutions by the number of the TIFF tag, and as ImageJ names them.
_RESOLUTION_UNITS = {2: "inch", 3: "centimetre", "inch": "inch", "inches": "inch", "cm": "centimetre"}
#: Largest relative difference of two statements of a pixel size that counts as rounding.
PIXEL_TOLERANCE = 0.02
#: Columns of the display that Zeiss's `Pixel Size` belongs to; `Image Pixel Size` is that of the file.
_ZEISS_COLUMNS = 1024
#: TIFF tag in which TESCAN writes its header.
_TESCAN_TAG = 50431
#: Between name and value of an entry.
_EQUALS = r"\s*=\s*"
#: Largest text file of a microscope, in bytes.
_MAX_TEXT = 1_000_000


@dataclass(frozen=True)
class PixelStatement:
    """What one source says about the pixels of an image.

    Parameters
    ----------
    width_nm, height_nm : float
        Size of a pixel along a row and along a column, nm.
    source : str
        Which metadata say so.
    columns, rows : int, optional
        Size of the image that they describe, without databar.
    databar : int
        Rows of the databar below it, if they are stated as such.
    """

    width_nm: float
    height_nm: float
    source: str
    columns: int | None = None
    rows: int | None = None
    databar: int = 0

    def __post_init__(self) -> None:
        if not (0 < self.width_nm < math.inf and 0 < self.height_nm < math.inf):
            raise ValueError(
                f"its metadata state pixels of {self.size} nm ({self.source}), which are no lengths; remove them there "
                "and set the size in the study"
            )

    @property
    def size(self) -> str:
        """Size of a pixel in nm, width x height, as text."""
        return as_size(self.width_nm, self.height_nm)


def as_size(width_nm: float, height_nm: float) -> str:
    """Size of a pixel in nm as text: one number for a square, otherwise width x height."""
    if differs(width_nm, height_nm, 1e-3):
        return f"{width_nm:.4g} x {height_nm:.4g}"
    return f"{width_nm:.4g}"


def differs(first: float, second: float, tolerance: float = PIXEL_TOLERANCE) -> bool:
    """Whether two sizes differ by more than a relative tolerance."""
    return abs(first - second) > tolerance * min(first, second)


@dataclass(frozen=True)
class ImageMetadata:
    """Pixel size and databar of an image, from all that its metadata state.

    Parameters
    ----------
    pixels : tuple of PixelStatement
        Possible sizes; none if they are unknown, several if metadata contradict each other or the size of the image.
    source : str
        Which metadata hold the size, or why it is unknown or ambiguous.
    databar : int
        Rows of the databar below the image.
    aspect : float
        Height of a pixel over its width where the size is unknown, by a resolution without a unit or of a print.
    """

    pixels: tuple[PixelStatement, ...]
    source: str
    databar: int = 0
    aspect: float = 1.0


def image_metadata(
    statements: list[PixelStatement], shape: tuple[int, int], without: str, aspect: float = 1.0
) -> ImageMetadata:
    """Combine what several sources state about an image.

    Parameters
    ----------
    statements : list of PixelStatement
        In the order of their reliability.
    shape : (int, int)
        Rows and columns of the image, databar included.
    without : str
        Why the pixel size is unknown if there are no statements.
    aspect : float
        Height of a pixel over its width, if there are none.
    """
    rows, columns = shape
    if not statements:
        return ImageMetadata((), without, aspect=aspect)
    for statement in statements:
        if statement.columns not in (None, columns):
            assert statement.columns is not None
            factor = statement.columns / columns
            scaled = PixelStatement(
                statement.width_nm * factor, statement.height_nm * factor, f"{statement.source}, for a scaled image"
            )
            return ImageMetadata(
                (statement, scaled),
                f"{statement.source} state pixels of {statement.size} nm in {statement.columns} columns, but the image "
                f"has {columns}: {statement.size} nm if it was cropped, {scaled.size} nm if it was scaled",
            )
    for one, other in itertools.combinations(statements, 2):
        if differs(one.width_nm, other.width_nm) or differs(one.height_nm, other.height_nm):
            text = f"its metadata disagree: {one.size} nm ({one.source}), {other.size} nm ({other.source})"
            return ImageMetadata((one, other), text)
    databar = max(
        max(0, rows - (statement.rows or rows), statement.databar if statement.databar < rows else 0)
        for statement in statements
    )
    return ImageMetadata((statements[0],), statements[0].source, databar)


def tiff_statements(file: Any) -> tuple[list[PixelStatement], str]:
    """What the metadata of a TIFF file state about its pixels, and what is said if they state nothing.

    Parameters
    ----------
    file : tifffile.TiffFile
    """
    statement, reason = _resolution(file)
    statements = [*_fei(file), *_zeiss(file), *_tescan_tag(file), *_ome(file), *_imagej(file)]
    if statement:
        statements.append(statement)
    return statements, "" if statements else _unknown_unit(file) or reason


def _fei(file: Any) -> Iterator[PixelStatement]:
    """Size of a pixel, and the width of the field if it contradicts that size."""
    metadata: Mapping[str, Any] = file.fei_metadata or {}
    scan, image = metadata.get("Scan", {}), metadata.get("Image", {})
    if scan.get("PixelWidth", "") == "":
        return
    width, height = (_number(scan.get(f"Pixel{side}", "")) * 1e9 for side in ("Width", "Height"))
    columns, rows = (int(_number(image.get(f"Resolution{axis}", ""))) or None for axis in "XY")
    databar = 0 if rows else int(_number(metadata.get("PrivateFei", {}).get("DatabarHeight", "")))
    is_square = scan.get("PixelHeight", "") == ""
    yield PixelStatement(width, width if is_square else height, "FEI metadata", columns, rows, databar)
    columns = columns or file.pages[0].shape[1]
    by_field = _number(scan.get("HorFieldsize", "")) * 1e9 / columns
    if by_field > 0 and differs(width, by_field):
        yield PixelStatement(by_field, by_field, f"FEI metadata, HorFieldsize / {columns} columns")


def _zeiss(file: Any) -> Iterator[PixelStatement]:
    """Sizes by Zeiss: `Image Pixel Size`, or the widths of the image and of the display that `Pixel Size` is of."""
    metadata: Mapping[str, Any] = file.sem_metadata or {}
    rows, columns = file.pages[0].shape[:2]

    def length(name: str) -> float | None:
        entry = metadata.get(name, ())
        if len(entry) == 2:  # tifffile leaves a number with a decimal comma as it is
            return _length(str(entry[1]))
        unit = nanometres(entry[2]) if len(entry) > 2 else None
        return float(entry[1]) * unit if unit else None

    image, display = length("ap_image_pixel_size"), length("ap_pixel_size")
    width, height = length("ap_width"), length("ap_height")
    by_width, by_height = width and width / columns, height and height / rows
    if image:
        yield PixelStatement(image, image, "Zeiss metadata, Image Pixel Size")
        if by_width and differs(image, by_width):
            yield PixelStatement(by_width, by_width, f"Zeiss metadata, Width / {columns} columns")
        elif not by_width and display and not _explains(display, image, columns):
            yield PixelStatement(display, display, "Zeiss metadata, Pixel Size")
    elif by_width:
        yield PixelStatement(by_width, by_width, f"Zeiss metadata, Width / {columns} columns")
        if display and not _explains(display, by_width, columns):
            yield PixelStatement(display, display, "Zeiss metadata, Pixel Size")
        elif by_height and differs(by_width, by_height) and differs(display or by_height, by_width):
            yield PixelStatement(by_height, by_height, f"Zeiss metadata, Height / {rows} rows")
    elif display:
        yield PixelStatement(display, display, "Zeiss metadata, Pixel Size", _ZEISS_COLUMNS)


def _explains(display: float, pixel: float, columns: int) -> bool:
    """Whether a pixel of the display is one of the image, or as many times smaller as the display has more columns."""
    return not differs(display, pixel) or not differs(display * _ZEISS_COLUMNS / columns, pixel)


def _tescan_tag(file: Any) -> Iterator[PixelStatement]:
    value = file.pages[0].tags.valueof(_TESCAN_TAG, None)
    if isinstance(value, bytes | str):
        yield from _tescan(decoded_text(value) if isinstance(value, bytes) else value, "TESCAN metadata")


def _ome(file: Any) -> Iterator[PixelStatement]:
    if file.is_ome:
        width = ome_pixel_size(file, "X")
        if width is not None:
            yield PixelStatement(width, ome_pixel_size(file, "Y") or width, "OME metadata")


def ome_pixel_size(file: Any, axis: str) -> float | None:
    """Pixel size of an OME-TIFF file along an axis, ``X``, ``Y`` or ``Z``, in nm; None without."""
    size, unit = _ome_size(file, axis) or (0.0, "")
    factor = nanometres(unit)
    return size * factor if factor else None


def _ome_size(file: Any, axis: str) -> tuple[float, str] | None:
    """Pixel size of an OME-TIFF file along an axis, and its unit; None without."""
    import tifffile

    images = tifffile.xml2dict(str(file.ome_metadata))["OME"]["Image"]
    pixels = (images[0] if isinstance(images, list) else images)["Pixels"]
    name = f"PhysicalSize{axis}"
    if name not in pixels:
        return None
    text = re.search(rf'\b{name}="([^"]*)"', str(file.ome_metadata))
    return _number(text[1] if text else pixels[name]), str(pixels.get(f"{name}Unit", "µm"))


def tiff_plane_distance(file: Any) -> float | None:
    """Distance between the planes of a TIFF file by its OME or ImageJ metadata, nm; None without."""
    if file.is_ome:
        return ome_pixel_size(file, "Z")
    spacing, unit = _imagej_spacing(file), _imagej_unit(file.imagej_metadata or {}, "zunit")
    return spacing * unit if spacing and unit else None


def tiff_plane_ratio(file: Any) -> float | None:
    """Distance between the planes of a TIFF file over the width of a pixel, in any unit that both have; None without.

    ImageJ writes no distance of 1; other programs do where they know none.
    """
    if file.is_ome:
        (depth, depth_unit), (width, width_unit) = (_ome_size(file, axis) or (0.0, "") for axis in "ZX")
        return depth / width if width > 0 and depth_unit == width_unit else None
    spacing, resolutions, metadata = _imagej_spacing(file), _resolutions(file), file.imagej_metadata or {}
    if not spacing or spacing == 1 or "zunit" in metadata:
        return None
    return spacing * (resolutions[0] if resolutions else 1.0)


def _imagej_spacing(file: Any) -> float | None:
    """Distance between planes by ImageJ, whose sign means nothing; None without."""
    spacing = (file.imagej_metadata or {}).get("spacing")
    return abs(header_number(spacing, "ImageJ description, spacing,")) if spacing else None


def _imagej_unit(metadata: Mapping[str, Any], name: str) -> float | None:
    """Nanometres in the unit of an axis by ImageJ, which writes `yunit` and `zunit` where they differ from `unit`."""
    return nanometres(metadata.get(name, metadata.get("unit", "")))


def _unknown_unit(file: Any) -> str:
    """Which unit OME or ImageJ metadata have that is no unit of length; empty without."""
    if file.is_ome:
        name, (_, unit) = "OME metadata", _ome_size(file, "X") or (0.0, "µm")
    else:
        name, unit = "ImageJ description", str((file.imagej_metadata or {}).get("unit", ""))
    if not unit or nanometres(unit):
        return ""
    return f"its {name} has the unit {printable_line(unit)[:40]!r}, which is no unit of length"


def _resolutions(file: Any) -> tuple[float, float] | None:
    """Pixels in a unit of length along a row and along a column; None without."""
    tags = file.pages[0].tags
    values = []
    for name in ("XResolution", "YResolution"):
        if name in tags:
            pixels, units = tags[name].value
            values.append(pixels / units if units else 0.0)
    if not values or values[0] <= 0:
        return None
    return values[0], values[-1] if values[-1] > 0 else values[0]


def tiff_aspect(file: Any) -> float:
    """Height of a pixel of a TIFF file over its width, whatever the unit of its resolution."""
    along, across = _resolutions(file) or (1.0, 1.0)
    return along / across


def _imagej(file: Any) -> Iterator[PixelStatement]:
    metadata: Mapping[str, Any] = file.imagej_metadata or {}
    (x_unit, y_unit), resolutions = (_imagej_unit(metadata, name) for name in ("unit", "yunit")), _resolutions(file)
    if x_unit and y_unit and resolutions:
        width, height = x_unit / resolutions[0], y_unit / resolutions[1]
        if not _print_resolution(width, _RESOLUTION_UNITS.get(str(metadata.get("unit", "")).strip().lower())):
            yield PixelStatement(width, height, "ImageJ metadata")


def _resolution(file: Any) -> tuple[PixelStatement | None, str]:
    """What the resolution of a TIFF file states, unless it is that of a print."""
    metadata: Mapping[str, Any] = file.imagej_metadata or {}
    resolutions, tags = _resolutions(file), file.pages[0].tags
    kind = int(tags["ResolutionUnit"].value) if "ResolutionUnit" in tags else 1
    unit = _RESOLUTION_UNITS.get(kind) or _RESOLUTION_UNITS.get(str(metadata.get("unit", "")).strip().lower())
    if not resolutions or not unit:
        return None, "the file has no pixel size"
    length = float(nanometres(unit) or math.nan)
    if reason := _print_resolution(length / resolutions[0], unit):
        return None, reason
    if kind not in _RESOLUTION_UNITS or (kind == 2 and _imagej_unit(metadata, "unit")):  # per the unit of ImageJ
        return None, ""
    return PixelStatement(length / resolutions[0], length / resolutions[1], f"TIFF resolution per {unit}"), ""


def _print_resolution(width_nm: float, unit: str | None) -> str:
    """Why pixels of a resolution in a unit of prints are those of a print; empty if they are not."""
    if not unit:
        return ""
    dots = next((dpi for dpi in _PRINT_RESOLUTIONS if not differs(25.4e6 / width_nm, dpi, 1e-3)), None)
    if dots:
        return f"the file has a resolution of {dots} per inch, which is a print resolution"
    return f"the file has a resolution per {unit}, which is a print resolution" if width_nm > _MAX_PIXEL[unit] else ""


def find_text_file(image: Path) -> Path | None:
    """Text file of a JEOL, Hitachi or TESCAN microscope with an image, by name and content; None without."""
    stems = (image.stem, image.name, f"{image.stem}-{image.suffix[1:]}")
    names = [stem + suffix for stem, suffix in itertools.product(stems, (".txt", ".hdr"))]
    try:
        files = sorted(image.parent.iterdir())
    except OSError:
        return None
    for name in names:
        same = [path for path in files if path.name.lower() == name.lower()]  # in any case, as Windows finds them
        for path in sorted(same, key=lambda path: path.stem != Path(name).stem):
            if path.is_file() and is_microscope_text(path):
                return path
    return None


def is_microscope_text(path: Path) -> bool:
    """Whether a file is one that a JEOL, Hitachi or TESCAN microscope writes with an image."""
    return _reader(_text_of(path)) is not None


def read_text_file(path: Path) -> list[PixelStatement]:
    """What a text file of a microscope states about the pixels of its image; empty if it is no such file.

    Raises
    ------
    ValueError
        If it is one, and its numbers cannot be read.
    """
    text = _text_of(path)
    reader = _reader(text)
    return list(reader(text, path.name)) if reader else []


def _text_of(path: Path) -> str:
    try:
        return decoded_text(read_bytes(path, _MAX_TEXT))
    except OSError:
        return ""


def _reader(text: str) -> Callable[[str, str], Iterator[PixelStatement]] | None:
    """Reader of a text file by its content; None if it is none of a microscope."""
    if "$$SM_MICRON_BAR" in text:
        return _jeol
    if "[SemImageFile]" in text:
        return _hitachi
    return _tescan_file if _entry(text, "PixelSizeX", _EQUALS) else None


def _unreadable(source: str, entries: str, allowed: str) -> ValueError:
    return ValueError(f"its {source} states {printable_line(entries)[:80]}; allowed is {allowed}: correct or rename it")


def _entry(text: str, key: str, separator: str) -> str:
    """Value of a line ``key separator value``; empty without."""
    for line in text.splitlines():
        if match := re.fullmatch(rf"\s*{re.escape(key)}{separator}(.*?)\s*", line):
            return match[1]
    return ""


def _number(text: object) -> float:
    """A number, which may have a decimal comma; 0 if it is none."""
    try:
        return float(re.sub(r"^([+-]?\d+),(\d+)", r"\1.\2", str(text).strip()))
    except ValueError:
        return 0.0


def _length(text: str) -> float | None:
    """Nanometres of a length such as `5,825 nm`; None if it is none."""
    match = re.fullmatch(r"([\d.,]+(?:[eE][+-]?\d+)?)\s*([^\d\s]\S*)", text.strip())
    unit = nanometres(match[2]) if match else None
    return _number(match[1]) * unit if match and unit else None


def _size(text: str) -> tuple[int | None, int | None]:
    """Columns and rows of `1280 960` or `1280x960`."""
    match = re.fullmatch(r"(\d{1,9})\s*[x*\s]\s*(\d{1,9})", text)
    return (int(match[1]), int(match[2])) if match else (None, None)


def _jeol(text: str, name: str) -> Iterator[PixelStatement]:
    """Scale bar in pixels and its length; the image without databar is `$CM_FULL_SIZE`."""
    bar, length = (_entry(text, f"$$SM_MICRON_{key}", r"\s+") for key in ("BAR", "MARKER"))
    pixels, marker = _number(bar), _length(length)
    if not (bar and length):
        return
    if not marker or pixels <= 0:
        entries = f"$$SM_MICRON_BAR {bar!r}, $$SM_MICRON_MARKER {length!r}"
        raise _unreadable(f"JEOL file {name}", entries, "a number of pixels and a length, such as 60 and 300nm")
    edge = marker / pixels
    yield PixelStatement(edge, edge, f"JEOL file {name}", *_size(_entry(text, "$CM_FULL_SIZE", r"\s+")))


def _hitachi(text: str, name: str) -> Iterator[PixelStatement]:
    """Pixel size, in nm where it has no unit, and size of the image."""
    entry = _entry(text, "PixelSize", _EQUALS)
    edge = _number(entry) or _length(entry)
    if not entry:
        return
    if not edge or edge < 0:
        raise _unreadable(f"Hitachi file {name}", f"PixelSize {entry!r}", "a number in nm, such as 4.96")
    yield PixelStatement(edge, edge, f"Hitachi file {name}", *_size(_entry(text, "DataSize", _EQUALS)))


def _tescan_file(text: str, name: str) -> Iterator[PixelStatement]:
    return _tescan(text, f"TESCAN file {name}")


def _tescan(text: str, source: str) -> Iterator[PixelStatement]:
    """Pixel size in m and rows of the databar."""
    entries = [_entry(text, f"PixelSize{axis}", _EQUALS) for axis in "XY"]
    width, height = (_number(entry) * 1e9 for entry in entries)
    if entries[0] and width <= 0:
        raise _unreadable(source, f"PixelSizeX {entries[0]!r}", "a number in m, such as 5e-9")
    if width > 0:
        strip = _number(_entry(text, "ImageStripSize", _EQUALS))
        yield PixelStatement(width, height or width, source, databar=int(min(max(strip, 0), 1e6)))
