"""Adjacency of a pore network, and the search for the pores that can carry flow."""

from __future__ import annotations

import numpy as np

from membrane_dask.physics._jit import kernel


@kernel
def group_indices(group: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Sort indices by group (a counting sort).

    Parameters
    ----------
    group : (n_members,) ndarray of int
        Group of every member, from 0 to ``n - 1``.
    n : int
        Number of groups.

    Returns
    -------
    first : (n + 1,) ndarray of int64
        The members of group ``k`` are ``members[first[k]:first[k + 1]]``.
    members : (n_members,) ndarray of int64
        Indices into ``group``, in their original order within each group.
    """
    first = np.zeros(n + 1, np.int64)
    for i in range(group.size):
        first[group[i] + 1] += 1
    for k in range(n):
        first[k + 1] += first[k]
    fill, members = first.copy(), np.empty(group.size, np.int64)
    for i in range(group.size):
        members[fill[group[i]]] = i
        fill[group[i]] += 1
    return first, members


def adjacency(throat_conns: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the pores and the neighbours of every node.

    Parameters
    ----------
    throat_conns : (n_pores, 2) ndarray of int
        As in :class:`~membrane_dask.physics.networks.pore_network.PoreNetwork`.
    n : int
        Number of junctions. Node ``n`` is the feed and node ``n + 1`` the filtrate.

    Returns
    -------
    first : (n + 3,) ndarray of int64
        The entries of node ``i`` are those from ``first[i]`` to ``first[i + 1]``.
    pore, neighbour : (2 * n_pores,) ndarray of int64
        Index of the pore, and node at its other end.
    """
    nodes = np.where(throat_conns >= 0, throat_conns, n - 1 - throat_conns).astype(np.int64).ravel()
    first, end = group_indices(nodes, n + 2)
    return first, end >> 1, nodes[end ^ 1]


@kernel
def flowing_pores(first: np.ndarray, pore: np.ndarray, neighbour: np.ndarray, is_open: np.ndarray) -> np.ndarray:
    """Mark the pores that can carry flow: those on a simple path from the feed to the filtrate.

    Parameters
    ----------
    first, pore, neighbour : ndarray
        From :func:`adjacency`.
    is_open : (n_pores,) ndarray of bool
        Pores that are not closed.

    Returns
    -------
    (n_pores,) ndarray of bool

    Notes
    -----
    These pores form the biconnected component that holds a virtual pore between feed and filtrate [1]_. Dead ends,
    loops attached to a single junction and islands lie outside it. The search is exact, whereas the sign of a computed
    flow of about 1e-20 is not.

    References
    ----------
    .. [1] R. Tarjan, Depth-first search and linear graph algorithms, SIAM J. Comput. 1, 146 (1972).
    """
    n = first.size - 3
    feed, filtrate = n, n + 1
    n_pores = is_open.size
    flowing = np.zeros(n_pores, np.bool_)
    has_inlet = False
    for s in range(first[feed], first[feed + 1]):
        has_inlet |= is_open[pore[s]]
    if not has_inlet:
        return flowing
    entry = np.full(n + 2, -1, np.int64)  # order of discovery
    low = np.zeros(n + 2, np.int64)  # earliest node that the subtree reaches
    via = np.full(n + 2, -1, np.int64)  # pore through which the node was discovered
    cursor = first[:-1].copy()  # next entry to visit
    path = np.empty(n + 2, np.int64)
    edges = np.empty(n_pores, np.int64)
    n_edges = 0
    # The search starts with the virtual pore, from the feed to the filtrate.
    entry[feed] = 0
    entry[filtrate] = 1
    path[0] = filtrate
    depth, clock = 1, 2
    while depth > 0:
        v = path[depth - 1]
        if cursor[v] < first[v + 1]:
            e, w = pore[cursor[v]], neighbour[cursor[v]]
            cursor[v] += 1
            if not is_open[e] or e == via[v]:
                continue
            if entry[w] < 0:
                entry[w] = clock
                low[w] = clock
                clock += 1
                via[w] = e
                path[depth] = w
                depth += 1
                edges[n_edges] = e
                n_edges += 1
            elif entry[w] < entry[v]:
                edges[n_edges] = e
                n_edges += 1
                low[v] = min(low[v], entry[w])
        else:
            depth -= 1
            if depth == 0:
                break
            parent = path[depth - 1]
            if low[v] >= entry[parent]:  # the subtree below this pore is a component of its own
                while True:
                    n_edges -= 1
                    if edges[n_edges] == via[v]:
                        break
            else:
                low[parent] = min(low[parent], low[v])
    # The stack now holds the pores on a cycle with the virtual one.
    for i in range(n_edges):
        flowing[edges[i]] = True
    return flowing
