"""Report of a reconstruction: segmentation, matched structures with confidence intervals, and the search."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from membrane_dask.engine.run import Run
from membrane_dask.number_text import lengths_text, quantity_column, quantity_text
from membrane_dask.physics.reconstruction.replicate_interval import (
    INDEPENDENT_SEARCHES,
    MIN_REPLICATES,
    replicate_interval,
)
from membrane_dask.report.page import STYLE, Grid, Section, from_columns, picture
from membrane_dask.report.pictures import draw_solid, volume_solid
from membrane_dask.report.turning_volume import turning_volume
from membrane_dask.studies.reconstruct.compare_descriptors import compare_descriptors
from membrane_dask.studies.reconstruct.fit_report import goodness_of_fit_section
from membrane_dask.studies.reconstruct.segmentation_report import (
    segmentation_bias_section,
    segmentation_methods_section,
)

#: Confidence of the intervals of replicates around a best match, and of the mean of independent searches.
_CONFIDENCE, _SEARCH_CONFIDENCE = 0.9, 0.95
#: Half-width of an interval, as a fraction of the value, for which an image is large enough.
_PRECISION = 0.05
#: Width of a panel of two, inches.
_PANEL = 4.1
_MICROGRAPH: Mapping[str, Any] = {"color": "#111111", "lw": 1.6, "zorder": 2}
_STRUCTURES: Mapping[str, Any] = {"color": "#1f5fa8", "lw": 0.9, "alpha": 0.7, "zorder": 1}


def sections(run: Run) -> list[Section]:
    """Sections of the report, as far as the run has come."""
    tree = run.result
    micrographs = tables(tree, "micrograph")
    page = [_segmentation(micrograph, name) for name, micrograph in micrographs.items()]
    for name, segmentations in tables(tree, "segmentations").items():
        of = name.replace("segmentations", "micrograph")
        page.append(segmentation_methods_section(segmentations, micrographs[of], of))
    if "imaging" in tree.children:
        page.append(_imaging(tree["imaging"].to_dataset().load()))
    fit = tree["goodness_of_fit"].to_dataset().load() if "goodness_of_fit" in tree.children else None
    if "structures" in tree.children:
        structures = tree["structures"].to_dataset().load()
        volumes = [run.volume(f"structure-{r}") for r in range(structures.sizes["replicate"])]
        complete = [r for r, porosity in enumerate(structures.volume_porosity.values) if np.isfinite(porosity)]
        size = volumes[0].shape, float(volumes[0].attrs["voxel_size_nm"])
        doubt = "as the micrograph differs from the model" if fit is not None and fit.flagged.any() else ""
        if "imaging" in tree.children and tree["imaging"].attrs.get("summary"):
            doubt = "as the blur is too large for the finest pores, whose sizes are upper bounds"
        page.append(_reconstruction(structures, *size, doubt=doubt))
        if complete and complete[0] == 0:
            page.append(_structure(run, next(iter(micrographs.values())), volumes[0]))
            comparable = [one for one in micrographs.values() if _is_comparable(one, volumes[0])]
            page += [_descriptors(one, [volumes[r] for r in complete]) for one in comparable[:1]]
    if "segmentation_bias" in tree.children:
        page.append(segmentation_bias_section(tree["segmentation_bias"].to_dataset().load()))
    if fit is not None:
        page.append(goodness_of_fit_section(fit, list(tables(tree, "distance_distributions").values())))
    page.append(_search(tree["trials"].to_dataset().load()))
    return page


def tables(tree: xr.DataTree, name: str) -> dict[str, xr.Dataset]:
    """Tables of all micrographs, by name: ``name`` of a single one, or ``name-0``, ``name-1``, ..."""
    if name in tree.children:
        return {name: tree[name].to_dataset().load()}
    names = [f"{name}-{number}" for number in range(len(tree.children)) if f"{name}-{number}" in tree.children]
    return {one: tree[one].to_dataset().load() for one in names}


def _is_comparable(micrograph: xr.Dataset, volume: Any) -> bool:
    """Whether a micrograph shows the depth of a volume at its voxel size."""
    pixel = float(micrograph.x[1] - micrograph.x[0])
    size = micrograph.sizes["z"] == volume.sizes["z"]
    return size and bool(np.isclose(pixel, float(volume.attrs["voxel_size_nm"]), rtol=0.02))


def _segmentation(micrograph: xr.Dataset, table: str) -> Section:
    attrs = {name.removeprefix("segmentation_"): value for name, value in micrograph.attrs.items()}
    porosity = float((micrograph.solid == 0).mean())
    text = (
        f"Method: {attrs['method']}. The brightness of the solid varies by {attrs['shading']:.0%} across the image "
        f"(shading) and by {attrs['curtaining']:.1%} between columns (curtaining); {attrs['separation']:.0%} of the "
        f"variance of grey lies between the two phases. The porosity of the section is {porosity:.3f}, of which "
        f"segmentation adds an estimated {attrs['bias']:+.3f}: the result was rendered and segmented again."
    )
    figure = micrograph_figure(micrograph)
    caption = "The micrograph and its segmentation."
    remarks = [str(line).partition(": ")[::2] for line in micrograph.attrs.get("remarks", ())]
    title = "Segmentation" if table == "micrograph" else f"Segmentation of {table}"
    return Section(title, text, [picture(figure, caption, caption), Grid(("micrograph", ""), remarks)])


def micrograph_figure(micrograph: xr.Dataset) -> Figure:
    """A micrograph and its segmentation side by side, in a figure as high as they need."""
    with mpl.rc_context(STYLE):
        height = float(np.clip(_PANEL * micrograph.sizes["z"] / micrograph.sizes["x"], 0.6, 6.0))
        figure = Figure(figsize=(9, height + 0.8), layout="compressed")
        axes = figure.subplots(1, 2, sharey=True)
        for axis, name in zip(axes, ("image", "solid"), strict=True):
            axis.imshow(micrograph[name], cmap="gray", extent=_extent(micrograph), interpolation="nearest")
            axis.set(title={"image": "micrograph", "solid": "pores (black) and solid"}[name], xlabel="x [nm]")
        axes[0].set_ylabel("depth [nm]")
    return figure


def _imaging(imaging: xr.Dataset) -> Section:
    each: list[Any] = list(imaging.to_dataframe().itertuples())
    text = (
        "Sections of trials were blurred, noisy and segmented like the micrograph before they were compared with it. "
        "Sizes, lengths and networks of the volumes are those of the structure, without blur."
    )
    if imaging.attrs.get("summary"):
        blur = max(float(one.blur_nm) for one in each if not bool(one.resolved))
        text += (
            f" The blur, {quantity_text(blur, 'nm')}, is too large for the finest pores: sizes of the finest part of "
            "the depth are upper bounds. Use an image of higher magnification."
        )
    rows = [
        ("blur (standard deviation), pixels", *(f"{one.blur:.2f} ± {one.blur_standard_error:.2f}" for one in each)),
        ("blur, length", *(quantity_text(float(one.blur_nm), "nm") for one in each)),
        ("noise, black 0 to white 1", *(f"{one.noise:.4f} ± {one.noise_standard_error:.4f}" for one in each)),
        ("grey level of the pores", *(f"{one.pore_level:.3f} ± {one.level_standard_error:.3f}" for one in each)),
        ("grey level of the solid", *(f"{one.solid_level:.3f} ± {one.level_standard_error:.3f}" for one in each)),
        (
            "Gaussian filter before the threshold",
            *(f"{one.presmooth:g} pixels" if one.presmooth else "none" for one in each),
        ),
        ("voxels a pixel in the sections of trials", *(f"{one.supersampling}" for one in each)),
        ("pixels that the blur was estimated from", *(f"{one.edge_fraction:.0%}" for one in each)),
    ]
    header = [f"image {number}: value ± standard error" for number in range(len(each))]
    if len(each) == 1:
        header = ["value ± standard error"]
    return Section("Imaging", text, [Grid(("property", *header), rows)])


def _extent(data: Any) -> tuple[float, float, float, float]:
    return (0, float(data.x[-1]), float(data.z[-1]), 0)


def _reconstruction(structures: xr.Dataset, shape: tuple[int, ...], voxel_nm: float, *, doubt: str) -> Section:
    knots = [structures.isel(knot=number) for number in range(structures.sizes["knot"])]
    profile = [
        quantity_column("depth", "nm", [(float(depth),) for depth in structures.knot.values]),
        _column("half-correlation length in the image", "nm", [knot.correlation_length for knot in knots]),
        _column("width of the field", "nm", [knot.sigma for knot in knots]),
        _column("porosity before closing", "1", [knot.porosity for knot in knots]),
    ]
    if "anisotropy" in structures and (structures.anisotropy != 1).any():
        profile.append(_column("width along the depth over that across", "1", [knot.anisotropy for knot in knots]))
    quarters = [structures.quarter_porosity.isel(quarter=q) for q in range(4)]
    properties = [
        ("porosity of the volume", _with_interval(structures.volume_porosity)),
        *((f"porosity of quarter {q + 1} of the depth", _with_interval(one)) for q, one in enumerate(quarters)),
        ("closing radius, nm", _distinct_values(structures.closing_radius, 1)),
        ("roughness", _distinct_values(structures.roughness, 2)),
        *_macrovoid_rows(structures),
    ]
    if structures.sizes["replicate"] < MIN_REPLICATES:
        text = (
            f"Best match. For confidence intervals set replicates: {MIN_REPLICATES} or more; five make them narrower."
        )
    elif _are_independent_searches(structures):
        text = (
            f"Means of {structures.sizes['replicate']} independent searches of one micrograph, in brackets "
            "mean ± 1.96 s/√N with their standard deviation s. They describe the scatter of the search, not the "
            "distance from the membrane; for intervals that do, use search.method: direct or bayesian."
        )
    else:
        voxels, lengths = " x ".join(map(str, shape)), lengths_text(np.multiply(shape, voxel_nm))
        intervals = f"{_CONFIDENCE:.0%} confidence intervals" if not doubt else "intervals"
        text = (
            f"Best match with {intervals} from {structures.sizes['replicate'] - 1} further "
            "replicates, each matched to the micrograph as another section of the same membrane would have shown it. "
            f"Intervals of porosities are those of a volume of this size, {voxels} voxels or {lengths}. "
        ) + _precision(structures)
        if doubt:
            text += f" They do not have a confidence of {_CONFIDENCE:.0%}, {doubt}."
    return Section("Reconstruction", text, [Grid(("property", "value"), properties), from_columns(profile)])


def _macrovoid_rows(structures: xr.Dataset) -> list[tuple[str, str]]:
    """Rows of the macrovoids; empty without any."""
    if "macrovoid_number_density" not in structures:
        return []
    fraction = structures.macrovoid_fraction
    band = " to ".join(f"{float(end):.0%}" for end in structures.macrovoid_band.isel(replicate=0))
    # Per square micrometre, as numbers per square nanometre are small.
    density = (structures.macrovoid_number_density * 1e6).assign_attrs(structures.macrovoid_number_density.attrs)
    return [
        ("macrovoids per µm²", _with_interval(density)),
        ("median half-width of the macrovoids", _with_interval(structures.macrovoid_half_width, "nm")),
        ("median half-length of the macrovoids", _with_interval(structures.macrovoid_half_length, "nm")),
        ("depth of their centres", band),
        ("fraction of the volume in macrovoids", f"{float(fraction[0]):.3f}"),
        (
            "porosity between the macrovoids",
            f"{float((structures.volume_porosity[0] - fraction[0]) / (1 - fraction[0])):.3f}",
        ),
    ]


def _are_independent_searches(structures: xr.Dataset | xr.DataArray) -> bool:
    return bool(structures["replicate"].attrs.get("design") == INDEPENDENT_SEARCHES)


def _precision(structures: xr.Dataset) -> str:
    """Precision of the porosity, its contributions, and the area of image that a sufficient precision needs.

    The deviations of the sections of a replicate, which equal the image that it is matched to, are those of the image.
    Those of its volume from its sections remain, whatever the image.
    """
    if "section_porosity" not in structures:  # a run of an earlier version
        return ""
    porosity, sections = structures.volume_porosity, structures.section_porosity
    widths = [np.subtract(*replicate_interval(values, _CONFIDENCE)[::-1]) for values in (porosity, sections)]
    half, half_of_image = (float(width) / 2 / float(porosity.isel(replicate=0)) for width in widths)
    if not np.isfinite(half) or not np.isfinite(half_of_image):
        return ""
    text = f"The porosity is determined within {half:.0%}"
    if half <= _PRECISION:
        return f"{text}: the image is large enough."
    rest = np.sqrt(max(half**2 - half_of_image**2, 0.0))
    text += f": within {half_of_image:.0%} by the image, the rest by the size of the volume and its compared sections. "
    if rest >= _PRECISION:
        return text + f"For {_PRECISION:.0%}, increase volume.slices and search.slices first."
    factor = half_of_image**2 / (_PRECISION**2 - rest**2)
    return text + f"For {_PRECISION:.0%}, about {factor:.1f} times this area of images is needed."


def _interval(values: xr.DataArray) -> tuple[tuple[float, float, float], str]:
    """Value of the replicates and the ends of its interval, and a note on an interval of quantiles."""
    searches = _are_independent_searches(values)
    value = float(values.mean("replicate") if searches else values.isel(replicate=0))
    low, high = replicate_interval(values, _SEARCH_CONFIDENCE if searches else _CONFIDENCE)
    if not np.isfinite(value) or low.isnull():
        return (value, np.nan, np.nan), ""
    is_quantiles = low.attrs["interval_method"].startswith("quantiles")
    return (value, float(low), float(high)), " (quantiles)" if is_quantiles else ""


def _with_interval(values: xr.DataArray, unit: str = "1") -> str:
    numbers, note = _interval(values)
    return quantity_text(numbers[0], unit, *numbers[1:], digits=4) + note


def _column(title: str, unit: str, values: list[xr.DataArray]) -> tuple[str, list[str]]:
    """A column of values with their intervals, in a common unit."""
    each = [_interval(one) for one in values]
    header, cells = quantity_column(title, unit, [numbers for numbers, _ in each], digits=4)
    return header, [cell + note for cell, (_, note) in zip(cells, each, strict=True)]


def _distinct_values(values: xr.DataArray, digits: int) -> str:
    """Values and their frequencies; a property that the search varies in steps has no interval."""
    distinct, counts = np.unique(values.values.round(digits), return_counts=True)
    if len(distinct) == 1:
        return f"{distinct[0]:.{digits}f}"
    frequencies = ", ".join(f"{value:.{digits}f} ({count}x)" for value, count in zip(distinct, counts, strict=True))
    if _are_independent_searches(values):
        return frequencies
    return f"{float(values.isel(replicate=0)):.{digits}f}; all replicates: {frequencies}"


def _structure(run: Run, micrograph: xr.Dataset, volume: Any) -> Section:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9, 3.8), layout="compressed")
        axes = figure.subplots(1, 2, width_ratios=(1.2, 1))
        middle = volume.isel(y=volume.sizes["y"] // 2)
        axes[0].imshow(middle, cmap="gray", extent=_extent(volume), interpolation="nearest")
        axes[0].set(title="section", xlabel="x [nm]", ylabel="depth [nm]")
        solid, extent = volume_solid(run, "structure-0")
        draw_solid(axes[1], solid, extent)
        axes[1].set_title("solid")
    sizes = " x ".join(f"{n}" for n in volume.shape)
    spacing = float(micrograph.x[1] - micrograph.x[0])
    edge = quantity_text(spacing, "nm", digits=6)
    caption = f"The best match, {sizes} voxels (z, y, x) of {edge}: a section, and the solid, feed side on top."
    turning = {axes[1]: turning_volume(solid, extent)}
    return Section("Structure", "", [picture(figure, caption, caption, turning)])


def _descriptors(micrograph: xr.Dataset, volumes: list[Any]) -> Section:
    descriptors = compare_descriptors(micrograph, volumes)
    window = max(1, descriptors.sizes["z"] // 24)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9, 5.6), layout="constrained")
        profile, correlation, chords, openings = figure.subplots(2, 2).ravel()
        for number, source in enumerate(descriptors.source.values):
            one, style = descriptors.sel(source=source), _STRUCTURES if number else _MICROGRAPH
            profile.plot(one.z.values, _moving_mean(one.porosity.values, window), **style)
            correlation.plot(one.lag.values, one.correlation.values, **style)
            chords.plot(one.chord.values, np.where(one.chords > 0, one.chords, np.nan), **style)
            openings.plot(one.radius.values, one.opened.values, **style)
        profile.set(xlabel="depth [nm]", ylabel="porosity", ylim=(0, None))
        correlation.set(xlabel="lag [nm]", ylabel="autocorrelation along the section")
        chords.set(
            xlabel="chord length in pores [nm]", ylabel="fraction of chords per pixel", yscale="log", ylim=(1e-5, None)
        )
        openings.set(xlabel="radius [nm]", ylabel="fraction of the pores\nleft by an opening", xlim=(0, None))
        profile.plot([], [], color=_MICROGRAPH["color"], label="micrograph")
        profile.plot([], [], color=_STRUCTURES["color"], label="structures")
        profile.legend()
    caption = "The micrograph and sections of every structure. The profile is a moving mean."
    rows = [
        (name, f"{values[0]:.{digits}f}", ", ".join(f"{value:.{digits}f}" for value in values[1:]))
        for name, digits, values in (
            ("porosity", 3, descriptors.porosity.mean("z").values),
            ("mean chord length in pores, nm", 1, descriptors.mean_chord.values),
        )
    ]
    header = ("", "micrograph", "structures, by replicate")
    return Section("Descriptors", "", [picture(figure, caption, caption), Grid(header, rows)])


def _moving_mean(values: np.ndarray, window: int) -> np.ndarray:
    """Moving mean; near the ends, of the values within the window."""
    weights = np.ones(window)
    return np.asarray(np.convolve(values, weights, "same") / np.convolve(np.ones(len(values)), weights, "same"))


def _search(trials: xr.Dataset) -> Section:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9, 2.6), layout="constrained")
        axis = figure.subplots()
        for objective in trials.objective.values:
            axis.plot(objective, "o", color="#999", ms=3, label="trial")
            axis.plot(np.fmin.accumulate(objective), color=_STRUCTURES["color"], lw=0.9, label="smallest so far")
        axis.legend(*(one[:2] for one in axis.get_legend_handles_labels()))
        axis.set(xlabel="trial", ylabel="objective", yscale="log")
    caption = "Objective of every trial of every replicate (grey) and its smallest value so far (blue)."
    return Section("Search", "", [picture(figure, caption, caption)])
