"""How often the intervals of a porometry hold the truth, and how often the published structure does.

    python benchmarks/porometry_calibration.py [--membranes 2000] [--processes 2]

Membranes are drawn at random: radii of 2 to 20 nm, porosities of 0.02 to 0.3 and layers of 0.1 to 2 um, with a
threshold pressure of 5 to 40 kPa. Each is measured at five pressures, three readings each, with errors of 2 % of the
mean flux; a rejection point tells its radius to 8 %, a cross-section its thickness to 10 %. Asked are 93 to 97 % of the
95 % intervals. Beside them stands what the published convention says of the same fluxes: its limits of the radius and
of the pore number, and its porosity, called right within 10 %.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor

import numpy as np

from membrane_dask.physics.porometry.flux_laws import fit
from membrane_dask.physics.porometry.palencia_convention import Convention, structure
from membrane_dask.physics.porometry.pore_estimates import hydraulic_permeability, pore_number, threshold
from membrane_dask.physics.porometry.posterior import QUANTITIES, Known, Permeability, posterior

PRESSURES = np.repeat([1e5, 2e5, 3e5, 4e5, 5e5], 3)
VISCOSITY, AREA, NOISE, RADIUS_ERROR, THICKNESS_ERROR = 0.89e-3, 0.0034, 0.02, 0.08, 0.10
RANGES = {"radius": (0.5e-9, 1e-5), "thickness": (1e-8, 2e-4)}
CONVENTION = Convention.preset(
    "table6", surface_tension=0.072, contact_angle=75.6, viscosity=VISCOSITY, thickness=1.075e-4, area=AREA
)
NAMES = ("hydraulic permeability", "threshold pressure", "radius", "porosity", "pore number", "thickness")
PUBLISHED = ("radius", "porosity", "pore number")


def one(seed: int) -> tuple[list[bool], list[bool]]:
    """Whether each interval holds the truth; and whether what is published of the same fluxes does."""
    rng = np.random.default_rng([2026, seed])
    radius, thickness = np.exp(rng.uniform(np.log([2e-9, 1e-7]), np.log([20e-9, 2e-6])))
    porosity = math.exp(rng.uniform(math.log(0.02), math.log(0.3)))
    zero = rng.uniform(5e3, 40e3)
    true = hydraulic_permeability(radius, porosity, thickness, VISCOSITY)
    number = pore_number(porosity, radius, AREA)
    flux = true * (PRESSURES - zero)
    flux = flux + NOISE * flux.mean() * rng.standard_normal(len(flux))
    line = fit(PRESSURES, flux)
    found = threshold(line)
    value, error = float(line.values[0]), float(line.errors()[0])
    told = {
        "radius": Known("normal", radius * (1 + RADIUS_ERROR * rng.standard_normal()), RADIUS_ERROR * radius),
        "thickness": Known(
            "normal", thickness * (1 + THICKNESS_ERROR * rng.standard_normal()), THICKNESS_ERROR * thickness
        ),
    }
    made = posterior(Permeability(value, error, line.freedom, VISCOSITY, AREA), told, RANGES)
    ends = dict(zip(QUANTITIES, made.quantiles((0.025, 0.975)), strict=True))
    truth = {"radius": radius, "porosity": porosity, "pore_number": number, "thickness": thickness}
    held = [abs(value - true) <= line.reach(0.95) * error, found.low <= zero <= found.high]
    held += [bool(ends[name][0] <= truth[name] <= ends[name][1]) for name in QUANTITIES]
    # As the paper does, whatever the sign of the intercept.
    printed = structure(value, abs(found.pressure), CONVENTION)
    low, high = sorted(printed.radius)
    few, many = sorted(printed.number)
    published = [low <= radius <= high, abs(printed.porosity / porosity - 1) <= 0.1, few <= number <= many]
    return held, published


def coverage(seeds: Sequence[int], processes: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Shares of membranes whose intervals hold the truth, and whose published structure does."""
    if processes == 1:
        answers = [one(seed) for seed in seeds]
    else:
        with ProcessPoolExecutor(processes) as pool:
            answers = list(pool.map(one, seeds, chunksize=20))
    return np.mean([a for a, _ in answers], axis=0), np.mean([b for _, b in answers], axis=0)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--membranes", type=int, default=2000)
    parser.add_argument("--processes", type=int, default=2)
    asked = parser.parse_args()
    held, published = coverage(range(asked.membranes), asked.processes)
    beside = dict(zip(PUBLISHED, published, strict=True))
    print(f"{asked.membranes} membranes; share whose 95 % interval holds the truth (sampling error of the share)")
    print(f"{'':24}{'ours':>16}{'published':>12}")
    for name, share in zip(NAMES, held, strict=True):
        error = math.sqrt(share * (1 - share) / asked.membranes)
        print(f"{name:24}{share:8.1%} ± {error:.1%}" + (f"{beside[name]:12.1%}" if name in beside else f"{'-':>12}"))


if __name__ == "__main__":
    main()
