"""Unit of work of a graded study: simulate the fouling of one network."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from membrane_dask.physics.networks.band_porosity import band_radii
from membrane_dask.physics.networks.fouling import FilterLife, filter_lives
from membrane_dask.physics.networks.pore_network import PoreNetwork
from membrane_dask.physics.networks.random_network import generate
from membrane_dask.program import Unit
from membrane_dask.schema import Variable
from membrane_dask.studies.graded.diagnostic_variables import DIAGNOSTICS
from membrane_dask.studies.graded.law_variables import SIEVING_VARIABLES, SPECIES_VARIABLES
from membrane_dask.studies.graded.physical_units import PHYSICAL_VARIABLES, PRESSURE_LIMIT, physical_arrays
from membrane_dask.studies.graded.variables import GRADED


def work(context: Mapping[str, Any], unit: Unit) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Simulate the fouling of one network with every deposition coefficient.

    Parameters
    ----------
    context : mapping
        Parameters of the study, all dimensionless.
    unit : Unit
        ``params`` has ``l_max`` and ``gradient``, and what else a design changes; or the number of a ``network`` of the
        input.

    Returns
    -------
    arrays : dict of str to ndarray
        One array for every variable of the table ``graded``.
    feedback : dict
        ``metric``, the value that a search for the best gradient maximises, if there is one; or the metrics that a
        search for the best design reads, and its parameters.
    """
    context = {**context, **unit.params}  # a design has parameters of its own
    rng = random_generator(unit)
    network = network_of(context, unit, rng)
    names = ("deposition", "time_step", "flux_threshold", "integrator", "quadrature", "solver_tolerance")
    band_deposition = context["band_deposition"]
    if band_deposition is not None:
        band_deposition = np.broadcast_to(band_deposition, network.n_bands)
    laws = context["laws"]
    lives = filter_lives(
        network, **{name: context[name] for name in names}, band_deposition=band_deposition, laws=laws,
        rng=rng.spawn(1)[0],
    )  # fmt: skip
    absent = absent_variables(context) + PHYSICAL_VARIABLES
    variables = [v for v in GRADED.variables if v not in absent]
    arrays = {v.path: _array(v, network, lives, context["n_steps"] + 1) for v in variables}
    if context["units"] is not None:
        units = context["units"]
        if "pressure" in unit.params:
            units = replace(units, pressure=unit.params["pressure"])
        deposition = [laws.reference_deposition(value) for value in context["deposition"]]
        arrays |= physical_arrays(units, arrays, deposition, laws.pressure_limit)
    metric = context["metric"]
    if "design_metrics" in context:
        metrics = {name: float(np.ravel(arrays[v])[i]) for name, (v, i) in context["design_metrics"].items()}
        defined = {name: value for name, value in metrics.items() if math.isfinite(value)}
        return arrays, defined | unit.params["parameters"]
    return arrays, {"metric": float(arrays[metric][0])} if metric else {}


def random_generator(unit: Unit) -> np.random.Generator:
    """Return the generator of a unit's random numbers."""
    return np.random.Generator(np.random.PCG64(unit.seed_sequence()))


def absent_variables(context: Mapping[str, Any]) -> tuple[Variable, ...]:
    """Return the variables of the table that a study of this context does not have."""
    laws = context["laws"]
    absent: tuple[Variable, ...] = () if context["units"] else PHYSICAL_VARIABLES
    if not math.isfinite(laws.pressure_limit):
        absent += (PRESSURE_LIMIT,)
    if not laws.species:
        absent += SPECIES_VARIABLES
    if not laws.sieving.rate > 0:
        absent += SIEVING_VARIABLES
    return absent


def network_of(context: Mapping[str, Any], unit: Unit, rng: np.random.Generator) -> PoreNetwork:
    """Return the clean network of a unit: one of the input, or one that is drawn.

    ``rng`` is the generator of the unit's random numbers.
    """
    if context["networks"] is not None:
        network: PoreNetwork = context["networks"][unit.params["network"]]
        return network
    context = {**context, **unit.params}  # a design has parameters of its own
    return generate(
        rng,
        l_min=context["l_min"],
        l_max=context["band_l_max"] or context["l_max"],
        radii=band_radii(context["radius"], context["gradient"], context["bands"]),
        porosity=context["porosity"],
        porosity_tolerance=context["porosity_tolerance"],
        spread=context["spread"],
    )


def _array(variable: Variable, network: PoreNetwork, lives: Sequence[FilterLife], n_times: int) -> np.ndarray:
    """Return one variable of a unit, with histories padded by NaN."""
    if variable.name in ("band_coordination_number", "band_surface_area"):
        return np.asarray(getattr(network, variable.name)())
    name = variable.name
    if variable.path == "history/band_blocked_pores":
        name = "band_blocked_pores_history"
    values = [np.asarray(getattr(life.diagnostics if variable in DIAGNOSTICS else life, name)) for life in lives]
    if "deposition" not in variable.dims:
        return values[0]
    if "time" not in variable.dims:
        return np.stack(values)
    padded = np.full((len(lives), n_times, *values[0].shape[1:]), np.nan)
    for row, value in zip(padded, values, strict=True):
        row[: len(value)] = value
    return padded
