"""How likely the closing and roughness of each trial are: how often each would match an image of the best one best."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from membrane_dask.physics.reconstruction.matching import objectives
from membrane_dask.physics.reconstruction.structures import Structure
from membrane_dask.studies.reconstruct.micrograph_group import MicrographGroup, independent_sections

#: Task of the unit that computes these frequencies.
SELECTIONS = "selections"
#: Simulated images: the standard error of a probability of 0.5 is 0.06.
IMAGES = 64


def selection_frequencies(
    structures: Sequence[Structure], best: int, groups: Sequence[MicrographGroup], *, noise: int, image_noise: int
) -> np.ndarray:
    """Fraction of simulated images of the best match that each structure matches best.

    An image of another section of the best match would have had other descriptors, by the difference of two sections
    over the square root of two. The sections of the structures are not matched to it again: what a match can change is
    nearly the same for all of them.

    Parameters
    ----------
    structures : sequence of Structure
        Matched structures of one model, with equal knots.
    best : int
        Number of the one that matches the micrographs best.
    groups : sequence of MicrographGroup
        The micrographs by pixel size.
    noise : int
        Seed of the sections that were compared with the micrographs.
    image_noise : int
        Seed of the sections in the simulated images.

    Returns
    -------
    (n,) ndarray
        Sums to 1.
    """
    model = structures[best]
    magnifications = [one.magnification.seeded(noise) for one in groups]
    observed = [[one.observe(structure) for one in magnifications] for structure in structures]
    simulated = []
    for group in groups:
        solids = [
            [solid for solid, _ in independent_sections(model, sections.seeded(image_noise), IMAGES)]
            for sections in group.magnification.sections
        ]
        simulated.append([group.target_of(model, one) for one in zip(*solids, strict=True)])
    selected = np.zeros(len(structures))
    for image in range(IMAGES):
        targets = [
            target.perturbed(one[image], one[image - 1]) for target, one in zip(observed[best], simulated, strict=True)
        ]
        selected[int(np.argmin(objectives(model, observed, targets, magnifications)))] += 1
    return selected / IMAGES
