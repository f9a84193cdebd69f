"""Porometry: hydraulic permeability and pore structure from water flux against pressure."""

from membrane_dask.studies.registry import StudyKind

KIND = StudyKind(
    name="porometry",
    model="membrane_dask.studies.porometry.config:PorometryStudy",
    program="membrane_dask.studies.porometry.program:PorometryProgram",
    tables="membrane_dask.studies.porometry.variables:TABLES",
    seed_key=4,
    check="membrane_dask.studies.porometry.table_contents:check_tables",
    report="membrane_dask.studies.porometry.report:sections",
    reads=(".csv", ".tsv", ".txt", ".xlsx", ".xlsm"),
)
