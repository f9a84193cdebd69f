"""Result variables of a porometry study."""

from __future__ import annotations

from collections.abc import Mapping

from membrane_dask.schema import FLAG, Coordinate, TableSchema, Variable

PALENCIA = "Palencia et al., Surfaces 9, 5 (2026)"


def _flux(
    name: str,
    units: str,
    long_name: str,
    source: str = "",
    *,
    dims: tuple[str, ...] = (),
    attrs: Mapping[str, object] | None = None,
) -> Variable:
    """What follows from flux against pressure; NaN where the data or the convention have no such thing."""
    told = f"{PALENCIA}, {source}" if source else ""
    return Variable(name, dims, "f8", units, long_name, told, nullable=True, attrs=attrs or {})


_L, _SCALED = "m s-1 Pa-1", " (published convention: its power of ten is assigned)"
#: Result of a porometry study: one unit is one membrane's flux against pressure.
POROMETRY: tuple[Variable, ...] = (
    _flux("hydraulic_permeability", _L, "hydraulic permeability: slope of the flux over the pressure", "Eq. 14"),
    _flux("hydraulic_permeability_lower", _L, "lower end of its interval"),
    _flux("hydraulic_permeability_upper", _L, "upper end of its interval"),
    _flux("hydraulic_permeability_error", _L, "its standard error"),
    _flux("hydraulic_permeability_25", _L, "hydraulic permeability with water of 25 degC"),
    _flux("hydraulic_resistance", "m-1", "resistance of the membrane, 1 / (viscosity L)"),
    _flux("structure_number", "m", "porosity times radius squared over thickness, 8 viscosity L", "Eq. 9"),
    _flux("intercept_flux", "m s-1", "flux of the line at no pressure", "Eq. 14"),
    _flux("intercept_flux_error", "m s-1", "its standard error"),
    _flux("permeability_intercept_covariance", "m2 s-2 Pa-1", "covariance of hydraulic permeability and intercept"),
    _flux("r_squared", "1", "share of the variance of the flux that the law explains"),
    _flux("residual_deviation", "m s-1", "standard deviation of the residuals"),
    _flux("freedom", "1", "degrees of freedom of the errors"),
    _flux("lack_of_fit", "1", "probability of so much misfit if the law is right, judged by replicates"),
    _flux("threshold_pressure", "Pa", "pressure of no flux", "Sec. 3.3"),
    _flux("threshold_pressure_lower", "Pa", "lower end of its interval (Fieller)"),
    _flux("threshold_pressure_upper", "Pa", "upper end of its interval (Fieller)"),
    _flux("threshold_pressure_error", "Pa", "its standard error, to first order"),
    _flux("threshold_resolved", "1", "whether the data tell the threshold pressure from 0", attrs=FLAG),
    _flux("young_laplace_radius", "m", "radius of pores that the threshold pressure opens", "Eq. 7"),
    _flux("young_laplace_radius_lower", "m", "least radius that the interval of the threshold pressure allows"),
    _flux("young_laplace_radius_upper", "m", "largest radius that it allows; none where it holds 0"),
    _flux("log_slope", "m s-1", "slope m1 of the flux over the logarithm of the pressure", "Eq. 14"),
    _flux("log_offset", "m s-1", "offset m0 of that law", "Eq. 14"),
    _flux("log_threshold_pressure", "Pa", "pressure at which that law has no flux"),
    _flux("critical_pressure", "Pa", "pressure above which the flux grows with the logarithm", "Sec. 3.6"),
    _flux("critical_flux", "m s-1", "flux at the critical pressure", "Sec. 3.6"),
    _flux("surface_porosity", "1", f"surface porosity{_SCALED}", "Eq. 20"),
    _flux("hagen_poiseuille_radius_lower", "m", f"lower limit of the pore radius{_SCALED}", "Eq. 22"),
    _flux("hagen_poiseuille_radius_upper", "m", f"upper limit of the pore radius{_SCALED}", "Eq. 22"),
    _flux("pore_number_lower", "1", f"number of pores at the lower limit of the radius{_SCALED}", "Eq. 16"),
    _flux("pore_number_upper", "1", f"number of pores at the upper limit of the radius{_SCALED}", "Eq. 16"),
    _flux("porosity_scale", "1", "power of ten by which the porosity was multiplied", "Eq. 20"),
    _flux("pore_number_scale_lower", "1", "power of ten of the pore number at the lower limit", "Eq. 21"),
    _flux("pore_number_scale_upper", "1", "power of ten of the pore number at the upper limit", "Eq. 21"),
    _flux("pore_radius_mean", "m", f"mean of both limits of the radius{_SCALED}", "Sec. 3.5"),
    _flux("pore_radius_deviation", "m", f"standard deviation of both limits of the radius{_SCALED}", "Sec. 3.5"),
    _flux("left_out_error", "1", "error of predicting left-out pressures, over the mean flux", dims=("law",)),
    _flux("bic", "1", "Bayesian information criterion", dims=("law",)),
    _flux("temperature", "K", "temperature of the water"),
    _flux("viscosity", "Pa s", "viscosity of the liquid"),
)  # fmt: skip
_KNOWN = (
    ("radius", "m", "pore radius"),
    ("porosity", "1", "surface porosity"),
    ("pore_number", "1", "number of pores"),
    ("thickness", "m", "thickness of the layer that resists"),
)
#: What flux and independent data say together of each membrane.
POSTERIOR: tuple[Variable, ...] = (
    *(_flux(name, unit, words, "Eqs. 2 and 9", dims=("draw",)) for name, unit, words in _KNOWN),
    *(
        _flux(f"{name}_{end}", unit, f"{words}: {told}")
        for name, unit, words in _KNOWN
        for end, told in (
            ("median", "median"),
            ("lower", "lower end of the interval"),
            ("upper", "upper end of the interval"),
        )
    ),
    _flux("independent_data", "1", "independent data beside the permeability; fewer than 2 leave a ridge"),
    _flux("effective_points", "1", "effective number of the quadrature's points"),
    _flux("largest_thickness", "m", "thickness at which pores of the known radius would fill the whole membrane"),
    _flux("smallest_radius", "m", "radius below which pores through the known thickness would fill the whole membrane"),
    _flux(
        "interval_factor", "1", "upper over lower end of the interval, now and after a further measurement",
        dims=("measurement", "quantity"),
    ),
)  # fmt: skip
#: Fits repeated on data drawn anew.
BOOTSTRAP: tuple[Variable, ...] = tuple(
    _flux(v.name, v.units, v.long_name, dims=("resample",))
    for v in POROMETRY
    if v.name in ("hydraulic_permeability", "intercept_flux", "threshold_pressure")
)
#: What the repeated fits say together.
RESAMPLED: tuple[Variable, ...] = (
    _flux("hydraulic_permeability_lower", _L, "lower end of the interval"),
    _flux("hydraulic_permeability_upper", _L, "upper end of the interval"),
    _flux("threshold_pressure_lower", "Pa", "lower end of the interval"),
    _flux("threshold_pressure_upper", "Pa", "upper end of the interval"),
    _flux("no_threshold", "1", "share of fits without a threshold pressure above 0"),
)
#: A membrane in one state against the same in another.
PAIRS: tuple[Variable, ...] = (
    _flux("permeability_ratio", "1", "hydraulic permeability in the later state over that in the first, at 25 degC"),
    _flux("permeability_ratio_lower", "1", "lower end of its interval (Fieller)"),
    _flux("permeability_ratio_upper", "1", "upper end of its interval (Fieller)"),
    _flux("added_resistance", "m-1", "resistance in the later state less that in the first"),
    _flux("added_resistance_error", "m-1", "its standard error"),
)
#: All membranes of a state: mixed effects, with errors of each and a spread between them.
POPULATIONS: tuple[Variable, ...] = (
    _flux("membranes", "1", "membranes in this state"),
    _flux("hydraulic_permeability_mean", _L, "mean over the membranes that these were drawn from, at 25 degC"),
    _flux("hydraulic_permeability_mean_lower", _L, "lower end of its interval"),
    _flux("hydraulic_permeability_mean_upper", _L, "upper end of its interval"),
    _flux("hydraulic_permeability_deviation", _L, "standard deviation between membranes, their errors taken away"),
)
#: Printed cells of the paper's tables, computed again.
REPRODUCTION: tuple[Variable, ...] = (
    Variable("table", (), "T", "", "table of the paper", PALENCIA),
    Variable("membrane_name", (), "T", "", "membrane, or what else the row is", PALENCIA),
    Variable("quantity_name", (), "T", "", "what is printed", PALENCIA),
    Variable("printed", (), "T", "", "as printed, in the unit of the header", PALENCIA),
    _flux("recomputed", "1", "the same from what the paper prints, in the same unit"),
    Variable("verdict", (), "T", "", "reproduced, rounding, truncated, decade, by eye, plausible or not"),
)


#: Dimensions of all tables.
COORDINATES = (
    Coordinate("membrane", "", "membrane and its state"),
    Coordinate("law", "", "law of the flux"),
    Coordinate("draw", "1", "number of the posterior draw; all have the same weight"),
    Coordinate("measurement", "", "candidate measurement; now: no further one"),
    Coordinate("quantity", "", "one of the four unknowns"),
    Coordinate("batch", "1", "batch of bootstrap fits"),
    Coordinate("resample", "1", "number of the bootstrap fit in its batch"),
    Coordinate("pair", "", "membrane and its two states"),
    Coordinate("state", "", "state of the membranes"),
    Coordinate("cell", "1", "number of the printed cell"),
)


POROMETRY_TABLE = TableSchema("porometry", POROMETRY, COORDINATES)
POSTERIOR_TABLE = TableSchema("posterior", POSTERIOR, COORDINATES)
BOOTSTRAP_TABLE = TableSchema("bootstrap", BOOTSTRAP, COORDINATES)
RESAMPLED_TABLE = TableSchema("resampled", RESAMPLED, COORDINATES)
PAIRS_TABLE = TableSchema("pairs", PAIRS, COORDINATES)
POPULATIONS_TABLE = TableSchema("populations", POPULATIONS, COORDINATES)
REPRODUCTION_TABLE = TableSchema("reproduction", REPRODUCTION, COORDINATES)
TABLES = (
    POROMETRY_TABLE, POSTERIOR_TABLE, BOOTSTRAP_TABLE, RESAMPLED_TABLE, PAIRS_TABLE, POPULATIONS_TABLE,
    REPRODUCTION_TABLE,
)  # fmt: skip
