"""Picture of a segmented micrograph: the image, and on it the outline of the phases and what is cut or masked."""

from __future__ import annotations

import io

import numpy as np

from membrane_dask.studies.reconstruct.intake import Section

#: Colours of the outline, and of pixels that are cut and masked.
_OUTLINE, _CUT, _MASKED = (255, 140, 0), (200, 30, 30), (40, 90, 220)
#: Larger images are shown with fewer pixels, smaller ones with more.
_MAX_SIDE, _MIN_SIDE = 3000, 500
#: Quantiles of grey that are shown black and white.
_RANGE = (0.002, 0.998)


def preview(section: Section, solid: np.ndarray) -> bytes:
    """Draw a segmented micrograph.

    Parameters
    ----------
    section : Section
        The image and the part of it that was segmented.
    solid : (depth, width) ndarray of bool
        Its segmentation, True in the solid.

    Returns
    -------
    bytes
        A PNG: the whole image, and to its right or below it the same with the outline of the phases in orange, what is
        cut in red, and what is masked in blue.
    """
    grey = section.whole.astype(np.float64)
    low, high = np.quantile(grey[section.inside], _RANGE)
    shown = ((grey - low) * (255 / (high - low) if high > low else 0)).clip(0, 255).astype(np.uint8)
    image = np.repeat(shown[:, :, None], 3, axis=2)
    marked = image.copy()
    _tint(marked, ~section.inside, _CUT)
    rows, columns = np.flatnonzero(section.inside.any(axis=1)), np.flatnonzero(section.inside.any(axis=0))
    z = np.minimum(np.arange(len(rows)) * len(solid) // max(1, len(rows)), len(solid) - 1)
    x = np.minimum(np.arange(len(columns)) * solid.shape[1] // max(1, len(columns)), solid.shape[1] - 1)
    window = np.ix_(rows, columns)
    if section.mask is not None:
        masked = np.zeros_like(section.inside)
        masked[window] = ~section.mask[np.ix_(z, x)]
        _tint(marked, masked, _MASKED)
    outline = np.zeros_like(section.inside)
    outline[window] = _edges(solid[np.ix_(z, x)])
    marked[outline] = _OUTLINE
    axis = 1 if image.shape[0] >= image.shape[1] else 0
    gap = np.full_like(image[:, :8] if axis == 1 else image[:8], 255)
    return _png(_resized(np.concatenate([image, gap, marked], axis=axis)))


def _tint(image: np.ndarray, where: np.ndarray, colour: tuple[int, int, int]) -> None:
    image[where] = image[where] // 2 + np.array(colour, np.uint8) // 2


def _edges(solid: np.ndarray) -> np.ndarray:
    """Solid pixels that touch a pore."""
    pores = np.pad(~solid, 1)
    near = pores[:-2, 1:-1] | pores[2:, 1:-1] | pores[1:-1, :-2] | pores[1:-1, 2:]
    return np.asarray(solid & near)


def _resized(image: np.ndarray) -> np.ndarray:
    longest = max(image.shape[:2])
    step, repeat = -(-longest // _MAX_SIDE), max(1, _MIN_SIDE // longest)
    return np.ascontiguousarray(image[::step, ::step].repeat(repeat, axis=0).repeat(repeat, axis=1))


def _png(image: np.ndarray) -> bytes:
    import imageio.v3 as iio

    stream = io.BytesIO()
    iio.imwrite(stream, image, extension=".png")
    return stream.getvalue()
