"""Result tables of a chain study: the round trip, intervals over replicates, and tables of the stages."""

from __future__ import annotations

from membrane_dask.errors import StudyError
from membrane_dask.schema import Coordinate, TableSchema, Variable, find_table
from membrane_dask.studies.registry import find_kind

#: Tables of the stages that a chain repeats, by stage.
REPEATED = {"characterize": ("bench", "bench_curves", "bench_rejection"), "foul": ("life",)}
_METHOD = ("method",)


def _variable(name: str, units: str, long_name: str, dims: tuple[str, ...] = ()) -> Variable:
    return Variable(name, dims, "f8", units, long_name, nullable=True)


#: What porometry concludes by each method.
INFERRED = (
    _variable("radius_inferred", "nm", "pore radius by the method, of the kind that radius_names gives", _METHOD),
    _variable("radius_low", "nm", "low end of its interval", _METHOD),
    _variable("radius_high", "nm", "high end of its interval", _METHOD),
    _variable("log_sd_inferred", "1", "standard deviation of the logarithm of the radius by the method", _METHOD),
    _variable("law_misfit", "1", "largest residual of the law of the method", _METHOD),
)
#: The same against the structure.
COMPARED = (
    *INFERRED,
    _variable("radius_ratio", "1", "radius_inferred over the number median of the throats", _METHOD),
    _variable("radius_flow_ratio", "1", "radius_inferred over the flow median of the throats", _METHOD),
    _variable("porosity_inferred", "1", "porosity by the method if the pores were straight tubes", _METHOD),
    _variable("porosity_ratio", "1", "porosity_inferred over the connected porosity", _METHOD),
    _variable(
        "thickness_inferred", "um", "thickness by the method and the connected porosity, for straight tubes", _METHOD
    ),
    _variable("radius_structure", "nm", "median radius of the throats that carry flow, by number"),
    _variable("radius_flow_median", "nm", "median of these radii weighted by the flow"),
    _variable("log_sd_structure", "1", "standard deviation of the logarithm of these radii"),
    _variable("radius_bottleneck", "nm", "largest radius that is open along a path through the structure"),
    _variable("radius_inscribed_mean", "nm", "mean pore radius (local thickness) over the pore space"),
    _variable("throat_radius", "nm", "quantiles of the radius of all throats between pores", ("quantile",)),
    _variable("porosity_structure", "1", "connected porosity"),
    _variable("thickness_structure", "um", "depth of the structure"),
)

COORDINATES = (
    Coordinate("replicate", "1", "number of the replicate of the reconstruction"),
    Coordinate("membrane", "", "membrane of the measured tables"),
    Coordinate("method", "", "method of the bench"),
    Coordinate("quantile", "1", "fraction of the throats of at most this radius"),
    Coordinate("quantity", "", "table and name of the quantity"),
)
ROUND_TRIP = TableSchema("round_trip", COMPARED, COORDINATES, "what porometry concludes, against the structure")
REFERENCE_ROUND_TRIP = TableSchema("reference_round_trip", COMPARED, COORDINATES, "the same of the reference")
MEASURED = TableSchema("measured", INFERRED, COORDINATES, "the same methods on the measured tables")
INTERVALS = TableSchema(
    "intervals",
    (
        _variable("best_match", "1", "value of the first replicate, in the unit of its table"),
        _variable("best_match_low", "1", "low end of the interval over the replicates"),
        _variable("best_match_high", "1", "high end of the interval over the replicates"),
        _variable("reference", "1", "value of the reference"),
        _variable("bias", "1", "value of the first replicate over that of the reference"),
        Variable("unit", (), "T", "", "unit of the values"),
    ),
    COORDINATES,
    "intervals over the replicates, without the bias of the reconstruction",
)


def _repeated() -> tuple[TableSchema, ...]:
    """Declarations of the tables of the stages, of the kinds that are installed."""
    tables = []
    for stage, names in REPEATED.items():
        try:
            schemas = find_kind(stage).schemas
        except StudyError:  # not installed
            continue
        tables += [table for name in names if (table := find_table(schemas, name)) is not None]
    return tuple(tables)


TABLES = (ROUND_TRIP, REFERENCE_ROUND_TRIP, MEASURED, INTERVALS, *_repeated())
