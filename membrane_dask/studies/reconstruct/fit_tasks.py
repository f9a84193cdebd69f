"""Units of the goodness of fit: imaged sections of a matched structure, and matches to sections of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from membrane_dask.physics.reconstruction.distance_objective import (
    DISTANCE_EDGES,
    distance_distributions,
    distance_features,
)
from membrane_dask.physics.reconstruction.matching import initial_structure, match
from membrane_dask.physics.reconstruction.section_statistics import Statistics, grey_statistics, section_statistics
from membrane_dask.physics.reconstruction.sections import Sections
from membrane_dask.physics.reconstruction.structures import Structure
from membrane_dask.program import Unit
from membrane_dask.studies.reconstruct.micrograph_group import MicrographGroup, independent_sections

#: Tasks of these units.
FIT_SECTIONS, REFITS = "fit_sections", "refits"
#: Smallest standard deviation, pixels, of the Gaussian filter before the grey histogram.
_MIN_SMOOTHING = 0.7


def masked(solid: np.ndarray, grey: np.ndarray | None, mask: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
    """A section whose pixels outside of a mask are solid, so that micrograph and sections of the model are alike there.

    Parameters
    ----------
    solid : (depth, width) ndarray of bool
        Segmented section.
    grey : (depth, width) ndarray, optional
        Its image.
    mask : (depth, width) ndarray of bool, optional
        Pixels that are used; default all.
    """
    if mask is None:
        return solid, grey
    if grey is not None:
        grey = np.where(mask, grey, np.median(grey[solid & mask]))
    return solid | ~mask, grey


def imaged_statistics(
    solid: np.ndarray, grey: np.ndarray | None, *, knots: tuple[float, ...], presmooth: float
) -> Statistics:
    """Statistics of a section and, where there is one, of its image; ``presmooth`` is that of the segmentation."""
    statistics = section_statistics(solid, knots=knots)
    if grey is not None:
        statistics |= grey_statistics(grey, solid, smoothing=max(presmooth, _MIN_SMOOTHING))
    return statistics


def fit_work(
    context: Mapping[str, Any], unit: Unit, structure: Structure
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Describe independent sections of a structure, or match a structure of its model to one of them.

    Parameters
    ----------
    context : mapping
        ``groups``, the micrographs by pixel size, and for each micrograph its ``sections``, ``fit_knots``
        and ``fit_mask``.
    unit : Unit
        Of the task ``fit_sections``, with ``params["image"]``, the number of the micrograph, and
        ``params["sections"]``, their number; or of the task ``refits``.
    structure : Structure
        Matched structure.

    Returns
    -------
    arrays : dict of str to ndarray
        ``statistics``, ``(n_sections, n_statistics)`` in the order of :func:`imaged_statistics`, and
        ``distributions`` of the distance to the other phase; or ``objective`` of the match.
    feedback : dict
        Empty.
    """
    noise, match_noise = (int(word) for word in unit.seed_sequence().generate_state(2, np.uint64))
    if unit.task == REFITS:
        structure = replace(structure, macrovoids=None)
        compared: list[MicrographGroup] = context["groups"]
        targets = [one.target_of(structure, one.sections_of(structure, noise)) for one in compared]
        magnifications = [one.magnification.seeded(match_noise) for one in compared]
        initial = initial_structure(structure, targets, magnifications)
        return {"objective": np.array(match(initial, targets, magnifications).objective)}, {}
    image = unit.params["image"]
    sections: Sections = context["sections"][image].seeded(noise)
    presmooth = sections.imaging.segmenter.presmooth if sections.imaging else 0.0
    statistics, distributions = [], []
    for section in independent_sections(structure, sections, unit.params["sections"]):
        solid, grey = masked(*section, context["fit_mask"][image])
        groups = imaged_statistics(solid, grey, knots=context["fit_knots"][image], presmooth=presmooth)
        statistics.append([value for group in groups.values() for value in group.values()])
        features = distance_features(
            solid, edges=DISTANCE_EDGES, sections=sections.ranges, inside=context["fit_mask"][image]
        )
        distributions.append(distance_distributions(features))
    return {"statistics": np.array(statistics), "distributions": np.array(distributions)}, {}
