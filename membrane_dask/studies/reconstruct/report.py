"""The report of a reconstruction: what was seen, what was found, how sure it is."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Affine2D

from membrane_dask.engine.run import Run
from membrane_dask.report.page import STYLE, Grid, Section, picture
from membrane_dask.studies.reconstruct.compare_descriptors import texture
from membrane_dask.studies.reconstruct.program import interval

#: Confidence of the intervals.
_CONFIDENCE = 0.9
#: Half-width of an interval, as a share of the value, at which an image counts as big enough.
_ENOUGH = 0.05
_SEEN, _FOUND = "#111111", "#1f5fa8"


def sections(run: Run) -> list[Section]:
    """All of the page, for what is done."""
    tree = run.result
    micrograph = tree["micrograph"].to_dataset().load()
    found = [_what_was_seen(micrograph)]
    if "structures" in tree.children:
        chosen = tree["structures"].to_dataset().load()
        volumes = [run.volume(f"structure-{r}") for r in range(chosen.sizes["replicate"])]
        whole = [r for r, share in enumerate(chosen.volume_porosity.values) if np.isfinite(share)]
        found.append(_what_was_found(chosen))
        if whole and whole[0] == 0:
            found += [_the_structure(micrograph, volumes[0]), _texture(micrograph, [volumes[r] for r in whole])]
    found.append(_search(tree["trials"].to_dataset().load()))
    return found


def draw_block(axis: Axes, volume: np.ndarray) -> None:
    """Draw a volume ``(z, y, x)`` seen from above its front edge: feed side on top, a section in front.

    Parameters
    ----------
    axis : matplotlib.axes.Axes
        Empty axes.
    volume : (z, y, x) ndarray
        0 in pores, 255 in the solid.
    """
    depth, across, along = volume.shape
    lean = 0.42  # how far the third axis leans back, as a share of its length
    faces = (  # image, its size, where its columns and rows run, its corner, its brightness
        (volume[:, -1, :], (along, depth), (1, 0), (0, -1), (0, 0), 1.0),  # front
        (volume[0, ::-1, :], (along, across), (1, 0), (lean, lean), (0, 0), 0.9),  # top
        (volume[:, ::-1, -1], (across, depth), (lean, lean), (0, -1), (along, 0), 0.75),  # right
    )
    for image, (width, height), columns, rows, corner, light in faces:
        place = Affine2D(np.array([*zip(columns, rows, corner, strict=True), (0, 0, 1)], float))
        axis.imshow(
            image / 255 * light, cmap="gray", vmin=0, vmax=1, extent=(0, width, 0, height), origin="lower",
            transform=place + axis.transData,
        )  # fmt: skip
    axis.set(xlim=(-2, along + lean * across + 2), ylim=(-depth - 2, lean * across + 2), aspect="equal")
    axis.axis("off")


def _what_was_seen(micrograph: xr.Dataset) -> Section:
    how = {name.removeprefix("segmentation_"): value for name, value in micrograph.attrs.items()}
    porosity = float((micrograph.solid == 0).mean())
    text = (
        f"Segmented by {how['method']}. The brightness of the solid differs by {how['shading']:.0%} across the image "
        f"and by {how['curtaining']:.1%} from column to column; {how['separation']:.0%} of the variance of grey lies "
        f"between the two phases. The porosity seen is {porosity:.3f}; segmenting a rendering of the result again "
        f"changes it by {how['bias']:+.3f}, which is what segmentation may have done to it."
    )
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9, 3.4), layout="constrained")
        axes = figure.subplots(1, 2, sharey=True)
        for axis, name in zip(axes, ("image", "solid"), strict=True):
            axis.imshow(micrograph[name], cmap="gray", extent=_extent(micrograph), interpolation="nearest")
            axis.set(title={"image": "micrograph", "solid": "pores (black) and solid"}[name], xlabel="x [nm]")
        axes[0].set_ylabel("depth [nm]")
    words = "The micrograph and what was told to be pores in it."
    return Section("What was seen", text, [picture(figure, words, words)])


def _extent(data: Any) -> tuple[float, float, float, float]:
    return (0, float(data.x[-1]), float(data.z[-1]), 0)


def _what_was_found(chosen: xr.Dataset) -> Section:
    several = chosen.sizes["replicate"] > 2
    rows = []
    for knot in range(chosen.sizes["knot"]):
        one = chosen.isel(knot=knot)
        rows.append(
            (
                f"{float(one.knot):.0f}",
                _with_interval(one.correlation_length, 1),
                _with_interval(one.sigma, 1),
                _with_interval(one.porosity, 3),
            )
        )
    header = ("depth, nm", "half-correlation length, nm", "width of the field, nm", "porosity before closing")
    whole = [
        ("porosity of the volume", _with_interval(chosen.volume_porosity, 3)),
        *(
            (f"porosity of quarter {q + 1} of the depth", _with_interval(chosen.quarter_porosity.isel(quarter=q), 3))
            for q in range(4)
        ),
        ("closing radius, nm", _values(chosen.closing_radius, 1)),
        ("roughness", _values(chosen.roughness, 2)),
    ]
    text = (
        f"Best match, with {_CONFIDENCE:.0%} intervals from {chosen.sizes['replicate'] - 1} structures that were "
        "matched to what other sections of the best match would have shown. " + _big_enough(chosen)
        if several
        else "The best match. Ask for replicates to learn how sure it is: replicates: 6 gives intervals."
    )
    return Section("What was found", text, [Grid(("property", "value"), whole), Grid(header, rows)])


def _big_enough(chosen: xr.Dataset) -> str:
    low, high = interval(chosen.volume_porosity, _CONFIDENCE)
    half = float(high - low) / 2 / float(chosen.volume_porosity.isel(replicate=0))
    if not np.isfinite(half):
        return ""
    if half <= _ENOUGH:
        return f"The image is big enough to know the porosity within {half:.1%}."
    more = (half / _ENOUGH) ** 2
    return (
        f"The image tells the porosity within {half:.0%}: to know it within {_ENOUGH:.0%}, images of {more:.1f} times "
        "this area are needed, or as many more of this size."
    )


def _with_interval(values: xr.DataArray, digits: int) -> str:
    best = float(values.isel(replicate=0))
    low, high = (float(end) for end in interval(values, _CONFIDENCE))
    if not np.isfinite(best):
        return "-"
    return f"{best:.{digits}f}" + (f" [{low:.{digits}f}, {high:.{digits}f}]" if np.isfinite(low) else "")


def _values(values: xr.DataArray, digits: int) -> str:
    """All that were found: what comes in steps has no interval."""
    found, counts = np.unique(values.values.round(digits), return_counts=True)
    if len(found) == 1:
        return f"{found[0]:.{digits}f}"
    times = ", ".join(f"{value:.{digits}f} ({count}x)" for value, count in zip(found, counts, strict=True))
    return f"{float(values.isel(replicate=0)):.{digits}f}; in all {times}"


def _the_structure(micrograph: xr.Dataset, volume: Any) -> Section:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9, 3.8), layout="constrained")
        axes = figure.subplots(1, 2, width_ratios=(1.2, 1))
        middle = volume.isel(y=volume.sizes["y"] // 2)
        axes[0].imshow(middle, cmap="gray", extent=_extent(volume), interpolation="nearest")
        axes[0].set(title="a section of the structure", xlabel="x [nm]", ylabel="depth [nm]")
        step = max(1, max(volume.shape) // 512)
        draw_block(axes[1], volume[::step, ::step, ::step].values)
        axes[1].set_title("the structure")
    sizes = " x ".join(f"{n}" for n in volume.shape)
    spacing = float(micrograph.x[1] - micrograph.x[0])
    words = f"The best match: {sizes} voxels (depth, across, along) of {spacing:g} nm."
    return Section("The structure", "", [picture(figure, words, words)])


def _texture(micrograph: xr.Dataset, volumes: list[Any]) -> Section:
    found = texture(micrograph, volumes)
    window = max(1, found.sizes["z"] // 24)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9, 5.6), layout="constrained")
        profile, two_point, chords, openings = figure.subplots(2, 2).ravel()
        for number, source in enumerate(found.source.values):
            one, style = found.sel(source=source), _FOUND if number else _SEEN
            _line(profile, one.z.values, _smoothed(one.porosity.values, window), style)
            _line(two_point, one.lag.values, one.correlation.values, style)
            _line(chords, one.chord.values, np.maximum(one.chords.values, 1e-5), style)
            _line(openings, one.radius.values, one.opened.values, style)
        profile.set(xlabel="depth [nm]", ylabel="porosity", ylim=(0, None))
        two_point.set(xlabel="distance [nm]", ylabel="correlation along the section")
        chords.set(xlabel="chord in pores [nm]", ylabel="share of chords per pixel", yscale="log")
        openings.set(xlabel="radius [nm]", ylabel="share of the pores that\ndiscs of the radius fill", xlim=(0, None))
        profile.plot([], [], color=_SEEN, label="micrograph")
        profile.plot([], [], color=_FOUND, label="structures")
        profile.legend()
    words = "The micrograph (black) and sections of every structure (blue). The profile is a moving mean."
    rows = [
        (name, f"{values[0]:.{digits}f}", ", ".join(f"{value:.{digits}f}" for value in values[1:]))
        for name, digits, values in (
            ("porosity", 3, found.porosity.mean("z").values),
            ("mean chord in pores, nm", 1, found.mean_chord.values),
        )
    ]
    return Section(
        "Texture", "", [picture(figure, words, words), Grid(("", "micrograph", "structures, in their order"), rows)]
    )


def _line(axis: Axes, x: np.ndarray, y: np.ndarray, color: str) -> None:
    seen = color == _SEEN
    axis.plot(x, y, color=color, lw=1.6 if seen else 0.9, alpha=1 if seen else 0.7, zorder=2 if seen else 1)


def _smoothed(values: np.ndarray, window: int) -> np.ndarray:
    """Moving mean; near the ends of what is there."""
    weights = np.ones(window)
    return np.asarray(np.convolve(values, weights, "same") / np.convolve(np.ones(len(values)), weights, "same"))


def _search(trials: xr.Dataset) -> Section:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9, 2.6), layout="constrained")
        axis = figure.subplots()
        for objective in trials.objective.values:
            axis.plot(objective, "o", color="#999", ms=3)
            axis.plot(np.fmin.accumulate(objective), color=_FOUND, lw=0.9)
        axis.set(xlabel="trial", ylabel="objective", yscale="log")
    words = "Every trial of every replicate (grey) and the best so far (blue)."
    return Section("The search", "", [picture(figure, words, words)])
