"""Pore networks from volumes: time, memory and agreement with PoreSpy's snow2.

    pip install porespy
    python benchmarks/network_extraction.py [--rock berea.tif] [--sizes 100 200 300] [--grow]

Cubes are cut from a membrane like those of a reconstruction (graded Gaussian field) and from ``--rock`` (a stack of
binary images, 0 pore). Each extraction runs in a process of its own, once to compile and then timed. Ours runs in
blocks of 128 voxels on one core and includes distances, pore sizes, watershed, connectivity and network. PoreSpy runs
on one core (``parallel_kw=None``) and in its own parallel mode (default settings, all cores). Peak memory is the
increase over the memory that the process held before.

The watershed of snow2 floods through the solid, so that a region may consist of separate components with neighbours
far from each other. The column "connected" counts its throats after every region has been reduced to its largest
connected component. ``--grow`` runs ours on membranes of increasing size, read from Zarr, until one takes more than ten
minutes.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from _common import argument_parser, missing_packages, skipped

BLOCK = 128


def pore_space(kind: str, size: int, rock: str | None) -> np.ndarray:
    """Cube of a membrane or of a rock, True in the pores."""
    if kind == "rock":
        import tifffile

        return np.asarray(tifffile.imread(rock))[:size, :size, :size] == 0
    from membrane_dask.physics.reconstruction.random_field import generate_window
    from membrane_dask.physics.reconstruction.structures import Graded

    structure = Graded(knots=(0, 1), sigma=(3.0, 5.0), porosity=(0.25, 0.35), closing_radius=2.0)
    return generate_window(structure, depth=size, start=(0, 0, 0), shape=(size,) * 3, seed=7) == 0


def peak_memory() -> int:
    """Peak memory of this process in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def extract(pores: np.ndarray) -> dict[str, float]:
    """Extract the network with membrane-dask."""
    from membrane_dask.physics.imaging.blocks import divide
    from membrane_dask.physics.imaging.distance import block_squared_distances
    from membrane_dask.physics.imaging.local_thickness import local_thickness_counts
    from membrane_dask.physics.imaging.network_extraction import extract_network
    from membrane_dask.physics.imaging.watershed import SnowParameters, block_watershed

    snow, contributions = SnowParameters(), []
    for start, stop in divide(pores.shape, BLOCK):
        block, squares = block_squared_distances(pores.__getitem__, start, stop, pores.shape, margin=snow.margin)
        local_thickness_counts(squares, block)
        contributions.append(block_watershed(squares, block, snow)[0])
    network = extract_network(contributions, pores.shape, 1.0, snow).network
    inner = network.throat_conns[:, 1] >= 0
    return {
        "pores": len(network.junctions),
        "throats": int(inner.sum()),
        "body": float(network.bodies["equivalent_radius"].mean()),
        "throat": float(network.radius[inner].mean()),
        "inscribed": float(network.throats["inscribed_radius"][inner].mean()),
    }


def snow2(pores: np.ndarray, parallel: bool) -> tuple[dict[str, float], np.ndarray]:
    """Extract the network with PoreSpy; also its regions."""
    import porespy

    porespy.settings.tqdm = {"disable": True}
    options = {} if parallel else {"parallel_kw": None}
    result = porespy.networks.snow2(pores, boundary_width=0, **options)
    network = result.network
    statistics = {
        "pores": len(network["pore.coords"]),
        "throats": len(network["throat.conns"]),
        "body": float(network["pore.equivalent_diameter"].mean() / 2),
        "throat": float(network["throat.equivalent_diameter"].mean() / 2),
        "inscribed": float(network["throat.inscribed_diameter"].mean() / 2),
    }
    return statistics, result.regions


def throats_of_connected_regions(regions: np.ndarray) -> int:
    """Number of throats after each region is reduced to its largest connected component."""
    from scipy import ndimage

    reduced = np.zeros_like(regions)
    for number, box in enumerate(ndimage.find_objects(regions), start=1):
        if box is None:
            continue
        components, count = ndimage.label(regions[box] == number)
        if count:
            largest = np.bincount(components.ravel())[1:].argmax() + 1
            reduced[box][components == largest] = number
    pairs: set[tuple[int, int]] = set()
    for axis in range(3):
        along_axis = np.moveaxis(reduced, axis, 0)
        a, b = along_axis[:-1].ravel(), along_axis[1:].ravel()
        contact = (a != b) & (a > 0) & (b > 0)
        pairs |= set(map(tuple, np.unique(np.sort(np.stack([a[contact], b[contact]], 1), axis=1), axis=0).tolist()))
    return len(pairs)


def measure(method: str, kind: str, size: int, rock: str | None) -> None:
    """Compile with a small cube, run on the cube, and print the results as JSON. Needs a process of its own."""

    def run(pores: np.ndarray) -> tuple[dict[str, float], np.ndarray | None]:
        return (extract(pores), None) if method == "membrane-dask" else snow2(pores, method == "snow2 parallel")

    run(pore_space(kind, 64, rock))
    pores = pore_space(kind, size, rock)
    before, start = peak_memory(), time.perf_counter()
    statistics, regions = run(pores)
    seconds = time.perf_counter() - start
    row = {"seconds": seconds, "bytes": max(0, peak_memory() - before) / pores.size, **statistics}
    if method == "snow2" and regions is not None:
        row["connected"] = throats_of_connected_regions(regions)
    print(json.dumps(row))


def compare(kinds: list[str], sizes: list[int], methods: list[str], rock: str | None) -> None:
    """Print a row for each cube and method."""
    columns = ("s", "ratio", "B/voxel", "pores", "throats", "connected", "z", "z conn.", "body", "throat", "inscribed")
    print(f"{'':28}" + "".join(f"{name:>10}" for name in columns))
    for kind in kinds:
        for size in sizes:
            baseline = None
            for method in methods:
                command = [sys.executable, __file__, "--row", method, kind, str(size)]
                command += ["--rock", rock] if rock else []
                process = subprocess.run(command, capture_output=True, text=True)
                if process.returncode:
                    error = process.stderr.strip().splitlines()[-1][:100]
                    if method == "membrane-dask":
                        raise SystemExit(f"{kind} {size}^3 {method}: {error}")
                    print(f"{kind} {size}^3 {method}: failed: {error}")
                    continue
                row = json.loads(process.stdout.splitlines()[-1])
                baseline = baseline or row["seconds"]
                # Our regions are connected by construction; snow2's parallel mode returns none to reduce.
                connected = row.get("connected", row["throats"] if method == "membrane-dask" else float("nan"))
                values = [
                    f"{row['seconds']:.2f}", f"{row['seconds'] / baseline:.1f}", f"{row['bytes']:.0f}",
                    f"{row['pores']}", f"{row['throats']}", f"{connected:.0f}",
                    f"{2 * row['throats'] / row['pores']:.2f}", f"{2 * connected / row['pores']:.2f}",
                    f"{row['body']:.2f}", f"{row['throat']:.2f}", f"{row['inscribed']:.2f}",
                ]  # fmt: skip
                print(f"{kind:9}{size:4}  {method:13.13}" + "".join(f"{value:>10}" for value in values), flush=True)


def grow(shapes: list[tuple[int, int, int]]) -> None:
    """Print time and memory of characterize studies of membranes from Zarr, on one core."""
    import membrane_dask as md
    from membrane_dask.io import ome_zarr
    from membrane_dask.physics.reconstruction.random_field import generate_window
    from membrane_dask.physics.reconstruction.structures import Graded

    structure = Graded(knots=(0, 1), sigma=(3.0, 5.0), porosity=(0.25, 0.35), closing_radius=2.0)
    print(f"\n{'volume':>18}{'voxels':>10}{'s':>9}{'ns/voxel':>10}{'MB block':>12}{'MB network':>12}")
    for shape in shapes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "volume.ome.zarr"
            ome_zarr.create_volume(path, shape=shape, block=64, voxel_size_nm=3.0, name="v", levels=1)
            for y in range(0, shape[1], 64):
                slab = (shape[0], min(64, shape[1] - y), shape[2])
                window = generate_window(structure, depth=shape[0], start=(0, y, 0), shape=slab, seed=7)
                ome_zarr.open_level(path)[:, y : y + slab[1]] = window
            study = Path(folder) / "study.yaml"
            study.write_text("kind: characterize\ninput: volume.ome.zarr\ntortuosity: false\ncluster: {workers: 1}\n")
            start = time.perf_counter()
            run = md.run(study, Path(folder) / "run", listener=lambda event: None)
            seconds = time.perf_counter() - start
            peaks: dict[str, int] = {}
            for record in run.journal.records():
                for key, memory in zip(record.get("done", ()), record.get("memory", ()), strict=False):
                    task = key.split(",")[0]
                    peaks[task] = max(peaks.get(task, 0), memory)
        voxels = np.prod(shape)
        print(
            f"{' x '.join(map(str, shape)):>18}{voxels:10.2g}{seconds:9.1f}{1e9 * seconds / voxels:10.0f}"
            f"{peaks['blocks'] / 1e6:12.0f}{peaks['networks'] / 1e6:12.0f}", flush=True,
        )  # fmt: skip
        if seconds > 600:
            break


def main() -> None:
    """Print the tables."""
    parser = argument_parser(__doc__)
    parser.add_argument("--rock", help="stack of binary images, 0 pore")
    parser.add_argument("--sizes", type=int, nargs="*", default=[100, 200, 300])
    parser.add_argument("--grow", action="store_true")
    parser.add_argument("--row", nargs=3, help="internal: measure one row in this process")
    arguments = parser.parse_args()
    if arguments.row:
        method, kind, size = arguments.row
        measure(method, kind, int(size), arguments.rock)
        return
    shapes = [
        (256, 128, 256), (512, 128, 512), (512, 256, 512), (512, 400, 899), (1024, 400, 899), (2048, 400, 899)
    ]  # fmt: skip
    methods = ["membrane-dask", "snow2", "snow2 parallel"]
    if arguments.smoke:
        arguments.sizes, arguments.grow, shapes, methods = [64], True, [(64, 64, 64)], methods[:1]
        skipped("snow2", "a third-party code, which --smoke leaves out")
    elif missing_packages("porespy"):
        methods = methods[:1]
        skipped("snow2", "porespy is not installed")
    if not arguments.rock:
        skipped("rock", "--rock names no image")
    if arguments.sizes:
        compare(["membrane", *(["rock"] if arguments.rock else [])], arguments.sizes, methods, arguments.rock)
    if arguments.grow:
        grow(shapes)


if __name__ == "__main__":
    main()
