"""Amounts in groups of voxels, and in groups of groups, that balance what moves between them.

Concentrations may differ by hundreds of orders of magnitude, and each must be right in relation to itself. So nothing
is subtracted: groups multiply what they hold (iterative aggregation and disaggregation; Horton and Leutenegger, ACM
SIGMETRICS 22, 191, 1994), and amounts are told beside a scale of their own, a logarithm.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from membrane_dask.physics._jit import inline_kernel, kernel
from membrane_dask.physics.sparse_rows import add_to_row, enlarged
from membrane_dask.physics.union_find import cell_components, group_members

#: Groups that are few enough to be solved for at once, about; widest cell of a group, as a power of two.
_FEW, _WIDEST = 1500, 15
#: Rounds at each level, and sweeps in a round.
_ROUNDS, _SWEEPS = 2, 2
#: Power of a wider level's factors: groups that hold one amount throughout exchange too much with each other.
_OVER = 1.5
#: What leaves a group that is not told from nothing.
_NOTHING = 1e-280
#: Scales further apart, in natural logarithms, are told apart no more.
_FAR = 600.0


@dataclass(frozen=True)
class Groups:
    """Nested groups of voxels: those connected within cells of 2, 4, 8, ... voxels.

    Parameters
    ----------
    of_voxels : (n,) ndarray of int32
        Group of every voxel.
    parents : list of (m,) ndarray of int32
        Group of every group, level by level.
    """

    of_voxels: np.ndarray
    parents: list[np.ndarray]

    @classmethod
    def of(cls, beside: np.ndarray, places: np.ndarray) -> Groups:
        """From each voxel's six neighbours (``n`` where there is none) and places ``(n, 3)``."""
        group, count = cell_components(beside, places, 1)
        found, of_voxels = [], group
        for shift in range(2, _WIDEST + 1):
            if count <= _FEW:
                break
            wider, fewer = cell_components(beside, places, shift)
            parent = np.empty(count, np.int32)
            parent[group] = wider
            found.append(parent)
            group, count = wider, fewer
        return cls(of_voxels, found)


@dataclass(frozen=True)
class _Level:
    """What moves between groups, by receiver (compressed rows), in its scale; what leaves, is lost and comes in."""

    first: np.ndarray
    other: np.ndarray
    moved: np.ndarray
    leaving: np.ndarray
    lost: np.ndarray
    fed: np.ndarray
    scale: np.ndarray


def factors(
    groups: Groups, beside: np.ndarray, rates: np.ndarray, lost: np.ndarray, feed: np.ndarray, plane: np.ndarray,
    scale: np.ndarray, c: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """What the concentrations of each voxel's group must be multiplied with for the groups to balance.

    Parameters
    ----------
    groups : Groups
        Of the voxels.
    beside, rates : (n, 6) ndarray
        Neighbours, and at what rates balls go from there to here.
    lost, feed : (n,) ndarray
        Rates at which they are lost for good, and come from without.
    plane : (n,) ndarray of int
        Which scale is a voxel's.
    scale : (n_z,) ndarray
        Logarithm of what the concentrations of a plane are multiples of.
    c : (n,) ndarray
        Concentrations, >= 0.
    """
    count = int(groups.of_voxels.max()) + 1
    begin, members = group_members(groups.of_voxels, count)
    level = _Level(*_between_voxels(beside, rates, lost, feed, groups.of_voxels, begin, members, plane, scale, c))
    return np.asarray(_balanced(level, groups.parents)[groups.of_voxels])


def _balanced(level: _Level, parents: Sequence[np.ndarray]) -> np.ndarray:
    import scipy.sparse as sparse
    from scipy.sparse.linalg import spsolve

    rows = level.first, level.other, level.moved, level.leaving
    if not parents:
        moved = sparse.csr_array((level.moved, level.other, level.first), shape=(len(level.fed),) * 2)
        return np.asarray(spsolve((sparse.diags_array(level.leaving) - moved).tocsc(), level.fed))
    y, parent = np.ones(len(level.fed)), parents[0]
    begin, members = group_members(parent, int(parent.max()) + 1)
    for _ in range(_ROUNDS):
        _sweep(*rows, level.fed, y, _SWEEPS)
        wider = _Level(*_between_groups(*rows, level.lost, level.fed, level.scale, parent, begin, members, y))
        y *= _balanced(wider, parents[1:])[parent] ** _OVER
    _sweep(*rows, level.fed, y, 1)
    return y


@inline_kernel
def _beside_scale(value, scale):
    """``exp`` of a scale beside another, within what a number can hold."""
    return math.exp(min(max(value - scale, -_FAR), _FAR))


@inline_kernel
def _tidied(leaving, scale):
    for k in range(leaving.size):
        if leaving[k] < _NOTHING:
            leaving[k] = 1.0


@kernel
def _between_voxels(beside, rates, lost, feed, group, begin, members, plane, scale, c):
    n, count = c.size, begin.size - 1
    tops, first = np.full(count, -np.inf), np.zeros(count + 1, np.int64)
    leaving, gone, fed = np.zeros(count), np.zeros(count), np.zeros(count)
    for i in range(n):
        if c[i] > 0.0:
            tops[group[i]] = max(tops[group[i]], scale[plane[i]] + math.log(c[i]))
    for k in range(count):
        if tops[k] == -np.inf:
            tops[k] = 0.0
    other, moved = np.empty(8 * count + 64, np.int32), np.empty(8 * count + 64)
    seen, size = np.full(count, -1, np.int64), 0
    for k in range(count):
        first[k] = size
        if other.size < size + 6 * (begin[k + 1] - begin[k]):
            other, moved = enlarged(other, size), enlarged(moved, size)
        for e in range(begin[k], begin[k + 1]):
            i = members[e]
            held = c[i] * _beside_scale(scale[plane[i]], tops[k])
            gone[k] += lost[i] * held
            if feed[i] > 0.0:
                fed[k] += feed[i] * _beside_scale(0.0, tops[k])
            for side in range(6):
                j = beside[i, side]
                if j >= n or group[j] == k:
                    continue
                leaving[k] += rates[j, side ^ 1] * held
                coming = rates[i, side] * c[j] * _beside_scale(scale[plane[j]], tops[k])
                size = add_to_row(other, moved, seen, first[k], size, group[j], coming)
    first[count] = size
    leaving += gone
    _tidied(leaving, tops)
    return first, other[:size].copy(), moved[:size].copy(), leaving, gone, fed, tops


@kernel
def _between_groups(first, other, moved, leaving, lost, fed, scale, parent, begin, members, y):
    """The same of groups of groups."""
    n, count = y.size, begin.size - 1
    tops, starts = np.full(count, -np.inf), np.zeros(count + 1, np.int64)
    going, gone, coming_in = np.zeros(count), np.zeros(count), np.zeros(count)
    for i in range(n):
        if y[i] > 0.0:
            tops[parent[i]] = max(tops[parent[i]], scale[i] + math.log(y[i]))
    for k in range(count):
        if tops[k] == -np.inf:
            tops[k] = 0.0
    columns, weights = np.empty(other.size, np.int32), np.empty(other.size)
    seen, size = np.full(count, -1, np.int64), 0
    for k in range(count):
        starts[k] = size
        for e in range(begin[k], begin[k + 1]):
            i = members[e]
            here = _beside_scale(scale[i], tops[k])
            gone[k] += lost[i] * y[i] * here
            coming_in[k] += fed[i] * here
            for f in range(first[i], first[i + 1]):
                j = other[f]
                if parent[j] == k:
                    continue
                going[parent[j]] += moved[f] * y[j] * _beside_scale(scale[i], tops[parent[j]])
                size = add_to_row(columns, weights, seen, starts[k], size, parent[j], moved[f] * y[j] * here)
    starts[count] = size
    going += gone
    _tidied(going, tops)
    return starts, columns[:size].copy(), weights[:size].copy(), going, gone, coming_in, tops


@kernel
def _sweep(first, other, moved, leaving, fed, y, times):
    """Amounts that balance with the others', one after the other, to and fro."""
    n = y.size
    for turn in range(2 * times):
        for k in range(n):
            i = k if turn % 2 == 0 else n - 1 - k
            total = fed[i]
            for e in range(first[i], first[i + 1]):
                total += moved[e] * y[other[e]]
            y[i] = total / leaving[i]
