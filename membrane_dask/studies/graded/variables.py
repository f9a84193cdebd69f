"""Result variables of a graded study."""

from __future__ import annotations

from membrane_dask.schema import FLAG, Coordinate, TableSchema, Variable

GU = "Gu, Kondic & Cummings, Phys. Rev. Fluids 8, 044502 (2023)"


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
    Variable("at_edge", (), "u1", "1", "whether the metric is largest at an end of the grid", attrs=FLAG),
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


#: Dimensions of all tables.
COORDINATES = (
    Coordinate("l_max", "1", "largest pore length, in membrane thicknesses"),
    Coordinate("gradient", "1", "pore-radius gradient: decrease of the radius from one band to the next"),
    Coordinate("deposition", "1", "deposition coefficient"),
    Coordinate("realization", "1", "number of the random network; networks of one number share their random numbers"),
    Coordinate("band", "1", "band, 1 at the feed side"),
    Coordinate("time", "1", "time since the filter was clean"),
)


GRADED_TABLE = TableSchema("graded", GRADED, COORDINATES)
OPTIMUM_TABLE = TableSchema("optimum_*", OPTIMUM, COORDINATES)
TABLES = (GRADED_TABLE, OPTIMUM_TABLE)
