"""Progress, times, cost and differing settings of runs, as tables of runs show them."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
import toy

import membrane_dask as md
from membrane_dask.engine import records, worker
from membrane_dask.engine.differing_settings import differing_settings, setting_texts
from membrane_dask.engine.events import Estimate
from membrane_dask.engine.lock import DriverLock
from membrane_dask.engine.run import Run
from membrane_dask.engine.run_list import RunList
from membrane_dask.errors import StudyError
from membrane_dask.plain_text import natural_order, shortened

SYNC = {"profile": "sync"}


def busy_work(context, unit):
    """The work of the toy study, after 20 ms of CPU time."""
    end = time.process_time() + 0.02
    while time.process_time() < end:
        pass
    return toy.work(context, unit)


def test_cpu_time_is_that_of_the_units_and_not_of_waiting(tmp_path):
    plan = toy.toy_plan(rows=1, columns=5, seconds=0.05, cluster=SYNC)
    plan.program.work = busy_work
    run = md.api.prepare(plan, tmp_path / "run")
    md.api.execute(run, plan, listener=lambda event: None)
    used, journal = run.usage(), run.journal.summary()
    assert used["cpu_seconds"] >= 5 * 0.02
    unit_seconds = sum(seconds for _, seconds in journal.tasks.values())
    # Each unit sleeps for 0.05 s, which is no CPU time; half of it is left to the clock's resolution and other threads.
    assert used["cpu_seconds"] < unit_seconds - 5 * 0.025
    assert used["host"] == run.provenance["starts"][-1]["host"]
    assert used["remaining_seconds"] is None  # it is complete
    assert run.status()["percent"] == 100
    assert "of CPU time" in str(run)


def test_cost_of_units_that_an_earlier_version_has_computed_is_missing(tmp_path):
    run = toy.run_toy(tmp_path / "run", rows=1, columns=4, cluster=SYNC, execution={"batch": 2})
    (path,) = (run.path / "journal").glob("*.jsonl")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        line.pop("crc32")
    lines[0].pop("cpu_seconds")
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert run.usage()["cpu_seconds"] is None
    assert RunList([run]).rows()[0][RunList.HEADER.index("CPU time")] == "-"


def run_with_provenance(root, starts, stops, records):
    """A run of 40 units of one task, with times in seconds after one moment, of which the journal holds ``records``."""
    origin = datetime(2026, 1, 1, tzinfo=UTC)

    def text(seconds):
        return (origin + timedelta(seconds=seconds)).isoformat()

    (root / "journal").mkdir(parents=True)
    (root / "run.json").write_text(
        json.dumps(
            {"schema": 2, "kind": "toy", "identity": "a" * 64, "seed": 1, "units": {"toy-0": 20, "toy-1": 20},
             "batch": {}}
        )
    )  # fmt: skip
    provenance = {
        "created": text(0),
        "starts": [{"time": text(seconds), "host": f"node{number}"} for number, seconds in enumerate(starts)],
        "stops": [{"time": text(seconds)} for seconds in stops],
    }
    (root / "provenance.json").write_text(json.dumps(provenance))
    for number, (seconds, keys) in enumerate(records):
        line = {"time": text(seconds), "task": "toy-0", "done": keys, "seconds": [4.0] * len(keys),
                "cpu_seconds": [1.0] * len(keys), "memory": [1] * len(keys), "sha256": ["0"] * len(keys)}  # fmt: skip
        (root / "journal" / f"{number}-host-1.jsonl").write_text(json.dumps(line) + "\n")
    return Run(root)


def test_wall_time_is_that_of_drivers_and_not_of_pauses(tmp_path):
    """Three drivers: one that ended, one that was killed 5 s after its start, one that did nothing before it was."""
    keys = [[f"unit-{number}-{k}" for k in range(5)] for number in range(2)]
    run = run_with_provenance(tmp_path / "run", [0, 100, 200], [10], [(8, keys[0]), (105, keys[1])])
    assert run.usage()["wall_seconds"] == 15
    assert run.usage()["cpu_seconds"] == 10
    assert run.usage()["host"] == "node2"
    assert run.status()["percent"] == 25
    assert dict(run.rows())["cost"] == "10 s of CPU time, 15 s of wall time"
    short = run_with_provenance(tmp_path / "short", [0], [0], [(0, keys[0])])
    assert dict(short.rows())["cost"] == "5 s of CPU time, less than 1 s of wall time"


def test_remaining_time_is_what_the_driver_has_forecast(tmp_path, monkeypatch):
    """The driver writes the earliest and the latest end with its heartbeat; others see the time until then."""
    run = run_with_provenance(tmp_path / "run", [0], [20], [])
    assert run.usage()["remaining_seconds"] is None  # nobody works on it
    with DriverLock(run.path) as driver:
        driver._beat()
        assert run.usage()["remaining_seconds"] is None  # no unit is finished, for example
        monkeypatch.setattr(time, "time", lambda: 1e9)
        driver.expect_end((60.0, 90.0))
        driver._beat()
        monkeypatch.setattr(time, "time", lambda: 1e9 + 70.0)
        assert run.usage()["remaining_seconds"] == (0.0, 20.0)
        assert dict(run.rows())["ends in"] == "1 to 20 s"
        (row,) = RunList([run]).rows()
        assert row[RunList.HEADER.index("remaining")] == "1 to 20 s"


def test_driver_passes_on_its_forecast(tmp_path, monkeypatch):
    expected, printed = [], []
    monkeypatch.setattr(DriverLock, "expect_end", lambda self, remaining: expected.append(remaining))
    plan = toy.toy_plan(rows=1, columns=6, seconds=0.15, cluster=SYNC, execution={"batch": 1})
    run = md.api.prepare(plan, tmp_path / "run")
    md.api.execute(run, plan, listener=printed.append)
    assert expected == [event.remaining for event in printed if isinstance(event, Estimate)]
    assert expected[-1] is not None


def test_damaged_records_leave_times_unknown(tmp_path):
    run = run_with_provenance(tmp_path / "run", [0], [20], [])
    (run.path / "provenance.json").write_text('{"created": "yesterday", "starts": [{"time": "x", "host": 5}]}')
    used = run.usage()
    assert (used["wall_seconds"], used["host"]) == (None, None)
    (row,) = RunList([run]).rows()
    assert row[RunList.HEADER.index("started")] == "-"
    (run.path / "provenance.json").write_text("{")
    assert run.usage()["started"] is None


def test_settings_in_which_runs_differ():
    first = {"a": 1, "section": {"b": [1.0, 2.0], "c": True}, "option": None, "new": 3}
    second = {"a": 1, "section": {"b": [1.0, 2.5], "c": True}, "option": {"d": 1}}
    there, here = differing_settings([first, second])
    assert there == {"section.b": [1.0, 2.0], "option": None, "new": 3}
    assert here == {"section.b": [1.0, 2.5], "option": {"d": 1}, "new": "-"}
    without, with_bench = differing_settings([{"a": 1}, {"a": 1, "bench": {"enabled": True}}])
    assert (without, with_bench) == ({"bench": "-"}, {"bench": {"enabled": True}})
    assert differing_settings([first, first, first]) == [{}, {}, {}]


def test_texts_of_settings_distinguish_what_differs():
    assert setting_texts([[0.0, 0.001], None, "x\x1b", {"d": 1}]) == ["[0.0, 0.001]", "null", r"x\x1b", "{d: 1}"]
    assert setting_texts(["f" * 64, "0" * 64]) == ["ffffffff", "00000000"]
    assert setting_texts(["4e-09 m", "100 s", "7200 s"]) == ["4 nm", "100 s", "2 h"]
    long = [[0.125] * 20, [0.125] * 19 + [0.5]]
    assert len(set(setting_texts(long))) == 2
    assert all(len(text) <= 36 for text in setting_texts([long[0], 1]))


def test_runs_of_one_kind_are_distinguished_by_their_parameters(tmp_path):
    for number, columns in enumerate((3, 4, 5)):
        toy.run_toy(tmp_path / f"run-{number}", limit=0, rows=1, columns=columns, seconds=0.1, cluster=SYNC)
    runs = md.api.list_runs(tmp_path)
    assert [status["parameters"] for status in runs.statuses()] == [{"columns": 3}, {"columns": 4}, {"columns": 5}]
    assert {row[-1] for row in runs.rows()} == {"columns=3", "columns=4", "columns=5"}
    assert "columns=4" in repr(runs)
    assert "columns=4" in runs._repr_html_()


def test_a_list_hashes_no_inputs_of_runs_without_recorded_settings(tmp_path, monkeypatch):
    for number, columns in enumerate((3, 4, 5)):
        toy.run_toy(tmp_path / f"run-{number}", limit=0, rows=1, columns=columns, seconds=0.1, cluster=SYNC)
    metadata = json.loads((tmp_path / "run-1/run.json").read_text())
    metadata.pop("settings")
    (tmp_path / "run-1/run.json").write_text(json.dumps(metadata))
    monkeypatch.setattr(toy.ToyStudy, "decisive_settings", lambda self: pytest.fail("the study was read"))
    parameters = {status["run"]: status["parameters"] for status in md.api.list_runs(tmp_path).statuses()}
    assert parameters == {"run-0": {"columns": 3}, "run-1": {}, "run-2": {"columns": 5}}


def test_another_study_in_the_directory_of_a_run_is_refused_by_its_parameters(tmp_path):
    toy.run_toy(tmp_path / "run", limit=0, rows=1, columns=4, seconds=0.1, cluster=SYNC)
    with pytest.raises(StudyError, match="seed is 2023 there and 7 here; columns is 4 there and 5 here"):
        toy.run_toy(tmp_path / "run", limit=0, rows=1, columns=5, seed=7, seconds=0.1, cluster=SYNC)


def test_numbers_in_names_count_as_numbers():
    names = ["structure-10", "structure-2", "structure-1-b", "structure-1", "a"]
    assert sorted(names, key=natural_order) == ["a", "structure-1", "structure-1-b", "structure-2", "structure-10"]


def test_long_texts_end_with_dots():
    assert shortened(" Area 41.8 cm2 ", 20) == "Area 41.8 cm2"
    assert shortened("Remark: soaked for 24 h, area 41.8 cm2", 30) == "Remark: soaked for 24 h, a ..."


@pytest.mark.parametrize("permanent", [True, False])
def test_all_failed_units_decide_whether_a_retry_can_help(tmp_path, permanent):
    """The sixth of them is not among those that the summary prints."""
    numbers = tuple(range(6))
    run = toy.run_toy(tmp_path / "run", rows=1, columns=8, raising=numbers, cluster=SYNC, execution={"retries": 0})
    for number, key in enumerate(run.failed_keys):
        path = records.failure_path(run.path, key)
        record = json.loads(path.read_text())
        path.write_text(json.dumps(record | {"permanent": permanent or number < 5}))
    assert len(run.failed_keys) == 6
    assert ("they fail on every machine" in str(run)) == permanent
    assert ("membrane-dask retry" in str(run)) != permanent


@pytest.mark.parametrize("threads", [1, 4])
def test_the_clock_of_cpu_time_is_that_of_the_thread_where_the_worker_has_several(monkeypatch, threads):
    import distributed

    state = SimpleNamespace(state=SimpleNamespace(nthreads=threads))
    monkeypatch.setattr(distributed, "get_worker", lambda: state)
    # That of the process includes the processes that it starts: tests/studies/test_predicted_costs.py.
    assert (worker._cpu_clock() is time.thread_time) == (threads > 1)
