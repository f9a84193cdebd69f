"""Flow through a volume by slabs, compared with the same volume in one piece: error, work, time and memory.

    python benchmarks/flow_slabs.py [--size 256] [--slabs 128 64 32] [--volume VOLUME] [--workers 2]

The volume is a Gaussian random field (sigma 4 voxels, porosity 0.25), or one of your own (any that a study reads, with
its voxel size in the file), which runs by slabs only. Every row is a study of its own on local worker processes. Work
is the sum over the units of the flow, for both wall models; memory is the maximum over the units of a task, including
about 0.25 GB of the process. The first lines give the permeability that follows from separate solutions of slabs and of
cubes, for a field of half the size.
"""

from __future__ import annotations

import collections
import itertools
import tempfile
import time
from pathlib import Path

import numpy as np
from _common import argument_parser

import membrane_dask as md

#: Tasks of a characterization that do not belong to the flow.
OTHER_TASKS = ("blocks", "networks", "tortuosity")


def gaussian(size: int, sigma: float) -> np.ndarray:
    """Gaussian random field, solid 255 and pores 0."""
    from scipy import ndimage

    field = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal((size,) * 3), sigma, mode="wrap")
    return np.where(field < np.quantile(field, 0.25), 0, 255).astype(np.uint8)


def permeability_by_slabs(study: Path, run: Path, workers: int, slab: int | None) -> tuple[float, float]:
    """Permeability in m2 with slabs of ``slab`` planes, and its upper bound; prints work, time and memory."""
    flow_study = run.with_suffix(".yaml")
    slabs = f", slab_thickness: {slab}" if slab else ""
    flow_study.write_text(study.read_text() + f"flow: {{enabled: true{slabs}}}\n")
    start = time.perf_counter()
    complete = md.run(md.load_study(flow_study, cluster={"workers": workers}), run, listener=lambda event: None)
    wall = time.perf_counter() - start
    seconds: dict[str, float] = collections.Counter()
    memory: dict[str, float] = collections.Counter()
    rounds = 0
    for record in complete.journal.records():
        columns = (record.get(name, ()) for name in ("done", "seconds", "memory"))
        for key, unit_seconds, unit_memory in zip(*columns, strict=True):
            task = key.split(",")[0]
            seconds[task] += unit_seconds
            memory[task] = max(memory[task], unit_memory)
            rounds += key.startswith("pressures,replicate=0,wall_model=smooth")
    properties = complete.result["properties"].to_dataset().isel(replicate=0)
    tasks = [task for task in seconds if task not in OTHER_TASKS]
    work = sum(seconds[task] for task in tasks)
    times = ", ".join(f"{task} {seconds[task]:.0f}" for task in tasks)
    print(f"   rounds {max(rounds - 2, 0) or '-'}, work {work:.0f} s ({times}), wall {wall:.0f} s with the network")
    print("   GB: " + ", ".join(f"{task} {memory[task] / 1e9:.2f}" for task in tasks), flush=True)
    return float(properties.permeability_smooth_walls), float(properties.permeability_upper_bound)


def separate_solutions(pores: np.ndarray, count: int) -> tuple[float, float]:
    """Permeability from ``count`` slabs in series, and from ``count**3`` cubes in parallel and in series."""
    from membrane_dask.physics.errors import PhysicsError
    from membrane_dask.physics.stokes.mac_grid import Grid
    from membrane_dask.physics.stokes.solver import stokes

    def permeability(piece: np.ndarray) -> float:
        try:
            return stokes(Grid.of(np.ascontiguousarray(piece))).permeability
        except PhysicsError:  # no percolating path
            return 0.0

    def in_series(values: list[float]) -> float:
        return len(values) / sum(1 / value for value in values) if all(values) else 0.0

    slabs = np.array_split(pores, count)
    cubes = [
        [permeability(cube) for row in np.array_split(slab, count, 1) for cube in np.array_split(row, count, 2)]
        for slab in slabs
    ]
    by_slabs = in_series([permeability(slab) for slab in slabs])
    return by_slabs, in_series([float(np.mean(layer)) for layer in cubes])


def compare_separate_solutions(size: int, sigma: float, counts: tuple[int, ...]) -> None:
    """Print the permeability from separate solutions over that of the whole field."""
    from membrane_dask.physics.stokes.mac_grid import Grid
    from membrane_dask.physics.stokes.solver import stokes

    pores = gaussian(size, sigma) == 0
    whole = stokes(Grid.of(pores)).permeability
    for count in counts:
        slabs, cubes = (value / whole for value in separate_solutions(pores, count))
        print(f"a field of {size} voxels: {count} separate slabs in series give {slabs:.2f} times the permeability, "
              f"{count**3} separate cubes {cubes:.2f} times", flush=True)  # fmt: skip


def main() -> None:
    """Print a row for each thickness of slabs."""
    parser = argument_parser(__doc__)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--slabs", type=int, nargs="*", default=[128, 64, 32])
    parser.add_argument("--volume", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    sigma, counts = 4.0, (2, 3, 4)
    if arguments.smoke:
        arguments.size, arguments.slabs, arguments.workers, sigma, counts = 48, [24], 1, 2.0, (2,)
    with tempfile.TemporaryDirectory() as name:
        folder, number = Path(name), itertools.count()
        volume = arguments.volume or folder / "field.npy"
        voxel_size = "" if arguments.volume else "voxel_size: 3 nm\n"
        if not arguments.volume:
            np.save(volume, gaussian(arguments.size, sigma))
            compare_separate_solutions(arguments.size // 2, sigma, counts)
        study = folder / "study.yaml"
        study.write_text(f"kind: characterize\ninput: {volume.resolve()}\n{voxel_size}tortuosity: false\n")
        reference = None
        for slab in (*(() if arguments.volume else (None,)), *arguments.slabs):
            print(f"{f'slabs of {slab} planes' if slab else 'in one piece'}", flush=True)
            run = folder / f"run-{next(number)}"
            permeability, upper = permeability_by_slabs(study, run, arguments.workers, slab)
            error = f", {permeability / reference - 1:+.1e} from that in one piece" if reference else ""
            bound = f"upper bound {upper / permeability - 1:.2%} higher"
            print(f"   permeability {permeability:.6g} m2, {bound}{error}", flush=True)
            reference = reference or (None if arguments.volume else permeability)


if __name__ == "__main__":
    main()
