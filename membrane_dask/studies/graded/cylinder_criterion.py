"""Criterion for pores that stay cylinders: little deposition in pores that retain most of their foulant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Fraction of the deposition in pores with x > 1 above which pores cannot be taken as cylinders.
MAX_NON_CYLINDRICAL = 0.1


def has_criterion(attrs: Mapping[str, Any]) -> bool:
    """Whether the criterion applies to a study with these settings: pieces of pores resolve what it warns of."""
    return int(attrs.get("segments", 1)) == 1


def consequence(attrs: Mapping[str, Any]) -> str:
    """End of a sentence on designs that do not meet the criterion, with what a study can do about it.

    Parameters
    ----------
    attrs : mapping
        Settings of the study by their dotted names, as attributes of its result.
    """
    text = "radii are not uniform along them"
    if attrs.get("erosion.rate"):  # with erosion, pieces of pores are not defined
        return text
    law = " with deposition_law: conserving" if attrs.get("deposition_law", "published") == "published" else ""
    return f"{text}; try segments: 4{law}"
