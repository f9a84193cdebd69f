"""Results of earlier versions under the names that groups and variables have now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from membrane_dask.plain_text import natural_order
from membrane_dask.schema import STATUS, TableSchema, find_table, renamed_group


def under_present_names(tree: Any, tables: Sequence[TableSchema]) -> Any:
    """A result tree with the present names and attributes of groups, in natural order, and of variables, as declared.

    Parameters
    ----------
    tree : xarray.DataTree
        As stored, perhaps by an earlier version.
    tables : sequence of TableSchema
        Declarations of the study kind.
    """
    import xarray as xr

    datasets = {"/": tree.to_dataset()}
    for node in tree.descendants:
        _, group, *path = node.path.split("/")
        dataset, table = node.to_dataset(inherit=False), find_table(tables, group)
        if table is not None:
            group = renamed_group(table, group)
            variables = [variable for variable in table.variables if variable.group == "/".join(path)]
            dataset = dataset.rename({v.formerly: v.name for v in variables if v.formerly in dataset.variables})
            for variable in variables:  # earlier versions did not write all attributes
                if variable.name in dataset:
                    dataset[variable.name].attrs = variable.attributes() | dataset[variable.name].attrs
            declared = [variable.name for variable in (*variables, STATUS)]
            dataset = dataset[[*(name for name in declared if name in dataset.data_vars),
                               *(name for name in dataset.data_vars if name not in declared)]]  # fmt: skip
        datasets["/".join(["", group, *path])] = dataset
    return xr.DataTree.from_dict({path: datasets[path] for path in sorted(datasets, key=natural_order)})
