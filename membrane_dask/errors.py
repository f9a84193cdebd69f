"""Errors of membrane-dask; those of a study name the field, its position in the file and the fix."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from membrane_dask.plain_text import printable

Where = tuple[str | int, ...]

#: Problems that are listed one by one; further ones are counted.
MAX_PROBLEMS = 30
#: Characters of one message of a problem.
_MAX_MESSAGE = 2000
#: Names that are compared with a wrong one.
_MAX_CANDIDATES = 1000


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
    """Position of the entries of a study: a file with lines and columns, ``--set`` arguments and keywords."""

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
        """``file:line:column`` or the ``--set`` argument or keyword that holds ``where`` or its nearest parent."""
        prefixes = [where[:stop] for stop in range(len(where), -1, -1)]
        for prefix in prefixes:  # an override replaces all entries below it, so it comes first
            if prefix in self.overrides:
                return self.overrides[prefix]
        for prefix in prefixes:
            if prefix in self.lines:
                line, column = self.lines[prefix]
                return f"{self.name}:{line}:{column}"
        return self.name

    def is_override(self, where: Where) -> bool:
        """Whether a ``--set`` argument or keyword holds an entry, or its nearest parent."""
        return any(where[:stop] in self.overrides for stop in range(len(where) + 1))

    def order(self, where: Where) -> tuple[bool, int, int]:
        """Sort key of problems: ``--set`` arguments and keywords, then by line and column, those of no line last."""
        if self.is_override(where):
            return False, 0, 0
        prefixes = [where[:stop] for stop in range(len(where), -1, -1)]
        line, column = next((self.lines[prefix] for prefix in prefixes if prefix in self.lines), (0, 0))
        return line == 0, line, column


class StudyError(ValueError):
    """A study that cannot be run: nothing was started, or finished units, which are kept, show that it has no result.

    Parameters
    ----------
    problems : sequence of Problem
        All problems, which are sorted by their position.
    source : Source
        Position of the entries.
    """

    def __init__(self, problems: Sequence[Problem], source: Source | None = None) -> None:
        self.source = source or Source()
        self.problems = tuple(sorted(problems, key=lambda problem: self.source.order(problem.where)))
        super().__init__(str(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.problems, self.source)  # the arguments of the message alone do not restore it

    def __str__(self) -> str:
        lines = []
        for problem in self.problems:
            name = f"{problem.field}: " if problem.where else ""
            message = problem.message
            if len(message) > _MAX_MESSAGE:
                message = f"{message[: _MAX_MESSAGE - 3]}..."
            lines.append(printable(f"{self.source.locate(problem.where)}: {name}{message}"))
        return "\n".join(lines)


class ProblemList(list[Problem]):
    """Problems of checks that do not depend on each other, to be reported together."""

    #: Of the first problem that has one.
    cause: BaseException | None = None

    @contextlib.contextmanager
    def collect(self) -> Iterator[None]:
        """Append the problems of a :class:`StudyError` instead of raising it, so that later checks run."""
        try:
            yield
        except StudyError as error:
            self.extend(error.problems)
            self.cause = self.cause or error.__cause__

    def raise_any(self, source: Source | None) -> None:
        """Raise all of them as one :class:`StudyError`, if there are any."""
        if self:
            raise StudyError(self, source) from self.cause


class Terminated(SystemExit):
    """A signal ends the process, whatever it computes."""


class ClusterError(RuntimeError):
    """The cluster cannot be used, or was lost; finished units are kept."""

    #: Whether a driver that starts later may get further.
    resuming_helps = True


def closest(name: object, valid: Sequence[str]) -> str:
    """``; did you mean 'x'?`` for a name close to a valid one, or for the last words of a single one, else nothing."""
    text = str(name)[:200]
    close = difflib.get_close_matches(text, valid[:_MAX_CANDIDATES], n=1)
    longer = [one for one in valid[:_MAX_CANDIDATES] if one.endswith(f"_{text}")]
    if not close and len(longer) == 1:
        close = longer
    return f"; did you mean {close[0]!r}?" if close else ""


def nearest(name: object, valid: Sequence[str]) -> str:
    """``did you mean 'x'?`` for a name close to a valid one, otherwise the list of valid names."""
    close = closest(name, valid).removeprefix("; ")
    return close or ("valid: " + ", ".join(valid[:MAX_PROBLEMS]) if valid else "nothing is valid here")


def first_problems(problems: Sequence[str]) -> list[str]:
    """The first problems, and how many further ones there are."""
    further = len(problems) - MAX_PROBLEMS
    return [*problems[:MAX_PROBLEMS], *([f"and {further} further problems"] if further > 0 else [])]


def reason(error: Exception) -> str:
    """What a library said when it could not read something, in one line."""
    text = str(getattr(error, "strerror", None) or error)
    if not text or isinstance(error, (LookupError, TypeError, AttributeError, AssertionError)):
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return printable(text.splitlines()[0])[:300]


def short(value: object) -> str:
    """A value as it is shown in a message: 80 characters at most."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer of thousands of digits, or lists inside one another
        text = f"a value of type {type(value).__name__}"
    return text if len(text) <= 80 else text[:77] + "..."


class UnreadableRunError(ValueError):
    """A run directory that cannot be read: a file of it is damaged, or it was made by a later version."""


class ProgramError(RuntimeError):
    """A study kind asks for something that cannot be done: an error of its package, not of the study."""


class DataLossError(RuntimeError):
    """Files of a run are missing or altered; the message names them, and the command that computes them again."""


class ReportError(RuntimeError):
    """A run has nothing to report yet, or its kind has no report."""


class ExportError(RuntimeError):
    """A run has no such item, or a format cannot hold it; the message names what there is."""


def resuming_helps(error: BaseException) -> bool:
    """Whether a driver that starts later may get further than the one that ended with this error."""
    if isinstance(error, ClusterError):
        return error.resuming_helps
    return not isinstance(error, (StudyError, ProgramError))
