"""Pore networks from volumes: time, memory and agreement with PoreSpy's snow2.

    pip install porespy
    python benchmarks/network_extraction.py [--rock berea.tif] [--sizes 100 200 300] [--grow]

Cubes are cut from a reconstruction-like membrane (graded Gaussian field) and from ``--rock`` (a stack of binary
images, 0 pore). Both sides run in a process of their own, once to compile and then measured; ours in blocks of 128
on one core, distances to the solid, pore sizes, basins, connectivity and network included. PoreSpy runs as it is
(one core, ``parallel_kw=None``) and in its own parallel mode (as installed, all cores). Peak memory is what the
process took beyond what it held before. As snow2's watershed floods through the solid, pores of one region may be
apart and touch far neighbours: "in one piece" counts its throats again with every region reduced to its largest
connected piece. ``--grow`` measures ours alone on larger and larger membranes read from Zarr, until one takes more
than 20 minutes.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

BLOCK = 128


def cube(kind: str, size: int, rock: str | None) -> np.ndarray:
    """Where the pores are."""
    if kind == "rock":
        import tifffile

        return np.asarray(tifffile.imread(rock))[:size, :size, :size] == 0
    from membrane_dask.physics.reconstruction.random_field import Graded, block

    structure = Graded(knots=(0, 1), sigma=(3.0, 5.0), porosity=(0.25, 0.35), closing_radius=2.0)
    return block(structure, depth=size, start=(0, 0, 0), shape=(size,) * 3, seed=7) == 0


def peak() -> int:
    """Bytes that this process has held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def ours(pores: np.ndarray) -> dict[str, float]:
    from membrane_dask.physics.imaging.distance import fitting, surroundings
    from membrane_dask.physics.imaging.network_extraction import assemble
    from membrane_dask.physics.imaging.watershed import Markers, basins
    from membrane_dask.studies.characterize.program import _blocks

    markers, parts = Markers(), []
    for start, stop in _blocks(pores.shape, BLOCK):
        box, squares = surroundings(pores.__getitem__, start, stop, pores.shape, margin=markers.margin)
        fitting(squares, box)
        parts.append(basins(squares, box, markers)[0])
    network = assemble(parts, pores.shape, 1.0, markers).network
    inner = network.ends[:, 1] >= 0
    return {
        "pores": len(network.junctions),
        "throats": int(inner.sum()),
        "body": float(network.bodies["equivalent_radius"].mean()),
        "throat": float(network.radius[inner].mean()),
        "inscribed": float(network.throats["inscribed_radius"][inner].mean()),
    }


def porespys(pores: np.ndarray, parallel: bool) -> dict[str, float]:
    import porespy

    porespy.settings.tqdm = {"disable": True}
    how = {} if parallel else {"parallel_kw": None}
    found = porespy.networks.snow2(pores, boundary_width=0, **how)
    network = found.network
    answer = {
        "pores": len(network["pore.coords"]),
        "throats": len(network["throat.conns"]),
        "body": float(network["pore.equivalent_diameter"].mean() / 2),
        "throat": float(network["throat.equivalent_diameter"].mean() / 2),
        "inscribed": float(network["throat.inscribed_diameter"].mean() / 2),
    }
    return answer | {"regions": found.regions}


def in_one_piece(regions: np.ndarray) -> int:
    """Throats between the largest connected pieces of the regions."""
    from scipy import ndimage

    kept = np.zeros_like(regions)
    for number, place in enumerate(ndimage.find_objects(regions), start=1):
        if place is None:
            continue
        pieces, count = ndimage.label(regions[place] == number)
        if count:
            largest = np.bincount(pieces.ravel())[1:].argmax() + 1
            kept[place][pieces == largest] = number
    pairs: set[tuple[int, int]] = set()
    for axis in range(3):
        turned = np.moveaxis(kept, axis, 0)
        a, b = turned[:-1].ravel(), turned[1:].ravel()
        touch = (a != b) & (a > 0) & (b > 0)
        pairs |= set(map(tuple, np.unique(np.sort(np.stack([a[touch], b[touch]], 1), axis=1), axis=0).tolist()))
    return len(pairs)


def measure(who: str, kind: str, size: int, rock: str | None) -> None:
    """In a process of its own: compile, then measure, and print what was found."""
    run = {"ours": ours, "snow2": lambda p: porespys(p, False), "snow2 parallel": lambda p: porespys(p, True)}[who]
    run(cube(kind, 64, rock))
    pores = cube(kind, size, rock)
    before, start = peak(), time.perf_counter()
    found = run(pores)
    seconds = time.perf_counter() - start
    answer = {"seconds": seconds, "bytes": max(0, peak() - before) / pores.size}
    regions = found.pop("regions", None)
    if regions is not None and who == "snow2":
        found["whole"] = in_one_piece(regions)
    print(json.dumps(answer | found))


def grow() -> None:
    """Ours on membranes from Zarr, as the study runs it, on one core."""
    import membrane_dask as md
    from membrane_dask.io import ome_zarr as ome
    from membrane_dask.physics.reconstruction.random_field import Graded, block

    structure = Graded(knots=(0, 1), sigma=(3.0, 5.0), porosity=(0.25, 0.35), closing_radius=2.0)
    print(f"\n{'volume':>18}{'voxels':>10}{'s':>9}{'ns/voxel':>10}{'MB a block':>12}{'MB network':>12}")
    for shape in (
        (256, 128, 256),
        (512, 128, 512),
        (512, 256, 512),
        (512, 400, 899),
        (1024, 400, 899),
        (2048, 400, 899),
    ):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "volume.ome.zarr"
            ome.create_volume(path, shape=shape, block=64, voxel_size_nm=3.0, name="v", levels=1)
            for y in range(0, shape[1], 64):
                part = (shape[0], min(64, shape[1] - y), shape[2])
                ome.write_slab(path, y, block(structure, depth=shape[0], start=(0, y, 0), shape=part, seed=7))
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
        if seconds > 1200 / 2:
            break


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rock")
    parser.add_argument("--sizes", type=int, nargs="*", default=[100, 200, 300])
    parser.add_argument("--grow", action="store_true")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        measure(asked.one[0], asked.one[1], int(asked.one[2]), asked.rock)
        return
    header = ("s", "ratio", "B/voxel", "pores", "throats", "whole", "z", "z whole", "body", "throat", "inscribed")
    if asked.sizes:
        print(f"{'':24}" + "".join(f"{name:>10}" for name in header))
    for kind in ("membrane", *(["rock"] if asked.rock else [])):
        for size in asked.sizes:
            baseline = None
            for who in ("ours", "snow2", "snow2 parallel"):
                command = [sys.executable, __file__, "--one", who, kind, str(size)]
                command += ["--rock", asked.rock] if asked.rock else []
                done = subprocess.run(command, capture_output=True, text=True)
                if done.returncode:
                    print(f"{kind} {size}^3 {who}: failed: {done.stderr.strip().splitlines()[-1][:100]}")
                    continue
                a = json.loads(done.stdout.splitlines()[-1])
                baseline = baseline or a["seconds"]
                whole = a.get("whole", a["throats"] if who == "ours" else float("nan"))
                row = [
                    f"{a['seconds']:.2f}", f"{a['seconds'] / baseline:.1f}", f"{a['bytes']:.0f}", f"{a['pores']}",
                    f"{a['throats']}", f"{whole:.0f}", f"{2 * a['throats'] / a['pores']:.2f}",
                    f"{2 * whole / a['pores']:.2f}", f"{a['body']:.2f}", f"{a['throat']:.2f}", f"{a['inscribed']:.2f}",
                ]  # fmt: skip
                print(f"{kind:9}{size:4}  {who:9.9}" + "".join(f"{value:>10}" for value in row), flush=True)
    if asked.grow:
        grow()


if __name__ == "__main__":
    main()
