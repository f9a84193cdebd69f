"""Quantities with units: parse what people write, convert it, and hold plain floats in fixed units."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any

from pydantic import (
    BeforeValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    Strict,
    WithJsonSchema,
)

from membrane_dask.number_text import readable_unit

_SPELLINGS = {
    "lmh": "L/m**2/h",
    "gfd": "gallon/ft**2/day",
    "lmh/bar": "L/m**2/h/bar",
    "barg": "bar",
    "psig": "psi",
    "sec": "s",
    "c": "degC",
    "°c": "degC",
    "degc": "degC",
}
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻\u2212\u2013·∙⋅*µ", "0123456789---" + "    " + "u")
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
#: An exponent that a unit may have; pint computes m^9^9^9.
_EXPONENT = re.compile(r"\s*(-?\d{1,2}(\.\d{1,3})?|\(\s*-?\d{1,2}(\.\d{1,3})?\s*\))(?![\d.])")


#: Factors between frequent units, equal to those of the registry of units, which is slow to import.
_FREQUENT_FACTORS = {
    ("GB", "MB"): 1000.0, ("h", "s"): 3600.0, ("min", "s"): 60.0, ("nm", "nm"): 1.0, ("um", "nm"): 999.9999999999999,
    ("um", "m"): 1e-6, ("nm", "m"): 1e-9, ("cm2", "m2"): 1e-4, ("bar", "Pa"): 1e5, ("kPa", "Pa"): 1e3,
    ("mPa s", "Pa s"): 1e-3, ("Pa s", "Pa s"): 1.0, ("Pa", "Pa"): 1.0, ("K", "K"): 1.0, ("m", "m"): 1.0,
    ("m2", "m2"): 1.0, ("N m-1", "N m-1"): 1.0, ("mN/m", "N m-1"): 1e-3, ("s", "s"): 1.0, ("MB", "MB"): 1.0,
    ("m2/s", "m2 s-1"): 1.0, ("m2 s-1", "m2 s-1"): 1.0, ("m/s", "m s-1"): 1.0, ("m s-1", "m s-1"): 1.0,
    ("LMH", "m s-1"): 2.7777777777777787e-07,
}  # fmt: skip


@lru_cache(maxsize=1)
def unit_registry() -> Any:
    """The registry of all units."""
    import pint  # slow to import, and only some studies need it

    return pint.UnitRegistry()


@lru_cache(maxsize=256)
def parse_unit(text: str) -> Any:
    """A unit.

    Parameters
    ----------
    text : str
        UDUNITS spelling, slashes, superscripts, or a trade's short form; gauge pressures are differences to the
        atmosphere, as that of a permeate which leaves into it.

    Returns
    -------
    pint.Unit

    Raises
    ------
    ValueError
        If it is no unit.
    """
    word = text.strip().translate(_RAISED)
    word = _SPELLINGS.get(word.lower(), word)
    word = re.sub(r"(?<=[A-Za-z])\^?(-?\d)", r"**\1", word).replace("^", "**") if "**" not in word else word
    word = re.sub(r"\s+", " ", word)
    if not re.fullmatch(r"[A-Za-z%°() /*0-9.-]{1,100}", word) or not re.search(r"[A-Za-z°%]", word):
        raise ValueError(f"not a unit: {text[:100]!r}")
    factors = word.split("**")
    chained = any(re.search(r"[\d)]$", factor) for factor in factors[1:-1])
    if chained or not all(map(_EXPONENT.match, factors[1:])):
        raise ValueError(f"not a unit: {text!r}")
    try:
        return unit_registry().Unit(word)
    except Exception as error:
        raise ValueError(f"not a unit: {text!r}") from error


@lru_cache(maxsize=256)
def fits(text: str, unit: str) -> bool:
    """Whether a unit measures what another one does."""
    try:
        return bool(parse_unit(text).is_compatible_with(parse_unit(unit)))
    except ValueError:
        return False


def convert(value: float, text: str, unit: str, *, rounded: bool = True) -> float:
    """Convert a number from one unit to another; both in any spelling of :func:`parse_unit`.

    Parameters
    ----------
    value : float
        The number.
    text, unit : str
        Its unit, and that of the result.
    rounded : bool
        Whether to round to 15 digits, so that 34 cm2 are 0.0034 m2.
    """
    factor = _factor(text, unit)
    converted = value * factor if factor is not None else _convert(value, text, unit)
    return float(f"{converted:.15g}") if rounded else converted


def _convert(value: float, text: str, unit: str) -> float:
    return float(unit_registry().Quantity(value, parse_unit(text)).to(parse_unit(unit)).magnitude)


@lru_cache(maxsize=256)
def _factor(text: str, unit: str) -> float | None:
    """Factor between two units, by which pint multiplies; None for scales with an offset, such as degC."""
    if (text, unit) in _FREQUENT_FACTORS:
        return _FREQUENT_FACTORS[text, unit]
    return _convert(1.0, text, unit) if _convert(0.0, text, unit) == 0.0 else None


def split_quantity(text: str) -> tuple[list[float], str]:
    """Numbers and the unit of ``3 nm``, ``3.15 +- 0.25 nm``, ``0.1 to 1 um``.

    Raises
    ------
    ValueError
        If there is no number.
    """
    if len(text) > 200:  # the time of the search grows with the square of the length
        raise ValueError("not a quantity")
    match = re.fullmatch(rf"\s*({_NUMBER})\s*(?:(?:±|\+-|\+/-|to)\s*({_NUMBER}))?\s*(.*?)\s*", text)
    if not match:
        raise ValueError(f"not a quantity: {text!r}")
    return [float(n) for n in match.groups()[:2] if n], match[3]


def quantity(unit: str, example: str, low: float = 0.0, high: float = math.inf, *, rounded: bool = True) -> Any:
    """Annotations for a quantity written with a unit and held in ``unit``.

    Parameters
    ----------
    unit : str
        Unit of the value that is held.
    example : str
        Shown in error messages.
    low, high : float
        Bounds in ``unit``, both excluded.
    rounded : bool
        Whether the converted value is rounded to 15 digits. Numbers of results depend on it in their last digit.
    """

    def read(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, str):
            raise ValueError(f"a number with a unit is needed, for example '{example}' (got {value!r})")
        try:
            (number,), unit_text = split_quantity(value)
            converted = convert(number, unit_text, unit, rounded=rounded)
        except Exception as error:  # no quantity, or a unit of another dimension
            message = f"not a quantity in units like '{unit}', for example '{example}' (got {value!r})"
            raise ValueError(message) from error
        if not low < converted < high:
            bounds = f"within {low:g} and {high:g} {unit}" if high < math.inf else f"greater than {low:g}"
            raise ValueError(f"must be {bounds} (got {value!r})")
        return converted

    return (
        BeforeValidator(read),
        PlainSerializer(lambda value: f"{value!r} {unit}", return_type=str),
        WithJsonSchema({"type": "string", "examples": [example]}),
    )


def _duration(value: object) -> float:
    """Seconds of ``90 min``, ``01:30:00``, or ``1-12:30`` (days and hours), read as Slurm reads them."""
    text = str(value).strip() if isinstance(value, (str, int, float)) and not isinstance(value, bool) else ""
    clock = re.fullmatch(r"(?:([0-9]+)-)?([0-9]+)(?::([0-5]?[0-9])(?::([0-5]?[0-9]))?)?", text)
    if clock and (clock[1] or clock[4]):
        days, hours, minutes, seconds = (int(number or 0) for number in clock.groups())
        value = f"{((days * 24 + hours) * 60 + minutes) * 60 + seconds} s"
    elif clock and clock[3]:
        in_slurm = f"{int(clock[2]) // 60:02d}:{int(clock[2]) % 60:02d}:{clock[3]:0>2}"
        raise ValueError(
            f"ambiguous: minutes and seconds in Slurm, hours and minutes in other batch systems; write '{in_slurm}' "
            f"for the former or '{clock[2]:0>2}:{clock[3]:0>2}:00' for the latter (got {value!r})"
        )
    elif re.fullmatch(r"[0-9]+(\.[0-9]*)?", text):
        raise ValueError(
            f"a number with a unit is needed, for example '{text} min', which Slurm means by it, or '{text} s', which "
            f"other batch systems mean; '90 min', '1.5 h' and '01:30:00' are the same (got {value!r})"
        )
    elif text.lower() in ("infinite", "infinity", "unlimited", "none", "inf"):
        raise ValueError(f"a limit is needed; a very long one is '30 days' (got {value!r})")
    return float(_TIME[0].func(value))


def _memory(value: object) -> float:
    """MB of ``2 GB`` or ``2 GiB``; ``2G`` and ``2000Mn`` of batch systems are refused with both spellings."""
    text = str(value).strip() if isinstance(value, (str, int, float)) and not isinstance(value, bool) else ""
    match = re.fullmatch(rf"({_NUMBER})\s*(?:([kmgt])?i?(?:b|o|bytes?)?[nc]?|%)", text, re.I)
    if match and not re.fullmatch(r"B|bytes?|(k|[MGT]i?|Ki)B", text[match.end(1) :].strip()):
        # Without a unit, MB as in Slurm; a few of them would be no memory of a worker.
        likely = "M" if float(match[1]) >= 100 else "G"
        number, prefix = ("2", "G") if text.endswith("%") else (match[1], (match[2] or likely).upper())
        raise ValueError(
            f"a number with a unit is needed, for example '{number} {prefix}iB' (powers of 1024, as batch systems "
            f"count) or '{number} {prefix.replace('K', 'k')}B' (powers of 1000), for one worker (got {value!r})"
        )
    return float(_MEMORY[0].func(value))


def as_tuple(value: object) -> object:
    """Accept one value as a list of one, and a YAML list as a tuple."""
    if isinstance(value, (list, tuple)):
        return tuple(value)
    return (value,)


def list_as_tuple(value: object) -> object:
    """Accept a YAML list as a tuple."""
    return tuple(value) if isinstance(value, list) else value


#: Relative difference of lengths that may be the rounding of their units.
_ROUNDING = 1e-12


def _one_or_three_lengths(value: object) -> float | tuple[float, float, float]:
    """A length in nm, or three of them that are not all equal."""
    read = Length[1].func
    if not isinstance(value, (list, tuple)):
        return float(read(value))
    if len(value) != 3:
        raise ValueError(
            "one length or three (z, y, x) are needed, for example '3 nm' or ['10 nm', '5 nm', '5 nm'] "
            f"(got {len(value)})"
        )
    z, y, x = (float(read(edge)) for edge in value)
    return z if max(z, y, x) - min(z, y, x) <= _ROUNDING * z else (z, y, x)


Number = Annotated[float, Strict(), Field(allow_inf_nan=False)]
Whole = Annotated[int, Strict()]
Length = (float, *quantity("nm", "3 nm", rounded=False))
LengthNm = Annotated[Length]  # type: ignore[valid-type]
VoxelSize = Annotated[
    float | tuple[float, float, float],
    BeforeValidator(lambda value: _one_or_three_lengths(value)),
    PlainSerializer(
        lambda value: [f"{edge!r} nm" for edge in value] if isinstance(value, tuple) else f"{value!r} nm"
    ),
    WithJsonSchema({
        "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 3, "maxItems": 3}],
        "examples": ["3 nm"],
    }),
]  # fmt: skip
_MEMORY = quantity("MB", "2 GB", rounded=False)
Bytes = Annotated[float, BeforeValidator(_memory), *_MEMORY[1:]]
_TIME = quantity("s", "90 min", rounded=False)
Duration = Annotated[float, BeforeValidator(_duration), *_TIME[1:]]
Pressure = Annotated[(float, *quantity("Pa", "210 kPa", rounded=False))]
Viscosity = Annotated[(float, *quantity("Pa s", "0.89 mPa s", rounded=False))]
WallRate = Annotated[(float, *quantity("m s-1", "1e-7 m/s", rounded=False))]
Diffusivity = Annotated[(float, *quantity("m2 s-1", "5e-11 m2/s", rounded=False))]
Temperature = Annotated[(float, *quantity("K", "25 degC", rounded=False))]
Lengths = Annotated[tuple[LengthNm, ...], BeforeValidator(as_tuple), Field(min_length=1)]
Numbers = Annotated[tuple[Number, ...], BeforeValidator(as_tuple), Field(min_length=1)]
Range = Annotated[tuple[Number, Number], BeforeValidator(list_as_tuple)]


def numbers_below(limit: float) -> Any:
    """Numbers between 0 and ``limit``, both excluded, or one as a list of one."""
    number = Annotated[Number, Field(gt=0, lt=limit)]
    return Annotated[tuple[number, ...], BeforeValidator(as_tuple), Field(min_length=1)]


def numbers_up_to(maximum: float) -> Any:
    """Positive numbers up to ``maximum``, or one as a list of one."""
    number = Annotated[Number, Field(gt=0, le=maximum)]
    return Annotated[tuple[number, ...], BeforeValidator(as_tuple), Field(min_length=1)]


def prior(unit: str, example: str, high: float = math.inf) -> Any:
    """Annotations for the prior of a quantity: a value, a value +- its standard deviation, or a range `low to high`.

    It is held as its distribution and two numbers in ``unit``. A range is log-uniform, `uniform low to high` uniform.
    """

    def read(value: object) -> tuple[str, float, float]:
        message = f"a value, value +- deviation or low to high is needed, for example '{example}' (got {value!r})"
        if isinstance(value, (int, float)) and not isinstance(value, bool) and unit == "1":
            value = repr(float(value))
        if not isinstance(value, str):
            raise ValueError(message)
        try:
            text = value.strip().removeprefix("uniform")
            numbers, unit_text = split_quantity(text)
            if unit == "1" and unit_text not in ("", "1", "%"):
                raise ValueError
            factor = {"": 1.0, "1": 1.0, "%": 0.01}[unit_text] if unit == "1" else convert(1.0, unit_text, unit)
        except Exception as error:
            raise ValueError(message) from error
        first, second = ([number * factor for number in numbers] + [0.0])[:2]
        if len(numbers) == 1:
            kind = "exact"
        elif " to " in text or re.search(r"\dto\d", text):
            kind = "uniform" if value.strip().startswith("uniform") else "loguniform"
        else:
            kind = "normal"
        if kind in ("exact", "loguniform", "normal") and not 0 < first < high:
            raise ValueError(
                f"must be greater than 0{f' and less than {high:g}' if high < math.inf else ''} (got {value!r})"
            )
        if "uniform" in kind and not 0 <= first < second <= high:
            raise ValueError(
                f"must be a range low to high{f' up to {high:g}' if high < math.inf else ''} (got {value!r})"
            )
        if kind == "normal" and not 0 < second < first:
            raise ValueError(f"the deviation must be greater than 0 and less than the value (got {value!r})")
        return kind, first, second

    def write(distribution: tuple[str, float, float]) -> str:
        kind, first, second = distribution
        suffix = "" if unit == "1" else f" {unit}"
        join = {"exact": "", "normal": " +- ", "loguniform": " to ", "uniform": " to "}[kind]
        return ("uniform " if kind == "uniform" else "") + f"{first!r}{join}{f'{second!r}' if join else ''}{suffix}"

    return (
        BeforeValidator(read),
        PlainSerializer(write, return_type=str),
        WithJsonSchema({"type": "string", "examples": [example]}),
    )


def measured(unit: str, example: str, low: float = 0.0, high: float = math.inf) -> Any:
    """Annotations for a quantity that may carry its standard deviation, ``1.7 +- 0.05 mN/m``.

    It is held as value and standard deviation in ``unit``; 0 where none is given.

    Parameters
    ----------
    unit : str
        Unit of the values that are held; ``deg`` may be left out, and ``1`` is a number without unit.
    example : str
        Shown in error messages.
    low, high : float
        Bounds of the value in ``unit``; the lower one is excluded, unless it is 0 degrees.
    """

    def read(value: object) -> tuple[float, float]:
        if unit in ("deg", "1") and isinstance(value, (int, float)) and not isinstance(value, bool):
            value = f"{value!r} {unit if unit == 'deg' else ''}"
        message = f"a quantity in units like '{unit}' is needed, for example '{example}' (got {value!r})"
        if not isinstance(value, str):
            raise ValueError(message)
        try:
            numbers, unit_text = split_quantity(value)
            if unit == "1" and unit_text not in ("", "1"):
                raise ValueError
            factor = 1.0 if unit == "1" else convert(1.0, unit_text or ("deg" if unit == "deg" else ""), unit)
            first, second = ([float(f"{number * factor:.15g}") for number in numbers] + [0.0])[:2]
        except Exception as error:
            raise ValueError(message) from error
        if " to " in value:
            raise ValueError(message)
        if not (low < first or (unit == "deg" and first == low)) or not first < high:
            bounds = f"within {low:g} and {high:g} {unit}" if high < math.inf else f"greater than {low:g}"
            raise ValueError(f"must be {bounds} (got {value!r})")
        if second < 0 or (len(numbers) == 2 and not second > 0):
            raise ValueError(f"the standard deviation must be greater than 0 (got {value!r})")
        return first, second

    def write(value: tuple[float, float]) -> str:
        deviation = f" +- {value[1]!r}" if value[1] else ""
        return f"{value[0]!r}{deviation}{f' {unit}' if unit != '1' else ''}"

    return (
        BeforeValidator(read),
        PlainSerializer(write, return_type=str),
        WithJsonSchema({"type": ["string", "number"] if unit in ("deg", "1") else "string", "examples": [example]}),
    )


@dataclass(frozen=True)
class Quantity:
    """A value with its unit, where a number without one is dimensionless."""

    value: float
    unit: str

    def __str__(self) -> str:
        unit, factor = readable_unit(self.unit, self.value)
        return f"{self.value * factor:g} {unit}"


def number_or_quantity(unit: str, example: str, names: tuple[str, ...] = ()) -> Any:
    """Annotations for a positive number without a unit, a quantity with one, or a name.

    A number is held as it is, a quantity as a :class:`Quantity` in ``unit``.

    Parameters
    ----------
    unit : str
        Unit of the quantity that is held.
    example : str
        A quantity that is shown in error messages.
    names : tuple of str
        Names that may take the place of the number.
    """
    read_quantity = quantity(unit, "', or '".join((example, *names)))[0].func
    or_name = "".join(f", or {name}" for name in names)

    def read(value: object) -> float | str | Quantity:
        if isinstance(value, Quantity) or (isinstance(value, str) and value in names):
            return value
        if isinstance(value, str) and re.search(r"[A-Za-z°%]", value):
            return Quantity(float(read_quantity(value)), unit)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            needed = f"a dimensionless number is needed, or a quantity such as '{example}'{or_name}"
            raise ValueError(f"{needed} (got {value!r})")
        if not value > 0:
            raise ValueError(f"must be greater than 0 (got {value!r})")
        return float(value)

    def write(value: float | str | Quantity) -> float | str:
        return f"{value.value!r} {value.unit}" if isinstance(value, Quantity) else value

    return (
        PlainValidator(read),
        PlainSerializer(write),
        WithJsonSchema({"type": ["number", "string"], "examples": [example, *names]}),
    )


_KELVIN = quantity("K", "25 degC", 273.16, 373.0)
_CELSIUS = PlainSerializer(lambda value: f"{round(value - 273.15, 9)!r} degC", return_type=str)
WaterTemperature = Annotated[float, _KELVIN[0], _CELSIUS, _KELVIN[2]]
_Prior = tuple[str, float, float]
PriorLength = Annotated[(_Prior, *prior("m", "3.15 +- 0.25 nm"))]
PriorFraction = Annotated[(_Prior, *prior("1", "0.13 +- 0.02", 1.0))]
MeasuredAngle = Annotated[(tuple[float, float], *measured("deg", "118 +- 2", 0.0, 180.0))]
MeasuredNumber = Annotated[(tuple[float, float], *measured("1", "0.3 +- 0.05"))]
MeasuredLength = Annotated[(tuple[float, float], *measured("m", "50 +- 5 um"))]
MeasuredTension = Annotated[(tuple[float, float], *measured("N m-1", "1.7 +- 0.05 mN/m"))]
PriorNumber = Annotated[(_Prior, *prior("1", "7.5e9 +- 1e9"))]
