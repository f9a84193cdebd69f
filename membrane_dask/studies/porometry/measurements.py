"""Measurements of a study: flux curves and published lines of its tables, with liquid and priors of each membrane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from membrane_dask.errors import Problem, Source, StudyError, Where, nearest
from membrane_dask.io.tables.flux_curves import FittedLine, FluxCurve, read_flux_table
from membrane_dask.io.tables.limits import TableError
from membrane_dask.physics.porometry.posterior import QUANTITIES, Prior
from membrane_dask.physics.porometry.water import Water
from membrane_dask.studies.porometry.config import PorometryStudy


@dataclass(frozen=True)
class MembraneData:
    """Data of one membrane in one state.

    Parameters
    ----------
    label : str
        Its name, with the state where the membrane has several.
    curve : FluxCurve or FittedLine
        Its measurements.
    water : Water
        The liquid at its temperature.
    priors : mapping of str to Prior
        Independent data, by quantity.
    """

    label: str
    curve: FluxCurve | FittedLine
    water: Water
    priors: Mapping[str, Prior]


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
            if isinstance(curve, FluxCurve):
                unknown = np.full(len(curve.pressure), np.nan)
                deviation = unknown if curve.standard_deviation is None else curve.standard_deviation
                rows.append((membrane.label, curve.pressure, curve.flux, deviation, curve.replicate.astype(float)))
            else:
                unknown = np.full(len(curve.pressures), np.nan)
                rows.append((membrane.label, curve.pressures, unknown, unknown, unknown))
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
    curves: list[FluxCurve | FittedLine] = []
    fields: list[Where] = []
    ignored_columns: list[str] = []
    columns_read: list[tuple[str, str]] = []
    findings: list[tuple[str, str]] = []
    for where, path in study.tables.items():
        try:
            settings = study.table_settings(where)
            table = read_flux_table(
                path,
                options=settings.options(study),
                conditions=settings.conditions(study, study.reference_temperature),
            )
        except TableError as error:
            problems += [Problem(where, f"{path.name}: {message}") for message in error.problems]
            continue
        curves += table.membranes
        fields += [where] * len(table.membranes)
        ignored_columns += table.ignored_columns
        columns_read += [pair for pair in table.columns if pair not in columns_read]
        findings += [(path.name, finding) for finding in table.findings]
    if problems:
        raise StudyError(problems, source)
    labels = _labels(curves)
    problems = [*_label_problems(study, curves, labels, fields), *_curve_problems(study, curves, labels)]
    if problems:
        raise StudyError(problems, source)
    membranes = tuple(_membrane(study, curve, label) for curve, label in zip(curves, labels, strict=True))
    return Measurements(membranes, tuple(ignored_columns), tuple(columns_read), tuple(findings))


def _labels(curves: Sequence[FluxCurve | FittedLine]) -> list[str]:
    """Labels of the membranes, with the state of those that have several."""
    states: dict[str, set[str]] = {}
    for curve in curves:
        states.setdefault(curve.membrane, set()).add(curve.state)
    return [
        f"{curve.membrane}, {curve.state}" if len(states[curve.membrane]) > 1 else curve.membrane for curve in curves
    ]


def _label_problems(
    study: PorometryStudy, curves: Sequence[FluxCurve | FittedLine], labels: Sequence[str], fields: Sequence[Where]
) -> list[Problem]:
    """Membranes that are in several tables, or in none."""
    problems, names = [], set()
    for field, label in zip(fields, labels, strict=True):
        if label in names:
            problems.append(Problem(field, f"membrane {label} is in another table as well"))
        names.add(label)
    names |= {curve.membrane for curve in curves}
    for name in study.membranes:
        if name not in names:
            message = f"no such membrane in the tables; {nearest(name, labels)} (got {name!r})"
            problems.append(Problem(("membranes", name), message))
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


def _membrane(study: PorometryStudy, curve: FluxCurve | FittedLine, label: str) -> MembraneData:
    water = Water.at(curve.temperature)
    properties = {"viscosity": study.viscosity, "surface_tension": study.surface_tension}
    water = replace(water, **{name: value for name, value in properties.items() if value is not None})
    settings = study.membranes.get(label) or study.membranes.get(curve.membrane) or study.priors
    priors = {name: Prior(*value) for name in QUANTITIES if (value := getattr(settings, name)) is not None}
    return MembraneData(label, curve, water, priors)
