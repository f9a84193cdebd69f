"""Design parameters as points of the unit box, on logarithmic axes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from membrane_dask.physics.decimal_digits import round_to_digits
from membrane_dask.physics.elementary import exp, log
from membrane_dask.studies.graded.design_settings import DesignParameters

#: Significant digits of the parameters of a design.
_DIGITS = 6
#: Distance from an end of a range, in units of the box, within which a parameter takes its value.
_END = 1e-3
#: Bisections for the mean radius; each halves the interval of the shift.
_BISECTIONS = 60


class DesignSpace:
    """Box of the parameters of a design.

    Axes are logarithmic, except that of the gradient, which may be 0 or negative. The mean radius of the bands may be
    fixed; the admissible points of the box are then those with this mean.

    Parameters
    ----------
    parameters : DesignParameters
        Parameters and their ranges.
    bands : int
        Number of bands.

    Attributes
    ----------
    names : tuple of str
        Name of every axis; ``radius_1`` is the radius of the first band.
    """

    def __init__(self, parameters: DesignParameters, bands: int) -> None:
        ranges: dict[str, tuple[float, float]] = {}
        for name in parameters.names:
            limits = getattr(parameters, name).range
            ranges |= dict.fromkeys((f"radius_{k + 1}" for k in range(bands)) if name == "radius" else (name,), limits)
        self.parameters, self.bands, self.ranges = parameters, bands, ranges
        self.names = tuple(ranges)
        self._is_logarithmic = np.array([name != "gradient" for name in self.names])
        self._low, self._high = np.array([[self._axis(name, value) for value in ranges[name]] for name in self.names]).T
        self._is_radius = np.array([name.startswith("radius_") for name in self.names])
        self._mean = parameters.radius.mean if parameters.radius else None

    @staticmethod
    def _axis(name: str, value: float) -> float:
        return value if name == "gradient" else float(log(value))

    @property
    def dimension(self) -> int:
        """Number of independent parameters."""
        return len(self.names) - (self._mean is not None)

    def project(self, points: np.ndarray) -> np.ndarray:
        """Admissible points near points of the box, ``(n, d)``.

        Parameters that almost reach an end of their range take its value. With a fixed mean radius, all radii are
        multiplied until they have it.
        """
        if self._mean is None:
            return np.asarray(np.where(points < _END, 0.0, np.where(points > 1 - _END, 1.0, points)))
        low, high = self._low[self._is_radius], self._high[self._is_radius]
        logarithms = low + points[:, self._is_radius] * (high - low)
        reach = float((high - low).max())
        shift_low, shift_high = np.full(len(points), -reach), np.full(len(points), reach)
        for _ in range(_BISECTIONS):
            shift = (shift_low + shift_high) / 2
            too_wide = exp(np.clip(logarithms + shift[:, None], low, high)).mean(axis=1) > self._mean
            shift_low, shift_high = np.where(too_wide, shift_low, shift), np.where(too_wide, shift, shift_high)
        points = points.copy()
        points[:, self._is_radius] = (np.clip(logarithms + shift[:, None], low, high) - low) / (high - low)
        return points

    def values(self, point: np.ndarray) -> dict[str, float]:
        """Parameters at a point, by the names of the axes, rounded to six digits."""
        axes = self._low + point * (self._high - self._low)
        values = np.where(self._is_logarithmic, exp(np.where(self._is_logarithmic, axes, 0.0)), axes)
        return {
            name: min(max(round_to_digits(float(value), _DIGITS), self.ranges[name][0]), self.ranges[name][1])
            for name, value in zip(self.names, values, strict=True)
        }

    def point(self, values: Mapping[str, float]) -> np.ndarray:
        """The point of some parameters."""
        axes = np.array([self._axis(name, values[name]) for name in self.names])
        return np.asarray(np.clip((axes - self._low) / (self._high - self._low), 0.0, 1.0))

    def design(self, values: Mapping[str, float]) -> dict[str, Any]:
        """Keys of the study that the parameters replace; radii as a list with one value for each band."""
        design: dict[str, Any] = {name: value for name, value in values.items() if not name.startswith("radius_")}
        if self.parameters.radius:
            design["radius"] = [values[f"radius_{k + 1}"] for k in range(self.bands)]
        return design

    def bounds_reached(self, values: Mapping[str, float]) -> list[str]:
        """Names of the parameters that are at an end of their ranges."""
        return [
            name
            for name, value in values.items()
            if min(value - self.ranges[name][0], self.ranges[name][1] - value)
            <= 1e-4 * (self.ranges[name][1] - self.ranges[name][0])
        ]
