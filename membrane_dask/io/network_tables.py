"""Pore networks as tables: one of pores and, if positions are known, one of junctions.

The table of pores has the columns ``end_a``, ``end_b``, ``length`` and ``radius``, and may have ``pore``, ``band`` and
``length_band_1``, ``length_band_2``, ... An end is the number of a junction, -1 (feed) or -2 (filtrate). The table of
junctions, ``NAME_junctions.csv`` in the folder of ``NAME.csv`` or ``NAME_pores.csv``, has the columns ``junction``,
``z``, ``y`` and ``x``. Lengths are in units of the membrane thickness; the feed side is at ``z = 0``, and the membrane
has the area 1.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from membrane_dask.errors import nearest, reason, short
from membrane_dask.files import read_bytes
from membrane_dask.physics.networks.pore_network import INLET, OUTLET, PoreNetwork

#: Size of a file.
_MAX_BYTES = 500_000_000
_PORE_COLUMNS = ("pore", "end_a", "end_b", "length", "radius", "band")
_JUNCTION_COLUMNS = ("junction", "z", "y", "x")
_BAND_LENGTH = re.compile(r"length_band_([1-9]\d*)")
#: Relative difference between the length of a pore and the sum over its bands that may be due to the digits written.
_ROUNDING = 1e-5


def junctions_path(pores: Path) -> Path:
    """Path of the table of junctions that belongs to a table of pores."""
    return pores.with_name(f"{pores.stem.removesuffix('_pores')}_junctions{pores.suffix}")


def read_network_csv(path: str | Path) -> PoreNetwork:
    """Read a network from its table of pores and, if there is one, its table of junctions.

    Parameters
    ----------
    path : str or Path
        Table of pores: UTF-8, with commas, semicolons or tabulators between the cells; with the last two, decimal
        signs may be commas. Lines that start with ``#`` are comments.

    Returns
    -------
    PoreNetwork
        Lengths in thicknesses. Junctions have the order of their numbers. Without columns of bands the pores lie in
        four bands of equal depth; without positions of the junctions as well, in a single band. Without positions,
        ``z`` is the fraction of the pores from the feed to the filtrate that lie above, and ``y`` and ``x`` are NaN.

    Raises
    ------
    ValueError
        If a file is missing or a cell is wrong, or a junction that no table lists may be a wrong number; with the
        file, the row and the cell.
    """
    path = Path(path)
    table = _read(path, _PORE_COLUMNS, ("end_a", "end_b", "length", "radius"))
    if "pore" in table.columns:
        _unique(table, "pore")
    ends = np.stack([table.whole("end_a"), table.whole("end_b")], axis=1)
    length, radius = (table.positive(name) for name in ("length", "radius"))
    for row, (a, b) in enumerate(ends.tolist()):
        if min(a, b) < OUTLET:
            raise table.error(row, "end_a" if a < OUTLET else "end_b", "must be a junction, -1 (feed) or -2 (filtrate)")
        if max(a, b) < 0:
            raise table.error(row, "end_b", f"and end_a = {a} are both outside: one end must be a junction")
        if a == b:
            raise table.error(row, "end_b", "is the same junction as end_a")
    positions_path = junctions_path(path)
    if positions_path.is_file():
        junctions, names = _read_junctions(positions_path)
        unknown = (ends >= 0) & ~np.isin(ends, names)
        if unknown.any():
            row, column = np.argwhere(unknown)[0]
            raise table.error(int(row), f"end_{'ab'[column]}", f"is no junction of {positions_path.name}")
    else:
        _check_numbers(table, ends)
        names = np.unique(ends[ends >= 0])
        junctions = np.full((len(names), 3), np.nan)
    conns = np.where(ends >= 0, np.searchsorted(names, np.maximum(ends, 0)), ends)
    conns = np.where(conns[:, :1] < 0, conns[:, ::-1], conns).astype(np.int32)
    if np.isnan(junctions).any():
        junctions[:, 0] = _relative_depth(conns, len(names))
    band_length = _band_lengths(table, length)
    if band_length is None and not positions_path.is_file():
        band_length = length[:, None]
    if band_length is None:
        return PoreNetwork.from_straight_pores(
            junctions=junctions, throat_conns=conns, length=length, radius=radius, extent=(1.0, 1.0, 1.0)
        )
    band = band_length.argmax(axis=1)
    if "band" in table.columns:
        band = table.whole("band") - 1
        outside = (band < 0) | (band >= band_length.shape[1])
        if outside.any():
            raise table.error(int(outside.argmax()), "band", f"must lie between 1 and {band_length.shape[1]}")
    return PoreNetwork(junctions, conns, length, radius, band, band_length)


def write_network_csv(network: PoreNetwork, path: str | Path) -> list[Path]:
    """Write a network as its tables of pores and of junctions; :func:`read_network_csv` reads the same network.

    Parameters
    ----------
    network : PoreNetwork
        Of any unit of length; lengths are divided by its thickness. Its area must be the square of the thickness.
    path : str or Path
        Table of pores.

    Returns
    -------
    list of Path
        Both files; the second one is missing where positions are unknown.

    Raises
    ------
    ValueError
        If the area is not the square of the thickness.
    """
    path, thickness = Path(path), network.extent[0]
    if not np.allclose(network.extent, thickness, rtol=1e-9, atol=0):
        raise ValueError(f"network: tables describe membranes of the area 1 (thickness squared); got {network.extent}")
    bands = [f"length_band_{k + 1}" for k in range(network.n_bands)]
    lines = [",".join((*_PORE_COLUMNS, *bands))]
    length, radius, band_length = (v / thickness for v in (network.length, network.radius, network.band_length))
    rows = zip(network.throat_conns.tolist(), length.tolist(), radius.tolist(), band_length.tolist(), strict=True)
    for k, ((a, b), pore_length, pore_radius, lengths) in enumerate(rows):
        cells = (k, a, b, pore_length, pore_radius, int(network.band[k]) + 1, *lengths)
        lines.append(",".join(map(repr, cells)))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    if np.isnan(network.junctions).any():
        return [path]
    lines = [",".join(_JUNCTION_COLUMNS)]
    lines += [",".join(map(repr, (k, *row))) for k, row in enumerate((network.junctions / thickness).tolist())]
    junctions_path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return [path, junctions_path(path)]


@dataclass(frozen=True)
class _Table:
    """Cells of a table by column, and the line of the file in which each row stands."""

    path: Path
    columns: dict[str, list[str]]
    lines: list[int]
    decimal: str

    def error(self, row: int, column: str, problem: str) -> ValueError:
        """Error of one cell."""
        cell = short(self.columns[column][row].strip())
        return ValueError(f"{self.path}: row {self.lines[row]}: {column} {problem} (got {cell})")

    def numbers(self, column: str) -> np.ndarray:
        """Values of a column."""
        values = np.empty(len(self.lines))
        for row, cell in enumerate(self.columns[column]):
            try:
                values[row] = float(cell.replace(self.decimal, ".").replace("_", " "))  # Python reads 1_0 as 10
            except ValueError:
                values[row] = np.nan
            if not np.isfinite(values[row]):
                raise self.error(row, column, "must be a finite number")
        return values

    def whole(self, column: str) -> np.ndarray:
        """Values of a column of whole numbers."""
        values = self.numbers(column)
        wrong = (values != np.floor(values)) | (np.abs(values) > 2e9)
        if wrong.any():
            raise self.error(int(wrong.argmax()), column, "must be a whole number")
        return values.astype(np.int64)

    def positive(self, column: str) -> np.ndarray:
        """Values of a column, all greater than 0."""
        values = self.numbers(column)
        if (values <= 0).any():
            raise self.error(int((values <= 0).argmax()), column, "must be greater than 0")
        return values


def _read(path: Path, valid: Sequence[str], required: Sequence[str]) -> _Table:
    """Read a table with valid columns, the required ones among them.

    Raises
    ------
    ValueError
        If there is no such file, or its columns are others.
    """
    try:
        text = read_bytes(path, _MAX_BYTES).decode("utf-8-sig")
    except FileNotFoundError as error:
        raise ValueError(f"no such file: {path}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: it is no text in UTF-8") from error
    except OSError as error:
        raise ValueError(f"{path}: {reason(error)}") from error
    heading = next((line for line in text.splitlines() if line.strip() and not _is_comment(line)), "")
    separator = next((s for s in ";\t" if s in heading), ",")
    records = [(n, cells) for n, cells in enumerate(csv.reader(text.splitlines(), delimiter=separator), 1)]
    records = [(n, cells) for n, cells in records if any(cell.strip() for cell in cells) and not _is_comment(cells[0])]
    if len(records) < 2:
        raise ValueError(f"{path}: it has no rows below the names of the columns")
    (line, names), *rows = records
    header = [name.strip() for name in names]
    for name in header:
        if header.count(name) > 1:
            raise ValueError(f"{path}: row {line}: two columns have the name {short(name)}")
        if name not in valid and not (valid is _PORE_COLUMNS and _BAND_LENGTH.fullmatch(name)):
            raise ValueError(
                f"{path}: row {line}: unknown column {short(name)}; {nearest(name, valid)}; lengths are in thicknesses"
            )
    missing = [name for name in required if name not in header]
    if missing:
        raise ValueError(f"{path}: row {line}: the column {missing[0]} is missing; needed are {', '.join(required)}")
    for line, cells in rows:
        if len(cells) != len(header):
            hint = "; decimal commas need semicolons between the cells" if separator == "," else ""
            raise ValueError(f"{path}: row {line}: it has {len(cells)} cells, the first row {len(header)}{hint}")
    columns = {name: [cells[k].strip() for _, cells in rows] for k, name in enumerate(header)}
    decimal = "." if separator == "," else ","
    if separator != ",":
        signs = {sign for column in columns.values() for cell in column for sign in ".," if sign in cell}
        if len(signs) > 1:
            raise ValueError(f"{path}: numbers have decimal points and decimal commas; use one of them")
    return _Table(path, columns, [line for line, _ in rows], decimal)


def _is_comment(text: str) -> bool:
    """Whether a line is a comment."""
    return text.lstrip().startswith("#")


def _unique(table: _Table, column: str) -> np.ndarray:
    """Values of a column of whole numbers, each of which may stand in one row only."""
    values = table.whole(column)
    _, first, counts = np.unique(values, return_index=True, return_counts=True)
    if (counts > 1).any():
        same = np.flatnonzero(values == values[first[counts.argmax()]])
        raise table.error(int(same[1]), column, f"stands in row {table.lines[int(same[0])]} already")
    return values


def _read_junctions(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the junctions and their numbers, in the order of the numbers."""
    table = _read(path, _JUNCTION_COLUMNS, _JUNCTION_COLUMNS)
    names = _unique(table, "junction")
    if (names < 0).any():
        raise table.error(int((names < 0).argmax()), "junction", "must be at least 0")
    junctions = np.stack([table.numbers(axis) for axis in "zyx"], axis=1)
    outside = (junctions[:, 0] < 0) | (junctions[:, 0] > 1)
    if outside.any():
        raise table.error(int(outside.argmax()), "z", "must lie between 0 (feed) and 1 (filtrate), in thicknesses")
    order = np.argsort(names)
    return junctions[order], names[order]


def _band_lengths(table: _Table, length: np.ndarray) -> np.ndarray | None:
    """Length of every pore in every band, None where the table has no such columns.

    Raises
    ------
    ValueError
        If a band is missing, or the lengths do not add up to that of the pore.
    """
    numbers = sorted(int(match[1]) for name in table.columns if (match := _BAND_LENGTH.fullmatch(name)))
    if not numbers:
        if "band" in table.columns:
            raise ValueError(f"{table.path}: it has the column band, but not length_band_1, length_band_2, ...")
        return None
    if numbers != list(range(1, len(numbers) + 1)):
        missing = min(set(range(1, numbers[-1])) - set(numbers))
        raise ValueError(f"{table.path}: the column length_band_{missing} is missing")
    lengths = np.stack([table.numbers(f"length_band_{k}") for k in numbers], axis=1)
    if (lengths < 0).any():
        row, column = np.argwhere(lengths < 0)[0]
        raise table.error(int(row), f"length_band_{column + 1}", "must be at least 0")
    wrong = np.abs(lengths.sum(axis=1) - length) > _ROUNDING * length
    if wrong.any():
        row = int(wrong.argmax())
        raise table.error(row, "length", f"differs from the sum {lengths[row].sum():.9g} of its lengths in the bands")
    return lengths


def junction_numbers(path: str | Path) -> np.ndarray | None:
    """Numbers of the junctions of a table of pores, sorted; None where a table of junctions lists them.

    Parameters
    ----------
    path : str or Path
        Table of pores that :func:`read_network_csv` reads.
    """
    path = Path(path)
    if junctions_path(path).is_file():
        return None
    table = _read(path, _PORE_COLUMNS, ("end_a", "end_b"))
    ends = np.concatenate([table.whole("end_a"), table.whole("end_b")])
    return np.unique(ends[ends >= 0])


def _check_numbers(table: _Table, ends: np.ndarray) -> None:
    """Refuse a junction that may be a wrong number where no table lists the junctions.

    Raises
    ------
    ValueError
        If a single pore names a junction, and a smaller number is absent.
    """
    names, counts = np.unique(ends[ends >= 0], return_counts=True)
    gaps = np.flatnonzero(np.diff(names) > 1)
    if not gaps.size:
        return
    absent = int(names[gaps[0]]) + 1
    doubtful = np.isin(ends, names[(counts == 1) & (names > absent)])
    if doubtful.any():
        row, column = np.argwhere(doubtful)[0]
        problem = (
            f"is in no other row, and junction {absent} is in none: a wrong number, or a dead end; correct it, number "
            f"the junctions without gaps, or list them in {junctions_path(table.path).name}"
        )
        raise table.error(int(row), f"end_{'ab'[column]}", problem)


def _relative_depth(conns: np.ndarray, n: int) -> np.ndarray:
    """Pores on the shortest path to the feed over those on the shortest paths to both faces; 1/2 without paths."""
    distance = {}
    for face in (INLET, OUTLET):
        steps = np.full(n, np.inf)
        steps[conns[conns[:, 1] == face, 0]] = 1
        inner = conns[conns[:, 1] >= 0]
        while True:
            shorter = steps.copy()
            for a, b in ((0, 1), (1, 0)):
                np.minimum.at(shorter, inner[:, a], steps[inner[:, b]] + 1)
            if (shorter == steps).all():
                break
            steps = shorter
        distance[face] = steps
    total = distance[INLET] + distance[OUTLET]
    return np.where(np.isfinite(total), distance[INLET] / np.where(np.isfinite(total), total, 1.0), 0.5)
