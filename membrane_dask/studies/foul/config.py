"""Settings of a foul study."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from membrane_dask.config import BaseStudy, InputNetwork, InputVolume, Model, SourceContent, parameter
from membrane_dask.errors import Problem, StudyError
from membrane_dask.quantities import Number, Numbers, Pressure, Temperature, Viscosity, Whole, quantity
from membrane_dask.studies.foul.law_settings import (
    EndOfLifeSettings,
    ErosionSettings,
    FoulantSettings,
    OperationSettings,
    SievingSettings,
    SpeciesList,
)
from membrane_dask.studies.network_paths import TubeRadius, is_network, network_files
from membrane_dask.studies.volume_flow.flow_settings import FlowSettings
from membrane_dask.studies.volume_settings import VolumeStudy, stokes_settings

#: Settings of volumes and their flow, which a network from files does not have.
_OF_VOLUMES = (
    "voxel_size", "pores", "axis", "dataset", "raw", "missing_chunks", "databar", "grey", "connectivity", "network",
    "hydraulics", "flow_run",
)  # fmt: skip
#: Exponent of tubes: a conductance is in proportion to the fourth power of the radius.
_TUBE_EXPONENT = 4


#: Relative difference of equal numbers in different units.
_UNIT_ROUNDING = 1e-12


def _is_equal(own: Any, theirs: Any) -> bool:
    """Whether two settings are equal, up to the rounding of their units."""
    if isinstance(own, Model) and isinstance(theirs, Model):
        return _is_equal(own.model_dump(), theirs.model_dump())
    if isinstance(own, Mapping) and isinstance(theirs, Mapping):
        return own.keys() == theirs.keys() and all(_is_equal(own[key], theirs[key]) for key in own)
    if isinstance(own, (tuple, list)) and isinstance(theirs, (tuple, list)):
        return len(own) == len(theirs) and all(map(_is_equal, own, theirs))
    if isinstance(own, float) and isinstance(theirs, float):
        return math.isclose(own, theirs, rel_tol=_UNIT_ROUNDING)
    return bool(own == theirs)


class HydraulicsSettings(Model):
    """Conductances of the throats."""

    conductance: Literal["stokes", "mobility", "series", "inscribed", "equivalent", "as given"] = parameter(
        "stokes",
        "stokes: flow and pressures of the Stokes flow; mobility: the same of a faster flow that has 1.1 to 1.4 times "
        "the permeability; series, inscribed, equivalent: formulas, whose throat flows are a fifth to a third off; of "
        "a pore network: tubes of the radius of the file (as given, the default), of the inscribed circle, or of a "
        "circle of equal area (equivalent)",
        unit="",
    )
    tolerance: Number = parameter(
        0.01, "difference between the bounds of the Stokes permeability, relative to the lower bound", ge=1e-4, le=0.2
    )
    lateral_boundary: Literal["symmetric", "no_slip"] = parameter(
        "symmetric", "boundary condition on the faces parallel to the flow", unit=""
    )
    wall_model: Literal["smooth", "staircase"] = parameter(
        "smooth", "surface of the solid: smooth and sampled by the voxels, or the faces of the voxels", unit=""
    )
    slab_thickness: Whole | None = parameter(
        None,
        "planes per slab of the domain decomposition of the Stokes flow; default: 128 for more than 20 million pore "
        "voxels, else the whole depth",
        unit="voxel",
        ge=16,
    )

    def _unused(self) -> Iterator[Problem]:
        if self.conductance != "stokes":
            yield from self._changed(["slab_thickness"], "needs the Stokes flow: set hydraulics.conductance: stokes")


class FoulStudy(VolumeStudy):
    """Life of filters of a real structure: flux, filtrate and time until its throats have closed."""

    kind: Literal["foul"] = "foul"
    input: InputNetwork = Field(
        description="volume (OME-Zarr, TIFF stack, folder of images, .npy, .npz, HDF5, .mat, NRRD, VTK image, .raw), "
        "depth first unless axis says otherwise; or a run of a reconstruct study, or such a study, which is run first; "
        "or a characterize study or run, for its volume by its settings; or a pore network: a table of pores (.csv), a "
        "file of OpenPNM (.npz, .csv) or the prefix of Statoil's files",
        json_schema_extra={"unit": "", "example": "volume.tif"},
    )
    thickness: Annotated[(float, *quantity("m", "100 um"))] | None = parameter(
        None, "thickness of a pore network whose file has no unit of length", unit="um, mm, ..."
    )
    hydraulics: HydraulicsSettings = parameter(HydraulicsSettings(), "conductances of the throats", unit="")
    flow_run: InputVolume | None = parameter(
        None,
        "run of a characterize study of the same volumes, or such a study: the Stokes flow of its virtual bench is not "
        "computed again where its settings are those of hydraulics",
        unit="",
    )
    pressure: Pressure = parameter(
        1e5, "pressure difference across the structure; at constant flux the reference", unit="bar, kPa, ..."
    )
    operation: OperationSettings = parameter(OperationSettings(), "constant pressure or constant flux", unit="")
    viscosity: Viscosity = parameter(
        0.89e-3, "viscosity of the feed; default that of water at 25 degrees Celsius", unit="mPa s, ..."
    )
    temperature: Temperature = parameter(298.15, "temperature of the feed; for foulant.diameter", unit="degC, K")
    foulant: FoulantSettings = parameter(FoulantSettings(), "uptake of the foulant by the pore walls", unit="")
    foulant_volume_fraction: Number = parameter(
        1e-4, "volume of the deposit that the foulant of the feed forms, per volume of feed", gt=0, lt=1
    )
    deposition_law: Literal["conserving", "published"] = parameter(
        "conserving", "conserving: what the stream loses is deposited; published needs pores of a single radius",
        unit="",
    )  # fmt: skip
    narrowing_exponent: Literal[3, 4] = parameter(
        3,
        "a throat of closing radius r under a deposit d has (1 - d/r) to this power of its conductance: 3 for the "
        "constrictions of porous media, 4 for straight tubes",
    )
    species: SpeciesList = parameter(
        (),
        "several foulants of the feed instead of foulant: [{name: protein, wall_rate: 1e-7 m/s, fraction: 0.5}, ...]",
        unit="",
    )
    erosion: ErosionSettings = parameter(ErosionSettings(), "erosion of the deposit by the flow", unit="")
    sieving: SievingSettings = parameter(SievingSettings(), "large particles that block throats", unit="")
    end_of_life: EndOfLifeSettings = parameter(EndOfLifeSettings(), "end of a life", unit="")
    flux_levels: Numbers = parameter(
        (0.75, 0.5, 0.25, 0.1),
        "fractions of the first flux per pressure at which times, volumes and deposits are reported, falling",
    )
    step: Number = parameter(
        0.05, "largest growth of a deposit in a time step, over the median closing radius of the throats", gt=0, le=0.2
    )
    depth_bins: Whole = parameter(20, "bins of the depth in which the deposit is reported", ge=1, le=1000)
    confidence: Number = parameter(0.95, "confidence of the intervals over replicates", gt=0, lt=1)

    #: 1: runs of versions in development, before lives had diffusion to the walls of throats.
    results_version: ClassVar[int] = 2
    reads_through: ClassVar[frozenset[str]] = frozenset({"characterize"})
    # The flow of another run has the bits of that which is computed here.
    _circumstances: ClassVar[frozenset[str]] = VolumeStudy._circumstances | {"flow_run"}
    essential: ClassVar[tuple[str, ...]] = (
        "input", "voxel_size", "pores", "pressure", "foulant.damkohler_number", "foulant.diffusivity",
        "foulant_volume_fraction", "seed",
    )  # fmt: skip

    @model_serializer(mode="wrap")
    def _of_the_input(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out settings of volumes where the input is a network, so that a written study is read again."""
        settings: dict[str, Any] = handler(self)
        unused = {*_OF_VOLUMES, "narrowing_exponent"} if "input" in settings and self.has_network else set()
        written = {name: value for name, value in settings.items() if name not in unused}
        if "hydraulics" in unused & settings.keys() and self.hydraulics.conductance in get_args(TubeRadius):
            written["hydraulics"] = {"conductance": self.hydraulics.conductance}
        return written

    @property
    def has_network(self) -> bool:
        """Whether the input is a pore network from files."""
        return is_network(self.input)

    @property
    def tube_radius(self) -> TubeRadius:
        """Radius of the tubes of a pore network from files."""
        conductance = self.hydraulics.conductance
        return conductance if conductance == "inscribed" or conductance == "equivalent" else "as given"

    def inputs(self) -> dict[str, Path]:
        """Files of the network, if the input is one."""
        return network_files(self.input) if self.has_network else {}

    def with_inputs(self, paths: Mapping[str, Path]) -> FoulStudy:
        """The study with another path of its network, whose further files are in the same folder."""
        return self.model_copy(update={"input": paths["input"]} if "input" in paths else {})

    def sources(self) -> dict[str, Path]:
        """Volumes, and the run whose flow is read, by field."""
        flow_run = {"flow_run": self.flow_run} if self.flow_run else {}
        return {} if self.has_network else {**super().sources(), **flow_run}

    def content_of_source(self, name: str) -> SourceContent:
        """What the study reads of one of its sources."""
        return "bench" if name == "flow_run" else super().content_of_source(name)

    def flow_settings(self) -> FlowSettings:
        """Settings of the Stokes flow."""
        names = ("tolerance", "lateral_boundary", "wall_model", "slab_thickness")
        return FlowSettings(enabled=True, **{name: getattr(self.hydraulics, name) for name in names})

    def throat_flow_settings(self, slab_edges: Sequence[int] | None) -> dict[str, Any]:
        """All that decides the Stokes flow through the throats of a volume, with its slabs or None."""
        return self.network_settings() | stokes_settings(self.hydraulics, slab_edges)

    def through(self, name: str, other: BaseStudy) -> FoulStudy:
        """The study of the volumes of a characterize study, segmented and divided into pores by its settings.

        Raises
        ------
        StudyError
            If a setting of this study differs.
        """
        if name == "flow_run":  # whose result is read
            return self
        shared = [field for field in _OF_VOLUMES if field in type(other).model_fields]
        problems = [
            Problem((field,), f"differs from the characterize study of the input, {theirs}; leave it out (got {own})")
            for field in shared
            if field in self.model_fields_set
            and not _is_equal(own := getattr(self, field), theirs := getattr(other, field))
        ]
        if problems:
            raise StudyError(problems)
        return self.model_copy(update={field: getattr(other, field) for field in (name, *shared)})

    def identity(self) -> str:
        """Digest of all that decides the result; every file of the network enters by its content."""
        further = [self._digest("input", path) for name, path in self.inputs().items() if name != "input"]
        digest = super().identity()
        return hashlib.sha256(" ".join([digest, *further]).encode()).hexdigest() if further else digest

    @property
    def pressure_limit(self) -> float:
        """Pressure that ends a life at constant flux, over the pressure of the study."""
        return self.operation.limit_over(self.pressure)

    @property
    def flux_fraction(self) -> float:
        """Fraction of the first flux that ends a life at constant pressure."""
        return 0.1 if self.end_of_life.flux_fraction is None else self.end_of_life.flux_fraction

    @property
    def species_names(self) -> tuple[str, ...]:
        """Names of the foulants, the number of those without one."""
        return tuple(one.name or str(i) for i, one in enumerate(self.species, 1)) or ("1",)

    def _inconsistencies(self) -> Iterator[Problem]:
        yield from super()._inconsistencies()
        yield from self._network_inconsistencies() if self.has_network else self._volume_inconsistencies()
        yield from self._foulant_inconsistencies()
        yield from self._viscosity_inconsistencies()
        operation = self.operation
        if operation.mode == "flux":
            if self.end_of_life.flux_fraction is not None:
                yield Problem(("end_of_life", "flux_fraction"), "does not apply at constant flux; leave it out")
            if operation.flux == "initial" and self.pressure_limit <= 1:
                message = "must be greater than the pressure, at which a life with flux: initial begins (got "
                yield Problem(("operation", "pressure_limit"), f"{message}{self.pressure_limit:g} times the pressure)")
        default_levels = type(self).model_fields["flux_levels"].default
        for i, level in enumerate(self.flux_levels):
            if not 0 < level < 1:
                yield Problem(("flux_levels", i), f"must be between 0 and 1, both excluded (got {level})")
            elif operation.mode == "pressure" and level < self.flux_fraction and self.flux_levels != default_levels:
                end = f"a life ends at {self.flux_fraction:g} of the first flux, end_of_life.flux_fraction"
                yield Problem(("flux_levels", i), f"is not reached: {end} (got {level})")
            elif i and level >= self.flux_levels[i - 1]:
                yield Problem(("flux_levels", i), f"must be less than the level before it (got {level})")

    def _network_inconsistencies(self) -> Iterator[Problem]:
        """Check that nothing describes voxels."""
        hydraulics, tubes = self.hydraulics, get_args(TubeRadius)
        for name in sorted(hydraulics.model_fields_set):
            value = getattr(hydraulics, name)
            if name != "conductance":
                yield Problem(("hydraulics", name), f"a network has no voxels; leave it out (got {value})")
            elif value not in tubes:
                message = f"a network has no voxels; use {', '.join(tubes[:-1])} or {tubes[-1]} (got {value!r})"
                yield Problem(("hydraulics", name), message)
        for name in _OF_VOLUMES:
            if name in self.model_fields_set and name != "hydraulics":
                message = "a network has no voxels, and its pores are tubes of the given radii and lengths"
                yield Problem((name,), f"{message}; leave it out")
        if "narrowing_exponent" in self.model_fields_set and self.narrowing_exponent != _TUBE_EXPONENT:
            message = f"must be {_TUBE_EXPONENT} for a pore network, whose pores are tubes; leave it out"
            yield Problem(("narrowing_exponent",), f"{message} (got {self.narrowing_exponent})")

    def _volume_inconsistencies(self) -> Iterator[Problem]:
        """Check that nothing needs the tubes of a network."""
        if self.hydraulics.conductance == "as given":
            message = "needs a pore network as input, whose pores have a radius; leave it out (got 'as given')"
            yield Problem(("hydraulics", "conductance"), message)
        if self.deposition_law == "published":
            message = "a pore body has no single radius; use conserving (got 'published')"
            yield Problem(("deposition_law",), message)
        if self.thickness is not None:
            message = "is that of the voxels; leave it out, or give a pore network as input"
            yield Problem(("thickness",), f"{message} (got {self.thickness * 1e6:.6g} um)")

    def _unused(self) -> Iterator[Problem]:
        if self.foulant.diameter is None:
            yield from self._changed(["temperature"], "needs a diffusivity by Stokes-Einstein: set foulant.diameter")

    def _viscosity_inconsistencies(self) -> Iterator[Problem]:
        """Check that the viscosity is not that of water at another temperature, which nobody stated."""
        temperature, default = self.temperature, type(self).model_fields["temperature"].default
        if self.foulant.diameter is None or "viscosity" in self.model_fields_set or temperature == default:
            return
        from membrane_dask.physics.porometry.water import Water  # takes most of a second

        message = f"is that of water at {default - 273.15:g} degC by default; state it at {temperature - 273.15:g} degC"
        try:
            water = f", for example {1e3 * Water.at(temperature).viscosity:.3g} mPa s, that of water"
        except ValueError:
            water = ""
        yield Problem(("viscosity",), f"{message}{water}")

    def _foulant_inconsistencies(self) -> Iterator[Problem]:
        """Check that the uptake is given, and once."""
        foulant = self.foulant
        if not self.species:
            if foulant.wall_rate is None and foulant.damkohler_number is None:
                message = "foulant.wall_rate or foulant.damkohler_number is required, for example damkohler_number: 1"
                yield Problem(("foulant",), message)
            return
        for name in type(foulant).model_fields:
            if getattr(foulant, name) is not None:
                yield Problem(("foulant", name), "cannot be given with species, which have their own")
        total = sum(species.fraction for species in self.species)
        if abs(total - 1) > 1e-9:
            yield Problem(("species",), f"fractions must sum to 1 (they sum to {total:.12g})")
        names = self.species_names
        for i, name in enumerate(names):
            if name in names[:i]:
                yield Problem(("species", i, "name"), f"is used twice (got {name!r})")
