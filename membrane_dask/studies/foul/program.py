"""Program of a foul study: a unit for the clean structure of every replicate, and one for its life."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from membrane_dask.errors import Problem, Source, StudyError
from membrane_dask.physics.networks.structure_hydraulics import FORMULAS
from membrane_dask.physics.stokes.mac_grid import flow_pores
from membrane_dask.program import Costs, Dataset, History, Outcome, Program, Rounds, Scratch, Unit, settle
from membrane_dask.studies.foul import KIND
from membrane_dask.studies.foul.check import MIN_VOXELS, volume_problems
from membrane_dask.studies.foul.config import FoulStudy
from membrane_dask.studies.foul.findings import is_without_path
from membrane_dask.studies.foul.flux_limit import flux_problems
from membrane_dask.studies.foul.life_tables import hydraulics_table, life_table
from membrane_dask.studies.foul.recorded_flow import recorded_flow_table
from membrane_dask.studies.foul.tasks import damkohler_wall_rate, work
from membrane_dask.studies.input_volumes import InputVolumes, phase_setting, require_pores, volume_rows
from membrane_dask.studies.segmentation_remarks import segmentation_attributes
from membrane_dask.studies.volume_cubes import percolating_cube
from membrane_dask.studies.volume_flow.decomposed_flow import (
    DecomposedFlow,
    decomposed_memory,
    decomposed_scratch,
    slab_edges,
)
from membrane_dask.studies.volume_flow.throat_flow import REGIONS, network_memory, throat_memory, throat_scratch

#: Bytes per pore voxel for the Stokes flow, and per voxel for distances, regions and labels.
_BYTES_PORE, _BYTES_VOXEL = 185, 40
#: Bytes per pore voxel of a life: its network is far smaller than its voxels.
_BYTES_LIFE = 4
#: Edges in voxels of the cubes that are run, first to compile, then to measure.
_CUBE_EDGES = (48, 96)
#: Planes of their slabs, where the flow of a volume is computed by slabs.
_PLANES = 32


class FoulProgram(Program):
    """Units and results of a foul study.

    Parameters
    ----------
    study : FoulStudy
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
        "structures": frozenset({
            "pressure", "operation", "viscosity", "temperature", "foulant", "foulant_volume_fraction", "species",
            "deposition_law", "narrowing_exponent", "erosion", "sieving", "end_of_life", "flux_levels", "step",
            "confidence",
        }),
        "lives": frozenset({"confidence"}),
    }  # fmt: skip

    def __init__(self, study: FoulStudy, source: Source | None = None, inputs: InputVolumes | None = None) -> None:
        self.study, self._source = study, source
        is_whole = inputs is None  # the permeability of a part, which pilots run, is its own
        inputs = inputs or InputVolumes.of(study, source)
        if is_whole:
            require_pores(inputs, source)
        self.volumes, self.porosities = inputs.volumes, inputs.porosities
        self._design, self._findings = inputs.design, inputs.findings
        #: Slabs of the Stokes flow of each volume; None where it is computed in one piece, or not at all.
        self.slab_edges = [
            slab_edges(study.flow_settings(), volume.shape, porosity)
            if study.hydraulics.conductance == "stokes"
            else None
            for volume, porosity in zip(self.volumes, self.porosities, strict=True)
        ]
        self._has_flow = [
            recorded_flow_table(study, number, edges) is not None for number, edges in enumerate(self.slab_edges)
        ]
        computed = [None if read else edges for read, edges in zip(self._has_flow, self.slab_edges, strict=True)]
        self.adaptive = any(computed)
        problems = list(volume_problems(self.volumes)) or (list(flux_problems(study, self.volumes)) if is_whole else [])
        if problems:
            raise StudyError(problems, source)
        self.context: Mapping[str, Any] = {
            "study": study,
            "volumes": self.volumes,
            "flow": study.flow_settings() if self.adaptive else None,
            "slab_edges": self.slab_edges,
            "has_flow": self._has_flow,
        }
        self.attrs: Mapping[str, Any] = {
            "title": "Life of a porous structure as a filter",
            "references": "Gostick, Phys. Rev. E 96, 023307 (2017); Gu, Kondic & Cummings, Phys. Rev. Fluids 8, 044502 "
            "(2023)",
            "seed": study.seed,
            "voxel_size_nm": float(self.volumes[0].voxel_nm or math.nan),
            **segmentation_attributes(self.volumes, self.name),
        }
        n = len(self.volumes)
        self.scratch: Sequence[Scratch] = (
            Scratch("structures", (n,)),
            Scratch("lives", (n,)),
            *(decomposed_scratch(study.flow_settings(), computed) if self.adaptive else ()),
            *throat_scratch(computed),
        )

    @property
    def summary(self) -> Sequence[tuple[str, str]]:
        """Size and approximate porosity of every volume, and where its Stokes flow comes from."""
        rows = volume_rows([self.name(number) for number in range(len(self.volumes))], self.volumes, self.porosities)
        if self.study.flow_run:
            origin = f"of {sum(self._has_flow)} of {len(self.volumes)} volumes from {self.study.flow_run.name}"
            reason = "" if all(self._has_flow) else "; it has no flow of the others with the settings of hydraulics"
            rows.append(("Stokes flow", origin + reason))
        return rows

    def name(self, replicate: int) -> str:
        """Name of a replicate in the keys of its units."""
        return f"replicate={replicate}"

    def unit(self, task: str, replicate: int, **parameters: Any) -> Unit:
        """A unit of a replicate; all replicates have random numbers of their own."""
        seed = (self.study.seed, KIND.seed_key, replicate)
        return Unit(f"{task},{self.name(replicate)}", task, (replicate,), {"replicate": replicate, **parameters}, seed)

    def rounds(self) -> Rounds:
        """The clean structures; then their lives."""
        number = self.study.foulant.damkohler_number
        replicates = range(len(self.volumes))
        if number is None:
            yield [self._replicate_rounds(replicate) for replicate in replicates]
            return
        outcomes = yield from settle([self._structure_rounds(replicate) for replicate in replicates])
        done = [outcome is not None and outcome.status == "done" for outcome in outcomes]
        structures_done = [(k, outcomes[k].feedback) for k in range(len(outcomes)) if done[k]]
        wall_rate = {}
        if percolating := [(k, feedback) for k, feedback in structures_done if feedback["flow"] > 0]:
            wall_rate = {"wall_rate": self._wall_rate(number, *percolating[0])}
        yield [self.unit("lives", replicate, **wall_rate) for replicate, _ in structures_done]

    def _wall_rate(self, number: float, replicate: int, feedback: Mapping[str, float]) -> float:
        """Wall rate in m/s of a Damkoehler number of a replicate, whose structure has this feedback."""
        voxel = float(self.volumes[replicate].voxel_nm or math.nan) * 1e-9
        flow, operation = feedback["flow"], self.study.operation
        if operation.mode == "flux" and isinstance(operation.flux, float):
            _, height, width = self.volumes[replicate].shape
            flow = operation.flux * height * width * self.study.viscosity / (voxel * self.study.pressure)
        return damkohler_wall_rate(number, flow, feedback["wall_area"], voxel, self.study)

    def _replicate_rounds(self, replicate: int) -> Rounds:
        """A clean structure, then its life."""
        yield from self._structure_rounds(replicate)
        yield [self.unit("lives", replicate)]

    def _structure_rounds(self, replicate: int) -> Rounds:
        """The Stokes flow where it is computed by slabs, then the clean structure, whose outcome is returned."""
        edges, error = self.slab_edges[replicate], {}
        if edges and not self._has_flow[replicate]:
            regions: list[Outcome] = yield [self.unit(REGIONS, replicate)]
            unit = self.unit("structures", replicate)
            flow = DecomposedFlow(
                replicate,
                self.name(replicate),
                len(edges) - 1,
                self.study.flow_settings(),
                unit.seed,
                has_alternate=False,
                max_radius=regions[0].feedback["max_radius"],
            )
            solution = yield from flow.rounds()
            error = {name: value for name, value in solution.items() if name == "error"}
            if "upper_bound" in solution:
                yield flow.throat_units()
        (outcome,) = yield [self.unit("structures", replicate, **error)]
        return outcome

    def pilot_programs(self) -> Sequence[Program]:
        """The study of two cubes of the first volume, of which the larger one is measured; none without a path."""
        programs = []
        if all(self._has_flow):  # all that is computed is what formulas need too
            other: dict[str, Any] = {"conductance": "series", "slab_thickness": None}
        else:
            other = {"slab_thickness": _PLANES if self.adaptive else None}
        hydraulics = self.study.hydraulics.model_copy(update=other)
        study = self.study.model_copy(update={"flow_run": None, "hydraulics": hydraulics})
        for edge in _CUBE_EDGES:
            cube, porosity = percolating_cube(self.volumes[0], edge)
            pores = cube.read(tuple(slice(0, n) for n in cube.shape))
            if min(cube.shape) < MIN_VOXELS or pores.all() or not flow_pores(pores, "symmetric").any():
                return ()
            programs.append(FoulProgram(study, inputs=InputVolumes([cast(Any, cube)], [porosity], 1)))
        return programs

    def costs(self, pilots: Mapping[str, float], small: Mapping[str, float]) -> Costs:
        """Work of all units, from that of a cube: by the pore voxels, and the iterations by the edge."""
        cube, porosity = percolating_cube(self.volumes[0], _CUBE_EDGES[-1])
        work = dict.fromkeys(small, 0.0)
        longest = 0.0
        for volume, own in zip(self.volumes, self.porosities, strict=True):
            growth = math.prod(volume.shape) / math.prod(cube.shape) * own / max(porosity, 1e-3)
            growth *= math.sqrt(max(volume.shape) / max(cube.shape))
            for task, seconds in small.items():
                work[task] += seconds * growth
            longest = max(longest, growth * sum(small.values()))
        return Costs(work, longest)

    def memory(self) -> Mapping[str, int]:
        """Peak bytes of the units, by the approximate porosity."""
        resident = max(volume.resident_bytes for volume in self.volumes)
        conductance = self.study.hydraulics.conductance
        peaks = {"structures": 0, "lives": 0}
        own = zip(self.volumes, self.porosities, self._has_flow, self.slab_edges, strict=True)
        for volume, porosity, has_flow, edges in own:
            size, own_slabs = math.prod(volume.shape), None if has_flow else edges
            voxels = network_memory(volume.shape, porosity, walls=True)
            if not (has_flow or own_slabs or conductance in FORMULAS):
                voxels = int((_BYTES_PORE * porosity + _BYTES_VOXEL) * size)
            peaks["structures"] = max(peaks["structures"], voxels + resident)
            peaks["lives"] = max(peaks["lives"], int(_BYTES_LIFE * porosity * size))
            if own_slabs:
                slabs = decomposed_memory(self.study.flow_settings(), volume.shape, porosity, own_slabs)
                for task, peak in (slabs | throat_memory(volume.shape, porosity, own_slabs)).items():
                    peaks[task] = max(peaks.get(task, 0), peak + resident)
        return peaks

    def memory_advice(self, task: str) -> str:
        """Slabs or a formula in place of the flow in one piece, if that is what takes the memory."""
        hydraulics = self.study.hydraulics
        if task == "lives" or hydraulics.conductance in FORMULAS or all(self._has_flow):
            return ""
        if task == "structures" and hydraulics.conductance == "stokes" and not all(self.slab_edges):
            return "use hydraulics.slab_thickness: 64"
        return "use hydraulics.conductance: series, which needs no flow and whose error the result gives"

    def collect(self, read: Callable[[str], Any], history: History) -> Sequence[Dataset]:
        """Lives of all replicates with their intervals, and the conductances against the flow in the voxels.

        Raises
        ------
        StudyError
            If no replicate has a path.
        """
        lives, structures = read("lives"), read("structures")
        n = len(self.volumes)
        tables = []
        if lives:
            rows = [lives.get((k,)) for k in range(n)]
            if all(map(is_without_path, rows)):
                raise StudyError([self._no_path()], self._source)
            tables.append(life_table(self.study, rows, self._design, self._findings))
        if structures:
            tables.append(hydraulics_table(self.study, [structures.get((k,)) for k in range(n)]))
        return tables

    def _no_path(self) -> Problem:
        """Problem of volumes of which none percolates."""
        first, n = self.volumes[0], len(self.volumes)
        subject = f"none of the {n} replicates percolates" if n > 1 else "the volume does not percolate"
        porosity = ", ".join(f"{porosity:.2f}" for porosity in self.porosities[:3]) + (", ..." if n > 3 else "")
        message = (
            f"{subject} along {self.study.axis}: no path of pore voxels with common faces leads from the first plane "
            f"to the last (porosity about {porosity}), so that there is no life; check {phase_setting(first)} and "
            "axis; a study of kind characterize has the other properties, with a permeability of 0"
        )
        return Problem(("input",), f"{message} (got {first.path!r})")
