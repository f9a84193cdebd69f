"""Check of a run that is resumed with other software: a few finished units of each task are computed again.

If their bits are the same, the software is recorded and the run goes on; otherwise it stops before anything is written.
So does a run whose present code would decide on other units, or would write other inputs into the result.
"""

from __future__ import annotations

import itertools
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from membrane_dask.engine import store
from membrane_dask.engine.cluster.pools import RESULT_LOST, Handle, Pool
from membrane_dask.engine.journal import Journal
from membrane_dask.engine.layout_record import LayoutRecord
from membrane_dask.engine.plan import Plan, as_seconds
from membrane_dask.engine.provenance import Provenance, WorkerTable, source_run_digests
from membrane_dask.engine.rounds import Schedule
from membrane_dask.engine.software import Requirement, Software, install_command, software_of
from membrane_dask.engine.worker import BatchOptions, Repetition, differences, repeat_unit
from membrane_dask.errors import ClusterError, Problem, Source, StudyError
from membrane_dask.program import Dataset, Outcome, Unit

#: Units of a task that are computed again: as many as take this time in seconds, within the bounds.
_SECONDS, _SMALLEST_NUMBER, _LARGEST_NUMBER = 5.0, 2, 12
#: A task whose units take longer than this, in seconds, is checked with one unit.
_LONG = 60.0
#: Differences that an error names.
_NAMED = 6


class WorkerSoftwareError(ClusterError):
    """A worker has other software than its driver."""

    resuming_helps = False


class SoftwareCheck:
    """Software of a run: that which has made its results, and that of this process.

    Parameters
    ----------
    root : Path
        The run directory.
    plan : Plan
        Plan of the run.
    notify : callable, optional
        Receives messages for the user.
    """

    def __init__(self, root: Path, plan: Plan, notify: Callable[[str], None] = lambda text: None) -> None:
        self.root, self.program, self._notify = root, plan.program, notify
        self._provenance = Provenance(root)
        #: Software of this process.
        self.present = software_of(plan.program, source_run_digests(plan.study.sources()))
        self.records = self._provenance.software()
        self._accepted = next((record for record in self.records if not self.present.changes(record)), None)
        self.workers = WorkerTable(self._provenance)
        self._record_versions = plan.cluster.version_mismatch == "record"

    @property
    def accepted(self) -> bool:
        """Whether the software of this process is recorded as one that gives the numbers of the run."""
        return self._accepted is not None

    @property
    def requirement(self) -> Requirement:
        """Software that workers must have."""
        software = self.present
        record = self._accepted or software.record()
        statements = record["statements"] if record["sources"] == software.sources else software.record()["statements"]
        return Requirement(software.roots, software.sources, statements, software.versions, self._record_versions)

    def require_equal_storage(self, batch: Mapping[str, int]) -> None:
        """Stop the run if the present code would store the results of units differently.

        Raises
        ------
        StudyError
            With the tasks whose storage is another one.
        """
        record = None if self.accepted else LayoutRecord.read(self.root)
        if record is None:
            return
        present = json.loads(json.dumps(store.describe(store.sinks(self.root, self.program, batch), self.root)))
        tasks = [task for task in sorted({*present, *record.storage}) if present.get(task) != record.storage.get(task)]
        if tasks:
            problems = [f"{task}: its variables, their types or dimensions are other ones" for task in tasks]
            raise StudyError([Problem((), self._other_numbers(self._changes(), problems))], Source(str(self.root)))

    def accept_worker(self, worker: str, refused: Software | None, versions: Mapping[str, str], units: int) -> None:
        """Record a batch of a worker with other versions, or stop the run if the worker has refused to compute it.

        Raises
        ------
        WorkerSoftwareError
            With the differences between the worker and this driver.
        """
        if refused is not None:
            raise WorkerSoftwareError(self._refusal(worker, refused))
        if versions:
            self.workers.add(worker, versions, units)

    def _refusal(self, worker: str, other: Software) -> str:
        host = worker.rpartition("-")[0]
        if other.sources != self.present.sources and "statements" in vars(other):
            record = {**other.record(), "versions": self.present.versions, "source_runs": {}}
            changes = self.present.changed_modules(record)
            more = f" and {len(changes) - 3} more" if len(changes) > 3 else ""
            return (
                f"a worker on {host} has other sources (digest {other.sources}) than this driver "
                f"({self.present.sources}): {', '.join(changes[:3])}{more}. Install the same code on both and start "
                "the workers again; after a change of the code while this process runs, restart it as well"
            )
        versions = other.changed_versions({"versions": self.present.versions})
        text = ", ".join(f"{name} {other_version} (driver {own})" for name, (own, other_version) in versions.items())
        command = install_command((name, own) for name, (own, _) in versions.items())
        return (
            f"a worker on {host} has other versions than this driver: {text}. Install the same versions"
            f"{f' there ({command})' if command else ''} and start the workers again; or accept them, and record what "
            "each worker has, with --set cluster.version_mismatch=record"
        )

    def confirm(
        self, pool: Pool, journal: Journal, options: BatchOptions, sinks: Mapping[str, store.Sink],
        proceed: Callable[[int], bool],
    ) -> bool:  # fmt: skip
        """Compute finished units again if the software is not recorded, compare them, and record it.

        Parameters
        ----------
        pool : Pool
            Workers that compute them.
        journal : Journal
            Journal of the run.
        options : BatchOptions
            Options of units.
        sinks : mapping of str to Sink
            Where the values of each task are.
        proceed : callable
            Called about every second with the number of units in flight; False ends the check.

        Returns
        -------
        bool
            False if it was ended.

        Raises
        ------
        StudyError
            If the numbers are other ones.
        """
        if self.accepted:
            return True
        history, finished, reopened = _recorded(journal)
        schedule = Schedule(self.program, history)
        units = {unit.key: unit for unit in schedule.propose()}
        done = [unit for unit in units.values() if unit.key in finished]
        changes = self._changes()
        problems = [*self._other_inputs(), *self._other_decisions(schedule, units, history, finished, reopened)]
        picks = _pick(done, finished)
        if picks:
            seconds = as_seconds(sum(finished[unit.key]["seconds"] for unit in picks))
            self._notify(
                f"{changes}: {len(picks)} finished units are computed again to compare them ({seconds} of work)"
            )
        arguments = [(sinks[u.task], u, finished[u.key]["sha256"], history[u.key].feedback, options) for u in picks]
        # What is gone is not waited for: a unit without its inputs is skipped.
        context = store.context(self.root.resolve(), self.program, timeout=1.0)
        repetitions = self._repeat(pool, context, arguments, proceed)
        if repetitions is None:
            return False
        checked = sorted(r.key for r in repetitions if r.outcome == "same")
        for repetition in repetitions:
            if repetition.outcome == "other":
                on = f" on {repetition.worker} with {repetition.versions}" if repetition.versions else ""
                texts = repetition.differences or {"": "its bits differ"}
                problems += [
                    f"{repetition.key}{on}: {name} {text}".replace(":  ", ": ") for name, text in texts.items()
                ]
        if problems:
            raise StudyError([Problem((), self._other_numbers(changes, problems))], Source(str(self.root)))
        tasks = {_group(unit.task) for unit in done}
        unchecked = sorted(tasks - {_group(units[key].task) for key in checked})
        if unchecked:
            self._notify(
                f"nothing of {', '.join(unchecked)} could be compared: the data that these units read are gone"
            )
        if checked:
            self._notify(f"{len(checked)} units have the same bits: the run goes on, and the software is recorded")
        self._accepted = self._provenance.accept(self.present.record(), checked=checked, unchecked=unchecked)
        return True

    @property
    def changed(self) -> str:
        """What is not as recorded, in words; empty if all is, or if nothing is recorded."""
        return self._changes() if self.records and not self.accepted else ""

    def _changes(self) -> str:
        if not self.records:
            return "the run does not say which code has made it"
        return f"{' and '.join(self.present.changes(self.records[-1])[:4])} changed since {self.root.name} was made"

    def _other_numbers(self, changes: str, problems: Sequence[str]) -> str:
        more = [f"and {len(problems) - _NAMED} more"] if len(problems) > _NAMED else []
        lines = ["gives other numbers with the present software, so nothing was written", *problems[:_NAMED], *more]
        lines.append(changes)
        anew = f"start anew: membrane-dask run {self.root / 'study.yaml'} --out {self.root} --fresh"
        lines.append(anew + (recorded_environment(self.present, self.records[-1]) if self.records else ""))
        return "\n  ".join(lines)

    def _other_inputs(self) -> list[str]:
        """Inputs that the present code would write differently."""
        problems = []
        for dataset in self.program.inputs:
            texts = differences(*_stored_and_present(self.root / "result.zarr", dataset))
            problems += [f"{dataset.name}: {name} {text}" for name, text in texts.items()]
        return problems

    def _other_decisions(
        self,
        schedule: Schedule,
        units: Mapping[str, Unit],
        history: Mapping[str, Outcome],
        finished: Mapping[str, Any],
        reopened: bool,
    ) -> list[str]:
        """Finished units that the present code would not ask for, or would give other parameters."""
        problems = []
        unknown = [key for key in history if key not in units]
        if unknown and not reopened:  # the rounds may have asked for others after a unit that was opened again
            problems.append(f"{len(unknown)} finished units are not asked for any more, such as {unknown[0]}")
        recalled = [key for key in schedule.recalled if key in units and key in finished]
        if recalled:
            last, order = recalled[-1], list(units)
            before = {key: history[key] for key in order[: order.index(last)] if key in history}
            again = {unit.key: unit for unit in Schedule(self.program, before).propose()}.get(last)
            if again is not None and again != units[last]:
                names = sorted(n for n in units[last].params if units[last].params[n] != again.params.get(n))
                problems.append(f"{last} would have other parameters: {', '.join(names)}")
        return problems

    def _repeat(
        self, pool: Pool, context: Mapping[str, Any], arguments: Sequence[tuple[Any, ...]],
        proceed: Callable[[int], bool],
    ) -> list[Repetition] | None:  # fmt: skip
        """Compute units again on the workers; None if the run was ended meanwhile."""
        results: list[Repetition] = []
        pool.demand(len(arguments))
        handles: list[Handle] = [
            pool.submit(f"repeat-{number}-{time.time_ns()}", repeat_unit, self.program.work, context, *own)
            for number, own in enumerate(arguments)
        ]
        try:
            while handles:
                if not proceed(len(handles)):
                    return None
                ended = pool.wait(handles, timeout=1.0)
                for handle, result in zip(ended, pool.results(ended), strict=True):
                    if result is RESULT_LOST:
                        continue
                    handles.remove(handle)
                    handle.release()
                    if isinstance(result, Exception):
                        if not pool.is_lost_worker(result):
                            raise worker_error(result)
                        raise ClusterError("the worker died that computed a finished unit again") from result
                    self.accept_worker(result.worker, result.refused, {}, 0)
                    results.append(result)
        finally:
            for handle in handles:
                handle.release()
        return results


def worker_error(error: Exception) -> Exception:
    """The error of a batch: that a worker cannot even load it is a fault of what is installed there."""
    if isinstance(error, ImportError | AttributeError):
        return WorkerSoftwareError(
            f"a worker cannot execute the batches of this driver ({type(error).__name__}: {error}); install the same "
            "version of membrane-dask, and of the package of the study kind, on the workers and start them again"
        )
    return error


def recorded_environment(present: Software, record: Mapping[str, Any]) -> str:
    """Commands that bring back the recorded software, each in a line of its own."""
    changed = present.changed_versions(record)
    lines = []
    if "python" in changed:
        lines.append(f"Python {changed['python'][0]}")
    command = install_command((name, old) for name, (old, _) in changed.items())
    lines += [command] if command else []
    for name in dict.fromkeys(module.partition(".")[0] for module in present.changed_modules(record)):
        package = record.get("packages", {}).get(name, {})
        commit = package.get("git_commit")
        lines.append(f"{name} {package.get('version') or ''}{f', git commit {commit}' if commit else ''}".strip())
    return "".join(f"\n  or go on with the recorded software: {line}" for line in lines)


def _recorded(journal: Journal) -> tuple[dict[str, Outcome], dict[str, dict[str, Any]], bool]:
    """Last outcome of every unit, time and digest of those that were finished, and whether any was opened again.

    A unit that was opened again counts with what it had: its recorded digest is enough to compare it.
    """
    history: dict[str, Outcome] = {}
    finished: dict[str, dict[str, Any]] = {}
    reopened = False
    for record in journal.records():
        feedback = record.get("feedback", {})
        reopened = reopened or "reopened" in record
        for key, seconds, sha256 in zip(
            record.get("done", ()), record.get("seconds", ()), record.get("sha256", ()), strict=False
        ):
            finished[key] = {"seconds": seconds, "sha256": sha256}
            history[key] = Outcome("done", feedback.get(key, {}))
        history |= {key: Outcome("failed") for key in record.get("failed", ()) if key not in finished}
    return history, finished, reopened


def _group(task: str) -> str:
    """Name of a task without the number of its volume: the slabs of all volumes are alike."""
    return re.sub(r"[-_]?\d+$", "", task)


def _pick(done: Sequence[Unit], finished: Mapping[str, Mapping[str, Any]]) -> list[Unit]:
    """Cheap units spread over each task: the cheapest of each of a few equal parts."""
    tasks: dict[str, list[Unit]] = {}
    for unit in done:
        tasks.setdefault(_group(unit.task), []).append(unit)
    picks = []
    for units in tasks.values():
        units.sort(key=lambda unit: (unit.task, unit.index))
        seconds = np.array([finished[unit.key]["seconds"] for unit in units])
        number = int(np.clip(_SECONDS / max(float(np.median(seconds)), 1e-6), _SMALLEST_NUMBER, _LARGEST_NUMBER))
        if seconds.min() > _LONG:
            number = 1
        edges = np.linspace(0, len(units), min(number, len(units)) + 1).astype(int)
        picks += [units[a + int(seconds[a:b].argmin())] for a, b in itertools.pairwise(edges)]
    return picks


def _stored_and_present(result: Path, dataset: Dataset) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Values of an input as they are on disk, and as the program has them; those that cannot be read are left out."""
    import zarr

    stored, present = {}, {}
    for name, value in dataset.values.items():
        try:
            array = np.asarray(zarr.open_array(str(result / dataset.name / name), mode="r")[...])
        except Exception:  # where results are verified, this is reported
            continue
        stored[name], present[name] = array, np.asarray(value).astype(array.dtype)
    return stored, present
