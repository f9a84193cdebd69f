"""Readings of the water flux that are far from what the remaining say, whatever the law of the flux."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from membrane_dask.physics.distributions import student_quantile
from membrane_dask.physics.elementary import exp, log
from membrane_dask.physics.fixed_order import dot, inverse_gram, least_squares, product

#: Probability that any reading of a table without outliers is called one.
_OUTLIER_LEVEL = 0.05


def outlying_readings(
    pressure: np.ndarray, flux: np.ndarray, row: np.ndarray, used: np.ndarray, resolution: float
) -> tuple[list[int], list[str]]:
    """Readings whose J/P is far from that of the remaining, and sentences on them."""
    indices = np.flatnonzero(used).tolist()
    outliers: list[int] = []
    findings: list[str] = []
    for _ in range(len(indices) // 4):
        rest = [k for k in indices if k not in outliers]
        if len(np.unique(pressure[rest])) < 4:
            break
        distances = [_deleted_residual(pressure, flux, rest, k, resolution) for k in rest]
        worst = int(np.argmax([abs(t) - limit for t, limit, _ in distances]))
        residual, limit, deviation = distances[worst]
        if abs(residual) <= limit:
            break
        k = rest[worst]
        outliers.append(k)
        side = "below" if deviation < 0 else "above"
        findings.append(
            f"row {row[k]} ({_shown_pressure(pressure[k])}): outlier, {abs(deviation):.0%} {side} the other readings, "
            "left out"
        )
    return outliers, findings


def _shown_pressure(pressure: float) -> str:
    return f"{pressure * 1e-3:.4g} kPa, {pressure * 1e-5:.4g} bar"


def _deleted_residual(
    pressure: np.ndarray, flux: np.ndarray, indices: Sequence[int], k: int, resolution: float
) -> tuple[float, float, float]:
    """Studentised residual of one reading from a fit to the remaining, its bound, and its relative deviation.

    The fit is a constant of ln(J/P), or a line in P or 1/P, by the criterion of Akaike: compaction and threshold
    pressures are not outliers.
    """
    remaining = np.array([j for j in indices if j != k])
    values = np.asarray(log(flux / pressure))
    scale = float(pressure[remaining].mean())
    smallest = max(float(np.square(resolution / flux[remaining]).mean()) / 3, 1e-12)
    best: tuple[float, float, float, int, float] | None = None
    for power_of_pressure in (0, 1, -1):
        columns = [np.ones(len(pressure))]
        if power_of_pressure:
            columns.append(pressure / scale if power_of_pressure > 0 else scale / pressure)
        design = np.stack(columns, axis=-1)
        n, p = len(remaining), len(columns)
        if n - p - 2 < 1 and p > 1:
            continue
        coefficients = least_squares(design[remaining], values[remaining])
        residuals = values[remaining] - product(design[remaining], coefficients)
        square_sum = dot(residuals, residuals)
        variance = max(square_sum / (n - p), smallest)
        leverage = dot(product(inverse_gram(design[remaining]), design[k]), design[k])
        deviation = float(values[k] - dot(design[k], coefficients))
        residual = deviation / math.sqrt(variance * (1 + leverage))
        penalty = 2 * (p + 1) + (2 * (p + 1) * (p + 2) / (n - p - 2) if n - p - 2 > 0 else 0.0)
        criterion = n * float(log(max(square_sum / n, smallest))) + penalty
        if best is None or criterion < best[0]:
            best = (criterion, residual, deviation, n - p, power_of_pressure)
    assert best is not None
    _, residual, deviation, degrees, _ = best
    limit = float(student_quantile(1 - _OUTLIER_LEVEL / (2 * len(indices)), degrees))
    return residual, limit, float(exp(deviation)) - 1
