"""Plan of a reconstruction: trials until the search of a replicate has ended, then the slabs of its best structure.

The first replicate is the best match. The others are matched to the micrograph as other sections of the best match
would have shown it, so that all of them together sample the structures that the micrograph may come from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from membrane_dask.errors import Source
from membrane_dask.physics.elementary import exp, log
from membrane_dask.physics.fixed_order import product
from membrane_dask.physics.reconstruction.distance_objective import distance_features
from membrane_dask.physics.reconstruction.knot_selection import choose_knots
from membrane_dask.physics.reconstruction.matching import Sections, initial_structure
from membrane_dask.physics.reconstruction.random_field import working_bytes
from membrane_dask.physics.reconstruction.structures import Graded, Structure, TwoLayers
from membrane_dask.program import Dataset, History, Image, Program, Rounds, Table, Unit
from membrane_dask.schema import TableSchema
from membrane_dask.studies.reconstruct import KIND, tasks
from membrane_dask.studies.reconstruct.config import ReconstructStudy
from membrane_dask.studies.reconstruct.micrograph import check_knots, check_phases, descriptor_scales, load_micrograph
from membrane_dask.studies.reconstruct.search import BayesianSearch, CandidateSearch, Search
from membrane_dask.studies.reconstruct.variables import CHAMANI, SEARCHES, STRUCTURE_IMAGE, STRUCTURES, TRIALS

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
        micrograph = load_micrograph(study, source)
        solid, pixel = micrograph.solid, micrograph.pixel_nm
        depth, width = solid.shape
        self._layered = study.model.depth == "layers" or study.search.method == "published"
        ranges = ((0.0, study.model.skin), (1.0 - study.model.support, 1.0))
        check_phases(solid, ranges if self._layered else ((0.0, 1.0),), source)
        scales = descriptor_scales(study, solid, source)
        self._prototype = self._make_prototype(
            choose_knots(solid, scales) if study.model.knots == "auto" else study.model.knots
        )
        shape = (depth, study.volume.slices, study.volume.width or width)
        n_sections = min(study.search.slices, shape[1])
        planes = tuple(int(shape[1] * (i + 0.5) / n_sections) for i in range(n_sections))
        sections = Sections(depth, width, planes, 0, ranges)
        target = sections.windows(self._prototype).target(scales.describe(solid))
        if isinstance(self._prototype, Graded):
            check_knots(self._prototype.knots, target.porosity, source)
        features = distance_features(solid, edges=tasks.DISTANCE_EDGES, sections=ranges)
        self._initial = initial_structure(self._prototype, target, scales)
        self._shape = shape
        self.context: Mapping[str, Any] = {
            "method": study.search.method,
            "sections": sections,
            "scales": scales,
            "target": target,
            "features": features,
            "pixel_nm": pixel,
            "shape": shape,
            "block_size": study.volume.block_size,
        }
        self.attrs: Mapping[str, Any] = {
            "title": "Reconstruction of a membrane from one micrograph",
            "references": CHAMANI,
            "seed": study.seed,
            "voxel_size_nm": pixel,
        }
        knots = self._prototype.knots if isinstance(self._prototype, Graded) else (0.0, 1.0)
        labels = {
            "replicate": np.arange(study.replicates),
            "trial": np.arange(self._search(0).trials),
            "knot": np.array(knots) * max(depth - 1, 1) * pixel,
        }
        self.tables: Sequence[Table] = (Table(self._declared(TRIALS), ("replicate", "trial"), labels),)
        voxels = {axis: np.arange(n) * pixel for axis, n in zip("zyx", shape, strict=True)}
        self.images: Sequence[Image] = tuple(
            Image(STRUCTURE_IMAGE, voxels, "y", study.volume.block_size, pixel, name=f"structure-{r}")
            for r in range(study.replicates)
        )
        self.inputs: Sequence[Dataset] = (micrograph.dataset(features),)

    def _declared(self, schema: TableSchema) -> TableSchema:
        """Declaration of a table, of independent searches where replicates are that."""
        return schema.with_coordinate(SEARCHES) if self.study.search.method == "published" else schema

    def _make_prototype(self, knots: tuple[float, ...]) -> TwoLayers | Graded:
        """Structure with the settings that all trials have in common."""
        model = self.study.model
        closing_depth = model.closing_depth if model.closing_depth is not None else 0.25 if self._layered else 0.0
        if self._layered:
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
        )

    def _search(self, replicate: int) -> Search:
        search = self.study.search
        roughness = (0.0,) if self._layered else search.roughness
        if search.method == "direct":
            return CandidateSearch(search.closing_radius, roughness)
        if search.method == "published":
            bounds = dict(_PUBLISHED)
        else:
            low, high = _SIGMA_RANGE
            ranges = [search.sigma or (low * sigma, high * sigma) for sigma in self._initial.parameters()[0]]
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
        sigma, porosity = (np.array(values) for values in self._prototype.parameters())
        for i in range(len(sigma)):
            sigma[i] = point.get(f"sigma_{i}", exp(point.get(f"log_sigma_{i}", 0.0)))
        for i in range(len(porosity)):
            porosity[i] = point.get(f"porosity_{i}", porosity[i])
        structure: Structure = self._prototype.with_parameters(sigma, porosity)
        structure = replace(
            structure, closing_radius=point.get("closing_radius", min(self.study.search.closing_radius))
        )
        if isinstance(structure, Graded):
            structure = replace(structure, roughness=point.get("roughness", min(self.study.search.roughness)))
        return structure

    def rounds(self) -> Rounds:
        """The search of the best match first; those of the other replicates once it is available."""
        replicates = range(1, self.study.replicates)
        if self.study.search.method == "published":  # its replicates are independent
            yield [self._replicate_rounds(0), *(self._replicate_rounds(r) for r in replicates)]
            return
        best = yield from self._search_rounds(0)
        model = self.structure(best) if best else None
        yield [*self._slabs(0, best), *(self._replicate_rounds(r, model) for r in replicates)]

    def _replicate_rounds(self, replicate: int, model: Structure | None = None) -> Rounds:
        best = yield from self._search_rounds(replicate, model)
        yield self._slabs(replicate, best)

    def _search_rounds(self, replicate: int, model: Structure | None = None) -> Rounds:
        """All trials of a replicate; returns the feedback of the best one, empty if all have failed."""
        perturbation = {"model": tasks.as_params(model)} if model else {}

        def trial(number: int, point: Mapping[str, float]) -> Unit:
            params = {"structure": tasks.as_params(self.structure(point)), "point": point} | perturbation
            return self._trial(replicate, number, params)

        outcomes = yield from self._search(replicate).rounds(trial, lambda number: _trial_key(replicate, number))
        feedback = [outcome.feedback for outcome in outcomes if outcome.status == "done"]
        return min(feedback, key=lambda values: values["objective"], default={})

    def _trial(self, replicate: int, number: int, params: Mapping[str, Any]) -> Unit:
        return Unit(_trial_key(replicate, number), "trials", (replicate, number), params, self._seed(replicate))

    def _slabs(self, replicate: int, best: Mapping[str, float]) -> list[Unit]:
        """Slabs of the best structure of a replicate; none if all its trials have failed."""
        if not best:
            return []
        image = self.images[replicate]
        params = {"structure": tasks.as_params(self.structure(best))}
        return [
            Unit(_slab_key(image, block), image.name, (block,), params, self._seed(replicate))
            for block in range(image.unit_shape[0])
        ]

    def _seed(self, replicate: int) -> tuple[int, ...]:
        """Seed of all units of a replicate: a trial is compared by sections of the volume itself."""
        return (self.study.seed, KIND.seed_key, replicate)

    def pilots(self) -> Sequence[Unit]:
        """A trial and a slab with average parameters."""
        middle = self.structure(
            {"log_sigma_0": 1.0, "closing_radius": float(np.median(self.study.search.closing_radius))}
        )
        likely = initial_structure(middle, self.context["target"], self.context["scales"])
        params = {"structure": tasks.as_params(likely)}
        slab = Unit(_slab_key(self.images[0], 0), self.images[0].name, (0,), params, self._seed(0))
        return [self._trial(0, 0, params), slab]

    def memory(self) -> Mapping[str, int]:
        """Peak bytes of a slab and of a trial, for the widest structure that is likely."""
        search = self.study.search
        sigma, porosity = self._initial.parameters()
        widths = np.full(len(sigma), search.sigma[1]) if search.sigma else 2.0 * sigma
        widest = replace(self._initial.with_parameters(widths, porosity), closing_radius=max(search.closing_radius))
        depth, slices, width = self._shape
        slab = working_bytes(widest, (depth, min(self.study.volume.block_size, slices), width))
        sections: Sections = self.context["sections"]
        halo = 4 * int(widest.closing_radius)
        fields = 4 * len(sections.planes) * (depth + halo) * (1 + halo) * (sections.width + halo)
        return {"structure": slab, "trials": fields + working_bytes(widest, (depth, 1, sections.width))}

    def collect(self, read: Callable[[str], Any], history: History) -> Sequence[Dataset]:
        """Best structure of each replicate, and the porosity of its volume."""
        trials = read("trials").load()
        objective = np.nan_to_num(trials["objective"].values, nan=np.inf)
        best = objective.argmin(axis=1)
        values: dict[str, np.ndarray] = {"best_trial": best.astype("i4")}
        for variable in STRUCTURES.variables:
            if variable.name in trials:
                values[variable.name] = trials[variable.name].values[np.arange(len(best)), best]
        depth, slices, width = self._shape
        quarter_rows = np.diff([round(depth * q / 4) for q in range(5)])
        quarters = np.full((len(best), 4), np.nan)
        for replicate, image in enumerate(self.images):
            outcomes = [history.get(_slab_key(image, block)) for block in range(image.unit_shape[0])]
            slabs = [outcome.feedback for outcome in outcomes if outcome and outcome.status == "done"]
            if len(slabs) == len(outcomes):
                pores = [sum(feedback[f"pore_voxels_{q}"] for feedback in slabs) for q in range(4)]
                quarters[replicate] = np.array(pores) / (quarter_rows * slices * width)
        values["quarter_porosity"] = quarters
        values["volume_porosity"] = product(quarters, quarter_rows) / depth
        labels = {"replicate": self.tables[0].labels["replicate"], "knot": self.tables[0].labels["knot"]}
        return [Dataset(self._declared(STRUCTURES), values, ("replicate",), labels)]


def _trial_key(replicate: int, number: int) -> str:
    return f"trial,replicate={replicate},trial={number}"


def _slab_key(image: Image, block: int) -> str:
    return f"{image.name},block={block}"
