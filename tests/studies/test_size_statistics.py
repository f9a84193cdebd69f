"""Size distributions, scatter between planes and boxes, and the comparison with a reference that has replicates."""

from __future__ import annotations

import imageio.v3 as iio
import numpy as np
import pytest

import membrane_dask as md
from membrane_dask.physics.analytic_problems import GradedMembrane
from membrane_dask.physics.imaging.blocks import Block
from membrane_dask.physics.imaging.coarse_cells import (
    add_window,
    cell_counts,
    cell_edges,
    cell_length,
    cell_sums,
    cell_volumes,
)
from membrane_dask.physics.imaging.local_thickness import pore_radii
from membrane_dask.physics.imaging.representative_volume import box_edges, box_statistics, tile
from membrane_dask.studies.characterize.size_statistics import (
    SizeDistribution,
    diameter_edges,
    diameter_middles,
    network_items,
)

SYNC = {"profile": "sync"}


def test_percentiles_of_items():
    """By number and by volume: of ten spheres of diameter 1 and one of 10, half of the number and of the volume."""
    diameters = np.array([10.0] + [1.0] * 10)
    number = SizeDistribution.of_items(diameters, np.ones(11))
    volume = SizeDistribution.of_items(diameters, diameters**3)
    assert number.percentiles().tolist() == [1, 1, 1]
    assert volume.percentiles().tolist() == [10, 10, 10]
    assert number.at(np.array([0.5, 1.0, 9.0, 10.0])) == pytest.approx([0, 10 / 11, 10 / 11, 1])
    assert np.isnan(SizeDistribution.of_items(diameters[:0], diameters[:0]).percentiles()).all()


def test_percentiles_of_many_items_are_those_of_their_law():
    """Lognormal diameters: the median by volume exceeds that by number by exp(3 s^2) (Hatch and Choate)."""
    s = 0.4
    diameters = np.exp(s * np.random.default_rng(0).standard_normal(200_000))
    number = SizeDistribution.of_items(diameters, np.ones(len(diameters)))
    volume = SizeDistribution.of_items(diameters, diameters**3)
    quantile = np.exp(1.2815515655 * s * np.array([-1, 0, 1]))
    # Quantiles of 200 000 numbers scatter by 0.2 %, those weighted by volume by 1 %.
    np.testing.assert_allclose(number.percentiles(), quantile, rtol=0.01)
    np.testing.assert_allclose(volume.percentiles(), quantile * np.exp(3 * s * s), rtol=0.04)
    edges = diameter_edges(0.05, 20.0)
    density, cumulative = number.on_grid(edges)
    assert (density * np.diff(np.log(edges))).sum() == pytest.approx(1)
    assert cumulative[-1] == 1
    middles = np.log(diameter_middles(edges))
    expected = np.exp(-((middles / s) ** 2) / 2) / (s * np.sqrt(2 * np.pi))
    # An interval is 0.17 wide, which lowers the peak by 0.17^2 / (24 s^2) of it.
    np.testing.assert_allclose(density, expected, atol=0.02)


def test_distribution_by_local_thickness():
    """Counts of inscribed spheres: linear between the radii, from one voxel to that after the largest."""
    counts = np.array([100.0, 100.0, 60.0, 20.0])
    radii = pore_radii(5)
    distribution = SizeDistribution.of_thickness(counts, 3.0)
    assert distribution.at(6.0 * radii) == pytest.approx([0, 0, 0.4, 0.8, 1])
    assert distribution.at(np.array([0.0, 3.0 * (radii[1] + radii[2]), 100.0])) == pytest.approx([0, 0.2, 1])
    d10, d50, d90 = distribution.percentiles()
    assert distribution.at(np.array([d10, d50, d90])) == pytest.approx([0.1, 0.5, 0.9])
    assert np.isnan(SizeDistribution.of_thickness(np.zeros(1), 3.0).percentiles()).all()


def test_edges_of_intervals():
    edges = diameter_edges(3.0, 50.0)
    np.testing.assert_allclose(edges[1:] / edges[:-1], 2**0.25)
    assert edges[0] == 3
    assert edges[-2] < 50 <= edges[-1]


def test_cells_of_blocks_add_up():
    shape = (170, 30, 41)
    edge = cell_edges(shape)
    assert edge == (2, 2, 2)
    pores = np.random.default_rng(0).random(shape) < 0.4
    total = np.zeros(cell_counts(shape, edge), np.int64)
    for z in ((0, 73), (73, 170)):
        for x in ((0, 20), (20, 41)):
            block = Block((z[0], 0, x[0]), (z[1], 30, x[1]), 0, shape)
            radii = 3 * pores[z[0] : z[1], :, x[0] : x[1]].astype(np.uint16)
            first, counts, sums = cell_sums(radii, block, edge)
            add_window(total, counts, first)
            assert (sums == 3 * counts).all()
    padded = np.pad(pores, [(0, -n % 2) for n in shape])
    expected = padded.reshape(85, 2, 15, 2, 21, 2).sum(axis=(1, 3, 5))
    np.testing.assert_array_equal(total, expected)
    assert cell_volumes(shape, edge).sum() == pores.size
    assert cell_volumes(shape, edge)[0, 0].tolist() == [8] * 20 + [4]


@pytest.mark.parametrize(
    ("shape", "spacing", "edges"),
    [
        ((80, 100, 120), (2.0, 1.0, 1.0), (1, 2, 2)),
        ((500, 100, 100), (1.0, 1.0, 1.5), (6, 6, 4)),
        ((60, 100, 120), (3.1, 1.0, 1.0), (1, 3, 3)),
        ((60, 90, 200), (3.0, 2.0, 1.0), (2, 3, 6)),
    ],
)
def test_cells_are_nearly_cubes(shape, spacing, edges):
    assert cell_edges(shape, spacing) == edges
    assert cell_length(edges, spacing) == pytest.approx(np.prod(np.multiply(edges, spacing)) ** (1 / 3))


def test_boxes_lie_side_by_side():
    assert box_edges((100, 50, 70)) == [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48]
    assert box_edges((100, 1, 70)) == [1]
    assert box_edges((1, 0, 7)) == []
    values = np.arange(60).reshape(3, 4, 5)
    sums = [values[:, a : a + 2, b : b + 2].sum() for a in (0, 2) for b in (0, 2)]
    assert tile(values, (3, 2, 2)).tolist() == sums
    assert tile(values, (3, 4, 5)).tolist() == [values.sum()]


def test_independent_cells_have_the_representative_edge_of_their_number():
    """Of cells of porosity p the relative standard deviation is sqrt((1 - p) / (p n)) in boxes of n cells."""
    p = 0.2
    pores = (np.random.default_rng(0).random((96, 96, 96)) < p).astype(np.int64)
    ones = np.ones_like(pores)
    edges = box_edges(pores.shape)
    cubes, n_boxes = box_statistics(pores, ones, edges, columns=False)
    k = edges.index(8)
    assert n_boxes[k] == 12**3
    assert cubes.mean[k] == pytest.approx(pores.mean())
    deviation = np.sqrt(p * (1 - p) / 8**3)
    assert cubes.deviation[k] == pytest.approx(deviation, rel=0.06)  # of 1728 boxes: 1.7 %
    assert cubes.low[k] == pytest.approx(p - 1.645 * deviation, rel=0.02)
    assert cubes.high[k] == pytest.approx(p + 1.645 * deviation, rel=0.02)
    assert np.isnan(cubes.deviation[-1])  # of a single box
    # The variance follows from 8 and 27 boxes: a standard deviation of 12 %, or 8 % of the edge of a cube.
    expected = 1.645 / 0.05 * np.sqrt((1 - p) / p)
    assert cubes.representative_edge == pytest.approx(expected ** (2 / 3), rel=0.25)
    columns, n_columns = box_statistics(pores, ones, edges, columns=True)
    assert n_columns[k] == 144
    assert columns.representative_edge == pytest.approx(expected / np.sqrt(96), rel=0.35)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two membranes of one kind, each reconstructed three times from a micrograph, and their comparison."""
    folder = tmp_path_factory.mktemp("membranes")
    for number in range(2):
        membrane = GradedMembrane(depth=96, slices=4, width=128, seed=number)
        iio.imwrite(folder / f"{number}.png", membrane.micrograph())
        (folder / f"{number}.yaml").write_text(
            f"kind: reconstruct\ninput: {number}.png\npixel_size: 3 nm\nreplicates: 3\nseed: {number}\n"
            "model: {knots: [0, 1]}\nsearch: {closing_radius: [0], roughness: [0], slices: 2}\n"
            "volume: {slices: 32, width: 40, block_size: 32}\ngoodness_of_fit: {enabled: false}\n"
        )
        md.run(md.load_study(folder / f"{number}.yaml", cluster=SYNC), folder / f"run{number}")
    (folder / "compare.yaml").write_text("kind: characterize\ninput: run0\nreference: run1\ntortuosity: false\n")
    return md.run(md.load_study(folder / "compare.yaml", cluster=SYNC), folder / "compare")


@pytest.mark.usefixtures("undrawn")
def test_two_membranes_are_compared(runs):
    assert {"networks,replicate=2", "networks,reference=2"} <= set(runs.journal.history())
    comparison = runs.result["comparison"].to_dataset().load()
    properties, reference = (runs.result[name].to_dataset() for name in ("properties", "reference_properties"))
    assert reference.porosity.sizes["replicate"] == 3
    row = comparison.sel(property="porosity")
    expected = md.replicate_difference(properties.porosity, reference.porosity)
    assert [float(row[name]) for name in ("difference", "difference_low", "difference_high", "p_value")] == [
        float(value) for value in expected
    ]
    assert float(row.difference_low) < float(row.difference) < float(row.difference_high)
    assert "percolates" not in comparison.property
    assert set(runs.result.children) >= {"reference_network_0", "reference_network_2", "reference_local_porosity_1"}
    page = md.write_report(runs).read_text()
    assert "The intervals of the differences contain the errors of both reconstructions." in page
    assert "difference [90% interval]" in page
    assert f"[{float(row.difference_low):+.1%}, {float(row.difference_high):+.1%}]" in page


def test_tables_of_sizes_and_boxes(runs):
    network = runs.result["network_0"].to_dataset().load()
    sizes = runs.result["size_percentiles"].to_dataset().isel(replicate=0)
    diameters = 2 * network.equivalent_radius.values
    median = np.quantile(diameters, 0.5, method="inverted_cdf")
    assert float(sizes.body_diameter.sel(weight="number", percentile=50)) == median
    by_size = sizes.body_diameter.sel(weight="size")
    assert (by_size >= sizes.body_diameter.sel(weight="number")).all()
    assert (sizes.quarter_body_diameter.sel(weight="number", percentile=50) > 0).all()
    throats, area, depth = network_items({name: network[name].values for name in network.data_vars})["throat"]
    assert len(throats) == len(area) == len(depth) == int(runs.result["properties"].n_throats[0])
    distributions = runs.result["size_distributions"].to_dataset().isel(replicate=0)
    width = np.log(2) / 4
    for name in ("pore_density", "body_density", "throat_density"):
        np.testing.assert_allclose((distributions[name] * width).sum("diameter"), 1)
    boxes = runs.result["representative_volume"].to_dataset().isel(replicate=0)
    porosity = float(runs.result["properties"].porosity[0])
    assert float(boxes.porosity_mean.sel(box="cube")[0]) == pytest.approx(porosity)
    assert float(boxes.pore_radius_mean.sel(box="cube")[0]) > 0
    # A column as wide as the volume is most of it; 40 is not a multiple of 32, nor 32 of itself less.
    radius = float(runs.result["properties"].pore_radius_mean[0])
    assert float(boxes.pore_radius_mean.sel(box="column")[-1]) == pytest.approx(radius, rel=0.2)
    planes = runs.result["planes"].to_dataset().isel(replicate=0)
    assert float(planes.porosity_y.mean()) == pytest.approx(porosity)
    assert float(planes.porosity_x.mean()) == pytest.approx(porosity)
    profile = runs.result["profiles"].porosity.isel(replicate=0)
    expected = [values.std(ddof=1) for values in (profile.values, planes.porosity_y.values, planes.porosity_x.values)]
    np.testing.assert_allclose(planes.porosity_deviation, expected)
    local = runs.result["local_porosity_0"].to_dataset()
    assert local.pore_fraction.shape == (96, 32, 40)
    assert float(local.pore_fraction.mean()) == pytest.approx(porosity)
