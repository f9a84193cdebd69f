"""A reconstructed volume, from noise to Zarr, compared with the usual implementations.

    python benchmarks/volume_pipeline.py [--quick] [--repeats 3]

All write the same kind of volume: two Gaussian fields (widths 3.2 and 8.4 voxels, kernels truncated at four standard
deviations), blended along the depth, thresholded, closed with a spherical structuring element of radius 4, as uint8 to
Zarr.

membrane-dask slabs of full planes, including the noise, by one worker process and by two
scipy         ``scipy.ndimage`` in float32 on one array in memory
map_overlap   Dask's ``map_overlap`` with the same SciPy filters, in chunks
dask-image    its own filters and its own closing, if it is installed
copy          one read and one write of float32 per voxel: a lower bound for any pass over the volume

Each runs in processes of its own; a first slab, which loads compiled code, is not timed. Further tables compare the
closing with SciPy's, a section for a trial with the whole volume, slabs of different thickness, and blocks of a
membrane 33,333 voxels deep.
"""

from __future__ import annotations

import hashlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from _common import argument_parser, missing_packages, skipped
from scipy import ndimage
from scipy.special import ndtri

from membrane_dask.physics.reconstruction.random_field import (
    cut_and_close,
    gaussian_field,
    generate_window,
    working_bytes,
)
from membrane_dask.physics.reconstruction.structures import Graded, TwoLayers

STRUCTURE = TwoLayers(sigma_1=3.2, sigma_2=8.4, porosity=0.3, closing_radius=4.0)
STEADY = Graded(knots=(0.0, 1.0), sigma=(1.6, 6.0), porosity=(0.3, 0.38), closing_radius=2.0)
TINY, SMALL, FULL = (96, 64, 96), (512, 256, 450), (1024, 400, 899)
#: Planes in a slab; two workers get the same number of slabs.
PLANES = {TINY: 32, SMALL: 128, FULL: 100}


def structuring_element(square: int) -> np.ndarray:
    """Voxels whose squared distance from the centre is at most ``square``."""
    radius = int(square**0.5)
    return (np.mgrid[(slice(-radius, radius + 1),) * 3] ** 2).sum(0) <= square


def zarr_at(path: str, shape: tuple[int, int, int], chunk: int):  # type: ignore[no-untyped-def]
    """Create an empty volume."""
    from membrane_dask.io.ome_zarr import create_volume

    create_volume(Path(path), shape=shape, block=chunk, voxel_size_nm=3.0, name="benchmark", levels=1)


def write_slabs(path: str, shape: tuple[int, int, int], worker: int = 0, workers: int = 1) -> None:
    """Compute the slabs ``worker``, ``worker + workers``, ... with membrane-dask."""
    from membrane_dask.io.ome_zarr import open_level

    array, planes = open_level(Path(path)), PLANES[shape]
    for y in range(worker * planes, shape[1], workers * planes):
        size = (shape[0], min(planes, shape[1] - y), shape[2])
        window = generate_window(STRUCTURE, depth=shape[0], start=(0, y, 0), shape=size, seed=1)
        array[:, y : y + size[1]] = window


def blend(shape: tuple[int, int, int]) -> np.ndarray:
    """Weights of both fields divided by their standard deviations, ``(2, depth)``."""
    sd = np.array([[smoothed_deviation(taps)] for taps in map(one_side, (STRUCTURE.sigma_1, STRUCTURE.sigma_2))])
    return np.float32(STRUCTURE.weights(np.linspace(0, 1, shape[0])) / sd)


def smoothed_deviation(taps: np.ndarray) -> float:
    """Standard deviation of uniform noise on a unit interval after smoothing along three axes."""
    squares = taps.astype(float) ** 2
    return float(np.sqrt((squares[0] + 2 * squares[1:].sum()) ** 3 / 12))


def one_side(sigma: float) -> np.ndarray:
    """Centre and one side of the Gaussian kernel of SciPy."""
    k = np.arange(int(4 * sigma + 0.5) + 1)
    taps = np.exp(-0.5 * (k / sigma) ** 2)
    return taps / (taps[0] + 2 * taps[1:].sum())


def scipy_arrays(path: str, shape: tuple[int, int, int]) -> None:
    """Compute the whole volume in memory with SciPy."""
    import zarr

    rng = np.random.default_rng(1)
    field = np.zeros(shape, np.float32)
    for sigma, weight in zip((STRUCTURE.sigma_1, STRUCTURE.sigma_2), blend(shape), strict=True):
        noise = rng.random(shape, np.float32) - np.float32(0.5)
        field += weight[:, None, None] * ndimage.gaussian_filter(noise, sigma, mode="wrap")
    solid = field >= np.float32(ndtri(STRUCTURE.porosity))
    closed = ndimage.binary_closing(solid, structuring_element(STRUCTURE.closing_square))
    zarr.open_array(f"{path}/0", mode="r+")[:] = closed.view(np.uint8) * np.uint8(255)


def map_overlap(path: str, shape: tuple[int, int, int]) -> None:
    """Compute chunks with SciPy's filters."""
    import dask
    import dask.array as da

    chunks = (shape[0] // 4, 64, shape[2] // 2)
    fields = []
    for sigma, weight in zip((STRUCTURE.sigma_1, STRUCTURE.sigma_2), blend(shape), strict=True):
        noise = da.random.default_rng(1).random(shape, dtype=np.float32, chunks=chunks) - np.float32(0.5)
        reach = int(4 * sigma + 0.5)
        smooth = noise.map_overlap(ndimage.gaussian_filter, depth=reach, boundary="periodic", sigma=sigma)
        fields.append(smooth * weight[:, None, None])
    solid = (fields[0] + fields[1]) >= np.float32(ndtri(STRUCTURE.porosity))
    closed = solid.map_overlap(
        ndimage.binary_closing, depth=8, boundary="periodic", structure=structuring_element(STRUCTURE.closing_square)
    )
    store(closed, path, dask)


def dask_image(path: str, shape: tuple[int, int, int]) -> None:
    """Compute chunks with dask-image's filters."""
    import dask
    import dask.array as da
    from dask_image import ndfilters, ndmorph

    chunks = (shape[0] // 4, 64, shape[2] // 2)
    field = 0
    for sigma, weight in zip((STRUCTURE.sigma_1, STRUCTURE.sigma_2), blend(shape), strict=True):
        noise = da.random.default_rng(1).random(shape, dtype=np.float32, chunks=chunks) - np.float32(0.5)
        field = field + ndfilters.gaussian_filter(noise, sigma, mode="wrap") * weight[:, None, None]
    solid = field >= np.float32(ndtri(STRUCTURE.porosity))
    store(ndmorph.binary_closing(solid, structuring_element(STRUCTURE.closing_square)), path, dask)


def store(closed, path: str, dask) -> None:  # type: ignore[no-untyped-def]
    """Write a Dask array with one thread."""
    import zarr

    with dask.config.set(scheduler="synchronous"):
        phases = (closed.astype(np.uint8) * np.uint8(255)).rechunk(
            (closed.shape[0], PLANES[closed.shape], closed.shape[2])
        )
        dask.array.store(phases, zarr.open_array(f"{path}/0", mode="r+"), lock=False)


def copy(path: str, shape: tuple[int, int, int]) -> None:
    """Read and write each voxel once; prints its own time, without the allocation."""
    del path
    source = np.zeros(shape, np.float32)
    source += 1
    target = np.ones(shape, np.float32)
    begin = time.perf_counter()
    target[:] = source
    print(f"seconds {time.perf_counter() - begin}")


IMPLEMENTATIONS: dict[str, Callable[..., None]] = {
    "membrane-dask": write_slabs, "scipy": scipy_arrays, "map_overlap": map_overlap, "dask-image": dask_image,
    "copy": copy,
}  # fmt: skip


def run_child(name: str, path: str, shape: tuple[int, int, int], worker: int, workers: int) -> None:
    """Load the code, print "ready", wait for a line, run, and print time and memory. Needs a process of its own."""
    if name == "membrane-dask":
        generate_window(STRUCTURE, depth=64, start=(0, 0, 0), shape=(64, 4, 64), seed=0)
    if name == "dask-image":
        import dask_image.ndfilters
        import dask_image.ndmorph  # noqa: F401
    if name == "map_overlap":
        import dask.array  # noqa: F401
    print("ready", flush=True)
    sys.stdin.readline()
    before = resource.getrusage(resource.RUSAGE_SELF)
    start = time.perf_counter()
    IMPLEMENTATIONS[name](path, shape, *((worker, workers) if name == "membrane-dask" else ()))
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if name != "copy":
        print(f"seconds {wall}")
    print(f"cpu {cpu}")
    print(f"peak {after.ru_maxrss * 1024}", flush=True)


def measure(name: str, shape: tuple[int, int, int], workers: int = 1) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds of all processes, and peak memory of the largest process."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/volume"
        zarr_at(path, shape, PLANES[shape])
        command = [sys.executable, __file__, "--child", name, path, *map(str, shape)]
        processes = [
            subprocess.Popen(
                [*command, str(worker), str(workers)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for worker in range(workers)
        ]
        for process in processes:
            assert process.stdout is not None
            if process.stdout.readline() != "ready\n":
                raise RuntimeError(f"{name} could not start")
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        rows = []
        for process in processes:
            fields = process.communicate()[0].split()
            rows.append(dict(zip(fields[::2], map(float, fields[1::2]), strict=True)))
        wall = max(row["seconds"] for row in rows)  # all started at the same time
        return wall, sum(row["cpu"] for row in rows), max(row["peak"] for row in rows)


def compare(shape: tuple[int, int, int], implementations: list[tuple[str, int]], repeats: int) -> None:
    """Print medians over ``repeats`` runs, alternating between the implementations, and ratios to SciPy's time."""
    runs: dict[tuple[str, int], list[tuple[float, float, float]]] = {key: [] for key in implementations}
    for _ in range(repeats):
        for name, workers in implementations:
            runs[name, workers].append(measure(name, shape, workers))
    voxels = float(np.prod(shape))
    base = statistics.median(wall for wall, _, _ in runs["scipy", 1]) if ("scipy", 1) in runs else float("nan")
    print(f"{' x '.join(map(str, shape))} voxels, medians of {repeats}")
    print(f"{'':14}{'workers':>8}{'wall s':>9}{'ns/voxel':>10}{'CPU s':>8}{'GB':>7}{'speedup':>12}")
    for (name, workers), rows in runs.items():
        wall, cpu, peak = (statistics.median(column) for column in zip(*rows, strict=True))
        columns = f"{wall:9.2f}{1e9 * wall / voxels:10.1f}{cpu:8.2f}{peak / 1e9:7.2f}{base / wall:12.1f}"
        print(f"{name:14}{workers:8d}{columns}")
    print(flush=True)


def closing_and_sections(repeats: int, size: int, full: tuple[int, int, int]) -> None:
    """Print the time of the closing compared with SciPy's, and of a section compared with the volume."""
    shape = (size, size // 4, size)
    field = gaussian_field(STRUCTURE, depth=size, start=(-8, -8, -8), shape=tuple(n + 16 for n in shape), seed=1)
    without_closing = TwoLayers(sigma_1=3.2, sigma_2=8.4, porosity=0.3)
    inner = field[8:-8, 8:-8, 8:-8]
    solid = np.pad(cut_and_close(without_closing, inner, depth=size, z_start=0) > 0, 8, constant_values=True)

    def timed(function: Callable[[], object]) -> float:
        times = []
        for _ in range(repeats):
            start = time.perf_counter()
            function()
            times.append(time.perf_counter() - start)
        return statistics.median(times)

    cut_and_close(STRUCTURE, field, depth=size, z_start=-8)
    both = timed(lambda: cut_and_close(STRUCTURE, field, depth=size, z_start=-8))
    threshold = timed(lambda: cut_and_close(without_closing, inner, depth=size, z_start=0))
    scipy_seconds = timed(lambda: ndimage.binary_closing(solid, structuring_element(16)))
    closing = both - threshold
    print(f"closing, radius 4: scipy {scipy_seconds:.2f} s, membrane-dask {closing:.4f} s, ratio "
          f"{scipy_seconds / closing:.0f}; with threshold and output {scipy_seconds / both:.0f}")  # fmt: skip
    depth, planes, width = full
    section_start = (0, planes // 2, 0)
    section = timed(
        lambda: generate_window(STRUCTURE, depth=depth, start=section_start, shape=(depth, 1, width), seed=1)
    )
    thickness = planes // 4
    slab = timed(
        lambda: generate_window(STRUCTURE, depth=depth, start=(0, 0, 0), shape=(depth, thickness, width), seed=1)
    )
    print(f"a section of {depth} x {width}: {section:.3f} s; the volume of {planes} planes {slab * 4:.1f} s, "
          f"ratio {slab * 4 / section:.0f}")  # fmt: skip


def slab_thickness(full: tuple[int, int, int], thicknesses: tuple[int, ...]) -> None:
    """Print the time by thickness of the slabs, and whether all give the same bits."""
    digests = set()
    for planes in thicknesses:
        seconds = 0.0
        volume = np.empty(full, np.uint8)
        for y in range(0, full[1], planes):
            size = (full[0], min(planes, full[1] - y), full[2])
            start = time.perf_counter()
            volume[:, y : y + size[1]] = generate_window(STEADY, depth=full[0], start=(0, y, 0), shape=size, seed=1)
            seconds += time.perf_counter() - start
        digest = hashlib.sha256(volume.tobytes()).hexdigest()[:16]
        digests.add(digest)
        memory = working_bytes(STEADY, (full[0], planes, full[2])) / 1e9
        print(f"slabs of {planes:3d} planes: {seconds:.1f} s, {memory:.2f} GB, sha256 {digest}", flush=True)
    print("the same bits" if len(digests) == 1 else "BITS DIFFER")


def deep_membrane(width: int, thickness: int) -> None:
    """Print the time per voxel by depth for blocks of a membrane of 100 um at 3 nm, 400 planes across."""
    planes, whole = 32, 33_333
    print(f"a membrane of {whole} x 400 x {width} voxels, in blocks of {planes} planes: "
          f"{working_bytes(STEADY, (whole, planes, width)) / 1e9:.2f} GB each")  # fmt: skip
    last = whole - thickness
    cases = ((thickness // 2, 0, thickness // 2), *((whole, start, thickness) for start in (0, 16_000, last)))
    for depth, first, count in cases:
        start = time.perf_counter()
        volume = generate_window(STEADY, depth=depth, start=(first, 0, 0), shape=(count, planes, width), seed=1)
        seconds = time.perf_counter() - start
        print(f"  planes {first} to {first + count} of {depth}: {1e9 * seconds / volume.size:.1f} ns/voxel")


def main() -> None:
    """Print the tables."""
    parser = argument_parser(__doc__)
    parser.add_argument("--child", nargs=7, help="internal: run one implementation in this process")
    parser.add_argument("--quick", action="store_true", help="membrane-dask and SciPy on the small volume only")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    if arguments.child:
        name, path, *numbers = arguments.child
        depth, planes, width, worker, workers = map(int, numbers)
        run_child(name, path, (depth, planes, width), worker, workers)
        return
    implementations = [("membrane-dask", 1), ("membrane-dask", 2), ("scipy", 1)]
    if not arguments.quick:
        implementations += [("map_overlap", 1), ("copy", 1)]
        if arguments.smoke:
            skipped("dask-image", "a third-party code, which --smoke leaves out")
        elif missing_packages("dask_image"):
            skipped("dask-image", "it is not installed")
        else:
            implementations.append(("dask-image", 1))
    if arguments.smoke:
        compare(TINY, implementations, 1)
        closing_and_sections(1, 32, TINY)
        deep_membrane(16, 64)
        slab_thickness(TINY, (32, 16))
        return
    compare(SMALL, implementations, arguments.repeats)
    closing_and_sections(arguments.repeats, 256, FULL)
    deep_membrane(1000, 2048)
    if not arguments.quick:
        compare(FULL, implementations[:2], 1)
        slab_thickness(FULL, (128, 100, 64, 32))


if __name__ == "__main__":
    main()
