"""Windows of depth in which micrographs determine the widths and porosities of a structure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from membrane_dask.physics.elementary import exp, log
from membrane_dask.physics.fixed_order import inverse, product
from membrane_dask.physics.reconstruction.descriptors import Descriptors
from membrane_dask.physics.reconstruction.structures import Graded, Structure

#: Smallest distance of a porosity from 0 and from 1.
MIN_FRACTION = 1e-4
#: Fraction of the rows of a window from which on a micrograph determines what belongs to it.
_MIN_ROWS = 0.1


@dataclass(frozen=True)
class Target:
    """Descriptors and porosities that the sections of a structure should have.

    Parameters
    ----------
    descriptors : Descriptors
        Means over the windows of depth that determine the widths.
    porosity : (n,) ndarray
        Pore fraction in the windows that determine the porosities.
    length_z : (n,) ndarray, optional
        Half-correlation length along the depth in the windows of the widths, pixels; without it structures keep
        their anisotropy.
    """

    descriptors: Descriptors
    porosity: np.ndarray
    length_z: np.ndarray | None = None

    def perturbed(self, first: Target, second: Target) -> Target:
        """Target as from another section of the same membrane.

        Parameters
        ----------
        first, second : Target
            Of two independent sections of a structure. Their difference over the square root of two has the variance
            of a single section.
        """
        scale = math.sqrt(0.5)
        length_z = self.length_z
        if length_z is not None and first.length_z is not None and second.length_z is not None:
            length_z = length_z * exp(scale * np.nan_to_num(log(first.length_z / second.length_z)))
        return Target(
            Descriptors(
                self.descriptors.two_point + scale * (first.descriptors.two_point - second.descriptors.two_point),
                self.descriptors.opened + scale * (first.descriptors.opened - second.descriptors.opened),
            ),
            np.clip(self.porosity + scale * (first.porosity - second.porosity), MIN_FRACTION, 1 - MIN_FRACTION),
            length_z,
        )

    @staticmethod
    def pooled(targets: Sequence[Target], sigma: np.ndarray, porosity: np.ndarray) -> Target:
        """Target of several micrographs of one pixel size.

        Parameters
        ----------
        targets : sequence of Target
            One for each.
        sigma, porosity : (n_micrographs, n) ndarray
            Weights in each window of the widths and of the porosities; their sums over the micrographs are 1, or 0 in
            a window that none of them shows.
        """
        if len(targets) == 1:
            return targets[0]
        descriptors = [target.descriptors for target in targets]
        return Target(
            Descriptors(
                np.sum([w[:, None] * one.two_point for w, one in zip(sigma, descriptors, strict=True)], axis=0),
                np.sum([w[:, None, None] * one.opened for w, one in zip(sigma, descriptors, strict=True)], axis=0),
            ),
            np.sum([w * target.porosity for w, target in zip(porosity, targets, strict=True)], axis=0),
        )


@dataclass(frozen=True)
class DepthWindows:
    """Windows of depth of a micrograph that determine the parameters of a structure.

    Parameters
    ----------
    sigma, porosity : (n, depth) ndarray
        Weights of the rows that determine each width and each porosity; each row sums to 1, or to 0 where the
        micrograph does not reach the depth.
    overlap, porosity_overlap : (n, n) ndarray
        Windows overlap: how much a mean over one depends on each width, and on each porosity.
    """

    sigma: np.ndarray
    porosity: np.ndarray
    overlap: np.ndarray
    porosity_overlap: np.ndarray

    @classmethod
    def of(
        cls,
        structure: Structure,
        depth: int,
        ranges: Sequence[tuple[float, float]],
        *,
        first_row: int = 0,
        thickness: int = 0,
    ) -> Self:
        """Windows of a structure.

        Parameters
        ----------
        structure : TwoLayers or Graded
        depth : int
            Rows.
        ranges : sequence of (float, float)
            Ranges of the depth that determine the two widths of two layers, as fractions from the top.
        first_row, thickness : int
            Rows of the membrane above the micrograph, and rows of the whole; default is a micrograph of the whole.
        """
        thickness = thickness or first_row + depth
        z = np.arange(thickness) / max(thickness - 1, 1)
        if isinstance(structure, Graded):
            hats = np.stack([np.interp(z, structure.knots, row) for row in np.eye(len(structure.knots))])
            weights = _weights(hats, first_row, depth)
            overlap = product(weights, hats[:, first_row : first_row + depth].T)
            return cls(weights, weights, overlap, overlap)
        inside = np.stack([(z >= top) & (z <= bottom) for top, bottom in ranges]).astype(float)
        uniform = np.full((1, depth), 1 / depth)
        return cls(_weights(inside, first_row, depth), uniform, np.eye(len(inside)), np.ones((1, 1)))

    @property
    def is_shown(self) -> np.ndarray:
        """Windows of the widths that the micrograph reaches, ``(n,)`` bool."""
        return np.asarray(self.sigma.any(axis=1))

    @property
    def inverse_overlap(self) -> np.ndarray:
        """Changes of the parameters for given changes of the means over the windows, ``(n, n)``."""
        return inverse(self.overlap)

    def target(self, descriptors: Descriptors, length_z: np.ndarray | None = None) -> Target:
        """Means over the windows of descriptors by row; ``length_z`` is taken as it is."""
        return Target(descriptors.mean(self.sigma), descriptors.mean(self.porosity).porosity, length_z)


def _weights(windows: np.ndarray, first_row: int, depth: int) -> np.ndarray:
    """Weights of the rows of a micrograph in windows ``(n, thickness)``; 0 in one of which it shows a tenth or less."""
    rows = windows[:, first_row : first_row + depth]
    shown, whole = rows.sum(axis=1, keepdims=True), windows.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(rows, shown, out=np.zeros_like(rows), where=shown > _MIN_ROWS * whole))


def effective_rows(weights: np.ndarray) -> np.ndarray:
    """Rows of equal weight that determine a mean as well as rows of these weights ``(n, depth)``; 0 without any."""
    squares = np.square(weights).sum(axis=1)
    return np.asarray(np.divide(1.0, squares, out=np.zeros_like(squares), where=squares > 0))
