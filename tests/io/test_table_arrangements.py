"""Several membranes, pages, computed columns, conditions and balance lines in one file: what is read, what is asked."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from openpyxl import Workbook
from table_evaluation import evaluate

from membrane_dask.errors import StudyError
from membrane_dask.io.tables.flux_curves import read_flux_table

#: Permeances of 50 and 20 LMH/bar, read with an error of about 0.5 % and rounded to 0.1 LMH.
FIRST = ((0.5, 25.1), (1.0, 49.8), (2.0, 100.3), (3.0, 149.7))
SECOND = ((0.5, 10.1), (1.0, 19.9), (2.0, 40.2), (3.0, 59.8))
#: Four readings with these errors determine the permeance within 1 %.
WITHIN = 0.01
BOTH = {"M1": 50, "M2": 20}
PAIRS = tuple((*a, *b) for a, b in zip(FIRST, SECOND, strict=True))
SHARED = tuple((*a, b[1]) for a, b in zip(FIRST, SECOND, strict=True))
AREA = 34e-4


def lines(header, rows, separator=","):
    return "\n".join([header, *(separator.join(map(str, row)) for row in rows)]) + "\n"


def permeances(folder, text, encoding="utf-8", **settings):
    (folder / "table.csv").write_bytes(text.encode(encoding))
    return evaluate(folder / "table.csv", settings).permeances


def question(folder, text, **settings):
    (folder / "table.csv").write_text(text, encoding="utf-8")
    with pytest.raises(StudyError) as error:
        evaluate(folder / "table.csv", settings)
    return str(error.value)


def flows(rows=FIRST, area=AREA):
    """Flow rates in mL/min of fluxes in LMH."""
    return [(p, round(j * area * 1000 / 60, 3)) for p, j in rows]


ARRANGEMENTS = {
    "merged labels": "M1,,M2,\n" + lines("P (bar),J (LMH),P (bar),J (LMH)", PAIRS),
    "labels in every cell": "M1,M1,M2,M2\n" + lines("P (bar),J (LMH),P (bar),J (LMH)", PAIRS),
    "units row": "M1;;M2;\nP;J;P;J\n" + lines("bar;LMH;bar;LMH", PAIRS, ";").replace(".", ","),
    "shared pressures": ",M1,M2\n" + lines("P (bar),J (LMH),J (LMH)", SHARED),
    "label in the name": lines("P (bar),J M1 (LMH),J M2 (LMH)", SHARED),
    "label as the name": lines("P (bar),M1 (LMH),M2 (LMH)", SHARED),
    "quantity above labels": ",Flux (LMH),\n" + lines("P (bar),M1,M2", SHARED),
    "titles with headers": "M1\n" + lines("P (bar),J (LMH)", FIRST) + "\nM2\n" + lines("P (bar),J (LMH)", SECOND),
    "titles as conditions": (
        "Membrane: M1\n" + lines("P (bar),J (LMH)", FIRST) + "Membrane: M2\n" + lines("P (bar),J (LMH)", SECOND)
    ),
    "titles between rows": "P (bar),J (LMH)\n" + lines("M1", FIRST) + lines("M2", SECOND),
    "areas of their own": (
        "Sample M1\nArea: 34 cm2\n" + lines("P (bar),Q (mL/min)", flows())
        + "Sample M2\nArea: 20 cm2\n" + lines("P (bar),Q (mL/min)", flows(SECOND, 20e-4))
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ARRANGEMENTS)
def test_several_membranes(tmp_path, name):
    """Side by side and one below the other; encoding, line ends, empty columns, quotes and footers change nothing."""
    text = ARRANGEMENTS[name]
    separator = ";" if ";" in text else ","
    expected = permeances(tmp_path, text)
    assert expected == pytest.approx(BOTH, rel=WITHIN)
    forms = [
        text.replace("\n", "\r\n"),
        text.replace("\n", separator * 3 + "\n"),
        text.replace(separator, "\t"),
        text + "\nSlope" + separator + "50\nOperator: J. M.\n",
        "\n".join(separator.join(f'"{cell}"' for cell in line.split(separator)) for line in text.split("\n")),
    ]
    for form in forms:
        assert permeances(tmp_path, form) == expected
    assert permeances(tmp_path, text, "utf-16") == expected


def test_order_of_columns(tmp_path):
    """Shuffled columns change no answer."""
    text = "M1,M2,M1,M2\n" + lines("J (LMH),P (bar),P (bar),J (LMH)", [(j, p, p, k) for p, j, _, k in PAIRS])
    assert permeances(tmp_path, text) == permeances(tmp_path, ARRANGEMENTS["labels in every cell"])
    text = lines("J M2 (LMH),P (bar),J M1 (LMH)", [(k, p, j) for p, j, k in SHARED])
    assert permeances(tmp_path, text) == permeances(tmp_path, ARRANGEMENTS["label in the name"])


def test_groups_of_different_length(tmp_path):
    """A membrane with fewer readings loses none, and takes none of the other."""
    text = "M1,,M2,\n" + lines("P (bar),J (LMH),P (bar),J (LMH)", PAIRS) + ",,4.0,80.3\n,,5.0,99.6\n"
    (tmp_path / "table.csv").write_text(text)
    curves = read_flux_table(tmp_path / "table.csv").membranes
    assert {curve.membrane: len(curve.pressure) for curve in curves} == {"M1": 4, "M2": 6}
    assert permeances(tmp_path, text) == pytest.approx(BOTH, rel=WITHIN)


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        (lines("P1 (bar),J1 (LMH),P2 (bar),J2 (LMH)", PAIRS), ["'P1 (bar)': membrane 1", "'J2 (LMH)': membrane 2"]),
        (lines("P (bar),Flux (LMH),Flux (LMH)", SHARED), ["{'Flux (LMH)': replicates}", "(column 3)': ignore"]),
        (lines("P (bar),J (LMH)", FIRST) + lines("P (bar),J (LMH)", SECOND), ["row 6 repeats the header", "'Run 1'"]),
        (lines("P (bar),J (LMH)", FIRST) + lines("", SECOND), ["row 7 begins again below an empty row"]),
        (lines("P (bar),J (LMH)", FIRST) + "M2\n" + lines("P (bar),J (LMH)", SECOND), ["row 6: 'M2' stands between"]),
        (lines("P 1 (bar),P 2 (bar),J (LMH)", [(p, p, j) for p, j in FIRST]), ["both hold the pressure"]),
        (lines("P (bar),PES (LMH),CA (LMH)", SHARED), ["'PES (LMH)': membrane PES", "'CA (LMH)': membrane CA"]),
        (lines("P (bar),J corrected (LMH)", FIRST), ["what does 'corrected' mean?"]),
        (lines("P (bar),J (LMH),J/P (LMH/bar)", [(p, j, round(1.2 * j / p, 1)) for p, j in FIRST]), ["1.2 times"]),
        (lines("P (bar),J (LMH),Remark", [(*row, "membrane 2 from here") for row in FIRST]), ["'membrane 2 from"]),
        ("A,,B,\n" + lines("P (bar),J (LMH),P (bar),J (LMH)", PAIRS), ["'A P (bar)': membrane 1"]),
        ("Temperature: 20 °C\n" + lines("P (bar),J (LMH),T (°C)", [(*row, 25) for row in FIRST]), ["20 °C in line 1"]),
        ("Area: 34 cm2\n" + lines("P (bar),Q (mL/min),A (cm2)", [(*row, 20) for row in flows()]), ["34 cm2 in line 1"]),
        ("Dried at 60 °C\n" + lines("P (bar),J (LMH)", FIRST), ["'Dried at 60 °C' looks like a temperature"]),
    ],
)  # fmt: skip
def test_questions(tmp_path, text, phrases):
    """What may mean several things is asked, with the line to write."""
    message = question(tmp_path, text)
    assert all(phrase in message for phrase in phrases), message


def test_answers(tmp_path):
    """The lines that the questions offer give the numbers that they say."""
    numbered = lines("P1 (bar),J1 (LMH),P2 (bar),J2 (LMH)", PAIRS)
    columns = {f"{name}{k} {unit}": f"membrane {k}" for k in (1, 2) for name, unit in (("P", "(bar)"), ("J", "(LMH)"))}
    assert permeances(tmp_path, numbered, columns=columns) == pytest.approx({"1": 50, "2": 20}, rel=WITHIN)
    same = lines("P (bar),Flux (LMH),Flux (LMH)", [(p, j, round(1.01 * j, 1)) for p, j in FIRST])
    (both,) = permeances(tmp_path, same, columns={"Flux (LMH)": "replicates"}).values()
    assert both == pytest.approx(50.25, rel=WITHIN)
    (one,) = permeances(tmp_path, same, columns={"Flux (LMH) (column 3)": "ignore"}).values()
    assert one == pytest.approx(50, rel=WITHIN)
    named = lines("P (bar),PES (LMH),CA (LMH)", SHARED)
    columns = {"PES (LMH)": "membrane PES", "CA (LMH)": "membrane CA"}
    assert permeances(tmp_path, named, columns=columns) == pytest.approx({"PES": 50, "CA": 20}, rel=WITHIN)


def at(factor):
    """Readings at another viscosity of the water."""
    return [round(j * factor, 1) for _, j in FIRST]


#: Viscosities at 20 and 30 °C are 1.1254 and 0.8955 times that at 25 °C.
_COLD, _WARM = at(1 / 1.1254), at(1 / 0.8955)
_PRESSURES = [p for p, _ in FIRST]


@pytest.mark.parametrize(
    "text",
    [
        ",20 °C,30 °C\n" + lines("P (bar),J (LMH),J (LMH)", zip(_PRESSURES, _COLD, _WARM, strict=True)),
        "T = 20 °C\n" + lines("P (bar),J (LMH)", zip(_PRESSURES, _COLD, strict=True))
        + "T = 30 °C\n" + lines("P (bar),J (LMH)", zip(_PRESSURES, _WARM, strict=True)),
        lines("J at 1 bar (LMH),J at 2 bar (LMH),J at 3 bar (LMH)", [(50.1, 99.8, 150.2), (49.8, 100.3, 150.0)]),
        lines("psi,gfd", [(round(14.5038 * p, 2), round(j / 1.6978, 2)) for p, j in FIRST]),
    ],
    ids=["temperatures above columns", "temperatures above rows", "pressures in names", "units only"],
)  # fmt: skip
def test_conditions_as_labels(tmp_path, text):
    """Temperatures and pressures that label columns or rows are conditions, not membranes."""
    assert list(permeances(tmp_path, text).values()) == pytest.approx([50], rel=WITHIN)


@pytest.mark.parametrize(
    "header",
    [
        "Flux A (LMH),Flux B (LMH)", "Flux #1 (LMH),Flux #2 (LMH)", "Jw run 1 [LMH],Jw run 2 [LMH]",
        "Flux (LMH) A,Flux (LMH) B", "1st flux (LMH),2nd flux (LMH)", "Flux_a [LMH],Flux_b [LMH]",
        "Flux (run 1) (LMH),Flux (run 2) (LMH)",
    ],
)  # fmt: skip
def test_names_of_replicates(tmp_path, header):
    text = lines(f"P (bar),{header}", [(p, j, round(1.01 * j, 1)) for p, j in FIRST])
    assert list(permeances(tmp_path, text).values()) == pytest.approx([50.25], rel=WITHIN)


@pytest.mark.parametrize(
    "page",
    ["Page 2\n", "\fP (bar),J (LMH)\n", "Page 1 of 2\n\fP (bar),J (LMH)\n", "\f", "Seite 2 von 3\nP (bar),J (LMH)\n"],
)  # fmt: skip
def test_pages(tmp_path, page):
    first, rest = lines("P (bar),J (LMH)", FIRST[:2]), lines("", FIRST[2:]).lstrip("\n")
    for separator in (",", "\t", ";"):
        text = (first + page + rest).replace(",", separator)
        assert list(permeances(tmp_path, text).values()) == pytest.approx([50], rel=WITHIN)


@pytest.mark.parametrize(
    "condition",
    [
        "Membrane area (cm2),34", "Surface: 34 cm2", "Superficie: 34 cm2", "Area membrana: 34 cm2", "Oppervlak: 34 cm2",
        "Área da membrana: 34 cm²", "Filterfläche (cm²) = 34", "Surface de la membrane (cm²) : 34", "Area,34,cm2",
        "Diameter (mm),65.8", "Diâmetro: 65.8 mm", "Diamètre de la membrane (mm) : 65.8", "Membraandiameter: 65.8 mm",
    ],
)  # fmt: skip
def test_areas_above_a_table(tmp_path, condition):
    text = condition + "\n" + lines("P (bar),Q (mL/min)", flows())
    assert list(permeances(tmp_path, text).values()) == pytest.approx([50], rel=WITHIN)


@pytest.mark.parametrize(
    "condition",
    ["Temperature (°C),20", "Temperatuur: 20 °C", "Temp (C): 20", "Temperatura: 20 °C", "Temperature [K],293.15"],
)  # fmt: skip
def test_temperatures_above_a_table(tmp_path, condition):
    """Water at 20 °C is 1.125 times as viscous as at 25 °C."""
    text = condition + "\n" + lines("P (bar),J (LMH)", [(p, round(j / 1.125, 2)) for p, j in FIRST])
    assert list(permeances(tmp_path, text).values()) == pytest.approx([50], rel=WITHIN)


@pytest.mark.parametrize(
    ("condition", "phrase"),
    [
        ("Diameter: 65.8 mm (outer), 60 mm (active)", "diameter is 65.8 mm (line 1) and 60 mm (line 1)"),
        ("Temperature (°C): 20 (feed), 22 (permeate)", "temperature is 20 °C (line 1) and 22 °C (line 1)"),
    ],
)
def test_two_values_of_a_condition(tmp_path, condition, phrase):
    assert phrase in question(tmp_path, condition + "\n" + lines("P (bar),Q (mL/min)", flows()), area="34 cm2")


def test_a_condition_in_two_units(tmp_path):
    text = "Temperature: 25 °C / 77 °F; Membrane area (cm2),34,flat\n" + lines("P (bar),Q (mL/min)", flows())
    assert list(permeances(tmp_path, text).values()) == pytest.approx([50], rel=WITHIN)


@pytest.mark.parametrize(
    "condition", ["Pressure (bar),1", "Pressione di esercizio: 1 bar", "ΔP = 1 bar", "Druk: 1 bar"]
)
def test_pressures_above_a_table(tmp_path, condition):
    text = condition + "\n" + lines("Run,J (LMH)", [(1, 49.8), (2, 50.1), (3, 50.2)])
    assert list(permeances(tmp_path, text).values()) == pytest.approx([50], rel=WITHIN)


@pytest.mark.parametrize(
    ("above", "name"),
    [
        ("", "Volume in 5 min (mL)"), ("", "Collected volume after 300 s [mL]"), ("", "mL in 5 min"),
        ("", "V (mL/5 min)"),
        ("Collection time: 5 min\n", "Volume (mL)"), ("Sammelzeit (min);5\n", "Volumen (mL)"),
    ],
)  # fmt: skip
def test_collection_times(tmp_path, above, name):
    text = f"Area: 34 cm2\n{above}" + lines(f"P (bar),{name}", [(p, round(j * AREA * 1000 / 12, 2)) for p, j in FIRST])
    assert list(permeances(tmp_path, text).values()) == pytest.approx([50], rel=WITHIN)
    timed = f"Area: 34 cm2\n{above}" + lines(f"P (bar),{name},time (min)", [(p, j, 10) for p, j in FIRST])
    assert "keep one" in question(tmp_path, timed)


def test_permeances_that_were_computed(tmp_path):
    """Permeances rounded to 0.1 agree with flux over pressure."""
    for header in ("J/P (LMH/bar)", "Permeance", "Lp [L/m2hbar]"):
        text = lines(f"P (bar),J (LMH),{header}", [(p, j, round(j / p, 1)) for p, j in FIRST])
        (tmp_path / "table.csv").write_text(text)
        result = evaluate(tmp_path / "table.csv")
        assert list(result.permeances.values()) == pytest.approx([50], rel=WITHIN)
        assert any("agrees with flux over pressure" in finding for finding in result.findings)


@pytest.mark.parametrize(
    "form",
    [
        "{day} {clock}  +   {mass} g", "{clock}  N     +  {mass} g", "{clock},N,+,{mass},g", "{day}T{clock};{mass};g",
        "{day} {clock}  ST,GS,+  {mass} g",
    ],
)  # fmt: skip
def test_lines_of_a_balance(tmp_path, form):
    """A flux of 50 LMH on a balance that shows 10 mg."""
    rate, start = 50 * AREA * 0.997 * 1000 / 3600, datetime(2026, 3, 1, 23, 59)
    text = ""
    for k in range(25):
        time = start + timedelta(seconds=5 * k)
        day = time.date() if "day" in form else ""
        clock = time.time() if "day" in form else (time - timedelta(hours=1)).time()
        text += form.format(day=day, clock=clock, mass=f"{12.34 + rate * 5 * k:.2f}") + "\n"
    value = permeances(tmp_path, text, area="34 cm2", pressure="1 bar")
    assert list(value.values()) == pytest.approx([50], rel=WITHIN)
    message = question(tmp_path, text)
    assert "area: 34 cm2" in message
    assert "pressure: 1 bar" in message


def sheet(folder, cells, merged=()):
    """Workbook with cells by coordinate."""
    book = Workbook()
    for coordinate, value in cells.items():
        book.active[coordinate] = value
    for area in merged:
        book.active.merge_cells(area)
    book.save(folder / "table.xlsx")
    return folder / "table.xlsx"


def test_time_stamps(tmp_path):
    """A column that may be the time is offered, with the line that makes it one."""
    rate = 50 * AREA * 0.997 * 1000 / 60  # g in a minute
    rows = [(f"2026-03-01 10:{k:02d}:00", 1.0, f"{rate * k:.2f}") for k in range(12)]
    text = lines("Timestamp,P [bar],Balance [g]", rows)
    assert "columns: {'Timestamp': time}" in question(tmp_path, text, area="34 cm2")
    settings = {"area": "34 cm2", "amounts": "cumulative", "columns": {"Timestamp": "time"}}
    assert list(permeances(tmp_path, text, **settings).values()) == pytest.approx([50], rel=WITHIN)


def test_replicates_of_other_methods(tmp_path):
    """A method that uses one column of a quantity asks which of several it is."""
    text = lines("time (min),Flux 1 (LMH),Flux 2 (LMH)", [(t, 200 - 2 * t, 190 - 2 * t) for t in range(0, 40, 4)])
    message = question(tmp_path, text, method="fouling", pressure="1 bar")
    assert "columns: {'Flux 2 (LMH)': ignore}" in message


def test_workbooks(tmp_path):
    """Merged labels, numbers stored as text, times as cells, hidden rows."""
    cells = {"A1": "P (bar)", "B1": "Flux (LMH)", "B2": "M1", "C2": "M2"}
    cells |= {f"{column}{row}": str(value) for row, values in enumerate(SHARED, 3)
              for column, value in zip("ABC", values, strict=True)}  # fmt: skip
    path = sheet(tmp_path, cells, ["A1:A2", "B1:C1"])
    assert evaluate(path).permeances == pytest.approx(BOTH, rel=WITHIN)
    rate = 50 * AREA * 0.997 * 1000 / 12  # g in 5 min
    cells = {"A1": "Time", "B1": "Mass (g)"}
    for k in range(8):
        cells |= {f"A{k + 2}": datetime(2026, 3, 1, 10, 5 * k), f"B{k + 2}": round(12.3 + rate * k, 2)}
    log = {"area": "34 cm2", "pressure": "1 bar", "amounts": "cumulative"}
    assert list(evaluate(sheet(tmp_path, cells), log).permeances.values()) == pytest.approx([50], rel=WITHIN)
    book = Workbook()
    for row in (("P (bar)", "J (LMH)"), *FIRST):
        book.active.append(row)
    book.active.row_dimensions[4].hidden = True
    book.save(tmp_path / "hidden.xlsx")
    with pytest.raises(StudyError, match="row 4 of sheet 'Sheet' is hidden"):
        evaluate(tmp_path / "hidden.xlsx")


@pytest.mark.parametrize("text", ["n.a.", "-", "n/a", "NaN"])
@pytest.mark.parametrize("position", [0, 1, 2, 4])
def test_a_missing_reading_in_any_row(tmp_path, text, position):
    """It is not taken for a header, although its row holds one number only."""
    readings = [("M1", *reading) for reading in (*FIRST, (4.0, 199.6))]
    readings[position] = ("M1", readings[position][1], text)
    table = "Test stand 3\n" + lines("Membrane;TMP [bar];Flux [LMH]", readings, ";")
    assert permeances(tmp_path, table) == {"M1": pytest.approx(50, rel=WITHIN)}
