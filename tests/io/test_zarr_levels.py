"""Which level of an OME-Zarr image is read: the finest, wherever its metadata list it."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import zarr

from membrane_dask.io.volume_file import ReadOptions
from membrane_dask.io.volumes import open_volume_source

SOLID = np.random.default_rng(0).random((12, 16, 20)) < 0.6
GREY = np.where(SOLID, 255, 0).astype("u1")
WHOLE = (slice(0, 12), slice(0, 16), slice(0, 20))


def write(path, levels, version="0.4"):
    """An image whose levels are (step, scale or None, axes that are subsampled), in the order of the metadata."""
    group = zarr.open_group(path, mode="w", zarr_format=2 if version < "0.5" else 3)
    datasets = []
    for number, (step, scale) in enumerate(levels):
        steps = (step,) * 3 if isinstance(step, int) else step
        values = GREY[tuple(slice(None, None, k) for k in steps)]
        group.create_array(f"s{number}", data=values, chunks=(4, 4, 4), config={"write_empty_chunks": True})
        dataset = {"path": f"s{number}"}
        if scale is not None:
            scales = [scale] * 3 if np.isscalar(scale) else list(scale)
            dataset["coordinateTransformations"] = [{"type": "scale", "scale": scales}]
        datasets.append(dataset)
    axes = [{"name": name, "type": "space", "unit": "nanometer"} for name in "zyx"]
    multiscale = {"axes": axes, "datasets": datasets}
    if version < "0.5":
        group.attrs["multiscales"] = [multiscale | {"version": version}]
    else:
        group.attrs["ome"] = {"version": version, "multiscales": [multiscale]}
    return path


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("order", [(1, 2, 4), (4, 2, 1), (2, 1, 4)], ids=str)
def test_the_finest_level_is_read(tmp_path, order, version):
    """By the transformations: its voxels, its voxel size, and a remark unless it is the first."""
    volume = open_volume_source(write(tmp_path / "v", [(step, 5.0 * step) for step in order], version))
    np.testing.assert_array_equal(volume.read(WHOLE), ~SOLID)
    assert volume.edges_nm == (5.0, 5.0, 5.0)
    remarks = dict(volume.remarks)
    first = order.index(1)
    assert ("level" in remarks) == bool(first)
    if first:
        assert remarks["level"] == f"s{first}, the finest; the first that is listed is s0"


def test_levels_that_are_coarser_along_some_axes(tmp_path):
    levels = [((1, 2, 2), (5, 10, 10)), (1, 5), ((2, 4, 4), (10, 20, 20))]
    volume = open_volume_source(write(tmp_path / "v", levels))
    np.testing.assert_array_equal(volume.read(WHOLE), ~SOLID)


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_without_transformations_the_largest_level_is_the_finest(tmp_path, order):
    volume = open_volume_source(write(tmp_path / "v", [(step, None) for step in order]))
    np.testing.assert_array_equal(volume.read(WHOLE), ~SOLID)
    assert volume.voxel_nm is None


@pytest.mark.parametrize(
    "levels",
    [
        [(1, 10.0), (2, 5.0)],  # the transformations exchange the levels
        [(2, 5.0), (1, 5.0)],
        [(2, 10.0), (1, None)],
        [((1, 2, 2), (5, 10, 10)), ((2, 1, 1), (10, 5, 5))],  # none is the finest along all axes
    ],
    ids=str,
)
def test_levels_that_leave_the_finest_open_are_refused_with_their_names(tmp_path, levels):
    write(tmp_path / "v", levels)
    with pytest.raises(ValueError, match=r"which of its levels is the finest: s0 \(.* voxels.*, s1 \(.*dataset: s"):
        open_volume_source(tmp_path / "v")
    named = open_volume_source(tmp_path / "v", options=ReadOptions("s0"))
    step = levels[0][0]
    steps = (step,) * 3 if isinstance(step, int) else step
    assert named.shape == tuple(-(-n // k) for n, k in zip(GREY.shape, steps, strict=True))


def test_equal_scales_of_all_levels_are_that_of_the_first(tmp_path):
    """Writers that forget the scale of coarser levels."""
    volume = open_volume_source(write(tmp_path / "v", [(1, 5.0), (2, 5.0)]))
    assert volume.shape == GREY.shape
    assert volume.voxel_nm == 5


def test_a_missing_level(tmp_path):
    """A coarse one is not needed; the finest is named, and not replaced by a coarser one."""
    write(tmp_path / "v", [(4, 20.0), (1, 5.0), (2, 10.0)])
    shutil.rmtree(tmp_path / "v" / "s0")
    np.testing.assert_array_equal(open_volume_source(tmp_path / "v").read(WHOLE), ~SOLID)
    shutil.rmtree(tmp_path / "v" / "s1")
    with pytest.raises(ValueError, match="has no array 's1', which its metadata name as the finest level"):
        open_volume_source(tmp_path / "v")
