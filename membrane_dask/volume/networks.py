"""Pore networks in the files of other programs: Statoil's four, and VTK for ParaView."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from membrane_dask.physics.network import INLET, OUTLET, PoreNetwork


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
    return PoreNetwork.between(
        junctions=np.array([row[1:4] for row in nodes], float).reshape(-1, 3),
        ends=ends.astype(np.int32),
        length=link[:, 2],
        radius=link[:, 0],
        extent=tuple(float(n) for n in extent),
        bodies={"volume": body[:, 0], "inscribed_radius": body[:, 1], "shape_factor": body[:, 2]},
        throats={"shape_factor": link[:, 1], "own_length": more[:, 0], "volume": more[:, 1]},
    )


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
    inner = network.ends[:, 1] >= 0
    lines = network.ends[inner]
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
