"""The result of a complete run is opened once, and each access gives a tree that belongs to the caller."""

from __future__ import annotations

import numpy as np
import pytest
import toy
import xarray as xr

import membrane_dask as md

SYNC = {"profile": "sync"}


@pytest.fixture
def opened(monkeypatch):
    """Counts how often a result is opened."""
    calls = []
    original = xr.open_datatree
    monkeypatch.setattr(xr, "open_datatree", lambda *a, **k: calls.append(a) or original(*a, **k))
    return calls


def test_a_complete_run_is_opened_once(tmp_path, opened):
    run = toy.run_toy(tmp_path / "run", cluster=SYNC)
    opened.clear()
    first = run.result
    name = next(iter(first["toy"].data_vars))
    stored = first["toy"][name].values.copy()
    first["toy"][name].values[...] = 0  # the caller may change what it gets
    first["toy"].attrs["note"] = "changed"
    second = run.result
    np.testing.assert_array_equal(second["toy"][name].values, stored)
    assert "note" not in second["toy"].attrs
    assert len(opened) == 1


def test_a_run_that_changes_is_opened_again(tmp_path, opened):
    run = toy.run_toy(tmp_path / "run", cluster=SYNC, limit=25)
    assert int((run.result["toy"].status == 1).sum()) == 25
    toy.run_toy(tmp_path / "run", cluster=SYNC)  # the same run, by another object
    opened.clear()
    assert int((run.result["toy"].status == 1).sum()) == 60
    assert len(opened) == 1


def test_a_result_that_was_written_again_is_opened_again(tmp_path, opened):
    path = toy.run_toy(tmp_path / "run", cluster=SYNC).path
    run = md.open_run(path)
    opened.clear()
    _ = run.result, run.result
    assert len(opened) == 1
    metadata = path / "result.zarr" / "zarr.json"
    content = metadata.read_bytes()
    metadata.unlink()
    metadata.write_bytes(content)
    _ = run.result
    assert len(opened) == 2
