"""Axes of a volume in space: their lengths, angles and names by the vectors that a header states."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from membrane_dask.plain_text import printable_line

#: Largest cosine of the angle between two axes that counts as a right one (0.1 degrees): headers round.
_RIGHT_ANGLE = 1.75e-3
#: Smallest cosine of the angle between an axis of the file and the axis of space that it is named after (25 degrees).
_NAMED = 0.9
#: Rotation against the axes of space that is reported, degrees.
_ROTATED = 0.1


@dataclass(frozen=True)
class SpaceDirections:
    """Vectors from a voxel to the next along the three axes of a file, the fastest axis first.

    Parameters
    ----------
    vectors : tuple of tuple of float
        Components along the axes of space, at right angles to each other.
    lengths : tuple of float
        Their lengths, in the same unit.
    """

    vectors: tuple[tuple[float, ...], ...]
    lengths: tuple[float, ...]

    @classmethod
    def of(cls, vectors: Sequence[Sequence[float]], texts: Sequence[str], source: str) -> SpaceDirections:
        """Vectors, checked.

        Parameters
        ----------
        vectors : sequence of sequence of float
            As those of the class.
        texts : sequence of str
            The same as the header states them, for messages.
        source : str
            What states them, for messages, such as ``NRRD space directions``.

        Raises
        ------
        ValueError
            If a vector has no length, or if two of them are not at right angles.
        """
        lengths = tuple(math.sqrt(sum(number * number for number in vector)) for vector in vectors)
        stated = [printable_line(text)[:60] for text in texts]
        for text, length in zip(stated, lengths, strict=True):
            if not 0 < length < math.inf:
                raise ValueError(f"its {source} have the vector {text}, which has no length")
        for first, second in itertools.combinations(range(len(vectors)), 2):
            product = sum(a * b for a, b in zip(vectors[first], vectors[second], strict=True))
            cosine = product / (lengths[first] * lengths[second])
            if abs(cosine) > _RIGHT_ANGLE:
                raise ValueError(
                    f"its {source} {stated[first]} and {stated[second]} are at {_degrees(cosine):.4g} degrees: the "
                    " volume is sheared; allowed are 90 degrees (to 0.1): resample it to orthogonal axes"
                )
        return cls(tuple(map(tuple, vectors)), lengths)

    @property
    def axes(self) -> str:
        """Names of the axes of the array, the slowest first: those of space next to them, or zyx if there are none."""
        names = self._nearest
        return "".join("xyz"[axis] for axis in reversed(names)) if names else "zyx"

    @property
    def remarks(self) -> tuple[tuple[str, str], ...]:
        """How the axes lie in space, where they are not the axes of space themselves: subject and text."""
        names = self._nearest
        if not names:
            text = "the axes are rotated against those of space: they are read in the order of the file"
            return (("directions", text),)
        components = (vector[axis] for vector, axis in zip(self.vectors, names, strict=True))
        cosines = [component / length for component, length in zip(components, self.lengths, strict=True)]
        texts = []
        if names != (0, 1, 2):
            listed = ", ".join("xyz"[axis] for axis in names)
            texts.append(f"the axes of the file, the fastest first, are {listed} of space, and named so")
        backward = [axis for axis, cosine in zip(names, cosines, strict=True) if cosine < 0]
        if backward:
            listed = " and ".join("xyz"[axis] for axis in sorted(backward, reverse=True))
            texts.append(f"the file runs against {listed} of space, and is read as it runs")
        angle = max(_degrees(abs(cosine)) for cosine in cosines)
        if angle > _ROTATED:
            texts.append(f"they are rotated by up to {angle:.3g} degrees against those of space")
        return (("directions", "; ".join(texts)),) if texts else ()

    @property
    def _nearest(self) -> tuple[int, ...]:
        """Axis of space next to each axis of the file; none if they are far from those of space."""
        nearest = tuple(
            next((k for k, number in enumerate(vector) if abs(number) > _NAMED * length), -1)
            for vector, length in zip(self.vectors, self.lengths, strict=True)
        )
        return nearest if sorted(nearest) == [0, 1, 2] else ()


def _degrees(cosine: float) -> float:
    """Angle of a cosine from -1 to 1."""
    if abs(cosine) >= 1:
        return 0.0 if cosine > 0 else 180.0
    from membrane_dask.physics.elementary import cosine_of_degrees  # slow to import; few files need it
    from membrane_dask.physics.root_finding import brentq

    return float(brentq(lambda angle: float(cosine_of_degrees(angle)) - cosine, 0.0, 180.0))
