"""Micrographs of one pixel size as structures are compared with them: what they show, and their sections."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from membrane_dask.physics.reconstruction.depth_windows import Target
from membrane_dask.physics.reconstruction.descriptors import Descriptors
from membrane_dask.physics.reconstruction.directional_correlation import half_lengths
from membrane_dask.physics.reconstruction.matching import Magnification
from membrane_dask.physics.reconstruction.sections import Sections
from membrane_dask.physics.reconstruction.structures import Graded, Structure


@dataclass(frozen=True)
class MicrographGroup:
    """Micrographs of one pixel size, and what they show.

    Parameters
    ----------
    magnification : Magnification
        How sections become comparable with them.
    descriptors : tuple of Descriptors
        By row, of each micrograph.
    inside : tuple of ((depth, width) ndarray of bool or None)
        Pixels of each that are used; None for all.
    lengths_z : mapping from tuple of float to ndarray
        Half-correlation lengths along the depth by the knots of structures that may be anisotropic.
    images : tuple of int
        Numbers of the micrographs in the study.
    """

    magnification: Magnification
    descriptors: tuple[Descriptors, ...]
    inside: tuple[np.ndarray | None, ...]
    lengths_z: Mapping[tuple[float, ...], np.ndarray] = field(default_factory=dict)
    images: tuple[int, ...] = (0,)

    def target(self, structure: Structure) -> Target:
        """What the micrographs demand of a structure."""
        length_z = self.lengths_z.get(getattr(structure, "knots", ()))
        return self.magnification.windows(structure).target(self.descriptors, length_z)

    def target_of(self, structure: Structure, solids: Sequence[np.ndarray]) -> Target:
        """What segmented sections, one for each micrograph, would demand of a structure.

        Pixels that the micrographs' target leaves out are left out, so that both have the same variance.
        """
        length_z = None
        if isinstance(structure, Graded) and structure.knots in self.lengths_z:
            length_z = half_lengths([solids[0]], knots=structure.knots, direction="depth", inside=self.inside[0])
        scales = self.magnification.scales
        by_row = [scales.describe(solid, inside) for solid, inside in zip(solids, self.inside, strict=True)]
        return self.magnification.windows(structure).target(by_row, length_z)

    def sections_of(self, structure: Structure, seed: int) -> list[np.ndarray]:
        """A segmented section of a structure for each micrograph."""
        return [next(independent_sections(structure, one.seeded(seed), 1))[0] for one in self.magnification.sections]

    def perturbed_target(self, structure: Structure, model: Structure, seed: int) -> Target:
        """Target as from other sections of the membrane, and other images of them.

        Parameters
        ----------
        structure : Structure
            Whose windows of depth matter.
        model : Structure
            Whose sections have the variance of those of the membrane.
        seed : int
            Of all noise.
        """
        pairs = [
            [solid for solid, _ in independent_sections(model, sections.seeded(seed), 2)]
            for sections in self.magnification.sections
        ]
        first, second = (self.target_of(structure, solids) for solids in zip(*pairs, strict=True))
        return self.target(structure).perturbed(first, second)


def independent_sections(
    structure: Structure, sections: Sections, n: int
) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
    """Independent sections of a structure, each as in an image that may be that of the micrograph.

    Parameters
    ----------
    structure : Structure
    sections : Sections
        Their size, how they become images, with the standard errors by which the image model is drawn anew for each
        section, and the key of all noise.
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
        if imaging.errors:
            rng = np.random.default_rng((sections.seed, plane + sections.offset, 1))
            imaging = replace(imaging, model=imaging.model.drawn(imaging.errors, rng))
        (grey,) = replace(one, imaging=imaging).images(structure, fields)
        yield imaging.segmenter(grey), grey
