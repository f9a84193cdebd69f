"""Program of a characterize study: the units of every volume, and the tables that follow from them.

The blocks of a volume are units; a unit of its own assembles its pore network and connectivity. Tortuosity and flow
follow. No property depends on the blocks.
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np

from membrane_dask.errors import Source
from membrane_dask.io.oriented_volumes import AXES, OrientedVolume, PoreVolume
from membrane_dask.physics.imaging.blocks import divide
from membrane_dask.program import Costs, Dataset, History, Image, Program, Rounds, Scratch, TableFile, Unit
from membrane_dask.schema import Coordinate
from membrane_dask.studies.characterize import KIND
from membrane_dask.studies.characterize.bench_findings import bench_findings
from membrane_dask.studies.characterize.bench_readings import instrument_files
from membrane_dask.studies.characterize.bench_results import BenchResult
from membrane_dask.studies.characterize.bench_tables import bench_tables, throat_flow_table
from membrane_dask.studies.characterize.bench_tasks import bench_scratch, without_flow
from membrane_dask.studies.characterize.bench_volumes import require_equal_cubes
from membrane_dask.studies.characterize.common_flow import TASK as COMMON_FLOW
from membrane_dask.studies.characterize.common_flow import common_flow_scratch, has_bench_by_slabs, has_common_flow
from membrane_dask.studies.characterize.comparison import comparison_table
from membrane_dask.studies.characterize.config import CharacterizeStudy
from membrane_dask.studies.characterize.costs import pilot_edges, pilot_study, predicted_costs
from membrane_dask.studies.characterize.decomposed_tortuosity import (
    DecomposedTortuosity,
    tortuosity_edges,
    tortuosity_scratch,
)
from membrane_dask.studies.characterize.flow_tasks import FLOW_ARRAYS
from membrane_dask.studies.characterize.peak_memory import memory_advice, peak_memory
from membrane_dask.studies.characterize.retention_tasks import TASKS as RETENTION_TASKS
from membrane_dask.studies.characterize.retention_tasks import (
    particle_diameters,
    retention_of_volume,
    retention_scratch,
)
from membrane_dask.studies.characterize.sections import sections_table
from membrane_dask.studies.characterize.tables import (
    VolumeResult,
    difference_table,
    reference_tables,
    replicate_tables,
)
from membrane_dask.studies.characterize.tasks import work
from membrane_dask.studies.characterize.tensor_tasks import has_tensor_unit
from membrane_dask.studies.characterize.transport_findings import transport_findings
from membrane_dask.studies.characterize.variables import (
    CHAMANI,
    LOCAL_POROSITY_TABLE,
    NETWORK_TABLE,
    REFERENCE_LOCAL_POROSITY_TABLE,
    REFERENCE_NETWORK_TABLE,
    REFERENCE_SECTION_TABLE,
    SECTION_TABLE,
)
from membrane_dask.studies.characterize.velocity_image import velocity_image
from membrane_dask.studies.input_volumes import InputVolumes, require_pores, volume_rows
from membrane_dask.studies.segmentation_remarks import noise_findings, segmentation_attributes
from membrane_dask.studies.volume_cubes import Cube, percolating_cube
from membrane_dask.studies.volume_flow.decomposed_flow import (
    DecomposedFlow,
    decomposed_scratch,
    slab_edges,
)
from membrane_dask.studies.volume_flow.flow_settings import FlowSettings
from membrane_dask.studies.volume_flow.throat_flow import REGIONS, throat_scratch
from membrane_dask.studies.voxel_sizes import edges_nm

_DIFFUSION = frozenset({"tortuosity", "tolerance", "tortuosity_slab_thickness"})
#: Settings that only transport and the bench read.
_UNREAD_BY_STRUCTURE = frozenset({"axes", "tensors", "flow", "retention", "bench"}) | _DIFFUSION
#: Settings that the flow and the retention do not read. Axis and particle diameter are parameters of their units.
_UNREAD_BY_FLOW = frozenset({"axes", "tensors", "bench", "flow.boxes"}) | _DIFFUSION
_UNREAD_BY_TRAJECTORIES = _UNREAD_BY_FLOW | {"retention.diameters"}
_UNREAD_BY_PASSAGES = _UNREAD_BY_TRAJECTORIES | {
    "retention.diameter", "retention.wall_interaction", "retention.particles",
}  # fmt: skip


class CharacterizeProgram(Program):
    """Units and results of a characterize study.

    Parameters
    ----------
    study : CharacterizeStudy
        Checked study.
    source : Source, optional
        Position of every setting, for error messages.
    inputs : InputVolumes, optional
        Volumes; default those of the study.

    Raises
    ------
    StudyError
        If a volume cannot be used.
    """

    kind = KIND.name
    work = staticmethod(work)
    unread_settings: Mapping[str, frozenset[str]] = {
        "blocks": _UNREAD_BY_STRUCTURE,
        "networks": _UNREAD_BY_STRUCTURE,
        "tortuosity": frozenset({"axes", "tensors", "flow", "retention", "bench"}),
        "flows": _UNREAD_BY_PASSAGES | {"flow.pressure", "flow.viscosity", "retention.temperature"},
        "passages": _UNREAD_BY_PASSAGES,
        "trajectories": _UNREAD_BY_TRAJECTORIES,
    }

    def __init__(
        self, study: CharacterizeStudy, source: Source | None = None, inputs: InputVolumes | None = None
    ) -> None:
        self.study = study
        is_whole = inputs is None  # a cube, which pilots run, may be solid
        inputs = inputs or InputVolumes.of(study, source)
        if study.bench.enabled and is_whole:
            require_pores(inputs, source)
        self._designs, self._findings = (inputs.design, inputs.reference_design), inputs.findings
        self.volumes, self.porosities, self.replicates = inputs.volumes, inputs.porosities, inputs.replicates
        if study.bench.enabled:
            require_equal_cubes(self.volumes, inputs.replicates, source)
        self.blocks = [divide(volume.shape, study.block_size) for volume in self.volumes]
        self._first_block = np.concatenate([[0], np.cumsum([len(blocks) for blocks in self.blocks])])
        #: All volumes along the depth, then all along the next axis of the study.
        self.oriented: list[PoreVolume] = [*self.volumes]
        for axis in self._lateral_axes:
            self.oriented += [OrientedVolume(volume, AXES.index(axis)) for volume in self.volumes]
        self.slab_edges = [
            slab_edges(self._flow_settings(number), volume.shape, porosity) if self._computes_flow(number) else None
            for number, (volume, porosity) in enumerate(self.oriented_porosities())
        ]
        along_depth = self.slab_edges[: len(self.volumes)]
        self.has_common_flow = [has_common_flow(study, edges) for edges in along_depth]
        #: Of all oriented volumes; the bench reads the flow along the depth.
        self.bench_by_slabs = [has_bench_by_slabs(study, edges) for edges in along_depth]
        self.bench_by_slabs += [False] * (len(self.oriented) - len(self.volumes))
        self._has_one_flow = list(map(operator.or_, self.has_common_flow, self.bench_by_slabs))
        self.tortuosity_edges = [
            tortuosity_edges(study.tortuosity_slab_thickness, volume.shape, porosity) if study.tortuosity else None
            for volume, porosity in self.oriented_porosities()
        ]
        self._cubes: dict[int, tuple[Cube, float]] = {}
        self.adaptive = any(self.slab_edges) or any(self.tortuosity_edges)
        self.context: Mapping[str, Any] = {
            "volumes": self.oriented,
            "n_volumes": len(self.volumes),
            "blocks": self.blocks,
            "first_block": self._first_block,
            "snow": study.snow_parameters(),
            "diagonal": study.connectivity == 26,
            "tolerance": study.tolerance,
            "tortuosity_edges": self.tortuosity_edges,
            "flow": study.flow,
            "retention": study.retention,
            "slab_edges": self.slab_edges,
            "has_common_flow": self.has_common_flow,
            "bench_by_slabs": self.bench_by_slabs,
            "tensors": study.tensors,
            "tortuosity": study.tortuosity,
            "bench": study.bench,
        }
        self.attrs: Mapping[str, Any] = {
            "title": "Characterization of a porous structure",
            "references": CHAMANI,
            "seed": study.seed,
            "voxel_size_nm": edges_nm(self.volumes[0]),
            "connectivity": study.connectivity,
        }
        self.attrs = {**self.attrs, **segmentation_attributes(self.volumes, self.name)}
        self.images: Sequence[Image] = [
            velocity_image(study.flow, volume, edges, self._group_name("velocity", number))
            for number, (volume, edges) in enumerate(zip(self.volumes, self.slab_edges, strict=False))
            if edges and study.flow.velocities
        ]
        n = len(self.oriented)
        self.scratch: Sequence[Scratch] = (
            Scratch("blocks", (int(self._first_block[-1]),)),
            Scratch("networks", (len(self.volumes),)),
            *([Scratch("tortuosity", (n,))] if study.tortuosity else []),
            *tortuosity_scratch(self.tortuosity_edges),
            *([Scratch("flows", (n,))] if study.flow.enabled else []),
            *common_flow_scratch(self.has_common_flow),
            *([Scratch("box_flows", (len(self.volumes),))] if study.flow.boxes else []),
            *([Scratch("tensors", (len(self.volumes),))] if has_tensor_unit(study) else []),
            *retention_scratch(study.retention, len(self.volumes)),
            *decomposed_scratch(self._flow_settings(0), self.slab_edges),
            *throat_scratch(along_depth if any(self.bench_by_slabs) else []),
            *bench_scratch(study.bench, int(self._first_block[-1]), len(self.volumes)),
        )

    @property
    def summary(self) -> Sequence[tuple[str, str]]:
        """Size and approximate porosity of every volume."""
        return volume_rows([self.name(number) for number in range(len(self.volumes))], self.volumes, self.porosities)

    @property
    def _lateral_axes(self) -> list[str]:
        """Axes of the study other than the depth, in the order of the volume."""
        return [axis for axis in AXES[1:] if axis in self.study.axes]

    def oriented_porosities(self) -> Iterator[tuple[PoreVolume, float]]:
        """All oriented volumes with their approximate porosities."""
        return zip(self.oriented, itertools.cycle(self.porosities), strict=False)

    def _flow_settings(self, oriented: int) -> FlowSettings:
        """Settings of the flow through an oriented volume: velocities are stored, and read, along the depth only."""
        flow = self.study.flow
        if oriented >= len(self.volumes):
            return flow.model_copy(update={"velocities": False})
        return flow.model_copy(update={"method": "stokes"}) if self.study.bench.computes_flow else flow

    def _computes_flow(self, oriented: int) -> bool:
        """Whether the properties need the flow through an oriented volume, or its bench."""
        is_along_depth = oriented < len(self.volumes)
        return self.study.flow.enabled or (is_along_depth and self.study.bench.computes_flow)

    def _along_axes(self, volume: int) -> range:
        """Numbers of a volume among the oriented ones, along each axis of the study."""
        return range(volume, len(self.oriented), len(self.volumes))

    def name(self, oriented: int) -> str:
        """Name of an oriented volume in the keys of its units."""
        axis, volume = divmod(oriented, len(self.volumes))
        name = f"replicate={volume}"
        if volume >= self.replicates:
            name = f"reference={volume - self.replicates}" if self._several_references else "reference"
        return f"{name},axis={self._lateral_axes[axis - 1]}" if axis else name

    @property
    def _several_references(self) -> bool:
        return len(self.volumes) - self.replicates > 1

    def _group_name(self, group: str, volume: int) -> str:
        """Name of a group of the result that every volume has."""
        if volume < self.replicates:
            return f"{group}_{volume}"
        return f"reference_{group}" + (f"_{volume - self.replicates}" if self._several_references else "")

    def _seed(self, oriented: int) -> tuple[int, ...]:
        return self.study.seed, KIND.seed_key, oriented % len(self.volumes)

    def unit(self, task: str, volume: int, **parameters: Any) -> Unit:
        """A unit of a volume as a whole."""
        axis = volume // len(self.volumes)
        if axis:  # its number among the axes of the study does not name it
            parameters["axis"] = self._lateral_axes[axis - 1]
        key = f"{task},{self.name(volume)}"
        return Unit(key, task, (volume,), {"volume": volume, **parameters}, self._seed(volume))

    def _retention_units(self, volume: int) -> list[Unit]:
        """The passage of each particle diameter, and the particles that are tracked."""
        units = []
        for k, diameter in enumerate(particle_diameters(self.study.retention)):
            key = f"passages,{self.name(volume)},diameter={diameter}"
            parameters = {"volume": volume, "diameter": diameter}
            units.append(Unit(key, "passages", (volume, k), parameters, self._seed(volume)))
        return [*units, self.unit("trajectories", volume)]

    def block_units(self, task: str, volume: int) -> list[Unit]:
        """All blocks of a volume."""
        units = []
        for block in range(len(self.blocks[volume])):
            key = f"{task},{self.name(volume)},block={block}"
            index = (int(self._first_block[volume]) + block,)
            units.append(Unit(key, task, index, {"volume": volume, "block": block}, self._seed(volume)))
        return units

    def rounds(self) -> Rounds:
        """All volumes, independently of each other."""
        numbers = range(len(self.volumes))
        benches = [number for number in numbers if self.study.bench.enabled and not self._has_one_flow[number]]
        yield [*map(self._volume_rounds, numbers), *map(self._bench_rounds, benches)]

    def _volume_rounds(self, volume: int) -> Rounds:
        """The network; then tortuosity and flow; with the bench where they have one flow."""
        if self._has_one_flow[volume]:
            common = self.unit(REGIONS if self.bench_by_slabs[volume] else COMMON_FLOW, volume)
            yield [self._structure_rounds(volume), self._access_rounds(volume), common]
            yield [*self._transport(volume), *self._bench_units(volume)]
            return
        yield from self._structure_rounds(volume)
        yield self._transport(volume)

    def _structure_rounds(self, volume: int) -> Rounds:
        """Blocks; then the network."""
        yield self.block_units("blocks", volume)
        yield [self.unit("networks", volume)]

    def _transport(self, volume: int) -> list[Unit | Rounds]:
        """Tortuosity and flow, independently of each other."""
        oriented = self._along_axes(volume)
        return [
            *([self._tortuosity_rounds(number) for number in oriented] if self.study.tortuosity else []),
            *(self._flow_rounds(n) for n in oriented if self.study.flow.enabled or self.bench_by_slabs[n]),
            *([self.unit("box_flows", volume)] if self.study.flow.boxes else []),
            *([self.unit("tensors", volume)] if has_tensor_unit(self.study) else []),
        ]

    def _bench_rounds(self, volume: int) -> Rounds:
        """Access radii; then what follows from them."""
        yield from self._access_rounds(volume)
        yield self._bench_units(volume)

    def _access_rounds(self, volume: int) -> Rounds:
        """Regions of the blocks; then the access radii."""
        yield self.block_units("bench_regions", volume)
        yield [self.unit("bench_access", volume)]

    def _bench_units(self, volume: int) -> list[Unit]:
        """Drainage of the blocks, and the flow of what is emptied."""
        is_separate = self.study.bench.computes_flow and not self.bench_by_slabs[volume]
        flows = [self.unit("bench_flows", volume)] if is_separate else []
        return [*self.block_units("bench_drainage", volume), *flows]

    def _tortuosity_rounds(self, volume: int) -> Rounds:
        """Geodesic paths and diffusion, in one unit or by slabs."""
        parameters: Mapping[str, Any] = {}
        edges = self.tortuosity_edges[volume]
        if edges:
            seed = self._seed(volume)
            slabs = DecomposedTortuosity(volume, self.name(volume), len(edges) - 1, self.study.tolerance, seed)
            parameters = yield from slabs.rounds()
        yield [self.unit("tortuosity", volume, **parameters)]

    def _flow_rounds(self, volume: int) -> Rounds:
        """The flow, in one unit or by slabs; then the retention along the depth."""
        parameters: Mapping[str, Any] = {}
        edges = self.slab_edges[volume]
        if edges:
            image, seed = self._group_name("velocity", volume), self._seed(volume)
            settings, of_study = self._flow_settings(volume), self.study.flow
            is_read = of_study.enabled and of_study.method == "stokes"  # by the properties
            flow = DecomposedFlow(volume, self.name(volume), len(edges) - 1, settings, seed, image, is_read)
            parameters = yield from flow.rounds()
            if self.bench_by_slabs[volume]:
                properties = [self._property_rounds(volume, parameters if is_read else {})] if of_study.enabled else []
                yield [self._bench_flow_rounds(volume, flow, parameters), *properties]
                return
        yield from self._property_rounds(volume, parameters)

    def _property_rounds(self, volume: int, parameters: Mapping[str, Any]) -> Rounds:
        """The permeability; then the retention along the depth."""
        yield [self.unit("flows", volume, **parameters)]
        if self.study.retention.enabled and volume < len(self.volumes):
            yield self._retention_units(volume)

    def _bench_flow_rounds(self, volume: int, flow: DecomposedFlow, parameters: Mapping[str, Any]) -> Rounds:
        """Flow through the throats of the slabs, where it converged; then what the bench computes from it."""
        if "upper_bound" in parameters:
            yield flow.throat_units()
        error = {name: value for name, value in parameters.items() if name == "error"}
        yield [self.unit("bench_flows", volume, **error)]

    def pilot_programs(self) -> Sequence[Program]:
        """The study of two cubes of the first volume, of which the larger one is measured."""
        return [self._of_cube(edge) for edge in pilot_edges(self.study)]

    def _cube(self, edge: int) -> tuple[Cube, float]:
        """A cube of the first volume, and its porosity; searched for once."""
        if edge not in self._cubes:
            self._cubes[edge] = percolating_cube(self.volumes[0], edge)
        return self._cubes[edge]

    def _of_cube(self, edge: int) -> CharacterizeProgram:
        """The same study of a cube of the first volume."""
        cube, porosity = self._cube(edge)
        study = pilot_study(self.study, any(self.slab_edges), any(self.tortuosity_edges))
        return CharacterizeProgram(study, inputs=InputVolumes([cast(Any, cube)], [porosity], 1))

    def costs(self, pilots: Mapping[str, float], small: Mapping[str, float]) -> Costs:
        """Work of all units, extrapolated from a cube."""
        cube, porosity = self._cube(pilot_edges(self.study)[-1])
        return predicted_costs(self, cube, porosity, small)

    def memory(self) -> Mapping[str, int]:
        """Peak bytes of the units, by the approximate porosity."""
        return peak_memory(self)

    def memory_advice(self, task: str) -> str:
        """Settings with which the units of a task need less memory."""
        return memory_advice(self.study, task)

    def collect(self, read: Callable[..., Any], history: History) -> Sequence[Dataset | TableFile]:
        """Properties, distributions, profiles and networks of all volumes, and the tables of their bench."""
        networks = read("networks")
        tortuosities = read("tortuosity") if self.study.tortuosity else {}
        flows = read("flows", FLOW_ARRAYS) if self.study.flow.enabled else {}
        passages, trajectories = (read(task) if self.study.retention.enabled else {} for task in RETENTION_TASKS)
        box_flows = read("box_flows") if self.study.flow.boxes else {}
        tensors = read("tensors") if has_tensor_unit(self.study) else {}
        results: list[VolumeResult | None] = [None] * len(self.volumes)
        for index, network in networks.items():
            volume = self.volumes[index[0]]
            tortuosity, flow = tortuosities.get(index, {}), flows.get(index, {})
            retention = retention_of_volume(self.study.retention, passages, trajectories, index[0], volume.shape[0])
            voxel_nm = float(volume.voxel_nm or math.nan)
            along_axes = {
                axis: (tortuosities.get((number,), {}), flows.get((number,), {}))
                for axis, number in zip(("z", *self._lateral_axes), self._along_axes(index[0]), strict=True)
            }
            results[index[0]] = VolumeResult(
                network, tortuosity, flow, volume.shape, voxel_nm, volume.spacing, self.study, along_axes,
                tensors.get(index, {}), box_flows.get(index, {}), retention,
            )  # fmt: skip
        replicates, references = results[: self.replicates], results[self.replicates :]
        tables = replicate_tables(replicates) if any(replicates) else {}
        compared = reference_tables(references) if any(references) else {}
        for group, design in zip((tables, compared), self._designs, strict=True):
            if design:
                coordinate = Coordinate("replicate", "1", "number of the replicate", {"design": design})
                group |= {
                    name: replace(table, schema=table.schema.with_coordinate(coordinate))
                    for name, table in group.items()
                }
        names = {self.name(number): result for number, result in enumerate(results)}
        findings = [f"Reconstruction: {sentence}" for sentence in self._findings]
        findings += noise_findings(self.volumes, self.name)
        findings += transport_findings(names, ("z", *self._lateral_axes))
        benches = self._bench_results(read) if self.study.bench.enabled else []
        findings += bench_findings({self.name(number): bench for number, bench in enumerate(benches)})
        for group in (tables, compared):
            if findings and "properties" in group:
                limits = {"interval_limits": list(self._findings)} if self._findings else {}
                group["properties"] = replace(group["properties"], attrs={"summary": findings} | limits)
                break
        for group in (tables, compared):
            if "tensors" in group:
                group["tensors"] = replace(group["tensors"], attrs={"method": self.study.tensors})
        datasets = [*tables.values(), *compared.values()]
        if tables and compared:
            sizes = {(volume.shape, volume.voxel_nm, volume.spacing) for volume in self.volumes}
            properties, reference = tables["properties"], compared["properties"]
            datasets.append(difference_table(properties, reference, len(sizes) == 1))
            datasets.append(comparison_table(properties, reference, equal_size=len(sizes) == 1))
        for number, result in enumerate(results):
            if result:
                is_replicate = number < self.replicates
                schema = NETWORK_TABLE if is_replicate else REFERENCE_NETWORK_TABLE
                name = self._group_name("network", number)
                datasets.append(Dataset(schema, result.network_table(), name=name))
                schema = LOCAL_POROSITY_TABLE if is_replicate else REFERENCE_LOCAL_POROSITY_TABLE
                name = self._group_name("local_porosity", number)
                datasets.append(result.local_porosity_table(schema, name))
        datasets += self._bench_tables(benches, results)
        first_reference = next(iter(references), None)
        for result, schema in ((replicates[0], SECTION_TABLE), (first_reference, REFERENCE_SECTION_TABLE)):
            if result:
                datasets.append(sections_table(schema, result.network, result.shape, result.edges_nm))
        return [*datasets, *instrument_files({self.name(number): bench for number, bench in enumerate(benches)})]

    def _bench_results(self, read: Callable[[str], Any]) -> list[BenchResult | None]:
        """Results of the bench of every volume; None where units failed."""
        settings = self.study.bench
        access, drainage = read("bench_access"), read("bench_drainage")
        if settings.computes_flow:
            flows = read("bench_flows")
        else:
            flows = {(number,): without_flow(settings, math.nan) for number in range(len(self.volumes))}
        results: list[BenchResult | None] = []
        for number, volume in enumerate(self.volumes):
            indices = [(int(self._first_block[number]) + k,) for k in range(len(self.blocks[number]))]
            blocks = [drainage[index] for index in indices if index in drainage]
            if (number,) not in flows or len(blocks) < len(indices):
                results.append(None)
                continue
            critical = int(access[(number,)]["critical_square"])
            voxel_nm = float(volume.voxel_nm or math.nan)
            results.append(BenchResult(critical, blocks, flows[(number,)], volume.shape, voxel_nm, self.study.bench))
        return results

    def _bench_tables(
        self, benches: Sequence[BenchResult | None], results: Sequence[VolumeResult | None]
    ) -> Sequence[Dataset]:
        """Tables of the bench, of the replicates and of the reference."""
        tables: list[Dataset] = []
        groups = ((0, self.replicates, True), (self.replicates, len(self.volumes), self._several_references))
        for first, last, several in groups:
            result = results[first] if first < last else None
            if benches[first:last] and result is not None:
                pores = result.network["section_y"]
                is_reference = first > 0
                tables += bench_tables(benches[first:last], pores, is_reference=is_reference, several=several)
        for number, bench in enumerate(benches[: self.replicates]):
            if bench and "stokes_flow" in bench.flow:
                edges = self.slab_edges[number] if self.bench_by_slabs[number] else None
                tables.append(throat_flow_table(self._group_name("throat_flow", number), bench, self.study, edges))
        return tables
