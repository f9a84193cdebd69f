"""Readings of a fouling filtration on the bench to which a network model is fitted, and their checks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from membrane_dask.physics.elementary import log
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.networks.decline_curves import DeclineCurve
from membrane_dask.physics.porometry.decline_readings import DeclineReadings

#: Fewest readings, smallest relative fall of the flux, and largest relative difference of the volume from the integral
#: of the flux.
_FEWEST, _SMALLEST_FALL, _AGREEMENT = 8, 0.15, 0.05
#: Largest fraction of the initial flux at the last reading that is searched.
_LARGEST_LAST_FRACTION = 0.98


@dataclass(frozen=True)
class BenchDecline:
    """Decline of the permeate flux of one membrane at constant pressure.

    Parameters
    ----------
    time : (n,) float array
        s, rising, >= 0.
    volume : (n,) float array, optional
        Cumulative filtrate volume per area, m.
    flux : (n,) float array, optional
        Permeate flux, m s-1, > 0. Where both are stated, the flux is fitted as a function of the volume.
    pressure : (n,) float array, optional
        To be checked, Pa.
    rows : sequence of int, optional
        Rows of the table, for messages.

    Raises
    ------
    PhysicsError
        If there are fewer than eight readings, the flux falls by less than 15 % or rises by more than its noise, the
        pressure varies by more than 5 %, or volume and flux contradict each other.
    """

    time: np.ndarray
    volume: np.ndarray | None = None
    flux: np.ndarray | None = None
    pressure: np.ndarray | None = None
    rows: Sequence[int] | None = None

    def __post_init__(self) -> None:
        quantities = {"volume": self.volume, "flux": self.flux}
        if not any(values is not None for values in quantities.values()):
            raise PhysicsError("either the volume or the flux is needed")
        if len(self.used) < _FEWEST:
            raise PhysicsError(f"{len(self.used)} readings; at least {_FEWEST} are needed")
        for name, values in quantities.items():
            if values is not None:  # raises
                DeclineReadings(self.time, pressure=self.pressure, rows=self.rows, **{name: values})  # type: ignore[arg-type]
        if self.volume is not None and self.flux is not None:
            integral = float(((self.flux[1:] + self.flux[:-1]) / 2 * np.diff(self.time)).sum())
            volume = float(self.volume[-1] - self.volume[0])
            if abs(integral - volume) > _AGREEMENT * volume:
                raise PhysicsError(
                    f"the volume rises by {1e3 * volume:.4g} L/m2 between the first and the last reading, but the flux "
                    f"gives {1e3 * integral:.4g} L/m2: leave one of both out, for example columns: {{'flux*': ignore}}"
                )
        if self.fall < _SMALLEST_FALL:
            raise PhysicsError(
                f"the flux falls by {100 * max(self.fall, 0.0):.0f} %: lambda is not identified; measure until the "
                "flux is 10 to 20 % of the first"
            )

    @property
    def form(self) -> str:
        """What is fitted: ``flux by volume``, ``flux by time`` or ``volume by time``."""
        if self.flux is None:
            return "volume by time"
        return "flux by time" if self.volume is None else "flux by volume"

    @cached_property
    def used(self) -> np.ndarray:
        """Indices of the readings that are fitted: a volume at time 0 is none."""
        return np.flatnonzero(self.time > 0) if self.flux is None else np.arange(len(self.time))

    @cached_property
    def axis(self) -> np.ndarray:
        """Volumes, m, or times, s, of the readings that are fitted."""
        values = self.volume if self.form == "flux by volume" else self.time
        assert values is not None
        return np.asarray(values[self.used])

    @cached_property
    def observed(self) -> np.ndarray:
        """What is fitted: logarithms of the flux, or volumes over the last one."""
        if self.flux is not None:
            return np.asarray(log(self.flux[self.used]))
        assert self.volume is not None
        return np.asarray(self.volume[self.used] / self.volume[-1])

    @cached_property
    def fall(self) -> float:
        """Relative fall of the flux, between the means of the first and of the last two readings."""
        flux = self.flux
        if flux is None:
            assert self.volume is not None
            flux = np.diff(self.volume) / np.diff(self.time)
        return 1.0 - float(flux[-2:].mean() / flux[:2].mean())

    def scale_range(self, curve: DeclineCurve) -> tuple[float, float]:
        """Logarithms of the smallest and largest scale of :attr:`axis` that a network may have.

        The flux of the last reading is between an extrapolated 1 % and 98 % of the first one.
        """
        table = curve.throughput if self.form == "flux by volume" else curve.duration
        largest, smallest = 1.5 * table[-1], table[0] * (1 - _LARGEST_LAST_FRACTION) / 0.01
        last = float(self.axis[-1])
        return float(log(last / largest)), float(log(last / smallest))

    def predict(self, curve: DeclineCurve, scales: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Model of :attr:`observed`, ``offset + amplitude * response``, at scales of the axis.

        Parameters
        ----------
        curve : DeclineCurve
            Decline with one deposition coefficient.
        scales : (m,) ndarray
            Volume, m, of a unit of throughput; or time, s, of a unit of duration.

        Returns
        -------
        offset, response : (m, n) ndarray
            The amplitude is the logarithm of the initial flux, or the volume, over the last one, of a unit of
            throughput.
        """
        x = self.axis / np.asarray(scales)[:, None]
        if self.form == "flux by volume":
            offset = curve.log_flux_at_throughput(x)
        elif self.form == "flux by time":
            offset = curve.log_flux_at_duration(x)
        else:
            response = curve.throughput_at_duration(x)
            return np.zeros_like(response), response
        return offset, np.ones_like(offset)

    def logarithms(self, log_scale: np.ndarray, amplitude: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Logarithms of the volume of a unit of throughput, m, and of the initial flux, m s-1."""
        if self.form == "flux by volume":
            return log_scale, amplitude
        if self.form == "flux by time":
            return log_scale + amplitude, amplitude
        assert self.volume is not None
        log_volume = np.asarray(log(np.maximum(amplitude, 1e-300) * self.volume[-1]))
        return log_volume, log_volume - log_scale
