"""A reconstructed volume, from noise to Zarr, against the ways in which it is usually made.

    python benchmarks/volume_pipeline.py [--quick] [--repeats 3]

All write the same kind of volume: two Gaussian fields (widths 3.2 and 8.4 voxels, kernels cut at four
standard deviations) blended along the depth, cut at a level, closed by a ball of radius 4, as uint8 to Zarr.

ours          slabs of full planes, noise and all, by one worker process and by two
scipy         ``scipy.ndimage`` in float32 on one array in memory
map_overlap   Dask's ``map_overlap`` with the same SciPy filters, in chunks
dask-image    its own filters and its closing, if it is installed
copy          one read and one write of float32 for each voxel: no pass over the volume can be faster

Every one runs in processes of its own; the first slab is not timed, as it loads compiled code. Then the
closing alone against SciPy's, a trial section against the volume, and blocks of a membrane 33,333 voxels deep.
"""

from __future__ import annotations

import argparse
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
from scipy import ndimage
from scipy.special import ndtri

from membrane_dask.physics.reconstruction.random_field import (
    Graded,
    TwoLayers,
    block,
    cut,
    gaussian_field,
    smoothed_sd,
    working_bytes,
)

STRUCTURE = TwoLayers(sigma_1=3.2, sigma_2=8.4, porosity=0.3, closing_radius=4.0)
STEADY = Graded(knots=(0.0, 1.0), sigma=(1.6, 6.0), porosity=(0.3, 0.38), closing_radius=2.0)
SMALL, FULL = (512, 256, 450), (1024, 400, 899)
#: Planes in a slab: as many for both workers.
PLANES = {SMALL: 128, FULL: 100}


def ball(square: int) -> np.ndarray:
    """Digital ball."""
    radius = int(square**0.5)
    return (np.mgrid[(slice(-radius, radius + 1),) * 3] ** 2).sum(0) <= square


def zarr_at(path: str, shape: tuple[int, int, int], chunk: int):  # type: ignore[no-untyped-def]
    """An empty volume."""
    from membrane_dask.io.ome_zarr import create_volume

    create_volume(Path(path), shape=shape, block=chunk, voxel_size_nm=3.0, name="benchmark", levels=1)


def ours(path: str, shape: tuple[int, int, int], part: int = 0, parts: int = 1) -> None:
    """Slabs ``part``, ``part + parts``, ..."""
    from membrane_dask.io.ome_zarr import write_slab

    planes = PLANES[shape]
    for y in range(part * planes, shape[1], parts * planes):
        size = (shape[0], min(planes, shape[1] - y), shape[2])
        write_slab(Path(path), y, block(STRUCTURE, depth=shape[0], start=(0, y, 0), shape=size, seed=1))


def blend(shape: tuple[int, int, int]) -> np.ndarray:
    """Weights of both fields, ``(2, depth)``, with their standard deviations taken out."""
    sd = np.array([[smoothed_sd(taps)] for taps in map(one_side, (STRUCTURE.sigma_1, STRUCTURE.sigma_2))])
    return np.float32(STRUCTURE.weights(np.linspace(0, 1, shape[0])) / sd)


def one_side(sigma: float) -> np.ndarray:
    """Centre and one side of SciPy's kernel."""
    k = np.arange(int(4 * sigma + 0.5) + 1)
    taps = np.exp(-0.5 * (k / sigma) ** 2)
    return taps / (taps[0] + 2 * taps[1:].sum())


def scipy_arrays(path: str, shape: tuple[int, int, int]) -> None:
    """Whole arrays."""
    import zarr

    rng = np.random.default_rng(1)
    field = np.zeros(shape, np.float32)
    for sigma, weight in zip((STRUCTURE.sigma_1, STRUCTURE.sigma_2), blend(shape), strict=True):
        noise = rng.random(shape, np.float32) - np.float32(0.5)
        field += weight[:, None, None] * ndimage.gaussian_filter(noise, sigma, mode="wrap")
    solid = field >= np.float32(ndtri(STRUCTURE.porosity))
    closed = ndimage.binary_closing(solid, ball(STRUCTURE.closing_square))
    zarr.open_array(f"{path}/0", mode="r+")[:] = closed.view(np.uint8) * np.uint8(255)


def map_overlap(path: str, shape: tuple[int, int, int]) -> None:
    """Chunks with SciPy's filters."""
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
        ndimage.binary_closing, depth=8, boundary="periodic", structure=ball(STRUCTURE.closing_square)
    )
    store(closed, path, dask)


def dask_image(path: str, shape: tuple[int, int, int]) -> None:
    """The same with dask-image's filters."""
    import dask
    import dask.array as da
    from dask_image import ndfilters, ndmorph

    chunks = (shape[0] // 4, 64, shape[2] // 2)
    field = 0
    for sigma, weight in zip((STRUCTURE.sigma_1, STRUCTURE.sigma_2), blend(shape), strict=True):
        noise = da.random.default_rng(1).random(shape, dtype=np.float32, chunks=chunks) - np.float32(0.5)
        field = field + ndfilters.gaussian_filter(noise, sigma, mode="wrap") * weight[:, None, None]
    solid = field >= np.float32(ndtri(STRUCTURE.porosity))
    store(ndmorph.binary_closing(solid, ball(STRUCTURE.closing_square)), path, dask)


def store(closed, path: str, dask) -> None:  # type: ignore[no-untyped-def]
    """Write a Dask array, one task at a time."""
    import zarr

    with dask.config.set(scheduler="synchronous"):
        phases = (closed.astype(np.uint8) * np.uint8(255)).rechunk(
            (closed.shape[0], PLANES[closed.shape], closed.shape[2])
        )
        dask.array.store(phases, zarr.open_array(f"{path}/0", mode="r+"), lock=False)


def copied(path: str, shape: tuple[int, int, int]) -> None:
    """One read and one write."""
    del path
    source = np.zeros(shape, np.float32)
    source += 1
    target = np.ones(shape, np.float32)
    begin = time.perf_counter()
    target[:] = source
    print(f"seconds {time.perf_counter() - begin}")


WAYS: dict[str, Callable[..., None]] = {
    "ours": ours, "scipy": scipy_arrays, "map_overlap": map_overlap, "dask-image": dask_image, "copy": copied,
}  # fmt: skip


def child(way: str, path: str, shape: tuple[int, int, int], part: int, parts: int) -> None:
    """In a process of its own: load, say so, wait, run, and say how long it took and how much memory."""
    if way == "ours":
        block(STRUCTURE, depth=64, start=(0, 0, 0), shape=(64, 4, 64), seed=0)
    if way == "dask-image":
        import dask_image.ndfilters
        import dask_image.ndmorph  # noqa: F401
    if way == "map_overlap":
        import dask.array  # noqa: F401
    print("ready", flush=True)
    sys.stdin.readline()
    before = resource.getrusage(resource.RUSAGE_SELF)
    begin = time.perf_counter()
    WAYS[way](path, shape, *((part, parts) if way == "ours" else ()))
    wall = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if way != "copy":
        print(f"seconds {wall}")
    print(f"cpu {cpu}")
    print(f"peak {after.ru_maxrss * 1024}", flush=True)


def measure(way: str, shape: tuple[int, int, int], parts: int = 1) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds, and the peak memory of the largest process."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/volume"
        zarr_at(path, shape, PLANES[shape])
        command = [sys.executable, __file__, "--child", way, path, *map(str, shape)]
        jobs = [
            subprocess.Popen(
                [*command, str(part), str(parts)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for part in range(parts)
        ]
        for job in jobs:
            assert job.stdout is not None
            if job.stdout.readline() != "ready\n":
                raise RuntimeError(f"{way} could not start")
        answers = []
        for job in jobs:
            assert job.stdin is not None
            job.stdin.write("go\n")
            job.stdin.flush()
        for job in jobs:
            words = (job.communicate()[0]).split()
            answers.append(dict(zip(words[::2], map(float, words[1::2]), strict=True)))
        wall = max(answer["seconds"] for answer in answers)  # they were started together
        return wall, sum(a["cpu"] for a in answers), max(a["peak"] for a in answers)


def compare(shape: tuple[int, int, int], ways: list[tuple[str, int]], repeats: int) -> None:
    """Every way in turn, ``repeats`` times; medians, and ratios to SciPy's time."""
    found: dict[tuple[str, int], list[tuple[float, float, float]]] = {way: [] for way in ways}
    for _ in range(repeats):
        for way in ways:
            found[way].append(measure(way[0], shape, way[1]))
    voxels = float(np.prod(shape))
    base = statistics.median(wall for wall, _, _ in found["scipy", 1]) if ("scipy", 1) in found else float("nan")
    print(f"{' x '.join(map(str, shape))} voxels, medians of {repeats}")
    print(f"{'':14}{'workers':>8}{'wall s':>9}{'ns/voxel':>10}{'CPU s':>8}{'GB':>7}{'scipy / it':>12}")
    for (way, parts), runs in found.items():
        wall, cpu, peak = (statistics.median(column) for column in zip(*runs, strict=True))
        print(f"{way:14}{parts:8d}{wall:9.2f}{1e9 * wall / voxels:10.1f}{cpu:8.2f}{peak / 1e9:7.2f}{base / wall:12.1f}")
    print(flush=True)


def parts_alone(repeats: int) -> None:
    """The closing against SciPy's, and a trial's section against the volume's cost."""
    shape = (256, 64, 256)
    field = gaussian_field(STRUCTURE, depth=256, start=(-8, -8, -8), shape=tuple(n + 16 for n in shape), seed=1)
    still = TwoLayers(sigma_1=3.2, sigma_2=8.4, porosity=0.3)
    inner = field[8:-8, 8:-8, 8:-8]
    solid = np.pad(cut(still, inner, depth=256, z_start=0) > 0, 8, constant_values=True)

    def timed(function: Callable[[], object]) -> float:
        times = []
        for _ in range(repeats):
            begin = time.perf_counter()
            function()
            times.append(time.perf_counter() - begin)
        return statistics.median(times)

    cut(STRUCTURE, field, depth=256, z_start=-8)
    with_it = timed(lambda: cut(STRUCTURE, field, depth=256, z_start=-8))
    without = timed(lambda: cut(still, inner, depth=256, z_start=0))
    slow = timed(lambda: ndimage.binary_closing(solid, ball(16)))
    print(f"closing by a ball of radius 4: scipy {slow:.2f} s, ours {with_it - without:.4f} s, "
          f"{slow / (with_it - without):.0f} times as fast; with cutting and writing {slow / with_it:.0f}")  # fmt: skip
    section = timed(lambda: block(STRUCTURE, depth=1024, start=(0, 200, 0), shape=(1024, 1, 899), seed=1))
    slab = timed(lambda: block(STRUCTURE, depth=1024, start=(0, 0, 0), shape=(1024, 100, 899), seed=1))
    print(f"a section of 1024 x 899: {section:.3f} s; the volume of 400 planes {slab * 4:.1f} s, "
          f"{slab * 4 / section:.0f} times as much")  # fmt: skip


def layouts() -> None:
    """The paper's size in slabs of different thickness: seconds of each, and that the bits are the same."""
    found = {}
    for planes in (128, 100, 64, 32):
        seconds = 0.0
        volume = np.empty(FULL, np.uint8)
        for y in range(0, FULL[1], planes):
            size = (FULL[0], min(planes, FULL[1] - y), FULL[2])
            begin = time.perf_counter()
            volume[:, y : y + size[1]] = block(STEADY, depth=FULL[0], start=(0, y, 0), shape=size, seed=1)
            seconds += time.perf_counter() - begin
        digest = hashlib.sha256(volume.tobytes()).hexdigest()[:16]
        found[planes] = digest
        memory = working_bytes(STEADY, (FULL[0], planes, FULL[2])) / 1e9
        print(f"slabs of {planes:3d} planes: {seconds:.1f} s, {memory:.2f} GB, sha256 {digest}", flush=True)
    print("the same bits" if len(set(found.values())) == 1 else "BITS DIFFER")


def deep() -> None:
    """Blocks of a membrane of 100 um at 3 nm, 400 x 1000 voxels across: the cost of a voxel at any depth."""
    planes, width = 32, 1000
    whole = 33_333
    print(f"a membrane of {whole} x 400 x {width} voxels, in blocks of {planes} planes: "
          f"{working_bytes(STEADY, (whole, planes, width)) / 1e9:.2f} GB each")  # fmt: skip
    for depth, start, lot in ((1024, 0, 1024), (whole, 0, 2048), (whole, 16_000, 2048), (whole, 31_285, 2048)):
        begin = time.perf_counter()
        found = block(STEADY, depth=depth, start=(start, 0, 0), shape=(lot, planes, width), seed=1)
        seconds = time.perf_counter() - begin
        print(f"  planes {start} to {start + lot} of {depth}: {1e9 * seconds / found.size:.1f} ns/voxel")


def main() -> None:
    """Compare on the small volume, time ours at the paper's size, and the parts alone."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--child", nargs=7)
    parser.add_argument("--quick", action="store_true", help="ours and SciPy on the small volume only")
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    if asked.child:
        way, path, *numbers = asked.child
        depth, planes, width, part, parts = map(int, numbers)
        child(way, path, (depth, planes, width), part, parts)
        return
    ways = [("ours", 1), ("ours", 2), ("scipy", 1)]
    if not asked.quick:
        ways += [("map_overlap", 1), ("copy", 1)]
        try:
            import dask_image.ndfilters  # noqa: F401

            ways.append(("dask-image", 1))
        except ImportError:
            print("dask-image is not installed: left out")
    compare(SMALL, ways, asked.repeats)
    parts_alone(asked.repeats)
    deep()
    if not asked.quick:
        compare(FULL, [("ours", 1), ("ours", 2)], 1)
        layouts()


if __name__ == "__main__":
    main()
