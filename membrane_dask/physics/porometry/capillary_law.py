"""Capillary pressure of a pore that a liquid fills: Young-Laplace with a shape factor, for arrays of pressures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from membrane_dask.physics.errors import PhysicsError

#: Largest surface tension, N m-1, of liquids at room temperature; mercury's is 0.485.
_LARGEST_TENSION = 0.5


@dataclass(frozen=True)
class CapillaryLaw:
    """``r = 2 gamma cos(theta) f / p``.

    Parameters
    ----------
    surface_tension : float
        Of the liquid against the gas or liquid that displaces it, N m-1, in (0, 0.5].
    relative_error : float
        Standard deviation of the surface tension over its value, >= 0; every radius has this error.
    contact_angle : float
        Degrees, in [0, 90).
    shape_factor : float
        f, > 0: 1 in the definition of standards, 0.715 in files of some instruments. All radii are proportional to it.

    Raises
    ------
    PhysicsError
        Outside these ranges.
    """

    surface_tension: float
    relative_error: float = 0.0
    contact_angle: float = 0.0
    shape_factor: float = 1.0

    def __post_init__(self) -> None:
        problems = []
        if not 0 < self.surface_tension <= _LARGEST_TENSION:
            problems.append(
                f"surface tension: must be greater than 0 and at most {_LARGEST_TENSION} N/m "
                f"(got {self.surface_tension:g}); is it in mN/m?"
            )
        if not 0 <= self.relative_error < 1:
            problems.append(f"error of the surface tension: must be a fraction, 0 to 1 (got {self.relative_error:g})")
        if not 0 <= self.contact_angle < 90:
            problems.append(
                f"contact angle: must be at least 0 and less than 90 degrees (got {self.contact_angle:g}); "
                f"a liquid that does not wet the pores does not fill them"
            )
        if not 0 < self.shape_factor < np.inf:
            problems.append(f"shape factor: must be greater than 0 (got {self.shape_factor:g})")
        if problems:
            raise PhysicsError("; ".join(problems))

    @property
    def constant(self) -> float:
        """``2 gamma cos(theta) f``, N m-1: radius times capillary pressure."""
        from membrane_dask.physics.elementary import cosine_of_degrees  # its kernels are slow to load for settings

        return 2 * self.surface_tension * float(cosine_of_degrees(self.contact_angle)) * self.shape_factor

    def radius(self, pressure: Any) -> Any:
        """Radius of the pores that open at pressures in Pa, > 0, m."""
        return (self.constant / np.asarray(pressure, float))[()]

    def diameter_text(self, pressure: float) -> str:
        """Diameter of the pores that open at a pressure, as text; it means nothing without the shape factor."""
        return f"{2e6 * float(self.radius(pressure)):.3g} um (shape factor {self.shape_factor:g})"
