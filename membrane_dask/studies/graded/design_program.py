"""Plan of a search for the best design: rounds of designs, each simulated on the same random networks."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from membrane_dask.errors import Problem as StudyProblem
from membrane_dask.errors import Source, StudyError
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.networks.band_porosity import band_radii, junction_counts
from membrane_dask.program import Dataset, History, Outcome, Recall, Rounds, Unit, settle
from membrane_dask.studies.graded import KIND
from membrane_dask.studies.graded.closing_time import closing_notes
from membrane_dask.studies.graded.config import GradedStudy
from membrane_dask.studies.graded.design_metrics import metric_position
from membrane_dask.studies.graded.design_result import design_datasets
from membrane_dask.studies.graded.design_search import Evaluation, Objective
from membrane_dask.studies.graded.design_space import DesignSpace
from membrane_dask.studies.graded.law_settings import law_notes, species_names
from membrane_dask.studies.graded.physical_units import UNITS
from membrane_dask.studies.graded.program import GradedProgram

#: Designs of a round after the initial ones.
ROUND = 2
#: Second number of the spawn keys of the random streams of a search, larger than that of any network.
_STREAM = 2_000_000_000
#: Attempts to draw an initial design whose networks can have the porosity.
_ATTEMPTS = 1000


class DesignProgram(GradedProgram):
    """Units, tables and result of a search for the best design.

    Parameters
    ----------
    study : GradedStudy
        Checked study.
    source : Source, optional
        Origin of the study, for error messages.

    Raises
    ------
    StudyError
        If no network has the required porosity.
    """

    unread_settings: Mapping[str, frozenset[str]] = {}  # designs follow from the outcomes of earlier ones

    def __init__(self, study: GradedStudy, source: Source | None = None) -> None:
        parameters = study.optimum.parameters
        assert parameters is not None
        self.space = DesignSpace(parameters, study.bands)
        self.objective = Objective.of(study.optimum)
        super().__init__(study, source)
        self.adaptive = True
        used = {name: value for name, value in self.tables[0].attrs.items() if name not in self._replaced()}
        self.tables = (replace(self.tables[0], attrs=used),)
        species = species_names(study.species)
        metrics = {name: metric_position(name, species) for name in self.objective.metrics}
        self.context = {**self.context, "metric": None, "design_metrics": metrics}

    def _replaced(self) -> set[str]:
        """Return keys of the study in whose place the parameters of the search stand."""
        names = set(self.space.parameters.names) - {"pressure"}  # that of the study is the one of `deposition`
        return names | ({"gradient"} if "radius" in names else set())

    @property
    def n_initial(self) -> int:
        """Number of designs of the Latin hypercube at the beginning."""
        factor = 4 if self.objective.front else 3
        return min(factor * self.space.dimension + 2, self.study.optimum.evaluations)

    def _radii(self) -> dict[float, np.ndarray]:
        """Return the extreme radii; the largest one of the first band decides how long a filter lasts."""
        study, ranges = self.study, self.space.ranges
        if "radius_1" in ranges:
            return {radius: np.full(study.bands, radius) for radius in ranges["radius_1"]}
        gradients = ranges.get("gradient", study.gradient)
        return {s: band_radii(study.radius, s, study.bands) for s in gradients}

    def _design_notes(self) -> list[str]:
        widens = "gradient" in self.space.ranges and self.space.ranges["gradient"][0] < 0
        notes = law_notes(self.study, [radii.tolist() for radii in self.radii.values()], self.spread)
        notes += closing_notes(self.study)
        return [*(["pores widen with depth in designs with a gradient below 0"] if widens else []), *notes]

    def _unit_labels(self) -> dict[str, np.ndarray]:
        return {
            "evaluation": np.arange(self.study.optimum.evaluations),
            "realization": np.arange(self.study.realizations),
        }

    def _count_junctions(self, source: Source | None) -> dict[tuple[float, float], int]:
        """Draw the initial designs and return the largest number of junctions of their networks."""
        self._initial: list[dict[str, float]] = []
        counts: dict[tuple[float, float], int] = {}
        rng = self._rng(0)
        for design_point in self._latin_hypercube(rng):
            point, attempts = design_point, 0
            while (count := self._n_junctions(values := self.space.values(point))) is None:
                point, attempts = self.space.project(rng.random((1, len(self.space.names))))[0], attempts + 1
                if attempts == _ATTEMPTS:
                    message = "cannot be reached by any design within the ranges of optimum.parameters"
                    raise StudyError([StudyProblem(("porosity",), message)], source)
            self._initial.append(values)
            l_max = self.space.design(values).get("l_max", self.study.l_max[0])
            counts[l_max, float(len(counts))] = count
        return counts

    def _rng(self, number: int) -> np.random.Generator:
        seeds = np.random.SeedSequence(entropy=self.study.seed, spawn_key=(KIND.seed_key, _STREAM, number))
        return np.random.Generator(np.random.PCG64(seeds))

    def _latin_hypercube(self, rng: np.random.Generator) -> np.ndarray:
        n, d = self.n_initial, len(self.space.names)
        strata = np.stack([rng.permutation(n) for _ in range(d)], axis=1)
        return self.space.project((strata + rng.random((n, d))) / n)

    def _n_junctions(self, values: Mapping[str, float]) -> int | None:
        """Return the initial number of junctions of the networks of a design, None if there are no such networks."""
        settings = {"radius": self.study.radius, "porosity": self.study.porosity} | self._design(values)
        radii = band_radii(settings["radius"], settings["gradient"], self.study.bands)
        try:
            counts = junction_counts(
                l_min=self.study.l_min,
                l_max=self.study.band_l_max or settings["l_max"],
                radii=radii * math.sqrt(self.spread.mean_square),
                porosity=settings["porosity"],
            )
        except PhysicsError:
            return None
        return int(counts.sum())

    def _design(self, values: Mapping[str, float]) -> dict[str, Any]:
        """Return what a unit needs of a design: the keys of the study that the parameters replace."""
        gradient = 0.0 if "radius_1" in values else self.study.gradient[0]
        design = {"l_max": self.study.l_max[0], "gradient": gradient} | self.space.design(values)
        if "pressure" in design:
            # The affinity of foulant and wall, pi W P0 lambda / (8 mu), is that of the study at any pressure.
            assert self.study.pressure is not None
            ratio = self.study.pressure / design["pressure"]
            design["deposition"] = [coefficient * ratio for coefficient in self.study.deposition]
        return design

    def rounds(self) -> Rounds:
        """Yield the initial designs, then rounds of two, until the best design is certain."""
        designs: list[dict[str, float]] = list(self._initial)
        evaluations: list[Evaluation | None] = []
        simulated: list[dict[str, float]] = []
        while designs:
            first = len(evaluations)
            simulated += designs
            realizations = range(self.study.realizations)
            units = [self.network(first + k, design, i) for k, design in enumerate(designs) for i in realizations]
            outcomes = yield from settle(units)
            for k, design in enumerate(designs):
                start = k * len(realizations)
                evaluations.append(self._evaluation(design, outcomes[start : start + len(realizations)]))
            designs = yield from self._next_designs(simulated, evaluations)

    def _next_designs(
        self, simulated: Sequence[Mapping[str, float]], evaluations: Sequence[Evaluation | None]
    ) -> Generator[Recall, Outcome | None, list[dict[str, float]]]:
        """Return the designs of the next round; a resumed run reads them from the networks that it has finished."""
        number = len(evaluations)
        size = min(ROUND, self.study.optimum.evaluations - number)
        recorded = []
        for k in range(size):
            outcome = yield Recall(self._key(number + k, 0))
            if outcome is not None and all(name in outcome.feedback for name in self.space.names):
                recorded.append({name: float(outcome.feedback[name]) for name in self.space.names})
        if len(recorded) == size:
            return recorded
        finished = [evaluation for evaluation in evaluations if evaluation is not None]
        if len(finished) < 2:
            return []
        rng = self._rng(number)
        points = self.objective.proposals(self.space, finished, rng, number - self.n_initial, size)
        without_metrics = [values for values, one in zip(simulated, evaluations, strict=True) if one is None]
        designs = []
        for point in points:
            values = self._possible(point, finished)
            if values in without_metrics:  # the surfaces do not know it
                values = self._possible(self.space.project(rng.random((1, len(point))))[0], finished)
            designs.append(values)
        return designs

    def _possible(self, point: np.ndarray, evaluations: Sequence[Evaluation]) -> dict[str, float]:
        """Return the design nearest to a point, on the line to an evaluation, that has networks."""
        points = np.array([self.space.point(evaluation.values) for evaluation in evaluations])
        nearest = points[np.argmin(np.square(points - point).sum(axis=1))]
        while self._n_junctions(values := self.space.values(point)) is None:
            point = self.space.project(((point + nearest) / 2)[None])[0]
        return values

    def _evaluation(self, values: Mapping[str, float], outcomes: Sequence[Outcome]) -> Evaluation | None:
        """Return a design with the metrics of its finished networks, None if no network has all of them."""
        metrics = self.objective.metrics
        feedback = [o.feedback for o in outcomes if o.status == "done" and all(name in o.feedback for name in metrics)]
        if not feedback:
            return None
        return Evaluation(values, {name: np.array([f[name] for f in feedback]) for name in metrics})

    def _key(self, evaluation: int, realization: int) -> str:
        return f"graded,evaluation={evaluation},realization={realization}"

    def network(self, evaluation: int, values: Mapping[str, float], realization: int) -> Unit:
        """Return one network of a design.

        Networks of one realization have common random numbers in all designs, and those of the study of a grid.
        """
        l_max = self.study.l_max[0]
        return Unit(
            key=self._key(evaluation, realization),
            task="graded",
            index=(evaluation, realization),
            params=self._design(values) | {"parameters": dict(values)},
            seed=(self.study.seed, KIND.seed_key, round(l_max * 1e9), realization),
        )

    def pilots(self) -> Sequence[Unit]:
        """Return one network of some initial designs."""
        units = [self.network(e, values, 0) for e, values in enumerate(self._initial[:4])]
        self._check(units)
        return units

    def _check_first_pressure(self, units: Sequence[Unit]) -> None:
        """Do nothing: a search may start with designs that need a higher pressure than the best ones."""

    def collect(self, read: Callable[[str], Any], history: History) -> Sequence[Dataset]:
        """Add the designs and the best one; without common units of designs at different pressures."""
        datasets = super().collect(read, history)
        return [d for d in datasets if d.schema is not UNITS or "pressure" not in self.space.ranges]

    def _optima(self, table: Any, history: History) -> list[Dataset]:
        """Find the best design, or the front."""
        evaluations = self.evaluations(history)
        return design_datasets(self.study, self.space, self.objective, evaluations, self._rng(len(evaluations)))

    def evaluations(self, history: History) -> dict[int, Evaluation]:
        """Return the designs that have finished networks, by their numbers."""
        evaluations: dict[int, Evaluation] = {}
        for number in range(self.study.optimum.evaluations):
            keys = [self._key(number, i) for i in range(self.study.realizations)]
            outcomes = [history[key] for key in keys if key in history and history[key].status == "done"]
            if outcomes:
                values = {name: float(outcomes[0].feedback[name]) for name in self.space.names}
                evaluation = self._evaluation(values, outcomes)
                if evaluation is not None:
                    evaluations[number] = evaluation
        return evaluations
