"""A constant flux that no volume of a study can have below its pressure limit, found before the flow is computed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from membrane_dask.errors import Problem
from membrane_dask.io.volumes import VolumeSource
from membrane_dask.physics.stokes.chord_bound import permeability_chord_bound
from membrane_dask.studies.foul.config import FoulStudy

#: Voxels that are read at a time.
_SLAB_VOXELS = 1 << 22
#: L m-2 h-1 in m s-1.
_LMH = 3.6e6


def flux_problems(study: FoulStudy, volumes: Sequence[VolumeSource]) -> Iterator[Problem]:
    """Check that a constant flux can begin below the pressure limit in one of the volumes.

    The permeability is bounded by the chords of the pores. Where this allows a flux that the Stokes flow does not, a
    life is 0 and the result says so.
    """
    operation = study.operation
    if not isinstance(operation.flux, float) or study.hydraulics.conductance != "stokes":
        return
    limit = study.pressure_limit * study.pressure
    factors = []
    for volume in volumes:
        voxel = float(volume.voxel_nm or math.nan) * 1e-9
        bound = permeability_chord_bound(_slabs(volume), study.hydraulics.lateral_boundary) * voxel * voxel
        resistance = study.viscosity * volume.shape[0] * voxel
        factors.append(operation.flux * resistance / (bound * limit) if bound > 0 else 0.0)
    if min(factors) >= 1:
        message = (
            f"needs more than {min(factors):.3g} times the pressure_limit at the start, as the permeability is below a "
            f"bound by the chords of the pores; at most {operation.flux / min(factors) * _LMH:.3g} LMH"
        )
        yield Problem(("operation", "flux"), f"{message} (got {operation.flux * _LMH:.6g} LMH)")


def _slabs(volume: VolumeSource) -> Iterator[np.ndarray]:
    """Pores of a volume in slabs along its depth."""
    depth, height, width = volume.shape
    thickness = max(1, _SLAB_VOXELS // (height * width))
    for z in range(0, depth, thickness):
        yield volume.read((slice(z, min(z + thickness, depth)), slice(0, height), slice(0, width)))
