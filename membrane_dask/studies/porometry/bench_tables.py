"""Tables that a virtual bench has written into its run: one of each method and replicate."""

from __future__ import annotations

import re
from pathlib import Path

from membrane_dask.studies.porometry.table_settings import METHODS, Method

#: Name of a table: that of its replicate, and its method.
_NAME = re.compile(r"replicate-(\d+)-([a-z-]+)\.csv")
_METHODS: dict[str, Method] = {method.replace(" ", "-"): method for method in METHODS}


def is_bench(path: Path) -> bool:
    """Whether a path is that of a run, or of a study that makes one, rather than a table."""
    return path.is_dir() or path.suffix.lower() in (".yaml", ".yml")


def bench_tables(run: Path) -> list[tuple[Path, Method, str]]:
    """Tables of a run: path, method, and name of the membrane, in the order of the replicates."""
    tables = []
    for path in run.glob("tables/*.csv"):
        match = _NAME.fullmatch(path.name)
        if match and match[2] in _METHODS:
            tables.append((int(match[1]), path, _METHODS[match[2]]))
    return [(path, method, f"replicate {replicate}") for replicate, path, method in sorted(tables, key=lambda t: t[:2])]
