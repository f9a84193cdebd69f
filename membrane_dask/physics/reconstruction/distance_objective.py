"""Objective of Chamani et al.: difference of the distributions of the distance to the other phase."""

from __future__ import annotations

from collections.abc import Sequence

import edt
import numpy as np

#: Edges of the bins of the distance distributions, pixels (Chamani).
DISTANCE_EDGES = np.linspace(1.0, 30.0, 51)


def distance_features(
    solid: np.ndarray,
    *,
    edges: np.ndarray,
    sections: Sequence[tuple[float, float]],
    inside: np.ndarray | None = None,
) -> np.ndarray:
    """Distribution of the distance to the other phase, in ranges of the depth.

    Parameters
    ----------
    solid : (depth, width) ndarray of bool
        Segmented section.
    edges : (n_bins + 1,) ndarray
        Edges of the bins in pixels, rising, the first 1, which is the smallest distance.
    sections : sequence of (float, float)
        Ranges of the depth, as fractions of it from the top.
    inside : (depth, width) ndarray of bool, optional
        Pixels that are used; default all.

    Returns
    -------
    (n_sections, 2, n_bins + 1) ndarray
        Fraction of the used pixels of the range that are pore (0) or solid (1) and at that distance from the other
        phase. The last bin is open: distances beyond the last edge, and all pixels of a range that has no other phase.
        0 in a range of which no pixel is used.

    Notes
    -----
    Distances are computed within each range, as in the paper: to the nearest pixel of the other phase in the range. As
    the edges of the range, the edge of what is used is no interface: pixels that are not used belong to neither phase,
    and near them the distance may be larger than that to what they hide, in the micrograph as in the sections that it
    is compared with.

    References
    ----------
    Chamani et al. (2023), combined distance function.
    """
    features = np.zeros((len(sections), 2, len(edges)))
    depth = len(solid)
    bounds = np.append(edges, np.inf)
    for s, (top, bottom) in enumerate(sections):
        window = slice(round(top * depth), round(bottom * depth))
        rows = solid[window]
        used = np.ones_like(rows) if inside is None else inside[window]
        phases = [np.ascontiguousarray(phase & used) for phase in (~rows, rows)]
        n_used = np.count_nonzero(used)
        for phase, (pixels, opposite) in enumerate(zip(phases, phases[::-1], strict=True)):
            if not opposite.any():
                features[s, phase, -1] = float(pixels.any())
            elif pixels.any():
                features[s, phase] = np.histogram(edt.edt(~opposite)[pixels], bounds)[0] / n_used
    return features


def distance_distributions(features: np.ndarray) -> np.ndarray:
    """Distribution functions of the distance to the other phase, of each phase and range of the depth.

    Parameters
    ----------
    features : (n_sections, 2, n_edges) ndarray
        Of :func:`distance_features`.

    Returns
    -------
    (n_sections, 2, n_edges) ndarray
        Fraction of the pixels of the phase whose distance is below each edge; NaN for a phase that is missing.
    """
    below = np.cumsum(features, axis=-1) - features
    with np.errstate(invalid="ignore"):
        return np.asarray(below / features.sum(axis=-1, keepdims=True))


def distance_objective(features: np.ndarray, target: np.ndarray) -> float:
    """Half the summed absolute difference: 0 for equal features; each range that has nothing in common adds 1."""
    return float(0.5 * np.abs(features - target).sum())
