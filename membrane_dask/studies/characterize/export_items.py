"""Volumes, velocities and networks of a characterize run that can be exported."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from membrane_dask.io.exported_items import GridItem, Item, NetworkItem
from membrane_dask.io.volumes import VolumeSource
from membrane_dask.studies.characterize.network import pore_network
from membrane_dask.studies.characterize.variables import NETWORK
from membrane_dask.studies.input_volumes import InputVolumes


def export_items(run: Any) -> Mapping[str, Callable[[], Item]]:
    """Functions that open the items of a run, by name.

    Parameters
    ----------
    run : Run
        A run of a characterize study.
    """
    groups = list(run.result.children)
    items: dict[str, Callable[[], Item]] = {}
    for group in groups:
        stem = group.removeprefix("reference_").split("_")[0]
        if stem == "network":
            volume = group.replace("network", "volume")
            items |= {volume: partial(_volume, run, volume), group: partial(_network, run, group)}
        elif stem == "velocity":
            items[group] = partial(_velocity, run, group)
    return items


def _volume(run: Any, name: str) -> GridItem:
    """The pores of an input volume as they were characterized."""
    inputs = InputVolumes.of(run.study, None)
    number = int(name.rpartition("_")[2]) if name[-1].isdigit() else 0
    volume: VolumeSource = inputs.volumes[number + (inputs.replicates if name.startswith("reference") else 0)]
    depth, height, width = volume.shape
    z, y, x = (float(volume.voxel_nm or math.nan) * edge for edge in volume.spacing)

    def read(start: int, stop: int) -> np.ndarray:
        pores = volume.read((slice(start, stop), slice(0, height), slice(0, width)))
        return np.where(pores, 0, 255).astype(np.uint8)

    description = f"{name} of {run.name}: pores 0, solid 255"
    return GridItem("phase", description, (depth, height, width), (z, y, x), np.dtype(np.uint8), read)


def _velocity(run: Any, group: str) -> GridItem:
    """Velocities at the centres of the voxels."""
    velocity = run.result[group].velocity
    spacing = tuple(2.0 * float(velocity[axis][0]) for axis in "zyx")

    def read(start: int, stop: int) -> np.ndarray:
        return np.asarray(velocity.isel(z=slice(start, stop)).values)

    chunk = int(velocity.encoding.get("chunks", (1, 1))[1])
    return GridItem(
        "velocity", f"{group} of {run.name}: velocity in m/s", velocity.shape[1:], spacing,  # type: ignore[arg-type]
        velocity.dtype, read, is_vector=True, chunk=chunk,
    )  # fmt: skip


def _network(run: Any, group: str) -> NetworkItem:
    """A pore network of a run."""
    return network_item(run.result[group].to_dataset(), f"{group} of {run.name}")


def network_item(network: Any, description: str) -> NetworkItem:
    """The network of a table such as ``network_0``, in nm."""
    values = {variable.name: np.asarray(network[variable.name].values) for variable in NETWORK}
    return NetworkItem(
        description,
        values["position"],
        values["throat_conns"],
        {v.name: values[v.name] for v in NETWORK if v.dims == ("pore",)},
        {v.name: values[v.name] for v in NETWORK if v.dims == ("throat",)},
        tuple(values["extent"].tolist()),
        partial(pore_network, network),
    )
