"""Plan of a graded study: one unit per random network, all at once or in rounds that locate the best gradient."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from membrane_dask.errors import Problem, Source, StudyError
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.networks.band_porosity import band_radii, junction_counts
from membrane_dask.physics.networks.fouling import clean_flux
from membrane_dask.physics.networks.radius_distribution import RadiusSpread
from membrane_dask.program import Dataset, History, Program, Rounds, Table, Unit, settle
from membrane_dask.quantities import Quantity
from membrane_dask.studies.graded import KIND
from membrane_dask.studies.graded.config import GradedStudy
from membrane_dask.studies.graded.cylinder_criterion import MAX_NON_CYLINDRICAL, consequence, has_criterion
from membrane_dask.studies.graded.law_settings import fouling_laws, law_notes, longest_life, species_names
from membrane_dask.studies.graded.optimum import (
    STOP_REASONS,
    StopReason,
    best_gradient,
    informative_gradients,
    next_round,
)
from membrane_dask.studies.graded.physical_quantities import quantities_as_numbers
from membrane_dask.studies.graded.physical_units import filter_units, units_dataset
from membrane_dask.studies.graded.tasks import absent_variables, network_of, random_generator, work
from membrane_dask.studies.graded.variables import GRADED, GRADIENT_OPTIMUM, GU, METRICS, OPTIMUM

#: Parameters that every unit needs.
_CONTEXT = (
    "l_min", "band_l_max", "porosity", "porosity_tolerance", "radius", "bands", "deposition", "band_deposition",
    "time_step", "integrator", "quadrature", "flux_threshold", "solver_tolerance",
)  # fmt: skip


class GradedProgram(Program):
    """Units, tables and result of a graded study.

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

    kind = KIND.name
    work = staticmethod(work)
    # A network has its design point as parameters, and its realization in its seed. What decides the outcome of a
    # search is read by its rounds; `optimum.metric` is the feedback of a unit.
    unread_settings: Mapping[str, frozenset[str]] = {
        GRADED.name: frozenset({
            "l_max", "gradient", "realizations", "optimum.round", "optimum.interval", "optimum.tolerance",
            "optimum.confidence",
        }),
    }  # fmt: skip
    padded_dims = frozenset({"time"})

    def __init__(self, study: GradedStudy, source: Source | None = None) -> None:
        self.study = study
        self.spread = RadiusSpread(study.radius_spread.distribution, study.radius_spread.deviation)
        self.radii = self._radii()
        self._junctions = self._count_junctions(source)
        self.laws = fouling_laws(study)
        self.n_steps = longest_life(self.laws, math.ceil(self._closing_time() / study.time_step - 1e-9) + 1)
        # With several species, the mean deposition coefficient gives the units of time and throughput.
        self.deposition = [self.laws.reference_deposition(value) for value in study.deposition]
        self.adaptive = study.design == "optimum"
        self.context = {name: getattr(study, name) for name in _CONTEXT} | {
            "spread": self.spread,
            "n_steps": self.n_steps,
            "metric": study.optimum.metric if self.adaptive else None,
            "units": filter_units(study),
            "laws": self.laws,
            "networks": None,
        }
        self.attrs = {
            "title": "Fouling of random pore networks with a pore-radius gradient",
            "references": f"{GU}, doi:10.1103/PhysRevFluids.8.044502",
            "seed": study.seed,
        }
        self.notes = self._design_notes()
        self._pilot_notes: list[str] = []
        unit_labels = self._unit_labels()
        labels = unit_labels | {
            "deposition": np.array(self.deposition),
            "species": np.array(species_names(study.species), np.dtypes.StringDType()),
            "band": np.arange(1, self._n_bands() + 1),
            "time": np.round(np.arange(self.n_steps + 1) * study.time_step, 12),
        }
        excluded = {"name", "cluster", "execution", "kind", "seed", "input", *labels}
        settings = study.model_dump(mode="json", exclude=excluded)
        attrs = (
            _flatten(settings)
            | quantities_as_numbers(study)
            | {"seed": study.seed}
            | ({"summary": self.notes} if self.notes else {})
        )
        absent = absent_variables(self.context)
        if not study.species:
            del labels["species"]
        schema = replace(GRADED, variables=tuple(v for v in GRADED.variables if v not in absent))
        self.tables = (Table(schema, tuple(unit_labels), labels, attrs, self._unit_seconds()),)

    @property
    def summary(self) -> Sequence[tuple[str, str]]:
        """Notes on the design, which the result has as well, and on the pilots."""
        return [("note", text) for text in (*self.notes, *self._pilot_notes)]

    def _design_notes(self) -> list[str]:
        """Return what is unusual about the design."""
        notes = law_notes(self.study, [radii.tolist() for radii in self.radii.values()], self.spread)
        if self.study.bands == 1 and self.study.gradient != (0.0,):
            return ["bands: 1 leaves a gradient without effect: filters of all gradients are the same", *notes]
        widening = [s for s in self.study.gradient if s < 0]
        if not widening:
            return notes
        values = ", ".join(f"{s:g}" for s in widening)
        return [
            f"pores widen with depth at gradient {values} membrane thicknesses per band: the "
            "narrowest ones are at the feed side and close first",
            *notes,
        ]

    def _closing_time(self) -> float:
        """Return the longest time in which an inlet closes."""
        # Inlet pores belong to the first band, have c = 1 and narrow at the rate of their band.
        rate = (self.study.band_deposition or (1.0,))[0]
        widest = max(radii[0] for radii in self.radii.values()) * self.spread.range[1]
        return float(widest / rate)

    def _n_bands(self) -> int:
        return self.study.bands

    def _radii(self) -> dict[float, np.ndarray]:
        """Return the radii of the bands for every gradient."""
        return {s: band_radii(self.study.radius, s, self.study.bands) for s in self.study.gradient}

    def _unit_labels(self) -> dict[str, np.ndarray]:
        """Return the labels of the dimensions that number the networks."""
        study = self.study
        return {
            "l_max": np.array(study.l_max),
            "gradient": np.array(study.gradient),
            "realization": np.arange(study.realizations),
        }

    def _count_junctions(self, source: Source | None) -> dict[tuple[float, float], int]:
        """Return the initial number of junctions of the networks of every design point."""
        study, counts = self.study, {}
        for l_max, gradient in itertools.product(study.l_max, study.gradient):
            radii = self.radii[gradient] * math.sqrt(self.spread.mean_square)
            try:
                limits = study.band_l_max or l_max
                band_counts = junction_counts(l_min=study.l_min, l_max=limits, radii=radii, porosity=study.porosity)
            except PhysicsError as error:
                message = f"cannot be reached with l_max = {l_max:g} and gradient = {gradient:g}: {error}"
                raise StudyError([Problem(("porosity",), message)], source) from None
            counts[l_max, gradient] = int(band_counts.sum())
        return counts

    def _max_pores(self) -> float:
        """Estimate the number of pores of the largest networks: ``n^2 l_max^3 2 pi / 3`` pairs of ``n`` points."""
        return max(2.1 * n * n * (l_max * l_max * l_max) for (l_max, _), n in self._junctions.items())

    def _unit_seconds(self) -> float:
        """Estimate the time of a unit, to choose batches; it is proportional to pores times steps."""
        seconds: float = 3e-8 * self._max_pores() * self.n_steps * len(self.study.deposition)
        return max(0.005, seconds)

    def rounds(self) -> Rounds:
        """Yield all units at once or, with ``design: optimum``, one search per ``l_max``."""
        study = self.study
        if self.adaptive:
            yield [self._search(i) for i in range(len(study.l_max))]
        else:
            yield [self.unit(*index) for index in np.ndindex(self.tables[0].unit_shape)]

    def _search(self, i: int) -> Rounds:
        """Add rounds of networks for one ``l_max`` until its best gradient is known; return the reason to stop."""
        study, settings = self.study, self.study.optimum
        order = np.argsort(study.gradient).tolist()
        gradients = np.sort(study.gradient)
        samples = np.full((study.realizations, len(order)), math.nan)
        count = 0  # realizations so far
        while True:
            columns: list[int] | StopReason = list(range(len(order)))
            if count >= 2 * settings.round:  # the spread of a single round is too uncertain to stop
                columns = next_round(
                    gradients, samples[:count], interval=settings.interval, tolerance=settings.tolerance,
                    confidence=settings.confidence,
                )  # fmt: skip
            elif count:
                columns = informative_gradients(samples[:count], settings.confidence)
            if isinstance(columns, str):
                return columns
            if count >= study.realizations:
                return "realizations"
            realizations = range(count, min(count + settings.round, study.realizations))
            count = realizations.stop
            cells = [(realization, j) for j in columns for realization in realizations]
            outcomes = yield from settle([self.unit(i, order[j], realization) for realization, j in cells])
            for cell, outcome in zip(cells, outcomes, strict=True):
                if outcome.status == "done":
                    samples[cell] = outcome.feedback["metric"]

    def unit(self, i: int, j: int, realization: int) -> Unit:
        """Return one network, numbered by ``l_max``, gradient and realization.

        Its seed depends on ``l_max`` and the realization alone: networks of all gradients have common random numbers,
        so that they differ in nothing else. It depends on the value of ``l_max`` rather than its index, so that a
        design point added to a study does not change the networks of the other points.
        """
        l_max, gradient = self.study.l_max[i], self.study.gradient[j]
        return Unit(
            key=f"graded,l_max={l_max:g},gradient={gradient:g},realization={realization}",
            task="graded",
            index=(i, j, realization),
            params={"l_max": l_max, "gradient": gradient},
            seed=(self.study.seed, KIND.seed_key, round(l_max * 1e9), realization),
        )

    def pilots(self) -> Sequence[Unit]:
        """Return the corners of the design."""
        corners = itertools.product({0, len(self.study.l_max) - 1}, {0, len(self.study.gradient) - 1})
        units = [self.unit(i, j, 0) for i, j in sorted(corners)]
        self._check(units)
        return units

    def _check(self, units: Sequence[Unit]) -> None:
        """Refuse a study whose pilots have no result.

        Raises
        ------
        StudyError
            If one of these networks cannot be simulated, or none of them has a life.
        """
        self._check_first_pressure(units)
        fractions: dict[str, float] = {}
        for unit in units:
            try:
                arrays, _ = work(self.context, unit)
                fractions[unit.key] = float(arrays["non_cylindrical_deposition"].max())
            except PhysicsError as error:
                message = f"{error} ({unit.key}); --no-measure runs all other networks without pilots"
                raise StudyError([Problem((), message)]) from error
        self._pilot_notes = self._cylinder_notes(fractions)

    def _cylinder_notes(self, fractions: Mapping[str, float]) -> list[str]:
        """Return a note on the pilot whose pores stay cylinders least.

        Parameters
        ----------
        fractions : mapping of str to float
            Fraction of the deposition in pores with x > 1, by pilot.
        """
        attrs = self.tables[0].attrs
        key, largest = max(fractions.items(), key=lambda item: item[1])
        if not has_criterion(attrs) or not largest > MAX_NON_CYLINDRICAL:
            return []
        return [
            f"{100 * largest:.0f} % of the deposition of a clean filter falls in pores with x = lambda r l/q > 1 "
            f"({key}): {consequence(attrs)}"
        ]

    def _check_first_pressure(self, units: Sequence[Unit]) -> None:
        """Refuse a constant flux at which no filter works.

        Raises
        ------
        StudyError
            If the first transmembrane pressure of all these networks is at the limit.
        """
        flux, limit = self.laws.flux, self.laws.pressure_limit
        if not isinstance(flux, float):
            return
        first = min(flux / clean_flux(network_of(self.context, unit, random_generator(unit))) for unit in units)
        if first >= limit:
            stated = self.study.operation.flux
            unit = f" {stated.unit}" if isinstance(stated, Quantity) else ""
            value = stated.value if isinstance(stated, Quantity) else flux
            message = (
                f"{value:g}{unit} needs {first / limit:.3g} times the pressure_limit in the clean filters that were "
                f"tried; at most {value * limit / first:.3g}{unit}"
            )
            raise StudyError([Problem(("operation", "flux"), message)])

    def memory(self) -> Mapping[str, int]:
        """Estimate the peak bytes of a unit: about 600 per pore, and its histories."""
        history = 8 * self.n_steps * (4 + self._n_bands()) * len(self.study.deposition)
        return {"graded": int(600 * self._max_pores() + history + 20_000_000)}

    def collect(self, read: Callable[[str], Any], history: History) -> Sequence[Dataset]:
        """Estimate the best gradient, and give the units of the results where the study states them."""
        table = read("graded")
        datasets = self._optima(table, history)
        if self.context["units"] is not None:
            datasets.append(units_dataset(self.context["units"], tuple(self.deposition), table))
        return datasets

    def _optima(self, table: Any, history: History) -> list[Dataset]:
        """Estimate the best gradient: of the metric of the search, or of all ``METRICS``."""
        study = self.study
        order = np.argsort(study.gradient)
        if len(order) < 3:
            return []
        gradients = np.array(study.gradient)[order]
        reasons: list[StopReason] = ["design"] * len(study.l_max)
        if self.adaptive:
            reasons = [_stop_reason(self._search(i), history) for i in range(len(study.l_max))]
        labels = {"l_max": np.array(study.l_max), "deposition": np.array(self.deposition)}
        datasets = []
        for metric in (study.optimum.metric,) if self.adaptive else METRICS:
            samples = table[metric].transpose("l_max", "deposition", "realization", "gradient").values[..., order]
            rows = [
                [_optimum_row(gradients, sample, study.optimum.confidence, reason) for sample in row]
                for row, reason in zip(samples, reasons, strict=True)
            ]
            values = {
                v.name: np.array([[row[v.name] for row in line] for line in rows], v.dtype) for v in GRADIENT_OPTIMUM
            }
            datasets.append(Dataset(OPTIMUM, values, ("l_max", "deposition"), labels, name=f"optimum_{metric}"))
        return datasets


def _stop_reason(search: Rounds, history: History) -> StopReason:
    """Replay a search with the outcomes of a run and return why it ended."""
    outcomes = None
    try:
        while True:
            units = search.send(outcomes)
            if any(unit.key not in history for unit in units):
                return "realizations"
            outcomes = [history[unit.key] for unit in units]
    except StopIteration as end:
        reason: StopReason = end.value
        return reason


def _optimum_row(gradients: np.ndarray, sample: np.ndarray, confidence: float, reason: StopReason) -> dict[str, float]:
    """Return the variables of the table ``optimum_*`` for one ``l_max`` and deposition coefficient."""
    best = best_gradient(gradients, sample, confidence)
    values = {v.name: getattr(best, v.name, math.nan) for v in GRADIENT_OPTIMUM}
    values["networks"] = int(np.isfinite(sample).sum())
    values["stop_reason"] = STOP_REASONS.index(reason)
    values["at_edge"] = bool(best and best.at_edge)
    return values


def _flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return settings as attributes: keys of sections joined by dots, without None."""
    attrs: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            attrs |= _flatten(value, f"{prefix}{name}.")
        elif value is not None:
            attrs[prefix + name] = value
    return attrs
