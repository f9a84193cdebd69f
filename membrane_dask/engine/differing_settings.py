"""Settings in which runs differ, by name, and their values as short text."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from membrane_dask.plain_text import printable_line

#: Value of a setting that a run does not have.
ABSENT = "-"
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
    """Values of one setting as text in one line each; shortened, unless values that differ would look alike."""
    whole = [_text(value) for value in values]
    shortened = [text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..." for text in whole]
    return shortened if len(set(shortened)) == len(set(whole)) else whole


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value[:8] if re.fullmatch("[0-9a-f]{64}", value) else printable_line(value)
    return printable_line(json.dumps(value, ensure_ascii=False).replace('"', ""))
