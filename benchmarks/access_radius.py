"""Access radius and drainage by spheres, by blocks: time and memory for a pore voxel, and of a large membrane.

    python benchmarks/access_radius.py [--edge 256] [--blocks 64 128 256] [--full]

The volume is a graded Gaussian membrane of the given edge. Each row divides it into blocks of one size and gives the
CPU time for a pore voxel of each step: distances and regions; joining the blocks; the widest paths; drainage by spheres
at all radii. ``contributions`` is what all blocks hand to the widest paths, in bytes for a pore voxel. The first column
is the ratio of the whole to the first row. The last lines extrapolate the last row to 1024 x 400 x 899 voxels;
``--full`` computes that size, the membrane mirrored at its faces, in plain arrays in one process, which takes 6 GB.
"""

from __future__ import annotations

import math
import time

import numpy as np
from _common import argument_parser

from membrane_dask.physics.imaging.access_radius import AccessGraph, block_regions, voxel_access
from membrane_dask.physics.imaging.blocks import Block, divide
from membrane_dask.physics.imaging.distance import block_squared_distances
from membrane_dask.physics.imaging.sphere_invasion import invasion_halo, invasion_squares
from membrane_dask.physics.reconstruction.random_field import generate_window
from membrane_dask.physics.reconstruction.structures import Graded

#: Voxels around a block that are read at first.
HALO = 48
FULL = (1024, 400, 899)
STEPS = ("distances and regions", "join", "widest paths", "drainage")


def membrane(shape: tuple[int, int, int]) -> np.ndarray:
    """Pores of a graded membrane."""
    structure = Graded(knots=(0, 1), sigma=(2.0, 5.0), porosity=(0.3, 0.4), closing_radius=2.0)
    return generate_window(structure, depth=shape[0], start=(0, 0, 0), shape=shape, seed=7) == 0


def drain(pores: np.ndarray, edge: int) -> tuple[dict[str, float], int, np.ndarray]:
    """CPU seconds of each step, bytes of the contributions, and the squared radius at which each voxel is filled."""
    seconds = dict.fromkeys(STEPS, 0.0)
    blocks, contributions = divide(pores.shape, edge), []
    access = np.zeros(pores.shape, np.int32)
    labels = []
    for start, stop in blocks:
        clock = time.process_time()
        block, squares = block_squared_distances(pores.__getitem__, start, stop, pores.shape, margin=1, halo=HALO)
        contribution, regions = block_regions(squares, block)
        seconds["distances and regions"] += time.process_time() - clock
        contributions.append(contribution)
        labels.append(regions)
        access[_window(start, stop)] = block.crop(squares, 0, "constant")
    clock = time.process_time()
    graph = AccessGraph.merge(contributions)
    seconds["join"] = time.process_time() - clock
    clock = time.process_time()
    reached = graph.access()
    seconds["widest paths"] = time.process_time() - clock
    clock = time.process_time()
    for k, (start, stop) in enumerate(blocks):
        where = _window(start, stop)
        access[where] = voxel_access(access[where], labels[k], reached[graph.first[k] : graph.first[k + 1]])
    del labels
    halo = invasion_halo(int(access.max()))
    filled = np.zeros_like(access)
    for start, stop in blocks:
        block = Block(start, stop, halo, pores.shape)
        filled[_window(start, stop)] = invasion_squares(block.crop(access[block.extended], halo, "constant"), halo)
    seconds["drainage"] = time.process_time() - clock
    return seconds, sum(array.nbytes for contribution in contributions for array in contribution.values()), filled


def _window(start: tuple[int, ...], stop: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(slice(a, b) for a, b in zip(start, stop, strict=True))


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--edge", type=int, default=256)
    parser.add_argument("--blocks", type=int, nargs="+", default=[64, 128, 256])
    parser.add_argument("--full", action="store_true")
    arguments = parser.parse_args()
    if arguments.smoke:
        arguments.edge, arguments.blocks = 40, [20, 40]
    drain(membrane((32, 32, 32)), 16)  # compiles
    pores = membrane((arguments.edge,) * 3)
    count = int(pores.sum())
    print("ratio  block  " + "  ".join(f"{step:>20}" for step in (*STEPS, "contributions")))
    first, rows = 0.0, []
    for edge in arguments.blocks:
        seconds, size, filled = drain(pores, edge)
        total = sum(seconds.values())
        first = first or total
        rows.append(filled)
        nanoseconds = "  ".join(f"{1e9 * value / count:17.0f} ns" for value in seconds.values())
        print(f"{total / first:5.2f}  {edge:5d}  {nanoseconds}  {size / count:18.2f} B", flush=True)
    print("the same bits for all blocks:", all((filled == rows[0]).all() for filled in rows))
    voxels = math.prod(FULL) * count / pores.size
    text = f"{total / count * voxels:.0f} CPU s, {size / count * voxels / 1e6:.0f} MB of contributions"
    print(f"extrapolated to {' x '.join(map(str, FULL))}: {text}")
    if arguments.full:
        pores = np.pad(pores, [(0, n - arguments.edge) for n in FULL], mode="symmetric")
        seconds, size, filled = drain(pores, arguments.blocks[-1])
        print(f"{' x '.join(map(str, FULL))}: {sum(seconds.values()):.0f} CPU s, {size / 1e6:.0f} MB of contributions")


if __name__ == "__main__":
    main()
