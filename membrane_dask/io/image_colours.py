"""Grey values of images with colour channels, opacity or a palette; colours that are not grey are refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from membrane_dask.io.raster_files import check_decoded_size

#: Photometric interpretations of TIFF images: values are numbers of colours in a table; channels of a print.
PALETTE, PRINT = 3, 5
#: Number of the TIFF and EXIF tag of the orientation.
ORIENTATION = 274
#: Remark on a palette that is not used: subject and text.
PALETTE_OF_LABELS = ("palette", "values are labels, its colours are not used")
_SMALLER = "cut out or scale down what is needed"


@dataclass(frozen=True)
class GreyChannel:
    """The first channel of an image.

    Parameters
    ----------
    values : (...) ndarray
        Its values.
    difference : (...) ndarray or None
        Largest difference of the channels; None if all are equal.
    remarks : tuple of (str, str)
        What was dropped.
    """

    values: np.ndarray
    difference: np.ndarray | None
    remarks: tuple[tuple[str, str], ...]

    def require_equal(self, name: str) -> np.ndarray:
        """The values, if all channels are equal.

        Raises
        ------
        ValueError
            If they are not; with the largest difference and its position.
        """
        if self.difference is not None:
            where = largest(self.difference)
            raise ValueError(
                f"{name} has colour channels that differ, by up to {self.difference[where]} (at {where}); grey values "
                "are needed: save it as 8- or 16-bit grey without overlays"
            )
        return self.values


def grey_channel(values: np.ndarray, name: str) -> GreyChannel:
    """First channel of ``(..., channel)`` values, and the differences of the channels; drops a constant opacity.

    Raises
    ------
    ValueError
        If the opacity varies, or there are other channels than grey, red, green, blue and opacity.
    """
    if values.shape[-1] not in (1, 2, 3, 4):
        raise ValueError(f"it has {values.shape[-1]} colour channels; a grey image is needed")
    remarks = []
    if values.shape[-1] in (2, 4) and values.size:
        opacity = values[..., -1]
        if opacity.min() != opacity.max():
            position = largest(opacity.max() - opacity)
            where = f"row {position[0]}, column {position[1]}" if len(position) == 2 else f"at {position}"
            raise ValueError(
                f"{name} has an opacity (alpha) that varies, from {opacity.min()} to {opacity.max()} ({where}): "
                "flatten it and save it as grey"
            )
        remarks.append(("alpha", f"opacity {opacity.flat[0]} everywhere: dropped"))
        values = values[..., :-1]
    if values.shape[-1] == 1:
        return GreyChannel(values[..., 0], None, tuple(remarks))
    difference = values.max(axis=-1) - values.min(axis=-1)
    if difference.any():
        return GreyChannel(values[..., 0], difference, tuple(remarks))
    remarks.append(("colours", f"{values.shape[-1]} equal channels: one is used"))
    return GreyChannel(values[..., 0], None, tuple(remarks))


def largest(values: np.ndarray) -> tuple[int, ...]:
    """Position of the largest value."""
    return tuple(int(k) for k in np.unravel_index(int(values.argmax()), values.shape))


def palette_of(page: Any) -> np.ndarray | None:
    """Colours ``(channel, value)`` of a TIFF page whose values are numbers of colours; None for other pages."""
    if int(page.photometric) != PALETTE or page.colormap is None:
        return None
    colours = np.asarray(page.colormap)
    return (colours // 257).astype(np.uint8) if not (colours % 257).any() else colours


def palette_channels(values: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Colours ``(..., channel)`` of numbers of colours."""
    check_decoded_size("it", (*values.shape, 3), colours.dtype, _SMALLER)
    return np.moveaxis(colours[:, values], 0, -1)


def palette_greys(values: np.ndarray, colours: np.ndarray, name: str) -> np.ndarray:
    """Grey values of numbers of colours, of which those that occur must be grey.

    Raises
    ------
    ValueError
        If one is not.
    """
    is_coloured = (colours != colours[0]).any(axis=0)
    if is_coloured.any():
        used = is_coloured[values]
        if used.any():
            number = int(values[used].min())
            raise ValueError(
                f"{name} has a palette that shows the value {number} in the colour "
                f"{tuple(int(c) for c in colours[:, number])}: save it as grey, or, where values are labels, name that "
                f"of the pores (pores: {number})"
            )
    return np.asarray(colours[0][values])


def refuse_print_colours(page: Any) -> None:
    """Refuse the colour channels of a print.

    Raises
    ------
    ValueError
        If a TIFF page has them.
    """
    if int(page.photometric) == PRINT:
        raise ValueError("it has the colour channels of a print (CMYK); a grey image is needed")


def check_orientation(orientation: Any) -> None:
    """Refuse an image that its metadata turn or mirror.

    Raises
    ------
    ValueError
        If they do.
    """
    if orientation not in (0, 1):
        raise ValueError(
            f"its metadata turn or mirror it (orientation {orientation}), and depth would run in another direction: "
            "save it as it is shown"
        )


def check_lookup_table(file: Any) -> None:
    """Refuse a TIFF file that ImageJ shows with its largest value darkest, by a lookup table of its own.

    Raises
    ------
    ValueError
        If it does.
    """
    tables = (file.imagej_metadata or {}).get("LUTs", ()) if file.is_imagej else ()
    for table in tables if isinstance(tables, list) else [tables]:
        brightness = np.asarray(table, np.float64)
        if brightness.ndim == 2 and brightness.sum(axis=0)[-1] < brightness.sum(axis=0)[0]:
            raise ValueError(
                "ImageJ shows it with an inverting lookup table (LUT), zero brightest: save it as it is shown (Image > "
                "Lookup Tables > Grays, then Edit > Invert)"
            )
