"""Settings of a calibration: the table of the bench, its errors, and the deposition coefficients that are searched."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field

from membrane_dask.config import InputFile, Line, Model, parameter
from membrane_dask.errors import Problem
from membrane_dask.quantities import MeasuredNumber, Number, Range, Whole, quantity

#: Fewest random networks whose spread enters the intervals.
FEWEST_NETWORKS = 8
#: Settings that change the life of a filter in a way that a calibration does not fit.
_NOT_FITTED = ("segments", "species", "erosion", "operation", "end_of_life", "sieving")


class CalibrationSettings(Model):
    """Table of the decline of a flux at constant pressure, to which the deposition laws are fitted."""

    input: InputFile = Field(
        description="table of the decline: time with filtrate volume, flux or both",
        json_schema_extra={"unit": "", "example": "bench.csv"},
    )
    columns: dict[Line, Line] = parameter(
        {}, "what columns hold, by their headers: {V: 'volume per area [L/m2]', Remark: ignore}", unit=""
    )
    sheet: Line | None = parameter(None, "sheet, of a workbook with several", unit="")
    table: Whole | None = parameter(None, "number of the table, of a file with several", ge=1, le=1000)
    decimal: Literal[".", ","] | None = parameter(
        None, "decimal sign of numbers that are stored as text; default by the evidence of all cells", unit=""
    )
    area: Annotated[(float, *quantity("m2", "34 cm2"))] | None = parameter(
        None, "membrane area, for volumes or masses in a table without such a column", unit="cm2, m2, ..."
    )
    flux_error: Number | None = parameter(
        None, "relative standard deviation of a flux reading; default that of the residuals", gt=0, lt=0.5
    )
    volume_error: Annotated[(float, *quantity("m", "0.05 L/m2"))] | None = parameter(
        None,
        "standard deviation of a filtrate volume, in tables without a flux; default that of the residuals",
        unit="L/m2, ...",
    )
    filtrate_concentration: MeasuredNumber | None = parameter(
        None, "foulant concentration of the first filtrate over that of the feed, with its deviation: 0.18 +- 0.01"
    )
    deposition_range: Range = parameter((1e-8, 1e-5), "deposition coefficients that are searched")
    confidence: Number = parameter(0.95, "confidence level of the intervals", ge=0.5, lt=1)

    def _inconsistencies(self) -> Iterator[Problem]:
        low, high = self.deposition_range
        if not 0 < low <= high / 10 or high > 1:
            message = f"must be [low, high] above 0 and at most 1, with high at least 10 times low (got {[low, high]})"
            yield Problem(("deposition_range",), message)
        if self.filtrate_concentration is not None:
            value, deviation = self.filtrate_concentration
            if not deviation:
                message = f"needs its standard deviation, for example {value:g} +- {0.05 * value:.2g} (got {value:g})"
                yield Problem(("filtrate_concentration",), message)
            if value >= 1:
                yield Problem(("filtrate_concentration",), f"must be less than 1, that of the feed (got {value:g})")


def calibration_problems(study: Any) -> Iterator[Problem]:
    """Check the rest of a study with ``calibrate``: one design point, and nothing that contradicts the fit."""
    is_drawn = study.input is None
    for name in ("l_max", "gradient") if is_drawn else ():
        values = getattr(study, name)
        if len(values) > 1:
            message = f"calibrate: needs a single value, that of the membrane (got {list(values)})"
            yield Problem((name,), message)
    if study.design != "grid":
        yield Problem(("design",), "calibrate: fits one design; use design: grid")
    if study.thickness is None:
        message = "calibrate: needs the membrane thickness, for example thickness: 100 um; the volume fraction follows"
        yield Problem(("thickness",), message)
    if (study.pressure is None) != (study.viscosity is None):
        stated, missing = ("pressure", "viscosity") if study.viscosity is None else ("viscosity", "pressure")
        yield Problem((stated,), f"calibrate: compares the first flux where {missing} is stated as well, or neither")
    for name in ("foulant_volume_fraction", "deposition"):
        if getattr(study, name) != _default(study, name):
            search = "; its range is calibrate.deposition_range" if name == "deposition" else ""
            yield Problem((name,), f"is what calibrate: fits; leave it out{search} (got {getattr(study, name)})")
    if study.deposition_law != _default(study, "deposition_law"):
        message = f"calibrate: fits both deposition laws; leave it out (got {study.deposition_law!r})"
        yield Problem(("deposition_law",), message)
    if is_drawn and study.realizations < FEWEST_NETWORKS:
        message = (
            f"calibrate: needs at least {FEWEST_NETWORKS} random networks, whose spread enters the intervals "
            f"(got {study.realizations})"
        )
        yield Problem(("realizations",), message)
    for name in _NOT_FITTED:
        if getattr(study, name) != _default(study, name):
            yield Problem(
                (name,), "calibrate: fits adsorption by pores of one radius at constant pressure; leave it out"
            )


def _default(study: Any, name: str) -> Any:
    return type(study).model_fields[name].default
