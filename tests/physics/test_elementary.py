"""Elementary functions, distributions and linear algebra agree with those of NumPy, SciPy and LAPACK."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import sparse, special, stats
from scipy.linalg import eigvalsh_tridiagonal

from membrane_dask.physics import distributions, elementary, fixed_order
from membrane_dask.physics.decimal_digits import decimal_exponent, power_of_ten, round_to_digits
from membrane_dask.physics.sparse_factors import SparseFactors, elimination_order

RNG = np.random.default_rng(0)


def error_in_ulp(values: np.ndarray, x: np.ndarray, function) -> float:
    """Largest error in units in the last place, from the function in extended precision."""
    exact = function(x.astype(np.longdouble))
    return float(np.abs((values - exact) / np.spacing(np.abs(exact.astype(float)))).max())


@pytest.mark.skipif(np.finfo(np.longdouble).eps > 1e-18, reason="this machine has no extended precision")
@pytest.mark.parametrize(
    ("name", "x"),
    [
        ("exp", np.concatenate([RNG.uniform(-700, 700, 20_000), RNG.uniform(-1, 1, 20_000)])),
        ("log", np.concatenate([np.exp(RNG.uniform(-700, 700, 20_000)), 1 + RNG.uniform(-0.3, 0.3, 20_000)])),
        ("expm1", RNG.uniform(-2, 2, 20_000) * 10.0 ** RNG.uniform(-10, 0.5, 20_000)),
        ("log1p", RNG.uniform(-0.9, 2, 20_000) * 10.0 ** RNG.uniform(-10, 0, 20_000)),
    ],
)
def test_elementary_functions_are_accurate(name, x):
    # The documented bound is two units, three for log1p, whose quotient adds an error.
    assert error_in_ulp(getattr(elementary, name)(x), x, getattr(np, name)) < (3 if name == "log1p" else 2)


def test_limits_of_elementary_functions():
    x = np.array([-np.inf, -800.0, -740.0, 0.0, 709.0, 800.0, np.inf, np.nan])
    np.testing.assert_array_equal(elementary.exp(x)[[0, 1, 3, 5, 6, 7]], [0, 0, 1, np.inf, np.inf, np.nan])
    np.testing.assert_allclose(elementary.exp(x[:5]), np.exp(x[:5]), rtol=1e-15, atol=5e-324)
    np.testing.assert_array_equal(
        elementary.log([0.0, -1.0, 1.0, np.inf, np.nan]), [-np.inf, np.nan, 0, np.inf, np.nan]
    )
    assert elementary.log(5e-324) == pytest.approx(math.log(5e-324), rel=1e-15)
    assert elementary.power(0.0, 2.5) == 0
    assert elementary.power(0.0, 0.0) == 1
    np.testing.assert_allclose(elementary.power(np.array([0.3, 2.0]), [1.7, -3.3]), [0.3**1.7, 2**-3.3], rtol=1e-15)
    angles = np.array([0, 60, 75.6, 180, 300])
    np.testing.assert_allclose(elementary.cosine_of_degrees(angles), np.cos(np.radians(angles)), atol=3e-16)
    np.testing.assert_allclose(elementary.cube_root([0.0, 27.0, 1e-30]), [0, 3, 1e-10], rtol=1e-15)
    assert isinstance(elementary.exp(1.0), float)
    assert elementary.exp(np.zeros((2, 3))).shape == (2, 3)


def test_powers_of_ten():
    for exponent in (-19, -3, 0, 3, 13):
        assert power_of_ten(exponent) == float(f"1e{exponent}")
        assert decimal_exponent(power_of_ten(exponent) * 1.001) == exponent
    assert decimal_exponent(-999.9999999999999) == 2  # its rounded logarithm is 3
    assert round_to_digits(0.00089004567891234, 6) == 0.000890046
    assert math.isnan(round_to_digits(math.nan, 6))
    sequence = elementary.geometric_sequence(1.0, 50.0, 9)
    np.testing.assert_allclose(sequence, np.geomspace(1, 50, 9), rtol=1e-14)


def test_omitted_terms_of_the_tails_of_the_normal_distribution_do_not_change_a_bit():
    x = RNG.uniform(-45, -np.sqrt(8) - 1e-9, 100_000)
    z = np.abs(x) * 0.7071067811865476
    fraction = np.zeros_like(z)
    for k in range(60, 0, -1):
        fraction = 0.5 * k / (z + fraction)
    high = np.floor(z * 2.0**20) / 2.0**20
    tail = 0.5 * elementary.exp(-high * high) * elementary.exp(-(z - high) * (z + high))
    tail = tail / (1.7724538509055159 * (z + fraction))
    np.testing.assert_array_equal(distributions.normal_cdf(x), tail)
    np.testing.assert_array_equal(distributions.normal_cdf(-x), 1 - tail)


def test_distributions():
    x = RNG.uniform(-30, 8, 2000)
    np.testing.assert_allclose(distributions.normal_cdf(x), special.ndtr(x), rtol=2e-13)
    np.testing.assert_array_equal(distributions.normal_cdf([-np.inf, np.inf, np.nan]), [0.0, 1.0, np.nan])
    p = np.concatenate([RNG.uniform(0, 1, 2000), 10 ** RNG.uniform(-300, 0, 500)])
    np.testing.assert_allclose(distributions.normal_quantile(p), special.ndtri(p), rtol=2e-15, atol=1e-16)
    np.testing.assert_array_equal(distributions.normal_quantile([0.0, 1.0, -0.1]), [-np.inf, np.inf, np.nan])
    x = 10 ** RNG.uniform(-3, 4, 1000)
    np.testing.assert_allclose(distributions.digamma(x), special.digamma(x), rtol=1e-14, atol=1e-14)
    p = np.concatenate([RNG.uniform(0, 1, 500), 10 ** RNG.uniform(-9, -1, 200)])
    for n in (1, 2, 4.5, 30, 300):
        t = RNG.uniform(-30, 30, 500)
        np.testing.assert_allclose(distributions.student_cdf(t, n), stats.t.cdf(t, n), rtol=2e-12)
        np.testing.assert_allclose(distributions.student_quantile(p, n), stats.t.ppf(p, n), rtol=2e-12, atol=1e-15)
    assert math.isnan(distributions.student_quantile(0.9, 0))
    for x in (0.1, 1.0, 10.0):
        for d1, d2 in ((1, 3), (4, 100)):
            assert distributions.f_survival(x, d1, d2) == pytest.approx(stats.f.sf(x, d1, d2), rel=1e-12)
    assert distributions.f_survival(0.0, 2, 3) == 1
    assert distributions.beta_quantile(0.95, 4, 97) == pytest.approx(stats.beta.ppf(0.95, 4, 97), rel=1e-13)


def test_normal_variates_are_rounded():
    variates = distributions.standard_normal(np.random.default_rng(1), (3, 2))
    np.testing.assert_allclose(variates, np.random.default_rng(1).standard_normal((3, 2)), atol=2**-41)
    assert (variates * 2.0**40 % 1 == 0).all()


def test_linear_algebra():
    a, b = RNG.normal(size=(50, 4)), RNG.normal(size=(50, 3))
    for left, right in ((a.T, b), (a[:, 0], b), (a.T, b[:, 0]), (a[:, 0], b[:, 0])):
        np.testing.assert_allclose(fixed_order.product(left, right), left @ right, rtol=1e-13, atol=1e-13)
    with pytest.raises(ValueError, match=r"shapes \(50, 4\) and \(50, 3\) do not match"):
        fixed_order.product(a, b)
    np.testing.assert_allclose(fixed_order.least_squares(a, b), np.linalg.lstsq(a, b)[0], atol=1e-14)
    np.testing.assert_allclose(fixed_order.inverse_gram(a), np.linalg.inv(a.T @ a), rtol=1e-11)
    np.testing.assert_allclose(fixed_order.inverse(a[:4]), np.linalg.inv(a[:4]), rtol=1e-11)
    np.testing.assert_allclose(fixed_order.sample_covariance(a), np.cov(a.T), rtol=1e-12, atol=1e-15)
    dependent = np.stack([a[:, 0], 2 * a[:, 0]], axis=1)
    assert fixed_order.least_squares(dependent, b[:, 0])[1] == 0
    assert np.isinf(fixed_order.inverse_gram(dependent)).all()
    matrix = a.T @ a
    lower = fixed_order.cholesky(matrix)
    np.testing.assert_allclose(lower @ lower.T, matrix, rtol=1e-13)
    x = fixed_order.solve_upper(lower, fixed_order.solve_lower(lower, b[:4, 0]))
    np.testing.assert_allclose(x, np.linalg.solve(matrix, b[:4, 0]), rtol=1e-11)
    assert np.isnan(fixed_order.cholesky(-matrix)).any()


def test_eigenvalue_and_roots():
    diagonal, off_diagonal = RNG.uniform(1, 3, 60), RNG.uniform(0.1, 1, 59)
    smallest = eigvalsh_tridiagonal(diagonal, off_diagonal)[0]
    assert fixed_order.smallest_eigenvalue(diagonal, off_diagonal) == pytest.approx(smallest, abs=1e-14)
    assert fixed_order.smallest_eigenvalue(np.array([2.5]), np.zeros(0)) == 2.5
    np.testing.assert_allclose(fixed_order.real_roots(np.array([1.0, -6, 11, -6])), [1, 2, 3], rtol=1e-15)
    np.testing.assert_allclose(fixed_order.real_roots(np.array([0.0, 2, 4])), [-2])
    assert len(fixed_order.real_roots(np.array([1.0, 0, 1]))) == 0


@pytest.mark.parametrize("symmetric", [True, False])
def test_sparse_factors(symmetric):
    n = 200
    dense = np.where(RNG.random((n, n)) < 0.02, -RNG.uniform(0.5, 1, (n, n)), 0.0)
    np.fill_diagonal(dense, 0)
    if symmetric:
        dense += dense.T
    np.fill_diagonal(dense, -dense.sum(axis=0) + 0.1)
    matrix, values = sparse.csr_array(dense), RNG.normal(size=n)
    expected = np.linalg.solve(dense, values)
    for order in (None, elimination_order(matrix), np.arange(n)):
        x = SparseFactors(matrix, symmetric=symmetric, order=order).solve(values)
        np.testing.assert_allclose(x, expected, rtol=1e-9, atol=1e-12 * np.abs(expected).max())
