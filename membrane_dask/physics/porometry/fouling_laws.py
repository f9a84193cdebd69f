"""Decline of the flux at constant pressure: four laws of pore blocking and five combinations of them.

The constants are those of complete blocking ``K_b`` (s-1), standard blocking ``K_s`` (m-1), intermediate blocking
``K_i`` (m-1) and cake filtration ``K_c`` (s m-2). ``J_0`` is the initial flux, ``v`` the permeate volume per area.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from membrane_dask.physics.elementary import exp, expm1, log1p
from membrane_dask.physics.errors import PhysicsError

#: Laws and their constants, in the order in which functions take them.
LAWS: dict[str, tuple[str, ...]] = {
    "complete": ("complete",),
    "standard": ("standard",),
    "intermediate": ("intermediate",),
    "cake": ("cake",),
    "cake-complete": ("cake", "complete"),
    "cake-intermediate": ("cake", "intermediate"),
    "cake-standard": ("cake", "standard"),
    "complete-standard": ("complete", "standard"),
    "intermediate-standard": ("intermediate", "standard"),
}
#: Iterations of Newton's method; its convergence is monotonic, and quadratic from the third or fourth on.
_MAX_ITERATIONS = 60


def permeate_volume(law: str, time: Any, initial_flux: Any, constants: Sequence[Any]) -> np.ndarray:
    """Permeate volume per area.

    Parameters
    ----------
    law : str
        Name in :data:`LAWS`.
    time : (n,) float array
        s, >= 0.
    initial_flux : (...) float array
        m s-1, > 0.
    constants : sequence of (...) float array
        Of the law, in its order, >= 0; broadcast with the initial flux. With a constant of 0 a combination is the law
        of the other constant.

    Returns
    -------
    (..., n) float array
        m.

    Raises
    ------
    PhysicsError
        If there is no such law, or it has another number of constants.

    References
    ----------
    Bolton, LaCasse and Kuriyel, J. Membr. Sci. 277, 75 (2006); Hermia, Trans. Inst. Chem. Eng. 60, 183 (1982).
    """
    return _volume_and_flux(law, time, initial_flux, constants)[0]


def permeate_flux(law: str, time: Any, initial_flux: Any, constants: Sequence[Any]) -> np.ndarray:
    """Flux, m s-1: the derivative of :func:`permeate_volume`, with the same arguments."""
    return _volume_and_flux(law, time, initial_flux, constants)[1]


def _volume_and_flux(law: str, time: Any, initial_flux: Any, constants: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Volume and flux: blocking of the pore mouths follows the time that the other mechanism leaves.

    Standard blocking and the cake slow the flux down, so that the volume is that of a clean membrane after a shorter
    time ``tau``. Complete and intermediate blocking act on this time.
    """
    names = LAWS.get(law)
    if names is None:
        raise PhysicsError(f"law: {law!r} is not known; known are {', '.join(LAWS)}")
    if len(constants) != len(names):
        raise PhysicsError(f"{law}: {len(names)} constants ({', '.join(names)}) are needed, got {len(constants)}")
    values = {name: np.asarray(value, float)[..., None] for name, value in zip(names, constants, strict=True)}
    t, flux = np.asarray(time, float), np.asarray(initial_flux, float)[..., None]
    standard, cake = values.get("standard", np.zeros(1)), values.get("cake", np.zeros(1))
    if law == "cake-standard":
        tau, rate = _cake_and_standard(t, flux, cake, standard)
    else:
        narrowing = 1 + standard * flux * t / 2
        resistance = np.sqrt(1 + 2 * cake * np.square(flux) * t)
        tau = 2 * t / (1 + resistance) / narrowing
        rate = 1 / (resistance * np.square(narrowing))
    if "complete" in values:
        blocked = values["complete"] * tau
        return flux * tau * _ratio(-expm1(-blocked), blocked), flux * rate * exp(-blocked)
    if "intermediate" in values:
        blocked = values["intermediate"] * flux * tau
        return flux * tau * _ratio(log1p(blocked), blocked), flux * rate / (1 + blocked)
    return flux * tau, flux * rate


def _ratio(numerator: Any, denominator: Any) -> Any:
    """Ratio of two quantities whose ratio is 1 where both are 0."""
    is_zero = denominator == 0
    return np.where(is_zero, 1.0, numerator / np.where(is_zero, 1.0, denominator))


def _cake_and_standard(t: Any, flux: Any, cake: Any, standard: Any) -> tuple[np.ndarray, np.ndarray]:
    """Volume and flux over the initial flux of a cake on narrowing pores.

    The volume is the root of ``J_0 t = v / (1 - K_s v / 2) + K_c J_0 v^2 / 2``, whose right side is convex. Each term
    alone gives an upper bound; Newton's method falls from the lower one to the root.
    """
    clean = flux * t
    volume = np.minimum(
        clean / (1 + standard * clean / 2), 2 * clean / (1 + np.sqrt(1 + 2 * cake * np.square(flux) * t))
    )
    for _ in range(_MAX_ITERATIONS):
        opening = 1 - standard * volume / 2
        slope = 1 / np.square(opening) + cake * flux * volume
        step = (volume / opening + cake * flux * np.square(volume) / 2 - clean) / slope
        volume = volume - step
        if (np.abs(step) <= 1e-15 * volume).all():
            break
    slope = 1 / np.square(1 - standard * volume / 2) + cake * flux * volume
    return volume / flux, 1 / slope
