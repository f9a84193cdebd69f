"""Tables as laboratories write them: what is read, what is asked, and that their form changes no number."""

from __future__ import annotations

import pytest
from table_evaluation import evaluate

from membrane_dask.errors import StudyError
from membrane_dask.io.tables.numerals import decimal_sign
from membrane_dask.io.tables.unit_text import unit_text

HEADER = ("membrane", "pressure [bar]", "flux [L m-2 h-1]", "temperature [degC]")
READINGS = (("A", 0.5, 24.6, 22.5), ("A", 1.25, 61.9, 22.5), ("A", 2.0, 99.2, 22.5), ("A", 3.5, 172.4, 22.5))


def table(header=HEADER, readings=READINGS, separator=",", decimal="."):
    cells = [list(header), *([str(c).replace(".", decimal) for c in row] for row in readings)]
    return "\n".join(separator.join(row) for row in cells) + "\n"


def permeance(folder, text, encoding="utf-8", **settings):
    (folder / "table.csv").write_bytes(text.encode(encoding))
    (value,) = evaluate(folder / "table.csv", settings).permeances.values()
    return value


def question(folder, text, **settings):
    (folder / "table.csv").write_text(text, encoding="utf-8")
    with pytest.raises(StudyError) as error:
        evaluate(folder / "table.csv", settings)
    return str(error.value)


def test_the_form_of_a_table_changes_no_number(tmp_path):
    """Order of columns, encoding, separator with decimal sign, footer, names of other languages."""
    expected = permeance(tmp_path, table())
    order = (2, 0, 3, 1)
    forms = {
        "columns": table([HEADER[k] for k in order], [[row[k] for k in order] for row in READINGS]),
        "commas": table(separator=";", decimal=","),
        "tabulators": table(separator="\t"),
        "footer": table() + "Mean,,89.5,\nSlope,49.3,,\n-----\nOperator: J. M.\n",
        "German": table(("Probe", "Druck [bar]", "Fluss [L/(m²·h)]", "Temperatur [°C]")),
        "French": table(("Échantillon", "Pression (bar)", "Flux d'eau (L/m²h)", "Température (°C)")),
        "Spanish": table(("Muestra", "Presión (bar)", "Flujo (LMH)", "Temperatura (°C)")),
        "kPa": table(("id", "TMP (kPa)", "J (gfd)", "T (K)"),
                     [(n, p * 100, j * 24 * 0.09290304 / 3.785411784, t + 273.15) for n, p, j, t in READINGS]),
    }  # fmt: skip
    for name, text in forms.items():
        assert permeance(tmp_path, text) == pytest.approx(expected, rel=1e-9), name
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "cp1252"):
        assert permeance(tmp_path, forms["German"], encoding) == pytest.approx(expected, rel=1e-12), encoding


def test_header_block_and_row_of_units(tmp_path):
    """Area and temperature above the table; units in a row of their own; flow rates over the area."""
    text = (
        "Testzelle 3\nMembranfläche: 13,4 cm²\nTemperatur: 25 °C\n\nDruck;Volumenstrom;Bemerkung\nbar;mL/min;\n"
        "1,0;1,117;ok\n2,0;2,233;ok\n3,0;3,351;ok\n"
    )
    assert permeance(tmp_path, text) == pytest.approx(50, rel=1e-3)
    message = question(tmp_path, text, area="34 cm2")
    assert "area is 34 cm2 in the study and 13,4 cm² in the file (line 2); keep one" in message


def test_pressures(tmp_path):
    """Gauges on three sides, absolute pressures, suction."""
    gauges = "Feed P [barg],Retentate P [barg],Permeate P [barg],Flux [LMH]\n"
    gauges += "1.1,0.9,0.1,45\n2.1,1.9,0.1,95\n3.1,2.9,0.1,145\n"
    assert permeance(tmp_path, gauges) == pytest.approx(50, rel=1e-6)
    absolute = "pressure [bar(a)],Flux [LMH]\n2,50\n3,100\n4,150\n"
    assert "permeate_pressure: 1.013 bar" in question(tmp_path, absolute)
    assert permeance(tmp_path, absolute, permeate_pressure="1 bar") == pytest.approx(50, rel=1e-6)
    suction = "pressure [mbar],Flux [LMH]\n-100,5\n-200,10\n-300,15\n"
    assert "-100 mbar is below 0: suction?" in question(tmp_path, suction)
    assert permeance(tmp_path, suction, columns={"pressure [mbar]": "suction pressure"}) == pytest.approx(50, rel=1e-6)


def test_logs_and_collected_volumes(tmp_path):
    """A log and collected volumes cannot be distinguished where both rise."""
    log = "time [min],pressure [bar],volume [mL]\n5,1,5.583\n10,2,16.75\n15,3,33.5\n"
    assert "amounts: cumulative, or amounts: collected" in question(tmp_path, log, area="13.4 cm2")
    assert permeance(tmp_path, log, area="13.4 cm2", amounts="cumulative") == pytest.approx(50, rel=1e-3)
    falling = log + "20,4,30\n"
    assert "row 5: the cumulative volume falls (30)" in question(
        tmp_path, falling, area="13.4 cm2", amounts="cumulative"
    )
    tared = "time [s],pressure [bar],mass [g]\n0,1,104.00\n60,1,105.11\n120,1,106.23\n180,1,107.34\n"
    value = permeance(tmp_path, tared, area="13.4 cm2", amounts="cumulative")
    assert value == pytest.approx(50, rel=0.01)  # the balance shows 10 mg


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("Coupon,P [bar],J [LMH]\nl,1,50\nl,2,99\nr,1,20\nr,2,41\n", "columns: {Coupon: membrane}"),
        ("P [bar],J [LMH],inlet [°C]\n1,50,20\n2,100,30\n3,151,40\n", "a unit of temperature"),
        ("P [bar];J [LMH]\n1;1.470\n2;2.941\n3;4.410\n", "1.470 is 1.47 with decimal: '.' and 1470 with"),
        ("P [bar],J [LMH]\n1,50\n2,<90\n3,151*\n", "censored: drop"),
        ("P [bar],J [LMH]\n1,50\n2,90\n3,151*\n", "marks: {'*': keep}"),
        ("P [bar],Flux x 10^5 (m/s)\n1,2\n2,4\n3,6\n", "multiplied by it, or are in units of it"),
        ("P [mPa],J [LMH]\n1,50\n2,100\n3,151\n", "millipascal or megapascal"),
        ("P [bar],J [LMH],T [°C]\n1,50,293\n2,100,293\n3,151,293\n", "is it in K?"),
        ("P,J [LMH]\n1,50\n2,100\n3,151\n", "has no unit; for example 'pressure [bar]'"),
    ],
)
def test_questions(tmp_path, text, phrase):
    """What a table does not say is asked for, with the line to write."""
    assert phrase in question(tmp_path, text)


def test_decimal_sign():
    """A leading 0, other than three digits, or both signs in one number decide."""
    assert decimal_sign([("a", "1.470"), ("b", "490,2")]).sign == ","
    assert decimal_sign([("a", "1,470.5")]).sign == "."
    assert decimal_sign([("a", "0.470")]).sign == "."
    assert decimal_sign([("a", "1 470,5")]).sign == ","
    assert decimal_sign([("a", "1.470")]).problem
    assert decimal_sign([("a", "1.5"), ("b", "2,5")]).problem
    assert not decimal_sign([("a", "1470"), ("b", "12")]).problem


@pytest.mark.parametrize(
    ("text", "factor", "reference"),
    [
        ("10^-5 m/s", 1e-5, ""),
        ("bar(g)", 1, "gauge"),
        ("psia", 1, "absolute"),
        ("L/m2h", 1, ""),
        ("kg/cm2", 1, ""),
        ("cmH2O", 98.0665, ""),
        ("mWS", 9806.65, ""),
    ],
)
def test_units_of_the_trade(text, factor, reference):
    unit = unit_text(text)
    assert unit.unit
    assert unit.factor == pytest.approx(factor)
    assert unit.reference == reference


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("Temperature: 20\nP [bar],J [LMH]\n1,50\n2,100\n3,151\n", "'Temperature: 20' has no unit"),
        ("P [bar],J [LMH],pH\n1,50,4\n2,100,4\n1,20,9\n2,41,9\n", "splits the rows (4, 9)"),
        ("P [bar],J [LMH],\n1,50,A\n2,100,A\n1,20,B\n2,41,B\n", "column 3 has no header"),
    ],
)
def test_nothing_that_divides_readings_is_ignored(tmp_path, text, phrase):
    """A temperature without a unit, numbers and words that tell readings at the same pressure apart."""
    assert phrase in question(tmp_path, text)


PRESSURES_AND_FLUXES = ((0.5, 25.0), (1.0, 50.0), (2.0, 100.0), (3.0, 150.0))


@pytest.mark.parametrize(
    ("header", "factors"),
    [
        ("Druck [bar],spez. Flux in L/m²h", (1, 1)),
        ("TMP in bar,spezifischer Permeatfluss in L/(m² h)", (1, 1)),
        ("Pression transmembranaire (bar),Densité de flux de perméation (L/h.m²)", (1, 1)),
        ("Pressão (bar),Fluxo permeado (L/m².h)", (1, 1)),
        ("Druk (bar),Flux (L/m2/uur)", (1, 1)),
        ("Druck (bar),Fluss (l/m²/Std.)", (1, 1)),
        ("Feed (bar),J / 10⁻⁶ m s⁻¹", (1, 1 / 3.6)),
        ("Pressure (bar rel.),Flux (LMH)", (1, 1)),
        ("Pressure [kPaG],Flux (LMH)", (100, 1)),
        ("Vacuum (in. Hg),Flux (LMH)", (1e5 / 3386.389, 1)),
        ("Vacuum [inches Hg],Flux (LMH)", (1e5 / 3386.389, 1)),
        ("Pressure [m w.c.],Flux (LMH)", (1e5 / 9806.65, 1)),
    ],
)
def test_headers_of_laboratories(tmp_path, header, factors):
    rows = [tuple(x * f for x, f in zip(row, factors, strict=True)) for row in PRESSURES_AND_FLUXES]
    text = "\n".join([header, *(",".join(f"{x:.6g}" for x in row) for row in rows)])
    assert permeance(tmp_path, text) == pytest.approx(50, rel=1e-5)


def test_columns_of_the_feed_are_no_concentrations(tmp_path):
    """Flows and properties of feed and permeate stand next to gauges that are named by their side only."""
    text = (
        "Feed (bar),Retentate (bar),Permeate (bar),Feed flow (L/h),Permeate pH,Permeate conductivity (µS/cm),J (LMH)\n"
    )
    text += "".join(f"{p + 0.1},{p - 0.1},0,30,7.1,12,{j}\n" for p, j in PRESSURES_AND_FLUXES)
    assert permeance(tmp_path, text) == pytest.approx(50, rel=1e-6)
    absolute = "P [kPaA],J [LMH]\n" + "".join(f"{100 * p},{j}\n" for p, j in PRESSURES_AND_FLUXES)
    assert "permeate_pressure: 1.013 bar" in question(tmp_path, absolute)


@pytest.mark.parametrize("name", ["Flow (Nl/h)", "Gas flow (mL/min)", "Flow (sccm)"])
def test_a_flow_of_gas_is_no_permeance_of_water(tmp_path, name):
    """It was taken for a flow of water."""
    text = f"P (bar),{name}\n" + "".join(f"{p},{j}\n" for p, j in PRESSURES_AND_FLUXES)
    assert "method: gas permeation" in question(tmp_path, text, area="34 cm2")


def test_a_row_without_pressure_and_flow_is_no_reading(tmp_path):
    text = "P (bar),J (LMH)\n0,0.0\n" + "".join(f"{p},{j}\n" for p, j in PRESSURES_AND_FLUXES)
    assert permeance(tmp_path, text) == pytest.approx(50, rel=1e-6)
    with_flow = text.replace("0,0.0", "0,3.1")
    assert "check the zero of the gauge" in question(tmp_path, with_flow)


def test_remarks_between_readings(tmp_path):
    """A line that begins with # is no header, wherever it stands."""
    rows = [f"{p},{j}" for p, j in PRESSURES_AND_FLUXES]
    for position in range(len(rows) + 1):
        text = "\n".join(["# P (bar),J (LMH)", *rows[:position], "# pause", "#", *rows[position:]])
        assert permeance(tmp_path, text) == pytest.approx(50, rel=1e-6)


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("P [bar],J [LMH]\n1,50 ± 2\n2,100 ± 2\n3,150 ± 2\n", "in a column of their own, such as 'SD'"),
        ("P [bar],J [LMH]\n1,50\n2,OL\n3,150\n", "leave the cell empty, or write n.d."),
        ("P [bar],m before [g],m after [g],t [s]\n1,10,15,60\n2,10,20,60\n", "write the difference into a column"),
        (
            "P [bar],Flux x10-6 (m/s)\n1,2\n2,4\n3,6\n",
            "'flux [10^6 m/s]'} or columns: {'Flux x10-6 (m/s)': 'flux [10^-6",
        ),
    ],
)
def test_advice(tmp_path, text, phrase):
    assert phrase in question(tmp_path, text)


def test_remarks_on_a_treatment_divide_repeated_pressures(tmp_path):
    """Readings before and after a cleaning were those of one membrane."""
    rows = [f"{p},{j},\n" for p, j in PRESSURES_AND_FLUXES]
    rows += [f"{p},{0.4 * j},after NaOCl cleaning\n" for p, j in PRESSURES_AND_FLUXES]
    text = "P (bar),J (LMH),Remark\n" + "".join(rows)
    assert "columns: {'Remark': state}" in question(tmp_path, text)
    states = evaluate(tmp_path / "table.csv", {"columns": {"Remark": "state"}}).permeances
    assert list(states.values()) == pytest.approx([50, 20], rel=1e-6)
    assert permeance(tmp_path, text, ignore=["Remark"]) > 0


def test_a_proposed_line_is_yaml(tmp_path):
    rows = [f"{cell},{p},{j}\n" for cell in (1, 2) for p, j in PRESSURES_AND_FLUXES]
    assert "columns: {'Cell: no': membrane}" in question(tmp_path, "Cell: no,P (bar),J (LMH)\n" + "".join(rows))


@pytest.mark.parametrize(
    ("name", "content", "phrase"),
    [
        ("t.xlsx", b"<html><table></table></html>", "save it as .xlsx"),
        ("t.csv", b"PK\x03\x04\x00\xff\x00", "give it the ending .xlsx"),
        ("t.lvm", b"P (bar)\tJ (LMH)\n1\t50\n", "text gets the ending .txt"),
    ],
)
def test_files_with_another_ending(tmp_path, name, content, phrase):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(StudyError, match=phrase):
        evaluate(tmp_path / name, {})
