"""Graded filters: ensembles of random pore networks, fouled over a filter's life."""

from membrane_dask.studies.registry import StudyKind

KIND = StudyKind(
    name="graded",
    model="membrane_dask.studies.graded.config:GradedStudy",
    program="membrane_dask.studies.graded.programs:graded_program",
    tables="membrane_dask.studies.graded.variables:TABLES",
    seed_key=1,
    exports="membrane_dask.studies.graded.pore_networks:export_items",
    networks="membrane_dask.studies.graded.pore_networks:network_reader",
    report="membrane_dask.studies.graded.report:sections",
)
