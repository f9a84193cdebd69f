"""Pore networks that are the input of a study: from a file, or from a characterized run."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from membrane_dask.errors import Problem
from membrane_dask.io.network_files import read_statoil
from membrane_dask.io.network_tables import junction_numbers, junctions_path, read_network_csv
from membrane_dask.io.openpnm_files import is_openpnm_table, openpnm_conductances, read_openpnm
from membrane_dask.io.run_networks import run_networks
from membrane_dask.physics.networks.connectivity import adjacency, flowing_pores
from membrane_dask.physics.networks.pore_network import INLET, OUTLET, PoreNetwork
from membrane_dask.studies.network_paths import OTHER_STATOIL, STATOIL, STUDIES, TubeRadius

#: Largest porosity of a band; it exceeds 1 where cylinders of extracted networks overlap at the junctions.
_MAX_POROSITY = 2.0
#: Relative difference between two statements of the thickness that may be due to their digits.
_THICKNESS_TOLERANCE = 1e-3
#: Length of the shortest path, in thicknesses, above which lengths are likely to have another unit.
_LONG_PATH = 5


def read_networks(path: Path, radius: TubeRadius = "as given") -> tuple[list[PoreNetwork], list[float]]:
    """Read the networks at a path.

    Parameters
    ----------
    path : Path
        Table of pores (``.csv``), archive or table of OpenPNM (``.npz``, ``.csv``), file ``_link1.dat`` of a Statoil
        network, or directory of a characterized run.
    radius : {'as given', 'inscribed', 'equivalent'}
        Radius of the pores.

    Returns
    -------
    networks : list of PoreNetwork
        In units of their thickness: one, or of a run one for each replicate.
    thicknesses : list of float
        Their thicknesses in metres; empty where the file has no unit of length.

    Raises
    ------
    ValueError
        If a network cannot be read or lacks the radius, or no path leads through it.
    """
    dimensional, unit = _read(path)
    if radius != "as given":
        dimensional = [_with_radius(network, radius, path.name) for network in dimensional]
    networks = [network.dimensionless() for network in dimensional]
    for number, network in enumerate(networks):
        name = f"{path.name}: " + (f"network of replicate {number}: " if len(networks) > 1 else "")
        for face, text in ((INLET, "the feed"), (OUTLET, "the filtrate")):
            if not (network.throat_conns[:, 1] == face).any():
                raise ValueError(f"{name}no pore opens to {text}")
        if not _flowing(network).any():
            raise ValueError(f"{name}no open path from the feed to the filtrate")
        porosity = network.band_porosity()
        if (porosity > _MAX_POROSITY).any():
            band = int(porosity.argmax())
            raise ValueError(
                f"{name}pores fill {porosity[band]:.3g} times the volume of band {band + 1}; radius and length are in "
                "units of the thickness"
            )
    return networks, [network.extent[0] * unit for network in dimensional] if unit is not None else []


def _with_radius(network: PoreNetwork, radius: Literal["inscribed", "equivalent"], name: str) -> PoreNetwork:
    """The network of a file with another radius of its pores.

    Raises
    ------
    ValueError
        If the file does not have it, or it is not positive.
    """
    radii = {f"{key}_radius": network.throats.get(f"{key}_radius") for key in ("inscribed", "equivalent")}
    shape_factor = network.throats.get("shape_factor")
    if shape_factor is not None:  # Statoil: the area is r^2/(4 G) of the inscribed circle and the shape factor
        with np.errstate(divide="ignore", invalid="ignore"):
            radii = {
                "inscribed_radius": network.radius,
                "equivalent_radius": network.radius / np.sqrt(4 * np.pi * shape_factor),
            }
    values = radii[f"{radius}_radius"]
    if values is None:
        raise ValueError(
            f"{name} has no {radius} radius of its pores, which hydraulics.conductance: {radius} needs; use as given, "
            "for tubes of the radius that it has"
        )
    wrong = ~(np.isfinite(values) & (values > 0))
    if wrong.any():
        pore = int(wrong.argmax())
        raise ValueError(
            f"{name}: pore {pore + 1} has no positive {radius} radius (got {values[pore]:g}), which "
            f"hydraulics.conductance: {radius} needs; correct it, or use as given"
        )
    return replace(network, radius=values)


def thickness_problems(stated: float | None, thicknesses: list[float]) -> list[Problem]:
    """Where networks are as thick as their file says, but the study gives another thickness, m."""
    different = [t for t in thicknesses if stated is not None and abs(t / stated - 1) > _THICKNESS_TOLERANCE]
    if not different or stated is None:
        return []
    text = f"the network of the input is {different[0] * 1e6:.6g} um thick (got {stated * 1e6:.6g} um)"
    return [Problem(("thickness",), text)]


def input_notes(path: Path) -> list[str]:
    """Sentence on what a file of a network does not list, or has and is not read; none for most."""
    ending = path.suffix.lower()
    if ending not in (".csv", ".npz") or path.is_dir():
        return []
    if ending == ".npz" or is_openpnm_table(path):
        if not (name := openpnm_conductances(path)):
            return []
        return [
            f"{name} of {path.name} is not read: its pores are tubes, of the conductances of their radii and lengths"
        ]
    numbers = junction_numbers(path)
    if numbers is None:
        return []
    return [
        f"{path.name} has no table of junctions ({junctions_path(path).name}): its junctions are the {len(numbers)} "
        f"numbers in end_a and end_b, from {numbers[0]} to {numbers[-1]}"
    ]


def dead_end_notes(networks: list[PoreNetwork]) -> list[str]:
    """Sentence for each network with pores on no path from the feed to the filtrate."""
    notes = []
    for number, network in enumerate(networks):
        closed = np.flatnonzero(~_flowing(network))
        if len(closed):
            name = f" of network {number}" if len(networks) > 1 else ""
            notes.append(
                f"{len(closed)} of {len(network.length)} pores{name} lie on no path from the feed to the filtrate and "
                f"carry no flow; the first is pore {closed[0] + 1}"
            )
    return notes


def path_length_notes(networks: list[PoreNetwork]) -> list[str]:
    """Sentence where the shortest path is shorter than the membrane is thick, or much longer."""
    lengths = [_shortest_path(network) for network in networks]
    unusual = [length for length in lengths if not 1 - 1e-3 <= length <= _LONG_PATH]
    return [
        f"the shortest path through the network is {length:.3g} thicknesses long; lengths are in thicknesses"
        for length in unusual[:1]
    ]


def _flowing(network: PoreNetwork) -> np.ndarray:
    """Whether each pore lies on a path from the feed to the filtrate."""
    adjacent = adjacency(network.throat_conns, len(network.junctions))
    return flowing_pores(*adjacent, np.ones(len(network.length), bool))


def _shortest_path(network: PoreNetwork) -> float:
    """Smallest sum of pore lengths from the feed to the filtrate."""
    conns, length = network.throat_conns, network.length
    inlet, outlet, inner = conns[:, 1] == INLET, conns[:, 1] == OUTLET, conns[:, 1] >= 0
    distance = np.full(len(network.junctions), math.inf)
    np.minimum.at(distance, conns[inlet, 0], length[inlet])
    while True:
        shorter = distance.copy()
        for a, b in ((0, 1), (1, 0)):
            np.minimum.at(shorter, conns[inner, a], distance[conns[inner, b]] + length[inner])
        if (shorter == distance).all():
            return float((distance[conns[outlet, 0]] + length[outlet]).min())
        distance = shorter


def _read(path: Path) -> tuple[list[PoreNetwork], float | None]:
    """Read the networks at a path, and their unit of length in metres, if it is known."""
    ending = path.suffix.lower()
    if path.is_dir():
        if not (path / "run.json").is_file():
            raise ValueError(f"{path.name} is a folder, but no run")
        return run_networks(path), 1e-9
    if ending in STUDIES:
        raise ValueError(f"is a study that must be run first: membrane-dask run {path}")
    if path.name.endswith(STATOIL):
        return [read_statoil(path.with_name(path.name.removesuffix(STATOIL)))], 1.0
    if path.name.endswith(OTHER_STATOIL):
        prefix = path.name[: -len(OTHER_STATOIL[0])]
        raise ValueError(f"{path.name} is one of Statoil's four files; give their prefix: {path.with_name(prefix)}")
    if ending == ".npz" or (ending == ".csv" and is_openpnm_table(path)):
        return [read_openpnm(path)], None
    if ending == ".csv":
        return [read_network_csv(path)], None
    if ending in (".pnm", ".pkl", ".pickle", ".net"):
        raise ValueError(
            f"{path.name} holds Python objects, which may run code when they are read; save the arrays instead: "
            "numpy.savez(path, extent=..., **network)"
        )
    raise ValueError(
        f"{path.name} has an unknown format; valid are .csv (pores), .npz or .csv of OpenPNM, the prefix of Statoil's "
        "four files, and a characterized run"
    )
