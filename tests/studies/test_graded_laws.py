"""Graded studies with laws beyond the paper: their keys, their results, and what stays as without them."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import membrane_dask as md
from membrane_dask.errors import StudyError
from membrane_dask.physics.networks.fouling_laws import END_CAUSES
from membrane_dask.study_file import parse_study

#: Small networks: some 500 pores, a life of 27 steps.
SMALL = {
    "kind": "graded", "l_max": 0.25, "gradient": [0, 2e-3], "porosity": 0.1, "porosity_tolerance": 0.05,
    "realizations": 2, "time_step": 5e-4,
}  # fmt: skip
SIEVING = {"rate": 3e3, "particle_radius": 0.0095}


def run(tmp_path, **keys):
    study = parse_study(SMALL | {"cluster": {"profile": "sync"}} | keys)
    result = md.run(study, tmp_path / "run")
    graded = result.result["graded"]
    assert (graded.status == 1).all()
    return graded


@pytest.fixture(scope="module")
def default(tmp_path_factory):
    return run(tmp_path_factory.mktemp("default"))


@pytest.mark.parametrize(
    "keys",
    [
        {"deposition_law": "published", "segments": 1},
        {"species": []},
        {"erosion": {"rate": 0, "critical_shear": 0.1}},
        {"sieving": {"rate": 0, "particle_radius": 0.01}},
        {"operation": {"mode": "pressure"}},
        {"end_of_life": {"flux_fraction": 0}},
    ],
    ids=lambda keys: next(iter(keys)),
)
def test_neutral_values_change_no_bit(tmp_path, default, keys):
    same = run(tmp_path, **keys)
    for group in (".", "history"):
        for name, variable in default[group].to_dataset().data_vars.items():
            np.testing.assert_array_equal(same[group][name].values, variable.values, err_msg=name)


def test_networks_are_those_without_particles(tmp_path, default):
    sieving = run(tmp_path, sieving=SIEVING | {"particle_radius": 0.02})
    for name in ("n_pores", "initial_flux", "band_surface_area"):
        np.testing.assert_array_equal(sieving[name].values, default[name].values)
    assert (sieving.n_arrivals == sieving.band_blocked_pores.sum("band")).all()
    assert (sieving.particle_retention == 1).all()
    assert "particle_retention" not in default
    assert (sieving.band_catch_probability.sel(band=1) == pytest.approx(1)).all()
    assert (sieving.throughput <= default.throughput).all()
    last = sieving["history/band_blocked_pores"].max("time")
    np.testing.assert_array_equal(last.values, sieving.band_blocked_pores.values)
    # Metrics until another threshold count the particles of every step.
    threshold = float(sieving.attrs["flux_threshold"])
    metrics = md.at_flux_threshold(sieving, threshold)
    np.testing.assert_allclose(metrics.throughput.values, sieving.throughput_threshold.values, rtol=1e-12)


def test_conserving_life_ends_at_a_fraction_of_the_flux(tmp_path):
    graded = run(tmp_path, deposition_law="conserving")
    assert (graded.end_of_life_cause == END_CAUSES.index("flux_fraction")).all()
    np.testing.assert_allclose(graded.foulant_balance, 1, atol=1e-5)  # the pressures are solved to 1e-6
    assert any("1% of the first flux" in text for text in graded.attrs["summary"])


def test_constant_flux(tmp_path):
    graded = run(tmp_path, operation={"mode": "flux", "flux": "initial", "pressure_limit": 5})
    assert (graded.initial_transmembrane_pressure == 1).all()
    assert (graded.end_of_life_cause == END_CAUSES.index("pressure_limit")).all()
    expected = graded.initial_flux * graded.lifetime / graded.deposition
    np.testing.assert_allclose(graded.throughput, expected.transpose(*graded.throughput.dims), rtol=1e-12)
    assert graded.throughput_threshold.isnull().all()
    with pytest.raises(ValueError, match="constant flux"):
        md.at_flux_threshold(graded, 1e-6)


def test_species(tmp_path):
    species = [{"name": "protein", "deposition": 1e-7, "fraction": 0.5}, {"deposition": 1e-6, "fraction": 0.5}]
    graded = run(tmp_path, species=species)
    assert list(graded.species.values) == ["protein", "2"]
    assert graded.deposition.values == pytest.approx([5.5e-7])
    fractions = xr.DataArray([0.5, 0.5], dims="species")
    total = (fractions * graded.species_concentration).sum("species")
    np.testing.assert_allclose(total, graded.foulant_concentration, rtol=1e-12)
    np.testing.assert_allclose(graded.species_purity.sum("species"), 1, rtol=1e-12)
    assert (graded.species_yield.sel(species="protein") > graded.species_yield.sel(species="2")).all()
    np.testing.assert_allclose(
        graded.species_recovered, graded.throughput * fractions * graded.species_concentration, rtol=1e-12
    )


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"segments": 2}, "segments: needs deposition_law: conserving"),
        ({"segments": 2, "deposition_law": "conserving", "erosion": {"rate": 1}}, "segments: must be 1 with erosion"),
        ({"sieving": {"rate": 1e3}}, r"sieving\.particle_radius: is needed with rate > 0"),
        ({"sieving": SIEVING | {"deviation": 0.1}}, r"sieving\.deviation: must be 0 with distribution: fixed"),
        ({"sieving": SIEVING | {"distribution": "normal"}}, r"sieving\.deviation: must be greater than 0"),
        ({"sieving": SIEVING | {"distribution": "normal", "deviation": 0.4}}, "at most 0.3"),
        ({"sieving": SIEVING | {"residual_conductance": 1}}, r"residual_conductance: must be less than 1"),
        ({"operation": {"mode": "flux", "flux": 2e-6}}, r"operation\.pressure_limit: is needed"),
        ({"operation": {"mode": "flux", "pressure_limit": 5}}, r"operation\.flux: is needed"),
        ({"operation": {"flux": 2e-6}}, r"operation\.flux: needs mode: flux"),
        ({"operation": {"mode": "flux", "flux": "initial", "pressure_limit": 1}}, "must be greater than 1"),
        ({"operation": {"mode": "flux", "flux": 0, "pressure_limit": 2}}, "must be greater than 0"),
        ({"end_of_life": {"flux_fraction": 1}}, r"end_of_life\.flux_fraction"),
        ({"end_of_life": {"time": 0}}, r"end_of_life\.time"),
        ({"end_of_life": {"time": 0.00251}}, r"multiple of time_step = 0.0005, such as 0.0025"),
        ({"end_of_life": {"time": 1e6}}, "at most 100000 time steps"),
        ({"species": [{"deposition": 1e-7, "fraction": 0.4}]}, "fractions must sum to 1"),
        ({"species": [{"deposition": 0, "fraction": 1}]}, r"deposition: must be greater than 0"),
        ({"species": [{"deposition": 1e-7, "fraction": 1}], "deposition": 1e-7}, "deposition: cannot be given"),
        ({"species": [{"deposition": 1e-7, "fraction": 1}], "band_deposition": 2}, "band_deposition: cannot be given"),
        (
            {"species": [{"deposition": 1e-7, "fraction": 0.5, "name": "2"}, {"deposition": 1e-6, "fraction": 0.5}]},
            "is used twice",
        ),
    ],
)
def test_bad_laws_are_refused(keys, message):
    with pytest.raises(StudyError, match=message):
        parse_study(SMALL | keys)


def test_particles_that_always_or_never_fit_are_noted():
    for radius, text in (
        (0.02, "every particle is caught at an inlet (0.02 > 0.013, in membrane thicknesses)"),
        (0.005, "no pore of the clean filter is narrower than 0.007 membrane thicknesses"),
    ):
        plan = md.plan(parse_study(SMALL | {"sieving": SIEVING | {"particle_radius": radius}}))
        assert text in str(plan)


def test_a_gradient_of_one_band_is_noted():
    note = "bands: 1 leaves a gradient without effect: filters of all gradients are the same"
    assert note in str(md.plan(parse_study(SMALL | {"bands": 1, "gradient": [0, 1e-3]})))
    assert note not in str(md.plan(parse_study(SMALL | {"bands": 1, "gradient": 0})))


def test_pores_that_do_not_stay_cylinders_are_noted_in_the_plan():
    note = "of the deposition of a clean filter falls in pores with x = lambda r l/q > 1"
    keys = {"deposition_law": "conserving", "end_of_life": {"flux_fraction": 0.5}}
    measured = md.plan(parse_study(SMALL | keys)).measured()
    (text,) = (text for name, text in measured.rows() if name == "note" and note in text)
    program = measured.program
    results = [program.work(program.context, unit)[0] for unit in program.pilots()]
    fraction = max(float(arrays["non_cylindrical_deposition"].max()) for arrays in results)
    assert fraction > 0.1
    assert text.startswith(f"{100 * fraction:.0f} % {note}")
    assert text.endswith("try segments: 4")
    assert note not in str(md.plan(parse_study(SMALL | keys | {"segments": 4})).measured())
    assert note not in str(md.plan(parse_study(SMALL | keys | {"deposition": 1e-8})).measured())


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            {"operation": {"mode": "flux", "flux": 1e-2, "pressure_limit": 5}},
            r"operation\.flux: 0\.01 needs .* times the pressure_limit .*; at most",
        ),
        ({"sieving": {"rate": 1e9, "particle_radius": 0.02}}, r"sieving\.rate 1e\+09: .* which block all inlets"),
        ({"sieving": {"rate": 1e9, "particle_radius": 0.001}}, r"sieving\.rate 1e\+09: .* which are too many"),
        ({"erosion": {"rate": 1e4}}, r"did not end within .* steps .*; set end_of_life\.time"),
    ],
)
def test_pilots_refuse_what_has_no_life(keys, message):
    plan = md.plan(parse_study(SMALL | keys))
    with pytest.raises(StudyError, match=message):
        plan.measured()


def test_physical_units_of_species_at_constant_flux(tmp_path):
    """The unit of time is that of the mean deposition coefficient, and the first flux that of the operation."""
    units = {"thickness": "100 um", "pressure": "1 bar", "viscosity": "1 mPa s", "foulant_volume_fraction": 1e-4}
    species = [{"deposition": 1e-7, "fraction": 0.5}, {"deposition": 1e-6, "fraction": 0.5}]
    operation = {"mode": "flux", "flux": 1e-7, "pressure_limit": 5}
    graded = run(tmp_path, species=species, operation=operation, **units)
    result = md.open_run(tmp_path / "run").result
    time_unit = result["units"].time_unit
    assert time_unit.deposition.values == pytest.approx([5.5e-7])
    expected = graded.lifetime.values * time_unit.values
    np.testing.assert_allclose(graded.service_time.values, expected, rtol=1e-12)
    # pi W P0 q / (8 mu) of the constant flux
    expected = np.pi * 1e-4 * 1e5 * 1e-7 / (8 * 1e-3) * 3.6e6
    np.testing.assert_allclose(graded.initial_permeate_flux.values, expected, rtol=1e-9)
