"""Small studies that search for the best design."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import membrane_dask as md

RADII = {"radius": {"range": [0.004, 0.02]}}
UNITS = {
    "thickness": "100 um", "pressure": "1 bar", "viscosity": "1 mPa s", "foulant_volume_fraction": 1e-4,
}  # fmt: skip
TWO_SPECIES = [
    {"name": "protein", "deposition": 1e-7, "fraction": 0.5}, {"name": "virus", "deposition": 1e-6, "fraction": 0.5},
]  # fmt: skip
SMALL = {
    "design": "optimum", "l_max": 0.25, "porosity": 0.3, "porosity_tolerance": 0.01, "time_step": 5e-4,
    "realizations": 4, "seed": 5,
}  # fmt: skip


def small_search(folder: Path, optimum: Mapping[str, Any], *, without: Collection[str] = (), **changes: Any) -> Any:
    """A small study with some settings of the search; those of :data:`SMALL` in ``without`` are left out."""
    path = folder / "study.yaml"
    path.write_text("kind: graded\n")
    settings = {name: value for name, value in SMALL.items() if name not in without}
    return md.load_study(path, **{**settings, "optimum": optimum, **changes})
