"""Inner product of the iterative linear solvers."""

from __future__ import annotations

import numpy as np

from membrane_dask.physics._jit import kernel


@kernel
def dot(a: np.ndarray, b: np.ndarray) -> float:
    """Inner product in double precision.

    Parameters
    ----------
    a : (n,) ndarray
        First vector.
    b : ndarray
        Second vector, of ``n`` elements or more; those beyond ``n`` are ignored.

    Notes
    -----
    Four partial sums let the processor overlap additions. Their number and order are fixed, so that the result does
    not depend on the machine.
    """
    s0, s1, s2, s3 = 0.0, 0.0, 0.0, 0.0
    n = a.size - a.size % 4
    for i in range(0, n, 4):
        s0 += np.float64(a[i]) * b[i]
        s1 += np.float64(a[i + 1]) * b[i + 1]
        s2 += np.float64(a[i + 2]) * b[i + 2]
        s3 += np.float64(a[i + 3]) * b[i + 3]
    for i in range(n, a.size):
        s0 += np.float64(a[i]) * b[i]
    return (s0 + s1) + (s2 + s3)
