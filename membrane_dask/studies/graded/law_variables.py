"""Variables of a filter's life that follow from the laws of a study."""

from __future__ import annotations

from membrane_dask.physics.networks.fouling_laws import END_CAUSES
from membrane_dask.schema import Coordinate, Variable

#: Of every life.
LIFE_VARIABLES = (
    Variable("log_reduction_value", ("deposition",), "f8", "1", "-log10 of foulant_concentration", nullable=True),
    Variable(
        "foulant_balance", ("deposition",), "f8", "1", "deposited foulant over foulant removed from the feed",
        nullable=True,
    ),
    Variable(
        "end_of_life_cause", ("deposition",), "i4", "1", "what ended the life",
        attrs={"flag_values": list(range(len(END_CAUSES))), "flag_meanings": " ".join(END_CAUSES)},
    ),
    Variable(
        "initial_transmembrane_pressure", ("deposition",), "f8", "1",
        "transmembrane pressure of the clean filter, 1 at constant pressure",
    ),
    Variable(
        "transmembrane_pressure", ("deposition", "time"), "f8", "1", "transmembrane pressure", group="history",
        nullable=True,
    ),
)  # fmt: skip
#: Where the feed has several species.
SPECIES_VARIABLES = (
    Variable(
        "species_concentration", ("deposition", "species"), "f8", "1",
        "concentration of the species in the filtrate over that in the feed",
    ),
    Variable(
        "species_yield", ("deposition", "species"), "f8", "1",
        "fraction of the species in the feed that the filtrate contains",
    ),
    Variable(
        "species_purity", ("deposition", "species"), "f8", "1", "fraction of the foulant in the filtrate",
        nullable=True,
    ),
    Variable(
        "species_recovered", ("deposition", "species"), "f8", "1",
        "volume of the species in the filtrate over the concentration of all foulant in the feed",
    ),
    Variable(
        "species_concentration_out", ("deposition", "time", "species"), "f8", "1",
        "concentration of the species at the outlets over that in the feed", group="history", nullable=True,
    ),
)  # fmt: skip
#: Where particles block pores.
SIEVING_VARIABLES = (
    Variable("n_arrivals", ("deposition",), "i8", "1", "number of particles that entered the membrane"),
    Variable("n_passed", ("deposition",), "i8", "1", "number of particles that left with the filtrate"),
    Variable(
        "particle_retention", ("deposition",), "f8", "1",
        "fraction of the particles that arrived and did not leave with the filtrate; undefined where none arrived",
        nullable=True,
    ),
    Variable(
        "band_blocked_pores", ("deposition", "band"), "f8", "1", "number of times that particles blocked a pore",
    ),
    Variable(
        "band_catch_probability", ("band",), "f8", "1",
        "probability that a particle of the mean radius is caught in the band of the clean filter",
    ),
    Variable(
        "band_blocked_pores", ("deposition", "time", "band"), "f8", "1",
        "number of times that particles blocked a pore until this time", group="history", nullable=True,
    ),
    Variable(
        "flux_jump", ("deposition", "time"), "f8", "1",
        "what changes of the flux within the step add to its integral by the rule of `quadrature`", group="history",
        nullable=True,
    ),
)  # fmt: skip
#: Name of the species of the feed.
SPECIES = Coordinate("species", "", "species of the feed")
