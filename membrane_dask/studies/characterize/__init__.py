"""Characterization of 3-D structures: connectivity, pore network, tortuosity, flow, retention."""

from membrane_dask.studies.registry import StudyKind

KIND = StudyKind(
    name="characterize",
    model="membrane_dask.studies.characterize.config:CharacterizeStudy",
    program="membrane_dask.studies.characterize.program:CharacterizeProgram",
    tables="membrane_dask.studies.characterize.variables:TABLES",
    seed_key=3,
    check="membrane_dask.studies.characterize.check:check_inputs",
    report="membrane_dask.studies.characterize.report:sections",
    provides=("network", "bench"),
    networks="membrane_dask.studies.characterize.network:network_reader",
    exports="membrane_dask.studies.characterize.export_items:export_items",
    reads=(".tif", ".tiff", ".npy", ".npz", ".h5", ".hdf5", ".mat", ".nrrd", ".vti", ".raw", ".zarr", ".ozx"),
)
