"""Reference problems with exact answers, for tests, benchmarks and tutorials."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from scipy.integrate import quad
from scipy.ndimage import gaussian_filter, gaussian_filter1d
from scipy.special import ndtri

from membrane_dask.physics.reconstruction.random_field import generate_window
from membrane_dask.physics.reconstruction.structures import Structure, TwoLayers


@dataclass(frozen=True)
class GradedMembrane:
    """Synthetic membrane with a fine skin on a coarse support, and its electron micrograph.

    The micrograph shows one section of the membrane with the artefacts of focused-ion-beam microscopy: shading,
    curtaining along the depth, blur and noise.

    Parameters
    ----------
    structure : Structure
        Model of the structure, in voxels.
    depth, slices, width : int
        Voxels along ``z, y, x``.
    voxel_size_nm : float
        Edge of a voxel, nm.
    seed : int
        Seed of the structure.
    """

    structure: Structure = field(
        default_factory=lambda: TwoLayers(
            sigma_1=1.6, sigma_2=4.5, porosity=0.34, closing_radius=2.0, closing_depth=0.25, blend_power=3.0
        )
    )
    depth: int = 256
    slices: int = 256
    width: int = 512
    voxel_size_nm: float = 3.0
    seed: int = 20230801

    def section(self, y: int) -> np.ndarray:
        """Section at one ``y``, ``(depth, width)`` uint8: 0 pore, 255 solid."""
        shape = (self.depth, 1, self.width)
        return generate_window(self.structure, depth=self.depth, start=(0, y, 0), shape=shape, seed=self.seed)[:, 0]

    def volume(self) -> np.ndarray:
        """Volume of the membrane, ``(depth, slices, width)`` uint8: 0 pore, 255 solid."""
        shape = (self.depth, self.slices, self.width)
        return generate_window(self.structure, depth=self.depth, start=(0, 0, 0), shape=shape, seed=self.seed)

    def micrograph(
        self,
        *,
        shading: float = 0.12,
        curtaining: float = 0.04,
        blur: float = 1.0,
        noise: float = 0.05,
        seed: int = 0,
    ) -> np.ndarray:
        """Simulate an electron micrograph of the middle section.

        Parameters
        ----------
        shading : float
            Relative change of brightness from the centre to the edges.
        curtaining : float
            Relative standard deviation of the brightness between streaks.
        blur : float
            Standard deviation of the Gaussian blur, pixels.
        noise : float
            Standard deviation of the noise, as a fraction of the grey scale.
        seed : int
            Seed of streaks and noise.

        Returns
        -------
        (depth, width) ndarray of uint8
        """
        rng = np.random.default_rng(seed)
        grey = np.where(self.section(self.slices // 2) > 0, 0.66, 0.24)
        z, x = np.meshgrid(np.linspace(-1, 1, self.depth), np.linspace(-1, 1, self.width), indexing="ij")
        streaks = gaussian_filter1d(rng.standard_normal(self.width), 1.2)
        streaks = curtaining * streaks / streaks.std() * (0.6 + 0.2 * (z + 1))  # deepen with the cut
        grey = grey * (1 + shading * (0.7 * x - 0.3 * z)) * (1 + streaks)
        grey = gaussian_filter(grey, blur, mode="nearest") + noise * rng.standard_normal(grey.shape)
        return np.asarray(np.round(255 * np.clip(grey, 0, 1)).astype(np.uint8))


@dataclass(frozen=True)
class GaussianExcursion:
    """Excursion set: pores are where a Gaussian field of covariance ``exp(-r^2 / (4 sigma^2))`` is below a threshold.

    White noise smoothed with a Gaussian kernel of width ``sigma`` has this covariance, so that a homogeneous structure
    of :mod:`membrane_dask.physics.reconstruction.structures` without closing tends to it for large ``sigma``.

    Parameters
    ----------
    sigma : float
        Width of the smoothing kernel, > 0.
    porosity : float
        Porosity, in (0, 1).
    """

    sigma: float
    porosity: float

    def two_point(self, distance: float) -> float:
        """Two-point probability function: probability that two points at a distance are both in pores."""
        level = float(ndtri(self.porosity))
        correlation = math.exp(-(distance**2) / (4 * self.sigma**2))
        # Bivariate normal integral over the arcsine of the correlation, whose integrand has no singularity.
        value, _ = quad(lambda a: math.exp(-(level**2) / (1 + math.sin(a))), 0, math.asin(correlation))
        return float(self.porosity**2 + value / (2 * math.pi))

    def specific_surface(self) -> float:
        """Specific surface: mean area of the pore walls per volume (Rice's formula in three dimensions)."""
        level = float(ndtri(self.porosity))
        return 2 / math.pi * math.sqrt(1 / (2 * self.sigma**2)) * math.exp(-(level**2) / 2)


@dataclass(frozen=True)
class AnalyticFlow:
    """Pores with an exact permeability.

    Parameters
    ----------
    pores : (z, y, x) ndarray of bool
        Pore voxels.
    permeability : float
        Mean velocity along z over the whole volume, under unit viscosity and pressure gradient: voxels squared.
    """

    pores: np.ndarray
    permeability: float


def slit(width: int) -> AnalyticFlow:
    """Slit between two planes at a distance of ``width`` voxels (Poiseuille): ``width**2 / 12``."""
    return _straight_pore(np.ones((width, 4), bool), width**2 / 12, rim=(1, 0))


def square_duct(width: int) -> AnalyticFlow:
    """Duct of square cross-section, ``width`` voxels wide (Boussinesq): ``0.035144 width**2``."""
    return _straight_pore(np.ones((width, width), bool), 0.0351443 * width**2)


def tube(radius: float) -> AnalyticFlow:
    """Cylindrical tube of a radius in voxels (Hagen-Poiseuille): ``radius**2 / 8`` over its cross-section."""
    position = np.arange(2 * math.ceil(radius)) + 0.5 - math.ceil(radius)
    disc = position[:, None] ** 2 + position**2 < radius**2
    return _straight_pore(disc, radius**2 / 8 * math.pi * radius**2 / disc.sum())


def triangular_duct(edge: int) -> AnalyticFlow:
    """Duct whose cross-section is an equilateral triangle: ``edge**2 / 80`` over its cross-section."""
    height = math.ceil(edge * math.sqrt(3) / 2)
    down, along = np.arange(height)[:, None] + 0.5, np.arange(edge) + 0.5 - edge / 2
    triangle = np.abs(along) < edge / 2 - down / math.sqrt(3)
    return _straight_pore(triangle, edge**2 / 80 * math.sqrt(3) / 4 * edge**2 / triangle.sum())


def _straight_pore(section: np.ndarray, permeability: float, rim: tuple[int, int] = (1, 1)) -> AnalyticFlow:
    """Pore of constant cross-section within a solid rim; ``permeability`` is over the voxels of the cross-section."""
    plane = np.pad(section, [(rim[0], rim[0]), (rim[1], rim[1])])
    return AnalyticFlow(np.repeat(plane[None], 4, axis=0), permeability * section.sum() / plane.size)


#: Drag on a sphere in a simple cubic packing over the Stokes drag, by solid fraction (Zick and Homsy, J. Fluid Mech.
#: 115, 13, 1982); at the largest fraction the spheres are in contact.
CUBIC_DRAG = {0.027: 2.008, 0.064: 2.810, 0.125: 4.292, 0.216: 7.442, 0.343: 15.4, 0.45: 28.1, math.pi / 6: 42.1}


def cubic_spheres(cell: int, solid_fraction: float) -> AnalyticFlow:
    """Simple cubic packing of spheres: one sphere in a cube of ``cell`` voxels with symmetry planes.

    The permeability is ``cell**3 / (6 pi a K)`` for the radius ``a`` and the drag ``K`` of :data:`CUBIC_DRAG`, which
    lists the possible solid fractions.
    """
    radius = cell * (3 * solid_fraction / (4 * math.pi)) ** (1 / 3)
    position = np.arange(cell) + 0.5 - cell / 2
    squares = position[:, None, None] ** 2 + position[:, None] ** 2 + position**2
    return AnalyticFlow(squares > radius**2, cell**3 / (6 * math.pi * radius * CUBIC_DRAG[solid_fraction]))


def ferry_transmission(size_ratio: float) -> float:
    """Concentration of spheres in the filtrate of a cylindrical tube over that in the feed (Ferry).

    Steric exclusion by a strong flow: spheres move with the liquid wherever their centres can be. ``size_ratio`` is
    the diameter of the spheres over that of the tube, in [0, 1].
    """
    core = (1 - size_ratio) ** 2
    return core * (2 - core)


def hindered_transmission(size_ratio: float) -> float:
    """Concentration as in :func:`ferry_transmission`, with the drag of the wall on the spheres.

    References
    ----------
    P. Dechadilok and W. M. Deen, "Hindrance factors for diffusion and convection in pores", Industrial & Engineering
    Chemistry Research 45, 6953, 2006.
    """
    drag = 1 + 3.867 * size_ratio - 1.907 * size_ratio**2 - 0.834 * size_ratio**3
    drag /= 1 + 1.867 * size_ratio - 0.741 * size_ratio**2
    return (1 - size_ratio) ** 2 * drag
