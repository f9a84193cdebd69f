"""Cost of a plan from pilot units, with messages while they run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from membrane_dask.engine.terminal import say_stage

if TYPE_CHECKING:
    from membrane_dask.engine.plan import Plan


def measured(plan: Plan) -> Plan:
    """The plan with its predicted cost."""
    with say_stage("compiling, and measuring the cost on a few units"):
        return plan.measured()
