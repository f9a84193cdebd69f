"""What a unit returns is checked against the template before it is written."""

from __future__ import annotations

import numpy as np
import pytest
import toy
import xarray as xr

from membrane_dask import api
from membrane_dask.engine import store
from membrane_dask.engine.plan import choose_batch
from membrane_dask.engine.run import prepare
from membrane_dask.program import Table, Unit
from membrane_dask.schema import Coordinate, TableSchema

PLAN = {"cluster": {"profile": "sync"}, "execution": {"batch": 6}}


@pytest.fixture
def sink(tmp_path) -> store.TableSink:
    plan = toy.toy_plan(**PLAN)
    run = prepare(plan, tmp_path / "run")
    return store.sinks(run.path, plan.program, run.batch)["toy"]


def unit(row: int, column: int) -> Unit:
    return Unit(f"u{row}-{column}", "toy", (row, column), {}, (0,))


def values(number: float) -> dict[str, np.ndarray]:
    return {
        "value": np.asarray(number), "count": np.asarray(int(number)), "history/trace": np.full(4, number),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "messages"),
    [
        ({"value": None}, "missing \\['value'\\]"),
        ({"extra": np.zeros(())}, "unknown \\['extra'\\]"),
        ({"value": np.zeros(2)}, "shape \\(2,\\), planned \\(\\)"),
        ({"history/trace": np.zeros(3)}, "shape \\(3,\\), planned \\(4,\\)"),
        ({"value": np.asarray(np.nan)}, "not finite"),
        ({"value": np.asarray(np.inf)}, "not finite"),
        ({"value": np.asarray(1j)}, "complex128"),
        ({"value": np.asarray("x")}, "<U1"),
        ({"count": np.asarray(2**40)}, "holds int64 that does not fit into the declared int32"),
        ({"count": np.asarray(1.0)}, "count holds float64, declared int32"),
        ({"value": np.asarray(0.1, "f4")}, "value was computed in float32 and is declared float64"),
        ({"value": np.asarray(2**53 + 1)}, "value holds int64 that does not fit into the declared float64"),
    ],
)
def test_what_does_not_fit_is_refused(sink, change, messages):
    wrong = {name: value for name, value in (values(1) | change).items() if value is not None}
    with pytest.raises(store.ResultError, match=messages):
        sink.check(unit(0, 0), wrong)


def test_nan_is_stored_in_nullable_variables(sink):
    fine = values(1) | {"history/trace": np.array([1, np.nan, 2, np.nan])}
    assert np.isnan(sink.check(unit(0, 0), fine)["history/trace"]).sum() == 2


def test_units_with_gaps_are_stored_at_their_indices(sink):
    units = [unit(1, c) for c in (0, 1, 3, 5)]
    sink.write(units, [sink.check(u, values(u.index[1])) for u in units])
    stored = xr.open_zarr(sink.path, consolidated=False, chunks=None)
    np.testing.assert_array_equal(stored["value"][1, :6], [0, 1, np.nan, 3, np.nan, 5])
    np.testing.assert_array_equal(stored["status"][1, :6], [1, 1, 0, 1, 0, 1])
    assert np.isnan(stored["value"][0]).all()
    np.testing.assert_array_equal(sink.read(unit(1, 3))["history/trace"], np.full(4, 3.0))


def test_a_batch_is_a_chunk(sink):
    import zarr

    array = zarr.open_array(f"{sink.path}/history/trace", mode="r")
    assert array.chunks == (1, 6, 4)
    assert {sink.chunk(unit(1, c)) for c in range(6)} == {(1, 0)}
    assert sink.chunk(unit(1, 6)) == (1, 1)


def test_flipped_bits_are_noticed(sink):
    units = [unit(0, c) for c in range(6)]
    sink.write(units, [sink.check(u, values(np.pi * u.index[1])) for u in units])
    path = next(p for p in (store.Path(sink.path) / "value" / "c").rglob("*") if p.is_file())
    data = bytearray(path.read_bytes())
    data[-6] ^= 4
    path.write_bytes(data)
    with pytest.raises(RuntimeError):
        sink.read(unit(0, 0))


@pytest.mark.parametrize(
    ("shape", "seconds", "requested", "batch"),
    [
        ((3, 9, 1000), 0.2, None, 50),  # ten seconds of work
        ((3, 9, 10_000), 1e-4, None, 1000),  # never more than 1000
        ((100, 100, 1000), 0.1, None, 600),  # a study for thousands of workers: a minute of work
        ((1, 5, 200), 0.1, None, 16),  # short studies: 64 batches
        ((1, 5, 50), 0.05, None, 20),  # but none shorter than a second
        ((1, 5, 20), 0.05, 100, 20),  # never more than there are
        ((1, 5, 20), 0.05, 3, 3),
        ((2, 30), 0.0, 8, 1),  # a table whose units go one by one
    ],
)
def test_batches(shape, seconds, requested, batch):
    dims = tuple("abc"[: len(shape)])
    schema = TableSchema("t", (), tuple(Coordinate(dim, "1", "label") for dim in dims))
    table = Table(schema, dims, {d: np.arange(n) for d, n in zip(dims, shape, strict=True)}, {}, seconds)
    assert choose_batch(table, requested) == batch


def test_a_nan_is_a_nan(sink, tmp_path):
    """0 / 0 gives NaNs of either sign. A chunk of nothing but NaN is not written, so all must read back as one."""
    from membrane_dask.engine.store import digest, unit_digests

    nullable = next(v for v in sink.variables if v.nullable)
    values = {v.path: np.zeros([sink.sizes[d] for d in v.dims], v.dtype) for v in sink.variables}
    values[nullable.path] = np.full_like(values[nullable.path], -np.nan)
    units = [unit(0, index) for index in range(sink.batch)]
    checked = [sink.check(u, values) for u in units]
    sink.write(units, checked)
    assert [sha for _, sha in unit_digests(sink, units)] == [digest(each) for each in checked]


def test_how_a_study_is_cut_does_not_depend_on_the_cluster():
    from membrane_dask.studies.graded.config import GradedStudy

    clusters = ({"workers": 1}, {"workers": 4, "memory": "500 MB"}, {"profile": "slurm", "jobs": 1000, "workers": 32})
    plans = [api.plan(GradedStudy(realizations=500, cluster=cluster)) for cluster in clusters]
    assert plans[0].batch == plans[1].batch == plans[2].batch
    assert plans[0].batch["graded"] > 1
