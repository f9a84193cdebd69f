"""Life of one filter by three implementations on the same networks: seconds, and ratios to the naive one.

    python benchmarks/graded_network.py [--repeats 5] [--quick]

naive         a networkx graph, its Laplacian, ``scipy.sparse.linalg.spsolve`` and Python loops over pores and
              junctions; the generation of the network is not counted
vectorised    NumPy arrays, SuperLU with minimum-degree ordering, a loop over the junctions for the concentrations; the
              generation of the network is not counted
membrane-dask ``generate`` and ``filter_life``; the generation of the network is counted

All three compute flux, filtrate concentration and porosity by band, and their throughputs must agree. The naive and the
vectorised implementation run once, ours ``--repeats`` times (median). ``--quick`` skips the larger network, for which
the naive implementation takes minutes. The first line gives the extra time of the first network in a process; use
``MEMBRANE_DASK_CACHE=$(mktemp -d)`` to include the compilation. The line below each row gives the error of the
throughput by the tolerance of the solver and by the size of the Euler steps.
"""

from __future__ import annotations

import math
import statistics

import networkx as nx
import numpy as np
from _common import argument_parser, timed
from scipy.sparse import csc_matrix
from scipy.sparse.linalg import splu, spsolve

from membrane_dask.physics.networks.band_porosity import band_radii
from membrane_dask.physics.networks.fouling import filter_life
from membrane_dask.physics.networks.pore_network import INLET, OUTLET, PoreNetwork
from membrane_dask.physics.networks.random_network import generate

DEPOSITION, TIME_STEP = 5e-7, 2.5e-4


def draw(l_max: float, gradient: float, porosity: float) -> PoreNetwork:
    """Random network with the parameters of Gu et al."""
    return generate(
        np.random.default_rng(2023), l_min=0.06, l_max=l_max, radii=band_radii(0.01, gradient, 4), porosity=porosity,
        porosity_tolerance=0.005,
    )  # fmt: skip


def throughput(network: PoreNetwork, **changes: object) -> float:
    """Throughput over the life of a filter by ``filter_life``."""
    settings = {"time_step": TIME_STEP, "flux_threshold": 2e-6, "solver_tolerance": 1e-6} | changes
    return filter_life(network, deposition=DEPOSITION, **settings).throughput


def generate_and_foul(l_max: float, gradient: float, porosity: float) -> float:
    """Throughput as a graded study computes it."""
    return throughput(draw(l_max, gradient, porosity))


def naive(network: PoreNetwork) -> float:
    """Throughput by a graph, a sparse matrix and loops."""
    graph = nx.Graph()
    faces = {INLET: "in", OUTLET: "out"}
    for e, (a, b) in enumerate(network.throat_conns.tolist()):
        end = (faces[b], e) if b < 0 else b
        lengths = network.band_length[e].tolist()
        graph.add_edge(a, end, r=float(network.radius[e]), l=float(network.length[e]), lengths=lengths)
    inner = [v for v in graph if not isinstance(v, tuple)]
    outer = [v for v in graph if isinstance(v, tuple)]
    flux, histories = [], []
    while any(graph.edges[u, v]["r"] > 0 for u, v in graph.edges(outer) if "in" in (u[0], v if v == "in" else "")):
        porosity = [0.0] * network.n_bands
        for _, _, pore in graph.edges(data=True):
            pore["k"] = pore["r"] ** 4 / pore["l"]
            for k, length in enumerate(pore["lengths"]):
                porosity[k] += network.n_bands * math.pi * pore["r"] ** 2 * length
        laplacian = nx.laplacian_matrix(graph, [*inner, *outer], weight="k").tocsr()
        n = len(inner)
        fixed = np.array([1.0 if v[0] == "in" else 0.0 for v in outer])
        pressure = dict(zip(inner, spsolve(laplacian[:n, :n].tocsc(), -laplacian[:n, n:] @ fixed), strict=True))
        pressure |= dict(zip(outer, fixed, strict=True))
        concentration = {v: 1.0 for v in outer if v[0] == "in"}
        out = foulant = 0.0
        for v in sorted(inner, key=lambda v: -pressure[v]):
            arriving = carried = 0.0
            for w, pore in graph[v].items():
                if pressure[w] > pressure[v] and pore["k"] > 0:
                    q = pore["k"] * (pressure[w] - pressure[v])
                    arriving += q
                    carried += q * concentration[w] * math.exp(-DEPOSITION * pore["r"] * pore["l"] / q)
            concentration[v] = carried / arriving if arriving > 0 else 0.0
        for v in outer:
            if v[0] == "out":
                ((w, pore),) = graph[v].items()
                q = pore["k"] * pressure[w]
                out += q
                if q > 0:
                    foulant += q * concentration[w] * math.exp(-DEPOSITION * pore["r"] * pore["l"] / q)
        flux.append(out)
        histories.append((foulant / out, porosity))
        for v, w, pore in graph.edges(data=True):
            upper = v if pressure[v] > pressure[w] else w
            r = pore["r"] - TIME_STEP * concentration.get(upper, 0.0)
            pore["r"] = r if r > 1e-12 else 0.0
    return float(np.trapezoid([*flux, 0.0]) * TIME_STEP / DEPOSITION)


def vectorised(network: PoreNetwork) -> float:
    """Throughput by array operations and a sparse factorisation."""
    n = len(network.junctions)
    a, b = network.throat_conns[:, 0].astype(int), network.throat_conns[:, 1].astype(int)
    inner, inlet, outlet = b >= 0, b == INLET, b == OUTLET
    radius, flux, histories = network.radius.copy(), [], []
    rows = np.concatenate([np.arange(n), a[inner], b[inner]])
    columns = np.concatenate([np.arange(n), b[inner], a[inner]])
    while radius[inlet].any():
        k = radius**4 / network.length
        diagonal = np.bincount(a, k, n) + np.bincount(b[inner], k[inner], n)
        values = np.concatenate([np.where(diagonal > 0, diagonal, 1), -k[inner], -k[inner]])
        factorisation = splu(
            csc_matrix((values, (rows, columns)), (n, n)), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0,
            options={"SymmetricMode": True},
        )  # fmt: skip
        pressure = factorisation.solve(np.bincount(a[inlet], k[inlet], n))
        p_b = np.where(inlet, 1.0, np.where(outlet, 0.0, pressure[np.maximum(b, 0)]))
        falls = pressure[a] > p_b
        upper, lower = np.where(falls, a, b), np.where(falls, b, a)
        q = k * np.abs(pressure[a] - p_b)
        passed = np.exp(-DEPOSITION * radius * network.length / np.maximum(q, 1e-300))
        c = np.ones(n + 2)  # the last two are the faces, with the indices -1 and -2
        by_lower = np.argsort(lower, kind="stable")
        first = np.searchsorted(lower[by_lower], np.arange(n + 1))
        for i in np.argsort(-pressure):
            arriving = by_lower[first[i] : first[i + 1]]
            total = q[arriving].sum()
            if total > 0:
                c[i] = (q[arriving] * passed[arriving] * c[upper[arriving]]).sum() / total
        flux.append(q[outlet].sum())
        foulant = (q * passed * c[upper])[outlet].sum() / flux[-1]
        histories.append((foulant, network.n_bands * np.pi * (radius**2 @ network.band_length)))
        radius = np.maximum(radius - TIME_STEP * c[upper], 0)
        radius[radius < 1e-12] = 0
    return float(np.trapezoid([*flux, 0.0]) * TIME_STEP / DEPOSITION)


def main() -> None:
    """Print a row for each network."""
    parser = argument_parser(__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="skip the larger network")
    arguments = parser.parse_args()
    designs = [(0.2, 2e-3, 0.6), (0.1, 4e-3, 0.6)]
    if arguments.smoke:
        designs, arguments.repeats = [(0.25, 2e-3, 0.1)], 1
    elif arguments.quick:
        designs = designs[:1]
    first, second = (timed(generate_and_foul, 0.25, 0.0, 0.1)[0] for _ in range(2))
    print(f"compiling or loading the compiled code took {first - second:.1f} s", flush=True)
    print(f"{'l_max':>6} {'s':>6} {'junctions':>9} {'pores':>7} {'naive s':>8} {'vectorised s':>12} "
          f"{'membrane-dask s':>15} {'naive ratio':>11} {'vectorised ratio':>16}", flush=True)  # fmt: skip
    for l_max, gradient, porosity in designs:
        network = draw(l_max, gradient, porosity)
        runs = [timed(generate_and_foul, l_max, gradient, porosity) for _ in range(arguments.repeats)]
        own_seconds, own_throughput = statistics.median(seconds for seconds, _ in runs), runs[0][1]
        array_seconds, array_throughput = timed(vectorised, network)
        naive_seconds, naive_throughput = timed(naive, network)
        for reference in (array_throughput, naive_throughput):
            assert abs(own_throughput / reference - 1) < 1e-6, (own_throughput, reference)
        sizes = f"{len(network.junctions):9d} {len(network.length):7d}"
        ratios = f"{naive_seconds / own_seconds:11.0f} {array_seconds / own_seconds:16.0f}"
        times = f"{naive_seconds:8.1f} {array_seconds:12.2f} {own_seconds:15.4f}"
        print(f"{l_max:6g} {gradient:6g} {sizes} {times} {ratios}", flush=True)
        exact = throughput(network, solver_tolerance=1e-12)
        fine = throughput(network, time_step=TIME_STEP / 10, integrator="adams-bashforth")
        print(f"       relative error by the tolerance {throughput(network) / exact - 1:.0e}, "
              f"by the steps {exact / fine - 1:.0e}")  # fmt: skip


if __name__ == "__main__":
    main()
