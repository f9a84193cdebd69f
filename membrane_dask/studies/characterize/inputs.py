"""Input volumes of a characterize study: which there are, their voxel sizes, and the porosity of some planes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from membrane_dask.errors import Problem, Source, StudyError
from membrane_dask.io.array_files import RAW
from membrane_dask.io.grey_volumes import GreyOptions
from membrane_dask.io.image_metadata import differs
from membrane_dask.io.oriented_volumes import AXES
from membrane_dask.io.volume_file import RawLayout, ReadOptions
from membrane_dask.io.volumes import VolumeSource, open_volume_source, replicate_design, volume_paths
from membrane_dask.studies.characterize.config import CharacterizeStudy

#: Number of planes from which the porosity of a volume is estimated; more where these hold no solid.
SAMPLED_PLANES = 4
#: Largest relative difference between the voxel size of a file and that of the study.
_VOXEL_SIZE_TOLERANCE = 1e-3
#: Edges of voxels in nm that make sense: from atoms to gravel.
_MIN_VOXEL, _MAX_VOXEL = 0.1, 1e6


@dataclass(frozen=True)
class InputVolumes:
    """Volumes of a study: all replicates of the input, then those of the reference.

    Parameters
    ----------
    volumes : list of VolumeSource
        With their voxel sizes.
    porosities : list of float
        Porosity of :data:`SAMPLED_PLANES` planes of each, to plan memory.
    replicates : int
        How many of them are replicates.
    design, reference_design : str
        How replicates are related to each other, of :func:`membrane_dask.io.volumes.replicate_design`.
    """

    volumes: list[VolumeSource]
    porosities: list[float]
    replicates: int
    design: str = ""
    reference_design: str = ""

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
        reference_design = ""
        if study.reference:
            references = _open(study, "reference", source)
            volumes += [_with_voxel_size(study, "reference", volume, source) for volume in references]
            reference_design = replicate_design(study.reference)
        fields = ["input"] * replicates + ["reference"] * (len(volumes) - replicates)
        porosities = [_sample_porosity(field, volume, source) for field, volume in zip(fields, volumes, strict=True)]
        return cls(volumes, porosities, replicates, replicate_design(study.input), reference_design)


def _open(study: CharacterizeStudy, field: str, source: Source | None) -> list[VolumeSource]:
    """Open the volumes that a field of the study names."""
    path = getattr(study, field)
    grey = _grey_options(study)
    layout = study.raw
    raw = RawLayout(layout.shape, layout.type, layout.byte_order or "little", layout.offset) if layout else None
    is_input = field == "input"
    options = ReadOptions(
        (study.dataset if is_input else study.reference_dataset) or "",
        raw if path.suffix.lower() in RAW or is_input else None,
        study.missing_chunks == "fill",
    )
    axis = study.axis if is_input else study.reference_axis
    try:
        if path.suffix.lower() in (".yaml", ".yml"):
            raise ValueError(f"is a study that must be run first: membrane-dask run {path}")
        return [open_volume_source(volume, study.pores, grey, options, axis) for volume in volume_paths(path)]
    except ValueError as error:
        raise StudyError([Problem((field,), f"{error} (got {str(path)!r})")], source) from error


def _grey_options(study: CharacterizeStudy) -> Mapping[str, float] | GreyOptions | None:
    """How grey values are segmented; None for a segmented volume."""
    grey = study.grey
    if not grey.is_used:
        return None
    if grey.method == "threshold":
        return grey.model_dump(include={"threshold", "sigma", "closing_radius"})
    assert study.pores in ("dark", "bright")
    return GreyOptions(
        method=grey.method,
        correction=grey.correction,
        sigma=grey.sigma,
        closing_radius=grey.closing_radius,
        pores=study.pores,
        sensitivity=grey.sensitivity,
        neighbourhood=grey.neighbourhood,
        window=grey.window,
        slice_axis=None if grey.slice_axis == "auto" else AXES.index(grey.slice_axis),
    )


def _with_voxel_size(study: CharacterizeStudy, field: str, volume: VolumeSource, source: Source | None) -> VolumeSource:
    """The volume with the voxel size of its file or of the study, which must agree."""
    size: Any = study.voxel_size
    edges, stated_by = volume.edges, volume.voxel_size_source
    message = ""
    if not size and not volume.voxel_nm:
        stated = [edge for edge in (*reversed(edges.nm), *edges.candidates) if edge]
        example = f"if voxels are cubes, voxel_size: {stated[0]:.6g} nm" if stated else "for example voxel_size: 3 nm"
        message = f"required: {stated_by}; {example} ({field}: {volume.path})"
    elif size:
        differing = [edge for edge in edges.nm if edge and abs(size / edge - 1) > _VOXEL_SIZE_TOLERANCE]
        if differing:
            shown = f"{volume.voxel_nm:g}" if volume.voxel_nm else str(edges).removesuffix(" nm")
            message = f"is {size:g} nm, but {volume.path} has voxels of {shown} nm ({stated_by})"
        elif edges.candidates and all(differs(size, edge) for edge in edges.candidates):
            message = f"is {size:g} nm, but {stated_by} ({volume.path})"
    voxel = volume.voxel_nm or size
    if not message and not _MIN_VOXEL <= voxel <= _MAX_VOXEL:
        by = stated_by if volume.voxel_nm else "by the study"
        message = f"of {voxel:g} nm ({by}) is no voxel of a porous structure; 0.1 nm to 1 mm are read: check the unit"
    if message:
        raise StudyError([Problem(("voxel_size",), message)], source)
    return replace(volume, voxel_nm=voxel)


def _sample_porosity(field: str, volume: VolumeSource, source: Source | None) -> float:
    """Porosity of a few planes, or of so many that one of them holds solid: a volume may begin with open liquid."""
    porosity, count, depth = 1.0, SAMPLED_PLANES, max(volume.shape)
    while porosity == 1.0:
        try:
            porosity = volume.sampled_porosity(count)
        except ValueError as error:
            raise StudyError([Problem((field,), f"{error} (got {volume.path!r})")], source) from error
        if porosity == 1.0 and count >= depth:
            setting = "grey.threshold" if volume.grey else "grey.method" if volume.segmentation else "pores"
            message = f"has no solid in any of its planes; check {setting} (got {volume.path!r})"
            raise StudyError([Problem((field,), message)], source)
        count *= 2
    return porosity


def volume_remarks(volume: VolumeSource) -> tuple[tuple[str, str], ...]:
    """Rows of the plan: what the file says of a volume, where its voxel size comes from, and its values."""
    if all(volume.edges.nm):
        edges = f"{volume.edges} (z, y, x), {volume.voxel_size_source}"
    else:
        edges = f"{volume.voxel_nm:g} nm by the study; {volume.voxel_size_source}"
    extent = " x ".join(f"{n * float(volume.voxel_nm or 0) / 1e3:.4g}" for n in volume.shape)
    *remarks, values = volume.remarks
    return (*remarks, ("voxel", f"{edges}; the volume has {extent} um"), values)
