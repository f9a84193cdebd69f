"""Coarse corrections of particle concentrations by iterative aggregation and disaggregation.

Concentrations may differ by hundreds of orders of magnitude, and each must be accurate relative to itself. Therefore
nothing is subtracted: the concentrations in nested groups of voxels are multiplied by factors that balance the groups
[1]_, and every group and plane has a scale of its own, the logarithm of the unit of its concentrations.

References
----------
.. [1] G. Horton and S. T. Leutenegger, "A multi-level solution algorithm for steady-state Markov chains", ACM
   SIGMETRICS Performance Evaluation Review 22, 191, 1994.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from membrane_dask.physics._jit import inline_kernel, kernel
from membrane_dask.physics.elementary import exponential, logarithm
from membrane_dask.physics.sparse_factors import SparseFactors, elimination_order
from membrane_dask.physics.sparse_rows import add_to_row, enlarged
from membrane_dask.physics.union_find import cell_components, group_members

#: Approximate number of groups that are solved directly; edge of the largest cells of groups, as a power of two.
_COARSEST, _MAX_SHIFT = 1500, 15
#: Cycles at each level, and sweeps before each.
_CYCLES, _SWEEPS = 2, 2
#: Outflow of a group that is treated as none.
_MIN_OUTFLOW = 1e-280
#: Largest difference of scales, in natural logarithms, that is resolved.
_MAX_SCALE_DIFFERENCE = 600.0


@dataclass(frozen=True)
class Groups:
    """Nested groups of voxels: those connected within cubic cells of 2, 4, 8, ... voxels.

    Parameters
    ----------
    of_voxels : (n,) ndarray of int32
        Group of every voxel.
    parents : list of (m,) ndarray of int32
        Group of every group at the next level, level by level.
    order : list of (k,) ndarray of int
        Order of elimination of the coarsest groups, once it is known.
    """

    of_voxels: np.ndarray
    parents: list[np.ndarray]
    order: list[np.ndarray] = field(default_factory=list)

    @classmethod
    def of(cls, neighbours: np.ndarray, coordinates: np.ndarray) -> Groups:
        """Build groups from the neighbours ``(n, 6)`` of each voxel (``n``: none) and the indices ``(n, 3)``."""
        group, count = cell_components(neighbours, coordinates, 1)
        parents, of_voxels = [], group
        for shift in range(2, _MAX_SHIFT + 1):
            if count <= _COARSEST:
                break
            wider, wider_count = cell_components(neighbours, coordinates, shift)
            parent = np.empty(count, np.int32)
            parent[group] = wider
            parents.append(parent)
            group, count = wider, wider_count
        return cls(of_voxels, parents)


@dataclass(frozen=True)
class _Level:
    """Balance of the groups of one level.

    ``transfer`` (compressed rows) are the flows into each group from the others, ``outflow`` all flows out of it,
    ``loss`` those that leave for good, ``source`` those from outside; all in the ``scale`` of the receiving group.
    """

    row_start: np.ndarray
    column: np.ndarray
    transfer: np.ndarray
    outflow: np.ndarray
    loss: np.ndarray
    source: np.ndarray
    scale: np.ndarray


def coarse_correction(
    groups: Groups, neighbours: np.ndarray, rates: np.ndarray, loss: np.ndarray, source: np.ndarray, plane: np.ndarray,
    scale: np.ndarray, c: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Compute the factors for the concentrations of each group that balance the groups.

    Parameters
    ----------
    groups : Groups
        Groups of the voxels.
    neighbours, rates : (n, 6) ndarray
        Neighbours of each voxel, and the rates of transfer from them to it.
    loss, source : (n,) ndarray
        Rates of loss for good, and of inflow from outside.
    plane : (n,) ndarray of int
        Plane of each voxel.
    scale : (n_z,) ndarray
        Natural logarithm of the unit of the concentrations of each plane.
    c : (n,) ndarray
        Concentrations, >= 0.

    Returns
    -------
    (n,) ndarray
        Factor for every voxel.
    """
    count = int(groups.of_voxels.max()) + 1
    start, members = group_members(groups.of_voxels, count)
    level = _Level(
        *_aggregate_voxels(neighbours, rates, loss, source, groups.of_voxels, start, members, plane, scale, c)
    )
    return np.asarray(_balance(level, groups.parents, groups.order)[groups.of_voxels])


def _balance(level: _Level, parents: Sequence[np.ndarray], order: list[np.ndarray]) -> np.ndarray:
    """Factors that balance the groups of a level.

    ``parents`` are its groups and those of all coarser levels; ``order`` holds the order of elimination at the
    coarsest one, once it is known.
    """
    import scipy.sparse as sparse

    rows = level.row_start, level.column, level.transfer, level.outflow
    if not parents:
        transfer = sparse.csr_array((level.transfer, level.column, level.row_start), shape=(len(level.source),) * 2)
        matrix = sparse.diags_array(level.outflow) - transfer
        if not order:
            order.append(elimination_order(matrix))
        return SparseFactors(matrix, symmetric=False, order=order[0]).solve(level.source)
    y, parent = np.ones(len(level.source)), parents[0]
    start, members = group_members(parent, int(parent.max()) + 1)
    for _ in range(_CYCLES):
        _sweep(*rows, level.source, y, _SWEEPS)
        coarser = _Level(*_aggregate_groups(*rows, level.loss, level.source, level.scale, parent, start, members, y))
        y *= _overcorrected(_balance(coarser, parents[1:], order)[parent])
    _sweep(*rows, level.source, y, 1)
    return y


def _overcorrected(factors: np.ndarray) -> np.ndarray:
    """Power 1.5 of corrections by a coarser level: the assumption of uniform groups overestimates their exchange."""
    return np.asarray(factors * np.sqrt(factors))


@inline_kernel
def _relative_scale(value: float, scale: float) -> float:
    """Ratio of two units whose logarithms are given, within the range of double precision."""
    return exponential(min(max(value - scale, -_MAX_SCALE_DIFFERENCE), _MAX_SCALE_DIFFERENCE))


@inline_kernel
def _avoid_zero_outflow(outflow: np.ndarray) -> None:
    for k in range(outflow.size):
        if outflow[k] < _MIN_OUTFLOW:
            outflow[k] = 1.0


@kernel
def _aggregate_voxels(
    neighbours: np.ndarray, rates: np.ndarray, loss: np.ndarray, source: np.ndarray, group: np.ndarray,
    start: np.ndarray, members: np.ndarray, plane: np.ndarray, scale: np.ndarray, c: np.ndarray,
) -> tuple[np.ndarray, ...]:  # fmt: skip
    """Fields of :class:`_Level` for groups of voxels."""
    n, count = c.size, start.size - 1
    group_scale, row_start = np.full(count, -np.inf), np.zeros(count + 1, np.int64)
    outflow, group_loss, group_source = np.zeros(count), np.zeros(count), np.zeros(count)
    for i in range(n):
        if c[i] > 0.0:
            group_scale[group[i]] = max(group_scale[group[i]], scale[plane[i]] + logarithm(c[i]))
    for k in range(count):
        if group_scale[k] == -np.inf:
            group_scale[k] = 0.0
    column, transfer = np.empty(8 * count + 64, np.int32), np.empty(8 * count + 64)
    last_entry, size = np.full(count, -1, np.int64), 0
    for k in range(count):
        row_start[k] = size
        if column.size < size + 6 * (start[k + 1] - start[k]):
            column, transfer = enlarged(column, size), enlarged(transfer, size)
        for e in range(start[k], start[k + 1]):
            i = members[e]
            amount = c[i] * _relative_scale(scale[plane[i]], group_scale[k])
            group_loss[k] += loss[i] * amount
            if source[i] > 0.0:
                group_source[k] += source[i] * _relative_scale(0.0, group_scale[k])
            for side in range(6):
                j = neighbours[i, side]
                if j >= n or group[j] == k:
                    continue
                outflow[k] += rates[j, side ^ 1] * amount
                inflow = rates[i, side] * c[j] * _relative_scale(scale[plane[j]], group_scale[k])
                size = add_to_row(column, transfer, last_entry, row_start[k], size, group[j], inflow)
    row_start[count] = size
    outflow += group_loss
    _avoid_zero_outflow(outflow)
    return row_start, column[:size].copy(), transfer[:size].copy(), outflow, group_loss, group_source, group_scale


@kernel
def _aggregate_groups(
    row_start: np.ndarray, column: np.ndarray, transfer: np.ndarray, outflow: np.ndarray, loss: np.ndarray,
    source: np.ndarray, scale: np.ndarray, parent: np.ndarray, start: np.ndarray, members: np.ndarray, y: np.ndarray,
) -> tuple[np.ndarray, ...]:  # fmt: skip
    """Fields of :class:`_Level` for groups of groups, whose factors so far are ``y``."""
    n, count = y.size, start.size - 1
    group_scale, group_row_start = np.full(count, -np.inf), np.zeros(count + 1, np.int64)
    group_outflow, group_loss, group_source = np.zeros(count), np.zeros(count), np.zeros(count)
    for i in range(n):
        if y[i] > 0.0:
            group_scale[parent[i]] = max(group_scale[parent[i]], scale[i] + logarithm(y[i]))
    for k in range(count):
        if group_scale[k] == -np.inf:
            group_scale[k] = 0.0
    group_column, group_transfer = np.empty(column.size, np.int32), np.empty(column.size)
    last_entry, size = np.full(count, -1, np.int64), 0
    for k in range(count):
        group_row_start[k] = size
        for e in range(start[k], start[k + 1]):
            i = members[e]
            unit = _relative_scale(scale[i], group_scale[k])
            group_loss[k] += loss[i] * y[i] * unit
            group_source[k] += source[i] * unit
            for f in range(row_start[i], row_start[i + 1]):
                j = column[f]
                if parent[j] == k:
                    continue
                unit_there = _relative_scale(scale[i], group_scale[parent[j]])
                group_outflow[parent[j]] += transfer[f] * y[j] * unit_there
                inflow = transfer[f] * y[j] * unit
                size = add_to_row(group_column, group_transfer, last_entry, group_row_start[k], size, parent[j], inflow)
    group_row_start[count] = size
    group_outflow += group_loss
    _avoid_zero_outflow(group_outflow)
    return (
        group_row_start, group_column[:size].copy(), group_transfer[:size].copy(), group_outflow, group_loss,
        group_source, group_scale,
    )  # fmt: skip


@kernel
def _sweep(
    row_start: np.ndarray, column: np.ndarray, transfer: np.ndarray, outflow: np.ndarray, source: np.ndarray,
    y: np.ndarray, times: int,
) -> None:  # fmt: skip
    """Sweep over the groups by symmetric Gauss-Seidel."""
    n = y.size
    for sweep in range(2 * times):
        for k in range(n):
            i = k if sweep % 2 == 0 else n - 1 - k
            total = source[i]
            for e in range(row_start[i], row_start[i + 1]):
                total += transfer[e] * y[column[e]]
            y[i] = total / outflow[i]
