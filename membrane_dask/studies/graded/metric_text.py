"""Metrics and lengths of filters in sentences, each with its unit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from membrane_dask.number_text import compact, interval_text, quantity_text, readable_unit
from membrane_dask.physics.networks.filter_units import FilterUnits
from membrane_dask.studies.graded.config import GradedStudy
from membrane_dask.studies.graded.design_metrics import metric_variable, split_metric
from membrane_dask.studies.graded.design_settings import Constraint
from membrane_dask.studies.graded.physical_quantities import reference_deposition
from membrane_dask.studies.graded.physical_units import filter_units

#: What a dimensionless metric is a number or a fraction of; without an entry it is called dimensionless.
_REFERENCES = {
    "foulant_concentration": "of the feed",
    "species_concentration": "of the feed",
    "species_yield": "of the species in the feed",
    "species_purity": "of the foulant in the filtrate",
    "porosity_usage": "of the membrane volume",
    "foulant_balance": "of the foulant removed from the feed",
    "particle_retention": "of the particles that arrived",
    "n_arrivals": "particles",
    "n_passed": "particles",
    "n_pores": "pores",
    "n_closed_inside": "pores",
    "n_junctions": "junctions",
    "n_inlets": "inlets",
    "n_stagnant_inlets": "inlets",
    "coordination_number_mean": "pores per junction",
    "pores_per_path": "pores",
    "flux_weighted_tortuosity": "membrane thicknesses",
    "wall_shear_flux_weighted": "of the pressure difference",
    "initial_transmembrane_pressure": "P0",
    "non_cylindrical_deposition": "of the deposition",
    "log_reduction_value": "decimal orders",
}
_THICKNESSES = "membrane thicknesses"


@dataclass(frozen=True)
class MetricText:
    """Writes the metrics and lengths of a study, in physical units where the study states them.

    Parameters
    ----------
    thickness : float, optional
        Membrane thickness, m; without it, lengths are in thicknesses.
    units : FilterUnits, optional
        Units of flux, time and volume; None where they are not stated, or differ between the designs of a search.
    deposition : float
        Deposition coefficient, on which the unit of time depends.
    """

    thickness: float | None = None
    units: FilterUnits | None = None
    deposition: float = math.nan

    @classmethod
    def of(cls, study: GradedStudy) -> MetricText:
        """Units of a study."""
        units, parameters = filter_units(study), study.optimum.parameters
        differ = study.searches_designs and parameters is not None and parameters.pressure is not None
        differ |= len(study.deposition) > 1 and not study.species
        thickness = None if units is None else units.thickness
        return cls(thickness, None if differ else units, reference_deposition(study))

    def metric(self, name: str, value: float, low: float = math.nan, high: float = math.nan) -> str:
        """A metric by its name, with its interval: ``0.0484 [0.0470, 0.0498] of the feed``."""
        unit, factor = self._unit(name)
        if unit == "h":
            return quantity_text(value * factor, unit, low * factor, high * factor, digits=4)
        text = interval_text(value * factor, low * factor, high * factor)
        return f"{text} (dimensionless)" if unit == "dimensionless" else f"{text} {unit}"

    def constraint(self, constraint: Constraint) -> str:
        """A constraint as the study states it, and its limit with the unit: ``throughput >= 0.04 (251 L m-2)``."""
        unit, factor = self._unit(constraint.metric)
        if factor == 1.0 and unit not in ("dimensionless", "h"):
            return f"{constraint} {unit}"
        return f"{constraint} ({unit if unit == 'dimensionless' else self.metric(constraint.metric, constraint.limit)})"

    def lengths(self, values: Sequence[float]) -> str:
        """One length, or a list of them: ``[1.6, 1.6, 0.4] µm``, ``0.01 membrane thicknesses``."""
        unit, factor = _THICKNESSES, 1.0
        if self.thickness is not None:
            unit, scale = readable_unit("nm", [value * self.thickness * 1e9 for value in values])
            factor = self.thickness * 1e9 * scale
        texts = [compact(value * factor, 4) for value in values]
        return f"{texts[0]} {unit}" if len(texts) == 1 else f"[{', '.join(texts)}] {unit}"

    def parameter(self, name: str, value: Any) -> str:
        """A parameter of a design, or the radii of all bands, with its unit."""
        if name == "pressure":
            return f"{compact(value / 1e5, 4)} bar"
        if name == "porosity":
            return f"{compact(100 * value, 4)} %"
        if name == "gradient":
            return f"{self.lengths([value])} per band"
        return self.lengths(value) if isinstance(value, Sequence) else self.lengths([value])

    def _unit(self, name: str) -> tuple[str, float]:
        """Unit of a metric, and how many of them are a 1 of the tables."""
        stem, _ = split_metric(name)
        stem = stem.removesuffix("_step").removesuffix("_threshold")
        if self.units is not None and stem == "throughput":
            return "L m-2", float(self.units.filtrate_volume(1.0))
        if self.units is not None and stem == "initial_flux":
            return "L m-2 h-1", float(self.units.permeate_flux(1.0))
        if self.units is not None and stem == "lifetime":
            return "h", float(self.units.hours(1.0, self.deposition))
        unit = metric_variable(name).units
        return (unit, 1.0) if unit != "1" else (_REFERENCES.get(stem, "dimensionless"), 1.0)
