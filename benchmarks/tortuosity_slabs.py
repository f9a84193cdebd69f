"""Tortuosity by slabs, compared with the same volume in one piece: results, work, time and memory.

    python benchmarks/tortuosity_slabs.py [--shape 256 200 400] [--slab 64] [--volume VOLUME] [--workers 2]

The volume is a graded membrane (porosity 0.25), or one of your own (any that a study reads, with its voxel size in the
file). In one piece, geodesic paths and diffusion are one unit, in a process of its own. By slabs they are units of a
study on local workers of 2 GiB; its time begins when the pore network is finished. Without --slab the study decides on
the thickness. Geodesic tortuosities must have the same bits, effective diffusivities must agree to the tolerance of the
flux, 1e-3; otherwise the benchmark fails.
"""

from __future__ import annotations

import argparse
import collections
import datetime
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from _common import argument_parser

import membrane_dask as md

TASKS = ("pore_slabs", "geodesics", "diffusion", "group_balance", "group_residuals", "tortuosity")
WORKER_BYTES = 2 << 30


def write_membrane(path: Path, shape: tuple[int, int, int], sigma: tuple[float, float] = (4.0, 8.0)) -> None:
    """Write a graded membrane to OME-Zarr, slab by slab."""
    from membrane_dask.io import ome_zarr
    from membrane_dask.physics.reconstruction.random_field import generate_window
    from membrane_dask.physics.reconstruction.structures import Graded

    structure = Graded(knots=(0, 1), sigma=sigma, porosity=(0.25, 0.25), closing_radius=0.0)
    ome_zarr.create_volume(path, shape=shape, block=64, voxel_size_nm=3.0, name="membrane", levels=1)
    for y in range(0, shape[1], 64):
        size = (shape[0], min(64, shape[1] - y), shape[2])
        window = generate_window(structure, depth=shape[0], start=(0, y, 0), shape=size, seed=7)
        ome_zarr.open_level(path)[:, y : y + size[1]] = window


def one_piece(volume: Path) -> None:
    """Compute the unit of the whole volume, and print its results as JSON. Needs a process of its own."""
    from membrane_dask.io.volumes import open_volume_source
    from membrane_dask.program import Unit
    from membrane_dask.studies.characterize.tortuosity_tasks import tortuosity_work

    source = open_volume_source(volume)
    context = {"volumes": [source], "tolerance": 1e-3, "tortuosity_edges": [None]}
    unit = Unit("tortuosity", "tortuosity", (0,), {"volume": 0}, (0,))
    _compile()
    start, before = time.perf_counter(), time.process_time()
    arrays, _ = tortuosity_work(context, unit)
    row = {name: float(value) for name, value in arrays.items()}
    row |= {"wall": time.perf_counter() - start, "work": time.process_time() - before}
    print(json.dumps({**row, "bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))


def _compile() -> None:
    from membrane_dask.physics.transport.diffusion import diffusion
    from membrane_dask.physics.transport.geodesic_paths import geodesic_distances
    from membrane_dask.physics.transport.pore_space import PoreSpace

    pores = np.ones((16, 16, 16), bool)
    geodesic_distances(PoreSpace.of([pores], pores.shape))
    diffusion(pores)


def by_slabs(volume: Path, folder: Path, workers: int, slab: int | None) -> dict[str, float]:
    """Results of a study by slabs, its work, its time from the end of the network on, and the memory of its workers."""
    study = folder / "study.yaml"
    thickness = f"tortuosity_slab_thickness: {slab}\n" if slab else ""
    cluster = f"cluster: {{workers: {workers}, memory: {WORKER_BYTES // 1_000_000} MB}}\n"
    study.write_text(f"kind: characterize\ninput: {volume}\n{thickness}{cluster}")
    run = md.run(study, folder / "run", listener=lambda event: None)
    seconds: dict[str, float] = collections.Counter()
    units: dict[str, int] = collections.Counter()
    memory: dict[str, float] = collections.Counter()
    times = {}
    for record in run.journal.records():
        columns = (record.get(name, ()) for name in ("done", "seconds", "memory"))
        for key, unit_seconds, unit_memory in zip(*columns, strict=True):
            task = key.split(",")[0]
            times[task] = datetime.datetime.fromisoformat(record["time"])
            seconds[task] += unit_seconds
            units[task] += 1
            memory[task] = max(memory[task], unit_memory)
    if not units["pore_slabs"]:
        raise SystemExit("the volume is too small to be divided; set --slab")
    print("   " + ", ".join(f"{task} {units[task]} units, {seconds[task]:.0f} s" for task in TASKS), flush=True)
    print("   GB: " + ", ".join(f"{task} {memory[task] / 1e9:.2f}" for task in TASKS), flush=True)
    values = run.result["properties"].to_dataset().isel(replicate=0)
    return {
        **{name: float(values[name]) for name in ("tortuosity_geometric", "effective_diffusivity")},
        "wall": (times["tortuosity"] - times["networks"]).total_seconds(),
        "work": sum(seconds[task] for task in TASKS),
        "bytes": max(memory[task] for task in TASKS),
    }


def _row(values: dict[str, float]) -> str:
    return f"   {values['wall']:.1f} s, work {values['work']:.1f} s, peak {values['bytes'] / 1e9:.2f} GB"


def compare(arguments: argparse.Namespace, folder: Path) -> None:
    """Print a row for each, and check that the results agree."""
    volume = arguments.volume.resolve() if arguments.volume else folder / "membrane.ome.zarr"
    if not arguments.volume:
        write_membrane(volume, tuple(arguments.shape), (2.0, 3.0) if arguments.smoke else (4.0, 8.0))
    print("in one piece", flush=True)
    process = subprocess.run([sys.executable, __file__, "--one-piece", volume], capture_output=True, text=True)
    if process.returncode:
        raise SystemExit(process.stderr)
    whole = json.loads(process.stdout.splitlines()[-1])
    print(_row(whole), flush=True)
    print(f"by slabs on {arguments.workers} workers of 2 GiB", flush=True)
    slabs = by_slabs(volume, folder, arguments.workers, arguments.slab)
    print(_row(slabs), flush=True)
    ratios = {name: whole[name] / slabs[name] for name in ("wall", "work")}
    print(f"in one piece over by slabs: time {ratios['wall']:.2f}, work {ratios['work']:.2f}")
    difference = slabs["effective_diffusivity"] / whole["effective_diffusivity"] - 1
    same = slabs["tortuosity_geometric"] == whole["tortuosity_geometric"]
    print(f"geodesic tortuosity {whole['tortuosity_geometric']:.6f}, {'same bits' if same else 'OTHER BITS'}")
    print(f"effective diffusivity {whole['effective_diffusivity']:.6g}, by slabs {difference:+.1e}")
    if not same or abs(difference) > 1e-3 or slabs["bytes"] > WORKER_BYTES:
        raise SystemExit("the results differ, or a worker needed more than 2 GiB")


def main() -> None:
    """Compare both on one volume."""
    parser = argument_parser(__doc__)
    parser.add_argument("--shape", type=int, nargs=3, default=[256, 200, 400])
    parser.add_argument("--slab", type=int, help="approximate number of planes of a slab")
    parser.add_argument("--volume", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--one-piece", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one_piece:
        one_piece(arguments.one_piece)
        return
    if arguments.smoke:
        arguments.shape, arguments.slab, arguments.workers = [64, 48, 48], 20, 1
    with tempfile.TemporaryDirectory() as name:
        compare(arguments, Path(name).resolve())


if __name__ == "__main__":
    main()
