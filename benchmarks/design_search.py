"""Search for the best radii of four bands: evaluations until it is within 1 % of a reference design.

    python benchmarks/design_search.py [--problem P1 P2 P3] [--seeds 10] [--networks 8] [--fresh 48]

P1    largest throughput, radii in [0.004, 0.02] with a mean of 0.01
P2    largest throughput, radii in [0.002, 0.02], foulant_concentration <= 0.05, initial_flux >= 3e-6
P3    front of throughput against the log reduction value, radii in [0.002, 0.02]

A design is compared with the reference on ``--fresh`` networks that the search has not seen, the same for both: the
deficit is ln(h_ref / h), for P2 plus 0.17 max(0, ln(c / 0.05)) as throughput grows with the concentration that is
allowed. P3 compares the designs of the front at the levels of the reference designs, by ln h interpolated in the log
reduction value. ``within 1 %`` is the number of evaluations from which on the deficit of the best design stays below;
it is measured after every fourth evaluation. Seconds are those of a single process, networks included.
"""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from _common import argument_parser, timed

import membrane_dask as md
from membrane_dask.program import Outcome, Recall
from membrane_dask.studies.graded.design_program import DesignProgram
from membrane_dask.studies.graded.design_result import design_datasets

RADIUS = {"range": [0.002, 0.02]}
PROBLEMS: dict[str, dict[str, Any]] = {
    "P1": {"parameters": {"radius": {"range": [0.004, 0.02], "mean": 0.01}}, "evaluations": 30},
    "P2": {
        "parameters": {"radius": RADIUS},
        "constraints": ["foulant_concentration <= 0.05", "initial_flux >= 3e-6"],
        "evaluations": 50,
    },
    "P3": {
        "parameters": {"radius": RADIUS},
        "front": ["throughput", "log_reduction_value"],
        "front_levels": [1.299, 1.499, 1.747, 1.997, 2.246],
        "evaluations": 60,
    },
}
REFERENCES = {
    "P1": [(0.01381, 0.01013, 0.0085, 0.00756)],
    "P2": [(0.02, 0.01435, 0.00892, 0.00508)],
    "P3": [
        (0.02, 0.01435, 0.00892, 0.00509),
        (0.02, 0.01389, 0.00839, 0.00462),
        (0.02, 0.01362, 0.00794, 0.00413),
        (0.02, 0.01343, 0.00754, 0.00375),
        (0.02, 0.01334, 0.00728, 0.00343),
    ],
}


def program(problem: dict[str, Any], seed: int, networks: int) -> DesignProgram:
    """The search of a problem."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "study.yaml"
        path.write_text("kind: graded\n")
        study = md.load_study(path, design="optimum", seed=seed, realizations=networks, optimum=problem)
    return DesignProgram(study)


def simulate(search: DesignProgram) -> dict[str, Outcome]:
    """All networks that a search asks for, in this process."""
    history: dict[str, Outcome] = {}
    rounds = search.rounds()
    request = next(rounds)
    while True:
        answer: Any = None
        if not isinstance(request, Recall):
            for unit in request:
                history[unit.key] = Outcome("done", search.work(search.context, unit)[1])
            answer = [history[unit.key] for unit in request]
        try:
            request = rounds.send(answer)
        except StopIteration:
            return history


class Fresh:
    """Networks that no search has seen."""

    def __init__(self, networks: int) -> None:
        self.search = program(PROBLEMS["P2"], 987654, networks)
        self.results: dict[tuple[float, ...], dict[str, float]] = {}

    def means(self, radii: tuple[float, ...]) -> dict[str, float]:
        """Mean throughput and concentration of a design."""
        if radii not in self.results:
            values = {f"radius_{k + 1}": radius for k, radius in enumerate(radii)}
            units = [self.search.network(0, values, i) for i in range(self.search.study.realizations)]
            feedback = [self.search.work(self.search.context, unit)[1] for unit in units]
            self.results[radii] = {name: float(np.mean([f[name] for f in feedback])) for name in feedback[0]}
        return self.results[radii]

    def deficit(self, name: str, radii: tuple[float, ...]) -> float:
        """Relative loss of a design against the reference of P1 or P2."""
        design, reference = self.means(radii), self.means(REFERENCES[name][0])
        excess = max(0.0, math.log(design["foulant_concentration"] / 0.05)) if name == "P2" else 0.0
        return math.log(reference["throughput"] / design["throughput"]) + 0.17 * excess

    def front_deficit(self, radii: tuple[float, ...]) -> float:
        """Relative loss of a design against the references of P3, at its log reduction value."""
        points = [self.means(reference) for reference in REFERENCES["P3"]]
        level, reference_levels = (
            [-math.log10(m["foulant_concentration"]) for m in means] for means in ([self.means(radii)], points)
        )
        logarithms = [math.log(point["throughput"]) for point in points]
        slope = np.diff(logarithms) / np.diff(reference_levels)  # linear beyond the ends
        k = int(np.clip(np.searchsorted(reference_levels, level[0]) - 1, 0, len(slope) - 1))
        reference = logarithms[k] + slope[k] * (level[0] - reference_levels[k])
        return float(reference - math.log(self.means(radii)["throughput"]))


def best_designs(search: DesignProgram, history: dict[str, Outcome], n_evaluations: int) -> list[tuple[float, ...]]:
    """Radii of the best design, or of the front, after some evaluations."""
    evaluations = dict(list(search.evaluations(history).items())[:n_evaluations])
    rng = np.random.default_rng(n_evaluations)
    result = design_datasets(search.study, search.space, search.objective, evaluations, rng)[-1]
    return [tuple(row) for row in np.atleast_2d(result.values["radius"]).tolist()] if "radius" in result.values else []


def report(name: str, seed: int, networks: int, fresh: Fresh, problem: dict[str, Any], every: int) -> None:
    """One line for one search."""
    search = program(problem, seed, networks)
    seconds, history = timed(simulate, search)
    total = len(search.evaluations(history))
    within, texts = None, []
    for count in [*range(search.n_initial, total, every), total]:
        designs = best_designs(search, history, count)
        deficit = math.inf
        if designs:
            deficit = max(fresh.front_deficit(d) if name == "P3" else fresh.deficit(name, d) for d in designs)
        within = (count if within is None else within) if deficit <= 0.01 else None
        texts.append(f"{count}: {100 * deficit:.2f}")
    print(
        f"{name} seed {seed:2d}: within 1 % from {within} of {total} evaluations, {len(history)} networks, "
        f"{seconds:.1f} s; deficit in % after evaluations {', '.join(texts)}",
        flush=True,
    )


def main() -> None:
    """Run the benchmark."""
    parser = argument_parser(__doc__)
    parser.add_argument("--problem", nargs="+", default=list(PROBLEMS), choices=list(PROBLEMS))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=1, help="first seed")
    parser.add_argument("--networks", type=int, default=8, help="networks of every design")
    parser.add_argument("--fresh", type=int, default=48)
    parser.add_argument("--every", type=int, default=4, help="evaluations between measurements of the deficit")
    options = parser.parse_args()
    if options.smoke:
        options.problem, options.seeds, options.networks, options.fresh = ["P1"], 1, 4, 4
    fresh = Fresh(options.fresh)
    print(f"{options.networks} networks a design, deficits on {options.fresh} fresh networks", flush=True)
    for name in options.problem:
        problem = PROBLEMS[name] | ({"evaluations": 12} if options.smoke else {})
        for seed in range(options.first, options.first + options.seeds):
            report(name, seed, options.networks, fresh, problem, options.every)


if __name__ == "__main__":
    main()
