"""Report of the segmentation: methods side by side, with pictures of a part of the micrograph, and its bias."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from membrane_dask.number_text import quantity_column
from membrane_dask.report.page import STYLE, Grid, Picture, Section, from_columns, picture

#: Edge of the part that is shown, pixels.
_EDGE = 128
#: Colours of pixels that only the method, and only the one that is used, takes for pores; of the other phases.
_ADDED, _REMOVED, _PORE, _SOLID = (217, 95, 2), (55, 126, 184), (25, 25, 25), (235, 235, 235)
#: Pictures in a row.
_COLUMNS = 3


def segmentation_methods_section(
    segmentations: xr.Dataset, micrograph: xr.Dataset, table: str = "micrograph"
) -> Section:
    """Section of the report.

    Parameters
    ----------
    segmentations, micrograph : xarray.Dataset
        Groups of the result.
    table : str
        Name of the group of the micrograph.
    """
    methods = [segmentations.isel(method=k) for k in range(segmentations.sizes["method"])]
    porosity = segmentations.porosity[segmentations.failure.values == ""]
    text = (
        "The micrograph was segmented by each method, with the same filters; * is the one that the study uses. The "
        "last column is the porosity that a method adds to an image of a known section: the segmentation of the study, "
        "rendered with the grey levels, shading, blur and noise of the micrograph. Porosities differ by up to "
        f"{float(porosity.max() - porosity.min()):.3f}."
    )
    failures = [f"{one.method.item()}: {one.failure.item()}" for one in methods if one.failure.item()]
    if failures:
        text += f" Not usable here are {'; '.join(failures)}."
    lengths = [[(float(one.correlation_length[quarter]),) for one in methods] for quarter in (0, -1)]
    columns = [
        ("method", [_name(one) for one in methods]),
        ("porosity", [f"{float(one.porosity):.3f}" for one in methods]),
        quantity_column("half-correlation length, upper quarter", "nm", lengths[0]),
        quantity_column("lower quarter", "nm", lengths[1]),
        ("pixels that differ", [f"{float(one.difference):.1%}" for one in methods]),
        ("adds to the porosity", [f"{float(one.bias):+.3f}" for one in methods]),
    ]
    title = "Segmentation methods" + (f" on {table}" if table != "micrograph" else "")
    return Section(title, text, [from_columns(columns), _figure(methods, micrograph)])


def segmentation_bias_section(bias: xr.Dataset) -> Section:
    """Section of the report on the bias of the segmentation.

    Parameters
    ----------
    bias : xarray.Dataset
        Group ``segmentation_bias`` of the result.
    """
    text = (
        "Sections of the best match, blurred, noisy and segmented like the micrograph, compared with the sections "
        "themselves: the porosity that the segmented image adds, and by how much its half-correlation length is too "
        "large. The reconstruction is without this bias; numbers that are measured in the segmented image have it."
    )
    header = ("", "porosity", "half-correlation length")
    rows = [
        (
            f"quarter {quarter + 1} of the depth" + (f", image {one.image.item()}" if bias.sizes["image"] > 1 else ""),
            f"{float(one.porosity[quarter]):+.3f}",
            _percent(float(one.correlation_length[quarter])),
        )
        for one in (bias.isel(image=k) for k in range(bias.sizes["image"]))
        for quarter in range(bias.sizes["quarter"])
    ]
    return Section("Bias of the segmentation", text, [Grid(header, rows)])


def _percent(change: float) -> str:
    return f"{change:+.0%}" if np.isfinite(change) else "-"


def _name(one: xr.Dataset) -> str:
    return f"{one.method.item()}{' *' if int(one.used) else ''}"


def _figure(methods: list[xr.Dataset], micrograph: xr.Dataset) -> Picture:
    rows, columns = _largest_difference(np.stack([one.solid.values for one in methods if not one.failure.item()]))
    reference = micrograph.solid.values[rows, columns] == 0
    n_rows = -(-(len(methods) + 1) // _COLUMNS)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9, 3.2 * n_rows), layout="compressed")
        axes = figure.subplots(n_rows, _COLUMNS, squeeze=False).ravel()
        _show(axes[0], micrograph.image.values[rows, columns], "micrograph")
        for axis, one in zip(axes[1:], methods, strict=False):
            _show(axis, _coloured(one.solid.values[rows, columns] == 0, reference), _name(one))
        for axis in axes[len(methods) + 1 :]:
            axis.axis("off")
    z, x = (f"{float(axis[window.start]):.4g} to {float(axis[window.stop - 1]):.4g} nm" for axis, window in
            ((micrograph.z, rows), (micrograph.x, columns)))  # fmt: skip
    caption = (
        f"The part in which the methods differ most, at a depth of {z} and at x = {x}. Orange: pore by this method "
        "only; blue: pore only by the method that is used (*)."
    )
    return picture(figure, caption, caption)


def _show(axis: Axes, image: np.ndarray, title: str) -> None:
    axis.imshow(image, cmap="gray", interpolation="nearest")
    axis.set(title=title, xticks=[], yticks=[])


def _coloured(pores: np.ndarray, reference: np.ndarray) -> np.ndarray:
    image = np.where(pores[..., None], np.array(_PORE, "u1"), np.array(_SOLID, "u1"))
    image[pores & ~reference] = _ADDED
    image[~pores & reference] = _REMOVED
    return image


def _largest_difference(solids: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns of the square in which most pixels have not the same phase by all methods that serve."""
    differing = (solids != solids[0]).any(axis=0)
    depth, width = differing.shape
    counts = np.pad(differing.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    n_rows, n_columns = min(_EDGE, depth), min(_EDGE, width)
    inside = counts[n_rows:, n_columns:] - counts[:-n_rows, n_columns:]
    inside = inside - (counts[n_rows:, :-n_columns] - counts[:-n_rows, :-n_columns])
    row, column = np.unravel_index(int(inside.argmax()), inside.shape)
    return slice(int(row), int(row) + n_rows), slice(int(column), int(column) + n_columns)
