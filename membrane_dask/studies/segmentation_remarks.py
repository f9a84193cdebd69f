"""How grey volumes were segmented: attributes of a result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from membrane_dask.io.volumes import VolumeSource

#: Prefix of the attributes of a result that describe how a volume was segmented, before the name of the volume
#: and the subject.
PREFIX = "segmentation of "
#: Subjects of what a volume says of its segmentation.
SUBJECTS = ("segmentation", "slices", "shading", "bias", "noise", "values")


def segmentation_attributes(volumes: Sequence[VolumeSource], name: Callable[[int], str]) -> Mapping[str, str]:
    """Attributes of a result: threshold, brightness, bias and noise of the volumes that are segmented as they are read.

    Parameters
    ----------
    volumes : sequence of VolumeSource
    name : callable
        Name of the volume of a number.
    """
    return {
        f"{PREFIX}{name(number)}, {subject}": text
        for number, volume in enumerate(volumes)
        if isinstance(volume, VolumeSource) and volume.is_grey
        for subject, text in volume.remarks
        if subject in SUBJECTS
    }


def noise_findings(volumes: Sequence[VolumeSource], name: Callable[[int], str]) -> list[str]:
    """Sentences on volumes whose segmentation shows noise as pores."""
    return [
        f"{name(number)}: {text}"
        for number, volume in enumerate(volumes)
        if isinstance(volume, VolumeSource)
        for subject, text in volume.remarks
        if subject == "noise"
    ]
