"""Tables of the result of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

#: State of the units of a table, which is no result.
_STATUS = "status"


@dataclass(frozen=True)
class RunTable:
    """A table of a result.

    Parameters
    ----------
    values : mapping of str to ndarray
        Variables by name.
    dims : mapping of str to tuple of str
        Dimensions of each.
    labels : mapping of str to (N,) array
        Labels of the dimensions that have them.
    attrs : mapping
        Attributes of the table.
    """

    values: Mapping[str, np.ndarray]
    dims: Mapping[str, tuple[str, ...]]
    labels: Mapping[str, np.ndarray] = field(default_factory=dict)
    attrs: Mapping[str, Any] = field(default_factory=dict)

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def at(self, name: str, **labels: Any) -> np.ndarray:
        """Values of a variable at the labels of some of its dimensions; NaN where one is absent.

        Parameters
        ----------
        name : str
            Variable; one that the table does not have is NaN.
        **labels
            Label by dimension; those of dimensions that the variable does not have are ignored.
        """
        if name not in self.values:
            return np.asarray(np.nan)
        index: list[Any] = []
        for dim in self.dims[name]:
            if dim not in labels:
                index.append(slice(None))
                continue
            positions = np.flatnonzero(self.labels[dim] == labels[dim])
            if not len(positions):
                return np.asarray(np.nan)
            index.append(int(positions[0]))
        return np.asarray(self.values[name][tuple(index)])


def read_run_table(run: Path, name: str) -> RunTable | None:
    """Read a table of a run; None if the run does not have it.

    Parameters
    ----------
    run : Path
        Run directory.
    name : str
        Group of its result.
    """
    import zarr

    path = run / "result.zarr" / name
    if not path.is_dir():
        return None
    group: Any = zarr.open_group(path, mode="r")
    arrays = dict(sorted(group.arrays()))  # in an order that is not that of a file system
    dims = {key: tuple(array.metadata.dimension_names or ()) for key, array in arrays.items()}
    is_label = {key: dims[key] == (key,) for key in arrays}
    return RunTable(
        {key: np.asarray(array[...]) for key, array in arrays.items() if not is_label[key] and key != _STATUS},
        {key: value for key, value in dims.items() if not is_label[key] and key != _STATUS},
        {key: np.asarray(array[...]) for key, array in arrays.items() if is_label[key]},
        dict(group.attrs),
    )


def read_run_attributes(run: Path) -> Mapping[str, Any]:
    """Attributes of the result of a run, such as the size of a voxel."""
    import zarr

    return dict(zarr.open_group(run / "result.zarr", mode="r").attrs)
