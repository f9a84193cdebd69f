"""The origin of a report: what the run has recorded, without the folders of its author."""

from __future__ import annotations

import json

import toy

from membrane_dask.report.origin import origin_rows


def test_what_the_run_has_recorded(tmp_path):
    run = toy.run_toy(tmp_path / "run", cluster={"profile": "sync"})
    provenance = json.loads((run.path / "provenance.json").read_text())
    start = {
        "time": "t1", "host": "h1", "platform": "p", "versions": {"numpy": "2.0"}, "git_commit": "0123456789abcdef",
        "command": ["/home/ann/bin/membrane-dask", "run", "/a/b.yaml", "--set", "input=/x/y.tif"], "sources": "feed",
    }  # fmt: skip
    again = start | {"time": "t2", "command": ["membrane-dask", "run", "b.yaml", "--set", "input=y.tif"]}
    inputs = {"input": {"path": "/home/ann/flux.csv", "sha256": "abc"}}
    (run.path / "provenance.json").write_text(json.dumps(provenance | {"starts": [start, again], "inputs": inputs}))
    assert origin_rows(run) == [
        ("identity of the study", run.identity),
        ("started", "t1 on h1, p"),
        ("started", "t2 on h1, p"),
        ("command", "membrane-dask run b.yaml --set input=y.tif"),
        ("software", "numpy 2.0, revision 0123456789ab, sources feed"),
        ("input", "input: flux.csv, SHA-256 abc"),
    ]


def test_records_that_are_damaged_or_of_a_stranger(tmp_path):
    run = toy.run_toy(tmp_path / "run", cluster={"profile": "sync"})
    strange = {"starts": [{"command": "rm", "versions": 3}], "inputs": ["x"]}
    (run.path / "provenance.json").write_text(json.dumps(strange))
    assert [name for name, _ in origin_rows(run)] == ["identity of the study", "started"]
    (run.path / "provenance.json").write_text("{")
    ((name, text),) = origin_rows(run)
    assert name == "provenance"
    assert "is damaged" in text
