"""What the pages show: units of a journal, selections of variables, sections and surfaces of volumes."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from membrane_dask.engine.journal import Journal
from membrane_dask.explorer.units import unit_times
from membrane_dask.explorer.variables import axis_label, bounds_of, numbers_of, select
from membrane_dask.explorer.volumes import SECTION_PIXELS, Pyramid, solid_surface


def test_units_of_a_batch_follow_each_other(tmp_path):
    journal = Journal(tmp_path)
    time = "2026-01-01T00:00:10+00:00"
    journal.append(
        {"time": time, "done": ["a", "b"], "task": "trials", "seconds": [1.0, 3.0], "memory": [10, 20],
         "sha256": ["0a", "0b"], "worker": "host-1"}
    )  # fmt: skip
    journal.append({"time": time, "failed": ["c"], "task": "trials", "worker": "host-2"})
    times = unit_times(journal)
    assert times.key.tolist() == ["a", "b", "c"]
    end = 1767225610.0
    assert times.begin.tolist() == [end - 4, end - 3, end]
    assert times.end.tolist() == [end - 3, end, end]
    assert times.is_done.tolist() == [True, True, False]
    assert times.memory[:2].tolist() == [10, 20]
    assert np.isnan(times.memory[2])
    assert times.worker.tolist() == ["host-1", "host-1", "host-2"]


def test_a_journal_without_units(tmp_path):
    assert len(unit_times(Journal(tmp_path)).key) == 0


def test_selections_of_variables_and_their_intervals():
    values = xr.DataArray(
        np.arange(24.0).reshape(2, 3, 4), dims=("replicate", "level", "name"), attrs={"units": "h"},
        coords={"level": [0.1, 0.2, 0.3], "name": list("wxyz")},
    )  # fmt: skip
    variables = {"life/time": values, "life/time_low": values[0] - 1, "life/time_high": values[0] + 1}
    assert select(values, ("level",), {"replicate": 1, "name": 2, "level": 0}).tolist() == [14, 18, 22]
    assert select(values, ("name", "level"), {"replicate": 0}).tolist() == values[0].values.T.tolist()
    assert numbers_of(values, "level").tolist() == [0.1, 0.2, 0.3]
    assert numbers_of(values, "name").tolist() == [0, 1, 2, 3]
    assert numbers_of(values, "replicate").tolist() == [0, 1]
    low, high = bounds_of("life/time", variables)
    assert low.dims == high.dims == values.dims
    assert select(high, ("level",), {"replicate": 1, "name": 2}).tolist() == [3, 7, 11]
    assert bounds_of("life/time_low", variables) is None
    assert axis_label("time", values.attrs) == "time (h)"
    assert axis_label("ratio", {"units": "1"}) == "ratio"


@pytest.mark.parametrize("dims", [("x", "y", "z"), ("z", "x"), ("replicate",), ("replicate", "name")])
def test_variables_are_drawn_whatever_their_dimensions_are_called(dims):
    hv = pytest.importorskip("holoviews")
    from membrane_dask.explorer.variables_view import VariableDrawing

    sizes = dict(zip(dims, (2, 3, 4), strict=False))
    values = xr.DataArray(np.random.default_rng(1).random(tuple(sizes.values())), dims=dims)
    if "name" in dims:
        values.coords["name"] = ["a", "b", "c"]
    for array in (values, values * np.nan):
        drawing = VariableDrawing("table/x", {"table/x": array, "table/x_low": array - 1, "table/x_high": array + 1})
        indices = [0] * len(dims)
        assert hv.render(drawing.draw(dims[0], None, *indices)).renderers
        for other in dims[1:]:
            assert hv.render(drawing.draw(dims[0], other, *indices)).renderers


HOSTILE = "<img src=x onerror=alert(1)>"


def test_texts_of_a_run_are_no_html(tmp_path):
    """A run may come from a stranger."""
    pytest.importorskip("panel")
    from membrane_dask.engine.run_list import BrokenRun, RunList
    from membrane_dask.explorer import pages
    from membrane_dask.explorer.units_view import units_view
    from membrane_dask.explorer.variables_view import VariableDrawing

    array = xr.DataArray([1.0, 2.0], dims=HOSTILE, attrs={"long_name": HOSTILE, "units": HOSTILE})
    meaning = VariableDrawing(HOSTILE, {HOSTILE: array}).layout()[0].object
    assert "<img" not in meaning
    assert "&lt;img" in meaning
    journal = Journal(tmp_path)
    journal.append({"time": "2026-01-01T00:00:10+00:00", "failed": ["a"], "task": HOSTILE, "worker": "host-1"})

    class Received:
        failures = ()

        def __init__(self) -> None:
            self.journal = journal

    assert "<img" not in units_view(Received())[1].object
    assert "<img" not in pages._rows(RunList([BrokenRun(tmp_path / HOSTILE, "damaged")])).run[0]
    assert "<img" not in pages._template(HOSTILE).title


def levels_of(voxels: np.ndarray, n_levels: int) -> list:
    """A volume in voxels of 2 nm, and its coarser levels."""
    levels = []
    for level in range(n_levels):
        values, size = voxels[tuple(slice(None, None, 2**level) for _ in range(3))], 2.0 * 2**level
        coords = {
            axis: (axis, np.arange(n) * size, {"units": "nm"}) for axis, n in zip("zyx", values.shape, strict=True)
        }
        levels.append(xr.DataArray(values, dims=("z", "y", "x"), coords=coords, attrs={"voxel_size_nm": size}))
    return levels


def test_sections_are_as_fine_as_the_screen_can_show():
    n = 2 * SECTION_PIXELS
    z, y, x = np.ogrid[:n, :4, :n]
    pyramid = Pyramid(levels_of((z // 8 + y + x // 8).astype(np.uint8), 3))
    assert pyramid.extent == {"z": 2.0 * n, "y": 8.0, "x": 2.0 * n}
    values, ranges = pyramid.section("y", 4.0)
    assert values.shape == (SECTION_PIXELS, SECTION_PIXELS)
    assert ranges == ((0, 2 * n), (0, 2 * n))
    enlarged, (rows, columns) = pyramid.section("y", 4.0, ((100, 220.5), (-50, 301)))
    assert (rows, columns) == ((100, 222), (0, 302))
    assert np.array_equal(enlarged, pyramid.levels[0].values[50:111, 2, :151])  # the finest level
    edge, _ = pyramid.section("z", 1e9)
    assert np.array_equal(edge, pyramid.levels[1].values[-1])  # the last plane, at the level that fits


def test_a_volume_of_one_plane():
    pyramid = Pyramid(levels_of(np.zeros((1, 5, 6), np.uint8), 1))
    assert pyramid.extent == {"z": 2.0, "y": 10.0, "x": 12.0}
    assert pyramid.section("z", 1.0)[0].shape == (5, 6)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (3.0, 1.0, 2.0)])
def test_surface_of_a_sphere(spacing):
    """Closed (two triangles at each edge), around the centre, and bright towards the light."""
    grid = np.stack(np.meshgrid(*[np.arange(31.0)] * 3, indexing="ij"), axis=-1)
    sphere = np.linalg.norm(grid - 15, axis=-1) < 10
    vertices, faces, brightness = solid_surface(sphere, spacing)
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()
    # Voxel 15 reaches from 15 to 16 spacings; the surface is within a voxel of the sphere's.
    distance = np.linalg.norm(vertices / spacing - 15.5, axis=1)
    assert np.abs(distance - 10).max() < 1
    depth = vertices[:, 0] / spacing[0]
    assert brightness[depth < depth.min() + 1].mean() > 0.5  # the feed side, which is lit from above
    assert brightness[depth > depth.max() - 1].mean() < 0.02
    assert not len(solid_surface(np.zeros((3, 3, 3), bool), spacing)[1])
