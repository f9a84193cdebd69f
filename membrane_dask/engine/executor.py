"""Execution of a run: submits batches of units, records results, retries and quarantines, and emits events.

A batch is finished when its values and then its journal line are on disk; only then is its future released. A lost
worker therefore costs the batches it held, a lost driver those in flight, and a second start continues where the
journal ends.
"""

from __future__ import annotations

import logging
import math
import os
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from membrane_dask.engine import late_files, store, verification
from membrane_dask.engine.cluster.pools import ALLOWED_FAILURES, RESULT_LOST, Handle, Pool
from membrane_dask.engine.collection import write_collected
from membrane_dask.engine.control_groups import memory_kills, memory_limit
from membrane_dask.engine.events import (
    Collecting,
    FinishedBatch,
    Listener,
    Message,
    Progressed,
    Retried,
    RunningBatch,
    Started,
    Summary,
    UnitQuarantined,
)
from membrane_dask.engine.journal import UNITS_PER_LINE, Damage, Journal
from membrane_dask.engine.late_files import LATE_FILE_TIMEOUT as LATE
from membrane_dask.engine.limits import memory_notes, timeout_note_path
from membrane_dask.engine.lock import DriverLock
from membrane_dask.engine.plan import as_bytes
from membrane_dask.engine.records import failure_path
from membrane_dask.engine.rounds import Schedule
from membrane_dask.engine.software_check import SoftwareCheck, worker_error
from membrane_dask.engine.unit_imports import UnitImports
from membrane_dask.engine.worker import BatchOptions, BatchResult, UnitFailure, run_batch
from membrane_dask.errors import ProgramError
from membrane_dask.files import write_json
from membrane_dask.program import Image, Outcome, Program, Scratch, Table, Unit
from membrane_dask.schema import FAILED

logger = logging.getLogger("membrane_dask")
#: Number of finished units from which on the fraction of failures is checked.
MIN_FINISHED = 20
#: Largest number of messages on lost values.
_MESSAGES = 10


@dataclass
class _Batch:
    units: tuple[Unit, ...]
    attempt: int = 1


class Execution:
    """Execution of one run by one driver.

    Parameters
    ----------
    root : Path
        Run directory, laid out.
    program : Program
        The study made ready to run.
    batch : mapping of str to int
        Units in a chunk, by table, as the result was laid out.
    total : int
        Number of units of the whole run.
    retries : int
        Further attempts before a unit is quarantined.
    failure_limit : float
        Fraction of failed units above which the run stops.
    timeout : float, optional
        Seconds after which a unit has failed.
    memory : str
        Memory at which a worker is ended, with its unit and its source, for messages.
    sync : bool
        Whether a batch is recorded only once its files are on disk.
    listener : callable
        Receives every event.
    software : SoftwareCheck
        Software that has made the run, and that of this process.
    imports : UnitImports
        Earlier runs that hold units of this one.
    retry_failed : bool
        Whether all units that failed are open again; otherwise those are for which the journal requests it.
    seconds : float, optional
        Time from now on, after which the execution ends.
    """

    def __init__(
        self, root: Path, program: Program, batch: Mapping[str, int], total: int,
        *, retries: int, failure_limit: float, timeout: float | None = None, memory: str = "",
        sync: bool = True, listener: Listener, software: SoftwareCheck, imports: UnitImports,
        retry_failed: bool = False, seconds: float | None = None,
    ) -> None:  # fmt: skip
        self.root, self.program, self.total, self.memory = root, program, total, memory
        self.retries, self.failure_limit, self.emit = retries, failure_limit, listener
        # Workers may have been started in another directory.
        self.sinks = store.sinks(root.resolve(), program, batch)
        self._context = store.context(root.resolve(), program)
        self.journal = Journal(root / "journal")
        self._damage = Damage()
        self.history: dict[str, Outcome] = self.journal.history(self._damage)
        self._failed = {key for key, outcome in self.history.items() if outcome.status == "failed"}
        retried = self._failed if retry_failed or not self._failed else self._failed & self.journal.retry_requests()
        self._retried = sorted(retried)  # recorded once the software is confirmed
        if retried:
            self.history = {key: outcome for key, outcome in self.history.items() if key not in retried}
            self._failed = self._failed - retried
        self._unknown = set(self.history)  # units of the journal that the program has not asked for
        self.units: dict[str, Unit] = {}
        targets: list[Table | Image | Scratch] = [*program.tables, *program.images, *program.scratch]
        self._unit_shapes = {target.name: target.unit_shape for target in targets}
        self._keys: dict[tuple[str, tuple[int, ...]], str] = {}
        self._schedule = Schedule(program, self.history)
        self._finished: list[str] = []
        self._queue: deque[_Batch] = deque()
        self._in_flight: dict[Handle, _Batch] = {}
        self._running: dict[Handle, RunningBatch] = {}
        self._busy: set[tuple[str, tuple[int, ...]]] = set()
        self._n_submitted = 0
        self._verified: set[str] = set()
        self._lost: set[str] = set()
        self._recent: deque[tuple[float, list[str]]] = deque()
        self._memory_kills = memory_kills()
        self._timeout_notes = root.resolve() / "logs" / "timeouts"
        for note in self._timeout_notes.glob("memory-*.txt"):  # of earlier jobs
            note.unlink(missing_ok=True)
        self._sync_root = str(root.resolve()) if sync else ""
        self._software = software
        self._deadline = math.inf if seconds is None else time.monotonic() + seconds
        self._imports, self._importable = imports, list[Unit]()
        self._options = BatchOptions(software.requirement, timeout, str(self._timeout_notes), self._sync_root)

    @property
    def has_open_units(self) -> bool:
        """Whether there are units to compute; more may follow from them."""
        return bool(self._queue)

    def resume(self, driver: DriverLock) -> None:
        """Queue the units of the run that are open, after what is finished was read back.

        What was lost since it was recorded is queued again, before units that need it.
        """
        self.enqueue()
        self._verify(driver)

    def enqueue(self) -> None:
        """Queue the units that follow from newly finished ones, in batches of whole chunks."""
        fresh = self._schedule.propose(self._finished)
        self._finished = []
        for unit in fresh:
            self._check(unit)
            self.units[unit.key] = unit
        self._unknown.difference_update(unit.key for unit in fresh)
        chunks: dict[tuple[str, tuple[int, ...]], list[Unit]] = {}
        for unit in fresh:
            if unit.key not in self.history:
                chunks.setdefault(self._chunk(unit), []).append(unit)
        self._queue.extend(_Batch(tuple(units)) for units in chunks.values())
        self._importable += [unit for units in chunks.values() for unit in units if self._imports.may_have(unit)]

    def import_units(self, driver: DriverLock) -> int:
        """Take open units from earlier runs that hold them, with those that follow from them; returns their number."""
        before = len(self.history)
        while self._importable:
            units = [unit for unit in self._importable if self._chunk(unit) not in self._busy]
            self._importable = []
            outcomes = self._imports.take(units, self.sinks, self.journal, lambda: self.may_proceed(driver))
            self.history.update(outcomes)
            self._finished += outcomes
            rests = [(tuple(u for u in b.units if u.key not in outcomes), b.attempt) for b in self._queue]
            self._queue = deque(_Batch(rest, attempt) for rest, attempt in rests if rest)
            self.enqueue()
            if not self._queue and not self._in_flight:
                self._verify(driver)
        return len(self.history) - before

    def may_proceed(self, driver: DriverLock, in_flight: int = 0, dashboard: str | None = None) -> bool:
        """Give a sign of life; False if the run was cancelled or its time is up."""
        driver.heartbeat(in_flight, dashboard)
        return not driver.cancelled() and time.monotonic() <= self._deadline

    def _check(self, unit: Unit) -> None:
        """Refuse a unit that has no storage, or that of another unit.

        Raises
        ------
        ProgramError
            For an unknown task, an index outside its table, image or scratch data, or an index that is taken.
        """
        shape = self._unit_shapes.get(unit.task)
        message = ""
        if shape is None:
            message = f"the unit {unit.key!r} has the task {unit.task!r}; valid: {', '.join(self._unit_shapes)}"
        elif len(unit.index) != len(shape) or not all(0 <= i < n for i, n in zip(unit.index, shape, strict=True)):
            message = f"the unit {unit.key!r} has the index {unit.index}, but {unit.task!r} has the units {shape}"
        elif (other := self._keys.setdefault((unit.task, unit.index), unit.key)) != unit.key:
            message = f"the units {other!r} and {unit.key!r} have the same index {unit.index} in {unit.task!r}"
        if message:
            raise ProgramError(f"study kind {self.program.kind!r}: {message}")

    def _chunk(self, unit: Unit) -> tuple[str, tuple[int, ...]]:
        return unit.task, self.sinks[unit.task].chunk(unit)

    def run(self, pool: Pool, driver: DriverLock, limit: int | None = None) -> Summary:
        """Execute units until all have finished, ``limit`` of them have, time is up, or the run is cancelled.

        :meth:`resume` comes first.
        """
        finished_before = Counter(unit.task for key, unit in self.units.items() if self._is_done(key))
        self.emit(Started(self.total, *self._counts(), pool.dashboard, self.program.adaptive, finished_before))
        if str(self._damage):
            self.emit(Message(f"the journal of {self.root} is {self._damage}"))
        start = len(self.history)
        reason = "finished"
        try:
            confirmed = limit == 0 or self.confirm_software(pool, driver)
            while self._queue or self._in_flight or not confirmed:
                driver.heartbeat(sum(len(b.units) for b in self._in_flight.values()), pool.dashboard)
                if driver.cancelled() or time.monotonic() > self._deadline or not confirmed:
                    reason = "cancelled" if driver.cancelled() else "time is up"
                    break
                start += self.import_units(driver)
                if not self._queue and not self._in_flight:
                    continue  # the last units were imported
                pool.demand(len(self._queue) + len(self._in_flight))
                sent = sum(len(batch.units) for batch in self._in_flight.values())
                self._submit(pool, self.total if limit is None else limit - (len(self.history) - start) - sent)
                if not self._in_flight:
                    reason = "limit"
                    break
                finished = pool.wait(list(self._in_flight), timeout=1.0)
                with self.journal.buffered():
                    results = zip(finished, pool.results(finished), strict=True)
                    # An error that stops the run comes after what is finished.
                    ordered = sorted(results, key=lambda pair: _stops(pair[1]))
                    batches = [self._settle(*pair, pool) for pair in ordered if pair[1] is not RESULT_LOST]
                running = tuple(self._running.values())
                open_units = len(self.units) - sum(self._counts()) if self.program.adaptive else None
                self.emit(Progressed(*self._counts(), batches, running, open_units))  # once they are on disk
                if self._too_many_failures():
                    reason = "too many failures"
                    break
                self.enqueue()
                if not self._queue and not self._in_flight:
                    self._verify(driver)
        finally:
            while self._in_flight:
                self._in_flight.popitem()[0].release()
            self._running.clear()
            self._busy.clear()
        done, failed = self._counts()
        left = self.total - done - failed
        if reason == "finished" and (self.program.adaptive or failed):
            left = 0  # no more units are needed, or those left need units that failed
        if reason == "finished" and left:
            message = (
                f"rounds() asked for {done + failed} of {self.total} units; an adaptive program sets adaptive = True"
            )
            raise ProgramError(f"study kind {self.program.kind!r}: {message}")
        return Summary(done, failed, left, reason)

    def confirm_software(self, pool: Pool, driver: DriverLock) -> bool:
        """Check, before anything is written, that the present software gives the numbers of the run; False to stop."""

        def proceed(in_flight: int) -> bool:
            return self.may_proceed(driver, in_flight, pool.dashboard)

        if not self._software.confirm(pool, self.journal, self._options, self.sinks, proceed):
            return False
        self.journal.reopen(self._retried)
        self._retried = []
        return True

    def _counts(self) -> tuple[int, int]:
        failed = len(self._failed - self._unknown) if self._unknown else len(self._failed)
        return len(self.history) - len(self._unknown) - failed, failed

    def _submit(self, pool: Pool, budget: int) -> None:
        """Submit at most ``budget`` units to idle slots; of the batches of one chunk, one is in flight at a time."""
        # No batch is submitted ahead: it would wait at one worker while another one is idle.
        slots = pool.slots
        for _ in range(len(self._queue)):
            if len(self._in_flight) >= slots or budget <= 0:
                break
            batch = self._queue.popleft()
            chunk = self._chunk(batch.units[0])
            if chunk in self._busy:
                self._queue.append(batch)
                continue
            if len(batch.units) > budget:
                self._queue.append(_Batch(batch.units[budget:], batch.attempt))
                batch = _Batch(batch.units[:budget], batch.attempt)
            self._n_submitted += 1
            name = f"{batch.units[0].key}-{os.getpid()}-{self._n_submitted}"
            sink = self.sinks[batch.units[0].task]
            handle = pool.submit(name, run_batch, self.program.work, self._context, sink, batch.units,
                                 self._options)  # fmt: skip
            self._running[handle] = RunningBatch(batch.units[0].task, len(batch.units), time.monotonic())
            self._in_flight[handle] = batch
            self._busy.add(chunk)
            budget -= len(batch.units)

    def _settle(self, handle: Handle, result: BatchResult | Exception, pool: Pool) -> FinishedBatch:
        batch = self._in_flight.pop(handle)
        seconds = time.monotonic() - self._running.pop(handle).submitted
        self._busy.discard(self._chunk(batch.units[0]))
        handle.release()
        if isinstance(result, Exception):
            if not pool.is_lost_worker(result):
                raise worker_error(result)  # for example writing on a full disk: no fault of the unit
            result = self._isolate(batch, result)
        n_units, computing = len(result.seconds), sum(result.seconds.values())
        self._software.accept_worker(result.worker, result.refused, result.versions, n_units)
        self._record(batch, result)
        return FinishedBatch(batch.units[0].task, n_units, result.worker, seconds, computing)

    def _isolate(self, batch: _Batch, error: BaseException) -> BatchResult:
        """Handle a batch whose workers died: one of its units may be the cause, so each is submitted alone."""
        for unit in batch.units:
            note = timeout_note_path(self._timeout_notes, unit.key)
            if note.exists():  # the worker ended itself, because this unit did not stop
                message = note.read_text(encoding="utf-8")
                note.unlink()
                remaining = tuple(other for other in batch.units if other is not unit)
                if remaining:
                    self._queue.appendleft(_Batch(remaining, batch.attempt))
                return BatchResult(failures={unit.key: UnitFailure(f"TimeoutError: {message}", message, killed=True)})
        if len(batch.units) > 1:
            self._queue.extendleft(_Batch((unit,), batch.attempt) for unit in reversed(batch.units))
            self.emit(Retried(tuple(u.key for u in batch.units), "their worker died; each is submitted alone"))
            return BatchResult()
        message = f"this unit ran on {ALLOWED_FAILURES + 1} workers, as one may die by chance, and each of them died"
        if self.memory:
            message += f"; a worker that uses more than {self.memory} is ended, see the log"
        if (kills := memory_kills() - self._memory_kills) > 0:
            limit = memory_limit()
            message = (
                f"the system killed the worker process that ran this unit: all processes together needed more than "
                f"{as_bytes(limit.value)}, {limit.source} ({kills} killed); use fewer workers, smaller "
                f"blocks, or a container or job with more memory, then: membrane-dask retry {self.root}"
            )
            self._memory_kills += kills
        message = "; ".join([message, *memory_notes(self._timeout_notes)])
        logger.warning("%s: %s", batch.units[0].key, error)
        return BatchResult(failures={batch.units[0].key: UnitFailure(f"KilledWorker: {message}", message, killed=True)})

    def _record(self, batch: _Batch, result: BatchResult) -> None:
        finished = [unit for unit in batch.units if unit.key in result.seconds]
        with self.journal.buffered():
            for start in range(0, len(finished), UNITS_PER_LINE):
                units = finished[start : start + UNITS_PER_LINE]
                addresses = [address for unit in units if (address := self._imports.addresses(unit))]
                addressed = {"address": addresses} if addresses else {}
                self.journal.append({**result.record(units), **addressed, "attempt": batch.attempt})
        if finished:
            keys = [unit.key for unit in finished]
            self.history.update((key, Outcome("done", result.feedback[key])) for key in keys)
            self._finished += keys
            self._recent.append((time.monotonic(), keys))
            while self._recent[0][0] + LATE < time.monotonic():
                self._recent.popleft()
        retried = []
        for unit in batch.units:
            if unit.key not in result.failures:
                continue
            if batch.attempt <= self.retries:
                retried.append(unit)
            else:
                self._quarantine(unit, batch.attempt, result.failures[unit.key])
        if retried:
            self._queue.extend(_Batch((unit,), batch.attempt + 1) for unit in retried)
            self.emit(Retried(tuple(u.key for u in retried), result.failures[retried[0].key].error))

    def _quarantine(self, unit: Unit, attempts: int, failure: UnitFailure) -> None:
        """Record all that is needed to understand a failure, then mark the unit."""
        write_json(
            failure_path(self.root, unit.key),
            {
                "key": unit.key,
                "task": unit.task,
                "params": dict(unit.params),
                "seed": list(unit.seed),
                "attempts": attempts,
                "error": failure.error,
                "traceback": failure.traceback,
                "killed_its_worker": failure.killed,
                "permanent": failure.permanent,
                "replay": f"membrane-dask replay {self.root} {unit.key}",
            },
        )
        self.sinks[unit.task].mark([unit], FAILED)
        self.journal.append({"failed": [unit.key], "error": failure.error, "attempt": attempts})
        self.history[unit.key] = Outcome("failed")
        self._finished.append(unit.key)
        self._failed.add(unit.key)
        self.emit(UnitQuarantined(unit.key, failure.error))

    def _too_many_failures(self) -> bool:
        done, failed = self._counts()
        return done + failed >= MIN_FINISHED and failed > self.failure_limit * (done + failed)

    def _verify(self, driver: DriverLock) -> None:
        """Read finished units back, and queue those again whose values are not what was written.

        Values are lost when a worker that was given up continues to write, with a node, or with a file system.
        """
        written = verification.written_units(self.journal)
        complete = self.journal.collected() and not self._failed and not self._retried
        gone = {task for task, sink in self.sinks.items() if sink.temporary and complete}
        unverified = [
            unit
            for key, unit in self.units.items()
            if self._is_done(key) and key not in self._verified and unit.task not in gone
        ]

        def faults_of(units: list[Unit]) -> list[verification.Fault]:
            return verification.verify_units(
                self.sinks, units, written, self.root.resolve(), lambda count: driver.heartbeat(0)
            )

        faults = faults_of(unverified)
        if faults and self._may_be_late({key for fault in faults for key in fault.units}):
            late = [self.units[key] for fault in faults for key in fault.units]
            faults = late_files.check_until_visible(lambda: faults_of(late))
        self._verified.update(unit.key for unit in unverified)
        self._mark_failed()
        lost = [key for fault in faults for key in fault.units]
        if lost:
            # Units that are computed again may need what a complete run has removed.
            lost += [key for key, unit in self.units.items() if self._is_done(key) and unit.task in gone]
            self._reopen(lost, [str(fault) for fault in faults])

    def _may_be_late(self, keys: set[str]) -> bool:
        """Whether units were written so recently that their values may not be visible on this host yet."""
        recent = {key for recorded, keys in self._recent for key in keys if time.monotonic() < recorded + LATE}
        return not keys.isdisjoint(recent | late_files.recent_elsewhere(self.journal))

    def _reopen(self, lost: list[str], reasons: list[str]) -> None:
        """Compute units again, in the order that the rounds of the program give them."""
        lost_again = [key for key in lost if key in self._lost]
        if lost_again:
            raise OSError(f"{self.root} loses data, check its file system: {lost_again[0]} was lost twice")
        self._lost.update(lost)
        self._verified.difference_update(lost)
        self.journal.reopen(lost)
        for key in lost:
            del self.history[key]
        for reason in reasons[:_MESSAGES]:
            self.emit(Message(f"lost: {reason}"))
        if len(reasons) > _MESSAGES:
            self.emit(Message(f"lost: {len(reasons) - _MESSAGES} more files or chunks"))
        self.emit(Retried(tuple(lost), "their values were missing from the result, or altered"))
        self._schedule = Schedule(self.program, self.history)
        self._queue.clear()
        self._importable.clear()
        self.enqueue()

    def _mark_failed(self) -> None:
        """Set the status of failed units that was lost with its chunk."""
        for task, sink in self.sinks.items() if self._failed else ():
            failed = [unit for key, unit in self.units.items() if unit.task == task and key in self._failed]
            sink.mark(sink.unmarked(failed, FAILED), FAILED)

    def collect(self) -> None:
        """Write the tables that follow from the finished units, which :meth:`run` has read back, and pyramids."""
        self.emit(Collecting())
        if self._unknown:
            number, example = len(self._unknown), min(self._unknown)
            self.emit(Message(f"the journal lists {number} units that the study does not have, such as {example!r}"))
        history = {key: o for key, o in self.history.items() if key in self.units} if self._unknown else self.history
        write_collected(self.root, self.program, self._read, history, sync=bool(self._sync_root))
        self.journal.append({"collected": True})
        if not self._failed:
            for sink in self.sinks.values():
                if sink.temporary:
                    sink.remove()

    def _read(self, task: str, *only: Sequence[str]) -> Any:
        """A table, or the arrays of every finished unit of scratch data, or some of them."""
        finished = [unit for key, unit in self.units.items() if unit.task == task and self._is_done(key)]
        return self.sinks[task].collect(finished, *only)

    def _is_done(self, key: str) -> bool:
        return key in self.history and self.history[key].status == "done"


def _stops(result: Any) -> bool:
    return isinstance(result, Exception) or (isinstance(result, BatchResult) and result.refused is not None)
