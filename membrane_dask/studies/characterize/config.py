"""Settings of a characterize study."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal

from pydantic import SerializerFunctionWrapHandler, model_serializer

from membrane_dask.config import InputVolume, Line, Model, parameter
from membrane_dask.errors import Problem
from membrane_dask.quantities import LengthNm, Lengths, Number, Temperature, Whole
from membrane_dask.studies.characterize.bench_settings import BenchSettings
from membrane_dask.studies.volume_flow.flow_settings import FlowSettings
from membrane_dask.studies.volume_settings import Axis, VolumeInput, VolumeStudy


class RetentionSettings(Model):
    """Retention of particles in the flow."""

    enabled: bool = parameter(False, "compute the retention; needs the flow", unit="", formerly="solve")
    diameter: LengthNm = parameter(
        20.0, "diameter of the particles of the log reduction value", unit="nm, ...", source="Chamani"
    )
    diameters: Lengths = parameter(
        (5.0, 10.0, 15.0, 20.0, 30.0, 50.0, 100.0), "diameters of the rejection curve", unit="nm, ..."
    )
    wall_interaction: Literal["reflecting", "perfect_sink"] = parameter(
        "reflecting",
        "particles that touch a wall slide along it, or are deposited at first contact; the rejection curve has both",
        unit="",
        formerly="collision",
        former_values={"sieve": "reflecting", "touch": "perfect_sink"},
    )
    temperature: Temperature = parameter(298.15, "temperature of the liquid; drives Brownian motion", unit="degC, K")
    particles: Whole = parameter(
        500, "particles that are tracked one by one for the bound of a challenge test", ge=1, le=1_000_000
    )


class CharacterizeStudy(VolumeStudy):
    """Properties of a 3-D structure: connectivity, pore sizes, pore network, tortuosity, permeability, retention."""

    results_version: ClassVar[int] = 4
    essential: ClassVar[tuple[str, ...]] = (
        "input", "voxel_size", "pores", "reference", "tortuosity", "flow.enabled", "retention.enabled", "bench.enabled",
    )  # fmt: skip

    kind: Literal["characterize"] = "characterize"
    reference: InputVolume | None = parameter(
        None, "volume, or run with replicates, that is characterized in the same way and compared", unit=""
    )
    reference_axis: Axis = parameter("z", "the same for the reference", unit="")
    reference_dataset: Line | None = parameter(None, "the same for the reference", unit="")
    axes: tuple[Literal["z", "y", "x"], ...] = parameter(
        ("z",),
        "axes along which permeability, diffusivity and tortuosities are computed, the depth z among them, for example "
        "[z, y, x]; each takes as long as the first",
        unit="",
    )
    tensors: Literal["none", "sample", "periodic"] = parameter(
        "none",
        "tensors of permeability (with flow.enabled) and of diffusivity (with tortuosity): of a sample, from the "
        "transport along axes: [z, y, x], or of a medium that repeats the volume along all axes; needs a worker with "
        "about 230 or 380 bytes per pore voxel",
        unit="",
    )
    tortuosity: bool = parameter(True, "compute geodesic paths and diffusion", unit="")
    tolerance: Number = parameter(
        1e-3,
        "largest difference of the diffusive flux between planes, relative to its mean; of volumes in one piece also "
        "that of the bounds of the effective diffusivity, relative to the lower one",
        ge=1e-4,
        le=0.1,
    )
    tortuosity_slab_thickness: Whole | None = parameter(
        None,
        "approximate number of planes of a slab, the unit of work of geodesic paths and diffusion; default: by memory "
        "for more than 8 million pore voxels, else the whole depth",
        unit="voxel",
        ge=20,
    )
    flow: FlowSettings = parameter(FlowSettings(), "Stokes flow and permeability", unit="")
    retention: RetentionSettings = parameter(RetentionSettings(), "retention of particles", unit="")
    bench: BenchSettings = parameter(BenchSettings(), "what a laboratory would measure", unit="")
    block_size: Whole = parameter(
        256,
        "edge length of the blocks, which are the units of work; does not change the result",
        unit="voxel",
        ge=32,
        le=1024,
        formerly="block",
    )

    def volume_inputs(self) -> Sequence[VolumeInput]:
        """The input and the reference."""
        inputs = list(super().volume_inputs())
        if self.reference:
            inputs.append(VolumeInput("reference", self.reference, self.reference_axis, self.reference_dataset or ""))
        return inputs

    @model_serializer(mode="wrap")
    def _without_bench(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out a bench that is not computed: runs from before there was one have the same identity."""
        settings: dict[str, Any] = handler(self)
        return settings if self.bench.enabled else {name: v for name, v in settings.items() if name != "bench"}

    def _unused(self) -> Iterator[Problem]:
        """Settings of a flow, a retention or a second volume that the study does not have."""
        if not self.flow.enabled:
            of_flow = set(FlowSettings.model_fields)
            if self.bench.enabled:
                of_flow = {"method", "boxes", "velocities"}
                of_flow |= set() if self.bench.computes_flow else {"slab_thickness"}
            yield from self.flow._changed(of_flow, "needs the flow: set flow.enabled: true", "flow", switch="enabled")
        if not self.retention.enabled:
            reason = "needs the retention: set retention.enabled: true"
            yield from self.retention._changed(RetentionSettings.model_fields, reason, "retention", switch="enabled")
        if self.reference is None:
            yield from self._changed(["reference_axis", "reference_dataset"], "needs a second volume: set reference")

    def _inconsistencies(self) -> Iterator[Problem]:
        yield from super()._inconsistencies()
        if self.bench.enabled:
            if self.flow.lateral_boundary == "periodic":
                yield Problem(
                    ("flow", "lateral_boundary"), "must be symmetric or no_slip with the bench (got periodic)"
                )
            if self.flow.refinement != 1:
                message = f"must be 1 with the bench, whose radii are those of voxels (got {self.flow.refinement})"
                yield Problem(("flow", "refinement"), message)
        if "z" not in self.axes or len(set(self.axes)) < len(self.axes):
            yield Problem(
                ("axes",),
                f"must name each axis once, and z among them, for example [z, y, x] (got [{', '.join(self.axes)}]); "
                "profiles, network and retention are those along z",
            )
        if self.tensors != "none":
            if not (self.tortuosity or self.flow.enabled) or self.flow.method == "mobility_estimate":
                message = "needs tortuosity: true (diffusivity), or flow.enabled: true and flow.method: stokes"
                yield Problem(("tensors",), message)
            if self.tensors == "sample" and len(self.axes) < len("zyx"):
                yield Problem(
                    ("tensors",), f"sample needs axes: [z, y, x] (got [{', '.join(self.axes)}]); or set periodic"
                )
        if self.retention.enabled and not self.flow.enabled:
            yield Problem(("retention", "enabled"), "needs the flow: set flow.enabled: true")
        if self.flow.method == "mobility_estimate":
            message = "must be stokes, as mobility_estimate computes no velocities for"
            if self.retention.enabled:
                yield Problem(("flow", "method"), f"{message} the retention")
            if self.flow.velocities:
                yield Problem(("flow", "method"), f"{message} flow.velocities")
