"""Networks of a finished graded run: drawn again, exported, and read again."""

from __future__ import annotations

import numpy as np
import pytest

import membrane_dask as md
from membrane_dask.errors import ExportError
from membrane_dask.physics.networks.fouling import filter_life
from membrane_dask.study_file import parse_study

SYNC = {"profile": "sync"}
STUDY = {
    "kind": "graded", "name": "drawn", "gradient": [0.0, 2e-3], "realizations": 2, "porosity": [0.25, 0.2, 0.2, 0.15],
    "porosity_tolerance": 0.02, "band_l_max": [0.2, 0.2, 0.2, 0.15], "solver_tolerance": 1e-12, "cluster": SYNC,
    "radius_spread": {"distribution": "lognormal", "deviation": 0.1},
}  # fmt: skip
ITEM = "graded,l_max=0.2,gradient=0.002,realization=1"
NAMES = ("throughput", "foulant_concentration", "lifetime", "porosity_usage")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return md.run(parse_study(STUDY), tmp_path_factory.mktemp("drawn") / "run")


@pytest.fixture(scope="module")
def simulated(run):
    return run.result["graded"].to_dataset().isel(l_max=0, gradient=1, realization=1, deposition=0)


@pytest.mark.parametrize("form", ["tree", "dataset"])
def test_a_network_is_the_one_that_was_simulated(run, simulated, form):
    """Every number of its life has the same bits."""
    group = run.result["graded"] if form == "tree" else run.result["graded"].to_dataset()
    network = md.pore_network(group, gradient=2e-3, realization=1)
    life = filter_life(network, deposition=5e-7, time_step=2.5e-4, flux_threshold=2e-6, solver_tolerance=1e-12)
    for name in (*NAMES, "initial_flux", "n_junctions", "n_pores", "band_porosity_usage"):
        np.testing.assert_array_equal(simulated[name].values, getattr(life, name), err_msg=name)


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        ({"realization": 0}, "gradient: is needed; one of 0, 0.002"),
        ({"gradient": 0.0}, "realization: is needed; one of 0, 1"),
        ({"gradient": 1e-3, "realization": 0}, "gradient: must be one of 0, 0.002 .got 0.001"),
        ({"gradient": 0.0, "realization": 2}, "realization: must be one of 0, 1"),
        ({"gradient": 0.0, "realization": 0, "l_max": 0.1}, "l_max: must be one of 0.2"),
    ],
)
def test_networks_that_are_not_there(run, selection, message):
    with pytest.raises(ValueError, match=message):
        md.pore_network(run.result["graded"], **selection)


@pytest.mark.parametrize("name", ["net.csv", "net.npz", "net_link1.dat"])
def test_export_and_import_give_the_same_life(run, simulated, tmp_path, name):
    path = md.export(run, tmp_path / name, ITEM)
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]
    study = {"kind": "graded", "input": str(path), "solver_tolerance": 1e-12, "cluster": SYNC}
    again = md.run(parse_study(study), tmp_path / "again")
    table = again.result["graded"].to_dataset().squeeze()
    for variable in NAMES:
        # To 1e-12: Statoil and OpenPNM have another order of the pores.
        assert float(table[variable]) == pytest.approx(float(simulated[variable]), rel=1e-12), variable
    with pytest.raises(ExportError, match="exists; choose another name"):
        md.export(run, path, ITEM)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()}
    md.export(run, path, ITEM, overwrite=True)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()} == before
    # The network of an input is exported as well, and names itself in the result.
    copy = md.export(again, tmp_path / "copy.csv", "network_0")
    assert copy.is_file()
    with pytest.raises(ValueError, match=f"is of the network {path.name}"):
        md.pore_network(again.result["graded"])


def test_other_exports(run, tmp_path):
    text = md.export(run, tmp_path / "net.vtk", ITEM).read_text()
    assert text.startswith("# vtk DataFile")
    with pytest.raises(ExportError, match=r"a network is written to \.csv, .*\.vtu or \.graphml"):
        md.export(run, tmp_path / "net.tif", ITEM)
    with pytest.raises(ExportError, match=r"did you mean 'graded,l_max=0.2,gradient=0.002,realization=1'"):
        md.export(run, tmp_path / "net.csv", ITEM.replace("=1", "=7"))
    with pytest.raises(ExportError, match=r"items: graded,l_max=0.2,gradient=0,realization=0, graded"):
        md.export(run, tmp_path / "net.csv", "")
    with pytest.raises(ExportError, match="has no picture"):
        md.draw_3d(run, ITEM)
    assert [p.name for p in tmp_path.iterdir()] == ["net.vtk"]
