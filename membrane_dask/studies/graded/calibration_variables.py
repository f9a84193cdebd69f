"""Tables of a calibration: declines of the networks, fitted parameters of each deposition law, and readings."""

from __future__ import annotations

from membrane_dask.schema import Coordinate, TableSchema, Variable

#: Deposition laws that are fitted.
LAWS = ("published", "conserving")

_DEPOSITION = Coordinate("deposition", "1", "deposition coefficient")
_LAW = Coordinate("law", "", "deposition law")

#: A unit is one network, fouled by one law with every deposition coefficient.
DECLINE_CURVES = TableSchema(
    "decline_curves",
    (
        Variable("initial_flux", (), "f8", "1", "flux through the clean filter"),
        Variable(
            "initial_foulant_concentration", ("deposition",), "f8", "1", "foulant concentration of the first filtrate"
        ),
        Variable(
            "throughput", ("deposition", "flux_fraction"), "f8", "1",
            "filtrate volume until the flux falls to the fraction",
        ),
        Variable(
            "duration", ("deposition", "flux_fraction"), "f8", "1",
            "initial flux times the time until the flux falls to the fraction, over the deposition coefficient",
        ),
    ),
    (
        _LAW,
        Coordinate("realization", "1", "number of the random network"),
        _DEPOSITION,
        Coordinate("flux_fraction", "1", "flux over the initial flux"),
    ),
    "decline of the flux of every network",
)  # fmt: skip


def _with_ends(name: str, units: str, long_name: str) -> tuple[Variable, ...]:
    variables = [
        Variable(name, (), "f8", units, f"{long_name}; none where an end of its interval is open", nullable=True)
    ]
    for suffix, end in (("low", "lower"), ("high", "upper")):
        meaning = f"{end} end of the confidence interval of `{name}`; none where it is open"
        variables.append(Variable(f"{name}_{suffix}", (), "f8", units, meaning, nullable=True))
    return tuple(variables)


CALIBRATION = TableSchema(
    "calibration",
    (
        *_with_ends("deposition", "1", "deposition coefficient"),
        *_with_ends("foulant_volume_fraction", "1", "volume of the deposit per volume of feed"),
        *_with_ends("initial_permeate_flux", "L m-2 h-1", "permeate flux of the clean filter"),
        Variable("chi_squared", (), "f8", "1", "sum of the squares of the residuals over their errors"),
        Variable(
            "durbin_watson", (), "f8", "1", "Durbin-Watson statistic of the residuals, 2 where they are independent"
        ),
    ),
    (_LAW,),
    "parameters of both deposition laws fitted to the decline of a flux",
)
READINGS = TableSchema(
    "decline_readings",
    (
        Variable("elapsed_time", (), "f8", "h", "time since the start of the filtration"),
        Variable("filtrate_volume", (), "f8", "L m-2", "filtrate volume per area", nullable=True),
        Variable("permeate_flux", (), "f8", "L m-2 h-1", "permeate flux", nullable=True),
        Variable("fitted_flux", ("law",), "f8", "L m-2 h-1", "fitted permeate flux", nullable=True),
        Variable("fitted_volume", ("law",), "f8", "L m-2", "fitted volume, in tables without a flux", nullable=True),
        Variable("residual", ("law",), "f8", "1", "relative residual of the flux, or of the volume over the last one"),
    ),
    (Coordinate("reading", "1", "number of the reading"), _LAW),
    "readings of the bench, and both laws fitted to them",
)
CALIBRATION_TABLES = (DECLINE_CURVES, CALIBRATION, READINGS)
