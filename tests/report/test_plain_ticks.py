"""Ticks are labelled by text, which is drawn faster than formulas; a common power of ten is a formula."""

from __future__ import annotations

import re

from matplotlib.figure import Figure

from membrane_dask.report.page import picture


def test_labels_are_text_and_a_common_power_is_a_formula():
    figure = Figure()
    axis = figure.subplots()
    axis.plot([-1.5, 1.5], [0.0, 4e-6])
    svg, _ = picture(figure, "", "").drawn()
    labels = [re.sub("<[^>]*>", "", text) for text in re.findall(r"<text[^>]*>[^<]*</text>", svg)]
    assert {"\N{MINUS SIGN}1.5", "1.5", "0.0", "4.0"} <= set(labels)
    formulas = [re.sub(r"<[^>]*>|\s", "", text) for text in re.findall(r"<text[^>]*>\s*<tspan.*?</text>", svg, re.S)]
    assert formulas == ["\N{MULTIPLICATION SIGN}10\N{MINUS SIGN}6"]
    for line in (axis.xaxis, axis.yaxis):
        assert not any("$" in label for label in line.get_major_formatter().format_ticks(line.get_majorticklocs()))
