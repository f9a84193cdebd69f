"""Settings of the virtual bench: what a laboratory would measure on a volume."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator

from membrane_dask.config import Line, Model, parameter
from membrane_dask.errors import Problem
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.imaging.volume_faces import Faces
from membrane_dask.physics.porometry.capillary_law import CapillaryLaw
from membrane_dask.physics.porometry.gases import Gas
from membrane_dask.physics.porometry.wetting_liquids import wetting_liquid
from membrane_dask.quantities import LengthNm, Number, Pressure, Viscosity, WaterTemperature, Whole, as_tuple, quantity

#: Methods of the virtual bench, by the names of a porometry study.
BenchMethod = Literal[
    "capillary flow", "liquid displacement", "mercury", "water", "gas permeation", "rejection", "entry pressure"
]
METHODS: tuple[str, ...] = get_args(BenchMethod)
_Tension = Annotated[(float, *quantity("N m-1", "16 mN/m", 0.0, 0.5))]
_Density = Annotated[(float, *quantity("kg m-3", "1.4 g/mL"))]
_Pressures = Annotated[tuple[Pressure, ...], BeforeValidator(as_tuple)]


class DisplacementSettings(Model):
    """Liquid displacement."""

    interfacial_tension: _Tension = parameter(1.7e-3, "interfacial tension of the two liquids", unit="mN m-1, ...")
    viscosity: Viscosity = parameter(1e-3, "viscosity of the displacing liquid", unit="mPa s, ...")


class GasSettings(Model):
    """Gas permeation."""

    name: Line = parameter("N2", "gas: nitrogen, air, helium, argon, oxygen, carbon dioxide, or a formula", unit="")
    mean_pressures: _Pressures = parameter(
        (1.2e5, 1.6e5, 2e5, 2.8e5, 4e5), "absolute mean pressures, two or more", unit="bar, kPa, ..."
    )  # fmt: skip


class MercurySettings(Model):
    """Mercury intrusion."""

    faces: Faces = parameter(
        "inlet",
        "faces of the volume that mercury enters: inlet, outlet, both, or all six; from all a small volume is entered "
        "in too wide pores",
        unit="",
    )
    skeleton_density: _Density = parameter(1400.0, "density of the solid", unit="g/mL, ...")


class BenchRejectionSettings(Model):
    """Rejection of solutes."""

    radii: Annotated[tuple[LengthNm, LengthNm], BeforeValidator(as_tuple)] = parameter(
        (1.0, 20.0), "smallest and largest Stokes radius", unit="nm, ..."
    )
    number: Whole = parameter(14, "solutes, at equal ratios of their radii", ge=2, le=200)


class EntrySettings(Model):
    """Entry pressure of water."""

    contact_angle: Number | None = parameter(
        None, "contact angle of water; required by the method entry pressure", unit="degrees", gt=90, le=180
    )


class NoiseSettings(Model):
    """Errors of the instruments, in the tables only."""

    flow: Number = parameter(0.0, "standard deviation of flows and concentrations, relative", ge=0, le=0.2)
    pressure: Number = parameter(0.0, "standard deviation of pressures, relative", ge=0, le=0.2)
    seed: Whole = parameter(1, "seed of these errors", ge=0, lt=2**63)


class BenchSettings(Model):
    """Virtual bench: bubble point, wet and dry curves, mercury, water, gas and rejection of the volume."""

    enabled: bool = parameter(
        False,
        "compute what a laboratory would measure; methods with a flow need a worker with 185 bytes per pore voxel, or "
        "90 where the volume is divided into slabs",
        unit="",
    )
    methods: Annotated[tuple[BenchMethod, ...], BeforeValidator(as_tuple)] = parameter(
        ("capillary flow", "liquid displacement", "mercury", "water", "gas permeation", "rejection"),
        "methods; the bubble point comes with all of them; mercury and entry pressure need no flow, and are possible "
        "for volumes of any size",
        unit="",
    )
    connectivity: Literal[6, 26] = parameter(
        6, "neighbours of a voxel on the paths of menisci and mercury: across faces, or across edges and corners too"
    )
    radius_offset: Number = parameter(
        0.3,
        "added to the distance between the centres of pore and solid voxel: the least biased entry radius of tubes and "
        "packings",
        unit="voxel",
        ge=-0.5,
        le=0.5,
    )
    flow: Literal["network", "stokes"] = parameter(
        "network",
        "flow of the emptied pores: of the network with conductances from the Stokes flow of all pores, or one Stokes "
        "flow for each level",
        unit="",
    )
    levels: Literal["all"] | Whole = parameter(
        "all", "with flow: stokes, all levels of the radius, or a number of them, spread over the wet curve", unit=""
    )
    readings: Whole = parameter(
        60, "readings of each table, at equal ratios of the pressure, besides those at the steps", ge=5, le=1000
    )
    pressures: _Pressures | None = parameter(
        None,
        "pressures of the readings of capillary flow in place of their number; other methods are read where they fill "
        "the same pores",
        unit="bar, kPa, ...",
    )
    area: Annotated[(float, *quantity("m2", "1 cm2"))] = parameter(
        1e-4, "membrane area, which scales the flows: the cross-section of the volume is repeated", unit="cm2, m2, ..."
    )
    temperature: WaterTemperature = parameter(298.15, "temperature of all methods", unit="degC, K")
    liquid: Line = parameter("porefil", "wetting liquid of capillary flow", unit="")
    surface_tension: _Tension | None = parameter(
        None, "surface tension of the liquid; default by its name", unit="mN m-1, ..."
    )
    contact_angle: Number = parameter(0.0, "contact angle of the wetting liquids", unit="degrees", ge=0, lt=90)
    shape_factor: Number = parameter(1.0, "factor of the radii of capillary flow", gt=0, le=1)
    displacement: DisplacementSettings = parameter(DisplacementSettings(), "liquid displacement", unit="")
    gas: GasSettings = parameter(GasSettings(), "gas permeation", unit="")
    mercury: MercurySettings = parameter(MercurySettings(), "mercury intrusion", unit="")
    rejection: BenchRejectionSettings = parameter(BenchRejectionSettings(), "rejection of solutes", unit="")
    entry: EntrySettings = parameter(EntrySettings(), "entry pressure of water", unit="")
    noise: NoiseSettings = parameter(NoiseSettings(), "errors of the instruments", unit="")
    tables: bool = parameter(
        True, "write the tables of the methods as CSV files, which a porometry study reads", unit=""
    )

    @property
    def computes_flow(self) -> bool:
        """Whether a method needs the flow; the bubble point and mercury follow from the access radii alone."""
        return self.enabled and not set(self.methods) <= {"mercury", "entry pressure"}

    @property
    def capillary_law(self) -> CapillaryLaw:
        """Law of the wetting liquid against gas."""
        tension = self.surface_tension
        if tension is None:
            tension = wetting_liquid(self.liquid, self.temperature).surface_tension
        return CapillaryLaw(tension, contact_angle=self.contact_angle, shape_factor=self.shape_factor)

    @property
    def displacement_law(self) -> CapillaryLaw:
        """Law of the displaced liquid against the other."""
        return CapillaryLaw(self.displacement.interfacial_tension, contact_angle=self.contact_angle)

    def _unused(self) -> Iterator[Problem]:
        if not self.enabled:
            reason = "needs the bench: set bench.enabled: true"
            yield from self._changed(type(self).model_fields, reason, switch="enabled")

    def _inconsistencies(self) -> Iterator[Problem]:
        if not self.enabled:
            return
        if not self.methods or len(set(self.methods)) < len(self.methods):
            yield Problem(("methods",), f"at least one method, each once (got {list(self.methods)})")
        if self.surface_tension is None:
            yield from self._problem("liquid", lambda: wetting_liquid(self.liquid, self.temperature))
        yield from self._problem("gas", lambda: Gas.named(self.gas.name), "name")
        pressures = self.gas.mean_pressures
        if len(set(pressures)) < 2:
            message = "two different pressures or more are needed for a slope and an intercept"
            yield Problem(("gas", "mean_pressures"), f"{message} (got {[p / 1e5 for p in pressures]} bar)")
        low, high = map(float, self.rejection.radii)
        if not low < high:
            message = f"must be two rising radii (got {low:g} nm and {high:g} nm)"
            yield Problem(("rejection", "radii"), message)
        if self.levels != "all" and self.flow == "network":
            yield Problem(("levels",), f"needs flow: stokes; a network computes all levels (got {self.levels})")
        if self.levels != "all" and self.levels < 2:
            yield Problem(("levels",), f"must be all, or 2 or more (got {self.levels})")
        if self.pressures is not None and len(set(self.pressures)) < 3:
            yield Problem(
                ("pressures",), f"three different pressures or more are needed (got {len(set(self.pressures))})"
            )
        if "entry pressure" in self.methods and self.entry.contact_angle is None:
            yield Problem(("entry", "contact_angle"), "required by the method entry pressure, above 90 degrees")

    @staticmethod
    def _problem(field: str, check: Any, *more: str) -> Iterator[Problem]:
        try:
            check()
        except PhysicsError as error:
            yield Problem((field, *more), str(error))
