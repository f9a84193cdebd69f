"""Methods of the round trip: which number of a porometry study each one concludes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from membrane_dask.io.run_tables import RunTable


@dataclass(frozen=True)
class Method:
    """A method of the bench.

    Parameters
    ----------
    name : str
        Its label in the result.
    radius : str
        Variable of the table ``porometry`` that is its radius.
    radius_name : str
        What that radius is.
    fit : str, optional
        Method of the table whose fitted law belongs to it.
    """

    name: str
    radius: str
    radius_name: str
    fit: str = ""


METHODS = (
    Method("bubble point", "bubble_point_radius", "largest pore"),
    Method("mean flow pore", "mean_flow_pore_radius", "half of the gas flow"),
    Method("capillary flow", "flow_median_radius", "flow median", "capillary flow"),
    Method("liquid displacement", "flow_median_radius", "flow median", "liquid displacement"),
    Method("gas permeation", "gas_radius", "viscous over Knudsen flow", "gas permeation"),
    Method("mercury", "mercury_median_radius", "half of the pore volume"),
    Method("rejection", "flow_median_radius", "flow median", "rejection"),
    Method("rejection, 90 %", "rejection_radius_90", "solute rejected by 90 %"),
)


def inferred(fits: RunTable, membrane: str) -> dict[str, np.ndarray]:
    """What each method concludes of a membrane.

    Parameters
    ----------
    fits : RunTable
        Table ``porometry``.
    membrane : str
        Its label.

    Returns
    -------
    dict of str to (n_methods,) float array
        ``radius_inferred``, ``radius_low``, ``radius_high`` (nm), ``log_sd_inferred``, ``law_misfit`` and
        ``porosity_over_path_length`` (1/m); NaN where the method does not give it. A method that gives radii
        and no flow of a liquid has the porosity at which pores of its radii have the measured permeance of water.
    """
    # Hagen and Poiseuille: porosity x (hydraulic radius)^2 / path length.
    structure_number = float(fits.at("structure_number", membrane=membrane))

    def values(variable: str, method: Method) -> float:
        return float(fits.at(variable, membrane=membrane, method=method.fit))

    def porosity_over_path_length(method: Method) -> float:
        own = values("porosity_over_path_length", method)
        radius = 1e-9 * values("hydraulic_radius", method)
        return own if np.isfinite(own) else structure_number / (radius * radius)

    return {
        "radius_inferred": np.array([values(method.radius, method) for method in METHODS]),
        "radius_low": np.array([values(f"{method.radius}_low", method) for method in METHODS]),
        "radius_high": np.array([values(f"{method.radius}_high", method) for method in METHODS]),
        "log_sd_inferred": np.array([values("log_sd", method) for method in METHODS]),
        "law_misfit": np.array([values("fit_misfit", method) for method in METHODS]),
        "porosity_over_path_length": np.array([porosity_over_path_length(method) for method in METHODS]),
    }
