"""Section of the report of a characterize run that shows the volume by its middle planes."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib as mpl
import xarray as xr
from matplotlib.figure import Figure

from membrane_dask.number_text import quantity_text
from membrane_dask.report.page import STYLE, Section, picture
from membrane_dask.studies.characterize.sections import AXES

#: Tables of sections and what they show.
_VOLUMES = {"sections": "replicate 0", "reference_sections": "reference"}


def volume_sections(groups: Mapping[str, xr.Dataset]) -> list[Section]:
    """Middle planes of the first volume and the reference, pores dark; nothing where a run has none.

    Parameters
    ----------
    groups : mapping of str to Dataset
        Tables of the result.
    """
    shown = {label: groups[name] for name, label in _VOLUMES.items() if name in groups}
    if not shown:
        return []
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9, 3.1 * len(shown)), layout="compressed")
        rows = figure.subplots(len(shown), len(AXES), squeeze=False)
        for axes, (label, sections) in zip(rows, shown.items(), strict=True):
            for axis, (normal, (vertical, horizontal)) in zip(axes, AXES.items(), strict=True):
                height, width = (float(sections[side][-1] + sections[side][0]) for side in (vertical, horizontal))
                image = 1 - sections[f"section_{normal}"].values
                axis.imshow(image, "gray", extent=(0, width, height, 0), vmin=0, vmax=1, interpolation="nearest")
                axis.spines[:].set_visible(True)
                middle = float(sections[normal][-1] + sections[normal][0]) / 2
                name = "depth" if normal == "z" else normal
                axis.set(title=f"{label}, {name} {quantity_text(middle, 'nm', digits=4)}", xlabel=f"{horizontal} [nm]")
                axis.set_ylabel("depth [nm]" if vertical == "z" else f"{vertical} [nm]")
    caption = "Middle planes across the depth, y and x; pores black, solid white. Depth increases downwards."
    return [Section("Volume", "", [picture(figure, caption, caption)])]
