"""Chain of studies: structure, virtual bench, inference and fouling, with the error of every link."""

from membrane_dask.studies.registry import StudyKind

KIND = StudyKind(
    name="chain",
    model="membrane_dask.studies.chain.config:ChainStudy",
    program="membrane_dask.studies.chain.program:ChainProgram",
    tables="membrane_dask.studies.chain.variables:TABLES",
    seed_key=6,
    report="membrane_dask.studies.chain.report:sections",
)
