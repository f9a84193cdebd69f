"""Readings of the decline of the flux at constant pressure, their checks and their errors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from membrane_dask.physics.elementary import exp, log
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.porometry.fouling_laws import permeate_flux, permeate_volume
from membrane_dask.physics.porometry.reading_checks import not_finite, refuse, row_names

#: What has a constant error: the cumulative volume (balance), its increments (flow), or the logarithm of the flux.
ErrorModel = Literal["volume", "increments", "flux"]
_FEWEST_TIMES = 6
#: Largest relative change of the pressure.
_PRESSURE_CHANGE = 0.05
#: A rise of the flux that is no noise: relative, and over the standard deviation of a difference of fluxes.
_RISE, _RISE_DEVIATIONS = 0.10, 6.0


@dataclass(frozen=True)
class DeclineReadings:
    """Permeate volume or flux of one filtration at constant pressure.

    Parameters
    ----------
    time : (n,) float array
        s, rising, >= 0; at least six above 0.
    volume : (n,) float array, optional
        Cumulative, per area, m, from 0 at time 0. Either this or the flux.
    flux : (n,) float array, optional
        m s-1, > 0.
    error : {"volume", "increments", "flux"}
        What has a constant error: the volume, its increments, or the logarithm of the flux. By default the measured
        quantity.
    clean_water_flux : tuple of float, optional
        Of the clean membrane at this pressure and temperature, and its standard error, m s-1: prior of the initial
        flux.
    pressure : (n,) float array, optional
        To be checked, Pa.
    rows : sequence of int, optional
        Rows of the table, for messages.

    Raises
    ------
    PhysicsError
        If the pressure varies by more than 5 %, the volume falls, the flux rises, or there are fewer than six times.
    """

    time: np.ndarray
    volume: np.ndarray | None = None
    flux: np.ndarray | None = None
    error: ErrorModel | None = None
    clean_water_flux: tuple[float, float] | None = None
    pressure: np.ndarray | None = None
    rows: Sequence[int] | None = None

    def __post_init__(self) -> None:
        if (self.volume is None) == (self.flux is None):
            raise PhysicsError("either the volume or the flux is needed, not both")
        if self.error is not None and (self.error == "flux") != (self.volume is None):
            quantity = "a flux" if self.volume is None else "volumes"
            raise PhysicsError(f"error: {self.error} does not describe readings of {quantity}")
        quantity, values = ("flux", self.flux) if self.flux is not None else ("volume", self.volume)
        assert values is not None
        n = len(self.time)
        names = row_names(self.rows, n)
        if len(values) != n:
            raise PhysicsError(f"{quantity}: {len(values)} values for {n} times")
        problems = not_finite("the time", self.time, names) + not_finite(f"the {quantity}", values, names)
        refuse(problems)
        minutes = self.time / 60
        problems += [
            f"{names[i + 1]}: the time does not rise ({minutes[i + 1]:.4g} min after {minutes[i]:.4g} min)"
            for i in np.flatnonzero(np.diff(minutes) <= 0)
        ]
        if n and self.time[0] < 0:
            problems.append(f"{names[0]}: the time is below 0")
        if self.volume is not None:
            problems += self._volume_problems(names)
        else:
            problems += [f"{names[i]}: the flux must be above 0" for i in np.flatnonzero(~(values > 0))]
        if int((self.time > 0).sum()) < _FEWEST_TIMES:
            problems.append(f"{int((self.time > 0).sum())} times above 0; at least {_FEWEST_TIMES} are needed")
        if self.pressure is not None:
            low, high = float(self.pressure.min()), float(self.pressure.max())
            if not low > 0 or high > (1 + _PRESSURE_CHANGE) * low:
                problems.append(
                    f"the pressure varies from {low / 1e5:.4g} to {high / 1e5:.4g} bar, by more than 5 %; the laws "
                    "hold at constant pressure"
                )
        if self.clean_water_flux is not None and not min(self.clean_water_flux) > 0:
            problems.append("clean water flux: value and standard error must be above 0")
        refuse(problems)
        refuse(self._rise_problems(names))

    def _volume_problems(self, names: list[str]) -> list[str]:
        assert self.volume is not None
        problems = [
            f"{names[i + 1]}: the cumulative volume falls ({1e3 * self.volume[i + 1]:.4g} L/m2 after "
            f"{1e3 * self.volume[i]:.4g})"
            for i in np.flatnonzero(np.diff(self.volume) < 0)
        ]
        if len(self.time) and self.time[0] == 0 and self.volume[0] != 0:
            problems.append(
                f"{names[0]}: the volume at time 0 is {1e3 * self.volume[0]:.4g} L/m2; subtract it, or count the time "
                "from the start of the filtration"
            )
        elif len(self.time) and self.time[0] > 0 and not self.volume[0] > 0:
            problems.append(
                f"{names[0]}: no volume after {self.time[0] / 60:.4g} min; count the time from the first drop"
            )
        if len(self.time) and not problems and not self.volume[-1] > 0:
            problems.append("no volume passes")
        return problems

    def _rise_problems(self, names: list[str]) -> list[str]:
        """Readings at which the flux rises by more than its noise, which follows from its second differences."""
        if self.flux is not None:
            flux, last = self.flux, np.arange(len(self.flux))
        else:
            time, volume = self.with_origin
            flux = np.diff(volume) / np.diff(time)
            last = np.arange(len(self.time) - len(flux), len(self.time))
        noise = 1.4826 * float(np.median(np.abs(np.diff(flux, 2)))) / math.sqrt(3)
        rise = np.diff(flux)
        rises = np.flatnonzero((rise > _RISE_DEVIATIONS * noise) & (rise > _RISE * flux[:-1]))
        problems = [
            f"{names[last[i + 1]]}: the flux rises from {3.6e6 * flux[i]:.4g} to {3.6e6 * flux[i + 1]:.4g} LMH; "
            "was the membrane cleaned, or the pressure changed? Give each filtration by itself"
            for i in rises
        ]
        third = max(len(flux) // 3, 1)
        first, final = flux[:third], flux[-third:]
        error = noise * math.sqrt(1 / third)
        if not problems and final.mean() > max((1 + _RISE) * first.mean(), first.mean() + 3 * error):
            problems.append(
                f"the flux rises from {3.6e6 * first.mean():.4g} LMH (mean of the first third) to "
                f"{3.6e6 * final.mean():.4g} LMH (last third): no decline to fit"
            )
        return problems

    @property
    def with_origin(self) -> tuple[np.ndarray, np.ndarray]:
        """Times and volumes from (0, 0) on."""
        assert self.volume is not None
        if self.time[0] == 0:
            return self.time, self.volume
        return np.concatenate([[0.0], self.time]), np.concatenate([[0.0], self.volume])

    @property
    def error_model(self) -> ErrorModel:
        """What has a constant error."""
        return self.error or ("volume" if self.volume is not None else "flux")

    @cached_property
    def scales(self) -> tuple[float, float]:
        """Last time, s, and volume until then, m."""
        end = float(self.time[-1])
        if self.volume is not None:
            return end, float(self.volume[-1])
        assert self.flux is not None
        inner = (self.flux[1:] + self.flux[:-1]) / 2 * np.diff(self.time)
        return end, float(self.flux[0] * self.time[0] + inner.sum())

    @cached_property
    def observed(self) -> np.ndarray:
        """What the laws are fitted to: volumes or increments over the last volume, or logarithms of the scaled flux."""
        end, volume = self.scales
        if self.flux is not None:
            return np.asarray(log(self.flux * end / volume))
        assert self.volume is not None
        if self.error_model == "increments":
            return np.diff(self.with_origin[1]) / volume
        return self.volume[self.time > 0] / volume

    def model(self, law: str, parameters: np.ndarray) -> np.ndarray:
        """What a law gives for :attr:`observed`; (..., p) scaled parameters, ``-ln J_0`` first, give (..., m)."""
        end = self.scales[0]
        initial_flux, constants = exp(-parameters[..., 0]), list(np.moveaxis(parameters[..., 1:], -1, 0))
        if self.flux is not None:
            return np.asarray(log(permeate_flux(law, self.time / end, initial_flux, constants)))
        if self.error_model == "increments":
            volume = permeate_volume(law, self.with_origin[0] / end, initial_flux, constants)
            return np.diff(volume, axis=-1)
        return permeate_volume(law, self.time[self.time > 0] / end, initial_flux, constants)
