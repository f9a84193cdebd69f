"""Reader and writer of pore networks in Statoil's format, and writer of VTK files for ParaView."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from membrane_dask.errors import reason, short
from membrane_dask.files import require_regular
from membrane_dask.physics.networks.pore_network import INLET, OUTLET, PoreNetwork


def read_statoil(prefix: str | Path) -> PoreNetwork:
    """Read a network from Statoil's files ``_node1.dat``, ``_node2.dat``, ``_link1.dat`` and ``_link2.dat``.

    Parameters
    ----------
    prefix : str or Path
        Path of the files without these endings.

    Returns
    -------
    PoreNetwork
        In metres; the x axis of the files, which is their direction of flow, becomes ``z``. Bodies have a volume, an
        inscribed radius and a shape factor; throats a volume, a shape factor and an own length, without the radii of
        the bodies.

    Raises
    ------
    ValueError
        If a file is missing, or its number of rows differs from its first line.
    """
    paths = {name: Path(f"{prefix}_{name}.dat") for name in ("node1", "node2", "link1", "link2")}
    (n_nodes, *extent), nodes = _read_columns(paths["node1"], (1, 2, 3), heading=4)
    (n_links, *_), links = _read_columns(paths["link1"], (1, 2, 3, 4, 5), heading=1)
    _, body = _read_columns(paths["node2"], (1, 2, 3))
    _, volume = _read_columns(paths["link2"], (5, 6))
    for name, rows, expected in (
        ("node1", nodes, n_nodes), ("node2", body, n_nodes), ("link1", links, n_links), ("link2", volume, n_links)
    ):  # fmt: skip
        if len(rows) != expected:
            raise ValueError(f"{paths[name]} holds {len(rows)} rows, not {expected:g}")
    if min(extent) <= 0:
        raise ValueError(f"{paths['node1']}: the extents of the network must be greater than 0 (got {extent})")
    pairs, link = links[:, :2].astype(int), links[:, 2:]
    wrong = (pairs != links[:, :2]) | (pairs < -1) | (pairs > n_nodes) | (pairs <= 0).all(axis=1, keepdims=True)
    wrong |= pairs[:, :1] == pairs[:, 1:]
    if wrong.any():
        row = int(np.flatnonzero(wrong.any(axis=1))[0])
        raise ValueError(
            f"{paths['link1']}: row {row + 1} connects {links[row, 0]:g} and {links[row, 1]:g}; pores are numbered "
            f"from 1 to {n_nodes:g}, one of the two may be -1 (inlet) or 0 (outlet), and they differ"
        )
    for name, column in (("radius", 0), ("total length", 2)):
        if (link[:, column] <= 0).any():
            row = int((link[:, column] <= 0).argmax())
            raise ValueError(
                f"{paths['link1']}: row {row + 1}: the {name} must be greater than 0 (got {link[row, column]:g})"
            )
    # Pores are numbered from 1; -1 is the inlet and 0 the outlet, which PoreNetwork has in the second column.
    conns = np.where(pairs > 0, pairs - 1, np.where(pairs == -1, INLET, OUTLET))
    conns = np.where(conns[:, :1] < 0, conns[:, ::-1], conns)
    return PoreNetwork.from_straight_pores(
        junctions=nodes,
        throat_conns=conns.astype(np.int32),
        length=link[:, 2],
        radius=link[:, 0],
        extent=tuple(float(n) for n in extent),
        bodies={"volume": body[:, 0], "inscribed_radius": body[:, 1], "shape_factor": body[:, 2]},
        throats={"shape_factor": link[:, 1], "own_length": volume[:, 0], "volume": volume[:, 1]},
    )


def _read_columns(path: Path, columns: Sequence[int], heading: int = 0) -> tuple[list[float], np.ndarray]:
    """The ``heading`` numbers of the first line, and some columns of the rows below it.

    Raises
    ------
    ValueError
        If there is no such file, or it holds something else than these numbers.
    """
    try:
        require_regular(path)
        with path.open(encoding="utf-8") as stream, warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a network without throats has files without rows
            numbers: list[float] = []
            if heading:
                first = next((line for line in stream if line.strip()), "")
                numbers = [float(word) for word in first.split()[:heading]]
                if len(numbers) < heading:
                    raise ValueError(f"its first line must start with {heading} numbers (got {short(first.strip())})")
            rows = np.loadtxt(stream, usecols=columns, comments=None, ndmin=2).reshape(-1, len(columns))
        if not (np.isfinite(numbers).all() and np.isfinite(rows).all()):
            raise ValueError("it holds numbers that are not finite")
    except FileNotFoundError as error:
        raise ValueError(f"no such file: {path}") from error
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: {reason(error)}") from error
    return numbers, rows


#: Shape factor (area over squared perimeter) of a circle, the default.
_CIRCLE = 1 / (4 * np.pi)


def write_statoil(network: PoreNetwork, prefix: str | Path) -> list[Path]:
    """Write a network as Statoil's four files; :func:`read_statoil` reads the same network from them.

    Parameters
    ----------
    network : PoreNetwork
        In metres. Bodies need ``inscribed_radius`` and ``volume``. Defaults: the shape factor of a circle; 0 for the
        volume of a throat, as bodies hold all of the pore space; and for its own length, the length without the
        radii of the bodies, each limited to a quarter of it.
    prefix : str or Path
        Path of the files without ``_node1.dat`` and the other endings.

    Returns
    -------
    list of Path
        The four files.

    Raises
    ------
    ValueError
        If the radii or the volumes of the bodies are missing.
    """
    missing = [name for name in ("inscribed_radius", "volume") if name not in network.bodies]
    if missing:
        raise ValueError(f"network: its bodies have no {missing[0]}")
    count, conns = len(network.junctions), network.throat_conns
    radius = network.bodies["inscribed_radius"]
    neighbours: list[list[int]] = [[] for _ in range(count)]
    throats: list[list[int]] = [[] for _ in range(count)]
    boundary = {INLET: -1, OUTLET: 0}
    link1, link2 = [f"{len(conns)}"], []
    own_length = network.throats.get("own_length")
    volume = network.throats.get("volume", np.zeros(len(conns)))
    shape = network.throats.get("shape_factor", np.full(len(conns), _CIRCLE))
    for k, (a, b) in enumerate(conns.tolist()):
        neighbour = boundary.get(b, b + 1)
        neighbours[a].append(neighbour)
        throats[a].append(k + 1)
        if b >= 0:
            neighbours[b].append(a + 1)
            throats[b].append(k + 1)
        length = network.length[k]
        in_bodies = [min(radius[a], length / 4), min(radius[b], length / 4) if b >= 0 else 0.0]
        own = own_length[k] if own_length is not None else length - sum(in_bodies)
        link1.append(f"{k + 1:6d} {a + 1:6d} {neighbour:6d} {network.radius[k]:.16E} {shape[k]:.16E} {length:.16E}")
        link2.append(
            f"{k + 1:6d} {a + 1:6d} {neighbour:6d} {in_bodies[0]:.16E} {in_bodies[1]:.16E} {own:.16E} {volume[k]:.16E} "
            f"{0.0:.6E}"
        )
    node1, node2 = [f"{count} " + " ".join(f"{n:.16E}" for n in network.extent)], []
    factor = network.bodies.get("shape_factor", np.full(count, _CIRCLE))
    for k, junction in enumerate(network.junctions):
        position = " ".join(f"{v:.16E}" for v in junction)
        columns = [*neighbours[k], int(-1 in neighbours[k]), int(0 in neighbours[k]), *throats[k]]
        node1.append(f"{k + 1:6d} {position} {len(neighbours[k])} " + " ".join(map(str, columns)))
        node2.append(f"{k + 1:6d} {network.bodies['volume'][k]:.16E} {radius[k]:.16E} {factor[k]:.16E} {0.0:.6E}")
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
        The network; points are written as ``x, y, z``.
    path : str or Path
        File with the extension ``.vtk``.

    Returns
    -------
    Path
        The file, in VTK's legacy format.

    Raises
    ------
    ValueError
        If it has another extension.
    """
    path = Path(path)
    if path.suffix != ".vtk":
        raise ValueError(f"path: must end with .vtk, from which ParaView infers the format (got {path.name!r})")
    throats = {"radius": network.radius, "length": network.length}
    throats |= {f"throat_{name}": values for name, values in network.throats.items()}
    write_poly_data(path, "pore network", network.junctions, network.throat_conns, dict(network.bodies), throats)
    return path


def write_poly_data(
    path: Path,
    title: str,
    position: np.ndarray,
    throat_conns: np.ndarray,
    points: Mapping[str, np.ndarray],
    lines: Mapping[str, np.ndarray],
) -> None:
    """Write points and the lines between them in VTK's legacy format.

    Parameters
    ----------
    path : Path
        File to write.
    title : str
        Its second line, of at most 255 characters.
    position : (n, 3) ndarray
        Points as ``z, y, x``.
    throat_conns : (m, 2) ndarray of int
        The two points of each line; those whose second entry is below 0 are left out.
    points, lines : mapping of str to (n,) or (m,) ndarray
        Values of points and lines.
    """
    inner = throat_conns[:, 1] >= 0
    conns = throat_conns[inner]
    text = ["# vtk DataFile Version 3.0", title[:255], "ASCII", "DATASET POLYDATA"]
    text.append(f"POINTS {len(position)} double")
    text += [" ".join(f"{v:.9g}" for v in row) for row in position[:, ::-1]]
    text.append(f"LINES {len(conns)} {3 * len(conns)}")
    text += [f"2 {a} {b}" for a, b in conns]
    tables = (
        ("POINT_DATA", len(position), points),
        ("CELL_DATA", len(conns), {name: values[inner] for name, values in lines.items()}),
    )
    for section, count, values in tables:
        text.append(f"{section} {count}")
        for name, column in values.items():
            text += [f"SCALARS {name} double 1", "LOOKUP_TABLE default", *(f"{v:.9g}" for v in column)]
    path.write_text("\n".join(text) + "\n", encoding="ascii")
