"""A row of a table with its number in the file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from membrane_dask.io.tables.numerals import is_missing

_PAGE = re.compile(
    r"\W*(?:page|seite|blatt|pagina|p\u00e1gina|p\u00e1g|pag)\W*\d+(?:\s*(?:of|/|von|de|sur|di|van)\s*\d+)?\W*|-\s*\d+\s*-",
    re.I,
)


def is_page_mark(text: str) -> bool:
    """Whether a line is the number of a page, as ``Page 2 of 3``."""
    return bool(_PAGE.fullmatch(text.strip()))


@dataclass(frozen=True)
class Formula:
    """A cell with a formula whose value the workbook does not hold."""

    coordinate: str


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Parameters
    ----------
    number : int
        Its number in the file, as a spreadsheet counts.
    cells : sequence
        Its contents.
    text : str
        The whole line, in a file of text.
    """

    number: int
    cells: Sequence[Any]
    text: str = field(default="", compare=False)

    def cell(self, index: int) -> Any:
        """Content of a cell; None where it is missing, blank or says that there is no reading."""
        value = self.cells[index] if index < len(self.cells) else None
        return None if is_missing(value) else value

    def filled(self) -> list[Any]:
        """Cells that are not empty."""
        return [cell for cell in self.cells if not (cell is None or cell != cell or not str(cell).strip())]
