"""Colours of figures on a dark page."""

from __future__ import annotations

import base64
import re

import pytest
from matplotlib.figure import Figure

from membrane_dask.report.page import drawing, page_style, picture
from membrane_dask.report.page_colors import dark_color


def luminance(color: str) -> float:
    """Relative luminance of sRGB (WCAG 2)."""
    values = [int(color[k : k + 2], 16) / 255 for k in (0, 2, 4)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in values]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    low, high = sorted(map(luminance, (first, second)))
    return (high + 0.05) / (low + 0.05)


# Colours of the curves of reports; 3 is the least contrast of graphics by WCAG 2.1, 1.4.11.
@pytest.mark.parametrize("color", ["000000", "111111", "1f5fa8", "d1702a", "2a8a57", "3b1c6e", "440154", "999999"])
def test_dark_colours_are_legible_on_dark_pages(color):
    assert contrast(dark_color(color), dark_color("ffffff")) > 3


def test_a_page_defines_all_colours_of_its_figures_and_saves_them_unchanged():
    figure = Figure(figsize=(2, 2))
    figure.subplots().plot([0, 1], [0, 1], color="#1f5fa8")
    one = drawing(picture(figure, "", ""), "f")
    used = set(re.findall(r"var\(--([0-9a-f]{6})\)", one.svg))
    style = page_style([one])
    assert {"1f5fa8", "ffffff"} <= used
    assert all(style.count(f"--{color}: #") == 2 for color in used)  # on light and on dark pages
    saved = base64.b64decode(one.file.partition(",")[2]).decode()
    assert "stroke: #1f5fa8" in saved
    assert "var(" not in saved
