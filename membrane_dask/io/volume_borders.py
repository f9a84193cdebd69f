"""Databars burnt into the planes of a volume, which no metadata name."""

from __future__ import annotations

from typing import Any

import numpy as np

from membrane_dask.physics.imaging.databar import find_strips

#: Planes that are compared, as fractions of their number.
_PLANES = (0.25, 0.5, 0.75)


def databar_remarks(array: Any) -> list[tuple[str, str]]:
    """Strips of flat rows that all compared planes of a file have in the same rows: subject and text.

    Parameters
    ----------
    array : array, ``(plane, row, column)``
        Volume in the order of the file.
    """
    numbers = sorted({int(array.shape[0] * fraction) for fraction in _PLANES})
    planes = (np.asarray(array[k]) for k in numbers)
    strips_of = [
        {(s.start, s.stop): s for s in find_strips(plane.view(np.uint8) if plane.dtype == bool else plane)}
        for plane in planes
    ]
    common = set.intersection(*(set(strips) for strips in strips_of))
    remarks = []
    for start, stop in sorted(common):
        strip, n_rows = strips_of[0][start, stop], int(array.shape[1])
        border = f"the last {n_rows - start}" if stop == n_rows else f"the first {stop}" if start == 0 else "the"
        rows = f"{border} rows of the planes ({start} to {stop - 1} of {n_rows})"
        remarks.append(
            (
                "databar",
                f"{rows} look like a databar, {strip.fraction:.0%} have the value {strip.grey:g}: they are measured as "
                "well; cut them from the images if they are no structure",
            )
        )
    return remarks
