"""Sections and surfaces of volumes of any size: the level of the pyramid is that which a screen can show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

#: Most pixels of a section along an edge; finer levels are read where less of it is in view.
SECTION_PIXELS = 600
#: Most voxels of a surface along an edge, and all together.
_SURFACE_EDGE, _SURFACE_VOXELS = 128, 1_200_000
AXES = ("z", "y", "x")
#: Direction to the light along ``z, y, x``: from above, from the side of the viewer.
_TO_LIGHT = np.array([-0.7, 0.45, 0.55])


class Pyramid:
    """All levels of a volume.

    Parameters
    ----------
    levels : sequence of xarray.DataArray
        The volume along ``z, y, x`` and its coarser levels, in their order, as of :meth:`Run.volume`.
    """

    def __init__(self, levels: Sequence[Any]) -> None:
        self.levels = list(levels)

    @property
    def extent(self) -> dict[str, float]:
        """Edges of the volume along each axis, in the unit of its coordinates."""
        return {axis: float(self.levels[0].sizes[axis] * _spacing(self.levels[0], axis)) for axis in AXES}

    @property
    def unit(self) -> str:
        """Unit of its coordinates."""
        return str(self.levels[0].coords["x"].attrs.get("units", ""))

    def section(
        self, axis: str, position: float, view: Sequence[tuple[float, float]] | None = None
    ) -> tuple[np.ndarray, tuple[tuple[float, float], tuple[float, float]]]:
        """Read a section, or the part of it that is in view, at the finest level of few enough pixels.

        Parameters
        ----------
        axis : str
            Axis that is normal to the section.
        position : float
            Position along it, in the unit of the coordinates; the nearest plane of voxels is read.
        view : sequence of (float, float), optional
            Ranges along the two other axes, in their order in ``z, y, x``.

        Returns
        -------
        values : (rows, columns) ndarray
        ranges : tuple of (float, float)
            What the rows and the columns cover.
        """
        rows, columns = (other for other in AXES if other != axis)
        whole = ((0.0, self.extent[rows]), (0.0, self.extent[columns]))
        requested = whole if view is None else view
        for level in self.levels:
            steps = {other: _spacing(level, other) for other in (rows, columns)}
            windows, ranges = {}, []
            for other, (low, high) in zip((rows, columns), requested, strict=True):
                first = int(np.clip(np.floor(min(low, high) / steps[other]), 0, level.sizes[other] - 1))
                last = int(np.clip(np.ceil(max(low, high) / steps[other]), first + 1, level.sizes[other]))
                windows[other] = slice(first, last)
                ranges.append((first * steps[other], last * steps[other]))
            if level is self.levels[-1] or all(w.stop - w.start <= SECTION_PIXELS for w in windows.values()):
                break
        plane = int(np.clip(position / _spacing(level, axis), 0, level.sizes[axis] - 1))
        values = level.isel({axis: plane, **windows}).values
        return np.asarray(values), (ranges[0], ranges[1])

    def coarse(self) -> tuple[np.ndarray, tuple[float, float, float]]:
        """The finest level that is small enough for a surface, and its voxel size along ``z, y, x``."""
        for level in self.levels:
            if max(level.shape) <= _SURFACE_EDGE or level.size <= _SURFACE_VOXELS:
                break
        spacing = tuple(_spacing(level, axis) for axis in AXES)
        return np.asarray(level.values), (spacing[0], spacing[1], spacing[2])


def _spacing(level: Any, axis: str) -> float:
    """Voxel size along an axis, in the unit of the coordinates."""
    positions = level.coords[axis].values
    return float(positions[1] - positions[0]) if len(positions) > 1 else float(level.attrs["voxel_size_nm"])


def solid_surface(solid: np.ndarray, spacing: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Triangles of the surface of the solid, closed at the faces of the volume.

    Parameters
    ----------
    solid : (nz, ny, nx) ndarray of bool
    spacing : (float, float, float)
        Voxel size along each axis.

    Returns
    -------
    vertices : (n, 3) ndarray
        Positions along ``z, y, x``, in the unit of ``spacing``.
    faces : (m, 3) ndarray of int
        Vertices of every triangle.
    brightness : (n,) ndarray
        Cosine of the angle between the outer normal of the surface and the direction to the light, 0 to 1.
    """
    from scipy import ndimage
    from skimage.measure import marching_cubes

    if not solid.any():
        return np.zeros((0, 3)), np.zeros((0, 3), int), np.zeros(0)
    padded = np.pad(solid, 2).astype(np.float32)
    extract: Any = marching_cubes
    vertices, faces, _, _ = extract(padded, 0.5)
    gradient = np.gradient(ndimage.gaussian_filter(padded, 1.0), *spacing)
    outwards = -np.stack([ndimage.map_coordinates(along, vertices.T, order=1) for along in gradient], axis=1)
    lengths = np.maximum(np.linalg.norm(outwards, axis=1), 1e-12)
    brightness = np.clip(outwards @ _TO_LIGHT / lengths, 0.0, 1.0)
    return (vertices - 1.5) * np.asarray(spacing), np.asarray(faces), brightness
