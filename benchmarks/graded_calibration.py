"""Coverage of the intervals of a calibration of graded filters on simulated flux declines.

    python benchmarks/graded_calibration.py [--tables 100] [--networks 12] [--seed 2026]
    python benchmarks/graded_calibration.py --table FILE

Every table is that of a filter with a deposition coefficient and a foulant volume fraction of its own, measured with
relative errors of the flux and printed digits. The law that made it is fitted: with the filter's own network, or with
random networks to which the filter is alike. The fraction of the 95 % intervals that contain the truth is printed,
with its sampling error, and the median half width of the intervals over the truth. ``--table`` writes the table of the
study configs/graded-calibrate.yaml.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from _common import argument_parser

from membrane_dask.physics.elementary import geometric_sequence
from membrane_dask.physics.networks.band_porosity import band_radii
from membrane_dask.physics.networks.bench_decline import BenchDecline
from membrane_dask.physics.networks.decline_curves import DeclineCurves
from membrane_dask.physics.networks.decline_simulation import simulate_declines
from membrane_dask.physics.networks.filter_units import LMH, FilterUnits
from membrane_dask.physics.networks.flux_calibration import calibrate
from membrane_dask.physics.networks.fouling import filter_life
from membrane_dask.physics.networks.fouling_laws import FoulingLaws
from membrane_dask.physics.networks.pore_network import PoreNetwork
from membrane_dask.physics.networks.random_network import generate

LAWS = {"published": FoulingLaws(), "conserving": FoulingLaws(conserving=True, flux_fraction=0.01)}
GRID = geometric_sequence(1e-8, 1e-5, 25)
TIME_STEP = 2.5e-4
#: Membrane thickness, m; pressure, Pa; viscosity, Pa s.
THICKNESS, PRESSURE, VISCOSITY = 1e-4, 1e4, 1e-3


def network(number: int, seed: int, porosity: float) -> PoreNetwork:
    """Random network of a filter."""
    rng = np.random.default_rng([seed, number])
    radii = band_radii((0.01,), 2e-3, 4)
    return generate(rng, l_min=0.06, l_max=0.2, radii=radii, porosity=porosity, porosity_tolerance=0.01)


def curves(networks: Sequence[PoreNetwork], law: str) -> DeclineCurves:
    """Declines of networks over the grid."""
    options = {"time_step": TIME_STEP, "integrator": "adams-bashforth"}
    return DeclineCurves.of_networks(GRID, [simulate_declines(one, GRID, law, **options)[1] for one in networks])


def readings(
    one: PoreNetwork, law: str, deposition: float, units: FilterUnits, rng: np.random.Generator, error: float, n: int,
    fall: float = 0.9,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """Times, s, volumes, L m-2, and fluxes, L m-2 h-1, of a filter at equal volumes, with the digits of an instrument.

    The truth has a fourth of the time step.
    """
    step = TIME_STEP / 4
    life = filter_life(
        one, deposition=deposition, time_step=step, flux_threshold=1e-12, integrator="adams-bashforth",
        solver_tolerance=1e-6, laws=LAWS[law],
    )  # fmt: skip
    steps = np.linspace(0, len(life.flux) - 1, 20 * len(life.flux))
    flux = np.interp(steps, np.arange(len(life.flux)), life.flux)
    time = steps * step
    throughput = np.concatenate([[0.0], np.cumsum((flux[1:] + flux[:-1]) / 2 * np.diff(time))]) / deposition
    last = np.interp(-(1 - fall) * flux[0], -flux, throughput)
    axis = np.linspace(0, last, n + 1)[1:]
    seconds = units.hours(np.interp(axis, throughput, time), deposition) * 3600
    fluxes = units.permeate_flux(np.interp(axis, throughput, flux)) * (1 + error * rng.standard_normal(n))
    return tuple(  # type: ignore[return-value]
        np.array([float(f"{value:.{digits}g}") for value in values])
        for values, digits in ((seconds, 5), (units.filtrate_volume(axis), 5), (fluxes, 4))
    )


def coverage(
    law: str, n_tables: int, n_networks: int, seed: int, error: float, porosity: float, n: int
) -> dict[str, tuple[float, float]]:
    """Coverage and median half width over the truth of every quantity, with ``n_networks`` random ones or the own."""
    drawn = n_networks > 1
    networks = [network(k, seed, porosity) for k in range(n_networks)]
    model = {law: curves(networks, law)}
    covered: dict[str, list[bool]] = {}
    half_widths: dict[str, list[float]] = {}
    for table in range(n_tables):
        rng = np.random.default_rng([seed, 1_000_000, table])
        own = network(1_000 + table, seed, porosity) if drawn else networks[0]
        deposition, fraction = (
            float(low * math.exp(math.log(ratio) * rng.random())) for low, ratio in ((1.5e-7, 12.0), (1e-5, 10.0))
        )
        units = FilterUnits(THICKNESS, PRESSURE, VISCOSITY, fraction)
        seconds, volume, flux = readings(own, law, deposition, units, rng, error, n)
        fit = calibrate(BenchDecline(seconds, volume / 1e3, flux / LMH), model).fits[law]
        factor = 2 * math.pi * THICKNESS
        for name, estimate, truth in (
            ("deposition", fit.deposition, deposition),
            ("foulant_volume_fraction", fit.throughput_volume, factor / fraction),
        ):
            hit = not (estimate.low > truth or estimate.high < truth)  # an open end contains everything
            covered.setdefault(name, []).append(hit)
            half_widths.setdefault(name, []).append((estimate.high - estimate.low) / 2 / truth)
    return {name: (float(np.mean(covered[name])), float(np.nanmedian(half_widths[name]))) for name in covered}


def write_table(path: Path) -> None:
    """Write the table of configs/graded-calibrate.yaml."""
    units = FilterUnits(THICKNESS, PRESSURE, VISCOSITY, 2e-5)
    rng = np.random.default_rng(5)
    seconds, volume, flux = readings(network(5, 77, 0.6), "conserving", 6e-7, units, rng, 0.02, 32)
    rows = [f"{s / 60:.2f},{v:.1f},{j:.0f}" for s, v, j in zip(seconds, volume, flux, strict=True)]
    header = "Time [min],Permeate volume [L/m2],Flux [L m-2 h-1]"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")


def main() -> None:
    """Print a row for each law, network and quantity."""
    parser = argument_parser(__doc__)
    parser.add_argument("--tables", type=int, default=100)
    parser.add_argument("--networks", type=int, default=12, help="random networks of which the filter is one more")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--error", type=float, default=0.02, help="relative standard deviation of a flux")
    parser.add_argument("--table", type=Path, help="write one table and end")
    arguments = parser.parse_args()
    if arguments.table is not None:
        write_table(arguments.table)
        return
    n_tables, n_networks, porosity = arguments.tables, arguments.networks, 0.6
    if arguments.smoke:
        n_tables, n_networks, porosity = 2, 2, 0.05
    print(f"{n_tables} tables of 40 readings down to 10 % of the flux, errors of {100 * arguments.error:g} %")
    print("| law | network | quantity | coverage | sampling error | median half width |")
    for law in LAWS:
        for label, count in (("known", 1), (f"{n_networks} random ones", n_networks)):
            results = coverage(law, n_tables, count, arguments.seed, arguments.error, porosity, 40)
            for name, (fraction, half_width) in results.items():
                sampling = math.sqrt(0.95 * 0.05 / n_tables)
                row = (
                    law,
                    label,
                    name,
                    f"{100 * fraction:.1f} %",
                    f"{100 * sampling:.1f} %",
                    f"{100 * half_width:.1f} %",
                )
                print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
