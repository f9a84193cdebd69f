"""Result tables of the virtual bench, of all volumes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from membrane_dask.program import Dataset
from membrane_dask.studies.characterize.bench_results import BenchResult
from membrane_dask.studies.characterize.bench_tasks import solute_radii
from membrane_dask.studies.characterize.bench_variables import CURVES, TABLES, THROAT_FLOW_TABLE
from membrane_dask.studies.characterize.config import CharacterizeStudy
from membrane_dask.studies.characterize.sections import section_step
from membrane_dask.studies.volume_settings import stokes_settings


def bench_tables(
    results: Sequence[BenchResult | None], section_pores: np.ndarray, *, is_reference: bool, several: bool
) -> list[Dataset]:
    """Tables of the replicates, or of the reference.

    Parameters
    ----------
    results : sequence of BenchResult
        None for volumes that failed, whose values are NaN.
    section_pores : (z, x) ndarray
        Pores in the middle section of the first volume, as ``section_y``.
    is_reference : bool
        Whether the volumes are those of the reference.
    several : bool
        Whether there is a dimension ``replicate``.
    """
    complete = [result for result in results if result is not None]
    if not complete:
        return []
    first = complete[0]
    dims = ("replicate",) if several else ()
    replicates = {"replicate": np.arange(len(results))} if several else {}
    levels = np.unique(np.concatenate([result.levels() for result in complete]))[::-1]
    settings = first.settings
    rows: dict[str, list[Mapping[str, object] | None]] = {
        "bench": [result.scalars() if result else None for result in results],
        "bench_curves": [_curves(result, levels) if result else None for result in results],
    }
    labels: dict[str, dict[str, np.ndarray]] = {
        "bench": {},
        "bench_curves": {"entry_radius": first.entry_radius(levels)},
    }
    if "rejection" in settings.methods:
        rows["bench_rejection"] = [
            {"sieving_coefficient": result.flow["sieving_coefficient"]} if result else None for result in results
        ]
        labels["bench_rejection"] = {"solute_radius": solute_radii(settings)}
    if "gas permeation" in settings.methods:
        rows["bench_gas"] = [{"gas_permeance": result.gas_permeance()} if result else None for result in results]
        labels["bench_gas"] = {"mean_pressure": np.array(settings.gas.mean_pressures) / 1e5}
    lattice = [math.sqrt(result.critical_square) if result else math.nan for result in results]
    attrs = {
        "bench": {
            "radius_offset": settings.radius_offset, "connectivity": settings.connectivity, "flow": settings.flow,
            "bubble_point_lattice_radius": lattice,
        }
    }  # fmt: skip
    tables = []
    for name, values in rows.items():
        schema = TABLES[name][is_reference]
        tables.append(Dataset(schema, _stack(values, several), dims, replicates | labels[name], attrs.get(name, {})))
    if results[0] is not None:
        tables.append(_section(results[0], section_pores, is_reference))
    return tables


def throat_flow_table(
    name: str, result: BenchResult, study: CharacterizeStudy, slab_edges: Sequence[int] | None = None
) -> Dataset:
    """Flow through the throats of a replicate, with all that decides it: studies of the same voxels read it.

    Parameters
    ----------
    name : str
        Name of the table.
    result : BenchResult
        Of a volume with flow.
    study : CharacterizeStudy
    slab_edges : sequence of int, optional
        Slabs of the Stokes flow; default that of the volume in one piece.
    """
    values = {variable.name: result.flow[variable.name] for variable in THROAT_FLOW_TABLE.variables}
    attrs = {
        "voxels_digest": result.flow["voxels_digest"].tobytes().hex(),
        "settings": study.network_settings()
        | {"connectivity": study.bench.connectivity}  # that of the network of the bench
        | stokes_settings(study.flow, slab_edges),
    }
    return Dataset(THROAT_FLOW_TABLE, values, (), {}, attrs, name)


def _curves(result: BenchResult, levels: np.ndarray) -> dict[str, np.ndarray]:
    values = (
        result.wet_fractions(levels),
        result.counts(f"filled_{result.settings.mercury.faces}", levels),
        result.counts("access_inlet", levels),
    )
    return {variable.name: column for variable, column in zip(CURVES, values, strict=True)}


def _stack(rows: Sequence[Mapping[str, object] | None], several: bool) -> dict[str, np.ndarray]:
    """Values of all rows along a new first axis, or of the only row; NaN for a row that is missing."""
    complete = next(row for row in rows if row)
    columns = {}
    for name, value in complete.items():
        missing = np.full(np.shape(np.asarray(value)), np.nan)
        column = np.stack([np.asarray(row[name] if row else missing, float) for row in rows])
        columns[name] = column if several else column[0]
    return columns


def _section(result: BenchResult, pores: np.ndarray, is_reference: bool) -> Dataset:
    step = section_step(result.shape)
    radius = np.where(pores > 0, result.section(), np.float32(-1))
    z, x = ((np.arange(0, result.shape[axis], step) + 0.5) * result.voxel_nm for axis in (0, 2))
    return Dataset(TABLES["bench_section"][is_reference], {"drainage_radius": radius}, (), {"z": z, "x": x})
