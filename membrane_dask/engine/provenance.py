"""Provenance of a run: versions, machine, inputs, and every start and stop of a driver."""

from __future__ import annotations

import contextlib
import os
import platform
import socket
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from membrane_dask.engine import records
from membrane_dask.errors import UnreadableRunError
from membrane_dask.files import now, write_json

#: Packages whose versions are recorded.
_PACKAGES = (
    "numpy", "scipy", "numba", "xarray", "zarr", "dask", "distributed", "scikit-image",
)  # fmt: skip


class Provenance:
    """The file ``<run>/provenance.json``.

    Parameters
    ----------
    root : Path
        The run directory.
    """

    def __init__(self, root: Path) -> None:
        self._path = root / "provenance.json"

    def read(self) -> dict[str, Any]:
        """All entries.

        Raises
        ------
        UnreadableRunError
            If the file is damaged.
        """
        remedy = "the results are not affected; the next start of the run puts this file aside and begins a new one"
        return dict(records.read(records.ProvenanceRecord, self._path, remedy) or {})

    def put_aside_if_damaged(self) -> str:
        """Rename a damaged file, so that a new one is begun; returns a message, empty if there is no damage."""
        try:
            self.read()
        except UnreadableRunError as error:
            aside = self._path.with_name(f"provenance.damaged-{time.time_ns()}.json")
            self._path.rename(aside)
            return f"{str(error).split(';')[0]}; it was renamed to {aside.name} and a new one is begun"
        return ""

    def create(self, **entries: Any) -> None:
        """Write the entries that hold for the whole run."""
        write_json(self._path, {"created": now(), **entries, "starts": [], "stops": []})

    def started(self, **entries: Any) -> None:
        """Add the start of a driver."""
        self._append("starts", {"time": now(), **describe_process(), **entries})

    def stopped(self, **entries: Any) -> None:
        """Add the stop of a driver."""
        self._append("stops", {"time": now(), **entries})

    def _append(self, name: str, entry: dict[str, Any]) -> None:
        entries = self.read()
        entries.setdefault(name, []).append(entry)
        write_json(self._path, entries)


def describe_process() -> dict[str, Any]:
    """Host, platform, command and package versions of this process."""
    from membrane_dask import __version__

    versions = {"membrane-dask": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
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
    """Commit of the git checkout from which the package runs; None if it is installed otherwise."""
    package = Path(__file__).resolve().parents[1]
    if not (package.parent / ".git").exists():
        return None
    try:
        process = subprocess.run(
            ["git", "-C", str(package), "describe", "--always", "--dirty", "--abbrev=40"],
            capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return process.stdout.strip() or None
