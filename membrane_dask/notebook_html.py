"""HTML tables, links and progress bars for notebooks, legible on light and dark pages."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote


def table(title: str, rows: Sequence[tuple[str, str]], extra: str = "") -> str:
    """Table of names and values with a title.

    Parameters
    ----------
    title : str
        Title, as text.
    rows : sequence of (str, str)
        Names and values, as text.
    extra : str
        HTML below the table.
    """
    body = "".join(
        f"<tr><th style='text-align:left;padding:1px 12px 1px 0'>{escape(name)}</th>"
        f"<td style='text-align:left'>{escape(value)}</td></tr>"
        for name, value in rows
    )
    return f"<div><b>{escape(title)}</b><table>{body}</table>{extra}</div>"


def grid(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Table with a title and a header row.

    Parameters
    ----------
    title : str
        Title, as text.
    header : sequence of str
        Names of the columns, as text.
    rows : sequence of sequence of str
        Cells, as text.
    """
    head = "".join(f"<th style='text-align:left'>{escape(name)}</th>" for name in header)
    body = "".join(
        "<tr>" + "".join(f"<td style='text-align:left'>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<div><b>{escape(title)}</b><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def bar(done: int, failed: int, total: int) -> str:
    """Progress bar of the finished and the failed units among ``total``."""
    total = max(total, 1)
    return (
        "<div style='width:24em;height:0.7em;background:#8884;border-radius:3px;overflow:hidden;display:flex'>"
        f"<div style='width:{100 * done / total:.1f}%;background:#2a9d5c'></div>"
        f"<div style='width:{100 * failed / total:.1f}%;background:#c8402f'></div></div>"
    )


def links(targets: Sequence[tuple[str, str | Path]]) -> str:
    """Links below a table: text, and a URL or a path.

    A path below the working directory, usually that of the notebook, is relative: the notebook server opens it.
    """
    anchors = []
    for text, target in targets:
        href = _path_address(target) if isinstance(target, Path) else target
        anchors.append(f"<a href='{escape(href)}' target='_blank' rel='noopener'>{escape(text)}</a>")
    return f"<div>{' · '.join(anchors)}</div>" if anchors else ""


def _path_address(path: Path) -> str:
    path, folder = path.resolve(), Path.cwd().resolve()
    return quote(path.relative_to(folder).as_posix()) if path.is_relative_to(folder) else path.as_uri()
