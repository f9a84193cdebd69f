"""Life of filters of a real structure: throats from its Stokes flow, deposits on its walls."""

from membrane_dask.studies.registry import StudyKind

KIND = StudyKind(
    name="foul",
    model="membrane_dask.studies.foul.config:FoulStudy",
    program="membrane_dask.studies.foul.programs:foul_program",
    tables="membrane_dask.studies.foul.variables:TABLES",
    seed_key=5,
    check="membrane_dask.studies.foul.check:check_inputs",
    report="membrane_dask.studies.foul.report:sections",
)
