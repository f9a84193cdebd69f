"""Results of a graded study in physical units, where the study states thickness, pressure, viscosity and foulant."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import numpy as np

from membrane_dask.errors import Problem
from membrane_dask.physics.networks.filter_units import HOUR, FilterUnits
from membrane_dask.program import Dataset
from membrane_dask.schema import Coordinate, TableSchema, Variable

#: Parameters that give the units: all of them or none.
PARAMETERS = ("thickness", "pressure", "viscosity", "foulant_volume_fraction")
#: First flux, L m-2 h-1, above which, and life, s, below which a filter is implausible.
_LARGEST_FLUX, _SHORTEST_LIFE = 1e6, 1.0

#: Variable of a study at constant flux.
PRESSURE_LIMIT = Variable(
    "pressure_limit_physical", (), "f8", "bar", "transmembrane pressure that ends the life of a filter at constant flux"
)
#: Variables of the table ``graded`` in physical units.
PHYSICAL_VARIABLES = (
    Variable("filtrate_volume", ("deposition",), "f8", "L m-2", "filtrate volume per area until the end of life"),
    Variable("initial_permeate_flux", (), "f8", "L m-2 h-1", "first permeate flux, that of the clean filter"),
    Variable("service_time", ("deposition",), "f8", "h", "time until the end of life"),
    PRESSURE_LIMIT,
)
#: Physical values of the units of the dimensionless variables.
UNITS = TableSchema(
    "units",
    (
        Variable("time_unit", ("deposition",), "f8", "h", "time of a dimensionless time of 1"),
        Variable("flux_unit", (), "f8", "L m-2 h-1", "permeate flux of a dimensionless flux of 1"),
        Variable("volume_unit", (), "f8", "L m-2", "filtrate volume per area of a dimensionless throughput of 1"),
    ),
    (Coordinate("deposition", "1", "deposition coefficient"),),
    "physical values of the units of time, flux and throughput",
)


class UnitParameters(Protocol):
    """Settings that give the units."""

    thickness: float | None
    pressure: float | None
    viscosity: float | None
    foulant_volume_fraction: float | None


def unit_problems(study: UnitParameters) -> Iterator[Problem]:
    """Check that all parameters of the units are stated, or none."""
    stated = [name for name in PARAMETERS if getattr(study, name) is not None]
    if 0 < len(stated) < len(PARAMETERS):
        *required, last = (name for name in PARAMETERS if name != stated[0])
        missing = ", ".join(name for name in PARAMETERS if name not in stated)
        message = f"{stated[0]} needs {', '.join(required)} and {last}: state {missing} as well, or none of them"
        yield Problem((stated[0],), message)


def filter_units(study: UnitParameters) -> FilterUnits | None:
    """Units of the filters of a study; None where it does not state them."""
    values = [getattr(study, name) for name in PARAMETERS]
    return FilterUnits(*values) if None not in values else None


def physical_arrays(
    units: FilterUnits, arrays: Mapping[str, np.ndarray], deposition: Any, pressure_limit: float
) -> dict[str, np.ndarray]:
    """Values of :data:`PHYSICAL_VARIABLES` from the dimensionless ones of a network.

    Parameters
    ----------
    units : FilterUnits
    arrays : mapping of str to ndarray
        Dimensionless variables.
    deposition : (n,) array
        Deposition coefficients.
    pressure_limit : float
        Dimensionless limit of the transmembrane pressure, infinite where there is none.
    """
    physical = {
        "filtrate_volume": units.filtrate_volume(arrays["throughput"]),
        "initial_permeate_flux": units.permeate_flux(
            arrays["initial_flux"] * np.ravel(arrays["initial_transmembrane_pressure"])[0]
        ),
        "service_time": units.hours(arrays["lifetime"], np.asarray(deposition)),
    }
    if math.isfinite(pressure_limit):
        physical[PRESSURE_LIMIT.name] = np.asarray(units.bar(pressure_limit))
    return physical


def units_dataset(units: FilterUnits, deposition: tuple[float, ...], table: Any) -> Dataset:
    """Table ``units``, with the findings on the finished table ``graded``."""
    coefficients = np.array(deposition)
    values = {
        "time_unit": units.hours(1.0, coefficients),
        "flux_unit": np.asarray(units.permeate_flux(1.0)),
        "volume_unit": np.asarray(units.filtrate_volume(1.0)),
    }
    findings = _implausible_filters(units, table)
    return Dataset(UNITS, values, (), {"deposition": coefficients}, {"summary": findings} if findings else {})


def _implausible_filters(units: FilterUnits, table: Any) -> list[str]:
    """Sentences on filters that no bench has, with the parameter that decides it."""
    findings = []
    flux = float(table["initial_permeate_flux"].max())
    if flux > _LARGEST_FLUX:
        findings.append(
            f"implausible: the clean filter has a permeate flux of {flux:.3g} L m-2 h-1, more than {_LARGEST_FLUX:g}; "
            f"it is proportional to thickness ({units.thickness * 1e6:g} um) times pressure "
            f"({units.pressure / 1e5:g} bar) over viscosity ({units.viscosity * 1e3:g} mPa s)"
        )
    life = float(table["service_time"].min()) * HOUR
    if life < _SHORTEST_LIFE:
        findings.append(
            f"implausible: a filter is fouled after {life:.3g} s, less than {_SHORTEST_LIFE:g} s; this time is "
            f"proportional to viscosity over pressure, deposition coefficient and foulant_volume_fraction "
            f"({units.foulant_volume_fraction:g})"
        )
    return findings
