"""A network of cylindrical pores between the two faces of a membrane, and which of its pores flow."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from membrane_dask.physics._jit import kernel
from membrane_dask.physics.errors import PhysicsError as PhysicsError

if TYPE_CHECKING:
    import networkx

#: What stands in ``ends[:, 1]`` of a pore that opens to the feed, or to the filtrate.
INLET, OUTLET = -1, -2


@dataclass(frozen=True, repr=False)
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

    @classmethod
    def between(
        cls, *, junctions: np.ndarray, ends: np.ndarray, length: np.ndarray, radius: np.ndarray,
        extent: tuple[float, ...], bands: int = 4, bodies: Mapping[str, np.ndarray] | None = None,
        throats: Mapping[str, np.ndarray] | None = None,
    ) -> PoreNetwork:  # fmt: skip
        """A network with bands of equal depth, whose pores lie along the straight lines between their ends."""
        depth = junctions[:, 0] / extent[0] if len(junctions) else np.zeros(1)
        first, second = (
            depth[ends[:, 0]],
            np.where(ends[:, 1] >= 0, depth[np.maximum(ends[:, 1], 0)], ends[:, 1] == OUTLET),
        )
        share = _shares(np.minimum(first, second), np.maximum(first, second), bands)
        return cls(
            junctions, ends, length, radius, share.argmax(axis=1), share * length[:, None], extent,
            bodies or {}, throats or {},
        )  # fmt: skip

    def __repr__(self) -> str:
        return f"<PoreNetwork: {len(self.junctions)} junctions, {len(self.ends)} pores, extent {self.extent}>"

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
        """The same as a graph: junctions 0..n-1, ``"feed"`` and ``"filtrate"``; both kinds carry all that is known."""
        import networkx as nx

        graph = nx.MultiGraph(extent=self.extent)
        for number, (z, y, x) in enumerate(self.junctions.tolist()):
            graph.add_node(number, z=z, y=y, x=x, **{k: v[number].item() for k, v in self.bodies.items()})
        graph.add_nodes_from(["feed", "filtrate"])
        outside = {INLET: "feed", OUTLET: "filtrate"}
        rows = zip(self.ends.tolist(), self.length, self.radius, self.band, strict=True)
        for number, ((a, b), length, radius, band) in enumerate(rows):
            known = {k: v[number].item() for k, v in self.throats.items()}
            graph.add_edge(
                a, outside.get(b, b), key=number, length=float(length), radius=float(radius), band=int(band), **known
            )
        return graph

    @classmethod
    def from_networkx(cls, graph: networkx.MultiGraph, *, bands: int = 4) -> PoreNetwork:
        """A network from a graph as :meth:`to_networkx` makes it; pores lie in bands of equal depth.

        Raises
        ------
        ValueError
            If a junction has no place, or a pore no length or radius.
        """
        outside = {"feed": INLET, "filtrate": OUTLET}
        nodes = [node for node in graph.nodes if node not in outside]
        number = {node: k for k, node in enumerate(nodes)} | outside
        rows = sorted(graph.edges(keys=True, data=True), key=lambda row: row[2])
        try:
            junctions = np.array([[graph.nodes[n][axis] for axis in "zyx"] for n in nodes], float).reshape(-1, 3)
            length, radius = (np.array([row[3][name] for row in rows], float) for name in ("length", "radius"))
        except KeyError as error:
            raise ValueError(f"graph: a junction or a pore has no {error}") from error
        # What lies outside stands in the second place.
        ends = np.array([sorted((number[a], number[b]), key=lambda n: (n < 0, n)) for a, b, *_ in rows], np.int32)
        extra = [k for k in (graph.nodes[nodes[0]] if nodes else ()) if k not in "zyx"]
        more = [k for k in (rows[0][3] if rows else ()) if k not in ("length", "radius", "band")]
        return cls.between(
            junctions=junctions, ends=ends.reshape(-1, 2), length=length, radius=radius,
            extent=tuple(graph.graph.get("extent", (1.0, 1.0, 1.0))), bands=bands,
            bodies={k: np.array([graph.nodes[n][k] for n in nodes]) for k in extra},
            throats={k: np.array([row[3][k] for row in rows]) for k in more},
        )  # fmt: skip

    def to_openpnm(self) -> dict[str, np.ndarray]:
        """The same as OpenPNM and PoreSpy name it: junctions are ``pore``s, pores between two of them ``throat``s.

        Axes stay ``z, y, x``. Junctions that open to the feed or the filtrate are marked ``pore.inlets`` and
        ``pore.outlets``; the openings themselves have no place there.
        """
        inner = self.ends[:, 1] >= 0
        found = {
            "pore.coords": self.junctions,
            "throat.conns": np.sort(self.ends[inner], axis=1),
            "throat.diameter": 2 * self.radius[inner],
            "throat.length": self.length[inner],
        }
        for name, outside in (("inlets", INLET), ("outlets", OUTLET)):
            found[f"pore.{name}"] = np.isin(np.arange(len(self.junctions)), self.ends[self.ends[:, 1] == outside, 0])
        for where, known, rows in (("pore", self.bodies, slice(None)), ("throat", self.throats, inner)):
            for name, values in known.items():
                radius = name.endswith("radius")
                found[f"{where}.{name.replace('radius', 'diameter')}"] = (2 if radius else 1) * values[rows]
        return found

    @classmethod
    def from_openpnm(
        cls, network: Mapping[str, np.ndarray], extent: tuple[float, ...], *, bands: int = 4
    ) -> PoreNetwork:
        """A network from a dictionary of OpenPNM or PoreSpy.

        Parameters
        ----------
        network : mapping of str to ndarray
            With ``pore.coords`` ``(z, y, x)``, ``throat.conns`` and the throats' ``diameter`` (or ``equivalent`` or
            ``inscribed_diameter``) and ``length`` (or ``total_length``). Junctions marked ``inlets`` or ``xmin``
            open to the feed, those marked ``outlets`` or ``xmax`` to the filtrate, through pores of no more than
            their own radius.
        extent : tuple of float
            Size along ``z, y, x``.
        bands : int
            Parts of the depth.
        """

        def first(where: str, *names: str) -> np.ndarray:
            for name in names:
                if f"{where}.{name}" in network:
                    return np.asarray(network[f"{where}.{name}"], float)
            raise ValueError(f"network: has no {' or '.join(f'{where}.{name}' for name in names)}")

        junctions = first("pore", "coords")
        ends = np.asarray(network["throat.conns"], np.int32).reshape(-1, 2)
        radius = first("throat", "diameter", "equivalent_diameter", "inscribed_diameter") / 2
        length = first("throat", "length", "total_length", "direct_length")
        for outside, names, level in ((INLET, ("inlets", "xmin"), 0.0), (OUTLET, ("outlets", "xmax"), extent[0])):
            marked = next((np.flatnonzero(network[f"pore.{n}"]) for n in names if f"pore.{n}" in network), ())
            if len(marked):
                size = first("pore", "diameter", "inscribed_diameter", "equivalent_diameter")[marked] / 2
                away = np.abs(junctions[marked, 0] - level)
                ends = np.concatenate([ends, np.stack([marked, np.full(len(marked), outside)], 1).astype(np.int32)])
                radius, length = np.append(radius, size), np.append(length, np.maximum(away, 1e-3 * size))
        known = {k.split(".", 1)[1]: np.asarray(v) for k, v in network.items() if k.startswith("pore.")}
        bodies = {
            name.replace("diameter", "radius"): values / 2 if "diameter" in name else values
            for name, values in known.items()
            if values.ndim == 1 and values.dtype.kind in "iuf"
        }
        return cls.between(
            junctions=junctions, ends=ends, length=length, radius=radius, extent=extent, bands=bands, bodies=bodies
        )


def _shares(low: np.ndarray, high: np.ndarray, bands: int) -> np.ndarray:
    """Share of each stretch of the depth (0 to 1) that lies in each of equal bands, ``(n, bands)``."""
    edges = np.arange(bands + 1) / bands
    parts = np.maximum(np.minimum(high[:, None], edges[1:]) - np.maximum(low[:, None], edges[:-1]), 0.0)
    level = parts.sum(axis=1) <= 0
    parts[level, np.minimum((low[level] * bands).astype(int), bands - 1)] = 1.0
    return np.asarray(parts / parts.sum(axis=1, keepdims=True))


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
