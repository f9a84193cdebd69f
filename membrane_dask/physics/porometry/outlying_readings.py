"""Readings of the water flux that are far from what the remaining say, whatever the law of the flux."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from membrane_dask.physics.distributions import f_survival
from membrane_dask.physics.elementary import exp, log
from membrane_dask.physics.fixed_order import dot, inverse_gram, least_squares, product

#: Probability that any reading of a table without outliers is left out. It is small because the readings that remain
#: then scatter too little: the interval is too narrow in about half of the tables that lose a right reading.
_OUTLIER_LEVEL = 1e-3
#: Probability that any reading of such a table is called unusual. It is kept, and its deviation widens the interval.
_UNUSUAL_LEVEL = 0.05
#: A law whose variance is larger than the least by a ratio of less than this probability does not count.
_WORSE_LEVEL = 0.01


def outlying_readings(
    pressure: np.ndarray, flux: np.ndarray, row: np.ndarray, used: np.ndarray, resolution: float
) -> tuple[list[int], list[str]]:
    """Readings whose J/P is far from that of the remaining, and sentences on them and on an unusual one that is kept.

    Parameters
    ----------
    pressure, flux : (n,) float array
        Pa and m s-1, > 0.
    row : (n,) int array
        Number of each reading in its table.
    used : (n,) bool array
        Readings that are compared.
    resolution : float
        Half of the last printed digit of the flux, m s-1.

    Returns
    -------
    outliers : list of int
        Indices of the readings to leave out.
    findings : list of str
        A sentence for each of them, in their order, and one for a reading that is unusual, but kept.
    """
    indices = np.flatnonzero(used).tolist()
    outliers: list[int] = []
    findings: list[str] = []
    for _ in range(len(indices) // 4):
        rest = [k for k in indices if k not in outliers]
        if len(np.unique(pressure[rest])) < 4:
            break
        chances = [_chance_of_deviation(pressure, flux, rest, k, resolution) for k in rest]
        worst = int(np.argmin([probability for probability, _ in chances]))
        probability, deviation = chances[worst]
        if probability > _UNUSUAL_LEVEL:
            break
        k = rest[worst]
        side = "below" if deviation < 0 else "above"
        reading = f"row {row[k]} ({_shown_pressure(pressure[k])})"
        size = f"{abs(deviation):.1f} % {side} the other readings"
        if probability > _OUTLIER_LEVEL:
            findings.append(f"{reading}: unusual reading, {size}, kept, as it may be their scatter: measure it again")
            break
        outliers.append(k)
        findings.append(f"{reading}: outlier, {size}, left out")
    return outliers, findings


def _shown_pressure(pressure: float) -> str:
    return f"{pressure * 1e-3:.4g} kPa, {pressure * 1e-5:.4g} bar"


def _chance_of_deviation(
    pressure: np.ndarray, flux: np.ndarray, indices: Sequence[int], k: int, resolution: float
) -> tuple[float, float]:
    """Probability that one of the readings deviates as much from a fit to the remaining as k, and its deviation in %.

    Fits of ln(J/P) are a constant and lines in P and in 1/P, as compaction and threshold pressures are not outliers.
    The fit about which the reading is least unusual counts, of those that are not much worse than the best. Fewer than
    six readings do not show a bend.
    """
    remaining = np.array([j for j in indices if j != k])
    values = np.asarray(log(flux / pressure))
    scale = float(pressure[remaining].mean())
    smallest = max(float(np.square(resolution / flux[remaining]).mean()) / 3, 1e-12)
    fits: list[tuple[float, float]] = []  # probability, deviation
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
        square = deviation * deviation / (variances[-1] * (1 + leverage))  # of the studentised residual
        fits.append((len(indices) * f_survival(square, 1, degrees), deviation))
    degrees = len(remaining) - 2
    least = min(variances)
    possible = [
        fit for fit, variance in zip(fits, variances, strict=True)
        if len(fits) == 1 or f_survival(variance / least, degrees, degrees) > _WORSE_LEVEL
    ]  # fmt: skip
    probability, deviation = max(possible)
    return probability, (float(exp(deviation)) - 1) * 100
