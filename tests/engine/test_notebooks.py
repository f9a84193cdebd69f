"""Runs in notebooks: progress, links, data frames, and a client of one's own."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import toy
import xarray as xr
from distributed import Client, LocalCluster

import membrane_dask as md
from membrane_dask import api, progress
from membrane_dask.engine import data_frames
from membrane_dask.engine.events import (
    Collecting,
    Estimate,
    Message,
    Progressed,
    Started,
    TaskProgress,
    UnitQuarantined,
)
from membrane_dask.errors import ClusterError
from membrane_dask.physics.networks.pore_network import INLET, OUTLET, PoreNetwork
from membrane_dask.progress import ProgressDisplay, ProgressLines, shown_progress
from membrane_dask.study_file import parse_study

SYNC = {"profile": "sync"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return toy.run_toy(tmp_path_factory.mktemp("toy") / "run", cluster=SYNC)


class Page(HTMLParser):
    """Links and text of a page; every element must be closed."""

    def __init__(self, html):
        super().__init__()
        self.links, self.text, self._open = {}, "", []
        self.feed(html)
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self._open.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self._open.pop()[0] == tag

    def handle_data(self, data):
        self.text += data
        if self._open and self._open[-1][0] == "a":
            self.links[data] = self._open[-1][1]["href"]


@pytest.fixture
def shown(monkeypatch):
    """What a notebook shows: the content of each update of the one output."""
    contents = []

    def display(content, display_id):
        assert display_id
        assert not contents, "a second output"
        contents.append(content.data)
        return SimpleNamespace(update=lambda content: contents.append(content.data))

    monkeypatch.setattr("IPython.display.display", display)
    return contents


class TestProgress:
    """The display of a notebook."""

    def test_one_output_is_updated(self, shown):
        time = 0.0
        display = ProgressDisplay(lambda: time)
        display(Message("<script>alert(1)</script>"))
        display(Started(100, 0, 0, "http://127.0.0.1:1/status"))
        for done in range(1, 101):
            time += 0.1
            display(Progressed(done, 0, []))
            display(Estimate((TaskProgress("lives", done, 100),), done / 100, (10 - time, 12 - time)))
        assert 10 / 0.6 <= len(shown) <= 2 + 10 / 0.5  # an update every half second, rounded up to a tenth
        page = Page(shown[-1])
        assert re.search(r"\d+ %: \d+ of 100 lives", page.text)
        assert page.links == {"dashboard": "http://127.0.0.1:1/status"}
        assert "<script>" not in shown[-1]
        display(UnitQuarantined("lives,3", "ArithmeticError: no\nmore"))
        assert "failed: lives,3: ArithmeticError: no" in Page(shown[-1]).text
        display(Collecting())
        display(Progressed(99, 1, []))
        display.close()
        assert "99 of 100 units done, 1 failed, after 10 s" in Page(shown[-1]).text
        display.close(KeyboardInterrupt())
        assert "stopped by KeyboardInterrupt" in Page(shown[-1]).text

    def test_early_messages_are_counted(self, shown):
        display = ProgressDisplay()
        for number in range(20):
            display(Message(f"message {number};"))
        text = Page(shown[-1]).text
        assert "12 earlier messages" in text
        assert "message 11;" not in text
        assert "message 12;" in text

    def test_a_run_in_a_notebook_shows_it(self, shown, monkeypatch, tmp_path):
        monkeypatch.setattr(progress, "_is_notebook", lambda: True)
        md.run(toy.toy_plan(cluster=SYNC), tmp_path / "run")
        assert "60 of 60 units done, 0 failed" in Page(shown[-1]).text

    def test_a_kernel_shows_one_output(self, tmp_path):
        nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
        pytest.importorskip("ipykernel")
        code = (
            f"import sys; sys.path.insert(0, {str(Path(toy.__file__).parent)!r})\n"
            "import toy, membrane_dask as md\n"
            f"run = md.run(toy.toy_plan(cluster={SYNC}), {str(tmp_path / 'run')!r})"
        )
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
        nbclient.NotebookClient(notebook, timeout=120).execute()
        (output,) = notebook.cells[0].outputs
        assert "60 of 60 units done, 0 failed" in Page(output.data["text/html"]).text

    def test_elsewhere_lines_are_printed(self, shown):
        assert not progress._is_notebook()
        with shown_progress(None) as listener:
            assert isinstance(listener, ProgressLines)
        with shown_progress(print) as listener:
            assert listener is print
        assert shown == []


class TestLinks:
    """HTML representations."""

    def test_a_run_links_its_report_and_folder(self, run, monkeypatch, tmp_path):
        assert Page(run._repr_html_()).links == {"folder": run.path.resolve().as_uri()}
        (run.path / "report.html").write_text("report")
        monkeypatch.chdir(run.path.parent)
        assert Page(run._repr_html_()).links == {"report": "run/report.html", "folder": "run"}
        (run.path / "report.html").unlink()

    def test_an_active_run_links_its_dashboard(self, run, monkeypatch):
        for dashboard, is_linked in (("http://127.0.0.1:8787/status", True), ("javascript:alert(1)", False)):
            driver = {"host": "here", "in_flight": 1, "dashboard": dashboard}
            monkeypatch.setattr("membrane_dask.engine.run.DriverLock.active_driver", lambda root, d=driver: d)
            assert ("dashboard" in Page(run._repr_html_()).links) is is_linked

    def test_a_study_shows_what_is_not_default(self, tmp_path):
        study = parse_study({"kind": "graded", "name": "short", "realizations": 7, "cluster": SYNC})
        page = Page(study._repr_html_())
        assert "realizations7" in page.text
        assert "cluster.profilesync" in page.text
        assert "l_max" not in page.text
        np.save(tmp_path / "volume.npy", np.zeros((3, 3, 3), np.uint8))
        study = parse_study(
            {"kind": "characterize", "name": "v", "input": str(tmp_path / "volume.npy"), "voxel_size": "3 nm"}
        )
        assert (tmp_path / "volume.npy").as_uri() in Page(study._repr_html_()).links.values()

    def test_plans_and_networks(self):
        assert "60 (60 toy)" in Page(toy.toy_plan(cluster=SYNC)._repr_html_()).text
        network = PoreNetwork.from_straight_pores(
            junctions=np.array([[0.3, 0.5, 0.5], [0.7, 0.5, 0.5]]),
            throat_conns=np.array([[0, INLET], [0, 1], [1, OUTLET]], np.int32),
            length=np.array([0.3, 0.4, 0.3]), radius=np.array([0.02, 0.03, 0.04]), extent=(1.0, 1.0, 1.0), bands=2,
        )  # fmt: skip
        text = Page(network._repr_html_()).text
        assert "junctions2pores3" in text
        assert "1 and 1" in text
        assert "0.02 to 0.04" in text


class TestDataFrames:
    """Tables as data frames."""

    def test_values_and_units(self, run):
        frame = run.to_dataframe("toy")
        assert sorted(frame.columns) == ["count", "status", "value"]
        assert list(frame.index.names) == ["row", "column"]
        np.testing.assert_array_equal(frame["value"].to_numpy(), run.result["toy/value"].values.ravel())
        assert frame.attrs["units"] == dict.fromkeys(frame.columns, "1")
        assert list(run.to_dataframe("toy/history", ["trace"]).index.names) == ["row", "column", "time"]
        assert float(run.to_dataframe("summary")["mean"].iloc[0]) == float(run.result["summary/mean"][0])

    def test_refusals_name_the_fix(self, run, monkeypatch):
        with pytest.raises(KeyError, match="did you mean 'toy'"):
            run.to_dataframe("toys")
        with pytest.raises(KeyError, match="no variable 'counts' in toy; did you mean 'count'"):
            run.to_dataframe("toy", ["counts"])
        monkeypatch.setattr(data_frames, "MAX_ROWS", 59)
        with pytest.raises(ValueError, match=r"toy would have 60 rows \(row: 3, column: 20\), more than 59") as error:
            run.to_dataframe("toy")
        fix = re.search(r"run\.result.*to_dataframe\(\)", str(error.value))[0]
        assert len(eval(fix, {"run": run, "slice": slice})) <= 60

    def test_variables_of_other_dimensions_are_not_repeated(self):
        tree = xr.DataTree.from_dict(
            {"t": xr.Dataset({"a": ("n", [1, 2]), "b": (("n", "z"), np.ones((2, 9))), "c": ("n", [3, 4])})}
        )
        assert data_frames.to_dataframe(tree, "t").shape == (2, 2)
        assert data_frames.to_dataframe(tree, "t", ["a", "b"]).shape == (18, 2)


@pytest.fixture(scope="module")
def client():
    """A client of a cluster of one worker, without TLS."""
    options = {"threads_per_worker": 1, "host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    with LocalCluster(n_workers=1, **options) as cluster, Client(cluster) as client:
        client.run(_add_path, str(toy.__file__))
        yield client


class TestClient:
    """A connected client of one's own."""

    def test_units_run_there_with_one_warning(self, client, run, values_of, tmp_path):
        events = []
        own = md.run(toy.toy_plan(), tmp_path / "run", client=client, listener=events.append)
        assert values_of(own) == values_of(run)
        warnings = [event.text for event in events if isinstance(event, Message) and "WARNING" in event.text]
        assert len(warnings) == 1
        assert "is not encrypted: every user of this machine can run code as you" in warnings[0]
        assert client.status == "running"  # it stays connected
        assert "tcp://" not in (own.path / "study.yaml").read_text()  # the address of a cluster that will be gone

    def test_what_is_no_client(self, tmp_path):
        with pytest.raises(TypeError, match=r"client: must be a distributed\.Client .*got str"):
            md.run(toy.toy_plan(cluster=SYNC), tmp_path / "a", client="tcp://127.0.0.1:1")
        with Client(processes=False, n_workers=1, dashboard_address="127.0.0.1:0") as closed:
            pass
        with pytest.raises(ClusterError, match="client: is closed"):
            api.run(toy.toy_plan(cluster=SYNC), tmp_path / "b", client=closed)


def _add_path(path):
    import sys

    sys.path.insert(0, str(Path(path).parent))
