"""Tables of the virtual bench."""

from __future__ import annotations

from typing import Literal

from membrane_dask.schema import Coordinate, TableSchema, Variable

_DECHADILOK = "Dechadilok and Deen 2006"


def _quantity(
    name: str, units: str, scale: Literal["log", "logit", "none"], long_name: str, source: str = "",
    dims: tuple[str, ...] = (),
) -> Variable:  # fmt: skip
    """Declare a result; NaN where it is not defined or was not computed. ``scale`` is that of its interval."""
    return Variable(name, dims, "f8", units, long_name, source, nullable=True, attrs={"interval_scale": scale})


#: Single numbers of a volume.
SCALARS = (
    _quantity(
        "bubble_point_radius", "nm", "log", "entry radius of the widest path of pore voxels from feed side to filtrate"
    ),
    _quantity("bubble_point_pressure", "bar", "log", "pressure at which the wetting liquid leaves this path"),
    _quantity(
        "critical_pore_radius", "nm", "log", "radius of the largest particle that passes on this path",
    ),
    _quantity(
        "mean_flow_pore_radius", "nm", "log", "largest entry radius with at least half of the dry flow"
    ),
    _quantity("mean_flow_pore_pressure", "bar", "log", "pressure of this radius for the wetting liquid"),
    _quantity(
        "smallest_flow_pore_radius", "nm", "log",
        "largest entry radius with at least 98 % of the dry flow",
    ),
    _quantity(
        "mercury_median_radius", "nm", "log", "entry radius at half of the intruded volume, linear in the logarithm"
    ),
    _quantity("mercury_porosity", "1", "logit", "porosity that the intruded volume gives"),
    _quantity("water_permeance", "L m-2 h-1 bar-1", "log", "permeance of water at the temperature of the bench"),
    _quantity(
        "gas_radius", "nm", "log", "pore radius by gas permeation, 16/3 times viscosity, mean speed and slope over "
        "intercept",
    ),
    _quantity("gas_slope", "mol m-2 s-1 Pa-2", "log", "slope of the permeance against the mean pressure"),
    _quantity("gas_intercept", "mol m-2 s-1 Pa-1", "log", "permeance extrapolated to a mean pressure of 0"),
    _quantity("rejection_radius_90", "nm", "log", "Stokes radius of a solute that is rejected to 90 %", _DECHADILOK),
    _quantity("liquid_entry_pressure", "bar", "log", "pressure at which water enters the widest path"),
    _quantity("permeability", "m2", "log", "permeability of all pores, of the flow that the bench uses"),
    _quantity(
        "network_permeability_ratio", "1", "log",
        "permeability of the network over that of the Stokes flow from which its conductances are",
    ),
    _quantity("throat_number_median_radius", "nm", "log", "median entry radius of the throats that carry flow"),
    _quantity("throat_log_sd", "1", "log", "standard deviation of the logarithm of these radii"),
    _quantity("throat_flow_median_radius", "nm", "log", "median of these radii weighted by the flow"),
    _quantity(
        "fallback_flow_fraction", "1", "logit",
        "fraction of the flow in throats whose conductance is that of a formula, as flow and pressure difference "
        "disagree",
    ),
    _quantity(
        "slit_flow_fraction", "1", "logit",
        "fraction of the flow in throats whose area is more than three times that of the inscribed circle",
    ),
)  # fmt: skip
_RADIUS = ("entry_radius",)
CURVES = (
    _quantity("wet_fraction", "1", "logit", "wet flow over dry flow at the pressure of this radius", dims=_RADIUS),
    _quantity("mercury_fraction", "1", "logit", "fraction of the pore volume that mercury fills", dims=_RADIUS),
    _quantity(
        "access_fraction", "1", "logit",
        "fraction of the pore voxels to which a path at least this wide leads from the inlet", dims=_RADIUS,
    ),
)  # fmt: skip
REJECTION = (
    _quantity(
        "sieving_coefficient", "1", "logit", "concentration in the filtrate over that in the feed, without diffusion",
        _DECHADILOK, ("solute_radius",),
    ),
)  # fmt: skip
GAS = (
    _quantity(
        "gas_permeance", "mol m-2 s-1 Pa-1", "log", "molar flux of the gas over the pressure difference",
        dims=("mean_pressure",),
    ),
)  # fmt: skip
SECTION = (
    Variable(
        "drainage_radius", ("z", "x"), "f4", "nm",
        "entry radius at which the voxel is emptied, in the middle plane across y; 0 in pores that stay filled, -1 in "
        "the solid",
    ),
)  # fmt: skip
#: Of every volume singly, as networks differ in their numbers of pores and throats.
THROAT_FLOW = (
    Variable(
        "stokes_flow", ("throat",), "f8", "1",
        "Stokes flow through the voxels of the throat under a unit pressure difference and viscosity, from its first "
        "to its second pore, into an inlet, out of an outlet; cubes of the voxel edge",
    ),
    Variable(
        "core_pressure", ("pore",), "f8", "1",
        "mean pressure in the core of the pore, 1 at the feed side and 0 at the filtrate side; NaN without flow",
        nullable=True,
    ),
)  # fmt: skip

COORDINATES = (
    Coordinate("replicate", "1", "number of the replicate of the reconstruction"),
    Coordinate("entry_radius", "nm", "radius of the meniscus"),
    Coordinate("solute_radius", "nm", "Stokes radius of the solute"),
    Coordinate("mean_pressure", "bar", "mean absolute pressure"),
    Coordinate("z", "nm", "depth below the feed-side surface"),
    Coordinate("x", "nm", "position along the section"),
)
NETWORK_COORDINATES = (
    Coordinate("pore", "1", "number of the pore"),
    Coordinate("throat", "1", "number of the throat"),
)


def _tables(name: str, description: str, variables: tuple[Variable, ...]) -> tuple[TableSchema, TableSchema]:
    """Declarations of a table of the replicates and of the reference."""
    return (
        TableSchema(name, variables, COORDINATES, description),
        TableSchema(f"reference_{name}", variables, COORDINATES, f"{description}, of the reference"),
    )


#: Tables of the replicates and of the reference, by name.
TABLES = {
    schemas[0].name: schemas
    for schemas in (
        _tables("bench", "what a laboratory would measure", SCALARS),
        _tables("bench_curves", "drainage and mercury intrusion at every entry radius", CURVES),
        _tables("bench_rejection", "sieving of solutes", REJECTION),
        _tables("bench_gas", "gas permeation", GAS),
        _tables("bench_section", "drainage of the first volume; of large ones every n-th voxel", SECTION),
    )
}
#: The flow from which the conductances of a replicate's throats follow; pores and throats are those of ``network_*``.
THROAT_FLOW_TABLE = TableSchema(
    "throat_flow_*", THROAT_FLOW, NETWORK_COORDINATES, "Stokes flow through the throats of a replicate"
)
