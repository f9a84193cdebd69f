"""Roots of functions of one variable."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def brentq(function: Callable[..., Any], low: float, high: float, **tolerances: float) -> float:
    """Root between two values at which a function has opposite signs, by ``scipy.optimize.brentq``.

    SciPy's optimisers are slow to import, and studies are checked without a root.

    Parameters
    ----------
    function : callable
        Of one number.
    low, high : float
        Ends of the bracket.
    **tolerances : float
        ``xtol`` and ``rtol`` of SciPy.

    Raises
    ------
    ValueError
        If the signs at both ends are equal.
    """
    from scipy.optimize import brentq as solve

    return float(solve(function, low, high, **tolerances))
