"""Comparison with an independent implementation of Gu's model: one network exactly, ensembles by their means."""

from __future__ import annotations

import csv
from itertools import pairwise

import numpy as np
import pytest

import membrane_dask as md
from membrane_dask.physics.networks.band_porosity import band_radii
from membrane_dask.physics.networks.filter_metrics import accumulated_metrics, threshold_crossing
from membrane_dask.physics.networks.fouling import filter_life
from membrane_dask.physics.networks.random_network import connect

pytestmark = pytest.mark.paper

SYNC = {"profile": "sync"}

#: Names in the reference table and in the result; threshold values by both definitions.
NAMES = {
    "h_final": "throughput",
    "q_out0": "initial_flux",
    "c_final": "foulant_concentration",
    "dPhi": "porosity_usage",
    "T_final": "lifetime",
    "h_ths": "throughput_threshold_step",
    "c_ths": "foulant_concentration_threshold_step",
    "T_ths": "lifetime_threshold_step",
    "dPhi_ths": "porosity_usage_threshold_step",
    "h_ths_interp": "throughput_threshold",
    "c_ths_interp": "foulant_concentration_threshold",
    "T_ths_interp": "lifetime_threshold",
    "dPhi_ths_interp": "porosity_usage_threshold",
    "n_junctions": "n_junctions",
    "n_pores": "n_pores",
    "n_inlets": "n_inlets",
}
#: Mean and standard deviation over 195 networks of the reference, at l_max = 0.2 and the quickstart's gradients.
REFERENCE = {
    "h_final": [
        (0.037356282, 0.000651292),
        (0.041833982, 0.000625795),
        (0.043267764, 0.000668357),
        (0.041396963, 0.000562554),
        (0.036408925, 0.000447315),
    ],
    "q_out0": [
        (5.8095124e-06, 9.75592e-08),
        (5.6138549e-06, 9.00618e-08),
        (5.0160173e-06, 8.91749e-08),
        (4.0597818e-06, 6.03438e-08),
        (2.7835875e-06, 3.94433e-08),
    ],
    "c_final": [
        (0.12330957, 0.00299812),
        (0.11267533, 0.00260542),
        (0.084979603, 0.00243727),
        (0.047580367, 0.00141556),
        (0.013973152, 0.000528989),
    ],
    "dPhi": [
        (0.26608234, 0.00327578),
        (0.2993749, 0.00317569),
        (0.32232699, 0.00349457),
        (0.32993585, 0.00343853),
        (0.31506663, 0.00341701),
    ],
    "h_ths_interp": [
        (0.030020583, 0.00065529),
        (0.032810563, 0.000634014),
        (0.031712196, 0.000700933),
        (0.025940466, 0.000584502),
        (0.013651133, 0.000539031),
    ],
    "n_pores": [
        (13435.318, 99.1107),
        (13982.938, 102.979),
        (15848.697, 114.92),
        (20051.81, 161.7),
        (30043.426, 259.314),
    ],
}


def standard_score(values: np.ndarray, mean: float, sd: float, n_reference: int = 195) -> float:
    """Difference of two ensemble means in standard errors, with the standard deviation of the reference for both."""
    return (values.mean() - mean) / (sd * np.sqrt(1 / values.size + 1 / n_reference))


@pytest.fixture(scope="module")
def graded(root, tmp_path_factory):
    """Result of the quickstart study."""
    study = md.load_study(root / "configs/graded-quickstart.yaml", realizations=10, cluster=SYNC)
    run = md.run(study, tmp_path_factory.mktemp("gu") / "run")
    assert run.status()["state"] == "complete"
    return run.result["graded"].to_dataset().isel(deposition=0)


@pytest.mark.parametrize("metric", REFERENCE)
def test_quickstart_means_agree(graded, metric):
    for gradient, (mean, sd) in zip(graded.gradient, REFERENCE[metric], strict=True):
        values = graded[NAMES[metric]].sel(l_max=0.2, gradient=gradient).values
        assert abs(standard_score(values, mean, sd)) < 4, float(gradient)


def metrics_of(point) -> dict[str, np.ndarray]:
    """All metrics of the reference table at one design point, one value per network."""
    flux, concentration = point.flux.values, point.foulant_concentration_out.values
    porosity, time_step = point.band_porosity.values, float(point.time[1])
    metrics = {metric: point[name].values for metric, name in NAMES.items()}
    metrics |= {f"dPhi_{k}": point.band_porosity_usage.sel(band=k).values for k in range(1, 5)}
    metrics["c_out0"] = concentration[:, 0]
    metrics["Phi0"] = porosity[:, 0].mean(axis=-1)
    metrics["threshold_over_q0"] = 2e-6 / point.initial_flux.values
    metrics["n_inlets_stagnant_open_at_end"] = point.n_stagnant_inlets.values
    metrics["n_interior_closed"] = point.n_closed_inside.values
    last = np.isfinite(flux).sum(axis=-1) - 1
    left, _ = accumulated_metrics(flux, concentration, porosity, last, 5e-7, time_step, "left")
    metrics["h_final_leftRiemann"], metrics["c_final_leftRiemann"] = left["throughput"], left["foulant_concentration"]
    _, step = threshold_crossing(flux, 2e-6)
    _, usage = accumulated_metrics(flux, concentration, porosity, step, 5e-7, time_step)
    return metrics | {f"dPhi_ths_{k + 1}": usage[:, k] for k in range(4)}


# The tolerance is four standard errors of either number: four networks show deviations 2.2 times as large.
@pytest.mark.parametrize("realizations", [4, pytest.param(20, marks=pytest.mark.slow)])
def test_reference_table(root, shared, tmp_path, realizations):
    """Both l_max of the table, all nine gradients, all 31 metrics, compared with 195 networks."""
    with (shared / "spec/graded/reference.csv").open() as stream:
        table = {(float(r["l_max"]), float(r["s"]), r["metric"]): r for r in csv.DictReader(stream)}
    study = md.load_study(
        root / "configs/graded-gu-2023.yaml", l_max=[0.1, 0.2], realizations=realizations, cluster=SYNC
    )
    run = md.run(study, tmp_path / "run")
    assert run.status()["state"] == "complete"
    result = run.result["graded"].to_dataset().merge(run.result["graded/history"].to_dataset()).isel(deposition=0)
    assert float(result.flux_residual.max()) < 10 * study.solver_tolerance
    compared = 0
    for l_max in result.l_max.values:
        for gradient in result.gradient.values:
            metrics = metrics_of(result.sel(l_max=l_max, gradient=gradient))
            for metric, values in metrics.items():
                row = table[round(float(l_max), 6), round(float(gradient), 6), metric]
                mean, sd, n = float(row["mean"]), float(row["sd"]), float(row["n_networks"])
                variance = values.std(ddof=1) ** 2 / len(values)
                error = np.sqrt(max(variance, sd**2 / len(values)) + sd**2 / n)
                assert abs(values.mean() - mean) <= 4 * error + 1e-9 * abs(mean), (l_max, gradient, metric)
                compared += 1
    assert compared == 18 * 31


def test_lifetime_equals_the_radius_of_the_first_band(graded):
    np.testing.assert_allclose(
        graded.lifetime, (0.01 + 1.5 * graded.gradient).broadcast_like(graded.lifetime), rtol=1e-9
    )
    assert float(graded.flux_residual.max()) < 1e-6


def test_findings_of_the_paper(graded):
    """Throughput is largest at s = 2e-3; flux and foulant fall with s; usage peaks at 3e-3 (Gu, Table III)."""
    mean = graded.isel(l_max=0).mean("realization")
    assert float(mean.throughput.idxmax("gradient")) == 2e-3
    assert float(mean.porosity_usage.idxmax("gradient")) == 3e-3
    for name in ("initial_flux", "foulant_concentration"):
        assert all(one > next_one for one, next_one in pairwise(mean[name].values))
    assert float(mean.throughput.max() / mean.throughput.sel(gradient=0)) == pytest.approx(1.158, abs=0.02)


def test_variables_have_units_and_long_names(graded):
    for variable in graded.data_vars.values():
        assert variable.attrs["units"]
        assert variable.attrs["long_name"]
    assert graded.throughput.dims == ("l_max", "gradient", "realization")
    assert graded.band_porosity_usage.dims == ("l_max", "gradient", "realization", "band")


def test_one_network_exactly(shared):
    """From given points: 915 junctions, 15,697 pores."""
    data = np.load(shared / "spec/graded/fixture_l0.2_s0.002.npz")
    points = data["points"][:, [2, 1, 0]]
    inside = points[(points[:, 0] >= 0) & (points[:, 0] < 1)]
    outside = points[(points[:, 0] < 0) | (points[:, 0] >= 1)]
    network = connect(inside, outside, l_min=0.06, l_max=0.2, radii=band_radii(0.01, 2e-3, 4))
    assert len(network.length) == 15697
    np.testing.assert_allclose(np.sort(network.length), np.sort(data["l"]), rtol=1e-14)
    life = filter_life(network, deposition=5e-7, time_step=2.5e-4, flux_threshold=2e-6, solver_tolerance=1e-9)
    expected = {
        "initial_flux": 5.0292026308e-6,
        "lifetime": 0.013,
        "throughput": 0.0428772459999,
        "foulant_concentration": 0.0860813198077,
        "porosity_usage": 0.321056776998,
        "lifetime_threshold_step": 0.005,
        "throughput_threshold_step": 0.0323246021559,
        "foulant_concentration_threshold_step": 0.109843898162,
        "porosity_usage_threshold_step": 0.225886893375,
    }
    for name, value in expected.items():
        assert getattr(life, name) == pytest.approx(value, rel=2e-9), name  # the solver tolerance is 1e-9
    np.testing.assert_allclose(life.band_porosity_usage, [0.5254705, 0.36671611, 0.24113014, 0.15091036], rtol=5e-8)
    history = data["hist"][: len(life.flux)]
    np.testing.assert_allclose(life.flux, history[:, 1], rtol=1e-7, atol=1e-14)
    np.testing.assert_allclose(life.band_porosity[:-1], history[:-1, 3:7], rtol=1e-8)
