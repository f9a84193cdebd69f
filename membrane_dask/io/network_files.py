"""Pore networks in the files of other programs: Statoil's four, and VTK for ParaView."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from membrane_dask.physics.networks.pore_network import INLET, OUTLET, PoreNetwork


def read_statoil(prefix: str | Path) -> PoreNetwork:
    """Read a network from Statoil's files ``_node1.dat``, ``_node2.dat``, ``_link1.dat`` and ``_link2.dat``.

    Parameters
    ----------
    prefix : str or Path
        What stands before those endings.

    Returns
    -------
    PoreNetwork
        In metres; the files' x, along which they flow, is ``z``. Bodies have their volume, inscribed radius and
        shape factor, throats their volume, shape factor and own length, without the bodies' parts.

    Raises
    ------
    ValueError
        If a file is missing or has another number of rows than it says.
    """
    rows = {}
    for name in ("node1", "node2", "link1", "link2"):
        path = Path(f"{prefix}_{name}.dat")
        if not path.is_file():
            raise ValueError(f"no such file: {path}")
        rows[name] = [line.split() for line in path.read_text().splitlines() if line.strip()]
    (n_nodes, *extent), *nodes = rows["node1"]
    (n_links,), *links = rows["link1"]
    counts = {"node1": len(nodes), "node2": len(rows["node2"]), "link1": len(links), "link2": len(rows["link2"])}
    for name, said in (("node1", n_nodes), ("node2", n_nodes), ("link1", n_links), ("link2", n_links)):
        if counts[name] != int(said):
            raise ValueError(f"{prefix}_{name}.dat holds {counts[name]} rows, not {said}")
    body = np.array([row[1:4] for row in rows["node2"]], float).reshape(-1, 3)
    link = np.array([row[3:6] for row in links], float).reshape(-1, 3)
    more = np.array([row[5:7] for row in rows["link2"]], float).reshape(-1, 2)
    pairs = np.array([row[1:3] for row in links], int).reshape(-1, 2)
    # Pores count from 1; -1 is the inlet and 0 the outlet, here in the second place.
    ends = np.where(pairs > 0, pairs - 1, np.where(pairs == -1, INLET, OUTLET))
    ends = np.where(ends[:, :1] < 0, ends[:, ::-1], ends)
    return PoreNetwork.from_straight_pores(
        junctions=np.array([row[1:4] for row in nodes], float).reshape(-1, 3),
        throat_conns=ends.astype(np.int32),
        length=link[:, 2],
        radius=link[:, 0],
        extent=tuple(float(n) for n in extent),
        bodies={"volume": body[:, 0], "inscribed_radius": body[:, 1], "shape_factor": body[:, 2]},
        throats={"shape_factor": link[:, 1], "own_length": more[:, 0], "volume": more[:, 1]},
    )


#: Shape factor (area over squared perimeter) of a circle: what is written where none is known.
_CIRCLE = 1 / (4 * np.pi)


def write_statoil(network: PoreNetwork, prefix: str | Path) -> list[Path]:
    """Write a network as Statoil's four files; :func:`read_statoil` reads the same network from them.

    Parameters
    ----------
    network : PoreNetwork
        In metres. Bodies need ``inscribed_radius`` and ``volume``; a shape factor that is not known is that of a
        circle, a throat's volume that is not known is 0 (bodies hold all of the pore space), and of its own length
        the bodies' radii are taken off, as far as half of it.
    prefix : str or Path
        What stands before ``_node1.dat`` and the others.

    Returns
    -------
    list of Path
        The four files.

    Raises
    ------
    ValueError
        If radii or volumes of the bodies are missing.
    """
    missing = [name for name in ("inscribed_radius", "volume") if name not in network.bodies]
    if missing:
        raise ValueError(f"network: its bodies have no {missing[0]}")
    count, ends = len(network.junctions), network.throat_conns
    size = network.bodies["inscribed_radius"]
    others: list[list[int]] = [[] for _ in range(count)]
    throats: list[list[int]] = [[] for _ in range(count)]
    outside = {INLET: -1, OUTLET: 0}
    link1, link2 = [f"{len(ends)}"], []
    own = network.throats.get("own_length")
    volume = network.throats.get("volume", np.zeros(len(ends)))
    shape = network.throats.get("shape_factor", np.full(len(ends), _CIRCLE))
    for k, (a, b) in enumerate(ends.tolist()):
        other = outside.get(b, b + 1)
        others[a].append(other)
        throats[a].append(k + 1)
        if b >= 0:
            others[b].append(a + 1)
            throats[b].append(k + 1)
        length = network.length[k]
        parts = [min(size[a], length / 4), min(size[b], length / 4) if b >= 0 else 0.0]
        middle = own[k] if own is not None else length - sum(parts)
        link1.append(f"{k + 1:6d} {a + 1:6d} {other:6d} {network.radius[k]:.9E} {shape[k]:.9E} {length:.9E}")
        link2.append(
            f"{k + 1:6d} {a + 1:6d} {other:6d} {parts[0]:.9E} {parts[1]:.9E} {middle:.9E} {volume[k]:.9E} {0.0:.6E}"
        )
    node1, node2 = [f"{count} " + " ".join(f"{n:.9E}" for n in network.extent)], []
    factor = network.bodies.get("shape_factor", np.full(count, _CIRCLE))
    for k, place in enumerate(network.junctions):
        at = " ".join(f"{v:.9E}" for v in place)
        words = [*others[k], int(-1 in others[k]), int(0 in others[k]), *throats[k]]
        node1.append(f"{k + 1:6d} {at} {len(others[k])} " + " ".join(map(str, words)))
        node2.append(f"{k + 1:6d} {network.bodies['volume'][k]:.9E} {size[k]:.9E} {factor[k]:.9E} {0.0:.6E}")
    files = []
    for name, lines in (("node1", node1), ("node2", node2), ("link1", link1), ("link2", link2)):
        files.append(Path(f"{prefix}_{name}.dat"))
        files[-1].write_text("\n".join(lines) + "\n", encoding="ascii")
    return files


def write_vtk(network: PoreNetwork, path: str | Path) -> Path:
    """Write a network for ParaView: a point for every junction, a line for every pore between two of them.

    Parameters
    ----------
    network : PoreNetwork
        What is written; points are ``x, y, z``.
    path : str or Path
        File, ending in ``.vtk``.

    Returns
    -------
    Path
        The file, in VTK's legacy format.

    Raises
    ------
    ValueError
        If it has another ending.
    """
    path = Path(path)
    if path.suffix != ".vtk":
        raise ValueError(f"path: must end with .vtk, by which ParaView knows the format (got {path.name!r})")
    inner = network.throat_conns[:, 1] >= 0
    lines = network.throat_conns[inner]
    text = ["# vtk DataFile Version 3.0", "pore network", "ASCII", "DATASET POLYDATA"]
    text.append(f"POINTS {len(network.junctions)} double")
    text += [" ".join(f"{v:.9g}" for v in row) for row in network.junctions[:, ::-1]]
    text.append(f"LINES {len(lines)} {3 * len(lines)}")
    text += [f"2 {a} {b}" for a, b in lines]
    tables = (
        ("POINT_DATA", len(network.junctions), dict(network.bodies)),
        (
            "CELL_DATA",
            len(lines),
            {"radius": network.radius[inner], "length": network.length[inner]}
            | {f"throat_{name}": values[inner] for name, values in network.throats.items()},
        ),
    )
    for what, count, values in tables:
        text.append(f"{what} {count}")
        for name, column in values.items():
            text += [f"SCALARS {name} double 1", "LOOKUP_TABLE default", *(f"{v:.9g}" for v in column)]
    path.write_text("\n".join(text) + "\n", encoding="ascii")
    return path
