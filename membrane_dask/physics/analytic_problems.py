"""Structures whose answers are known, to test against and to learn with."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from scipy.integrate import quad
from scipy.ndimage import gaussian_filter, gaussian_filter1d
from scipy.special import ndtri

from membrane_dask.physics.reconstruction.random_field import generate_window
from membrane_dask.physics.reconstruction.structures import Graded, Structure, TwoLayers


@dataclass(frozen=True)
class GradedMembrane:
    """A membrane with a fine skin over a coarse support, and its electron micrograph.

    The true structure is known at every voxel; the micrograph shows one section of it as a
    microscope would: shaded, with the streaks of the ion beam along the depth, blurred and noisy.

    Parameters
    ----------
    structure : Structure
        What the membrane is made of, in voxels.
    depth, slices, width : int
        Voxels along ``z, y, x``.
    voxel_size_nm : float
        Edge of a voxel in nanometres.
    seed : int
        Key of the structure's noise.
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
        """One plane ``(depth, width)``: 0 pore, 255 solid."""
        shape = (self.depth, 1, self.width)
        return generate_window(self.structure, depth=self.depth, start=(0, y, 0), shape=shape, seed=self.seed)[:, 0]

    def volume(self) -> np.ndarray:
        """The whole membrane ``(depth, slices, width)``: 0 pore, 255 solid."""
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
        """Electron micrograph of the middle section.

        Parameters
        ----------
        shading : float
            Relative change of brightness from the centre to the edges.
        curtaining : float
            Relative standard deviation of the brightness from streak to streak.
        blur : float
            Standard deviation of the microscope's blur, pixels.
        noise : float
            Standard deviation of the noise, as a share of the full grey scale.
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
        return np.round(255 * np.clip(grey, 0, 1)).astype(np.uint8)


def steady_membrane() -> GradedMembrane:
    """A membrane of the paper's size whose pores widen steadily with depth: that of ``configs/steady-membrane.png``."""
    structure = Graded(knots=(0.0, 1.0), sigma=(1.6, 6.0), porosity=(0.3, 0.38), closing_radius=2.0)
    return GradedMembrane(structure=structure, depth=1024, slices=400, width=899, seed=20231101)


@dataclass(frozen=True)
class GaussianExcursion:
    """Pores where a Gaussian field of covariance ``exp(-r^2 / (4 sigma^2))`` lies below a level.

    White noise smoothed with a Gaussian of width ``sigma`` has this covariance, so an ungraded
    :class:`~membrane_dask.physics.reconstruction.structures.Graded` structure without closing tends to it as
    ``sigma`` grows.

    Parameters
    ----------
    sigma : float
        Width of the smoothing kernel, > 0.
    porosity : float
        Pore fraction, in (0, 1).
    """

    sigma: float
    porosity: float

    def two_point(self, distance: float) -> float:
        """Probability that two points this far apart both lie in pores (bivariate normal integral)."""
        level = float(ndtri(self.porosity))
        correlation = math.exp(-(distance**2) / (4 * self.sigma**2))
        # Over the angle whose sine is the correlation, which takes the root out of the integrand.
        value, _ = quad(lambda a: math.exp(-(level**2) / (1 + math.sin(a))), 0, math.asin(correlation))
        return self.porosity**2 + value / (2 * math.pi)

    def specific_surface(self) -> float:
        """Mean area of the pores' surface in a unit volume (Rice's formula in three dimensions)."""
        level = float(ndtri(self.porosity))
        return 2 / math.pi * math.sqrt(1 / (2 * self.sigma**2)) * math.exp(-(level**2) / 2)


@dataclass(frozen=True)
class KnownFlow:
    """Pores whose permeability is known.

    Parameters
    ----------
    pores : (z, y, x) ndarray of bool
        The pores.
    permeability : float
        Mean velocity along z over the whole volume, under unit viscosity and pressure gradient: voxels squared.
    """

    pores: np.ndarray
    permeability: float


def slit(width: int) -> KnownFlow:
    """Between two planes, ``width`` voxels apart (Poiseuille): ``width**2 / 12``."""
    return _straight(np.ones((width, 4), bool), width**2 / 12, rim=(1, 0))


def square_duct(width: int) -> KnownFlow:
    """Duct of square section, ``width`` voxels wide (Boussinesq's series): ``0.035144 width**2``."""
    return _straight(np.ones((width, width), bool), 0.0351443 * width**2)


def tube(radius: float) -> KnownFlow:
    """Round tube of a radius in voxels (Hagen and Poiseuille): ``radius**2 / 8`` in the tube itself."""
    at = np.arange(2 * math.ceil(radius)) + 0.5 - math.ceil(radius)
    disc = at[:, None] ** 2 + at**2 < radius**2
    return _straight(disc, radius**2 / 8 * math.pi * radius**2 / disc.sum())


def triangular_duct(edge: int) -> KnownFlow:
    """Duct whose section is an equilateral triangle: ``edge**2 / 80`` in the duct itself."""
    height = math.ceil(edge * math.sqrt(3) / 2)
    down, along = np.arange(height)[:, None] + 0.5, np.arange(edge) + 0.5 - edge / 2
    triangle = np.abs(along) < edge / 2 - down / math.sqrt(3)
    return _straight(triangle, edge**2 / 80 * math.sqrt(3) / 4 * edge**2 / triangle.sum())


def _straight(section: np.ndarray, permeability: float, rim: tuple[int, int] = (1, 1)) -> KnownFlow:
    """A pore of one section all along, within solid; its permeability is given over the section's voxels."""
    whole = np.pad(section, [(rim[0], rim[0]), (rim[1], rim[1])])
    return KnownFlow(np.repeat(whole[None], 4, axis=0), permeability * section.sum() / whole.size)


#: Drag on a sphere of a simple cubic packing over Stokes's, by the share of the solid (Zick and Homsy, J. Fluid Mech.
#: 115, 13, 1982); in the last the spheres touch.
CUBIC_DRAG = {0.027: 2.008, 0.064: 2.810, 0.125: 4.292, 0.216: 7.442, 0.343: 15.4, 0.45: 28.1, math.pi / 6: 42.1}


def cubic_spheres(cell: int, solid: float) -> KnownFlow:
    """A sphere in a cube of ``cell`` voxels, which its mirror images continue: ``cell**3 / (6 pi a K)``.

    ``solid``, the share of the sphere, is one of :data:`CUBIC_DRAG`.
    """
    radius = cell * (3 * solid / (4 * math.pi)) ** (1 / 3)
    at = np.arange(cell) + 0.5 - cell / 2
    squares = at[:, None, None] ** 2 + at[:, None] ** 2 + at**2
    return KnownFlow(squares > radius**2, cell**3 / (6 * math.pi * radius * CUBIC_DRAG[solid]))


def ferry(share: float) -> float:
    """What a strong flow carries through a round tube of balls ``share`` times as wide, over the feed (Ferry).

    They go with the liquid wherever their centres can be.
    """
    core = (1 - share) ** 2
    return core * (2 - core)


def hindered(share: float) -> float:
    """The same with the drag of the wall on the balls (Dechadilok and Deen, Ind. Eng. Chem. Res. 45, 6953, 2006)."""
    drag = (1 + 3.867 * share - 1.907 * share**2 - 0.834 * share**3) / (1 + 1.867 * share - 0.741 * share**2)
    return (1 - share) ** 2 * drag
