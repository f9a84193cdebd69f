"""Settings of one table of measurements: how it is read, and the conditions of the measurement."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import Field

from membrane_dask.config import InputFile, Line, Model, parameter
from membrane_dask.io.tables.columns import TableOptions
from membrane_dask.io.tables.conditions import Conditions
from membrane_dask.quantities import (
    MeasuredAngle,
    MeasuredLength,
    MeasuredNumber,
    MeasuredTension,
    Number,
    Pressure,
    Temperature,
    Whole,
    quantity,
)

#: Methods of measurement.
Method = Literal[
    "water", "capillary flow", "bubble point", "liquid displacement", "gas permeation", "rejection", "fouling",
    "mercury", "entry pressure",
]  # fmt: skip
METHODS: tuple[Method, ...] = get_args(Method)
#: Methods that read the conditions of a measurement which not all of them have.
READ_BY: dict[str, tuple[Method, ...]] = {
    "liquid": ("capillary flow", "bubble point", "entry pressure"),
    "surface_tension": ("water", "capillary flow", "bubble point", "mercury", "entry pressure"),
    "interfacial_tension": ("liquid displacement",),
    "contact_angle": (
        "water", "capillary flow", "bubble point", "liquid displacement", "mercury", "entry pressure",
    ),
    "shape_factor": ("capillary flow", "bubble point"),
    "viscosity": ("water", "liquid displacement"),
    "gas": ("capillary flow", "gas permeation"),
    "thickness": ("capillary flow", "liquid displacement"),
    "flow_at": ("capillary flow", "gas permeation"),
    "first_flow": ("capillary flow",),
    "dry": ("capillary flow",),
    "law": ("rejection",),
    "solute": ("rejection",),
    "stokes": ("rejection",),
    "flux": ("rejection",),
    "mass_transfer": ("rejection",),
    "log_sd": ("rejection",),
    "lowest_pressure": ("mercury",),
    "skeleton_density": ("mercury",),
}  # fmt: skip
_Viscosity = quantity("Pa s", "0.89 mPa s", 1e-5, 0.1)


class FlowAtSettings(Model):
    """Temperature and pressure at which a flow meter counts volumes of gas."""

    temperature: Temperature | Literal["row"] = parameter(273.15, "temperature; row: that of each row", unit="degC, K")
    pressure: Pressure = parameter(101_325.0, "absolute pressure", unit="bar, kPa, ...")


class MassTransferSettings(Model):
    """Mass transfer coefficient of a solute in the feed, for the polarisation of concentration."""

    value: Annotated[(float, *quantity("m s-1", "6e-6 m/s"))] = Field(
        description="mass transfer coefficient", json_schema_extra={"unit": "m/s, um/s", "example": "6e-6 m/s"}
    )
    at: Line = Field(
        description="solute that it belongs to: its molar mass (10.5 kDa) or its Stokes radius (2.4 nm)",
        json_schema_extra={"unit": "", "example": "10.5 kDa"},
    )
    power: Number = parameter(0.667, "exponent of the diffusivity", ge=0, le=1)


class TableSettings(Model):
    """How a table is read, and the conditions that it does not state itself."""

    method: Method | None = parameter(
        None,
        "method of measurement: water (flux of pure water against pressure), capillary flow, bubble point, "
        "liquid displacement, gas permeation, rejection, fouling, mercury, entry pressure; default water",
        unit="",
    )
    membrane: Line | None = parameter(None, "name of the membrane, for tables that do not state it", unit="")
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
    temperature: Temperature | None = parameter(
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

    liquid: Line | None = parameter(
        None, "wetting liquid (capillary flow, bubble point) or liquid that enters (entry pressure)", unit=""
    )
    surface_tension: MeasuredTension | None = parameter(
        None, "surface tension of the liquid, with its standard deviation: 16 +- 0.3 mN/m; default by its name",
        unit="mN m-1, ...",
    )  # fmt: skip
    interfacial_tension: MeasuredTension | None = parameter(
        None, "interfacial tension of two liquids at mutual saturation (liquid displacement)", unit="mN m-1, ..."
    )
    contact_angle: MeasuredAngle | None = parameter(
        None,
        "contact angle of the liquid on the membrane, with its standard deviation: 118 +- 2; default for water none, "
        "without Young-Laplace radii, 0 where a liquid wets, 140 for mercury",
        unit="degrees",
    )
    shape_factor: Number | None = parameter(
        None, "factor of all radii of capillary flow: 1, or 0.715 in some instruments; default 1", gt=0, le=1
    )
    viscosity: Annotated[(float, *_Viscosity)] | None = parameter(
        None, "viscosity of the liquid; default that of water at its temperature (IAPWS)", unit="mPa s, ..."
    )
    gas: Line | None = parameter(None, "gas that flows (gas permeation, capillary flow)", unit="")
    thickness: MeasuredLength | None = parameter(
        None, "length of the path through a pore, for numbers of pores (capillary flow, liquid displacement)",
        unit="um, ...",
    )  # fmt: skip
    flow_at: FlowAtSettings | None = parameter(
        None, "temperature and pressure at which flows of gas are counted; default as the table states", unit=""
    )
    first_flow: Annotated[(float, *quantity("m3 s-1", "30 mL/min"))] | None = parameter(
        None, "flow at which the bubble point is read; default three deviations of readings without flow",
        unit="mL/min, ...",
    )  # fmt: skip
    dry: Literal["extrapolated"] | None = parameter(
        None, "extrapolated: without a dry curve, a line through the origin and the last wet reading", unit=""
    )
    law: Literal["dechadilok-deen", "zeman-wales", "ferry"] | None = parameter(
        None, "law of sieving of one pore (rejection); default dechadilok-deen", unit=""
    )
    solute: Line | None = parameter(None, "solute whose molar masses the table has, such as dextran", unit="")
    stokes: Line | None = parameter(
        None, "Stokes radius of the solute by its molar mass M in g/mol: 0.033 nm * M^0.463", unit=""
    )
    flux: Annotated[(float, *quantity("m s-1", "54 L/m2/h"))] | None = parameter(
        None, "flux during the rejection, for the polarisation of concentration", unit="L/m2/h, ..."
    )
    mass_transfer: MassTransferSettings | None = parameter(
        None, "mass transfer coefficient in the feed, likewise: {value: 6e-6 m/s, at: 10.5 kDa}", unit=""
    )
    log_sd: MeasuredNumber | None = parameter(
        None, "log-standard deviation of the pore radius from elsewhere, for few solutes"
    )
    lowest_pressure: Pressure | None = parameter(
        None, "pressure of mercury below which it fills gaps between pieces of the sample", unit="bar, kPa, ..."
    )
    skeleton_density: Annotated[(float, *quantity("kg m-3", "1.4 g/mL"))] | None = parameter(
        None, "density of the solid, for the porosity by mercury", unit="g/mL, ..."
    )

    def completed(self, study: TableSettings) -> TableSettings:
        """These settings, with those of the study where the table has none of its own."""
        return self._with(study)

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
