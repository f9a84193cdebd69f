"""Bad studies end with exit 2, before any work, with messages that name the fault."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from types import SimpleNamespace

import imageio.v3 as iio
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from membrane_dask.cli import main
from membrane_dask.errors import StudyError
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.studies.registry import find_kind, kind_names
from membrane_dask.study_file import commented_study, json_schema, load_study, setting_keys, to_yaml
from membrane_dask.yaml_files import parse_yaml


def command(*arguments: object) -> tuple[int, str, str]:
    """Run a command in this process: exit code, stdout, stderr."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as left:
        main([str(argument) for argument in arguments])
    return left.value.code, out.getvalue(), err.getvalue()


@pytest.fixture
def graded(tmp_path) -> Path:
    path = tmp_path / "filter.yaml"
    path.write_text("kind: graded\nl_max: 0.2\ngradient: [0, 2e-3]\nrealizations: 2\n")
    return path


@pytest.fixture
def micrograph(tmp_path) -> Path:
    """Dark blotches on a bright ground."""
    from scipy.ndimage import gaussian_filter

    noise = gaussian_filter(np.random.default_rng(0).random((96, 128)), 2.5)
    image = (40 + 160 * (noise > np.quantile(noise, 0.4)) + 30 * noise).astype(np.uint8)
    iio.imwrite(tmp_path / "membrane.png", image)
    path = tmp_path / "membrane.yaml"
    path.write_text("kind: reconstruct\ninput: membrane.png\npixel_size: 3 nm\nvolume:\n  slices: 16\n")
    return path


@pytest.mark.parametrize(
    ("line", "messages"),
    [
        ("radus: 0.01", ["filter.yaml:5:1", "radus", "did you mean 'radius'?", "0.01"]),
        ("radius: -0.01", ["filter.yaml:5:1", "radius", "must be greater than 0", "-0.01"]),
        ("bands: 6", ["filter.yaml:2:1", "l_max", "1/bands = 0.166667", "0.2"]),
        ("l_min: 0.25", ["l_max", "greater than l_min = 0.25", "0.2"]),
        ("radius: 0.002", ["filter.yaml:3:", "gradient", "must be less than 0.00133333"]),
        ("porosity: yes", ["porosity", "must be a number", "'yes'"]),
        ("bands: true", ["bands", "must be a whole number", "True"]),
        ("seed: 1.5", ["seed", "must be a whole number", "1.5"]),
        ("porosity: .nan", ["porosity", "finite"]),
        ("time_step: 1e-9", ["time_step", "at most 100000"]),
        ("cluster: {wrokers: 2}", ["cluster.wrokers", "did you mean 'workers'?"]),
        ("cluster: {memory: 2}", ["cluster.memory", "a number with a unit is needed", "2 GB"]),
        ("cluster: {profile: locl}", ["cluster.profile", "did you mean 'local'?"]),
        ("name: ../up", ["name", "letters, digits"]),
        ("kind: graded", ["filter.yaml:5:1", "duplicate key"]),
        ("radius: [", ["filter.yaml:6:1", "not valid YAML"]),
    ],
)
def test_faults_are_named(graded, line, messages):
    graded.write_text(graded.read_text() + line + "\n")
    for arguments in (("check", graded), ("run", graded, "--out", graded.parent / "out")):
        code, out, err = command(*arguments)
        assert code == 2
        assert out == ""
        assert all(word in err for word in messages), err
    assert not (graded.parent / "out").exists()


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        ("radius: 0,01", "radius.0: must be a number (got '0,01'); write the decimal sign as a point: '0.01'"),
        ("cluster: {memory: '1,5 GB'}", "(got '1,5 GB'); write the decimal sign as a point: '1.5 GB'"),
        ("execution:\n  timeout: 1,5 h", "write the decimal sign as a point: '1.5 h'"),
        ("radius: 1,000", "as a point: '1.000', and thousands without a sign: '1000'"),
        ("cluster: {memory: 1,5 GB}", "1,5 may be one number or two; write 1.5 for one, and a space after each comma"),
        ("radius: [0.01, 0,02]", "0,02 may be one number or two; write 0.02 for one"),
    ],
)
def test_a_decimal_comma_is_refused(graded, line, advice):
    graded.write_text(graded.read_text() + line + "\n")
    code, _, err = command("check", graded)
    assert code == 2
    assert advice in err


@pytest.mark.parametrize("values", ["[0,1e-3,2e-3]", "[0, 1e-3]", "[0.0,1e-3, 2e-3]"])
def test_lists_without_a_decimal_comma_are_read(graded, values):
    graded.write_text(graded.read_text().replace("[0, 2e-3]", values))
    assert load_study(graded).gradient[:2] == (0.0, 1e-3)


def test_all_faults_at_once(graded):
    graded.write_text(graded.read_text() + "radius: -1\nporosty: 0.5\nbands: x\n")
    code, _, err = command("check", graded, "--set", "seed=-1")
    assert code == 2
    assert len(err.splitlines()) == 4
    assert "--set seed=-1: seed: must be at least 0" in err


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("- a\n- b\n", "this file is a list"),
        ("hello\n", "this file is text"),
        ("", "this file is empty"),
        ("seed: 3\n", "kind: required; one of chain, characterize"),
        ("kind: gradet\n", "did you mean 'graded'?"),
        ("kind: [graded]\n", "unknown study kind"),
        ("\x00\x01", "not valid YAML"),
    ],
)
def test_files_that_are_no_study(tmp_path, text, messages):
    path = tmp_path / "x.yaml"
    path.write_text(text)
    code, _, err = command("check", path)
    assert code == 2
    assert messages in err


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("flux table.csv", ["porometry"]), ("membrane.png", ["reconstruct"]),
        ("stack.tif", ["characterize", "reconstruct"]), ("volume.npy", ["characterize"]),
    ],
)  # fmt: skip
def test_a_data_file_where_a_study_is_needed(tmp_path, monkeypatch, name, kinds):
    """The commands that the message names write studies that read the file."""
    monkeypatch.chdir(tmp_path)
    noise = np.random.default_rng(0).integers(0, 255, (4, 40, 40), np.uint8)
    if name.endswith("csv"):
        Path(name).write_text("membrane,pressure [bar],flux [L m-2 h-1]\nA,1,10\nA,2,21\nA,3,30\n")
    elif name.endswith("npy"):
        np.save(name, noise)
    else:
        iio.imwrite(name, noise[0] if name.endswith("png") else noise)
    for subcommand in ("check", "plan", "run"):
        code, _, err = command(subcommand, name)
        assert code == 2
        assert f"{name}: a data file, not a study; write a study that reads it: membrane-dask new {kinds[0]}" in err
    commands = re.findall(r"membrane-dask (new (\w+) --input .*?) > study.yaml", err)
    assert [kind for _, kind in commands] == kinds
    for line, kind in commands:
        code, text, _ = command(*shlex.split(line))
        assert code == 0
        Path("study.yaml").write_text(text)
        size = {"reconstruct": ["--set", "pixel_size=3 nm"], "characterize": ["--set", "voxel_size=3 nm"]}.get(kind, [])
        _, _, err = command("check", "study.yaml", *size)
        assert "no such file" not in err
        assert parse_yaml(text)[0]["input"] == name
        if kind == "porometry":
            assert command("check", "study.yaml")[0] == 0


def test_a_plan_is_printed_before_its_cost_is_measured(tmp_path, monkeypatch):
    path = tmp_path / "filter.yaml"
    path.write_text("kind: graded\nl_max: 0.2\ngradient: [0]\nrealizations: 2\n")
    printed = []
    monkeypatch.setattr("membrane_dask.cli.studies.show", printed.append)

    def measured(plan):
        assert str(printed[-1]).startswith("study ")
        return SimpleNamespace(rows=lambda: [*plan.rows(), ("cost", "about 60 s of CPU time")])

    monkeypatch.setattr("membrane_dask.cli.studies.measured", measured)
    outcome = command("plan", path)
    assert outcome[0] == 0, outcome
    assert printed[1:] == ["cost     about 60 s of CPU time"]


def test_a_study_that_cannot_be_read_is_no_data_file(tmp_path):
    path = tmp_path / "study.csv"
    path.write_text("kind: porometry\ninput: [\n")
    code, _, err = command("check", path)
    assert code == 2
    assert "a data file" not in err
    assert "study.csv:3:1: not valid YAML" in err


def test_a_data_file_needs_a_kind():
    code, _, err = command("new", "--input", "data.csv")
    assert code == 2
    assert "needs a kind" in err


def test_new_without_a_kind_lists_what_each_is_for():
    code, out, _ = command("new")
    assert code == 0
    for kind in kind_names():
        assert f"{kind} " in out
        assert find_kind(kind).purpose in out


def test_missing_study_names_its_neighbour(graded):
    code, _, err = command("run", graded.with_name("filtre.yaml"))
    assert code == 2
    assert "did you mean" in err
    assert "filter.yaml" in err


@pytest.mark.parametrize("name", ["pixel_size", "input"])
def test_required_fields(micrograph, name):
    lines = [line for line in micrograph.read_text().splitlines() if not line.startswith(name)]
    micrograph.write_text("\n".join(lines))
    code, _, err = command("check", micrograph)
    assert code == 2
    assert f"{name}: required" in err


@pytest.mark.parametrize("value", ["3", "-3 nm", "0 nm", "3 kg", "nm", "3 parsnips", "1e400 nm"])
def test_pixel_size_needs_a_length(micrograph, value):
    code, _, err = command("check", micrograph, "--set", f"pixel_size={value}")
    assert code == 2
    assert "pixel_size" in err
    assert f"--set pixel_size={value}" in err


@pytest.mark.parametrize(("value", "nm"), [("3 nm", 3), ("0.003 um", 3), ("5.345 µm", 5345), ("30 angstrom", 3)])
def test_pixel_size_in_any_unit_of_length(micrograph, value, nm):
    study = load_study(micrograph, [f"pixel_size={value}"])
    assert study.pixel_size == pytest.approx(nm, rel=1e-12)


def write_image(path: Path, case: str) -> None:
    rng = np.random.default_rng(1)
    if case == "rgb":
        iio.imwrite(path, rng.integers(0, 255, (96, 96, 3), dtype=np.uint8))
    elif case == "black":
        iio.imwrite(path, np.zeros((96, 96), np.uint8))
    elif case == "small":
        iio.imwrite(path, rng.integers(0, 255, (10, 10), dtype=np.uint8))
    elif case == "truncated":
        iio.imwrite(path, rng.integers(0, 255, (96, 96), dtype=np.uint8))
        path.write_bytes(path.read_bytes()[:200])
    elif case == "text":
        path.write_text("not an image")


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize(
    ("case", "word"),
    [
        ("rgb", "grey"),
        ("black", "constant"),
        ("small", "10"),
        ("truncated", "read"),
        ("text", "read"),
        ("missing", "no such file"),
    ],
)
def test_images_that_cannot_be_used(micrograph, case, word, suffix):
    name = f"{case}{suffix}"
    write_image(micrograph.parent / name, case)
    text = micrograph.read_text().replace("membrane.png", name)
    micrograph.write_text(text)
    for arguments in (("check", micrograph), ("run", micrograph, "--out", micrograph.parent / "out", "--limit", 0)):
        code, _, err = command(*arguments)
        assert code == 2, err
        assert "membrane.yaml:2:1: input: " in err
        assert name in err
        assert word in err
        assert "Traceback" not in err
    assert not (micrograph.parent / "out").exists()


def test_missing_image_names_its_neighbour(micrograph):
    code, _, err = command("check", micrograph, "--set", f"input={micrograph.parent / 'membrain.png'}")
    assert code == 2
    assert "did you mean 'membrane.png'?" in err


def test_block_that_does_not_fit_into_memory(micrograph):
    wide = ("--set", "volume.width=4000", "--set", "volume.slices=128")
    code, _, err = command("plan", "--no-measure", micrograph, "--set", "cluster.memory=410 MB", *wide)
    assert code == 2
    assert "cluster.memory" in err
    assert "needs" in err


CONFIGS = Path(__file__).resolve().parents[2] / "configs"


@pytest.mark.parametrize("kind", [name for name in kind_names() if find_kind(name).check or name == "chain"])
def test_check_neither_computes_nor_imports_kernels(kind, tmp_path):
    """The program of a graded study is built, as it reads no file in most studies."""
    script = (
        "import sys; from membrane_dask.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as left: assert not left.code\n"
        "found = {'numba', 'skimage', 'scipy.ndimage', 'scipy.optimize', 'distributed'} & set(sys.modules)\n"
        "assert not found, found"
    )
    study = CONFIGS / f"{kind}-quickstart.yaml"
    outcome = subprocess.run(
        [sys.executable, "-c", script, "check", study], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert outcome.returncode == 0, outcome.stderr
    assert f"not checked, but by membrane-dask plan {study}: " in outcome.stderr


def test_check_leaves_the_segmentation_to_plan(micrograph):
    """An image whose grey values are no two phases can be read; what it holds is found by the plan, and by the run."""
    noise = np.random.default_rng(2).normal(120, 20, (96, 96)).clip(0, 255)
    iio.imwrite(micrograph.with_name("membrane.png"), noise.astype(np.uint8))
    code, _, err = command("check", micrograph)
    assert code == 0, err
    assert "segmentation, image model, knots, memory of the units" in err
    code, out, _ = command("check", micrograph, "--json")
    assert (code, json.loads(out)["unchecked"][1]) == (0, "segmentation")
    for arguments in (("plan", "--no-measure", micrograph), ("run", micrograph, "--out", micrograph.parent / "out")):
        code, _, err = command(*arguments)
        assert code == 2, err
        assert "do not separate into two phases" in err
    assert not (micrograph.parent / "out").exists()


def test_check_does_not_segment_a_grey_volume(tmp_path, monkeypatch):
    np.save(tmp_path / "grey.npy", np.random.default_rng(0).integers(0, 255, (24, 24, 24), np.uint8))
    path = tmp_path / "study.yaml"
    path.write_text("kind: characterize\ninput: grey.npy\nvoxel_size: 3 nm\ngrey: {method: auto}\n")

    def estimate(array, options):
        raise ValueError("it is segmented")

    monkeypatch.setattr("membrane_dask.io.grey_volumes.estimate_segmentation", estimate)
    code, _, err = command("check", path)
    assert code == 0, err
    assert "segmentation, memory of the units" in err
    code, _, err = command("plan", "--no-measure", path)
    assert code == 2
    assert "it is segmented" in err
    code, _, err = command("check", path, "--set", "voxel_size=2 m")
    assert code == 2
    assert "voxel_size" in err


def test_check_does_not_evaluate_readings(tmp_path, monkeypatch):
    """Tables are read whole; what readings say of a membrane is evaluated by the plan."""
    (tmp_path / "bubble.csv").write_text("membrane,bubble point [bar]\nA,2\nB,3\n")
    path = tmp_path / "study.yaml"
    settings = "method: bubble point\ntemperature: 25 degC\nliquid: isopropanol\n"
    path.write_text(f"kind: porometry\ninput: bubble.csv\n{settings}")

    def evaluate(readings, seed):
        raise PhysicsError("it is evaluated")

    monkeypatch.setattr("membrane_dask.studies.porometry.methods.bubble_point.evaluate", evaluate)
    code, _, err = command("check", path)
    assert code == 0, err
    assert "evaluation of the readings" in err
    code, _, err = command("plan", "--no-measure", path)
    assert code == 2
    assert "it is evaluated" in err


def test_check_finds_what_the_cluster_cannot_have(micrograph):
    code, _, err = command("check", micrograph, "--set", "cluster.memory=100 MB")
    assert code == 2
    assert "cluster.memory" in err


def test_sound_studies_pass(graded, micrograph):
    for path in (graded, micrograph):
        code, out, err = command("check", path)
        assert (code, out) == (0, "")
        assert "sound" in err


@pytest.mark.parametrize("kind", kind_names())
def test_commented_study_has_every_parameter_at_its_default(kind, tmp_path, micrograph):
    text = commented_study(kind, full=True)
    code, out, _ = command("new", kind, "--full")
    assert (code, out) == (0, text)
    path = tmp_path / "new.yaml"
    path.write_text(
        text.replace("micrograph.tif", "membrane.png")
        .replace("volume.tif", "membrane.png")
        .replace("flux.csv", "membrane.png")
        .replace("  damkohler_number: null", "  damkohler_number: 1.0")
    )
    study = load_study(path)
    plain = load_study(path, **{}) if kind == "graded" else None
    shortest = tmp_path / "short.yaml"
    required = "input: membrane.png\n" if kind != "graded" else ""
    required += "foulant: {damkohler_number: 1}\n" if kind == "foul" else ""
    shortest.write_text(f"name: new\nkind: {kind}\n{required}")
    assert study == load_study(shortest)
    assert plain is None or plain == study
    path.write_text(to_yaml(study))
    assert load_study(path) == study  # as kept in a run


@pytest.mark.parametrize("kind", kind_names())
def test_a_short_study_has_the_essential_parameters(kind):
    """Each of them exists, stands as in the full study, and is what decides that a line is there."""
    short, full = commented_study(kind).splitlines(), commented_study(kind, full=True).splitlines()
    assert command("new", kind)[1].splitlines() == short
    assert set(short) - set(full) == {f"# All other parameters: membrane-dask new {kind} --full"}
    assert len(short) <= 16
    model = find_kind(kind).settings_class
    keys = setting_keys(kind)
    for key in model.essential:
        assert any(f"{name}.".startswith(f"{key}.") for name in keys), key
    required = [name for name, field in model.model_fields.items() if field.is_required()]
    assert set(required) <= {key.split(".")[0] for key in model.essential}


@pytest.mark.parametrize(
    ("key", "values"),
    [("wall_model", "smooth, staircase"), ("sync", "true, false"), ("conductance", "stokes, mobility, series")],
)
def test_the_spellings_of_an_option_are_listed(key, values):
    line = next(line for line in commented_study("foul", full=True).splitlines() if line.lstrip().startswith(f"{key}:"))
    assert f"(one of: {values}" in line


def test_new_for_an_unknown_kind():
    code, _, err = command("new", "gradde")
    assert code == 2
    assert "did you mean 'graded'?" in err


def test_schema_is_json_and_names_every_kind():
    code, out, _ = command("schema")
    assert code == 0
    schema = json.loads(out)
    assert schema == json.loads(json.dumps(json_schema()))
    assert set(schema["discriminator"]["mapping"]) == set(kind_names())


def test_identity_is_what_decides_the_result(graded, micrograph, tmp_path):
    study = load_study(graded)
    same = load_study(graded, ["cluster.workers=1", "execution.batch=3", "name=other"])
    other = load_study(graded, ["seed=1"])
    assert study.identity() == same.identity() != other.identity()
    image = load_study(micrograph)
    copied = tmp_path / "elsewhere"
    copied.mkdir()
    for path in (micrograph, micrograph.with_name("membrane.png")):
        (copied / path.name).write_bytes(path.read_bytes())
    assert load_study(copied / micrograph.name).identity() == image.identity()
    with (copied / "membrane.png").open("ab") as stream:
        stream.write(b"\0")
    assert load_study(copied / micrograph.name).identity() != image.identity()


def test_values_by_keyword(graded):
    study = load_study(graded, realizations=7, cluster={"workers": 1})
    assert (study.realizations, study.cluster.workers, study.cluster.profile) == (7, 1, "local")
    with pytest.raises(StudyError, match="did you mean 'realizations'"):
        load_study(graded, realisations=7)


ANY = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 5), st.floats(), st.sampled_from([1e-300, 1e300, 0.2, 1e-3, 2**70]),
    st.text(max_size=8), st.lists(st.floats(0, 1), max_size=3),
    st.dictionaries(st.text(max_size=4), st.integers(), max_size=2),
)  # fmt: skip


def leaves(data: dict, before: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Paths of all entries of a study."""
    problems = []
    for key, value in data.items():
        problems.append((*before, key))
        if isinstance(value, dict):
            problems += leaves(value, (*before, key))
    return problems


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_mutated_studies_never_end_in_a_traceback(data, graded, micrograph):
    """Exit 0 or 2 with messages, whatever a study holds."""
    base = data.draw(st.sampled_from([graded, micrograph]))
    fields = load_study(base).model_dump(mode="json")
    changes = {}
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from([*leaves(fields), ("nonsense",)]))
        changes[path] = data.draw(ANY)
    for path, value in changes.items():
        node = fields
        for name in path[:-1]:
            node = node[name] if isinstance(node.get(name), dict) else node.setdefault(f"{name}x", {})
        node[path[-1]] = value
    study = base.with_name("mutated.yaml")
    study.write_text(json.dumps(fields))  # JSON is YAML; NaN and Infinity are not JSON, which is one more mutation
    assignment = data.draw(st.one_of(st.just("seed=3"), st.text(max_size=12).filter(lambda s: "\0" not in s)))
    out = base.parent / f"out-{os.urandom(4).hex()}"
    for arguments in (("check", study), ("run", study, "--limit", "0", "--out", out)):
        code, _, err = command(*arguments, f"--set={assignment}")
        assert code in (0, 2), err
        assert err
        assert "Traceback" not in err
