"""Report of the goodness of fit: findings in words, distance distributions with envelopes, table of statistics."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from membrane_dask.physics.reconstruction.goodness_of_fit import NOTHING_FLAGGED
from membrane_dask.report.page import STYLE, Grid, Picture, Section, picture

#: Statistics that the table shows first; the others on request.
_SHOWN = 10
_MICROGRAPH, _MODEL = "#111111", "#1f5fa8"


def goodness_of_fit_section(fit: xr.Dataset, distances: Sequence[xr.Dataset]) -> Section:
    """Section of the report.

    Parameters
    ----------
    fit : xarray.Dataset
        Group ``goodness_of_fit``.
    distances : sequence of xarray.Dataset
        Group ``distance_distributions`` of each micrograph.
    """
    sentences = list(fit.attrs["summary"])
    replicates = int(fit.attrs["replicates"])
    source = f"{replicates} replicates" if replicates > 1 else "the best match"
    method = (
        f"{int(fit.attrs['sections'])} sections of {source}, imaged and segmented like the micrograph, were compared "
        f"with it: statistics in {len(set(fit.group.values.tolist()))} groups, at a significance level of "
        f"{float(fit.attrs['significance']):.0%} for all together."
    )
    text = " ".join([*sentences, method])
    if sentences == [NOTHING_FLAGGED]:
        text += " Structures unlike Gaussian level sets, such as rock, may pass unnoticed in images of this size."
    rows = [
        (
            str(one.statistic.values) + (" *" if int(one.flagged) else ""),
            f"{float(one.observed):.3f}",
            f"{float(one.predicted_mean):.3f} ± {float(one.predicted_standard_deviation):.3f}",
            f"{float(one.p_value):.2g}",
            f"{float(one.group_p_value):.2g}" if "group_p_value" in one else "",
        )
        for one in (fit.isel(statistic=k) for k in np.lexsort((fit.p_value.values, 1 - fit.flagged.values)))
    ]
    header = ("statistic", "micrograph", "sections of the model", "p", "p of the group")
    caption = (
        "Statistics, mostly logarithms, those that differ most first; * differs. The p-value of a group is that of all "
        "its statistics."
    )
    grid = Grid(header, rows, caption, max(_SHOWN, int(fit.flagged.sum())))
    figures = [_distance_figure(one, number if len(distances) > 1 else None) for number, one in enumerate(distances)]
    return Section("Goodness of fit", text, [*figures, grid])


def _distance_figure(distances: xr.Dataset, image: int | None = None) -> Picture:
    names = distances.attrs["section_meanings"], ("pores", "solid")
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9, 5.2), layout="constrained")
        axes = figure.subplots(2, 2, sharey=True)
        for phase in range(2):
            for section in range(2):
                axis, one = axes[phase, section], distances.isel(phase=phase, section=section)
                x = one.distance.values
                axis.fill_between(
                    x,
                    one.envelope_low,
                    one.envelope_high,
                    color=_MODEL,
                    alpha=0.25,
                    lw=0,
                    label="5 to 95 % of sections",
                )
                axis.plot(x, one.best_match, color=_MODEL, lw=1.2, label="best match")
                axis.plot(x, one.micrograph, color=_MICROGRAPH, lw=1.4, label="micrograph")
                axis.set(title=f"{names[1][phase]}, {names[0][section]}", xlim=(0, None), ylim=(0, 1.02))
        for axis in axes[1]:
            axis.set_xlabel("distance to the other phase [nm]")
        for axis in axes[:, 0]:
            axis.set_ylabel("fraction of the phase below")
        axes[0, 0].legend(loc="lower right")
    caption = (
        "Distribution of the distance to the other phase: micrograph, mean of the sections of the best match, and the "
        "range from 5 to 95 % of all sections at each distance."
    )
    if image is not None:
        caption = f"Image {image}. {caption}"
    return picture(figure, caption, caption)
