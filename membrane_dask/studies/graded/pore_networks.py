"""Clean networks of a finished run: drawn again from its parameters and seed, or read from its input."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from membrane_dask.io.exported_items import Item, PoreNetworkItem
from membrane_dask.physics.networks.pore_network import PoreNetwork
from membrane_dask.physics.networks.radius_distribution import RadiusSpread
from membrane_dask.program import Unit
from membrane_dask.studies.graded import KIND
from membrane_dask.studies.graded.tasks import network_of
from membrane_dask.studies.network_input import read_networks

#: Value of ``status`` of a finished network.
_DONE = 1


def network_reader(group: Any) -> Callable[..., PoreNetwork] | None:
    """Return the function that draws networks of a group again, None if it is not the group ``graded``."""
    return partial(pore_network, group) if "n_stagnant_inlets" in group else None


def pore_network(
    graded: Any, *, l_max: float | None = None, gradient: float | None = None, realization: int | None = None
) -> PoreNetwork:
    """Draw a network of a graded run again.

    Parameters
    ----------
    graded : xarray.Dataset or DataTree
        The group ``graded`` of the result.
    l_max, gradient : float, optional
        Labels of the design point; needed if there are several.
    realization : int, optional
        Number of the network; needed if there are several.

    Returns
    -------
    PoreNetwork
        The network that the run has simulated, to the last bit, in membrane thicknesses.

    Raises
    ------
    ValueError
        If there is no such network, or the run has not drawn its networks on a grid.
    """
    if "evaluation" in graded.sizes:
        raise ValueError("graded: is of a search for the best design; simulate the design with design: grid")
    if "input" in graded.attrs:
        raise ValueError(
            f"graded: is of the network {graded.attrs['input']}, which is read with the reader of its format"
        )
    labels = {"l_max": l_max, "gradient": gradient, "realization": realization}
    point = {name: _label(graded[name].values, name, value) for name, value in labels.items()}
    attrs = graded.attrs
    names = ("l_min", "porosity", "porosity_tolerance", "radius", "bands")
    context = {name: attrs[name] for name in names} | {
        "band_l_max": attrs.get("band_l_max"),
        "spread": RadiusSpread(attrs["radius_spread.distribution"], attrs["radius_spread.deviation"]),
        "networks": None,
    }
    seed = int(attrs["seed"] if "seed" in attrs else graded.root.attrs["seed"])
    number = int(point.pop("realization"))
    unit = Unit("", "graded", (), point, (seed, KIND.seed_key, round(point["l_max"] * 1e9), number))
    return network_of(context, unit, np.random.Generator(np.random.PCG64(unit.seed_sequence())))


def _label(labels: np.ndarray, name: str, value: float | None) -> float:
    """Return the label that is closest to a value, to 1e-9 of it; the only one if there is no value.

    Raises
    ------
    ValueError
        If there is none, or there are several and no value.
    """
    valid = ", ".join(f"{label:g}" for label in labels[:10]) + (", ..." if len(labels) > 10 else "")
    if value is None:
        if len(labels) > 1:
            raise ValueError(f"{name}: is needed; one of {valid}")
        return float(labels[0])
    nearest = float(labels[np.argmin(np.abs(labels - value))])
    if abs(nearest - value) > 1e-9 * abs(value):
        raise ValueError(f"{name}: must be one of {valid} (got {value})")
    return nearest


def export_items(run: Any) -> Mapping[str, Callable[[], Item]]:
    """Functions that return the networks of a run.

    Parameters
    ----------
    run : Run
        A run of a graded study. Networks that were drawn on a grid have the names of their units; those of the input
        are ``network_0``, ``network_1``, ... Those of a search and of a calibration are none.
    """
    if run.study.input is not None:
        networks, _ = read_networks(run.study.input)
        return {f"network_{k}": partial(_item, network, run.name) for k, network in enumerate(networks)}
    if "graded" not in run.result.children or "evaluation" in run.result["graded"].sizes:
        return {}
    graded = run.result["graded"].to_dataset()
    items: dict[str, Callable[[], Item]] = {}
    done = graded.status.transpose("l_max", "gradient", "realization").values == _DONE
    names = ("l_max", "gradient", "realization")
    for index, labels in zip(
        np.ndindex(done.shape), itertools.product(*(graded[name].values.tolist() for name in names)), strict=True
    ):
        if done[index]:
            l_max, gradient, realization = labels
            key = f"graded,l_max={l_max:g},gradient={gradient:g},realization={realization}"
            items[key] = partial(_drawn_item, graded, dict(zip(names, labels, strict=True)), run.name)
    return items


def _drawn_item(graded: Any, labels: Mapping[str, float], name: str) -> PoreNetworkItem:
    return _item(pore_network(graded, **labels), name)  # type: ignore[arg-type]


def _item(network: PoreNetwork, name: str) -> PoreNetworkItem:
    """Return a network with the bodies that Statoil's format needs: all of the volume is in the pores."""
    conns = network.throat_conns
    radius = np.zeros(len(network.junctions))
    for column in (0, 1):
        inner = conns[:, column] >= 0
        np.maximum.at(radius, conns[inner, column], network.radius[inner])
    radius[radius == 0] = network.radius.min()  # junctions without a pore
    bodies = {"inscribed_radius": radius, "volume": np.zeros(len(radius))}
    throats = {"volume": np.pi * np.square(network.radius) * network.length}
    fields = (network.junctions, conns, network.length, network.radius, network.band, network.band_length)
    return PoreNetworkItem(f"pore network of {name}", PoreNetwork(*fields, network.extent, bodies, throats))
