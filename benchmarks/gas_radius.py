"""Radius by gas permeation of the virtual bench, from the regime of slip to that of viscous flow.

    python benchmarks/gas_radius.py

The structure is ``configs/graded-membrane.tif``, with the settings of the bench of the quickstart of chains. The gas
is nitrogen at mean pressures of 1.2 to 4 bar, and at multiples of these. Radii in nm; ``slip`` is the ratio of the slip
flow to the viscous flow in a throat of the median radius at the lowest pressure.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from _common import argument_parser

from membrane_dask.io.volumes import open_volume_source
from membrane_dask.physics.imaging.labelled_network import labelled_network
from membrane_dask.physics.imaging.watershed import SnowParameters
from membrane_dask.physics.networks.drained_flow import gas_permeances
from membrane_dask.physics.networks.stokes_conductance import stokes_conductances
from membrane_dask.physics.porometry.gases import Gas
from membrane_dask.physics.stokes.mac_grid import Grid
from membrane_dask.physics.stokes.solver import stokes

VOLUME = Path(__file__).parents[1] / "configs" / "graded-membrane.tif"
VOXEL_NM, OFFSET, TEMPERATURE = 3.0, 0.3, 298.15
#: Mean pressures of the bench in Pa, and factors of them.
PRESSURES, FACTORS = (1.2e5, 1.6e5, 2e5, 2.8e5, 4e5), (1, 10, 100, 1000, 10_000)


def main() -> None:
    arguments = argument_parser(__doc__).parse_args()
    edge = 48 if arguments.smoke else 256
    pores = open_volume_source(VOLUME).read((slice(0, edge),) * 3)
    labelled = labelled_network(pores, VOXEL_NM, SnowParameters())
    network, grid = labelled.network, Grid.of(pores)
    flow = stokes(grid, 0.01)
    throats = stokes_conductances(network, labelled.labels, labelled.squares, grid, flow.velocity, flow.pressures)
    conductance = np.where(throats.carries_flow, throats.conductance, 0.0)
    radius = (network.throats["inscribed_radius"] / VOXEL_NM + OFFSET) * VOXEL_NM * 1e-9
    nitrogen = Gas.named("N2")
    slip = 16 / 3 * float(nitrogen.viscosity(TEMPERATURE)) * float(nitrogen.mean_speed(TEMPERATURE))
    print("factor of the pressures    slip  radius")
    for factor in FACTORS:
        pressures = np.array(PRESSURES) * factor
        permeance = gas_permeances(network, conductance, radius, nitrogen, TEMPERATURE, pressures.tolist()) * pressures
        slope, intercept = np.polyfit(pressures, permeance, 1)
        ratio = slip / (float(np.median(radius)) * pressures[0])
        print(f"{factor:23}  {ratio:6.3g}  {slip * slope / intercept * 1e9:6.2f}", flush=True)


if __name__ == "__main__":
    main()
