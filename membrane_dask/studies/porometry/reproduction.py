"""Palencia's tables, cell by cell: what each printed number becomes when it is computed from the others.

Every cell follows from other printed cells. It is *reproduced* to the printed digit; or within the *rounding* of what
it was computed from, or one unit of the last digit; or it has the right digits and the wrong power of ten (*decade*);
or a pressure was read off a figure (*by eye*); or an average of random errors lies where such averages lie
(*plausible*); or it is *not* reproduced.
"""

from __future__ import annotations

import csv
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.porometry.darcy_curve import DarcyCurve, cubic_threshold
from membrane_dask.physics.porometry.measurement_errors import line_errors
from membrane_dask.physics.porometry.palencia_convention import (
    Convention,
    PublishedStructure,
    ScalingFactors,
    published_structure,
    scaling_of,
)
from membrane_dask.physics.porometry.regression import fit

#: What the paper takes for water at 25 degC, its membranes' contact angle, and their area and thickness (Table 2).
LIQUID: dict[str, Any] = {"surface_tension": 0.07197, "contact_angle": 75.6, "viscosity": 0.891e-3}
AREA, THICKNESS = 0.0034, 1.075e-4
#: Pressures of the measurements, Pa.
PRESSURES = np.array([1e5, 2e5, 3e5, 4e5])
_PRISTINE = tuple(f"PESm-{k}" for k in range(1, 13))
#: How far a pressure may be off that is read off a figure, and one that is found by iteration, kPa.
_BY_EYE, _BY_ITERATION = 2.0, 0.002
#: Simulated averages of twenty cycles, and the share of them that a plausible one lies within.
_AVERAGES, _CYCLES, _WITHIN = 500, 20, (0.025, 0.975)
Key = tuple[str, str, str]


@dataclass(frozen=True)
class Cell:
    """A printed number.

    Parameters
    ----------
    table, membrane, quantity : str
        Where it stands.
    printed : str
        As printed, in the unit of the header.
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
        """One in its last printed digit."""
        return float(10.0 ** int(Decimal(self.printed).as_tuple().exponent))


def read_cells(path: Any) -> dict[Key, Cell]:
    """Printed cells from a table ``table,membrane,quantity,unit,printed``, by their place."""
    with open(path, encoding="utf-8") as stream:
        rows = csv.DictReader(line for line in stream if not line.startswith("#"))
        cells = [Cell(row["table"], row["membrane"], row["quantity"], row["printed"]) for row in rows]
    return {(c.table, c.membrane, c.quantity): c for c in cells}


@dataclass(frozen=True)
class _Rule:
    """How a cell follows from others: a function of the membrane and of printed numbers, and where those stand.

    An empty table or membrane stands for the cell's own. ``within``: how far it may be off as the paper found it
    otherwise, by iteration or by eye. ``strict``: the text makes a point of its digits, or it is a plain statistic.
    ``decade``: its table's header leaves the power of ten open.
    """

    function: Callable[..., float]
    inputs: tuple[Key, ...] = ()
    within: tuple[float, str] = (0.0, "")
    strict: bool = False
    decade: bool = False


def _structure(membrane: str, permeability: float, threshold: float, **how: Any) -> PublishedStructure:
    """Structure from a permeability in 1e-7 s/m and a threshold pressure in Pa."""
    convention = replace(Convention.preset("table6", thickness=THICKNESS, area=AREA, **LIQUID), **how)
    return published_structure(permeability * 1e-10, threshold, convention, scaling_of(membrane, "table6"))


def _backward(membrane: str, permeability: float, threshold: float) -> PublishedStructure:
    convention = Convention.preset("table6", thickness=THICKNESS, area=AREA, **LIQUID)
    scales = replace(scaling_of(membrane, "table6"), young_laplace=-3)
    return published_structure(permeability * 1e-10, threshold, convention, scales)


_LINE: tuple[Key, ...] = (("3", "", "L_m"), ("3", "", "P_0"))


def _of(pick: Callable[[PublishedStructure], float], **how: Any) -> _Rule:
    return _Rule(lambda membrane, *line: pick(_structure(membrane, *line, **how)), _LINE)


def _of_backward(pick: Callable[[PublishedStructure], float]) -> _Rule:
    return _Rule(lambda membrane, *line: pick(_backward(membrane, *line)), _LINE)


def _statistics(name: str) -> dict[tuple[str, str, str], _Rule]:
    inputs = tuple(("3", membrane, name) for membrane in _PRISTINE)
    return {
        ("3", "mean", name): _Rule(lambda _, *v: float(np.mean(v)), inputs, strict=True),
        ("3", "s", name): _Rule(lambda _, *v: float(np.std(v, ddof=1)), inputs, strict=True),
        ("3", "CV", name): _Rule(lambda _, *v: 100 * float(np.std(v, ddof=1) / np.mean(v)), inputs, strict=True),
    }


_STRUCTURE: Mapping[tuple[str, str], _Rule] = {
    ("3", "P_0 = J_0/L_m"): _Rule(lambda _, j, slope: j * 1e4 / slope, (("3", "", "J_0"), ("3", "", "L_m"))),
    ("6", "r_YL"): _of(lambda s: s.young_laplace_radius * 1e6),
    ("6", "eps"): _of(lambda s: s.porosity * 100),
    ("6", "log s_eps"): _of(lambda s: s.porosity_scale),
    ("6", "r_HP,0"): _of(lambda s: s.first_radius * 1e6),
    ("6", "n_p0"): _of(lambda s: s.first_number / 1e6),
    ("6", "log s_n lower"): _of(lambda s: s.number_scale[0]),
    ("6", "log s_n upper"): _of(lambda s: s.number_scale[1]),
    ("6", "n_p,l"): _of(lambda s: s.number[0] / 1e13),
    ("6", "n_p,u"): _of(lambda s: s.number[1] / 1e12),
    ("6", "r_HP,l"): _of(lambda s: s.radius[0] * 1e9),
    ("6", "r_HP,u"): _of(lambda s: s.radius[1] * 1e9),
    ("6", "r_HP,l by Eq. 22 as printed"): _of(lambda s: s.radius[0] * 1e9, literal_equation_22=True),
    ("6", "r_HP,u by Eq. 22 as printed"): _of(lambda s: s.radius[1] * 1e9, literal_equation_22=True),
    ("6", "width"): _of(lambda s: s.width * 1e9),
    ("6", "mean r_HP"): _of(lambda s: s.mean * 1e9),
    ("6", "half the width as the mean"): _of(lambda s: s.width / 2 * 1e9),
    ("6", "sigma"): _of(lambda s: s.standard_deviation * 1e9),
    ("6", "surface mean radius"): _of(lambda s: s.geometric()[0] * 1e9),
    ("6", "sigma of the surface mean"): _of(lambda s: s.geometric()[1] * 1e9),
    ("7", "r_YL"): _of_backward(lambda s: s.young_laplace_radius * 1e9),
    ("7", "eps"): _of_backward(lambda s: s.porosity),
    ("7", "log s_eps"): _of_backward(lambda s: s.porosity_scale),
    ("7", "r_HP,0"): _of_backward(lambda s: s.first_radius * 1e6),
    ("7", "n_p0"): _of_backward(lambda s: s.first_number / 1e12),
    ("7", "log s_n upper"): _of_backward(lambda s: s.number_scale[1]),
    ("7", "log s_n lower"): _of_backward(lambda s: s.number_scale[0]),
    ("7", "n_p,u"): _of_backward(lambda s: s.number[1] / 1e12),
    ("7", "r_HP,u"): _of_backward(lambda s: s.radius[1] * 1e9),
    ("7", "n_p,l"): _of_backward(lambda s: s.number[0] / 1e12),
    ("7", "r_HP,l"): _of_backward(lambda s: s.radius[0] * 1e9),
    ("8", "eps"): _of(lambda s: s.porosity * 100),
    ("8", "r_YL"): _of(lambda s: s.young_laplace_radius * 1e6),
    ("8", "r_p,1"): _of(lambda s: s.radius[0] * 1e9),
    ("8", "r_p,2"): _of(lambda s: s.radius[1] * 1e9),
    ("8", "mean"): _of(lambda s: s.mean * 1e9),
    ("8", "sigma"): _of(lambda s: s.standard_deviation * 1e9),
    ("8", "n_p,1 of Eq. 22 as printed"): replace(_of(lambda s: s.number[0] / 1e11, literal_numbers=True), decade=True),
    ("8", "n_p,2 of Eq. 22 as printed"): replace(_of(lambda s: s.number[1] / 1e10, literal_numbers=True), decade=True),
    ("8", "n_p,1 of Tables 6 and 7"): replace(_of(lambda s: s.number[0] / 1e11), decade=True),
    ("8", "n_p,2 of Tables 6 and 7"): replace(_of(lambda s: s.number[1] / 1e10), decade=True),
}
_LOG = ("m1 (log)", "m0 (log)")
_CUBIC = ("m3", "m2", "m1", "m0")
_CUBIC_POWERS = (-19, -13, -8, -4)  # as the headers have them


@lru_cache(maxsize=64)
def true_powers(log: tuple[float, float], cubic: tuple[float, ...]) -> tuple[int, ...]:
    """Powers of ten of a printed cubic, each the header's or one off, with which it comes nearest to the log model.

    Parameters
    ----------
    log : (2,) tuple of float
        ``m1, m0`` as printed, 1e-3 and 1e-2 L m-2 s-1.
    cubic : (4,) tuple of float
        ``m3, m2, m1, m0`` as printed.
    """
    wanted = log[0] * 1e-3 * np.log(PRESSURES) + log[1] * 1e-2

    def apart(shift: tuple[int, ...]) -> float:
        scaled = [c * 10.0 ** (p + s) for c, p, s in zip(cubic, _CUBIC_POWERS, shift, strict=True)]
        return float(np.abs(np.polyval(scaled, PRESSURES) - wanted).max())

    best = min(itertools.product((-1, 0, 1), repeat=4), key=apart)
    return tuple(p + s for p, s in zip(_CUBIC_POWERS, best, strict=True))


def recovered_flux(cubic: Sequence[float], powers: Sequence[int]) -> np.ndarray:
    """The four measured fluxes, L m-2 s-1: a cubic through four points gives them back."""
    return np.polyval([c * 10.0**p for c, p in zip(cubic, powers, strict=True)], PRESSURES)


def _table_of(membrane: str) -> str:
    """Table that prints the models of a modified membrane."""
    return str(9 + (int(membrane.removeprefix("MPESm-")) - 1) // 3)


def _models(function: Callable[..., float], *more: Key) -> _Rule:
    """Rule on both models of a modified membrane."""
    return _Rule(function, (*(("models", "", name) for name in (*_LOG, *_CUBIC)), *more))


def _refit(pick: Callable[[Any], float]) -> _Rule:
    def function(membrane: str, powers: tuple[int, ...], *numbers: float) -> float:
        return pick(fit(PRESSURES, recovered_flux(numbers[2:6], powers), "log"))

    return _models(function)


def _power(place: int) -> _Rule:
    """A printed coefficient with its true power of ten, in the header's."""
    return _models(
        lambda membrane, powers, *numbers: numbers[2 + place] * 10.0 ** (powers[place] - _CUBIC_POWERS[place])
    )


def _root(membrane: str, powers: tuple[int, ...], *numbers: float) -> float:
    try:
        scaled = [c * 10.0**p for c, p in zip(numbers[2:6], powers, strict=True)]
        return cubic_threshold(np.array(scaled), PRESSURES[0]) / 1e3
    except PhysicsError:
        return math.nan


def _curve(numbers: Sequence[float], threshold: float) -> DarcyCurve:
    """Curve from a printed log model, L m-2 s-1, and a threshold in kPa."""
    return DarcyCurve(numbers[0] * 1e-3, numbers[1] * 1e-2, threshold * 1e3)


def _tangency(membrane: str, powers: tuple[int, ...], *numbers: float) -> float:
    try:
        return _curve(numbers, numbers[6]).critical_pressure / 1e3
    except PhysicsError:
        return math.nan


def _log_flux(numbers: Sequence[float], pressure: float) -> float:
    """Flux of the log model, 1e-3 L m-2 s-1, at a pressure in kPa."""
    return numbers[0] * math.log(pressure * 1e3) + numbers[1] * 10


def _ordered(membrane: str, powers: tuple[int, ...], *numbers: float) -> float:
    """1 where the critical pressure exceeds the log model's threshold, and that the threshold."""
    return float(numbers[7] > _curve(numbers, numbers[6]).log_threshold / 1e3 > numbers[6])


def _leading(value: float) -> float:
    """The number without its power of ten."""
    return value / 10.0 ** math.floor(math.log10(abs(value)))


_P0, _PC = ("13", "", "P_0"), ("13", "", "P_c")
#: The threshold that a row of Table 13 was computed with: one row took that of another.
_USED, _BORROWED = ("13", "used", "P_0"), {"MPESm-6": "MPESm-4"}
_DARCY: Mapping[tuple[str, str], _Rule] = {
    ("models", "m1 (log)"): _refit(lambda f: float(f.values[0]) * 1e3),
    ("models", "m0 (log)"): _refit(lambda f: float(f.values[1]) * 1e2),
    ("models", "r2 (log)"): _refit(lambda f: f.r_squared),
    ("models", "r2 (cubic)"): _models(
        lambda membrane, powers, *numbers: fit(PRESSURES, recovered_flux(numbers[2:6], powers), "cubic").r_squared
    ),
    **{("models", name): _power(place) for place, name in enumerate(_CUBIC)},
    ("13", "P_0 of the cubic"): replace(_models(_root), within=(_BY_ITERATION, "rounding")),
    ("13", "P_c by tangency"): replace(_models(_tangency, _P0), within=(_BY_EYE, "by eye")),
    ("13", "J_c of the log model"): _models(lambda m, powers, *n: _log_flux(n, n[6]), _PC),
    ("13", "L_m"): _models(lambda m, powers, *n: _log_flux(n, n[7]) * 1e2 / (n[7] - n[6]), _USED, _PC),
    ("13", "J_c of the line"): _Rule(
        lambda m, slope, zero, critical: slope * (critical - zero) * 1e-2, (("13", "", "L_m"), _USED, _PC)
    ),
    ("13", "J_0 (first digits)"): _Rule(
        lambda m, slope, zero: _leading(-slope * zero * 1e-5), (("13", "", "L_m"), _USED)
    ),
    ("13", "P_c > P_0nl > P_0"): _models(_ordered, _P0, _PC),
}
_MODIFIED: tuple[Key, ...] = (("13", "", "L_m"), ("13", "", "P_0"))
_BOTH: tuple[Key, ...] = (("14", "", "r_YL"), ("14", "", "r_HP"))


def _modified(
    membrane: str, permeability: float, threshold: float, scales: ScalingFactors | None = None, **how: Any
) -> PublishedStructure:
    """Structure from a permeability in 1e-8 s/m and a threshold pressure in kPa."""
    convention = replace(Convention.preset("table14", thickness=THICKNESS, area=AREA, **LIQUID), **how)
    return published_structure(
        permeability * 1e-11, threshold * 1e3, convention, scales or scaling_of(membrane, "table14")
    )


def _nearest_by_equation_22(membrane: str, permeability: float, threshold: float, printed: float) -> float:
    """The radius nearest to the printed one that Eq. 22 gives with a power of ten of the pore number from 0 to 2."""
    radii = [
        _modified(membrane, permeability, threshold, replace(scaling_of(membrane, "table14"), number=(power, power)),
                  dropped_division=False).radius[0] * 1e9
        for power in (0, 1, 2)
    ]  # fmt: skip
    return min(radii, key=lambda r: abs(r - printed))


_TABLE_14: Mapping[tuple[str, str], _Rule] = {
    ("14", "r_YL"): _Rule(lambda m, *line: _modified(m, *line).young_laplace_radius * 1e9, _MODIFIED),
    ("14", "eps"): _Rule(lambda m, *line: _modified(m, *line).porosity * 100, _MODIFIED),
    ("14", "n_p (YL)"): _Rule(lambda m, *line: _modified(m, *line).first_number / 1e13, _MODIFIED),
    ("14", "r_HP"): _Rule(lambda m, *line: _modified(m, *line).radius[0] * 1e9, _MODIFIED),
    ("14", "r_HP by Eq. 22"): _Rule(_nearest_by_equation_22, (*_MODIFIED, ("14", "", "r_HP"))),
    ("14", "n_p (HP)"): _Rule(lambda m, number: number, (("14", "", "n_p (YL)"),)),
    ("14", "mean"): _Rule(lambda m, a, b: (a + b) / 2, _BOTH),
    ("14", "sigma"): _Rule(lambda m, a, b: abs(a - b) / math.sqrt(2), _BOTH),
}


def _widths(_: str, *numbers: float) -> float:
    widths = [_structure(f"PESm-{k + 1}", *numbers[2 * k : 2 * k + 2]).width for k in range(3)]
    return 100 * float(np.std(widths, ddof=1) / np.mean(widths))


def _radius_of_alpha(_: str, *numbers: float) -> float:
    """Membrane radius from Table 8: ``sqrt(eps / n)`` is ``r / r_m`` (Eq. 33, Fig. 6B), fitted through the origin."""
    eps, count, radius = (np.array(numbers[k::3]) for k in range(3))
    radius = radius * 1e-6
    share = eps / 100 / count
    # Pore numbers are off by powers of ten; the identity tells which.
    share = share / 10.0 ** np.round(np.log10(share / radius**2 * AREA / math.pi))
    return float(radius @ radius / (np.sqrt(share) @ radius))


_LINES = tuple(("3", f"PESm-{k}", name) for k in (1, 2, 3) for name in ("L_m", "P_0"))
_FIRST = (("3", "PESm-1", "L_m"), ("3", "PESm-1", "P_0"))
_TABLE_8 = tuple(("8", m, name) for m in _PRISTINE for name in ("eps", "n_p,2 of Eq. 22 as printed", "r_YL"))
_TEXT: Mapping[Key, _Rule] = {
    ("2", "all", "J_w"): _Rule(lambda _: LIQUID["viscosity"] * THICKNESS * 1e8),
    ("text", "all", "r_m"): _Rule(lambda _: math.sqrt(AREA / math.pi)),
    ("text", "all", "CV of the widths"): _Rule(_widths, _LINES),
    ("text", "PESm-1", "r_YL, low"): _Rule(
        lambda m, *line: _structure(m, *line).young_laplace_radius * 1e6 / 1.931, _FIRST
    ),
    ("text", "PESm-1", "r_YL, high"): _Rule(
        lambda m, *line: _structure(m, *line).young_laplace_radius * 1e6 / (1 - 0.126), _FIRST
    ),
    ("text", "all", "share of small pores"): _Rule(lambda _: 1000 / 11),
    ("text", "all", "r_m of Eq. 33"): _Rule(_radius_of_alpha, _TABLE_8, strict=True),
    ("text", "all", "largest P_0, modified"): _Rule(
        lambda _, *v: 1e3 * max(v), tuple(("13", f"MPESm-{k}", "P_0") for k in range(1, 13)), strict=True
    ),
    **{key: rule for name in ("L_m", "J_0", "r2", "P_0") for key, rule in _statistics(name).items()},
}


@lru_cache(maxsize=4)
def _errors(lines: tuple[tuple[float, float], ...]) -> dict[tuple[str, str, float], list[np.ndarray]]:
    """Averages and largest of twenty cycles: by quantity, what errs and how much, for each reading and membrane."""
    found: dict[tuple[str, str, float], list[np.ndarray]] = {}
    readings: tuple[Literal["signed", "literal"], ...] = ("signed", "literal")
    whats: tuple[Literal["pressure", "time", "mass"], ...] = ("pressure", "time", "mass")
    for what, largest in itertools.product(whats, (5.0, 2.0, 1.0)):
        for reading, line in itertools.product(readings, lines):
            rng = np.random.default_rng(1)
            errors = line_errors(line, PRESSURES, what, largest, rng, cycles=_AVERAGES * _CYCLES, sign=reading)
            for name, values in errors.items():
                table = {"permeability": "4", "threshold": "5"}[name]
                cycles = values.reshape(_AVERAGES, _CYCLES)
                found.setdefault((table, what, largest), []).append(np.stack([cycles.mean(axis=1), cycles.max(axis=1)]))
    return found


def _judge_error(cell: Cell, cells: Mapping[Key, Cell]) -> tuple[float, str]:
    """Average of the first reading and membrane, and whether any band of them holds what is printed."""
    what, largest, kind = cell.quantity.split(", ")
    lines = tuple(
        (cells["3", m, "L_m"].value * 1e-10, -cells["3", m, "L_m"].value * 1e-10 * cells["3", m, "P_0"].value)
        for m in _PRISTINE
    )
    place = {"mean": 0, "max": 1}[kind]
    bands = [both[place] for both in _errors(lines)[cell.table, what, float(largest.removesuffix(" %"))]]
    ends = [np.quantile(band, _WITHIN) for band in bands]
    held = any(low <= cell.value <= high for low, high in ends)
    return float(bands[0].mean()), "plausible" if held else "not"


def reproduce(cells: Mapping[Key, Cell]) -> dict[str, np.ndarray]:
    """Compute every cell that follows from others.

    Parameters
    ----------
    cells : mapping
        Of :func:`read_cells`: those that are computed again, and those that they are computed from.

    Returns
    -------
    dict of str to (n,) array
        ``table, membrane_name, quantity_name, printed, recomputed, verdict``: cells in their order, less those that
        follow from nothing.
    """
    found = []
    for cell in cells.values():
        if cell.table in ("4", "5"):
            found.append((cell, *_judge_error(cell, cells)))
            continue
        rule = _rule(cell)
        if rule:
            found.append((cell, *_judge(cell, rule, cells)))
    columns: dict[str, Any] = {
        "table": [c.table for c, *_ in found],
        "membrane_name": [c.membrane for c, *_ in found],
        "quantity_name": [c.quantity for c, *_ in found],
        "printed": [c.printed for c, *_ in found],
        "verdict": [verdict for *_, verdict in found],
    }
    arrays = {name: np.array(column, "T") for name, column in columns.items()}
    return arrays | {"recomputed": np.array([value for _, value, _ in found])}


def _rule(cell: Cell) -> _Rule | None:
    place = "models" if cell.table in ("9", "10", "11", "12") else cell.table
    key = (place, cell.quantity)
    return _TEXT.get((cell.table, cell.membrane, cell.quantity)) or (
        _STRUCTURE.get(key) or _DARCY.get(key) or _TABLE_14.get(key)
    )


def _judge(cell: Cell, rule: _Rule, cells: Mapping[Key, Cell]) -> tuple[float, str]:
    """The cell computed again, and how well that agrees."""
    sources = []
    for table, membrane, quantity in rule.inputs:
        membrane = _BORROWED.get(cell.membrane, cell.membrane) if membrane == "used" else membrane or cell.membrane
        table = _table_of(membrane) if table == "models" else table or cell.table
        sources.append(cells[table, membrane, quantity])
    numbers = [source.value for source in sources]
    fixed: tuple[Any, ...] = ()
    if rule.inputs and rule.inputs[0][0] == "models":
        fixed = (true_powers(tuple(numbers[:2]), tuple(numbers[2:6])),)
    value = float(rule.function(cell.membrane, *fixed, *numbers))
    if not math.isfinite(value):
        return value, "not"
    apart = abs(value - cell.value)
    if apart <= cell.unit / 2 * (1 + 1e-6):
        return value, "reproduced"
    if rule.strict:
        return value, "not"
    # What the inputs' rounding leaves open, one input at a time; no rule here turns back within half a digit.
    reach = 0.0
    for k, source in enumerate(sources):
        moved = [
            rule.function(cell.membrane, *fixed, *numbers[:k], numbers[k] + side * source.unit / 2, *numbers[k + 1 :])
            for side in (-1, 1)
        ]
        reach += max((abs(m - value) for m in moved if math.isfinite(m)), default=0.0)
    if apart <= reach + cell.unit / 2 or apart < cell.unit:
        return value, "rounding"
    if apart <= rule.within[0]:
        return value, rule.within[1]
    power = round(math.log10(abs(value / cell.value))) if rule.decade else 0
    if power and abs(value / 10.0**power - cell.value) <= reach / 10.0**power + cell.unit:
        return value, "decade"
    return value, "not"
