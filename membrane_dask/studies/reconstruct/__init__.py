"""Reconstruction of 3-D structures from micrographs."""

from membrane_dask.studies.registry import StudyKind

KIND = StudyKind(
    name="reconstruct",
    model="membrane_dask.studies.reconstruct.config:ReconstructStudy",
    program="membrane_dask.studies.reconstruct.program:ReconstructProgram",
    tables="membrane_dask.studies.reconstruct.variables:TABLES",
    seed_key=2,
    check="membrane_dask.studies.reconstruct.check:check_images",
    report="membrane_dask.studies.reconstruct.report:sections",
    provides=("volume",),
    reads=(".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp"),
)
