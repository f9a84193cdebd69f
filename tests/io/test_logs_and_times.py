"""Logs of a bench against clock times: their forms, their first reading, and open questions."""

from __future__ import annotations

from datetime import datetime, time, timedelta

import pytest
from openpyxl import Workbook
from table_evaluation import evaluate

from membrane_dask.errors import StudyError
from membrane_dask.io.tables.clock_times import clock_seconds, unclear_days
from membrane_dask.io.tables.conditions import Conditions
from membrane_dask.io.tables.filtration import read_filtration
from membrane_dask.io.tables.flux_curves import read_flux_table
from membrane_dask.io.tables.measured_table import MeasuredTable

#: Volume in a minute at 50 LMH, mL; volumes are rounded to 1 uL or less, 0.04 % of it.
RATE = 50 * 34e-4 * 1000 / 60
WITHIN = 0.001
SETTINGS = {"area": "34 cm2", "pressure": "1 bar", "amounts": "cumulative"}


def write(folder, times, first=0.0, header="Time,Volume (mL)", start=0):
    rows = [f"{text},{first + RATE * (start + k):.4f}" for k, text in enumerate(times)]
    (folder / "log.csv").write_text("\n".join([header, *rows]) + "\n")


def evaluation(folder, times):
    write(folder, times)
    return evaluate(folder / "log.csv", SETTINGS)


FORMS = {
    "iso": [f"2026-03-12 10:{k:02d}:00" for k in range(8)],
    "iso with T and zone": [f"2026-03-12T10:{k:02d}:00.000Z" for k in range(8)],
    "points": [f"12.03.2026 10:{k:02d}:00" for k in range(8)],
    "slashes of one day": [f"3/12/2026 10:{k:02d}:00" for k in range(8)],
    "without seconds": [f"12.03.26 10:{k:02d}" for k in range(8)],
    "noon": [f"11:{56 + k}:00 AM" for k in range(4)] + [f"12:0{k}:00 p.m." for k in range(4)],
    "midnight with days": [f"12.03.2026 23:{56 + k}:00" for k in range(4)]
    + [f"13.03.2026 00:0{k}:00" for k in range(4)],
    "zones of summer and winter": ["2026-10-25T02:58:00+02:00", "2026-10-25T02:59:00+02:00",
                                   "2026-10-25T02:00:00+01:00", "2026-10-25T02:01:00+01:00"],
}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
def test_clock_times(tmp_path, name):
    result = evaluation(tmp_path, FORMS[name])
    assert list(result.permeances.values()) == pytest.approx([50], rel=WITHIN)


def test_times_that_cannot_be_compared():
    """Days with slashes, and times of which only some have a day."""
    assert clock_seconds("10:41") is None
    assert clock_seconds("31.02.2026 10:41:00") is None
    assert clock_seconds("12:30 AM") == 1800
    assert "write days as 2026-03-12" in unclear_days(["3/12/2026 23:59:00", "3/13/2026 00:01:00"])
    assert "has no day" in unclear_days(["10:00:00", "2026-03-12 10:01:00"])
    assert unclear_days(["3/12/2026 23:58:00", "3/12/2026 23:59:00", None, 5]) == ""


def test_days_with_slashes_are_a_question(tmp_path):
    times = [f"3/12/2026 23:{56 + k}:00" for k in range(4)] + [f"3/13/2026 00:0{k}:00" for k in range(4)]
    with pytest.raises(StudyError, match="may be a day of either number"):
        evaluation(tmp_path, times)


SPREADSHEET = {
    "durations": [timedelta(hours=22 + k) for k in range(6)],
    "clock times of more than a day": [(22 + k) / 24 for k in range(6)],
    "a reading at midnight": [datetime(2026, 3, 12, 22) + timedelta(hours=k) for k in range(6)],
}


@pytest.mark.parametrize("name", SPREADSHEET)
def test_times_of_spreadsheets(tmp_path, name):
    book = Workbook()
    book.active.append(["Time", "Volume (mL)"])
    for k, cell in enumerate(SPREADSHEET[name]):
        book.active.append([cell, round(60 * RATE * k, 3)])
        if isinstance(cell, float):
            book.active.cell(k + 2, 1).number_format = "hh:mm:ss"
    book.save(tmp_path / "log.xlsx")
    assert list(evaluate(tmp_path / "log.xlsx", SETTINGS).permeances.values()) == pytest.approx([50], rel=WITHIN)


def test_fractions_of_a_second_of_spreadsheets(tmp_path):
    """They were cut off, so that readings every 1.5 s had times of 1 and 2 s."""
    book = Workbook()
    book.active.append(["Time", "Volume (mL)"])
    for k in range(8):
        microseconds = 1_500_000 * k
        book.active.append([time(10, 0, microseconds // 10**6, microseconds % 10**6), round(1000 * RATE / 40 * k, 3)])
    book.save(tmp_path / "log.xlsx")
    conditions = Conditions(area=34e-4, pressure=1e5, amounts="cumulative")
    (curve,) = read_flux_table(tmp_path / "log.xlsx", conditions=conditions).membranes
    assert curve.flux * 3.6e6 == pytest.approx([50_000] * 7, rel=WITHIN)


@pytest.mark.parametrize(
    ("times", "first", "start", "finding"),
    [
        ([f"{k}:00" for k in range(1, 8)], 0.0, 1, "row 2: Volume (mL) counted from 0"),
        ([f"10:0{k}:00" for k in range(1, 8)], 0.0, 1, "row 2: start of a log"),
        ([f"{k}:00" for k in range(1, 8)], 100.0, 1, "row 2: start of a log"),
        ([f"{k}:00" for k in range(30, 37)], 0.0, 0, "row 2: start of a log"),
    ],
    ids=["from zero", "time of day", "volume before", "time before"],
)
def test_the_first_reading_of_a_log(tmp_path, times, first, start, finding):
    """It is counted from zero only where time and volume may begin there; a time of day gave a flux of almost 0."""
    is_clock = times[0].count(":") == 2
    header = "Time,Volume (mL)" if is_clock else "Time (mm:ss),Volume (mL)"
    write(tmp_path, times, first, header, start)
    conditions = Conditions(area=34e-4, pressure=1e5, amounts="cumulative")
    table = read_flux_table(tmp_path / "log.csv", conditions=conditions)
    assert table.membranes[0].flux * 3.6e6 == pytest.approx([50] * (6 + ("counted" in finding)), rel=WITHIN)
    assert any(finding in text for text in table.findings)


def test_a_reset_of_the_balance_is_answered_by_lines_of_runs(tmp_path):
    runs = [[f"{k},{RATE * k:.3f}" for k in range(5)], [f"{k + 5},{RATE * k:.3f}" for k in range(5)]]
    path = tmp_path / "log.csv"
    path.write_text("\n".join(["Time (min),Volume (mL)", *runs[0], *runs[1]]))
    with pytest.raises(StudyError, match=r"row 7: the cumulative volume falls .*'Run 2' above this row"):
        evaluate(path, SETTINGS)
    path.write_text("\n".join(["Time (min),Volume (mL)", "Run 1", *runs[0], "Run 2", *runs[1]]))
    assert list(evaluate(path, SETTINGS).permeances.values()) == pytest.approx([50], rel=WITHIN)


@pytest.mark.parametrize(
    ("area", "separator", "decimal"), [("3.400 mm2", ";", ","), ("3,400 mm2", ",", ".")], ids=["commas", "points"]
)
def test_thousands_above_a_table_are_a_question(tmp_path, area, separator, decimal):
    """The area was read as 3.4 mm2, although the table shows its decimal sign."""
    rows = [f"{p}{separator}{p * RATE:.4f}".replace(".", decimal) for p in (0.5, 1.0, 2.0)]
    path = tmp_path / "table.csv"
    path.write_text("\n".join([f"Area: {area}", f"P (bar){separator}Q (mL/min)", *rows]))
    with pytest.raises(
        StudyError, match=r"line 1\), but .* is the decimal sign of the table: is it (3400 or 3.4|3.4 or 3400)"
    ):
        evaluate(path)
    path.write_text(path.read_text().replace(area, "3400 mm2"))
    assert list(evaluate(path).permeances.values()) == pytest.approx([50], rel=WITHIN)


#: Masses of a balance in g, of water at 25 degC; they are printed with 1 mg, 0.04 % of a step.
MASS = 0.99705 * RATE
BALANCES = {
    "three digits": [f"10:{k:02d}:00  N  + {104 + MASS * k:8.3f} g" for k in range(12)],
    "am": [f"3/12/2026 10:{k:02d}:00 AM {104 + MASS * k:8.3f} g" for k in range(12)],
    "year of two digits": [f"12.03.26 10:{k:02d}:00 S S {104 + MASS * k:10.3f} g" for k in range(12)],
    "without seconds": [f"10:{k:02d} {104 + MASS * k:8.3f} g" for k in range(12)],
    "decimal commas": [f"10:{k:02d}:00;{104 + MASS * k:.3f} g".replace(".", ",") for k in range(12)],
    "midnight": [f"{'23' if k < 6 else '00'}:{(54 + k) % 60:02d}:00 {104 + MASS * k:8.3f} g" for k in range(12)],
    "tared": ["Run 1", *(f"10:{k:02d}:00 {MASS * k:8.3f} g" for k in range(6)),
              "Run 2", *(f"10:{k:02d}:00 {MASS * (k - 6):8.3f} g" for k in range(6, 12))],
    "remark": [*(f"10:{k:02d}:00 {MASS * k:8.3f} g" for k in range(6)), "# door opened",
               *(f"10:{k:02d}:00 {MASS * k:8.3f} g" for k in range(6, 12))],
}  # fmt: skip


@pytest.mark.parametrize("name", BALANCES)
def test_lines_of_balances(tmp_path, name):
    (tmp_path / "log.txt").write_text("\n".join(BALANCES[name]))
    settings = {"area": "34 cm2", "pressure": "1 bar"}
    assert list(evaluate(tmp_path / "log.txt", settings).permeances.values()) == pytest.approx([50], rel=WITHIN)


def test_a_line_that_is_no_mass_is_named(tmp_path):
    lines = [*BALANCES["am"][:5], "3/12/2026 10:05:30 AM Error 54", *BALANCES["am"][5:]]
    (tmp_path / "log.txt").write_text("\n".join(lines))
    with pytest.raises(StudyError, match=r"row 6: .*Error 54' is no mass of a balance"):
        evaluate(tmp_path / "log.txt", {"area": "34 cm2", "pressure": "1 bar"})


def filtration(folder, header, rows):
    """Minutes and L/m2 of a filtration of 50 LMH, or its problems."""
    (folder / "table.csv").write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]))
    table = MeasuredTable(folder / "table.csv")
    columns = read_filtration(table, Conditions(area=34e-4))
    return table.problems if columns is None or table.problems else columns


@pytest.mark.parametrize(
    ("header", "rows"),
    [
        ("time,volume [mL]", [(f"10:{k:02d}:00", RATE * k) for k in range(8)]),
        ("time,volume [mL]", [(f"{'23' if k < 4 else '00'}:{(56 + k) % 60:02d}:00", RATE * k) for k in range(8)]),
        ("time,volume [mL]", [(f"{k:02d}:00", RATE * k) for k in range(1, 8)]),
        ("time [min],mass [g]", [(k, 104 + MASS * k) for k in range(8)]),
        ("time,mass [g]", [(f"2026-03-12 10:{k:02d}", 104 + MASS * k) for k in range(8)]),
    ],
    ids=["time of day", "midnight", "stop watch", "tare", "days and tare"],
)
def test_a_filtration_begins_at_its_first_reading(tmp_path, header, rows):
    """Of a time of day and of a balance; a stop watch counts from its own zero."""
    if header == "time,volume [mL]" and rows[0][0] == "01:00":
        header = "time [mm:ss],volume [mL]"
    columns = filtration(tmp_path, header, rows)
    minutes = [k + (rows[0][0] == "01:00") for k in range(len(rows))]
    assert columns.time / 60 == pytest.approx(minutes, abs=1e-9)
    assert columns.volume * 1e3 == pytest.approx([50 / 60 * minute for minute in minutes], rel=WITHIN, abs=1e-3)


def test_filtrations_that_are_not_clear(tmp_path):
    begun = [(f"10:{k:02d}:00", RATE * k) for k in range(1, 8)]
    assert "write a row of the start above" in filtration(tmp_path, "time,volume [mL]", begun)[0]
    falling = [(k, RATE * k) for k in range(8, 0, -1)]
    assert "sort the rows by the time" in filtration(tmp_path, "time [min],volume [mL]", falling)[0]
    stamps = filtration(tmp_path, "Zeitstempel,volume [mL]", [(f"10:0{k}:00", RATE * k) for k in range(8)])
    assert "columns: {'Zeitstempel': time}" in stamps[0]


@pytest.mark.parametrize(
    ("header", "value"), [("flow [mL/min]", RATE), ("flux [kg/m2/h]", 49.8525), ("flow [g/min]", MASS)]
)
def test_flows_and_fluxes_by_mass_of_a_filtration(tmp_path, header, value):
    columns = filtration(tmp_path, f"time [min],{header}", [(k, value) for k in range(8)])
    assert columns.flux * 3.6e6 == pytest.approx([50] * 8, rel=1e-4)  # the density of water


def test_a_log_from_its_last_reading_on_is_a_question(tmp_path):
    """Each row was a log of its own, counted from zero."""
    write(tmp_path, list(range(8, 0, -1)), 0.0, "Time (min),Volume (mL)")
    rows = (tmp_path / "log.csv").read_text().replace("\n0.0000", "")
    (tmp_path / "log.csv").write_text(rows)
    with pytest.raises(StudyError, match="sort the rows by the time"):
        evaluate(tmp_path / "log.csv", SETTINGS)
