"""Permeability of pore networks of circular tubes."""

from __future__ import annotations

import numpy as np
import pytest

from membrane_dask.studies.characterize.simplified_models import tube_network_permeabilities


def network(conns: list[tuple[int, int]]) -> dict[str, np.ndarray]:
    """Two pores at a third and two thirds of 300 nm, throats of 100 nm and of radius 8 and 10 nm."""
    n = len(conns)
    return {
        "extent": np.array([300.0, 100.0, 100.0]),
        "position": np.array([[100.0, 50.0, 50.0], [200.0, 50.0, 50.0]]),
        "throat_conns": np.array(conns, dtype=np.int64).reshape(n, 2),
        "throat_length": np.full(n, 100.0),
        "throat_inscribed_radius": np.full(n, 8.0),
        "throat_equivalent_radius": np.full(n, 10.0),
    }


def test_tubes_in_series_have_the_permeability_of_hagen_and_poiseuille():
    permeability = tube_network_permeabilities(network([(0, -1), (0, 1), (1, -2)]))
    for kind, radius in (("inscribed", 8.0), ("equivalent", 10.0)):
        # k = pi r^4 / (8 A), solved to 1e-6.
        assert permeability[kind] == pytest.approx(np.pi * radius**4 / (8 * 100.0 * 100.0), rel=1e-5)


@pytest.mark.parametrize("conns", [[], [(0, 1)], [(0, -1), (0, 1)], [(0, -1), (1, -2)], [(0, -1), (1, -1), (0, 1)]])
def test_a_network_without_a_percolating_path_has_no_permeability(conns):
    """In small volumes, and where paths lead through pores that are too narrow for the network.

    0 would be wrong, as the voxels percolate.
    """
    assert np.isnan(list(tube_network_permeabilities(network(conns)).values())).all()
