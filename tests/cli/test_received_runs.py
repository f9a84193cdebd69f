"""A run that comes from others does nothing to this machine that its user has not confirmed."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import membrane_dask as md
from membrane_dask.cli import main
from membrane_dask.engine.confirmation import UnconfirmedError
from membrane_dask.errors import StudyError
from membrane_dask.study_file import parse_study

SETTINGS = {
    "prologue": ["echo first", "touch {marker}"],
    "python": "{marker}-python",
    "scratch": "{marker}",
    "interface": "eth0",
    "directives": ["--export=ALL"],
    "queue": "main",
    "account": "me",
    "tls": False,
}
STUDY = """\
kind: graded
gradient: 0
realizations: 2
porosity: 0.1
porosity_tolerance: 0.02
cluster: {profile: sync}
"""


@pytest.fixture
def state(tmp_path, monkeypatch) -> Path:
    """A user who has confirmed nothing."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def command(capsys, monkeypatch) -> Callable[..., subprocess.CompletedProcess[str]]:
    """A command in this process, whose input is no terminal."""
    monkeypatch.setattr(sys, "stdin", io.StringIO())

    def call(*arguments: object) -> subprocess.CompletedProcess[str]:
        with pytest.raises(SystemExit) as leaving:
            main([str(argument) for argument in arguments])
        return subprocess.CompletedProcess(arguments, leaving.value.code, *capsys.readouterr())

    return call


@pytest.fixture(scope="module")
def ours(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("ours")
    (folder / "s.yaml").write_text(STUDY)
    return md.run(folder / "s.yaml", folder / "run", limit=0).path


@pytest.fixture
def received(ours, tmp_path) -> Path:
    return Path(shutil.copytree(ours, tmp_path / "received"))


def change_cluster(root: Path, **settings: object) -> None:
    from ruamel.yaml import YAML

    yaml = YAML(typ="safe", pure=True)
    path = root / "study.yaml"
    study = yaml.load(path.read_text())
    study["cluster"] |= settings
    with path.open("w") as stream:
        yaml.dump(study, stream)


def entries(marker: Path) -> dict[str, object]:
    return json.loads(json.dumps(SETTINGS).replace("{marker}", str(marker)))


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_of_a_received_run_are_refused(received, state, tmp_path, name):
    marker = tmp_path / "marker"
    change_cluster(received, profile="slurm", **{name: entries(marker)[name]})
    for start in (md.api.retry, md.run, md.api.submit):
        with pytest.raises(UnconfirmedError, match=rf"cluster\.{name}: "):
            start(received if start is md.api.retry else received / "study.yaml")
    assert not marker.exists()


def test_commands_show_settings_of_a_received_run(received, state, command, tmp_path):
    marker = tmp_path / "marker"
    settings = entries(marker)
    change_cluster(received, profile="slurm", **settings)
    study = received / "study.yaml"
    for arguments in (["retry", received], ["run", study, "--out", received], ["submit", study, "--out", received]):
        refused = command(*arguments)
        assert refused.returncode == 2, refused.stderr
        for name, value in settings.items():
            for line in value if isinstance(value, list) else [value]:
                assert f"cluster.{name}: {line}".replace("False", "false") in refused.stderr
        assert "--trust" in refused.stderr
    assert command("cancel", received).returncode == 0  # it uses none of them
    assert not marker.exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [("scratch", "/tmp; touch x"), ("scratch", "$(touch x)"), ("scratch", "`touch x`"), ("scratch", "a b"),
     ("interface", "eth0; touch x"), ("worker_interface", "eth0 --preload x.py"), ("queue", "main --uid=root"),
     ("queue", "--wrap=x"), ("account", "me\t--uid=root"), ("account", "me; touch x")],
)  # fmt: skip
def test_names_in_job_scripts_are_no_commands_or_options(name, value):
    with pytest.raises(StudyError, match=f"cluster.{name}: "):
        parse_study({"kind": "graded", "name": "x", "gradient": 0, "cluster": {"profile": "slurm", name: value}})


@pytest.mark.parametrize(
    ("name", "value"),
    [("scratch", "$SLURM_TMPDIR/x"), ("scratch", "/local/${USER}"), ("queue", "all.q@host"), ("queue", "gpu,main"),
     ("account", "a project"), ("interface", "ib0")],
)  # fmt: skip
def test_usual_names_in_job_scripts_are_accepted(name, value):
    study = parse_study({"kind": "graded", "name": "x", "gradient": 0, "cluster": {"profile": "slurm", name: value}})
    assert getattr(study.cluster, name) == value


def test_a_scheduler_elsewhere_is_not_connected_to(received, state, command):
    change_cluster(received, profile="tcp://192.0.2.77:8786")
    refused = command("retry", received)
    assert refused.returncode == 2
    assert "cluster.profile: tcp://192.0.2.77:8786" in refused.stderr


def test_control_characters_of_what_is_shown_are_visible(received, state, command):
    change_cluster(received, profile="slurm", prologue=["touch x \x1b[8m# hidden", "a\u202eb"])
    refused = command("retry", received)
    assert r"cluster.prologue: touch x \x1b[8m# hidden" in refused.stderr
    assert r"a\u202eb" in refused.stderr
    assert not re.search(r"[\x1b\u202e]", refused.stderr)


def test_what_is_confirmed_once_is_used(received, state, tmp_path):
    change_cluster(received, scratch="/tmp/mine")
    with pytest.raises(UnconfirmedError, match=r"cluster.scratch: /tmp/mine"):
        md.api.retry(received)
    assert md.api.retry(received, trust=True).status()["state"] == "complete"
    md.api.retry(received)
    change_cluster(received, scratch="/tmp/other")
    with pytest.raises(UnconfirmedError):
        md.api.retry(received)


def test_own_settings_need_no_confirmation(state, tmp_path, monkeypatch):
    (tmp_path / "s.yaml").write_text(STUDY.replace("sync}", "sync, scratch: /tmp/mine}"))
    run = md.run(tmp_path / "s.yaml", tmp_path / "run", limit=0)
    assert md.api.retry(run.path).status()["state"] == "complete"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "config" / "membrane-dask").mkdir(parents=True)
    (tmp_path / "config" / "membrane-dask" / "clusters.yaml").write_text("local: {scratch: /tmp/of-the-site}\n")
    change_cluster(run.path, profile="local", scratch="/tmp/of-the-site")
    md.api.require_confirmed(run.path, run.study)


def test_a_run_without_such_settings_needs_no_confirmation(received, state):
    assert md.api.retry(received).status()["state"] == "complete"
    assert not state.exists()


@pytest.mark.parametrize("name", ["logs/driver.log", "logs", "journal/1-x.jsonl", "report.html", "result.zarr/graded"])
def test_links_that_lead_out_of_a_run_are_not_written_through(received, state, tmp_path, name):
    outside = tmp_path / "outside"
    path = received / name
    if path.is_dir():
        shutil.move(path, outside)
    else:
        outside.write_text("precious")
        path.unlink(missing_ok=True)
    path.symlink_to(outside)
    with pytest.raises(UnconfirmedError, match=f"the link {name}: {outside}"):
        md.api.retry(received)
    with pytest.raises(UnconfirmedError):
        md.run(_own_study(tmp_path), received)
    if outside.is_file():
        assert outside.read_text() == "precious"


def _own_study(folder: Path) -> Path:
    path = folder / "own.yaml"
    path.write_text(STUDY)
    return path


def test_links_within_a_run_are_followed(received, state):
    shutil.move(received / "logs", received / "real-logs")
    (received / "logs").symlink_to("real-logs")
    assert md.api.retry(received).status()["state"] == "complete"


@pytest.mark.parametrize(("answer", "code"), [("n", 2), ("y", 0)])
def test_a_terminal_asks(received, state, answer, code):
    change_cluster(received, scratch="/tmp/mine")
    process, terminal = pty.fork()
    if process == 0:
        os.execv(sys.executable, [sys.executable, "-m", "membrane_dask.cli", "retry", str(received)])
    text, deadline = b"", time.monotonic() + 60
    answered = False
    while time.monotonic() < deadline:
        try:
            text += os.read(terminal, 1000)
        except OSError:  # the end
            break
        if not answered and b"Use it?" in text:
            os.write(terminal, f"{answer}\n".encode())
            answered = True
    _, status = os.waitpid(process, 0)
    assert answered
    assert b"cluster.scratch: /tmp/mine" in text
    assert os.waitstatus_to_exitcode(status) == code, text.decode()
