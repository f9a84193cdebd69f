"""Shading of a grey volume: the brightness of the solid as a smooth surface in its slices, which may change along z."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from membrane_dask.physics.fixed_order import least_squares
from membrane_dask.physics.imaging.grey_filters import otsu_threshold

#: Shading from which on it is corrected.
RELEVANT_SHADING = 0.05
#: Voxels of the solid to which the surface is fitted, and the least number of them for each of its coefficients.
_MAX_FITTED, _MIN_FITTED = 60_000, 50
#: Iterations in which the phases and the brightness of the solid are estimated from each other.
_ITERATIONS = 5
#: Smallest and largest gain.
_GAINS = (0.2, 5.0)


@dataclass(frozen=True, eq=False)
class VolumeShading:
    """Relative brightness of the voxels of a volume.

    Parameters
    ----------
    coefficients : (8,) ndarray of float32
        Of 1, x, y, x^2, y^2, xy, zx and zy, with coordinates from -1 to 1 of slices along z with rows along y.
    shading : float
        Relative difference between the brightest and the darkest tenth of the volume.
    """

    coefficients: np.ndarray
    shading: float

    @property
    def is_relevant(self) -> bool:
        """Whether it is worth a correction."""
        return self.shading > RELEVANT_SHADING

    def gain(self, z: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Relative brightness at coordinates, which are broadcast, float32; equal in every window."""
        one, of_x, of_y, xx, yy, xy, zx, zy = self.coefficients
        rows = one + (of_y + yy * y + zy * z) * y
        slopes = of_x + xy * y + zx * z
        return np.asarray((rows + (slopes + xx * x) * x).clip(*_GAINS), np.float32)


def estimate_volume_shading(
    slices: Sequence[np.ndarray], coordinates: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]], solid: np.ndarray
) -> VolumeShading:
    """Estimate the shading from some slices of a volume.

    Parameters
    ----------
    slices : sequence of (n,) ndarray
        Smoothed grey values, >= 0, of pixels of each slice.
    coordinates : sequence of tuple of (n,) ndarray
        Coordinates ``z, y, x`` of the pixels, from -1 to 1.
    solid : (slices,) ndarray
        Grey value of the brighter phase in each slice.

    Returns
    -------
    VolumeShading
        An even one where too few voxels are solid.

    Notes
    -----
    As of a micrograph: the phases are segmented anew in every iteration, so that a gradient of the porosity is not
    mistaken for shading. The level of each slice is free.
    """
    grey = np.concatenate([image / level for image, level in zip(slices, solid, strict=True)])
    owner = np.repeat(np.arange(len(slices)), [image.size for image in slices])
    z, y, x = (np.concatenate([point[k] for point in coordinates]) for k in range(3))
    terms = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y, z * x, z * y], axis=1)
    fit = np.zeros(terms.shape[1])
    fit[0] = 1.0
    surface, level = np.ones_like(grey), np.ones(len(slices))
    for _ in range(_ITERATIONS):
        corrected = grey / (surface * level[owner])
        bright = corrected > otsu_threshold(corrected)
        if not bright.any():
            break
        # Without the darkest quarter of the solid, which is blurred by its edges.
        core = np.flatnonzero(bright & (corrected >= np.quantile(corrected[bright], 0.25)))
        core = core[:: -(-core.size // _MAX_FITTED)]
        if core.size < _MIN_FITTED * terms.shape[1]:
            break
        fit = least_squares(terms[core], grey[core] / level[owner[core]])
        surface = _surface(terms, fit)
        fit, surface = fit / surface.mean(), surface / surface.mean()
        for number in range(len(slices)):
            values = (grey[core] / surface[core])[owner[core] == number]
            level[number] = np.median(values) if values.size >= _MIN_FITTED else 1.0
    low, high = np.quantile(surface, [0.1, 0.9])
    return VolumeShading(fit.astype(np.float32), float(high / low - 1))


def _surface(terms: np.ndarray, fit: np.ndarray) -> np.ndarray:
    """Brightness by a fit, summed in a fixed order."""
    return np.asarray(sum(c * term for c, term in zip(fit, terms.T, strict=True))).clip(*_GAINS)
