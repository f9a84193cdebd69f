"""Results of the virtual bench of one volume, from the arrays of its units."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from membrane_dask.physics.elementary import cosine_of_degrees, exp, log
from membrane_dask.physics.porometry.gases import GAS_CONSTANT, Gas
from membrane_dask.physics.porometry.mercury import throat_radius
from membrane_dask.physics.porometry.water import Water
from membrane_dask.studies.characterize.bench_settings import BenchSettings
from membrane_dask.studies.characterize.sections import section_step

_NM, _BAR = 1e-9, 1e5
#: 1 m s-1 Pa-1 in L m-2 h-1 bar-1.
_PERMEANCE = 3.6e6 * _BAR
#: Fraction of the dry flow at the mean flow pore and at the smallest flow pore.
_HALF, _ALL = 0.5, 0.98
#: Factor of the gas radius: 16/3 times viscosity, mean speed and slope over intercept.
_GAS_FACTOR = 16 / 3

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class BenchResult:
    """Results of the units of the bench of one volume.

    Parameters
    ----------
    critical_square : int
        Squared lattice radius of the critical path; 0 without one.
    blocks : sequence of mapping
        Arrays of the units ``bench_drainage``.
    flow : mapping
        Arrays of the unit ``bench_flows``.
    shape : tuple of int
        Shape of the volume.
    voxel_nm : float
        Edge of a voxel, nm.
    settings : BenchSettings
    """

    critical_square: int
    blocks: Sequence[Arrays]
    flow: Arrays
    shape: tuple[int, ...]
    voxel_nm: float
    settings: BenchSettings

    def entry_radius(self, squares: np.ndarray | int) -> np.ndarray:
        """Entry radius of squared lattice radii, nm."""
        return np.asarray((np.sqrt(np.asarray(squares, float)) + self.settings.radius_offset) * self.voxel_nm)

    @property
    def depth(self) -> float:
        """Thickness of the membrane, m."""
        return self.shape[0] * self.voxel_nm * _NM

    @cached_property
    def plane_pores(self) -> np.ndarray:
        """Pore voxels of every plane of the depth, ``(z,)``."""
        pores = np.zeros(self.shape[0], np.int64)
        for block in self.blocks:
            first = int(block["first_plane"])
            pores[first : first + len(block["plane_pores"])] += block["plane_pores"]
        return pores

    @property
    def porosity(self) -> float:
        """Fraction of the voxels in pores."""
        return float(self.plane_pores.sum()) / math.prod(self.shape)

    @property
    def open_planes(self) -> tuple[int, int]:
        """Planes without solid at the inlet and at the outlet."""
        solid = np.flatnonzero(self.plane_pores < self.shape[1] * self.shape[2])
        return int(solid[0]), self.shape[0] - 1 - int(solid[-1])

    @property
    def permeability(self) -> float:
        """Of all pores, m2, by the flow that gives the wet curve."""
        name = "stokes_permeability" if self.settings.flow == "stokes" else "permeability"
        return float(self.flow[name]) * _NM * _NM

    def levels(self) -> np.ndarray:
        """Squared lattice radii at which a curve has a step, falling."""
        names = [name for block in self.blocks for name in block if name.endswith("_squares")]
        values = [block[name] for block in self.blocks for name in dict.fromkeys(names) if name in block]
        return np.unique(np.concatenate([*values, self.flow["level_squares"]]).astype(np.int64))[::-1]

    def counts(self, name: str, levels: np.ndarray) -> np.ndarray:
        """Fraction of the pore voxels whose squared radius ``name`` is at least each of some levels, falling."""
        totals = np.zeros(len(levels), np.int64)
        for block in self.blocks:
            squares, counts = block[f"{name}_squares"], block[f"{name}_counts"]
            from_largest = np.concatenate([[0], np.cumsum(counts[::-1])])
            totals += from_largest[np.searchsorted(-squares[::-1], -levels, side="right")]
        return np.asarray(totals / max(int(self.plane_pores.sum()), 1))

    def wet_fractions(self, levels: np.ndarray) -> np.ndarray:
        """Wet flow over dry flow at levels: that of the next wider step; NaN where nothing flows."""
        if not self.permeability > 0:
            return np.full(len(levels), math.nan)
        steps = self.flow["level_squares"].astype(np.int64)
        values = np.concatenate([[0.0], self.flow["level_permeability"] * _NM * _NM / self.permeability])
        return np.asarray(values[np.searchsorted(-steps, -levels, side="right")])

    def radius_at_fraction(self, fraction: float) -> float:
        """Largest entry radius at which the wet flow is at least a fraction of the dry one, nm; NaN without flow."""
        steps = self.flow["level_squares"].astype(np.int64)
        reached = np.flatnonzero(self.wet_fractions(steps) >= fraction)
        return float(self.entry_radius(int(steps[reached[0]]))) if len(reached) else math.nan

    def scalars(self) -> dict[str, float]:
        """Variables of the table ``bench``."""
        settings, flow = self.settings, self.flow
        law = settings.capillary_law
        percolates = self.critical_square > 0
        bubble = float(self.entry_radius(self.critical_square)) if percolates else math.nan
        mean = self.radius_at_fraction(_HALF)
        median, mercury_porosity = self._mercury()
        slope, intercept, gas_radius = self._gas()
        number_median, log_sd, flow_median = self._throats()
        viscosity = Water.at(settings.temperature).viscosity
        entry = math.nan
        if settings.entry.contact_angle is not None:
            tension = Water.at(settings.temperature).surface_tension
            entry = -2 * tension * float(cosine_of_degrees(settings.entry.contact_angle)) / (bubble * _NM) / _BAR
        return {
            "bubble_point_radius": bubble,
            "bubble_point_pressure": law.constant / (bubble * _NM) / _BAR,
            "critical_pore_radius": (math.sqrt(self.critical_square) - 0.5) * self.voxel_nm if percolates else 0.0,
            "mean_flow_pore_radius": mean,
            "mean_flow_pore_pressure": law.constant / (mean * _NM) / _BAR,
            "smallest_flow_pore_radius": self.radius_at_fraction(_ALL),
            "mercury_median_radius": median,
            "mercury_porosity": mercury_porosity,
            "water_permeance": self.permeability / (viscosity * self.depth) * _PERMEANCE,
            "gas_radius": gas_radius,
            "gas_slope": slope,
            "gas_intercept": intercept,
            "rejection_radius_90": float(flow["rejection_radius_90"]),
            "liquid_entry_pressure": entry,
            "permeability": self.permeability,
            "network_permeability_ratio": (
                float(flow["permeability"] / flow["stokes_permeability"]) if self.permeability > 0 else math.nan
            ),
            "throat_number_median_radius": number_median,
            "throat_log_sd": log_sd,
            "throat_flow_median_radius": flow_median,
            "fallback_flow_fraction": float(flow["fallback_flow_fraction"]),
            "slit_flow_fraction": float(flow["slit_flow_fraction"]),
        }

    def gas_permeance(self) -> np.ndarray:
        """Molar permeance of the gas at its mean pressures, mol m-2 s-1 Pa-1."""
        settings = self.settings
        viscosity = float(Gas.named(settings.gas.name).viscosity(settings.temperature))
        pressures = np.array(settings.gas.mean_pressures)
        factor = pressures / (viscosity * self.depth * GAS_CONSTANT * settings.temperature)
        return np.asarray(self.flow["gas_permeability"] * _NM * _NM * factor)

    def _gas(self) -> tuple[float, float, float]:
        """Slope and intercept of the permeance of gas against the mean pressure, and the radius that follows."""
        if not self.permeability > 0:
            return math.nan, math.nan, math.nan
        pressures, permeance = np.array(self.settings.gas.mean_pressures), self.gas_permeance()
        centred = pressures - pressures.mean()
        slope = float((centred * permeance).sum() / np.square(centred).sum())
        intercept = float(permeance.mean() - slope * pressures.mean())
        gas, temperature = Gas.named(self.settings.gas.name), self.settings.temperature
        speed = float(gas.viscosity(temperature)) * float(gas.mean_speed(temperature))
        return slope, intercept, _GAS_FACTOR * speed * slope / intercept / _NM

    def _mercury(self) -> tuple[float, float]:
        """Radius at half of the intruded volume, nm, and the porosity that the volume gives."""
        levels = self.levels()
        filled = self.counts(f"filled_{self.settings.mercury.faces}", levels)
        if not filled.max(initial=0.0):
            return math.nan, 0.0
        volume = float(filled[-1]) * self.porosity / (1 - self.porosity)  # times the density of the solid
        half = filled[-1] / 2
        radius = self.entry_radius(levels)
        above = int(np.flatnonzero(filled >= half)[0])
        if above == 0:
            return float(radius[0]), volume / (1 + volume)
        step = (half - filled[above - 1]) / (filled[above] - filled[above - 1])
        low, high = log(radius[above]), log(radius[above - 1])
        return float(exp(high + step * (low - high))), volume / (1 + volume)

    def _throats(self) -> tuple[float, float, float]:
        """Median entry radius of the throats with flow, nm, log-sd of these radii, and their median by flow."""
        weights = self.flow["throat_flow"]
        inner = weights > 0
        if not inner.any():
            return math.nan, math.nan, math.nan
        radius, weights = self.entry_radius(self.flow["throat_squares"][inner]), weights[inner]
        order = np.argsort(radius, kind="stable")
        cumulative = np.cumsum(weights[order])
        flow_median = radius[order][np.searchsorted(cumulative, cumulative[-1] / 2)]
        return float(np.median(radius)), float(np.std(log(radius))), float(flow_median)

    def section(self) -> np.ndarray:
        """Entry radius at which voxels of the middle section are emptied, nm, ``(z, x)``; 0 where they never are."""
        step = section_step(self.shape)
        squares = np.zeros([-(-self.shape[axis] // step) for axis in (0, 2)], np.int32)
        for block in self.blocks:
            if "section" in block:
                z, x = block["corner"]
                height, width = block["section"].shape
                squares[z : z + height, x : x + width] = block["section"]
        return np.where(squares > 0, self.entry_radius(squares), 0.0).astype(np.float32)


def mercury_pressure(radius: np.ndarray) -> np.ndarray:
    """Absolute pressure at which mercury enters a radius in m, Pa."""
    return np.asarray(throat_radius(1.0) / radius)
