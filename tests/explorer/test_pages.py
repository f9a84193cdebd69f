"""The pages in a real browser: every view of a run is opened and draws something."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import membrane_dask as md
from membrane_dask.io import ome_zarr

#: Elements of the page that match and hold a text, shadow trees included.
FIND = """
const [selector, text] = arguments, found = [];
const search = root => root.querySelectorAll('*').forEach(element => {
  if (element.matches(selector) && element.textContent.includes(text)) found.push(element);
  if (element.shadowRoot) search(element.shadowRoot);
});
search(document);
return found;
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with a characterized run, which has units, variables and a network, and with a volume in it."""
    folder = tmp_path_factory.mktemp("explorer")
    rng = np.random.default_rng(1)
    coarse = rng.random((4, 4, 4)) < 0.5
    coarse[:, 1:3, 1:3] = True
    np.save(folder / "membrane.npy", np.kron(coarse, np.ones((8, 8, 8), bool)).astype(np.uint8))
    study = "kind: characterize\ninput: membrane.npy\npores: 1\nvoxel_size: 5 nm\ntortuosity: false\n"
    (folder / "study.yaml").write_text(study)
    md.run(md.load_study(folder / "study.yaml", cluster={"profile": "sync"}), folder / "runs/first")
    path = folder / "runs/first/volumes/membrane.ome.zarr"
    ome_zarr.create_volume(path, shape=(150, 140, 160), block=160, voxel_size_nm=5.0, name="membrane")
    # Blocks of ten voxels: the surface of single ones has a hundred times as many triangles for the browser to draw.
    solid = np.kron(rng.random((15, 14, 16)) < 0.5, np.ones((10, 10, 10), bool))
    ome_zarr.open_level(path)[:] = np.where(solid, 255, 0).astype(np.uint8)
    ome_zarr.build_pyramid(path)
    return folder


@pytest.fixture(scope="module")
def address(browser, folder) -> Iterator[str]:
    """Address that `serve` prints."""
    command = [sys.executable, "-m", "membrane_dask.cli", "serve", "runs/first"]
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:  # fmt: skip
        yield process.stdout.readline().strip()
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        assert "Traceback" not in process.stderr.read()


def wait_for(browser, selector: str, text: str = "", seconds: float = 120.0):
    """The first element that matches, with some text, once it is there."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if elements := browser.execute_script(FIND, selector, text):
            return elements[0]
        time.sleep(0.3)
    raise AssertionError(f"no element {selector!r} with {text!r} appeared on {browser.current_url}")


def press(browser, text: str) -> None:
    button = wait_for(browser, "button", text)
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'}); arguments[0].click()", button)


def test_every_view_of_a_run(browser, address, folder):
    browser.get(address)
    assert "token" not in browser.current_url
    browser.execute_script("arguments[0].click()", wait_for(browser, "a", "first"))
    wait_for(browser, "td", "complete")
    press(browser, "Units")
    wait_for(browser, "canvas")
    press(browser, "CPU time (s)")
    wait_for(browser, "canvas")
    press(browser, "Variables")
    wait_for(browser, "label", "against")
    wait_for(browser, "canvas")
    press(browser, "Volumes")
    wait_for(browser, "div", "section normal to")
    wait_for(browser, "canvas")
    press(browser, "Show the surface of the solid")
    wait_for(browser, ".js-plotly-plot", "in voxels of 10 nm")
    press(browser, "Networks")
    wait_for(browser, ".js-plotly-plot", "pores and")
    press(browser, "Report")
    browser.switch_to.frame(wait_for(browser, "iframe"))
    wait_for(browser, "h1", "first")
    browser.switch_to.default_content()
    errors = [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert errors == []  # such as a file that is fetched from another machine


def test_a_run_that_is_not_there(browser, address):
    browser.get(address)
    browser.get(f"{browser.current_url.partition('?')[0]}run?path=..%2F..%2Fetc")
    wait_for(browser, "div", "There is no run")


def test_pages_follow_a_dark_browser_and_keep_a_chosen_theme(browser, address):
    def is_dark() -> bool:
        wait_for(browser, ".tabulator-cell", "complete")
        color = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
        return max(int(value) for value in color[color.index("(") + 1 : -1].split(",")[:3]) < 80

    home = address.partition("?")[0]
    browser.get(address)
    assert not is_dark()
    dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
    try:
        browser.get(home)
        assert is_dark()
        browser.get(f"{home}?theme=default")
        assert not is_dark()
        browser.get(home)
        assert not is_dark()
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
        browser.execute_script("sessionStorage.clear()")
