"""Sections of the report on transport along several axes, and on its tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from membrane_dask.report.page import Grid, Section

_TENSORS = {"permeability": ("permeability", "m²"), "diffusivity": ("effective diffusivity", "of that in free fluid")}


def directional_section(directional: xr.Dataset) -> Section:
    """Properties along each axis, and the ratio of the largest to the smallest.

    Parameters
    ----------
    directional : xarray.Dataset
        Group ``directional``.
    """
    first = directional.isel(replicate=0)
    axes = [str(axis) for axis in first.direction.values]
    rows = [
        [f"{variable.attrs['long_name']}, {variable.attrs['units']} ({name})", *map(_number, variable.values)]
        for name, variable in first.data_vars.items()
    ]
    sentences = [
        f"{label} along the axes differs by a factor of {_number(values.max() / values.min())}."
        for label, values in (
            ("The permeability", first.get("permeability")),
            ("The effective diffusivity", first.get("effective_diffusivity")),
        )
        if values is not None and float(values.min()) > 0
    ]
    sentences.append("Each axis is measured between its two faces, with the other four as in the study.")
    return Section("Transport along the axes", " ".join(sentences), [Grid(["property", *axes], rows)])


def tensor_section(tensors: xr.Dataset, directional: xr.Dataset | None) -> Section:
    """Tensors with their bounds, principal values and directions.

    Parameters
    ----------
    tensors : xarray.Dataset
        Group ``tensors``.
    directional : xarray.Dataset, optional
        Group ``directional``, whose values the diagonal is compared with.
    """
    first = tensors.isel(replicate=0)
    axes = [str(axis) for axis in first.component.values]
    grids, sentences = [], []
    for name, (label, unit) in _TENSORS.items():
        if f"{name}_tensor" not in first or not np.isfinite(first[f"{name}_tensor"]).all():
            continue
        tensor, upper = first[f"{name}_tensor"].values, first[f"{name}_tensor_upper_bound"].values
        rows = [[axis, *map(_number, row)] for axis, row in zip(axes, tensor, strict=True)]
        grids.append(Grid([f"{label}, {unit}", *axes], rows))
        values, directions = first[f"{name}_principal"].values, first[f"{name}_principal_direction"].values
        rows = [
            [_number(value), *(f"{component:.3f}" for component in direction)]
            for value, direction in zip(values, directions, strict=True)
        ]
        grids.append(Grid([f"principal {label}, {unit}", *(f"direction {axis}" for axis in axes)], rows))
        diagonal = np.diag(tensor)
        if diagonal.any():
            gap = float((np.diag(upper - tensor) / diagonal.max()).max())
            sentences.append(f"The diagonal of the {label} is known to {gap:.1%} of its largest element or better.")
        sentences += _compared_with_axes(name, diagonal, directional)
    text = (
        "Tensors are those of a medium that repeats the volume along all axes. Where the volume is not a period of the "
        "membrane, pores at opposite faces do not meet, so that the values are below those along the axes; principal "
        "directions and ratios suffer less. " + " ".join(sentences)
    )
    return Section("Transport tensors", text, grids)


def _compared_with_axes(name: str, diagonal: np.ndarray, directional: xr.Dataset | None) -> Sequence[str]:
    """The diagonal over the values between faces."""
    variable = {"permeability": "permeability", "diffusivity": "effective_diffusivity"}[name]
    if directional is None or variable not in directional:
        return []
    along: Mapping[str, float] = {
        str(axis): float(value)
        for axis, value in zip(
            directional.direction.values, directional[variable].isel(replicate=0).values, strict=True
        )
        if value > 0
    }
    ratios = [f"{diagonal['zyx'.index(axis)] / value:.2f} ({axis})" for axis, value in along.items()]
    return [f"It is {', '.join(ratios)} times the value along the axis."] if ratios else []


def _number(value: float) -> str:
    return f"{float(value):.4g}" if np.isfinite(value) else "-"
