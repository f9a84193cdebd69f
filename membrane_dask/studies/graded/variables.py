"""Tables of the result of a graded study."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from membrane_dask.schema import FLAG, Coordinate, TableSchema, Variable
from membrane_dask.studies.graded.calibration_variables import CALIBRATION_TABLES
from membrane_dask.studies.graded.design_tables import DESIGN, DESIGN_OPTIMUM, FRONT
from membrane_dask.studies.graded.diagnostic_variables import DIAGNOSTICS
from membrane_dask.studies.graded.law_variables import (
    LIFE_VARIABLES,
    SIEVING_VARIABLES,
    SPECIES,
    SPECIES_VARIABLES,
)
from membrane_dask.studies.graded.physical_units import PHYSICAL_VARIABLES, PRESSURE_LIMIT, UNITS

GU = "Gu, Kondic & Cummings, Phys. Rev. Fluids 8, 044502 (2023)"
#: Metrics for which the best gradient is estimated.
METRICS = ("throughput", "throughput_threshold", "porosity_usage", "porosity_usage_threshold")


def _gu(name: str, long_name: str, source: str = "", dims: tuple[str, ...] = (), **options: Any) -> Variable:
    """Declare a dimensionless variable of Gu's model."""
    return Variable(name, dims, "f8", "1", long_name, f"{GU}, {source}" if source else "", **options)


#: End of the long name of a metric of a whole life.
_END = " until the end of life"
#: End times of the metrics: suffix of the name, end of the long name, and whether the concentration may be undefined.
_END_TIMES: Mapping[str, tuple[str, bool]] = {
    "": ("", False),
    "_threshold": (" until the flux falls to the threshold, interpolated between steps", True),
    "_threshold_step": (" until the first time step with a flux below the threshold", True),
}


def _metrics() -> tuple[Variable, ...]:
    variables = []
    dims = ("deposition",)
    for suffix, (end, nullable) in _END_TIMES.items():
        variables += [
            _gu(f"throughput{suffix}", f"filtrate volume{end or _END}", "Eq. 28a", dims, nullable=nullable),
            _gu(
                f"foulant_concentration{suffix}",
                f"accumulated foulant concentration of the filtrate{end or _END}",
                "Eq. 28b",
                dims,
                nullable=nullable,
            ),
            _gu(f"lifetime{suffix}", f"time{end or _END}", "Sec. III", dims, nullable=nullable),
            _gu(
                f"porosity_usage{suffix}",
                f"loss of membrane porosity{end or _END}",
                "Eq. 21b",
                dims,
                nullable=nullable,
            ),
        ]
        if suffix != "_threshold_step":
            long_name = f"loss of porosity in each band{end or _END}"
            variables.append(
                _gu(f"band_porosity_usage{suffix}", long_name, "Eq. 21a", (*dims, "band"), nullable=nullable)
            )
    return tuple(variables)


#: A unit is one random network, fouled with every deposition coefficient.
GRADED = TableSchema(
    "graded",
    (
        *_metrics(),
        _gu("initial_flux", "flux through the clean filter", "Eq. 28a"),
        Variable("n_junctions", (), "i4", "1", "number of pore junctions in the membrane"),
        Variable("n_pores", (), "i4", "1", "number of pores in the membrane"),
        Variable("n_inlets", (), "i4", "1", "number of pore inlets on the feed side"),
        Variable("n_stagnant_inlets", (), "i4", "1", "number of inlets without a path to the filtrate"),
        Variable(
            "n_closed_inside", ("deposition",), "i4", "1", "number of pores between junctions that adsorption closed"
        ),
        _gu("coordination_number_mean", "mean coordination number: pores per junction", formerly="mean_degree"),
        _gu(
            "band_coordination_number",
            "mean coordination number of each band: pores per junction",
            dims=("band",),
            nullable=True,
            formerly="band_degree",
        ),
        _gu("band_surface_area", "area of the clean pore walls in each band, per area of the membrane", dims=("band",)),
        *DIAGNOSTICS,
        *LIFE_VARIABLES,
        *SPECIES_VARIABLES,
        *SIEVING_VARIABLES,
        _gu(
            "flux_residual",
            "largest relative difference of inflow and outflow at any time",
            dims=("deposition",),
            internal=True,
        ),
        *PHYSICAL_VARIABLES,
        _gu("flux", "flux through the filter", "Eq. 28a", ("deposition", "time"), group="history", nullable=True),
        _gu(
            "foulant_concentration_out",
            "foulant concentration at the outlets",
            "Eq. 28b",
            ("deposition", "time"),
            group="history",
            nullable=True,
        ),
        _gu(
            "band_porosity",
            "porosity of each band",
            "Eq. 3",
            ("deposition", "time", "band"),
            group="history",
            nullable=True,
        ),
    ),
    (
        Coordinate("l_max", "1", "largest pore length, in membrane thicknesses"),
        Coordinate("gradient", "1", "pore-radius gradient: decrease of the radius from one band to the next"),
        Coordinate("evaluation", "1", "number of the design, in the order of the search"),
        Coordinate("realization", "1", "number of the random network; equal numbers have common random numbers"),
        Coordinate("deposition", "1", "deposition coefficient"),
        Coordinate("band", "1", "band, 1 at the feed side"),
        SPECIES,
        Coordinate("time", "1", "time since the start of filtration with a clean filter"),
    ),
    "metrics and histories of every random network",
)
#: Scalars of a network that may be the objective or a constraint of a search for the best design, by name.
DESIGN_METRICS = {
    variable.name: variable
    for variable in GRADED.variables
    if not variable.group
    and not variable.attrs
    and variable.dims in ((), ("deposition",))
    and variable is not PRESSURE_LIMIT
}
#: What a search over the gradients of a list estimates.
GRADIENT_OPTIMUM = (
    _gu("gradient", "best gradient, interpolated between those of the grid", nullable=True),
    _gu("gradient_low", "lower end of the confidence interval of the gradient", nullable=True, formerly="low"),
    _gu("gradient_high", "upper end of the confidence interval of the gradient", nullable=True, formerly="high"),
    _gu("grid_gradient", "best gradient of the grid", nullable=True),
    _gu("value", "metric at the best gradient", nullable=True),
    _gu("gain", "relative improvement of the metric over the first gradient", nullable=True),
    _gu("gain_low", "lower end of the confidence interval of the gain", nullable=True),
    _gu("gain_high", "upper end of the confidence interval of the gain", nullable=True),
    Variable("at_edge", (), "u1", "1", "whether the metric is largest at an end of the grid", attrs=FLAG),
    Variable("networks", (), "i4", "1", "number of simulated networks", internal=True),
    Variable(
        "stop_reason",
        (),
        "u1",
        "1",
        "reason why no more networks were simulated",
        attrs={
            "flag_values": list(range(8)),
            "flag_meanings": "design interval tie realizations tolerance evaluations infeasible constant",
        },
        formerly="ended",
    ),
)
#: Estimated from a finished study, for each of ``METRICS`` or for the metric of a search.
OPTIMUM = TableSchema(
    "optimum_*",
    (*GRADIENT_OPTIMUM, *DESIGN_OPTIMUM),
    (
        Coordinate("l_max", "1", "largest pore length, in membrane thicknesses"),
        Coordinate("deposition", "1", "deposition coefficient"),
        Coordinate("band", "1", "band, 1 at the feed side"),
    ),
    "best gradient and improvement for one metric, with confidence intervals",
)
TABLES = (GRADED, OPTIMUM, UNITS, DESIGN, FRONT, *CALIBRATION_TABLES)
