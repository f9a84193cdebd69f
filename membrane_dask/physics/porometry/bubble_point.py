"""Bubble points: radius of the largest pore from the pressure at which gas first passes a wet membrane."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.porometry.capillary_law import CapillaryLaw
from membrane_dask.physics.porometry.estimates import Estimate
from membrane_dask.physics.porometry.reading_checks import counted

#: Filter flow above which a reading has flow, whatever the meter's noise is.
_NO_FLOW = 0.02
#: Standard deviations of the readings without flow that a flow exceeds.
_DETECTION = 3.0


def bubble_point_radius(pressure: float, law: CapillaryLaw, pressure_error: float = 0.0) -> Estimate:
    """Radius of the largest pore from a bubble point that an instrument or a person has read, m.

    Parameters
    ----------
    pressure : float
        Pa, > 0.
    law : CapillaryLaw
        Its error widens the interval.
    pressure_error : float
        Relative standard deviation of the pressure.

    Raises
    ------
    PhysicsError
        If the pressure is not greater than 0.
    """
    if not 0 < pressure < math.inf:
        raise PhysicsError(f"bubble point: must be greater than 0 bar (got {pressure / 1e5:g})")
    radius = float(law.radius(pressure))
    error = math.sqrt(law.relative_error * law.relative_error + pressure_error * pressure_error)
    return Estimate(radius, radius, radius).widened(error)


@dataclass(frozen=True)
class FirstFlow:
    """First reading with flow.

    Parameters
    ----------
    pressure : Estimate
        Pa: the reading, from the last one without flow. NaN where no reading has flow.
    limit : float
        Flow above which a reading has flow, m3 s-1.
    finding : str
        Sentence for the user, with the criterion.
    """

    pressure: Estimate
    limit: float
    finding: str


def first_flow(pressure: Any, wet_flow: Any, dry_flow: Any, limit: float | None = None) -> FirstFlow:
    """Pressure of the first flow through a wet membrane.

    The readings up to the last flow of 0 or less below 2 % of the dry flow are those without flow. Flow is what exceeds
    the limit, and three times their root mean square.

    Parameters
    ----------
    pressure, wet_flow, dry_flow : (n,) float array
        Pa, rising; m3 s-1; the dry flow may be NaN.
    limit : float, optional
        m3 s-1, >= 0; an instrument's criterion, for example 30 mL/min.

    Raises
    ------
    PhysicsError
        If the limit is negative.
    """
    pressure, flow = np.asarray(pressure, float), np.asarray(wet_flow, float)
    scale = np.where(np.isfinite(dry_flow), dry_flow, flow.max())
    if limit is not None and not limit >= 0:
        raise PhysicsError(f"first_flow: must be at least 0 mL/min (got {limit * 6e7:g})")
    risen = flow > _NO_FLOW * scale
    before = flow[: risen.argmax()] if risen.any() else flow
    n_resting = int(np.flatnonzero(before <= 0)[-1]) + 1 if (before <= 0).any() else 0
    noise = _DETECTION * math.sqrt(float(np.square(flow[:n_resting]).mean())) if n_resting else 0.0
    if limit is not None and limit >= noise:
        criterion, n_resting = "criterion first_flow", 0
    else:
        criterion = (
            f"three standard deviations of {counted(n_resting, 'reading')} without flow"
            if n_resting
            else "no reading without flow"
        )
        if limit is not None:
            criterion += f", which first_flow, {limit * 6e7:.3g} mL/min, does not exceed"
        limit = noise
    flows = n_resting + np.flatnonzero(flow[n_resting:] > limit)
    if not len(flows):
        last = float(pressure[-1])
        return FirstFlow(
            Estimate(low=last, high=math.inf),
            limit,
            f"no flow above {limit * 6e7:.3g} mL/min up to {last / 1e5:.4g} bar ({criterion}): all pores are smaller",
        )
    first = int(flows[0])
    last_without = float(pressure[first - 1]) if first else 0.0
    finding = (
        f"bubble point at {pressure[first] / 1e5:.4g} bar: first flow above {limit * 6e7:.3g} mL/min ({criterion})"
    )
    if not first:
        finding += "; the largest pore has no upper bound"
    return FirstFlow(Estimate(float(pressure[first]), last_without, float(pressure[first])), limit, finding)
