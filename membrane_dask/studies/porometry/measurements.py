"""Measurements of a study: flux curves and published lines of its tables, with liquid and priors of each membrane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from membrane_dask.errors import Problem, Source, StudyError, Where, nearest
from membrane_dask.io.tables.column_groups import single_columns
from membrane_dask.io.tables.flux_curves import FittedLine, FluxCurve, FluxTable, read_flux_table
from membrane_dask.io.tables.limits import TableError
from membrane_dask.io.tables.measured_table import MeasuredTable
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.porometry.posterior import QUANTITIES, Prior
from membrane_dask.physics.porometry.water import Water
from membrane_dask.studies.porometry.config import PorometryStudy
from membrane_dask.studies.porometry.methods.bench_methods import BENCH_METHODS
from membrane_dask.studies.porometry.methods.contract import Evaluation, Readings, collect_problems
from membrane_dask.studies.porometry.water_evaluation import evaluate_water


@dataclass(frozen=True)
class MembraneData:
    """Data of one membrane in one state.

    Parameters
    ----------
    label : str
        Its name, with the state where the membrane has several.
    name, state : str
        Both; the state may be empty.
    curve : FluxCurve or FittedLine or None
        Its water flux.
    water : Water
        Water at its temperature, or the liquid of the study.
    priors : mapping of str to Prior
        Independent data, by quantity.
    readings : tuple of Readings
        Readings of other methods.
    evaluations : tuple of Evaluation
        What they say, in the same order. They are evaluated when the tables are read, so that impossible readings are
        refused before a run.
    """

    label: str
    name: str
    state: str
    curve: FluxCurve | FittedLine | None
    water: Water
    priors: Mapping[str, Prior]
    readings: tuple[Readings, ...] = ()
    evaluations: tuple[Evaluation, ...] = ()


@dataclass(frozen=True)
class Measurements:
    """Content of all tables of a study.

    Parameters
    ----------
    membranes : tuple of MembraneData
        In the order of the tables.
    ignored_columns : tuple of str
        Headers that were not recognised.
    columns_read : tuple of (str, str)
        Header and meaning of each column that is used.
    findings : tuple of (str, str)
        Name of the table, and what was concluded about it or left out.
    """

    membranes: tuple[MembraneData, ...]
    ignored_columns: tuple[str, ...] = ()
    columns_read: tuple[tuple[str, str], ...] = ()
    findings: tuple[tuple[str, str], ...] = ()

    def columns(self) -> dict[str, np.ndarray]:
        """Variables of the result table ``measurements``: a row for each point, and each pressure of a line."""
        rows: list[tuple[str, np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []
        for membrane in self.membranes:
            curve = membrane.curve
            if curve is None:
                continue
            if isinstance(curve, FluxCurve):
                unknown = np.full(len(curve.pressure), np.nan)
                deviation = unknown if curve.standard_deviation is None else curve.standard_deviation
                rows.append((membrane.label, curve.pressure, curve.flux, deviation, curve.replicate.astype(float)))
            else:
                unknown = np.full(len(curve.pressures), np.nan)
                rows.append((membrane.label, curve.pressures, unknown, unknown, unknown))
        if not rows:
            return {}
        labels, *columns = zip(*rows, strict=True)
        names = ("pressure", "flux", "flux_standard_deviation", "replicate")
        arrays = {name: np.concatenate(column) for name, column in zip(names, columns, strict=True)}
        points = [len(pressure) for pressure in columns[0]]
        return {"membrane_name": np.repeat(np.array(labels, "T"), points), **arrays}


def read_measurements(study: PorometryStudy, source: Source | None = None) -> Measurements:
    """Read and check all tables of a study.

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
    problems: list[Problem] = []
    entries: list[_Entry] = []
    ignored_columns: list[str] = []
    columns_read: list[tuple[str, str]] = []
    findings: list[tuple[str, str]] = []
    for where, path in study.tables.items():
        is_water = (study.table_settings(where).completed(study).method or "water") == "water"
        try:
            if is_water:
                table, content = _read_water(study, path, where)
            else:
                table, content = _read_bench(study, path, where)
        except TableError as error:
            problems += [Problem(where, f"{path.name}: {message}") for message in error.problems]
            continue
        entries += content
        ignored_columns += table.ignored_columns
        columns_read += [pair for pair in table.columns if pair not in columns_read]
        findings += [(path.name, finding) for finding in table.findings]
    if problems:
        raise StudyError(problems, source)
    entries = _named(entries, findings)
    labels = _labels(entries)
    curves = [entry.content for entry in entries if entry.method == "water"]
    water_labels = [label for entry, label in zip(entries, labels, strict=True) if entry.method == "water"]
    problems = [*_label_problems(study, entries, labels), *_curve_problems(study, curves, water_labels)]
    if problems:
        raise StudyError(problems, source)
    membranes = [_membrane(study, entries, labels, label) for label in dict.fromkeys(labels)]
    problems = _refused(study, membranes, next(iter(study.tables)))
    if problems:
        raise StudyError(problems, source)
    return Measurements(tuple(membranes), tuple(ignored_columns), tuple(columns_read), tuple(findings))


@dataclass(frozen=True)
class _Entry:
    """Data of one membrane in one table."""

    membrane: str
    state: str
    method: str
    where: Where
    content: Any
    evaluation: Evaluation | None = None


def _read_water(study: PorometryStudy, path: Path, where: Where) -> tuple[FluxTable, list[_Entry]]:
    """Flux curves or published lines of a table."""
    own = study.table_settings(where)
    table = read_flux_table(
        path, options=own.options(study), conditions=own.conditions(study, study.reference_temperature)
    )
    name = own.completed(study).membrane or ""
    return table, [_Entry(curve.membrane or name, curve.state, "water", where, curve) for curve in table.membranes]


def _read_bench(study: PorometryStudy, path: Path, where: Where) -> tuple[FluxTable, list[_Entry]]:
    """Readings of a table of a method other than the flux of water, and their evaluation."""
    own = study.table_settings(where)
    settings = own.completed(study)
    method = settings.method or "water"
    module = BENCH_METHODS[method]
    table = MeasuredTable(path, own.options(study))
    table.problems += single_columns(table.columns, method)
    readings = module.read(table, settings, own.conditions(study, study.reference_temperature))
    if not readings and not table.problems:
        table.problems.append(f"{path.name} has no reading of the method {method}")
    evaluations = [
        collect_problems(table, item.membrane, partial(module.evaluate, item, study.seed)) for item in readings
    ]
    table.raise_problems()
    entries = [
        _Entry(item.membrane, item.state, method, where, item, evaluation)
        for item, evaluation in zip(readings, evaluations, strict=True)
    ]
    return FluxTable((), tuple(table.unused), table.meanings(), tuple(table.findings)), entries


def _named(entries: Sequence[_Entry], findings: list[tuple[str, str]]) -> list[_Entry]:
    """Entries whose membranes have names: those without are the one membrane that another table names."""
    names = list(dict.fromkeys(entry.membrane for entry in entries if entry.membrane))
    if len(names) == 1 and any(not entry.membrane for entry in entries):
        findings.append(("tables", f"those that name no membrane are of {names[0]}"))
    default = names[0] if len(names) == 1 else "membrane"
    return [replace(entry, membrane=entry.membrane or default) for entry in entries]


def _refused(study: PorometryStudy, membranes: Sequence[MembraneData], where: Where) -> list[Problem]:
    """Membranes whose water flux contradicts itself."""
    problems = []
    for membrane in membranes:
        if isinstance(membrane.curve, FluxCurve):
            try:
                evaluate_water(membrane.curve, membrane.water.viscosity, study)
            except PhysicsError as error:
                problems.append(Problem(where, f"membrane {membrane.label}: {error}"))
    return problems


def _labels(entries: Sequence[_Entry]) -> list[str]:
    """Labels of the membranes, with the state of those that have several."""
    states: dict[str, set[str]] = {}
    for entry in entries:
        states.setdefault(entry.membrane, set()).add(entry.state)
    return [
        f"{entry.membrane}, {entry.state}" if len(states[entry.membrane]) > 1 and entry.state else entry.membrane
        for entry in entries
    ]


def _label_problems(study: PorometryStudy, entries: Sequence[_Entry], labels: Sequence[str]) -> list[Problem]:
    """Membranes that several tables of one method have; names of the study that no table has."""
    problems, measured = [], set()
    for entry, label in zip(entries, labels, strict=True):
        if (label, entry.method) in measured:
            problems.append(Problem(entry.where, f"membrane {label} is in another table as well"))
        measured.add((label, entry.method))
    names = set(labels) | {entry.membrane for entry in entries}
    for name in study.membranes:
        if name not in names:
            message = f"no such membrane in the tables; {nearest(name, labels)} (got {name!r})"
            problems.append(Problem(("membranes", name), message))
    membranes = {label: entry.membrane for entry, label in zip(entries, labels, strict=True)}
    for later, first in study.pairs.items():
        unknown = next((name for name in (later, first) if name not in membranes), None)
        if unknown is not None:
            message = f"no such membrane in the tables; {nearest(unknown, labels)} (got {unknown!r})"
            problems.append(Problem(("pairs", later), message))
        elif membranes[later] == membranes[first]:
            message = f"{later} and {first} are states of one membrane already; leave the pair out"
            problems.append(Problem(("pairs", later), message))
    return problems


def _curve_problems(
    study: PorometryStudy, curves: Sequence[FluxCurve | FittedLine], labels: Sequence[str]
) -> list[Problem]:
    """Curves with too few pressures for the fit that the study asks for."""
    problems = []
    for curve, label in zip(curves, labels, strict=True):
        if not isinstance(curve, FluxCurve):
            continue
        if study.replicates == "runs":
            runs = [len(np.unique(curve.pressure[curve.replicate == k])) for k in np.unique(curve.replicate)]
            if len(runs) < 2 or min(runs) < 3:
                message = "runs: each membrane needs at least two runs of three pressures each"
                problems.append(Problem(("replicates",), f"{message} ({label} has runs of {runs} pressures)"))
        distinct = len(np.unique(curve.pressure))
        if study.curve == "darcy" and distinct < 4:
            problems.append(Problem(("curve",), f"darcy: the cubic needs 4 pressures ({label} has {distinct})"))
    return problems


def _membrane(study: PorometryStudy, entries: Sequence[_Entry], labels: Sequence[str], label: str) -> MembraneData:
    """All data of one membrane."""
    own = [entry for entry, other in zip(entries, labels, strict=True) if other == label]
    curve = next((entry.content for entry in own if entry.method == "water"), None)
    water = Water.at(curve.temperature if curve is not None else study.reference_temperature)
    tension = study.surface_tension[0] if study.surface_tension else None
    properties = {"viscosity": study.viscosity, "surface_tension": tension}
    water = replace(water, **{name: value for name, value in properties.items() if value is not None})
    settings = study.membranes.get(label) or study.membranes.get(own[0].membrane) or study.priors
    priors = {name: Prior(*value) for name in QUANTITIES if (value := getattr(settings, name)) is not None}
    readings = tuple(entry.content for entry in own if entry.evaluation is not None)
    evaluations = tuple(entry.evaluation for entry in own if entry.evaluation is not None)
    return MembraneData(label, own[0].membrane, own[0].state, curve, water, priors, readings, evaluations)
