"""The call of the function of a study kind that computes a unit: what it receives, and what it must return."""

from __future__ import annotations

import resource
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from membrane_dask.errors import Terminated, short
from membrane_dask.program import Unit, Work


class UnitExitError(RuntimeError):
    """A unit has called ``sys.exit``, which would end its worker."""


class UnitContext:
    """Data of a study that no unit can change for the units after it.

    Mappings and arrays are read-only, nested ones too, and each unit receives copies of lists and views of arrays: a
    tuple would index arrays differently from a list. Objects of other types are as they are. The content is protected
    once for all units of a batch.

    Parameters
    ----------
    context : mapping
        Data of the study.
    """

    def __init__(self, context: Mapping[str, Any]) -> None:
        self._shared, self._copy = _protected(dict(context))

    def of_unit(self) -> Mapping[str, Any]:
        """The context that one unit receives."""
        context: Mapping[str, Any] = self._copy() if self._copy else self._shared
        return context


def _protected(value: Any) -> tuple[Any, Callable[[], Any] | None]:
    """A read-only value, and a function that copies it for one unit; None if one is enough for all units."""
    if isinstance(value, np.ndarray):
        view = value.view()
        view.flags.writeable = False
        return view, view.view
    if type(value) is dict or type(value) is MappingProxyType:
        entries = {name: _protected(entry) for name, entry in value.items()}
        shared = {name: entry for name, (entry, _) in entries.items()}
        copies = {name: copy for name, (_, copy) in entries.items() if copy}
        if not copies:
            return MappingProxyType(shared), None
        return shared, lambda: MappingProxyType(shared | {name: copy() for name, copy in copies.items()})
    if type(value) is list or type(value) is tuple:
        items = [_protected(item) for item in value]
        sequence = type(value)(item for item, _ in items)
        if any(copy for _, copy in items):
            return sequence, lambda: type(value)([copy() if copy else item for item, copy in items])
        return sequence, sequence.copy if isinstance(sequence, list) else None
    return value, None


def compute(work: Work, context: UnitContext, unit: Unit) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Compute a unit.

    Parameters
    ----------
    work : callable
        Of the program of a study kind.
    context : UnitContext
        Data of the study.
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
        returned: Any = work(context.of_unit(), unit)
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
