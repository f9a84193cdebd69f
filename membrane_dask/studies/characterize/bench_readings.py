"""Tables that instruments would write of a volume: readings of each method, as CSV files for porometry studies."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from membrane_dask.physics.distributions import standard_normal
from membrane_dask.physics.elementary import power
from membrane_dask.physics.porometry.capillary_law import CapillaryLaw
from membrane_dask.physics.porometry.gases import ATMOSPHERE, GAS_CONSTANT, Gas
from membrane_dask.physics.porometry.mercury import CONTACT_ANGLE, SURFACE_TENSION
from membrane_dask.physics.porometry.water import Water
from membrane_dask.program import TableFile
from membrane_dask.studies.characterize.bench_results import BenchResult, mercury_pressure
from membrane_dask.studies.characterize.bench_settings import METHODS
from membrane_dask.studies.characterize.bench_tasks import solute_radii

#: First and last pressure of a table over those of the widest and of the narrowest pore.
_FIRST, _LAST = 0.8, 1.2
#: Pressure before a step, over that of the step.
_BEFORE_STEP = 0.999
#: Relative difference of pressures that is rounding.
_ROUNDING = 1e-9
#: Transmembrane pressures of the flux of water, Pa.
_WATER_PRESSURES = (0.5e5, 1e5, 1.5e5, 2e5, 2.5e5)
_BAR, _NM, _LMH, _LITRES_PER_MINUTE = 1e5, 1e-9, 3.6e6, 6e4
#: Concentration of solutes in the feed, g/L.
_FEED = 1.0


@dataclass(frozen=True)
class Readings:
    """A table as an instrument writes it.

    Parameters
    ----------
    conditions : mapping of str to str
        Lines above the table.
    columns : mapping of str to array
        Values of each column, of equal number, by header with units in brackets.
    """

    conditions: Mapping[str, str]
    columns: Mapping[str, Any]

    def csv(self) -> str:
        """Content of the file."""
        stream = io.StringIO()
        for name, value in self.conditions.items():
            stream.write(f"{name}: {value}\n")
        stream.write("\n")
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(self.columns)
        for row in zip(*self.columns.values(), strict=True):
            writer.writerow([value if isinstance(value, str) else f"{value:.10g}" for value in row])
        return stream.getvalue()


def instrument_files(results: Mapping[str, BenchResult | None]) -> Iterator[TableFile]:
    """Files of all tables, by the names of the volumes; None for volumes that failed."""
    for number, (name, result) in enumerate(results.items()):
        if result is None or not result.settings.tables:
            continue
        membrane = name.replace("=", " ")
        for method, text in instrument_tables(result, membrane, number).items():
            yield TableFile(f"{membrane} {method}.csv".replace(" ", "-"), text)


def instrument_tables(result: BenchResult, membrane: str, number: int) -> dict[str, str]:
    """CSV files of the methods of the study.

    Parameters
    ----------
    result : BenchResult
        Of a volume.
    membrane : str
        Its name in the tables.
    number : int
        Number of the volume, on which the errors of the instruments depend.

    Returns
    -------
    dict of str to str
        By the name of the method; without methods that need a flow where nothing flows.
    """
    writers: Mapping[str, Callable[[BenchResult, _Instrument], Readings | None]] = {
        "capillary flow": _capillary_flow,
        "liquid displacement": _liquid_displacement,
        "mercury": _mercury,
        "water": _water,
        "gas permeation": _gas_permeation,
        "rejection": _rejection,
        "entry pressure": _entry_pressure,
    }
    tables: dict[str, str] = {}
    for method in result.settings.methods:
        readings = writers[method](result, _Instrument(result, METHODS.index(method), number))
        if readings is not None:
            tables[method] = Readings({"Membrane": membrane, **readings.conditions}, readings.columns).csv()
    return tables


class _Instrument:
    """Errors of the readings of one method."""

    def __init__(self, result: BenchResult, method: int, number: int) -> None:
        noise = result.settings.noise
        seed = np.random.SeedSequence(noise.seed, spawn_key=(number, method))
        self._rng = np.random.Generator(np.random.PCG64(seed))
        self._flow, self._pressure = noise.flow, noise.pressure

    def flow(self, values: np.ndarray) -> np.ndarray:
        """Flows or concentrations as they are read."""
        return np.asarray(values * (1 + self._flow * standard_normal(self._rng, np.shape(values))))

    def pressure(self, values: np.ndarray) -> np.ndarray:
        """Pressures as they are read."""
        return np.asarray(values * (1 + self._pressure * standard_normal(self._rng, np.shape(values))))


def _step_pressures(result: BenchResult, steps: np.ndarray) -> np.ndarray:
    """Pressures of the readings, rising, from those of the steps; even ones and two at each step."""
    settings = result.settings
    first, last = _FIRST * steps.min(), _LAST * steps.max()
    if settings.pressures is not None:
        even = np.array(settings.pressures)
    else:
        even = first * power(last / first, np.arange(settings.readings) / (settings.readings - 1))
    if settings.noise.flow or settings.noise.pressure:
        return np.unique(even)
    return np.unique(np.concatenate([even, steps, _BEFORE_STEP * steps]))


def _open(steps: np.ndarray, pressures: np.ndarray) -> np.ndarray:
    """Number of steps, of rising pressures, that each pressure has passed."""
    return np.searchsorted(steps, pressures * (1 + _ROUNDING), side="right")


def _wet_curve(result: BenchResult, law: CapillaryLaw) -> tuple[np.ndarray, np.ndarray]:
    """Pressures and the fraction of the dry flow that the emptied pores carry."""
    levels = result.flow["level_squares"].astype(np.int64)
    steps = law.constant / (result.entry_radius(levels) * _NM)
    scale = law.constant / result.settings.capillary_law.constant
    pressures = _step_pressures(result, steps / scale) * scale
    fractions = np.concatenate([[0.0], result.wet_fractions(levels)])
    return pressures, fractions[_open(steps, pressures)]


def _conditions(result: BenchResult, **more: str) -> dict[str, str]:
    settings = result.settings
    conditions = {
        "Area": f"{settings.area * 1e4:.10g} cm2",
        "Temperature": f"{settings.temperature - 273.15:.10g} degC",
        "Thickness": f"{result.depth * 1e6:.10g} um",
    }
    return conditions | {name.replace("_", " ").capitalize(): value for name, value in more.items()}


def _contact_angle(law: CapillaryLaw) -> dict[str, str]:
    """The condition of liquids that do not wet perfectly."""
    return {"contact_angle": f"{law.contact_angle:.10g} deg"} if law.contact_angle else {}


def _capillary_flow(result: BenchResult, instrument: _Instrument) -> Readings | None:
    if not result.permeability > 0:
        return None
    settings = result.settings
    law = settings.capillary_law
    pressure, fraction = _wet_curve(result, law)
    gas = Gas.named(settings.gas.name)
    viscosity = float(gas.viscosity(settings.temperature))
    feed = ATMOSPHERE + pressure
    # Molar flux of an ideal gas, as a volume at the pressure of the filtrate.
    molar = result.permeability * (np.square(feed) - ATMOSPHERE * ATMOSPHERE)
    molar = molar / (2 * viscosity * result.depth * GAS_CONSTANT * settings.temperature)
    volume = molar * GAS_CONSTANT * settings.temperature / ATMOSPHERE
    dry = volume * settings.area * _LITRES_PER_MINUTE
    columns = {
        "Pressure [bar]": instrument.pressure(pressure) / _BAR,
        "Wet flow [L/min]": instrument.flow(dry * fraction),
    }
    dry = instrument.flow(dry)
    columns |= {"Dry flow [L/min]": dry, "Half dry flow [L/min]": dry / 2}
    conditions = _conditions(
        result,
        liquid=settings.liquid,
        surface_tension=f"{law.surface_tension * 1e3:.10g} mN/m",
        shape_factor=f"{law.shape_factor:g}",
        **_contact_angle(law),
    )
    return Readings(conditions, columns)


def _liquid_displacement(result: BenchResult, instrument: _Instrument) -> Readings | None:
    if not result.permeability > 0:
        return None
    settings = result.settings
    law, viscosity = settings.displacement_law, float(settings.displacement.viscosity)
    pressure, fraction = _wet_curve(result, law)
    flux = result.permeability * fraction * pressure / (viscosity * result.depth)
    conditions = _conditions(
        result,
        interfacial_tension=f"{law.surface_tension * 1e3:.10g} mN/m",
        viscosity=f"{viscosity * 1e3:.10g} mPa s",
        **_contact_angle(law),
    )
    columns = {
        "Pressure [bar]": instrument.pressure(pressure) / _BAR,
        "Flux [LMH]": instrument.flow(flux) * _LMH,
    }
    return Readings(conditions, columns)


def _mercury(result: BenchResult, instrument: _Instrument) -> Readings | None:
    settings = result.settings
    levels = result.levels()
    filled = result.counts(f"filled_{settings.mercury.faces}", levels)
    if not filled.max(initial=0.0):
        return None
    steps = mercury_pressure(result.entry_radius(levels) * _NM)
    scale = float(mercury_pressure(np.array(1.0))) / settings.capillary_law.constant
    pressure = _step_pressures(result, steps / scale) * scale
    per_gram = result.porosity / ((1 - result.porosity) * settings.mercury.skeleton_density * 1e-3)  # mL/g
    volume = np.concatenate([[0.0], filled])[_open(steps, pressure)] * per_gram
    read = np.sort(instrument.pressure(pressure))
    columns = {
        "Pressure [MPa]": read * 1e-6,
        "Pore diameter [nm]": 2 * float(mercury_pressure(np.array(1.0))) / read / _NM,
        "Cumulative volume [mL/g]": volume,
    }
    conditions = {"Surface tension": f"{SURFACE_TENSION * 1e3:g} mN/m", "Contact angle": f"{CONTACT_ANGLE:g} deg"}
    return Readings(conditions, columns)


def _water(result: BenchResult, instrument: _Instrument) -> Readings | None:
    if not result.permeability > 0:
        return None
    settings = result.settings
    pressure = np.array(_WATER_PRESSURES)
    flux = result.permeability * pressure / (Water.at(settings.temperature).viscosity * result.depth)
    columns = {
        "TMP [bar]": instrument.pressure(pressure) / _BAR,
        "Flux [LMH]": instrument.flow(flux) * _LMH,
        "Temperature [°C]": np.full(len(pressure), settings.temperature - 273.15),
    }
    return Readings({}, columns)


def _gas_permeation(result: BenchResult, instrument: _Instrument) -> Readings | None:
    if not result.permeability > 0:
        return None
    settings = result.settings
    pressure = np.array(settings.gas.mean_pressures)
    columns = {
        "Gas": [Gas.named(settings.gas.name).name] * len(pressure),
        "Mean pressure [bar abs]": instrument.pressure(pressure) / _BAR,
        "Permeance [mol m-2 s-1 Pa-1]": instrument.flow(result.gas_permeance()),
    }
    return Readings({"Temperature": f"{settings.temperature - 273.15:.10g} degC"}, columns)


def _rejection(result: BenchResult, instrument: _Instrument) -> Readings | None:
    if not result.permeability > 0:
        return None
    sieving = result.flow["sieving_coefficient"]
    columns = {
        "Stokes radius [nm]": solute_radii(result.settings),
        "Feed concentration [g/L]": np.full(len(sieving), _FEED),
        "Permeate concentration [g/L]": instrument.flow(_FEED * sieving),
    }
    return Readings({}, columns)


def _entry_pressure(result: BenchResult, instrument: _Instrument) -> Readings | None:
    if not result.critical_square:
        return None
    pressure = instrument.pressure(np.array([result.scalars()["liquid_entry_pressure"]]))
    columns = {"Entry pressure [bar]": pressure, "Contact angle [deg]": [result.settings.entry.contact_angle]}
    return Readings(_conditions(result, liquid="water"), columns)
