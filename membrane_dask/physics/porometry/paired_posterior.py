"""Change of the pore structure of one membrane between two states, from the permeabilities and priors of both."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from membrane_dask.physics.elementary import exp
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.importance_sampling import weighted_quantiles
from membrane_dask.physics.porometry.estimates import Estimate
from membrane_dask.physics.porometry.posterior import (
    MIN_EFFECTIVE_SAMPLE_SIZE,
    QUANTITIES,
    PermeabilityEstimate,
    Prior,
    drawn_priors,
    prior_points,
    relative_weights,
    sobol_points,
)


def structure_ratios(
    permeabilities: tuple[PermeabilityEstimate, PermeabilityEstimate],
    priors: tuple[Mapping[str, Prior], Mapping[str, Prior]],
    confidence: float,
) -> dict[str, Estimate]:
    """Radius, porosity and pore number in the later state over those in the first.

    The membrane is the same: viscosity errors and area errors are common to both states, and so is the thickness of
    the selective layer where both states have the same prior of it. All other priors are independent data of their
    states. The joint posterior is that of :func:`~membrane_dask.physics.porometry.posterior.posterior`, in both
    states at once.

    Parameters
    ----------
    permeabilities : pair of PermeabilityEstimate
        In the first and in the later state.
    priors : pair of mapping of str to Prior
        Independent data in both states, at least two in each.
    confidence : float
        Of the intervals.

    Returns
    -------
    dict of str to Estimate
        Median and interval of the ratios of ``radius``, ``porosity`` and ``pore_number``.

    Raises
    ------
    ValueError
        If a state has fewer than two priors.
    PhysicsError
        If the priors hardly allow porosities below 1 in both states, or contradict each other.
    """
    if min(map(len, priors)) < 2:
        raise ValueError(f"each state needs two priors (got {len(priors[0])} and {len(priors[1])})")
    first, later = (drawn_priors(mapping, {}) for mapping in priors)
    uniform = sobol_points(8)
    later_coordinates = uniform[[5, 1, 2, 6, 7]]
    if "thickness" in first and first["thickness"] == later.get("thickness"):
        # The same layer: one coordinate of its thickness.
        later_coordinates[3 + list(later).index("thickness")] = uniform[3 + list(first).index("thickness")]
    points = (
        prior_points(permeabilities[0], priors[0], first, uniform[:5]),
        prior_points(permeabilities[1], priors[1], later, later_coordinates),
    )
    weights = relative_weights(points[0].log_weights + points[1].log_weights)
    total = float(weights.sum())
    if total == 0 or total * total < MIN_EFFECTIVE_SAMPLE_SIZE * float(np.square(weights).sum()):
        raise PhysicsError("the priors of both states contradict each other, given the permeabilities")
    changes = points[1].logarithms - points[0].logarithms
    probabilities = ((1 - confidence) / 2, 0.5, (1 + confidence) / 2)
    ratios = {}
    for name in ("radius", "porosity", "pore_number"):
        low, median, high = exp(weighted_quantiles(changes[QUANTITIES.index(name)], weights, probabilities))
        ratios[name] = Estimate(float(median), float(low), float(high))
    return ratios
