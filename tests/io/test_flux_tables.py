"""Tables of flux against pressure: units, file formats, and errors of files and lines."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from membrane_dask.io.tables.columns import TableOptions
from membrane_dask.io.tables.conditions import Conditions
from membrane_dask.io.tables.flux_curves import read_curves, read_flux_table
from membrane_dask.io.tables.limits import TableError
from membrane_dask.io.tables.measured_table import MeasuredTable
from membrane_dask.physics.porometry.water import Water

WATER, AREA = Water.at(298.15), 34e-4
PRESSURE, FLUX = np.array([0.5, 1.0, 2.0, 3.0]), np.array([31.0, 60.0, 123.0, 181.0])  # bar, L m-2 h-1
SECONDS = np.array([600.0, 300.0, 120.0, 60.0])
MASS = FLUX / 3.6e6 * AREA * SECONDS * WATER.density  # kg
HEAD = "membrane,pressure [bar],flux [L m-2 h-1]\n"


@pytest.mark.parametrize(
    ("columns", "area"),
    [
        ({"pressure [bar]": PRESSURE, "flux [L m-2 h-1]": FLUX}, None),
        ({"TMP (kPa)": PRESSURE * 100, "J_v (LMH)": FLUX}, None),
        ({"P / Pa": PRESSURE * 1e5, "Flux, L/(m² h)": FLUX}, None),
        ({"applied pressure [psi]": PRESSURE / 0.0689475729, "flux [L m-2 s-1]": FLUX / 3600}, None),
        ({"pressure_bar": PRESSURE, "flux [m s-1]": FLUX / 3.6e6}, None),
        ({"pressure [bar]": PRESSURE, "flux [kg m-2 s-1]": FLUX / 3.6e6 * WATER.density}, None),
        ({"pressure [bar]": PRESSURE, "mass [g]": MASS * 1e3, "time [min]": SECONDS / 60}, AREA),
        ({"pressure [bar]": PRESSURE, "volume [mL]": MASS / WATER.density * 1e6, "t [s]": SECONDS,
          "area [cm2]": np.full(4, 34)}, None),
    ],
    ids=lambda value: ", ".join(value) if isinstance(value, dict) else "",
)  # fmt: skip
def test_units(tmp_path, columns, area):
    """One membrane in many spellings, and by the mass or volume of the permeate."""
    pd.DataFrame({"membrane": "A", **columns}).to_csv(tmp_path / "flux.csv", index=False)
    (curve,) = read_flux_table(tmp_path / "flux.csv", conditions=Conditions(area=area)).membranes
    np.testing.assert_allclose(curve.pressure, PRESSURE * 1e5, rtol=1e-8)
    np.testing.assert_allclose(curve.flux, FLUX / 3.6e6, rtol=1e-8)


def test_file_formats(tmp_path):
    """JSON by rows and by columns, decimal commas, replicates in columns, the encoding of Windows."""
    rows = [{"membrane": "A", "pressure [bar]": p, "flux [LMH]": 50 * p} for p in (1, 2, 3.5)]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    (tmp_path / "columns.json").write_text(json.dumps({key: [row[key] for row in rows] for key in rows[0]}))
    (tmp_path / "commas.csv").write_text("membrane;pressure [bar];flux [LMH]\nA;1;50\nA;2;100\nA;3,5;175\n")
    (tmp_path / "wide.csv").write_text(
        "sample,pressure [bar],flux 1 [LMH],flux 2 [LMH],notes\nA,1,50,50,x\nA,2,100,100,\nA,3.5,175,175,y\n"
    )
    (tmp_path / "windows.csv").write_bytes(
        "membrane,pressure [bar],flux [L/(m² h)]\nA,1,50\nA,2,100\nA,3.5,175\n".encode("cp1252")
    )
    for name in ("rows.json", "columns.json", "commas.csv", "wide.csv", "windows.csv"):
        table = read_flux_table(tmp_path / name)
        (curve,) = table.membranes
        np.testing.assert_allclose(curve.flux, 50 * curve.pressure / 1e5 / 3.6e6, rtol=1e-10)
        assert len(np.unique(curve.replicate)) == (2 if name == "wide.csv" else 1)
        assert table.ignored_columns == (("notes",) if name == "wide.csv" else ())


def test_footers_are_of_files_only(tmp_path):
    """A row below the readings is a footer of a file, and a mistake among readings in memory."""
    columns = {"pressure [bar]": [1, 2, 3, "mean"], "flux [LMH]": [50, 100, 150, 100]}
    (tmp_path / "flux.json").write_text(json.dumps(columns))
    table = read_flux_table(tmp_path / "flux.json")
    assert len(table.membranes[0].pressure) == 3
    assert "left out below the table: mean; 100" in table.findings
    in_memory = MeasuredTable.of_columns(columns, TableOptions())
    read_curves(in_memory, Conditions())
    (problem,) = in_memory.problems
    assert problem.startswith("row 4: pressure [bar] must be a number (got 'mean'); leave the cell empty")


def test_all_problems_are_reported_together(tmp_path):
    (tmp_path / "flux.csv").write_text(HEAD + "A,1,50\nA,-2,100\nA,3,x\nB,1,5\nB,2,10\nB,3,-1\n")
    with pytest.raises(TableError) as error:
        read_flux_table(tmp_path / "flux.csv")
    assert [problem.split(":")[0] for problem in error.value.problems] == ["row 3 (A)", "row 4 (A)", "row 7 (B)"]


def test_files_that_are_not_tables(root, tmp_path):
    frame = pd.read_csv(root / "configs/porometry-quickstart.csv", comment="#")
    frame.to_excel(tmp_path / "two.xlsx", sheet_name="one", index=False)
    with pd.ExcelWriter(tmp_path / "two.xlsx", mode="a") as book:
        frame.to_excel(book, sheet_name="other", index=False)
    (tmp_path / "broken.xlsx").write_bytes(b"PK no workbook")
    (tmp_path / "list.json").write_text("[1, 2]")
    (tmp_path / "ragged.json").write_text('{"pressure [bar]": [1, 2], "flux [LMH]": [1]}')
    (tmp_path / "image.png").write_bytes(b"\x89PNG")
    (tmp_path / "binary.csv").write_bytes(b"a\0b")
    for name, message in {
        "two.xlsx": "several sheets; name one: sheet: 'one'", "broken.xlsx": "is no workbook, or only a part of one",
        "list.json": "a list of rows", "ragged.json": "lists of one length", "image.png": "is not a table",
        "binary.csv": "is not text",
    }.items():  # fmt: skip
        with pytest.raises(TableError, match=message):
            read_flux_table(tmp_path / name)
    assert len(read_flux_table(tmp_path / "two.xlsx", options=TableOptions(sheet="other")).membranes) == 8
    with pytest.raises(TableError, match="no sheet 'third'; its sheets are 'one', 'other'"):
        read_flux_table(tmp_path / "two.xlsx", options=TableOptions(sheet="third"))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("A,-90,12,0.995,1 2 3,25", "permeability .* greater than 0"),
        ("A,90,12,1.2,1 2 3,25", "at most 1"),
        ("A,90,12,0.99,1 2,25", "2 different pressures; at least 3"),
        ("A,90,12,0.99,1 2 3,25\nA,90,1,0.9,1 2 3,25", "repeats the membrane of row 2"),
        ("A,90,12,0.99,1 2 3,125", "row 2 .A.: temperature: liquid water is needed"),
    ],
)
def test_errors_of_printed_lines(tmp_path, row, message):
    head = "membrane,permeability [LMH/bar],intercept [LMH],r2,pressures [bar],temperature [degC]\n"
    (tmp_path / "lines.csv").write_text(head + row + "\n")
    with pytest.raises(TableError, match=message):
        read_flux_table(tmp_path / "lines.csv")
