"""Coverage of the 95 % intervals of the best parameters of a search, on functions whose optimum is known.

    python benchmarks/design_intervals.py [--functions 200] [--searches 20]

Functions of one, two and four parameters are the sum of a cubic polynomial in each parameter, with a maximum of 0 at a
random point and random curvatures. They are evaluated with noise at random points, half of which are near the maximum
where there are several parameters. The interval contains 95 % of the optima of functions drawn from response surfaces:
from the fitted one alone, and from surfaces whose length scales, noise and signal are samples. The width is the mean
over the parameters, in units of the box.

The second table has searches of a study of kind graded for the radii of four bands under a constraint, in which
formulas of the radii, with the scatter of networks, replace the networks.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from _common import argument_parser

import membrane_dask as md
from membrane_dask.physics.constrained_search import Problem, maximise, optimum_draws
from membrane_dask.physics.distributions import standard_normal
from membrane_dask.physics.response_surface import ResponseSurface, fit_surface, sample_surfaces
from membrane_dask.program import Outcome, Recall
from membrane_dask.studies.graded.design_program import DesignProgram
from membrane_dask.studies.graded.design_result import design_datasets

#: Parameters, evaluations and noise of the functions, whose values vary by about 1.
CASES = ((1, 16, 0.02), (2, 20, 0.02), (2, 14, 0.05), (4, 30, 0.02))
N_SURFACES, N_DRAWS = 20, 200
#: Radii of the four bands of the best design, without the constraint, over 0.01.
BEST = np.array([1.4, 1.0, 0.8, 0.6])


def interval(surfaces: Sequence[ResponseSurface], best: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Ends of the interval of every parameter, ``(2, d)``, extended to the best point."""
    near = [best + width * (rng.random((200, len(best))) - 0.5) for width in (1, 0.3, 0.1, 0.03)]
    cloud = np.concatenate([best[None], *(np.clip(points, 0, 1) for points in near), rng.random((1000, len(best)))])
    none = np.zeros(0)
    optima = [
        optimum_draws(
            Problem(surface, (), none, none), cloud, lambda shape: standard_normal(rng, shape),
            N_DRAWS // len(surfaces),
        )[0]
        for surface in surfaces
    ]  # fmt: skip
    low, high = np.quantile(np.concatenate(optima), [0.025, 0.975], axis=0)
    return np.stack([np.minimum(low, best), np.maximum(high, best)])


def coverage_of_functions(d: int, n: int, noise: float, count: int) -> None:
    """One line of the first table."""
    covered: dict[str, list[np.ndarray]] = {"fitted": [], "sampled": []}
    widths: dict[str, list[np.ndarray]] = {"fitted": [], "sampled": []}
    for seed in range(count):
        rng = np.random.default_rng([seed, d])
        optimum, curvature = rng.uniform(0.2, 0.8, d), np.exp(rng.normal(0, 0.5, d))
        asymmetry = rng.normal(0, 0.3, d)
        points = rng.random((n, d))
        if d > 1:
            points[n // 2 :] = np.clip(optimum + 0.15 * rng.standard_normal((n - n // 2, d)), 0, 1)
        shifts = points - optimum
        values = -(curvature * (shifts**2 + asymmetry * shifts**3)).sum(axis=1) + noise * rng.standard_normal(n)
        fitted = fit_surface(points, values)
        best = maximise(Problem(fitted, (), np.zeros(0), np.zeros(0)).guess, lambda x: x, points, rng)
        for name, surfaces in (("fitted", [fitted]), ("sampled", sample_surfaces(points, values, N_SURFACES, rng))):
            low, high = interval(surfaces, best, rng)
            covered[name].append((low <= optimum) & (optimum <= high))
            widths[name].append(high - low)
    texts = [f"{name} {100 * np.mean(covered[name]):.1f} % (width {np.mean(widths[name]):.3f})" for name in covered]
    print(f"{d} parameters, {n} values, noise {noise}: coverage {', '.join(texts)}", flush=True)


def metrics(values: dict[str, float], n: int, seed: int) -> dict[str, np.ndarray]:
    """Throughput and concentration of ``n`` networks of a design; 1.4 and 3 % between networks, mostly common ones."""
    radii = np.array([values[f"radius_{k}"] for k in (1, 2, 3, 4)]) / 0.01
    own = np.random.default_rng([seed, *(int(1e6 * r) for r in radii)]).standard_normal((2, n))
    scatter = np.random.default_rng(seed).standard_normal((2, n)) + 0.2 * own
    logarithms = np.log(radii / BEST)
    throughput = 0.045 * np.exp(0.3 * logarithms.sum() - (logarithms**2).sum() + 0.014 * scatter[0])
    concentration = np.exp(-2.5 * np.exp(-1.2 * logarithms.sum()) + 0.03 * scatter[1])
    return {"throughput": throughput, "foulant_concentration": np.minimum(concentration, 0.99)}


def search(seed: int, evaluations: int) -> tuple[DesignProgram, Any]:
    """A search, and the table of its best design."""
    settings = {
        "parameters": {"radius": {"range": [0.004, 0.02]}}, "constraints": ["foulant_concentration <= 0.05"],
        "evaluations": evaluations, "confidence": 0.95,
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "study.yaml"
        path.write_text("kind: graded\n")
        study = md.load_study(path, design="optimum", seed=seed, realizations=8, optimum=settings)
    program = DesignProgram(study)
    history: dict[str, Outcome] = {}
    rounds = program.rounds()
    request = next(rounds)
    while True:
        answer: Any = None
        if not isinstance(request, Recall):
            for unit in request:
                values = unit.params["parameters"]
                simulated = metrics(values, 8, seed)
                feedback = {name: float(simulated[name][unit.index[1]]) for name in program.objective.metrics}
                history[unit.key] = Outcome("done", {**feedback, **values})
            answer = [history[unit.key] for unit in request]
        try:
            request = rounds.send(answer)
        except StopIteration:
            break
    rng = np.random.default_rng(seed)
    return program, design_datasets(study, program.space, program.objective, program.evaluations(history), rng)[-1]


def coverage_of_searches(count: int, evaluations: int) -> None:
    """The second table: with an equal sum of logarithms of the radii the best design has them in the ratios of BEST."""
    covered, widths, designs = [], [], []
    for seed in range(1, count + 1):
        _, table = search(seed, evaluations)
        if "radius" not in table.values:
            continue
        total = np.log(2.5 / -np.log(0.05)) / 1.2
        optimum = 0.01 * BEST * np.exp(total / 4)
        low, high = table.values["radius_low"], table.values["radius_high"]
        covered.append((low <= optimum) & (optimum <= high))
        widths.append(np.log(high / low))
        designs.append(int(table.values["evaluations"]))
    print(
        f"{len(covered)} searches for four radii: coverage {100 * np.mean(covered):.1f} %, mean width of the logarithm "
        f"{np.mean(widths):.3f}, {min(designs)} to {max(designs)} designs",
        flush=True,
    )


def main() -> None:
    """Run the benchmark."""
    parser = argument_parser(__doc__)
    parser.add_argument("--functions", type=int, default=200)
    parser.add_argument("--searches", type=int, default=20)
    options = parser.parse_args()
    functions, searches, evaluations = options.functions, options.searches, 40
    if options.smoke:
        functions, searches, evaluations = 2, 1, 16
    for d, n, noise in CASES:
        coverage_of_functions(d, n, noise, functions)
    coverage_of_searches(searches, evaluations)


if __name__ == "__main__":
    main()
