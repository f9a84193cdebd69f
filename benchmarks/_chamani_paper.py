"""Table 1 of Chamani et al. (2023), whose membrane is a virus filter, and the interval that it prints."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Parameters
    ----------
    label : str
        Property and unit.
    digits : int
        Decimals that are printed.
    original : float
        Of the tomogram.
    searches : tuple of float
        Of the structures #1 to #5.
    mean, half_width : float
        Average of the reconstructions and its 95 % confidence interval, as printed.
    error : float
        Difference between average and original, %, as printed.
    """

    label: str
    digits: int
    original: float
    searches: tuple[float, ...]
    mean: float
    half_width: float
    error: float

    def half_width_by_divisor(self, *, unbiased: bool) -> float:
        """1.96 s / sqrt(N) with the standard deviation s by the divisor N - 1 (unbiased) or N."""
        return 1.96 * float(np.std(self.searches, ddof=int(unbiased))) / math.sqrt(len(self.searches))


#: By the variable of ``properties`` that corresponds to the column.
TABLE_1 = {
    "body_radius_mean": Column(
        "mean pore radius, nm", 1, 47.1, (39.3, 39.8, 37.7, 41.3, 42.1), 40.0, 1.4, 15
    ),
    "throat_radius_mean": Column(
        "mean throat radius, nm", 1, 15.6, (13.3, 14.1, 12.6, 15.1, 14.3), 13.9, 0.8, 10
    ),
    "coordination_number_mean": Column(
        "mean coordination number", 2, 4.07, (3.62, 3.75, 3.29, 3.74, 4.62), 3.80, 0.39, 6.6
    ),
    "porosity": Column("porosity", 3, 0.252, (0.251, 0.261, 0.248, 0.277, 0.276), 0.263, 0.011, 4.3),
    "connected_porosity": Column(
        "connected porosity", 3, 0.249, (0.241, 0.256, 0.236, 0.271, 0.274), 0.256, 0.013, 2.8
    ),
    "tortuosity_centroid": Column("tortuosity (centroids)", 2, 1.7, (1.76, 1.73, 1.77, 1.72, 1.72), 1.74, 0.02, 2.3),
    "permeance_psi": Column("permeance, L m-2 h-1 psi-1", 1, 13.3, (6.5, 10.7, 5.2, 11.8, 14.3), 9.7, 3.0, 27),
}  # fmt: skip
