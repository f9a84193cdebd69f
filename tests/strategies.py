"""Hypothesis strategies for volumes and for the ways to divide them, shared by the tests."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st

Window = tuple[slice, ...]


def shapes(smallest: int = 3, largest: int = 40, ndim: int = 3) -> st.SearchStrategy[tuple[int, ...]]:
    """Shapes of volumes."""
    return st.tuples(*[st.integers(smallest, largest)] * ndim)


@st.composite
def windows(draw: st.DrawFn, shape: tuple[int, ...]) -> Window:
    """Non-empty windows within a shape, as slices."""
    starts = [draw(st.integers(0, n - 1)) for n in shape]
    return tuple(slice(a, draw(st.integers(a + 1, n))) for a, n in zip(starts, shape, strict=True))


@st.composite
def block_shapes(draw: st.DrawFn, shape: tuple[int, ...], max_blocks: int = 60) -> tuple[int, ...]:
    """Shapes of blocks that divide a volume into at most ``max_blocks``, the last block along an axis maybe thinner."""
    block = tuple(draw(st.integers(1, n)) for n in shape)
    if math.prod(-(-n // b) for n, b in zip(shape, block, strict=True)) > max_blocks:
        block = tuple(max(b, -(-n // 3)) for n, b in zip(shape, block, strict=True))
    return block


def pore_space(
    shape: tuple[int, ...], seed: int = 0, porosity: float = 0.4, sigma: float = 1.5, mode: str = "reflect"
) -> np.ndarray:
    """Gaussian random field below the quantile ``porosity``: True in the pores; periodic with the mode "wrap"."""
    from scipy import ndimage

    field = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), sigma, mode=mode)
    return field < np.quantile(field, porosity)


@st.composite
def pore_spaces(draw: st.DrawFn, smallest: int = 3, largest: int = 40) -> np.ndarray:
    """Pore spaces of any shape, from nearly dense to nearly open."""
    shape = draw(shapes(smallest, largest))
    return pore_space(shape, draw(st.integers(0, 9)), draw(st.sampled_from([0.15, 0.3, 0.6, 0.9])))


def graph_of(pores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of the numbers of pore voxels with a common face; the numbers in the volume."""
    number = np.where(pores, np.cumsum(pores.ravel()).reshape(pores.shape) - 1, -1)
    pairs = []
    for axis in range(3):
        moved = np.moveaxis(number, axis, 0)
        a, b = moved[:-1].ravel(), moved[1:].ravel()
        pairs.append(np.stack([a, b])[:, (a >= 0) & (b >= 0)])
    return np.concatenate(pairs, axis=1), number


def exact_conductivity(pores: np.ndarray, spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> float:
    """Conductivity by a direct solver on the components at a face, for voxels of the given edges."""
    import scipy.sparse as sparse

    (a, b), number = graph_of(pores)
    n = int(pores.sum())
    faces = [
        (pores.take(range(m - 1), axis) & pores.take(range(1, m), axis)).sum() for axis, m in enumerate(pores.shape)
    ]
    weights = np.repeat((spacing[0] / np.array(spacing)) ** 2, faces)  # over those of faces across z
    both = sparse.coo_array((np.r_[weights, weights], (np.r_[a, b], np.r_[b, a])), shape=(n, n)).tocsr()
    _, component = sparse.csgraph.connected_components(both)
    inlet, outlet = (number[k][number[k] >= 0] for k in (0, -1))
    ends = np.zeros(n)
    np.add.at(ends, inlet, 2.0)
    np.add.at(ends, outlet, 2.0)
    source = np.zeros(n)
    source[inlet] = 2.0
    active = np.isin(component, np.unique(np.r_[component[inlet], component[outlet]]))
    matrix = sparse.diags_array(both.sum(axis=1) + ends) - both
    c = np.zeros(n)
    c[active] = sparse.linalg.spsolve(matrix.tocsc()[active][:, active], source[active])
    flux = 2.0 * (1.0 - c[inlet]).sum()
    return flux * len(pores) / (pores.shape[1] * pores.shape[2])
