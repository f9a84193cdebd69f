"""Gauss-Legendre quadrature."""

from __future__ import annotations

import numpy as np
import pytest

from membrane_dask.physics.quadrature import gauss_legendre


@pytest.mark.parametrize("n", [1, 2, 7, 48, 64])
def test_nodes_and_weights_are_those_of_numpy(n):
    """Within some rounding errors; NumPy computes the eigenvalues of a matrix."""
    nodes, weights = gauss_legendre(n)
    expected_nodes, expected_weights = np.polynomial.legendre.leggauss(n)
    np.testing.assert_allclose(nodes, expected_nodes, atol=1e-15)
    np.testing.assert_allclose(weights, expected_weights, atol=1e-14)


def test_polynomials_of_degree_2n_minus_1_are_exact_and_the_next_is_not():
    nodes, weights = gauss_legendre(4)
    assert (weights * nodes**6).sum() == pytest.approx(2 / 7, rel=1e-14)
    assert (weights * nodes**8).sum() != pytest.approx(2 / 9, rel=1e-3)


def test_later_calls_cannot_be_changed_through_the_arrays():
    with pytest.raises(ValueError, match="read-only"):
        gauss_legendre(4)[0][0] = 0.0
