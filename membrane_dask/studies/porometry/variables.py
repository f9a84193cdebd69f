"""Result tables of a porometry study.

Numbers of the fits, the posterior and the published convention are in SI units, those of the bench methods in units of
the bench (nm, bar, L m-2 h-1 bar-1). NaN stands for a quantity that the data or the convention of the study do not
give.
"""

from __future__ import annotations

from collections.abc import Mapping

from membrane_dask.schema import FLAG, Coordinate, TableSchema, Variable

PALENCIA = "Palencia et al., Surfaces 9, 5 (2026)"
_PERMEABILITY, _LMH_BAR = "m s-1 Pa-1", "L m-2 h-1 bar-1"
_SCALED = " (published convention: contains an assigned scaling factor)"


def _variable(
    name: str,
    units: str,
    long_name: str,
    equation: str = "",
    *,
    dims: tuple[str, ...] = (),
    attrs: Mapping[str, object] | None = None,
    formerly: str = "",
    internal: bool = False,
) -> Variable:
    source = f"{PALENCIA}, {equation}" if equation else ""
    return Variable(
        name, dims, "f8", units, long_name, source, nullable=True, attrs=attrs or {}, formerly=formerly,
        internal=internal,
    )  # fmt: skip


def _interval(name: str, units: str, long_name: str) -> tuple[Variable, Variable]:
    """Ends of the confidence interval of a variable."""
    return (
        _variable(f"{name}_low", units, f"{long_name}: lower end of the interval", formerly=f"{name}_lower"),
        _variable(f"{name}_high", units, f"{long_name}: upper end of the interval", formerly=f"{name}_upper"),
    )


def _ratio(name: str, long_name: str) -> tuple[Variable, ...]:
    """A ratio of two states, with the ends of its interval."""
    return (
        _variable(name, "1", long_name),
        _variable(f"{name}_low", "1", f"{name.replace('_', ' ')}: lower end of the interval"),
        _variable(f"{name}_high", "1", f"{name.replace('_', ' ')}: upper end of the interval"),
    )


def _bench(name: str, units: str, long_name: str, dims: tuple[str, ...] = ()) -> tuple[Variable, ...]:
    """A quantity in units of the bench, with the ends of its interval."""
    return (
        _variable(name, units, long_name, dims=dims),
        _variable(f"{name}_low", units, f"{long_name}: lower end of the interval", dims=dims),
        _variable(f"{name}_high", units, f"{long_name}: upper end of the interval", dims=dims),
    )


_MEMBRANE = Coordinate("membrane", "", "membrane, with its state if it has several")

POROMETRY = TableSchema(
    "porometry",
    (
        _variable("hydraulic_permeability", _PERMEABILITY, "hydraulic permeability: slope of the flux", "Eq. 14"),
        *_interval("hydraulic_permeability", _PERMEABILITY, "hydraulic permeability"),
        _variable("hydraulic_permeability_error", _PERMEABILITY, "standard error of the hydraulic permeability"),
        _variable("hydraulic_permeability_25", _PERMEABILITY, "hydraulic permeability to water of 25 degC"),
        _variable("hydraulic_resistance", "m-1", "hydraulic resistance, 1 / (viscosity x hydraulic permeability)"),
        _variable("structure_number", "m", "surface porosity x radius^2 / thickness = 8 x viscosity x permeability",
                  "Eq. 9"),
        _variable("intercept_flux", "m s-1", "flux of the fitted line at zero pressure", "Eq. 14"),
        _variable("intercept_flux_error", "m s-1", "standard error of the intercept flux"),
        _variable("permeability_intercept_covariance", "m2 s-2 Pa-1",
                  "covariance of hydraulic permeability and intercept flux", internal=True),
        _variable("r_squared", "1", "coefficient of determination"),
        _variable("residual_standard_deviation", "m s-1", "standard deviation of the residuals",
                  formerly="residual_deviation"),
        _variable("degrees_of_freedom", "1", "degrees of freedom of the standard errors", formerly="freedom",
                  internal=True),
        _variable("lack_of_fit", "1", "p value of the lack-of-fit F test, with replicates only"),
        _variable("threshold_pressure", "Pa", "threshold pressure, at which the flux is 0", "Sec. 3.3"),
        *_interval("threshold_pressure", "Pa", "threshold pressure"),
        _variable("threshold_pressure_error", "Pa", "standard error of the threshold pressure, to first order"),
        _variable("threshold_resolved", "1", "whether the threshold pressure is significantly greater than 0",
                  attrs=FLAG),
        _variable("young_laplace_radius", "m", "pore radius by Young-Laplace from the threshold pressure", "Eq. 7"),
        *_interval("young_laplace_radius", "m", "pore radius by Young-Laplace"),
        _variable("log_slope", "m s-1", "slope m1 of the logarithmic branch", "Eq. 14"),
        _variable("log_offset", "m s-1", "offset m0 of the logarithmic branch", "Eq. 14"),
        _variable("log_threshold_pressure", "Pa", "pressure at which the logarithmic branch has no flux"),
        _variable("critical_pressure", "Pa", "pressure above which the flux is logarithmic", "Sec. 3.6"),
        _variable("critical_flux", "m s-1", "flux at the critical pressure", "Sec. 3.6"),
        _variable("flux_at_log_threshold", "m s-1",
                  "flux of the linear regime at the pressure at which the logarithmic branch has none", "Eq. 35"),
        _variable("linear_segment_length", "Pa m-1",
                  "length of the linear segment: critical less threshold pressure, over the membrane thickness",
                  "Eq. 34"),
        _variable("effective_threshold_pressure", "Pa",
                  f"threshold pressure of the scaled Young-Laplace radius{_SCALED}", "Eq. 32"),
        _variable("surface_porosity", "1", f"surface porosity{_SCALED}", "Eq. 20"),
        _variable("hagen_poiseuille_radius_lower", "m", f"lower limit of the pore radius{_SCALED}", "Eq. 22"),
        _variable("hagen_poiseuille_radius_upper", "m", f"upper limit of the pore radius{_SCALED}", "Eq. 22"),
        _variable("pore_number_lower", "1", f"number of pores at the lower limit of the radius{_SCALED}", "Eq. 16"),
        _variable("pore_number_upper", "1", f"number of pores at the upper limit of the radius{_SCALED}", "Eq. 16"),
        _variable("porosity_scale", "1", "exponent of the scaling factor of the porosity", "Eq. 20"),
        _variable("pore_number_scale_lower", "1", "exponent of the scaling factor of the lower pore number", "Eq. 21"),
        _variable("pore_number_scale_upper", "1", "exponent of the scaling factor of the upper pore number", "Eq. 21"),
        _variable("pore_radius_width", "m", f"upper less lower limit of the radius{_SCALED}", "Eq. 31"),
        _variable("pore_radius_mean", "m", f"mean of both limits of the radius{_SCALED}", "Sec. 3.5"),
        _variable("pore_radius_deviation", "m", f"standard deviation of both limits of the radius{_SCALED}",
                  "Sec. 3.5"),
        _variable("leave_one_out_error", "1", "root mean square error of leave-one-out cross-validation / mean flux",
                  dims=("law",), formerly="left_out_error"),
        _variable("bic", "1", "Bayesian information criterion", dims=("law",)),
        _variable("temperature", "K", "temperature of the water"),
        _variable("viscosity", "Pa s", "viscosity of the liquid"),
        *_bench("water_permeance", _LMH_BAR, "permeance of water at the reference temperature and zero pressure"),
        _variable("rising_water_permeance", _LMH_BAR, "likewise of the rising leg, where the pressure rises and falls"),
        _variable("free_line_slope", _LMH_BAR, "slope of the least-squares line of the flux, a diagnostic"),
        _variable("hysteresis", "1", "relative loss of flux from the rising to the falling leg"),
        *_bench("flux_plateau", "L m-2 h-1", "steady flux at the one pressure of a decline"),
        *_bench("time_constant", "min", "time constant of the decline of the flux at one pressure"),
        *_bench("bubble_point_pressure", "bar", "pressure of the first flow of gas through the wet membrane"),
        *_bench("bubble_point_radius", "nm", "radius of the largest pore by the bubble point"),
        *_bench("mean_flow_pore_pressure", "bar", "pressure at which the wet flow is half of the dry one"),
        *_bench("mean_flow_pore_radius", "nm", "radius above which pores carry half of the gas flow"),
        *_bench("smallest_flow_pore_radius", "nm", "radius at which 98 % of the dry flow pass"),
        _variable("filter_flow_maximum", "1", "largest wet flow over dry flow"),
        _variable("shape_factor", "1", "factor to which the radii of capillary flow are proportional"),
        *_bench("largest_pore_radius", "nm", "radius of the largest pore by the first flux or the entry pressure"),
        *_bench("final_permeance", _LMH_BAR, "permeance of the displacing liquid with all pores open"),
        *_bench("rejection_radius_90", "nm", "Stokes radius of a solute of which the membrane rejects 90 %"),
        *_bench("molecular_weight_cut_off", "kDa", "its molar mass by the fitted law"),
        _variable("interpolated_cut_off", "kDa", "molar mass at 90 % by straight lines between readings"),
        _variable("hydraulic_radius_log_error", "1",
                  "standard error of the logarithm of the hydraulic radius by rejection, that of the law included"),
        *_bench("gas_radius", "nm", "ratio of viscous to Knudsen flow, <r^4> / <r^3>"),
        *_bench("gas_slope", "mol m-2 s-1 Pa-2", "permeance of the gas by its mean pressure"),
        *_bench("gas_intercept", "mol m-2 s-1 Pa-1", "permeance of the gas at mean pressure 0"),
        *_bench("mercury_median_radius", "nm", "radius of the throats behind which half of the volume lies"),
        _variable("intruded_volume", "mL g-1", "volume of mercury per mass of sample"),
        _variable("mercury_porosity", "1", "porosity by the intruded volume and the density of the solid"),
        *_bench("number_median_radius", "nm", "median radius by number of a log-normal distribution", ("method",)),
        *_bench("hydraulic_radius", "nm", "radius of equal pores of the same permeance and open area", ("method",)),
        *_bench("flow_median_radius", "nm", "radius above which pores carry half of the viscous flow", ("method",)),
        *_bench("log_sd", "1", "standard deviation of the logarithm of the radius", ("method",)),
        _variable("fit_misfit", "1", "largest residual of the law; of rejection, residuals over their errors",
                  dims=("method",)),
        *_bench("porosity_over_path_length", "m-1", "surface porosity over the length of the path", ("method",)),
        *_bench("pore_number_density", "m-2", "pores per membrane area", ("method",)),
        _variable("aicc_difference", "1", "AICc of a fouling law above that of the best", dims=("law",)),
        *_bench("initial_permeate_flux", "L m-2 h-1", "flux at time 0 by a fouling law", ("law",)),
        *_bench("complete_constant", "s-1", "constant of complete blocking", ("law",)),
        *_bench("standard_constant", "m-1", "constant of standard blocking", ("law",)),
        *_bench("intermediate_constant", "m-1", "constant of intermediate blocking", ("law",)),
        *_bench("cake_constant", "s m-2", "constant of cake filtration", ("law",)),
    ),
    (
        _MEMBRANE,
        Coordinate("law", "", "law of the flux of water, or of fouling"),
        Coordinate("method", "", "method of measurement"),
    ),
    "fit of each membrane",
)  # fmt: skip

_UNKNOWNS = (
    ("radius", "m", "pore radius"),
    ("porosity", "1", "surface porosity"),
    ("pore_number", "1", "number of pores in the whole membrane area"),
    ("thickness", "m", "selective-layer thickness"),
)


def _summary(name: str, units: str, long_name: str) -> tuple[Variable, ...]:
    return _variable(f"{name}_median", units, f"{long_name}: median"), *_interval(name, units, long_name)


POSTERIOR = TableSchema(
    "posterior",
    (
        *(_variable(name, units, long_name, "Eqs. 2 and 9", dims=("draw",)) for name, units, long_name in _UNKNOWNS),
        *(variable for unknown in _UNKNOWNS for variable in _summary(*unknown)),
        *_summary("log_sd", "1", "standard deviation of the logarithm of the radius, of several methods"),
        *_summary("number_median_radius", "m", "median radius by number, of several methods"),
        *_summary("porosity_over_path_length", "m-1", "surface porosity over path length, of several methods"),
        _variable("contradictory", "1", "whether methods contradict one another: no joint number is given", attrs=FLAG),
        _variable("independent_data", "1", "number of priors; with fewer than 2 the posterior is a ridge",
                  internal=True),
        _variable("effective_points", "1", "effective sample size of the quadrature", internal=True),
        _variable("largest_thickness", "m", "thickness at which pores of the prior radius would have a porosity of 1"),
        _variable("smallest_radius", "m", "radius at which pores of the prior thickness would have a porosity of 1"),
        _variable("interval_over_prior", "1",
                  "width of the interval over that of the prior, both of the logarithm; 1: the data do not narrow it",
                  dims=("quantity",)),
        _variable("interval_factor", "1", "upper / lower end of the interval, now and after a further measurement",
                  dims=("measurement", "quantity")),
    ),
    (
        _MEMBRANE,
        Coordinate("draw", "1", "number of the draw; all draws have the same weight"),
        Coordinate("measurement", "", "candidate measurement; now: without a further one"),
        Coordinate("quantity", "", "one of the four unknowns"),
    ),
    "posterior distribution of radius, porosity, pore number and thickness of each membrane",
)  # fmt: skip

BOOTSTRAP = TableSchema(
    "bootstrap",
    (
        _variable("hydraulic_permeability", _PERMEABILITY, "hydraulic permeability", dims=("resample",)),
        _variable("intercept_flux", "m s-1", "flux of the fitted line at zero pressure", dims=("resample",)),
        _variable("threshold_pressure", "Pa", "threshold pressure, at which the flux is 0", dims=("resample",)),
    ),
    (
        _MEMBRANE,
        Coordinate("batch", "1", "batch of bootstrap fits"),
        Coordinate("resample", "1", "number of the bootstrap fit in its batch"),
    ),
    "bootstrap fits of each membrane",
)
BOOTSTRAP_SUMMARY = TableSchema(
    "bootstrap_summary",
    (
        *_interval("hydraulic_permeability", _PERMEABILITY, "hydraulic permeability"),
        *_interval("threshold_pressure", "Pa", "threshold pressure"),
        _variable("no_threshold", "1", "fraction of bootstrap fits without a threshold pressure above 0"),
    ),
    (_MEMBRANE,),
    "percentiles of the bootstrap fits",
    formerly="resampled",
)

_READING_DIMS = ("reading", "largest_error")


def _error_statistics(name: str, long_name: str) -> tuple[Variable, ...]:
    """Relative deviations of a quantity in simulated experiments, and their statistics."""
    return (
        _variable(f"{name}_deviation", "1", f"relative deviation of the {long_name} from the error-free one",
                  "Eqs. 23 and 24", dims=(*_READING_DIMS, "cycle")),
        _variable(f"{name}_deviation_mean", "1", f"mean absolute relative deviation of the {long_name}", "Sec. 3.4",
                  dims=_READING_DIMS),
        _variable(f"{name}_deviation_max", "1", f"largest absolute relative deviation of the {long_name}", "Sec. 3.4",
                  dims=_READING_DIMS),
        _variable(f"{name}_deviation_mean_square", "1", f"mean square of the relative deviation of the {long_name}",
                  "Sec. 3.4", dims=_READING_DIMS),
    )  # fmt: skip


READING_ERRORS = TableSchema(
    "reading_errors",
    (
        *_error_statistics("permeability", "hydraulic permeability"),
        *_error_statistics("threshold_pressure", "threshold pressure"),
    ),
    (
        _MEMBRANE,
        Coordinate("reading", "", "measured quantity with random errors"),
        Coordinate("largest_error", "1", "largest relative error of a reading"),
        Coordinate("cycle", "1", "number of the simulated experiment"),
    ),
    "simulated experiments with random errors of one measured quantity",
)

PAIRS = TableSchema(
    "pairs",
    (
        _variable("permeability_ratio", "1", "hydraulic permeability in the later / first state, both at 25 degC"),
        *_interval("permeability_ratio", "1", "permeability ratio"),
        _variable("added_resistance", "m-1", "resistance in the later state - resistance in the first"),
        _variable("added_resistance_error", "m-1", "standard error of the added resistance"),
        *_ratio("radius_ratio_of_equal_number", "pore radius in the later / first state if the pore number is equal"),
        *_ratio("radius_ratio", "pore radius in the later / first state: median"),
        *_ratio("porosity_ratio", "surface porosity in the later / first state: median"),
        *_ratio("pore_number_ratio", "number of pores in the later / first state: median"),
        Variable("first_membrane", (), "T", "", "label of the membrane in the first state"),
        Variable("later_membrane", (), "T", "", "label of the membrane in the later state"),
    ),
    (Coordinate("pair", "", "membrane and its two states"),),
    "change of each membrane between two states",
)
POPULATIONS = TableSchema(
    "populations",
    (
        _variable("membranes", "1", "number of specimens in this state"),
        _variable("hydraulic_permeability_smallest", _PERMEABILITY,
                  "smallest hydraulic permeability of a specimen, at 25 degC"),
        _variable("hydraulic_permeability_largest", _PERMEABILITY,
                  "largest hydraulic permeability of a specimen, at 25 degC"),
        _variable("hydraulic_permeability_log_sd", "1",
                  "standard deviation of the logarithm between specimens, without errors of measurement"),
        _variable("hydraulic_permeability_mean", _PERMEABILITY,
                  "geometric mean of the hydraulic permeability, at 25 degC; NaN where the specimens are too unlike"),
        *_interval("hydraulic_permeability_mean", _PERMEABILITY, "geometric mean of the hydraulic permeability"),
        _variable("hydraulic_permeability_deviation", _PERMEABILITY,
                  "standard deviation between specimens, without errors of measurement; NaN without a mean"),
    ),
    (Coordinate("state", "", "state of the specimens, with the common part of their names if there are several"),),
    "random-effects model of specimens of one membrane",
)  # fmt: skip

FINDINGS = TableSchema(
    "findings",
    (
        Variable("membrane_name", (), "T", "", "label of the membrane; empty for the whole table"),
        Variable("method_name", (), "T", "", "method of measurement"),
        Variable("finding", (), "T", "", "what was left out and why, and what the data do not show"),
    ),
    (Coordinate("number", "1", "number of the finding"),),
    "sentences on the tables and on the evaluation of each membrane",
)

CURVES = TableSchema(
    "porometry_curves",
    (
        Variable("membrane_name", (), "T", "", "label of the membrane"),
        Variable("method_name", (), "T", "", "method of measurement"),
        Variable("curve_name", (), "T", "", "quantity of the values"),
        Variable("value_unit", (), "T", "", "unit of the values"),
        _variable("pressure", "bar", "pressure, of curves against it"),
        _variable("radius", "nm", "pore radius, of curves against it"),
        _variable("solute_radius", "nm", "Stokes radius, of curves against it"),
        _variable("time", "min", "time, of curves against it"),
        _variable("value", "1", "value, in the unit of its row (value_unit)"),
        _variable("fitted", "1", "value of the fit, in the unit of its row (value_unit)"),
    ),
    (Coordinate("point", "1", "number of the point"),),
    "curves of the methods of the bench, a row for each point",
)

REPRODUCTION = TableSchema(
    "reproduction",
    (
        Variable("table", (), "T", "", "table of the paper"),
        Variable("membrane_name", (), "T", "", "membrane, or statistic of all"),
        Variable("quantity_name", (), "T", "", "quantity"),
        Variable("printed", (), "T", "", "number as printed, in the unit of the header", f"{PALENCIA}, Tables 2 to 14"),
        _variable("recomputed", "1", "the number recomputed from other printed ones, in the same unit"),
        Variable(
            "outcome",
            (),
            "T",
            "",
            "reproduced, rounding, decade, by eye, plausible, undefined or not",
            formerly="verdict",
        ),
    ),
    (Coordinate("cell", "1", "number of the printed cell"),),
    "published numbers, recomputed",
)

MEASUREMENTS = TableSchema(
    "measurements",
    (
        Variable("membrane_name", (), "T", "", "label of the membrane"),
        _variable("pressure", "Pa", "pressure difference"),
        _variable("flux", "m s-1", "volumetric flux at the temperature of the fit; NaN for published lines"),
        _variable("flux_standard_deviation", "m s-1", "standard deviation of the flux, where the table has it"),
        _variable("replicate", "1", "number of the replicate"),
    ),
    (Coordinate("point", "1", "number of the measured point"),),
    "measured points of all membranes, and the pressures of published lines",
)

TABLES = (
    POROMETRY, POSTERIOR, BOOTSTRAP, BOOTSTRAP_SUMMARY, PAIRS, POPULATIONS, READING_ERRORS, FINDINGS,
    CURVES, REPRODUCTION,
    MEASUREMENTS,
)  # fmt: skip
