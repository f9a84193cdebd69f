"""Designs of a search in physical units, where the study states them."""

from __future__ import annotations

from dataclasses import dataclass

import xarray as xr

from membrane_dask.studies.graded.common_report import PHYSICAL
from membrane_dask.studies.graded.config import GradedStudy
from membrane_dask.studies.graded.physical_units import filter_units

#: Parameters of a design that are lengths in thicknesses.
_LENGTHS = ("radius", "gradient", "l_max")
_UNITS = {"throughput": "volume_unit", "initial_flux": "flux_unit", "lifetime": "time_unit"}
_ENDS = ("_low", "_high", "_error")


@dataclass(frozen=True)
class SearchUnits:
    """Physical units of lengths and metrics.

    Parameters
    ----------
    thickness : float
        Membrane thickness in um; 1 where the study does not state its units, so that lengths stay dimensionless.
    scales : mapping of str to (float, str)
        Factor and unit of metrics that are dimensionless in the tables; empty without units.
    """

    thickness: float
    scales: dict[str, tuple[float, str]]

    @classmethod
    def of(cls, study: GradedStudy, table: xr.Dataset | None) -> SearchUnits:
        """Units of a study, with its table ``units``, which a search over pressures does not have."""
        units = filter_units(study)
        if units is None:
            return cls(1.0, {})
        scales = {}
        if table is not None:
            scales = {
                name: (float(table[unit].values.ravel()[0]), str(table[unit].attrs["units"]))
                for name, unit in _UNITS.items()
            }
        return cls(units.thickness * 1e6, scales)

    def name(self, metric: str) -> str:
        """Name of a metric in physical units: ``filtrate_volume`` for the throughput; its own if it has none."""
        stem, threshold = _split(metric, "_threshold")
        return PHYSICAL[stem] + threshold if stem in self.scales else metric

    def factor(self, metric: str) -> float:
        """Value of a dimensionless 1 of a metric in its physical unit."""
        stem, _ = _split(metric, "_threshold")
        return self.scales[stem][0] if stem in self.scales else 1.0

    def table(self, designs: xr.Dataset) -> xr.Dataset:
        """Designs with lengths in um, and metrics by their names in physical units."""
        if self.thickness == 1.0 and not self.scales:
            return designs
        variables: dict[str, xr.DataArray] = {}
        for key, values in designs.data_vars.items():
            stem, end = next((pair for pair in (_split(str(key), e) for e in _ENDS) if pair[1]), (str(key), ""))
            if stem in _LENGTHS:
                variables[str(key)] = (values * self.thickness).assign_attrs(values.attrs, units="um")
            elif self.name(stem) != stem:
                unit = self.scales[_split(stem, "_threshold")[0]][1]
                variables[self.name(stem) + end] = (values * self.factor(stem)).assign_attrs(values.attrs, units=unit)
            else:
                variables.setdefault(str(key), values)
        return xr.Dataset(variables)


def _split(name: str, end: str) -> tuple[str, str]:
    return (name.removesuffix(end), end) if name.endswith(end) else (name, "")
