"""Permeability: time and memory to 1 %, against lattice Boltzmann solvers and a pore network.

    pip install porespy openpnm lbmpy poromics xlb "warp-lang<1.11"
    python benchmarks/stokes.py [--rock berea.tif] [--solvers ours lattice ...] [--sizes 64 100 150 200] [--seconds 400]

Images: a Gaussian field (sigma 4, porosity 0.25), a cube of ``--rock`` (a stack of binary images, 0 pore), and the
sphere of a simple cubic packing. The flow goes from end to end, where pressures are given and it comes in at right
angles; across the sides the image repeats. Solvers that only know a force on a periodic liquid get the image together
with its mirror image, whose flow is the same one; ours solves that too, and all ratios are to its time there.

ours          all of it, until the bounds of the permeability are 1 % apart
  its value   until the lower of its bounds lies within 1 % of what a tolerance of 0.1 % gives
ours alone    the same without the mirror image, which it does not need
lattice plain lattice Boltzmann in Numba: D3Q19, two relaxation times (magic parameter 3/16), pore voxels only, two
              arrays, single precision, linear equilibrium; the usual viscosity of 1/6
lattice       the same with one array, read and written in place (Bailey et al., ICPP 2009)
lattice quick that at the viscosity with which it came to rest soonest, of some that were tried
lbmpy         the same method and viscosity, generated C, all voxels
xlb warp, xlb jax   Autodesk's XLB: D3Q19, one relaxation time (that of the same magic number), all voxels. Its masks
              of the solid do not go round the periodic sides; they are replaced
taichi        poromics, whose solver is that of taichi_LBM3D: D3Q19, many relaxation times, all voxels; pressures at
              the ends of the image alone
cones, pyramids   PoreSpy's snow2 with equivalent diameters and OpenPNM's StokesFlow; conduits are cones and
              cylinders, or pyramids and cuboids. An estimate, which no time makes better

Every solver runs in a process of its own on one core, after a small image that has everything compiled. Time is that
of the processor; of the packages that compile for a size it counts from the first step, of the others from the image.
A lattice Boltzmann run goes on until its permeability has changed by less than 0.2 % in its second half; then it is
known when it came, to stay, within 1 % of its own end. A run that is cut had not come to rest: against its last value
the times are too short (``>``). Memory is what the process took at most beyond what it held before, over the pores that
the solver was given. The second table is ours alone on larger and larger fields.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

#: What the processes of one solver each must not do: share the work among threads.
ONE_THREAD = {
    "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false", "JAX_PLATFORMS": "cpu", "TI_ARCH": "x64",
    "TI_CPU_MAX_NUM_THREADS": "1", "TI_LOG_LEVEL": "error", "LOGURU_LEVEL": "ERROR",
}  # fmt: skip
MAGIC = 3 / 16
#: Viscosity that most lattice Boltzmann programs take; those with which they come to rest sooner.
USUAL, QUICK = 1 / 6, {"small": 1 / 6, "gaussian": 1 / 24, "rock": 1 / 12, "spheres": 1.0}
#: Half of the directions, ``z, y, x``; the others are their opposites.
DIRECTIONS = ((1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, -1, 0), (1, 0, 1), (1, 0, -1), (0, 1, 1), (0, 1, -1))
#: Steps of a lattice Boltzmann solver from one look at its permeability to the next.
LOOK = 20

Row = dict[str, Any]
History = list[tuple[int, float, float, float]]


class Clock:
    """Seconds of the processor and of the wall since it was made."""

    def __init__(self) -> None:
        self.start = time.process_time(), time.perf_counter()

    def __call__(self) -> tuple[float, float]:
        """Both."""
        return time.process_time() - self.start[0], time.perf_counter() - self.start[1]


def gaussian(size: int) -> np.ndarray:
    """A Gaussian field, periodic along all axes, cut at a level: the pores."""
    from scipy import ndimage

    field = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal((size,) * 3), 4, mode="wrap")
    return np.asarray(field < np.quantile(field, 0.25))


def image(kind: str, rock: str | None) -> np.ndarray:
    """Pores, of which all have a way to both ends."""
    from membrane_dask.physics.analytic_problems import cubic_spheres
    from membrane_dask.physics.stokes.mac_grid import percolating

    if kind == "rock":
        import tifffile

        pores = np.asarray(tifffile.imread(rock))[:128, :128, :128] == 0
    elif kind == "spheres":
        return cubic_spheres(64, 0.343).pores
    else:
        pores = gaussian(32 if kind == "small" else 100)
    return percolating(pores, periodic=True)


def known(kind: str) -> float | None:
    """Permeability, if it is known."""
    from membrane_dask.physics.analytic_problems import cubic_spheres

    return cubic_spheres(64, 0.343).permeability if kind == "spheres" else None


def mirrored(kind: str, pores: np.ndarray) -> np.ndarray:
    """Image and mirror image along z; a sphere is its own."""
    return pores if kind == "spheres" else np.concatenate([pores, pores[::-1]])


# Ours


def ours(pores: np.ndarray, seconds: float) -> list[Row]:
    from membrane_dask.physics.stokes.mac_grid import Grid
    from membrane_dask.physics.stokes.solver import stokes

    del seconds
    clock, history = Clock(), []
    grid = Grid.of(pores, "periodic")
    flow = stokes(grid, 0.01, watch=lambda round_, lower, upper: history.append((round_ + 1, *clock(), lower)))
    cpu, wall = clock()
    memory = peak()
    end = stokes(grid, 1e-3).permeability
    steps, first_cpu, first_wall, k = arrived(history, end)
    return [
        {"cpu": cpu, "wall": wall, "steps": len(history), "k": flow.permeability, "memory": memory, "end": end},
        {"name": "  its value", "cpu": first_cpu, "wall": first_wall, "steps": steps, "k": k},
    ]


# Lattice Boltzmann


def arrived(history: History, end: float) -> tuple[int, float, float, float]:
    """When the permeability came to stay within 1 % of its end."""
    away = [i for i, (*_, k) in enumerate(history) if not abs(k / end - 1) <= 0.01]
    return history[min(away[-1] + 1 if away else 0, len(history) - 1)]


def march(advance: Callable[[int], float], seconds: float) -> list[Row]:
    """Take steps until the permeability stands still or the time is over."""
    clock, history, cut = Clock(), [], True
    while True:
        k = advance(LOOK)
        history.append((LOOK * (len(history) + 1), *clock(), k))
        late = [k for *_, k in history[len(history) // 2 :]]
        if len(late) > 10 and max(late) - min(late) < 2e-3 * abs(k):
            cut = False
            break
        if history[-1][1] > seconds:
            break
    steps, cpu, wall, _ = arrived(history, k)
    return [{"cpu": cpu, "wall": wall, "steps": steps, "k": k, "cut": cut, "all": history[-1][0]}]


def rates(viscosity: float) -> tuple[float, float]:
    """Relaxation rates of the even and of the odd moments."""
    even = 3 * viscosity + 0.5
    return 1 / even, 1 / (MAGIC / (even - 0.5) + 0.5)


def compiled_step():  # type: ignore[no-untyped-def]
    """One step, in place: every other step reads and writes what it needs at the neighbours."""
    from numba import njit

    f4 = np.float32
    z, y, x = (tuple(f4(direction[axis]) for direction in DIRECTIONS) for axis in range(3))
    share = tuple(f4(1 / 18 if p < 3 else 1 / 36) for p in range(9))
    rest, half, one, two, three = f4(1 / 3), f4(0.5), f4(1), f4(2), f4(3)

    @njit(fastmath=True, nogil=True)
    def step(f, where, n, even_rate, odd_rate, away):
        total = 0.0
        for i in range(n):
            still = f[18 * n + i]
            density, along_z, along_y, along_x = still, half, f4(0), f4(0)  # half the force, which is 1
            for p in range(9):
                a = where[2 * p + 1, i] if away else 2 * p * n + i
                b = where[2 * p, i] if away else (2 * p + 1) * n + i
                difference = f[a] - f[b]
                density += f[a] + f[b]
                along_z += z[p] * difference
                along_y += y[p] * difference
                along_x += x[p] * difference
            total += along_z
            f[18 * n + i] = still - even_rate * (still - rest * density)
            for p in range(9):
                a = where[2 * p + 1, i] if away else 2 * p * n + i
                b = where[2 * p, i] if away else (2 * p + 1) * n + i
                there, back = f[a], f[b]
                drift = three * share[p] * (z[p] * along_z + y[p] * along_y + x[p] * along_x)
                even = half * even_rate * (there + back - two * share[p] * density)
                odd = odd_rate * (half * (there - back) - drift) - (one - half * odd_rate) * three * share[p] * z[p]
                f[b] = there - even - odd
                f[a] = back - even + odd
        return total

    return step


def compiled_plain_step():  # type: ignore[no-untyped-def]
    """One step from one array into another: collide, then go to the neighbour, or back where there is none."""
    from numba import njit

    pairs = np.float32(DIRECTIONS)
    shares = np.float32([1 / 18 if p < 3 else 1 / 36 for p in range(9)])
    f4 = np.float32

    @njit(fastmath=True, nogil=True)
    def step(f, g, where, n, even_rate, odd_rate):
        total = 0.0
        for i in range(n):
            still = f[18 * n + i]
            density, along = still, np.zeros(3, np.float32)
            along[0] = f4(0.5)  # half the force, which is 1
            for p in range(9):
                there, back = f[2 * p * n + i], f[(2 * p + 1) * n + i]
                density += there + back
                for axis in range(3):
                    along[axis] += pairs[p, axis] * (there - back)
            total += along[0]
            g[18 * n + i] = still - even_rate * (still - density / f4(3))
            for p in range(9):
                there, back, share = f[2 * p * n + i], f[(2 * p + 1) * n + i], f4(3) * shares[p]
                drift = f4(0)
                for axis in range(3):
                    drift += share * pairs[p, axis] * along[axis]
                even = f4(0.5) * even_rate * (there + back - f4(2) * shares[p] * density)
                odd = odd_rate * (f4(0.5) * (there - back) - drift)
                odd -= (f4(1) - f4(0.5) * odd_rate) * share * pairs[p, 0]
                g[where[2 * p, i]] = there - even - odd
                g[where[2 * p + 1, i]] = back - even + odd
        return total

    return step


STEP = PLAIN_STEP = None


def lattice(pores: np.ndarray, seconds: float, viscosity: float, plain: bool = False) -> list[Row]:
    """Populations are kept as differences from a liquid at rest; the wall is half a voxel away (bounce-back)."""
    global STEP, PLAIN_STEP
    if plain:
        step = PLAIN_STEP = PLAIN_STEP or compiled_plain_step()
    else:
        step = STEP = STEP or compiled_step()
    n = int(pores.sum())

    def prepared() -> tuple[np.ndarray, list[np.ndarray]]:
        number = np.full(pores.shape, -1, np.int32)
        number[pores] = np.arange(n)
        where = np.empty((18, n), np.int32)
        for q in range(18):
            ahead = [(2 * (q % 2) - 1) * c for c in DIRECTIONS[q // 2]]
            there = np.roll(number, ahead, (0, 1, 2))[pores]
            where[q] = np.where(there >= 0, q * n + there, (q ^ 1) * n + np.arange(n, dtype=np.int32))
        return where, [np.zeros(19 * n, np.float32) for _ in range(2 if plain else 1)]

    clock = Clock()
    where, f = prepared()
    cpu, wall = clock()
    even, odd = map(np.float32, rates(viscosity))

    def advance(steps: int) -> float:
        for i in range(steps):
            total = (
                step(f[i % 2], f[1 - i % 2], where, n, even, odd)
                if plain
                else step(f[0], where, n, even, odd, i % 2 == 1)
            )
        return viscosity * total / pores.size

    (row,) = march(advance, seconds)
    row["cpu"], row["wall"] = row["cpu"] + cpu, row["wall"] + wall
    return [row]


def lbmpy(pores: np.ndarray, seconds: float, viscosity: float) -> list[Row]:
    from lbmpy import ForceModel, LBMConfig, LBStencil, Method, Stencil
    from lbmpy.boundaries import NoSlip
    from lbmpy.lbstep import LatticeBoltzmannStep
    from pystencils import CreateKernelConfig, Target, create_data_handling

    force = 1e-5
    method = LBMConfig(
        stencil=LBStencil(Stencil.D3Q19), method=Method.TRT, relaxation_rates=rates(viscosity), compressible=False,
        force=(force, 0, 0), force_model=ForceModel.GUO,
    )  # fmt: skip
    data = create_data_handling(pores.shape, periodicity=True, default_ghost_layers=1, default_target=Target.CPU)
    solver = LatticeBoltzmannStep(
        data_handling=data, lbm_config=method, config=CreateKernelConfig(default_dtype="float32", target=Target.CPU)
    )

    def solid(*middles: np.ndarray) -> np.ndarray:
        at = (np.floor(m).astype(int) % size for m, size in zip(middles, pores.shape, strict=True))
        return ~pores[tuple(at)]

    solver.boundary_handling.set_boundary(NoSlip(), mask_callback=solid)
    solver.run(2)

    def advance(steps: int) -> float:
        solver.run(steps)
        velocity = data.gather_array(solver.velocity_data_name)[..., 0]
        # It counts the force of a whole step and a half, where a half is due.
        return float(viscosity * (velocity[pores].sum(dtype=float) / force - pores.sum()) / pores.size)

    return march(advance, seconds)


def xlb(pores: np.ndarray, seconds: float, backend: str) -> list[Row]:
    import jax.numpy as jnp
    import warp
    import xlb.velocity_set
    from xlb.compute_backend import ComputeBackend
    from xlb.operator.boundary_condition import HalfwayBounceBackBC
    from xlb.operator.stepper import IncompressibleNavierStokesStepper
    from xlb.precision_policy import PrecisionPolicy

    warp.config.quiet = True
    force, viscosity = 1e-4, MAGIC**0.5 / 3
    engine, precision = ComputeBackend[backend], PrecisionPolicy.FP32FP32
    array = np.asarray if backend == "WARP" else jnp.asarray
    lattice = xlb.velocity_set.D3Q19(precision_policy=precision, compute_backend=engine)
    xlb.init(velocity_set=lattice, default_backend=engine, default_precision_policy=precision)
    directions = np.asarray(lattice._c)
    walls = HalfwayBounceBackBC(indices=[[0], [0], [0]])
    step = IncompressibleNavierStokesStepper(
        grid=xlb.grid.grid_factory(pores.shape, compute_backend=engine), boundary_conditions=[walls],
        collision_type="BGK", force_vector=array(np.float32([force, 0, 0])),
    )  # fmt: skip
    state = list(step.prepare_fields()[:2])
    missing = np.stack([np.roll(~pores, tuple(map(int, c)), (0, 1, 2)) & pores for c in directions.T])
    kind = np.where(missing.any(0), walls.id, 0).astype(np.uint8)[None]
    if backend == "WARP":
        kind[0][~pores] = 255
        masks = warp.array(kind, dtype=warp.uint8), warp.array(missing, dtype=warp.bool)
    else:
        masks = jnp.asarray(kind), jnp.asarray(missing)
    del missing, kind
    rate = (float if backend == "WARP" else np.float32)(1 / (3 * viscosity + 0.5))

    def advance(steps: int) -> float:
        for i in range(steps):
            state[:] = step(*state, *masks, rate, i)[::-1]
        f = state[0].numpy() if backend == "WARP" else np.asarray(state[0])
        flux = sum(c * f[q][pores].sum(dtype=float) for q, c in enumerate(directions[0]) if c)
        return float(viscosity * (flux / force - pores.sum() / 2) / pores.size)

    advance(2)
    return march(advance, seconds)


def taichi(pores: np.ndarray, seconds: float) -> list[Row]:
    from poromics.simulation import TransientFlow

    size = 1e-6  # of a voxel, in metres; its numbers are then those of the lattice
    drop = 0.01 / 3
    solver = TransientFlow(pores, axis=0, nu=1e-6, voxel_size=size)
    viscosity = 1e-6 * solver.dt / size**2
    solver.step()

    def advance(steps: int) -> float:
        for _ in range(steps):
            solver.step()
        mean = solver.velocity[..., 0].mean(dtype=float) * solver.dt / size
        return float(viscosity * mean * len(pores) / drop)

    return march(advance, seconds)


# Network


def network(pores: np.ndarray, conduits: str) -> list[Row]:
    import openpnm
    import porespy

    porespy.settings.tqdm = {"disable": True}
    openpnm.Workspace().settings["loglevel"] = 50
    clock = Clock()
    found = porespy.networks.snow2(pores, boundary_width=[3, 0, 0], parallel_kw=None)
    net = openpnm.io.network_from_porespy(found.network)
    for part in ("pore", "throat"):
        net[f"{part}.diameter"] = net[f"{part}.equivalent_diameter"]
    openpnm.topotools.trim(net, pores=openpnm.utils.check_network_health(net)["disconnected_pores"])
    models = dict(getattr(openpnm.models.collections.geometry, conduits))
    for name in ("pore.diameter", "throat.diameter"):
        models.pop(name, None)
    net.add_model_collection(models)
    net.regenerate_models()
    liquid = openpnm.phase.Phase(network=net)
    liquid["pore.viscosity"] = 1.0
    conductance = openpnm.models.physics.hydraulic_conductance.generic_hydraulic
    liquid.add_model(propname="throat.hydraulic_conductance", model=conductance)
    flow = openpnm.algorithms.StokesFlow(network=net, phase=liquid)
    flow.set_value_BC(pores=net.pores("xmin"), values=1.0)
    flow.set_value_BC(pores=net.pores("xmax"), values=0.0)
    flow.run()
    rate = float(flow.rate(pores=net.pores("xmin"))[0])
    cpu, wall = clock()
    k = rate * pores.shape[0] / (pores.shape[1] * pores.shape[2])
    return [{"cpu": cpu, "wall": wall, "k": k, "note": f"{net.Np} pores, {net.Nt} throats"}]


def solvers(kind: str) -> dict[str, tuple[Callable[[np.ndarray, float], list[Row]], bool]]:
    """How each runs, and whether it needs the mirror image."""
    return {
        "ours": (ours, True),
        "ours alone": (ours, False),
        "lattice plain": (lambda pores, seconds: lattice(pores, seconds, USUAL, plain=True), True),
        "lattice": (lambda pores, seconds: lattice(pores, seconds, USUAL), True),
        "lattice quick": (lambda pores, seconds: lattice(pores, seconds, QUICK[kind]), True),
        "lbmpy": (lambda pores, seconds: lbmpy(pores, seconds, QUICK[kind]), True),
        "xlb warp": (lambda pores, seconds: xlb(pores, seconds, "WARP"), True),
        "xlb jax": (lambda pores, seconds: xlb(pores, seconds, "JAX"), True),
        "taichi": (taichi, False),
        "cones": (lambda pores, seconds: network(pores, "cones_and_cylinders"), False),
        "pyramids": (lambda pores, seconds: network(pores, "pyramids_and_cuboids"), False),
    }


# Processes


def status(name: str) -> int:
    """Bytes that this process holds (VmRSS) or has held at most (VmHWM)."""
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def peak() -> int:
    """Bytes that this process has held at most, lately if the system forgets."""
    try:
        return status("VmHWM")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def forgotten() -> int:
    """Give back what is free, forget the peak, and tell what is held."""
    import ctypes

    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)
        with open("/proc/self/clear_refs", "w") as switch:
            switch.write("5")
        return status("VmRSS")
    except (OSError, AttributeError):
        return peak()


def pinned() -> None:
    """Stay on one core."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def measure(who: str, kind: str, rock: str | None, seconds: float) -> None:
    """In a process of its own: compile, then measure, and print what was found."""
    pinned()
    run, doubled = solvers(kind)[who]
    try:
        if who.startswith("xlb"):  # a second solver in a process would keep the first one's walls
            import jax
            import warp  # noqa: F401
            import xlb.operator.stepper  # noqa: F401

            jax.devices()
        else:
            run(mirrored("small", image("small", None)), 1.0)
        pores = image(kind, rock)
        if doubled:
            pores = mirrored(kind, pores)
        count, before = int(pores.sum()), forgotten()
        rows = run(pores, seconds)
    except Exception as error:
        print(json.dumps([{"failed": f"{type(error).__name__}: {error}".splitlines()[0]}]))
        return
    rows[0]["bytes"] = (rows[0].pop("memory", None) or peak()) - before
    rows[0].update(pores=count, shape=pores.shape)
    print(json.dumps(rows))


def counted(size: int) -> None:
    """In a process of its own: ours on a field of ``size`` voxels along each axis, and how much work it was."""
    from membrane_dask.physics.stokes import multigrid
    from membrane_dask.physics.stokes import solver as solver

    pinned()
    solver.stokes(solver.Grid.of(gaussian(48), "periodic"), 0.01)
    counts = {"velocity": 0, "pressure": 0}

    def counting(function: Callable[..., float], name: str) -> Callable[..., float]:
        def run(*what: object) -> float:
            counts[name] += 1
            return function(*what)

        return run

    solver._product = counting(solver._product, "velocity")  # type: ignore[assignment]
    multigrid._conduct = counting(multigrid._conduct, "pressure")  # type: ignore[assignment]
    pores = gaussian(size)
    before, clock = forgotten(), Clock()
    grid = solver.Grid.of(pores, "periodic")
    flow = solver.stokes(grid, 0.01)
    cpu, wall = clock()
    row = {"n": grid.n, "rounds": len(flow.history), "cpu": cpu, "wall": wall, "bytes": peak() - before, "k": 0.0}
    row["k"] = flow.permeability
    print(json.dumps([row | counts | {"gap": flow.upper / flow.permeability - 1, "residual": flow.residual}]))


def child(*arguments: str, seconds: float) -> list[Row]:
    """Rows of a process."""
    command = [sys.executable, __file__, *arguments]
    limit = 5 * seconds + 600
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit, env=os.environ | ONE_THREAD)
    except subprocess.TimeoutExpired:
        return [{"failed": f"not done after {limit:.0f} s"}]
    if done.returncode:
        words = done.stderr.strip().splitlines() or [""]
        return [{"failed": f"ended with {done.returncode}: {words[-1]}"}]
    return json.loads(done.stdout.splitlines()[-1])


# Tables


def compare(kind: str, title: str, asked: argparse.Namespace) -> None:
    """Every solver on one image."""
    truth, end, base = known(kind), float("nan"), float("nan")
    print(f"\n{title}")
    names = ("CPU s", "ratio", "wall s", "steps", "B/pore", "k", "k/ours") + (("error",) if truth else ())
    print(f"{'':14}" + "".join(f"{name:>10}" for name in names))
    more = ["--seconds", str(asked.seconds), *(["--rock", asked.rock] if asked.rock else [])]
    for who in asked.solvers:
        if who == "ours alone" and kind == "spheres":
            continue
        for row in child("--one", who, kind, *more, seconds=asked.seconds):
            if "failed" in row:
                print(f"{who:14}  {row['failed']}", flush=True)
                continue
            if who == "ours" and "end" in row:
                end, base = row["end"], row["cpu"]
            sign = ">" if row.get("cut") else ""
            values = [
                f"{sign}{row['cpu']:.2f}", f"{sign}{row['cpu'] / base:.1f}", f"{sign}{row['wall']:.2f}",
                f"{sign}{row.get('steps', '')}", f"{row['bytes'] / row['pores']:.0f}" if "bytes" in row else "",
                f"{row['k']:.5f}", f"{row['k'] / end:.3f}", f"{row['k'] / truth - 1:.1%}" if truth else "",
            ]  # fmt: skip
            notes = [f"{row['pores']} pores" if "pores" in row else "", row.get("note", "")]
            if "all" in row:
                notes.append(f"{'cut after' if row['cut'] else 'at rest after'} {row['all']} steps")
            line = f"{row.get('name', who):14}" + "".join(f"{value:>10}" for value in values)
            print(line.rstrip() + "  " + ", ".join(filter(None, notes)), flush=True)


def grow(sizes: list[int]) -> None:
    """Ours on larger and larger fields."""
    print("\nours on Gaussian fields, bounds 1 % apart")
    names = ("pores", "rounds", "velocity", "pressure", "CPU s", "wall s", "ns/pore", "B/pore", "k", "gap", "flux")
    print(f"{'':6}" + "".join(f"{name:>10}" for name in names))
    for size in sizes:
        (row,) = child("--one", "count", str(size), seconds=600)
        if "failed" in row:
            print(f"{size:4}  {row['failed']}", flush=True)
            continue
        print(
            f"{size:4}  {row['n']:10}{row['rounds']:10}{row['velocity']:10}{row['pressure']:10}{row['cpu']:10.2f}"
            f"{row['wall']:10.2f}{1e9 * row['cpu'] / row['n']:10.0f}{row['bytes'] / row['n']:10.0f}{row['k']:10.5f}"
            f"{row['gap']:10.2%}{row['residual']:10.1e}", flush=True,
        )  # fmt: skip


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rock", help="stack of binary images, 0 pore")
    parser.add_argument("--images", nargs="*", choices=("gaussian", "rock", "spheres"),
                        default=["gaussian", "rock", "spheres"])  # fmt: skip
    parser.add_argument("--solvers", nargs="*", choices=tuple(solvers("small")), default=list(solvers("small")))
    parser.add_argument("--sizes", type=int, nargs="*", default=[64, 100, 150, 200])
    parser.add_argument("--seconds", type=float, default=400.0, help="after which a run is cut")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        who, kind = asked.one
        if who == "count":
            counted(int(kind))
        else:
            measure(who, kind, asked.rock, asked.seconds)
        return
    titles = {
        "gaussian": "Gaussian field of 100^3",
        "rock": f"{Path(asked.rock or '').name}, 128^3",
        "spheres": "simple cubic spheres of 64^3, solid 0.343",
    }
    for kind in asked.images:
        if kind == "rock" and not asked.rock:
            print("\nrock: left out, as --rock names no image")
            continue
        compare(kind, titles[kind], asked)
    if asked.sizes:
        grow(asked.sizes)


if __name__ == "__main__":
    main()
