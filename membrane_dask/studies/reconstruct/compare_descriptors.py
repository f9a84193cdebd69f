"""What the micrograph of a reconstruction shows, and what sections of its structures show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from membrane_dask.physics.reconstruction.descriptors import DescriptorScales, average, chord_lengths

if TYPE_CHECKING:
    import xarray as xr

#: Sections of a volume that are measured.
_SECTIONS = 8


def texture(micrograph: xr.Dataset, volumes: Sequence[Any]) -> xr.Dataset:
    """Compare structures with the micrograph they were made from.

    Parameters
    ----------
    micrograph : xarray.Dataset
        Group ``micrograph`` of a run.
    volumes : sequence of xarray.DataArray
        Structures, from ``run.volume``; eight sections of each are read.

    Returns
    -------
    xarray.Dataset
        ``porosity`` by depth, ``correlation`` along the section by lag, ``opened``, the share of the pores that
        discs of a radius fill, ``chords``, the share of the chords in pores by length, and ``mean_chord``; along
        ``source``, whose first is the micrograph. Lengths in nm.
    """
    import xarray as xr

    solid = micrograph.solid.values > 0
    pixel = float(micrograph.x[1] - micrograph.x[0])
    scale = DescriptorScales.suited_to(solid)
    sources = [solid[None], *(_planes(volume) for volume in volumes)]
    found = [average([scale.describe(plane) for plane in planes]) for planes in sources]
    whole = [one.mean(np.full((1, len(solid)), 1 / len(solid))) for one in found]
    lengths = [chord_lengths(~planes) for planes in sources]
    bins = np.arange(0.5, np.quantile(lengths[0], 0.99) + 1)
    return xr.Dataset(
        {
            "porosity": (("source", "z"), np.stack([one.porosity for one in found])),
            "correlation": (("source", "lag"), np.stack([one.correlation[0] for one in whole])),
            "opened": (("source", "radius"), np.stack([one.opened[0, 0] / one.porosity[0] for one in whole])),
            "chords": (("source", "chord"), np.stack([np.histogram(one, bins)[0] / len(one) for one in lengths])),
            "mean_chord": ("source", np.array([one.mean() * pixel for one in lengths]), {"units": "nm"}),
        },
        coords={
            "source": ["micrograph", *(str(volume.name) for volume in volumes)],
            "z": micrograph.z,
            "lag": ("lag", scale.lags * pixel, {"units": "nm"}),
            "radius": ("radius", scale.radii * pixel, {"units": "nm"}),
            "chord": ("chord", (bins[1:] - 0.5) * pixel, {"units": "nm"}),
        },
    )


def _planes(volume: Any) -> np.ndarray:
    """Some sections of a volume ``(n, z, x)``, True in the solid."""
    n = volume.sizes["y"]
    places = np.unique(np.linspace(0, n - 1, _SECTIONS + 2).astype(int)[1:-1])
    return np.asarray(volume.isel(y=places).transpose("y", "z", "x").values) > 0
