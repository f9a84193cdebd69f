"""Numbers of a structure itself, from the run that characterized it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from membrane_dask.io.run_tables import RunTable, read_run_attributes, read_run_table
from membrane_dask.physics.importance_sampling import weighted_quantiles

#: Fractions of the throats at which their radii are stored.
QUANTILES = tuple(percent / 100 for percent in range(2, 100, 2))
#: Variables of the table ``bench`` by their names in the round trip.
_OF_THE_BENCH = {
    "radius_structure": "throat_number_median_radius",
    "radius_flow_median": "throat_flow_median_radius",
    "radius_bottleneck": "bubble_point_radius",
    "log_sd_structure": "throat_log_sd",
}


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
        ``log_sd_structure``, ``porosity_structure`` (1) and ``thickness_structure`` (um); ``throat_radius`` (nm) at
        :data:`QUANTILES`; NaN where the run does not have it, as the radii of throats without a virtual bench.
    """
    properties, network = read_run_table(run, "properties"), read_run_table(run, f"network_{replicate}")
    bench = read_run_table(run, "bench") or RunTable({}, {})
    assert properties is not None
    numbers = {name: bench.at(variable, replicate=replicate) for name, variable in _OF_THE_BENCH.items()}
    numbers["throat_radius"] = np.full(len(QUANTILES), np.nan)
    numbers["thickness_structure"] = np.asarray(np.nan)
    if network is not None:
        numbers["thickness_structure"] = network.values["extent"][0] * 1e-3
        if "radius_offset" in bench.attrs:
            voxel = float(np.ravel(read_run_attributes(run)["voxel_size_nm"])[0])
            numbers["throat_radius"] = _throat_radii(network, float(bench.attrs["radius_offset"]) * voxel)
    return numbers | {
        "radius_inscribed_mean": properties.at("pore_radius_mean", replicate=replicate),
        "porosity_structure": properties.at("connected_porosity", replicate=replicate),
    }


def _throat_radii(network: RunTable, offset: float) -> np.ndarray:
    """Quantiles of the entry radii of the throats between pores, nm."""
    radius = network.values["throat_inscribed_radius"][network.values["throat_conns"][:, 1] >= 0]
    if not len(radius):
        return np.full(len(QUANTILES), np.nan)
    return weighted_quantiles(radius + offset, np.ones(len(radius)), QUANTILES)
