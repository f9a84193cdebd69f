"""Percolating clusters: the pore voxels from which paths lead to both faces of a volume at low and high z."""

from __future__ import annotations

import numpy as np


def percolating(pores: np.ndarray, *, periodic: bool = False) -> np.ndarray:
    """Find the pore voxels that are connected, through faces of voxels, to the faces at low and at high z.

    Parameters
    ----------
    pores : (z, y, x) ndarray of bool
        Pore voxels.
    periodic : bool
        Whether the volume is periodic along y and x.

    Returns
    -------
    (z, y, x) ndarray of bool
        Voxels of the percolating clusters.

    Notes
    -----
    Components are labelled by cc3d, whose memory peaks at about 6 bytes for every voxel of the volume.
    """
    import cc3d

    labels, count = cc3d.connected_components(pores, connectivity=6, return_N=True)
    cluster = _periodic_clusters(labels, count) if periodic else np.arange(count + 1)
    inlet, outlet = (cluster[plane[plane > 0]] for plane in (labels[0], labels[-1]))
    percolates = np.isin(cluster, np.intersect1d(inlet, outlet))
    result = np.empty(pores.shape, bool)
    for z, plane in enumerate(labels):  # by planes, as take converts the labels to 8 bytes each
        np.take(percolates, plane, out=result[z], mode="clip")
    return result


def _periodic_clusters(labels: np.ndarray, count: int) -> np.ndarray:
    """Cluster of every component: components that meet across the periodic faces form one. Component 0 is solid."""
    import scipy.sparse as sparse

    low = np.concatenate([labels[:, 0].ravel(), labels[:, :, 0].ravel()])
    high = np.concatenate([labels[:, -1].ravel(), labels[:, :, -1].ravel()])
    both = (low > 0) & (high > 0)
    contacts = sparse.coo_array(
        (np.ones(np.count_nonzero(both), bool), (low[both], high[both])), shape=(count + 1,) * 2
    )
    return np.asarray(sparse.csgraph.connected_components(contacts, directed=False)[1])
