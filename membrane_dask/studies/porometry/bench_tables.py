"""Tables that a virtual bench has written into its run: one of each method and volume."""

from __future__ import annotations

import re
from pathlib import Path

from membrane_dask.studies.porometry.table_settings import METHODS, Method

#: Name of a table: replicate or reference, its number if there are several, and its method.
_NAME = re.compile(r"(replicate|reference)(?:-(\d+))?-([a-z-]+)\.csv")
_METHODS: dict[str, Method] = {method.replace(" ", "-"): method for method in METHODS}


def is_bench(path: Path) -> bool:
    """Whether a path is that of a run, or of a study that makes one, rather than a table."""
    return path.is_dir() or path.suffix.lower() in (".yaml", ".yml")


def bench_tables(run: Path) -> list[tuple[Path, Method, str]]:
    """Tables of a run: path, method, and name of the membrane; the replicates in their order, then the reference."""
    tables = []
    for path in run.glob("tables/*.csv"):
        match = _NAME.fullmatch(path.name)
        if match and match[3] in _METHODS:
            name = match[1] if match[2] is None else f"{match[1]} {match[2]}"
            order = (match[1] == "reference", int(match[2] or 0), path)
            tables.append((order, (path, _METHODS[match[3]], name)))
    return [table for _, table in sorted(tables)]
