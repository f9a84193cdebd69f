"""Models of a two-phase structure graded in depth: level sets of a sum of Gaussian random fields.

All lengths are in voxels. Depths are fractions of the thickness of the membrane, 0 at the feed side.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from membrane_dask.physics.distributions import normal_cdf, normal_quantile
from membrane_dask.physics.elementary import exp, log, power
from membrane_dask.physics.imaging.digital_spheres import squared_radius
from membrane_dask.physics.reconstruction.macrovoids import Macrovoids
from membrane_dask.physics.root_finding import brentq

#: Width of the rough field over that of the field that it roughens.
_ROUGH_WIDTH = 0.4


@dataclass(frozen=True, kw_only=True)
class Structure:
    """Base of all models: pores are where a sum of Gaussian fields lies below a level, both depending on the depth.

    Parameters
    ----------
    closing_radius : float
        Radius, >= 0, of the spherical structuring element that closes the solid; rounded down to a whole square.
    closing_depth : float
        Depth fraction, in [0, 1], above which nothing is closed.
    truncate : float
        Half-width of the smoothing kernels in standard deviations, > 0.
    macrovoids : Macrovoids, optional
        Layer of macrovoids, which are pores whatever the fields.
    """

    closing_radius: float = 0.0
    closing_depth: float = 0.0
    truncate: float = 4.0
    macrovoids: Macrovoids | None = None

    def __post_init__(self) -> None:
        if not 0 < self.truncate < math.inf:
            raise ValueError(f"truncate: must be greater than 0 (got {self.truncate})")
        if not 0 <= self.closing_radius < math.inf:
            raise ValueError(f"closing_radius: must be at least 0 (got {self.closing_radius})")
        if not 0 <= self.closing_depth <= 1:
            raise ValueError(f"closing_depth: must lie in [0, 1] (got {self.closing_depth})")

    @property
    def closing_square(self) -> int:
        """Squared radius of the structuring element, a whole number."""
        return squared_radius(self.closing_radius)

    @property
    def max_sigma(self) -> float:
        """Largest width of any field at any depth."""
        raise NotImplementedError

    @property
    def max_sigma_z(self) -> float:
        """Largest width along the depth."""
        return self.max_sigma

    def sigmas(self, depth: np.ndarray) -> np.ndarray:
        """Widths of the fields, ``(n_fields, n)``, at depth fractions ``(n,)``."""
        raise NotImplementedError

    def sigmas_z(self, depth: np.ndarray) -> np.ndarray:
        """Widths along the depth, ``(n_fields, n)``."""
        return self.sigmas(depth)

    def weights(self, depth: np.ndarray) -> np.ndarray:
        """Standard deviation that each field contributes, ``(n_fields, n)``."""
        raise NotImplementedError

    def levels(self, depth: np.ndarray) -> np.ndarray:
        """Level below which the pores are, ``(n,)``."""
        raise NotImplementedError

    def parameters(self) -> tuple[np.ndarray, np.ndarray]:
        """Widths and porosities before closing that are fitted to a micrograph."""
        raise NotImplementedError

    def with_parameters(self, sigma: np.ndarray, porosity: np.ndarray) -> Self:
        """The same structure with other widths and porosities."""
        raise NotImplementedError

    def scaled(self, factor: float) -> Self:
        """The same structure with voxels smaller by a factor."""
        if factor == 1:
            return self
        sigma, porosity = self.parameters()
        return replace(
            self.with_parameters(sigma * factor, porosity),
            closing_radius=self.closing_radius * factor,
            macrovoids=self.macrovoids and self.macrovoids.scaled(factor),
        )


@dataclass(frozen=True, kw_only=True)
class TwoLayers(Structure):
    """A fine field at the skin that blends into a coarse one below it.

    Parameters
    ----------
    sigma_1, sigma_2 : float
        Standard deviations, > 0, of the kernels that smooth the fine and the coarse field.
    porosity : float
        Pore fraction before closing, in (0, 1).
    blend_power : float
        The weight of the fine field is ``(1 - z/H)**blend_power``, > 0.
    keep_variance : bool
        Whether the blend is divided by its standard deviation, so that ``porosity`` is that of every depth. Otherwise
        the porosity dips between the layers, and ``porosity`` is the mean.

    References
    ----------
    Chamani et al. (2023).
    """

    sigma_1: float = 1.0
    sigma_2: float = 1.0
    porosity: float = 0.5
    blend_power: float = 10.0
    keep_variance: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("sigma_1", "sigma_2", "blend_power"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name}: must be greater than 0 (got {getattr(self, name)})")
        if not 0 < self.porosity < 1:
            raise ValueError(f"porosity: must lie between 0 and 1 (got {self.porosity})")

    @property
    def max_sigma(self) -> float:
        """Larger one of the two widths."""
        return max(self.sigma_1, self.sigma_2)

    def sigmas(self, depth: np.ndarray) -> np.ndarray:
        """Widths, the same at all depths."""
        return np.stack([np.full(len(depth), self.sigma_1), np.full(len(depth), self.sigma_2)])

    def weights(self, depth: np.ndarray) -> np.ndarray:
        """Weights of the blend."""
        fine = power(1 - depth, self.blend_power)
        blend = np.stack([fine, 1 - fine])
        return blend / np.sqrt(np.square(fine) + np.square(1 - fine)) if self.keep_variance else blend

    def levels(self, depth: np.ndarray) -> np.ndarray:
        """Level, the same at all depths."""
        level = float(normal_quantile(self.porosity))
        if not self.keep_variance:
            deviation = np.sqrt(np.square(self.weights(np.linspace(0, 1, 1001))).sum(axis=0))
            level = brentq(lambda t: normal_cdf(t / deviation).mean() - self.porosity, -10.0, 10.0)
        return np.full(len(depth), level)

    def parameters(self) -> tuple[np.ndarray, np.ndarray]:
        """Both widths, and the one porosity."""
        return np.array([self.sigma_1, self.sigma_2]), np.array([self.porosity])

    def with_parameters(self, sigma: np.ndarray, porosity: np.ndarray) -> Self:
        """The same structure with other widths and porosity."""
        return replace(self, sigma_1=float(sigma[0]), sigma_2=float(sigma[1]), porosity=float(porosity[0]))


@dataclass(frozen=True, kw_only=True)
class Graded(Structure):
    """One field whose width and porosity are interpolated between knots of the depth.

    Parameters
    ----------
    knots : tuple of float
        Depth fractions, rising within [0, 1]; a single one for a structure that is the same at all depths.
    sigma : tuple of float
        Standard deviation of the smoothing kernel at each knot, > 0; its logarithm is interpolated linearly.
    porosity : tuple of float
        Pore fraction before closing at each knot, in (0, 1); its normal quantile is interpolated linearly.
    roughness : float
        Fraction of the variance, in [0, 1), of a second field 0.4 times as wide, which roughens the walls.
    anisotropy : tuple of float
        Width along the depth over that in the plane of the membrane, > 0, at each knot, or a single one for all
        depths; its logarithm is interpolated linearly.
    """

    knots: tuple[float, ...] = (0.0,)
    sigma: tuple[float, ...] = (1.0,)
    porosity: tuple[float, ...] = (0.5,)
    roughness: float = 0.0
    anisotropy: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        super().__post_init__()
        rising = all(a < b for a, b in zip(self.knots, self.knots[1:], strict=False))
        if not self.knots or not rising or not all(0 <= knot <= 1 for knot in self.knots):
            raise ValueError(f"knots: must rise within [0, 1] (got {self.knots})")
        for name in ("sigma", "porosity"):
            values = getattr(self, name)
            if len(values) != len(self.knots):
                raise ValueError(f"{name}: must have a value for each of {len(self.knots)} knots (got {values})")
        if not all(0 < sigma < math.inf for sigma in self.sigma):
            raise ValueError(f"sigma: must be greater than 0 (got {self.sigma})")
        if not all(0 < porosity < 1 for porosity in self.porosity):
            raise ValueError(f"porosity: must lie between 0 and 1 (got {self.porosity})")
        if not 0 <= self.roughness < 1:
            raise ValueError(f"roughness: must lie in [0, 1) (got {self.roughness})")
        if len(self.anisotropy) not in (1, len(self.knots)):
            raise ValueError(f"anisotropy: must have one value, or one for each knot (got {self.anisotropy})")
        if not all(0 < ratio < math.inf for ratio in self.anisotropy):
            raise ValueError(f"anisotropy: must be greater than 0 (got {self.anisotropy})")

    @property
    def max_sigma(self) -> float:
        """Largest width at a knot."""
        return max(self.sigma)

    @property
    def max_sigma_z(self) -> float:
        """Largest width along the depth at a knot; between knots its logarithm is linear, too."""
        return float(np.max(np.multiply(self.sigma, self.anisotropy)))

    def sigmas(self, depth: np.ndarray) -> np.ndarray:
        """Widths of the field and, with a roughness, of the finer one."""
        sigma = exp(np.interp(depth, self.knots, log(self.sigma)))
        return np.stack([sigma, _ROUGH_WIDTH * sigma][: 2 if self.roughness else 1])

    def sigmas_z(self, depth: np.ndarray) -> np.ndarray:
        """Widths along the depth: those in the plane times the anisotropy."""
        return np.asarray(self.sigmas(depth) * self.anisotropies(depth))

    def anisotropies(self, depth: np.ndarray) -> np.ndarray:
        """Anisotropy at each depth."""
        logarithm = np.broadcast_to(log(self.anisotropy), len(self.knots))
        return np.asarray(exp(np.interp(depth, self.knots, logarithm)))

    def weights(self, depth: np.ndarray) -> np.ndarray:
        """Standard deviations, the same at all depths."""
        deviations = [math.sqrt(1 - self.roughness), math.sqrt(self.roughness)][: 2 if self.roughness else 1]
        return np.stack([np.full(len(depth), deviation) for deviation in deviations])

    def levels(self, depth: np.ndarray) -> np.ndarray:
        """Normal quantile of the porosity at each depth."""
        return np.asarray(np.interp(depth, self.knots, normal_quantile(self.porosity)))

    def parameters(self) -> tuple[np.ndarray, np.ndarray]:
        """Widths and porosities at the knots."""
        return np.array(self.sigma), np.array(self.porosity)

    def with_parameters(self, sigma: np.ndarray, porosity: np.ndarray) -> Self:
        """The same structure with other widths and porosities at the knots."""
        return replace(self, sigma=tuple(map(float, sigma)), porosity=tuple(map(float, porosity)))
