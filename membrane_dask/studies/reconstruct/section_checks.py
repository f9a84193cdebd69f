"""What a segmented micrograph shows that a reconstruction cannot know: reported, not corrected."""

from __future__ import annotations

from collections.abc import Iterator

from membrane_dask.physics.imaging.plane_section import visible_depth
from membrane_dask.physics.imaging.segmentation import Segmentation
from membrane_dask.physics.reconstruction.orientation import side_lengths
from membrane_dask.studies.reconstruct.intake import Section

#: Relative standard deviation of the brightness between columns from which on the porosity may be biased by 0.01:
#: in the darkest columns the phases differ by no more than the noise.
_MAX_CURTAINING = 0.2


def section_remarks(section: Section, segmentation: Segmentation) -> Iterator[tuple[str, str]]:
    """Remarks on a segmented micrograph: subject and text."""
    if segmentation.curtaining > _MAX_CURTAINING:
        yield (
            "curtains",
            f"the brightness of the solid varies by {segmentation.curtaining:.0%} between columns, and in the darkest "
            "ones the phases hardly differ by more than the noise: the porosity may be too large by 0.01 to 0.02; crop "
            "these columns",
        )
    sides = side_lengths(segmentation.solid, section.mask)
    if sides.is_finer_below:
        upper, lower = sides.upper * section.pixel_nm, sides.lower * section.pixel_nm
        yield (
            "orientation",
            f"the lower quarter is finer than the upper one (half-correlation lengths {lower:.3g} and {upper:.3g} nm): "
            "is the feed side below? flip: depth turns the image",
        )
    if segmentation.estimate is None or "saturation" in dict(section.remarks):  # which has no noise to compare with
        return
    depth = visible_depth(segmentation.grey, segmentation.solid, segmentation.estimate.estimated)
    if depth.is_visible:
        yield (
            "no section",
            "pores show what lies behind them, as on a fracture surface, and the image is no plane section: "
            f"{depth.neither:.1%} of the pixels are far from every edge and have the grey value of neither phase; the "
            f"brightness varies by {depth.pore_variation:.0%} of the contrast in pores, by {depth.solid_variation:.0%} "
            "in the solid",
        )
