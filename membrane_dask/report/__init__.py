"""Reports of runs: one self-contained HTML file with the sections that the study kind provides."""

from __future__ import annotations

import os
from pathlib import Path, PurePath

from membrane_dask.engine.exported_run import ExportedRun, open_run
from membrane_dask.engine.run import Run
from membrane_dask.engine.verification import summary, verify_run
from membrane_dask.errors import DataLossError, ReportError
from membrane_dask.files import is_url, url_text, write_atomically
from membrane_dask.studies.registry import find_kind


def write_report(run: Run | ExportedRun | str | Path, out: str | Path | None = None) -> Path:
    """Write the report of a run, finished or not; of an exported run the one that was exported with it.

    Parameters
    ----------
    run : Run, ExportedRun, str or Path
        A run, its directory or its name; or an exported run, a folder, a file ``.zip`` or a URL.
    out : str or Path, optional
        Where to; default ``report.html`` in the run's directory, or ``<name>-report.html`` in the present one if that
        directory cannot be written, or the run is an exported one.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ReportError
        If the run has no results yet, is of a kind without a report or was exported without it, or the report needs a
        library that is missing.
    DataLossError
        If a file of the result is missing or altered.
    """
    if out and is_url(out):
        raise ReportError(
            f"a report is written to a file of this machine (got {url_text(out)!r}); it is part of an export"
        )
    if isinstance(run, (str, Path)):
        run = open_run(run)
    in_present_folder = Path(f"{PurePath(run.name).name}-report.html")  # the name in an exported run may be any text
    if isinstance(run, ExportedRun):
        from membrane_dask.report.page import page_head

        # Whoever made the export wrote its report: the policy before it lets the script of this version run only.
        text, path = f"<!doctype html>\n{page_head()}\n{run.report}", in_present_folder
    else:
        text, path = report_html(run), run.path / "report.html"
        if not os.access(run.path, os.W_OK):  # a run of others, or on an archive
            path = in_present_folder
    path = Path(out) if out else path
    if path.exists() and not path.is_file():  # such as /dev/stdout
        path.write_text(text, encoding="utf-8")
    else:
        write_atomically(path.resolve() if out else path, text)  # a link in a run is replaced, not written through
    return path


def report_html(run: Run) -> str:
    """Report of a run as a page of HTML; errors are those of :func:`write_report`."""
    kind = find_kind(run.kind)
    if not kind.report:
        raise ReportError(f"the study kind {run.kind!r} has no report; open the result with membrane_dask.open_run")
    try:
        from membrane_dask.report import page

        if faults := verify_run(run.path, run.journal):
            raise DataLossError(summary(faults, run.path))
        sections = kind.report_sections(run)
    except ImportError as error:
        raise ReportError(f"the report of the kind {run.kind!r} needs {error.name}, which is not installed") from error
    return page.render(run, sections)
