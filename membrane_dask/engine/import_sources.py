"""Earlier runs that hold units of a study: one that grows computes only what is new."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from membrane_dask.digests import digests_computed_once
from membrane_dask.engine.journal import Journal
from membrane_dask.engine.plan import ImportSource, Plan
from membrane_dask.engine.provenance import Provenance, source_run_digests
from membrane_dask.engine.rounds import Schedule
from membrane_dask.engine.run_list import find_runs
from membrane_dask.engine.software import Software, software_of
from membrane_dask.engine.source_runs import RUNS, is_complete
from membrane_dask.engine.unit_addresses import Addresses, task_identities
from membrane_dask.errors import UnreadableRunError
from membrane_dask.program import Outcome, Program, Unit


@dataclass(frozen=True, slots=True)
class RecordedUnit:
    """A finished unit of an earlier run, as its journal records it."""

    unit: Unit
    sha256: str
    seconds: float
    cpu_seconds: float
    memory: int
    feedback: Mapping[str, float]


def recorded_units(journal: Journal) -> dict[str, RecordedUnit]:
    """Finished units with an address, by address; without those of workers with other versions than their driver."""
    by_key: dict[str, tuple[str, RecordedUnit]] = {}
    lines: Iterable[Mapping[str, Any]] = journal.records()
    for record in lines:
        for key in (*record.get("reopened", ()), *record.get("failed", ())):
            by_key.pop(key, None)
        if not {"address", "index", "cpu_seconds"} <= record.keys():
            for key in record.get("done", ()):
                by_key.pop(key, None)
            continue
        feedback = record.get("feedback", {})
        names = ("done", "address", "index", "sha256", "seconds", "cpu_seconds", "memory")
        columns = (record[name] for name in names)
        for key, address, index, sha256, seconds, cpu_seconds, memory in zip(*columns, strict=True):
            by_key.pop(key, None)
            if "versions" not in record:
                unit = Unit(key, record["task"], tuple(index), {}, ())
                values = RecordedUnit(unit, sha256, seconds, cpu_seconds, memory, feedback.get(key, {}))
                by_key[key] = address, values
    return dict(by_key.values())


def find_import_sources(plan: Plan, folder: Path = RUNS) -> tuple[ImportSource, ...]:
    """Complete runs that hold units of a study that is larger, or differs in what these units do not read.

    A run of the same study is none of them: whoever runs a study again in another directory repeats it.

    Parameters
    ----------
    plan : Plan
        Plan of the study.
    folder : Path
        Folder of runs.

    Returns
    -------
    tuple of ImportSource
        The newest first. The units of each are not in those before it.
    """
    if not plan.program.unread_settings or not folder.is_dir():
        return ()
    with digests_computed_once():
        addresses, identity = Addresses(task_identities(plan.study, plan.program)), plan.study.identity()
    related = addresses.identities.items()
    runs = [run for run in find_runs(folder) if run.identity != identity and run.task_identities.items() & related]
    sources: list[ImportSource] = []
    available: dict[str, RecordedUnit] = {}
    n_before: Counter[str] = Counter()
    present = software_of(plan.program, source_run_digests(plan.study.sources())) if runs else None
    for run in reversed(runs):
        try:
            is_usable = present is not None and is_complete(run.path)
            more = {**recorded_units(run.journal), **available} if is_usable else available
        except (OSError, ValueError, UnreadableRunError):  # a broken run hides no other
            continue
        units = _askable(plan.program, addresses, more)
        if units == n_before:
            continue
        assert present is not None
        changes = software_changes(present, run.path)
        sources.append(ImportSource(run.path, run.identity, dict(units - n_before), changes))
        if not changes:
            available, n_before = more, units
    return tuple(sources)


def _askable(program: Program, addresses: Addresses, available: Mapping[str, RecordedUnit]) -> Counter[str]:
    """Numbers of the units that a program asks for and that are available, by task."""
    history: dict[str, Outcome] = {}
    schedule, finished = Schedule(program, history), list[str]()
    units: Counter[str] = Counter()
    while fresh := schedule.propose(finished):
        finished = []
        for unit in fresh:
            if recorded := available.get(addresses(unit)):
                history[unit.key] = Outcome("done", recorded.feedback)
                finished.append(unit.key)
                units[unit.task] += 1
    return units


def software_changes(present: Software, root: Path) -> str:
    """Why units of a run are not those of the present software, in words; empty if a record of it is the present one.

    A record that was accepted although some units could not be compared is none.
    """
    try:
        records = Provenance(root).software()
    except UnreadableRunError as error:
        return str(error)
    equal = [record for record in records if not present.changes(record)]
    if any(not record.get("unchecked") for record in equal):
        return ""
    if equal:
        return "some of its units could not be compared with the present software"
    if not records:
        return "the run does not say which code has made it"
    return f"{' and '.join(present.changes(records[-1])[:4])} changed since"
