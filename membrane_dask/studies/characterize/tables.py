"""What is known of volumes that were characterized, as the tables of a result."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from membrane_dask.physics.imaging.local_thickness import pore_radii
from membrane_dask.program import Dataset
from membrane_dask.schema import Variable
from membrane_dask.studies.characterize.config import CharacterizeStudy
from membrane_dask.studies.characterize.flow_tasks import flow_properties, flow_section, retention_properties
from membrane_dask.studies.characterize.variables import (
    DEPOSITION,
    DIFFERENCE,
    DIFFERENCE_TABLE,
    FLOW,
    FLOW_SECTION,
    MEASURED_TABLES,
    NETWORK,
    PORE_SIZES,
    PROFILES,
    PROPERTIES,
    REFERENCE_TABLES,
    REJECTION,
    RETENTION,
)

#: Parts of the depth that are told apart.
QUARTERS = 4


class Measured:
    """What is known of one volume."""

    def __init__(
        self, part: Mapping[str, np.ndarray], ways: Mapping[str, np.ndarray], flow: Mapping[str, np.ndarray],
        shape: tuple[int, ...], voxel: float, asked: CharacterizeStudy,
    ) -> None:  # fmt: skip
        self.part, self.ways, self.flow, self.shape, self.voxel, self.asked = part, ways, flow, shape, voxel, asked
        # How many pore voxels lie in balls of each radius, by plane; the last row of radii is beyond the widest.
        self.fitting = part["fitting"]
        self.radii = pore_radii(len(self.fitting))

    def properties(self) -> dict[str, Any]:
        """Single numbers."""
        part, voxel = self.part, self.voxel
        inner = part["ends"][:, 1] >= 0
        mean = {
            "body_radius_mean": part["equivalent_radius"],
            "body_inscribed_radius_mean": part["inscribed_radius"],
            "throat_radius_mean": part["throat_equivalent_radius"][inner],
            "throat_inscribed_radius_mean": part["throat_inscribed_radius"][inner],
            "coordination_number_mean": part["coordination_number"],
        }
        conductivity = float(self.ways["conductivity"]) if self.ways else math.nan
        porosity = float(part["porosity"])
        found = {
            "porosity": porosity,
            "connected_porosity": float(part["through"][0]),
            "through_porosity": part["through"],
            "dead_end_porosity": float(part["dead_end"]),
            "closed_porosity": float(part["closed"]),
            "percolates": float(part["through"][0] > 0),
            "n_components": int(part["n_components"]),
            "specific_surface": float(part["surface"]) / (math.prod(self.shape) * voxel),
            "pore_radius_mean": _mean_radius(self.fitting.sum(axis=1), self.radii) * voxel,
            "n_pores": len(part["volume"]),
            "n_throats": int(inner.sum()),
            **{name: float(values.mean()) if len(values) else math.nan for name, values in mean.items()},
            "unassigned_share": float(part["unassigned"]) if porosity else math.nan,
            "tortuosity_geometric": float(self.ways["shortest"]) if self.ways else math.nan,
            "tortuosity_centroid": float(part["centroid_path"]),
            "tortuosity_diffusive": porosity / conductivity if conductivity > 0 else math.nan,
            "effective_diffusivity": conductivity,
            "diffusion_flux_spread": float(self.ways["spread"]) if self.ways else math.nan,
        }
        if self.asked.flow.solve:
            found |= flow_properties(self.flow, self.asked.flow, self.shape[0] * voxel, found)
        if self.asked.retention.solve:
            found |= retention_properties(self.flow)
        return found

    def section(self) -> dict[str, np.ndarray] | None:
        """Speeds of the flow in a section, if it is known."""
        if "speed" not in self.flow:
            return None
        return flow_section(self.flow, self.asked.flow, self.shape[0] * self.voxel)

    def rejection(self) -> dict[str, np.ndarray] | None:
        """Log reductions by the size of balls, if they are known."""
        if "sieving" not in self.flow:
            return None
        return {"log_reduction_sieving": self.flow["sieving"], "log_reduction_first_touch": self.flow["first_touch"]}

    def deposition(self) -> dict[str, np.ndarray] | None:
        """Where balls stick, if it is known."""
        return {"caught": self.flow["caught"]} if "caught" in self.flow else None

    def sizes(self, n_radii: int) -> dict[str, np.ndarray]:
        """How sizes are distributed."""
        counts = np.zeros((n_radii, self.shape[0]))
        counts[: len(self.fitting)] = self.fitting
        edges = [round(self.shape[0] * q / QUARTERS) for q in range(QUARTERS + 1)]
        quarters = np.stack([counts[:, a:b].sum(axis=1) for a, b in itertools.pairwise(edges)])
        with np.errstate(invalid="ignore", divide="ignore"):
            return {
                "share_wider": counts.sum(axis=1) / counts[0].sum(),
                "quarter_share_wider": quarters / quarters[:, :1],
                "quarter_pore_radius_mean": np.array([_mean_radius(q, pore_radii(n_radii)) for q in quarters])
                * self.voxel,
            }

    def profile(self) -> dict[str, np.ndarray]:
        """What changes with the depth."""
        mean = [_mean_radius(counts, self.radii) for counts in self.fitting.T]
        return {
            "porosity": self.part["profile"][:, 0],
            "connected_porosity": self.part["profile"][:, 1],
            "pore_radius_mean": np.array(mean) * self.voxel,
        }

    def network(self) -> dict[str, np.ndarray]:
        """Rows of pores and of throats."""
        return {v.name: self.part[v.name] for v in NETWORK}


def _mean_radius(counts: np.ndarray, radii: np.ndarray) -> float:
    """Mean of the largest fitting radius, from how many voxels balls of each radius hold (the first row: all)."""
    if not len(counts) or not counts[0]:
        return math.nan
    upper = np.concatenate([radii[1:], [2 * radii[-1] - (radii[-2] if len(radii) > 1 else 0.0)]])
    inside = -np.diff(np.concatenate([counts, [0.0]]))
    return float((inside * (radii + upper) / 2).sum() / counts[0])


def tables_of(volumes: Sequence[Measured | None], prefix: str, dims: tuple[str, ...]) -> list[Dataset]:
    """Tables of one group of volumes; NaN for one that failed."""
    good = next(v for v in volumes if v)
    n_radii = max(1, *(len(v.fitting) for v in volumes if v))
    radii = {"pore_radius": pore_radii(n_radii) * good.voxel}
    depth = {"z": (np.arange(good.shape[0]) + 0.5) * good.voxel}
    study = good.asked
    properties = PROPERTIES + (FLOW if study.flow.solve else ()) + (RETENTION if study.retention.solve else ())
    rows: list[tuple[Any, str, Any, dict[str, Any]]] = [
        (properties, "properties", [v.properties() if v else None for v in volumes], {}),
        (PORE_SIZES, "pore_sizes", [v.sizes(n_radii) if v else None for v in volumes], radii),
        (PROFILES, "profiles", [v.profile() if v else None for v in volumes], depth),
    ]
    across = {"x": (np.arange(good.shape[2]) + 0.5) * good.voxel}
    balls: dict[str, Any] = {"particle_diameter": np.array(study.retention.diameters)}
    more: list[tuple[bool, Any, str, Any, dict[str, Any]]] = [
        (study.flow.solve, FLOW_SECTION, "flow", [v.section() if v else None for v in volumes], depth | across),
        (study.retention.solve, REJECTION, "rejection", [v.rejection() if v else None for v in volumes], balls),
        (study.retention.solve, DEPOSITION, "deposition", [v.deposition() if v else None for v in volumes], depth),
    ]
    rows += [tuple(row) for asked, *row in more if asked and any(row[2])]
    schemas = {schema.name: schema for schema in (*MEASURED_TABLES, *REFERENCE_TABLES)}
    number = {"replicate": np.arange(len(volumes))} if dims else {}
    return [
        Dataset(schemas[f"{prefix}{name}"], _stacked(variables, values, dims), dims, number | labels)
        for variables, name, values, labels in rows
    ]


def _stacked(
    variables: Sequence[Variable], values: Sequence[Mapping[str, Any] | None], dims: tuple[str, ...]
) -> dict[str, Any]:
    good = next(v for v in values if v)
    found = {}
    for variable in variables:
        blank = np.full(np.shape(good[variable.name]), np.nan)
        stack = np.stack([np.asarray(v[variable.name] if v else blank) for v in values])
        found[variable.name] = (stack if dims else stack[0]).astype(variable.dtype)
    return found


def differences(mine: Dataset, compared: Dataset, alike: bool) -> Dataset:
    """Relative differences of all properties; of counts only where both volumes are alike in size."""
    values = {}
    for v in DIFFERENCE:
        if v.name not in mine.values:
            continue
        with np.errstate(invalid="ignore", divide="ignore"):
            values[v.name] = mine.values[v.name] / np.float64(compared.values[v.name]) - 1.0
        if v.name.startswith("n_") and not alike:
            values[v.name][:] = np.nan
    return Dataset(DIFFERENCE_TABLE, values, ("replicate",), mine.labels)
