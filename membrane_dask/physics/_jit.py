"""Compilation of kernels with Numba: one set of compiler options and one cache directory for all of them.

Kernels are compiled without fast-math and without parallel reductions, so that results do not depend on
the number of threads, and they release the interpreter lock. Compiled code is cached between processes in a
node-local directory that is named after a digest of the sources: a cached kernel is never older than the code it
calls, and machines with a common file system have separate caches.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias, TypeVar, cast

import numba
import numpy as np
from numba import njit

#: Indices in kernels, whose widths are those of the arrays that they come from.
Integer: TypeAlias = int | np.integer[Any]
Function = TypeVar("Function", bound=Callable[..., Any])


def _cache_directory() -> str:
    """Return a node-local directory named after the user and a digest of the sources of ``physics``."""
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(source.read_bytes())
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # no name for this user id, as in some containers
        user = str(os.getuid())
    base = os.environ.get("MEMBRANE_DASK_CACHE") or os.environ.get("NUMBA_CACHE_DIR") or tempfile.gettempdir()
    directory = Path(base) / f"membrane-dask-{user}-{digest.hexdigest()[:12]}"
    return str(directory) if _is_private(directory) else tempfile.mkdtemp(prefix="membrane-dask-")


def _is_private(directory: Path) -> bool:
    """Create the directory and check that only this user can write to it: its files are executed."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = directory.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o022


numba.config.CACHE_DIR = _cache_directory()  # type: ignore[attr-defined]


def kernel(function: Function) -> Function:
    """Compile a function that Python calls: no fast-math, no interpreter lock, cached on disk."""
    return cast(Function, njit(cache=True, nogil=True, fastmath=False, error_model="numpy")(function))


def inline_kernel(function: Function) -> Function:
    """Compile a function that only kernels call, with the options of :func:`kernel`.

    It has no wrapper for Python, which shortens compilation, and is cached as a part of the kernels that call it.
    """
    compile_ = njit(  # type: ignore[call-overload]
        nogil=True, fastmath=False, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True
    )
    return cast(Function, compile_(function))
