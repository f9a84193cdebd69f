"""Checks of a call from Python before anything is planned or written: its arguments, and the process that makes it."""

from __future__ import annotations

import os
from typing import Any

from membrane_dask.config import BaseStudy
from membrane_dask.engine.cluster.pools import require_client, require_process_of_workers
from membrane_dask.engine.plan import Plan
from membrane_dask.errors import short


def require_study(study: Any) -> None:
    """Refuse what is no study, no plan and no path of a study.

    Raises
    ------
    TypeError
        If it is something else.
    """
    if not isinstance(study, (BaseStudy, Plan, str, os.PathLike)):
        raise TypeError(f"study: must be a study, or the path of a study file (got {short(study)})")


def require_run_arguments(study: Any, out: Any, limit: Any, listener: Any, client: Any) -> None:
    """Refuse arguments with which no run can start; see :func:`membrane_dask.run`.

    Raises
    ------
    TypeError
        If one of them has another type.
    ValueError
        If ``limit`` is negative.
    ClusterError
        If ``client`` is not connected, or this process is a fork of one that has started workers.
    """
    require_study(study)
    if out is not None and not isinstance(out, (str, os.PathLike)):
        raise TypeError(f"out: must be the path of a run directory, or None (got {short(out)})")
    require_limit(limit)
    if listener is not None and not callable(listener):
        raise TypeError(f"listener: must be a function of an event, or None (got {short(listener)})")
    if client is not None:
        require_client(client)
    require_process_of_workers()


def require_limit(limit: Any) -> None:
    """Refuse what is no number of units.

    Raises
    ------
    TypeError
        If it is no whole number.
    ValueError
        If it is negative.
    """
    if limit is None:
        return
    if not isinstance(limit, int) or isinstance(limit, bool):
        raise TypeError(f"limit: must be a whole number of units, or None (got {short(limit)})")
    if limit < 0:
        raise ValueError(f"limit: must be at least 0 (got {limit})")
