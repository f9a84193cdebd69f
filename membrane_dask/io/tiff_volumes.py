"""Volumes in TIFF files: one page for each plane, or all planes in one page, with what their tags say of the voxels."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from membrane_dask.io.image_colours import (
    ORIENTATION,
    PALETTE_OF_LABELS,
    check_lookup_table,
    check_orientation,
    grey_channel,
    palette_greys,
    palette_of,
    refuse_print_colours,
)
from membrane_dask.io.image_metadata import (
    ImageMetadata,
    differs,
    find_text_file,
    image_metadata,
    read_text_file,
    tiff_aspect,
    tiff_plane_distance,
    tiff_plane_ratio,
    tiff_statements,
)
from membrane_dask.io.imagej_images import check_imagej_images
from membrane_dask.io.raster_files import (
    MAX_DECODED,
    inverted,
    is_boolean_array,
    is_lossy,
    open_tiff,
    read_page,
    read_series,
    white_is_zero,
    whole_images,
)
from membrane_dask.io.volume_file import ReadOptions, VolumeError, VolumeFile, VoxelEdges
from membrane_dask.io.volume_views import as_indices, stacked

#: Axes of tifffile along which planes follow one another: depth, a sequence of images, unknown.
_DEPTH_AXES = "ZIQ"
#: What other axes of tifffile are.
_AXES = {"T": "a time series", "C": "an image of several channels", "R": "a series of exposures"}
#: Channels that ImageJ shows together; tifffile calls planes channels where nothing else is said.
_MAX_CHANNELS = 7


@dataclass(frozen=True)
class TiffPages:
    """A TIFF file with one page for each plane.

    Parameters
    ----------
    path : str
        The file.
    pages : tuple of int
        Number of the page of each plane.
    plane : tuple of int
        Rows and columns of a plane; rows below, such as a databar, are left out.
    dtype : dtype
        Type of the grey values.
    labels : bool
        Whether values are labels, which the colours of a palette do not replace.
    """

    path: str
    pages: tuple[int, ...]
    plane: tuple[int, int]
    dtype: Any
    labels: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along ``z, y, x``."""
        return (len(self.pages), *self.plane)

    def __getitem__(self, where: Any) -> np.ndarray:
        planes, *inside = as_indices(where, 3)
        selected = self.pages[planes]
        with open_tiff(Path(self.path)) as file:
            if isinstance(selected, int):
                return self._read(file.pages[selected])[tuple(inside)]
            images = (self._read(file.pages[number]) for number in selected)
            return stacked(images, len(selected), inside, self.plane, self.dtype)

    def require_complete(self) -> None:
        """Refuse pages of other sizes or types, by their headers.

        Raises
        ------
        VolumeError
            With the number of the first.
        """
        with open_tiff(Path(self.path)) as file:
            for number in self.pages:
                page = file.pages[number]
                rows, columns = page.imagelength, page.imagewidth
                self._require_equal(number, (rows, columns), _grey_dtype(page, self.labels))

    def _require_equal(self, number: Any, shape: tuple[int, ...], dtype: Any) -> None:
        if shape[0] < self.plane[0] or shape[1] != self.plane[1] or dtype != self.dtype:
            size, expected = (" x ".join(map(str, each)) for each in (shape, self.plane))
            raise VolumeError(
                f"image {number} of {Path(self.path).name} has {size} pixels of type {dtype}, the first {expected} of "
                f"type {self.dtype}: save the planes of the volume alone"
            )

    def _read(self, page: Any) -> np.ndarray:
        values = _grey_page(page, Path(self.path).name, self.labels)
        self._require_equal(page.index, values.shape, values.dtype)
        return values[: self.plane[0]]


@dataclass(frozen=True)
class _Inverted:
    """An array of the values of a page whose photometric interpretation is 0, with black as zero."""

    array: Any
    page: Any

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.array.shape)

    @property
    def dtype(self) -> Any:
        return self.array.dtype

    def __getitem__(self, where: Any) -> np.ndarray:
        return inverted(np.asarray(self.array[where]), self.page)


def open_tiff_volume(path: Path, options: ReadOptions) -> VolumeFile:
    """Open a TIFF file of several planes.

    Raises
    ------
    VolumeError
        If it holds one image, images of several sizes, times or channels, or pixels that are no grey values.
    ValueError
        If an ImageJ description states another number of images than it holds.
    """
    with open_tiff(path) as file:
        check_imagej_images(file)
        series, pages = _only_series(file, path.name)
        page = series.keyframe
        check_orientation(page.tags.valueof(ORIENTATION, 1))
        if not options.labels:
            check_lookup_table(file)
        refuse_print_colours(page)
        axes, shape = str(series.axes), tuple(int(n) for n in series.shape)
        n_planes = len(pages) if len(pages) > len(series.pages) else _count_planes(axes, shape, path.name)
        rows, columns = (shape[axes.index(axis)] for axis in "YX")
        metadata = _metadata(file, path)
        edges = _edges(file, metadata)
        n_rows = rows - metadata.databar
        remarks = [("file", _description(series, n_planes, rows, columns)), *_remarks(page, options, metadata)]
        if len(pages) == n_planes:
            numbers = []
            for number, plane in enumerate(pages):
                if plane is None or plane.parent is not file:
                    where = "is missing" if plane is None else "is in another file: save all in one"
                    raise VolumeError(f"plane {number} of {path.name} {where}")
                numbers.append(plane.index)
            dtype = _grey_dtype(page, options.labels)
            array: Any = TiffPages(str(path), tuple(numbers), (n_rows, columns), dtype, options.labels)
            return VolumeFile(array, edges, tuple(remarks))
        array = _whole_series(file, series, path, options.labels)
    return VolumeFile(array[:, :n_rows] if metadata.databar else array, edges, tuple(remarks))


def _only_series(file: Any, name: str) -> tuple[Any, list[Any]]:
    """The only series of images of a file, apart from smaller copies of it, and its pages.

    Images that were written one by one are a series each to tifffile.
    """
    all_series = whole_images(file)
    if len(all_series) == 1:
        return all_series[0], list(all_series[0].pages)
    if len({series.keyframe.hash for series in all_series}) == 1 and all(len(s.pages) == 1 for s in all_series):
        return all_series[0], [series.pages[0] for series in all_series]
    kinds = Counter[str]()
    examples: dict[str, Any] = {}
    for series in all_series:
        kind = f"{series.keyframe.imagelength} x {series.keyframe.imagewidth} {series.dtype}"
        kinds[kind] += len(series.pages)
        examples.setdefault(kind, series.keyframe.index)
    listed = ", ".join(f"{n} of {kind} (the first is image {examples[kind]})" for kind, n in kinds.items())
    raise VolumeError(f"{name} holds {len(all_series)} series of images, {listed}; save the planes of the volume alone")


def _count_planes(axes: str, shape: tuple[int, ...], name: str) -> int:
    """Number of planes, from the axes by tifffile."""
    n_planes = 1
    for axis, n in zip(axes, shape, strict=True):
        if axis in _DEPTH_AXES or (axis == "C" and n > _MAX_CHANNELS):
            n_planes *= n
        elif axis not in "YXS" and n > 1:
            kind = _AXES.get(axis, f"a series along the axis {axis}")
            raise VolumeError(
                f"{name} is {kind}, of the shape {shape} (axes {axes}); one volume is needed: save it with its "
                "planes along z"
            )
    if n_planes < 2:
        raise VolumeError(f"{name} holds one image, of the shape {shape} (axes {axes}); a volume is needed")
    return n_planes


def _metadata(file: Any, path: Path) -> ImageMetadata:
    """Pixel size of the planes, by the file and a text file of the microscope with it."""
    page = file.pages[0]
    statements, without = tiff_statements(file)
    text_file = find_text_file(path)
    if text_file:
        statements = [*statements, *read_text_file(text_file)]
    return image_metadata(statements, (page.imagelength, page.imagewidth), without, tiff_aspect(file))


def plane_edges(
    metadata: ImageMetadata, distance: float | None, without: str, ratio: float | None = None
) -> VoxelEdges:
    """Edges of the voxels from the pixels of a plane and the distance between planes.

    Parameters
    ----------
    metadata : ImageMetadata
        Pixel size of the planes.
    distance : float or None
        Distance between planes, nm; None if it is unknown.
    without : str
        Why it is unknown.
    ratio : float, optional
        Distance between planes over the width of a pixel, where both are stated in an unknown unit.
    """
    if len(metadata.pixels) != 1:
        widths = tuple(pixel.width_nm for pixel in metadata.pixels)
        is_stated = ratio is not None or differs(metadata.aspect, 1.0, 0.01)
        return VoxelEdges(
            (distance, None, None), metadata.source, (ratio, metadata.aspect, 1.0) if is_stated else None, widths
        )
    pixel = metadata.pixels[0]
    source = (
        metadata.source if distance is not None else f"pixels of {pixel.size} nm by {metadata.source}, but {without}"
    )
    return VoxelEdges((distance, pixel.height_nm, pixel.width_nm), source)


def _edges(file: Any, metadata: ImageMetadata) -> VoxelEdges:
    distance = tiff_plane_distance(file)
    ratio = None if distance or metadata.pixels else tiff_plane_ratio(file)
    return plane_edges(metadata, distance, "no distance between planes", ratio)


def _description(series: Any, n_planes: int, rows: int, columns: int) -> str:
    kind = {"imagej": "ImageJ TIFF", "ome": "OME-TIFF"}.get(str(series.kind), "TIFF")
    compression = getattr(series.keyframe.compression, "name", str(series.keyframe.compression))
    packed = "" if compression == "NONE" else f", compression {compression}"
    return f"{kind}, {n_planes} planes of {rows} x {columns} pixels, {series.dtype}{packed}"


def _remarks(page: Any, options: ReadOptions, metadata: ImageMetadata) -> list[tuple[str, str]]:
    """How grey values are taken from the pages."""
    remarks = []
    if white_is_zero(page):
        remarks.append(("photometric", "interpretation 0, white is zero: inverted"))
    elif int(page.photometric) == 0 and is_boolean_array(page):
        remarks.append(("photometric", "interpretation 0 of an array of booleans by tifffile: true is taken as bright"))
    if palette_of(page) is not None:
        remarks.append(PALETTE_OF_LABELS if options.labels else ("palette", "grey values are its colours"))
    if "S" in page.axes:
        remarks.append(("colours", f"{page.samplesperpixel} channels, which must be equal: one is used"))
    if is_lossy(page):
        remarks.append(("compression", "JPEG changes grey values, which are spread around those of the phases"))
    if metadata.databar:
        remarks.append(("databar", f"{metadata.databar} rows below each plane by {metadata.source}: cut"))
    return remarks


def _grey_dtype(page: Any, labels: bool) -> Any:
    """Type of the grey values of a page."""
    colours = None if labels else palette_of(page)
    return page.dtype if colours is None else colours.dtype


def _grey_page(page: Any, name: str, labels: bool) -> np.ndarray:
    """Grey values ``(rows, columns)`` of a page."""
    values = read_page(page)
    axes = str(page.axes)
    if "S" in axes and values.ndim == len(axes):
        values = grey_channel(np.moveaxis(values, axes.index("S"), -1), name).require_equal(name)
    colours = None if labels else palette_of(page)
    return values if colours is None else palette_greys(values, colours, name)


def _whole_series(file: Any, series: Any, path: Path, labels: bool) -> Any:
    """A volume whose planes are in one page: mapped into memory where it is contiguous, else decoded as a whole."""
    page, axes = series.keyframe, str(series.axes)
    shape = tuple(int(n) for n in series.shape)
    colours = None if labels else palette_of(page)
    if series.dataoffset is not None and "S" not in axes and (colours is None or series.nbytes > MAX_DECODED):
        if colours is not None:
            raise VolumeError(f"{path.name} has a palette and is too large to be decoded at once: save it as grey")
        stop, size = series.dataoffset + series.nbytes, path.stat().st_size
        if stop > size:
            raise VolumeError(f"{path.name} is truncated: its values end at byte {stop:,}, the file at {size:,}")
        dtype = np.dtype(file.byteorder + series.dtype.char)
        array: Any = np.memmap(path, dtype, "r", series.dataoffset, (math.prod(shape[:-2]), *shape[-2:]))
        return _Inverted(array, page) if white_is_zero(page) else array
    values = read_series(file, series)
    if "S" in axes:
        values = np.moveaxis(values, axes.index("S"), -1)
        values = grey_channel(values, path.name).require_equal(path.name)
    if colours is not None:
        values = palette_greys(values, colours, path.name)
    return np.ascontiguousarray(values.reshape(-1, *values.shape[-2:]))
