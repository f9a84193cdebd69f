"""Tables of several methods on one membrane, each with its log-likelihood of the pore structure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from membrane_dask.physics.distributions import student_quantile
from membrane_dask.physics.elementary import exp, log
from membrane_dask.physics.errors import PhysicsError
from membrane_dask.physics.porometry import gas_permeation, rejection
from membrane_dask.physics.porometry.capillary_law import CapillaryLaw
from membrane_dask.physics.porometry.dusty_gas import unit_permeances
from membrane_dask.physics.porometry.estimates import Estimate
from membrane_dask.physics.porometry.filter_flow import FilterFlow
from membrane_dask.physics.porometry.gas_flow_in_pores import GasStream, dry_gas_flux
from membrane_dask.physics.porometry.gas_permeation import GasReadings
from membrane_dask.physics.porometry.liquid_displacement import LiquidDisplacement
from membrane_dask.physics.porometry.membrane_sieving import FiltrationConditions
from membrane_dask.physics.porometry.opening_likelihood import (
    displacement_log_likelihood,
    dry_flow_log_likelihood,
    filter_flow_log_likelihood,
)
from membrane_dask.physics.porometry.rejection import RejectionReadings
from membrane_dask.physics.porometry.student_likelihood import student_log_likelihood


@dataclass(frozen=True)
class ScaleError:
    """Relative error of a quantity that several readings, or several tables, have in common.

    Tables that hold an error of the same name have it in common.

    Parameters
    ----------
    name : str
        For example ``"area"``.
    relative_error : float
        Standard deviation of the logarithm of true over stated value, in [0, 1).

    Raises
    ------
    PhysicsError
        Outside this range.
    """

    name: str
    relative_error: float

    def __post_init__(self) -> None:
        if not 0 <= self.relative_error < 1:
            raise PhysicsError(f"error of {self.name}: must be a fraction, 0 to 1 (got {self.relative_error:g})")


#: By which the laws of sieving differ on the same rejections.
LAW_OF_SIEVING = ScaleError("law of sieving", rejection.LAW_DISCREPANCY)


@dataclass(frozen=True)
class PoreStructures:
    """Pore structures of membranes with log-normal radii, and the scale errors that go with them.

    Parameters
    ----------
    log_hydraulic_radius : (n,) float array
        ``ln r_h``, r_h in m.
    log_sd : (n,) float array
        s: standard deviation of the logarithm of the radius.
    log_permeability : (n,) float array
        ``ln(eps r_h^2 / y)``, in m.
    log_thickness : (n,) float array
        ``ln y``; y in m.
    scale_errors : mapping of str to (n,) float array
        Logarithm of true over stated value by the name of a :class:`ScaleError`.
    """

    log_hydraulic_radius: np.ndarray
    log_sd: np.ndarray
    log_permeability: np.ndarray
    log_thickness: np.ndarray
    scale_errors: Mapping[str, np.ndarray]

    @property
    def log_number_median(self) -> np.ndarray:
        """``ln r_N = ln r_h - 3 s^2``, (n,)."""
        return np.asarray(self.log_hydraulic_radius - 3 * np.square(self.log_sd))

    @property
    def log_ratio(self) -> np.ndarray:
        """``ln(eps / y)``, (n,)."""
        return np.asarray(self.log_permeability - 2 * self.log_hydraulic_radius)

    @property
    def log_porosity(self) -> np.ndarray:
        """``ln eps``, (n,)."""
        return np.asarray(self.log_ratio + self.log_thickness)

    @property
    def log_pore_density(self) -> np.ndarray:
        """Logarithm of the number of pores per area, ``eps / (pi r_N^2 exp(2 s^2))``, m-2, (n,)."""
        radius = 2 * self.log_number_median + 2 * np.square(self.log_sd)
        return np.asarray(self.log_porosity - radius - float(log(math.pi)))

    def factor(self, *signed: tuple[int, ScaleError | None]) -> np.ndarray | float:
        """Product of scale errors, each to the power +1 or -1."""
        exponent = sum(sign * self.scale_errors[error.name] for sign, error in signed if error is not None)
        return np.asarray(exp(exponent)) if isinstance(exponent, np.ndarray) else float(exp(exponent))


class Table(Protocol):
    """What the joint posterior asks of a table."""

    @property
    def label(self) -> str:
        """Name in messages, different for every table."""

    @property
    def scale_errors(self) -> tuple[ScaleError, ...]:
        """Errors that other tables may have in common."""

    @property
    def determines(self) -> frozenset[str]:
        """Quantities that the table determines."""

    @property
    def degrees(self) -> float:
        """Degrees of freedom of its misfit."""

    @property
    def log_permeability_range(self) -> tuple[float, float] | None:
        """Range of ``ln(eps r_h^2 / y)`` that it allows; None without a flux."""

    def log_likelihood(self, structures: PoreStructures) -> np.ndarray:
        """Log-likelihood of pore structures, (n,), up to a constant."""


#: Logarithm of the flow of a gas over its viscous part in the narrowest pores.
_SLIP = 9.0


def _around(permeability: float, below: float, above: float) -> tuple[float, float]:
    """Range about the logarithm of a permeability in m."""
    middle = float(log(permeability))
    return middle - below, middle + above


def _stated(*errors: ScaleError | None) -> tuple[ScaleError, ...]:
    return tuple(error for error in errors if error is not None)


@dataclass(frozen=True)
class WaterTable:
    """Permeance of pure water.

    Parameters
    ----------
    label : str
        Name in messages, different for every table.
    permeance, standard_error : float
        m s-1 Pa-1, > 0.
    degrees_of_freedom : float
        Of the standard error, > 0.
    viscosity : float
        At the temperature of the permeance, Pa s.
    area, gauge : ScaleError, optional
        Of the area and of the pressures.

    Raises
    ------
    PhysicsError
        Outside these ranges.
    """

    label: str
    permeance: float
    standard_error: float
    degrees_of_freedom: float
    viscosity: float
    area: ScaleError | None = None
    gauge: ScaleError | None = None

    def __post_init__(self) -> None:
        for name in ("permeance", "standard_error", "degrees_of_freedom", "viscosity"):
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise PhysicsError(f"{self.label}: the {name.replace('_', ' ')} must be above 0 (got {value:g})")

    @classmethod
    def of_estimate(
        cls,
        label: str,
        permeance: Estimate,
        degrees_of_freedom: float,
        viscosity: float,
        area: ScaleError | None = None,
        gauge: ScaleError | None = None,
    ) -> WaterTable:
        """From the 95 % interval and the degrees of freedom of :class:`~.water_permeance.WaterPermeance`."""
        half_width = (permeance.high - permeance.low) / 2
        error = half_width / float(student_quantile(0.975, degrees_of_freedom))
        return cls(label, permeance.value, error, degrees_of_freedom, viscosity, area, gauge)

    @property
    def scale_errors(self) -> tuple[ScaleError, ...]:
        """Errors that other tables may have in common."""
        return _stated(self.area, self.gauge)

    @property
    def determines(self) -> frozenset[str]:
        """Quantities that the table determines."""
        return frozenset({"permeability"})

    @property
    def degrees(self) -> float:
        """Readings that the likelihood counts: twice its exponent."""
        return self.degrees_of_freedom + 1

    @property
    def log_permeability_range(self) -> tuple[float, float] | None:
        """Range of ``ln(eps r_h^2 / y)`` that the table does not exclude."""
        relative = self.standard_error / self.permeance
        return _around(8 * self.viscosity * self.permeance, 1 + 20 * relative, 1 + 20 * relative)

    def log_likelihood(self, structures: PoreStructures) -> np.ndarray:
        """Student's distribution of the permeance, (n,)."""
        model = exp(structures.log_permeability) / (8 * self.viscosity)
        model = model * structures.factor((1, self.area), (1, self.gauge))
        residual = (model - self.permeance) / self.standard_error
        return np.asarray(student_log_likelihood(residual[:, None], self.degrees_of_freedom))


@dataclass(frozen=True)
class DisplacementTable:
    """Liquid-liquid displacement.

    Parameters
    ----------
    label : str
        Name in messages, different for every table.
    readings : LiquidDisplacement
        The evaluated table.
    law : CapillaryLaw
        With the error of the interfacial tension.
    viscosity : float
        Of the displacing liquid, Pa s.
    liquids : str, optional
        Tables with the same liquids have in common the error of the tension; default: the label.
    area, gauge : ScaleError, optional
    """

    label: str
    readings: LiquidDisplacement
    law: CapillaryLaw
    viscosity: float
    liquids: str = ""
    area: ScaleError | None = None
    gauge: ScaleError | None = None

    @property
    def _tension(self) -> ScaleError:
        return ScaleError(f"tension of {self.liquids or self.label}", self.law.relative_error)

    @property
    def scale_errors(self) -> tuple[ScaleError, ...]:
        """Errors that other tables may have in common."""
        return _stated(self._tension, self.area, self.gauge)

    @property
    def determines(self) -> frozenset[str]:
        """Quantities that the table determines."""
        return frozenset({"radius", "log_sd", "permeability"})

    @property
    def degrees(self) -> float:
        """Readings that the likelihood counts: twice its exponent."""
        return len(self.readings.pressure)

    @property
    def log_permeability_range(self) -> tuple[float, float] | None:
        """Range of ``ln(eps r_h^2 / y)`` that the table does not exclude; pores may open beyond its end."""
        return _around(8 * self.viscosity * float(self.readings.permeance.max()), 1, 5)

    def log_likelihood(self, structures: PoreStructures) -> np.ndarray:
        """Likelihood of the permeances while pores open, (n,)."""
        return np.asarray(
            displacement_log_likelihood(
                self.readings,
                self.law.constant * structures.factor((1, self._tension), (-1, self.gauge)),
                exp(structures.log_number_median),
                structures.log_sd,
                exp(structures.log_ratio) * structures.factor((1, self.area), (1, self.gauge)),
                self.viscosity,
            )
        )


@dataclass(frozen=True)
class CapillaryFlowTable:
    """Capillary flow porometry: the filter flow and, if flows are absolute, the dry flow.

    A table whose wet flow contradicts the dry one (``CapillaryFlow.contradictory``) must stay out.

    Parameters
    ----------
    label : str
        Name in messages, different for every table.
    curves : FilterFlow
    law : CapillaryLaw
        With the error of the surface tension.
    stream : GasStream, optional
        Without it the flow is viscous.
    sample_area : float, optional
        m2. With it, a measured dry curve and the molar density of the stream, the dry flow is used.
    liquids : str, optional
        Tables with the same liquid have in common the error of the tension; default: the label.
    area, gauge : ScaleError, optional
    """

    label: str
    curves: FilterFlow
    law: CapillaryLaw
    stream: GasStream | None = None
    sample_area: float | None = None
    liquids: str = ""
    area: ScaleError | None = None
    gauge: ScaleError | None = None

    def __post_init__(self) -> None:
        if not len(self.curves.with_dry().pressure):
            raise PhysicsError(f"{self.label}: without a dry flow there is a bubble point only, which no law describes")

    @property
    def _tension(self) -> ScaleError:
        return ScaleError(f"tension of {self.liquids or self.label}", self.law.relative_error)

    @property
    def _is_absolute(self) -> bool:
        has_stream = self.stream is not None and self.stream.molar_density is not None
        return has_stream and self.sample_area is not None and self.curves.measured_dry is not None

    @property
    def scale_errors(self) -> tuple[ScaleError, ...]:
        """Errors that other tables may have in common."""
        return _stated(self._tension, self.area if self._is_absolute else None, self.gauge)

    @property
    def determines(self) -> frozenset[str]:
        """Quantities that the table determines."""
        return frozenset({"radius", "log_sd"} | ({"permeability"} if self._is_absolute else set()))

    @property
    def degrees(self) -> float:
        """Readings that the likelihood counts: twice its exponent."""
        dry = self.curves.measured_dry
        n_dry = dry.shape[1] if dry is not None and self._is_absolute else 0
        return len(self.curves.with_dry().pressure) + n_dry

    @property
    def log_permeability_range(self) -> tuple[float, float] | None:
        """Range of ``ln(eps r_h^2 / y)`` that the table does not exclude, below that of a viscous flow."""
        dry, stream, sample_area = self.curves.measured_dry, self.stream, self.sample_area
        if dry is None or stream is None or stream.molar_density is None or sample_area is None:
            return None
        flux = dry[1] * stream.molar_density / sample_area
        # Of very wide pores of one size, whose flow is viscous.
        return _around(float((flux / dry_gas_flux(dry[0], 1.0, 1e-6, 1.0, stream)).max()), _SLIP, 1)

    def log_likelihood(self, structures: PoreStructures) -> np.ndarray:
        """Likelihood of the filter flow and of the dry flow, (n,)."""
        median, log_sd = exp(structures.log_number_median), structures.log_sd
        constant = self.law.constant * structures.factor((1, self._tension), (-1, self.gauge))
        total = filter_flow_log_likelihood(self.curves, constant, median, log_sd, self.stream)
        if self.stream is not None and self.sample_area is not None and self._is_absolute:
            ratio = exp(structures.log_ratio) * structures.factor((1, self.area), (1, self.gauge))
            total = total + dry_flow_log_likelihood(self.curves, self.sample_area, median, log_sd, ratio, self.stream)
        return np.asarray(total)


@dataclass(frozen=True)
class GasTable:
    """Gas permeation at several mean pressures.

    Parameters
    ----------
    label : str
        Name in messages, different for every table.
    readings : GasReadings
    area : ScaleError, optional
    """

    label: str
    readings: GasReadings
    area: ScaleError | None = None

    @property
    def scale_errors(self) -> tuple[ScaleError, ...]:
        """Errors that other tables may have in common."""
        return _stated(self.area)

    @property
    def determines(self) -> frozenset[str]:
        """Quantities that the table determines."""
        return frozenset({"gas_radius", "permeability"})

    @property
    def degrees(self) -> float:
        """Readings that the likelihood counts: twice its exponent."""
        return len(self.readings.permeance)

    @property
    def log_permeability_range(self) -> tuple[float, float] | None:
        """Range of ``ln(eps r_h^2 / y)`` that the table does not exclude, below that of a viscous flow."""
        readings = self.readings
        _, viscous = unit_permeances(readings.mean_pressure, readings.gas, readings.temperature)
        return _around(float((readings.permeance / viscous).max()), _SLIP, 1)

    def log_likelihood(self, structures: PoreStructures) -> np.ndarray:
        """Likelihood of the permeances by the dusty-gas model, (n,)."""
        ratio = exp(structures.log_ratio) * structures.factor((1, self.area))
        median = exp(structures.log_number_median)
        return gas_permeation.log_likelihood(self.readings, median, structures.log_sd, ratio)


@dataclass(frozen=True)
class RejectionTable:
    """Rejection of solutes; all radii have the error of the law of sieving, 8 %, in common.

    Parameters
    ----------
    label : str
        Name in messages, different for every table.
    readings : RejectionReadings
    law : {"dechadilok-deen", "zeman-wales", "ferry"}
    conditions : FiltrationConditions, optional
    """

    label: str
    readings: RejectionReadings
    law: str = "dechadilok-deen"
    conditions: FiltrationConditions | None = None

    @property
    def scale_errors(self) -> tuple[ScaleError, ...]:
        """Errors that other tables may have in common."""
        return (LAW_OF_SIEVING,)

    @property
    def determines(self) -> frozenset[str]:
        """Quantities that the table determines."""
        return frozenset({"radius", "log_sd"})

    @property
    def degrees(self) -> float:
        """Readings that the likelihood counts: twice its exponent."""
        return len(self.readings.sieving) + rejection.NOMINAL_DEGREES

    @property
    def log_permeability_range(self) -> tuple[float, float] | None:
        """Rejections do not bound ``eps r_h^2 / y``."""
        return None

    def log_likelihood(self, structures: PoreStructures) -> np.ndarray:
        """Likelihood of the sieving coefficients, (n,)."""
        median = exp(structures.log_number_median) * structures.factor((1, LAW_OF_SIEVING))
        return rejection.log_likelihood(self.readings, median, structures.log_sd, self.law, self.conditions)
