"""Tables of a foul study from the arrays of its units: lives, their intervals over the replicates, hydraulics."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from membrane_dask.physics.networks.structure_laws import NO_PATH
from membrane_dask.physics.networks.structure_metrics import HISTORY_POINTS
from membrane_dask.physics.reconstruction.replicate_interval import replicate_interval
from membrane_dask.program import Dataset
from membrane_dask.schema import Coordinate
from membrane_dask.studies.foul.config import FoulStudy
from membrane_dask.studies.foul.findings import (
    NO_VOXELS,
    count_lives,
    interval_findings,
    life_findings,
    model_factor_of,
)
from membrane_dask.studies.foul.variables import HYDRAULICS, INTERVALS, LIFE

#: Arrays of a replicate's unit; None for one that failed.
Row = Mapping[str, np.ndarray] | None


def life_table(study: FoulStudy, rows: Sequence[Row], design: str, findings: Sequence[str]) -> Dataset:
    """Lives of all replicates, with intervals over the replicates.

    Parameters
    ----------
    study : FoulStudy
    rows : sequence of mapping or None
        Arrays of the life of every replicate.
    design : str
        How replicates are related to each other.
    findings : sequence of str
        What the reconstruction says of its fit.
    """
    text = np.dtypes.StringDType()
    labels = {
        "replicate": np.arange(len(rows)),
        "level": np.array(study.flux_levels),
        "depth": (np.arange(study.depth_bins) + 0.5) / study.depth_bins,
        "time": np.arange(HISTORY_POINTS) / (HISTORY_POINTS - 1),
        "species": np.array(study.species_names, text),
    }
    values = {}
    for variable in LIFE.variables:
        if variable.dims[:1] == ("replicate",):
            shape = tuple(len(labels[dim]) for dim in variable.dims[1:])
            missing = np.full(shape, math.nan)
            values[variable.path] = np.stack([row.get(variable.path, missing) if row else missing for row in rows])
    replicate = Coordinate("replicate", "1", "number of the replicate", {"design": design})
    # NaN is the cause of a unit that failed.
    has_life = np.isfinite(values["end_of_life_cause"]) & (values["end_of_life_cause"] != NO_PATH)
    # Lives that end before a level are the longest ones: an interval of the others would be too short.
    is_missing = np.isnan(values["service_time_level"][has_life])
    is_open = is_missing.any(axis=0) & ~is_missing.all(axis=0)
    intervals: dict[str, np.ndarray] = {}
    for name in INTERVALS:
        of_lives = np.where(has_life.reshape(-1, *[1] * (values[name].ndim - 1)), values[name], math.nan)
        if values[name].ndim > 1:
            of_lives[:, is_open] = math.nan
        intervals |= _interval(name, of_lives, design, study.confidence)
    values |= intervals
    has_interval = any(np.isfinite(end).any() for end in intervals.values())
    open_levels = [level for level, one_is_open in zip(study.flux_levels, is_open, strict=True) if one_is_open]
    summary = [
        *(f"Reconstruction: {sentence}" for sentence in findings),
        *life_findings(study, rows),
        *interval_findings(rows, design, has_interval, open_levels),
    ]
    attrs: dict[str, Any] = {"confidence": study.confidence}
    attrs["conductance"] = study.tube_radius if study.has_network else study.hydraulics.conductance
    attrs["model_factor"] = NO_VOXELS if study.has_network else model_factor_of(study, rows)
    attrs["interval_replicates"] = count_lives(rows) if has_interval else 0
    if summary:
        attrs["summary"] = summary
    return Dataset(LIFE.with_coordinate(replicate), values, labels=labels, attrs=attrs)


def _interval(name: str, values: np.ndarray, design: str, confidence: float) -> dict[str, np.ndarray]:
    """Ends of the interval of a variable over the replicates, on the logarithm; NaN for fewer than three."""
    import xarray as xr

    coordinate = xr.Variable("replicate", np.arange(len(values)), {"design": design})
    array = xr.DataArray(
        values, {"replicate": coordinate}, ("replicate", *(f"dim_{k}" for k in range(1, values.ndim))), name
    )
    low, high = replicate_interval(array, confidence, scale="log")
    return {f"{name}_low": low.values, f"{name}_high": high.values}


def hydraulics_table(study: FoulStudy, rows: Sequence[Row]) -> Dataset:
    """Permeability ratios and flow errors of the conductances of the study, and of formulas against Stokes flow."""
    used = study.hydraulics.conductance
    names = ["stokes", "series", "inscribed", "equivalent"] if used == "stokes" else [used]
    ratio, error = np.full((2, len(rows), len(names)), math.nan)
    for k, row in enumerate(rows):
        for i, name in enumerate(names):
            if row is not None:
                key = "permeability_ratio" if name == used else f"formula_ratio_{name}"
                ratio[k, i] = row.get(key, math.nan)
                error[k, i] = row.get(f"flow_error_{name}", math.nan)
    labels = {
        "replicate": np.arange(len(rows)),
        "conductance": np.array(names, np.dtypes.StringDType()),
    }
    return Dataset(HYDRAULICS, {"permeability_ratio": ratio, "flow_error": error}, labels=labels)
