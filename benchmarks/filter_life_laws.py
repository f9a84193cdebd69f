"""Life of a filter with each law beyond the paper: CPU time of one network, and its ratio to the published law.

    python benchmarks/filter_life_laws.py [--networks 8]

Networks of l_max 0.2 and gradient 2e-3 with the default parameters of a graded study. Every life is simulated once for
each network; the medians over the networks are compared. Generation is not counted.
"""

from __future__ import annotations

import statistics
import time

import numpy as np
from _common import argument_parser

from membrane_dask.physics.networks.band_porosity import band_radii
from membrane_dask.physics.networks.fouling import filter_life
from membrane_dask.physics.networks.fouling_laws import PUBLISHED_LAWS, FoulingLaws, Sieving, Species
from membrane_dask.physics.networks.random_network import generate

SPECIES = (Species(1e-7, 0.5), Species(1e-6, 0.5))
LAWS = {
    "published": PUBLISHED_LAWS,
    "sieving, rate 3e3, radius 0.0135": FoulingLaws(sieving=Sieving(3e3, particle_radius=0.0135)),
    "sieving, rate 5e3, radius 0.0135": FoulingLaws(sieving=Sieving(5e3, particle_radius=0.0135)),
    "sieving, rate 1e4, radius 0.0135": FoulingLaws(sieving=Sieving(1e4, particle_radius=0.0135)),
    "sieving, rate 1e4, radius 0.0095": FoulingLaws(sieving=Sieving(1e4, particle_radius=0.0095)),
    "constant flux 2e-6, limit 5": FoulingLaws(flux=2e-6, pressure_limit=5.0),
    "two species": FoulingLaws(species=SPECIES),
    "erosion, rate 100, critical shear 0.005": FoulingLaws(erosion_rate=100.0, critical_shear=0.005, end_time=52),
    "conserving, to 1 % of the flux": FoulingLaws(conserving=True, flux_fraction=0.01),
    "conserving, 4 segments, to 1 % of the flux": FoulingLaws(conserving=True, segments=4, flux_fraction=0.01),
}


def main() -> None:
    """Print one row for every law."""
    parser = argument_parser(__doc__)
    parser.add_argument("--networks", type=int, default=8)
    options = parser.parse_args()
    laws = dict(list(LAWS.items())[:3]) if options.smoke else LAWS
    networks = [
        generate(
            np.random.default_rng(k), l_min=0.06, l_max=0.2, radii=band_radii(0.01, 2e-3, 4), porosity=0.6,
            porosity_tolerance=0.005,
        )
        for k in range(2 if options.smoke else options.networks)
    ]  # fmt: skip
    seconds: dict[str, list[float]] = {name: [] for name in laws}
    particles = dict.fromkeys(laws, 0)
    for law in laws.values():  # compiled before anything is measured
        life(networks[0], law)
    for network in networks:
        for name, law in laws.items():
            start = time.process_time()
            particles[name] += life(network, law).n_arrivals
            seconds[name].append(time.process_time() - start)
    baseline = seconds["published"]
    print(f"{'law':<44} {'ms':>7} {'ratio':>6} {'particles':>9}")
    for name in laws:
        ratio = statistics.median(a / b for a, b in zip(seconds[name], baseline, strict=True))
        median = 1e3 * statistics.median(seconds[name])
        print(f"{name:<44} {median:7.1f} {ratio:6.2f} {particles[name] / len(networks):9.0f}")


def life(network, law):
    """Life of a network with the default parameters."""
    return filter_life(
        network, deposition=5e-7, time_step=2.5e-4, flux_threshold=2e-6, solver_tolerance=1e-6, laws=law,
        rng=np.random.default_rng(1),
    )  # fmt: skip


if __name__ == "__main__":
    main()
