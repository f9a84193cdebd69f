"""Command that serves the pages to explore runs."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from membrane_dask.cli.exit_codes import USAGE, exit_with
from membrane_dask.engine.terminal import say, show

if TYPE_CHECKING:
    from membrane_dask.engine.run_list import RunList


def serve(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[RUN]...", help="Runs, or folders of runs; default: runs/.")
    ] = None,
    port: Annotated[int, typer.Option(help="Port; 0 for any that is free.", min=0, max=65535)] = 0,
) -> None:
    """Serve pages to explore runs in a browser on this machine, until Ctrl-C.

    The printed address holds a token, without which nothing is served. The pages change nothing. For a machine that you
    reach by SSH: ssh -L PORT:127.0.0.1:PORT HOST, and open the address there.
    """
    try:
        from membrane_dask.explorer.server import ExplorerServer
    except ImportError as error:
        say(f"serve needs {error.name}, which is not installed: pip install 'membrane-dask[explore]'")
        exit_with(USAGE)

    runs = partial(_runs, _directories(names or ()))
    runs()  # a run that is not there is an error before anything is served
    server = ExplorerServer(runs, port)
    show(server.url)
    say("read-only, for this machine; stop it with Ctrl-C")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: server.stop())
    server.run()


def _directories(names: Sequence[str]) -> list[str]:
    """Names without exported runs and other files, which a shell writes in place of ``runs/*`` as well."""
    from membrane_dask.engine.run_list import is_exported_run

    directories = []
    for name in names:
        if is_exported_run(name):
            say(f"left out: {name} is an exported run; its report: membrane-dask report {name}")
        elif Path(name).is_file():
            say(f"left out: {name} is a file, not the directory of a run")
        else:
            directories.append(name)
    if names and not directories:
        say("no run is left; give runs, or folders of runs")
        exit_with(USAGE)
    return directories


def _runs(names: Sequence[str]) -> RunList:
    """Runs and all runs in folders, each once; without names those in ``runs/``."""
    from membrane_dask import api
    from membrane_dask.engine.run import Run
    from membrane_dask.engine.run_list import BrokenRun, RunList, open_runs

    if not names:
        return api.list_runs()
    entries: dict[Path, Run | BrokenRun] = {}
    for name in names:
        is_folder = Path(name).is_dir() and not (Path(name) / "run.json").exists()
        for entry in (api.list_runs(name) if is_folder else open_runs([name])).entries:
            entries.setdefault(entry.path.resolve(), entry)
    return RunList(list(entries.values()))
