"""Program of a chain study: the round trip of every replicate, and tables joined from the runs of the stages."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from membrane_dask.errors import Problem, Source, StudyError
from membrane_dask.io.run_tables import RunTable, read_run_table
from membrane_dask.io.volumes import replicate_design
from membrane_dask.program import Dataset, History, Program, Rounds, Table, Unit
from membrane_dask.schema import TableSchema, find_table
from membrane_dask.studies.chain import KIND
from membrane_dask.studies.chain.config import ChainStudy
from membrane_dask.studies.chain.intervals import interval_table
from membrane_dask.studies.chain.methods import METHODS, inferred
from membrane_dask.studies.chain.structure_numbers import QUANTILES
from membrane_dask.studies.chain.tasks import work
from membrane_dask.studies.chain.variables import (
    INFERRED,
    MEASURED,
    REFERENCE_ROUND_TRIP,
    REPEATED,
    ROUND_TRIP,
    TABLES,
)

#: Rough seconds of a unit, which reads a few small tables.
_SECONDS = 0.05
#: Relative difference of wall rates that is rounding.
_RATE_ROUNDING = 1e-9
#: Beginning of the names of the runs of the reference.
_REFERENCE = "reference-"
#: Numbers of a life that do not depend on what walls take up.
_OF_ANY_WALL = ("initial_permeate_flux", "permeability")


class ChainProgram(Program):
    """Units and results of a chain study; nothing is computed here but joins and ratios.

    Parameters
    ----------
    study : ChainStudy
        Checked study, with the runs of its stages.
    source : Source, optional
        Position of every setting, for error messages.

    Raises
    ------
    StudyError
        If a run of a stage was moved or removed, or they are not of the same structures.
    """

    kind = KIND.name
    work = staticmethod(work)

    def __init__(self, study: ChainStudy, source: Source | None = None) -> None:
        self.study = study
        self.runs = dict(study.runs)
        if lost := [name for name, path in self.runs.items() if not path.exists()]:
            problems = [Problem(("runs", name), f"no such run (got {str(self.runs[name])!r})") for name in lost]
            raise StudyError(problems, source)
        for name in ("porometry", f"{_REFERENCE}porometry", "measured"):
            if name in self.runs:
                self._replicates(name, "porometry", source)
        self.replicates = self._replicates("characterize", "properties", source)
        self.context: Mapping[str, Any] = {"runs": {name: str(path) for name, path in self.runs.items()}}
        self.attrs: Mapping[str, Any] = {
            "title": "Chain from the structure to porometry and life", "seed": study.seed, "references": "",
        }  # fmt: skip
        if "foul" in self.runs and (lives := self._replicates("foul", "life", source)) != self.replicates:
            message = f"the run of foul has {lives} replicates, that of characterize {self.replicates}: they are of "
            raise StudyError([Problem(("runs",), f"{message}different structures")], source)
        labels = {"method": np.array([method.name for method in METHODS], "T"), "quantile": np.array(QUANTILES)}
        attrs = {"radius_names": [method.radius_name for method in METHODS]}
        tables = [
            Table(ROUND_TRIP, ("replicate",), {"replicate": np.arange(self.replicates)} | labels, attrs, _SECONDS)
        ]
        if self._has_reference:
            number = self._replicates(f"{_REFERENCE}characterize", "properties", source)
            labels = {"replicate": np.arange(number)} | labels
            tables.append(Table(REFERENCE_ROUND_TRIP, ("replicate",), labels, attrs, _SECONDS))
        self.tables = tuple(tables)

    @property
    def _has_reference(self) -> bool:
        return f"{_REFERENCE}characterize" in self.runs

    def _replicates(self, run: str, table: str, source: Source | None) -> int:
        """Number of replicates of a table of a run."""
        values = read_run_table(self.runs[run], table) if run in self.runs else None
        if values is None:
            message = f"{run} has no table {table!r}; run its study again"
            raise StudyError([Problem(("runs", run), message)], source)
        return len(values.labels["replicate"]) if "replicate" in values.labels else 1

    @property
    def summary(self) -> Sequence[tuple[str, str]]:
        """The runs of the stages."""
        return [("stage", f"{name}: {path.name}") for name, path in self.runs.items()]

    def rounds(self) -> Rounds:
        """All replicates at once."""
        yield [self.unit(table.name, k) for table in self.tables for k in range(table.unit_shape[0])]

    def unit(self, table: str, replicate: int) -> Unit:
        """The round trip of a replicate; it draws no random numbers."""
        prefix = _REFERENCE if table == REFERENCE_ROUND_TRIP.name else ""
        seed = (self.study.seed, KIND.seed_key, int(bool(prefix)), replicate)
        params = {"prefix": prefix, "replicate": replicate}
        return Unit(f"{table},replicate={replicate}", table, (replicate,), params, seed)

    def pilots(self) -> Sequence[Unit]:
        """The first replicate."""
        return [self.unit(table.name, 0) for table in self.tables]

    def collect(self, read: Callable[[str], Any], history: History) -> Sequence[Dataset]:
        """Tables of the stages, conclusions from the measured tables, and intervals over the replicates."""
        round_trips = {table.name: _as_run_table(read(table.name)) for table in self.tables}
        datasets = self._repeated()
        if "measured" in self.runs:
            datasets.append(self._measured(self.runs["measured"]))
        design = replicate_design(self.runs["characterize"], "properties")
        tables = self._tables_of("") | {"round_trip": round_trips["round_trip"]}
        reference = self._tables_of(_REFERENCE) if self._has_reference else {}
        if REFERENCE_ROUND_TRIP.name in round_trips:
            reference["round_trip"] = round_trips[REFERENCE_ROUND_TRIP.name]
        if "life" in reference and not _same_walls(tables["life"], reference["life"]):
            life = reference["life"]
            values = {name: life.values[name] for name in _OF_ANY_WALL}
            reference["life"] = RunTable(values, {name: life.dims[name] for name in _OF_ANY_WALL}, life.labels)
        datasets.append(interval_table(tables, reference, self.study.confidence, design))
        return datasets

    def _tables_of(self, prefix: str) -> dict[str, RunTable]:
        """Tables of the stages whose single numbers have intervals, by name."""
        stages = {"properties": "characterize", "bench": "characterize", "life": "foul"}
        return {
            name: table
            for name, stage in stages.items()
            if f"{prefix}{stage}" in self.runs and (table := read_run_table(self.runs[f"{prefix}{stage}"], name))
        }

    def _repeated(self) -> list[Dataset]:
        return [
            _dataset(schema, table)
            for stage, names in REPEATED.items()
            for name in names
            if stage in self.runs
            and (schema := find_table(TABLES, name)) is not None
            and (table := read_run_table(self.runs[stage], name)) is not None
        ]

    def _measured(self, run: Path) -> Dataset:
        """What the methods conclude from the measured tables."""
        fits = read_run_table(run, "porometry")
        assert fits is not None
        labels = fits.labels["membrane"]
        columns = [inferred(fits, str(label)) for label in labels]
        values = {v.name: np.stack([column[v.name] for column in columns]) for v in INFERRED}
        methods = np.array([method.name for method in METHODS], "T")
        return Dataset(MEASURED, values, ("membrane",), {"membrane": labels, "method": methods})


def _same_walls(life: RunTable, reference: RunTable) -> bool:
    """Whether the walls of two lives take up foulant at the same rate, without which lives are not comparable."""
    rate, reference_rate = (_wall_rate(table) for table in (life, reference))
    return abs(reference_rate - rate) <= _RATE_ROUNDING * abs(rate)


def _wall_rate(life: RunTable) -> float:
    """Wall rate of the first replicate that has one: a structure without a path has none; NaN without any."""
    rates = life.at("wall_rate").ravel()
    finite = rates[np.isfinite(rates)]
    return float(finite[0]) if len(finite) else math.nan


def _as_run_table(dataset: Any) -> RunTable:
    """A table of this run in the form of those of other runs."""
    names = [name for name in dataset.data_vars if name != "status"]
    return RunTable(
        {name: dataset[name].values for name in names},
        {name: tuple(dataset[name].dims) for name in names},
        {str(name): values.values for name, values in dataset.coords.items()},
        dict(dataset.attrs),
    )


def _dataset(schema: TableSchema, table: RunTable) -> Dataset:
    """A table of a stage, with the dimensions that it has there."""
    variables = [v for v in schema.variables if v.name in table and not v.group]
    leading = table.dims[variables[0].name][: -len(variables[0].dims) or None]
    values = {v.name: table.values[v.name] for v in variables}
    dims = {dim for name in values for dim in table.dims[name]}
    labels = {dim: label for dim, label in table.labels.items() if dim in dims}
    by_stage = ("summary", "outcomes")  # which the report has by stage
    attrs = {name: value for name, value in table.attrs.items() if name not in by_stage}
    return Dataset(schema, values, leading, labels, attrs)
