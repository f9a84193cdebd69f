"""Filter flow of a capillary flow porometer: the flow through the wet membrane over that through the dry one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.porometry.reading_checks import counted, refuse, row_names

#: Difference of the half-dry column from half of the dry one, over the largest of it, that is refused.
_HALF_DRY_TOLERANCE = 0.01
#: Negative wet flow, over the largest flow, that counts as noise of the meter.
_NEGATIVE_NOISE = 0.01


@dataclass(frozen=True)
class FilterFlow:
    """Wet and dry curves at the pressures of the wet curve.

    Parameters
    ----------
    pressure : (n,) float array
        Pressure difference, Pa, rising.
    wet : (n,) float array
        Flow through the wet membrane, m3 s-1 as the meter counts it.
    dry : (n,) float array
        Flow through the dry membrane, likewise; NaN where it was not measured.
    measured_dry : (2, m) float array or None
        Pressures and flows of the dry curve itself.
    findings : tuple of str
        What was done to the curves.
    """

    pressure: np.ndarray
    wet: np.ndarray
    dry: np.ndarray
    measured_dry: np.ndarray | None
    findings: tuple[str, ...]

    @property
    def fraction(self) -> np.ndarray:
        """F: wet over dry flow; NaN without a dry flow."""
        return np.asarray(self.wet / self.dry)

    def with_dry(self) -> FilterFlow:
        """The readings that have a dry flow."""
        has_dry = np.isfinite(self.dry)
        return replace(self, pressure=self.pressure[has_dry], wet=self.wet[has_dry], dry=self.dry[has_dry])

    def common_errors(self, flow_error: float) -> np.ndarray | None:
        """Errors of the filter flow where several of its readings have the same reading of the dry flow.

        Parameters
        ----------
        flow_error : float
            Relative standard deviation of one reading of a flow.

        Returns
        -------
        (n, n + m) float array or None
            Its product with its transpose is the covariance of F. None where the dry flow is not interpolated: the
            errors are independent.
        """
        if self.measured_dry is None or np.isin(self.pressure, self.measured_dry[0]).all():
            return None
        dry_pressure, dry_flow = self.measured_dry
        after = np.clip(np.searchsorted(dry_pressure, self.pressure), 1, len(dry_pressure) - 1)
        weight = (self.pressure - dry_pressure[after - 1]) / (dry_pressure[after] - dry_pressure[after - 1])
        contributions = np.zeros((len(self.pressure), len(dry_pressure)))
        row = np.arange(len(self.pressure))
        contributions[row, after - 1] = (1 - weight) * dry_flow[after - 1]
        contributions[row, after] = weight * dry_flow[after]
        relative = np.hstack([np.eye(len(row)), contributions / self.dry[:, None]])
        return np.asarray(flow_error * self.fraction[:, None] * relative)


def filter_flow(
    pressure: np.ndarray,
    wet_flow: np.ndarray,
    *,
    dry_flow: np.ndarray | None = None,
    dry_pressure: np.ndarray | None = None,
    half_dry_flow: np.ndarray | None = None,
    extrapolate_dry: bool = False,
    rows: Sequence[int] | None = None,
    dry_rows: Sequence[int] | None = None,
) -> FilterFlow:
    """Bring wet and dry curves to the pressures of the wet curve.

    The dry flow is interpolated linearly in the pressure, and not extrapolated. Readings at a pressure of 0 are left
    out and reported.

    Parameters
    ----------
    pressure, wet_flow : (n,) float array
        Pa, in any order; m3 s-1.
    dry_flow : (m,) float array, optional
        m3 s-1, > 0.
    dry_pressure : (m,) float array, optional
        Default: ``pressure``.
    half_dry_flow : (n,) float array, optional
        Half of the dry flow at ``pressure``. It replaces a missing dry flow; with one, the two are compared.
    extrapolate_dry : bool
        Without a dry curve: take it as the line through the origin and the last reading of the wet curve, which is
        right only if all pores are open there and the flow is proportional to the pressure.
    rows, dry_rows : sequence of int, optional
        Rows of the table of each reading, for messages; ``dry_rows`` where the dry curve has pressures of its own.

    Raises
    ------
    PhysicsError
        If readings are not finite, pressures are negative, a dry flow is not above 0, a wet flow is negative by
        more than 1 % of the largest flow, there are fewer than three readings, or half of the dry flow differs from the
        half-dry column by more than 1 % of its largest value. All problems are reported together.
    """
    wet = _curve("wet", pressure, wet_flow)
    dry = None
    if dry_flow is not None:
        dry = _curve("dry", pressure if dry_pressure is None else dry_pressure, dry_flow)
    elif half_dry_flow is not None:
        dry = _curve("half-dry", pressure, 2 * np.asarray(half_dry_flow, float))
    names = row_names(rows, wet.shape[1])
    dry_names = names if dry is None or dry_pressure is None else row_names(dry_rows, dry.shape[1])
    largest = max(np.abs(curve[1][np.isfinite(curve[1])]).max(initial=0.0) for curve in (wet, dry) if curve is not None)
    problems = _problems("wet", wet, names, -_NEGATIVE_NOISE * largest)
    refuse(problems if dry is None else problems + _problems("dry", dry, dry_names, 0.0))
    findings: list[str] = []
    wet = _rising("wet", wet, findings)
    if dry is None:
        expected = np.full(wet.shape[1], np.nan)
        if extrapolate_dry and wet[1, -1] > 0:
            expected = wet[1, -1] / wet[0, -1] * wet[0]
            findings.append(
                f"the dry flow is not measured but extrapolated: proportional to the pressure, and equal to the wet "
                f"flow at {wet[0, -1] / 1e5:.4g} bar"
            )
        else:
            findings.append("no dry curve: bubble point only")
        return FilterFlow(wet[0], wet[1], expected, None, tuple(findings))
    dry = _rising("dry", dry, findings)
    if dry_flow is not None and half_dry_flow is not None:
        _compare_half_dry(dry, _curve("half-dry", pressure, half_dry_flow), names)
    inside = (wet[0] >= dry[0, 0]) & (wet[0] <= dry[0, -1])
    expected = np.where(inside, np.interp(wet[0], dry[0], dry[1]), np.nan)
    if not inside.all():
        findings.append(
            f"the dry curve covers {dry[0, 0] / 1e5:.4g} to {dry[0, -1] / 1e5:.4g} bar: "
            f"{counted(int((~inside).sum()), 'reading')} of the wet curve outside without a filter flow"
        )
    return FilterFlow(wet[0], wet[1], expected, dry, tuple(findings))


def _curve(name: str, pressure: np.ndarray, flow: np.ndarray) -> np.ndarray:
    pressure, flow = np.asarray(pressure, float), np.asarray(flow, float)
    if pressure.ndim != 1 or pressure.shape != flow.shape:
        raise PhysicsError(
            f"{name} flow: {flow.size} readings at {pressure.size} pressures; there must be one for each"
        )
    return np.stack([pressure, flow])


def _problems(name: str, curve: np.ndarray, readings: list[str], smallest_flow: float) -> list[str]:
    """What makes a curve impossible, by reading."""
    pressure, flow = curve
    problems = []
    if len(flow) < 3:
        problems.append(f"{name} curve: needs at least three readings (there are {len(flow)})")
    for i in range(len(flow)):
        where = f"{name} curve, {readings[i]}"
        if not np.isfinite(curve[:, i]).all():
            problems.append(f"{where}: pressure or flow is not a number")
        elif pressure[i] < 0:
            problems.append(f"{where}: pressure {pressure[i] / 1e5:g} bar is below 0")
        elif name == "wet" and flow[i] < smallest_flow:
            problems.append(f"{where}: flow {flow[i] * 6e4:g} L/min is below 0")
        elif name != "wet" and flow[i] <= smallest_flow and pressure[i] > 0:
            problems.append(f"{where}: flow {flow[i] * 6e4:g} L/min must be above 0; are wet and dry exchanged?")
    return problems


def _rising(name: str, curve: np.ndarray, findings: list[str]) -> np.ndarray:
    """A curve with rising pressures above 0; readings at the same pressure are averaged."""
    if (curve[0] == 0).any():
        findings.append(f"{name} curve: {counted(int((curve[0] == 0).sum()), 'reading')} at 0 bar left out")
        curve = curve[:, curve[0] > 0]
    if (np.diff(curve[0]) > 0).all():
        return curve
    if (np.diff(curve[0]) < 0).any():
        findings.append(f"{name} curve: readings sorted by pressure")
    pressures, index, counts = np.unique(curve[0], return_inverse=True, return_counts=True)
    for pressure, count in zip(pressures[counts > 1], counts[counts > 1], strict=True):
        findings.append(f"{name} curve: mean of {count} readings at {pressure / 1e5:.4g} bar")
    return np.stack([pressures, np.bincount(index, curve[1]) / counts])


def _compare_half_dry(dry: np.ndarray, half: np.ndarray, readings: list[str]) -> None:
    """Refuse a half-dry column that is not half of the dry flow."""
    inside = (half[0] >= dry[0, 0]) & (half[0] <= dry[0, -1])
    difference = np.where(inside, half[1] - np.interp(half[0], dry[0], dry[1]) / 2, 0.0)
    worst = int(np.abs(difference).argmax())
    if np.abs(difference[worst]) > _HALF_DRY_TOLERANCE * half[1].max():
        raise PhysicsError(
            f"half-dry curve, {readings[worst]}: {half[1, worst] * 6e4:.4g} L/min at {half[0, worst] / 1e5:.4g} bar is "
            f"not half of the dry flow, {(half[1, worst] - difference[worst]) * 12e4:.4g} L/min; give one of them"
        )
