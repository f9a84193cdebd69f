"""What a laboratory would conclude of known structures by each method, compared with the structures themselves.

    python benchmarks/round_trip.py [--rock berea.tif] [--pack FinneyPack.txt] [--edge 128]

The structures are a graded Gaussian membrane, cubes of ``--rock`` (a stack of binary images, 0 pore), and a packing of
equal spheres whose centres are the last three columns of ``--pack``. Each passes the virtual bench and porometry as
stages of a chain. Lengths are in voxels; ``k`` is the permeability in voxel^2; ``misfit`` is the largest residual of
the log-normal law as a fraction of the flow, of rejection the root mean square of residuals over their error;
``porosity ratio`` is the porosity that the radius and the permeance of water give if the pores were straight tubes,
over the connected porosity.
"""

from __future__ import annotations

import contextlib
import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from _common import argument_parser

import membrane_dask as md
from membrane_dask.physics.reconstruction.random_field import generate_window
from membrane_dask.physics.reconstruction.structures import Graded

VOXEL_SIZE = 3.0  # nm
SPHERE_RADIUS = 20  # voxels
CUBES = (0, 4, 8, 12)  # of all whose corners are at 0, 128 or 256 voxels


def packing(path: str, edge: int) -> np.ndarray:
    """Pores between spheres of a packing, whose radius is 1 in the file, in a cube at its centre."""
    centres = np.loadtxt(path, comments="#")[:, -3:] * SPHERE_RADIUS
    half = edge / 2
    axis = np.arange(edge) + 0.5 - half
    pores = np.ones((edge,) * 3, bool)
    for centre in centres[(np.abs(centres) < half + SPHERE_RADIUS).all(axis=1)]:
        squares = [np.square(axis - coordinate) for coordinate in centre]
        pores &= squares[0][:, None, None] + squares[1][:, None] + squares[2] >= SPHERE_RADIUS**2
    return pores


def structures(edge: int, rock: str | None, pack: str | None) -> Iterator[tuple[str, np.ndarray]]:
    """Names and pore voxels."""
    membrane = Graded(knots=(0, 1), sigma=(2.0, 5.0), porosity=(0.3, 0.4), closing_radius=2.0)
    yield "membrane", generate_window(membrane, depth=edge, start=(0, 0, 0), shape=(edge,) * 3, seed=7) == 0
    if rock:
        import tifffile

        voxels = tifffile.imread(rock) == 0
        for number, corner in enumerate(itertools.product((0, 128, 256), repeat=3)):
            if number in CUBES:
                yield f"rock {number}", voxels[tuple(slice(start, start + edge) for start in corner)]
    if pack:
        yield "spheres", packing(pack, edge)


def chain(folder: Path, pores: np.ndarray, smoke: bool) -> md.Run:
    """The bench of a structure, and what porometry concludes from its tables; of all methods unless ``smoke``."""
    bench = "{enabled: true, methods: [mercury, water]}" if smoke else "{enabled: true}"
    np.save(folder / "pores.npy", np.where(pores, 0, 255).astype(np.uint8))
    (folder / "chain.yaml").write_text(
        "kind: chain\ninput: pores.npy\ncluster: {profile: sync}\nstages:\n"
        f"  characterize: {{voxel_size: {VOXEL_SIZE} nm, tortuosity: false, bench: {bench}}}\n"
        "  porometry: {bootstrap: {draws: 0}}\n"
    )
    return md.run(md.load_study(folder / "chain.yaml"), folder / "run", listener=lambda event: None)


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--rock")
    parser.add_argument("--pack")
    parser.add_argument("--edge", type=int, default=128)
    arguments = parser.parse_args()
    edge = 32 if arguments.smoke else arguments.edge
    for name, pores in structures(edge, arguments.rock, arguments.pack):
        # Runs of the stages are made in the working directory.
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            result = chain(Path(folder), pores, arguments.smoke).result
            trip = result["round_trip"].to_dataset().isel(replicate=0).load()
            permeability = float(result["bench"].permeability[0]) * 1e18 / VOXEL_SIZE**2
        throats = [float(trip[v]) / VOXEL_SIZE for v in ("radius_structure", "radius_flow_median", "radius_bottleneck")]
        print(
            f"{name}: porosity {float(trip.porosity_structure):.3f}, k {permeability:.3f}; throats: number median "
            f"{throats[0]:.2f}, sd of the logarithm {float(trip.log_sd_structure):.2f}, flow median {throats[1]:.2f}; "
            f"bottleneck {throats[2]:.2f}"
        )
        print("  method                radius  sd of ln  misfit  porosity ratio")
        for position, method in enumerate(trip.method.values):
            row = trip.isel(method=position)
            numbers = [row.radius_inferred / VOXEL_SIZE, row.log_sd_inferred, row.law_misfit, row.porosity_ratio]
            print(f"  {method:20}" + "".join(f"{float(number):8.2f}" for number in numbers), flush=True)


if __name__ == "__main__":
    main()
