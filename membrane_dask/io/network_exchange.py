"""Pore networks as GraphML, for graph libraries, and as VTU, for ParaView and meshio; with the arrays of OpenPNM."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np

from membrane_dask.io.openpnm_files import openpnm_arrays
from membrane_dask.physics.networks.pore_network import PoreNetwork

#: Types of VTK by the kind of a NumPy array.
_VTK_TYPES = {
    "f": ("Float64", np.float64),
    "i": ("Int64", np.int64),
    "u": ("Int64", np.int64),
    "b": ("UInt8", np.uint8),
}


def write_graphml(network: PoreNetwork, path: str | Path, *, length_unit: str) -> Path:
    """Write a network as an undirected multigraph: a node for every pore, an edge for every throat.

    Parameters
    ----------
    network : PoreNetwork
        Its lengths are written as they are; attributes are those of :func:`~.openpnm_files.openpnm_arrays`, the
        coordinates of a node ``x``, ``y``, ``z``.
    path : str or Path
        File ``.graphml``.
    length_unit : str
        Attribute of the graph.

    Returns
    -------
    Path
        The file. The same network has the same bytes.
    """
    import networkx

    arrays = openpnm_arrays(network)
    pores, throats = _columns(arrays, "pore"), _columns(arrays, "throat")
    coordinates = dict(zip("zyx", arrays["pore.coords"].T, strict=True))
    graph = networkx.MultiGraph(length_unit=length_unit)
    graph.add_nodes_from(enumerate(_records({**{axis: coordinates[axis] for axis in "xyz"}, **pores})))
    conns = arrays["throat.conns"].tolist()
    graph.add_edges_from(
        (a, b, number, record) for number, ((a, b), record) in enumerate(zip(conns, _records(throats), strict=True))
    )
    networkx.write_graphml_xml(graph, str(path))
    return Path(path)


def write_vtu(network: PoreNetwork, path: str | Path) -> Path:
    """Write a network as an unstructured grid of VTK: a point for every pore, a line for every throat.

    Parameters
    ----------
    network : PoreNetwork
        Its lengths are written as they are; data of points and cells are those of
        :func:`~.openpnm_files.openpnm_arrays`, points are ``x, y, z``.
    path : str or Path
        File ``.vtu``.

    Returns
    -------
    Path
        The file. The same network has the same bytes.
    """
    arrays = openpnm_arrays(network)
    points, conns = arrays["pore.coords"][:, ::-1], arrays["throat.conns"]
    count = len(conns)
    lines = [
        '<?xml version="1.0"?>',
        '<VTKFile type="UnstructuredGrid" version="1.0" byte_order="LittleEndian">',
        f'<UnstructuredGrid><Piece NumberOfPoints="{len(points)}" NumberOfCells="{count}">',
        "<Points>", _data_array("points", points), "</Points>",
        "<Cells>",
        _data_array("connectivity", conns.astype(np.int64).ravel()),
        _data_array("offsets", 2 * np.arange(1, count + 1)),
        _data_array("types", np.full(count, 3, np.uint8)),  # VTK_LINE
        "</Cells>",
        "<PointData>", *itertools.starmap(_data_array, _columns(arrays, "pore").items()), "</PointData>",
        "<CellData>", *itertools.starmap(_data_array, _columns(arrays, "throat").items()), "</CellData>",
        "</Piece></UnstructuredGrid></VTKFile>",
    ]  # fmt: skip
    Path(path).write_text("\n".join(lines) + "\n", encoding="ascii")
    return Path(path)


def _columns(arrays: Mapping[str, np.ndarray], element: str) -> dict[str, np.ndarray]:
    """Scalars of all pores or throats, by name without the element."""
    named = {name.partition(".")[2]: values for name, values in arrays.items() if name.startswith(f"{element}.")}
    return {name: values for name, values in named.items() if values.ndim == 1}


def _records(columns: Mapping[str, np.ndarray]) -> list[dict[str, object]]:
    """One mapping of names to Python numbers for each row."""
    names = list(columns)
    rows = zip(*(values.tolist() for values in columns.values()), strict=True)
    return [dict(zip(names, row, strict=True)) for row in rows]


def _data_array(name: str, values: np.ndarray) -> str:
    vtk_type, dtype = _VTK_TYPES[values.dtype.kind]
    components = f' NumberOfComponents="{values.shape[1]}"' if values.ndim == 2 else ""
    text = " ".join(map(repr, np.ravel(values).astype(dtype).tolist()))
    return f'<DataArray type="{vtk_type}" Name={quoteattr(name)}{components} format="ascii">{text}</DataArray>'
