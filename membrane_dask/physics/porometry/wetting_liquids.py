"""Surface tension of the liquids that fill the pores in capillary flow porometry and bubble point tests."""

from __future__ import annotations

from dataclasses import dataclass

from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.porometry.water import Water

#: Relative standard deviation of a surface tension that was not measured for the test. Sources state 15.6 and 16.0
#: mN/m for the same fluorinated liquid, and these liquids change as they evaporate.
PRESET_ERROR = 0.03

#: Liquids with one published value, N m-1, and their names.
_CONSTANT = {
    "porefil": (16.0e-3, ("porofil", "porewick", "perfluoroether")),
    "galwick": (15.9e-3, ()),
}
#: Liquids whose surface tension falls with the temperature: its value at 0 degC, N m-1, its slope, N m-1 K-1, the
#: temperatures, K, and other names.
_LINEAR = {
    "isopropanol": (22.90e-3, 0.0789e-3, (183.65, 355.55), ("ipa", "2-propanol", "isopropyl alcohol")),
    "ethanol": (24.05e-3, 0.0832e-3, (159.15, 351.15), ("ethyl alcohol",)),
}
#: Liquids for which a value is stated without a source that confirms it, mN m-1.
_NOT_CONFIRMED = {"mineral oil": 34.7, "petroleum distillate": 30.0, "denatured alcohol": 22.3}
_WITHOUT_VALUE = ("silwick",)
_SYNONYMS = {
    **{name: key for key, (_, names) in _CONSTANT.items() for name in (key, *names)},
    **{name: key for key, (*_, names) in _LINEAR.items() for name in (key, *names)},
    "water": "water",
}


@dataclass(frozen=True)
class WettingLiquid:
    """A test liquid at the temperature of the test.

    Parameters
    ----------
    name : str
        As it stands in results.
    surface_tension : float
        Against air, N m-1.
    relative_error : float
        Standard deviation of the surface tension over its value.
    """

    name: str
    surface_tension: float
    relative_error: float


def wetting_liquid(name: str, temperature: float | None = None) -> WettingLiquid:
    """The test liquid with a name, in any case.

    Parameters
    ----------
    name : str
        For example ``Porefil``, ``Galwick``, ``water``, ``IPA``, ``ethanol``.
    temperature : float, optional
        K; required for water, isopropanol and ethanol.

    Raises
    ------
    PhysicsError
        If the name is not known (the message lists the known ones), if no confirmed surface tension is known for
        the liquid, or if the temperature is missing or outside the range of the liquid's formula.

    References
    ----------
    Jasper, J. Phys. Chem. Ref. Data 1, 841 (1972), for the alcohols; IAPWS R1-76(2014) for water; data sheets of the
    manufacturers for the fluorinated liquids.
    """
    key = " ".join(name.lower().split())
    if key in _NOT_CONFIRMED:
        raise PhysicsError(
            f"liquid: no confirmed surface tension is known for {key}; {_NOT_CONFIRMED[key]} mN/m is stated without "
            f"a source. Give surface_tension, from the data sheet of your liquid"
        )
    if key in _WITHOUT_VALUE:
        raise PhysicsError(f"liquid: no surface tension is known for {key}. Give surface_tension, from its data sheet")
    if key not in _SYNONYMS:
        raise PhysicsError(f"liquid: {name!r} is not known; known are {', '.join(sorted(_SYNONYMS))}")
    key = _SYNONYMS[key]
    if key in _CONSTANT:
        return WettingLiquid(key, _CONSTANT[key][0], PRESET_ERROR)
    if temperature is None:
        raise PhysicsError(f"temperature: the surface tension of {key} depends on it. Give the temperature of the test")
    return WettingLiquid(key, _at_temperature(key, temperature), PRESET_ERROR)


def _at_temperature(key: str, temperature: float) -> float:
    """Surface tension of water or an alcohol, N m-1."""
    low, high = _LINEAR[key][2] if key in _LINEAR else (273.16, 373.0)
    if not low <= temperature <= high:
        raise PhysicsError(
            f"temperature: the surface tension of {key} is known from {low} to {high} K (got {temperature})"
        )
    if key == "water":
        return Water.at(temperature).surface_tension
    at_zero, slope = _LINEAR[key][:2]
    return at_zero - slope * (temperature - 273.15)
