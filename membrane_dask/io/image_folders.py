"""Folders of images, one for each plane of a volume, in the order of the number in their names."""

from __future__ import annotations

import contextlib
import itertools
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from membrane_dask.errors import reason
from membrane_dask.io.image_metadata import find_text_file
from membrane_dask.io.micrographs import Micrograph, image_header, read_micrograph
from membrane_dask.io.tiff_volumes import plane_edges
from membrane_dask.io.volume_file import ReadOptions, VolumeError, VolumeFile
from membrane_dask.io.volume_views import as_indices, stacked

#: Endings of images that are planes of a volume, in lower case.
_ENDINGS = (".tif", ".tiff", ".png", ".bmp", ".jpg", ".jpeg")
#: Names that a message lists.
_LISTED = 3


@dataclass(frozen=True)
class ImageFolder:
    """Images of a folder as a volume.

    Parameters
    ----------
    paths : tuple of str
        Files of the planes, in their order.
    plane : tuple of int
        Rows and columns of a plane; rows below, such as a databar, are left out.
    whole : tuple of int
        Rows and columns of an image.
    dtype : dtype
        Type of the grey values.
    labels : bool
        Whether values are labels, which the colours of a palette do not replace.
    """

    paths: tuple[str, ...]
    plane: tuple[int, int]
    whole: tuple[int, int]
    dtype: Any
    labels: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along ``z, y, x``."""
        return (len(self.paths), *self.plane)

    def __getitem__(self, where: Any) -> np.ndarray:
        planes, *inside = as_indices(where, 3)
        selected = self.paths[planes]
        if isinstance(selected, str):
            return self._read(selected)[tuple(inside)]
        return stacked(map(self._read, selected), len(selected), inside, self.plane, self.dtype)

    def _read(self, path: str) -> np.ndarray:
        values = _read_plane(path, self.labels)
        self.require_equal(path, values.shape, values.dtype)
        return values[: self.plane[0]]

    def require_equal(self, path: str, shape: Sequence[int], dtype: Any) -> None:
        """Refuse an image of another size or type than the first.

        Raises
        ------
        VolumeError
            With both.
        """
        if (tuple(shape), np.dtype(dtype)) != (self.whole, np.dtype(self.dtype)):
            raise VolumeError(
                f"{Path(path).name} has {tuple(shape)} pixels of type {dtype}, the first image {self.whole} of type "
                f"{self.dtype}: if it is no plane of the volume, move it out of the folder"
            )

    def require_complete(self) -> None:
        """Refuse images of other sizes, by their headers.

        Raises
        ------
        VolumeError
            With the name of the first.
        """
        for path in self.paths:
            try:
                shape = image_header(Path(path))
            except Exception as error:  # decoders raise many types
                raise VolumeError(f"{Path(path).name} cannot be read as an image: {reason(error)}") from error
            if shape != self.whole:
                self.require_equal(path, shape, self.dtype)


@lru_cache(maxsize=2)  # the first, whose size the others must have, and the last
def _read_plane(path: str, labels: bool) -> np.ndarray:
    return _checked(path, labels).pixels


def _checked(path: str, labels: bool) -> Micrograph:
    micrograph = read_micrograph(Path(path), labels=labels)
    try:
        micrograph.require_grey()
    except ValueError as error:
        raise VolumeError(f"{Path(path).name} cannot be a plane of a volume: {reason(error)}") from error
    return micrograph


def open_image_folder(folder: Path, options: ReadOptions) -> VolumeFile:
    """Open a folder of images of one size.

    Raises
    ------
    VolumeError
        If it has no images, others than those that one number in their names orders, or gaps between the numbers.
    """
    paths, step = numbered_images(folder)
    text_file = find_text_file(paths[0])
    micrograph = read_micrograph(paths[0], text_file=text_file, labels=options.labels)
    _checked(str(paths[0]), options.labels)
    rows, columns = micrograph.pixels.shape
    metadata = micrograph.metadata
    last = read_micrograph(paths[-1], text_file=find_text_file(paths[-1]), labels=options.labels).metadata
    if not metadata.pixels:
        metadata = last
    if last.pixels and [pixel.size for pixel in last.pixels] != [pixel.size for pixel in metadata.pixels]:
        sizes = [", ".join(p.size for p in m.pixels) for m in (metadata, last)]
        raise VolumeError(
            f"{folder.name} holds images of other magnifications: {paths[0].name} states pixels of {sizes[0]} nm, "
            f"{paths[-1].name} of {sizes[1]} nm"
        )
    array = ImageFolder(
        tuple(map(str, paths)), (rows - metadata.databar, columns), (rows, columns), micrograph.pixels.dtype,
        options.labels,
    )  # fmt: skip
    description = f"{len(paths)} images of {rows} x {columns} pixels, {paths[0].name} to {paths[-1].name}"
    if step != 1:
        description += f", numbered in steps of {step}: the distance between planes is that of these images"
    remarks = [("file", description), *micrograph.remarks]
    if metadata.databar:
        remarks.append(("databar", f"{metadata.databar} rows below each image by {metadata.source}: cut"))
    edges = plane_edges(metadata, None, "single images have no distance between them")
    return VolumeFile(array, edges, tuple(remarks))


def numbered_images(folder: Path) -> tuple[list[Path], Decimal]:
    """Images of a folder in the order of the number that changes from one name to the next, and the step of it.

    Hidden files and files of other endings are ignored. The number may have any step, but no gap; names may have
    further numbers and text behind it. Nothing is guessed: an image whose name does not fit is refused.

    Raises
    ------
    VolumeError
        If there are no images, or their names leave the order open; with the names.
    """
    images = sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in _ENDINGS and not path.name.startswith(".") and not path.is_dir()
    )
    if not images:
        raise VolumeError(f"{folder.name} is a folder without TIFF images (or PNG, BMP or JPEG), and no OME-Zarr")
    if len(images) == 1:
        raise VolumeError(
            f"{folder.name} holds one image, {images[0].name}: a folder has one for each plane; if it is a stack, name "
            "the file as input"
        )
    groups: dict[tuple[str, ...], list[Path]] = {}
    for image in images:
        groups.setdefault(_text_of(image), []).append(image)
    planes = max(groups.values(), key=len)
    if len(planes) == 1:
        raise VolumeError(
            f"{folder.name} holds images whose names differ by more than a number: {_listed(images)}; number them"
        )
    strays = [image for image in images if image not in set(planes)]
    if strays:
        raise VolumeError(
            f"{folder.name} holds {_listed(strays)} in addition to {len(planes)} images named like {planes[0].name}: "
            "move what is no plane of the volume out of the folder"
        )
    numbers = [[Decimal(digits) for digits in re.findall(r"\d+", image.stem)] for image in planes]
    if not numbers[0]:
        raise VolumeError(f"{folder.name} holds images without numbers in their names: {_listed(planes)}")
    try:
        return _in_order(folder.name, planes, numbers)
    except VolumeError:
        with contextlib.suppress(VolumeError):
            return _in_order(folder.name, planes, [_decimals(image.stem) for image in planes])
        raise


def _decimals(stem: str) -> list[Decimal]:
    """Numbers of a name, of which some have decimals, such as a depth in micrometres."""
    return [Decimal(digits.replace(",", ".")) for digits in re.findall(r"\d+(?:[.,]\d+)?", stem)]


def _text_of(image: Path) -> tuple[str, ...]:
    """What a name has besides numbers, regardless of upper and lower case; with the ending."""
    return (*re.split(r"\d+", image.stem.lower()), image.suffix.lower().replace(".tiff", ".tif").replace("jpeg", "jpg"))


def _in_order(name: str, planes: list[Path], numbers: list[list[Decimal]]) -> tuple[list[Path], Decimal]:
    """Planes in the order of the only column of numbers that counts them, and the smallest step of such numbers."""
    orders: dict[tuple[int, ...], Decimal] = {}
    gaps = []
    columns = [list(column) for column in zip(*numbers, strict=True)]
    for column in columns:
        order = tuple(sorted(range(len(column)), key=column.__getitem__))
        in_order = [column[k] for k in order]
        if len(set(column)) < len(column):
            continue
        steps = Counter(after - before for before, after in itertools.pairwise(in_order))
        if len(steps) > 1:
            # The most frequent step, and of equally frequent ones the smallest, is that of the numbering.
            step = min(steps, key=lambda s: (-steps[s], s))
            gap = next((a, b) for a, b in itertools.pairwise(in_order) if b - a != step)
            gaps.append((steps[step], order, gap))
        else:
            step = next(iter(steps))
            orders[order] = min(step, orders.get(order, step))
    if len(orders) == 1:
        order, step = next(iter(orders.items()))
        return [planes[k] for k in order], step
    if orders:
        raise VolumeError(
            f"{name} holds images that several numbers in their names count in different orders, such as "
            f"{planes[0].name} and {planes[1].name}: rename them with one number"
        )
    if gaps:
        _, order, (before, after) = max(gaps, key=lambda gap: gap[0])
        raise VolumeError(f"{name} holds an image {before} and then {after}: some are missing")
    changing = [column for column in columns if len(set(column)) > 1]
    column = max(changing, key=lambda c: len(set(c)), default=columns[0] if columns else [])
    twice = next((n for n, count in Counter(column).items() if count > 1), Decimal(0))
    same = [plane for plane, n in zip(planes, column, strict=True) if n == twice]
    raise VolumeError(f"{name} holds several images of the number {twice}: {_listed(same)}")


def _listed(images: list[Path]) -> str:
    names = [image.name for image in images]
    return ", ".join(names[:_LISTED]) + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")
