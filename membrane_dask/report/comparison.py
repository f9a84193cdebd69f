"""Comparison of two runs of one kind: their parameters, properties with intervals, and pictures side by side."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from membrane_dask.engine.differing_settings import differing_settings, setting_texts
from membrane_dask.engine.exported_run import ExportedRun, open_run
from membrane_dask.engine.run import Run
from membrane_dask.errors import ReportError
from membrane_dask.number_text import interval_text, readable_unit
from membrane_dask.physics.difference_interval import difference_interval
from membrane_dask.physics.distributions import student_quantile
from membrane_dask.physics.reconstruction.replicate_interval import INDEPENDENT_SEARCHES, replicate_interval
from membrane_dask.schema import TableSchema, find_table
from membrane_dask.studies.registry import find_kind

#: Confidence of the intervals that are computed from replicates and realizations.
CONFIDENCE = 0.9
#: Fewest realizations that have an interval.
_MIN_REALIZATIONS = 4
#: Most entries of a variable, without replicates or realizations, that are compared one by one.
_MAX_ENTRIES = 8


@dataclass(frozen=True)
class Estimate:
    """A property of a run.

    Parameters
    ----------
    value : float
        In the unit of its :class:`Property`.
    low, high : float
        Ends of its interval; NaN if it has none.
    """

    value: float
    low: float = math.nan
    high: float = math.nan

    @property
    def has_interval(self) -> bool:
        """Whether both ends are known."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    def __str__(self) -> str:
        return interval_text(self.value, self.low, self.high)


@dataclass(frozen=True)
class Property:
    """A property that both runs have.

    Parameters
    ----------
    name : str
        Table and variable, with the labels of the entry in brackets.
    units : str
        ``1`` is dimensionless.
    first, second : Estimate
        Values of the two runs.
    """

    name: str
    units: str
    first: Estimate
    second: Estimate

    @property
    def is_equal(self) -> bool:
        """Whether values and ends of intervals are the same but for the order in which means are summed."""
        pairs = zip(*(dataclasses.astuple(estimate) for estimate in (self.first, self.second)), strict=True)
        return all(math.isclose(a, b, rel_tol=1e-12) or (math.isnan(a) and math.isnan(b)) for a, b in pairs)

    def readable(self) -> Property:
        """The same property in a unit that suits its values, such as seconds in place of hours."""
        units, factor = readable_unit(self.units, (self.first.value, self.second.value))
        if units == self.units:
            return self
        scaled = (Estimate(*(factor * x for x in dataclasses.astuple(one))) for one in (self.first, self.second))
        return Property(self.name, units, *scaled)

    @property
    def difference(self) -> Estimate:
        """Second minus first; with an interval where both have one, as if they were independent."""
        value = self.second.value - self.first.value
        if not (self.first.has_interval and self.second.has_interval):
            return Estimate(value)
        intervals = [(estimate.low, estimate.high) for estimate in (self.first, self.second)]
        return Estimate(value, *difference_interval(self.first.value, intervals[0], self.second.value, intervals[1]))


@dataclass(frozen=True)
class Comparison:
    """Two runs compared with each other.

    Parameters
    ----------
    runs : (Run or ExportedRun, Run or ExportedRun)
        The runs.
    parameters : sequence of (str, str, str)
        Name of each setting in which they differ, and both values as text; ``-`` where a run lacks the setting.
    properties : sequence of Property
        Properties that both have, in the order of the result.
    """

    runs: tuple[Run | ExportedRun, Run | ExportedRun]
    parameters: tuple[tuple[str, str, str], ...]
    properties: tuple[Property, ...]

    @property
    def parameter_note(self) -> str:
        """What follows if no setting differs."""
        digests = [run.identity[:8] for run in self.runs]
        if self.runs[0].identity == self.runs[1].identity:
            return "All settings that decide the results are the same."
        return (
            f"No recorded setting differs, but the digests of the runs do ({' and '.join(digests)}): they are from "
            "versions of membrane-dask that compute other numbers."
        )

    @property
    def property_header(self) -> tuple[str, ...]:
        """Header of :meth:`property_rows`."""
        return ("property", "unit", *(run.name for run in self.runs), "difference")

    def property_rows(self) -> list[list[str]]:
        """Text of the properties that differ: name, unit, both values and the difference."""
        return [
            [one.name, one.units, str(one.first), str(one.second), str(one.difference)]
            for one in (one.readable() for one in self.properties if not one.is_equal)
        ]

    @property
    def note(self) -> str:
        """How many properties are the same, and what the intervals are."""
        equal = len(self.properties) - len(self.property_rows())
        return (
            f"{equal} of {len(self.properties)} properties are the same in both runs. Brackets are intervals: over "
            f"replicates and realizations of a confidence of {CONFIDENCE:.0%}, others as in the results. Those of "
            "differences are for independent runs; where both have the same input or seed, they are wider than "
            "necessary."
        )


def compare(
    first: Run | ExportedRun | str | Path, second: Run | ExportedRun | str | Path, *, full: bool = False
) -> Comparison:
    """Compare two runs of one kind, finished or not, exported ones too.

    Parameters
    ----------
    first, second : Run, ExportedRun, str or Path
        Runs, their directories or their names; of an exported run its folder, its file ``.zip`` or its URL.
    full : bool
        Whether numbers that describe the computation, such as residuals and counts of simulated designs, are compared
        as well.

    Returns
    -------
    Comparison
        Settings that decide the results and differ; properties that both results have. A property is a number of a
        table, or up to eight of them, whose labels are the same in both. Over replicates it is that of the best match,
        or the mean of independent searches, with :func:`membrane_dask.replicate_interval`; over realizations the mean
        with Student's interval, both of a confidence of 90 %. Other intervals are those of the results.

    Raises
    ------
    ReportError
        If the runs are of different kinds.
    DataLossError
        If a file of a result is missing or altered.
    """
    runs = tuple(open_run(run) if isinstance(run, (str, Path)) else run for run in (first, second))
    if runs[0].kind != runs[1].kind:
        kinds = " and ".join(f"{run.name} is a {run.kind} study" for run in runs)
        raise ReportError(f"runs of one kind can be compared; {kinds}")
    there, here = differing_settings([run.decisive_settings for run in runs])
    parameters = []
    for name in there:
        former, present = setting_texts([there[name], here[name]])
        parameters.append((name, former, present))
    trees = [run.result for run in runs]
    schemas = find_kind(runs[0].kind).schemas
    properties: list[Property] = []
    for group in trees[0].children:
        if group in trees[1].children:
            tables = [tree[group].to_dataset() for tree in trees]
            properties += table_properties(group, *tables, schema=None if full else find_table(schemas, group))
    return Comparison((runs[0], runs[1]), tuple(parameters), tuple(properties))


def table_properties(group: str, first: Any, second: Any, *, schema: TableSchema | None = None) -> Iterator[Property]:
    """Properties that two tables of one name have in common, as :func:`compare` describes them.

    Parameters
    ----------
    group : str
        Name of the tables.
    first, second : xarray.Dataset
        The tables.
    schema : TableSchema, optional
        Their declaration, whose internal variables are left out.
    """
    internal = {variable.path for variable in schema.variables if variable.internal} if schema else set()
    for name in first.data_vars:
        if name in internal or name not in second.data_vars:
            continue
        if _is_property(first, name) and _is_property(second, name):
            entries = [_estimates(table, name) for table in (first, second)]
            for label in entries[0]:
                if label in entries[1]:
                    title = f"{group}.{name}" + (f"[{label}]" if label else "")
                    yield Property(title, first[name].attrs.get("units", ""), entries[0][label], entries[1][label])


def _is_property(table: Any, name: str) -> bool:
    """Whether a variable holds a few numbers: no flags, no codes, no standard errors, and no ends of an interval."""
    variable = table[name]
    if variable.dtype.kind not in "iuf" or "flag_values" in variable.attrs or name == "status":
        return False
    stem = re.sub("_(low|high)$", "", name)
    if stem != name and (stem in table or f"{stem}_median" in table):
        return False
    if name.endswith("_error") and re.sub("(_standard)?_error$", "", name) in table:
        return False
    sizes = [size for dim, size in variable.sizes.items() if dim not in ("replicate", "realization")]
    return bool(math.prod(sizes) <= _MAX_ENTRIES)


def _estimates(table: Any, name: str) -> dict[str, Estimate]:
    """Finite values of a variable with their intervals, by the labels of dimensions of several entries."""
    values = table[name].astype(float)
    stem = name.removesuffix("_median")
    low, high = (table[end].astype(float) if (end := f"{stem}_{side}") in table else values * math.nan
                 for side in ("low", "high"))  # fmt: skip
    if "replicate" in values.dims and "replicate" not in low.dims:
        values = values.isel(replicate=0, drop=True)  # the result has the interval over its replicates
    if "replicate" in values.dims:
        values, low, high = _over_replicates(values, low, high)
    if "realization" in values.dims:
        values, low, high = _over_realizations(values)
    low, high = (end.transpose(*values.dims) for end in (low, high))
    entries = {}
    for index in np.ndindex(values.shape):
        positions = [(dim, k) for dim, k in zip(values.dims, index, strict=True) if values.sizes[dim] > 1]
        labels = [f"{dim}={_label(values, dim, k)}" for dim, k in positions]
        if math.isfinite(value := float(values.values[index])):
            entries[", ".join(labels)] = Estimate(value, float(low.values[index]), float(high.values[index]))
    return entries


def _label(values: Any, dim: str, position: int) -> str:
    if dim not in values.coords:
        return str(position)
    label = values[dim].values[position]
    if isinstance(label, (float, np.floating)):
        return repr(float(label)).removesuffix(".0")  # all digits: labels that differ stay different
    return str(label)


def _over_replicates(values: Any, low: Any, high: Any) -> tuple[Any, Any, Any]:
    """The best match with the interval over replicates; a single replicate keeps its own interval."""
    if values.sizes["replicate"] == 1:
        return values.isel(replicate=0, drop=True), low.isel(replicate=0, drop=True), high.isel(replicate=0, drop=True)
    ends = replicate_interval(values, CONFIDENCE)
    independent = "replicate" in values.coords and values["replicate"].attrs.get("design") == INDEPENDENT_SEARCHES
    return values.mean("replicate") if independent else values.isel(replicate=0, drop=True), *ends


def _over_realizations(values: Any) -> tuple[Any, Any, Any]:
    """Mean of the realizations with Student's interval."""
    number = values.notnull().sum("realization")
    mean = values.mean("realization")
    error = values.std("realization", ddof=1) / np.sqrt(number)
    quantiles = [
        student_quantile((1 + CONFIDENCE) / 2, n - 1) if n >= _MIN_REALIZATIONS else math.nan
        for n in number.values.flat
    ]
    half = np.reshape(quantiles, number.shape) * error
    return mean, mean - half, mean + half
