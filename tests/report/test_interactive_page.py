"""A report in a real browser: values where the pointer is, legends, a volume that turns, paper, and no scripts."""

from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

import membrane_dask as md
from membrane_dask.io import ome_zarr
from membrane_dask.report.page import Section, picture, render
from membrane_dask.report.pictures import draw_solid
from membrane_dask.report.turning_volume import turning_volume
from membrane_dask.studies.chain.report import structure_sections

selenium = pytest.importorskip("selenium")

TIME, FLUX, ERROR = np.array([0.0, 1.0, 2.0, 3.0]), np.array([40.0, 31.5, 27.25, 25.0]), 1.25
#: A volume of which a quarter, along the whole depth, is a pore.
SOLID = np.ones((24, 32, 32))
SOLID[:, :16, 16:] = 0.0


def curves():
    figure = Figure(figsize=(7, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.errorbar(TIME, FLUX, ERROR, fmt="o-", color="#1f5fa8", label="measured")
    left.plot(TIME, FLUX + 10, "s-", color="#d1702a", label="predicted")
    left.set(xlabel="time [h]", ylabel="flux [L m$^{-2}$ h$^{-1}$]", title="M1")
    left.legend()
    right.plot([3.0, 5.0], [0, 1], "o", color="#2a8a57")
    right.set_yticks([0, 1], ["before", "after"])
    right.set(xlabel="pore radius [nm]", ylim=(-0.5, 1.5))
    return picture(figure, "Flux.", "flux against time")


def volume():
    figure = Figure(figsize=(4.4, 4.4), layout="constrained")
    axis = figure.subplots()
    extent = (240.0, 320.0, 320.0)
    draw_solid(axis, SOLID, extent)
    return picture(figure, "Solid.", "solid", {axis: turning_volume(SOLID, extent)})


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A small run, whose report these pages are."""
    folder = tmp_path_factory.mktemp("page")
    np.save(folder / "membrane.npy", np.pad(np.ones((16, 8, 8), np.uint8), ((0, 0), (4, 4), (4, 4))))
    (folder / "study.yaml").write_text(
        "kind: characterize\ninput: membrane.npy\npores: 1\nvoxel_size: 5 nm\ntortuosity: false\n"
    )
    return md.run(md.load_study(folder / "study.yaml", cluster={"profile": "sync"}), folder / "run")


@pytest.fixture(scope="module")
def address(run, tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("pages") / "report.html"
    path.write_text(render(run, [Section("Curves", contents=[curves()]), Section("Structure", contents=[volume()])]))
    return path.as_uri()


@pytest.fixture
def page(browser, address):
    """The page, freshly opened, once its volume can be turned."""
    from selenium.webdriver.support.wait import WebDriverWait

    browser.get(address)
    WebDriverWait(browser, 60).until(lambda b: b.find_elements("css selector", ".hint"))
    yield browser
    assert [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_the_solid_of_a_chain(run):
    """The volume of the reconstruction that it reads, and nothing where it has none."""
    assert structure_sections(None) == structure_sections(run) == []
    path = run.path / "volumes/structure-0.ome.zarr"
    ome_zarr.create_volume(path, shape=SOLID.shape, block=32, voxel_size_nm=10.0, name="structure-0")
    ome_zarr.open_level(path)[:] = (255 * SOLID).astype(np.uint8)
    ome_zarr.build_pyramid(path)
    (section,) = structure_sections(run)
    (volume,) = section.contents[0].volumes.values()
    assert volume == turning_volume(SOLID, (240.0, 320.0, 320.0))


def markers(page, color: str) -> list[tuple[float, float]]:
    """Centres on the screen of the markers of a colour in the first figure, from left to right."""
    boxes = page.execute_script(
        """window.scrollTo(0, 0);
        const marks = [...document.querySelector('figure svg').querySelectorAll('use')];
        return marks.filter(mark => getComputedStyle(mark).fill == arguments[0]).map(mark => {
          const box = mark.getBoundingClientRect();
          return [box.x + box.width / 2, box.y + box.height / 2];
        });""",
        color,
    )
    return sorted(map(tuple, boxes))


def move_to(page, x: float, y: float) -> str:
    """Text that the page shows where the pointer is."""
    from selenium.webdriver.common.actions.action_builder import ActionBuilder

    actions = ActionBuilder(page, duration=0)
    actions.pointer_action.move_to_location(round(x), round(y))
    actions.perform()
    return page.find_element("class name", "tooltip").get_attribute("textContent")


BLUE, ORANGE, GREEN = "rgb(31, 95, 168)", "rgb(209, 112, 42)", "rgb(42, 138, 87)"


def test_values_and_intervals_at_the_pointer(page):
    points = markers(page, BLUE)
    assert len(points) == len(TIME) + 1  # and that of the legend
    x, y = next(point for point in points if "27.25" in move_to(page, *point))
    lines = move_to(page, x + 3, y - 3).split("\n")  # the nearest point within a few pixels
    assert lines == ["M1, measured", "time: 2 h", "flux: 27.25 L m⁻² h⁻¹", "error bar: 26 to 28.5"]
    assert page.find_element("class name", "tooltip").is_displayed()
    assert move_to(page, x + 40, y - 40) == ""
    assert not page.find_element("class name", "tooltip").is_displayed()


def test_names_instead_of_numbers(page):
    texts = {move_to(page, *point) for point in markers(page, GREEN)}
    assert texts == {"pore radius: 3 nm\nbefore", "pore radius: 5 nm\nafter"}


def test_every_point_has_its_values(page):
    texts = {move_to(page, *point) for point in markers(page, ORANGE)}
    for time, flux in zip(TIME, FLUX + 10, strict=True):
        assert f"M1, predicted\ntime: {time:g} h\nflux: {flux:g} L m⁻² h⁻¹" in texts


def test_arrow_keys_lead_from_point_to_point(page):
    from selenium.webdriver.common.keys import Keys

    drawing = page.find_element("css selector", "figure svg")
    tooltip = page.find_element("class name", "tooltip")
    page.execute_script("arguments[0].focus()", drawing)
    page.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    assert "time: 0 h" in tooltip.text
    page.switch_to.active_element.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert "flux: 27.25" in tooltip.text
    page.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert tooltip.text == ""


def test_a_legend_entry_hides_and_shows_its_series(page):
    from selenium.webdriver.common.keys import Keys

    before = markers(page, ORANGE)
    at = next(point for point in before if "predicted" in move_to(page, *point))
    entry = page.find_element("css selector", '.entry[aria-label="predicted"]')
    entry.click()
    assert entry.get_attribute("aria-pressed") == "false"
    assert "predicted" not in move_to(page, *at)
    visible = [point for point in markers(page, ORANGE) if point != (0.0, 0.0)]
    assert len(visible) == 1  # the legend entry itself
    texts = {move_to(page, *point) for point in markers(page, BLUE)}
    assert any("measured" in text for text in texts)
    page.execute_script("arguments[0].focus()", entry)
    page.switch_to.active_element.send_keys(Keys.ENTER)
    assert markers(page, ORANGE) == before
    assert "predicted" in move_to(page, *at)


def canvas_image(page) -> np.ndarray:
    canvas = page.find_element("css selector", "canvas")
    return np.asarray(Image.open(io.BytesIO(canvas.screenshot_as_png)).convert("L"), float)


def test_the_volume_turns(page):
    """From above, the pore that leads through a quarter of the volume shows the background."""
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.keys import Keys

    canvas = page.find_element("css selector", "canvas")
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", canvas)
    still = canvas_image(page)
    ActionChains(page).move_to_element(canvas).click_and_hold().move_by_offset(90, 0).release().perform()
    turned = canvas_image(page)
    assert "turned" in canvas.get_attribute("class")
    assert page.find_element("class name", "hint").text.endswith("in cells of 10 nm.")
    assert (np.abs(turned - still) > 20).mean() > 0.1
    canvas.send_keys(*[Keys.ARROW_DOWN] * 16)  # 1.6 radians: as far as it goes, straight down
    from_above = canvas_image(page)
    filled = from_above < 250
    rows, columns = filled.any(axis=1), filled.any(axis=0)
    # The diagonal of the volume fits the canvas with a margin of 2 %.
    area = (min(from_above.shape) / 1.02) ** 2 * 320**2 / (240**2 + 2 * 320**2)
    # Blurred lines around the box, of a hundred pixels for each pixel of their width, add some per cent.
    assert filled.sum() / area == pytest.approx(0.75, abs=0.06)
    assert rows.sum() == pytest.approx(columns.sum(), rel=0.1)


def test_paper_shows_the_still_pictures(page):
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        for selector in ("canvas", ".hint", ".file", ".tooltip"):
            shown = [element.is_displayed() for element in page.find_elements("css selector", selector)]
            assert not any(shown), selector
        assert [svg.is_displayed() for svg in page.find_elements("css selector", "figure svg")] == [True, True]
    finally:
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_values_are_legible_in_dark_mode(page):
    def brightness(name: str) -> float:
        tooltip = page.find_element("class name", "tooltip")
        color = page.execute_script("return getComputedStyle(arguments[0])[arguments[1]]", tooltip, name)
        return float(np.mean([int(value) for value in color[color.index("(") + 1 : -1].split(",")[:3]]))

    assert brightness("backgroundColor") - brightness("color") > 150
    dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
    try:
        assert brightness("color") - brightness("backgroundColor") > 150
    finally:
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


FIGURE_COLORS = """const svg = document.querySelector("figure svg");
const [paper, text, curve] = ["#patch_1 path", "text", "[id*=series] path"].map(
  (selector) => getComputedStyle(svg.querySelector(selector.replace("#patch_1", "[id$=patch_1]"))));
return [paper.fill, text.fill, curve.stroke, getComputedStyle(document.body).backgroundColor];"""


def test_figures_follow_a_dark_page_and_stay_white_on_paper(page):
    light = page.execute_script(FIGURE_COLORS)
    assert light == ["rgb(255, 255, 255)", "rgb(0, 0, 0)", BLUE, "rgb(255, 255, 255)"]
    dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
    try:
        paper, text, curve, background = page.execute_script(FIGURE_COLORS)
        assert paper == background == "rgb(20, 24, 29)"
        assert text == "rgb(221, 227, 234)"
        assert curve != BLUE
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", **dark})
        assert page.execute_script(FIGURE_COLORS) == light
    finally:
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})


def test_without_scripts_the_page_is_as_on_paper(browser, address):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(address)
        assert [svg.is_displayed() for svg in browser.find_elements("css selector", "figure svg")] == [True, True]
        assert browser.find_elements("css selector", "canvas, .hint, .tooltip, .entry") == []
        assert "px" not in browser.find_element("css selector", "body").text
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
