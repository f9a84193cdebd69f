"""Transport tensors of a sample from its flows between opposite faces along each axis, by volume averages."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from membrane_dask.physics.fixed_order import inverse, product
from membrane_dask.physics.voxel_spacing import CUBE, Spacing

#: Determinant of the mean forces below which the flows do not tell the axes apart; it is 1 for independent ones.
_MIN_DETERMINANT = 0.05


@dataclass(frozen=True)
class SampleTensor:
    """Symmetric part of a transport tensor, and how far the measured one is from it.

    Parameters
    ----------
    tensor : (3, 3) ndarray
        Symmetric part; NaN where the flows do not determine it.
    asymmetry : float
        Largest difference between elements across the diagonal, over the mean of the diagonal.
    """

    tensor: np.ndarray
    asymmetry: float


def lateral_sums(coordinates: np.ndarray, potential: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Sums of a potential over the pores at the faces parallel to a flow, and their numbers.

    Parameters
    ----------
    coordinates : (n, 3) ndarray of int
        Indices of the pore voxels; the flow is along the first axis.
    potential : (n,) ndarray
        Pressure or concentration.
    shape : tuple of int
        Shape of the volume.

    Returns
    -------
    (2, 2, 2) ndarray
        By axis (second, third), face (low, high) and kind (sum, number); those of disjoint sets of pores add up.
    """
    sums = np.zeros((2, 2, 2))
    for axis in (1, 2):
        for face, index in enumerate((0, shape[axis] - 1)):
            at_face = coordinates[:, axis] == index
            sums[axis - 1, face] = potential[at_face].sum(dtype=float), np.count_nonzero(at_face)
    return sums


def mean_force(
    sums: np.ndarray, shape: tuple[int, ...], *, periodic: bool = False, spacing: Spacing = CUBE
) -> np.ndarray:
    """Mean force on the liquid: 1 along the flow, and what builds up between the faces parallel to it.

    Parameters
    ----------
    sums : (2, 2, 2) ndarray
        From :func:`lateral_sums`.
    shape : tuple of int
        Shape of the volume.
    periodic : bool
        Whether the potential is periodic along the second and the third axis.
    spacing : tuple of float
        Edges of a voxel along the axes; the force along the flow is 1 for a unit difference between its planes.

    Returns
    -------
    (3,) ndarray
        Without pores at one of two faces, the force between them is taken to be 0.
    """
    force = np.array([1.0, 0.0, 0.0])
    for axis in (1, 2):
        (low, n_low), (high, n_high) = sums[axis - 1]
        if not periodic and n_low and n_high:
            force[axis] = (low / n_low - high / n_high) / (shape[axis] - 1) * (spacing[0] / spacing[axis])
    return force


def as_stored(vector: np.ndarray, axis: int) -> np.ndarray:
    """Components ``z, y, x`` of a vector whose components begin with ``axis`` and follow cyclically."""
    return np.roll(vector, axis)


def sample_tensor(velocities: np.ndarray, forces: np.ndarray) -> SampleTensor:
    """Tensor that connects mean velocities with mean forces.

    Parameters
    ----------
    velocities, forces : (3, 3) ndarray
        Components ``z, y, x`` in rows; flows between the faces along ``z, y, x`` in columns.

    Returns
    -------
    SampleTensor

    Notes
    -----
    Darcy's law of the averages, ``U = K.F``, holds for a homogeneous medium in a volume of any boundary conditions
    [1]_. Faces parallel to a flow are impermeable, so that a force builds up between them where the axis of the flow is
    not a principal direction.

    References
    ----------
    .. [1] R. Guibert, M. Nazarova, P. Horgue, G. Hamon, P. Creux and G. Debenest, "Computational permeability
       determination from pore-scale imaging: sample size, mesh and method sensitivities", Transport in Porous Media
       107, 641, 2015.
    """
    a, b, c = forces.T
    determinant = float(
        a[0] * (b[1] * c[2] - b[2] * c[1]) - a[1] * (b[0] * c[2] - b[2] * c[0]) + a[2] * (b[0] * c[1] - b[1] * c[0])
    )
    if not determinant > _MIN_DETERMINANT:
        return SampleTensor(np.full((3, 3), np.nan), float("nan"))
    tensor = product(velocities, inverse(forces))
    diagonal = float(np.diag(tensor).sum()) / 3
    asymmetry = float(np.abs(tensor - tensor.T).max()) / diagonal if diagonal > 0 else 0.0
    return SampleTensor((tensor + tensor.T) / 2, asymmetry)
