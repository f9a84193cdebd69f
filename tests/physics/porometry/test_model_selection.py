"""Ranking of flux laws by cross-validation."""

from __future__ import annotations

import numpy as np
import pytest

from membrane_dask.io.tables.flux_curves import read_flux_table
from membrane_dask.physics.porometry.flux_laws import LAWS
from membrane_dask.physics.porometry.model_selection import leave_one_out_error, rank_laws

P = np.array([1e5, 2e5, 3e5, 4e5])
NOISY = 2.71e-7 * (P - 8964.5) * np.array([1.03, 0.98, 1.01, 0.995])


def test_laws_are_excluded_with_too_few_pressures():
    scores = {score.law: score for score in rank_laws(P, NOISY)}
    assert "6 pressures" in scores["quadratic"].excluded
    assert "6 pressures" in scores["cubic"].excluded
    assert all(not scores[law].excluded for law in ("linear", "log", "power", "compaction", "threshold-linear"))
    assert all(score.excluded for score in rank_laws(P[:3], NOISY[:3]))  # two parameters need four pressures
    six = np.linspace(1e5, 4e5, 6)
    assert not next(score for score in rank_laws(six, six * 2e-10) if score.law == "cubic").excluded


def test_the_true_law_ranks_high():
    pressure = np.repeat(np.linspace(5e4, 5e5, 8), 2)
    rng = np.random.default_rng(6)
    for law, true in {"linear": [2e-10, -6e-6], "log": [4e-5, -4e-4], "power": [3e-8, 0.6]}.items():
        flux = LAWS[law].flux(pressure, np.array(true)) * rng.normal(1, 0.01, 16)
        scores = [score for score in rank_laws(pressure, flux) if not score.excluded]
        smallest = min(score.leave_one_out_error for score in scores)
        true_score = next(score for score in scores if score.law == law)
        assert true_score.leave_one_out_error < 1.3 * smallest
        assert true_score.bic - min(score.bic for score in scores) < 6


def test_curves_of_palencia_are_logarithmic(root):
    """Twelve modified membranes of Palencia: the log law has a smaller error than a line, power and quadratic law.

    Power laws are fitted to the logarithms of the fluxes, as for the reference values.
    """
    errors = {law: [] for law in ("log", "power", "quadratic", "linear")}
    for curve in read_flux_table(root / "configs/porometry-palencia-curves.csv").membranes:
        for law in ("log", "quadratic", "linear"):
            errors[law].append(100 * leave_one_out_error(curve.pressure, curve.flux, law))
        x, y = np.log(curve.pressure), np.log(curve.flux)
        folds = [np.arange(4) != k for k in range(4)]
        residuals = [np.exp(np.polyval(np.polyfit(x[f], y[f], 1), x[~f])) - curve.flux[~f] for f in folds]
        errors["power"].append(100 * np.sqrt(np.mean(np.square(residuals))) / curve.flux.mean())
    ranges = {law: (min(values), max(values)) for law, values in errors.items()}
    reference = {"log": (0.9, 7.6), "power": (5.9, 17.8), "quadratic": (5.0, 19.7), "linear": (10.6, 21.4)}
    assert all(errors["log"][k] < min(errors[law][k] for law in errors if law != "log") for k in range(12))
    for law, limits in reference.items():
        assert ranges[law] == pytest.approx(limits, abs=0.06)
