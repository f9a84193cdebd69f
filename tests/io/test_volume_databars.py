"""Databars burnt into the planes of a volume: found in the same rows of all planes, refused, cut or measured."""

from __future__ import annotations

import io
import zipfile

import imageio.v3 as iio
import numpy as np
import pytest
import scipy.io
import tifffile
import zarr
from PIL import Image, ImageDraw
from scipy import ndimage

from membrane_dask.errors import StudyError
from membrane_dask.io.volume_borders import find_databars
from membrane_dask.io.volumes import open_volume_source
from membrane_dask.studies.characterize.config import CharacterizeStudy
from membrane_dask.studies.input_volumes import InputVolumes

SHAPE, ROWS = (12, 120, 160), 18
FIRST = SHAPE[1] - ROWS
WHOLE = tuple(slice(0, n) for n in SHAPE)
CUT = (slice(0, SHAPE[0]), slice(0, FIRST), slice(0, SHAPE[2]))
THRESHOLD = {"threshold": 128}


def structure(seed=0, shape=SHAPE):
    field = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 3)
    return field > np.quantile(field, 0.4)


SOLID = structure()


def grey_values(solid=SOLID, noise=12.0, seed=1):
    """Blurred and noisy grey values of eight bits, as a detector gives them."""
    blurred = ndimage.gaussian_filter(np.where(solid, 190.0, 70.0), 0.7)
    noisy = blurred + noise * np.random.default_rng(seed).standard_normal(solid.shape)
    return noisy.round().clip(0, 255).astype("u1")


def burnt_in(values, background=0, ink=255, counter=True):
    """The volume with a databar that has a label, a scale bar and, if wanted, the number of the plane."""
    values = values.copy()
    for number, plane in enumerate(values):
        image = Image.new("L", (SHAPE[2], ROWS), background)
        draw = ImageDraw.Draw(image)
        draw.text((3, 3), "5.00 kV  2 um", fill=ink)
        draw.rectangle((100, 8, 130, 10), fill=ink)
        if counter:
            draw.text((136, 3), f"{number:03d}", fill=ink)
        plane[FIRST:] = np.asarray(image)
    return values


def save(path, values):
    np.save(path, values)
    return path


MESSAGE = (
    r"v\.\w+ has a databar burnt in: the last 18 rows of the planes \(102 to 119 of 120\), .* databar: cut, .*: keep"
)


@pytest.mark.parametrize("ink", [(0, 255), (255, 0), (40, 200)])
@pytest.mark.parametrize("kind", ["grey", "segmented"])
def test_treatments_of_a_databar_with_text(tmp_path, kind, ink):
    clean = grey_values() if kind == "grey" else np.where(SOLID, 255, 0).astype("u1")
    if kind == "segmented":
        ink = tuple(255 * (value > 128) for value in ink)
    values = burnt_in(clean, *ink)
    path = save(tmp_path / "v.npy", values)
    with pytest.raises(ValueError, match=MESSAGE):
        open_volume_source(path, "dark", THRESHOLD)
    volume = open_volume_source(path, "dark", THRESHOLD, databar="cut")
    assert volume.shape == (SHAPE[0], FIRST, SHAPE[2])
    np.testing.assert_array_equal(volume.read(CUT), clean[CUT] <= 128)
    assert volume.sampled_porosity(4) == pytest.approx((clean[[1, 4, 6, 9], :FIRST] <= 128).mean())
    assert dict(volume.remarks)["databar"].endswith("look like a databar: cut (databar: keep measures them)")
    whole = open_volume_source(path, "dark", THRESHOLD, databar="keep")
    np.testing.assert_array_equal(whole.read(WHOLE), values <= 128)
    assert dict(whole.remarks)["databar"].endswith("measured")


def test_a_blank_databar(tmp_path):
    """In noisy grey values it is no structure; of two values it may be a phase: named, and cut on request."""
    grey = grey_values()
    grey[:, FIRST:] = 0
    with pytest.raises(ValueError, match=MESSAGE):
        open_volume_source(save(tmp_path / "v.npy", grey), "dark", THRESHOLD)
    segmented = np.where(SOLID, 255, 0).astype("u1")
    segmented[:, FIRST:] = 0
    path = save(tmp_path / "w.npy", segmented)
    volume = open_volume_source(path)
    assert volume.shape == SHAPE
    assert "measured; databar: cut cuts them" in dict(volume.remarks)["databar"]
    assert open_volume_source(path, databar="cut").shape == (SHAPE[0], FIRST, SHAPE[2])


@pytest.mark.parametrize("form", ["tif", "folder", "packed", "zarr", "mat", "hdf5", "npz"])
def test_every_form_of_storage(tmp_path, form):
    clean = grey_values()
    values = burnt_in(clean)
    axis, path = "z", tmp_path / f"v.{form}"
    if form == "tif":
        tifffile.imwrite(path, values, photometric="minisblack")
    elif form == "packed":
        path = tmp_path / "v.tif"
        tifffile.imwrite(path, values, photometric="minisblack", compression="lzw")
    elif form == "folder":
        path = tmp_path / "v"
        path.mkdir()
        for z, plane in enumerate(values):
            iio.imwrite(path / f"s{z:02d}.png", plane)
    elif form == "zarr":
        zarr.create_array(path, data=values, chunks=(5, 50, 70), config={"write_empty_chunks": True})
    elif form == "mat":  # slices V(:, :, k)
        axis = "xzy"
        scipy.io.savemat(path, {"v": np.asfortranarray(values.transpose(1, 2, 0))})
    elif form == "hdf5":
        h5py = pytest.importorskip("h5py")
        with h5py.File(path, "w") as file:
            file.create_dataset("v", data=values, chunks=(4, 40, 40), compression="gzip")
    else:
        np.savez(path, v=values)
    with pytest.raises(ValueError, match="a databar burnt in: the last 18 rows of the planes"):
        open_volume_source(path, "dark", THRESHOLD, axis=axis)
    volume = open_volume_source(path, "dark", THRESHOLD, axis=axis, databar="cut")
    window = (slice(2, 9), slice(5, FIRST), slice(11, 150))
    np.testing.assert_array_equal(volume.read(window), clean[window] <= 128)


@pytest.mark.parametrize("axis", ["y", "-y", "x", "yxz"])
def test_the_databar_is_cut_whatever_axis_is_the_depth(tmp_path, axis):
    clean = grey_values()
    volume = open_volume_source(save(tmp_path / "v.npy", burnt_in(clean)), "dark", THRESHOLD, axis=axis, databar="cut")
    open_volume_source(save(tmp_path / "w.npy", clean[:, :FIRST]), "dark", THRESHOLD, axis=axis)
    expected = open_volume_source(tmp_path / "w.npy", "dark", THRESHOLD, axis=axis)
    assert volume.shape == expected.shape
    whole = tuple(slice(0, n) for n in expected.shape)
    np.testing.assert_array_equal(volume.read(whole), expected.read(whole))


def test_a_databar_in_columns_at_the_start(tmp_path):
    values = np.ascontiguousarray(burnt_in(grey_values())[:, ::-1].transpose(0, 2, 1))
    path = save(tmp_path / "v.npy", values)
    with pytest.raises(ValueError, match=r"the first 18 columns of the planes \(0 to 17 of 120\)"):
        open_volume_source(path, "dark", THRESHOLD)
    volume = open_volume_source(path, "dark", THRESHOLD, databar="cut")
    np.testing.assert_array_equal(volume.read((slice(0, 12), slice(0, 160), slice(0, 102))), values[..., 18:] <= 128)


def test_a_databar_that_is_not_at_a_border_must_be_cut_from_the_images(tmp_path):
    values = np.concatenate([burnt_in(grey_values()), grey_values(seed=3)[:, :40]], axis=1)
    path = save(tmp_path / "v.npy", values)
    for databar in ("refuse", "cut"):
        with pytest.raises(ValueError, match=r"the rows of the planes \(102 to 119 of 160\).* it is not at a border"):
            open_volume_source(path, "dark", THRESHOLD, databar=databar)
    assert open_volume_source(path, "dark", THRESHOLD, databar="keep").shape == (12, 160, 160)


# ---- structures that are no databars


def layer_with_holes(seed):
    """A dense layer with a plane surface and few straight holes, sliced across the layer."""
    solid = structure(seed)
    solid[:, :20] = np.random.default_rng(seed).random((SHAPE[0], 1, SHAPE[2])) > 0.02
    return solid


def between_liquids(seed):
    solid = structure(seed)
    solid[:, :15], solid[:, -15:] = False, False
    return solid


def extruded(seed):
    """The same section in all planes, with a wall that has some holes."""
    section = structure(seed)[:1]
    section[:, 100:] = np.random.default_rng(seed).random((1, 20, SHAPE[2])) > 0.02
    return np.repeat(section, SHAPE[0], axis=0)


def slit(seed):
    solid = np.ones(SHAPE, bool)
    solid[:, 30:90] = False
    return solid


@pytest.mark.parametrize("make", [layer_with_holes, between_liquids, extruded, slit, structure])
@pytest.mark.parametrize("seed", range(3))
def test_structures_are_not_refused(tmp_path, make, seed):
    """Segmented, and, where the interface is noisy, as grey values."""
    solid = make(seed)
    path = save(tmp_path / "v.npy", np.where(solid, 255, 0).astype("u1"))
    assert open_volume_source(path).shape == SHAPE
    path = save(tmp_path / "w.npy", grey_values(solid))
    assert open_volume_source(path, "dark", THRESHOLD).shape == SHAPE


def test_reference_volumes_have_no_databar(shared):
    """Sphere packing, sandstone and a granular medium, sliced along each axis."""
    data = shared / "data"
    volumes = [np.load(data / "poremaps_sphere_bcc_100.npz")["im"]]
    for archive, name in (
        ("berea.zip", "berea.tif"),
        ("TF-500x500x500-1x2x6-v3.tiff.zip", "TF-500x500x500-1x2x6-v3.tiff"),
    ):
        with zipfile.ZipFile(data / archive) as file:
            volumes.append(tifffile.imread(io.BytesIO(file.read(name))).squeeze())
    for volume in volumes:
        assert volume.ndim == 3
        for order in ((0, 1, 2), (1, 0, 2), (2, 0, 1)):
            assert not [bar for bar in find_databars(np.ascontiguousarray(volume.transpose(order))) if bar.is_certain]


def test_the_setting_of_a_study(tmp_path):
    """A databar that is to be cut, and is not there, is reported with the setting."""
    save(tmp_path / "v.npy", burnt_in(grey_values()))
    settings = {"input": tmp_path / "v.npy", "voxel_size": "5 nm", "grey": {"threshold": 128}, "databar": "cut"}
    volumes = InputVolumes.of(CharacterizeStudy(**settings), None).volumes
    assert volumes[0].shape == (SHAPE[0], FIRST, SHAPE[2])
    save(tmp_path / "v.npy", grey_values())
    with pytest.raises(StudyError, match=r"databar: finds nothing to cut"):
        InputVolumes.of(CharacterizeStudy(**settings), None)
