"""Graded study of a given network: from a table, from Statoil's files, and from a characterized run."""

from __future__ import annotations

import numpy as np
import pytest

import membrane_dask as md
from membrane_dask.errors import StudyError
from membrane_dask.io.network_files import read_statoil, write_statoil
from membrane_dask.io.network_tables import write_network_csv
from membrane_dask.io.openpnm_files import write_openpnm
from membrane_dask.physics.networks.band_porosity import band_radii
from membrane_dask.physics.networks.fouling import filter_life
from membrane_dask.physics.networks.pore_network import INLET, OUTLET, PoreNetwork
from membrane_dask.physics.networks.random_network import generate
from membrane_dask.study_file import parse_study, to_yaml
from membrane_dask.yaml_files import parse_yaml

#: Seven pores of the same filter, which has three junctions in the first two bands.
PORES = """pore,end_a,end_b,length,radius
0,0,-1,0.10,0.013
1,1,-1,0.15,0.013
2,0,1,0.08,0.013
3,0,2,0.50,0.011
4,1,2,0.45,0.011
5,2,-2,0.40,0.007
6,2,-2,0.45,0.009
"""


def notes_of(study) -> list[str]:
    """Notes of a plan but the one on the junctions of the table."""
    notes = [text for name, text in md.plan(study).rows() if name == "note"]
    return [text for text in notes if "has no table of junctions" not in text]


def study_of(path, **settings):
    base = {"kind": "graded", "name": "own", "input": str(path), "solver_tolerance": 1e-12}
    return parse_study(base | {"cluster": {"profile": "sync"}} | settings)


@pytest.fixture
def pores(tmp_path):
    path = tmp_path / "seven_pores.csv"
    path.write_text(PORES)
    return path


@pytest.fixture(scope="module")
def generated() -> PoreNetwork:
    return generate(
        np.random.default_rng(1), l_min=0.06, l_max=0.2, radii=band_radii(0.01, 2e-3, 4), porosity=0.2,
        porosity_tolerance=0.02,
    )  # fmt: skip


def life(network: PoreNetwork):
    return filter_life(network, deposition=5e-7, time_step=2.5e-4, flux_threshold=2e-6, solver_tolerance=1e-12)


@pytest.mark.usefixtures("undrawn")
def test_seven_pores(pores, tmp_path):
    """Digits of the seven-pore network by a direct solver, to 1e-9."""
    run = md.run(study_of(pores, flux_threshold=4e-9), tmp_path / "run")
    table = run.result["graded"].to_dataset().squeeze()
    expected = {
        "initial_flux": 1.49487668949e-8, "throughput": 9.73838353302e-5, "foulant_concentration": 0.289789985512,
        "lifetime": 0.013, "throughput_threshold": 7.51337607213e-5, "lifetime_threshold": 0.0045821654,
    }  # fmt: skip
    for name, value in expected.items():
        assert float(table[name]) == pytest.approx(value, rel=1e-8), name
    assert np.isnan([float(table.l_max), float(table.gradient)]).all()
    assert table.band.size == 1
    rows = md.plan(run.study).rows()
    assert any(name == "network" and "3 junctions, 7 pores" in text for name, text in rows)
    assert any(name == "note" and "its junctions are the 3 numbers in end_a and end_b" in text for name, text in rows)
    md.write_report(run)  # a design without gradients has a report


@pytest.mark.usefixtures("undrawn")
def test_plan_and_report_state_dead_ends(pores, tmp_path):
    pores.write_text(PORES + "7,1,3,0.2,0.01\n")
    study = study_of(pores)
    sentence = "1 of 8 pores lie on no path from the feed to the filtrate and carry no flow; the first is pore 8"
    assert ("note", sentence) in md.plan(study).rows()
    assert sentence in md.write_report(md.run(study, tmp_path / "run")).read_text()
    pores.write_text(PORES + "7,1,9,0.2,0.01\n")
    with pytest.raises(StudyError, match="junction 3 is in none"):
        md.plan(study_of(pores))


def test_a_run_keeps_its_network_and_is_resumed(pores, tmp_path):
    (tmp_path / "seven_junctions.csv").write_text("junction,z,y,x\n0,0.1,0,0\n1,0.15,0,0.5\n2,0.6,0.4,0\n")
    study = study_of(pores)
    run = md.run(study, tmp_path / "run")
    pores.unlink()
    (tmp_path / "seven_junctions.csv").write_text("junction,z,y,x\n0,0.2,0,0\n1,0.15,0,0.5\n2,0.6,0.4,0\n")
    assert run.study.identity() == run.identity
    assert md.run(run.path / "study.yaml", run.path).status()["state"] == "complete"
    again = parse_study(parse_yaml(to_yaml(run.study))[0] | {"input": str(run.path / "inputs" / "seven_pores.csv")})
    assert again.identity() == run.identity
    pores.write_text(PORES)
    assert study_of(pores).identity() != run.identity  # the positions of the junctions are others


@pytest.mark.parametrize("form", ["csv", "openpnm", "statoil"])
def test_export_and_import_give_the_same_life(form, generated, tmp_path):
    if form == "csv":
        path, _ = write_network_csv(generated, tmp_path / "net.csv")
    elif form == "openpnm":
        path = write_openpnm(generated, tmp_path / "net.npz")
    else:
        write_statoil(_with_bodies(generated), tmp_path / "net")
        path = tmp_path / "net"
    table = md.run(study_of(path), tmp_path / "run").result["graded"].to_dataset().squeeze()
    expected = life(generated)
    for name in ("throughput", "foulant_concentration", "lifetime", "porosity_usage", "band_porosity_usage"):
        np.testing.assert_allclose(table[name].values, getattr(expected, name), rtol=1e-12, err_msg=name)


def _with_bodies(network: PoreNetwork) -> PoreNetwork:
    bodies = {name: np.full(len(network.junctions), 1e-3) for name in ("inscribed_radius", "volume")}
    fields = (
        network.junctions,
        network.throat_conns,
        network.length,
        network.radius,
        network.band,
        network.band_length,
    )
    return PoreNetwork(*fields, network.extent, bodies)


def test_lengths_are_divided_by_the_thickness_and_flows_by_the_area(generated, tmp_path):
    """A membrane of twice the edge, made of four copies of a network, has the life of one of them per area."""
    thickness = 2e-6
    copies = range(4)
    n = len(generated.junctions)
    inner = generated.throat_conns[:, 1] >= 0
    conns = np.concatenate(
        [
            np.stack(
                [
                    generated.throat_conns[:, 0] + k * n,
                    np.where(inner, generated.throat_conns[:, 1] + k * n, generated.throat_conns[:, 1]),
                ],
                1,
            )
            for k in copies
        ]
    )
    positions = [generated.junctions + np.array([0, k // 2, k % 2]) for k in copies]
    large = PoreNetwork.from_straight_pores(
        junctions=np.concatenate(positions) * thickness, throat_conns=conns.astype(np.int32),
        length=np.tile(generated.length, 4) * thickness, radius=np.tile(generated.radius, 4) * thickness,
        extent=(thickness, 2 * thickness, 2 * thickness),
    )  # fmt: skip
    write_statoil(_with_bodies(large), tmp_path / "large")
    assert read_statoil(tmp_path / "large").extent[1] == pytest.approx(4e-6)
    expected = life(generated)
    units = {"pressure": "1 bar", "viscosity": "1 mPa s", "foulant_volume_fraction": 1e-4}
    study = study_of(tmp_path / "large_link1.dat", thickness="2 um", **units)
    table = md.run(study, tmp_path / "run").result["graded"].to_dataset().squeeze()
    for name in ("initial_flux", "throughput", "foulant_concentration", "porosity_usage", "damkohler_number"):
        value = getattr(expected, name, None) or getattr(expected.diagnostics, name)
        assert float(table[name]) == pytest.approx(value, rel=1e-9), name
    with pytest.raises(md.StudyError, match=r"thickness: the network of the input is 2 um thick \(got 100 um\)"):
        md.plan(study_of(tmp_path / "large", thickness="100 um", **units))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bands": 4}, "bands: random networks are drawn with it, but input gives the network"),
        ({"radius": 0.01}, "radius: random networks"),
        ({"gradient": 0.0, "porosity": 0.6}, "gradient: random networks .*\n.*porosity: random networks"),
        ({"l_max": 0.2}, "l_max: random networks"),
        ({"band_l_max": [0.2, 0.2, 0.2, 0.2]}, "band_l_max: random networks"),
        ({"design": "optimum"}, "design: optimum draws networks"),
        ({"thickness": "100 um"}, "thickness needs pressure"),
        ({"deposition": [5e-7, 5e-7]}, "is listed twice"),
        ({"realizations": 3}, "realizations: must be at most 1, the number of networks"),
        ({"band_deposition": [1, 2]}, "band_deposition: must have one value, or one for each of the 1 bands"),
        ({"time_step": 0.01}, "time_step: too large: all inlets close within two steps; at most 0.0065"),
        ({"time_step": 1e-8}, "time_step: too small"),
    ],
    ids=str,
)
def test_keys_that_draw_networks_are_refused(pores, settings, message):
    with pytest.raises(md.StudyError, match=message):
        md.plan(study_of(pores, **settings))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("-1", "9", "no pore opens to the feed"),
        ("-2", "9", "no pore opens to the filtrate"),
        ("0,2,0.50", "0,1,0.50", "no open path from the feed to the filtrate"),
        ("0.013", "0", "row 2: radius must be greater than 0"),
    ],
)
def test_networks_without_a_path_are_refused(pores, old, new, message):
    pores.write_text(PORES.replace(old, new).replace("1,2,0.45", "1,0,0.45" if "path" in message else "1,2,0.45"))
    with pytest.raises(md.StudyError, match=f"input: .*seven_pores.csv: .*{message}"):
        md.plan(study_of(pores))


def test_other_files_are_refused(tmp_path, pores):
    (tmp_path / "net.pnm").write_bytes(b"x")
    (tmp_path / "net.txt").write_text("x")
    (tmp_path / "folder").mkdir()
    for name, message in (
        ("net.pnm", "may run code"),
        ("net.txt", "unknown format"),
        ("folder", "is a folder, but no run"),
        ("missing", "no such file"),
    ):
        with pytest.raises(md.StudyError, match=message):
            md.plan(study_of(tmp_path / name))
    drawn = md.run(
        parse_study(
            {"kind": "graded", "gradient": 0.0, "realizations": 1, "porosity": 0.2} | {"cluster": {"profile": "sync"}}
        ),
        tmp_path / "drawn",
    )
    with pytest.raises(md.StudyError, match="is of the kind graded, which provides no network; characterize does"):
        md.plan(study_of(drawn.path))


def test_lengths_in_another_unit_are_noticed(pores):
    pores.write_text("end_a,end_b,length,radius\n0,-1,50,1\n0,-2,50,1\n")  # um in a membrane of 100 um
    with pytest.raises(md.StudyError, match="pores fill 314 times the volume of band 1; radius and length"):
        md.plan(study_of(pores))
    for factor, length in ((30, 30), (0.2, 0.2)):
        pores.write_text(f"end_a,end_b,length,radius\n0,-1,{factor / 2},0.01\n0,-2,{factor / 2},0.01\n")
        (note,) = notes_of(study_of(pores))
        assert note.startswith(f"the shortest path through the network is {length} thicknesses long")


def test_few_time_steps_are_noted(pores):
    (note,) = notes_of(study_of(pores, time_step=1e-3))
    assert note.startswith("inlets close within 13 time steps")
    assert note.endswith("a time_step of 0.00026 gives fifty")


def test_a_long_path_is_refused():
    with pytest.raises(md.StudyError, match="input: "):
        parse_study({"kind": "graded", "input": "x" * 5000})


@pytest.mark.parametrize("value", [5, "", ["a", "b"], {"a": 1}])
def test_an_input_is_a_path(value):
    with pytest.raises(md.StudyError, match="the path of a network, a run or a study is needed"):
        parse_study({"kind": "graded", "input": value})


def test_files_of_one_name_are_refused(pores, tmp_path):
    (tmp_path / "bench").mkdir()
    table = tmp_path / "bench" / pores.name
    table.write_text("volume,flux\n0,1\n")
    units = {"thickness": "100 um", "pressure": "1 bar", "viscosity": "1 mPa s"}
    with pytest.raises(md.StudyError, match="a file of the network has the same name"):
        study_of(pores, calibrate={"input": str(table)}, **units)


def test_narrow_pores_are_noted(pores):
    pores.write_text(PORES.replace("0.007", "0.0001"))
    assert notes_of(study_of(pores)) == [
        "14.3 % of the pores may close within two time steps; a time_step of 5e-05 resolves the narrowest one"
    ]


def test_networks_of_a_characterized_run(tmp_path):
    """Each replicate is a realization; its life is that of the network that the run gives, in thicknesses."""
    from membrane_dask.physics.analytic_problems import GradedMembrane

    volume = tmp_path / "volume.npy"
    np.save(volume, GradedMembrane(depth=40, slices=30, width=30).volume())
    settings = {"kind": "characterize", "name": "volume", "input": str(volume), "voxel_size": "3 nm", "pores": 0}
    characterized = md.run(
        parse_study(settings | {"cluster": {"profile": "sync"}, "flow": {"enabled": False}}), tmp_path / "source"
    )
    assert characterized.status()["state"] == "complete"
    table = md.run(study_of(characterized.path), tmp_path / "run").result["graded"].to_dataset().squeeze()
    expected = life(md.pore_network(characterized.result["network_0"]).dimensionless())
    for name in ("throughput", "foulant_concentration", "lifetime", "initial_flux"):
        assert float(table[name]) == pytest.approx(getattr(expected, name), rel=1e-9), name
    assert (md.pore_network(characterized.result["network_0"]).throat_conns[:, 1] == INLET).any()
    assert (md.pore_network(characterized.result["network_0"]).throat_conns[:, 1] == OUTLET).any()


def test_random_events_repeat_the_life_of_a_network(pores, tmp_path):
    sieving = {"rate": 2e5, "particle_radius": 0.012}
    run = md.run(study_of(pores, sieving=sieving, realizations=6), tmp_path / "run")
    throughput = run.result["graded"].throughput.values
    assert throughput.shape[:3] == (1, 1, 6)
    assert len(np.unique(throughput)) == 6
    assert md.plan(study_of(pores, sieving=sieving)).total == 20  # the default
    assert run.study.identity() == run.identity


def test_a_written_study_of_several_species_is_read_again(pores):
    species = [{"deposition": 1e-7, "fraction": 0.5}, {"deposition": 1e-6, "fraction": 0.5}]
    for study in (study_of(pores, species=species), parse_study({"kind": "graded", "species": species})):
        again = parse_study(parse_yaml(to_yaml(study))[0])
        assert again == study
        assert again.identity() == study.identity()
