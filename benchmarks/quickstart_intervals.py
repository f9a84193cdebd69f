"""Table 1 of the quickstart: properties of the reconstruction with 90 % intervals, compared with the true structure.

    python benchmarks/quickstart_intervals.py [--replicates 5] [--flow] [--folder runs]

``configs/reconstruct-quickstart.yaml`` is reconstructed from its micrograph and characterized, and so is the true
volume, a section of which the micrograph shows. ``*`` marks intervals that do not contain its value. Exit code 1 if
fewer than 85 % of them contain it, or if an end is impossible: a fraction outside of [0, 1], a tortuosity below 1, any
other value below 0, or infinite. Runs are kept in ``--folder``, and are not repeated.
"""

from __future__ import annotations

import math
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
from _common import argument_parser

import membrane_dask as md
from membrane_dask.physics.analytic_problems import GradedMembrane
from membrane_dask.studies.characterize.property_intervals import (
    PropertyInterval,
    property_intervals,
    reference_coverage,
)

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
#: Smallest fraction of the intervals that contain the true value.
COVERAGE = 0.85
#: Least and largest possible value on each scale.
BOUNDS = {"log": (0.0, math.inf), "logit": (0.0, 1.0), "log_excess": (1.0, math.inf)}


def small_inputs(folder: Path) -> tuple[dict[str, object], dict[str, object]]:
    """Settings of both studies for a small membrane of the same kind."""
    truth = GradedMembrane(depth=128, slices=24, width=160)
    imageio.imwrite(folder / "membrane.png", truth.micrograph())
    np.save(folder / "truth.npy", truth.volume())
    search = {"closing_radius": [0.0], "roughness": [0.0], "slices": 1}
    reconstruction = {"input": str(folder / "membrane.png"), "search": search, "volume": {"slices": 24, "width": 96}}
    return reconstruction, {"reference": str(folder / "truth.npy"), "voxel_size": "3 nm", "tortuosity": False}


def rows_of_quickstart(
    folder: Path, replicates: int, settings: Mapping[str, object], characterization: Mapping[str, object]
) -> list[PropertyInterval]:
    """Properties of the reconstruction of the quickstart, with those of the true structure as reference."""
    study = md.load_study(CONFIGS / "reconstruct-quickstart.yaml", replicates=replicates, **settings)
    run = md.run(study, folder / f"reconstruct-quickstart-{replicates}", listener=lambda event: None)
    path, name = (
        str(run.path.resolve()),
        f"characterize-quickstart-{replicates}{'-flow' * ('flow' in characterization)}",
    )
    study = md.load_study(CONFIGS / "characterize-quickstart.yaml", input=path, **characterization)
    run = md.run(study, folder / name, listener=lambda event: None)
    properties, reference = (run.result[group].to_dataset().load() for group in ("properties", "reference_properties"))
    equal_size = bool(run.result["difference"].n_pores.notnull().any())
    return property_intervals(properties, reference, equal_size=equal_size)


def is_possible(row: PropertyInterval) -> bool:
    """Whether both ends of an interval are values that the property can have."""
    low, high = BOUNDS[str(row.variable.attrs["interval_scale"])]
    return low <= row.low <= row.high <= high and math.isfinite(row.high)


def main() -> int:
    """Print the table; returns the exit code."""
    parser = argument_parser(__doc__)
    parser.add_argument("--replicates", type=int, default=5)
    parser.add_argument("--flow", action="store_true", help="with the permeability: half an hour more")
    parser.add_argument("--folder", type=Path, help="where runs are kept; default a temporary folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        if options.smoke:
            rows = rows_of_quickstart(Path(temporary), 3, *small_inputs(Path(temporary)))
        else:
            flow = {"flow": {"enabled": True}} if options.flow else {}
            rows = rows_of_quickstart(options.folder or Path(temporary), options.replicates, {}, flow)
    print(f"{'property':32} {'value':>11} {'low':>11} {'high':>11} {'true':>11} {'error':>7}")
    for row in rows:
        error = f"{row.value / row.reference - 1:+.0%}" if row.reference and math.isfinite(row.reference) else ""
        mark = " *" if row.contains_reference is False else ""
        numbers = " ".join(
            f"{'-' if number is None or math.isnan(number) else format(number, '.4g'):>11}"
            for number in (row.value, row.low, row.high, row.reference)
        )
        print(f"{row.variable.name:32} {numbers} {error:>7}{mark}")
    inside, total = reference_coverage(rows)
    impossible = [row.variable.name for row in rows if not math.isnan(row.low) and not is_possible(row)]
    print(f"{inside} of {total} intervals contain the true value; impossible ends: {', '.join(impossible) or 'none'}")
    return int(not options.smoke and (inside < COVERAGE * total or bool(impossible)))


if __name__ == "__main__":
    sys.exit(main())
