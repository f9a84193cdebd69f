"""The search for flowing pores, the conversion to a graph, and the checks of a network."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

from membrane_dask.physics.networks.connectivity import adjacency, flowing_pores
from membrane_dask.physics.networks.pore_network import INLET, OUTLET, PoreNetwork


def network_of(pores, n_junctions: int) -> PoreNetwork:
    """Network from rows ``(junction, other end, length, radius)``, all in one band."""
    conns = np.array([row[:2] for row in pores], np.int32)
    length, radius = (np.array([row[i] for row in pores], float) for i in (2, 3))
    band = np.zeros(len(pores), np.int32)
    return PoreNetwork(np.full((n_junctions, 3), 0.5), conns, length, radius, band, length[:, None].copy())


def flowing(conns, n_junctions: int, is_open=None) -> np.ndarray:
    conns = np.asarray(conns, np.int32)
    is_open = np.ones(len(conns), bool) if is_open is None else is_open
    return flowing_pores(*adjacency(conns, n_junctions), is_open)


def flowing_by_networkx(conns, is_open) -> np.ndarray:
    """The same with networkx: a node in the middle keeps parallel pores distinct, a virtual edge connects the faces."""
    graph = nx.Graph([("feed", "filtrate")])
    names = {INLET: "feed", OUTLET: "filtrate"}
    for e, (a, b) in enumerate(conns):
        if is_open[e]:
            graph.add_edges_from([(int(a), ("pore", e)), (("pore", e), names.get(int(b), int(b)))])
    result = np.zeros(len(conns), bool)
    for component in nx.biconnected_components(graph):
        if {"feed", "filtrate"} <= component:
            result[[node[1] for node in component if isinstance(node, tuple)]] = True
    return result


@pytest.mark.parametrize(
    ("conns", "n", "expected"),
    [
        ([(0, INLET), (0, OUTLET)], 1, [1, 1]),
        ([(0, INLET), (0, INLET), (1, OUTLET)], 2, [0, 0, 0]),  # no path
        ([(0, INLET), (0, OUTLET), (0, 1)], 2, [1, 1, 0]),  # dead end
        ([(0, INLET), (0, OUTLET), (0, 1), (1, 2), (2, 0)], 3, [1, 1, 0, 0, 0]),  # loop at one junction
        ([(0, INLET), (0, 1), (1, 2), (2, 0), (1, OUTLET)], 3, [1, 1, 1, 1, 1]),  # loop between two junctions
        ([(0, INLET), (1, INLET), (0, 1), (2, INLET), (2, OUTLET)], 3, [0, 0, 0, 1, 1]),  # connects inlets only
        ([(0, INLET), (0, OUTLET), (1, 2)], 3, [1, 1, 0]),  # island
        ([(0, INLET), (0, INLET), (0, OUTLET)], 1, [1, 1, 1]),  # two inlets of one junction
    ],
)
def test_flowing_pores_of_small_networks(conns, n, expected):
    np.testing.assert_array_equal(flowing(conns, n), np.array(expected, bool))


@pytest.mark.parametrize("seed", range(40))
def test_flowing_pores_agree_with_networkx(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 30))
    pairs = {tuple(sorted(rng.integers(0, n, 2))) for _ in range(int(rng.integers(1, 2 * n)))}
    conns = [(a, b) for a, b in pairs if a != b]
    for face in (INLET, OUTLET):
        conns += [(int(rng.integers(n)), face) for _ in range(int(rng.integers(1, 4)))]
    is_open = rng.random(len(conns)) < 0.9
    np.testing.assert_array_equal(flowing(conns, n, is_open), flowing_by_networkx(conns, is_open))


def test_graph_contains_every_pore():
    rows = [(0, INLET, 0.3, 0.01), (0, 1, 0.2, 0.02), (1, OUTLET, 0.1, 0.03), (1, OUTLET, 0.4, 0.01)]
    graph = network_of(rows, 2).to_networkx()
    assert graph.number_of_edges() == 4
    assert sorted(d["length"] for *_, d in graph.edges(data=True)) == [0.1, 0.2, 0.3, 0.4]
    assert graph.number_of_edges(1, "filtrate") == 2


def test_band_porosity_is_pore_volume_over_band_volume():
    network = network_of([(0, INLET, 0.5, 0.01), (0, OUTLET, 0.5, 0.02)], 1)
    assert network.band_porosity() == pytest.approx([np.pi * 0.5 * (0.01**2 + 0.02**2)], rel=1e-15)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"radius": np.array([0.01])}, "radius"),
        ({"radius": np.array([0.01, -1])}, "radius"),
        ({"length": np.array([0.5, np.nan])}, "length"),
        ({"throat_conns": np.array([[0, INLET], [1, OUTLET]], np.int32)}, "throat_conns"),
        ({"throat_conns": np.array([[0, INLET], [0, -3]], np.int32)}, "throat_conns"),
    ],
)
def test_invalid_networks_raise(change, message):
    valid = network_of([(0, INLET, 0.5, 0.01), (0, OUTLET, 0.5, 0.01)], 1)
    with pytest.raises(ValueError, match=message):
        PoreNetwork(**(vars(valid) | change))
