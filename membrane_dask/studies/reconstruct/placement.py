"""Where the micrographs of a study lie in the membrane: pixel sizes, depths, and positions in a series of sections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from membrane_dask.errors import Problem, Source, StudyError
from membrane_dask.studies.reconstruct.config import ReconstructStudy
from membrane_dask.studies.reconstruct.image_settings import ImageSettings, depth_in_nm
from membrane_dask.studies.reconstruct.intake import Section

#: Relative difference up to which pixel sizes count as equal.
_EQUAL = 0.01
#: Relative difference of the depth of an image from its range, and of images of the whole from the thickness and
#: from their mean.
_MAX_DEPTH, _MAX_THICKNESS, _MAX_SPREAD = 0.02, 0.02, 0.1
#: Largest over smallest depth of images of the whole thickness that count as equal.
_EQUAL_DEPTH = 1.02
#: Half-correlation lengths between sections from which on they are independent.
_INDEPENDENT = 3
#: Fraction of the thickness that no image needs to show between two.
_MAX_GAP = 0.02


@dataclass(frozen=True)
class Placement:
    """Where a micrograph lies.

    Parameters
    ----------
    pixel_nm : float
        Edge of a pixel, the same for micrographs of equal magnification.
    first_row, thickness : int
        Rows of the membrane above it, and rows of the whole, in its pixels.
    number : int
        Of its place along the direction normal to the sections: those of one series have the same.
    position_nm : float
        In its series.
    """

    pixel_nm: float
    first_row: int
    thickness: int
    number: int
    position_nm: float = 0.0

    def range_of(self, rows: int) -> tuple[float, float]:
        """Depth fractions between which its rows lie."""
        return self.first_row / self.thickness, (self.first_row + rows) / self.thickness


def locate(study: ReconstructStudy, sections: Sequence[Section], source: Source | None) -> list[Placement]:
    """Place the micrographs of a study.

    Parameters
    ----------
    study : ReconstructStudy
    sections : sequence of Section
        Its micrographs, cut and turned.
    source : Source, optional
        Positions of the settings, for errors.

    Raises
    ------
    StudyError
        If depths contradict the thickness or the size of an image, or leave a part of the thickness without one.
    """
    settings = study.micrographs
    thickness = _thickness(study, sections, source)
    pixels = _equal_pixels([section.pixel_nm for section in sections])
    placements, series = [], None
    for i, (one, section, pixel) in enumerate(zip(settings, sections, pixels, strict=True)):
        rows = len(section.image)
        top, total = 0.0, rows
        if isinstance(one, ImageSettings) and one.depth:
            top = _checked_top(i, one.depth, rows * section.pixel_nm, thickness, source)
            total = max(round(thickness / pixel), round(top / pixel) + rows)
        number, position = i, 0.0
        if isinstance(one, ImageSettings) and one.position is not None:
            series = i if series is None else series
            number, position = series, one.position
        placements.append(Placement(pixel, round(top / pixel), total, number, position))
    _refuse_gaps(placements, sections, thickness, source)
    return placements


def independent_counts(placements: Sequence[Placement], lengths: Sequence[float]) -> list[float]:
    """Fraction of an independent micrograph that each counts as: those of a series that are close count as one.

    Parameters
    ----------
    placements : sequence of Placement
    lengths : sequence of float
        Half-correlation length that each micrograph shows, nm.
    """
    counts = []
    for own, length in zip(placements, lengths, strict=True):
        distances = [abs(one.position_nm - own.position_nm) for one in placements if one.number == own.number]
        counts.append(1 / max(1, sum(distance < _INDEPENDENT * length for distance in distances)))
    return counts


def placement_remarks(
    placements: Sequence[Placement], heights: Sequence[int], counts: Sequence[float]
) -> list[tuple[str, str]]:
    """What the plan says of the placement of several micrographs: subject and text.

    Parameters
    ----------
    placements : sequence of Placement
    heights : sequence of int
        Rows of each micrograph.
    counts : sequence of float
        Of :func:`independent_counts`.
    """
    remarks = []
    whole = [
        rows * one.pixel_nm for one, rows in zip(placements, heights, strict=True) if one.range_of(rows) == (0.0, 1.0)
    ]
    if len(whole) > 1 and max(whole) > _EQUAL_DEPTH * min(whole):
        text = f"images of the whole are {min(whole) / 1e3:.3g} to {max(whole) / 1e3:.3g} um deep"
        remarks.append(("thickness", f"{text}: the rows of each are spread over the same depth"))
    close = [number for number, count in enumerate(counts) if count < 1]
    if close:
        text = f"{', '.join(map(str, close))} are less than {_INDEPENDENT} half-correlation lengths from another one of"
        total = sum(counts[number] for number in close)
        remarks.append(("images", f"{text} their series: together they count as {total:.1f} images"))
    return remarks


def _depth_of(settings: object) -> str | None:
    return settings.depth if isinstance(settings, ImageSettings) else None


def _thickness(study: ReconstructStudy, sections: Sequence[Section], source: Source | None) -> float:
    """Thickness of the membrane, nm, by the study, or else the mean of the images that show the whole."""
    whole = {
        i: len(section.image) * section.pixel_nm
        for i, (one, section) in enumerate(zip(study.micrographs, sections, strict=True))
        if not _depth_of(one)
    }
    if not whole and study.thickness is None:
        raise StudyError(
            [Problem(("thickness",), "required, as no image shows the whole thickness; for example 60 um")], source
        )
    thickness = study.thickness if study.thickness is not None else sum(whole.values()) / len(whole)
    limit = _MAX_SPREAD if study.thickness is None else _MAX_THICKNESS
    for i, height in whole.items():
        if abs(height - thickness) > limit * thickness:
            where = ("images", i) if study.images else ("thickness",)
            raise StudyError(
                [
                    Problem(
                        where,
                        f"the image is {height / 1e3:.3g} um deep, and the membrane {thickness / 1e3:.3g} um thick: "
                        "set the depth that it shows, for example depth: 0 to 3 um, or crop what is not membrane",
                    )
                ],
                source,
            )
    return float(thickness)


def _equal_pixels(pixels: Sequence[float]) -> list[float]:
    """Pixel sizes with those that are almost equal replaced by the first of them."""
    equal: list[float] = []
    for pixel in pixels:
        equal.append(next((one for one in equal if abs(one - pixel) <= _EQUAL * pixel), pixel))
    return equal


def _checked_top(number: int, depth: str, height: float, thickness: float, source: Source | None) -> float:
    """Depth of the first row, nm, of an image of a height."""
    top, bottom = depth_in_nm(depth)
    where = ("images", number, "depth")
    if bottom is not None and abs(bottom - top - height) > _MAX_DEPTH * height:
        raise StudyError(
            [
                Problem(
                    where,
                    f"is a range of {(bottom - top) / 1e3:.4g} um, but the image is {height / 1e3:.4g} um deep: check "
                    f"the range and pixel_size, or give the depth of the first row only (got {depth!r})",
                )
            ],
            source,
        )
    if top + height > (1 + _MAX_DEPTH) * thickness:
        message = f"the image ends at {(top + height) / 1e3:.4g} um, below the thickness of {thickness / 1e3:.4g} um"
        raise StudyError([Problem(where, f"{message} (got {depth!r})")], source)
    return top


def _refuse_gaps(
    placements: Sequence[Placement], sections: Sequence[Section], thickness: float, source: Source | None
) -> None:
    """Refuse images that leave a part of the thickness without one."""
    ranges = sorted(
        placement.range_of(len(section.image)) for placement, section in zip(placements, sections, strict=True)
    )
    reached = 0.0
    for top, bottom in [*ranges, (1.0, 1.0)]:
        if top > reached + _MAX_GAP:
            gap = f"{reached * thickness / 1e3:.4g} to {top * thickness / 1e3:.4g} um"
            raise StudyError(
                [Problem(("images",), f"no image shows the depth from {gap}: add one, or correct depth and thickness")],
                source,
            )
        reached = max(reached, bottom)
