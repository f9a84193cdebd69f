"""What a worker computes for a chain: the round trip of one replicate, joined from the runs of the stages."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from membrane_dask.io.run_tables import read_run_table
from membrane_dask.program import Unit
from membrane_dask.studies.chain.methods import METHODS, inferred
from membrane_dask.studies.chain.structure_numbers import structure_numbers


def membrane_label(replicate: int) -> str:
    """Label of a replicate among the membranes of the tables of the virtual bench."""
    return f"replicate {replicate}"


def work(context: Mapping[str, Any], unit: Unit) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """The round trip of a replicate, of the structure or of the reference.

    Parameters
    ----------
    context : mapping
        ``runs``: directories of the runs of the stages, by name.
    unit : Unit
        Its parameters are ``replicate``, and ``prefix`` of the names of the stages.
    """
    runs = {name: Path(path) for name, path in context["runs"].items()}
    prefix, replicate = unit.params["prefix"], unit.params["replicate"]
    structure = structure_numbers(runs[f"{prefix}characterize"], replicate)
    empty = np.full(len(METHODS), np.nan)
    values = dict.fromkeys(("radius_inferred", "radius_low", "radius_high", "log_sd_inferred", "law_misfit"), empty)
    porosity_over_length = empty
    if f"{prefix}porometry" in runs:
        fits = read_run_table(runs[f"{prefix}porometry"], "porometry")
        if fits is not None:
            values = inferred(fits, membrane_label(replicate))
            porosity_over_length = values.pop("porosity_over_path_length")
    metres = structure["thickness_structure"] * 1e-6
    with np.errstate(divide="ignore", invalid="ignore"):
        porosity = porosity_over_length * metres
        values |= {
            "radius_ratio": values["radius_inferred"] / structure["radius_structure"],
            "radius_flow_ratio": values["radius_inferred"] / structure["radius_flow_median"],
            "porosity_inferred": porosity,
            "porosity_ratio": porosity / structure["porosity_structure"],
            "thickness_inferred": structure["porosity_structure"] / porosity_over_length * 1e6,
        }
    return values | {name: np.asarray(value) for name, value in structure.items()}, {}
