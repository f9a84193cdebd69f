"""Command that serves the pages to explore runs."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated

import typer

from membrane_dask.cli.exit_codes import USAGE, exit_with
from membrane_dask.engine.terminal import say, show


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
    from membrane_dask import api
    from membrane_dask.engine.run_list import RunList, open_runs

    try:
        from membrane_dask.explorer.server import ExplorerServer
    except ImportError as error:
        say(f"serve needs {error.name}, which is not installed: pip install 'membrane-dask[explore]'")
        exit_with(USAGE)

    def runs() -> RunList:
        if not names:
            return api.list_runs()
        folders = [name for name in names if Path(name).is_dir() and not (Path(name) / "run.json").exists()]
        lists = [api.list_runs(folder) for folder in folders]
        lists.append(open_runs([name for name in names if name not in folders]))
        return RunList([entry for entries in lists for entry in entries.entries])

    runs()  # a run that is not there is an error before anything is served
    server = ExplorerServer(runs, port)
    show(server.url)
    say("read-only, for this machine; stop it with Ctrl-C")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: server.stop())
    server.run()
