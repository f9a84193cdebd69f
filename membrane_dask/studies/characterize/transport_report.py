"""Sections of the report on transport along several axes, and on its tensors."""

from __future__ import annotations

import numpy as np
import xarray as xr

from membrane_dask.number_text import compact
from membrane_dask.report.page import Grid, Section

_TENSORS = {"permeability": ("permeability", "m²"), "diffusivity": ("effective diffusivity", "of that in free fluid")}


def resolution_text(first: xr.Dataset, wall_model: str) -> str:
    """Sentences on the error of the resolution and of the solver, ending with a space.

    Parameters
    ----------
    first : xarray.Dataset
        Properties of one volume, in which liquid flows.
    wall_model : str
        That of the study, whose solution the upper bound is of.
    """
    smooth, staircase = (float(first[f"permeability_{name}_walls"]) for name in ("smooth", "staircase"))
    reading = float(first[f"permeability_{wall_model}_walls"])
    accuracy = f"{float(first.permeability_upper_bound) / reading - 1:.1%}"
    solver = f"The flow with the wall model of the study is known to {accuracy} or better on this grid. "
    if not (np.isfinite(smooth) and np.isfinite(staircase)):
        return f"One of the wall models did not converge, so that the error of the resolution is not known. {solver}"
    return (
        f"With the error of the resolution it is between {float(first.permeability_low):.3g} and "
        f"{float(first.permeability_high):.3g} m²: such an interval contained the permeability of about 90 % of the "
        "bodies whose value is known. The image does not show how the walls run between its voxels: smooth walls give "
        f"{smooth:.3g} m², staircases of voxels {staircase:.3g} m². {solver}"
    )


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
        [
            f"{variable.attrs['long_name']}, {variable.attrs['units']} ({name})",
            *map(_number, variable.values),
        ]
        for name, variable in first.data_vars.items()
    ]
    sentences = [
        f"{label} along the axes differs by a factor of {_number(float(values.max() / values.min()))}."
        for label, values in (
            ("The permeability", first.get("permeability")),
            ("The effective diffusivity", first.get("effective_diffusivity")),
        )
        if values is not None and float(values.min()) > 0
    ]
    sentences.append("Each axis is measured between its two faces, with the other four as in the study.")
    return Section("Transport along the axes", " ".join(sentences), [Grid(["property", *axes], rows)])


def tensor_section(tensors: xr.Dataset) -> Section:
    """Tensors with their bounds, principal values and directions.

    Parameters
    ----------
    tensors : xarray.Dataset
        Group ``tensors``.
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
        asymmetry = float(first[f"{name}_tensor_asymmetry"])
        if np.isfinite(upper).all() and tensor.any():
            gap = float((np.diag(upper - tensor) / np.diag(tensor).max()).max())
            sentences.append(
                f"The solution for the {label} on this grid is known to {gap:.1%} of the largest element or better."
            )
        if asymmetry:
            sentences.append(
                f"The measured {label} differs from its symmetric part by up to {asymmetry / 2:.0%} of the mean of the "
                "diagonal, by the finite size of the sample."
            )
    if tensors.attrs.get("method") == "periodic":
        text = "Tensors are those of a medium that repeats the volume along all axes. "
    else:
        text = "Tensors connect the volume averages of velocity or flux and of force in the transport along the axes. "
    return Section("Transport tensors", text + " ".join(sentences), grids)


def _number(value: float) -> str:
    return compact(float(value), 4)
