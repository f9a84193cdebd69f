"""Command line and clocks of all benchmarks."""

from __future__ import annotations

import argparse
import importlib.util
import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


def argument_parser(description: str | None) -> argparse.ArgumentParser:
    """Parser with the option ``--smoke``, which every benchmark has.

    With ``--smoke`` a benchmark takes the same path through its code on the smallest input that works, in seconds.
    Its numbers mean nothing; the tests use it to show that the script still runs.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="smallest input, to test the script itself")
    return parser


def missing_packages(*names: str) -> list[str]:
    """Packages among ``names`` that are not installed."""
    return [name for name in names if importlib.util.find_spec(name) is None]


def skipped(name: str, reason: str) -> None:
    """Print that a row of the table is skipped, and why."""
    print(f"{name}: skipped, {reason}", flush=True)


def timed(function: Callable[..., T], *arguments: Any) -> tuple[float, T]:
    """Wall time in seconds of a call, and its result."""
    start = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - start, result
