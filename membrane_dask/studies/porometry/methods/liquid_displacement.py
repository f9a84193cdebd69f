"""Liquid-liquid displacement porometry: flux of a liquid that displaces another one, against pressure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from membrane_dask.io.tables.conditions import Conditions, pressure_differences, stated_value
from membrane_dask.io.tables.measured_table import MeasuredTable
from membrane_dask.io.tables.permeate import fluxes
from membrane_dask.io.tables.readings import by_membrane, row_numbers
from membrane_dask.physics.porometry.capillary_law import CapillaryLaw
from membrane_dask.physics.porometry.liquid_displacement import INTERFACIAL_TENSION_IS_MISSING
from membrane_dask.physics.porometry.liquid_displacement import liquid_displacement as evaluate_displacement
from membrane_dask.quantities import fits
from membrane_dask.studies.porometry.methods.contract import (
    BAR,
    LMH_BAR,
    NM,
    Curve,
    Evaluation,
    Readings,
    Values,
    collect_problems,
    membrane_name,
)
from membrane_dask.studies.porometry.table_settings import TableSettings

METHOD = "liquid displacement"


@dataclass(frozen=True)
class DisplacementReadings:
    """Readings of a displacement.

    Parameters
    ----------
    pressure, flux : (n,) float array
        Pa and m s-1.
    law : CapillaryLaw
        Of the interface.
    viscosity : float or None
        Of the displacing liquid, Pa s.
    path_length : tuple of float or None
        Length of the path through a pore and its standard deviation, m.
    rows : list of int
        Rows of the file.
    """

    pressure: np.ndarray
    flux: np.ndarray
    law: CapillaryLaw
    viscosity: float | None
    path_length: tuple[float, float] | None
    rows: list[int]


def read(table: MeasuredTable, settings: TableSettings, conditions: Conditions) -> list[Readings]:
    """Fluxes of each membrane."""
    pressure = pressure_differences(table, conditions)
    study = settings.interfacial_tension
    tension = stated_value(table, "interfacial tension", study[0] if study else None, "interfacial_tension")
    if tension is None:
        table.problems.append(INTERFACIAL_TENSION_IS_MISSING)
    viscosity = stated_value(table, "viscosity", settings.viscosity)
    study_angle = settings.contact_angle[0] if settings.contact_angle else None
    angle = stated_value(table, "contact angle", study_angle, "contact_angle")
    for column in table.columns:
        if column.si and (fits(column.si, "kg m-2 s-1") or (column.role == "mass")):
            table.problems.append(
                f"column {column.header!r} is by mass, and the density of the displacing liquid is not known: give "
                "volumes"
            )
    names, states = table.labels("membrane"), table.labels("state")
    density = np.full(len(table.rows), np.nan)
    columns = fluxes(table, conditions, density, zip(names, states, strict=True))
    if len(columns) > 1:
        table.problems.append("several columns of the flux: one displacement has one; ignore the others with columns")
    if pressure is None or tension is None or not columns or table.problems:
        return []
    law = collect_problems(
        table, "", lambda: CapillaryLaw(tension, study[1] / study[0] if study else 0.0, angle or 0.0)
    )
    if law is None:
        return []
    flux = columns[0][1]
    results = []
    for name, state, rows in by_membrane(table, membrane_name(table, settings)):
        used = rows[np.isfinite(pressure[rows]) & np.isfinite(flux[rows])]
        content = DisplacementReadings(
            pressure[used], flux[used], law, viscosity, settings.thickness, row_numbers(table, used)
        )
        results.append(Readings(name, state, METHOD, content))
    return results


def evaluate(readings: Readings, seed: int) -> Evaluation:
    """Distribution of the pore radius by flow, and the final permeance."""
    content: DisplacementReadings = readings.content
    path = content.path_length
    result = evaluate_displacement(
        content.pressure, content.flux, content.law, viscosity=content.viscosity, path_length=path[0] if path else None,
        path_length_error=path[1] / path[0] if path else 0.0, rows=content.rows,
    )  # fmt: skip
    values: Values = {
        "final_permeance": result.final_permeance.scaled(LMH_BAR),
        "largest_pore_radius": result.largest_pore_radius.scaled(NM),
    }
    radii: Values = {
        "number_median_radius": result.number_median_radius.scaled(NM),
        "hydraulic_radius": result.hydraulic_radius.scaled(NM),
        "flow_median_radius": result.flow_median_radius.scaled(NM),
        "log_sd": result.log_sd,
        "fit_misfit": result.fit_misfit,
        "porosity_over_path_length": result.porosity_over_path_length,
        "pore_number_density": result.pore_number_density,
    }
    distribution = result.flow_distribution
    curves = [
        Curve("permeance", "L m-2 h-1 bar-1", "pressure", result.pressure * BAR, result.permeance * LMH_BAR),
        Curve("cumulative flow", "1", "radius", distribution.radius * NM, distribution.cumulative),
    ]
    return Evaluation(values, radii, curves=curves, findings=result.findings)
