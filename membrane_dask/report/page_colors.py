"""Colours of figures that follow the page: on a dark one they have the same hue, and their lightness is reversed."""

from __future__ import annotations

import colorsys
import re
from collections.abc import Iterable

#: Lightness on a dark page of what is black and white on a light one: that of its text and of its background.
_INK, _PAPER = 0.89, 0.095
#: Background of dark pages, as in the style sheet.
_BACKGROUND = "14181d"
_COLOR = re.compile(r"((?:fill|stroke): )#([0-9a-f]{6})\b")
_VARIABLE = re.compile(r"var\(--([0-9a-f]{6})\)")


def with_page_colors(svg: str) -> str:
    """A figure whose colours are variables of the page, such as ``var(--1f5fa8)``."""
    return _COLOR.sub(r"\1var(--\2)", svg)


def color_rules(svgs: Iterable[str]) -> str:
    """Style sheet with the values of the variables of :func:`with_page_colors` on light and on dark pages.

    On paper they are those of light pages.
    """
    colors = sorted({color for svg in svgs for color in _VARIABLE.findall(svg)})
    light, dark = (
        "".join(f" --{color}: #{value(color)};" for color in colors) for value in (lambda color: color, dark_color)
    )
    return f":root {{{light} }}\n@media screen and (prefers-color-scheme: dark) {{ :root {{{dark} }} }}\n"


def dark_color(color: str) -> str:
    """The colour on a dark page for one on a light page, both as six hexadecimal digits.

    Differences of lightness are reversed, so that what contrasts with one page contrasts with the other one.
    """
    if color == "ffffff":
        return _BACKGROUND
    red, green, blue = (int(color[k : k + 2], 16) / 255 for k in (0, 2, 4))
    hue, lightness, saturation = colorsys.rgb_to_hls(red, green, blue)
    rgb = colorsys.hls_to_rgb(hue, _INK + (_PAPER - _INK) * lightness, saturation)
    return "".join(f"{round(255 * value):02x}" for value in rgb)
