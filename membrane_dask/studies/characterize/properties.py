"""Single numbers of a volume, from the arrays of its units."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from membrane_dask.physics.imaging.local_thickness import pore_radii
from membrane_dask.studies.characterize.simplified_models import kozeny_carman
from membrane_dask.studies.characterize.variables import PERMEABILITIES
from membrane_dask.studies.volume_flow.flow_settings import FlowSettings

#: Square metres in a millidarcy; L m-2 h-1 bar-1 in m s-1 Pa-1; bar in a psi.
_MILLIDARCY, _PERMEANCE, _PSI = 9.869233e-16, 3.6e11, 0.0689476

Arrays = Mapping[str, np.ndarray]


def structure_properties(network: Arrays, tortuosity: Arrays, volume: float, voxel_nm: float) -> dict[str, Any]:
    """Porosities, pore sizes, network and tortuosities of a volume.

    Parameters
    ----------
    network, tortuosity : mapping of str to ndarray
        Arrays of these units; empty where they were not computed.
    volume : float
        Of the structure, in cubes of ``voxel_nm``.
    voxel_nm : float
        Shortest edge of a voxel, nm.
    """
    inner = network["throat_conns"][:, 1] >= 0
    means = {
        "body_radius_mean": network["equivalent_radius"],
        "body_inscribed_radius_mean": network["inscribed_radius"],
        "throat_radius_mean": network["throat_equivalent_radius"][inner],
        "throat_inscribed_radius_mean": network["throat_inscribed_radius"][inner],
        "coordination_number_mean": network["coordination_number"],
    }
    porosity = float(network["porosity"])
    through = network["through_porosity"]
    return {
        "porosity": porosity,
        "connected_porosity": float(through[0]),
        "through_porosity": through,
        "dead_end_porosity": float(network["dead_end_porosity"]),
        "closed_porosity": float(network["closed_porosity"]),
        "percolates": float(through[0] > 0),
        "n_components": int(network["n_components"]),
        "specific_surface": float(network["wall_area"]) / (volume * voxel_nm),
        "pore_radius_mean": mean_radius(network["thickness_counts"].sum(axis=1)) * voxel_nm,
        "n_pores": len(network["volume"]),
        "n_throats": int(inner.sum()),
        **{name: float(values.mean()) if len(values) else math.nan for name, values in means.items()},
        "unassigned_fraction": float(network["unassigned_fraction"]) if porosity else math.nan,
        "tortuosity_centroid": float(network["tortuosity_centroid"]),
        **tortuosity_properties(tortuosity, porosity),
    }


def tortuosity_properties(tortuosity: Arrays, porosity: float) -> dict[str, float]:
    """Tortuosities and diffusivity along an axis, from the arrays of the unit, which are empty if it failed."""
    diffusivity = float(tortuosity.get("effective_diffusivity", math.nan))
    return {
        "tortuosity_geometric": float(tortuosity.get("tortuosity_geometric", math.nan)),
        "tortuosity_diffusive": porosity / diffusivity if diffusivity > 0 else math.nan,
        "effective_diffusivity": diffusivity,
        **{
            name: float(tortuosity.get(name, math.nan))
            for name in ("effective_diffusivity_lower_bound", "diffusion_flux_spread")
        },
    }


def stokes_properties(flow: Arrays) -> dict[str, float]:
    """Permeabilities in m2 and diagnostics of the flow along an axis; arrays in nm2, empty if the flow failed."""
    diagnostics = ("tortuosity_hydraulic", "flux_residual", "unresolved_flow_fraction")
    return {
        **{name: float(flow.get(name, math.nan)) * 1e-18 for name in PERMEABILITIES},
        **{name: float(flow.get(name, math.nan)) for name in diagnostics},
    }


def flow_properties(
    flow: Arrays, settings: FlowSettings, depth_nm: float, structure: Mapping[str, Any]
) -> dict[str, float]:
    """Permeabilities, permeances and diagnostics of the flow.

    Parameters
    ----------
    flow : mapping of str to ndarray
        Arrays of the unit of the flow, permeabilities in nm2; empty if it failed.
    settings : FlowSettings
        Flow settings of the study.
    depth_nm : float
        Depth of the volume, nm.
    structure : mapping
        From :func:`structure_properties`.
    """
    stokes = stokes_properties(flow)
    networks = {
        name: float(flow.get(name, math.nan)) * 1e-18
        for name in ("permeability_network_inscribed", "permeability_network_equivalent")
    }
    permeance = stokes["permeability"] / (settings.viscosity * depth_nm * 1e-9) * _PERMEANCE
    porosity, surface = float(structure["connected_porosity"]), float(structure["specific_surface"])
    return {
        **stokes,
        **networks,
        "permeability_millidarcy": stokes["permeability"] / _MILLIDARCY,
        "permeance": permeance,
        "permeance_psi": permeance * _PSI,
        "permeability_kozeny_carman": kozeny_carman(porosity, surface) * 1e-18,
    }


def retention_properties(retention: Arrays) -> dict[str, float]:
    """Critical pore radius and log reductions; arrays of the retention, empty if it failed."""
    names = ("critical_pore_radius", "log_reduction_value", "log_reduction_value_bound")
    return {name: float(retention.get(name, math.nan)) for name in names}


def mean_radius(counts: np.ndarray) -> float:
    """Mean pore radius by local thickness.

    Parameters
    ----------
    counts : (n,) ndarray
        Number of pore voxels within inscribed spheres of at least each radius of :func:`pore_radii`; the first counts
        all.

    Returns
    -------
    float
        In voxels; NaN without pores.
    """
    if not len(counts) or not counts[0]:
        return math.nan
    radii = pore_radii(len(counts))
    upper = np.concatenate([radii[1:], [2 * radii[-1] - (radii[-2] if len(radii) > 1 else 0.0)]])
    inside = -np.diff(np.concatenate([counts, [0.0]]))
    return float((inside * (radii + upper) / 2).sum() / counts[0])
