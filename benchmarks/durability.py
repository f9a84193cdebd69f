"""Cost of durable results: synchronization with the disk, opening of a run, verification.

    python benchmarks/durability.py [--repeats N] [--folder DIR]

The first row runs the graded quick start twice, with ``execution.sync`` and without, in one process and alternately;
the ratio of both times is the cost of waiting for the disk, which depends on the file system of ``--folder``. The next
rows write a run of 27,000 graded units with random values, then open it as :attr:`Run.result` does, with and without
the look for its chunks, and verify it as ``membrane-dask verify`` does; at last the slabs of a volume. The baseline of
a verification is a plain read of the same files.
"""

from __future__ import annotations

import itertools
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from _common import argument_parser, timed

from membrane_dask import api
from membrane_dask.config import ExecutionSettings
from membrane_dask.engine import layout, store, verification
from membrane_dask.engine.run import Run, prepare
from membrane_dask.io import ome_zarr
from membrane_dask.program import Unit
from membrane_dask.studies.graded.config import GradedStudy


def run_graded(folder: Path, *, sync: bool, smoke: bool) -> float:
    """Wall time of the graded quick start in one process, seconds."""
    study = GradedStudy(
        l_max=0.2, gradient=(0.0, 0.001) if smoke else (0.0, 1e-3, 2e-3, 3e-3, 4e-3), realizations=2 if smoke else 20,
        cluster={"profile": "sync"}, execution={"sync": sync},
    )  # fmt: skip
    with tempfile.TemporaryDirectory(dir=folder) as root:
        return timed(lambda: api.run(study, Path(root) / "run", listener=lambda event: None))[0]


def random_run(root: Path, *, realizations: int, batch: int) -> Run:
    """A run of a graded study whose values are random numbers."""
    study = GradedStudy(
        l_max=(0.15, 0.175, 0.2, 0.225, 0.25), gradient=tuple(np.linspace(0, 0.006, 9).tolist()),
        realizations=realizations, execution=ExecutionSettings(batch=batch),
    )  # fmt: skip
    plan = api.plan(study)
    run = prepare(plan, root)
    (table,) = plan.program.tables
    sink = store.sinks(root, plan.program, run.batch)[table.name]
    rng = np.random.default_rng(0)
    *leading, last = table.unit_shape
    with run.journal.buffered():
        for before in itertools.product(*map(range, leading)):
            for start in range(0, last, batch):
                indices = [(*before, i) for i in range(start, min(start + batch, last))]
                units = [Unit(f"u{'-'.join(map(str, index))}", table.name, index, {}, ()) for index in indices]
                values = [random_values(sink, rng) for _ in units]
                sink.write(units, values)
                run.journal.append(record(table.name, units, values))
    return run


def random_values(sink: Any, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Values of one unit, of the types and shapes of its table."""
    return {
        v.path: (100 * rng.random(tuple(sink.sizes[dim] for dim in v.dims))).astype(v.dtype) for v in sink.variables
    }


def record(task: str, units: Sequence[Unit], values: Sequence[dict[str, np.ndarray]]) -> dict[str, Any]:
    """Line of the journal."""
    return {
        "done": [unit.key for unit in units],
        "task": task,
        "index": [unit.index for unit in units],
        "sha256": [store.digest(value) for value in values],
        "seconds": [1.0] * len(units),
        "memory": [1] * len(units),
    }


def read_files(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(len(path.read_bytes()) for path in folder.rglob("*") if path.is_file())


def verify_volume(root: Path, edge: int, thickness: int) -> tuple[float, float]:
    """Times of a verification of a random volume, and of a plain read of its files, seconds."""
    path = layout.volume_path(root, "volume")
    ome_zarr.create_volume(path, shape=(edge,) * 3, block=thickness, voxel_size_nm=1.0, name="volume", levels=1)
    from membrane_dask.schema import Variable

    sink = store.ImageSink(str(path / "0"), Variable("v", (), "u1", "1", "phase"), (edge,) * 3, 1, thickness)
    rng, written, units = np.random.default_rng(0), {}, []
    coarse = rng.random((-(-edge // 8),) * 3) < 0.6
    solid = np.kron(coarse, np.ones((8, 8, 8), bool))[:edge, :edge, :edge].astype("u1") * np.uint8(255)
    for number, start in enumerate(range(0, edge, thickness)):
        unit = Unit(f"slab{number}", "volume", (number,), {}, ())
        slab = {"v": solid[:, start : start + thickness]}
        sink.write([unit], [slab])
        written[unit.key] = verification.Written(store.digest(slab), "volume", unit.index)
        units.append(unit)
    seconds, faults = timed(lambda: verification.verify_units({"volume": sink}, units, written, root))
    assert not faults
    return seconds, timed(read_files, path)[0]


def main() -> None:
    """Print the table."""
    parser = argument_parser(__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="folder on the file system to measure; default that of TMPDIR")
    options = parser.parse_args()
    smoke = options.smoke
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        run_graded(Path(folder), sync=False, smoke=True)  # compiles
        times: dict[bool, list[float]] = {True: [], False: []}
        for sync in (True, False) * (1 if smoke else options.repeats):
            times[sync].append(run_graded(Path(folder), sync=sync, smoke=smoke))
        with_sync, without = (statistics.median(times[sync]) for sync in (True, False))
        print(
            f"graded quick start: {with_sync:.2f} s with sync, {without:.2f} s without, ratio {with_sync / without:.3f}"
        )

        run = random_run(Path(folder) / "run", realizations=4 if smoke else 600, batch=4 if smoke else 50)
        units = run.status()["done"]
        assert units == 45 * (4 if smoke else 600)
        files = sum(1 for path in (run.path / "result.zarr").rglob("*") if path.is_file())
        looking, faults = timed(lambda: verification.opening_faults(run.path, run.journal, "result.zarr"))
        assert not faults
        opening = timed(lambda: run.result)[0]
        print(
            f"opening {units} units in {files} files: {opening:.2f} s, of which the look for chunks {looking:.2f} s; "
            f"ratio {opening / max(opening - looking, 1e-9):.2f}"
        )
        seconds, faults = timed(lambda: api.verify(run.path))
        assert not faults
        reading, size = timed(read_files, run.path / "result.zarr")
        print(
            f"verifying {units} units: {seconds:.2f} s; plain read of {size / 1e6:.1f} MB {reading:.2f} s; "
            f"ratio {seconds / reading:.1f}"
        )
        edge = 64 if smoke else 512
        seconds, reading = verify_volume(Path(folder), edge, 16 if smoke else 64)
        print(
            f"verifying a volume of {edge}^3 voxels: {seconds:.2f} s, {edge**3 / seconds / 1e6:.0f} MB/s; plain read "
            f"of its compressed files {reading:.2f} s"
        )


if __name__ == "__main__":
    main()
