"""Rejection of solutes of several sizes."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from membrane_dask.io.tables.conditions import Conditions, stated_value
from membrane_dask.io.tables.headers import SOLUTES
from membrane_dask.io.tables.measured_table import MeasuredTable
from membrane_dask.io.tables.readings import by_membrane, row_numbers
from membrane_dask.io.tables.roles import folded
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.porometry.rejection import RejectionReadings, fit_rejection, sieving_of_concentrations
from membrane_dask.physics.porometry.solutes import StokesRelation, mass_transfer_coefficient, stokes_relation
from membrane_dask.quantities import convert, split_quantity
from membrane_dask.studies.porometry.methods.contract import (
    NM,
    Curve,
    Evaluation,
    Readings,
    Values,
    collect_problems,
    membrane_name,
)
from membrane_dask.studies.porometry.methods.liquids import stated_text
from membrane_dask.studies.porometry.table_settings import TableSettings

METHOD = "rejection"


@dataclass(frozen=True)
class _Content:
    readings: RejectionReadings
    law: str
    log_sd: tuple[float, float] | None


def read(table: MeasuredTable, settings: TableSettings, conditions: Conditions) -> list[Readings]:
    """Sieving coefficients and sizes of the solutes of each membrane."""
    masses = table.column("molar mass")
    radii = table.column("solute radius")
    if masses is None and radii is None:
        table.problems.append(
            "there is no column of the size of the solutes, such as 'molar mass [kDa]' or 'Stokes radius [nm]'"
        )
    molar_mass = table.numbers(masses, above=0.0) if masses else None
    radius = table.numbers(radii, above=0.0) if radii else None
    relation = _relation(table, settings) if radius is None and molar_mass is not None else None
    if radius is None and relation is not None and molar_mass is not None:
        radius = np.asarray(relation.radius(molar_mass))
    sieving, censored = _sieving(table)
    flux = stated_value(table, "flux", settings.flux)
    if sieving is None or radius is None or table.problems:
        return []
    ratio = _flux_ratio(table, settings, flux, radius, relation)
    if table.problems:
        return []
    solutes = table.labels("solute")
    results = []
    for name, state, rows in by_membrane(table, membrane_name(table, settings)):
        used = rows[np.isfinite(radius[rows]) & np.isfinite(sieving[rows])]
        readings = collect_problems(
            table, name, lambda used=used: RejectionReadings(  # type: ignore[misc]
                radius[used], sieving[used], censored[used] if censored.any() else None,
                None if molar_mass is None else molar_mass[used], relation,
                None if ratio is None else ratio[used], len({solutes[k] for k in used}) > 2, row_numbers(table, used),
            ),
        )  # fmt: skip
        if readings is not None:
            content = _Content(readings, settings.law or "dechadilok-deen", settings.log_sd)
            results.append(Readings(name, state, METHOD, content))
    return results


def _relation(table: MeasuredTable, settings: TableSettings) -> StokesRelation | None:
    """Stokes radius of a molar mass in g/mol; None with a problem."""
    if settings.stokes is not None:
        match = re.fullmatch(r"\s*([\d.eE+-]+\s*[A-Za-zµ]+)\s*[*·x]\s*M\s*(?:\^|\*\*)\s*([\d.]+)\s*", settings.stokes)
        try:
            if match is None:
                raise ValueError
            (number,), unit = split_quantity(match[1])
            return StokesRelation(convert(number, unit, "m"), float(match[2]))
        except ValueError:
            table.problems.append(
                f"stokes: a relation such as '0.033 nm * M^0.463' with M in g/mol is needed (got {settings.stokes!r})"
            )
            return None
    column = table.column("molar mass")
    named = SOLUTES.search(folded(column.header)) if column else None
    solute = stated_text(table, "solute", settings.solute) or (named[1] if named else None)
    labels = {text for text in table.labels("solute") if text}
    if solute is None and len(labels) == 1:
        solute = labels.pop()
    try:
        return stokes_relation(solute)
    except PhysicsError as error:
        table.problems.append(str(error))
        return None


def _sieving(table: MeasuredTable) -> tuple[np.ndarray | None, np.ndarray]:
    """Observed sieving coefficients, and whether each is a bound."""
    feed, permeate, rejection = (table.column(r) for r in ("feed concentration", "permeate concentration", "rejection"))
    nothing = np.zeros(len(table.rows), bool)
    stated = _fractions(table) if rejection else None
    if feed is None or permeate is None:
        if stated is None:
            table.problems.append(
                "there is no column of the rejection, such as 'rejection [%]', nor of both concentrations, such as "
                "'feed [mg/L]' and 'permeate [mg/L]'"
            )
            return None, nothing
        return 1 - stated, nothing
    if feed.unit.text != permeate.unit.text and (not feed.si or feed.si != permeate.si):
        table.problems.append(f"columns {feed.header!r} and {permeate.header!r} have different units")
        return None, nothing
    feed_values, permeate_values = table.numbers(feed), table.numbers(permeate)
    finite = np.flatnonzero(np.isfinite(feed_values) & np.isfinite(permeate_values))
    sieving = np.full(len(table.rows), np.nan)
    result = collect_problems(
        table, "", lambda: sieving_of_concentrations(
            feed_values[finite], permeate_values[finite], None if stated is None else stated[finite],
            row_numbers(table, finite),
        ),
    )  # fmt: skip
    if result is None:
        return None, nothing
    sieving[finite] = result
    return sieving, table.censored(permeate) if table.options.censored == "use" else nothing


def _fractions(table: MeasuredTable) -> np.ndarray:
    """Rejections as fractions; without a unit they are percent where any is above 1.5."""
    column = table.column("rejection")
    assert column is not None
    column = table.with_unit_of_cells(column)
    values = table.numbers(column)
    largest = float(np.nanmax(values, initial=-np.inf))
    if column.unit.text.strip() in ("", "-") and largest > 1.5:
        table.findings.append(f"{column.header}: taken as percent")
        return values * 0.01
    if "%" in column.unit.text and 0 < largest <= 0.01:
        table.problems.append(
            f"column {column.header!r}: none is above 1 %: fractions, which a workbook shows as percent? columns: "
            f"{{{column.header!r}: 'rejection [1]'}}"
        )
    return values


def _flux_ratio(
    table: MeasuredTable, settings: TableSettings, flux: float | None, radius: np.ndarray,
    relation: StokesRelation | None,
) -> np.ndarray | None:  # fmt: skip
    """Flux over mass transfer coefficient of each solute; None without them."""
    transfer = settings.mass_transfer
    if transfer is None:
        return None
    if flux is None:
        table.problems.append("mass_transfer needs the flux: flux: 54 L/m2/h")
        return None
    reference = _reference_radius(table, transfer.at, relation)
    if reference is None:
        return None
    coefficient = mass_transfer_coefficient(radius, transfer.value, reference, transfer.power)
    return np.asarray(flux / coefficient)


def _reference_radius(table: MeasuredTable, text: str, relation: StokesRelation | None) -> float | None:
    """Stokes radius of the solute of a mass transfer coefficient, m."""
    problem = f"mass_transfer.at: a molar mass such as 10.5 kDa, or a Stokes radius such as 2.4 nm (got {text!r})"
    try:
        (number,), unit = split_quantity(text)
    except ValueError:
        table.problems.append(problem)
        return None
    factors = {"kda": 1.0, "da": 1e-3, "g/mol": 1e-3, "kg/mol": 1.0}
    if unit.strip().lower() in factors:
        if relation is None:
            table.problems.append(f"{problem}; the table has Stokes radii only: give that of the solute")
            return None
        return float(relation.radius(number * factors[unit.strip().lower()]))
    try:
        return convert(number, unit, "m")
    except Exception:  # not a length
        table.problems.append(problem)
        return None


def evaluate(readings: Readings, seed: int) -> Evaluation:
    """Radii by the law of sieving, and the cut-off."""
    content: _Content = readings.content
    result = fit_rejection(content.readings, content.law, content.log_sd)
    values: Values = {
        "rejection_radius_90": result.rejection_radius_90.scaled(NM),
        "molecular_weight_cut_off": result.molecular_weight_cut_off,
        "interpolated_cut_off": result.interpolated_cut_off,
        "hydraulic_radius_log_error": result.hydraulic_radius_log_error,
    }
    radii: Values = {
        "number_median_radius": result.number_median_radius.scaled(NM),
        "hydraulic_radius": result.hydraulic_radius.scaled(NM),
        "flow_median_radius": result.flow_median_radius.scaled(NM),
        "log_sd": result.log_standard_deviation,
        "fit_misfit": result.misfit,
    }
    solute_radius = np.asarray(content.readings.stokes_radii) * NM
    curve = Curve(
        "rejection", "1", "solute_radius", solute_radius, 1 - np.asarray(content.readings.sieving),
        1 - result.fitted_sieving,
    )  # fmt: skip
    return Evaluation(values, radii, curves=[curve], findings=result.findings)
