"""Rigorous bounds of the permeability from approximate velocities and pressures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Literal

from membrane_dask.physics.errors import PhysicsError


@dataclass(frozen=True)
class BoundSums:
    """Sums over faces that bound the permeability; those of disjoint sets of faces add up.

    With the momentum operator A, its diagonal D, a unit force f along z less the gradient of the pressures, velocities
    v that solve ``A v = f`` approximately, their residual ``r = f - A v``, and a divergence-free velocity u:

    Parameters
    ----------
    work : float
        Work of the unit force along z on ``u``.
    dissipation : float
        ``u.A.u``.
    functional : float
        ``2 f.v - v.A.v``, which is ``f.A^-1.f - r.A^-1.r``.
    residual_square : float
        ``r.D^-1.r``.

    Notes
    -----
    Stokes flow minimises dissipation among divergence-free fields (Helmholtz), so that ``work^2 / dissipation`` is a
    lower bound of the work of the unit force on the true flow, for any ``u``. ``f.A^-1.f`` is an upper bound of it, for
    any pressures, and exceeds the functional by no more than ``residual_square`` over the smallest eigenvalue of
    ``D^-1 A``. The errors of both bounds are quadratic in the errors of their fields.
    """

    work: float
    dissipation: float
    functional: float
    residual_square: float

    @classmethod
    def total(cls, sums: Iterable[BoundSums]) -> BoundSums:
        """Add the sums of disjoint sets of faces."""
        items = list(sums)
        return cls(*(sum(getattr(item, field.name) for item in items) for field in fields(cls)))

    def bounds(self, size: int, min_eigenvalue: float) -> Bounds:
        """Compute bounds of the permeability.

        Parameters
        ----------
        size : int
            Number of voxels of the volume.
        min_eigenvalue : float
            Smallest eigenvalue of ``D^-1 A``.

        Returns
        -------
        Bounds
            In voxels squared.
        """
        velocity_error = self.residual_square / min_eigenvalue / size
        lower = self.work * self.work / self.dissipation / size
        return Bounds(lower, self.functional / size + velocity_error, velocity_error)


@dataclass(frozen=True)
class Bounds:
    """Bounds of a permeability, in voxels squared.

    Parameters
    ----------
    lower, upper : float
        The permeability of the discrete problem lies between them.
    velocity_error : float
        Contribution of the residual of the momentum equation to the upper bound.
    """

    lower: float
    upper: float
    velocity_error: float

    def status(self, tolerance: float) -> Literal["converged", "velocities", "pressures"]:
        """Whether the bounds agree to a relative tolerance; if not, which of the two fields must be improved."""
        if self.upper - self.lower <= tolerance * self.lower:
            return "converged"
        # The error of the velocities may hide that of the pressures.
        return "velocities" if self.velocity_error > (self.upper - self.lower) / 2 else "pressures"

    def not_converged(self, iterations: int, tolerance: float) -> PhysicsError:
        """Error to raise if the bounds still differ by more than the tolerance."""
        return PhysicsError(
            f"flow: after {iterations} iterations the permeability is between {self.lower:.4g} and {self.upper:.4g} "
            f"voxels squared, which differ by more than the tolerance of {tolerance:.1%}"
        )
