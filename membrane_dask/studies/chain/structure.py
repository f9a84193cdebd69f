"""Numbers of a structure itself, from the run that characterized it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from membrane_dask.io.run_tables import RunTable, read_run_table
from membrane_dask.physics.elementary import log


def structure_numbers(run: Path, replicate: int) -> dict[str, float]:
    """Throats, bottleneck, inscribed spheres, porosity and thickness of a replicate.

    Parameters
    ----------
    run : Path
        Run of a characterize study.
    replicate : int
        Number of the replicate.

    Returns
    -------
    dict of str to float
        ``radius_structure``, ``radius_flow_median``, ``radius_bottleneck``, ``radius_inscribed_mean`` (nm),
        ``log_sd_structure``, ``porosity_structure`` (1) and ``thickness_structure`` (um); NaN where the run does not
        have it.
    """
    properties, bench = read_run_table(run, "properties"), read_run_table(run, "bench")
    network = read_run_table(run, f"network_{replicate}")
    assert properties is not None
    depth = float(network.values["extent"][0]) if network is not None else np.nan
    bottleneck = float(bench.at("bubble_point_radius", replicate=replicate)) if bench is not None else np.nan
    return {
        **_throats(network),
        "radius_bottleneck": bottleneck,
        "radius_inscribed_mean": float(properties.at("pore_radius_mean", replicate=replicate)),
        "porosity_structure": float(properties.at("connected_porosity", replicate=replicate)),
        "thickness_structure": depth * 1e-3,
    }


def _throats(network: RunTable | None) -> dict[str, float]:
    """Medians and width of the radii of the throats between pores."""
    if network is None:
        return dict.fromkeys(("radius_structure", "radius_flow_median", "log_sd_structure"), np.nan)
    inner = network.values["throat_conns"][:, 1] >= 0
    radius = network.values["throat_inscribed_radius"][inner]
    return {
        "radius_structure": float(np.median(radius)) if len(radius) else np.nan,
        "radius_flow_median": np.nan,
        "log_sd_structure": float(log(radius).std()) if len(radius) else np.nan,
    }
