"""Example studies that come with the package, and the command that runs one and shows its report."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from membrane_dask.cli.completion import complete_kind
from membrane_dask.cli.options import print_table
from membrane_dask.cli.run import run_study
from membrane_dask.engine.terminal import say, show

#: Kind that is run where none is named: it needs no input file and takes least to explain.
DEFAULT_KIND = "graded"


@dataclass(frozen=True)
class Example:
    """An example study.

    Parameters
    ----------
    kind : str
        Its study kind.
    path : Path
        Study file, whose input files are in the same folder.
    purpose : str
        What it computes.
    duration : str
        How long it takes on two cores, and the size of its run.
    look_at : str
        What to look at in its report.
    """

    kind: str
    path: Path
    purpose: str
    duration: str
    look_at: str


def examples() -> dict[str, Example]:
    """The example of each study kind, by kind; the comment at the top of its file describes it."""
    folder = Path(__file__).parents[1] / "examples"
    if not folder.is_dir():  # a checkout
        folder = Path(__file__).parents[2] / "configs"
    available = {}
    for path in sorted(folder.glob("*-quickstart.yaml")):
        kind = path.name.removesuffix("-quickstart.yaml")
        lines = re.findall(r"^# ?(.*)$", path.read_text(encoding="utf-8").partition("\nkind:")[0], re.MULTILINE)
        description = re.fullmatch(r"(.*) Duration: (.*)\. Look at: (.*)\.", " ".join(lines))
        if description is None:
            raise ValueError(f"{path} does not begin with a comment that names its duration and what to look at")
        available[kind] = Example(kind, path, *description.groups())
    return available


def copy_example(example: Example, folder: Path) -> Path:
    """Copy an example with the files that it reads into a folder; those that exist there are kept.

    Returns
    -------
    Path
        The study file in the folder.
    """
    from membrane_dask.errors import Problem, Source, StudyError
    from membrane_dask.files import is_url, url_text

    if is_url(folder):
        raise StudyError(
            [Problem(("to",), f"must be a folder of this machine (got {url_text(folder)!r})")], Source("demo")
        )
    folder.mkdir(parents=True, exist_ok=True)
    for source in example_files(example.path):
        target = folder / source.name
        if not target.exists():
            shutil.copyfile(source, target)
        elif target.read_bytes() != source.read_bytes():
            say(f"{target} differs from the example and is used as it is; delete it to have the example again")
    return folder / example.path.name


def example_files(study: Path) -> Iterator[Path]:
    """A study file and the files of its folder that it names, those of its sources included."""
    from membrane_dask.yaml_files import read_mapping

    yield study
    for text in _texts(read_mapping(study)[0]):
        named = study.parent / text
        if "/" not in text and named.is_file():
            yield from example_files(named) if named.suffix == ".yaml" else [named]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for entry in value.values():
            yield from _texts(entry)


def demo(
    kind: Annotated[
        str | None, typer.Argument(help="A study kind; without it, all are listed.", autocompletion=complete_kind)
    ] = None,
    folder: Annotated[Path, typer.Option("--to", help="Folder for the study and its input files.")] = Path(
        "membrane-dask-demo"
    ),
    open_report: Annotated[bool, typer.Option("--open/--no-open", help="Open the report in a browser.")] = True,
) -> None:
    """Run an example study on data that come with the package, and open its report.

    Without a kind, the examples are listed and the shortest to explain is run.
    """
    from membrane_dask.errors import Problem, Source, StudyError, nearest
    from membrane_dask.report import write_report

    available = examples()
    if kind is None:
        _list(available)
        kind = DEFAULT_KIND
    elif kind not in available:
        message = f"no example of this kind; {nearest(kind, list(available))} (got {kind!r})"
        raise StudyError([Problem((), message)], Source("demo"))
    example = available[kind]
    say(f"{kind}: {example.purpose}\nduration: {example.duration}")
    path = copy_example(example, folder)
    say(f"the same as: membrane-dask run {path}, and then: membrane-dask report RUN")
    run = run_study(path)
    report = write_report(run)
    say(f"look at: {example.look_at}")
    say(f"next: change {path} and run it again, or start a study of your own: membrane-dask new {kind} > study.yaml")
    show(report)
    if open_report and sys.stdout.isatty():
        _open(report)


def _list(available: dict[str, Example]) -> None:
    print_table(("kind", "duration", "what it shows"), [[e.kind, e.duration, e.purpose] for e in available.values()])
    say(f"run one with: membrane-dask demo KIND; now: {DEFAULT_KIND}")


def _open(report: Path) -> None:
    """Open a report in a browser that has a window; one that runs in the terminal would take it over."""
    import webbrowser

    has_window = sys.platform == "darwin" or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
    if not (has_window or os.environ.get("BROWSER")) or not webbrowser.open(report.resolve().as_uri()):
        say("there is no browser here; copy the report to a machine that has one, it is one file")
