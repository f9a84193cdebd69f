"""Variables of the clean filter that show how far the assumptions of the model hold."""

from __future__ import annotations

from membrane_dask.schema import Variable

#: Fields of ``FilterDiagnostics``; those that depend on the deposition coefficient have its dimension.
DIAGNOSTICS = (
    Variable(
        "flux_weighted_tortuosity",
        (),
        "f8",
        "1",
        "mean length of the paths of the flow through the clean filter, over the thickness",
    ),
    Variable("pores_per_path", (), "f8", "1", "mean number of pores on a path of the flow through the clean filter"),
    Variable(
        "wall_shear_flux_weighted",
        (),
        "f8",
        "1",
        "mean wall shear stress of the pores of the clean filter, weighted by their flow, over the pressure difference",
    ),
    Variable(
        "damkohler_number", ("deposition",), "f8", "1", "uptake of foulant by the walls of the clean filter over flow"
    ),
    Variable(
        "non_cylindrical_deposition",
        ("deposition",),
        "f8",
        "1",
        "fraction of the deposition in the clean filter that falls in pores with lambda r l / q > 1",
    ),
)
