"""Comparison of the micrograph of a reconstruction with sections of its structures by statistical descriptors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from membrane_dask.physics.reconstruction.descriptors import DescriptorScales, average, chord_lengths

if TYPE_CHECKING:
    import xarray as xr

#: Sections of a volume that are analysed.
_SECTIONS = 8


def compare_descriptors(micrograph: xr.Dataset, volumes: Sequence[xr.DataArray]) -> xr.Dataset:
    """Compare structures with the micrograph that they are matched to.

    Parameters
    ----------
    micrograph : xarray.Dataset
        Group ``micrograph`` of a run.
    volumes : sequence of xarray.DataArray
        Structures, from ``run.volume``; eight sections of each are read.

    Returns
    -------
    xarray.Dataset
        Along ``source``, whose first entry is the micrograph: ``porosity`` by depth ``z``; ``correlation``, the
        autocorrelation along the section by ``lag``; ``opened``, the fraction of the pores that openings with discs
        of a ``radius`` leave; ``chords``, the fraction of the pore chords by length ``chord``; and ``mean_chord``.
        Lengths in nm.

    References
    ----------
    Torquato, Random Heterogeneous Materials (2002).
    """
    import xarray as xr

    solid = micrograph.solid.values > 0
    pixel = float(micrograph.x[1] - micrograph.x[0])
    scales = DescriptorScales.suited_to(solid)
    sources = [solid[None], *(_sections(volume) for volume in volumes)]
    by_row = [average([scales.describe(section) for section in sections]) for sections in sources]
    whole = [one.mean(np.full((1, len(solid)), 1 / len(solid))) for one in by_row]
    lengths = [chord_lengths(~sections) for sections in sources]
    bins = np.arange(0.5, np.quantile(lengths[0], 0.99) + 1)
    return xr.Dataset(
        {
            "porosity": (("source", "z"), np.stack([one.porosity for one in by_row])),
            "correlation": (("source", "lag"), np.stack([one.correlation[0] for one in whole])),
            "opened": (("source", "radius"), np.stack([one.opened[0, 0] / one.porosity[0] for one in whole])),
            "chords": (("source", "chord"), np.stack([np.histogram(one, bins)[0] / len(one) for one in lengths])),
            "mean_chord": ("source", np.array([one.mean() * pixel for one in lengths]), {"units": "nm"}),
        },
        coords={
            "source": ["micrograph", *(str(volume.name) for volume in volumes)],
            "z": micrograph.z,
            "lag": ("lag", scales.lags * pixel, {"units": "nm"}),
            "radius": ("radius", scales.radii * pixel, {"units": "nm"}),
            "chord": ("chord", (bins[1:] - 0.5) * pixel, {"units": "nm"}),
        },
    )


def _sections(volume: Any) -> np.ndarray:
    """Equally spaced sections of a volume, ``(n, z, x)``, True in the solid."""
    n = volume.sizes["y"]
    planes = np.unique(np.linspace(0, n - 1, _SECTIONS + 2).astype(int)[1:-1])
    return np.asarray(volume.isel(y=planes).transpose("y", "z", "x").values) > 0
