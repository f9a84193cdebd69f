"""Inspection of single units of a run: lookup, record and replay."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from membrane_dask.engine import records, store
from membrane_dask.engine.plan import Plan
from membrane_dask.engine.rounds import all_units
from membrane_dask.engine.run import Run
from membrane_dask.engine.software import Software
from membrane_dask.engine.software_check import SoftwareCheck, recorded_environment
from membrane_dask.engine.unit_calls import UnitContext, compute
from membrane_dask.engine.worker import differences
from membrane_dask.errors import Problem, StudyError
from membrane_dask.program import Program, Unit


def find_unit(run: Run, program: Program, key: str) -> Unit:
    """A unit that the program of a run has proposed.

    Raises
    ------
    StudyError
        If there is none of that key.
    """
    from membrane_dask.errors import nearest

    units = {unit.key: unit for unit in all_units(program, run.journal.history())}
    if key not in units:
        import difflib

        close = difflib.get_close_matches(key, list(units), n=1, cutoff=0.3)
        example = f"its units have keys such as {next(iter(units))!r}" if units else "it has no units yet"
        hint = nearest(key, close) if close else example
        raise StudyError([Problem((), f"{run.name} has no unit {key!r}; {hint}")])
    return units[key]


def replay(run: Run, program: Program, key: str) -> tuple[dict[str, Any], bool | None]:
    """Run one unit again in this process.

    Parameters
    ----------
    run : Run
        The run.
    program : Program
        Its study made ready to run.
    key : str
        The unit, as named in the journal or in ``failures/``.

    Returns
    -------
    values : dict of str to ndarray
        What the unit returns.
    same : bool or None
        Whether the result has the same bits; None if it has no values of the unit.
    """
    run.require_present_layout("replayed")
    unit = find_unit(run, program, key)
    complete = run.status()["state"] == "complete"
    removed = [scratch.name for scratch in program.scratch if scratch.temporary and complete]
    try:
        context = UnitContext(store.context(run.path.resolve(), program, timeout=0.0))
        values, _ = compute(program.work, context, unit)
    except FileNotFoundError as error:
        if not removed:
            raise
        message = (
            f"{key} needs what earlier units left on the way ({', '.join(removed)}), which is removed once a run "
            f"is complete; run {run.path / 'study.yaml'} once more with --out and stop it before its end"
        )
        raise StudyError([Problem((), message)]) from error
    if unit.task in removed:
        return values, None
    outcome = run.journal.history().get(key)
    if outcome is None or outcome.status != "done":
        return values, None
    sink = store.sinks(run.path, program, run.batch)[unit.task]
    ((_, stored),) = store.unit_digests(sink, [unit])  # empty for values that cannot be read
    return values, store.digest(sink.check(unit, values)) == stored


def explain_replay(run: Run, plan: Plan, key: str, values: Mapping[str, Any]) -> list[str]:
    """Lines that say how a replayed unit differs from the result, and which software was recorded and is present.

    Parameters
    ----------
    run : Run
        The run.
    plan : Plan
        Plan of its study.
    key : str
        The unit.
    values : mapping of str to ndarray
        What :func:`replay` returned.
    """
    unit = find_unit(run, plan.program, key)
    sink = store.sinks(run.path, plan.program, run.batch)[unit.task]
    lines = [f"{name}: {text}" for name, text in differences(sink.read(unit), sink.check(unit, values)).items()]
    record = unit_record(run, key) or {}
    present, recorded = _software(run, plan, record)
    if recorded is None:
        return [*lines, "the run does not say which code has made it"]
    lines.append(f"recorded: sources {recorded['sources']}, {_versions(recorded)}")
    lines.append(f"present:  sources {present.sources}, {_versions({'versions': present.versions})}")
    if record.get("versions"):
        lines.append(f"its worker {record['worker']} had {_versions(record)}")
    elif not present.changes(recorded):
        lines.append("the software is the same: the machine differs, or the result was altered")
    return lines + [line.strip() for line in recorded_environment(present, recorded).splitlines() if line]


def other_software(run: Run, plan: Plan, key: str) -> str:
    """The software that a unit was made with, and what of it is another one now, in words; empty if nothing is."""
    present, recorded = _software(run, plan, unit_record(run, key) or {})
    if recorded is None or not (changes := present.changes(recorded)):
        return ""
    return f"made with {_versions(recorded)}; changed since: {', '.join(changes)}"


def _software(run: Run, plan: Plan, record: Mapping[str, Any]) -> tuple[Software, Mapping[str, Any] | None]:
    """Software of this process, and the record of that which has made a unit; None if there is none."""
    starts = [start for start in run.provenance.get("starts", ()) if start.get("time", "") <= record.get("time", "")]
    sources = starts[-1].get("sources") if starts else None
    check = SoftwareCheck(run.path, plan)
    records = [recorded for recorded in check.records if recorded["sources"] == sources]
    return check.present, records[-1] if records else None


def _versions(record: Mapping[str, Any]) -> str:
    """Versions of packages and libraries."""
    packages = {name: package.get("version") or "" for name, package in record.get("packages", {}).items()}
    return ", ".join(f"{name} {version}".strip() for name, version in (packages | dict(record["versions"])).items())


def unit_record(run: Run, key: str) -> dict[str, Any] | None:
    """Record of one unit in the journal and in ``failures/``; None if there is none."""
    failure = records.read_failure(run.path, key)
    latest: dict[str, Any] | None = None
    lines: Iterable[Mapping[str, Any]] = run.journal.records()
    for record in lines:
        if key in record.get("done", ()):
            position = record["done"].index(key)
            latest = {"key": key, "state": "done", "time": record["time"]}
            numbers = ("seconds", "cpu_seconds", "memory", "sha256")
            latest |= {name: record[name][position] for name in numbers if name in record}
            latest |= {name: record[name] for name in ("worker", "versions", "attempt") if name in record}
        elif key in record.get("failed", ()):
            latest = {"state": "failed", "time": record["time"], **failure}
        elif key in record.get("reopened", ()):
            latest = {"key": key, "state": "open", "time": record["time"]}
    return latest
