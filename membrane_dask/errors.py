"""Errors of membrane-dask; those of a study name the field, its position in the file and the fix."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

Where = tuple[str | int, ...]


@dataclass(frozen=True)
class Problem:
    """One problem of a study, and the field that has it."""

    where: Where
    message: str

    @property
    def field(self) -> str:
        """Dotted name of the field, e.g. ``search.sigma_1``; list items count from 0."""
        return ".".join(str(name) for name in self.where)


@dataclass(frozen=True)
class Source:
    """Position of the entries of a study: a file with lines and columns, and ``--set`` arguments."""

    name: str = "study"
    lines: dict[Where, tuple[int, int]] = field(default_factory=dict)
    overrides: dict[Where, str] = field(default_factory=dict)

    def rename(self, former: Where, present: Where) -> None:
        """Give the entries at and below one field the positions of another."""
        positions: Any
        for positions in (self.lines, self.overrides):
            for where in [key for key in positions if key[: len(former)] == former]:
                positions[(*present, *where[len(former) :])] = positions[where]

    def locate(self, where: Where) -> str:
        """``file:line:column`` or the ``--set`` argument that holds ``where`` or its nearest parent."""
        prefixes = [where[:stop] for stop in range(len(where), -1, -1)]
        for prefix in prefixes:  # an override replaces all entries below it, so it comes first
            if prefix in self.overrides:
                return f"--set {self.overrides[prefix]}"
        for prefix in prefixes:
            if prefix in self.lines:
                line, column = self.lines[prefix]
                return f"{self.name}:{line}:{column}"
        return self.name


class StudyError(ValueError):
    """A study that cannot be run; nothing was started.

    Parameters
    ----------
    problems : sequence of Problem
        All problems.
    source : Source
        Position of the entries.
    """

    def __init__(self, problems: Sequence[Problem], source: Source | None = None) -> None:
        self.problems = tuple(problems)
        self.source = source or Source()
        super().__init__(str(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.problems, self.source)  # the arguments of the message alone do not restore it

    def __str__(self) -> str:
        lines = []
        for problem in self.problems:
            name = f"{problem.field}: " if problem.where else ""
            lines.append(f"{self.source.locate(problem.where)}: {name}{problem.message}")
        return "\n".join(lines)


class ClusterError(RuntimeError):
    """The cluster cannot be used, or was lost; finished units are kept."""

    #: Whether a driver that starts later may get further.
    resuming_helps = True


def nearest(name: str, valid: Sequence[str]) -> str:
    """``did you mean 'x'?`` for a name close to a valid one, otherwise the list of valid names."""
    close = difflib.get_close_matches(name, valid, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    return "valid: " + ", ".join(valid) if valid else "nothing is valid here"


class UnreadableRunError(ValueError):
    """A run directory that cannot be read: a file of it is damaged, or it was made by a later version."""


class ProgramError(RuntimeError):
    """A study kind asks for something that cannot be done: an error of its package, not of the study."""


class DataLossError(RuntimeError):
    """Files of a run are missing or altered; the message names them, and the command that computes them again."""


class ReportError(RuntimeError):
    """A run has nothing to report yet, or its kind has no report."""


def resuming_helps(error: BaseException) -> bool:
    """Whether a driver that starts later may get further than the one that ended with this error."""
    if isinstance(error, ClusterError):
        return error.resuming_helps
    return not isinstance(error, (StudyError, ProgramError))
