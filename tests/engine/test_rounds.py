"""Rounds: generators of units, driven with the outcomes of finished units."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from membrane_dask.engine.rounds import Schedule
from membrane_dask.errors import ProgramError
from membrane_dask.program import Outcome, Program, Rounds, Submit, Unit, UnitFailed, settle


def unit(key: str) -> Unit:
    return Unit(key, "task", (0,), {}, (0,))


class RoundsProgram(Program):
    """A program with the rounds of a function."""

    kind = "rounds"

    def __init__(self, rounds) -> None:
        self._rounds = rounds

    def rounds(self) -> Rounds:
        return self._rounds()


def finish(schedule: Schedule, history: dict[str, Outcome], *keys: str, status="done") -> list[str]:
    history.update((key, Outcome(status, {"value": float(len(history))})) for key in keys)
    return [u.key for u in schedule.propose(keys)]


def test_a_round_waits_for_all_its_units_and_receives_their_outcomes_in_order():
    received = []

    def rounds():
        received.append((yield [unit("a"), unit("b")]))
        received.append((yield [unit("c")]))

    history: dict[str, Outcome] = {}
    schedule = Schedule(RoundsProgram(rounds), history)
    assert [u.key for u in schedule.propose()] == ["a", "b"]
    assert finish(schedule, history, "b") == []
    assert finish(schedule, history, "a") == ["c"]
    assert finish(schedule, history, "c") == []
    assert [[o.feedback["value"] for o in round_] for round_ in received] == [[1.0, 0.0], [2.0]]


def test_branches_run_concurrently_and_return_values():
    returned = []

    def branch(name, count):
        for number in range(count):
            yield [unit(f"{name}{number}")]
        return name * count

    def rounds():
        returned.append((yield [branch("a", 2), unit("x"), branch("b", 1)]))

    history: dict[str, Outcome] = {}
    schedule = Schedule(RoundsProgram(rounds), history)
    assert {u.key for u in schedule.propose()} == {"a0", "x", "b0"}
    assert finish(schedule, history, "b0", "x") == []
    assert finish(schedule, history, "a0") == ["a1"]
    assert finish(schedule, history, "a1") == []
    assert returned == [["aa", history["x"], "b"]]


def test_a_failed_unit_raises_and_ends_its_branch_only():
    events = []

    def branch(name):
        try:
            yield [unit(f"{name}0"), unit(f"{name}1")]
        except UnitFailed as failure:
            events.append((name, failure.keys, [o.status for o in failure.outcomes]))
            raise
        yield [unit(f"{name}2")]

    def rounds():
        try:
            yield [branch("a"), branch("b")]
        except UnitFailed as failure:
            events.append(("root", failure.keys))

    history: dict[str, Outcome] = {}
    schedule = Schedule(RoundsProgram(rounds), history)
    schedule.propose()
    assert finish(schedule, history, "a0", status="failed") == []  # the round waits for the other unit
    assert finish(schedule, history, "a1", "b0", "b1") == ["b2"]
    assert finish(schedule, history, "b2") == []
    assert events == [("a", ("a0",), ["failed", "done"]), ("root", ("a0",))]


def test_settle_receives_failed_outcomes():
    received = []

    def rounds():
        received.extend((yield from settle([unit("a"), unit("b")])))

    history = {"a": Outcome("failed"), "b": Outcome("done")}
    assert [u.key for u in Schedule(RoundsProgram(rounds), history).propose()] == ["a", "b"]
    assert [outcome.status for outcome in received] == ["failed", "done"]


def test_submit_starts_units_that_are_waited_for_later():
    def rounds():  # a window of two units
        for number in range(4):
            yield Submit([unit(str(number))])
            if number:
                yield [unit(str(number - 1))]

    history: dict[str, Outcome] = {}
    schedule = Schedule(RoundsProgram(rounds), history)
    assert [u.key for u in schedule.propose()] == ["0", "1"]
    assert finish(schedule, history, "1") == []
    assert finish(schedule, history, "0") == ["2", "3"]


def test_an_empty_round_and_no_units():
    def rounds():
        assert (yield []) == []
        yield [unit("a")]

    assert [u.key for u in Schedule(RoundsProgram(rounds), {}).propose()] == ["a"]
    assert list(Schedule(RoundsProgram(lambda: iter_nothing()), {}).propose()) == []


def iter_nothing():
    return
    yield


@settings(suppress_health_check=[HealthCheck.too_slow])  # on a busy machine
@given(order=st.permutations(range(12)), split=st.integers(0, 12))
def test_a_resumed_run_asks_for_the_same_units(order, split):
    """The order in which units finish, and a resumption at any time, do not change which units there are."""

    def branch(name):
        total = 0.0
        for number in range(3):
            outcomes = yield [unit(f"{name}{number}.{i}.{total:g}") for i in range(2)]
            total += sum(outcome.feedback["value"] for outcome in outcomes)

    def rounds():
        yield [branch("a"), branch("b")]

    def value(key):
        return Outcome("done", {"value": float(sum(map(ord, key)) % 7)})

    history: dict[str, Outcome] = {}
    schedule = Schedule(RoundsProgram(rounds), history)
    proposed = [u.key for u in schedule.propose()]
    ranks = itertools.cycle(order)
    for number in range(12):
        if number == split:  # the driver stops; another one starts from the journal
            schedule = Schedule(RoundsProgram(rounds), history)
            assert {u.key for u in schedule.propose()} == set(proposed)
        waiting = [key for key in proposed if key not in history]
        key = waiting[next(ranks) % len(waiting)]
        history[key] = value(key)
        proposed += [u.key for u in schedule.propose([key])]
    assert set(proposed) == set(history)
    assert len(proposed) == 12


@pytest.mark.parametrize("n", [1000, 4000])
def test_work_grows_linearly_with_the_number_of_units(n):
    """Every unit that finishes costs a bounded number of steps, whatever the size of the run."""
    steps = 0

    class Counting(dict):
        """Counts every read."""

        def _count(self):
            nonlocal steps
            steps += 1

        def get(self, key, default=None):
            self._count()
            return super().get(key, default)

        def __getitem__(self, key):
            self._count()
            return super().__getitem__(key)

        def __contains__(self, key):
            self._count()
            return super().__contains__(key)

        def __iter__(self):
            for key in super().__iter__():
                self._count()
                yield key

    def rounds():
        yield [unit(str(number)) for number in range(n)]

    history: dict[str, Outcome] = Counting()
    schedule = Schedule(RoundsProgram(rounds), history)
    schedule.propose()
    for number in range(n):
        finish(schedule, history, str(number))
    assert steps <= 2 * n  # one look when the unit is asked for, one when it has finished


def test_requests_that_cannot_be_carried_out_name_the_study_kind():
    def nothing():
        yield None

    def single():
        yield unit("a")

    def same_key():
        yield [unit("a"), Unit("a", "task", (1,), {}, (0,))]

    def twice():
        yield [unit("a")]
        yield [unit("a")]

    for rounds, message in ((nothing, "got None"), (single, "must yield a list"), (same_key, "two different units")):
        with pytest.raises(ProgramError, match=f"study kind 'rounds': .*{message}"):
            Schedule(RoundsProgram(rounds), {}).propose()
    assert [u.key for u in Schedule(RoundsProgram(twice), {"a": Outcome("done")}).propose()] == ["a"]
