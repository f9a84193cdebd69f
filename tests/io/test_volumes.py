"""Volumes from files: all formats, their voxel size, and files that are refused."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
import zarr

from membrane_dask.io import ome_zarr as ome
from membrane_dask.io.volumes import open_volume_source
from membrane_dask.physics.voxel_spacing import CUBE

SOLID = np.random.default_rng(0).random((9, 12, 15)) < 0.6
WHERE = (slice(2, 8), slice(0, 11), slice(3, 15))


def write(folder, kind):
    grey = np.where(SOLID, 255, 0).astype(np.uint8)
    path = folder / f"volume{kind}"
    if kind == ".ome.zarr":
        ome.create_volume(path, shape=SOLID.shape, block=5, voxel_size_nm=3.0, name="v")
        for y in range(0, 12, 5):
            ome.open_level(path)[:, y : y + 5] = grey[:, y : y + 5]
    elif kind == ".zarr":
        group = zarr.open_group(path, mode="w", zarr_format=2)
        group.create_array("s0", data=grey[None, None], chunks=(1, 1, 4, 4, 4))
        axes = [{"name": n, "type": t} for n, t in (("t", "time"), ("c", "channel"))]
        axes += [{"name": n, "type": "space", "unit": "micrometer"} for n in "zyx"]
        scale = {"type": "scale", "scale": [1, 1, 0.003, 0.003, 0.003]}
        group.attrs["multiscales"] = [
            {"version": "0.4", "axes": axes, "datasets": [{"path": "s0", "coordinateTransformations": [scale]}]}
        ]
    elif kind == ".array.zarr":
        zarr.create_array(path, data=grey)
    elif kind == ".npy":
        np.save(path, SOLID)
    elif kind == "":
        path.mkdir()
        for z, image in enumerate(grey):
            tifffile.imwrite(path / f"slice{z:03d}.tif", image)
    elif kind == ".imagej.tif":
        tifffile.imwrite(
            path, grey, imagej=True, resolution=(1 / 0.003, 1 / 0.003), metadata={"unit": "um", "spacing": 0.003}
        )
    elif kind == ".packed.tif":
        tifffile.imwrite(path, SOLID, compression="deflate")
    else:
        tifffile.imwrite(path, grey)
    return path


@pytest.mark.parametrize(
    ("kind", "voxel"),
    [(".ome.zarr", 3.0), (".zarr", 3.0), (".array.zarr", None), (".npy", None), ("", None), (".imagej.tif", 3.0),
     (".packed.tif", None), (".tif", None)],
)  # fmt: skip
def test_every_format(tmp_path, kind, voxel):
    volume = open_volume_source(write(tmp_path, kind))
    assert volume.shape == SOLID.shape
    assert volume.voxel_nm == pytest.approx(voxel)
    np.testing.assert_array_equal(volume.read(WHERE), ~SOLID[WHERE])


@pytest.mark.parametrize("kind", ["pages", "compressed", "ImageJ", "folder"])
def test_white_is_zero(tmp_path, kind):
    """Photometric interpretation 0: what is shown dark is stored as the larger value."""
    stored, path = np.where(SOLID, 0, 255).astype("u1"), tmp_path / "v.tif"
    if kind == "folder":
        path = tmp_path / "v"
        path.mkdir()
        for z, image in enumerate(stored):
            tifffile.imwrite(path / f"{z:02d}.tif", image, photometric="miniswhite")
    else:
        options = {"compression": "lzw"} if kind == "compressed" else {"imagej": True} if kind == "ImageJ" else {}
        tifffile.imwrite(path, stored, photometric="miniswhite", **options)
    np.testing.assert_array_equal(open_volume_source(path).read(WHERE), ~SOLID[WHERE])


def test_selection_of_the_pore_phase(tmp_path):
    path = write(tmp_path, ".npy")
    np.testing.assert_array_equal(open_volume_source(path, "bright").read(WHERE), SOLID[WHERE])
    labels = np.where(SOLID, 170, 85)
    labels[0, 0, :5] = 255
    np.save(tmp_path / "labels.npy", labels)
    with pytest.raises(ValueError, match=r"more than two values: 85 \(.*\), 170 \(.*\), 255 \(0\.3%\).*pores: 85"):
        open_volume_source(tmp_path / "labels.npy")
    np.testing.assert_array_equal(open_volume_source(tmp_path / "labels.npy", 85).read(WHERE), labels[WHERE] == 85)
    both = open_volume_source(tmp_path / "labels.npy", (85, 255))
    np.testing.assert_array_equal(both.read(WHERE), labels[WHERE] != 170)
    assert dict(both.remarks)["values"].endswith("pores are 85, 255")


def test_a_grey_volume_is_segmented(tmp_path):
    grey = np.random.default_rng(1).random((9, 12, 15)).astype(np.float32)
    np.save(tmp_path / "grey.npy", grey)
    with pytest.raises(ValueError, match="segment a grey volume"):
        open_volume_source(tmp_path / "grey.npy")
    volume = open_volume_source(tmp_path / "grey.npy", "dark", {"threshold": 0.4})
    np.testing.assert_array_equal(volume.read(WHERE), grey[WHERE] <= 0.4)


def test_a_third_value_is_refused_where_it_is_read(tmp_path):
    grey = np.where(np.random.default_rng(0).random((300, 300, 300)) < 0.5, 255, 0).astype(np.uint8)
    grey[99, 5, 5] = 7  # in a volume larger than the sample that is inspected
    np.save(tmp_path / "large.npy", grey)
    volume = open_volume_source(tmp_path / "large.npy")
    assert volume.read((slice(0, 90),) * 3).shape == (90, 90, 90)
    with pytest.raises(ValueError, match=r"holds \[7\] in addition to the values 0 and 255"):
        volume.read((slice(90, 110), slice(0, 20), slice(0, 20)))


@pytest.mark.parametrize(("value", "pore"), [(0, True), (255, False), (1, False)])
def test_all_of_one_phase(tmp_path, value, pore):
    np.save(tmp_path / "one.npy", np.full((4, 4, 4), value, np.uint8))
    assert (open_volume_source(tmp_path / "one.npy").read((slice(0, 4),) * 3) == pore).all()
    np.save(tmp_path / "one.npy", np.full((4, 4, 5), 77, np.uint8))
    with pytest.raises(ValueError, match="nothing but 77"):
        open_volume_source(tmp_path / "one.npy")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: np.save(p / "a.npy", np.zeros((4, 5))), r"shape \(4, 5\)"),
        (lambda p: np.save(p / "a.npy", np.zeros((1, 5, 5))), r"shape \(1, 5, 5\)"),
        (lambda p: (p / "a.npy").write_bytes(b"\x93NUMPY rest is missing"), "cannot be read as a volume"),
        (lambda p: np.save(p / "a.npy", np.full((4, 5, 6), np.nan)), "not numbers|nothing but nan"),
        (lambda p: (p / "a.npy").mkdir(), "without TIFF images"),
    ],
)
def test_invalid_files_are_refused(tmp_path, make, message):
    make(tmp_path)
    with pytest.raises(ValueError, match=message):
        open_volume_source(tmp_path / "a.npy")


def test_a_folder_in_the_order_of_its_numbers(tmp_path):
    grey = np.where(SOLID, 255, 0).astype(np.uint8)
    grey = np.concatenate([grey, grey[:3]])
    for z, image in enumerate(grey):
        tifffile.imwrite(tmp_path / f"slice_{z}.tif", image)  # 10 precedes 2 in alphabetical order
    volume = open_volume_source(tmp_path)
    np.testing.assert_array_equal(volume.read(tuple(slice(0, n) for n in grey.shape)), grey == 0)
    (tmp_path / "slice_7.tif").unlink()
    with pytest.raises(ValueError, match="an image 6 and then 8"):
        open_volume_source(tmp_path)


def test_a_pore_value_that_the_volume_does_not_hold(tmp_path):
    with pytest.raises(ValueError, match=r"holds 0 \(.*\), 255 \(.*\), but no 7 \(pores\)"):
        open_volume_source(write(tmp_path, ".tif"), 7)


def test_pixels_that_are_not_square_and_time_series(tmp_path):
    grey = np.where(SOLID, 255, 0).astype(np.uint8)
    options = {"imagej": True, "metadata": {"unit": "um", "spacing": 0.05}}
    tifffile.imwrite(tmp_path / "a.tif", grey, resolution=(20, 10), **options)
    volume = open_volume_source(tmp_path / "a.tif")
    assert volume.voxel_nm == pytest.approx(50)
    assert volume.spacing == (1.0, 2.0, 1.0)
    options["metadata"] = {"unit": "um", "axes": "TYX"}
    tifffile.imwrite(tmp_path / "b.tif", grey, resolution=(20, 20), **options)
    with pytest.raises(ValueError, match="a time series"):
        open_volume_source(tmp_path / "b.tif")


def test_a_truncated_file_is_refused(tmp_path):
    path = write(tmp_path, ".tif")
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ValueError, match=r"volume\.tif"):
        open_volume_source(path)


def test_voxels_that_are_not_cubes(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.where(SOLID, 255, 0).astype(np.uint8), imagej=True,
                     resolution=(1 / 0.003, 1 / 0.003), metadata={"unit": "um", "spacing": 0.01})  # fmt: skip
    volume = open_volume_source(tmp_path / "a.tif")
    assert volume.voxel_nm == pytest.approx(3)
    assert volume.spacing == pytest.approx((10 / 3, 1, 1), rel=1e-9)
    # Edges that differ by less than 1 % are those of cubes.
    tifffile.imwrite(tmp_path / "b.tif", np.where(SOLID, 255, 0).astype(np.uint8), imagej=True,
                     resolution=(1 / 0.003, 1 / 0.003), metadata={"unit": "um", "spacing": 0.00302})  # fmt: skip
    assert open_volume_source(tmp_path / "b.tif").spacing == CUBE
