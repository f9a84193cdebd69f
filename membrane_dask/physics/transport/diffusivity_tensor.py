"""Effective diffusivity tensor of a periodic medium, with a lower and an upper bound."""

from __future__ import annotations

import numpy as np

from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.fixed_order import dot
from membrane_dask.physics.stokes.mac_grid import Grid
from membrane_dask.physics.stokes.multigrid import Conduction
from membrane_dask.physics.stokes.operators import net_inflow
from membrane_dask.physics.tensors import TensorBounds, lower_bound_tensor
from membrane_dask.physics.winding import winding_pores

#: Relative residual of each correction, and number of corrections.
_STEP_TOLERANCE, _MAX_CORRECTIONS = 1e-2, 12


def diffusivity_tensor(pores: np.ndarray, tolerance: float = 1e-8) -> TensorBounds:
    """Compute the effective diffusivity tensor of a periodic medium whose solid is impermeable.

    Parameters
    ----------
    pores : (z, y, x) ndarray of bool
        Pore voxels of a cell of the medium, which is repeated along all three axes.
    tolerance : float
        Accumulation in the voxels over the load, in (0, 1).

    Returns
    -------
    TensorBounds
        Over the diffusivity in a free fluid.

    Raises
    ------
    PhysicsError
        If the solver does not converge.

    Notes
    -----
    Finite volumes on the voxels, with concentrations whose mean gradient is a unit vector along each axis. The energies
    of any concentrations are an upper bound (Dirichlet's principle), their fluxes as far as they conserve mass a lower
    one (Thomson's principle).
    """
    winding = winding_pores(pores)
    axes = np.flatnonzero(winding.spans).tolist()
    if not axes:
        return TensorBounds(np.zeros((3, 3)), np.zeros((3, 3)))
    ground = np.unique(winding.cluster[winding.pores], return_index=True)[1]
    grid = Grid.of_periodic_cell(winding.pores, ground)
    is_open = grid.neighbours[:, ::2] < grid.m
    is_open[grid.m] = False
    conduction = Conduction(grid.neighbours, is_open.astype(np.float32), grid.coordinates, ground)
    fluxes = [_flux(grid, conduction, is_open, axis, tolerance) for axis in axes]
    work = np.array([[float(flux[:, axis].sum()) for flux in fluxes] for axis in range(3)])
    energy = np.array([[dot(a.ravel(), b.ravel()) for b in fluxes] for a in fluxes])
    upper = np.zeros((3, 3))
    upper[np.ix_(axes, axes)] = energy / grid.size
    return TensorBounds(lower_bound_tensor(work, energy) / grid.size, upper)


def _flux(grid: Grid, conduction: Conduction, is_open: np.ndarray, axis: int, tolerance: float) -> np.ndarray:
    """Fluxes ``(m + 1, 3)`` through the faces under a unit gradient along an axis."""
    flux = np.zeros((grid.m + 1, 3))
    flux[:, axis] = is_open[:, axis]
    net = net_inflow(grid.neighbours, flux, grid.n)
    limit = tolerance * tolerance * dot(net, net)
    for _ in range(_MAX_CORRECTIONS):
        residual = net_inflow(grid.neighbours, flux, grid.n)
        if dot(residual, residual) <= limit:
            return flux
        concentration = np.append(conduction.solve(residual, _STEP_TOLERANCE), np.float32(0)).astype(np.float64)
        for k in range(3):
            difference = concentration[grid.neighbours[:, 2 * k]] - concentration
            flux[:, k] += np.where(is_open[:, k], difference, 0.0)
    raise PhysicsError(f"diffusion: after {_MAX_CORRECTIONS} corrections mass is not conserved to {tolerance:g}")
