"""Recognise the columns of a table: by the study, else by header and unit; problems are collected."""

from __future__ import annotations

import fnmatch
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from membrane_dask.errors import nearest, short
from membrane_dask.io.tables.headers import (
    MAX_LABEL,
    HeaderCell,
    NamedQuantity,
    exponent_of,
    meanings,
    power_of_ten,
    without_number,
)
from membrane_dask.io.tables.labels import CONDITION_UNITS, Label, label
from membrane_dask.io.tables.roles import EXAMPLES, REPORTED_ONLY, ROLES, folded
from membrane_dask.io.tables.unit_text import UnitText, unit_text
from membrane_dask.plain_text import printable
from membrane_dask.quantities import fits


@dataclass(frozen=True)
class TableOptions:
    """How a table is to be read, as far as the study says.

    Parameters
    ----------
    sheet : str, optional
        Sheet of a workbook.
    table : int, optional
        Number of the table in a file with several, from 1.
    decimal : {".", ","}, optional
        Decimal sign; default by the evidence of all cells.
    columns : mapping of str to str
        Role and unit of columns by header; ``*`` and ``?`` stand for any characters.
    ignore : tuple of str
        Headers of columns that may stay unused.
    censored : {"drop", "use"}, optional
        What happens to readings such as ``<210``.
    marks : mapping of str to str
        ``keep`` or ``drop`` for readings with a mark such as ``248*``.
    """

    sheet: str | None = None
    table: int | None = None
    decimal: Literal[".", ","] | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    ignore: tuple[str, ...] = ()
    censored: Literal["drop", "use"] | None = None
    marks: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Column:
    """A recognised column.

    Parameters
    ----------
    role : str
        Quantity that it holds.
    index : int
        Its position in the table, from 0.
    header : str
        Its header.
    unit : UnitText
        Its unit.
    si : str
        SI unit of its values.
    replicate : int
        Number of the replicate where several columns hold one quantity (``flux 1``, ``flux 2``), else 0.
    label : Label or None
        Membrane or state whose readings it holds, where other columns hold those of others.
    duration : float
        Time in which each amount was collected, s; 0 where the header has none.
    """

    role: str
    index: int
    header: str
    unit: UnitText
    si: str
    replicate: int = 0
    label: Label | None = None
    duration: float = 0.0


class RecognisedColumns:
    """Columns of a table.

    Parameters
    ----------
    header : sequence of HeaderCell
        One for each column.
    options : TableOptions
        What the study says about the table.
    explained : mapping of str to str
        Role and unit of columns that a line above the table explains.

    Attributes
    ----------
    columns : list of Column
        Those whose quantity is known.
    problems : list of str
        What must be corrected or said.
    unused : list of (int, HeaderCell)
        Position and header of the others.
    """

    def __init__(self, header: Sequence[HeaderCell], options: TableOptions, explained: Mapping[str, str]) -> None:
        self.options, self.explained = options, explained
        self.columns: list[Column] = []
        self.problems: list[str] = []
        self.unused: list[tuple[int, HeaderCell]] = []
        texts = Counter(cell.shown for cell in header)
        self.header = [replace(c, position=k) if texts[c.shown] > 1 else c for k, c in enumerate(header, 1)]
        matched: set[str] = set()
        for index, cell in enumerate(self.header):
            text = cell.shown
            if printable(text) != text:
                self.problems.append(f"column {index + 1}: its header has control characters (got {short(text)})")
                continue
            if not text.strip() or not cell.text.strip() + cell.upper.strip() or len(text) > MAX_LABEL:
                continue
            stated = self.stated_role(cell, matched)
            if stated is not None:
                self._add_stated(index, cell, stated)
            elif REPORTED_ONLY.fullmatch(folded(cell.text)) and not _is_sample_diameter(cell):
                self.unused.append((index, cell))
            else:
                self._add_recognised(index, cell)
        for pattern in self.options.columns:
            if pattern not in matched:
                headers = [cell.shown for cell in self.header if cell.shown]
                self.problems.append(f"columns: no column {pattern!r}; {nearest(pattern, headers)}")
        self._leave_out_computed()

    def _leave_out_computed(self) -> None:
        """Columns that have a unit of the flux but not its name stay unused next to one that is called flux."""
        named = [c for c in self.columns if c.role == "flux" and (c.label is None or c.label.is_explicit)]
        for column in list(self.columns):
            whose = column.label
            if not named or whose is None or whose.is_explicit:
                continue
            if re.fullmatch(rf"{re.escape(whose.text)}[\s_]*(?:[\[(].*)?", column.header):
                self.columns.remove(column)
                self.unused.append((column.index, self.header[column.index]))

    def stated_role(self, cell: HeaderCell, matched: set[str] | None = None) -> str | None:
        """Role and unit that the study, or a line above the table, gives a column."""
        for pattern, role in self.options.columns.items():
            names = {folded(cell.text), folded(cell.shown), folded(replace(cell, position=0).shown)}
            glob = folded(pattern).replace("[", "[[]")
            if folded(pattern) in names or any(fnmatch.fnmatchcase(name, glob) for name in names):
                if matched is not None:
                    matched.add(pattern)
                return role
        return self.explained.get(cell.text)

    def _add_stated(self, index: int, cell: HeaderCell, stated: str) -> None:
        if stated.strip().lower() == "ignore":
            self.unused.append((index, cell))
            return
        if match := re.fullmatch(r"\s*(?:(replicates)|(membrane|state|replicate) (\S.*?))\s*", stated):
            self._add_labelled(index, cell, match[2] or "", match[3] or str(cell.position or index + 1))
            return
        match = re.fullmatch(r"\s*([^\[(]+?)\s*(?:[\[(](.+)[\])])?\s*", stated)
        name = folded(match[1]) if match else ""
        role = name if name in ROLES else ""
        if not role:
            self.problems.append(f"columns: {stated!r} is no quantity of a column; {nearest(name, list(ROLES))}")
            return
        own = next((q for q in meanings(cell) if q.unit.text), None)
        unit = unit_text(match[2]) if match and match[2] else (own.unit if own else unit_of(cell))
        quantity = quantity_of(role, unit)
        if ROLES[role].units and not quantity.si and unit.text:  # a unit may stand in the cells
            self.problems.append(unit_problem(cell.shown, role, unit))
            return
        whose = label(cell.text)
        if whose.role in CONDITION_UNITS and role not in CONDITION_UNITS:  # fluxes below `1 bar`
            quantity = replace(quantity, label=whose)
        elif own is not None:
            quantity = replace(quantity, replicate=own.replicate, duration=own.duration)
        self.columns.append(column_of(quantity, index, cell.shown))

    def _add_labelled(self, index: int, cell: HeaderCell, role: str, text: str) -> None:
        """A column that the study gives to a membrane, a state or a run; without a role, it is one of replicates."""
        quantity = next((q for q in (*meanings(without_number(cell)), *meanings(cell)) if q.si), None)
        if quantity is None:
            self.problems.append(unit_problem(cell.shown, "flux", unit_of(cell)))
            return
        if role == "replicate" and not re.fullmatch(r"\d{1,3}", text):
            self.problems.append(f"columns: replicate {short(text)} must be a whole number")
            return
        if not role:
            quantity = replace(quantity, replicate=int(text), label=None)
        else:
            quantity = replace(quantity, replicate=0, label=Label(role, text))
        self.columns.append(column_of(quantity, index, cell.shown))

    def _add_recognised(self, index: int, cell: HeaderCell) -> None:
        header = cell.shown
        quantities = meanings(cell)
        if not quantities:
            self.unused.append((index, cell))
            return
        quantity = quantities[0]
        if quantity.role == "flux" and quantity.replicate >= 10 and quantity.si:
            self.problems.append(
                f"column {header!r}: is {quantity.replicate} the number of a replicate, or the temperature in degC to "
                f"which fluxes are converted? columns: {{{header!r}: 'flux [{quantity.unit.text}]'}} for fluxes as "
                f"measured; for converted ones also temperature: {quantity.replicate} degC and any column of "
                "temperatures: ignore"
            )
            return
        power = power_of_ten(cell.text)
        if power and ROLES[quantity.role].units:
            unit = quantity.unit.text if quantity.si else "m/s"
            unit = re.sub(r"^.*[\[(](.+)[\])]$", r"\1", unit).removeprefix(power).strip()
            exponent = exponent_of(power)
            self.problems.append(
                f"column {header!r}: {power} may mean that values were multiplied by it, or are in units of it; write "
                f"columns: {{{header!r}: '{quantity.role} [10^{-exponent} {unit}]'}} or "
                f"columns: {{{header!r}: '{quantity.role} [10^{exponent} {unit}]'}}"
            )
            return
        role = ROLES[quantity.role]
        if role.units and not quantity.si and not (role.unit_optional and not quantity.unit.text):
            if quantity.role == "flux deviation" and not quantity.unit.text:
                self.columns.append(column_of(replace(quantity, si=""), index, header))
                return
            in_cells = quantity.unit.text == ""
            self.columns.append(column_of(replace(quantity, si=""), index, header))
            if not in_cells:
                self.problems.append(unit_problem(header, quantity.role, quantity.unit))
            return
        if quantity.role == "diameter" and not _is_sample_diameter(cell):
            self.unused.append((index, cell))
            return
        if quantity.unit.text.strip() in ("mPa", "mpa") and quantity.si == "Pa":
            self.problems.append(
                f"column {header!r}: is {quantity.unit.text} millipascal or megapascal? "
                f"columns: {{{header!r}: '{quantity.role} [MPa]'}}"
            )
            return
        self.columns.append(column_of(quantity, index, header))


def column_of(quantity: NamedQuantity, index: int, header: str) -> Column:
    """The column of a quantity."""
    return Column(
        quantity.role, index, header, quantity.unit, quantity.si, quantity.replicate, quantity.label, quantity.duration
    )


def unit_problem(header: str, role: str, unit: UnitText) -> str:
    """Message on a column without a unit, or with a wrong one."""
    example = EXAMPLES.get(role, f"{role} [{ROLES[role].units[0]}]")
    if not unit.text:
        return f"column {header!r} has no unit; for example '{example}', or columns: {{{header!r}: '{example}'}}"
    reason = f"is not a unit of {role}" if unit.unit else "is not a recognised unit"
    return f"column {header!r}: {unit.text!r} {reason}; for example '{example}'"


def quantity_of(role: str, unit: UnitText) -> NamedQuantity:
    """A quantity with a unit; its SI unit is empty where the unit does not fit."""
    definition = ROLES[role]
    if not definition.units:
        return NamedQuantity(role, UnitText("", ""), "")
    if definition.units == ("1",):
        si = "1" if unit.text.strip() in ("%", "1", "-", "") or unit.unit == "percent" else ""
    else:
        si = next((u for u in definition.units if unit.unit and fits(unit.unit, u)), "")
    return NamedQuantity(role, unit, si)


def unit_of(cell: HeaderCell) -> UnitText:
    """Unit in a header whose name is not recognised."""
    match = re.search(r"[\[(](.+)[\])]\s*$", cell.text)
    text = match[1] if match else cell.unit
    if not text and (match := re.search(r"\s/\s*(\S+)$", cell.text)):
        text = match[1]
    if not text and (match := re.search(r"[_ ](psi|bar|kPa|mbar|Pa|degC|°C|K|cm2|m2)$", cell.text, re.I)):
        text = match[1]
    return unit_text(text) if text else UnitText("", "")


def _is_sample_diameter(cell: HeaderCell) -> bool:
    """Whether a column of diameters is in mm or longer: one in um or nm was computed from the pressure."""
    unit = next((q.unit for q in meanings(cell) if q.role == "diameter" and q.si), None)
    return unit is not None and unit.unit in ("m", "cm", "mm", "inch")
