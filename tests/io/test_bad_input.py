"""Each kind of bad file ends with exit code 2 and a message, within 5 s and 1 GB."""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import struct
import zipfile
import zlib

import imagecodecs
import numpy as np
import pytest

SHORT = {
    "graded": "kind: graded\nl_max: 0.2\ngradient: [0, 1e-3]\nrealizations: 4\n",
    "reconstruct": "kind: reconstruct\ninput: {}\npixel_size: 3 nm\n",
    "characterize": "kind: characterize\ninput: {}\nvoxel_size: 3 nm\n",
    "porometry": "kind: porometry\ninput: {}\narea: 41.8 cm2\n",
}
HEAD = "membrane,pressure [bar],flux [L m-2 h-1]\n"


def refused(bounded, folder, text: bytes | str, *messages: str, command=("check",)):
    """Check that a study is refused with these messages."""
    (folder / "s.yaml").write_bytes(text.encode() if isinstance(text, str) else text)
    outcome = bounded(folder, command[0], "s.yaml", *command[1:])
    assert not outcome.fault, outcome
    assert outcome.code == 2, outcome
    assert "s.yaml" in outcome.err
    for message in messages:
        assert message in outcome.err, outcome.err


# ---- study files

LAUGHS = "".join(f"a{k}: &a{k} [{','.join([f'*a{k - 1}' if k else 'lol'] * 9)}]\n" for k in range(10))
YAML = {
    "anchors that repeat one another": (LAUGHS + SHORT["graded"], "aliases", ":5:"),
    "merge keys that repeat one another": (
        "a0: &a0 {x: 1}\n" + "".join(f"a{k}: &a{k} {{<<: [{','.join([f'*a{k - 1}'] * 9)}]}}\n" for k in range(1, 10)),
        "aliases",
    ),
    "an anchor inside of itself": (SHORT["graded"] + "name: &a [*a]\n", "inside of what it repeats"),
    "deep lists": (SHORT["graded"] + "name: " + "[" * 3000 + "]" * 3000, "more than 30 levels", ":5:"),
    "deep mappings": (SHORT["graded"] + "name: " + "{a: " * 3000, "more than 30 levels"),
    "deep dashes": (SHORT["graded"] + "name:\n " + "- " * 3000, "more than 30 levels"),
    "many unknown keys": (SHORT["graded"] + "".join(f"key{k}: 1\n" for k in range(20_000)), "more than 10,000"),
    "unknown keys within the limit": (
        SHORT["graded"] + "".join(f"kye{k}: 1\n" for k in range(4_000)), "unknown key", "further problems",
    ),
    "a list of wrong values": (SHORT["graded"] + f"lengths: [{', '.join(['x'] * 9000)}]\n", "s.yaml:5"),
    "a huge file": (SHORT["graded"] + "# comment\n" * 100_000, "at most 0.5 MB"),
    "a long name": (SHORT["graded"] + "name: " + "a" * 400_000 + "\n", "name", "..."),
    "a long key": (SHORT["graded"] + "a" * 400_000 + ": 1\n", "not valid YAML"),
    "an integer of 5000 digits": (SHORT["graded"] + "seed: " + "9" * 5000, "5,000 characters", ":5:"),
    "a hexadecimal integer": (SHORT["graded"] + "seed: 0x" + "F" * 5000, "5,002 characters", ":5:"),
    "a binary integer": (SHORT["graded"] + "seed: 0b" + "1" * 50_000, "50,002 characters"),
    "an octal integer that is too large": (SHORT["graded"] + "seed: 0o7777777777777777777777777", "seed"),
    "an infinite number": (SHORT["graded"].replace("0.2", ".inf"), "l_max", "finite"),
    "not a number": (SHORT["graded"].replace("0.2", ".nan"), "l_max", "finite"),
    "a number beyond floats": (SHORT["graded"].replace("0.2", "1e999"), "l_max", "finite"),
    "a mapping as a key": (SHORT["graded"] + "? {a: b}\n: 1\n", "one word"),
    "a list as a key": (SHORT["graded"] + "[a, b]: 1\n", "one word"),
    "a tag of Python": (SHORT["graded"] + "name: !!python/object/apply:os.system ['touch PWNED']\n", "tag", ":5:"),
    "an unknown tag": (SHORT["graded"] + "name: !foo bar\n", "tag '!foo'"),
    "a set": (SHORT["graded"] + "name: !!set {a, b}\n", "tag"),
    "a wrong timestamp": (SHORT["graded"] + "name: !!timestamp x\n", "s.yaml"),
    "a wrong integer": (SHORT["graded"] + "seed: !!int x\n", "s.yaml"),
    "a key twice": (SHORT["graded"] + "seed: 1\nseed: 2\n", "duplicate key", ":6:"),
    "two documents": (SHORT["graded"] + "---\nseed: 1\n", "single document"),
    "UTF-16": (SHORT["graded"].encode("utf-16"), "not UTF-8"),
    "Latin-1": (SHORT["graded"].encode() + "name: \xe9\n".encode("latin-1"), "not UTF-8"),
    "NUL": (SHORT["graded"] + "name: a\0b\n", "not valid YAML"),
    "an escape sequence": (SHORT["graded"] + "name: a\x1b[31m\n", "not valid YAML"),
    "an escape sequence that is written out": (SHORT["graded"] + 'name: "\\e]0;x\\a"\n', "name", "\\x1b"),
    "a change of the direction of writing": (SHORT["graded"] + "name: a\u202eb\n", "name", "\\u202e"),
    "an empty file": ("", "is empty"),
    "a user who does not exist": (SHORT["reconstruct"].format("~nosuchuser/x.png"), "input", "no user"),
    "a path that is too long": (SHORT["characterize"].format("a" * 5000), "input", "too long"),
    "a path of many folders": (SHORT["reconstruct"].format("a/" * 3000), "input"),
    "a path with NUL": (SHORT["porometry"].format('"a\\0b"'), "input", "path of a file"),
    "a device": (SHORT["porometry"].format("/dev/zero"), "input", "a device"),
    "a volume that is a device": (SHORT["characterize"].format("/dev/zero"), "input", "a device"),
    "a quantity of many blanks": (
        SHORT["characterize"].format("x.npy").replace("3 nm", "'3 nm" + " " * 100_000 + "x'"), "voxel_size",
    ),
    "a power tower as a unit": (SHORT["characterize"].format("x.npy").replace("3 nm", "3 nm^9^9^9"), "voxel_size"),
}  # fmt: skip


@pytest.mark.parametrize("name", YAML)
def test_study_files(bounded, tmp_path, name):
    text, *messages = YAML[name]
    refused(bounded, tmp_path, text, *messages)
    assert not (tmp_path / "PWNED").exists()


def test_a_byte_order_mark_is_read(bounded, tmp_path):
    (tmp_path / "s.yaml").write_bytes(b"\xef\xbb\xbf" + SHORT["graded"].encode())
    assert bounded(tmp_path, "check", "s.yaml").code == 0


@pytest.mark.parametrize("kind", ["folder", "pipe", "socket", "loop", "dangling", "secret", "long"])
def test_study_files_that_are_none(bounded, tmp_path, kind):
    """The study itself, and the inputs of each kind, are something else than files."""
    path, message = (
        tmp_path / "x.yaml",
        {"folder": "a folder", "pipe": "a named pipe", "socket": "a socket"}.get(kind, ""),
    )
    sockets = []
    for suffix in (".yaml", ".csv", ".tif", ".npy", ".png", ".xlsx", ".json"):
        path = tmp_path / f"x{suffix}"
        if kind == "folder":
            path.mkdir()
        elif kind == "pipe":
            os.mkfifo(path)
        elif kind == "socket":
            folder = os.getcwd()
            os.chdir(tmp_path)  # a socket's path is short
            sockets.append(socket.socket(socket.AF_UNIX))
            sockets[-1].bind(path.name)
            os.chdir(folder)
        elif kind == "loop":
            path.symlink_to(path.name)
        elif kind == "dangling":
            path.symlink_to("nowhere")
        elif kind == "secret":
            if os.geteuid() == 0:
                pytest.skip("root reads all files")
            path.touch(mode=0)
    outcome = bounded(tmp_path, "check", "x" * 5000 if kind == "long" else "x.yaml")
    assert (outcome.code, outcome.fault) == (2, "")
    assert message in outcome.err
    for study, suffixes in {"reconstruct": (".png", ".tif", ".npy"), "porometry": (".csv", ".xlsx", ".json"),
                            "characterize": (".tif", ".npy")}.items():  # fmt: skip
        for suffix in suffixes:
            if (study, kind) != ("characterize", "folder") and kind != "long":
                refused(bounded, tmp_path, SHORT[study].format(f"x{suffix}"), "input", message)
    for each in sockets:
        each.close()


def test_assignments(bounded, tmp_path):
    (tmp_path / "s.yaml").write_text(SHORT["graded"])
    for text in ("seed=0x" + "F" * 5000, "input=~nosuchuser/x", ".".join("a" * 3000) + "=1", "seed=[" * 2000,
                 "seed=!!python/name:os.system", "name=\x1b[31m"):  # fmt: skip
        outcome = bounded(tmp_path, "check", "s.yaml", "--set", text)
        assert (outcome.code, outcome.fault) == (2, ""), text[:50]


# ---- tables


def xlsx(cells: dict[str, str], *, names: str = "", **members: bytes) -> bytes:
    """A workbook of one sheet, with the XML of its cells by their coordinate."""
    import openpyxl

    book = openpyxl.Workbook()
    stream = io.BytesIO()
    book.save(stream)
    rows = "".join(f'<row r="{key.strip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")}">{xml}</row>' for key, xml in cells.items())
    namespace = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    sheet = f'{names}<worksheet xmlns="{namespace}"><sheetData>{rows}</sheetData></worksheet>'
    replaced = {"xl/worksheets/sheet1.xml": sheet.encode()} | {
        k.replace("__", "/") + ".xml": v for k, v in members.items()
    }
    target = io.BytesIO()
    with zipfile.ZipFile(stream) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, replaced.get(name, old.read(name)))
        for name in replaced.keys() - set(old.namelist()):
            new.writestr(name, replaced[name])
    return target.getvalue()


def text_cell(coordinate: str, text: str) -> str:
    return f'<c r="{coordinate}" t="inlineStr"><is><t>{text}</t></is></c>'


HEADER = text_cell("A1", "membrane") + text_cell("B1", "pressure [bar]") + text_cell("C1", "flux [LMH]")
BOMB = (
    '<!DOCTYPE x [<!ENTITY a0 "lol">' + "".join(f'<!ENTITY a{k} "{f"&a{k - 1};" * 10}">' for k in range(1, 12)) + "]>"
)
#: Content and messages. Large contents are computed by their test, not by every process that collects the tests.
TABLES = {
    "huge.csv": (HEAD + "x" * 200_000 + ",1,2\n", "field larger than field limit"),
    "open-quote.csv": (HEAD + '"M1,1,2\nM1,2,3\n', "row 2", "quotes"),
    "mixed.csv": (HEAD + "M1;1;2\nM1;2;3\nM1;3;4\n", "not recognised", "'membrane,pressure [bar],"),
    "columns.csv": ("a," * 1_000_000 + "\n", "1,000 columns", "row 1"),
    "rows.csv": (HEAD + "M1,1,2\n" * 30_000, "20,000 rows"),
    "blank.csv": ("\n" * 1_500_000, "1,000,000 lines"),
    "one-line.csv": ("x" * 30_000_000, "field limit"),
    "nul.csv": (HEAD + "M1,\0,2\n", "not text"),
    "unknown.csv": (HEAD.encode() + b"\x81\x8d,1,2\n", "save it as CSV in UTF-8"),
    "commas.csv": ("membrane;pressure [bar];flux [LMH]\nA;1,5;50\nA;2.5;100\n", "decimal signs differ", "row 2"),
    "escape.csv": (HEAD + "\x1b]0;pwned\x07\x1b[2JM1,x,2\n", "row 2", "\\x1b"),
    "header.csv": ("membrane\x1b[2J,pressure [bar],flux [LMH]\nM1,1,2\n", "column 1", "control characters"),
    "power.csv": ("membrane,pressure [bar^9^9^9],flux [LMH]\nM1,1,2\n", "not a recognised unit"),
    "long-header.csv": ("pressure " + "[" * 90_000 + ",flux [LMH]\n1,2\n", "pressure"),
    "huge-number.csv": (HEAD + f"M1,{'9' * 5000},2\n", "row 2", "must be a number"),
    "nan.csv": (HEAD + "M1,nan,2\nM1,inf,2\n", "row 3", "must be a number"),
    "empty.csv": ("", "no rows"),
    "deep.json": ("[" * 100_000, "nested"),
    "huge.json": ('[{"pressure [bar]": ' + "9" * 5000 + "}]", "digits"),
    "nan.json": (json.dumps([{"pressure [bar]": float("nan"), "flux [LMH]": float("inf")}]), "flux"),
    "types.json": ('[{"membrane": {"a": []}, "pressure [bar]": [1], "flux [LMH]": true}]', "row 1"),
    "many.json": ('[{"a": 1}' + ', {"a": 1}' * 30_000 + "]", "20,000 rows"),
    "keys.json": (json.dumps({f"k{n}": n for n in range(50_000)}), "lists of one length"),
    "latin.json": (b'[{"membrane": "\xe9"}]', "not UTF-8"),
    "large.json": ("[" + "[]," * 8_000_000 + "[]]", "at most 20 MB"),
    "broken.json": ("[1, 2", "line 1 column"),
    "text.xlsx": ("PK no workbook", "is no workbook"),
    "encrypted.xlsx": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(1000), "password"),
    "old.xls": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(1000), "save it as .xlsx"),
    "sheet.ods": ("PK", "save it as .xlsx"),
    "far.xlsx": (xlsx({"A1": HEADER, "A1048576": '<c r="XFD1048576"><v>1</v></c>'}), "cell XFD1048576", "20,000 rows"),
    "beyond.xlsx": (xlsx({"A1": HEADER, "A2000000000": '<c r="A2000000000"><v>1</v></c>'}), "beyond.xlsx"),
    "dates.xlsx": (xlsx({"A1": HEADER, "A2": '<c r="B2" t="d"><v>9999-99-99</v></c>'}), "dates.xlsx"),
    "numbers.xlsx": (xlsx({"A1": HEADER, "A2": '<c r="B2"><v>x</v></c>'}), "numbers.xlsx"),
    "shared.xlsx": (xlsx({"A1": '<c r="A1" t="s"><v>99</v></c>'}), "shared.xlsx"),
    "not-xml.xlsx": (xlsx({}, xl__workbook=b"<"), "not-xml.xlsx"),
    "no-xml.xlsx": (xlsx({}, xl__workbook=b"\xff" * 50), "no-xml.xlsx"),
    "entities.xlsx": (xlsx({"A1": text_cell("A1", "&a11;")}, names=BOMB), "document type"),
    "zeros.xlsx": (lambda: xlsx({"A1": HEADER}, xl__sharedStrings=b" " * 60_000_000), "unpacks to more than 20 MB"),
    "styles.xlsx": (lambda: xlsx({"A1": HEADER}, xl__styles=b"<a/>" * 1_000_000), "unpacks to more than 1 MB"),
    "formula.xlsx": (
        xlsx({"A1": HEADER, "A2": '<c r="A2"><v>1</v></c><c r="B2"><f>1+1</f></c><c r="C2"><v>3</v></c>'}),
        "formula without a value in cell B2",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_tables(bounded, tmp_path, name):
    content, *messages = TABLES[name]
    content = content() if callable(content) else content
    (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    refused(bounded, tmp_path, SHORT["porometry"].format(name), name, *messages)


# ---- images and volumes


def npy(header: str, content: bytes = b"") -> bytes:
    text = (header + " " * (-(len(header) + 11) % 64) + "\n").encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + content


def png(width: int, height: int, *, depth=8, colour=0, data: bytes = b"") -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def tiff(tags: dict[int, tuple[int, int]], *, following: int = 0, data: bytes = b"") -> bytes:
    """A little-endian TIFF of one directory at offset 8; entries are LONG values."""
    entries = {256: 4, 257: 4, 258: 8, 259: 1, 262: 1, 273: 500, 277: 1, 278: 4, 279: 16} | tags
    body = struct.pack("<H", len(entries))
    for tag, value in sorted(entries.items()):
        body += struct.pack("<HHII", tag, 4, 1, value) if isinstance(value, int) else struct.pack("<HHII", tag, *value)
    body += struct.pack("<I", following)
    return (b"II*\0" + struct.pack("<I", 8) + body).ljust(500, b"\0") + (data or bytes(16))


def strip(data: bytes, tags: dict[int, tuple[int, int]]) -> bytes:
    """A TIFF whose strip holds some data."""
    return tiff({**tags, 279: len(data)}, data=data)


def saved(image, form, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def images() -> dict[str, tuple]:
    from PIL import Image

    grey = Image.fromarray((np.arange(64 * 64).reshape(64, 64) % 251).astype("u1"))
    coloured = Image.merge("RGB", (grey, grey, grey.rotate(90)))
    exif = Image.Exif()
    exif[274] = 6
    ome = '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="a"><Pixels SizeX="4" SizeY="4" '
    ome += (
        'SizeZ="1000000000" SizeC="1" SizeT="1" Type="uint8" DimensionOrder="XYZCT"><TiffData/></Pixels></Image></OME>'
    )
    described = ome.encode() + b"\0"
    return {
        "bomb.png": (lambda: png(30_000, 30_000, data=bytes(30_001 * 3_000)), "exceeds limit"),
        "colours.png": (saved(coloured, "PNG"), "colour channels"),
        "cmyk.jpg": (saved(grey.convert("CMYK"), "JPEG"), "colour channels"),
        "palette.png": (saved(coloured.quantize(64), "PNG"), "colour channels"),
        "turned.jpg": (saved(grey, "JPEG", exif=exif), "orientation 6"),
        "truncated.png": (saved(grey, "PNG")[:-200], "truncated"),
        "truncated.jpg": (saved(grey, "JPEG")[:200], "cannot be read as an image"),
        "animated.png": (saved(grey, "PNG", save_all=True, append_images=[grey.rotate(90)]), "several images"),
        "animated.gif": (saved(grey, "GIF", save_all=True, append_images=[grey.rotate(90)]), "several images"),
        "zero.png": (png(0, 0), "cannot be read as an image"),
        "sizes.png": (png(2**31 - 1, 2**31 - 1), "cannot be read as an image"),
        "vector.png": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "cannot identify"),
        "pages.png": (b"%PDF-1.4\n", "cannot identify"),
        "postscript.png": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "cannot identify"),
        "empty.png": (b"", "cannot identify"),
        "object.npy": (
            npy("{'descr': '|O', 'fortran_order': False, 'shape': (4, 4), }", b"\x80\x04N."),
            "Python objects",
        ),
        "fields.npy": (npy("{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (2,), }", bytes(16)), "numbers"),
        "text.npy": (npy("{'descr': '<U2', 'fortran_order': False, 'shape': (2, 2), }", bytes(32)), "numbers"),
        "complex.npy": (npy("{'descr': '<c16', 'fortran_order': False, 'shape': (2, 2), }", bytes(64)), "numbers"),
        "shape.npy": (
            npy("{'descr': '|u1', 'fortran_order': False, 'shape': (1000000, 1000000), }", bytes(64)),
            "size",
        ),
        "negative.npy": (npy("{'descr': '|u1', 'fortran_order': False, 'shape': (-4, -4), }", bytes(64)), "negative"),
        "header.npy": (npy("{'descr': " + "(" * 9000), "header.npy"),
        "pickle.npy": (b"\x80\x04cos\nsystem\n(S'touch PWNED'\ntR.", "not a NumPy file"),
        "archive.npy": (b"PK\x03\x04" + bytes(100), "not a NumPy file"),
        "constant.npy": (npy("{'descr': '|u1', 'fortran_order': True, 'shape': (64, 64), }", bytes(4096)), "input"),
        "large.tif": (tiff({256: 2**31 - 1, 257: 2**31 - 1}), "at most 300 MB"),
        "strips.tif": (tiff({273: (4, 2**31 - 1, 500), 279: (4, 2**31 - 1, 500)}), "strips.tif"),
        "beyond.tif": (tiff({273: 2**31}), "beyond.tif"),
        "short.tif": (tiff({256: 400, 257: 400, 278: 400, 279: 160_000}), "short.tif"),
        "no-data.tif": (tiff({256: 400, 257: 400, 278: 400, 279: 0}), "no data"),
        "loop.tif": (tiff({}, following=8), "loop.tif"),
        "turned.tif": (tiff({274: 6}), "orientation 6"),
        "zero.tif": (tiff({256: 0, 257: 0}), "zero.tif"),
        "depth.tif": (tiff({258: 77}), "depth.tif"),
        "expands.tif": (
            lambda: strip(zlib.compress(bytes(300_000_000), 9), {256: 400, 257: 400, 278: 400, 259: 8}),
            "expands to more",
        ),
        "described.tif": (
            tiff({270: (2, len(described), 516)}, data=bytes(16) + described),
            "1,000,000,000 images",
        ),
        "photo.tif": (
            lambda: strip(photo(), {256: 16, 257: 16, 278: 16, 259: 7}),
            "a JPEG of 3000 x 3000 pixels",
        ),
        "codec.tif": (tiff({259: 34712}), "its compression, JPEG2000, is not read"),
        "zstd.tif": (
            lambda: strip(imagecodecs.zstd_encode(bytes(300_000_000)), {256: 400, 257: 400, 278: 400, 259: 50000}),
            "zstd.tif",
        ),
        "lzw.tif": (
            lambda: strip(imagecodecs.lzw_encode(bytes(100_000_000)), {256: 400, 257: 400, 278: 400, 259: 5}),
            "lzw.tif",
        ),
        "text.tif": (b"kind: graded\n", "not a TIFF file"),
        "empty.tif": (b"", "empty.tif"),
    }


def photo() -> bytes:
    from PIL import Image

    return saved(Image.new("L", (3000, 3000)), "JPEG")


IMAGES = images()


@pytest.mark.parametrize("name", IMAGES)
def test_images(bounded, tmp_path, name):
    content, *messages = IMAGES[name]
    (tmp_path / name).write_bytes(content() if callable(content) else content)
    refused(bounded, tmp_path, SHORT["reconstruct"].format(name), name, *messages)
    assert not (tmp_path / "PWNED").exists()
    if name.endswith((".tif", ".npy")):
        refused(bounded, tmp_path, SHORT["characterize"].format(name), name)
    else:
        refused(bounded, tmp_path, SHORT["characterize"].format(name), name, "unknown format")


def test_nan_in_an_image(bounded, tmp_path):
    image = np.where(np.arange(4096).reshape(64, 64) % 7 > 3, 200.0, 50.0)
    image[3, 5] = np.nan
    np.save(tmp_path / "nan.npy", image)
    refused(bounded, tmp_path, SHORT["reconstruct"].format("nan.npy"), "nan.npy", "finite")


OME = {
    "version": "0.5",
    "multiscales": [
        {
            "name": "a",
            "axes": [{"name": axis, "type": "space", "unit": "nanometer"} for axis in "zyx"],
            "datasets": [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [3.0, 3.0, 3.0]}]}],
        }
    ],
}
ARRAY = {
    "zarr_format": 3,
    "node_type": "array",
    "shape": [20, 20, 20],
    "data_type": "uint8",
    "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [20, 20, 20]}},
    "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
    "fill_value": 0,
    "codecs": [{"name": "bytes"}],
    "attributes": {},
}


def changed(original, path, value):
    """A copy in which the entry at a path is another; without the entry if the value is ``...``."""
    copy = json.loads(json.dumps(original))
    node = copy
    for name in path[:-1]:
        node = node[name]
    if value is ...:
        del node[path[-1]]
    else:
        node[path[-1]] = value
    return copy


GRID = ("chunk_grid", "configuration", "chunk_shape")
ZARR = {
    "no-images": (changed(OME, ("multiscales",), []), ARRAY, "without an image"),
    "text-for-images": (changed(OME, ("multiscales",), "x"), ARRAY, "do not follow OME-Zarr"),
    "number-for-ome": (3, ARRAY, "without an image"),
    "no-datasets": (changed(OME, ("multiscales", 0, "datasets"), ...), ARRAY, "do not follow OME-Zarr", "datasets"),
    "no-level": (changed(OME, ("multiscales", 0, "datasets"), []), ARRAY, "do not follow OME-Zarr"),
    "level-elsewhere": (changed(OME, ("multiscales", 0, "datasets", 0, "path"), "../../etc"), ARRAY, "outside of it"),
    "level-number": (changed(OME, ("multiscales", 0, "datasets", 0, "path"), {"a": 1}), ARRAY, "do not follow"),
    "axes": (changed(OME, ("multiscales", 0, "axes"), [1, 2, 3]), ARRAY, "axes"),
    "scale-zero": (
        changed(OME, ("multiscales", 0, "datasets", 0, "coordinateTransformations", 0, "scale"), [0, 0, 0]),
        ARRAY,
        "0 x 0",
    ),
    "scale-text": (
        changed(OME, ("multiscales", 0, "datasets", 0, "coordinateTransformations", 0, "scale"), ["a", "b", "c"]),
        ARRAY,
        "do not follow OME-Zarr",
    ),
    "huge-planes": (
        OME,
        changed(changed(ARRAY, ("shape",), [2, 10**6, 10**6]), GRID, [1, 1000, 1000]),
        "a plane of it",
    ),
    "many-chunks": (OME, changed(ARRAY, ("shape",), [10**12] * 3), "chunks"),
    "huge-chunk": (OME, changed(changed(ARRAY, ("shape",), [10**4] * 3), GRID, [10**4] * 3), "a chunk of it"),
    "negative": (OME, changed(ARRAY, ("shape",), [-20, 20, 20]), "negative"),
    "text-shape": (OME, changed(ARRAY, ("shape",), "x"), "text-shape"),
    "codec": (OME, changed(ARRAY, ("codecs",), [{"name": "bytes"}, {"name": "no-such-codec"}]), "no-such-codec"),
    "no-codecs": (OME, changed(ARRAY, ("codecs",), []), "no-codecs"),
    "objects": (OME, changed(ARRAY, ("data_type",), "object"), "objects"),
    "strings": (
        OME,
        changed(changed(ARRAY, ("data_type",), "string"), ("codecs",), [{"name": "vlen-utf8"}]),
        "strings",
    ),
    "complex": (
        OME,
        changed(changed(ARRAY, ("data_type",), "complex64"), ("fill_value",), [0, 0]),
        "grey values or labels",
    ),
    "dimensions": (OME, changed(changed(ARRAY, ("shape",), [20, 20]), GRID, [20, 20]), "three dimensions"),
    "format": (OME, changed(ARRAY, ("zarr_format",), 99), "format"),
    "list": (OME, [1, 2], "list"),
}


@pytest.mark.parametrize("name", ZARR)
def test_zarr_volumes(bounded, tmp_path, name):
    ome, array, *messages = ZARR[name]
    level = tmp_path / name / "0"
    level.mkdir(parents=True)
    (tmp_path / name / "zarr.json").write_text(
        json.dumps({"zarr_format": 3, "node_type": "group", "attributes": {"ome": ome}})
    )
    (level / "zarr.json").write_text(json.dumps(array))
    refused(bounded, tmp_path, SHORT["characterize"].format(name), name, *messages)


@pytest.mark.parametrize("content", ["[" * 100_000, "{", "", "null", "pipe", " " * 11_000_000, "\xff"])
def test_zarr_metadata_that_are_none(bounded, tmp_path, content):
    folder = tmp_path / "v.zarr"
    folder.mkdir()
    if content == "pipe":
        os.mkfifo(folder / "zarr.json")
    else:
        (folder / "zarr.json").write_text(content, encoding="latin-1")
    refused(bounded, tmp_path, SHORT["characterize"].format("v.zarr"), "v.zarr")


#: TIFF files that claim planes of 10^6 x 10^6 pixels: in one strip, in strips of a row, in tiles, of one bit, in pages.
ABSURD = {
    "strip": {256: 10**6, 257: 10**6, 278: 10**6},
    "rows": {256: 10**6, 257: 10**6, 278: 1},
    "tiles": {256: 10**6, 257: 10**6, 322: 16, 323: 16, 324: 500, 325: 16},
    "bits": {256: 10**6, 257: 10**6, 278: 10**6, 258: 1},
    "deflate": {256: 10**6, 257: 10**6, 278: 10**6, 259: 8},
    "depth": {256: 10**6, 257: 10**6, 278: 10**6, 32997: 10**6},
}


@pytest.mark.parametrize("form", ABSURD)
@pytest.mark.parametrize("where", ["file", "folder"])
def test_absurd_headers_of_volumes(bounded, tmp_path, form, where):
    """Refused within a second and 1 GB."""
    content = tiff(ABSURD[form])
    if where == "file":
        (tmp_path / "v.tif").write_bytes(content)
    else:
        (tmp_path / "v").mkdir()
        for number in range(3):
            (tmp_path / f"v/{number}.tif").write_bytes(content)
    name = "v.tif" if where == "file" else "v"
    (tmp_path / "s.yaml").write_text(SHORT["characterize"].format(name))
    outcome = bounded(tmp_path, "check", "s.yaml")
    assert (outcome.code, outcome.fault) == (2, ""), outcome
    assert any(text in outcome.err for text in ("MB", "one image", "truncated")), outcome.err
    assert outcome.seconds < 1, outcome


@pytest.mark.parametrize("compression", [None, "lzw"])
def test_an_absurd_stack(bounded, tmp_path, compression):
    """Every page claims 10^6 x 10^6 pixels."""
    import tifffile

    volume = np.zeros((5, 16, 16), "u1")
    tifffile.imwrite(tmp_path / "v.tif", volume, metadata=None, compression=compression, photometric="minisblack")
    with tifffile.TiffFile(tmp_path / "v.tif", mode="r+b") as file:
        for page in file.pages:
            for name in ("ImageWidth", "ImageLength", "RowsPerStrip"):
                page.tags[name].overwrite(10**6)
    (tmp_path / "s.yaml").write_text(SHORT["characterize"].format("v.tif"))
    outcome = bounded(tmp_path, "check", "s.yaml")
    assert (outcome.code, outcome.fault) == (2, ""), outcome
    assert "a plane of it has 1000000 x 1000000 values" in outcome.err
    assert outcome.seconds < 1, outcome


def test_zarr_chunks_that_are_none(bounded, tmp_path):
    import zarr

    array = zarr.create_array(tmp_path / "v.zarr", shape=(20, 20, 20), chunks=(20, 20, 20), dtype="u1")
    array[:] = np.random.default_rng(0).integers(0, 2, (20, 20, 20)) * 255
    chunk = tmp_path / "v.zarr/c/0/0/0"
    for content in (b"", b"x" * 50, chunk.read_bytes()[:-40], b"\xff" * 100_000):
        chunk.write_bytes(content)
        refused(bounded, tmp_path, SHORT["characterize"].format("v.zarr"), "v.zarr")


def test_folders_of_images(bounded, tmp_path):
    import tifffile

    folder = tmp_path / "images"
    folder.mkdir()
    refused(bounded, tmp_path, SHORT["characterize"].format("images"), "without TIFF images")
    for k in range(3):
        tifffile.imwrite(folder / f"²{k}.tif", np.tile(np.array([0, 255], "u1"), (20, 10)))
    tifffile.imwrite(folder / "²2.tif", np.zeros((5, 5), "u1"))
    refused(bounded, tmp_path, SHORT["characterize"].format("images"), "²2.tif has (5, 5) pixels")
    (folder / "²2.tif").unlink()
    os.mkfifo(folder / "²2.tif")
    refused(bounded, tmp_path, SHORT["characterize"].format("images"), "a named pipe")


def test_formats_that_are_not_read(bounded, tmp_path):
    for name in ("v.mhd", "v.nii", "v.vtk"):
        (tmp_path / name).write_bytes(b"NRRD0004\ntype: uchar\nsizes: 99 99 99\n\n")
        refused(bounded, tmp_path, SHORT["characterize"].format(name), name, "unknown format", ".npy")


def test_runs_that_are_none(bounded, tmp_path):
    """A folder that claims to be a run of a reconstruction."""
    for content in ("", "[" * 100_000, "[]", "{}", '{"kind": []}', '{"identity": 3}', "\0", '{"kind": "graded"}'):
        shutil.rmtree(tmp_path / "r", ignore_errors=True)
        (tmp_path / "r").mkdir()
        (tmp_path / "r/run.json").write_text(content)
        (tmp_path / "s.yaml").write_text(SHORT["characterize"].format("r"))
        outcome = bounded(tmp_path, "check", "s.yaml")
        assert (outcome.code, outcome.fault) == (2, ""), outcome


def test_network_files(tmp_path):
    """Each of the four files: missing, empty, of other sizes, with text for numbers, or no text."""
    from membrane_dask.io.network_files import read_statoil

    good = {
        "node1": "2 1 1 1\n1 0 0 0 1 2 0 0 1\n2 0 0 1 1 1 0 0 1\n", "node2": "1 1 1 1 0\n2 1 1 1 0\n",
        "link1": "1\n1 1 2 0.1 0.03 1\n", "link2": "1 1 2 0.1 0.1 0.8 1 0\n",
    }  # fmt: skip

    def write(**files):
        for name, text in (good | files).items():
            (tmp_path / f"n_{name}.dat").write_bytes(text if isinstance(text, bytes) else text.encode())

    write()
    assert len(read_statoil(tmp_path / "n").junctions) == 2
    for name, text, messages in (
        ("node1", "", "node1.dat"),
        ("link1", "x\n", "link1.dat"),
        ("node1", "2 1 1 1\n1 a b c\n2 0 0 1\n", "node1.dat"),
        ("link2", "1 1 2\n", "link2.dat"),
        ("node2", b"\xff\xfe\0", "node2.dat"),
        ("link1", "1\n1 1 9 0.1 0.03 1\n", "link1.dat"),
        ("node1", "9" * 5000 + " 1 1 1\n", "node1.dat"),
        ("link1", "1\n1 1 2 nan 0.03 1\n", "link1.dat"),
        ("node1", "99999999 1 1 1\n1 0 0 0\n", "node1.dat"),
        ("link1", "1\n1 -1 0 0.1 0.03 1\n", "link1.dat"),
    ):
        write(**{name: text})
        with pytest.raises(ValueError, match=messages):
            read_statoil(tmp_path / "n")


def test_the_traceback_on_request(bounded, tmp_path, monkeypatch):
    """The traceback of the library that failed."""
    (tmp_path / "x.png").write_bytes(b"no image")
    (tmp_path / "s.yaml").write_text(SHORT["reconstruct"].format("x.png"))
    monkeypatch.setenv("MEMBRANE_DASK_DEBUG", "1")
    outcome = bounded(tmp_path, "check", "s.yaml")
    assert outcome.code == 2
    assert "UnidentifiedImageError" in outcome.err


@pytest.mark.parametrize("name", ["x.npy", "x.tif", "x.csv", "x.json"])
def test_large_valid_files_are_read(tmp_path, name):
    """Close to the limits: 100 MB of voxels or of comments, and as many rows as a table may have."""
    from membrane_dask.io.tables.flux_curves import read_flux_table
    from membrane_dask.io.volumes import open_volume_source

    path = tmp_path / name
    rows = [(f"m{k // 40}", 1 + k % 40, 30.5 + k % 40) for k in range(19_000)]
    if name in ("x.npy", "x.tif"):
        volume = np.random.default_rng(0).integers(0, 2, (100, 1000, 1000), np.uint8)
        if name == "x.npy":
            np.save(path, volume)
        else:
            import tifffile

            tifffile.imwrite(path, volume, photometric="minisblack")
        del volume
        assert open_volume_source(path).shape == (100, 1000, 1000)
    elif name == "x.csv":
        path.write_text(f"#{'x' * 600}\n" * 160_000 + HEAD + "".join(f"{a},{b},{c}\n" for a, b, c in rows))
        assert path.stat().st_size > 95e6
        assert len(read_flux_table(path).membranes) == 475
    else:
        names = ("membrane", "pressure [bar]", "flux [LMH]")
        path.write_text(json.dumps([dict(zip(names, row, strict=True)) for row in rows]))
        assert len(read_flux_table(path).membranes) == 475
