"""Comparison of the porosities of several micrographs of one membrane at the depths that they have in common."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from membrane_dask.physics.distributions import normal_quantile

#: Integral of the correlation of a section over its plane, in squares of the half-correlation length: exact for a level
#: set, of porosity 1/2, of a Gaussian field whose correlation is a Gaussian function.
_CORRELATED_AREA = 2 * np.pi
#: Probability that porosities of any two images of a membrane differ by more than is allowed, for normal deviations:
#: for two images that of 3 standard deviations.
_SIGNIFICANCE = 0.0027


@dataclass(frozen=True)
class ImagedDepth:
    """A micrograph, and sections of a structure that is matched to all micrographs, imaged and segmented like it.

    Parameters
    ----------
    solid : (depth, width) ndarray of bool
        Segmented micrograph.
    inside : (depth, width) ndarray of bool, optional
        Pixels that are used; default all.
    sections : sequence of (depth, width) ndarray of bool
        The sections.
    z : (depth,) ndarray
        Depth fraction of each row.
    length : (depth,) ndarray
        Half-correlation length at each row, pixels.
    resolved : (depth,) ndarray of bool
        Rows at which the micrograph resolves the pores.
    """

    solid: np.ndarray
    inside: np.ndarray | None
    sections: Sequence[np.ndarray]
    z: np.ndarray
    length: np.ndarray
    resolved: np.ndarray

    def excess_porosity(self, top: float, bottom: float) -> tuple[float, float]:
        """Porosity above that of the sections in a range of the depth, and its standard deviation between sections."""
        rows = (self.z >= top) & (self.z <= bottom)
        pores = ~self.solid[rows]
        used = np.ones_like(pores) if self.inside is None else self.inside[rows]
        n_pixels = max(int(used.sum()), 1)
        porosity = float((pores & used).sum() / n_pixels)
        sections = float(1 - np.mean([section[rows] for section in self.sections]))
        deviation = porosity_deviation(porosity, self.length[rows], n_pixels)
        return porosity - sections, deviation * math.sqrt(1 + 1 / len(self.sections))


@dataclass(frozen=True)
class Contradiction:
    """Two micrographs whose porosities differ at the same depth by more than sections of one membrane do.

    Parameters
    ----------
    first, second : int
        Numbers of the micrographs.
    top, bottom : float
        Depth fractions.
    difference : float
        Porosity of the first above that of the second, both after subtraction of that of the sections.
    deviations : float
        Its absolute value in standard deviations.
    """

    first: int
    second: int
    top: float
    bottom: float
    difference: float
    deviations: float

    def __str__(self) -> str:
        return (
            f"images {self.first} and {self.second} contradict each other: from {self.top:.0%} to {self.bottom:.0%} of "
            f"the depth the porosity of the former is {abs(self.difference):.3f} "
            f"{'larger' if self.difference > 0 else 'smaller'}, {self.deviations:.1f} standard deviations"
        )


def porosity_deviation(porosity: float, length: np.ndarray, n_pixels: int) -> float:
    """Standard deviation of the porosity between sections of a structure.

    Parameters
    ----------
    porosity : float
        In [0, 1].
    length : (depth,) ndarray
        Half-correlation length at each row, pixels.
    n_pixels : int
        Pixels of a section, many more than the square of the length.
    """
    return math.sqrt(porosity * (1 - porosity) * _CORRELATED_AREA * float(np.square(length).mean()) / n_pixels)


def contradictions(images: Sequence[ImagedDepth]) -> Iterator[Contradiction]:
    """Pairs of micrographs that contradict each other where both resolve the pores.

    Parameters
    ----------
    images : sequence of ImagedDepth
        At least two.
    """
    pairs = list(itertools.combinations(range(len(images)), 2))
    limit = float(normal_quantile(1 - _SIGNIFICANCE / 2 / len(pairs)))
    for first, second in pairs:
        resolved = [image.z[image.resolved] for image in (images[first], images[second])]
        if not all(z.size for z in resolved):
            continue
        top, bottom = max(float(z[0]) for z in resolved), min(float(z[-1]) for z in resolved)
        if bottom <= top:
            continue
        values, deviations = zip(*(images[k].excess_porosity(top, bottom) for k in (first, second)), strict=True)
        difference = values[0] - values[1]
        deviation = math.sqrt(sum(one * one for one in deviations))
        if abs(difference) > limit * deviation:
            yield Contradiction(first, second, top, bottom, difference, abs(difference) / max(deviation, 1e-12))
