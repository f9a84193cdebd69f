"""Pore networks in the formats of other programs."""

from __future__ import annotations

import numpy as np
import pytest

import membrane_dask as md
from membrane_dask.io.network_files import read_statoil, write_statoil, write_vtk
from membrane_dask.physics.analytic_problems import GradedMembrane
from membrane_dask.physics.imaging.blocks import Block
from membrane_dask.physics.imaging.distance import squared_distances
from membrane_dask.physics.imaging.network_extraction import extract_network
from membrane_dask.physics.imaging.watershed import SnowParameters, block_watershed
from membrane_dask.physics.networks.pore_network import INLET, OUTLET, PoreNetwork


@pytest.fixture(scope="module")
def network() -> PoreNetwork:
    pores = GradedMembrane(depth=70, slices=50, width=60).volume() == 0
    block, snow = Block((0, 0, 0), pores.shape, 10, pores.shape), SnowParameters()
    contribution, _ = block_watershed(squared_distances(pores), block, snow)
    return extract_network([contribution], pores.shape, 3e-9, snow).network


def assert_equal(a: PoreNetwork, b: PoreNetwork) -> None:
    for name in ("junctions", "throat_conns", "length", "radius", "band", "band_length"):
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=1e-12, atol=1e-30)
    assert a.extent == pytest.approx(b.extent)


def test_networkx_and_back(network):
    graph = network.to_networkx()
    assert graph.number_of_nodes() == len(network.junctions) + 2
    result = PoreNetwork.from_networkx(graph)
    assert_equal(result, network)
    for name, values in network.bodies.items():
        np.testing.assert_array_equal(result.bodies[name], values)
    for name, values in network.throats.items():
        np.testing.assert_array_equal(result.throats[name], values)
    graph.nodes[0].pop("z")
    with pytest.raises(ValueError, match="'z'"):
        PoreNetwork.from_networkx(graph)


def test_openpnm_and_back(network):
    arrays = network.to_openpnm()
    inner = network.throat_conns[:, 1] >= 0
    assert len(arrays["throat.conns"]) == inner.sum()
    assert arrays["pore.inlets"].sum() == (network.throat_conns[:, 1] == INLET).sum()
    np.testing.assert_allclose(arrays["pore.inscribed_diameter"], 2 * network.bodies["inscribed_radius"])
    result = PoreNetwork.from_openpnm(arrays, network.extent)
    inner_result = result.throat_conns[:, 1] >= 0
    np.testing.assert_array_equal(result.throat_conns[inner_result], np.sort(network.throat_conns[inner], axis=1))
    np.testing.assert_allclose(result.length[inner_result], network.length[inner])
    np.testing.assert_allclose(result.bodies["volume"], network.bodies["volume"])
    assert (result.throat_conns[:, 1] == OUTLET).sum() == (network.throat_conns[:, 1] == OUTLET).sum()
    with pytest.raises(ValueError, match=r"throat\.length"):
        PoreNetwork.from_openpnm({k: v for k, v in arrays.items() if k != "throat.length"}, network.extent)


def tubes() -> PoreNetwork:
    """Two tubes in parallel from the feed to the filtrate, each of two pores, with a bypass between their middles."""
    return PoreNetwork.from_straight_pores(
        junctions=np.array([[0.5, 0.2, 0.5], [0.5, 0.8, 0.5]]),
        throat_conns=np.array([[0, INLET], [0, OUTLET], [1, INLET], [1, OUTLET], [0, 1]], np.int32),
        length=np.array([0.5, 0.5, 0.5, 0.5, 0.6]), radius=np.full(5, 0.01), extent=(1.0, 1.0, 1.0),
        bodies={"inscribed_radius": np.full(2, 0.01), "volume": np.full(2, 1e-6)},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "index", "value", "message"),
    [
        ("throat.diameter", 2, np.nan, r"radius: must be greater than 0 and finite \(got nan at index 2\)"),
        ("throat.length", 3, -1.0, r"length: must be greater than 0 and finite \(got -1 at index 3\)"),
        ("throat.conns", (1, 0), 0.5, r"throat.conns must be whole numbers \(got \[0.5, .*\] at index 1\)"),
        ("throat.conns", (1, 0), np.nan, "throat.conns must be whole numbers"),
        ("throat.conns", 4, 1.0, "throat 4 connects pore 1 with itself"),
        ("pore.coords", (1, 0), np.nan, "pore 1 has the depth nan"),
        ("pore.outlets", slice(2, 4), True, "boundary pore . is both an inlet and an outlet"),
    ],
)
def test_arrays_of_openpnm_that_are_no_network(name, index, value, message):
    arrays = tubes().to_openpnm(boundary_pores=True)
    assert len(PoreNetwork.from_openpnm(arrays, (1.0, 1.0, 1.0)).length) == 5
    arrays[name] = np.array(arrays[name], bool if name == "pore.outlets" else float)
    arrays[name][index] = value
    with pytest.raises(ValueError, match=message):
        PoreNetwork.from_openpnm(arrays, (1.0, 1.0, 1.0))


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        (3, "0", "row 2: the radius must be greater than 0 .got 0."),
        (5, "-1", "row 2: the total length must be"),
        (2, "1", "row 2 connects 1 and 1; .*they differ"),
    ],
)
def test_links_of_statoil_that_are_no_pores(tmp_path, column, value, message):
    write_statoil(tubes(), tmp_path / "tubes")
    path = tmp_path / "tubes_link1.dat"
    lines = path.read_text().splitlines()
    cells = lines[2].split()
    cells[column] = value
    path.write_text("\n".join([*lines[:2], " ".join(cells), *lines[3:]]) + "\n")
    with pytest.raises(ValueError, match=f"tubes_link1.dat.*{message}"):
        read_statoil(tmp_path / "tubes")


def test_a_pore_of_openpnm_outside_the_extent_is_refused(network):
    """Beyond a face by more than the digits of a file."""
    arrays = network.to_openpnm()
    coordinates = arrays["pore.coords"].copy()
    for depth in (-1e-8, 1 + 1e-8):
        coordinates[2, 0] = depth * network.extent[0]
        PoreNetwork.from_openpnm(arrays | {"pore.coords": coordinates}, network.extent)
    for depth in (-1e-3, 1 + 1e-3):
        coordinates[2, 0] = depth * network.extent[0]
        with pytest.raises(ValueError, match="pore 2 has the depth"):
            PoreNetwork.from_openpnm(arrays | {"pore.coords": coordinates}, network.extent)


def test_vtk(network, tmp_path):
    lines = write_vtk(network, tmp_path / "network.vtk").read_text().splitlines()
    assert lines[4] == f"POINTS {len(network.junctions)} double"
    z = [float(line.split()[2]) for line in lines[5 : 5 + len(network.junctions)]]
    np.testing.assert_allclose(z, network.junctions[:, 0], rtol=1e-8)
    first = lines.index(next(line for line in lines if line.startswith("LINES")))
    count = int(lines[first].split()[1])
    assert count == (network.throat_conns[:, 1] >= 0).sum()
    assert [int(v) for v in lines[first + 1].split()] == [2, *network.throat_conns[0]]
    with pytest.raises(ValueError, match=r"\.vtk"):
        write_vtk(network, tmp_path / "network.vtp")
    assert repr(network).startswith(f"<PoreNetwork: {len(network.junctions)} junctions")
    assert sum(line.startswith("SCALARS") for line in lines) == len(network.bodies) + 2 + len(network.throats)


STATOIL = {
    "node1": "2 3e-3 1e-3 1e-3\n1 1e-3 5e-4 5e-4 2 -1 2 1 0 1 2\n2 2e-3 5e-4 5e-4 2 1 0 0 1 2 3\n",
    "node2": "1 4e-12 1e-4 0.03 0\n2 5e-12 2e-4 0.04 0\n",
    "link1": "3\n1 -1 1 3e-5 0.05 1e-3\n2 1 2 4e-5 0.05 1e-3\n3 2 0 5e-5 0.05 1e-3\n",
    "link2": "1 -1 1 1e-4 1e-4 8e-4 1e-13 0\n2 1 2 1e-4 1e-4 8e-4 2e-13 0\n3 2 0 1e-4 1e-4 8e-4 3e-13 0\n",
}


def test_statoil(tmp_path):
    for name, text in STATOIL.items():
        (tmp_path / f"small_{name}.dat").write_text(text)
    network = read_statoil(tmp_path / "small")
    assert network.throat_conns.tolist() == [[0, INLET], [0, 1], [1, OUTLET]]
    assert network.radius.tolist() == [3e-5, 4e-5, 5e-5]
    assert network.junctions[:, 0].tolist() == [1e-3, 2e-3]
    (tmp_path / "small_link1.dat").write_text(STATOIL["link1"].replace("3\n1", "4\n1", 1))
    with pytest.raises(ValueError, match="3 rows, not 4"):
        read_statoil(tmp_path / "small")
    (tmp_path / "small_node2.dat").unlink()
    with pytest.raises(ValueError, match="small_node2"):
        read_statoil(tmp_path / "small")


def test_statoil_and_back(network, tmp_path):
    files = write_statoil(network, tmp_path / "copy")
    assert [path.name for path in files] == [f"copy_{n}.dat" for n in ("node1", "node2", "link1", "link2")]
    result = read_statoil(tmp_path / "copy")
    np.testing.assert_array_equal(result.throat_conns, network.throat_conns)
    for name in ("junctions", "length", "radius"):
        np.testing.assert_allclose(getattr(result, name), getattr(network, name), rtol=1e-8)
    np.testing.assert_allclose(result.bodies["volume"], network.bodies["volume"], rtol=1e-8)
    assert result.extent == pytest.approx(network.extent)
    assert (result.throats["own_length"] > 0).all()
    with pytest.raises(ValueError, match="inscribed_radius"):
        write_statoil(without_radii(network), tmp_path / "bad")


def without_radii(network: PoreNetwork) -> PoreNetwork:
    return PoreNetwork.from_openpnm(
        {
            k: v
            for k, v in network.to_openpnm().items()
            if k not in ("pore.inscribed_diameter", "pore.inlets", "pore.outlets")
        },
        network.extent,
    )


def test_the_berea_network(shared):
    """Sizes, porosity and coordination number as published."""
    network = md.read_statoil(shared / "data/networks/Berea")
    assert (len(network.junctions), len(network.throat_conns)) == (6298, 12545)
    volume = network.bodies["volume"].sum() + network.throats["volume"].sum()
    assert volume / np.prod(network.extent) == pytest.approx(0.1961, abs=5e-5)
    ends = network.throat_conns[network.throat_conns >= 0]
    assert len(ends) / len(network.junctions) == pytest.approx(3.91, abs=0.005)
