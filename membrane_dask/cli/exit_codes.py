"""Exit codes of the command line.

0 done; 1 values of a run that are missing or altered, other bits than those of the result (`replay`), or a bug of
membrane-dask; 2 invalid study or usage: nothing was started, or finished units show that the input has no result; 3
finished with failed units; 4 cluster failure; 75 stopped early, resumable, or finished without what the study looks
for; 130 interrupted with Ctrl-C, resumable.
"""

from __future__ import annotations

from typing import NoReturn

import typer

DONE, ALTERED, BUG, USAGE, FAILED_UNITS, CLUSTER, STOPPED, INTERRUPTED = 0, 1, 1, 2, 3, 4, 75, 130


def exit_with(code: int) -> NoReturn:
    """End the command with an exit code."""
    raise typer.Exit(code)
