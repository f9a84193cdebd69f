"""Rejection of the virtual bench by the pore network, compared with convection and diffusion in the voxels.

    python benchmarks/rejection_voxels.py [--rock berea.tif] [--edge 128]

Structures are those of ``virtual_bench.py``. A solute is a sphere with a fraction of the radius that the widest path
passes, the lattice radius of the bubble point less half a voxel. In the voxels its centre keeps its radius away from
the solid, slides along it, and moves with the liquid; in the network every throat has the hindrance of Dechadilok and
Deen, which contains the drag of the pore, and the entry radius of the bench. Log reduction values: those of the voxels
at each pore Peclet number (mean pore velocity times hydraulic radius over diffusivity), and that of the network.
"""

from __future__ import annotations

import math

import numpy as np
from _common import argument_parser
from virtual_bench import OFFSET, structures

from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.imaging.labelled_network import labelled_network
from membrane_dask.physics.imaging.watershed import SnowParameters
from membrane_dask.physics.networks.network_sieving import NetworkSieving
from membrane_dask.physics.networks.stokes_conductance import network_flow, stokes_conductances
from membrane_dask.physics.stokes.mac_grid import Grid
from membrane_dask.physics.stokes.solver import stokes
from membrane_dask.physics.transport.retention import clearances, critical_radius, passage

FRACTIONS = (0.1, 0.25, 0.5, 0.75, 0.95)
PECLET_NUMBERS = (1.0, 10.0)


def log_reductions(pores: np.ndarray) -> list[list[float]]:
    """Log reduction values of every solute: in the voxels at each Peclet number, and of the network."""
    labelled = labelled_network(pores, 1.0, SnowParameters())
    network, grid = labelled.network, Grid.of(pores)
    flow = stokes(grid, 0.01)
    throats = stokes_conductances(network, labelled.labels, labelled.squares, grid, flow.velocity, flow.pressures)
    entry_radius = network.throats["inscribed_radius"] + OFFSET
    sieving = NetworkSieving(network, network_flow(network, throats.conductance), entry_radius)
    wall_area = float(network.bodies["surface_area"].sum())
    pore_velocity = float(grid.fluxes(flow.velocity)[0]) * pores.shape[0] / grid.n
    clearance = clearances(pores)
    critical = critical_radius(clearance)
    at_voxels = clearance[tuple(grid.coordinates.T)]
    rows = []
    for fraction in FRACTIONS:
        row = []
        for peclet in PECLET_NUMBERS:
            diffusivity = pore_velocity * 2 * grid.n / wall_area / peclet
            try:
                row.append(
                    passage(
                        grid, flow.velocity, at_voxels, fraction * critical, diffusivity, "reflecting"
                    ).log_reduction
                )
            except PhysicsError:  # the solver does not converge
                row.append(math.nan)
        coefficient = float(sieving.sieving_coefficients([fraction * critical])[0])
        row.append(-math.log10(coefficient) if coefficient > 0 else math.inf)
        rows.append(row)
    return rows


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--rock")
    parser.add_argument("--edge", type=int, default=128)
    arguments = parser.parse_args()
    edge = 48 if arguments.smoke else arguments.edge
    columns = "  ".join(f"voxels, Pe {peclet:g}" for peclet in PECLET_NUMBERS)
    print(f"structure     radius  {columns}  network  network less voxels")
    for number, (name, pores) in enumerate(structures(edge, arguments.rock)):
        if arguments.smoke and number:
            break
        for fraction, (*voxels, network) in zip(FRACTIONS, log_reductions(pores), strict=True):
            values = "  ".join(
                f"{value:{len('voxels, Pe ') + len(f'{peclet:g}')}.3f}"
                for value, peclet in zip(voxels, PECLET_NUMBERS, strict=True)
            )
            differences = " ".join(f"{network - value:+.2f}" for value in voxels)
            print(f"{name:12}  {fraction:6.2f}  {values}  {network:7.3f}  {differences}", flush=True)


if __name__ == "__main__":
    main()
