"""Exported files: equal bits, voxel size and unit, by the readers of the formats or by their rules."""

from __future__ import annotations

import re
import struct
import tracemalloc
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
import tifffile

from membrane_dask.io import grid_files, network_files, surface_files
from membrane_dask.io.exported_items import GridItem
from membrane_dask.io.volumes import open_volume_source

SPACING = (2.0, 3.0, 5.0)  # z, y, x


def grid(values: np.ndarray, spacing=SPACING, chunk: int = 1) -> GridItem:
    """An item that reads from an array."""
    is_vector = values.ndim == 4
    return GridItem(
        "velocity" if is_vector else "phase", "a test, in m/s" if is_vector else "pores 0, solid 255",
        values.shape[-3:], spacing, values.dtype,
        (lambda a, b: values[:, a:b]) if is_vector else (lambda a, b: values[a:b]), is_vector, chunk,
    )  # fmt: skip


@pytest.fixture(scope="module")
def phase() -> np.ndarray:
    return np.where(np.random.default_rng(0).random((7, 5, 4)) < 0.4, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def velocity() -> np.ndarray:
    return np.random.default_rng(1).standard_normal((3, 7, 5, 4)).astype(np.float32)


@pytest.fixture(autouse=True)
def small_slabs(monkeypatch):
    """Slabs of two planes, so that every file is written in several steps."""
    monkeypatch.setattr(GridItem.slabs, "__defaults__", (2 * 5 * 4,))
    monkeypatch.setattr(surface_files, "_SLAB_VOXELS", 2 * 5 * 4)


def appended(path: Path) -> tuple[ElementTree.Element, bytes]:
    """The XML of a VTK file and the bytes of its only array."""
    content = path.read_bytes()
    start = content.index(b'<AppendedData encoding="raw">\n_') + len(b'<AppendedData encoding="raw">\n_')
    (size,) = struct.unpack("<Q", content[start : start + 8])
    data = content[start + 8 : start + 8 + size]
    assert content[start + 8 + size :] == b"\n</AppendedData>\n</VTKFile>\n"
    return ElementTree.fromstring(content[:start] + b"</AppendedData></VTKFile>"), data


def text_of(root: ElementTree.Element, name: str) -> str:
    codes = next(array.text for array in root.iter("Array") if array.attrib["Name"] == name)
    return bytes(int(code) for code in codes.split()[:-1]).decode()


def test_vti(tmp_path, phase, velocity):
    grid_files.write_vti(grid(phase), tmp_path / "a.vti")
    root, data = appended(tmp_path / "a.vti")
    image = root.find("ImageData")
    assert image.attrib == {"WholeExtent": "0 4 0 5 0 7", "Origin": "0 0 0", "Spacing": "5.0 3.0 2.0"}
    np.testing.assert_array_equal(np.frombuffer(data, np.uint8).reshape(7, 5, 4), phase)
    assert (text_of(root, "length_unit"), text_of(root, "description")) == ("nm", "pores 0, solid 255")
    grid_files.write_vti(grid(phase, (3.0, 3.0, 3.0)), tmp_path / "cubes.vti")
    volume = open_volume_source(tmp_path / "cubes.vti")
    assert volume.voxel_nm == 3
    np.testing.assert_array_equal(volume.read((slice(0, 7), slice(0, 5), slice(0, 4))), phase == 0)
    grid_files.write_vti(grid(velocity), tmp_path / "v.vti")
    root, data = appended(tmp_path / "v.vti")
    assert next(root.iter("DataArray")).attrib["NumberOfComponents"] == "3"
    np.testing.assert_array_equal(np.frombuffer(data, "<f4").reshape(7, 5, 4, 3), np.moveaxis(velocity[::-1], 0, -1))


def test_legacy_vtk(tmp_path, phase, velocity):
    grid_files.write_legacy_vtk(grid(velocity), tmp_path / "v.vtk")
    head, data = (tmp_path / "v.vtk").read_bytes().split(b"VECTORS velocity float\n")
    assert b"DIMENSIONS 5 6 8\nORIGIN 0 0 0\nSPACING 5.0 3.0 2.0\nCELL_DATA 140\n" in head
    assert b"lengths in nm" in head
    values = np.frombuffer(data[:-1], ">f4").reshape(7, 5, 4, 3)
    np.testing.assert_array_equal(values, np.moveaxis(velocity[::-1], 0, -1))
    grid_files.write_legacy_vtk(grid(phase), tmp_path / "a.vtk")
    data = (tmp_path / "a.vtk").read_bytes().split(b"LOOKUP_TABLE default\n")[1]
    assert data[:-1] == phase.tobytes()


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_nifti(tmp_path, phase, velocity, ending):
    """Read by NiBabel, the reference implementation of the format."""
    nibabel = pytest.importorskip("nibabel")
    for name, values in (("a", phase), ("v", velocity)):
        path = tmp_path / f"{name}{ending}"
        grid_files.write_nifti(grid(values), path)
        image = nibabel.load(path)
        assert image.header.get_xyzt_units()[0] == "micron"
        np.testing.assert_allclose(image.header.get_zooms()[:3], [5e-3, 3e-3, 2e-3], rtol=1e-6)
        np.testing.assert_allclose(image.affine[:3, 3], [2.5e-3, 1.5e-3, 1e-3], rtol=1e-6)
        data = np.asarray(image.dataobj)
        if name == "a":
            np.testing.assert_array_equal(data, phase.T)
            assert bytes(image.header["descrip"]).startswith(b"pores 0, solid 255")
        else:
            assert data.shape == (4, 5, 7, 1, 3)
            np.testing.assert_array_equal(data[:, :, :, 0], np.moveaxis(velocity[::-1], 0, -1).transpose(2, 1, 0, 3))


def test_the_header_of_nifti(tmp_path, phase):
    """Fields at the positions of nifti1.h: size, dimensions, type, voxels in micrometres, offset of the data, magic."""
    grid_files.write_nifti(grid(phase), tmp_path / "a.nii")
    content = (tmp_path / "a.nii").read_bytes()
    assert struct.unpack_from("<i", content) == (348,)
    assert struct.unpack_from("<4h", content, 40) == (3, 4, 5, 7)
    assert struct.unpack_from("<2h", content, 70) == (2, 8)
    np.testing.assert_allclose(struct.unpack_from("<3f", content, 80), [5e-3, 3e-3, 2e-3], rtol=1e-6)
    assert struct.unpack_from("<f", content, 108) == (352.0,)
    assert content[123] == 3
    assert content[344:348] == b"n+1\0"
    assert content[352:] == phase.tobytes()
    long_item = GridItem("phase", "", (40_000, 1, 1), SPACING, np.dtype(np.uint8), lambda a, b: np.zeros((b - a, 1, 1)))
    with pytest.raises(ValueError, match=r"at most 32767 .*write \.vti"):
        grid_files.write_nifti(long_item, tmp_path / "long.nii")


def test_tiff(tmp_path, phase, velocity):
    grid_files.write_tiff(grid(phase, (3.0, 3.0, 3.0)), tmp_path / "a.tif", "test")
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), phase)
    volume = open_volume_source(tmp_path / "a.tif")
    assert volume.voxel_nm == pytest.approx(3, rel=1e-9)
    np.testing.assert_array_equal(volume.read((slice(0, 7), slice(0, 5), slice(0, 4))), phase == 0)
    grid_files.write_tiff(grid(velocity), tmp_path / "v.tif", "test")
    with tifffile.TiffFile(tmp_path / "v.tif") as file:
        assert file.series[0].axes == "CZYX"
        sizes = dict(re.findall(r'PhysicalSize(\w+)="(\S+)"', file.ome_metadata))
        np.testing.assert_array_equal(file.asarray(), velocity)
    assert (sizes["X"], sizes["Y"], sizes["Z"], sizes["ZUnit"]) == ("5.0", "3.0", "2.0", "nm")


def test_the_same_bytes_again(tmp_path, phase, velocity):
    for number in range(2):
        (tmp_path / f"{number}").mkdir()
        grid_files.write_tiff(grid(velocity), tmp_path / f"{number}/a.tif", "test")
        grid_files.write_nifti(grid(phase), tmp_path / f"{number}/a.nii.gz")
    for name in ("a.tif", "a.nii.gz"):
        assert (tmp_path / "0" / name).read_bytes() == (tmp_path / "1" / name).read_bytes()


def triangles(path: Path) -> np.ndarray:
    """Corners ``(n, 3, 3)`` of a binary STL file."""
    content = path.read_bytes()
    assert not content.startswith(b"solid")  # which begins a text file
    (count,) = struct.unpack("<I", content[80:84])
    assert len(content) == 84 + 50 * count
    return np.frombuffer(content[84:], surface_files._TRIANGLE)["corners"].astype(float)


def enclosed_volume(corners: np.ndarray) -> float:
    """Volume that triangles enclose whose normals point outwards."""
    return float(np.einsum("ni,ni->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2]))) / 6


def test_stl_is_closed_across_slabs(tmp_path):
    """Every edge belongs to two triangles in opposite directions; a solid sphere has its volume, in nm3."""
    z, y, x = np.ogrid[:7, :5, :4]
    solid = np.where((z - 3) ** 2 + (y - 2) ** 2 + (x - 1.5) ** 2 < 5, 255, 0).astype(np.uint8)
    for values in (solid, 255 - solid):
        surface_files.write_stl(grid(values), tmp_path / "a.stl")
        corners = triangles(tmp_path / "a.stl")
        edges = [(a.tobytes(), b.tobytes()) for t in corners for a, b in ((t[0], t[1]), (t[1], t[2]), (t[2], t[0]))]
        assert len(set(edges)) == len(edges)
        assert set(edges) == {(b, a) for a, b in edges}
        # Marching cubes cuts the edges of voxels, which are many in a body of few of them.
        voxels = np.count_nonzero(values) * np.prod(SPACING)
        assert 0.6 * voxels < enclosed_volume(corners) < voxels
    assert corners.min(axis=(0, 1)) == pytest.approx([0, 0, 0])
    assert corners.max(axis=(0, 1)) == pytest.approx([4 * 5, 5 * 3, 7 * 2])


def test_stl_of_a_plate_has_its_faces(tmp_path):
    """A plate of 40 x 30 x 6 voxels: the same triangles in one slab as in many."""
    plate = np.zeros((12, 32, 42), np.uint8)
    plate[3:9, 1:31, 1:41] = 255
    surface_files.write_stl(grid(plate, (1.0, 1.0, 1.0)), tmp_path / "a.stl")
    corners = triangles(tmp_path / "a.stl")
    assert enclosed_volume(corners) == pytest.approx(40 * 30 * 6, rel=0.02)
    assert corners.min(axis=(0, 1)) == pytest.approx([1, 1, 3])
    surface_files._SLAB_VOXELS = 1 << 22
    surface_files.write_stl(grid(plate, (1.0, 1.0, 1.0)), tmp_path / "b.stl")
    rows = [np.sort(triangles(tmp_path / name).reshape(-1, 9), axis=0) for name in ("a.stl", "b.stl")]
    np.testing.assert_array_equal(*rows)


def test_stl_of_pores_alone_and_of_a_velocity(tmp_path, velocity):
    surface_files.write_stl(grid(np.zeros((3, 3, 3), np.uint8)), tmp_path / "a.stl")
    assert len(triangles(tmp_path / "a.stl")) == 0
    with pytest.raises(ValueError, match="STL needs a volume"):
        surface_files.write_stl(grid(velocity), tmp_path / "v.stl")


def test_networks_of_both_writers(tmp_path):
    position, conns = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), np.array([[0, 1], [1, -2]])
    network_files.write_poly_data(
        tmp_path / "n.vtk", "network, lengths in nm", position, conns, {"volume": np.array([7.0, 8.0])},
        {"radius": np.array([9.0, 10.0])},
    )  # fmt: skip
    lines = (tmp_path / "n.vtk").read_text().splitlines()
    assert lines[1] == "network, lengths in nm"
    assert lines[4:9] == ["POINTS 2 double", "3 2 1", "6 5 4", "LINES 1 3", "2 0 1"]
    assert lines[-3:] == ["SCALARS radius double 1", "LOOKUP_TABLE default", "9"]


@pytest.mark.parametrize("ending", [".vti", ".vtk", ".tif", ".nii"])
def test_large_volumes_are_written_by_slabs(tmp_path, monkeypatch, ending):
    """A volume of 64 MB with slabs of 1 MB: less than 12 MB at a time."""
    monkeypatch.setattr(GridItem.slabs, "__defaults__", (1 << 20,))
    item = GridItem(
        "phase", "", (64, 1024, 1024), (1.0, 1.0, 1.0), np.dtype(np.uint8),
        lambda a, b: np.zeros((b - a, 1024, 1024), np.uint8),
    )  # fmt: skip
    write = {
        ".vti": grid_files.write_vti, ".vtk": grid_files.write_legacy_vtk, ".nii": grid_files.write_nifti,
        ".tif": lambda item, path: grid_files.write_tiff(item, path, "test"),
    }[ending]  # fmt: skip
    tracemalloc.start()
    write(item, tmp_path / f"a{ending}")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12e6
