"""Settings of a study with units, and their dimensionless values."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from membrane_dask.errors import Problem
from membrane_dask.physics.networks.filter_units import FilterUnits
from membrane_dask.quantities import Quantity
from membrane_dask.studies.graded.physical_units import PARAMETERS, filter_units

if TYPE_CHECKING:
    from membrane_dask.studies.graded.config import GradedStudy

#: Settings that may have a unit.
_FIELDS = (
    ("operation", "flux"),
    ("operation", "pressure_limit"),
    ("end_of_life", "time"),
    ("sieving", "particle_radius"),
)


def _quantities(study: GradedStudy) -> dict[tuple[str, str], Quantity]:
    """Settings that are stated with a unit."""
    values = {where: getattr(getattr(study, where[0]), where[1]) for where in _FIELDS}
    return {where: value for where, value in values.items() if isinstance(value, Quantity)}


def reference_deposition(study: GradedStudy) -> float:
    """Deposition coefficient that gives the unit of time: the mean of several species."""
    if study.species:
        return math.fsum(one.deposition * one.fraction for one in study.species)
    return float(study.deposition[0])


def quantity_problems(study: GradedStudy) -> Iterator[Problem]:
    """Check that the study has the units of the quantities that it states."""
    quantities = _quantities(study)
    if filter_units(study) is None:
        missing = ", ".join(name for name in PARAMETERS if getattr(study, name) is None)
        for where, value in quantities.items():
            message = f"a quantity with a unit needs {missing}; or state a dimensionless number (got {value})"
            yield Problem(where, message)
    time = quantities.get(("end_of_life", "time"))
    if time is not None and len(study.deposition) > 1 and not study.species:
        message = f"a time with a unit needs a single deposition coefficient, on which the unit depends (got {time})"
        yield Problem(("end_of_life", "time"), message)


@dataclass(frozen=True)
class LawNumbers:
    """Dimensionless values of the settings that may have units; None where they are not stated.

    Parameters
    ----------
    flux : float or "initial", optional
        Constant flux.
    pressure_limit : float, optional
        Transmembrane pressure that ends a life.
    time : float, optional
        Time that ends a life; one with a unit is rounded to whole time steps.
    particle_radius : float, optional
        Mean radius of the particles.
    """

    flux: float | Literal["initial"] | None
    pressure_limit: float | None
    time: float | None
    particle_radius: float | None


def dimensionless(study: GradedStudy) -> LawNumbers:
    """Numbers of a study in which :func:`quantity_problems` finds no problem."""
    values: dict[str, Any] = {name: getattr(getattr(study, section), name) for section, name in _FIELDS}
    units = filter_units(study)
    for _, name in _quantities(study):
        assert units is not None
        values[name] = values[name].value / _unit(name, units, reference_deposition(study))
        if name == "time":
            values[name] = round(values[name] / study.time_step) * study.time_step
    return LawNumbers(**values)


def quantities_as_numbers(study: GradedStudy) -> dict[str, float]:
    """Dimensionless values of the settings that are stated with a unit, by their dotted names."""
    numbers = dimensionless(study)
    return {f"{section}.{name}": getattr(numbers, name) for section, name in _quantities(study)}


def _unit(name: str, units: FilterUnits, deposition: float) -> float:
    """Value of a dimensionless 1 in the unit in which a setting is held."""
    scales = {
        "flux": units.permeate_flux(1.0),
        "pressure_limit": units.bar(1.0),
        "time": units.hours(1.0, deposition),
        "particle_radius": units.thickness * 1e6,
    }
    return float(scales[name])
