"""Input volumes of a characterize study: which there are, their voxel sizes, and the porosity of some planes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from membrane_dask.errors import Problem, Source, StudyError
from membrane_dask.io.volumes import VolumeSource, open_volume_source, replicate_design, volume_paths
from membrane_dask.studies.characterize.config import CharacterizeStudy

#: Number of planes from which the porosity of a volume is estimated.
SAMPLED_PLANES = 4
#: Largest relative difference between the voxel size of a file and that of the study.
_VOXEL_SIZE_TOLERANCE = 1e-3


@dataclass(frozen=True)
class InputVolumes:
    """Volumes of a study: all replicates of the input, then the reference.

    Parameters
    ----------
    volumes : list of VolumeSource
        With their voxel sizes.
    porosities : list of float
        Porosity of :data:`SAMPLED_PLANES` planes of each, to plan memory.
    replicates : int
        How many of them are replicates.
    design : str
        How replicates are related to each other, of :func:`membrane_dask.io.volumes.replicate_design`.
    """

    volumes: list[VolumeSource]
    porosities: list[float]
    replicates: int
    design: str = ""

    @classmethod
    def of(cls, study: CharacterizeStudy, source: Source | None) -> InputVolumes:
        """Open the volumes of a study.

        Raises
        ------
        StudyError
            If a volume cannot be used.
        """
        volumes = [_with_voxel_size(study, "input", volume, source) for volume in _open(study, "input", source)]
        replicates = len(volumes)
        if study.reference:
            references = _open(study, "reference", source)
            if len(references) != 1:
                message = f"must be one volume (got {str(study.reference)!r}, which has {len(references)})"
                raise StudyError([Problem(("reference",), message)], source)
            volumes.append(_with_voxel_size(study, "reference", references[0], source))
        fields = ["input"] * replicates + ["reference"] * (len(volumes) - replicates)
        porosities = [_sample_porosity(field, volume, source) for field, volume in zip(fields, volumes, strict=True)]
        return cls(volumes, porosities, replicates, replicate_design(study.input))


def _open(study: CharacterizeStudy, field: str, source: Source | None) -> list[VolumeSource]:
    """Open the volumes that a field of the study names."""
    path = getattr(study, field)
    grey = study.grey.model_dump() if study.grey.threshold is not None else None
    try:
        if path.suffix.lower() in (".yaml", ".yml"):
            raise ValueError(f"is a study that must be run first: membrane-dask run {path}")
        return [open_volume_source(volume, study.pores, grey, study.missing_chunks) for volume in volume_paths(path)]
    except ValueError as error:
        raise StudyError([Problem((field,), f"{error} (got {str(path)!r})")], source) from error


def _with_voxel_size(study: CharacterizeStudy, field: str, volume: VolumeSource, source: Source | None) -> VolumeSource:
    """The volume with the voxel size of its file or of the study, which must agree."""
    size: Any = study.voxel_size
    message = ""
    if size and volume.voxel_nm and abs(size / volume.voxel_nm - 1) > _VOXEL_SIZE_TOLERANCE:
        message = f"is {size:g} nm, but {volume.path} has voxels of {volume.voxel_nm:g} nm ({volume.voxel_size_source})"
    elif not size and not volume.voxel_nm:
        message = f"required: {volume.voxel_size_source}; for example voxel_size: 3 nm ({field}: {volume.path})"
    if message:
        raise StudyError([Problem(("voxel_size",), message)], source)
    return replace(volume, voxel_nm=volume.voxel_nm or size)


def _sample_porosity(field: str, volume: VolumeSource, source: Source | None) -> float:
    """Porosity of a few planes."""
    planes = np.linspace(0, volume.shape[0] - 1, 2 * SAMPLED_PLANES + 1).astype(int)[1::2]
    whole = (slice(0, volume.shape[1]), slice(0, volume.shape[2]))
    try:
        porosity = float(np.mean([volume.read((slice(z, z + 1), *whole)).mean() for z in planes]))
    except ValueError as error:
        raise StudyError([Problem((field,), f"{error} (got {volume.path!r})")], source) from error
    if porosity == 1.0:
        setting = "grey.threshold" if volume.grey else "pores"
        message = f"has no solid in {SAMPLED_PLANES} sampled planes; check {setting} (got {volume.path!r})"
        raise StudyError([Problem((field,), message)], source)
    return porosity
