"""Parameters of a graded study."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import PlainSerializer, SerializerFunctionWrapHandler, model_serializer, model_validator

from membrane_dask.config import BaseStudy, InputNetwork, Model, SourceContent, parameter
from membrane_dask.errors import Problem
from membrane_dask.quantities import (
    Number,
    Numbers,
    Pressure,
    Viscosity,
    Whole,
    numbers_below,
    numbers_up_to,
    quantity,
)
from membrane_dask.studies.graded.calibration_settings import CalibrationSettings, calibration_problems
from membrane_dask.studies.graded.design_checks import design_inconsistencies
from membrane_dask.studies.graded.design_metrics import ends_at_threshold
from membrane_dask.studies.graded.design_settings import OptimumSettings
from membrane_dask.studies.graded.law_settings import (
    MAX_DEVIATION,
    MAX_STEPS,
    EndOfLifeSettings,
    ErosionSettings,
    OperationSettings,
    SievingSettings,
    SpeciesList,
    law_problems,
)
from membrane_dask.studies.graded.physical_units import unit_problems
from membrane_dask.studies.network_paths import is_source, network_files

#: Numbers of which a single one is written without a list.
_OneOrMore = PlainSerializer(lambda values: values[0] if len(values) == 1 else list(values))

#: Parameters from which networks are drawn; none of them is given together with `input`.
_DRAWING = (
    "bands", "radius", "radius_spread", "gradient", "porosity", "porosity_tolerance", "l_min", "l_max", "band_l_max",
)  # fmt: skip


class RadiusSpreadSettings(Model):
    """Variation of pore radii within a band around the radius of the band."""

    distribution: Literal["normal", "lognormal", "uniform"] = parameter(
        "normal", "distribution of the radii; normal and lognormal are truncated at three standard deviations", unit=""
    )
    deviation: Number = parameter(0.0, "relative standard deviation; with 0 all radii of a band are equal", ge=0, le=1)

    def _unused(self) -> Iterator[Problem]:
        if not self.deviation > 0:
            yield from self._changed(["distribution"], "needs radii that differ: set deviation", switch="deviation")

    def _inconsistencies(self) -> Iterator[Problem]:
        limit = MAX_DEVIATION[self.distribution]
        if self.deviation > limit:
            message = f"must be at most {limit} for {self.distribution} radii (got {self.deviation})"
            yield Problem(("deviation",), message)


class GradedStudy(BaseStudy):
    """Ensembles of random pore networks with a pore-radius gradient, fouled until flux extinction (Gu)."""

    results_version: ClassVar[int] = 2
    essential: ClassVar[tuple[str, ...]] = (
        "l_max", "gradient", "realizations", "bands", "radius",
        "porosity", "deposition", "flux_threshold", "seed",
    )  # fmt: skip
    source_content: ClassVar[SourceContent] = "network"

    kind: Literal["graded"] = "graded"
    input: InputNetwork | None = parameter(
        None,
        "network that is simulated instead of random ones: a table of pores (.csv), a file of OpenPNM (.npz, .csv), "
        "the prefix of Statoil's files, or a characterized run",
        unit="",
    )
    design: Literal["grid", "optimum"] = parameter(
        "grid",
        "grid: all realizations at every gradient; optimum: add networks in rounds until the best gradient is known, "
        "or designs until the best one is",
        unit="",
    )
    l_max: Numbers = parameter((0.2,), "largest pore length", unit="W", source="Gu Table I")
    band_l_max: Numbers | None = parameter(
        None,
        "largest pore length of each band instead of `l_max`; between two bands the smaller one applies",
        unit="W",
    )
    gradient: Numbers = parameter(
        (0.0, 1e-3, 2e-3, 3e-3, 4e-3),
        "pore-radius gradient s: decrease of the radius from one band to the next; negative where pores widen with "
        "depth",
        unit="W",
        source="Gu Eq. 1",
    )
    realizations: Whole = parameter(
        20, "random networks per design point; with design: optimum, the largest number", ge=1, le=10_000_000
    )
    optimum: OptimumSettings = parameter(OptimumSettings(), "objective and stopping rule with design: optimum", unit="")
    bands: Whole = parameter(4, "number m of bands across the membrane", source="Gu Table I", ge=1, le=100)
    radius: numbers_up_to(0.1) = parameter(  # type: ignore[valid-type]
        (0.01,),
        "mean pore radius r_0, or one radius per band, to which the gradient is added",
        unit="W",
        source="Gu Table I",
    )
    radius_spread: RadiusSpreadSettings = parameter(
        RadiusSpreadSettings(), "variation of the radii within a band", unit=""
    )
    l_min: Number = parameter(0.06, "smallest pore length", unit="W", source="Gu Table I", ge=0, lt=1)
    porosity: Annotated[numbers_below(1), _OneOrMore] = parameter(  # type: ignore[valid-type]
        (0.6,), "porosity of the clean filter, in all bands or in each", source="Gu Eq. 5"
    )
    porosity_tolerance: Number = parameter(
        0.005, "relative tolerance of the band porosities", source="Gu Sec. II", gt=0, le=0.5
    )
    deposition: numbers_up_to(1) = parameter(  # type: ignore[valid-type]
        (5e-7,), "deposition coefficient lambda; several are simulated on the same networks", source="Gu Table I"
    )
    band_deposition: numbers_up_to(1e6) | None = parameter(  # type: ignore[valid-type]
        None, "deposition coefficient of each band relative to `deposition`; default 1", source="Gu Sec. VII"
    )
    deposition_law: Literal["published", "conserving"] = parameter(
        "published",
        "published: a pore narrows at the rate of the concentration at its inlet; conserving: by the foulant that the "
        "stream loses in it",
        unit="",
        source="Gu Eq. 25",
    )
    segments: Whole = parameter(
        1, "equal pieces of a pore with radii of their own; more than 1 with deposition_law: conserving", ge=1, le=64
    )
    species: SpeciesList = parameter(
        (),
        "several foulants of the feed instead of `deposition`: [{name: protein, deposition: 1e-7, fraction: 0.5}, ...]",
        unit="",
    )
    erosion: ErosionSettings = parameter(ErosionSettings(), "erosion of the deposit by the flow", unit="")
    sieving: SievingSettings = parameter(SievingSettings(), "large particles that block pores", unit="")
    operation: OperationSettings = parameter(OperationSettings(), "constant pressure or constant flux", unit="")
    end_of_life: EndOfLifeSettings = parameter(EndOfLifeSettings(), "further ends of a filter's life", unit="")
    time_step: Number = parameter(2.5e-4, "time step dt of the integration", source="Gu Sec. VI", gt=0, le=0.1)
    integrator: Literal["euler", "adams-bashforth"] = parameter(
        "euler",
        "time integration of the radii: euler is first order as published, adams-bashforth second order",
        unit="",
        source="Gu Sec. VI",
    )
    quadrature: Literal["trapezoid", "left"] = parameter(
        "trapezoid", "rule for the integrals over time; left uses the flux at the start of each step", unit=""
    )
    flux_threshold: Number = parameter(2e-6, "flux at the end of life of the filter", source="Gu Sec. VI", gt=0)
    solver_tolerance: Number = parameter(
        1e-6, "relative error of the pressures in the norm of dissipation", ge=1e-12, le=1e-4
    )
    thickness: Annotated[(float, *quantity("m", "100 um"))] | None = parameter(
        None, "membrane thickness W; with the next three, results in physical units", unit="um, mm, ..."
    )
    pressure: Pressure | None = parameter(None, "pressure difference across the membrane", unit="bar, kPa, ...")
    viscosity: Viscosity | None = parameter(None, "viscosity of the feed", unit="mPa s, ...")
    foulant_volume_fraction: Number | None = parameter(
        None, "volume of the deposit that the foulant of the feed forms, per volume of feed", gt=0, lt=1
    )
    calibrate: CalibrationSettings | None = parameter(
        None,
        "fit the deposition coefficient and the foulant volume fraction to a flux decline of the bench, instead of "
        "simulating a design",
        unit="",
    )

    @model_validator(mode="before")
    @classmethod
    def _with_longest(cls, data: Any) -> Any:
        """Fill in `l_max` where the lengths are given by band: the design point has their largest one."""
        if isinstance(data, dict) and data.get("band_l_max") is not None and data.get("l_max") is None:
            lengths = data["band_l_max"]
            if isinstance(lengths, (list, tuple)) and lengths and {type(x) for x in lengths} <= {int, float}:
                return data | {"l_max": max(lengths)}
        return data

    @model_serializer(mode="wrap")
    def _without_replaced(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out the parameters that others replace, so that a study that was written is read again."""
        settings: dict[str, Any] = handler(self)
        replaced: set[str] = set()
        if self.input is not None:
            replaced |= {*_DRAWING, *({"realizations"} - self.model_fields_set)}
        if self.species:
            replaced |= {"deposition", "band_deposition"}
        return {name: value for name, value in settings.items() if name not in replaced}

    def inputs(self) -> dict[str, Path]:
        """Files of the network, unless it is that of a run, and the table of a calibration."""
        network = {} if self.input is None or is_source(self.input) else network_files(self.input)
        return network if self.calibrate is None else {**network, "calibrate.input": self.calibrate.input}

    def with_inputs(self, paths: Mapping[str, Path]) -> GradedStudy:
        """The study with other paths: of its network, whose further files are in the same folder, and of its table."""
        update: dict[str, Any] = {"input": paths["input"]} if "input" in paths else {}
        if self.calibrate is not None and "calibrate.input" in paths:
            update["calibrate"] = self.calibrate.model_copy(update={"input": paths["calibrate.input"]})
        return self.model_copy(update=update)

    def sources(self) -> dict[str, Path]:
        """Run, or study, whose networks are simulated."""
        return {"input": self.input} if self.input is not None and is_source(self.input) else {}

    def identity(self) -> str:
        """Digest of all that decides the result; every file of the network enters by its content."""
        paths = self.inputs().items()
        further = [self._digest("input", path) for name, path in paths if name not in ("input", "calibrate.input")]
        digest = super().identity()
        return hashlib.sha256(" ".join([digest, *further]).encode()).hexdigest() if further else digest

    def _inconsistencies(self) -> Iterator[Problem]:
        yield from super()._inconsistencies()
        for name in ("l_max", "gradient", "deposition"):
            values = getattr(self, name)
            for i, value in enumerate(values):
                if value in values[:i]:
                    yield Problem((name, i), f"is listed twice (got {value})")
        if self.input is not None:
            yield from self._input_inconsistencies()
            return
        yield from self._length_inconsistencies("band_l_max" if self.band_l_max else "l_max")
        for name in ("radius", "band_deposition", "porosity"):
            values = getattr(self, name) or (1.0,)
            if len(values) not in (1, self.bands):
                message = f"must have one value, or one for each of the {self.bands} bands (got {len(values)})"
                yield Problem((name,), message)
                return
        yield from calibration_problems(self) if self.calibrate is not None else unit_problems(self)
        yield from law_problems(self)
        if self.searches_designs:
            yield from design_inconsistencies(self)
            return
        if self.design == "optimum":
            yield from self._search_inconsistencies()
        yield from self._radius_inconsistencies()

    def _unused(self) -> Iterator[Problem]:
        """Settings of a search, or of a flux threshold, that the study does not have."""
        section, optimum = "optimum", self.optimum
        if self.design == "grid":
            reason = "needs a search: set design: optimum"
            yield from optimum._changed(type(optimum).model_fields, reason, section)
        elif optimum.searches_grid:
            reason = "needs a search of designs: set optimum.parameters other than gradient"
            yield from optimum._changed(["evaluations"], reason, section)
        else:
            reason = "needs a search of the listed gradients: set neither optimum.parameters nor optimum.front"
            yield from optimum._changed(["interval", "round"], reason, section)
        if self.calibrate is not None:
            reason = "calibrate: computes no metrics of a life: leave calibrate out"
            yield from self._changed(["flux_threshold", "quadrature"], reason)
        elif self.operation.mode == "flux":
            yield from self._changed(["flux_threshold"], "has no effect at constant flux: set operation.mode: pressure")

    def _input_inconsistencies(self) -> Iterator[Problem]:
        """Check that nothing else determines the network."""
        assert self.input is not None
        for name in _DRAWING:
            if name in self.model_fields_set:
                yield Problem((name,), "random networks are drawn with it, but input gives the network; leave it out")
        if self.design == "optimum":
            yield Problem(("design",), "optimum draws networks, but input gives the network; use grid")
        if self.calibrate is not None and not is_source(self.input):
            names = [path.name for path in network_files(self.input).values()]
            if self.calibrate.input.name in names:
                message = "a file of the network has the same name, but a run keeps copies of both; rename one"
                yield Problem(("calibrate", "input"), f"{message} (got {self.calibrate.input.name!r})")
        yield from calibration_problems(self) if self.calibrate is not None else unit_problems(self)
        yield from law_problems(self)

    def _length_inconsistencies(self, name: Literal["l_max", "band_l_max"]) -> Iterator[Problem]:
        """Check the largest pore lengths of the design points, or of the bands."""
        values = getattr(self, name)
        for i, value in enumerate(values):
            if value > min(1 / self.bands, 0.5):
                reason = "a pore crosses at most one band boundary" if self.bands > 2 else "no pore meets both faces"
                limit = f"1/bands = {1 / self.bands:.6g}" if self.bands > 2 else "0.5"
                yield Problem((name, i), f"must be at most {limit}, so that {reason} (got {value})")
            if value <= self.l_min:
                yield Problem((name, i), f"must be greater than l_min = {self.l_min} (got {value})")
        if name == "band_l_max" and len(values) != self.bands:
            yield Problem((name,), f"must have one value for each of the {self.bands} bands (got {len(values)})")
        if name == "band_l_max" and self.l_max != (max(values),):
            yield Problem(
                ("l_max",),
                f"is given by band_l_max; leave it out, or give its largest value {max(values)} (got {self.l_max})",
            )

    @property
    def searches_designs(self) -> bool:
        """Whether the study searches designs within a box of parameters."""
        return self.design == "optimum" and not self.optimum.searches_grid

    def _search_inconsistencies(self) -> Iterator[Problem]:
        """Check what the search for the best gradient of the list needs."""
        parameters = self.optimum.parameters
        ends = (min(self.gradient), max(self.gradient))
        if parameters and parameters.gradient and parameters.gradient.range != ends:
            message = (
                f"the gradients of `gradient` are compared, which span {list(ends)}; list others there, or give this "
                f"range (got {list(parameters.gradient.range)})"
            )
            yield Problem(("optimum", "parameters", "gradient", "range"), message)
        if self.bands == 1:
            yield Problem(("bands",), "with one band filters of all gradients are the same: use design: grid (got 1)")
        if len(self.gradient) < 3:
            yield Problem(("gradient",), f"design: optimum needs at least 3 gradients (got {len(self.gradient)})")
        if self.operation.mode == "flux" and ends_at_threshold(self.optimum.metric):
            message = f"{self.optimum.metric} needs operation.mode: pressure (mode is flux)"
            yield Problem(("optimum", "metric"), message)
        if len(self.deposition) > 1:
            yield Problem(
                ("deposition",),
                f"design: optimum needs a single coefficient (got {len(self.deposition)}); run one study for each",
            )
        if self.realizations < 2 * self.optimum.round:
            yield Problem(
                ("realizations",),
                f"design: optimum needs at least two rounds of {self.optimum.round} (got {self.realizations})",
            )

    def _radius_inconsistencies(self) -> Iterator[Problem]:
        """Check that every band has a positive radius, and that the time step suits the radii."""
        center = (self.bands - 1) / 2
        radii = self.radius * self.bands if len(self.radius) == 1 else self.radius
        offsets = [center - k for k in range(self.bands)]
        for i, value in enumerate(self.gradient):
            if min(r + value * offset for r, offset in zip(radii, offsets, strict=True)) <= 0:
                sign = 1 if value > 0 else -1
                limit = sign * min(r / abs(o) for r, o in zip(radii, offsets, strict=True) if sign * o < 0)
                relation = "less" if value > 0 else "greater"
                yield Problem(
                    ("gradient", i),
                    f"must be {relation} than {limit:.6g}, where the radius of a band becomes 0 (got {value})",
                )
        gradients = (0.0, min(self.gradient), max(self.gradient))
        extremes = [r + s * offset for r, offset in zip(radii, offsets, strict=True) for s in gradients]
        fastest = max(self.band_deposition or (1.0,))
        n_steps = max(extremes) / min(self.band_deposition or (1.0,)) / self.time_step
        if n_steps > MAX_STEPS:
            yield Problem(
                ("time_step",),
                f"too small: the life of a filter would take {n_steps:.3g} steps, at most {MAX_STEPS} are allowed "
                f"(got {self.time_step})",
            )
        elif 0 < min(extremes) < 2 * self.time_step * fastest:
            yield Problem(
                ("time_step",),
                f"too large: the narrowest pores, of radius {min(extremes):.3g}, must take at least two steps to "
                f"close; at most {min(extremes) / 2 / fastest:.3g} (got {self.time_step})",
            )
