"""Transport tensors of parts of a periodic medium, compared with that of the medium and with the flow between faces.

    python benchmarks/transport_tensors.py [--cell 96] [--part 48]

The medium repeats a Gaussian random field of porosity 0.4 whose correlation lengths along z, y and x have the ratios
1.5 : 1 : 1 and whose axes are inclined to those of the volume. Its tensors are known from the whole cell. Printed are
the ratios of the diagonal elements of the eight parts of a cell to those of the medium: of the part repeated
periodically, though its pores at opposite faces do not meet, and between symmetry planes; and the angle between the
first principal direction of the part and that of the medium.
"""

from __future__ import annotations

import itertools

import numpy as np
from _common import argument_parser, timed

from membrane_dask.physics.percolation import percolating
from membrane_dask.physics.stokes.mac_grid import Grid
from membrane_dask.physics.stokes.permeability_tensor import permeability_tensor
from membrane_dask.physics.stokes.solver import stokes
from membrane_dask.physics.tensors import principal_values
from membrane_dask.physics.transport.diffusivity_tensor import diffusivity_tensor


def inclined_field(edge: int, length: float, seed: int = 0) -> np.ndarray:
    """Pores of a periodic Gaussian random field that is elongated along the diagonal of z and y."""
    wave = np.stack(np.meshgrid(*[np.fft.fftfreq(edge)] * 3, indexing="ij"))
    long, short = (wave[0] + wave[1]) / np.sqrt(2), (wave[0] - wave[1]) / np.sqrt(2)
    square = (1.5 * long) ** 2 + short**2 + wave[2] ** 2
    noise = np.fft.fftn(np.random.default_rng(seed).standard_normal((edge,) * 3))
    field = np.fft.ifftn(noise * np.exp(-2 * (np.pi * length) ** 2 * square)).real
    return field < np.quantile(field, 0.4)


def between_faces(pores: np.ndarray) -> float:
    """Permeability along the first axis between symmetry planes, voxels squared."""
    return stokes(Grid.of(pores)).permeability if percolating(pores).any() else 0.0


def main() -> None:
    """Print ratios and angles."""
    parser = argument_parser(__doc__)
    parser.add_argument("--cell", type=int, default=96)
    parser.add_argument("--part", type=int, default=48)
    arguments = parser.parse_args()
    cell, part = (24, 12) if arguments.smoke else (arguments.cell, arguments.part)
    pores = inclined_field(cell, 1.5 if arguments.smoke else 3.0)
    seconds, permeability = timed(permeability_tensor, pores)
    diffusivity = diffusivity_tensor(pores)
    print(f"medium, {cell} voxels, {seconds:.1f} s: permeability in voxels squared, effective diffusivity")
    with np.printoptions(precision=4, suppress=True):
        print(np.hstack([permeability.lower, diffusivity.lower]))
    truth = {"permeability": permeability.lower, "diffusivity": diffusivity.lower}
    ratios: dict[str, list[np.ndarray]] = {name: [] for name in ("permeability", "diffusivity", "between faces")}
    angles: dict[str, list[float]] = {name: [] for name in truth}
    for corner in itertools.product((0, cell - part), repeat=3):
        window = np.ascontiguousarray(pores[tuple(slice(c, c + part) for c in corner)])
        for name, tensor in (
            ("permeability", permeability_tensor(window).lower),
            ("diffusivity", diffusivity_tensor(window).lower),
        ):
            ratios[name].append(np.diag(tensor) / np.diag(truth[name]))
            cosine = abs(float(principal_values(tensor)[1][0] @ principal_values(truth[name])[1][0]))
            angles[name].append(float(np.degrees(np.arccos(min(cosine, 1.0)))))
        along = [between_faces(np.ascontiguousarray(np.moveaxis(window, axis, 0))) for axis in range(3)]
        ratios["between faces"].append(np.array(along) / np.diag(truth["permeability"]))
    for name, values in ratios.items():
        mean, scatter = np.mean(values, axis=0), np.std(values, axis=0)
        text = ", ".join(f"{m:.3f} +- {s:.3f}" for m, s in zip(mean, scatter, strict=True))
        angle = f"; angle of the principal direction {np.median(angles[name]):.0f} degrees" if name in angles else ""
        print(f"parts of {part} voxels, {name}: z, y, x {text}{angle}", flush=True)


if __name__ == "__main__":
    main()
