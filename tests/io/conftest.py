"""Commands in a forked child whose time and memory are limited and measured."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import resource
import signal
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

#: Limits of a command that refuses its input, and seconds of one that accepts it, which may compile functions. A
#: process that has imported what a command needs has about 300 MB, so that the whole command stays below 1 GB.
SECONDS, MEGABYTES = 5.0, 700
SECONDS_ACCEPTED = 30.0


@dataclass(frozen=True)
class Outcome:
    """Exit code of a command, its messages, and what it took."""

    code: int
    err: str
    seconds: float  # of the processor: other processes of the machine do not count
    megabytes: float  # beyond what the process held at its start: it inherits what earlier tests left

    @property
    def fault(self) -> str:
        """Why this is no way for a command to end; empty if it is one."""
        if self.code not in (0, 2) or "Traceback" in self.err:
            return f"ended with {self.code}"
        if self.code == 2 and not self.err.strip():
            return "said nothing"
        if self.seconds > (SECONDS if self.code else SECONDS_ACCEPTED) or self.megabytes > MEGABYTES:
            return f"took {self.seconds:.1f} s and {self.megabytes:.0f} MB"
        if len(self.err) > 20_000 or any(c < " " and c not in "\n\t" for c in self.err):
            return "printed too much, or control characters"
        return ""


@pytest.fixture(scope="session")
def bounded():
    """``bounded(folder, *arguments)``: the outcome of a command that runs in a folder."""
    import distributed
    import imageio.v3
    import openpyxl
    import pint
    import tifffile
    import xarray
    import zarr

    import membrane_dask.engine.run
    from membrane_dask import api, cli
    from membrane_dask.quantities import parse_unit
    from membrane_dask.studies.registry import kinds

    # Imported here once: a child inherits them, and what it takes is that of reading.
    assert all((api, distributed, imageio.v3, openpyxl, pint, tifffile, xarray, zarr, membrane_dask.engine.run))
    for name, kind in kinds().items():
        assert kind.settings_class
        importlib.import_module(f"membrane_dask.studies.{name}.program")
    parse_unit("bar")
    importlib.import_module("scipy.io")
    with contextlib.suppress(ImportError):
        importlib.import_module("h5py")

    def run(folder: Path, *arguments: object) -> Outcome:
        sys.stdout.flush()
        sys.stderr.flush()
        messages = folder / ".messages"
        inherited = psutil.Process().memory_info().rss
        child = os.fork()
        if child == 0:
            gc.freeze()  # else each collection copies the memory that the child has in common with this process
            _child(cli.main, folder, messages, [str(a) for a in arguments])
        _, status, usage = os.wait4(child, 0)
        text = messages.read_text(errors="replace")
        messages.unlink()
        seconds = usage.ru_utime + usage.ru_stime
        return Outcome(os.waitstatus_to_exitcode(status), text, seconds, usage.ru_maxrss / 1024 - inherited / 2**20)

    return run


def _child(main, folder, messages, arguments):
    code = 99
    try:
        os.chdir(folder)
        stream = os.open(messages, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(stream, 1)
        os.dup2(stream, 2)
        sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
        pages = int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc/self/statm").exists() else 0
        limit = pages * resource.getpagesize() + 3_000_000_000
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        signal.alarm(60)  # of a child that waits
        main(arguments)
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
