"""Time that the views of ``membrane-dask serve`` take on the server: many units, and a large volume.

    python benchmarks/explorer.py [--units 100000] [--edge 1000] [--smoke]

Units are read from a journal of one unit a line and drawn in time. Of a volume of edge^3 voxels, sections normal to
each axis, an enlarged section and the surface of the solid are read from the level of the pyramid that a screen can
show. The ratio to reading the same section at the finest level says what the pyramid saves. Medians of three.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import holoviews as hv
import numpy as np
from _common import argument_parser

from membrane_dask.engine.journal import Journal
from membrane_dask.explorer.units import unit_times
from membrane_dask.explorer.units_view import draw_units
from membrane_dask.explorer.volumes import AXES, Pyramid, solid_surface
from membrane_dask.io import ome_zarr


def write_journal(folder: Path, units: int) -> Journal:
    """Units of 0.5 s of CPU time on eight workers."""
    journal = Journal(folder)
    with journal.buffered() as buffered:
        for k in range(units):
            buffered.append(
                {
                    "time": time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(1.7e9 + k / 16)), "done": [f"u,{k}"],
                    "task": "units", "seconds": [0.5], "cpu_seconds": [0.5], "memory": [10**8 + k],
                    "sha256": [f"{k:x}"], "worker": f"node-{k % 8}",
                }
            )  # fmt: skip
    return journal


def write_volume(path: Path, edge: int) -> None:
    """Solid spheres in a volume that is filled slab by slab."""
    ome_zarr.create_volume(path, shape=(edge, edge, edge), block=64, voxel_size_nm=2.0, name="spheres")
    target = ome_zarr.open_level(path)
    period = np.arange(edge) % 50 - 25.0
    square = np.square(period)
    for first in range(0, edge, 64):
        slab = square[:, np.newaxis, np.newaxis] + square[first : first + 64, np.newaxis] + square
        target[:, first : first + 64] = np.where(slab < 20.0**2, 255, 0).astype(np.uint8)
    ome_zarr.build_pyramid(path)


def median_time(function: Callable[[], object]) -> float:
    """Median wall time of three calls, in seconds."""
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--units", type=int, default=100_000)
    parser.add_argument("--edge", type=int, default=1000)
    arguments = parser.parse_args()
    units, edge = (100, 70) if arguments.smoke else (arguments.units, arguments.edge)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "journal").mkdir()
        journal = write_journal(folder / "journal", units)
        times = unit_times(journal)
        assert len(times.key) == units
        print(f"{units} units: read in {median_time(lambda: unit_times(journal)):.2f} s, "
              f"drawn in {median_time(lambda: hv.render(draw_units(times, 'time'))):.2f} s")  # fmt: skip
        write_volume(folder / "spheres", edge)
        path = folder / "spheres"
        pyramid = Pyramid([ome_zarr.open_volume(path, level) for level in range(ome_zarr.count_levels(path))])
        middle = edge * 1.0
        print(f"{edge}^3 voxels, {len(pyramid.levels)} levels")
        for axis in AXES:
            shown = median_time(lambda axis=axis: pyramid.section(axis, middle))
            finest = median_time(lambda axis=axis: pyramid.levels[0].isel({axis: edge // 2}).values)
            print(f"section normal to {axis}: {shown:.2f} s, {finest / shown:.1f} times as long at the finest level")
        range_shown = (0.4 * edge, 0.8 * edge)
        enlarged = median_time(lambda: pyramid.section("y", middle, (range_shown, range_shown)))
        print(f"enlarged section: {enlarged:.2f} s")
        values, spacing = pyramid.coarse()
        surface = median_time(lambda: solid_surface(values > 127, spacing))
        print(f"surface of {' x '.join(map(str, values.shape))} voxels: {surface:.2f} s")


if __name__ == "__main__":
    main()
