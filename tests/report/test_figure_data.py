"""Values, names and legends that the script of a page reads from figures; equal axes; volumes that turn."""

from __future__ import annotations

import base64
import zlib

import numpy as np
import pytest
from matplotlib.figure import Figure

from membrane_dask.report.equal_axes import equal_axes
from membrane_dask.report.figure_data import plain
from membrane_dask.report.page import Picture, drawing
from membrane_dask.report.turning_volume import turning_volume

X = np.array([1.0, 2.0, 4.0])


def data_of(figure: Figure) -> dict:
    return Picture(figure, "caption", "alt").drawn()[1]


def series_of(figure: Figure) -> dict[str, dict]:
    """Series by name; names are unique in these figures."""
    series = data_of(figure)["series"]
    names = [item["name"] for item in series]
    assert len(names) == len(set(names))
    return dict(zip(names, series, strict=True))


def test_a_curve_with_error_bars_and_a_band():
    figure = Figure()
    axis = figure.subplots()
    axis.errorbar(X, [3.0, 5.0, 4.0], [0.5, 0.25, np.nan], color="#1f5fa8", capsize=2, label="mean")
    axis.fill_between(X, [2.0, 4.0, 3.0], [4.0, 6.0, 5.0], color="#1f5fa8", alpha=0.2)
    axis.plot(X, [3.1, 5.1, 4.1], color="#111111", label="reference")
    axis.set_yscale("log")
    series = series_of(figure)
    assert set(series) == {"mean", "reference"}  # the caps of error bars are no series
    mean = series["mean"]
    assert mean["x"] == [1.0, 2.0, 4.0]
    assert mean["y"] == [3.0, 5.0, 4.0]
    assert mean["bar_low"] == [2.5, 4.75, None]
    assert mean["bar_high"] == [3.5, 5.25, None]
    assert mean["band_low"] == [2.0, 4.0, 3.0]
    assert mean["band_high"] == [4.0, 6.0, 5.0]
    assert not any("low" in key for key in series["reference"])


def test_positions_are_those_of_the_svg_file():
    """The marker of a point stands at the position of its values."""
    figure = Figure(figsize=(4, 3), dpi=130)
    figure.subplots().plot([1.0, 10.0, 100.0], [3.0, 1.0, 2.0], "o")
    figure.axes[0].set_xscale("log")
    svg, data = Picture(figure, "", "").drawn()
    (series,) = data["series"]
    for px, py in zip(series["px"], series["py"], strict=True):
        used = [line for line in svg.splitlines() if "<use" in line and 'y="' in line]
        positions = [[float(line.split(f'{name}="')[1].split('"')[0]) for name in (" x", " y")] for line in used]
        # Six digits of the file against five of the data, of up to 300 points.
        assert np.min(np.abs(np.array(positions) - [px, py]).max(axis=1)) < 0.01
    assert figure.dpi == 130


def test_a_band_belongs_to_the_widest_line_of_its_colour():
    figure = Figure()
    axis = figure.subplots()
    axis.plot(X, [3.0, 5.0, 4.0], color="#1f5fa8", lw=1.4, label="best match")
    axis.plot(X, [3.2, 5.2, 4.2], color="#1f5fa8", lw=0.6, label="replicate")
    axis.fill_betweenx([0.0, 9.0], [0.0, 0.0], [5.0, 5.0], color="#1f5fa8", alpha=0.2)
    series = series_of(figure)
    assert series["best match"]["x_band_low"] == [0.0, 0.0, 0.0]
    assert series["best match"]["x_band_high"] == [5.0, 5.0, 5.0]
    assert "x_band_low" not in series["replicate"]


def test_horizontal_intervals_at_names():
    figure = Figure()
    axis = figure.subplots()
    axis.hlines([0, 1], [2.0, 3.0], [4.0, 6.0], color="#1f5fa8")
    axis.plot([3.0, 4.0], [0, 1], "o", color="#1f5fa8", label="median")
    axis.set_yticks([0, 1], ["M1, before", "M1, after"])
    data = data_of(figure)
    (series,) = data["series"]
    assert series["x_bar_low"] == [2.0, 3.0]
    assert series["x_bar_high"] == [4.0, 6.0]
    assert data["axes"][0]["y_names"] == [(0, "M1, before"), (1, "M1, after")]


def test_panels_with_a_common_axis_have_its_names():
    figure = Figure()
    axes = figure.subplots(1, 2, sharey=True)
    for axis in axes:
        axis.plot([3.0, 4.0], [0, 1], "o", label="median")
    axes[0].set_yticks([0, 1], ["M1", "M2"])
    assert [axis["y_names"] for axis in data_of(figure)["axes"]] == [[(0, "M1"), (1, "M2")]] * 2


def test_error_bars_belong_to_the_line_that_they_were_drawn_with():
    """Also of lines of one colour at one position."""
    figure = Figure()
    axis = figure.subplots()
    for name, half in (("a", 0.5), ("b", 2.0)):
        axis.errorbar([1.0], [3.0], [half], color="#1f5fa8", label=name)
    series = series_of(figure)
    assert (series["a"]["bar_low"], series["b"]["bar_low"]) == ([2.5], [1.0])


def test_a_curve_is_named_by_the_legend_of_its_panel():
    figure = Figure()
    axes = figure.subplots(1, 2)
    axes[0].plot(X, X, label="0.2", color="#111111")
    axes[1].plot(X, X, label="0.2", color="#222222")
    figure.legend(*axes[0].get_legend_handles_labels(), title="gradient")
    axes[1].legend(title="length")
    assert [item["name"] for item in data_of(figure)["series"]] == ["gradient = 0.2", "length = 0.2"]


def test_ticks_with_numbers_are_no_names():
    figure = Figure()
    axis = figure.subplots()
    axis.plot(X, X)
    axis.set_xticks([1, 3], ["1", "3"])
    assert "x_names" not in data_of(figure)["axes"][0]


def test_curves_without_labels_have_the_names_of_their_legend():
    """By colour; and by line style where the entry has a colour that no curve has."""
    figure = Figure()
    left, right = figure.subplots(1, 2)
    for color in ("#111111", "#1f5fa8"):
        left.plot(X, X, color=color)
        right.plot(X, X, "-", color=color)
        right.plot(X, 2 * X, "--", color=color)
    left.plot([], [], color="#111111", label="reference")
    left.plot([], [], color="#1f5fa8", label="replicates")
    left.legend(title="of")
    right.plot([], [], "-", color="#666666", label="by volume")
    right.plot([], [], "--", color="#666666", label="by number")
    right.legend()
    data = data_of(figure)
    names = {(item["axes"], item["name"]) for item in data["series"]}
    assert names == {
        (0, "of = reference"), (0, "of = replicates"),
        (1, "of = reference, by volume"), (1, "of = reference, by number"),
        (1, "of = replicates, by volume"), (1, "of = replicates, by number"),
    }  # fmt: skip
    hidden = {entry["name"]: set(entry["ids"]) for entry in data["legend"]}
    shown = {item["name"]: item["id"] for item in data["series"] if item["axes"] == 1}
    assert shown["of = replicates, by number"] in hidden["of = replicates"] & hidden["by number"]
    assert shown["of = replicates, by number"] not in hidden["of = reference"] | hidden["by volume"]


def test_a_band_is_hidden_with_its_curve_only():
    """Not with a curve of another panel that has the same colour."""
    figure = Figure()
    left, right = figure.subplots(1, 2)
    left.plot(X, X, color="#d1702a", label="x")
    left.legend()
    right.plot(X, X, color="#d1702a", label="columns")
    right.fill_between(X, X - 1, X + 1, color="#d1702a", alpha=0.2)
    data = data_of(figure)
    assert {entry["name"]: len(entry["ids"]) for entry in data["legend"]} == {"x": 1}
    right.legend()
    assert {entry["name"]: len(entry["ids"]) for entry in data_of(figure)["legend"]} == {"x": 1, "columns": 2}


def test_entries_of_a_legend_of_the_figure_hide_all_panels():
    figure = Figure()
    axes = figure.subplots(1, 2)
    for axis in axes:
        axis.plot(X, X, label="0.001")
        axis.bar(X, X, color="#d1702a", label="counts")
    figure.legend(*axes[0].get_legend_handles_labels(), title="gradient s", loc="outside right upper")
    data = data_of(figure)
    assert [entry["name"] for entry in data["legend"]] == ["gradient s = 0.001", "gradient s = counts"]
    assert [len(entry["ids"]) for entry in data["legend"]] == [2, 6]
    bars = [item for item in data["series"] if item["name"] == "gradient s = counts"]
    assert [bar["y"][0] for bar in bars] == [1.0, 2.0, 4.0] * 2


def test_limits_have_a_value_on_one_axis():
    figure = Figure()
    axis = figure.subplots()
    axis.plot(X, X, label="curve")
    axis.axvline(3.0, label="critical diameter")
    axis.axhline(2.0, label="limit")
    series = series_of(figure)
    assert set(series["critical diameter"]["x"]) == {3.0}
    assert set(series["critical diameter"]["y"]) == {None}
    assert set(series["limit"]["y"]) == {2.0}


def test_points_outside_of_the_panel_and_not_finite_are_omitted():
    figure = Figure()
    axis = figure.subplots()
    axis.plot([0.0, 1.0, 2.0, 9.0], [1.0, np.nan, 3.0, 4.0], "o")
    axis.set_xlim(-0.5, 2.5)
    (series,) = data_of(figure)["series"]
    assert series["x"] == [0.0, 2.0]


def test_a_panel_without_labels_has_those_of_its_row_and_column():
    figure = Figure()
    axes = figure.subplots(2, 2)
    for axis in axes.ravel():
        axis.plot(X, X)
    for column, name in enumerate(("pressure [kPa]", "radius [nm]")):
        axes[1, column].set_xlabel(name)
    axes[0, 0].set_ylabel("flux [L m$^{-2}$ h$^{-1}$]")
    axes[1, 0].set_ylabel("$l_{max}$")
    flux = "flux [L m⁻² h⁻¹]"
    labels = [(text["x"], text["y"]) for text in data_of(figure)["axes"]]
    assert labels[:2] == [("pressure [kPa]", flux), ("radius [nm]", flux)]
    assert labels[2:] == [("pressure [kPa]", "l_max"), ("radius [nm]", "l_max")]


@pytest.mark.parametrize(
    ("label", "text"),
    [(r"$\lambda$ at \$5", "λ at $5"), (r"$\mathrm{P}_0$", "P_0"), ("m$^{-1}$\nnext", "m⁻¹ next")],
)
def test_labels_without_formulas(label, text):
    assert plain(label) == text


def test_a_name_from_a_table_cannot_end_the_block():
    figure = Figure()
    figure.subplots().plot(X, X, label="</script><b>")
    item = drawing(Picture(figure, "", ""), "f0")
    assert "<" not in item.data
    assert r"\u003c/script>" in item.data


def figure_with(values, label="flux", scale="linear") -> Figure:
    figure = Figure()
    axis = figure.subplots()
    axis.plot(X, values)
    axis.set(xlabel="time", ylabel=label, yscale=scale, ylim=(min(values), max(values)), xlim=(4, 1))
    return figure


def test_equal_axes_contain_the_limits_of_both():
    first, second = figure_with([1.0, 2.0, 3.0]), figure_with([2.0, 5.0, 7.0])
    first.axes[0].set_xlim(9, 2)
    equal_axes(first, second)
    for figure in (first, second):
        assert figure.axes[0].get_ylim() == (1.0, 7.0)
        assert figure.axes[0].get_xlim() == (9.0, 1.0)  # still from right to left


@pytest.mark.parametrize("other", [{"label": "pressure"}, {"scale": "log"}])
def test_other_quantities_and_scales_keep_their_limits(other):
    first, second = figure_with([1.0, 2.0, 3.0]), figure_with([2.0, 5.0, 7.0], **other)
    equal_axes(first, second)
    assert first.axes[0].get_ylim() == (1.0, 3.0)
    assert second.axes[0].get_ylim() == (2.0, 7.0)


def test_equal_colours():
    figures = [Figure(), Figure()]
    for figure, top in zip(figures, (1.0, 3.0), strict=True):
        figure.colorbar(figure.subplots().imshow(np.eye(3), vmin=0, vmax=top), label="speed [mm s⁻¹]")
    equal_axes(*figures)
    assert [figure.axes[0].images[0].get_clim() for figure in figures] == [(0, 3), (0, 3)]


def test_cells_of_a_volume():
    solid = np.zeros((4, 5, 6))
    solid[1:] = 1.0
    solid[0, 0, 0] = 0.5
    volume = turning_volume(solid, (8, 10, 12))
    cells = np.frombuffer(zlib.decompress(base64.b64decode(volume["cells"])), np.uint8).reshape(volume["shape"])
    assert np.array_equal(cells / volume["levels"], solid)
    assert volume["extent"] == [8, 10, 12]


def test_a_volume_that_does_not_compress_is_coarsened():
    """Noise has 2.3 bits a cell at five levels: 160 cells along each edge are 1.2 MB."""
    solid = np.random.default_rng(1).random((101, 160, 160))
    volume = turning_volume(solid, (101, 160, 160))
    assert volume["shape"] == [51, 80, 80]
    assert len(volume["cells"]) < 500_000
    cells = np.frombuffer(zlib.decompress(base64.b64decode(volume["cells"])), np.uint8).reshape(volume["shape"])
    mean = solid[:2, 2:4, 4:6].mean()
    assert abs(cells[0, 1, 2] / volume["levels"] - mean) <= 0.5 / volume["levels"]
