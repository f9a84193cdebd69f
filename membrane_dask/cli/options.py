"""Arguments and options of several commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from membrane_dask.cli.completion import complete_assignment, complete_profile, complete_run
from membrane_dask.engine.terminal import show
from membrane_dask.plain_text import printable_line


class CommandGroup(TyperGroup):
    """Commands whose help has the whole first paragraph on each of them.

    Help is plain text: Rich takes longer to import than all that a short command does.
    """

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write a row for each command that is not hidden."""
        commands = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        rows = [
            (name, " ".join((command.help or "").partition("\n\n")[0].split()))
            for name, command in commands.items()
            if command is not None and not command.hidden
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


StudyPath = Annotated[Path, typer.Argument(metavar="STUDY", help="YAML file; write one with: membrane-dask new KIND")]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="A.B=VALUE",
        help="Change an entry of the study; may be repeated.",
        autocompletion=complete_assignment,
    ),
]
ClusterName = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="P",
        help="A profile of `clusters`, sync, or the address of a scheduler.",
        autocompletion=complete_profile,
    ),
]
RunDirectory = Annotated[Path | None, typer.Option("--out", help="Run directory; default runs/<name>.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Move an existing run away and compute all units anew.")]
Trust = Annotated[
    bool, typer.Option("--trust", help="Use the commands, files and hosts that a received run brings along.")
]
RunName = Annotated[
    str,
    typer.Argument(
        metavar="RUN", help="Directory of a run, its name, or the start of its name.", autocompletion=complete_run
    ),
]


def with_cluster(overrides: list[str] | None, cluster: str | None) -> list[str]:
    """All ``--set`` arguments, that of ``--cluster`` included."""
    return [*(overrides or []), *([f"cluster.profile={cluster}"] if cluster else [])]


def print_table(header: tuple[str, ...], rows: list[list[str]]) -> None:
    """Print rows of text in aligned columns."""
    show(table_text(header, rows))


def table_text(header: tuple[str, ...], rows: list[list[str]]) -> str:
    """Rows of text in aligned columns."""
    rows = [[printable_line(cell) for cell in row] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(header, *rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in (header, *rows))
    return "\n".join(lines)
