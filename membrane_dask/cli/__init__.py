"""The command line: :mod:`.commands` defines it, and :func:`main` runs a command."""

from __future__ import annotations

import signal
from typing import NoReturn


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run a command and exit with its code; errors are printed as messages."""
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:  # Ctrl-C during the imports ends the process without a traceback
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from membrane_dask.cli.commands import run_command

    signal.signal(signal.SIGINT, handler)
    run_command(arguments)
