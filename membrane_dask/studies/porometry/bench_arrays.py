"""Evaluation of readings in memory by a method of the bench, as a dataset: the path of a study, without a file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from membrane_dask.io.tables.conditions import Conditions
from membrane_dask.io.tables.flux_curves import read_curves
from membrane_dask.io.tables.limits import TableError
from membrane_dask.io.tables.measured_table import MeasuredTable
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.porometry.fouling_laws import LAWS as FOULING
from membrane_dask.physics.porometry.water import Water
from membrane_dask.studies.porometry.array_table import array_table
from membrane_dask.studies.porometry.config import PorometryStudy
from membrane_dask.studies.porometry.membrane_fit import fit_membrane
from membrane_dask.studies.porometry.methods.bench_methods import BENCH_METHODS
from membrane_dask.studies.porometry.methods.contract import Curve, Evaluation, with_ends
from membrane_dask.studies.porometry.variables import CURVES, POROMETRY
from membrane_dask.studies.porometry.water_evaluation import water_variables

#: Advice of the readers of tables that only a study file can follow.
_ADVICE_ON_FILES = re.compile(r"[:;,]? ?(?:or )?(?:columns|marks): \{[^}]*\}(?: or '[^']*')?")


def evaluate_arrays(method: str, columns: Mapping[str, Any], **conditions: Any) -> xr.Dataset:
    """Evaluate the readings of one membrane by a method of the bench.

    Parameters
    ----------
    method : str
        Name of the method in a study.
    columns : mapping of str to array_like or scalar
        Readings by argument, as for :func:`~membrane_dask.studies.porometry.array_table.array_table`.
    **conditions : scalar or mapping
        Settings of a study by name.

    Raises
    ------
    ValueError
        With all problems of the readings.
    """
    table, study = array_table(columns, conditions)
    evaluate = _water if method == "water" else _bench
    try:
        evaluation = evaluate(method, table, study)
    except TableError as error:
        problems = [_ADVICE_ON_FILES.sub("", problem) for problem in error.problems]
        raise ValueError("\n".join(problems)) from None
    except PhysicsError as error:
        raise ValueError(str(error)) from error
    return _dataset(method, evaluation, [*table.findings, *evaluation.findings])


def _conditions(study: PorometryStudy) -> Conditions:
    return study.conditions(study, study.reference_temperature)


def _bench(method: str, table: MeasuredTable, study: PorometryStudy) -> Evaluation:
    module = BENCH_METHODS[method]
    readings = module.read(table, study, _conditions(study))
    table.raise_problems()
    if not readings:
        raise TableError(["there is no reading"])
    return module.evaluate(readings[0], study.seed)


def _water(method: str, table: MeasuredTable, study: PorometryStudy) -> Evaluation:
    curves = read_curves(table, _conditions(study))
    table.raise_problems()
    if not curves:
        raise TableError(["there is no reading"])
    viscosity = Water.at(curves[0].temperature).viscosity if study.viscosity is None else study.viscosity
    # A straight line needs no random numbers.
    result = fit_membrane(curves[0], viscosity, study, np.random.Generator(np.random.PCG64(0)))
    assert result.series is not None
    threshold = {
        "threshold_pressure": result.threshold.pressure,
        "threshold_pressure_low": result.threshold.low,
        "threshold_pressure_high": result.threshold.high,
    }
    return Evaluation(water_variables(result.series) | threshold, findings=result.series.findings)


def _dataset(method: str, evaluation: Evaluation, findings: Sequence[str]) -> xr.Dataset:
    """Numbers and curves of an evaluation, with the units and meanings of the tables of a study."""
    variables: dict[str, Any] = {}
    for name, value in (*evaluation.values.items(), *evaluation.radii.items()):
        for key, number in with_ends(name, value).items():
            variables[key] = ((), number, POROMETRY.variable(key).attributes())
    if evaluation.laws:
        variables |= _law_variables(evaluation)
    axes: dict[str, np.ndarray] = {}
    for curve in evaluation.curves:
        dim = _axis(curve, axes)
        axes[dim] = curve.x
        variables[dim] = ((dim,), curve.x, CURVES.variable(curve.axis).attributes())
        name = f"{curve.name.replace(' ', '_')}_curve"
        variables[name] = ((dim,), curve.value, {"units": curve.unit, "long_name": curve.name})
        if curve.fitted is not None:
            attributes = {"units": curve.unit, "long_name": f"{curve.name}: fit"}
            variables[f"{name}_fitted"] = ((dim,), curve.fitted, attributes)
    return xr.Dataset(variables, attrs={"method": method, "findings": list(dict.fromkeys(findings))})


def _law_variables(evaluation: Evaluation) -> dict[str, Any]:
    """Variables along the laws of fouling; NaN where a law has no such constant."""
    laws = list(FOULING)
    columns: dict[str, np.ndarray] = {}
    for law, values in evaluation.laws.items():
        for name, value in values.items():
            for key, number in with_ends(name, value).items():
                columns.setdefault(key, np.full(len(laws), np.nan))[laws.index(law)] = number
    coordinate = next(c for c in POROMETRY.coordinates if c.name == "law")
    variables: dict[str, Any] = {"law": (("law",), laws, coordinate.attributes())}
    return variables | {
        key: (("law",), column, POROMETRY.variable(key).attributes()) for key, column in columns.items()
    }


def _axis(curve: Curve, axes: Mapping[str, np.ndarray]) -> str:
    """Dimension of a curve: the variable along it, with a number where other curves have other values of it."""
    number, dim = 1, curve.axis
    while dim in axes and not np.array_equal(axes[dim], curve.x):
        number += 1
        dim = f"{curve.axis}_{number}"
    return dim
