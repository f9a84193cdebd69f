"""Which membranes of a study are specimens of one membrane, by their names."""

from __future__ import annotations

import re
from collections.abc import Sequence

from membrane_dask.studies.porometry.measurements import MembraneData

#: Specimens that a membrane has at least.
MIN_SPECIMENS = 3
#: Limit of the distance between the numbers of specimens over their count: there may be gaps; UF10 and UF30 are grades.
_SPREAD = 2
_SEPARATORS = r"[\s._#-]*"
#: A whole number, but no decimals as in PES 0.5.
_NUMBER = re.compile(rf"(.*?){_SEPARATORS}(?<!\d)(?<!\d[.,])(\d+)", re.DOTALL)
#: A single letter, which may follow a number: UF-20b is a specimen of UF-20.
_LETTER = re.compile(rf"(.*?){_SEPARATORS}(?<![^\W\d_])([a-z])", re.DOTALL | re.IGNORECASE)


def specimen_name(name: str) -> tuple[str, int] | None:
    """Name of a membrane without that of its specimen, and the number or the position of the letter of that.

    Parameters
    ----------
    name : str
        Such as ``UF-2``, ``coupon B`` or ``UF-20b``.

    Returns
    -------
    (str, int) or None
        ``("UF", 2)``, ``("coupon", 2)``, ``("UF-20", 2)``; None for a name that ends with neither.
    """
    if match := _NUMBER.fullmatch(name.strip()):
        return match[1], int(match[2])
    if match := _LETTER.fullmatch(name.strip()):
        return match[1], ord(match[2].lower()) - ord("a") + 1
    return None


def specimen_groups(membranes: Sequence[MembraneData]) -> dict[tuple[str, str], list[int]]:
    """Positions of the specimens of each membrane in each state, by the common part of their names and the state.

    Three or more membranes of one state are specimens of one if their names differ in a running number or letter only.
    Grades differ in a number as well, but not in a running one: ``UF10`` and ``UF30``, ``NF90`` and ``NF270`` are
    different membranes.

    Parameters
    ----------
    membranes : sequence of MembraneData
        All membranes.
    """
    groups: dict[tuple[str, str, bool], dict[int, int]] = {}
    for k, membrane in enumerate(membranes):
        if (name_and_number := specimen_name(membrane.name)) is not None:
            name, number = name_and_number
            is_number = membrane.name.strip()[-1].isdecimal()
            groups.setdefault((name, membrane.state, is_number), {})[k] = number
    specimens: dict[tuple[str, str], list[int]] = {}
    for (name, state, _), members in groups.items():
        if len(members) >= MIN_SPECIMENS and max(members.values()) - min(members.values()) < _SPREAD * len(members):
            specimens.setdefault((name, state), []).extend(members)
    return specimens
