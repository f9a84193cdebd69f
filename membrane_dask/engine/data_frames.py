"""Tables of a result as pandas data frames that stay small."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from membrane_dask.errors import nearest

#: Most rows of a data frame.
MAX_ROWS = 100_000


def to_dataframe(tree: Any, table: str, variables: Sequence[str] | None = None) -> Any:
    """Variables of a table of a result as a pandas DataFrame.

    Parameters
    ----------
    tree : xarray.DataTree
        The result.
    table : str
        A table, such as ``properties``, or a group of it, such as ``graded/history``.
    variables : sequence of str, optional
        Default: those with the dimensions that most variables of the table have. Variables with other dimensions would
        repeat the rows of these, and have data frames of their own.

    Returns
    -------
    pandas.DataFrame
        One row for each combination of labels, which are the index; ``attrs["units"]`` has the unit of each column.

    Raises
    ------
    KeyError
        If there is no such table or variable.
    ValueError
        If it would have more than ``MAX_ROWS`` rows; with the selection that leads to less.
    """
    names = [node.path.strip("/") for node in tree.descendants if node.data_vars]
    if table not in names:
        raise KeyError(f"no table {table!r}; {nearest(table, names)}")
    dataset = tree[table].to_dataset()
    for name in variables or ():
        if name not in dataset.data_vars:
            raise KeyError(f"no variable {name!r} in {table}; {nearest(name, list(map(str, dataset.data_vars)))}")
    chosen = list(variables or _of_one_shape(dataset))
    dims = list(dict.fromkeys(dim for name in chosen for dim in dataset[name].dims))
    rows = math.prod(dataset.sizes[dim] for dim in dims)
    if rows > MAX_ROWS:
        sizes = ", ".join(f"{dim}: {dataset.sizes[dim]}" for dim in dims)
        longest = max(dims, key=lambda dim: dataset.sizes[dim])
        raise ValueError(
            f"{table} would have {rows} rows ({sizes}), more than {MAX_ROWS}; name fewer variables, or select before: "
            f"run.result[{table!r}].to_dataset()[{chosen[:1]}].isel({longest}=slice(100)).to_dataframe()"
        )
    selected = dataset[chosen]
    frame = selected.to_dataframe(dim_order=dims) if dims else selected.expand_dims("row").to_dataframe()
    frame.attrs["units"] = {name: dataset[name].attrs.get("units", "") for name in chosen}
    return frame


def _of_one_shape(dataset: Any) -> list[str]:
    """Variables with the dimensions that most of them have; of equally frequent ones, the first."""
    dims, _ = Counter(variable.dims for variable in dataset.data_vars.values()).most_common(1)[0]
    return [str(name) for name, variable in dataset.data_vars.items() if variable.dims == dims]
