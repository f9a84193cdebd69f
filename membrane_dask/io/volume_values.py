"""Values of a volume in sampled planes: those of two phases, labels, or grey values."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from membrane_dask.io.volume_file import VolumeError

#: Voxels that are read to determine which values a volume holds.
_INSPECTED_VOXELS = 1 << 24
#: Voxels of them that are read at once.
_READ_VOXELS = 1 << 23
#: Different values up to which those of further planes are counted, and values that a message lists.
MAX_VALUES, _LISTED = 256, 6
#: Values of an image of labels; more are grey values.
_MAX_LABELS = 12
#: Largest value of a volume of floats: bytes in the opposite order make others of almost any number.
_SMALLEST, _LARGEST = 1e-30, 1e30
#: What to do with values that are no numbers.
FILL = (
    "save it with a number in these voxels, such as the grey value of the solid, or without the planes that have them"
)

Pores = Literal["dark", "bright"] | int | tuple[int, ...]


def pore_labels(pores: Pores) -> tuple[int, ...]:
    """Labels of the pores; none where they are the dark or the bright phase."""
    if isinstance(pores, str):
        return ()
    return pores if isinstance(pores, tuple) else (pores,)


@dataclass(frozen=True)
class VolumeValues:
    """Values in sampled planes of a volume.

    Parameters
    ----------
    counts : Counter
        Voxels of each value.
    phases : tuple or None
        Smaller and larger value of a segmented volume; None if it is not segmented into two phases.
    """

    counts: Counter[Any]
    phases: tuple[Any, Any] | None

    def check_magnitude(self, name: str) -> None:
        """Check that values are no floats whose bytes are in the opposite order.

        Raises
        ------
        VolumeError
            If all of them are smaller, or one is larger, than what is measured.
        """
        largest = max((abs(value) for value in self.counts if math.isfinite(value)), default=0)
        if not (largest == 0 or _SMALLEST < largest < _LARGEST):
            raise VolumeError(
                f"{name} holds values up to {largest:g}, as floats do whose bytes are in the opposite order: check the "
                "type and the byte order of its voxels (of a file without a header raw.type and raw.byte_order)"
            )

    def listed(self) -> str:
        """The values with their fractions, the smallest first."""
        total = sum(self.counts.values())
        values = sorted(self.counts, key=lambda value: (value != value, value))
        shown = ", ".join(f"{value:g} ({self.counts[value] / total:.1%})" for value in values[:_LISTED])
        return shown + (f", ... {values[-1]:g}" if len(values) > _LISTED else "")

    @property
    def example(self) -> str:
        """A value that may be that of the pores."""
        whole = [value for value in self.counts if value >= 0 and float(value).is_integer()]
        return f"{min(whole):g}" if whole and len(self.counts) <= _MAX_LABELS else "0"

    def invalid_phases(self) -> str:
        """Which values a volume holds that is not segmented into two phases; empty if it is."""
        if self.phases:
            return ""
        if self.is_nan:
            fraction = self.counts[math.nan] / sum(self.counts.values())
            return f"values that are not numbers (NaN, {fraction:.1%} of the sampled voxels)"
        if len(self.counts) > _MAX_LABELS:
            return f"grey values from {min(self.counts):g} to {max(self.counts):g} in sampled planes"
        return f"more than two values: {self.listed()}" if len(self.counts) > 1 else f"nothing but {self.listed()}"

    def check_grey(self, name: str, method: str) -> None:
        """Check that thresholds of a grey volume may follow from its values.

        Raises
        ------
        VolumeError
            If they are labels, of which a threshold would merge some, or a single one.
        """
        if self.phases or (len(self.counts) > _MAX_LABELS and not self.is_nan):
            return
        merges = len(self.counts) > 1 and not self.is_nan
        advice = f", and would merge labels: set those of the pores instead, for example pores: {self.example}"
        if self.is_nan:
            advice = f": {FILL}"
        raise VolumeError(
            f"{name} holds {self.invalid_phases()}; grey.method: {method} needs grey values"
            f"{advice if merges or self.is_nan else ''}"
        )

    def described(self, pores: Pores, grey: Mapping[str, float] | None) -> str:
        """The values and which are pores, for the plan."""
        if grey is not None:
            numbers = [value for value in self.counts if value == value]
            span = f"{min(numbers):g} to {max(numbers):g} in sampled planes" if numbers else "not numbers"
            side = f"{'up to' if pores == 'dark' else 'from'} {grey['threshold']:g}" if grey else f"the {pores} phase"
            return f"{span}; pores are {side}"
        labels: tuple[Any, ...] = pore_labels(pores)
        if self.phases and not labels:
            labels = self.phases[:1] if pores == "dark" else self.phases[1:]
        return f"{self.listed()}; pores are {', '.join(f'{label:g}' for label in labels)}"

    @property
    def is_nan(self) -> bool:
        """Whether some values are no numbers."""
        return any(value != value for value in self.counts)


def counted(plane: np.ndarray) -> dict[Any, int]:
    """Voxels of each value of a plane."""
    if plane.dtype == np.uint8:
        numbers = np.bincount(plane.ravel(), minlength=256)
        return {int(value): int(numbers[value]) for value in np.flatnonzero(numbers)}
    if plane.dtype == bool:
        true = int(np.count_nonzero(plane))
        return {value: number for value, number in ((False, plane.size - true), (True, true)) if number}
    values, numbers = np.unique(plane, return_counts=True)
    # One object for all values that are no numbers, none of which equals another.
    keys = [value if value == value else math.nan for value in values.tolist()]
    return dict(zip(keys, numbers.tolist(), strict=True))


def sample_planes(array: Any) -> Iterator[np.ndarray]:
    """Planes of the file: all of a small volume, a sample of a large one."""
    depth, area = array.shape[0], max(1, array.shape[1] * array.shape[2])
    if depth * area > _INSPECTED_VOXELS:
        for z in np.unique(np.linspace(0, depth - 1, max(1, _INSPECTED_VOXELS // area)).astype(int)):
            yield np.asarray(array[int(z)])
        return
    # Together, as a chunk of many planes is read and decoded as a whole for any of them.
    thickness = max(1, _READ_VOXELS // area)
    for start in range(0, depth, thickness):
        yield from np.asarray(array[start : start + thickness])
