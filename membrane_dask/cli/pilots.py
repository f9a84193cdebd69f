"""Cost of a plan from pilot units, with messages while they run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from membrane_dask.engine.terminal import say, say_stage

if TYPE_CHECKING:
    from membrane_dask.engine.plan import Plan


def measured(plan: Plan) -> Plan:
    """The plan with its predicted cost; without, if the pilots fail: the run says why where its units do.

    Raises
    ------
    StudyError
        If the pilots show that the study cannot be run.
    """
    from membrane_dask.errors import StudyError

    try:
        with say_stage("compiling, and measuring the cost on a few units"):
            return plan.measured()
    except StudyError:
        raise
    except Exception as error:  # of the data or of the code: their units fail likewise
        say(f"the cost is not known: {' '.join(str(error).split()) or type(error).__name__}")
        return plan
