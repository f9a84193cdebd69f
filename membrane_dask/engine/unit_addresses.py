"""Addresses of units: digests of all that decides their values, so that a study finds its units in earlier runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from membrane_dask.config import BaseStudy, Model
from membrane_dask.digests import digests_computed_once
from membrane_dask.errors import ProgramError
from membrane_dask.program import Program, Unit

_Section = TypeVar("_Section", bound=Model)


def task_identities(study: BaseStudy, program: Program) -> dict[str, str]:
    """Digests of what decides the values of the units of a task besides their own parameters and seeds, by task.

    They are identities of the study without the settings that the task does not read, so that ``results_version``
    and the contents of all inputs enter.
    """
    with digests_computed_once():
        return {
            task: _with_defaults(study, unread).identity() for task, unread in sorted(program.unread_settings.items())
        }


def _with_defaults(study: BaseStudy, settings: Iterable[str]) -> BaseStudy:
    """A study with the defaults of some settings."""
    for name in sorted(settings):
        study = _with_default(study, name.split("."))
    return study


def _with_default(section: _Section, path: Sequence[str]) -> _Section:
    """A study or a section with the default of one setting.

    Raises
    ------
    ProgramError
        If it is required, or there is no such setting.
    """
    name, *rest = path
    field = type(section).model_fields.get(name)
    if field is None or (not rest and field.is_required()):
        raise ProgramError(f"unread_settings: {'.'.join(path)} is no setting with a default")
    value = _with_default(getattr(section, name), rest) if rest else field.get_default(call_default_factory=True)
    return section.model_copy(update={name: value})


class Addresses:
    """Addresses of the units of a study.

    Parameters
    ----------
    identities : mapping of str to str
        As of :func:`task_identities`, or as a run has recorded them.
    """

    def __init__(self, identities: Mapping[str, str]) -> None:
        self.identities = dict(identities)

    def __call__(self, unit: Unit) -> str:
        """Address of a unit; empty if its task has none, so that its units are never imported."""
        identity = self.identities.get(unit.task)
        if identity is None:
            return ""
        content = json.dumps([identity, unit.task, dict(unit.params), list(unit.seed)], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:32]
