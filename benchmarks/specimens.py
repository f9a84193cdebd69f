"""Mean permeance of specimens of one membrane: how often there is one, and how often its interval holds the true one.

    python benchmarks/specimens.py [--sets 600]

Specimens have permeances whose logarithms scatter by a true standard deviation, and are measured with errors of 1 to
5 %. There is a mean where their estimated scatter is at most the bound of the table ``populations``; intervals of 95 %.
"""

from __future__ import annotations

import numpy as np
from _common import argument_parser

from membrane_dask.physics.porometry.intervals import random_effects
from membrane_dask.studies.porometry.comparisons import MAX_LOG_SD

SPECIMENS = (3, 5, 8)
SCATTERS = (0.05, 0.1, 0.2, 0.3, MAX_LOG_SD, 0.5, 0.7, 1.0)


def main() -> None:
    """Print the table."""
    parser = argument_parser(__doc__)
    parser.add_argument("--sets", type=int, default=600)
    arguments = parser.parse_args()
    sets = 20 if arguments.smoke else arguments.sets
    rng = np.random.default_rng(1)
    print(f"{'specimens':>10}{'true scatter':>14}{'have a mean, %':>16}{'hold the true one, %':>22}")
    for n in SPECIMENS:
        for scatter in SCATTERS:
            covered = []
            for _ in range(sets):
                errors = rng.uniform(0.01, 0.05, n)
                logarithms = scatter * rng.standard_normal(n) + errors * rng.standard_normal(n)
                population = random_effects(logarithms, errors)
                if population.standard_deviation <= MAX_LOG_SD:
                    covered.append(population.low <= 0 <= population.high)
            coverage = f"{100 * np.mean(covered):.0f}" if covered else "-"
            print(f"{n:10}{scatter:14.2f}{100 * len(covered) / sets:16.0f}{coverage:>22}", flush=True)


if __name__ == "__main__":
    main()
