"""Monte Carlo errors of permeability and threshold pressure from random errors of one measured quantity."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

#: Measured quantity with random errors.
Reading = Literal["pressure", "time", "mass"]
READINGS: tuple[Reading, ...] = get_args(Reading)
#: Sign of the random error: either, or as Eq. 23 is printed, never negative.
Sign = Literal["signed", "literal"]


def perturb(
    values: np.ndarray, largest: float, rng: np.random.Generator, sign: Sign = "signed", smallest: float = 0.0
) -> np.ndarray:
    """Values with random relative errors, ``x (1 + f / 100)`` (Palencia Eqs. 23 and 24).

    Parameters
    ----------
    values : float array
        Error-free values.
    largest, smallest : float
        Bounds of the error, %.
    rng : numpy.random.Generator
        Two random numbers are drawn for each value.
    sign : {"signed", "literal"}
        The difference ``e`` of two uniform random numbers gives ``f = e (largest - smallest)``; or, as Eq. 23 is
        printed, ``(e / |e|) e (largest - smallest)``, which is never negative.
    """
    first, second = rng.random((2, *np.shape(values)))
    e = second - first
    return np.asarray(values * (1 + (e if sign == "signed" else np.abs(e)) * (largest - smallest) / 100))


def line_errors(
    line: tuple[float, float], pressures: np.ndarray, quantity: Reading, largest: float,
    rng: np.random.Generator, *, cycles: int = 20, sign: Sign = "signed",
) -> dict[str, np.ndarray]:  # fmt: skip
    """Relative errors of hydraulic permeability and threshold pressure when one measured quantity has errors, %.

    Parameters
    ----------
    line : tuple of float
        True permeability and intercept.
    pressures : (n,) float array
        Pa.
    quantity : {"pressure", "time", "mass"}
        The quantity with errors; the flux is mass over area and time.
    largest : float
        Largest error, %.
    rng : numpy.random.Generator
        Source of the errors.
    cycles : int
        Simulated experiments.
    sign : {"signed", "literal"}
        As for :func:`perturb`.

    Returns
    -------
    dict
        ``permeability`` and ``threshold``, each (cycles,): relative errors, %, with their signs.
    """
    slope, intercept = line
    pressure = np.broadcast_to(pressures, (cycles, len(pressures)))
    flux = slope * pressure + intercept
    if quantity == "pressure":
        pressure = perturb(pressure, largest, rng, sign)
    elif quantity == "mass":
        flux = perturb(flux, largest, rng, sign)
    else:
        flux = flux / perturb(np.ones_like(flux), largest, rng, sign)
    centred = pressure - pressure.mean(axis=1, keepdims=True)
    slopes = (centred * flux).sum(axis=1) / np.square(centred).sum(axis=1)
    thresholds = pressure.mean(axis=1) - flux.mean(axis=1) / slopes
    true_threshold = -intercept / slope
    return {
        "permeability": 100 * (slopes / slope - 1),
        "threshold": 100 * (thresholds / true_threshold - 1),
    }
