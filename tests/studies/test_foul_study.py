"""Foul studies: lives in physical units, replicates, the same bits anywhere, resumption, invalid input, report."""

from __future__ import annotations

import contextlib
import math

import numpy as np
import pytest
from strategies import pore_space

import membrane_dask as md
from membrane_dask.errors import StudyError
from membrane_dask.io.run_tables import read_run_table
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.networks.fouling_laws import FLUX_FRACTION, TIME
from membrane_dask.physics.networks.structure_laws import NO_PATH
from membrane_dask.program import Outcome, UnitFailed
from membrane_dask.schema import find_table
from membrane_dask.studies.chain.intervals import _quantities
from membrane_dask.studies.chain.program import _dataset as chain_dataset
from membrane_dask.studies.chain.variables import TABLES as CHAIN_TABLES
from membrane_dask.studies.foul.findings import life_findings, model_factor, model_factor_of
from membrane_dask.studies.foul.life_tables import life_table
from membrane_dask.studies.foul.program import FoulProgram
from membrane_dask.studies.foul.tasks import work
from membrane_dask.studies.foul.variables import INTERVALS, LIFE
from membrane_dask.studies.input_volumes import InputVolumes
from membrane_dask.study_file import parse_study, to_yaml
from membrane_dask.yaml_files import parse_yaml

SYNC = {"profile": "sync"}
STUDY = """\
kind: foul
input: {name}.npy
voxel_size: 3 nm
foulant: {foulant}
"""
THREE = ("structure-0", "structure-1", "structure-2")
FOULANT = "{damkohler_number: 1, diffusivity: 5e-11 m2/s}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three structures of one kind, one without a path, and straight tubes."""
    folder = tmp_path_factory.mktemp("structures")
    for number in range(3):
        pores = pore_space((44, 40, 36), number, 0.4, 2.2)
        np.save(folder / f"structure-{number}.npy", np.where(pores, 0, 255).astype("u1"))
    pores[20:24] = False
    np.save(folder / "blocked.npy", np.where(pores, 0, 255).astype("u1"))
    y, x = np.ogrid[0:40, 0:40]
    section = (y % 20 - 10) ** 2 + (x % 20 - 10) ** 2 < 64
    np.save(folder / "tubes.npy", np.repeat(np.where(section, 0, 255).astype("u1")[None], 20, axis=0))
    return folder


def study_of(folder, name="structure-0", text="", foulant=FOULANT, **changes):
    path = folder / f"{name}.yaml"
    path.write_text(STUDY.format(name=name, foulant=foulant) + text)
    return md.load_study(path, **changes)


@pytest.fixture(scope="module")
def reference(folder, tmp_path_factory):
    run = md.run(study_of(folder, cluster=SYNC), tmp_path_factory.mktemp("reference") / "run")
    assert run.status()["state"] == "complete"
    return run


class Scratch:
    def __init__(self):
        self.arrays = {}

    def read(self, name, index, only=None):
        return self.arrays[name, index]


def tables_of(program):
    """Result of a program, of which units that raise have failed; without an engine."""
    scratch = Scratch()
    context = {**program.context, "scratch": scratch}

    def compute(item):
        if hasattr(item, "send"):
            return drive(item)
        try:
            arrays, feedback = work(context, item)
        except PhysicsError as error:
            raise UnitFailed([item.key], [Outcome("failed")]) from error
        scratch.arrays[item.task, item.index] = arrays
        return Outcome("done", feedback)

    def drive(rounds):
        try:
            items = rounds.send(None)
            while True:
                reply, failed = [], []
                for item in items:
                    try:
                        reply.append(compute(item))
                    except UnitFailed as failure:
                        reply += failure.outcomes[:1]
                        failed += failure.keys
                items = rounds.throw(UnitFailed(failed, reply)) if failed else rounds.send(reply)
        except StopIteration as stop:
            return stop.value

    with contextlib.suppress(UnitFailed):
        drive(program.rounds())

    def read(name):
        return {index: arrays for (task, index), arrays in scratch.arrays.items() if task == name}

    return {table.name: table for table in program.collect(read, {})}


def replicates(folder, *names, text="", foulant=FOULANT):
    """Program of several volumes, as of a reconstruction."""
    study = study_of(folder, names[0], text, foulant)
    inputs = [InputVolumes.of(study_of(folder, name, text, foulant), None) for name in names]
    volumes = [one.volumes[0] for one in inputs]
    return FoulProgram(study, inputs=InputVolumes(volumes, [one.porosities[0] for one in inputs], len(names)))


def test_a_life_in_physical_units(reference):
    life = reference.result["life"].to_dataset().isel(replicate=0)
    # Darcy's law with the permeability of the flow, and a Damkoehler number that gives the wall rate.
    flux = float(life.permeability) * 1e5 / (0.89e-3 * 44 * 3e-9) * 3.6e6
    assert float(life.initial_permeate_flux) == pytest.approx(flux, rel=0.005)
    assert float(life.damkohler_number) == pytest.approx(1, rel=1e-9)
    assert float(life.foulant_balance) == pytest.approx(1, abs=1e-9)
    radius, wall_rate = float(life.hydraulic_radius) * 1e-9, float(life.wall_rate)
    assert float(life.diffusive_damkohler_number) == pytest.approx(wall_rate * radius / 5e-11, rel=1e-9)
    assert 0.3 < float(life.initial_foulant_concentration) < 0.5  # 1/(1 + N) of one body, exp(-N) of many
    times = life.service_time_level.values
    assert (np.diff(times) > 0).all()
    assert times[-1] == pytest.approx(float(life.service_time), rel=1e-12)
    assert float(life.log_reduction_value) == pytest.approx(-math.log10(float(life.foulant_concentration)))
    np.testing.assert_allclose(life.deposited_fraction.sum("depth"), 1, rtol=1e-12)
    history = reference.result["life/history"].to_dataset().isel(replicate=0)
    assert history.flux[-1] == pytest.approx(0.1 * float(history.flux[0]), rel=1e-9)
    volume = np.trapezoid(history.flux, history.elapsed_time)
    assert history.filtrate_volume[-1] == pytest.approx(volume, rel=1e-3)
    assert float(life.filtrate_volume) == pytest.approx(float(history.filtrate_volume[-1]), rel=1e-12)
    assert (history.transmembrane_pressure == 1).all()
    hydraulics = reference.result["hydraulics"].to_dataset().isel(replicate=0)
    assert float(hydraulics.permeability_ratio.sel(conductance="stokes")) == pytest.approx(1, abs=0.005)
    assert float(hydraulics.flow_error.sel(conductance="series")) > 0.1
    assert np.isnan(life.service_time_low)  # never of a single structure


def test_tubes_close_by_the_formula(folder, tmp_path):
    text = "hydraulics: {conductance: stokes}\nnarrowing_exponent: 4\nstep: 0.01\n"
    study = study_of(folder, "tubes", text, "{wall_rate: 1e-9 m/s}", cluster=SYNC)
    life = md.run(study, tmp_path / "run").result["life"].to_dataset().isel(replicate=0)
    # (1 - t/r)^4 with r of 8 voxels; a voxel of deposit takes dx/(phi k).
    hours = 8 * (1 - life.level.values**0.25) * 3e-9 / (1e-4 * 1e-9) / 3600
    np.testing.assert_allclose(life.service_time_level, hours, rtol=2e-3)
    assert np.isnan(life.diffusive_damkohler_number)
    assert float(life.bottleneck_radius) == pytest.approx(24)


def test_tubes_are_eroded_by_the_formula_of_a_network(folder):
    """As in tests/studies/test_foul_network.py, a deposit d grows at phi k - e (P (r - d)/(2 L) - critical shear).

    The shear of these coarse tubes is 0.935 of P r/(2 L), which is exact in a network.
    """
    text = "narrowing_exponent: 4\nerosion: {rate: 2.5e-18 m s-1 Pa-1, critical_shear: 2 kPa}\n"
    life = tables_of(replicates(folder, "tubes", text=text, foulant="{wall_rate: 1e-9 m/s}"))["life"].values
    length, radius, pressure, growth = 20 * 3e-9, 8 * 3e-9, 1e5, 1e-4 * 1e-9
    slope = 2.5e-18 * pressure / (2 * length * growth)
    speed = 1 - slope * radius + 2.5e-18 * 2e3 / growth
    narrowed = radius * (1 - np.array([0.75, 0.5, 0.25, 0.1]) ** 0.25)
    hours = np.log1p(slope * narrowed / speed) / (slope * growth) / 3600
    np.testing.assert_allclose(life["service_time_level"][0], hours, rtol=0.07)


@pytest.mark.slow  # workers do not show in tests/studies/test_graded_study.py and tests/engine/test_execute.py
def test_bits_do_not_depend_on_workers(reference, folder, values_of, tmp_path):
    run = md.run(study_of(folder, cluster={"workers": 1}), tmp_path / "run")
    assert values_of(run) == values_of(reference)


def test_an_interrupted_run_is_resumed_with_the_same_bits(reference, folder, values_of, interrupt_and_resume, tmp_path):
    study_of(folder)
    interrupt_and_resume(folder / "structure-0.yaml", tmp_path / "run", after=1)
    assert values_of(md.open_run(tmp_path / "run")) == values_of(reference)


def test_replicates_have_one_wall_and_intervals(folder):
    life = tables_of(replicates(folder, *THREE))["life"]
    values = life.values
    assert len(set(values["wall_rate"].tolist())) == 1
    assert values["damkohler_number"][0] == pytest.approx(1)
    assert values["damkohler_number"][1] != pytest.approx(1, abs=1e-3)
    for name in INTERVALS:
        low, high = values[f"{name}_low"], values[f"{name}_high"]
        assert (low < values[name][0]).all(), name
        assert (values[name][0] < high).all(), name
    # Student's interval about replicate 0 on the logarithm, of two deviations: 4.303 times their root mean square.
    logarithm = np.log(values["service_time"])
    half = 4.303 * math.sqrt(np.mean((logarithm[1:] - logarithm[0]) ** 2))
    assert math.log(float(values["service_time_high"])) == pytest.approx(logarithm[0] + half, rel=1e-3)
    assert any("its bias is not in them" in sentence for sentence in life.attrs["summary"])


def test_a_replicate_without_a_path_has_no_life_while_its_siblings_go_on(folder):
    for foulant in (FOULANT, "{wall_rate: 1e-6 m/s}"):
        life = tables_of(replicates(folder, *THREE, "blocked", foulant=foulant))["life"]
        values = life.values
        for name in ("initial_permeate_flux", "service_time", "filtrate_volume", "permeability"):
            assert (values[name][:3] > 0).all()
            assert values[name][3] == 0
        assert values["end_of_life_cause"][3] == NO_PATH
        assert np.isnan(values["foulant_concentration"][3])
        assert "replicate 3 does not percolate: no life" in life.attrs["summary"]
        assert "intervals hold 3 of 4 structures: 1 have no life" in life.attrs["summary"]
        assert life.attrs["interval_replicates"] == 3
    # Those of the three structures alone.
    alone = tables_of(replicates(folder, *THREE, foulant=foulant))["life"].values
    for name in INTERVALS:
        np.testing.assert_array_equal(values[f"{name}_high"], alone[f"{name}_high"])


def test_structures_without_a_path_have_no_life(folder, tmp_path):
    """The run stops, keeps its units, and stops in the same way when it is resumed; one of several: the test above."""
    study_of(folder, "blocked", "cluster: {profile: sync}\n")
    for _ in range(2):
        with pytest.raises(
            StudyError, match=r"blocked\.yaml:2:.*: input: the volume does not percolate along z"
        ) as error:
            md.run(folder / "blocked.yaml", tmp_path / "run")
        assert "check pores and axis" in str(error.value)
        assert "blocked.npy" in str(error.value)
    assert md.open_run(tmp_path / "run").status()["done"] == 2
    with pytest.raises(StudyError, match="input: none of the 2 replicates percolates along z"):
        tables_of(replicates(folder, "blocked", "blocked"))


@pytest.mark.parametrize("conductance", ["mobility", "series", "inscribed", "equivalent"])
def test_other_conductances_say_their_error(folder, conductance):
    tables = tables_of(replicates(folder, "structure-0", text=f"hydraulics: {{conductance: {conductance}}}\n"))
    assert any("permeability" in sentence and "of Stokes" in sentence for sentence in tables["life"].attrs["summary"])
    assert tables["hydraulics"].values["permeability_ratio"].shape == (1, 1)
    assert np.isnan(tables["hydraulics"].values["flow_error"]).all() == (conductance != "mobility")


def test_constant_flux_species_and_particles(folder):
    text = "operation: {mode: flux, flux: initial, pressure_limit: 5}\n"
    text += "species: [{wall_rate: 1e-5 m/s, fraction: 0.5}, {wall_rate: 1e-4 m/s, fraction: 0.5}]\n"
    text += "sieving: {rate: 1e12, particle_radius: 7 nm}\n"
    program = replicates(folder, "structure-0", text=text, foulant="{}")
    life = tables_of(program)["life"].values
    assert life["history/transmembrane_pressure"][0, 0] == pytest.approx(1)
    assert life["history/transmembrane_pressure"][0, -1] == pytest.approx(5, rel=1e-6)
    assert life["filtrate_volume"] == pytest.approx(life["initial_permeate_flux"] * life["service_time"], rel=1e-9)
    first, second = life["species_yield"][0]
    assert first > second
    assert life["species_purity"][0].sum() == pytest.approx(1)
    assert life["n_arrivals"][0] == life["n_passed"][0] + life["n_blocked"][0]


def test_a_flux_above_the_pressure_limit(folder):
    """Its chords allow five times the flux that the structure has at the limit: below it, the life is 0."""
    text = "operation: {mode: flux, flux: %g LMH, pressure_limit: 5 bar}\n"
    life = tables_of(replicates(folder, "structure-0", text=text % 1e6))["life"]
    allowed = float(life.values["initial_permeate_flux"][0]) * 5 / life.values["history/transmembrane_pressure"][0, 0]
    assert life.values["history/transmembrane_pressure"][0, 0] > 5
    assert life.values["service_time"][0] == 0
    assert any("times the pressure_limit at the start" in sentence for sentence in life.attrs["summary"])
    FoulProgram(study_of(folder, text=text % (2 * allowed)))
    with pytest.raises(StudyError, match=r"operation\.flux: needs more than .* times the pressure_limit at the start"):
        FoulProgram(study_of(folder, text=text % (20 * allowed)))


@pytest.mark.parametrize(
    ("foulant", "text", "message"),
    [
        ("{}", "", "foulant.wall_rate or foulant.damkohler_number is required"),
        ("{wall_rate: 1e-7 m/s, damkohler_number: 1}", "", "leave out foulant.damkohler_number"),
        ("{wall_rate: 0 m/s}", "", "greater than 0"),
        ("{wall_rate: 1e-7 m/s, diffusivity: 0 m2/s}", "", "greater than 0"),
        ("{wall_rate: 1e-7 m/s, diffusivity: 1e-11 m2/s, diameter: 3 nm}", "", "leave out one of the two"),
        (FOULANT, "foulant_volume_fraction: 0", "foulant_volume_fraction"),
        (FOULANT, "foulant_volume_fraction: 1", "foulant_volume_fraction"),
        (FOULANT, "deposition_law: published", "a pore body has no single radius; use conserving"),
        (FOULANT, "thickness: 1 um", "is that of the voxels"),
        (FOULANT, "operation: {mode: flux, flux: initial}", "is needed with mode: flux"),
        (FOULANT, "operation: {mode: flux, flux: initial, pressure_limit: 0.5 bar}", "greater than the pressure"),
        (FOULANT, "operation: {flux: 50 LMH}", "needs mode: flux"),
        (FOULANT, "end_of_life: {flux_fraction: 1}", "end_of_life.flux_fraction"),
        (FOULANT, "flux_levels: [0.5, 0.75]", "less than the level before it"),
        (FOULANT, "flux_levels: [1.0]", "between 0 and 1"),
        (FOULANT, "flux_levels: [0.5, 0.05]", "flux_levels.1: is not reached: a life ends at 0.1 of the first flux"),
        (
            "{wall_rate: 1e-7 m/s, diameter: 3 nm}",
            "temperature: 60 degC",
            "viscosity: is that of water at 25 degC by default; state it at 60 degC, for example 0.466 mPa s",
        ),
        (FOULANT, "step: 0.3", "step: must be at most 0.2"),
        (FOULANT, "species: [{wall_rate: 1e-7 m/s, fraction: 1}]", "cannot be given with species"),
        ("{}", "species: [{wall_rate: 1e-7 m/s, fraction: 0.9}]", "must sum to 1"),
        (FOULANT, "sieving: {rate: 1}", "is needed with rate > 0"),
        (FOULANT, "hydraulics: {lateral_boundary: periodic}", "symmetric"),
        (FOULANT, "hydraulics: {conductance: as given}", "needs a pore network as input"),
    ],
)
def test_invalid_settings_are_refused(folder, foulant, text, message):
    with pytest.raises(StudyError, match=message):
        study_of(folder, text=f"{text}\n", foulant=foulant)


def test_volumes_that_have_no_life_are_refused(folder):
    np.save(folder / "thin.npy", np.load(folder / "structure-0.npy")[:12])
    with pytest.raises(StudyError, match="at least 16 voxels"):
        FoulProgram(study_of(folder, "thin"))
    with pytest.raises(StudyError, match="cubes"):
        FoulProgram(study_of(folder, voxel_size=["6 nm", "3 nm", "3 nm"]))
    with pytest.raises(StudyError, match="differ in shape"):
        replicates(folder, "structure-0", "tubes")
    np.save(folder / "solid.npy", np.full((20, 20, 20), 255, "u1"))
    with pytest.raises(StudyError, match=r"input: no voxel is a pore; check pores \(got .*solid\.npy"):
        FoulProgram(study_of(folder, "solid"))


def test_the_report(reference):
    page = md.write_report(reference).read_text()
    # It retains a half of the foulant, a bit more or less.
    assert "model factor 0.85 to 1.25" in page or "model factor 0.85 to 1.3" in page
    for title in ("Life", "Histories", "Deposit", "Hydraulics"):
        assert f"<h2>{title}</h2>" in page
    assert "nan" not in page.lower().replace("nanometre", "").replace("finance", "")


def test_model_factors():
    assert model_factor(math.nan, 0.3) == model_factor(1.0, 0.5) == "model factor 0.85 to 1.25"
    assert model_factor(math.nan, 0.8) == model_factor(1.0, 0.9) == "model factor 0.85 to 1.3"
    assert "unknown" in model_factor(1.1, 0.5)
    assert "unknown" in model_factor(0.5, 0.95)


def life_row(retained=0.3, damkohler=0.1, peclet=2.0, **values):
    """Arrays of a life that was compared with lives of voxels."""
    numbers = {
        "initial_foulant_concentration": 1 - retained, "diffusive_damkohler_number": damkohler,
        "pore_peclet_number": peclet, "end_of_life_cause": FLUX_FRACTION, "service_time": 1.0,
        "service_time_level": [0.1, 0.2, 0.5, 1.0], "bottleneck_voxels": 5.0, "fallback_flow_fraction": 0.0,
    }  # fmt: skip
    return {name: np.asarray(value, float) for name, value in (numbers | values).items()}


WITHOUT_PATH = {"end_of_life_cause": np.asarray(float(NO_PATH)), "service_time": np.asarray(0.0)}


PARTICLES = "sieving: {rate: 1e9, particle_radius: 10 nm}\n"
CONSTANT_FLUX = "operation: {mode: flux, flux: initial, pressure_limit: 5 bar}\n"


@pytest.mark.parametrize(
    ("values", "text", "sentence"),
    [
        ({}, "", None),
        ({"bottleneck_voxels": 1.41}, "", "bottleneck of 1.4 voxels: radii +-0.3 voxel are +-21 %; refine"),
        ({"fallback_flow_fraction": 0.06}, "", "throats of a scaled formula carry 6.0% of the flow"),
        ({"damkohler": 2.0}, "", "over diffusivity is 2: above 1 the clean filtrate is up to 0.12 off"),
        ({"peclet": 0.2}, "", "pore Peclet number 0.2: below 0.25 diffusion passes"),
        ({"retained": 0.95}, "", "the clean structure retains 95.0%: above 90%"),
        ({"initial_pressure_ratio": 1.0}, CONSTANT_FLUX, "pressure_limit never binds"),
        ({"n_arrivals": 0}, PARTICLES, "no particle arrived within the life"),
        ({"n_arrivals": 3, "n_passed": 3}, PARTICLES, "all 3 particles passed: none met a narrower throat"),
        ({"n_arrivals": 3, "n_passed": 0, "widest_inlet": 9.0}, PARTICLES, "every particle is caught at an inlet"),
    ],
)
def test_a_life_beyond_a_limit_says_so_with_the_number(folder, values, text, sentence):
    findings = life_findings(study_of(folder, text=text), [life_row(**values)])
    assert len(findings) == (sentence is not None)
    assert all(sentence in finding for finding in findings)


def test_a_foulant_as_wide_as_the_bottleneck_is_named(folder):
    sentence = "a foulant of radius 30 nm passes no path, whose widest bottleneck has 25 nm"
    study = study_of(folder, foulant="{wall_rate: 1e-7 m/s, diameter: 60 nm}")
    (finding,) = life_findings(study, [life_row(bottleneck_radius=25.0)])
    assert finding.startswith(sentence)
    assert not life_findings(study, [life_row(bottleneck_radius=31.0)])


def test_levels_of_a_longer_life_are_defaults(folder):
    """Levels that a shorter life does not reach are no error where they are not stated, nor in a study of a run."""
    study = study_of(folder, text="end_of_life: {flux_fraction: 0.5}\n")
    assert parse_study(parse_yaml(to_yaml(study))[0]) == study


def test_a_model_factor_is_the_widest_of_all_lives(folder):
    study = study_of(folder)
    assert model_factor_of(study, [life_row(), life_row(0.3)]) == "model factor 0.85 to 1.25"
    assert model_factor_of(study, [None, life_row(), life_row(0.7), WITHOUT_PATH]) == "model factor 0.85 to 1.3"
    assert "outside the range" in model_factor_of(study, [life_row(), life_row(damkohler=1.2)])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("hydraulics: {conductance: series}\n", "with hydraulics.conductance series"),
        ("narrowing_exponent: 4\n", "with narrowing_exponent 4"),
        ("sieving: {rate: 1e12, particle_radius: 7 nm}\n", "with particles"),
        ("erosion: {rate: 1e-18 m s-1 Pa-1}\n", "with erosion"),
        (None, "at a pore Peclet number of 0.1, below 0.25,"),
    ],
)
def test_a_model_factor_is_unknown_of_lives_that_were_not_compared(text, reason, folder):
    row = life_row() if text else life_row(peclet=0.1)
    expected = f"model factor unknown, as lives {reason} were not compared with lives of voxels"
    assert model_factor_of(study_of(folder, text=text or ""), [life_row(), row]) == expected


def summary_of(folder, rows):
    complete = [row and life_row(**{k: 0.0 for k in ("service_time", "filtrate_volume")}) | row for row in rows]
    names = [v.path for v in LIFE.variables if v.dims == ("replicate",)]
    filled = [row and dict.fromkeys(names, np.asarray(math.nan)) | row for row in complete]
    table = life_table(study_of(folder), filled, "", ())
    return table, table.attrs.get("summary", [])


def test_sentences_on_intervals_are_of_those_that_exist(folder):
    lives = [life_row(service_time=value) for value in (1.0, 1.2, 0.9)]
    table, sentences = summary_of(folder, [*lives, None, WITHOUT_PATH])
    assert "intervals hold 3 of 5 structures: 1 have no life, units of 1 failed" in sentences
    assert table.attrs["interval_replicates"] == 3
    for rows, reason in (
        ([WITHOUT_PATH, *lives], "no interval: the best match has no life"),
        ([None, *lives], "no interval: the life of the best match is not known"),
        ([*lives[:2], WITHOUT_PATH], "no interval: fewer than three lives"),
    ):
        table, sentences = summary_of(folder, rows)
        assert reason in sentences
        assert not [sentence for sentence in sentences if "hold" in sentence or "bias" in sentence]
        assert table.attrs["interval_replicates"] == 0


def test_a_level_that_a_life_did_not_reach_has_no_interval(folder):
    """The longest life was ended by time: an interval of the other three would be too short."""
    lives = [life_row(service_time_level=np.array([0.1, 0.2, 0.5, 1.0]) * f) for f in (1.0, 1.1, 0.9)]
    longest = life_row(service_time_level=[0.2, 0.4, math.nan, math.nan], end_of_life_cause=TIME)
    table, sentences = summary_of(folder, [*lives, longest])
    assert np.isfinite(table.values["service_time_level_high"]).tolist() == [True, True, False, False]
    assert "no interval at the levels 0.25, 0.1 of the flux, which some lives did not reach" in sentences
    assert any(sentence.startswith("replicate 3: end_of_life.time ended the life") for sentence in sentences)


def test_the_plan_predicts_cost_and_memory(folder):
    plan = md.plan(study_of(folder))
    assert plan.needed_memory() > 44 * 40 * 36 * 40
    formula = md.plan(study_of(folder, text="hydraulics: {conductance: series}\n"))
    assert formula.needed_memory() < plan.needed_memory()


def test_too_little_memory_names_what_needs_less(folder):
    small = {"profile": "local", "workers": 1, "memory": "20 MB"}
    with pytest.raises(StudyError, match=r"a unit of structures needs .*, or use hydraulics\.slab_thickness: 64"):
        md.plan(study_of(folder, cluster=small))
    with pytest.raises(StudyError, match=r"a unit of structures needs .*, or use hydraulics\.conductance: series"):
        md.plan(study_of(folder, text="hydraulics: {conductance: mobility}\n", cluster=small))
    with pytest.raises(StudyError, match=r"a unit of structures needs .*; give it more$"):
        md.plan(study_of(folder, text="hydraulics: {conductance: series}\n", cluster=small))


def test_a_chain_repeats_the_table(reference):
    """The replicates are a dimension of the variables, and ends of intervals have none."""
    table = read_run_table(reference.path, "life")
    repeated = chain_dataset(find_table(CHAIN_TABLES, "life"), table)
    assert repeated.dims == ()
    np.testing.assert_array_equal(repeated.values["service_time"], reference.result["life"].service_time)
    names = [label for label, *_ in _quantities({"life": table})]
    assert "life/service_time" in names
    assert not [name for name in names if name.endswith(("_low", "_high"))]


@pytest.fixture
def characterized(folder, tmp_path):
    """A characterize study of a volume in which bright voxels are solid, and its run."""
    np.save(tmp_path / "inverted.npy", 255 - np.load(folder / "structure-0.npy"))
    path = tmp_path / "properties.yaml"
    path.write_text(
        "kind: characterize\ninput: inverted.npy\npores: bright\nvoxel_size: 3 nm\nconnectivity: 26\n"
        "network: {r_max: 5}\ntortuosity: false\ncluster: {profile: sync}\n"
    )
    return path, md.run(path, tmp_path / "run", limit=0).path  # its units are not needed


def test_a_characterize_study_stands_for_its_volume(characterized, folder):
    """The volume by its settings: the same study as if it had them itself, of the study and of its run."""
    path, run = characterized
    settings = {"pores": "bright", "connectivity": 26, "network": {"r_max": 5.0}}
    study = parse_study({
        "kind": "foul", "foulant": {"wall_rate": "1e-6 m/s"}, "voxel_size": "3 nm", "name": "life",
        "input": str(path.parent / "inverted.npy"), **settings,
    })  # fmt: skip
    for source in (path, run):
        settings = {"kind": "foul", "foulant": {"wall_rate": "1e-6 m/s"}, "input": str(source), "name": "life"}
        planned = md.plan(parse_study(settings))
        assert planned.study.identity() == study.identity()
        md.plan(parse_study(settings | {"connectivity": 26}))
        md.plan(parse_study(settings | {"voxel_size": "0.003 um"}))  # the same in another unit
        with pytest.raises(StudyError, match=r"connectivity: differs from the characterize study .* 26; leave it out"):
            md.plan(parse_study(settings | {"connectivity": 6}))
    volume = path.parent / "inverted.npy"
    np.save(volume, np.load(folder / "structure-1.npy"))
    with pytest.raises(StudyError, match="the input or the version has changed since; give what it has read"):
        md.plan(parse_study(settings))
    volume.unlink()
    with pytest.raises(StudyError, match="whose own input cannot be read: no such file"):
        md.plan(parse_study(settings))


BENCH = """\
kind: characterize
input: {name}.npy
voxel_size: 3 nm
tortuosity: false
bench: {{enabled: true, methods: [water]}}
"""


@pytest.fixture(scope="module")
def bench(folder, tmp_path_factory):
    """Run of the virtual bench of the first structure."""
    path = folder / "bench.yaml"
    path.write_text(BENCH.format(name="structure-0"))
    return md.run(md.load_study(path, cluster=SYNC), tmp_path_factory.mktemp("bench") / "run")


def no_stokes_flow(*arguments):
    raise AssertionError("the Stokes flow is computed")


def test_the_stokes_flow_of_a_bench_gives_the_same_bits(folder, reference, bench, values_of, tmp_path, monkeypatch):
    monkeypatch.setattr("membrane_dask.physics.networks.structure_hydraulics.stokes", no_stokes_flow)
    study = study_of(folder, text=f"flow_run: {bench.path}\n", cluster=SYNC)
    assert ("Stokes flow", f"of 1 of 1 volumes from {bench.path.name}") in md.plan(study).program.summary
    run = md.run(study, tmp_path / "run")
    assert run.identity == reference.identity
    assert values_of(run) == values_of(reference)


def test_a_stokes_flow_with_other_settings_is_computed(folder, bench):
    study = study_of(folder, text=f"flow_run: {bench.path}\nhydraulics: {{tolerance: 0.02}}\n")
    program = FoulProgram(study)
    (row,) = (text for name, text in program.summary if name == "Stokes flow")
    assert row.startswith("of 0 of 1 volumes")
    assert (
        program.memory()["structures"]
        > FoulProgram(study_of(folder, text=f"flow_run: {bench.path}\n")).memory()["structures"]
    )


def test_a_stokes_flow_of_other_voxels_is_refused(folder, bench):
    program = FoulProgram(study_of(folder, "structure-1", f"flow_run: {bench.path}\n"))
    with pytest.raises(ValueError, match=r"flow_run: replicate 0 of .* has other pore voxels"):
        work(program.context, program.unit("structures", 0))


def test_a_flow_run_of_another_kind_is_refused(folder, reference):
    with pytest.raises(StudyError, match="flow_run: is of the kind foul, which provides no bench; characterize does"):
        md.plan(study_of(folder, text=f"flow_run: {reference.path}\n"))


def test_the_connectivity_of_a_stokes_flow_is_that_of_the_bench(folder, tmp_path):
    path = folder / "bench-26.yaml"
    text = BENCH.format(name="structure-0")
    assert "bench: {" in text
    path.write_text(text.replace("bench: {", "bench: {connectivity: 26, "))
    run = md.run(md.load_study(path, cluster=SYNC), tmp_path / "bench")
    program = FoulProgram(study_of(folder, text=f"flow_run: {run.path}\n"))  # which has 6 neighbours
    (row,) = (text for name, text in program.summary if name == "Stokes flow")
    assert row.startswith("of 0 of 1 volumes")
