"""What the micrographs of a study show, as structures are compared with it: knots, descriptors, imaging, morphology.

Nothing here depends on a unit of the run: the same micrographs always give the same observation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np

from membrane_dask.errors import Problem, Source, StudyError
from membrane_dask.physics.elementary import exp, log
from membrane_dask.physics.fixed_order import inverse, product
from membrane_dask.physics.reconstruction.depth_windows import Target
from membrane_dask.physics.reconstruction.descriptors import DescriptorScales, half_correlation_length
from membrane_dask.physics.reconstruction.distance_objective import DISTANCE_EDGES, distance_features
from membrane_dask.physics.reconstruction.image_consistency import ImagedDepth, contradictions
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
    load_micrographs,
)
from membrane_dask.studies.reconstruct.micrograph_group import MicrographGroup
from membrane_dask.studies.reconstruct.morphology import Morphology, observe_morphology
from membrane_dask.studies.reconstruct.placement import independent_counts, locate, placement_remarks
from membrane_dask.studies.reconstruct.segmentations import compared_segmentations

#: Difference of the objectives of two sets of knots, one of which is e times as likely.
_KNOTS_SCALE = 0.005
#: Sets of knots that are less likely than this are not compared with the most likely one for the best match.
_COMPARED = 0.05
#: Sets of knots that are less likely than this are not drawn.
_NEGLIGIBLE = 0.01


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
    groups : list of MicrographGroup
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
        self.groups: list[MicrographGroup] = []
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
        self._describe()
        lengths = [length * one.pixel_nm for length, one in zip(self.half_lengths, self._placements, strict=True)]
        self._counts = independent_counts(self._placements, lengths)
        heights = [len(micrograph.solid) for micrograph in self.micrographs]
        self.remarks = placement_remarks(self._placements, heights, self._counts)
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
        self.groups = [replace(one, magnification=self._magnification(one.images)) for one in self.groups]
        if study.model.anisotropy != "none" or study.model.macrovoids != "none":
            micrograph = self.micrographs[0]
            self.morphology = observe_morphology(
                study, micrograph.solid, self.prototype, self._magnification((0,)), self.voxel_nm, micrograph.mask
            )
            self._describe()
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
    def _numbers_by_pixel(self) -> list[tuple[int, ...]]:
        """Numbers of the micrographs of each pixel size, the smallest first."""
        pixels = [placement.pixel_nm for placement in self._placements]
        return [tuple(i for i, pixel in enumerate(pixels) if pixel == one) for one in sorted(set(pixels))]

    def _choose_scales(self) -> list[DescriptorScales]:
        """Lags and radii for each micrograph: those that suit the largest one of its pixel size."""
        chosen: dict[int, DescriptorScales] = {}
        own = [micrograph.scales for micrograph in self.micrographs]
        for group in self._numbers_by_pixel:
            # By scales, too, among images of one size: their order does not matter.
            largest = max(group, key=lambda n: (self.micrographs[n].solid.size, *own[n].lags, *own[n].radii))
            shortest = min(self.micrographs[number].solid.shape[1] for number in group) // 2
            scales = own[largest]
            chosen |= dict.fromkeys(group, replace(scales, lags=scales.lags[scales.lags < max(shortest, 2)]))
        return [chosen[number] for number in range(len(self.micrographs))]

    def _describe(self) -> None:
        """Describe the pixels of each micrograph that show the pores of the model, by row."""
        self._descriptors = [
            scales.describe(micrograph.solid, self.inside(number))
            for number, (micrograph, scales) in enumerate(zip(self.micrographs, self._scales, strict=True))
        ]

    @property
    def half_lengths(self) -> list[float]:
        """Half-correlation length of each micrograph as it was segmented, pixels."""
        lengths = []
        for descriptors, scales in zip(self._descriptors, self._scales, strict=True):
            n_rows = len(descriptors.two_point)
            mean = descriptors.mean(np.full((1, n_rows), 1 / n_rows))
            lengths.append(float(half_correlation_length(mean.correlation, scales.lags)[0]))
        return lengths

    def _compare_porosities(self) -> list[tuple[str, str]]:
        """Compare the porosities of the images, each with sections of one structure that is matched to all.

        Raises
        ------
        StudyError
            If two contradict each other, unless the study ignores it.
        """
        magnifications = [magnification.seeded(self._noise) for magnification in self.magnifications]
        solids = iter(match(self.initial, self.targets(self.prototype), magnifications).solids)
        matched = {number: next(solids) for group in self.groups for number in group.images}
        images = [
            ImagedDepth(
                micrograph.solid,
                micrograph.mask,
                matched[number],
                self.sections[number].z,
                self._lengths_by_row(number)[0],
                self._resolved_rows(number),
            )
            for number, micrograph in enumerate(self.micrographs)
        ]
        pairs = list(contradictions(images))
        if pairs and self.study.contradictions == "stop":
            advice = "check segmentation and depths, or set contradictions: ignore to fit both"
            problems = [Problem(("images", one.second), f"{one}; {advice}") for one in pairs]
            raise StudyError(problems, self._source)
        return [("contradiction", str(one)) for one in pairs]

    def _lengths_by_row(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Half-correlation length of a micrograph at each row, pixels: as it was segmented, and without the blur."""
        imaging = self.imaging[number]
        z = self.sections[number].z
        if not isinstance(self.prototype, Graded):
            length = np.full(len(z), self.half_lengths[number])
            return length, length
        windows = self.sections[number].windows(self.prototype)
        knots = np.array(self.prototype.knots)[windows.is_shown]
        lengths = half_correlation_length(self._own_target(number).descriptors.correlation, self._scales[number].lags)
        lengths = np.where(np.isfinite(lengths), lengths, self.half_lengths[number])
        # The means of overlapping windows hide a part of the gradient.
        overlap = inverse(windows.overlap[np.ix_(windows.is_shown, windows.is_shown)])
        length = np.asarray(np.interp(z, knots, exp(product(overlap, log(lengths)))))
        if imaging is None:
            return length, length
        return length, np.asarray(np.interp(z, knots, np.nan_to_num(imaging.length, nan=np.inf)))

    def _resolved_rows(self, number: int) -> np.ndarray:
        """Whether a micrograph resolves the pores, by row: by the smallest pixels of all that show its depth.

        The length that a blurred image gives near its own resolution is the least certain.
        """
        imaging = self.imaging[number]
        z = self.sections[number].z
        if imaging is None:
            return np.ones(len(z), bool)
        pixels = [placement.pixel_nm for placement in self._placements]
        blur = imaging.imaging.model.blur
        length = self._lengths_by_row(number)[1]
        for other in sorted(range(len(pixels)), key=lambda k: -pixels[k]):
            if pixels[other] < pixels[number]:
                top, bottom = self.range_of(other)
                shown = (z >= top) & (z <= bottom)
                finer = self._lengths_by_row(other)[1] * pixels[other] / pixels[number]
                length = np.where(shown, np.interp(z, self.sections[other].z, finer), length)
        return np.asarray(length >= RESOLVED * blur)

    def _complemented(self) -> list[MicrographImaging | None]:
        """The imaging of each micrograph, with whether others resolve all that it does not."""
        shown = [sections.windows(self.prototype).is_shown for sections in self.sections]
        resolved = np.zeros((len(shown), len(shown[0])), bool)
        for row, own, imaging in zip(resolved, shown, self.imaging, strict=True):
            row[own] = imaging.resolved if imaging else True
        by_any = np.asarray(resolved.any(axis=0))
        return [
            imaging and replace(imaging, is_complemented=not imaging.is_resolved and bool(by_any[own].all()))
            for imaging, own in zip(self.imaging, shown, strict=True)
        ]

    # --- how structures are compared with them

    def inside(self, number: int) -> np.ndarray | None:
        """Pixels of a micrograph that show the pores of the model; None for all."""
        return self.morphology.inside if len(self.micrographs) == 1 else self.micrographs[number].mask

    def _magnification(self, group: tuple[int, ...]) -> Magnification:
        sections, counts = zip(*((self.sections[number], self._counts[number]) for number in group), strict=True)
        return Magnification(self._scales[group[0]], sections, counts)

    def _choose_model(self) -> None:
        """Choose the knots, and what structures with these knots are compared with."""
        self.knot_sets = self._choose_knots()
        self.groups = [
            MicrographGroup(
                self._magnification(group),
                tuple(self._descriptors[number] for number in group),
                tuple(self.inside(number) for number in group),
                self.morphology.lengths_z(self.micrographs[0].solid, self.knot_sets),
                group,
            )
            for group in self._numbers_by_pixel
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
        pixels = [one.magnification.windows(self.prototype).porosity_pixels.sum(axis=0) for one in self.groups]
        best = np.argmax(pixels, axis=0)
        return np.asarray(np.array([target.porosity for target in targets])[best, np.arange(len(best))])

    @property
    def magnifications(self) -> list[Magnification]:
        """Sections of trials, by pixel size."""
        return [one.magnification for one in self.groups]

    def targets(self, structure: Structure) -> list[Target]:
        """What the micrographs demand of a structure, by pixel size."""
        return [one.target(structure) for one in self.groups]

    def _own_target(self, number: int) -> Target:
        """What a micrograph alone shows in the windows that it reaches."""
        windows = self.sections[number].windows(self.prototype)
        target = windows.target(self._descriptors[number])
        return replace(target, descriptors=target.descriptors.at(windows.is_shown))

    def _prefer_knots(self) -> None:
        """Put the set of knots first whose smoothest structure matches the micrographs best, if several are likely.

        All are compared in the windows of the most likely set; a set with more knots differs less only where the
        micrograph does have its profile.
        """
        likely = {knots: weight for knots, weight in self.knot_sets.items() if weight > _COMPARED}
        if len(likely) < 2:
            return
        goals = [one.magnification.windows(self.prototype).target(one.descriptors) for one in self.groups]
        magnifications = [magnification.seeded(self._noise) for magnification in self.magnifications]
        score = {}
        for knots, weight in likely.items():
            structure = self.make_prototype(knots)
            targets = self.targets(structure)
            start = initial_structure(structure, targets, magnifications)
            solids = iter(match(start, targets, magnifications).solids)
            difference = 0.0
            for magnification, goal in zip(magnifications, goals, strict=True):
                windows = magnification.windows(self.prototype)
                result = windows.target(magnification.describe([next(solids) for _ in magnification.sections]))
                shown = windows.is_shown
                difference += objective(result.descriptors.at(shown), goal.descriptors.at(shown)) / len(goals)
            score[knots] = difference - _KNOTS_SCALE * float(log(weight))
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
        lengths: dict[int, float] = {}
        for group in self._numbers_by_pixel:
            mean = sum(self.half_lengths[number] for number in group) / len(group)
            lengths |= dict.fromkeys(group, mean)
        tiles = [
            Tiles.of(
                micrograph.solid, self._scales[n], self.inside(n),
                half=lengths[n], z=self.sections[n].z, pixel=self.sections[n].pixel,
            )
            for n, micrograph in enumerate(self.micrographs)
        ]  # fmt: skip
        weights = sorted(weigh_knots(tiles).items(), key=lambda item: item[1], reverse=True)
        if not self.draws_models:
            return {weights[0][0]: 1.0}
        likely = {knots: weight for knots, weight in weights if weight > _NEGLIGIBLE}
        total = sum(likely.values())
        return {knots: weight / total for knots, weight in likely.items()}

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

    def distances(self, micrograph: SegmentedMicrograph, inside: np.ndarray | None) -> np.ndarray:
        """Distance distributions of the pixels ``inside`` of a micrograph; None for all."""
        return distance_features(micrograph.solid, edges=DISTANCE_EDGES, sections=self.ranges, inside=inside)

    def datasets(self) -> list[Dataset]:
        """Tables of the micrographs, of their distance distributions, and of other methods of segmentation."""
        tables = []
        for number, (micrograph, placement) in enumerate(zip(self.micrographs, self._placements, strict=True)):
            suffix = f"-{number}" if len(self.micrographs) > 1 else ""
            features = self.distances(micrograph, micrograph.mask)
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
        """Structure with the settings that all trials have in common, and the least closing and roughness of them."""
        model, search = self.study.model, self.study.search
        closing_depth = model.closing_depth if model.closing_depth is not None else 0.25 if self.is_layered else 0.0
        if self.is_layered:
            return TwoLayers(
                closing_radius=min(search.closing_radius),
                closing_depth=closing_depth,
                truncate=model.truncate,
                blend_power=model.blend_power,
                keep_variance=search.method != "published",
            )
        return Graded(
            closing_radius=min(search.closing_radius),
            closing_depth=closing_depth,
            truncate=model.truncate,
            knots=knots,
            sigma=(1.0,) * len(knots),
            porosity=(0.5,) * len(knots),
            roughness=min(search.roughness),
            anisotropy=self.morphology.initial_anisotropy(knots),
        )
