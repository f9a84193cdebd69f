"""Methods of the bench as functions: the numbers of a study bit for bit, units of arrays, and refusals."""

from __future__ import annotations

import csv
import re

import numpy as np
import pandas as pd
import pint
import pytest
import xarray as xr
import yaml

import membrane_dask as md
from membrane_dask.physics.porometry.fouling_laws import LAWS
from membrane_dask.studies.porometry.methods.contract import curve_columns
from membrane_dask.studies.porometry.program import PorometryProgram
from membrane_dask.studies.porometry.variables import POROMETRY
from membrane_dask.study_file import load_study

UNITS = pint.UnitRegistry()
#: Variables of the fit of a study, in SI units; the functions return those of the bench.
NAMES = [variable.name for variable in POROMETRY.variables]
FIT_OF_STUDY = set(NAMES[: NAMES.index("water_permeance")])
PRESSURE, FLUX = [0.5, 1.0, 1.5, 2.0], [24.8, 50.3, 75.1, 99.7]


def study_of(folder, columns, settings):
    """Program of a study whose table holds columns as Python prints their numbers."""
    with open(folder / "table.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows([["" if x is None else x for x in row] for row in zip(*columns.values(), strict=True)])
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump({"kind": "porometry", "bootstrap": {"draws": 0}, "input": "table.csv", **settings}))
    return PorometryProgram(load_study(path))


def numbers_of(program):
    """Variables of the only membrane, with its method first where there is that dimension."""
    values, _ = program.work(program.context, program.unit("porometry", 0))
    return {name: value[0] if POROMETRY.variable(name).dims == ("method",) else value for name, value in values.items()}


def bits(value):
    return np.asarray(value, float).tobytes()


def assert_same(dataset, program):
    """Every number and curve of a dataset is that of the study, and it has all that the study has."""
    numbers = numbers_of(program)
    laws = list(program.context["laws"])
    for name in set(dataset.data_vars) & set(numbers):
        expected = numbers[name]
        if dataset[name].dims == ("law",):
            expected = expected[[laws.index(law) for law in dataset.law.values]]
        assert bits(dataset[name]) == bits(expected), name
        assert dataset[name].units == POROMETRY.variable(name).units
        assert dataset[name].long_name == POROMETRY.variable(name).long_name
    computed = {name for name, value in numbers.items() if np.isfinite(value).any()}
    assert computed - FIT_OF_STUDY <= set(dataset.data_vars)
    membrane = program.measurements.membranes[0]
    curves = [(membrane.label, "", curve) for evaluation in membrane.evaluations for curve in evaluation.curves]
    if curves:
        columns = curve_columns(curves)
        for _, _, curve in curves:
            shown = dataset[f"{curve.name.replace(' ', '_')}_curve"]
            assert bits(shown) == bits(columns["value"][columns["curve_name"] == curve.name])
            assert shown.units == curve.unit
            assert bits(dataset[shown.dims[0]]) == bits(curve.x)
    findings = [text for _, text in program.measurements.findings]
    findings += [text for evaluation in membrane.evaluations for text in evaluation.findings]
    assert set(dataset.findings) >= {text for text in findings if "row" not in text and "column" not in text}


def test_water_is_that_of_a_study(tmp_path):
    dataset = md.water_permeance(PRESSURE, FLUX, temperature=[20.0, 20.5, 20.5, 21.0], reference_temperature=20)
    table = {"pressure [bar]": PRESSURE, "flux [L m-2 h-1]": FLUX, "temperature [degC]": [20.0, 20.5, 20.5, 21.0]}
    assert_same(dataset, study_of(tmp_path, table, {"reference_temperature": "20 degC"}))
    assert {"water_permeance_low", "free_line_slope", "threshold_pressure_high"} <= set(dataset)


def test_threshold_and_decline_of_water_are_those_of_a_study(tmp_path):
    pressure, flux = [0.5, 1.0, 1.5, 2.0, 2.5, 3.0], [0, 0, 8.1, 18.0, 28.2, 37.9]
    table = {"pressure [bar]": pressure, "flux [L m-2 h-1]": flux}
    dataset = md.water_permeance(pressure, flux, viscosity="1.1 mPa s")
    assert_same(dataset, study_of(tmp_path, table, {"viscosity": "1.1 mPa s"}))
    assert 1e5 < dataset.threshold_pressure < 1.2e5

    time = np.arange(0, 120, 10.0)
    flux = np.round(50 + 30 * np.exp(-time / 25), 1).tolist()
    table = {"time [min]": time.tolist(), "flux [L m-2 h-1]": flux}
    dataset = md.water_permeance(1.0, flux, time=time, temperature=25)
    assert_same(dataset, study_of(tmp_path, table, {"pressure": "1 bar", "temperature": "25 degC"}))
    # Rounding to 0.1 leaves the plateau within a few tenths.
    assert float(dataset.flux_plateau) == pytest.approx(50, abs=0.5)


def test_bubble_point_is_that_of_a_study(tmp_path):
    dataset = md.bubble_point([1.2, 1.21, 1.19], surface_tension="16 +- 0.3 mN/m", shape_factor=0.715)
    settings = {"method": "bubble point", "surface_tension": "16 +- 0.3 mN/m", "shape_factor": 0.715}
    assert_same(dataset, study_of(tmp_path, {"bubble point [bar]": [1.2, 1.21, 1.19]}, settings))


def test_capillary_flow_is_that_of_a_study(tmp_path):
    pressure = [0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.8, 2.0, 2.4]
    wet = [0.0, 0.06, 0.32, 1.07, 2.63, 5.13, 8.36, 11.8, 15.4, 21.3, 25.6, 32.3]
    dry = [10.0, 11.3, 12.6, 13.9, None, 16.6, 18.0, 19.4, 20.8, 23.4, 26.2, 32.2]
    dataset = md.capillary_flow_porometry(
        pressure, wet, dry, liquid="Porefil", gas="air", temperature=22, area=4.9, thickness="50 +- 5 um",
        first_flow=0.03, flow_at={"temperature": "row", "pressure": 1.0},
    )  # fmt: skip
    settings = {
        "method": "capillary flow", "liquid": "Porefil", "gas": "air", "temperature": "22 degC", "area": "4.9 cm2",
        "thickness": "50 +- 5 um", "first_flow": "0.03 L/min", "flow_at": {"temperature": "row", "pressure": "1 bar"},
    }  # fmt: skip
    table = {"pressure [bar]": pressure, "wet flow [L min-1]": wet, "dry flow [L min-1]": dry}
    assert_same(dataset, study_of(tmp_path, table, settings))
    assert np.isfinite(dataset.pore_number_density)


def test_liquid_displacement_is_that_of_a_study(tmp_path):
    pressure = [2.0, 2.25, 2.5, 2.75, 3.0, 3.25, 3.5, 3.75, 4.0, 4.5, 5.0, 6.0]
    flux = [0.91, 4.12, 13.1, 31.7, 61.9, 103, 152, 206, 260, 356, 434, 555]
    dataset = md.liquid_displacement(
        pressure, flux, interfacial_tension="1.7 +- 0.05 mN/m", viscosity=0.95, thickness=50
    )
    settings = {
        "method": "liquid displacement", "interfacial_tension": "1.7 +- 0.05 mN/m", "viscosity": "0.95 mPa s",
        "thickness": "50 um",
    }  # fmt: skip
    table = {"pressure [bar]": pressure, "flux [L m-2 h-1]": flux}
    assert_same(dataset, study_of(tmp_path, table, settings))


def test_rejection_is_that_of_a_study(tmp_path):
    molar_mass, rejection = [1.0, 4.0, 10.0, 20.0, 40.0, 70.0], [0.12, 0.37, 0.67, 0.87, 0.97, 0.993]
    transfer = {"value": 6e-6, "at": "10.5 kDa"}
    dataset = md.rejection(rejection, molar_mass=molar_mass, solute="dextran", flux=54, mass_transfer=transfer)
    settings = {
        "method": "rejection", "solute": "dextran", "flux": "54 L/m2/h",
        "mass_transfer": {"value": "6e-6 m/s", "at": "10.5 kDa"},
    }  # fmt: skip
    table = {"molar mass [kDa]": molar_mass, "rejection [1]": rejection}
    assert_same(dataset, study_of(tmp_path, table, settings))


def test_concentrations_below_a_limit_are_those_of_a_study(tmp_path):
    columns = {"feed": [100.0, 100.0, 101.0, 99.0], "permeate": [88.0, 61.0, 30.5, "<2"]}
    radius = [0.9, 2.0, 3.1, 6.0]
    dataset = md.rejection(
        feed_concentration=columns["feed"], permeate_concentration=columns["permeate"], solute_radius=radius,
        censored="use",
    )  # fmt: skip
    table = {
        "solute radius [nm]": radius, "feed concentration [mg L-1]": columns["feed"],
        "permeate concentration [mg L-1]": columns["permeate"],
    }  # fmt: skip
    assert_same(dataset, study_of(tmp_path, table, {"method": "rejection", "censored": "use"}))


def test_gas_permeation_is_that_of_a_study(tmp_path):
    pressure, permeance = [1.2, 1.5, 1.8, 2.1, 2.4], [1.116e-5, 1.160e-5, 1.196e-5, 1.242e-5, 1.277e-5]
    dataset = md.gas_permeation(pressure, permeance, gas="N2", temperature=25)
    table = {"mean pressure [bar(a)]": pressure, "permeability [mol m-2 s-1 Pa-1]": permeance}
    settings = {"method": "gas permeation", "gas": "N2", "temperature": "25 degC"}
    assert_same(dataset, study_of(tmp_path, table, settings))
    assert dataset.gas_radius_low < dataset.gas_radius < dataset.gas_radius_high

    flow, feed = [52.1, 108.3, 168.0, 231.5], [1.5, 2.0, 2.5, 3.0]
    at = {"temperature": 20, "pressure": 1.013}
    dataset = md.gas_permeation(
        gas="N2", temperature=[25.0, 25.0, 25.5, 26.0], flow=flow, feed_pressure=feed, permeate_pressure=1.0, area=12.5,
        flow_at=at,
    )  # fmt: skip
    table = {
        "feed pressure [bar(a)]": feed, "flow [mL min-1]": flow, "temperature [degC]": [25.0, 25.0, 25.5, 26.0],
    }  # fmt: skip
    settings = {
        "method": "gas permeation", "gas": "N2", "permeate_pressure": "1 bar", "area": "12.5 cm2",
        "flow_at": {"temperature": "20 degC", "pressure": "1.013 bar"},
    }  # fmt: skip
    assert_same(dataset, study_of(tmp_path, table, settings))


def test_flux_decline_is_that_of_a_study(tmp_path):
    time = [0, 5, 10, 15, 20, 30, 40, 50, 60]
    volume = [0, 14.6, 26.4, 36.6, 45.6, 61.3, 75.0, 87.2, 98.3]
    dataset = md.flux_decline(time, volume=volume, area=10, pressure=1)
    table = {"time [min]": time, "volume [mL]": volume}
    assert_same(dataset, study_of(tmp_path, table, {"method": "fouling", "area": "10 cm2"}))
    assert dataset.law.values.tolist() == list(LAWS)
    assert dataset.aicc_difference.min() == 0


def test_mercury_and_entry_pressure_are_those_of_a_study(tmp_path):
    pressure, volume = [1, 5, 10, 20, 40, 80], [0, 0.02, 0.4, 0.9, 1.05, 1.1]
    dataset = md.mercury_intrusion(pressure, volume, skeleton_density=1.4, contact_angle=141, lowest_pressure=2)
    settings = {"method": "mercury", "skeleton_density": "1.4 g/mL", "contact_angle": 141, "lowest_pressure": "2 bar"}
    table = {"absolute pressure [bar]": pressure, "intruded volume [mL g-1]": volume}
    assert_same(dataset, study_of(tmp_path, table, settings))

    dataset = md.entry_pressure([2.34, 2.4], contact_angle="118 +- 2", liquid="water", temperature=25)
    settings = {
        "method": "entry pressure", "contact_angle": "118 +- 2", "liquid": "water", "temperature": "25 degC",
    }  # fmt: skip
    assert_same(dataset, study_of(tmp_path, {"entry pressure [bar]": [2.34, 2.4]}, settings))


IN_KPA = [50.0, 100.0, 150.0, 200.0]


@pytest.mark.parametrize(
    ("pressure", "flux"),
    [
        (np.array(PRESSURE), tuple(FLUX)),
        (UNITS.Quantity(np.ma.array([*IN_KPA, 1e9], mask=[0, 0, 0, 0, 1]), "kPa"), [*FLUX, 1.0]),
        (np.array(IN_KPA) * UNITS.kPa, np.array(FLUX) * UNITS("L/m^2/h")),
        (pd.Series(IN_KPA, name="pressure [kPa]"), pd.Series(FLUX, name="J (LMH)")),
        (pd.Series(PRESSURE, index=[5, 6, 7, 8]), pd.Series(FLUX, index=[5, 6, 7, 8])),
        (pd.Series([*IN_KPA, None], name="p_kPa"), pd.Series([*FLUX, 3.0])),
        (pd.Series([50, 100, 150, 200, pd.NA], dtype="Int64", name="p in kPa"), [*FLUX, 3.0]),
        (xr.DataArray(IN_KPA, dims="reading", attrs={"units": "kPa"}), FLUX),
        ([*PRESSURE, float("nan")], [*FLUX, 3.0]),
    ],
    ids=["arrays", "masked", "pint", "columns", "index", "missing", "nullable", "xarray", "nan"],
)
def test_forms_of_readings(pressure, flux):
    """All forms of the same readings give the same permeance; rounding of units may differ in the last bits."""
    expected = md.water_permeance(PRESSURE, FLUX, temperature=20)
    dataset = md.water_permeance(pressure, flux, temperature="293.15 K")
    for name in ("water_permeance", "water_permeance_low", "water_permeance_high"):
        assert float(dataset[name]) == pytest.approx(float(expected[name]), rel=1e-9)
    if len(flux) > len(FLUX):
        assert any("row 5: no reading of pressure" in finding for finding in dataset.findings)


def test_units_of_names_and_attributes_are_reported():
    """A column keeps its name when it is converted by hand, and its unit would then be wrong."""
    dataset = md.water_permeance(pd.Series(IN_KPA, name="p [kPa]"), FLUX, temperature=20)
    assert dataset.findings[0] == "pressure is in kPa by its name 'p [kPa]'"
    dataset = md.water_permeance(xr.DataArray(IN_KPA, dims="n", attrs={"units": "kPa"}), FLUX, temperature=20)
    assert dataset.findings[0] == "pressure is in kPa by its attribute units"
    assert md.water_permeance(pd.Series(PRESSURE, name="p [bar]"), FLUX, temperature=20).findings == []


def test_one_reading():
    """Quantities, texts and plain numbers of one reading."""
    expected = md.bubble_point(1.0, surface_tension=16).bubble_point_radius
    for pressure in (
        "1 bar",
        "100 kPa",
        UNITS.Quantity(1e5, "Pa"),
        np.float64(1),
        [1],
        pd.Series([100.0], name="p/kPa"),
    ):
        dataset = md.bubble_point(pressure, surface_tension=UNITS.Quantity(0.016, "N/m"))
        assert float(dataset.bubble_point_radius) == pytest.approx(float(expected), rel=1e-12)
    water = md.water_permeance("1 bar", "50 L/m2/h", temperature=25)
    # One reading has the interval of the spread of readings in general, 14 %.
    assert float(water.water_permeance_high / water.water_permeance) == pytest.approx(1.14, abs=0.005)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"flux": FLUX[:3]}, r"differ in length \(pressure 4, flux 3\)"),
        ({"flux": 50}, r"differ in length \(pressure 4, flux 1\)"),
        ({"flux": [np.nan] * 4}, "there is no reading"),
        ({"pressure": [], "flux": []}, "pressure, flux: there is no reading"),
        ({"flux": [1, 2, np.inf, 4]}, "row 3: flux must be finite"),
        ({"flux": [-1, 2, 3, 4]}, "row 1: the flux must be greater than 0"),
        ({"pressure": [-1, 1, 2, 3]}, "row 1: -1 bar is below 0"),
        ({"pressure": ["a", 1, 2, 3]}, "row 1: pressure must be a number"),
        ({"pressure": [1, 2, 3, "b"]}, "row 4: pressure must be a number"),
        ({"pressure": [True, 1, 2, 3]}, "row 1: pressure must be a number"),
        ({"pressure": [UNITS("1 bar")] * 4}, "row 1: pressure must be a number"),
        ({"flux": ["24.8*", 50.3, 75.1, 99.7]}, r"row 1: flux: what does the mark of 24.8\* mean\?$"),
        ({"time": ["0:00", "0:05", "0:10", "0:15"]}, "row 1: time: '0:00' is hours and minutes, or .* seconds\\?\n"),
        ({"pressure": np.ones((2, 2))}, "pressure: one dimension is needed"),
        ({"pressure": {1, 2, 3, 4}}, "pressure: an array or a list is needed"),
        ({"pressure": (p for p in PRESSURE)}, "pressure: an array or a list is needed"),
        ({"pressure": np.array(PRESSURE) * UNITS.s}, "pressure: 's' is not a unit of pressure, such as bar"),
        ({"flux": pd.Series(FLUX, name="flux (run 1)")}, r"'run 1' by its name 'flux \(run 1\)' is not a unit"),
        ({"flux": pd.Series(FLUX, name="10^-6 m/s")}, r"flux: is 10\^-6 in '10\^-6 m/s' part of the unit"),
        ({"pressure": pd.Series(PRESSURE, name="p [mPa]")}, "pressure: is mPa in 'p \\[mPa\\]' millipascal or mega"),
        ({"pressure": pd.Series(PRESSURE, name="p [bar(a)]")}, "permeate_pressure: 1.013 bar"),
        (
            {"pressure": xr.DataArray(PRESSURE, dims="n", name="p [bar]", attrs={"units": "kPa"})},
            "pressure: its units differ: 'kPa' and 'bar'",
        ),
        (
            {"pressure": pd.Series(PRESSURE), "flux": pd.Series(FLUX, index=[3, 2, 1, 0])},
            "pressure and flux have different indexes",
        ),
        ({"temperature": 298}, "temperature: 298 degC is no temperature of a bench; write '298 K'"),
        ({"temperature": [298.0] * 4}, "temperature: 298 degC is no temperature of a bench; write '298 K'"),
        ({"temperature": "20 bar"}, "temperature: .*(got '20 bar')"),
        ({"viscosity": [1.0] * 4}, "viscosity: one value is needed"),
        ({"viscosity": UNITS.Quantity(1, "Pa")}, "viscosity: not a quantity in units like 'Pa s'"),
        ({"confidence": 95}, "confidence: .*(got 95)"),
    ],
)
def test_refused_readings(arguments, message):
    with pytest.raises(ValueError, match=message) as error:
        md.water_permeance(**{"pressure": PRESSURE, "flux": FLUX, **arguments})
    assert "columns:" not in str(error.value)
    assert "marks:" not in str(error.value)


@pytest.mark.parametrize(
    ("evaluate", "message"),
    [
        (lambda: md.bubble_point(1.2), "liquid: Porefil, or surface_tension"),
        (lambda: md.bubble_point(0, liquid="Porefil"), "row 1: the bubble point must be greater than 0"),
        (lambda: md.bubble_point(1.2, surface_tension=[15, 16]), "surface_tension: one value is needed"),
        (lambda: md.bubble_point(1.2, liquid="honey"), "liquid: 'honey' is not known"),
        (lambda: md.capillary_flow_porometry([1, 2], [0, 1], temperature=[20, 21]), "temperature: one value is needed"),
        (lambda: md.liquid_displacement([1, 2], [1, 2], interfacial_tension="2 bar"), "interfacial_tension: "),
        (lambda: md.gas_permeation(gas="N2", temperature=25), "permeance or of the flow"),
        (lambda: md.gas_permeation(gas="N2", temperature=25, flow=[1, 2], feed_pressure=[2, 3]), "area: 34 cm2"),
        (
            lambda: md.gas_permeation(gas="N2", temperature=25, flow=[1, 2], feed_pressure=[2, 3], area=10),
            "flow_at: ",
        ),
        (lambda: md.rejection(), "rejection, molar_mass, .*: there is no reading"),
        (lambda: md.rejection([0.1, 0.9]), "size of the solutes"),
        (lambda: md.rejection([0.1, 0.9], molar_mass=[1, 10]), "solute"),
        (lambda: md.rejection([10, 90], molar_mass=[1, 10], solute="dextran"), "row 1: the rejection is 1000 %"),
        (lambda: md.rejection([0.1, 0.9], molar_mass=[1, 10], solute="dextran", flux=[1, 2]), "flux: one value"),
        (lambda: md.flux_decline([0, 1, 2]), "there is no column of the permeate"),
        (lambda: md.flux_decline([0, 1, 2], volume=[1, 2, 3]), "area: 34 cm2"),
        (lambda: md.mercury_intrusion(pd.Series([1, 2, 3], name="p [barg]"), [0, 1, 2]), "gauge pressure"),
        (lambda: md.entry_pressure(2, contact_angle=118, liquid="water"), "temperature"),
        (lambda: md.entry_pressure(2, contact_angle=200, liquid="Porefil"), "contact_angle: must be within 0 and 180"),
    ],
)  # fmt: skip
def test_refused_by_methods(evaluate, message):
    with pytest.raises(ValueError, match=message):
        evaluate()


def test_examples_of_the_page(root):
    """The code block runs, and so do all calls of the table with simulated readings for its names."""
    section = (root / "docs/porometry.md").read_text("utf-8").partition("### Python")[2].partition("### Tables")[0]
    (block,) = re.findall(r"```python\n(.*?)```", section, re.S)
    names: dict[str, object] = {}
    exec(compile(block, "porometry.md", "exec"), names)
    assert float(names["water"].water_permeance) == pytest.approx(56.2, abs=0.05)

    pressure = np.arange(0.5, 3, 0.1)
    opened = 1 / (1 + np.exp(-(pressure - 1.5) / 0.15))
    names |= {
        "pressure": pressure,
        "wet": 10 * pressure * opened,
        "dry": 10 * pressure,
        "flux": 100 * pressure * opened,
    }
    names |= {"time": np.arange(1.0, 11), "volume_per_area": np.sqrt(np.arange(1.0, 11)), "volume": opened}
    calls = re.findall(r"\| `(md\..+?\))` \| `(\w+)`", section)
    assert len(calls) == 9
    for call, result in calls:
        assert np.isfinite(eval(call, names)[result]).any(), call
