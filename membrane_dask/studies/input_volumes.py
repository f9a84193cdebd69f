"""Input volumes of a study: which there are, their voxel sizes, and the porosity of some planes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from membrane_dask.errors import Problem, Source, StudyError
from membrane_dask.io.array_files import RAW
from membrane_dask.io.grey_options import GreyOptions
from membrane_dask.io.oriented_volumes import AXES, OrientedVolume, PoreVolume
from membrane_dask.io.volume_file import RawLayout, ReadOptions
from membrane_dask.io.volumes import (
    VolumeSource,
    describe_volume,
    open_volume_source,
    reconstruction_findings,
    replicate_design,
    volume_paths,
)
from membrane_dask.studies.volume_settings import VolumeInput, VolumeStudy
from membrane_dask.studies.voxel_sizes import edges_text, with_voxel_size

#: Voxels that are read at a time.
_SLAB_VOXELS = 1 << 24
#: Number of planes from which the porosity of a volume is estimated; more where these hold no solid.
SAMPLED_PLANES = 4


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
    findings : tuple of str
        What the reconstruction that they are from says of its fit.
    """

    volumes: list[VolumeSource]
    porosities: list[float]
    replicates: int
    design: str = ""
    reference_design: str = ""
    findings: tuple[str, ...] = ()

    @classmethod
    def of(cls, study: VolumeStudy, source: Source | None) -> InputVolumes:
        """Open the volumes of a study.

        Raises
        ------
        StudyError
            If a volume cannot be used.
        """
        volumes, fields = open_volumes(study, source, open_volume_source)
        designs = {entry.field: replicate_design(entry.path) for entry in study.volume_inputs()}
        porosities = [_sample_porosity(field, volume, source) for field, volume in zip(fields, volumes, strict=True)]
        findings = reconstruction_findings(study.input)
        return cls(volumes, porosities, fields.count("input"), designs["input"], designs.get("reference", ""), findings)


def open_volumes(
    study: VolumeStudy, source: Source | None, open_source: Callable[..., VolumeSource]
) -> tuple[list[VolumeSource], list[str]]:
    """Volumes of a study with their voxel sizes, and the field that names each.

    Parameters
    ----------
    study : VolumeStudy
    source : Source, optional
        Positions of the settings, for errors.
    open_source : callable
        :func:`~membrane_dask.io.volumes.open_volume_source`, or
        :func:`~membrane_dask.io.volumes.describe_volume` where the volumes are not segmented.

    Raises
    ------
    StudyError
        If a volume cannot be used.
    """
    volumes: list[VolumeSource] = []
    fields: list[str] = []
    for entry in study.volume_inputs():
        opened = _open(study, entry, source, open_source)
        volumes += [with_voxel_size(study, entry.field, volume, source) for volume in opened]
        fields += [entry.field] * len(opened)
    if study.databar == "cut" and not any(volume.options.margins for volume in volumes):
        message = "finds nothing to cut: no rows of the planes look like a databar that metadata do not name; leave"
        message += " it out, or cut the rows from the images (got 'cut')"
        raise StudyError([Problem(("databar",), message)], source)
    return volumes, fields


def check_volumes(study: VolumeStudy, source: Source | None) -> tuple[list[VolumeSource], list[str], tuple[str, ...]]:
    """Volumes of a study by what their files say, of which grey ones are not segmented.

    Returns
    -------
    volumes, fields
        As of :func:`open_volumes`.
    unchecked : tuple of str
        What only a program finds.

    Raises
    ------
    StudyError
        If a volume cannot be used.
    """
    volumes, fields = open_volumes(study, source, describe_volume)
    if study.grey.is_used:
        return volumes, fields, ("segmentation", "memory of the units")
    for field, volume in zip(fields, volumes, strict=True):
        _sample_porosity(field, volume, source)
    return volumes, fields, ("memory of the units",)


def _open(
    study: VolumeStudy, entry: VolumeInput, source: Source | None, open_source: Callable[..., VolumeSource]
) -> list[VolumeSource]:
    """Open the volumes that a field of the study names."""
    path = entry.path
    grey = _grey_options(study)
    layout = study.raw
    raw = RawLayout(layout.shape, layout.type, layout.byte_order or "little", layout.offset) if layout else None
    options = ReadOptions(
        entry.dataset,
        raw if path.suffix.lower() in RAW or entry.field == "input" else None,
        study.missing_chunks == "fill",
    )
    try:
        if path.suffix.lower() in (".yaml", ".yml"):
            raise ValueError(f"is a study that must be run first: membrane-dask run {path}")
        paths = volume_paths(path)
        return [open_source(volume, study.pores, grey, options, entry.axis, study.databar) for volume in paths]
    except ValueError as error:
        raise StudyError([Problem((entry.field,), f"{error} (got {str(path)!r})")], source) from error


def _grey_options(study: VolumeStudy) -> Mapping[str, float] | GreyOptions | None:
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


def _sample_porosity(field: str, volume: VolumeSource, source: Source | None) -> float:
    """Porosity of a few planes, or of so many that one of them holds solid: a volume may begin with open liquid."""
    porosity, count, depth = 1.0, SAMPLED_PLANES, max(volume.shape)
    while porosity == 1.0:
        try:
            porosity = volume.sampled_porosity(count)
        except ValueError as error:
            raise StudyError([Problem((field,), f"{error} (got {volume.path!r})")], source) from error
        if porosity == 1.0 and count >= depth:
            message = f"has no solid in any of its planes; check {phase_setting(volume)} (got {volume.path!r})"
            raise StudyError([Problem((field,), message)], source)
        count *= 2
    return porosity


def phase_setting(volume: VolumeSource) -> str:
    """Setting that decides which voxels of a volume are pores."""
    return "grey.threshold" if volume.grey else "grey.method" if volume.segmentation else "pores"


def require_pores(inputs: InputVolumes, source: Source | None) -> None:
    """Refuse volumes without a pore voxel, of which a flow or a bench says nothing.

    Raises
    ------
    StudyError
        If a volume has none, or cannot be read.
    """
    for number, (volume, porosity) in enumerate(zip(inputs.volumes, inputs.porosities, strict=True)):
        field = "input" if number < inputs.replicates else "reference"
        try:
            has_pores = porosity > 0 or any(pores.any() for _, pores in pore_slabs(volume))
        except ValueError as error:
            raise StudyError([Problem((field,), f"{error} (got {volume.path!r})")], source) from error
        if not has_pores:
            message = f"no voxel is a pore; check {phase_setting(volume)} (got {volume.path!r})"
            raise StudyError([Problem((field,), message)], source)


def volume_remarks(volume: VolumeSource) -> tuple[tuple[str, str], ...]:
    """Rows of the plan: what the file says of a volume, where its voxel size comes from, and its values."""
    if all(volume.edges.nm):
        edges = f"{volume.edges} (z, y, x), {volume.voxel_size_source}"
    else:
        edges = f"{edges_text(volume)} by the study; {volume.voxel_size_source}"
    voxel = float(volume.voxel_nm or 0)
    lengths = (n * voxel * ratio for n, ratio in zip(volume.shape, volume.spacing, strict=True))
    extent = " x ".join(f"{length / 1e3:.4g}" for length in lengths)
    *remarks, values = volume.remarks
    return (*remarks, ("voxel", f"{edges}; the volume has {extent} um"), values)


def volume_rows(
    names: Sequence[str], volumes: Sequence[VolumeSource], porosities: Sequence[float]
) -> list[tuple[str, str]]:
    """Size and approximate porosity of every volume, and what its file says, for the plan of a study."""
    rows: list[tuple[str, str]] = []
    remarked: list[tuple[tuple[str, str], ...]] = []
    for name, volume, porosity in zip(names, volumes, porosities, strict=True):
        sizes = " x ".join(map(str, volume.shape))
        rows.append((name, f"{sizes} voxels of {edges_text(volume)}, porosity {porosity:.3f} in sampled planes"))
        remarks = volume_remarks(volume)
        rows += [] if remarks in remarked else remarks  # replicates of a run say the same
        remarked.append(remarks)
    return rows


def read_pores(volume: PoreVolume) -> np.ndarray:
    """Pore voxels of a volume, ``(z, y, x)`` bool."""
    if isinstance(volume, OrientedVolume):  # files are read by planes of their own first axis
        return np.ascontiguousarray(read_pores(volume.source).transpose(volume.order))
    pores = np.empty(volume.shape, bool)
    for slab, values in pore_slabs(volume):
        pores[slab] = values
    return pores


def pore_slabs(volume: PoreVolume) -> Iterator[tuple[slice, np.ndarray]]:
    """Slabs along the depth of a volume, and the pore voxels of each, ``(z, y, x)`` bool."""
    depth, height, width = volume.shape
    planes = max(1, _SLAB_VOXELS // (height * width))
    for z in range(0, depth, planes):
        slab = slice(z, min(z + planes, depth))
        yield slab, volume.read((slab, slice(0, height), slice(0, width)))


def pores_digest(pores: np.ndarray) -> bytes:
    """SHA-256 of the pore voxels of a volume and of its shape."""
    return hashlib.sha256(repr(pores.shape).encode() + np.packbits(pores).tobytes()).digest()
