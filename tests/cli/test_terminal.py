"""Control characters of data never reach the terminal."""

from __future__ import annotations

import ast
import io
import re
from pathlib import Path

import pytest

import membrane_dask as md
from membrane_dask.cli import main
from membrane_dask.engine.events import (
    Collecting,
    Estimate,
    Message,
    Retried,
    Stage,
    Started,
    TaskProgress,
    UnitQuarantined,
)
from membrane_dask.plain_text import printable, printable_line
from membrane_dask.progress import ProgressBar, ProgressLines

#: A title, a cleared screen, invisible text, a C1 sequence, a bell, another direction, a new line.
HOSTILE = "\x1b]0;title\x07\x1b[2J\x1b[8m\x9b31m\x7f\u202egnp\u2066\u2028\ufeff\x00\r\b"
FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


def test_every_control_character_is_shown_by_its_number():
    assert not FORBIDDEN.search(printable(HOSTILE))
    assert printable("a\n\tb") == "a\n\tb"
    assert printable_line("a\n\tb") == r"a\n\tb"
    assert printable("\x1b[31m\u202e\udc80") == r"\x1b[31m\u202e\udc80"
    plain = "µm² Φ ≥ 0.5 – Straße 膜"
    assert printable(plain) == printable_line(plain) == plain


def test_the_command_line_prints_by_these_functions_only(root):
    """What prints otherwise would print control characters."""
    for path in sorted((root / "membrane_dask" / "cli").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                forbidden = ("print", "typer.echo", "sys.stdout.write", "sys.stderr.write", "traceback.print_exc")
                assert name not in forbidden, f"{path}:{node.lineno} calls {name}: use say() or show()"


def test_progress_on_a_terminal_and_in_a_log():
    stream = io.StringIO()
    events = [Message(HOSTILE), UnitQuarantined(f"key{HOSTILE}", f"E: {HOSTILE}"), Retried((f"key{HOSTILE}",), HOSTILE)]
    bar = ProgressBar()
    bar.close()
    bar._console.file = screen = io.StringIO()
    lines = ProgressLines(stream)
    for event in events:
        lines(event)
        bar(event)
    assert not FORBIDDEN.search(stream.getvalue() + screen.getvalue())
    assert r"\x1b]0;title" in stream.getvalue()
    assert r"\x1b]0;title" in screen.getvalue()


def test_the_bar_names_the_stage_the_tasks_and_the_remaining_time():
    bar = ProgressBar()
    try:
        task = bar._progress.tasks[0]
        assert (task.description, task.total) == ("starting", None)
        bar(Stage(f"starting {HOSTILE}"))
        assert not FORBIDDEN.search(task.description)
        bar(Started(7, 0, 0, None))
        bar(Estimate((TaskProgress(f"matches{HOSTILE}", 2, 5), TaskProgress("volume", 0, 2)), 0.25, (25.0, 35.0)))
        assert not FORBIDDEN.search(task.description)
        assert task.description.startswith("25 %: 2 of 5 matches")
        assert task.description.endswith("about 30 s left")
        assert task.percentage == 25
        bar(Estimate((TaskProgress("matches", 5, 5), TaskProgress("volume", 1, 2)), None, None))
        assert task.description == "1 of 2 volume, remaining time not known yet"
        bar(Collecting())
        assert task.description == "collecting the results"
    finally:
        bar.close()


def run_command(capsys, *arguments: object) -> str:
    with pytest.raises(SystemExit):
        main([str(argument) for argument in arguments])
    return "".join(capsys.readouterr())


@pytest.fixture
def table(tmp_path) -> Path:
    """A porometry study whose membrane has a hostile label."""
    label = "<script>alert(1)</script> $\\foo$"
    rows = "\n".join(f"{label},{pressure},{10 * pressure + pressure**2}" for pressure in (1, 2, 3, 4))
    (tmp_path / "table.csv").write_text(f"membrane,pressure [bar],flux [L m-2 h-1]\n{rows}\n")
    (tmp_path / "s.yaml").write_text("kind: porometry\ninput: table.csv\ncluster: {profile: sync}\n")
    return tmp_path


def test_labels_of_a_table(table, capsys):
    (table / "bad.csv").write_text((table / "table.csv").read_text() + "\x1b[31mB,3,x\n")
    (table / "bad.yaml").write_text("kind: porometry\ninput: bad.csv\ncluster: {profile: sync}\n")
    printed = run_command(capsys, "check", table / "bad.yaml")
    assert r"\x1b[31mB" in printed
    assert not FORBIDDEN.search(printed)


def test_the_report_shows_labels_as_text(table, capsys):
    run = md.run(table / "s.yaml", table / "run")
    precious = table / "precious"
    precious.write_text("precious")
    (run.path / "report.html").symlink_to(precious)
    printed = run_command(capsys, "report", run.path)
    assert "Traceback" not in printed
    page = (run.path / "report.html").read_text()
    assert "<script>alert" not in page.lower()
    assert "&lt;script&gt;alert(1)" in page
    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page
    assert precious.read_text() == "precious"
    with (run.path / "logs" / "driver.log").open("a") as log:
        log.write(f"{HOSTILE}\n")
    printed = run_command(capsys, "logs", run.path)
    assert r"\x1b]0;title" in printed
    assert not FORBIDDEN.search(printed)


def test_names_of_runs_and_arguments(tmp_path, capsys):
    folder = tmp_path / "runs"
    (folder / "a\x1b[31m\nb").mkdir(parents=True)
    (folder / "a\x1b[31m\nb" / "run.json").write_text("{")
    printed = run_command(capsys, "list", folder) + run_command(capsys, "status", "x\x1b[2J\u202e")
    assert r"a\x1b[31m\nb" in printed
    assert r"\x1b[2J" in printed
    assert not FORBIDDEN.search(printed)


def test_pickled_data_in_a_result_is_not_executed(tmp_path):
    """Zarr arrays can name a codec that unpickles; numcodecs refuses it."""
    import json
    import pickle

    import numpy as np
    import xarray as xr

    class Payload:
        def __reduce__(self):
            return (Path(tmp_path / "executed").touch, ())

    folder = tmp_path / "result.zarr" / "a"
    folder.mkdir(parents=True)
    (tmp_path / "result.zarr" / ".zgroup").write_text('{"zarr_format": 2}')
    (folder / ".zattrs").write_text('{"_ARRAY_DIMENSIONS": ["x"]}')
    (folder / "0").write_bytes(pickle.dumps(np.array([Payload()], dtype=object)))
    for filters in ([{"id": "pickle"}], [{"id": "vlen-utf8"}, {"id": "pickle"}]):
        metadata = {"zarr_format": 2, "shape": [1], "chunks": [1], "dtype": "|O", "compressor": None, "fill_value": "",
                    "order": "C", "filters": filters}  # fmt: skip
        (folder / ".zarray").write_text(json.dumps(metadata))
        with pytest.raises((ValueError, RuntimeError)):
            xr.open_datatree(tmp_path / "result.zarr", engine="zarr", consolidated=False, chunks=None)["a"].load()
    assert not (tmp_path / "executed").exists()
