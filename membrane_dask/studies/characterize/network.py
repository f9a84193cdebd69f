"""The pore network of a result as a :class:`PoreNetwork`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from membrane_dask.physics.networks.pore_network import PoreNetwork
from membrane_dask.studies.characterize.variables import NETWORK

#: In metres, square metres and cubic metres.
_SI = {"nm": 1e-9, "nm2": 1e-18, "nm3": 1e-27, "1": 1}


def network_reader(group: Any) -> Callable[..., PoreNetwork] | None:
    """Function that converts a network table, None if ``group`` is another one."""
    return partial(pore_network, group) if "position" in group else None


def pore_network(network: Any, *, bands: int = 4) -> PoreNetwork:
    """Convert a network table of a characterize run.

    Parameters
    ----------
    network : xarray.Dataset or DataTree
        The group ``network_0``, ``network_1``, ... or ``reference_network`` of the result.
    bands : int
        Number of bands of equal thickness over which the lengths of the throats are divided.

    Returns
    -------
    PoreNetwork
        In metres. Its junctions are the pores of the table, its pores the throats; ``radius`` is that of a circle of
        the throat's area.
    """
    values = {v.name: np.asarray(network[v.name].values) * _SI[v.units] for v in NETWORK}
    return PoreNetwork.from_straight_pores(
        junctions=values["position"],
        throat_conns=values["throat_conns"].astype(np.int32),
        length=values["throat_length"],
        radius=values["throat_equivalent_radius"],
        extent=tuple(values["extent"].tolist()),
        bands=bands,
        bodies={v.name: values[v.name] for v in NETWORK if v.dims == ("pore",)},
        throats={"inscribed_radius": values["throat_inscribed_radius"], "area": values["throat_area"]},
    )
