"""Declarations of size distributions, of their percentiles, and of the scatter between planes and boxes."""

from __future__ import annotations

from typing import Literal

from membrane_dask.schema import Coordinate, Variable

_EQUIVALENT = "diameters of spheres of the volume of a body, and of circles of the area of a throat"


def _statistic(
    name: str, units: str, scale: Literal["log", "logit", "none"], long_name: str, *dims: str, source: str = ""
) -> Variable:
    """Declare a statistic of a volume; NaN where it is not defined."""
    return Variable(name, dims, "f8", units, long_name, source, nullable=True, attrs={"interval_scale": scale})


COORDINATES = (
    Coordinate("diameter", "nm", "middle of the interval of diameters on a logarithmic scale, four to a doubling"),
    Coordinate("percentile", "1", "percentage with at most this diameter: 10, 50 and 90 are d10, d50 and d90"),
    Coordinate("weight", "", "number: every body and throat counts once; size: by volume of bodies, area of throats"),
    Coordinate("box", "", "cubes, or columns of square cross-section over the whole depth"),
    Coordinate("box_edge", "nm", "edge of the boxes"),
)
DISTRIBUTIONS = (
    _statistic(
        "pore_density", "1", "log", "probability density of the logarithm of the pore diameter (local thickness), by "
        "volume", "diameter",
    ),
    _statistic(
        "pore_cumulative_fraction", "1", "logit", "fraction of the pore volume with diameters up to the upper end of "
        "the interval", "diameter",
    ),
    _statistic(
        "body_density", "1", "log", "probability density of the logarithm of the equivalent diameter of pore bodies",
        "weight", "diameter",
    ),
    _statistic(
        "body_cumulative_fraction", "1", "logit", "fraction of the pore bodies with diameters up to the upper end of "
        "the interval", "weight", "diameter",
    ),
    _statistic(
        "quarter_body_density", "1", "log", "the density for each quarter of the depth",
        "weight", "quarter", "diameter",
    ),
    _statistic(
        "throat_density", "1", "log", "probability density of the logarithm of the equivalent diameter of throats",
        "weight", "diameter",
    ),
    _statistic(
        "throat_cumulative_fraction", "1", "logit", "fraction of the throats with diameters up to the upper end of the "
        "interval", "weight", "diameter",
    ),
    _statistic(
        "quarter_throat_density", "1", "log", "the density for each quarter of the depth",
        "weight", "quarter", "diameter",
    ),
)  # fmt: skip
PERCENTILES = (
    _statistic("pore_diameter", "nm", "log", "pore diameter (local thickness), by volume", "percentile"),
    _statistic(
        "quarter_pore_diameter", "nm", "log", "the same for each quarter of the depth", "quarter", "percentile"
    ),
    _statistic("body_diameter", "nm", "log", "equivalent diameter of pore bodies", "weight", "percentile"),
    _statistic(
        "quarter_body_diameter", "nm", "log", "the same for each quarter of the depth",
        "weight", "quarter", "percentile",
    ),
    _statistic("throat_diameter", "nm", "log", "equivalent diameter of throats", "weight", "percentile"),
    _statistic(
        "quarter_throat_diameter", "nm", "log", "the same for each quarter of the depth",
        "weight", "quarter", "percentile",
    ),
)  # fmt: skip
PLANES = (
    _statistic("porosity_y", "1", "logit", "fraction of the plane in pores, planes perpendicular to y", "y"),
    _statistic("porosity_x", "1", "logit", "fraction of the plane in pores, planes perpendicular to x", "x"),
    _statistic(
        "porosity_deviation", "1", "log", "standard deviation of the porosity between the planes perpendicular to each "
        "axis", "axis",
    ),
)  # fmt: skip
_KANIT = "Kanit et al. 2003"
BOXES = (
    Variable(
        "n_boxes", ("box", "box_edge"), "i8", "1", "boxes of this size, side by side", attrs={"interval_scale": "none"},
        internal=True,
    ),
    *(
        variable
        for name, units, scale, meaning in (
            ("porosity", "1", "logit", "porosity"),
            ("pore_radius", "nm", "log", "mean pore radius (local thickness)"),
            ("permeability_mobility_estimate", "m2", "log", "permeability along the depth from local mobilities"),
        )
        for variable in (
            _statistic(f"{name}_mean", units, scale, f"mean over the boxes: {meaning}", "box", "box_edge"),  # type: ignore[arg-type]
            _statistic(f"{name}_low", units, "none", f"5 % of the boxes are below: {meaning}", "box", "box_edge"),
            _statistic(f"{name}_high", units, "none", f"5 % of the boxes are above: {meaning}", "box", "box_edge"),
            _statistic(
                f"{name}_deviation", units, "log", f"standard deviation between the boxes: {meaning}", "box", "box_edge"
            ),
            _statistic(
                f"representative_edge_{name}", "nm", "log",
                f"edge of a box of which 90 % are within 5 % of the mean: {meaning}", "box", source=_KANIT,
            ),
        )
    ),
)  # fmt: skip
#: Name, description and variables of the tables that every volume has.
TABLES: tuple[tuple[str, str, tuple[Variable, ...]], ...] = (
    ("size_distributions", "size distributions of pores, of pore bodies and of throats", DISTRIBUTIONS),
    ("size_percentiles", f"percentiles of the size distributions; {_EQUIVALENT}", PERCENTILES),
    ("planes", "porosity of the planes perpendicular to the lateral axes, and its scatter", PLANES),
    ("representative_volume", "scatter between boxes of several sizes", BOXES),
)
LOCAL_POROSITY = Variable(
    "pore_fraction", ("z", "y", "x"), "f4", "1", "fraction of a nearly cubic cell of one or several voxels in pores"
)
