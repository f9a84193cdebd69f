"""Seeded mutations of valid files of every format: each command ends with exit code 0 or 2, in words and in bounds."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import random
import re
import shutil

import numpy as np
import pytest

from membrane_dask.study_file import commented_study

STUDIES = {
    "graded": "kind: graded\nl_max: 0.2\ngradient: [0, 1e-3]\nrealizations: 4\n",
    "reconstruct": "kind: reconstruct\ninput: image.png\npixel_size: 3 nm\n",
    "characterize": "kind: characterize\ninput: volume.npy\nvoxel_size: 3 nm\n",
    "porometry": "kind: porometry\ninput: flux.csv\narea: 41.8 cm2\n",
}
#: Kind of study, file that is changed, and the study that reads it.
FILES = {
    "csv": ("porometry", "flux.csv", "flux.csv"),
    "json": ("porometry", "flux.json", "flux.json"),
    "xlsx": ("porometry", "flux.xlsx", "flux.xlsx"),
    "png": ("reconstruct", "image.png", "image.png"),
    "jpeg": ("reconstruct", "image.jpg", "image.jpg"),
    "tiff": ("reconstruct", "image.tif", "image.tif"),
    "stack": ("characterize", "stack.tif", "stack.tif"),
    "deflate": ("characterize", "deflate.tif", "deflate.tif"),
    "npy": ("characterize", "volume.npy", "volume.npy"),
    "zarr": ("characterize", "volume.zarr/0/zarr.json", "volume.zarr"),
    "ome": ("characterize", "volume.zarr/zarr.json", "volume.zarr"),
    "chunk": ("characterize", "volume.zarr/0/c/0/0/0", "volume.zarr"),
    "ome-tiff": ("characterize", "ome.tif", "ome.tif"),
    "npz": ("characterize", "volume.npz", "volume.npz"),
    "mat": ("characterize", "volume.mat", "volume.mat"),
    "h5": ("characterize", "volume.h5", "volume.h5"),
    "nrrd": ("characterize", "volume.nrrd", "volume.nrrd"),
    "gzip-nrrd": ("characterize", "gzip.nrrd", "gzip.nrrd"),
    "vti": ("characterize", "volume.vti", "volume.vti"),
    "zip": ("characterize", "volume.zip", "volume.zip"),
    "folder": ("characterize", "slices/3.tif", "slices"),
}
COMMANDS = (("check",), ("check",), ("plan", "--no-measure"), ("run", "--limit", "0", "--out", "out"))
HUGE = str(10**30)
VALUES = [
    "", "null", "~", "true", "no", "[]", "{}", "[[]]", "[{}]", "{a: b}", "0", "-1", "1e308", "1e-320", "1e400", ".nan",
    "-.inf", "nan", HUGE, "-" + HUGE, "9" * 400, "9" * 4400, "0x" + "F" * 5000, "0o17", "1_000", "2.0", "'1'",
    '"\\0"', '"\\x1b[31mred\\x1b[0m"', '"\\u202e"', '"a\\nb"', "'$(touch PWNED)'", "../../../../etc/passwd",
    "/dev/zero", "/proc/self/mem", "/", ".", "~nosuchuser/x", "'" + "a" * 5000 + "'", "'" + "a/" * 3000 + "'", "loop",
    "dangling", "fifo", "folder", "2001-01-01", "12:30:45", "!!python/object/apply:os.system ['touch PWNED']",
    "!!binary '@@@'", "!!set {a, b}", "!foo bar", "&a [*a]", "&a {b: *a}", "*undefined", "[1,2", "{a: b", '"open',
    "|\n  block", "@x", "%x", "- - 1", "? x", "<<: {a: 1}", "\u2028", "\ufeff", "3 nm", "3 parsec", "-3 nm",
    "1e400 nm", "nan nm", "3 nm nm", "3 nm^9^9^9", "99:99:99", "999999999999999-00:00:00", "1e300 h", "0 s",
    "4.0 +- 0.4 nm", "4 +- nan nm", "1 to 0 nm", "[" + "1," * 20000 + "1]", "[" * 3000, "{a: " * 300, "sync", "sge",
    "[1,1]", "[1, a]", "[null]", "9223372036854775808", "0.999999", "26", "64",
]  # fmt: skip
INTEGERS = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A valid file of each format."""
    import pandas as pd
    import scipy.io
    import tifffile
    import zarr
    from PIL import Image

    folder = tmp_path_factory.mktemp("inputs")
    table = pd.DataFrame(
        {"membrane": ["A"] * 4 + ["B"] * 4, "pressure [bar]": [1.0, 2, 3, 4] * 2, "flux [LMH]": np.arange(8) * 3.5 + 30}
    )
    table.to_csv(folder / "flux.csv", index=False)
    table.to_json(folder / "flux.json", orient="records")
    table.to_excel(folder / "flux.xlsx", index=False)
    random_values = np.random.default_rng(0)
    image = (random_values.random((48, 48)) * 60 + np.where(np.arange(48) // 6 % 2, 150, 20)).astype("u1")
    Image.fromarray(image).save(folder / "image.png")
    Image.fromarray(image).save(folder / "image.jpg")
    tifffile.imwrite(folder / "image.tif", image, resolution=(3e5, 3e5), resolutionunit="CENTIMETER")
    volume = (random_values.random((16, 20, 24)) > 0.5).astype("u1") * 255
    np.save(folder / "volume.npy", volume)
    tifffile.imwrite(folder / "stack.tif", volume, photometric="minisblack", imagej=True)
    tifffile.imwrite(folder / "deflate.tif", volume, photometric="minisblack", compression="zlib")
    tifffile.imwrite(folder / "ome.tif", volume, photometric="minisblack", metadata={"axes": "ZYX"}, ome=True)
    group = zarr.create_group(folder / "volume.zarr")
    axes = [{"name": axis, "type": "space", "unit": "nanometer"} for axis in "zyx"]
    level = {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [3.0, 3.0, 3.0]}]}
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"name": "a", "axes": axes, "datasets": [level]}]}
    group.create_array("0", shape=volume.shape, chunks=volume.shape, dtype="u1")[:] = volume
    shutil.make_archive(str(folder / "volume"), "zip", folder / "volume.zarr")
    np.savez_compressed(folder / "volume.npz", volume=volume, other=3)
    scipy.io.savemat(folder / "volume.mat", {"volume": volume}, do_compression=True)
    with contextlib.suppress(ImportError):
        import h5py

        with h5py.File(folder / "volume.h5", "w") as file:
            file.create_dataset("a/volume", data=volume, chunks=(8, 8, 8), compression="gzip")
    header = "NRRD0005\ntype: uchar\ndimension: 3\nsizes: 24 20 16\nspacings: 3 3 3\nunits: nm nm nm\nencoding: {}\n\n"
    (folder / "volume.nrrd").write_bytes(header.format("raw").encode() + volume.tobytes())
    (folder / "gzip.nrrd").write_bytes(header.format("gzip").encode() + gzip.compress(volume.tobytes()))
    extent = 'Extent="0 24 0 20 0 16"'
    vti = (
        f'<VTKFile type="ImageData" byte_order="LittleEndian"><ImageData Whole{extent} Spacing="1 1 1"><Piece {extent}>'
    )
    vti += '<CellData><DataArray type="UInt8" Name="a" format="appended" offset="0"/></CellData></Piece></ImageData>'
    values = np.uint32(volume.size).tobytes() + volume.tobytes()
    (folder / "volume.vti").write_bytes(f'{vti}<AppendedData encoding="raw">_'.encode() + values + b"</AppendedData>")
    (folder / "slices").mkdir()
    for number, plane in enumerate(volume):
        tifffile.imwrite(folder / f"slices/{number}.tif", plane, compression="lzw")
    (folder / "folder").mkdir()
    (folder / "loop").symlink_to("loop")
    (folder / "dangling").symlink_to("nowhere")
    return folder


def changed_study(text: str, choose: random.Random) -> str:
    """A study in which a value, a line or some characters are others."""
    lines = text.split("\n")
    number, chance = choose.randrange(len(lines)), choose.random()
    fields = [k for k, line in enumerate(lines) if re.match(r"\s*[a-z_0-9]+:", line) and "kind" not in line]
    if chance < 0.6 and fields:  # a change before may have removed all
        number = choose.choice(fields)
        lines[number] = f"{lines[number].split(':')[0]}: {choose.choice(VALUES)}"
    elif chance < 0.7:
        lines.insert(
            number, f"{choose.choice(['foo', 'name', 'seed', '<<', '1', '? [a]', '{a: b}'])}: {choose.choice(VALUES)}"
        )
    elif chance < 0.8:
        lines[number] = choose.choice([" " * choose.randrange(9), "\t"]) + lines[number]
    elif chance < 0.85:
        lines.insert(number, choose.choice(lines))
    else:
        return changed_bytes(text.encode(), choose).decode("utf-8", "replace")
    return "\n".join(lines)


def changed_bytes(content: bytes, choose: random.Random) -> bytes:
    """The content with some bytes or numbers changed, removed or repeated."""
    changed = bytearray(content)
    for _ in range(choose.choice([1, 1, 2, 5])):
        start = (
            choose.randrange(len(changed) + 1)
            if choose.random() < 0.5
            else choose.randrange(min(len(changed), 200) + 1)
        )
        chance = choose.random()
        if chance < 0.3:
            changed[start : start + 1] = bytes([choose.randrange(256)])
        elif chance < 0.6:
            size = choose.choice([1, 2, 4, 8])
            number = choose.choice(INTEGERS) & (256**size - 1)
            changed[start : start + size] = number.to_bytes(size, choose.choice(["little", "big"]))
        elif chance < 0.75:
            del changed[start : start + choose.choice([1, 4, 100, len(changed)])]
        elif chance < 0.9:
            changed[start:start] = changed[start : start + choose.choice([1, 50])] * choose.choice([1, 3, 1000])
        else:
            changed[start:start] = choose.choice(
                [b"\0", b"\xff\xfe", b"\x1b[2J", b"9" * 5000, b"[" * 2000, b"-", b"1e9"]
            )
    return bytes(changed)


def changed_json(content: bytes, choose: random.Random) -> bytes:
    """JSON in which one value is another."""
    document = json.loads(content)
    node = document
    while True:
        key = choose.choice(list(node) if isinstance(node, dict) else range(len(node)))
        if not isinstance(node[key], (dict, list)) or not node[key] or choose.random() < 0.2:
            break
        node = node[key]
    node[key] = choose.choice(
        [None, True, 0, -1, 10**12, 10**25, 1.5, float("nan"), float("inf"), "", "x", "../..", "\0", [], {}, [1],
         {"a": 1}, [10**6] * 3, [10**12] * 3, [[]], "object", "gzip", "bytes", "float64", 2, 3]
    )  # fmt: skip
    return json.dumps(document).encode()


def run_mutations(bounded, inputs, tmp_path, name: str, seed: int, number: int) -> None:
    """Try ``number`` changes of one format; a change that is handled wrongly is kept in the folder of the test."""
    choose = random.Random(f"{name} {seed}")
    for attempt in range(number):
        folder = tmp_path / str(attempt)
        shutil.copytree(inputs, folder, symlinks=True)
        (folder / "fifo").unlink(missing_ok=True)
        os.mkfifo(folder / "fifo")
        if name in STUDIES:
            text = choose.choice([STUDIES[name], commented_study(name).replace("volume.tif", "volume.npy")])
            for _ in range(choose.choice([1, 1, 2])):
                text = changed_study(text, choose)
        else:
            kind, path, used = FILES[name]
            text = re.sub(r"input: \S+", f"input: {used}", STUDIES[kind])
            content = (folder / path).read_bytes()
            is_json = path.endswith("json") and choose.random() < 0.6
            (folder / path).write_bytes((changed_json if is_json else changed_bytes)(content, choose))
        (folder / "s.yaml").write_bytes(text.encode("utf-8", "surrogatepass"))
        command, *options = choose.choice(COMMANDS)
        outcome = bounded(folder, command, "s.yaml", *options)
        assert not outcome.fault, (command, folder, outcome)
        assert not (folder / "PWNED").exists()
        shutil.rmtree(folder)


@pytest.mark.parametrize("name", [*STUDIES, *FILES])
def test_mutations(bounded, inputs, tmp_path, name):
    if name == "h5":
        pytest.importorskip("h5py")
    run_mutations(bounded, inputs, tmp_path, name, 1, 6 if name in STUDIES else 4)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 6))
@pytest.mark.parametrize("name", [*STUDIES, *FILES])
def test_many_mutations(bounded, inputs, tmp_path, name, seed):
    if name == "h5":
        pytest.importorskip("h5py")
    run_mutations(bounded, inputs, tmp_path, name, seed, 250)
