"""Volumes as other programs write them: the same pores from every format, and what the file says or leaves open."""

from __future__ import annotations

import bz2
import gzip
import sys
import zipfile
import zlib

import numpy as np
import pytest
import scipy.io

from membrane_dask.io.grey_options import GreyOptions
from membrane_dask.io.volume_file import RawLayout, ReadOptions
from membrane_dask.io.volume_formats import open_volume_file, oriented
from membrane_dask.io.volumes import open_volume_source

SOLID = np.random.default_rng(0).random((9, 12, 15)) < 0.6
GREY = np.where(SOLID, 255, 0).astype("u1")
WHERE = (slice(2, 8), slice(0, 11), slice(3, 15))
WHOLE = (slice(None),) * 3


def nrrd_header(path, fields, values=b"", name="uchar"):
    sizes = " ".join(map(str, reversed(GREY.shape)))
    lines = ["NRRD0005", "# by hand", f"type: {name}", "dimension: 3", f"sizes: {sizes}", *fields]
    path.write_bytes("\n".join(lines).encode() + b"\n\n" + values)


def vti(path, data, *, attributes="", appended=None, spacing="0.05 0.05 0.05", kind="CellData", extra="", image=""):
    """A VTK image; ``data`` is the DataArray, ``appended`` an encoding and its content."""
    last = [n if kind == "CellData" else n - 1 for n in reversed(GREY.shape)]
    extent = " ".join(f"0 {n}" for n in last)
    text = f'<?xml version="1.0"?><VTKFile type="ImageData" version="1.0" byte_order="LittleEndian" {attributes}>'
    text += f'<ImageData WholeExtent="{extent}" Origin="0 0 0" Spacing="{spacing}" {image}><Piece Extent="{extent}">'
    text += f"<{kind}>{data}</{kind}>{extra}</Piece></ImageData>"
    content = text.encode()
    if appended:
        content += f'<AppendedData encoding="{appended[0]}">_'.encode() + appended[1] + b"</AppendedData>"
    path.write_bytes(content + b"</VTKFile>")


def data_array(form, rest="", content=""):
    return f'<DataArray type="UInt8" Name="phase" format="{form}" {rest}>{content}</DataArray>'


def base64(*contents):
    import base64 as codec

    return b"".join(codec.b64encode(content) for content in contents)


def u4(*numbers):
    return np.array(numbers, "<u4").tobytes()


def compressed_blocks():
    """Header of the blocks, then zlib's blocks of 700 bytes, the last shorter."""
    content = GREY.tobytes()
    blocks = [content[k : k + 700] for k in range(0, len(content), 700)]
    packed = [zlib.compress(block) for block in blocks]
    return u4(len(blocks), 700, len(blocks[-1]) % 700, *map(len, packed)), b"".join(packed)


def write_vti(path, kind):
    size, head = u4(GREY.size), compressed_blocks()
    if kind == "raw":
        vti(path, data_array("appended", 'offset="0"'), appended=("raw", size + GREY.tobytes()))
    elif kind == "base64":
        vti(path, data_array("appended", 'offset="0"'), appended=("base64", base64(size + GREY.tobytes())))
    elif kind == "binary":
        vti(path, data_array("binary", content=base64(size + GREY.tobytes()).decode()), kind="PointData")
    elif kind == "zlib":
        compressor = 'compressor="vtkZLibDataCompressor" header_type="UInt32"'
        vti(path, data_array("binary", content=base64(*head).decode()), attributes=compressor)
    elif kind == "zlib-raw":
        compressor = 'compressor="vtkZLibDataCompressor"'
        vti(path, data_array("appended", 'offset="0"'), attributes=compressor, appended=("raw", b"".join(head)))
    else:
        vti(path, data_array("ascii", content=" ".join(map(str, GREY.ravel()))))


def write(folder, form):
    """A volume in a format; most are written by another library."""
    name, _, kind = form.partition(" ")
    path = folder / f"v.{name}"
    if name == "npz":
        (np.savez_compressed if kind == "compressed" else np.savez)(path, volume=GREY, edge=3.0)
    elif name == "mat":
        values = np.asfortranarray(GREY) if kind == "fortran" else GREY
        scipy.io.savemat(path, {"volume": values, "edge": 3.0, "name": "x"}, do_compression=kind == "compressed")
    elif name in ("h5", "hdf5"):
        h5py = pytest.importorskip("h5py")
        with h5py.File(path, "w") as file:
            options = {"compression": "gzip", "chunks": (4, 5, 6)} if kind == "chunked" else {}
            dataset = file.create_dataset("exchange/data", data=GREY[None] if kind == "four" else GREY, **options)
            file["theta"] = np.arange(9.0)
            if kind == "edges":
                dataset.attrs["element_size_um"] = (0.05, 0.05, 0.05)
    elif name == "nrrd" and kind.startswith("library"):
        nrrd = pytest.importorskip("nrrd")
        encoding = kind.split()[1]
        header = {"encoding": encoding, "space directions": np.eye(3) * 0.05, "space dimension": 3}
        header |= {"space units": ["um", "um", "um"]} if encoding != "gzip" else {}
        nrrd.write(str(path), GREY, header, index_order="C")
    elif name == "nrrd":
        pack = {"raw": bytes, "bzip2": bz2.compress, "gzip": gzip.compress}[kind]
        nrrd_header(path, [f"encoding: {kind}", "spacings: 0.05 0.05 0.05"], pack(GREY.tobytes()))
    elif name == "nhdr":
        (folder / "v.bin").write_bytes(b"head" + GREY.astype(">u2").tobytes())
        fields = ["encoding: raw", "endian: big", "data file: v.bin", "byte skip: 4"]
        nrrd_header(path, [*fields, "spacings: 50 50 50", 'units: "nm" "nm" "nm"'], name="uint16")
    elif name == "vti":
        write_vti(path, kind)
    else:
        path.write_bytes(bytes(7) + (GREY.astype(">u2") if kind == "big" else GREY).tobytes())
    return path


FORMATS = [
    "npz compressed", "npz stored", "mat plain", "mat compressed", "mat fortran", "h5 plain", "hdf5 chunked",
    "h5 four", "h5 edges", "nrrd library raw", "nrrd library gzip", "nrrd raw", "nrrd bzip2", "nrrd gzip", "nhdr",
    "vti raw", "vti base64", "vti binary", "vti zlib", "vti zlib-raw", "vti ascii", "raw small", "dat big",
]  # fmt: skip
#: Formats that are read in parts.
MAPPED = (
    "npz stored", "h5 plain", "hdf5 chunked", "h5 four", "h5 edges", "nrrd library raw", "nrrd raw", "nhdr", "vti raw",
    "raw small", "dat big",
)  # fmt: skip
#: Formats whose file states the edge of a voxel.
WITH_EDGE = ("h5 edges", "nrrd library raw", "nhdr")


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_gives_the_same_pores(tmp_path, form):
    path = write(tmp_path, form)
    raw = RawLayout(GREY.shape, "uint16" if form == "dat big" else "uint8", "big", 7)
    volume = open_volume_source(path, options=ReadOptions(raw=raw if path.suffix in (".raw", ".dat") else None))
    assert volume.shape == SOLID.shape
    np.testing.assert_array_equal(volume.read(WHERE), ~SOLID[WHERE])
    assert volume.resident_bytes == (0 if form in MAPPED else GREY.nbytes)
    assert volume.sampled_porosity(3) == pytest.approx((~SOLID[[1, 4, 6]]).mean())
    if form in WITH_EDGE:
        assert volume.edges_nm == pytest.approx((50, 50, 50))
        assert volume.voxel_nm == pytest.approx(50)
    else:
        assert volume.voxel_nm is None
        assert volume.edges_nm == (None, None, None)


@pytest.mark.parametrize("name", ["uint8", "int16", "float"])
def test_nrrd_as_text(tmp_path, name):
    """Text has no byte order, and may have decimals of whole numbers."""
    fields = ["encoding: text", 'units: "\xb5m" "\xb5m" "\xb5m"', "spacings: 0.05 0.05 0.05"]
    nrrd_header(tmp_path / "v.nrrd", fields, " ".join(f"{value}.0" for value in GREY.ravel()).encode(), name)
    for encoding in ("utf-8", "latin-1"):
        content = (tmp_path / "v.nrrd").read_bytes().decode()
        (tmp_path / f"{encoding}.nrrd").write_bytes(content.encode(encoding))
        volume = open_volume_source(tmp_path / f"{encoding}.nrrd")
        np.testing.assert_array_equal(volume.read(WHERE), ~SOLID[WHERE])
        assert volume.edges_nm == pytest.approx((50, 50, 50))


@pytest.mark.parametrize("name", ["my volume.raw", "./v.raw", ".\\v.raw", "V.RAW"])
def test_nrrd_with_values_in_another_file(tmp_path, name):
    (tmp_path / name.removeprefix("./").removeprefix(".\\")).write_bytes(GREY.tobytes())
    nrrd_header(tmp_path / "v.nhdr", ["encoding: raw", f"data file: {name}"])
    np.testing.assert_array_equal(open_volume_source(tmp_path / "v.nhdr").read(WHERE), ~SOLID[WHERE])


@pytest.mark.parametrize(
    ("fields", "name", "message"),
    [
        (["data file: gone.raw"], "uchar", r"refers to 'gone\.raw', which its folder does not have"),
        (["data file: s%03d.raw 0 8 1"], "uchar", "refers to several files"),
        (["encoding: raw"], "float", "add the line 'endian: little'"),
    ],
)
def test_nrrd_headers_that_need_a_correction(tmp_path, fields, name, message):
    nrrd_header(tmp_path / "v.nhdr", fields, name=name)
    with pytest.raises(ValueError, match=message):
        open_volume_source(tmp_path / "v.nhdr")


@pytest.mark.parametrize("values", ["grey", "labels"])
def test_floats_in_the_opposite_byte_order(tmp_path, values):
    """Almost any number becomes one that nothing measures."""
    numbers = GREY + np.random.default_rng(1).integers(0, 40, GREY.shape) if values == "grey" else GREY // 255
    (tmp_path / "v.raw").write_bytes(numbers.astype(">f4").tobytes())
    for order in ("big", "little"):
        options = ReadOptions(raw=RawLayout(GREY.shape, "float32", order))
        if order == "big":
            open_volume_source(tmp_path / "v.raw", "dark", {"threshold": 100}, options)
            continue
        with pytest.raises(ValueError, match=r"values up to .* opposite order: check .* raw\.byte_order"):
            open_volume_source(tmp_path / "v.raw", "dark", {"threshold": 100}, options)


@pytest.mark.parametrize("grey", [None, GreyOptions(method="auto")])
def test_values_that_are_no_numbers(tmp_path, grey):
    values = GREY.astype("f4")
    values[:, :3] = np.nan
    np.save(tmp_path / "v.npy", values)
    with pytest.raises(ValueError, match=r"not numbers \(NaN, 25\.0% of the sampled voxels\).* save it with a number"):
        open_volume_source(tmp_path / "v.npy", grey=grey)


@pytest.mark.parametrize(("form", "dataset"), [("npz", "b"), ("mat", "b"), ("h5", "/group/b"), ("vti", "b")])
def test_an_array_of_several_is_named(tmp_path, form, dataset):
    path, other = tmp_path / f"v.{form}", 255 - GREY
    if form == "npz":
        np.savez(path, a=other, b=GREY)
    elif form == "mat":
        scipy.io.savemat(path, {"a": other, "b": GREY})
    elif form == "h5":
        h5py = pytest.importorskip("h5py")
        with h5py.File(path, "w") as file:
            file["a"], file["group/b"] = other, GREY
    else:
        first, second = (
            f'<DataArray type="UInt8" Name="{name}" format="ascii">{" ".join(map(str, values.ravel()))}</DataArray>'
            for name, values in (("a", other), ("b", GREY))
        )
        vti(path, first + second)
    with pytest.raises(ValueError, match=r"several volumes, a \(9 x 12 x 15\), .*dataset: a"):
        open_volume_source(path)
    with pytest.raises(ValueError, match=r"has no array 'c'.*it has a"):
        open_volume_source(path, options=ReadOptions("c"))
    volume = open_volume_source(path, options=ReadOptions(dataset))
    np.testing.assert_array_equal(volume.read(WHERE), ~SOLID[WHERE])


def test_matlab_73_has_the_axes_of_matlab(tmp_path):
    """HDF5 behind a header of 512 bytes, with the axes in the opposite order."""
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "v.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        file["volume"] = GREY.transpose(2, 1, 0)
    with path.open("r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file".ljust(128))
    np.testing.assert_array_equal(open_volume_source(path).read(WHERE), ~SOLID[WHERE])


def test_hdf5_without_h5py_names_the_command(tmp_path, monkeypatch):
    path = tmp_path / "v.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ValueError, match=r"needs h5py: pip install 'membrane-dask\[hdf5\]'"):
        open_volume_source(path)


def test_hdf5_values_in_other_files_are_refused(tmp_path):
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "v.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("a", GREY.shape, "u1", external=[("/etc/passwd", 0, GREY.size)])
    with pytest.raises(ValueError, match="values of a in other files"):
        open_volume_source(path)
    with h5py.File(path, "w") as file:
        file["a"] = h5py.ExternalLink("/etc/passwd", "a")
    with pytest.raises(ValueError, match="no array of numbers"):
        open_volume_source(path)


@pytest.mark.parametrize("axes", ["zyx", "zxy", "yzx", "yxz", "xzy", "xyz"])
def test_any_orientation_is_the_same_volume(tmp_path, axes):
    """The axes of the array are named z, y, x whatever they are; the study says which of them is the depth."""
    order = ["zyx".index(axis) for axis in axes]
    np.save(tmp_path / "v.npy", np.ascontiguousarray(SOLID.transpose(order)))
    names = "".join("zyx"[order.index(axis)] for axis in range(3))  # axes of the file that are depth, height, width
    volume = open_volume_source(tmp_path / "v.npy", axis=names)
    assert volume.shape == SOLID.shape
    values = volume.read(WHERE)
    np.testing.assert_array_equal(values, ~SOLID[WHERE])
    assert values.flags.c_contiguous
    assert volume.sampled_porosity(4) > 0
    assert dict(volume.remarks)["axes"].startswith(f"depth along {names[0]} of the file")


@pytest.mark.parametrize("axis", ["y", "x", "-z", "-y"])
def test_one_axis_is_the_depth_and_the_order_of_the_other_axes_stays(tmp_path, axis):
    source = "zyx".index(axis[-1])
    stored = SOLID[::-1] if axis[0] == "-" else SOLID
    np.save(tmp_path / "v.npy", np.moveaxis(stored, 0, source))
    view = oriented(open_volume_file(tmp_path / "v.npy", ReadOptions()), axis).array
    np.testing.assert_array_equal(view[WHERE], SOLID[WHERE])
    np.testing.assert_array_equal(view[-1], SOLID[-1])
    np.testing.assert_array_equal(view[3, 1:9:2, 2], SOLID[3, 1:9:2, 2])
    np.testing.assert_array_equal(view[::3, 5, ::2], SOLID[::3, 5, ::2])
    np.testing.assert_array_equal(view[4:4], SOLID[4:4])


def test_a_transposed_volume_keeps_its_edges(tmp_path):
    """Edges follow the axes: a spacing that differs along the axis of the depth is named as z."""
    fields = ["encoding: raw", "spacings: 50 50 100", 'units: "nm" "nm" "nm"']
    nrrd_header(tmp_path / "v.nrrd", fields, GREY.tobytes())
    edges = oriented(open_volume_file(tmp_path / "v.nrrd", ReadOptions()), "xyz").edges
    assert edges.nm == (50, 50, 100)
    assert open_volume_source(tmp_path / "v.nrrd").spacing == (2.0, 1.0, 1.0)
    assert open_volume_source(tmp_path / "v.nrrd", axis="xyz").spacing == (1.0, 1.0, 2.0)


@pytest.mark.parametrize("form", ["nrrd", "vti"])
def test_edges_without_a_unit_are_a_ratio(tmp_path, form):
    path = tmp_path / f"v.{form}"
    if form == "nrrd":
        nrrd_header(path, ["encoding: raw", "spacings: 1 1 2"], GREY.tobytes())
    else:
        vti(path, data_array("ascii", content=" ".join(map(str, GREY.ravel()))), spacing="1 1 2")
    volume = open_volume_source(path)
    assert volume.edges.ratio == (2, 1, 1)
    assert volume.voxel_nm is None


# ---- directions of axes


def directions(path, *vectors, fields=()):
    """A volume whose axes, the fastest first, have these vectors."""
    text = " ".join(v if isinstance(v, str) else "(" + ",".join(f"{x:.6g}" for x in v) + ")" for v in vectors)
    lines = ["encoding: raw", "space: left-posterior-superior", f"space directions: {text}"]
    nrrd_header(path, [*lines, *(fields or ['space units: "um" "um" "um"'])], GREY.tobytes())
    return path


def rotation(axis, degrees):
    """Rotation matrix, by its columns."""
    angle = np.radians(degrees)
    matrix = np.eye(3)
    first, second = (k for k in range(3) if k != axis)
    matrix[first, first] = matrix[second, second] = np.cos(angle)
    matrix[first, second], matrix[second, first] = -np.sin(angle), np.sin(angle)
    return matrix


@pytest.mark.parametrize("degrees", [0.5, 1, 20, 45, 80])
def test_rotated_axes_have_the_lengths_of_their_vectors(tmp_path, degrees):
    """Numbers of six digits, as writers round them, are at right angles within the tolerance."""
    matrix = rotation(2, degrees) @ rotation(0, 0.7 * degrees) @ np.diag([0.05, 0.1, 0.2])
    volume = open_volume_source(directions(tmp_path / "v.nrrd", *matrix.T))
    assert volume.edges_nm == pytest.approx((200, 100, 50), rel=1e-5)
    np.testing.assert_array_equal(volume.read(WHERE), ~SOLID[WHERE])
    assert "rotated" in dict(volume.remarks)["directions"]


@pytest.mark.parametrize("degrees", [89, 91, 60, 45, 120, 170])
def test_sheared_axes_are_refused_with_their_angle(tmp_path, degrees):
    angle = np.radians(degrees)
    second = (0.1 * np.cos(angle), 0.1 * np.sin(angle), 0)
    path = directions(tmp_path / "v.nrrd", (0.05, 0, 0), second, (0, 0, 0.2))
    with pytest.raises(ValueError, match=rf"directions \(0\.05,0,0\) and .* are at {degrees} degrees: .* sheared"):
        open_volume_source(path)


def test_shear_is_measured_in_lengths(tmp_path):
    """Components in different units: vectors that look orthogonal as numbers are sheared, and the other way round."""
    units = ['space units: "mm" "um" "um"']
    path = directions(tmp_path / "a.nrrd", (0.001, 1, 0), (-0.001, 1, 0), (0, 0, 1), fields=units)
    assert open_volume_source(path).edges_nm == pytest.approx((1000, 2**0.5 * 1000, 2**0.5 * 1000))
    path = directions(tmp_path / "b.nrrd", (1, 1, 0), (-1, 1, 0), (0, 0, 1), fields=units)
    with pytest.raises(ValueError, match=r"at 179\.9 degrees"):
        open_volume_source(path)


def test_permuted_axes_have_the_names_of_those_of_space(tmp_path):
    """The fastest axis runs along the depth: z of space, wherever the file stores it."""
    stored = np.ascontiguousarray(GREY.transpose(1, 2, 0))
    path = tmp_path / "v.nrrd"
    lines = ["NRRD0005", "type: uchar", "dimension: 3", f"sizes: {' '.join(map(str, reversed(stored.shape)))}"]
    lines += ["encoding: raw", "space dimension: 3", 'space units: "nm" "nm" "nm"']
    lines.append("space directions: (0,0,30) (10,0,0) (0,20,0)")
    path.write_bytes("\n".join(lines).encode() + b"\n\n" + stored.tobytes())
    volume = open_volume_source(path)
    assert volume.edges_nm == (30, 20, 10)
    np.testing.assert_array_equal(volume.read(WHERE), ~SOLID[WHERE])
    remarks = dict(volume.remarks)
    assert remarks["directions"] == "the axes of the file, the fastest first, are z, x, y of space, and named so"
    assert "axes of the file: y, x, z" in remarks["axes"]


def test_flipped_axes_are_read_as_they_run_and_named(tmp_path):
    volume = open_volume_source(directions(tmp_path / "v.nrrd", (-0.05, 0, 0), (0, 0.1, 0), (0, 0, -0.2)))
    assert volume.edges_nm == pytest.approx((200, 100, 50))
    np.testing.assert_array_equal(volume.read(WHERE), ~SOLID[WHERE])
    expected = "the file runs against z and x of space, and is read as it runs"
    assert dict(volume.remarks)["directions"] == expected
    plain = open_volume_source(directions(tmp_path / "w.nrrd", (0.05, 0, 0), (0, 0.1, 0), (0, 0, 0.2)))
    assert "directions" not in dict(plain.remarks)


def vti_directions(path, matrix, spacing="0.05 0.1 0.2"):
    """A VTK image with a matrix of directions, whose columns belong to x, y and z."""
    numbers = " ".join(f"{number:.6g}" for number in np.ravel(matrix))
    data = data_array("appended", 'offset="0"')
    values = ("raw", u4(GREY.size) + GREY.tobytes())
    vti(path, data, appended=values, spacing=spacing, image=f'Direction="{numbers}"')
    return path


def test_directions_of_vtk_images(tmp_path):
    """As the columns of the matrix say, which ITK and ParaView write by rows."""
    plain = open_volume_source(vti_directions(tmp_path / "a.vti", np.eye(3)), "10 nm")
    assert "directions" not in dict(plain.remarks)
    # The first axis of the file is y of space, the second z, the third x.
    matrix = np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0]])
    named = open_volume_source(vti_directions(tmp_path / "b.vti", matrix, "1 1 1"))
    remarks = dict(named.remarks)
    assert remarks["directions"] == "the axes of the file, the fastest first, are y, z, x of space, and named so"
    assert named.shape == (GREY.shape[1], GREY.shape[2], GREY.shape[0])
    np.testing.assert_array_equal(named.read((slice(None),) * 3), ~SOLID.transpose(1, 2, 0))
    flipped = open_volume_source(vti_directions(tmp_path / "c.vti", np.diag([1, 1, -1])))
    assert "runs against z" in dict(flipped.remarks)["directions"]
    np.testing.assert_array_equal(flipped.read(WHERE), ~SOLID[WHERE])
    rotated = open_volume_source(vti_directions(tmp_path / "d.vti", rotation(2, 30)))
    assert rotated.edges.ratio == pytest.approx((0.2, 0.1, 0.05))
    assert "rotated" in dict(rotated.remarks)["directions"]


@pytest.mark.parametrize(
    ("matrix", "spacing", "message"),
    [
        (np.diag([2.0, 1, 1]), "1 1 1", r"column \(2,0,0\) of length 2; allowed are columns of length 1"),
        ([[1, 0.6, 0], [0, 0.8, 0], [0, 0, 1]], "1 1 1", r"\(1,0,0\) and \(0\.6,0\.8,0\) are at 53\.13 degrees"),
        (np.eye(2), "1 1 1", "has the Direction '1 0 0 1'; allowed are 9 numbers"),
        (np.eye(3), "1 0 1", "has no length"),
        (np.eye(3), "1 -1 1", "which are no lengths"),
    ],
)  # fmt: skip
def test_directions_of_vtk_images_that_are_refused(tmp_path, matrix, spacing, message):
    with pytest.raises(ValueError, match=message):
        open_volume_source(vti_directions(tmp_path / "v.vti", matrix, spacing))


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda p: directions(p, "(0,25,0,0)", "(0,0,25,0)", "(0,0,0,25)"), r"'\(0,25,0,0\)'; allowed are 3 numbers"),
        (lambda p: directions(p, "(0.05,0,0)", "(0,x,0)", "(0,0,1)"), "space directions, is 'x'; allowed is a number"),
        (lambda p: directions(p, (0.05, 0, 0), (0, 0, 0), (0, 0, 1)), r"the vector \(0,0,0\), which has no length"),
        (
            lambda p: nrrd_header(p, ["encoding: raw", "spacings: 0,25 0,25 0,25"], GREY.tobytes()),
            r"NRRD header, spacings, is '0,25'; allowed is a number with a decimal point such as 0\.25",
        ),
        (
            lambda p: nrrd_header(p, ["encoding: raw", "byte skip: 1,5"], GREY.tobytes()),
            "NRRD header, byte skip, is '1,5'; allowed is a whole number",
        ),
        (
            lambda p: vti(p, data_array("ascii", content=" ".join(map(str, GREY.ravel()))), spacing="0,25 0,25 0,25"),
            r"VTK header, Spacing, is '0,25'; allowed is a number with a decimal point such as 0\.25",
        ),
        (
            lambda p: vti(p, data_array("ascii", content=" ".join(map(str, GREY.ravel()))), spacing="0,25, 0,25, 1"),
            r"VTK header, Spacing, is '0,25,'; allowed is a number with a decimal point",
        ),
        (
            lambda p: vti(p, data_array("ascii", content=" ".join(map(str, GREY.ravel()))), spacing="0,25,0,25,0,25"),
            "has the Spacing '0,25,0,25,0,25'; allowed are 3 numbers",
        ),
    ],
)
def test_header_entries_that_are_no_numbers_are_named(tmp_path, write, message):
    path = tmp_path / ("v.vti" if "VTK" in message or "Spacing" in message else "v.nrrd")
    write(path)
    with pytest.raises(ValueError, match=message):
        open_volume_source(path)


@pytest.mark.parametrize("kind", ["npy", "npz"])
def test_equal_colour_channels_are_one(tmp_path, kind):
    values = np.stack([GREY] * 3 + [np.full_like(GREY, 255)], axis=-1)
    path = tmp_path / f"v.{kind}"
    np.save(path, values) if kind == "npy" else np.savez(path, values)
    volume = open_volume_source(path)
    np.testing.assert_array_equal(volume.read(WHERE), ~SOLID[WHERE])
    values[3, 4, 5, 1] ^= 128
    np.save(path, values) if kind == "npy" else np.savez(path, values)
    with pytest.raises(ValueError, match="colour channels that differ, by up to 128"):
        open_volume_source(path)


BAD = {
    "size.raw": (lambda p: p.write_bytes(bytes(100)), r"100 bytes, but raw.shape 9 x 12 x 15 of uint8 .* needs 1,620"),
    "short.nrrd": (lambda p: nrrd_header(p, ["encoding: raw"], GREY.tobytes()[:-9]), "truncated: .* 1,620 bytes"),
    "short-packed.nrrd": (
        lambda p: nrrd_header(p, ["encoding: gzip"], gzip.compress(GREY.tobytes()[:-9])),
        "damaged: it holds 1,611",
    ),
    "bomb.nrrd": (
        lambda p: nrrd_header(p, ["encoding: gzip"], gzip.compress(bytes(50_000_000))),
        "damaged: it holds 1,621 bytes",
    ),
    "elsewhere.nhdr": (
        lambda p: nrrd_header(p, ["encoding: raw", "data file: ../../etc/passwd"]),
        r"refers to '../../etc/passwd', which is not in its folder",
    ),
    "list.nhdr": (lambda p: nrrd_header(p, ["encoding: raw", "data file: LIST"]), "several files"),
    "type.nrrd": (lambda p: nrrd_header(p, ["encoding: raw"], name="block"), "type 'block'"),
    "text.nrrd": (lambda p: p.write_bytes(b"NRRD is what this is not"), "no NRRD file"),
    "text.mat": (lambda p: p.write_bytes(b"x" * 1000), "no readable MATLAB file"),
    "text.h5": (lambda p: p.write_bytes(b"x" * 1000), "no HDF5 file"),
    "text.npz": (lambda p: p.write_bytes(b"x" * 1000), "no readable .npz"),
    "text.vti": (lambda p: p.write_bytes(b"x" * 1000), "no readable VTK file"),
    "grid.vti": (lambda p: p.write_bytes(b'<VTKFile type="PolyData"/>'), "no VTK image .* PolyData"),
    "bomb.vti": (
        lambda p: p.write_bytes(b'<!DOCTYPE a [<!ENTITY b "c">]><VTKFile>&b;</VTKFile>'),
        "document type",
    ),
    "short.vti": (
        lambda p: vti(p, data_array("appended", 'offset="0"'), appended=("raw", u4(GREY.size) + bytes(50))),
        "truncated",
    ),
    "blocks.vti": (
        lambda p: vti(
            p, data_array("binary", content=base64(u4(2**31, 700, 0, 5)).decode()),
            attributes='compressor="vtkZLibDataCompressor"',
        ),
        "damaged: it states 2147483648 compressed blocks",
    ),
    "cut.npz": (lambda p: (np.savez(p, GREY), p.write_bytes(p.read_bytes()[:900])), "no readable .npz"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_damaged_and_hostile_files_are_refused(tmp_path, name):
    make, message = BAD[name]
    make(tmp_path / name)
    raw = RawLayout(GREY.shape, "uint8") if name.endswith("raw") else None
    with pytest.raises(ValueError, match=message) as error:
        open_volume_source(tmp_path / name, options=ReadOptions(raw=raw))
    assert name in str(error.value)


HUGE = 10**6


@pytest.mark.parametrize("name", ["v.raw", "v.nrrd", "packed.nrrd", "v.vti", "v.npz", "v.mat", "v.h5", "v.npy"])
def test_absurd_headers_are_refused_without_memory(tmp_path, name):
    """Each claims planes of 10^6 x 10^6 voxels; nothing of that size is allocated or mapped beyond the file."""
    path, raw = tmp_path / name, None
    if name == "v.raw":
        path.write_bytes(bytes(100))
        raw = RawLayout((2, HUGE, HUGE), "uint8")
    elif name.endswith("nrrd"):
        encoding = "raw" if name == "v.nrrd" else "gzip"
        path.write_text(f"NRRD0005\ntype: uchar\ndimension: 3\nsizes: {HUGE} {HUGE} 2\nencoding: {encoding}\n\nx")
    elif name == "v.vti":
        extent = f"0 {HUGE} 0 {HUGE} 0 2"
        path.write_text(
            f'<VTKFile type="ImageData"><ImageData WholeExtent="{extent}" Spacing="1 1 1"><Piece Extent="{extent}">'
            f"<CellData>{data_array('ascii', content='0 1')}</CellData></Piece></ImageData></VTKFile>"
        )
    elif name in ("v.npz", "v.npy"):
        header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': (2, {HUGE}, {HUGE}), }}".ljust(117) + "\n"
        content = b"\x93NUMPY\x01\x00v\x00" + header.encode() + bytes(64)
        if name == "v.npy":
            path.write_bytes(content)
        else:
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("a.npy", content)
    elif name == "v.mat":
        scipy.io.savemat(path, {"volume": GREY})
        content = path.read_bytes()
        at = content.index(np.array(GREY.shape, "<i4").tobytes())
        path.write_bytes(content[:at] + np.array((2, HUGE, HUGE), "<i4").tobytes() + content[at + 12 :])
    else:
        h5py = pytest.importorskip("h5py")
        with h5py.File(path, "w") as file:
            file.create_dataset("a", (2, HUGE, HUGE), "u1", chunks=(1, 1000, 1000))
    with pytest.raises(ValueError, match=name.replace(".", r"\.")):
        open_volume_source(path, options=ReadOptions(raw=raw))
