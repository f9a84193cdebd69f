"""README, pages and notebooks name what exists, and the notebooks run."""

from __future__ import annotations

import re
import shutil
import sys
import warnings
from pathlib import Path

import nbclient
import nbformat
import pytest
import tifffile
from typer.main import get_command

import membrane_dask as md
from membrane_dask.cli.commands import app
from membrane_dask.cli.examples import examples
from membrane_dask.errors import StudyError
from membrane_dask.studies.registry import kinds
from membrane_dask.study_file import load_study

ROOT = Path(__file__).resolve().parents[2]
PAGES = ["README.md", "CONTRIBUTING.md", "deploy/README.md"]
PAGES += [str(path.relative_to(ROOT)) for path in ROOT.glob("docs/**/*.md") if "generated" not in path.parts]
NOTEBOOKS = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("notebooks/*.ipynb"))
CONFIGS = sorted(path.stem for path in ROOT.glob("configs/*.yaml"))
FOLDERS = "benchmarks|configs|deploy|docs|membrane_dask|notebooks|tests"


@pytest.fixture(scope="module")
def readme(root) -> str:
    return (root / "README.md").read_text()


@pytest.mark.parametrize("page", PAGES)
def test_files_and_links_exist(root, page):
    text = (root / page).read_text()
    links = [target.split("#")[0] for target in re.findall(r"\]\(([^)]+)\)", text) if "://" not in target]
    for target in filter(None, links):
        assert ((root / page).parent / target).exists(), target
    for target in re.findall(rf"`((?:{FOLDERS})/[\w./-]*\w)`", text):
        assert (root / target).exists(), target


@pytest.mark.parametrize("page", [*PAGES, *NOTEBOOKS])
def test_public_names_exist(root, page):
    for name in set(re.findall(r"\bmd\.(\w+)", (root / page).read_text())):
        assert name in md.__all__, name


def commands_of(text: str) -> list[list[str]]:
    """Arguments of all commands ``membrane-dask ...`` in the code of a page."""
    code = "\n".join([*re.findall(r"```bash\n(.*?)```", text, re.S), *re.findall(r"`(membrane-dask [^`]+)`", text)])
    lines = [line.split("#")[0] for line in code.replace("\\\n", " ").splitlines()]
    pieces = [piece.replace("[", " ").replace("]", " ").split() for line in lines for piece in re.split("&&|;", line)]
    programs = [[bool(re.fullmatch(r"([\w./]*/)?membrane-dask", token)) for token in tokens] for tokens in pieces]
    return [tokens[flags.index(True) + 1 :] for tokens, flags in zip(pieces, programs, strict=True) if any(flags)]


@pytest.mark.parametrize("page", PAGES)
def test_commands_exist_with_their_options(root, page):
    for arguments in commands_of((root / page).read_text()):
        command = get_command(app)
        while arguments and hasattr(command, "commands"):
            if arguments[0] in command.commands:
                command = command.commands[arguments[0]]
            elif not arguments[0].startswith("-"):
                raise AssertionError(f"no command {arguments[0]!r}")
            arguments = arguments[1:]
        options = {option for p in command.params for option in (*p.opts, *p.secondary_opts)}
        names = {token.split("=")[0] for token in arguments if re.match("--?[a-z]", token)}
        assert names <= options | {"--help", "-h", "--version"}, (arguments, names - options)


def test_all_commands_are_described(readme):
    commands = {arguments[0] for arguments in commands_of(readme) if arguments}
    commands |= set(re.findall(r"`([a-z]+)\b[^`]*`", readme)) & set(get_command(app).commands)
    visible = {name for name, command in get_command(app).commands.items() if not command.hidden}
    assert commands >= visible - {"list"}


def test_the_first_screen_has_both_commands(readme):
    first_screen = readme.split("## ")[0]
    blocks = re.findall(r"```bash\n(.*?)\n```", first_screen, re.S)
    assert len(blocks) == 2
    assert all("\n" not in block and block.startswith("python3 -m venv") for block in blocks)
    assert blocks[1].endswith("&& pytest")


def test_the_readme_says_what_the_examples_say(readme):
    for example in examples().values():
        assert f"| `{example.kind}` | {example.duration} | {example.look_at} |" in readme


def test_studies_of_the_readme_are_valid(readme, tmp_path):
    for name in ("micrograph.tif", "volume.tif", "flux.csv"):
        (tmp_path / name).touch()
    studies = re.findall(r"```yaml\n(.*?)```", readme, re.S)
    for text in studies:
        (tmp_path / "study.yaml").write_text(text)
        load_study(tmp_path / "study.yaml")
    assert len(studies) == 4


@pytest.mark.parametrize("name", CONFIGS)
def test_shipped_studies_are_valid(root, name):
    """Without a warning: none uses a former key."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        study = load_study(root / f"configs/{name}.yaml")
    assert study.name in ("", name)
    if name == "graded-gu-2023":
        assert len(study.l_max) * len(study.gradient) * study.realizations == 27_000


def test_names_in_tables_exist(root):
    """First column of the tables of settings ("key") and of results ("variable") on the pages of the study kinds."""
    sys.path.insert(0, str(root / "docs"))
    try:
        from make_glossary import settings_rows
    finally:
        sys.path.pop(0)
    keys = {row[0].strip("`") for kind in kinds().values() for row in settings_rows(kind.settings_class)}
    tables = {schema.name for kind in kinds().values() for schema in kind.schemas}
    variables = {v.path for kind in kinds().values() for schema in kind.schemas for v in schema.variables}
    variables |= {f"{s.name}/{v.path}" for kind in kinds().values() for s in kind.schemas for v in s.variables}
    names = {"key": keys | {key.split(".")[0] for key in keys}, "variable": variables, "table": tables}
    for page in root.glob("docs/*.md"):
        if page.name == "glossary.md":
            continue
        for header, rows in re.findall(
            r"^\| (key|variable|table) \|.*\n\|[- |]+\n((?:\|.*\n)+)", page.read_text(), re.M
        ):
            for name in re.findall(r"^\| `([^`]+)`", rows, re.M):
                assert name in names[header], f"{page.name}: {header} {name}"


def test_errors_are_public():
    assert issubclass(md.StudyError, StudyError)


#: What the tests compute less of than the notebooks and their studies, by file.
SMALLER = {
    "notebooks/graded.ipynb": {"realizations=10": "realizations=4", "realizations=8": "realizations=4"},
    "notebooks/characterize.ipynb": {'\\"slices\\": 128': '\\"slices\\": 48', ":64, :64": ":32, :32"},
    "notebooks/reconstruct.ipynb": {
        "replicates=12": "replicates=4", '\\"replicates\\": 12': '\\"replicates\\": 4', "range(12)": "range(4)",
        "[row] * 12": "[row] * 4", '\\"slices\\": 128': '\\"slices\\": 48', "isel(y=64)": "isel(y=24)",
    },
    "notebooks/quickstart.ipynb": {"isel(y=128)": "isel(y=16)", "range(5)": "range(2)"},
    "configs/chain-quickstart.yaml": {
        "[0, 1.4143, 2, 3]": "[0, 2]", "[0, 0.2]": "[0]", "slices: 128, width: 128": "slices: 48, width: 48",
        "bench: {enabled: true}": "bench: {enabled: true, methods: [mercury, water]}",
    },
    "configs/graded-gu-2023.yaml": {"time_step: 2.5e-4": "time_step: 1e-3"},
    "configs/graded-optimum.yaml": {"interval: 2.0e-4": "interval: 1e-3\n  round: 4\ntime_step: 1e-3"},
    "configs/graded-quickstart.yaml": {"realizations: 20": "realizations: 4\ntime_step: 5e-4"},
    "configs/porometry-bench.yaml": {"area: ": "bootstrap: {draws: 100, batch: 100}\narea: "},
    "configs/porometry-quickstart.yaml": {"area: ": "bootstrap: {draws: 100, batch: 100}\narea: "},
    "configs/reconstruct-quickstart.yaml": {
        "replicates: 5": "replicates: 2", "[0, 1.4143, 2, 3]": "[0, 2]", "[0, 0.2]": "[0]",
        "slices: 256": "slices: 32", "width: 256": "width: 48\ngoodness_of_fit: {refits: 3, sections: 10}",
    },
}  # fmt: skip


#: What each notebook leaves in `runs`.
RUNS = {
    "quickstart": {"graded-quickstart", "reconstruct-quickstart", "quickstart.png"},
    "porometry": {"porometry-bench", "porometry-closed", "porometry-methods", "porometry-paper"},
    "graded": {"graded-ten", "graded-search", "graded-foulants", "graded-best-radii"},
    "reconstruct": {"reconstruct-twelve", "reconstruct-third", "third.png"},
    "characterize": {"reconstruct-three", "characterize-three", "corner", "corner.npy", "network.vtk"},
    "chain": {"chain-quickstart", "chain-quickstart-studies", "reconstruct", "characterize", "foul", "porometry"},
}
#: Those of one kind run on demand: `quickstart` shows that a notebook runs in a kernel and draws its figures,
#: test_public_names_exist that the names in the others exist, and tests/studies runs studies of all kinds.
ON_DEMAND = RUNS.keys() - {"quickstart"}


@pytest.mark.parametrize(
    ("name", "runs"),
    [pytest.param(*item, marks=[pytest.mark.slow] if item[0] in ON_DEMAND else []) for item in RUNS.items()],
)
def test_the_notebooks_run(root, tmp_path, name, runs):
    """In a copy of the folder, without earlier runs: all studies run and every figure is drawn."""
    for folder in ("configs", "notebooks"):
        shutil.copytree(root / folder, tmp_path / folder)
    for path, numbers in SMALLER.items():
        text = (tmp_path / path).read_text()
        for number, smaller in numbers.items():
            assert number in text, f"{path}: {number} is not there any more"
            text = text.replace(number, smaller)
        (tmp_path / path).write_text(text)
    for path in (tmp_path / "configs").glob("*.yaml"):
        # Workers start from a kernel once; the other runs need none.
        cluster = "workers: 1" if (name, path.stem) == ("quickstart", "graded-quickstart") else "profile: sync"
        text = re.sub(r"^kind: .*$", rf"\g<0>\ncluster: {{{cluster}}}", path.read_text(), flags=re.M)
        path.write_text(text)
    reference = tmp_path / "configs/graded-membrane.tif"
    tifffile.imwrite(reference, tifffile.imread(reference)[:, :48, :128], compression="zlib")
    notebook = nbformat.read(tmp_path / f"notebooks/{name}.ipynb", 4)
    figures = sum(_figures(cell) for cell in notebook.cells)
    client = nbclient.NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(tmp_path / "notebooks")}}
    )
    client.execute()
    assert sum(_figures(cell) for cell in notebook.cells) == figures >= 2
    names = {path.name for path in (tmp_path / "runs").iterdir()}
    assert {re.sub(r"-[0-9a-f]{8}$", "", name) for name in names} == runs  # runs of stages are named by digests
    if name == "quickstart":
        assert (tmp_path / "runs/quickstart.png").stat().st_size > 50_000


def _figures(cell) -> int:
    return sum("image/png" in output.get("data", {}) for output in cell.get("outputs", []))


@pytest.mark.parametrize("name", ["quickstart", "graded", "porometry", "chain"])
def test_notebooks_have_results_and_no_paths_of_this_machine(root, name):
    text = (root / f"notebooks/{name}.ipynb").read_text()
    notebook = nbformat.reads(text, 4)
    assert sum(_figures(cell) for cell in notebook.cells) >= 4
    assert not any(output.output_type == "error" for cell in notebook.cells for output in cell.get("outputs", []))
    assert str(Path.home()) not in text
    assert str(root) not in text
