"""Evaluation of a table of water fluxes by the steps of a study, in this process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from membrane_dask.physics.porometry.water_series import WaterSeries
from membrane_dask.studies.porometry.program import PorometryProgram
from membrane_dask.studies.porometry.water_evaluation import evaluate_water
from membrane_dask.study_file import parse_study

#: m s-1 Pa-1 in L m-2 h-1 bar-1, and m s-1 in L m-2 h-1.
LMH_BAR, LMH = 3.6e11, 3.6e6


@dataclass(frozen=True)
class Evaluation:
    """Series of each membrane, and all findings."""

    series: Mapping[str, WaterSeries]
    findings: tuple[str, ...]

    @property
    def permeances(self) -> dict[str, float]:
        """Permeance of each membrane at the reference temperature, LMH/bar."""
        return {label: series.permeance.permeance.value * LMH_BAR for label, series in self.series.items()}


def evaluate(path: Path, settings: Mapping[str, Any] | None = None) -> Evaluation:
    """Evaluate a table as a study does."""
    study = parse_study({"kind": "porometry", "input": str(path), **(settings or {})})
    program = PorometryProgram(study)
    findings = [text for _, text in program.measurements.findings]
    series = {}
    for membrane in program.membranes:
        series[membrane.label] = evaluate_water(membrane.curve, membrane.water.viscosity, study)
        findings += series[membrane.label].findings
    return Evaluation(series, tuple(findings))
