"""Lives of filters by pore networks, compared with lives of their voxels.

    python benchmarks/foul_direct.py [--edge 96] [--rock berea.tif] [--flux]

Structures are a Gaussian random field, a packing of overlapping spheres, and a cube of ``--rock`` (a stack of binary
images, 0 pore). The voxels are those of ``_voxel_life.py``; the network is that of ``foul`` studies.

1. Tubes in a feed of constant concentration, whose lives are known: what the voxels themselves are off.
2. Concentration of the first filtrate: ``N`` is the wall rate times wall area over flow, ``Da`` the wall rate times
   hydraulic radius over diffusivity, ``Pe`` the mean pore velocity times hydraulic radius over diffusivity.
3. Lives, network over voxels: concentration of the first filtrate, times at which the flow has fallen to 0.75, 0.5,
   0.25 and 0.1, and filtrate until 0.5 and 0.1. Times in brackets are by closing radii of the widest path through a
   throat. The last column is the largest difference between the fractions of the deposit in the quarters of the depth
   at the end. ``--flux``: at constant flux; the levels are those of the flow over the pressure.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from _common import argument_parser
from _voxel_life import VoxelFilter, VoxelStates
from scipy import ndimage

from membrane_dask.physics.imaging.watershed import SnowParameters
from membrane_dask.physics.networks.structure_hydraulics import StructureHydraulics, structure_hydraulics
from membrane_dask.physics.networks.structure_laws import StructureLaws, WallUptake
from membrane_dask.physics.networks.structure_life import simulate_structure
from membrane_dask.physics.networks.structure_metrics import structure_life
from membrane_dask.physics.networks.structure_units import wall_uptake

LEVELS = (0.75, 0.5, 0.25, 0.1)
#: Fraction that the clean structure retains, and the diffusive Damkoehler number, of each life.
LIVES = ((0.05, 0.1), (0.5, 0.02), (0.5, 0.1), (0.9, 0.1), (0.5, 1.0), (0.9, 1.0))
NUMBERS, DIFFUSIVE_NUMBERS = (0.1, 1.0, 3.0), (0.01, 0.1, 0.3, 1.0)
#: Edge of the random numbers of the Gaussian field, and number of spheres: finer voxels sample the same bodies.
_FIELD, _SPHERES = 48, 180


def gaussian(edge: int) -> np.ndarray:
    """Pores of a Gaussian random field whose standard deviation is 5 of 96 voxels; 40 % of the volume."""
    noise = np.random.default_rng(3).standard_normal((_FIELD,) * 3)
    field = ndimage.gaussian_filter(noise, 5 / 96 * _FIELD, mode="reflect")
    field = ndimage.zoom(field, edge / _FIELD, mode="nearest", grid_mode=True)
    return np.asarray(field < np.quantile(field, 0.4))


def packing(edge: int) -> np.ndarray:
    """Pores between overlapping spheres with radii of 10 to 14 of 96 voxels; 39 % of the volume."""
    rng = np.random.default_rng(1)
    axes, pores = np.ogrid[:edge, :edge, :edge], np.ones((edge,) * 3, bool)
    for _ in range(_SPHERES):
        centre, radius = rng.uniform(-0.1, 1.1, 3), rng.uniform(10 / 96, 14 / 96)
        squares = (np.square((axis + 0.5) / edge - position) for axis, position in zip(axes, centre, strict=True))
        pores &= sum(squares) >= radius * radius
    return pores


def tubes(edge: int) -> np.ndarray:
    """Nine tubes with a radius of a twelfth of the edge."""
    offset = (np.arange(edge) + 0.5) % (edge / 3) - edge / 6
    section = np.square(offset[:, None]) + np.square(offset) < (edge / 12) ** 2
    return np.repeat(section[None], edge // 4, axis=0)


def structures(edge: int, rock: str | None) -> Iterator[tuple[str, np.ndarray]]:
    yield "Gaussian", gaussian(edge)
    yield "packing", packing(edge)
    if rock:
        import tifffile

        yield "rock", (tifffile.imread(rock) == 0)[:edge, :edge, :edge]


@dataclass(frozen=True)
class Life:
    """Times of the levels, filtrate until then over the clean flow, first filtrate, and deposit by quarter."""

    time: np.ndarray
    filtrate: np.ndarray
    concentration: float
    quarters: np.ndarray


def voxel_life(states: VoxelStates, constant_flux: bool) -> Life:
    """Metrics of the states of a life; the logarithm of the flow is linear between them."""
    time, flow = states.time, states.flow
    passed = np.ones_like(flow) if constant_flux else flow
    filtrate = np.append(0.0, np.cumsum(0.5 * np.diff(time) * (passed[1:] + passed[:-1])))
    log_flow = -np.log(np.maximum(flow, 1e-9))
    crossings = [int(np.flatnonzero(flow <= level)[0]) for level in LEVELS]
    fraction = [
        (-math.log(level) - log_flow[k - 1]) / (log_flow[k] - log_flow[k - 1])
        for k, level in zip(crossings, LEVELS, strict=True)
    ]

    def at_levels(values: np.ndarray) -> np.ndarray:
        return np.array(
            [values[k - 1] + x * (values[k] - values[k - 1]) for k, x in zip(crossings, fraction, strict=True)]
        )

    deposit = at_levels(states.deposit)[-1]
    return Life(at_levels(time), at_levels(filtrate), states.concentration[0], deposit / deposit.sum())


def network_uptake(clean: StructureHydraulics, number: float, diffusive_damkohler: float) -> WallUptake:
    """Uptake of the walls of a network, with a wall rate and a voxel of 1."""
    hydraulic_radius = 2 * clean.pore_volume / clean.wall_area
    diffusivity = hydraulic_radius / diffusive_damkohler
    return wall_uptake((1.0,), (diffusivity,), (1.0,), hydraulic_radius, 1.0, number * clean.flow / clean.wall_area)


def clean_filtrate(clean: StructureHydraulics, number: float, diffusive_damkohler: float) -> float:
    """Concentration of the first filtrate of a network."""
    laws = StructureLaws(network_uptake(clean, number, diffusive_damkohler), end_time=1e-9)
    return float(simulate_structure(clean.structure, laws).records[0].concentration[0])


def network_life(
    clean: StructureHydraulics, number: float, diffusive_damkohler: float, constant_flux: bool,
    closing_radius: np.ndarray | None = None,
) -> Life:  # fmt: skip
    """Life of a network, whose throats may have other closing radii."""
    structure = clean.structure
    if closing_radius is not None:
        structure = replace(structure, closing_radius=closing_radius)
    laws = StructureLaws(
        network_uptake(clean, number, diffusive_damkohler),
        flux=math.inf if constant_flux else None,
        pressure_limit=1 / LEVELS[-1],
        levels=LEVELS,
    )
    history = simulate_structure(structure, laws)
    life = structure_life(history, laws)
    concentration = float(history.records[0].concentration[0])
    return Life(life.level_time, life.level_volume / clean.flow, concentration, life.level_deposit[-1])


def columns(values: np.ndarray) -> str:
    return " ".join(f"{value:4.2f}" for value in values)


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--edge", type=int, default=96)
    parser.add_argument("--rock")
    parser.add_argument("--flux", action="store_true")
    arguments = parser.parse_args()
    edge = 48 if arguments.smoke else arguments.edge
    lives, numbers = (LIVES[2:3], NUMBERS[1:2]) if arguments.smoke else (LIVES, NUMBERS)
    # Deposits on tubes grow evenly where nearly nothing is retained.
    tube_life = voxel_life(VoxelFilter(tubes(edge)).life(1e-4, 1e-3), False)
    exact = edge / 12 * (1 - np.array(LEVELS) ** 0.25)
    print(f"tubes of {edge / 12:g} voxels, voxels over exact times: {columns(tube_life.time / exact)}\n")
    volumes = list(structures(edge, arguments.rock))[: 1 if arguments.smoke else None]
    filters = [
        (name, VoxelFilter(pores), structure_hydraulics(pores, SnowParameters(), depth_bins=4))
        for name, pores in volumes
    ]
    print("structure     N    Da     Pe  first filtrate: voxels, network, difference")
    for name, voxels, network in filters:
        for diffusive in DIFFUSIVE_NUMBERS:
            for number in numbers:
                peclet = voxels.peclet_number(voxels.wall_rate(number) * voxels.hydraulic_radius / diffusive)
                direct = voxels.clean_concentration(number, diffusive)
                mixed = clean_filtrate(network, number, diffusive)
                print(
                    f"{name:10} {number:4.1f}  {diffusive:4.2f}  {peclet:5.2f}  {direct:22.3f}  {mixed:7.3f}  "
                    f"{mixed - direct:+10.3f}",
                    flush=True,
                )
    print("\nstructure  capture    Da     Pe  first  times 0.75 0.5 0.25 0.1 [widest path]  filtrate 0.5 0.1  quarters")
    for name, voxels, network in filters:
        for capture, diffusive in lives:
            number = voxels.damkohler_number(capture, diffusive)
            peclet = voxels.peclet_number(voxels.wall_rate(number) * voxels.hydraulic_radius / diffusive)
            direct = voxel_life(voxels.life(number, diffusive, constant_flux=arguments.flux), arguments.flux)
            life = network_life(network, number, diffusive, arguments.flux)
            widest_path = network.structure.network.throats["inscribed_radius"]
            other = network_life(network, number, diffusive, arguments.flux, widest_path)
            print(
                f"{name:10} {capture:7.2f}  {diffusive:4.2f}  {peclet:5.2f}  "
                f"{life.concentration / direct.concentration:5.2f}  {columns(life.time / direct.time)} "
                f"[{columns(other.time / direct.time)}]  {columns((life.filtrate / direct.filtrate)[[1, 3]]):>16}  "
                f"{np.abs(life.quarters - direct.quarters).max():8.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
