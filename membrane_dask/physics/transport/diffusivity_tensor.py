"""Effective diffusivity tensors: of a periodic medium, with a lower and an upper bound, and of a sample."""

from __future__ import annotations

import numpy as np

from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.fixed_order import dot
from membrane_dask.physics.percolation import percolating
from membrane_dask.physics.sample_tensors import SampleTensor, as_stored, lateral_sums, mean_force, sample_tensor
from membrane_dask.physics.stokes.mac_grid import Grid
from membrane_dask.physics.stokes.multigrid import Conduction
from membrane_dask.physics.stokes.operators import net_inflow
from membrane_dask.physics.tensors import TensorBounds, lower_bound_tensor
from membrane_dask.physics.voxel_spacing import CUBE, Spacing, cyclic, face_conductances, permuted
from membrane_dask.physics.winding import winding_pores

#: Relative residual of each correction, and number of corrections.
_STEP_TOLERANCE, _MAX_CORRECTIONS = 1e-2, 12


def diffusivity_tensor(pores: np.ndarray, tolerance: float = 1e-8, spacing: Spacing = CUBE) -> TensorBounds:
    """Compute the effective diffusivity tensor of a periodic medium whose solid is impermeable.

    Parameters
    ----------
    pores : (z, y, x) ndarray of bool
        Pore voxels of a cell of the medium, which is repeated along all three axes.
    tolerance : float
        Accumulation in the voxels over the load, in (0, 1).
    spacing : tuple of float
        Edges of a voxel along ``z, y, x``, over the shortest one.

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
    faces = face_conductances(spacing).astype(np.float32)
    conductance = (grid.neighbours[:, ::2] < grid.m).astype(np.float32) * faces
    conductance[grid.m] = 0
    conduction = Conduction(grid.neighbours, conductance, grid.coordinates, ground)
    fluxes = [_flux(grid, conduction, axis, faces, tolerance)[0] for axis in axes]
    work = np.array([[float(flux[:, axis].sum()) for flux in fluxes] for axis in range(3)])
    energy = np.array([[dot(a.ravel(), (b / faces).ravel()) for b in fluxes] for a in fluxes])
    upper = np.zeros((3, 3))
    upper[np.ix_(axes, axes)] = energy / grid.size
    units = _units(faces)
    return TensorBounds(lower_bound_tensor(work, energy) / grid.size * units, upper * units)


def sample_diffusivity(pores: np.ndarray, tolerance: float = 1e-6, spacing: Spacing = CUBE) -> SampleTensor:
    """Compute the effective diffusivity tensor of a sample from the diffusion between its faces along each axis.

    Parameters
    ----------
    pores : (z, y, x) ndarray of bool
        Pore voxels.
    tolerance, spacing
        As in :func:`diffusivity_tensor`.

    Returns
    -------
    SampleTensor
        Over the diffusivity in a free fluid.

    Raises
    ------
    PhysicsError
        If the solver does not converge.
    """
    fluxes, forces = np.zeros((3, 3)), np.eye(3)
    for axis in range(3):
        order = cyclic(axis)
        oriented = np.ascontiguousarray(pores.transpose(order))
        edges = permuted(spacing, order)
        faces = face_conductances(edges).astype(np.float32)
        percolates = percolating(oriented)
        if not percolates.any():
            continue
        grid = Grid.of_percolating(percolates, "symmetric", None)
        conductance = (grid.neighbours[:, ::2] < grid.m).astype(np.float32) * faces
        conductance[: grid.inlets, 0] = conductance[grid.n :, 0] = 2 * faces[0]  # over half a voxel
        conductance[grid.n :, 1:] = conductance[grid.m] = 0
        conduction = Conduction(grid.neighbours, conductance, grid.coordinates)
        flux, concentration = _flux(grid, conduction, 0, faces, tolerance)
        mean_flux = grid.at_centres(flux).sum(axis=0) / grid.size * _units(faces)[0]
        force = mean_force(lateral_sums(grid.coordinates, concentration, grid.shape), grid.shape, spacing=edges)
        fluxes[:, axis], forces[:, axis] = as_stored(mean_flux, axis), as_stored(force, axis)
    return sample_tensor(fluxes, forces)


def _units(faces: np.ndarray) -> np.ndarray:
    """Diffusivities of 1 in units of voxels, from the conductances of faces: fluxes and gradients are over edges."""
    edges = 1.0 / np.sqrt(faces.astype(float))
    return np.outer(edges, edges)


def _flux(
    grid: Grid, conduction: Conduction, axis: int, faces: np.ndarray, tolerance: float
) -> tuple[np.ndarray, np.ndarray]:
    """Fluxes ``(m + 1, 3)`` under a unit difference between voxels along an axis, and concentrations ``(n,)``.

    ``faces`` are the conductances of a face across each axis.
    """
    conductance = conduction.conductance
    flux = np.zeros((grid.m + 1, 3))
    flux[:, axis] = faces[axis] * (conductance[:, axis] > 0)
    concentration = np.zeros(grid.m + 1)
    net = net_inflow(grid.neighbours, flux, grid.n)
    limit = tolerance * tolerance * dot(net, net)
    for _ in range(_MAX_CORRECTIONS):
        residual = net_inflow(grid.neighbours, flux, grid.n)
        if dot(residual, residual) <= limit:
            return flux, concentration[: grid.n]
        correction = np.zeros(grid.m + 1)
        correction[: grid.n] = conduction.solve(residual, _STEP_TOLERANCE)
        for k in range(3):
            flux[:, k] += conductance[:, k] * (correction[grid.neighbours[:, 2 * k]] - correction)
        concentration += correction
    raise PhysicsError(f"diffusion: after {_MAX_CORRECTIONS} corrections mass is not conserved to {tolerance:g}")
