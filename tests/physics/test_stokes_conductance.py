"""Conductances of throats from the Stokes flow: permeability and flows of the network against those of the voxels."""

from __future__ import annotations

import io
import itertools
import zipfile
from functools import cache

import numpy as np
import pytest
import tifffile
from strategies import pore_space

from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.imaging import labelled_network as labelled_network_module
from membrane_dask.physics.imaging.distance import block_squared_distances
from membrane_dask.physics.imaging.labelled_network import labelled_network
from membrane_dask.physics.imaging.network_extraction import extract_network
from membrane_dask.physics.imaging.watershed import SnowParameters, block_watershed
from membrane_dask.physics.networks.network_flow import flow_graph, scatter
from membrane_dask.physics.networks.pore_network import INLET, OUTLET, PoreNetwork
from membrane_dask.physics.networks.stokes_conductance import (
    ThroatSums,
    core_voxels,
    network_flow,
    stokes_conductances,
    throat_sums,
)
from membrane_dask.physics.networks.structure_erosion import body_shear
from membrane_dask.physics.networks.throat_formulas import formula_conductance
from membrane_dask.physics.stokes.mac_grid import Grid
from membrane_dask.physics.stokes.solver import mobility_flow, stokes
from membrane_dask.physics.stokes.subdomains import Slabs
from membrane_dask.physics.voxel_spacing import CUBE

SNOW = SnowParameters()


def random_pack(n, seed, solid=0.6):
    """Overlapping spheres of radius 6 to 9 around uniform centres."""
    rng = np.random.default_rng(seed)
    grid, is_solid = np.ogrid[0:n, 0:n, 0:n], np.zeros((n, n, n), bool)
    while is_solid.mean() < solid:
        centre, radius = rng.uniform(-9, n + 9, 3), rng.uniform(6, 9)
        is_solid |= sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True)) < radius**2
    return ~is_solid


STRUCTURES = {
    "pack": lambda: random_pack(64, 2),
    "Gaussian": lambda: pore_space((56, 52, 48), 3, 0.35, 2.5),
}


@cache
def calibrated(name):
    """Pores of a structure, its network and the conductances of its throats."""
    pores = STRUCTURES[name]()
    return pores, *calibrate(pores)


def calibrate(pores, spacing=CUBE):
    labelled = labelled_network(pores, 3.0, SNOW, spacing=spacing)
    grid = Grid.of(pores, spacing=spacing)
    flow = stokes(grid, 0.01)
    throats = stokes_conductances(
        labelled.network, labelled.labels, labelled.squares, grid, flow.velocity, flow.pressures
    )
    return labelled, grid, flow, throats


def network_errors(network, throats, conductance, shape, spacing=CUBE):
    """Permeability of the network over that of the voxels, and the relative error of the flows of inner throats."""
    carried = network_flow(network, conductance)
    depth, height, width = (n * h for n, h in zip(shape, spacing, strict=True))
    ratio = carried.total * depth / (height * width) / throats.permeability
    inner = network.throat_conns[:, 1] >= 0
    total = throats.flow[network.throat_conns[:, 1] == INLET].sum()
    difference = np.abs(carried.flow * (total / carried.total) - throats.flow)[inner]
    return ratio, difference.sum() / np.abs(throats.flow[inner]).sum()


@pytest.mark.parametrize("name", STRUCTURES)
def test_the_network_has_the_permeability_and_the_flows_of_the_voxels(name):
    pores, labelled, grid, flow, throats = calibrated(name)
    assert throats.permeability == pytest.approx(flow.permeability, rel=1e-5)  # single precision of the velocities
    ratio, error = network_errors(labelled.network, throats, throats.conductance, pores.shape)
    assert ratio == pytest.approx(1, abs=0.005)
    assert error <= 0.05
    assert 0 < throats.fallback_throat_fraction < 0.2
    assert throats.fallback_flow_fraction <= 0.02
    # The mobility field has too high a permeability, but nearly the distribution of the flow; formulas have neither.
    mobility = stokes_conductances(labelled.network, labelled.labels, labelled.squares, grid, *mobility_flow(grid))
    ratio, error = network_errors(labelled.network, throats, mobility.conductance, pores.shape)
    assert 1.1 < ratio < 1.4
    assert error <= 0.1
    for formula in ("series", "inscribed", "equivalent"):
        ratio, error = network_errors(
            labelled.network, throats, formula_conductance(labelled.network, formula) / 27, pores.shape
        )
        assert ratio < 0.8
        assert error > 0.1


def test_berea(shared):
    with zipfile.ZipFile(shared / "data/berea.zip") as archive:
        rock = tifffile.imread(io.BytesIO(archive.read("berea.tif")))
    labelled, _, _, throats = calibrate(rock[:128, :128, :128] == 0)
    ratio, error = network_errors(labelled.network, throats, throats.conductance, (128,) * 3)
    assert ratio == pytest.approx(1, abs=0.005)
    assert error <= 0.05
    assert throats.fallback_flow_fraction <= 0.02


def test_flow_after_throats_are_clogged():
    """Throats drawn by their flow: closed in the network, and by a sheet of voxels at their interface in the volume.

    Of the clean flow, 0.67 to 0.99 remain. The tolerance of the Stokes flow changes the root mean square of 0.0104 by
    0.0002.
    """
    differences = []
    for name in STRUCTURES:
        pores, labelled, _, flow, throats = calibrated(name)
        network, labels = labelled.network, labelled.labels
        weight = np.where(network.throat_conns[:, 1] >= 0, np.abs(throats.flow) * throats.carries_flow, 0.0)
        clean = network_flow(network, throats.conductance).total
        rng = np.random.default_rng(0)
        for number in (1, 1, 2, 2, 3, 3, 4, 4, 6, 6):
            clogged = rng.choice(len(weight), number, replace=False, p=weight / weight.sum())
            blocked = pores.copy()
            for first, second in network.throat_conns[clogged]:
                for axis in range(3):
                    label, voxel = np.moveaxis(labels, axis, 0), np.moveaxis(blocked, axis, 0)
                    voxel[:-1][(label[:-1] == first) & (label[1:] == second)] = False
                    voxel[1:][(label[1:] == first) & (label[:-1] == second)] = False
            conductance = throats.conductance.copy()
            conductance[clogged] = 0
            remaining = stokes(Grid.of(blocked), 0.03).permeability / flow.permeability
            differences.append(network_flow(network, conductance).total / clean - remaining)
    assert len(differences) == 20
    assert np.sqrt(np.mean(np.square(differences))) <= 0.02


@pytest.mark.parametrize("name", STRUCTURES)
def test_the_wall_shear_of_bodies_is_that_of_the_power_in_their_voxels(name):
    """Power of the pressures at the faces of a region against half of what each throat dissipates.

    Logarithms of the ratios of bodies with 0.2 % of the power have means of 0.03 and deviations of 0.09 and 0.12.
    """
    pores, labelled, grid, flow, throats = calibrated(name)
    network, n, depth = labelled.network, len(labelled.network.junctions), len(pores)
    label = labelled.labels[tuple(grid.coordinates.T)].astype(int)
    pressure = 1 - (grid.coordinates[:, 0] + 0.5 - flow.pressures[: grid.n].astype(float)) / depth
    power = np.zeros(n + 1)  # the last entry stands for voxels of no pore
    for axis in range(3):
        low = grid.neighbours[: grid.n, 2 * axis]
        upper = np.flatnonzero(low < grid.n)
        low = low[upper]
        carried = flow.velocity[upper, axis] * (pressure[low] + pressure[upper]) / (2 * depth)
        np.add.at(power, label[upper], carried)
        np.add.at(power, label[low], -carried)
    np.add.at(power, label[: grid.inlets], flow.velocity[: grid.inlets, 0] / depth)  # at a pressure of 1
    total, power = power.sum(), power[:n]
    assert total == pytest.approx(throats.flow[network.throat_conns[:, 1] == INLET].sum(), rel=1e-5)

    order, graph = np.argsort(network.junctions[:, 0], kind="stable"), flow_graph(network)
    volume = np.bincount(label[label >= 0], minlength=n)
    shear = np.empty(n)
    shear[order] = body_shear(
        graph, scatter(graph, network_flow(network, throats.conductance).flow, 0.0),
        scatter(graph, np.where(throats.carries_flow, throats.conductance, 0.0), 0.0), volume[order],
    )  # fmt: skip
    counts = power > 0.002 * total
    ratio = np.log(shear[counts] / np.sqrt(2 * power[counts] / volume[counts]))
    assert power[counts].sum() > 0.97 * total
    assert abs(ratio.mean()) < 0.05
    assert ratio.std() < 0.15


def test_voxels_of_unequal_edges():
    pores = pore_space((30, 56, 48), 3, 0.35, 2.5)
    labelled, _, flow, throats = calibrate(pores, (2.0, 1.0, 1.0))
    assert throats.permeability == pytest.approx(flow.permeability, rel=1e-5)
    ratio, _ = network_errors(labelled.network, throats, throats.conductance, pores.shape, (2.0, 1.0, 1.0))
    assert ratio == pytest.approx(1, abs=0.005)


def test_flows_are_conserved_in_every_pore_and_along_the_depth():
    _, labelled, _, _, throats = calibrated("Gaussian")
    conns, flow = labelled.network.throat_conns, throats.flow
    n = len(labelled.network.junctions)
    balance = np.zeros(n)
    inner = conns[:, 1] >= 0
    np.add.at(balance, conns[inner, 0], -flow[inner])
    np.add.at(balance, conns[inner, 1], flow[inner])
    np.add.at(balance, conns[:, 0], np.where(conns[:, 1] == INLET, flow, np.where(conns[:, 1] == OUTLET, -flow, 0)))
    total = flow[conns[:, 1] == INLET].sum()
    assert np.abs(balance).max() < 1e-5 * total  # single precision of the velocities
    assert flow[conns[:, 1] == OUTLET].sum() == pytest.approx(total, rel=1e-5)
    # Stokes flow in dead ends does not pass through them.
    assert np.abs(flow[~throats.carries_flow]).max(initial=0) < 1e-4 * total


def test_the_labelled_network_is_that_of_blocks(monkeypatch):
    pores = pore_space((40, 37, 44), 1, 0.3, 2.0)
    contributions, regions = [], []
    for corner in itertools.product((0, 20), (0, 20), (0, 24)):
        stop = tuple(min(a + b, n) for a, b, n in zip(corner, (20, 20, 24), pores.shape, strict=True))
        block, squares = block_squared_distances(
            pores.__getitem__, corner, stop, pores.shape, margin=SNOW.margin, halo=8
        )
        contribution, labels = block_watershed(squares, block, SNOW)
        contributions.append(contribution)
        regions.append((tuple(slice(a, b) for a, b in zip(corner, stop, strict=True)), labels))
    extraction = extract_network(contributions, pores.shape, 3.0, SNOW)
    whole = labelled_network(pores, 3.0, SNOW)
    network, other = whole.network, extraction.network
    for name in ("junctions", "throat_conns", "length", "radius"):
        assert getattr(network, name).tobytes() == getattr(other, name).tobytes()
    for mapping in ("bodies", "throats"):
        for name, values in getattr(network, mapping).items():
            assert values.tobytes() == getattr(other, mapping)[name].tobytes()
    for contribution, (where, labels) in zip(contributions, regions, strict=True):
        pore = extraction.pore[np.searchsorted(extraction.region_names, contribution["peak"])]
        np.testing.assert_array_equal(whole.labels[where], np.append(pore, -1)[labels])
    monkeypatch.setattr(labelled_network_module, "BLOCK", 20)  # of a large volume
    by_blocks = labelled_network(pores, 3.0, SNOW)
    assert by_blocks.labels.tobytes() == whole.labels.tobytes()
    assert by_blocks.network.length.tobytes() == network.length.tobytes()


@pytest.mark.parametrize("edges", [(0, 56), (0, 16, 32, 48, 56), (0, 1, 3, 56)], ids=str)
def test_sums_of_slabs_are_those_of_the_volume(edges):
    pores, labelled, grid, flow, throats = calibrated("Gaussian")
    voxels, conns, n = tuple(grid.coordinates.T), labelled.network.throat_conns, len(labelled.network.junctions)
    percolating = np.zeros(pores.shape, bool)
    percolating[voxels] = True
    slabs = Slabs(edges, np.concatenate([[0], np.cumsum(np.count_nonzero(percolating, axis=(1, 2)))]))
    label = labelled.labels[voxels]
    core = core_voxels(label, labelled.squares[voxels], n)
    sums = []
    for number in range(len(slabs)):
        window = slabs.window(number, 1)
        local = Grid.of_percolating(percolating[window.low : window.high], wall_model=None)
        rows = slice(int(slabs.first[window.low]), int(slabs.first[window.high]))
        velocity = np.full((local.m + 1, 3), np.nan)  # beyond the slab it is not read
        own = slabs.owned_rows(window)
        velocity[own] = flow.velocity[rows.start + own.start : rows.start + own.stop]
        arrays = (label[rows], core[rows], velocity, flow.pressures[rows])
        sums.append(throat_sums(conns, n, local, *arrays, window, slabs.owned_rows(window, faces=False)))
    total = ThroatSums(*(sum(getattr(slab, name) for slab in sums) for name in ("velocity", "depth", "count")))
    total_flow, pressure = total.flow_and_pressure(pores.shape[0])
    # The order of the sums in double precision differs.
    np.testing.assert_allclose(total_flow, throats.flow, rtol=0, atol=1e-12 * np.abs(throats.flow).max())
    np.testing.assert_allclose(pressure, throats.pressure, rtol=1e-12)


def test_formulas_are_tubes_in_series():
    network = PoreNetwork.from_straight_pores(
        junctions=np.array([[1.0, 0, 0], [5.0, 0, 0]]), throat_conns=np.array([[0, 1], [0, INLET], [1, OUTLET]]),
        length=np.array([4.0, 1.0, 1.0]), radius=np.array([0.5, 1.0, 1.0]), extent=(6.0, 4.0, 4.0),
        bodies={"inscribed_radius": np.array([1.0, 3.0])},
        throats={"inscribed_radius": np.array([0.4, 0.9, 0.9]), "area": np.array([np.pi / 4, np.pi, np.pi])},
    )  # fmt: skip
    assert formula_conductance(network, "inscribed")[0] == pytest.approx(np.pi * 0.4**4 / 32)
    assert formula_conductance(network, "equivalent")[0] == pytest.approx(np.pi * 0.5**4 / 32)
    # Lengths 1 (its radius), 1.8 (0.45 of the throat) and 1.2, the rest.
    resistance = 8 * (1 / np.pi + 1.8 / (np.pi * 81) + 1.2 / (np.pi / 4 * 0.16))
    series = formula_conductance(network, "series")
    assert series[0] == pytest.approx(1 / resistance)
    # An inlet has one pore: half of its length of 1 and a bit less than half, in series.
    assert series[1] == pytest.approx(1 / (8 * (0.45 / np.pi + 0.55 / (np.pi * 0.81))))
    chain = network_flow(network, series)
    assert chain.total == pytest.approx(1 / (1 / series).sum(), rel=1e-9)


def test_what_does_not_belong_together_is_refused():
    pores, labelled, grid, flow, _ = calibrated("Gaussian")
    with pytest.raises(ValueError, match="shape of the grid"):
        stokes_conductances(
            labelled.network, labelled.labels[:-1], labelled.squares, grid, flow.velocity, flow.pressures
        )
    other = np.append(np.random.default_rng(0).permutation(labelled.labels.max() + 1), -1)[labelled.labels]
    with pytest.raises(ValueError, match="no throat"):
        stokes_conductances(labelled.network, other, labelled.squares, grid, flow.velocity, flow.pressures)
    blind = pores.copy()
    blind[-1] = False
    without_path = labelled_network(blind, 3.0, SNOW)
    with pytest.raises(PhysicsError, match="no path"):
        stokes_conductances(
            without_path.network, without_path.labels, without_path.squares, grid, flow.velocity, flow.pressures
        )
    with pytest.raises(ValueError, match="formula"):
        formula_conductance(labelled.network, "cones")
