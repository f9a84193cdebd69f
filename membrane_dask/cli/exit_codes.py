"""Exit codes of the command line."""

from __future__ import annotations

import sys
from typing import NoReturn

import typer

DONE, BUG, USAGE, SET_ASIDE, CLUSTER, STOPPED, INTERRUPTED = 0, 1, 2, 3, 4, 75, 130


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _leave(code: int) -> NoReturn:
    raise typer.Exit(code)
