"""Tables of a result as CSV files, for spreadsheets, and as netCDF files."""

from __future__ import annotations

import csv
import importlib.util
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from membrane_dask.errors import ExportError

#: Most rows of a CSV file; larger variables are in the other formats.
MAX_ROWS = 2_000_000
#: Variables above this size are written to netCDF by chunks, in bytes.
_LARGE = 64_000_000


def write_csv(
    tree: Any, folder: Path, notify: Callable[[str], None], progress: Callable[[], None] = lambda: None
) -> None:  # fmt: skip
    """Write every variable of a result to a CSV file, together with the others of its table and dimensions.

    Parameters
    ----------
    tree : xarray.DataTree
        The result.
    folder : Path
        Receives ``TABLE.csv``; of a table whose variables have unlike dimensions ``TABLE.DIMENSIONS.csv``; and
        ``variables.csv`` with the unit and the meaning of every column.
    notify : callable
        Receives a message for each variable that has more than ``MAX_ROWS`` values.
    progress : callable
        Called after each table.
    """
    folder.mkdir()
    meanings = [("file", "column", "units", "long_name")]
    for node in tree.descendants:
        dataset = node.to_dataset(inherit=True)
        by_dims: dict[tuple[str, ...], list[str]] = {}
        for name, variable in dataset.data_vars.items():
            by_dims.setdefault(tuple(map(str, variable.dims)), []).append(str(name))
        for dims, names in by_dims.items():
            table = node.path.strip("/").replace("/", ".")
            file = f"{table}.csv" if len(by_dims) == 1 else f"{table}.{'-'.join(dims) or 'single'}.csv"
            rows = math.prod(dataset.sizes[dim] for dim in dims)
            if rows > MAX_ROWS:
                notify(f"csv: left out {node.path.strip('/')}: {', '.join(names)} ({rows} rows, more than {MAX_ROWS})")
                continue
            columns = dataset[names]
            with (folder / file).open("w", encoding="utf-8", newline="") as stream:
                if dims:
                    columns.to_dataframe(dim_order=list(dims)).to_csv(stream, lineterminator="\n")
                else:
                    columns.expand_dims("row").to_dataframe().to_csv(stream, lineterminator="\n", index=False)
            for name in (*dims, *names):
                attrs = columns[name].attrs if name in columns.variables else {}
                meanings.append((file, name, str(attrs.get("units", "")), str(attrs.get("long_name", ""))))
        progress()
    with (folder / "variables.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows(meanings)


def has_netcdf() -> bool:
    """Whether the libraries that write netCDF are installed."""
    return all(importlib.util.find_spec(name) is not None for name in ("h5netcdf", "h5py"))


def write_netcdf(tree: Any, folder: Path, progress: Callable[[], None] = lambda: None) -> None:
    """Write every table of a result to a file ``TABLE.nc``, with the groups that it has.

    Parameters
    ----------
    tree : xarray.DataTree
        The result.
    folder : Path
        Receives the files, in netCDF 4.
    progress : callable
        Called after each table.

    Raises
    ------
    ExportError
        If h5netcdf or h5py is not installed.
    """
    import xarray as xr

    if not has_netcdf():
        raise ExportError(
            "netcdf needs h5netcdf and h5py: pip install 'membrane-dask[netcdf]'; or leave it out: --format"
        )
    folder.mkdir()
    for name, table in tree.children.items():
        groups = {
            node.path.removeprefix(table.path) or "/": _plain(node.to_dataset(inherit=True)) for node in table.subtree
        }
        groups["/"].attrs = {**_plain_attributes(tree.attrs), **groups["/"].attrs}
        xr.DataTree.from_dict(groups).to_netcdf(folder / f"{name}.nc", engine="h5netcdf")
        progress()


def _plain(dataset: Any) -> Any:
    """A dataset with types and attributes that netCDF has."""
    plain = dataset.drop_encoding()
    for name, variable in plain.variables.items():
        if variable.dtype.kind == "T":
            plain[name] = plain[name].astype(object)
        elif variable.nbytes > _LARGE:
            plain[name] = plain[name].chunk("auto")
        plain[name].attrs = _plain_attributes(variable.attrs)
    plain.attrs = _plain_attributes(dataset.attrs)
    return plain


def _plain_attributes(attrs: Any) -> dict[str, Any]:
    """Attributes as text, numbers and lists of them; truth values as 0 and 1."""

    def plain(value: Any) -> Any:
        if isinstance(value, bool):
            return int(value)
        if isinstance(value, list | tuple) and value and all(isinstance(item, int | float) for item in value):
            return np.array([float(item) if any(isinstance(v, float) for v in value) else int(item) for item in value])
        return value if isinstance(value, str | int | float | np.ndarray | np.generic) else str(value)

    return {name: plain(value) for name, value in attrs.items()}
