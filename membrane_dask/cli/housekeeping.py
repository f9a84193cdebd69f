"""Commands that compare, remove and rename runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from membrane_dask.cli.completion import complete_run
from membrane_dask.cli.exit_codes import STOPPED, USAGE, exit_with
from membrane_dask.cli.options import RunName, print_table
from membrane_dask.engine.terminal import say, show


def compare(
    first: RunName,
    second: RunName,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page with the pictures of both side by side.")
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Compare residuals, counts of simulated designs and the like as well.")
    ] = False,
) -> None:
    """Compare two runs of one kind: parameters that differ, properties with intervals, and their differences."""
    from membrane_dask.report.comparison import compare as compare_runs

    comparison = compare_runs(first, second, full=full)
    names = tuple(run.name for run in comparison.runs)
    if comparison.parameters:
        print_table(("parameter", *names), [list(row) for row in comparison.parameters])
        show()
    else:
        say(comparison.parameter_note)
    if rows := comparison.property_rows():
        print_table(comparison.property_header, rows)
    say(comparison.note)
    if html is not None:
        from membrane_dask.report.comparison_page import write_comparison

        show(write_comparison(comparison, html))


def rm(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...", help="Directories of runs, or their whole names.", autocompletion=complete_run
        ),
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
) -> None:
    """Remove runs with all their results.

    Runs that are at work stay, and runs that other runs read. Those others are looked for in the folder of the run and
    in runs/.
    """
    from membrane_dask.engine.run_list import find_whole_name, open_runs
    from membrane_dask.engine.run_removal import remove_run, require_removable, with_last_name
    from membrane_dask.files import DiskError

    named = (with_last_name(find_whole_name(name)) for name in names)
    paths = {path.parent.resolve() / path.name: path for path in named}  # a link is not its target
    try:
        require_removable(list(paths.values()), Path("runs"))
    except DiskError as error:
        say(f"nothing was removed: {error}")
        exit_with(STOPPED)
    runs = open_runs(list(paths.values()))
    print_table(*runs.table())
    if not yes:
        if not sys.stdin.isatty():
            say("nothing was removed: confirmation needs a terminal; to confirm beforehand give --yes")
            exit_with(USAGE)
        if not typer.confirm(f"Remove {len(paths)} run{'s' * (len(paths) > 1)} with all results?", err=True):
            exit_with(USAGE)
    for absolute, path in paths.items():  # the working directory may be removed
        try:
            remove_run(absolute)
        except DiskError as error:  # it names what is left
            say(str(error))
            exit_with(STOPPED)
        say(f"removed: {path}")


def rename(
    name: Annotated[
        str, typer.Argument(metavar="RUN", help="Directory of a run, or its whole name.", autocompletion=complete_run)
    ],
    new_name: Annotated[str, typer.Argument(metavar="NAME", help="New name of its directory, in the same folder.")],
) -> None:
    """Give the directory of a run another name.

    A run that is at work stays, and one that other runs read. Those others are looked for in the folder of the run and
    in runs/.
    """
    from membrane_dask.engine.run_list import find_whole_name
    from membrane_dask.engine.run_removal import rename_run, require_removable

    path = find_whole_name(name)
    require_removable([path], Path("runs"))
    renamed = rename_run(path, new_name)
    show(renamed)
    say(f"resume it with: membrane-dask run {renamed / 'study.yaml'} --out {renamed}")
