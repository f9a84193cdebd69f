"""Parameters of the laws of a filter's life: deposition, species, erosion, operation, end of life and sieving."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BeforeValidator

from membrane_dask.config import Line, Model, parameter
from membrane_dask.errors import Problem
from membrane_dask.number_text import quantity_text
from membrane_dask.physics.networks.fouling import LONGEST_LIFE
from membrane_dask.physics.networks.fouling_laws import FoulingLaws, Sieving, Species
from membrane_dask.physics.networks.radius_distribution import EQUAL_RADII, RadiusSpread
from membrane_dask.quantities import Number, Quantity, list_as_tuple, number_or_quantity
from membrane_dask.studies.graded.physical_quantities import dimensionless, quantity_problems, reference_deposition
from membrane_dask.studies.graded.physical_units import filter_units

if TYPE_CHECKING:
    from membrane_dask.studies.graded.config import GradedStudy

#: Largest relative standard deviation of each distribution of radii, at which the smallest one is well above 0.
MAX_DEVIATION = {"normal": 0.3, "lognormal": 1.0, "uniform": 0.55}
#: Largest number of time steps of a filter's life.
MAX_STEPS = 100_000
#: Fraction of the first flux at which a life with conserving deposition ends by default.
_CONSERVING_END = 0.01


class SpeciesSettings(Model):
    """One of several foulants of the feed."""

    name: Line = parameter("", "name in the result; default its number", unit="")
    deposition: Number = parameter(..., "deposition coefficient of the species", gt=0, le=1)
    fraction: Number = parameter(..., "fraction of the feed's foulant volume; all of them sum to 1", gt=0, le=1)


class ErosionSettings(Model):
    """Erosion of the deposit by the flow."""

    rate: Number = parameter(0.0, "rate at which the radius grows per wall shear above the critical one", ge=0)
    critical_shear: Number = parameter(
        0.0, "wall shear stress q/(2 r^3) below which nothing is eroded", unit="P0", ge=0
    )
    returned: bool = parameter(
        True, "whether eroded foulant joins the stream at the outlet of its pore, or is lost", unit=""
    )

    def _unused(self) -> Iterator[Problem]:
        if not self.rate > 0:
            yield from self._changed(["critical_shear", "returned"], "needs erosion: set rate", switch="rate")


class OperationSettings(Model):
    """Operation of the filter at constant pressure or at constant flux."""

    mode: Literal["pressure", "flux"] = parameter("pressure", "what is constant over the life of the filter", unit="")
    flux: (
        Annotated[(float | Literal["initial"] | Quantity, *number_or_quantity("L m-2 h-1", "50 LMH", ("initial",)))]
        | None
    ) = parameter(None, "constant flux; initial is that of each clean filter at pressure 1", unit="1, or LMH, ...")
    pressure_limit: Annotated[(float | Quantity, *number_or_quantity("bar", "5 bar"))] | None = parameter(
        None, "transmembrane pressure that ends a life at constant flux", unit="P0, or bar, ..."
    )

    def _inconsistencies(self) -> Iterator[Problem]:
        if self.mode == "pressure":
            for name in ("flux", "pressure_limit"):
                if getattr(self, name) is not None:
                    yield Problem((name,), f"needs mode: flux (got {getattr(self, name)} with mode: pressure)")
            return
        for name in ("flux", "pressure_limit"):
            if getattr(self, name) is None:
                yield Problem((name,), "is needed with mode: flux")


class EndOfLifeSettings(Model):
    """Ends of a filter's life besides flux extinction and the pressure limit."""

    flux_fraction: Number | None = parameter(
        None,
        "fraction of the first flux at which a life at constant pressure ends; default 0 with the published deposition "
        f"law, {_CONSERVING_END} with the conserving one, whose flux never becomes 0",
        ge=0,
        lt=1,
    )
    time: Annotated[(float | Quantity, *number_or_quantity("h", "10 h"))] | None = parameter(
        None,
        "time at which a life ends; a dimensionless one is a multiple of `time_step`, one in hours is rounded to it",
        unit="1, or h, ...",
    )


class SievingSettings(Model):
    """Large particles that arrive one by one and block pores."""

    rate: Number = parameter(
        0.0, "expected number of particles per unit of throughput, or of time; 0: no particles", ge=0
    )
    arrivals: Literal["volume", "time"] = parameter(
        "volume", "whether particles arrive in proportion to the filtrate or at a constant rate", unit=""
    )
    particle_radius: Annotated[(float | Quantity, *number_or_quantity("um", "20 nm"))] | None = parameter(
        None, "mean radius of the particles, at most the thickness", unit="W, or nm, ..."
    )
    distribution: Literal["fixed", "normal", "lognormal", "uniform"] = parameter(
        "fixed", "distribution of their radii; normal and lognormal are truncated at three standard deviations", unit=""
    )
    deviation: Number = parameter(0.0, "relative standard deviation of their radii", ge=0, le=1)
    residual_conductance: Number = parameter(
        0.0, "factor of a pore's conductance for every particle that blocks it; with 0 the pore closes", ge=0, lt=1
    )

    @property
    def spread(self) -> RadiusSpread:
        """Variation of the radius from particle to particle."""
        return EQUAL_RADII if self.distribution == "fixed" else RadiusSpread(self.distribution, self.deviation)

    def _unused(self) -> Iterator[Problem]:
        if not self.rate > 0:
            names = ("particle_radius", "arrivals", "distribution", "residual_conductance")
            yield from self._changed(names, "needs particles: set rate", switch="rate")

    def _inconsistencies(self) -> Iterator[Problem]:
        if self.rate > 0 and self.particle_radius is None:
            yield Problem(("particle_radius",), f"is needed with rate > 0 (rate is {self.rate})")
        if self.distribution == "fixed":
            if self.deviation > 0:
                yield Problem(("deviation",), f"must be 0 with distribution: fixed (got {self.deviation})")
            return
        limit = MAX_DEVIATION[self.distribution]
        if not 0 < self.deviation <= limit:
            yield Problem(
                ("deviation",),
                f"must be greater than 0 and at most {limit} with distribution: {self.distribution} (got "
                f"{self.deviation})",
            )


SpeciesList = Annotated[tuple[SpeciesSettings, ...], BeforeValidator(list_as_tuple)]


def law_problems(study: GradedStudy) -> Iterator[Problem]:
    """Check the laws of a study against each other and against its other parameters."""
    unit_errors = list(quantity_problems(study))
    yield from unit_errors
    if unit_errors:
        return
    numbers = dimensionless(study)
    conserving = study.deposition_law == "conserving"
    if study.segments > 1 and not conserving:
        yield Problem(("segments",), f"needs deposition_law: conserving (got {study.segments} with published)")
    if study.segments > 1 and study.erosion.rate > 0:
        yield Problem(("segments",), f"must be 1 with erosion (got {study.segments})")
    yield from _species_problems(study)
    if numbers.particle_radius is not None and numbers.particle_radius > 1:
        message = f"must be at most 1, the thickness of the membrane (got {numbers.particle_radius:.6g})"
        yield Problem(("sieving", "particle_radius"), message)
    limit = numbers.pressure_limit
    if numbers.flux == "initial" and limit is not None and limit <= 1:
        message = f"must be greater than 1 with flux: initial, at which the pressure is 1 at first (got {limit:.6g})"
        yield Problem(("operation", "pressure_limit"), message)
    end = study.end_of_life
    if numbers.time is not None:
        steps = numbers.time / study.time_step
        if isinstance(end.time, Quantity) and steps < 1:
            message = f"is less than half a time step of {study.time_step:g} (got {end.time})"
            yield Problem(("end_of_life", "time"), message)
        elif steps > MAX_STEPS:
            yield Problem(
                ("end_of_life", "time"),
                f"must be at most {MAX_STEPS} time steps, {MAX_STEPS * study.time_step:g} (got {numbers.time:g})",
            )
        elif abs(steps - round(steps)) > 1e-9 * steps:
            yield Problem(
                ("end_of_life", "time"),
                f"must be a multiple of time_step = {study.time_step:g}, such as "
                f"{max(round(steps), 1) * study.time_step:g} (got {numbers.time:g})",
            )
    if end.flux_fraction and study.operation.mode == "flux":
        yield Problem(("end_of_life", "flux_fraction"), f"does not apply at constant flux (got {end.flux_fraction:g})")


def _species_problems(study: GradedStudy) -> Iterator[Problem]:
    if not study.species:
        return
    for name in ("deposition", "band_deposition"):
        if name in study.model_fields_set and getattr(study, name) is not None:
            yield Problem((name,), "cannot be given with species, which have deposition coefficients of their own")
    total = sum(species.fraction for species in study.species)
    if abs(total - 1) > 1e-9:
        yield Problem(("species",), f"fractions must sum to 1 (they sum to {total:.12g})")
    names = species_names(study.species)
    for i, name in enumerate(names):
        if name in names[:i]:
            yield Problem(("species", i, "name"), f"is used twice (got {name!r})")


def species_names(species: Sequence[SpeciesSettings]) -> list[str]:
    """Return the names of the species, the number of those without one."""
    return [one.name or str(i) for i, one in enumerate(species, 1)]


def fouling_laws(study: GradedStudy) -> FoulingLaws:
    """Return the laws of a study."""
    numbers = dimensionless(study)
    conserving, operation, end, sieving = (
        study.deposition_law == "conserving", study.operation, study.end_of_life, study.sieving,
    )  # fmt: skip
    fraction = end.flux_fraction
    if fraction is None:
        fraction = _CONSERVING_END if conserving and operation.mode == "pressure" else 0.0
    return FoulingLaws(
        conserving=conserving,
        segments=study.segments,
        species=tuple(Species(one.deposition, one.fraction) for one in study.species),
        erosion_rate=study.erosion.rate,
        critical_shear=study.erosion.critical_shear,
        erosion_returned=study.erosion.returned,
        flux=numbers.flux if operation.mode == "flux" else None,
        pressure_limit=math.inf if numbers.pressure_limit is None else numbers.pressure_limit,
        flux_fraction=fraction,
        end_time=None if numbers.time is None else round(numbers.time / study.time_step),
        sieving=Sieving(
            sieving.rate,
            sieving.arrivals,
            numbers.particle_radius or 0.0,
            sieving.spread,
            sieving.residual_conductance,
        ),
    )


def longest_life(laws: FoulingLaws, n_steps: int) -> int:
    """Return the largest number of steps of a life, ``n_steps`` where every foulant narrows pores as published."""
    if laws.end_time is not None:
        return laws.end_time
    published = not laws.conserving and laws.erosion_rate == 0 and laws.flux is None
    return n_steps if published else (n_steps + 1) * LONGEST_LIFE


def law_notes(study: GradedStudy, radii: Sequence[Sequence[float]], spread: RadiusSpread) -> list[str]:
    """Return what the laws of a study imply for its designs.

    Parameters
    ----------
    study : GradedStudy
    radii : sequence of sequence of float
        Radii of the bands of every design.
    spread : RadiusSpread
        Variation of the radii within a band.
    """
    notes = []
    numbers, units, end_time = dimensionless(study), filter_units(study), study.end_of_life.time
    if isinstance(end_time, Quantity) and units is not None and numbers.time is not None:
        time = quantity_text(float(units.hours(numbers.time, reference_deposition(study))), "h", digits=6)
        steps = round(numbers.time / study.time_step)
        notes.append(f"end_of_life.time {end_time} is rounded to {steps} time steps, {time}")
    at_constant_pressure = study.operation.mode == "pressure"
    if study.deposition_law == "conserving" and at_constant_pressure and study.end_of_life.flux_fraction is None:
        notes.append(f"a life ends at {_CONSERVING_END:.0%} of the first flux: no pore closes by adsorption alone")
    if study.sieving.rate > 0 and numbers.particle_radius is not None:
        low, high = (numbers.particle_radius * factor for factor in study.sieving.spread.range)
        narrowest = min(min(bands) for bands in radii) * spread.range[0]
        widest = max(bands[0] for bands in radii) * spread.range[1]
        if high <= narrowest:
            notes.append(
                f"no pore of the clean filter is narrower than {narrowest:g} membrane thicknesses: particles of radius "
                f"{high:g} membrane thicknesses pass until pores shrink below it"
            )
        elif low > widest:
            notes.append(f"every particle is caught at an inlet ({low:g} > {widest:g}, in membrane thicknesses)")
    return notes
