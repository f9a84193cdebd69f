"""Reference tables of laboratories: values to tolerance, questions and warnings by their words."""

from __future__ import annotations

import csv

import pytest
import yaml
from table_evaluation import LMH, LMH_BAR, evaluate

from membrane_dask.errors import StudyError


def _rows(folder):
    with (folder / "cases.csv").open(encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if set(row["section"].split(",")) <= {"A", "B"}]


@pytest.fixture(scope="module")
def bench(shared):
    folder = shared / "data" / "bench"
    if not folder.is_dir():
        pytest.skip(f"reference data not found: {folder} does not exist")
    return folder


def _measured(case, result):
    """The quantity of a case in its unit."""
    label = case["membrane"] or next(iter(result.series))
    series = result.series[label]
    name = case["quantity"].partition(" at ")[0]
    if name in ("permeance", "permeance falling"):
        return series.permeance.permeance.value * LMH_BAR
    if name == "threshold":
        return series.permeance.threshold.pressure.value * 1e-5
    if name == "hysteresis":
        return series.hysteresis * 100
    if name == "time constant":
        return series.transient.time_constant.value / 60
    if name.startswith("flux plateau"):
        return series.transient.plateau.value * LMH
    assert name == "free line slope"
    return series.permeance.free_line_slope * LMH_BAR


def _tolerance(case):
    """Absolute tolerance: a percentage of the value, in its unit, or a relative number."""
    number, _, unit = case["tolerance"].partition(" ")
    if unit == case["unit"]:
        return float(number)
    return float(number) * float(case["value"]) * (0.01 if unit == "%" else 1.0)


def test_cases(bench):
    """Every row of the manifest for tables and for the permeance of water."""
    wrong = []
    for case in _rows(bench):
        settings = yaml.safe_load("{" + case["study"] + "}") or {}
        name = f"{case['case']} {case['study']} {case['quantity']}"
        phrases = [word.strip().lower() for word in case["must_say"].split(";") if word.strip()]
        try:
            result = evaluate(bench / case["file"], settings)
        except StudyError as error:
            message = str(error).lower()
            if case["outcome"] != "stop" or any(phrase not in message for phrase in phrases):
                wrong.append(f"{name}: {message}")
            continue
        if case["outcome"] == "stop":
            wrong.append(f"{name}: no question, but {result.permeances}")
            continue
        value = _measured(case, result)
        if not abs(value - float(case["value"])) <= _tolerance(case):
            wrong.append(f"{name}: {value}, expected {case['value']}")
        findings = "\n".join(result.findings).lower()
        wrong += [f"{name}: no finding says {phrase!r}" for phrase in phrases if phrase not in findings]
    assert not wrong, "\n".join(wrong)
