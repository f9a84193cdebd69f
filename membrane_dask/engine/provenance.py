"""Provenance of a run: versions, machine, inputs, and every start and stop."""

from __future__ import annotations

import contextlib
import os
import platform
import socket
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from membrane_dask.files import now, read_json, write_json


class Provenance:
    """``provenance.json``: how a run came about, with every start and stop."""

    def __init__(self, root: Path) -> None:
        self._path = root / "provenance.json"

    def read(self) -> dict[str, Any]:
        """All that is recorded."""
        return read_json(self._path) or {}

    def create(self, **facts: Any) -> None:
        """Record what holds for the whole run."""
        write_json(self._path, {"created": now(), **facts, "starts": [], "stops": []})

    def started(self, **facts: Any) -> None:
        """Record a start."""
        self._add("starts", {"time": now(), **surroundings(), **facts})

    def stopped(self, **facts: Any) -> None:
        """Record a stop."""
        self._add("stops", {"time": now(), **facts})

    def _add(self, name: str, entry: dict[str, Any]) -> None:
        known = self.read()
        known.setdefault(name, []).append(entry)
        write_json(self._path, known)


def surroundings() -> dict[str, Any]:
    """Versions, machine and command of this process."""
    from membrane_dask import __version__

    versions = {"membrane-dask": __version__, "python": platform.python_version()}
    for name in (
        "numpy", "scipy", "numba", "xarray", "zarr", "dask", "distributed", "scikit-image", "scikit-optimize"
    ):  # fmt: skip
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "platform": platform.platform(),
        "command": sys.argv,
        "versions": versions,
        "git_commit": _git_commit(),
    }


def _git_commit() -> str | None:
    """Commit of the checkout that the package runs from, if it runs from one."""
    package = Path(__file__).resolve().parents[1]
    if not (package.parent / ".git").exists():
        return None
    try:
        found = subprocess.run(
            ["git", "-C", str(package), "describe", "--always", "--dirty", "--abbrev=40"],
            capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip() or None
