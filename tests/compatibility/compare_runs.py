"""Compare two run directories bit for bit, under the renamings that the study kind declares.

All arrays of result.zarr and of volumes/*.ome.zarr are compared: data type, shape and bytes, NaNs included; arrays of
text as lists. Attributes and chunks are not compared. Exit status: 0 all equal, 1 if an array differs or is missing in
the new run, 2 if a run cannot be read. Arrays that only the new run has are listed.

    python tests/compatibility/compare_runs.py OLD_RUN NEW_RUN
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from membrane_dask.schema import TableSchema, find_table, renamed_group
from membrane_dask.studies.registry import find_kind

#: Path of an array: its group and its name.
ArrayPath = tuple[str, str]


def arrays_of(run: Path) -> dict[ArrayPath, Any]:
    """All arrays of a run, by group and name."""
    arrays: dict[ArrayPath, Any] = {}

    def walk(group: zarr.Group, path: str) -> None:
        for name, member in sorted(group.members()):
            if isinstance(member, zarr.Group):
                walk(member, f"{path}/{name}".lstrip("/"))
            else:
                arrays[path, name] = member

    walk(zarr.open_group(run / "result.zarr", mode="r"), "")
    for volume in sorted(run.glob("volumes/*.ome.zarr")):
        walk(zarr.open_group(volume, mode="r"), f"volumes/{volume.name}")
    return arrays


def present_path(path: ArrayPath, tables: tuple[TableSchema, ...]) -> ArrayPath:
    """Present group and name of an array of an earlier version."""
    group, name = path
    top, *below = group.split("/")
    table = find_table(tables, top)
    if table is None:
        return path
    renamed = {v.formerly: v.name for v in table.variables if v.formerly and v.group == "/".join(below)}
    return "/".join([renamed_group(table, top), *below]), renamed.get(name, name)


def difference(old: Any, new: Any) -> str:
    """Description of the difference of two arrays; empty if there is none."""
    if old.shape != new.shape:
        return f"shape {old.shape} became {new.shape}"
    a, b = np.asarray(old[...]), np.asarray(new[...])
    if a.dtype.kind in "TUO" and b.dtype.kind in "TUO":
        return "" if a.tolist() == b.tolist() else "different text"
    if a.dtype != b.dtype:
        return f"type {a.dtype} became {b.dtype}"
    if a.tobytes() == b.tobytes():
        return ""
    count = int(np.sum((a != b) & ~((a != a) & (b != b))))
    return f"{count} of {a.size} values differ" if count else "different bits of equal values (NaN or sign of 0)"


def compare(old: Path, new: Path) -> dict[ArrayPath, str]:
    """Description of each array of the old run that differs or is missing, and of those that are new."""
    kind = find_kind(json.loads((new / "run.json").read_text(encoding="utf-8"))["kind"])
    old_arrays = {present_path(path, kind.schemas): array for path, array in arrays_of(old).items()}
    new_arrays = arrays_of(new)
    messages = {path: "new" for path in new_arrays if path not in old_arrays}
    for path, array in old_arrays.items():
        message = difference(array, new_arrays[path]) if path in new_arrays else "missing"
        messages[path] = message or "equal"
    return messages


def main(arguments: list[str] | None = None) -> int:
    """Print a row for each group and a line for each array that is not equal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path, metavar="OLD_RUN", help="run directory of the earlier code")
    parser.add_argument("new", type=Path, metavar="NEW_RUN", help="run directory of the present code")
    options = parser.parse_args(arguments)
    try:
        messages = compare(options.old, options.new)
    except (OSError, ValueError) as error:
        print(f"compare_runs: {error}", file=sys.stderr)
        return 2
    counts: dict[str, Counter[str]] = {}
    for (group, _), message in messages.items():
        state = message if message in ("equal", "missing", "new") else "different"
        counts.setdefault(group, Counter())[state] += 1
    states = ("equal", "different", "missing", "new")
    width = max(len(group) for group in ["group", *counts])
    print("  ".join(["group".ljust(width), *states]))
    counts["all"] = sum(counts.values(), Counter())
    for group, row in counts.items():
        print("  ".join([group.ljust(width), *(str(row[state]).rjust(len(state)) for state in states)]))
    for (group, name), message in messages.items():
        if message != "equal":
            print(f"{group}/{name}: {message}")
    return int(bool(counts["all"]["different"] or counts["all"]["missing"]))


if __name__ == "__main__":
    sys.exit(main())
