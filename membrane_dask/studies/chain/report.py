"""Report of a chain study."""

from __future__ import annotations

from collections.abc import Sequence

from membrane_dask.engine.run import Run
from membrane_dask.report.page import Section


def sections(run: Run) -> Sequence[Section]:
    """Sections of the report."""
    return []
