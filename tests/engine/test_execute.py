"""The loop: the same bits however a run is cut up, and nothing lost when something dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import toy
import zarr

from membrane_dask import api
from membrane_dask.engine.events import Retried, UnitQuarantined
from membrane_dask.engine.journal import Journal
from membrane_dask.engine.lock import DriverLock, RunBusyError
from membrane_dask.engine.run import prepare
from membrane_dask.engine.worker import BatchOptions, run_batch
from membrane_dask.program import Unit

SYNC = {"profile": "sync"}


@pytest.fixture(scope="module")
def reference(tmp_path_factory, values_of) -> dict[str, bytes]:
    """Result of the toy study, one unit a batch, in this process."""
    run = toy.run_toy(tmp_path_factory.mktemp("reference") / "run", cluster=SYNC, execution={"batch": 1})
    assert run.status()["state"] == "complete"
    return values_of(run)


def test_every_unit_is_stored_at_its_index(tmp_path):
    run = toy.run_toy(tmp_path / "run", cluster=SYNC)
    table = run.result["toy"]
    assert table["count"].dims == ("row", "column")
    np.testing.assert_array_equal(table["count"].values, np.arange(60).reshape(3, 20))
    assert (table["status"] == 1).all()
    assert table["history/trace"].dims == ("row", "column", "time")
    np.testing.assert_array_equal(run.result["toy/history"]["time"], [0, 0.5, 1, 1.5])
    assert table["value"].attrs == {"units": "1", "long_name": "a random number"}
    assert float(run.result["summary"]["mean"][0]) == pytest.approx(float(table["value"].mean()), rel=1e-14)


@pytest.mark.parametrize("batch", [2, 7, 20, 1000])
def test_batches_do_not_show(tmp_path, reference, batch, values_of):
    assert values_of(toy.run_toy(tmp_path / "run", cluster=SYNC, execution={"batch": batch})) == reference


def test_resuming_in_pieces_does_not_show(tmp_path, reference, values_of):
    for done in range(7, 61, 7):
        run = toy.run_toy(tmp_path / "run", cluster=SYNC, execution={"batch": 5}, limit=7)
        assert run.status()["done"] == min(done, 60)
    run = toy.run_toy(tmp_path / "run", cluster=SYNC, execution={"batch": 3})  # another batch: the run keeps its own
    assert run.status()["state"] == "complete"
    assert run.batch == {"toy": 5}
    assert values_of(run) == reference
    keys = [key for record in run.journal.records() for key in record.get("done", ())]
    assert len(keys) == len(set(keys)) == 60  # nothing was computed twice


def test_worker_processes_do_not_show(tmp_path, reference, values_of):
    run = toy.run_toy(tmp_path / "run", cluster={"profile": "local", "workers": 2}, execution={"batch": 4})
    assert values_of(run) == reference
    assert len({record["worker"] for record in run.journal.records() if "worker" in record}) == 2


def test_failing_units_are_quarantined_and_all_further_ones_are_stored(tmp_path):
    run = toy.run_toy(
        tmp_path / "run",
        raising=[3], nan=[25], misshapen=[47], killing=[10],
        cluster={"profile": "local", "workers": 2}, execution={"batch": 6, "retries": 1},
    )  # fmt: skip
    status = run.status()
    assert (status["state"], status["done"], status["failed"], status["left"]) == ("failed", 56, 4, 0)
    table = run.result["toy"]
    failed = table["status"].values == 2
    assert sorted(np.flatnonzero(failed)) == [3, 10, 25, 47]
    assert np.isnan(table["value"].values[failed]).all()
    assert np.isfinite(table["value"].values[~failed]).all()
    by_number = {failure["params"]["number"]: failure for failure in run.failures}
    assert "ArithmeticError: unit 3 cannot be computed" in by_number[3]["traceback"]
    assert "value is not finite" in by_number[25]["error"]
    assert "planned ()" in by_number[47]["error"]
    assert by_number[10]["killed_its_worker"]
    assert all(f["attempts"] == 2 and f["replay"].endswith(f["key"]) for f in by_number.values())
    json.dumps(run.failures)


def test_retry_takes_failures_back_into_the_work(tmp_path):
    switch = tmp_path / "healed"
    fields = {"raising": [3, 4], "nan": [25], "cluster": SYNC, "switch": str(switch)}
    run = toy.run_toy(tmp_path / "run", **fields)
    assert run.status()["failed"] == 3
    run = toy.run_toy(tmp_path / "run", **fields)
    assert run.status()["failed"] == 3  # a plain rerun does not try again
    switch.touch()
    run = toy.run_toy(tmp_path / "run", retry_failed=True, **fields)
    assert run.status()["state"] == "complete"
    assert run.failures == []
    np.testing.assert_array_equal(run.result["toy"]["count"].values, np.arange(60).reshape(3, 20))


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_a_stop_inside_compiled_code_is_no_failure_of_the_unit(stop):
    """Compiled code returns with the exception set, which the interpreter reports as a SystemError."""

    def work(context, unit):
        message = "returned a result with an exception set"  # by the kernel, then by what called it
        inner = SystemError(message)
        inner.__cause__ = stop()
        raise SystemError(message) from inner

    unit = Unit("a", "toy", (0,), {}, (1,))
    with pytest.raises(stop):
        run_batch(work, {}, None, [unit], BatchOptions())


def test_a_wrong_setup_stops_the_run(tmp_path):
    events = []
    plan = toy.toy_plan(raising=list(range(60)), cluster=SYNC, execution={"retries": 0})
    run = prepare(plan, tmp_path / "run")
    summary = api.execute(run, plan, listener=events.append)
    assert summary.reason == "too many failures"
    assert 20 <= summary.failed < 40  # judged from 20 on, one batch at a time
    assert sum(isinstance(event, UnitQuarantined) for event in events) == summary.failed


def test_killed_worker_costs_nothing_but_time(tmp_path, reference, values_of):
    plan = toy.toy_plan(seconds=0.05, cluster={"profile": "local", "workers": 2}, execution={"batch": 4})
    run = prepare(plan, tmp_path / "run")
    killed = []

    def kill_one(event):
        workers = {r["worker"] for r in run.journal.records() if "worker" in r}
        if not killed and workers:
            killed.append(int(workers.pop().rsplit("-", 1)[1]))
            os.kill(killed[0], signal.SIGKILL)

    summary = api.execute(run, plan, listener=kill_one)
    assert killed
    assert (summary.done, summary.failed, summary.left) == (60, 0, 0)
    assert values_of(run) == reference  # `seconds` is not part of a unit's answer


DRIVER = """
import sys; sys.path.insert(0, {here!r})
import toy, pathlib
if __name__ == "__main__":
    cluster = {{"profile": {profile!r}, "workers": 2}}
    toy.run_toy(pathlib.Path({root!r}), seconds=0.05, cluster=cluster, execution={{"batch": 4}})
"""


@pytest.mark.parametrize(
    ("profile", "wait"), [("sync", 1), pytest.param("sync", 6, marks=pytest.mark.slow), ("local", 3)]
)  # on demand: later
def test_killed_driver_resumes_to_the_same_bits(tmp_path, reference, profile, wait, values_of):
    root = tmp_path / "run"
    script = tmp_path / "driver.py"
    script.write_text(DRIVER.format(here=str(Path(__file__).parent), root=str(root), profile=profile))
    driver = subprocess.Popen([sys.executable, str(script)])
    deadline = time.monotonic() + 120
    while len(list(Journal(root / "journal").records())) < wait:  # killed after so many batches
        assert driver.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    children = psutil.Process(driver.pid).children(recursive=True)
    driver.kill()
    driver.wait()
    before = api.open_run(root).status()
    assert before["state"] == "partial"
    assert 0 < before["done"] < 60
    run = toy.run_toy(root, seconds=0.05, cluster=SYNC, execution={"batch": 4})
    assert run.status()["state"] == "complete"
    assert values_of(run) == reference
    psutil.wait_procs(children, timeout=60)  # orphaned workers leave by themselves


def test_torn_journal_line_is_done_again(tmp_path, reference, values_of):
    run = toy.run_toy(tmp_path / "run", cluster=SYNC, execution={"batch": 5}, limit=20)
    path = next((tmp_path / "run" / "journal").glob("*.jsonl"))
    text = path.read_text()
    path.write_text(text[: len(text) - 40])
    assert run.status()["done"] == 15
    run = toy.run_toy(tmp_path / "run", cluster=SYNC, execution={"batch": 5})
    assert values_of(run) == reference


def test_values_lost_from_the_result_are_computed_again(tmp_path, reference, values_of):
    run = toy.run_toy(tmp_path / "run", cluster=SYNC, execution={"batch": 5}, limit=40)
    chunks = sorted((tmp_path / "run" / "result.zarr" / "toy" / "status" / "c").rglob("*"))
    next(c for c in chunks if c.is_file()).unlink()
    events = []
    plan = toy.toy_plan(cluster=SYNC, execution={"batch": 5})
    api.execute(run, plan, listener=events.append)
    assert any(isinstance(event, Retried) and "missing from the result" in event.reason for event in events)
    assert run.status()["state"] == "complete"
    assert values_of(run) == reference


def test_one_driver_at_a_time(tmp_path):
    run = toy.run_toy(tmp_path / "run", cluster=SYNC, limit=1)
    with DriverLock(run.path), pytest.raises(RunBusyError, match="is being run by process"):
        toy.run_toy(tmp_path / "run", cluster=SYNC)


def test_cancel_stops_between_batches(tmp_path):
    plan = toy.toy_plan(cluster=SYNC, execution={"batch": 5})
    run = prepare(plan, tmp_path / "run")
    assert not api.cancel(run.path)  # nobody is at work

    def cancel(event):
        if run.status()["done"] >= 10:
            assert api.cancel(run.path)

    summary = api.execute(run, plan, listener=cancel)
    assert (summary.reason, summary.done) == ("cancelled", 10)
    assert api.execute(run, plan, listener=lambda e: None).reason == "finished"


def test_starts_and_stops_are_on_record(tmp_path):
    toy.run_toy(tmp_path / "run", cluster=SYNC, limit=5)
    run = toy.run_toy(tmp_path / "run", cluster=SYNC)
    record = run.provenance
    assert [stop["reason"] for stop in record["stops"]] == ["limit", "finished"]
    assert record["starts"][0]["versions"]["numpy"] == np.__version__
    assert record["study"] == run.identity


def test_units_have_a_time_limit(tmp_path):
    """Python code is interrupted, compiled code costs its worker; the neighbours in their batches are done."""
    run = toy.run_toy(
        tmp_path / "run",
        hanging=[3], stuck=[25],
        cluster={"profile": "local", "workers": 1}, execution={"batch": 5, "retries": 0, "timeout": "1 s"},
    )  # fmt: skip
    status = run.status()
    assert (status["done"], status["failed"]) == (58, 2)
    errors = {failure["params"]["number"]: failure["error"] for failure in run.failures}
    assert errors[3] == "TimeoutError: longer than the limit of 1 s"
    message = "TimeoutError: longer than the limit of 1 s in code that cannot be interrupted; its worker was killed"
    assert errors[25] == message


def test_a_unit_that_uses_too_much_memory_is_quarantined(tmp_path):
    run = toy.run_toy(
        tmp_path / "run",
        eating=[7], rows=1,
        cluster={"profile": "local", "workers": 1, "memory": "500 MB"}, execution={"batch": 5, "retries": 0},
    )  # fmt: skip
    status = run.status()
    assert (status["done"], status["failed"]) == (19, 1)
    assert run.failures[0]["params"]["number"] == 7
    assert run.failures[0]["killed_its_worker"]
    assert "500 MB" in run.failures[0]["error"]


def test_memory_is_that_of_each_unit(tmp_path):
    """A unit that allocated much does not show in what the next one of the same process is said to take."""
    plan = toy.toy_plan(cluster=SYNC, rows=1)
    run = prepare(plan, tmp_path / "run")
    program = plan.program

    def work(context, unit):
        if unit.params["number"] == 3:
            np.ones(25_000_000).sum()  # 200 MB
        return toy.work(context, unit)

    program.work = work
    api.execute(run, plan, listener=lambda event: None)
    memory = {k: m for r in run.journal.records() if "done" in r for k, m in zip(r["done"], r["memory"], strict=True)}
    sizes = [memory[f"toy,row=0,column={i}"] for i in range(20)]
    assert sizes[3] - sizes[2] > 190e6
    assert abs(sizes[4] - sizes[2]) < 20e6


def test_what_does_not_stand_in_the_result_is_computed_again(tmp_path, reference, values_of):
    """As when a worker that was given up goes on writing, and another one's values of that chunk are lost."""
    plan = toy.toy_plan(cluster=SYNC, execution={"batch": 5})
    run = prepare(plan, tmp_path / "run")
    api.execute(run, plan, limit=30, listener=lambda event: None)
    value = zarr.open_array(str(run.path / "result.zarr/toy/value"), mode="r+")
    value[0, 7] = np.nan  # never written
    value[1, 2] = value[1, 2] + 1e-16 if value[1, 2] < 0.5 else value[1, 2] - 1e-16  # a bit or two
    events = []
    api.execute(run, plan, listener=events.append)
    again = [event for event in events if isinstance(event, Retried)]
    assert len(again) == 1
    assert set(again[0].keys) == {"toy,row=0,column=7", "toy,row=1,column=2"}
    assert values_of(run) == reference
    assert run.status()["state"] == "complete"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": "nothing"}, "has the task 'nothing'; valid: toy"),
        ({"index": (0, 20)}, r"has the index \(0, 20\), but 'toy' has the units \(3, 20\)"),
        ({"index": (0,)}, r"has the index \(0,\)"),
        ({"index": (0, 3)}, "have the same index"),
    ],
)
def test_units_without_storage_of_their_own_are_refused(tmp_path, monkeypatch, change, message):
    """Before any unit is submitted, with the name of the kind and of the unit."""
    from dataclasses import replace

    from membrane_dask.errors import ProgramError

    unit = toy.ToyProgram._unit
    monkeypatch.setattr(
        toy.ToyProgram, "_unit", lambda self, row, column, salt: replace(unit(self, row, column, salt), **change)
        if (row, column) == (0, 5) else unit(self, row, column, salt),
    )  # fmt: skip
    with pytest.raises(ProgramError, match=f"study kind 'toy': .*{message}"):
        toy.run_toy(tmp_path / "run", cluster=SYNC)
    assert not list((tmp_path / "run" / "journal").glob("*"))


def test_feedback_that_is_no_finite_number_fails_its_unit(tmp_path, monkeypatch):
    work = toy.work

    def bad_feedback(context, unit):
        values, feedback = work(context, unit)
        return values, feedback | {"value": np.nan if unit.params["number"] == 4 else feedback["value"]}

    monkeypatch.setattr(toy, "work", bad_feedback)
    run = toy.run_toy(tmp_path / "run", cluster=SYNC, rows=1)
    assert [failure["key"] for failure in run.failures] == ["toy,row=0,column=4"]
    assert "feedback 'value' must be a finite number" in run.failures[0]["error"]
