"""Tables of bench methods whose pressures, flows or rejections would be taken for something else."""

from __future__ import annotations

import numpy as np
import pytest
from openpyxl import Workbook
from scipy.special import ndtr

from membrane_dask.errors import StudyError
from membrane_dask.studies.porometry.program import PorometryProgram
from membrane_dask.study_file import parse_study

BUBBLE_POINT = {"method": "bubble point", "liquid": "isopropanol", "temperature": "25 degC"}
ENTRY = {"method": "entry pressure", "liquid": "water", "temperature": "25 degC"}
WET_AND_DRY = {"method": "capillary flow", "liquid": "porefil"}
REJECTION = {"method": "rejection", "solute": "dextran"}
REJECTIONS = ((1, 0.05), (5, 0.2), (10, 0.4), (20, 0.62), (40, 0.8), (70, 0.9), (150, 0.97))


def evaluate(path, variable, **settings):
    """A variable of the only membrane."""
    program = PorometryProgram(
        parse_study({"kind": "porometry", "bootstrap": {"draws": 0}, "input": str(path), **settings})
    )
    values = np.asarray(program.work(program.context, program.unit("porometry", 0))[0][variable], float)
    return float(values[np.isfinite(values)].flat[0])


def result(folder, text, variable, **settings):
    (folder / "table.csv").write_text(text, encoding="utf-8")
    return evaluate(folder / "table.csv", variable, **settings)


def question(folder, text, **settings):
    with pytest.raises(StudyError) as error:
        result(folder, text, "bubble_point_radius", **settings)
    return str(error.value)


@pytest.mark.parametrize(
    ("text", "settings", "variable"),
    [
        ("membrane,bubble point [{}]\nA,{}\n", BUBBLE_POINT, "bubble_point_radius"),
        ("membrane,LEP [{}],contact angle\nA,{},118\n", ENTRY, "largest_pore_radius"),
    ],
    ids=["bubble point", "entry pressure"],
)
def test_absolute_pressures_at_which_a_pore_opens(tmp_path, text, settings, variable):
    """They were taken for differences, so that radii were too small by an atmosphere."""
    expected = result(tmp_path, text.format("bar", 1.5), variable, **settings)
    assert "permeate_pressure: 1.013 bar" in question(tmp_path, text.format("bar(a)", 2.5), **settings)
    lines = "Pressures are absolute pressures\n" + text.format("bar", 2.5)
    assert "permeate_pressure: 1.013 bar" in question(tmp_path, lines, **settings)
    value = result(tmp_path, text.format("bar(a)", 2.5), variable, permeate_pressure="1 bar", **settings)
    assert value == pytest.approx(expected, rel=1e-12)


def test_an_absolute_pressure_is_no_suction(tmp_path):
    text = "Vacuum [mbar(a)],flux [LMH]\n800,10\n600,20\n400,30\n"
    assert "suction is the difference to the atmosphere" in question(tmp_path, text, method="water")


def wet_and_dry(header, back=0.0, dry_back=0.0):
    pressure = np.array([0.4, 0.6, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.8, 2.0])
    opened = ndtr(np.log(pressure / 1.3) / 0.15)
    columns = zip(pressure + back, 2 * pressure * opened, pressure + dry_back, 2 * pressure, strict=True)
    return f"{header}\n" + "".join(",".join(f"{value:.6g}" for value in row) + "\n" for row in columns)


def test_absolute_pressures_of_the_dry_curve(tmp_path):
    """Those of the wet curve had the pressure of the permeate subtracted, those of the dry one had not."""
    header = "P [{}],wet flow [L/min],dry pressure [{}],dry flow [L/min]"
    plain = result(tmp_path, wet_and_dry(header.format("bar", "bar")), "mean_flow_pore_pressure", **WET_AND_DRY)
    for reference, back in (("bar(a)", 1.0), ("bar", 0.0)):
        text = wet_and_dry(header.format("bar(a)", reference), 1.0, back)
        value = result(tmp_path, text, "mean_flow_pore_pressure", permeate_pressure="1 bar", **WET_AND_DRY)
        assert value == pytest.approx(plain, rel=1e-5)  # six digits are printed


def test_flows_counted_at_different_conditions(tmp_path):
    header = "P [bar],wet flow [{}],dry pressure [bar],dry flow [{}]"
    message = question(tmp_path, wet_and_dry(header.format("NL/min", "L/min")), **WET_AND_DRY)
    assert "one counts volumes at 0 degC" in message
    both = wet_and_dry(header.format("NL/min", "slpm"))
    assert result(tmp_path, both, "mean_flow_pore_pressure", **WET_AND_DRY) == pytest.approx(1.3, rel=1e-3)


def test_flows_of_both_curves_in_one_column(tmp_path):
    text = "run,P [bar],flow [L/min]\nwet,1,0.5\nwet,2,2\ndry,1,2\ndry,2,4\n"
    assert "stand in columns of one table" in question(tmp_path, text, **WET_AND_DRY)


def test_rejections_as_fractions_and_percent(tmp_path):
    """A workbook stores 0.95 for 95 %: below a header with % that was 0.95 %."""
    rows = "".join(f"{mass},{100 * value:g}\n" for mass, value in REJECTIONS)
    variable = "molecular_weight_cut_off"
    expected = result(tmp_path, "MW [kDa],rejection [%]\n" + rows, variable, **REJECTION)
    in_cells = "MW [kDa],rejection\n" + rows.replace("\n", " %\n")
    assert result(tmp_path, in_cells, variable, **REJECTION) == pytest.approx(expected, rel=1e-12)
    book = Workbook()
    book.active.append(["MW [kDa]", "R (%)"])
    for k, row in enumerate(REJECTIONS, 2):
        book.active.append(row)
        book.active.cell(k, 2).number_format = "0%"
    book.save(tmp_path / "table.xlsx")
    with pytest.raises(StudyError, match=r"none is above 1 %.*'rejection \[1\]'"):
        evaluate(tmp_path / "table.xlsx", variable, **REJECTION)
    value = evaluate(tmp_path / "table.xlsx", variable, columns={"R (%)": "rejection [1]"}, **REJECTION)
    assert value == pytest.approx(expected, rel=1e-9)


def test_an_intrusion_needs_rising_pressures(tmp_path):
    """A table from the highest pressure on ended in a traceback."""
    text = "Pressure [MPa],Cumulative volume [mL/g]\n10,1.1\n5,1.1\n1,0.3\n0.1,0\n"
    assert "sort its rows" in question(tmp_path, text, method="mercury")
