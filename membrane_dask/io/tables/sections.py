"""Series of readings below one another in one table: of pages, or of membranes and runs with a title above each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from membrane_dask.errors import short
from membrane_dask.io.tables.header_block import Stated, read_header_block
from membrane_dask.io.tables.headers import HeaderCell, meanings
from membrane_dask.io.tables.labels import Label, label
from membrane_dask.io.tables.layout import Block, is_ruler
from membrane_dask.io.tables.numerals import is_missing, is_number
from membrane_dask.io.tables.roles import LABELS
from membrane_dask.io.tables.rows import Row, is_page_mark

#: Conditions that may differ from section to section, with their SI units.
_CONDITIONS = {"area": "m2", "diameter": "m", "temperature": "K", "pressure": "Pa"}
#: Terms that a title may have; longer lines are remarks.
_TITLE_TERMS = 6


@dataclass(frozen=True)
class _Section:
    """Readings with the lines directly above them.

    Parameters
    ----------
    lines : tuple of Row
        Lines of words above the readings.
    rows : sequence of Row
        Readings.
    header_row : int
        Row that repeats the header, where no mark of a page explains it; else 0.
    has_gap : bool
        Whether an empty row stands above the readings.
    """

    lines: tuple[Row, ...]
    rows: Sequence[Row]
    header_row: int = 0
    has_gap: bool = False


def join_sections(block: Block, problems: list[str], findings: list[str]) -> Block:
    """Join the sections of a table: those of pages as they are, those of membranes with a column of their names.

    Parameters
    ----------
    block : Block
        Table whose header may be repeated.
    problems, findings : list of str
        Receive sections that are not clear, and what was left out.

    Returns
    -------
    Block
        With further columns for the titles, and for conditions that differ.
    """
    sections = _with_first_title(block, _sections(block, findings))
    if not any(section.lines for section in sections[1:]):
        problems += _repeated_series(block, sections)
        lines = () if sections[0].lines and sections[0].lines[0] in block.above else sections[0].lines
        rows = tuple(row for section in sections for row in section.rows)
        return replace(block, rows=rows, above=(*block.above, *lines), repeated=())
    series = sections[:1]
    for section in sections[1:]:
        if section.lines:
            series.append(section)
        else:  # the next page of a series
            series[-1] = replace(series[-1], rows=(*series[-1].rows, *section.rows))
    labels = _labels(series, problems)
    if labels is None:
        return replace(block, rows=tuple(row for section in series for row in section.rows), repeated=())
    if labels:
        findings.append(f"{labels[0].role} by titles between the rows: {', '.join(item.text for item in labels)}")
    header = [HeaderCell(labels[0].role)] if labels else []
    values = [[item.text] for item in labels] or [[] for _ in series]
    names = [item.text for item in labels] or [f"row {section.rows[0].number}" for section in series]
    for name, stated in _conditions_of_sections(series, names, problems).items():
        findings.append(f"{name} by lines between the rows: {', '.join(condition.text for condition in stated)}")
        header.append(HeaderCell(f"{name} [{_CONDITIONS[name]}]"))
        for cells, condition in zip(values, stated, strict=True):
            cells.append(condition.value)  # type: ignore[arg-type]
    width = len(block.header)
    rows = tuple(
        Row(row.number, [*row.cells[:width], *[None] * (width - len(row.cells)), *cells, *row.cells[width:]], row.text)
        for section, cells in zip(series, values, strict=True)
        for row in section.rows
    )
    return replace(block, header=(*block.header, *header), rows=rows, repeated=())


def _sections(block: Block, findings: list[str]) -> list[_Section]:
    """Rows of a table, divided at lines of words; heads of pages are left out and reported."""
    heading = {" ".join(_texts(row)) for row in block.above}
    label_columns = {k for k, cell in enumerate(block.header) if any(q.role in LABELS for q in meanings(cell))}
    sections, lines, headers, page = list[_Section](), list[Row](), list[Row](), list[Row]()
    readings, end = list[Row](), _end_of_readings(block)
    for row in block.rows[:end]:
        has_started = bool(sections)
        if row.number in block.repeated:
            headers.append(row)
        elif is_page_mark(" ".join(_texts(row))) or (has_started and " ".join(_texts(row)) in heading):
            page.append(row)
        elif _is_line(row, label_columns):
            lines.append(row)
        elif is_ruler(row) and (lines or headers or page):
            continue
        else:
            is_gap = has_started and not (lines or headers or page) and row.number > readings[-1].number + 1
            if not has_started or lines or headers or page or is_gap:
                header_row = headers[-1].number if headers and not page else 0
                readings = list[Row]()
                sections.append(_Section(tuple(lines), readings, header_row, is_gap))
            readings.append(row)
            _report(headers, page, findings)
            lines, headers, page = [], [], []
    _report(headers, page, findings)
    if not sections:
        return [_Section((), (*lines, *block.rows[end:]))]
    sections[-1] = replace(sections[-1], rows=(*sections[-1].rows, *lines, *block.rows[end:]))  # with a footer
    without_rulers = [replace(s, rows=tuple(row for row in s.rows if not is_ruler(row))) for s in sections[:-1]]
    return [*without_rulers, sections[-1]]


def _end_of_readings(block: Block) -> int:
    """Index of the ruler behind the last readings: one that no repeated header follows."""
    last_header = max(block.repeated, default=0)
    rulers = (k for k, row in enumerate(block.rows) if k and is_ruler(row) and row.number > last_header + 1)
    return next(rulers, len(block.rows))


def _report(headers: Sequence[Row], page: Sequence[Row], findings: list[str]) -> None:
    for rows, message in ((headers, "repeats the header"), (page, "head or foot of a page")):
        if rows:
            findings.append(f"row {', '.join(str(row.number) for row in rows)}: {message}, left out")


def _texts(row: Row) -> tuple[str, ...]:
    return tuple(str(cell).strip() for cell in row.filled())


def _is_line(row: Row, label_columns: set[int]) -> bool:
    """Whether a row holds a title or a condition, and no readings."""
    filled = row.filled()
    if not filled or is_ruler(row) or _texts(row)[0].startswith("#"):
        return False
    if any(not isinstance(cell, str) or is_number(cell) or is_missing(cell) for cell in filled[:1]):
        return False
    if len(filled) == 1:
        return not any(row.cell(index) is not None for index in label_columns)
    return bool(read_header_block([row]).stated) or (
        len(filled) == 2 and not any(is_number(cell) or is_missing(cell) for cell in filled)
    )


def _with_first_title(block: Block, sections: list[_Section]) -> list[_Section]:
    """Sections whose first one has the title that stands above the header of the table."""
    if sections[0].lines:
        return sections
    for k in range(len(block.above) - 1, -1, -1):
        stated = read_header_block([block.above[k]]).stated
        if not stated or "membrane" in stated:
            return [replace(sections[0], lines=block.above[k:]), *sections[1:]]
    return [replace(sections[0], lines=block.above), *sections[1:]]


def _repeated_series(block: Block, sections: Sequence[_Section]) -> list[str]:
    """Question on a header, or an empty row, above pressures that stand above it as well."""
    roles = [next((q.role for q in meanings(cell)), "") for cell in block.header]
    if any(role in (*LABELS, "time") for role in roles):
        return []
    index = next((k for k, role in enumerate(roles) if role.endswith("pressure")), None)
    before = set[str]()
    for section in sections:
        cells = {str(row.cell(index)) for row in section.rows} if index is not None else set()
        is_series = section.has_gap and len(cells) > 1 and cells <= before
        if (section.header_row and before & cells) or is_series:
            reason = (
                f"row {section.header_row} repeats the header"
                if section.header_row
                else (f"row {section.rows[0].number} begins again below an empty row")
            )
            return [
                f"{reason}, with pressures that stand above it as well: of another membrane, or another run? Write its "
                "name in a line above each series, such as 'Membrane: A' or 'Run 1', or delete the rows between them"
            ]
        before |= cells
    return []


def _labels(series: Sequence[_Section], problems: list[str]) -> list[Label] | None:
    """Titles of all series; none where conditions tell them apart, None where they are not clear (a problem)."""
    titles = [_title(section) for section in series]
    labels = [title for title in titles if title is not None]
    first_without = next((k for k, title in enumerate(titles) if title is None), None)
    kinds = {(item.role, item.is_explicit) for item in labels}
    if first_without is None and len(kinds) == 1 and len({item.text for item in labels}) == len(labels):
        return labels
    stated = [set(read_header_block(section.lines).stated) - {"membrane"} for section in series]
    if not any(titles[1:]) and stated[0].intersection(*stated[1:]) and not any(map(_has_title, series[1:])):
        return []
    line = series[1].lines[0]
    reason = "; ".join(str(cell).strip() for cell in line.filled())
    problems.append(
        f"row {line.number}: {short(reason)} stands between readings: if it names a membrane or a run, put such a line "
        f"above every series of readings, with other names ('Membrane: A', or 'Run 1'), also above row "
        f"{series[0].rows[0].number}; if it is a remark, put # in front of it"
    )
    return None


def _has_title(section: _Section) -> bool:
    return any(not read_header_block([line]).stated for line in section.lines)


def _title(section: _Section) -> Label | None:
    """Title among the lines above a series; None where there is none, or several."""
    titles = []
    for line in section.lines:
        stated = read_header_block([line]).stated
        if "membrane" in stated:
            titles.append(Label("membrane", str(stated["membrane"].value)))
        elif not stated:
            titles.append(label(" ".join(_texts(line))))
    if titles and len(titles[0].text.split()) > _TITLE_TERMS:
        return None
    return titles[0] if len(titles) == 1 else None


def _conditions_of_sections(
    series: Sequence[_Section], names: Sequence[str], problems: list[str]
) -> dict[str, list[Stated]]:
    """Conditions that differ from section to section."""
    results = {}
    stated = [read_header_block(section.lines).stated for section in series]
    for name in dict.fromkeys(name for conditions in stated for name in conditions if name != "membrane"):
        values = [conditions.get(name) for conditions in stated]
        values_stated = [value for value in values if value is not None]
        if values[0] is not None and len({value.value for value in values_stated}) == 1:
            continue  # what the first lines of a file state stands for all of it
        if len(values_stated) < len(values) or name not in _CONDITIONS:
            missing = names[values.index(None)] if None in values else names[0]
            problems.append(
                f"{name} is {values_stated[-1].text} (line {values_stated[-1].row}), but not for {missing!r}: state it "
                "above every series, or divide the table into one for each"
            )
        else:
            results[name] = values_stated
    return results
