"""Whether an image shows a plane section: pores of a fracture surface show what lies behind them."""

from __future__ import annotations

from dataclasses import dataclass

import edt
import numpy as np
from scipy import ndimage

from membrane_dask.physics.imaging.image_model import ImageModel

#: Distance from both grey levels, in standard deviations of the noise, of pixels that show neither phase; and the
#: fraction of such pixels from which on the image is no plane section.
_DEVIATIONS, _MAX_NEITHER = 4.0, 0.03
#: Variation of the brightness inside pores from which on the image is no plane section: in that inside the solid, or of
#: the noise, and in the contrast.
_VARIATION, _MIN_VARIATION = 2.0, 0.05
#: Pixels of each phase far from edges that the comparison needs.
_MIN_PIXELS = 500


@dataclass(frozen=True)
class Depth:
    """Signs that an image shows more than one plane.

    Parameters
    ----------
    neither : float
        Fraction of the pixels that are far from every edge and have the grey level of neither phase.
    pore_variation, solid_variation : float
        Standard deviation of the brightness inside the phases, of means of 3 x 3 pixels, over the contrast; that of
        the solid at least that of the noise. 0 if too few pixels are far from edges.
    """

    neither: float
    pore_variation: float
    solid_variation: float

    @property
    def is_visible(self) -> bool:
        """Whether the image is no plane section."""
        varies = self.pore_variation > max(_VARIATION * self.solid_variation, _MIN_VARIATION)
        return self.neither > _MAX_NEITHER or varies


def visible_depth(grey: np.ndarray, solid: np.ndarray, model: ImageModel) -> Depth:
    """Look for what lies behind the plane of a section.

    Parameters
    ----------
    grey : (depth, width) ndarray
        Grey values, without shading.
    solid : (depth, width) ndarray of bool
        Segmented image, True in the solid.
    model : ImageModel
        Levels, noise and blur of the image; pixels within twice the blur plus one pixel of an edge do not count.
    """
    distant = [edt.edt(np.ascontiguousarray(phase)) > 2 * model.blur + 1 for phase in (~solid, solid)]
    distance = np.minimum(np.abs(grey - model.pore_level), np.abs(grey - model.solid_level))
    neither = (distant[0] | distant[1]) & (distance > _DEVIATIONS * model.noise)
    mean = ndimage.uniform_filter(grey, 3, mode="nearest")
    inside = [ndimage.binary_erosion(phase) for phase in distant]
    if min(phase.sum() for phase in inside) < _MIN_PIXELS:
        return Depth(float(neither.mean()), 0.0, 0.0)
    pore, rest = (float(mean[phase].std()) / model.contrast for phase in inside)
    return Depth(float(neither.mean()), pore, max(rest, model.noise / 3 / model.contrast))
