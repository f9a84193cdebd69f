"""The flow through a volume by slabs, beside the same volume in one piece: error, work, time and memory.

    python benchmarks/flow_slabs.py [--size 256] [--slabs 128 64 32] [--volume VOLUME] [--workers 2]

The volume is a Gaussian field (sigma 4 voxels, porosity 0.25), or one of your own (any that a study takes, with its
voxel size in the file), which is then measured by its slabs alone. Every row is a study of its own, on local worker
processes. Work is that of the flow's units, both readings of the solid's surface; memory the most that a unit of the
kind took, with the 0.25 GB of its process. Before them, what permeabilities of slabs and tiles that are solved for by
themselves would make of a field of half the size.
"""

from __future__ import annotations

import argparse
import collections
import itertools
import tempfile
import time
from pathlib import Path

import numpy as np

import membrane_dask as md

#: Units that are not the flow's.
OTHERS = ("blocks", "networks", "ways")


def gaussian(size: int) -> np.ndarray:
    """Solid 255 and pores 0."""
    from scipy import ndimage

    field = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal((size,) * 3), 4, mode="wrap")
    return np.where(field < np.quantile(field, 0.25), 0, 255).astype(np.uint8)


def solved(study: Path, run: Path, workers: int, slab: int | None) -> tuple[float, float]:
    """Permeability in m2 by slabs of so many planes, and its upper bound; prints what it took."""
    text = study.read_text()
    asked = run.with_suffix(".yaml")
    asked.write_text(text + (f"flow: {{solve: true, slab: {slab}}}\n" if slab else "flow: {solve: true}\n"))
    begun = time.perf_counter()
    found = md.run(md.load_study(asked, cluster={"workers": workers}), run, listener=lambda event: None)
    wall = time.perf_counter() - begun
    seconds: dict[str, float] = collections.Counter()
    memory: dict[str, float] = collections.Counter()
    rounds = 0
    for record in found.journal.records():
        for key, spent, most in zip(*(record.get(name, ()) for name in ("done", "seconds", "memory")), strict=True):
            task = key.split(",")[0]
            seconds[task] += spent
            memory[task] = max(memory[task], most)
            rounds += key.startswith("pressures,replicate=0,reading=0")
    one = found.result["properties"].to_dataset().isel(replicate=0)
    k, upper = float(one.permeability), float(one.permeability_upper)
    work = sum(spent for task, spent in seconds.items() if task not in OTHERS)
    most = ", ".join(f"{task} {size / 1e9:.2f}" for task, size in memory.items() if task not in OTHERS)
    times = ", ".join(f"{task} {spent:.0f}" for task, spent in seconds.items() if task not in OTHERS)
    print(f"   rounds {max(rounds - 2, 0) or '-'}, work {work:.0f} s ({times}), wall {wall:.0f} s with the network")
    print(f"   GB: {most}", flush=True)
    return k, upper


def put_together(pores: np.ndarray, parts: int) -> tuple[float, float]:
    """Permeability from those of slabs in a row, and of tiles side by side and in a row, each solved for by itself."""
    from membrane_dask.physics.networks.pore_network import PhysicsError
    from membrane_dask.physics.stokes.mac_grid import Grid
    from membrane_dask.physics.stokes.solver import stokes

    def alone(part: np.ndarray) -> float:
        try:
            return stokes(Grid.of(np.ascontiguousarray(part))).permeability
        except PhysicsError:  # no way leads through
            return 0.0

    def in_a_row(values: list[float]) -> float:
        return len(values) / sum(1 / value for value in values) if all(values) else 0.0

    slabs = np.array_split(pores, parts)
    tiles = [
        [alone(tile) for row in np.array_split(slab, parts, 1) for tile in np.array_split(row, parts, 2)]
        for slab in slabs
    ]
    return in_a_row([alone(slab) for slab in slabs]), in_a_row([float(np.mean(layer)) for layer in tiles])


def usual_ways(size: int) -> None:
    """What permeabilities of parts give, over that of the whole."""
    from membrane_dask.physics.stokes.mac_grid import Grid
    from membrane_dask.physics.stokes.solver import stokes

    pores = gaussian(size) == 0
    whole = stokes(Grid.of(pores)).permeability
    for parts in (2, 3, 4):
        slabs, tiles = (value / whole for value in put_together(pores, parts))
        print(f"a field of {size} voxels in {parts}: slabs by themselves in a row {slabs:.2f} times the permeability, "
              f"{parts**3} tiles side by side and in a row {tiles:.2f} times", flush=True)  # fmt: skip


def main() -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--slabs", type=int, nargs="*", default=[128, 64, 32])
    parser.add_argument("--volume", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder, number = Path(place), itertools.count()
        volume = asked.volume or folder / "field.npy"
        size = "" if asked.volume else "voxel_size: 3 nm\n"
        if not asked.volume:
            np.save(volume, gaussian(asked.size))
        study = folder / "study.yaml"
        study.write_text(f"kind: characterize\ninput: {volume.resolve()}\n{size}tortuosity: false\n")
        truth = None
        if not asked.volume:
            usual_ways(asked.size // 2)
        for slab in (*(() if asked.volume else (None,)), *asked.slabs):
            print(f"{f'slabs of {slab} planes' if slab else 'in one piece'}", flush=True)
            k, upper = solved(study, folder / f"run-{next(number)}", asked.workers, slab)
            apart = f", {k / truth - 1:+.1e} beside that in one piece" if truth else ""
            print(f"   permeability {k:.6g} m2, at most {upper / k - 1:.2%} more{apart}", flush=True)
            truth = truth or (None if asked.volume else k)


if __name__ == "__main__":
    main()
