"""The glossary defines every word that users meet."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from typer.main import get_command

from membrane_dask.cli import exit_codes
from membrane_dask.cli.commands import app
from membrane_dask.engine.run import Run


@pytest.fixture(scope="module")
def glossary(root) -> str:
    return (root / "docs/glossary.md").read_text(encoding="utf-8")


def section(text: str, heading: str) -> str:
    return text.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def test_generated_tables_are_up_to_date(root):
    """Settings and variables of the registry, and the commands."""
    command = [sys.executable, root / "docs/make_glossary.py", "--check"]
    completed = subprocess.run(command, capture_output=True, text=True)
    assert completed.returncode == 0, completed.stderr


def test_all_settings_variables_and_commands_have_a_row(glossary):
    from membrane_dask.studies.registry import kinds

    for name in ("chain", "characterize", "foul", "graded", "porometry", "reconstruct"):
        kind = kinds()[name]
        for key in kind.settings_class.model_fields:
            assert key == "kind" or f"| `{key}`" in section(glossary, "Settings"), key
        for schema in kind.schemas:
            for variable in schema.variables:
                assert f"| `{variable.path}`" in section(glossary, "Results"), variable.path
    for name, command in get_command(app).commands.items():
        assert command.hidden or f"| `{name}` |" in section(glossary, "Commands"), name


def test_all_states_of_a_run_are_defined(glossary):
    states = re.findall(r"``(\w+)``", Run.status.__doc__.splitlines()[0])
    assert len(states) == 7
    assert re.findall(r"^\| `(\w+)` \|", section(glossary, "States"), re.MULTILINE) == states


def test_all_exit_codes_are_defined(glossary):
    codes = {value for name, value in vars(exit_codes).items() if name.isupper() and isinstance(value, int)}
    rows = re.findall(r"^\| (\d+) \|", section(glossary, "Exit codes"), re.MULTILINE)
    assert {int(row) for row in rows} == codes
