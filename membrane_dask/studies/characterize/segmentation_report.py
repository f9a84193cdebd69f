"""Section of a report on the segmentation of grey volumes."""

from __future__ import annotations

from membrane_dask.engine.run import Run
from membrane_dask.report.page import Grid, Section
from membrane_dask.studies.segmentation_remarks import PREFIX


def segmentation_sections(run: Run) -> list[Section]:
    """Thresholds, brightness of slices, shading and bias of every grey volume; none where all are segmented."""
    rows = [
        [*str(name).removeprefix(PREFIX).rsplit(", ", 1), str(text)]
        for name, text in run.result.attrs.items()
        if str(name).startswith(PREFIX)
    ]
    if not rows:
        return []
    text = (
        "Grey values were segmented as they were read. The bias is that of segmented slices which are imaged with "
        "their blur, noise and levels, and segmented again; properties are not corrected by it."
    )
    return [Section("Segmentation", text, [Grid(["volume", "subject", "result"], rows)])]
