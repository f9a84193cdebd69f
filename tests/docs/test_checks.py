"""The checks of ``.ci``, of pre-commit and of the workflows agree."""

from __future__ import annotations

import os
import re

from ruamel.yaml import YAML


def test_workflows_call_scripts_of_the_checkout(root):
    for path in sorted((root / ".github/workflows").glob("*.yml")):
        workflow = YAML(typ="safe").load(path)
        commands = [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]
        scripts = re.findall(r"\.ci/\w+", "\n".join(commands))
        assert scripts, path
        for script in scripts:
            assert os.access(root / script, os.X_OK), f"{path}: {script}"


def test_notebooks_with_outputs_are_the_same_everywhere(root):
    shown = re.search(r"^shown=\((.*)\)$", (root / ".ci/checks").read_text(), re.MULTILINE)[1].split()
    hooks = (root / ".pre-commit-config.yaml").read_text()
    assert re.search(r"exclude: \^notebooks/\((.*)\)", hooks)[1].split("|") == shown
    assert all((root / f"notebooks/{name}.ipynb").exists() for name in shown)
