"""A network of cylindrical pores between the two faces of a membrane, and which of its pores flow."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from membrane_dask.physics._jit import kernel

if TYPE_CHECKING:
    import networkx

#: What stands in ``ends[:, 1]`` of a pore that opens to the feed, or to the filtrate.
INLET, OUTLET = -1, -2


class PhysicsError(RuntimeError):
    """A model has no answer here: what was asked cannot be built or does not conduct."""


@dataclass(frozen=True)
class PoreNetwork:
    """Straight cylindrical pores between junctions, inlets and outlets.

    In a generated network all lengths are in units of the membrane's thickness. In one extracted from a volume they
    are in metres, junctions are the pore bodies and what is called a pore here is a throat.

    Parameters
    ----------
    junctions : (n_junctions, 3) ndarray
        Positions ``(z, y, x)``; ``z`` = 0 is the feed side.
    ends : (n_pores, 2) ndarray of int32
        Junction at one end; junction, ``INLET`` or ``OUTLET`` at the other.
    length, radius : (n_pores,) ndarray
        Length inside the membrane and radius of each pore, > 0.
    band : (n_pores,) ndarray of int
        Band that holds the longest part of the pore, from 0 at the feed side.
    band_length : (n_pores, n_bands) ndarray
        Length of each pore in each band.
    extent : tuple of float
        Size of the membrane along ``z, y, x``, in the unit of all lengths.
    bodies, throats : mapping of str to ndarray
        What else is known of every junction, and of every pore.
    """

    junctions: np.ndarray
    ends: np.ndarray
    length: np.ndarray
    radius: np.ndarray
    band: np.ndarray
    band_length: np.ndarray
    extent: tuple[float, ...] = (1.0, 1.0, 1.0)
    bodies: Mapping[str, np.ndarray] = field(default_factory=dict)
    throats: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n, (pores, bands) = len(self.junctions), np.shape(self.band_length)
        for name, shape in (("ends", (pores, 2)), ("length", (pores,)), ("radius", (pores,)), ("band", (pores,))):
            if np.shape(getattr(self, name)) != shape:
                raise ValueError(f"{name}: shape must be {shape} (got {np.shape(getattr(self, name))})")
        for name in ("length", "radius"):
            values = getattr(self, name)
            if not (np.isfinite(values).all() and (values > 0).all()):
                raise ValueError(f"{name}: must be greater than 0 and finite")
        if pores and not (self.ends[:, 0].min() >= 0 and self.ends.max() < n and self.ends[:, 1].min() >= OUTLET):
            raise ValueError(f"ends: must number the {n} junctions, or be INLET or OUTLET in the second column")
        if bands < 1:
            raise ValueError("band_length: at least one band is needed")
        for where, count in (("bodies", n), ("throats", pores)):
            for name, values in getattr(self, where).items():
                if len(values) != count:
                    raise ValueError(f"{where}[{name!r}]: must hold {count} values (got {len(values)})")

    @property
    def n_bands(self) -> int:
        """Number of bands."""
        return int(self.band_length.shape[1])

    def band_porosity(self) -> np.ndarray:
        """Pore volume in each band over the band's volume (Gu, Eqs. 3 and 27), shape ``(n_bands,)``."""
        return self.n_bands * np.pi * (self.radius**2 @ self.band_length) / math.prod(self.extent)

    def band_surface_area(self) -> np.ndarray:
        """Area of the pore walls in each band, per area of the membrane, shape ``(n_bands,)``."""
        return np.asarray(2 * np.pi * (self.radius @ self.band_length)) / math.prod(self.extent[1:])

    def band_degree(self) -> np.ndarray:
        """Mean number of pores that meet at a junction of each band, NaN without one, shape ``(n_bands,)``."""
        ends = self.ends[self.ends >= 0]
        degree = np.bincount(ends, minlength=len(self.junctions))
        band = np.minimum((self.junctions[:, 0] / self.extent[0] * self.n_bands).astype(int), self.n_bands - 1)
        with np.errstate(invalid="ignore"):
            return np.bincount(band, degree, self.n_bands) / np.bincount(band, minlength=self.n_bands)

    def to_networkx(self) -> networkx.MultiGraph:
        """The same as a graph: junctions 0..n-1, ``"feed"`` and ``"filtrate"``; pores carry their sizes."""
        import networkx as nx

        graph = nx.MultiGraph()
        for number, (z, y, x) in enumerate(self.junctions.tolist()):
            graph.add_node(number, z=z, y=y, x=x)
        graph.add_nodes_from(["feed", "filtrate"])
        outside = {INLET: "feed", OUTLET: "filtrate"}
        rows = zip(self.ends.tolist(), self.length, self.radius, self.band, strict=True)
        for number, ((a, b), length, radius, band) in enumerate(rows):
            graph.add_edge(a, outside.get(b, b), key=number, length=float(length), radius=float(radius), band=int(band))
        return graph


@kernel
def grouped(group, n):
    """Where each of ``n`` groups begins and ends, and all members in the order of their groups (a counting sort)."""
    first = np.zeros(n + 1, np.int64)
    for i in range(group.size):
        first[group[i] + 1] += 1
    for k in range(n):
        first[k + 1] += first[k]
    fill, member = first.copy(), np.empty(group.size, np.int64)
    for i in range(group.size):
        member[fill[group[i]]] = i
        fill[group[i]] += 1
    return first, member


def adjacency(ends: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pores at every node, by node: ``(first, pore, other)``; node n is the feed, n + 1 the filtrate."""
    nodes = np.where(ends >= 0, ends, n - 1 - ends).astype(np.int64).ravel()
    first, end = grouped(nodes, n + 2)
    return first, end >> 1, nodes[end ^ 1]


@kernel
def flowing(first, pore, other, is_open):
    """Mark the pores that can carry flow: those on some simple path from the feed to the filtrate.

    They are the biconnected component (Tarjan 1972) of a virtual pore that joins feed and filtrate:
    dead ends, loops that hang on one junction and islands lie outside it. A search of the graph
    decides this exactly, where the sign of a computed flow of about 1e-20 would not.

    Parameters
    ----------
    first, pore, other : ndarray
        From :func:`adjacency`.
    is_open : (n_pores,) ndarray of bool
        Pores that are not closed.

    Returns
    -------
    (n_pores,) ndarray of bool
    """
    n = first.size - 3
    feed, filtrate = n, n + 1
    n_pores = is_open.size
    live = np.zeros(n_pores, np.bool_)
    entry = np.full(n + 2, -1, np.int64)  # order of discovery
    low = np.zeros(n + 2, np.int64)  # earliest node that the subtree reaches
    via = np.full(n + 2, -1, np.int64)  # pore by which the node was found
    place = first[:-1].copy()  # next neighbour to look at
    path = np.empty(n + 2, np.int64)
    edges = np.empty(n_pores, np.int64)
    n_edges = 0
    # The search starts by crossing the virtual pore, from the feed to the filtrate.
    entry[feed] = 0
    entry[filtrate] = 1
    path[0] = filtrate
    depth, clock = 1, 2
    while depth > 0:
        v = path[depth - 1]
        if place[v] < first[v + 1]:
            e, w = pore[place[v]], other[place[v]]
            place[v] += 1
            if not is_open[e] or e == via[v]:
                continue
            if entry[w] < 0:
                entry[w] = clock
                low[w] = clock
                clock += 1
                via[w] = e
                path[depth] = w
                depth += 1
                edges[n_edges] = e
                n_edges += 1
            elif entry[w] < entry[v]:
                edges[n_edges] = e
                n_edges += 1
                low[v] = min(low[v], entry[w])
        else:
            depth -= 1
            if depth == 0:
                break
            parent = path[depth - 1]
            if low[v] >= entry[parent]:  # what hangs below this pore is a component of its own
                while True:
                    n_edges -= 1
                    if edges[n_edges] == via[v]:
                        break
            else:
                low[parent] = min(low[parent], low[v])
    # Left on the stack: the pores on a cycle with the virtual one.
    for i in range(n_edges):
        live[edges[i]] = True
    return live
