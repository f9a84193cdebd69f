"""Plan of a reconstruction: trials until the search of a replicate has ended, then the slabs of its best structure.

The first replicate is the best match. The others are matched to the micrograph as other sections, and other images of
them, would have shown the membrane, with closing, roughness and knots drawn by their weights, so that all of them
together sample the structures that the micrograph may come from.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from membrane_dask.errors import Source
from membrane_dask.physics.elementary import exp, log
from membrane_dask.physics.fixed_order import product
from membrane_dask.physics.reconstruction.matching import initial_structure
from membrane_dask.physics.reconstruction.random_field import working_bytes
from membrane_dask.physics.reconstruction.replicate_interval import MIN_REPLICATES
from membrane_dask.physics.reconstruction.structures import Graded, Structure
from membrane_dask.program import Dataset, History, Image, Outcome, Program, Rounds, Scratch, Table, Unit, settle
from membrane_dask.schema import TableSchema
from membrane_dask.studies.reconstruct import KIND, tasks
from membrane_dask.studies.reconstruct.config import ReconstructStudy
from membrane_dask.studies.reconstruct.fit import FitInput, FitProgram
from membrane_dask.studies.reconstruct.fit_tasks import FIT_SECTIONS, REFITS, imaged_statistics, masked
from membrane_dask.studies.reconstruct.imaging import imaging_table
from membrane_dask.studies.reconstruct.model_choice import SELECTIONS
from membrane_dask.studies.reconstruct.observation import Observation
from membrane_dask.studies.reconstruct.preview import preview
from membrane_dask.studies.reconstruct.search import BayesianSearch, CandidateSearch, Search
from membrane_dask.studies.reconstruct.segmentations import segmentation_bias_table
from membrane_dask.studies.reconstruct.variables import (
    CHAMANI,
    MATCHES,
    MODEL_CHOICE,
    SEARCHES,
    STRUCTURE_IMAGE,
    STRUCTURES,
    TRIALS,
)

#: Ranges of the paper's program, in voxels: widths of both fields, porosity before closing, closing radius.
_PUBLISHED = {"sigma_0": (0.2, 4.01), "sigma_1": (0.2, 10.01), "porosity_0": (0.06, 0.52), "closing_radius": (1.0, 4.0)}
#: Range of the widths of a Bayesian search, over the theoretical ones of an unclosed field.
_SIGMA_RANGE = (0.3, 1.3)


class ReconstructProgram(Program):
    """Trials of all replicates and slabs of their volumes.

    Parameters
    ----------
    study : ReconstructStudy
        Checked study.
    source : Source, optional
        Positions of the settings, for errors.

    Raises
    ------
    StudyError
        If the micrograph cannot be used.
    """

    kind = "reconstruct"
    work = staticmethod(tasks.work)

    def __init__(self, study: ReconstructStudy, source: Source | None = None) -> None:
        self.study = study
        self._observation = observation = Observation(study, source)
        self._draws_models = observation.draws_models
        micrographs, pixel, shape = observation.micrographs, observation.voxel_nm, observation.shape
        inside = [observation.inside(number) for number in range(len(micrographs))]
        drawn_knots = sorted({knot for knots in observation.knot_sets for knot in knots})
        self.context: Mapping[str, Any] = {
            "method": study.search.method,
            "groups": observation.groups,
            "features": [observation.distances(*pair) for pair in zip(micrographs, inside, strict=True)],
            "inside": inside,
            "ranges": observation.ranges,
            "knots": np.array(drawn_knots),
            "sections": observation.sections,
            "fit_mask": [micrograph.mask for micrograph in micrographs],
            "fit_knots": observation.fit_knots,
            "pixel_nm": pixel,
            "shape": shape,
            "block_size": study.volume.block_size,
        }
        self._fit = FitProgram(
            study.goodness_of_fit, study.replicates, study.search.method == "direct",
            (study.seed, KIND.seed_key, 0, 3), len(micrographs),
        )  # fmt: skip
        self._weighs_trials = self._draws_models and study.replicates > 1
        choice = [Scratch(SELECTIONS, (1,))] if self._weighs_trials else []
        self.scratch: Sequence[Scratch] = [*choice, *self._fit.scratch]
        self.attrs: Mapping[str, Any] = {
            "title": "Reconstruction of a membrane from micrographs",
            "references": CHAMANI,
            "seed": study.seed,
            "voxel_size_nm": pixel,
        }
        knots = np.array((0.0, 1.0) if observation.is_layered else drawn_knots)
        self._labels = {
            "replicate": np.arange(study.replicates),
            "trial": np.arange(self._search(0).trials),
            "knot": knots * max(shape[0] - 1, 1) * pixel,
        }
        searched, drawn = np.split(self._labels["replicate"], [1 if self._draws_models else study.replicates])
        tables = [Table(self._declared(TRIALS), ("replicate", "trial"), self._labels | {"replicate": searched})]
        if drawn.size:
            tables.append(Table(MATCHES, ("replicate",), {"replicate": drawn, "knot": self._labels["knot"]}))
        self.tables: Sequence[Table] = tables
        voxels = {axis: np.arange(n) * pixel for axis, n in zip("zyx", shape, strict=True)}
        self.images: Sequence[Image] = tuple(
            Image(STRUCTURE_IMAGE, voxels, "y", study.volume.block_size, pixel, name=f"structure-{r}")
            for r in range(study.replicates)
        )
        self.inputs: Sequence[Dataset] = (
            *observation.datasets(),
            *imaging_table(observation.imaging, micrographs),
        )

    @property
    def summary(self) -> Sequence[tuple[str, str]]:
        """What was decided about the micrographs, their segmentation, and how they show the sections."""
        few = self.study.replicates < MIN_REPLICATES
        note = f"no intervals: they need replicates: {MIN_REPLICATES} or more (is {self.study.replicates})"
        return [*self._observation.summary, *([("note", note)] if few else [])]

    def previews(self) -> Mapping[str, bytes]:
        """Pictures of the segmented micrographs."""
        micrographs = self._observation.micrographs
        names = [f"segmentation-preview-{n}.png" for n in range(len(micrographs))]
        if len(micrographs) == 1:
            names = ["segmentation-preview.png"]
        return {name: preview(one.section, one.solid) for name, one in zip(names, micrographs, strict=True)}

    def _declared(self, schema: TableSchema) -> TableSchema:
        """Declaration of a table, of independent searches where replicates are that."""
        return schema.with_coordinate(SEARCHES) if self.study.search.method == "published" else schema

    def _search(self, replicate: int) -> Search:
        search = self.study.search
        roughness = (0.0,) if self._observation.is_layered else search.roughness
        if search.method == "direct":
            return CandidateSearch(search.closing_radius, roughness)
        if search.method == "published":
            bounds = dict(_PUBLISHED)
        else:
            low, high = _SIGMA_RANGE
            ranges = [
                search.sigma or (low * sigma, high * sigma) for sigma in self._observation.initial.parameters()[0]
            ]
            bounds = {f"log_sigma_{i}": (float(log(low)), float(log(high))) for i, (low, high) in enumerate(ranges)}
            for name, values in (("closing_radius", search.closing_radius), ("roughness", roughness)):
                if len(values) > 1:
                    bounds[name] = (min(values), max(values))
        seed = np.random.SeedSequence(entropy=self.study.seed, spawn_key=(KIND.seed_key, replicate, 1))
        return BayesianSearch(
            bounds, trials=search.trials, initial=search.initial, in_flight=search.in_flight, seed=seed
        )

    def structure(self, point: Mapping[str, float]) -> Structure:
        """Structure of a point of the search, or of the feedback of a trial; lengths in voxels."""
        prototype = self._observation.prototype
        if "knot_0" in point:
            n_knots = sum(name.startswith("knot_") for name in point)
            prototype = self._observation.make_prototype(tuple(point[f"knot_{i}"] for i in range(n_knots)))
        sigma, porosity = (np.array(values) for values in prototype.parameters())
        for i in range(len(sigma)):
            sigma[i] = point.get(f"sigma_{i}", exp(point.get(f"log_sigma_{i}", 0.0)))
        for i in range(len(porosity)):
            porosity[i] = point.get(f"porosity_{i}", porosity[i])
        structure: Structure = prototype.with_parameters(sigma, porosity)
        structure = replace(structure, closing_radius=point.get("closing_radius", structure.closing_radius))
        if isinstance(structure, Graded):
            anisotropy = tuple(point.get(f"anisotropy_{i}", ratio) for i, ratio in enumerate(structure.anisotropy))
            roughness = point.get("roughness", structure.roughness)
            structure = replace(structure, roughness=roughness, anisotropy=anisotropy)
        return structure

    def replicate_structure(self, replicate: int, feedback: Mapping[str, float]) -> Structure:
        """Structure of a replicate, with its macrovoids, from the feedback of its match."""
        return replace(self.structure(feedback), macrovoids=self._observation.morphology.layer(self.study, replicate))

    def rounds(self) -> Rounds:
        """The search of the best match first; the other replicates once it is available; then the goodness of fit."""
        replicates = range(1, self.study.replicates)
        branches: list[Any] = []
        if self.study.search.method == "published":  # its replicates are independent
            branches += [self._searched_replicate(r) for r in (0, *replicates)]
        else:
            trials = yield from self._search_rounds(0)
            best = _best(trials)
            if not best:
                return
            branches.append(self._volume(0, best))
            if self._weighs_trials:
                branches.append(self._drawn_replicates(trials))
            else:
                branches += [self._searched_replicate(r, self.structure(best)) for r in replicates]
        matches: list[Any] = yield from settle(branches)
        if self._weighs_trials:
            matches = [matches[0], *(matches[1] or ())]
        yield self._fit_units(matches)

    def _fit_units(self, matches: Sequence[Mapping[str, float] | None]) -> list[Unit]:
        """Units of the goodness of fit, from the feedback of the match of each replicate."""
        return self._fit.units(
            [tasks.as_params(self.replicate_structure(r, match)) if match else None for r, match in enumerate(matches)]
        )

    def _searched_replicate(self, replicate: int, model: Structure | None = None) -> Rounds:
        """A search of its own, and the slabs of the best trial."""
        trials = yield from self._search_rounds(replicate, model)
        return (yield from self._volume(replicate, _best(trials)))

    def _drawn_replicates(self, trials: Sequence[Mapping[str, float]]) -> Rounds:
        """Weights of the trials first, then the matches of all replicates but the best match and their slabs."""
        (outcome,) = yield from settle([self._selections(trials)])
        if outcome.status != "done":
            return []
        weights = _weights(outcome, len(trials))
        replicates: list[Any] = [self._drawn_replicate(r, trials, weights) for r in range(1, self.study.replicates)]
        return (yield from settle(replicates))

    def _selections(self, trials: Sequence[Mapping[str, float]]) -> Unit:
        """How often each trial would match an image of the best one best."""
        numbers = [number for number, trial in enumerate(trials) if trial]
        structures = [tasks.as_params(self.structure(trials[number])) for number in numbers]
        return self._selections_of(structures, numbers, numbers.index(trials.index(_best(trials))))

    def _selections_of(self, structures: list[dict[str, Any]], numbers: list[int], best: int) -> Unit:
        params = {"structures": structures, "trials": numbers, "best": best}
        return Unit(SELECTIONS, SELECTIONS, (0,), params, self._seed(0))

    def _drawn_replicate(self, replicate: int, trials: Sequence[Mapping[str, float]], weights: np.ndarray) -> Rounds:
        """A match with the closing and roughness of a trial, and with knots, that are drawn by their weights."""
        seed = np.random.SeedSequence(entropy=self.study.seed, spawn_key=(KIND.seed_key, replicate, 2))
        first, second = np.random.default_rng(seed).random(2)
        number = _drawn(weights, first)
        candidate, knot_sets = trials[number], self._observation.knot_sets
        knots = list(knot_sets)[_drawn(np.array(list(knot_sets.values())), second)]
        choice = {"closing_radius": candidate["closing_radius"], "roughness": candidate["roughness"]}
        if not self._observation.is_layered:
            choice |= {f"knot_{i}": knot for i, knot in enumerate(knots)}
        unit = self._match(replicate, self.structure(choice), self.structure(candidate), number)
        (outcome,) = yield from settle([unit])
        return (yield from self._volume(replicate, outcome.feedback if outcome.status == "done" else {}))

    def _match(self, replicate: int, structure: Structure, model: Structure, candidate: int) -> Unit:
        """Fit of a structure to the micrograph as perturbed by sections of the model, which a trial has found."""
        params = {
            "structure": tasks.as_params(structure),
            "model": tasks.as_params(model),
            "method": "direct",
            "point": {"candidate": candidate},
        }
        return Unit(_match_key(replicate), "matches", (replicate - 1,), params, self._seed(replicate))

    def _volume(self, replicate: int, match: Mapping[str, float]) -> Rounds:
        """The slabs of a matched structure, of which this is the feedback; returns it."""
        yield from settle(self._slabs(replicate, match))
        return match

    def _search_rounds(
        self, replicate: int, model: Structure | None = None
    ) -> Generator[Any, Any, list[Mapping[str, float]]]:
        """All trials of a replicate; returns the feedback of each, empty of one that failed."""
        perturbation = {"model": tasks.as_params(model)} if model else {}

        def trial(number: int, point: Mapping[str, float]) -> Unit:
            params = {"structure": tasks.as_params(self.structure(point)), "point": point} | perturbation
            return self._trial(replicate, number, params)

        outcomes = yield from self._search(replicate).rounds(trial, lambda number: _trial_key(replicate, number))
        return [outcome.feedback if outcome.status == "done" else {} for outcome in outcomes]

    def _trial(self, replicate: int, number: int, params: Mapping[str, Any]) -> Unit:
        return Unit(_trial_key(replicate, number), "trials", (replicate, number), params, self._seed(replicate))

    def _slabs(self, replicate: int, best: Mapping[str, float]) -> list[Unit]:
        """Slabs of the best structure of a replicate; none if all its trials have failed."""
        if not best:
            return []
        image = self.images[replicate]
        params = {"structure": tasks.as_params(self.replicate_structure(replicate, best))}
        return [
            Unit(_slab_key(image, block), image.name, (block,), params, self._seed(replicate))
            for block in range(image.unit_shape[0])
        ]

    def _seed(self, replicate: int) -> tuple[int, ...]:
        """Seed of all units of a replicate: a trial is compared by sections of the volume itself."""
        return (self.study.seed, KIND.seed_key, replicate)

    def pilots(self) -> Sequence[Unit]:
        """A trial, the match of a further replicate and a slab with average parameters."""
        middle = self.structure(
            {"log_sigma_0": 1.0, "closing_radius": float(np.median(self.study.search.closing_radius))}
        )
        likely = initial_structure(middle, self._observation.targets(middle), self._observation.magnifications)
        params = {"structure": tasks.as_params(likely)}
        slab = Unit(_slab_key(self.images[0], 0), self.images[0].name, (0,), params, self._seed(0))
        fit = {unit.task: unit for unit in self._fit.units([params["structure"]])}
        matches = [self._match(1, likely, likely, 0)] if self._weighs_trials else []
        if self._weighs_trials:
            numbers = list(range(self._search(0).trials))
            matches.append(self._selections_of([params["structure"]] * len(numbers), numbers, 0))
        return [self._trial(0, 0, params), *matches, slab, *fit.values()]

    def memory(self) -> Mapping[str, int]:
        """Peak bytes of a slab and of a trial, for the widest structure that is likely."""
        search, initial = self.study.search, self._observation.initial
        sigma, porosity = initial.parameters()
        widths = np.full(len(sigma), search.sigma[1]) if search.sigma else 2.0 * sigma
        widest = replace(initial.with_parameters(widths, porosity), closing_radius=max(search.closing_radius))
        depth, slices, width = self._observation.shape
        slab = working_bytes(widest, (depth, min(self.study.volume.block_size, slices), width))
        fields, largest = 0, 0
        for sections in self._observation.sections:
            factor = sections.supersampling / sections.pixel
            scaled, n = widest.scaled(factor), sections.supersampling
            halo = 4 * int(scaled.closing_radius)
            rows, columns = n * sections.depth, n * sections.width
            fields += 4 * len(sections.planes) * (rows + halo) * (1 + halo) * (columns + halo)
            largest = max(largest, working_bytes(scaled, (rows, 1, columns)))
        return {"structure": slab} | dict.fromkeys(("trials", SELECTIONS, FIT_SECTIONS, REFITS), fields + largest)

    def collect(self, read: Callable[[str], Any], history: History) -> Sequence[Dataset]:
        """Best structure of each replicate, and the porosity of its volume."""
        trials = read("trials").load()
        objective = np.nan_to_num(trials["objective"].values, nan=np.inf)
        best = objective.argmin(axis=1)
        matches = read("matches").load() if self._weighs_trials else {}
        values: dict[str, np.ndarray] = {}
        for variable in STRUCTURES.variables:
            if variable.name in trials:
                values[variable.name] = trials[variable.name].values[np.arange(len(best)), best]
            if variable.name in matches:
                values[variable.name] = np.concatenate([values[variable.name], matches[variable.name].values])
        outcomes = [history.get(_match_key(r)) for r in range(len(best), self.study.replicates)]
        drawn = [outcome.feedback.get("candidate", -1) if outcome else -1 for outcome in outcomes]
        values["best_trial"] = np.append(best, drawn).astype("i4")
        depth, slices, width = self._observation.shape
        quarter_rows = np.diff([round(depth * q / 4) for q in range(5)])
        quarters, macrovoids = np.full((self.study.replicates, 4), np.nan), np.full(self.study.replicates, np.nan)
        for replicate, image in enumerate(self.images):
            outcomes = [history.get(_slab_key(image, block)) for block in range(image.unit_shape[0])]
            slabs = [outcome.feedback for outcome in outcomes if outcome and outcome.status == "done"]
            if len(slabs) == len(outcomes):
                pores = [sum(feedback[f"pore_voxels_{q}"] for feedback in slabs) for q in range(4)]
                quarters[replicate] = np.array(pores) / (quarter_rows * slices * width)
                voxels = sum(feedback.get("macrovoid_voxels", 0.0) for feedback in slabs)
                macrovoids[replicate] = voxels / (depth * slices * width)
        values["quarter_porosity"] = quarters
        values["volume_porosity"] = product(quarters, quarter_rows) / depth
        if self._observation.morphology.macrovoids:
            values |= self._observation.morphology.values(self.study, self.context["pixel_nm"])
            values["macrovoid_fraction"] = macrovoids
        labels = {name: self._labels[name] for name in ("replicate", "knot")}
        sentences = [sentence for _, sentence in self._observation.morphology.messages]
        attrs = {"summary": sentences} if sentences else {}
        tables = [Dataset(self._declared(STRUCTURES), values, ("replicate",), labels, attrs)]
        selections = history.get(SELECTIONS)
        if selections and selections.status == "done":
            weights = {
                "weight": _weights(selections, objective.shape[1]),
                "knots_weight": np.array(list(self._observation.knot_sets.values())),
            }
            tables.append(Dataset(MODEL_CHOICE, weights, labels={"trial": self._labels["trial"]}))
        outcome = history.get(_trial_key(0, int(best[0])))
        if outcome and outcome.status == "done":
            structure = self.replicate_structure(0, outcome.feedback)
            tables += segmentation_bias_table(structure, self._observation.sections)
        if np.isfinite(values["objective"][0]):
            tables += self._fit_tables(read, float(values["objective"][0]))
        return tables

    def _fit_tables(self, read: Callable[[str], Any], objective: float) -> list[Dataset]:
        """Tables of the goodness of fit, as far as its units are done."""
        inputs = []
        for number, micrograph in enumerate(self._observation.micrographs):
            sections, segmentation = self._observation.sections[number], micrograph.segmentation
            imaging, knots = sections.imaging, self._observation.fit_knots[number]
            solid, grey = masked(segmentation.solid, segmentation.grey if imaging else None, micrograph.mask)
            presmooth = imaging.segmenter.presmooth if imaging else 0.0
            statistics = imaged_statistics(solid, grey, knots=knots, presmooth=presmooth)
            features = self._observation.distances(micrograph, micrograph.mask)
            top, bottom = self._observation.range_of(number)
            ranges = [(top + a * (bottom - top), top + b * (bottom - top)) for a, b in sections.ranges]
            inputs.append(FitInput(solid, statistics, features, ranges, micrograph.pixel_nm))
        return self._fit.tables(read, inputs, objective)


def _best(trials: Sequence[Mapping[str, float]]) -> Mapping[str, float]:
    """Feedback of the trial with the smallest objective; empty if all have failed."""
    return min(filter(None, trials), key=lambda values: values["objective"], default={})


def _weights(outcome: Outcome, n: int) -> np.ndarray:
    """Probability that the closing and roughness of each of ``n`` trials are drawn; 0 if it failed."""
    return np.array([outcome.feedback.get(f"weight_{number}", 0.0) for number in range(n)])


def _drawn(weights: np.ndarray, number: float) -> int:
    """Index that a uniform random number selects by weights that sum to 1."""
    return min(int(np.searchsorted(np.cumsum(weights), number, side="right")), len(weights) - 1)


def _trial_key(replicate: int, number: int) -> str:
    return f"trial,replicate={replicate},trial={number}"


def _match_key(replicate: int) -> str:
    return f"match,replicate={replicate}"


def _slab_key(image: Image, block: int) -> str:
    return f"{image.name},block={block}"
