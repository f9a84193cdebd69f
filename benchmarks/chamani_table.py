"""Table 1 and Figs. 4 to 6 of Chamani et al. (2023), for a synthetic membrane of the same size.

    python benchmarks/chamani_table.py [--flow-width 96] [--skin 128] [--cluster local] [--pictures FOLDER]

Runs ``configs/reconstruct-chamani-2023.yaml`` and ``configs/characterize-chamani-2023.yaml`` below ``runs/``, as
``membrane-dask run`` does, unless they are complete. The membrane, whose structure is known, and its reconstruction by
the default search (``configs/reconstruct-full.yaml``) are characterized likewise. Interrupted runs are resumed.

The flow through the searched structures is computed over their whole depth in ``--flow-width`` voxels along y and x. So
narrow a part of the true structure does not percolate, as few paths lead through its skin. Its permeance, and that of
the default search, is at most that of the ``--skin`` uppermost planes, which is computed instead, in their whole area.

Columns #1 to #5 are the five searches; their mean has the interval of the paper, 1.96 s / sqrt(5). Errors are those of
means from the true structure, in %. ``--pictures`` writes the figures.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
import xarray as xr
from _chamani_figures import draw_figures
from _chamani_paper import TABLE_1
from _common import argument_parser

import membrane_dask as md
from membrane_dask.engine.run import Run
from membrane_dask.physics.analytic_problems import GradedMembrane
from membrane_dask.physics.reconstruction.random_field import generate_window
from membrane_dask.physics.reconstruction.structures import Graded

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
RECONSTRUCTION, CHARACTERIZATION, DEFAULT = (
    CONFIGS / f"{name}.yaml" for name in ("reconstruct-chamani-2023", "characterize-chamani-2023", "reconstruct-full")
)
#: Label and format of the rows, by variable.
ROWS = {name: (column.label, f".{column.digits}f") for name, column in TABLE_1.items()} | {
    "pore_radius_mean": ("mean radius by local thickness, nm", ".1f"),
    "n_pores": ("number of pores", ".0f"),
}
QUARTERS = 4
QUARTER_ROWS = (
    ("quarter_porosity", "porosity", ".3f"),
    ("quarter_pore_radius_mean", "mean radius by local thickness, nm", ".1f"),
)
#: Row of the flow, whose true value and value of the default search are upper bounds.
FLOW_ROW = "permeance_psi"
#: Planes of the true structure that are generated at a time.
_PLANES = 64


@dataclass(frozen=True)
class Inputs:
    """Micrograph, truth and settings of the runs.

    Parameters
    ----------
    membrane : GradedMembrane
        The truth.
    settings : mapping
        Settings of both reconstructions that differ from their files.
    published : mapping
        Those of the search of the paper alone.
    common : mapping
        Settings of all runs.
    flow_width : int
        Voxels along y and x in which the flow through searched structures is computed.
    skin : int
        Uppermost planes in which that through the true structure and the default search is computed.
    """

    membrane: GradedMembrane
    settings: Mapping[str, Any]
    published: Mapping[str, Any]
    common: Mapping[str, Any]
    flow_width: int
    skin: int


def steady_membrane() -> GradedMembrane:
    """Membrane of the size of the paper whose pores widen steadily with depth, that of configs/steady-membrane.png."""
    structure = Graded(knots=(0.0, 1.0), sigma=(1.6, 6.0), porosity=(0.3, 0.38), closing_radius=2.0)
    return GradedMembrane(structure=structure, depth=1024, slices=400, width=899, seed=20231101)


def small_inputs(folder: Path) -> Inputs:
    """A small membrane of the same kind, in three searches of a few trials."""
    structure = Graded(knots=(0.0, 1.0), sigma=(1.6, 3.0), porosity=(0.3, 0.38), closing_radius=1.0)
    membrane = GradedMembrane(structure=structure, depth=96, slices=32, width=128)
    imageio.imwrite(folder / "membrane.png", membrane.micrograph())
    return Inputs(
        membrane,
        {"input": str(folder / "membrane.png"), "volume": {"slices": 32}, "goodness_of_fit": {"enabled": False}},
        {"replicates": 3, "search": {"trials": 5, "initial": 4}},
        {"cluster": {"profile": "sync"}},
        flow_width=24,
        skin=32,
    )


def write_truth(membrane: GradedMembrane, path: Path) -> None:
    """Write the true volume as ``.npy``, uint8: 0 pore, 255 solid."""
    shape = (membrane.depth, membrane.slices, membrane.width)
    unfinished = path.with_suffix(".unfinished")
    volume = np.lib.format.open_memmap(unfinished, "w+", np.uint8, shape)
    for y in range(0, membrane.slices, _PLANES):
        window = (membrane.depth, min(_PLANES, membrane.slices - y), membrane.width)
        volume[:, y : y + _PLANES] = generate_window(
            membrane.structure, depth=membrane.depth, start=(0, y, 0), shape=window, seed=membrane.seed
        )
    volume.flush()
    unfinished.rename(path)


@dataclass(frozen=True)
class Comparison:
    """Runs whose results the table compares.

    Parameters
    ----------
    reconstructions : mapping of str to Run
        Of the ``searches`` of the paper and, unless left out, of the ``default`` search.
    structures : mapping of str to Run
        Characterizations of their volumes, and of the ``true`` one.
    flows : mapping of str to Run
        Flow through the skin of the ``true`` structure and of the ``default`` search, and through a part of
        ``search 0``, ``search 1``, ...
    """

    reconstructions: Mapping[str, Run]
    structures: Mapping[str, Run]
    flows: Mapping[str, Run]

    def values(self, variable: str, **selection: int) -> tuple[xr.DataArray, dict[str, float]]:
        """A property of the searches, and that of the true structure and of the default search.

        Parameters
        ----------
        variable : str
            Variable of the tables ``properties`` or ``pore_sizes``, or ``quarter_porosity``.
        **selection : int
            Index along a further dimension.
        """
        if variable == FLOW_ROW:
            replicates = self.structures["searches"].result["properties"].replicate
            runs = [self.flows[f"search {number}"] for number in replicates.values]
            values = [run.result["properties"][variable].isel(replicate=0, drop=True) for run in runs]
            searches = xr.concat(values, replicates, combine_attrs="override")
            compared = {name: run for name, run in self.flows.items() if not name.startswith("search")}
        else:
            searches = _variable(self.structures["searches"], variable, selection)
            compared = {name: run for name, run in self.structures.items() if name != "searches"}
        single = {name: float(_variable(run, variable, selection)[0]) for name, run in compared.items()}
        return searches.load(), single


def _variable(run: Run, variable: str, selection: Mapping[str, int]) -> xr.DataArray:
    """A variable of a characterization, of every replicate."""
    if variable == "quarter_porosity":
        profile = run.result["profiles"].porosity
        limits = [round(profile.sizes["z"] * q / QUARTERS) for q in range(QUARTERS + 1)]
        first, last = limits[selection["quarter"]], limits[selection["quarter"] + 1]
        return profile.isel(z=slice(first, last)).mean("z", keep_attrs=True)
    table = "pore_sizes" if variable.startswith("quarter_") else "properties"
    return run.result[table][variable].isel(selection)


def compare(inputs: Inputs, *, default: bool = True) -> Comparison:
    """Run everything below ``runs/`` of the working directory, as far as it is not complete.

    Parameters
    ----------
    inputs : Inputs
        What is run.
    default : bool
        Whether the default search is among the runs.
    """

    def characterize(name: str, volume: Path, **settings: Any) -> Run:
        settings = {"name": f"chamani-2023-{name}", "voxel_size": "3 nm", "input": str(volume.resolve())} | settings
        return md.run(md.load_study(CHARACTERIZATION, **settings, **inputs.common))

    searches = md.run(md.load_study(RECONSTRUCTION, **inputs.settings, **inputs.published, **inputs.common))
    reconstructions = {"searches": searches}
    # Under the name of the file, so that this is the run that `membrane-dask run` makes of it.
    study = md.load_study(CHARACTERIZATION, input=str(searches.path.resolve()), **inputs.common)
    structures = {"searches": md.run(study)}
    folder = searches.path.with_name(f"{searches.path.name}-volumes")
    folder.mkdir(exist_ok=True)
    true_volume = folder / "true.npy"
    if not true_volume.exists():
        write_truth(inputs.membrane, true_volume)
    structures["true"] = characterize("true", true_volume)
    volumes: dict[str, Callable[[], Any]] = {"true": lambda: np.load(true_volume, mmap_mode="r")}
    if default:
        best_match = md.run(md.load_study(DEFAULT, **inputs.settings, **inputs.common))
        reconstructions["default"] = best_match
        structures["default"] = characterize("default", best_match.path)
        volumes["default"] = partial(best_match.volume, "structure-0")
    for number in range(searches.result["structures"].sizes["replicate"]):
        volumes[f"search {number}"] = partial(searches.volume, f"structure-{number}")
    flows = {}
    for name, volume in volumes.items():
        is_searched, width = name.startswith("search"), inputs.flow_width
        path = folder / (f"{name.replace(' ', '-')}-{width}.npy" if is_searched else f"{name}-skin-{inputs.skin}.npy")
        if not path.exists():
            np.save(path, np.asarray(volume()[:, :width, :width] if is_searched else volume()[: inputs.skin]))
        flows[name] = characterize(path.stem, path, flow={"enabled": True})
    return Comparison(reconstructions, structures, flows)


def mean_of_searches(values: xr.DataArray) -> tuple[float, float]:
    """Mean of the searches, and half-width of its 95 % confidence interval."""
    low, high = md.replicate_interval(values, 0.95)
    mean = float(values.mean())
    return mean, max(float(high) - mean, mean - float(low))  # an end may be at a bound of the property


def row(
    label: str, form: str, searches: xr.DataArray, compared: Mapping[str, float], *, is_bound: bool = False
) -> list[str]:
    """Cells of a row: each search, their mean, the true value, the default search, and both errors.

    With ``is_bound`` the values compared with the searches are upper bounds, and the ratio of two bounds is no error.
    """
    mean, half_width = mean_of_searches(searches)
    true_value = compared["true"]

    def error_of(value: float) -> str:
        return "≥ " * is_bound + _cell(100 * (value / true_value - 1), "+.0f") if true_value else "-"

    cells = [label, *(_cell(float(value), form) for value in searches)]
    true_cell = "≤ " * is_bound + _cell(true_value, form)
    cells += [f"{_cell(mean, form)} ± {_cell(half_width, form)}", true_cell, error_of(mean)]
    if "default" in compared:
        default = _cell(compared["default"], form)
        cells += [f"≤ {default}", "-"] if is_bound else [default, error_of(compared["default"])]
    return cells


def _cell(value: float, form: str) -> str:
    return format(value, form) if math.isfinite(value) else "-"


def table_1(comparison: Comparison) -> list[list[str]]:
    """Header and rows of Table 1, then the porosities and pore radii of the quarters of the depth."""
    rows = [
        row(label, form, *comparison.values(name), is_bound=name == FLOW_ROW) for name, (label, form) in ROWS.items()
    ]
    for name, label, form in QUARTER_ROWS:
        for quarter in range(QUARTERS):
            cells = row(f"{label}, quarter {quarter + 1}", form, *comparison.values(name, quarter=quarter))
            rows.append(cells)
    n_searches = len(rows[0]) - (4 if len(comparison.reconstructions) == 1 else 6)
    header = ["property", *(f"#{number + 1}" for number in range(n_searches)), "mean ± 95 %", "true", "error"]
    return [header + (["default search", "error"] if "default" in comparison.reconstructions else []), *rows]


def papers_table() -> list[list[str]]:
    """The paper's own Table 1, of another membrane."""
    header = ["property", *(f"#{number}" for number in range(1, 6)), "mean ± 95 %", "tomogram", "error"]
    rows = [header]
    for column in TABLE_1.values():
        form = f".{column.digits}f"
        cells = [column.label, *(format(value, form) for value in column.searches)]
        cells += [f"{column.mean:{form}} ± {column.half_width:{form}}", format(column.original, form)]
        rows.append([*cells, f"{100 * (column.mean / column.original - 1):+.0f}"])
    return rows


def markdown(rows: Iterable[Iterable[str]]) -> str:
    """A table in Markdown."""
    lines = [f"| {' | '.join(cells)} |" for cells in rows]
    return "\n".join([lines[0], "| " + " | ".join(["---"] * (lines[0].count("|") - 1)) + " |", *lines[1:]])


def main() -> None:
    """Print the tables, and write the figures."""
    parser = argument_parser(__doc__)
    parser.add_argument("--flow-width", type=int, default=96, help="voxels along y and x of the searched structures")
    parser.add_argument(
        "--skin", type=int, default=128, help="uppermost planes of the true structure and of the default search"
    )
    parser.add_argument("--cluster", default="local", help="cluster profile of all runs")
    parser.add_argument("--without-default", action="store_true", help="without the default search")
    parser.add_argument("--pictures", type=Path, help="folder for the figures")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        common = {"cluster": {"profile": options.cluster}}
        inputs = Inputs(steady_membrane(), {}, {}, common, options.flow_width, options.skin)
        if options.smoke:
            os.chdir(temporary)
            inputs, options.pictures = small_inputs(Path(temporary)), Path(temporary)
        comparison = compare(inputs, default=not options.without_default)
        print(markdown(table_1(comparison)))
        print(f"\nTable 1 of the paper, of another membrane:\n\n{markdown(papers_table())}")
        if options.pictures:
            draw_figures(comparison, options.pictures)


if __name__ == "__main__":
    main()
