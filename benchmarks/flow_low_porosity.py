"""Stokes flow and diffusion close to the percolation threshold: which have an answer.

    python benchmarks/flow_low_porosity.py [--fields 154] [--edge 48]

Gaussian random fields of porosity 0.10 to 0.17 of which a path percolates, most of them through few throats one or two
voxels wide. Printed are the volumes without an answer (of either wall model, and of diffusion), the largest difference
of the flux between planes, the distance of the bounds, and the time. The tolerances are those of a study by default.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator

import numpy as np
from _common import argument_parser
from scipy import ndimage

from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.percolation import percolating
from membrane_dask.physics.stokes.mac_grid import Grid
from membrane_dask.physics.stokes.solver import stokes
from membrane_dask.physics.transport.diffusion import diffusion

POROSITIES = (0.10, 0.11, 0.12, 0.13, 0.14, 0.15, 0.16, 0.17)
SIGMAS = (1.5, 2.0, 3.0)
#: Tolerance of the bounds, with the wall model of a study by default and with the other one.
WALL_MODELS = {"smooth": 0.01, "staircase": 0.05}


def fields(count: int, edge: int) -> Iterator[tuple[str, np.ndarray]]:
    """Random fields through which a path percolates, with their names."""
    count_percolating = 0
    for seed in itertools.count():
        for sigma in SIGMAS:
            noise = np.random.default_rng(seed).standard_normal((edge, edge, edge))
            field = ndimage.gaussian_filter(noise, sigma, mode="reflect")
            for porosity in POROSITIES:
                pores = field < np.quantile(field, porosity)
                if percolating(pores).any():
                    yield f"seed {seed}, kernel {sigma:g}, porosity {porosity:.2f}", pores
                    count_percolating += 1
                if count_percolating == count:
                    return


def main() -> None:
    """Print failures and residuals."""
    parser = argument_parser(__doc__)
    parser.add_argument("--fields", type=int, default=154)
    parser.add_argument("--edge", type=int, default=48)
    arguments = parser.parse_args()
    count, edge = (2, 24) if arguments.smoke else (arguments.fields, arguments.edge)
    residuals: dict[str, list[float]] = {name: [] for name in (*WALL_MODELS, "diffusion")}
    gaps: list[float] = []
    failures = {name: 0 for name in residuals}
    start = time.perf_counter()
    for name, pores in fields(count, edge):
        for wall_model, tolerance in WALL_MODELS.items():
            try:
                flow = stokes(Grid.of(pores, "symmetric", wall_model), tolerance)  # type: ignore[arg-type]
            except PhysicsError as error:
                failures[wall_model] += 1
                print(f"{name}, {wall_model}: {error}", flush=True)
                continue
            residuals[wall_model].append(flow.residual)
            gaps.append(flow.upper_bound / flow.permeability - 1)
        try:
            solution = diffusion(pores)
        except PhysicsError as error:
            failures["diffusion"] += 1
            print(f"{name}, diffusion: {error}", flush=True)
            continue
        residuals["diffusion"].append(solution.spread)
    print(f"{count} volumes of {edge} voxels, {time.perf_counter() - start:.0f} s")
    for name, values in residuals.items():
        print(f"{name:10s} without an answer {failures[name]}, largest difference of the flux {max(values):.1e}")
    print(f"bounds of the permeability within {max(gaps):.1%}")


if __name__ == "__main__":
    main()
