"""Tables of the result of a characterize study, from the arrays of its units."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from membrane_dask.io.oriented_volumes import AXES
from membrane_dask.physics.imaging.coarse_cells import cell_counts, cell_edges, cell_length
from membrane_dask.physics.imaging.local_thickness import pore_radii
from membrane_dask.physics.voxel_spacing import Spacing, is_cube, voxel_volume
from membrane_dask.program import Dataset
from membrane_dask.schema import TableSchema
from membrane_dask.studies.characterize.box_statistics import (
    BOXES,
    box_table,
    edges_of_boxes,
    local_porosity,
    plane_table,
)
from membrane_dask.studies.characterize.config import CharacterizeStudy
from membrane_dask.studies.characterize.properties import (
    flow_properties,
    mean_radius,
    retention_properties,
    stokes_properties,
    structure_properties,
    tortuosity_properties,
)
from membrane_dask.studies.characterize.size_statistics import (
    PERCENTILES,
    WEIGHTS,
    diameter_edges,
    diameter_middles,
    largest_diameter,
    size_tables,
)
from membrane_dask.studies.characterize.tensor_tasks import sample_permeability
from membrane_dask.studies.characterize.variables import (
    DIFFERENCE_TABLE,
    DIRECTIONAL,
    NETWORK,
    REFERENCE_TABLES,
    REPLICATE_TABLES,
)

#: Number of intervals of the depth with pore size distributions of their own.
QUARTERS = 4


@dataclass(frozen=True)
class VolumeResult:
    """Results of one volume.

    Parameters
    ----------
    network, tortuosity, flow : mapping of str to ndarray
        Arrays of these units; empty where they failed or were not needed.
    shape : tuple of int
        Shape of the volume.
    voxel_nm : float
        Shortest edge of a voxel, nm.
    spacing : tuple of float
        Edges of a voxel along ``z, y, x``, over the shortest one.
    study : CharacterizeStudy
        The study.
    along_axes : mapping of str to (mapping, mapping)
        Arrays of the tortuosity and of the flow along each axis of the study, empty likewise.
    tensors, box_flows : mapping of str to ndarray
        Arrays of these units.
    retention : mapping of str to ndarray
        From :func:`.retention_tasks.retention_of_volume`.
    """

    network: Mapping[str, np.ndarray]
    tortuosity: Mapping[str, np.ndarray]
    flow: Mapping[str, np.ndarray]
    shape: tuple[int, ...]
    voxel_nm: float
    spacing: Spacing
    study: CharacterizeStudy
    along_axes: Mapping[str, tuple[Mapping[str, np.ndarray], Mapping[str, np.ndarray]]] = field(default_factory=dict)
    tensors: Mapping[str, np.ndarray] = field(default_factory=dict)
    box_flows: Mapping[str, np.ndarray] = field(default_factory=dict)
    retention: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def edges_nm(self) -> tuple[float, ...]:
        """Edges of a voxel along ``z, y, x``, nm."""
        return tuple(self.voxel_nm * edge for edge in self.spacing)

    @property
    def depth_nm(self) -> float:
        """Extent along z, nm."""
        return self.shape[0] * self.edges_nm[0]

    @property
    def thickness_counts(self) -> np.ndarray:
        """``(n_radii, n_z)``: pore voxels of each plane within inscribed spheres of at least each radius."""
        return self.network["thickness_counts"]

    def properties(self) -> dict[str, Any]:
        """Variables of the table ``properties``."""
        volume = math.prod(self.shape) * voxel_volume(self.spacing)
        values = structure_properties(self.network, self.tortuosity, volume, self.voxel_nm)
        if self.study.flow.enabled:
            values |= flow_properties(self.flow, self.study.flow, self.depth_nm, values)
        if self.study.retention.enabled:
            values |= retention_properties(self.retention)
        return values

    def directional(self) -> dict[str, np.ndarray] | None:
        """Variables of the table ``directional``; None where the depth is the only axis."""
        if len(self.along_axes) < 2:
            return None
        rows = []
        for tortuosity, flow in self.along_axes.values():
            row = tortuosity_properties(tortuosity, float(self.network["porosity"])) if self.study.tortuosity else {}
            rows.append(row | (stokes_properties(flow) if self.study.flow.enabled else {}))
        return {name: np.array([row[name] for row in rows]) for name in DIRECTIONAL if name in rows[0]} or None

    def tensor_table(self) -> dict[str, np.ndarray] | None:
        """Variables of the table ``tensors``; None where they were not computed."""
        arrays = dict(self.tensors)
        if self.study.tensors == "sample" and self.study.flow.enabled:
            arrays |= sample_permeability([self.along_axes[axis][1] for axis in AXES], self.study.flow.wall_model)
        in_m2 = {f"permeability_{name}" for name in ("tensor", "tensor_upper_bound", "principal")}
        return {name: values * 1e-18 if name in in_m2 else values for name, values in arrays.items()} or None

    def pore_sizes(self, n_radii: int) -> dict[str, np.ndarray]:
        """Variables of the table ``pore_sizes``, at the first ``n_radii`` radii."""
        counts = np.zeros((n_radii, self.shape[0]))
        counts[: len(self.thickness_counts)] = self.thickness_counts
        quarters = np.stack([counts[:, a:b].sum(axis=1) for a, b in itertools.pairwise(self.quarters)])
        with np.errstate(invalid="ignore", divide="ignore"):
            return {
                "cumulative_volume_fraction": counts.sum(axis=1) / counts[0].sum(),
                "quarter_cumulative_volume_fraction": quarters / quarters[:, :1],
                "quarter_pore_radius_mean": np.array([mean_radius(q) for q in quarters]) * self.voxel_nm,
            }

    @property
    def quarters(self) -> list[int]:
        """First plane of each quarter of the depth, and the last plane plus one."""
        return [round(self.shape[0] * q / QUARTERS) for q in range(QUARTERS + 1)]

    def size_tables(self, edges: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Variables of the tables ``size_distributions`` and ``size_percentiles``."""
        return size_tables(self.network, self.voxel_nm, self.edges_nm[0], edges, self.quarters)

    def profiles(self) -> dict[str, np.ndarray]:
        """Variables of the table ``profiles``."""
        return {
            "porosity": self.network["profile"][:, 0],
            "connected_porosity": self.network["profile"][:, 1],
            "pore_radius_mean": np.array([mean_radius(counts) for counts in self.thickness_counts.T]) * self.voxel_nm,
        }

    def flow_section(self) -> dict[str, np.ndarray] | None:
        """Variables of the table ``flow``."""
        if "speed" not in self.flow:
            return None
        gradient = self.study.flow.pressure / (self.depth_nm * 1e-9)
        return {"speed": self.flow["speed"] * 1e-18 * gradient / self.study.flow.viscosity}

    def rejection(self) -> dict[str, np.ndarray] | None:
        """Variables of the table ``rejection``."""
        return self._retention("log_reduction_reflecting", "log_reduction_perfect_sink")

    def deposition(self) -> dict[str, np.ndarray] | None:
        """Variables of the table ``deposition``."""
        return self._retention("deposited_fraction")

    def network_table(self) -> dict[str, np.ndarray]:
        """Variables of the pore network."""
        return {v.name: self.network[v.name] for v in NETWORK}

    def local_porosity_table(self, schema: TableSchema, name: str) -> Dataset:
        """The table of the porosity of every cell."""
        cells = cell_edges(self.shape, self.spacing)
        labels = {
            axis: (cell * np.arange(n) + np.minimum(cell, size - cell * np.arange(n)) / 2) * edge
            for axis, cell, n, size, edge in zip(
                "zyx", cells, cell_counts(self.shape, cells), self.shape, self.edges_nm, strict=True
            )
        }
        values = {"pore_fraction": local_porosity(self.network, self.shape, self.spacing)}
        voxels = cells[0] if is_cube(self.spacing) else list(cells)
        return Dataset(
            schema,
            values,
            labels=labels,
            attrs={"cell_edge_nm": cell_length(cells, self.spacing) * self.voxel_nm, "cell_edge_voxels": voxels},
            name=name,
        )

    def _retention(self, *names: str) -> dict[str, np.ndarray] | None:
        return {name: self.retention[name] for name in names} if self.retention else None


def replicate_tables(volumes: Sequence[VolumeResult | None]) -> dict[str, Dataset]:
    """Tables of all replicates, by name; None stands for one that failed, whose values are NaN."""
    return _tables(volumes, REPLICATE_TABLES, ("replicate",))


def reference_tables(volumes: Sequence[VolumeResult | None]) -> dict[str, Dataset]:
    """Tables of the reference, by the names of those of the replicates; without that dimension if it is one volume."""
    return _tables(volumes, REFERENCE_TABLES, ("replicate",) if len(volumes) > 1 else ())


def _tables(
    volumes: Sequence[VolumeResult | None], schemas: Mapping[str, TableSchema], dims: tuple[str, ...]
) -> dict[str, Dataset]:
    results = [volume for volume in volumes if volume]
    first, study = results[0], results[0].study
    voxel_nm = first.voxel_nm
    n_radii = max(1, *(len(volume.thickness_counts) for volume in results))
    largest = max(largest_diameter(volume.network, volume.voxel_nm) for volume in results)
    diameters = diameter_edges(voxel_nm, largest)
    sizes = [volume.size_tables(diameters) if volume else None for volume in volumes]
    z, y, x = ((np.arange(n) + 0.5) * edge for n, edge in zip(first.shape, first.edges_nm, strict=True))
    text = np.dtypes.StringDType()
    labels: dict[str, dict[str, np.ndarray]] = {
        "properties": {},
        "directional": {"direction": np.array([axis for axis in AXES if axis in study.axes], text)},
        "tensors": {"component": np.array(list(AXES), text), "gradient": np.array(list(AXES), text)},
        "pore_sizes": {"pore_radius": pore_radii(n_radii) * voxel_nm},
        "size_distributions": {"weight": np.array(WEIGHTS, text), "diameter": diameter_middles(diameters)},
        "size_percentiles": {"weight": np.array(WEIGHTS, text), "percentile": np.array(PERCENTILES)},
        "profiles": {"z": z},
        "planes": {"y": y, "x": x},
        "representative_volume": {
            "box": np.array(BOXES, text),
            "box_edge": voxel_nm * np.array(edges_of_boxes(first.shape, first.spacing)),
        },
        "flow": {"z": z, "x": x},
        "rejection": {"particle_diameter": np.array(study.retention.diameters)},
        "deposition": {"z": z},
    }
    rows: dict[str, list[Mapping[str, Any] | None]] = {
        "properties": [volume.properties() if volume else None for volume in volumes],
        "directional": [volume.directional() if volume else None for volume in volumes],
        "tensors": [volume.tensor_table() if volume else None for volume in volumes],
        "pore_sizes": [volume.pore_sizes(n_radii) if volume else None for volume in volumes],
        "size_distributions": [tables[0] if tables else None for tables in sizes],
        "size_percentiles": [tables[1] if tables else None for tables in sizes],
        "profiles": [volume.profiles() if volume else None for volume in volumes],
        "planes": [plane_table(volume.network, volume.shape) if volume else None for volume in volumes],
        "representative_volume": [
            box_table(volume.network, volume.box_flows, volume.shape, volume.voxel_nm, volume.spacing)
            if volume
            else None
            for volume in volumes
        ],
        "flow": [volume.flow_section() if volume else None for volume in volumes],
        "rejection": [volume.rejection() if volume else None for volume in volumes],
        "deposition": [volume.deposition() if volume else None for volume in volumes],
    }
    replicates = {"replicate": np.arange(len(volumes))} if dims else {}
    return {
        name: Dataset(schemas[name], _stack(schemas[name], values, dims), dims, replicates | labels[name])
        for name, values in rows.items()
        if any(values)
    }


def _stack(
    schema: TableSchema, rows: Sequence[Mapping[str, Any] | None], dims: tuple[str, ...]
) -> dict[str, np.ndarray]:
    """Values of all rows along a new first axis, or of the only row; NaN for a row that is missing."""
    complete = next(row for row in rows if row)
    columns = {}
    for variable in schema.variables:
        if variable.name not in complete:
            continue
        missing = np.full(np.shape(complete[variable.name]), np.nan if variable.dtype == "f8" else 0)
        column = np.stack([np.asarray(row[variable.name] if row else missing) for row in rows])
        columns[variable.name] = (column if dims else column[0]).astype(variable.dtype)
    return columns


def difference_table(replicates: Dataset, reference: Dataset, equal_size: bool) -> Dataset:
    """Relative differences of all properties from the reference; of numbers of things only for volumes of equal size.

    Parameters
    ----------
    replicates, reference : Dataset
        Tables ``properties`` and ``reference_properties``; of a reference with replicates the first one counts.
    equal_size : bool
        Whether volumes and voxels have the same size.
    """
    values = {}
    for name in (v.name for v in DIFFERENCE_TABLE.variables if v.name in replicates.values):
        with np.errstate(invalid="ignore", divide="ignore"):
            values[name] = replicates.values[name] / np.float64(np.ravel(reference.values[name])[0]) - 1.0
        if name.startswith("n_") and not equal_size:
            values[name][:] = np.nan
    return Dataset(DIFFERENCE_TABLE, values, ("replicate",), replicates.labels)
