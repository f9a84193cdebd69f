"""Units as tables write them: trade names, DIN fractions, gauge and absolute pressures, powers of ten."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from membrane_dask.physics.porometry.gases import GAS_PERMEATION_UNIT
from membrane_dask.quantities import fits

#: Spellings of units and of names of them, folded to lower case. "M" and "m" of megapascal and millipascal stay apart.
_UNITS = {
    "psi": "psi", "bar": "bar", "bars": "bar", "mbar": "mbar", "kpa": "kPa", "hpa": "hPa", "pa": "Pa", "atm": "atm",
    "torr": "torr", "mmhg": "mmHg", "cmhg": "cmHg", "at": "technical_atmosphere", "ksc": "technical_atmosphere",
    "l": "L", "liter": "L", "liters": "L", "litre": "L", "litres": "L", "ltr": "L", "ml": "mL", "dl": "dL", "ul": "uL",
    "cc": "cm^3", "ccm": "cm^3", "cbm": "m^3", "gal": "gallon", "gallon": "gallon", "gallons": "gallon",
    "sec": "s", "secs": "s", "second": "s", "seconds": "s", "s": "s", "min": "min", "mins": "min", "minute": "min",
    "minutes": "min", "h": "h", "hr": "h", "hrs": "h", "hour": "h", "hours": "h", "std": "h", "d": "day",
    "day": "day", "days": "day",
    "m": "m", "cm": "cm", "mm": "mm", "um": "um", "nm": "nm", "micron": "um", "microns": "um", "inch": "inch",
    "inches": "inch", "in": "inch", "ft": "ft", "angstrom": "angstrom",
    "g": "g", "kg": "kg", "mg": "mg", "ug": "ug", "gram": "g", "grams": "g", "mol": "mol", "mmol": "mmol",
    "dyn": "dyn", "dyne": "dyn", "dynes": "dyn", "n": "N", "mn": "mN",
    "k": "K", "degc": "degC", "°c": "degC", "celsius": "degC", "°f": "degF", "degf": "degF", "fahrenheit": "degF",
    "deg": "deg", "degree": "deg", "degrees": "deg", "°": "deg",
    "cp": "cP", "%": "percent", "percent": "percent", "lmh": "L m^-2 h^-1", "gfd": "gallon ft^-2 day^-1",
    "mpa": "MPa", "hbar": "h bar",
}  # fmt: skip
#: Times below a slash in other languages; alone they are words, such as names of columns.
_TIMES = {
    "uur": "h", "stunde": "h", "heure": "h", "hora": "h", "ora": "h", "jour": "day", "tag": "day", "dag": "day",
    "dia": "day", "giorno": "day", "sek": "s",
}  # fmt: skip
_FACTORS_OF = {name: unit.split(" ") for name, unit in _UNITS.items()}
#: Whole units of the trade, with the factor that belongs to them.
_TRADE = {
    "lmh": ("L/m^2/h", 1.0), "gfd": ("gallon/ft^2/day", 1.0), "gpu": ("mol/m^2/s/Pa", GAS_PERMEATION_UNIT),
    "gpm": ("gallon/min", 1.0), "gpd": ("gallon/day", 1.0), "lpm": ("L/min", 1.0), "slpm": ("L/min", 1.0),
    "sccm": ("cm^3/min", 1.0), "ccm": ("cm^3/min", 1.0), "nl/min": ("L/min", 1.0), "nl/h": ("L/h", 1.0),
    "nml/min": ("mL/min", 1.0), "kg/cm2": ("kgf/cm^2", 1.0), "kgf/cm2": ("kgf/cm^2", 1.0),
    "kg/cm^2": ("kgf/cm^2", 1.0), "c": ("degC", 1.0), "f": ("degF", 1.0), "°": ("deg", 1.0),
    "da": ("g/mol", 1.0), "kda": ("kg/mol", 1.0), "dalton": ("g/mol", 1.0), "kilodalton": ("kg/mol", 1.0),
    "ppm": ("mg/L", 1.0), "mpas": ("mPa s", 1.0),
}  # fmt: skip
#: Pressures as heights of a liquid, without blanks and points.
_COLUMNS_OF_LIQUID = {
    **dict.fromkeys(("mmhg", "mmofmercury"), ("mmHg", 1.0)),
    **dict.fromkeys(("inhg", "inchhg", "incheshg", "inchesofmercury"), ("Pa", 3386.389)),
    **dict.fromkeys(("mmh2o", "mmws", "mmwc", "mmwg"), ("Pa", 9.80665)),
    **dict.fromkeys(("cmh2o", "cmws", "cmwc", "cmwg"), ("Pa", 98.0665)),
    **dict.fromkeys(("mh2o", "mws", "mwc", "mce", "mca"), ("Pa", 9806.65)),
    **dict.fromkeys(("inh2o", "inwc", "inwg"), ("Pa", 249.08891)),
    **dict.fromkeys(("fth2o", "ftwc"), ("Pa", 2989.0669)),
}
#: Times as a clock or a stop watch shows them.
CLOCK_FORMATS = ("h:mm", "h:mm:ss", "mm:ss")
#: Units of quantities of a table; a text in another unit, such as A or T, is a word.
_MEASURED = (
    "Pa", "m s-1", "kg m-2 s-1", "m3 s-1", "kg s-1", "m3", "m", "m3 kg-1", "kg", "s", "K", "m2", "m s-1 Pa-1",
    "kg m-2 s-1 Pa-1", "mol m-2 s-1 Pa-1", "deg", "kg mol-1", "kg m-3", "mol m-3", "N m-1", "Pa s",
)  # fmt: skip
SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻\u2212\u2013·∙⋅•µμ\u00d7", "0123456789---    uux")
_GAUGE = re.compile(
    r"(?:\s*\(?\s*(?:gauge|gage|ü|überdruck|relativ|rel\.?)\s*\)?|\(\s*g\s*\)|(?<=bar|psi|kpa|hpa|mpa)\s?g)$", re.I
)
_ABSOLUTE = re.compile(
    r"(?:\s*\(?\s*(?:absolute|absolut|abs\.?)\s*\)?|\(\s*a\s*\)|(?<=bar|psi|kpa|hpa|mpa)\s?a)$", re.I
)
#: A factor before a unit: 10^-5, 1e-5, x10-5.
_FACTOR = re.compile(r"[x*]?\s*(?:10\s*(?:\^|\*\*)?\s*([-+]?\d{1,2})|1(?:\.0+)?[eE]([-+]?\d{1,2}))\s*[*x ]?\s*(?=\D|$)")
#: Flows counted at 0 degC and 1.01325 bar.
_STANDARD = re.compile(r"\bsccm\b|\bslpm\b|\bn(?:ml|l)\b|\(stp\)|\bstp\b|\bncc\b", re.I)


@dataclass(frozen=True)
class UnitText:
    """A unit of a header.

    Parameters
    ----------
    text : str
        As written.
    unit : str
        In a spelling of :func:`~membrane_dask.quantities.parse_unit`; empty if it is not recognised.
    factor : float
        Power of ten that stands before the unit.
    reference : {"", "gauge", "absolute"}
        What a pressure is measured against, where the unit says so.
    standard : bool
        Whether a flow of gas is counted at 0 degC and 1.01325 bar.
    """

    text: str
    unit: str
    factor: float = 1.0
    reference: str = ""
    standard: bool = False


@lru_cache(maxsize=1024)
def unit_text(text: str) -> UnitText:
    """Read a unit.

    Parameters
    ----------
    text : str
        Such as ``L/(m2 h)``, ``10^-5 m/s``, ``bar(g)``, ``KPa``. What stands after the first slash is below it.
    """
    word = re.sub(r"\s+", " ", text.translate(SUPERSCRIPTS)).strip()
    reference = ""
    for name, pattern in (("gauge", _GAUGE), ("absolute", _ABSOLUTE)):
        if not reference and (match := pattern.search(word)) and match.start() > 0:
            reference, word = name, word[: match.start()].strip()
    standard = bool(_STANDARD.search(word))
    word = re.sub(r"\s*\(stp\)|\s*\bstp\b", "", word, flags=re.I)
    factor = 1.0
    if (match := _FACTOR.match(word)) and word[match.end() :].strip():
        factor, word = float(f"1e{int(match[1] or match[2])}"), word[match.end() :].strip()
    if clock_format(word):
        return UnitText(text, "s")
    word = re.sub(r"(?<=[A-Za-z\d)])\.(?=[A-Za-z(])", " ", word)  # L.m-2.h-1
    word = re.sub(r"\bsq\.?\s*([A-Za-z]+)", r"\1^2", word)  # sq cm
    height = _COLUMNS_OF_LIQUID.get(re.sub(r"[\s.]", "", word.lower()).replace('"', "in"))
    word = re.sub(r"(?<=[A-Za-z])\.$", "", word)  # Std.
    unit, trade_factor = height or _TRADE.get(word.lower(), ("", 1.0))
    return UnitText(text, unit or _study_unit(word) or _fraction(word), factor * trade_factor, reference, standard)


def clock_format(text: str) -> str:
    """Which of :data:`CLOCK_FORMATS` a text is, as ``hh:mm`` or ``hh:mm:ss``; empty if it is none."""
    word = re.sub(r"^hh?(?=:)", "h", text.strip().strip("[]()").lower())
    word = re.sub(r"^m{1,2}:ss$|^min:(?:s|sec|ss)$", "mm:ss", word)
    return word if word in CLOCK_FORMATS else ""


def _study_unit(word: str) -> str:
    """The unit itself if it is one in the spelling of a study and not a plain word."""
    from membrane_dask.quantities import parse_unit

    if word.lower() in _UNITS or re.search(r"/[^/]*[ *]\w|/[^/]*\d[A-Za-z]|[A-Za-z] \(", word):
        return ""
    try:
        parse_unit(word)
    except ValueError:
        return ""
    return word


def _fraction(word: str) -> str:
    """A unit from its names; empty if one of them is not known."""
    above, slash, below = word.partition("/")
    if slash and not below.strip():
        return ""
    factors = _factors(above, 1)
    divisors = _factors(re.sub(r"[()/]", " ", below), -1) if slash else []
    if factors is None or divisors is None or not factors + divisors:
        return ""
    return (" ".join(factors) or "1") + "".join(f"/{divisor}" for divisor in divisors)


def _factors(text: str, sign: int) -> list[str] | None:
    """Parts of a product in spellings of pint; negative exponents below a slash stand as they are written."""
    factors = list[str]()
    rest = re.sub(r"[()*·]", " ", text.replace("**", "^")).strip()
    while rest:
        match = re.match(r"(°?[A-Za-z%]+|°)\s*\^?\s*(-?\d+)?\s*", rest)
        if not match:
            return None
        name = match[1]
        # Megapascal and millipascal differ by their first letter only.
        names = [name] if name in ("MPa", "mPa", "MN", "kN") else _FACTORS_OF.get(name.lower())
        if names is None and sign < 0 and name.lower() in _TIMES:
            names = [_TIMES[name.lower()]]
        if names is None:
            return None
        exponent = int(match[2] or 1)
        if sign < 0 and exponent < 0:
            exponent = -exponent  # L/m2 h-1
        factors += [f"{unit}^{exponent}" if exponent != 1 else unit for unit in names]
        rest = rest[match.end() :]
    return factors


def is_unit(text: str) -> bool:
    """Whether a text is nothing but a unit, or a placeholder of one."""
    word = re.sub(r"^[\[(](.*)[\])]$", r"\1", text.strip()).strip()
    if word in ("-", "1", "%", "[-]", ""):
        return True
    if re.fullmatch(r"[A-Za-z]\d", word) and word not in ("m2", "m3"):  # R1 is a replicate
        return False
    return bool(measures(unit_text(word), _MEASURED))


def measures(unit: UnitText, units: tuple[str, ...]) -> str:
    """The first of several units that a unit can be converted to; empty if there is none."""
    return next((u for u in units if unit.unit and fits(unit.unit, u)), "")
