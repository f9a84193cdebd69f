"""Sections of the report on the tables of Palencia et al.: each printed number with the recomputed one."""

from __future__ import annotations

from collections import Counter

import xarray as xr

from membrane_dask.number_text import compact
from membrane_dask.report.page import Grid, Section

_OUTCOMES = {
    "reproduced": "✓ reproduced",
    "rounding": "≈ rounding",
    "decade": "10ˣ decade",
    "by eye": "≈ by eye",
    "plausible": "~ plausible",
    "undefined": "? undefined",
    "not": "✗ not",
}
_MARKS = {
    "reproduced": "✓",
    "rounding": "≈",
    "decade": "10ˣ",
    "by eye": "≈ by eye",
    "plausible": "~",
    "undefined": "?",
    "not": "✗",
}


def reproduction_section(cells: xr.Dataset) -> Section:
    """Counts of outcomes, and each table of the paper."""
    tables = list(dict.fromkeys(cells.table.values.tolist()))
    rows = []
    for table in tables:
        counts = Counter(cells.outcome.values[cells.table.values == table].tolist())
        rows.append([table, *(str(counts.get(outcome, 0) or "") for outcome in _OUTCOMES)])
    totals = Counter(cells.outcome.values.tolist())
    rows.append(["all", *(str(totals.get(outcome, 0)) for outcome in _OUTCOMES)])
    text = (
        f"{sum(totals.values())} printed numbers, each recomputed from other printed numbers. ✓: agrees to the printed "
        "digit. ≈: agrees within the rounding of its inputs, or, by eye, within the precision of reading a figure. "
        "10ˣ: agrees except for a power of ten. ~: within the range of averages of random errors. ?: the paper "
        "does not define it. ✗: does not agree. "
        "Tables 6 and 14 include controls that must fail: Eq. 22 as printed, and Eq. 22 with the division that Table "
        "14 omits."
    )
    counts_table = Grid(("table", *_OUTCOMES.values()), rows)
    return Section(
        "Reproduction of the published tables", text, [counts_table, *(_cells(cells, table) for table in tables)]
    )


def _cells(cells: xr.Dataset, table: str) -> Grid:
    selection = cells.isel(cell=cells.table.values == table)
    columns = ("membrane_name", "quantity_name", "printed", "recomputed", "outcome")
    texts = {}
    for membrane, quantity, printed, recomputed, outcome in zip(*(selection[c].values for c in columns), strict=True):
        value = "" if outcome == "reproduced" else f" {compact(float(recomputed), 4)}"
        texts[membrane, quantity] = f"{printed}\u00a0{_MARKS[outcome]}{value}"
    quantities = list(dict.fromkeys(selection.quantity_name.values.tolist()))
    membranes = list(dict.fromkeys(selection.membrane_name.values.tolist()))
    name = "Numbers in the text" if table == "text" else f"Table {table}"
    caption = f"{name}: as printed, and recomputed where the two differ"
    if len(membranes) <= len(quantities):  # the longer side runs down the page
        rows = [[q, *(texts.get((m, q), "") for m in membranes)] for q in quantities]
        return Grid(("", *membranes), rows, caption)
    rows = [[m, *(texts.get((m, q), "") for q in quantities)] for m in membranes]
    return Grid(("", *quantities), rows, caption)
