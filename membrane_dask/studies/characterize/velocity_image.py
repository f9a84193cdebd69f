"""The stored velocities of a volume, which the units of its slabs write."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from membrane_dask.io.volumes import VolumeSource
from membrane_dask.program import Image
from membrane_dask.studies.characterize.variables import REFERENCE_VELOCITY_IMAGE, VELOCITY_IMAGE
from membrane_dask.studies.volume_flow.flow_settings import FlowSettings


def velocity_image(settings: FlowSettings, volume: VolumeSource, edges: Sequence[int], name: str) -> Image:
    """The image of the velocities of a volume."""
    voxel = float(volume.voxel_nm or math.nan)
    labels: dict[str, np.ndarray] = {"component": np.array(list("zyx"), np.dtypes.StringDType())}
    edges_nm = (voxel * edge for edge in volume.spacing)
    labels |= {axis: (np.arange(n) + 0.5) * edge for axis, n, edge in zip("zyx", volume.shape, edges_nm, strict=True)}
    schema = REFERENCE_VELOCITY_IMAGE if name.startswith("reference") else VELOCITY_IMAGE
    return Image(schema, labels, "z", edges[1], attrs={"pressure_Pa": settings.pressure}, name=name)
