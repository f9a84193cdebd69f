"""The registry of study kinds."""

from __future__ import annotations

from collections.abc import Mapping

from membrane_dask.config import (
    BaseStudy,
)
from membrane_dask.schema import Variable
from membrane_dask.studies.characterize.config import CharacterizeStudy
from membrane_dask.studies.characterize.variables import (
    DEPOSITION,
    FLOW,
    FLOW_SECTION,
    NETWORK,
    PORE_SIZES,
    PROFILES,
    PROPERTIES,
    REJECTION,
    RETENTION,
    VELOCITY,
)
from membrane_dask.studies.graded.config import GradedStudy
from membrane_dask.studies.graded.variables import GRADED, OPTIMUM
from membrane_dask.studies.porometry.config import PorometryStudy
from membrane_dask.studies.porometry.variables import (
    BOOTSTRAP,
    PAIRS,
    POPULATIONS,
    POROMETRY,
    POSTERIOR,
    REPRODUCTION,
    RESAMPLED,
)
from membrane_dask.studies.reconstruct.config import ReconstructStudy
from membrane_dask.studies.reconstruct.variables import STRUCTURES, TRIALS

Study = GradedStudy | ReconstructStudy | CharacterizeStudy | PorometryStudy
KINDS: Mapping[str, type[BaseStudy]] = {
    "graded": GradedStudy,
    "reconstruct": ReconstructStudy,
    "characterize": CharacterizeStudy,
    "porometry": PorometryStudy,
}
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
