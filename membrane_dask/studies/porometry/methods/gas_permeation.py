"""Gas permeation: permeance of a gas against its mean pressure."""

from __future__ import annotations

import numpy as np

from membrane_dask.io.tables.columns import Column
from membrane_dask.io.tables.conditions import Conditions, areas, temperatures
from membrane_dask.io.tables.measured_table import MeasuredTable
from membrane_dask.io.tables.readings import by_membrane, row_numbers
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.porometry.dusty_gas import permeance_ratio_regime, permeances_of_flows
from membrane_dask.physics.porometry.gas_permeation import GasReadings, fit_gas_permeation
from membrane_dask.physics.porometry.gases import ATMOSPHERE, Gas
from membrane_dask.studies.porometry.methods.contract import (
    BAR,
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

METHOD = "gas permeation"


def read(table: MeasuredTable, settings: TableSettings, conditions: Conditions) -> list[Readings]:
    """Permeances of each membrane and gas."""
    kelvin = temperatures(table, conditions, None)
    if np.isnan(kelvin).any():
        table.problems.append("the temperature of the gas is needed: temperature: 25 degC")
    stated = stated_text(table, "gas", settings.gas) or _fluid(table)
    gases = table.labels("gas", stated or "")
    if not all(gases):
        table.problems.append("the gas is needed: gas: N2, or a column 'gas'")
    pressure, permeance = _permeances(table, settings, conditions, kelvin)
    if pressure is None or permeance is None or table.problems:
        return []
    results = []
    for name, state, rows in by_membrane(table, membrane_name(table, settings)):
        used = rows[np.isfinite(pressure[rows]) & np.isfinite(permeance[rows])]
        if len({gases[k] for k in used}) > 1:
            table.problems.append(
                f"membrane {name or 'of the table'} has several gases: evaluate one at a time, or name them as states"
            )
            continue
        content = collect_problems(
            table, name, lambda used=used: GasReadings(  # type: ignore[misc]
                pressure[used], permeance[used], Gas.named(gases[used[0]]), kelvin[used], row_numbers(table, used)
            ),
        )  # fmt: skip
        if content is not None:
            results.append(Readings(name, state, METHOD, content))
    return results


def _fluid(table: MeasuredTable) -> str | None:
    stated = table.header_block.stated.get("liquid")  # `FLUID USED: AIR`
    return str(stated.value) if stated is not None else None


def _permeances(
    table: MeasuredTable, settings: TableSettings, conditions: Conditions, kelvin: np.ndarray
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Mean absolute pressures and molar permeances of all rows; None with a problem."""
    permeance = table.column("permeability")
    mean = table.column("mean pressure")
    if permeance is not None:
        if permeance.si != "mol m-2 s-1 Pa-1":
            table.problems.append(
                f"column {permeance.header!r}: the permeance of a gas is needed in mol m-2 s-1 Pa-1 or GPU"
            )
            return None, None
        if mean is None:
            table.problems.append(
                "permeances without pressures give no radius: a column of the mean pressure is needed, such as "
                f"'mean pressure [bar]'{_regime(table, permeance, kelvin)}"
            )
            return None, None
        return _mean_pressures(table, mean), table.numbers(permeance)
    flow = table.column("flow")
    if flow is None:
        table.problems.append("there is no column of the permeance or of the flow, such as 'flow [mL min-1]'")
        return None, None
    area = areas(table, conditions)
    if area is None:
        table.problems.append(f"column {flow.header!r} needs the membrane's area; for example area: 34 cm2")
    at = settings.flow_at
    if at is None and not flow.unit.standard:
        table.problems.append(
            f"column {flow.header!r}: at which temperature and pressure are volumes counted? "
            "flow_at: {temperature: 25 degC, pressure: 1.01325 bar}, or temperature: row"
        )
    feed, permeate = _both_sides(table, conditions)
    if area is None or feed is None or permeate is None or table.problems:
        return None, None
    counted = (
        (273.15, ATMOSPHERE) if at is None else (kelvin if at.temperature == "row" else at.temperature, at.pressure)
    )
    result = collect_problems(
        table, "", lambda: permeances_of_flows(
            table.numbers(flow), counted[0], counted[1], feed, permeate, area, row_numbers(table, np.arange(len(feed)))
        ),
    )  # fmt: skip
    return result if result is not None else (None, None)


def _regime(table: MeasuredTable, column: Column, kelvin: np.ndarray) -> str:
    """What the permeances of two gases say of the regime of the flow; empty for others."""
    gases, values = np.array(table.labels("gas")), table.numbers(column)
    names = [name for name in dict.fromkeys(gases.tolist()) if name]
    if len(names) != 2:
        return ""
    try:
        first, second = sorted((Gas.named(name) for name in names), key=lambda gas: gas.molar_mass)
        light, heavy = sorted(names, key=lambda name: Gas.named(name).molar_mass)
        means = [float(np.nanmean(values[gases == name])) for name in (light, heavy)]
        _, finding = permeance_ratio_regime(means[0], means[1], first, second, float(kelvin.mean()))
    except PhysicsError:
        return ""
    return f". {finding}"


def _mean_pressures(table: MeasuredTable, column: Column) -> np.ndarray | None:
    """Absolute mean pressures: a mean of gauge pressures has the atmosphere added."""
    values = table.numbers(column)
    if column.unit.reference == "gauge":
        table.findings.append(f"{column.header}: the atmosphere of 1.01325 bar is added")
        return values + ATMOSPHERE
    if column.unit.reference == "" and not table.header_block.absolute:
        table.findings.append(f"{column.header}: taken as absolute, as a mean of both sides")
    return values


def _both_sides(table: MeasuredTable, conditions: Conditions) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Absolute pressures of feed and permeate."""
    feed, permeate = table.column("feed pressure"), table.column("permeate pressure")
    if feed is None:
        difference = table.column("pressure")
        if difference is None:
            table.problems.append("there is no column of the pressure, such as 'feed pressure [bar(a)]'")
            return None, None
        back = conditions.permeate_pressure or ATMOSPHERE
        values = table.numbers(difference)
        if difference.unit.reference == "absolute":
            return values, np.full(len(values), back)
        table.findings.append(f"{difference.header}: difference to the permeate at {back * 1e-5:g} bar absolute")
        return values + back, np.full(len(values), back)
    sides = []
    for column in (feed, permeate):
        if column is None:
            sides.append(np.full(len(table.rows), conditions.permeate_pressure or ATMOSPHERE))
            if conditions.permeate_pressure is None:
                table.findings.append("permeate at the atmosphere, 1.01325 bar absolute")
            continue
        values = table.numbers(column)
        if column.unit.reference == "gauge":
            values = values + ATMOSPHERE
        elif column.unit.reference == "" and not table.header_block.absolute:
            unit = column.unit.text
            table.problems.append(
                f"column {column.header!r}: gauge or absolute? columns: {{{column.header!r}: "
                f"'{column.role} [{unit}(a)]'}} or '{column.role} [{unit}(g)]'"
            )
        sides.append(values)
    return sides[0], sides[1]


def evaluate(readings: Readings, seed: int) -> Evaluation:
    """Radius from viscous and Knudsen flow."""
    content: GasReadings = readings.content
    result = fit_gas_permeation(content)
    values: Values = {
        "gas_radius": result.gas_radius.scaled(NM),
        "gas_slope": result.slope,
        "gas_intercept": result.intercept,
    }
    radii: Values = {"porosity_over_path_length": result.porosity_over_path_length}
    curve = Curve(
        "gas permeance", "mol m-2 s-1 Pa-1", "pressure", np.asarray(content.mean_pressure) * BAR,
        np.asarray(content.permeance), result.fitted,
    )  # fmt: skip
    return Evaluation(values, radii, curves=[curve], findings=result.findings)
