"""Permeability with an interval for the error of the resolution, from the flows with both wall models.

An image does not show how the surface of the solid runs between its voxels. The wall models ``smooth`` and
``staircase`` of :mod:`membrane_dask.physics.stokes.mac_grid` are two answers, and the fewer voxels the pores are wide,
the more their permeabilities differ: the logarithm of their ratio measures the resolution.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from membrane_dask.physics.elementary import exp, log

#: Logarithm of the ratio of the wall models up to which walls are resolved, and what the permeability exceeds that
#: with smooth walls by up to there, over the logarithm of the ratio.
_RESOLVED, _EXCESS = 0.12, 0.1
#: Relative decrease of the permeability with smooth walls, under cells that are much smaller than the voxels, over the
#: logarithm of the ratio.
_DECREASE = 1.15
#: Ends of the 90 % interval relative to the permeability, in logarithms: constant, and per logarithm of the ratio.
_LOW, _HIGH = (-0.02, -1.0), (0.03, 1.1)
#: Largest logarithm of the ratio for which the errors were measured.
CALIBRATED = 0.35


@dataclass(frozen=True)
class ResolvedPermeability:
    """A permeability and the ends of its 90 % interval, in the units of the permeabilities that it is computed from."""

    permeability: float
    low: float
    high: float


def image_resolution(smooth: float, staircase: float, refinement: int = 1) -> float:
    """Logarithm of the ratio of the permeabilities with both wall models, on cells of the size of a voxel.

    Parameters
    ----------
    smooth, staircase : float
        Permeabilities with smooth and with staircase walls, > 0.
    refinement : int
        Cells per voxel along each axis. The ratio decreases with the size of the cells, but the image does not become
        better.

    Returns
    -------
    float
        0 or more; 0 for walls along the faces of the voxels. Below 0.1 pores are resolved.
    """
    return max(0.0, refinement * float(log(smooth / staircase)))


def resolve_permeability(smooth: float, staircase: float, refinement: int = 1) -> ResolvedPermeability:
    """Estimate the permeability of the body of which the voxels are an image.

    Parameters
    ----------
    smooth, staircase : float
        Permeabilities with smooth and with staircase walls, in any unit. One of them may be NaN.
    refinement : int
        Cells per voxel along each axis.

    Returns
    -------
    ResolvedPermeability
        If one of the permeabilities is NaN it is the other one, with an interval of NaN.

    Notes
    -----
    With the logarithm of the ratio ``x`` the estimate is ``smooth * exp(0.1 x)`` for resolved walls, ``x <= 0.12``, and
    proportional to ``staircase`` beyond: the surfaces of coarse images are rough below the size of a voxel. Cells
    smaller than a voxel show the staircases themselves. The permeability with smooth walls then decreases, by
    ``exp(-1.15 (1 - 1 / refinement) x)`` in all volumes that were measured, which is taken back.

    The constants and the ends of the interval, which are a multiple of the estimate that depends on ``x``, were chosen
    by hand for volumes whose permeability is known. ``benchmarks/flow_resolution.py`` prints the errors, the coverage
    and, for comparison, constants of least error. Beyond :data:`CALIBRATED` the interval widens twice as fast.
    """
    if not (smooth > 0 and staircase > 0):
        permeability = staircase if math.isnan(smooth) else smooth
        return ResolvedPermeability(permeability, math.nan, math.nan)
    x = image_resolution(smooth, staircase, refinement)
    exponent = _DECREASE * (1 - 1 / refinement) * x + log_correction(x)
    permeability = smooth * float(exp(exponent))
    width = x + max(0.0, x - CALIBRATED)
    low, high = (float(exp(constant + slope * width)) for constant, slope in (_LOW, _HIGH))
    return ResolvedPermeability(permeability, permeability * low, permeability * high)


def log_correction(x: float) -> float:
    """Logarithm of the estimate over the permeability with smooth walls, on cells of the size of a voxel."""
    return _EXCESS * min(x, _RESOLVED) - max(0.0, x - _RESOLVED)


def exceeds_calibration(smooth: float, staircase: float, refinement: int = 1) -> bool:
    """Whether the wall models differ by more than in the volumes for which the error was measured."""
    return smooth > 0 and staircase > 0 and image_resolution(smooth, staircase, refinement) > CALIBRATED
