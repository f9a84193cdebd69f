"""Characterization: what a three-dimensional structure is (Chamani, Table 1).

Volumes are measured in blocks, each a unit: distances to the solid, pore sizes, and the basins of which a unit of
its own puts the pore network and the connectivity together. Another unit finds the ways through the whole. What a
volume is does not depend on its blocks.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from membrane_dask.errors import Problem, Source, StudyError
from membrane_dask.io.volumes import VolumeSource, open_volume_source, volume_paths
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.imaging.blocks import Block
from membrane_dask.physics.imaging.distance import block_squared_distances
from membrane_dask.physics.imaging.local_thickness import local_thickness_counts
from membrane_dask.physics.imaging.network_extraction import extract_network, surface_areas
from membrane_dask.physics.imaging.watershed import FORMER_NAMES, N_REGION_SUMS, SnowParameters, block_watershed
from membrane_dask.physics.networks.pore_network import PoreNetwork
from membrane_dask.physics.transport.diffusion import diffusion
from membrane_dask.physics.transport.geodesic_paths import geodesic_distances, shortest_path
from membrane_dask.physics.transport.pore_space import PoreSpace
from membrane_dask.program import Dataset, History, Image, Program, Proposer, Scratch, Unit
from membrane_dask.studies.characterize.config import CharacterizeStudy
from membrane_dask.studies.characterize.decomposed_flow import TASKS as SLAB_TASKS
from membrane_dask.studies.characterize.decomposed_flow import (
    SlabFlow,
    slab_edges,
    slab_fields,
    slab_memory,
    slab_parts,
)
from membrane_dask.studies.characterize.decomposed_tasks import slab_work
from membrane_dask.studies.characterize.flow_tasks import flow_by_slabs, flow_memory, flow_through
from membrane_dask.studies.characterize.tables import QUARTERS, Measured, differences, tables_of
from membrane_dask.studies.characterize.variables import CHAMANI, NETWORK, NETWORK_TABLE, REFERENCE_NETWORK_TABLE

#: Enters every spawn key, so that no two study kinds share a random stream.
_KIND = 3
#: Voxels about a block that are read at first; more where the pores are wider.
_HALO = 48
#: Bytes of working memory for every voxel that is read about a block, and for every voxel of the block.
_BYTES_READ, _BYTES_OWN = 11, 26
#: Bytes for every pore voxel of a volume whose ways are found, and for every voxel.
_BYTES_PORE, _BYTES_VOXEL = 15.5, 0.2
#: Planes that tell how many pore voxels there will be, about.
_PLANES_SEEN = 4


def pore_network(network: Any, *, bands: int = QUARTERS) -> PoreNetwork:
    """The pore network of a volume that was characterized.

    Parameters
    ----------
    network : xarray.Dataset or DataTree
        A group ``network_0``, ``network_1``, ... or ``reference_network`` of the result.
    bands : int
        Parts of the depth that its lengths are told by.

    Returns
    -------
    PoreNetwork
        In metres. Its junctions are the pores, its pores the throats; ``radius`` is that of equal area.
    """
    if "position" not in network:
        raise ValueError("network: must be a group such as run.result['network_0'] or ['reference_network']")
    metre = {"nm": 1e-9, "nm2": 1e-18, "nm3": 1e-27, "1": 1}
    known = {v.name: np.asarray(network[v.name].values) * metre[v.units] for v in NETWORK}
    return PoreNetwork.from_straight_pores(
        junctions=known["position"],
        throat_conns=known["ends"].astype(np.int32),
        length=known["throat_length"],
        radius=known["throat_equivalent_radius"],
        extent=tuple(known["extent"].tolist()),
        bands=bands,
        bodies={v.name: known[v.name] for v in NETWORK if v.dims == ("pore",)},
        throats={"inscribed_radius": known["throat_inscribed_radius"], "area": known["throat_area"]},
    )


class CharacterizeProgram(Program):
    """Blocks of every volume; then the network of each, and the ways through it.

    Parameters
    ----------
    study : CharacterizeStudy
        Checked study.
    source : Source, optional
        Where the study's words stand, for the errors.

    Raises
    ------
    StudyError
        If a volume cannot be used.
    """

    kind = "characterize"

    def __init__(self, study: CharacterizeStudy, source: Source | None = None) -> None:
        self.study = study
        found = [self._sized(volume, "input", source) for volume in self._opened("input", source)]
        self.replicates = len(found)
        if study.reference:
            compared = self._opened("reference", source)
            if len(compared) != 1:
                words = f"must be one volume (got {str(study.reference)!r}, which holds {len(compared)})"
                raise StudyError([Problem(("reference",), words)], source)
            found.append(self._sized(compared[0], "reference", source))
        self.given = found
        self.shares = [self._share(volume, number, source) for number, volume in enumerate(found)]
        settings = study.network
        markers = SnowParameters(settings.sigma, settings.radius, settings.smallest, settings.nearby)
        self.blocks = [_blocks(volume.shape, study.block) for volume in found]
        self.slabs: list[tuple[int, ...] | None] = [None] * len(found)
        if study.flow.solve:
            sizes = zip(found, self.shares, strict=True)
            self.slabs = [slab_edges(study.flow, volume.shape, share) for volume, share in sizes]
        self._first = np.concatenate([[0], np.cumsum([len(blocks) for blocks in self.blocks])])
        self.context: Mapping[str, Any] = {
            "volumes": found,
            "blocks": self.blocks,
            "first": self._first,
            "markers": markers,
            "diagonal": study.connectivity == 26,
            "tolerance": study.tolerance,
            "flow": study.flow,
            "retention": study.retention,
            "slabs": self.slabs,
        }
        self.images: Sequence[Image] = [
            slab_fields(study.flow, volume, edges, self._field(number))
            for number, (volume, edges) in enumerate(zip(found, self.slabs, strict=True))
            if edges and study.flow.velocities
        ]
        self.adaptive = any(self.slabs)
        self.attrs: Mapping[str, Any] = {
            "title": "What a porous structure is",
            "references": CHAMANI,
            "seed": study.seed,
            "voxel_size_nm": found[0].voxel_nm,
            "connectivity": study.connectivity,
        }
        n = len(found)
        self.scratch: Sequence[Scratch] = (
            Scratch("blocks", (int(self._first[-1]),)),
            Scratch("networks", (n,)),
            *([Scratch("ways", (n,))] if study.tortuosity else []),
            *([Scratch("flows", (n,))] if study.flow.solve else []),
            *slab_parts(study.flow, self.slabs),
        )

    def _opened(self, field: str, source: Source | None) -> list[VolumeSource]:
        """Volumes that a field of the study names."""
        study, path = self.study, getattr(self.study, field)
        grey = study.grey.model_dump() if study.grey.threshold is not None else None
        try:
            if path.suffix.lower() in (".yaml", ".yml"):
                raise ValueError(f"is a study that must be run first: membrane-dask run {path}")
            return [open_volume_source(one, study.pores, grey) for one in volume_paths(path)]
        except ValueError as error:
            raise StudyError([Problem((field,), f"{error} (got {str(path)!r})")], source) from error

    def _sized(self, volume: VolumeSource, field: str, source: Source | None) -> VolumeSource:
        size: Any = self.study.voxel_size
        if size and volume.voxel_nm and abs(size / volume.voxel_nm - 1) > 1e-3:
            metadata, in_file = volume.voxel_size_source, volume.voxel_nm
            words = f"is {size:g} nm, but {volume.path} has voxels of {in_file:g} nm ({metadata})"
            raise StudyError([Problem(("voxel_size",), words)], source)
        known = volume.voxel_nm or size
        if not known:
            words = f"required: {volume.voxel_size_source}; for example voxel_size: 3 nm"
            raise StudyError([Problem(("voxel_size",), f"{words} ({field}: {volume.path})")], source)
        return replace(volume, voxel_nm=known)

    def _share(self, volume: VolumeSource, number: int, source: Source | None) -> float:
        """Porosity of a few planes."""
        field = "input" if number < self.replicates else "reference"
        planes = np.linspace(0, volume.shape[0] - 1, 2 * _PLANES_SEEN + 1).astype(int)[1::2]
        whole = (slice(0, volume.shape[1]), slice(0, volume.shape[2]))
        try:
            share = float(np.mean([volume.read((slice(z, z + 1), *whole)).mean() for z in planes]))
        except ValueError as error:
            raise StudyError([Problem((field,), f"{error} (got {volume.path!r})")], source) from error
        if share == 1.0:
            which = "grey.threshold" if volume.grey else "pores"
            words = f"is all pores, no solid, in all planes that were looked at; see {which} (got {volume.path!r})"
            raise StudyError([Problem((field,), words)], source)
        return share

    @property
    def summary(self) -> Sequence[tuple[str, str]]:
        """What will be measured."""
        rows = []
        for number, volume in enumerate(self.given):
            sizes = " x ".join(map(str, volume.shape))
            share = f"porosity {self.shares[number]:.3f} in {_PLANES_SEEN} planes"
            rows.append((self.name(number), f"{sizes} voxels of {volume.voxel_nm:g} nm, {share}"))
        return rows

    def name(self, volume: int) -> str:
        """Name of a volume in the keys of its units."""
        return "reference" if volume >= self.replicates else f"replicate={volume}"

    def _field(self, volume: int) -> str:
        """Where the velocities of a volume are kept."""
        return "reference_velocity" if volume >= self.replicates else f"velocity_{volume}"

    def _seed(self, volume: int) -> tuple[int, ...]:
        return self.study.seed, _KIND, volume

    def unit(self, task: str, volume: int, block: int = 0, told: Mapping[str, Any] | None = None) -> Unit:
        """A block, or what is made of all blocks of a volume."""
        key = f"{task},{self.name(volume)}" + (f",block={block}" if task == "blocks" else "")
        index = (int(self._first[volume]) + block,) if task == "blocks" else (volume,)
        return Unit(key, task, index, {"volume": volume, "block": block, **(told or {})}, self._seed(volume))

    def proposer(self) -> Proposer:
        """Blocks at once; the network of a volume when its blocks are over, and then the ways through it."""
        proposed: set[str] = set()
        by_slabs = {
            number: SlabFlow(
                number, self.name(number), len(edges) - 1, self.study.flow, self._seed(number), self._field(number)
            )
            for number, edges in enumerate(self.slabs)
            if edges
        }

        def propose(history: History) -> list[Unit]:
            units = []
            for volume, blocks in enumerate(self.blocks):
                of_blocks = [self.unit("blocks", volume, b) for b in range(len(blocks))]
                network = self.unit("networks", volume)
                units += of_blocks
                if all(unit.key in history for unit in of_blocks):
                    units.append(network)
                if self.study.tortuosity and network.key in history:
                    units.append(self.unit("ways", volume))
                if volume in by_slabs and network.key in history:
                    more, told = by_slabs[volume].propose(history)
                    units += more
                    if told is not None:
                        units.append(self.unit("flows", volume, told=told))
                elif self.study.flow.solve and network.key in history:
                    units.append(self.unit("flows", volume))
            fresh = [unit for unit in units if unit.key not in proposed]
            proposed.update(unit.key for unit in fresh)
            return fresh

        return propose

    def pilots(self) -> Sequence[Unit]:
        """A block from the middle of the first volume."""
        return [self.unit("blocks", 0, len(self.blocks[0]) // 2)]

    def memory(self) -> Mapping[str, int]:
        """Peak bytes of a block, and of a search for the ways, by the pores that a few planes show."""
        most = dict.fromkeys(("blocks", "ways", "flows", *SLAB_TASKS), 0)
        for volume, blocks, share, edges in zip(self.given, self.blocks, self.shares, self.slabs, strict=True):
            for start, stop in blocks:
                box = Block(start, stop, _HALO, volume.shape)
                read = math.prod(at.stop - at.start for at in box.extended)
                own = math.prod(b - a + 16 for a, b in zip(start, stop, strict=True))
                most["blocks"] = max(most["blocks"], _BYTES_READ * read + _BYTES_OWN * own)
            if self.study.tortuosity:
                most["ways"] = max(most["ways"], int((share * _BYTES_PORE + _BYTES_VOXEL) * math.prod(volume.shape)))
            if self.study.flow.solve:
                whole = flow_memory(self.study.flow, self.study.retention, volume, share, bool(edges))
                most["flows"] = max(most["flows"], whole)
            if edges:
                for task, bytes_ in slab_memory(self.study.flow, volume.shape, share, edges).items():
                    most[task] = max(most[task], bytes_)
        return {task: bytes_ for task, bytes_ in most.items() if bytes_}

    def collect(self, read: Callable[[str], Any], history: History) -> Sequence[Dataset]:
        """Properties of all volumes, distributions, profiles and networks."""
        networks = read("networks")
        ways = read("ways") if self.study.tortuosity else {}
        flows = read("flows") if self.study.flow.solve else {}
        measured = {}
        for (number,), part in networks.items():
            voxel = float(self.given[number].voxel_nm or math.nan)
            others = ways.get((number,), {}), flows.get((number,), {})
            measured[number] = Measured(part, *others, self.given[number].shape, voxel, self.study)
        found: list[Dataset] = []
        mine = [measured.get(number) for number in range(self.replicates)]
        if any(mine):
            found += tables_of(mine, "", ("replicate",))
        compared = measured.get(self.replicates)
        if compared:
            found += tables_of([compared], "reference_", ())
        if any(mine) and compared:
            alike = self.given[0].shape == self.given[-1].shape and self.given[0].voxel_nm == self.given[-1].voxel_nm
            properties = {dataset.name: dataset for dataset in found}
            found.append(differences(properties["properties"], properties["reference_properties"], alike))
        for number, one in measured.items():
            name = "reference_network" if number == self.replicates else f"network_{number}"
            schema = REFERENCE_NETWORK_TABLE if number == self.replicates else NETWORK_TABLE
            found.append(Dataset(schema, one.network(), name=name))
        return found


def _blocks(shape: tuple[int, ...], edge: int) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Blocks of a volume: first voxel, and last plus one. None is thinner than half an edge."""
    axes = []
    for n in shape:
        count = max(1, round(n / edge))
        edges = [round(n * k / count) for k in range(count + 1)]
        axes.append(list(itertools.pairwise(edges)))
    return [tuple(zip(*block, strict=True)) for block in itertools.product(*axes)]  # type: ignore[misc]


def work(context: Mapping[str, Any], unit: Unit) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """A block, a network, or the ways through a volume.

    Raises
    ------
    ValueError
        If the volume holds what it may not.
    PhysicsError
        If its pores are too wide to be measured in blocks, or the ways cannot be found.
    """
    volume: VolumeSource = context["volumes"][unit.params["volume"]]
    if unit.task == "blocks":
        return _block(context, volume, *context["blocks"][unit.params["volume"]][unit.params["block"]])
    if unit.task == "networks":
        return _network(context, volume, unit.params["volume"])
    if unit.task in SLAB_TASKS or unit.params.get("field"):
        return slab_work(context, unit)
    if unit.task == "flows":
        network = context["scratch"].read("networks", unit.index)
        if context["slabs"][unit.params["volume"]]:
            return flow_by_slabs(context, unit, volume, network), {}
        return flow_through(volume, context["flow"], context["retention"], network, unit.seed_sequence()), {}
    depth = max(1, (1 << 24) // (volume.shape[1] * volume.shape[2]))
    slabs = (
        volume.read((slice(z, min(z + depth, volume.shape[0])), slice(0, volume.shape[1]), slice(0, volume.shape[2])))
        for z in range(0, volume.shape[0], depth)
    )
    space = PoreSpace.of(slabs, volume.shape)
    distance = geodesic_distances(space)
    shortest, reached = shortest_path(space, distance), np.isfinite(distance)
    del distance
    found = diffusion(space, reached, context["tolerance"])
    numbers = {
        "shortest": shortest,
        "conductivity": found.conductivity,
        "spread": found.spread,
        "iterations": found.iterations,
    }
    return {name: np.asarray(value) for name, value in numbers.items()}, {}


def _block(
    context: Mapping[str, Any], volume: VolumeSource, start: tuple[int, ...], stop: tuple[int, ...]
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Distances to the solid, pore sizes and basins of a block."""
    snow: SnowParameters = context["markers"]
    block, squares = block_squared_distances(volume.read, start, stop, volume.shape, margin=snow.margin, halo=_HALO)
    sizes = local_thickness_counts(squares, block)
    regions, _ = block_watershed(squares, block, snow, context["diagonal"])
    return {**regions, "fitting": sizes, "depth": np.array([start[0], stop[0]])}, {}


class _PartsOf:
    """What the blocks of a volume have left, read anew whenever it is gone through."""

    def __init__(self, context: Mapping[str, Any], volume: VolumeSource, number: int) -> None:
        self._reader, self._volume = context["scratch"], volume
        self._span = range(int(context["first"][number]), int(context["first"][number + 1]))

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        for k in self._span:
            try:
                arrays = self._reader.read("blocks", (k,))
                yield {FORMER_NAMES.get(name, name): values for name, values in arrays.items()}
            except FileNotFoundError as error:
                raise PhysicsError(f"block {k - self._span[0]} of {self._volume.path} was not measured") from error


def _network(
    context: Mapping[str, Any], volume: VolumeSource, number: int
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """The network and the connectivity of a volume, and its pore sizes."""
    parts = _PartsOf(context, volume, number)
    sizes, sums = np.zeros((0, volume.shape[0]), np.int64), np.zeros((1, N_REGION_SUMS), np.int64)
    for part in parts:
        counts, (a, b) = part["fitting"], part["depth"]
        if len(counts) > len(sizes):
            sizes = np.concatenate([sizes, np.zeros((len(counts) - len(sizes), volume.shape[0]), np.int64)])
        sizes[: len(counts), a:b] += counts
        sums += part["sums"].sum(axis=0)
    voxel = float(volume.voxel_nm or math.nan)
    found = extract_network(parts, volume.shape, voxel, context["markers"])
    connectivity, network = found.connectivity, found.network
    arrays = {
        "fitting": sizes,
        "profile": connectivity.profile,
        "porosity": connectivity.porosity,
        "through": connectivity.connected,
        "dead_end": connectivity.dead_end,
        "closed": connectivity.closed,
        "n_components": connectivity.n_components,
        "centroid_path": connectivity.centroid_path,
        "surface": surface_areas(sums)[0],
        "unassigned": found.unassigned_fraction,
        "position": network.junctions,
        "volume": network.bodies["volume"],
        "equivalent_radius": network.bodies["equivalent_radius"],
        "inscribed_radius": network.bodies["inscribed_radius"],
        "surface_area": network.bodies["surface_area"],
        "coordination_number": network.bodies["coordination_number"],
        "ends": network.throat_conns,
        "throat_equivalent_radius": network.radius,
        "throat_inscribed_radius": network.throats["inscribed_radius"],
        "throat_area": network.throats["area"],
        "throat_length": network.length,
        "extent": np.array(network.extent),
    }
    return {name: np.asarray(value) for name, value in arrays.items()}, {}


CharacterizeProgram.work = staticmethod(work)
