"""Which law of the flux serves best, and what several membranes have in common."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.stats import t as student

from membrane_dask.physics.networks.pore_network import PhysicsError
from membrane_dask.physics.porometry.flux_laws import LAWS, fit

#: A law of three parameters or more is compared from so many pressures on.
_FOR_THREE = 6


@dataclass(frozen=True)
class Candidate:
    """How a law does beside others.

    Parameters
    ----------
    law : str
        Its name.
    left_out : float
        Root of the mean squared error at pressures that were left out of the fit, over the mean flux; NaN where
        it cannot be had.
    bic : float
        Bayesian information criterion; smaller is better.
    refused : str
        Why it is not ranked; empty where it is.
    """

    law: str
    left_out: float
    bic: float
    refused: str = ""


def left_out_error(pressure: np.ndarray, flux: np.ndarray, law: str) -> float:
    """Root mean squared error of predicting each pressure, all its replicates, from the others, over the mean flux."""
    squares = []
    for value in np.unique(pressure):
        out = pressure == value
        found = fit(pressure[~out], flux[~out], law)
        squares.append((flux[out] - found.flux(pressure[out])) ** 2)
    return float(np.sqrt(np.concatenate(squares).mean()) / flux.mean())


def compare(pressure: np.ndarray, flux: np.ndarray, laws: Sequence[str] = tuple(LAWS)) -> list[Candidate]:
    """Rank laws by how they predict pressures that they were not fitted to; refuse those with too few pressures.

    Parameters
    ----------
    pressure, flux : (n,) float array
        Pa and m s-1, > 0.
    laws : sequence of str
        Names in :data:`LAWS`.

    Returns
    -------
    list of Candidate
        The best first; those that are refused last. A law is refused where there are no more than ``parameters + 1``
        pressures, and one of three parameters or more with fewer than six.
    """
    pressures = len(np.unique(pressure))
    found = []
    for law in laws:
        p = len(LAWS[law].parameters)
        least = max(p + 2, _FOR_THREE if p >= 3 else 0)
        if pressures < least:
            words = f"{p} parameters need {least} pressures to be judged, there are {pressures}"
            found.append(Candidate(law, math.nan, math.nan, words))
            continue
        try:
            whole = fit(pressure, flux, law)
            left_out = left_out_error(pressure, flux, law)
        except PhysicsError as error:
            found.append(Candidate(law, math.nan, math.nan, str(error)))
            continue
        n = len(flux)
        square = float(((flux - whole.flux(pressure)) ** 2).mean()) / float((flux**2).mean())
        bic = n * math.log(max(square, 1e-300)) + (p + 1) * math.log(n)
        found.append(Candidate(law, left_out, bic))
    return sorted(found, key=lambda c: (bool(c.refused), c.left_out))


@dataclass(frozen=True)
class Population:
    """Members of a population, each measured with an error of its own.

    Parameters
    ----------
    mean, low, high : float
        Mean of the population and its interval.
    deviation : float
        Standard deviation between members, errors of measurement taken away.
    """

    mean: float
    low: float
    high: float
    deviation: float


def population(values: np.ndarray, errors: np.ndarray, confidence: float = 0.95) -> Population:
    """Mean and spread of a population from members that are measured with different errors (random effects).

    The spread is that of Paule and Mandel (1982), at which weighted squares are as many as expected; the interval of
    the mean is that of Hartung and Knapp (2001).

    Parameters
    ----------
    values, errors : (n,) float array
        Estimates and their standard errors, n >= 2.
    confidence : float
        Of the interval.
    """
    n = len(values)

    def excess(square: float) -> float:
        weights = 1 / (errors**2 + square)
        mean = float(weights @ values / weights.sum())
        return float(weights @ (values - mean) ** 2) - (n - 1)

    top = float(np.ptp(values) ** 2) + 1e-300
    square = 0.0 if excess(0.0) <= 0 else float(brentq(excess, 0.0, n * top, xtol=1e-12 * top))
    weights = 1 / (errors**2 + square)
    mean = float(weights @ values / weights.sum())
    error = math.sqrt(float(weights @ (values - mean) ** 2) / (n - 1) / float(weights.sum()))
    reach = float(student.ppf((1 + confidence) / 2, n - 1)) * error
    return Population(mean, mean - reach, mean + reach, math.sqrt(square))
