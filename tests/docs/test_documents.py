"""What the README and the notebook say is true."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import nbclient
import nbformat
import pytest
from typer.main import get_command

from membrane_dask.cli import app
from membrane_dask.errors import StudyError
from membrane_dask.study_file import load_study


@pytest.fixture(scope="module")
def readme(root) -> str:
    return (root / "README.md").read_text()


def test_links_lead_somewhere(root, readme):
    targets = [t for t in re.findall(r"\]\(([^)]+)\)", readme) if "://" not in t]
    assert targets
    named = re.findall(
        r"(?:configs|notebooks|deploy|benchmarks)/[\w.-]+", readme + (root / "deploy/README.md").read_text()
    )
    for target in [*targets, *named]:
        assert (root / target).exists(), target


@pytest.mark.parametrize("document", ["README.md", "deploy/README.md"])
def test_commands_exist_with_their_options(root, document):
    commands = get_command(app).commands
    readme = (root / document).read_text()
    blocks = re.findall(r"```bash\n(.*?)```", readme, re.S) + re.findall(
        r"`((?:membrane-dask )?[a-z]+(?: [^`\n]*)?)`", readme
    )
    seen = set()
    for line in "\n".join(blocks).splitlines():
        for part in re.split(r"&&", line.split("#")[0]):
            words = part.replace("[", " ").replace("]", " ").split()
            program = [i for i, word in enumerate(words) if word.endswith("membrane-dask")]
            words = words[program[0] + 1 :] if program else words
            if not words or words[0] not in commands:
                assert not program, part
                continue
            seen.add(words[0])
            found = commands[words[0]]
            if len(words) > 1 and hasattr(found, "commands") and words[1] in found.commands:
                found = found.commands[words[1]]
            known = {option for p in found.params for option in p.opts}
            assert {w for w in words if w.startswith("-")} <= known, part
    wanted = {"run", "submit", "clusters", "status", "logs", "cancel", "retry"}
    assert seen >= (wanted if "deploy" in document else wanted | {"new", "check", "plan", "replay", "schema"})


def test_the_first_screen_has_both_commands(root, readme):
    top = readme.split("## ")[0]
    blocks = re.findall(r"```bash\n(.*?)\n```", top, re.S)
    assert len(blocks) == 2
    assert all("\n" not in block and block.startswith("python3 -m venv") for block in blocks)
    assert blocks[1].endswith("&& pytest")
    assert "@@" not in readme + (root / "deploy/README.md").read_text()


@pytest.mark.parametrize(
    "name",
    [
        "graded-quickstart",
        "graded-optimum",
        "graded-gu-2023",
        "reconstruct-quickstart",
        "reconstruct-full",
        "characterize-quickstart",
        "characterize-flow",
        "porometry-quickstart",
        "porometry-palencia",
    ],
)
def test_shipped_studies_are_sound(root, name):
    study = load_study(root / f"configs/{name}.yaml")
    assert study.name in ("", name)
    if name == "graded-gu-2023":
        assert len(study.l_max) * len(study.gradient) * study.realizations == 27_000


def test_python_in_the_readme_uses_names_that_exist(readme):
    import membrane_dask as md

    code = "\n".join(re.findall(r"```python\n(.*?)```", readme, re.S)) + readme
    names = set(re.findall(r"\bmd\.(\w+)", code))
    assert {"open_run", "run", "load_study"} <= names
    for name in names:
        assert hasattr(md, name), name
    assert issubclass(md.StudyError, StudyError)


@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("quickstart", {"graded-quickstart", "reconstruct-quickstart", "quickstart.png"}),
        ("graded", {"graded-ten", "graded-search", "graded-foulants"}),
        ("reconstruct", {"reconstruct-twelve", "reconstruct-part", "part.png"}),
        ("characterize", {"reconstruct-three", "characterize-three", "corner", "corner.npy"}),
        ("porometry", {"porometry-bench", "porometry-closed", "porometry-paper"}),
    ],
)
def test_the_notebooks_run(root, tmp_path, name, left):
    """In a copy, from nothing: all studies are run and every figure is drawn."""
    for folder in ("configs", "notebooks"):
        shutil.copytree(root / folder, tmp_path / folder)
    notebook = nbformat.read(tmp_path / f"notebooks/{name}.ipynb", 4)
    kept = sum(_figures(cell) for cell in notebook.cells)
    client = nbclient.NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(tmp_path / "notebooks")}}
    )
    client.execute()
    assert sum(_figures(cell) for cell in notebook.cells) == kept >= 2
    assert {path.name for path in (tmp_path / "runs").iterdir()} == left
    if name == "quickstart":
        assert (tmp_path / "runs/quickstart.png").stat().st_size > 50_000


def test_the_reconstruct_page_names_what_exists(root):
    import membrane_dask as md
    from membrane_dask.studies.reconstruct.config import ReconstructStudy
    from membrane_dask.studies.reconstruct.variables import STRUCTURES, TRIALS

    page = (root / "docs/reconstruct.md").read_text()
    knobs = page.split("## Knobs")[1].split("##")[0]
    for name in re.findall(r"^\| `(\w+)", knobs, re.M):
        assert name in ReconstructStudy.model_fields
    names = {variable.name for variable in (*STRUCTURES, *TRIALS)}
    assert {"objective", "volume_porosity", "quarter_porosity"} <= names
    for path in re.findall(r"`((?:configs|benchmarks|notebooks|tests)/[\w/.-]+)`", page):
        assert (root / path).exists(), path
    for name in re.findall(r"\bmd\.(\w+)", page):
        assert hasattr(md, name)


def test_the_characterize_page_names_what_exists(root):
    import membrane_dask as md
    from membrane_dask.studies.characterize.config import CharacterizeStudy
    from membrane_dask.studies.characterize.variables import PROPERTIES

    page = (root / "docs/characterize.md").read_text()
    for name in re.findall(r"`(tortuosity_\w+|unassigned_share)`", page):
        assert name in {v.name for v in PROPERTIES}, name
    for name in ("input", "reference", "block", "connectivity", "tolerance", "network"):
        assert f"`{name}" in page
        assert name in CharacterizeStudy.model_fields
    for path in re.findall(r"`((?:configs|benchmarks|notebooks|tests)/[\w/.-]+)`", page):
        assert (root / path).exists(), path
    for name in re.findall(r"\bmd\.(\w+)", page):
        assert hasattr(md, name)


def test_the_flow_page_names_what_exists(root):
    from membrane_dask.studies.characterize.config import FlowSettings, RetentionSettings
    from membrane_dask.studies.characterize.variables import FLOW, RETENTION

    page = (root / "docs/flow.md").read_text()
    names = {v.name for v in (*FLOW, *RETENTION)}
    told = re.findall(r"`((?:permeab|permeance|tortuosity_h|critical_p|log_red|narrow_|flux_)\w*)`", page)
    assert len(set(told)) > 8
    assert set(told) <= names
    for settings in (FlowSettings, RetentionSettings):
        for name in settings.model_fields:
            assert re.search(rf"`{name}|\b{name}: ", page), name
    for path in re.findall(r"`((?:configs|benchmarks|notebooks|tests)/[\w/.-]+)`", page):
        assert (root / path).exists(), path


def test_the_porometry_page_names_what_exists(root):
    import membrane_dask as md
    from membrane_dask.studies.porometry.config import PorometryStudy, PublishedSettings
    from membrane_dask.studies.porometry.variables import (
        BOOTSTRAP,
        PAIRS,
        POPULATIONS,
        POROMETRY,
        POSTERIOR,
        REPRODUCTION,
        RESAMPLED,
    )

    page = (root / "docs/porometry.md").read_text()
    for name in ("further", "decimal", "flux_error", "replicates", "curve", "known", "membranes"):
        assert f"`{name}" in page or f"{name}:" in page
        assert name in PorometryStudy.model_fields
    for name in re.findall(r"^\| `(\w+)` \|", page.split("| switch |")[1].split("| result |")[0], re.M):
        assert name in PublishedSettings.model_fields
    names = {v.name for v in (*POROMETRY, *POSTERIOR, *BOOTSTRAP, *RESAMPLED, *PAIRS, *POPULATIONS, *REPRODUCTION)}
    rows = page.split("| result | what |")[1].split("##")[0]
    for name in re.findall(r"`([a-z]+_[a-z_]+)`", rows):
        assert name in names, name
    for path in re.findall(r"`((?:configs|benchmarks|notebooks|tests)/[\w/.-]+)`", page):
        assert (root / path).exists(), path
    for name in re.findall(r"\bmd\.(\w+)", page):
        assert hasattr(md, name)


def _figures(cell) -> int:
    return sum("image/png" in output.get("data", {}) for output in cell.get("outputs", []))


@pytest.mark.parametrize("name", ["quickstart", "graded", "porometry"])
def test_notebooks_are_kept_with_their_results_and_without_places(root, name):
    text = (root / f"notebooks/{name}.ipynb").read_text()
    notebook = nbformat.reads(text, 4)
    assert sum(_figures(cell) for cell in notebook.cells) >= 5
    assert not any(output.output_type == "error" for cell in notebook.cells for output in cell.get("outputs", []))
    assert str(Path.home()) not in text
    assert str(root) not in text
