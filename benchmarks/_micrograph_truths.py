"""Membranes that are known in three dimensions, and micrographs that show one section of each.

Lengths are in pixels of the micrograph, except those of a structure made at half the pixel. Most truths are level sets
of the package's own random field; overlapping spheres, the anisotropic field and rock are independent of it.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter, gaussian_filter1d
from scipy.special import ndtri

from membrane_dask.physics.reconstruction.random_field import gaussian_field, generate_window
from membrane_dask.physics.reconstruction.structures import Graded, Structure, TwoLayers

Shape = tuple[int, int, int]
#: Voxels of the public truths and of the random ones, ``(z, y, x)``.
PUBLIC_SHAPE, RANDOM_SHAPE = (256, 128, 384), (224, 80, 320)
#: Porosities that every quarter of the section of a random truth has.
_POROSITY_RANGE = (0.12, 0.60)


@dataclass(frozen=True)
class Imaging:
    """What the microscope does to a section.

    Parameters
    ----------
    blur : float
        Standard deviation of the Gaussian blur, pixels.
    noise : float
        Standard deviation of the noise; grey runs from black 0 to white 1.
    levels : (float, float)
        Grey of pure pore and of pure solid.
    seed : int
        Of curtains and noise.
    """

    blur: float = 1.0
    noise: float = 0.05
    levels: tuple[float, float] = (0.24, 0.66)
    seed: int = 177

    def image(self, solid: np.ndarray, supersampling: int = 1) -> np.ndarray:
        """Electron micrograph of a section: shading of 12 %, curtains of 4 %, blur, noise, 8 bits.

        Parameters
        ----------
        solid : (depth, width) ndarray of bool
            Section.
        supersampling : int
            Voxels per pixel along each axis: the blurred section is averaged over so many.

        Returns
        -------
        (depth, width) ndarray of uint8
            Over ``supersampling`` along each axis.
        """
        rng = np.random.default_rng(self.seed)
        depth, width = (n // supersampling for n in solid.shape)
        z, x = np.linspace(-1, 1, depth)[:, None], np.linspace(-1, 1, width)
        curtains = gaussian_filter1d(rng.standard_normal(width), 1.2)
        gain = 1 + 0.12 * (0.7 * x - 0.3 * z)
        gain = gain * (1 + 0.04 * curtains / curtains.std() * (0.6 + 0.2 * (z + 1)))  # curtains deepen with the cut
        fine = np.kron(gain, np.ones((supersampling, supersampling)))
        grey = fine * np.where(solid, self.levels[1], self.levels[0])
        grey = gaussian_filter(grey, self.blur * supersampling, mode="nearest")
        grey = grey.reshape(depth, supersampling, width, supersampling).mean(axis=(1, 3))
        grey += self.noise * rng.standard_normal(grey.shape)
        return np.asarray(np.round(255 * np.clip(grey, 0, 1)).astype(np.uint8))


@dataclass(frozen=True)
class Truth:
    """A membrane, one section of it and its micrograph.

    Parameters
    ----------
    name, family : str
    imaging : Imaging
        Of the micrograph.
    solid : (z, y, x) ndarray of bool
        Volume, True in the solid.
    section : (z, x) ndarray of bool
        The section that the micrograph shows.
    image : (z, x) ndarray of uint8
        Micrograph.
    """

    name: str
    family: str
    imaging: Imaging
    solid: np.ndarray
    section: np.ndarray
    image: np.ndarray

    @classmethod
    def of(cls, name: str, family: str, imaging: Imaging, solid: np.ndarray) -> Truth:
        """Truth whose micrograph shows the middle section of a volume."""
        section = solid[:, solid.shape[1] // 2]
        return cls(name, family, imaging, solid, section, imaging.image(section))


# -- public truths


def _graded(structure: Structure, shape: Shape, seed: int = 1201) -> np.ndarray:
    return generate_window(structure, depth=shape[0], start=(0, 0, 0), shape=shape, seed=seed) > 0


_A = Graded(knots=(0, 1), sigma=(1.5, 4.2), porosity=(0.32, 0.40))
_STRUCTURES: dict[str, tuple[Graded, Imaging]] = {
    "A, blur 0": (_A, Imaging(0.0)),
    "A, blur 0.5": (_A, Imaging(0.5)),
    "A, blur 1": (_A, Imaging(1.0)),
    "A, blur 1.5": (_A, Imaging(1.5)),
    "A, blur 2": (_A, Imaging(2.0)),
    "B": (
        Graded(knots=(0, 0.25, 1), sigma=(1.3, 2.4, 4.8), porosity=(0.40, 0.36, 0.30), closing_radius=2.0),
        Imaging(1.5, 0.03, (0.30, 0.60)),
    ),
    "C": (
        Graded(knots=(0, 1), sigma=(1.7, 3.6), porosity=(0.48, 0.54), closing_radius=1.4143, roughness=0.15),
        Imaging(1.5, 0.08),
    ),
    "D": (Graded(knots=(0, 0.2, 1), sigma=(1.4, 3.0, 4.4), porosity=(0.26, 0.21, 0.28)), Imaging(1.0, 0.10)),
    "E": (Graded(knots=(0, 1), sigma=(2.4, 3.8), porosity=(0.44, 0.27), closing_radius=3.0), Imaging(1.5)),
}
#: Truths of the table of errors: one image of each family, two of the first.
TABLE = ("A, blur 1", "A, blur 2", "B", "C", "D", "E", "spheres", "Berea")
#: All blurs of the first family.
BLURS_OF_A = ("A, blur 0", "A, blur 0.5", "A, blur 1", "A, blur 1.5", "A, blur 2")
#: All blurs of the rock, pixels.
BLURS_OF_BEREA = {"Berea, blur 1": 1.0, "Berea, blur 1.5": 1.5, "Berea": 2.0}


def public_truth(name: str, shape: Shape = PUBLIC_SHAPE, berea: str | Path | None = None) -> Truth:
    """Make a truth by its name, one of ``TABLE``, ``BLURS_OF_A``, or ``BLURS_OF_BEREA``.

    Parameters
    ----------
    name : str
    shape : (int, int, int)
        Voxels ``(z, y, x)``; rock has its own.
    berea : str or Path, optional
        Micro-tomogram of Berea sandstone, 400^3 voxels, 0 in the pores: a TIFF stack, or a ZIP file that holds one.
    """
    if name == "spheres":
        return Truth.of(name, "spheres", Imaging(1.0), spheres(np.random.default_rng(11), shape, 2.5, 5.0, 0.30, 10))
    if name in BLURS_OF_BEREA:
        if berea is None:
            raise ValueError("berea: the file of the rock is needed")
        return Truth.of(name, "rock", Imaging(BLURS_OF_BEREA[name]), read_rock(berea)[:384, 20:148, :384])
    structure, imaging = _STRUCTURES[name]
    return Truth.of(name, name[0], imaging, _graded(structure, shape))


def read_rock(path: str | Path) -> np.ndarray:
    """Read a stack of binary images ``(z, y, x)``, True in the solid; a ZIP file holds one TIFF file."""
    import tifffile

    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            name = next(name for name in archive.namelist() if name.endswith((".tif", ".tiff")))
            with archive.open(name) as file:
                return np.asarray(tifffile.imread(file)) > 0
    return np.asarray(tifffile.imread(path)) > 0


def spheres(
    rng: np.random.Generator, shape: Shape, radius: float, growth: float, porosity: float, margin: int
) -> np.ndarray:
    """Overlapping solid spheres whose radius grows with depth and whose density keeps the porosity constant.

    Parameters
    ----------
    rng : numpy.random.Generator
        Of the centres, which are Poisson distributed.
    shape : (int, int, int)
        Voxels ``(z, y, x)``.
    radius, growth : float
        Radius at the top, and how much larger it is at the bottom.
    porosity : float
        Expected fraction of the pores.
    margin : int
        Voxels around the volume in which there are centres, too.
    """
    z = np.arange(-margin, shape[0] + margin)
    radii = radius + growth * np.clip(z / shape[0], 0, 1)
    density = -np.log(porosity) / (4 / 3 * np.pi * radii**3)
    solid = np.zeros((len(z), shape[1] + 2 * margin, shape[2] + 2 * margin), bool)
    for k, count in enumerate(rng.poisson(density * solid[0].size)):
        r = radii[k]
        reach = int(r)
        for y, x in zip(rng.uniform(0, solid.shape[1], count), rng.uniform(0, solid.shape[2], count), strict=True):
            low = [max(0, k - reach), max(0, int(y - r)), max(0, int(x - r))]
            high = [
                min(len(z), k + reach + 1),
                min(solid.shape[1], int(y + r) + 2),
                min(solid.shape[2], int(x + r) + 2),
            ]
            grid = np.ogrid[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
            inside = (grid[0] - k) ** 2 + (grid[1] - y) ** 2 + (grid[2] - x) ** 2 <= r * r
            solid[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] |= inside
    return solid[margin:-margin, margin:-margin, margin:-margin]


# -- random truths


def random_truth(number: int, shape: Shape = RANDOM_SHAPE) -> Truth:
    """Draw a membrane and its micrograph.

    Two thirds are of one field, graded; the others have two layers or are overlapping spheres, in turn. A truth is
    drawn again until every quarter of its section has a porosity of 0.12 to 0.60.

    Parameters
    ----------
    number : int
        Seed.
    shape : (int, int, int)
        Voxels ``(z, y, x)``.
    """
    rng = np.random.default_rng([19, number])
    family = "one field" if number % 3 < 2 else ("two layers", "spheres")[number // 3 % 2]
    while True:
        if family == "spheres":
            solid = spheres(rng, shape, rng.uniform(2.0, 3.5), rng.uniform(2.0, 5.0), rng.uniform(0.25, 0.45), 10)
        else:
            structure = _random_field(rng) if family == "one field" else _random_layers(rng)
            solid = _graded(structure, shape, int(rng.integers(1 << 62)))
        levels = (rng.uniform(0.18, 0.30), rng.uniform(0.55, 0.75))
        imaging = Imaging(rng.uniform(0, 2), rng.uniform(0.02, 0.10), levels, int(rng.integers(1 << 31)))
        truth = Truth.of(str(number), family, imaging, solid)
        porosities = [1 - truth.section[rows].mean() for rows in quarters(shape[0])]
        if _POROSITY_RANGE[0] < min(porosities) and max(porosities) < _POROSITY_RANGE[1]:
            return truth


def _random_field(rng: np.random.Generator) -> Graded:
    knots = (0.0, 1.0) if rng.random() < 0.5 else (0.0, rng.uniform(0.2, 0.4), 1.0)
    top, bottom = rng.uniform(1.2, 2.2), rng.uniform(3.0, 5.0)
    middle = math.exp(rng.uniform(math.log(min(1.3 * top, bottom)), math.log(bottom)))
    return Graded(
        knots=knots,
        sigma=(top, bottom) if len(knots) == 2 else (top, middle, bottom),
        porosity=tuple(rng.uniform(0.25, 0.5, len(knots))),
        closing_radius=math.sqrt(rng.choice([0, 1, 2, 4, 6, 9])) + 1e-9,  # is rounded down to a whole square
        roughness=float(rng.choice([0.0, 0.1, 0.2])),
    )


def _random_layers(rng: np.random.Generator) -> TwoLayers:
    return TwoLayers(
        sigma_1=rng.uniform(1.2, 2.2),
        sigma_2=rng.uniform(3.0, 5.0),
        porosity=rng.uniform(0.25, 0.5),
        blend_power=rng.uniform(3.0, 10.0),
        closing_radius=math.sqrt(rng.choice([0, 1, 2, 4, 6, 9])) + 1e-9,
        closing_depth=0.25,
    )


# -- truths at half the pixel


@dataclass(frozen=True)
class HalfPixelTruth:
    """Micrograph of a section that has finer detail than its pixels.

    Parameters
    ----------
    length : (4,) ndarray
        Half-correlation length along the rows, by quarter of the depth, of many sections, pixels.
    image : (z, x) ndarray of uint8
        Micrograph.
    """

    length: np.ndarray
    image: np.ndarray


def half_pixel_truth(
    sigma: tuple[float, ...], blur: float, seed: int, shape: tuple[int, int] = (256, 384)
) -> HalfPixelTruth:
    """Make a section at half the pixel, blur it and average it over 2 x 2.

    Parameters
    ----------
    sigma : tuple of float
        Widths at the top and the bottom, pixels; one for a homogeneous field. The porosity is 0.35.
    blur : float
        Pixels.
    seed : int
        Of structure and noise.
    shape : (int, int)
        Pixels ``(z, x)`` of the micrograph.
    """
    knots = tuple(np.linspace(0, 1, len(sigma))) if len(sigma) > 1 else (0.0,)
    structure = Graded(knots=knots, sigma=tuple(2 * width for width in sigma), porosity=(0.35,) * len(sigma))
    depth, width = 2 * shape[0], 2 * shape[1]
    sections = [
        generate_window(structure, depth=depth, start=(0, 1000 * i, 0), shape=(depth, 1, width), seed=seed)[:, 0] > 0
        for i in range(16)
    ]
    length = half_lengths(np.stack(sections, axis=1)) / 2
    return HalfPixelTruth(length, Imaging(blur, seed=seed).image(sections[0], supersampling=2))


# -- sections that are outside of the model


def misfit(kind: str, number: int, shape: tuple[int, int] = (256, 384), berea: str | Path | None = None) -> np.ndarray:
    """Section of a membrane that the default model does not describe, True in the solid.

    Parameters
    ----------
    kind : str
        One of ``MISFITS``.
    number : int
        Seed; of rock, the section.
    shape : (int, int)
        Pixels ``(z, x)``.
    berea : str or Path, optional
        As of :func:`public_truth`, for ``rock``.
    """
    if kind == "rock":
        if berea is None:
            raise ValueError("berea: the file of the rock is needed")
        return read_rock(berea)[: min(384, 400), (17 + 53 * number) % 400, :384]
    return MISFITS[kind](np.random.default_rng([23, number]), shape)


def _anisotropic(sigma: float | tuple[float, float], ratio: float) -> Callable[..., np.ndarray]:
    def section(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
        width = sigma if isinstance(sigma, float) else rng.uniform(*sigma)
        margin = int(4 * width + 1)
        noise = rng.uniform(-0.5, 0.5, (shape[0], 2 * margin + 1, shape[1]))
        field = gaussian_filter(noise, (0, width, 0), mode="constant")[:, margin]
        field = gaussian_filter(field, (ratio * width, width), mode="wrap")
        return field >= np.quantile(field, 0.35)

    return section


def _lateral(amplitude: float) -> Callable[..., np.ndarray]:
    def section(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
        porosity = 0.33 + amplitude * np.tanh(4 * np.linspace(-1, 1, shape[1]))
        return _field(rng, shape) >= ndtri(porosity)

    return section


def _field(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    structure = Graded(knots=(0, 1), sigma=(1.8, 4.0), porosity=(0.5, 0.5))
    window = (shape[0], 1, shape[1])
    seed = int(rng.integers(1 << 62))
    return gaussian_field(structure, depth=shape[0], start=(0, 0, 0), shape=window, seed=seed)[0]


def _macrovoids(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Section with four finger-shaped voids, which do not touch each other."""
    solid = _field(rng, shape) >= ndtri(0.33)
    z, x = np.ogrid[: shape[0], : shape[1]]
    for centre in (np.arange(4) + 0.5) / 4 * shape[1] + rng.uniform(-0.05, 0.05, 4) * shape[1]:
        long, wide = rng.uniform(35, 55) * shape[0] / 256, rng.uniform(10, 15)
        depth = rng.uniform(0.50, 0.75) * shape[0]
        solid &= ((z - depth) / long) ** 2 + ((x - centre) / wide) ** 2 > 1
    return solid


def _spheres(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return spheres(rng, (shape[0], 1, shape[1]), 2.5, 5.0, 0.30, 10)[:, 0]


#: Kinds of misfit, but rock.
MISFITS: dict[str, Callable[..., np.ndarray]] = {
    "anisotropic, t 3.05": _anisotropic(2.35, 3.05),
    "anisotropic, t 1.5": _anisotropic((2.0, 3.5), 1.5),
    "lateral 0.20/0.46": _lateral(0.13),
    "lateral 0.27/0.39": _lateral(0.06),
    "macrovoids": _macrovoids,
    "spheres": _spheres,
}


# -- measures


def quarters(depth: int) -> Iterator[slice]:
    """Rows of each quarter of the depth."""
    return (slice(a, b) for a, b in pairwise(round(depth * q / 4) for q in range(5)))


def half_lengths(solid: np.ndarray) -> np.ndarray:
    """Half-correlation length along x in each quarter of the depth of a volume ``(z, y, x)``, ``(4,)`` voxels."""
    return np.array([_half_length(~solid[rows]) for rows in quarters(len(solid))])


def _half_length(pores: np.ndarray) -> float:
    """Lag along the last axis at which the autocorrelation falls to one half."""
    porosity, last = pores.mean(), 1.0
    for lag in range(1, pores.shape[-1] // 2):
        both = np.count_nonzero(pores[..., :-lag] & pores[..., lag:]) / pores[..., lag:].size
        correlation = (both - porosity**2) / (porosity - porosity**2)
        if correlation < 0.5:
            return lag - 1 + (last - 0.5) / (last - correlation)
        last = correlation
    return math.nan
