"""Region adjacency graph of the watershed of a whole volume, merged from its blocks.

A region that crosses block boundaries has a different name, the voxel that it ascends to, in each block; these
names are resolved first. The graph does not depend on how the volume was divided into blocks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from membrane_dask.physics.imaging.watershed import N_REGION_SUMS, Contribution, aggregate_by_key


@dataclass(frozen=True)
class RegionGraph:
    """Watershed regions of a volume and the saddles between adjacent ones.

    Parameters
    ----------
    names : (n_names,) ndarray of int64
        Every voxel by which a block names a region, rising.
    region_of_name : (n_names,) ndarray of int64
        Number of that region.
    peaks : (n,) ndarray of int64
        Voxel of the peak of each region, rising.
    sums, max_squared_distance, height, is_marker : (n, ...) ndarray
        Of the regions, as of :func:`~membrane_dask.physics.imaging.watershed.block_watershed`.
    pair : (m, 2) ndarray of int64
        Numbers of adjacent regions, the smaller one first; rows rising.
    face_sums, saddle : (m, ...) ndarray
        Of the faces between them.
    """

    names: np.ndarray
    region_of_name: np.ndarray
    peaks: np.ndarray
    sums: np.ndarray
    max_squared_distance: np.ndarray
    height: np.ndarray
    is_marker: np.ndarray
    pair: np.ndarray
    face_sums: np.ndarray
    saddle: np.ndarray

    @classmethod
    def merge(cls, contributions: Iterable[Contribution]) -> RegionGraph:
        """Merge the contributions of all blocks of a volume, in any order; they are iterated over twice.

        Raises
        ------
        ValueError
            If blocks are missing.
        """
        names, final = _resolve_names(contributions)
        peaks = names[final == np.arange(len(names))]
        region_of_name = np.searchsorted(peaks, names[final])
        n = len(peaks)
        sums, max_squared_distance = np.zeros((n, N_REGION_SUMS), np.int64), np.zeros((n, 3), np.float32)
        height, is_marker = np.zeros((n, 2), np.float32), np.zeros(n, bool)
        faces = []
        for block in contributions:
            region = region_of_name[np.searchsorted(names, block["peak"])]
            np.add.at(sums, region, block["sums"])
            np.maximum.at(max_squared_distance, region, block["max_squared_distance"])
            np.maximum.at(height, region, block["height"])
            np.logical_or.at(is_marker, region, block["is_marker"])
            neighbour = region_of_name[np.searchsorted(names, block["boundary"][:, 1])]
            across = np.stack([region[block["boundary"][:, 0]], neighbour], axis=1)
            for pair, kind in ((region[block["pair"]], "pair"), (across, "boundary")):
                pair = np.sort(pair, axis=1)
                differ = pair[:, 0] != pair[:, 1]
                key = (pair[:, 0] * n + pair[:, 1])[differ]
                faces.append(aggregate_by_key(key, block[f"{kind}_sums"][differ], block[f"{kind}_saddle"][differ]))
        key, face_sums, saddle = aggregate_by_key(*(np.concatenate(rows) for rows in zip(*faces, strict=True)))
        pair = np.stack(np.divmod(key, max(n, 1)), axis=1)
        return cls(names, region_of_name, peaks, sums, max_squared_distance, height, is_marker, pair, face_sums, saddle)

    def regions_of(self, contribution: Contribution) -> np.ndarray:
        """Number in the volume of every region of a block."""
        return np.asarray(self.region_of_name[np.searchsorted(self.names, contribution["peak"])])


def _resolve_names(contributions: Iterable[Contribution]) -> tuple[np.ndarray, np.ndarray]:
    """All names of regions, rising, and the index of the name that each finally ascends to."""
    interfaces, peaks, external = [], [], []
    for block in contributions:
        interfaces.append(np.stack([block["interface"][:, 0], block["peak"][block["interface"][:, 1]]], axis=1))
        peaks.append(block["peak"])
        external.append(np.unique(np.concatenate([block["peak"][~block["inside"]], block["boundary"][:, 1]])))
    interface = np.concatenate(interfaces)
    interface = interface[np.argsort(interface[:, 0])]
    references = np.unique(np.concatenate(external))
    names = np.unique(np.concatenate([*peaks, references]))
    final = np.arange(len(names))
    index = np.searchsorted(interface[:, 0], references)
    missing = len(references) > 0 and (
        not len(interface) or (interface[np.minimum(index, len(interface) - 1), 0] != references).any()
    )
    if missing:
        raise ValueError("contributions: those of some blocks are missing")
    final[np.searchsorted(names, references)] = np.searchsorted(names, interface[index, 1])
    while True:
        next_final = final[final]
        if (next_final == final).all():
            return names, final
        final = next_final
