"""Execution of a run: submits batches of units, records results, retries and quarantines, and emits events.

A batch is finished when its values and then its journal line are on disk; only then is its future released. A lost
worker therefore costs the batches it held, a lost driver those in flight, and a second start continues where the
journal ends.
"""

from __future__ import annotations

import logging
import math
import os
import re
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from membrane_dask import __version__
from membrane_dask.engine import store
from membrane_dask.engine.cluster.pools import ALLOWED_FAILURES, Handle, Pool
from membrane_dask.engine.events import (
    Collecting,
    Listener,
    Progressed,
    Retried,
    SetAside,
    Started,
    Summary,
)
from membrane_dask.engine.journal import Journal
from membrane_dask.engine.limits import timeout_note_path
from membrane_dask.engine.lock import DriverLock
from membrane_dask.engine.plan import as_bytes
from membrane_dask.engine.rounds import schedule
from membrane_dask.engine.worker import BatchOptions, BatchResult, UnitFailure, run_batch
from membrane_dask.files import write_json
from membrane_dask.io import ome_zarr
from membrane_dask.program import Outcome, Program, Unit
from membrane_dask.schema import FAILED

logger = logging.getLogger("membrane_dask")
#: Finished units from which on the share of failures is judged.
JUDGED_FROM = 20


@dataclass
class _Batch:
    units: tuple[Unit, ...]
    attempt: int = 1


class Execution:
    """One driver's work on one run.

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
        Further attempts before a unit is set aside.
    failure_limit : float
        Share of failed units above which the run stops.
    timeout : float, optional
        Seconds after which a unit has failed.
    memory : int, optional
        Bytes that a worker has.
    listener : callable
        Gets every event.
    """

    def __init__(
        self, root: Path, program: Program, batch: Mapping[str, int], total: int,
        *, retries: int, failure_limit: float, timeout: float | None = None, memory: int | None = None,
        listener: Listener,
    ) -> None:  # fmt: skip
        self.root, self.program, self.total, self.memory = root, program, total, memory
        self.retries, self.failure_limit, self.emit = retries, failure_limit, listener
        # Workers may have been started in another directory.
        self.sinks = store.sinks(root.resolve(), program, batch)
        self._context = store.context(root.resolve(), program)
        self.journal = Journal(root / "journal")
        self.history: dict[str, Outcome] = self.journal.history()
        self._failed = {key for key, outcome in self.history.items() if outcome.status == "failed"}
        self.known: dict[str, Unit] = {}
        self._schedule = schedule(program, self.history)
        self._finished: list[str] = []
        self._queue: deque[_Batch] = deque()
        self._flight: dict[Handle, _Batch] = {}
        self._busy: set[tuple[str, tuple[int, ...]]] = set()
        self._sent = 0
        self._verified: set[str] = set()
        self._torn: set[str] = set()
        self._notes = root.resolve() / "logs" / "timeouts"
        self._terms = BatchOptions(__version__, timeout, str(self._notes))

    # -- proposing ------------------------------------------------------------------------

    def propose(self) -> None:
        """Queue the units that the history newly allows, as batches of whole chunks."""
        fresh = self._schedule.propose(self._finished)
        self._finished = []
        self.known.update((unit.key, unit) for unit in fresh)
        chunks: dict[tuple[str, tuple[int, ...]], list[Unit]] = {}
        for unit in fresh:
            if unit.key not in self.history:
                chunks.setdefault(self._chunk(unit), []).append(unit)
        self._queue.extend(_Batch(tuple(units)) for units in chunks.values())

    def _chunk(self, unit: Unit) -> tuple[str, tuple[int, ...]]:
        return unit.task, self.sinks[unit.task].chunk(unit)

    # -- the loop -------------------------------------------------------------------------

    def run(self, pool: Pool, driver: DriverLock, limit: int | None = None, seconds: float | None = None) -> Summary:
        """Work until all is finished, ``limit`` units are, time is up, or somebody asks to stop."""
        deadline = math.inf if seconds is None else time.monotonic() + seconds
        self.propose()
        done, failed = self._counts()
        self.emit(Started(self.total, done, failed, pool.dashboard, self.program.adaptive))
        start = len(self.history)
        reason = "finished"
        try:
            while self._queue or self._flight:
                driver.heartbeat(sum(len(b.units) for b in self._flight.values()), pool.dashboard)
                if driver.cancelled() or time.monotonic() > deadline:
                    reason = "cancelled" if driver.cancelled() else "time is up"
                    break
                pool.demand(len(self._queue) + len(self._flight))
                sent = sum(len(batch.units) for batch in self._flight.values())
                self._submit(pool, self.total if limit is None else limit - (len(self.history) - start) - sent)
                if not self._flight:
                    reason = "limit"
                    break
                finished = pool.wait(list(self._flight), timeout=1.0)
                seconds = 0.0
                with self.journal.buffered():
                    for handle, result in zip(finished, pool.results(finished), strict=True):
                        seconds += self._settle(handle, result, pool)
                if finished:  # said once it is on disk
                    self.emit(Progressed(*self._counts(), seconds))
                if self._too_many_failures():
                    reason = "too many failures"
                    break
                self.propose()
                if not self._queue and not self._flight:
                    self._verify()
        finally:
            for handle in self._flight:
                handle.release()
            self._flight.clear()
            self._busy.clear()
        done, failed = self._counts()
        left = self.total - done - failed
        if reason == "finished" and (self.program.adaptive or failed):
            left = 0  # no more units are needed, or those left need units that failed
        if reason == "finished" and left:
            raise RuntimeError(f"the program proposed {done + failed} of {self.total} planned units and no more")
        return Summary(done, failed, left, reason)

    def _counts(self) -> tuple[int, int]:
        return len(self.history) - len(self._failed), len(self._failed)

    def _submit(self, pool: Pool, budget: int) -> None:
        """Fill the window with at most ``budget`` units; a chunk in flight has its other batches wait."""
        # None is sent ahead: it would wait at one worker while another has nothing to do.
        window = pool.slots
        for _ in range(len(self._queue)):
            if len(self._flight) >= window or budget <= 0:
                break
            batch = self._queue.popleft()
            chunk = self._chunk(batch.units[0])
            if chunk in self._busy:
                self._queue.append(batch)
                continue
            if len(batch.units) > budget:
                self._queue.append(_Batch(batch.units[budget:], batch.attempt))
                batch = _Batch(batch.units[:budget], batch.attempt)
            self._sent += 1
            name = f"{batch.units[0].key}-{os.getpid()}-{self._sent}"
            sink = self.sinks[batch.units[0].task]
            handle = pool.submit(name, run_batch, self.program.work, self._context, sink, batch.units,
                                 self._terms)  # fmt: skip
            self._flight[handle] = batch
            self._busy.add(chunk)
            budget -= len(batch.units)

    def _settle(self, handle: Handle, result: BatchResult | Exception, pool: Pool) -> float:
        batch = self._flight.pop(handle)
        self._busy.discard(self._chunk(batch.units[0]))
        handle.release()
        if isinstance(result, Exception):
            if not pool.is_lost_worker(result):
                raise result  # writing failed (a full disk, say): no unit's fault, and no worker's
            result = self._suspect(batch, result)
        self._record(batch, result)
        return sum(result.seconds.values())

    def _suspect(self, batch: _Batch, error: BaseException) -> BatchResult:
        """A batch whose workers died: one of its units may be the cause, so each goes alone."""
        for unit in batch.units:
            note = timeout_note_path(self._notes, unit.key)
            if note.exists():  # the worker ended itself, as this unit did not stop
                words = note.read_text(encoding="utf-8")
                note.unlink()
                others = tuple(other for other in batch.units if other is not unit)
                if others:
                    self._queue.appendleft(_Batch(others, batch.attempt))
                return BatchResult(failures={unit.key: UnitFailure(f"TimeoutError: {words}", words, killed=True)})
        if len(batch.units) > 1:
            self._queue.extendleft(_Batch((unit,), batch.attempt) for unit in reversed(batch.units))
            self.emit(Retried(tuple(u.key for u in batch.units), "their worker died; each is sent alone"))
            return BatchResult()
        words = f"the worker process died while it ran this unit ({ALLOWED_FAILURES + 1} times)"
        if self.memory:
            words += f"; a worker is ended when it takes more than {as_bytes(self.memory)}, which the log would tell"
        logger.warning("%s: %s", batch.units[0].key, error)
        return BatchResult(failures={batch.units[0].key: UnitFailure(f"KilledWorker: {words}", words, killed=True)})

    def _record(self, batch: _Batch, receipt: BatchResult) -> None:
        if receipt.seconds:
            keys = list(receipt.seconds)
            self.journal.append(
                {
                    "done": keys,
                    "seconds": list(receipt.seconds.values()),
                    "memory": list(receipt.memory.values()),
                    "sha256": list(receipt.sha256.values()),
                    "feedback": {key: value for key, value in receipt.feedback.items() if value},
                    "worker": receipt.worker,
                    "attempt": batch.attempt,
                }
            )
            self.history.update((key, Outcome("done", receipt.feedback[key])) for key in keys)
            self._finished += keys
        again = []
        for unit in batch.units:
            if unit.key not in receipt.failures:
                continue
            if batch.attempt <= self.retries:
                again.append(unit)
            else:
                self._set_aside(unit, batch.attempt, receipt.failures[unit.key])
        if again:
            self._queue.extend(_Batch((unit,), batch.attempt + 1) for unit in again)
            self.emit(Retried(tuple(u.key for u in again), receipt.failures[again[0].key].error))

    def _set_aside(self, unit: Unit, attempts: int, failure: UnitFailure) -> None:
        """Write down all that is needed to understand a failure, then mark it."""
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
                "replay": f"membrane-dask replay {self.root} {unit.key}",
            },
        )
        self.sinks[unit.task].mark([unit], FAILED)
        self.journal.append({"failed": [unit.key], "error": failure.error, "attempt": attempts})
        self.history[unit.key] = Outcome("failed")
        self._finished.append(unit.key)
        self._failed.add(unit.key)
        self.emit(SetAside(unit.key, failure.error))

    def _too_many_failures(self) -> bool:
        done, failed = self._counts()
        return done + failed >= JUDGED_FROM and failed > self.failure_limit * (done + failed)

    def _verify(self) -> None:
        """Read back what the journal calls done, and queue again what is not what was written.

        A worker that was given up and went on writing, a second driver that was cut off, or a chunk
        lost with a file system leave such traces; in a sound run there are none.
        """
        written: dict[str, str] = {}
        for record in self.journal.records():
            written.update(zip(record.get("done", ()), record.get("sha256", ()), strict=False))
        open_ = [
            unit for key, unit in self.known.items() if key not in self._verified and self.history[key].status == "done"
        ]
        torn = []
        for task, sink in self.sinks.items():
            if sink.verified:
                mine = [unit for unit in open_ if unit.task == task]
                torn += [unit for unit, sha in sink.digests(mine) if sha != written.get(unit.key)]
        self._verified.update(unit.key for unit in open_)
        twice = [unit.key for unit in torn if unit.key in self._torn]
        if twice:
            raise OSError(f"what is written to {self.root} does not stay written: {twice[0]} was lost twice")
        if torn:
            self._torn.update(unit.key for unit in torn)
            self._verified.difference_update(self._torn)
            self.journal.append({"reopened": [unit.key for unit in torn]})
            for unit in torn:
                del self.history[unit.key]
                self._queue.append(_Batch((unit,)))
            self.emit(Retried(tuple(u.key for u in torn), "their values were missing from the result"))

    # -- after the loop -------------------------------------------------------------------

    def collect(self) -> None:
        """Write the tables that follow from the finished units, and the pyramids of volumes."""
        self.emit(Collecting())
        for image in self.program.images:
            if image.voxel_size_nm is not None:
                ome_zarr.build_pyramid(store.volume_path(self.root, image.name))
        for dataset in self.program.collect(self._read, self.history):
            store.create_dataset(self.root / "result.zarr", dataset)
        self.journal.append({"collected": True})
        if not self._failed:
            for sink in self.sinks.values():
                if sink.temporary:
                    sink.remove()

    def _read(self, task: str) -> Any:
        """A table, or the arrays of every finished unit of scratch data."""
        finished = [unit for key, unit in self.known.items() if unit.task == task and self._is_done(key)]
        return self.sinks[task].collect(finished)

    def _is_done(self, key: str) -> bool:
        return key in self.history and self.history[key].status == "done"


def failure_path(root: Path, key: str) -> Path:
    """Where a unit that was set aside is described."""
    return root / "failures" / f"{re.sub(r'[^A-Za-z0-9=.,_+-]', '_', key)}.json"
