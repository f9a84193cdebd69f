"""Axes of lengths are labelled without powers of ten, and the values at the pointer have the unit of the label."""

from __future__ import annotations

import pytest
from matplotlib.figure import Figure

from membrane_dask.report.length_axes import label_lengths
from membrane_dask.report.page import picture


@pytest.mark.parametrize(
    ("lengths", "unit", "shown"), [((1.0, 600.0), "nm", 600.0), ((1e3, 2.5e4), "µm", 25.0), ((1e5, 4e6), "mm", 4.0)]
)
@pytest.mark.parametrize("scale", ["linear", "log"])
def test_the_unit_of_an_axis_follows_its_largest_value(lengths, unit, shown, scale):
    figure = Figure()
    axis = figure.subplots()
    axis.plot(lengths, [0.1, 0.9], "o", label="pores")
    axis.set(xlabel="pore radius [nm]", ylabel="fraction", xscale=scale)
    one = picture(figure, "", "")
    for _ in range(2):  # as often as it is drawn
        svg, data = one.drawn()
        assert data["axes"][0]["x"] == f"pore radius [{unit}]"
        assert f"pore radius [{unit}]" in svg
        (series,) = data["series"]
        assert series["x"][-1] == shown
        assert series["y"] == [0.1, 0.9]


def test_both_axes_of_a_picture_have_one_unit():
    figure = Figure()
    axis = figure.subplots()
    axis.imshow([[0, 1]], extent=(0, 1540, 768, 0))
    axis.set(xlabel="x [nm]", ylabel="depth [nm]")
    label_lengths(figure)
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("x [µm]", "depth [µm]")
