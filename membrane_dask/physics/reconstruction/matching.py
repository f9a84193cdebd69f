"""Fit of a structure to micrographs: a fixed-point iteration on the widths and porosities of its fields.

Sections of the structure are compared as the microscope would have shown them: blurred, with noise, and segmented like
the micrographs.

The half-correlation length and the porosity of the sections of a structure respond almost proportionally to the
widths and porosities of its fields. Each is corrected by the ratio of target and section, depth by depth, until they
agree. So is the anisotropy, by the ratio of the half-correlation lengths along the depth, where it is asked for. The
radius of the closing and the roughness, which openings distinguish, are searched for outside of this
iteration.

Micrographs of one pixel size are described at the same lags and radii, and their descriptors are averaged. Those of
different ones are fitted together, each as far as it determines the structure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from membrane_dask.physics.distributions import normal_cdf, normal_quantile
from membrane_dask.physics.elementary import exp, log
from membrane_dask.physics.fixed_order import inverse, least_squares, product
from membrane_dask.physics.reconstruction.depth_windows import MIN_FRACTION, DepthWindows, Target, effective_rows
from membrane_dask.physics.reconstruction.descriptors import (
    Descriptors,
    DescriptorScales,
    average,
    half_correlation_length,
)
from membrane_dask.physics.reconstruction.directional_correlation import half_lengths
from membrane_dask.physics.reconstruction.sections import Sections
from membrane_dask.physics.reconstruction.structures import Graded, Structure

#: Largest factor by which widths change in an iteration, which damps poor initial values.
_MAX_FACTOR = 2.0
#: Largest change of the normal quantiles of the porosity in an iteration.
_MAX_STEP = 1.0
#: Smallest and largest anisotropy.
_ANISOTROPY_RANGE = (0.2, 8.0)
#: Smallest width, in voxels; its kernel is a single voxel.
_MIN_SIGMA = 0.2
#: Iterations of the widths, and if the anisotropy is fitted, too.
_ITERATIONS, _ANISOTROPIC_ITERATIONS = 4, 6
#: Iterations of the porosity at constant widths.
_POROSITY_ITERATIONS = 3
#: Weight of the openings in the objective: they distinguish wide structures from narrow ones, correlations hardly do.
_OPENINGS_WEIGHT = 3.0
#: Blur adds this many times its variance to the square of the half-correlation length of a segmented image.
BROADENING = 0.7
#: Half-correlation length over blur below which an image does not determine it.
RESOLVED = 1.4
#: Smallest response of the half-correlation length of an image to that of the structure.
_MIN_RESPONSE = 0.01


@dataclass(frozen=True)
class Magnification:
    """Sections of a structure that are compared with the micrographs of one pixel size.

    Parameters
    ----------
    scales : DescriptorScales
        Lags and radii at which micrographs and sections are described.
    sections : tuple of Sections
        For each micrograph.
    counts : tuple of float, optional
        Fraction of an independent micrograph that each counts as; default 1.
    """

    scales: DescriptorScales
    sections: tuple[Sections, ...]
    counts: tuple[float, ...] = ()

    @property
    def pixel(self) -> float:
        """Edge of a pixel in voxels of the structure."""
        return self.sections[0].pixel

    def seeded(self, seed: int) -> Magnification:
        """The same with sections that follow from a seed."""
        return replace(self, sections=tuple(sections.seeded(seed) for sections in self.sections))

    def describe(self, solids: Sequence[Sequence[np.ndarray]]) -> list[Descriptors]:
        """Mean descriptors by row of the sections of each micrograph."""
        return [average([self.scales.describe(solid) for solid in sections]) for sections in solids]

    def observe(self, structure: Structure) -> Target:
        """What the sections of a structure show in its windows of depth."""
        solids = [one.observe(structure, one.fields(structure)) for one in self.sections]
        return self.windows(structure).target(self.describe(solids))

    def windows(self, structure: Structure) -> PooledWindows:
        """Windows of depth that determine the parameters of a structure."""
        windows = tuple(sections.windows(structure) for sections in self.sections)
        widths = [s.width * count for s, count in zip(self.sections, self.counts or (1.0,) * len(windows), strict=True)]
        pixels = [
            np.stack([width * effective_rows(weights) for width, weights in zip(widths, all_weights, strict=True)])
            for all_weights in ([w.sigma for w in windows], [w.porosity for w in windows])
        ]
        return PooledWindows(windows, pixels[0], pixels[1])


@dataclass(frozen=True)
class PooledWindows:
    """Windows of depth of the micrographs of one pixel size.

    Parameters
    ----------
    each : tuple of DepthWindows
        Of each micrograph.
    sigma_pixels, porosity_pixels : (n_micrographs, n) ndarray
        Pixels of equal weight that determine a mean as well as those of each window.
    """

    each: tuple[DepthWindows, ...]
    sigma_pixels: np.ndarray
    porosity_pixels: np.ndarray

    @property
    def is_shown(self) -> np.ndarray:
        """Windows of the widths that a micrograph shows, ``(n,)`` bool."""
        return np.asarray(self.sigma_pixels.sum(axis=0) > 0)

    def target(self, descriptors: Sequence[Descriptors], length_z: np.ndarray | None = None) -> Target:
        """Means over the windows of descriptors by row of each micrograph; ``length_z`` is taken as it is."""
        targets = [windows.target(one) for windows, one in zip(self.each, descriptors, strict=True)]
        return replace(
            Target.pooled(targets, _fractions(self.sigma_pixels), _fractions(self.porosity_pixels)), length_z=length_z
        )

    def porosity(self, solids: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
        """Porosity in each window of the sections of each micrograph."""
        each = [
            product(windows.porosity, 1 - np.mean(sections, axis=(0, 2)))
            for windows, sections in zip(self.each, solids, strict=True)
        ]
        return each[0] if len(each) == 1 else np.sum(_fractions(self.porosity_pixels) * each, axis=0)

    @property
    def overlap(self) -> np.ndarray:
        """How much the mean over each window depends on each width."""
        return _pooled(_fractions(self.sigma_pixels), [windows.overlap for windows in self.each])

    @property
    def porosity_overlap(self) -> np.ndarray:
        """How much the mean over each window depends on each porosity."""
        return _pooled(_fractions(self.porosity_pixels), [windows.porosity_overlap for windows in self.each])


def _fractions(pixels: np.ndarray) -> np.ndarray:
    """Fraction of each micrograph in a window, 0 in one that none shows."""
    total = pixels.sum(axis=0)
    return np.asarray(np.divide(pixels, total, out=np.zeros_like(pixels), where=total > 0))


def _pooled(fractions: np.ndarray, matrices: Sequence[np.ndarray]) -> np.ndarray:
    if len(matrices) == 1:
        return matrices[0]
    return np.asarray(np.sum([f[:, None] * matrix for f, matrix in zip(fractions, matrices, strict=True)], axis=0))


@dataclass(frozen=True)
class _Corrections:
    """Changes of the parameters of a structure from differences of its sections from the targets.

    Parameters
    ----------
    overlaps : list of (n_windows, n) ndarray
        How much the mean over each window of each magnification depends on each parameter.
    regions : list of (n_windows,) ndarray
        Independent regions that determine each mean.
    """

    overlaps: list[np.ndarray]
    regions: list[np.ndarray]

    def __call__(self, differences: Sequence[np.ndarray]) -> np.ndarray:
        """Changes that remove the differences; by least squares where these are more."""
        if len(differences) == 1 and self.regions[0].all():
            return product(inverse(self.overlaps[0]), differences[0])
        weights = np.sqrt(np.concatenate(self.regions))
        shown = weights > 0
        design = np.concatenate(self.overlaps)[shown] * weights[shown, None]
        return least_squares(design, np.concatenate(differences)[shown] * weights[shown])


@dataclass(frozen=True)
class Match:
    """A structure and the difference of its sections from the micrographs.

    Parameters
    ----------
    structure : Structure
    objective : float
        As of :func:`objective`, >= 0; 0 for equal descriptors.
    length : (n,) ndarray
        Half-correlation length of its sections in each window of the widths, voxels, as the magnification that
        determines it best shows it.
    solids : list of list of (depth, width) ndarray of bool
        The sections for each micrograph, as in a segmented image.
    """

    structure: Structure
    objective: float
    length: np.ndarray
    solids: list[list[np.ndarray]]


@dataclass(frozen=True)
class _Comparison:
    """Windows of all magnifications, and how far each determines the structure."""

    magnifications: Sequence[Magnification]
    targets: Sequence[Target]
    windows: Sequence[PooledWindows]
    sigma: _Corrections
    porosity: _Corrections

    @classmethod
    def of(
        cls, structure: Structure, targets: Sequence[Target], magnifications: Sequence[Magnification]
    ) -> _Comparison:
        windows = [magnification.windows(structure) for magnification in magnifications]
        lengths, porosities, resolved, resolved_porosities = [], [], [], []
        for one, target, magnification in zip(windows, targets, magnifications, strict=True):
            square = np.square(half_correlation_length(target.descriptors.correlation, magnification.scales.lags))
            square = np.where(np.isfinite(square), square, np.nanmax(square, initial=1.0))
            blur = np.square(_blur(magnification.sections))
            # What blur adds to the length of the image it takes from the response to that of the structure.
            response = 1 - np.minimum(BROADENING * blur / square, 1.0)
            is_resolved = response * square >= RESOLVED * RESOLVED * blur
            lengths.append(one.sigma_pixels.sum(axis=0) / square * np.maximum(response, _MIN_RESPONSE))
            resolved.append(is_resolved)
            porosities.append(one.porosity_pixels.sum(axis=0) / square.mean())
            # Two layers have one porosity.
            has_one = len(porosities[-1]) < len(is_resolved)
            resolved_porosities.append(is_resolved.all(keepdims=True) if has_one else is_resolved)
        _leave_out(lengths, resolved)
        _leave_out(porosities, resolved_porosities)
        return cls(
            magnifications, targets, windows,
            _Corrections([one.overlap for one in windows], lengths),
            _Corrections([one.porosity_overlap for one in windows], porosities),
        )  # fmt: skip

    def lengths(self, observed: Sequence[Target]) -> list[np.ndarray]:
        """Half-correlation lengths in pixels of each magnification."""
        return [
            half_correlation_length(one.descriptors.correlation, magnification.scales.lags)
            for one, magnification in zip(observed, self.magnifications, strict=True)
        ]

    def voxels(self, lengths: Sequence[np.ndarray]) -> np.ndarray:
        """Half-correlation lengths in voxels, each from the magnification that determines it best."""
        best = np.argmax(self.sigma.regions, axis=0)
        each = [pixels * one.pixel for pixels, one in zip(lengths, self.magnifications, strict=True)]
        return np.asarray(np.array(each)[best, np.arange(len(best))])

    def objective(self, observed: Sequence[Target]) -> float:
        """Objectives of all magnifications; each counts by the reciprocal of the scatter of its descriptors."""
        each = [
            objective(one.descriptors.at(w.is_shown), target.descriptors.at(w.is_shown))
            for one, target, w in zip(observed, self.targets, self.windows, strict=True)
        ]
        if len(each) == 1:
            return each[0]
        weights = np.sqrt([regions.sum() for regions in self.porosity.regions])
        return float((weights * each).sum() / weights.sum())


def _leave_out(regions: list[np.ndarray], resolved: Sequence[np.ndarray]) -> None:
    """Leave out windows that a magnification does not resolve where another one does: its grey levels fail there."""
    resolved_anywhere = np.any([each & (one > 0) for one, each in zip(regions, resolved, strict=True)], axis=0)
    for number, each in enumerate(resolved):
        regions[number] = np.where(each | ~resolved_anywhere, regions[number], 0.0)


def _blur(sections: Sequence[Sections]) -> float:
    """Mean blur of the micrographs of one pixel size, pixels."""
    return float(np.mean([one.imaging.model.blur if one.imaging else 0.0 for one in sections]))


def match(
    structure: Structure,
    targets: Sequence[Target],
    magnifications: Sequence[Magnification],
    *,
    iterations: int | None = None,
) -> Match:
    """Fit the widths and porosities of a structure to targets.

    Parameters
    ----------
    structure : Structure
        Initial values; its closing and its roughness are left as they are. A single anisotropy stays one for all
        depths.
    targets : sequence of Target
        Descriptors that its sections should have, for each magnification; half-correlation lengths along the depth
        for a single micrograph only.
    magnifications : sequence of Magnification
        Where the structure is cut; all iterations use the same noise.
    iterations : int, optional
        Corrections of the widths; 0 leaves them as they are. Default 4, and 6 if the anisotropy is fitted, too.

    Returns
    -------
    Match
    """
    length_z = targets[0].length_z
    if iterations is None:
        iterations = _ITERATIONS if length_z is None else _ANISOTROPIC_ITERATIONS
    comparison = _Comparison.of(structure, targets, magnifications)
    goals = comparison.lengths(targets)
    for iteration in range(iterations + 1):
        structure, solids = _match_porosity(structure, comparison)
        observed = [
            windows.target(magnification.describe(sections))
            for windows, magnification, sections in zip(comparison.windows, magnifications, solids, strict=True)
        ]
        lengths = comparison.lengths(observed)
        if iteration < iterations:
            ratios = [goal / length for goal, length in zip(goals, lengths, strict=True)]
            factor = exp(comparison.sigma([log(np.nan_to_num(ratio, nan=1.0)) for ratio in ratios]))
            factor = np.clip(factor, 1 / _MAX_FACTOR, _MAX_FACTOR)
            if length_z is not None and isinstance(structure, Graded):
                section_lengths_z = half_lengths(solids[0][0], knots=structure.knots, direction="depth")
                structure = _stretched(structure, length_z / section_lengths_z, factor, comparison.windows[0].each[0])
            sigma, porosity = structure.parameters()
            structure = structure.with_parameters(np.maximum(sigma * factor, _MIN_SIGMA), porosity)
    each = [sections for one in solids for sections in one]
    return Match(structure, comparison.objective(observed), comparison.voxels(lengths), each)


def objectives(
    structure: Structure,
    observed: Sequence[Sequence[Target]],
    targets: Sequence[Target],
    magnifications: Sequence[Magnification],
) -> list[float]:
    """Objective of the sections of several structures, each as it shows them to every magnification.

    Parameters
    ----------
    structure : Structure
        Whose windows of depth are compared.
    observed : sequence of sequence of Target
        Of every structure, what its sections show in these windows.
    targets, magnifications
        As of :func:`match`.
    """
    comparison = _Comparison.of(structure, targets, magnifications)
    return [comparison.objective(one) for one in observed]


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


def _match_porosity(structure: Structure, comparison: _Comparison) -> tuple[Structure, list[list[list[np.ndarray]]]]:
    """Fit the porosities before closing, so that the sections have the porosities of the targets in their images.

    Parameters
    ----------
    structure : Structure
        Initial values; its widths are left as they are.
    comparison : _Comparison

    Returns
    -------
    structure : Structure
        With the fitted porosities.
    solids : list of list of list of (depth, width) ndarray of bool
        Its sections for each micrograph of each magnification, as in a segmented image.
    """
    sections = [magnification.sections for magnification in comparison.magnifications]
    fields = [[one.fields(structure) for one in group] for group in sections]

    def observe() -> list[list[list[np.ndarray]]]:
        return [
            [one.observe(structure, field) for one, field in zip(group, fields_of_group, strict=True)]
            for group, fields_of_group in zip(sections, fields, strict=True)
        ]

    goals = [_quantile(target.porosity) for target in comparison.targets]
    solids = observe()
    for _ in range(_POROSITY_ITERATIONS):
        sigma, porosity = structure.parameters()
        observed = [windows.porosity(group) for windows, group in zip(comparison.windows, solids, strict=True)]
        step = comparison.porosity([goal - _quantile(one) for goal, one in zip(goals, observed, strict=True)])
        step = np.clip(step, -_MAX_STEP, _MAX_STEP)
        porosity = np.clip(normal_cdf(normal_quantile(porosity) + step), MIN_FRACTION, 1 - MIN_FRACTION)
        structure = structure.with_parameters(sigma, porosity)
        solids = observe()
    return structure, solids


def _quantile(porosity: np.ndarray) -> np.ndarray:
    return np.asarray(normal_quantile(np.clip(porosity, MIN_FRACTION, 1 - MIN_FRACTION)))


def initial_structure(
    structure: Structure, targets: Sequence[Target], magnifications: Sequence[Magnification]
) -> Structure:
    """Initial widths and porosities: those of an unclosed Gaussian structure with the descriptors of the targets."""
    comparison = _Comparison.of(structure, targets, magnifications)
    each = []
    for lengths, magnification in zip(comparison.lengths(targets), magnifications, strict=True):
        finite = np.where(np.isfinite(lengths), lengths, np.nanmean(lengths))
        each.append(finite * magnification.pixel)
    if len(targets) == 1:
        lengths, porosity = each[0], targets[0].porosity
    else:
        lengths = exp(comparison.sigma([log(length) for length in each]))
        porosity = normal_cdf(comparison.porosity([_quantile(target.porosity) for target in targets]))
    length_z = targets[0].length_z
    if length_z is not None and isinstance(structure, Graded):
        ratio = np.clip(np.nan_to_num(length_z / lengths, nan=1.0), *_ANISOTROPY_RANGE)
        if len(structure.anisotropy) == 1:
            ratio = exp(log(ratio).mean(keepdims=True))
        structure = replace(structure, anisotropy=tuple(map(float, ratio)))
    porosity = np.clip(porosity, MIN_FRACTION, 1 - MIN_FRACTION)
    return structure.with_parameters(np.maximum(lengths / 1.5, _MIN_SIGMA), porosity)


def objective(descriptors: Descriptors, target: Descriptors) -> float:
    """Mean absolute difference of the correlations, plus three times that of the openings as fractions of a phase."""
    correlation = np.abs(descriptors.correlation - target.correlation).mean()
    opened = [
        d.opened / np.stack([d.porosity, 1 - d.porosity], axis=-1).clip(MIN_FRACTION)[..., None]
        for d in (descriptors, target)
    ]
    return float(correlation + _OPENINGS_WEIGHT * np.abs(opened[0] - opened[1]).mean())
