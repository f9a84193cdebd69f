"""A network of cylindrical pores between the two faces of a membrane, and its conversion to other packages."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from membrane_dask.physics.fixed_order import product

if TYPE_CHECKING:
    import networkx

#: Values in the second column of ``throat_conns`` for a pore that opens to the feed, or to the filtrate.
INLET, OUTLET = -1, -2
_FACES = {INLET: "feed", OUTLET: "filtrate"}
#: Distance from the extent, over the thickness, that is due to the digits of a file.
_DEPTH_ROUNDING = 1e-6


@dataclass(frozen=True, repr=False)
class PoreNetwork:
    """Straight cylindrical pores that connect junctions with each other, with the feed and with the filtrate.

    In a generated network all lengths are in units of the membrane thickness. In a network extracted from an image
    they are in metres; its junctions are the pore bodies and its pores the throats of the pore-network literature.

    Parameters
    ----------
    junctions : (n_junctions, 3) ndarray
        Positions ``(z, y, x)``; the feed side is at ``z = 0``. Where positions are unknown, ``z`` is any order from the
        feed to the filtrate, and ``y`` and ``x`` are NaN.
    throat_conns : (n_pores, 2) ndarray of int32
        Junctions at the two ends of each pore; the second one may be ``INLET`` or ``OUTLET`` instead.
    length, radius : (n_pores,) ndarray
        Length inside the membrane and radius of each pore, > 0.
    band : (n_pores,) ndarray of int
        Band that contains the longest segment of the pore, from 0 at the feed side.
    band_length : (n_pores, n_bands) ndarray
        Length of each pore inside each band.
    extent : tuple of float
        Size of the membrane along ``z, y, x``, in the unit of all lengths.
    bodies, throats : mapping of str to ndarray
        Further properties, one value per junction and one value per pore.

    Raises
    ------
    ValueError
        If shapes differ, a length or radius is not positive and finite, or a junction does not exist.
    """

    junctions: np.ndarray
    throat_conns: np.ndarray
    length: np.ndarray
    radius: np.ndarray
    band: np.ndarray
    band_length: np.ndarray
    extent: tuple[float, ...] = (1.0, 1.0, 1.0)
    bodies: Mapping[str, np.ndarray] = field(default_factory=dict)
    throats: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n, (pores, bands) = len(self.junctions), np.shape(self.band_length)
        for name, shape in (
            ("throat_conns", (pores, 2)),
            ("length", (pores,)),
            ("radius", (pores,)),
            ("band", (pores,)),
        ):
            if np.shape(getattr(self, name)) != shape:
                raise ValueError(f"{name}: shape must be {shape} (got {np.shape(getattr(self, name))})")
        for name in ("length", "radius"):
            values = getattr(self, name)
            wrong = ~(np.isfinite(values) & (values > 0))
            if wrong.any():
                k = int(wrong.argmax())
                raise ValueError(f"{name}: must be greater than 0 and finite (got {values[k]:g} at index {k})")
        conns = self.throat_conns
        if pores and not (conns[:, 0].min() >= 0 and conns.max() < n and conns[:, 1].min() >= OUTLET):
            raise ValueError(
                f"throat_conns: must contain indices of the {n} junctions, or INLET or OUTLET in the second column"
            )
        if bands < 1:
            raise ValueError("band_length: at least one band is needed")
        for mapping, count in (("bodies", n), ("throats", pores)):
            for name, values in getattr(self, mapping).items():
                if len(values) != count:
                    raise ValueError(f"{mapping}[{name!r}]: must have {count} values (got {len(values)})")

    @classmethod
    def from_straight_pores(
        cls, *, junctions: np.ndarray, throat_conns: np.ndarray, length: np.ndarray, radius: np.ndarray,
        extent: tuple[float, ...], bands: int = 4, bodies: Mapping[str, np.ndarray] | None = None,
        throats: Mapping[str, np.ndarray] | None = None,
    ) -> PoreNetwork:  # fmt: skip
        """Build a network with bands of equal depth, whose pores lie along the straight lines between their ends.

        Parameters
        ----------
        junctions, throat_conns, length, radius, extent, bodies, throats
            As for the class.
        bands : int
            Number of bands, >= 1.

        Returns
        -------
        PoreNetwork
        """
        depth = junctions[:, 0] / extent[0] if len(junctions) else np.zeros(1)
        first, second = (
            depth[throat_conns[:, 0]],
            np.where(throat_conns[:, 1] >= 0, depth[np.maximum(throat_conns[:, 1], 0)], throat_conns[:, 1] == OUTLET),
        )
        fraction = _band_fractions(np.minimum(first, second), np.maximum(first, second), bands)
        return cls(
            junctions, throat_conns, length, radius, fraction.argmax(axis=1), fraction * length[:, None], extent,
            bodies or {}, throats or {},
        )  # fmt: skip

    def __repr__(self) -> str:
        return f"<PoreNetwork: {len(self.junctions)} junctions, {len(self.throat_conns)} pores, extent {self.extent}>"

    def _repr_html_(self) -> str:
        rows = {
            "junctions": f"{len(self.junctions)}",
            "pores": f"{len(self.throat_conns)}",
            "at the feed, at the filtrate": " and ".join(
                str(int((self.throat_conns[:, 1] == face).sum())) for face in (INLET, OUTLET)
            ),
            "extent": " x ".join(f"{length:.4g}" for length in self.extent),
            "radius": f"{self.radius.min():.3g} to {self.radius.max():.3g}" if len(self.radius) else "-",
        }
        body = "".join(
            f"<tr><th style='text-align:left'>{name}</th><td>{text}</td></tr>" for name, text in rows.items()
        )
        return f"<div><b>Pore network</b><table>{body}</table></div>"

    @property
    def n_bands(self) -> int:
        """Number of bands."""
        return int(self.band_length.shape[1])

    def band_porosity(self) -> np.ndarray:
        """Return the pore volume in each band over the band's volume (Gu, Eqs. 3 and 27), shape ``(n_bands,)``."""
        volume = np.pi * product(np.square(self.radius), self.band_length)
        return np.asarray(self.n_bands * volume / math.prod(self.extent))

    def band_surface_area(self) -> np.ndarray:
        """Return the area of the pore walls in each band per area of the membrane, shape ``(n_bands,)``."""
        return np.asarray(2 * np.pi * product(self.radius, self.band_length)) / math.prod(self.extent[1:])

    def band_coordination_number(self) -> np.ndarray:
        """Return the mean number of pores per junction of each band, shape ``(n_bands,)``.

        NaN in a band without a junction, and where positions are unknown.
        """
        if np.isnan(self.junctions).any():
            return np.full(self.n_bands, np.nan)
        conns = self.throat_conns[self.throat_conns >= 0]
        coordination_number = np.bincount(conns, minlength=len(self.junctions))
        band = np.minimum((self.junctions[:, 0] / self.extent[0] * self.n_bands).astype(int), self.n_bands - 1)
        with np.errstate(invalid="ignore"):
            total = np.bincount(band, coordination_number, self.n_bands)
            return np.asarray(total / np.bincount(band, minlength=self.n_bands))

    def to_networkx(self) -> networkx.MultiGraph:
        """Return the network as a graph.

        Its nodes are the junctions 0 to n - 1, ``"feed"`` and ``"filtrate"``; ``bodies`` are node attributes and
        ``throats`` edge attributes.
        """
        import networkx as nx

        graph = nx.MultiGraph(extent=self.extent)
        for number, (z, y, x) in enumerate(self.junctions.tolist()):
            graph.add_node(number, z=z, y=y, x=x, **{k: v[number].item() for k, v in self.bodies.items()})
        graph.add_nodes_from(_FACES.values())
        rows = zip(self.throat_conns.tolist(), self.length, self.radius, self.band, strict=True)
        for number, ((a, b), length, radius, band) in enumerate(rows):
            properties = {k: v[number].item() for k, v in self.throats.items()}
            graph.add_edge(
                a, _FACES.get(b, b), key=number, length=float(length), radius=float(radius), band=int(band),
                **properties,
            )  # fmt: skip
        return graph

    @classmethod
    def from_networkx(cls, graph: networkx.MultiGraph, *, bands: int = 4) -> PoreNetwork:
        """Build a network from a graph in the form of :meth:`to_networkx`, with bands of equal depth.

        Raises
        ------
        ValueError
            If a junction has no position, or a pore no length or radius.
        """
        faces = {name: value for value, name in _FACES.items()}
        nodes = [node for node in graph.nodes if node not in faces]
        number = {node: k for k, node in enumerate(nodes)} | faces
        rows = sorted(graph.edges(keys=True, data=True), key=lambda row: row[2])
        try:
            junctions = np.array([[graph.nodes[n][axis] for axis in "zyx"] for n in nodes], float).reshape(-1, 3)
            length, radius = (np.array([row[3][name] for row in rows], float) for name in ("length", "radius"))
        except KeyError as error:
            raise ValueError(f"graph: a junction or a pore has no {error}") from error
        # INLET and OUTLET belong in the second column.
        conns = np.array([sorted((number[a], number[b]), key=lambda n: (n < 0, n)) for a, b, *_ in rows], np.int32)
        node_names = [k for k in (graph.nodes[nodes[0]] if nodes else ()) if k not in "zyx"]
        edge_names = [k for k in (rows[0][3] if rows else ()) if k not in ("length", "radius", "band")]
        return cls.from_straight_pores(
            junctions=junctions, throat_conns=conns.reshape(-1, 2), length=length, radius=radius,
            extent=tuple(graph.graph.get("extent", (1.0, 1.0, 1.0))), bands=bands,
            bodies={k: np.array([graph.nodes[n][k] for n in nodes]) for k in node_names},
            throats={k: np.array([row[3][k] for row in rows]) for k in edge_names},
        )  # fmt: skip

    def dimensionless(self) -> PoreNetwork:
        """Return the network with all lengths divided by its thickness, without the properties of bodies and throats.

        The network is itself where the thickness is 1 and there are no such properties.
        """
        thickness = self.extent[0]
        if thickness == 1 and not self.bodies and not self.throats:
            return self
        lengths = (v / thickness for v in (self.junctions, self.length, self.radius, self.band_length))
        junctions, length, radius, band_length = lengths
        extent = tuple(size / thickness for size in self.extent)
        return PoreNetwork(junctions, self.throat_conns, length, radius, self.band, band_length, extent)

    def to_openpnm(self, *, boundary_pores: bool = False) -> dict[str, np.ndarray]:
        """Return the network as a dictionary of OpenPNM and PoreSpy.

        Junctions become ``pore`` entries and pores between two junctions ``throat`` entries; axes stay ``z, y, x``.
        Junctions that open to the feed or the filtrate are marked by ``pore.inlets`` and ``pore.outlets``.

        Parameters
        ----------
        boundary_pores : bool
            Whether each inlet and outlet pore becomes a throat to a pore of its own in the face, which is marked as
            ``pore.boundary`` and, instead of the junction, as inlet or outlet; otherwise they are left out.
        """
        if boundary_pores:
            return self._to_openpnm_with_boundary()
        internal = self.throat_conns[:, 1] >= 0
        arrays = {
            "pore.coords": self.junctions,
            "throat.conns": np.sort(self.throat_conns[internal], axis=1),
            "throat.diameter": 2 * self.radius[internal],
            "throat.length": self.length[internal],
        }
        for name, face in (("inlets", INLET), ("outlets", OUTLET)):
            at_face = self.throat_conns[self.throat_conns[:, 1] == face, 0]
            arrays[f"pore.{name}"] = np.isin(np.arange(len(self.junctions)), at_face)
        for element, properties, rows in (("pore", self.bodies, slice(None)), ("throat", self.throats, internal)):
            for name, values in properties.items():
                factor = 2 if name.endswith("radius") else 1
                arrays[f"{element}.{name.replace('radius', 'diameter')}"] = factor * values[rows]
        return arrays

    def _to_openpnm_with_boundary(self) -> dict[str, np.ndarray]:
        """Return the dictionary of OpenPNM with a boundary pore for each inlet and outlet pore."""
        n, conns = len(self.junctions), self.throat_conns.astype(np.int64)
        outer = np.flatnonzero(conns[:, 1] < 0)
        faces = conns[outer, 1]
        conns[outer, 1] = n + np.arange(len(outer))
        position = self.junctions[conns[outer, 0]]
        position[:, 0] = np.where(faces == INLET, 0.0, self.extent[0])
        inner = np.zeros(n, bool)
        return {
            "pore.coords": np.concatenate([self.junctions, position]),
            "pore.boundary": np.append(inner, np.ones(len(outer), bool)),
            "pore.inlets": np.append(inner, faces == INLET),
            "pore.outlets": np.append(inner, faces == OUTLET),
            "throat.conns": conns,
            "throat.diameter": 2 * self.radius,
            "throat.length": self.length,
        }

    @classmethod
    def from_openpnm(
        cls, network: Mapping[str, np.ndarray], extent: tuple[float, ...], *, bands: int = 4
    ) -> PoreNetwork:
        """Build a network from a dictionary of OpenPNM or PoreSpy.

        Parameters
        ----------
        network : mapping of str to ndarray
            Needs ``pore.coords`` ``(z, y, x)``, ``throat.conns``, and for the throats ``diameter`` (or ``equivalent``
            or ``inscribed_diameter``) and ``total_length`` (or ``length``). Junctions marked as ``inlets`` or ``xmin``
            open to the feed, those marked as ``outlets`` or ``xmax`` to the filtrate, through pores of the junction's
            radius. Pores marked as ``boundary`` as well are the feed and the filtrate themselves, where their throats
            end. ``inscribed_diameter``, and ``equivalent_diameter`` or ``cross_sectional_area``, become properties of
            the throats.
        extent : tuple of float
            Size along ``z, y, x``.
        bands : int
            Number of bands of equal depth.

        Raises
        ------
        ValueError
            If a required array is missing, or a pore that is no boundary lies outside ``extent`` along the depth.
        """

        def array(element: str, *names: str) -> np.ndarray:
            for name in names:
                if f"{element}.{name}" in network:
                    return np.asarray(network[f"{element}.{name}"], float)
            raise ValueError(f"network: has no {' or '.join(f'{element}.{name}' for name in names)}")

        junctions = array("pore", "coords")
        conns = _openpnm_conns(network)
        radius = array("throat", "diameter", "equivalent_diameter", "inscribed_diameter") / 2
        length = array("throat", "total_length", "length", "direct_length")
        throats = _openpnm_radii(network)
        if conns.size and not (conns.min() >= 0 and conns.max() < len(junctions)):
            raise ValueError(f"network: throat.conns must contain indices of the {len(junctions)} pores")
        boundary = np.asarray(network.get("pore.boundary", np.zeros(len(junctions))), bool)
        at_other_face = np.zeros(len(junctions), bool)
        for face, names, level in ((INLET, ("inlets", "xmin"), 0.0), (OUTLET, ("outlets", "xmax"), extent[0])):
            at_face = next((np.asarray(network[f"pore.{n}"], bool) for n in names if f"pore.{n}" in network), None)
            if at_face is None:
                continue
            if (twice := at_face & boundary & at_other_face).any():
                raise ValueError(f"network: boundary pore {int(twice.argmax())} is both an inlet and an outlet")
            at_other_face = at_face
            conns[np.isin(conns, np.flatnonzero(at_face & boundary))] = face
            marked = np.flatnonzero(at_face & ~boundary)
            if len(marked):
                size = array("pore", "diameter", "inscribed_diameter", "equivalent_diameter")[marked] / 2
                distance = np.abs(junctions[marked, 0] - level)
                conns = np.concatenate([conns, np.stack([marked, np.full(len(marked), face)], 1).astype(np.int32)])
                radius, length = np.append(radius, size), np.append(length, np.maximum(distance, 1e-3 * size))
                diameters = {name: f"pore.{name.replace('radius', 'diameter')}" for name in throats}
                throats = {
                    name: np.append(values, np.asarray(network[diameters[name]], float)[marked] / 2)
                    for name, values in throats.items()
                    if diameters[name] in network
                }
        depth = junctions[:, 0] / extent[0]
        is_outside = ~((depth >= -_DEPTH_ROUNDING) & (depth <= 1 + _DEPTH_ROUNDING)) & ~boundary  # or not a number
        if is_outside.any():
            k = int(is_outside.argmax())
            raise ValueError(
                f"network: pore {k} has the depth {junctions[k, 0]:.6g} in pore.coords, outside 0 to {extent[0]:.6g}, "
                "the thickness of extent; move the coordinates or correct extent"
            )
        junctions, conns = _without_boundary(junctions, conns, boundary)
        pore_arrays = {k.split(".", 1)[1]: np.asarray(v) for k, v in network.items() if k.startswith("pore.")}
        bodies = {
            name.replace("diameter", "radius"): (values / 2 if "diameter" in name else values)[~boundary]
            for name, values in pore_arrays.items()
            if values.ndim == 1 and values.dtype.kind in "iuf"
        }
        return cls.from_straight_pores(
            junctions=junctions, throat_conns=conns, length=length, radius=radius, extent=extent, bands=bands,
            bodies=bodies, throats=throats,
        )  # fmt: skip


def _openpnm_conns(network: Mapping[str, np.ndarray]) -> np.ndarray:
    """Ends of the throats of a dictionary of OpenPNM.

    Raises
    ------
    ValueError
        If an index is no whole number, or a throat connects a pore with itself.
    """
    values = np.asarray(network["throat.conns"]).reshape(-1, 2)
    with np.errstate(invalid="ignore"):
        conns = values.astype(np.int32)
    if (wrong := (conns != values).any(axis=1)).any():
        k = int(wrong.argmax())
        raise ValueError(f"network: throat.conns must be whole numbers (got {values[k].tolist()} at index {k})")
    if (loops := conns[:, 0] == conns[:, 1]).any():
        k = int(loops.argmax())
        raise ValueError(f"network: throat {k} connects pore {conns[k, 0]} with itself")
    return conns


def _openpnm_radii(network: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Inscribed radii, and radii of circles of equal area, of the throats of a dictionary of OpenPNM that has them."""
    radii = {}
    for name in ("inscribed", "equivalent"):
        if f"throat.{name}_diameter" in network:
            radii[f"{name}_radius"] = np.asarray(network[f"throat.{name}_diameter"], float) / 2
    if "equivalent_radius" not in radii and "throat.cross_sectional_area" in network:
        radii["equivalent_radius"] = np.sqrt(np.asarray(network["throat.cross_sectional_area"], float) / np.pi)
    return radii


def _without_boundary(junctions: np.ndarray, conns: np.ndarray, boundary: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Remove boundary pores from the junctions and renumber the others, with faces in the second column.

    Raises
    ------
    ValueError
        If a throat leads to a boundary pore that is neither inlet nor outlet, or connects two boundary pores.
    """
    inner = conns >= 0
    if boundary[conns[inner]].any():
        raise ValueError("network: has a throat to a boundary pore that is neither an inlet nor an outlet")
    if not inner.any(axis=1).all():
        raise ValueError("network: has a throat between two boundary pores")
    number = np.cumsum(~boundary) - 1
    conns = np.where(inner, number[np.maximum(conns, 0)], conns)
    return junctions[~boundary], np.where(conns[:, :1] < 0, conns[:, ::-1], conns).astype(np.int32)


def _band_fractions(low: np.ndarray, high: np.ndarray, bands: int) -> np.ndarray:
    """Return the fraction of each depth interval (within 0 to 1) in each of equal bands, shape ``(n, bands)``."""
    edges = np.arange(bands + 1) / bands
    overlap = np.maximum(np.minimum(high[:, None], edges[1:]) - np.maximum(low[:, None], edges[:-1]), 0.0)
    horizontal = overlap.sum(axis=1) <= 0
    overlap[horizontal, np.minimum((low[horizontal] * bands).astype(int), bands - 1)] = 1.0
    return np.asarray(overlap / overlap.sum(axis=1, keepdims=True))
