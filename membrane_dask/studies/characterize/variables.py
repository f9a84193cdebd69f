"""Result variables of a characterize study."""

from __future__ import annotations

from collections.abc import Mapping

from membrane_dask.schema import FLAG, Coordinate, TableSchema, Variable


def _measured(
    name: str,
    units: str,
    long_name: str,
    source: str = "",
    *,
    dims: tuple[str, ...] = (),
    attrs: Mapping[str, object] | None = None,
) -> Variable:
    """A property of a volume; NaN where the volume has no such thing."""
    return Variable(name, dims, "f8", units, long_name, source, nullable=True, attrs=attrs or {})


CHAMANI = "Chamani et al., Data-science-based reconstruction of 3-D membrane pore structure (2023)"
_AVIZO = "Chamani Table 1 (Avizo)"
#: Result of a characterize study: what a volume is, in single numbers.
PROPERTIES: tuple[Variable, ...] = (
    _measured("porosity", "1", "pore fraction of the volume"),
    _measured("connected_porosity", "1", "fraction of the volume in pores that reach from the feed side to the other"),
    _measured(
        "through_porosity", "1", "fraction of the volume in pores that reach from face to face along each axis",
        dims=("axis",),
    ),
    _measured("dead_end_porosity", "1", "fraction of the volume in pores that reach one of the two sides only"),
    _measured("closed_porosity", "1", "fraction of the volume in pores that reach neither side"),
    _measured("percolates", "1", "whether pores reach from the feed side to the other", attrs=FLAG),
    _measured("n_components", "1", "number of separate parts of the pore space"),
    _measured("specific_surface", "nm-1", "area of the pores' surface in a unit volume (Crofton's formula)"),
    _measured("pore_radius_mean", "nm", "mean radius of the largest ball in the pores that holds a point of them"),
    _measured("n_pores", "1", "number of pores of the network"),
    _measured("n_throats", "1", "number of throats between pores of the network"),
    _measured("body_radius_mean", "nm", "mean radius of balls of the pores' volumes", _AVIZO),
    _measured("body_inscribed_radius_mean", "nm", "mean radius of the largest balls in the pores"),
    _measured("throat_radius_mean", "nm", "mean radius of discs of the throats' areas", _AVIZO),
    _measured("throat_inscribed_radius_mean", "nm", "mean radius of the largest balls that pass the throats"),
    _measured("coordination_number_mean", "1", "mean number of throats at a pore", _AVIZO),
    _measured("unassigned_share", "1", "share of the pore volume that no pore of the network holds"),
    _measured(
        "tortuosity_geometric", "1",
        "mean length of the shortest ways through the pores from the feed side to the other, over the depth",
    ),
    _measured(
        "tortuosity_centroid", "1",
        "length of the line through the centroids, plane by plane, of the connected pores, over the depth", _AVIZO,
    ),
    _measured(
        "tortuosity_diffusive", "1",
        "porosity over effective diffusivity (tortuosity factor); missing where nothing leads through",
    ),
    _measured("effective_diffusivity", "1", "diffusivity of the pore space along the depth, over that of a free fluid"),
    _measured("diffusion_flux_spread", "1", "largest difference of the diffusive flux between planes, over its mean"),
)  # fmt: skip
#: The same of the flow through it.
FLOW: tuple[Variable, ...] = (
    _measured("permeability", "m2", "permeability along the depth, by the flow itself"),
    _measured("permeability_upper", "m2", "upper bound of what the discrete problem's permeability can be"),
    _measured(
        "permeability_other_surface", "m2",
        "permeability where the solid's surface is taken the other way: as that of the voxels, or as smooth",
    ),
    _measured("permeability_millidarcy", "mD", "permeability along the depth, by the flow itself"),
    _measured("permeance", "L m-2 h-1 bar-1", "flux over the pressure between both faces"),
    _measured("permeance_psi", "L m-2 h-1 psi-1", "flux over the pressure between both faces", "Chamani Table 1"),
    _measured("tortuosity_hydraulic", "1", "mean speed in the pores over mean velocity along the depth"),
    _measured("flux_residual", "1", "largest difference of the flux through two planes of the depth, over its mean"),
    _measured("narrow_flow_share", "1", "share of the flow in pores one voxel wide, which no grid resolves"),
    _measured(
        "permeability_screening", "m2", "estimate from local mobilities alone, 1.1 to 1.4 times the permeability"
    ),
    _measured(
        "permeability_network_inscribed", "m2",
        "permeability of the pore network, its throats taken for round tubes of the inscribed radius",
    ),
    _measured(
        "permeability_network_equivalent", "m2",
        "permeability of the pore network, its throats taken for round tubes of the same area",
    ),
    _measured(
        "permeability_kozeny_carman", "m2", "from connected porosity and surface (Kozeny and Carman, constant 5)"
    ),
)  # fmt: skip
#: The same of what the pores hold back.
RETENTION: tuple[Variable, ...] = (
    _measured("critical_pore_radius", "nm", "radius of the largest ball for which there is a way through"),
    _measured(
        "log_reduction_value", "1",
        "decimal logarithm of the concentration of balls in the feed over that behind; infinite where none can pass",
        "Chamani Sec. 3.6",
    ),
    _measured(
        "log_reduction_value_bound", "1",
        "lower bound (95 %) of the log reduction that balls followed one by one show, as in an experiment",
    ),
)  # fmt: skip
#: What balls of many sizes do.
REJECTION: tuple[Variable, ...] = (
    _measured(
        "log_reduction_sieving", "1", "log reduction where a ball moves on along a wall that it touches",
        dims=("particle_diameter",),
    ),
    _measured(
        "log_reduction_first_touch", "1", "log reduction where a ball sticks to the first wall that it touches",
        dims=("particle_diameter",),
    ),
)  # fmt: skip
#: Where balls stick.
DEPOSITION: tuple[Variable, ...] = (
    _measured("caught", "1", "share of the balls caught at first touch that each plane catches", dims=("z",)),
)
#: Speeds of the flow in a section.
FLOW_SECTION: tuple[Variable, ...] = (
    _measured("speed", "m s-1", "speed in the middle section, under the study's pressure", dims=("z", "x")),
)
#: The whole field of them.
VELOCITY = Variable(
    "velocity", ("component", "z", "y", "x"), "f4", "m s-1",
    "velocity in the middle of the voxels, under the study's pressure; 0 in the solid",
)  # fmt: skip
#: How sizes are distributed over the pore space of a volume.
PORE_SIZES: tuple[Variable, ...] = (
    _measured(
        "share_wider", "1", "share of the pore volume in balls of this radius or larger that fit into the pores",
        dims=("pore_radius",),
    ),
    _measured("quarter_share_wider", "1", "the same for each quarter of the depth", dims=("quarter", "pore_radius")),
    _measured("quarter_pore_radius_mean", "nm", "mean radius of those balls in each quarter", dims=("quarter",)),
)  # fmt: skip
#: What changes with the depth of a volume.
PROFILES: tuple[Variable, ...] = (
    _measured("porosity", "1", "pore fraction of each plane of the depth", dims=("z",)),
    _measured("connected_porosity", "1", "the same of pores that reach from the feed side to the other", dims=("z",)),
    _measured("pore_radius_mean", "nm", "mean radius of the largest balls in the pores of each plane", dims=("z",)),
)  # fmt: skip
#: A pore network: a row for every pore, and one for every throat.
NETWORK: tuple[Variable, ...] = (
    Variable("position", ("pore", "axis"), "f8", "nm", "centroid of the pore, from the corner of the volume"),
    Variable("volume", ("pore",), "f8", "nm3", "volume of the pore"),
    Variable("equivalent_radius", ("pore",), "f8", "nm", "radius of a ball of the pore's volume", _AVIZO),
    Variable("inscribed_radius", ("pore",), "f8", "nm", "radius of the largest ball in the pore"),
    Variable("surface_area", ("pore",), "f8", "nm2", "area of the pore's walls (Crofton's formula)"),
    Variable("coordination_number", ("pore",), "i4", "1", "number of throats at the pore"),
    Variable(
        "ends",
        ("throat", "end"),
        "i4",
        "1",
        "pores at both ends; -1 and -2 in the second place: the feed side, the other",
    ),
    Variable("throat_equivalent_radius", ("throat",), "f8", "nm", "radius of a disc of the throat's area", _AVIZO),
    Variable("throat_inscribed_radius", ("throat",), "f8", "nm", "radius of the largest ball that passes the throat"),
    Variable("throat_area", ("throat",), "f8", "nm2", "area of the faces between both pores, across the throat"),
    Variable("throat_length", ("throat",), "f8", "nm", "from centre to centre by way of the throat's middle"),
    Variable("extent", ("axis",), "f8", "nm", "size of the volume"),
)


#: Dimensions of all tables.
COORDINATES = (
    Coordinate("replicate", "1", "number of the reconstruction"),
    Coordinate("z", "nm", "depth below the feed-side surface"),
    Coordinate("y", "nm", "position across the sections"),
    Coordinate("x", "nm", "position along the section"),
    Coordinate("component", "", "axis of the velocity component"),
    Coordinate("axis", "1", "axis of the volume: 0 the depth z, 1 y, 2 x"),
    Coordinate("quarter", "1", "quarter of the depth, 0 at the feed side"),
    Coordinate("pore_radius", "nm", "radius of an inscribed sphere"),
    Coordinate("particle_diameter", "nm", "diameter of a particle"),
    Coordinate("pore", "1", "number of the pore"),
    Coordinate("throat", "1", "number of the throat"),
    Coordinate("end", "1", "end of the throat"),
)


def _difference(variable: Variable) -> Variable:
    long_name = f"relative difference to the reference: {variable.long_name}"
    return Variable(variable.name, (), "f8", "1", long_name, variable.source, nullable=True)


#: Replicates compared with the reference.
DIFFERENCE = tuple(
    _difference(v) for v in PROPERTIES + FLOW + RETENTION if not v.dims and v.name != "percolates"
)  # fmt: skip

PROPERTIES_TABLE = TableSchema("properties", PROPERTIES + FLOW + RETENTION, COORDINATES)
REJECTION_TABLE = TableSchema("rejection", REJECTION, COORDINATES)
DEPOSITION_TABLE = TableSchema("deposition", DEPOSITION, COORDINATES)
FLOW_TABLE = TableSchema("flow", FLOW_SECTION, COORDINATES)
PORE_SIZES_TABLE = TableSchema("pore_sizes", PORE_SIZES, COORDINATES)
PROFILES_TABLE = TableSchema("profiles", PROFILES, COORDINATES)
DIFFERENCE_TABLE = TableSchema("difference", DIFFERENCE, COORDINATES)
NETWORK_TABLE = TableSchema("network_*", NETWORK, COORDINATES)
VELOCITY_IMAGE = TableSchema("velocity_*", (VELOCITY,), COORDINATES)
REFERENCE_VELOCITY_IMAGE = TableSchema("reference_velocity", (VELOCITY,), COORDINATES)
REFERENCE_NETWORK_TABLE = TableSchema("reference_network", NETWORK, COORDINATES)
#: Tables of each volume; those of the reference have the prefix ``reference_``.
MEASURED_TABLES = (
    PROPERTIES_TABLE, REJECTION_TABLE, DEPOSITION_TABLE, FLOW_TABLE, PORE_SIZES_TABLE, PROFILES_TABLE,
)  # fmt: skip
REFERENCE_TABLES = tuple(TableSchema(f"reference_{t.name}", t.variables, COORDINATES) for t in MEASURED_TABLES)
TABLES = (
    *MEASURED_TABLES, *REFERENCE_TABLES, DIFFERENCE_TABLE, NETWORK_TABLE, REFERENCE_NETWORK_TABLE, VELOCITY_IMAGE,
    REFERENCE_VELOCITY_IMAGE,
)  # fmt: skip
