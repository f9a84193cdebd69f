"""Execution of a program's rounds: drives its generators with the outcomes of finished units."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from membrane_dask.errors import ProgramError
from membrane_dask.program import History, Outcome, Program, Recall, Rounds, Submit, Unit, UnitFailed


@dataclass(eq=False)
class _Branch:
    """A generator, and what it waits for."""

    generator: Rounds
    parent: tuple[_Branch, int] | None = None
    received: list[Any] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    pending: int = 0
    started: bool = False


class Schedule:
    """Units of a program in the order in which its rounds ask for them.

    Parameters
    ----------
    program : Program
        Its generators are driven from their beginning.
    history : mapping of str to Outcome
        Finished units, kept up to date by the caller; those that are there already count at once, so that a resumed
        run continues where it ended.
    """

    def __init__(self, program: Program, history: History) -> None:
        self._history = history
        self._waiting: dict[str, list[tuple[_Branch, int]]] = {}
        self._kind = program.kind
        self._proposed: dict[str, Unit] = {}
        self._fresh: list[Unit] = []
        #: Keys of the units whose recorded outcome a round has asked for.
        self.recalled: list[str] = []
        self._ready: deque[_Branch] = deque([_Branch(program.rounds())])

    def propose(self, finished: Iterable[str] = ()) -> Sequence[Unit]:
        """Units that may be computed now and were not returned before, finished ones included.

        Parameters
        ----------
        finished : iterable of str
            Units that were added to the history since the last call.
        """
        for key in finished:
            for branch, position in self._waiting.pop(key, ()):
                self._deliver(branch, position, self._history[key], key)
        while self._ready:
            self._advance(self._ready.popleft())
        fresh, self._fresh = self._fresh, []
        return fresh

    def _advance(self, branch: _Branch) -> None:
        """Resume a generator with what it waited for, until it waits again or ends."""
        received, failed = branch.received, branch.failed
        branch.received, branch.failed = [], []
        try:
            if failed:
                request = branch.generator.throw(UnitFailed(list(dict.fromkeys(failed)), received))
            else:
                request = branch.generator.send(received if branch.started else None)
            branch.started = True
            while isinstance(request, Submit | Recall):
                if isinstance(request, Recall):
                    self.recalled.append(request.key)
                    request = branch.generator.send(self._history.get(request.key))
                    continue
                for unit in request.units:
                    self._propose(unit)
                request = branch.generator.send(None)
        except StopIteration as stop:
            self._end(branch, stop.value, [])
        except UnitFailed as failure:
            self._end(branch, None, list(failure.keys))
        else:
            if not isinstance(request, Iterable) or isinstance(request, str):
                message = f"rounds() must yield a list of units and generators (got {request!r})"
                raise ProgramError(f"study kind {self._kind!r}: {message}")
            self._wait(branch, list(request))

    def _wait(self, branch: _Branch, items: list[Any]) -> None:
        branch.received, branch.pending = [None] * len(items), len(items)
        if not items:
            self._ready.append(branch)
        for position, item in enumerate(items):
            if not isinstance(item, Unit):
                self._ready.append(_Branch(item, (branch, position)))
                continue
            self._propose(item)
            outcome = self._history.get(item.key)
            if outcome is None:
                self._waiting.setdefault(item.key, []).append((branch, position))
            else:
                self._deliver(branch, position, outcome, item.key)

    def _propose(self, unit: Unit) -> None:
        earlier = self._proposed.get(unit.key)
        if earlier is None:
            self._proposed[unit.key] = unit
            self._fresh.append(unit)
        elif (earlier.task, earlier.index, earlier.seed) != (unit.task, unit.index, unit.seed):
            raise ProgramError(f"study kind {self._kind!r}: two different units have the key {unit.key!r}")

    def _deliver(self, branch: _Branch, position: int, outcome: Outcome, key: str) -> None:
        self._resolve(branch, position, outcome, [key] if outcome.status == "failed" else [])

    def _resolve(self, branch: _Branch, position: int, result: Any, failed: list[str]) -> None:
        branch.received[position] = result
        branch.failed += failed
        branch.pending -= 1
        if branch.pending == 0:
            self._ready.append(branch)

    def _end(self, branch: _Branch, result: Any, failed: list[str]) -> None:
        if branch.parent is not None:
            self._resolve(*branch.parent, result, failed)


def all_units(program: Program, history: History) -> Iterator[Unit]:
    """Units that a program has asked for, given what is finished."""
    yield from Schedule(program, history).propose()
