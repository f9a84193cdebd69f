"""What the tables of a study hold, checked against each other and the study."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from membrane_dask.errors import Problem, Source, StudyError, Where, nearest
from membrane_dask.io.tables.column_groups import single_columns
from membrane_dask.io.tables.flux_curves import FittedLine, FluxCurve, FluxTable, read_flux_table
from membrane_dask.io.tables.limits import TableError
from membrane_dask.io.tables.measured_table import MeasuredTable
from membrane_dask.studies.porometry.config import PorometryStudy

if TYPE_CHECKING:
    from membrane_dask.studies.porometry.methods.contract import Evaluation


@dataclass(frozen=True)
class Entry:
    """Data of one membrane in one table."""

    membrane: str
    state: str
    method: str
    where: Where
    content: Any
    evaluation: Evaluation | None = None


@dataclass(frozen=True)
class TableContents:
    """Content of all tables of a study.

    Parameters
    ----------
    entries : tuple of Entry
        In the order of the tables.
    labels : tuple of str
        Label of the membrane of each entry, with the state where the membrane has several.
    ignored_columns, columns_read, findings
        As of :class:`~membrane_dask.studies.porometry.measurements.Measurements`.
    """

    entries: tuple[Entry, ...]
    labels: tuple[str, ...]
    ignored_columns: tuple[str, ...]
    columns_read: tuple[tuple[str, str], ...]
    findings: tuple[tuple[str, str], ...]


def check_tables(study: PorometryStudy, source: Source | None) -> tuple[str, ...]:
    """Read the tables of a study, for the command ``check``.

    Returns
    -------
    tuple of str
        What only the program finds.

    Raises
    ------
    StudyError
        With all problems of the tables.
    """
    read_tables(study, source, evaluate=False)
    return ("evaluation of the readings",)


def read_tables(study: PorometryStudy, source: Source | None, *, evaluate: bool = True) -> TableContents:
    """Read all tables of a study, and check them.

    Parameters
    ----------
    study : PorometryStudy
        Checked study.
    source : Source, optional
        Positions of the entries of the study, for the errors.
    evaluate : bool
        Whether the readings of methods other than the flux of water are evaluated.

    Raises
    ------
    StudyError
        With all problems of the tables.
    """
    problems: list[Problem] = []
    entries: list[Entry] = []
    ignored_columns: list[str] = []
    columns_read: list[tuple[str, str]] = []
    findings: list[tuple[str, str]] = []
    for where, path in study.tables.items():
        is_water = (study.table_settings(where).completed(study).method or "water") == "water"
        try:
            table, content = _read_water(study, path, where) if is_water else _read_bench(study, path, where, evaluate)
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
    return TableContents(tuple(entries), tuple(labels), tuple(ignored_columns), tuple(columns_read), tuple(findings))


def _read_water(study: PorometryStudy, path: Path, where: Where) -> tuple[FluxTable, list[Entry]]:
    """Flux curves or published lines of a table."""
    own = study.table_settings(where)
    table = read_flux_table(
        path, options=own.options(study), conditions=own.conditions(study, study.reference_temperature)
    )
    name = own.completed(study).membrane or ""
    return table, [Entry(curve.membrane or name, curve.state, "water", where, curve) for curve in table.membranes]


def _read_bench(study: PorometryStudy, path: Path, where: Where, evaluate: bool) -> tuple[FluxTable, list[Entry]]:
    """Readings of a table of a method other than the flux of water, and their evaluation."""
    from membrane_dask.studies.porometry.methods.bench_methods import BENCH_METHODS  # slow to import
    from membrane_dask.studies.porometry.methods.contract import collect_problems

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
        collect_problems(table, item.membrane, partial(module.evaluate, item, study.seed)) if evaluate else None
        for item in readings
    ]
    table.raise_problems()
    entries = [
        Entry(item.membrane, item.state, method, where, item, evaluation)
        for item, evaluation in zip(readings, evaluations, strict=True)
    ]
    return FluxTable((), tuple(table.unused), table.meanings(), tuple(table.findings)), entries


def _named(entries: Sequence[Entry], findings: list[tuple[str, str]]) -> list[Entry]:
    """Entries whose membranes have names: those without are the one membrane that another table names."""
    names = list(dict.fromkeys(entry.membrane for entry in entries if entry.membrane))
    if len(names) == 1 and any(not entry.membrane for entry in entries):
        findings.append(("tables", f"those that name no membrane are of {names[0]}"))
    default = names[0] if len(names) == 1 else "membrane"
    return [replace(entry, membrane=entry.membrane or default) for entry in entries]


def _labels(entries: Sequence[Entry]) -> list[str]:
    """Labels of the membranes, with the state of those that have several."""
    states: dict[str, set[str]] = {}
    for entry in entries:
        states.setdefault(entry.membrane, set()).add(entry.state)
    return [
        f"{entry.membrane}, {entry.state}" if len(states[entry.membrane]) > 1 and entry.state else entry.membrane
        for entry in entries
    ]


def _label_problems(study: PorometryStudy, entries: Sequence[Entry], labels: Sequence[str]) -> list[Problem]:
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
