"""Properties of the replicates with their intervals, and whether these contain the reference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from membrane_dask.physics.reconstruction.replicate_interval import INDEPENDENT_SEARCHES, replicate_interval
from membrane_dask.program import Dataset as Table
from membrane_dask.schema import Variable
from membrane_dask.studies.characterize.variables import REPLICATE_TABLES

if TYPE_CHECKING:
    import xarray as xr

#: Confidence of the intervals of replicates around a best match, and of the mean of independent searches.
CONFIDENCE, SEARCH_CONFIDENCE = 0.9, 0.95


@dataclass(frozen=True)
class PropertyInterval:
    """A property of the replicates.

    Parameters
    ----------
    variable : Variable
        Its declaration.
    value : float
        Of the best match; the mean of independent searches.
    low, high : float
        Ends of its interval; NaN without one.
    is_mean : bool
        Whether value and interval are those of the mean of independent searches, which make no statement on the truth.
    quantiles : bool
        Whether they are quantiles of the replicates, of a property that is on a bound in some of them.
    n_infinite, n_replicates : int
        Replicates in which it is infinite, and all.
    reference : float or None
        Of the reference; None without one, or if the sizes of the volumes make it incomparable.
    reference_low, reference_high : float
        Ends of its interval, where the reference has replicates as well; NaN without.
    """

    variable: Variable
    value: float
    low: float
    high: float
    is_mean: bool
    quantiles: bool
    n_infinite: int
    n_replicates: int
    reference: float | None
    reference_low: float = math.nan
    reference_high: float = math.nan

    @property
    def contains_reference(self) -> bool | None:
        """Whether the interval contains the reference.

        None without either, for the mean of searches, and for a reference that has an interval of its own.
        """
        if self.is_mean or self.reference is None or not math.isfinite(self.reference) or math.isnan(self.low):
            return None
        if math.isfinite(self.reference_low):
            return None
        return self.low <= self.reference <= self.high


def are_independent_searches(values: xr.Dataset | xr.DataArray) -> bool:
    """Whether replicates are independent searches, none of them the best match."""
    return "replicate" in values.coords and values["replicate"].attrs.get("design") == INDEPENDENT_SEARCHES


def property_intervals(
    properties: xr.Dataset, reference: xr.Dataset | None = None, *, equal_size: bool = True
) -> list[PropertyInterval]:
    """All single properties of a run, in the order of their declaration.

    Parameters
    ----------
    properties : xarray.Dataset
        Group ``properties``.
    reference : xarray.Dataset, optional
        Group ``reference_properties``.
    equal_size : bool
        Whether the reference has the size of the replicates; otherwise numbers of things are not compared.
    """
    rows = []
    for variable in single_properties(properties):
        value, (low, high), searches = _estimate(properties[variable.name])
        true_value, ends = None, (math.nan, math.nan)
        if reference is not None and (equal_size or not variable.name.startswith("n_")):
            true_value, ends, _ = _estimate(reference[variable.name])
        values = properties[variable.name]
        rows.append(
            PropertyInterval(
                variable,
                value,
                float(low),
                float(high),
                searches,
                low.attrs["interval_method"].startswith("quantiles"),
                int((abs(values) == math.inf).sum()),
                values.sizes["replicate"],
                true_value,
                *map(float, ends),
            )
        )
    return rows


def single_properties(properties: xr.Dataset) -> list[Variable]:
    """Declarations of the single numbers that a table ``properties`` has, without the one that is a flag."""
    return [
        variable
        for variable in REPLICATE_TABLES["properties"].variables
        if not variable.dims and variable.name != "percolates" and variable.name in properties
    ]


def _estimate(values: xr.DataArray) -> tuple[float, tuple[Any, Any], bool]:
    """Value of the best match with its interval, or mean of searches with that of the mean; whether it is a mean."""
    if "replicate" not in values.dims:
        return float(values), (math.nan, math.nan), False
    searches = are_independent_searches(values)
    value = float(values.mean("replicate") if searches else values.isel(replicate=0))
    return value, replicate_interval(values, SEARCH_CONFIDENCE if searches else CONFIDENCE), searches


def table_intervals(properties: Table, reference: Table, *, equal_size: bool) -> list[PropertyInterval]:
    """:func:`property_intervals` of the tables of a run that are about to be written."""
    return property_intervals(labelled(properties), labelled(reference), equal_size=equal_size)


def labelled(table: Table) -> xr.Dataset:
    """A table of properties that is about to be written, with its coordinates and attributes."""
    import xarray as xr

    variables = {
        name: (table.dims, values, table.schema.variable(name).attributes())
        for name, values in table.values.items()
        if np.ndim(values) == len(table.dims)
    }
    coordinates = {dim: (dim, table.labels[dim], table.schema.coordinate(dim).attributes()) for dim in table.dims}
    return xr.Dataset(variables, coordinates)


def reference_coverage(rows: Sequence[PropertyInterval]) -> tuple[int, int]:
    """Number of intervals that contain the reference, and of those that could."""
    contained = [row.contains_reference for row in rows if row.contains_reference is not None]
    return sum(contained), len(contained)


def misses_exceed_chance(inside: int, total: int) -> bool:
    """Whether more intervals miss the reference than 10 % plus two standard deviations of their number."""
    tail = 1 - CONFIDENCE
    return total - inside > tail * total + 2 * math.sqrt(tail * (1 - tail) * total)


def reference_finding(rows: Sequence[PropertyInterval]) -> str:
    """That the reference lies outside more intervals than chance explains; empty if it does not."""
    inside, total = reference_coverage(rows)
    if not misses_exceed_chance(inside, total):
        return ""
    return (
        f"The reference lies outside {total - inside} of {total} intervals, more than chance explains: they do not "
        "describe this structure."
    )
