"""Pore networks in files of OpenPNM: its arrays by name in a NumPy archive, or its table (``network_to_csv``).

The depth is the first axis of ``pore.coords``. OpenPNM stores no size of the network, which the thickness and the area
of the membrane are: files need an array ``extent`` of three lengths, in a table the columns ``extent[0]`` to
``extent[2]``.
"""

from __future__ import annotations

import csv
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from membrane_dask.errors import reason, short
from membrane_dask.files import read_bytes, require_regular
from membrane_dask.physics.networks.pore_network import PoreNetwork

#: Size of a file.
_MAX_BYTES = 500_000_000
#: Size of the first line of a table.
_MAX_HEADER = 100_000
#: Name of a column, after the name of the project if there is one, and the component of an array of several columns.
_COLUMN = re.compile(r"(?:.*\.)?((?:pore|throat)\..+?|extent)(?:\[(\d)\])?")
_LABELS = {"true": 1.0, "t": 1.0, "false": 0.0, "f": 0.0}


def is_openpnm_table(path: Path) -> bool:
    """Whether the first line of a table names the coordinates of OpenPNM."""
    with path.open("rb") as stream:
        return b"pore.coords[0]" in stream.readline(_MAX_HEADER)


def is_openpnm_archive(path: Path) -> bool:
    """Whether an archive of arrays has the ends of throats."""
    try:
        with zipfile.ZipFile(path) as archive:
            return "throat.conns.npy" in archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return False


def openpnm_conductances(path: Path) -> str:
    """Name of the hydraulic conductances of the throats in a file of OpenPNM, which are not read; empty for none."""
    name = "throat.hydraulic_conductance"
    if path.suffix.lower() == ".npz":
        with zipfile.ZipFile(path) as archive:
            return name if f"{name}.npy" in archive.namelist() else ""
    with path.open("rb") as stream:
        return name if name.encode() in stream.readline(_MAX_HEADER) else ""


def read_openpnm(path: str | Path) -> PoreNetwork:
    """Read a network of OpenPNM from a ``.npz`` archive or a ``.csv`` table.

    Parameters
    ----------
    path : str or Path
        File with the arrays of :meth:`PoreNetwork.from_openpnm` and ``extent``, the lengths along its axes.

    Returns
    -------
    PoreNetwork
        In the unit of the file.

    Raises
    ------
    ValueError
        If the file cannot be read, or lacks an array.
    """
    path = Path(path)
    try:
        require_regular(path)
        arrays = _read_archive(path) if path.suffix.lower() == ".npz" else _read_table(path)
        _check_shapes(arrays)
        extent = np.asarray(arrays.pop("extent", np.zeros(0)), float).ravel()
        if extent.shape != (3,) or not (np.isfinite(extent).all() and (extent > 0).all()):
            raise ValueError(
                "it needs an array extent of three lengths greater than 0: the thickness of the membrane, which is "
                f"along the first axis of pore.coords, and its two edges (got {extent.tolist()})"
            )
        return PoreNetwork.from_openpnm(arrays, tuple(extent.tolist()))
    except FileNotFoundError as error:
        raise ValueError(f"no such file: {path}") from error
    except (OSError, ValueError, IndexError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: {reason(error)}") from error


def openpnm_arrays(network: PoreNetwork) -> dict[str, np.ndarray]:
    """Arrays of OpenPNM and PoreSpy with the properties that OpenPNM's models of geometry and flow read.

    Parameters
    ----------
    network : PoreNetwork
        Its lengths are used as they are.

    Returns
    -------
    dict of str to ndarray
        Those of :meth:`PoreNetwork.to_openpnm` with a boundary pore for each inlet and outlet pore, and

        ``pore.diameter``
            Diameter of the largest inscribed sphere; of a network without bodies, of the widest throat of the pore; of
            a boundary pore, of its throat.
        ``pore.volume``, ``throat.volume``
            0 for boundary pores, and where the network does not say it.
        ``throat.cross_sectional_area``
            That of the voxels, or of a circle.
        ``throat.total_length``
            From pore centre to pore centre.
        ``throat.length``
            The part outside the two pores: each takes its radius, at most a quarter of the total length; pores
            without a volume take nothing.

        and further properties of pores and throats, which are NaN for boundary pores.
    """
    arrays = network.to_openpnm(boundary_pores=True)
    conns, total = arrays["throat.conns"], network.length
    bodies = dict(network.bodies)
    radius = np.asarray(bodies.get("inscribed_radius", _widest_throat(network)), float)
    volume = np.asarray(bodies.pop("volume", np.zeros(len(radius))), float)
    outer = network.throat_conns[:, 1] < 0
    boundary = network.radius[outer]
    inside = np.append(np.where(volume > 0, radius, 0.0), np.zeros(len(boundary)))
    arrays["pore.diameter"] = 2 * np.append(radius, boundary)
    arrays["pore.volume"] = np.append(volume, np.zeros(len(boundary)))
    for name, values in bodies.items():
        diameter = name.replace("radius", "diameter")
        factor = 1 if name == diameter else 2
        arrays[f"pore.{diameter}"] = np.append(factor * np.asarray(values, float), np.full(len(boundary), np.nan))
    throats = dict(network.throats)
    arrays["throat.total_length"] = total
    arrays["throat.length"] = total - sum(np.minimum(inside[conns[:, end]], total / 4) for end in (0, 1))
    arrays["throat.cross_sectional_area"] = throats.pop("area", np.pi * np.square(network.radius))
    arrays["throat.volume"] = throats.pop("volume", np.zeros(len(total)))
    for name, values in throats.items():
        diameter = name.replace("radius", "diameter")
        arrays[f"throat.{diameter}"] = (1 if name == diameter else 2) * np.asarray(values)
    return arrays


def _widest_throat(network: PoreNetwork) -> np.ndarray:
    """Largest radius of the throats of each pore; 0 for one without throats."""
    radius = np.zeros(len(network.junctions))
    for end in (0, 1):
        inner = network.throat_conns[:, end] >= 0
        np.maximum.at(radius, network.throat_conns[inner, end], network.radius[inner])
    return radius


def write_openpnm(network: PoreNetwork, path: str | Path) -> Path:
    """Write a network as the arrays of OpenPNM; :func:`read_openpnm` reads the same network.

    Each inlet and each outlet pore becomes a throat to a boundary pore in the face.

    Parameters
    ----------
    network : PoreNetwork
        Its lengths are written as they are.
    path : str or Path
        File ``.npz``; ``dict(numpy.load(path))`` is the dictionary of OpenPNM, with ``extent`` added.

    Returns
    -------
    Path
        The file. The same network has the same bytes.
    """
    arrays = openpnm_arrays(network) | {"extent": np.array(network.extent)}
    with zipfile.ZipFile(path, "w") as archive:
        for name, values in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w") as stream:  # without the time of writing
                np.lib.format.write_array(stream, np.ascontiguousarray(values), allow_pickle=False)
    return Path(path)


def _read_archive(path: Path) -> dict[str, np.ndarray]:
    """Arrays of a NumPy archive; objects, which may hold code, are refused."""
    if path.stat().st_size > _MAX_BYTES:
        raise ValueError(f"it has more than {_MAX_BYTES / 1e6:g} MB")
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _read_table(path: Path) -> dict[str, np.ndarray]:
    """Arrays of a table whose columns are of unequal length, with blank cells below the shorter ones."""
    lines = read_bytes(path, _MAX_BYTES).decode("utf-8-sig").splitlines()
    header, *rows = csv.reader(lines)
    columns: dict[str, dict[int, np.ndarray]] = {}
    for k, name in enumerate(header):
        if (match := _COLUMN.fullmatch(name.strip())) is None:
            continue
        values = []
        for number, row in enumerate(rows, 2):
            cell = row[k].strip().lower() if k < len(row) else ""
            if not cell or cell == "nan":
                break
            try:
                values.append(_LABELS[cell] if cell in _LABELS else float(cell))
            except ValueError:
                raise ValueError(f"row {number}: {match[1]} must be a number (got {short(row[k])})") from None
        columns.setdefault(match[1], {})[int(match[2] or 0)] = np.array(values)
    return _joined(columns)


def _joined(columns: Mapping[str, Mapping[int, np.ndarray]]) -> dict[str, np.ndarray]:
    """Arrays of one or several columns each."""
    arrays = {}
    for name, components in columns.items():
        if len({len(values) for values in components.values()}) > 1:
            raise ValueError(f"the columns of {name} have unequal numbers of values")
        stacked = np.stack([components[k] for k in sorted(components)], axis=1)
        arrays[name] = stacked[:, 0] if stacked.shape[1] == 1 else stacked
    return arrays


def _check_shapes(arrays: Mapping[str, np.ndarray]) -> None:
    """Refuse arrays that do not describe the same pores and throats.

    Raises
    ------
    ValueError
        With the name of the first one.
    """
    for main, columns in (("pore.coords", 3), ("throat.conns", 2)):
        if main not in arrays:
            raise ValueError(f"it has no {main}")
        shape = arrays[main].shape
        if len(shape) != 2 or shape[1] != columns:
            raise ValueError(f"{main} must have {columns} columns (got the shape {shape})")
        element = main.partition(".")[0]
        for name, values in arrays.items():
            if name.startswith(f"{element}.") and (not values.ndim or len(values) != shape[0]):
                raise ValueError(f"{name} has {values.size if values.ndim else 1} values, {main} {shape[0]}")
