"""Result variables of a reconstruct study."""

from __future__ import annotations

from membrane_dask.schema import Variable

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
