"""Number of images that the description of an ImageJ TIFF file states, compared with those that the file holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from membrane_dask.io.header_numbers import header_count

#: Entries of the description that state a number of images: all of them, and the extents of a hyperstack.
_TOTAL, _EXTENTS = "images", ("channels", "slices", "frames")


def imagej_counts(file: Any) -> dict[str, int]:
    """Numbers of images by the description of an ImageJ TIFF file, by their names; empty for other files.

    Parameters
    ----------
    file : tifffile.TiffFile

    Raises
    ------
    ValueError
        If one is no whole number.
    """
    metadata: Mapping[str, Any] = (file.imagej_metadata if file.is_imagej else None) or {}
    names = [name for name in (_TOTAL, *_EXTENTS) if name in metadata]
    return {name: header_count(metadata[name], f"ImageJ description, {name},") for name in names}


def check_imagej_images(file: Any) -> None:
    """Check that an ImageJ TIFF file holds as many images as its description states.

    Parameters
    ----------
    file : tifffile.TiffFile

    Raises
    ------
    ValueError
        If the numbers that it states disagree, or the file has more or fewer pages.

    Notes
    -----
    ImageJ writes large stacks with one page, whose values are followed by those of all other images. Bio-Formats counts
    the colours of a page as channels.
    """
    counts = imagej_counts(file)
    if not counts:
        return
    stated = ", ".join(f"{name}={count}" for name, count in counts.items())
    page, n_pages = file.pages.first, len(file.pages)
    n_images = counts.get("slices", 1) * counts.get("frames", 1)
    with_channels = n_images * counts.get("channels", 1)
    n_samples = int(page.samplesperpixel)
    possible = {with_channels, n_images} if counts.get("channels") == n_samples else {with_channels}
    if _TOTAL in counts:
        total = counts[_TOTAL]
        if any(name in counts for name in _EXTENTS) and total not in possible:
            raise ValueError(
                f"its ImageJ description states {stated}: {total} images, but {with_channels} by channels, slices and "
                "frames; open it in ImageJ, set Image > Properties, and save it again"
            )
        possible = {total}
    if n_pages in possible or (n_pages == 1 and _holds_contiguous(file, page, max(possible))):
        return
    raise ValueError(
        f"its ImageJ description states {stated}, but the file holds {n_pages} "
        f"image{'s' if n_pages > 1 else ''}: {_fix(n_pages, max(possible))}"
    )


def _holds_contiguous(file: Any, page: Any, n_images: int) -> bool:
    """Whether the values of ``n_images`` images follow one another from those of the only page on."""
    return bool(page.is_final and page.dataoffsets[0] + n_images * page.nbytes <= file.filehandle.size)


def _fix(n_pages: int, n_stated: int) -> str:
    again = "if they are the whole volume, open it in ImageJ and save it again, or save it without the description"
    if n_pages < n_stated:
        return f"if images were lost, copy the file again; {again}"
    return f"if further images were added, save the planes of the volume alone; {again}"
