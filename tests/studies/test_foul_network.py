"""Foul studies of pore networks from files: lives of graded studies bit for bit, tubes, and input that is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest

import membrane_dask as md
from membrane_dask.io.network_files import write_statoil
from membrane_dask.io.network_tables import write_network_csv
from membrane_dask.io.openpnm_files import openpnm_conductances, write_openpnm
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.networks.band_porosity import band_radii
from membrane_dask.physics.networks.fouling_laws import END_CAUSES
from membrane_dask.physics.networks.pore_network import PoreNetwork
from membrane_dask.physics.networks.random_network import generate
from membrane_dask.studies.foul import network_tasks
from membrane_dask.studies.foul.network_program import NetworkProgram
from membrane_dask.studies.foul.network_tasks import TubeFilter, network_work
from membrane_dask.study_file import parse_study, to_yaml
from membrane_dask.yaml_files import parse_yaml

#: Ten tubes in parallel, each of two pores with a junction in the middle.
TUBES = "end_a,end_b,length,radius\n" + "".join(f"{k},-1,0.5,0.01\n{k},-2,0.5,0.01\n" for k in range(10))
OPERATION = {"pressure": "1 bar", "viscosity": "1 mPa s", "foulant_volume_fraction": 1e-4}
WALL_RATE = 1e-6


def study_of(path, **settings):
    base = {"kind": "foul", "name": "own", "input": str(path), "foulant": {"wall_rate": f"{WALL_RATE} m/s"}}
    return parse_study(base | OPERATION | {"cluster": {"profile": "sync"}} | settings)


def life_of(study):
    """Arrays of the unit of a study, without an engine."""
    program = NetworkProgram(study)
    return network_work(program.context, program.unit())[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("networks")


@pytest.fixture(scope="module")
def generated() -> PoreNetwork:
    return generate(
        np.random.default_rng(1), l_min=0.06, l_max=0.2, radii=band_radii(0.01, 2e-3, 4), porosity=0.2,
        porosity_tolerance=0.02,
    )  # fmt: skip


@pytest.fixture(scope="module")
def network_csv(generated, folder):
    return write_network_csv(generated, folder / "net.csv")[0]


@pytest.fixture(scope="module")
def tubes(folder):
    path = folder / "tubes.csv"
    path.write_text(TUBES)
    return path


@pytest.fixture(scope="module")
def finished(network_csv, tmp_path_factory):
    run = md.run(study_of(network_csv, thickness="100 um"), tmp_path_factory.mktemp("network") / "run")
    assert run.status()["state"] == "complete"
    return run


@pytest.mark.parametrize("law", ["conserving", "published"])
def test_the_bits_of_a_graded_study(law, network_csv, tmp_path):
    """lambda = 16 mu k / (L P), the same step and integrator: the same network, laws and numbers."""
    study = study_of(network_csv, thickness="100 um", deposition_law=law)
    program = NetworkProgram(study)
    tubes = TubeFilter.of(study, program.network, 1e-4)
    assert tubes.deposition == pytest.approx(16 * 1e-3 * WALL_RATE / (1e-4 * 1e5), rel=1e-15)
    graded = {
        "kind": "graded", "input": str(network_csv), "deposition": tubes.deposition,
        "time_step": tubes.time_step(study), "deposition_law": law, "integrator": "adams-bashforth",
        "solver_tolerance": 1e-9, "thickness": "100 um",
        "end_of_life": {"flux_fraction": 0.1}, "cluster": {"profile": "sync"},
    }  # fmt: skip
    table = md.run(parse_study(graded | OPERATION), tmp_path / "graded").result["graded"].to_dataset().squeeze()
    life = network_work(program.context, program.unit())[0]
    for name in (
        "initial_permeate_flux",
        "service_time",
        "filtrate_volume",
        "foulant_concentration",
        "end_of_life_cause",
    ):
        assert float(life[name]) == float(table[name]), name
    assert life["damkohler_number"] == pytest.approx(float(table["damkohler_number"]), rel=1e-9)


@pytest.mark.usefixtures("undrawn")
def test_the_life_of_a_network(finished, generated):
    life, history = finished.result["life"].to_dataset(), finished.result["life/history"].to_dataset()
    life, history = life.isel(replicate=0), history.isel(replicate=0)
    assert float(life.foulant_balance) == pytest.approx(1, abs=1e-4)  # less in smaller steps: see below
    times = life.service_time_level.values
    assert (np.diff(times) > 0).all()
    assert times[-1] == pytest.approx(float(life.service_time), rel=1e-9)
    flux = np.interp(times, history.elapsed_time, history.flux / history.flux[0])
    np.testing.assert_allclose(flux, [0.75, 0.5, 0.25, 0.1], atol=2e-3)
    np.testing.assert_allclose(life.deposited_fraction.sum("depth"), 1, rtol=1e-12)
    assert history.filtrate_volume[-1] == pytest.approx(float(life.filtrate_volume), rel=1e-9)
    # Darcy's law, and the deposit: what the filtrate lacks, times the fraction of the feed that deposits.
    flux = float(life.permeability) * 1e5 / (1e-3 * 1e-4) * 3.6e6
    assert float(life.initial_permeate_flux) == pytest.approx(flux, rel=1e-12)
    lacking = float(life.filtrate_volume) * 1e-3 * (1 - float(life.foulant_concentration)) * 1e-4
    pores = float(generated.band_porosity().mean()) * 1e-4
    assert history.deposit_volume[-1] == pytest.approx(lacking / pores, rel=0.01)
    assert "hydraulics" not in finished.result
    page = md.write_report(finished).read_text()
    assert "Pores are tubes" in page
    assert "nan" not in page.lower().replace("nanometre", "").replace("finance", "")


def test_a_tenth_of_the_step(network_csv):
    coarse, fine = (life_of(study_of(network_csv, thickness="100 um", step=step)) for step in (0.05, 0.005))
    for name in ("service_time_level", "filtrate_volume", "foulant_concentration"):
        np.testing.assert_allclose(coarse[name], fine[name], rtol=0.01, err_msg=name)
    # The balance is off by an error of the integration, which smaller steps reduce.
    assert abs(fine["foulant_balance"] - 1) < 0.5 * abs(coarse["foulant_balance"] - 1) < 1e-4


def test_tubes_close_with_the_fourth_power(tubes):
    """In a feed that the walls hardly change, flow (1 - t/r)^4 and deposits that grow by phi k t."""
    life = life_of(study_of(tubes, thickness="100 um", foulant={"damkohler_number": 1e-6}, step=0.005))
    seconds = 1e-6 * (1 - np.array([0.75, 0.5, 0.25, 0.1]) ** 0.25) / (1e-4 * life["wall_rate"])
    np.testing.assert_allclose(life["service_time_level"] * 3600, seconds, rtol=2e-3)
    assert life["damkohler_number"] == pytest.approx(1e-6, rel=1e-9)
    assert life["bottleneck_radius"] == pytest.approx(1000)
    assert life["hydraulic_radius"] == pytest.approx(1000)  # 2 V / S of tubes
    assert "deposited_fraction" not in life


def test_diffusion_to_the_walls_is_in_series(tubes):
    foulant = {"wall_rate": "1e-4 m/s", "diffusivity": "5e-11 m2/s"}
    with_diffusion, without = (
        life_of(study_of(tubes, thickness="100 um", foulant=foulant | extra, step=0.2))
        for extra in ({}, {"wall_rate": f"{1 / (1 / 1e-4 + 2 * 1e-6 / (3.66 * 5e-11))!r} m/s", "diffusivity": None})
    )
    assert with_diffusion["service_time"] == pytest.approx(float(without["service_time"]), rel=1e-9)
    assert with_diffusion["diffusive_damkohler_number"] == pytest.approx(1e-4 * 1e-6 / 5e-11)


def test_constant_flux_and_its_limit(tubes):
    operation = {"mode": "flux", "flux": "initial", "pressure_limit": 16}
    life = life_of(study_of(tubes, thickness="100 um", operation=operation, foulant={"damkohler_number": 1e-6}))
    assert life["history/transmembrane_pressure"][[0, -1]] == pytest.approx([1, 16], rel=1e-9)
    # Half the radius is left.
    assert life["service_time"] * 3600 == pytest.approx(0.5e-6 / (1e-4 * life["wall_rate"]), rel=0.01)
    largest = float(life["initial_permeate_flux"]) * 16
    for flux, refused in ((0.99 * largest, False), (1.01 * largest, True)):
        study = study_of(tubes, thickness="100 um", operation=operation | {"flux": f"{flux} LMH"})
        if refused:
            with pytest.raises(md.StudyError, match=r"operation\.flux: needs 1\.01 times the pressure_limit"):
                NetworkProgram(study)
        else:
            NetworkProgram(study)


def test_erosion_by_the_wall_shear(tubes):
    """Wall shear P r/(2 L): as fast as the deposit at the radius R = 2 L phi k/(rate P), from which r departs.

    r = R + (r_0 - R) exp(rate P t/(2 L)) below it; above it tubes stay clean.
    """
    wall_rate, length, pressure = 1e-9, 1e-4, 1e5
    settings = {"foulant": {"wall_rate": f"{wall_rate} m/s"}, "end_of_life": {"time": "5000 h"}, "step": 0.01}
    levels = np.array([0.75, 0.5, 0.25, 0.1])
    for balanced in (1.25e-6, 0.8e-6):
        rate = 2 * length * 1e-4 * wall_rate / (pressure * balanced)
        erosion = {"rate": f"{rate!r} m s-1 Pa-1"}
        life = life_of(study_of(tubes, thickness="100 um", erosion=erosion, deposition_law="published", **settings))
        if balanced < 1e-6:
            np.testing.assert_allclose(life["history/flux"], life["history/flux"][0], rtol=1e-9)
            continue
        growth = (balanced - 1e-6 * levels**0.25) / (balanced - 1e-6)
        seconds = np.log(growth) * 2 * length / (rate * pressure)
        np.testing.assert_allclose(life["service_time_level"] * 3600, seconds, rtol=5e-3)
    # Below the critical shear, that of the clean tubes, nothing is eroded.
    plain = life_of(study_of(tubes, thickness="100 um", **settings))
    critical = {"critical_shear": f"{pressure * 1e-6 / (2 * length)} Pa", **erosion}
    life = life_of(study_of(tubes, thickness="100 um", erosion=critical, **settings))
    assert life["service_time"] == pytest.approx(float(plain["service_time"]), rel=1e-6)


def test_lives_that_are_hard_to_end(tubes, monkeypatch):
    """Uptake that leaves nothing to the ends of the tubes; a time long after the end; a flood of particles."""
    strong = life_of(study_of(tubes, thickness="100 um", foulant={"damkohler_number": 50}))
    assert strong["history/flux"][-1] == pytest.approx(0.1 * strong["history/flux"][0], rel=1e-6)
    late = {"end_of_life": {"time": "1e6 h"}, "foulant": {"damkohler_number": 50}}
    assert life_of(study_of(tubes, thickness="100 um", **late))["service_time"] == strong["service_time"]
    particles = {"rate": 1e9, "particle_radius": "2 um"}
    flood = life_of(study_of(tubes, thickness="100 um", sieving=particles, end_of_life={"flux_fraction": 0.01}))
    assert END_CAUSES[int(flood["end_of_life_cause"])] == "blocked"
    assert flood["n_blocked"] == flood["n_arrivals"] == 10
    assert flood["foulant_balance"] == pytest.approx(1, abs=0.02)
    # In a feed of 1e9 per mL, ten particles come with at least 1e-8 mL.
    assert flood["filtrate_volume"] * 1e3 * 1e-8 * 1e9 == pytest.approx(10, rel=4 / math.sqrt(10))
    monkeypatch.setattr(network_tasks, "MAX_STEPS", 1_000)
    with pytest.raises(PhysicsError, match="did not end within 1,000 time steps"):
        life_of(study_of(tubes, thickness="100 um", foulant={"damkohler_number": 1e5}))


def test_particles_and_species(network_csv):
    settings = {
        "species": [{"wall_rate": "1e-6 m/s", "fraction": 0.5}, {"wall_rate": "1e-5 m/s", "fraction": 0.5}],
        "foulant": {}, "sieving": {"rate": 3e4, "particle_radius": "1.2 um"},
    }  # fmt: skip
    life = life_of(study_of(network_csv, thickness="100 um", **settings))
    assert life["species_yield"][0] > life["species_yield"][1]
    assert life["species_purity"].sum() == pytest.approx(1)
    # 3e4 particles per mL of a square of 100 um: 4 standard errors of a Poisson number.
    expected = 3e4 * float(life["filtrate_volume"]) * 1e3 * 1e-8
    assert abs(life["n_arrivals"] - expected) < 4 * math.sqrt(expected) + 1
    assert life["n_arrivals"] == life["n_passed"] + life["n_blocked"] > 10


@pytest.mark.parametrize("form", ["openpnm", "statoil"])
def test_other_files_give_the_same_life(form, generated, network_csv, folder):
    expected = life_of(study_of(network_csv, thickness="100 um", step=0.2))
    if form == "openpnm":
        study = study_of(write_openpnm(generated, folder / "net.npz"), thickness="100 um", step=0.2)
    else:
        scaled = PoreNetwork.from_straight_pores(
            junctions=generated.junctions * 1e-4, throat_conns=generated.throat_conns, length=generated.length * 1e-4,
            radius=generated.radius * 1e-4, extent=(1e-4, 1e-4, 1e-4),
            bodies={name: np.full(len(generated.junctions), 1e-6) for name in ("inscribed_radius", "volume")},
        )  # fmt: skip
        write_statoil(scaled, folder / "statoil")
        study = study_of(folder / "statoil", step=0.2)
        with pytest.raises(md.StudyError, match="the network of the input is 100 um thick"):
            NetworkProgram(study_of(folder / "statoil", thickness="50 um"))
    life = life_of(study)
    for name in ("initial_permeate_flux", "service_time", "filtrate_volume", "foulant_concentration"):
        assert life[name] == pytest.approx(float(expected[name]), rel=1e-6), name


def test_a_run_keeps_its_network(finished, network_csv):
    assert finished.study.identity() == finished.identity
    settings = parse_yaml(to_yaml(finished.study))[0]
    assert "pores" not in settings
    again = parse_study(settings | {"input": str(finished.path / "inputs" / network_csv.name)})
    assert again.identity() == finished.identity


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "thickness: required: tubes.csv has no unit of length"),
        ({"thickness": "100 um", "voxel_size": "3 nm"}, "voxel_size: a network has no voxels"),
        *(
            (
                {"thickness": "100 um", "hydraulics": {"conductance": conductance}},
                r"hydraulics\.conductance: a network has no voxels; use as given, inscribed or equivalent \(got",
            )
            for conductance in ("stokes", "mobility", "series")
        ),
        (
            {"thickness": "100 um", "hydraulics": {"conductance": "inscribed", "tolerance": 0.1}},
            r"hydraulics\.tolerance: a network has no voxels; leave it out",
        ),
        (
            {"thickness": "100 um", "hydraulics": {"conductance": "inscribed"}},
            r"input: tubes\.csv has no inscribed radius of its pores, which hydraulics\.conductance: inscribed needs",
        ),
        ({"thickness": "100 um", "narrowing_exponent": 3}, "must be 4 for a pore network"),
        ({"thickness": "100 um", "erosion": {"critical_shear": "1 Pa"}}, "needs erosion: set rate"),
        ({"thickness": "100 um", "erosion": {"rate": "-1 m s-1 Pa-1"}}, "erosion.rate"),
    ],
)
def test_settings_that_do_not_fit_a_network(settings, message, tubes):
    with pytest.raises(md.StudyError, match=message):
        NetworkProgram(study_of(tubes, **settings))


def test_tubes_of_another_radius(generated, network_csv, folder):
    """Squares by their shape factor: the radius of a circle of equal area is larger than that of the inscribed one."""
    explicit = study_of(network_csv, thickness="100 um", hydraulics={"conductance": "as given"})
    np.testing.assert_array_equal(NetworkProgram(explicit).network.radius, generated.radius)
    assert parse_study(parse_yaml(to_yaml(explicit))[0]).identity() == explicit.identity()
    square, scaled = math.sqrt(math.pi / 4), {name: getattr(generated, name) * 1e-4 for name in ("length", "radius")}
    scaled |= {"junctions": generated.junctions * 1e-4, "throat_conns": generated.throat_conns}
    bodies = {name: np.full(len(generated.junctions), 1e-6) for name in ("inscribed_radius", "volume")}
    throats = {"shape_factor": np.full(len(generated.length), 1 / 16)}  # area over squared perimeter
    squares = PoreNetwork.from_straight_pores(**scaled, extent=(1e-4,) * 3, bodies=bodies, throats=throats)
    write_statoil(squares, folder / "squares")
    networks = {
        radius: NetworkProgram(study_of(folder / "squares", hydraulics={"conductance": radius}))
        for radius in ("as given", "inscribed", "equivalent")
    }
    np.testing.assert_array_equal(networks["inscribed"].network.radius, networks["as given"].network.radius)
    ratio = networks["equivalent"].network.radius / networks["inscribed"].network.radius
    np.testing.assert_allclose(ratio, 1 / square, rtol=1e-12)
    assert "tubes of the equivalent radii" in dict(networks["equivalent"].summary)["network"]
    study = networks["equivalent"].study
    assert to_yaml(study) != to_yaml(networks["as given"].study)
    assert study.identity() != networks["as given"].study.identity()
    assert parse_study(parse_yaml(to_yaml(study))[0]).identity() == study.identity()
    # The permeability of tubes grows with the fourth power of their radii.
    wide, narrow = (
        network_work(networks[radius].context, networks[radius].unit())[0] for radius in ("equivalent", "inscribed")
    )
    assert wide["permeability"] / narrow["permeability"] == pytest.approx(square**-4, rel=1e-6)


def test_radii_of_a_file_of_openpnm(generated, folder):
    """Both radii of throats, and of the pores in the faces where these have no throats of their own."""
    arrays = generated.to_openpnm(boundary_pores=True) | {"extent": np.array(generated.extent)}
    arrays |= {
        "throat.inscribed_diameter": 0.8 * arrays["throat.diameter"],
        "throat.cross_sectional_area": np.pi * np.square(0.45 * arrays["throat.diameter"]),
    }
    np.savez(folder / "both.npz", **arrays)
    for name, factor in (("as given", 1), ("inscribed", 0.8), ("equivalent", 0.9)):
        program = NetworkProgram(study_of(folder / "both.npz", thickness="100 um", hydraulics={"conductance": name}))
        np.testing.assert_allclose(program.network.radius, factor * generated.radius, rtol=1e-12)
    assert "is not read" not in str(program.summary)
    arrays["throat.inscribed_diameter"][2] = 0
    np.savez(folder / "both.npz", **arrays)
    with pytest.raises(md.StudyError, match=r"both\.npz: pore 3 has no positive inscribed radius \(got 0\)"):
        NetworkProgram(study_of(folder / "both.npz", thickness="100 um", hydraulics={"conductance": "inscribed"}))
    inner = generated.to_openpnm() | {"extent": np.array(generated.extent)}
    inner["pore.diameter"] = np.full(len(generated.junctions), 0.02)
    inner["throat.inscribed_diameter"] = 0.8 * inner["throat.diameter"]
    np.savez(folder / "inner.npz", **inner)
    study = study_of(folder / "inner.npz", thickness="100 um", hydraulics={"conductance": "inscribed"})
    with pytest.raises(md.StudyError, match=r"inner\.npz has no inscribed radius of its pores"):
        NetworkProgram(study)
    np.savez(folder / "inner.npz", **inner, **{"pore.inscribed_diameter": np.full(len(generated.junctions), 0.01)})
    network = NetworkProgram(study).network
    np.testing.assert_allclose(network.radius[network.throat_conns[:, 1] < 0], 0.005)


def test_conductances_of_a_file_of_openpnm_are_not_read(generated, folder):
    """They are of a fluid of unknown viscosity, and no law says how they fall with the radius: plan says so."""
    arrays = generated.to_openpnm(boundary_pores=True) | {"extent": np.array(generated.extent)}
    arrays["throat.hydraulic_conductance"] = np.ones(len(generated.length))
    np.savez(folder / "conducting.npz", **arrays)
    program = NetworkProgram(study_of(folder / "conducting.npz", thickness="100 um"))
    assert "throat.hydraulic_conductance of conducting.npz is not read: its pores are tubes" in str(program.summary)
    np.testing.assert_array_equal(program.network.radius, generated.radius)
    table = folder / "conducting.csv"
    table.write_text("net.pore.coords[0],net.throat.hydraulic_conductance\n0,1\n")
    assert openpnm_conductances(table) == "throat.hydraulic_conductance"


def test_one_of_statoils_files_is_not_a_network(tmp_path):
    (tmp_path / "rock_node1.dat").write_text("1\n")
    with pytest.raises(
        md.StudyError, match=r"rock_node1.dat is one of Statoil's four files; give their prefix: .*rock$"
    ):
        NetworkProgram(study_of(tmp_path / "rock_node1.dat"))


def test_lengths_in_another_unit_are_noted(tubes, tmp_path):
    """Lengths in micrometres in place of thicknesses of 100 um."""
    (tmp_path / "pores.csv").write_text("end_a,end_b,length,radius\n0,-1,50,0.001\n0,-2,50,0.001\n")
    notes = [
        text
        for name, text in NetworkProgram(study_of(tmp_path / "pores.csv", thickness="100 um")).summary
        if name == "note"
    ]
    assert "the shortest path through the network is 100 thicknesses long; lengths are in thicknesses" in notes
    notes = [text for name, text in NetworkProgram(study_of(tubes, thickness="100 um")).summary if name == "note"]
    assert len(notes) == 1  # of the junctions
    assert "tubes.csv has no table of junctions" in notes[0]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("0,-1,0.5,0.01\n", "no pore opens to the filtrate"),
        ("0,-1,0.5,0.01\n1,-2,0.5,0.01\n", "no open path from the feed to the filtrate"),
        ("0,-1,0.5,0\n0,-2,0.5,0.01\n", "radius"),
    ],
)
def test_networks_that_have_no_life_are_refused(rows, message, tmp_path):
    (tmp_path / "pores.csv").write_text("end_a,end_b,length,radius\n" + rows)
    with pytest.raises(md.StudyError, match=message):
        NetworkProgram(study_of(tmp_path / "pores.csv", thickness="100 um"))
