"""Coverage of the intervals of a porometry study, compared with the published convention.

    python benchmarks/porometry_calibration.py [--membranes 2000] [--processes 2]

Membranes are drawn at random: radii of 2 to 20 nm, porosities of 0.02 to 0.3, selective layers of 0.1 to 2 um and
threshold pressures of 5 to 40 kPa. Fluxes are simulated at five pressures, three readings each, with errors of 2 % of
the mean flux; the radius has a prior of 8 % (rejection point) and the thickness one of 10 % (cross-section). Between 93
and 97 % of the 95 % intervals must contain the true value. The second column gives the coverage of the published
convention for the same fluxes: its limits of the radius and of the pore number, and its porosity, which counts as
correct within 10 %.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor

import numpy as np
from _common import argument_parser

from membrane_dask.physics.porometry.cylindrical_pores import hydraulic_permeability, pore_number
from membrane_dask.physics.porometry.palencia_convention import Convention, published_structure
from membrane_dask.physics.porometry.posterior import QUANTITIES, PermeabilityEstimate, Prior, posterior
from membrane_dask.physics.porometry.regression import fit
from membrane_dask.physics.porometry.threshold_pressure import threshold_pressure

PRESSURES = np.repeat([1e5, 2e5, 3e5, 4e5, 5e5], 3)
VISCOSITY, AREA, NOISE, RADIUS_ERROR, THICKNESS_ERROR = 0.89e-3, 0.0034, 0.02, 0.08, 0.10
RANGES = {"radius": (0.5e-9, 1e-5), "thickness": (1e-8, 2e-4)}
CONVENTION = Convention.preset(
    "table6", surface_tension=0.072, contact_angle=75.6, viscosity=VISCOSITY, thickness=1.075e-4, area=AREA
)
NAMES = ("hydraulic permeability", "threshold pressure", "radius", "porosity", "pore number", "thickness")
PUBLISHED = ("radius", "porosity", "pore number")


def one_membrane(seed: int) -> tuple[list[bool], list[bool]]:
    """Whether each interval contains the true value, and whether the published limits do."""
    rng = np.random.default_rng([2026, seed])
    radius, thickness = np.exp(rng.uniform(np.log([2e-9, 1e-7]), np.log([20e-9, 2e-6])))
    porosity = math.exp(rng.uniform(math.log(0.02), math.log(0.3)))
    true_threshold = rng.uniform(5e3, 40e3)
    true_permeability = hydraulic_permeability(radius, porosity, thickness, VISCOSITY)
    number = pore_number(porosity, radius, AREA)
    flux = true_permeability * (PRESSURES - true_threshold)
    flux = flux + NOISE * flux.mean() * rng.standard_normal(len(flux))
    line = fit(PRESSURES, flux)
    interval = threshold_pressure(line)
    value, error = float(line.values[0]), float(line.standard_errors()[0])
    priors = {
        "radius": Prior("normal", radius * (1 + RADIUS_ERROR * rng.standard_normal()), RADIUS_ERROR * radius),
        "thickness": Prior(
            "normal", thickness * (1 + THICKNESS_ERROR * rng.standard_normal()), THICKNESS_ERROR * thickness
        ),
    }
    estimate = PermeabilityEstimate(value, error, line.degrees_of_freedom, VISCOSITY, AREA)
    distribution = posterior(estimate, priors, RANGES)
    limits = dict(zip(QUANTITIES, distribution.quantiles((0.025, 0.975)), strict=True))
    truth = {"radius": radius, "porosity": porosity, "pore_number": number, "thickness": thickness}
    covered = [
        abs(value - true_permeability) <= line.t_quantile(0.95) * error,
        interval.low <= true_threshold <= interval.high,
    ]
    covered += [bool(limits[name][0] <= truth[name] <= limits[name][1]) for name in QUANTITIES]
    # The paper takes the intercept without its sign.
    printed = published_structure(value, abs(interval.pressure), CONVENTION)
    low, high = sorted(printed.radius)
    few, many = sorted(printed.number)
    published = [low <= radius <= high, abs(printed.porosity / porosity - 1) <= 0.1, few <= number <= many]
    return covered, published


def coverage(seeds: Sequence[int], processes: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Fractions of membranes whose intervals contain the true value: ours, and the published ones."""
    if processes == 1:
        answers = [one_membrane(seed) for seed in seeds]
    else:
        with ProcessPoolExecutor(processes) as pool:
            answers = list(pool.map(one_membrane, seeds, chunksize=20))
    return np.mean([a for a, _ in answers], axis=0), np.mean([b for _, b in answers], axis=0)


def main() -> None:
    """Print a row for each quantity."""
    parser = argument_parser(__doc__)
    parser.add_argument("--membranes", type=int, default=2000)
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    if arguments.smoke:
        arguments.membranes = 4
    ours, published = coverage(range(arguments.membranes), arguments.processes)
    references = dict(zip(PUBLISHED, published, strict=True))
    print(f"{arguments.membranes} membranes; fraction of the 95 % intervals with the true value, ± its sampling error")
    print(f"{'':24}{'membrane-dask':>16}{'published':>12}")
    for name, fraction in zip(NAMES, ours, strict=True):
        error = math.sqrt(fraction * (1 - fraction) / arguments.membranes)
        reference = f"{references[name]:.1%}" if name in references else "-"
        print(f"{name:24}{fraction:8.1%} ± {error:.1%}{reference:>12}")


if __name__ == "__main__":
    main()
