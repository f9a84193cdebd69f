"""Sections of a structure as a micrograph shows them: cut where it lies, blurred, with noise, and segmented like it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np

from membrane_dask.physics.imaging.image_model import ImageModel, ImageModelErrors
from membrane_dask.physics.imaging.segmentation import Segmenter
from membrane_dask.physics.reconstruction.depth_windows import DepthWindows
from membrane_dask.physics.reconstruction.macrovoids import carve
from membrane_dask.physics.reconstruction.random_field import cut_and_close, gaussian_field
from membrane_dask.physics.reconstruction.structures import Structure

#: Distance along y, voxels, from which on sections are independent for any width.
_INDEPENDENT = 1 << 18
#: Odd constant, 2^64 over the golden ratio, that spreads seeds.
_SPREAD = 0x9E3779B97F4A7C15


@dataclass(frozen=True)
class Imaging:
    """How a section becomes a segmented image.

    Parameters
    ----------
    model : ImageModel
        Blur, grey levels and noise of the image.
    segmenter : Segmenter
        Segmentation of the micrograph.
    supersampling : int
        Voxels a pixel along either axis at which sections are cut.
    errors : ImageModelErrors, optional
        Standard errors of the model.
    """

    model: ImageModel
    segmenter: Segmenter
    supersampling: int = 1
    errors: ImageModelErrors | None = None


@dataclass(frozen=True)
class Sections:
    """Sections of a structure that are compared with a micrograph.

    Parameters
    ----------
    depth, width : int
        Pixels of a section.
    planes : tuple of int
        Positions along ``y``, pixels.
    seed : int
        Key of the noise of the fields and of the images.
    ranges : tuple of (float, float)
        Ranges of the depth that determine the widths of two layers.
    imaging : Imaging, optional
        How sections become images; without it they are compared as they are.
    first_row, thickness : int
        Rows of the membrane above the micrograph, and rows of the whole; default is a micrograph of the whole.
    pixel : float
        Edge of a pixel in voxels of the structure.
    number : int
        Micrographs of different numbers show different places of the membrane: their sections are independent.
    offset : int
        Position of the micrograph along ``y`` relative to others of the same number, pixels.
    """

    depth: int
    width: int
    planes: tuple[int, ...]
    seed: int
    ranges: tuple[tuple[float, float], ...] = ((0.0, 0.2), (0.5, 1.0))
    imaging: Imaging | None = None
    first_row: int = 0
    thickness: int = 0
    pixel: float = 1.0
    number: int = 0
    offset: int = 0

    def __post_init__(self) -> None:
        if not self.thickness:
            object.__setattr__(self, "thickness", self.first_row + self.depth)

    @property
    def supersampling(self) -> int:
        """Voxels a pixel along either axis."""
        return self.imaging.supersampling if self.imaging else 1

    @property
    def z(self) -> np.ndarray:
        """Depth fraction of each row, ``(depth,)``."""
        return (self.first_row + np.arange(self.depth)) / max(self.thickness - 1, 1)

    def windows(self, structure: Structure) -> DepthWindows:
        """Windows of depth that determine the parameters of a structure."""
        return DepthWindows.of(structure, self.depth, self.ranges, first_row=self.first_row, thickness=self.thickness)

    def seeded(self, seed: int) -> Self:
        """The same sections of fields, and with noise, that follow from a seed and the number of the micrograph."""
        return replace(self, seed=(seed + self.number * _SPREAD) % 2**64)

    def fields(self, structure: Structure) -> list[np.ndarray]:
        """Field around each plane, with the halo that the closing needs."""
        n = self.supersampling
        structure = structure.scaled(n / self.pixel)
        halo = 2 * math.isqrt(structure.closing_square)
        shape = (n * self.depth + 2 * halo, 1 + 2 * halo, n * self.width + 2 * halo)
        top = n * self.first_row - halo
        return [
            gaussian_field(
                structure, depth=n * self.thickness, start=(top, n * y - halo, -halo), shape=shape, seed=self.seed
            )
            for y in self._positions
        ]

    def cut(self, structure: Structure, fields: list[np.ndarray]) -> list[np.ndarray]:
        """Sections of the fields as they are, with ``supersampling`` voxels a pixel, True in the solid."""
        n = self.supersampling
        structure = structure.scaled(n / self.pixel)
        halo = 2 * math.isqrt(structure.closing_square)
        depth, top = n * self.thickness, n * self.first_row
        volumes = [cut_and_close(structure, field, depth=depth, z_start=top - halo) for field in fields]
        if structure.macrovoids:
            for volume, y in zip(volumes, self._positions, strict=True):
                carve(volume, structure.macrovoids, depth=depth, start=(top, n * y, 0), seed=self.seed)
        return [volume[:, 0] > 0 for volume in volumes]

    def images(self, structure: Structure, fields: list[np.ndarray]) -> list[np.ndarray]:
        """Images ``(depth, width)`` of sections of the fields; needs ``imaging``."""
        assert self.imaging is not None
        model, n = self.imaging.model, self.supersampling
        solids = self.cut(structure, fields)
        return [model.render(solid, noise, n) for solid, noise in zip(solids, self._noise, strict=True)]

    def observe(self, structure: Structure, fields: list[np.ndarray]) -> list[np.ndarray]:
        """Sections ``(depth, width)`` of the fields as in a segmented image, True in the solid."""
        if self.imaging is None:
            return self.cut(structure, fields)
        return [self.imaging.segmenter(image) for image in self.images(structure, fields)]

    def independent(self, n: int) -> Self:
        """``n`` sections so far apart that they are independent for any width of the fields."""
        return replace(self, planes=tuple(_INDEPENDENT * number for number in range(n)))

    @property
    def _positions(self) -> tuple[int, ...]:
        return tuple(plane + self.offset for plane in self.planes)

    @cached_property
    def _noise(self) -> list[np.ndarray]:
        """Noise of the image of each section: the same in all iterations and trials."""
        assert self.imaging is not None
        shape = (self.depth, self.width)
        return [self.imaging.model.noise_of(self.seed, plane, shape) for plane in self._positions]
