"""The call of the function of a study kind that computes a unit: what it receives, and what it must return."""

from __future__ import annotations

import resource
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from membrane_dask.errors import Terminated, short
from membrane_dask.program import Unit, Work


class UnitExitError(RuntimeError):
    """A unit has called ``sys.exit``, which would end its worker."""


def read_only(value: Any) -> Any:
    """A value that a unit cannot change for the units after it.

    Mappings and arrays are read-only views. Lists are copies, as a tuple would index arrays differently. Objects of
    other types are returned as they are.
    """
    if isinstance(value, np.ndarray):
        view = value.view()
        view.flags.writeable = False
        return view
    if type(value) is dict or type(value) is MappingProxyType:
        return MappingProxyType({name: read_only(entry) for name, entry in value.items()})
    if type(value) is list or type(value) is tuple:
        return type(value)(map(read_only, value))
    return value


def compute(work: Work, context: Mapping[str, Any], unit: Unit) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Compute a unit.

    Parameters
    ----------
    work : callable
        Of the program of a study kind.
    context : mapping
        Data of the study, which the unit receives read-only.
    unit : Unit
        The unit.

    Returns
    -------
    arrays : dict of str to ndarray
        Its values.
    feedback : dict of str to float
        Its numbers for later rounds.

    Raises
    ------
    TypeError
        If ``work`` returns anything else.
    UnitExitError
        If it ends the process with ``sys.exit``.
    """
    try:
        returned: Any = work(read_only(dict(context)), unit)
    except Terminated:
        raise
    except SystemExit as error:
        raise UnitExitError(f"the unit called sys.exit({error.code!r}); raise an exception instead") from error
    if not (isinstance(returned, tuple) and len(returned) == 2 and all(isinstance(one, Mapping) for one in returned)):
        raise TypeError(f"work must return (arrays, feedback), two dictionaries (got {_form(returned)})")
    arrays, feedback = returned
    return arrays, feedback


def children_cpu_time() -> float:
    """CPU time of the processes that this one has started and that have ended, in seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _form(returned: object) -> str:
    if isinstance(returned, tuple):
        return f"a tuple of {', '.join(type(one).__name__ for one in returned) or 'nothing'}"
    if isinstance(returned, Mapping):
        return f"one dictionary, of {', '.join(map(str, returned))}; without feedback, return arrays, {{}}"
    return short(returned)
