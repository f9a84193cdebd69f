"""Effect of random errors of readings on the line of each membrane (Palencia Sec. 3.4), for the tables of a study."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from membrane_dask.io.tables.flux_curves import FluxCurve
from membrane_dask.physics.porometry.measurement_errors import READINGS, line_errors
from membrane_dask.studies.porometry.config import PorometryStudy
from membrane_dask.studies.porometry.measurements import MembraneData

#: Name of each quantity of the simulation in the table.
_QUANTITIES = {"permeability": "permeability", "threshold": "threshold_pressure"}


def simulate_reading_errors(
    membranes: Sequence[MembraneData], fits: Any, study: PorometryStudy
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Deviations of permeability and threshold pressure in simulated experiments.

    The fitted line of each membrane is the truth; one of pressure, time and mass has errors, at the pressures of its
    table. NaN where a membrane has no line through its readings: curves with a critical pressure, and bent fluxes.

    Parameters
    ----------
    membranes : sequence of MembraneData
        All membranes.
    fits : xarray.Dataset
        The table ``porometry``, in their order.
    study : PorometryStudy
        Largest errors, number of experiments and seed.

    Returns
    -------
    labels, values : dict of str to array
        Labels of the dimensions, and variables, of the table ``reading_errors``.
    """
    largest_errors, cycles = study.reading_errors.largest, study.reading_errors.cycles
    labels = {
        "membrane": np.array([membrane.label for membrane in membranes], "T"),
        "reading": np.array(READINGS, "T"),
        "largest_error": np.array(largest_errors),
        "cycle": np.arange(cycles),
    }
    shape = (len(membranes), len(READINGS), len(largest_errors), cycles)
    deviations = {name: np.full(shape, math.nan) for name in _QUANTITIES}
    for k, membrane in enumerate(membranes):
        slope, threshold = float(fits.hydraulic_permeability[k]), float(fits.threshold_pressure[k])
        curve = membrane.curve
        if curve is None or (isinstance(curve, FluxCurve) and study.curve == "darcy"):
            continue
        if not (math.isfinite(slope) and math.isfinite(threshold)):
            continue
        pressures = curve.pressure if isinstance(curve, FluxCurve) else curve.pressures
        for i, reading in enumerate(READINGS):
            for j, largest in enumerate(largest_errors):
                # The stream of a membrane does not depend on the other ones.
                rng = np.random.default_rng([study.seed, zlib.crc32(membrane.label.encode()), i, j])
                errors = line_errors(
                    (slope, -slope * threshold), pressures, reading, 100 * largest, rng, cycles=cycles
                )  # fmt: skip
                for name, percentages in errors.items():
                    deviations[name][k, i, j] = percentages / 100
    values: dict[str, np.ndarray] = {}
    for name, variable in _QUANTITIES.items():
        deviation = deviations[name]
        values |= {
            f"{variable}_deviation": deviation,
            f"{variable}_deviation_mean": np.abs(deviation).mean(axis=-1),
            f"{variable}_deviation_max": np.abs(deviation).max(axis=-1),
            f"{variable}_deviation_mean_square": np.square(deviation).mean(axis=-1),
        }
    return labels, values
