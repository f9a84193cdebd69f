"""The report of a run: figures, tables and what they say, in one HTML file that needs nothing else."""

from __future__ import annotations

from pathlib import Path

from membrane_dask.engine.run import Run, find_run
from membrane_dask.errors import ReportError


def write_report(run: Run | str | Path, out: str | Path | None = None) -> Path:
    """Write the report of a run, finished or not.

    Parameters
    ----------
    run : Run, str or Path
        A run, its directory or its name.
    out : str or Path, optional
        Where to; default ``report.html`` in the run's directory.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ReportError
        If the run has no results yet, is of a kind without a report, or matplotlib is missing.
    """
    if not isinstance(run, Run):
        run = find_run(run)
    try:
        from membrane_dask.report import page
        from membrane_dask.studies.characterize import report as characterize
        from membrane_dask.studies.graded import report as graded
        from membrane_dask.studies.porometry import report as porometry
        from membrane_dask.studies.reconstruct import report as reconstruct
    except ImportError as error:
        raise ReportError(f"a report needs {error.name}: pip install 'membrane-dask[viz]'") from error
    path = Path(out) if out else run.path / "report.html"
    sections = {
        "graded": graded.sections,
        "reconstruct": reconstruct.sections,
        "characterize": characterize.sections,
        "porometry": porometry.sections,
    }[run.kind]
    text = page.render(run, sections(run))
    path.write_text(text, encoding="utf-8")
    return path
