"""Columns of several membranes, states or runs side by side: what is not clear is asked, the others are stacked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from membrane_dask.io.tables.columns import Column
from membrane_dask.io.tables.headers import REPLICATED
from membrane_dask.io.tables.labels import CONDITION_UNITS, Label
from membrane_dask.io.tables.numerals import is_missing
from membrane_dask.io.tables.roles import LABELS
from membrane_dask.io.tables.rows import Row
from membrane_dask.io.tables.unit_text import unit_text

#: Quantities under which readings are taken; all others are readings.
_CONDITIONS = (
    "pressure", "absolute pressure", "suction pressure", "feed pressure", "retentate pressure", "permeate pressure",
    "time", "temperature", "area", "diameter",
)  # fmt: skip
_PRESSURES = ("pressure", "feed pressure", "permeate pressure")


def ambiguous_columns(columns: Sequence[Column]) -> list[str]:
    """Questions on columns that hold one quantity several times.

    Parameters
    ----------
    columns : sequence of Column
        All columns that are recognised.
    """
    questions = [*_numbered_series(columns)]
    if questions:
        return questions
    questions += _unnamed_series(columns)
    keys: dict[tuple[str, int, Label | None], list[Column]] = {}
    for column in columns:
        replicate = column.replicate if column.role in REPLICATED else 0
        keys.setdefault((column.role, replicate, column.label), []).append(column)
    for (role, _, whose), same in keys.items():
        if len(same) > 1:
            questions.append(_duplicates(role, same))
        elif whose is None and role not in (*_CONDITIONS, *LABELS):
            labelled = [c for c in columns if c.role == role and c.label is not None and c.label.is_explicit]
            if labelled:
                questions.append(
                    f"column {same[0].header!r} has no name of a membrane, but {labelled[0].header!r} has: "
                    f"columns: {{{same[0].header!r}: membrane NAME}}, or columns: {{{same[0].header!r}: ignore}}"
                )
    return questions


def single_columns(columns: Sequence[Column], method: str) -> list[str]:
    """Questions on columns of replicates, for a method that uses one column of each quantity.

    Parameters
    ----------
    columns : sequence of Column
        All columns.
    method : str
        Name of the method, for the messages.
    """
    questions = []
    for role in REPLICATED:
        same = [c for c in columns if c.role == role]
        if len(same) > 1:
            lines = {c.header: f"membrane {k}" for k, c in enumerate(same, 1)}
            questions.append(
                f"columns {_names(same)} hold replicates of the {role}, of which the method {method} uses one: "
                f"columns: {{{same[1].header!r}: ignore}}; if they are of several membranes, columns: {_line(lines)}"
            )
    return questions


def _duplicates(role: str, same: Sequence[Column]) -> str:
    names = " and ".join(repr(c.header) for c in same)
    example = f"for example columns: {{{same[1].header!r}: ignore}}"
    message = f"columns {names} both hold the {role}: keep one, {example}"
    if role in REPLICATED:
        header = re.sub(r" \(column \d+\)$", "", same[0].header)
        lines = {c.header: f"replicate {k}" for k, c in enumerate(same, 1)}
        line = f"{{{header!r}: replicates}}" if same[0].header != header else _line(lines)
        message += f"; if they are replicates, columns: {line}"
    return message


def _line(roles: dict[str, str]) -> str:
    return "{" + ", ".join(f"{header!r}: {role}" for header, role in roles.items()) + "}"


def _numbered_series(columns: Sequence[Column]) -> Iterator[str]:
    """Pressures and fluxes that stand several times with the same numbers, as ``P1, J1, P2, J2``."""
    series: dict[int, list[Column]] = {}
    counts: dict[str, int] = {}
    for column in columns:
        if column.role not in (*_CONDITIONS, *REPLICATED) or (column.label is not None and column.label.is_explicit):
            continue
        if column.label is not None:
            if column.label.role == "replicate":
                series.setdefault(int(column.label.text), []).append(column)
            continue
        base = re.sub(r" \(column \d+\)$", "", column.header)
        counts[base] = counts.get(base, 0) + 1
        number = counts[base] if base != column.header else column.replicate or _number(column)
        series.setdefault(number, []).append(column)
    numbered = {number: group for number, group in series.items() if number and _is_series(group)}
    if len(numbered) > 1:
        headers = ", ".join(repr(c.header) for group in numbered.values() for c in group)
        lines = {c.header: f"membrane {number}" for number, group in numbered.items() for c in group}
        yield (
            f"columns {headers}: of several membranes, or of several runs of one? columns: {_line(lines)}, or "
            "replicate 1, replicate 2 in place of membrane 1, membrane 2"
        )


def _number(column: Column) -> int:
    """Number of a pressure that is called `P1` or `P2`, which may also be those of feed and permeate."""
    match = re.match(r"\s*p[\s_]?([12])\b", column.header, re.I)
    return int(match[1]) if match and column.role in _PRESSURES else 0


def _is_series(group: Sequence[Column]) -> bool:
    roles = {column.role for column in group}
    return bool(roles & set(_PRESSURES)) and bool(roles & set(REPLICATED))


def _unnamed_series(columns: Sequence[Column]) -> Iterator[str]:
    """Fluxes whose headers hold a word that is neither a number of a replicate nor clearly a membrane."""
    unclear = [c for c in columns if c.label is not None and not c.label.is_explicit and c.label.role != "replicate"]
    if len(unclear) == 1:
        (column,) = unclear
        yield (
            f"column {column.header!r}: what does {column.label.text!r} mean? columns: "  # type: ignore[union-attr]
            f"{{{column.header!r}: 'flux [{column.unit.text}]'}}, or columns: {{{column.header!r}: ignore}}"
        )
    elif unclear:
        lines = {c.header: f"membrane {c.label.text}" for c in unclear if c.label is not None}
        names = ", ".join(repr(c.header) for c in unclear)
        replicates = {c.header: f"replicate {k}" for k, c in enumerate(unclear, 1)}
        yield (
            f"columns {names}: of several membranes, or replicates? columns: {_line(lines)}, or columns: "
            f"{_line(replicates)}, or ignore for those that are computed from others"
        )


def without_headings(columns: Sequence[Column]) -> list[Column]:
    """Columns whose labels are headings, as ``Conditions`` and ``Results``: no quantity stands under two of them."""
    readings = [c for c in columns if c.label is not None and c.role not in (*_CONDITIONS, *LABELS)]
    labels = {c.label for c in columns if c.label is not None}
    is_repeated = any(a.role == b.role and a.label != b.label for a in readings for b in readings)
    is_name = len(labels) == 1 and bool(readings) and all(label.is_explicit for label in labels)
    if is_repeated or (is_name and all(c.label for c in columns if c.role == readings[0].role)):
        return list(columns)
    return [replace(c, label=None) if c.label is not None and c.label.is_explicit else c for c in columns]


def stack(
    columns: Sequence[Column], rows: Sequence[Row], problems: list[str], findings: list[str]
) -> tuple[list[Column], list[Row]]:
    """Bring the readings of labelled columns below one another, with columns of their labels.

    Parameters
    ----------
    columns : sequence of Column
        Those without a label are shared by all.
    rows : sequence of Row
        Readings.
    problems, findings : list of str
        Receive groups of columns that cannot be joined, and what was done.
    """
    labels = list(dict.fromkeys(c.label for c in columns if c.label is not None))
    if not labels:
        return list(columns), list(rows)
    shared = [c for c in columns if c.label is None]
    groups = [_sorted([c for c in columns if c.label == label]) for label in labels]
    first = groups[0]
    for label, group in zip(labels, groups, strict=True):
        if [_kind(c) for c in group] != [_kind(c) for c in first]:
            problems.append(
                f"columns of {labels[0].text!r} ({_names(first)}) and of {label.text!r} ({_names(group)}) hold other "
                "quantities or units: write them alike"
            )
            return list(columns), list(rows)
    roles = list(dict.fromkeys(label.role for label in labels))
    problems += [
        f"column {column.header!r} and the headers of other columns both name the {column.role}: "
        f"columns: {{{column.header!r}: ignore}}, or a table with one of both"
        for column in shared
        if column.role in roles
    ]
    stacked = [replace(c, index=k) for k, c in enumerate(shared)]
    stacked += [replace(c, index=len(shared) + k, header=_common(c), label=None) for k, c in enumerate(first)]
    units = {label.role: label.text.partition(" ")[2] for label in labels if label.role in CONDITION_UNITS}
    if any(units[label.role] != label.text.partition(" ")[2] for label in labels if label.role in CONDITION_UNITS):
        problems.append(f"labels {', '.join(label.text for label in labels)} have several units: write them alike")
    for role in roles:
        unit = unit_text(units.get(role, ""))
        stacked.append(Column(role, len(stacked), role, unit, CONDITION_UNITS.get(role, "")))
    results = []
    for label, group in zip(labels, groups, strict=True):
        for row in rows:
            cells = [row.cells[c.index] if c.index < len(row.cells) else None for c in group]
            if not all(map(is_missing, cells)):
                common = [row.cells[c.index] if c.index < len(row.cells) else None for c in shared]
                names = [_cell(label) if label.role == role else None for role in roles]
                results.append(Row(row.number, [*common, *cells, *names], row.text))
    for role, same in groupby(labels, key=lambda label: label.role):
        findings.append(f"columns side by side: {role} {', '.join(label.text for label in same)}")
    return stacked, results


def _cell(label: Label) -> str:
    """Name, or number of a condition."""
    return label.text.partition(" ")[0] if label.role in CONDITION_UNITS else label.text


def _sorted(group: Sequence[Column]) -> list[Column]:
    return sorted(group, key=lambda c: (c.role, c.replicate, c.index))


def _kind(column: Column) -> tuple[object, ...]:
    return column.role, column.replicate, column.unit.unit, column.unit.factor, column.unit.reference, column.duration


def _names(group: Sequence[Column]) -> str:
    return ", ".join(repr(c.header) for c in group)


def _common(column: Column) -> str:
    """Header without the label."""
    text = column.label.text if column.label is not None else ""
    return re.sub(r"\s+", " ", column.header.replace(text, "", 1)).strip(" _") or column.header
