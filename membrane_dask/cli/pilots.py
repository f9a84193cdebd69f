"""Cost of a plan from pilot units, with a message where they take long."""

from __future__ import annotations

from typing import TYPE_CHECKING

from membrane_dask.engine.terminal import say_if_slow

if TYPE_CHECKING:
    from membrane_dask.engine.plan import Plan


def measured(plan: Plan) -> Plan:
    """The plan with its predicted cost."""
    with say_if_slow("pilot units are running; code that is used for the first time is compiled, up to half a minute"):
        return plan.measured()
