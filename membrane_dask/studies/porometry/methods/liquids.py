"""Liquid, gas and surface tension of a measurement: from the study, the table or the name of the liquid."""

from __future__ import annotations

from membrane_dask.io.tables.conditions import stated_value
from membrane_dask.io.tables.measured_table import MeasuredTable
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.porometry.capillary_law import CapillaryLaw
from membrane_dask.physics.porometry.wetting_liquids import wetting_liquid
from membrane_dask.studies.porometry.table_settings import TableSettings

#: Relative standard deviation of a surface tension that an instrument or a study states without an error.
_STATED_ERROR = 0.0


def stated_text(table: MeasuredTable, name: str, study: str | None) -> str | None:
    """A name of the study or of the lines above the table, which must agree."""
    stated = table.header_block.stated.get(name)
    if stated is None:
        return study
    if study is not None and study.casefold() != str(stated.value).casefold():
        table.problems.append(
            f"{name} is {study!r} in the study and {stated.value!r} in the file (line {stated.row}); keep one"
        )
    return study or str(stated.value)


def surface_tension(
    table: MeasuredTable, settings: TableSettings, liquid: str | None, temperature: float | None
) -> tuple[float, float] | None:
    """Surface tension and its standard deviation, N m-1; None where nothing gives it, which is a problem."""
    study = settings.surface_tension
    value = stated_value(table, "surface tension", study[0] if study else None, "surface_tension")
    if value is not None:
        return value, study[1] if study else _STATED_ERROR * value
    if liquid is None:
        table.problems.append("the wetting liquid is needed: give liquid: Porefil, or surface_tension: 16 +- 0.3 mN/m")
        return None
    try:
        named_liquid = wetting_liquid(liquid, temperature)
    except PhysicsError as error:
        table.problems.append(str(error))
        return None
    finding = (
        f"surface tension of {named_liquid.name}: {named_liquid.surface_tension * 1e3:.4g} mN/m, with an error of "
        f"{named_liquid.relative_error:.0%}"
    )
    if finding not in table.findings:
        table.findings.append(finding)
    return named_liquid.surface_tension, named_liquid.surface_tension * named_liquid.relative_error


def capillary_law(
    table: MeasuredTable, settings: TableSettings, liquid: str | None, temperature: float | None
) -> CapillaryLaw | None:
    """Law of a wetting liquid against a gas; None with a problem."""
    tension = surface_tension(table, settings, liquid, temperature)
    shape = stated_value(table, "shape factor", settings.shape_factor, "shape_factor")
    study_angle = settings.contact_angle[0] if settings.contact_angle else None
    angle = stated_value(table, "contact angle", study_angle, "contact_angle")
    if tension is None:
        return None
    try:
        return CapillaryLaw(tension[0], tension[1] / tension[0], angle or 0.0, 1.0 if shape is None else shape)
    except PhysicsError as error:
        table.problems.append(str(error))
        return None
