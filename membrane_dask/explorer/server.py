"""The server of the pages, on this machine only."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import panel as pn
from tornado.ioloop import IOLoop
from tornado.web import RequestHandler
from tornado.websocket import WebSocketClosedError

from membrane_dask.engine.run import Run
from membrane_dask.engine.run_list import RunList
from membrane_dask.explorer.access import require_token
from membrane_dask.explorer.pages import index_page, run_page
from membrane_dask.report import report_html

#: Chooses the theme of a page whose address names none: the one that was chosen last, or that of the browser.
_THEME_SCRIPT = """"use strict";
const address = new URL(location.href);
const isDark = matchMedia("(prefers-color-scheme: dark)").matches;
if (address.searchParams.has("theme")) sessionStorage.setItem("theme", address.searchParams.get("theme"));
else if ((sessionStorage.getItem("theme") || (isDark ? "dark" : "default")) === "dark") {
  address.searchParams.set("theme", "dark");
  location.replace(address);
}
"""


class _ThemeScript(RequestHandler):
    """The script of all pages."""

    def get(self) -> None:
        self.set_header("Content-Type", "text/javascript; charset=utf-8")
        self.finish(_THEME_SCRIPT)


class _Report(RequestHandler):
    """The report of a run, made anew in a thread."""

    def initialize(self, find: Callable[[str], Run | None]) -> None:
        self.find = find

    async def get(self) -> None:
        run = self.find(self.get_query_argument("path"))
        if run is None:
            self.send_error(404)
            return
        try:
            html = await IOLoop.current().run_in_executor(None, report_html, run)
        except (OSError, RuntimeError, ValueError) as error:
            self.set_header("Content-Type", "text/plain; charset=utf-8")
            html = f"There is no report: {error}"
        self.finish(html)


class ExplorerServer:
    """Pages of runs for a browser on this machine.

    Parameters
    ----------
    runs : callable
        Returns the runs that are shown, each time anew.
    port : int
        Port; 0 for any that is free.

    Attributes
    ----------
    url : str
        Address with the token, without which nothing is served.
    """

    def __init__(self, runs: Callable[[], RunList], port: int = 0) -> None:
        def find(path: str) -> Run | None:
            return next((run for run in runs() if run.path == Path(path)), None)

        pn.extension("tabulator", "plotly", js_files={"theme": "/theme.js"})
        pages = {"/": lambda: index_page(runs), "/run": lambda: run_page(find)}
        port = port or _free_port()
        self._server: Any = pn.serve(
            pages, address="127.0.0.1", port=port, websocket_origin=[f"127.0.0.1:{port}", f"localhost:{port}"],
            start=False, show=False, title="membrane-dask", verbose=False,
            extra_patterns=[("/report", _Report, {"find": find}), ("/theme.js", _ThemeScript)],
        )  # fmt: skip
        token = secrets.token_urlsafe(24)
        require_token(self._server._tornado, token, port)
        self.url = f"http://127.0.0.1:{port}/?token={token}"

    def run(self) -> None:
        """Serve until :meth:`stop`."""
        self._server.io_loop.asyncio_loop.set_exception_handler(_handle_exception)
        self._server.start()
        self._server.io_loop.start()
        self._server.stop()

    def stop(self) -> None:
        """End :meth:`run`, from a signal handler too."""
        self._server.io_loop.add_callback_from_signal(self._server.io_loop.stop)


def _handle_exception(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Pass on what is wrong, unless a browser has left while it was sent something."""
    if not isinstance(context.get("exception"), WebSocketClosedError):
        loop.default_exception_handler(context)


def _free_port() -> int:
    """A port that is free: the server must name its own in the origins that it accepts."""
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])
