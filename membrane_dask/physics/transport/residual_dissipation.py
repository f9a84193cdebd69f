"""Lower bound of a diffusion by slabs, from fluxes that carry the residual of the voxels to the faces of the volume.

Each voxel passes its residual on to the first voxel of its group, along a shortest path within the group; groups pass
their sums on from group to group. Of all fluxes that carry the residual to the faces, those of the error of the
concentrations dissipate least (Thomson's principle), so that the energy of the concentrations less the dissipation of
these fluxes is a lower bound of the flux [1]_.

References
----------
.. [1] W. Prager and J. L. Synge, "Approximations in elasticity based on the concept of function space", Quarterly of
   Applied Mathematics 5, 241, 1947.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from membrane_dask.physics._jit import kernel
from membrane_dask.physics.transport.group_balance import GroupGraph
from membrane_dask.physics.transport.pore_space import PoreSpace, number_plane
from membrane_dask.physics.transport.two_level_diffusion import Window, degrees, residual_sums


@dataclass(frozen=True)
class GroupResiduals:
    """Residuals of a slab, or of several, carried to the first voxels of the groups.

    Parameters
    ----------
    dissipation : (layers,) ndarray of float64
        Dissipation of the fluxes within the groups of each layer of cells.
    sums : (count,) ndarray of float64
        Sum of the residuals of each group.
    heights : (count,) ndarray of int32
        Voxels between the first voxel of a group and the one that is farthest from it within the group.
    """

    dissipation: np.ndarray
    sums: np.ndarray
    heights: np.ndarray


def group_residuals(
    window: Window, concentration: np.ndarray, active: np.ndarray, group: np.ndarray, count: int, cell: int
) -> GroupResiduals:
    """Carry the residual of the concentrations in a slab to the first voxels of its groups.

    Parameters
    ----------
    window, concentration, active, group, count, cell
        As for :func:`membrane_dask.physics.transport.two_level_diffusion.slab_step`.
    """
    bits, first = window.space.bits, window.space.first
    low_end, high_end = window.low == 0, window.high == window.depth
    degree = degrees(bits, first, window.weights.astype(np.float32), low_end, high_end)
    residual, sums = np.zeros(len(concentration), np.float32), np.zeros((2, window.space.shape[0]))
    own = window.start - window.low, window.stop - window.low
    weights = window.weights.astype(float)
    residual_sums(bits, first, weights, degree, concentration, active, low_end, *own, residual, *sums)
    space = PoreSpace.of_bits(bits[slice(*own)], window.space.shape[2])
    values = residual[window.own]
    return GroupResiduals(*_carry(space.bits, space.first, np.array(space.shape), group, count, cell, values, weights))


@kernel
def _carry(
    bits: np.ndarray, first: np.ndarray, shape: np.ndarray, group: np.ndarray, count: int, cell: int,
    residual: np.ndarray, weights: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """Fields of :class:`GroupResiduals`; voxels are visited breadth first, layer by layer of cells."""
    n_z, n_y, n_x = shape
    layers = (n_z + cell - 1) // cell
    dissipation, sums, heights = np.zeros(layers), np.zeros(count), np.zeros(count, np.int32)
    numbers = np.empty((cell, n_y, n_x), np.int64)
    for layer in range(layers):
        planes = min(cell, n_z - layer * cell)
        for z in range(planes):
            number_plane(bits, first, layer * cell + z, n_x, numbers[z])
        begin = first[layer * cell * n_y]
        n = first[(layer * cell + planes) * n_y] - begin
        visited, position, flux = np.zeros(n, np.bool_), np.empty((n, 3), np.int32), np.empty(n)
        previous, axis_of, steps = np.full(n, -1, np.int32), np.empty(n, np.int8), np.zeros(n, np.int32)
        size = k = 0
        for z in range(planes):
            for y in range(n_y):
                for x in range(n_x):
                    i = numbers[z, y, x]
                    if i < 0 or visited[i - begin]:
                        continue
                    visited[i - begin] = True
                    position[size, 0], position[size, 1], position[size, 2] = z, y, x
                    size += 1
                    while k < size:
                        here = numbers[position[k, 0], position[k, 1], position[k, 2]]
                        flux[k] = residual[here]
                        for side in range(6):
                            axis = side // 2
                            position[k, axis] += 2 * (side % 2) - 1
                            v, u, t = position[k, 0], position[k, 1], position[k, 2]
                            position[k, axis] -= 2 * (side % 2) - 1
                            if not (0 <= v < planes and 0 <= u < n_y and 0 <= t < n_x):
                                continue
                            j = numbers[v, u, t]
                            if j < 0 or visited[j - begin] or group[j] != group[here]:
                                continue
                            visited[j - begin] = True
                            position[size, 0], position[size, 1], position[size, 2] = v, u, t
                            previous[size], axis_of[size], steps[size] = k, axis, steps[k] + 1
                            size += 1
                        k += 1
        for k in range(n - 1, -1, -1):
            g = group[numbers[position[k, 0], position[k, 1], position[k, 2]]]
            heights[g] = max(heights[g], steps[k])
            if previous[k] < 0:
                sums[g] = flux[k]
            else:
                dissipation[layer] += flux[k] * flux[k] / weights[axis_of[k]]
                flux[previous[k]] += flux[k]
    return dissipation, sums, heights


def carried_dissipation(graph: GroupGraph, residuals: GroupResiduals, weights: np.ndarray) -> float:
    """Upper limit of the dissipation of fluxes that carry the residual of all voxels to the faces of the volume.

    Parameters
    ----------
    graph : GroupGraph
        Groups of all slabs.
    residuals : GroupResiduals
        Of all slabs.
    weights : (3,) ndarray
        Conductances of a face across ``z, y, x``.

    Notes
    -----
    A flux that enters or leaves a group passes no more faces in it than its height and one more. The dissipation of a
    sum of fluxes along paths of ``n`` faces is at most ``n`` times the square of the sum of their sizes.
    """
    import scipy.sparse as sparse

    n = len(graph.cells)
    (a, b) = graph.pairs.T
    entries = np.ones(2 * len(a), np.int8)
    both = sparse.coo_array((entries, (np.concatenate([a, b]), np.concatenate([b, a]))), shape=(n, n)).tocsr()
    both.sort_indices()
    at_face = graph.ends.sum(axis=1) > 0
    throughput = _throughput(both.indptr.astype(np.int64), both.indices.astype(np.int32), at_face, residuals.sums)
    between = float((throughput * throughput * (residuals.heights + 1.0)).sum()) / float(weights.min())
    within = float(residuals.dissipation.sum())
    return within + between + 2.0 * math.sqrt(within * between)


@kernel
def _throughput(row_start: np.ndarray, column: np.ndarray, at_face: np.ndarray, sums: np.ndarray) -> np.ndarray:
    """Sum of the sizes of the fluxes that enter and leave each group; groups are visited breadth first."""
    n = sums.size
    order, following, visited, size = np.empty(n, np.int32), np.full(n, -1, np.int32), at_face.copy(), 0
    for g in range(n):
        if at_face[g]:
            order[size] = g
            size += 1
    k = 0
    while k < size:
        g = order[k]
        for e in range(row_start[g], row_start[g + 1]):
            h = column[e]
            if not visited[h]:
                visited[h] = True
                order[size], following[h] = h, g
                size += 1
        k += 1
    carried, throughput = sums.copy(), np.zeros(n)
    for k in range(size - 1, -1, -1):
        g = order[k]
        throughput[g] += np.abs(carried[g])
        if following[g] >= 0:
            throughput[following[g]] += np.abs(carried[g])
            carried[following[g]] += carried[g]
    return throughput
