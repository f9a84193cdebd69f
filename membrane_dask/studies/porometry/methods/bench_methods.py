"""The methods of the bench by name."""

from __future__ import annotations

from membrane_dask.studies.porometry.methods import (
    bubble_point,
    capillary_flow,
    entry_pressure,
    flux_decline,
    gas_permeation,
    liquid_displacement,
    mercury,
    rejection,
)
from membrane_dask.studies.porometry.methods.contract import BenchMethod

#: All methods but the flux of water, whose table may also hold published lines.
BENCH_METHODS: dict[str, BenchMethod] = {
    "capillary flow": capillary_flow,
    "bubble point": bubble_point,
    "liquid displacement": liquid_displacement,
    "gas permeation": gas_permeation,
    "rejection": rejection,
    "fouling": flux_decline,
    "mercury": mercury,
    "entry pressure": entry_pressure,
}
