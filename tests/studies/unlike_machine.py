"""Run small studies on the machine that the environment describes, and print the digests of all their numbers.

    python tests/studies/unlike_machine.py FOLDER STUDY...

FOLDER receives the runs. Prints one JSON object: ``digests`` of every unit and every array by name, and ``machine``,
digests of what depends on the machine: BLAS, NumPy's and the C library's functions, and the code that Numba compiles.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
from pathlib import Path

import numpy as np
import zarr
from numba import njit

import membrane_dask as md

STUDIES = Path(__file__).parents[1] / "compatibility" / "v0_1" / "finished"
#: Keys of each study; files are those of the runs of an earlier version.
SETTINGS = {
    "graded": "kind: graded\nseed: 7\nrealizations: 8\ngradient: [0, 1e-3, 2e-3]\ntime_step: 1e-3\n"
    "design: optimum\nradius_spread: {distribution: lognormal, deviation: 0.1}\n"
    "optimum: {metric: throughput, round: 4}\n",
    "reconstruct": f"kind: reconstruct\nseed: 2\ninput: {STUDIES}/reconstruct-bayesian/micrograph.png\n"
    "pixel_size: 3 nm\nreplicates: 2\nmodel: {depth: layers}\nsegmentation: {method: auto}\n"
    "search: {method: bayesian, slices: 1, closing_radius: [0, 3], trials: 6, initial: 3, in_flight: 1}\n"
    "volume: {slices: 16, width: 32, block_size: 8}\n",
    "direct": f"kind: reconstruct\nseed: 6\ninput: {STUDIES}/reconstruct-bayesian/micrograph.png\n"
    "pixel_size: 3 nm\nreplicates: 2\nsearch: {slices: 1, closing_radius: [0, 2], roughness: [0, 0.2]}\n"
    "volume: {slices: 8, width: 32, block_size: 8}\n",
    "porometry": f"kind: porometry\nseed: 3\ninput: {STUDIES}/porometry/fluxes.csv\narea: 41.8 cm2\n"
    "temperature: 24 degC\ncontact_angle: 60\npriors: {radius: 4.0 +- 0.4 nm}\n"
    "bootstrap: {method: parametric, draws: 20, batch: 20}\n",
    "curves": f"kind: porometry\nseed: 4\ndata: [{{input: {STUDIES}/porometry-published/lines.csv}}, "
    f"{{input: {STUDIES}/porometry-published/curves.csv}}]\nreference: {STUDIES}/porometry-published/printed.csv\n"
    "convention: published\ncurve: darcy\narea: 34 cm2\ncontact_angle: 75.6\nflux_error: 0.01\n"
    "published: {thickness: 107.5 um}\npriors: {radius: 3.15 +- 0.25 nm, thickness: 0.1 to 1 um}\n"
    "bootstrap: {draws: 10, batch: 10}\n",
    "characterize": f"kind: characterize\nseed: 5\ninput: {STUDIES}/characterize-flow/volume.npy\nvoxel_size: 3 nm\n"
    "pores: 0\ntortuosity: true\nflow: {enabled: true, tolerance: 0.05}\n"
    "retention: {enabled: true, diameter: 6 nm, particles: 40}\n",
    "foul": f"kind: foul\nseed: 5\ninput: {STUDIES}/characterize-flow/volume.npy\nvoxel_size: 3 nm\npores: 0\n"
    "foulant: {damkohler_number: 1, diameter: 10 nm}\nhydraulics: {tolerance: 0.05}\n"
    "sieving: {rate: 1e11, particle_radius: 8 nm, distribution: lognormal, deviation: 0.2}\n",
}


def digest(values: object) -> str:
    """Digest of the bytes of an array; of text, of the words."""
    array = np.asarray(values)
    data = json.dumps(array.tolist()).encode() if array.dtype.kind in "TUO" else array.tobytes()
    return hashlib.sha256(data).hexdigest()[:16]


@njit
def _compiled(x: np.ndarray) -> np.ndarray:
    return np.exp(x) + np.log(1.0 + x) ** 1.7


def machine() -> dict[str, str]:
    """Digests that differ between machines, with the numbers of this process."""
    x = np.random.default_rng(0).random(4000)
    matrix = x[:3600].reshape(60, 60)
    return {
        "BLAS": digest([matrix @ matrix, np.linalg.inv(matrix)]),
        "NumPy": digest([np.exp(x), np.log(x), x**1.7]),
        "C library": digest([[math.exp(v), math.sin(v), v**1.7] for v in x]),
        "Numba": digest(_compiled(x)),
    }


def numbers(run: md.Run) -> dict[str, str]:
    """Digests of every finished unit in the journal, and of every array of the result."""
    digests: dict[str, str] = {}
    for record in run.journal.records():
        digests |= dict(zip(record.get("done", ()), record.get("sha256", ()), strict=True))

    def walk(group: zarr.Group, path: str) -> None:
        for name, member in group.members():
            if isinstance(member, zarr.Group):
                walk(member, f"{path}{name}/")
            else:
                digests[path + name] = digest(member[...])

    walk(zarr.open_group(run.path / "result.zarr", mode="r"), "")
    return digests


def main(folder: Path, studies: list[str]) -> None:
    """Run the studies and print what they compute."""
    digests = {}
    for name in studies:
        path = folder / f"{name}.yaml"
        path.write_text(SETTINGS[name] + "cluster: {profile: sync}\nexecution: {batch: 100}\n", encoding="utf-8")
        run = md.run(path, folder / name, listener=lambda event: None)
        assert run.status()["state"] == "complete", run.status()
        digests |= {f"{name}: {key}": value for key, value in numbers(run).items()}
    print(json.dumps({"machine": machine(), "digests": digests}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
