"""Tables of the result of a characterize study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from membrane_dask.schema import FLAG, Coordinate, TableSchema, Variable
from membrane_dask.studies.characterize import bench_variables, size_variables

CHAMANI = "Chamani et al., Data-science-based reconstruction of 3-D membrane pore structure (2023)"
_AVIZO = "Chamani Table 1 (Avizo)"


def _property(
    name: str,
    units: str,
    scale: Literal["log", "logit", "log_excess", "none"],
    long_name: str,
    source: str = "",
    *,
    dims: tuple[str, ...] = (),
    attrs: Mapping[str, object] | None = None,
    formerly: str = "",
    internal: bool = False,
) -> Variable:
    """Declare a property of a volume; NaN where it is not defined or was not computed.

    ``scale`` is that of its interval over replicates (:func:`membrane_dask.replicate_interval`).
    """
    attrs = {**(attrs or {}), "interval_scale": scale}
    return Variable(
        name, dims, "f8", units, long_name, source, nullable=True, attrs=attrs, formerly=formerly, internal=internal
    )


#: Properties of the structure.
STRUCTURE: tuple[Variable, ...] = (
    _property("porosity", "1", "logit", "fraction of the volume in pores"),
    _property(
        "connected_porosity", "1", "logit",
        "fraction of the volume in pores that percolate from the feed side to the filtrate",
    ),
    _property(
        "through_porosity", "1", "logit",
        "fraction of the volume in pores that percolate along each axis", dims=("axis",),
    ),
    _property("dead_end_porosity", "1", "logit", "fraction of the volume in pores open to either feed or filtrate"),
    _property("closed_porosity", "1", "logit", "fraction of the volume in pores open to neither feed nor filtrate"),
    _property("percolates", "1", "none", "whether a pore path leads from the feed side to the filtrate", attrs=FLAG),
    _property("n_components", "1", "log", "number of connected components of the pore space"),
    _property("specific_surface", "nm-1", "log", "area of the pore walls per volume (Crofton's formula)"),
    _property("pore_radius_mean", "nm", "log", "mean pore radius (local thickness) over the pore space"),
    _property("n_pores", "1", "log", "number of pores of the network"),
    _property("n_throats", "1", "log", "number of throats between pores of the network"),
    _property("body_radius_mean", "nm", "log", "mean pore radius of the network, of spheres of equal volume", _AVIZO),
    _property("body_inscribed_radius_mean", "nm", "log", "mean pore radius of the network, of inscribed spheres"),
    _property("throat_radius_mean", "nm", "log", "mean throat radius, of circles of equal area", _AVIZO),
    _property("throat_inscribed_radius_mean", "nm", "log", "mean throat radius, of inscribed spheres"),
    _property("coordination_number_mean", "1", "log", "mean coordination number: throats per pore", _AVIZO),
    _property(
        "unassigned_fraction", "1", "logit", "fraction of the pore volume that belongs to no pore of the network",
        formerly="unassigned_share",
    ),
    _property(
        "tortuosity_geometric", "1", "log_excess",
        "mean length of the geodesic paths from feed side to filtrate, over the depth",
    ),
    _property(
        "tortuosity_centroid", "1", "log_excess",
        "length of the line through the centroids of the percolating pores, plane by "
        "plane, over the depth", _AVIZO,
    ),
    _property(
        "tortuosity_diffusive", "1", "log_excess", "porosity over relative effective diffusivity (tortuosity factor)",
    ),
    _property("effective_diffusivity", "1", "log", "effective diffusivity along the depth, over that in free fluid"),
    _property(
        "effective_diffusivity_lower_bound", "1", "none",
        "lower bound of the effective diffusivity of the discrete problem along the depth, of which "
        "effective_diffusivity is an upper bound",
    ),
    _property(
        "diffusion_flux_spread", "1", "none", "largest difference of the diffusive flux between planes, over its mean",
        internal=True,
    ),
)  # fmt: skip
#: Properties of the Stokes flow.
FLOW: tuple[Variable, ...] = (
    _property(
        "permeability", "m2", "log", "permeability along the depth by Stokes flow, estimated from both wall models",
    ),
    _property(
        "permeability_low", "m2", "none", "low end of the 90 % interval of the permeability for the resolution error",
    ),
    _property(
        "permeability_high", "m2", "none", "high end of the 90 % interval of the permeability for the resolution error",
    ),
    _property("permeability_smooth_walls", "m2", "log", "permeability of the discrete problem with smooth walls"),
    _property("permeability_staircase_walls", "m2", "log", "permeability of the discrete problem with staircase walls"),
    _property(
        "permeability_upper_bound", "m2", "none",
        "upper bound of the permeability of the discrete problem with the wall model of the study",
        formerly="permeability_upper",
    ),
    _property("permeability_millidarcy", "mD", "log", "the same permeability, in millidarcy"),
    _property("permeance", "L m-2 h-1 bar-1", "log", "flux over the pressure difference between the faces"),
    _property("permeance_psi", "L m-2 h-1 psi-1", "log", "flux over the pressure difference", "Chamani Table 1"),
    _property("tortuosity_hydraulic", "1", "log_excess", "mean speed in the pores over mean velocity along the depth"),
    _property(
        "flux_residual", "1", "none", "largest difference of the flux between two planes, over its mean", internal=True
    ),
    _property(
        "unresolved_flow_fraction", "1", "logit",
        "fraction of the flow in pores one voxel wide, which are not resolved",
        formerly="narrow_flow_share",
    ),
    _property(
        "permeability_mobility_estimate", "m2", "log",
        "estimate from local mobilities, 1.1 to 1.4 times the permeability with the wall model of the study",
        formerly="permeability_screening",
    ),
    _property(
        "permeability_network_inscribed", "m2", "log",
        "permeability of the pore network with throats as circular tubes of the inscribed radius; none where only the "
        "voxels percolate",
    ),
    _property(
        "permeability_network_equivalent", "m2", "log",
        "permeability of the pore network with throats as circular tubes of equal area; none where only the voxels "
        "percolate",
    ),
    _property(
        "permeability_kozeny_carman", "m2", "log",
        "permeability by Kozeny and Carman (constant 5), from connected porosity and specific surface",
    ),
)  # fmt: skip
#: Properties of the retention of particles.
RETENTION: tuple[Variable, ...] = (
    _property("critical_pore_radius", "nm", "log", "radius of the largest particle with a percolating path"),
    _property(
        "log_reduction_value", "1", "log",
        "decimal logarithm of the particle concentration in feed over filtrate; infinite where no particle passes",
        "Chamani Sec. 3.6",
    ),
    _property(
        "log_reduction_value_bound", "1", "none",
        "lower 95 % confidence bound of the log reduction from a count of tracked particles",
    ),
)  # fmt: skip
#: Permeabilities of a flow along an axis: the estimate with the ends of its interval, and the values it follows from.
PERMEABILITIES = (
    "permeability", "permeability_low", "permeability_high", "permeability_smooth_walls",
    "permeability_staircase_walls", "permeability_upper_bound", "permeability_mobility_estimate",
)  # fmt: skip
#: Properties of transport, which are also computed along other axes than the depth.
DIRECTIONAL = (
    *PERMEABILITIES,
    "tortuosity_hydraulic", "flux_residual", "unresolved_flow_fraction", "tortuosity_geometric",
    "tortuosity_diffusive", "effective_diffusivity", "effective_diffusivity_lower_bound", "diffusion_flux_spread",
)  # fmt: skip
_LOG_REDUCTION = "log reduction of particles that"
#: Velocities of all voxels.
VELOCITY = Variable(
    "velocity", ("component", "z", "y", "x"), "f4", "m s-1",
    "velocity at the centres of the voxels under the pressure difference of the study; 0 in the solid",
)  # fmt: skip
#: Pore network: pores and throats in rows.
NETWORK: tuple[Variable, ...] = (
    Variable("position", ("pore", "axis"), "f8", "nm", "centroid of the pore, from the corner of the volume"),
    Variable("volume", ("pore",), "f8", "nm3", "volume of the pore"),
    Variable("equivalent_radius", ("pore",), "f8", "nm", "radius of a sphere of the pore's volume", _AVIZO),
    Variable("inscribed_radius", ("pore",), "f8", "nm", "radius of the largest sphere inscribed in the pore"),
    Variable("surface_area", ("pore",), "f8", "nm2", "area of the pore's walls (Crofton's formula)"),
    Variable("coordination_number", ("pore",), "i8", "1", "number of throats of the pore"),
    Variable(
        "throat_conns", ("throat", "end"), "i4", "1",
        "the two pores of the throat; second entry -1: feed side, -2: filtrate", formerly="ends",
    ),
    Variable("throat_equivalent_radius", ("throat",), "f8", "nm", "radius of a circle of the throat's area", _AVIZO),
    Variable("throat_inscribed_radius", ("throat",), "f8", "nm", "radius of the largest sphere that passes the throat"),
    Variable("throat_area", ("throat",), "f8", "nm2", "cross-sectional area of the throat"),
    Variable("throat_length", ("throat",), "f8", "nm", "length from pore centre to pore centre through the throat"),
    Variable("extent", ("axis",), "f8", "nm", "size of the volume"),
)  # fmt: skip

_SECTION = "pores (1) in the middle plane across"
#: Middle planes of a volume.
SECTIONS: tuple[Variable, ...] = (
    Variable("section_z", ("y", "x"), "u1", "1", f"{_SECTION} the depth", attrs=FLAG),
    Variable("section_y", ("z", "x"), "u1", "1", f"{_SECTION} y", attrs=FLAG),
    Variable("section_x", ("z", "y"), "u1", "1", f"{_SECTION} x", attrs=FLAG),
)

COORDINATES = (
    Coordinate("replicate", "1", "number of the replicate of the reconstruction"),
    Coordinate("z", "nm", "depth below the feed-side surface"),
    Coordinate("y", "nm", "position perpendicular to the section"),
    Coordinate("x", "nm", "position along the section"),
    Coordinate("component", "", "axis of the component of a vector"),
    Coordinate("gradient", "", "axis of the gradient of pressure or concentration"),
    Coordinate("principal", "1", "number of the principal value"),
    Coordinate("axis", "1", "axis of the volume: 0 the depth z, 1 y, 2 x"),
    Coordinate("direction", "", "axis along which the difference of pressure or concentration acts"),
    Coordinate("property", "", "name of the property"),
    Coordinate("quarter", "1", "quarter of the depth, 0 at the feed side"),
    Coordinate("pore_radius", "nm", "radius of an inscribed sphere"),
    Coordinate("particle_diameter", "nm", "diameter of a particle"),
    Coordinate("pore", "1", "number of the pore"),
    Coordinate("throat", "1", "number of the throat"),
    Coordinate("end", "1", "end of the throat"),
    *size_variables.COORDINATES,
)


def _table(name: str, description: str, variables: tuple[Variable, ...]) -> TableSchema:
    return TableSchema(name, variables, COORDINATES, description)


def _along_axis(variable: Variable) -> Variable:
    """The declaration of a property along any axis."""
    long_name = variable.long_name.replace("along the depth", "along the axis").replace("depth", "length of the axis")
    long_name = long_name.replace("from feed side to filtrate", "from one face to the opposite one")
    return replace(variable, dims=("direction",), long_name=long_name, formerly="")


def _tensor(name: str, units: str) -> tuple[Variable, ...]:
    """Declarations of a tensor, its upper bound, its principal values and directions."""
    text = "permeability" if name == "permeability" else "effective diffusivity (over that in free fluid)"
    dims = ("component", "gradient")
    return (
        _property(
            f"{name}_tensor", units, "none",
            f"tensor of the {text}: symmetric part of that of the sample, lower bound of that of a periodic medium",
            dims=dims,
        ),
        _property(
            f"{name}_tensor_upper_bound", units, "none",
            "tensor of the flows at their upper bounds, NaN for diffusion through a sample; of a periodic medium, less "
            "the lower bound it has no negative principal value",
            dims=dims,
        ),
        _property(
            f"{name}_tensor_asymmetry", "1", "none",
            "largest difference of elements across the diagonal over the mean of the diagonal; 0 of a periodic medium",
        ),
        _property(
            f"{name}_principal", units, "log", "principal values of the tensor, in descending order",
            dims=("principal",),
        ),
        _property(
            f"{name}_principal_direction", "1", "none",
            "unit vectors of the principal directions, whose largest component is positive",
            dims=("principal", "component"),
        ),
    )  # fmt: skip


#: Tables of the volumes of the input, each with the dimension ``replicate``.
REPLICATE_TABLES: Mapping[str, TableSchema] = {
    table.name: table
    for table in (
        _table("properties", "single numbers of every volume", STRUCTURE + FLOW + RETENTION),
        _table(
            "directional", "properties of transport along each axis of the study",
            tuple(_along_axis(variable) for variable in (*STRUCTURE, *FLOW) if variable.name in DIRECTIONAL),
        ),
        _table(
            "tensors", "tensors of transport, of the sample or of a medium that repeats it along all axes",
            (*_tensor("permeability", "m2"), *_tensor("diffusivity", "1")),
        ),
        _table(
            "pore_sizes", "pore size distributions by local thickness",
            (
                _property(
                    "cumulative_volume_fraction", "1", "logit",
                    "fraction of the pore volume with at least this pore radius (local thickness)",
                    dims=("pore_radius",), formerly="share_wider",
                ),
                _property(
                    "quarter_cumulative_volume_fraction", "1", "logit", "the same for each quarter of the depth",
                    dims=("quarter", "pore_radius"), formerly="quarter_share_wider",
                ),
                _property(
                    "quarter_pore_radius_mean", "nm", "log", "mean pore radius in each quarter of the depth",
                    dims=("quarter",),
                ),
            ),
        ),
        _table(
            "profiles", "properties of every plane of the depth",
            (
                _property("porosity", "1", "logit", "fraction of the plane in pores", dims=("z",)),
                _property(
                    "connected_porosity", "1", "logit",
                    "fraction of the plane in pores that percolate from feed side to "
                    "filtrate", dims=("z",),
                ),
                _property(
                    "pore_radius_mean", "nm", "log", "mean pore radius (local thickness) in the plane", dims=("z",),
                ),
            ),
        ),
        *(_table(*size_table) for size_table in size_variables.TABLES),
        _table(
            "flow", "speed of the flow in the middle section",
            (
                _property(
                    "speed", "m s-1", "log", "speed in the middle section under the pressure difference of the study",
                    dims=("z", "x"),
                ),
            ),
        ),
        _table(
            "rejection", "log reductions by particle size",
            (
                _property(
                    "log_reduction_reflecting", "1", "log",
                    f"{_LOG_REDUCTION} slide along walls", dims=("particle_diameter",),
                    formerly="log_reduction_sieving",
                ),
                _property(
                    "log_reduction_perfect_sink", "1", "log",
                    f"{_LOG_REDUCTION} are deposited at first contact with a wall",
                    dims=("particle_diameter",), formerly="log_reduction_first_touch",
                ),
            ),
        ),
        _table(
            "deposition", "depth at which particles are deposited",
            (
                _property(
                    "deposited_fraction", "1", "logit",
                    "fraction of the deposited particles in each plane, for walls that are "
                    "perfect sinks", dims=("z",), formerly="caught",
                ),
            ),
        ),
    )
}  # fmt: skip
#: The same tables of the reference, without the dimension ``replicate``.
REFERENCE_TABLES: Mapping[str, TableSchema] = {
    name: _table(f"reference_{name}", f"{table.description}, of the reference", table.variables)
    for name, table in REPLICATE_TABLES.items()
}
DIFFERENCE_TABLE = _table(
    "difference",
    "relative differences between the replicates and the reference",
    tuple(
        Variable(
            v.name, (), "f8", "1", f"relative difference from the reference: {v.long_name}", v.source, nullable=True,
            formerly=v.formerly, internal=v.internal,
        )
        for v in STRUCTURE + FLOW + RETENTION
        if not v.dims and v.name != "percolates"
    ),
)  # fmt: skip
_PROPERTY = ("property",)
COMPARISON_TABLE = _table(
    "comparison",
    "differences of the single properties from the reference, with intervals and p-values",
    (
        Variable(
            "difference", _PROPERTY, "f8", "1",
            "relative difference from the reference: of the best matches, or of the means of independent searches",
            nullable=True,
        ),
        Variable("difference_low", _PROPERTY, "f8", "1", "low end of its 90 % interval", nullable=True),
        Variable("difference_high", _PROPERTY, "f8", "1", "high end of its 90 % interval", nullable=True),
        Variable(
            "p_value", _PROPERTY, "f8", "1",
            "probability of a difference at least as large between two structures of equal membranes", "Welch 1947",
            nullable=True,
        ),
    ),
)  # fmt: skip
NETWORK_TABLE = _table("network_*", "pore network of a replicate", NETWORK)
REFERENCE_NETWORK_TABLE = _table("reference_network*", "pore network of the reference", NETWORK)
SECTION_TABLE = _table("sections", "middle planes of the first replicate; of large volumes every n-th voxel", SECTIONS)
REFERENCE_SECTION_TABLE = _table("reference_sections", "middle planes of the reference", SECTIONS)
LOCAL_POROSITY_TABLE = _table("local_porosity_*", "local porosity of a replicate", (size_variables.LOCAL_POROSITY,))
REFERENCE_LOCAL_POROSITY_TABLE = _table(
    "reference_local_porosity*", "local porosity of the reference", (size_variables.LOCAL_POROSITY,)
)
VELOCITY_IMAGE = _table("velocity_*", "velocities of a replicate", (VELOCITY,))
REFERENCE_VELOCITY_IMAGE = _table("reference_velocity*", "velocities of the reference", (VELOCITY,))

TABLES = (
    *REPLICATE_TABLES.values(),
    *REFERENCE_TABLES.values(),
    DIFFERENCE_TABLE,
    COMPARISON_TABLE,
    NETWORK_TABLE,
    REFERENCE_NETWORK_TABLE,
    LOCAL_POROSITY_TABLE,
    REFERENCE_LOCAL_POROSITY_TABLE,
    SECTION_TABLE,
    REFERENCE_SECTION_TABLE,
    VELOCITY_IMAGE,
    REFERENCE_VELOCITY_IMAGE,
    *(schema for schemas in bench_variables.TABLES.values() for schema in schemas),
    bench_variables.THROAT_FLOW_TABLE,
)
