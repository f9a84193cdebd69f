"""Transport tensors of parts of a periodic medium, compared with that of the medium.

    python benchmarks/transport_tensors.py [--cell 96] [--sample 48] [--seeds 2]

The medium repeats a Gaussian random field of porosity 0.4 that is elongated 1.5 : 1 along the diagonal of z and y. Its
tensors are known from the whole cell. Printed are, for all parts of the cells, the mean and the standard deviation of
the elements over the root of the product of the two diagonal elements of the medium, and the median of the angle
between the first principal directions: by volume averages over the flows between the faces of a part (sample), and of
the medium that repeats a part, whose pores at opposite faces do not meet (periodic).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
from _common import argument_parser

from membrane_dask.physics.stokes.permeability_tensor import permeability_tensor, sample_permeability
from membrane_dask.physics.tensors import principal_values
from membrane_dask.physics.transport.diffusivity_tensor import diffusivity_tensor, sample_diffusivity


def inclined_field(edge: int, length: float, seed: int = 0) -> np.ndarray:
    """Pores of a periodic Gaussian random field that is elongated along the diagonal of z and y."""
    wave = np.stack(np.meshgrid(*[np.fft.fftfreq(edge)] * 3, indexing="ij"))
    long, short = (wave[0] + wave[1]) / np.sqrt(2), (wave[0] - wave[1]) / np.sqrt(2)
    square = (1.5 * long) ** 2 + short**2 + wave[2] ** 2
    noise = np.fft.fftn(np.random.default_rng(seed).standard_normal((edge,) * 3))
    field = np.fft.ifftn(noise * np.exp(-2 * (np.pi * length) ** 2 * square)).real
    return field < np.quantile(field, 0.4)


def main() -> None:
    """Print elements and angles."""
    parser = argument_parser(__doc__)
    parser.add_argument("--cell", type=int, default=96)
    parser.add_argument("--sample", type=int, default=48)
    parser.add_argument("--seeds", type=int, default=2)
    arguments = parser.parse_args()
    cell, edge, seeds = (24, 20, 1) if arguments.smoke else (arguments.cell, arguments.sample, arguments.seeds)
    methods: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "permeability, medium": lambda pores: permeability_tensor(pores).lower,
        "permeability, sample": lambda pores: sample_permeability(pores).tensor,
        "permeability, periodic": lambda pores: permeability_tensor(pores).lower,
        "diffusivity, medium": lambda pores: diffusivity_tensor(pores).lower,
        "diffusivity, sample": lambda pores: sample_diffusivity(pores).tensor,
        "diffusivity, periodic": lambda pores: diffusivity_tensor(pores).lower,
    }
    tensors: dict[str, list[np.ndarray]] = {name: [] for name in methods}
    angles: dict[str, list[float]] = {name: [] for name in methods}
    for seed in range(seeds):
        pores = inclined_field(cell, 1.5 if arguments.smoke else 3.0, seed)
        truth = {name: method(pores) for name, method in methods.items() if name.endswith("medium")}
        for corner in itertools.product((0, cell - edge), repeat=3):
            window = np.ascontiguousarray(pores[tuple(slice(c, c + edge) for c in corner)])
            for name, method in methods.items():
                exact = truth[f"{name.split(',')[0]}, medium"]
                tensor = exact if name.endswith("medium") else method(window)
                if not np.isfinite(tensor).all():
                    continue
                tensors[name].append(tensor / np.sqrt(np.outer(np.diag(exact), np.diag(exact))))
                cosine = abs(float(principal_values(tensor)[1][0] @ principal_values(exact)[1][0]))
                angles[name].append(float(np.degrees(np.arccos(min(cosine, 1.0)))))
    for name, values in tensors.items():
        mean, scatter = np.mean(values, axis=0), np.std(values, axis=0)
        text = ", ".join(
            f"{'zyx'[i]}{'zyx'[j]} {mean[i, j]:+.2f} +- {scatter[i, j]:.2f}"
            for i, j in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
        )
        print(f"{name:22s} {text}; {np.median(angles[name]):.0f} degrees", flush=True)


if __name__ == "__main__":
    main()
