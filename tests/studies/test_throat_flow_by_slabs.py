"""Conductances of throats from a Stokes flow that is computed by slabs: the bench of a volume, and its life."""

from __future__ import annotations

import numpy as np
import pytest

import membrane_dask as md
from membrane_dask.physics.analytic_problems import GradedMembrane
from membrane_dask.physics.networks.pore_network import INLET, OUTLET

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


LIFE = f"kind: foul\n{VOLUME}foulant: {{damkohler_number: 1}}\n"
HYDRAULICS = "hydraulics: {slab_thickness: 16}\n"


@pytest.fixture(scope="module")
def life(folder):
    return run_of(folder, "life", LIFE + HYDRAULICS)


def test_a_life_by_slabs_is_that_of_the_volume(folder, life):
    assert life.counts["throat_sums"] == 4
    undivided = run_of(folder, "undivided", LIFE)
    result, expected = (table(run, "life").isel(replicate=0) for run in (life, undivided))
    # Bounds of both permeabilities are within 0.01, and so are the fluxes; a life follows from them.
    for name in ("permeability", "initial_permeate_flux"):
        assert float(result[name]) == pytest.approx(float(expected[name]), rel=2e-3)
    for name in ("service_time", "filtrate_volume"):
        assert float(result[name]) == pytest.approx(float(expected[name]), rel=0.02)
    ratios = [float(table(run, "hydraulics").permeability_ratio.isel(replicate=0)[0]) for run in (life, undivided)]
    assert ratios == pytest.approx([1, 1], abs=0.01)


def test_a_life_reads_the_flow_of_slabs_of_a_bench(folder, life, divided, values_of, monkeypatch):
    run = run_of(folder, "read", f"{LIFE}{HYDRAULICS}flow_run: {divided.path}\n")
    assert set(run.counts) == {"structures", "lives"}
    assert values_of(run) == values_of(life)
    assert run.identity == life.identity


def test_bits_do_not_depend_on_blocks(folder, divided, values_of):
    """The regions of the bench, and those of the network, which has the voxels of each pore."""
    run = run_of(folder, "blocks", BENCH + BY_SLABS + "block_size: 32\n")
    assert run.counts["bench_regions"] > 1
    assert values_of(run) == values_of(divided)


@pytest.mark.slow  # test_bits_do_not_depend_on_blocks, and tests/engine of all units, on workers
def test_bits_do_not_depend_on_workers(folder, divided, life, values_of):
    workers = {"workers": 2}
    assert values_of(run_of(folder, "bench-workers", BENCH + BY_SLABS, workers)) == values_of(divided)
    assert values_of(run_of(folder, "life-workers", LIFE + HYDRAULICS, workers)) == values_of(life)


def test_an_interrupted_life_by_slabs_is_resumed(folder, life, values_of, interrupt_and_resume, tmp_path):
    interrupt_and_resume(folder / "life.yaml", tmp_path / "run", after=20)
    assert values_of(md.open_run(tmp_path / "run")) == values_of(life)


def test_slabs_without_a_path(folder):
    solid = np.load(folder / "body.npy")[:40, :32, :32]
    solid[20] = 255
    np.save(folder / "walled.npy", solid)
    bench = run_of(folder, "walled-bench", BENCH.replace("body", "walled") + BY_SLABS)
    assert bench.status()["state"] == "complete"
    assert float(table(bench, "bench").permeability[0]) == 0
    with pytest.raises(md.StudyError, match="the volume does not percolate along z"):
        run_of(folder, "walled-life", LIFE.replace("body", "walled") + HYDRAULICS)


def test_a_flow_by_slabs_that_does_not_converge_fails_the_bench_and_the_life(folder, monkeypatch):
    monkeypatch.setattr("membrane_dask.studies.volume_flow.decomposed_flow.MAX_ITERATIONS", 1)
    text = BENCH + "flow: {slab_thickness: 16, tolerance: 1e-3}\n"
    bench = run_of(folder, "no-bench", text, execution={"retries": 0})
    assert [failure["key"] for failure in bench.failures] == ["bench_flows,replicate=0"]
    text = LIFE.replace("damkohler_number: 1", "wall_rate: 1e-7 m/s")
    text += "hydraulics: {slab_thickness: 16, tolerance: 1e-3}\n"
    lives = run_of(folder, "no-life", text, execution={"retries": 0})
    assert [failure["key"] for failure in lives.failures] == ["structures,replicate=0"]
    assert all("after 1 " in run.failures[0]["error"] for run in (bench, lives))


def test_a_bench_by_slabs_with_the_mobility_estimate_of_the_properties(folder, divided):
    flow = "flow: {enabled: true, method: mobility_estimate, slab_thickness: 16}\n"
    run = run_of(folder, "estimate", BENCH + flow)
    assert float(run.result["bench"].permeability[0]) == float(divided.result["bench"].permeability[0])
    properties = table(run, "properties").isel(replicate=0)
    assert np.isnan(properties.permeability)
    # 1.1 to 1.4 times the permeability, of smooth walls.
    assert 1.1 < float(properties.permeability_mobility_estimate) / float(run.result["bench"].permeability[0]) < 1.42


def memory_of(folder, text):
    path = folder / "memory.yaml"
    path.write_text(text)
    return md.plan(md.load_study(path, cluster=SYNC)).program


def test_slabs_need_less_memory_and_levels_by_stokes_do_not(folder, monkeypatch):
    whole, divided = (memory_of(folder, BENCH + text) for text in ("", BY_SLABS))
    assert divided.memory()["bench_flows"] < whole.memory()["bench_flows"] / 2
    assert whole.memory_advice("bench_flows") == "use flow.slab_thickness: 64"
    assert divided.memory_advice("throat_regions").startswith("use bench.methods: [mercury]")
    levels = memory_of(folder, BENCH.replace("methods", "flow: stokes, methods") + BY_SLABS)
    assert levels.memory()["bench_flows"] == whole.memory()["bench_flows"]
    assert levels.memory_advice("bench_flows") == "use bench.flow: network"
    # Volumes with many pore voxels are divided without a setting.
    monkeypatch.setattr("membrane_dask.studies.volume_flow.decomposed_flow._LARGE", 1000)
    monkeypatch.setattr("membrane_dask.studies.volume_flow.decomposed_flow._PLANES", 16)
    assert memory_of(folder, BENCH).memory() == divided.memory()
    assert memory_of(folder, LIFE).slab_edges == [(0, 16, 32, 48, 64)]


def test_memory_of_a_life(folder):
    whole, divided = (memory_of(folder, LIFE + text) for text in ("", HYDRAULICS))
    assert divided.memory()["structures"] < whole.memory()["structures"] / 2
    assert {"throat_regions", "pressures", "velocities"} <= divided.memory().keys()
    assert whole.memory_advice("structures") == "use hydraulics.slab_thickness: 64"
    assert divided.memory_advice("pressures").startswith("use hydraulics.conductance: series")


def test_slabs_need_the_stokes_flow(folder):
    with pytest.raises(md.StudyError, match=r"hydraulics\.slab_thickness: needs the Stokes flow"):
        memory_of(folder, LIFE + "hydraulics: {conductance: series, slab_thickness: 16}\n")


def test_another_division_is_another_flow(folder, divided):
    """Its bits differ, so that a study with another division computes the flow itself."""
    program = memory_of(folder, f"{LIFE}flow_run: {divided.path}\n")
    (row,) = (text for name, text in program.summary if name == "Stokes flow")
    assert row.startswith("of 0 of 1 volumes")


def test_pilots_of_a_life_by_slabs_have_slabs(folder):
    np.save(folder / "long.npy", GradedMembrane(depth=110, slices=48, width=48).volume())
    for text, divided in (("", False), (HYDRAULICS, True)):
        pilots = memory_of(folder, LIFE.replace("body", "long") + text).pilot_programs()
        assert pilots
        assert bool(pilots[-1].slab_edges[0]) == divided
