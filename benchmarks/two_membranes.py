"""How often two reconstructions of equal membranes differ significantly, and how often true differences are contained.

    python benchmarks/two_membranes.py [--pairs 20000] [--reconstructions 10] [--replicates 5] [--first 0]

First by simulation: best matches deviate from the truth, and replicates from their best match, by normal errors on the
scale of the property. Printed are the fraction of pairs with p < 0.1, and that of 90 % intervals that contain a true
difference of 30 %; both membranes have the scatter 0.1, or the second one three times as much.

Then with reconstructions: of each pair of membranes, drawn from one model by different seeds, one micrograph each is
reconstructed with replicates and characterized, one as the reference of the other. Printed are the significant
properties of all pairs. They are fewer than 10 % where both images have the same artefacts: errors that both
reconstructions have in common cancel in the difference.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import xarray as xr
from _common import argument_parser

import membrane_dask as md
from membrane_dask.physics.analytic_problems import GradedMembrane

CONFIDENCE = 0.9
#: Replicates of both membranes, and scatter of the second over that of the first; 1 replicate is an exact reference.
CASES = ((3, 3, 1), (5, 5, 1), (8, 8, 1), (3, 8, 1), (5, 5, 3), (5, 1, 0))


def replicates(rng: np.random.Generator, truth: float, scatter: float, n: int, pairs: int) -> xr.DataArray:
    """Values of a property >= 0 in the replicates of many reconstructions of one membrane."""
    best = truth + scatter * rng.standard_normal(pairs)
    perturbed = best + scatter * rng.standard_normal((n - 1, pairs))
    values = np.exp(np.concatenate([best[np.newaxis], perturbed]))
    return xr.DataArray(values, dims=("replicate", "pair"), attrs={"interval_scale": "log"}, name="property")


def simulate(pairs: int) -> None:
    """Print rates for several numbers of replicates."""
    print(f"simulation, {pairs} pairs: standard error {np.sqrt(0.09 / pairs):.2%}")
    print(f"{'replicates':>12} {'scatter':>8} {'equal: p < 0.1':>15} {'interval contains +30 %':>24}")
    for number, (n, m, ratio) in enumerate(CASES):
        rng = np.random.default_rng(number)
        scatter = 0.1
        first, second = (replicates(rng, 0.0, s, k, pairs) for s, k in ((scatter, n), (scatter * ratio, m)))
        equal = md.replicate_difference(first, second, CONFIDENCE)
        unlike = md.replicate_difference(1.3 * first, second, CONFIDENCE, scale="log")
        contained = float(((unlike.low < 0.3) & (unlike.high > 0.3)).mean())
        significant = float((equal.p_value < 1 - CONFIDENCE).mean())
        print(f"{f'{n} and {m}':>12} {f'1 : {ratio}':>8} {significant:15.1%} {contained:24.1%}", flush=True)


def reconstruct_pairs(pairs: range, n_replicates: int) -> None:
    """Print the significant differences between reconstructions of equal membranes."""
    total = significant = 0
    for pair in pairs:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for k in range(2):
                membrane = GradedMembrane(depth=128, slices=4, width=192, seed=2 * pair + k)
                imageio.imwrite(folder / f"{k}.png", membrane.micrograph())
                (folder / f"{k}.yaml").write_text(
                    f"kind: reconstruct\ninput: {k}.png\npixel_size: 3 nm\nseed: {k}\nreplicates: {n_replicates}\n"
                    "search: {closing_radius: [1.4143, 2.0, 2.4495], roughness: [0], slices: 2}\n"
                    "volume: {slices: 64, width: 192}\ncluster: {profile: sync}\n"
                )
                md.run(folder / f"{k}.yaml", folder / f"run{k}", listener=lambda event: None)
            (folder / "compare.yaml").write_text(
                "kind: characterize\ninput: run0\nreference: run1\ntortuosity: false\ncluster: {profile: sync}\n"
            )
            run = md.run(folder / "compare.yaml", folder / "compare", listener=lambda event: None)
            p_values = run.result["comparison"].p_value.load()
        defined = p_values[np.isfinite(p_values)]
        total, significant = total + defined.size, significant + int((defined < 1 - CONFIDENCE).sum())
        names = ", ".join(defined.property.values[defined.values < 1 - CONFIDENCE]) or "none"
        print(f"pair {pair}: {names}; all so far: {significant} of {total}, {significant / total:.0%}", flush=True)


def main() -> None:
    """Print both tables."""
    parser = argument_parser(__doc__)
    parser.add_argument("--pairs", type=int, default=20_000)
    parser.add_argument("--reconstructions", type=int, default=10)
    parser.add_argument("--replicates", type=int, default=5)
    parser.add_argument("--first", type=int, default=0, help="number of the first pair of reconstructions")
    options = parser.parse_args()
    simulate(200 if options.smoke else options.pairs)
    last = options.first + (0 if options.smoke else options.reconstructions)
    reconstruct_pairs(range(options.first, last), options.replicates)


if __name__ == "__main__":
    main()
