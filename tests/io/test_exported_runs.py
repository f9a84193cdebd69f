"""Exported runs: equal values in every format and place, metadata that validate, refusals."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from pathlib import Path
from types import SimpleNamespace

import networkx
import numpy as np
import pandas as pd
import pytest
import xarray as xr
import zarr

import membrane_dask as md
from membrane_dask import api
from membrane_dask.cli import main
from membrane_dask.engine.exported_run import INDEX, RESULT, ExportedRun
from membrane_dask.engine.lock import DriverLock
from membrane_dask.engine.run import RunNotFoundError
from membrane_dask.errors import ExportError, UnreadableRunError
from membrane_dask.io import sharded_zarr
from membrane_dask.io.exported_items import GridItem
from membrane_dask.io.ome_zarr import build_pyramid, create_volume, open_level
from membrane_dask.physics.analytic_problems import GradedMembrane
from membrane_dask.run_export import archive, networks, tables
from membrane_dask.run_export.stages import Stages

# Exports include the report.
pytestmark = pytest.mark.usefixtures("undrawn")

SHAPE = (150, 40, 160)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A characterization, with a volume of its own."""
    folder = tmp_path_factory.mktemp("study")
    np.save(folder / "membrane.npy", GradedMembrane(depth=60, slices=40, width=50).volume())
    path = folder / "membrane.yaml"
    path.write_text("kind: characterize\ninput: membrane.npy\nvoxel_size: 3 nm\ntortuosity: false\n")
    run = md.run(md.load_study(path, cluster={"profile": "sync"}), folder / "run")
    volume = run.path / "volumes" / "structure-0.ome.zarr"
    create_volume(volume, shape=SHAPE, block=20, voxel_size_nm=3.0, name="structure-0")
    open_level(volume)[...] = np.random.default_rng(1).choice(np.array([0, 255], np.uint8), SHAPE)
    build_pyramid(volume)
    return run


@pytest.fixture(scope="module")
def exported(run, without_drawings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "copy"
    with without_drawings():
        assert md.export(run, folder) == folder
    return folder


def require_equal(copy, run):
    assert (copy.kind, copy.identity, copy.name) == (run.kind, run.identity, run.name)
    xr.testing.assert_identical(copy.result.load(), run.result.load())
    assert copy.volumes == run.volumes
    for level in (0, 1):
        volume = copy.volume("structure-0", level)
        xr.testing.assert_identical(volume.load(), run.volume("structure-0", level).load())
    assert copy.provenance == run.provenance
    assert copy.study_text == (run.path / "study.yaml").read_text()
    assert copy.status()["state"] == "complete"


def test_a_folder_has_the_same_values(run, exported):
    require_equal(md.open_run(exported), run)
    assert "structure-0" in str(md.open_run(exported))


def test_the_report_of_a_stranger_stays_in_the_folder_and_runs_no_script(exported, tmp_path, monkeypatch):
    copy, folder = tmp_path / "copy", tmp_path / "a" / "b"
    shutil.copytree(exported, copy)
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    index = json.loads((copy / INDEX).read_text())
    (copy / INDEX).write_text(json.dumps(index | {"name": "../../evil"}))
    (copy / "report.html").write_text("<script>alert(1)</script>")
    path = md.write_report(str(copy))
    assert path.resolve() == folder / "evil-report.html"
    policy, text = path.read_text().split("<script>")
    assert "default-src 'none'" in policy.replace("&#39;", "'")
    assert "sha256-" in policy
    assert text == "alert(1)</script>"


def test_progress_of_an_export(run, tmp_path):
    """Each stage when it begins, and a percentage as often as lines of a run are printed."""
    events = []
    md.export(run, tmp_path / "copy.zip", formats=["zarr", "ozx", "csv"], listener=events.append)
    texts = [event.text for event in events]
    assert [text for text in texts if not text[0].isdigit()] == [
        "copying the inputs", "copying the result", "copying structure-0", "writing structure-0.ozx", "writing CSV",
        "computing the digests of all files", "writing the ZIP file",
    ]  # fmt: skip


def test_stages_have_percentages_and_few_events():
    seconds, events = [0.0], []
    stages = Stages(events.append, lambda: seconds[0])
    stages.begin("copying x", 1000)
    for number in range(1000):
        seconds[0] = 0.1 * number
        stages.advance()
    texts = [event.text for event in events]
    assert texts[0] == "copying x"
    assert texts[1] == "2 %: copying x"
    assert 15 < len(texts) < 40  # every 2 s, later after a tenth of the time
    assert texts[-1].partition(" ")[0] in {str(n) for n in range(90, 101)}


def test_the_sum_of_the_progress_is_the_size(tmp_path, monkeypatch):
    monkeypatch.setattr(sharded_zarr, "ONE_CHUNK", 100)
    monkeypatch.setattr(sharded_zarr, "SHARD", 1000)  # several regions of the larger array
    group = zarr.create_group(str(tmp_path / "source"))
    group.create_array("a", shape=(50, 7), chunks=(8, 7), dtype="f8")
    group.create_array("b", shape=(), dtype="i4")
    done = []
    sharded_zarr.copy_group(group, tmp_path / "copy", progress=done.append)
    assert len(done) > 2
    assert sum(done) == sharded_zarr.group_bytes(group) == 50 * 7 * 8 + 4


def test_a_zip_file_has_the_same_values(run, tmp_path):
    md.export(run, tmp_path / "copy.zip", formats=["zarr", "ozx"])
    require_equal(md.open_run(str(tmp_path / "copy.zip")), run)
    assert [path.name for path in tmp_path.iterdir()] == ["copy.zip"]  # nothing temporary is left


@pytest.mark.parametrize("suffix", ["", ".zip"])
def test_an_object_store_has_the_same_values(run, s3, suffix, capsys):
    url = f"{s3}/copy{suffix}"
    with pytest.raises(SystemExit) as leaving:
        main(["export", str(run.path), url, "--format", "zarr", "--format", "ozx"])
    said = capsys.readouterr()
    assert (leaving.value.code, said.out.strip()) == (0, url), said.err
    require_equal(md.open_run(url), run)
    with pytest.raises(ExportError, match=r"exists; choose another name"):
        md.export(run, url)
    md.export(run, url, formats=["csv"], overwrite=True)
    copy = md.open_run(url)
    assert copy.volumes == []
    with pytest.raises(KeyError, match="exported without the format 'zarr'"):
        copy.result  # noqa: B018


def test_what_an_object_store_refuses(run, s3):
    import fsspec

    with pytest.raises(ExportError, match="s3://nowhere/copy"):
        md.export(run, "s3://nowhere/copy", formats=["csv"])
    fsspec.filesystem("s3").pipe_file(f"{s3}/data/notes.txt".removeprefix("s3://"), b"mine")
    with pytest.raises(ExportError, match=r"not an exported run, .*is not replaced"):
        md.export(run, f"{s3}/data", formats=["csv"], overwrite=True)
    with pytest.raises(RunNotFoundError, match="holds no exported run"):
        md.open_run(f"{s3}/data")


def test_a_web_server_without_lists_of_files_is_enough(run, s3, s3_server):
    pytest.importorskip("aiohttp")
    md.export(run, f"{s3}/copy", formats=["zarr", "ozx"])
    require_equal(md.open_run(f"{s3}/copy".replace("s3:/", s3_server)), run)


def test_files_of_the_copy(run, exported):
    names = {path.relative_to(exported).as_posix() for path in exported.rglob("*") if path.is_file()}
    assert {INDEX, "ro-crate-metadata.json", "study.yaml", "provenance.json", "report.html",
            "volumes/structure-0.ozx", "csv/properties.replicate.csv", "csv/variables.csv", "networks/network_0.npz",
            "networks/network_0.graphml", "networks/network_0.vtu"} <= names  # fmt: skip
    with pytest.raises(RunNotFoundError):
        api.open_run(exported)  # a copy is closed: it is no run to resume
    arrays = sum(1 for name in names if name.startswith("result.zarr/") and name.endswith("zarr.json"))
    assert sum(name.startswith("result.zarr/") for name in names) <= 2 * arrays  # one chunk for each array


def test_a_zipped_volume_follows_its_specification(exported):
    with zipfile.ZipFile(exported / "volumes/structure-0.ozx") as archive:
        entries = archive.infolist()
        assert [entry.filename for entry in entries[:3]] == ["zarr.json", "0/zarr.json", "1/zarr.json"]
        assert {entry.compress_type for entry in entries} == {zipfile.ZIP_STORED}
        assert json.loads(archive.comment.rstrip(b"\0")) == {"ome": {"version": "0.5"}}
        codecs = json.loads(archive.read("0/zarr.json"))["codecs"]
        assert [codec["name"] for codec in codecs] == ["sharding_indexed"]
    models = pytest.importorskip("ome_zarr_models.v05.image")
    store = zarr.storage.ZipStore(exported / "volumes/structure-0.ozx", mode="r")
    models.Image.from_zarr(zarr.open_group(store, mode="r"))


def test_csv_tables_have_the_same_values(run, exported):
    meanings = pd.read_csv(exported / "csv/variables.csv", keep_default_na=False)
    unit = meanings.set_index(["file", "column"]).units
    compared = 0
    for path in sorted(exported.glob("csv/*.csv")):
        if path.name == "variables.csv":
            continue
        frame = pd.read_csv(path)
        dataset = run.result[path.name.split(".")[0]].to_dataset()
        for column in frame.columns:
            if column in dataset.data_vars and dataset[column].dtype.kind in "if":
                np.testing.assert_array_equal(frame[column].to_numpy(), dataset[column].values.ravel())
                assert unit[path.name, column] == dataset[column].units
                compared += 1
    assert compared > 30


def test_netcdf_files_have_the_same_values(run, exported):
    pytest.importorskip("h5netcdf")
    for name, table in run.result.children.items():
        with xr.open_datatree(exported / f"netcdf/{name}.nc", engine="h5netcdf") as copy:
            for node in table.subtree:
                stored = copy[node.path.removeprefix(table.path) or "/"].to_dataset()
                for variable, values in node.to_dataset().variables.items():
                    np.testing.assert_array_equal(stored[variable].values, values.values)
                    assert stored[variable].attrs.get("units") == values.attrs.get("units")


class TestNetworks:
    """Formats of other programs hold the network of the result, in metres."""

    @pytest.fixture
    def table(self, run):
        return run.result["network_0"].to_dataset()

    @pytest.fixture
    def arrays(self, exported):
        return dict(np.load(exported / "networks/network_0.npz"))

    def test_openpnm_has_what_its_models_read(self, table, arrays):
        pores, throats = table.sizes["pore"], table.sizes["throat"]
        inner = arrays["pore.boundary"] == 0
        assert inner.sum() == pores
        assert len(arrays["throat.conns"]) == throats
        nm = 1e-9
        np.testing.assert_allclose(arrays["pore.coords"][inner], table.position.values * nm, rtol=1e-14)
        np.testing.assert_allclose(arrays["pore.diameter"][inner], 2 * table.inscribed_radius.values * nm, rtol=1e-14)
        np.testing.assert_allclose(arrays["pore.volume"][inner], table.volume.values * nm**3, rtol=1e-14)
        np.testing.assert_allclose(arrays["throat.total_length"], table.throat_length.values * nm, rtol=1e-14)
        np.testing.assert_allclose(arrays["throat.cross_sectional_area"], table.throat_area.values * nm**2, rtol=1e-14)
        assert (arrays["throat.length"] >= arrays["throat.total_length"] / 2).all()
        ends = table.throat_conns.values[:, 1]
        assert arrays["pore.inlets"].sum() == (ends == -1).sum() > 0
        assert arrays["pore.outlets"].sum() == (ends == -2).sum() > 0
        for name in ("pore.diameter", "throat.diameter", "throat.length", "pore.volume", "throat.volume"):
            assert np.isfinite(arrays[name]).all()
        for name, values in arrays.items():
            if name != "extent":
                assert len(values) == len(arrays["pore.coords" if name.startswith("pore") else "throat.conns"]), name

    def test_it_is_read_back_as_the_same_network(self, run, exported):
        from membrane_dask.io.openpnm_files import read_openpnm

        network, copy = md.pore_network(run.result["network_0"]), read_openpnm(exported / "networks/network_0.npz")
        np.testing.assert_array_equal(np.sort(copy.throat_conns), np.sort(network.throat_conns))
        for name in ("junctions", "length", "radius"):
            np.testing.assert_array_equal(getattr(copy, name), getattr(network, name))

    def test_openpnm_solves_stokes_flow(self, arrays):
        op = pytest.importorskip("openpnm")
        network = op.network.Network()
        arrays.pop("extent")
        network.update(arrays)
        health = op.utils.check_network_health(network)
        assert not any(len(health[name]) for name in ("headless_throats", "looped_throats", "isolated_pores"))
        factors = op.models.geometry.hydraulic_size_factors.pyramids_and_cuboids
        network.add_model(propname="throat.hydraulic_size_factors", model=factors)
        assert np.isfinite(network["throat.hydraulic_size_factors"]).all()
        water = op.phase.Water(network=network)
        radius, length = arrays["throat.diameter"] / 2, arrays["throat.total_length"]
        water["throat.hydraulic_conductance"] = np.pi * radius**4 / (8 * 1e-3 * length)
        flow = op.algorithms.StokesFlow(network=network, phase=water)
        flow.set_value_BC(pores=network.pores("inlets"), values=1e5)
        flow.set_value_BC(pores=network.pores("outlets"), values=0)
        flow.run()
        rate_in, rate_out = (float(flow.rate(pores=network.pores(name))[0]) for name in ("inlets", "outlets"))
        assert rate_in > 0
        assert rate_in == pytest.approx(-rate_out, rel=1e-6)  # the solver's tolerance

    def test_graphml(self, table, exported, arrays):
        graph = networkx.read_graphml(exported / "networks/network_0.graphml", node_type=int, force_multigraph=True)
        assert graph.graph["length_unit"] == "m"
        assert (len(graph), graph.number_of_edges()) == (len(arrays["pore.coords"]), table.sizes["throat"])
        x = np.array([graph.nodes[number]["x"] for number in range(len(graph))])
        np.testing.assert_array_equal(x, arrays["pore.coords"][:, 2])

    def test_vtu_is_read_by_meshio(self, exported, arrays):
        meshio = pytest.importorskip("meshio")
        mesh = meshio.read(exported / "networks/network_0.vtu")
        np.testing.assert_array_equal(mesh.points, arrays["pore.coords"][:, ::-1])
        np.testing.assert_array_equal(mesh.cells_dict["line"], arrays["throat.conns"])
        np.testing.assert_array_equal(mesh.point_data["diameter"], arrays["pore.diameter"])
        np.testing.assert_array_equal(mesh.cell_data["length"][0], arrays["throat.length"])


class TestCrate:
    """Metadata as a Research Object Crate."""

    def test_every_file_is_described(self, exported):
        graph = json.loads((exported / "ro-crate-metadata.json").read_text())["@graph"]
        entities = {entity["@id"]: entity for entity in graph}
        assert len(entities) == len(graph)
        root = entities["./"]
        listed = {reference["@id"] for reference in root["hasPart"]}
        names = {path.relative_to(exported).as_posix() for path in exported.rglob("*") if path.is_file()}
        names -= {"ro-crate-metadata.json"} | {name for name in names if name.startswith("result.zarr/")}
        assert listed == names | {"result.zarr/"}
        for name in names:
            content = (exported / name).read_bytes()
            assert entities[name]["sha256"] == hashlib.sha256(content).hexdigest()
            assert entities[name]["contentSize"] == str(len(content))
            assert entities[name]["description"]

        def references(value):
            if isinstance(value, list):
                return {target for item in value for target in references(item)}
            if isinstance(value, dict):
                return {value["@id"]} if set(value) == {"@id"} else set().union(*map(references, value.values()))
            return set()

        targets = set().union(*(references(list(entity.values())) for entity in graph))
        assert targets - {"https://w3id.org/ro/crate/1.1"} <= set(entities)
        assert entities["#run"]["startTime"] <= entities["#run"]["endTime"] <= root["datePublished"]

    def test_it_validates(self, exported, tmp_path, monkeypatch):
        """By the validator of RO-Crate; the context, which it fetches, is that of the library for RO-Crates."""
        services = pytest.importorskip("rocrate_validator.services")
        http = pytest.importorskip("rocrate_validator.utils.http")
        rocrate = pytest.importorskip("rocrate")
        import requests

        def get(_, url, **options):
            assert url == "https://w3id.org/ro/crate/1.1/context"
            response = requests.Response()
            response.status_code, response.url = 200, url
            response._content = (Path(rocrate.__file__).parent / "data/ro-crate.jsonld").read_bytes()
            response.headers["Content-Type"] = "application/ld+json"
            return response

        monkeypatch.setattr(http.HttpRequester, "get", get, raising=False)
        settings = services.ValidationSettings(
            rocrate_uri=str(exported), profile_identifier="ro-crate-1.1", requirement_severity="REQUIRED",
            cache_path=str(tmp_path / "cache"), offline=True,
        )  # fmt: skip
        result = services.validate(settings)
        assert [issue.message for issue in result.get_issues()] == []
        (exported / "broken").mkdir()
        broken = json.loads((exported / "ro-crate-metadata.json").read_text())
        del broken["@graph"][1]["datePublished"]
        (exported / "broken/ro-crate-metadata.json").write_text(json.dumps(broken))
        settings.rocrate_uri = str(exported / "broken")
        assert services.validate(settings).get_issues()  # it would say so
        shutil.rmtree(exported / "broken")


class TestRefusals:
    """What is not exported, and not opened."""

    def test_a_run_that_is_not_finished(self, root, tmp_path):
        study = md.load_study(root / "configs/graded-quickstart.yaml", cluster={"profile": "sync"})
        run = md.run(study, tmp_path / "run", limit=0)
        with pytest.raises(
            ExportError, match=r"is empty, and a copy is closed: finish it first with: membrane-dask run"
        ):
            md.export(run, tmp_path / "copy")

    def test_a_run_that_is_at_work(self, run, tmp_path):
        with DriverLock(run.path), pytest.raises(ExportError, match=r"is running, .* export it when it is finished"):
            md.export(run, tmp_path / "copy")
        assert not (tmp_path / "copy").exists()

    def test_formats_and_destinations(self, run, exported, tmp_path):
        with pytest.raises(ExportError, match="no format 'netcd'; did you mean 'netcdf'"):
            md.export(run, tmp_path / "copy", formats=["netcd"])
        with pytest.raises(ExportError, match="exists; choose another name"):
            md.export(run, exported)
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine/notes.txt").write_text("not to be lost")
        with pytest.raises(ExportError, match=r"not an exported run, .*is not replaced"):
            md.export(run, tmp_path / "mine", formats=["csv"], overwrite=True)
        with pytest.raises(ExportError, match="a single item is written to a file of this machine"):
            md.export(run, "s3://bucket/network.vtu", "network_0")
        with pytest.raises(ExportError, match="ftpx://host/copy"):
            md.export(run, "ftpx://host/copy")
        assert {path.name for path in tmp_path.rglob("*")} == {"mine", "notes.txt"}

    def test_overwrite(self, run, tmp_path):
        md.export(run, tmp_path / "copy", formats=["csv"])
        md.export(run, tmp_path / "copy", formats=["networks"], overwrite=True)
        assert not (tmp_path / "copy/csv").exists()
        assert [path.name for path in tmp_path.iterdir()] == ["copy"]

    def test_too_many_rows_and_no_netcdf(self, run, tmp_path, monkeypatch):
        monkeypatch.setattr(tables, "MAX_ROWS", 10)
        monkeypatch.setattr(tables, "has_netcdf", lambda: False)
        messages = []
        md.export(run, tmp_path / "copy", notify=messages.append)
        assert any("csv: left out network_0: position" in message for message in messages)
        assert any("h5py is not installed" in message for message in messages)
        with pytest.raises(ExportError, match="netcdf needs h5netcdf"):
            md.export(run, tmp_path / "other", formats=["netcdf"])

    def test_damaged_copies(self, exported, tmp_path):
        with pytest.raises(RunNotFoundError, match="no exported run at"):
            md.open_run(tmp_path / "none.zip")
        shutil.copytree(exported, tmp_path / "copy")
        index = json.loads((tmp_path / "copy" / INDEX).read_text())
        for change, message in (({"schema": 99}, "by a later version"), ({"volumes": ["../../secret"]}, "damaged")):
            (tmp_path / "copy" / INDEX).write_text(json.dumps(index | change))
            with pytest.raises(UnreadableRunError, match=message):
                md.open_run(tmp_path / "copy")
        with pytest.raises(KeyError, match="did you mean 'structure-0'"):
            ExportedRun(exported).volume("structure-1")


class TestReplacing:
    """An exported run that is replaced is lost only to a new one that is whole, and nothing else is lost with it."""

    @pytest.fixture
    def store(self):
        """Files of an object store in memory."""
        import fsspec

        store = fsspec.filesystem("memory")
        yield store
        store.rm("/", recursive=True)

    def test_at_a_url_only_files_of_the_old_copy_are_removed(self, run, store):
        md.export(run, "memory://copy", formats=["zarr", "csv"])
        for name in ("notes.txt", "csv/notes.txt"):
            store.pipe_file(f"/copy/{name}", b"mine")
        md.export(run, "memory://copy", formats=["networks"], overwrite=True)
        names = {path.removeprefix("/copy/") for path in store.find("/copy")}
        assert {name for name in names if name.startswith(("csv/", "result.zarr"))} == {"csv/notes.txt"}
        assert {"notes.txt", INDEX, "ro-crate-metadata.json"} <= names
        assert any(name.startswith("networks/") for name in names)

    def test_at_a_url_it_stays_if_the_export_fails(self, run, store, monkeypatch):
        md.export(run, "memory://copy", formats=["zarr"])
        before = {path: store.cat_file(path) for path in store.find("/copy")}

        def fail(*_):
            raise ExportError("no table")

        monkeypatch.setattr(tables, "write_csv", fail)
        with pytest.raises(ExportError, match="no table"):
            md.export(run, "memory://copy", formats=["csv"], overwrite=True)
        assert {path: store.cat_file(path) for path in store.find("/copy")} == before

    def test_an_interrupted_upload_is_no_exported_run(self, run, store, monkeypatch):
        md.export(run, "memory://copy", formats=["zarr"])

        def fail(*_, **options):
            raise OSError("the network is down")

        monkeypatch.setattr(type(store), "put", fail)
        with pytest.raises(ExportError, match="the network is down"):
            md.export(run, "memory://copy", formats=["csv"], overwrite=True)
        with pytest.raises(RunNotFoundError, match="holds no exported run"):
            md.open_run("memory://copy")

    def test_at_a_url_metadata_that_do_not_tell_its_files(self, run, store):
        md.export(run, "memory://copy", formats=["csv"])
        for content in (b"{", b"[]", b'{"@graph": [5]}'):
            store.pipe_file("/copy/ro-crate-metadata.json", content)
            with pytest.raises(ExportError, match="does not tell which files are its own"):
                md.export(run, "memory://copy", formats=["csv"], overwrite=True)

    def test_other_zip_files_stay(self, run, store, tmp_path):
        with zipfile.ZipFile(tmp_path / "mine.zip", "w") as archive_file:
            archive_file.writestr("notes.txt", "not to be lost")
        content = (tmp_path / "mine.zip").read_bytes()
        store.pipe_file("/mine.zip", content)
        store.pipe_file("/text.zip", b"no ZIP file at all")
        for to in (tmp_path / "mine.zip", "memory://mine.zip", "memory://text.zip"):
            with pytest.raises(ExportError, match="is not an exported run"):
                md.export(run, to, formats=["csv"], overwrite=True)
        assert (tmp_path / "mine.zip").read_bytes() == store.cat_file("/mine.zip") == content
        for to in (tmp_path / "copy.zip", "memory://copy.zip"):
            md.export(run, to, formats=["csv"])
            md.export(run, to, formats=["zarr"], overwrite=True)
            xr.testing.assert_identical(md.open_run(to).result.load(), run.result.load())

    def test_a_folder_is_put_back_if_the_new_one_cannot_be_put_there(self, run, tmp_path, monkeypatch):
        md.export(run, tmp_path / "copy", formats=["zarr"])
        rename = Path.rename

        def fail(path, target):
            if path.name == "run":
                raise OSError(5, "Input/output error")
            return rename(path, target)

        monkeypatch.setattr(Path, "rename", fail)
        with pytest.raises(OSError, match="Input/output error"):
            md.export(run, tmp_path / "copy", formats=["csv"], overwrite=True)
        assert [path.name for path in tmp_path.iterdir()] == ["copy"]
        assert (tmp_path / "copy" / RESULT).is_dir()


class TestUnusual:
    """Unusual destinations, and runs that others made."""

    def test_links_out_of_a_run(self, run, tmp_path):
        (tmp_path / "secret").write_text("a key")
        shutil.copytree(run.path, tmp_path / "run")
        (tmp_path / "run/inputs").mkdir(exist_ok=True)
        (tmp_path / "run/inputs/more.txt").symlink_to(tmp_path / "secret")
        with pytest.raises(ExportError, match=r"the link inputs/more\.txt leads to .*secret, out of the run"):
            md.export(tmp_path / "run", tmp_path / "copy", formats=["csv"])
        assert not (tmp_path / "copy").exists()

    def test_in_the_run_or_around_it(self, run):
        for to in (run.path / "copy", run.path, run.path.parent, f"file://{run.path.resolve()}/inputs/copy"):
            with pytest.raises(ExportError, match=r"is in the run .*, or holds it"):
                md.export(run, to, formats=["csv"], overwrite=True)

    def test_a_folder_with_the_ending_of_a_zip_file(self, run, tmp_path):
        md.export(run, tmp_path / "copy", formats=["zarr"])
        (tmp_path / "copy").rename(tmp_path / "copy.zip")
        xr.testing.assert_identical(md.open_run(tmp_path / "copy.zip").result.load(), run.result.load())
        md.export(run, tmp_path / "copy.zip", formats=["zarr"], overwrite=True)
        assert zipfile.is_zipfile(tmp_path / "copy.zip")

    @pytest.mark.parametrize("suffix", ["", ".zip"])
    def test_a_url_of_a_file(self, run, tmp_path, suffix):
        url = f"file://{tmp_path}/new/copy{suffix}"
        assert md.export(run, url, formats=["zarr"]) == url
        xr.testing.assert_identical(md.open_run(url).result.load(), run.result.load())
        assert [path.name for path in (tmp_path / "new").iterdir()] == [f"copy{suffix}"]

    def test_an_index_without_bounds_is_not_read(self, run, tmp_path, monkeypatch):
        md.export(run, tmp_path / "copy.zip", formats=["csv"])
        copy = md.open_run(tmp_path / "copy.zip")
        monkeypatch.setattr("membrane_dask.engine.records.MAX_FILE_SIZE", 20)
        with pytest.raises(UnreadableRunError, match=r"exported-run\.json is larger than"):
            md.open_run(tmp_path / "copy.zip")
        with pytest.raises(UnreadableRunError, match=r"study\.yaml is larger than"):
            copy.study_text  # noqa: B018


class TestShards:
    """Copies of arrays in shards."""

    @pytest.mark.parametrize("dtype", ["u1", "f4", "i8"])
    def test_values_are_equal(self, tmp_path, monkeypatch, dtype):
        monkeypatch.setattr(sharded_zarr, "SHARD", 5000)
        monkeypatch.setattr(sharded_zarr, "ONE_CHUNK", 100)
        source = zarr.create_group(str(tmp_path / "source"), attributes={"meaning": "test"})
        values = np.random.default_rng(0).integers(0, 200, (13, 31, 29)).astype(dtype)
        array = source.create_group("a").create_array(
            "b", shape=values.shape, chunks=(4, 8, 16), dtype=dtype, dimension_names=("z", "y", "x"),
            attributes={"units": "nm"},
        )  # fmt: skip
        array[...] = values
        sharded_zarr.copy_group(source, tmp_path / "copy")
        copy = zarr.open_consolidated(str(tmp_path / "copy"))
        np.testing.assert_array_equal(copy["a/b"][...], values)
        assert copy["a/b"].metadata.dimension_names == ("z", "y", "x")
        assert dict(copy["a/b"].attrs) == {"units": "nm"}
        assert dict(copy.attrs) == {"meaning": "test"}
        assert copy["a/b"].shards is not None
        assert np.prod(copy["a/b"].shards) * np.dtype(dtype).itemsize <= 5000

    def test_formats_are_those_that_are_documented(self):
        assert archive.FORMATS == ("zarr", "ozx", "netcdf", "csv", "networks", "report")


def test_networks_are_written_with_a_percentage(tmp_path, monkeypatch):
    grid = object.__new__(GridItem)  # no file is written of it
    monkeypatch.setattr(networks, "exportable_items", lambda run: dict.fromkeys(["a", "b", "volume"], lambda: grid))
    fractions = []
    networks.write_networks(SimpleNamespace(volumes=[], name="run"), tmp_path / "networks", fractions.append)
    assert fractions == [0, 0.5]
