"""Declarations of the results of a foul study."""

from __future__ import annotations

from membrane_dask.physics.networks.structure_laws import STRUCTURE_END_CAUSES
from membrane_dask.schema import Coordinate, TableSchema, Variable

_REPLICATE = Coordinate("replicate", "1", "number of the replicate")
_COORDINATES = (
    _REPLICATE,
    Coordinate("level", "1", "fraction of the first flux per pressure"),
    Coordinate("depth", "1", "middle of the bin of the depth, over the depth"),
    Coordinate("time", "1", "instant, over the time of the end of life"),
    Coordinate("species", "", "foulant"),
)


def _of_replicates(name: str, units: str, long_name: str, *dims: str, **options: object) -> Variable:
    """A variable of every replicate, NaN for one that failed."""
    dtype = str(options.pop("dtype", "f8"))
    return Variable(name, ("replicate", *dims), dtype, units, long_name, nullable=True, **options)  # type: ignore[arg-type]


#: Variables that have intervals over the replicates, on the logarithm.
_WITH_INTERVALS = (
    _of_replicates("initial_permeate_flux", "L m-2 h-1", "first permeate flux, that of the clean structure"),
    _of_replicates("service_time", "h", "time until the end of life"),
    _of_replicates("filtrate_volume", "L m-2", "filtrate volume per area until the end of life"),
    _of_replicates("foulant_concentration", "1", "concentration of the accumulated filtrate, over that of the feed"),
    _of_replicates("log_reduction_value", "1", "-log10 of foulant_concentration"),
    _of_replicates("initial_foulant_concentration", "1", "concentration of the first filtrate, over that of the feed"),
    _of_replicates("service_time_level", "h", "time at which the flux per pressure has fallen to the level", "level"),
    _of_replicates("filtrate_volume_level", "L m-2", "filtrate volume per area at that time", "level"),
    _of_replicates(
        "permeability", "m2", "permeability of the flow that gave the conductances, not corrected for the resolution"
    ),
)
_WITHOUT_INTERVALS = (
    _of_replicates(
        "end_of_life_cause", "1", "what ended the life",
        attrs={
            "flag_values": list(range(len(STRUCTURE_END_CAUSES))), "flag_meanings": " ".join(STRUCTURE_END_CAUSES),
        },
    ),
    _of_replicates("foulant_balance", "1", "volume of the deposit over foulant removed from the feed", internal=True),
    _of_replicates(
        "deposited_fraction", "1", "fraction of the deposit in the bin of the depth at the level", "level", "depth"
    ),
    _of_replicates("wall_rate", "m s-1", "uptake by the walls per area and concentration, mean of the foulants"),
    _of_replicates("damkohler_number", "1", "wall rate times wall area, over the clean flow"),
    _of_replicates("diffusive_damkohler_number", "1", "wall rate times hydraulic radius, over the diffusivity"),
    _of_replicates("pore_peclet_number", "1", "clean mean pore velocity times hydraulic radius, over the diffusivity"),
    _of_replicates("hydraulic_radius", "nm", "twice the volume of the percolating pores over their wall area"),
    _of_replicates("bottleneck_radius", "nm", "largest radius that passes the network, by distances of voxel centres"),
    _of_replicates("network_permeability_ratio", "1", "permeability of the network over that of the voxels"),
    _of_replicates("fallback_throat_fraction", "1", "throats whose conductance is that of a scaled formula"),
    _of_replicates("fallback_flow_fraction", "1", "fraction of the flow of all throats that passes through those"),
    _of_replicates("species_yield", "1", "concentration of the foulant in the accumulated filtrate", "species"),
    _of_replicates("species_purity", "1", "its fraction of the foulants in the accumulated filtrate", "species"),
    _of_replicates("n_arrivals", "1", "particles that arrived"),
    _of_replicates("n_passed", "1", "particles that left with the filtrate"),
    _of_replicates("n_blocked", "1", "times that a particle blocked a throat"),
    _of_replicates("elapsed_time", "h", "time", "time", group="history"),
    _of_replicates("flux", "L m-2 h-1", "permeate flux", "time", group="history"),
    _of_replicates("transmembrane_pressure", "bar", "transmembrane pressure", "time", group="history"),
    _of_replicates(
        "foulant_concentration_out", "1", "concentration of the filtrate, over that of the feed", "time",
        group="history",
    ),
    _of_replicates("filtrate_volume", "L m-2", "filtrate volume per area", "time", group="history"),
    _of_replicates(
        "deposit_volume", "1", "volume of the deposit, over that of the percolating pores", "time", group="history"
    ),
    _of_replicates(
        "open_throat_fraction", "1", "fraction of the throats that carried flow and are not closed", "time",
        group="history",
    ),
)  # fmt: skip


def _ends(variable: Variable) -> tuple[Variable, Variable]:
    """Ends of the interval of a variable over the replicates."""
    low, high = (
        Variable(
            f"{variable.name}_{end}", variable.dims[1:], "f8", variable.units,
            f"{side} end of the interval over replicates: {variable.long_name}", nullable=True,
        )
        for end, side in (("low", "lower"), ("high", "upper"))
    )  # fmt: skip
    return low, high


#: Names of the variables that have intervals.
INTERVALS = tuple(variable.name for variable in _WITH_INTERVALS)
LIFE = TableSchema(
    "life",
    (*_WITH_INTERVALS, *_WITHOUT_INTERVALS, *(end for variable in _WITH_INTERVALS for end in _ends(variable))),
    _COORDINATES,
    "The life of every replicate, and intervals over the replicates.",
)
HYDRAULICS = TableSchema(
    "hydraulics",
    (
        _of_replicates(
            "permeability_ratio", "1", "permeability of the network over that of the flow in the voxels", "conductance"
        ),
        _of_replicates(
            "flow_error", "1", "sum of the errors of the flows of inner throats, over the sum of these flows",
            "conductance", internal=True,
        ),
    ),
    (_REPLICATE, Coordinate("conductance", "", "where the conductances of the throats come from")),
    "Conductances of the throats against the flow in the voxels.",
)  # fmt: skip
TABLES = (LIFE, HYDRAULICS)
