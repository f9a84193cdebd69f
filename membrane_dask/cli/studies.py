"""Commands that write, check and plan studies."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from membrane_dask.cli.completion import complete_kind
from membrane_dask.cli.exit_codes import USAGE, exit_with
from membrane_dask.cli.options import ClusterName, Overrides, StudyPath, print_table, with_cluster
from membrane_dask.cli.pilots import measured
from membrane_dask.engine.terminal import say, show
from membrane_dask.errors import reason

if TYPE_CHECKING:
    from membrane_dask.engine.plan import Plan


class KindCommand(TyperCommand):
    """A command whose help lists the installed study kinds."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Name the kinds in the help of the argument, then print it."""
        from membrane_dask.studies.registry import kind_names

        for argument in self.params:
            if argument.name == "kind":
                argument.help = f"one of {', '.join(kind_names())}; without it, all are listed"  # type: ignore[attr-defined]
        super().format_help(ctx, formatter)


def new(
    kind: Annotated[
        str | None, typer.Argument(help="a study kind; without it, all are listed", autocompletion=complete_kind)
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="All parameters, not only those that most studies set.")] = False,
    input_file: Annotated[
        str | None, typer.Option("--input", metavar="FILE", help="Data file, as the study is to name it.")
    ] = None,
) -> None:
    """Print a commented study: its parameters with their defaults, units, bounds, spellings and sources."""
    from membrane_dask.study_file import commented_study

    if kind is not None:
        show(commented_study(kind, full=full, input_file=input_file), end="")
        return
    if input_file is not None or full:
        raise typer.BadParameter("needs a kind: membrane-dask new KIND --input FILE", param_hint="--input, --full")
    from membrane_dask.studies.registry import kinds

    print_table(("kind", "purpose"), [[name, each.purpose] for name, each in kinds().items()])
    say("write a study with: membrane-dask new KIND > study.yaml")


JsonOutput = Annotated[bool, typer.Option("--json", help="Print an object for scripts.")]


def check(path: StudyPath, overrides: Overrides = None, as_json: JsonOutput = False) -> None:
    """Report all problems of a study and of the files that it reads; computes nothing.

    What needs computation, such as the segmentation of an image, is checked by `plan`, and by `run` before it starts.
    """
    from membrane_dask import api
    from membrane_dask.errors import StudyError
    from membrane_dask.study_file import load_study_with_source

    problems: list[dict[str, str]] = []
    unchecked: list[str] = []
    try:
        study, source = load_study_with_source(path, overrides or ())
        sources, unchecked = api.check(study, source)
    except StudyError as error:
        if not as_json:
            raise
        problems = [
            {"field": problem.field, "position": error.source.locate(problem.where), "message": problem.message}
            for problem in error.problems
        ]
    if as_json:
        record = {"study": str(path.absolute()), "valid": not problems, "problems": problems, "unchecked": unchecked}
        show(json.dumps(record, indent=1))
        if problems:
            exit_with(USAGE)
        return
    for item in sources:
        if not item.finished:
            say(f"{item.path.name} was not run yet: `run` runs it first and then checks what it has made")
    say(f"{path}: a valid {study.kind} study")
    if unchecked:
        say(f"not checked, but by membrane-dask plan {path}: {', '.join(unchecked)}")


def plan(
    path: StudyPath,
    overrides: Overrides = None,
    cluster: ClusterName = None,
    measure: Annotated[bool, typer.Option(help="Run a few pilot units to measure the cost.")] = True,
    as_json: JsonOutput = False,
) -> None:
    """Print what a run would do: units, batches, memory, and then the cost, measured on a few units.

    Studies whose runs this one reads come first, as far as they are not finished.
    Pictures of the inputs, such as the segmentation of a micrograph, are written into the folder of the study, without
    --json.
    """
    from membrane_dask import api
    from membrane_dask.study_file import load_study_with_source

    study, source = load_study_with_source(path, with_cluster(overrides, cluster))
    unfinished = [item for item in api.planned_sources(study, source) if not item.finished]
    if as_json:
        planned = None if unfinished else api.plan(study, source=source)
        record = {"study": str(path.absolute()), "kind": study.kind, "unfinished": [str(i.path) for i in unfinished]}
        show(json.dumps(record | (_record(measured(planned) if measure else planned) if planned else {}), indent=1))
        return
    for item in unfinished:
        show(f"source   {item.path}")
        if item.plan:
            _show_plan(item.plan, measure)
        else:
            show("         is planned when those above are finished: their results decide its units and its cost")
        show("")
    if unfinished:
        show(f"study    {study.name} ({study.kind})\n         is planned when its sources are finished")
        return
    _show_plan(api.plan(study, source=source), measure, pictures=path.parent)


def _show_plan(plan: Plan, measure: bool, pictures: Path | None = None) -> None:
    """Print a plan: what follows from the inputs at once, with their pictures, and its cost after the pilots."""
    show(plan)
    if pictures is not None:
        _write_pictures(plan, pictures)
    if measure:
        sys.stdout.flush()  # also where the output goes into a file
        printed = plan.rows()
        for name, text in measured(plan).rows():
            if (name, text) not in printed:
                show(f"{name:<8} {text}")


def _write_pictures(plan: Plan, folder: Path) -> None:
    try:
        contents = plan.program.previews()
    except Exception as error:  # of unusual data; the plan is printed already
        say(f"the inputs cannot be drawn: {reason(error)}")
        contents = {}
    for name, content in contents.items():
        picture = folder / name
        try:
            picture.write_bytes(content)
        except OSError as error:
            say(f"cannot write {picture}: {error.strerror or error}")
        else:
            show(f"{'picture':<8} {picture}")


def _record(plan: Plan) -> dict[str, Any]:
    """A plan as plain JSON values; times are None where no pilot was measured."""
    return {
        "run": plan.name,
        "units": dict(plan.counts),
        "adaptive": plan.program.adaptive,
        "batch": dict(plan.batch),
        "memory_bytes": plan.needed_memory(),
        "cpu_seconds": plan.cost,
        "wall_seconds": plan.time,
        "imported_from": [str(source.path) for source in plan.imports if not source.changes],
    }


def schema() -> None:
    """Print the JSON schema of a study, for editors."""
    from membrane_dask.study_file import json_schema

    show(json.dumps(json_schema(), indent=2))
