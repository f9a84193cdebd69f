"""Three-dimensional pictures of volumes, networks and streamlines: a depth buffer that Matplotlib shows as an image.

The view is orthographic, from above the feed side, with the depth downwards. Surfaces, spheres, tubes and sections on
the rear faces of the box are drawn into one depth buffer, which is shaded by a light, by the occlusion of ambient
light, and by the depth below the faces of the box.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from scipy import ndimage

from membrane_dask.number_text import readable_unit

#: Direction of the view, degrees: around the depth, and above the horizontal.
AZIMUTH, ELEVATION = 32.0, 24.0
#: Direction to the light, in the coordinates of the picture: right, up, towards the viewer.
_LIGHT = np.array([-0.2, 0.62, 0.75])
_AMBIENT = 0.5
#: Pixels of the buffer along the longer side for each pixel of the image.
_OVERSAMPLING = 2
#: Standard deviations, in pixels of the buffer, over which occlusion is evaluated, and its strength.
_OCCLUSION = ((5.0, 0.55), (20.0, 0.55))
SOLID, CUT, WALL_SOLID, WALL_PORE = "#cfc4b0", "#f1ebdf", "#d4d4d4", "#f7f7f7"


class Scene:
    """A box with objects in it, seen from a fixed direction.

    Parameters
    ----------
    extent : (float, float, float)
        Lengths of the box along ``z, y, x``, in nm; ``z`` is the depth, which points down.
    pixels : int
        Pixels of the image along its longer side.
    """

    def __init__(self, extent: Sequence[float] | np.ndarray, pixels: int = 560) -> None:
        self.extent = np.asarray(extent, float)
        a, e = np.radians([AZIMUTH, ELEVATION])
        # Rows: right, up, towards the viewer; columns: z, y, x.
        self.view = np.array(
            [
                [0.0, np.sin(a), np.cos(a)],
                [-np.cos(e), np.cos(a) * np.sin(e), -np.sin(a) * np.sin(e)],
                [-np.sin(e), -np.cos(a) * np.cos(e), np.sin(a) * np.cos(e)],
            ]
        )
        corners = np.array(list(itertools.product(*((0.0, n) for n in self.extent))))
        projected = corners @ self.view.T
        self._low, high = projected[:, :2].min(axis=0), projected[:, :2].max(axis=0)
        self.size = float((high - self._low).max())
        self.scale = pixels * _OVERSAMPLING / self.size
        width, height = (int(n) for n in np.ceil((high - self._low) * self.scale / _OVERSAMPLING) * _OVERSAMPLING)
        self.depth = np.full((height, width), -np.inf, np.float32)
        self.normal = np.zeros((height, width, 3), np.float32)
        self.color = np.ones((height, width, 3), np.float32)
        #: Fraction of the light that reaches a pixel through the pores.
        self.exposure = np.ones((height, width), np.float32)
        self.is_lit = np.zeros((height, width), bool)

    # -- coordinates

    def project(self, points: np.ndarray) -> np.ndarray:
        """Pixel column, pixel row from the bottom, and depth towards the viewer (nm) of points ``(n, 3)`` in nm."""
        coordinates: np.ndarray = np.asarray(points, float) @ self.view.T
        coordinates[:, :2] = (coordinates[:, :2] - self._low) * self.scale
        return coordinates

    def _rays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Points of the rays of all pixels at depth 0, ``(n, 3)``; where they enter and leave the box; entry axis."""
        height, width = self.depth.shape
        columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
        screen = np.stack([columns.ravel(), rows.ravel()], axis=1) / self.scale + self._low
        base = screen @ self.view[:2]
        with np.errstate(divide="ignore"):
            ends = (np.stack([np.zeros(3), self.extent]) - base[:, np.newaxis]) / self.view[2]
        last, first = ends.max(axis=1), ends.min(axis=1)
        return base, last.min(axis=1), first.max(axis=1), last.argmin(axis=1)

    def _write_rays(self, rays: np.ndarray, depth: np.ndarray, normal: np.ndarray, color: Any, exposure: Any) -> None:
        """Write lit pixels, by their numbers, as far as they are in front of what is there."""
        nearer = depth > self.depth.reshape(-1)[rays]
        target = rays[nearer]
        self.depth.reshape(-1)[target] = depth[nearer]
        self.normal.reshape(-1, 3)[target] = normal[nearer]
        self.color.reshape(-1, 3)[target] = color
        self.exposure.reshape(-1)[target] = exposure[nearer] if np.ndim(exposure) else exposure
        self.is_lit.reshape(-1)[target] = True

    def _write_patch(
        self, patch: tuple[slice, slice], inside: np.ndarray, depth: np.ndarray, normal: list[np.ndarray], color: Any
    ) -> None:
        """Write the pixels of a patch that are inside an object, as far as they are in front of what is there."""
        nearer = inside & (depth > self.depth[patch])
        self.depth[patch][nearer] = depth[nearer]
        self.normal[patch][nearer] = np.stack([component[nearer] for component in normal], axis=1)
        self.color[patch][nearer] = color
        self.exposure[patch][nearer] = 1.0
        self.is_lit[patch][nearer] = True

    def _patch(self, low: np.ndarray, high: np.ndarray) -> tuple[tuple[slice, slice], np.ndarray, np.ndarray]:
        """Pixels between two corners (column, row), and the positions of their centres in nm."""
        height, width = self.depth.shape
        columns = slice(max(0, int(low[0])), max(0, min(width, int(high[0]) + 2)))
        rows = slice(max(0, int(low[1])), max(0, min(height, int(high[1]) + 2)))
        x = (np.arange(columns.start, columns.stop) + 0.5) / self.scale
        y = (np.arange(rows.start, rows.stop) + 0.5)[:, np.newaxis] / self.scale
        return (rows, columns), x, y

    # -- objects

    def add_solid(self, solid: np.ndarray, *, smoothing: float = 0.7) -> None:
        """Add the surface of the solid, which fills the box.

        Parameters
        ----------
        solid : (z, y, x) ndarray
            Fraction of every cell in solid, in [0, 1].
        smoothing : float
            Standard deviation of a Gaussian filter, in cells, which rounds the steps of voxels.
        """
        field = ndimage.gaussian_filter(np.asarray(solid, np.float32), smoothing, mode="nearest")
        spacing = self.extent / field.shape
        base, enter, leave, axis = self._rays()
        step = 0.5 * spacing.min()
        active = np.flatnonzero(enter > leave)

        def sample(rays: np.ndarray, depth: np.ndarray) -> np.ndarray:
            position = (base[rays] + depth[:, np.newaxis] * self.view[2]) / spacing - 0.5
            return np.asarray(ndimage.map_coordinates(field, position.T, order=1, mode="nearest"))

        depth = enter[active] - 1e-6 * self.size
        value = sample(active, depth)
        cut = active[value >= 0.5]
        faces = np.sign(self.view[2]) * np.eye(3)
        normals = (faces @ self.view.T)[axis[cut]]
        self._write_rays(cut, enter[cut], normals, to_rgb(CUT), 1.0)
        inside = value < 0.5
        active, depth, value = active[inside], depth[inside], value[inside]
        hits, hit_depths = [], []
        while len(active):
            depth = depth - step
            following = sample(active, depth)
            hit = following >= 0.5
            back = (following[hit] - 0.5) / (following[hit] - value[hit])
            hits.append(active[hit])
            hit_depths.append(depth[hit] + step * back)
            remains = ~hit & (depth > leave[active])
            active, depth, value = active[remains], depth[remains], following[remains]
        if not hits:
            return
        rays, depths = np.concatenate(hits), np.concatenate(hit_depths)
        position = ((base[rays] + depths[:, np.newaxis] * self.view[2]) / spacing - 0.5).T
        gradient = np.empty((len(rays), 3))
        for k in range(3):
            shift = np.zeros((3, 1))
            shift[k] = 1.0
            ahead, behind = (
                ndimage.map_coordinates(field, position + sign * shift, order=1, mode="nearest") for sign in (1, -1)
            )
            gradient[:, k] = (behind - ahead) / spacing[k]
        normal = gradient / np.maximum(np.sqrt((gradient**2).sum(axis=1, keepdims=True)), 1e-30) @ self.view.T
        below = (enter[rays] - depths) / (0.22 * self.extent.min())
        exposure = 0.25 + 0.75 * np.exp(-below)
        self._write_rays(rays, depths, normal, to_rgb(SOLID), exposure)

    def add_walls(self, solid: np.ndarray) -> None:
        """Draw the sections of the solid on the rear faces of the box, where nothing is in front of them."""
        field = np.asarray(solid, np.float32)
        spacing = self.extent / field.shape
        base, enter, leave, _ = self._rays()
        rays = np.flatnonzero(enter > leave)
        depth = leave[rays]
        position = (base[rays] + depth[:, np.newaxis] * self.view[2]) / spacing - 0.5
        value = ndimage.map_coordinates(field, position.T, order=1, mode="nearest")[:, np.newaxis]
        value = np.clip(2 * value - 0.5, 0, 1)
        color = value * np.array(to_rgb(WALL_SOLID)) + (1 - value) * np.array(to_rgb(WALL_PORE))
        pixels = np.unravel_index(rays, self.depth.shape)
        empty = ~np.isfinite(self.depth[pixels])
        target = tuple(index[empty] for index in pixels)
        self.depth[target] = depth[empty]
        self.color[target] = color[empty]

    def add_spheres(self, centres: np.ndarray, radii: np.ndarray, colors: np.ndarray) -> None:
        """Add spheres: centres ``(n, 3)`` as ``z, y, x`` and radii in nm, colours ``(n, 3)``."""
        for centre, radius, color in zip(self.project(centres), radii, colors, strict=True):
            half = radius * self.scale
            patch, x, y = self._patch(centre[:2] - half, centre[:2] + half)
            x, y = (x - centre[0] / self.scale) / radius, (y - centre[1] / self.scale) / radius
            square = 1.0 - x * x - y * y
            z = np.sqrt(np.maximum(square, 0.0))
            normal = list(np.broadcast_arrays(x, y, z))
            self._write_patch(patch, square > 0, centre[2] + radius * z, normal, color)

    def add_tubes(
        self, starts: np.ndarray, ends: np.ndarray, radii: np.ndarray, colors: np.ndarray, *, overlap: float = 0.0
    ) -> None:
        """Add cylinders from ``starts`` to ``ends`` ``(n, 3)``, in nm, with colours ``(n, 3)``.

        They are longer at both ends by ``overlap`` radii, which closes the gaps of a line that bends.
        """
        pixel = np.array([self.scale, self.scale, 1.0])
        first, last = self.project(starts) / pixel, self.project(ends) / pixel
        for a, b, radius, color in zip(first, last, radii, colors, strict=True):
            length = float(np.sqrt(((b - a) ** 2).sum()))
            w = (b - a) / max(length, 1e-30)
            p = 1.0 - w[2] * w[2]
            if p < 1e-6:  # seen along its axis: the spheres at its ends hide it
                continue
            low, high = (np.minimum(a, b)[:2] - radius) * self.scale, (np.maximum(a, b)[:2] + radius) * self.scale
            patch, x, y = self._patch(low, high)
            x, y = x - a[0], y - a[1]
            # A ray x, y, t meets the cylinder where its distance from the axis is the radius.
            along = x * w[0] + y * w[1] - a[2] * w[2]
            ax, ay, az = x - along * w[0], y - along * w[1], -a[2] - along * w[2]
            q = -w[2] * (ax * w[0] + ay * w[1]) + az * p
            square = q * q - p * (ax * ax + ay * ay + az * az - radius * radius)
            t = (np.sqrt(np.maximum(square, 0.0)) - q) / p
            position = along + t * w[2]
            inside = (square > 0) & (position >= -overlap * radius) & (position <= length + overlap * radius)
            normal = [(c + t * e) / radius for c, e in ((ax, -w[2] * w[0]), (ay, -w[2] * w[1]), (az, p))]
            self._write_patch(patch, inside, t, normal, color)

    # -- the picture

    def image(self) -> np.ndarray:
        """Shaded image ``(rows, columns, 4)`` with values in [0, 1], the lowest row first; transparent outside."""
        shown = np.isfinite(self.depth)
        light = _LIGHT / np.sqrt((_LIGHT**2).sum())
        brightness = _AMBIENT + (1 - _AMBIENT) * np.clip(self.normal @ light, 0, 1)
        brightness *= self.exposure
        filled = np.where(shown, self.depth, 0.0)
        for deviation, strength in _OCCLUSION:
            weight, mean = (
                ndimage.gaussian_filter(values, deviation, truncate=2.5)
                for values in (shown.astype(np.float32), filled)
            )
            mean = mean / np.maximum(weight, 1e-6)
            behind = np.clip(mean - self.depth, 0, None) * self.scale / deviation
            brightness *= 1 - strength * (1 - np.exp(-0.35 * np.where(shown, behind, 0.0)))
        shaded = np.where(self.is_lit[..., np.newaxis], self.color * brightness[..., np.newaxis], self.color)
        rgba = np.concatenate([np.where(shown[..., np.newaxis], shaded, 1.0), shown[..., np.newaxis]], axis=2)
        height, width, n = rgba.shape[0], rgba.shape[1], _OVERSAMPLING
        # Colours are averaged with their opacity, so that edges have no white fringe.
        rgba[..., :3] *= rgba[..., 3:]
        rgba = rgba.reshape(height // n, n, width // n, n, 4).mean(axis=(1, 3))
        rgba[..., :3] /= np.maximum(rgba[..., 3:], 1e-9)
        return np.asarray(np.clip(rgba, 0, 1))

    def draw(self, axis: Axes) -> None:
        """Show the picture with the edges of the box and their lengths."""
        image = self.image()
        height, width = (n / _OVERSAMPLING for n in self.depth.shape)
        axis.imshow(image, origin="lower", extent=(0, width, 0, height), interpolation="antialiased", zorder=2)
        corners = np.array(list(itertools.product((0, 1), repeat=3)))
        points = self.project(corners * self.extent)
        points[:, :2] /= _OVERSAMPLING
        hidden = int(points[:, 2].argmin())
        for i, j in itertools.combinations(range(8), 2):
            if np.abs(corners[i] - corners[j]).sum() == 1:
                rear = hidden in (i, j)
                axis.plot(
                    *points[[i, j], :2].T, color="#9a9a9a" if rear else "#333333", lw=0.6, zorder=1 if rear else 3,
                    solid_capstyle="round",
                )  # fmt: skip
        index = {tuple(corner): number for number, corner in enumerate(corners.tolist())}
        unit, factor = readable_unit("nm", self.extent)
        for name, first, last, side in (
            ("depth", (0, 0, 0), (1, 0, 0), "right"), ("x", (1, 0, 0), (1, 0, 1), "center"),
            ("y", (1, 0, 1), (1, 1, 1), "left"),
        ):  # fmt: skip
            a, b = points[index[first], :2], points[index[last], :2]
            length = float(np.abs(np.subtract(first, last)) @ self.extent) * factor
            along = (b - a) / np.sqrt(((b - a) ** 2).sum())
            outward = np.array([along[1], -along[0]])
            if name == "depth":
                outward = np.array([-1.0, 0.0])
            x, y = (a + b) / 2 + 0.03 * max(width, height) * outward
            axis.text(
                x, y, f"{name} {length:.4g} {unit}", ha=side, va="center" if name == "depth" else "top", fontsize=8,
                rotation=90 if name == "depth" else 0,
            )  # fmt: skip
        margin = 0.02 * max(width, height)
        axis.set(xlim=(-margin, width + margin), ylim=(-margin, height + margin), aspect="equal")
        axis.axis("off")
