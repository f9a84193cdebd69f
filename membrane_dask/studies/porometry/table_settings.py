"""Settings of one table of measurements: how it is read, and the conditions of the measurement."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from membrane_dask.config import InputFile, Line, Model, parameter
from membrane_dask.io.tables.conditions import Conditions
from membrane_dask.io.tables.measured_table import TableOptions
from membrane_dask.quantities import Pressure, WaterTemperature, Whole, quantity

#: Methods of measurement.
METHODS = ("water",)


class TableSettings(Model):
    """How a table is read, and the conditions that it does not state itself."""

    method: Literal["water"] | None = parameter(
        None, "method of measurement: water (flux of pure water against pressure); default water", unit=""
    )
    sheet: Line | None = parameter(None, "sheet, of a workbook with several", unit="")
    table: Whole | None = parameter(None, "number of the table, of a file with several", ge=1, le=1000)
    decimal: Literal[".", ","] | None = parameter(
        None, "decimal sign of numbers that are stored as text; default by the evidence of all cells", unit=""
    )
    columns: dict[Line, Line] = parameter(
        {},
        "what columns hold, by their headers, in which * stands for any characters: "
        "{Coupon: membrane, 'J*': 'flux [10^-5 m/s]', Remark: ignore}",
        unit="",
    )
    ignore: tuple[Line, ...] = parameter((), "columns that may stay unused although they look like a sample", unit="")
    area: Annotated[(float, *quantity("m2", "34 cm2"))] | None = parameter(
        None, "membrane area, for tables without such a column; default 1 m2 for pore numbers", unit="cm2, m2, ..."
    )
    temperature: WaterTemperature | None = parameter(
        None,
        "temperature of the liquid or gas, for tables that do not state it; default of water the reference temperature",
        unit="degC, K",
    )
    pressure: Pressure | None = parameter(
        None, "pressure difference, for tables without such a column", unit="bar, kPa, ..."
    )
    permeate_pressure: Pressure | None = parameter(
        None, "absolute pressure of the permeate, which is subtracted from absolute pressures", unit="bar, kPa, ..."
    )
    amounts: Literal["cumulative", "collected"] | None = parameter(
        None,
        "whether amounts of permeate are readings of a log (cumulative), or were collected in the time of each row",
        unit="",
    )
    censored: Literal["drop", "use"] | None = parameter(
        None, "what happens to readings such as <210; default a question", unit=""
    )
    marks: dict[Line, Literal["keep", "drop"]] = parameter(
        {}, "whether readings with a mark are kept: {'*': keep}; default a question", unit=""
    )

    def options(self, study: TableSettings) -> TableOptions:
        """How the table is read, with the settings of the study where it has none of its own."""
        own = self._with(study)
        return TableOptions(
            sheet=own.sheet, table=own.table, decimal=own.decimal, columns=own.columns, ignore=own.ignore,
            censored=own.censored, marks=own.marks,
        )  # fmt: skip

    def conditions(self, study: TableSettings, reference_temperature: float) -> Conditions:
        """Conditions of the measurement, likewise."""
        own = self._with(study)
        return Conditions(
            area=own.area, temperature=own.temperature, pressure=own.pressure,
            permeate_pressure=own.permeate_pressure, amounts=own.amounts,
            reference_temperature=reference_temperature,
        )  # fmt: skip

    def _with(self, study: TableSettings) -> TableSettings:
        """These settings, completed by those of the study."""
        if self is study:
            return self
        values: dict[str, Any] = {
            name: getattr(self, name) if getattr(self, name) not in (None, {}, ()) else getattr(study, name)
            for name in TableSettings.model_fields
        }
        return TableSettings.model_construct(**values)


class DataSettings(TableSettings):
    """One of several tables; what it does not set is as in the study."""

    input: InputFile = Field(
        description="table, as for the key input of the study", json_schema_extra={"unit": "", "example": "flux.csv"}
    )
