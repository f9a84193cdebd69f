"""Volumes in Zarr arrays that have lost chunks, or whose writer has left out chunks of nothing but the fill value."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import zarr

from membrane_dask import api
from membrane_dask.errors import StudyError
from membrane_dask.io import ome_zarr as ome
from membrane_dask.io.volume_file import ReadOptions
from membrane_dask.io.volumes import open_volume_source
from membrane_dask.studies.characterize.config import CharacterizeStudy

SOLID = (np.random.default_rng(0).random((13, 12, 15)) < 0.6).astype(np.uint8)
WINDOW = (slice(0, 4), slice(0, 4), slice(0, 4))
EVERY = {"write_empty_chunks": True}


def write(path: Path, form: str, values: np.ndarray = SOLID) -> Path:
    """A volume of chunks of 4 x 4 x 4, or of shards of 8 x 8 x 8, whose last ones extend beyond it."""
    if form == "run":
        ome.create_volume(path, shape=values.shape, block=5, voxel_size_nm=3.0, name="v")
        ome.open_level(path)[...] = values
        return path
    if form.startswith("array"):
        version = 2 if form == "array2" else 3
        array = zarr.create_array(
            path, shape=values.shape, dtype="u1", chunks=(4, 4, 4), zarr_format=version, fill_value=0, config=EVERY
        )
        array[...] = values
        return path
    version = 2 if form == "ome2" else 3
    group = zarr.open_group(path, mode="w", zarr_format=version)
    sharded = {"shards": (8, 8, 8)} if form == "sharded" else {}
    array = group.create_array(
        "s0", shape=values.shape, dtype="u1", chunks=(4, 4, 4), fill_value=0, config=EVERY, **sharded
    )
    array[...] = values
    axes = [{"name": axis, "type": "space", "unit": "nanometer"} for axis in "zyx"]
    scale = {"type": "scale", "scale": [3.0, 3.0, 3.0]}
    multiscales = [{"axes": axes, "datasets": [{"path": "s0", "coordinateTransformations": [scale]}]}]
    group.attrs.update({"multiscales": multiscales} if version == 2 else {"ome": {"multiscales": multiscales}})
    return path


FORMS = {
    "run": "0/c/0/1/0",
    "array": "c/1/2/0",
    "array2": "1.2.0",
    "ome": "s0/c/3/2/3",
    "ome2": "s0/3.2.3",
    "sharded": "s0/c/1/1/0",
}


@pytest.mark.parametrize(("form", "chunk"), FORMS.items())
@pytest.mark.parametrize("lost", ["missing", "empty"])
def test_a_volume_with_a_lost_chunk_is_refused_by_name(tmp_path, form, chunk, lost):
    path = write(tmp_path / "volume", form)
    assert (open_volume_source(path).read((slice(None),) * 3) == (SOLID == 0)).all()
    (path / chunk).unlink()
    if lost == "empty":
        (path / chunk).touch()
    with pytest.raises(ValueError, match=rf"volume: its chunk {chunk} is missing or empty.*missing_chunks: fill"):
        open_volume_source(path)


@pytest.mark.parametrize(("form", "chunk"), FORMS.items())
def test_missing_chunks_are_filled_on_request(tmp_path, form, chunk):
    path = write(tmp_path / "volume", form)
    (path / chunk).unlink()
    expected = zarr.open(path, mode="r")
    expected = expected[...] if isinstance(expected, zarr.Array) else expected["0" if form == "run" else "s0"][...]
    assert (expected != SOLID).any()
    volume = open_volume_source(path, options=ReadOptions(fill=True))
    assert (volume.read((slice(None),) * 3) == (expected == 0)).all()


def test_chunks_that_a_shard_does_not_have_are_named(tmp_path):
    """A shard whose index has no entry of a chunk; entries beyond the volume's edges are never there."""
    path = write(tmp_path / "volume", "sharded")
    open_volume_source(path)
    values = SOLID.copy()
    values[8:12, 8:12, 4:8] = 0
    array = zarr.open_group(path, mode="r+")["s0"]
    array[...] = values  # without write_empty_chunks: leaves the chunk of zeros out
    with pytest.raises(ValueError, match=r"s0/c/1/1/0 \(chunk 0/0/1 of the shard\) is missing"):
        open_volume_source(path)
    filled = open_volume_source(path, options=ReadOptions(fill=True))
    assert filled.read((slice(8, 12), slice(8, 12), slice(4, 8))).all()


def test_several_lost_chunks_are_counted(tmp_path):
    path = write(tmp_path / "volume", "array", np.where(np.arange(15) < 8, SOLID, 0).astype("u1"))
    for chunk in (path / "c/0").rglob("*"):
        if chunk.is_file():
            chunk.unlink()
    with pytest.raises(ValueError, match=r"its chunk c/0/0/0 and 11 more"):
        open_volume_source(path)


@pytest.mark.parametrize("kind", ["pipe", "device", "large"])
def test_chunks_that_must_not_be_read(tmp_path, kind):
    """A pipe never ends; a file larger than any compression of its values fills the memory."""
    path = write(tmp_path / "volume", "ome")
    chunk = path / "s0/c/0/0/0"
    chunk.unlink()
    if kind == "pipe":
        os.mkfifo(chunk)
    elif kind == "device":
        chunk.symlink_to("/dev/zero")
    else:
        with chunk.open("wb") as stream:
            stream.truncate(10**10)
    with pytest.raises(ValueError, match="no file" if kind != "large" else "10,000,000,000 bytes"):
        open_volume_source(path, options=ReadOptions(fill=True)).read(WINDOW)


def test_a_chunk_that_is_lost_after_opening_is_not_read_as_fill_values(tmp_path):
    """As on a worker, hours after the driver has checked the volume."""
    path = write(tmp_path / "volume", "ome")
    volume = open_volume_source(path)
    volume.read(WINDOW)
    (path / "s0/c/0/0/0").unlink()
    assert volume.read((slice(4, 13), slice(0, 12), slice(0, 15))).any()  # elsewhere
    with pytest.raises(ValueError, match="s0/c/0/0/0 is missing"):
        volume.read(WINDOW)


def test_a_chunk_that_cannot_be_decoded_is_named(tmp_path):
    path = write(tmp_path / "volume", "ome")
    volume = open_volume_source(path)
    chunk = path / "s0/c/1/0/0"
    chunk.write_bytes(chunk.read_bytes()[:-5])
    with pytest.raises(ValueError, match="s0/c/1/0/0 cannot be decoded"):
        volume.read((slice(2, 6), slice(0, 4), slice(0, 4)))


def test_the_key_of_a_study_changes_nothing_of_its_identity(tmp_path):
    path = write(tmp_path / "volume.ome.zarr", "ome", np.where(SOLID, 255, 0).astype("u1"))
    (path / "s0/c/2/1/1").unlink()
    study = {"input": str(path), "cluster": {"profile": "sync"}}
    with pytest.raises(StudyError, match=r"input: .*s0/c/2/1/1.*missing_chunks: fill") as error:
        api.plan(CharacterizeStudy(**study))
    assert error.value.problems[0].where == ("input",)
    filled = CharacterizeStudy(**study, missing_chunks="fill")
    assert api.plan(filled).counts
    assert filled.identity() == CharacterizeStudy(**study).identity()
