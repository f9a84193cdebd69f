"""Properties of a packing and of a duct, sampled by voxels that are not cubes, compared with cubes.

    python benchmarks/anisotropic_voxels.py [--edge 96] [--without-flow]

Spheres of one radius, a fourteenth of the edge, are placed at random without overlap in a cube whose edge is 96 units;
pores are the space between them. It is sampled by cubes of 1, 2 and 3 units, and by voxels of 2 x 1 x 1, 1 x 1 x 2 and
3 x 2 x 1 units (z, y, x). Each sample is characterized by a study, and a row shows how far its values are from those of
the finest cubes. What cubes as coarse as the longest edge differ by is the resolution error. A square duct along z is
compared with the exact solution.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from _common import argument_parser

import membrane_dask as md

#: Edges of voxels along z, y, x; the first is the reference.
EDGES = ((1, 1, 1), (2, 2, 2), (3, 3, 3), (2, 1, 1), (1, 1, 2), (3, 2, 1))
PROPERTIES = (
    "porosity", "pore_radius_mean", "specific_surface", "n_pores", "body_radius_mean", "body_inscribed_radius_mean",
    "throat_radius_mean", "throat_inscribed_radius_mean", "coordination_number_mean", "tortuosity_centroid",
    "tortuosity_geometric", "effective_diffusivity", "permeability_smooth_walls", "permeability_staircase_walls",
    "permeability_mobility_estimate", "permeability_network_inscribed", "tortuosity_hydraulic",
    "critical_pore_radius", "log_reduction_value",
)  # fmt: skip
#: Permeability of a square duct over the square of its edge, averaged over the duct.
_DUCT = 0.0351442


def packing(edge: float, radius: float, seed: int = 1) -> np.ndarray:
    """Centres of spheres in a cube, at random without overlap, until 2000 trials in a row fail."""
    generator, centres, failed = np.random.default_rng(seed), np.empty((0, 3)), 0
    while failed < 2000:
        centre = generator.uniform(-radius / 2, edge + radius / 2, 3)
        if len(centres) and np.square(centres - centre).sum(axis=1).min() < 4 * radius * radius:
            failed += 1
            continue
        centres, failed = np.concatenate([centres, centre[None]]), 0
    return centres


def sample_packing(centres: np.ndarray, radius: float, edge: float, edges: tuple[int, int, int]) -> np.ndarray:
    """Solid of a packing at the centres of voxels, ``(z, y, x)`` bool."""
    axes = [(np.arange(round(edge / e)) + 0.5) * e for e in edges]
    solid = np.zeros([len(axis) for axis in axes], bool)
    for centre in centres:
        squares = [np.square(axis - c) for axis, c in zip(axes, centre, strict=True)]
        solid |= squares[0][:, None, None] + squares[1][:, None] + squares[2] < radius * radius
    return solid


def sample_duct(width: int, edges: tuple[int, int, int]) -> np.ndarray:
    """Solid around a square duct along z whose walls are faces of voxels."""
    height, breadth = (width // e for e in edges[1:])
    solid = np.ones((12 // edges[0], height + 2, breadth + 2), bool)
    solid[:, 1:-1, 1:-1] = False
    return solid


def characterize(solid: np.ndarray, edges: tuple[int, int, int], folder: Path, lines: str) -> Mapping[str, float]:
    """Properties of a volume, lengths in nm for edges in nm."""
    np.save(folder / "volume.npy", solid)
    size = f"[{', '.join(f'{e} nm' for e in edges)}]" if len(set(edges)) > 1 else f"{edges[0]} nm"
    (folder / "study.yaml").write_text(f"kind: characterize\ninput: volume.npy\nvoxel_size: {size}\n{lines}")
    name = "-".join(map(str, (*edges, *solid.shape)))
    study = md.load_study(folder / "study.yaml", cluster={"profile": "sync"})
    run = md.run(study, folder / name, listener=lambda event: None)
    properties = run.result["properties"].to_dataset().isel(replicate=0)
    return {name: float(properties[name]) for name in PROPERTIES if name in properties}


def compare(arguments: argparse.Namespace, folder: Path) -> None:
    """Print the tables."""
    edge, radius = float(arguments.edge), arguments.edge / 14
    centres = packing(edge, radius)
    flow = "tortuosity: false\n" if arguments.without_flow else (
        "flow: {enabled: true, tolerance: 0.005}\n"
        f"retention: {{enabled: true, wall_interaction: perfect_sink, diameter: {edge / 48:g} nm, particles: 1, "
        f"diameters: [{edge / 48:g} nm]}}\n"
    )  # fmt: skip
    print(f"{len(centres)} spheres of radius {radius:.3g} in a cube of {edge:g}; differences from cubes of 1 in %\n")
    rows = []
    for edges in EDGES:
        start = time.perf_counter()
        solid = sample_packing(centres, radius, edge, edges)
        rows.append(characterize(solid, edges, folder, flow))
        print(f"{' x '.join(map(str, edges))}: {time.perf_counter() - start:.1f} s", flush=True)
    titles = [" x ".join(map(str, edges)) for edges in EDGES[1:]]
    print(f"\n| property | cubes of 1 | {' | '.join(titles)} |\n| --- |{' --- |' * len(EDGES)}")
    for name in rows[0]:
        differences = [f"{100 * (row[name] / rows[0][name] - 1):+.1f}" for row in rows[1:]]
        print(f"| {name} | {rows[0][name]:.4g} | {' | '.join(differences)} |")
    if arguments.without_flow:
        return
    print("\n| duct, voxels across | 1 x 1 x 1 | 2 x 1 x 1 | 1 x 1 x 2 | 3 x 2 x 1 |\n| --- | --- | --- | --- | --- |")
    for width in (12,) if arguments.smoke else (12, 24, 48):
        errors = []
        for edges in (EDGES[0], *EDGES[3:]):
            solid = sample_duct(width, edges)
            exact = _DUCT * width * width * (~solid).mean() * 1e-18
            value = characterize(solid, edges, folder, "tortuosity: false\nflow: {enabled: true, tolerance: 0.001}\n")
            errors.append(f"{100 * (value['permeability_smooth_walls'] / exact - 1):+.2f}")
        print(f"| {width} | {' | '.join(errors)} |")


def main() -> None:
    """Compare the samples."""
    parser = argument_parser(__doc__)
    parser.add_argument("--edge", type=int, default=96, help="edge of the packing in units, a multiple of 6")
    parser.add_argument("--without-flow", action="store_true", help="leave out the flow and the retention")
    arguments = parser.parse_args()
    if arguments.smoke:
        arguments.edge = 36
    with tempfile.TemporaryDirectory() as name:
        compare(arguments, Path(name).resolve())


if __name__ == "__main__":
    main()
