"""Scales on which metrics vary smoothly with the design and scatter alike between networks."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from membrane_dask.physics.elementary import exp, log
from membrane_dask.studies.graded.design_metrics import split_metric

#: Smallest and largest fraction that has a value on its scale.
_FRACTIONS = (1e-300, 1 - 1e-12)


@dataclass(frozen=True)
class Scale:
    """An increasing function of a metric.

    Parameters
    ----------
    forward : callable
        Takes values of the metric, ``(n,)``, and returns them on the scale.
    inverse : callable
        Takes a number on the scale and returns the metric.
    slope : callable
        Takes a value of the metric and returns the change on the scale with its relative change.
    low : float
        Values at or below it are not on the scale.
    """

    forward: Callable[[np.ndarray], np.ndarray]
    inverse: Callable[[float], float]
    slope: Callable[[float], float]
    low: float = -math.inf


def _fractions(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.clip(values, *_FRACTIONS))


def _odds(values: np.ndarray) -> np.ndarray:
    fractions = _fractions(values)
    return np.asarray(log(fractions / (1 - fractions)))


LINEAR = Scale(lambda values: np.asarray(values, np.float64), lambda scaled: scaled, abs)
LOGARITHM = Scale(lambda values: np.asarray(log(values)), lambda scaled: float(exp(scaled)), lambda value: 1.0, low=0.0)
#: Logarithm of the log reduction value, with a negative sign.
REDUCTION = Scale(
    lambda values: np.asarray(-log(-log(_fractions(values)))),
    lambda scaled: float(exp(-exp(-scaled))),
    lambda value: 1 / float(-log(value)),
)
#: Logarithm of a fraction over the rest.
ODDS = Scale(_odds, lambda scaled: float(1 / (1 + exp(-scaled))), lambda value: 1 / max(1 - value, 1e-12))

_OF_FRACTIONS = {
    "foulant_concentration": REDUCTION,
    "foulant_concentration_threshold": REDUCTION,
    "foulant_concentration_threshold_step": REDUCTION,
    "species_concentration": REDUCTION,
    "species_yield": REDUCTION,
    "species_purity": ODDS,
    "particle_retention": LINEAR,  # 0 and 1 occur, which other scales do not hold
}


def scale_of(metric: str, smallest: float) -> Scale:
    """Scale of a metric whose smallest value is given: logarithmic if it is positive, except for fractions."""
    return _OF_FRACTIONS.get(split_metric(metric)[0], LOGARITHM if smallest > 0 else LINEAR)
