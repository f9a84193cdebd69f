"""Units as people write them: ``L m-2 h-1``, ``LMH``, ``L/(m² h)``, ``kg m⁻² s⁻¹``, ``°C``, ``psi``."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

_WORDS = {
    "lmh": "L/m**2/h",
    "gfd": "gallon/ft**2/day",
    "lmh/bar": "L/m**2/h/bar",
    "barg": "bar",
    "psig": "psi",
    "sec": "s",
    "c": "degC",
    "°c": "degC",
    "degc": "degC",
}
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻\u2212\u2013·∙⋅*µ", "0123456789---" + "    " + "u")
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"


@lru_cache(maxsize=1)
def _registry() -> Any:
    import pint  # slow to import, and only some studies need it

    return pint.UnitRegistry()


@lru_cache(maxsize=256)
def parse_unit(text: str) -> Any:
    """A unit.

    Parameters
    ----------
    text : str
        UDUNITS spelling, slashes, superscripts, or a trade's short form; gauge pressures are differences to the
        atmosphere, as that of a permeate which leaves into it.

    Returns
    -------
    pint.Unit

    Raises
    ------
    ValueError
        If it is no unit.
    """
    word = text.strip().translate(_RAISED)
    word = _WORDS.get(word.lower(), word)
    word = re.sub(r"(?<=[A-Za-z])\^?(-?\d)", r"**\1", word).replace("^", "**") if "**" not in word else word
    word = re.sub(r"\s+", " ", word)
    if not re.fullmatch(r"[A-Za-z%°() /*0-9.-]+", word) or not re.search(r"[A-Za-z°%]", word):
        raise ValueError(f"not a unit: {text!r}")
    try:
        return _registry().Unit(word)
    except Exception as error:
        raise ValueError(f"not a unit: {text!r}") from error


def fits(text: str, unit: str) -> bool:
    """Whether a unit measures what another one does."""
    try:
        return bool(parse_unit(text).is_compatible_with(parse_unit(unit)))
    except ValueError:
        return False


def convert(value: float, text: str, unit: str) -> float:
    """A number in one unit, told in another; both in any spelling of :func:`parse_unit`."""
    found = _registry().Quantity(value, parse_unit(text)).to(parse_unit(unit)).magnitude
    return float(f"{found:.15g}")  # 34 cm2 are 0.0034 m2


def split_quantity(text: str) -> tuple[list[float], str]:
    """Numbers and the unit of ``3 nm``, ``3.15 +- 0.25 nm``, ``0.1 to 1 um``.

    Raises
    ------
    ValueError
        If there is no number.
    """
    found = re.fullmatch(rf"\s*({_NUMBER})\s*(?:(?:±|\+-|\+/-|to)\s*({_NUMBER}))?\s*(.*?)\s*", text)
    if not found:
        raise ValueError(f"not a quantity: {text!r}")
    return [float(n) for n in found.groups()[:2] if n], found[3]
