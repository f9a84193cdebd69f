"""Palencia's structure of a membrane as it was really computed: powers of ten chosen, defects as switches.

From one permeability and one threshold pressure the paper has a radius, a porosity and two pore numbers. Their first
digits follow from the data (``r = k / P0``, ``eps ~ L P0^2``, ``n ~ L P0^4``); their powers of ten do not, but are
chosen so that the porosity lies in [0.1, 1) and the pore number near 1e12 and 1e13. With one pair of powers,
``r_HP = r_YL / sqrt(s_n)`` whatever was measured.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

Preset = Literal["table6", "table8", "table14"]
#: The paper's fluxes are in litres: its permeability is this times the SI one.
LITRES = 1e3


@dataclass(frozen=True)
class Scales:
    """Powers of ten of one membrane; None leaves one to the paper's rule.

    Parameters
    ----------
    young_laplace : int
        Of the Young-Laplace radius: 0 (forward), -3 or -4 (backward).
    porosity : int or None
        Of the porosity. The rule: such that it lies in [0.1, 1).
    number : tuple of int or None
        Of the pore number at the lower and at the upper radius. The rule: such that the numbers have the powers
        of ten ``decades``.
    decades : tuple of int
        13 and 12 by the rule (Eq. 21, ``m = 13 - n`` and ``m = 12 - n``).
    """

    young_laplace: int = 0
    porosity: int | None = None
    number: tuple[int, int] | None = None
    decades: tuple[int, int] = (13, 12)


@dataclass(frozen=True)
class Convention:
    """Constants of the liquid and the cell, and which defects of the paper are switched on.

    Parameters
    ----------
    laplace : float
        ``2 gamma cos(theta)``, N m-1.
    resistance : float
        Viscosity times thickness, Pa s m. The paper pairs it with a permeability in litres, which makes porosities
        1000 times too large before they are scaled.
    area : float
        m2.
    literal_numbers : bool
        Pore numbers of Table 8: those that Eq. 22 needs as it is printed, without the porosity's power of ten.
        They are off from Eq. 2 by that power.
    literal_equation_22 : bool
        Eq. 22 as printed, with pore numbers that obey Eq. 2: it does not give the printed radii.
    dropped_division : bool
        Table 14: Eq. 22 without ``1 / r_YL``, an area in m2 that is printed as nm.
    """

    laplace: float
    resistance: float
    area: float
    literal_numbers: bool = False
    literal_equation_22: bool = False
    dropped_division: bool = False

    @classmethod
    def preset(
        cls, name: Preset, *, surface_tension: float, contact_angle: float, viscosity: float, thickness: float,
        area: float,
        rounded_cosine: bool | None = None,
    ) -> Convention:  # fmt: skip
        """As one of the paper's tables was computed.

        Parameters
        ----------
        name : {"table6", "table8", "table14"}
            Tables 6 and 7; Table 8, with other pore numbers; Table 14, whose cosine is rounded to two digits and
            whose radii lack a division.
        surface_tension, contact_angle, viscosity, thickness, area : float
            N m-1, degrees, Pa s, m, m2.
        rounded_cosine : bool, optional
            Whether the cosine is rounded; default as in the table.
        """
        cosine = math.cos(math.radians(contact_angle))
        if name == "table14" if rounded_cosine is None else rounded_cosine:
            cosine = round(cosine, 2)
        return cls(
            laplace=2 * surface_tension * cosine,
            resistance=viscosity * thickness,
            area=area,
            literal_numbers=name == "table8",
            dropped_division=name == "table14",
        )

    def with_defects(self, **switches: bool | None) -> Convention:
        """The same with defects switched on or off; None leaves one as it is."""
        return replace(self, **{name: on for name, on in switches.items() if on is not None})


@dataclass(frozen=True)
class PublishedStructure:
    """A membrane's structure by the published steps; every power of ten in it was assigned, not measured.

    Parameters
    ----------
    young_laplace_radius : float
        m.
    porosity, first_porosity : float
        After and before its power of ten.
    first_radius, first_number : float
        Eqs. 15 and 16, m and 1.
    radius, number : tuple of float
        Hagen-Poiseuille radius and pore number, at the lower and the upper radius.
    porosity_scale : int
        Power of ten of the porosity.
    number_scale : tuple of int
        Powers of ten of the pore number.
    """

    young_laplace_radius: float
    porosity: float
    first_porosity: float
    first_radius: float
    first_number: float
    radius: tuple[float, float]
    number: tuple[float, float]
    porosity_scale: int
    number_scale: tuple[int, int]

    @property
    def width(self) -> float:
        """Upper less lower radius (Eq. 31), m: ``sqrt(10) - 1`` times the lower one."""
        return self.radius[1] - self.radius[0]

    @property
    def mean(self) -> float:
        """Mean of both radii, m. What Table 6 prints as the mean is half the width."""
        return sum(self.radius) / 2

    @property
    def deviation(self) -> float:
        """Sample standard deviation of two numbers, ``width / sqrt(2)``, m."""
        return abs(self.width) / math.sqrt(2)

    def geometric(self) -> tuple[float, float]:
        """Mean and deviation of ``sqrt(r_YL r_HP)`` over both radii (Eq. 18), m."""
        low, high = (math.sqrt(self.young_laplace_radius * r) for r in self.radius)
        return (low + high) / 2, abs(high - low) / math.sqrt(2)


def structure(
    permeability: float, threshold: float, convention: Convention, scales: Scales | None = None
) -> PublishedStructure:
    """A membrane's structure by the published steps (Palencia Sec. 3.3).

    Parameters
    ----------
    permeability : float
        m s-1 Pa-1, > 0.
    threshold : float
        Pa, > 0.
    convention : Convention
        Constants and switches.
    scales : Scales, optional
        Powers of ten; default the paper's rules, forward.

    Returns
    -------
    PublishedStructure

    Raises
    ------
    ValueError
        If permeability or threshold are not greater than 0.
    """
    for name, value in (("hydraulic permeability", permeability), ("threshold pressure", threshold)):
        if not 0 < value < math.inf:
            raise ValueError(f"{name}: must be greater than 0 (got {value})")
    scales = scales or Scales()
    c, litres = convention, permeability * LITRES
    conductance = 8 * c.resistance * litres
    radius = c.laplace / threshold * 10.0**scales.young_laplace
    first_porosity = conductance / radius**2
    power = -math.floor(math.log10(first_porosity)) - 1 if scales.porosity is None else scales.porosity
    porosity = first_porosity * 10.0**power
    first_radius = math.sqrt(conductance / porosity)
    first_number = porosity * c.area / (math.pi * radius**2)
    exponent = math.floor(math.log10(first_number))
    lower, upper = scales.number or tuple(d - exponent for d in scales.decades)

    def again(scale: int) -> float:
        """Eq. 22."""
        number = first_number * 10.0**scale
        inside = conductance * c.area / (math.pi * number)
        if c.dropped_division:
            return math.sqrt(inside) * 1e15 * 1e-9  # m2, times 1e15, called nm
        return math.sqrt(inside * (1.0 if c.literal_equation_22 else 10.0**power)) / radius

    shift = -power if c.literal_numbers else 0
    low, high = again(lower), again(upper)
    return PublishedStructure(
        young_laplace_radius=radius,
        porosity=porosity,
        first_porosity=first_porosity,
        first_radius=first_radius,
        first_number=first_number,
        radius=(low, radius) if c.dropped_division else (low, high),
        # Table 14 prints one number for both radii.
        number=(first_number, first_number)
        if c.dropped_division
        else (first_number * 10.0 ** (lower + shift), first_number * 10.0 ** (upper + shift)),
        porosity_scale=power,
        number_scale=(lower + shift, upper + shift),
    )


#: Membranes of the paper whose powers of ten follow from no rule of it: two of Table 8, all of Table 14.
EXCEPTIONS: Mapping[str, Scales] = {
    "PESm-5": Scales(decades=(12, 11)),
    "PESm-10": Scales(decades=(14, 13)),
    **{
        f"MPESm-{k}": Scales(
            young_laplace=-4 if k in (3, 9, 12) else -3,
            porosity=-6 if k in (3, 10) else -5,
            number=(-1, 0) if k in (4, 12) else (0, 0),
        )
        for k in range(1, 13)
    },
}


def scales_of(membrane: str, preset: Preset) -> Scales:
    """Powers of ten of a membrane: the paper's own, or its rules, backward where Table 14 is the model."""
    return EXCEPTIONS.get(membrane, Scales(young_laplace=-3) if preset == "table14" else Scales())
