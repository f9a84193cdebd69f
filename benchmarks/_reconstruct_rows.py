"""Properties of known membranes and of the structures that a study reconstructs from their micrographs.

Both go through studies as a user runs them, in this process. Only what has not changed between versions of the package
is imported, so that a checkout of an earlier version can be measured by the same script.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import yaml
from _micrograph_truths import half_lengths, quarters

import membrane_dask as md

#: Edge of a voxel, nm.
VOXEL = 3.0
#: Properties that are no rows: flags, residuals of solvers, bounds, and multiples of the permeability.
_NO_ROWS = {
    "percolates", "diffusion_flux_spread", "flux_residual", "permeability_upper_bound", "permeability_low",
    "permeability_high", "permeability_millidarcy",
    "permeance", "permeance_psi",
}  # fmt: skip
_SILENT = {"listener": lambda event: None}


def write_study(folder: Path, image: np.ndarray, settings: Mapping[str, Any]) -> Path:
    """Write an image and a reconstruct study of it."""
    iio.imwrite(folder / "image.png", image)
    study = {
        "kind": "reconstruct", "input": "image.png", "pixel_size": f"{VOXEL:g} nm", "seed": 1,
        "cluster": {"profile": "sync"},
    } | settings  # fmt: skip
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(study))
    return path


def reconstruct(folder: Path, image: np.ndarray, settings: Mapping[str, Any]) -> Any:
    """Run a reconstruct study of an image; the run is ``folder / "run"``."""
    return md.run(write_study(folder, image, settings), folder / "run", **_SILENT)


def properties_of_volume(folder: Path, solid: np.ndarray, transport: bool = False) -> dict[str, float]:
    """Value of each row of a volume ``(z, y, x)``, True in the solid; ``transport`` as of :func:`properties_of_run`."""
    np.save(folder / "volume.npy", np.where(solid, 255, 0).astype(np.uint8))
    settings = {"input": "volume.npy", "voxel_size": f"{VOXEL:g} nm"}
    rows = _characterize(folder, "volume", settings, [solid], transport)
    return {row: values[0] for row, values in rows.items()}


def properties_of_run(folder: Path, transport: bool = False) -> dict[str, list[float]]:
    """Values of each row, by replicate, of the structures of ``folder / "run"``.

    Parameters
    ----------
    folder : Path
        As of :func:`reconstruct`.
    transport : bool
        Whether to compute tortuosities and permeability.
    """
    run = md.open_run(folder / "run")
    n = run.result["structures"].to_dataset().sizes["replicate"]
    volumes = [run.volume(f"structure-{r}").values > 0 for r in range(n)]
    return _characterize(folder, "structures", {"input": "run"}, volumes, transport)


def _characterize(
    folder: Path, name: str, settings: Mapping[str, Any], volumes: list[np.ndarray], transport: bool
) -> dict[str, list[float]]:
    study = {
        "kind": "characterize", "tortuosity": transport, "flow": {"enabled": transport},
        "cluster": {"profile": "sync"},
    } | settings  # fmt: skip
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(study))
    result = md.run(path, folder / name, **_SILENT).result
    properties, pore_sizes = (result[table].to_dataset().load() for table in ("properties", "pore_sizes"))
    rows = {
        str(row): values.values.tolist()
        for row, values in properties.data_vars.items()
        if values.dims == ("replicate",) and row not in _NO_ROWS and not values.isnull().all()
    }
    by_quarter = {
        "porosity": np.array([[1 - volume[q].mean() for q in quarters(len(volume))] for volume in volumes]),
        "pore_radius_mean": pore_sizes.quarter_pore_radius_mean.values,
        "half_length": np.array([half_lengths(volume) for volume in volumes]) * VOXEL,
    }
    return rows | {f"{row}_{q}": values[:, q].tolist() for row, values in by_quarter.items() for q in range(4)}


def estimates(run: Any) -> dict[str, Any]:
    """What a run found out about the image, and the parameters of its best match, voxels."""
    result = run.result
    structure = result["structures"].to_dataset().isel(replicate=0).load()
    values: dict[str, Any] = {
        "closing_radius": float(structure.closing_radius) / VOXEL,
        "roughness": float(structure.roughness),
        "knots": (structure.knot.values / VOXEL).round().tolist(),
        "sigma": (structure.sigma.values / VOXEL).round(3).tolist(),
        "porosity": structure.porosity.values.round(4).tolist(),
        "objective": float(structure.objective),
        "trials": int(result["trials"].to_dataset().sizes["trial"]),
    }
    if "imaging" in result:
        table = result["imaging"].to_dataset().load()
        values["imaging"] = {name: variable.values.tolist() for name, variable in table.variables.items()}
    if "goodness_of_fit" in result:
        table = result["goodness_of_fit"].to_dataset().load()
        values["flagged"] = [str(name) for name in table.statistic[table.flagged.values.astype(bool)].values]
        values["p_values"] = table.p_value.to_series().to_dict()
    return values


def read_lines(path: Path | None) -> Iterator[dict[str, Any]]:
    """Results in a file of one JSON object a line; a line that was cut off by an interruption is left out."""
    if path is not None and path.exists():
        for line in path.read_text().splitlines():
            try:
                yield json.loads(line)
            except json.JSONDecodeError:
                continue


def append_line(path: Path | None, values: Mapping[str, Any]) -> None:
    """Append a result to a file; one write, so that processes do not mix their lines."""
    if path is None:
        return
    line = json.dumps(_rounded(values)) + "\n"
    if path.exists() and path.stat().st_size:
        with path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            line = line if file.read(1) == b"\n" else "\n" + line
    with path.open("a") as file:
        file.write(line)


def _rounded(value: Any) -> Any:
    """A value whose numbers have six significant digits, far more than are known of them."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, Mapping):
        return {name: _rounded(entry) for name, entry in value.items()}
    return [_rounded(entry) for entry in value] if isinstance(value, list) else value


def computed(
    table: str,
    tasks: Sequence[tuple[str, int]],
    function: Callable[[str, int], dict[str, Any]],
    pool: Executor,
    path: Path | None,
) -> dict[tuple[str, int], dict[str, Any]]:
    """Result of each task of a table, a case and a number; those that the file holds are not computed again."""
    lines = [line for line in read_lines(path) if line["table"] == table]
    finished = {(line["case"], line["number"]): line["result"] for line in lines}
    missing = [task for task in tasks if task not in finished]
    results = pool.map(function, *zip(*missing, strict=True)) if missing else ()
    for (case, number), result in zip(missing, results, strict=True):
        finished[case, number] = result
        append_line(path, {"table": table, "case": case, "number": number, "result": result})
    return {task: finished[task] for task in tasks}


def print_circumstances() -> None:
    """Print the command line, the time and the load of the machine."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{' '.join(['python', *sys.argv])}\n{time.strftime('%Y-%m-%d %H:%M')}, {os.cpu_count()} cores, load {load}")
