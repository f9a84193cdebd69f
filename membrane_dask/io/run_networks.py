"""Pore networks that a characterized run has extracted."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from membrane_dask.physics.networks.pore_network import PoreNetwork

#: Arrays that are read, in nm.
_NAMES = ("position", "throat_conns", "throat_length", "throat_equivalent_radius", "extent")


def run_networks(path: Path) -> list[PoreNetwork]:
    """Read the networks of a characterized run, one for each replicate.

    Parameters
    ----------
    path : Path
        Run directory.

    Returns
    -------
    list of PoreNetwork
        In nm, in four bands of equal depth. Pores are the throats, with the length from pore centre to pore centre and
        the radius of a circle of the throat's area.

    Raises
    ------
    ValueError
        If the run has no network, or one of them has no throats.
    """
    import zarr

    groups = {int(match[1]): p for p in path.glob("result.zarr/network_*") if (match := re.search(r"_(\d+)$", p.name))}
    if not groups:
        raise ValueError(f"{path.name} is a run without networks")
    networks = []
    for number in sorted(groups):
        group = zarr.open_group(groups[number], mode="r")
        try:
            values = {name: np.asarray(group[name]) for name in _NAMES}
            networks.append(
                PoreNetwork.from_straight_pores(
                    junctions=values["position"], throat_conns=values["throat_conns"].astype(np.int32),
                    length=values["throat_length"], radius=values["throat_equivalent_radius"],
                    extent=tuple(values["extent"].tolist()),
                )
            )  # fmt: skip
        except (KeyError, ValueError) as error:
            raise ValueError(f"{groups[number].name} of {path.name}: {error}") from error
    return networks
