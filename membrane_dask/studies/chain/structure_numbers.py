"""Numbers of a structure itself, from the run that characterized it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from membrane_dask.io.run_tables import RunTable, read_run_table
from membrane_dask.physics.elementary import log
from membrane_dask.physics.importance_sampling import weighted_quantiles

#: Fractions of throats, or of their flow, at which their radii are stored.
QUANTILES = tuple(percent / 100 for percent in range(2, 100, 2))
_MEDIAN = QUANTILES.index(0.5)


def structure_numbers(run: Path, replicate: int) -> dict[str, np.ndarray]:
    """Throats, bottleneck, inscribed spheres, porosity and thickness of a replicate.

    Parameters
    ----------
    run : Path
        Run of a characterize study.
    replicate : int
        Number of the replicate.

    Returns
    -------
    dict of str to ndarray
        ``radius_structure``, ``radius_flow_median``, ``radius_bottleneck``, ``radius_inscribed_mean`` (nm),
        ``log_sd_structure``, ``porosity_structure`` (1) and ``thickness_structure`` (um); ``throat_radius_by_number``
        and ``throat_radius_by_flow`` (nm) at :data:`QUANTILES`; NaN where the run does not have it.
    """
    properties, bench = read_run_table(run, "properties"), read_run_table(run, "bench")
    network = read_run_table(run, f"network_{replicate}")
    assert properties is not None
    missing = np.asarray(np.nan)
    return {
        **_throats(network),
        "radius_bottleneck": bench.at("bubble_point_radius", replicate=replicate) if bench is not None else missing,
        "radius_inscribed_mean": properties.at("pore_radius_mean", replicate=replicate),
        "porosity_structure": properties.at("connected_porosity", replicate=replicate),
        "thickness_structure": network.values["extent"][0] * 1e-3 if network is not None else missing,
    }


def _throats(network: RunTable | None) -> dict[str, np.ndarray]:
    """Median radii and widths of the throats between pores, by number and by flow."""
    by_number = by_flow = np.full(len(QUANTILES), np.nan)
    log_sd = np.nan
    if network is not None:
        inner = network.values["throat_conns"][:, 1] >= 0
        radius = network.values["throat_inscribed_radius"][inner]
        flow = np.abs(network.values["throat_flow"][inner]) if "throat_flow" in network else None
        if len(radius):
            by_number, log_sd = weighted_quantiles(radius, np.ones(len(radius)), QUANTILES), float(log(radius).std())
            if flow is not None and flow.sum() > 0:
                by_flow = weighted_quantiles(radius, flow, QUANTILES)
    return {
        "radius_structure": by_number[_MEDIAN],
        "radius_flow_median": by_flow[_MEDIAN],
        "log_sd_structure": np.asarray(log_sd),
        "throat_radius_by_number": by_number,
        "throat_radius_by_flow": by_flow,
    }
