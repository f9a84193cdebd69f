"""Limits of tables, and the error of a table."""

from __future__ import annotations

from collections.abc import Sequence

#: Size of a table: rows that are not blank, columns, and cells.
MAX_ROWS, MAX_COLUMNS, MAX_CELLS = 20_000, 1_000, 200_000
#: Size of a file of text, and of a JSON file, which takes twenty times its size in memory.
MAX_TEXT_BYTES, MAX_JSON_BYTES = 100_000_000, 20_000_000


class TableError(ValueError):
    """A table has errors; all of them are reported together.

    Parameters
    ----------
    problems : sequence of str
        Each names the row, the membrane and the column.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))
