"""What a method of the bench does: it reads a table, and evaluates the readings of one membrane."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from membrane_dask.io.tables.conditions import Conditions
from membrane_dask.io.tables.measured_table import MeasuredTable
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.porometry.estimates import Estimate
from membrane_dask.studies.porometry.table_settings import TableSettings

#: Factors from SI units to those of the bench.
NM, BAR, LMH_BAR, LMH, MINUTE = 1e9, 1e-5, 3.6e11, 3.6e6, 1 / 60


@dataclass(frozen=True)
class Readings:
    """Readings of one membrane by one method, as its evaluation takes them.

    Parameters
    ----------
    membrane, state : str
        Labels; the state may be empty.
    method : str
        Name of the method.
    content : object
        Arrays and conditions of the method, in SI units.
    """

    membrane: str
    state: str
    method: str
    content: Any


@dataclass(frozen=True)
class Curve:
    """A curve of the evaluation, in units of the bench.

    Parameters
    ----------
    name, unit : str
        Quantity of the values, and its unit.
    axis : {"pressure", "radius", "solute_radius", "time"}
        Variable along the curve, in bar, nm, nm or min.
    x, value : (n,) float array
        Both; values are NaN where only the fit exists.
    fitted : (n,) float array, optional
        Values of the fit.
    """

    name: str
    unit: str
    axis: str
    x: np.ndarray
    value: np.ndarray
    fitted: np.ndarray | None = None


#: Numbers by variable, with their intervals where they have one.
Values = dict[str, Estimate | float]


def with_ends(name: str, value: Estimate | float) -> dict[str, float]:
    """A number by the name of its variable, with the ends of its interval if it has one."""
    if isinstance(value, Estimate):
        return {name: value.value, f"{name}_low": value.low, f"{name}_high": value.high}
    return {name: value}


@dataclass(frozen=True)
class Evaluation:
    """Results of one membrane by one method, in units of the bench.

    Parameters
    ----------
    values : mapping of str to Estimate or float
        Variables of the table ``porometry``.
    radii : mapping of str to Estimate or float
        Variables that several methods give, which have the dimension ``method``.
    laws : mapping of str to (mapping of str to Estimate or float)
        Variables with the dimension ``law``, by law.
    curves : sequence of Curve
    findings : sequence of str
        Sentences: what was left out, and what the data do not show.
    """

    values: Mapping[str, Estimate | float] = field(default_factory=dict)
    radii: Mapping[str, Estimate | float] = field(default_factory=dict)
    laws: Mapping[str, Mapping[str, Estimate | float]] = field(default_factory=dict)
    curves: Sequence[Curve] = ()
    findings: Sequence[str] = ()


class BenchMethod(Protocol):
    """A module of a method."""

    def read(self, table: MeasuredTable, settings: TableSettings, conditions: Conditions) -> list[Readings]:
        """Readings of all membranes of a table; what is missing or contradictory is added to its problems."""

    def evaluate(self, readings: Readings, seed: int) -> Evaluation:
        """Evaluate the readings of one membrane."""


def collect_problems(table: MeasuredTable, name: str, compute: Callable[[], Any]) -> Any:
    """Result of a function; None where the physics refuses its input, which becomes a problem of the table."""
    try:
        return compute()
    except PhysicsError as error:
        prefix = f"{name}: " if len(set(table.labels("membrane"))) > 1 else ""
        table.problems += [f"{prefix}{line}" for line in str(error).splitlines()]
        return None


def membrane_name(table: MeasuredTable, settings: TableSettings) -> str:
    """Name of the membrane of a table without such a column."""
    stated = table.header_block.stated.get("membrane")
    return settings.membrane or (str(stated.value) if stated is not None else "")


def curve_columns(curves: Sequence[tuple[str, str, Curve]]) -> dict[str, np.ndarray]:
    """Variables of the table ``porometry_curves``: a row for each point of each curve.

    Parameters
    ----------
    curves : sequence of (str, str, Curve)
        Label of the membrane, method and curve.
    """
    sizes = [len(curve.x) for _, _, curve in curves]
    texts = {
        "membrane_name": [label for label, _, _ in curves],
        "method_name": [method for _, method, _ in curves],
        "curve_name": [curve.name for _, _, curve in curves],
        "value_unit": [curve.unit for _, _, curve in curves],
    }
    columns = {name: np.repeat(np.array(values, "T"), sizes) for name, values in texts.items()}
    for axis in ("pressure", "radius", "solute_radius", "time"):
        columns[axis] = np.concatenate(
            [c.x if c.axis == axis else np.full(n, np.nan) for (_, _, c), n in zip(curves, sizes, strict=True)]
        )
    columns["value"] = np.concatenate([curve.value for _, _, curve in curves])
    columns["fitted"] = np.concatenate(
        [np.full(n, np.nan) if c.fitted is None else c.fitted for (_, _, c), n in zip(curves, sizes, strict=True)]
    )
    return columns
