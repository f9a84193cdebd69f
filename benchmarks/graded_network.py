"""One filter's life three ways, on the same networks in one process: seconds, and ratios to the naive route.

    python benchmarks/graded_network.py [--repeats 5] [--quick]

naive       a networkx graph, its Laplacian, ``scipy.sparse.linalg.spsolve`` and Python loops over pores and
            junctions, from the finished network on (its generation is not counted)
vectorised  NumPy arrays, SuperLU with minimum-degree ordering, a loop over the junctions for the concentrations;
            from the finished network on
ours        ``generate`` and ``filter_life``, generation included

All three follow flux, filtrate and the bands' porosity, and must agree on the throughput. The naive route and the
vectorised one run once, ours ``--repeats`` times (median). ``--quick`` leaves out the larger network, whose naive life
takes minutes. Before them: what the first network of a process costs more. To see it compile, give an empty cache:
``MEMBRANE_DASK_CACHE=$(mktemp -d)``. After each: its throughput's errors by tolerance and by Euler's steps.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time

import networkx as nx
import numpy as np
from scipy.sparse import csc_matrix
from scipy.sparse.linalg import splu, spsolve

from membrane_dask.physics.networks.fouling import filter_life
from membrane_dask.physics.networks.pore_network import INLET, OUTLET, PoreNetwork
from membrane_dask.physics.networks.random_network import band_radii, generate

DEPOSITION, TIME_STEP = 5e-7, 2.5e-4


def draw(l_max: float, gradient: float) -> PoreNetwork:
    """A network of Gu's study."""
    return generate(
        np.random.default_rng(2023), l_min=0.06, l_max=l_max, radii=band_radii(0.01, gradient, 4), porosity=0.6,
        porosity_tolerance=0.005,
    )  # fmt: skip


def life(network: PoreNetwork, **changes: object) -> float:
    """Throughput of a filter's life."""
    how = {"time_step": TIME_STEP, "flux_threshold": 2e-6, "solver_tolerance": 1e-6} | changes
    return filter_life(network, deposition=DEPOSITION, **how).throughput


def ours(l_max: float, gradient: float) -> float:
    """Throughput, the way the study does it."""
    return life(draw(l_max, gradient))


def naive(network: PoreNetwork) -> float:
    """Throughput from a graph, a sparse matrix and loops."""
    graph = nx.Graph()
    faces = {INLET: "in", OUTLET: "out"}
    for e, (a, b) in enumerate(network.ends.tolist()):
        end = (faces[b], e) if b < 0 else b
        parts = network.band_length[e].tolist()
        graph.add_edge(a, end, r=float(network.radius[e]), l=float(network.length[e]), parts=parts)
    inner = [v for v in graph if not isinstance(v, tuple)]
    outer = [v for v in graph if isinstance(v, tuple)]
    flux, histories = [], []
    while any(graph.edges[u, v]["r"] > 0 for u, v in graph.edges(outer) if "in" in (u[0], v if v == "in" else "")):
        porosity = [0.0] * network.n_bands
        for _, _, pore in graph.edges(data=True):
            pore["k"] = pore["r"] ** 4 / pore["l"]
            for k, part in enumerate(pore["parts"]):
                porosity[k] += network.n_bands * math.pi * pore["r"] ** 2 * part
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
    """Throughput with array operations and a sparse factorisation."""
    n = len(network.junctions)
    a, b = network.ends[:, 0].astype(int), network.ends[:, 1].astype(int)
    inner, inlet, outlet = b >= 0, b == INLET, b == OUTLET
    radius, flux, histories = network.radius.copy(), [], []
    rows = np.concatenate([np.arange(n), a[inner], b[inner]])
    columns = np.concatenate([np.arange(n), b[inner], a[inner]])
    while radius[inlet].any():
        k = radius**4 / network.length
        diagonal = np.bincount(a, k, n) + np.bincount(b[inner], k[inner], n)
        values = np.concatenate([np.where(diagonal > 0, diagonal, 1), -k[inner], -k[inner]])
        factors = splu(
            csc_matrix((values, (rows, columns)), (n, n)), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0,
            options={"SymmetricMode": True},
        )  # fmt: skip
        pressure = factors.solve(np.bincount(a[inlet], k[inlet], n))
        p_b = np.where(inlet, 1.0, np.where(outlet, 0.0, pressure[np.maximum(b, 0)]))
        falls = pressure[a] > p_b
        upper, lower = np.where(falls, a, b), np.where(falls, b, a)
        q = k * np.abs(pressure[a] - p_b)
        passed = np.exp(-DEPOSITION * radius * network.length / np.maximum(q, 1e-300))
        c = np.ones(n + 2)  # the last two stand for the faces, reached by -1 and -2
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


def timed(work, *arguments: object) -> tuple[float, float]:
    """Seconds and result."""
    start = time.perf_counter()
    result = work(*arguments)
    return time.perf_counter() - start, result


def main() -> None:
    """Print a row for each network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true")
    asked = parser.parse_args()
    first, again = timed(ours, 0.2, 0.0)[0], timed(ours, 0.2, 0.0)[0]
    print(f"the first network took {first - again:.1f} s longer than the second, to compile or to load", flush=True)
    print(f"{'l_max':>6} {'s':>6} {'junctions':>9} {'pores':>7} {'naive s':>8} {'vectorised s':>12} {'ours s':>8}"
          f" {'naive/ours':>11} {'vectorised/ours':>15}", flush=True)  # fmt: skip
    for l_max, gradient in ((0.2, 2e-3), (0.1, 4e-3))[: 1 if asked.quick else 2]:
        network = draw(l_max, gradient)
        found = [timed(ours, l_max, gradient) for _ in range(asked.repeats)]
        own = statistics.median(seconds for seconds, _ in found)
        arrays, h_arrays = timed(vectorised, network)
        slow, h_naive = timed(naive, network)
        for other in (h_arrays, h_naive):
            assert abs(found[0][1] / other - 1) < 1e-6, (found[0][1], other)
        sizes = f"{len(network.junctions):9d} {len(network.length):7d}"
        ratios = f"{slow / own:11.0f} {arrays / own:15.0f}"
        print(f"{l_max:6g} {gradient:6g} {sizes} {slow:8.1f} {arrays:12.2f} {own:8.4f} {ratios}", flush=True)
        exact = life(network, solver_tolerance=1e-12)
        fine = life(network, time_step=TIME_STEP / 10, integrator="adams-bashforth")
        print(f"       error of the tolerance {life(network) / exact - 1:.0e}, of the steps {exact / fine - 1:.0e}")


if __name__ == "__main__":
    main()
