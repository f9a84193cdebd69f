"""Commands that write, check and plan studies."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from membrane_dask.cli.exit_codes import _say
from membrane_dask.cli.options import ClusterName, Overrides, StudyPath, _overrides


def new(kind: Annotated[str, typer.Argument(help="graded, reconstruct, characterize or porometry")]) -> None:
    """Print a commented study: every knob with its default, unit, bounds and source."""
    from membrane_dask.study_file import commented_study

    print(commented_study(kind), end="")


def check(study: StudyPath, set_: Overrides = None) -> None:
    """Report all that is wrong with a study; read its inputs, start nothing."""
    from membrane_dask import api
    from membrane_dask.study_file import load_study_with_source

    found, source = load_study_with_source(study, set_ or ())
    first = api.sources_to_run(found, source)
    if not first:
        api.plan(found, source=source)
    for path in first:
        _say(f"{path.name} was not run yet: `run` does so first, and then looks at what it made")
    _say(f"{study}: a sound {found.kind} study")


def plan(
    study: StudyPath,
    set_: Overrides = None,
    cluster: ClusterName = None,
    measure: Annotated[bool, typer.Option(help="Run a few pilot units to measure the cost.")] = True,
) -> None:
    """Print what a run would do: units, batches, memory, and its cost, measured on a few units."""
    from membrane_dask import api
    from membrane_dask.study_file import load_study_with_source

    found, source = load_study_with_source(study, _overrides(set_, cluster))
    print(api.plan(found, measure=measure, source=source))


def schema() -> None:
    """Print the JSON schema of a study, for editors."""
    from membrane_dask.study_file import json_schema

    print(json.dumps(json_schema(), indent=2))
