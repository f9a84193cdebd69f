"""Result variables of a reconstruct study."""

from __future__ import annotations

from membrane_dask.schema import Coordinate, TableSchema, Variable

CHAMANI = "Chamani et al., single-micrograph reconstruction (2023)"
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


#: Dimensions of all tables.
COORDINATES = (
    Coordinate("replicate", "1", "number of the reconstruction"),
    Coordinate("trial", "1", "number of the trial, in the order in which trials were proposed"),
    Coordinate("knot", "nm", "depth to which the value belongs; values between are interpolated linearly"),
    Coordinate("quarter", "1", "quarter of the depth, 0 at the feed side"),
    Coordinate("z", "nm", "depth below the feed-side surface"),
    Coordinate("y", "nm", "position across the sections"),
    Coordinate("x", "nm", "position along the section"),
    Coordinate("section", "1", "part of the depth: 0 the skin, 1 the support"),
    Coordinate("phase", "1", "phase of the pixel"),
    Coordinate("distance", "nm", "lower edge of the bin of distance to the other phase"),
)


#: The input and what was read from it.
MICROGRAPH: tuple[Variable, ...] = (
    Variable("image", ("z", "x"), "", "1", "micrograph as it was read"),
    Variable(
        "solid",
        ("z", "x"),
        "u1",
        "1",
        "micrograph after segmentation",
        attrs={"flag_values": [0, 255], "flag_meanings": "pore solid"},
    ),
    Variable(
        "distance_features",
        ("section", "phase", "distance"),
        "f8",
        "1",
        "fraction of a section's pixels in each bin of distance to the other phase; the last bin is open",
        CHAMANI,
        attrs={"section_meanings": "skin support", "phase_meanings": "pore solid"},
    ),
)
#: The volume of a replicate.
STRUCTURE = Variable(
    "volume",
    ("z", "y", "x"),
    "u1",
    "1",
    "phase of each voxel",
    attrs={"flag_values": [0, 255], "flag_meanings": "pore solid"},
)

TRIALS_TABLE = TableSchema("trials", TRIALS, COORDINATES)
STRUCTURES_TABLE = TableSchema("structures", STRUCTURES, COORDINATES)
MICROGRAPH_TABLE = TableSchema("micrograph", MICROGRAPH, COORDINATES)
STRUCTURE_IMAGE = TableSchema("structure-*", (STRUCTURE,), COORDINATES)
TABLES = (TRIALS_TABLE, STRUCTURES_TABLE, MICROGRAPH_TABLE, STRUCTURE_IMAGE)
