"""Wet curve of the virtual bench by the pore network, and by one Stokes flow through the emptied pores a level.

    python benchmarks/virtual_bench.py [--rock berea.tif] [--edge 128]

Structures are packings of overlapping spheres, a graded Gaussian membrane, and cubes of ``--rock`` (a stack of binary
images, 0 pore). Radii are lattice radii in voxels. The mean flow pore is interpolated between the levels of the radius;
``wet at bubble point`` is the fraction of the dry flow there. The last column is the CPU time of the study with the
network over that with Stokes flows.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from _common import argument_parser

import membrane_dask as md
from membrane_dask.physics.reconstruction.random_field import generate_window
from membrane_dask.physics.reconstruction.structures import Graded

OFFSET = 0.3


def packing(edge: int, seed: int) -> np.ndarray:
    """Pores between overlapping spheres of radius 8 to 12, 60 % solid."""
    rng = np.random.default_rng(seed)
    grid, pores = np.ogrid[:edge, :edge, :edge], np.ones((edge,) * 3, bool)
    while pores.mean() > 0.4:
        centre, radius = rng.uniform(0, edge, 3), rng.uniform(8, 12)
        pores &= sum(np.square(g - c) for g, c in zip(grid, centre, strict=True)) >= radius * radius
    return pores


def structures(edge: int, rock: str | None) -> Iterator[tuple[str, np.ndarray]]:
    for seed in (1, 2):
        yield f"packing {seed}", packing(edge, seed)
    membrane = Graded(knots=(0, 1), sigma=(2.0, 5.0), porosity=(0.3, 0.4), closing_radius=2.0)
    yield "membrane", generate_window(membrane, depth=edge, start=(0, 0, 0), shape=(edge,) * 3, seed=7) == 0
    if rock:
        import tifffile

        voxels = tifffile.imread(rock) == 0
        for corner in (0, min(voxels.shape) - edge):
            yield f"rock at {corner}", voxels[(slice(corner, corner + edge),) * 3]


def bench(folder: Path, flow: str) -> tuple[list[float], float]:
    """Bubble point, mean flow pore, and fraction of the dry flow at the bubble point; CPU seconds."""
    path = folder / f"{flow}.yaml"
    path.write_text(
        f"kind: characterize\ninput: {folder / 'pores.npy'}\nvoxel_size: 1 nm\ntortuosity: false\n"
        f"bench: {{enabled: true, tables: false, flow: {flow}}}\n"
    )
    start = time.process_time()
    run = md.run(md.load_study(path, cluster={"profile": "sync"}), folder / flow, listener=lambda event: None)
    seconds = time.process_time() - start
    curve = run.result["bench_curves"].to_dataset().isel(replicate=0)
    fraction, radius = curve.wet_fraction.values, curve.entry_radius.values - OFFSET
    first, half = int(np.flatnonzero(fraction > 0)[0]), int(np.flatnonzero(fraction >= 0.5)[0])
    mean = radius[half]
    if half > first:
        mean = np.interp(0.5, fraction[half - 1 : half + 1], radius[half - 1 : half + 1])
    bubble = float(run.result["bench"].bubble_point_radius[0]) - OFFSET
    return [bubble, float(mean), float(fraction[first])], seconds


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--rock")
    parser.add_argument("--edge", type=int, default=128)
    arguments = parser.parse_args()
    edge = 32 if arguments.smoke else arguments.edge
    print("structure     bubble point  mean flow: network, Stokes  wet at bubble point: network, Stokes  time")
    for number, (name, pores) in enumerate(structures(edge, arguments.rock)):
        if arguments.smoke and number:
            break
        with tempfile.TemporaryDirectory() as name_of_folder:
            folder = Path(name_of_folder)
            np.save(folder / "pores.npy", np.where(pores, 0, 255).astype(np.uint8))
            if not number:
                bench(folder, "network")  # compiles
                (folder / "network").rename(folder / "compiled")
            (bubble, mean, wet), seconds = bench(folder, "network")
            (_, stokes_mean, stokes_wet), stokes_seconds = bench(folder, "stokes")
        print(
            f"{name:12}  {bubble:12.3f}  {mean:18.2f}  {stokes_mean:6.2f}  {wet:28.3f}  {stokes_wet:6.3f}"
            f"  {seconds / stokes_seconds:4.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
