"""Methods of the bench in a study: tables simulated with the errors of instruments, reference tables, and questions."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import yaml

import membrane_dask as md
from membrane_dask.errors import StudyError
from membrane_dask.physics.porometry.fouling_laws import permeate_volume
from membrane_dask.physics.porometry.liquid_displacement import permeance_while_open
from membrane_dask.physics.porometry.membrane_sieving import observed_sieving
from membrane_dask.physics.porometry.radius_distributions import LogNormalRadii
from membrane_dask.physics.porometry.solutes import stokes_relation
from membrane_dask.physics.porometry.water import Water
from membrane_dask.studies.porometry.joint_evaluation import evaluate_joint, joint_findings
from membrane_dask.studies.porometry.program import PorometryProgram
from membrane_dask.study_file import load_study

BAR, LMH = 1e5, 1 / 3.6e6


def program(folder, settings):
    path = folder / "study.yaml"
    path.write_text("kind: porometry\nbootstrap: {draws: 0}\n" + yaml.safe_dump(settings, allow_unicode=True))
    return PorometryProgram(load_study(path))


def evaluate(folder, table, **settings):
    """Variables of the only membrane of a table, and all findings."""
    (folder / "table.csv").write_text(table, encoding="utf-8")
    return evaluated(program(folder, {"input": "table.csv", **settings}))["membrane"]


def evaluated(prog):
    """Variables and findings by membrane."""
    values = {str(label): prog.work(prog.context, prog.unit("porometry", k))[0] for k, label in enumerate(prog.labels)}
    joint = {k: joint_findings(prog.work(prog.context, prog.unit("joint", k))[0]) for k in prog.joint_membranes}
    findings = [text for _, text in prog.measurements.findings]
    for dataset in prog.evaluations(joint=joint):
        if dataset.schema.name == "findings":
            columns = (dataset.values[name] for name in ("membrane_name", "finding"))
            findings += [f"{label}: {text}" for label, text in zip(*columns, strict=True)]
    return {label: (variables, "\n".join(findings)) for label, variables in values.items()}


def refused(folder, table, **settings):
    with pytest.raises(StudyError) as error:
        evaluate(folder, table, **settings)
    return str(error.value)


def rows(*columns, form="{:.4g}"):
    return "".join(",".join(form.format(v) if v == v else "" for v in row) + "\n" for row in zip(*columns, strict=True))


# Pores of a filter: flow median 225 nm, log-standard deviation 0.18; the readings have an error of 0.5 %.
PRESSURE = np.round(np.arange(0.4, 2.6, 0.1), 2)
RADII = LogNormalRadii.from_flow_median(225e-9, 0.18)


def wet_and_dry():
    rng = np.random.default_rng(3)
    opened = permeance_while_open(PRESSURE * BAR, 2 * 16e-3, RADII.median, RADII.log_standard_deviation, 1.0)
    dry = 13 * PRESSURE * (1 + 0.005 * rng.standard_normal(len(PRESSURE)))
    return opened * dry * (1 + 0.005 * rng.standard_normal(len(PRESSURE))), dry


def test_capillary_flow(tmp_path):
    """Wet and dry curves in a header block of an instrument; the bracket of the readings is in the interval."""
    wet, dry = wet_and_dry()
    head = "Porometer\nWetting liquid: Porefil (surface tension 16 mN/m)\nShape factor: 1\n"
    head += "Pressure [bar],Wet curve [L/min],Dry curve [L/min]\n"
    values, findings = evaluate(tmp_path, head + rows(PRESSURE, wet, dry), method="capillary flow")
    # Half of the flow passes above the flow median.
    assert values["mean_flow_pore_radius_low"] < 225 < values["mean_flow_pore_radius_high"]
    assert float(values["mean_flow_pore_radius"]) == pytest.approx(225, rel=0.02)
    assert float(values["log_sd"][0]) == pytest.approx(0.18, abs=0.01)
    assert values["bubble_point_radius_low"] < values["bubble_point_radius"] <= values["bubble_point_radius_high"]
    assert "surface tension: 16 mN/m (line 2)" in findings
    # A dry curve at pressures of its own, psi and sccm, gives the same pore within the interpolation.
    fewer = np.full(len(PRESSURE), np.nan)
    fewer_pressure = fewer.copy()
    fewer_pressure[:8], fewer[:8] = PRESSURE[::3], dry[::3] * 1e3
    table = "P wet (psi),Wet flow (sccm),P dry (psi),Dry flow (sccm)\n"
    table += rows(PRESSURE / 0.0689475729, wet * 1e3, fewer_pressure / 0.0689475729, fewer, form="{:.6g}")
    own_grid, _ = evaluate(tmp_path, table, method="capillary flow", surface_tension="16 mN/m")
    assert float(own_grid["mean_flow_pore_radius"]) == pytest.approx(float(values["mean_flow_pore_radius"]), rel=0.01)
    # The shape factor of a study that contradicts the file is refused.
    message = refused(tmp_path, head + rows(PRESSURE, wet, dry), method="capillary flow", shape_factor=0.715)
    assert "shape_factor is 0.715 in the study and 1 in the file (line 3); keep one" in message


def test_contact_angles_of_tables_narrow_the_pores(tmp_path):
    """Readings at an angle of 60 degrees are those of half the radius; the study may not say otherwise."""
    wet, dry = wet_and_dry()
    head = "Liquid: Porefil\nSurface tension: 16 mN/m\nContact angle: {} deg\n"
    table = head + "Pressure [bar],Wet flow [L/min],Dry flow [L/min]\n" + rows(PRESSURE, wet, dry)
    radii = [
        float(evaluate(tmp_path, table.format(angle), method="capillary flow")[0]["mean_flow_pore_radius"])
        for angle in (0, 60)
    ]
    assert radii[1] == pytest.approx(0.5 * radii[0], rel=1e-9)
    message = refused(tmp_path, table.format(60), method="capillary flow", contact_angle=30)
    assert "contact_angle is 30 in the study and 60" in message
    head = "Interfacial tension: 1.7 mN/m\nContact angle: {} deg\nPressure [bar],Flux [LMH]\n"
    flux = rows(PRESSURE, 90 * PRESSURE * wet / dry)
    medians = [
        float(
            np.nanmax(evaluate(tmp_path, head.format(a) + flux, method="liquid displacement")[0]["flow_median_radius"])
        )
        for a in (0, 60)
    ]
    assert medians[1] == pytest.approx(0.5 * medians[0], rel=1e-6)


def test_capillary_flow_needs_its_liquid_and_is_not_water(tmp_path):
    wet, dry = wet_and_dry()
    table = "Pressure [bar],Wet flow [L/min],Dry flow [L/min]\n" + rows(PRESSURE, wet, dry)
    assert "liquid: Porefil" in refused(tmp_path, table, method="capillary flow")
    assert "method: capillary flow" in refused(tmp_path, table)
    assert "silwick" in refused(tmp_path, table, method="capillary flow", liquid="silwick")


def test_displacement_and_water_are_of_one_membrane(tmp_path):
    """A water table without a name is of the membrane that the other table names."""
    rng = np.random.default_rng(8)
    radii = LogNormalRadii(8e-9, 0.25)
    pressure = np.arange(1.4, 8, 0.4)
    final = 90 / 3.6e11
    permeance = permeance_while_open(pressure * BAR, 2 * 1.7e-3, radii.median, 0.25, final)
    flux = permeance * pressure * BAR / LMH * (1 + 0.01 * rng.standard_normal(len(pressure)))
    (tmp_path / "lldp.csv").write_text("Sample ID: UF\np / bar,J / LMH\n" + rows(pressure, flux))
    water = np.array([0.5, 1.0, 2.0, 3.0])
    (tmp_path / "water.csv").write_text("TMP (bar),Flux (LMH)\n" + rows(water, 350 * water))
    displacement = {"input": "lldp.csv", "method": "liquid displacement", "interfacial_tension": "1.7 mN/m"}
    prog = program(tmp_path, {"data": [{"input": "water.csv"}, displacement]})
    assert prog.labels.tolist() == ["UF"]
    values, findings = evaluated(prog)["UF"]
    assert "those that name no membrane are of UF" in findings
    assert float(values["water_permeance"]) == pytest.approx(350, rel=1e-3)
    method = prog.methods.index("liquid displacement")
    assert (
        values["flow_median_radius_low"][method] < radii.flow_median * 1e9 < values["flow_median_radius_high"][method]
    )
    assert float(values["final_permeance"]) == pytest.approx(90, rel=0.02)
    displacement.pop("interfacial_tension")
    with pytest.raises(StudyError, match=r"interfacial_tension: 1\.7 \+- 0\.05 mN/m"):
        program(tmp_path, {"data": [{"input": "water.csv"}, displacement]})


def test_one_posterior_of_all_methods(tmp_path):
    """Water, displacement and the thickness determine all four quantities; water alone leaves them open."""
    rng = np.random.default_rng(5)
    radii, porosity, thickness = LogNormalRadii(8e-9, 0.25), 0.06, 0.8e-6
    permeability = porosity * radii.hydraulic_radius**2 / (8 * thickness)
    pressure = np.arange(1.4, 8, 0.4)
    final = permeability / 3.4e-3
    flux = permeance_while_open(pressure * BAR, 2 * 1.7e-3, radii.median, 0.25, final) * pressure * BAR / LMH
    (tmp_path / "lldp.csv").write_text(
        "p / bar,J / LMH\n" + rows(pressure, flux * (1 + 0.01 * rng.standard_normal(len(pressure))))
    )
    water = np.array([0.5, 1.0, 1.5, 2.0, 3.0])
    reading = permeability / Water.at(298.15).viscosity * water * BAR / LMH * (1 + 0.01 * rng.standard_normal(5))
    (tmp_path / "water.csv").write_text("TMP (bar),Flux (LMH)\n" + rows(water, reading))
    displacement = {"input": "lldp.csv", "method": "liquid displacement", "interfacial_tension": "1.7 +- 0.05 mN/m",
                    "viscosity": "3.4 mPa s"}  # fmt: skip
    settings = {"data": [{"input": "water.csv"}, displacement], "area": "41.8 cm2"}
    prog = program(tmp_path, settings | {"priors": {"thickness": "0.8 +- 0.08 um"}})
    values, _ = prog.work(prog.context, prog.unit("joint", 0))
    number = porosity * 41.8e-4 / (np.pi * radii.median**2 * np.exp(2 * 0.25**2))
    truth = {"radius": radii.hydraulic_radius, "porosity": porosity, "pore_number": number, "thickness": thickness}
    for name, value in truth.items():
        assert values[f"{name}_low"] < value < values[f"{name}_high"], name
        # The thickness is known to 10 %, the tension to 3 %.
        assert values[f"{name}_high"] / values[f"{name}_low"] < 2.2, name
    assert float(values["contradictory"]) == 0
    # A permeance ten times larger than the displacing liquid allows contradicts it: no number is given.
    (tmp_path / "water.csv").write_text("TMP (bar),Flux (LMH)\n" + rows(water, 10 * reading))
    prog = program(tmp_path, settings)
    values, _ = prog.work(prog.context, prog.unit("joint", 0))
    assert float(values["contradictory"]) == 1
    assert np.isnan(values["radius_median"])


def test_flagged_data_enter_the_posterior_on_request(tmp_path):
    """Curves that end at half of the flow, so that they do not meet."""
    wet, dry = wet_and_dry()
    half = int(np.searchsorted(wet / dry, 0.6))
    head = "Sample ID: UF\nPressure [bar],Wet flow [L/min],Dry flow [L/min]\n"
    (tmp_path / "cfp.csv").write_text(head + rows(PRESSURE[:half], wet[:half], dry[:half]))
    settings = {"input": "cfp.csv", "method": "capillary flow", "liquid": "porefil"}
    for use in ((), ("capillary flow",)):
        prog = program(tmp_path, settings | {"use": list(use)})
        _, sentences = evaluate_joint(prog.membranes[0], prog.study, 0)
        refusals = [s for s in sentences if s.startswith("capillary flow does not enter")]
        assert len(refusals) == 1 - len(use)
        assert all("use: [capillary flow]" in s for s in refusals)


def test_rejection(tmp_path):
    """Dextrans without polarisation: the radii hold the truth, and a rejection above 100 % is refused with its row."""
    masses = np.array([1.0, 4.4, 10.5, 19.5, 37.5, 70.0])
    radius = stokes_relation("dextran").radius(masses)
    sieving = observed_sieving(radius, 3e-9, 0.3)
    noise = 1 + 0.02 * np.random.default_rng(1).standard_normal(len(masses))
    table = "Dextran MW [kDa],Feed [mg/L],Permeate [mg/L]\n" + rows(masses, np.full(6, 1000.0), 1000 * sieving * noise)
    values, findings = evaluate(tmp_path, table, method="rejection")
    assert values["hydraulic_radius_low"][0] < 3.93 < values["hydraulic_radius_high"][0]
    assert float(values["molecular_weight_cut_off"]) == pytest.approx(25, abs=6)
    assert "not corrected" in findings
    message = refused(tmp_path, "Dextran MW [kDa],Rejection [%]\n1,10\n10,60\n70,101\n", method="rejection")
    assert "row 4: the rejection is 101 %" in message
    assert "stokes" in refused(tmp_path, "PEG MW [kDa],Rejection [%]\n1,10\n10,60\n35,95\n", method="rejection")


def test_fouling(tmp_path):
    """A cake: its constant, the laws that fit as well, and a volume that falls."""
    minutes = np.array([2, 5, 10, 15, 20, 30, 40, 55, 70, 90.0])
    volume = permeate_volume("cake", minutes * 60, 200 * LMH, [4e7]) * 13.4e-4 * 1e6
    table = "time (min),Permeate volume (mL)\n" + rows(minutes, volume, form="{:.2f}")
    (tmp_path / "table.csv").write_text(table)
    prog = program(tmp_path, {"input": "table.csv", "method": "fouling", "area": "13.4 cm2"})
    values, _ = evaluated(prog)["membrane"]
    law = prog.laws.index("cake")
    assert float(values["cake_constant"][law]) == pytest.approx(4e7, rel=0.01)
    assert float(values["aicc_difference"][law]) < 2
    falling = "time (min),Permeate volume (mL)\n0,0\n2,5\n4,8\n6,11\n8,13\n10,12.0\n12,14\n"
    assert "row 7: the cumulative volume falls (12.0)" in refused(tmp_path, falling, method="fouling", area="13.4 cm2")


def test_gas_permeation_asks_for_what_it_needs(tmp_path):
    table = "Gas,Mean pressure [bar],Permeance [GPU]\nN2,1.2,2020\nN2,2,2150\nN2,3,2310\n"
    assert "temperature: 25 degC" in refused(tmp_path, table, method="gas permeation")
    flow = "gas,feed pressure [bar],permeate pressure [bar],flow [mL/min]\nN2,2,1,30\nN2,3,2,35\nN2,4,3,40\n"
    message = refused(tmp_path, flow, method="gas permeation", temperature="25 degC", area="3 cm2")
    assert "flow_at" in message
    ratio = refused(tmp_path, "Gas,Permeance [GPU]\nHe,2500\nN2,1000\n", method="gas permeation", temperature="25 degC")
    assert "no radius" in ratio
    assert "2.646" in ratio


def test_mercury_and_entry_pressure(tmp_path):
    mercury = (
        "Pressure (MPa),Cumulative Volume (mL/g)\n0.1,0\n0.5,0.02\n1,0.1\n1.5,0.35\n2,0.75\n3,1\n10,1.1\n3,1\n1,0.9\n"
    )
    values, findings = evaluate(tmp_path, mercury, method="mercury", skeleton_density="1.3 g/mL")
    # 4 x 0.485 N/m x cos 140 / 1.75 MPa, half of the volume between 1.5 and 2 MPa.
    assert float(values["mercury_median_radius"]) == pytest.approx(425, rel=0.02)
    assert float(values["mercury_porosity"]) == pytest.approx(1.1 / (1.1 + 1 / 1.3), rel=1e-6)
    assert "extrusion branch" in findings
    table = "Membrane,Liquid,Contact angle (deg),LEP (bar)\nA,water,126,2.9\nB,water,62,0.4\n"
    (tmp_path / "table.csv").write_text(table)
    prog = program(tmp_path, {"input": "table.csv", "method": "entry pressure", "temperature": "25 degC"})
    results = evaluated(prog)
    assert float(results["A"][0]["largest_pore_radius"]) == pytest.approx(291.8, abs=0.2)
    assert np.isnan(results["B"][0]["largest_pore_radius"])
    assert "contact angle 62" in results["B"][1]


def test_a_run_has_curves_findings_and_a_report(tmp_path):
    wet, dry = wet_and_dry()
    head = "Sample ID: PVDF-045\nPressure [bar],Wet flow [L/min],Dry flow [L/min]\n"
    (tmp_path / "cfp.csv").write_text(head + rows(PRESSURE, wet, dry))
    settings = {"input": "cfp.csv", "method": "capillary flow", "liquid": "porefil", "bootstrap": {"draws": 0}}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump({"kind": "porometry", **settings}))
    run = md.run(md.load_study(tmp_path / "study.yaml", cluster={"profile": "sync"}), tmp_path / "run")
    curves = run.result["porometry_curves"].to_dataset()
    flow = curves.isel(point=(curves.curve_name == "wet flow").values)
    np.testing.assert_allclose(flow.value, wet, rtol=1e-3)  # four digits in the table
    assert set(run.result["findings"].membrane_name.values.tolist()) == {"", "PVDF-045"}
    page = md.write_report(run, tmp_path / "page.html").read_text()
    for title in ("Membranes", "Pore radii by method", "Capillary flow porometry", "Findings"):
        assert f">{title}<" in page
    assert "distributions of the pore radius by method" in page
    assert "Flux against pressure" not in page  # no water was measured
    assert any("bubble point" in sentence.lower() for sentence in md.membrane_summary(run.result)["PVDF-045"])


#: Variable, factor to the unit of the reference tables, by quantity.
QUANTITIES = {
    "mean flow pore diameter": ("mean_flow_pore_radius", 2e-3), "bubble point diameter": ("bubble_point_radius", 2e-3),
    "mean flow pore pressure": ("mean_flow_pore_pressure", 14.503773773),
    "diameter at filter flow >= 98 %": ("smallest_flow_pore_radius", 2e-3),
    "log-sd of the flow distribution": ("log_sd", 1), "log-sd": ("log_sd", 1),
    "flow median radius": ("flow_median_radius", 1), "pore radius": ("flow_median_radius", 1),
    "final permeance": ("final_permeance", 1), "number median radius": ("number_median_radius", 1),
    "gas radius": ("gas_radius", 1), "gas diameter": ("gas_radius", 2), "hydraulic radius": ("hydraulic_radius", 1),
    "porosity over path length": ("porosity_over_path_length", 1),
    "molecular weight at 90 %": ("molecular_weight_cut_off", 1),
    "volume median diameter": ("mercury_median_radius", 2e-3),
    "total intrusion": ("intruded_volume", 1), "largest radius": ("largest_pore_radius", 1e-3),
}  # fmt: skip


def test_reference_tables(shared, tmp_path):
    """Every row of the manifest of the methods but water: values to their tolerances, findings with their words."""
    folder = shared / "data" / "bench"
    wrong, checked = [], 0
    evaluations: dict[tuple[str, str], dict] = {}
    with (folder / "cases.csv").open(encoding="utf-8", newline="") as file:
        cases = [row for row in csv.DictReader(file) if set(row["section"]) <= set("CDEFGH")]
    for case in cases:
        key = case["file"], case["study"]
        if key not in evaluations:
            settings = yaml.safe_load("{" + case["study"] + "}") or {}
            evaluations[key] = evaluated(program(tmp_path, {"input": str(folder / case["file"]), **settings}))
        results = evaluations[key]
        label = case["membrane"] or next(iter(results))
        values, findings = results[label]
        missing = [w for w in case["must_say"].split(";") if w.strip().lower() not in findings.lower()]
        name = f"{case['case']} {case['quantity']} {case['membrane']}"
        wrong += [f"{name}: no finding says {word!r}" for word in missing]
        if case["quantity"] in ("best law", "laws within 2 of the best", "cake constant", ""):
            continue
        variable, factor = QUANTITIES[case["quantity"]]
        measured = float(np.nanmax(values[variable])) * factor if np.isfinite(values[variable]).any() else np.nan
        checked += 1
        if case["value"] == "not resolved":
            wrong += [f"{name}: {measured}"] * bool(np.isfinite(measured))
            continue
        number, _, unit = case["tolerance"].partition(" ")
        tolerance = float(number) * (float(case["value"]) / 100 if unit == "%" else 1)
        if not abs(measured - float(case["value"])) <= tolerance:
            wrong.append(f"{name}: {measured}, expected {case['value']}")
    assert not wrong, "\n".join(wrong)
    assert checked > 25


def test_reference_joint_posterior(shared, tmp_path):
    """Water, displacement and thickness: ends of all intervals to 10 % of their widths, the truth inside."""
    folder = shared / "data" / "bench"
    with (folder / "cases.csv").open(encoding="utf-8", newline="") as file:
        cases = [row for row in csv.DictReader(file) if row["section"] == "J"]
    with (folder / "reference_numbers.csv").open(encoding="utf-8", newline="") as file:
        references = {row["name"]: row for row in csv.DictReader(file) if row["group"] == f"case {cases[0]['case']}"}
    settings = yaml.safe_load("{" + cases[0]["study"] + "}")
    for table in settings["data"]:
        table["input"] = str(folder / table["input"])
    prog = program(tmp_path, settings)
    result, _ = evaluate_joint(prog.membranes[0], prog.study, prog.study.seed)
    for name, estimate, unit, truth in (
        ("hydraulic radius nm", result.hydraulic_radius, 1e-9, 9.6498), ("log-sd", result.log_sd, 1, 0.25),
        ("porosity", result.porosity, 1, 0.06), ("thickness um", result.thickness, 1e-6, 0.8),
        ("pore number", result.pore_number, 1, 1.1008e12),
    ):  # fmt: skip
        low, high = float(references[name]["low"]), float(references[name]["high"])
        assert estimate.low / unit < truth < estimate.high / unit, name
        assert estimate.low / unit == pytest.approx(low, abs=0.1 * (high - low)), name
        assert estimate.high / unit == pytest.approx(high, abs=0.1 * (high - low)), name
