"""Declines of the flux of one network for a sequence of deposition coefficients."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.networks.decline_curves import FLUX_FRACTIONS, DeclineCurve, decline_curve
from membrane_dask.physics.networks.fouling import filter_life
from membrane_dask.physics.networks.fouling_laws import FoulingLaws
from membrane_dask.physics.networks.pore_network import PoreNetwork

#: Longest life in steps, over the steps in which the published law closes the widest pore, before the step grows by
#: the factor; and how often it may grow.
_LONGEST_LIFE, _STEP_FACTOR, _MAX_GROWTHS = 5, 4, 12


def simulate_declines(
    network: PoreNetwork,
    deposition: Sequence[float],
    law: Literal["published", "conserving"],
    *,
    time_step: float,
    band_deposition: Sequence[float] | None = None,
    integrator: Literal["euler", "adams-bashforth"] = "euler",
    solver_tolerance: float = 1e-6,
) -> tuple[float, list[DeclineCurve]]:
    """Simulate the decline of the flux to a hundredth, for every deposition coefficient.

    Parameters
    ----------
    network : PoreNetwork
        The clean filter.
    deposition : sequence of float
        Deposition coefficients > 0, rising.
    law : {"published", "conserving"}
        Deposition law.
    time_step, band_deposition, integrator, solver_tolerance
        As for :func:`~.fouling.filter_lives`.

    Returns
    -------
    initial_flux : float
        Flux of the clean filter.
    curves : list of DeclineCurve
        One for each coefficient.

    Raises
    ------
    PhysicsError
        If no path leads through the network, or the flux does not fall.

    Notes
    -----
    The conserving law takes the longer, the more of the foulant the first pores retain. Where a life would take more
    than five times the steps of the published law, it is simulated with steps four times as long, as are those of
    larger coefficients.
    """
    rates = 1.0 if band_deposition is None else min(band_deposition)
    longest = _LONGEST_LIFE * math.ceil(float(network.radius.max()) / rates / time_step)
    laws = FoulingLaws()
    if law == "conserving":
        laws = FoulingLaws(conserving=True, flux_fraction=float(FLUX_FRACTIONS[-1]), end_time=longest)
    initial_flux, curves = math.nan, []
    for coefficient in deposition:
        for _ in range(_MAX_GROWTHS):
            life = filter_life(
                network, deposition=coefficient, time_step=time_step, flux_threshold=1e-300,
                band_deposition=band_deposition, integrator=integrator, solver_tolerance=solver_tolerance, laws=laws,
            )  # fmt: skip
            if life.flux[-1] <= FLUX_FRACTIONS[-1] * life.flux[0]:
                break
            time_step *= _STEP_FACTOR
        else:
            raise PhysicsError(f"the flux does not fall to {FLUX_FRACTIONS[-1]:g} with deposition {coefficient:g}")
        initial_flux = life.initial_flux
        concentration = float(life.foulant_concentration_out[0])
        curves.append(decline_curve(np.asarray(life.flux), concentration, coefficient, time_step))
    return initial_flux, curves
