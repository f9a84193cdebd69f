"""The published study: whether a run is it, the figures of the paper, and its claims."""

from __future__ import annotations

import xarray as xr

from membrane_dask.config import BaseStudy
from membrane_dask.report.page import Claim, Section
from membrane_dask.studies.graded.claims import paper_claims
from membrane_dask.studies.graded.config import GradedStudy

#: Settings that do not change what the figures of the paper show.
_FREE = {"name", "seed", "realizations", "cluster", "execution"}
#: Design of the paper; the other parameters of the model have the defaults.
_L_MAX = (0.1, 0.15, 0.2)
_GRADIENT = (0.0, 0.5e-3, 1e-3, 1.5e-3, 2e-3, 2.5e-3, 3e-3, 3.5e-3, 4e-3)


def is_published_study(study: BaseStudy) -> bool:
    """Return whether every parameter is that of Gu et al.; seed and number of networks may differ.

    Parameters
    ----------
    study : BaseStudy
        Study of a run.

    Returns
    -------
    bool
    """
    if not isinstance(study, GradedStudy):
        return False
    published = GradedStudy(l_max=_L_MAX, gradient=_GRADIENT).model_dump(exclude=_FREE)
    design = {name: tuple(sorted(getattr(study, name))) for name in ("l_max", "gradient")}
    return study.model_dump(exclude=_FREE) | design == published | {"l_max": _L_MAX, "gradient": _GRADIENT}


def figure_source(published: bool, number: int) -> str:
    """Return the beginning of a caption, ``Gu, Fig. 3. ``, if the figure shows what that of the paper shows."""
    return f"Gu, Fig. {number}. " if published else ""


def claims_section(table: xr.Dataset) -> Section:
    """Return the claims of the paper, tested with the networks of the run.

    Parameters
    ----------
    table : xarray.Dataset
        Metrics of the published design, sorted by ``l_max`` and ``gradient``.
    """
    text = (
        "Each claim is tested with the networks of this run alone. It holds or fails if the 95 % interval of the "
        "relevant difference excludes 0, and is undecided otherwise."
    )
    claims = [Claim(*claim) for claim in paper_claims(table)]
    return Section("Claims of Gu, Kondic & Cummings (2023)", text, claims)
