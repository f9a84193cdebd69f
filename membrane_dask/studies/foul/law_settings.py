"""Parameters of the foulant, the operation, the particles and the end of a structure's life."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from membrane_dask.config import Line, Model, parameter
from membrane_dask.errors import Problem
from membrane_dask.quantities import Diffusivity, Duration, Number, WallRate, list_as_tuple, quantity

ParticleSize = Annotated[(float, *quantity("nm", "10 nm", rounded=False))]
_FLUX, _PRESSURE = quantity("m s-1", "50 LMH", rounded=False), quantity("Pa", "5 bar", rounded=False)


def _initial_or_flux(value: object) -> float | str:
    """``initial``, or a flux in m/s."""
    return value if value == "initial" and isinstance(value, str) else float(_FLUX[0].func(value))


def _pressure_or_multiple(value: object) -> tuple[float, str]:
    """A pressure in Pa, or a multiple of the pressure of the study."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if not value > 0:
            raise ValueError(f"must be greater than 0 (got {value})")
        return float(value), ""
    return float(_PRESSURE[0].func(value)), "Pa"


FluxOrInitial = Annotated[
    float | Literal["initial"],
    BeforeValidator(_initial_or_flux),
    PlainSerializer(lambda value: value if isinstance(value, str) else f"{value!r} m s-1"),
    WithJsonSchema({"type": "string", "examples": ["initial", "50 LMH"]}),
]
PressureOrMultiple = Annotated[
    tuple[float, str],
    BeforeValidator(_pressure_or_multiple),
    PlainSerializer(lambda value: f"{value[0]!r} Pa" if value[1] else value[0]),
    WithJsonSchema({"type": ["string", "number"], "examples": ["5 bar", 5]}),
]
#: Largest relative standard deviation of each distribution of radii, at which the smallest one is well above 0.
_MAX_DEVIATION = {"normal": 0.3, "lognormal": 1.0, "uniform": 0.55}


class FoulantSettings(Model):
    """What the pore walls take up."""

    wall_rate: WallRate | None = parameter(
        None,
        "uptake by a wall per area and concentration; this or damkohler_number, unless species have their own",
        unit="m/s",
    )
    damkohler_number: Number | None = parameter(
        None, "wall rate times wall area over the clean flow, of the first replicate; gives the wall rate", gt=0, le=1e6
    )
    diffusivity: Diffusivity | None = parameter(
        None, "of the foulant in the feed; without it, or a diameter, diffusion to the wall is no resistance",
        unit="m2/s",
    )  # fmt: skip
    diameter: ParticleSize | None = parameter(
        None, "diameter of the foulant, which gives its diffusivity (Stokes-Einstein)", unit="nm, ..."
    )

    def _inconsistencies(self) -> Iterator[Problem]:
        if self.diffusivity is not None and self.diameter is not None:
            yield Problem(("diameter",), "gives the diffusivity, which is set as well; leave out one of the two")
        if self.wall_rate is not None and self.damkohler_number is not None:
            message = "gives wall_rate, which is set as well; leave out foulant.damkohler_number or foulant.wall_rate"
            yield Problem(("damkohler_number",), message)


class FoulantSpecies(Model):
    """One of several foulants of the feed."""

    name: Line = parameter("", "name in the result; default its number", unit="")
    wall_rate: WallRate = parameter(..., "uptake by a wall per area and concentration", unit="m/s")
    diffusivity: Diffusivity | None = parameter(
        None, "diffusivity in the feed; without it diffusion to the wall is no resistance", unit="m2/s"
    )
    fraction: Number = parameter(..., "fraction of the feed's foulant volume; all of them sum to 1", gt=0, le=1)


SpeciesList = Annotated[tuple[FoulantSpecies, ...], BeforeValidator(list_as_tuple)]


class OperationSettings(Model):
    """Operation at constant pressure or at constant flux."""

    mode: Literal["pressure", "flux"] = parameter("pressure", "what is constant over the life", unit="")
    flux: FluxOrInitial | None = parameter(
        None, "constant flux, for example 50 LMH; initial is that of each clean structure at the pressure", unit="LMH"
    )
    pressure_limit: PressureOrMultiple | None = parameter(
        None,
        "transmembrane pressure that ends a life at constant flux: a pressure, or a multiple of the study's pressure",
        unit="bar, or 1",
    )

    def limit_over(self, pressure: float) -> float:
        """Pressure limit over a pressure in Pa; infinite without a limit."""
        if self.pressure_limit is None:
            return float("inf")
        value, unit = self.pressure_limit
        return value / pressure if unit else value

    def _inconsistencies(self) -> Iterator[Problem]:
        for name in ("flux", "pressure_limit"):
            value = getattr(self, name)
            if self.mode == "pressure" and value is not None:
                yield Problem((name,), "needs mode: flux (mode is pressure)")
            if self.mode == "flux" and value is None:
                yield Problem((name,), "is needed with mode: flux")


class EndOfLifeSettings(Model):
    """Ends of a life besides the pressure limit."""

    flux_fraction: Number | None = parameter(
        None, "fraction of the first flux at which a life at constant pressure ends; default 0.1", gt=0, lt=1
    )
    time: Duration | None = parameter(None, "time at which a life ends", unit="h, min or hh:mm:ss")


def _rate_or_zero(unit: str, example: str) -> Any:
    """Annotations for a quantity that may be 0, with or without its unit."""
    read, serializer, schema = quantity(unit, example, low=-1.0, rounded=False)

    def read_or_zero(value: object) -> float:
        number = 0.0 if value == 0 and not isinstance(value, (bool, str)) else float(read.func(value))
        if number < 0:
            raise ValueError(f"must be at least 0 (got {value!r})")
        return number

    return BeforeValidator(read_or_zero), serializer, schema


class ErosionSettings(Model):
    """Erosion of the deposit by the flow."""

    rate: Annotated[(float, *_rate_or_zero("m s-1 Pa-1", "1e-12 m s-1 Pa-1"))] = parameter(
        0.0, "rate at which a deposit loses thickness, per wall shear above the critical one", unit="m s-1 Pa-1"
    )
    critical_shear: Annotated[(float, *_rate_or_zero("Pa", "1 Pa"))] = parameter(
        0.0, "wall shear stress below which nothing is eroded", unit="Pa"
    )
    returned: bool = parameter(
        True, "whether eroded foulant joins the stream (of a network, at the outlet of its pore), or is lost", unit=""
    )

    def _unused(self) -> Iterator[Problem]:
        if not self.rate > 0:
            yield from self._changed(["critical_shear", "returned"], "needs erosion: set rate", switch="rate")


class SievingSettings(Model):
    """Large particles that arrive one by one and block throats."""

    rate: Number = parameter(
        0.0,
        "particles per mL of feed (arrivals: volume), or per second and square metre (arrivals: time); 0: none",
        unit="mL-1, or s-1 m-2",
        ge=0,
    )
    arrivals: Literal["volume", "time"] = parameter(
        "volume", "whether particles arrive in proportion to the filtrate or at a constant rate", unit=""
    )
    particle_radius: ParticleSize | None = parameter(None, "mean radius of the particles", unit="nm, ...")
    distribution: Literal["fixed", "normal", "lognormal", "uniform"] = parameter(
        "fixed", "distribution of their radii; normal and lognormal are truncated at three standard deviations", unit=""
    )
    deviation: Number = parameter(0.0, "relative standard deviation of their radii", ge=0, le=1)
    residual_conductance: Number = parameter(
        0.0, "factor of a throat's conductance for every particle that blocks it; with 0 it closes", ge=0, lt=1
    )

    def _unused(self) -> Iterator[Problem]:
        if not self.rate > 0:
            names = ("particle_radius", "arrivals", "distribution", "residual_conductance")
            yield from self._changed(names, "needs particles: set rate", switch="rate")

    def _inconsistencies(self) -> Iterator[Problem]:
        if self.rate > 0 and self.particle_radius is None:
            yield Problem(("particle_radius",), f"is needed with rate > 0 (rate is {self.rate:g})")
        if self.distribution == "fixed":
            if self.deviation > 0:
                yield Problem(("deviation",), f"must be 0 with distribution: fixed (got {self.deviation})")
            return
        limit = _MAX_DEVIATION[self.distribution]
        if not 0 < self.deviation <= limit:
            message = f"must be greater than 0 and at most {limit} with distribution: {self.distribution}"
            yield Problem(("deviation",), f"{message} (got {self.deviation})")
