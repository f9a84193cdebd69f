"""Intervals over replicates of the numbers of all stages, and their distance from a reference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from membrane_dask.io.run_tables import RunTable
from membrane_dask.physics.networks.structure_laws import NO_PATH
from membrane_dask.physics.reconstruction.replicate_interval import (
    INDEPENDENT_SEARCHES,
    MIN_REPLICATES,
    replicate_interval,
)
from membrane_dask.program import Dataset
from membrane_dask.schema import find_table
from membrane_dask.studies.chain.variables import INTERVALS, TABLES

#: Numbers of other tables than those of the bench and the life, which have all their single numbers.
_QUANTITIES = {"properties": ("permeability", "connected_porosity"), "round_trip": ("radius_inferred",)}
#: Numbers that describe the computation, not the structure.
_DIAGNOSTICS = frozenset({
    "network_permeability_ratio", "fallback_flow_fraction", "fallback_throat_fraction", "foulant_balance",
    "end_of_life_cause", "wall_rate", "bottleneck_radius", "hydraulic_radius", "n_arrivals", "n_passed", "n_blocked",
    "slit_flow_fraction",
})  # fmt: skip
#: Fractions, whose intervals lie within 0 and 1; others are positive.
_FRACTIONS = frozenset({"connected_porosity", "mercury_porosity"})
#: What the intervals of a reconstruction do not hold.
NO_BIAS = "interval over replicates of the reconstruction; its bias is not in it"


def interval_table(
    tables: Mapping[str, RunTable], reference: Mapping[str, RunTable], confidence: float, design: str
) -> Dataset:
    """Intervals over the replicates, and the same numbers of the reference.

    Parameters
    ----------
    tables : mapping of str to RunTable
        Tables of the stages by name, with the dimension ``replicate``.
    reference : mapping of str to RunTable
        Those of the reference; empty if there is none.
    confidence : float
        In (0, 1).
    design : str
        How the replicates are related to each other, of :func:`membrane_dask.io.volumes.replicate_design`.

    Returns
    -------
    Dataset
        The table ``intervals``, with the sentence that the bias is not in them.
    """
    rows: list[tuple[str, str, float, float, float, float]] = []
    n_replicates = 1
    for label, table, name, labels in _quantities(tables):
        values = np.atleast_1d(tables[table].at(name, **labels)).astype(float)
        if not np.isfinite(values).any():
            continue
        n_replicates = max(n_replicates, len(values))
        if table == "life":
            has_life = _has_life(tables[table], len(values))
            # Lives that end before a level are the longest ones: an interval of the others would be too short.
            is_open = "level" in labels and np.isnan(values[has_life]).any()
            within = np.where(has_life & ~is_open, values, np.nan)
        else:
            within = values
        low, high = _interval(within, name, confidence, design)
        reference_table = reference.get(table)
        true = float(np.ravel(reference_table.at(name, **labels))[0]) if reference_table is not None else np.nan
        rows.append((label, _unit(table, name), values[0], low, high, true))
    labels_, units, best, low_, high_, true_ = (
        (list(column) for column in zip(*rows, strict=True)) if rows else [[]] * 6
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        bias = np.array(best, float) / np.array(true_, float)
    columns = {"best_match": best, "best_match_low": low_, "best_match_high": high_, "reference": true_, "bias": bias}
    values_by_name: dict[str, Any] = {name: np.array(column, float) for name, column in columns.items()}
    values_by_name["unit"] = np.array(units, "T")
    sentences = [f"chain: {NO_BIAS}"] if n_replicates >= MIN_REPLICATES else []
    compared, outside = _compared_with_reference(values_by_name)
    comparison = f"chain: the reference lies outside {outside} of {compared} intervals"
    sentences += [comparison] if compared else []
    if "life" in tables and n_replicates >= MIN_REPLICATES:
        of_lives = np.array([label.startswith("life/") for label in labels_], bool)
        has_interval = bool(np.isfinite(values_by_name["best_match_low"][of_lives]).any())
        sentences += _life_sentences(tables["life"], n_replicates, design, has_interval)
    outcomes = [comparison] if compared and not outside else []
    attrs = {"summary": sentences, "outcomes": outcomes, "confidence": confidence}
    return Dataset(INTERVALS, values_by_name, ("quantity",), {"quantity": np.array(labels_, "T")}, attrs)


def _quantities(tables: Mapping[str, RunTable]) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Label, table, variable and labels of further dimensions of each number of a replicate."""
    for table, content in tables.items():
        schema = find_table(TABLES, table)
        declared = tuple(v.name for v in schema.variables if not v.group) if schema is not None else ()
        for name in _QUANTITIES.get(table, declared):
            if name not in content or name in _DIAGNOSTICS or content.values[name].dtype.kind != "f":
                continue
            if "replicate" in content.labels and "replicate" not in content.dims[name]:
                continue  # the end of an interval over the replicates
            dims = tuple(dim for dim in content.dims[name] if dim != "replicate")
            if dims in (("method",), ("level",)):
                for label in content.labels[dims[0]]:
                    yield f"{table}/{name}, {label}", table, name, {dims[0]: label}
            elif not dims:
                yield f"{table}/{name}", table, name, {}


def _has_life(life: RunTable, n: int) -> np.ndarray:
    """Replicates whose life is known, and through which a path leads: intervals hold no others."""
    causes = np.broadcast_to(np.atleast_1d(life.at("end_of_life_cause")), n)
    return np.asarray(np.isfinite(causes) & (causes != NO_PATH))


def _life_sentences(life: RunTable, n: int, design: str, has_interval: bool) -> Iterator[str]:
    """Sentences on the structures that the intervals of lives hold, or on why there are none."""
    has_life = _has_life(life, n)
    lives = int(has_life.sum())
    if has_interval and lives < n:
        yield f"chain: {lives} of {n} structures have a known life: intervals of the life hold these"
    elif not has_interval and design != INDEPENDENT_SEARCHES and not has_life[0]:
        yield "chain: no interval of the life: that of the best match is not known, or it has none"
    elif not has_interval and lives < MIN_REPLICATES:
        yield "chain: no interval of the life: fewer than three lives"


def _interval(values: np.ndarray, name: str, confidence: float, design: str) -> tuple[float, float]:
    import xarray as xr

    if len(values) < MIN_REPLICATES:
        return np.nan, np.nan
    scale = "logit" if name in _FRACTIONS else "log" if (values[np.isfinite(values)] >= 0).all() else "linear"
    array = xr.DataArray(values, dims=["replicate"], coords={"replicate": np.arange(len(values))}, name=name)
    array["replicate"].attrs["design"] = design
    low, high = replicate_interval(array, confidence, scale=scale)
    return float(low), float(high)


def _unit(table: str, name: str) -> str:
    """Unit of a variable of a table; that of a property of the structure is its own."""
    units = {"permeability": "m2", "connected_porosity": "1"}
    declared = {f"{t.name}/{v.name}": v.units for t in TABLES for v in t.variables}
    return declared.get(f"{table}/{name}", units.get(name, "1"))


def _compared_with_reference(values: Mapping[str, np.ndarray]) -> tuple[int, int]:
    """Number of intervals of which the reference is known, and of those that do not contain it."""
    low, high, reference = (values[name] for name in ("best_match_low", "best_match_high", "reference"))
    is_compared = np.isfinite(reference) & np.isfinite(low)
    is_outside = is_compared & ((reference < low) | (reference > high))
    return int(is_compared.sum()), int(is_outside.sum())
