"""Size distributions of pores, bodies and throats, and their percentiles, by number and by size."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np

from membrane_dask.physics.elementary import log, power
from membrane_dask.physics.imaging.local_thickness import pore_radii

#: Percentiles of the tables.
PERCENTILES = (10, 50, 90)
#: Weights of bodies and throats.
WEIGHTS = ("number", "size")
#: Number of intervals of diameters in a doubling.
_PER_DOUBLING = 4


class SizeDistribution:
    """A cumulative distribution of diameters.

    Parameters
    ----------
    diameters : (n,) ndarray
        Increasing.
    cumulative : (n,) ndarray
        Fraction with at most each diameter.
    is_continuous : bool
        Whether the distribution is linear between the diameters; otherwise it has steps at them.
    """

    def __init__(self, diameters: np.ndarray, cumulative: np.ndarray, *, is_continuous: bool) -> None:
        self._diameters, self._cumulative, self._is_continuous = diameters, cumulative, is_continuous

    @classmethod
    def of_items(cls, diameters: np.ndarray, weights: np.ndarray) -> SizeDistribution:
        """Distribution of bodies or throats with their weights."""
        order = np.argsort(diameters, kind="stable")
        cumulative = np.cumsum(weights[order])
        return cls(diameters[order], cumulative / cumulative[-1:], is_continuous=False)

    @classmethod
    def of_thickness(cls, counts: np.ndarray, voxel: float) -> SizeDistribution:
        """Distribution by local thickness.

        Parameters
        ----------
        counts : (n,) ndarray
            Pore voxels within inscribed spheres of at least each radius of
            :func:`~membrane_dask.physics.imaging.local_thickness.pore_radii`.
        voxel : float
            Edge of a voxel, in the unit of the diameters.
        """
        counts = np.concatenate([counts, [0.0]])
        cumulative = 1.0 - counts / counts[0] if counts[0] else counts[:0]
        return cls(2.0 * voxel * pore_radii(len(cumulative)), cumulative, is_continuous=True)

    def at(self, diameters: np.ndarray) -> np.ndarray:
        """Fraction with at most each diameter; NaN without any."""
        if not len(self._diameters):
            return np.full(diameters.shape, np.nan)
        above = np.searchsorted(self._diameters, diameters, side="right")
        steps = np.concatenate([[0.0], self._cumulative])
        if not self._is_continuous:
            return np.asarray(steps[above])
        last = len(self._diameters) - 1
        low, high = np.clip(above - 1, 0, last), np.clip(above, 0, last)
        width = self._diameters[high] - self._diameters[low]
        position = (diameters - self._diameters[low]) / np.where(width > 0, width, 1.0)
        inside = self._cumulative[low] + (self._cumulative[high] - self._cumulative[low]) * position
        return np.where(above == 0, 0.0, np.where(above > last, 1.0, inside))

    def percentiles(self) -> np.ndarray:
        """Smallest diameters that at least 10, 50 and 90 % do not exceed; NaN without any."""
        if not len(self._diameters):
            return np.full(len(PERCENTILES), np.nan)
        fractions = np.array(PERCENTILES) / 100.0
        # The last entry is 1 but for rounding.
        index = np.minimum(np.searchsorted(self._cumulative, fractions, side="left"), len(self._diameters) - 1)
        if not self._is_continuous:
            return np.asarray(self._diameters[index])
        low = np.maximum(index - 1, 0)
        rise = self._cumulative[index] - self._cumulative[low]
        position = (fractions - self._cumulative[low]) / np.where(rise > 0, rise, 1.0)
        return np.asarray(self._diameters[low] + (self._diameters[index] - self._diameters[low]) * position)

    def on_grid(self, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Density of the logarithm of the diameter in each interval, and the fraction up to its upper end."""
        cumulative = self.at(edges)
        return np.diff(cumulative) / np.diff(log(edges)), cumulative[1:]


def diameter_edges(smallest: float, largest: float) -> np.ndarray:
    """Ends of intervals of diameters, four to a doubling, from ``smallest`` to ``largest`` or more."""
    doublings = float(log(largest / smallest) / log(2.0))
    count = max(1, int(np.ceil(_PER_DOUBLING * doublings + 1e-9)))
    return smallest * np.asarray(power(2.0, np.arange(count + 1) / _PER_DOUBLING))


def diameter_middles(edges: np.ndarray) -> np.ndarray:
    """Middle of every interval, on a logarithmic scale."""
    return np.asarray(np.sqrt(edges[:-1] * edges[1:]))


def network_items(network: Mapping[str, np.ndarray]) -> Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Equivalent diameter, size and depth of all bodies and of the throats between them.

    Parameters
    ----------
    network : mapping of str to ndarray
        Variables of a network table.
    """
    conns = network["throat_conns"]
    inner = conns[:, 1] >= 0
    z = network["position"][:, 0]
    ends = conns[inner]
    return {
        "body": (2.0 * network["equivalent_radius"], network["volume"], z),
        "throat": (
            2.0 * network["throat_equivalent_radius"][inner],
            network["throat_area"][inner],
            (z[ends[:, 0]] + z[ends[:, 1]]) / 2.0,
        ),
    }


def network_distributions(
    diameters: np.ndarray, sizes: np.ndarray, quarter: np.ndarray, n_quarters: int
) -> tuple[list[SizeDistribution], list[list[SizeDistribution]]]:
    """Distributions of bodies or throats by each of :data:`WEIGHTS`: of all, and of those in each quarter."""
    weights = (np.ones(len(diameters)), sizes)
    whole = [SizeDistribution.of_items(diameters, weight) for weight in weights]
    by_quarter = [
        [SizeDistribution.of_items(diameters[quarter == q], weight[quarter == q]) for q in range(n_quarters)]
        for weight in weights
    ]
    return whole, by_quarter


def size_tables(
    network: Mapping[str, np.ndarray], voxel: float, plane: float, edges: np.ndarray, quarters: list[int]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Variables of the tables ``size_distributions`` and ``size_percentiles`` of a volume.

    Parameters
    ----------
    network : mapping of str to ndarray
        Arrays of the unit of its network, in nm.
    voxel : float
        Shortest edge of a voxel, nm.
    plane : float
        Distance of the planes of the depth, nm.
    edges : (n,) ndarray
        Ends of the intervals of diameters, nm.
    quarters : list of int
        First plane of each quarter of the depth, and the last plane plus one.
    """
    counts = network["thickness_counts"].astype(np.float64)
    if not len(counts):
        counts = np.zeros((1, network["thickness_counts"].shape[1]))
    pores = SizeDistribution.of_thickness(counts.sum(axis=1), voxel)
    pore_quarters = [
        SizeDistribution.of_thickness(counts[:, a:b].sum(axis=1), voxel) for a, b in itertools.pairwise(quarters)
    ]
    density, cumulative = pores.on_grid(edges)
    distributions = {"pore_density": density, "pore_cumulative_fraction": cumulative}
    percentiles = {
        "pore_diameter": pores.percentiles(),
        "quarter_pore_diameter": np.stack([distribution.percentiles() for distribution in pore_quarters]),
    }
    limits = plane * np.array(quarters[1:-1])
    for name, (diameters, sizes, depth) in network_items(network).items():
        quarter = np.searchsorted(limits, depth, side="right")
        whole, by_quarter = network_distributions(diameters, sizes, quarter, len(quarters) - 1)
        grids = [distribution.on_grid(edges) for distribution in whole]
        distributions |= {
            f"{name}_density": np.stack([density for density, _ in grids]),
            f"{name}_cumulative_fraction": np.stack([cumulative for _, cumulative in grids]),
            f"quarter_{name}_density": np.stack([[d.on_grid(edges)[0] for d in row] for row in by_quarter]),
        }
        percentiles |= {
            f"{name}_diameter": np.stack([distribution.percentiles() for distribution in whole]),
            f"quarter_{name}_diameter": np.stack([[d.percentiles() for d in row] for row in by_quarter]),
        }
    return distributions, percentiles


def largest_diameter(network: Mapping[str, np.ndarray], voxel: float) -> float:
    """Largest diameter of a volume by any of its distributions, in the unit of a voxel's edge."""
    values = [2.0 * voxel * float(pore_radii(len(network["thickness_counts"]) + 1)[-1])]
    values += [float(diameters.max(initial=0.0)) for diameters, _, _ in network_items(network).values()]
    return max(values)
