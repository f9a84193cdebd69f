"""Variables of a result against any of their dimensions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from membrane_dask.engine.run import Run


def variables_of(run: Run) -> dict[str, Any]:
    """Variables with values to draw, as lazy DataArrays, by the path of their table and their name."""
    variables = {}
    for node in run.result.subtree:
        dataset = node.to_dataset(inherit=True)
        for name, variable in dataset.data_vars.items():
            if variable.dtype.kind in "fiub":
                variables[f"{node.path.strip('/')}/{name}".lstrip("/")] = variable
    return variables


def select(variable: Any, shown: Sequence[str], positions: Mapping[str, int]) -> np.ndarray:
    """Values along some dimensions, at one position along each of the others.

    Parameters
    ----------
    variable : xarray.DataArray
    shown : sequence of str
        Dimensions of the values, in their order.
    positions : mapping of str to int
        Position along each of the other dimensions.

    Returns
    -------
    ndarray
    """
    indices = {name: positions[name] for name in variable.dims if name not in shown}
    return np.asarray(variable.isel(indices).transpose(*shown).values, float)


def numbers_of(variable: Any, dimension: str) -> np.ndarray:
    """Coordinate of a dimension; positions along it, if it has none or one of texts."""
    values = coordinate_values(variable, dimension)
    return values if values.dtype.kind in "fiu" else np.arange(len(values))


def coordinate_values(variable: Any, dimension: str) -> np.ndarray:
    """Coordinate of a dimension; positions, if it has none."""
    if dimension in variable.coords:
        return np.asarray(variable.coords[dimension].values)
    return np.arange(variable.sizes[dimension])


def bounds_of(path: str, variables: Mapping[str, Any]) -> tuple[Any, Any] | None:
    """Lower and upper bounds of the interval of a variable, of its own shape; None if it has none.

    One interval over all replicates holds for each of them.
    """
    variable, low, high = variables[path], variables.get(f"{path}_low"), variables.get(f"{path}_high")
    if low is None or high is None or not set(low.dims) | set(high.dims) <= set(variable.dims):
        return None
    low, high = (bound.broadcast_like(variable).transpose(*variable.dims) for bound in (low, high))
    return low, high


def axis_label(name: str, attributes: Mapping[str, Any]) -> str:
    """Name and unit."""
    unit = attributes.get("units", "1")
    return f"{name} ({unit})" if unit not in ("1", "") else name
