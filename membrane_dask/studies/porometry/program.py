"""Program of a porometry study: a fit, a posterior distribution and bootstrap fits of every membrane."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from membrane_dask.errors import Source
from membrane_dask.io.tables.flux_curves import FittedLine, FluxCurve
from membrane_dask.physics.porometry.flux_laws import LAWS
from membrane_dask.physics.porometry.posterior import QUANTITIES
from membrane_dask.program import Costs, Dataset, History, Program, Rounds, Scratch, Table, Unit
from membrane_dask.studies.porometry import KIND
from membrane_dask.studies.porometry.bootstrap import summarize_bootstrap
from membrane_dask.studies.porometry.comparisons import compare_states, summarize_populations
from membrane_dask.studies.porometry.config import PorometryStudy
from membrane_dask.studies.porometry.joint_evaluation import has_joint_posterior, joint_findings
from membrane_dask.studies.porometry.measurements import read_measurements
from membrane_dask.studies.porometry.methods.contract import Curve, curve_columns
from membrane_dask.studies.porometry.reading_errors import simulate_reading_errors
from membrane_dask.studies.porometry.reproduction import read_cells, reproduce
from membrane_dask.studies.porometry.specimens import specimen_groups
from membrane_dask.studies.porometry.table_settings import METHODS
from membrane_dask.studies.porometry.tasks import CANDIDATE_MEASUREMENTS, FOULING_LAWS, work
from membrane_dask.studies.porometry.variables import (
    BOOTSTRAP,
    BOOTSTRAP_SUMMARY,
    CURVES,
    FINDINGS,
    MEASUREMENTS,
    PAIRS,
    PALENCIA,
    POPULATIONS,
    POROMETRY,
    POSTERIOR,
    READING_ERRORS,
    REPRODUCTION,
)
from membrane_dask.studies.porometry.water_evaluation import evaluate_water

#: Approximate seconds of a fit with the ranking of laws, of a posterior and of one bootstrap fit, to choose batches.
_FIT_SECONDS, _POSTERIOR_SECONDS, _BOOTSTRAP_SECONDS = 0.1, 0.3, 1e-4
#: Peak bytes of a unit: the points of the quadrature, and the libraries.
_UNIT_BYTES = 60_000_000
#: Number of each task in the spawn key of its units.
_TASKS = ("porometry", "posterior", "bootstrap", "joint")
#: Settings that are stored as attributes of the result.
_ATTRIBUTES = (
    "convention",
    "curve",
    "regression",
    "replicates",
    "confidence",
    "area",
    "reference_temperature",
)


class PorometryProgram(Program):
    """Units of work and tables of a porometry study.

    Parameters
    ----------
    study : PorometryStudy
        Checked study.
    source : Source, optional
        Positions of the entries of the study, for the errors.

    Raises
    ------
    StudyError
        With all problems of the tables.
    """

    kind = "porometry"
    work = staticmethod(work)
    unread_settings: Mapping[str, frozenset[str]] = {task: frozenset({"bootstrap.draws"}) for task in _TASKS}

    def __init__(self, study: PorometryStudy, source: Source | None = None) -> None:
        self.study = study
        self.measurements = read_measurements(study, source)
        self.membranes = self.measurements.membranes
        self.labels = np.array([membrane.label for membrane in self.membranes], "T")
        self._key_labels = _key_labels([membrane.label for membrane in self.membranes])
        self.batches = math.ceil(study.bootstrap.draws / study.bootstrap.batch)
        measured = {item.method for membrane in self.membranes for item in membrane.readings}
        if any(membrane.curve is not None for membrane in self.membranes):
            measured.add("water")
        self.methods = tuple(method for method in METHODS if method in measured)
        self.laws = (*LAWS, *(FOULING_LAWS if "fouling" in measured else ()))
        self.context: Mapping[str, Any] = {
            "membranes": self.membranes, "study": study, "methods": self.methods, "laws": self.laws,
        }  # fmt: skip
        self.attrs: Mapping[str, Any] = {
            "title": "Pore structure from water flux against pressure",
            "references": f"{PALENCIA}, doi:10.3390/surfaces9010005",
            "seed": study.seed,
        }
        columns = self.measurements.columns()
        self.inputs = (Dataset(MEASUREMENTS, columns, ("point",)),) if columns else ()
        self.tables = self._tables()
        #: Positions of the membranes whose posterior is that of several methods.
        self.joint_membranes = [k for k, membrane in enumerate(self.membranes) if has_joint_posterior(membrane)]
        self.other_membranes = [k for k in range(len(self.membranes)) if k not in self.joint_membranes]
        n_joint = len(self.joint_membranes)
        self.scratch: Sequence[Scratch] = (Scratch("joint", (n_joint,)),) if n_joint else ()

    def _tables(self) -> tuple[Table, ...]:
        study = self.study
        attrs = {name: value for name in _ATTRIBUTES if (value := getattr(study, name)) is not None}
        if study.contact_angle is not None:
            attrs["contact_angle"] = study.contact_angle[0]
        membrane = {"membrane": self.labels}
        posterior_labels = {
            "draw": np.arange(study.draws),
            "measurement": np.array(["now", *CANDIDATE_MEASUREMENTS], "T"),
            "quantity": np.array(QUANTITIES, "T"),
        }
        bootstrap_labels = {"batch": np.arange(self.batches), "resample": np.arange(study.bootstrap.batch)}
        fit_labels = {
            "law": np.array(self.laws, "T"),
            "method": np.array(self.methods, "T"),
        }
        fits = Table(POROMETRY, ("membrane",), membrane | fit_labels, attrs, _FIT_SECONDS)
        posteriors = Table(POSTERIOR, ("membrane",), membrane | posterior_labels, attrs, _POSTERIOR_SECONDS)
        if not self.batches:
            return fits, posteriors
        seconds = _BOOTSTRAP_SECONDS * study.bootstrap.batch
        bootstrap = Table(BOOTSTRAP, ("membrane", "batch"), membrane | bootstrap_labels, attrs, seconds)
        return fits, posteriors, bootstrap

    @property
    def summary(self) -> Sequence[tuple[str, str]]:
        """Rows of the plan: number of curves, pressures, points and lines; columns that were ignored."""
        curves = [membrane.curve for membrane in self.membranes if isinstance(membrane.curve, FluxCurve)]
        content = []
        if curves:
            counts = sorted({len(np.unique(curve.pressure)) for curve in curves})
            low, high = min(curve.pressure[0] for curve in curves), max(curve.pressure[-1] for curve in curves)
            points = sum(len(curve.pressure) for curve in curves)
            pressures = f"{'-'.join(map(str, counts))} pressures, {low / 1e3:g} to {high / 1e3:g} kPa"
            content.append(f"{len(curves)} of {pressures}, {points} points")
        lines = sum(isinstance(membrane.curve, FittedLine) for membrane in self.membranes)
        if lines:
            content.append(f"{lines} printed lines")
        for method in self.methods:
            count = sum(item.method == method for membrane in self.membranes for item in membrane.readings)
            if count:
                content.append(f"{method} of {count} membrane{'s' if count > 1 else ''}")
        rows = [("tables", "; ".join(content))]
        if self.measurements.columns_read:
            columns = "; ".join(f"{header}: {meaning}" for header, meaning in self.measurements.columns_read)
            rows.append(("columns", columns))
        if self.measurements.ignored_columns:
            rows.append(("ignored", f"columns {', '.join(self.measurements.ignored_columns)}"))
        labels = [[self.membranes[k].name for k in members] for members in specimen_groups(self.membranes).values()]
        for names in dict.fromkeys(
            ", ".join(each if len(each) < 7 else [*each[:3], "...", each[-1]]) for each in labels
        ):
            text = f"{names} are taken as specimens of one membrane, by their running numbers or letters"
            rows.append(("specimens", f"{text}: populations has their mean; give them other names if they are not"))
        several = len({name for name, _ in self.measurements.findings}) > 1
        rows += [("note", f"{name}: {text}" if several else text) for name, text in self.measurements.findings]
        for membrane in self.membranes:
            for item, evaluation in zip(membrane.readings, membrane.evaluations, strict=True):
                rows += [("finding", f"{membrane.label}, {item.method}: {text}") for text in evaluation.findings]
        return rows

    def unit(self, task: str, membrane: int, batch: int = 0) -> Unit:
        """Unit of a membrane; its random stream depends on its label, not on its position in the table."""
        suffix = ""
        index: tuple[int, ...] = (membrane,)
        params = {"membrane": membrane}
        if task == "bootstrap":
            suffix, index = f",batch={batch}", (membrane, batch)
        elif task == "joint":
            index = (self.joint_membranes.index(membrane),)
        elif task == "posterior" and membrane in self.joint_membranes:
            params["joint"] = self.joint_membranes.index(membrane)
        label_key = zlib.crc32(str(self.labels[membrane]).encode())
        seed = (self.study.seed, KIND.seed_key, label_key, _TASKS.index(task), batch)
        key = f"{task},membrane={self._key_labels[membrane]}{suffix}"
        return Unit(key, task, index, params, seed)

    def rounds(self) -> Rounds:
        """All units at once, but a posterior of several methods after its evaluation."""
        membranes = range(len(self.membranes))
        units = [self.unit("porometry", k) for k in membranes]
        units += [self.unit("posterior", k) for k in self.other_membranes]
        units += [self.unit("bootstrap", k, batch) for k in membranes for batch in range(self.batches)]
        yield [*units, *(self._rounds_of_joint(k) for k in self.joint_membranes)]

    def _rounds_of_joint(self, membrane: int) -> Rounds:
        yield [self.unit("joint", membrane)]
        yield [self.unit("posterior", membrane)]

    def pilots(self) -> Sequence[Unit]:
        """One unit of each task that takes time."""
        units = [self.unit(table.name, 0) for table in self.tables if table.name != "posterior"]
        units += [self.unit("posterior", k) for k in self.other_membranes[:1]]
        return [*units, *(self.unit("joint", k) for k in self.joint_membranes[:1])]

    def costs(self, pilots: Mapping[str, float], small: Mapping[str, float]) -> Costs:
        """Work of all units; a posterior of several methods is read from its evaluation."""
        n = len(self.membranes)
        counts = {
            "porometry": n,
            "posterior": len(self.other_membranes),
            "bootstrap": n * self.batches,
            "joint": len(self.joint_membranes),
        }
        return Costs({task: pilots[task] * counts[task] for task in pilots}, max(pilots.values()))

    def memory(self) -> Mapping[str, int]:
        """Peak bytes of a unit."""
        return dict.fromkeys(_TASKS, _UNIT_BYTES)

    def collect(self, read: Callable[[str], Any], history: History) -> Sequence[Dataset]:
        """Percentiles of the bootstrap, comparisons of membranes, and the published numbers recomputed."""
        fits, confidence = read("porometry"), self.study.confidence
        tables = []
        if self.batches:
            values = summarize_bootstrap(read("bootstrap"), confidence)
            tables.append(Dataset(BOOTSTRAP_SUMMARY, values, ("membrane",), {"membrane": self.labels}))
        pairs, values, findings = compare_states(self.membranes, fits, read("posterior"), self.study)
        if pairs:
            labels = np.array([pair.label for pair in pairs], "T")
            tables.append(Dataset(PAIRS, values, ("pair",), {"pair": labels}))
        states, values = summarize_populations(self.membranes, fits, confidence)
        if states:
            tables.append(Dataset(POPULATIONS, values, ("state",), {"state": np.array(states, "T")}))
        if self.study.reading_errors.largest:
            dimensions, values = simulate_reading_errors(self.membranes, fits, self.study)
            tables.append(Dataset(READING_ERRORS, values, ("membrane",), dimensions))
        joint = read("joint") if self.joint_membranes else {}
        sentences = {self.joint_membranes[k]: joint_findings(joint[k,]) for (k,) in joint}
        tables += self.evaluations(fits, sentences, findings)
        if self.study.reference:
            tables.append(Dataset(REPRODUCTION, reproduce(read_cells(self.study.reference)), ("cell",)))
        return tables

    def evaluations(
        self,
        fits: Any = None,
        joint: Mapping[int, Sequence[str]] | None = None,
        further: Sequence[tuple[str, str, str]] = (),
    ) -> Sequence[Dataset]:
        """Tables ``findings`` and ``porometry_curves``.

        Parameters
        ----------
        fits : xarray.Dataset, optional
            The table ``porometry``, for findings on critical pressures.
        joint : mapping of int to sequence of str, optional
            Sentences on the joint posterior, by the position of the membrane.
        further : sequence of (str, str, str)
            Membrane, method and sentence of further findings.
        """
        rows = [("", "", f"{name}: {text}") for name, text in self.measurements.findings]
        curves: list[tuple[str, str, Curve]] = []
        for k, membrane in enumerate(self.membranes):
            if isinstance(membrane.curve, FluxCurve):
                if fits is not None:
                    rows += _extrapolation(membrane.label, membrane.curve, float(fits.critical_pressure[k]))
                series = evaluate_water(membrane.curve, membrane.water.viscosity, self.study)
                rows += [(membrane.label, "water", finding) for finding in series.findings]
            for item, evaluation in zip(membrane.readings, membrane.evaluations, strict=True):
                rows += [(membrane.label, item.method, finding) for finding in evaluation.findings]
                curves += [(membrane.label, item.method, curve) for curve in evaluation.curves]
            sentences = (joint or {}).get(k, ())
            rows += [(membrane.label, "joint posterior", sentence) for sentence in sentences]
        rows += further
        datasets = []
        if rows:
            columns = zip(("membrane_name", "method_name", "finding"), zip(*rows, strict=True), strict=True)
            datasets.append(Dataset(FINDINGS, {name: np.array(texts, "T") for name, texts in columns}, ("number",)))
        if curves:
            datasets.append(Dataset(CURVES, curve_columns(curves), ("point",)))
        return datasets


def _extrapolation(label: str, curve: FluxCurve, critical_pressure: float) -> list[tuple[str, str, str]]:
    """Finding on a critical pressure at which nothing was measured."""
    lowest = float(curve.pressure[0])
    if not critical_pressure < lowest:
        return []
    text = (
        f"the critical pressure, {critical_pressure / 1e3:.4g} kPa, lies below the lowest measured pressure, "
        f"{lowest / 1e3:.4g} kPa: it is extrapolated"
    )
    return [(label, "water", text)]


def _key_labels(labels: Sequence[str]) -> list[str]:
    """Labels in the form in which they are part of a unit's key, and hence of file names."""
    plain = [re.sub(r"[^A-Za-z0-9._+-]+", "-", label).strip("-") or "membrane" for label in labels]
    return [f"{label}-{k}" if plain.count(label) > 1 else label for k, label in enumerate(plain)]
