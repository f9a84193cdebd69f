"""Settings in which runs differ, by name, and their values as short text."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from membrane_dask.plain_text import printable_line

#: Value of a setting that a run does not have.
ABSENT = "-"
#: Larger and smaller units of those in which settings are stored, with their sizes; the largest that fits is shown.
_UNITS = {
    "m": (("m", 1.0), ("mm", 1e-3), ("um", 1e-6), ("nm", 1e-9)),
    "nm": (("mm", 1e6), ("um", 1e3), ("nm", 1.0)),
    "m2": (("m2", 1.0), ("cm2", 1e-4), ("mm2", 1e-6)),
    "Pa": (("MPa", 1e6), ("kPa", 1e3), ("Pa", 1.0)),
    "Pa s": (("Pa s", 1.0), ("mPa s", 1e-3)),
    "N m-1": (("N/m", 1.0), ("mN/m", 1e-3)),
    "s": (("h", 3600.0), ("min", 60.0), ("s", 1.0)),
    "MB": (("GB", 1e3), ("MB", 1.0)),
}
_NUMBER = r"-?[0-9.]+(?:e[-+]?[0-9]+)?"
_QUANTITY = re.compile(rf"(uniform )?({_NUMBER})(?:( \+- | to )({_NUMBER}))? ({'|'.join(_UNITS)})")
#: Characters of a number in the largest unit, beyond which a smaller one is tried.
_LONGEST_NUMBER = 7
#: Characters of a value that are shown, if they distinguish it from the others.
_SHOWN = 36


def differing_settings(settings: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Settings in which runs differ.

    Parameters
    ----------
    settings : sequence of mapping
        Settings of each run, sections inside one another.

    Returns
    -------
    list of dict
        Values of each run, by dotted name; :data:`ABSENT` where a run lacks a setting that another one has, because
        its study leaves out that section or its version did not have it.
    """
    differences: list[dict[str, Any]] = [{} for _ in settings]
    _compare("", dict(enumerate(settings)), differences)
    return differences


def _compare(prefix: str, sections: Mapping[int, Mapping[str, Any]], differences: list[dict[str, Any]]) -> None:
    for name in dict.fromkeys(name for section in sections.values() for name in section):
        values = {number: section.get(name, ABSENT) for number, section in sections.items()}
        if all(isinstance(value, Mapping) for value in values.values()):
            _compare(f"{prefix}{name}.", values, differences)
        elif any(value != next(iter(values.values())) for value in values.values()):
            for number, value in values.items():
                differences[number][f"{prefix}{name}"] = value


def setting_texts(values: Sequence[Any]) -> list[str]:
    """Values of one setting as text in one line each.

    Quantities are in a unit of a convenient size, and long texts are shortened, unless values that differ would look
    alike.
    """
    stored = [_text(value) for value in values]
    whole = [_text(_with_convenient_units(value)) for value in values]
    whole = whole if len(set(whole)) == len(set(stored)) else stored
    shortened = [text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..." for text in whole]
    return shortened if len(set(shortened)) == len(set(whole)) else whole


def _with_convenient_units(value: Any) -> Any:
    """``4e-09 m`` as ``4 nm``, also in lists and sections."""
    if isinstance(value, Mapping):
        return {name: _with_convenient_units(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_with_convenient_units(item) for item in value]
    match = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return value
    distribution, first, join, second, stored_unit = match.groups(default="")
    units = _UNITS[stored_unit]
    values = [float(number) for number in (first, second) if number]
    fitting = [unit for unit in units if max(map(abs, values)) >= unit[1] * (1 - 1e-9)] or units[-1:]
    texts = [(unit, [f"{number / size:.12g}" for number in values]) for unit, size in fitting]
    # 100 s, and not 1.66666666667 min
    unit, numbers = next((pair for pair in texts if max(map(len, pair[1])) <= _LONGEST_NUMBER), texts[0])
    return f"{distribution}{join.join(numbers)} {unit}"


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value[:8] if re.fullmatch("[0-9a-f]{64}", value) else printable_line(value)
    return printable_line(json.dumps(value, ensure_ascii=False).replace('"', ""))
