"""Segmented and grey volumes in files, whose pores are read window by window."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from membrane_dask.errors import reason
from membrane_dask.io.grey_options import GreyOptions
from membrane_dask.io.image_folders import ImageFolder
from membrane_dask.io.raster_files import check_decoded_size
from membrane_dask.io.tiff_volumes import TiffPages
from membrane_dask.io.volume_borders import Treatment, find_databars, slowest_axis, treat_databars
from membrane_dask.io.volume_file import Edges, ReadOptions, VolumeError, VolumeFile, VoxelEdges
from membrane_dask.io.volume_formats import open_volume_file, oriented
from membrane_dask.io.volume_values import FILL, MAX_VALUES, Pores, VolumeValues, counted, pore_labels, sample_planes
from membrane_dask.io.volume_views import cropped, in_file_order
from membrane_dask.io.zarr_chunks import MissingChunkError, ZarrVolume
from membrane_dask.physics.voxel_spacing import CUBE, Spacing, unit_and_spacing

# Slow to import, and only grey volumes need them: grey_noise, grey_volumes and segmentation.
if TYPE_CHECKING:
    from membrane_dask.io.grey_volumes import GreySegmentation

#: Row of the plan of a volume that is segmented by a given threshold.
_FIXED_THRESHOLD = ("bias", "of grey.threshold, not measured; grey.method: otsu measures its own")


@dataclass(frozen=True)
class VolumeSource:
    """A volume in a file or a folder, which is opened where it is read.

    Parameters
    ----------
    path : str
        The file or folder.
    shape : tuple of int
        Voxels along ``z, y, x``.
    voxel_nm : float or None
        Shortest edge of a voxel, nm; None if the file does not hold it.
    voxel_size_source : str
        Which metadata hold it, or why it is unknown.
    edges : VoxelEdges
        What the file states about the edges along ``z, y, x``.
    pores : {"dark", "bright"}, int or tuple of int
        Which of the two values the pores have, or the labels of the pores in a volume of many labels.
    grey : mapping, optional
        Segmentation of a grey volume: arguments of :func:`membrane_dask.io.segmentation.segment_window`.
    segmentation : GreySegmentation, optional
        Segmentation of a grey volume by thresholds that follow from it.
    options : ReadOptions
        How the file is read.
    axis : str
        Axis of the file that is the depth, as in :func:`membrane_dask.io.volume_formats.oriented`.
    remarks : tuple of (str, str)
        What the file says, and how its values are taken: subject and text.
    spacing : tuple of float
        Edges of a voxel along ``z, y, x``, over the shortest one.
    """

    path: str
    shape: tuple[int, ...]
    voxel_nm: float | None
    voxel_size_source: str
    edges: VoxelEdges
    pores: Pores = "dark"
    grey: Mapping[str, float] | None = None
    segmentation: GreySegmentation | None = field(default=None, compare=False)
    options: ReadOptions = field(default_factory=ReadOptions)
    axis: str = "z"
    remarks: tuple[tuple[str, str], ...] = ()
    spacing: Spacing = CUBE

    @property
    def edges_nm(self) -> Edges:
        """Edges of a voxel along ``z, y, x`` by the file, nm; None where it states none."""
        return self.edges.nm

    def read(self, where: tuple[slice, ...]) -> np.ndarray:
        """Pores in a window, ``(z, y, x)`` bool.

        Raises
        ------
        ValueError
            If the window cannot be read, or holds a value that is neither pore nor solid.
        """
        return self._pores(self._array, where)

    def sampled_porosity(self, n_planes: int) -> float:
        """Porosity of some planes, which are planes of the file, so that they are read fast.

        Raises
        ------
        ValueError
            As :meth:`read`.
        """
        if self.segmentation is not None:
            return self.segmentation.sampled_porosity(self._array, n_planes)
        stored = in_file_order(self._array)
        planes = np.linspace(0, stored.shape[0] - 1, 2 * n_planes + 1).astype(int)[1::2].tolist()
        whole = (slice(0, stored.shape[1]), slice(0, stored.shape[2]))
        return float(np.mean([self._pores(stored, (slice(z, z + 1), *whole)).mean() for z in planes]))

    @property
    def is_grey(self) -> bool:
        """Whether the volume is segmented as it is read."""
        return self.grey is not None or self.segmentation is not None

    @property
    def resident_bytes(self) -> int:
        """Bytes of the volume that every process holds which reads it: those of files that are decoded as a whole."""
        array = self._array
        while not isinstance(array, np.ndarray) and hasattr(array, "array"):
            array = array.array
        return int(array.nbytes) if isinstance(array, np.ndarray) and not isinstance(array, np.memmap) else 0

    def middle_section(self, axis: int, step: int) -> np.ndarray:
        """Pores in the middle plane across an axis, every ``step``-th voxel along the other two axes.

        Raises
        ------
        ValueError
            As :meth:`read`.
        """
        middle = self.shape[axis] // 2
        steps = 1 if self.is_grey else step  # filters need all voxels
        where = [slice(0, n, steps) for n in self.shape]
        where[axis] = slice(middle, middle + 1)
        plane = self.read(tuple(where)).squeeze(axis)
        return plane[::step, ::step] if steps < step else plane

    @property
    def _array(self) -> Any:
        return _cached_file(self.path, self.options, self.axis).array

    def _pores(self, array: Any, where: tuple[slice, ...]) -> np.ndarray:
        if self.segmentation is not None:
            return self.segmentation.pores(array, where)
        if self.grey is not None:
            from membrane_dask.io.segmentation import segment_window

            assert self.pores in ("dark", "bright")
            return segment_window(array, where, pores=self.pores, **self.grey)
        values = np.asarray(array[where])
        labels = pore_labels(self.pores)
        if labels:
            return np.asarray(values == labels[0] if len(labels) == 1 else np.isin(values, labels))
        low, high = _phase_values(self.path, self.options, self.axis)
        pore, solid = (low, high) if self.pores == "dark" else (high, low)
        is_pore = values == pore
        is_invalid = ~is_pore & (values != solid)
        if is_invalid.any():
            invalid = np.unique(values[is_invalid])[:3].tolist()
            raise ValueError(f"{self.path} holds {invalid} in addition to the values {low} and {high} of its phases")
        return np.asarray(is_pore)


def open_volume_source(
    path: Path,
    pores: Pores = "dark",
    grey: Mapping[str, float] | GreyOptions | None = None,
    options: ReadOptions | None = None,
    axis: str = "z",
    databar: Treatment = "refuse",
) -> VolumeSource:
    """Open a volume, reading no more of it than needed to identify its phases.

    Parameters
    ----------
    path : Path
        File or folder of a format of :func:`membrane_dask.io.volume_formats.open_volume_file`.
    pores, options, axis
        As in :class:`VolumeSource`.
    grey : mapping or GreyOptions, optional
        Segmentation of a grey volume, by a given threshold or by one that follows from the volume; a volume of two
        values is then taken as it is.
    databar : {"refuse", "cut", "keep"}
        Treatment of a databar that no metadata name, as in :func:`membrane_dask.io.volume_borders.treat_databars`.

    Returns
    -------
    VolumeSource

    Raises
    ------
    ValueError
        If it cannot be read, has missing chunks, is not three-dimensional, has a databar that is refused, or holds
        values that do not identify pores and solid.
    """
    source = describe_volume(path, pores, grey, options, axis, databar)
    values = _values(source.path, source.options, axis)
    if isinstance(grey, GreyOptions):
        with _errors_of_reading(path):
            segmentation = None if values.phases else _segmentation(path, source.options, axis, grey)
        rows = segmentation.remarks if segmentation else ()
        described = values.described(pores, {} if segmentation else None)
        return replace(source, segmentation=segmentation, remarks=(*source.remarks, *rows, ("values", described)))
    if grey is None:
        return replace(source, remarks=(*source.remarks, ("values", values.described(pores, None))))
    from membrane_dask.io.grey_noise import segmentation_noise
    from membrane_dask.io.grey_volumes import drift_remark

    array = source._array
    with _errors_of_reading(path):
        rows = (*drift_remark(array, _slice_axis(array)), _FIXED_THRESHOLD)
    noise = segmentation_noise(source.read, source.shape, grey.get("sigma", 0.0))
    return replace(source, remarks=(*source.remarks, *rows, ("values", values.described(pores, grey)), *noise.remarks))


def describe_volume(
    path: Path,
    pores: Pores = "dark",
    grey: Mapping[str, float] | GreyOptions | None = None,
    options: ReadOptions | None = None,
    axis: str = "z",
    databar: Treatment = "refuse",
) -> VolumeSource:
    """What a file says of a volume, with all checks of :func:`open_volume_source` but those of a segmentation.

    The parameters are those of :func:`open_volume_source`. A volume that must be segmented cannot be read from what is
    returned.

    Raises
    ------
    ValueError
        As of :func:`open_volume_source`.
    """
    options = replace(options or ReadOptions(), labels=not isinstance(pores, str))
    with _errors_of_reading(path):
        volume = _opened(path, options, axis)
        array = volume.array
        shape = tuple(int(n) for n in array.shape)
        if len(shape) != 3 or min(shape) < 2:
            raise VolumeError(
                f"{path.name} has the shape {shape}; a volume of three dimensions with at least two voxels along each "
                "is needed"
            )
        if np.dtype(array.dtype).kind not in "buif":
            raise VolumeError(f"{path.name} holds {str(array.dtype)[:80]}; grey values or labels are needed")
        stored = in_file_order(array)
        check_decoded_size("a plane of it", stored.shape[1:], array.dtype, "divide it")
        volume.edges.check(path.name)
        if isinstance(stored, ZarrVolume | ImageFolder | TiffPages):
            stored.require_complete()
        # A view by the setting may show one by the reader, as of MATLAB.
        margins, databar_remarks = treat_databars(find_databars(in_file_order(stored)), databar, path.name)
        if margins:
            options = replace(options, margins=margins)
            volume = _opened(path, options, axis)
            array = volume.array
            shape = tuple(int(n) for n in array.shape)
        values = _values(str(path), options, axis)
        values.check_magnitude(path.name)
        for label in pore_labels(pores):
            if label not in values.counts and grey is None:
                raise VolumeError(f"{path.name} holds {values.listed()}, but no {label} (pores)")
        if values.phases == (-1, 0) and isinstance(pores, str) and grey is None:
            raise VolumeError(
                f"{path.name} holds {values.listed()} of type {array.dtype}: -1 is 255 or true of another type, so "
                "that dark and bright say nothing; name the label of the pores, pores: 0 or pores: -1"
            )
        if isinstance(grey, GreyOptions):
            values.check_grey(path.name, grey.method)
        message = values.invalid_phases() if isinstance(pores, str) and grey is None else ""
    if message and values.is_nan:
        raise ValueError(f"{path.name} holds {message}; {FILL}")
    if message:
        raise ValueError(
            f"{path.name} holds {message}; a segmented volume has two: set the value of the pores (pores: "
            f"{values.example}), or segment a grey volume with the line grey: {{method: auto, sigma: 1}}"
        )
    edges = [edge for edge in volume.edges.nm if edge is not None]
    voxel, spacing = unit_and_spacing(edges) if len(edges) == len(shape) else (None, CUBE)
    return VolumeSource(
        str(path), shape, voxel, volume.edges.source, volume.edges, pores,
        None if isinstance(grey, GreyOptions) else grey, None, options, axis, (*volume.remarks, *databar_remarks),
        spacing,
    )  # fmt: skip


@contextmanager
def _errors_of_reading(path: Path) -> Iterator[None]:
    """What goes wrong while a volume is read, as errors that name it."""
    try:
        yield
    except VolumeError:
        raise
    except MissingChunkError as error:
        raise ValueError(f"{path.name}: {error}") from error
    except Exception as error:  # decoders raise many types; MEMBRANE_DASK_DEBUG=1 shows where
        raise ValueError(f"{path.name} cannot be read as a volume: {reason(error)}") from error


def volume_paths(path: Path) -> list[Path]:
    """Volumes at a path: those of a run, in their order, or the path itself.

    Raises
    ------
    ValueError
        If it is a run without volumes.
    """
    if not (path / "run.json").is_file():
        return [path]
    volumes = sorted(path.glob("volumes/*.ome.zarr"), key=lambda p: (len(p.name), p.name))
    if not volumes:
        raise ValueError(f"{path.name} is a run without volumes; that of a reconstruction is needed")
    return volumes


def replicate_design(path: Path, table: str = "structures") -> str:
    """How the volumes of a run are related to each other: the attribute ``design`` of its replicates; often empty."""
    import zarr

    labels = path / "result.zarr" / table / "replicate"
    return str(zarr.open_array(labels, mode="r").attrs.get("design", "")) if labels.is_dir() else ""


def reconstruction_findings(path: Path) -> tuple[str, ...]:
    """What a reconstruction says of its fit: that its image does not resolve the pores, or differs from its model."""
    import zarr

    from membrane_dask.physics.reconstruction.goodness_of_fit import NOTHING_FLAGGED

    sentences: list[str] = []
    for name in ("imaging", "goodness_of_fit"):
        table = path / "result.zarr" / name
        if table.is_dir():
            summary: Any = zarr.open_group(table, mode="r").attrs.get("summary", [])
            sentences += map(str, summary)
    return tuple(sentence for sentence in sentences if sentence != NOTHING_FLAGGED)


def _cached_file(path: str, options: ReadOptions, axis: str) -> VolumeFile:
    return _file_of_version(path, options, axis, Path(path).stat().st_mtime_ns)


@lru_cache(maxsize=64)
def _file_of_version(path: str, options: ReadOptions, axis: str, modified: int) -> VolumeFile:
    return _opened(Path(path), options, axis)


def _opened(path: Path, options: ReadOptions, axis: str) -> VolumeFile:
    """The volume in a file, without its margins and with the depth as its first axis."""
    volume = open_volume_file(path, options)
    if options.margins:
        volume = replace(volume, array=cropped(volume.array, options.margins))
    return oriented(volume, axis)


def _segmentation(path: Path, options: ReadOptions, axis: str, grey: GreyOptions) -> GreySegmentation:
    try:
        return _segmentation_of_version(str(path), options, axis, grey, path.stat().st_mtime_ns)
    except ValueError as error:
        raise VolumeError(f"{path.name}: {error}") from error


@lru_cache(maxsize=16)
def _segmentation_of_version(
    path: str, options: ReadOptions, axis: str, grey: GreyOptions, modified: int
) -> GreySegmentation:
    """Segmentation of a grey volume, which is estimated once."""
    from membrane_dask.io.grey_volumes import estimate_segmentation

    array = _cached_file(path, options, axis).array
    if grey.slice_axis is None:
        grey = replace(grey, slice_axis=_slice_axis(array))
    return estimate_segmentation(array, grey)


def _slice_axis(array: Any) -> int:
    """Axis of a volume along which the planes of its file follow each other."""
    stored = in_file_order(array)
    order: tuple[int, ...] = (0, 1, 2) if stored is array else array.order
    return order.index(slowest_axis(stored))


def _phase_values(path: str, options: ReadOptions, axis: str) -> tuple[Any, Any]:
    """Smaller and larger value of a segmented volume."""
    phases = _values(path, options, axis).phases
    assert phases
    return phases


def _values(path: str, options: ReadOptions, axis: str) -> VolumeValues:
    return _values_of_version(path, options, axis, Path(path).stat().st_mtime_ns)


@lru_cache(maxsize=64)
def _values_of_version(path: str, options: ReadOptions, axis: str, modified: int) -> VolumeValues:
    """Values of a volume in a sample of its planes, and the two of its phases."""
    array = in_file_order(_cached_file(path, options, axis).array)
    counts: Counter[Any] = Counter()
    for plane in sample_planes(array):
        counts.update(counted(plane))
        if len(counts) > MAX_VALUES and not options.labels:
            break
    if np.dtype(array.dtype).kind == "b":
        return VolumeValues(counts, (False, True))
    if len(counts) == 2 and not any(value != value for value in counts):
        low, high = sorted(counts)
        return VolumeValues(counts, (low, high))
    if len(counts) == 1:
        only = next(iter(counts))
        # The phase of a volume of a single value follows from the usual pairs of values.
        for low, high in ((0, 255), (0, 1)):
            if only in (low, high):
                return VolumeValues(counts, (low, high))
    return VolumeValues(counts, None)
