"""Addresses of units: digests of all that decides their values, so that a study finds its units in earlier runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from membrane_dask.config import BaseStudy
from membrane_dask.digests import digests_computed_once
from membrane_dask.program import Program, Unit


def task_identities(study: BaseStudy, program: Program) -> dict[str, str]:
    """Digests of what decides the values of the units of a task besides their own parameters and seeds, by task.

    They are identities of the study without the settings that the task does not read, so that ``results_version``
    and the contents of all inputs enter.
    """
    with digests_computed_once():
        return {
            task: study.with_defaults(sorted(unread)).identity()
            for task, unread in sorted(program.unread_settings.items())
        }


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
