"""All commands: parse, call the functions of :mod:`membrane_dask.api`, print.

Results go to stdout, messages to stderr; :mod:`.exit_codes` lists the exit codes.
"""

from __future__ import annotations

import io
import os
import sys
import traceback
import warnings
from typing import Annotated, Any, NoReturn

import typer

from membrane_dask.cli import clusters, examples, explore, housekeeping, run, runs, studies
from membrane_dask.cli.exit_codes import ALTERED, BUG, CLUSTER, DONE, INTERRUPTED, STOPPED, USAGE
from membrane_dask.cli.options import CommandGroup
from membrane_dask.engine.terminal import say, show

app = typer.Typer(
    name="membrane-dask",
    help="Distributed batch simulation of porous filtration membranes.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    cls=CommandGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:
    if value:
        from membrane_dask import __version__

        show(f"membrane-dask {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    pass


app.command()(examples.demo)
app.command(cls=studies.KindCommand)(studies.new)
app.command()(studies.check)
app.command()(studies.plan)
app.command()(run.run)
app.command()(run.submit)
app.command()(runs.status)
app.command("list")(runs.list_runs)
app.command()(runs.logs)
app.command()(runs.cancel)
app.command()(run.retry)
app.command()(runs.report)
app.command()(explore.serve)
app.command()(housekeeping.compare)
app.command()(runs.export)
app.command()(runs.verify)
app.command()(runs.replay)
app.command()(housekeeping.rm)
app.command()(housekeeping.rename)
app.command()(studies.schema)
app.command(hidden=True)(run.drive)
app.add_typer(clusters.clusters_app, name="clusters")


def run_command(arguments: list[str] | None = None) -> NoReturn:
    """Run a command and exit with its code; errors are printed as messages."""
    code = BUG
    for stream in (sys.stdout, sys.stderr):  # characters that the terminal's encoding lacks are no error
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _print_warning  # type: ignore[assignment]
            app(arguments, prog_name="membrane-dask")
        code = DONE
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else DONE if leaving.code is None else BUG
    except KeyboardInterrupt:
        say("interrupted")
        code = INTERRUPTED
    except BrokenPipeError:  # the reader of the output has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = DONE
    except Exception as error:
        code = _print_error(error)
    try:
        sys.stdout.flush()
    except OSError as error:
        code = code or _print_error(error)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python writes the rest when it ends
    sys.exit(code)


def _print_warning(message: Warning | str, *position: Any) -> None:
    """Print a warning as one line, without the position in the source."""
    say(f"warning: {message}")


def _print_error(error: Exception) -> int:
    """Print what went wrong; returns the exit code."""
    from membrane_dask.errors import StudyError

    if os.environ.get("MEMBRANE_DASK_DEBUG"):
        say("".join(traceback.format_exception(error)).rstrip())

    if isinstance(error, StudyError):
        say(str(error))
        return USAGE
    from membrane_dask.engine.lock import RunBusyError
    from membrane_dask.engine.run import RunNotFoundError
    from membrane_dask.errors import (
        ClusterError,
        DataLossError,
        ExportError,
        ProgramError,
        ReportError,
        UnreadableRunError,
    )
    from membrane_dask.files import DISK_ERRORS

    if isinstance(error, (RunNotFoundError, RunBusyError, ReportError, ExportError, UnreadableRunError)):
        say(str(error))
        return USAGE
    if isinstance(error, ClusterError):
        say(f"cluster failure: {error}")
        say("what is finished is kept; the same command resumes")
        return CLUSTER
    if isinstance(error, DataLossError):
        say(str(error))
        return ALTERED
    if isinstance(error, ProgramError):
        say(f"{error}; this is an error of the package of that study kind; what is finished is kept")
        return BUG
    if type(error) is OSError and error.errno in DISK_ERRORS and not error.filename:  # files are named: it is stdout
        say(f"cannot write the output of this command: {error.strerror}")
        return STOPPED
    if isinstance(error, OSError):
        say(f"stopped by the system: {error}; what is finished is kept, run again to resume")
        return STOPPED
    if not os.environ.get("MEMBRANE_DASK_DEBUG"):
        say("".join(traceback.format_exception(error)).rstrip())
    from membrane_dask.studies.registry import kind_at_fault

    if kind := kind_at_fault(error):
        say(f"this is an error of the study kind {kind}; what is finished is kept")
    else:
        say("this is a bug in membrane-dask; what is finished is kept")
    return BUG
