"""Reproduction of the tables of Palencia et al.: each printed number, recomputed from other printed numbers.

A number is *reproduced* if it agrees to the printed digit. Other outcomes are: *rounding*, it agrees within the
rounding of its inputs, or to one unit of the last digit; *decade*, it agrees except for a power of ten; *by eye*, a
pressure that agrees within the precision of reading a figure; *plausible*, an average of random errors that is within
the range of such averages; *undefined*, the paper does not say what was printed; and *not*.
"""

from __future__ import annotations

import csv
import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from membrane_dask.physics.decimal_digits import power_of_ten
from membrane_dask.physics.elementary import log
from membrane_dask.physics.porometry.measurement_errors import READINGS, Sign, line_errors
from membrane_dask.studies.porometry.palencia_rules import (
    PRESSURES,
    PRISTINE,
    Key,
    Rule,
    input_key,
    rule_of,
    true_powers,
)

#: Simulated averages of twenty cycles, and the quantiles between which a plausible average is.
_AVERAGES, _CYCLES, _QUANTILES = 500, 20, (0.025, 0.975)


@dataclass(frozen=True)
class Cell:
    """A printed number.

    Parameters
    ----------
    table, membrane, quantity : str
        Its key.
    printed : str
        As printed, in the unit of the header; ``without power of ten`` for the mean squares of Tables 4 and 5.
    """

    table: str
    membrane: str
    quantity: str
    printed: str

    @property
    def value(self) -> float:
        """The number."""
        return float(self.printed)

    @property
    def unit(self) -> float:
        """One unit of its last printed digit."""
        return power_of_ten(int(Decimal(self.printed).as_tuple().exponent))


def read_cells(path: str | Path) -> dict[Key, Cell]:
    """Printed numbers by key, from a table ``table,membrane,quantity,unit,printed``."""
    with open(path, encoding="utf-8") as stream:
        rows = csv.DictReader(line for line in stream if not line.startswith("#"))
        cells = [Cell(row["table"], row["membrane"], row["quantity"], row["printed"]) for row in rows]
    return {(c.table, c.membrane, c.quantity): c for c in cells}


def reproduce(cells: Mapping[Key, Cell]) -> dict[str, np.ndarray]:
    """Recompute every printed number that follows from others.

    Parameters
    ----------
    cells : mapping
        Of :func:`read_cells`: numbers to recompute, and their inputs.

    Returns
    -------
    dict of str to (n,) array
        ``table, membrane_name, quantity_name, printed, recomputed, outcome`` in the order of the cells, without those
        that do not follow from others.
    """
    results = []
    for cell in cells.values():
        if cell.table in ("4", "5"):
            results.append((cell, *_recompute_error(cell, cells)))
            continue
        rule = rule_of(cell.table, cell.membrane, cell.quantity)
        if rule:
            results.append((cell, *_recompute(cell, rule, cells)))
    columns: dict[str, Any] = {
        "table": [cell.table for cell, *_ in results],
        "membrane_name": [cell.membrane for cell, *_ in results],
        "quantity_name": [cell.quantity for cell, *_ in results],
        "printed": [cell.printed for cell, *_ in results],
        "outcome": [outcome for *_, outcome in results],
    }
    arrays = {name: np.array(column, "T") for name, column in columns.items()}
    return arrays | {"recomputed": np.array([value for _, value, _ in results])}


def _recompute(cell: Cell, rule: Rule, cells: Mapping[Key, Cell]) -> tuple[float, str]:
    """The recomputed number, and its outcome."""
    sources = [cells[input_key(source, cell.table, cell.membrane)] for source in rule.inputs]
    numbers = [source.value for source in sources]
    powers: tuple[Any, ...] = ()
    if rule.inputs and rule.inputs[0][0] == "models":
        powers = (true_powers(tuple(numbers[:2]), tuple(numbers[2:6])),)
    value = float(rule.function(cell.membrane, *powers, *numbers))
    if not math.isfinite(value):
        return value, "not"
    difference = abs(value - cell.value)
    if difference <= cell.unit / 2 * (1 + 1e-6):
        return value, "reproduced"
    if rule.strict:
        return value, "not"
    # Effect of the rounding of each input in turn; no rule has an extremum within half a digit of its inputs.
    rounding = 0.0
    for k, source in enumerate(sources):
        shifted = [
            rule.function(cell.membrane, *powers, *numbers[:k], numbers[k] + side * source.unit / 2, *numbers[k + 1 :])
            for side in (-1, 1)
        ]
        rounding += max((abs(number - value) for number in shifted if math.isfinite(number)), default=0.0)
    if difference <= rounding + cell.unit / 2 or difference < cell.unit:
        return value, "rounding"
    if difference <= rule.tolerance[0]:
        return value, rule.tolerance[1]
    power = round(float(log(abs(value / cell.value)) / log(10.0))) if rule.decade else 0
    if power and abs(value / power_of_ten(power) - cell.value) <= rounding / power_of_ten(power) + cell.unit:
        return value, "decade"
    return value, "not"


def _recompute_error(cell: Cell, cells: Mapping[Key, Cell]) -> tuple[float, str]:
    """Average, largest or mean square error of Tables 4 and 5 by simulation, and whether the printed one is plausible.

    The paper does not state the membrane and the sign of the errors: all possibilities are simulated, and the value
    returned is that of the first. It neither defines its mean squares nor prints their powers of ten: theirs is the
    mean square of the relative error.
    """
    quantity, largest, statistic = cell.quantity.split(", ")
    lines = tuple(
        (cells["3", m, "L_m"].value * 1e-10, -cells["3", m, "L_m"].value * 1e-10 * cells["3", m, "P_0"].value)
        for m in PRISTINE
    )
    row = {"mean": 0, "max": 1, "mean square": 2}[statistic]
    samples = [both[row] for both in _simulated_errors(lines)[cell.table, quantity, float(largest.removesuffix(" %"))]]
    if statistic == "mean square":
        return float(samples[0].mean()), "undefined"
    bounds = [np.quantile(sample, _QUANTILES) for sample in samples]
    within_range = any(low <= cell.value <= high for low, high in bounds)
    return float(samples[0].mean()), "plausible" if within_range else "not"


@lru_cache(maxsize=4)
def _simulated_errors(lines: tuple[tuple[float, float], ...]) -> dict[tuple[str, str, float], list[np.ndarray]]:
    """Means, maxima and mean squares of twenty cycles, for each sign of the error and each membrane.

    Keys are the table, the quantity with errors and its largest error in percent.
    """
    samples: dict[tuple[str, str, float], list[np.ndarray]] = {}
    signs: tuple[Sign, ...] = ("signed", "literal")
    for quantity, largest in itertools.product(READINGS, (5.0, 2.0, 1.0)):
        for sign, line in itertools.product(signs, lines):
            rng = np.random.default_rng(1)
            errors = line_errors(line, PRESSURES, quantity, largest, rng, cycles=_AVERAGES * _CYCLES, sign=sign)
            for name, values in errors.items():
                table = {"permeability": "4", "threshold": "5"}[name]
                cycles = np.abs(values).reshape(_AVERAGES, _CYCLES)
                mean_square = np.square(cycles / 100).mean(axis=1)
                statistics = np.stack([cycles.mean(axis=1), cycles.max(axis=1), mean_square])
                samples.setdefault((table, quantity, largest), []).append(statistics)
    return samples
