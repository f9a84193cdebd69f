"""From a checked study to its program, or to a check of what it reads; what is wrong is an error of the study."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from membrane_dask.config import BaseStudy
from membrane_dask.engine.plan import make_plan
from membrane_dask.errors import (
    ClusterError,
    DataLossError,
    Problem,
    ProgramError,
    Source,
    StudyError,
    UnreadableRunError,
    reason,
)
from membrane_dask.program import Program
from membrane_dask.studies.registry import find_kind


def check_study(study: BaseStudy, source: Source | None) -> Sequence[str]:
    """Check the inputs of a study, and its cluster, as far as its kind can at little cost.

    Parameters
    ----------
    study : BaseStudy
        The checked study.
    source : Source, optional
        Positions of its entries, for the errors.

    Returns
    -------
    sequence of str
        What only the plan finds; empty for a kind without a check of its own, whose program is built.

    Raises
    ------
    StudyError
        If an input or the cluster cannot be used.
    """
    kind = find_kind(study.kind)
    unchecked: Sequence[str] = ()
    with _errors_of_study(study, source):
        if kind.check:
            unchecked, program = kind.check_inputs(study, source), Program()
        else:
            program = kind.build(study, source)
        make_plan(study, program)  # of a program without units: the cluster, and the memory of a worker
    return unchecked


def build_program(study: BaseStudy, source: Source | None) -> Program:
    """The program of a study; errors that come of its inputs, however unusual these are, are errors of the study.

    Parameters
    ----------
    study : BaseStudy
        The checked study.
    source : Source, optional
        Positions of its entries, for the errors.

    Raises
    ------
    StudyError
        If an input cannot be used.
    """
    with _errors_of_study(study, source):
        return find_kind(study.kind).build(study, source)


@contextmanager
def _errors_of_study(study: BaseStudy, source: Source | None) -> Iterator[None]:
    try:
        yield
    except StudyError as error:
        raise StudyError(error.problems, source) from error.__cause__
    except (ProgramError, ClusterError, DataLossError, UnreadableRunError, NotImplementedError):
        raise
    except (ArithmeticError, LookupError, MemoryError, RuntimeError, ValueError) as error:
        names = ", ".join(str(path) for path in {**study.inputs(), **study.sources()}.values()) or "these settings"
        raise StudyError([Problem((), f"cannot be planned with {names}: {reason(error)}")], source) from error
