"""Properties of a known membrane and of the structures that a study reconstructs from its micrograph.

Both go through studies as a user runs them, in this process. Only what has not changed between versions of the package
is imported, so that a checkout of an earlier version can be measured by the same script.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
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
    "percolates", "diffusion_flux_spread", "flux_residual", "permeability_upper_bound", "permeability_millidarcy",
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


def characterize(folder: Path, solid: np.ndarray, transport: bool = False) -> dict[str, Any]:
    """Properties of the structures of ``folder / "run"`` and of the truth.

    Parameters
    ----------
    folder : Path
        As of :func:`reconstruct`.
    solid : (z, y, x) ndarray of bool
        The truth.
    transport : bool
        Whether to compute tortuosities and permeability.

    Returns
    -------
    dict
        ``truth``: value of each row; ``structures``: list with a value for each replicate, the best match first.
    """
    np.save(folder / "truth.npy", np.where(solid, 255, 0).astype(np.uint8))
    study = {
        "kind": "characterize", "input": "run", "reference": "truth.npy", "voxel_size": f"{VOXEL:g} nm",
        "tortuosity": transport, "flow": {"enabled": transport}, "cluster": {"profile": "sync"},
    }  # fmt: skip
    path = folder / "characterize.yaml"
    path.write_text(yaml.safe_dump(study))
    run = md.run(path, folder / "characterized", **_SILENT)
    result = {name: run.result[name].to_dataset().load() for name in run.result}
    truth: dict[str, float] = {}
    structures: dict[str, list[float]] = {}
    properties = result["properties"]
    for name, values in properties.data_vars.items():
        if values.dims == ("replicate",) and name not in _NO_ROWS and not values.isnull().all():
            truth[name] = float(result["reference_properties"][name])
            structures[name] = values.values.tolist()
    volumes = [
        md.open_run(folder / "run").volume(f"structure-{r}").values > 0 for r in range(properties.sizes["replicate"])
    ]
    by_quarter = {
        "porosity": (_quarter_porosity(solid), [_quarter_porosity(volume) for volume in volumes]),
        "pore_radius_mean": (
            result["reference_pore_sizes"].quarter_pore_radius_mean.values,
            result["pore_sizes"].quarter_pore_radius_mean.values,
        ),
        "half_length": (half_lengths(solid) * VOXEL, [half_lengths(volume) * VOXEL for volume in volumes]),
    }
    for name, (true, replicates) in by_quarter.items():
        for q in range(4):
            truth[f"{name}_{q}"] = float(true[q])
            structures[f"{name}_{q}"] = [float(values[q]) for values in replicates]
    return {"truth": truth, "structures": structures}


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
    for group in ("imaging", "goodness_of_fit"):
        if group in result:
            table = result[group].to_dataset().load()
            values[group] = {
                name: np.asarray(variable.values).tolist()
                for name, variable in {**table.coords, **table.data_vars}.items()
            } | {name: value for name, value in table.attrs.items() if isinstance(value, (str, float, int))}
    return values


def _quarter_porosity(solid: np.ndarray) -> np.ndarray:
    return np.array([1 - solid[rows].mean() for rows in quarters(len(solid))])


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
    line = json.dumps(values) + "\n"
    if path.exists() and path.stat().st_size:
        with path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            line = line if file.read(1) == b"\n" else "\n" + line
    with path.open("a") as file:
        file.write(line)


def print_circumstances() -> None:
    """Print the command line, the time and the load of the machine."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{' '.join(['python', *sys.argv])}\n{time.strftime('%Y-%m-%d %H:%M')}, {os.cpu_count()} cores, load {load}")
