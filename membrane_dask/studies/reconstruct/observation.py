"""What the micrographs of a study show, as structures are compared with it: knots, descriptors, imaging, morphology.

Nothing here depends on a unit of the run: the same micrographs always give the same observation.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np

from membrane_dask.errors import Problem, Source, StudyError
from membrane_dask.physics.distributions import normal_quantile
from membrane_dask.physics.elementary import exp, log
from membrane_dask.physics.fixed_order import inverse, product
from membrane_dask.physics.reconstruction.depth_windows import DepthWindows, Target
from membrane_dask.physics.reconstruction.descriptors import DescriptorScales, half_correlation_length
from membrane_dask.physics.reconstruction.distance_objective import DISTANCE_EDGES, distance_features
from membrane_dask.physics.reconstruction.knot_selection import Tiles, weigh_knots
from membrane_dask.physics.reconstruction.matching import RESOLVED, Magnification, initial_structure, match, objective
from membrane_dask.physics.reconstruction.sections import Sections
from membrane_dask.physics.reconstruction.structures import Graded, Structure, TwoLayers
from membrane_dask.program import Dataset
from membrane_dask.studies.reconstruct import KIND
from membrane_dask.studies.reconstruct.config import ReconstructStudy
from membrane_dask.studies.reconstruct.imaging import MicrographImaging, imaging_of
from membrane_dask.studies.reconstruct.micrograph import (
    SegmentedMicrograph,
    check_knots,
    check_phases,
    descriptor_scales,
    load_micrographs,
)
from membrane_dask.studies.reconstruct.morphology import Morphology, observe_morphology
from membrane_dask.studies.reconstruct.observed import Observed
from membrane_dask.studies.reconstruct.placement import locate
from membrane_dask.studies.reconstruct.segmentations import compared_segmentations

#: Difference of the objectives of two trials, one of which is e times as likely to be drawn.
WEIGHT_SCALE = 0.005
#: Sets of knots that are less likely than this are not compared with the most likely one for the best match.
_COMPARED = 0.05
#: Sets of knots that are less likely than this are not drawn.
_NEGLIGIBLE = 0.01
#: Largest over smallest depth of images of the whole thickness that count as equal.
_EQUAL = 1.02
#: Half-correlation lengths between sections from which on they are independent.
_INDEPENDENT = 3
#: Integral of the correlation of a section over its plane, in squares of the half-correlation length: exact for a level
#: set, of porosity 1/2, of a Gaussian field whose correlation is a Gaussian function.
_CORRELATED_AREA = 2 * np.pi
#: Probability that the porosities of any two images of a membrane differ by more than is allowed: 3 standard deviations
#: for two images.
_CONTRADICTION = 0.0027


class Observation:
    """What the micrographs of a study show.

    Parameters
    ----------
    study : ReconstructStudy
        Checked study.
    source : Source, optional
        Positions of the settings, for errors.

    Attributes
    ----------
    micrographs : list of SegmentedMicrograph
    sections : list of Sections
        Sections of trials, for each micrograph.
    imaging : list of (MicrographImaging or None)
        How each micrograph shows its section.
    observed : list of Observed
        The micrographs by pixel size.
    knot_sets : dict from tuple of float to float
        Weights, which sum to 1, of the sets of knots that may be drawn; that of the best match first.
    prototype, initial : Structure
        Structure with the settings that all trials have in common, and with initial values of the search.
    morphology : Morphology
    voxel_nm : float
        Smallest pixel.
    shape : tuple of int
        Voxels of the volumes, ``(z, y, x)``.

    Raises
    ------
    StudyError
        If a micrograph cannot be used, or two contradict each other.
    """

    def __init__(self, study: ReconstructStudy, source: Source | None) -> None:
        self.study, self._source = study, source
        self.is_layered = study.model.depth == "layers" or study.search.method == "published"
        self.ranges = ((0.0, study.model.skin), (1.0 - study.model.support, 1.0))
        self.micrographs: list[SegmentedMicrograph] = load_micrographs(study, source)
        self.observed: list[Observed] = []
        self._placements = locate(study, [micrograph.section for micrograph in self.micrographs], source)
        pixels = [placement.pixel_nm for placement in self._placements]
        self.voxel_nm = min(pixels)
        finest = pixels.index(self.voxel_nm)
        depth, width = self.micrographs[finest].solid.shape
        depth = max(depth, self._placements[finest].thickness)
        self.shape = (depth, study.volume.slices, study.volume.width or width)
        for number, micrograph in enumerate(self.micrographs):
            check_phases(micrograph.solid, self._ranges_of(number), source, micrograph.mask, self._where(number))
        self.morphology = Morphology(inside=self.micrographs[0].mask)
        self.sections = [self._sections_of(number) for number in range(len(self.micrographs))]
        self._scales = self._choose_scales()
        self._counts = self._count_independent()
        self.remarks = [*self._remark_thickness(), *self._remark_series()]
        self._choose_model()
        self.imaging: list[MicrographImaging | None] = [
            imaging_of(study, micrograph, self._own_target(number), self._scales[number], self.initial, sections)
            for number, (micrograph, sections) in enumerate(zip(self.micrographs, self.sections, strict=True))
        ]
        self.imaging = self._complemented()
        self.sections = [
            replace(sections, imaging=imaging.imaging) if imaging else sections
            for sections, imaging in zip(self.sections, self.imaging, strict=True)
        ]
        self.observed = [replace(one, magnification=self._magnification(one.images)) for one in self.observed]
        if study.model.anisotropy != "none" or study.model.macrovoids != "none":
            micrograph = self.micrographs[0]
            self.morphology = observe_morphology(
                study, micrograph.solid, self.prototype, self._magnification((0,)), self.voxel_nm, micrograph.mask
            )
            self._choose_model()
        if len(self.micrographs) > 1:
            self.remarks += self._compare_porosities()
        self._prefer_knots()

    # --- where the micrographs lie

    def _where(self, number: int) -> tuple[str | int, ...]:
        return ("images", number) if self.study.images else ()

    def _ranges_of(self, number: int) -> tuple[tuple[float, float], ...]:
        """Ranges of the depth of a micrograph, as fractions of it, that must show both phases."""
        top, bottom = self.range_of(number)
        if not self.is_layered or (top, bottom) != (0.0, 1.0):
            return ((0.0, 1.0),)
        return self.ranges

    def range_of(self, number: int) -> tuple[float, float]:
        """Depth fractions that a micrograph shows."""
        return self._placements[number].range_of(len(self.micrographs[number].solid))

    def _sections_of(self, number: int) -> Sections:
        """Sections of trials for a micrograph, at equal distances in the volume."""
        placement, (depth, width) = self._placements[number], self.micrographs[number].solid.shape
        pixel = placement.pixel_nm / self.voxel_nm
        slices = self.shape[1]
        n = min(self.study.search.slices, slices)
        planes = tuple(int(slices * (i + 0.5) / n / pixel) for i in range(n))
        positions = [one.position_nm for one in self._placements if one.number == placement.number]
        return Sections(
            depth, width, planes, 0, self.ranges, first_row=placement.first_row, thickness=placement.thickness,
            pixel=pixel, number=placement.number,
            offset=round((placement.position_nm - min(positions)) / placement.pixel_nm),
        )  # fmt: skip

    @cached_property
    def _groups(self) -> list[tuple[int, ...]]:
        """Numbers of the micrographs of each pixel size, the smallest first."""
        pixels = [placement.pixel_nm for placement in self._placements]
        return [tuple(i for i, pixel in enumerate(pixels) if pixel == one) for one in sorted(set(pixels))]

    def _choose_scales(self) -> list[DescriptorScales]:
        """Lags and radii for each micrograph: those that suit the largest one of its pixel size."""
        chosen: dict[int, DescriptorScales] = {}
        own = [descriptor_scales(one, self._source, self._where(number)) for number, one in enumerate(self.micrographs)]
        for group in self._groups:
            # By scales, too, among images of one size: their order does not matter.
            largest = max(group, key=lambda n: (self.micrographs[n].solid.size, *own[n].lags, *own[n].radii))
            shortest = min(self.micrographs[number].solid.shape[1] for number in group) // 2
            scales = own[largest]
            chosen |= dict.fromkeys(group, replace(scales, lags=scales.lags[scales.lags < max(shortest, 2)]))
        return [chosen[number] for number in range(len(self.micrographs))]

    @cached_property
    def half_lengths(self) -> list[float]:
        """Half-correlation length of each micrograph as it was segmented, pixels."""
        return [
            float(half_correlation_length(target.descriptors.correlation, scales.lags)[0])
            for target, scales in ((self._whole(i), self._scales[i]) for i in range(len(self.micrographs)))
        ]

    def _whole(self, number: int) -> Target:
        """Mean descriptors of a micrograph."""
        micrograph = self.micrographs[number]
        uniform = np.full((1, len(micrograph.solid)), 1 / len(micrograph.solid))
        descriptors = self._scales[number].describe(micrograph.solid, micrograph.mask).mean(uniform)
        return Target(descriptors, descriptors.porosity)

    def _count_independent(self) -> list[float]:
        """Fraction of an independent micrograph that each counts as: those of a series that are close count as one."""
        if len(self.micrographs) == 1:
            return [1.0]
        counts = []
        for own, length in zip(self._placements, self.half_lengths, strict=True):
            near = [
                one
                for one in self._placements
                if one.number == own.number
                and abs(one.position_nm - own.position_nm) < _INDEPENDENT * length * own.pixel_nm
            ]
            counts.append(1 / max(1, len(near)))
        return counts

    def _remark_thickness(self) -> list[tuple[str, str]]:
        heights = [
            len(micrograph.solid) * micrograph.pixel_nm
            for number, micrograph in enumerate(self.micrographs)
            if self.range_of(number) == (0.0, 1.0)
        ]
        if max(heights, default=0.0) <= _EQUAL * min(heights, default=0.0):
            return []
        text = f"images of the whole are {min(heights) / 1e3:.3g} to {max(heights) / 1e3:.3g} um deep"
        return [("thickness", f"{text}: the rows of each are spread over the same depth")] if len(heights) > 1 else []

    def _remark_series(self) -> list[tuple[str, str]]:
        close = [number for number, count in enumerate(self._counts) if count < 1]
        if not close:
            return []
        total = sum(self._counts[number] for number in close)
        return [
            (
                "images",
                f"{', '.join(map(str, close))} are less than {_INDEPENDENT} half-correlation lengths from another one "
                f"of their series: together they count as {total:.1f} images",
            )
        ]

    def _compare_porosities(self) -> list[tuple[str, str]]:
        """Compare the porosities of the images at depths that two of them show.

        Each is compared, where both resolve the pores, with sections of one structure that is matched to all, imaged
        and segmented like it.

        Raises
        ------
        StudyError
            If two contradict each other, unless the study ignores it.
        """
        magnifications = [magnification.seeded(self._noise) for magnification in self.magnifications]
        solids = iter(match(self.smoothest(self.initial), self.targets(self.prototype), magnifications).solids)
        matched = {number: next(solids) for one in self.observed for number in one.images}
        remarks = []
        pairs = list(itertools.combinations(range(len(self.micrographs)), 2))
        limit = float(normal_quantile(1 - _CONTRADICTION / 2 / len(pairs)))
        for first, second in pairs:
            z = self._resolved_depths(first, second)
            if not z.size:
                continue
            excess = [self._excess_porosity(i, matched[i], z) for i in (first, second)]
            difference = excess[0][0] - excess[1][0]
            deviation = math.sqrt(excess[0][1] * excess[0][1] + excess[1][1] * excess[1][1])
            if abs(difference) <= limit * deviation:
                continue
            text = (
                f"images {first} and {second} contradict each other: from {z[0]:.0%} to {z[-1]:.0%} of the depth the "
                f"porosity of the former is {abs(difference):.3f} {'larger' if difference > 0 else 'smaller'}, "
                f"{abs(difference) / deviation:.1f} standard deviations"
            )
            if self.study.contradictions == "stop":
                message = f"{text}; check segmentation and depths, or set contradictions: ignore to fit both"
                raise StudyError([Problem(("images", second), message)], self._source)
            remarks.append(("contradiction", text))
        return remarks

    def _resolved_depths(self, *numbers: int) -> np.ndarray:
        """Depth fractions that all of some micrographs show and resolve."""
        z = np.linspace(0, 1, 1001)
        for number in numbers:
            top, bottom = self.range_of(number)
            z = z[(z >= top) & (z <= bottom)]
            imaging = self.imaging[number]
            if imaging and isinstance(self.prototype, Graded):
                windows = self._windows_of(number)
                knots = np.array(self.prototype.knots)[windows.sigma.any(axis=1)]
                lengths = np.interp(z, knots, np.nan_to_num(imaging.length, nan=np.inf))
                z = z[lengths >= RESOLVED * imaging.imaging.model.blur]
        return z

    def _complemented(self) -> list[MicrographImaging | None]:
        """The imaging of each micrograph, with whether others resolve all that it does not."""
        shown = [np.asarray(self._windows_of(n).sigma.any(axis=1)) for n in range(len(self.micrographs))]
        resolved = np.zeros((len(shown), len(shown[0])), bool)
        for row, own, imaging in zip(resolved, shown, self.imaging, strict=True):
            row[own] = imaging.resolved if imaging else True
        by_any = np.asarray(resolved.any(axis=0))
        return [
            imaging and replace(imaging, is_complemented=not imaging.is_resolved and bool(by_any[own].all()))
            for imaging, own in zip(self.imaging, shown, strict=True)
        ]

    def _excess_porosity(self, number: int, sections: Sequence[np.ndarray], z: np.ndarray) -> tuple[float, float]:
        """Porosity of a micrograph above that of matched sections, and its standard deviation between sections."""
        micrograph, own = self.micrographs[number], self.sections[number].z
        rows = (own >= z[0]) & (own <= z[-1])
        used = np.ones_like(micrograph.solid[rows]) if micrograph.mask is None else micrograph.mask[rows]
        area = max(int(used.sum()), 1)
        porosity = float((used & ~micrograph.solid[rows]).sum() / area)
        expected = float(1 - np.mean([section[rows] for section in sections]))
        regions = area / (_CORRELATED_AREA * np.square(self._lengths_at(number, own[rows])).mean())
        return porosity - expected, float(np.sqrt(porosity * (1 - porosity) / regions * (1 + 1 / len(sections))))

    def _lengths_at(self, number: int, z: np.ndarray) -> np.ndarray:
        """Half-correlation length of a micrograph as it was segmented, pixels, at depth fractions."""
        if not isinstance(self.prototype, Graded):
            return np.full(len(z), self.half_lengths[number])
        windows = self._windows_of(number)
        shown = np.asarray(windows.sigma.any(axis=1))
        lengths = half_correlation_length(self._own_target(number).descriptors.correlation, self._scales[number].lags)
        lengths = np.where(np.isfinite(lengths), lengths, self.half_lengths[number])
        overlap = inverse(windows.overlap[np.ix_(shown, shown)])
        return np.asarray(np.interp(z, np.array(self.prototype.knots)[shown], exp(product(overlap, log(lengths)))))

    @property
    def independent_images(self) -> float:
        """Independent regions of all micrographs over those of the largest one."""
        if len(self.micrographs) == 1:
            return 1.0
        regions = [
            micrograph.solid.size / (length * length)
            for micrograph, length in zip(self.micrographs, self.half_lengths, strict=True)
        ]
        return sum(count * one for count, one in zip(self._counts, regions, strict=True)) / max(regions)

    # --- how structures are compared with them

    def inside(self, number: int) -> np.ndarray | None:
        """Pixels of a micrograph that show the pores of the model; None for all."""
        return self.morphology.inside if len(self.micrographs) == 1 else self.micrographs[number].mask

    def _magnification(self, group: tuple[int, ...]) -> Magnification:
        counts = () if len(self.micrographs) == 1 else tuple(self._counts[number] for number in group)
        return Magnification(self._scales[group[0]], tuple(self.sections[number] for number in group), counts)

    def _choose_model(self) -> None:
        """Choose the knots, and describe the micrographs as structures with these knots are compared with them."""
        self.knot_sets = self._choose_knots()
        self.observed = [
            Observed(
                self._magnification(group),
                tuple(self._scales[n].describe(self.micrographs[n].solid, self.inside(n)) for n in group),
                tuple(self.inside(n) for n in group),
                self.morphology.lengths_z(self.micrographs[0].solid, self.knot_sets),
                group,
            )
            for group in self._groups
        ]
        self._use_first_knots()

    def _use_first_knots(self) -> None:
        """Target and initial values for structures with the first set of knots."""
        knots = next(iter(self.knot_sets))
        self.prototype = self.make_prototype(knots)
        targets = self.targets(self.prototype)
        if isinstance(self.prototype, Graded):
            check_knots(knots, self._shown_porosity(targets), self._source)
        self.initial = initial_structure(self.prototype, targets, self.magnifications)

    def _shown_porosity(self, targets: Sequence[Target]) -> np.ndarray:
        """Porosity at each knot by the magnification with the most pixels there."""
        pixels = [one.magnification.windows(self.prototype).porosity_pixels.sum(axis=0) for one in self.observed]
        best = np.argmax(pixels, axis=0)
        return np.asarray(np.array([target.porosity for target in targets])[best, np.arange(len(best))])

    @property
    def magnifications(self) -> list[Magnification]:
        """Sections of trials, by pixel size."""
        return [one.magnification for one in self.observed]

    def targets(self, structure: Structure) -> list[Target]:
        """What the micrographs demand of a structure, by pixel size."""
        return [one.target(structure) for one in self.observed]

    def _own_target(self, number: int) -> Target:
        """What a micrograph alone shows in the windows that it reaches."""
        windows = self._windows_of(number)
        target = windows.target(self._scales[number].describe(self.micrographs[number].solid, self.inside(number)))
        shown = np.asarray(windows.sigma.any(axis=1))
        return target if shown.all() else replace(target, descriptors=target.descriptors.at(shown))

    def _windows_of(self, number: int) -> DepthWindows:
        """Windows of depth of a micrograph for the prototype."""
        one = self.sections[number]
        return DepthWindows.of(self.prototype, one.depth, one.ranges, first_row=one.first_row, thickness=one.thickness)

    def _prefer_knots(self) -> None:
        """Put the set of knots first whose smoothest structure matches the micrographs best, if several are likely.

        All are compared in the windows of the most likely set; a set with more knots differs less only where the
        micrograph does have its profile.
        """
        likely = {knots: weight for knots, weight in self.knot_sets.items() if weight > _COMPARED}
        if len(likely) < 2:
            return
        goals = [one.magnification.windows(self.prototype).target(one.descriptors) for one in self.observed]
        magnifications = [magnification.seeded(self._noise) for magnification in self.magnifications]
        score = {}
        for knots, weight in likely.items():
            structure = self.smoothest(self.make_prototype(knots))
            targets = self.targets(structure)
            start = initial_structure(structure, targets, magnifications)
            solids = iter(match(start, targets, magnifications).solids)
            difference = 0.0
            for magnification, goal in zip(magnifications, goals, strict=True):
                windows = magnification.windows(self.prototype)
                result = windows.target(magnification.describe([next(solids) for _ in magnification.sections]))
                shown = windows.is_shown
                difference += objective(result.descriptors.at(shown), goal.descriptors.at(shown)) / len(goals)
            score[knots] = difference - WEIGHT_SCALE * float(log(weight))
        first = min(score, key=score.__getitem__)
        self.knot_sets = {first: self.knot_sets[first], **self.knot_sets}
        self._use_first_knots()

    @property
    def _noise(self) -> int:
        """Seed of the sections of the first replicate, which is the best match."""
        seed = np.random.SeedSequence(entropy=self.study.seed, spawn_key=(KIND.seed_key, 0))
        return int(seed.generate_state(2, np.uint64)[0])

    def _choose_knots(self) -> dict[tuple[float, ...], float]:
        model = self.study.model
        if self.is_layered or model.knots != "auto":
            return {(0.0, 1.0) if model.knots == "auto" else model.knots: 1.0}
        tiles = [
            Tiles.of(
                micrograph.solid, self._scales[n], self.inside(n),
                half=None if len(self.micrographs) == 1 else self._common_length(n),
                z=self.sections[n].z, pixel=self.sections[n].pixel,
            )
            for n, micrograph in enumerate(self.micrographs)
        ]  # fmt: skip
        weights = sorted(weigh_knots(tiles).items(), key=lambda item: item[1], reverse=True)
        if not self.draws_models:
            return {weights[0][0]: 1.0}
        likely = {knots: weight for knots, weight in weights if weight > _NEGLIGIBLE}
        total = sum(likely.values())
        return {knots: weight / total for knots, weight in likely.items()}

    def _common_length(self, number: int) -> float:
        """Mean half-correlation length of the micrographs of a pixel size, pixels."""
        group = next(group for group in self._groups if number in group)
        return sum(self.half_lengths[n] for n in group) / len(group)

    @property
    def fit_knots(self) -> list[tuple[float, ...]]:
        """Knots of the prototype that each micrograph shows, with its ends, as fractions of its depth."""
        if not isinstance(self.prototype, Graded):
            return [(0.0, 1.0)] * len(self.micrographs)
        knots = []
        for micrograph, placement in zip(self.micrographs, self._placements, strict=True):
            top, bottom = placement.range_of(len(micrograph.solid))
            own = [(knot - top) / (bottom - top) for knot in self.prototype.knots]
            shown = tuple(knot for knot in own if -1e-9 <= knot <= 1 + 1e-9)
            knots.append(shown if shown == self.prototype.knots else (0.0, *(k for k in shown if 0.1 < k < 0.9), 1.0))
        return knots

    @property
    def summary(self) -> list[tuple[str, str]]:
        """Rows of the printed plan that describe the micrographs."""
        rows: list[tuple[str, str]] = []
        for number, (micrograph, imaging) in enumerate(zip(self.micrographs, self.imaging, strict=True)):
            own = [*micrograph.remarks, *(imaging.summary() if imaging else ())]
            if len(self.micrographs) > 1:
                top, bottom = self.range_of(number)
                rows.append((f"image {number}", f"{micrograph.settings.input}, {top:.0%} to {bottom:.0%} of the depth"))
            rows += own
        return [*rows, *self.remarks, *self.morphology.messages]

    def datasets(self) -> list[Dataset]:
        """Tables of the micrographs, of their distance distributions, and of other methods of segmentation."""
        tables = []
        for number, (micrograph, placement) in enumerate(zip(self.micrographs, self._placements, strict=True)):
            suffix = f"-{number}" if len(self.micrographs) > 1 else ""
            features = distance_features(
                micrograph.solid, edges=DISTANCE_EDGES, sections=self.ranges, inside=micrograph.mask
            )
            depth = placement.first_row * placement.pixel_nm
            tables.append(micrograph.dataset(features, f"micrograph{suffix}", depth))
            lags = self._scales[number].lags
            name = f"segmentations{suffix}"
            tables += compared_segmentations(self.study.segmentation, micrograph, lags, name, depth)
        return tables

    @property
    def draws_models(self) -> bool:
        """Whether replicates draw closing, roughness and knots."""
        return self.study.search.method != "published" and self.study.search.model_choice == "sample"

    def make_prototype(self, knots: tuple[float, ...]) -> TwoLayers | Graded:
        """Structure with the settings that all trials have in common."""
        model = self.study.model
        closing_depth = model.closing_depth if model.closing_depth is not None else 0.25 if self.is_layered else 0.0
        if self.is_layered:
            keep_variance = self.study.search.method != "published"
            return TwoLayers(
                closing_depth=closing_depth,
                truncate=model.truncate,
                blend_power=model.blend_power,
                keep_variance=keep_variance,
            )
        return Graded(
            closing_depth=closing_depth,
            truncate=model.truncate,
            knots=knots,
            sigma=(1.0,) * len(knots),
            porosity=(0.5,) * len(knots),
            anisotropy=self.morphology.initial_anisotropy(knots),
        )

    def smoothest(self, structure: Structure) -> Structure:
        """A structure with the least closing and roughness of the search."""
        search = self.study.search
        structure = replace(structure, closing_radius=min(search.closing_radius))
        return replace(structure, roughness=min(search.roughness)) if isinstance(structure, Graded) else structure
