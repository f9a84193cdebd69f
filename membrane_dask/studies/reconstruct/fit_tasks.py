"""Units of the goodness of fit: imaged sections of a matched structure, and matches to sections of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from membrane_dask.physics.imaging.image_model import ImageModelErrors
from membrane_dask.physics.reconstruction.descriptors import DescriptorScales
from membrane_dask.physics.reconstruction.directional_correlation import half_lengths
from membrane_dask.physics.reconstruction.distance_objective import (
    DISTANCE_EDGES,
    distance_distributions,
    distance_features,
)
from membrane_dask.physics.reconstruction.matching import Sections, Target, initial_structure, match
from membrane_dask.physics.reconstruction.section_statistics import Statistics, grey_statistics, section_statistics
from membrane_dask.physics.reconstruction.structures import Graded, Structure
from membrane_dask.program import Unit

#: Tasks of these units.
FIT_SECTIONS, REFITS = "fit_sections", "refits"
#: Smallest standard deviation, pixels, of the Gaussian filter before the grey histogram.
_MIN_SMOOTHING = 0.7


def independent_sections(
    structure: Structure, sections: Sections, errors: ImageModelErrors | None, n: int
) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
    """Independent sections of a structure, each as in an image that may be that of the micrograph.

    Parameters
    ----------
    structure : Structure
    sections : Sections
        Their size, how they become images, and the key of all noise.
    errors : ImageModelErrors, optional
        Standard errors of the image model, by which it is drawn anew for each section.
    n : int
        Number of sections.

    Yields
    ------
    solid : (depth, width) ndarray of bool
        Segmented section.
    grey : (depth, width) ndarray or None
        Its image; None where sections are compared as they are.
    """
    for plane in sections.independent(n).planes:
        one = replace(sections, planes=(plane,))
        fields, imaging = one.fields(structure), one.imaging
        if imaging is None:
            yield one.cut(structure, fields)[0], None
            continue
        if errors:
            model = imaging.model.drawn(errors, np.random.default_rng((sections.seed, plane, 1)))
            imaging = replace(imaging, model=model)
        (grey,) = replace(one, imaging=imaging).images(structure, fields)
        yield imaging.segmenter(grey), grey


def target_of(context: Mapping[str, Any], structure: Structure, solid: np.ndarray) -> Target:
    """What a section demands of a structure: along the depth, too, where the structure may be anisotropic.

    Pixels that the micrograph's target leaves out are left out, so that both have the same variance.
    """
    scales: DescriptorScales = context["scales"]
    inside: np.ndarray | None = context["inside"]
    length_z = None
    if isinstance(structure, Graded) and structure.knots in context["lengths_z"]:
        length_z = half_lengths([solid], knots=structure.knots, direction="depth", inside=inside)
    sections: Sections = context["sections"]
    return sections.windows(structure).target(scales.describe(solid, inside), length_z)


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
        ``sections``, ``scales``, ``lengths_z``, ``inside``, ``imaging_errors``, ``fit_knots`` and ``fit_mask``.
    unit : Unit
        Of the task ``fit_sections``, with ``params["sections"]``, their number; or of the task ``refits``.
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
    sections: Sections = replace(context["sections"], seed=noise)
    errors: ImageModelErrors | None = context["imaging_errors"]
    if unit.task == REFITS:
        structure = replace(structure, macrovoids=None)
        ((solid, _),) = independent_sections(structure, sections, errors, 1)
        target, scales = target_of(context, structure, solid), context["scales"]
        initial = initial_structure(structure, target, scales)
        result = match(initial, target, scales, replace(sections, seed=match_noise))
        return {"objective": np.array(result.objective)}, {}
    presmooth = sections.imaging.segmenter.presmooth if sections.imaging else 0.0
    statistics, distributions = [], []
    for section in independent_sections(structure, sections, errors, unit.params["sections"]):
        solid, grey = masked(*section, context["fit_mask"])
        groups = imaged_statistics(solid, grey, knots=context["fit_knots"], presmooth=presmooth)
        statistics.append([value for group in groups.values() for value in group.values()])
        features = distance_features(solid, edges=DISTANCE_EDGES, sections=sections.ranges, inside=context["fit_mask"])
        distributions.append(distance_distributions(features))
    return {"statistics": np.array(statistics), "distributions": np.array(distributions)}, {}
