"""Measurements of a study: flux curves and published lines of its tables, with liquid and priors of each membrane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from membrane_dask.errors import Problem, Source, StudyError, Where
from membrane_dask.io.tables.flux_curves import FittedLine, FluxCurve
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.porometry.posterior import QUANTITIES, Prior
from membrane_dask.physics.porometry.water import Water
from membrane_dask.studies.porometry.config import PorometryStudy
from membrane_dask.studies.porometry.methods.contract import Evaluation, Readings
from membrane_dask.studies.porometry.table_contents import Entry, read_tables
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
    """Read all tables of a study, and evaluate what they hold.

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
    content = read_tables(study, source)
    labels = content.labels
    membranes = [_membrane(study, content.entries, labels, label) for label in dict.fromkeys(labels)]
    problems = _refused(study, membranes, next(iter(study.tables)))
    if problems:
        raise StudyError(problems, source)
    return Measurements(tuple(membranes), content.ignored_columns, content.columns_read, content.findings)


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


def _membrane(study: PorometryStudy, entries: Sequence[Entry], labels: Sequence[str], label: str) -> MembraneData:
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
