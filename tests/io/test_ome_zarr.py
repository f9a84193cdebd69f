"""OME-Zarr volumes."""

from __future__ import annotations

import numpy as np
import pytest
import zarr

from membrane_dask.io.ome_zarr import build_level, count_levels, create_volume, open_level, open_volume


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    """A volume whose sides are neither powers of two nor multiples of the slab."""
    return (np.random.default_rng(0).random((150, 70, 301)) < 0.6).astype(np.uint8) * np.uint8(255)


@pytest.fixture(scope="module")
def path(image, tmp_path_factory):
    path = tmp_path_factory.mktemp("volume") / "image.ome.zarr"
    create_volume(path, shape=image.shape, block=32, voxel_size_nm=3.5, name="image")
    for y in (64, 0, 32):  # in any order
        open_level(path)[:, y : y + 32] = image[:, y : y + 32]
    for level in range(1, count_levels(path)):
        build_level(path, level)
    return path


def test_written_volumes_are_read(path, image):
    volume = open_volume(path)
    assert volume.chunks is not None  # lazy
    assert volume.dims == ("z", "y", "x")
    assert volume.dtype == np.uint8
    np.testing.assert_array_equal(volume.values, image)
    np.testing.assert_allclose(volume.x.values, np.arange(301) * 3.5)
    assert volume.x.attrs["units"] == "nm"


def test_levels_take_every_second_voxel(path, image):
    assert count_levels(path) == 3
    for level in range(3):
        volume = open_volume(path, level)
        step = 2**level
        np.testing.assert_array_equal(volume.values, image[::step, ::step, ::step])
        np.testing.assert_allclose(volume.z.values, np.arange(0, 150, step) * 3.5)
    with pytest.raises(ValueError, match=r"\[0, 2\]"):
        open_volume(path, 3)


def test_volumes_conform_to_the_specification(path):
    models = pytest.importorskip("ome_zarr_models.v05")
    image = models.Image.from_zarr(zarr.open_group(path, mode="r"))
    multiscale = image.attributes.ome.multiscales[0]
    assert [axis.unit for axis in multiscale.axes] == ["nanometer"] * 3
    assert [d.coordinateTransformations[0].scale for d in multiscale.datasets] == [[3.5] * 3, [7.0] * 3, [14.0] * 3]


def test_a_small_volume_has_one_level(tmp_path):
    create_volume(tmp_path / "a", shape=(40, 20, 100), block=8, voxel_size_nm=1, name="a")
    assert count_levels(tmp_path / "a") == 1
    assert zarr.open_array(tmp_path / "a/0", mode="r").chunks == (40, 8, 100)


def test_an_existing_volume_is_not_overwritten(path):
    with pytest.raises(FileExistsError):
        create_volume(path, shape=(4, 4, 4), block=4, voxel_size_nm=1, name="image")
