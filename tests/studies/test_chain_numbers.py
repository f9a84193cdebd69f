"""Numbers of a chain: round trip joined from tables of runs, intervals, sentences, tables of a virtual bench."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr

import membrane_dask as md
from membrane_dask.engine.layout import create_dataset
from membrane_dask.errors import StudyError
from membrane_dask.io.run_tables import RunTable, read_run_table
from membrane_dask.program import Dataset, Unit
from membrane_dask.studies.chain.intervals import interval_table
from membrane_dask.studies.chain.methods import METHODS
from membrane_dask.studies.chain.program import _same_walls
from membrane_dask.studies.chain.report import intervals_section
from membrane_dask.studies.chain.statements import round_trip_statements
from membrane_dask.studies.chain.tasks import work
from membrane_dask.studies.porometry.bench_tables import bench_tables
from membrane_dask.studies.registry import find_kind

NAMES = tuple(method.name for method in METHODS)
CAPILLARY_FLOW = NAMES.index("capillary flow")


def schema(kind, table):
    """Declaration of a table of a kind."""
    return next(declared for declared in find_kind(kind).schemas if declared.matches(table))


@pytest.fixture
def runs(tmp_path):
    """Runs of characterize and porometry with two replicates, whose numbers are round."""
    characterize, porometry = tmp_path / "characterize" / "result.zarr", tmp_path / "porometry" / "result.zarr"
    zarr.create_group(str(characterize), attributes={"voxel_size_nm": 2.0})
    zarr.create_group(str(porometry))
    bench = {
        "throat_number_median_radius": np.array([4.0, 8.0]),
        "throat_flow_median_radius": np.array([8.0, 16.0]),
        "throat_log_sd": np.array([0.5, 0.4]),
        "bubble_point_radius": np.array([6.0, 7.0]),
    }
    properties = {"connected_porosity": np.array([0.3, 0.4]), "pore_radius_mean": np.array([9.0, 9.5])}
    for name, values in (("bench", bench), ("properties", properties)):
        attrs = {"radius_offset": 0.5} if name == "bench" else {}
        create_dataset(characterize, Dataset(schema("characterize", name), values, ("replicate",), attrs=attrs))
    network = {
        "throat_conns": np.array([[0, 1], [1, 2], [2, 3], [0, -1]], np.int32),
        "throat_inscribed_radius": np.array([2.0, 4.0, 6.0, 100.0]),  # the last one is an inlet
        "extent": np.array([500.0, 50.0, 50.0]),
    }
    for number in range(2):
        create_dataset(characterize, Dataset(schema("characterize", "network_0"), network, name=f"network_{number}"))
    methods = ("capillary flow", "rejection")
    fits = {
        "flow_median_radius": np.array([[5.0, 6.0], [6.0, 7.0]]),
        "flow_median_radius_low": np.array([[4.5, np.nan], [5.5, 6.5]]),
        "log_sd": np.array([[0.1, 0.02], [0.2, 0.02]]),
        "porosity_over_path_length": np.array([[4e5, 8e5], [4e5, np.nan]]),
        "bubble_point_radius": np.array([6.1, 7.1]),
        "structure_number": np.array([1e-11, 2e-11]),
        "hydraulic_radius": np.array([[4.8, 5.0], [5.8, 5.0]]),
    }
    labels = {"membrane": np.array(["replicate 1", "replicate 0"], "T"), "method": np.array(methods, "T")}
    fits = {name: values[::-1] for name, values in fits.items()}  # the order of the membranes does not matter
    create_dataset(porometry, Dataset(schema("porometry", "porometry"), fits, ("membrane",), labels))
    return {"characterize": str(characterize.parent), "porometry": str(porometry.parent)}


def unit(replicate):
    return Unit("u", "round_trip", (replicate,), {"prefix": "", "replicate": replicate}, (1,))


def test_the_round_trip_is_joined_by_replicate_and_method(runs):
    values, _ = work({"runs": runs}, unit(0))
    assert values["radius_inferred"][CAPILLARY_FLOW] == 5.0
    assert (values["radius_low"][CAPILLARY_FLOW], values["log_sd_inferred"][CAPILLARY_FLOW]) == (4.5, 0.1)
    assert values["radius_inferred"][NAMES.index("bubble point")] == 6.1
    assert values["radius_ratio"][CAPILLARY_FLOW] == 5.0 / 4.0
    assert values["radius_flow_ratio"][CAPILLARY_FLOW] == 5.0 / 8.0
    assert values["porosity_inferred"][CAPILLARY_FLOW] == pytest.approx(4e5 * 500e-9)
    assert values["porosity_ratio"][CAPILLARY_FLOW] == pytest.approx(4e5 * 500e-9 / 0.3)
    assert values["thickness_inferred"][CAPILLARY_FLOW] == pytest.approx(0.3 / 4e5 * 1e6)  # um
    assert float(values["thickness_structure"]) == pytest.approx(0.5)
    assert float(values["radius_bottleneck"]) == 6.0
    assert values["throat_radius"].max() == pytest.approx(7.0)  # 6 nm and half a voxel; the inlet does not count
    assert np.isnan(values["radius_inferred"][NAMES.index("liquid displacement")])
    second, _ = work({"runs": runs}, unit(1))
    assert second["radius_inferred"][CAPILLARY_FLOW] == 6.0
    # Water through straight tubes of the radius of rejection: 8 mu L_p / r^2, here 2e-11 m / (5 nm)^2 = 8e5 1/m.
    assert second["porosity_inferred"][NAMES.index("rejection")] == pytest.approx(8e5 * 500e-9)
    assert np.isnan(second["porosity_inferred"][NAMES.index("mean flow pore")])  # no law, so no hydraulic radius


def test_a_chain_without_porometry_infers_nothing(runs):
    values, _ = work({"runs": {"characterize": runs["characterize"]}}, unit(0))
    assert np.isnan(values["radius_inferred"]).all()
    assert float(values["radius_structure"]) == 4.0


def test_labels_that_a_table_does_not_have_are_missing(runs):
    run = Path(runs["porometry"])
    table = read_run_table(run, "porometry")
    assert np.isnan(table.at("flow_median_radius", membrane="replicate 7", method="rejection"))
    assert np.isnan(table.at("absent", membrane="replicate 0"))
    assert table.at("bubble_point_radius", membrane="replicate 1", method="rejection") == 7.1
    assert read_run_table(run, "absent") is None


def bench_of(radii):
    return RunTable(
        {"bubble_point_radius": np.array(radii)}, {"bubble_point_radius": ("replicate",)},
        {"replicate": np.arange(len(radii))},
    )  # fmt: skip


def test_intervals_say_that_the_bias_is_not_in_them():
    true, replicates = bench_of([6.0]), bench_of([8.0, 8.2, 7.9, 8.1])
    table = interval_table({"bench": replicates}, {"bench": true}, 0.95, "")
    assert list(table.labels["quantity"]) == ["bench/bubble_point_radius"]
    assert table.values["bias"][0] == 8.0 / 6.0
    # Student about the first: mean square of ln(8.2/8), ln(7.9/8), ln(8.1/8), t(0.975, 3) = 3.18245.
    deviation = np.sqrt(np.mean(np.square(np.log(np.array([8.2, 7.9, 8.1]) / 8))))
    assert table.values["best_match_high"][0] == pytest.approx(8 * np.exp(3.18245 * deviation), rel=1e-4)
    assert table.attrs["summary"] == [
        "chain: interval over replicates of the reconstruction; its bias is not in it",
        "chain: the reference lies outside 1 of 1 intervals",
    ]
    assert table.attrs["outcomes"] == []  # it is a warning
    inside = interval_table({"bench": replicates}, {"bench": bench_of([8.05])}, 0.95, "")
    assert (
        inside.attrs["outcomes"]
        == ["chain: the reference lies outside 0 of 1 intervals"]
        == inside.attrs["summary"][1:]
    )
    single = interval_table({"bench": bench_of([8.0])}, {}, 0.95, "")
    assert np.isnan(single.values["best_match_low"][0])
    assert single.attrs["summary"] == []


def test_intervals_of_lives_hold_structures_that_percolate():
    """Without the third one, of no path: Student about the first with 2 degrees of freedom, 4.30265."""
    values = {"service_time": np.array([2.0, 2.2, 0.0, 1.9]), "end_of_life_cause": np.array([3.0, 3.0, 5.0, 3.0])}
    dims = dict.fromkeys(values, ("replicate",))
    table = interval_table({"life": RunTable(values, dims, {"replicate": np.arange(4)})}, {}, 0.95, "")
    deviation = np.sqrt(np.mean(np.square(np.log(np.array([2.2, 1.9]) / 2))))
    assert table.values["best_match_high"][0] == pytest.approx(2 * np.exp(4.30265 * deviation), rel=1e-4)
    assert "chain: 3 of 4 structures have a known life: intervals of the life hold these" in table.attrs["summary"]


def test_the_report_shows_the_main_intervals_first():
    """Of some forty, about ten; the others on request."""
    names = ["bench/gas_slope", "bench/water_permeance", "life/damkohler_number", "properties/connected_porosity"]
    columns = {name: ("quantity", np.full(4, 2.0)) for name in ("best_match", "best_match_low", "best_match_high")}
    nothing = {name: ("quantity", np.full(4, np.nan)) for name in ("reference", "bias")}
    units = {"unit": ("quantity", np.array(["1"] * 4, "T"))}
    table = xr.Dataset(columns | nothing | units, {"quantity": names}, {"confidence": 0.95})
    section = intervals_section(table, several=True)
    grid = section.contents[-1]
    main = ["bench: water permeance", "properties: connected porosity"]
    further = ["bench: gas slope", "life: damkohler number"]
    assert [row[0] for row in grid.rows] == main + further
    assert grid.shown == 2
    assert "Quantities without a unit are dimensionless." in section.text


@pytest.mark.parametrize(
    ("times", "causes", "sentence"),
    [
        ([2.0, 2.2, np.nan, 1.9], [3, 3, np.nan, 3], "3 of 4 structures have a known life"),
        ([0.0, 2.2, 2.0, 1.9], [5, 3, 3, 3], "no interval of the life: that of the best match is not known"),
        ([2.0, 2.2, np.nan, 0.0], [3, 3, np.nan, 5], "no interval of the life: fewer than three lives"),
    ],
)
def test_sentences_on_lives_are_of_intervals_that_exist(times, causes, sentence):
    values = {"service_time": np.array(times), "end_of_life_cause": np.array(causes, float)}
    dims = dict.fromkeys(values, ("replicate",))
    table = interval_table({"life": RunTable(values, dims, {"replicate": np.arange(4)})}, {}, 0.95, "")
    assert np.isfinite(table.values["best_match_high"][0]) == ("3 of 4" in sentence)
    (of_lives,) = [text for text in table.attrs["summary"] if "life" in text]
    assert of_lives.startswith(f"chain: {sentence}")


def test_a_level_that_a_life_did_not_reach_has_no_interval():
    values = {
        "service_time_level": np.array([[1.0, 2.0], [1.1, 2.1], [0.9, 1.9], [1.5, np.nan]]),
        "end_of_life_cause": np.array([3.0, 3.0, 3.0, 4.0]),
    }
    dims = {"service_time_level": ("replicate", "level"), "end_of_life_cause": ("replicate",)}
    labels = {"replicate": np.arange(4), "level": np.array([0.5, 0.1])}
    table = interval_table({"life": RunTable(values, dims, labels)}, {}, 0.95, "")
    assert np.isfinite(table.values["best_match_high"]).tolist() == [True, False]


def test_walls_are_compared_by_replicates_that_have_a_life():
    def life(*rates):
        return RunTable({"wall_rate": np.array(rates)}, {"wall_rate": ("replicate",)}, {})

    assert _same_walls(life(np.nan, 1e-6, 1e-6), life(1e-6))
    assert not _same_walls(life(np.nan, 1e-6), life(2e-6))
    assert not _same_walls(life(np.nan), life(1e-6))


def test_sentences_have_the_ranges_of_the_ratios():
    empty = np.full((2, len(NAMES)), np.nan)
    ratios = ("radius_ratio", "radius_flow_ratio", "porosity_ratio")
    values = {name: empty.copy() for name in (*ratios, "log_sd_inferred", "law_misfit", "radius_inferred")}
    values |= {"log_sd_structure": np.array([0.5, 0.4]), "radius_bottleneck": np.array([6.0, 7.0])}
    assert round_trip_statements(values, NAMES) == []
    values["radius_ratio"][:, CAPILLARY_FLOW] = 0.9, 1.1
    values["radius_flow_ratio"][:, CAPILLARY_FLOW] = 0.5, 0.6
    values["log_sd_inferred"][:, CAPILLARY_FLOW] = 0.1, 0.2
    values["law_misfit"][:, CAPILLARY_FLOW] = 0.003, 0.12
    values["porosity_ratio"][:, CAPILLARY_FLOW] = 0.34, 1.43
    path, width, porosity = round_trip_statements(values, NAMES)
    assert "0.90 to 1.10 times the number median of the throats and 0.50 to 0.60 times their flow median" in path
    assert "0.20 to 0.50 times as wide as the throats" in width
    assert "one log-normal law misfits it by 0.3 % to 12 % of the flow" in width
    assert "only if the pores were straight tubes: it is 0.34 to 1.43 times the connected porosity" in porosity


def test_tables_of_a_bench_are_read_as_one_membrane_for_each_replicate_and_reference(tmp_path):
    assert bench_tables(tmp_path) == []
    folder = tmp_path / "tables"
    folder.mkdir()
    names = ("replicate-10-water.csv", "replicate-2-capillary-flow.csv", "replicate-2-gas-permeation.csv", "notes.csv")
    references = ("reference-liquid-displacement.csv", "reference-1-water.csv")
    for name in (*names, *references):
        (folder / name).write_text("")
    tables = [(path.name, method, membrane) for path, method, membrane in bench_tables(tmp_path)]
    assert tables == [
        ("replicate-2-capillary-flow.csv", "capillary flow", "replicate 2"),
        ("replicate-2-gas-permeation.csv", "gas permeation", "replicate 2"),
        ("replicate-10-water.csv", "water", "replicate 10"),
        ("reference-liquid-displacement.csv", "liquid displacement", "reference"),
        ("reference-1-water.csv", "water", "reference 1"),
    ]


def test_porometry_takes_a_run_with_tables_of_a_bench_only(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("volume.npy", (np.random.default_rng(1).random((20, 20, 20)) < 0.5).astype("u1"))
    (tmp_path / "volume.yaml").write_text(
        "kind: characterize\ninput: volume.npy\nvoxel_size: 3 nm\ntortuosity: false\n"
    )
    run = md.run(md.load_study("volume.yaml", cluster={"profile": "sync"}))
    (tmp_path / "bench.yaml").write_text(f"kind: porometry\ninput: {run.path}\n")
    with pytest.raises(StudyError, match=r"bench.yaml:2:1: input: has no tables of a bench; its study needs bench"):
        md.plan("bench.yaml")
    tables = run.path / "tables"
    tables.mkdir(exist_ok=True)
    for replicate, slope in enumerate((50, 60)):
        rows = "".join(f"{p},{slope * p},25\n" for p in (1, 2, 3))
        (tables / f"replicate-{replicate}-water.csv").write_text(f"TMP [bar],Flux [LMH],Temperature [degC]\n{rows}")
    plan = md.plan("bench.yaml")
    assert [membrane.label for membrane in plan.program.membranes] == ["replicate 0", "replicate 1"]
    fluxes = [float(membrane.curve.flux[0]) for membrane in plan.program.membranes]
    assert fluxes == pytest.approx([50 / 3.6e6, 60 / 3.6e6])
