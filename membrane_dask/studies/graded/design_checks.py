"""Checks of a study that searches for the best design."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from membrane_dask.errors import Problem, Where
from membrane_dask.studies.graded.closing_time import LIFETIMES, REASON, ends_with_first_band
from membrane_dask.studies.graded.design_metrics import (
    BETTER_SMALL,
    FRACTIONS,
    ends_at_threshold,
    species_problem,
    split_metric,
)
from membrane_dask.studies.graded.law_settings import species_names
from membrane_dask.studies.graded.law_variables import SIEVING_VARIABLES
from membrane_dask.studies.graded.physical_units import PARAMETERS, PHYSICAL_VARIABLES, filter_units

if TYPE_CHECKING:
    from membrane_dask.studies.graded.config import GradedStudy

#: Fewest networks of a design, for its standard errors.
MIN_NETWORKS = 4


def design_inconsistencies(study: GradedStudy) -> Iterator[Problem]:
    """Check that keys of a study agree with the parameters of its search.

    Parameters
    ----------
    study : GradedStudy
        Study whose fields are each valid.

    Yields
    ------
    Problem
    """
    parameters = study.optimum.parameters
    assert parameters is not None
    default = type(study).model_fields
    for name in parameters.names:
        if name != "pressure" and getattr(study, name) != default[name].default:
            yield Problem((name,), f"is a parameter of the search, optimum.parameters.{name}; leave it out here")
    if parameters.radius and study.gradient != default["gradient"].default and study.gradient != (0.0,):
        yield Problem(("gradient",), "the radius of every band is a parameter of the search; leave the gradient out")
    if parameters.gradient and study.bands == 1:
        message = "has no effect with one band; leave it out, or use radius (bands is 1)"
        yield Problem(("optimum", "parameters", "gradient"), message)
    yield from _metrics(study)
    if parameters.pressure:
        yield from _pressure(study)
    if parameters.l_max and study.band_l_max:
        yield Problem(("band_l_max",), "l_max is a parameter of the search; leave the lengths of the bands out")
    for name in ("l_max", "gradient", "deposition"):
        is_free = name in parameters.names or (name == "gradient" and parameters.radius is not None)
        if not is_free and len(getattr(study, name)) > 1:
            count = len(getattr(study, name))
            message = f"a search for the best design needs a single value, or its range in optimum.parameters.{name}"
            if name == "deposition":
                message = "a search for the best design needs a single value"
            yield Problem((name,), f"{message} (got {count} values)")
    if study.realizations < MIN_NETWORKS:
        message = (
            f"a search for the best design needs at least {MIN_NETWORKS} networks of each (got {study.realizations})"
        )
        yield Problem(("realizations",), message)
    yield from _ranges(study)


def _pressure(study: GradedStudy) -> Iterator[Problem]:
    """Check that the pressure decides something: a dimensionless flow at constant pressure does not depend on it."""
    field = ("optimum", "parameters", "pressure")
    if filter_units(study) is None:
        message = (
            f"has an effect in physical units only, where deposition holds at the pressure of the study; state "
            f"{', '.join(PARAMETERS)}"
        )
        yield Problem(field, message)
    if study.operation.mode == "flux":
        yield Problem(field, "has no effect at constant flux, where the pressure is a result; limit it by a constraint")
    if study.species:
        yield Problem(field, "is not defined with several species; use deposition")


def _metrics(study: GradedStudy) -> Iterator[Problem]:
    """Check that the study has all metrics of its search, and that the objective depends on the parameters."""
    settings = study.optimum
    assert settings.parameters is not None
    metrics = settings.front or (settings.metric,)
    field = "front" if settings.front else "metric"
    used: dict[str, Where] = {limit.metric: ("optimum", "constraints", i) for i, limit in enumerate(settings.limits)}
    used |= dict.fromkeys(metrics, ("optimum", field))
    absent = {v.name: "physical units: " + ", ".join(PARAMETERS) for v in PHYSICAL_VARIABLES}
    absent = {} if filter_units(study) else absent
    if study.operation.mode == "flux":
        absent |= {name: "operation.mode: pressure" for name in used if ends_at_threshold(name)}
    absent |= {} if study.sieving.rate > 0 else {v.name: "sieving.rate > 0" for v in SIEVING_VARIABLES}
    species = species_names(study.species)
    for name, where in used.items():
        if name in absent:
            yield Problem(where, f"{name} needs {absent[name]}")
        if message := species_problem(name, species):
            yield Problem(where, message)
    yield from _directions(study)
    yield from _limits(study)
    at_constant_pressure = study.operation.mode == "pressure"
    if at_constant_pressure and "initial_transmembrane_pressure" in metrics:
        message = "initial_transmembrane_pressure is 1 for all designs at constant pressure; set operation.mode: flux"
        yield Problem(("optimum", field), message)
    if study.operation.flux == "initial" and "initial_transmembrane_pressure" in metrics:
        message = "initial_transmembrane_pressure is 1 for all designs with operation.flux: initial"
        yield Problem(("optimum", field), message)
    if study.deposition_law == "conserving" and "foulant_balance" in metrics:
        yield Problem(("optimum", field), "foulant_balance is 1 for all designs with deposition_law: conserving")
    lifetimes = [name for name in metrics if name in LIFETIMES]
    if lifetimes and ends_with_first_band(study) and not {"radius", "gradient"} & set(settings.parameters.names):
        message = f"{lifetimes[0]} is the same for all designs: {REASON}; add radius or gradient to the parameters"
        yield Problem(("optimum", field), message)


def _directions(study: GradedStudy) -> Iterator[Problem]:
    """Check that no metric of which less is better is maximized unless the study says so."""
    settings = study.optimum
    if settings.front:
        for i, name in enumerate(settings.front):
            if name in BETTER_SMALL:
                message = "less of it is better, and a front has two metrics that are both larger where better"
                if name == "foulant_concentration":
                    message += "; use log_reduction_value"
                yield Problem(("optimum", "front", i), f"{message} (got {name!r})")
    elif settings.metric in BETTER_SMALL and "direction" not in settings.model_fields_set:
        message = f"less {settings.metric} is better: state direction: minimize, or maximize for the largest one"
        yield Problem(("optimum", "direction"), f"{message} (got the default, maximize)")


def _limits(study: GradedStudy) -> Iterator[Problem]:
    """Check that limits of metrics are values that these can have, and that levels of a front meet the constraints."""
    settings = study.optimum
    for i, limit in enumerate(settings.limits):
        low, high = _metric_range(limit.metric, study)
        if low <= limit.limit <= high:
            continue
        always = (limit.limit > high) == (limit.sign < 0)
        message = f"is met by {'all' if always else 'no'} designs: {limit.metric} lies between {low:g} and {high:g}"
        yield Problem(("optimum", "constraints", i), f"{message} (got {str(limit)!r})")
    for i, level in enumerate(settings.front_levels or ()):
        assert settings.front is not None
        name = settings.front[1]
        low, high = _metric_range(name, study)
        where = ("optimum", "front_levels", i)
        if not low <= level <= high:
            yield Problem(where, f"must be between {low:g} and {high:g}, as {name} is (got {level:g})")
        for limit in settings.limits:
            if limit.metric == name and not limit.is_met(level):
                yield Problem(where, f"contradicts the constraint '{limit}' (got {level:g})")


def _metric_range(name: str, study: GradedStudy) -> tuple[float, float]:
    """Smallest and largest value that a metric can have."""
    variable, species = split_metric(name)
    # Eroded foulant is that of the first species, of which more may leave than was fed.
    is_fraction = variable in FRACTIONS and not (species and study.erosion.rate > 0)
    return 0.0, 1.0 if is_fraction else math.inf


def _ranges(study: GradedStudy) -> Iterator[Problem]:
    """Check the ends of the ranges, and that the time step suits the narrowest radii."""
    parameters = study.optimum.parameters
    assert parameters is not None
    where = ("optimum", "parameters")
    if parameters.l_max:
        low, high = parameters.l_max.range
        limit = min(1 / study.bands, 0.5)
        if low <= study.l_min:
            yield Problem((*where, "l_max", "range", 0), f"must be greater than l_min = {study.l_min} (got {low})")
        if high > limit:
            message = f"must be at most {limit:.6g}, so that a pore crosses at most one band boundary (got {high})"
            yield Problem((*where, "l_max", "range", 1), message)
    radii = study.radius * study.bands if len(study.radius) == 1 else study.radius
    center = (study.bands - 1) / 2
    field: tuple[str, ...] = ("gradient",)
    if parameters.radius:
        if parameters.radius.range[1] > 0.1:
            message = f"must be at most 0.1 (got {parameters.radius.range[1]})"
            yield Problem((*where, "radius", "range", 1), message)
        narrowest, field = parameters.radius.range[0], (*where, "radius", "range", "0")
    else:
        gradients = study.gradient
        if parameters.gradient:
            gradients, field = parameters.gradient.range, (*where, "gradient", "range")
        narrowest = min(r + s * (center - k) for s in gradients for k, r in enumerate(radii))
        if narrowest <= 0:
            yield Problem(field, f"leaves a band a radius of {narrowest:.6g}; it must be greater than 0")
            return
    fastest = max(study.band_deposition or (1.0,))
    if narrowest < 2 * study.time_step * fastest:
        yield Problem(
            ("time_step",),
            f"too large: the narrowest pores, of radius {narrowest:.3g}, must take at least two steps to close; at "
            f"most {narrowest / 2 / fastest:.3g} (got {study.time_step})",
        )
