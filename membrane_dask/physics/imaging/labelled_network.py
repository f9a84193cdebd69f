"""Pore network of a whole volume, and the pore of the network to which every voxel belongs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from membrane_dask.physics.imaging.blocks import Block, divide
from membrane_dask.physics.imaging.connectivity import Connectivity
from membrane_dask.physics.imaging.distance import block_squared_distances
from membrane_dask.physics.imaging.network_extraction import extract_network
from membrane_dask.physics.imaging.watershed import SnowParameters, block_watershed
from membrane_dask.physics.networks.pore_network import INLET, OUTLET, PoreNetwork
from membrane_dask.physics.voxel_spacing import CUBE, Spacing

#: Edge in voxels of the blocks whose watershed is in memory at a time.
BLOCK = 256


@dataclass(frozen=True)
class LabelledNetwork:
    """Pore network of a volume and its regions.

    Parameters
    ----------
    network : PoreNetwork
        Pores are its junctions; throats and the openings on the faces at low and high z are its pores.
    labels : (z, y, x) ndarray of int32
        Pore of every voxel; -1 in the solid and in pore space that belongs to no pore of the network.
    squares : (z, y, x) ndarray of float32
        Squared distance of every voxel's centre to the nearest solid voxel's, in shortest edges of a voxel.
    connectivity : Connectivity
        Of the voxels.
    """

    network: PoreNetwork
    labels: np.ndarray
    squares: np.ndarray
    connectivity: Connectivity

    def sphere_radii(self) -> np.ndarray:
        """Radius of the inscribed sphere of every throat and opening.

        Returns
        -------
        (n_pores,) ndarray
            Largest distance to the solid of the voxels on both sides of a throat, or at the face of an opening, in
            shortest edges of a voxel. The network's own inscribed radius of a throat is that of the widest path through
            it: the smaller one of two adjacent voxels.
        """
        conns, n = self.network.throat_conns.astype(np.int64), len(self.network.junctions)
        inner = np.flatnonzero(conns[:, 1] >= 0)
        ends = np.sort(conns[inner], axis=1)
        order = np.argsort(ends[:, 0] * n + ends[:, 1], kind="stable")
        keys, throat = (ends[:, 0] * n + ends[:, 1])[order], inner[order]
        largest = np.zeros(len(conns), np.float32)
        for axis in range(3):
            label, square = (np.moveaxis(values, axis, 0) for values in (self.labels, self.squares))
            faces = (label[:-1] != label[1:]) & (label[:-1] >= 0) & (label[1:] >= 0)
            a, b = label[:-1][faces].astype(np.int64), label[1:][faces].astype(np.int64)
            index = throat[np.searchsorted(keys, np.minimum(a, b) * n + np.maximum(a, b))]
            np.maximum.at(largest, index, np.maximum(square[:-1][faces], square[1:][faces]))
        for boundary, plane in ((INLET, 0), (OUTLET, -1)):
            openings = np.flatnonzero(conns[:, 1] == boundary)
            widest = np.zeros(n + 1, np.float32)  # the last entry stands for voxels of no pore
            np.maximum.at(widest, self.labels[plane].ravel(), self.squares[plane].ravel())
            largest[openings] = widest[conns[openings, 0]]
        return np.sqrt(largest.astype(np.float64))


def labelled_network(
    pores: np.ndarray, voxel_size: float, snow: SnowParameters, diagonal: bool = False, spacing: Spacing = CUBE
) -> LabelledNetwork:
    """Extract the pore network of a volume in one piece; the network is that from blocks of any size, bit for bit.

    Parameters
    ----------
    pores : (z, y, x) ndarray of bool
        True in the pores.
    voxel_size : float
        Shortest edge of a voxel, in the unit of the lengths of the network.
    snow : SnowParameters
        Which peaks of the distance map become pores.
    diagonal : bool
        Whether voxels with only a common edge or corner are connected.
    spacing : tuple of float
        Edges of a voxel along ``z, y, x``, over the shortest one.

    Returns
    -------
    LabelledNetwork

    Raises
    ------
    PhysicsError
        If the volume holds no solid.
    """
    _, squares = block_squared_distances(
        pores.__getitem__, (0, 0, 0), pores.shape, pores.shape, margin=snow.margin, halo=snow.margin, spacing=spacing
    )
    labels, contributions, windows = np.empty(pores.shape, np.int32), [], []
    for start, stop in divide(pores.shape, BLOCK):
        block = Block(start, stop, snow.margin, pores.shape)
        contribution, regions = block_watershed(squares[block.extended], block, snow, diagonal, spacing)
        windows.append(tuple(slice(a, b) for a, b in zip(start, stop, strict=True)))
        labels[windows[-1]] = regions
        contributions.append(contribution)
    extraction = extract_network(contributions, pores.shape, voxel_size, snow, spacing)
    for window, contribution in zip(windows, contributions, strict=True):
        pore = extraction.pore[np.searchsorted(extraction.region_names, contribution["peak"])]
        labels[window] = np.append(pore, -1).astype(np.int32)[labels[window]]  # -1, the solid, is the last one
    return LabelledNetwork(extraction.network, labels, squares, extraction.connectivity)
