"""Writer of the surface of the solid as an STL file, by marching cubes slab by slab."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from membrane_dask.io.exported_items import GridItem

#: Voxels of a slab; marching cubes needs up to 150 bytes for each.
_SLAB_VOXELS = 1 << 20
#: A triangle: its normal, its three corners, and two bytes that have no meaning.
_TRIANGLE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
_MAX_TRIANGLES = 2**32 - 1


def write_stl(item: GridItem, path: Path) -> None:
    """Write the surface of the solid as binary STL, ``x, y, z`` in nanometres.

    The surface is closed: the solid ends at the faces of the volume. It lies half-way between voxels of pores and of
    solid, its normals point out of the solid, and slabs meet without gaps.

    Raises
    ------
    ValueError
        If the item has no pores and solid, or its surface more triangles than a file can have.
    """
    if item.is_vector or item.dtype != np.uint8:
        raise ValueError(f"STL needs a volume of pores and solid (got {item.name}); write .vti")
    count = 0
    with path.open("wb") as stream:
        header = f"membrane-dask: surface of the solid, lengths in nm, voxel {item.spacing_nm[::-1]} nm"
        stream.write(header.encode("ascii", "replace")[:80].ljust(80) + bytes(4))
        below = np.zeros((1, item.shape[1] + 2, item.shape[2] + 2), np.uint8)
        for first, solid in _thin_slabs(item):
            padded = np.pad(solid, ((0, 0), (1, 1), (1, 1)))
            is_last = first + len(solid) == item.shape[0]
            slab = np.concatenate([below, padded] + ([np.zeros_like(below)] if is_last else []))
            triangles = _triangles(slab, first - 1, item.spacing_nm)
            count += len(triangles)
            stream.write(triangles.data)
            below = padded[-1:]
        if count > _MAX_TRIANGLES:
            raise ValueError(f"an STL file has at most {_MAX_TRIANGLES} triangles (got {count}); write a part, or .vti")
        stream.seek(80)
        stream.write(struct.pack("<I", count))


def _thin_slabs(item: GridItem) -> Iterator[tuple[int, np.ndarray]]:
    """First plane and solid of thin slabs, which are read several at a time."""
    planes = max(1, _SLAB_VOXELS // (item.shape[1] * item.shape[2]))
    for start, stop in item.slabs():
        solid = (item.read(start, stop) > 0).astype(np.uint8)
        for first in range(0, stop - start, planes):
            yield start + first, solid[first : first + planes]


def _triangles(solid: np.ndarray, first_plane: int, spacing: tuple[float, float, float]) -> np.ndarray:
    """Triangles of a slab with a margin of one voxel in y and x, whose first plane has this number in the volume."""
    from skimage import measure

    marching_cubes: Any = measure.marching_cubes
    if not solid.any() or solid.all():
        return np.zeros(0, _TRIANGLE)
    vertices, faces, _, _ = marching_cubes(solid, 0.5, allow_degenerate=False)
    # Vertices are multiples of half a voxel, so that those on the common planes of two slabs are equal.
    origin = np.array([first_plane + 0.5, -0.5, -0.5])
    points = ((vertices.astype(np.float64) + origin) * np.array(spacing))[:, ::-1]
    corners = points[faces]
    triangles = np.zeros(len(faces), _TRIANGLE)
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    triangles["normal"] = normal / np.sqrt(np.square(normal).sum(axis=1, keepdims=True))
    triangles["corners"] = corners
    return triangles
