"""The result of a run as a tree: opened at each access while it changes, and once when it is complete."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from membrane_dask.engine import layout
from membrane_dask.engine.present_names import under_present_names
from membrane_dask.schema import TableSchema

if TYPE_CHECKING:
    import xarray as xr


class OpenedResult:
    """Result of a run, whose metadata are consolidated from when it is complete until its tables change again.

    Parameters
    ----------
    path : Path
        The group ``result.zarr`` of the run.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._complete: tuple[tuple[int, ...], xr.DataTree] | None = None

    def tree(self, tables: Sequence[TableSchema]) -> xr.DataTree:
        """The tree, which belongs to the caller: its values are read when they are asked for, and may be changed."""
        import xarray as xr

        version = self._version()
        if version is not None and self._complete is not None and self._complete[0] == version:
            return _own(self._complete[1])
        tree = xr.open_datatree(self._path, engine="zarr", consolidated=False, chunks=None)
        tree = under_present_names(tree, tables) if tables else tree
        self._complete = None
        if version is None or version != self._version():
            return tree
        self._complete = (version, tree)
        return _own(tree)

    def _version(self) -> tuple[int, ...] | None:
        """What differs once the metadata were written again; None of a result that is not complete."""
        root = self._path.parent
        try:
            stat = (root / layout.METADATA).stat()
            if not layout.is_consolidated(root):
                return None
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _own(tree: xr.DataTree) -> xr.DataTree:
    """A copy with attributes of its own; the values that xarray reads into one copy are not those of another."""
    own = tree.copy(deep=False)
    for node in own.subtree:
        node.attrs = copy.deepcopy(node.attrs)
        for variable in node.variables.values():
            variable.attrs = copy.deepcopy(variable.attrs)
    return own
