"""Every output variable, once: name, dimensions, type, unit, meaning and source.

The template of a result, the check of what a unit returns, the plots and the documentation all
read this registry; a variable that is not here cannot be written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

GU = "Gu, Kondic & Cummings, Phys. Rev. Fluids 8, 044502 (2023)"
CHAMANI = "Chamani et al., single-micrograph reconstruction (2023)"
PALENCIA = "Palencia et al., Surfaces 9, 5 (2026)"

#: A unit's entry in the variable ``status`` of its table.
TODO, DONE, FAILED = 0, 1, 2


@dataclass(frozen=True)
class Variable:
    """One variable of a result.

    Parameters
    ----------
    name : str
        Name in the dataset.
    dims : tuple of str
        Dimensions of one unit's value; the dimensions that number the units stand before them.
    dtype : str
        NumPy type on disk.
    units : str
        UDUNITS spelling; ``"1"`` is dimensionless.
    long_name : str
        What it is, in words.
    source : str
        Paper and equation.
    group : str
        Sub-group of the table it belongs to; empty for the table itself.
    nullable : bool
        Whether a finished unit may hold NaN here. Elsewhere a NaN fails the unit.
    attrs : mapping
        Further attributes, such as CF flags.
    """

    name: str
    dims: tuple[str, ...]
    dtype: str
    units: str
    long_name: str
    source: str = ""
    group: str = ""
    nullable: bool = False
    attrs: Mapping[str, object] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """Name with the sub-group before it, e.g. ``history/flux``."""
        return f"{self.group}/{self.name}" if self.group else self.name

    def attributes(self) -> dict[str, object]:
        """Attributes as they stand on the variable in the result."""
        attrs: dict[str, object] = {"units": self.units, "long_name": self.long_name}
        if self.source:
            attrs["source"] = self.source
        return attrs | dict(self.attrs)


STATUS = Variable(
    "status",
    (),
    "u1",
    "1",
    "state of the unit of work",
    attrs={"flag_values": [TODO, DONE, FAILED], "flag_meanings": "todo done failed"},
)


_FLAG = {"flag_values": [0, 1], "flag_meanings": "no yes"}


def _gu(name: str, long_name: str, source: str = "", dims: tuple[str, ...] = (), **more: object) -> Variable:
    """A dimensionless variable of Gu's model."""
    return Variable(name, dims, "f8", "1", long_name, f"{GU}, {source}" if source else "", **more)  # type: ignore[arg-type]


_UNTIL = {
    "": ("", False),
    "_threshold": (" when the flux falls to the threshold (crossing interpolated)", True),
    "_threshold_step": (" at the first time step with a flux below the threshold", True),
}


def _life_metrics() -> tuple[Variable, ...]:
    found = []
    dims = ("deposition",)
    for suffix, (until, nullable) in _UNTIL.items():
        found += [
            _gu(f"throughput{suffix}", f"filtrate volume over the filter's life{until}", "Eq. 28a", dims),
            _gu(
                f"foulant_concentration{suffix}",
                f"accumulated foulant concentration of the filtrate{until}",
                "Eq. 28b",
                dims,
                nullable=nullable,
            ),
            _gu(f"lifetime{suffix}", f"lifetime of the filter{until}", "Sec. III", dims),
            _gu(f"porosity_usage{suffix}", f"loss of membrane porosity{until}", "Eq. 21b", dims),
        ]
        if suffix != "_threshold_step":
            long_name = f"loss of porosity in each band{until or ' over the life of the filter'}"
            found.append(_gu(f"band_porosity_usage{suffix}", long_name, "Eq. 21a", (*dims, "band")))
    return tuple(found)


#: Result of a graded study: one unit is one random network, and its life for every deposition coefficient.
GRADED: tuple[Variable, ...] = (
    *_life_metrics(),
    _gu("initial_flux", "flux through the clean filter", "Eq. 28a"),
    Variable("n_junctions", (), "i4", "1", "number of pore junctions in the membrane"),
    Variable("n_pores", (), "i4", "1", "number of pores in the membrane"),
    Variable("n_inlets", (), "i4", "1", "number of pore inlets on the feed side"),
    Variable("n_stagnant_inlets", (), "i4", "1", "number of inlets from which no path leads to the filtrate"),
    Variable("n_closed_inside", ("deposition",), "i4", "1", "number of pores between junctions that closed by the end"),
    _gu("mean_degree", "mean number of pores that meet at a junction"),
    _gu("band_degree", "mean number of pores that meet at a junction of each band", "", ("band",), nullable=True),
    _gu("band_surface_area", "area of the clean pores' walls in each band, per area of the membrane", "", ("band",)),
    _gu(
        "flux_residual",
        "largest difference of inflow and outflow at any time, relative to the flux then",
        "",
        ("deposition",),
    ),
    _gu("flux", "flux through the filter", "Eq. 28a", ("deposition", "time"), group="history", nullable=True),
    _gu(
        "foulant_concentration_out",
        "foulant concentration leaving the filter",
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
)

#: What follows from a graded study, for each metric: the gradient at which it is largest.
OPTIMUM: tuple[Variable, ...] = (
    _gu("gradient", "best gradient, between those of the grid as well", nullable=True),
    _gu("low", "lower end of the best gradient's interval", nullable=True),
    _gu("high", "upper end of the best gradient's interval", nullable=True),
    _gu("grid_gradient", "best gradient of the grid", nullable=True),
    _gu("value", "the metric at the best gradient", nullable=True),
    _gu("gain", "share by which the metric there exceeds that of the first gradient", nullable=True),
    _gu("gain_low", "lower end of the gain's interval", nullable=True),
    _gu("gain_high", "upper end of the gain's interval", nullable=True),
    Variable("at_edge", (), "u1", "1", "whether the metric is largest at an end of the grid", attrs=_FLAG),
    Variable("networks", (), "i4", "1", "networks that were simulated"),
    Variable(
        "ended",
        (),
        "u1",
        "1",
        "why no more were",
        attrs={"flag_values": [0, 1, 2, 3], "flag_meanings": "design interval tie realizations"},
    ),
)

#: Result of a reconstruct study: one unit is one trial structure compared with the micrograph.
TRIALS: tuple[Variable, ...] = (
    Variable("sigma", ("knot",), "f8", "nm", "correlation width of the Gaussian field", CHAMANI),
    Variable("porosity", ("knot",), "f8", "1", "porosity before closing", CHAMANI),
    Variable(
        "correlation_length",
        ("knot",),
        "f8",
        "nm",
        "distance along the sections at which their correlation has fallen to a half",
        nullable=True,
    ),
    Variable("closing_radius", (), "f8", "nm", "radius of the ball that closes narrow pores", CHAMANI),
    Variable("roughness", (), "f8", "1", "share of the variance of a second field 0.4 times as wide"),
    Variable("objective", (), "f8", "1", "what the search makes small: difference of trial and micrograph (0 same)"),
    Variable(
        "distance_objective",
        (),
        "f8",
        "1",
        "difference of the combined distance functions of trial and micrograph (0 same, 2 disjoint)",
        CHAMANI,
    ),
    Variable("section_porosity", (), "f8", "1", "porosity of the trial's sections after closing", CHAMANI),
)

#: Result of a reconstruct study: the structure that was chosen for each replicate.
STRUCTURES: tuple[Variable, ...] = (
    Variable("best_trial", (), "i4", "1", "trial with the smallest objective"),
    *(v for v in TRIALS if v.name != "section_porosity"),
    Variable("volume_porosity", (), "f8", "1", "pore fraction of the whole volume"),
    Variable("quarter_porosity", ("quarter",), "f8", "1", "pore fraction of each quarter of the volume's depth"),
)


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
    _measured("percolates", "1", "whether pores reach from the feed side to the other", attrs=_FLAG),
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
    _flux("threshold_resolved", "1", "whether the data tell the threshold pressure from 0", attrs=_FLAG),
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

TABLES: Mapping[str, tuple[Variable, ...]] = {
    "graded": GRADED,
    "optimum": OPTIMUM,
    "trials": TRIALS,
    "structures": STRUCTURES,
    "properties": PROPERTIES + FLOW + RETENTION,
    "rejection": REJECTION,
    "deposition": DEPOSITION,
    "flow": FLOW_SECTION,
    "velocity": (VELOCITY,),
    "pore_sizes": PORE_SIZES,
    "profiles": PROFILES,
    "network": NETWORK,
    "porometry": POROMETRY,
    "posterior": POSTERIOR,
    "bootstrap": BOOTSTRAP,
    "resampled": RESAMPLED,
    "pairs": PAIRS,
    "populations": POPULATIONS,
    "reproduction": REPRODUCTION,
}


@dataclass(frozen=True)
class Coordinate:
    """Attributes of one dimension's labels."""

    name: str
    units: str
    long_name: str

    def attributes(self) -> dict[str, object]:
        """Attributes as they stand on the coordinate in the result."""
        return {"units": self.units, "long_name": self.long_name}


COORDINATES: Mapping[str, Coordinate] = {
    c.name: c
    for c in (
        Coordinate("l_max", "1", "largest pore length, in membrane thicknesses"),
        Coordinate("gradient", "1", "pore-radius gradient: radius lost from a band to the next"),
        Coordinate("deposition", "1", "deposition coefficient"),
        Coordinate("realization", "1", "number of the random network; those of one number share their random numbers"),
        Coordinate("band", "1", "band, 1 at the feed side"),
        Coordinate("time", "1", "time since the filter was clean"),
        Coordinate("replicate", "1", "number of the reconstruction"),
        Coordinate("trial", "1", "number of the trial, in the order in which trials were proposed"),
        Coordinate("knot", "nm", "depth to which the value belongs; between them values change evenly"),
        Coordinate("quarter", "1", "quarter of the depth, 0 at the feed side"),
        Coordinate("z", "nm", "depth below the feed-side surface"),
        Coordinate("y", "nm", "position across the sections"),
        Coordinate("x", "nm", "position along the section"),
        Coordinate("component", "", "axis along which the velocity is"),
        Coordinate("axis", "1", "axis of the volume, 0 the depth z, 1 y, 2 x"),
        Coordinate("pore_radius", "nm", "radius of a ball"),
        Coordinate("particle_diameter", "nm", "diameter of a ball in the liquid"),
        Coordinate("pore", "1", "number of the pore"),
        Coordinate("throat", "1", "number of the throat"),
        Coordinate("section", "1", "part of the depth: 0 the skin, 1 the support"),
        Coordinate("phase", "1", "phase of the pixel"),
        Coordinate("distance", "nm", "lower edge of the bin of distance to the other phase"),
        Coordinate("membrane", "", "membrane, and the state it is in"),
        Coordinate("law", "", "law of the flux"),
        Coordinate("draw", "1", "number of the point; all have the same weight"),
        Coordinate("measurement", "", "what could be measured next; now: nothing further"),
        Coordinate("quantity", "", "one of the four unknowns"),
        Coordinate("batch", "1", "batch of repeated fits"),
        Coordinate("resample", "1", "number of the repeated fit in its batch"),
        Coordinate("pair", "", "membrane, and its two states"),
        Coordinate("state", "", "state of the membranes"),
        Coordinate("cell", "1", "number of the printed cell"),
    )
}
