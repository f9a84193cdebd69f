"""Permeability: time and memory to 1 %, compared with lattice Boltzmann solvers and pore networks.

    pip install porespy openpnm lbmpy poromics xlb "warp-lang<1.11"
    python benchmarks/stokes.py [--rock berea.tif] [--solvers membrane-dask lattice ...] [--sizes 64 100 150 200]
        [--seconds 400]

Images: a Gaussian random field (sigma 4, porosity 0.25), a cube of ``--rock`` (a stack of binary images, 0 pore), and a
simple cubic packing of spheres. Liquid flows from end to end: the pressure is fixed at both ends, where the flow is
normal to them; the lateral boundaries are periodic. Solvers that only support a body force on a periodic image get the
image together with its mirror image, which has the same flow. Ours solves this image too, and all ratios are relative
to its time there.

membrane-dask the whole solution, until the bounds of the permeability differ by 1 %
  value       until its lower bound is within 1 % of the result with a tolerance of 0.1 %
single image  membrane-dask without the mirror image, which it does not need
lattice plain lattice Boltzmann in Numba: D3Q19, two relaxation times (magic parameter 3/16), pore voxels only, two
              arrays, single precision, linear equilibrium, the usual viscosity of 1/6
lattice       the same with one array, updated in place (Bailey et al., ICPP 2009)
lattice quick that with the viscosity which converged fastest among several
lbmpy         the same method and viscosity, generated C, all voxels
xlb warp, xlb jax   Autodesk's XLB: D3Q19, one relaxation time (of the same magic parameter), all voxels
taichi        poromics, with the solver of taichi_LBM3D: D3Q19, multiple relaxation times, all voxels; fixed pressures
              at the ends of the single image
cones, pyramids   PoreSpy's snow2 with equivalent diameters and OpenPNM's StokesFlow; conduits are cones and
              cylinders, or pyramids and cuboids. An estimate, which no amount of time improves

Every solver runs in a process of its own on one core, after a small image that triggers all compilation. Time is CPU
time; for packages that compile for each image size it starts at the first step, for all others it includes the
preparation of the image. A lattice Boltzmann run ends when its permeability has changed by less than 0.2 % in its
second half; the table gives the time after which it stayed within 1 % of its final value. A run that was interrupted
had not converged, so that its time is a lower bound (``>``). Memory is the increase over the memory that the process
held before, per pore voxel of the image. The second table has ours alone on fields of increasing size.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import _third_party_flow as third_party
import numpy as np
from _common import argument_parser, skipped
from _lattice_boltzmann import Clock, Row, first_converged, lattice

#: Environment that keeps each solver on one thread.
ONE_THREAD = {
    "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false", "JAX_PLATFORMS": "cpu", "TI_ARCH": "x64",
    "TI_CPU_MAX_NUM_THREADS": "1", "TI_LOG_LEVEL": "error", "LOGURU_LEVEL": "ERROR",
}  # fmt: skip
#: Viscosity that most lattice Boltzmann programs use; viscosities that converge faster, by image.
USUAL, QUICK = 1 / 6, {"small": 1 / 6, "gaussian": 1 / 24, "rock": 1 / 12, "spheres": 1.0}
SMOKE_SOLVERS = ("membrane-dask", "single image", "lattice plain", "lattice")

# --- images


def gaussian(size: int) -> np.ndarray:
    """Pores of a Gaussian random field that is periodic along all axes."""
    from scipy import ndimage

    field = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal((size,) * 3), 4, mode="wrap")
    return np.asarray(field < np.quantile(field, 0.25))


def image(kind: str, rock: str | None) -> np.ndarray:
    """Percolating pores of an image."""
    from membrane_dask.physics.analytic_problems import cubic_spheres
    from membrane_dask.physics.percolation import percolating

    if kind == "rock":
        import tifffile

        pores = np.asarray(tifffile.imread(rock))[:128, :128, :128] == 0
    elif kind == "spheres":
        return cubic_spheres(64, 0.343).pores
    else:
        pores = gaussian(32 if kind == "small" else 100)
    return percolating(pores, periodic=True)


def exact_permeability(kind: str) -> float | None:
    """Exact permeability in voxels squared, None where there is no solution."""
    from membrane_dask.physics.analytic_problems import cubic_spheres

    return cubic_spheres(64, 0.343).permeability if kind == "spheres" else None


def mirrored(kind: str, pores: np.ndarray) -> np.ndarray:
    """Image and its mirror image along z; a sphere is symmetric already."""
    return pores if kind == "spheres" else np.concatenate([pores, pores[::-1]])


# --- solvers


def stokes_solver(pores: np.ndarray, seconds: float) -> list[Row]:
    """Permeability by membrane-dask; ``seconds`` is ignored."""
    from membrane_dask.physics.stokes.mac_grid import Grid
    from membrane_dask.physics.stokes.solver import stokes

    clock, history = Clock(), []
    grid = Grid.of(pores, "periodic")
    flow = stokes(grid, 0.01, callback=lambda iteration, lower, upper: history.append((iteration, *clock(), lower)))
    cpu, wall = clock()
    memory = peak_memory()
    final = stokes(grid, 1e-3).permeability
    steps, value_cpu, value_wall, k = first_converged(history, final)
    return [
        {"cpu": cpu, "wall": wall, "steps": len(history), "k": flow.permeability, "memory": memory, "final": final},
        {"name": "  value", "cpu": value_cpu, "wall": value_wall, "steps": steps, "k": k},
    ]


def solvers(kind: str) -> dict[str, tuple[Callable[[np.ndarray, float], list[Row]], bool]]:
    """Function of each solver, and whether it needs the mirror image."""
    return {
        "membrane-dask": (stokes_solver, True),
        "single image": (stokes_solver, False),
        "lattice plain": (lambda pores, seconds: lattice(pores, seconds, USUAL, plain=True), True),
        "lattice": (lambda pores, seconds: lattice(pores, seconds, USUAL), True),
        "lattice quick": (lambda pores, seconds: lattice(pores, seconds, QUICK[kind]), True),
        "lbmpy": (lambda pores, seconds: third_party.lbmpy(pores, seconds, QUICK[kind]), True),
        "xlb warp": (lambda pores, seconds: third_party.xlb(pores, seconds, "WARP"), True),
        "xlb jax": (lambda pores, seconds: third_party.xlb(pores, seconds, "JAX"), True),
        "taichi": (third_party.taichi, False),
        "cones": (lambda pores, seconds: third_party.network(pores, "cones_and_cylinders"), False),
        "pyramids": (lambda pores, seconds: third_party.network(pores, "pyramids_and_cuboids"), False),
    }


# --- processes


def process_status(name: str) -> int:
    """Resident memory (VmRSS) or peak memory (VmHWM) of this process in bytes."""
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def peak_memory() -> int:
    """Peak memory of this process in bytes; since ``reset_peak`` where the system can reset it."""
    try:
        return process_status("VmHWM")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def reset_peak() -> int:
    """Return free memory to the system, reset the peak, and return the resident memory."""
    import ctypes

    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)
        with open("/proc/self/clear_refs", "w") as switch:
            switch.write("5")
        return process_status("VmRSS")
    except (OSError, AttributeError):
        return peak_memory()


def pin_to_one_core() -> None:
    """Restrict this process to one core, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def measure(solver: str, kind: str, rock: str | None, seconds: float) -> None:
    """Compile with a small image, run on the image, and print the rows as JSON. Needs a process of its own."""
    pin_to_one_core()
    run, needs_mirror = solvers(kind)[solver]
    try:
        if solver.startswith("xlb"):  # a second solver in a process would keep the walls of the first
            import jax
            import warp  # noqa: F401
            import xlb.operator.stepper  # noqa: F401

            jax.devices()
        else:
            run(mirrored("small", image("small", None)), 1.0)
        pores = image(kind, rock)
        if needs_mirror:
            pores = mirrored(kind, pores)
        count, before = int(pores.sum()), reset_peak()
        rows = run(pores, seconds)
    except Exception as error:
        print(json.dumps([{"failed": f"{type(error).__name__}: {error}".splitlines()[0]}]))
        return
    rows[0]["bytes"] = (rows[0].pop("memory", None) or peak_memory()) - before
    rows[0].update(pores=count, shape=pores.shape)
    print(json.dumps(rows))


def count_products(size: int) -> None:
    """Solve a field of ``size`` voxels along each axis and print work, time and memory as JSON."""
    from membrane_dask.physics.stokes import momentum, multigrid, solver

    pin_to_one_core()
    solver.stokes(solver.Grid.of(gaussian(32), "periodic"), 0.01)
    counts = {"velocity": 0, "pressure": 0}

    def counting(function: Callable[..., float], name: str) -> Callable[..., float]:
        def run(*arguments: object) -> float:
            counts[name] += 1
            return function(*arguments)

        return run

    momentum.viscous_forces = counting(momentum.viscous_forces, "velocity")  # type: ignore[assignment]
    multigrid._net_outflow = counting(multigrid._net_outflow, "pressure")  # type: ignore[assignment]
    pores = gaussian(size)
    before, clock = reset_peak(), Clock()
    grid = solver.Grid.of(pores, "periodic")
    flow = solver.stokes(grid, 0.01)
    cpu, wall = clock()
    row = {
        "n": grid.n, "iterations": len(flow.history), "cpu": cpu, "wall": wall, "bytes": peak_memory() - before,
        "k": flow.permeability, "gap": flow.upper_bound / flow.permeability - 1, "residual": flow.residual,
    }  # fmt: skip
    print(json.dumps([row | counts]))


def run_row(*arguments: str, seconds: float) -> list[Row]:
    """Rows that a process of its own prints."""
    command = [sys.executable, __file__, *arguments]
    limit = 5 * seconds + 600
    try:
        process = subprocess.run(command, capture_output=True, text=True, timeout=limit, env=os.environ | ONE_THREAD)
    except subprocess.TimeoutExpired:
        return [{"failed": f"not complete after {limit:.0f} s"}]
    if process.returncode:
        error = (process.stderr.strip().splitlines() or [""])[-1]
        return [{"failed": f"exit status {process.returncode}: {error}"}]
    return json.loads(process.stdout.splitlines()[-1])


# --- tables


def compare(kind: str, title: str, arguments: argparse.Namespace) -> None:
    """Print a row for every solver on one image."""
    exact, final, base = exact_permeability(kind), float("nan"), float("nan")
    print(f"\n{title}")
    names = ("CPU s", "ratio", "wall s", "steps", "B/pore", "k", "k/final") + (("error",) if exact else ())
    print(f"{'':14}" + "".join(f"{name:>10}" for name in names))
    options = ["--seconds", str(arguments.seconds), *(["--rock", arguments.rock] if arguments.rock else [])]
    for solver in arguments.solvers:
        if solver == "single image" and kind == "spheres":
            continue
        for row in run_row("--row", solver, kind, *options, seconds=arguments.seconds):
            if "failed" in row:
                if arguments.smoke:
                    raise SystemExit(f"{solver}: {row['failed']}")
                print(f"{solver:14}  {row['failed']}", flush=True)
                continue
            if solver == "membrane-dask" and "final" in row:
                final, base = row["final"], row["cpu"]
            sign = ">" if row.get("interrupted") else ""
            values = [
                f"{sign}{row['cpu']:.2f}", f"{sign}{row['cpu'] / base:.1f}", f"{sign}{row['wall']:.2f}",
                f"{sign}{row.get('steps', '')}", f"{row['bytes'] / row['pores']:.0f}" if "bytes" in row else "",
                f"{row['k']:.5f}", f"{row['k'] / final:.3f}", f"{row['k'] / exact - 1:.1%}" if exact else "",
            ]  # fmt: skip
            notes = [f"{row['pores']} pores" if "pores" in row else "", row.get("note", "")]
            if "total" in row:
                notes.append(f"{'interrupted' if row['interrupted'] else 'steady'} after {row['total']} steps")
            line = f"{row.get('name', solver):14}" + "".join(f"{value:>10}" for value in values)
            print(line.rstrip() + "  " + ", ".join(filter(None, notes)), flush=True)


def grow(sizes: list[int]) -> None:
    """Print work, time and memory of ours on fields of increasing size."""
    print("\nmembrane-dask on Gaussian fields, bounds 1 % apart; products with the matrices of velocity and pressure")
    names = ("pores", "iter.", "velocity", "pressure", "CPU s", "wall s", "ns/pore", "B/pore", "k", "gap", "residual")
    print(f"{'':6}" + "".join(f"{name:>10}" for name in names))
    for size in sizes:
        (row,) = run_row("--row", "count", str(size), seconds=600)
        if "failed" in row:
            raise SystemExit(f"{size}: {row['failed']}")
        print(
            f"{size:4}  {row['n']:10}{row['iterations']:10}{row['velocity']:10}{row['pressure']:10}{row['cpu']:10.2f}"
            f"{row['wall']:10.2f}{1e9 * row['cpu'] / row['n']:10.0f}{row['bytes'] / row['n']:10.0f}{row['k']:10.5f}"
            f"{row['gap']:10.2%}{row['residual']:10.1e}", flush=True,
        )  # fmt: skip


def main() -> None:
    """Print the tables."""
    parser = argument_parser(__doc__)
    parser.add_argument("--rock", help="stack of binary images, 0 pore")
    parser.add_argument("--images", nargs="*", choices=("gaussian", "rock", "spheres"),
                        default=["gaussian", "rock", "spheres"])  # fmt: skip
    parser.add_argument("--solvers", nargs="*", choices=tuple(solvers("small")), default=list(solvers("small")))
    parser.add_argument("--sizes", type=int, nargs="*", default=[64, 100, 150, 200])
    parser.add_argument("--seconds", type=float, default=400.0, help="CPU time after which a run is interrupted")
    parser.add_argument("--row", nargs=2, help="internal: measure one row in this process")
    arguments = parser.parse_args()
    if arguments.row:
        solver, kind = arguments.row
        if solver == "count":
            count_products(int(kind))
        else:
            measure(solver, kind, arguments.rock, arguments.seconds)
        return
    titles = {
        "small": "Gaussian field of 32^3",
        "gaussian": "Gaussian field of 100^3",
        "rock": f"{Path(arguments.rock or '').name}, 128^3",
        "spheres": "simple cubic spheres of 64^3, solid 0.343",
    }
    if arguments.smoke:
        arguments.images, arguments.sizes, arguments.seconds = ["small"], [32], 0.2
        arguments.solvers = list(SMOKE_SOLVERS)
        skipped("lbmpy, xlb, taichi, cones, pyramids", "third-party codes, which --smoke leaves out")
    for kind in arguments.images:
        if kind == "rock" and not arguments.rock:
            skipped("rock", "--rock names no image")
            continue
        compare(kind, titles[kind], arguments)
    if arguments.sizes:
        grow(arguments.sizes)


if __name__ == "__main__":
    main()
