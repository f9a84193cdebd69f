"""Pore radii from the rejection of solutes of several sizes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from membrane_dask.physics.distributions import normal_cdf
from membrane_dask.physics.elementary import exp, geometric_sequence, log
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.porometry.estimates import Estimate
from membrane_dask.physics.porometry.membrane_sieving import (
    FiltrationConditions,
    actual_sieving,
    observed_sieving,
    sieving_error,
    unpolarised,
)  # fmt: skip
from membrane_dask.physics.porometry.reading_checks import not_finite, refuse, row_names
from membrane_dask.physics.porometry.solutes import StokesRelation, TabulatedSolutes
from membrane_dask.physics.porometry.student_likelihood import student_log_likelihood

#: Standard deviation of the logarithm of the hydraulic radius by which laws of sieving differ on the same data.
LAW_DISCREPANCY = 0.08
#: Prior range of the log-standard deviation of the pore radius, even in its logarithm.
LOG_SD_RANGE = (0.02, 1.2)
#: Degrees of freedom of the belief in the errors of :func:`~.membrane_sieving.sieving_error`.
NOMINAL_DEGREES = 4.0
#: Rejections between which a solute informs about the width of the distribution, and how many it takes.
_INFORMATIVE, _SOLUTES_FOR_WIDTH = (0.05, 0.95), 3
#: Rejection of the molecular weight cut-off.
CUT_OFF = 0.9
#: Logarithm of the density, below its maximum, at which the grid of the posterior ends.
_DEPTH = 10.0
#: Rejections that may be exceeded by the errors of the analysis.
_LARGEST_SIEVING = 1.005


@dataclass(frozen=True)
class RejectionReadings:
    """Observed sieving coefficients of the solutes of one membrane.

    Parameters
    ----------
    stokes_radii : (n,) float array
        m, > 0.
    sieving : (n,) float array
        Permeate over feed concentration, one minus the observed rejection, in [0, 1.005]. Of a censored reading, the
        detection limit over the feed concentration.
    censored : (n,) bool array, optional
        Whether the permeate is only known to be below the detection limit.
    molar_masses : (n,) float array, optional
        kg mol-1, for the cut-off.
    relation : StokesRelation, optional
        Of Stokes radius and molar mass; by default the values of the table are interpolated.
    flux_ratio : float or (n,) float array, optional
        Flux over mass transfer coefficient of each solute, >= 0, for the polarisation of concentration.
    mixed_solutes : bool
        Whether the solutes are of several kinds, whose Stokes radii agree less well.
    rows : sequence of int, optional
        Rows of the table, for messages.

    Raises
    ------
    PhysicsError
        If a rejection is above 100 % or below -0.5 %, or another value is not in its range; all readings at once.
    """

    stokes_radii: np.ndarray
    sieving: np.ndarray
    censored: np.ndarray | None = None
    molar_masses: np.ndarray | None = None
    relation: StokesRelation | None = None
    flux_ratio: np.ndarray | float | None = None
    mixed_solutes: bool = False
    rows: Sequence[int] | None = None

    def __post_init__(self) -> None:
        n = len(self.sieving)
        names = row_names(self.rows, n)
        if n == 0:
            raise PhysicsError("a rejection test needs at least one solute")
        columns = {"stokes_radii": self.stokes_radii, "censored": self.censored, "molar_masses": self.molar_masses}
        problems = [
            f"{name}: {len(values)} values for {n} sieving coefficients"
            for name, values in columns.items()
            if values is not None and len(values) != n
        ]
        refuse(problems)
        problems += not_finite("the sieving coefficient", self.sieving, names)
        for name, sieving in zip(names, self.sieving, strict=True):
            if sieving < 0:
                problems.append(f"{name}: the rejection is {100 * (1 - sieving):.4g} %, above 100 %")
            elif sieving > _LARGEST_SIEVING:
                problems.append(f"{name}: the rejection is {100 * (1 - sieving):.4g} %, below -0.5 %")
        positive = {"Stokes radius": self.stokes_radii, "molar mass": self.molar_masses}
        for quantity, values in positive.items():
            if values is not None:
                indices = np.flatnonzero(~((values > 0) & np.isfinite(values)))
                problems += [f"{names[i]}: the {quantity} must be above 0 (got {values[i]:g})" for i in indices]
        if self.flux_ratio is not None and not (np.asarray(self.flux_ratio) >= 0).all():
            problems.append("flux over mass transfer coefficient must be 0 or above")
        refuse(problems)

    @property
    def is_censored(self) -> np.ndarray:
        """Whether each reading is censored, (n,)."""
        return np.zeros(len(self.sieving), bool) if self.censored is None else np.asarray(self.censored, bool)

    @property
    def actual_rejection(self) -> np.ndarray:
        """Rejection at the membrane surface: without the polarisation of concentration, where it is known, (n,)."""
        flux_ratio = 0.0 if self.flux_ratio is None else self.flux_ratio
        return np.asarray(1 - unpolarised(np.clip(self.sieving, 0, 1), flux_ratio))

    @property
    def informative(self) -> int:
        """Number of measured rejections between 5 and 95 %."""
        rejection = 1 - np.asarray(self.sieving)[~self.is_censored]
        return int(((rejection > _INFORMATIVE[0]) & (rejection < _INFORMATIVE[1])).sum())


@dataclass(frozen=True)
class RejectionFit:
    """Pore radii of a membrane that a law of sieving gives for its rejections.

    Intervals contain the true value with a probability of 95 % if the law is right.

    Parameters
    ----------
    law : str
        Of one pore.
    flow_median_radius, number_median_radius, hydraulic_radius : Estimate
        m.
    log_standard_deviation : Estimate
        Of the logarithm of the pore radius.
    hydraulic_radius_log_error : float
        Standard error of the logarithm of the hydraulic radius, the discrepancy of the laws of 8 % included. With it
        the hydraulic radius is a prior of other methods; no other radius is.
    rejection_radius_90 : Estimate
        Stokes radius of a solute of which the membrane itself, without polarisation, rejects 90 %, m.
    molecular_weight_cut_off : Estimate
        Its molar mass, kg mol-1; NaN without molar masses.
    interpolated_cut_off : float
        The same by straight lines between the readings in the logarithm of the molar mass; NaN where they do not
        enclose 90 %.
    misfit : float
        Standard deviation of the residuals over their expected error; NaN without degrees of freedom.
    fitted_sieving : (n,) float array
        Observed sieving coefficients of the most probable flow median radius and log-standard deviation.
    findings : tuple of str
        What users must know.
    """

    law: str
    flow_median_radius: Estimate
    number_median_radius: Estimate
    hydraulic_radius: Estimate
    log_standard_deviation: Estimate
    hydraulic_radius_log_error: float
    rejection_radius_90: Estimate
    molecular_weight_cut_off: Estimate
    interpolated_cut_off: float
    misfit: float
    fitted_sieving: np.ndarray
    findings: tuple[str, ...]


def sieving_of_concentrations(
    feed: np.ndarray, permeate: np.ndarray, rejection: np.ndarray | None = None, rows: Sequence[int] | None = None
) -> np.ndarray:
    """Observed sieving coefficients from concentrations.

    Parameters
    ----------
    feed, permeate : (n,) float array
        In one unit; feed > 0, permeate >= 0.
    rejection : (n,) float array, optional
        As a fraction, where the table states it as well.
    rows : sequence of int, optional
        Rows of the table, for messages.

    Returns
    -------
    (n,) float array

    Raises
    ------
    PhysicsError
        If a concentration is not in its range, or a stated rejection differs from that of the concentrations by more
        than 0.5 %.
    """
    feed, permeate = np.asarray(feed, float), np.asarray(permeate, float)
    names = row_names(rows, len(feed))
    no_feed, negative = np.flatnonzero(~(feed > 0)), np.flatnonzero(~(permeate >= 0))
    problems = [f"{names[i]}: the feed concentration must be above 0 (got {feed[i]:g})" for i in no_feed]
    problems += [f"{names[i]}: the permeate concentration must be 0 or above (got {permeate[i]:g})" for i in negative]
    refuse(problems)
    sieving = permeate / feed
    if rejection is not None:
        differing = np.flatnonzero(~(np.abs(1 - sieving - rejection) <= 0.005))
        refuse([
            f"{names[i]}: the rejection is {100 * rejection[i]:.4g} % in the table and {100 * (1 - sieving[i]):.4g} % "
            "by the concentrations; keep one"
            for i in differing
        ])  # fmt: skip
    return np.asarray(sieving)


def log_likelihood(
    readings: RejectionReadings,
    number_median: np.ndarray,
    log_standard_deviation: np.ndarray,
    law: str = "dechadilok-deen",
    conditions: FiltrationConditions | None = None,
) -> np.ndarray:
    """Log-likelihood of a table of rejections, up to a constant; the size of the error is integrated.

    Parameters
    ----------
    readings : RejectionReadings
        The table.
    number_median, log_standard_deviation : (...) float array
        As for :func:`~.membrane_sieving.observed_sieving`.
    law, conditions
        Likewise.

    Returns
    -------
    (...) float array

    Notes
    -----
    The errors of :func:`~.membrane_sieving.sieving_error` are believed with 4 degrees of freedom. A censored reading
    adds the probability that it is below its limit with the expected error.
    """
    flux_ratio = 0.0 if readings.flux_ratio is None else readings.flux_ratio
    model = observed_sieving(readings.stokes_radii, number_median, log_standard_deviation, law, flux_ratio, conditions)
    residuals = (readings.sieving - model) / sieving_error(readings.sieving, readings.mixed_solutes)
    censored = readings.is_censored
    below = np.maximum(normal_cdf(residuals[..., censored]), 1e-300)
    return np.asarray(student_log_likelihood(residuals[..., ~censored], NOMINAL_DEGREES) + log(below).sum(axis=-1))


@dataclass(frozen=True)
class _Posterior:
    """Posterior probability of nodes of ``ln r_4`` and ``ln s``, and whether it is 0 at both ends of ``ln r_4``."""

    log_flow_median: np.ndarray
    width: np.ndarray
    probability: np.ndarray
    is_bounded: tuple[bool, bool]

    def mean(self, values: np.ndarray) -> float:
        return float((self.probability * values).sum())

    def estimate(self, values: np.ndarray) -> Estimate:
        """Median and 95 % interval of the logarithm of a quantity, and of the quantity itself."""
        order = np.argsort(values, axis=None, kind="stable")
        cumulative = np.cumsum(self.probability.reshape(-1)[order])
        middle = cumulative - self.probability.reshape(-1)[order] / 2
        low, median, high = exp(np.interp([0.025, 0.5, 0.975], middle, values.reshape(-1)[order]))
        return Estimate(float(median), float(low), float(high))

    def radius(self, log_radius: np.ndarray) -> Estimate:
        """Estimate of a radius; open where the readings bound it on one side only."""
        estimate = self.estimate(log_radius)
        if all(self.is_bounded):
            return estimate
        below, above = self.is_bounded
        return Estimate(math.nan, estimate.low if below else 0.0, estimate.high if above else math.inf)


def _posterior(
    readings: RejectionReadings, law: str, log_sd: tuple[float, float] | None, conditions: FiltrationConditions | None
) -> _Posterior:
    """Evaluate the likelihood on a grid that is narrowed around its maximum."""
    limits = float(log(readings.stokes_radii.min())) - 3, float(log(readings.stokes_radii.max())) + 5
    radius_range, width_range = limits, LOG_SD_RANGE
    if log_sd is not None:
        width_range = max(log_sd[0] - 4 * log_sd[1], 1e-3), log_sd[0] + 4 * log_sd[1]
    for points in (40, 40, 40, 80):
        u = np.linspace(radius_range[0], radius_range[1], points)
        s = geometric_sequence(*width_range, 1 if width_range[0] == width_range[1] else points)
        median = exp(u[:, None] - 4 * np.square(s))
        log_density = log_likelihood(readings, median, np.broadcast_to(s, median.shape), law, conditions)
        if log_sd is not None and log_sd[1] > 0:  # normal in s, on nodes even in its logarithm
            log_density = log_density - np.square((s - log_sd[0]) / log_sd[1]) / 2 + log(s)
        log_density = log_density - log_density.max()
        radius_range = _around(u, (log_density > -_DEPTH).any(axis=1))
        width_range = _around(s, (log_density > -_DEPTH).any(axis=0))
    probability = exp(log_density)
    at_ends = probability[[0, -1]].max(axis=1)
    is_bounded = (bool(at_ends[0] < 1e-3 or u[0] > limits[0]), bool(at_ends[1] < 1e-3 or u[-1] < limits[1]))
    return _Posterior(u[:, None], s, probability / probability.sum(), is_bounded)


def _around(nodes: np.ndarray, inside: np.ndarray) -> tuple[float, float]:
    """Range of the nodes inside, with one node more on either side."""
    indices = np.flatnonzero(inside)
    return float(nodes[max(indices[0] - 1, 0)]), float(nodes[min(indices[-1] + 1, len(nodes) - 1)])


def _log_stokes_radius(
    rejection: float, log_flow_median: np.ndarray, width: np.ndarray, law: str, conditions: FiltrationConditions | None
) -> np.ndarray:
    """Logarithm of the Stokes radius that membranes reject to a fraction, by bisection."""
    low, high = log_flow_median - 10, log_flow_median + 10
    for _ in range(45):
        middle = (low + high) / 2
        sieving = [
            float(actual_sieving([radius], median, s, law, conditions)[0])
            for radius, median, s in zip(exp(middle), exp(log_flow_median - 4 * np.square(width)), width, strict=True)
        ]
        above = np.array(sieving) > 1 - rejection
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return np.asarray((low + high) / 2)


def fit_rejection(
    readings: RejectionReadings,
    law: str = "dechadilok-deen",
    log_sd: tuple[float, float] | None = None,
    conditions: FiltrationConditions | None = None,
) -> RejectionFit:
    """Pore radii by the rejection of solutes.

    Parameters
    ----------
    readings : RejectionReadings
        The table.
    law : {"dechadilok-deen", "zeman-wales", "ferry"}
        Sieving coefficient of one pore. The rejections do not tell which law is right.
    log_sd : tuple of float, optional
        Log-standard deviation of the pore radius from elsewhere, and its standard error. Without it the prior is even
        in the logarithm from 0.02 to 1.2.
    conditions : FiltrationConditions, optional
        For diffusion in the pores; without them convection dominates.

    Returns
    -------
    RejectionFit

    Raises
    ------
    PhysicsError
        If the law is not known, or the log-standard deviation is not above 0.

    Notes
    -----
    The flow median radius ``r_4`` and the log-standard deviation ``s`` are nearly uncorrelated. Their posterior is
    computed on a grid, with a prior even in the logarithm of ``r_4``. The other radii follow from both:
    ``r_N = r_4 exp(-4 s^2)``, ``r_h = r_4 exp(-s^2)``.
    """
    if log_sd is not None and not (log_sd[0] > 0 and log_sd[1] >= 0):
        raise PhysicsError(f"log_sd: above 0, with an error of 0 or above (got {log_sd[0]:g} +- {log_sd[1]:g})")
    posterior = _posterior(readings, law, log_sd, conditions)
    u, s = posterior.log_flow_median, np.broadcast_to(posterior.width, posterior.probability.shape)
    log_hydraulic = u - np.square(s)
    log_error = math.sqrt(posterior.mean(np.square(log_hydraulic - posterior.mean(log_hydraulic))))
    flow_median = posterior.radius(u + 0 * s)
    width = posterior.estimate(log(s))
    # Along the ridge of the posterior; between its nodes the logarithm is nearly linear in s.
    columns = np.linspace(0, s.shape[1] - 1, min(9, s.shape[1])).astype(int)
    column_probability = np.maximum(posterior.probability.sum(axis=0), 1e-300)
    ridge = ((posterior.probability * u).sum(axis=0) / column_probability)[columns]
    offsets = _log_stokes_radius(CUT_OFF, ridge, s[0, columns], law, conditions) - ridge
    radius_90 = posterior.radius(u + np.interp(s, s[0, columns], offsets))
    cut_off = _molar_mass(readings, radius_90)
    best = np.unravel_index(int(np.argmax(posterior.probability)), posterior.probability.shape)
    flux_ratio = 0.0 if readings.flux_ratio is None else readings.flux_ratio
    fitted = observed_sieving(
        readings.stokes_radii, exp(u[best[0], 0] - 4 * np.square(s[best])), s[best], law, flux_ratio, conditions
    )
    measured = ~readings.is_censored
    error = sieving_error(readings.sieving, readings.mixed_solutes)
    residuals = ((readings.sieving - fitted) / error)[measured]
    degrees = len(residuals) - (1 if log_sd is not None else 2)
    misfit = math.sqrt(float(np.square(residuals).sum()) / degrees) if degrees > 0 else math.nan
    return RejectionFit(
        law=law,
        flow_median_radius=flow_median,
        number_median_radius=posterior.radius(u - 4 * np.square(s)),
        hydraulic_radius=posterior.radius(log_hydraulic),
        log_standard_deviation=width,
        hydraulic_radius_log_error=math.sqrt(np.square(log_error) + np.square(LAW_DISCREPANCY))
        if all(posterior.is_bounded)
        else math.inf,
        rejection_radius_90=radius_90,
        molecular_weight_cut_off=cut_off,
        interpolated_cut_off=interpolated_cut_off(readings),
        misfit=misfit,
        fitted_sieving=fitted,
        findings=tuple(_findings(readings, radius_90, cut_off, width, misfit, log_sd)),
    )


def _molar_mass(readings: RejectionReadings, radius: Estimate) -> Estimate:
    """Molar mass of solutes with a Stokes radius; NaN where the table does not relate the two."""
    if readings.relation is not None:
        convert = readings.relation.molar_mass
    else:
        if readings.molar_masses is None:
            return Estimate()
        masses, radii = np.unique(np.stack([readings.molar_masses, readings.stokes_radii]), axis=1)  # replicates once
        table = TabulatedSolutes(radii, masses)
        if not table.rising:
            return Estimate()
        convert = table.molar_mass
    ends = (end if end in (0.0, math.inf) else float(convert(end)) for end in (radius.low, radius.high))
    return Estimate(float(convert(radius.value)) if math.isfinite(radius.value) else math.nan, *ends)


def interpolated_cut_off(readings: RejectionReadings) -> float:
    """Molar mass at which the rejection first passes 90 %, linear in its logarithm between readings, kg mol-1.

    NaN without molar masses, or where no two consecutive readings enclose 90 %. Censored readings are not used.
    """
    if readings.molar_masses is None:
        return math.nan
    measured = ~readings.is_censored
    masses, solute = np.unique(readings.molar_masses[measured], return_inverse=True)
    log_mass = log(masses)
    rejection = np.bincount(solute, readings.actual_rejection[measured]) / np.bincount(solute)  # mean of replicates
    crossings = np.flatnonzero((rejection[:-1] < CUT_OFF) & (rejection[1:] >= CUT_OFF))
    if not len(crossings):
        return math.nan
    i = int(crossings[0])
    weight = (CUT_OFF - rejection[i]) / (rejection[i + 1] - rejection[i])
    return float(exp(log_mass[i] + weight * (log_mass[i + 1] - log_mass[i])))


def _findings(
    readings: RejectionReadings, radius_90: Estimate, cut_off: Estimate, width: Estimate, misfit: float,
    log_sd: tuple[float, float] | None,
) -> list[str]:  # fmt: skip
    findings = []
    if readings.flux_ratio is None:
        findings.append("concentration polarisation not corrected; radius is an upper estimate")
    n = readings.informative
    if n < _SOLUTES_FOR_WIDTH:
        solutes = f"{n} solute{'' if n == 1 else 's'} with a rejection between 5 and 95 %"
        if log_sd is None:
            low, high = LOG_SD_RANGE
            findings.append(
                f"{solutes}: the width of the distribution is not determined; it may lie between {low:g} and {high:g} "
                "(log_sd narrows it), and its spread is part of every interval"
            )
        else:
            findings.append(f"{solutes}: the width is that of log_sd, {log_sd[0]:g} +- {log_sd[1]:g}")
    elif log_sd is None and width.low < 1.2 * LOG_SD_RANGE[0]:
        findings.append(f"pores of one size describe the rejections: log-sd below {width.high:.2g}")
    findings += _extrapolation(readings, radius_90, cut_off) + _falling(readings)
    if misfit > 2:
        findings.append(f"the law misfits: residuals are {misfit:.2g} times their expected error")
    has_masses = readings.molar_masses is not None
    if has_masses and readings.relation is None and math.isnan(cut_off.low):
        findings.append(
            "the Stokes radii of the table do not rise with the molar mass, or it has one: no molecular weight cut-off"
        )
    return findings


def _extrapolation(readings: RejectionReadings, radius_90: Estimate, cut_off: Estimate) -> list[str]:
    """Whether the solutes do not enclose the rejection of 90 %."""
    rejection = readings.actual_rejection
    if rejection.min() <= CUT_OFF <= rejection.max():
        return []
    side = "above" if rejection.max() < CUT_OFF else "below"
    size = f"radius {1e9 * radius_90.value:.3g} nm by the law alone"
    if math.isfinite(cut_off.value):
        size = f"cut-off {cut_off.value:.3g} kDa, {size}"
    elif math.isnan(radius_90.value):
        size = "the radius is bounded on one side only"
    extreme = 100 * (rejection.max() if side == "above" else rejection.min())
    text = "highest" if side == "above" else "lowest"
    return [f"extrapolation: no reading {side} 90 % (the {text} rejection is {extreme:.3g} %); {size}"]


def _falling(readings: RejectionReadings) -> list[str]:
    """Rejections that fall from one solute to the next larger one by more than their 95 % error."""
    order = np.argsort(readings.stokes_radii, kind="stable")
    order = order[~readings.is_censored[order]]
    sieving = readings.sieving[order]
    error = sieving_error(sieving, readings.mixed_solutes)
    names = row_names(readings.rows, len(readings.sieving))
    is_larger = np.diff(readings.stokes_radii[order]) > 0
    falls = is_larger & (np.diff(sieving) > 1.96 * np.sqrt(np.square(error[:-1]) + np.square(error[1:])))
    return [
        f"{names[order[i + 1]]}: the rejection falls from {100 * (1 - sieving[i]):.3g} to "
        f"{100 * (1 - sieving[i + 1]):.3g} % with a larger solute: adsorption, aggregates, or an error"
        for i in np.flatnonzero(falls)
    ]
