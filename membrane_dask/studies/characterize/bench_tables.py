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

#: Bottleneck in voxels below which radii are uncertain by more than a sixth, and error of a radius, voxels.
_NARROW, _RADIUS_ERROR = 2.0, 0.3
#: Fraction of the flow in throats without a conductance of their own above which the network is a weak model.
_MAX_FALLBACK = 0.05
#: Fraction of the flow in slits above which spherical menisci mislead.
_MAX_SLITS = 0.5


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


def bench_findings(results: Mapping[str, BenchResult | None]) -> list[str]:
    """Sentences on what the bench sees, and on what it does not resolve.

    Parameters
    ----------
    results : mapping of str to BenchResult
        By the name of the volume; None for one that failed.
    """
    sentences = []
    for name, result in results.items():
        if result is None:
            continue
        if not result.critical_square:
            sentences.append(f"Bench, {name}: no path leads from the feed side to the filtrate: no bubble point.")
            continue
        lattice = math.sqrt(result.critical_square)
        if lattice < _NARROW:
            sentences.append(
                f"Bench, {name}: bottleneck of {lattice:.1f} voxels: radii ±{_RADIUS_ERROR} voxel are "
                f"±{_RADIUS_ERROR / lattice:.0%}; refine the volume."
            )
        if any(result.open_planes):
            before, behind = result.open_planes
            sentences.append(
                f"Bench, {name}: {before} open planes before the structure and {behind} behind it: fluids enter by "
                "the first plane anyway, and the thickness of the membrane includes them."
            )
        slits = float(result.flow["slit_flow_fraction"])
        if slits > _MAX_SLITS:
            sentences.append(
                f"Bench, {name}: {slits:.0%} of the flow is in slits, whose entry pressure is half of that of the "
                "sphere in them."
            )
        fallback = float(result.flow["fallback_flow_fraction"])
        if fallback > _MAX_FALLBACK:
            sentences.append(
                f"Bench, {name}: {fallback:.0%} of the flow is in throats whose conductance is that of a formula: the "
                "calibration of the network is weak."
            )
        scalars = result.scalars()
        bubble, median, by_flow = (
            scalars[key] for key in ("bubble_point_radius", "throat_number_median_radius", "throat_flow_median_radius")
        )
        if np.isfinite(by_flow):
            sentences.append(
                f"Bench, {name}: pressure methods see the critical path, not the population of throats: the bubble "
                f"point is {bubble / median:.2f} of their median by number and {bubble / by_flow:.2f} of that by flow."
            )
    settings = next((result.settings for result in results.values() if result), None)
    if settings and settings.mercury.faces == "all" and "mercury" in settings.methods:
        sentences.append(
            "Bench: mercury enters from all six faces, of which a small volume has far more than a crumb of a "
            "laboratory: its radii are too wide."
        )
    return sentences
