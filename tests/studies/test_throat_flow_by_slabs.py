"""Conductances of throats from a Stokes flow that is computed by slabs: the bench of a volume, and its life."""

from __future__ import annotations

import numpy as np
import pytest

import membrane_dask as md
from membrane_dask.physics.analytic_problems import GradedMembrane
from membrane_dask.physics.networks.pore_network import INLET, OUTLET
from membrane_dask.studies.volume_flow import throat_flow

SYNC = {"profile": "sync"}
VOLUME = "input: body.npy\nvoxel_size: 3 nm\n"
BENCH = f"kind: characterize\n{VOLUME}tortuosity: false\nbench: {{enabled: true, methods: [water, gas permeation]}}\n"
BY_SLABS = "flow: {slab_thickness: 16}\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("volume")
    np.save(folder / "body.npy", GradedMembrane(depth=64, slices=36, width=40).volume())
    return folder


def run_of(folder, name, text, cluster=SYNC, **settings):
    path = folder / f"{name}.yaml"
    path.write_text(text)
    return md.run(md.load_study(path, cluster=cluster, **settings), folder / name)


@pytest.fixture(scope="module")
def whole(folder):
    return run_of(folder, "whole", BENCH)


@pytest.fixture(scope="module")
def divided(folder):
    return run_of(folder, "divided", BENCH + BY_SLABS)


def table(run, name):
    return run.result[name].to_dataset()


def test_the_bench_of_slabs_is_that_of_the_volume(whole, divided):
    assert divided.counts["throat_sums"] == 4
    assert "stokes_flow" not in divided.counts
    flow, expected = (table(run, "throat_flow_0") for run in (divided, whole))
    # Bounds of both permeabilities are within 0.01; slow cross-connections have the largest relative error.
    error = np.abs(flow.stokes_flow - expected.stokes_flow).sum() / np.abs(expected.stokes_flow).sum()
    assert 0 < error < 0.01
    np.testing.assert_allclose(flow.core_pressure, expected.core_pressure, atol=0.01)
    result, undivided = (table(run, "bench").isel(replicate=0) for run in (divided, whole))
    assert float(result.permeability) == pytest.approx(float(undivided.permeability), rel=2e-3)
    for name in ("bubble_point_radius", "mean_flow_pore_radius", "throat_number_median_radius"):
        assert float(result[name]) == float(undivided[name])


def test_throats_of_slabs_conserve_the_liquid(divided):
    """All that enters a pore leaves it, to the rounding of single precision, and the sum is that of the voxels."""
    flow = table(divided, "throat_flow_0").stokes_flow.values
    conns = divided.result["network_0"].throat_conns.values  # that of the bench: both have 6 neighbours
    inflow = np.zeros(conns[:, 0].max() + 1)
    inner, inlet, outlet = conns[:, 1] >= 0, conns[:, 1] == INLET, conns[:, 1] == OUTLET
    np.subtract.at(inflow, conns[inner, 0], flow[inner])
    np.add.at(inflow, conns[inner, 1], flow[inner])
    np.add.at(inflow, conns[inlet, 0], flow[inlet])
    np.subtract.at(inflow, conns[outlet, 0], flow[outlet])
    assert np.abs(inflow).max() < 1e-5 * flow[inlet].sum()
    assert flow[inlet].sum() == pytest.approx(flow[outlet].sum(), rel=1e-5)


def test_properties_and_bench_of_slabs_have_one_flow(folder, divided, values_of):
    run = run_of(folder, "both", BENCH + "flow: {enabled: true, slab_thickness: 16, velocities: true}\n")
    assert run.counts["final_velocity"] == 4
    bench = {name: values for name, values in values_of(divided).items() if "bench" in name or "throat" in name}
    both = values_of(run)
    assert bench
    assert {name: both[name] for name in bench} == bench
    permeability = float(run.result["properties"].permeability_smooth_walls[0])
    ratio = float(run.result["bench"].network_permeability_ratio[0])
    assert float(run.result["bench"].permeability[0]) == pytest.approx(permeability * ratio, rel=1e-6)
