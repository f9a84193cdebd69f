"""Edges of the voxels of the input volumes: those of the file, of the study, or of both, which must agree."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from membrane_dask.errors import Problem, Source, StudyError
from membrane_dask.io.image_metadata import differs
from membrane_dask.io.volumes import VolumeSource
from membrane_dask.physics.voxel_spacing import CUBE_TOLERANCE, is_cube, unit_and_spacing
from membrane_dask.studies.volume_settings import VolumeStudy

#: Largest relative difference between the voxel size of a file and that of the study.
_TOLERANCE = 1e-3
#: Edges of voxels in nm that make sense: from atoms to gravel.
_MIN_EDGE, _MAX_EDGE = 0.1, 1e6
#: Largest ratio of the edges of a voxel: longer ones do not resolve what the short edges do.
_MAX_RATIO = 10.0


def with_voxel_size(study: VolumeStudy, field: str, volume: VolumeSource, source: Source | None) -> VolumeSource:
    """The volume with the edges of its voxels by its file or by the study.

    Raises
    ------
    StudyError
        If neither states them, they disagree, or they are no edges of voxels of a porous structure.
    """
    size = study.voxel_size
    sizes = size if isinstance(size, tuple) else (size,) * 3 if size else None
    stated_by = volume.voxel_size_source
    message = ""
    if sizes:
        message = _disagreement(sizes, volume)
    elif not volume.voxel_nm:
        message = f"required: {stated_by}; {_example(volume)} ({field}: {volume.path})"
    voxel, spacing = volume.voxel_nm, volume.spacing
    if not voxel and sizes:
        voxel, spacing = unit_and_spacing(sizes)
    if voxel and not message:
        by = stated_by if volume.voxel_nm else "by the study"
        edge = next((edge for edge in (voxel, voxel * max(spacing)) if not _MIN_EDGE <= edge <= _MAX_EDGE), None)
        if edge:
            message = f"of {edge:g} nm ({by}) is no voxel of a porous structure; 0.1 nm to 1 mm are read"
            message += ": check the unit"
        elif max(spacing) > _MAX_RATIO:
            shown = " x ".join(f"{voxel * ratio:g}" for ratio in spacing)
            message = (
                f"of {shown} nm (z, y, x; {by}): the longest edge may be at most {_MAX_RATIO:g} times the shortest: "
                "check the units, or reduce the resolution along the short edges"
            )
    if message:
        raise StudyError([Problem(("voxel_size",), message)], source)
    if not is_cube(spacing) and (problems := list(_unsupported(study, field, volume))):
        raise StudyError(problems, source)
    return replace(volume, voxel_nm=voxel, spacing=spacing)


def edges_nm(volume: VolumeSource) -> float | list[float]:
    """Edge of cubic voxels, or the edges along ``z, y, x`` of others, nm."""
    voxel = float(volume.voxel_nm or math.nan)
    return voxel if is_cube(volume.spacing) else [voxel * ratio for ratio in volume.spacing]


def edges_text(volume: VolumeSource) -> str:
    """Edges of the voxels: ``3 nm`` of cubes, ``10 x 5 x 5 nm`` of others."""
    voxel = float(volume.voxel_nm or 0)
    if is_cube(volume.spacing):
        return f"{voxel:g} nm"
    return f"{' x '.join(f'{voxel * ratio:g}' for ratio in volume.spacing)} nm"


def _unsupported(study: VolumeStudy, field: str, volume: VolumeSource) -> Iterator[Problem]:
    """Settings that need cubes."""
    needs_cubes = f"needs voxels that are cubes ({field}: {volume.path}); resample the volume first, or"
    for name in ("sigma", "closing_radius"):
        if getattr(study.grey, name):
            yield Problem(("grey", name), f"{needs_cubes} set it to 0 (got {getattr(study.grey, name):g})")
    if study.grey.method == "adaptive" and study.grey.neighbourhood == "block":
        yield Problem(("grey", "neighbourhood"), f"{needs_cubes} set it to slice")


def _disagreement(sizes: Sequence[float], volume: VolumeSource) -> str:
    """What the file states that the study contradicts; empty if nothing."""
    edges, stated_by = volume.edges, volume.voxel_size_source
    shown = f"is {sizes[0]:g} nm" if len(set(sizes)) == 1 else f"is {' x '.join(f'{size:g}' for size in sizes)} nm"
    if any(edge and abs(size / edge - 1) > _TOLERANCE for size, edge in zip(sizes, edges.nm, strict=True)):
        stated = f"{volume.voxel_nm:g}" if volume.voxel_nm and is_cube(volume.spacing) else _without_unit(volume)
        advice = "leave voxel_size out, or correct or remove the metadata of the file if they are wrong"
        return f"{shown}, but {volume.path} has voxels of {stated} nm ({stated_by}): {advice}"
    if edges.ratio:
        scales = [size / ratio for size, ratio in zip(sizes, edges.ratio, strict=True) if ratio]
        if max(scales) > (1 + CUBE_TOLERANCE) * min(scales):
            return (
                f"{shown}, but {volume.path} has voxels of {edges} (z, y, x; {stated_by}): {_example(volume)}; or "
                "correct or remove the metadata of the file if they are wrong"
            )
    if edges.candidates and not any(
        sum(not differs(size, edge) for size in sizes) >= 2 for edge in edges.candidates
    ):  # the metadata of an image state two edges
        return f"{shown}, but {stated_by} ({volume.path})"
    return ""


def _without_unit(volume: VolumeSource) -> str:
    return str(volume.edges).removesuffix(" nm")


def _example(volume: VolumeSource) -> str:
    """A voxel size that the user may mean."""
    edges = volume.edges
    stated = [edge for edge in (*reversed(edges.nm), *edges.candidates) if edge]
    ratios = [edge for edge in edges.ratio or () if edge]
    if ratios and max(ratios) > (1 + CUBE_TOLERANCE) * min(ratios):
        three = ", ".join(f"{edge:g} nm" if edge else "..." for edge in edges.ratio or ())
        return f"set three lengths in this ratio: voxel_size: [{three}]"
    if not stated:
        return "for example voxel_size: 3 nm, or [10 nm, 5 nm, 5 nm] (z, y, x)"
    three = ", ".join("..." if edge is None else f"{edge:.6g} nm" for edge in edges.nm)
    if all(edge is None for edge in edges.nm):
        return f"if voxels are cubes, voxel_size: {stated[0]:.6g} nm"
    return f"if voxels are cubes, voxel_size: {stated[0]:.6g} nm; otherwise voxel_size: [{three}]"
