"""Rules by which printed numbers of Palencia et al. follow from other printed numbers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from membrane_dask.physics.decimal_digits import decimal_exponent, power_of_ten
from membrane_dask.physics.elementary import log
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.fixed_order import dot
from membrane_dask.physics.porometry.darcy_curve import DarcyCurve, cubic_threshold
from membrane_dask.physics.porometry.palencia_convention import (
    Convention,
    PublishedStructure,
    ScalingFactors,
    published_structure,
    scaling_of,
)
from membrane_dask.physics.porometry.regression import fit

#: Water at 25 degC and contact angle as the paper has them; area, m2, and thickness, m, of its membranes (Table 2).
LIQUID: dict[str, Any] = {"surface_tension": 0.07197, "contact_angle": 75.6, "viscosity": 0.891e-3}
AREA, THICKNESS = 0.0034, 1.075e-4
#: Pressures of the measurements, Pa.
PRESSURES = np.array([1e5, 2e5, 3e5, 4e5])
_LOG_PRESSURES = log(PRESSURES)
PRISTINE = tuple(f"PESm-{k}" for k in range(1, 13))
#: Tolerance of a pressure that was read off a figure, and of one that was computed by iteration, kPa.
_BY_EYE, _BY_ITERATION = 2.0, 0.002
#: Table, membrane and quantity of a printed number.
Key = tuple[str, str, str]


@dataclass(frozen=True)
class Rule:
    """Computation of a printed number from others.

    Parameters
    ----------
    function : callable
        Takes the membrane and the numbers at ``inputs``.
    inputs : tuple of Key
        Printed numbers; an empty table or membrane is that of the number itself.
    tolerance : (float, str)
        Accepted difference where the paper found the number otherwise, by iteration or by eye, and its outcome.
    strict : bool
        Whether rounding of the inputs is no excuse: plain statistics, and digits that the text stresses.
    decade : bool
        Whether the header of its table leaves the power of ten open.
    """

    function: Callable[..., float]
    inputs: tuple[Key, ...] = ()
    tolerance: tuple[float, str] = (0.0, "")
    strict: bool = False
    decade: bool = False


def rule_of(table: str, membrane: str, quantity: str) -> Rule | None:
    """Rule of a printed number; None for numbers that do not follow from others."""
    kind = "models" if table in ("9", "10", "11", "12") else table
    key = (kind, quantity)
    return _TEXT.get((table, membrane, quantity)) or _STRUCTURE.get(key) or _DARCY.get(key) or _TABLE_14.get(key)


def input_key(source: Key, table: str, membrane: str) -> Key:
    """Key of an input of a rule, for the number of a table and membrane."""
    source_table, source_membrane, quantity = source
    if source_membrane == "used":
        source_membrane = _THRESHOLD_OF.get(membrane, membrane)
    source_membrane = source_membrane or membrane
    source_table = _models_table(source_membrane) if source_table == "models" else source_table or table
    return source_table, source_membrane, quantity


def _structure(membrane: str, permeability: float, threshold: float, **options: bool) -> PublishedStructure:
    """Structure from a permeability in 1e-7 s/m and a threshold pressure in Pa."""
    convention = replace(Convention.preset("table6", thickness=THICKNESS, area=AREA, **LIQUID), **options)
    return published_structure(permeability * 1e-10, threshold, convention, scaling_of(membrane, "table6"))


def _backward(membrane: str, permeability: float, threshold: float) -> PublishedStructure:
    """Structure by backward scaling, from the same quantities."""
    convention = Convention.preset("table6", thickness=THICKNESS, area=AREA, **LIQUID)
    scaling = replace(scaling_of(membrane, "table6"), young_laplace=-3)
    return published_structure(permeability * 1e-10, threshold, convention, scaling)


_LINE: tuple[Key, ...] = (("3", "", "L_m"), ("3", "", "P_0"))


def _by_structure(pick: Callable[[PublishedStructure], float], **options: bool) -> Rule:
    return Rule(lambda membrane, *line: pick(_structure(membrane, *line, **options)), _LINE)


def _by_backward_scaling(pick: Callable[[PublishedStructure], float]) -> Rule:
    return Rule(lambda membrane, *line: pick(_backward(membrane, *line)), _LINE)


def _statistics(name: str) -> dict[tuple[str, str, str], Rule]:
    inputs = tuple(("3", membrane, name) for membrane in PRISTINE)
    return {
        ("3", "mean", name): Rule(lambda _, *v: float(np.mean(v)), inputs, strict=True),
        ("3", "s", name): Rule(lambda _, *v: float(np.std(v, ddof=1)), inputs, strict=True),
        ("3", "CV", name): Rule(lambda _, *v: 100 * float(np.std(v, ddof=1) / np.mean(v)), inputs, strict=True),
    }


_STRUCTURE: Mapping[tuple[str, str], Rule] = {
    ("3", "P_0 = J_0/L_m"): Rule(lambda _, j, slope: j * 1e4 / slope, (("3", "", "J_0"), ("3", "", "L_m"))),
    ("6", "r_YL"): _by_structure(lambda s: s.young_laplace_radius * 1e6),
    ("6", "eps"): _by_structure(lambda s: s.porosity * 100),
    ("6", "log s_eps"): _by_structure(lambda s: s.porosity_scale),
    ("6", "r_HP,0"): _by_structure(lambda s: s.first_radius * 1e6),
    ("6", "n_p0"): _by_structure(lambda s: s.first_number / 1e6),
    ("6", "log s_n lower"): _by_structure(lambda s: s.number_scale[0]),
    ("6", "log s_n upper"): _by_structure(lambda s: s.number_scale[1]),
    ("6", "n_p,l"): _by_structure(lambda s: s.number[0] / 1e13),
    ("6", "n_p,u"): _by_structure(lambda s: s.number[1] / 1e12),
    ("6", "r_HP,l"): _by_structure(lambda s: s.radius[0] * 1e9),
    ("6", "r_HP,u"): _by_structure(lambda s: s.radius[1] * 1e9),
    ("6", "r_HP,l by Eq. 22 as printed"): _by_structure(lambda s: s.radius[0] * 1e9, literal_equation_22=True),
    ("6", "r_HP,u by Eq. 22 as printed"): _by_structure(lambda s: s.radius[1] * 1e9, literal_equation_22=True),
    ("6", "width"): _by_structure(lambda s: s.width * 1e9),
    ("6", "mean r_HP"): _by_structure(lambda s: s.mean * 1e9),
    ("6", "half the width as the mean"): _by_structure(lambda s: s.width / 2 * 1e9),
    ("6", "sigma"): _by_structure(lambda s: s.standard_deviation * 1e9),
    ("6", "surface mean radius"): _by_structure(lambda s: s.geometric()[0] * 1e9),
    ("6", "sigma of the surface mean"): _by_structure(lambda s: s.geometric()[1] * 1e9),
    ("7", "r_YL"): _by_backward_scaling(lambda s: s.young_laplace_radius * 1e9),
    ("7", "eps"): _by_backward_scaling(lambda s: s.porosity),
    ("7", "log s_eps"): _by_backward_scaling(lambda s: s.porosity_scale),
    ("7", "r_HP,0"): _by_backward_scaling(lambda s: s.first_radius * 1e6),
    ("7", "n_p0"): _by_backward_scaling(lambda s: s.first_number / 1e12),
    ("7", "log s_n upper"): _by_backward_scaling(lambda s: s.number_scale[1]),
    ("7", "log s_n lower"): _by_backward_scaling(lambda s: s.number_scale[0]),
    ("7", "n_p,u"): _by_backward_scaling(lambda s: s.number[1] / 1e12),
    ("7", "r_HP,u"): _by_backward_scaling(lambda s: s.radius[1] * 1e9),
    ("7", "n_p,l"): _by_backward_scaling(lambda s: s.number[0] / 1e12),
    ("7", "r_HP,l"): _by_backward_scaling(lambda s: s.radius[0] * 1e9),
    ("8", "eps"): _by_structure(lambda s: s.porosity * 100),
    ("8", "r_YL"): _by_structure(lambda s: s.young_laplace_radius * 1e6),
    ("8", "r_p,1"): _by_structure(lambda s: s.radius[0] * 1e9),
    ("8", "r_p,2"): _by_structure(lambda s: s.radius[1] * 1e9),
    ("8", "mean"): _by_structure(lambda s: s.mean * 1e9),
    ("8", "sigma"): _by_structure(lambda s: s.standard_deviation * 1e9),
    ("8", "n_p,1 of Eq. 22 as printed"): replace(
        _by_structure(lambda s: s.number[0] / 1e11, literal_numbers=True), decade=True
    ),
    ("8", "n_p,2 of Eq. 22 as printed"): replace(
        _by_structure(lambda s: s.number[1] / 1e10, literal_numbers=True), decade=True
    ),
    ("8", "n_p,1 of Tables 6 and 7"): replace(_by_structure(lambda s: s.number[0] / 1e11), decade=True),
    ("8", "n_p,2 of Tables 6 and 7"): replace(_by_structure(lambda s: s.number[1] / 1e10), decade=True),
}
_LOG = ("m1 (log)", "m0 (log)")
_CUBIC = ("m3", "m2", "m1", "m0")
_CUBIC_POWERS = (-19, -13, -8, -4)  # of the headers


@lru_cache(maxsize=64)
def true_powers(log: tuple[float, float], cubic: tuple[float, ...]) -> tuple[int, ...]:
    """Powers of ten of a printed cubic with which it agrees best with the printed logarithmic model.

    Each is that of the header, one more, or one less.

    Parameters
    ----------
    log : (2,) tuple of float
        ``m1, m0`` as printed, 1e-3 and 1e-2 L m-2 s-1.
    cubic : (4,) tuple of float
        ``m3, m2, m1, m0`` as printed.
    """
    expected = log[0] * 1e-3 * _LOG_PRESSURES + log[1] * 1e-2

    def deviation(shift: tuple[int, ...]) -> float:
        scaled = [c * power_of_ten(p + s) for c, p, s in zip(cubic, _CUBIC_POWERS, shift, strict=True)]
        return float(np.abs(np.polyval(scaled, PRESSURES) - expected).max())

    best = min(itertools.product((-1, 0, 1), repeat=4), key=deviation)
    return tuple(p + s for p, s in zip(_CUBIC_POWERS, best, strict=True))


def recovered_flux(cubic: Sequence[float], powers: Sequence[int]) -> np.ndarray:
    """Measured fluxes, L m-2 s-1: a cubic through four points determines them."""
    return np.polyval([c * power_of_ten(p) for c, p in zip(cubic, powers, strict=True)], PRESSURES)


def _models_table(membrane: str) -> str:
    """Table of the models of a modified membrane."""
    return str(9 + (int(membrane.removeprefix("MPESm-")) - 1) // 3)


def _models(function: Callable[..., float], *further: Key) -> Rule:
    """Rule with both models of a modified membrane as inputs; its function receives their powers of ten as well."""
    return Rule(function, (*(("models", "", name) for name in (*_LOG, *_CUBIC)), *further))


def _refit(pick: Callable[[Any], float]) -> Rule:
    def function(membrane: str, powers: tuple[int, ...], *numbers: float) -> float:
        return pick(fit(PRESSURES, recovered_flux(numbers[2:6], powers), "log"))

    return _models(function)


def _power(position: int) -> Rule:
    """A printed coefficient with its correct power of ten, in units of the header's."""
    header = _CUBIC_POWERS[position]
    return _models(lambda m, powers, *numbers: numbers[2 + position] * power_of_ten(powers[position] - header))


def _root(membrane: str, powers: tuple[int, ...], *numbers: float) -> float:
    try:
        scaled = [c * power_of_ten(p) for c, p in zip(numbers[2:6], powers, strict=True)]
        return cubic_threshold(np.array(scaled), PRESSURES[0]) / 1e3
    except PhysicsError:
        return math.nan


def _curve(numbers: Sequence[float], threshold: float) -> DarcyCurve:
    """Curve from a printed logarithmic model, L m-2 s-1, and a threshold pressure in kPa."""
    return DarcyCurve(numbers[0] * 1e-3, numbers[1] * 1e-2, threshold * 1e3)


def _tangency(membrane: str, powers: tuple[int, ...], *numbers: float) -> float:
    try:
        return _curve(_used_log(membrane, powers, numbers), numbers[6]).critical_pressure / 1e3
    except PhysicsError:
        return math.nan


def _log_flux(numbers: Sequence[float], pressure: float) -> float:
    """Flux of the logarithmic model, 1e-3 L m-2 s-1, at a pressure in kPa."""
    return numbers[0] * float(log(pressure * 1e3)) + numbers[1] * 10


def _ordered(membrane: str, powers: tuple[int, ...], *numbers: float) -> float:
    """1 where the critical pressure exceeds that of no flux of the logarithmic model, and that the threshold."""
    log_threshold = _curve(_used_log(membrane, powers, numbers), numbers[6]).log_threshold / 1e3
    return float(numbers[7] > log_threshold > numbers[6])


def _mantissa(value: float) -> float:
    """Mantissa of a number."""
    return value / power_of_ten(decimal_exponent(value))


#: Membranes whose rows of Table 13 follow from the logarithmic model of their own points, not from the printed one.
_REFITTED = ("MPESm-10", "MPESm-11")


def _used_log(membrane: str, powers: tuple[int, ...], numbers: Sequence[float]) -> tuple[float, ...]:
    """Numbers of a rule, with the logarithmic model from which the row of Table 13 was computed."""
    if membrane not in _REFITTED:
        return tuple(numbers)
    slope, offset = fit(PRESSURES, recovered_flux(numbers[2:6], powers), "log").values.tolist()
    return (slope * 1e3, offset * 1e2, *numbers[2:])


_P0, _PC = ("13", "", "P_0"), ("13", "", "P_c")
#: Threshold pressure from which a row of Table 13 was computed; one row was computed from that of another membrane.
_USED, _THRESHOLD_OF = ("13", "used", "P_0"), {"MPESm-6": "MPESm-4"}
_DARCY: Mapping[tuple[str, str], Rule] = {
    ("models", "m1 (log)"): _refit(lambda f: float(f.values[0]) * 1e3),
    ("models", "m0 (log)"): _refit(lambda f: float(f.values[1]) * 1e2),
    ("models", "r2 (log)"): _refit(lambda f: f.r_squared),
    ("models", "r2 (cubic)"): _models(
        lambda membrane, powers, *numbers: fit(PRESSURES, recovered_flux(numbers[2:6], powers), "cubic").r_squared
    ),
    **{("models", name): _power(position) for position, name in enumerate(_CUBIC)},
    ("13", "P_0 of the cubic"): replace(_models(_root), tolerance=(_BY_ITERATION, "rounding")),
    ("13", "P_c by tangency"): replace(_models(_tangency, _P0), tolerance=(_BY_EYE, "by eye")),
    ("13", "J_c of the log model"): _models(lambda m, powers, *n: _log_flux(_used_log(m, powers, n), n[6]), _PC),
    ("13", "L_m"): _models(
        lambda m, powers, *n: _log_flux(_used_log(m, powers, n), n[7]) * 1e2 / (n[7] - n[6]), _USED, _PC
    ),
    ("13", "J_c of the line"): Rule(
        lambda m, slope, zero, critical: slope * (critical - zero) * 1e-2, (("13", "", "L_m"), _USED, _PC)
    ),
    ("13", "J_0 (first digits)"): Rule(
        lambda m, slope, zero: _mantissa(-slope * zero * 1e-5), (("13", "", "L_m"), _USED)
    ),
    ("13", "P_c > P_0nl > P_0"): _models(_ordered, _P0, _PC),
}
_MODIFIED: tuple[Key, ...] = (("13", "", "L_m"), ("13", "", "P_0"))
_BOTH: tuple[Key, ...] = (("14", "", "r_YL"), ("14", "", "r_HP"))


def _modified(
    membrane: str, permeability: float, threshold: float, scaling: ScalingFactors | None = None, **options: bool
) -> PublishedStructure:
    """Structure from a permeability in 1e-8 s/m and a threshold pressure in kPa."""
    convention = replace(Convention.preset("table14", thickness=THICKNESS, area=AREA, **LIQUID), **options)
    return published_structure(
        permeability * 1e-11, threshold * 1e3, convention, scaling or scaling_of(membrane, "table14")
    )


def _nearest_by_equation_22(membrane: str, permeability: float, threshold: float, printed: float) -> float:
    """Radius nearest to the printed one, of those that Eq. 22 gives with exponents 0 to 2 of the pore number."""
    radii = [
        _modified(membrane, permeability, threshold, replace(scaling_of(membrane, "table14"), number=(power, power)),
                  dropped_division=False).radius[0] * 1e9
        for power in (0, 1, 2)
    ]  # fmt: skip
    return min(radii, key=lambda r: abs(r - printed))


_TABLE_14: Mapping[tuple[str, str], Rule] = {
    ("14", "r_YL"): Rule(lambda m, *line: _modified(m, *line).young_laplace_radius * 1e9, _MODIFIED),
    ("14", "eps"): Rule(lambda m, *line: _modified(m, *line).porosity * 100, _MODIFIED),
    ("14", "n_p (YL)"): Rule(lambda m, *line: _modified(m, *line).first_number / 1e13, _MODIFIED),
    ("14", "r_HP"): Rule(lambda m, *line: _modified(m, *line).radius[0] * 1e9, _MODIFIED),
    ("14", "r_HP by Eq. 22"): Rule(_nearest_by_equation_22, (*_MODIFIED, ("14", "", "r_HP"))),
    ("14", "n_p (HP)"): Rule(lambda m, number: number, (("14", "", "n_p (YL)"),)),
    ("14", "mean"): Rule(lambda m, a, b: (a + b) / 2, _BOTH),
    ("14", "sigma"): Rule(lambda m, a, b: abs(a - b) / math.sqrt(2), _BOTH),
}


def _variation_of_widths(_: str, *numbers: float) -> float:
    """Coefficient of variation of the widths of the first three membranes, %."""
    widths = [_structure(f"PESm-{k + 1}", *numbers[2 * k : 2 * k + 2]).width for k in range(3)]
    return 100 * float(np.std(widths, ddof=1) / np.mean(widths))


def _radius_of_alpha(_: str, *numbers: float) -> float:
    """Membrane radius from Table 8: ``sqrt(eps / n)`` is ``r / r_m`` (Eq. 33, Fig. 6B), fitted through the origin."""
    eps, count, radius = (np.array(numbers[k::3]) for k in range(3))
    radius = radius * 1e-6
    fraction = eps / 100 / count
    # The identity determines the powers of ten by which the pore numbers are wrong.
    wrong = np.rint(log(fraction / np.square(radius) * AREA / math.pi) / log(10.0)).astype(int)
    fraction = fraction / np.array([power_of_ten(power) for power in wrong])
    return dot(radius, radius) / dot(np.sqrt(fraction), radius)


_LINES = tuple(("3", f"PESm-{k}", name) for k in (1, 2, 3) for name in ("L_m", "P_0"))
_FIRST = (("3", "PESm-1", "L_m"), ("3", "PESm-1", "P_0"))
_TABLE_8 = tuple(("8", m, name) for m in PRISTINE for name in ("eps", "n_p,2 of Eq. 22 as printed", "r_YL"))
_TEXT: Mapping[Key, Rule] = {
    ("2", "all", "J_w"): Rule(lambda _: LIQUID["viscosity"] * THICKNESS * 1e8),
    ("text", "all", "r_m"): Rule(lambda _: math.sqrt(AREA / math.pi)),
    ("text", "all", "CV of the widths"): Rule(_variation_of_widths, _LINES),
    ("text", "PESm-1", "r_YL, low"): Rule(
        lambda m, *line: _structure(m, *line).young_laplace_radius * 1e6 / 1.931, _FIRST
    ),
    ("text", "PESm-1", "r_YL, high"): Rule(
        lambda m, *line: _structure(m, *line).young_laplace_radius * 1e6 / (1 - 0.126), _FIRST
    ),
    **{
        ("text", "all", name): Rule(lambda _: 1000 / 11) for name in ("fraction of small pores", "share of small pores")
    },
    ("text", "all", "r_m of Eq. 33"): Rule(_radius_of_alpha, _TABLE_8, strict=True),
    ("text", "all", "largest P_0, modified"): Rule(
        lambda _, *v: 1e3 * max(v), tuple(("13", f"MPESm-{k}", "P_0") for k in range(1, 13)), strict=True
    ),
    **{key: rule for name in ("L_m", "J_0", "r2", "P_0") for key, rule in _statistics(name).items()},
}
