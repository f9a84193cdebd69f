"""Metrics of a finished graded study for another end-of-life flux, from the stored histories."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from membrane_dask.physics.networks.filter_metrics import accumulated_metrics, threshold_crossing
from membrane_dask.studies.graded.variables import GRADED

if TYPE_CHECKING:
    import xarray as xr


def at_flux_threshold(graded: xr.DataTree, threshold: float) -> xr.Dataset:
    """Compute the metrics until the flux falls to a threshold.

    Parameters
    ----------
    graded : xarray.DataTree
        ``run.result["graded"]``.
    threshold : float
        Flux at the end of life, > 0.

    Returns
    -------
    xarray.Dataset
        ``throughput``, ``foulant_concentration``, ``lifetime``, ``porosity_usage`` and ``band_porosity_usage`` until
        the flux, interpolated linearly between steps, falls to the threshold, as the variables ``*_threshold`` of the
        run for its own ``flux_threshold``; NaN where it does not fall so far before the end of life.

    Raises
    ------
    ValueError
        If the threshold is not positive and finite, or the flux of the run is constant.

    Examples
    --------
    >>> import membrane_dask as md
    >>> run = md.open_run("runs/graded-quickstart")  # doctest: +SKIP
    >>> md.at_flux_threshold(run.result["graded"], 1e-6).throughput.mean("realization")  # doctest: +SKIP
    """
    import xarray as xr

    if not 0 < threshold < math.inf:
        raise ValueError(f"threshold: must be greater than 0 (got {threshold})")
    if graded.attrs.get("operation.mode") == "flux":
        raise ValueError("threshold: does not apply to a run at constant flux")
    history = graded["history"].to_dataset()
    time_step = float(history.time[1] - history.time[0])
    datasets = []
    for coefficient in history.deposition.values:
        one = history.sel(deposition=coefficient).transpose(..., "time", "band")
        flux = one.flux.values
        crossing, _ = threshold_crossing(flux, threshold)
        jump = np.nan_to_num(one.flux_jump.values) if "flux_jump" in one else None
        metrics, usage = accumulated_metrics(
            flux, one.foulant_concentration_out.values, one.band_porosity.values, crossing, float(coefficient),
            time_step, graded.attrs["quadrature"], jump,
        )  # fmt: skip
        dims = one.flux.dims[:-1]
        with np.errstate(invalid="ignore"):
            missing = ~(flux < threshold).any(axis=-1)
        variables = {name: (dims, np.where(missing, np.nan, value)) for name, value in metrics.items()}
        variables["band_porosity_usage"] = ((*dims, "band"), np.where(missing[..., None], np.nan, usage))
        datasets.append(xr.Dataset(variables, {dim: one[dim] for dim in (*dims, "band")}))
    result = xr.concat(datasets, history.deposition).assign_attrs(flux_threshold=threshold)
    result = result.transpose("l_max", "gradient", "realization", "deposition", "band")
    for variable in GRADED.variables:
        if variable.name in result:
            result[variable.name].attrs = variable.attributes()
    return result
