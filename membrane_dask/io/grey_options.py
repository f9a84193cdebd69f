"""How grey volumes are segmented."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Method = Literal["auto", "otsu", "hysteresis", "adaptive"]
Correction = Literal["auto", "none", "slices", "shading", "both"]


@dataclass(frozen=True, kw_only=True)
class GreyOptions:
    """How a grey volume is segmented.

    Parameters
    ----------
    method : {"auto", "otsu", "hysteresis", "adaptive"}
        ``otsu``: one threshold for the volume. ``hysteresis``: the same, but a pore must lie near a voxel that is
        darker than the middle between the threshold and the mean of the pores. ``adaptive``: a threshold by the local
        mean. ``auto``: Otsu's threshold after corrections where the volume is uneven.
    correction : {"auto", "none", "slices", "shading", "both"}
        What is corrected before the threshold; ``auto``: with ``method: auto`` what is uneven, else nothing.
    sigma, closing_radius : float
        As of :func:`membrane_dask.io.segmentation.segment_window`.
    pores : {"dark", "bright"}
        Which phase the pores are.
    slice_axis : int or None
        Axis of the volume along which its slices follow each other; None for the planes of the file.
    sensitivity : float
        Of ``adaptive``, in [0, 1], as of micrographs; larger gives more solid.
    neighbourhood : {"slice", "block"}
        Of ``adaptive``: voxels of the slice, or of the slices around it as well.
    window : int or None
        Of ``adaptive``: width of the neighbourhood, voxels; default an eighth of the slice.
    """

    method: Method
    correction: Correction = "auto"
    sigma: float = 0.0
    closing_radius: float = 0.0
    pores: Literal["dark", "bright"] = "dark"
    slice_axis: int | None = None
    sensitivity: float = 0.65
    neighbourhood: Literal["slice", "block"] = "slice"
    window: int | None = None

    @property
    def axis(self) -> int:
        """Axis along which the slices follow each other; the first one, unless it is given."""
        return self.slice_axis or 0
