"""Ranking of flux laws by leave-one-out cross-validation and the Bayesian information criterion."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from membrane_dask.physics.elementary import log
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.porometry.flux_laws import LAWS
from membrane_dask.physics.porometry.regression import fit

#: Distinct pressures that a law of three or more parameters needs to be ranked.
_PRESSURES_FOR_THREE_PARAMETERS = 6


@dataclass(frozen=True)
class LawScore:
    """Predictive power of a law.

    Parameters
    ----------
    law : str
        Its name.
    leave_one_out_error : float
        Root mean square error of leave-one-out cross-validation over the mean flux; NaN where the law is excluded.
    bic : float
        Bayesian information criterion; smaller is better; NaN where the law is excluded.
    excluded : str
        Reason why the law is not ranked; empty where it is.
    """

    law: str
    leave_one_out_error: float
    bic: float
    excluded: str = ""


def leave_one_out_error(pressure: np.ndarray, flux: np.ndarray, law: str) -> float:
    """Root mean square error of leave-one-out cross-validation, over the mean flux.

    One pressure at a time is left out with all its replicates, and predicted from the others.
    """
    squares = []
    for value in np.unique(pressure):
        out = pressure == value
        partial = fit(pressure[~out], flux[~out], law)
        squares.append(np.square(flux[out] - partial.flux(pressure[out])))
    return float(np.sqrt(np.concatenate(squares).mean()) / flux.mean())


def rank_laws(pressure: np.ndarray, flux: np.ndarray, laws: Sequence[str] = tuple(LAWS)) -> list[LawScore]:
    """Rank laws by leave-one-out cross-validation.

    Parameters
    ----------
    pressure, flux : (n,) float array
        Pa and m s-1, > 0.
    laws : sequence of str
        Names in :data:`~membrane_dask.physics.porometry.flux_laws.LAWS`.

    Returns
    -------
    list of LawScore
        The best first, excluded laws last. A law is excluded if there are fewer than ``parameters + 2`` distinct
        pressures, or fewer than six for three or more parameters.
    """
    distinct = len(np.unique(pressure))
    scores = []
    for law in laws:
        p = len(LAWS[law].parameters)
        needed = max(p + 2, _PRESSURES_FOR_THREE_PARAMETERS if p >= 3 else 0)
        if distinct < needed:
            reason = f"{p} parameters need at least {needed} pressures for cross-validation (got {distinct})"
            scores.append(LawScore(law, math.nan, math.nan, reason))
            continue
        try:
            full = fit(pressure, flux, law)
            error = leave_one_out_error(pressure, flux, law)
        except PhysicsError as failure:
            scores.append(LawScore(law, math.nan, math.nan, str(failure)))
            continue
        n = len(flux)
        square = float(np.square(flux - full.flux(pressure)).mean()) / float(np.square(flux).mean())
        bic = float(n * log(max(square, 1e-300)) + (p + 1) * log(n))
        scores.append(LawScore(law, error, bic))
    return sorted(scores, key=lambda s: (bool(s.excluded), s.leave_one_out_error))
