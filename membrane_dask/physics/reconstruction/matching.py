"""Fit of a structure to a micrograph: a fixed-point iteration on the widths and porosities of its fields.

Sections of the structure are compared as the microscope would have shown them: blurred, with noise, and segmented like
the micrograph.

The half-correlation length and the porosity of the sections of a structure respond almost proportionally to the
widths and porosities of its fields. Each is corrected by the ratio of target and section, depth by depth, until they
agree. So is the anisotropy, by the ratio of the half-correlation lengths along the depth, where it is asked for. The
radius of the closing and the roughness, which openings distinguish, are searched for outside of this
iteration.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np

from membrane_dask.physics.distributions import normal_cdf, normal_quantile
from membrane_dask.physics.elementary import exp, log
from membrane_dask.physics.fixed_order import inverse, product
from membrane_dask.physics.imaging.image_model import ImageModel
from membrane_dask.physics.imaging.segmentation import Segmenter
from membrane_dask.physics.reconstruction.descriptors import (
    Descriptors,
    DescriptorScales,
    average,
    half_correlation_length,
)
from membrane_dask.physics.reconstruction.directional_correlation import half_lengths
from membrane_dask.physics.reconstruction.macrovoids import carve
from membrane_dask.physics.reconstruction.random_field import cut_and_close, gaussian_field
from membrane_dask.physics.reconstruction.structures import Graded, Structure

#: Largest factor by which widths change in an iteration, which damps poor initial values.
_MAX_FACTOR = 2.0
#: Largest change of the normal quantiles of the porosity in an iteration.
_MAX_STEP = 1.0
#: Smallest and largest anisotropy.
_ANISOTROPY_RANGE = (0.2, 8.0)
#: Smallest width, in voxels; its kernel is a single voxel.
_MIN_SIGMA = 0.2
#: Smallest distance of a porosity from 0 and from 1.
_MIN_FRACTION = 1e-4
#: Iterations of the widths, and if the anisotropy is fitted, too.
_ITERATIONS, _ANISOTROPIC_ITERATIONS = 4, 6
#: Distance along y, voxels, from which on sections are independent for any width.
_INDEPENDENT = 1 << 18
#: Iterations of the porosity at constant widths.
_POROSITY_ITERATIONS = 3
#: Weight of the openings in the objective: they distinguish wide structures from narrow ones, correlations hardly do.
_OPENINGS_WEIGHT = 3.0


@dataclass(frozen=True)
class Target:
    """Descriptors and porosities that the sections of a structure should have.

    Parameters
    ----------
    descriptors : Descriptors
        Means over the windows of depth that determine the widths.
    porosity : (n,) ndarray
        Pore fraction in the windows that determine the porosities.
    length_z : (n,) ndarray, optional
        Half-correlation length along the depth in the windows of the widths, pixels; without it structures keep
        their anisotropy.
    """

    descriptors: Descriptors
    porosity: np.ndarray
    length_z: np.ndarray | None = None

    def perturbed(self, first: Target, second: Target) -> Target:
        """Target as from another section of the same membrane.

        Parameters
        ----------
        first, second : Target
            Of two independent sections of a structure. Their difference over the square root of two has the variance
            of a single section.
        """
        scale = math.sqrt(0.5)
        length_z = self.length_z
        if length_z is not None and first.length_z is not None and second.length_z is not None:
            length_z = length_z * exp(scale * np.nan_to_num(log(first.length_z / second.length_z)))
        return Target(
            Descriptors(
                self.descriptors.two_point + scale * (first.descriptors.two_point - second.descriptors.two_point),
                self.descriptors.opened + scale * (first.descriptors.opened - second.descriptors.opened),
            ),
            np.clip(self.porosity + scale * (first.porosity - second.porosity), _MIN_FRACTION, 1 - _MIN_FRACTION),
            length_z,
        )


@dataclass(frozen=True)
class DepthWindows:
    """Windows of depth that determine the parameters of a structure.

    Parameters
    ----------
    sigma, porosity : (n, depth) ndarray
        Weights of the rows that determine each width and each porosity; each row sums to 1.
    inverse_overlap : (n, n) ndarray
        Windows overlap, so that a mean over one depends on the parameters of its neighbours, too: this is the inverse
        of that dependence.
    """

    sigma: np.ndarray
    porosity: np.ndarray
    inverse_overlap: np.ndarray

    @classmethod
    def of(cls, structure: Structure, depth: int, ranges: Sequence[tuple[float, float]]) -> DepthWindows:
        """Windows of a structure.

        Parameters
        ----------
        structure : TwoLayers or Graded
        depth : int
            Rows.
        ranges : sequence of (float, float)
            Ranges of the depth that determine the two widths of two layers, as fractions from the top.
        """
        z = np.arange(depth) / max(depth - 1, 1)
        if isinstance(structure, Graded):
            hats = np.stack([np.interp(z, structure.knots, row) for row in np.eye(len(structure.knots))])
            weights = hats / hats.sum(axis=1, keepdims=True)
            return cls(weights, weights, inverse(product(weights, hats.T)))
        inside = np.stack([(z >= top) & (z <= bottom) for top, bottom in ranges]).astype(float)
        return cls(inside / inside.sum(axis=1, keepdims=True), np.full((1, depth), 1 / depth), np.eye(len(inside)))

    def target(self, descriptors: Descriptors, length_z: np.ndarray | None = None) -> Target:
        """Means over the windows of descriptors by row; ``length_z`` is taken as it is."""
        return Target(descriptors.mean(self.sigma), descriptors.mean(self.porosity).porosity, length_z)


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
    """

    model: ImageModel
    segmenter: Segmenter
    supersampling: int = 1


@dataclass(frozen=True)
class Sections:
    """Sections of a structure that are compared with the micrograph.

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
    """

    depth: int
    width: int
    planes: tuple[int, ...]
    seed: int
    ranges: tuple[tuple[float, float], ...] = ((0.0, 0.2), (0.5, 1.0))
    imaging: Imaging | None = None

    @property
    def supersampling(self) -> int:
        """Voxels a pixel along either axis."""
        return self.imaging.supersampling if self.imaging else 1

    def windows(self, structure: Structure) -> DepthWindows:
        """Windows of depth that determine the parameters of the structure."""
        return DepthWindows.of(structure, self.depth, self.ranges)

    def fields(self, structure: Structure) -> list[np.ndarray]:
        """Field around each plane, with the halo that the closing needs."""
        n = self.supersampling
        structure = structure.scaled(n)
        halo = 2 * math.isqrt(structure.closing_square)
        shape = (n * self.depth + 2 * halo, 1 + 2 * halo, n * self.width + 2 * halo)
        return [
            gaussian_field(
                structure, depth=n * self.depth, start=(-halo, n * y - halo, -halo), shape=shape, seed=self.seed
            )
            for y in self.planes
        ]

    def cut(self, structure: Structure, fields: list[np.ndarray]) -> list[np.ndarray]:
        """Sections of the fields as they are, with ``supersampling`` voxels a pixel, True in the solid."""
        n = self.supersampling
        structure = structure.scaled(n)
        halo = 2 * math.isqrt(structure.closing_square)
        volumes = [cut_and_close(structure, field, depth=n * self.depth, z_start=-halo) for field in fields]
        if structure.macrovoids:
            for volume, y in zip(volumes, self.planes, strict=True):
                carve(volume, structure.macrovoids, depth=n * self.depth, start=(0, n * y, 0), seed=self.seed)
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

    @cached_property
    def _noise(self) -> list[np.ndarray]:
        """Noise of the image of each section: the same in all iterations and trials."""
        assert self.imaging is not None
        shape = (self.depth, self.width)
        return [self.imaging.model.noise_of(self.seed, plane, shape) for plane in self.planes]


@dataclass(frozen=True)
class Match:
    """A structure and the difference of its sections from the micrograph.

    Parameters
    ----------
    structure : Structure
    objective : float
        As of :func:`objective`, >= 0; 0 for equal descriptors.
    length : (n,) ndarray
        Half-correlation length of its sections in each window of the widths, pixels.
    solids : list of (depth, width) ndarray of bool
        The sections, as in a segmented image.
    """

    structure: Structure
    objective: float
    length: np.ndarray
    solids: list[np.ndarray]


def match(
    structure: Structure, target: Target, scales: DescriptorScales, sections: Sections, *, iterations: int | None = None
) -> Match:
    """Fit the widths and porosities of a structure to a target.

    Parameters
    ----------
    structure : Structure
        Initial values; its closing and its roughness are left as they are. A single anisotropy stays one for all
        depths.
    target : Target
        Descriptors that its sections should have.
    scales : DescriptorScales
        Lags and radii of the descriptors.
    sections : Sections
        Where the structure is cut; all iterations use the same noise.
    iterations : int, optional
        Corrections of the widths; 0 leaves them as they are. Default 4, and 6 if the anisotropy is fitted, too.

    Returns
    -------
    Match
    """
    if iterations is None:
        iterations = _ITERATIONS if target.length_z is None else _ANISOTROPIC_ITERATIONS
    windows = sections.windows(structure)
    goal = half_correlation_length(target.descriptors.correlation, scales.lags)
    for iteration in range(iterations + 1):
        structure, solids = match_porosity(structure, target.porosity, sections, windows)
        descriptors = windows.target(average([scales.describe(solid) for solid in solids])).descriptors
        length = half_correlation_length(descriptors.correlation, scales.lags)
        if iteration < iterations:
            factor = exp(product(windows.inverse_overlap, log(np.nan_to_num(goal / length, nan=1.0))))
            factor = np.clip(factor, 1 / _MAX_FACTOR, _MAX_FACTOR)
            if target.length_z is not None and isinstance(structure, Graded):
                length_z = half_lengths(solids, knots=structure.knots, direction="depth")
                structure = _stretched(structure, target.length_z / length_z, factor, windows)
            sigma, porosity = structure.parameters()
            structure = structure.with_parameters(np.maximum(sigma * factor, _MIN_SIGMA), porosity)
    return Match(structure, objective(descriptors, target.descriptors), length, solids)


def _stretched(structure: Graded, ratio: np.ndarray, factor: np.ndarray, windows: DepthWindows) -> Graded:
    """Correct the anisotropy.

    Parameters
    ----------
    structure : Graded
    ratio : (n,) ndarray
        Half-correlation length along the depth of the target over that of the sections, in each window.
    factor : (n,) ndarray
        By which the widths in the plane are about to be multiplied.
    windows : DepthWindows
        Of the structure.
    """
    change = product(windows.inverse_overlap, log(np.nan_to_num(ratio, nan=1.0)))
    change = np.clip(change, -log(_MAX_FACTOR), log(_MAX_FACTOR)) - log(factor)
    if len(structure.anisotropy) == 1:
        # The window of a knot counts by the depth that it covers.
        covered = 1 / windows.sigma.max(axis=1)
        change = np.array([(covered * change).sum() / covered.sum()])
    values = np.clip(np.array(structure.anisotropy) * exp(change), *_ANISOTROPY_RANGE)
    return replace(structure, anisotropy=tuple(map(float, values)))


def match_porosity(
    structure: Structure, target: np.ndarray, sections: Sections, windows: DepthWindows
) -> tuple[Structure, list[np.ndarray]]:
    """Fit the porosities before closing, so that the sections have the porosities of the target in their images.

    Parameters
    ----------
    structure : Structure
        Initial values; its widths are left as they are.
    target : (n,) ndarray
        Pore fraction in each window.
    sections : Sections
        Where it is cut.
    windows : DepthWindows
        Rows that determine each porosity.

    Returns
    -------
    structure : Structure
        With the fitted porosities.
    solids : list of (depth, width) ndarray of bool
        Its sections, as in a segmented image.
    """
    fields = sections.fields(structure)
    goal = normal_quantile(np.clip(target, _MIN_FRACTION, 1 - _MIN_FRACTION))
    solids = sections.observe(structure, fields)
    for _ in range(_POROSITY_ITERATIONS):
        sigma, porosity = structure.parameters()
        section_porosity = product(windows.porosity, 1 - np.mean(solids, axis=(0, 2)))
        step = goal - normal_quantile(np.clip(section_porosity, _MIN_FRACTION, 1 - _MIN_FRACTION))
        if len(step) == len(windows.inverse_overlap):
            step = np.clip(product(windows.inverse_overlap, step), -_MAX_STEP, _MAX_STEP)
        porosity = np.clip(normal_cdf(normal_quantile(porosity) + step), _MIN_FRACTION, 1 - _MIN_FRACTION)
        structure = structure.with_parameters(sigma, porosity)
        solids = sections.observe(structure, fields)
    return structure, solids


def initial_structure(structure: Structure, target: Target, scales: DescriptorScales) -> Structure:
    """Initial widths and porosities: those of an unclosed Gaussian structure with the descriptors of the target."""
    lengths = half_correlation_length(target.descriptors.correlation, scales.lags)
    lengths = np.where(np.isfinite(lengths), lengths, np.nanmean(lengths))
    porosity = np.clip(target.porosity, _MIN_FRACTION, 1 - _MIN_FRACTION)
    if target.length_z is not None and isinstance(structure, Graded):
        ratio = np.clip(np.nan_to_num(target.length_z / lengths, nan=1.0), *_ANISOTROPY_RANGE)
        if len(structure.anisotropy) == 1:
            ratio = exp(log(ratio).mean(keepdims=True))
        structure = replace(structure, anisotropy=tuple(map(float, ratio)))
    return structure.with_parameters(np.maximum(lengths / 1.5, _MIN_SIGMA), porosity)


def objective(descriptors: Descriptors, target: Descriptors) -> float:
    """Mean absolute difference of the correlations, plus three times that of the openings as fractions of a phase."""
    correlation = np.abs(descriptors.correlation - target.correlation).mean()
    opened = [
        d.opened / np.stack([d.porosity, 1 - d.porosity], axis=-1).clip(_MIN_FRACTION)[..., None]
        for d in (descriptors, target)
    ]
    return float(correlation + _OPENINGS_WEIGHT * np.abs(opened[0] - opened[1]).mean())
