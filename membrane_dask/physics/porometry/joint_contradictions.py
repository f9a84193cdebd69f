"""Whether tables and priors of one membrane contradict one another."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np

from membrane_dask.number_text import quantity_text
from membrane_dask.physics.distributions import f_survival
from membrane_dask.physics.elementary import exp, log
from membrane_dask.physics.porometry.estimates import NORMAL_QUANTILE, Estimate
from membrane_dask.physics.porometry.joint_sample import PRIOR_QUANTITIES, JointSample, as_density

#: Probability of a misfit of data that agree, below which they contradict.
_SIGNIFICANCE = 0.01
#: Degrees of freedom of a denominator that counts as known.
_MANY_DEGREES = 1e6
#: Directions of what is determined, in ln r_h, s, ln(eps r_h^2 / y) and ln y; the second entries of a radius differ.
_DIRECTIONS = {
    "radius": (1.0, 1.0, 0.0, 0.0),
    "log_sd": (0.0, 1.0, 0.0, 0.0),
    "gas_radius": (1.0, 0.5, 0.0, 0.0),
    "permeability": (0.0, 0.0, 1.0, 0.0),
    "hydraulic_radius": (1.0, 0.0, 0.0, 0.0),
    "thickness": (0.0, 0.0, 0.0, 1.0),
    "porosity": (-2.0, 0.0, 1.0, 1.0),
    "pore_number": (-4.0, 4.0, 1.0, 1.0),
}
#: Quantities that several methods determine: name, unit, factor from SI units, and what a difference may come from.
_SHARED = {
    "permeability": ("eps r_h^2 / y", "m", 1.0, "an area or a flow in another unit, swelling, compaction or a leak"),
    "flow_median_radius": ("the flow median radius", "nm", 1e9, "the tension, the wetting or the unit of the pressure"),
    "gas_radius": ("the radius of gas flow", "nm", 1e9, "the tension, the wetting or the unit of the pressure"),
    "hydraulic_radius": ("the hydraulic radius", "nm", 1e9, "the tension, the wetting, or a radius of another kind"),
    "log_sd": ("the log-sd", "", 1.0, "a distribution that is not log-normal"),
    "porosity": ("the porosity", "", 1.0, "the thickness or the area"),
    "thickness": ("the thickness", "um", 1e6, "the porosity or the area"),
    "porosity_over_path_length": ("eps / y", "m-1", 1.0, "the area"),
}


def contradictions(
    joint: JointSample, alone: Mapping[str, JointSample], estimates: Mapping[str, Mapping[str, Estimate]]
) -> list[str]:
    """Sentences on tables and priors that no pore structure explains together.

    Parameters
    ----------
    joint : JointSample
        Of all tables and priors.
    alone : mapping of str to JointSample
        Of each table without the priors, by its label.
    estimates : mapping of str to mapping of str to Estimate
        Of each table alone, of each prior (``"prior of the thickness"``), and of all together (``"joint"``).

    Returns
    -------
    list of str
        Empty if they agree: the 95 % interval of every quantity of a table overlaps the joint one, and the misfit of
        all together does not exceed those of each alone by more than the 99 % quantile of chi-squared.
    """
    excess = _excess_misfits(joint, alone)
    redundant = _redundant(joint)
    total = sum(excess.values())
    misfits = redundant > 0 and f_survival(total / redundant, redundant, _MANY_DEGREES) < _SIGNIFICANCE
    together = estimates["joint"]
    misses = [
        (source, quantity)
        for source, own in estimates.items()
        for quantity in own
        if quantity in together and not _overlap(own[quantity], together[quantity])
    ]
    if not misfits and not misses:
        return []
    farthest = _farthest_pair(estimates)
    if farthest is not None:
        return [_pair_sentence(*farthest, estimates)]
    sources = sorted({source for source, _ in misses} | {name for name, value in excess.items() if value > 1})
    return [
        f"contradiction of {', '.join(sources)}: no pore structure explains all of them; their misfit together exceeds "
        f"those of each alone by {total:.3g} (chi-squared, {redundant} degrees of freedom)"
    ]


def prior_estimates(sample: JointSample) -> dict[str, dict[str, Estimate]]:
    """Median and 95 % interval of each prior, as of a table."""
    result = {}
    for name, prior in sample.evidence.priors.items():
        low, middle, high = exp(as_density(prior).log_quantiles(np.array([0.025, 0.5, 0.975]))).tolist()
        quantity = PRIOR_QUANTITIES[name]
        result[f"prior of the {quantity.replace('_', ' ')}"] = {quantity: Estimate(middle, low, high)}
    return result


def _excess_misfits(joint: JointSample, alone: Mapping[str, JointSample]) -> dict[str, float]:
    """Twice the logarithm of each term's own maximum over its value at the joint maximum.

    Terms of Student's form are scaled by degrees of freedom over readings, which gives them the 99 % quantile of
    chi-squared that normal errors of known size have.
    """
    structure = joint.evidence.structures(joint.best)
    excess = {"scale errors": -2 * float(joint.evidence.log_scale_prior(structure)[0])}
    for table in joint.evidence.tables:
        own = alone[table.label]
        largest = float(table.log_likelihood(own.evidence.structures(own.best))[0])
        difference = max(largest - float(table.log_likelihood(structure)[0]), 0.0)
        degrees = max(table.degrees - len(table.determines), 1.0)
        excess[table.label] = 2 * difference * degrees / table.degrees
    logarithms = joint.evidence.logarithms(structure)
    for name, prior in joint.evidence.priors.items():
        density = as_density(prior)
        if density.kind == "normal":
            value = float(exp(logarithms[PRIOR_QUANTITIES[name]])[0])
            excess[f"prior of the {PRIOR_QUANTITIES[name].replace('_', ' ')}"] = float(
                np.square((value - density.first) / density.second)
            )
    return excess


def _redundant(joint: JointSample) -> int:
    """Number of determined quantities less that of independent ones."""
    rows = [_DIRECTIONS[name] for table in joint.evidence.tables for name in sorted(table.determines)]
    rows += [_DIRECTIONS[PRIOR_QUANTITIES[name]] for name in joint.evidence.priors]
    return len(rows) - _rank(np.array(rows))


def _rank(rows: np.ndarray) -> int:
    """Rank of a small matrix by elimination with pivots."""
    rank = 0
    for column in range(rows.shape[1]):
        if rank == len(rows):
            break
        pivot = rank + int(np.abs(rows[rank:, column]).argmax())
        if np.abs(rows[pivot, column]) < 1e-9:
            continue
        rows[[rank, pivot]] = rows[[pivot, rank]]
        below = rows[rank + 1 :, column] / rows[rank, column]
        rows[rank + 1 :] = rows[rank + 1 :] - below[:, None] * rows[rank]
        rank += 1
    return rank


def _overlap(first: Estimate, second: Estimate) -> bool:
    return first.low <= second.high and second.low <= first.high


def _distance(first: Estimate, second: Estimate) -> float:
    """Difference of the logarithms of two values over its standard deviation, by the ends that face each other."""
    if first.value > second.value:
        first, second = second, first
    half_widths = log(np.array([first.high / first.value, second.value / second.low]))
    difference = float(log(second.value / first.value))
    return difference * NORMAL_QUANTILE / max(float(np.sqrt(np.square(half_widths).sum())), 1e-12)


def _farthest_pair(estimates: Mapping[str, Mapping[str, Estimate]]) -> tuple[str, str, str] | None:
    """Pair of sources and the quantity by which they differ most, if by more than the 95 % interval."""
    sources = [source for source in estimates if source != "joint"]
    distances = {
        (first, second, quantity): _distance(estimates[first][quantity], estimates[second][quantity])
        for first, second in itertools.combinations(sources, 2)
        for quantity in _SHARED
        if quantity in estimates[first] and quantity in estimates[second]
    }
    if not distances:
        return None
    farthest = max(distances, key=lambda key: distances[key])
    return farthest if distances[farthest] > NORMAL_QUANTILE else None


def _pair_sentence(first: str, second: str, quantity: str, estimates: Mapping[str, Mapping[str, Estimate]]) -> str:
    name, unit, scale, hint = _SHARED[quantity]
    values = [estimates[source][quantity].scaled(scale) for source in (first, second)]
    texts = [
        f"{quantity_text(value.value, unit, value.low, value.high)} by {source}"
        for value, source in zip(values, (first, second), strict=True)
    ]
    ratio = max(values[0].value / values[1].value, values[1].value / values[0].value)
    return (
        f"contradiction of {first} and {second}: {name} is {texts[0]} and {texts[1]}, a factor of {ratio:.3g}; "
        f"it may come from {hint}"
    )
