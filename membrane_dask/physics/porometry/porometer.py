"""Errors, criterion and sample of a capillary flow porometer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Porometer:
    """What the evaluation assumes of the instrument.

    Parameters
    ----------
    flow_error : float
        Relative standard deviation of one reading of a flow.
    pressure_error : float
        Relative standard deviation of the pressure gauge, the same in all readings.
    first_flow : float, optional
        Flow at which the bubble point is read, m3 s-1. Default: three standard deviations of the readings without
        flow.
    area : float, optional
        Of the sample, m2; required for numbers per area.
    path_length, path_length_error : float, optional
        Length of the path through a pore (tortuosity times thickness), m, and its relative standard deviation.
    """

    flow_error: float = 0.01
    pressure_error: float = 0.005
    first_flow: float | None = None
    area: float | None = None
    path_length: float | None = None
    path_length_error: float = 0.0
