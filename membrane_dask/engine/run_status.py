"""State of a run in numbers and in words: units, time, cost, and what its users should know."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from membrane_dask.engine import records
from membrane_dask.engine.cluster.driver_series import queued_drivers
from membrane_dask.engine.cluster.ownership import JobRecord
from membrane_dask.engine.journal import JournalSummary
from membrane_dask.engine.lock import DriverLock
from membrane_dask.engine.plan import as_seconds, as_seconds_range
from membrane_dask.engine.provenance import Provenance
from membrane_dask.errors import UnreadableRunError
from membrane_dask.plain_text import natural_order, printable_line

if TYPE_CHECKING:
    from membrane_dask.engine.records import DriverRecord
    from membrane_dask.engine.run import Run

#: Text of a state in the printed summary, where it is not that of all states.
_STATE_TEXTS = {"measuring": "measuring the cost on a few units, before the first unit of the run"}
#: Failed units of which the printed summary gives the reason.
_SHOWN_FAILURES = 5
#: Failed units whose records are read to say whether a retry can help.
_READ_FAILURES = 1000


def unit_status(run: Run, journal: JournalSummary) -> dict[str, Any]:
    """State of a run and numbers of its units, as :meth:`Run.status` describes them."""
    done, failed = journal.done, len(journal.failed)
    left = 0 if journal.collected else max(0, sum(run.counts.values()) - done - failed)
    driver = DriverLock.active_driver(run.path)
    running = min(left, max(0, int(driver["in_flight"]))) if driver else 0
    if driver:
        state = "measuring" if driver.get("measuring") else "running"
    elif not journal.collected and queued_drivers(run.path):
        state = "queued"
    elif not journal.collected:
        state = "partial" if done + failed else "empty"
    else:
        state = "failed" if failed else "complete"
    return {
        "run": run.name,
        "kind": run.kind,
        "state": state,
        "done": done,
        "running": running,
        "failed": failed,
        "left": left - running,
        "percent": 100 * done // max(1, done + failed + left),
    }


def is_driven(status: Mapping[str, Any]) -> bool:
    """Whether a driver is at work, by the status of the run; it may still be computing pilots."""
    return status["state"] in ("measuring", "running")


def total_units(status: Mapping[str, Any]) -> int:
    """Number of all units of a run, by its status."""
    return sum(status[name] for name in ("done", "running", "failed", "left"))


def usage(run: Run, journal: JournalSummary, status: Mapping[str, Any]) -> dict[str, Any]:
    """Times, cost and host of a run, as :meth:`Run.usage` describes them."""
    try:
        provenance = run.provenance
    except UnreadableRunError:  # of which software_notes() informs
        provenance = {}
    starts, stops = (provenance.get(name, ()) for name in ("starts", "stops"))
    begins = [seconds for start in starts if (seconds := _seconds(start.get("time"))) is not None]
    ends = [_seconds(stop.get("time")) for stop in stops] + [_seconds(text) for text in journal.times]
    active = is_driven(status)
    wall = _working_time(begins, [end for end in ends if end is not None] + ([time.time()] if active else []))
    host = starts[-1].get("host") if starts else None
    return {
        "started": provenance.get("created"),
        "wall_seconds": wall,
        "cpu_seconds": journal.cpu_seconds,
        "remaining_seconds": _remaining_time(DriverLock.active_driver(run.path)) if active else None,
        "host": host if isinstance(host, str) else None,
    }


def _seconds(moment: object) -> float | None:
    """Seconds since 1970 of a moment in the records; None if it is not one."""
    try:
        return datetime.fromisoformat(str(moment)).timestamp()
    except (ValueError, OverflowError):
        return None


def _working_time(begins: Sequence[float], ends: Sequence[float]) -> float | None:
    """Seconds during which drivers have worked: from the start of each to the last sign of it before the next one."""
    if not begins:
        return None
    total = 0.0
    for begin, following in zip(begins, [*begins[1:], float("inf")], strict=True):
        total += max((end - begin for end in ends if begin <= end < following), default=0.0)
    return total


def _remaining_time(driver: DriverRecord | None) -> tuple[float, float] | None:
    """Shortest and longest time, in seconds, until the end that a driver has forecast; None if it has not."""
    if driver is None or "end" not in driver:
        return None
    now = time.time()
    shortest, longest = (max(0.0, end - now) for end in driver["end"])
    return shortest, longest


def date_text(moment: object) -> str:
    """Date and time of a record in the time zone of this machine; ``-`` if there is none."""
    seconds = _seconds(moment)
    return "-" if seconds is None else datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M")


def software_notes(run: Run) -> list[str]:
    """Lines that say if the run was made by several codes, or by workers with other versions than their driver."""
    provenance, notes = Provenance(run.path), []
    try:
        provenance.read()
    except UnreadableRunError as error:
        return [str(error)]
    checks = [record for record in provenance.software() if record.get("checked") or record.get("unchecked")]
    if checks:
        units = sum(len(record.get("checked", ())) for record in checks)
        notes.append(
            f"made with {1 + len(checks)} versions of the code or its libraries; {units} units computed again had "
            "the same bits (see software in provenance.json)"
        )
    if workers := provenance.workers():
        rows = [f"{row['host']} ({', '.join(f'{n} {v}' for n, v in row['versions'].items())})" for row in workers]
        more = f" and {len(rows) - 3} more" if len(rows) > 3 else ""
        notes.append(
            f"{sum(row['units'] for row in workers)} units are from workers with other versions than the driver: "
            f"{', '.join(rows[:3])}{more} (see workers in provenance.json)"
        )
    return notes


def summary_rows(run: Run) -> list[tuple[str, str]]:
    """Rows of the printed summary of a run: name and text."""
    journal = run.journal.summary()
    status = unit_status(run, journal)
    used = usage(run, journal, status)
    groups = sorted((p.name for p in run.path.glob("result.zarr/*") if p.is_dir()), key=natural_order)
    rows = [
        ("study", f"{run.kind}, seed {run.seed}"),
        ("state", _STATE_TEXTS.get(status["state"], f"{status['state']}, {status['percent']} %")),
        ("units", f"{status['done']} of {total_units(status)} done, {status['failed']} failed, {status['left']} left"),
        *(("driver", f"job {number}: {state}") for number, state in queued_drivers(run.path).items()),
        ("groups", ", ".join(groups)),
    ]
    imports = [record for record in Provenance(run.path).imports() if record.get("units")]
    rows += [("imported", f"{record['units']} units from {record['run']}") for record in imports]
    if lost := run.lost_driver():
        rows.append(("driver", lost))
    if problem := reader_problem(run):
        rows.append(("problem", problem))
    rows += [("volumes", ", ".join(run.volumes))] if run.volumes else []
    rows += [("finding", text) for text in records.read_findings(run.path)]
    rows += _cost_rows(used)
    if journal.damage:
        rows.append(("journal", journal.damage))
    rows += [("software", text) for text in software_notes(run)]
    failures = [records.read_failure(run.path, key) for key in journal.failed[:_SHOWN_FAILURES]]
    rows += [("failure", f"{f['key']}: {' '.join(f['error'].split())}") for f in failures]
    if len(journal.failed) > _SHOWN_FAILURES:
        rows.append(("failure", f"and {len(journal.failed) - _SHOWN_FAILURES} more; see {run.path / 'failures'}"))
    if status["state"] in ("empty", "partial"):
        rows.append(("next", f"membrane-dask run {run.path / 'study.yaml'} --out {run.path}"))
    elif failures and _all_permanent(run, journal.failed):
        command = f"membrane-dask replay {run.path} {failures[0]['key']}"
        rows.append(("next", f"they fail on every machine: change the study; to compute one of them here: {command}"))
    elif failures:
        rows.append(("next", f"membrane-dask retry {run.path}"))
    return [(name, printable_line(text)) for name, text in rows]


def _all_permanent(run: Run, failed: Sequence[str]) -> bool:
    """Whether all failed units would fail on every machine; not claimed of more units than are read."""
    return len(failed) <= _READ_FAILURES and all(records.read_failure(run.path, key).get("permanent") for key in failed)


def reader_problem(run: Run) -> str:
    """Why the study that reads a run was not submitted when the run was complete; empty if nothing went wrong."""
    problem = JobRecord(run.path).read().get("reader_problem")
    text = f"the study that reads this run was not submitted when it was complete: {problem}"
    return printable_line(text) if problem else ""


def _cost_rows(used: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Rows on the start, the cost and the remaining time of a run, as far as they are known."""
    rows = []
    if used["host"]:
        rows.append(("started", f"{date_text(used['started'])}, driver on {used['host']}"))
    texts = [f"{as_seconds(used['cpu_seconds'])} of CPU time"] if used["cpu_seconds"] else []
    if used["wall_seconds"] is not None:  # the records state whole seconds
        wall = as_seconds(used["wall_seconds"]) if used["wall_seconds"] >= 1 else "less than 1 s"
        texts.append(f"{wall} of wall time")
    if texts:
        rows.append(("cost", ", ".join(texts)))
    if used["remaining_seconds"]:
        rows.append(("ends in", as_seconds_range(*used["remaining_seconds"])))
    return rows
