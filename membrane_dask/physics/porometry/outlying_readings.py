"""Readings of the water flux that are far from what the remaining say, whatever the law of the flux."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from membrane_dask.physics.distributions import f_survival, student_quantile
from membrane_dask.physics.elementary import exp, log
from membrane_dask.physics.fixed_order import dot, inverse_gram, least_squares, product

#: Probability that any reading of a table without outliers is called one.
_OUTLIER_LEVEL = 0.05
#: A law whose variance is larger than the least by a ratio of less than this probability does not count.
_WORSE_LEVEL = 0.01


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
        worst = int(np.argmax([abs(t) / limit for t, limit, _ in distances]))
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

    Fits of ln(J/P) are a constant and lines in P and in 1/P, as compaction and threshold pressures are not outliers.
    The fit about which the reading is least unusual counts, of those that are not much worse than the best. Fewer than
    six readings do not show a bend.
    """
    remaining = np.array([j for j in indices if j != k])
    values = np.asarray(log(flux / pressure))
    scale = float(pressure[remaining].mean())
    smallest = max(float(np.square(resolution / flux[remaining]).mean()) / 3, 1e-12)
    fits: list[tuple[float, float, float]] = []  # residual, bound, deviation
    variances: list[float] = []
    for column in (None, pressure / scale, scale / pressure):
        design = np.stack([np.ones(len(pressure)), *([] if column is None else [column])], axis=-1)
        degrees = len(remaining) - design.shape[1]
        if degrees < 3 and fits:
            continue
        coefficients = least_squares(design[remaining], values[remaining])
        residuals = values[remaining] - product(design[remaining], coefficients)
        variances.append(max(dot(residuals, residuals) / degrees, smallest))
        leverage = dot(product(inverse_gram(design[remaining]), design[k]), design[k])
        deviation = float(values[k] - dot(design[k], coefficients))
        limit = float(student_quantile(1 - _OUTLIER_LEVEL / (2 * len(indices)), degrees))
        fits.append((deviation / math.sqrt(variances[-1] * (1 + leverage)), limit, deviation))
    degrees = len(remaining) - 2
    least = min(variances)
    possible = [
        fit for fit, variance in zip(fits, variances, strict=True)
        if len(fits) == 1 or f_survival(variance / least, degrees, degrees) > _WORSE_LEVEL
    ]  # fmt: skip
    residual, limit, deviation = min(possible, key=lambda fit: abs(fit[0]) / fit[1])
    return residual, limit, float(exp(deviation)) - 1
