"""Life of a filter in its voxels: the reference for lives of pore networks.

A life is a sequence of states. In each, the Stokes flow and the steady convection and diffusion of the foulant are
solved in the open pores, and the deposit on every voxel of the clean walls grows in proportion to the concentration
next to it. A pore voxel is open while its centre lies outside the deposit. Between two states walls move by less than
a voxel: the resistance of a voxel next to a wall is that of a wall at the surface of the deposit. Without it the walls
of a whole layer of voxels move at once, and a narrow structure closes too early.

Time is the thickness of the deposit that a wall at the concentration of the feed has formed. The duration of a step is
the increase of the volume of the deposit over the foulant that the flow loses per time, so that foulant is conserved.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from scipy import ndimage

from membrane_dask.physics.imaging.surface_area import line_weights
from membrane_dask.physics.percolation import percolating
from membrane_dask.physics.stokes.mac_grid import CLOSED, Grid
from membrane_dask.physics.stokes.solver import stokes
from membrane_dask.physics.transport.aggregation import Groups, coarse_correction
from membrane_dask.physics.transport.retention import _converged, _rescale, _sweep, _transfer_rates
from membrane_dask.physics.voxel_spacing import CUBE

#: Relative tolerance of the permeability, and of the concentration in the filtrate.
_FLOW_TOLERANCE, _TRANSPORT_TOLERANCE = 0.01, 1e-4
#: Distances of a wall from the centre of a voxel next to it, in voxels; without deposit it is one half.
_MIN_WALL, _MAX_WALL = 0.05, 1.0
#: Sweeps over the voxels in an iteration, and largest number of these.
_SWEEPS, _MAX_ITERATIONS = 2, 300
#: Kind of a line along an offset, as :func:`line_weights` orders them.
_LINE_KINDS = {(1, 0, 0): 0, (0, 1, 0): 1, (0, 0, 1): 2, (1, 1, 0): 3, (1, 0, 1): 4, (0, 1, 1): 5, (1, 1, 1): 6}


def wall_area(pores: np.ndarray) -> float:
    """Area of the walls within a volume by Crofton's formula, voxels squared."""
    weights = line_weights(CUBE)
    open_to, solid = np.pad(pores, 1), np.pad(~pores, 1)
    area = 0.0
    for offset in product((-1, 0, 1), repeat=3):
        if any(offset):
            shifted = tuple(slice(1 + step, 1 + step + n) for step, n in zip(offset, pores.shape, strict=True))
            faces = np.count_nonzero(open_to[1:-1, 1:-1, 1:-1] & solid[shifted])
            area += 2 * faces * weights[_LINE_KINDS[tuple(abs(step) for step in offset)]]
    return float(area)


def wall_sides(grid: Grid) -> Iterator[tuple[int, np.ndarray]]:
    """Each side of a voxel, and the pore voxels that have a wall there."""
    for side in range(6):
        axis, high = divmod(side, 2)
        position = grid.coordinates[:, axis] + 2 * high - 1
        is_wall = (grid.neighbours[: grid.n, side] == grid.m) & (position >= 0) & (position < grid.shape[axis])
        yield side, np.flatnonzero(is_wall)


def wall_faces(grid: Grid) -> np.ndarray:
    """Number of the walls next to every pore voxel, ``(n,)``."""
    faces = np.zeros(grid.n)
    for _, voxels in wall_sides(grid):
        faces[voxels] += 1
    return faces


def with_walls_at(grid: Grid, distance: np.ndarray) -> Grid:
    """The grid with walls at a distance, ``(n,)``, from the centres of the voxels next to them.

    The friction between a velocity and a wall is inversely proportional to their distance.
    """
    resistance = grid.resistance.copy()
    excess = (0.5 / np.clip(distance, _MIN_WALL, _MAX_WALL) - 1).astype(np.float32)
    for side, voxels in wall_sides(grid):
        for axis in {0, 1, 2} - {side // 2}:
            for face in (voxels, grid.neighbours[voxels, 2 * axis + 1]):
                at_end = (axis == 0) & ((face < grid.inlets) | (face >= grid.n))  # half a control volume
                is_open = resistance[face, axis] < CLOSED
                np.add.at(resistance[:, axis], face, np.where(is_open, excess[voxels] * np.where(at_end, 0.5, 1.0), 0))
    return replace(grid, resistance=resistance)


@dataclass(frozen=True)
class Concentration:
    """Steady concentration of a foulant, over that of the feed.

    Parameters
    ----------
    pores : (n,) ndarray
        In every pore voxel.
    uptake : (n,) ndarray
        Foulant that the walls of every pore voxel take up per time.
    filtrate : float
        In the filtrate.
    """

    pores: np.ndarray
    uptake: np.ndarray
    filtrate: float


def concentration(grid: Grid, velocity: np.ndarray, diffusivity: float, wall_rate: float) -> Concentration:
    """Solve for the concentration between a well-mixed feed and the filtrate.

    The finite volumes are those of :func:`membrane_dask.physics.transport.retention.passage`, with a wall that takes
    up foulant at the rate ``wall_rate`` per face, in series with the diffusion across half a voxel.
    """
    neighbours, rates, outflow, loss, source, discharge, deposition = _transfer_rates(
        grid.neighbours, velocity, np.arange(grid.n), grid.n, np.array(grid.shape), grid.coordinates,
        np.full(3, diffusivity), True,
    )  # fmt: skip
    uptake = wall_faces(grid) / (1 / wall_rate + 1 / (2 * diffusivity))
    loss, outflow = loss - deposition + uptake, outflow - deposition + uptake
    groups, plane = Groups.of(neighbours, grid.coordinates), grid.coordinates[:, 0].astype(np.int64)
    first = np.searchsorted(plane, np.arange(grid.shape[0] + 1))
    values, scale = np.ones(grid.n), np.zeros(grid.shape[0])
    log_discharge, changes = [0.0], [math.inf]
    while not _converged(changes, _TRANSPORT_TOLERANCE):
        if len(changes) > _MAX_ITERATIONS:
            raise RuntimeError(f"the concentration does not converge (last change {changes[-1]:.1e})")
        for _ in range(_SWEEPS):
            _sweep(neighbours, rates, outflow, source, first, scale, values)
        _rescale(first, scale, values)
        values *= coarse_correction(groups, neighbours, rates, loss, source, plane, scale, values)
        log_discharge.append(math.log((discharge * values).sum()) + scale[-1])
        changes.append(abs(log_discharge[-1] - log_discharge[-2]))
    values *= np.exp(scale)[plane]
    return Concentration(values, uptake * values, math.exp(log_discharge[-1]) / float(grid.fluxes(velocity)[0]))


@dataclass(frozen=True)
class VoxelStates:
    """States of a life.

    Parameters
    ----------
    time : (n,) ndarray
        In voxels of deposit at the concentration of the feed.
    flow : (n,) ndarray
        At the first pressure, over that of the clean structure.
    concentration : (n,) ndarray
        Of the filtrate; NaN without flow.
    deposit : (n, n_bins) ndarray
        Volume of the deposit in each bin of the depth, voxels.
    """

    time: np.ndarray
    flow: np.ndarray
    concentration: np.ndarray
    deposit: np.ndarray


class VoxelFilter:
    """A volume as a filter, whose pores fill from their walls.

    Parameters
    ----------
    pores : (z, y, x) ndarray of bool
        Pore voxels of the clean structure.
    """

    def __init__(self, pores: np.ndarray) -> None:
        distance, nearest = ndimage.distance_transform_edt(pores, return_indices=True)
        self.pores = percolating(pores)
        self.distance = distance.ravel()
        self.nearest = np.ravel_multi_index(tuple(nearest), pores.shape).ravel()
        self.grid = Grid.of_percolating(self.pores)
        self.velocity = stokes(self.grid, _FLOW_TOLERANCE).velocity
        self.area, self.volume = wall_area(self.pores), float(self.pores.sum())
        self.flow = float(self.grid.fluxes(self.velocity)[0])

    @property
    def hydraulic_radius(self) -> float:
        """Twice the volume of the percolating pores over their wall area, voxels."""
        return 2 * self.volume / self.area

    def wall_rate(self, number: float) -> float:
        """Wall rate of a Damkoehler number, wall rate times wall area over flow."""
        return number * self.flow / self.area

    def peclet_number(self, diffusivity: float) -> float:
        """Mean pore velocity times hydraulic radius over the diffusivity."""
        return self.flow * self.pores.shape[0] / self.volume * self.hydraulic_radius / diffusivity

    def clean_concentration(self, number: float, diffusive_damkohler: float) -> float:
        """Concentration of the first filtrate."""
        rate = self.wall_rate(number)
        rate_of_face = rate * self.area / wall_faces(self.grid).sum()
        diffusivity = rate * self.hydraulic_radius / diffusive_damkohler
        return concentration(self.grid, self.velocity, diffusivity, rate_of_face).filtrate

    def damkohler_number(self, capture: float, diffusive_damkohler: float) -> float:
        """Damkoehler number at which the clean structure retains a fraction of the foulant (by bisection)."""
        low, high = math.log(1e-3), math.log(1e2)
        while high - low > 0.01:
            middle = 0.5 * (low + high)
            retained = 1 - self.clean_concentration(math.exp(middle), diffusive_damkohler)
            low, high = (middle, high) if retained < capture else (low, middle)
        return math.exp(0.5 * (low + high))

    def life(
        self, number: float, diffusive_damkohler: float, *, constant_flux: bool = False, end: float = 0.1,
        step: float = 0.02, bins: int = 4,
    ) -> VoxelStates:  # fmt: skip
        """Follow the filter until its flow at the first pressure has fallen to a fraction.

        Parameters
        ----------
        number, diffusive_damkohler : float
            Wall rate times wall area over the clean flow, and wall rate times hydraulic radius over the diffusivity.
        constant_flux : bool
            Whether the pressure keeps the flow constant, or is constant itself.
        end : float
            Last flow at the first pressure, over the clean one.
        step : float
            Volume of the deposit of a step, over that of the clean pores.
        bins : int
            Bins of the depth.
        """
        rate = self.wall_rate(number)
        diffusivity = rate * self.hydraulic_radius / diffusive_damkohler
        thickness = np.zeros(self.distance.size)  # of the deposit on every voxel of the walls
        pores, grid, velocity, volume = self.pores, self.grid, self.velocity, 0.0
        flows, filtrate, volumes, uptakes = [], [], [], []
        while True:
            flow = float(grid.fluxes(velocity)[0]) / self.flow
            faces = wall_faces(grid)
            speed = velocity / flow if constant_flux else velocity
            state = concentration(grid, speed, diffusivity, rate * wall_area(pores) / faces.sum())
            uptake = state.uptake / rate
            flows.append(flow)
            filtrate.append(state.filtrate)
            volumes.append(volume)
            uptakes.append(np.bincount(grid.coordinates[:, 0] * bins // grid.shape[0], uptake, bins))
            if flow <= end:
                break
            thickness += self._growth(faces, uptake, pores, thickness, step)
            pores = percolating(self._is_open(thickness))
            if not pores.any():
                flows.append(0.0)
                filtrate.append(math.nan)
                volumes.append(volume + step * self.volume)
                uptakes.append(uptakes[-1])
                break
            grid, volume = self._grid_under(thickness, pores)
            velocity = stokes(grid, _FLOW_TOLERANCE).velocity
        mean = 0.5 * (np.array(uptakes)[1:] + np.array(uptakes)[:-1])
        duration = np.diff(volumes) / mean.sum(axis=1)
        time, deposit = np.cumsum(duration), np.cumsum(duration[:, None] * mean, axis=0)
        return VoxelStates(
            np.append(0.0, time), np.array(flows), np.array(filtrate), np.concatenate([np.zeros((1, bins)), deposit])
        )

    def _is_open(self, thickness: np.ndarray) -> np.ndarray:
        """Voxels whose centre lies outside the deposit."""
        outside = self.distance - 0.5 - thickness[self.nearest] > 0
        return np.asarray(self.pores & outside.reshape(self.pores.shape))

    def _grid_under(self, thickness: np.ndarray, pores: np.ndarray) -> tuple[Grid, float]:
        """Grid of the open pores, and the volume of the deposit."""
        grid, voxels = Grid.of_percolating(pores), np.flatnonzero(pores)
        wall = np.clip(self.distance[voxels] - 0.5 - thickness[self.nearest[voxels]], 0, _MAX_WALL)
        faces = wall_faces(grid)
        closed = np.count_nonzero(self.pores & ~self._is_open(thickness))
        partial = (faces * (0.5 - wall)).sum() * wall_area(pores) / faces.sum()
        return with_walls_at(grid, wall), closed + float(partial)

    def _growth(
        self, faces: np.ndarray, uptake: np.ndarray, pores: np.ndarray, thickness: np.ndarray, step: float
    ) -> np.ndarray:
        """Growth of the deposit on every voxel of the walls in a step.

        The deposit of a wall voxel grows with the mean uptake of the faces that are nearest to it, or of the nearest
        wall voxel that has such faces.
        """
        size, voxels = thickness.size, np.flatnonzero(pores)
        nearest, next_to_wall = self.nearest[voxels], faces > 0
        count = np.bincount(nearest[next_to_wall], faces[next_to_wall], size)
        total = np.bincount(nearest[next_to_wall], uptake[next_to_wall], size)
        growing = count > 0
        rate = np.divide(total, count, out=np.zeros(size), where=growing)
        index = ndimage.distance_transform_edt(
            ~growing.reshape(pores.shape), return_distances=False, return_indices=True
        )
        rate = rate[np.ravel_multi_index(tuple(index), pores.shape).ravel()]
        # The duration fills the volume of the step, if every layer of a voxel's thickness fills evenly.
        layer, growth = 1 + thickness[nearest] - self.distance[voxels], rate[nearest]
        low, high = 0.0, 4 / growth.max()
        for _ in range(30):
            middle = 0.5 * (low + high)
            gained = (np.clip(layer + growth * middle, 0, 1) - np.clip(layer, 0, 1)).sum()
            low, high = (middle, high) if gained < step * self.volume else (low, middle)
        return rate * high
