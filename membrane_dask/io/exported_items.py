"""What can be exported from a run: fields on the voxels of a volume, read by slabs, and pore networks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from membrane_dask.physics.networks.pore_network import PoreNetwork

#: Voxels of a slab that is read at a time.
SLAB_VOXELS = 1 << 24


@dataclass(frozen=True)
class GridItem:
    """A field on the voxels of a volume.

    Parameters
    ----------
    name : str
        Name of the field in the file.
    description : str
        Its meaning and unit, in a few words.
    shape : (int, int, int)
        Voxels along ``z, y, x``.
    spacing_nm : (float, float, float)
        Edges of a voxel along ``z, y, x``, nm.
    dtype : numpy.dtype
        Type of a value.
    read : callable
        Takes the first plane and the last plane plus one, and returns ``(z, y, x)`` values; of a vector
        ``(component, z, y, x)`` with the components ``z, y, x``.
    is_vector : bool
        Whether it is a vector field.
    chunk : int
        Planes that are stored together.
    """

    name: str
    description: str
    shape: tuple[int, int, int]
    spacing_nm: tuple[float, float, float]
    dtype: np.dtype
    read: Callable[[int, int], np.ndarray]
    is_vector: bool = False
    chunk: int = 1

    @property
    def n_components(self) -> int:
        """Values per voxel."""
        return 3 if self.is_vector else 1

    @property
    def nbytes(self) -> int:
        """Size of all values."""
        return math.prod(self.shape) * self.n_components * self.dtype.itemsize

    def slabs(self, voxels: int = SLAB_VOXELS) -> Iterator[tuple[int, int]]:
        """First plane and last plane plus one of slabs of whole chunks, of about as many voxels."""
        planes = max(1, voxels // (self.shape[1] * self.shape[2]))
        planes = max(1, planes // self.chunk) * self.chunk
        for start in range(0, self.shape[0], planes):
            yield start, min(start + planes, self.shape[0])


@dataclass(frozen=True)
class NetworkItem:
    """A pore network.

    Parameters
    ----------
    description : str
        Its content, in a few words.
    position : (n, 3) ndarray
        Centroids of the pores ``z, y, x``, nm.
    throat_conns : (m, 2) ndarray of int
        The two pores of each throat; a second entry below 0 is a face of the volume.
    pores, throats : mapping of str to (n,) or (m,) ndarray
        Values of pores and throats.
    extent_nm : (float, float, float)
        Lengths of the volume along ``z, y, x``, nm.
    convert : callable
        Returns the same network in metres.
    """

    description: str
    position: np.ndarray
    throat_conns: np.ndarray
    pores: Mapping[str, np.ndarray]
    throats: Mapping[str, np.ndarray]
    extent_nm: tuple[float, float, float]
    convert: Callable[[], PoreNetwork]

    @property
    def network(self) -> PoreNetwork:
        """The same network in metres."""
        return self.convert()


@dataclass(frozen=True)
class PoreNetworkItem:
    """A pore network in units of the membrane thickness.

    Parameters
    ----------
    description : str
        Its content, in a few words.
    network : PoreNetwork
        Its bodies have ``inscribed_radius`` and ``volume``.
    """

    description: str
    network: PoreNetwork


Item = GridItem | NetworkItem | PoreNetworkItem
