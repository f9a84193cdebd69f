"""Coverage of the intervals of the porometry methods on simulated tables.

    python benchmarks/bench_calibration.py [--method NAME] [--tables 500] [--seed 2026]

A method simulates the table of a membrane that is known, through the instrument: noise, coarse steps, rounding to the
digits that are printed. It then evaluates the table as a study does. The fraction of the 95 % intervals that contain
the true value is printed for each quantity, with the sampling error of this fraction, and the median half-width of the
intervals over the true value.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import _capillary_tables
import _displacement_tables
import _joint_tables
import _rejection_tables
import _water_tables
import numpy as np
from _common import argument_parser

from membrane_dask.physics.porometry.estimates import Estimate

#: Each simulates and evaluates one table: the true value and the estimate of each quantity.
METHODS: dict[str, Callable[[np.random.Generator], dict[str, tuple[float, Estimate]]]] = {
    **_capillary_tables.METHODS,
    **_displacement_tables.METHODS,
    **_rejection_tables.METHODS,
    **_water_tables.METHODS,
    **_joint_tables.METHODS,
}


def calibrate(name: str, n_tables: int, seed: int) -> dict[str, tuple[float, float, float]]:
    """Coverage, its sampling error and the median relative half-width of every quantity of a method."""
    covered: dict[str, list[bool]] = {}
    half_widths: dict[str, list[float]] = {}
    for table in range(n_tables):
        for quantity, (truth, estimate) in METHODS[name](np.random.default_rng([seed, table])).items():
            covered.setdefault(quantity, []).append(estimate.low <= truth <= estimate.high)
            half_widths.setdefault(quantity, []).append((estimate.high - estimate.low) / 2 / abs(truth))
    comparison = {}
    for quantity, hits in covered.items():
        coverage = sum(hits) / len(hits)
        error = math.sqrt(coverage * (1 - coverage) / len(hits))
        comparison[quantity] = (coverage, error, float(np.median(half_widths[quantity])))
    return comparison


def main() -> None:
    """Print a row for each quantity of each method."""
    parser = argument_parser(__doc__)
    parser.add_argument("--method", choices=METHODS, help="default: all")
    parser.add_argument("--tables", type=int, default=500)
    parser.add_argument("--seed", type=int, default=2026)
    arguments = parser.parse_args()
    n_tables = 2 if arguments.smoke else arguments.tables
    print(f"{n_tables} tables of each method, 95 % intervals")
    print(f"{'method':36}{'quantity':28}{'coverage':>18}{'half-width':>12}")
    for name in [arguments.method] if arguments.method else METHODS:
        for quantity, (coverage, error, half_width) in calibrate(name, n_tables, arguments.seed).items():
            print(f"{name:36}{quantity:28}{coverage:9.1%} ± {error:5.1%}{half_width:12.1%}", flush=True)


if __name__ == "__main__":
    main()
