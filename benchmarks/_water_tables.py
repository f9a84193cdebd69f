"""Simulated tables of the water flux, and what their evaluation should yield."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from membrane_dask.physics.porometry.estimates import Estimate
from membrane_dask.physics.porometry.water_series import evaluate_series

BAR, LMH_BAR = 1e5, 3.6e11
Simulation = Callable[[np.random.Generator], dict[str, tuple[float, Estimate]]]


def water_table(
    rng: np.random.Generator, pressures: Sequence[float], readings: int, noise: float, bend: float = 0.0,
    outlier: float = 0.0,
) -> dict[str, tuple[float, Estimate]]:  # fmt: skip
    """Fluxes with relative errors, printed to four digits.

    Parameters
    ----------
    rng : Generator
    pressures : sequence of float
        bar.
    readings : int
        At each pressure.
    noise : float
        Relative standard deviation of a flux.
    bend : float
        a of ``L P exp(-a P)``, bar-1.
    outlier : float
        Relative error of one reading.
    """
    permeance = np.exp(rng.uniform(np.log(5), np.log(2000)))  # L m-2 h-1 bar-1
    pressure = np.repeat(np.array(pressures), readings)
    flux = permeance * pressure * np.exp(-bend * pressure) * (1 + noise * rng.standard_normal(len(pressure)))
    wrong = int(rng.integers(len(flux)))
    flux[wrong] *= 1 + outlier
    digit = 10.0 ** (np.floor(np.log10(flux.max())) - 3)
    flux = digit * np.round(flux / digit)
    replicate = np.tile(np.arange(readings), len(pressures))
    series = evaluate_series(pressure * BAR, flux / 3.6e6, replicate=replicate, resolution=digit / 2 / 3.6e6)
    excluded = np.flatnonzero(~series.used).tolist()
    # A statement that holds or not: the fraction of tables for which it does.
    is_right = float(excluded == ([wrong] if outlier else []))
    return {
        "permeance": (permeance, series.permeance.permeance.scaled(LMH_BAR)),
        "outlier alone left out" if outlier else "no reading left out": (1.0, Estimate(is_right, is_right, is_right)),
    }


_SPECIFIED: dict[str, tuple[Sequence[float], int, float, float, float]] = {
    "water, 5 pressures": ((1, 2, 3, 4, 5), 1, 0.02, 0.0, 0.0),
    "water, 4 pressures x 3": ((1, 2, 3, 4), 3, 0.02, 0.0, 0.0),
    "water, bend 0.15/bar, 8 x 3": (tuple(np.arange(0.5, 4.1, 0.5)), 3, 0.012, 0.15, 0.0),
    "water, bend 0.03/bar, 6 pressures": ((1, 2, 3, 4, 5, 6), 1, 0.02, 0.03, 0.0),
    "water, one reading of 3 %": ((2,), 1, 0.03, 0.0, 0.0),
    "water, one reading of 6 %": ((2,), 1, 0.06, 0.0, 0.0),
    "water, 2 pressures x 3": ((1, 2), 3, 0.02, 0.0, 0.0),
    "water, 6 pressures, 0.5 %": ((1, 2, 3, 4, 5, 6), 1, 0.005, 0.0, 0.0),
    "water, 6 pressures, 0.5 %, one 4 % high": ((1, 2, 3, 4, 5, 6), 1, 0.005, 0.0, 0.04),
    "water, 4 x 3, 0.5 %, one 3 % low": ((1, 2, 3, 4), 3, 0.005, 0.0, -0.03),
    "water, 4 x 3, 0.5 %, one 6 % low": ((1, 2, 3, 4), 3, 0.005, 0.0, -0.06),
    "water, 8 pressures, one 30 % low": ((1, 2, 3, 4, 5, 6, 7, 8), 1, 0.02, 0.0, -0.3),
}
METHODS: dict[str, Simulation] = {
    name: partial(
        water_table, pressures=pressures, readings=readings, noise=noise, bend=bend, outlier=outlier
    )
    for name, (pressures, readings, noise, bend, outlier) in _SPECIFIED.items()
}  # fmt: skip
