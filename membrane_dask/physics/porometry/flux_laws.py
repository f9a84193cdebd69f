"""Laws of flux against pressure, fitted to few points: errors in both, replicates, and what may not be compared."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.optimize import least_squares
from scipy.stats import f as fisher
from scipy.stats import t as student

from membrane_dask.physics.networks.pore_network import PhysicsError

Regression = Literal["ols", "weighted", "deming", "huber"]
#: Residuals beyond this many standard deviations pull less (95 % efficiency on normal errors; Huber 1964).
_HUBER = 1.345
#: Median of the absolute value of a standard normal variable.
_MAD = 0.6744897501960817


@dataclass(frozen=True)
class Law:
    """A law of the flux, by its parameters.

    Parameters
    ----------
    parameters : tuple of str
        Their names.
    flux : callable
        ``flux(pressure, values) -> (n,)``.
    slopes : callable
        ``slopes(pressure, values) -> (n, p)``: derivatives of the flux by the parameters.
    start : callable, optional
        First guess from the points, of a law that is not linear in its parameters.
    """

    parameters: tuple[str, ...]
    flux: Callable[[np.ndarray, np.ndarray], np.ndarray]
    slopes: Callable[[np.ndarray, np.ndarray], np.ndarray]
    start: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None


def _linear(parameters: tuple[str, ...], columns: Callable[[np.ndarray], Sequence[np.ndarray]]) -> Law:
    """Law that is a sum of its parameters times functions of the pressure."""

    def design(pressure: np.ndarray, _values: np.ndarray) -> np.ndarray:
        return np.stack([np.broadcast_to(c, pressure.shape) for c in columns(pressure)], axis=-1)

    return Law(parameters, lambda pressure, values: design(pressure, values) @ values, design)


def _line_through(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    slope = float(((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum())
    return slope, float(y.mean() - slope * x.mean())


def _threshold_start(pressure: np.ndarray, flux: np.ndarray) -> np.ndarray:
    slope, offset = _line_through(pressure, flux)
    return np.array([slope, -offset / slope])


def _power_start(pressure: np.ndarray, flux: np.ndarray) -> np.ndarray:
    exponent, offset = _line_through(np.log(pressure), np.log(flux))
    return np.array([math.exp(offset), exponent])


def _compaction_start(pressure: np.ndarray, flux: np.ndarray) -> np.ndarray:
    slope, offset = _line_through(pressure, np.log(flux / pressure))
    return np.array([math.exp(offset), -slope])


def _threshold_slopes(pressure: np.ndarray, values: np.ndarray) -> np.ndarray:
    open_ = pressure > values[1]
    return np.stack([open_ * (pressure - values[1]), -values[0] * open_], axis=-1)


#: Laws by name. Pressures in Pa and fluxes in m s-1 give parameters in SI units.
LAWS: Mapping[str, Law] = {
    "linear": _linear(("permeability", "intercept"), lambda p: (p, np.ones(1))),
    "threshold-linear": Law(
        ("permeability", "threshold"),
        lambda p, v: np.maximum(0.0, v[0] * (p - v[1])),
        _threshold_slopes,
        _threshold_start,
    ),
    "log": _linear(("slope", "offset"), lambda p: (np.log(p), np.ones(1))),
    "power": Law(
        ("coefficient", "exponent"),
        lambda p, v: v[0] * p ** v[1],
        lambda p, v: np.stack([p ** v[1], v[0] * p ** v[1] * np.log(p)], axis=-1),
        _power_start,
    ),
    "quadratic": _linear(("m2", "m1", "m0"), lambda p: (p**2, p, np.ones(1))),
    "cubic": _linear(("m3", "m2", "m1", "m0"), lambda p: (p**3, p**2, p, np.ones(1))),
    "compaction": Law(
        ("permeability", "compressibility"),
        lambda p, v: v[0] * p * np.exp(-v[1] * p),
        lambda p, v: np.stack([p * np.exp(-v[1] * p), -v[0] * p**2 * np.exp(-v[1] * p)], axis=-1),
        _compaction_start,
    ),
}


@dataclass(frozen=True)
class Fit:
    """A law fitted to points.

    Parameters
    ----------
    law : str
        Its name in :data:`LAWS`.
    values : (p,) float array
        Parameters.
    covariance : (p, p) float array
        Of the parameters; NaN where no degree of freedom is left.
    freedom : int
        Degrees of freedom of the residuals, or of the scatter between runs.
    deviation : float
        Standard deviation of the residuals, in units of the flux (of the weighted ones with weights).
    r_squared : float
        1 - SSE/SST; negative where a level fits better than the law.
    lack_of_fit : float
        Probability of at least so much misfit if the law is right, judged by the scatter of replicates; NaN
        without replicates.
    """

    law: str
    values: np.ndarray
    covariance: np.ndarray
    freedom: int
    deviation: float
    r_squared: float
    lack_of_fit: float = math.nan

    def flux(self, pressure: np.ndarray) -> np.ndarray:
        """Flux at pressures, as the law has it."""
        return LAWS[self.law].flux(np.asarray(pressure, float), self.values)

    def errors(self) -> np.ndarray:
        """Standard errors of the parameters, (p,)."""
        return np.sqrt(np.diag(self.covariance))

    def reach(self, confidence: float) -> float:
        """Half-width of an interval in standard errors (Student); infinite without freedom."""
        return float(student.ppf((1 + confidence) / 2, self.freedom)) if self.freedom > 0 else math.inf


def fit(
    pressure: np.ndarray,
    flux: np.ndarray,
    law: str = "linear",
    regression: Regression = "ols",
    *,
    deviation: np.ndarray | None = None,
    pressure_deviation: float = 0.0,
    flux_deviation: float = 0.0,
) -> Fit:
    """Fit a law to points of flux against pressure.

    Parameters
    ----------
    pressure, flux : (n,) float array
        Pa, > 0, and m s-1. Equal pressures are replicates.
    law : str
        One of :data:`LAWS`.
    regression : {"ols", "weighted", "deming", "huber"}
        Least squares; the same weighted by ``deviation``; errors of the gauge as well (a line only); or Huber's
        estimate, which single outliers pull little.
    deviation : (n,) float array, optional
        Standard deviation of each flux up to a common factor, > 0 (``weighted``).
    pressure_deviation, flux_deviation : float
        Standard deviations of a pressure, Pa, and of a flux, m s-1, both > 0 (``deming``); their ratio counts.

    Returns
    -------
    Fit

    Raises
    ------
    PhysicsError
        If there are fewer pressures than parameters, or the law cannot be brought to the points.

    Examples
    --------
    >>> found = fit(np.array([1e5, 2e5, 3e5]), np.array([2e-5, 4e-5, 6e-5]))
    >>> float(round(found.values[0] * 1e10, 6))
    2.0
    """
    pressure, flux = np.asarray(pressure, float), np.asarray(flux, float)
    known = LAWS[law]
    if len(np.unique(pressure)) < len(known.parameters):
        words = f"{len(known.parameters)} parameters need as many pressures, there are {len(np.unique(pressure))}"
        raise PhysicsError(f"law {law}: {words}")
    if regression == "deming":
        if law != "linear":
            raise PhysicsError(f"law {law}: errors of the gauge (deming) are taken into account for a line only")
        return _deming(pressure, flux, flux_deviation / pressure_deviation)
    # Residuals are of order one, as the solvers expect: in shares of the largest flux, or of each one's deviation.
    scale = np.full(len(flux), float(np.abs(flux).max()) or 1.0)
    if regression == "weighted":
        if deviation is None:
            raise PhysicsError("weighted: needs the standard deviation of each flux")
        scale = np.asarray(deviation, float)
    pull = np.ones(len(flux))
    values = _solve(known, pressure, flux, 1 / scale)
    if regression == "huber":
        for _ in range(100):
            apart = np.abs(flux - known.flux(pressure, values)) / scale
            spread = float(np.median(apart)) / _MAD
            fresh = np.minimum(1.0, _HUBER * spread / np.maximum(apart, 1e-300)) if spread > 1e-12 else pull
            if np.abs(fresh - pull).max() < 1e-10:
                break
            pull = fresh
            values = _solve(known, pressure, flux, np.sqrt(pull) / scale)
    return _told(law, pressure, flux, values, scale, pull, regression == "weighted")


def fit_many(pressure: np.ndarray, flux: np.ndarray, law: str) -> np.ndarray:
    """Parameters of many curves at the same pressures, by least squares: (m, n) fluxes give (m, p) parameters.

    For laws that are linear in their parameters only.
    """
    design = LAWS[law].slopes(pressure, np.zeros(len(LAWS[law].parameters)))
    norms = np.linalg.norm(design, axis=0)
    return (np.linalg.lstsq(design / norms, flux.T, rcond=None)[0] / norms[:, None]).T


def _solve(law: Law, pressure: np.ndarray, flux: np.ndarray, root: np.ndarray) -> np.ndarray:
    """Parameters of least squares, residuals multiplied by ``root``."""
    if law.start is None:
        design = law.slopes(pressure, np.zeros(len(law.parameters))) * root[:, None]
        norms = np.linalg.norm(design, axis=0)
        return np.linalg.lstsq(design / norms, flux * root, rcond=None)[0] / norms
    if law.parameters[-1] != "threshold" and not (flux > 0).all():
        raise PhysicsError("a law of powers or exponentials needs fluxes above 0")
    start = law.start(pressure, flux)
    if not np.isfinite(start).all():
        raise PhysicsError("the points do not tell where to start from")
    size = np.maximum(np.abs(start), 1e-300)
    found = least_squares(
        lambda v: (law.flux(pressure, v * size) - flux) * root,
        start / size,
        jac=lambda v: law.slopes(pressure, v * size) * root[:, None] * size,
        xtol=1e-14,
        ftol=1e-14,
        gtol=1e-14,
    )
    if not np.isfinite(found.x).all() or found.status <= 0:
        raise PhysicsError(f"the law cannot be brought to the points: {found.message}")
    return found.x * size


def _told(
    law: str, pressure: np.ndarray, flux: np.ndarray, values: np.ndarray, scale: np.ndarray, pull: np.ndarray,
    weighted: bool,
) -> Fit:  # fmt: skip
    """What there is to say of found parameters."""
    known = LAWS[law]
    n, p = len(flux), len(values)
    apart = (flux - known.flux(pressure, values)) / scale
    level = np.average(flux, weights=1 / scale**2)
    total = float((((flux - level) / scale) ** 2).sum())
    r_squared = 1 - float(apart @ apart) / total if total > 0 else math.nan
    freedom = n - p
    if freedom <= 0:
        return Fit(law, values, np.full((p, p), np.nan), 0, math.nan, r_squared)
    design = known.slopes(pressure, values) / scale[:, None]
    norms = np.linalg.norm(design, axis=0)
    if not (norms > 0).all():
        raise PhysicsError(f"law {law}: the points do not tell its parameters")
    inverse = np.linalg.pinv((design / norms).T @ (design / norms)) / np.outer(norms, norms)
    # With Huber's weights (1973): residuals count with what they pull, corrected for the share that pulls less.
    steady = max(float((pull >= 1).mean()), 1 / n)
    correction = (1 + p / n * (1 - steady) / steady) / steady
    square = correction**2 * float(((pull * apart) ** 2).sum()) / freedom
    deviation = math.sqrt(square) * (1.0 if weighted else float(scale[0]))
    return Fit(law, values, square * inverse, freedom, deviation, r_squared, _lack_of_fit(pressure, apart, p))


def _lack_of_fit(pressure: np.ndarray, apart: np.ndarray, p: int) -> float:
    """Probability of so much misfit by chance: means of replicates about the law, against replicates about means."""
    groups = np.unique(pressure, return_inverse=True)[1]
    counts = np.bincount(groups)
    pure_freedom, misfit_freedom = len(pressure) - len(counts), len(counts) - p
    if pure_freedom < 1 or misfit_freedom < 1:
        return math.nan
    means = np.bincount(groups, apart) / counts
    pure = float(((apart - means[groups]) ** 2).sum())
    misfit = float((counts * means**2).sum())
    if pure <= 0:
        return math.nan
    return float(fisher.sf((misfit / misfit_freedom) / (pure / pure_freedom), misfit_freedom, pure_freedom))


def _deming(pressure: np.ndarray, flux: np.ndarray, ratio: float) -> Fit:
    """Line with errors in both (Deming 1943); covariance by York et al. (2004), from points moved to the line.

    ``ratio`` is the flux's standard deviation over the pressure's.
    """
    n = len(flux)
    dp, dj = pressure - pressure.mean(), flux - flux.mean()
    spp, sjj, spj = float(dp @ dp), float(dj @ dj), float(dp @ dj)
    half = sjj - ratio**2 * spp
    root = math.hypot(half, 2 * ratio * spj)
    slope = (half + root) / (2 * spj) if half > 0 else 2 * ratio**2 * spj / (root - half)
    intercept = flux.mean() - slope * pressure.mean()
    apart = flux - slope * pressure - intercept
    moved = pressure + slope * apart / (ratio**2 + slope**2)
    freedom = n - 2
    # Errors of both together, as seen in the flux: effective variance ratio^2 + slope^2 over ratio^2.
    square = float(apart @ apart) / freedom if freedom > 0 else math.nan
    design = np.stack([moved, np.ones(n)], axis=-1)
    covariance = square * np.linalg.inv(design.T @ design)
    r_squared = 1 - float(apart @ apart) / sjj
    values = np.array([slope, float(intercept)])
    found = _lack_of_fit(pressure, apart, 2)
    return Fit("linear", values, covariance, max(freedom, 0), math.sqrt(square), r_squared, found)


def fit_runs(
    pressure: np.ndarray, flux: np.ndarray, replicate: np.ndarray, law: str = "linear", regression: Regression = "ols",
    **options: float,
) -> Fit:  # fmt: skip
    """Fit each run alone and take the mean: points of one run share what was peculiar to it.

    Parameters
    ----------
    pressure, flux : (n,) float array
        Pa and m s-1.
    replicate : (n,) int array
        Number of the run of each point; two runs at least.
    law, regression, **options
        As for :func:`fit`.

    Returns
    -------
    Fit
        Mean parameters; covariance of the mean from the scatter of the runs, with one degree of freedom fewer than
        runs. ``deviation`` and ``r_squared`` are those of all points about the mean law.

    Raises
    ------
    PhysicsError
        If there is one run, or a run cannot be fitted.
    """
    numbers = np.unique(replicate)
    if len(numbers) < 2:
        raise PhysicsError("runs: at least two are needed; take replicates as readings of one run instead")
    each = [fit(pressure[replicate == k], flux[replicate == k], law, regression, **options) for k in numbers]  # type: ignore[arg-type]
    values = np.stack([one.values for one in each])
    size = np.abs(values).max(axis=0)
    covariance = np.cov((values / size).T, ddof=1) * np.outer(size, size) / len(each)
    mean = values.mean(axis=0)
    apart = flux - LAWS[law].flux(pressure, mean)
    deviation = math.sqrt(float(apart @ apart) / (len(flux) - len(mean)))
    r_squared = 1 - float(apart @ apart) / float(((flux - flux.mean()) ** 2).sum())
    return Fit(law, mean, covariance, len(each) - 1, deviation, r_squared)


def ratio_interval(above: float, below: float, covariance: np.ndarray, reach: float) -> tuple[float, float]:
    """Interval of a ratio of two estimates (Fieller 1954).

    Parameters
    ----------
    above, below : float
        Estimates of numerator and denominator.
    covariance : (2, 2) float array
        Of both, in this order.
    reach : float
        Quantile of Student's distribution.

    Returns
    -------
    low, high : float
        Minus and plus infinity where the denominator is not told from 0.
    """
    if not math.isfinite(reach) or not np.isfinite(covariance).all():
        return -math.inf, math.inf
    squared = reach**2
    a = below**2 - squared * covariance[1, 1]
    b = above * below - squared * covariance[0, 1]
    c = above**2 - squared * covariance[0, 0]
    if a <= 0:
        return -math.inf, math.inf
    root = math.sqrt(max(b**2 - a * c, 0.0))
    return (b - root) / a, (b + root) / a
