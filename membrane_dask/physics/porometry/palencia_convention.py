"""Pore structure by the procedure that Palencia et al. published, with its scaling factors and its errors as options.

From one permeability and one threshold pressure the procedure computes a radius, a porosity and two pore numbers.
Their leading digits follow from the data (``r ~ 1 / P0``, ``eps ~ L P0^2``, ``n ~ L P0^4``). Their scaling factors,
powers of ten, do not: they are chosen such that the porosity is in [0.1, 1) and the pore numbers are near 1e13 and
1e12. With one such pair, ``r_HP = r_YL / sqrt(s_n)`` for any data.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from membrane_dask.physics.decimal_digits import decimal_exponent, power_of_ten
from membrane_dask.physics.elementary import cosine_of_degrees

Preset = Literal["table6", "table8", "table14"]
#: The published fluxes are in litres; the published permeability is this many times that in SI units.
_LITRES = 1e3


@dataclass(frozen=True)
class ScalingFactors:
    """Exponents of the powers of ten by which the results of one membrane are multiplied; None: the published rule.

    Parameters
    ----------
    young_laplace : int
        Of the Young-Laplace radius: 0 (forward scaling), -3 or -4 (backward scaling).
    porosity : int or None
        Of the porosity. The rule: such that it is in [0.1, 1).
    number : tuple of int or None
        Of the pore number at the lower and at the upper radius. The rule: such that the pore numbers have the orders
        of magnitude ``decades``.
    decades : tuple of int
        13 and 12 by the rule (Eq. 21, ``m = 13 - n`` and ``m = 12 - n``).
    """

    young_laplace: int = 0
    porosity: int | None = None
    number: tuple[int, int] | None = None
    decades: tuple[int, int] = (13, 12)


@dataclass(frozen=True)
class Convention:
    """Constants of liquid and cell, and which errors of the paper are reproduced.

    Parameters
    ----------
    laplace : float
        ``2 gamma cos(theta)``, N m-1.
    resistance : float
        Viscosity times membrane thickness, Pa s m. The paper combines it with a permeability in litres, which makes
        porosities 1000 times too large before scaling.
    area : float
        m2.
    literal_numbers : bool
        Pore numbers as in Table 8: those that Eq. 22 needs as it is printed, without the scaling factor of the
        porosity. They differ from Eq. 2 by that factor.
    literal_equation_22 : bool
        Eq. 22 as printed, with pore numbers that obey Eq. 2: it does not give the printed radii.
    dropped_division : bool
        As in Table 14: Eq. 22 without ``1 / r_YL``, an area in m2 that is printed as nm.
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
        """Convention of one of the published tables.

        Parameters
        ----------
        name : {"table6", "table8", "table14"}
            Tables 6 and 7; Table 8, with other pore numbers; Table 14, with a cosine rounded to two digits and
            without the division by the radius.
        surface_tension, contact_angle, viscosity, thickness, area : float
            N m-1, degrees, Pa s, m, m2.
        rounded_cosine : bool, optional
            Whether the cosine is rounded; default as in the table.
        """
        cosine = float(cosine_of_degrees(contact_angle))
        if name == "table14" if rounded_cosine is None else rounded_cosine:
            cosine = round(cosine, 2)
        return cls(
            laplace=2 * surface_tension * cosine,
            resistance=viscosity * thickness,
            area=area,
            literal_numbers=name == "table8",
            dropped_division=name == "table14",
        )

    def with_options(self, **options: bool | None) -> Convention:
        """Copy with options switched on or off; None leaves an option unchanged."""
        return replace(self, **{name: on for name, on in options.items() if on is not None})


@dataclass(frozen=True)
class PublishedStructure:
    """Pore structure by the published procedure; every value contains an assigned scaling factor.

    Parameters
    ----------
    young_laplace_radius : float
        m.
    porosity, unscaled_porosity : float
        With and without its scaling factor.
    first_radius, first_number : float
        Hagen-Poiseuille radius and pore number before the pore number is scaled (Eqs. 15 and 16), m and 1.
    radius, number : tuple of float
        Hagen-Poiseuille radius, m, and pore number, at the lower and the upper radius.
    porosity_scale : int
        Exponent of the scaling factor of the porosity.
    number_scale : tuple of int
        Exponents of the scaling factors of the pore numbers.
    effective_threshold : float
        Threshold pressure that belongs to the scaled Young-Laplace radius, ``P0* = P0 / s_YL`` (Eq. 32), Pa.
    """

    young_laplace_radius: float
    porosity: float
    unscaled_porosity: float
    first_radius: float
    first_number: float
    radius: tuple[float, float]
    number: tuple[float, float]
    porosity_scale: int
    number_scale: tuple[int, int]
    effective_threshold: float

    @property
    def width(self) -> float:
        """Upper less lower radius (Eq. 31), m: ``sqrt(10) - 1`` times the lower radius."""
        return self.radius[1] - self.radius[0]

    @property
    def mean(self) -> float:
        """Mean of both radii, m. Table 6 prints half the width in its place."""
        return sum(self.radius) / 2

    @property
    def standard_deviation(self) -> float:
        """Sample standard deviation of both radii, ``width / sqrt(2)``, m."""
        return abs(self.width) / math.sqrt(2)

    def geometric(self) -> tuple[float, float]:
        """Mean and standard deviation of ``sqrt(r_YL r_HP)`` over both radii (Eq. 18), m."""
        low, high = (math.sqrt(self.young_laplace_radius * r) for r in self.radius)
        return (low + high) / 2, abs(high - low) / math.sqrt(2)


def published_structure(
    permeability: float, threshold: float, convention: Convention, scaling: ScalingFactors | None = None
) -> PublishedStructure:
    """Pore structure by the published procedure (Palencia Sec. 3.3).

    Parameters
    ----------
    permeability : float
        m s-1 Pa-1, > 0.
    threshold : float
        Threshold pressure, Pa, > 0.
    convention : Convention
        Constants and options.
    scaling : ScalingFactors, optional
        Default the published rules with forward scaling.

    Returns
    -------
    PublishedStructure

    Raises
    ------
    ValueError
        If permeability or threshold pressure are not greater than 0.
    """
    for name, value in (("hydraulic permeability", permeability), ("threshold pressure", threshold)):
        if not 0 < value < math.inf:
            raise ValueError(f"{name}: must be greater than 0 (got {value})")
    scaling = scaling or ScalingFactors()
    c, litres = convention, permeability * _LITRES
    conductance = 8 * c.resistance * litres
    young_laplace = c.laplace / threshold * power_of_ten(scaling.young_laplace)
    unscaled_porosity = conductance / (young_laplace * young_laplace)
    power = -decimal_exponent(unscaled_porosity) - 1 if scaling.porosity is None else scaling.porosity
    porosity = unscaled_porosity * power_of_ten(power)
    first_radius = math.sqrt(conductance / porosity)
    first_number = porosity * c.area / (math.pi * young_laplace * young_laplace)
    exponent = decimal_exponent(first_number)
    lower, upper = scaling.number or tuple(d - exponent for d in scaling.decades)

    def hagen_poiseuille_radius(scale: int) -> float:
        """Eq. 22."""
        number = first_number * power_of_ten(scale)
        squared = conductance * c.area / (math.pi * number)
        if c.dropped_division:
            return math.sqrt(squared) * 1e15 * 1e-9  # m2 times 1e15, printed as nm
        return math.sqrt(squared * (1.0 if c.literal_equation_22 else power_of_ten(power))) / young_laplace

    shift = -power if c.literal_numbers else 0
    low, high = hagen_poiseuille_radius(lower), hagen_poiseuille_radius(upper)
    return PublishedStructure(
        young_laplace_radius=young_laplace,
        porosity=porosity,
        unscaled_porosity=unscaled_porosity,
        first_radius=first_radius,
        first_number=first_number,
        radius=(low, young_laplace) if c.dropped_division else (low, high),
        # Table 14 prints one number for both radii.
        number=(first_number, first_number)
        if c.dropped_division
        else (first_number * power_of_ten(lower + shift), first_number * power_of_ten(upper + shift)),
        porosity_scale=power,
        number_scale=(lower + shift, upper + shift),
        effective_threshold=threshold / power_of_ten(scaling.young_laplace),
    )


def weighted_moments(radii: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of both limits of the radius with weights (Palencia Sec. 3.5).

    Parameters
    ----------
    radii, weights : (2, n) float array
        Limits of the radius, and their weights, > 0: pore numbers, or contributions to the permeability.

    Returns
    -------
    mean, standard_deviation : (n,) float array
        In the unit of the radii.
    """
    fractions = weights / weights.sum(axis=0)
    mean = (fractions * radii).sum(axis=0)
    return mean, np.sqrt((fractions * np.square(radii - mean)).sum(axis=0))


#: Scaling factors that follow no published rule: two membranes of Table 8, all of Table 14.
EXCEPTIONS: Mapping[str, ScalingFactors] = {
    "PESm-5": ScalingFactors(decades=(12, 11)),
    "PESm-10": ScalingFactors(decades=(14, 13)),
    **{
        f"MPESm-{k}": ScalingFactors(
            young_laplace=-4 if k in (3, 9, 12) else -3,
            porosity=-6 if k in (3, 10) else -5,
            number=(-1, 0) if k in (4, 12) else (0, 0),
        )
        for k in range(1, 13)
    },
}


def scaling_of(membrane: str, preset: Preset) -> ScalingFactors:
    """Scaling factors of a membrane: those of the paper, else its rules, with backward scaling for ``table14``."""
    return EXCEPTIONS.get(membrane, ScalingFactors(young_laplace=-3) if preset == "table14" else ScalingFactors())
