"""A run directory is data: whatever its files hold, a command answers in words, and a resumed run has the same bits."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import toy

import membrane_dask as md
from membrane_dask.cli import main
from membrane_dask.engine import layout, layout_record
from membrane_dask.engine.journal import Journal
from membrane_dask.engine.records import SCHEMA
from membrane_dask.errors import StudyError, UnreadableRunError

STUDY = {"rows": 2, "columns": 6, "cluster": {"profile": "sync"}, "execution": {"batch": 2}}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("finished") / "run"
    assert toy.run_toy(root, **STUDY).status()["state"] == "complete"
    return root


@pytest.fixture
def damaged(finished, tmp_path) -> Path:
    """A copy, for a test to damage."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


def journal_file(root: Path) -> Path:
    (path,) = (root / "journal").glob("*.jsonl")
    return path


def lines(root: Path) -> list[bytes]:
    return journal_file(root).read_bytes().splitlines(keepends=True)


def rewrite(change: Callable[[list[bytes]], list[bytes]]) -> Callable[[Path], None]:
    return lambda root: journal_file(root).write_bytes(b"".join(change(lines(root))))


def append(text: str | bytes) -> Callable[[Path], None]:
    return rewrite(lambda old: [*old, text if isinstance(text, bytes) else text.encode(), b"\n"])


KEY = "toy,row=0,column=0"
#: Damage of the journal, and a part of what is reported (empty where there is nothing to report).
JOURNALS: dict[str, tuple[Callable[[Path], None], str]] = {
    "truncated": (lambda root: journal_file(root).write_bytes(b"".join(lines(root))[:-150]), ""),
    "torn in the middle": (rewrite(lambda old: [*old[:2], old[2][:80] + b"\n", *old[3:]]), "line 3: "),
    "two glued together": (rewrite(lambda old: [*old[:2], old[2][:80], *old[3:]]), "line 3: "),
    "one digit changed": (rewrite(lambda old: [old[0].replace(b"[0.", b"[1."), *old[1:]]), "line 1: it does"),
    "doubled": (rewrite(lambda old: old * 3), ""),
    "reversed": (rewrite(lambda old: old[::-1]), ""),
    "empty": (rewrite(lambda old: []), ""),
    "NUL bytes": (append(b"\0" * 4096), "line 8: it is not JSON"),
    "not text": (append(b"\xff\xfe\x80"), "line 8: it is not JSON"),
    "null": (append('{"time": "x", "done": null}'), "line 8: 'done' must be a list"),
    "a number": (append('{"time": "x", "done": 5}'), "line 8: 'done' must be a list"),
    "text": (append('{"time": "x", "done": "toy"}'), "line 8: 'done' must be a list"),
    "a list of lists": (append('{"time": "x", "done": [["a"]]}'), "'done.0' must be text"),
    "no record": (append('[1, 2]\n"abc"\n17\nnull'), "line 11: must be a mapping"),
    "no digests": (append(json.dumps({"time": "x", "done": [KEY]})), "'seconds' must have a value for each"),
    "other numbers": (append(json.dumps({"time": "x", "done": [KEY], "seconds": [-1]})), "'seconds.0'"),
    "a long line": (append('{"time": "x", "done": ["' + "a" * 17_000_000 + '"]}'), "longer than 16 MB"),
    "a deep line": (append("[" * 200_000), "it is not JSON"),
    "a long integer": (append('{"time": ' + "9" * 5000 + "}"), "it is not JSON"),
    "control characters": (append('{"time": "x", "failed": ["\\u001b]0;title\\u0007"]}'), "'failed.0' has characters"),
    "direction of text": (append('{"time": "x", "failed": ["a\\u202eb"]}'), "'failed.0' has characters"),
    "a directory": (lambda root: (root / "journal" / "1-x.jsonl").mkdir(), "1-x.jsonl: it is no file"),
    "no file": (lambda root: journal_file(root).unlink(), ""),
    "unknown units": (append('{"time": "x", "done": ["x"], "seconds": [1], "memory": [1], "sha256": ["0"]}'), ""),
}  # fmt: skip


@pytest.mark.parametrize("name", JOURNALS)
def test_units_of_damaged_journal_lines_are_computed_again(finished, damaged, files_of, name, capsys):
    damage, expected = JOURNALS[name]
    damage(damaged)
    with pytest.raises(SystemExit) as leaving:
        main(["status", str(damaged)])
    assert leaving.value.code == 0
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err
    assert (expected in printed.err) if expected else not printed.err
    messages: list[object] = []
    plan = toy.toy_plan(**STUDY)
    md.api.execute(md.open_run(damaged), plan, listener=messages.append)
    assert files_of(md.open_run(damaged)) == files_of(md.open_run(finished))
    assert expected in str(messages)
    status = md.open_run(damaged).status()
    assert (status["state"], status["left"], status["failed"]) == ("complete", 0, 0)


def test_a_journal_that_is_being_written_is_not_damaged(damaged):
    journal_file(damaged).write_bytes(b"".join(lines(damaged)) + b'{"time": "2026')
    assert Journal(damaged / "journal").summary().damage == ""


def test_lines_of_earlier_versions_have_no_checksum(damaged):
    journal_file(damaged).write_bytes(b"".join(line.split(b', "crc32"')[0] + b"}\n" for line in lines(damaged)))
    assert md.open_run(damaged).status()["state"] == "complete"


def test_the_journal_of_a_later_driver_counts_after_the_clock_was_set_back(damaged, monkeypatch):
    journal = Journal(damaged / "journal")
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now - 3600 * 10**9)
    journal.append({"failed": [KEY], "error": "of a later driver", "attempt": 1})
    assert md.open_run(damaged).failed_keys == (KEY,)


def change(name: str, **entries: object) -> Callable[[Path], None]:
    def work(root: Path) -> None:
        content = json.loads((root / name).read_text())
        (root / name).write_text(json.dumps({key: v for key, v in (content | entries).items() if v is not ...}))

    return work


def write(name: str, text: str) -> Callable[[Path], None]:
    return lambda root: (root / name).write_text(text) and None


RUNS: dict[str, tuple[Callable[[Path], None], str]] = {
    "torn": (write("run.json", "{"), "run.json is damaged: it is not JSON"),
    "a list": (write("run.json", "[]"), "run.json is damaged: must be a mapping"),
    "empty": (write("run.json", ""), "run.json is damaged: it is not JSON"),
    "deep": (write("run.json", '{"schema": 2, "a": ' + "[" * 100_000), "run.json is damaged: it is not JSON"),
    "without units": (change("run.json", units=...), "'units' is missing"),
    "text for a number": (change("run.json", seed="1"), "'seed' must be a valid integer"),
    "batches of nothing": (change("run.json", batch={"toy": 0}), "'batch.toy' must be greater than or equal to 1"),
    "no name of a kind": (change("run.json", kind="../../x"), "'kind' has characters"),
    "no digest": (change("run.json", identity="\x1b[31m"), "'identity' has characters"),
    "a later version": (change("run.json", schema=SCHEMA + 1), "was made by a later version of membrane-dask"),
}


@pytest.mark.parametrize("name", RUNS)
def test_a_damaged_description_of_a_run_is_named(damaged, name, command):
    damage, expected = RUNS[name]
    damage(damaged)
    with pytest.raises(UnreadableRunError, match=expected.replace("[", r"\[")):
        md.open_run(damaged)
    with pytest.raises(UnreadableRunError):
        toy.run_toy(damaged, **STUDY)


@pytest.mark.parametrize("content", ["{}", "[]", "{", '{"host": "elsewhere", "pid": 1, "beat": null, "in_flight": 1}'])
def test_a_damaged_heartbeat_is_no_driver(finished, damaged, files_of, content):
    (damaged / "driver.json").write_text(content)
    assert md.open_run(damaged).status()["state"] == "complete"
    journal_file(damaged).unlink()
    assert toy.run_toy(damaged, **STUDY).status()["state"] == "complete"
    assert files_of(md.open_run(damaged)) == files_of(md.open_run(finished))


@pytest.mark.parametrize("content", ["[1]", '{"created": "2', '{"starts": 5, "stops": []}', "\0\0"])
def test_a_damaged_provenance_is_put_aside(damaged, content):
    (damaged / "provenance.json").write_text(content)
    with pytest.raises(UnreadableRunError, match=r"provenance.json is damaged"):
        _ = md.open_run(damaged).provenance
    messages: list[object] = []
    md.api.execute(md.open_run(damaged), toy.toy_plan(**STUDY), listener=messages.append)
    assert "was renamed to provenance.damaged-" in str(messages)
    assert len(md.open_run(damaged).provenance["starts"]) == 1
    assert next(damaged.glob("provenance.damaged-*")).read_text() == content


@pytest.mark.parametrize("content", ["[]", '{"key": 5}', "{", '{"key": "other", "error": "e", "traceback": ""}'])
def test_a_damaged_record_of_a_failure_leaves_the_failure(tmp_path, content):
    run = toy.run_toy(tmp_path / "run", **STUDY, raising=(3,))
    (path,) = (run.path / "failures").glob("*.json")
    assert run.failures[0]["error"].startswith("ArithmeticError")
    path.write_text(content)
    assert [failure["key"] for failure in run.failures] == ["toy,row=0,column=3"]
    assert f"failures/{path.name} is missing or damaged" in run.failures[0]["error"]
    assert "can be retried nevertheless" in str(run)


def test_a_changed_study_is_refused_and_named(damaged):
    with pytest.raises(StudyError, match=r"holds the run of another study.*--fresh"):
        md.open_run(damaged).update_study(toy.toy_plan(**{**STUDY, "seed": 1}).study)
    (damaged / "study.yaml").write_bytes(b"\xff\x00kind: [")
    assert toy.run_toy(damaged, **STUDY).status()["state"] == "complete"  # the study that was given replaces it


def test_a_run_of_a_version_with_other_numbers_is_called_that(tmp_path, monkeypatch):
    from membrane_dask.studies.graded.config import GradedStudy

    study = tmp_path / "s.yaml"
    study.write_text("kind: graded\ngradient: 0\nrealizations: 1\nporosity: 0.1\nporosity_tolerance: 0.02\n"
                     "cluster: {profile: sync}\n")  # fmt: skip
    with monkeypatch.context() as earlier:
        earlier.setattr(GradedStudy, "results_version", 0)
        from membrane_dask.engine.run import prepare

        run = prepare(md.plan(study), tmp_path / "run")
    with pytest.raises(StudyError, match=r"of this study by a version of membrane-dask that computes other numbers"):
        md.run(study, run.path)


LAYOUTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "a directory for the lock": (lambda root: ((root / ".lock").unlink(), (root / ".lock").mkdir()), "lock is not a f"),
    "a directory for a note": (lambda root: (root / "cancel").mkdir(), "cancel is not a file"),
    "a file for a folder": (lambda root: (shutil.rmtree(root / "logs"), (root / "logs").touch()), "logs is not a dir"),
    "other tables": (change("run.json", batch={"other": 2}), "'batch' names"),
    "other numbers": (change("run.json", units={"toy": 5}), "'units' is"),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_another_layout_is_named(damaged, name):
    damage, expected = LAYOUTS[name]
    (damaged / ".lock").touch()
    damage(damaged)
    with pytest.raises(UnreadableRunError, match=expected):
        toy.run_toy(damaged, **STUDY)


@pytest.mark.parametrize("name", ["journal", "logs", "failures", "volumes", "inputs"])
def test_missing_folders_are_made_again(finished, damaged, files_of, name):
    shutil.rmtree(damaged / name)
    toy.run_toy(damaged, **STUDY)
    assert files_of(md.open_run(damaged)) == files_of(md.open_run(finished))


def test_a_broken_run_can_be_moved_away(damaged):
    from membrane_dask.engine.run import prepare

    (damaged / "run.json").write_text("{")
    assert prepare(toy.toy_plan(**STUDY), damaged, fresh=True).status()["state"] == "empty"
    assert len(list(damaged.parent.glob("run.old-*"))) == 1


def test_lines_hold_a_bounded_number_of_units(tmp_path, monkeypatch, files_of):
    """A line that is longer than what is read would be taken as damaged, and its units computed again for ever."""
    from membrane_dask.engine import executor, journal

    fields = {"rows": 1, "cluster": {"profile": "sync"}, "execution": {"batch": 20}}
    undisturbed = toy.run_toy(tmp_path / "undisturbed", **fields)
    monkeypatch.setattr(executor, "UNITS_PER_LINE", 7)
    monkeypatch.setattr(journal, "UNITS_PER_LINE", 7)
    run = toy.run_toy(tmp_path / "run", **fields)
    shutil.rmtree(run.path / "result.zarr" / "toy" / "value" / "c")  # lost: all units are opened again
    plan = toy.toy_plan(**fields)
    md.api.execute(run, plan, listener=lambda event: None)
    lines = [line for line in run.journal.records() if "done" in line or "reopened" in line]
    numbers = [len(line.get("done", ())) or len(line["reopened"]) for line in lines]
    assert max(numbers) == 7
    assert sum(numbers) == 3 * sum(run.counts.values())  # done, opened again, done
    assert files_of(run) == files_of(undisturbed)


def test_metadata_nested_too_deep_are_altered_ones(tmp_path):
    """Their reader gives up with a RecursionError, which is no ValueError."""
    path = tmp_path / layout.METADATA
    path.parent.mkdir()
    path.write_text("{}")
    record = layout_record.LayoutRecord({}, {layout.METADATA: layout_record._digest(path, layout.METADATA)})
    assert list(record.damaged(tmp_path)) == []
    path.write_text("[" * 50_000)
    assert list(record.damaged(tmp_path)) == [(layout.METADATA, "altered")]
